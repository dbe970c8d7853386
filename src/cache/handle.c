/*
 * Entries and views. An entry holds its candidate's bytes and its cache; a view holds its entry. Each is
 * counted, so they may be released in any order, in any thread, and in a forked child too.
 *
 * A hit allocates nothing as long as fewer than SG_ENTRY_POOL entries are held: the handle comes from the
 * cache's pool.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"

/* What a view of decompressed bytes owns. Told from a plain entry by the lowest bit of the pointer. */
struct lease {
    saggar_entry *entry;
    uint8_t *owned;
};

static saggar_entry *allocate(saggar_cache *cache) {
    uint64_t used = __atomic_load_n(&cache->pool_used, __ATOMIC_RELAXED);
    while (used != UINT64_MAX) {
        int i = __builtin_ctzll(~used);
        if (__atomic_compare_exchange_n(&cache->pool_used, &used, used | UINT64_C(1) << i, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            cache->pool[i].pool = i;
            return &cache->pool[i];
        }
    }
    saggar_entry *entry = malloc(sizeof *entry);
    if (entry != NULL)
        entry->pool = -1;
    return entry;
}

saggar_entry *sg_handle_new(saggar_cache *cache, const struct sg_candidate *candidate) {
    saggar_entry *entry = allocate(cache);
    struct sg_candidate held = *candidate;
    if (entry == NULL) {
        held.tier->ops->release(&held);
        return NULL;
    }
    __atomic_fetch_add(&cache->refs, 1, __ATOMIC_RELAXED);
    entry->refs = 1;
    entry->cache = cache;
    entry->candidate = held;
    return entry;
}

void saggar_entry_release(saggar_entry *entry) {
    if (entry == NULL || __atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    saggar_cache *cache = entry->cache;
    entry->candidate.tier->ops->release(&entry->candidate);
    if (entry->pool < 0)
        free(entry);
    else
        __atomic_fetch_and(&cache->pool_used, ~(UINT64_C(1) << entry->pool), __ATOMIC_RELEASE);
    sg_cache_release(cache);
}

const char *saggar_entry_tier(const saggar_entry *entry) {
    return entry->candidate.tier->path;
}

void saggar_entry_identity(const saggar_entry *entry, uint8_t identity[32]) {
    memcpy(identity, entry->candidate.view.identity, 32);
}

void saggar_entry_reject(saggar_entry *entry) {
    sg_reject_add(entry->candidate.view.identity);
}

static int lend(saggar_entry *entry, const struct sg_section *section, saggar_view *out) {
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    int err = sg_entry_bytes(&entry->candidate.view, section, SG_FAST, &data, &size, &owned);
    if (err == SAGGAR_ECORRUPT)
        sg_candidate_damaged(entry->cache, &entry->candidate);
    if (err != SAGGAR_OK)
        return err;
    void *owner = entry;
    if (owned != NULL) {
        struct lease *lease = malloc(sizeof *lease);
        if (lease == NULL) {
            free(owned);
            return SAGGAR_ENOMEM;
        }
        *lease = (struct lease){entry, owned};
        owner = (char *)lease + 1;
    }
    __atomic_fetch_add(&entry->refs, 1, __ATOMIC_RELAXED);
    *out = (saggar_view){data, size, owner};
    return SAGGAR_OK;
}

void saggar_view_release(saggar_view *view) {
    if (view == NULL || view->owner == NULL)
        return;
    saggar_entry *entry = view->owner;
    if (((uintptr_t)view->owner & 1) != 0) {
        struct lease *lease = (struct lease *)(void *)((char *)view->owner - 1);
        entry = lease->entry;
        free(lease->owned);
        free(lease);
    }
    *view = (saggar_view){NULL, 0, NULL};
    saggar_entry_release(entry);
}

int saggar_entry_part(saggar_entry *entry, const char *name, saggar_view *out) {
    struct sg_section section;
    if (entry == NULL || name == NULL || out == NULL)
        return SAGGAR_EINVAL;
    int err = sg_entry_find(&entry->candidate.view, SG_SECTION_PART, name, &section);
    return err != SAGGAR_OK ? err : lend(entry, &section, out);
}

int saggar_entry_recipe(saggar_entry *entry, saggar_view *out) {
    struct sg_section section;
    if (entry == NULL || out == NULL)
        return SAGGAR_EINVAL;
    int err = sg_entry_find(&entry->candidate.view, SG_SECTION_RECIPE, NULL, &section);
    return err != SAGGAR_OK ? err : lend(entry, &section, out);
}
