/*
 * Byte-range locks on the `claims` file of a store, one descriptor per process and file.
 *
 * Closing any descriptor of that file would drop all locks that the process holds on it: so it is opened here
 * and nowhere else, once, and not closed while a lock is held.
 */
#ifndef SG_CACHE_LOCKFILE_H
#define SG_CACHE_LOCKFILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "entry/tier.h"

struct sg_held; /* of claims.c */

struct sg_lock_file {
    struct sg_lock_file *next;
    char *path;
    uint64_t dev, ino;
    int fd;
    bool closing;         /* a thread is about to close the descriptor, with all locks of the process */
    struct sg_held *held; /* the places that this process holds or is about to */
};

/*
 * The lock file of a store, made if need be. NULL: there can be none. `files` is the process's list, which
 * `mutex` guards: it is taken only where the list is looked at, not while the file system is asked. Of
 * several threads that open the file at once each but the last leaves a descriptor behind, because closing it
 * would drop the others' locks; so callers take turns, except where the file system may not answer.
 */
struct sg_lock_file *sg_lock_file_get(struct sg_lock_file **files, pthread_mutex_t *mutex,
                                      struct sg_tier *store);

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
/* The same for a descriptor that is known to be ours. */
void sg_unlock(int fd, uint64_t offset);

/* ---- claims_network.c: the same with a deadline, for stores on network file systems */

struct sg_lock_file *sg_claims_network_file(struct sg_lock_file **files, pthread_mutex_t *mutex,
                                            struct sg_tier *store);
/* Until `deadline` too; DEADLOCK if the server does not answer. `*waited`: another process had it. */
enum sg_lock_result sg_claims_network_lock(struct sg_tier *store, struct sg_lock_file *file, int fd,
                                           uint64_t offset, uint64_t deadline, bool *waited);
/* `last`: and closes the descriptor. */
void sg_claims_network_unlock(struct sg_tier *store, int fd, uint64_t offset, bool last);

#endif
