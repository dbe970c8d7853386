/* Tokens of canonical values and reading of simple members; see value.h. Owns nothing, allocates nothing. */
#include <saggar/saggar.h>

#include "base/bytes.h"
#include "key/value.h"

/* The length of the sequence at p by its lead byte, or 0. Surrogates pass; over-long forms do not. */
static size_t utf8_sequence(const uint8_t *p, size_t n) {
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return len;
}

bool sg_value_utf8(const void *text, size_t n) {
    const uint8_t *p = text;
    for (size_t i = 0; i < n;) {
        if (n - i >= 8 && (sg_load64(p + i) & UINT64_C(0x8080808080808080)) == 0) {
            i += 8;
            continue;
        }
        size_t len = utf8_sequence(p + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

bool sg_value_is_big(bool negative, const uint8_t *magnitude, size_t n) {
    if (n != 8)
        return n > 8;
    uint64_t m = sg_load64(magnitude);
    return negative ? m > UINT64_C(1) << 63 : m >= UINT64_C(1) << 63;
}

int sg_value_compare(const uint8_t *a, size_t na, const uint8_t *b, size_t nb) {
    size_t n = na < nb ? na : nb;
    int order = n == 0 ? 0 : memcmp(a, b, n);
    return order != 0 ? order : na < nb ? -1 : na > nb;
}

void sg_cursor_init(struct sg_cursor *c, const void *bytes, size_t size) {
    static const uint8_t none[1];
    c->p = size == 0 ? none : bytes;
    c->end = c->p + size;
    c->err = SAGGAR_OK;
}

static bool fail(struct sg_cursor *c) {
    if (c->err == SAGGAR_OK)
        c->err = SAGGAR_ECORRUPT;
    c->p = c->end;
    return false;
}

static const uint8_t *take(struct sg_cursor *c, uint64_t n) {
    if (c->err != SAGGAR_OK || n > (size_t)(c->end - c->p)) {
        fail(c);
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    return p;
}

static bool take_u8(struct sg_cursor *c, uint8_t *out) {
    const uint8_t *p = take(c, 1);
    if (p != NULL)
        *out = *p;
    return p != NULL;
}

static bool take_u32(struct sg_cursor *c, uint32_t *out) {
    const uint8_t *p = take(c, 4);
    if (p != NULL)
        *out = sg_load32(p);
    return p != NULL;
}

static bool take_u64(struct sg_cursor *c, uint64_t *out) {
    const uint8_t *p = take(c, 8);
    if (p != NULL)
        *out = sg_load64(p);
    return p != NULL;
}

static bool take_counted(struct sg_cursor *c, const uint8_t **data, size_t *size) {
    uint32_t n;
    if (!take_u32(c, &n) || (*data = take(c, n)) == NULL)
        return false;
    *size = n;
    return true;
}

bool sg_cursor_name(struct sg_cursor *c, const uint8_t **text, size_t *n) {
    return take_counted(c, text, n) && (sg_value_utf8(*text, *n) || fail(c));
}

static bool take_bigint(struct sg_cursor *c, struct sg_token *t) {
    uint8_t sign;
    if (!take_u8(c, &sign) || !take_counted(c, &t->data, &t->size))
        return false;
    t->count = sign;
    if (sign > 1 || t->size == 0 || t->data[t->size - 1] == 0 ||
        !sg_value_is_big(sign != 0, t->data, t->size))
        return fail(c);
    return true;
}

bool sg_cursor_token(struct sg_cursor *c, struct sg_token *t) {
    *t = (struct sg_token){0};
    if (!take_u8(c, &t->tag))
        return false;
    switch (t->tag) {
    case SG_TAG_NONE:
    case SG_TAG_FALSE:
    case SG_TAG_TRUE:
    case SG_TAG_DTYPE:
    case SG_TAG_ARRAY:
    case SG_TAG_ARRAY_SCALAR:
        return true;
    case SG_TAG_INT:
    case SG_TAG_FLOAT:
        return take_u64(c, &t->word[0]);
    case SG_TAG_COMPLEX:
        return take_u64(c, &t->word[0]) && take_u64(c, &t->word[1]);
    case SG_TAG_BIGINT:
        return take_bigint(c, t);
    case SG_TAG_BYTES:
        return take_counted(c, &t->data, &t->size);
    case SG_TAG_TEXT:
        return sg_cursor_name(c, &t->data, &t->size);
    case SG_TAG_LIST:
    case SG_TAG_TUPLE:
    case SG_TAG_SET:
    case SG_TAG_FROZENSET:
    case SG_TAG_MAP:
    case SG_TAG_ORDERED_MAP:
    case SG_TAG_BACK_REFERENCE:
        return take_u32(c, &t->count);
    case SG_TAG_RECORD:
        return sg_cursor_name(c, &t->data, &t->size) && take_u32(c, &t->count);
    case SG_TAG_DIGEST:
        return sg_cursor_name(c, &t->data, &t->size) && (t->digest = take(c, 32)) != NULL;
    default:
        return fail(c);
    }
}

bool sg_cursor_array(struct sg_cursor *c, bool scalar, struct sg_array_data *a) {
    *a = (struct sg_array_data){0};
    uint64_t size;
    if (scalar)
        return take_counted(c, &a->items, &a->size);
    if (!take_u8(c, &a->order) || !take_u8(c, &a->flags) || !take_u32(c, &a->ndim))
        return false;
    if ((a->extents = take(c, (uint64_t)a->ndim * 8)) == NULL || !take_u64(c, &size))
        return false;
    if ((a->items = take(c, size)) == NULL)
        return false;
    a->size = (size_t)size;
    return true;
}

int sg_cursor_end(struct sg_cursor *c) {
    if (c->p != c->end)
        fail(c);
    return c->err;
}

static bool expect(struct sg_cursor *c, uint8_t tag, struct sg_token *t) {
    return sg_cursor_token(c, t) && (t->tag == tag || fail(c));
}

uint32_t sg_value_tuple(struct sg_cursor *c) {
    struct sg_token t;
    return expect(c, SG_TAG_TUPLE, &t) ? t.count : 0;
}

uint32_t sg_value_ordered_map(struct sg_cursor *c) {
    struct sg_token t;
    return expect(c, SG_TAG_ORDERED_MAP, &t) ? t.count : 0;
}

const char *sg_value_text(struct sg_cursor *c, size_t *n) {
    struct sg_token t;
    if (!expect(c, SG_TAG_TEXT, &t))
        return NULL;
    *n = t.size;
    return (const char *)t.data;
}

const uint8_t *sg_value_bytes(struct sg_cursor *c, size_t *n) {
    struct sg_token t;
    if (!expect(c, SG_TAG_BYTES, &t))
        return NULL;
    *n = t.size;
    return t.data;
}

int64_t sg_value_int(struct sg_cursor *c) {
    struct sg_token t;
    return expect(c, SG_TAG_INT, &t) ? (int64_t)t.word[0] : 0;
}

const uint8_t *sg_value_digest(struct sg_cursor *c, const char **what, size_t *n) {
    struct sg_token t;
    if (!expect(c, SG_TAG_DIGEST, &t))
        return NULL;
    if (what != NULL) {
        *what = (const char *)t.data;
        *n = t.size;
    }
    return t.digest;
}

const uint8_t *sg_value_skip(struct sg_cursor *c, size_t *n) {
    size_t size;
    const uint8_t *p = c->p;
    if (c->err != SAGGAR_OK)
        return NULL;
    int err = sg_value_size(p, (size_t)(c->end - c->p), &size);
    if (err != SAGGAR_OK) {
        c->err = err;
        c->p = c->end;
        return NULL;
    }
    c->p += size;
    if (n != NULL)
        *n = size;
    return p;
}
