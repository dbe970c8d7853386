/* Checksums, slugs, UUIDs, hashes, flags and processors: every vector that Julia 1.11.7 computed. */
#include "check.h"

#include "base/hash.h"
#include "julia/ji.h"
#include "julia/names.h"
#include "julia/targets.h"

static struct sg_doc *vectors;

static int load(void **state) {
    (void)state;
    vectors = recorded_json("vectors-1.11.7.json");
    return 0;
}

static int unload(void **state) {
    (void)state;
    sg_doc_free(vectors);
    return 0;
}

static const struct sg_doc *list(const char *name, size_t least) {
    const struct sg_doc *found = sg_doc_get(vectors, name);
    assert_non_null(found);
    assert_int_equal(found->kind, SG_DOC_ARRAY);
    assert_true(found->n >= least);
    return found;
}

static uint64_t number(const struct sg_doc *row, const char *key) {
    const char *text = sg_doc_text(row, key);
    assert_non_null(text);
    return strtoull(text, NULL, 16);
}

static struct sg_julia_uuid uuid(const struct sg_doc *row, const char *key) {
    struct sg_julia_uuid u;
    char text[SG_JULIA_UUID_TEXT];
    assert_true(sg_julia_uuid_parse(sg_doc_text(row, key), &u));
    assert_string_equal(sg_julia_uuid_print(text, u), sg_doc_text(row, key));
    return u;
}

static void test_crc(void **state) {
    (void)state;
    const struct sg_doc *rows = list("crc32c", 11);
    for (size_t i = 0; i < rows->n; i++) {
        const char *text = sg_doc_text(&rows->item[i], "text");
        size_t n = strlen(text);
        uint32_t whole = (uint32_t)number(&rows->item[i], "crc32c");
        for (size_t cut = 0; cut <= n; cut++)
            assert_int_equal(sg_julia_crc(sg_julia_crc(0, text, cut), text + cut, n - cut), whole);
    }
}

static void test_slugs(void **state) {
    (void)state;
    char out[SG_JULIA_SLUG];
    const struct sg_doc *rows = list("slug", 6);
    for (size_t i = 0; i < rows->n; i++) {
        unsigned n = (unsigned)sg_doc_get(&rows->item[i], "p")->integer;
        assert_string_equal(sg_julia_slug(out, (uint32_t)number(&rows->item[i], "x"), n),
                            sg_doc_text(&rows->item[i], "slug"));
    }
    rows = list("package_slug", 6);
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t crc = sg_julia_uuid_crc(uuid(&rows->item[i], "uuid"));
        assert_int_equal(crc, number(&rows->item[i], "crc32c"));
        assert_string_equal(sg_julia_slug(out, crc, 5), sg_doc_text(&rows->item[i], "pslug"));
    }
    rows = list("version_slug", 8);
    for (size_t i = 0; i < rows->n; i++) {
        uint8_t tree[20];
        const char *hex = sg_doc_text(&rows->item[i], "tree_sha1");
        assert_true(sg_unhex(tree, sizeof tree, hex, strlen(hex)));
        struct sg_julia_uuid u = uuid(&rows->item[i], "uuid");
        assert_string_equal(sg_julia_version_slug(out, u, tree, 5), sg_doc_text(&rows->item[i], "slug5"));
        assert_string_equal(sg_julia_version_slug(out, u, tree, 4), sg_doc_text(&rows->item[i], "slug4"));
    }
}

static void test_cache_slugs(void **state) {
    (void)state;
    const struct sg_doc *rows = list("cache_slug", 9);
    for (size_t i = 0; i < rows->n; i++) {
        const struct sg_doc *row = &rows->item[i];
        char out[SG_JULIA_SLUG];
        struct sg_julia_slug_inputs in = {.project = sg_doc_text(row, "project"),
                                          .image = sg_doc_text(row, "image_file"),
                                          .binary = sg_doc_text(row, "julia_bin"),
                                          .cpu_target = sg_doc_text(row, "cpu_target"),
                                          .flags = (uint8_t)number(row, "flags"),
                                          .preferences = number(row, "prefs_hash")};
        uint32_t crc = sg_julia_cache_crc(&in);
        assert_int_equal(crc, number(row, "crc32c"));
        assert_string_equal(sg_julia_slug(out, crc, 5), sg_doc_text(row, "cslug"));
    }
}

static void test_extensions(void **state) {
    (void)state;
    const struct sg_doc *rows = list("uuid5", 24);
    for (size_t i = 0; i < rows->n; i++) {
        struct sg_julia_uuid found =
            sg_julia_uuid5(uuid(&rows->item[i], "parent"), sg_doc_text(&rows->item[i], "ext"));
        assert_true(sg_julia_uuid_is(found, uuid(&rows->item[i], "uuid")));
    }
}

static uint64_t hash_of(const char *kind, const char *value, uint64_t h) {
    if (strcmp(kind, "bool") == 0)
        return sg_julia_hash_int(strcmp(value, "true") == 0, h);
    if (strcmp(kind, "integer") == 0)
        return sg_julia_hash_int(strtoll(value, NULL, 10), h);
    return sg_julia_hash_real(strtod(value, NULL), h);
}

