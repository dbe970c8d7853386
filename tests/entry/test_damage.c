/*
 * What sg_entry_open() and sg_entry_check() refuse: every flipped bit, every truncation, every rule of the
 * head. And what is handed out in spite of damage elsewhere is never other bytes than those that were stored.
 */
#include "small.h"

static void sound(void **state) {
    (void)state;
    struct core c = small_core();
    struct sg_entry_view v;
    assert_int_equal(core_check(&c), SAGGAR_OK);
    assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
    assert_int_equal(v.size, c.size);
    assert_int_equal(v.sections, 6);
    free(c.data);
}

/* Sections that a damaged entry still hands out are compared with the sound one's. */
static void never_other_bytes(const struct core *damaged, const struct core *sound,
                              enum sg_strength strength) {
    struct sg_entry_view v, w;
    assert_int_equal(sg_entry_open(sound->data, sound->size, NULL, &w), SAGGAR_OK);
    if (sg_entry_open(damaged->data, damaged->size, w.key, &v) != SAGGAR_OK)
        return;
    for (uint32_t i = 0; i < v.sections; i++) {
        struct sg_section s, t;
        const uint8_t *data;
        uint8_t *owned;
        size_t size;
        sg_entry_section(&v, i, &s);
        sg_entry_section(&w, i, &t);
        if (sg_entry_bytes(&v, &s, strength, &data, &size, &owned) != SAGGAR_OK)
            continue;
        assert_int_equal(s.kind, t.kind);
        assert_string_equal(s.name, t.name);
        assert_int_equal(size, t.raw);
        assert_memory_equal(data, sound->data + t.offset, size);
        free(owned);
    }
}

