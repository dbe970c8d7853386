/*
 * Claims: who compiles what, among processes and among the threads of one.
 *
 * Between processes a claim is a lock on one byte of the store's lock file, at an offset taken from the key.
 * The locks of one process do not exclude each other, so its threads find each other in a table: whoever is
 * about to lock an offset stands in it first. A thread waits for a place in the table, then for the lock,
 * both until one deadline. Nothing here is needed for a correct result: whatever fails ends in "compile
 * without a claim".
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "cache/cache.h"
#include "cache/lockfile.h"
#include "store/store.h"

enum { MAX_CHAIN = 64, OPENINGS = 4 };

/* An offset that a thread of this process holds, or is about to. */
struct sg_held {
    struct sg_held *next;
    uint64_t offset;
    pthread_t owner;
};

/* A thread that waits for another thread of this process. */
struct waiter {
    struct waiter *next;
    pthread_t thread;
    const struct sg_lock_file *file;
    uint64_t offset;
};

struct saggar_claim {
    struct sg_tier *store;     /* held, if there is one */
    struct sg_lock_file *file; /* NULL: no claim */
    unsigned generation;
    struct sg_held held;
};

static struct {
    pthread_mutex_t opening; /* who opens a lock file; taken before the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct sg_lock_file *files;
    struct waiter *waiters;
    unsigned generation; /* counts forks: a claim of another generation is another process's */
} claims = {.opening = PTHREAD_MUTEX_INITIALIZER, .mutex = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_condition(void) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&claims.changed, &attr);
    pthread_condattr_destroy(&attr);
}

static void before_fork(void) {
    pthread_mutex_lock(&claims.opening);
    pthread_mutex_lock(&claims.mutex);
}

static void after_fork_parent(void) {
    pthread_mutex_unlock(&claims.mutex);
    pthread_mutex_unlock(&claims.opening);
}

/* The descriptors stay in use: the locks of the parent are not the child's, whoever closes what. */
static void after_fork_child(void) {
    for (struct sg_lock_file *f = claims.files; f != NULL; f = f->next) {
        f->held = NULL;
        f->closing = false;
    }
    claims.waiters = NULL;
    claims.generation++;
    init_condition();
    pthread_mutex_unlock(&claims.mutex);
    pthread_mutex_unlock(&claims.opening);
}

