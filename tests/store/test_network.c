/*
 * A store on a network file system whose server falls silent: the test plays both. Every call that opens
 * something below the store blocks while `silent` is set.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "../cache/make.h"
#include "base/file.h"
#include "cache/cache.h"
#include "store/store.h"

enum { BOUND_S = 20 };

static _Atomic int silent;

bool __wrap_sg_path_is_network(const char *path);
bool __wrap_sg_path_is_network(const char *path) {
    return store[0] != '\0' && strncmp(path, store, strlen(store)) == 0;
}

static void ask_server(const char *path) {
    while (atomic_load(&silent) && (path[0] != '/' || strncmp(path, store, strlen(store)) == 0))
        usleep(1000);
}

int __real_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...) {
    ask_server(path);
    return __real_openat64(dirfd, path, flags, 0600);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...) {
    ask_server(path);
    return __real_open64(path, flags, 0600);
}

int __real_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st) {
    ask_server(path);
    return __real_stat64(path, st);
}

int __real_lstat64(const char *path, struct stat *st);
int __wrap_lstat64(const char *path, struct stat *st);
int __wrap_lstat64(const char *path, struct stat *st) {
    ask_server(path);
    return __real_lstat64(path, st);
}

static double now(void) {
    return (double)sg_now_ns(CLOCK_MONOTONIC) * 1e-9;
}

static saggar_reason find(saggar_cache *cache, int64_t n) {
    char text[64], detail[SAGGAR_DETAIL_SIZE];
    return look_up(cache, n, NULL, text, detail);
}

static saggar_claim_outcome ask(saggar_cache *cache, int64_t n, int64_t ms, saggar_claim **claim) {
    uint8_t key[32];
    saggar_claim_outcome outcome;
    make_key(n, key);
    must(saggar_cache_claim(cache, key, ms, claim, &outcome));
    return outcome;
}

static void test_answers(void **state) {
    (void)state;
    saggar_claim *a, *b;
    saggar_cache *cache = open_cache("", store);
    assert_true(sg_store_is_network(cache->stack.store));
    assert_int_equal(find(cache, 1), SAGGAR_REASON_ABSENT);
    assert_int_equal(ask(cache, 1, 0, &a), SAGGAR_CLAIM_OWNED);
    assert_int_equal(ask(cache, 2, 0, &b), SAGGAR_CLAIM_OWNED);
    must(publish(cache, 1, "text"));
    saggar_claim_release(a);
    saggar_claim_release(b);
    assert_int_equal(find(cache, 1), SAGGAR_REASON_NONE);
    assert_int_equal(ask(cache, 1, 0, &a), SAGGAR_CLAIM_FREED); /* published already */
    saggar_cache_close(cache);
    saggar_claim_release(a); /* after its cache */
}

static int claim_five(void *unused) {
    saggar_claim *claim;
    (void)unused;
    return (int)ask(open_cache("", store), 5, 0, &claim);
}

static void test_silent(void **state) {
    (void)state;
    saggar_claim *claim, *held;
    saggar_cache *cache = open_cache("", store);
    must(publish(cache, 1, "text"));
    assert_int_equal(ask(cache, 5, 0, &held), SAGGAR_CLAIM_OWNED);
    atomic_store(&silent, 1);
    double start = now();
    assert_int_equal(find(cache, 1), SAGGAR_REASON_IO);
    assert_true(now() - start > 1 && now() - start < BOUND_S);
    start = now();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(find(cache, 1), SAGGAR_REASON_IO);
        assert_int_equal(publish(cache, 2, "text"), SAGGAR_ETIMEOUT);
        assert_int_equal(ask(cache, 2, 60000, &claim), SAGGAR_CLAIM_NONE);
        saggar_claim_release(claim);
    }
    saggar_claim_release(held);
    assert_true(now() - start < 1);
    atomic_store(&silent, 0);
    for (int i = 0; i < 5000 && find(cache, 1) != SAGGAR_REASON_NONE; i++)
        usleep(1000);
    assert_int_equal(find(cache, 1), SAGGAR_REASON_NONE);
    must(publish(cache, 2, "text"));
    /* What was given back meanwhile is free again, for others too. */
    int outcome = SAGGAR_CLAIM_NONE;
    for (int i = 0; i < 5000 && outcome != SAGGAR_CLAIM_OWNED; i++) {
        usleep(1000);
        outcome = child_run(claim_five, NULL);
    }
    assert_int_equal(outcome, SAGGAR_CLAIM_OWNED);
    saggar_cache_close(cache);
}

/* The call that is out outlives its cache. */
static void test_closed_meanwhile(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    must(publish(cache, 1, "text"));
    atomic_store(&silent, 1);
    assert_int_equal(find(cache, 1), SAGGAR_REASON_IO);
    saggar_cache_close(cache);
    atomic_store(&silent, 0);
    usleep(200000);
}

static void test_silent_start(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_tier_info info;
    must(mkdir(store, 0700));
    atomic_store(&silent, 1);
    double start = now();
    saggar_cache *cache = open_cache("", store);
    assert_true(now() - start < BOUND_S);
    must(saggar_cache_tier(cache, 0, &info));
    assert_false(info.active);
    assert_non_null(strstr(info.note, "does not answer"));
    assert_int_equal(find(cache, 1), SAGGAR_REASON_IO);
    assert_int_equal(publish(cache, 1, "text"), SAGGAR_ETIMEOUT);
    assert_int_equal(ask(cache, 1, 60000, &claim), SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    atomic_store(&silent, 0);
    usleep(200000);
}

/* A child does not wait for its parent's call; it asks itself. */
static int in_child(void *cache) {
    atomic_store(&silent, 0);
    return find(cache, 1) == SAGGAR_REASON_NONE && publish(cache, 3, "text") == SAGGAR_OK ? 0 : 1;
}

static void test_fork(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    must(publish(cache, 1, "text"));
    atomic_store(&silent, 1);
    assert_int_equal(find(cache, 1), SAGGAR_REASON_IO);
    assert_int_equal(child_run(in_child, cache), 0);
    atomic_store(&silent, 0);
    usleep(200000);
    saggar_cache_close(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {MAKE_CASE(test_answers), MAKE_CASE(test_silent),
                                       MAKE_CASE(test_closed_meanwhile), MAKE_CASE(test_silent_start),
                                       MAKE_CASE(test_fork)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
