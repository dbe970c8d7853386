/* JSON: nesting, separators, strings of arbitrary bytes, misuse; names on a terminal. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "saggar/saggar.h"

/* The JSON of one string, in a static buffer. */
static const char *quoted(const void *p, size_t n) {
    static char out[4096];
    struct sg_buf buf;
    struct sg_json json;
    sg_buf_init(&buf, sizeof out - 1);
    sg_json_buf(&json, &buf, 0);
    sg_json_bytes(&json, p, n);
    assert_int_equal(sg_json_end(&json), SAGGAR_OK);
    memcpy(out, buf.data, buf.len);
    out[buf.len - 1] = '\0'; /* the newline */
    sg_buf_free(&buf);
    return out;
}

#define QUOTED(text) quoted(text, sizeof(text) - 1)

static void write_sample(struct sg_json *json) {
    sg_json_object(json);
    sg_json_key(json, "a");
    sg_json_int(json, INT64_MIN);
    sg_json_key(json, "b\n");
    sg_json_array(json);
    sg_json_uint(json, UINT64_MAX);
    sg_json_object(json);
    sg_json_object_end(json);
    sg_json_array(json);
    sg_json_array_end(json);
    sg_json_bool(json, true);
    sg_json_null(json);
    sg_json_real(json, 0.25);
    sg_json_real(json, NAN);
    sg_json_str(json, NULL);
    sg_json_hex(json, "\x00\xff", 2);
    sg_json_array_end(json);
    sg_json_object_end(json);
}

static void test_structure(void **state) {
    (void)state;
    struct sg_buf buf;
    struct sg_json json;
    sg_buf_init(&buf, 1000);
    sg_json_buf(&json, &buf, 0);
    write_sample(&json);
    assert_int_equal(sg_json_end(&json), SAGGAR_OK);
    sg_buf_u8(&buf, 0);
    assert_string_equal((char *)buf.data,
                        "{\"a\": -9223372036854775808, \"b\\n\": [18446744073709551615, {}, [], true, null, "
                        "0.25, null, null, \"00ff\"]}\n");
    sg_buf_free(&buf);
}

static void test_indented_to_file(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    struct sg_json json;
    assert_non_null(file);
    sg_json_file(&json, file, 2);
    sg_json_object(&json);
    sg_json_key(&json, "x");
    sg_json_array(&json);
    sg_json_int(&json, 1);
    sg_json_int(&json, 2);
    sg_json_array_end(&json);
    sg_json_key(&json, "y");
    sg_json_array(&json);
    sg_json_array_end(&json);
    sg_json_object_end(&json);
    assert_int_equal(sg_json_end(&json), SAGGAR_OK);
    fclose(file);
    assert_string_equal(text, "{\n  \"x\": [\n    1,\n    2\n  ],\n  \"y\": []\n}\n");
    free(text);
}

