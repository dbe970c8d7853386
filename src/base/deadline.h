/*
 * Calls that may never come back, made on a thread of their own.
 *
 * A file system whose server does not answer keeps a call for ever, and nothing but the end of the process
 * gets it out. So such a call is made on a helper thread: whoever asked waits for a bounded time, and goes on
 * without it. The helper then owns the job, and takes it away when the call comes back at last. A watch
 * counts the calls that are out; while there is one nobody else needs to ask.
 *
 * Nothing here survives a fork but the watch, which knows whose calls it counts.
 */
#ifndef SG_BASE_DEADLINE_H
#define SG_BASE_DEADLINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** The process and how many of its calls are out: one word, so that no lock is needed. Zero: none. */
struct sg_watch {
    _Atomic uint64_t state;
};

/** True if a call of this process is out. */
bool sg_watch_is_stuck(struct sg_watch *watch);

/** The first member of a malloc'd struct that holds all that the call reads and writes. */
struct sg_job {
    void (*run)(struct sg_job *job);  /**< makes the call; on the helper */
    void (*drop)(struct sg_job *job); /**< frees the struct, with results that nobody took */
    struct sg_watch *watch;           /**< lives until the job is dropped */
    /* Private. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    _Atomic unsigned ticks;
    bool done, left;
};

/**
 * Runs the job. OK: it has run; the results are the caller's, who drops the job. ETIMEOUT: `patience`
 * milliseconds have passed without a tick, or another call is out already; the job is not the caller's any
 * more. Where there can be no thread it runs here, however long it takes.
 */
int sg_job_run(struct sg_job *job, struct sg_watch *watch, uint64_t patience);

/** Starts the job and leaves it at once, also while other calls are out: for what must be done whenever the
 * file system answers again. Where there can be no thread it is dropped. */
void sg_job_leave(struct sg_job *job, struct sg_watch *watch);

/** Called by what a job does, where it gets on: the patience begins anew. Does nothing outside of jobs. */
void sg_job_tick(void);

#endif
