/* Claims between processes and between threads: bounded, released by the kernel, never two that wait for each
 * other. */
#include <pthread.h>

#include "claims.h"

/* ---- One owner ---- */

static void test_owned(void **state) {
    (void)state;
    saggar_claim *a, *b;
    saggar_cache *cache = open_cache();
    assert_int_equal(ask(cache, 1, LONG, &a), SAGGAR_CLAIM_OWNED);
    assert_int_equal(ask(cache, 2, LONG, &b), SAGGAR_CLAIM_OWNED);
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_NONE);
    assert_int_equal(elsewhere(3, 0), SAGGAR_CLAIM_OWNED);
    saggar_claim_release(a);
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_OWNED);
    assert_int_equal(elsewhere(2, 0), SAGGAR_CLAIM_NONE);
    saggar_claim_release(b);
    saggar_claim_release(NULL);
    saggar_cache_close(cache);
}

static void test_freed(void **state) {
    (void)state;
    pid_t pid = child_start(own, NULL);
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    wait_until(&shared->ready, 1);
    struct probe p = {1, LONG};
    pid_t waiter = child_start(probe, &p);
    usleep(50000);
    shared->go = 1;
    assert_int_equal(child_wait(waiter), SAGGAR_CLAIM_FREED);
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(ask(cache, 1, 0, &claim), SAGGAR_CLAIM_OWNED);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
}

static int own_with_child(void *arg) {
    pid_t *child = arg;
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    if (ask(cache, 1, 0, &claim) != SAGGAR_CLAIM_OWNED)
        return 9;
    pid_t forked = fork();
    if (forked == 0) {
        pause();
        _exit(0);
    }
    *child = forked;
    shared->ready = 1;
    pause();
    return 0;
}

/* The owner is killed, while a forked child of it lives on with all its descriptors. */
static void test_owner_killed(void **state) {
    (void)state;
    pid_t *child = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = child_start(own_with_child, child);
    struct probe p = {1, LONG};
    wait_until(&shared->ready, 1);
    pid_t waiter = child_start(probe, &p);
    usleep(100000);
    double start = now();
    kill(pid, SIGKILL);
    assert_int_equal(child_wait(waiter), SAGGAR_CLAIM_FREED);
    double took = now() - start;
    print_message("takeover after %.1f ms\n", took * 1000);
    assert_true(took < 5);
    assert_int_equal(kill(*child, 0), 0);
    kill(*child, SIGKILL);
    child_wait(pid);
    munmap(child, 4096);
}

/* A stopped owner costs the waiter its bound, and the waiter leaves nothing behind. */
static void test_owner_stopped(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    pid_t pid = child_start(own, NULL);
    wait_until(&shared->ready, 1);
    kill(pid, SIGSTOP);
    double start = now();
    assert_int_equal(ask(cache, 1, SHORT, &claim), SAGGAR_CLAIM_NONE);
    double took = now() - start;
    assert_true(took >= 0.25 && took < 10);
    saggar_claim_release(claim);
    kill(pid, SIGKILL);
    assert_int_equal(child_wait(pid), -SIGKILL);
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_OWNED); /* our cancelled wait did not get it */
    saggar_cache_close(cache);
}

/* The lock comes just when the waiter gives up: whatever it is told, no lock stays that nobody knows of. */
static void test_deadline_race(void **state) {
    (void)state;
    saggar_cache *cache = open_cache();
    int freed = 0;
    for (int i = 0; i < 40; i++) {
        saggar_claim *claim;
        memset((void *)shared, 0, sizeof *shared);
        pid_t pid = child_start(own, NULL);
        wait_until(&shared->ready, 1);
        pid_t releaser = fork();
        if (releaser == 0) {
            usleep(20000);
            shared->go = 1;
            _exit(0);
        }
        freed += ask(cache, 1, 18 + i % 5, &claim) == SAGGAR_CLAIM_FREED;
        saggar_claim_release(claim);
        wait_until(&shared->done, 1);
        assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_OWNED);
        child_wait(releaser);
        kill(pid, SIGKILL);
        child_wait(pid);
    }
    print_message("freed %d of 40\n", freed);
    saggar_cache_close(cache);
}

