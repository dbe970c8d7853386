/*
 * Removing trees, and what was never finished. Read-only directories are made writable first; no link is
 * followed, and nothing outside of the directory is touched whatever somebody puts into it meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "tree/tree.h"

enum { MINUTE = 60, DAY = 86400, ROUNDS = 3 };

static bool remove_in(int dirfd, unsigned depth) {
    struct dirent *d;
    bool gone = true;
    DIR *dir = sg_store_opendir(dirfd, ".");
    if (dir == NULL)
        return false;
    while ((d = readdir(dir)) != NULL) {
        const char *name = d->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
            continue;
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) { /* a directory without read permission, which a build may leave */
            (void)fchmodat(dirfd, name, 0700, AT_SYMLINK_NOFOLLOW);
            fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd >= 0) {
            (void)fchmod(fd, 0700);
            gone = depth < 4 * SG_TREE_DEPTH && remove_in(fd, depth + 1) && gone;
            close(fd);
        }
        gone = (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) && gone;
    }
    closedir(dir);
    return gone;
}

bool sg_tree_remove(int dirfd, const char *name) {
    for (int i = 0; i < ROUNDS; i++) { /* a process that was a child of the build may still write */
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return errno == ENOENT || unlinkat(dirfd, name, 0) == 0;
        (void)fchmod(fd, 0700);
        bool empty = remove_in(fd, 0);
        close(fd);
        if (empty && (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT))
            return true;
    }
    return false;
}

/* Whoever works in an unfinished tree holds a lock on it, where the file system has locks. */
static bool is_held(int dirfd, const char *name, bool *locks) {
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool got = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    bool held = fd >= 0 && !got && errno == EWOULDBLOCK;
    *locks = got || held;
    if (got)
        (void)flock(fd, LOCK_UN); /* which a child that was forked meanwhile would keep */
    if (fd >= 0)
        close(fd);
    return held;
}

static bool is_litter(int dirfd, const char *name, const char *prefix, const char host[9], uint64_t age) {
    struct stat st;
    bool locks;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_uid != geteuid())
        return false;
    time_t now = time(NULL);
    uint64_t old = st.st_mtim.tv_sec >= now ? 0 : (uint64_t)(now - st.st_mtim.tv_sec);
    int alive = sg_temp_owner(name, prefix, host);
    if (old < (alive < 0 ? DAY : age) || (S_ISDIR(st.st_mode) && is_held(dirfd, name, &locks)))
        return false;
    return alive <= 0 || (S_ISDIR(st.st_mode) && locks && old >= MINUTE);
}

void sg_tree_sweep(int dirfd, const char *prefix, uint64_t age, bool dry_run, struct sg_tree_swept *out) {
    struct dirent *d;
    char host[9];
    DIR *dir = sg_store_opendir(dirfd, ".");
    if (dir == NULL)
        return;
    sg_host_tag(host);
    while ((d = readdir(dir)) != NULL) {
        if (!sg_temp_is(d->d_name, prefix) || !is_litter(dirfd, d->d_name, prefix, host, age))
            continue;
        if (dry_run || sg_tree_remove(dirfd, d->d_name))
            out->litter++;
        else
            out->failed++;
    }
    closedir(dir);
}
