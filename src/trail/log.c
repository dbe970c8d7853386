/*
 * The misses log: what missed in ordinary runs, without SAGGAR_TRAIL. One write() per event to a file opened
 * for appending, so that processes do not mix; at 1 MiB it is renamed to `.1`, which replaces the older one. Where the
 * process that renames it is held up, the others append on, to 2 MiB at most.
 *
 * Nothing is kept open, and nothing is written into a directory that is not this user's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/file.h"
#include "base/hash.h"
#include "trail/trail.h"

enum { PATH_SIZE = 4096, PATIENCE_MS = 5000 };

/* Where the log is, as the environment had it: a call that comes back late asks the environment nothing. */
struct where {
    char dir[PATH_SIZE];  /* absolute paths only, as the XDG specification asks */
    char base[PATH_SIZE]; /* what must be this user's own */
    bool made;            /* the base too */
};

static bool find_dir(struct where *w) {
    const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
    w->made = state != NULL && state[0] == '/';
    const char *base = w->made ? state : home;
    if (base == NULL || base[0] != '/')
        return false;
    int n = snprintf(w->base, sizeof w->base, "%s", base);
    int m = snprintf(w->dir, sizeof w->dir, "%s%s/saggar", base, w->made ? "" : "/.local/state");
    return n < (int)sizeof w->base && m < (int)sizeof w->dir;
}

/* Under sudo HOME may be another user's: root's files there would lock that user out. */
static bool own_base(const struct where *w) {
    struct stat st;
    if (stat(w->base, &st) != 0)
        return w->made && errno == ENOENT;
    return st.st_uid == geteuid();
}

void sg_trail_log_path(char *out, size_t n) {
    struct where w;
    out[0] = '\0';
    if (!find_dir(&w) || !own_base(&w))
        return;
    int len = snprintf(out, n, "%s/misses.log", w.dir);
    if (len < 0 || (size_t)len >= n)
        out[0] = '\0';
}

/* Opens the log, in a directory that is this user's and writable by nobody else. */
static int open_log(const struct where *w, int *dirfd) {
    struct stat st;
    if (!own_base(w))
        return -1;
    *dirfd = open(w->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*dirfd < 0 && errno == ENOENT && sg_make_dirs(w->dir, 0700) == SAGGAR_OK)
        *dirfd = open(w->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*dirfd < 0)
        return -1;
    int fd = -1;
    if (fstat(*dirfd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
        fd = openat(*dirfd, "misses.log", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                    0600);
    if (fd < 0)
        close(*dirfd);
    return fd;
}

/* Sets a full log aside, if it still stands there under its name. The lock keeps a second process from doing
 * the same to the new log; whoever does not get it appends to the old one. */
static bool set_aside(int dirfd, int fd, const struct stat *st) {
    struct stat now;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return false;
    if (fstatat(dirfd, "misses.log", &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == st->st_ino &&
        now.st_dev == st->st_dev)
        renameat(dirfd, "misses.log", dirfd, "misses.log.1");
    return true;
}

enum room { NONE, FITS, FULL };

static enum room room_for(int dirfd, int fd, size_t n) {
    struct stat st;
    struct rlimit limit;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return NONE;
    if ((uint64_t)st.st_size + n > SG_TRAIL_LOG_MAX && set_aside(dirfd, fd, &st))
        return FULL;
    if (limit.rlim_cur != RLIM_INFINITY && (uint64_t)st.st_size + n > limit.rlim_cur)
        return NONE; /* SIGXFSZ would end the program */
    return (uint64_t)st.st_size > 2 * (uint64_t)SG_TRAIL_LOG_MAX ? NONE : FITS;
}

static bool append(const struct where *w, const unsigned char *bytes, size_t n) {
    bool done = false;
    enum room room = FULL;
    for (int i = 0; i < 4 && room == FULL; i++) {
        int dirfd, fd = open_log(w, &dirfd);
        if (fd < 0)
            break;
        room = room_for(dirfd, fd, n);
        if (room == FITS)
            done = write(fd, bytes, n) == (ssize_t)n;
        close(fd);
        close(dirfd);
    }
    return done;
}

/* ---- With a deadline, where a server may not answer ---- */

struct append_job {
    struct sg_job job;
    struct where where;
    bool done;
    size_t n;
    unsigned char bytes[];
};

static struct sg_watch watch;

static void run_append(struct sg_job *job) {
    struct append_job *j = (struct append_job *)job;
    j->done = append(&j->where, j->bytes, j->n);
}

static void drop(struct sg_job *job) {
    free(job);
}

/* Looked at once for each directory: where it lies does not change, and the look costs more than the log. */
static bool is_network(const char *dir) {
    static _Atomic uint64_t memo; /* a digest and, in the lowest bits, what is known of it */
    uint64_t digest = sg_xxh64(dir, strlen(dir)) & ~UINT64_C(3), known = atomic_load(&memo);
    if ((known & ~UINT64_C(3)) != digest || (known & 2) == 0) {
        known = digest | 2 | (sg_path_is_network(dir) ? 1 : 0);
        atomic_store(&memo, known);
    }
    return (known & 1) != 0;
}

bool sg_trail_log_append(const saggar_trail_event *event) {
    size_t n = sg_trail_size(event);
    struct append_job *j = malloc(sizeof *j + n);
    if (j == NULL)
        return false;
    j->job.run = run_append;
    j->job.drop = drop;
    j->done = false;
    j->n = n;
    sg_trail_put(j->bytes, event, (uint32_t)getpid());
    if (find_dir(&j->where)) {
        if (!is_network(j->where.dir))
            run_append(&j->job);
        else if (sg_job_run(&j->job, &watch, PATIENCE_MS) != SAGGAR_OK)
            return false;
    }
    bool done = j->done;
    free(j);
    return done;
}
