/*
 * Placing: a tree appears under its name whole or not at all. It is written beside, under a temporary name
 * that no other process picks, and renamed; a name that is taken is never replaced, because a directory with
 * something in it cannot be. What lies there is compared with the packed bytes before it is given out; what
 * was changed is moved away first, unless somebody holds it.
 *
 * Processes that want the same tree at once let one of them write it: a lock on the directory of trees,
 * waited for a bounded time, and never needed for a right result.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "tree/tree.h"

enum { ATTEMPTS = 8, LOCK_TRIES = 2000, LOCK_PAUSE_NS = 5000000, TOUCH_AGE = 600, MINUTE = 60 };

struct place {
    int dir; /* of trees */
    char name[2 * SG_SHA256_SIZE + 1];
    const struct sg_tree *tree;
    char *detail;
    bool written; /* by us */
    bool refused; /* what was found last is not the tree */
};

bool sg_tree_is_named(int dirfd, const char *name, int fd) {
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Ends a lock too that a child has, which another thread forked meanwhile. */
static void unlock_and_close(int fd) {
    (void)flock(fd, LOCK_UN);
    close(fd);
}

/* Collectors go by it. Not at each use: a write per hit would be too much. */
static void touch(int fd) {
    struct stat st;
    time_t now = time(NULL);
    if (fstat(fd, &st) == 0 && (st.st_mtim.tv_sec > now || now - st.st_mtim.tv_sec > TOUCH_AGE))
        (void)futimens(fd, NULL);
}

/* Moves away what is not the tree. EBUSY: somebody uses it. */
static int take_away(const struct place *p, int fd) {
    char temp[SG_TEMP_NAME_MAX];
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return SAGGAR_EBUSY;
    if (!sg_tree_is_named(p->dir, p->name, fd))
        return SAGGAR_ENOTFOUND;
    int err = sg_temp_name(temp, SG_TREE_TEMP);
    if (err == SAGGAR_OK && renameat(p->dir, p->name, p->dir, temp) != 0)
        err = sg_err_from_errno(errno);
    if (err == SAGGAR_OK)
        (void)sg_tree_remove(p->dir, temp);
    return err == SAGGAR_OK ? SAGGAR_ENOTFOUND : err;
}

/* A directory that was made unreadable is made readable again, and then compared like any other. */
static int open_named(const struct place *p) {
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd = openat(p->dir, p->name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(p->dir, p->name, 0555, AT_SYMLINK_NOFOLLOW) == 0)
        fd = openat(p->dir, p->name, flags);
    return fd;
}

/* What lies under the name: open, held and compared. ENOTFOUND: nothing, or nothing any more. */
static int find(struct place *p, int *out) {
    struct stat st;
    p->refused = false;
    int fd = open_named(p);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return unlinkat(p->dir, p->name, 0) == 0 ? SAGGAR_ENOTFOUND : sg_err_from_errno(errno);
    if (fd < 0)
        return sg_err_from_errno(errno);
    int err = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK ? SAGGAR_ENOTFOUND : SAGGAR_OK;
    if (err == SAGGAR_OK && !sg_tree_is_named(p->dir, p->name, fd)) /* collected just before it was locked */
        err = SAGGAR_ENOTFOUND;
    if (err == SAGGAR_OK && fstat(fd, &st) != 0)
        err = sg_err_from_errno(errno);
    if (err == SAGGAR_OK) {
        bool usable = (st.st_mode & (S_IRUSR | S_IXUSR)) == (S_IRUSR | S_IXUSR);
        err = usable && sg_store_owner_ok(&st) ? sg_tree_compare(p->tree, fd, p->detail) : SAGGAR_ECORRUPT;
        p->refused = err == SAGGAR_ECORRUPT;
        if (p->refused)
            err = take_away(p, fd);
    }
    if (err != SAGGAR_OK) {
        unlock_and_close(fd);
        return err;
    }
    touch(fd);
    *out = fd;
    return SAGGAR_OK;
}

/* Writes the tree beside and gives it its name. OK too if somebody else was first: then it is not `ours`. */
static int write_new(const struct place *p, bool *ours) {
    char temp[SG_TEMP_NAME_MAX];
    int err = sg_temp_name(temp, SG_TREE_TEMP);
    *ours = false;
    if (err != SAGGAR_OK)
        return err;
    if (mkdirat(p->dir, temp, 0700) != 0)
        return sg_err_from_errno(errno);
    int fd = openat(p->dir, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        err = sg_err_from_errno(errno);
    } else {
        (void)flock(fd, LOCK_SH | LOCK_NB);
        err = sg_tree_write(p->tree, fd, p->detail);
        if (err == SAGGAR_OK && fchmod(fd, 0555) != 0)
            err = sg_err_from_errno(errno);
    }
    bool named = err == SAGGAR_OK && renameat(p->dir, temp, p->dir, p->name) == 0;
    if (err == SAGGAR_OK && !named && errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
        err = sg_err_from_errno(errno);
    if (!named)
        (void)sg_tree_remove(p->dir, temp);
    if (fd >= 0)
        unlock_and_close(fd);
    *ours = named;
    return err;
}

/* Until somebody else has written the tree, or the lock is ours, or the time is over. */
static int wait_for_writer(struct place *p, int *out) {
    const struct timespec pause = {0, LOCK_PAUSE_NS};
    for (int i = 0; i < LOCK_TRIES; i++) {
        bool ours = flock(p->dir, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
        int err = find(p, out);
        if (ours || err != SAGGAR_ENOTFOUND)
            return err;
        nanosleep(&pause, NULL);
    }
    return SAGGAR_ENOTFOUND;
}

static int place_in(const struct sg_places *places, unsigned i, struct place *p, int *out) {
    struct sg_tree_swept swept;
    int err = sg_place_open(places, i, &p->dir);
    if (err != SAGGAR_OK)
        return err;
    err = find(p, out);
    if (err == SAGGAR_ENOTFOUND)
        err = wait_for_writer(p, out);
    for (int k = 0; k < ATTEMPTS && err == SAGGAR_ENOTFOUND; k++) {
        bool ours;
        err = write_new(p, &ours);
        p->written = p->written || err == SAGGAR_OK;
        sg_tree_sweep(p->dir, SG_TREE_TEMP, MINUTE, false, &swept);
        if (err == SAGGAR_OK)
            err = find(p, out);
        if (err == SAGGAR_ENOTFOUND && ours && p->refused)
            err = SAGGAR_EUNSUPPORTED; /* what is written here does not stay what it is */
    }
    unlock_and_close(p->dir);
    return err;
}

/* No place will have it: a copy for this handle alone, in the first directory that takes all of it. */
static int place_privately(const struct sg_places *places, struct place *p, saggar_tree **out) {
    struct sg_work work;
    int first = SAGGAR_OK;
    for (unsigned from = 0;;) {
        int err = sg_work_open(places, &from, &work);
        if (err != SAGGAR_OK)
            return first != SAGGAR_OK && err != SAGGAR_ENOMEM ? first : err;
        int fd = open(work.tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        err = fd < 0 ? sg_err_from_errno(errno) : sg_tree_write(p->tree, fd, p->detail);
        if (err == SAGGAR_OK && fchmod(fd, 0555) != 0)
            err = sg_err_from_errno(errno);
        if (fd >= 0)
            close(fd);
        if (err == SAGGAR_OK) {
            *out = sg_tree_private(&work);
            return *out == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
        }
        sg_work_close(&work);
        if (err == SAGGAR_ECORRUPT || err == SAGGAR_ENOMEM)
            return err;
        if (first == SAGGAR_OK)
            first = err == SAGGAR_ENOTFOUND ? SAGGAR_EACCESS : err; /* the directory went away */
    }
}

int sg_tree_place(const struct sg_places *places, const struct sg_tree *tree, const uint8_t sha256[32],
                  saggar_tree **out, char *detail) {
    struct place p = {.tree = tree, .detail = detail};
    sg_hex(p.name, sha256, SG_SHA256_SIZE);
    for (unsigned i = 0; i < places->n; i++) {
        char *path;
        int lock, err = place_in(places, i, &p, &lock);
        if (err == SAGGAR_ENOMEM)
            return err;
        if (err != SAGGAR_OK)
            continue;
        if (p.written)
            sg_trees_gc_auto(places->paths[i], sha256);
        if (asprintf(&path, "%s/%s", places->paths[i], p.name) < 0) {
            close(lock);
            return SAGGAR_ENOMEM;
        }
        *out = sg_tree_shared(path, lock);
        return *out == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
    }
    return place_privately(places, &p, out);
}
