/*
 * The stack of tiers: what its files share.
 *
 * options.c  what the caller and the environment ask for
 * stack.c    which tiers there are, in which order
 * cache.c    open, find, publish
 * handle.c   entries and views: who keeps which bytes alive
 * select.c   which candidate is usable, and which is the best
 * libraries.c  do the system's libraries have what it needs
 * depend.c   do the dependencies of a candidate hold; files.c: the digests of files
 * aside.c    candidates that are not to be used again
 * claims.c   who compiles what; lockfile.c: its locks; claims_network.c: on network file systems
 * mapping.c  keys and values of any bytes, as entries; mapping_list.c: all of them
 *
 * A saggar_cache lives until it is closed and its last entry is released. Nothing but the claims takes a
 * lock: what changes is atomic, or a list that only grows at its head, so a fork at any moment leaves it
 * whole.
 */
#ifndef SG_CACHE_CACHE_H
#define SG_CACHE_CACHE_H

#include <saggar/saggar.h>

#include "entry/tier.h"

enum sg_mode { SG_MODE_OFF, SG_MODE_USE, SG_MODE_REQUIRE };

/* ---- options.c ---- */

/* Everything that decides how a cache is opened; strings are malloc'd or NULL. */
struct sg_settings {
    enum sg_mode mode;
    bool search; /* look for images in the well-known places */
    int64_t wait_ms;
    char *images;
    char *store;            /* NULL: none, for the reason in store_note if that is not NULL */
    const char *store_note; /* static */
    char *more;             /* further stores that are only read, separated by colons; NULL: none */
};
/* EINVAL: unknown value; `*what` (may be NULL) is then the name of the option or variable, static. */
int sg_settings_init(const saggar_cache_options *options, struct sg_settings *out, const char **what);
void sg_settings_free(struct sg_settings *s);

/* ---- stack.c ---- */

struct sg_slot {
    struct sg_tier *tier; /* NULL: left out before it was opened; then kind, path and note are ours */
    const char *kind;
    char *path;
    const char *note;
    bool exists; /* images: there is such a file, this one */
    uint64_t dev, ino;
};

struct sg_stack {
    struct sg_slot *slots;
    unsigned n;
    struct sg_tier *store; /* NULL: none, or not active */
};
int sg_stack_open(const struct sg_settings *settings, const char *prefix, bool read_only,
                  struct sg_stack *out);
void sg_stack_close(struct sg_stack *stack);

/* ---- handle.c ---- */

enum { SG_ENTRY_POOL = 64, SG_MEMO = 1024 };

struct saggar_entry {
    unsigned refs; /* the handle and each view */
    int pool;      /* place in the cache's pool, -1: malloc'd */
    saggar_cache *cache;
    struct sg_candidate candidate;
};

struct saggar_cache {
    unsigned refs; /* the handle and each entry */
    enum sg_mode mode;
    bool read_only;
    int64_t wait_ms;
    struct sg_stack stack;
    saggar_arch arch;
    saggar_features host;   /* what this processor runs, and what the caller vouches for */
    char *vouched;          /* "+a,+b": vouched names without an index, or NULL */
    struct sg_aside *aside; /* damaged candidates of this stack */
    uint64_t memo[SG_MEMO]; /* of select.c: image entries whose requirements are known to hold */
    unsigned faults;        /* events recorded, bounded */
    uint64_t pool_used;     /* one bit per entry */
    struct saggar_entry pool[SG_ENTRY_POOL];
};

void sg_cache_release(saggar_cache *cache);
/* A handle that takes over the candidate's hold. NULL: out of memory, and the candidate is released. */
saggar_entry *sg_handle_new(saggar_cache *cache, const struct sg_candidate *candidate);
/* The candidate turned out to be damaged: never again in this process, and gone from the store. */
void sg_candidate_damaged(saggar_cache *cache, struct sg_candidate *candidate);

/* For tests: what the processor is taken to have. */
void sg_cache_set_host(saggar_cache *cache, saggar_arch arch, const saggar_features *host);

/* ---- aside.c ---- */

struct sg_aside;
/* A candidate of one stack, because its bytes are bad. */
void sg_aside_add(struct sg_aside **list, const struct sg_candidate *candidate);
bool sg_aside_has(struct sg_aside *const *list, const struct sg_candidate *candidate);
void sg_aside_free(struct sg_aside **list);
/* An identity, for the whole process, because the compiler did not accept it. */
void sg_reject_add(const uint8_t identity[32]);
bool sg_reject_has(const uint8_t identity[32]);

/* ---- select.c ---- */

/* The most telling reason so far. */
struct sg_verdict {
    saggar_reason reason;
    char detail[SAGGAR_DETAIL_SIZE];
};
/* Keeps `reason` if it tells more than what is there. The detail is cut; NULL for none. */
void sg_verdict_add(struct sg_verdict *v, saggar_reason reason, const char *detail);

struct sg_lookup {
    saggar_cache *cache;
    unsigned tier;                   /* its number in the stack */
    const saggar_resolver *resolver; /* may be NULL */
    struct sg_verdict verdict;
};
/* The best usable candidate's index, or -1. */
int sg_select(struct sg_lookup *lookup, struct sg_candidate *candidates, unsigned n);

/* ---- libraries.c ---- */

/* True if the system's libraries have what a requirements section asks for; else the verdict says what is
 * missing. */
bool sg_libraries_hold(struct sg_lookup *lookup, const uint8_t *section, size_t size);

/* ---- depend.c ---- */

/* True if every dependency of the candidate holds; else the verdict says which one does not. `*any`: it has
 * some. */
bool sg_dependencies_hold(struct sg_lookup *lookup, struct sg_candidate *candidate, bool *any);

/* ---- depend_list.c ---- */

/* saggar_entry_dependencies() of a candidate's view. */
int sg_dependencies_each(const struct sg_entry_view *view,
                         int (*each)(void *context, const saggar_dependency *dependency), void *context);

/* ---- files.c ---- */

/* The digest of a file now. One stat per file and moment (see files.c). False: no regular file, or
 * unreadable. */
bool sg_file_digest(const char *path, uint64_t *size, uint8_t sha256[32]);

#endif
