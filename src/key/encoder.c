/*
 * Encoding of canonical values; see saggar.h.
 *
 * One buffer and one stack of frames, fixed in size by the nesting limit: no memory is asked for per value.
 * Each frame remembers where its count stands and what comes next; members of containers that must be sorted,
 * or whose first values must differ, are noted as offsets in one array that all frames share.
 */
#include <saggar/saggar.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "key/span.h"
#include "key/value.h"

/* What a frame accepts next. */
enum state { ANY, SECOND, NAME, PAYLOAD, DATA };

struct frame {
    uint8_t tag;
    uint8_t state;
    uint32_t count_at; /* offset of the count */
    uint32_t count;    /* members or pairs so far */
    uint32_t start;    /* offset of the current member; of the payload in a dtype or array */
    uint32_t marks;    /* this frame's marks begin here */
    uint32_t itemsize;
};

/* A member: its offset, the length of its first value or name, its whole length. */
struct mark {
    uint32_t start, first, whole;
};

/* Each container may stand inside a dtype or array, and one of these may be the innermost. */
enum { FRAMES = 2 * SG_VALUE_DEPTH + 1 };

struct saggar_encoder {
    struct sg_buf buf;
    int err;
    uint32_t frames, depth; /* frames in use; containers among them */
    struct mark *mark;
    size_t marks, marks_cap;
    struct sg_spans spans;
    struct sg_buf scratch;
    struct frame frame[FRAMES];
};

int saggar_encoder_new(saggar_encoder **out) {
    saggar_encoder *e = malloc(sizeof *e);
    if (e == NULL)
        return SAGGAR_ENOMEM;
    memset(e, 0, offsetof(struct saggar_encoder, frame));
    sg_buf_init(&e->buf, SG_VALUE_MAX);
    sg_buf_init(&e->scratch, SG_VALUE_MAX);
    sg_spans_init(&e->spans);
    *out = e;
    return SAGGAR_OK;
}

void saggar_encoder_free(saggar_encoder *e) {
    if (e == NULL)
        return;
    sg_buf_free(&e->buf);
    sg_buf_free(&e->scratch);
    sg_spans_free(&e->spans);
    free(e->mark);
    free(e);
}

void saggar_encoder_reset(saggar_encoder *e) {
    e->buf.len = e->scratch.len = 0;
    e->buf.err = e->scratch.err = e->err = SAGGAR_OK;
    e->frames = e->depth = 0;
    e->marks = 0;
}

int saggar_encoder_error(const saggar_encoder *e) {
    return e->err;
}

int saggar_encoder_bytes(const saggar_encoder *e, const uint8_t **bytes, size_t *size) {
    if (e->err != SAGGAR_OK)
        return e->err;
    if (e->frames != 0)
        return SAGGAR_EINVAL;
    *bytes = e->buf.data;
    *size = e->buf.len;
    return SAGGAR_OK;
}

static int fail(saggar_encoder *e, int err) {
    if (e->err == SAGGAR_OK)
        e->err = err;
    return e->err;
}

static struct frame *top(saggar_encoder *e) {
    return e->frames == 0 ? NULL : &e->frame[e->frames - 1];
}

static bool has_marks(uint8_t tag) {
    return tag >= SG_TAG_SET && tag <= SG_TAG_RECORD;
}

/* Before the first byte of a value: is one due here? The payload of a dtype must be a record. */
static bool begin(saggar_encoder *e, uint8_t tag) {
    struct frame *f = top(e);
    if (e->err != SAGGAR_OK)
        return false;
    if (f == NULL)
        return true;
    if (f->state == NAME || f->state == DATA || (f->state == PAYLOAD && tag != SG_TAG_RECORD)) {
        fail(e, SAGGAR_EINVAL);
        return false;
    }
    if (f->state == ANY)
        f->start = (uint32_t)e->buf.len;
    return true;
}

static int add_mark(saggar_encoder *e, uint32_t start, uint32_t first) {
    if (e->marks == e->marks_cap) {
        size_t cap = e->marks_cap ? e->marks_cap * 2 : 64;
        struct mark *mark = realloc(e->mark, cap * sizeof *mark);
        if (mark == NULL)
            return fail(e, SAGGAR_ENOMEM);
        e->mark = mark;
        e->marks_cap = cap;
    }
    e->mark[e->marks++] = (struct mark){start, first, first};
    return SAGGAR_OK;
}

