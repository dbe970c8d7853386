/* The buffer: contents, limit, sticky errors, and every allocation failing once. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "saggar/saggar.h"

/* The linker sends the library's realloc() and calloc() here (--wrap). -1: never fails. */
static int fail_in = -1;
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__real_calloc(size_t a, size_t b);
void *__wrap_calloc(size_t a, size_t b);

void *__wrap_realloc(void *p, size_t n) {
    return fail_in >= 0 && fail_in-- == 0 ? NULL : __real_realloc(p, n);
}

void *__wrap_calloc(size_t a, size_t b) {
    return fail_in >= 0 && fail_in-- == 0 ? NULL : __real_calloc(a, b);
}

static void test_contents(void **state) {
    (void)state;
    static const unsigned char want[] = {1, 3, 2, 7, 6, 5, 4,   15,  14, 13, 12, 11, 10,
                                         9, 8, 2, 0, 0, 0, 'h', 'i', 0,  0,  0,  'x'};
    struct sg_buf buf;
    size_t len = 0;
    sg_buf_init(&buf, 1000);
    sg_buf_u8(&buf, 1);
    sg_buf_u16(&buf, 0x0203);
    sg_buf_u32(&buf, 0x04050607);
    sg_buf_u64(&buf, UINT64_C(0x08090a0b0c0d0e0f));
    sg_buf_text(&buf, "hi", 2);
    sg_buf_zeros(&buf, 3);
    sg_buf_add(&buf, NULL, 0);
    assert_int_equal(sg_buf_add(&buf, "x", 1), SAGGAR_OK);
    assert_int_equal(buf.len, sizeof want);
    assert_memory_equal(buf.data, want, sizeof want);
    sg_buf_pad64(&buf);
    assert_int_equal(buf.len, 64);
    assert_true(sg_is_zero(buf.data + sizeof want, 64 - sizeof want));
    sg_buf_pad64(&buf);
    assert_int_equal(buf.len, 64);
    unsigned char *data = sg_buf_steal(&buf, &len);
    assert_non_null(data);
    assert_int_equal(len, 64);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.max, 1000);
    assert_null(buf.data);
    free(data);
    sg_buf_free(&buf);
}

static void test_growth(void **state) {
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 100000);
    for (uint32_t i = 0; i < 25000; i++)
        assert_int_equal(sg_buf_u32(&buf, i), SAGGAR_OK);
    for (uint32_t i = 0; i < 25000; i++)
        assert_true(sg_load32(buf.data + (size_t)4 * i) == i);
    assert_true(buf.cap <= buf.max);
    assert_int_equal(sg_buf_u8(&buf, 0), SAGGAR_ELIMIT);
    sg_buf_free(&buf);
    assert_int_equal(buf.err, SAGGAR_OK);
}

static void test_limit_sticks(void **state) {
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 15);
    assert_int_equal(sg_buf_text(&buf, "abcdef", 6), SAGGAR_OK);
    assert_int_equal(sg_buf_text(&buf, "xy", 2), SAGGAR_ELIMIT);
    assert_int_equal(buf.len, 10); /* not even the length of the second text */
    sg_buf_free(&buf);
    sg_buf_init(&buf, 10);
    sg_buf_add(&buf, "0123456789a", 11);
    assert_int_equal(sg_buf_u8(&buf, 1), SAGGAR_ELIMIT); /* would fit, but the error stands */
    assert_int_equal(sg_buf_reserve(&buf, 1), SAGGAR_ELIMIT);
    assert_int_equal(sg_buf_pad64(&buf), SAGGAR_ELIMIT);
    assert_int_equal(buf.len, 0);
    assert_null(sg_buf_steal(&buf, NULL));
    sg_buf_free(&buf);
    sg_buf_init(&buf, SIZE_MAX);
    sg_buf_u8(&buf, 1);
    assert_int_equal(sg_buf_reserve(&buf, SIZE_MAX), SAGGAR_ELIMIT); /* the sum would wrap */
    sg_buf_free(&buf);
#if SIZE_MAX > UINT32_MAX
    sg_buf_init(&buf, SIZE_MAX);
    assert_int_equal(sg_buf_text(&buf, "", (size_t)UINT32_MAX + 1), SAGGAR_ELIMIT);
    sg_buf_free(&buf);
#endif
}

static void test_no_memory(void **state) {
    (void)state;
    for (int n = 0; n < 3; n++) {
        struct sg_buf buf;
        sg_buf_init(&buf, 1 << 20);
        fail_in = n;
        for (int i = 0; i < 100; i++)
            sg_buf_add(&buf, "0123456789", 10);
        assert_int_equal(buf.err, SAGGAR_ENOMEM);
        assert_int_equal(buf.len % 10, 0);
        if (buf.len != 0)
            assert_memory_equal(buf.data + buf.len - 10, "0123456789", 10);
        assert_null(sg_buf_steal(&buf, NULL));
        sg_buf_free(&buf);
    }
    fail_in = -1;
}

static void test_steal_empty(void **state) {
    (void)state;
    struct sg_buf buf;
    size_t len = 5;
    sg_buf_init(&buf, 0);
    unsigned char *data = sg_buf_steal(&buf, &len);
    assert_non_null(data);
    assert_int_equal(len, 0);
    free(data);
    fail_in = 0;
    assert_null(sg_buf_steal(&buf, &len));
    assert_int_equal(buf.err, SAGGAR_ENOMEM);
    fail_in = -1;
    sg_buf_free(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),     cmocka_unit_test(test_growth),
        cmocka_unit_test(test_limit_sticks), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_steal_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
