/*
 * The store on a network file system: the calls of reader.c and writer.c, made as jobs with a deadline
 * (base/deadline.h), because a server that does not answer keeps a call for ever. Once one is out the store
 * sleeps: everything misses and nothing is stored, at once, until the call comes back.
 *
 * A client remembers for up to a minute that a name was not there. Opening a directory makes it ask the
 * server whether the directory has changed, so that is done before a miss is believed.
 *
 * A job owns copies of all that it reads and writes, and holds the store. Faults are kept in it and reported
 * by the thread that asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/store.h"

enum {
    PATIENCE_MS = 5000,
    LOCK_PATIENCE_MS = 10000, /* a server that is slow with locks has many clients: then they count most */
    PUBLISH_RATE = 4096       /* bytes a millisecond, below which a server counts as hung */
};

struct fault {
    saggar_reason reason;
    char detail[SAGGAR_DETAIL_SIZE];
};

struct network_job {
    struct sg_job job;
    struct sg_store *store;
    int err;
    uint8_t key[SAGGAR_KEY_SIZE], identity[32];
    /* find, and discard of the first one */
    struct sg_candidate candidates[SAGGAR_MAX_SLOTS];
    unsigned n, n_faults;
    struct fault faults[SAGGAR_MAX_SLOTS + 1];
    /* publish */
    struct sg_buf core, annex;
    /* look */
    char why[SAGGAR_DETAIL_SIZE];
    struct stat st;
};

static void drop(struct sg_job *job) {
    struct network_job *j = (struct network_job *)job;
    for (unsigned i = 0; i < j->n; i++)
        sg_store_release(&j->candidates[i]);
    sg_buf_free(&j->core);
    sg_buf_free(&j->annex);
    sg_store_unref(j->store);
    free(j);
}

static struct network_job *new_job(struct sg_store *store, void (*run)(struct sg_job *job),
                                   const uint8_t *key) {
    struct network_job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    j->job.run = run;
    j->job.drop = drop;
    j->store = store;
    sg_store_ref(&store->tier);
    if (key != NULL)
        memcpy(j->key, key, sizeof j->key);
    return j;
}

static int run_job(struct network_job *j, uint64_t more) {
    return sg_job_run(&j->job, &j->store->watch, PATIENCE_MS + more);
}

int sg_store_claim_job(struct sg_tier *tier, struct sg_job *job) {
    struct sg_store *store = (struct sg_store *)tier;
    if (sg_watch_is_stuck(&store->watch)) {
        job->drop(job);
        return SAGGAR_ETIMEOUT;
    }
    return sg_job_run(job, &store->locks, LOCK_PATIENCE_MS);
}

int sg_store_release_job(struct sg_tier *tier, struct sg_job *job) {
    struct sg_store *store = (struct sg_store *)tier;
    if (!sg_watch_is_stuck(&store->watch) && !sg_watch_is_stuck(&store->locks))
        return sg_job_run(job, &store->locks, LOCK_PATIENCE_MS);
    sg_job_leave(job, &store->locks);
    return SAGGAR_ETIMEOUT;
}

/* ---- Finding ---- */

/* Opens the key's folder or, where that is not there, the nearest directory above it that is; then what lies
 * below it once more. */
static void look_anew(const struct sg_store *store, const uint8_t *key) {
    char path[SG_STORE_PATH], *end;
    int fd, above = 0;
    snprintf(path, sizeof path, "%s/v1/%02x", store->root, key[0]);
    while ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT &&
           (end = strrchr(path, '/')) != NULL && end != path) {
        *end = '\0';
        above++;
    }
    for (; fd >= 0 && above > 0; above--) {
        close(fd);
        path[strlen(path)] = '/';
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd >= 0)
        close(fd);
}

static void keep_fault(void *context, saggar_reason reason, const char *detail) {
    struct network_job *j = context;
    if (j->n_faults >= sizeof j->faults / sizeof j->faults[0])
        return;
    j->faults[j->n_faults].reason = reason;
    snprintf(j->faults[j->n_faults++].detail, SAGGAR_DETAIL_SIZE, "%s", detail == NULL ? "" : detail);
}

