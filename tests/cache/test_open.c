/* Which tiers a cache has: options, environment, search, trust. */
#include "make.h"

static int open_error(const char *variable, const char *value) {
    saggar_cache *cache = NULL;
    setenv(variable, value, 1);
    int err = saggar_cache_open(NULL, &cache);
    unsetenv(variable);
    if (err == SAGGAR_OK)
        saggar_cache_close(cache);
    else
        assert_null(cache);
    return err;
}

static void test_environment(void **state) {
    (void)state;
    const char *bad[][2] = {
        {"SAGGAR_MODE", "on"}, {"SAGGAR_MODE", "USE"},      {"SAGGAR_WAIT", "abc"},
        {"SAGGAR_WAIT", "-1"}, {"SAGGAR_WAIT", "5s"},       {"SAGGAR_WAIT", "99999999999"},
        {"SAGGAR_WAIT", "."},  {"SAGGAR_IMAGE_PATH", "no"}, {"SAGGAR_WAIT", "1.2345"}};
    const char *good[][2] = {
        {"SAGGAR_MODE", "use"}, {"SAGGAR_MODE", "off"},        {"SAGGAR_MODE", "require"},
        {"SAGGAR_MODE", ""},    {"SAGGAR_WAIT", "0"},          {"SAGGAR_WAIT", "1.5"},
        {"SAGGAR_WAIT", "600"}, {"SAGGAR_IMAGE_PATH", "none"}, {"SAGGAR_IMAGE_PATH", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(open_error(bad[i][0], bad[i][1]), SAGGAR_EINVAL);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(open_error(good[i][0], good[i][1]), SAGGAR_OK);
}

static void test_options(void **state) {
    (void)state;
    saggar_cache_options options;
    saggar_cache *cache;
    saggar_cache_options_init(&options);
    assert_int_equal(options.struct_size, sizeof options);
    assert_int_equal(options.wait_ms, -1);
    options.wait_ms = -2;
    assert_int_equal(saggar_cache_open(&options, &cache), SAGGAR_EINVAL);
    saggar_cache_options_init(&options);
    options.struct_size = 8;
    assert_int_equal(saggar_cache_open(&options, &cache), SAGGAR_EINVAL);
    saggar_cache_options_init(&options);
    options.reserved[3] = &options;
    assert_int_equal(saggar_cache_open(&options, &cache), SAGGAR_EINVAL);
    assert_int_equal(saggar_cache_open(NULL, NULL), SAGGAR_EINVAL);
}

static void test_off(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    uint8_t key[32];
    make_image_of(path_in("a.saggar"), 1, "one");
    setenv("SAGGAR_MODE", "off", 1);
    saggar_cache *cache = open_cache(path_in("a.saggar"), store);
    unsetenv("SAGGAR_MODE");
    assert_miss(cache, 1, SAGGAR_REASON_DISABLED);
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_EUNSUPPORTED);
    make_key(1, key);
    must(saggar_cache_claim(cache, key, -1, &claim, &outcome));
    assert_int_equal(outcome, SAGGAR_CLAIM_NONE);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    struct stat st;
    assert_int_equal(stat(store, &st), -1);
}

/* The last component of tier i's path, and its state. */
static void expect_tier(saggar_cache *cache, unsigned i, const char *kind, const char *name, bool active) {
    saggar_tier_info info;
    must(saggar_cache_tier(cache, i, &info));
    assert_string_equal(info.kind, kind);
    const char *slash = strrchr(info.path, '/');
    assert_string_equal(slash == NULL ? info.path : slash + 1, name);
    assert_int_equal(info.active, active);
    assert_non_null(info.note);
    if (!active)
        assert_true(info.note[0] != '\0');
}

static void test_search_order(void **state) {
    (void)state;
    saggar_cache_options options;
    saggar_cache *cache;
    saggar_tier_info info;
    char images[1000], prefixes[1000];
    mkdir(path_in("p"), 0755);
    mkdir(path_in("p/share"), 0755);
    mkdir(path_in("p/share/saggar"), 0755);
    make_image_of(path_in("z.saggar"), 1, "z");
    make_image_of(path_in("a.saggar"), 2, "a");
    make_image_of(path_in("p/share/saggar/n.saggar"), 3, "n");
    make_image_of(path_in("p/share/saggar/B.saggar"), 4, "b");
    make_image_of(path_in("p/share/saggar/.hidden.saggar"), 5, "h");
    make_image_of(path_in("p/share/saggar/other.image"), 6, "o");
    assert_int_equal(symlink(path_in("z.saggar"), path_in("p/share/saggar/c.saggar")), 0);
    snprintf(images, sizeof images, "%s:%s::%s", path_in("z.saggar"), path_in("missing.saggar"),
             path_in("a.saggar"));
    snprintf(prefixes, sizeof prefixes, "%s:%s", path_in("p"), path_in("nothing"));
    saggar_cache_options_init(&options);
    options.images = images;
    options.prefix = prefixes;
    options.store = store;
    unsetenv("SAGGAR_IMAGE_PATH");
    must(saggar_cache_open(&options, &cache));
    expect_tier(cache, 0, "image", "z.saggar", true);
    expect_tier(cache, 1, "image", "missing.saggar", false);
    expect_tier(cache, 2, "image", "a.saggar", true);
    expect_tier(cache, 3, "image", "B.saggar", true); /* by bytes; the link is z.saggar again */
    expect_tier(cache, 4, "image", "n.saggar", true);
    unsigned n = 0;
    while (saggar_cache_tier(cache, n, &info) == SAGGAR_OK)
        n++;
    expect_tier(cache, n - 1, "store", "store", true);
    must(saggar_cache_tier(cache, 0, &info));
    assert_int_equal(info.entries, 1);
    saggar_cache_close(cache);
    setenv("SAGGAR_IMAGE_PATH", "none", 1);
    must(saggar_cache_open(&options, &cache));
    expect_tier(cache, 3, "store", "store", true);
    assert_int_equal(saggar_cache_tier(cache, 4, &info), SAGGAR_ENOTFOUND);
    saggar_cache_close(cache);
}

static void test_further_stores(void **state) {
    (void)state;
    char list[4096];
    saggar_cache *cache;
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.store = path_in("site");
    must(saggar_cache_open(&options, &cache));
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK);
    saggar_cache_close(cache);
    snprintf(list, sizeof list, "%s:%s:%s:%s", store, path_in("absent"), path_in("site"), store);
    setenv("SAGGAR_DIR", list, 1);
    must(saggar_cache_open(NULL, &cache));
    assert_hit(cache, 1, "one");
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_OK);
    assert_hit(cache, 2, "two");
    saggar_cache_close(cache);
    struct stat st;
    assert_int_equal(stat(path_in("absent"), &st), -1);
    must(saggar_cache_open(&options, &cache)); /* nothing was written there */
    assert_miss(cache, 2, SAGGAR_REASON_ABSENT);
    saggar_cache_close(cache);
    snprintf(list, sizeof list, ":%s", path_in("site"));
    setenv("SAGGAR_DIR", list, 1);
    setenv("XDG_CACHE_HOME", path_in("xdg"), 1);
    must(saggar_cache_open(NULL, &cache));
    expect_tier(cache, 0, "store", "saggar", true);
    expect_tier(cache, 1, "store", "site", true);
    saggar_cache_close(cache);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("SAGGAR_DIR");
}

