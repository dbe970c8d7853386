/*
 * Trails that are kept below the state directory, so that `why` and `bake` can read them later.
 *
 *     $XDG_STATE_HOME/saggar/trails/<16 hex digits of the store's path>/<time>-<kind>-<pid>/
 *         about            what ran
 *         trail files, and a directory of them for each workload of a warm-up
 *     $XDG_STATE_HOME/saggar/trails/last    a link to the newest one
 *
 * Bounded: at the end of each run the oldest go. Where the state directory cannot be made or has no room for
 * a trail, trails lie in a temporary directory and are removed at the end.
 */
#ifndef SG_CLI_KEPT_H
#define SG_CLI_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_kept {
    char *work;          /* where the trails are recorded */
    char *home;          /* the kept directory; NULL: nothing is kept */
    bool temporary;      /* work is removed at the end */
    char *unkept;        /* why nothing is kept, NULL if something is */
    const char **before; /* trail files that lay in work before, sorted */
    size_t n_before;
};

/* The directory of state, malloc'd; NULL if there is none. */
char *cli_state_dir(void);

/*
 * Makes the directory for the trails of a command. `wanted` (--trail) or NULL; `store`: the store that is
 * used, or NULL for trails that bake never reads. 0, or an exit status after a message.
 */
int cli_kept_begin(const char *store, const char *kind, const char *wanted, const char *what,
                   struct cli_kept *out);
/* Why no trail can be written in `work` now, as after a disk was filled; malloc'd, NULL if one can. */
char *cli_kept_trouble(const struct cli_kept *kept);
/* What hindered trails of which so much was read, files that were not written whole and lost events; NULL:
 * nothing. */
char *cli_kept_hindered(const struct cli_kept *kept, size_t processes, size_t unreadable, uint64_t lost);
/* One line on stderr about why nothing is kept. */
void cli_unkept_note(const struct cli_kept *kept);
/* Whether a trail file lay there before. */
bool cli_kept_is_old(const struct cli_kept *kept, const char *file);
/* Shrinks the trails to what they hold, keeps them as the last ones, removes old ones and temporary ones.
 * With keep == false nothing is kept: the command did not run. */
void cli_kept_end(struct cli_kept *kept, bool keep);

/* The newest kept trails, and those of a store (its directory of directories); malloc'd, NULL if there are
 * none. */
char *cli_kept_last(void);
char *cli_kept_of_store(const char *store);
/* What the `about` file of a kept directory says, malloc'd, "" if there is none. Not escaped. */
char *cli_kept_about(const char *dir);

#endif
