/*
 * A cache file and its machine code, put into a folder of a depot.
 *
 * Both are written beside and renamed, the machine code first: a .ji that Julia lists is always whole, with
 * its machine code there. Names are taken from the content, so that files of several projects lie side by
 * side and the same file is written once; Julia does not care for the second half of a name. A process that
 * is killed leaves temporary files at most, which the next one removes.
 */
#ifndef SG_JULIA_DEPOSIT_H
#define SG_JULIA_DEPOSIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define SG_DEPOSIT_TEMP ".saggar-"

struct sg_deposit {
    const uint8_t *ji, *so; /* so: NULL for none */
    size_t ji_size, so_size;
    bool fixed; /* files get this time stamp, not that of now */
    struct timespec mtime;
};

/*
 * Opens DEPOT/compiled/vX.Y (made if need be) and waits some seconds until no other process puts files there:
 * a lock that the kernel drops with the process, and that is never needed for a right result. Close *fd.
 */
int sg_deposit_open(const char *compiled, int *fd);

enum { SG_DEPOSIT_NAME = 5 + 1 + 16 + 4 };
/* Puts the pair into the folder NAME of an open depot. `name`: the .ji's. *written: it was not there. */
int sg_deposit_put(int compiled, const char *package, const char *slug, const struct sg_deposit *pair,
                   char name[SG_DEPOSIT_NAME], bool *written);

#endif
