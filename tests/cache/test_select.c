/* Which candidate is used: requirements, ranking, and the reason where none is. */
#include <gnu/libc-version.h>

#include "raw.h"

static saggar_features set_of(const char *level) {
    saggar_features f;
    must(saggar_features_parse(SAGGAR_ARCH_X86_64, level, NULL, &f, NULL));
    return f;
}

static void put(saggar_cache *cache, int64_t n, const char *level, const char *features, const char *text) {
    saggar_features f;
    saggar_draft *d = make_draft(n, text);
    must(saggar_features_parse(SAGGAR_ARCH_X86_64, level, features, &f, NULL));
    must(saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "linux-gnu"));
    must(saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &f, NULL));
    must(publish_draft(cache, d));
}

static void host(saggar_cache *cache, const char *level) {
    saggar_features f = set_of(level);
    sg_cache_set_host(cache, SAGGAR_ARCH_X86_64, &f);
}

static void check_variants(saggar_cache *cache) {
    char text[64], detail[SAGGAR_DETAIL_SIZE];
    host(cache, "x86-64-v4");
    assert_hit(cache, 1, "v4");
    host(cache, "x86-64-v3");
    assert_hit(cache, 1, "v3 and more"); /* as wide, more features */
    host(cache, "x86-64-v2");
    assert_hit(cache, 1, "v2");
    host(cache, "x86-64");
    assert_int_equal(look_up(cache, 1, NULL, text, detail), SAGGAR_REASON_FEATURES);
    assert_non_null(strstr(detail, "sse4"));
    saggar_features f = set_of("x86-64-v4");
    sg_cache_set_host(cache, SAGGAR_ARCH_AARCH64, &f);
    assert_int_equal(look_up(cache, 1, NULL, text, detail), SAGGAR_REASON_ARCHITECTURE);
    assert_string_equal(detail, "x86_64");
}

static void test_variants(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    put(cache, 1, "x86-64-v2", NULL, "v2");
    put(cache, 1, "x86-64-v4", NULL, "v4");
    put(cache, 1, "x86-64-v3", "-fma,-bmi2", "v3");
    put(cache, 1, "x86-64-v3", NULL, "v3 and more");
    check_variants(cache);
    saggar_cache_close(cache);
}

/* The same from an image, whose index knows the features. */
static void test_variants_in_image(void **state) {
    (void)state;
    saggar_draft *drafts[4];
    const char *levels[] = {"x86-64-v2", "x86-64-v4", "x86-64-v3", "x86-64-v3"};
    const char *features[] = {NULL, NULL, "-fma,-bmi2", NULL};
    const char *texts[] = {"v2", "v4", "v3", "v3 and more"};
    for (int i = 0; i < 4; i++) {
        saggar_features f;
        drafts[i] = make_draft(1, texts[i]);
        must(saggar_features_parse(SAGGAR_ARCH_X86_64, levels[i], features[i], &f, NULL));
        must(saggar_draft_require_arch(drafts[i], SAGGAR_ARCH_X86_64, "linux-gnu"));
        must(saggar_draft_require_features(drafts[i], SAGGAR_PROVENANCE_DECLARED, &f, NULL));
    }
    make_image(path_in("a.saggar"), drafts, 4);
    saggar_cache *cache = open_cache(path_in("a.saggar"), "");
    check_variants(cache);
    saggar_cache_close(cache);
}

/* Equal in all that counts: the smallest identity, whatever the order of publishing. */
static void test_tie(void **state) {
    (void)state;
    char first[64], second[64];
    saggar_cache *cache = open_cache("", store);
    put(cache, 1, "x86-64", NULL, "aaa");
    put(cache, 1, "x86-64", NULL, "bbb");
    host(cache, "x86-64");
    assert_int_equal(look_up(cache, 1, NULL, first, NULL), SAGGAR_REASON_NONE);
    saggar_cache_close(cache);
    remove_tree(store);
    cache = open_cache("", store);
    put(cache, 1, "x86-64", NULL, "bbb");
    put(cache, 1, "x86-64", NULL, "aaa");
    host(cache, "x86-64");
    assert_int_equal(look_up(cache, 1, NULL, second, NULL), SAGGAR_REASON_NONE);
    assert_string_equal(first, second);
    saggar_cache_close(cache);
}

