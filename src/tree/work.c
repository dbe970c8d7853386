/*
 * Where trees lie, and directories to work in. Each directory is judged by the ownership rule before anything
 * in it is used; a place from which nothing may be run, or that cannot be written, is passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "cache/cache.h"
#include "tree/tree.h"
#include "trust/trust.h"

enum { MINUTE = 60, ROOM = 64 << 20, INODES = 256 };

/* ---- The places ---- */

static int add(struct sg_places *p, const char *base, const char *tail) {
    if (base == NULL || base[0] != '/')
        return SAGGAR_OK;
    if (asprintf(&p->paths[p->n], "%s%s", base, tail) < 0)
        return SAGGAR_ENOMEM;
    p->n++;
    return SAGGAR_OK;
}

static int add_store(struct sg_places *p, const struct sg_store *store) {
    unsigned at = p->n;
    int err = add(p, store->root, "/v1/trees");
    if (p->n > at) {
        p->store = (struct sg_tier *)(uintptr_t)store;
        p->in_store = at;
    }
    return err;
}

/* Beside the default store, not in it: that may be one that is only read, and a new one is known by being
 * empty. */
int sg_home_place(char **out) {
    const char *base = secure_getenv("XDG_CACHE_HOME"), *tail = "/saggar-trees";
    *out = NULL;
    if (base == NULL || base[0] != '/') {
        base = sg_home_is_foreign() ? NULL : secure_getenv("HOME");
        tail = "/.cache/saggar-trees";
    }
    if (base == NULL || base[0] != '/')
        return SAGGAR_OK;
    if (asprintf(out, "%s%s", base, tail) < 0) {
        *out = NULL;
        return SAGGAR_ENOMEM;
    }
    return SAGGAR_OK;
}

static int add_home(struct sg_places *p) {
    int err = sg_home_place(&p->paths[p->n]);
    p->n += err == SAGGAR_OK && p->paths[p->n] != NULL;
    return err;
}

/* On this machine's own disk, for this user alone: where the usual places lie on a network. */
int sg_local_place(char **out) {
    const char *base = secure_getenv("TMPDIR");
    if (base == NULL || base[0] != '/' || sg_path_is_network(base))
        base = "/tmp";
    if (asprintf(out, "%s/saggar-trees-%lu", base, (unsigned long)geteuid()) >= 0)
        return SAGGAR_OK;
    *out = NULL;
    return SAGGAR_ENOMEM;
}

/* On a network file system nothing is placed unless that was named: the files would be mapped and run from
 * there, and another machine could take them away. `at`: the first to be asked. */
static int drop_network(struct sg_places *p, unsigned at, bool any) {
    unsigned kept = at;
    for (unsigned i = at; i < p->n; i++) {
        if (sg_path_is_network(p->paths[i])) {
            free(p->paths[i]);
            any = true;
        } else {
            p->paths[kept++] = p->paths[i];
        }
    }
    p->n = kept;
    int err = any ? sg_local_place(&p->paths[p->n]) : SAGGAR_OK;
    p->n += any && err == SAGGAR_OK;
    return err;
}

int sg_places_of(const saggar_cache *cache, struct sg_places *out) {
    const struct sg_store *store = cache->read_only ? NULL : (const struct sg_store *)cache->stack.store;
    const char *named = secure_getenv("SAGGAR_TREES");
    *out = (struct sg_places){.n = 0};
    if (named != NULL && named[0] == '/')
        return add(out, named, "");
    bool far = store != NULL && store->network;
    int err = store != NULL && !far ? add_store(out, store) : SAGGAR_OK;
    unsigned known = out->n;
    if (err == SAGGAR_OK)
        err = add(out, secure_getenv("XDG_RUNTIME_DIR"), "/saggar/trees");
    if (err == SAGGAR_OK && store == NULL && cache->mode != SG_MODE_OFF) /* off: never placed */
        err = add_home(out);
    return err == SAGGAR_OK ? drop_network(out, known, far) : err;
}

void sg_places_free(struct sg_places *places) {
    for (unsigned i = 0; i < places->n; i++)
        free(places->paths[i]);
    places->n = 0;
}

static int check(const char *path) {
    struct sg_trust_verdict verdict;
    int err = sg_trust_check(path, NULL, &verdict);
    return (err == SAGGAR_OK || err == SAGGAR_ENOTFOUND) && !verdict.trusted ? SAGGAR_EUNTRUSTED : err;
}

