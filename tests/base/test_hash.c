/* Digests against published values; threads and forked children; hex. */
#include "check.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "saggar/saggar.h"

#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA_MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static int sha_is(const void *p, size_t n, const char *want) {
    unsigned char out[SG_SHA256_SIZE];
    char hex[2 * SG_SHA256_SIZE + 1];
    if (sg_sha256(out, p, n) != SAGGAR_OK)
        return 0;
    sg_hex(hex, out, sizeof out);
    return strcmp(hex, want) == 0;
}

static void *hash_often(void *failed) {
    for (int i = 0; i < 500; i++) {
        if (!sha_is("abc", 3, SHA_ABC))
            *(int *)failed = 1;
    }
    return NULL;
}

/* First of all tests, so that the threads race for the first fetch. */
static void test_threads_and_fork(void **state) {
    (void)state;
    pthread_t thread[8];
    int failed[8] = {0};
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hash_often, &failed[i]), 0);
    for (int i = 0; SG_TEST_ASAN && i < 8; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(sha_is("abc", 3, SHA_ABC) ? 0 : 1);
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < 8; i++) {
        if (!SG_TEST_ASAN)
            assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(failed[i], 0);
    }
}

static void test_sha256(void **state) {
    (void)state;
    struct sg_sha256_ctx ctx;
    unsigned char out[SG_SHA256_SIZE];
    char hex[2 * SG_SHA256_SIZE + 1];
    char chunk[1000];
    assert_true(sha_is("", 0, SHA_EMPTY));
    assert_true(sha_is(NULL, 0, SHA_EMPTY));
    assert_true(sha_is("abc", 3, SHA_ABC));
    memset(chunk, 'a', sizeof chunk);
    assert_int_equal(sg_sha256_init(&ctx), SAGGAR_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sg_sha256_update(&ctx, chunk, sizeof chunk), SAGGAR_OK);
    assert_int_equal(sg_sha256_update(&ctx, NULL, 0), SAGGAR_OK);
    assert_int_equal(sg_sha256_final(&ctx, out), SAGGAR_OK);
    sg_hex(hex, out, sizeof out);
    assert_string_equal(hex, SHA_MILLION_A);
    /* Used up: an error, no crash. */
    assert_int_equal(sg_sha256_update(&ctx, "x", 1), SAGGAR_EINVAL);
    assert_int_equal(sg_sha256_final(&ctx, out), SAGGAR_EINVAL);
    assert_int_equal(sg_sha256_init(&ctx), SAGGAR_OK);
    sg_sha256_free(&ctx); /* given up half-way */
    sg_sha256_free(&ctx);
}

static void test_xxh(void **state) {
    (void)state;
    unsigned char out[SG_XXH128_SIZE];
    char hex[2 * SG_XXH128_SIZE + 1];
    assert_true(sg_xxh64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(sg_xxh64("abc", 3) == UINT64_C(0x78af5f94892f3950));
    sg_xxh128(out, "", 0);
    sg_hex(hex, out, sizeof out);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    sg_xxh128(out, "abc", 3);
    sg_hex(hex, out, sizeof out);
    assert_string_equal(hex, "06b05ab6733a618578af5f94892f3950");
}

static void test_hex(void **state) {
    (void)state;
    unsigned char all[256];
    unsigned char back[256];
    char hex[513];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    sg_hex(hex, all, sizeof all);
    assert_memory_equal(hex, "000102", 6);
    assert_string_equal(hex + 508, "feff");
    assert_true(sg_unhex(back, sizeof back, hex, 512));
    assert_memory_equal(back, all, sizeof all);
    sg_hex(hex, NULL, 0);
    assert_string_equal(hex, "");
    assert_true(sg_unhex(back, 0, "", 0));
    assert_true(sg_unhex(back, 2, "0aff", 4));
    assert_false(sg_unhex(back, 2, "0aff", 3));
    assert_false(sg_unhex(back, 2, "0aff00", 6));
    assert_false(sg_unhex(back, 2, "0AFF", 4));
    assert_false(sg_unhex(back, 2, "0a f", 4));
    assert_false(sg_unhex(back, 2, "0ag0", 4));
    assert_false(sg_unhex(back, 2, "0a\0f", 4));
    assert_false(sg_unhex(back, 2, "0xff", 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_and_fork),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_xxh),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
