/* The registry of symbol names: one digest a name, in threads and after fork too. */
#include "../base/check.h"

#include <pthread.h>
#include <saggar/saggar.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void digest_of(uint8_t out[32], unsigned seed) {
    memset(out, (int)(seed & 0xff), 32);
    out[31] = (uint8_t)(seed >> 8);
}

static void test_first_digest_stays(void **state) {
    uint8_t a[32], b[32];
    (void)state;

    digest_of(a, 1);
    digest_of(b, 2);
    assert_int_equal(saggar_symbol_register("stays", a), SAGGAR_OK);
    assert_int_equal(saggar_symbol_register("stays", a), SAGGAR_OK);
    assert_int_equal(saggar_symbol_register("stays", b), SAGGAR_EEXISTS);
    assert_int_equal(saggar_symbol_register("stays", a), SAGGAR_OK);
    assert_int_equal(saggar_symbol_register("other", b), SAGGAR_OK);
    assert_int_equal(saggar_symbol_register(NULL, b), SAGGAR_EINVAL);
}

static void *many(void *argument) {
    unsigned wrong = 0;
    (void)argument;

    for (unsigned i = 0; i < 3000; i++) {
        char name[32];
        uint8_t digest[32];
        snprintf(name, sizeof name, "many%u", i);
        digest_of(digest, i);
        wrong += saggar_symbol_register(name, digest) != SAGGAR_OK;
        digest_of(digest, i + 7);
        wrong += saggar_symbol_register(name, digest) != SAGGAR_EEXISTS;
    }
    return (void *)(uintptr_t)wrong;
}

static void test_threads_and_growth(void **state) {
    pthread_t threads[4];
    (void)state;

    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, many, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_int_equal((uintptr_t)wrong, 0);
    }
}

static void test_fork_while_in_use(void **state) {
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, many, NULL), 0);
    if (SG_TEST_ASAN) {
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        int status;
        uint8_t digest[32];
        assert_true(child >= 0);
        if (child == 0) {
            alarm(20); /* a lock held by nobody would hang */
            digest_of(digest, 9);
            _exit(saggar_symbol_register("in the child", digest) == SAGGAR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    if (!SG_TEST_ASAN) {
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_digest_stays),
        cmocka_unit_test(test_threads_and_growth),
        cmocka_unit_test(test_fork_while_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
