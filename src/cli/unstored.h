/*
 * What was compiled and not stored, by reason: for the summaries of `run` and `warm`.
 *
 * Texts are copied and not escaped.
 */
#ifndef SG_CLI_UNSTORED_H
#define SG_CLI_UNSTORED_H

#include <stdio.h>

#include "base/json.h"
#include "saggar/saggar.h"

struct unstored_row {
    saggar_reason reason;
    char *detail;
    uint64_t times;
    char **function; /* each once */
    size_t functions;
};

struct unstored {
    struct unstored_row *row;
    size_t n;
    uint64_t total;
    uint64_t uncacheable; /* marked for caching, and cannot be cached */
};

void unstored_add(struct unstored *u, saggar_reason reason, const char *detail, const char *group,
                  uint64_t times);
/* Adds all of `more`. */
void unstored_join(struct unstored *u, const struct unstored *more);
/* One line a reason, with the names of the first functions. */
void unstored_print(const struct unstored *u, FILE *file);
/* A list of objects. */
void unstored_json(const struct unstored *u, struct sg_json *json);
void unstored_free(struct unstored *u);

#endif
