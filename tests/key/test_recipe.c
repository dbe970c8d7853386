/* Recipes: names, mandatory fields, the key, and a reader that believes nothing. */
#include "../base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "key/recipe.h"
#include "saggar/saggar.h"

/* A tuple of the text "x" and the integer 3. */
static const uint8_t adapter[] = {0x0A, 2, 0, 0, 0, 0x08, 1, 0, 0, 0, 'x', 0x03, 3, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t none[] = {0};

static saggar_recipe *full(void) {
    saggar_recipe *r;
    assert_int_equal(saggar_recipe_new(&r), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "adapter", adapter, sizeof adapter), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "compiler", none, 1), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "source", none, 1), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "options", adapter, sizeof adapter), SAGGAR_OK);
    return r;
}

static void built_and_read(void **state) {
    (void)state;
    saggar_recipe *r = full();
    const uint8_t *bytes, *value;
    uint8_t key[32], sha[32];
    const char *name;
    size_t size, n, m;
    uint32_t count;
    assert_int_equal(saggar_recipe_field(r, "a_0.-z", none, 1), SAGGAR_OK);
    assert_int_equal(saggar_recipe_finish(r, key, &bytes, &size), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "late", none, 1), SAGGAR_EINVAL);
    assert_int_equal(sg_sha256(sha, bytes, size), SAGGAR_OK);
    assert_memory_equal(sha, key, 32);
    assert_memory_equal(bytes, "SGRECIPE\1\0\0\0\5\0\0\0\7\0\0\0adapter", 27);
    assert_int_equal(saggar_recipe_count(bytes, size, &count), SAGGAR_OK);
    assert_int_equal(count, 5);
    assert_int_equal(saggar_recipe_get(bytes, size, 3, &name, &n, &value, &m), SAGGAR_OK);
    assert_int_equal(n, 7);
    assert_memory_equal(name, "options", 7);
    assert_int_equal(m, sizeof adapter);
    assert_memory_equal(value, adapter, m);
    assert_int_equal(saggar_recipe_get(bytes, size, 4, &name, &n, &value, &m), SAGGAR_OK);
    assert_memory_equal(name, "a_0.-z", n);
    assert_int_equal(saggar_recipe_get(bytes, size, 5, &name, &n, &value, &m), SAGGAR_EINVAL);
    assert_int_equal(saggar_recipe_finish(r, sha, NULL, NULL), SAGGAR_OK);
    assert_memory_equal(sha, key, 32);
    saggar_recipe_free(r);
}

static void fields_refused(void **state) {
    static const char *const bad[] = {"", "A", "a b", "a/b", "\xc3\xa9", "adapter", "source", NULL};
    (void)state;
    char name[66];
    saggar_recipe *r = full();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(saggar_recipe_field(r, bad[i], none, 1), SAGGAR_EINVAL);
    memset(name, 'a', sizeof name);
    name[65] = '\0';
    assert_int_equal(saggar_recipe_field(r, name, none, 1), SAGGAR_EINVAL);
    name[64] = '\0';
    assert_int_equal(saggar_recipe_field(r, name, none, 1), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "b", none, 0), SAGGAR_EINVAL);
    assert_int_equal(saggar_recipe_field(r, "b", "\0\0", 2), SAGGAR_EINVAL);
    assert_int_equal(saggar_recipe_field(r, "b", "\x15", 1), SAGGAR_EINVAL);
    assert_int_equal(saggar_recipe_finish(r, NULL, NULL, NULL), SAGGAR_OK);
    saggar_recipe_free(r);
}

static void mandatory(void **state) {
    static const char *const names[] = {"adapter", "compiler", "source", "options"};
    (void)state;
    for (int left_out = 0; left_out < 4; left_out++) {
        saggar_recipe *r;
        uint8_t key[32];
        assert_int_equal(saggar_recipe_new(&r), SAGGAR_OK);
        for (int i = 0; i < 4; i++) {
            if (i != left_out)
                assert_int_equal(saggar_recipe_field(r, names[i], adapter, sizeof adapter), SAGGAR_OK);
        }
        assert_int_equal(saggar_recipe_finish(r, key, NULL, NULL), SAGGAR_EINVAL);
        saggar_recipe_free(r);
    }
    saggar_recipe *r;
    assert_int_equal(saggar_recipe_new(&r), SAGGAR_OK);
    assert_int_equal(saggar_recipe_field(r, "adapter", none, 1), SAGGAR_EINVAL);
    saggar_recipe_free(r);
}

/* Each byte of the frame (not of the values) changed, each truncation, a byte more. */
static void damaged(void **state) {
    (void)state;
    saggar_recipe *r = full();
    const uint8_t *bytes;
    size_t size;
    uint32_t count;
    assert_int_equal(saggar_recipe_finish(r, NULL, &bytes, &size), SAGGAR_OK);
    for (size_t n = 0; n < size; n++) {
        uint8_t *part = malloc(n ? n : 1);
        memcpy(part, bytes, n);
        assert_int_equal(saggar_recipe_count(part, n, &count), SAGGAR_ECORRUPT);
        free(part);
    }
    uint8_t *copy = calloc(size + 1, 1);
    memcpy(copy, bytes, size);
    assert_int_equal(saggar_recipe_count(copy, size + 1, &count), SAGGAR_ECORRUPT);
    for (size_t i = 0; i < 27; i++) {
        copy[i] ^= 0x40;
        int err = saggar_recipe_count(copy, size, &count);
        assert_true(err == SAGGAR_ECORRUPT || (i >= 8 && i < 10 && err == SAGGAR_EVERSION));
        copy[i] ^= 0x40;
    }
    copy[12] = 3; /* a field behind the last one */
    assert_int_equal(saggar_recipe_count(copy, size, &count), SAGGAR_ECORRUPT);
    free(copy);
    saggar_recipe_free(r);
}

static void names_repeat(void **state) {
    (void)state;
    saggar_recipe *r = full();
    const uint8_t *bytes;
    size_t size;
    uint32_t count;
    assert_int_equal(saggar_recipe_field(r, "compilex", none, 1), SAGGAR_OK);
    assert_int_equal(saggar_recipe_finish(r, NULL, &bytes, &size), SAGGAR_OK);
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    copy[size - 2] = 'r';
    assert_int_equal(saggar_recipe_count(copy, size, &count), SAGGAR_ECORRUPT);
    free(copy);
    saggar_recipe_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_and_read), cmocka_unit_test(fields_refused), cmocka_unit_test(mandatory),
        cmocka_unit_test(damaged),        cmocka_unit_test(names_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