static void init(void) {
    init_condition();
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static struct sg_held *find_held(const struct sg_lock_file *file, uint64_t offset) {
    struct sg_held *held = file->held;
    while (held != NULL && held->offset != offset)
        held = held->next;
    return held;
}

/* True if the owner of the place waits, over however many others, for this thread. */
static bool waits_for_us(const struct sg_lock_file *file, uint64_t offset) {
    for (int i = 0; i < MAX_CHAIN; i++) {
        const struct sg_held *held = find_held(file, offset);
        if (held == NULL)
            return false;
        if (pthread_equal(held->owner, pthread_self()))
            return true;
        const struct waiter *w = claims.waiters;
        while (w != NULL && !pthread_equal(w->thread, held->owner))
            w = w->next;
        if (w == NULL)
            return false;
        file = w->file;
        offset = w->offset;
    }
    return true;
}

/* Waits, with the mutex held, until the place is free. False: deadline, or it would never be. */
static bool wait_for_threads(struct sg_lock_file *file, uint64_t offset, uint64_t deadline, bool *waited) {
    const struct timespec until = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
    while (find_held(file, offset) != NULL || file->closing) {
        if (waits_for_us(file, offset))
            return false;
        struct waiter self = {claims.waiters, pthread_self(), file, offset};
        claims.waiters = &self;
        int err = pthread_cond_timedwait(&claims.changed, &claims.mutex, &until);
        struct waiter **place = &claims.waiters;
        while (*place != &self)
            place = &(*place)->next;
        *place = self.next;
        *waited = true;
        if (err != 0 && (find_held(file, offset) != NULL || file->closing))
            return false;
    }
    return true;
}

static void enter(struct saggar_claim *claim, struct sg_lock_file *file, uint64_t offset) {
    claim->file = file;
    claim->generation = claims.generation;
    claim->held = (struct sg_held){file->held, offset, pthread_self()};
    file->held = &claim->held;
}

static void leave(struct saggar_claim *claim) {
    struct sg_held **place = &claim->file->held;
    while (*place != NULL && *place != &claim->held)
        place = &(*place)->next;
    if (*place != NULL)
        *place = claim->held.next;
    claim->file = NULL;
    pthread_cond_broadcast(&claims.changed);
}

/* ---- Among processes ---- */

static struct sg_lock_file *get_file(struct sg_tier *store) {
    if (sg_store_is_network(store))
        return sg_claims_network_file(&claims.files, &claims.mutex, store);
    pthread_mutex_lock(&claims.opening);
    struct sg_lock_file *file = sg_lock_file_get(&claims.files, &claims.mutex, store);
    pthread_mutex_unlock(&claims.opening);
    return file;
}

/* With the place in the table taken: the lock among processes. */
static enum sg_lock_result lock(const struct saggar_claim *claim, uint64_t deadline, bool *waited) {
    uint64_t offset = claim->held.offset;
    int fd = claim->file->fd; /* stays open while we stand in the table */
    if (sg_store_is_network(claim->store))
        return sg_claims_network_lock(claim->store, claim->file, fd, offset, deadline, waited);
    enum sg_lock_result result = sg_lock_try(fd, offset);
    if (result != SG_LOCK_TAKEN || sg_now_ns(CLOCK_MONOTONIC) >= deadline)
        return result;
    *waited = true;
    return sg_lock_wait(fd, offset, deadline);
}

/* Puts the claim into the table of the lock file. False: there is none, or the place is not free in time. */
static bool take_place(struct saggar_claim *claim, uint64_t offset, uint64_t deadline, bool *waited) {
    for (int i = 0; i < OPENINGS; i++) { /* somebody may close the file just when we have it */
        struct sg_lock_file *file = get_file(claim->store);
        if (file == NULL)
            return false;
        pthread_mutex_lock(&claims.mutex);
        bool is_free = wait_for_threads(file, offset, deadline, waited), is_open = file->fd >= 0;
        if (is_free && is_open)
            enter(claim, file, offset);
        pthread_mutex_unlock(&claims.mutex);
        if (!is_free || is_open)
            return is_free;
    }
    return false;
}

/* With the mutex held, which is let go while the server is asked. The descriptor goes with the last claim:
 * the end of a process waits for a server that does not answer if there is a file to be closed there. */
static void drop_on_network(struct saggar_claim *claim) {
    struct sg_lock_file *file = claim->file;
    bool last = file->held == &claim->held && claim->held.next == NULL && !file->closing;
    int fd = file->fd;
    if (last) {
        file->closing = true;
        file->fd = -1;
    }
    pthread_mutex_unlock(&claims.mutex);
    sg_claims_network_unlock(claim->store, fd, claim->held.offset, last);
    pthread_mutex_lock(&claims.mutex);
    if (last)
        file->closing = false;
}

static saggar_claim_outcome acquire(struct saggar_claim *claim, uint64_t offset, uint64_t deadline) {
    bool waited = false;
    if (!take_place(claim, offset, deadline, &waited))
        return SAGGAR_CLAIM_NONE;
    enum sg_lock_result result = lock(claim, deadline, &waited);
    if (result == SG_LOCK_TAKEN || result == SG_LOCK_DEADLOCK) {
        pthread_mutex_lock(&claims.mutex);
        if (sg_store_is_network(claim->store))
            drop_on_network(claim);
        leave(claim);
        pthread_mutex_unlock(&claims.mutex);
        return SAGGAR_CLAIM_NONE;
    }
    return waited ? SAGGAR_CLAIM_FREED : SAGGAR_CLAIM_OWNED; /* without locks: among our threads only */
}

static void no_fault(void *context, saggar_reason reason, const char *detail) {
    (void)context;
    (void)reason;
    (void)detail;
}

/* Somebody may have published between the caller's look and the claim, too early to be waited for. */
static bool is_published(struct sg_tier *store, const uint8_t *key) {
    struct sg_candidate candidates[SAGGAR_MAX_SLOTS];
    unsigned n = 0;
    if (store->ops->find(store, key, candidates, &n, no_fault, NULL) != SAGGAR_OK)
        return false;
    for (unsigned i = 0; i < n; i++)
        store->ops->release(&candidates[i]);
    return n > 0;
}

/* The key's first 62 bits. */
static uint64_t offset_of(const uint8_t *key) {
    uint64_t offset = 0;
    for (int i = 0; i < 8; i++)
        offset = offset << 8 | key[i];
    return offset >> 2;
}

int saggar_cache_claim(saggar_cache *cache, const uint8_t key[SAGGAR_KEY_SIZE], int64_t wait_ms,
                       saggar_claim **out, saggar_claim_outcome *outcome) {
    if (cache == NULL || key == NULL || out == NULL || outcome == NULL)
        return SAGGAR_EINVAL;
    saggar_claim *claim = calloc(1, sizeof *claim);
    if (claim == NULL)
        return SAGGAR_ENOMEM;
    *out = claim;
    *outcome = SAGGAR_CLAIM_NONE;
    struct sg_tier *store = cache->stack.store;
    if (store == NULL || cache->read_only)
        return SAGGAR_OK;
    sg_store_ref(store);
    claim->store = store;
    uint64_t wait = (uint64_t)(wait_ms >= 0 ? wait_ms : cache->wait_ms), deadline;
    if (__builtin_mul_overflow(wait, UINT64_C(1000000), &deadline) ||
        __builtin_add_overflow(deadline, sg_now_ns(CLOCK_MONOTONIC), &deadline) || deadline > INT64_MAX)
        deadline = INT64_MAX;
    int before;
    pthread_once(&once, init);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    *outcome = acquire(claim, offset_of(key), deadline);
    pthread_setcancelstate(before, &before);
    if (*outcome == SAGGAR_CLAIM_OWNED && is_published(store, key))
        *outcome = SAGGAR_CLAIM_FREED;
    return SAGGAR_OK;
}

void saggar_claim_release(saggar_claim *claim) {
    if (claim == NULL)
        return;
    pthread_mutex_lock(&claims.mutex);
    if (claim->file != NULL && claim->generation == claims.generation) {
        if (sg_store_is_network(claim->store))
            drop_on_network(claim);
        else
            sg_lock_drop(claim->file, claim->held.offset);
        leave(claim);
    }
    pthread_mutex_unlock(&claims.mutex);
    if (claim->store != NULL)
        claim->store->ops->close(claim->store);
    free(claim);
}
