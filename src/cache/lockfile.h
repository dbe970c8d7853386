/*
 * Byte-range locks on the `claims` file of a store, one descriptor per process and file.
 *
 * Closing any descriptor of that file would drop all locks that the process holds on it: so it is opened here
 * and nowhere else, once, and not closed while a lock is held. Calls are serialised by claims.c, except for
 * the waiting.
 */
#ifndef SG_CACHE_LOCKFILE_H
#define SG_CACHE_LOCKFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "entry/tier.h"

struct sg_held; /* of claims.c */

struct sg_lock_file {
    struct sg_lock_file *next;
    char *path;
    uint64_t dev, ino;
    int fd;
    struct sg_held *held; /* the places that this process holds or is about to */
};

/* The lock file of a store, made if need be. NULL: there can be none. `files` is the process's list. */
struct sg_lock_file *sg_lock_file_get(struct sg_lock_file **files, struct sg_tier *store);

enum sg_lock_result {
    SG_LOCK_GOT,
    SG_LOCK_TAKEN,    /* by another process; or it was, until the deadline */
    SG_LOCK_DEADLOCK, /* its owner waits for us */
    SG_LOCK_NONE      /* no locks on this file system */
};
enum sg_lock_result sg_lock_try(int fd, uint64_t offset);
/* Waits until `deadline` (CLOCK_MONOTONIC, nanoseconds). */
enum sg_lock_result sg_lock_wait(int fd, uint64_t offset, uint64_t deadline);
void sg_lock_drop(const struct sg_lock_file *file, uint64_t offset);

#endif
