/* Compressed sections: same identity, same bytes, every damage seen, nothing believed about lengths. */
#include "small.h"

#include <zstd.h>

enum { SIZE = 20000 };

static uint8_t text[SIZE], noise[SIZE];

static int fill(void **state) {
    uint32_t x = 1;
    (void)state;
    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = (uint8_t)((size_t) "saggar"[i % 6] + i / 1000);
        noise[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

static struct core with_parts(bool compress) {
    const struct sg_raw_section parts[] = {
        {SG_SECTION_PART, "text", text, SIZE},
        {SG_SECTION_PART, "noise", noise, SIZE},
        {SG_SECTION_PART, "short", text, 4095},
    };
    return core_with(parts, 3, compress);
}

static void find(const struct core *c, const char *name, struct sg_entry_view *v, struct sg_section *s) {
    assert_int_equal(sg_entry_open(c->data, c->size, NULL, v), SAGGAR_OK);
    assert_int_equal(sg_entry_find(v, SG_SECTION_PART, name, s), SAGGAR_OK);
}

static void same_identity(void **state) {
    (void)state;
    struct core plain = with_parts(false), packed = with_parts(true);
    struct sg_entry_view v;
    struct sg_section s;
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    assert_true(packed.size < plain.size - SIZE / 2);
    assert_memory_equal(plain.data + SG_AT_IDENTITY, packed.data + SG_AT_IDENTITY, 32);
    assert_int_equal(core_check(&packed), SAGGAR_OK);
    find(&packed, "noise", &v, &s);
    assert_int_equal(s.codec, 0);
    find(&packed, "short", &v, &s);
    assert_int_equal(s.codec, 0);
    find(&packed, "text", &v, &s);
    assert_int_equal(s.codec, 1);
    for (int strength = SG_FAST; strength <= SG_FULL; strength++) {
        assert_int_equal(sg_entry_bytes(&v, &s, (enum sg_strength)strength, &data, &size, &owned), SAGGAR_OK);
        assert_int_equal(size, SIZE);
        assert_memory_equal(data, text, SIZE);
        assert_ptr_equal(data, owned);
        free(owned);
    }
    struct sg_buf out;
    sg_buf_init(&out, SG_CORE_MAX);
    assert_int_equal(sg_entry_decompress(&v, &out), SAGGAR_OK);
    assert_int_equal(out.len, plain.size);
    assert_memory_equal(out.data, plain.data, plain.size);
    sg_buf_free(&out);
    free(plain.data);
    free(packed.data);
}

static void flips(void **state) {
    (void)state;
    struct core c = with_parts(true);
    struct sg_entry_view v;
    struct sg_section s;
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    find(&c, "text", &v, &s);
    for (uint64_t i = 0; i < s.stored; i++) {
        c.data[s.offset + i] ^= 0x10;
        assert_int_equal(sg_entry_bytes(&v, &s, SG_FAST, &data, &size, &owned), SAGGAR_ECORRUPT);
        assert_int_equal(sg_entry_check(&v), SAGGAR_ECORRUPT);
        c.data[s.offset + i] ^= 0x10;
    }
    free(c.data);
}

/* Replaces the stored bytes of the last section, `text`, by any others and makes all digests of the head
 * true. */
static struct core forged(const void *stored, size_t n, uint64_t raw) {
    struct core packed = with_parts(true);
    struct sg_entry_view v;
    struct sg_section s;
    find(&packed, "text", &v, &s);
    struct core c = {NULL, (s.offset + n + 63) / 64 * 64};
    c.data = calloc(c.size, 1);
    assert_non_null(c.data);
    memcpy(c.data, packed.data, s.offset);
    memcpy(c.data + s.offset, stored, n);
    uint8_t *row = core_row(&c, v.sections - 1);
    assert_string_equal((char *)row + SG_ROW_NAME, "text");
    sg_store64(row + SG_ROW_STORED, n);
    sg_store64(row + SG_ROW_RAW, raw);
    sg_xxh128(row + SG_ROW_XXH, stored, n);
    sg_store64(c.data + SG_AT_SIZE, c.size);
    core_seal(&c);
    free(packed.data);
    return c;
}

static void expect(const void *stored, size_t n, uint64_t raw, int wanted) {
    struct core c = forged(stored, n, raw);
    struct sg_entry_view v;
    struct sg_section s;
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    find(&c, "text", &v, &s);
    assert_int_equal(sg_entry_bytes(&v, &s, SG_FULL, &data, &size, &owned), wanted);
    assert_null(wanted == SAGGAR_OK ? NULL : owned);
    if (wanted == SAGGAR_OK)
        free(owned);
    assert_int_equal(sg_entry_check(&v), wanted);
    free(c.data);
}

static void frames(void **state) {
    (void)state;
    uint8_t frame[2 * SIZE], other[2 * SIZE];
    size_t n = ZSTD_compress(frame, sizeof frame, text, SIZE, 19);
    assert_false(ZSTD_isError(n));
    expect(frame, n, SIZE, SAGGAR_OK); /* another compressor's work is as good */
    expect(frame, n, SIZE - 1, SAGGAR_ECORRUPT);
    expect(frame, n, SIZE + 1, SAGGAR_ECORRUPT);
    expect(frame, n, UINT32_MAX, SAGGAR_ECORRUPT);
    expect(frame, n - 1, SIZE, SAGGAR_ECORRUPT);
    expect(frame, 0, 0, SAGGAR_ECORRUPT);
    frame[n] = 0;
    expect(frame, n + 1, SIZE, SAGGAR_ECORRUPT);
    memcpy(frame + n, "\x50\x2a\x4d\x18\1\0\0\0x", 9); /* a frame that decompressors skip */
    expect(frame, n + 9, SIZE, SAGGAR_ECORRUPT);
    expect(text, 100, SIZE, SAGGAR_ECORRUPT);
    /* The right length, other content. */
    size_t m = ZSTD_compress(other, sizeof other, noise, SIZE, 1);
    expect(other, m, SIZE, SAGGAR_ECORRUPT);
    /* Two frames are not one. */
    m = ZSTD_compress(other, sizeof other, text, SIZE / 2, 1);
    size_t k = ZSTD_compress(other + m, sizeof other - m, text + SIZE / 2, SIZE / 2, 1);
    expect(other, m + k, SIZE, SAGGAR_ECORRUPT);
    /* A frame that does not say how much it holds. */
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0)));
    m = ZSTD_compress2(ctx, other, sizeof other, text, SIZE);
    ZSTD_freeCCtx(ctx);
    assert_false(ZSTD_isError(m));
    expect(other, m, SIZE, SAGGAR_ECORRUPT);
}

/* Where nothing is to be expanded, a frame that decompressors skip has the right length and digest. */
static void skipped_alone(void **state) {
    (void)state;
    struct core c = forged("\x50\x2a\x4d\x18\0\0\0\0", 8, 0);
    struct sg_entry_view v;
    struct sg_section s;
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    find(&c, "text", &v, &s);
    assert_int_equal(sg_sha256(core_row(&c, v.sections - 1) + SG_ROW_SHA, "", 0), SAGGAR_OK);
    core_seal(&c);
    find(&c, "text", &v, &s);
    assert_int_equal(sg_entry_bytes(&v, &s, SG_FULL, &data, &size, &owned), SAGGAR_ECORRUPT);
    assert_int_equal(sg_entry_check(&v), SAGGAR_ECORRUPT);
    free(c.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_identity),
        cmocka_unit_test(flips),
        cmocka_unit_test(frames),
        cmocka_unit_test(skipped_alone),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
