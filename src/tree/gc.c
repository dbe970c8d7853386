/*
 * Collecting finished trees: those that were not used for long, and the ones unused longest where there is
 * too much; and what was never finished. A tree that somebody holds stays. One that goes is first renamed, so
 * that nobody finds half of it. Last use is the time of the directory, which is set at most every ten
 * minutes.
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
#include "trust/trust.h"

enum { DAY = 86400, IDLE = 30 * DAY, NAME = 2 * SG_SHA256_SIZE + 1 };

struct found {
    char name[NAME];
    uint64_t age, size;
};

struct collect {
    int dir;
    time_t now;
    const struct sg_gc_options *options;
    struct sg_trees_stats *stats;
    struct found *found;
    size_t n, room;
};

/* Sums the files below a directory. */
static uint64_t size_in(int at, const char *name, unsigned depth) {
    struct dirent *d;
    struct stat st;
    uint64_t bytes = 0;
    DIR *dir = depth > SG_TREE_DEPTH + 1 ? NULL : sg_store_opendir(at, name);
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        int fd = dirfd(dir);
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bytes += S_ISDIR(st.st_mode) ? size_in(fd, d->d_name, depth + 1) : (uint64_t)st.st_size;
    }
    if (dir != NULL)
        closedir(dir);
    return bytes;
}

static int add(struct collect *c, const char *name) {
    uint8_t digest[SG_SHA256_SIZE];
    struct stat st;
    if (!sg_unhex(digest, sizeof digest, name, strlen(name)) ||
        fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return SAGGAR_OK;
    if (c->n == c->room) {
        size_t room = c->room == 0 ? 64 : 2 * c->room;
        struct found *more = reallocarray(c->found, room, sizeof *more);
        if (more == NULL)
            return SAGGAR_ENOMEM;
        c->found = more;
        c->room = room;
    }
    struct found *f = &c->found[c->n++];
    memcpy(f->name, name, NAME);
    f->age = st.st_mtim.tv_sec >= c->now ? 0 : (uint64_t)(c->now - st.st_mtim.tv_sec);
    f->size = size_in(c->dir, name, 0);
    c->stats->trees++;
    c->stats->bytes += f->size;
    return SAGGAR_OK;
}

static int look(struct collect *c) {
    struct dirent *d;
    int err = SAGGAR_OK;
    DIR *dir = sg_store_opendir(c->dir, ".");
    if (dir == NULL)
        return sg_err_from_errno(errno);
    while (err == SAGGAR_OK && (d = readdir(dir)) != NULL)
        err = add(c, d->d_name);
    closedir(dir);
    return err;
}

static int by_age(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    return x->age != y->age ? (x->age > y->age ? -1 : 1) : strcmp(x->name, y->name);
}

/* Moves the tree away if nobody holds it, under the lock that makes others look again. */
static bool take(struct collect *c, const struct found *f, char temp[SG_TEMP_NAME_MAX]) {
    int fd = openat(c->dir, f->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ours = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!ours)
        ours = errno != EWOULDBLOCK && f->age >= DAY; /* no locks here */
    c->stats->held += !ours;
    /* Replaced just before it was locked: what lies there now may be somebody's. */
    bool taken = ours && sg_tree_is_named(c->dir, f->name, fd);
    if (taken && !c->options->dry_run)
        taken = sg_temp_name(temp, SG_TREE_TEMP) == SAGGAR_OK && renameat(c->dir, f->name, c->dir, temp) == 0;
    (void)flock(fd, LOCK_UN); /* which a child that was forked meanwhile would keep */
    close(fd);
    return taken;
}

static void remove_excess(struct collect *c) {
    uint64_t left = c->stats->bytes;
    char temp[SG_TEMP_NAME_MAX];
    if (c->n > 1)
        qsort(c->found, c->n, sizeof *c->found, by_age);
    for (size_t i = 0; i < c->n; i++) {
        const struct found *f = &c->found[i];
        bool old = c->options->max_age != SG_GC_UNBOUNDED && f->age > c->options->max_age;
        if (!old && left <= c->options->max_bytes)
            break; /* the rest is younger */
        if (!take(c, f, temp))
            continue;
        c->stats->failed += !c->options->dry_run && !sg_tree_remove(c->dir, temp);
        left -= f->size;
        c->stats->removed_trees++;
        c->stats->removed_bytes += f->size;
    }
}

int sg_trees_gc(const char *path, const struct sg_gc_options *options, struct sg_trees_stats *stats) {
    struct collect c = {.now = time(NULL), .options = options, .stats = stats};
    struct sg_tree_swept swept = {0, 0};
    memset(stats, 0, sizeof *stats);
    int err = sg_trust_path(path, NULL, 0);
    if (err != SAGGAR_OK)
        return err;
    c.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c.dir < 0)
        return sg_err_from_errno(errno);
    sg_tree_sweep(c.dir, SG_TREE_TEMP, options->litter_age < 60 ? options->litter_age : 60, options->dry_run,
                  &swept);
    err = look(&c);
    if (err == SAGGAR_OK)
        remove_excess(&c);
    stats->litter = swept.litter;
    stats->failed += swept.failed;
    free(c.found);
    close(c.dir);
    return err;
}

static void add_stats(struct sg_trees_stats *sum, const struct sg_trees_stats *one) {
    sum->trees += one->trees;
    sum->bytes += one->bytes;
    sum->removed_trees += one->removed_trees;
    sum->removed_bytes += one->removed_bytes;
    sum->litter += one->litter;
    sum->failed += one->failed;
    sum->held += one->held;
}

/* One place; takes over the path, which may be NULL. */
static int add_place(char *path, const struct sg_gc_options *options, struct sg_trees_stats *sum) {
    struct sg_trees_stats one;
    if (path == NULL)
        return SAGGAR_ENOTFOUND;
    int err = sg_trees_gc(path, options, &one);
    free(path);
    add_stats(sum, &one);
    return err;
}

static int join(const char *base, const char *tail, char **out) {
    *out = NULL;
    if (base == NULL || asprintf(out, "%s%s", base, tail) >= 0)
        return SAGGAR_OK;
    *out = NULL;
    return SAGGAR_ENOMEM;
}

/* A variable's value, if it is an absolute path. */
static const char *folder(const char *variable) {
    const char *value = secure_getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

int sg_trees_gc_all(const char *store, const struct sg_gc_options *options, struct sg_trees_stats *stats) {
    char *paths[5];
    memset(stats, 0, sizeof *stats);
    int errors[] = {join(store, "/v1/trees", &paths[0]), join(folder("SAGGAR_TREES"), "", &paths[1]),
                    join(folder("XDG_RUNTIME_DIR"), "/saggar/trees", &paths[2]), sg_home_place(&paths[3]),
                    sg_local_place(&paths[4])};
    int result = add_place(paths[0], options, stats);
    result = result == SAGGAR_ENOTFOUND ? SAGGAR_OK : result;
    for (size_t i = 1; i < sizeof paths / sizeof paths[0]; i++)
        (void)add_place(paths[i], options, stats);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        result = errors[i] != SAGGAR_OK ? errors[i] : result;
    return result;
}

void sg_trees_gc_auto(const char *path, const uint8_t sha256[32]) {
    struct sg_gc_options options;
    struct sg_trees_stats stats;
    if ((sha256[SG_SHA256_SIZE - 1] & 15) != 0)
        return;
    (void)sg_gc_options_init(&options);
    options.max_age = IDLE;
    (void)sg_trees_gc(path, &options, &stats);
}
