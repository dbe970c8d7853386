/*
 * Byte-range locks; lockfile.h.
 *
 * POSIX locks, because the kernel drops them when their owner ends, a forked child does not inherit them
 * (flock's and open-file-description locks live on in it), and F_SETLKW tells when two processes would wait
 * for each other. F_SETLKW knows no time limit and a library must not use signals, so it blocks in a thread
 * that is cancelled and joined at the deadline. A program that has closed our descriptor lost its locks,
 * which costs a second compile; that the number may now be another file is found by its inode before each
 * use.
 */
#include "cache/lockfile.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store.h"

enum { STACK = 256 * 1024, POLL_NS = 10 * 1000 * 1000, PATH_SIZE = 4096 };

/* From what is known of the file: no file system is asked. */
static bool still_open(const struct sg_lock_file *f) {
    struct statx st;
    return f->fd >= 0 && statx(f->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
           st.stx_ino == f->ino && makedev(st.stx_dev_major, st.stx_dev_minor) == f->dev;
}

static struct sg_lock_file *find(struct sg_lock_file *files, const struct stat *st) {
    while (files != NULL && (files->ino != st->st_ino || files->dev != st->st_dev))
        files = files->next;
    return files;
}

static int open_file(struct sg_tier *store, const char *path, struct stat *st) {
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, flags, 0600);
    if (fd < 0 && errno == ENOENT && sg_store_make(store) == SAGGAR_OK)
        fd = open(path, flags, 0600);
    if (fd >= 0 && fd <= 2) { /* a program without standard streams: keep out of their places */
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
        close(low);
    }
    if (fd >= 0 && (fstat(fd, st) != 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The store was removed and made again: its old file is of no use once nothing is held there. */
static void close_replaced(struct sg_lock_file *files, const char *path) {
    for (; files != NULL; files = files->next) {
        if (files->held == NULL && strcmp(files->path, path) == 0 && still_open(files)) {
            close(files->fd);
            files->fd = -1;
        }
    }
}

/* Takes over the descriptor of the file that `st` describes. NULL: out of memory, and it is closed. */
static struct sg_lock_file *add_file(struct sg_lock_file **files, const char *path, int fd,
                                     const struct stat *st) {
    struct sg_lock_file *f = find(*files, st);
    if (f == NULL) {
        f = calloc(1, sizeof *f);
        if (f == NULL || (f->path = strdup(path)) == NULL) {
            free(f);
            close(fd);
            return NULL;
        }
        f->dev = st->st_dev;
        f->ino = st->st_ino;
        f->fd = -1;
        f->next = *files;
        *files = f;
    }
    if (!still_open(f)) /* else there are two descriptors, and neither may be closed */
        f->fd = fd;
    return f;
}

struct sg_lock_file *sg_lock_file_get(struct sg_lock_file **files, pthread_mutex_t *mutex,
                                      struct sg_tier *store) {
    char path[PATH_SIZE];
    struct stat st;
    struct sg_lock_file *f = NULL;
    if (snprintf(path, sizeof path, "%s/v1/claims", store->path) >= (int)sizeof path)
        return NULL;
    bool there = stat(path, &st) == 0;
    pthread_mutex_lock(mutex);
    if (there)
        f = find(*files, &st);
    if (f != NULL && !still_open(f))
        f = NULL;
    if (f == NULL && !sg_store_is_network(store)) /* there, closing may not come back */
        close_replaced(*files, path);
    pthread_mutex_unlock(mutex);
    if (f != NULL)
        return f;
    int fd = open_file(store, path, &st);
    if (fd < 0)
        return NULL;
    pthread_mutex_lock(mutex);
    f = add_file(files, path, fd, &st);
    pthread_mutex_unlock(mutex);
    return f;
}

static int lock_call(int fd, int command, short type, uint64_t offset) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = 1};
    int result;
    do {
        result = fcntl(fd, command, &range);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

static enum sg_lock_result result_of(int err) {
    switch (err) {
    case 0:
        return SG_LOCK_GOT;
    case EACCES:
    case EAGAIN:
        return SG_LOCK_TAKEN;
    case EDEADLK:
        return SG_LOCK_DEADLOCK;
    default:
        return SG_LOCK_NONE;
    }
}

enum sg_lock_result sg_lock_try(int fd, uint64_t offset) {
    return result_of(lock_call(fd, F_SETLK, F_WRLCK, offset));
}

void sg_unlock(int fd, uint64_t offset) {
    lock_call(fd, F_SETLK, F_UNLCK, offset);
}

void sg_lock_drop(const struct sg_lock_file *file, uint64_t offset) {
    if (still_open(file))
        sg_unlock(file->fd, offset);
}

/* ---- Waiting ---- */

struct job {
    int fd;
    uint64_t offset;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    int err;
};

static void *blocked(void *arg) {
    struct job *job = arg;
    int old, err = lock_call(job->fd, F_SETLKW, F_WRLCK, job->offset); /* the only cancellation point */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    pthread_mutex_lock(&job->mutex);
    job->done = true;
    job->err = err;
    pthread_cond_signal(&job->changed);
    pthread_mutex_unlock(&job->mutex);
    return NULL;
}

static struct timespec to_timespec(uint64_t ns) {
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

/* glibc ends the process if a thread is cancelled where this library cannot be loaded. */
static bool can_cancel(void) {
    static int known; /* 0: not yet looked */
    int now = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (now == 0) {
        now = dlopen("libgcc_s.so.1", RTLD_LAZY) != NULL ? 1 : -1; /* kept: cancelling needs it */
        __atomic_store_n(&known, now, __ATOMIC_RELAXED);
    }
    return now > 0;
}

static bool start_thread(struct job *job, pthread_t *thread) {
    pthread_attr_t attr;
    sigset_t all, before;
    if (!can_cancel() || pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(thread, &attr, blocked, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err == 0;
}

/* Without a thread: asks again and again, and does not see that two wait for each other. */
static enum sg_lock_result poll_lock(int fd, uint64_t offset, uint64_t deadline) {
    const struct timespec pause = {0, POLL_NS};
    for (;;) {
        enum sg_lock_result result = sg_lock_try(fd, offset);
        if (result != SG_LOCK_TAKEN || sg_now_ns(CLOCK_MONOTONIC) >= deadline)
            return result;
        nanosleep(&pause, NULL);
    }
}

enum sg_lock_result sg_lock_wait(int fd, uint64_t offset, uint64_t deadline) {
    struct job job = {.fd = fd, .offset = offset, .mutex = PTHREAD_MUTEX_INITIALIZER};
    const struct timespec until = to_timespec(deadline);
    pthread_condattr_t attr;
    pthread_t thread;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&job.changed, &attr);
    pthread_condattr_destroy(&attr);
    if (!start_thread(&job, &thread)) {
        pthread_cond_destroy(&job.changed);
        return poll_lock(fd, offset, deadline);
    }
    int err = 0;
    pthread_mutex_lock(&job.mutex);
    while (!job.done && err != ETIMEDOUT)
        err = pthread_cond_timedwait(&job.changed, &job.mutex, &until);
    bool done = job.done;
    pthread_mutex_unlock(&job.mutex);
    if (!done)
        pthread_cancel(thread);
    pthread_join(thread, NULL);
    pthread_cond_destroy(&job.changed);
    if (job.done) /* perhaps after the deadline: so much the better */
        return result_of(job.err);
    sg_unlock(fd, offset); /* cancelled, perhaps just when the lock came */
    return SG_LOCK_TAKEN;
}
