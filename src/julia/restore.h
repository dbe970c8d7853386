/* Files of entries, chosen for a project and put into its first depot. */
#ifndef SG_JULIA_RESTORE_H
#define SG_JULIA_RESTORE_H

#include "julia/choose.h"

struct sg_restore_options {
    bool fixed; /* time stamps are `mtime`: of what is written, and of sources that Julia goes by the stamp of
                 */
    int64_t mtime;
};

struct sg_restored {
    struct sg_choice choice;
    const char *path; /* of the .ji, as it lies here; NULL: none was put there */
    bool written;     /* false: it lay there already */
    int error;        /* it could not be put there */
};

/* `out`: one for each package of the supply. False: w->error says why nothing could be put anywhere. */
bool sg_restore(struct sg_supply *s, const struct sg_restore_options *options, struct sg_restored *out);

#endif
