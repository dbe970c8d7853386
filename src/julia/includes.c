/* Source files of a cache file: where they lie now, and whether they are what they were; see judge.h. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "julia/judge.h"

static const char tag[] = "@depot/";
enum { TAG = sizeof tag - 1 };

static bool tagged(const char *path) {
    return strncmp(path, tag, TAG) == 0;
}

/* The first depot that has the file; n_depots: none. */
static size_t depot_of(struct sg_world *w, const char *path) {
    struct stat st;
    for (size_t i = 0; i < w->n_depots; i++) {
        if (sg_world_stat(w, sg_world_join(w, w->depots[i], path + TAG), &st))
            return i;
    }
    return w->n_depots;
}

/* The one depot that all include()d files are in, as far as they are in one; n_depots: none. False: several.
 */
static bool common_depot(struct sg_world *w, const struct sg_ji *ji, size_t *depot) {
    *depot = w->n_depots;
    for (size_t i = 0; i < ji->n_includes; i++) {
        if (!ji->includes[i].source || !tagged(ji->includes[i].path))
            continue;
        size_t found = depot_of(w, ji->includes[i].path);
        if (found == w->n_depots)
            continue;
        if (*depot != w->n_depots && *depot != found)
            return false;
        *depot = found;
    }
    return true;
}

/* Where the file lies now; what cannot be told keeps its tag. All include()d files must come from one depot,
 * of the other files each may come from its own. */
static const char *resolve(struct sg_world *w, const struct sg_ji_include *i, size_t common) {
    if (!tagged(i->path))
        return i->path;
    size_t depot = i->source ? common : depot_of(w, i->path);
    return depot < w->n_depots ? sg_world_join(w, w->depots[depot], i->path + TAG) : i->path;
}

/* The standard library's folder instead of the one where Julia was built. */
static const char *moved(struct sg_world *w, const char *path) {
    const char *from = w->info.build_stdlib;
    size_t n = from != NULL ? strlen(from) : 0;
    if (from == NULL || w->info.stdlib == NULL || strncmp(path, from, n) != 0)
        return path;
    return sg_arena_format(&w->arena, "%s%s", w->info.stdlib, path + n);
}

/* The differences in a time stamp that Julia forgives: what Docker, CircleCI, GlusterFS, Nix and tar do to
 * it. */
static bool same_time(int minor, double now, double then) {
    if (now == then || now == floor(then) || now == trunc(then * 1e6) / 1e6)
        return true;
    return minor >= 9 && (now == ceil(then) || now == 1.0 || (then - now > 0 && then - now < 1e-6));
}

static bool by_time(struct sg_world *w, struct sg_file *file, const struct sg_ji_include *i, const char *path,
                    const struct stat *st) {
    char now[SG_JULIA_REAL_TEXT], then[SG_JULIA_REAL_TEXT];
    double mtime = st != NULL ? sg_world_mtime(st) : 0;
    if (same_time(w->info.minor, mtime, i->mtime))
        return true;
    sg_julia_real_print(now, mtime);
    sg_julia_real_print(then, i->mtime);
    if (w->info.minor < 11)
        return sg_verdict(w, file, SG_STALE, "include_dependency mtime change",
                          "Rejecting stale cache file %s (mtime %s) because file %s (mtime %s) has changed",
                          file->path, then, path, now);
    return sg_verdict(
        w, file, SG_STALE, "include_dependency mtime change",
        "Rejecting stale cache file %s because mtime of include_dependency %s has changed (mtime "
        "%s, before %s)",
        file->path, path, now, then);
}

static bool by_content(struct sg_world *w, struct sg_file *file, const struct sg_ji_include *i,
                       const char *path, const struct stat *st) {
    uint32_t crc;
    if ((uint64_t)st->st_size != i->size)
        return sg_verdict(
            w, file, SG_STALE, "include_dependency fsize change",
            "Rejecting stale cache file %s because file size of %s has changed (file size %lld, "
            "before %llu)",
            file->path, path, (long long)st->st_size, (unsigned long long)i->size);
    if (!sg_world_crc(w, path, &crc))
        return sg_verdict(w, file, SG_UNDECIDED, "undecided: a source file cannot be read", "%s: %s", path,
                          strerror(errno));
    return crc == i->crc ||
           sg_verdict(w, file, SG_STALE, "include_dependency fhash change",
                      "Rejecting stale cache file %s because hash of %s has changed (hash %u, before %u)",
                      file->path, path, crc, i->crc);
}

static bool one(struct sg_world *w, struct sg_file *file, const struct sg_ji_include *i, const char *path) {
    struct stat st;
    if (w->info.minor >= 11 && tagged(path))
        return sg_verdict(w, file, SG_STALE, "nonresolveable depot",
                          "Rejecting stale cache file %s because its depot could not be resolved",
                          file->path);
    bool there = sg_world_stat(w, path, &st);
    if (!there && w->info.minor >= 9) {
        if (moved(w, path) != path && sg_world_is_file(w, moved(w, path)))
            return true;
        return sg_verdict(w, file, SG_STALE, "missing sourcefile",
                          "Rejecting stale cache file %s because file %s does not exist", file->path, path);
    }
    if (w->info.minor >= 11 && !(i->mtime >= 0))
        return by_content(w, file, i, path, &st);
    return by_time(w, file, i, path, there ? &st : NULL);
}

static bool requirements(struct sg_world *w, struct sg_file *file) {
    static const struct sg_julia_id top = {.name = ""};
    const struct sg_ji *ji = &file->ji;
    for (size_t i = 0; i < ji->n_requires; i++) {
        const struct sg_ji_require *r = &ji->requires[i];
        const struct sg_julia_id *by = r->by > 0 ? &ji->provides[r->by - 1].id : &top;
        struct sg_julia_id now;
        if (!sg_identify(w, by, r->id.name, &now) || !sg_julia_id_is(&now, &r->id))
            return sg_verdict(w, file, SG_STALE, "dep uuid changed",
                              "Rejecting cache file %s because uuid mapping for %s => %s has changed",
                              file->path, sg_id_print(w, by), sg_id_print(w, &r->id));
    }
    return true;
}

const char **sg_include_paths(struct sg_world *w, const struct sg_ji *ji) {
    const char **list = sg_arena_array(&w->arena, ji->n_includes + 1, sizeof *list);
    size_t common = w->n_depots;
    if (w->info.minor >= 11 && !common_depot(w, ji, &common))
        common = w->n_depots;
    for (size_t i = 0; list != NULL && i < ji->n_includes; i++)
        list[i] = resolve(w, &ji->includes[i], common);
    return list;
}

bool sg_judge_includes(struct sg_world *w, struct sg_file *file) {
    const struct sg_ji *ji = &file->ji;
    size_t common = w->n_depots;
    if (ji->n_includes == 0)
        return sg_verdict(w, file, SG_THROWS, "BoundsError", "%s names no source file", file->path);
    if (w->info.minor >= 11 && !common_depot(w, ji, &common))
        common = w->n_depots;
    const char *entry = resolve(w, &ji->includes[0], common);
    if (!sg_world_is_same(w, entry, file->source) && !sg_world_is_same(w, moved(w, entry), file->source))
        return sg_verdict(w, file, SG_STALE, "wrong source",
                          "Rejecting cache file %s because it is for file %s%s not file %s", file->path,
                          entry, w->info.minor < 9 ? ")" : "", file->source);
    if (!requirements(w, file))
        return false;
    for (size_t i = 0; i < ji->n_includes; i++) {
        if (!one(w, file, &ji->includes[i], resolve(w, &ji->includes[i], common)))
            return false;
    }
    return true;
}
