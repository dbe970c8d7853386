/*
 * Entries for tests: entry (i, variant) has the same bytes wherever it is made. The key depends on i only;
 * the variant changes requirements and parts. Temporary folders that vanish with everything in them.
 */
#ifndef SG_TESTS_ENTRIES_H
#define SG_TESTS_ENTRIES_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "./base/remove.h"
#include "entry/entry.h"
#include "entry/tier.h"
#include "saggar/saggar.h"

struct made {
    uint8_t *core;
    size_t size;
    uint8_t key[32], identity[32];
};

#define NEED(x)                                                                                              \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* What the part `object` of an entry holds; n bytes. */
static inline void object_bytes(unsigned i, unsigned variant, uint8_t *out, size_t n) {
    uint64_t x = 0x9e3779b97f4a7c15u * (i + 1) + 77u * variant + 1;
    for (size_t k = 0; k < n; k++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[k] = (uint8_t)x;
    }
}

static inline void add_field(saggar_recipe *r, saggar_encoder *e, const char *name, unsigned value) {
    const uint8_t *bytes;
    size_t size;
    saggar_encoder_reset(e);
    if (strcmp(name, "adapter") == 0) {
        saggar_encode_begin(e, SAGGAR_TUPLE);
        saggar_encode_text(e, "test", 4);
        saggar_encode_int(e, 1);
        saggar_encode_end(e);
    } else {
        saggar_encode_int(e, value);
    }
    NEED(saggar_encoder_bytes(e, &bytes, &size) == SAGGAR_OK);
    NEED(saggar_recipe_field(r, name, bytes, size) == SAGGAR_OK);
}

static inline saggar_draft *make_draft(unsigned i, unsigned variant, saggar_arch arch, size_t object_size) {
    saggar_recipe *r;
    saggar_encoder *e;
    saggar_draft *d;
    const uint8_t *bytes;
    uint8_t key[32];
    size_t size;
    char name[32];
    NEED(saggar_recipe_new(&r) == SAGGAR_OK && saggar_encoder_new(&e) == SAGGAR_OK);
    add_field(r, e, "adapter", 0);
    add_field(r, e, "compiler", 7);
    add_field(r, e, "source", i);
    add_field(r, e, "options", 0);
    NEED(saggar_recipe_finish(r, key, &bytes, &size) == SAGGAR_OK);
    NEED(saggar_draft_new(bytes, size, &d) == SAGGAR_OK);
    snprintf(name, sizeof name, "function_%u", i);
    NEED(saggar_draft_group(d, "test", "module", name) == SAGGAR_OK);
    NEED(saggar_draft_require_arch(d, arch, "linux-gnu") == SAGGAR_OK);
    saggar_features set = {{variant, 0, 0, 0}};
    NEED(saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &set, NULL) == SAGGAR_OK);
    uint8_t *object = malloc(object_size + 1);
    NEED(object != NULL);
    object_bytes(i, variant, object, object_size);
    NEED(saggar_draft_part(d, "object", object, object_size) == SAGGAR_OK);
    NEED(saggar_draft_part(d, "meta", &variant, sizeof variant) == SAGGAR_OK);
    free(object);
    saggar_encoder_free(e);
    saggar_recipe_free(r);
    return d;
}

static inline struct made make_entry(unsigned i, unsigned variant, saggar_arch arch, size_t object_size) {
    struct made m;
    struct sg_entry_view v;
    saggar_draft *d = make_draft(i, variant, arch, object_size);
    NEED(saggar_draft_encode(d, &m.core, &m.size, m.identity) == SAGGAR_OK);
    saggar_draft_free(d);
    NEED(sg_entry_open(m.core, m.size, NULL, &v) == SAGGAR_OK);
    memcpy(m.key, v.key, 32);
    return m;
}

/* True if a candidate's parts can be read and are those that were published; false if it is refused. Anything
 * else ends the test. */
static inline bool parts_good(const struct sg_entry_view *v, const struct made *m,
                              enum sg_strength strength) {
    struct sg_entry_view whole;
    NEED(sg_entry_open(m->core, m->size, NULL, &whole) == SAGGAR_OK);
    NEED(memcmp(v->key, m->key, 32) == 0);
    NEED(memcmp(v->identity, m->identity, 32) == 0);
    NEED(v->sections == whole.sections);
    for (uint32_t i = 0; i < v->sections; i++) {
        struct sg_section a, b;
        const uint8_t *x, *y;
        uint8_t *own_x = NULL, *own_y = NULL;
        size_t n, k;
        sg_entry_section(v, i, &a);
        sg_entry_section(&whole, i, &b);
        if (sg_entry_bytes(v, &a, strength, &x, &n, &own_x) != SAGGAR_OK)
            return false;
        NEED(sg_entry_bytes(&whole, &b, SG_FULL, &y, &k, &own_y) == SAGGAR_OK);
        NEED(a.kind == b.kind && n == k && memcmp(x, y, n) == 0);
        free(own_x);
        free(own_y);
    }
    return true;
}

/* ---- Files
 * -----------------------------------------------------------------------------------------------------------
 */

static inline char *make_folder(void) {
    const char *tmp = getenv("TMPDIR");
    char *path;
    NEED(asprintf(&path, "%s/saggar-test-XXXXXX", tmp != NULL ? tmp : "/tmp") > 0);
    NEED(mkdtemp(path) != NULL);
    return path;
}

static inline void remove_folder(char *path) {
    remove_tree(path);
    free(path);
}

static inline char *join(const char *folder, const char *name) {
    char *path;
    NEED(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

static inline uint8_t *read_file(const char *path, size_t *size) {
    struct stat st;
    int fd = open(path, O_RDONLY);
    NEED(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *data = malloc((size_t)st.st_size + 1);
    NEED(data != NULL && read(fd, data, (size_t)st.st_size) == st.st_size);
    close(fd);
    *size = (size_t)st.st_size;
    return data;
}

static inline void write_file(const char *path, const void *data, size_t size) {
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    NEED(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

/* Number of names in a folder that begin with `lead`; "." and ".." do not count. */
static inline unsigned count_names(const char *folder, const char *lead) {
    unsigned n = 0;
    struct dirent *d;
    DIR *dir = opendir(folder);
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            n += strncmp(d->d_name, lead, strlen(lead)) == 0;
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* ---- Faults
 * ----------------------------------------------------------------------------------------------------------
 */

struct faults {
    unsigned n;
    saggar_reason last;
    char detail[SAGGAR_DETAIL_SIZE];
};

static inline void note_fault(void *context, saggar_reason reason, const char *detail) {
    struct faults *f = context;
    f->n++;
    f->last = reason;
    snprintf(f->detail, sizeof f->detail, "%s", detail);
}

/* Finds, checks every candidate against `all` (count of them) and gives it back. The number that was served
 * whole. */
static inline unsigned find_good(struct sg_tier *tier, const uint8_t key[32], const struct made *all,
                                 unsigned count, struct faults *f) {
    struct sg_candidate out[SAGGAR_MAX_SLOTS];
    unsigned n, good = 0;
    memset(f, 0, sizeof *f);
    NEED(tier->ops->find(tier, key, out, &n, note_fault, f) == SAGGAR_OK);
    for (unsigned i = 0; i < n; i++) {
        const struct made *m = NULL;
        for (unsigned k = 0; k < count; k++) {
            if (memcmp(all[k].identity, out[i].view.identity, 32) == 0)
                m = &all[k];
        }
        NEED(m != NULL && memcmp(m->key, key, 32) == 0);
        good += parts_good(&out[i].view, m, SG_FAST);
        tier->ops->release(&out[i]);
    }
    return good;
}

#endif
