/* A store of one's own for a test: made in a folder that goes with it, one entry at hand. */
#ifndef SG_TESTS_STORE_BOX_H
#define SG_TESTS_STORE_BOX_H

#include "slots.h"

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