static void flipped_bits(void **state) {
    (void)state;
    struct core sound = small_core();
    struct core c = core_copy(sound.data, sound.size);
    for (size_t i = 0; i < c.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            c.data[i] ^= (uint8_t)(1u << bit);
            if (core_check(&c) == SAGGAR_OK)
                fail_msg("bit %u of byte %zu flipped unseen", bit, i);
            never_other_bytes(&c, &sound, SG_FAST);
            never_other_bytes(&c, &sound, SG_FULL);
            c.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_int_equal(core_check(&c), SAGGAR_OK);
    free(c.data);
    free(sound.data);
}

/* XXH128 is no defence against intent: with the head sealed anew, SHA-256 and the identity still see each
 * change. */
static void flipped_and_sealed(void **state) {
    (void)state;
    struct core sound = small_core();
    for (size_t i = 0; i < sound.size; i++) {
        if (i >= SG_AT_XXH && i < SG_AT_ZERO2)
            continue;
        struct core c = core_copy(sound.data, sound.size);
        c.data[i] ^= 1;
        uint32_t n = sg_load32(c.data + SG_AT_COUNT);
        if (n == sg_load32(sound.data + SG_AT_COUNT)) {
            sg_entry_head_xxh(c.data, n, c.data + SG_AT_XXH);
            /* A newer minor version is accepted. All else is seen. */
            int expected = i == SG_AT_MINOR || i == SG_AT_MINOR + 1 ? SAGGAR_OK : -1;
            int err = core_check(&c);
            if ((err == SAGGAR_OK) != (expected == SAGGAR_OK))
                fail_msg("byte %zu: %s", i, saggar_errname(err));
        }
        free(c.data);
    }
    free(sound.data);
}

static void truncated(void **state) {
    (void)state;
    struct core sound = small_core();
    for (size_t n = 0; n < sound.size; n++) {
        struct core c = core_copy(sound.data, n);
        int err = core_open(&c);
        if (err != SAGGAR_ECORRUPT && err != SAGGAR_ENOTSAGGAR)
            fail_msg("%zu of %zu bytes: %s", n, sound.size, saggar_errname(err));
        free(c.data);
    }
    free(sound.data);
}

/* What follows a core is not its business. */
static void appended(void **state) {
    (void)state;
    struct core sound = small_core();
    struct core c = {calloc(sound.size + 100, 1), sound.size + 100};
    struct sg_entry_view v;
    assert_non_null(c.data);
    memcpy(c.data, sound.data, sound.size);
    memset(c.data + sound.size, 0xA5, 100);
    assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
    assert_int_equal(v.size, sound.size);
    assert_int_equal(sg_entry_check(&v), SAGGAR_OK);
    free(c.data);
    free(sound.data);
}

static void versions_and_key(void **state) {
    (void)state;
    struct core c = small_core();
    struct sg_entry_view v;
    uint8_t key[32];
    memcpy(key, c.data + SG_AT_KEY, 32);
    assert_int_equal(sg_entry_open(c.data, c.size, key, &v), SAGGAR_OK);
    key[31] ^= 1;
    assert_int_equal(sg_entry_open(c.data, c.size, key, &v), SAGGAR_EINVAL);
    sg_store16(c.data + SG_AT_MINOR, 9);
    core_seal(&c);
    assert_int_equal(core_check(&c), SAGGAR_OK);
    sg_store16(c.data + SG_AT_MAJOR, 2); /* a later head may look otherwise: told by the version alone */
    assert_int_equal(core_open(&c), SAGGAR_EVERSION);
    sg_store16(c.data + SG_AT_MAJOR, 0);
    core_seal(&c);
    assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
    c.data[1] = 'X';
    assert_int_equal(core_open(&c), SAGGAR_ENOTSAGGAR);
    free(c.data);
}

static void unknown_sections(void **state) {
    (void)state;
    struct sg_raw_section extra = {0x0006, "", (const uint8_t *)"new", 3};
    struct sg_entry_view v;
    struct sg_section s;
    struct core c = core_with(&extra, 1, false);
    assert_int_equal(core_check(&c), SAGGAR_OK);
    assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
    assert_int_equal(sg_entry_find(&v, SG_SECTION_PART, "object", &s), SAGGAR_OK);
    free(c.data);
    extra.name = "with a name";
    c = core_with(&extra, 1, false);
    assert_int_equal(core_check(&c), SAGGAR_OK);
    free(c.data);
    extra.kind = 0x8006;
    c = core_with(&extra, 1, false);
    assert_int_equal(core_open(&c), SAGGAR_EUNKNOWN);
    free(c.data);
    static const uint16_t wrong_bit[] = {0x0000, 0x8000, 0x8002, 0x8005};
    for (size_t i = 0; i < 4; i++) {
        extra.kind = wrong_bit[i];
        c = core_with(&extra, 1, false);
        assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
        free(c.data);
    }
}

/* One change of the head each, sealed: `at` in the row (or in the header if row < 0). */
static void head_rules(void **state) {
    static const struct {
        int row;
        unsigned at;
        uint8_t value;
        int error;
    } changes[] = {
        {-1, SG_AT_ZERO1, 1, SAGGAR_ECORRUPT},       {-1, SG_AT_ZERO2 + 15, 1, SAGGAR_ECORRUPT},
        {-1, SG_AT_SIZE, 1, SAGGAR_ECORRUPT},        {0, SG_ROW_ZERO, 1, SAGGAR_ECORRUPT},
        {0, SG_ROW_ZERO + 4, 1, SAGGAR_ECORRUPT},    {0, SG_ROW_CODEC, 1, SAGGAR_ECORRUPT},
        {0, SG_ROW_CODEC, 2, SAGGAR_EUNKNOWN},       {0, SG_ROW_OFFSET, 0x40, SAGGAR_ECORRUPT},
        {0, SG_ROW_OFFSET + 7, 1, SAGGAR_ECORRUPT},  {1, SG_ROW_STORED, 0, SAGGAR_ECORRUPT},
        {1, SG_ROW_STORED + 7, 1, SAGGAR_ECORRUPT},  {1, SG_ROW_RAW, 1, SAGGAR_ECORRUPT},
        {1, SG_ROW_KIND, 1, SAGGAR_ECORRUPT},        {1, SG_ROW_NAME, 'x', SAGGAR_ECORRUPT},
        {1, SG_ROW_NAME + 47, 'x', SAGGAR_ECORRUPT}, {5, SG_ROW_NAME, 0, SAGGAR_ECORRUPT},
        {5, SG_ROW_NAME, '\n', SAGGAR_ECORRUPT},     {5, SG_ROW_NAME, 0x7F, SAGGAR_ECORRUPT},
        {5, SG_ROW_NAME, 0xFF, SAGGAR_ECORRUPT},     {5, SG_ROW_NAME, 'a', SAGGAR_ECORRUPT},
        {5, SG_ROW_NAME + 47, 'x', SAGGAR_ECORRUPT}, {2, SG_ROW_KIND, 4, SAGGAR_ECORRUPT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct core c = small_core();
        uint8_t *base = changes[i].row < 0 ? c.data : core_row(&c, (uint32_t)changes[i].row);
        base[changes[i].at] = changes[i].value;
        core_seal(&c);
        int err = core_check(&c);
        if (err != changes[i].error)
            fail_msg("change %zu: %s", i, saggar_errname(err));
        free(c.data);
    }
}

/* A head that claims more than there is, in places where a reader might believe it. */
static void claims(void **state) {
    static const uint32_t counts[] = {0, 257, 0xFFFFFFFF};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct core c = small_core();
        sg_store32(c.data + SG_AT_COUNT, counts[i]);
        assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
        free(c.data);
    }
    static const uint64_t sizes[] = {0, 64, (uint64_t)1 << 40, UINT64_MAX, UINT64_MAX - 63};
    for (size_t i = 0; i < 5; i++) {
        struct core c = small_core();
        sg_store64(c.data + SG_AT_SIZE, sizes[i]);
        core_seal(&c);
        assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
        free(c.data);
    }
    struct core c = small_core();
    sg_store64(core_row(&c, 5) + SG_ROW_STORED, UINT64_MAX - 100);
    sg_store64(core_row(&c, 5) + SG_ROW_RAW, UINT64_MAX - 100);
    core_seal(&c);
    assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
    free(c.data);
    /* A little that is said to unfold to more than any section may hold. */
    for (uint32_t i = 0; i < 6; i++) {
        c = small_core();
        core_row(&c, i)[SG_ROW_CODEC] = 1;
        sg_store64(core_row(&c, i) + SG_ROW_RAW, i < 4 ? SG_SECTION_MAX + 1 : SG_PART_MAX + 1);
        core_seal(&c);
        assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
        free(c.data);
    }
    /* Two parts of one name. */
    c = small_core();
    memcpy(core_row(&c, 4) + SG_ROW_NAME, core_row(&c, 5) + SG_ROW_NAME, SG_ENTRY_NAME);
    core_seal(&c);
    assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
    free(c.data);
    /* The size grows, the sections do not fill it. */
    struct core small = small_core();
    c = (struct core){calloc(small.size + 64, 1), small.size + 64};
    memcpy(c.data, small.data, small.size);
    sg_store64(c.data + SG_AT_SIZE, c.size);
    core_seal(&c);
    assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
    free(c.data);
    free(small.data);
}

static void sections_missing_or_wrong(void **state) {
    static const uint16_t must[] = {SG_SECTION_RECIPE, SG_SECTION_REQUIREMENTS, SG_SECTION_DEPENDENCIES};
    (void)state;
    struct core small = small_core();
    struct sg_entry_view v;
    assert_int_equal(sg_entry_open(small.data, small.size, NULL, &v), SAGGAR_OK);
    for (int left_out = 0; left_out < 3; left_out++) {
        struct sg_raw_section raw[2];
        struct sg_buf buf;
        uint32_t n = 0;
        for (int i = 0; i < 3; i++) {
            struct sg_section s;
            assert_int_equal(sg_entry_find(&v, must[i], NULL, &s), SAGGAR_OK);
            if (i != left_out)
                raw[n++] = (struct sg_raw_section){must[i], "", small.data + s.offset, (size_t)s.raw};
        }
        sg_buf_init(&buf, SG_CORE_MAX);
        assert_int_equal(sg_entry_encode(v.key, raw, n, false, &buf, NULL), SAGGAR_OK);
        struct core c = {buf.data, buf.len};
        assert_int_equal(core_open(&c), SAGGAR_ECORRUPT);
        sg_buf_free(&buf);
    }
    free(small.data);
    static const struct sg_raw_section wrong[] = {
        {SG_SECTION_RECIPE, "", (const uint8_t *)"SGRECIPE", 8},
        {SG_SECTION_GROUP, "", (const uint8_t *)"\x0a\0\0\0\0", 5},
        {SG_SECTION_GROUP, "", (const uint8_t *)"\0\0", 2},
        {SG_SECTION_REQUIREMENTS, "", (const uint8_t *)"", 0},
        {SG_SECTION_REQUIREMENTS, "", (const uint8_t *)"\1\0\0\0", 4},
        {SG_SECTION_DEPENDENCIES, "", (const uint8_t *)"\0\0\0\0\0", 5},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct core c = core_with(&wrong[i], 1, false);
        assert_int_equal(core_open(&c), SAGGAR_OK);
        assert_int_equal(core_check(&c), SAGGAR_ECORRUPT);
        free(c.data);
    }
}

/* A whole recipe, but another one than the key's. */
static void recipe_of_another_key(void **state) {
    (void)state;
    saggar_draft *d = small_new("int g;");
    uint8_t *other;
    size_t size;
    struct sg_entry_view v;
    struct sg_section s;
    assert_int_equal(saggar_draft_encode(d, &other, &size, NULL), SAGGAR_OK);
    assert_int_equal(sg_entry_open(other, size, NULL, &v), SAGGAR_OK);
    assert_int_equal(sg_entry_find(&v, SG_SECTION_RECIPE, NULL, &s), SAGGAR_OK);
    struct sg_raw_section recipe = {SG_SECTION_RECIPE, "", other + s.offset, (size_t)s.raw};
    struct core c = core_with(&recipe, 1, false);
    assert_int_equal(core_open(&c), SAGGAR_OK);
    assert_int_equal(core_check(&c), SAGGAR_ECORRUPT);
    free(c.data);
    free(other);
    saggar_draft_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(flipped_and_sealed),
        cmocka_unit_test(truncated),
        cmocka_unit_test(appended),
        cmocka_unit_test(versions_and_key),
        cmocka_unit_test(unknown_sections),
        cmocka_unit_test(head_rules),
        cmocka_unit_test(claims),
        cmocka_unit_test(sections_missing_or_wrong),
        cmocka_unit_test(recipe_of_another_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