static int finish_payload(saggar_encoder *e);

/* After the last byte of a value: what it means to the frame that it stands in. */
static int end(saggar_encoder *e) {
    if (e->buf.err != SAGGAR_OK)
        fail(e, e->buf.err);
    struct frame *f = top(e);
    if (e->err != SAGGAR_OK || f == NULL)
        return e->err;
    if (f->state == PAYLOAD)
        return finish_payload(e);
    bool pairs = f->tag == SG_TAG_MAP || f->tag == SG_TAG_ORDERED_MAP;
    uint32_t size = (uint32_t)e->buf.len - f->start;
    if (f->state == ANY && has_marks(f->tag) && add_mark(e, f->start, size) != SAGGAR_OK)
        return e->err;
    if (f->state == ANY && pairs) {
        f->state = SECOND;
        return SAGGAR_OK;
    }
    if (f->state == SECOND) {
        e->mark[e->marks - 1].whole = size;
        f->state = f->tag == SG_TAG_RECORD ? NAME : ANY;
    }
    f->count++;
    return SAGGAR_OK;
}

static int push(saggar_encoder *e, uint8_t tag, uint8_t state) {
    if (e->frames == FRAMES)
        return fail(e, SAGGAR_ELIMIT);
    struct frame *f = &e->frame[e->frames++];
    *f = (struct frame){.tag = tag, .state = state};
    f->marks = (uint32_t)e->marks;
    f->start = (uint32_t)e->buf.len;
    return SAGGAR_OK;
}

/* The tag of a dtype or array stands; its payload's last byte is written. */
static int finish_payload(saggar_encoder *e) {
    struct frame *f = top(e);
    uint64_t itemsize;
    int err = sg_dtype_check(e->buf.data + f->start, e->buf.len - f->start, e->depth, &itemsize);
    if (err != SAGGAR_OK)
        return fail(e, err == SAGGAR_ECORRUPT ? SAGGAR_EINVAL : err);
    if (f->tag == SG_TAG_DTYPE) {
        e->frames--;
        return end(e);
    }
    /* More than a value can hold is as good as any larger number: no array of such items fits, but an empty
     * one. */
    f->itemsize = itemsize > UINT32_MAX ? UINT32_MAX : (uint32_t)itemsize;
    f->state = DATA;
    return SAGGAR_OK;
}

/* ---- Scalars ---- */

/* A tag and a fixed payload. */
static int fixed(saggar_encoder *e, uint8_t tag, const void *payload, size_t n) {
    uint8_t all[1 + 16];
    if (!begin(e, tag))
        return e->err;
    all[0] = tag;
    if (n != 0)
        memcpy(all + 1, payload, n);
    sg_buf_add(&e->buf, all, n + 1);
    return end(e);
}

int saggar_encode_none(saggar_encoder *e) {
    return fixed(e, SG_TAG_NONE, NULL, 0);
}

int saggar_encode_bool(saggar_encoder *e, bool value) {
    return fixed(e, value ? SG_TAG_TRUE : SG_TAG_FALSE, NULL, 0);
}

int saggar_encode_int(saggar_encoder *e, int64_t value) {
    uint8_t b[8];
    sg_store64(b, (uint64_t)value);
    return fixed(e, SG_TAG_INT, b, sizeof b);
}

static uint64_t float_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

int saggar_encode_float(saggar_encoder *e, double value) {
    uint8_t b[8];
    sg_store64(b, float_bits(value));
    return fixed(e, SG_TAG_FLOAT, b, sizeof b);
}

int saggar_encode_complex(saggar_encoder *e, double real, double imaginary) {
    uint8_t b[16];
    sg_store64(b, float_bits(real));
    sg_store64(b + 8, float_bits(imaginary));
    return fixed(e, SG_TAG_COMPLEX, b, sizeof b);
}

int saggar_encode_back_reference(saggar_encoder *e, uint32_t level) {
    uint8_t b[4];
    if (level >= e->depth)
        return fail(e, SAGGAR_EINVAL);
    sg_store32(b, level);
    return fixed(e, SG_TAG_BACK_REFERENCE, b, sizeof b);
}