static void test_variables(void **state) {
    (void)state;
    saggar_cache *cache;
    make_image_of(path_in("a.saggar"), 1, "one");
    setenv("SAGGAR_IMAGE", path_in("a.saggar"), 1);
    setenv("SAGGAR_DIR", store, 1);
    must(saggar_cache_open(NULL, &cache));
    expect_tier(cache, 0, "image", "a.saggar", true);
    expect_tier(cache, 1, "store", "store", true);
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
    unsetenv("SAGGAR_DIR");
    setenv("XDG_CACHE_HOME", path_in("xdg"), 1);
    must(saggar_cache_open(NULL, &cache));
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_OK);
    saggar_cache_close(cache);
    struct stat st;
    assert_int_equal(stat(path_in("xdg/saggar/v1"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    unsetenv("XDG_CACHE_HOME");
    must(saggar_cache_open(NULL, &cache));
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_OK);
    saggar_cache_close(cache);
    assert_int_equal(stat(path_in(".cache/saggar/CACHEDIR.TAG"), &st), 0);
}

static void test_untrusted(void **state) {
    (void)state;
    saggar_tier_info info;
    make_image_of(path_in("a.saggar"), 1, "one");
    chmod(path_in("a.saggar"), 0666);
    saggar_cache *cache = open_cache(path_in("a.saggar"), store);
    must(saggar_cache_tier(cache, 0, &info));
    assert_false(info.active);
    assert_false(info.trusted);
    assert_true(info.note[0] != '\0');
    assert_miss(cache, 1, SAGGAR_REASON_ABSENT);
    saggar_cache_close(cache);
    cache = open_cache(path_in("a.saggar"), "");
    assert_miss(cache, 1, SAGGAR_REASON_UNTRUSTED);
    saggar_cache_close(cache);
    cache = open_cache(path_in("missing.saggar"), "");
    assert_miss(cache, 1, SAGGAR_REASON_ABSENT);
    saggar_cache_close(cache);
    mkdir(store, 0777);
    chmod(store, 0777);
    cache = open_cache("", store);
    expect_tier(cache, 0, "store", "store", false);
    assert_miss(cache, 1, SAGGAR_REASON_UNTRUSTED);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_EUNTRUSTED);
    saggar_cache_close(cache);
    rmdir(store); /* no question of trust: there is a file where the store should be */
    must(fclose(fopen(store, "w")) == 0 ? SAGGAR_OK : SAGGAR_EIO);
    cache = open_cache("", store);
    assert_miss(cache, 1, SAGGAR_REASON_IO);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_EINVAL);
    saggar_cache_close(cache);
}