/* ---- Waiting for each other ---- */

static int crossing(void *arg) {
    int me = (int)(intptr_t)arg;
    saggar_claim *mine, *theirs;
    saggar_cache *cache = open_cache();
    if (ask(cache, (uint8_t)(1 + me), 0, &mine) != SAGGAR_CLAIM_OWNED)
        return 9;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
    wait_until(&shared->ready, 2);
    int outcome = ask(cache, (uint8_t)(2 - me), LONG, &theirs);
    saggar_claim_release(theirs);
    saggar_claim_release(mine);
    return outcome;
}

/* Two processes compile mutually recursive functions. */
static void test_mutual_recursion(void **state) {
    (void)state;
    double start = now();
    pid_t a = child_start(crossing, (void *)0), b = child_start(crossing, (void *)1);
    int x = child_wait(a), y = child_wait(b);
    assert_true((x == SAGGAR_CLAIM_NONE && y == SAGGAR_CLAIM_FREED) ||
                (y == SAGGAR_CLAIM_NONE && x == SAGGAR_CLAIM_FREED));
    assert_true(now() - start < 10);
}

struct cross {
    saggar_cache *cache;
    uint8_t me;
};

static void *crossing_thread(void *arg) {
    struct cross *c = arg;
    saggar_claim *mine, *theirs;
    assert_int_equal(ask(c->cache, (uint8_t)(1 + c->me), LONG, &mine), SAGGAR_CLAIM_OWNED);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
    wait_until(&shared->ready, 2);
    shared->outcome[c->me] = ask(c->cache, (uint8_t)(2 - c->me), LONG, &theirs);
    saggar_claim_release(theirs);
    saggar_claim_release(mine);
    return NULL;
}

static void test_mutual_threads(void **state) {
    (void)state;
    saggar_cache *cache = open_cache();
    struct cross c[2] = {{cache, 0}, {cache, 1}};
    pthread_t t[2];
    double start = now();
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, crossing_thread, &c[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(shared->outcome[0] + shared->outcome[1], SAGGAR_CLAIM_NONE + SAGGAR_CLAIM_FREED);
    assert_true(now() - start < 10);
    saggar_cache_close(cache);
}

static void test_recursion(void **state) {
    (void)state;
    saggar_claim *a, *b;
    saggar_cache *cache = open_cache(), *other = open_cache();
    double start = now();
    assert_int_equal(ask(cache, 1, LONG, &a), SAGGAR_CLAIM_OWNED);
    assert_int_equal(ask(cache, 1, LONG, &b), SAGGAR_CLAIM_NONE);
    saggar_claim_release(b);
    assert_int_equal(ask(other, 1, LONG, &b), SAGGAR_CLAIM_NONE); /* the same store through another handle */
    saggar_claim_release(b);
    saggar_cache_close(other); /* must not let go of the lock */
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_NONE);
    saggar_claim_release(a);
    assert_true(now() - start < 10);
    saggar_cache_close(cache);
}

/* ---- Threads ---- */

struct crowd {
    saggar_cache *cache;
    int compiled, owned, freed, inside;
};

static void *member(void *arg) {
    struct crowd *c = arg;
    saggar_claim *claim;
    int outcome = ask(c->cache, 1, LONG, &claim);
    if (__atomic_add_fetch(&c->inside, 1, __ATOMIC_SEQ_CST) != 1)
        abort();
    __atomic_fetch_add(outcome == SAGGAR_CLAIM_OWNED ? &c->owned : &c->freed, outcome != SAGGAR_CLAIM_NONE,
                       __ATOMIC_SEQ_CST);
    if (c->compiled == 0) {
        usleep(20000);
        c->compiled++;
    }
    __atomic_sub_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
    saggar_claim_release(claim);
    return NULL;
}

static int crowd(void *arg) {
    struct crowd c = {open_cache(), 0, 0, 0, 0};
    pthread_t t[16];
    (void)arg;
    for (int i = 0; i < 16; i++)
        pthread_create(&t[i], NULL, member, &c);
    for (int i = 0; i < 16; i++)
        pthread_join(t[i], NULL);
    return c.compiled == 1 && c.owned + c.freed == 16 && c.owned >= 1 ? 0 : 1;
}

