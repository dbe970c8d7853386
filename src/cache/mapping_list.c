/*
 * The keys of a mapping, from the recipes of all entries in all tiers: each once, in the order of their
 * digests. What cannot be read is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/cache.h"
#include "cache/mapping.h"

/* The key in a recipe of this mapping; false: it is another one's. */
static bool key_of(const saggar_mapping *m, const uint8_t *recipe, size_t size, const uint8_t **key,
                   size_t *n) {
    if (size < m->lead_size + 4 || memcmp(recipe, m->lead, m->lead_size) != 0)
        return false;
    *n = sg_load32(recipe + m->lead_size);
    *key = recipe + m->lead_size + 4;
    return *n <= size - m->lead_size - 4;
}

struct found {
    uint8_t digest[SAGGAR_KEY_SIZE];
    uint8_t *key;
    size_t size;
};

struct listing {
    const saggar_mapping *m;
    bool keys; /* not only the digests */
    struct found *found;
    size_t n, room;
    int err;
};

static int add_found(struct listing *l, const uint8_t *digest, const uint8_t *key, size_t size) {
    if (l->n == l->room) {
        size_t room = l->room == 0 ? 256 : 2 * l->room;
        struct found *more = reallocarray(l->found, room, sizeof *more);
        if (more == NULL)
            return SAGGAR_ENOMEM;
        l->found = more;
        l->room = room;
    }
    struct found *f = &l->found[l->n];
    memcpy(f->digest, digest, sizeof f->digest);
    f->key = l->keys ? malloc(size == 0 ? 1 : size) : NULL;
    f->size = size;
    if (l->keys && f->key == NULL)
        return SAGGAR_ENOMEM;
    if (l->keys)
        memcpy(f->key, key, size);
    l->n++;
    return SAGGAR_OK;
}

static int look_at(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                   size_t annex_size, const char *name) {
    struct listing *l = context;
    struct sg_section section;
    const uint8_t *recipe, *key;
    uint8_t *owned = NULL;
    size_t size, n;
    (void)annex;
    (void)annex_size;
    (void)name;
    if (error != SAGGAR_OK || sg_entry_find(view, SG_SECTION_RECIPE, NULL, &section) != SAGGAR_OK)
        return 0;
    if (sg_entry_bytes(view, &section, SG_FAST, &recipe, &size, &owned) != SAGGAR_OK)
        return 0;
    if (key_of(l->m, recipe, size, &key, &n))
        l->err = add_found(l, view->key, key, n);
    free(owned);
    return l->err;
}

static int by_digest(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    return memcmp(x->digest, y->digest, sizeof x->digest);
}

/* The distinct keys in all tiers, sorted by digest. */
static int list(saggar_mapping *m, bool keys, struct listing *l) {
    *l = (struct listing){.m = m, .keys = keys, .err = SAGGAR_OK};
    for (unsigned i = 0; i < m->cache->stack.n && l->err == SAGGAR_OK; i++) {
        struct sg_tier *tier = m->cache->stack.slots[i].tier;
        if (tier != NULL && tier->active)
            (void)tier->ops->each(tier, look_at, l);
    }
    if (l->n > 1)
        qsort(l->found, l->n, sizeof *l->found, by_digest);
    return l->err;
}

static bool is_repeated(const struct listing *l, size_t i) {
    return i > 0 && by_digest(&l->found[i - 1], &l->found[i]) == 0;
}

static void free_listing(struct listing *l) {
    for (size_t i = 0; i < l->n; i++)
        free(l->found[i].key);
    free(l->found);
}

int saggar_mapping_each(saggar_mapping *m, int (*each)(void *context, const void *key, size_t key_size),
                        void *context) {
    struct listing l;
    if (m == NULL || each == NULL)
        return SAGGAR_EINVAL;
    int err = list(m, true, &l);
    for (size_t i = 0; i < l.n && err == SAGGAR_OK; i++) {
        if (!is_repeated(&l, i))
            err = each(context, l.found[i].key, l.found[i].size);
    }
    free_listing(&l);
    return err;
}

int saggar_mapping_length(saggar_mapping *m, uint64_t *out) {
    struct listing l;
    uint64_t count = 0;
    if (m == NULL || out == NULL)
        return SAGGAR_EINVAL;
    int err = list(m, false, &l);
    for (size_t i = 0; i < l.n; i++)
        count += !is_repeated(&l, i);
    free_listing(&l);
    if (err == SAGGAR_OK)
        *out = count;
    return err;
}
