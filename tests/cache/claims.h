/* What the tests of claims share: processes that claim, wait and tell each other how far they are. */
#ifndef SG_TESTS_CACHE_CLAIMS_H
#define SG_TESTS_CACHE_CLAIMS_H

#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "../base/check.h"
#include "../trail/child.h"
#include "saggar/saggar.h"

enum { LONG = 30000, SHORT = 300 };

static char dir[256], store[300];

/* What the processes of a case tell each other. */
static struct shared {
    volatile int ready, go, done;
    volatile int outcome[4];
} * shared;

static inline int setup(void **state) {
    (void)state;
    if (!make_temp(dir))
        return 1;
    snprintf(store, sizeof store, "%s/store", dir);
    setenv("SAGGAR_IMAGE_PATH", "none", 1);
    unsetenv("SAGGAR_WAIT");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

static inline int teardown(void **state) {
    (void)state;
    munmap(shared, sizeof *shared);
    remove_tree(dir);
    return 0;
}

static inline saggar_cache *open_cache(void) {
    saggar_cache_options options;
    saggar_cache *cache = NULL;
    saggar_cache_options_init(&options);
    options.store = store;
    options.images = "";
    if (saggar_cache_open(&options, &cache) != SAGGAR_OK)
        abort();
    return cache;
}

/* A saggar_claim_outcome, as the number that a child's exit status carries. */
static inline int ask(saggar_cache *cache, uint8_t which, int64_t wait_ms, saggar_claim **out) {
    uint8_t key[32] = {0xab, which, 3};
    saggar_claim_outcome outcome;
    if (saggar_cache_claim(cache, key, wait_ms, out, &outcome) != SAGGAR_OK)
        abort();
    return (int)outcome;
}

/* Takes a claim for a moment in another process. */
struct probe {
    uint8_t which;
    int wait;
};

static inline int probe(void *arg) {
    const struct probe *p = arg;
    saggar_claim *claim;
    int outcome = ask(open_cache(), p->which, p->wait, &claim);
    saggar_claim_release(claim);
    return outcome;
}

static inline int elsewhere(uint8_t which, int wait) {
    struct probe p = {which, wait};
    return child_run(probe, &p);
}

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void wait_until(volatile int *flag, int value) {
    for (int i = 0; i < 20000 && *flag < value; i++)
        usleep(500);
    if (*flag < value)
        abort();
}

/* Owns claim 1 until told to let go. */
static inline int own(void *arg) {
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    if (ask(cache, 1, 0, &claim) != SAGGAR_CLAIM_OWNED)
        return 9;
    (void)arg;
    shared->ready = 1;
    wait_until(&shared->go, 1);
    saggar_claim_release(claim);
    shared->done = 1;
    usleep(300000);
    return 0;
}

#define CLAIMS_CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
