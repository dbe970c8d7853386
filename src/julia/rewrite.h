/*
 * A cache file with other names and time stamps of its sources.
 *
 * Only the list of sources, the stored source text and the checksum at the end change: they stand outside of
 * what Julia loads, and the build id stays. Pure functions.
 */
#ifndef SG_JULIA_REWRITE_H
#define SG_JULIA_REWRITE_H

#include "base/buf.h"
#include "julia/ji.h"

/* What one of ji->includes is to be. */
struct sg_rewritten {
    const char *path;
    double mtime; /* negative: by content, as it was */
};

/* `list`: n_includes of them. ECORRUPT: the bytes are not those that `ji` was read from. ENOMEM, ELIMIT. */
int sg_ji_rewrite(const struct sg_ji *ji, const unsigned char *data, const struct sg_rewritten *list,
                  struct sg_buf *out);

/* The stored text of a source; false: it is not stored. Points into data. */
bool sg_ji_source_text(const struct sg_ji *ji, const unsigned char *data, const char *path,
                       const unsigned char **text, size_t *n);

#endif