static void test_foreign_home(void **state) {
    (void)state;
    struct stat st;
    saggar_cache *cache;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(dir, 12345, 12345), 0);
    must(saggar_cache_open(NULL, &cache));
    expect_tier(cache, 0, "store", "saggar", false);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_EUNTRUSTED);
    saggar_cache_close(cache);
    assert_int_equal(stat(path_in(".cache"), &st), -1);
    unsetenv("HOME");
    must(saggar_cache_open(NULL, &cache));
    expect_tier(cache, 0, "store", "", false);
    saggar_cache_close(cache);
}

static void test_relative(void **state) {
    (void)state;
    saggar_cache *cache;
    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir(dir), 0);
    setenv("SAGGAR_DIR", "store", 1);
    must(saggar_cache_open(NULL, &cache));
    unsetenv("SAGGAR_DIR");
    assert_int_equal(chdir("/"), 0);
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    uint8_t key[32];
    make_key(1, key);
    must(saggar_cache_claim(cache, key, 0, &claim, &outcome));
    assert_int_equal(outcome, SAGGAR_CLAIM_OWNED);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK);
    saggar_claim_release(claim);
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
    cache = open_cache("", store);
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
    assert_int_equal(chdir(before), 0);
    free(before);
}

/* A claim that comes before the first publish makes the same store. */
static void test_claim_makes_store(void **state) {
    (void)state;
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    uint8_t key[32];
    struct stat st;
    make_key(1, key);
    saggar_cache *cache = open_cache("", store);
    assert_int_equal(stat(store, &st), -1);
    must(saggar_cache_claim(cache, key, 0, &claim, &outcome));
    assert_int_equal(outcome, SAGGAR_CLAIM_OWNED);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK);
    saggar_claim_release(claim);
    assert_hit(cache, 1, "one");
    must(saggar_cache_claim(cache, key, 0, &claim, &outcome)); /* too late: it is there by now */
    assert_int_equal(outcome, SAGGAR_CLAIM_FREED);
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    assert_int_equal(stat(path_in("store/CACHEDIR.TAG"), &st), 0);
    assert_int_equal(stat(path_in("store/v1/claims"), &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        MAKE_CASE(test_environment),       MAKE_CASE(test_options),        MAKE_CASE(test_off),
        MAKE_CASE(test_search_order),      MAKE_CASE(test_further_stores), MAKE_CASE(test_variables),
        MAKE_CASE(test_untrusted),         MAKE_CASE(test_foreign_home),   MAKE_CASE(test_relative),
        MAKE_CASE(test_claim_makes_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
