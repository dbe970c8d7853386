/* The encoder's rules: what it refuses, sticky errors, sorting, limits, values put into values. */
#include "../base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "key/value.h"
#include "saggar/saggar.h"

static int make(void **state) {
    return saggar_encoder_new((saggar_encoder **)state);
}

static int unmake(void **state) {
    saggar_encoder_free(*state);
    return 0;
}

static void expect(saggar_encoder *e, const char *hex) {
    const uint8_t *bytes;
    size_t size;
    uint8_t wanted[512];
    size_t n = strlen(hex) / 2;
    assert_true(n <= sizeof wanted && sg_unhex(wanted, n, hex, 2 * n));
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    assert_int_equal(size, n);
    assert_memory_equal(bytes, wanted, n);
}

static void scalars(void **state) {
    saggar_encoder *e = *state;
    static const uint8_t big[9] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0};
    expect(e, "");
    saggar_encode_none(e);
    saggar_encode_bool(e, true);
    saggar_encode_int(e, -2);
    saggar_encode_float(e, -0.0);
    expect(e, "000203feffffffffffffff050000000000000080");
    saggar_encoder_reset(e);
    saggar_encode_bigint(e, false, big, sizeof big); /* 2^63 does not fit, its negative does */
    saggar_encode_bigint(e, true, big, sizeof big);
    saggar_encode_bigint(e, true, NULL, 0);
    expect(e, "040008000000000000000000008003000000000000008003"
              "0000000000000000");
    saggar_encoder_reset(e);
    saggar_encode_text(e, NULL, 0);
    saggar_encode_bytes(e, NULL, 0);
    expect(e, "08000000000700000000");
}

static void errors_stick(void **state) {
    saggar_encoder *e = *state;
    const uint8_t *bytes;
    size_t size;
    saggar_encode_none(e);
    assert_int_equal(saggar_encode_text(e, "\xc0\x80", 2), SAGGAR_EINVAL);
    assert_int_equal(saggar_encode_none(e), SAGGAR_EINVAL);
    assert_int_equal(saggar_encode_begin(e, SAGGAR_LIST), SAGGAR_EINVAL);
    assert_int_equal(saggar_encode_end(e), SAGGAR_EINVAL);
    assert_int_equal(saggar_encode_raw(e, "\0", 1), SAGGAR_EINVAL);
    assert_int_equal(saggar_encoder_error(e), SAGGAR_EINVAL);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_EINVAL);
    saggar_encoder_reset(e);
    assert_int_equal(saggar_encoder_error(e), SAGGAR_OK);
    saggar_encode_none(e);
    expect(e, "00");
}

/* Each letter is a call; the last one is the first that must fail. */
static int play(saggar_encoder *e, const char *script) {
    static const uint64_t extents[] = {1};
    static const uint8_t sha[32] = {1};
    int err = SAGGAR_OK;
    saggar_encoder_reset(e);
    for (; *script != '\0'; script++) {
        if (err != SAGGAR_OK)
            fail_msg("failed before '%s'", script);
        switch (*script) {
        case '[':
            err = saggar_encode_begin(e, SAGGAR_LIST);
            break;
        case '{':
            err = saggar_encode_begin(e, SAGGAR_MAP);
            break;
        case 'o':
            err = saggar_encode_begin(e, SAGGAR_ORDERED_MAP);
            break;
        case 's':
            err = saggar_encode_begin(e, SAGGAR_SET);
            break;
        case 'b':
            err = saggar_encode_begin(e, (saggar_container)SG_TAG_RECORD);
            break;
        case 'r':
            err = saggar_encode_record(e, "r");
            break;
        case 'n':
            err = saggar_encode_name(e, "n");
            break;
        case 'm':
            err = saggar_encode_name(e, "m");
            break;
        case ']':
            err = saggar_encode_end(e);
            break;
        case '0':
            err = saggar_encode_none(e);
            break;
        case '1':
            err = saggar_encode_int(e, 1);
            break;
        case 'g':
            err = saggar_encode_digest(e, "x", sha);
            break;
        case 'k':
            err = saggar_encode_back_reference(e, 1);
            break;
        case 'd':
            err = saggar_encode_dtype(e);
            break;
        case 'a':
            err = saggar_encode_array(e);
            break;
        default:
            err = saggar_encode_array_data(e, 0, 3, extents, 1, "12345678", 8);
        }
    }
    return err;
}

static void misuse(void **state) {
    static const char *const bad[] = {"]",  "[]]",  "{1]", "{0100]", "s00]",   "s1g1]",   "o1010]",
                                      "b",  "r1",   "rn]", "rnn",    "rn0n0]", "[n",      "k",
                                      "[k", "[[]k", "d1",  "d[",     "dr]",    "a0",      "ar]",
                                      "x",  "[x",   "{n",  "rn{1",   "rn{1]",  "rn0m0n0]"};
    saggar_encoder *e = *state;
    const uint8_t *bytes;
    size_t size;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = play(e, bad[i]);
        if (err == SAGGAR_OK && strcmp(bad[i], "rn{1") != 0)
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_not_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    }
    assert_int_equal(play(e, "[[0]{0110]rn0m1]s1g0][k]]"), SAGGAR_OK);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    assert_int_equal(saggar_value_check(bytes, size), SAGGAR_OK);
}

