/*
 * Mappings: keys and values of any bytes, as entries. A key becomes a recipe whose source it is, beside the
 * mapping's name; the value is the part "value". So everything that holds for entries holds for them.
 *
 * A mapping never changes after it was made, and holds its cache.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "cache/cache.h"
#include "cache/mapping.h"
#include "key/value.h"

#define PART "value"

enum { ROUNDS = 4, KEY_MAX = 8 << 20, SHOWN = 80 };

/* ---- Recipes ---- */

static void add_text(struct sg_buf *buf, const char *text) {
    sg_buf_u8(buf, SG_TAG_TEXT);
    sg_buf_text(buf, text, strlen(text));
}

static void add_name(struct sg_buf *buf, const char *name) {
    sg_buf_text(buf, name, strlen(name));
}

static int make_lead(const char *name, struct sg_buf *buf) {
    sg_buf_add(buf, "SGRECIPE\1\0\0\0", 12);
    sg_buf_u32(buf, 4);
    add_name(buf, "adapter");
    sg_buf_u8(buf, SG_TAG_TUPLE);
    sg_buf_u32(buf, 2);
    add_text(buf, "mapping");
    sg_buf_u8(buf, SG_TAG_INT);
    sg_buf_u64(buf, 1);
    add_name(buf, "compiler");
    add_text(buf, name);
    add_name(buf, "source");
    return sg_buf_u8(buf, SG_TAG_BYTES);
}

int saggar_mapping_new(saggar_cache *cache, const char *name, saggar_mapping **out) {
    struct sg_buf lead;
    if (cache == NULL || name == NULL || out == NULL || !sg_value_utf8(name, strlen(name)))
        return SAGGAR_EINVAL;
    saggar_mapping *m = calloc(1, sizeof *m);
    if (m == NULL)
        return SAGGAR_ENOMEM;
    sg_buf_init(&lead, 1 << 20);
    int err = make_lead(name, &lead);
    m->name = strdup(name);
    m->lead = sg_buf_steal(&lead, &m->lead_size);
    if (err != SAGGAR_OK || m->name == NULL || m->lead == NULL) {
        sg_buf_free(&lead);
        free(m->name);
        free(m->lead);
        free(m);
        return err != SAGGAR_OK ? err : SAGGAR_ENOMEM;
    }
    __atomic_fetch_add(&cache->refs, 1, __ATOMIC_RELAXED);
    m->cache = cache;
    *out = m;
    return SAGGAR_OK;
}

void saggar_mapping_free(saggar_mapping *m) {
    if (m == NULL)
        return;
    sg_cache_release(m->cache);
    free(m->name);
    free(m->lead);
    free(m);
}

static int make_recipe(const saggar_mapping *m, const void *key, size_t size, struct sg_buf *buf) {
    sg_buf_init(buf, SG_VALUE_MAX);
    if (m == NULL || (key == NULL && size > 0))
        return SAGGAR_EINVAL;
    if (size > KEY_MAX)
        return SAGGAR_ELIMIT;
    sg_buf_reserve(buf, m->lead_size + size + 32);
    sg_buf_add(buf, m->lead, m->lead_size);
    sg_buf_text(buf, key, size);
    add_name(buf, "options");
    return sg_buf_u8(buf, SG_TAG_NONE);
}

int saggar_mapping_key(saggar_mapping *m, const void *key, size_t key_size, uint8_t out[SAGGAR_KEY_SIZE]) {
    struct sg_buf recipe;
    int err = make_recipe(m, key, key_size, &recipe);
    if (err == SAGGAR_OK)
        err = sg_sha256(out, recipe.data, recipe.len);
    sg_buf_free(&recipe);
    return err;
}

/* ---- Reading ---- */

static int find(saggar_mapping *m, const void *key, size_t size, saggar_entry **out) {
    uint8_t digest[SAGGAR_KEY_SIZE];
    saggar_reason reason;
    int err = saggar_mapping_key(m, key, size, digest);
    if (err == SAGGAR_OK)
        err = saggar_cache_find(m->cache, digest, NULL, out, &reason, NULL);
    return err == SAGGAR_OK && *out == NULL ? SAGGAR_ENOTFOUND : err;
}

int saggar_mapping_get(saggar_mapping *m, const void *key, size_t key_size, saggar_view *out) {
    saggar_entry *entry;
    if (out == NULL)
        return SAGGAR_EINVAL;
    int err = find(m, key, key_size, &entry);
    if (err != SAGGAR_OK)
        return err;
    err = saggar_entry_part(entry, PART, out);
    saggar_entry_release(entry);
    return err == SAGGAR_OK || err == SAGGAR_ENOMEM ? err : SAGGAR_ENOTFOUND;
}

