/* What was not stored, by reason; see unstored.h. */
#include "cli/unstored.h"

#include <stdlib.h>
#include <string.h>

#include "cli/out.h"

enum { NAMES_SHOWN = 3, ROWS_SHOWN = 10 };

static struct unstored_row *row_of(struct unstored *u, saggar_reason reason, const char *detail) {
    for (size_t i = 0; i < u->n; i++) {
        if (u->row[i].reason == reason && strcmp(u->row[i].detail, detail) == 0)
            return &u->row[i];
    }
    struct unstored_row *r = out_grow(&u->row, &u->n, sizeof *r);
    *r = (struct unstored_row){.reason = reason, .detail = out_strdup(detail)};
    return r;
}

static void add_function(struct unstored_row *r, const char *group) {
    for (size_t i = 0; i < r->functions; i++) {
        if (strcmp(r->function[i], group) == 0)
            return;
    }
    char **slot = out_grow(&r->function, &r->functions, sizeof *slot);
    *slot = out_strdup(group);
}

void unstored_add(struct unstored *u, saggar_reason reason, const char *detail, const char *group,
                  uint64_t times) {
    struct unstored_row *r = row_of(u, reason, detail);
    r->times += times;
    u->total += times;
    u->uncacheable += reason == SAGGAR_REASON_UNCACHEABLE ? times : 0;
    add_function(r, group);
}

void unstored_join(struct unstored *u, const struct unstored *more) {
    for (size_t i = 0; i < more->n; i++) {
        const struct unstored_row *r = &more->row[i];
        for (size_t k = 0; k < r->functions; k++)
            unstored_add(u, r->reason, r->detail, r->function[k], k == 0 ? r->times : 0);
    }
}

static void print_row(const struct unstored_row *r, FILE *file) {
    char *times = out_count(r->times, "time", "times");
    fprintf(file, "saggar: %s, %s: %s",
            r->reason == SAGGAR_REASON_UNCACHEABLE ? "marked for caching and cannot be cached" : "not stored",
            times, saggar_reason_text(r->reason));
    free(times);
    if (r->detail[0] != '\0') {
        fputs(" (", file);
        out_put(file, r->detail);
        fputc(')', file);
    }
    for (size_t i = 0; i < r->functions && i < NAMES_SHOWN; i++) {
        fputs(i == 0 ? ": " : ", ", file);
        out_put(file, r->function[i]);
    }
    if (r->functions > NAMES_SHOWN)
        fprintf(file, " and %zu more", r->functions - NAMES_SHOWN);
    fputc('\n', file);
}

void unstored_print(const struct unstored *u, FILE *file) {
    for (size_t i = 0; i < u->n && i < ROWS_SHOWN; i++)
        print_row(&u->row[i], file);
    if (u->n > ROWS_SHOWN) {
        char *more = out_count(u->n - ROWS_SHOWN, "reason", "reasons");
        fprintf(file, "saggar: and for %s more; `saggar why` lists all\n", more);
        free(more);
    }
}

void unstored_json(const struct unstored *u, struct sg_json *json) {
    sg_json_array(json);
    for (size_t i = 0; i < u->n; i++) {
        const struct unstored_row *r = &u->row[i];
        sg_json_object(json);
        sg_json_key(json, "reason");
        sg_json_str(json, saggar_reason_word(r->reason));
        sg_json_key(json, "detail");
        sg_json_str(json, r->detail);
        sg_json_key(json, "times");
        sg_json_uint(json, r->times);
        sg_json_key(json, "functions");
        sg_json_array(json);
        for (size_t k = 0; k < r->functions; k++)
            sg_json_str(json, r->function[k]);
        sg_json_array_end(json);
        sg_json_object_end(json);
    }
    sg_json_array_end(json);
}

void unstored_free(struct unstored *u) {
    for (size_t i = 0; i < u->n; i++) {
        for (size_t k = 0; k < u->row[i].functions; k++)
            free(u->row[i].function[k]);
        free(u->row[i].function);
        free(u->row[i].detail);
    }
    free(u->row);
    *u = (struct unstored){0};
}
