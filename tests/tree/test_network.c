/* Trees of a store on a network file system: the test says what is one. */
#include "build.h"

static char far[3][300];

bool __wrap_sg_path_is_network(const char *path);
bool __wrap_sg_path_is_network(const char *path) {
    for (int i = 0; i < 3; i++) {
        if (far[i][0] != '\0' && strncmp(path, far[i], strlen(far[i])) == 0)
            return true;
    }
    return false;
}

static int setup(void **state) {
    memset(far, 0, sizeof far);
    if (build_setup(state) != 0)
        return 1;
    snprintf(far[0], sizeof far[0], "%s", store);
    return setenv("TMPDIR", path_in("tmp"), 1) != 0 || mkdir(path_in("tmp"), 0700) != 0;
}

static int teardown(void **state) {
    unsetenv("TMPDIR");
    unsetenv("SAGGAR_TREES");
    unsetenv("XDG_RUNTIME_DIR");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        sg_tree_remove(fd, "tmp");
        sg_tree_remove(fd, "run");
        close(fd);
    }
    return build_teardown(state);
}

/* Asks for the same tree twice: it lies in `where`, and is there already the second time. */
static void lies_in(const char *where, int builds) {
    for (int i = 0; i < 2; i++) {
        saggar_tree *tree;
        saggar_built info;
        saggar_cache *cache = open_cache("", store);
        must(get(cache, 1, build_text, "text", 0, &tree, &info));
        assert_true(tree_says(tree, "text"));
        assert_true(saggar_tree_is_shared(tree));
        assert_memory_equal(saggar_tree_path(tree), where, strlen(where));
        assert_true(info.stored);
        saggar_tree_release(tree);
        saggar_cache_close(cache);
    }
    assert_int_equal(shared->builds, builds);
    assert_int_not_equal(access(path_in("store/v1/trees"), F_OK), 0);
}

static void test_local_disk(void **state) {
    char place[400];
    (void)state;
    snprintf(place, sizeof place, "%s-%lu/", path_in("tmp/saggar-trees"), (unsigned long)geteuid());
    lies_in(place, 1);
}

static void test_runtime_directory(void **state) {
    char place[400];
    (void)state;
    assert_int_equal(mkdir(path_in("run"), 0700), 0);
    setenv("XDG_RUNTIME_DIR", path_in("run"), 1);
    lies_in(path_in("run/saggar/trees/"), 1);
    snprintf(far[1], sizeof far[1], "%s", path_in("run")); /* unless that is one too */
    snprintf(place, sizeof place, "%s-%lu/", path_in("tmp/saggar-trees"), (unsigned long)geteuid());
    lies_in(place, 1);
}

/* What is named is used. */
static void test_named(void **state) {
    (void)state;
    setenv("SAGGAR_TREES", path_in("store/named"), 1);
    lies_in(path_in("store/named/"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_local_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runtime_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
