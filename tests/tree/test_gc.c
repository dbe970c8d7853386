/* Which finished trees a collection takes. */
#include "build.h"

static struct sg_gc_options options;
static struct sg_trees_stats stats;

static void collect(uint64_t bytes, uint64_t age) {
    options = (struct sg_gc_options){.max_bytes = bytes, .max_age = age, .litter_age = 3600};
    must(sg_trees_gc(trees(), &options, &stats));
}

static void build_one(saggar_cache *cache, int n, const char *text, unsigned idle) {
    saggar_tree *tree;
    struct timespec times[2] = {{time(NULL) - (time_t)idle, 0}, {time(NULL) - (time_t)idle, 0}};
    must(get(cache, n, build_text, text, 0, &tree, NULL));
    assert_int_equal(utimensat(AT_FDCWD, saggar_tree_path(tree), times, 0), 0);
    saggar_tree_release(tree);
}

static void test_bounds(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    build_one(cache, 1, "1234", 3000);
    build_one(cache, 2, "12345", 2000);
    build_one(cache, 3, "123456", 1000);
    collect(SG_GC_UNBOUNDED, SG_GC_UNBOUNDED);
    assert_int_equal(stats.trees, 3);
    assert_int_equal(stats.bytes, 4 + 5 + 6 + 3 * 4);
    assert_int_equal(stats.removed_trees, 0);
    collect(SG_GC_UNBOUNDED, 2500);
    assert_int_equal(stats.removed_trees, 1);
    assert_int_equal(stats.removed_bytes, 8);
    collect(10, SG_GC_UNBOUNDED); /* the longest unused goes first */
    assert_int_equal(stats.removed_trees, 1);
    assert_int_equal(stats.removed_bytes, 9);
    assert_int_equal(count_names(trees(), ""), 1);
    saggar_tree *tree;
    saggar_built info;
    must(get(cache, 1, build_text, "never", 0, &tree, &info)); /* from its entry again */
    assert_true(!info.built && tree_says(tree, "1234"));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
}

static void test_held(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    must(get(cache, 1, build_text, "text", 0, &tree, NULL));
    collect(0, 0);
    assert_int_equal(stats.held, 1);
    assert_int_equal(stats.removed_trees, 0);
    assert_true(tree_says(tree, "text"));
    saggar_tree_release(tree);
    options.dry_run = true;
    must(sg_trees_gc(trees(), &options, &stats));
    assert_int_equal(stats.removed_trees, 1);
    assert_int_equal(count_names(trees(), ""), 1);
    collect(0, 0);
    assert_int_equal(stats.removed_trees, 1);
    assert_int_equal(count_names(trees(), ""), 0);
    saggar_cache_close(cache);
}

/* Use is noted: what was idle for long is young again after it. */
static void test_use_is_noted(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    build_one(cache, 1, "1234", 100000);
    must(get(cache, 1, build_text, "never", 0, &tree, NULL));
    saggar_tree_release(tree);
    collect(SG_GC_UNBOUNDED, 5000);
    assert_int_equal(stats.removed_trees, 0);
    saggar_cache_close(cache);
}

static void test_foreign_names(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    char path[600];
    build_one(cache, 1, "1234", 0);
    snprintf(path, sizeof path, "%s/note", trees());
    write_file(path, "mine", 0600);
    collect(0, 0);
    assert_int_equal(count_names(trees(), ""), 1);
    assert_true(file_is(path, "mine", 0600));
    assert_int_equal(sg_trees_gc(path_in("nowhere"), &options, &stats), SAGGAR_ENOTFOUND);
    saggar_cache_close(cache);
}

