/*
 * Collecting: what is too old, what is too much, and what was never finished.
 *
 * Readers hold private copies, so unlinking disturbs none of them; a file that is a candidate for removal is
 * looked at again right before, so that one published meanwhile under the same name stays. The key's last
 * file takes its place: readers stop at the first free slot. Ages come from modification times; a time in the
 * future counts as now, so a clock that was wrong once neither empties a store nor fills it for good. The
 * number of links says nothing (a crash may leave two) and is never asked for. Names that are not a store's
 * stay.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "trust/trust.h"

#define HOUR UINT64_C(3600)
#define DEAD_AGE UINT64_C(60) /* an unfinished file of a process that is gone */

struct file {
    uint64_t age; /* seconds */
    uint64_t size;
    dev_t dev;
    ino_t ino;
    uint8_t key[32];
    uint8_t slot;
    bool gone;
};

struct collect {
    const struct sg_gc_options *options;
    struct sg_gc_stats *stats;
    int v1;
    struct file *files;
    size_t n, room;
    char host[9];
    time_t now;
};

static uint64_t age_of(const struct collect *c, const struct stat *st) {
    return st->st_mtim.tv_sec >= c->now ? 0 : (uint64_t)(c->now - st->st_mtim.tv_sec);
}

/* ---- Litter
 * ------------------------------------------------------------------------------------------------------ */

/* No publish lasts an hour, and none has a time in the future by that much. Within the hour a process that
 * runs keeps its file; one that is gone loses it soon (not at once: it may live in another container of the
 * same name). */
static bool is_litter(const struct collect *c, const char *name, const struct stat *st) {
    int64_t ahead = (int64_t)st->st_mtim.tv_sec - (int64_t)c->now;
    uint64_t age = ahead > (int64_t)HOUR ? UINT64_MAX : age_of(c, st);
    uint64_t bound = c->options->litter_age;
    if (age >= HOUR && age >= bound)
        return true;
    int alive = sg_temp_owner(name, SG_STORE_TEMP, c->host);
    if (alive == 0)
        return age >= (bound < DEAD_AGE ? bound : DEAD_AGE);
    return alive < 0 && age >= bound;
}

static void take_litter(struct collect *c, int dirfd, const char *name) {
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !is_litter(c, name, &st))
        return;
    if (!c->options->dry_run && unlinkat(dirfd, name, 0) != 0) {
        c->stats->failed += errno != ENOENT;
        return;
    }
    c->stats->litter++;
    c->stats->litter_bytes += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

/* ---- Looking
 * ----------------------------------------------------------------------------------------------------- */

static int add_file(struct collect *c, int dirfd, const char *name, const uint8_t *key, unsigned slot) {
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        c->stats->failed += errno != ENOENT;
        return SAGGAR_OK;
    }
    if (!S_ISREG(st.st_mode)) {
        c->stats->foreign++;
        return SAGGAR_OK;
    }
    if (c->n == c->room) {
        size_t room = c->room == 0 ? 256 : 2 * c->room;
        struct file *more = realloc(c->files, room * sizeof *more);
        if (more == NULL)
            return SAGGAR_ENOMEM;
        c->files = more;
        c->room = room;
    }
    struct file *f = &c->files[c->n++];
    memset(f, 0, sizeof *f);
    f->age = age_of(c, &st);
    f->size = (uint64_t)st.st_size;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    memcpy(f->key, key, sizeof f->key);
    f->slot = (uint8_t)slot;
    c->stats->entries++;
    c->stats->bytes += f->size;
    return SAGGAR_OK;
}

/* One folder; `lead` is its name, or NULL (the root) where only litter that looks like ours is taken:
 * somebody else may use that directory too. */
