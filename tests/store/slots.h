/* What a test does with a store: open it, publish, find, and where the files of an entry lie. */
#ifndef SG_TESTS_STORE_SLOTS_H
#define SG_TESTS_STORE_SLOTS_H

#include "../base/check.h"

#include "../entries.h"
#include "store/store.h"

static inline int publish(struct sg_tier *tier, const struct made *m) {
    struct sg_buf core = {.data = m->core, .len = m->size, .cap = m->size, .max = SIZE_MAX};
    struct sg_buf annex = {.max = SIZE_MAX};
    return tier->ops->publish(tier, m->key, m->identity, &core, &annex);
}

static inline struct sg_tier *open_store(const char *path) {
    struct sg_tier *tier;
    NEED(sg_store_open(path, false, &tier) == SAGGAR_OK);
    return tier;
}

/* The folder that holds every slot of the entry. */
static inline char *slots_folder(const char *store, const struct made *m) {
    char name[SG_STORE_NAME], *path;
    sg_store_name(m->key, 0, name);
    NEED(asprintf(&path, "%s/v1/%.2s", store, name) > 0);
    return path;
}

static inline char *slot_of(const char *store, const struct made *m, unsigned slot) {
    char name[SG_STORE_NAME], *folder = slots_folder(store, m);
    sg_store_name(m->key, slot, name);
    char *path = join(folder, name);
    free(folder);
    return path;
}

static inline unsigned litter_in(const char *store, const struct made *m) {
    char *folder = slots_folder(store, m);
    unsigned n = count_names(folder, ".tmp-") + count_names(store, ".tmp-");
    free(folder);
    return n;
}

static inline unsigned found(struct sg_tier *tier, const struct made *m) {
    struct faults f;
    return find_good(tier, m->key, m, 1, &f);
}

#endif
