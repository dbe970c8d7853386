/*
 * The workloads of a warm-up: from a plan file, from arguments, or one command after `--`.
 *
 * A plan file has one shell command a line, optionally `NAME: ` before it; empty lines and lines that begin
 * with `#` say nothing. Names are unique and fit for file names.
 */
#ifndef SG_CLI_PLAN_H
#define SG_CLI_PLAN_H

#include <stdbool.h>
#include <stddef.h>

struct workload {
    char *name;
    char *text;  /* the command for people */
    char **argv; /* ends with NULL */
};

struct plan {
    struct workload *item;
    size_t n;
};

/* Each adds workloads; 0, or an exit status after a message. */
int plan_file(struct plan *plan, const char *path);
int plan_shell(struct plan *plan, const char *command);
int plan_argv(struct plan *plan, char *const *argv);
/* From `first` on: a single word that is no command is most likely a forgotten `--`. */
int plan_check(const struct plan *plan, size_t first);
void plan_free(struct plan *plan);

#endif
