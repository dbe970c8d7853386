/*
 * The forms that docs/FORMAT.md sections 2.1 and 2.2 give to dtypes and arrays; see value.h. Part of the
 * check of a value: reads in one pass, so that dtypes nested in dtypes cost no more than their bytes.
 */
#include "base/bytes.h"
#include "key/check.h"

static bool named(struct sg_check *k, const char *name) {
    const uint8_t *text;
    size_t n;
    return sg_cursor_name(&k->c, &text, &n) && n == strlen(name) && memcmp(text, name, n) == 0;
}

/* One value, which must have one of two tags. */
static bool tagged(struct sg_check *k, uint8_t one, uint8_t other) {
    return k->c.p < k->c.end && (*k->c.p == one || *k->c.p == other) && sg_check_value(k) == SAGGAR_OK;
}

/* Opens a tuple of n members. */
static bool tuple(struct sg_check *k, uint32_t n) {
    return sg_value_tuple(&k->c) == n && k->c.err == SAGGAR_OK && sg_check_open(k) == SAGGAR_OK;
}

static bool none(struct sg_check *k) {
    bool is = k->c.p < k->c.end && *k->c.p == SG_TAG_NONE;
    if (is)
        k->c.p++;
    return is;
}

static bool extent(struct sg_check *k) {
    return sg_value_int(&k->c) >= 0 && k->c.err == SAGGAR_OK;
}

/* None, or a tuple of tuples: name, title or none, offset, dtype. */
static bool fields(struct sg_check *k) {
    if (none(k))
        return true;
    uint32_t n = sg_value_tuple(&k->c);
    if (k->c.err != SAGGAR_OK || sg_check_open(k) != SAGGAR_OK)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        size_t size;
        if (!tuple(k, 4) || sg_value_text(&k->c, &size) == NULL || sg_check_value(k) != SAGGAR_OK ||
            !extent(k) || !tagged(k, SG_TAG_DTYPE, SG_TAG_DTYPE))
            return false;
        k->depth--;
    }
    k->depth--;
    return true;
}

/* None, or a tuple: dtype, tuple of extents. */
static bool sub(struct sg_check *k) {
    if (none(k))
        return true;
    if (!tuple(k, 2) || !tagged(k, SG_TAG_DTYPE, SG_TAG_DTYPE))
        return false;
    uint32_t n = sg_value_tuple(&k->c);
    if (k->c.err != SAGGAR_OK || sg_check_open(k) != SAGGAR_OK)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!extent(k))
            return false;
    }
    k->depth -= 2;
    return true;
}

int sg_check_dtype(struct sg_check *k, uint64_t *itemsize) {
    struct sg_token t;
    size_t n;
    const char *str;
    if (!sg_cursor_token(&k->c, &t) || t.tag != SG_TAG_RECORD || t.count != 6 || t.size != 5 ||
        memcmp(t.data, "dtype", 5) != 0)
        return sg_check_fail(k);
    if (sg_check_open(k) != SAGGAR_OK)
        return k->c.err;
    if (!named(k, "str") || (str = sg_value_text(&k->c, &n)) == NULL || n < 2 ||
        memchr("<>|", str[0], 3) == NULL)
        return sg_check_fail(k);
    if (!named(k, "itemsize"))
        return sg_check_fail(k);
    int64_t items = sg_value_int(&k->c);
    if (items < 0 || !named(k, "align") || !tagged(k, SG_TAG_FALSE, SG_TAG_TRUE) || !named(k, "metadata") ||
        !tagged(k, SG_TAG_NONE, SG_TAG_ORDERED_MAP) || !named(k, "fields") || !fields(k) ||
        !named(k, "sub") || !sub(k))
        return sg_check_fail(k);
    k->depth--;
    *itemsize = (uint64_t)items;
    return SAGGAR_OK;
}

int sg_check_array(struct sg_check *k, bool scalar) {
    struct sg_array_data data;
    uint64_t itemsize;
    if (sg_check_dtype(k, &itemsize) != SAGGAR_OK || !sg_cursor_array(&k->c, scalar, &data))
        return k->c.err;
    return sg_array_check(&data, scalar, itemsize) ? SAGGAR_OK : sg_check_fail(k);
}

bool sg_array_check(const struct sg_array_data *a, bool scalar, uint64_t itemsize) {
    if (scalar)
        return a->size == itemsize;
    uint64_t items = 1, bytes;
    uint32_t long_axes = 0;
    bool fits = true;
    if (a->order > 2 || a->flags > 3)
        return false;
    for (uint32_t i = 0; i < a->ndim; i++) {
        uint64_t extent = sg_load64(a->extents + 8 * (size_t)i);
        if (extent == 0)
            return a->order == 0 && a->size == 0; /* an empty array is always C contiguous */
        long_axes += extent > 1;
        fits = fits && sg_mul64(items, extent, &items);
    }
    if (!fits || !sg_mul64(items, itemsize, &bytes) || bytes != a->size)
        return false;
    /* One item is always C contiguous, one long axis is so whenever it is Fortran contiguous. */
    return a->order == 0 || (a->order == 1 && long_axes >= 2) || (a->order == 2 && long_axes >= 1);
}