static void test_strings(void **state) {
    (void)state;
    assert_string_equal(QUOTED(""), "\"\"");
    assert_string_equal(QUOTED("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    assert_string_equal(QUOTED("\n\r\t\b\x00\x1f\x7f"), "\"\\n\\r\\t\\u0008\\u0000\\u001f\\u007f\"");
    assert_string_equal(QUOTED("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8f\xba"),
                        "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8f\xba\"");
    assert_string_equal(QUOTED("a\xff\x80z"), "\"a\\udcff\\udc80z\"");
    assert_string_equal(QUOTED("\xc0\x80"), "\"\\udcc0\\udc80\"");                       /* overlong */
    assert_string_equal(QUOTED("\xe0\x9f\xbf"), "\"\\udce0\\udc9f\\udcbf\"");            /* overlong */
    assert_string_equal(QUOTED("\xed\xa0\x80"), "\"\\udced\\udca0\\udc80\"");            /* a surrogate */
    assert_string_equal(QUOTED("\xf4\x90\x80\x80"), "\"\\udcf4\\udc90\\udc80\\udc80\""); /* beyond Unicode */
    assert_string_equal(QUOTED("\xe2\x82"), "\"\\udce2\\udc82\"");                       /* cut off */
    assert_string_equal(QUOTED("\xe2\x82x"), "\"\\udce2\\udc82x\"");
}

static int misuse(void (*how)(struct sg_json *)) {
    struct sg_buf buf;
    struct sg_json json;
    sg_buf_init(&buf, 10000);
    sg_json_buf(&json, &buf, 0);
    how(&json);
    int err = sg_json_end(&json);
    sg_buf_free(&buf);
    return err;
}

static void nothing(struct sg_json *json) {
    (void)json;
}

static void left_open(struct sg_json *json) {
    sg_json_array(json);
}

static void two_values(struct sg_json *json) {
    sg_json_null(json);
    sg_json_null(json);
}

static void no_key(struct sg_json *json) {
    sg_json_object(json);
    sg_json_null(json);
    sg_json_object_end(json);
}

static void no_value(struct sg_json *json) {
    sg_json_object(json);
    sg_json_key(json, "a");
    sg_json_object_end(json);
}

static void wrong_end(struct sg_json *json) {
    sg_json_object(json);
    sg_json_array_end(json);
}

static void key_in_array(struct sg_json *json) {
    sg_json_array(json);
    sg_json_key(json, "a");
    sg_json_array_end(json);
}

static void end_only(struct sg_json *json) {
    sg_json_object_end(json);
}

static void too_deep(struct sg_json *json) {
    for (int i = 0; i <= SG_JSON_DEPTH_MAX; i++)
        sg_json_array(json);
    for (int i = 0; i <= SG_JSON_DEPTH_MAX; i++)
        sg_json_array_end(json);
}

static void just_deep_enough(struct sg_json *json) {
    for (int i = 0; i < SG_JSON_DEPTH_MAX; i++)
        sg_json_array(json);
    for (int i = 0; i < SG_JSON_DEPTH_MAX; i++)
        sg_json_array_end(json);
}

static void test_misuse(void **state) {
    (void)state;
    assert_int_equal(misuse(nothing), SAGGAR_EINVAL);
    assert_int_equal(misuse(left_open), SAGGAR_EINVAL);
    assert_int_equal(misuse(two_values), SAGGAR_EINVAL);
    assert_int_equal(misuse(no_key), SAGGAR_EINVAL);
    assert_int_equal(misuse(no_value), SAGGAR_EINVAL);
    assert_int_equal(misuse(wrong_end), SAGGAR_EINVAL);
    assert_int_equal(misuse(key_in_array), SAGGAR_EINVAL);
    assert_int_equal(misuse(end_only), SAGGAR_EINVAL);
    assert_int_equal(misuse(too_deep), SAGGAR_ELIMIT);
    assert_int_equal(misuse(just_deep_enough), SAGGAR_OK);
}

static void test_output_fails(void **state) {
    (void)state;
    struct sg_buf buf;
    struct sg_json json;
    sg_buf_init(&buf, 20);
    sg_json_buf(&json, &buf, 0);
    write_sample(&json);
    assert_int_equal(sg_json_end(&json), SAGGAR_ELIMIT);
    sg_buf_free(&buf);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    sg_json_file(&json, full, 0);
    write_sample(&json);
    assert_int_equal(sg_json_end(&json), SAGGAR_EIO);
    fclose(full);
}

static void name_is(const void *p, size_t n, const char *want) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    sg_print_name(file, p, n);
    fclose(file);
    assert_string_equal(text, want);
    free(text);
}

#define NAME_IS(text, want) name_is(text, sizeof(text) - 1, want)

static void test_names(void **state) {
    (void)state;
    NAME_IS("", "");
    NAME_IS("plain name", "plain name");
    NAME_IS("a\nb\rc\td\\e", "a\\nb\\rc\\td\\\\e");
    NAME_IS("\x1b[31m\x00\x7f", "\\x1b[31m\\x00\\x7f");
    NAME_IS("\xc3\xa4\xff\xe2\x82", "\xc3\xa4\\xff\\xe2\\x82");
    NAME_IS("\xc2\x9b"
            "1m",
            "\\xc2\\x9b1m");                                               /* C1 control */
    NAME_IS("\xe2\x80\xa8\xe2\x80\xae", "\\xe2\\x80\\xa8\\xe2\\x80\\xae"); /* line separator, override */
    NAME_IS("\xf0\x9f\x8f\xba", "\xf0\x9f\x8f\xba");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),    cmocka_unit_test(test_indented_to_file),
        cmocka_unit_test(test_strings),      cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_output_fails), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
