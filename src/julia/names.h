/*
 * How Julia names things: CRC-32C, slugs, UUIDs, the hash of preferences.
 *
 * Pure functions, thread-safe. The vectors of Julia 1.11.7 in tests/golden/julia hold all of them.
 */
#ifndef SG_JULIA_NAMES_H
#define SG_JULIA_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is Julia's `nothing`. */
struct sg_julia_uuid {
    uint64_t hi, lo;
};

struct sg_julia_id {
    struct sg_julia_uuid uuid;
    const char *name;
};

static inline bool sg_julia_uuid_is(struct sg_julia_uuid a, struct sg_julia_uuid b) {
    return a.hi == b.hi && a.lo == b.lo;
}

bool sg_julia_id_is(const struct sg_julia_id *a, const struct sg_julia_id *b);

enum { SG_JULIA_UUID_TEXT = 37, SG_JULIA_SLUG = 6 };
/* 8-4-4-4-12 hex digits; returns out. */
const char *sg_julia_uuid_print(char out[SG_JULIA_UUID_TEXT], struct sg_julia_uuid uuid);
bool sg_julia_uuid_parse(const char *text, struct sg_julia_uuid *out);

/* Continues a CRC-32C; begin with 0. */
uint32_t sg_julia_crc(uint32_t crc, const void *p, size_t n);

/* n characters (at most 5) and a NUL; returns out. */
const char *sg_julia_slug(char out[SG_JULIA_SLUG], uint32_t crc, unsigned n);
uint32_t sg_julia_uuid_crc(struct sg_julia_uuid uuid);
/* The folder below packages/NAME; `tree` is the raw git-tree-sha1. */
const char *sg_julia_version_slug(char out[SG_JULIA_SLUG], struct sg_julia_uuid uuid, const uint8_t tree[20],
                                  unsigned n);

/* What the second half of a cache file's name is made of. */
struct sg_julia_slug_inputs {
    const char *project, *image, *binary, *cpu_target;
    uint8_t flags;
    uint64_t preferences;
    bool paths_only; /* before 1.9: nothing but the three paths */
};
uint32_t sg_julia_cache_crc(const struct sg_julia_slug_inputs *in);

/* Julia's hash() of 1.9 to 1.12 on 64-bit machines. */
uint64_t sg_julia_hash_text(const void *p, size_t n, uint64_t h);
uint64_t sg_julia_hash_int(int64_t v, uint64_t h);
uint64_t sg_julia_hash_real(double v, uint64_t h);
/* Base.uuid5(parent, extension), which is not RFC 4122's. */
struct sg_julia_uuid sg_julia_uuid5(struct sg_julia_uuid parent, const char *name);

/* A float as Julia prints it, as 1.709618828e9. */
enum { SG_JULIA_REAL_TEXT = 40 };
const char *sg_julia_real_print(char out[SG_JULIA_REAL_TEXT], double v);

#endif
