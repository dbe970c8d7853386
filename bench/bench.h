/* What the benchmarks share, beside the entries of the tests: clocks, repeated passes, rows of output, marks
 * for counting system calls.
 *
 * A row is "name<TAB>value<TAB>unit" on stdout. A mark is one access() of a path that is not there:
 * bench/run.py, which runs the program a second time under strace with BENCH_CALLS=1, counts what lies
 * between two marks. */
#ifndef SG_BENCH_H
#define SG_BENCH_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "../tests/entries.h"

enum { KEYS = 1000, OBJECT = 16384, PASSES = 9 };

static inline bool counting(void) {
    return getenv("BENCH_CALLS") != NULL;
}

/* In a counting run every timed loop has this many turns. */
static inline unsigned turns(unsigned n) {
    return counting() && n > 10 ? 10 : n;
}

static inline void mark(const char *edge, const char *name, unsigned n) {
    char path[128];
    if (!counting())
        return;
    snprintf(path, sizeof path, "/bench-%s/%s/%u", edge, name, n);
    (void)!access(path, F_OK);
}

/* A cache of this image ("" for none) and this store ("" for none). */
static inline saggar_cache *open_cache(const char *image, const char *store) {
    saggar_cache_options options;
    saggar_cache *cache;
    saggar_tier_info tier;
    saggar_cache_options_init(&options);
    options.images = image;
    options.store = store;
    NEED(saggar_cache_open(&options, &cache) == SAGGAR_OK);
    if (image[0] != '\0' && (saggar_cache_tier(cache, 0, &tier) != SAGGAR_OK || !tier.active)) {
        fprintf(stderr, "%s: %s\n", tier.path, tier.note);
        exit(1);
    }
    return cache;
}

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int smaller_first(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(double *x, unsigned n) {
    qsort(x, n, sizeof *x, smaller_first);
    return x[n / 2];
}

static inline void row(const char *name, double value, const char *unit) {
    printf("%s\t%.6g\t%s\n", name, value, unit);
    fflush(stdout);
}

/* Runs `body(context, i)` for i below n, `passes` times; prints the median of the passes, in nanoseconds per
 * turn. */
static inline void timed(const char *name, unsigned passes, unsigned n, void (*body)(void *, unsigned),
                         void *context) {
    double took[64];
    n = turns(n);
    passes = counting() ? 1 : passes;
    for (unsigned p = 0; p < passes; p++) {
        mark("begins", name, n);
        double start = now();
        for (unsigned i = 0; i < n; i++)
            body(context, i);
        took[p] = (now() - start) / n;
        mark("ends", name, n);
    }
    row(name, median(took, passes), "ns");
}

/* Each turn by itself, for what waits for a disk: the median of the turns. */
static inline void timed_each(const char *name, unsigned n, void (*body)(void *, unsigned), void *context) {
    static double took[1 << 14];
    n = turns(n);
    mark("begins", name, n);
    for (unsigned i = 0; i < n; i++) {
        double start = now();
        body(context, i);
        took[i] = now() - start;
    }
    mark("ends", name, n);
    row(name, median(took, n), "ns");
}

#endif
