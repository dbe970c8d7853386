/*
 * What the trails below a directory say, in memory.
 *
 * Trails are read from the directory itself and from its sub-directories (a warm-up has one for each
 * workload). A file that is not a whole trail is counted, never fatal.
 */
#ifndef SG_CLI_EVENTS_H
#define SG_CLI_EVENTS_H

#include "trail/trail.h"

/* Calls the visitor for every trail file below dir, at most 4 levels deep. ENOTFOUND: no such directory. */
int cli_trails_read(const char *dir, const struct sg_trail_visitor *visitor);

struct cli_process {
    uint32_t pid, ppid, origin;
    uint64_t start, opened;
    bool active;     /* an adapter is active in it */
    bool importing;  /* it began to import a compiler, and nothing came after that */
    bool closed;     /* it ended its trail in good order */
    char *inactive;  /* why an adapter turned itself off, NULL if none did */
    char *adapters;  /* names and versions, NULL if there are none */
    char *name;      /* its command line, for people; not escaped */
    uint64_t *files; /* when each of its trail files was opened, nanoseconds since 1970 */
    size_t n_files, events;
};

struct cli_compiled {
    size_t process;
    char *group, *signature;
    char *detail; /* of the miss, or why it was not stored; "" if there is none */
    bool has_key;
    uint8_t key[SAGGAR_KEY_SIZE];
    uint32_t flags;
    saggar_reason reason; /* of the miss before it, or why it was not stored */
    double seconds;
    size_t nested; /* compilations that ran inside it */
    size_t root;   /* the one that it ran inside of, SIZE_MAX: none */
};

struct cli_miss {
    size_t process;     /* SIZE_MAX: from the misses log */
    saggar_event event; /* MISS, NOT_STORED or FAULT */
    char *group, *detail;
    bool has_key;
    uint8_t key[SAGGAR_KEY_SIZE];
    uint32_t flags;
    saggar_reason reason;
    uint64_t time;
    uint8_t *recipe; /* NULL if the event carries none */
    size_t recipe_size;
};

struct cli_events {
    struct cli_process *process;
    size_t processes;
    struct cli_compiled *compiled;
    size_t compilations;
    struct cli_miss *miss;
    size_t misses;
    uint64_t counts[16];
    uint64_t lost; /* events that could not be recorded */
    size_t files, torn, unreadable;
    struct cli_served {
        char *tier;
        uint64_t hits;
    } * served; /* tiers that served, in the order in which they did first */
    size_t tiers;
    bool want_misses;        /* set before loading: keep the misses with their recipes */
    const char *const *skip; /* names of files that are not to be read, sorted; NULL: none */
    size_t n_skip;
};

/* Adds what the trails below dir say. ENOTFOUND: no such directory (nothing is added). */
int cli_events_load(const char *dir, struct cli_events *events);
/* Adds the misses of the log; ENOTFOUND if there is none. */
int cli_events_load_log(const char *path, struct cli_events *events);
void cli_events_free(struct cli_events *events);

/* Names of the trail files below dir, sorted; malloc'd. */
const char **cli_trail_names(const char *dir, size_t *n);

#endif
