/*
 * The n-th call fails, for every n, while a tree is built, placed or found. After each single fault: the
 * program has the right tree, or an error and nothing else; no descriptor is left, nothing unfinished that a
 * sweep would not take, and the next one works, with a build more at most.
 */
#include "../cache/nth.h"
#include "build.h"

WRAP(int, symlinkat, (const char *t, int d, const char *p), (t, d, p), -1)
WRAP(ssize_t, readlinkat, (int d, const char *p, char *q, size_t n), (d, p, q, n), -1)
WRAP(int, futimens, (int d, const struct timespec *t), (d, t), -1)
WRAP(int, fchmodat, (int d, const char *p, mode_t m, int f), (d, p, m, f), -1)

int __real_asprintf(char **out, const char *format, ...);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...) {
    va_list list;
    if (fails("asprintf"))
        return -1;
    va_start(list, format);
    int n = vasprintf(out, format, list);
    va_end(list);
    return n;
}

static int build_all(void *context, const char *directory, saggar_draft *draft) {
    char path[900];
    long kept = left; /* what the build itself does is not the library's */
    left = -1;
    int err = build_text(context, directory, draft);
    snprintf(path, sizeof path, "%s/lib/link", directory);
    err = err != 0 ? err : symlink("code.so", path);
    left = kept;
    return err;
}

static void prepare_nothing(void) {
}

static void prepare_entry(void) {
    saggar_tree *tree;
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 1, build_all, "text", 0, &tree, NULL));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "store/v1/trees"));
    close(fd);
}

static void prepare_placed(void) {
    saggar_tree *tree;
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 1, build_all, "text", 0, &tree, NULL));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
}

static void prepare_changed(void) {
    char path[900];
    saggar_tree *tree;
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 1, build_all, "text", 0, &tree, NULL));
    snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    flip_byte(path, 1);
    chmod(path, 0555);
}

static char text[] = "text";
static const uint8_t *recipe; /* made before the fault */
static size_t recipe_size;
static bool right; /* what was given out says the right thing */

static int act(void) {
    saggar_cache *cache;
    saggar_tree *tree;
    saggar_cache_options options;
    saggar_built info;
    char path[900];
    saggar_cache_options_init(&options);
    options.images = "";
    options.store = store;
    int err = saggar_cache_open(&options, &cache);
    if (err != SAGGAR_OK)
        return err;
    const saggar_build build = {.struct_size = sizeof build,
                                .compiler = "cc",
                                .module = "module",
                                .qualname = "function",
                                .build = build_all,
                                .context = text,
                                .wait_ms = 50};
    err = saggar_get_or_build(cache, recipe, recipe_size, &build, &tree, &info);
    right = err == SAGGAR_OK;
    if (err == SAGGAR_OK) {
        long kept = left;
        left = -1;
        snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
        right = file_is(path, text, 0555) || (!saggar_tree_is_shared(tree) && file_is(path, text, 0755));
        left = kept;
        saggar_tree_release(tree);
    }
    saggar_cache_close(cache);
    return err;
}

struct scene {
    const char *name;
    void (*prepare)(void);
    long least;
    int errors;
};

static char now[100];

static void once(const struct scene *s, long n, int error) {
    int fd = open_dir(dir);
    sg_tree_remove(fd, "store");
    close(fd);
    s->prepare();
    shared->builds = 0;
    failed = NULL;
    with = error;
    left = n;
    int result = act();
    left = -1;
    bool built = shared->builds > 0;
    if (failed == NULL || result != SAGGAR_ENOMEM) /* no fault but one of memory is the caller's */
        assert_int_equal(result, SAGGAR_OK);
    if (result == SAGGAR_OK)
        assert_true(right);
    assert_int_equal(act(), SAGGAR_OK); /* the next one */
    assert_true(right);
    assert_true(shared->builds <= built + 1);
}

static unsigned faults_with_litter;

static void run_scene(const struct scene *s) {
    static const int errors[] = {EIO, ENOMEM, ENOSPC, EACCES, EMFILE, ENOENT};
    uint8_t key[32];
    saggar_recipe *r = make_recipe(1, key);
    must(saggar_recipe_finish(r, key, &recipe, &recipe_size));
    once(s, 1000000, EIO);
    unsigned open = descriptors();
    for (int i = 0; i < s->errors; i++) {
        long n;
        for (n = 0; n == 0 || failed != NULL; n++) {
            snprintf(now, sizeof now, "%s: call %ld fails with %s", s->name, n, strerrorname_np(errors[i]));
            once(s, n, errors[i]);
            assert_int_equal(descriptors(), open);
            const char *known[] = {"unlinkat", "opendir", "fdopendir", "readdir64", "openat64", "fchmod"};
            bool may_leave = false;
            for (size_t k = 0; failed != NULL && k < sizeof known / sizeof known[0]; k++)
                may_leave = may_leave || strcmp(failed, known[k]) == 0;
            int litter = count_names(trees(), SG_TREE_TEMP);
            if (!may_leave)
                assert_int_equal(litter, 0);
            faults_with_litter += litter > 0;
        }
        assert_true(n > s->least);
    }
    now[0] = '\0';
    print_message("%s: %u faults left something for a sweep\n", s->name, faults_with_litter);
    saggar_recipe_free(r);
    assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
}

#define SCENE(name, least, errors)                                                                           \
    static void test_##name(void **state) {                                                                  \
        static const struct scene s = {#name, prepare_##name, least, errors};                                \
        (void)state;                                                                                         \
        run_scene(&s);                                                                                       \
    }

SCENE(nothing, 100, 6)
SCENE(entry, 60, 6)
SCENE(placed, 30, 6)
SCENE(changed, 60, 3)

static int tear_down(void **state) {
    if (now[0] != '\0')
        print_message("%s (%s)\n", now, failed != NULL ? failed : "none left");
    now[0] = '\0';
    left = -1;
    return build_teardown(state);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, build_setup, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {CASE(test_nothing), CASE(test_entry), CASE(test_placed),
                                       CASE(test_changed)};
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
