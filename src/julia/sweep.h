/*
 * A depot's cache files, cleared of what nothing needs and of what killed builds left.
 *
 * Safe beside builds: nothing is removed that was written or used within a while (Julia touches a .ji when it
 * loads it, and a lock file every five seconds), a .ji goes before its machine code, and what others of us
 * write is waited for. Folders stay. Links are not followed.
 */
#ifndef SG_JULIA_SWEEP_H
#define SG_JULIA_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sg_swept {
    SG_SWEPT_TEMPORARY, /* what was being written: jl_XXXXXX, and our own */
    SG_SWEPT_LOCK,      /* a lock file whose owner is gone */
    SG_SWEPT_CODE,      /* machine code without its .ji */
    SG_SWEPT_DAMAGED, /* a .ji that no Julia loads: cut off, wrong checksum, machine code missing or wrong */
    SG_SWEPT_UNNEEDED,
    SG_SWEPT_OLD, /* beyond a bound */
    SG_SWEPT_KINDS
};

#define SG_SWEEP_UNBOUNDED UINT64_MAX

struct sg_sweep_options {
    const char *const *needed; /* absolute paths of .ji files, sorted by strcmp() */
    size_t n_needed;
    const char *version; /* "v1.11": there, what is not needed goes; NULL: nowhere */
    uint64_t litter_age; /* seconds; younger leftovers and damaged files stay */
    uint64_t min_age;    /* seconds; files used since stay, whatever else holds */
    uint64_t max_age;    /* seconds; what was not used for longer goes, unless it is needed */
    uint64_t max_bytes;  /* the longest unused go until the rest is no larger, unless they are needed */
    bool dry_run;
    /* Told of each that goes (or would). May be NULL. */
    void (*told)(void *context, enum sg_swept kind, const char *path, uint64_t bytes);
    void *context;
};

struct sg_sweep_stats {
    uint64_t files, bytes; /* .ji files that were there, with their machine code */
    uint64_t needed;       /* of them */
    uint64_t removed[SG_SWEPT_KINDS];
    uint64_t removed_bytes;
    uint64_t failed;
};

/* `compiled`: DEPOT/compiled, absolute. ENOTFOUND: there is none. ENOMEM; an error of the system. */
int sg_julia_sweep(const char *compiled, const struct sg_sweep_options *options,
                   struct sg_sweep_stats *stats);

/* "temporary file" and so on. Static. */
const char *sg_swept_word(enum sg_swept kind);

#endif
