/*
 * Recipes: builder and reader; see saggar.h and recipe.h.
 *
 * The builder holds the bytes as they will be; only the count is filled in at the end. A recipe that was
 * finished takes no more fields, so that its key stays true.
 */
#include "key/recipe.h"

#include <saggar/saggar.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "key/span.h"

enum { VERSION = 1, COUNT_AT = 12, NAME_MAX_SIZE = 64 };

static const char magic[8] = "SGRECIPE";

/** The fields that must be there; bit i of a set of them. */
static const char *const mandatory[] = {"adapter", "compiler", "source", "options"};
enum { MANDATORY_ALL = 15 };

struct saggar_recipe {
    struct sg_buf buf;
    uint32_t count;
    uint32_t *name_at; /* offset of each field's name */
    uint32_t names_cap;
    unsigned found;
    bool finished;
};

static unsigned mandatory_bit(const char *name, size_t n) {
    for (unsigned i = 0; i < 4; i++) {
        if (strlen(mandatory[i]) == n && memcmp(mandatory[i], name, n) == 0)
            return 1u << i;
    }
    return 0;
}

static bool name_ok(const char *name, size_t n) {
    if (n == 0 || n > NAME_MAX_SIZE)
        return false;
    for (size_t i = 0; i < n; i++) {
        char ch = name[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '.' || ch == '-'))
            return false;
    }
    return true;
}

/* `adapter`: its name and its schema number. */
static bool adapter_ok(const uint8_t *value, size_t size) {
    struct sg_cursor c;
    size_t n;
    sg_cursor_init(&c, value, size);
    if (sg_value_tuple(&c) != 2)
        return false;
    sg_value_text(&c, &n);
    sg_value_int(&c);
    return sg_cursor_end(&c) == SAGGAR_OK;
}

int saggar_recipe_new(saggar_recipe **out) {
    saggar_recipe *r = calloc(1, sizeof *r);
    if (r == NULL)
        return SAGGAR_ENOMEM;
    sg_buf_init(&r->buf, SG_VALUE_MAX);
    sg_buf_add(&r->buf, magic, sizeof magic);
    sg_buf_u16(&r->buf, VERSION);
    sg_buf_u16(&r->buf, 0);
    if (sg_buf_u32(&r->buf, 0) != SAGGAR_OK) {
        saggar_recipe_free(r);
        return SAGGAR_ENOMEM;
    }
    *out = r;
    return SAGGAR_OK;
}

void saggar_recipe_free(saggar_recipe *r) {
    if (r == NULL)
        return;
    sg_buf_free(&r->buf);
    free(r->name_at);
    free(r);
}

static bool has_name(const saggar_recipe *r, const char *name, size_t n) {
    for (uint32_t i = 0; i < r->count; i++) {
        const uint8_t *p = r->buf.data + r->name_at[i];
        if (sg_load32(p) == n && memcmp(p + 4, name, n) == 0)
            return true;
    }
    return false;
}

/* Room for the offset of one more name. */
static bool reserve_name(saggar_recipe *r) {
    if (r->count < r->names_cap)
        return true;
    uint32_t cap = r->names_cap ? 2 * r->names_cap : 16;
    uint32_t *name_at = realloc(r->name_at, cap * sizeof *name_at);
    if (name_at == NULL)
        return false;
    r->name_at = name_at;
    r->names_cap = cap;
    return true;
}

int saggar_recipe_field(saggar_recipe *r, const char *name, const void *value, size_t size) {
    size_t n = name == NULL ? 0 : strlen(name);
    if (r->finished || !name_ok(name, n))
        return SAGGAR_EINVAL;
    if (r->buf.err != SAGGAR_OK)
        return r->buf.err;
    int err = saggar_value_check(value, size);
    if (err != SAGGAR_OK)
        return err == SAGGAR_ECORRUPT ? SAGGAR_EINVAL : err;
    unsigned bit = mandatory_bit(name, n);
    if ((bit == 1 && !adapter_ok(value, size)) || has_name(r, name, n))
        return SAGGAR_EINVAL;
    if (!reserve_name(r))
        return SAGGAR_ENOMEM;
    if (sg_buf_reserve(&r->buf, 4 + n + size) != SAGGAR_OK)
        return r->buf.err;
    r->name_at[r->count] = (uint32_t)r->buf.len;
    sg_buf_text(&r->buf, name, n);
    sg_buf_add(&r->buf, value, size);
    r->count++;
    r->found |= bit;
    return SAGGAR_OK;
}

