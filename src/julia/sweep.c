/* See sweep.h. */
#include "julia/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "julia/deposit.h"
#include "julia/ji.h"
#include "tree/tree.h"

struct pair {
    const char *path;
    struct timespec mtime;
    uint64_t bytes, age;
    bool needed, gone;
};

struct sweeping {
    const struct sg_sweep_options *o;
    struct sg_sweep_stats *stats;
    struct sg_arena arena;
    struct pair *pair;
    size_t n;
    time_t now;
};

const char *sg_swept_word(enum sg_swept kind) {
    static const char *const words[] = {"temporary file", "lock file",  "machine code without its .ji",
                                        "damaged",        "not needed", "beyond the bound"};
    return words[kind];
}

static bool ends(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static uint64_t age_of(const struct sweeping *s, const struct stat *st) {
    return st->st_mtim.tv_sec < s->now ? (uint64_t)(s->now - st->st_mtim.tv_sec) : 0;
}

static const char *beside(struct sweeping *s, const char *path, size_t cut, const char *suffix) {
    return sg_arena_format(&s->arena, "%.*s%s", (int)(strlen(path) - cut), path, suffix);
}

static void tell(struct sweeping *s, enum sg_swept kind, const char *path, uint64_t bytes) {
    s->stats->removed[kind]++;
    s->stats->removed_bytes += bytes;
    if (s->o->told != NULL)
        s->o->told(s->o->context, kind, path, bytes);
}

static bool gone(const char *path) {
    return unlink(path) == 0 || errno == ENOENT;
}

/* ---- Leftovers ---- */

static void remove_leftover(struct sweeping *s, enum sg_swept kind, const char *path, const struct stat *st) {
    if (age_of(s, st) < s->o->litter_age)
        return;
    if (s->o->dry_run || gone(path))
        tell(s, kind, path, (uint64_t)st->st_size);
    else
        s->stats->failed++;
}

/*
 * A lock file that nobody has touched for long. Somebody may take it over at this very moment: it is moved
 * away first, and put back if what was moved is not what was seen.
 */
static void remove_lock(struct sweeping *s, const char *path, const struct stat *st) {
    char temp[SG_TEMP_NAME_MAX];
    struct stat moved;
    if (age_of(s, st) < s->o->litter_age || sg_temp_name(temp, SG_DEPOSIT_TEMP) != SAGGAR_OK)
        return;
    if (!s->o->dry_run) {
        const char *slash = strrchr(path, '/'),
                   *aside = sg_arena_format(&s->arena, "%.*s/%s", (int)(slash - path), path, temp);
        if (rename(path, aside) != 0) {
            s->stats->failed += errno != ENOENT;
            return;
        }
        bool same = lstat(aside, &moved) == 0 && moved.st_ino == st->st_ino &&
                    moved.st_mtim.tv_sec == st->st_mtim.tv_sec;
        if (!same)
            (void)!link(aside, path);
        (void)unlink(aside);
        if (!same)
            return;
    }
    tell(s, SG_SWEPT_LOCK, path, (uint64_t)st->st_size);
}

static bool is_temporary(const char *name) {
    return (strncmp(name, "jl_", 3) == 0 && strlen(name) == 9) || sg_temp_is(name, SG_DEPOSIT_TEMP);
}

/* ---- Pairs ---- */

/* Missing, or another. What cannot be read is neither. */
static bool so_is_bad(const char *path, uint32_t crc) {
    unsigned char *data;
    size_t n;
    int err = sg_read_all_at(AT_FDCWD, path, SIZE_MAX / 2, &data, &n, NULL);
    if (err != SAGGAR_OK)
        return err == SAGGAR_ENOTFOUND;
    bool bad = sg_julia_crc(0, data, n) != crc;
    free(data);
    return bad;
}

/* Whether no Julia can load it, whatever it is asked for. What cannot be read is left alone. */
static bool is_damaged(const char *path, const char *so) {
    struct sg_arena arena = {0};
    struct sg_ji ji;
    unsigned char *data;
    size_t n;
    int err = sg_read_all_at(AT_FDCWD, path, SIZE_MAX / 2, &data, &n, NULL);
    if (err != SAGGAR_OK)
        return false;
    bool bad = false;
    if (sg_ji_read(&arena, data, n, &ji))
        bad = ji.state == SG_JI_HEADER || ji.state == SG_JI_EOF || ji.state == SG_JI_CORRUPT ||
              (ji.state == SG_JI_OK &&
               (!sg_ji_crc_holds(&ji, data) || (ji.native && so_is_bad(so, ji.so_crc))));
    sg_arena_free(&arena);
    free(data);
    return bad;
}

/* Whether it is another file than the one that was seen, or one less, or one more. */
static bool is_other(const struct stat *seen, const char *path) {
    struct stat st;
    return lstat(path, &st) != 0 || st.st_ino != seen->st_ino || st.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
           st.st_mtim.tv_nsec != seen->st_mtim.tv_nsec;
}

/* A .ji goes first, unless it was used meanwhile, or its machine code is new: then somebody is about to
 * replace it, and what is new stays. */
static void remove_pair(struct sweeping *s, struct pair *p, enum sg_swept kind) {
    const char *so = beside(s, p->path, 3, ".so");
    struct stat st, code;
    bool beside_it = lstat(so, &code) == 0;
    if (beside_it && age_of(s, &code) < (kind == SG_SWEPT_DAMAGED ? s->o->litter_age : s->o->min_age))
        return;
    if (!s->o->dry_run) {
        if (lstat(p->path, &st) == 0 &&
            (st.st_mtim.tv_sec != p->mtime.tv_sec || st.st_mtim.tv_nsec != p->mtime.tv_nsec))
            return;
        if (!gone(p->path)) {
            s->stats->failed++;
            return;
        }
        if (beside_it && !is_other(&code, so))
            s->stats->failed += !gone(so);
    }
    p->gone = true;
    tell(s, kind, p->path, p->bytes);
}

static int compare_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_needed(const struct sweeping *s, const char *path) {
    return s->o->n_needed > 0 &&
           bsearch(&path, s->o->needed, s->o->n_needed, sizeof path, compare_text) != NULL;
}

static void see_pair(struct sweeping *s, const char *path, const struct stat *st) {
    struct stat code;
    struct pair *grown = sg_arena_more(&s->arena, s->pair, s->n, sizeof *grown);
    const char *so = beside(s, path, 3, ".so");
    if (grown == NULL)
        return;
    s->pair = grown;
    struct pair *p = &grown[s->n++];
    *p =
        (struct pair){.path = path, .mtime = st->st_mtim, .age = age_of(s, st), .needed = is_needed(s, path)};
    p->bytes = (uint64_t)st->st_size;
    if (lstat(so, &code) == 0 && S_ISREG(code.st_mode))
        p->bytes += (uint64_t)code.st_size;
    s->stats->files++;
    s->stats->bytes += p->bytes;
    s->stats->needed += p->needed;
    if (!p->needed && p->age >= s->o->litter_age && is_damaged(path, so))
        remove_pair(s, p, SG_SWEPT_DAMAGED);
}

/* ---- Folders ---- */

static void see_file(struct sweeping *s, const char *path, const char *name, const struct stat *st) {
    if (is_temporary(name))
        remove_leftover(s, SG_SWEPT_TEMPORARY, path, st);
    else if (ends(name, ".pidfile"))
        remove_lock(s, path, st);
    else if (ends(name, ".ji"))
        see_pair(s, path, st);
    else if (ends(name, ".so") && access(beside(s, path, 3, ".ji"), F_OK) != 0)
        remove_leftover(s, SG_SWEPT_CODE, path, st);
}

static int walk(struct sweeping *s, const char *folder, int depth) {
    DIR *dir = opendir(folder);
    struct dirent *e;
    if (dir == NULL)
        return errno == ENOENT ? SAGGAR_OK : sg_err_from_errno(errno);
    int err = SAGGAR_OK;
    while (err == SAGGAR_OK && (e = readdir(dir)) != NULL) {
        struct stat st;
        const char *path = sg_arena_format(&s->arena, "%s/%s", folder, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth == 0)
            err = walk(s, path, 1);
        else if (S_ISREG(st.st_mode))
            see_file(s, path, e->d_name, &st);
        err = s->arena.failed ? SAGGAR_ENOMEM : err;
    }
    closedir(dir);
    return err;
}

/* The longest unused first. */
static int by_age(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    if (x->mtime.tv_sec != y->mtime.tv_sec)
        return x->mtime.tv_sec < y->mtime.tv_sec ? -1 : 1;
    if (x->mtime.tv_nsec != y->mtime.tv_nsec)
        return x->mtime.tv_nsec < y->mtime.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void evict_unneeded(struct sweeping *s, bool need_decides) {
    for (size_t i = 0; i < s->n; i++) {
        struct pair *p = &s->pair[i];
        if (p->gone || p->needed || p->age < s->o->min_age)
            continue;
        if (need_decides)
            remove_pair(s, p, SG_SWEPT_UNNEEDED);
        else if (p->age > s->o->max_age)
            remove_pair(s, p, SG_SWEPT_OLD);
    }
}

static void shrink(struct sweeping *s, uint64_t bytes) {
    if (s->n > 1)
        qsort(s->pair, s->n, sizeof *s->pair, by_age);
    for (size_t i = 0; i < s->n && bytes > s->o->max_bytes; i++) {
        struct pair *p = &s->pair[i];
        if (p->gone || p->needed || p->age < s->o->min_age)
            continue;
        remove_pair(s, p, SG_SWEPT_OLD);
        bytes -= p->gone ? p->bytes : 0;
    }
}

static int sweep_version(struct sweeping *s, const char *folder, const char *name) {
    int lock;
    size_t first = s->n;
    int err = sg_deposit_open(folder, &lock);
    if (err == SAGGAR_EACCESS || err == SAGGAR_EREADONLY) /* only looked at */
        lock = -1;
    else if (err != SAGGAR_OK)
        return err;
    err = walk(s, folder, 0);
    struct sweeping part = *s;
    part.pair = s->pair + first;
    part.n = s->n - first;
    evict_unneeded(&part, s->o->version != NULL && strcmp(s->o->version, name) == 0);
    s->arena = part.arena;
    if (lock >= 0)
        close(lock);
    return err;
}

int sg_julia_sweep(const char *compiled, const struct sg_sweep_options *options,
                   struct sg_sweep_stats *stats) {
    struct sweeping s = {.o = options, .stats = stats, .now = time(NULL)};
    *stats = (struct sg_sweep_stats){0};
    DIR *dir = opendir(compiled);
    struct dirent *e;
    if (dir == NULL)
        return errno == ENOENT ? SAGGAR_ENOTFOUND : sg_err_from_errno(errno);
    int err = SAGGAR_OK;
    while (err == SAGGAR_OK && (e = readdir(dir)) != NULL) {
        struct stat st;
        const char *path = sg_arena_format(&s.arena, "%s/%s", compiled, e->d_name);
        if (e->d_name[0] == 'v' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            err = sweep_version(&s, path, e->d_name);
    }
    closedir(dir);
    uint64_t bytes = 0;
    for (size_t i = 0; i < s.n; i++)
        bytes += s.pair[i].gone ? 0 : s.pair[i].bytes;
    if (err == SAGGAR_OK)
        shrink(&s, bytes);
    sg_arena_free(&s.arena);
    return err;
}
