/*
 * What claims save: PROCESSES processes ask for the same KEYS keys of one empty store, and "compile" what is
 * missing by burning MILLISECONDS of CPU, with claims and without.
 *
 *     bench-claims FOLDER with|without same|own [PROCESSES [KEYS [MILLISECONDS]]]
 *
 * `same`: all processes ask in the same order, as copies of one workload do; `own`: each in an order of its
 * own. Prints how many compilations ran, how long the processes waited for each other, the CPU time and the
 * wall time of the whole.
 */
#include "bench.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct shared {
    _Atomic unsigned compiles, failed, waits;
    _Atomic uint64_t waited; /* nanoseconds */
} * shared;

static uint8_t keys[1000][32];

static void burn(double milliseconds) {
    struct timespec start, t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    } while ((double)(t.tv_sec - start.tv_sec) * 1e3 + (double)(t.tv_nsec - start.tv_nsec) * 1e-6 <
             milliseconds);
}

static bool there(saggar_cache *cache, const uint8_t *key) {
    saggar_entry *entry;
    saggar_reason reason;
    NEED(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL) == SAGGAR_OK);
    if (entry != NULL)
        saggar_entry_release(entry);
    return entry != NULL;
}

/* As an adapter does it: find; claim; where somebody else was faster find again; compile; publish. */
static void want(saggar_cache *cache, unsigned i, bool claims, double milliseconds) {
    saggar_claim *claim = NULL;
    saggar_claim_outcome outcome = SAGGAR_CLAIM_NONE;
    saggar_draft *d = make_draft(i, 0, saggar_host_arch(), OBJECT);
    const uint8_t *key = keys[i];
    if (!there(cache, key)) {
        double start = now();
        if (claims && saggar_cache_claim(cache, key, -1, &claim, &outcome) != SAGGAR_OK)
            outcome = SAGGAR_CLAIM_NONE;
        if (outcome == SAGGAR_CLAIM_FREED) {
            shared->waits++;
            shared->waited += (uint64_t)(now() - start);
        }
        if (outcome != SAGGAR_CLAIM_FREED || !there(cache, key)) {
            burn(milliseconds);
            shared->compiles++;
            if (saggar_cache_publish(cache, d, NULL) != SAGGAR_OK)
                shared->failed++;
        }
        if (claim != NULL)
            saggar_claim_release(claim);
    }
    saggar_draft_free(d);
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    bool claims = strcmp(argv[2], "with") == 0, own = strcmp(argv[3], "own") == 0;
    unsigned processes = argc > 4 ? (unsigned)atoi(argv[4]) : 8, n = argc > 5 ? (unsigned)atoi(argv[5]) : 50;
    double milliseconds = argc > 6 ? atof(argv[6]) : 10;
    char store[512];
    struct rusage use;
    snprintf(store, sizeof store, "%s/claims-%s-%s", argv[1], argv[2], argv[3]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(shared != MAP_FAILED && n > 0 && n <= 1000);
    for (unsigned i = 0; i < n; i++) {
        struct made m = make_entry(i, 0, saggar_host_arch(), OBJECT);
        memcpy(keys[i], m.key, 32);
        free(m.core);
    }
    double start = now();
    for (unsigned p = 0; p < processes; p++) {
        pid_t pid = fork();
        NEED(pid >= 0);
        if (pid != 0)
            continue;
        saggar_cache *cache = open_cache("", store);
        for (unsigned i = 0; i < n; i++) /* 7919 is prime: every key once */
            want(cache, own ? (i * 7919 + p * n / processes) % n : i, claims, milliseconds);
        saggar_cache_close(cache);
        _exit(0);
    }
    for (int status; wait(&status) > 0;)
        NEED(status == 0);
    double wall = now() - start;
    NEED(getrusage(RUSAGE_CHILDREN, &use) == 0);
    row("compiled", shared->compiles, "");
    row("needed", n, "");
    row("not published", shared->failed, "");
    row("waits", shared->waits, "");
    row("waited", (double)shared->waited, "ns");
    row("CPU",
        ((double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6) *
            1e9,
        "ns");
    row("wall", wall, "ns");
    return 0;
}