/* After an array's dtype come its items, and nothing else. */
static void array_needs_items(void **state) {
    static const uint8_t f8[] = "\x0f\5\0\0\0dtype\6\0\0\0"
                                "\3\0\0\0str\x08\3\0\0\0<f8"
                                "\x08\0\0\0itemsize\3\x08\0\0\0\0\0\0\0"
                                "\5\0\0\0align\1\x08\0\0\0metadata\0\6\0\0\0fields\0\3\0\0\0sub\0";
    static const uint64_t extents[] = {1};
    saggar_encoder *e = *state;
    const uint8_t *bytes;
    size_t size;
    saggar_encode_array(e);
    assert_int_equal(saggar_encode_raw(e, f8, sizeof f8 - 1), SAGGAR_OK);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_EINVAL);
    assert_int_equal(saggar_encode_none(e), SAGGAR_EINVAL);
    saggar_encoder_reset(e);
    saggar_encode_array(e);
    saggar_encode_raw(e, f8, sizeof f8 - 1);
    assert_int_equal(saggar_encode_array_data(e, 0, 3, extents, 1, "1234567", 7), SAGGAR_EINVAL);
    saggar_encoder_reset(e);
    saggar_encode_array(e);
    saggar_encode_raw(e, f8, sizeof f8 - 1);
    assert_int_equal(saggar_encode_array_data(e, 0, 3, extents, 1, "12345678", 8), SAGGAR_OK);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    assert_int_equal(saggar_value_check(bytes, size), SAGGAR_OK);
}

/* A set is the same in whatever order it comes, nested and large. */
static void sorting(void **state) {
    enum { N = 200 };
    saggar_encoder *e = *state;
    const uint8_t *bytes;
    uint8_t *first = NULL;
    size_t size, first_size = 0;
    for (int round = 0; round < 3; round++) {
        saggar_encoder_reset(e);
        saggar_encode_begin(e, SAGGAR_MAP);
        for (int i = 0; i < N; i++) {
            int k = round == 0 ? i : round == 1 ? N - 1 - i : (i * 77) % N;
            saggar_encode_int(e, k);
            saggar_encode_begin(e, SAGGAR_SET);
            for (int j = 0; j < 5; j++)
                saggar_encode_int(e, round == 1 ? 4 - j : j);
            saggar_encode_end(e);
        }
        assert_int_equal(saggar_encode_end(e), SAGGAR_OK);
        assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
        assert_int_equal(saggar_value_check(bytes, size), SAGGAR_OK);
        if (first == NULL) {
            first = malloc(size);
            memcpy(first, bytes, first_size = size);
        }
        assert_int_equal(size, first_size);
        assert_memory_equal(bytes, first, size);
    }
    free(first);
    saggar_encoder_reset(e);
    saggar_encode_begin(e, SAGGAR_SET);
    for (int i = 0; i < N; i++)
        saggar_encode_int(e, i == 150 ? 50 : i);
    assert_int_equal(saggar_encode_end(e), SAGGAR_EINVAL);
}

static void nesting(void **state) {
    saggar_encoder *e = *state;
    for (int i = 0; i < 128; i++)
        assert_int_equal(saggar_encode_begin(e, SAGGAR_TUPLE), SAGGAR_OK);
    assert_int_equal(saggar_encode_dtype(e), SAGGAR_OK); /* and then no record fits */
    assert_int_equal(saggar_encode_record(e, "dtype"), SAGGAR_ELIMIT);
    saggar_encoder_reset(e);
    for (int i = 0; i < 128; i++)
        assert_int_equal(saggar_encode_begin(e, SAGGAR_TUPLE), SAGGAR_OK);
    assert_int_equal(saggar_encode_begin(e, SAGGAR_LIST), SAGGAR_ELIMIT);
}

static void size_limit(void **state) {
    saggar_encoder *e = *state;
    uint8_t *large = calloc(SG_VALUE_MAX + 1, 1);
    const uint8_t *bytes;
    size_t size;
    assert_non_null(large);
    assert_int_equal(saggar_encode_bytes(e, large, SG_VALUE_MAX - 5), SAGGAR_OK);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    assert_int_equal(size, SG_VALUE_MAX);
    assert_int_equal(saggar_value_check(bytes, size), SAGGAR_OK);
    assert_int_equal(saggar_encode_none(e), SAGGAR_ELIMIT);
    saggar_encoder_reset(e);
    assert_int_equal(saggar_encode_bytes(e, large, SG_VALUE_MAX - 4), SAGGAR_ELIMIT);
    assert_int_equal(saggar_value_check(large, SG_VALUE_MAX + 1), SAGGAR_ELIMIT);
    free(large);
}

