/*
 * What shared objects require: read from real ones that the C compiler makes, recorded, and checked where the
 * entry is found. Damaged ones are read without harm.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "build.h"
#include "code/dynamic.h"
#include "code/library.h"

static char detail[SAGGAR_DETAIL_SIZE];

static void compile(const char *out, const char *source, const char *options) {
    char command[5000];
    snprintf(command, sizeof command, "printf '%%s' '%s' | cc -shared -fPIC -o %s -x c - -x none %s", source,
             out, options);
    assert_int_equal(system(command), 0);
}

/* The records of a kind, printed, one after another. */
struct listing {
    uint16_t kind;
    char text[2000];
};

static int print_record(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    struct listing *l = context;
    char *text;
    if (kind != l->kind)
        return 0;
    must(saggar_value_print(payload, n, 1000, &text));
    strcat(l->text, text);
    strcat(l->text, ";");
    free(text);
    return 0;
}

static void list(saggar_draft *d, uint16_t kind, struct listing *l) {
    uint8_t *core;
    size_t size;
    struct sg_entry_view view;
    struct sg_requirements r;
    *l = (struct listing){.kind = kind};
    must(saggar_draft_encode(d, &core, &size, NULL));
    must(sg_entry_open(core, size, NULL, &view));
    must(sg_entry_check(&view));
    must(sg_entry_requirements(&view, SG_FULL, &r));
    must(sg_records_each(r.section, r.section_size, print_record, l));
    sg_requirements_free(&r);
    free(core);
}