static void test_threads(void **state) {
    (void)state;
    assert_int_equal(child_run(crowd, NULL), 0);
}

/* ---- fork ---- */

static int inherit(void *arg) {
    saggar_claim_release(arg);
    shared->ready = 1;
    return 0;
}

static void test_fork(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    assert_int_equal(ask(cache, 1, 0, &claim), SAGGAR_CLAIM_OWNED);
    assert_int_equal(child_run(inherit, claim), 0); /* the child's handle is inert */
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_OWNED);
    saggar_cache_close(cache);
}

static int claim_again(void *arg) {
    saggar_claim *claim;
    int first = ask(arg, 1, 0, &claim);
    saggar_claim_release(claim);
    int second = ask(arg, 2, 0, &claim);
    int third = elsewhere(2, 0); /* the child's own claim counts */
    saggar_claim_release(claim);
    return first == SAGGAR_CLAIM_NONE && second == SAGGAR_CLAIM_OWNED && third == SAGGAR_CLAIM_NONE ? 0 : 1;
}

/* A child that goes on working with the parent's handle is a process of its own. */
static void test_fork_claims(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    assert_int_equal(ask(cache, 1, 0, &claim), SAGGAR_CLAIM_OWNED);
    assert_int_equal(child_run(claim_again, cache), 0);
    assert_int_equal(elsewhere(1, 0), SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
}

struct inherited {
    saggar_cache *cache;
    saggar_claim *claim;
};

static int claim_for_itself(void *arg) {
    struct inherited *i = arg;
    saggar_claim *own;
    wait_until(&shared->go, 1);
    if (ask(i->cache, 1, 0, &own) != SAGGAR_CLAIM_OWNED)
        return 1;
    saggar_claim_release(i->claim); /* says nothing about the child's own claim */
    int outcome = elsewhere(1, 0);
    saggar_claim_release(own);
    return outcome == SAGGAR_CLAIM_NONE ? 0 : 2;
}

static void test_fork_same_key(void **state) {
    (void)state;
    struct inherited i = {open_cache(), NULL};
    assert_int_equal(ask(i.cache, 1, 0, &i.claim), SAGGAR_CLAIM_OWNED);
    pid_t pid = child_start(claim_for_itself, &i);
    saggar_claim_release(i.claim);
    shared->go = 1;
    assert_int_equal(child_wait(pid), 0);
    saggar_cache_close(i.cache);
}

static volatile bool stop;

static void *churn(void *arg) {
    while (!stop) {
        saggar_claim *claim;
        ask(arg, 7, 0, &claim);
        saggar_claim_release(claim);
    }
    return NULL;
}

static int use_once(void *arg) {
    saggar_claim *claim;
    ask(arg, 8, LONG, &claim);
    saggar_claim_release(claim);
    return 0;
}

static int fork_in_crowd(void *arg) {
    saggar_cache *cache = open_cache();
    pthread_t t[4];
    (void)arg;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, churn, cache);
    int bad = 0;
    for (int i = 0; i < 50; i++)
        bad |= child_run(use_once, cache);
    stop = true;
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return bad;
}

static void test_fork_among_threads(void **state) {
    (void)state;
    assert_int_equal(child_run(fork_in_crowd, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIMS_CASE(test_owned),
        CLAIMS_CASE(test_freed),
        CLAIMS_CASE(test_owner_killed),
        CLAIMS_CASE(test_owner_stopped),
        CLAIMS_CASE(test_deadline_race),
        CLAIMS_CASE(test_mutual_recursion),
        CLAIMS_CASE(test_mutual_threads),
        CLAIMS_CASE(test_recursion),
        CLAIMS_CASE(test_threads),
        CLAIMS_CASE(test_fork),
        CLAIMS_CASE(test_fork_claims),
        CLAIMS_CASE(test_fork_same_key),
        CLAIMS_CASE(test_fork_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
