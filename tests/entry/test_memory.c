/*
 * Memory runs out at the n-th request, for every n: a clean ENOMEM, nothing leaked, nothing half made. Only
 * the library's own requests are counted, through the linker's --wrap.
 */
#include "../base/check.h"

#include <stdlib.h>
#include <string.h>

#include "entry/entry.h"
#include "saggar/saggar.h"

static long left; /* requests until the one that fails; below 0: never */

static int refuse(void) {
    return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t n) {
    return refuse() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
    return refuse() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
    return refuse() ? NULL : __real_realloc(p, n);
}
void *__wrap_reallocarray(void *p, size_t n, size_t size) {
    return refuse() ? NULL : __real_reallocarray(p, n, size);
}
char *__wrap_strdup(const char *s) {
    return refuse() ? NULL : __real_strdup(s);
}
char *__wrap_strndup(const char *s, size_t n) {
    return refuse() ? NULL : __real_strndup(s, n);
}

#define TRY(x)                                                                                               \
    do {                                                                                                     \
        if ((err = (x)) != SAGGAR_OK)                                                                        \
            goto out;                                                                                        \
    } while (0)

/* A value with more members than need no memory, out of order. */
static int large_map(saggar_encoder *e, saggar_container kind) {
    saggar_encode_begin(e, kind);
    for (int i = 100; i > 0; i--) {
        saggar_encode_int(e, i);
        saggar_encode_none(e);
    }
    return saggar_encode_end(e);
}

static int recipe(uint8_t *out, size_t room, size_t *size) {
    static const char *const names[] = {"compiler", "source", "options", "adapter"};
    saggar_recipe *r = NULL;
    saggar_encoder *e = NULL;
    const uint8_t *bytes;
    size_t n;
    int err;
    TRY(saggar_recipe_new(&r));
    TRY(saggar_encoder_new(&e));
    for (int i = 0; i < 4; i++) {
        saggar_encoder_reset(e);
        if (i == 3) {
            saggar_encode_begin(e, SAGGAR_TUPLE);
            saggar_encode_text(e, "x", 1);
            saggar_encode_int(e, 1);
            saggar_encode_end(e);
        } else {
            large_map(e, i == 0 ? SAGGAR_MAP : SAGGAR_ORDERED_MAP);
        }
        TRY(saggar_encoder_bytes(e, &bytes, &n));
        TRY(saggar_recipe_field(r, names[i], bytes, n));
    }
    TRY(saggar_recipe_finish(r, NULL, &bytes, size));
    assert_true(*size <= room);
    memcpy(out, bytes, *size);
out:
    saggar_recipe_free(r);
    saggar_encoder_free(e);
    return err;
}

static int fill(saggar_draft *d) {
    static const saggar_features set = {{1, 0, 0, 0}};
    static const uint8_t digest[32] = {0};
    int err;
    char name[8] = "s?";
    TRY(saggar_draft_group(d, "c", "m", "q"));
    TRY(saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "any"));
    TRY(saggar_draft_require_features(d, SAGGAR_PROVENANCE_ASSUMED, &set, "b,a"));
    for (int i = 0; i < 10; i++) {
        name[1] = (char)('a' + i);
        TRY(saggar_draft_require_symbol(d, name));
        TRY(saggar_draft_depend_value(d, "r", name, digest));
        TRY(saggar_draft_part(d, name, name, 2));
    }
out:
    return err;
}

static int everything(const uint8_t *bytes, size_t size) {
    static uint8_t large[20000];
    saggar_draft *d = NULL;
    struct sg_buf core, annex, plain;
    struct sg_entry_view v;
    struct sg_requirements r;
    uint8_t key[32], identity[32], *copy = NULL;
    char *text = NULL;
    int err;
    sg_buf_init(&core, SIZE_MAX / 2);
    sg_buf_init(&annex, SIZE_MAX / 2);
    sg_buf_init(&plain, SIZE_MAX / 2);
    TRY(saggar_draft_new(bytes, size, &d));
    TRY(fill(d));
    TRY(saggar_draft_part(d, "large", large, sizeof large));
    TRY(sg_draft_build(d, true, &core, &annex, key, identity));
    TRY(sg_entry_open(core.data, core.len, key, &v));
    TRY(sg_entry_check(&v));
    TRY(sg_entry_decompress(&v, &plain));
    TRY(sg_entry_group_text(&v, &text));
    TRY(sg_entry_requirements(&v, SG_FULL, &r));
    assert_string_equal(r.unknown, "a,b");
    sg_requirements_free(&r);
    TRY(saggar_draft_encode(d, &copy, &size, NULL));
    assert_int_equal(size, plain.len);
    assert_memory_equal(copy, plain.data, size);
out:
    free(copy);
    free(text);
    sg_buf_free(&core);
    sg_buf_free(&annex);
    sg_buf_free(&plain);
    saggar_draft_free(d);
    return err;
}

static void each_request_of_an_entry(void **state) {
    static uint8_t bytes[65536];
    size_t size;
    (void)state;
    left = -1;
    assert_int_equal(recipe(bytes, sizeof bytes, &size), SAGGAR_OK);
    int err = SAGGAR_ENOMEM;
    long n = 0;
    for (; err != SAGGAR_OK && n < 10000; n++) {
        left = n;
        err = everything(bytes, size);
        left = -1;
        if (err != SAGGAR_OK && err != SAGGAR_ENOMEM)
            fail_msg("request %ld: %s", n, saggar_errname(err));
    }
    assert_int_equal(err, SAGGAR_OK);
    assert_true(n > 60);
}

static void each_request_of_a_recipe(void **state) {
    static uint8_t bytes[65536];
    size_t size;
    (void)state;
    int err = SAGGAR_ENOMEM;
    long n = 0;
    for (; err != SAGGAR_OK && n < 1000; n++) {
        left = n;
        err = recipe(bytes, sizeof bytes, &size);
        left = -1;
        if (err != SAGGAR_OK && err != SAGGAR_ENOMEM)
            fail_msg("request %ld: %s", n, saggar_errname(err));
    }
    assert_int_equal(err, SAGGAR_OK);
    assert_true(n > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_of_an_entry),
        cmocka_unit_test(each_request_of_a_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
