/* A store of one's own for a test: made in a folder that goes with it, one entry at hand. */
#ifndef SG_TESTS_STORE_BOX_H
#define SG_TESTS_STORE_BOX_H

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

static inline char *slot_of(const char *store, const struct made *m, unsigned slot) {
    char name[SG_STORE_NAME], *path;
    sg_store_name(m->key, slot, name);
    NEED(asprintf(&path, "%s/v1/%.2s/%s", store, name, name) > 0);
    return path;
}

static inline unsigned litter_in(const char *store, const struct made *m) {
    char *slot = slot_of(store, m, 0);
    *strrchr(slot, '/') = '\0';
    unsigned n = count_names(slot, ".tmp-") + count_names(store, ".tmp-");
    free(slot);
    return n;
}

static inline unsigned found(struct sg_tier *tier, const struct made *m) {
    struct faults f;
    return find_good(tier, m->key, m, 1, &f);
}

struct box {
    char *folder, *store;
    struct sg_tier *tier;
    struct made m;
};

static inline int set_up(void **state) {
    struct box *b = calloc(1, sizeof *b);
    b->folder = make_folder();
    b->store = join(b->folder, "deep/store");
    b->tier = open_store(b->store);
    b->m = make_entry(1, 0, SAGGAR_ARCH_ANY, 500);
    *state = b;
    return 0;
}

static inline int tear_down(void **state) {
    struct box *b = *state;
    b->tier->ops->close(b->tier);
    free(b->m.core);
    free(b->store);
    remove_folder(b->folder);
    free(b);
    return 0;
}

static inline int count_each(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                             size_t annex_size, const char *name) {
    unsigned *n = context;
    assert_true((error == SAGGAR_OK) == (view != NULL) && name[0] == '/');
    assert_true((annex == NULL) == (annex_size == 0));
    n[error != SAGGAR_OK]++;
    n[2] += annex != NULL;
    return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
