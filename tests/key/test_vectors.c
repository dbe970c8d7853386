/*
 * Every line of tests/vectors/values.tsv: the verdict, each truncation, a byte more, each flipped byte, and
 * the way back: the value is read token by token and encoded again, with sets and maps handed over in reverse
 * order.
 */
#include "../base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "key/value.h"
#include "saggar/saggar.h"

enum { VECTORS_MAX = 512 };

struct vector {
    char *name;
    uint8_t *bytes; /* exactly `size` bytes, so that a sanitizer sees a read behind them */
    size_t size;
    int verdict;
};

static const char *path;
static struct vector vectors[VECTORS_MAX];
static size_t count;

static int verdict_of(const char *word) {
    if (strcmp(word, "ok") == 0)
        return SAGGAR_OK;
    if (strcmp(word, "ECORRUPT") == 0)
        return SAGGAR_ECORRUPT;
    assert_string_equal(word, "ELIMIT");
    return SAGGAR_ELIMIT;
}

static int load(void **state) {
    (void)state;
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *rest = line, *column[4];
        for (int i = 0; i < 4; i++)
            assert_non_null(column[i] = strsep(&rest, "\t"));
        assert_null(rest);
        assert_true(count < VECTORS_MAX);
        struct vector *v = &vectors[count++];
        v->name = strdup(column[0]);
        v->size = strlen(column[2]) / 2;
        v->bytes = malloc(v->size ? v->size : 1);
        assert_true(v->name != NULL && v->bytes != NULL);
        assert_true(sg_unhex(v->bytes, v->size, column[2], 2 * v->size));
        v->verdict = verdict_of(column[3]);
    }
    free(line);
    fclose(f);
    assert_true(count > 100);
    return 0;
}

static int unload(void **state) {
    (void)state;
    for (size_t i = 0; i < count; i++) {
        free(vectors[i].name);
        free(vectors[i].bytes);
    }
    return 0;
}

static void verdicts(void **state) {
    (void)state;
    for (size_t i = 0; i < count; i++) {
        int err = saggar_value_check(vectors[i].bytes, vectors[i].size);
        if (err != vectors[i].verdict)
            fail_msg("%s: %s", vectors[i].name, saggar_errname(err));
    }
}

/* A value's end is where it says: a part of it is damaged, and so is more than it. */
static void ends(void **state) {
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct vector *v = &vectors[i];
        if (v->verdict != SAGGAR_OK)
            continue;
        for (size_t n = 0; n < v->size; n++) {
            uint8_t *part = malloc(n ? n : 1);
            assert_non_null(part);
            memcpy(part, v->bytes, n);
            if (saggar_value_check(part, n) != SAGGAR_ECORRUPT)
                fail_msg("%s: accepted at %zu of %zu bytes", v->name, n, v->size);
            free(part);
        }
        uint8_t *more = calloc(v->size + 1, 1);
        size_t size;
        assert_non_null(more);
        memcpy(more, v->bytes, v->size);
        assert_int_equal(saggar_value_check(more, v->size + 1), SAGGAR_ECORRUPT);
        assert_int_equal(sg_value_size(more, v->size + 1, &size), SAGGAR_OK);
        assert_int_equal(size, v->size);
        free(more);
    }
}

/* ---- The way back ---- */

static int again(struct sg_cursor *c, saggar_encoder *e);

/* The members of a set or map, last first. Each is encoded by itself and put in raw. */
static int backwards(struct sg_cursor *c, saggar_encoder *e, uint32_t n, bool pairs) {
    const uint8_t *at[64];
    size_t size[64];
    assert_true(n * (pairs + 1u) <= 64);
    for (uint32_t i = 0; i < n * (pairs + 1u); i++)
        assert_non_null(at[i] = sg_value_skip(c, &size[i]));
    for (uint32_t i = n; i-- > 0;) {
        for (uint32_t k = i * (pairs + 1u); k < (i + 1) * (pairs + 1u); k++) {
            struct sg_cursor member;
            sg_cursor_init(&member, at[k], size[k]);
            assert_int_equal(again(&member, e), SAGGAR_OK);
        }
    }
    return saggar_encode_end(e);
}

static int record_again(struct sg_cursor *c, saggar_encoder *e, const struct sg_token *t) {
    char *type = strndup((const char *)t->data, t->size);
    int err = saggar_encode_record(e, type);
    free(type);
    for (uint32_t i = 0; i < t->count && err == SAGGAR_OK; i++) {
        const uint8_t *name;
        size_t n;
        assert_true(sg_cursor_name(c, &name, &n));
        char *copy = strndup((const char *)name, n);
        err = saggar_encode_name(e, copy);
        free(copy);
        if (err == SAGGAR_OK)
            err = again(c, e);
    }
    return err == SAGGAR_OK ? saggar_encode_end(e) : err;
}

static int array_again(struct sg_cursor *c, saggar_encoder *e, uint8_t tag) {
    struct sg_array_data a;
    if (tag == SG_TAG_DTYPE)
        return saggar_encode_dtype(e) == SAGGAR_OK ? again(c, e) : saggar_encoder_error(e);
    int err = tag == SG_TAG_ARRAY ? saggar_encode_array(e) : saggar_encode_array_scalar(e);
    if (err == SAGGAR_OK)
        err = again(c, e);
    assert_true(sg_cursor_array(c, tag == SG_TAG_ARRAY_SCALAR, &a));
    uint64_t extents[4];
    assert_true(a.ndim <= 4);
    for (uint32_t i = 0; i < a.ndim; i++)
        extents[i] = sg_load64(a.extents + 8 * (size_t)i);
    return err == SAGGAR_OK ? saggar_encode_array_data(e, a.order, a.flags, extents, a.ndim, a.items, a.size)
                            : err;
}