/* The first tier wins, even if the next one has a better variant. */
static void test_first_tier(void **state) {
    (void)state;
    saggar_features f = set_of("x86-64");
    saggar_draft *d = make_draft(1, "narrow");
    must(saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "linux-gnu"));
    must(saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &f, NULL));
    make_image(path_in("a.saggar"), &d, 1);
    saggar_cache *cache = open_cache(path_in("a.saggar"), store);
    put(cache, 1, "x86-64-v3", NULL, "wide");
    put(cache, 2, "x86-64-v3", NULL, "only here");
    host(cache, "x86-64-v4");
    assert_hit(cache, 1, "narrow");
    assert_hit(cache, 2, "only here");
    saggar_cache_close(cache);
}

static void test_unknown_names(void **state) {
    (void)state;
    char text[64], detail[SAGGAR_DETAIL_SIZE];
    saggar_features f = set_of("x86-64");
    saggar_cache *cache;
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.store = store;
    options.images = "";
    must(saggar_cache_open(&options, &cache));
    saggar_draft *d = make_draft(1, "one");
    must(saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "linux-gnu"));
    must(saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &f, "zzfuture,zzother"));
    must(publish_draft(cache, d));
    host(cache, "x86-64-v4");
    assert_int_equal(look_up(cache, 1, NULL, text, detail), SAGGAR_REASON_FEATURES);
    assert_string_equal(detail, "zzfuture");
    saggar_cache_close(cache);
    options.features = "zzother,+zzfuture";
    if (saggar_cache_open(&options, &cache) == SAGGAR_OK) {
        host(cache, "x86-64-v4");
        assert_hit(cache, 1, "one");
        saggar_cache_close(cache);
    }
}

/* What the caller vouches for counts as there. */
static void test_vouched(void **state) {
    (void)state;
    saggar_features nothing, all;
    saggar_cache *cache;
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.store = store;
    options.features = "avx2,+fma";
    if (saggar_host_arch() != SAGGAR_ARCH_X86_64)
        skip();
    must(saggar_cache_open(&options, &cache));
    must(saggar_features_parse(SAGGAR_ARCH_X86_64, NULL, "+avx2,+fma", &all, NULL));
    assert_true(saggar_features_subset(&all, &cache->host));
    must(saggar_host_features(&nothing));
    assert_true(saggar_features_subset(&nothing, &cache->host));
    saggar_cache_close(cache);
}

static void put_library(saggar_cache *cache, int64_t n, const char *name, const char *version) {
    saggar_draft *d = make_draft(n, "one");
    must(saggar_draft_require_library(d, name, version));
    must(publish_draft(cache, d));
}

static void test_libraries(void **state) {
    (void)state;
    char text[64], detail[SAGGAR_DETAIL_SIZE];
    saggar_cache *cache = open_cache("", store);
    put_library(cache, 1, "GLIBC", "2.2.5");
    put_library(cache, 2, "GLIBC", gnu_get_libc_version());
    put_library(cache, 3, "GLIBC", "2.999");
    put_library(cache, 4, "GLIBC", "3");
    put_library(cache, 5, "UNHEARD", "1.0");
    put_library(cache, 6, "GLIBC", "2.x");
    assert_hit(cache, 1, "one");
    assert_hit(cache, 2, "one");
    assert_int_equal(look_up(cache, 3, NULL, text, detail), SAGGAR_REASON_LIBRARY);
    assert_string_equal(detail, "GLIBC 2.999");
    for (int n = 4; n <= 6; n++)
        assert_miss(cache, n, SAGGAR_REASON_LIBRARY);
    saggar_cache_close(cache);
}

static bool has_symbol(void *context, const char *name) {
    ++*(int *)context;
    return strcmp(name, "missing_one") != 0;
}

