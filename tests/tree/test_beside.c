/*
 * At a bad moment: what another thread, another process or the file system does between two steps of the
 * library. The library's own calls go through this test, which does it there.
 */
#include <sys/wait.h>

#include "build.h"

enum { CHILDREN = 8 };

static struct {
    bool fork_at_mkdir;  /* another thread's child, which keeps every descriptor */
    bool ignore_modes;   /* a file system that keeps no modes */
    bool nowhere;        /* directories go away before anything is made in them */
    const char *replace; /* a collector's tree: another one lies there when it has its lock */
    pid_t children[CHILDREN];
    int forked, named, held;
} now;

int __real_mkdirat(int d, const char *name, mode_t mode);
int __wrap_mkdirat(int d, const char *name, mode_t mode);
int __wrap_mkdirat(int d, const char *name, mode_t mode) {
    if (now.fork_at_mkdir && now.forked < CHILDREN && strncmp(name, SG_TREE_TEMP, 5) == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            for (;;)
                pause();
        }
        now.children[now.forked++] = pid;
    }
    if (now.nowhere) {
        errno = ENOENT;
        return -1;
    }
    return __real_mkdirat(d, name, mode);
}

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode) {
    return now.ignore_modes ? 0 : __real_fchmod(fd, mode);
}

int __real_renameat(int d, const char *from, int e, const char *to);
int __wrap_renameat(int d, const char *from, int e, const char *to);
int __wrap_renameat(int d, const char *from, int e, const char *to) {
    now.named += strlen(to) == 64;
    return __real_renameat(d, from, e, to);
}

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation) {
    char aside[900];
    if (now.replace != NULL && (operation & LOCK_EX) != 0) {
        const char *path = now.replace;
        now.replace = NULL;
        snprintf(aside, sizeof aside, "%s/aside", dir);
        if (rename(path, aside) != 0 || mkdir(path, 0700) != 0)
            abort();
        now.held = open_dir(path);
        __real_flock(now.held, LOCK_SH);
    }
    return __real_flock(fd, operation);
}

static int tear_down(void **state) {
    memset(&now, 0, sizeof now);
    unsetenv("TMPDIR");
    unsetenv("SAGGAR_TREES");
    return build_teardown(state);
}

/* ---- Tests ---- */

/* A child that another thread forks keeps the descriptors: no lock is left with it. */
static void test_forked_meanwhile(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    now.fork_at_mkdir = true;
    must(get(cache, 1, build_text, "text", 0, &tree, NULL));
    now.fork_at_mkdir = false;
    assert_true(now.forked > 1);
    int fd = open_dir(trees());
    int free = flock(fd, LOCK_EX | LOCK_NB);
    close(fd);
    for (int i = 0; i < now.forked; i++) {
        kill(now.children[i], SIGKILL);
        waitpid(now.children[i], NULL, 0);
    }
    assert_int_equal(free, 0);
    saggar_tree_release(tree);
    saggar_cache_close(cache);
}

static saggar_cache *open_image(void) {
    saggar_draft *d = make_draft(1, "object");
    char root[600];
    snprintf(root, sizeof root, "%s", make_tree("source"));
    must(saggar_draft_tree(d, root, NULL));
    make_image(path_in("image"), &d, 1);
    setenv("SAGGAR_TREES", path_in("places"), 1);
    setenv("TMPDIR", dir, 1);
    return open_cache(path_in("image"), "");
}

static void close_image(saggar_cache *cache) {
    saggar_cache_close(cache);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "places"));
    close(fd);
}

/* Where modes do not stick a tree is never right: it is written there once, not again and again. */
static void test_modes_do_not_stick(void **state) {
    (void)state;
    saggar_cache *cache = open_image();
    saggar_tree *tree;
    saggar_built info;
    now.ignore_modes = true;
    must(get(cache, 1, build_text, "never", 0, &tree, &info));
    assert_true(!info.built && !saggar_tree_is_shared(tree));
    assert_int_equal(now.named, 1);
    now.ignore_modes = false;
    saggar_tree_release(tree);
    assert_int_equal(count_names(path_in("places"), ""), 0);
    close_image(cache);
}

/* No place at all is an error, and says nothing about the entry. */
static void test_no_place(void **state) {
    (void)state;
    saggar_cache *cache = open_image();
    saggar_tree *tree;
    saggar_built info;
    saggar_entry *entry;
    saggar_reason reason;
    uint8_t key[32];
    make_key(1, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    unsetenv("TMPDIR");
    now.nowhere = true;
    assert_int_equal(saggar_entry_tree(entry, &tree, NULL), SAGGAR_EACCESS);
    assert_int_equal(get(cache, 1, build_text, "never", 0, &tree, &info), SAGGAR_EACCESS);
    now.nowhere = false;
    setenv("TMPDIR", dir, 1);
    saggar_entry_release(entry);
    must(get(cache, 1, build_text, "never", 0, &tree, &info)); /* found again: it was not set aside */
    assert_false(info.built);
    assert_int_equal(shared->builds, 0);
    saggar_tree_release(tree);
    close_image(cache);
}

/* A collector locks a tree that is not the one of that name any more: the new one is somebody's. */
static void test_replaced_before_lock(void **state) {
    (void)state;
    const struct sg_gc_options options = {.max_bytes = 0, .max_age = 0, .litter_age = 3600};
    struct sg_trees_stats stats;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    char path[900];
    must(get(cache, 1, build_text, "text", 0, &tree, NULL));
    snprintf(path, sizeof path, "%s", saggar_tree_path(tree));
    saggar_tree_release(tree);
    now.replace = path;
    must(sg_trees_gc(trees(), &options, &stats));
    assert_null(now.replace);
    assert_int_equal(stats.removed_trees, 0);
    assert_int_equal(access(path, F_OK), 0);
    close(now.held);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "aside"));
    close(fd);
    saggar_cache_close(cache);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, build_setup, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {CASE(test_forked_meanwhile), CASE(test_modes_do_not_stick),
                                       CASE(test_no_place), CASE(test_replaced_before_lock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