static double float_of(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static int container_again(struct sg_cursor *c, saggar_encoder *e, const struct sg_token *t) {
    int err = saggar_encode_begin(e, (saggar_container)t->tag);
    if (t->tag == SG_TAG_SET || t->tag == SG_TAG_FROZENSET || t->tag == SG_TAG_MAP)
        return backwards(c, e, t->count, t->tag == SG_TAG_MAP);
    uint32_t n = t->tag == SG_TAG_ORDERED_MAP ? 2 * t->count : t->count;
    for (uint32_t i = 0; i < n && err == SAGGAR_OK; i++)
        err = again(c, e);
    return err == SAGGAR_OK ? saggar_encode_end(e) : err;
}

static int again(struct sg_cursor *c, saggar_encoder *e) {
    struct sg_token t;
    assert_true(sg_cursor_token(c, &t));
    switch (t.tag) {
    case SG_TAG_NONE:
        return saggar_encode_none(e);
    case SG_TAG_FALSE:
    case SG_TAG_TRUE:
        return saggar_encode_bool(e, t.tag == SG_TAG_TRUE);
    case SG_TAG_INT:
        return saggar_encode_int(e, (int64_t)t.word[0]);
    case SG_TAG_BIGINT: { /* with zeros on top, which must not matter */
        uint8_t wide[64] = {0};
        memcpy(wide, t.data, t.size);
        return saggar_encode_bigint(e, t.count != 0, wide, sizeof wide);
    }
    case SG_TAG_FLOAT:
        return saggar_encode_float(e, float_of(t.word[0]));
    case SG_TAG_COMPLEX:
        return saggar_encode_complex(e, float_of(t.word[0]), float_of(t.word[1]));
    case SG_TAG_BYTES:
        return saggar_encode_bytes(e, t.data, t.size);
    case SG_TAG_TEXT:
        return saggar_encode_text(e, (const char *)t.data, t.size);
    case SG_TAG_DIGEST: {
        char *what = strndup((const char *)t.data, t.size);
        int err = saggar_encode_digest(e, what, t.digest);
        free(what);
        return err;
    }
    case SG_TAG_BACK_REFERENCE:
        return saggar_encode_back_reference(e, t.count);
    case SG_TAG_RECORD:
        return record_again(c, e, &t);
    case SG_TAG_DTYPE:
    case SG_TAG_ARRAY:
    case SG_TAG_ARRAY_SCALAR:
        return array_again(c, e, t.tag);
    default:
        return container_again(c, e, &t);
    }
}

static void encoded_again(void **state) {
    (void)state;
    saggar_encoder *e;
    assert_int_equal(saggar_encoder_new(&e), SAGGAR_OK);
    for (size_t i = 0; i < count; i++) {
        const struct vector *v = &vectors[i];
        const uint8_t *bytes = NULL;
        size_t size = 0;
        struct sg_cursor c;
        if (v->verdict != SAGGAR_OK)
            continue;
        saggar_encoder_reset(e);
        sg_cursor_init(&c, v->bytes, v->size);
        int err = again(&c, e);
        if (err != SAGGAR_OK)
            fail_msg("%s: %s", v->name, saggar_errname(err));
        assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
        if (size != v->size || memcmp(bytes, v->bytes, size) != 0)
            fail_msg("%s: encoded differently", v->name);
        saggar_encoder_reset(e);
        assert_int_equal(saggar_encode_raw(e, v->bytes, v->size), SAGGAR_OK);
        assert_int_equal(saggar_encoder_bytes(e, &bytes, &size), SAGGAR_OK);
        assert_memory_equal(bytes, v->bytes, size);
    }
    saggar_encoder_free(e);
}

/* What the check refuses cannot be smuggled in. */
static void raw_refused(void **state) {
    (void)state;
    saggar_encoder *e;
    assert_int_equal(saggar_encoder_new(&e), SAGGAR_OK);
    for (size_t i = 0; i < count; i++) {
        const struct vector *v = &vectors[i];
        if (v->verdict == SAGGAR_OK)
            continue;
        saggar_encoder_reset(e);
        int expected = v->verdict == SAGGAR_ECORRUPT ? SAGGAR_EINVAL : v->verdict;
        if (saggar_encode_raw(e, v->bytes, v->size) != expected)
            fail_msg("%s: taken raw", v->name);
    }
    saggar_encoder_free(e);
}

/* Whatever a flipped bit makes of a value: it is refused or can be printed, and nothing is read outside it.
 */
static void flips(void **state) {
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct vector *v = &vectors[i];
        for (size_t at = 0; at < v->size && at < 300; at++) {
            for (int bit = 0; bit < 8; bit++) {
                char *shown;
                v->bytes[at] ^= (uint8_t)(1u << bit);
                int err = saggar_value_check(v->bytes, v->size);
                assert_int_equal(saggar_value_print(v->bytes, v->size, 100, &shown), err);
                if (err == SAGGAR_OK)
                    free(shown);
                v->bytes[at] ^= (uint8_t)(1u << bit);
            }
        }
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),    cmocka_unit_test(ends),  cmocka_unit_test(encoded_again),
        cmocka_unit_test(raw_refused), cmocka_unit_test(flips),
    };
    if (argc != 2)
        return 2;
    path = argv[1];
    return cmocka_run_group_tests(tests, load, unload);
}