static int scan(struct collect *c, int at, const char *path, const char *lead) {
    struct dirent *d;
    int err = SAGGAR_OK;
    DIR *dir = sg_store_opendir(at, path);
    if (dir == NULL)
        return errno == ENOENT ? SAGGAR_OK : sg_err_from_errno(errno);
    while (err == SAGGAR_OK && (errno = 0, d = readdir(dir)) != NULL) {
        const char *name = d->d_name;
        uint8_t key[32];
        unsigned slot;
        sg_job_tick();
        bool temp = strncmp(name, SG_STORE_TEMP, strlen(SG_STORE_TEMP)) == 0;
        if (temp && (lead != NULL || sg_temp_is(name, SG_STORE_TEMP)))
            take_litter(c, dirfd(dir), name);
        else if (lead != NULL && sg_store_name_parse(name, key, &slot) && memcmp(name, lead, 2) == 0)
            err = add_file(c, dirfd(dir), name, key, slot);
        else if (lead != NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            c->stats->foreign++;
    }
    if (err == SAGGAR_OK && errno != 0)
        err = sg_err_from_errno(errno);
    closedir(dir);
    return err;
}

static int scan_all(struct collect *c) {
    int err = scan(c, c->v1, ".", NULL);
    for (unsigned i = 0; i < 256 && err != SAGGAR_ENOMEM; i++) {
        char lead[3];
        snprintf(lead, sizeof lead, "%02x", i);
        int one = scan(c, c->v1, lead, lead);
        if (one != SAGGAR_OK) {
            c->stats
                ->failed++; /* one folder that cannot be read does not keep the others from being collected */
            err = one;
        }
    }
    return err;
}

/* ---- Removing
 * ---------------------------------------------------------------------------------------------------- */

/* Oldest first; among equals by key, so that collectors side by side choose the same ones. */
static int by_age(const void *a, const void *b) {
    const struct file *x = a, *y = b;
    if (x->age != y->age)
        return x->age > y->age ? -1 : 1;
    int order = memcmp(x->key, y->key, sizeof x->key);
    return order != 0 ? order : (int)x->slot - (int)y->slot;
}

/* True if the file is gone after it, whoever removed it. */
static bool remove_file(struct collect *c, const struct file *f) {
    char path[SG_STORE_NAME + 4];
    if (c->options->dry_run)
        return true;
    snprintf(path, sizeof path, "%02x/", f->key[0]);
    sg_store_name(f->key, f->slot, path + 3);
    bool gone = sg_store_remove(c->v1, path, f->dev, f->ino);
    c->stats->failed += !gone;
    return gone;
}

static void remove_excess(struct collect *c) {
    uint64_t left = c->stats->bytes;
    if (c->n > 0)
        qsort(c->files, c->n, sizeof *c->files, by_age);
    for (size_t i = 0; i < c->n; i++) {
        const struct file *f = &c->files[i];
        bool old = c->options->max_age != SG_GC_UNBOUNDED && f->age > c->options->max_age;
        bool much = left > c->options->max_bytes;
        if (!old && !much)
            break; /* the rest is younger */
        sg_job_tick();
        if (!remove_file(c, f))
            continue;
        left -= f->size;
        c->stats->removed_entries++;
        c->stats->removed_bytes += f->size;
    }
}

static int collect(int root, const struct sg_gc_options *options, struct sg_gc_stats *stats) {
    struct collect c = {.options = options, .stats = stats, .now = time(NULL)};
    sg_host_tag(c.host);
    int err = scan(&c, root, ".", NULL);
    c.v1 = openat(root, "v1", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c.v1 < 0)
        return err != SAGGAR_OK ? err : sg_err_from_errno(errno);
    int all = scan_all(&c);
    if (all != SAGGAR_ENOMEM)
        remove_excess(&c);
    free(c.files);
    close(c.v1);
    return all != SAGGAR_OK ? all : err;
}

int sg_store_gc(const char *path, const struct sg_gc_options *options, struct sg_gc_stats *stats) {
    memset(stats, 0, sizeof *stats);
    int err = sg_trust_path(path, NULL, 0);
    if (err != SAGGAR_OK)
        return err;
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return sg_err_from_errno(errno);
    err = collect(root, options, stats);
    close(root);
    return err;
}

/* ---- Bounds
 * ------------------------------------------------------------------------------------------------------ */

int sg_size_parse(const char *text, uint64_t *out) {
    static const char units[] = "KMGT";
    uint64_t value = 0;
    if (text == NULL || *text < '0' || *text > '9')
        return SAGGAR_EINVAL;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return SAGGAR_EINVAL;
    }
    const char *unit = *text == '\0' ? NULL : strchr(units, *text & ~0x20);
    if (unit != NULL) {
        text++;
        for (const char *u = units; u <= unit; u++) {
            if (__builtin_mul_overflow(value, UINT64_C(1024), &value))
                return SAGGAR_EINVAL;
        }
        if (*text == 'i' && (text[1] == 'B' || text[1] == 'b'))
            text++;
    }
    if (*text == 'B' || *text == 'b')
        text++;
    if (*text != '\0')
        return SAGGAR_EINVAL;
    *out = value;
    return SAGGAR_OK;
}

int sg_gc_options_init(struct sg_gc_options *options) {
    memset(options, 0, sizeof *options);
    options->max_bytes = SG_STORE_DEFAULT_SIZE;
    options->max_age = SG_GC_UNBOUNDED;
    options->litter_age = HOUR;
    const char *text = secure_getenv("SAGGAR_SIZE");
    return text == NULL || text[0] == '\0' ? SAGGAR_OK : sg_size_parse(text, &options->max_bytes);
}

/* ---- After a publish
 * ----------------------------------------------------------------------------------------------- */

/* The keys are spread evenly, so one folder tells about the size of all. */
static uint64_t estimate(const struct sg_store *store, unsigned lead) {
    char path[SG_STORE_PATH];
    struct dirent *d;
    struct stat st;
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "%s/v1/%02x", store->root, lead & 0xff);
    DIR *dir = sg_store_opendir(AT_FDCWD, path);
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        sg_job_tick();
        if (d->d_name[0] != '.' && fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)st.st_size;
    }
    if (dir != NULL)
        closedir(dir);
    return bytes > UINT64_MAX / 256 ? UINT64_MAX : bytes * 256;
}

void sg_store_gc_auto(struct sg_store *store, const uint8_t key[32]) {
    struct sg_gc_options options;
    struct sg_gc_stats stats;
    if ((key[31] & 63) != 0)
        return;
    (void)sg_gc_options_init(&options);
    if (estimate(store, key[0]) <= options.max_bytes)
        return;
    /* Somewhat below the bound, or the next publish would be here again. A look at one folder may mislead:
     * then nothing is removed, because the collector counts. */
    uint64_t bound = options.max_bytes;
    options.dry_run = true;
    if (sg_store_gc(sg_store_root(store), &options, &stats) != SAGGAR_OK || stats.bytes <= bound)
        return;
    options.dry_run = false;
    options.max_bytes = bound - bound / 10;
    (void)sg_store_gc(sg_store_root(store), &options, &stats);
}
