/* Many cold processes that want the same keys: each is compiled once, and everybody gets the right bytes. */
#include <signal.h>
#include <sys/mman.h>

#include "make.h"

enum { PROCESSES = 64, KEYS = 200 };

static struct counters {
    int compiled[KEYS];
    int none, wrong, go;
} * shared;

static void compile(saggar_cache *cache, int k, const char *text) {
    __atomic_fetch_add(&shared->compiled[k], 1, __ATOMIC_SEQ_CST);
    usleep(200);
    if (publish(cache, k, text) != SAGGAR_OK)
        __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST);
}

static void want(saggar_cache *cache, int k) {
    uint8_t key[32];
    char text[64], expected[64];
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    snprintf(expected, sizeof expected, "the code of function %d", k);
    make_key(k, key);
    if (look_up(cache, k, NULL, text, NULL) != SAGGAR_REASON_NONE) {
        must(saggar_cache_claim(cache, key, 60000, &claim, &outcome));
        if (outcome == SAGGAR_CLAIM_NONE)
            __atomic_fetch_add(&shared->none, 1, __ATOMIC_SEQ_CST);
        if (outcome != SAGGAR_CLAIM_FREED || look_up(cache, k, NULL, text, NULL) != SAGGAR_REASON_NONE)
            compile(cache, k, expected);
        saggar_claim_release(claim);
        look_up(cache, k, NULL, text, NULL);
    }
    if (strcmp(text, expected) != 0)
        __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST);
}

static int member(void *arg) {
    int first = (int)(intptr_t)arg * 3;
    saggar_cache *cache = open_cache("", store);
    saggar_tier_info info;
    must(saggar_cache_tier(cache, 0, &info));
    if (!info.active)
        fprintf(stderr, "store off: %s\n", info.note);
    while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) == 0)
        usleep(1000);
    for (int i = 0; i < KEYS; i++)
        want(cache, (first + i) % KEYS);
    saggar_cache_close(cache);
    return 0;
}

static void test_fleet(void **state) {
    (void)state;
    pid_t pids[PROCESSES];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = child_start(member, (void *)(intptr_t)i);
    shared->go = 1;
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    assert_int_equal(shared->wrong, 0);
    assert_int_equal(shared->none, 0);
    for (int k = 0; k < KEYS; k++)
        assert_int_equal(shared->compiled[k], 1);
    munmap(shared, sizeof *shared);
}

/* Some of them are killed on the way: the others finish, with at most one more compile for each that died. */
static void test_killed(void **state) {
    (void)state;
    enum { N = 24, KILLED = 8 };
    pid_t pids[N];
    int compiled = 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < N; i++)
        pids[i] = child_start(member, (void *)(intptr_t)i);
    shared->go = 1;
    for (int i = 0; i < KILLED; i++) {
        usleep(8000);
        kill(pids[i * 3], SIGKILL);
    }
    for (int i = 0; i < N; i++) {
        int result = child_wait(pids[i]);
        assert_true(result == 0 || (result == -SIGKILL && i % 3 == 0));
    }
    assert_int_equal(shared->wrong, 0);
    for (int k = 0; k < KEYS; k++) {
        assert_true(shared->compiled[k] >= 1);
        compiled += shared->compiled[k];
    }
    assert_true(compiled <= KEYS + KILLED);
    munmap(shared, sizeof *shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {MAKE_CASE(test_fleet), MAKE_CASE(test_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