int saggar_encode_bigint(saggar_encoder *e, bool negative, const uint8_t *magnitude, size_t size) {
    while (size > 0 && magnitude[size - 1] == 0)
        size--;
    if (size <= 8) {
        uint8_t b[8] = {0};
        if (size != 0)
            memcpy(b, magnitude, size);
        if (!sg_value_is_big(negative, b, 8)) {
            uint64_t m = sg_load64(b);
            return saggar_encode_int(e, (int64_t)(negative ? 0 - m : m));
        }
    }
    if (!begin(e, SG_TAG_BIGINT))
        return e->err;
    sg_buf_u8(&e->buf, SG_TAG_BIGINT);
    sg_buf_u8(&e->buf, negative);
    sg_buf_text(&e->buf, magnitude, size);
    return end(e);
}

int saggar_encode_bytes(saggar_encoder *e, const void *bytes, size_t size) {
    if (!begin(e, SG_TAG_BYTES))
        return e->err;
    sg_buf_u8(&e->buf, SG_TAG_BYTES);
    sg_buf_text(&e->buf, bytes, size);
    return end(e);
}

int saggar_encode_text(saggar_encoder *e, const char *text, size_t size) {
    if (!begin(e, SG_TAG_TEXT))
        return e->err;
    if (!sg_value_utf8(text, size))
        return fail(e, SAGGAR_EINVAL);
    sg_buf_u8(&e->buf, SG_TAG_TEXT);
    sg_buf_text(&e->buf, text, size);
    return end(e);
}

int saggar_encode_digest(saggar_encoder *e, const char *what, const uint8_t digest[32]) {
    size_t n = strlen(what);
    if (!begin(e, SG_TAG_DIGEST))
        return e->err;
    if (!sg_value_utf8(what, n))
        return fail(e, SAGGAR_EINVAL);
    sg_buf_u8(&e->buf, SG_TAG_DIGEST);
    sg_buf_text(&e->buf, what, n);
    sg_buf_add(&e->buf, digest, 32);
    return end(e);
}

/* ---- Containers ---- */

static int open_container(saggar_encoder *e, uint8_t tag, const char *type) {
    if (!begin(e, tag))
        return e->err;
    if (e->depth == SG_VALUE_DEPTH)
        return fail(e, SAGGAR_ELIMIT);
    sg_buf_u8(&e->buf, tag);
    if (type != NULL)
        sg_buf_text(&e->buf, type, strlen(type));
    size_t count_at = e->buf.len;
    sg_buf_u32(&e->buf, 0);
    if (e->buf.err != SAGGAR_OK)
        return fail(e, e->buf.err);
    if (push(e, tag, type != NULL ? NAME : ANY) == SAGGAR_OK) {
        top(e)->count_at = (uint32_t)count_at;
        e->depth++;
    }
    return e->err;
}

int saggar_encode_begin(saggar_encoder *e, saggar_container kind) {
    if ((int)kind < SG_TAG_LIST || (int)kind > SG_TAG_ORDERED_MAP)
        return fail(e, SAGGAR_EINVAL);
    return open_container(e, (uint8_t)kind, NULL);
}

int saggar_encode_record(saggar_encoder *e, const char *type) {
    if (!sg_value_utf8(type, strlen(type)))
        return fail(e, SAGGAR_EINVAL);
    return open_container(e, SG_TAG_RECORD, type);
}

int saggar_encode_name(saggar_encoder *e, const char *name) {
    struct frame *f = top(e);
    size_t n = strlen(name);
    if (e->err != SAGGAR_OK)
        return e->err;
    if (f == NULL || f->state != NAME || !sg_value_utf8(name, n))
        return fail(e, SAGGAR_EINVAL);
    f->start = (uint32_t)e->buf.len;
    if (sg_buf_text(&e->buf, name, n) != SAGGAR_OK)
        return fail(e, e->buf.err);
    f->state = SECOND;
    return add_mark(e, f->start, (uint32_t)e->buf.len - f->start);
}

/* Writes the members of a set or map again, in the order of the sorted spans. */
static int reorder(saggar_encoder *e, const struct frame *f) {
    uint8_t *members = e->buf.data + f->count_at + 4;
    size_t size = e->buf.len - f->count_at - 4;
    e->scratch.len = 0;
    for (size_t i = 0; i < e->spans.n; i++)
        sg_buf_add(&e->scratch, e->spans.span[i].first, e->spans.span[i].whole);
    if (e->scratch.err != SAGGAR_OK)
        return fail(e, e->scratch.err);
    if (size != 0)
        memcpy(members, e->scratch.data, size);
    return SAGGAR_OK;
}

