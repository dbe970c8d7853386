/* Dependencies: each kind, each way; what nobody can answer does not hold. */
#include "base/hash.h"
#include "raw.h"

static struct answers {
    const char *version; /* of every distribution, NULL: unknown */
    const char *root;    /* NULL: unknown */
    int value, code;     /* what the digests are made of, -1: unknown */
    int asked_version, asked_root, asked_digest;
} now;

static int distribution(void *context, const char *name, char *version, size_t n) {
    (void)context;
    now.asked_version++;
    if (now.version == NULL || strcmp(name, "numpy") != 0)
        return -1;
    snprintf(version, n, "%s", now.version);
    return 0;
}

static int root(void *context, const char *name, char *path, size_t n) {
    (void)context;
    now.asked_root++;
    if (now.root == NULL || strcmp(name, "site-packages") != 0)
        return -1;
    snprintf(path, n, "%s", now.root);
    return 0;
}

static int digest(void *context, bool code, const char *resolver, const char *name, uint8_t out[32]) {
    (void)context;
    now.asked_digest++;
    int made_of = code ? now.code : now.value;
    if (made_of < 0 || strcmp(resolver, "numba") != 0 || strcmp(name, "m.name") != 0)
        return -1;
    memset(out, made_of, 32);
    return 0;
}

static const saggar_resolver resolver = {.digest = digest, .distribution = distribution, .root = root};

static saggar_reason ask(saggar_cache *cache, int64_t n, char *detail) {
    char text[64];
    now.asked_version = now.asked_root = now.asked_digest = 0;
    return look_up(cache, n, &resolver, text, detail);
}

static void expect(saggar_cache *cache, int64_t n, const char *failing) {
    char detail[SAGGAR_DETAIL_SIZE];
    saggar_reason reason = ask(cache, n, detail);
    assert_int_equal(reason, failing == NULL ? SAGGAR_REASON_NONE : SAGGAR_REASON_DEPENDENCY);
    if (failing != NULL)
        assert_string_equal(detail, failing);
}