/* The places beside a store are collected whether or not there is one. */
static void test_places(void **state) {
    (void)state;
    char digest[65], path[600];
    static const char *const folders[] = {"store/v1/trees", "named", "run/saggar/trees",
                                          ".cache/saggar-trees", "xdg/saggar-trees"};
    memset(digest, 'a', 64);
    digest[64] = '\0';
    for (int i = 0; i < 5; i++) {
        must(sg_make_dirs(path_in(folders[i]), 0700));
        snprintf(path, sizeof path, "%s/%s/%s", dir, folders[i], digest);
        assert_int_equal(mkdir(path, 0700), 0);
        strcat(path, "/file");
        write_file(path, "x", 0444);
    }
    options = (struct sg_gc_options){.max_bytes = 0, .max_age = 0, .litter_age = 3600, .dry_run = true};
    must(sg_trees_gc_all(store, &options, &stats));
    assert_int_equal(stats.trees, 2); /* the store's, and the one of HOME */
    must(sg_trees_gc_all(path_in("nowhere"), &options, &stats));
    assert_int_equal(stats.trees, 1);
    must(sg_trees_gc_all(NULL, &options, &stats));
    assert_int_equal(stats.trees, 1);
    setenv("SAGGAR_TREES", path_in("named"), 1);
    setenv("XDG_RUNTIME_DIR", path_in("run"), 1);
    setenv("XDG_CACHE_HOME", path_in("xdg"), 1);
    options.dry_run = false;
    must(sg_trees_gc_all(store, &options, &stats));
    unsetenv("SAGGAR_TREES");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("XDG_CACHE_HOME");
    assert_int_equal(stats.trees, 4);
    for (int i = 0; i < 5; i++)
        assert_int_equal(count_names(path_in(folders[i]), ""), i == 3);
}

/* What somebody works in stays, whatever the name of the host is and however old it looks. */
static void test_held_litter(void **state) {
    (void)state;
    struct sg_tree_swept swept = {0, 0};
    char name[SG_TEMP_NAME_MAX], path[600];
    const struct timespec long_ago[2] = {{1700000000, 0}, {1700000000, 0}};
    must(sg_temp_name(name, SG_TREE_TEMP));
    name[5] = name[5] == 'a' ? 'b' : 'a'; /* another host */
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    int fd = open_dir(dir), lock = open_dir(path);
    assert_int_equal(flock(lock, LOCK_SH), 0);
    sg_tree_sweep(fd, SG_TREE_TEMP, 60, false, &swept);
    assert_int_equal(swept.litter, 0);
    assert_int_equal(access(path, F_OK), 0);
    close(lock);
    sg_tree_sweep(fd, SG_TREE_TEMP, 60, false, &swept);
    assert_int_equal(swept.litter, 1);
    close(fd);
}

/* Collections and uses side by side: a tree that is held is whole, always. */
static int use(void *arg) {
    (void)arg;
    saggar_cache *cache = open_cache("", store);
    for (int i = 0; i < 60; i++) {
        saggar_tree *tree;
        if (get(cache, 1, build_text, "text", 0, &tree, NULL) != SAGGAR_OK)
            return 1;
        usleep(300);
        if (!tree_says(tree, "text"))
            return 2;
        saggar_tree_release(tree);
        usleep(5000);
    }
    saggar_cache_close(cache);
    return 0;
}

static void test_beside_users(void **state) {
    (void)state;
    pid_t pids[3];
    uint64_t removed = 0;
    saggar_cache *cache = open_cache("", store);
    build_one(cache, 1, "text", 0);
    saggar_cache_close(cache);
    for (int i = 0; i < 3; i++)
        pids[i] = child_start(use, NULL);
    for (int i = 0; i < 300; i++) {
        collect(0, 0);
        removed += stats.removed_trees;
        assert_int_equal(stats.failed, 0);
        usleep(500);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    assert_int_equal(shared->builds, 1);
    assert_true(removed > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BUILD_CASE(test_bounds),        BUILD_CASE(test_held),        BUILD_CASE(test_use_is_noted),
        BUILD_CASE(test_foreign_names), BUILD_CASE(test_held_litter), BUILD_CASE(test_places),
        BUILD_CASE(test_beside_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