static bool in_order(const saggar_encoder *e, const struct frame *f) {
    for (size_t i = f->marks + (size_t)1; i < e->marks; i++) {
        const struct mark *a = &e->mark[i - 1], *b = &e->mark[i];
        if (sg_value_compare(e->buf.data + a->start, a->first, e->buf.data + b->start, b->first) >= 0)
            return false;
    }
    return true;
}

static int close_marks(saggar_encoder *e, const struct frame *f) {
    if (in_order(e, f))
        return SAGGAR_OK;
    e->spans.n = 0;
    for (size_t i = f->marks; i < e->marks; i++) {
        const struct mark *m = &e->mark[i];
        if (sg_spans_add(&e->spans, e->buf.data + m->start, m->first) != SAGGAR_OK)
            return fail(e, SAGGAR_ENOMEM);
        e->spans.span[e->spans.n - 1].whole = m->whole;
    }
    if (sg_spans_sort(&e->spans, 0))
        return fail(e, SAGGAR_EINVAL);
    if (f->tag == SG_TAG_ORDERED_MAP || f->tag == SG_TAG_RECORD)
        return SAGGAR_OK;
    return reorder(e, f);
}

int saggar_encode_end(saggar_encoder *e) {
    struct frame *f = top(e);
    if (e->err != SAGGAR_OK)
        return e->err;
    if (f == NULL || f->tag < SG_TAG_LIST || f->tag > SG_TAG_RECORD || f->state == SECOND)
        return fail(e, SAGGAR_EINVAL);
    if (has_marks(f->tag) && close_marks(e, f) != SAGGAR_OK)
        return e->err;
    sg_store32(e->buf.data + f->count_at, f->count);
    e->marks = f->marks;
    e->frames--;
    e->depth--;
    return end(e);
}

/* ---- Dtypes, arrays, raw values ---- */

static int open_payload(saggar_encoder *e, uint8_t tag) {
    if (!begin(e, tag))
        return e->err;
    if (sg_buf_u8(&e->buf, tag) != SAGGAR_OK)
        return fail(e, e->buf.err);
    return push(e, tag, PAYLOAD);
}

int saggar_encode_dtype(saggar_encoder *e) {
    return open_payload(e, SG_TAG_DTYPE);
}

int saggar_encode_array(saggar_encoder *e) {
    return open_payload(e, SG_TAG_ARRAY);
}

int saggar_encode_array_scalar(saggar_encoder *e) {
    return open_payload(e, SG_TAG_ARRAY_SCALAR);
}

int saggar_encode_array_data(saggar_encoder *e, uint8_t order, uint8_t flags, const uint64_t *extents,
                             uint32_t ndim, const void *items, size_t size) {
    struct frame *f = top(e);
    if (e->err != SAGGAR_OK)
        return e->err;
    if (f == NULL || f->state != DATA)
        return fail(e, SAGGAR_EINVAL);
    struct sg_buf *b = &e->buf;
    size_t at = b->len;
    bool scalar = f->tag == SG_TAG_ARRAY_SCALAR;
    if (scalar) {
        sg_buf_text(b, items, size);
    } else {
        sg_buf_u8(b, order);
        sg_buf_u8(b, flags);
        sg_buf_u32(b, ndim);
        for (uint32_t i = 0; i < ndim && b->err == SAGGAR_OK; i++)
            sg_buf_u64(b, extents[i]);
        sg_buf_u64(b, size);
        sg_buf_add(b, items, size);
    }
    if (b->err != SAGGAR_OK)
        return fail(e, b->err);
    struct sg_array_data data;
    struct sg_cursor c;
    sg_cursor_init(&c, b->data + at, b->len - at);
    if (!sg_cursor_array(&c, scalar, &data) || !sg_array_check(&data, scalar, f->itemsize))
        return fail(e, SAGGAR_EINVAL);
    e->frames--;
    return end(e);
}

int saggar_encode_raw(saggar_encoder *e, const void *bytes, size_t size) {
    if (size == 0)
        return fail(e, SAGGAR_EINVAL);
    if (!begin(e, *(const uint8_t *)bytes))
        return e->err;
    size_t at = e->buf.len;
    if (sg_buf_add(&e->buf, bytes, size) != SAGGAR_OK)
        return fail(e, e->buf.err);
    int err = sg_value_adopt(e->buf.data + at, size, e->depth);
    if (err != SAGGAR_OK)
        return fail(e, err == SAGGAR_ECORRUPT ? SAGGAR_EINVAL : err);
    return end(e);
}