int saggar_recipe_finish(saggar_recipe *r, uint8_t key[SAGGAR_KEY_SIZE], const uint8_t **bytes,
                         size_t *size) {
    if (r->buf.err != SAGGAR_OK)
        return r->buf.err;
    if (r->found != MANDATORY_ALL)
        return SAGGAR_EINVAL;
    sg_store32(r->buf.data + COUNT_AT, r->count);
    r->finished = true;
    if (key != NULL) {
        int err = sg_sha256(key, r->buf.data, r->buf.len);
        if (err != SAGGAR_OK)
            return err;
    }
    if (bytes != NULL)
        *bytes = r->buf.data;
    if (size != NULL)
        *size = r->buf.len;
    return SAGGAR_OK;
}

int sg_recipe_open(const void *bytes, size_t size, struct sg_cursor *c, uint32_t *count) {
    const uint8_t *p = bytes;
    if (p == NULL || size < SG_RECIPE_HEADER || memcmp(p, magic, sizeof magic) != 0)
        return SAGGAR_ECORRUPT;
    if (size > SG_VALUE_MAX)
        return SAGGAR_ELIMIT;
    if (sg_load16(p + 8) != VERSION)
        return sg_load16(p + 8) > VERSION ? SAGGAR_EVERSION : SAGGAR_ECORRUPT;
    if (sg_load16(p + 10) != 0)
        return SAGGAR_ECORRUPT;
    sg_cursor_init(c, p + SG_RECIPE_HEADER, size - SG_RECIPE_HEADER);
    *count = sg_load32(p + COUNT_AT);
    return SAGGAR_OK;
}

int sg_recipe_next(struct sg_cursor *c, struct sg_recipe_field *out) {
    const uint8_t *name;
    if (!sg_cursor_name(c, &name, &out->name_size))
        return c->err;
    out->name = (const char *)name;
    if (!name_ok(out->name, out->name_size))
        return SAGGAR_ECORRUPT;
    out->value = sg_value_skip(c, &out->value_size);
    return c->err;
}

int sg_recipe_check(const void *bytes, size_t size) {
    struct sg_cursor c;
    struct sg_spans names;
    struct sg_recipe_field f;
    uint32_t n;
    unsigned found = 0;
    int err = sg_recipe_open(bytes, size, &c, &n);
    if (err != SAGGAR_OK)
        return err;
    sg_spans_init(&names);
    for (uint32_t i = 0; i < n && err == SAGGAR_OK; i++) {
        if ((err = sg_recipe_next(&c, &f)) != SAGGAR_OK)
            break;
        unsigned bit = mandatory_bit(f.name, f.name_size);
        if (bit == 1 && !adapter_ok(f.value, f.value_size))
            err = SAGGAR_ECORRUPT;
        else
            err = sg_spans_add(&names, (const uint8_t *)f.name, f.name_size);
        found |= bit;
    }
    if (err == SAGGAR_OK && (sg_spans_sort(&names, 0) || found != MANDATORY_ALL))
        err = SAGGAR_ECORRUPT;
    sg_spans_free(&names);
    return err != SAGGAR_OK ? err : sg_cursor_end(&c);
}

int saggar_recipe_count(const void *bytes, size_t size, uint32_t *count) {
    struct sg_cursor c;
    int err = sg_recipe_check(bytes, size);
    return err != SAGGAR_OK ? err : sg_recipe_open(bytes, size, &c, count);
}

int saggar_recipe_get(const void *bytes, size_t size, uint32_t i, const char **name, size_t *name_size,
                      const uint8_t **value, size_t *value_size) {
    struct sg_cursor c;
    struct sg_recipe_field f;
    uint32_t n;
    int err = sg_recipe_open(bytes, size, &c, &n);
    if (err != SAGGAR_OK)
        return err;
    if (i >= n)
        return SAGGAR_EINVAL;
    for (uint32_t at = 0; at <= i; at++) {
        if ((err = sg_recipe_next(&c, &f)) != SAGGAR_OK)
            return err;
    }
    *name = f.name;
    *name_size = f.name_size;
    *value = f.value;
    *value_size = f.value_size;
    return SAGGAR_OK;
}