static int setup(void **state) {
    now = (struct answers){"2.0", dir, 1, 2, 0, 0, 0};
    return make_dir_setup(state);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void depend_file(saggar_draft *d, const char *path, const char *text) {
    uint8_t sha[32];
    must(sg_sha256(sha, text, strlen(text)));
    must(saggar_draft_depend_file(d, "site-packages", path, strlen(text), sha));
}

static void test_distribution(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_draft *d = make_draft(1, "one");
    must(saggar_draft_depend_distribution(d, "numpy", "2.0"));
    must(publish_draft(cache, d));
    expect(cache, 1, NULL);
    now.version = "2.1";
    expect(cache, 1, "distribution numpy 2.0");
    now.version = NULL;
    expect(cache, 1, "distribution numpy 2.0");
    assert_miss(cache, 1, SAGGAR_REASON_DEPENDENCY); /* no resolver at all */
    saggar_cache_close(cache);
}

static void test_value_and_code(void **state) {
    (void)state;
    uint8_t one[32], two[32];
    saggar_cache *cache = open_cache("", store);
    saggar_draft *d = make_draft(1, "one");
    memset(one, 1, 32);
    memset(two, 2, 32);
    must(saggar_draft_depend_value(d, "numba", "m.name", one));
    must(saggar_draft_depend_code(d, "numba", "m.name", two));
    must(publish_draft(cache, d));
    expect(cache, 1, NULL);
    now.value = 3;
    expect(cache, 1, "value numba m.name");
    now.value = -1;
    expect(cache, 1, "value numba m.name");
    now.value = 1;
    now.code = 1;
    expect(cache, 1, "code numba m.name");
    now.code = 2;
    expect(cache, 1, NULL);
    saggar_cache_close(cache);
}

static void test_file(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    mkdir(path_in("pkg"), 0755);
    write_file(path_in("pkg/a.py"), "x = 1\n");
    saggar_draft *d = make_draft(1, "one");
    depend_file(d, "pkg/a.py", "x = 1\n");
    must(publish_draft(cache, d));
    expect(cache, 1, NULL);
    now.root = NULL;
    expect(cache, 1, "file site-packages pkg/a.py");
    now.root = path_in("elsewhere");
    expect(cache, 1, "file site-packages pkg/a.py");
    /* The same content elsewhere, with other times. */
    mkdir(path_in("elsewhere"), 0755);
    mkdir(path_in("elsewhere/pkg"), 0755);
    write_file(path_in("elsewhere/pkg/a.py"), "x = 1\n");
    now.root = path_in("elsewhere");
    expect(cache, 1, NULL);
    saggar_cache_close(cache);
}

/* A file that changes while the process lives, to the same length. */
static void test_file_changes(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    write_file(path_in("a.py"), "x = 1\n");
    saggar_draft *d = make_draft(1, "one");
    depend_file(d, "a.py", "x = 1\n");
    must(publish_draft(cache, d));
    expect(cache, 1, NULL);
    write_file(path_in("a.py"), "x = 2\n");
    usleep(2300 * 1000); /* files are looked at again after two seconds */
    expect(cache, 1, "file site-packages a.py");
    write_file(path_in("a.py"), "x = 1\n");
    usleep(2300 * 1000);
    expect(cache, 1, NULL);
    unlink(path_in("a.py"));
    usleep(2300 * 1000);
    expect(cache, 1, "file site-packages a.py");
    mkdir(path_in("a.py"), 0755);
    expect(cache, 1, "file site-packages a.py");
    saggar_cache_close(cache);
}

static int quiet_file(void *arg) {
    uint8_t key[32];
    saggar_entry *entry;
    saggar_reason reason;
    make_key(1, key);
    if (!child_forbid_syscalls())
        return 77;
    return saggar_cache_find(arg, key, &resolver, &entry, &reason, NULL) == SAGGAR_OK && entry != NULL ? 0
                                                                                                       : 1;
}

/* Known files cost no system call at all. */
static void test_file_memo(void **state) {
    (void)state;
    write_file(path_in("a.py"), "x = 1\n");
    saggar_draft *d = make_draft(1, "one");
    depend_file(d, "a.py", "x = 1\n");
    make_image(path_in("a.saggar"), &d, 1);
    saggar_cache *cache = open_cache(path_in("a.saggar"), "");
    expect(cache, 1, NULL);
    int result = child_run(quiet_file, cache);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
    saggar_cache_close(cache);
}

static void test_outside_of_root(void **state) {
    (void)state;
    saggar_encoder *e;
    const char *paths[] = {"../secret", "/etc/passwd", "a/../../secret", "./a", "a//b", "", "a/.", "a/"};
    uint8_t sha[32];
    write_file(path_in("secret"), "s");
    mkdir(path_in("root"), 0755);
    mkdir(path_in("root/a"), 0755);
    write_file(path_in("root/a/b"), "s");
    now.root = path_in("root");
    must(sg_sha256(sha, "s", 1));
    must(saggar_encoder_new(&e));
    saggar_cache *cache = open_cache("", store);
    for (int i = 0; i < (int)(sizeof paths / sizeof paths[0]); i++) {
        struct raw_records r = {.size = 0};
        char text[64];
        must(saggar_encode_begin(e, SAGGAR_TUPLE));
        encode_text(e, "site-packages");
        encode_text(e, paths[i]);
        must(saggar_encode_int(e, 1));
        must(saggar_encode_digest(e, "file", sha));
        must(saggar_encode_end(e));
        raw_add(&r, SG_DEPEND_FILE, e);
        raw_publish(cache, i, "one", NULL, &r);
        assert_int_not_equal(look_up(cache, i, &resolver, text, NULL), SAGGAR_REASON_NONE);
    }
    saggar_cache_close(cache);
    saggar_encoder_free(e);
}

/* The cheapest first: a changed distribution ends the check before a file or a value is looked at. */
static void test_order(void **state) {
    (void)state;
    uint8_t one[32];
    memset(one, 1, 32);
    saggar_cache *cache = open_cache("", store);
    saggar_draft *d = make_draft(1, "one");
    must(saggar_draft_depend_value(d, "numba", "m.name", one));
    depend_file(d, "a.py", "x");
    must(saggar_draft_depend_distribution(d, "numpy", "1.0"));
    must(publish_draft(cache, d));
    expect(cache, 1, "distribution numpy 1.0");
    assert_int_equal(now.asked_root + now.asked_digest, 0);
    now.version = "1.0";
    expect(cache, 1, "file site-packages a.py");
    assert_int_equal(now.asked_digest, 0);
    saggar_cache_close(cache);
}

static void put_entry_dependency(saggar_cache *cache, int64_t n, int64_t on) {
    saggar_encoder *e;
    struct raw_records r = {.size = 0};
    uint8_t key[32];
    make_key(on, key);
    must(saggar_encoder_new(&e));
    must(saggar_encode_begin(e, SAGGAR_TUPLE));
    must(saggar_encode_begin(e, SAGGAR_TUPLE));
    encode_text(e, "cc");
    encode_text(e, "module");
    encode_text(e, "callee");
    must(saggar_encode_end(e));
    must(saggar_encode_bytes(e, key, 32));
    must(saggar_encode_end(e));
    raw_add(&r, SG_DEPEND_ENTRY, e);
    raw_publish(cache, n, "one", NULL, &r);
    saggar_encoder_free(e);
}

static void test_entries(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    put_entry_dependency(cache, 1, 2);
    put_entry_dependency(cache, 2, 3);
    expect(cache, 1, "entry module callee"); /* 3 is not there */
    saggar_draft *d = make_draft(3, "three");
    must(saggar_draft_depend_distribution(d, "numpy", "2.0"));
    must(publish_draft(cache, d));
    expect(cache, 1, NULL);
    now.version = "2.1";
    expect(cache, 1, "distribution numpy 2.0");
    expect(cache, 2, "distribution numpy 2.0");
    d = make_draft(3, "three again"); /* another variant, whose dependencies hold */
    must(saggar_draft_depend_distribution(d, "numpy", "2.1"));
    must(publish_draft(cache, d));
    expect(cache, 1, NULL);
    put_entry_dependency(cache, 10, 11); /* a cycle */
    put_entry_dependency(cache, 11, 10);
    expect(cache, 10, NULL);
    for (int i = 100; i < 300; i++) /* too long a chain */
        put_entry_dependency(cache, i, i + 1);
    must(publish(cache, 300, "end"));
    expect(cache, 290, NULL);
    expect(cache, 100, "entry module callee");
    saggar_cache_close(cache);
}

static void test_unknown_dependency(void **state) {
    (void)state;
    saggar_encoder *e;
    struct raw_records must_know = {.size = 0}, may_skip = {.size = 0};
    must(saggar_encoder_new(&e));
    must(saggar_encode_none(e));
    raw_add(&must_know, 0x8066, e);
    must(saggar_encode_none(e));
    raw_add(&may_skip, 0x0066, e);
    saggar_cache *cache = open_cache("", store);
    raw_publish(cache, 1, "unknown", NULL, &must_know);
    assert_miss(cache, 1, SAGGAR_REASON_UNKNOWN_RECORD);
    raw_publish(cache, 2, "skipped", NULL, &may_skip);
    assert_hit(cache, 2, "skipped");
    must(publish(cache, 1, "known"));
    assert_hit(cache, 1, "known");
    saggar_cache_close(cache);
    saggar_encoder_free(e);
}

/* A stale variant in the image does not hide the fresh one in the store. */
static void test_fallthrough(void **state) {
    (void)state;
    char text[64];
    saggar_draft *d = make_draft(1, "stale");
    must(saggar_draft_depend_distribution(d, "numpy", "1.0"));
    make_image(path_in("a.saggar"), &d, 1);
    saggar_cache *cache = open_cache(path_in("a.saggar"), store);
    expect(cache, 1, "distribution numpy 1.0");
    d = make_draft(1, "fresh");
    must(saggar_draft_depend_distribution(d, "numpy", "2.0"));
    must(publish_draft(cache, d));
    assert_int_equal(look_up(cache, 1, &resolver, text, NULL), SAGGAR_REASON_NONE);
    assert_string_equal(text, "fresh");
    now.version = "1.0";
    assert_int_equal(look_up(cache, 1, &resolver, text, NULL), SAGGAR_REASON_NONE);
    assert_string_equal(text, "stale");
    now.version = "2.0"; /* asked for every time, although the image does not change */
    assert_int_equal(look_up(cache, 1, &resolver, text, NULL), SAGGAR_REASON_NONE);
    assert_string_equal(text, "fresh");
    saggar_cache_close(cache);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, make_dir_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_distribution),       CASE(test_value_and_code),  CASE(test_file),  CASE(test_file_changes),
        CASE(test_file_memo),          CASE(test_outside_of_root), CASE(test_order), CASE(test_entries),
        CASE(test_unknown_dependency), CASE(test_fallthrough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
