/*
 * What differs between two recipes, in the compiler's own words.
 */
#ifndef SG_CLI_DIFF_H
#define SG_CLI_DIFF_H

#include <stddef.h>
#include <stdint.h>

struct diff_item {
    char *path;      /* "source.reads.g", malloc'd, not escaped */
    char *was, *now; /* both values for people, malloc'd; NULL: it is not there */
};

struct diff {
    struct diff_item *item;
    size_t n;
    size_t weight; /* how far apart: a differing signature counts for many */
};

/* Compares recipe bytes that are both whole; `was` is the entry's. A recipe that cannot be read differs in everything. */
void diff_recipes(const void *was, size_t was_size, const void *now, size_t now_size, struct diff *out);
void diff_free(struct diff *diff);

#endif
