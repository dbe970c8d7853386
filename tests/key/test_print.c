/* What people see of a value: one line, short, harmless to a terminal. */
#include "../base/check.h"

#include <stdlib.h>
#include <string.h>

#include "saggar/saggar.h"

static saggar_encoder *e;

static int make(void **state) {
    (void)state;
    return saggar_encoder_new(&e);
}

static int unmake(void **state) {
    (void)state;
    saggar_encoder_free(e);
    return 0;
}

static void shows(size_t limit, const char *wanted) {
    const uint8_t *bytes;
    size_t size;
    char *s;
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    assert_int_equal(saggar_value_print(bytes, size, limit, &s), SAGGAR_OK);
    assert_string_equal(s, wanted);
    free(s);
    saggar_encoder_reset(e);
}

static void text(const char *s) {
    saggar_encode_text(e, s, strlen(s));
}

static void scalars(void **state) {
    static const uint8_t big[9] = {1, 2, 0, 0, 0, 0, 0, 0, 0xF};
    (void)state;
    saggar_encode_int(e, INT64_MIN);
    shows(99, "-9223372036854775808");
    saggar_encode_bigint(e, true, big, sizeof big);
    shows(99, "-0xf0000000000000201");
    saggar_encode_float(e, 0.1);
    shows(99, "0.1");
    saggar_encode_float(e, -0.0);
    shows(99, "-0.0");
    saggar_encode_float(e, 1e300);
    shows(99, "1e+300");
    saggar_encode_float(e, 0.1 + 0.2);
    shows(99, "0.30000000000000004");
    saggar_encode_complex(e, 1, -2);
    shows(99, "complex(1.0, -2.0)");
    saggar_encode_bool(e, true);
    shows(99, "True");
    text("a\"b\n\xe2\x80\xae\xed\xa0\x80\\");
    shows(99, "\"a\\\"b\\n\\xe2\\x80\\xae\\xed\\xa0\\x80\\\\\"");
    saggar_encode_bytes(e, "\1\xff", 2);
    shows(99, "bytes(01ff)");
    saggar_encode_bytes(e, "The quick brown fox jumps over the lazy dog", 43);
    shows(99, "bytes(43, sha256 d7a8fbb307d7)");
}

static void containers(void **state) {
    static const uint8_t sha[32] = {0xab, 0xcd, 0xef, 1, 2, 3, 4};
    (void)state;
    saggar_encode_record(e, "overload");
    saggar_encode_name(e, "args");
    saggar_encode_begin(e, SAGGAR_TUPLE);
    text("f8");
    saggar_encode_end(e);
    saggar_encode_name(e, "flags");
    saggar_encode_begin(e, SAGGAR_ORDERED_MAP);
    text("fast");
    saggar_encode_bool(e, false);
    text("n");
    saggar_encode_begin(e, SAGGAR_SET);
    saggar_encode_int(e, 2);
    saggar_encode_int(e, 1);
    saggar_encode_end(e);
    saggar_encode_end(e);
    saggar_encode_name(e, "body");
    saggar_encode_digest(e, "code", sha);
    saggar_encode_name(e, "self");
    saggar_encode_begin(e, SAGGAR_LIST);
    saggar_encode_back_reference(e, 0);
    saggar_encode_none(e);
    saggar_encode_end(e);
    saggar_encode_end(e);
    shows(999, "overload(args=(\"f8\",), flags={\"fast\": False, \"n\": set{1, 2}}, body=code:abcdef010203, "
               "self=[<level 0>, None])");
}

static void dtype(const char *str, int size) {
    saggar_encode_record(e, "dtype");
    saggar_encode_name(e, "str");
    text(str);
    saggar_encode_name(e, "itemsize");
    saggar_encode_int(e, size);
    saggar_encode_name(e, "align");
    saggar_encode_bool(e, false);
    saggar_encode_name(e, "metadata");
    saggar_encode_none(e);
    saggar_encode_name(e, "fields");
    saggar_encode_none(e);
    saggar_encode_name(e, "sub");
    saggar_encode_none(e);
    saggar_encode_end(e);
}

static void arrays(void **state) {
    static const uint64_t extents[] = {2, 1};
    (void)state;
    saggar_encode_array(e);
    dtype("<i2", 2);
    saggar_encode_array_data(e, 0, 2, extents, 2, "\1\0\2\0", 4);
    shows(99, "array(<i2 [2,1], read-only, bytes(01000200))");
    saggar_encode_array_scalar(e);
    dtype("<i2", 2);
    saggar_encode_array_data(e, 0, 0, NULL, 0, "\1\0", 2);
    shows(99, "scalar(<i2, bytes(0100))");
    saggar_encode_dtype(e);
    dtype(">f8", 8);
    shows(99, "dtype(>f8)");
}

static void cut(void **state) {
    (void)state;
    text("abcdefghij");
    shows(5, "\"abcd...");
    text("abc\xe2\x82\xac");
    shows(6, "\"abc...");
    text("abc\xe2\x82\xac");
    shows(8, "\"abc\xe2\x82\xac\"");
    saggar_encode_begin(e, SAGGAR_LIST);
    for (int i = 0; i < 100000; i++)
        saggar_encode_int(e, 1);
    saggar_encode_end(e);
    shows(7, "[1, 1, ...");
    saggar_encode_int(e, 7);
    shows(0, "...");
    char *s;
    assert_int_equal(saggar_value_print("\x15", 1, 9, &s), SAGGAR_ECORRUPT);
}

/* Where the limit is passed inside a dtype, what follows it must not be read from there. */
static void cut_in_dtype(void **state) {
    static const uint8_t items[256 * 1024];
    const uint64_t extents[1] = {1};
    const uint8_t *bytes;
    size_t size;
    char *s;
    (void)state;
    saggar_encode_array(e);
    saggar_encode_record(e, "dtype");
    saggar_encode_name(e, "str");
    text("|V262144");
    saggar_encode_name(e, "itemsize");
    saggar_encode_int(e, sizeof items);
    saggar_encode_name(e, "align");
    saggar_encode_bool(e, false);
    saggar_encode_name(e, "metadata");
    saggar_encode_none(e);
    saggar_encode_name(e, "fields");
    saggar_encode_none(e);
    saggar_encode_name(e, "sub");
    saggar_encode_none(e);
    saggar_encode_end(e);
    assert_int_equal(saggar_encode_array_data(e, 0, 3, extents, 1, items, sizeof items), SAGGAR_OK);
    assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
    for (size_t limit = 0; limit < 40; limit++) {
        assert_int_equal(saggar_value_print(bytes, size, limit, &s), SAGGAR_OK);
        free(s);
    }
    shows(10, "array(|V26...");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars), cmocka_unit_test(containers),   cmocka_unit_test(arrays),
        cmocka_unit_test(cut),     cmocka_unit_test(cut_in_dtype),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
