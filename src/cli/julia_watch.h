/*
 * The cache files of one depot while a command runs: which are new, and which Julia loaded.
 *
 * Julia writes a file beside and renames it, so that a new file is another inode, unless the one before was
 * removed first: then the checksums at its end tell. It touches a file when it loads it, which changes the
 * time stamp alone.
 */
#ifndef SG_CLI_JULIA_WATCH_H
#define SG_CLI_JULIA_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct watched {
    char *path; /* of a .ji, absolute */
    ino_t inode;
    off_t size;
    uint64_t end; /* its last bytes */
    struct timespec mtime;
    bool fresh; /* it came since the beginning */
    bool used;  /* it was there, and was touched since */
    bool done;  /* for the caller */
};

struct watch {
    char *compiled; /* DEPOT/compiled */
    struct watched *file;
    size_t n, next;
};

/* What lies there now is not new. */
void watch_begin(struct watch *w, const char *compiled);
/* Looks again. */
void watch_look(struct watch *w);
void watch_free(struct watch *w);

#endif
