/* Claims where something is missing: descriptors, the store, locks, threads. */
#include <fcntl.h>
#include <sys/stat.h>

#include "claims.h"

static int is_locked(void *arg) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(arg, O_RDWR);
    return fcntl(fd, F_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

static void test_closed_descriptor(void **state) {
    (void)state;
    saggar_claim *a, *b;
    saggar_cache *cache = open_cache();
    char other[300], bytes[4] = "";
    assert_int_equal(ask(cache, 1, 0, &a), SAGGAR_CLAIM_OWNED);
    int highest = open("/dev/null", O_RDONLY);
    for (int fd = 3; fd <= highest; fd++)
        close(fd); /* as a daemon does */
    snprintf(other, sizeof other, "%s/other", dir);
    for (int fd = 3; fd <= highest; fd++)
        assert_true(open(other, O_RDWR | O_CREAT, 0600) >= 0);
    assert_int_equal(ask(cache, 2, 0, &b), SAGGAR_CLAIM_OWNED);
    assert_int_equal(elsewhere(2, 0), SAGGAR_CLAIM_NONE);
    assert_int_equal(child_run(is_locked, other), 0); /* nothing was done to the program's file */
    saggar_claim_release(b);
    saggar_claim_release(a);
    for (int fd = 3; fd <= highest; fd++) {
        assert_int_equal(read(fd, bytes, 1), 0);
        close(fd);
    }
    saggar_cache_close(cache);
}

static void test_store_removed(void **state) {
    (void)state;
    saggar_claim *a, *b;
    saggar_cache *cache = open_cache();
    assert_int_equal(ask(cache, 1, 0, &a), SAGGAR_CLAIM_OWNED);
    remove_tree(store);
    assert_int_equal(ask(cache, 2, 0, &b), SAGGAR_CLAIM_OWNED);
    assert_int_equal(elsewhere(2, 0), SAGGAR_CLAIM_NONE);
    saggar_claim_release(a);
    saggar_claim_release(b);
    saggar_cache_close(cache);
}

static void test_no_store(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_cache *cache;
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.store = "";
    assert_int_equal(saggar_cache_open(&options, &cache), SAGGAR_OK);
    assert_int_equal(ask(cache, 1, LONG, &claim), SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    options.store = store;
    options.read_only = true;
    assert_int_equal(saggar_cache_open(&options, &cache), SAGGAR_OK);
    assert_int_equal(ask(cache, 1, LONG, &claim), SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    fclose(fopen(store, "w")); /* a file where the store should be */
    cache = open_cache();
    assert_int_equal(ask(cache, 1, LONG, &claim), SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    struct stat st;
    assert_int_equal(stat(store, &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 0);
}

/* From here on a system call fails: all of them, or those with this second argument. */
static bool fail_call(int number, int second, int error) {
    struct sock_filter one[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)second, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
    };
    struct sock_filter all[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
    };
    struct sock_fprog program = {second < 0 ? 4 : 6, second < 0 ? all : one};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int no_locks(void *arg) {
    saggar_claim *a, *b;
    saggar_cache *cache = open_cache();
    if (!fail_call(SYS_fcntl, F_SETLK, *(int *)arg))
        return 77;
    int outcome = ask(cache, 1, LONG, &a);
    ask(cache, 2, LONG, &b);
    saggar_claim_release(a);
    saggar_claim_release(b);
    return outcome;
}

static void test_no_locks(void **state) {
    (void)state;
    const int errors[] = {ENOLCK, EOPNOTSUPP, EIO, EPERM};
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    assert_int_equal(ask(cache, 1, 0, &claim), SAGGAR_CLAIM_OWNED);
    for (unsigned i = 0; i < 4; i++) {
        double start = now();
        int outcome = child_run(no_locks, (void *)(uintptr_t)&errors[i]);
        if (outcome == 77)
            skip();
        assert_int_equal(outcome, SAGGAR_CLAIM_OWNED);
        assert_true(now() - start < 10);
    }
    saggar_claim_release(claim);
    saggar_cache_close(cache);
}

static int no_threads(void *arg) {
    saggar_claim *claim;
    saggar_cache *cache = open_cache();
    if (!fail_call(SYS_clone, -1, EAGAIN) || !fail_call(SYS_clone3, -1, EAGAIN))
        return 77;
    shared->ready = 2;
    int outcome = ask(cache, 1, *(int *)arg, &claim);
    saggar_claim_release(claim);
    return outcome;
}

static void test_no_threads(void **state) {
    (void)state;
    int wait = SHORT;
    pid_t pid = child_start(own, NULL);
    wait_until(&shared->ready, 1);
    int outcome = child_run(no_threads, &wait);
    if (outcome != 77) {
        assert_int_equal(outcome, SAGGAR_CLAIM_NONE);
        shared->ready = 1;
        wait = LONG;
        pid_t waiter = child_start(no_threads, &wait);
        wait_until(&shared->ready, 2);
        usleep(30000);
        shared->go = 1;
        assert_int_equal(child_wait(waiter), SAGGAR_CLAIM_FREED);
    }
    shared->go = 1;
    assert_int_equal(child_wait(pid), 0);
}

static int not_ours(void *arg) {
    saggar_claim *claim;
    (void)arg;
    if (geteuid() != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return 77;
    saggar_cache *cache = open_cache();
    saggar_tier_info info;
    if (saggar_cache_tier(cache, 0, &info) != SAGGAR_OK || !info.active)
        return 8; /* root's store is read */
    int outcome = ask(cache, 1, LONG, &claim);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    return outcome;
}

/* A store that may only be read, with its lock held by its owner: nobody waits for what they cannot see. */
static void test_no_permission(void **state) {
    (void)state;
    char v1[320];
    pid_t owner = child_start(own, NULL);
    wait_until(&shared->ready, 1);
    snprintf(v1, sizeof v1, "%s/v1", store);
    assert_int_equal(chmod(dir, 0755) | chmod(store, 0755) | chmod(v1, 0755), 0);
    double start = now();
    int result = child_run(not_ours, NULL);
    double took = now() - start;
    shared->go = 1;
    assert_int_equal(child_wait(owner), 0);
    if (result == 77)
        skip();
    assert_int_equal(result, SAGGAR_CLAIM_NONE);
    assert_true(took < 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIMS_CASE(test_closed_descriptor), CLAIMS_CASE(test_store_removed), CLAIMS_CASE(test_no_store),
        CLAIMS_CASE(test_no_locks),          CLAIMS_CASE(test_no_threads),    CLAIMS_CASE(test_no_permission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