bool saggar_mapping_contains(saggar_mapping *m, const void *key, size_t key_size) {
    saggar_entry *entry;
    if (find(m, key, key_size, &entry) != SAGGAR_OK)
        return false;
    saggar_entry_release(entry);
    return true;
}

/* ---- Writing ---- */

/* ENOTFOUND: no value is there; OK: this one; EEXISTS: another. */
static int compare(saggar_mapping *m, const void *key, size_t key_size, const void *value, size_t size) {
    saggar_view view;
    int err = saggar_mapping_get(m, key, key_size, &view);
    if (err != SAGGAR_OK)
        return err;
    bool same = view.size == size && (size == 0 || memcmp(view.data, value, size) == 0);
    saggar_view_release(&view);
    return same ? SAGGAR_OK : SAGGAR_EEXISTS;
}

/* What `saggar ls` shows of a key: the value that it encodes, or its first bytes. */
static int add_group(const saggar_mapping *m, saggar_draft *draft, const void *key, size_t size) {
    char hex[2 * SHOWN + 1], *text;
    if (saggar_value_check(key, size) == SAGGAR_OK &&
        saggar_value_print(key, size, SHOWN, &text) == SAGGAR_OK) {
        int err = saggar_draft_group(draft, "mapping", m->name, text);
        free(text);
        return err;
    }
    sg_hex(hex, key, size < SHOWN / 2 ? size : SHOWN / 2);
    return saggar_draft_group(draft, "mapping", m->name, hex);
}

static int publish(saggar_mapping *m, const void *key, size_t key_size, const void *value, size_t size) {
    struct sg_buf recipe;
    saggar_draft *draft;
    int err = make_recipe(m, key, key_size, &recipe);
    if (err == SAGGAR_OK)
        err = saggar_draft_new(recipe.data, recipe.len, &draft);
    sg_buf_free(&recipe);
    if (err != SAGGAR_OK)
        return err;
    err = add_group(m, draft, key, key_size);
    if (err == SAGGAR_OK)
        err = saggar_draft_part(draft, PART, value, size);
    if (err == SAGGAR_OK)
        err = saggar_cache_publish(m->cache, draft, NULL);
    saggar_draft_free(draft);
    return err;
}

int saggar_mapping_put(saggar_mapping *m, const void *key, size_t key_size, const void *value, size_t size) {
    uint8_t digest[SAGGAR_KEY_SIZE];
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    if (value == NULL && size > 0)
        return SAGGAR_EINVAL;
    int err = compare(m, key, key_size, value, size);
    if (err != SAGGAR_ENOTFOUND)
        return err;
    err = saggar_mapping_key(m, key, key_size, digest);
    if (err == SAGGAR_OK)
        err = saggar_cache_claim(m->cache, digest, -1, &claim, &outcome);
    if (err != SAGGAR_OK)
        return err;
    /* Whoever waited, also in vain, may find what another wrote meanwhile. */
    err = outcome == SAGGAR_CLAIM_OWNED ? SAGGAR_ENOTFOUND : compare(m, key, key_size, value, size);
    if (err == SAGGAR_ENOTFOUND)
        err = publish(m, key, key_size, value, size);
    saggar_claim_release(claim);
    return err;
}

static void no_fault(void *context, saggar_reason reason, const char *detail) {
    (void)context;
    (void)reason;
    (void)detail;
}

/* Every slot of the key; a slot that was filled again meanwhile is looked at again, some times. */
static int remove_slots(struct sg_tier *store, const uint8_t *key, bool *any) {
    struct sg_candidate candidates[SAGGAR_MAX_SLOTS];
    unsigned n = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int err = store->ops->find(store, key, candidates, &n, no_fault, NULL);
        if (err != SAGGAR_OK || n == 0)
            return err;
        for (unsigned i = 0; i < n; i++) {
            store->ops->discard(&candidates[i]);
            store->ops->release(&candidates[i]);
        }
        *any = true;
    }
    return SAGGAR_OK;
}

int saggar_mapping_delete(saggar_mapping *m, const void *key, size_t key_size) {
    uint8_t digest[SAGGAR_KEY_SIZE];
    bool any = false;
    int err = saggar_mapping_key(m, key, key_size, digest);
    if (err != SAGGAR_OK)
        return err;
    struct sg_tier *store = m->cache->stack.store;
    if (store != NULL && !m->cache->read_only)
        err = remove_slots(store, digest, &any);
    if (err == SAGGAR_OK && saggar_mapping_contains(m, key, key_size))
        return SAGGAR_EREADONLY;
    return err != SAGGAR_OK ? err : any ? SAGGAR_OK : SAGGAR_ENOTFOUND;
}
