/*
 * What differs between two recipes, by path: `source.reads.g`.
 *
 * Both recipes are whole and checked by the caller. Texts are escaped.
 */
#ifndef SG_CLI_DIFF_H
#define SG_CLI_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diff_item {
    char *path, *entry, *now; /* "absent" where one side has nothing */
};

struct diff {
    struct diff_item *item;
    size_t n;
    size_t fields;  /* top-level fields that differ */
    bool signature; /* the field `signature` differs */
    bool cut;       /* there is more than `item` holds */
};

/* False: one of them is no recipe. */
bool diff_recipes(const uint8_t *entry, size_t entry_size, const uint8_t *now, size_t now_size,
                  struct diff *out);
/* Which of two is nearer: negative, 0, positive as for qsort. The same signature first, then fields, then
 * places. */
int diff_compare(const struct diff *a, const struct diff *b);
void diff_free(struct diff *d);

#endif
