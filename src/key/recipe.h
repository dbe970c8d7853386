/* Recipes (docs/FORMAT.md section 3): what the library needs beyond saggar.h. */
#ifndef SG_KEY_RECIPE_H
#define SG_KEY_RECIPE_H

#include <stddef.h>
#include <stdint.h>

#include "key/value.h"

#define SG_RECIPE_HEADER 16u

/** One field. All pointers into the recipe's bytes; the name has no final zero. */
struct sg_recipe_field {
    const char *name;
    size_t name_size;
    const uint8_t *value;
    size_t value_size;
};

/** Checks the header; the cursor then stands at the first of `count` fields. ECORRUPT, EVERSION. */
int sg_recipe_open(const void *bytes, size_t size, struct sg_cursor *c, uint32_t *count);
/** The field at the cursor. ECORRUPT, ELIMIT. */
int sg_recipe_next(struct sg_cursor *c, struct sg_recipe_field *out);
/** All of section 3: names, mandatory fields, values, nothing behind them. */
int sg_recipe_check(const void *bytes, size_t size);

#endif