/* A cycle that is put into another value still closes in itself; the same at another depth is another value.
 */
static void raw_cycles(void **state) {
    static const uint8_t cycle[] = {0x09, 1, 0, 0, 0, 0x13, 0, 0, 0, 0};
    saggar_encoder *e = *state;
    saggar_encode_begin(e, SAGGAR_TUPLE);
    saggar_encode_raw(e, cycle, sizeof cycle);
    saggar_encode_begin(e, SAGGAR_SET);
    saggar_encode_raw(e, cycle, sizeof cycle);
    saggar_encode_end(e);
    assert_int_equal(saggar_encode_end(e), SAGGAR_OK);
    expect(e, "0a02000000"
              "09010000001301000000"
              "0b01000000"
              "09010000001302000000");
    saggar_encoder_reset(e);
    for (int i = 0; i < 128; i++)
        saggar_encode_begin(e, SAGGAR_LIST);
    assert_int_equal(saggar_encode_raw(e, cycle, sizeof cycle), SAGGAR_ELIMIT);
}

/* Nested dtypes are read once, not once per level and level: 40 levels must take no time. */
static void nested_dtypes(void **state) {
    saggar_encoder *e = *state;
    const uint8_t *bytes;
    size_t size;
    for (int level = 0; level < 40; level++) {
        saggar_encode_dtype(e);
        saggar_encode_record(e, "dtype");
        saggar_encode_name(e, "str");
        saggar_encode_text(e, "|V8", 3);
        saggar_encode_name(e, "itemsize");
        saggar_encode_int(e, 8);
        saggar_encode_name(e, "align");
        saggar_encode_bool(e, false);
        saggar_encode_name(e, "metadata");
        saggar_encode_none(e);
        saggar_encode_name(e, "fields");
        if (level == 39)
            break;
        saggar_encode_begin(e, SAGGAR_TUPLE);
        saggar_encode_begin(e, SAGGAR_TUPLE);
        saggar_encode_text(e, "x", 1);
        saggar_encode_none(e);
        assert_int_equal(saggar_encode_int(e, 0), SAGGAR_OK);
    }
    saggar_encode_none(e);
    for (int level = 39; level >= 0; level--) {
        if (level != 39) {
            saggar_encode_end(e);
            saggar_encode_end(e);
        }
        saggar_encode_name(e, "sub");
        saggar_encode_none(e);
        assert_int_equal(saggar_encode_end(e), SAGGAR_OK);
    }
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    assert_int_equal(saggar_value_check(bytes, size), SAGGAR_OK);
}

static void simple_members(void **state) {
    saggar_encoder *e = *state;
    const uint8_t *bytes;
    const char *what;
    size_t size, n, m;
    uint8_t sha[32];
    memset(sha, 7, sizeof sha);
    saggar_encode_begin(e, SAGGAR_TUPLE);
    saggar_encode_text(e, "abc", 3);
    saggar_encode_int(e, -5);
    saggar_encode_bytes(e, sha, 4);
    saggar_encode_digest(e, "file", sha);
    saggar_encode_none(e);
    saggar_encode_end(e);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    struct sg_cursor c;
    sg_cursor_init(&c, bytes, size);
    assert_int_equal(sg_value_tuple(&c), 5);
    assert_memory_equal(sg_value_text(&c, &n), "abc", 3);
    assert_int_equal(n, 3);
    assert_int_equal(sg_value_int(&c), -5);
    assert_memory_equal(sg_value_bytes(&c, &n), sha, 4);
    assert_memory_equal(sg_value_digest(&c, &what, &m), sha, 32);
    assert_memory_equal(what, "file", m);
    assert_int_equal(*sg_value_skip(&c, &n), SG_TAG_NONE);
    assert_int_equal(sg_cursor_end(&c), SAGGAR_OK);
    assert_int_equal(sg_value_int(&c), 0); /* nothing left */
    assert_int_equal(sg_cursor_end(&c), SAGGAR_ECORRUPT);
    sg_cursor_init(&c, bytes, size);
    sg_value_tuple(&c);
    assert_int_equal(sg_value_int(&c), 0); /* a text */
    assert_null(sg_value_text(&c, &n));
    assert_int_equal(c.err, SAGGAR_ECORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars, make, unmake),
        cmocka_unit_test_setup_teardown(errors_stick, make, unmake),
        cmocka_unit_test_setup_teardown(misuse, make, unmake),
        cmocka_unit_test_setup_teardown(array_needs_items, make, unmake),
        cmocka_unit_test_setup_teardown(sorting, make, unmake),
        cmocka_unit_test_setup_teardown(nesting, make, unmake),
        cmocka_unit_test_setup_teardown(size_limit, make, unmake),
        cmocka_unit_test_setup_teardown(raw_cycles, make, unmake),
        cmocka_unit_test_setup_teardown(nested_dtypes, make, unmake),
        cmocka_unit_test_setup_teardown(simple_members, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
