/*
 * Locks of a store on a network file system; lockfile.h. Every call that goes to the server is a job with a
 * deadline (base/deadline.h). A lock is asked for again and again instead of waited for: a wait could not be
 * ended while the server is silent, and clients learn late, some only after half a minute, that one was
 * freed. Whatever comes too late is undone by the job itself.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cache/lockfile.h"
#include "store/store.h"

enum { FIRST_PAUSE_NS = 30 * 1000 * 1000, LAST_PAUSE_NS = 240 * 1000 * 1000 };

struct lock_job {
    struct sg_job job;
    struct sg_tier *store; /* held */
    struct sg_lock_file **files, *file;
    pthread_mutex_t *mutex;
    int fd;
    uint64_t offset;
    enum sg_lock_result result;
    bool last, taken; /* close the descriptor; somebody has the result */
};

static void drop(struct sg_job *job) {
    struct lock_job *j = (struct lock_job *)job;
    if (!j->taken && j->result == SG_LOCK_GOT)
        sg_lock_drop(j->file, j->offset); /* the descriptor may be another's by now: it is looked at */
    j->store->ops->close(j->store);
    free(j);
}

static struct lock_job *new_job(struct sg_tier *store, void (*run)(struct sg_job *job), int fd,
                                uint64_t offset) {
    struct lock_job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    j->job.run = run;
    j->job.drop = drop;
    j->store = store;
    j->fd = fd;
    j->offset = offset;
    j->result = SG_LOCK_TAKEN;
    sg_store_ref(store);
    return j;
}

/* ---- The file ---- */

static void run_get(struct sg_job *job) {
    struct lock_job *j = (struct lock_job *)job;
    j->file = sg_lock_file_get(j->files, j->mutex, j->store);
}

struct sg_lock_file *sg_claims_network_file(struct sg_lock_file **files, pthread_mutex_t *mutex,
                                            struct sg_tier *store) {
    struct lock_job *j = new_job(store, run_get, -1, 0);
    if (j == NULL)
        return NULL;
    j->files = files;
    j->mutex = mutex;
    if (sg_store_claim_job(store, &j->job) != SAGGAR_OK)
        return NULL;
    struct sg_lock_file *file = j->file;
    drop(&j->job);
    return file;
}

/* ---- The locks ---- */

static void run_try(struct sg_job *job) {
    struct lock_job *j = (struct lock_job *)job;
    j->result = sg_lock_try(j->fd, j->offset);
}

static enum sg_lock_result try_once(struct sg_tier *store, struct sg_lock_file *file, int fd,
                                    uint64_t offset) {
    struct lock_job *j = new_job(store, run_try, fd, offset);
    if (j == NULL)
        return SG_LOCK_DEADLOCK;
    j->file = file;
    if (sg_store_claim_job(store, &j->job) != SAGGAR_OK)
        return SG_LOCK_DEADLOCK; /* of no use to wait */
    enum sg_lock_result result = j->result;
    j->taken = true;
    drop(&j->job);
    return result;
}

enum sg_lock_result sg_claims_network_lock(struct sg_tier *store, struct sg_lock_file *file, int fd,
                                           uint64_t offset, uint64_t deadline, bool *waited) {
    for (long pause = FIRST_PAUSE_NS;; pause = pause < LAST_PAUSE_NS ? 2 * pause : pause) {
        enum sg_lock_result result = try_once(store, file, fd, offset);
        uint64_t now = sg_now_ns(CLOCK_MONOTONIC);
        if (result != SG_LOCK_TAKEN || now >= deadline)
            return result;
        *waited = true;
        uint64_t left = deadline - now;
        const struct timespec time = {0, left < (uint64_t)pause ? (long)left : pause};
        nanosleep(&time, NULL);
    }
}

static void run_unlock(struct sg_job *job) {
    struct lock_job *j = (struct lock_job *)job;
    if (j->fd >= 0)
        sg_unlock(j->fd, j->offset);
    if (j->fd >= 0 && j->last)
        close(j->fd);
}

void sg_claims_network_unlock(struct sg_tier *store, int fd, uint64_t offset, bool last) {
    struct lock_job *j = new_job(store, run_unlock, fd, offset);
    if (j == NULL)
        return;
    j->last = last;
    if (sg_store_release_job(store, &j->job) == SAGGAR_OK)
        drop(&j->job);
}
