/* Byte order, unaligned access, and arithmetic at its limits. */
#include "check.h"

#include "base/bytes.h"

static void test_load_store(void **state) {
    (void)state;
    unsigned char b[17] = {0};
    for (int shift = 0; shift < 8; shift++) {
        sg_store64(b + shift, UINT64_C(0x8123456789abcdef));
        assert_int_equal(b[shift], 0xef);
        assert_int_equal(b[shift + 7], 0x81);
        assert_true(sg_load64(b + shift) == UINT64_C(0x8123456789abcdef));
        sg_store32(b + shift, 0x89abcdefu);
        assert_int_equal(b[shift + 3], 0x89);
        assert_int_equal(b[shift + 4], 0x67); /* nothing beyond was touched */
        assert_true(sg_load32(b + shift) == 0x89abcdefu);
        sg_store16(b + shift, 0xfedc);
        assert_int_equal(b[shift], 0xdc);
        assert_int_equal(sg_load16(b + shift), 0xfedc);
    }
}

static void test_checked(void **state) {
    (void)state;
    size_t n;
    uint64_t v;
    assert_true(sg_add(SIZE_MAX - 1, 1, &n));
    assert_true(n == SIZE_MAX);
    assert_false(sg_add(SIZE_MAX, 1, &n));
    assert_true(sg_mul(SIZE_MAX / 2, 2, &n));
    assert_false(sg_mul(SIZE_MAX / 2 + 1, 2, &n));
    assert_true(sg_add64(UINT64_MAX, 0, &v));
    assert_false(sg_add64(UINT64_MAX, 1, &v));
    assert_true(sg_mul64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &v));
    assert_false(sg_mul64(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
}

static void test_align(void **state) {
    (void)state;
    static const uint64_t from[] = {0, 1, 63, 64, 65, 128, UINT64_MAX - 63};
    static const uint64_t to[] = {0, 64, 64, 64, 128, 128, UINT64_MAX - 63};
    uint64_t v;
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        assert_true(sg_align64(from[i], &v));
        assert_true(v == to[i]);
    }
    assert_false(sg_align64(UINT64_MAX - 62, &v));
    assert_false(sg_align64(UINT64_MAX, &v));
}

static void test_range(void **state) {
    (void)state;
    assert_true(sg_range_ok(0, 0, 0));
    assert_true(sg_range_ok(10, 0, 10));
    assert_true(sg_range_ok(4, 6, 10));
    assert_false(sg_range_ok(4, 7, 10));
    assert_false(sg_range_ok(11, 0, 10));
    assert_false(sg_range_ok(UINT64_MAX, 2, 10)); /* the sum would wrap to 1 */
    assert_false(sg_range_ok(2, UINT64_MAX, 10));
}

static void test_zero(void **state) {
    (void)state;
    unsigned char b[100] = {0};
    assert_true(sg_is_zero(NULL, 0));
    assert_true(sg_is_zero(b, sizeof b));
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = 1;
        assert_false(sg_is_zero(b, sizeof b));
        assert_true(sg_is_zero(b, i));
        b[i] = 0;
    }
    memset(b, 7, sizeof b);
    assert_false(sg_is_zero(b, sizeof b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_store), cmocka_unit_test(test_checked), cmocka_unit_test(test_align),
        cmocka_unit_test(test_range),      cmocka_unit_test(test_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