static char *new_folder(const char *name) {
    char *path = path_in(name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static void test_recorded(void **state) {
    (void)state;
    struct listing l;
    char path[600], *root = new_folder("tree");
    snprintf(path, sizeof path, "%s/libown.so.1", root);
    compile(path, "int own(void) { return 1; }", "-Wl,-soname,libown.so.1");
    char options[1400], user[600];
    snprintf(options, sizeof options, "%s -Wl,--no-as-needed -lm -lcrypto", path);
    snprintf(user, sizeof user, "%s/user.so", root);
    compile(user, "#include <math.h>\nint own(void); double f(double x) { return exp(x) + own(); }", options);
    saggar_draft *d = make_draft(1, "object");
    must(saggar_draft_tree(d, root, detail));
    list(d, SG_REQUIRE_ARCH, &l);
    assert_non_null(strstr(l.text, "linux-gnu"));
    list(d, SG_REQUIRE_LIBRARY, &l);
    assert_non_null(strstr(l.text, "\"GLIBC\", \"2."));
    list(d, SG_REQUIRE_NEEDED, &l); /* neither the C library's parts nor what lies in the tree */
    assert_non_null(strstr(l.text, "libcrypto.so.3"));
    assert_non_null(strstr(l.text, ", 1)"));
    assert_null(strstr(l.text, "libown"));
    assert_null(strstr(l.text, "libm"));
    saggar_draft_free(d);
}

/* An architecture that the caller stated stays the only one; files that are no objects require nothing. */
static void test_nothing_needed(void **state) {
    (void)state;
    struct listing l;
    saggar_draft *d = make_draft(1, "object");
    must(saggar_draft_tree(d, make_tree("tree"), detail));
    list(d, SG_REQUIRE_ARCH, &l);
    assert_string_equal(l.text, "");
    list(d, SG_REQUIRE_LIBRARY, &l);
    assert_string_equal(l.text, "");
    saggar_draft_free(d);
    char path[600], *root = new_folder("other");
    snprintf(path, sizeof path, "%s/a.so", root);
    compile(path, "int a;", "");
    d = make_draft(1, "object");
    must(saggar_draft_require_arch(d, saggar_host_arch(), "any"));
    must(saggar_draft_tree(d, root, detail));
    list(d, SG_REQUIRE_ARCH, &l);
    assert_non_null(strstr(l.text, "any"));
    saggar_draft_free(d);
}

/* ---- Checked where the entry is found ---- */

static void expect(saggar_draft *d, int64_t n, saggar_reason reason, const char *what) {
    saggar_cache *cache = open_cache("", store);
    char text[64], why[SAGGAR_DETAIL_SIZE] = "";
    must(publish_draft(cache, d));
    assert_int_equal(look_up(cache, n, NULL, text, why), reason);
    assert_string_equal(why, what);
    saggar_cache_close(cache);
}

static saggar_draft *needing(int64_t n, const char *soname, const char *version, bool must_be_found) {
    saggar_draft *d = make_draft(n, "object");
    char *versions[1];
    versions[0] = (char *)(uintptr_t)version;
    must(sg_draft_needed(d, soname, versions, version != NULL, must_be_found));
    return d;
}

static void test_checked(void **state) {
    (void)state;
    expect(needing(1, "libcrypto.so.3", NULL, true), 1, SAGGAR_REASON_NONE, "");
    expect(needing(2, "libcrypto.so.3", "OPENSSL_3.0.0", true), 2, SAGGAR_REASON_NONE, "");
    expect(needing(3, "libcrypto.so.3", "OPENSSL_9.9", true), 3, SAGGAR_REASON_LIBRARY,
           "libcrypto.so.3 OPENSSL_9.9");
    expect(needing(4, "libnowhere.so.7", NULL, true), 4, SAGGAR_REASON_LIBRARY, "libnowhere.so.7 ");
    expect(needing(5, "libnowhere.so.7", "X_1", false), 5, SAGGAR_REASON_NONE, "");
    expect(needing(6, "/etc/passwd", NULL, true), 6, SAGGAR_REASON_LIBRARY, "/etc/passwd ");
    saggar_draft *d = make_draft(7, "object");
    must(saggar_draft_require_library(d, "GLIBC", "9.1"));
    expect(d, 7, SAGGAR_REASON_LIBRARY, "GLIBC 9.1");
}

/* A version of the C library that is no number is asked for by its name; a private one never holds. */
static void need_of_libc(int64_t n, const char *version, struct listing *library, struct listing *needed) {
    char name[64], folder[600], path[700], script[700], options[1800], text[200];
    snprintf(name, sizeof name, "libc-%d", (int)n);
    snprintf(folder, sizeof folder, "%s", new_folder(name));
    snprintf(path, sizeof path, "%s/libc.so.6", folder);
    snprintf(script, sizeof script, "%s/versions", folder);
    snprintf(text, sizeof text, "%s { global: one; };", version);
    write_file(script, text, 0600);
    snprintf(options, sizeof options, "-nostdlib -Wl,-soname,libc.so.6 -Wl,--version-script=%s", script);
    compile(path, "int one(void) { return 1; }", options);
    snprintf(name, sizeof name, "tree-%d", (int)n);
    char user[900], *root = new_folder(name);
    snprintf(user, sizeof user, "%s/user.so", root);
    snprintf(options, sizeof options, "-nostdlib %s", path);
    compile(user, "int one(void); int f(void) { return one(); }", options);
    saggar_draft *d = make_draft(n, "object");
    must(saggar_draft_tree(d, root, detail));
    list(d, SG_REQUIRE_LIBRARY, library);
    list(d, SG_REQUIRE_NEEDED, needed);
    saggar_cache *cache = open_cache("", store);
    must(publish_draft(cache, d));
    saggar_cache_close(cache);
}

static void test_versions_of_libc(void **state) {
    (void)state;
    struct listing library, needed;
    char text[64], why[SAGGAR_DETAIL_SIZE] = "";
    need_of_libc(1, "GLIBC_ABI_OF_TOMORROW", &library, &needed);
    assert_string_equal(library.text, "");
    assert_string_equal(needed.text, "(\"libc.so.6\", (\"GLIBC_ABI_OF_TOMORROW\",), 1);");
    need_of_libc(2, "GLIBC_PRIVATE", &library, &needed);
    assert_string_equal(library.text, "(\"GLIBC_PRIVATE\", \"any\");");
    need_of_libc(3, "GLIBC_ABI_DT_RELR", &library, &needed);
    assert_string_equal(library.text, "(\"GLIBC\", \"2.36\");");
    saggar_cache *cache = open_cache("", store);
    assert_int_equal(look_up(cache, 1, NULL, text, why), SAGGAR_REASON_LIBRARY);
    assert_string_equal(why, "libc.so.6 GLIBC_ABI_OF_TOMORROW");
    assert_miss(cache, 2, SAGGAR_REASON_LIBRARY);
    saggar_cache_close(cache);
    expect(needing(4, "libc.so.6", "GLIBC_PRIVATE", true), 4, SAGGAR_REASON_NONE, "");
}

/* A library that is there at the build and gone later: built again. */
static void test_library_goes(void **state) {
    (void)state;
    struct listing l;
    char path[600], options[1200], *folder = new_folder("libs"), *root = new_folder("tree");
    snprintf(path, sizeof path, "%s/libgone.so.3", folder);
    compile(path, "int gone(void) { return 1; }", "-Wl,-soname,libgone.so.3");
    char user[600];
    snprintf(user, sizeof user, "%s/user.so", root);
    snprintf(options, sizeof options, "%s", path);
    compile(user, "int gone(void); int f(void) { return gone(); }", options);
    setenv("LD_LIBRARY_PATH", folder, 1);
    saggar_draft *d = make_draft(1, "object");
    must(saggar_draft_tree(d, root, detail));
    list(d, SG_REQUIRE_NEEDED, &l);
    assert_string_equal(l.text, "(\"libgone.so.3\", (), 1);");
    expect(d, 1, SAGGAR_REASON_NONE, "");
    unlink(path);
    saggar_cache *cache = open_cache("", store);
    assert_miss(cache, 1, SAGGAR_REASON_LIBRARY);
    saggar_cache_close(cache);
    unsetenv("LD_LIBRARY_PATH");
    d = make_draft(2, "object"); /* not there at the build either: recorded only */
    must(saggar_draft_tree(d, root, detail));
    list(d, SG_REQUIRE_NEEDED, &l);
    assert_string_equal(l.text, "(\"libgone.so.3\", (), 0);");
    expect(d, 2, SAGGAR_REASON_NONE, "");
}

/* With a path of its own an object may find a library there, where nothing else leads to it: never refused.
 */
static void test_own_path(void **state) {
    (void)state;
    struct listing l;
    char path[600], user[600], options[1900], *folder = new_folder("libs"), *root = new_folder("tree");
    snprintf(path, sizeof path, "%s/libown.so.3", folder);
    compile(path, "int own(void) { return 1; }", "-Wl,-soname,libown.so.3");
    snprintf(user, sizeof user, "%s/user.so", root);
    static const char *const tags[] = {"enable", "disable"}; /* DT_RUNPATH, DT_RPATH */
    setenv("LD_LIBRARY_PATH", folder, 1);
    for (int i = 0; i < 2; i++) {
        snprintf(options, sizeof options, "%s -Wl,-rpath,%s -Wl,--%s-new-dtags", path, folder, tags[i]);
        compile(user, "int own(void); int f(void) { return own(); }", options);
        saggar_draft *d = make_draft(1 + i, "object");
        must(saggar_draft_tree(d, root, detail));
        list(d, SG_REQUIRE_NEEDED, &l);
        assert_string_equal(l.text, "(\"libown.so.3\", (), 0);");
        saggar_draft_free(d);
    }
    unsetenv("LD_LIBRARY_PATH");
}

/* ---- In memory ---- */

static void test_memory_file(void **state) {
    (void)state;
    char path[600], *root = new_folder("tree");
    saggar_entry *entry;
    saggar_reason reason;
    uint8_t key[32];
    int fd = -1;
    assert_int_equal(mkdir(path_in("tree/lib"), 0700), 0);
    snprintf(path, sizeof path, "%s/lib/own.so", root);
    compile(path, "int own(void) { return 42; }", "");
    assert_int_equal(symlink("lib/own.so", path_in("tree/link")), 0);
    saggar_draft *d = make_draft(1, "object");
    must(saggar_draft_tree(d, root, detail));
    make_image(path_in("image"), &d, 1);
    saggar_cache *cache = open_cache(path_in("image"), "");
    make_key(1, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    assert_int_equal(saggar_entry_tree_file(entry, "lib", &fd), SAGGAR_EINVAL);
    assert_int_equal(saggar_entry_tree_file(entry, "link", &fd), SAGGAR_EINVAL);
    assert_int_equal(saggar_entry_tree_file(entry, "own.so", &fd), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_entry_tree_file(entry, "", &fd), SAGGAR_ENOTFOUND);
    assert_int_equal(fd, -1);
    must(saggar_entry_tree_file(entry, "lib/own.so", &fd));
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    int (*own)(void);
    *(void **)&own = dlsym(library, "own");
    assert_int_equal(own(), 42);
    dlclose(library);
    close(fd);
    saggar_entry_release(entry);
    saggar_cache_close(cache);
}

/* ---- Damage ---- */

static int ignore_one(void *context, const char *text) {
    *(size_t *)context += strlen(text);
    return 0;
}

static int ignore_two(void *context, const char *a, const char *b) {
    *(size_t *)context += strlen(a) + strlen(b);
    return 0;
}

static void read_all(const uint8_t *bytes, size_t size) {
    struct sg_dynamic d;
    size_t total = 0;
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, bytes, size);
    if (sg_dynamic_open(copy, size, &d) == SAGGAR_OK) {
        total += strlen(sg_dynamic_soname(&d)) + sg_dynamic_has_path(&d);
        (void)sg_dynamic_needed(&d, ignore_one, &total);
        (void)sg_dynamic_versions_needed(&d, ignore_two, &total);
        (void)sg_dynamic_versions_defined(&d, ignore_one, &total);
    }
    free(copy);
}

static void test_damaged_objects(void **state) {
    (void)state;
    unsigned char *bytes;
    size_t size;
    char *path = path_in("a.so"), *versions = path_in("versions");
    char options[900];
    write_file(versions, "A_1 { global: f; }; A_2 { global: g; } A_1;", 0600);
    snprintf(options, sizeof options,
             "-Wl,--version-script=%s -Wl,-soname,a.so -s -lm -Wl,-z,max-page-size=4096", versions);
    compile(path,
            "#include <math.h>\n#include <stdio.h>\ndouble f(double x) { return exp(x); } int g(void) { "
            "return puts(\"\"); }",
            options);
    assert_true(sg_library_defines(path, (const char *const[]){"A_1", "A_2"}, 2, NULL));
    const char *missing;
    assert_false(sg_library_defines(path, (const char *const[]){"A_1", "A_3"}, 2, &missing));
    assert_string_equal(missing, "A_3");
    must(sg_read_all_at(AT_FDCWD, path, 1 << 20, &bytes, &size, NULL));
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == 0 && i > 4096 && i % 7 != 0)
            continue;
        for (int k = 0; k < 3; k++) {
            uint8_t mask = k == 0 ? 0x01 : k == 1 ? 0x80 : 0xff;
            bytes[i] ^= mask;
            read_all(bytes, size);
            bytes[i] ^= mask;
        }
    }
    for (size_t n = 0; n < size; n += n < 8192 ? 13 : 101)
        read_all(bytes, n);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BUILD_CASE(test_recorded),         BUILD_CASE(test_nothing_needed), BUILD_CASE(test_checked),
        BUILD_CASE(test_versions_of_libc), BUILD_CASE(test_library_goes),   BUILD_CASE(test_own_path),
        BUILD_CASE(test_damaged_objects),  BUILD_CASE(test_memory_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