static void test_hashes(void **state) {
    (void)state;
    static const uint64_t starts[] = {0, UINT64_C(0x123456789abcdef0)};
    static const char *const keys[] = {"h0", "h1"};
    const struct sg_doc *texts = list("hash_string", 11), *values = list("hash_value", 24);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < texts->n; i++) {
            const struct sg_doc *value = sg_doc_get(&texts->item[i], "value");
            assert_int_equal(sg_julia_hash_text(value->text, value->size, starts[k]),
                             number(&texts->item[i], keys[k]));
        }
        for (size_t i = 0; i < values->n; i++) {
            uint64_t found = hash_of(sg_doc_text(&values->item[i], "kind"),
                                     sg_doc_text(&values->item[i], "value"), starts[k]);
            assert_int_equal(found, number(&values->item[i], keys[k]));
        }
    }
}

/* Values as they stand in TOML. */
static void test_chains(void **state) {
    (void)state;
    const struct sg_doc *rows = list("preferences_chain", 10);
    for (size_t i = 0; i < rows->n; i++) {
        const struct sg_doc *values = sg_doc_get(&rows->item[i], "values");
        uint64_t h = 0;
        for (size_t k = 0; k < values->n; k++) {
            const char *v = values->item[k].text;
            if (v[0] == '"')
                h = sg_julia_hash_text(v + 1, strlen(v) - 2, h);
            else
                h = hash_of(strchr("tf", v[0]) != NULL ? "bool"
                            : strchr(v, '.') != NULL   ? "float"
                                                       : "integer",
                            v, h);
        }
        assert_int_equal(h, number(&rows->item[i], "hash"));
    }
}

static void test_flags(void **state) {
    (void)state;
    const struct sg_doc *rows = list("flags_match", 72);
    size_t matches = 0;
    for (size_t i = 0; i < rows->n; i++) {
        bool match = sg_doc_get(&rows->item[i], "match")->integer != 0;
        matches += match;
        assert_int_equal(sg_ji_flags_match(11, (uint8_t)number(&rows->item[i], "requested"),
                                           (uint8_t)number(&rows->item[i], "actual"), false),
                         match);
    }
    assert_true(matches > 5 && matches < rows->n - 5);
}

/* Julia's text of a session's target and its words are the same set. */
static void test_sessions(void **state) {
    (void)state;
    struct sg_doc *sessions = recorded_json("cpu-sessions.json");
    struct sg_arena arena = {0};
    assert_int_equal(sessions->n, 2);
    for (size_t i = 0; i < sessions->n; i++) {
        struct sg_julia_cpu cpu = {0};
        const struct sg_doc *words =
            sg_doc_get(&sg_doc_get(&sessions->item[i], "session_targets")->item[0], "enabled");
        const char *text = sg_doc_get(&sessions->item[i], "session_targets_text")->item[0].text;
        assert_true(sg_julia_cpu_parse(&arena, 11, text, &cpu));
        assert_string_equal(cpu.name, i == 0 ? "rocketlake" : "generic");
        assert_int_equal(cpu.words, words->n);
        for (unsigned k = 0; k < cpu.words; k++)
            assert_int_equal(cpu.enabled[k], strtoul(words->item[k].text, NULL, 16));
    }
    sg_arena_free(&arena);
    sg_doc_free(sessions);
}

static void test_reals(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {{1709618828.0, "1.709618828e9"},
                {1795224740.4139147, "1.7952247404139147e9"},
                {0.0, "0.0"},
                {1.0, "1.0"},
                {-1.0, "-1.0"},
                {123456.0, "123456.0"},
                {999999.5, "999999.5"},
                {1e6, "1.0e6"},
                {0.5, "0.5"},
                {0.0001, "0.0001"},
                {0.00001, "1.0e-5"},
                {10.25, "10.25"}};
    char out[SG_JULIA_REAL_TEXT];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(sg_julia_real_print(out, rows[i].value), rows[i].text);
}

static void test_uuids(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "11111111-2222-4333-8444-55556666777", "11111111-2222-4333-8444-5555666677778",
        "1111111g-2222-4333-8444-555566667777", "1111111112222-4333-8444-555566667777"};
    struct sg_julia_uuid u;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(sg_julia_uuid_parse(bad[i], &u));
    assert_true(sg_julia_uuid_parse("ABCDEF01-2222-4333-8444-555566667777", &u));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_crc, load, unload),
    cmocka_unit_test_setup_teardown(test_slugs, load, unload),
    cmocka_unit_test_setup_teardown(test_cache_slugs, load, unload),
    cmocka_unit_test_setup_teardown(test_extensions, load, unload),
    cmocka_unit_test_setup_teardown(test_hashes, load, unload),
    cmocka_unit_test_setup_teardown(test_chains, load, unload),
    cmocka_unit_test_setup_teardown(test_flags, load, unload),
    cmocka_unit_test(test_sessions),
    cmocka_unit_test(test_reals),
    cmocka_unit_test(test_uuids),
};

CHECK_MAIN(tests)
