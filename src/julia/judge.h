/*
 * Whether Julia would load a cache file, and if not, why: the decision of its loader, in its own words.
 *
 * What is asked here is never answered with "fresh" where a check could not be made. All answers belong to
 * the world.
 */
#ifndef SG_JULIA_JUDGE_H
#define SG_JULIA_JUDGE_H

#include "julia/environment.h"

enum sg_julia_verdict {
    SG_NOT_ASKED, /* not yet; or the package has no source in this environment */
    SG_FRESH,
    SG_STALE,
    SG_THROWS,   /* Julia itself raises an exception over it, and `using` fails */
    SG_UNDECIDED /* Saggar cannot tell; `reason` says what is missing */
};

/* One .ji file. */
struct sg_file {
    const char *path; /* as Julia sees it */
    size_t depot;     /* index */
    bool readable;
    struct sg_ji ji;
    bool crc_holds;
    double mtime;
    bool stocked; /* it lies in an entry, not in a depot: its machine code, if it needs some, was verified
                     there */

    bool judged;
    struct sg_julia_id package; /* what was asked */
    const char *source;         /* its entry file; NULL: not found */
    enum sg_julia_verdict verdict;
    const char *reason; /* Julia's word for it; "" if fresh */
    const char *detail; /* the line that Julia prints under JULIA_DEBUG=loading, or one of ours */
};

/* The cache files of a package, in the order in which Julia tries them. */
struct sg_listed {
    struct sg_listed *after; /* in the same bucket */
    struct sg_julia_id id;
    struct sg_file **file;
    size_t n;
    const struct sg_file *throws; /* Julia raises an exception while it puts them in order */
};

/* Reads a file. NULL: no memory. */
struct sg_file *sg_file_read(struct sg_world *w, const char *path, size_t depot);

/* Whether the fixed header is that of the world's Julia; else *what says what differs. */
bool sg_header_is_ours(struct sg_world *w, const struct sg_ji *ji, const char **what);

/* NULL: no memory. */
const struct sg_listed *sg_candidates(struct sg_world *w, const struct sg_julia_id *id);

/* Asks about one file for a package, as Base.stale_cachefile: its dependencies are not looked at. */
void sg_judge(struct sg_world *w, struct sg_file *file, const struct sg_julia_id *package);

/* The include()d files and their like; a part of sg_judge(). False: `file` has got its verdict. */
bool sg_judge_includes(struct sg_world *w, struct sg_file *file);

/* Where the sources of a file lie now, one for each; what lies in no depot keeps its @depot/. NULL: no
 * memory.
 */
const char **sg_include_paths(struct sg_world *w, const struct sg_ji *ji);

/* Whether the module is in the system image: 1 with this build id, -1 with another one, 0 not. */
int sg_is_loaded(const struct sg_world *w, const struct sg_ji_module *m);

/* Sets a verdict; the detail is printed like printf. Always false. */
bool sg_verdict(struct sg_world *w, struct sg_file *file, enum sg_julia_verdict verdict, const char *reason,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

const char *sg_verdict_word(enum sg_julia_verdict verdict);
/* PkgId(UUID("..."), "Name") */
const char *sg_id_print(struct sg_world *w, const struct sg_julia_id *id);

#endif
