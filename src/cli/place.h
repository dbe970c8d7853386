/*
 * What a directory that programs write to allows, without writing anything there. For `doctor`.
 */
#ifndef SG_CLI_PLACE_H
#define SG_CLI_PLACE_H

#include <stdbool.h>

enum place_state {
    PLACE_GOOD,
    PLACE_FULL,      /* the disk has no room, or no inode, left */
    PLACE_READ_ONLY, /* the mount */
    PLACE_DENIED,    /* no permission to write */
    PLACE_NOT_DIR    /* it, or something above it, is no directory */
};

struct place {
    enum place_state state;
    bool there;   /* the directory exists */
    char *at;     /* the part of the path that exists, malloc'd */
    char *target; /* what a link leads to, malloc'd; NULL: it is no link, or leads nowhere */
};

void place_look(const char *path, struct place *out);
/* "on a full disk", ...; "" for a good one. Static. */
const char *place_words(const struct place *place);
void place_free(struct place *place);

#endif
