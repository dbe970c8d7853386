/* See deposit.h. */
#include "julia/deposit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "tree/tree.h"

enum { LOCK_TRIES = 4000, LOCK_PAUSE_NS = 5000000, LITTER_AGE = 60 };

int sg_deposit_open(const char *compiled, int *fd) {
    const struct timespec pause = {0, LOCK_PAUSE_NS};
    int err = sg_make_dirs(compiled, 0755);
    if (err != SAGGAR_OK)
        return err;
    *fd = open(compiled, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return sg_err_from_errno(errno);
    for (int i = 0; i < LOCK_TRIES && flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; i++)
        nanosleep(&pause, NULL);
    return SAGGAR_OK;
}

/* Whether a file holds exactly these bytes. */
static bool holds(int dir, const char *name, const uint8_t *bytes, size_t size) {
    unsigned char *data;
    size_t n;
    if (sg_read_all_at(dir, name, size, &data, &n, NULL) != SAGGAR_OK)
        return false;
    bool same = n == size && (size == 0 || memcmp(data, bytes, size) == 0);
    free(data);
    return same;
}

static int put(int dir, const char *name, const uint8_t *bytes, size_t size, const struct sg_deposit *pair) {
    char temp[SG_TEMP_NAME_MAX];
    const struct timespec times[2] = {{0, UTIME_OMIT}, pair->mtime};
    int fd, err = sg_temp_open(dir, SG_DEPOSIT_TEMP, temp, &fd);
    if (err != SAGGAR_OK)
        return err;
    err = sg_write_all(fd, bytes, size);
    if (err == SAGGAR_OK &&
        (fchmod(fd, 0644) != 0 || (pair->fixed && futimens(fd, times) != 0) || fdatasync(fd) != 0))
        err = sg_err_from_errno(errno);
    if (close(fd) != 0 && err == SAGGAR_OK)
        err = sg_err_from_errno(errno);
    if (err == SAGGAR_OK && renameat(dir, temp, dir, name) != 0)
        err = sg_err_from_errno(errno);
    if (err != SAGGAR_OK)
        (void)unlinkat(dir, temp, 0);
    return err;
}

/* Julia takes the newest first; what is there already is to be that, as if it were written now. */
static void stamp(int dir, const char *name, const struct sg_deposit *pair) {
    const struct timespec times[2] = {{0, UTIME_OMIT},
                                      pair->fixed ? pair->mtime : (struct timespec){0, UTIME_NOW}};
    (void)utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
}

static int put_pair(int dir, const char *so, const struct sg_deposit *pair, const char *ji, bool *written) {
    int err = SAGGAR_OK;
    bool code = pair->so == NULL || holds(dir, so, pair->so, pair->so_size),
         index = holds(dir, ji, pair->ji, pair->ji_size);
    if (!code)
        err = put(dir, so, pair->so, pair->so_size, pair);
    if (err == SAGGAR_OK && !index)
        err = put(dir, ji, pair->ji, pair->ji_size, pair);
    *written = err == SAGGAR_OK && !(code && index);
    if (err == SAGGAR_OK && !*written)
        stamp(dir, ji, pair);
    if (err == SAGGAR_OK && !*written && pair->fixed && pair->so != NULL)
        stamp(dir, so, pair);
    return err;
}

int sg_deposit_put(int compiled, const char *package, const char *slug, const struct sg_deposit *pair,
                   char name[SG_DEPOSIT_NAME], bool *written) {
    unsigned char sha256[SG_SHA256_SIZE];
    char hex[2 * SG_SHA256_SIZE + 1], so[SG_DEPOSIT_NAME];
    struct sg_tree_swept swept;
    if (package[0] == '\0' || package[0] == '.' || strchr(package, '/') != NULL)
        return SAGGAR_EINVAL;
    int err = sg_sha256(sha256, pair->ji, pair->ji_size);
    if (err != SAGGAR_OK)
        return err;
    sg_hex(hex, sha256, sizeof sha256);
    snprintf(name, SG_DEPOSIT_NAME, "%.5s_%.16s.ji", slug, hex);
    snprintf(so, sizeof so, "%.5s_%.16s.so", slug, hex);
    if (mkdirat(compiled, package, 0755) != 0 && errno != EEXIST)
        return sg_err_from_errno(errno);
    int dir = openat(compiled, package, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return sg_err_from_errno(errno);
    sg_tree_sweep(dir, SG_DEPOSIT_TEMP, LITTER_AGE, false, &swept);
    err = put_pair(dir, so, pair, name, written);
    close(dir);
    return err;
}
