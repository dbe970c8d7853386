/*
 * What the shared objects in a tree require, read from their dynamic sections. The C library is required by
 * its newest version that is asked for; other libraries by name and versions (code/library.h), except those
 * that lie in the tree. What an object with a path of its own (RPATH, RUNPATH) needs of them is recorded and
 * never checked: where the entry is used it may be found there, whatever the rest of the system has.
 */
#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/dynamic.h"
#include "code/library.h"
#include "entry/entry.h"
#include "tree/tree.h"

enum { VERSIONS = 256 };

struct needs {
    saggar_draft *draft;
    char **own; /* names of files and links in the tree, sorted */
    size_t own_count;
    uint16_t machine; /* of all objects; EM_NONE: not yet known */
    bool mixed;
    unsigned long glibc[2]; /* the newest version */
    const struct sg_dynamic *object;
};

/* The versions of one library. */
struct versions {
    const char *soname;
    char *names[VERSIONS];
    size_t n;
};

static int compare(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* ---- The C library ---- */

static bool is_glibc(const char *soname) {
    static const char *const names[] = {"libc.so.6",
                                        "libm.so.6",
                                        "libpthread.so.0",
                                        "libdl.so.2",
                                        "librt.so.1",
                                        "libutil.so.1",
                                        "libresolv.so.2",
                                        "libmvec.so.1",
                                        "libanl.so.1",
                                        "ld-linux-x86-64.so.2",
                                        "ld-linux-aarch64.so.1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(soname, names[i]) == 0)
            return true;
    }
    return false;
}

/* Versions that are no numbers come to old releases too (GLIBC_ABI_...): the library is asked for the name,
 * as the linker asks it. A private one promises nothing, and is never there. */
static int note_glibc(void *context, const char *soname, const char *version) {
    struct needs *n = context;
    unsigned long major, minor;
    if (!is_glibc(soname))
        return 0;
    if (strcmp(version, "GLIBC_ABI_DT_RELR") == 0) { /* packed relocations: since 2.36 */
        major = 2, minor = 36;
    } else if (sscanf(version, "GLIBC_%lu.%lu", &major, &minor) != 2) {
        char *one[] = {(char *)(uintptr_t)version};
        return strcmp(version, "GLIBC_PRIVATE") == 0
                   ? saggar_draft_require_library(n->draft, "GLIBC_PRIVATE", "any")
                   : sg_draft_needed(n->draft, soname, one, 1, true);
    }
    if (major > n->glibc[0] || (major == n->glibc[0] && minor > n->glibc[1])) {
        n->glibc[0] = major;
        n->glibc[1] = minor;
    }
    return 0;
}

/* ---- Other libraries ---- */

static int note_version(void *context, const char *soname, const char *version) {
    struct versions *v = context;
    if (strcmp(soname, v->soname) != 0)
        return 0;
    if (v->n == VERSIONS)
        return SAGGAR_ELIMIT;
    v->names[v->n] = strdup(version);
    if (v->names[v->n] == NULL)
        return SAGGAR_ENOMEM;
    v->n++;
    return 0;
}

static int note_library(void *context, const char *soname) {
    struct needs *n = context;
    char path[PATH_MAX];
    struct versions v = {.soname = soname, .n = 0};
    if (is_glibc(soname) || strchr(soname, '/') != NULL ||
        (n->own_count > 0 && bsearch(&soname, n->own, n->own_count, sizeof *n->own, compare) != NULL))
        return 0;
    int err = sg_dynamic_versions_needed(n->object, note_version, &v);
    if (err == SAGGAR_OK) {
        /* With a path of its own the object may have it from there, elsewhere even if not here. */
        bool found = !sg_dynamic_has_path(n->object) && sg_library_find(soname, path, sizeof path) &&
                     sg_library_defines(path, (const char *const *)v.names, v.n, NULL);
        err = sg_draft_needed(n->draft, soname, v.names, v.n, found);
    }
    for (size_t i = 0; i < v.n; i++)
        free(v.names[i]);
    return err;
}

static int note_object(struct needs *n, const struct sg_node *node) {
    struct sg_dynamic d;
    int err = sg_dynamic_open(node->data, (size_t)node->size, &d);
    if (err != SAGGAR_OK) /* nothing that the dynamic linker would load */
        return SAGGAR_OK;
    n->mixed = n->mixed || (n->machine != EM_NONE && n->machine != d.machine);
    n->machine = d.machine;
    n->object = &d;
    err = sg_dynamic_versions_needed(&d, note_glibc, n);
    if (err == SAGGAR_OK)
        err = sg_dynamic_needed(&d, note_library, n);
    return err == SAGGAR_ECORRUPT ? SAGGAR_OK : err; /* not one that could be loaded either */
}

/* ---- The tree ---- */

static int note_names(const struct sg_tree *tree, struct needs *n) {
    struct sg_tree_walk walk;
    struct sg_node node;
    const char *why;
    n->own = calloc((size_t)tree->count + 1, sizeof *n->own);
    if (n->own == NULL)
        return SAGGAR_ENOMEM;
    sg_tree_walk(tree, &walk);
    while (sg_tree_next(&walk, &node, &why) == SAGGAR_OK) {
        if (node.kind == SG_NODE_DIRECTORY || strstr(node.name, ".so") == NULL)
            continue;
        n->own[n->own_count] = strdup(node.name);
        if (n->own[n->own_count] == NULL)
            return SAGGAR_ENOMEM;
        n->own_count++;
    }
    if (n->own_count > 1)
        qsort(n->own, n->own_count, sizeof *n->own, compare);
    return SAGGAR_OK;
}

static int note_result(struct needs *n) {
    char version[64];
    int err = SAGGAR_OK;
    saggar_arch arch = n->machine == EM_X86_64    ? SAGGAR_ARCH_X86_64
                       : n->machine == EM_AARCH64 ? SAGGAR_ARCH_AARCH64
                                                  : SAGGAR_ARCH_ANY;
    if (arch != SAGGAR_ARCH_ANY && !n->mixed && !sg_draft_requires(n->draft, SG_REQUIRE_ARCH))
        err = saggar_draft_require_arch(n->draft, arch, "linux-gnu");
    if (err == SAGGAR_OK && n->glibc[0] > 0) {
        snprintf(version, sizeof version, "%lu.%lu", n->glibc[0], n->glibc[1]);
        err = saggar_draft_require_library(n->draft, "GLIBC", version);
    }
    return err;
}

int sg_tree_needs(const struct sg_tree *tree, saggar_draft *draft) {
    struct needs n = {.draft = draft, .machine = EM_NONE};
    struct sg_tree_walk walk;
    struct sg_node node;
    const char *why;
    int err = note_names(tree, &n);
    sg_tree_walk(tree, &walk);
    while (err == SAGGAR_OK && sg_tree_next(&walk, &node, &why) == SAGGAR_OK) {
        if (node.kind == SG_NODE_FILE || node.kind == SG_NODE_EXECUTABLE)
            err = note_object(&n, &node);
    }
    if (err == SAGGAR_OK)
        err = note_result(&n);
    for (size_t i = 0; i < n.own_count; i++)
        free(n.own[i]);
    free(n.own);
    return err;
}
