/*
 * Opening a store: may it be used at all? See store.h.
 *
 * Nothing is made and nothing is written. A store on a network file system is looked at with a deadline,
 * because its server may not answer (network.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "store/store.h"
#include "trust/trust.h"

void sg_store_close(struct sg_tier *tier) {
    sg_store_unref((struct sg_store *)tier);
}

static const struct sg_tier_ops store_ops = {
    .kind = "store",
    .find = sg_store_find,
    .hold = sg_store_hold,
    .release = sg_store_release,
    .publish = sg_store_publish,
    .each = sg_store_each,
    .discard = sg_store_discard,
    .close = sg_store_close,
};

/* A copy of `path` that does not depend on the working directory and has no slash at its end. "/" becomes "".
 */
static char *absolute(const char *path) {
    char here[SG_STORE_PATH], *out;
    if (path[0] == '/')
        out = strdup(path);
    else if (getcwd(here, sizeof here) == NULL || asprintf(&out, "%s/%s", here, path) < 0)
        return NULL;
    for (size_t n = out == NULL ? 0 : strlen(out); n > 0 && out[n - 1] == '/'; n--)
        out[n - 1] = '\0';
    return out;
}

/* Whether the store may be used: what is there belongs to somebody trusted, or can be made where only they
 * write. */
int sg_store_look(const struct sg_store *store, char *why, size_t n, struct stat *st) {
    struct sg_trust_verdict verdict;
    memset(st, 0, sizeof *st);
    if (store->root_size + SG_STORE_TAIL > SG_STORE_PATH) {
        snprintf(why, n, "the path is too long");
        return SAGGAR_ELIMIT;
    }
    const char *path = sg_store_root(store);
    int err = sg_trust_check(path, NULL, &verdict);
    if (err == SAGGAR_ENOTFOUND && lstat(path, st) == 0) {
        if (S_ISLNK(st->st_mode)) {
            snprintf(why, n, "a link that leads nowhere");
            return SAGGAR_EINVAL;
        }
        err = sg_trust_check(path, NULL, &verdict); /* another process made it just now */
    }
    snprintf(why, n, "%s", verdict.reason);
    if (err == SAGGAR_ENOTFOUND && verdict.trusted)
        return SAGGAR_OK; /* the first publish makes it */
    if (err == SAGGAR_OK && (stat(path, st) != 0 || !S_ISDIR(st->st_mode))) {
        snprintf(why, n, "not a directory");
        return SAGGAR_EINVAL;
    }
    if (err == SAGGAR_OK && verdict.trusted && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0) {
        err = sg_err_from_errno(errno);
        snprintf(why, n, "%s", saggar_strerror(err));
    }
    return (err == SAGGAR_OK || err == SAGGAR_ENOTFOUND) && !verdict.trusted ? SAGGAR_EUNTRUSTED : err;
}

int sg_store_error(const struct sg_tier *tier) {
    return ((const struct sg_store *)tier)->error;
}

void sg_store_ref(struct sg_tier *tier) {
    atomic_fetch_add_explicit(&((struct sg_store *)tier)->refs, 1, memory_order_relaxed);
}

bool sg_store_is_network(const struct sg_tier *tier) {
    return ((const struct sg_store *)tier)->network;
}

bool sg_store_place(const struct sg_tier *tier, uint64_t *dev, uint64_t *ino) {
    const struct sg_store *store = (const struct sg_store *)tier;
    *dev = store->dev;
    *ino = store->ino;
    return store->exists;
}

int sg_store_open(const char *path, bool read_only, struct sg_tier **out) {
    char why[SAGGAR_DETAIL_SIZE] = "";
    if (path == NULL || path[0] == '\0')
        return SAGGAR_EINVAL;
    struct sg_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return SAGGAR_ENOMEM;
    atomic_init(&store->refs, 1);
    atomic_init(&store->paused_until, 0);
    atomic_init(&store->paused_error, SAGGAR_OK);
    store->read_only = read_only;
    store->root = absolute(path);
    store->tier.path = strdup(path);
    if (store->root != NULL) {
        store->root_size = strlen(store->root);
        struct stat st;
        store->network = sg_path_is_network(sg_store_root(store));
        store->tier.ops = store->network ? &sg_store_network_ops : &store_ops;
        int err = store->network ? sg_store_look_network(store, why, sizeof why, &st)
                                 : sg_store_look(store, why, sizeof why, &st);
        store->exists = st.st_mode != 0 && !S_ISLNK(st.st_mode);
        store->dev = st.st_dev;
        store->ino = st.st_ino;
        store->error = err;
        store->tier.trusted = err == SAGGAR_OK;
        store->tier.active = err == SAGGAR_OK;
        store->tier.note = strdup(err == SAGGAR_OK ? "" : why[0] != '\0' ? why : saggar_strerror(err));
    }
    if (store->root == NULL || store->tier.path == NULL || store->tier.note == NULL) {
        sg_store_unref(store);
        return SAGGAR_ENOMEM;
    }
    *out = &store->tier;
    return SAGGAR_OK;
}
