/*
 * Everything that one question about a project is answered from: the Julia, the depots, the project, and the
 * files below them, each read once.
 *
 * Paths in here are *Julia's*: as the Julia that would load the files sees them. Where its folders lie
 * elsewhere for us, `maps` says so, and the functions below look there. Nothing is ever written.
 * One world belongs to one thread.
 */
#ifndef SG_JULIA_WORLD_H
#define SG_JULIA_WORLD_H

#include <limits.h>
#include <sys/stat.h>

#include "julia/info.h"

struct sg_world_map {
    const char *from, *to; /* absolute folders without a slash at the end */
};

struct sg_world_document;
struct sg_listed;
struct sg_located;

enum { SG_WORLD_BUCKETS = 512 };

struct sg_world {
    struct sg_arena arena;
    struct sg_julia_info info;
    struct sg_world_map *maps;
    size_t n_maps;
    const char **depots;
    size_t n_depots;
    const char **environments; /* project files, or folders of packages, in the order of the load path */
    size_t n_environments;
    struct {
        const char *project, *manifest; /* of a project file: its manifest, NULL if it has none */
    } manifests[4];                     /* those of the load path, once they were looked for */
    size_t n_manifests;
    char error[PATH_MAX + 256]; /* why nothing can be said; "": all is well */

    struct sg_world_document *documents;
    size_t n_documents;
    struct sg_listed *listed[SG_WORLD_BUCKETS];   /* cache files by package; judge.h */
    struct sg_located *located[SG_WORLD_BUCKETS]; /* source by package; locate.c */
};

/* The chain of a table that an identity is in. */
static inline size_t sg_world_bucket(const struct sg_julia_id *id) {
    return (size_t)((id->uuid.lo ^ id->uuid.hi) % SG_WORLD_BUCKETS);
}

/* Frees all but `w` itself. */
void sg_world_free(struct sg_world *w);

/* Remembers why nothing can be said, if it is the first reason. Always false. */
bool sg_world_fail(struct sg_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Folder `from` of Julia's lies at `to`. */
bool sg_world_map(struct sg_world *w, const char *from, const char *to);
/* Where a path of Julia's lies here; NULL where that is too long. */
const char *sg_world_real(const struct sg_world *w, const char *path, char real[PATH_MAX]);

/* "a/b" made of its parts, without "." and "..", as Julia's normpath(joinpath()). An absolute b stands alone.
 */
const char *sg_world_join(struct sg_world *w, const char *a, const char *b);
/* The folder that a path lies in. */
const char *sg_world_parent(struct sg_world *w, const char *path);

/* Links are followed. False: nothing is there. */
bool sg_world_stat(const struct sg_world *w, const char *path, struct stat *st);
bool sg_world_is_file(const struct sg_world *w, const char *path);
bool sg_world_is_dir(const struct sg_world *w, const char *path);
bool sg_world_is_same(const struct sg_world *w, const char *a, const char *b);
/* Seconds, as Julia's mtime(). */
double sg_world_mtime(const struct stat *st);

/* The whole of a file; free() it. False: errno says why. */
bool sg_world_read(const struct sg_world *w, const char *path, size_t max, unsigned char **data,
                   size_t *size);
/* CRC-32C of a file, or of the names in a folder. False: it cannot be read. */
bool sg_world_crc(const struct sg_world *w, const char *path, uint32_t *crc);

/*
 * A TOML file; NULL if there is none. One that cannot be read or is no TOML makes the world fail (and gives
 * NULL). The document stays the world's.
 */
const struct sg_doc *sg_world_toml(struct sg_world *w, const char *path);

#endif
