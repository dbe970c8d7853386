/*
 * One small entry that has everything, and the means to make it wrong: sections of any content, and sealing,
 * which computes digests, identity and the head's XXH128 anew so that only the rule under test is broken.
 */
#ifndef SG_TESTS_ENTRY_SMALL_H
#define SG_TESTS_ENTRY_SMALL_H

#include "../base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "entry/layout.h"
#include "saggar/saggar.h"

struct core {
    uint8_t *data; /* exactly `size` bytes */
    size_t size;
};

static const uint8_t some_digest[32] = {1, 2, 3};

static inline int small_field(saggar_recipe *r, saggar_encoder *e, const char *name, const char *text) {
    const uint8_t *bytes;
    size_t size;
    saggar_encoder_reset(e);
    if (text == NULL) {
        saggar_encode_begin(e, SAGGAR_TUPLE);
        saggar_encode_text(e, "test", 4);
        saggar_encode_int(e, 1);
        saggar_encode_end(e);
    } else {
        saggar_encode_text(e, text, strlen(text));
    }
    int err = saggar_encoder_bytes(e, &bytes, &size);
    return err == SAGGAR_OK ? saggar_recipe_field(r, name, bytes, size) : err;
}

/* An empty draft for a recipe whose source is `source`. */
static inline saggar_draft *small_new(const char *source) {
    saggar_recipe *r;
    saggar_encoder *e;
    saggar_draft *d;
    const uint8_t *bytes;
    size_t size;
    assert_int_equal(saggar_recipe_new(&r), SAGGAR_OK);
    assert_int_equal(saggar_encoder_new(&e), SAGGAR_OK);
    assert_int_equal(small_field(r, e, "adapter", NULL), SAGGAR_OK);
    assert_int_equal(small_field(r, e, "compiler", "cc"), SAGGAR_OK);
    assert_int_equal(small_field(r, e, "source", source), SAGGAR_OK);
    assert_int_equal(small_field(r, e, "options", "-O2"), SAGGAR_OK);
    assert_int_equal(saggar_recipe_finish(r, NULL, &bytes, &size), SAGGAR_OK);
    assert_int_equal(saggar_draft_new(bytes, size, &d), SAGGAR_OK);
    saggar_recipe_free(r);
    saggar_encoder_free(e);
    return d;
}

static inline saggar_draft *small_draft(void) {
    static const saggar_features set = {{5, 0, 0, UINT64_C(1) << 63}};
    saggar_draft *d = small_new("int f;");
    assert_int_equal(saggar_draft_group(d, "cc", "m", "f"), SAGGAR_OK);
    assert_int_equal(saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "linux-gnu"), SAGGAR_OK);
    assert_int_equal(saggar_draft_require_features(d, SAGGAR_PROVENANCE_SCANNED, &set, "zz,aa"), SAGGAR_OK);
    assert_int_equal(saggar_draft_require_symbol(d, "puts"), SAGGAR_OK);
    assert_int_equal(saggar_draft_require_symbol(d, "exit"), SAGGAR_OK);
    assert_int_equal(saggar_draft_require_library(d, "GLIBC", "2.34"), SAGGAR_OK);
    assert_int_equal(saggar_draft_depend_file(d, "root", "a/b.h", 7, some_digest), SAGGAR_OK);
    assert_int_equal(saggar_draft_depend_value(d, "cc", "V", some_digest), SAGGAR_OK);
    assert_int_equal(saggar_draft_part(d, "object", "ELF", 3), SAGGAR_OK);
    assert_int_equal(saggar_draft_part(d, "empty", NULL, 0), SAGGAR_OK);
    return d;
}

static inline struct core core_copy(const void *data, size_t size) {
    struct core c = {malloc(size ? size : 1), size};
    assert_non_null(c.data);
    memcpy(c.data, data, size);
    return c;
}

static inline struct core small_core(void) {
    saggar_draft *d = small_draft();
    struct core c;
    uint8_t *data;
    assert_int_equal(saggar_draft_encode(d, &data, &c.size, NULL), SAGGAR_OK);
    c.data = core_copy(data, c.size).data;
    free(data);
    saggar_draft_free(d);
    return c;
}

static inline uint8_t *core_row(struct core *c, uint32_t i) {
    return c->data + SG_ENTRY_HEADER + (size_t)i * SG_ENTRY_ROW;
}

/* Makes identity and XXH128 of the head true again. */
static inline void core_seal(struct core *c) {
    uint32_t n = sg_load32(c->data + SG_AT_COUNT);
    assert_int_equal(sg_entry_identity(c->data, n, c->data + SG_AT_IDENTITY), SAGGAR_OK);
    sg_entry_head_xxh(c->data, n, c->data + SG_AT_XXH);
}

static inline int core_open(const struct core *c) {
    struct sg_entry_view v;
    return sg_entry_open(c->data, c->size, NULL, &v);
}

/* What opening and the full check say, the first error. */
static inline int core_check(const struct core *c) {
    struct sg_entry_view v;
    int err = sg_entry_open(c->data, c->size, NULL, &v);
    return err == SAGGAR_OK ? sg_entry_check(&v) : err;
}

/* The small entry with some of its sections replaced (same kind and name) or added. */
static inline struct core core_with(const struct sg_raw_section *changed, uint32_t n, bool compress) {
    struct core small = small_core();
    struct sg_raw_section all[32];
    struct sg_entry_view v;
    struct sg_buf buf;
    uint32_t count = 0;
    assert_int_equal(sg_entry_open(small.data, small.size, NULL, &v), SAGGAR_OK);
    for (uint32_t i = 0; i < v.sections; i++) {
        struct sg_section s;
        sg_entry_section(&v, i, &s);
        all[count++] = (struct sg_raw_section){s.kind, s.name, small.data + s.offset, (size_t)s.raw};
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = 0;
        while (at < count && (all[at].kind != changed[i].kind || strcmp(all[at].name, changed[i].name) != 0))
            at++;
        count += at == count;
        all[at] = changed[i];
    }
    sg_buf_init(&buf, SG_CORE_MAX);
    assert_int_equal(sg_entry_encode(v.key, all, count, compress, &buf, NULL), SAGGAR_OK);
    struct core c = core_copy(buf.data, buf.len);
    sg_buf_free(&buf);
    free(small.data);
    return c;
}

#endif
