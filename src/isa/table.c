/* Look-ups in the generated tables. Names are compared without case and separators, as gen.py's key() does.
 */
#include "isa/table.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 64 };

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* False if the name is too long to be any. */
static bool make_key(char key[KEY_MAX], const char *name, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (name[i] == '\0') {
            return false;
        }
        if (strchr("-_.: ", name[i]) != NULL) {
            continue;
        }
        if (n == KEY_MAX - 1) {
            return false;
        }
        key[n++] = lower(name[i]);
    }
    key[n] = '\0';
    return n > 0;
}

const struct sg_isa_table *sg_isa_table(saggar_arch arch) {
    switch (arch) {
    case SAGGAR_ARCH_X86_64:
        return &sg_isa_x86_64;
    case SAGGAR_ARCH_AARCH64:
        return &sg_isa_aarch64;
    case SAGGAR_ARCH_ANY:
    case SAGGAR_ARCH_OTHER:
        break;
    }
    return NULL;
}

static int compare_names(const void *key, const void *row) {
    return strcmp(key, ((const struct sg_isa_name *)row)->key);
}

static int compare_models(const void *key, const void *row) {
    return strcmp(key, ((const struct sg_isa_model *)row)->name);
}

/* Tuning hints and the like are known by pattern, in lower case but with their separators. */
static bool matches_pattern(const struct sg_isa_table *table, const char *name, size_t size) {
    char text[KEY_MAX];
    if (size >= sizeof text) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = lower(name[i]);
    }
    text[size] = '\0';
    for (size_t i = 0; i < table->n_patterns; i++) {
        if (fnmatch(table->patterns[i], text, FNM_NOESCAPE) == 0) {
            return true;
        }
    }
    return false;
}

bool sg_isa_find_feature(const struct sg_isa_table *table, const char *name, size_t size, int32_t *value) {
    char key[KEY_MAX];
    if (!make_key(key, name, size)) {
        return false;
    }
    const struct sg_isa_name *row =
        bsearch(key, table->names, table->n_names, sizeof table->names[0], compare_names);
    if (row != NULL) {
        *value = row->value;
        return true;
    }
    if (matches_pattern(table, name, size)) {
        *value = SG_ISA_DROPPED;
        return true;
    }
    return false;
}

const struct sg_isa_model *sg_isa_find_model(const struct sg_isa_table *table, const char *name,
                                             size_t size) {
    char key[KEY_MAX];
    if (!make_key(key, name, size)) {
        return NULL;
    }
    return bsearch(key, table->models, table->n_models, sizeof table->models[0], compare_models);
}
