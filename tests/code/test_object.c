/* Symbols of real objects, made by the compiler that built this test, and of damaged ones. */
#include "../base/check.h"

#include <saggar/saggar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "code/definition.h"

static const char source[] =
    "int tentative; extern int outside(int); static int hidden(int x) { return x + 1; }\n"
    "__attribute__((weak)) int soft(int x) { return hidden(x); }\n"
    "int open_to_all(int x) { return outside(x) + soft(x) + tentative; }\n";

struct seen {
    unsigned count;
    char text[512];
};

static int note(void *context, const char *name, bool defined, bool common) {
    struct seen *seen = context;
    size_t n = strlen(seen->text);
    seen->count++;
    snprintf(seen->text + n, sizeof seen->text - n, "%s%s%s ", name, defined ? "" : "?", common ? "*" : "");
    return 0;
}

static int stop(void *context, const char *name, bool defined, bool common) {
    (void)name, (void)defined, (void)common;
    ++*(int *)context;
    return 42;
}

static unsigned char *object;
static size_t object_size;

static int make_object(void **state) {
    char folder[] = "/tmp/saggar-object-XXXXXX", path[64], command[256];
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.c", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(source, f);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "cd %s && gcc -O1 -fcommon -fno-inline -c a.c -o a.o", folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/a.o", folder);
    f = fopen(path, "rb");
    assert_non_null(f);
    object = malloc(1 << 16);
    assert_non_null(object);
    object_size = fread(object, 1, 1 << 16, f);
    fclose(f);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static int free_object(void **state) {
    (void)state;
    free(object);
    return 0;
}

static void test_real_object(void **state) {
    struct seen seen = {0, ""};
    int calls = 0;
    (void)state;

    assert_int_equal(saggar_object_symbols(object, object_size, note, &seen), SAGGAR_OK);
    assert_non_null(strstr(seen.text, "outside? "));
    assert_non_null(strstr(seen.text, "soft "));
    assert_non_null(strstr(seen.text, "open_to_all "));
    assert_non_null(strstr(seen.text, "tentative* "));
    assert_null(strstr(seen.text, "hidden"));
    assert_int_equal(seen.count, 4);
    assert_int_equal(saggar_object_symbols(object, object_size, stop, &calls), 42);
    assert_int_equal(calls, 1);
}

/* Copies into exact allocations, so that the sanitizer sees any byte read outside. */
static void survive(const unsigned char *bytes, size_t size) {
    struct seen seen = {0, ""};
    unsigned char *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    saggar_object_symbols(copy, size, note, &seen);
    free(copy);
}

static void test_damaged_objects(void **state) {
    (void)state;
    for (size_t size = 0; size < object_size; size++) {
        survive(object, size);
    }
    for (size_t i = 0; i < object_size; i++) {
        for (unsigned bit = 0; bit<8; bit += i> 64 ? 2u : 1u) {
            object[i] ^= (unsigned char)(1u << bit);
            survive(object, object_size);
            object[i] ^= (unsigned char)(1u << bit);
        }
    }
}

static void test_refusals(void **state) {
    static const char text[] = "this is not an object, and it is more than sixty-four bytes long, I think so";
    struct seen seen = {0, ""};
    (void)state;

    assert_int_equal(saggar_object_symbols(text, sizeof text, note, &seen), SAGGAR_ECORRUPT);
    assert_int_equal(saggar_object_symbols(NULL, 0, note, &seen), SAGGAR_EINVAL);
    assert_int_equal(saggar_object_symbols(object, 63, note, &seen), SAGGAR_ECORRUPT);
    object[16] = 3; /* a shared object */
    assert_int_equal(saggar_object_symbols(object, object_size, note, &seen), SAGGAR_EUNSUPPORTED);
    object[16] = 1;
    assert_int_equal(seen.count, 0);
}

static int pass(void *context, const char *name, const uint8_t sha256[32]) {
    (void)name, (void)sha256;
    ++*(unsigned *)context;
    return 0;
}

/* Any byte of an object may be wrong: its definitions are told or refused, and nothing is lost or overrun. */
static void test_damaged_definitions(void **state) {
    unsigned told = 0;
    (void)state;
    assert_int_equal(sg_definitions_each(object, object_size, pass, &told), SAGGAR_OK);
    assert_true(told >= 2);
    unsigned char *copy = malloc(object_size);
    assert_non_null(copy);
    for (size_t i = 0; i < object_size; i++) {
        memcpy(copy, object, object_size);
        copy[i] ^= 0xff;
        sg_definitions_each(copy, object_size, pass, &told);
    }
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_object),
        cmocka_unit_test(test_damaged_objects),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_definitions),
    };
    return cmocka_run_group_tests(tests, make_object, free_object);
}
