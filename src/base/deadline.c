/* Jobs with a deadline; deadline.h. The only state is each job's own, and each watch's. */
#include "base/deadline.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "saggar/saggar.h"

enum { STACK = 1024 * 1024 };

static _Thread_local struct sg_job *current;

/* ---- The watch: the process in the upper half, its calls in the lower ---- */

bool sg_watch_is_stuck(struct sg_watch *watch) {
    uint64_t state = atomic_load_explicit(&watch->state, memory_order_acquire);
    return (uint32_t)state != 0 && state >> 32 == (uint64_t)getpid();
}

/* What a parent's threads count is no call of this process. */
static void count(struct sg_watch *watch, int change) {
    uint64_t own = (uint64_t)getpid() << 32, old = atomic_load(&watch->state), new;
    do {
        uint64_t calls = old >> 32 == own >> 32 ? (uint32_t)old : 0;
        if (change < 0 && calls == 0)
            return;
        new = own | (uint32_t)(calls + (uint64_t)(int64_t)change);
    } while (!atomic_compare_exchange_weak(&watch->state, &old, new));
}

/* ---- Jobs ---- */

void sg_job_tick(void) {
    if (current != NULL)
        atomic_fetch_add_explicit(&current->ticks, 1, memory_order_relaxed);
}

static void *helper(void *arg) {
    struct sg_job *job = arg;
    current = job;
    job->run(job);
    current = NULL;
    pthread_mutex_lock(&job->mutex);
    job->done = true;
    bool left = job->left;
    pthread_cond_signal(&job->changed);
    pthread_mutex_unlock(&job->mutex);
    if (left) {
        count(job->watch, -1);
        job->drop(job);
    }
    return NULL;
}

static bool start(struct sg_job *job, struct sg_watch *watch, bool left, pthread_t *thread) {
    pthread_attr_t attr;
    pthread_condattr_t clock;
    sigset_t all, before;
    job->watch = watch;
    job->done = false;
    job->left = left;
    atomic_init(&job->ticks, 0);
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, STACK);
    pthread_mutex_init(&job->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&job->changed, &clock);
    pthread_condattr_destroy(&clock);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(thread, &attr, helper, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err == 0;
}

/* With the mutex held, until the job is done or has not got on for so long. */
static bool wait_for(struct sg_job *job, uint64_t patience) {
    unsigned seen = 0;
    uint64_t until = sg_now_ns(CLOCK_MONOTONIC) + patience * UINT64_C(1000000);
    while (!job->done) {
        const struct timespec time = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
        if (pthread_cond_timedwait(&job->changed, &job->mutex, &time) != ETIMEDOUT || job->done)
            continue;
        unsigned ticks = atomic_load_explicit(&job->ticks, memory_order_relaxed);
        if (ticks == seen)
            return false;
        seen = ticks;
        until = sg_now_ns(CLOCK_MONOTONIC) + patience * UINT64_C(1000000);
    }
    return true;
}

int sg_job_run(struct sg_job *job, struct sg_watch *watch, uint64_t patience) {
    pthread_t thread;
    int before;
    if (sg_watch_is_stuck(watch)) {
        job->drop(job);
        return SAGGAR_ETIMEOUT;
    }
    if (!start(job, watch, false, &thread)) {
        job->run(job);
        return SAGGAR_OK;
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&job->mutex);
    bool done = wait_for(job, patience);
    if (!done) {
        job->left = true;
        count(watch, 1);
    }
    pthread_mutex_unlock(&job->mutex); /* from here on a job that was left is the helper's */
    if (done)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread);
    pthread_setcancelstate(before, &before);
    return done ? SAGGAR_OK : SAGGAR_ETIMEOUT;
}

void sg_job_leave(struct sg_job *job, struct sg_watch *watch) {
    pthread_t thread;
    count(watch, 1);
    if (start(job, watch, true, &thread)) {
        pthread_detach(thread);
    } else {
        count(watch, -1);
        job->drop(job);
    }
}