int sg_place_open(const struct sg_places *places, unsigned i, int *fd) {
    const char *path = places->paths[i];
    struct statvfs fs;
    int err = check(path);
    if (err == SAGGAR_ENOTFOUND) {
        err = places->store != NULL && places->in_store == i ? sg_store_make(places->store) : SAGGAR_OK;
        if (err == SAGGAR_OK)
            err = sg_make_dirs(path, 0700);
        if (err == SAGGAR_OK)
            err = check(path);
    }
    if (err != SAGGAR_OK)
        return err;
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return sg_err_from_errno(errno);
    if (fstatvfs(*fd, &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0) {
        close(*fd);
        return SAGGAR_EUNSUPPORTED;
    }
    return SAGGAR_OK;
}

/* ---- Work ---- */

/* Less is left than a build may need: what fails here for want of room would succeed elsewhere. */
static bool is_crowded(int fd) {
    struct statvfs fs;
    if (fstatvfs(fd, &fs) != 0 || fs.f_frsize == 0 || fs.f_blocks == 0)
        return false;
    return fs.f_bavail < ROOM / fs.f_frsize || (fs.f_files > 0 && fs.f_favail < INODES);
}

/* A new directory with "tree" in it. */
static int make_work(int dirfd, const char *path, const char *prefix, struct sg_work *out) {
    char name[SG_TEMP_NAME_MAX];
    int err = sg_temp_name(name, prefix);
    if (err == SAGGAR_OK && asprintf(&out->path, "%s/%s", path, name) < 0)
        err = SAGGAR_ENOMEM, out->path = NULL;
    if (err == SAGGAR_OK && asprintf(&out->tree, "%s/tree", out->path) < 0)
        err = SAGGAR_ENOMEM, out->tree = NULL;
    if (err != SAGGAR_OK || mkdirat(dirfd, name, 0700) != 0) {
        err = err != SAGGAR_OK ? err : sg_err_from_errno(errno);
        free(out->path);
        free(out->tree);
        *out = (struct sg_work){NULL, NULL, -1};
        return err;
    }
    out->lock = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out->lock < 0 || (flock(out->lock, LOCK_SH | LOCK_NB), mkdirat(out->lock, "tree", 0700)) != 0) {
        err = sg_err_from_errno(errno);
        sg_work_close(out);
    }
    return err;
}

/* In a directory where everybody may make files; what it makes belongs to nobody else. */
static int open_public(const char *base, int *fd) {
    struct statvfs fs;
    if (base == NULL || base[0] != '/')
        return SAGGAR_ENOTFOUND;
    *fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return sg_err_from_errno(errno);
    if (fstatvfs(*fd, &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0) {
        close(*fd);
        return SAGGAR_EUNSUPPORTED;
    }
    return SAGGAR_OK;
}

static int work_in(int fd, const char *base, bool public, struct sg_work *out) {
    const char *prefix = public ? SG_TREE_PRIVATE : SG_TREE_TEMP;
    struct sg_tree_swept swept;
    int err = make_work(fd, base, prefix, out);
    if (err != SAGGAR_OK)
        return err;
    if (public && (err = check(out->path)) != SAGGAR_OK)
        sg_work_close(out);
    else
        sg_tree_sweep(fd, prefix, MINUTE, false, &swept);
    return err;
}

int sg_work_open(const struct sg_places *places, unsigned *from, struct sg_work *out) {
    const char *bases[] = {secure_getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"};
    unsigned n = places->n + sizeof bases / sizeof bases[0];
    int first = SAGGAR_EACCESS; /* ENOTFOUND would say something of an entry */
    *out = (struct sg_work){NULL, NULL, -1};
    while (*from < 2 * n) { /* first where there is room, then where there is little */
        bool second = *from >= n;
        unsigned i = (*from)++ % n;
        bool public = i >= places->n;
        const char *base = public ? bases[i - places->n] : places->paths[i];
        int fd, err = public ? open_public(base, &fd) : sg_place_open(places, i, &fd);
        if (err == SAGGAR_OK) {
            bool now = is_crowded(fd) == second;
            err = now ? work_in(fd, base, public, out) : SAGGAR_EACCESS;
            close(fd);
        }
        if (err == SAGGAR_OK || err == SAGGAR_ENOMEM)
            return err;
        if (first == SAGGAR_EACCESS)
            first = err == SAGGAR_ENOTFOUND ? SAGGAR_EACCESS : err;
    }
    return first;
}

void sg_work_close(struct sg_work *work) {
    if (work->path != NULL)
        (void)sg_tree_remove(AT_FDCWD, work->path);
    if (work->lock >= 0)
        close(work->lock);
    free(work->path);
    free(work->tree);
    *work = (struct sg_work){NULL, NULL, -1};
}
