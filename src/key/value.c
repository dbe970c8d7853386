/*
 * The full check of a canonical value; see value.h.
 *
 * Recursive, at most SG_VALUE_DEPTH containers deep (a dtype, array or array scalar between two containers
 * adds one call each); the frames are small. Memory is needed only to find equal first values of an ordered
 * map or equal names of a record, and the first SG_SPAN_INLINE members need none.
 */
#include "base/bytes.h"
#include "key/check.h"

/* Members of a set, or pairs of a map: in ascending order of the first value, none equal. */
static int ascending(struct sg_check *k, uint32_t n, bool pairs) {
    const uint8_t *last = NULL;
    size_t last_size = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *first = k->c.p;
        int err = sg_check_value(k);
        if (err != SAGGAR_OK)
            return err;
        size_t size = (size_t)(k->c.p - first);
        if (last != NULL && sg_value_compare(last, last_size, first, size) >= 0)
            return sg_check_fail(k);
        last = first;
        last_size = size;
        if (pairs && (err = sg_check_value(k)) != SAGGAR_OK)
            return err;
    }
    return SAGGAR_OK;
}

/* Pairs of an ordered map, or fields of a record: any order, no two first values or names equal. */
static int distinct(struct sg_check *k, uint32_t n, bool names) {
    size_t base = k->spans.n;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *first = k->c.p, *name;
        size_t size;
        int err = SAGGAR_OK;
        if (names)
            err = sg_cursor_name(&k->c, &name, &size) ? SAGGAR_OK : k->c.err;
        else
            err = sg_check_value(k);
        if (err == SAGGAR_OK)
            err = sg_spans_add(&k->spans, first, (size_t)(k->c.p - first));
        if (err == SAGGAR_OK)
            err = sg_check_value(k);
        if (err != SAGGAR_OK)
            return err;
    }
    bool equal = sg_spans_sort(&k->spans, base);
    k->spans.n = base;
    return equal ? sg_check_fail(k) : SAGGAR_OK;
}

static int container(struct sg_check *k, const struct sg_token *t) {
    int err = sg_check_open(k);
    if (err != SAGGAR_OK)
        return err;
    switch (t->tag) {
    case SG_TAG_LIST:
    case SG_TAG_TUPLE:
        for (uint32_t i = 0; i < t->count && err == SAGGAR_OK; i++)
            err = sg_check_value(k);
        break;
    case SG_TAG_SET:
    case SG_TAG_FROZENSET:
        err = ascending(k, t->count, false);
        break;
    case SG_TAG_MAP:
        err = ascending(k, t->count, true);
        break;
    case SG_TAG_ORDERED_MAP:
        err = distinct(k, t->count, false);
        break;
    default:
        err = distinct(k, t->count, true);
    }
    k->depth--;
    return err;
}

int sg_check_value(struct sg_check *k) {
    struct sg_token t;
    uint64_t itemsize;
    if (!sg_cursor_token(&k->c, &t))
        return k->c.err;
    switch (t.tag) {
    case SG_TAG_LIST:
    case SG_TAG_TUPLE:
    case SG_TAG_SET:
    case SG_TAG_FROZENSET:
    case SG_TAG_MAP:
    case SG_TAG_ORDERED_MAP:
    case SG_TAG_RECORD:
        return container(k, &t);
    case SG_TAG_DTYPE:
        return sg_check_dtype(k, &itemsize);
    case SG_TAG_ARRAY:
    case SG_TAG_ARRAY_SCALAR:
        return sg_check_array(k, t.tag == SG_TAG_ARRAY_SCALAR);
    case SG_TAG_BACK_REFERENCE:
        if (t.count >= k->depth - k->base)
            return sg_check_fail(k);
        if (k->adopt != NULL)
            sg_store32(k->adopt + (k->c.p - 4 - k->start), t.count + k->base);
        return SAGGAR_OK;
    default:
        return SAGGAR_OK;
    }
}

static void begin(struct sg_check *k, const uint8_t *bytes, size_t available, uint32_t depth) {
    sg_cursor_init(&k->c, bytes, available < SG_VALUE_MAX ? available : SG_VALUE_MAX);
    k->start = k->c.p;
    k->depth = depth;
    k->base = 0;
    k->adopt = NULL;
    sg_spans_init(&k->spans);
}

int sg_value_size(const uint8_t *bytes, size_t available, size_t *n) {
    struct sg_check k;
    begin(&k, bytes, available, 0);
    int err = sg_check_value(&k);
    sg_spans_free(&k.spans);
    if (err == SAGGAR_OK)
        *n = (size_t)(k.c.p - k.start);
    return err;
}

int sg_value_adopt(uint8_t *bytes, size_t size, uint32_t depth) {
    struct sg_check k;
    begin(&k, bytes, size, depth);
    k.base = depth;
    k.adopt = bytes;
    int err = sg_check_value(&k);
    sg_spans_free(&k.spans);
    return err != SAGGAR_OK ? err : sg_cursor_end(&k.c);
}

int sg_dtype_check(const uint8_t *payload, size_t size, uint32_t depth, uint64_t *itemsize) {
    struct sg_check k;
    begin(&k, payload, size, depth);
    int err = sg_check_dtype(&k, itemsize);
    sg_spans_free(&k.spans);
    return err != SAGGAR_OK ? err : sg_cursor_end(&k.c);
}

int saggar_value_check(const void *bytes, size_t size) {
    size_t n;
    if (bytes == NULL && size != 0)
        return SAGGAR_EINVAL;
    if (size > SG_VALUE_MAX)
        return SAGGAR_ELIMIT;
    int err = sg_value_size(bytes, size, &n);
    return err == SAGGAR_OK && n != size ? SAGGAR_ECORRUPT : err;
}
