/* Sets of entries as images, and everything that can be asked of one. What the image tests share. */
#ifndef SG_TESTS_IMAGE_SET_H
#define SG_TESTS_IMAGE_SET_H

#include "../base/check.h"

#include "../entries.h"
#include "image/image.h"

struct set {
    struct made *all;
    unsigned n;
};

static inline struct set make_set(unsigned n, size_t object_size) {
    struct set s = {calloc(n + 1, sizeof(struct made)), n};
    NEED(s.all != NULL);
    for (unsigned i = 0; i < n; i++)
        s.all[i] = make_entry(i, 0, SAGGAR_ARCH_X86_64, object_size);
    return s;
}

static inline void free_set(struct set *s) {
    for (unsigned i = 0; i < s->n; i++)
        free(s->all[i].core);
    free(s->all);
}

static inline void write_set(const struct set *s, const char *path, bool backwards, uint8_t sha256[32]) {
    saggar_image_writer *w;
    assert_int_equal(saggar_image_writer_new(&w), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_provenance(w, "project", "pottery \xc3\xa9"), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_provenance(w, "revision", "17"), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_provenance(w, "project", "x"), SAGGAR_EEXISTS);
    for (unsigned i = 0; i < s->n; i++) {
        const struct made *m = &s->all[backwards ? s->n - 1 - i : i];
        assert_int_equal(saggar_image_writer_add(w, m->core, m->size), SAGGAR_OK);
    }
    assert_int_equal(saggar_image_writer_write(w, path, sha256), SAGGAR_OK);
    saggar_image_writer_free(w);
}

static inline int count_finding(void *context, int error, uint64_t row, const uint8_t *key,
                                const char *what) {
    assert_true(error != SAGGAR_OK && what[0] != '\0' && (row == SG_IMAGE_WHOLE) == (key == NULL));
    ++*(unsigned *)context;
    return 0;
}

struct seen {
    const struct set *set;
    uint8_t last[64];
    unsigned n, bad;
};

static inline int see(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                      size_t annex_size, const char *name) {
    struct seen *s = context;
    assert_true(annex == NULL && annex_size == 0 && name[0] == '\0');
    assert_true((error == SAGGAR_OK) == (view != NULL));
    s->n++;
    if (view == NULL) {
        s->bad++;
        return 0;
    }
    uint8_t now[64];
    memcpy(now, view->key, 32);
    memcpy(now + 32, view->identity, 32);
    assert_true(memcmp(now, s->last, 64) > 0);
    memcpy(s->last, now, 64);
    return 0;
}

/* Opens whatever lies at path and asks for everything; returns how many entries were served whole. */
static inline unsigned ask_all(const char *path, const struct set *s, unsigned *faults) {
    struct sg_tier *tier;
    struct sg_image_info info;
    unsigned good = 0;
    *faults = 0;
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    for (unsigned i = 0; i < s->n; i++) {
        struct faults f;
        good += find_good(tier, s->all[i].key, s->all, s->n, &f);
        *faults += f.n;
    }
    struct seen seen = {.set = s};
    tier->ops->each(tier, see, &seen);
    if (tier->active && sg_image_info(tier, &info) == SAGGAR_OK)
        assert_int_equal(saggar_value_check(info.provenance, info.provenance_size), SAGGAR_OK);
    else
        assert_true(tier->active || tier->note[0] != '\0');
    tier->ops->close(tier);
    return good;
}

#endif
