/* The store's disk is full, or the user's share of it: the test says so. What needs room is done elsewhere.
 */
#include <sys/statvfs.h>

#include "base/err.h"
#include "build.h"

static bool told, refused; /* how much room is left; by the write that fails */

static bool in_store(int fd) {
    char name[64], path[400];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof path - 1);
    return n >= (ssize_t)strlen(store) && strncmp(path, store, strlen(store)) == 0;
}

int __real_fstatvfs64(int fd, struct statvfs *out);
int __wrap_fstatvfs64(int fd, struct statvfs *out);
int __wrap_fstatvfs64(int fd, struct statvfs *out) {
    int err = __real_fstatvfs64(fd, out);
    if (err == 0 && told && in_store(fd))
        out->f_bavail = 0;
    return err;
}

int __real_sg_tree_write(const struct sg_tree *tree, int dirfd, char *detail);
int __wrap_sg_tree_write(const struct sg_tree *tree, int dirfd, char *detail);
int __wrap_sg_tree_write(const struct sg_tree *tree, int dirfd, char *detail) {
    return refused && in_store(dirfd) ? sg_err_from_errno(EDQUOT) : __real_sg_tree_write(tree, dirfd, detail);
}

static int setup(void **state) {
    told = refused = false;
    return build_setup(state);
}

/* Where the build was done. */
static char built_in[400];

static int build_here(void *context, const char *directory, saggar_draft *draft) {
    snprintf(built_in, sizeof built_in, "%s", directory);
    return build_text(context, directory, draft);
}

static saggar_tree *ask(saggar_cache **cache) {
    saggar_tree *tree;
    saggar_built info;
    *cache = open_cache("", store);
    must(get(*cache, 1, build_here, "text", 0, &tree, &info));
    char path[900];
    snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
    assert_true(file_is(path, "text", 0555));
    return tree;
}

static void done(saggar_cache *cache, saggar_tree *tree) {
    saggar_tree_release(tree);
    saggar_cache_close(cache);
}

static void test_built_where_there_is_room(void **state) {
    saggar_cache *cache;
    (void)state;
    told = true;
    saggar_tree *tree = ask(&cache);
    assert_true(strncmp(built_in, store, strlen(store)) != 0);
    assert_true(saggar_tree_is_shared(tree)); /* what is small still fits */
    done(cache, tree);
}

static void test_there_when_there_is_no_other(void **state) {
    saggar_cache *cache;
    (void)state;
    saggar_tree *first = ask(&cache);
    done(cache, first);
    assert_true(strncmp(built_in, store, strlen(store)) == 0);
}

/* An entry that is there is used, whatever cannot be written: nothing is built. */
static void test_given_out_elsewhere(void **state) {
    saggar_cache *cache;
    (void)state;
    saggar_tree *first = ask(&cache);
    done(cache, first);
    int fd = open(path_in("store/v1"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(sg_tree_remove(fd, "trees"));
    close(fd);
    refused = true;
    saggar_tree *tree = ask(&cache);
    assert_int_equal(shared->builds, 1);
    assert_false(saggar_tree_is_shared(tree));
    assert_true(strncmp(saggar_tree_path(tree), store, strlen(store)) != 0);
    done(cache, tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_built_where_there_is_room, setup, build_teardown),
        cmocka_unit_test_setup_teardown(test_there_when_there_is_no_other, setup, build_teardown),
        cmocka_unit_test_setup_teardown(test_given_out_elsewhere, setup, build_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
