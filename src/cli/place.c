/* What a directory allows; see place.h. */
#include "cli/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/tiers.h"

enum { LEAST_ROOM = 1 << 20 }; /* bytes: a trail, or some entries */

/* Cuts the path down to what exists of it. */
static void cut(char *path) {
    struct stat st;
    while (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        char *slash = strrchr(path, '/');
        if (slash == NULL || slash == path) {
            strcpy(path, "/");
            return;
        }
        *slash = '\0';
    }
}

static bool is_full(const struct statvfs *fs) {
    unsigned long long left = geteuid() == 0 ? fs->f_bfree : fs->f_bavail;
    if (fs->f_blocks > 0 && left * fs->f_frsize < LEAST_ROOM)
        return true;
    return fs->f_files > 0 && fs->f_ffree == 0;
}

static enum place_state state_of(const char *path) {
    struct stat st;
    struct statvfs fs;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return PLACE_NOT_DIR;
    if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0)
        return errno == EROFS ? PLACE_READ_ONLY : PLACE_DENIED;
    return statvfs(path, &fs) == 0 && is_full(&fs) ? PLACE_FULL : PLACE_GOOD;
}

void place_look(const char *path, struct place *out) {
    struct stat st;
    char real[PATH_MAX];
    *out = (struct place){.at = cli_absolute(path)};
    cut(out->at);
    char *whole = cli_absolute(path);
    out->there = strcmp(whole, out->at) == 0;
    free(whole);
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, real) != NULL)
        out->target = out_strdup(real);
    out->state = state_of(out->at);
}

const char *place_words(const struct place *place) {
    switch (place->state) {
    case PLACE_FULL:
        return "on a full disk";
    case PLACE_READ_ONLY:
        return "on a read-only file system";
    case PLACE_DENIED:
        return "without permission to write";
    case PLACE_NOT_DIR:
        return "not a directory";
    case PLACE_GOOD:
        break;
    }
    return "";
}

void place_free(struct place *place) {
    free(place->at);
    free(place->target);
    *place = (struct place){0};
}