static void run_find(struct sg_job *job) {
    struct network_job *j = (struct network_job *)job;
    j->err = sg_store_find(&j->store->tier, j->key, j->candidates, &j->n, keep_fault, j);
    if (j->err != SAGGAR_OK || j->n > 0)
        return;
    j->n_faults = 0;
    look_anew(j->store, j->key);
    j->err = sg_store_find(&j->store->tier, j->key, j->candidates, &j->n, keep_fault, j);
}

static int find(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE],
                struct sg_candidate out[SAGGAR_MAX_SLOTS], unsigned *n, sg_fault_fn *fault, void *context) {
    *n = 0;
    if (!tier->active)
        return SAGGAR_OK;
    struct network_job *j = new_job((struct sg_store *)tier, run_find, key);
    if (j == NULL)
        return SAGGAR_ENOMEM;
    int err = run_job(j, 0);
    if (err != SAGGAR_OK)
        return err;
    for (unsigned i = 0; fault != NULL && i < j->n_faults; i++)
        fault(context, j->faults[i].reason, j->faults[i].detail);
    err = j->err;
    memcpy(out, j->candidates, j->n * sizeof *out);
    *n = j->n;
    j->n = 0; /* the caller's now */
    drop(&j->job);
    return err;
}

static void run_renew(struct sg_job *job) {
    struct network_job *j = (struct network_job *)job;
    look_anew(j->store, j->key);
}

static bool renew(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE]) {
    struct network_job *j = new_job((struct sg_store *)tier, run_renew, key);
    if (j == NULL || run_job(j, 0) != SAGGAR_OK)
        return false;
    drop(&j->job);
    return true;
}

/* ---- Changing ---- */

static void run_discard(struct sg_job *job) {
    sg_store_discard(&((struct network_job *)job)->candidates[0]);
}

static void discard(struct sg_candidate *candidate) {
    struct network_job *j = new_job((struct sg_store *)candidate->tier, run_discard, NULL);
    if (j == NULL)
        return;
    j->candidates[0] = *candidate;
    j->n = 1;
    sg_store_hold(&j->candidates[0]);
    if (run_job(j, 0) == SAGGAR_OK)
        drop(&j->job);
}

static void run_publish(struct sg_job *job) {
    struct network_job *j = (struct network_job *)job;
    j->err = sg_store_publish(&j->store->tier, j->key, j->identity, &j->core, &j->annex);
}

static int publish(struct sg_tier *tier, const uint8_t key[32], const uint8_t identity[32],
                   const struct sg_buf *core, const struct sg_buf *annex) {
    struct network_job *j = new_job((struct sg_store *)tier, run_publish, key);
    if (j == NULL)
        return SAGGAR_ENOMEM;
    memcpy(j->identity, identity, sizeof j->identity);
    sg_buf_init(&j->core, SIZE_MAX / 2);
    sg_buf_init(&j->annex, SIZE_MAX / 2);
    if (sg_buf_add(&j->core, core->data, core->len) != SAGGAR_OK ||
        sg_buf_add(&j->annex, annex->data, annex->len) != SAGGAR_OK) {
        drop(&j->job);
        return SAGGAR_ENOMEM;
    }
    int err = run_job(j, (core->len + annex->len) / PUBLISH_RATE);
    if (err != SAGGAR_OK)
        return err;
    err = j->err;
    drop(&j->job);
    return err;
}

/* ---- Opening ---- */

static void run_look(struct sg_job *job) {
    struct network_job *j = (struct network_job *)job;
    j->err = sg_store_look(j->store, j->why, sizeof j->why, &j->st);
}

int sg_store_look_network(struct sg_store *store, char *why, size_t n, struct stat *st) {
    struct network_job *j = new_job(store, run_look, NULL);
    memset(st, 0, sizeof *st);
    if (j == NULL)
        return SAGGAR_ENOMEM;
    int err = run_job(j, 0);
    if (err != SAGGAR_OK) {
        snprintf(why, n, "the file system does not answer");
        return err;
    }
    err = j->err;
    snprintf(why, n, "%s", j->why);
    *st = j->st;
    drop(&j->job);
    return err;
}

/* `each` is for tools, which may wait. */
const struct sg_tier_ops sg_store_network_ops = {
    .kind = "store",
    .find = find,
    .renew = renew,
    .hold = sg_store_hold,
    .release = sg_store_release,
    .publish = publish,
    .each = sg_store_each,
    .discard = discard,
    .close = sg_store_close,
};