static void test_symbols(void **state) {
    (void)state;
    char text[64], detail[SAGGAR_DETAIL_SIZE];
    int asked = 0;
    saggar_resolver resolver = {.context = &asked, .symbol = has_symbol};
    saggar_cache *cache = open_cache("", store);
    saggar_draft *d = make_draft(1, "one");
    must(saggar_draft_require_symbol(d, "cos"));
    must(saggar_draft_require_symbol(d, "missing_one"));
    must(publish_draft(cache, d));
    d = make_draft(2, "two");
    must(saggar_draft_require_symbol(d, "cos"));
    must(saggar_draft_require_symbol(d, "abort"));
    must(publish_draft(cache, d));
    assert_int_equal(look_up(cache, 1, &resolver, text, detail), SAGGAR_REASON_SYMBOLS);
    assert_string_equal(detail, "missing_one");
    asked = 0;
    assert_int_equal(look_up(cache, 2, &resolver, text, detail), SAGGAR_REASON_NONE);
    assert_int_equal(asked, 2);
    resolver.symbol = NULL; /* not checked then */
    assert_int_equal(look_up(cache, 1, &resolver, text, detail), SAGGAR_REASON_NONE);
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
}

/* What is known of an entry in an image without asking for its symbols is not enough for who asks. */
static void test_symbols_in_image(void **state) {
    (void)state;
    char text[64];
    int asked = 0;
    saggar_resolver resolver = {.context = &asked, .symbol = has_symbol};
    saggar_draft *drafts[2] = {make_draft(1, "one"), make_draft(2, "two")};
    must(saggar_draft_require_symbol(drafts[0], "missing_one"));
    must(saggar_draft_require_symbol(drafts[1], "cos"));
    make_image(path_in("a.saggar"), drafts, 2);
    saggar_cache *cache = open_cache(path_in("a.saggar"), "");
    for (int i = 0; i < 3; i++) {
        assert_hit(cache, 1, "one");
        assert_hit(cache, 2, "two");
        assert_int_equal(look_up(cache, 1, &resolver, text, NULL), SAGGAR_REASON_SYMBOLS);
        assert_int_equal(look_up(cache, 2, &resolver, text, NULL), SAGGAR_REASON_NONE);
    }
    saggar_cache_close(cache);
}

static void test_unknown_requirement(void **state) {
    (void)state;
    saggar_encoder *e;
    struct raw_records must_know = {.size = 0}, may_skip = {.size = 0};
    must(saggar_encoder_new(&e));
    must(saggar_encode_none(e));
    raw_add(&must_know, 0x8077, e);
    must(saggar_encode_none(e));
    raw_add(&may_skip, 0x0077, e);
    saggar_cache *cache = open_cache("", store);
    raw_publish(cache, 1, "unknown", &must_know, NULL);
    assert_miss(cache, 1, SAGGAR_REASON_UNKNOWN_RECORD);
    raw_publish(cache, 2, "skipped", &may_skip, NULL);
    assert_hit(cache, 2, "skipped");
    assert_int_equal(publish(cache, 1, "known"), SAGGAR_OK);
    assert_hit(cache, 1, "known"); /* the next candidate */
    saggar_cache_close(cache);
    saggar_encoder_free(e);
}

static void test_abi(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_draft *d = make_draft(1, "one");
    must(saggar_draft_require_arch(d, SAGGAR_ARCH_ANY, "linux-musl"));
    must(publish_draft(cache, d));
    d = make_draft(2, "two");
    must(saggar_draft_require_arch(d, SAGGAR_ARCH_ANY, "any"));
    must(publish_draft(cache, d));
    assert_miss(cache, 1, SAGGAR_REASON_ARCHITECTURE);
    assert_hit(cache, 2, "two");
    saggar_cache_close(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        MAKE_CASE(test_variants),
        MAKE_CASE(test_variants_in_image),
        MAKE_CASE(test_tie),
        MAKE_CASE(test_first_tier),
        MAKE_CASE(test_unknown_names),
        MAKE_CASE(test_vouched),
        MAKE_CASE(test_libraries),
        MAKE_CASE(test_symbols),
        MAKE_CASE(test_symbols_in_image),
        MAKE_CASE(test_unknown_requirement),
        MAKE_CASE(test_abi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
