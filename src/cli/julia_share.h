/*
 * What `saggar julia run` does with a project beside running the command: restore, wait for others that
 * compile the same, keep what was compiled, and record all of it in the trail.
 */
#ifndef SG_CLI_JULIA_SHARE_H
#define SG_CLI_JULIA_SHARE_H

#include "cli/julia.h"
#include "cli/julia_watch.h"
#include "julia/restore.h"

struct share_claim {
    uint8_t key[SAGGAR_KEY_SIZE];
    saggar_claim *claim; /* NULL: given back */
};

struct share_restored {
    char *path, *tier;
};

struct share {
    const struct julia_options *options;
    const char *project;
    bool relocate;
    int64_t wait_ms; /* for others, in all */
    saggar_cache *cache;
    struct watch watch;
    struct share_claim *claim;
    size_t claims;
    struct share_restored *restored;
    size_t n_restored;
    char *depots; /* "JULIA_DEPOT_PATH=...", for the command; NULL: it stays as it is */
    char *doubt;  /* what cannot be proved, NULL for nothing */
    size_t compiled, stored, not_stored, used;
};

/* Restores what there is, and claims what is missing; what others compile meanwhile is waited for and
 * restored. 0, or an exit status after a message. */
int share_begin(struct share *s);
/* Keeps what is new; to be called now and then. */
void share_look(struct share *s);
/* The same at the end, and says in the trail what cannot be proved. `command`: what was run. */
void share_end(struct share *s, char *const *command);
void share_free(struct share *s);

#endif
