/*
 * The misses log: what missed in ordinary runs, without SAGGAR_TRAIL. One write() per event to a file opened
 * for appending, so that processes do not mix; at 1 MiB it is renamed to `.1`, which replaces the older one.
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

#include "base/file.h"
#include "trail/trail.h"

enum { PATH_SIZE = 4096 };

/* The directory: absolute paths only, as the XDG specification asks. */
static bool state_dir(char *out, size_t n) {
    const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
    int len;
    if (state != NULL && state[0] == '/')
        len = snprintf(out, n, "%s/saggar", state);
    else if (home != NULL && home[0] == '/')
        len = snprintf(out, n, "%s/.local/state/saggar", home);
    else
        return false;
    return len > 0 && (size_t)len < n;
}

/* Under sudo HOME may be another user's: root's files there would lock that user out. */
static bool own_base(void) {
    const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
    const char *base = state != NULL && state[0] == '/' ? state : home;
    struct stat st;
    if (base == NULL || stat(base, &st) != 0)
        return base != NULL && base == state && errno == ENOENT;
    return st.st_uid == geteuid();
}

void sg_trail_log_path(char *out, size_t n) {
    char dir[PATH_SIZE];
    out[0] = '\0';
    if (!state_dir(dir, sizeof dir) || !own_base())
        return;
    int len = snprintf(out, n, "%s/misses.log", dir);
    if (len < 0 || (size_t)len >= n)
        out[0] = '\0';
}

/* Opens the log, in a directory that is this user's and writable by nobody else. */
static int open_log(int *dirfd) {
    char dir[PATH_SIZE];
    struct stat st;
    if (!state_dir(dir, sizeof dir) || !own_base())
        return -1;
    *dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*dirfd < 0 && errno == ENOENT && sg_make_dirs(dir, 0700) == SAGGAR_OK)
        *dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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

bool sg_trail_log_append(const saggar_trail_event *event) {
    size_t n = sg_trail_size(event);
    unsigned char *bytes = malloc(n);
    bool done = false;
    if (bytes == NULL)
        return false;
    sg_trail_put(bytes, event, (uint32_t)getpid());
    enum room room = FULL;
    for (int i = 0; i < 4 && room == FULL; i++) {
        int dirfd, fd = open_log(&dirfd);
        if (fd < 0)
            break;
        room = room_for(dirfd, fd, n);
        if (room == FITS)
            done = write(fd, bytes, n) == (ssize_t)n;
        close(fd);
        close(dirfd);
    }
    free(bytes);
    return done;
}
