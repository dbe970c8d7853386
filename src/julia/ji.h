/*
 * A cache file of Julia (.ji), read from bytes in memory.
 *
 * Known are format 11 (Julia 1.5 to 1.8) and format 12 (1.9 to 1.12); whatever else is refused by name. Every
 * length is checked before it is used. Texts and lists belong to the arena, nothing points into the bytes.
 * No function here opens a file.
 */
#ifndef SG_JULIA_JI_H
#define SG_JULIA_JI_H

#include "julia/arena.h"
#include "julia/names.h"

enum sg_ji_state {
    SG_JI_OK,
    SG_JI_HEADER,  /* not the beginning of a cache file, or cut off in it */
    SG_JI_UNKNOWN, /* a format or version that this reader does not know */
    SG_JI_EOF,     /* cut off: Julia throws EOFError */
    SG_JI_CORRUPT  /* lengths or numbers that cannot be */
};

struct sg_ji_module {
    struct sg_julia_id id;
    uint64_t build_hi, build_lo; /* before 1.9: hi is 0 */
};

struct sg_ji_include {
    const char *path; /* as recorded: perhaps @depot/... */
    uint64_t size;    /* with crc, from 1.11 on */
    uint32_t crc;
    double mtime; /* negative: tracked by content */
    uint32_t by;  /* 1-based in `provides`; 0: no module */
    bool source;  /* include()d: its text is in the file */
};

struct sg_ji_require {
    uint32_t by; /* as above */
    struct sg_julia_id id;
};

enum { SG_JULIA_WORDS = 32 }; /* feature words of a target, at most */

struct sg_julia_target {
    uint32_t flags, words;
    uint32_t enabled[SG_JULIA_WORDS], disabled[SG_JULIA_WORDS];
    const char *name, *features; /* features: written out, beyond the words */
};

struct sg_ji {
    enum sg_ji_state state;
    const char *what; /* where state is not OK: one line about it */

    /* The fixed header; `fixed`: all of it is there. */
    bool fixed;
    uint16_t format, bom;
    uint8_t pointer_size, pkgimage;
    const char *uname, *arch, *version, *branch, *commit;
    int major, minor;  /* of `version` */
    uint64_t checksum; /* the high half of build ids; 0 before 1.9 */
    uint64_t data_start, data_end;
    size_t fixed_size;

    uint8_t flags;
    struct sg_ji_module *provides;
    size_t n_provides;
    struct sg_ji_include *includes;
    size_t n_includes;
    struct sg_ji_require *requires;
    size_t n_requires;
    const char **preferences;
    size_t n_preferences;
    uint64_t preferences_hash;
    uint64_t source_at; /* where the source text begins; 0: none */
    struct sg_ji_module *required;
    size_t n_required;
    bool native; /* machine code in a file beside it; has targets */
    struct sg_julia_target *targets;
    size_t n_targets;
    const char *targets_what; /* why the targets cannot be read, or NULL */

    size_t size;
    uint32_t so_crc, crc; /* as recorded at the end; 0 where there is no room for them */
};

/* What a version's files look like. */
enum { SG_JI_HAS_FLAGS = 1, SG_JI_HAS_PREFERENCES = 2, SG_JI_HAS_CONTENT = 4 };
/* False: not a version that is known. */
bool sg_ji_layout(int major, int minor, unsigned *layout, uint16_t *format);

/* Major and minor number of a version's text. */
bool sg_julia_version(const char *text, int *major, int *minor);

/*
 * Reads all of the file. False only where memory is missing; what is wrong with the bytes is `state`, and
 * what was read up to there stands in *ji.
 */
bool sg_ji_read(struct sg_arena *arena, const unsigned char *data, size_t size, struct sg_ji *ji);

/* Whether the file's own checksum holds. */
bool sg_ji_crc_holds(const struct sg_ji *ji, const unsigned char *data);

/* Whether a file with the flags `actual` does for a session with `requested`: jl_match_cache_flags() of this
 * version. `existing`: the session uses machine code where there is some, and does not want it. */
bool sg_ji_flags_match(int minor, uint8_t requested, uint8_t actual, bool existing);

#endif
