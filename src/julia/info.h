/*
 * The Julia that would load the files, as a file describes it: a JSON object (or its member "julia") with the
 * keys that docs/julia.md lists. No Julia is run for it.
 */
#ifndef SG_JULIA_INFO_H
#define SG_JULIA_INFO_H

#include "julia/arena.h"
#include "julia/document.h"
#include "julia/ji.h"

/* What a session's processor has and lacks, as feature words. */
struct sg_julia_cpu {
    bool known;
    unsigned words;
    uint32_t enabled[SG_JULIA_WORDS];
    const char *name; /* "" where it is not told */
};

struct sg_julia_info {
    const char *version;
    int major, minor;
    unsigned layout; /* of sg_ji_layout() */
    uint16_t format;
    const char *uname, *arch, *branch, *commit;
    const char *image, *binary, *cpu_target; /* what cache slugs are made of */
    uint8_t flags;
    bool existing;       /* --pkgimages=existing */
    const char *project; /* as that Julia sees it; NULL: not told */
    const char **depots;
    size_t n_depots;
    const char *stdlib;          /* NULL: not told */
    const char *build_stdlib;    /* where it lay when Julia was built; NULL: not told */
    struct sg_ji_module *loaded; /* what is in its system image */
    size_t n_loaded;
    bool loaded_known; /* false (before 1.9 alone): the list is empty because nobody told */
    struct sg_julia_cpu cpu;
};

/* False: `why` (room > 0) says in one line what is wrong. Everything in *info belongs to the arena. */
bool sg_julia_info_read(struct sg_arena *arena, const struct sg_doc *doc, struct sg_julia_info *info,
                        char *why, size_t room);

#endif
