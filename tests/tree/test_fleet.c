/* Many processes that want the same trees, and builders that die. */
#include <pthread.h>
#include <sys/wait.h>

#include "build.h"

enum { PROCESSES = 32, TREES = 3 };

static int build_slowly(void *context, const char *directory, saggar_draft *draft) {
    int err = build_text(context, directory, draft);
    usleep(20000);
    return err;
}

static void want(saggar_cache *cache, int k) {
    saggar_tree *tree;
    saggar_built info;
    char text[32];
    snprintf(text, sizeof text, "tree %d", k);
    if (get(cache, k, build_slowly, text, 0, &tree, &info) != SAGGAR_OK || !tree_says(tree, text)) {
        __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST);
        return;
    }
    __atomic_fetch_add(&shared->unshared, !saggar_tree_is_shared(tree), __ATOMIC_SEQ_CST);
    saggar_tree_release(tree);
}

static int member(void *arg) {
    int first = (int)(intptr_t)arg;
    saggar_cache *cache = open_cache("", store);
    while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) == 0)
        usleep(500);
    for (int i = 0; i < TREES; i++)
        want(cache, (first + i) % TREES);
    saggar_cache_close(cache);
    return 0;
}

static void test_cold_start(void **state) {
    (void)state;
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = child_start(member, (void *)(intptr_t)i);
    shared->go = 1;
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    assert_int_equal(shared->wrong, 0);
    assert_int_equal(shared->unshared, 0);
    assert_int_equal(shared->builds, TREES);
    assert_int_equal(count_names(trees(), ""), TREES); /* and nothing unfinished */
}

/* The threads of one process too. */
static void *thread(void *cache) {
    for (int k = 0; k < TREES; k++)
        want(cache, k);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    enum { THREADS = 12 };
    pthread_t threads[THREADS];
    saggar_cache *cache = open_cache("", store);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread, cache), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    saggar_cache_close(cache);
    assert_int_equal(shared->wrong, 0);
    assert_int_equal(shared->builds, TREES);
    assert_int_equal(count_names(trees(), ""), TREES);
}

/* ---- From an image: written once ---- */

static int from_image(void *arg) {
    saggar_tree *tree;
    saggar_cache *cache = open_cache(arg, "");
    while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) == 0)
        usleep(500);
    if (get(cache, 1, build_text, "never", 0, &tree, NULL) != SAGGAR_OK)
        return 1;
    int wrong = !saggar_tree_is_shared(tree);
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    return wrong;
}

static void test_image_cold(void **state) {
    (void)state;
    pid_t pids[PROCESSES];
    char image[400], root[400];
    saggar_draft *d = make_draft(1, "object");
    snprintf(image, sizeof image, "%s", path_in("image"));
    snprintf(root, sizeof root, "%s", make_tree("source"));
    must(saggar_draft_tree(d, root, NULL));
    make_image(image, &d, 1);
    setenv("SAGGAR_TREES", path_in("store/places"), 1);
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = child_start(from_image, image);
    shared->go = 1;
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    assert_int_equal(shared->builds, 0);
    assert_int_equal(count_names(path_in("store/places"), ""), 1);
    unsetenv("SAGGAR_TREES");
}

/* ---- Builders that end early ---- */

/* Builds until it is killed, and has written something by then. */
static int build_for_ever(void *context, const char *directory, saggar_draft *draft) {
    build_text(context, directory, draft);
    alarm(60); /* nobody waits for ever when the test fails */
    __atomic_store_n(&shared->ready, 1, __ATOMIC_SEQ_CST);
    while (pause() != 0)
        ;
    return 1;
}

static int doomed(void *arg) {
    saggar_tree *tree;
    (void)arg;
    return get(open_cache("", store), 1, build_for_ever, "half", 0, &tree, NULL);
}

static int successor(void *arg) {
    saggar_tree *tree;
    saggar_built info;
    (void)arg;
    saggar_cache *cache = open_cache("", store);
    __atomic_fetch_add(&shared->go, 1, __ATOMIC_SEQ_CST);
    if (get(cache, 1, build_text, "whole", 0, &tree, &info) != SAGGAR_OK || !tree_says(tree, "whole"))
        return 1;
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    return 0;
}

static void wait_for(int *flag, int value) {
    for (int i = 0; i < 20000 && __atomic_load_n(flag, __ATOMIC_SEQ_CST) < value; i++)
        usleep(500);
    assert_true(__atomic_load_n(flag, __ATOMIC_SEQ_CST) >= value);
}

/* The default wait is a minute: that the next one goes on within a second shows that it waits for the death.
 */
static void test_killed(void **state) {
    (void)state;
    pid_t pids[4], first = child_start(doomed, NULL);
    wait_for(&shared->ready, 1);
    for (int i = 0; i < 4; i++)
        pids[i] = child_start(successor, NULL);
    wait_for(&shared->go, 4);
    usleep(100000);
    assert_int_equal(shared->builds, 1);
    assert_int_equal(count_names(trees(), SG_TREE_TEMP), 1);
    uint64_t start = sg_now_ns(CLOCK_MONOTONIC);
    kill(first, SIGKILL);
    wait_for(&shared->builds, 2);
    uint64_t took = sg_now_ns(CLOCK_MONOTONIC) - start;
    print_message("taken over after %.1f ms\n", (double)took * 1e-6);
    assert_true(took < UINT64_C(1000000000));
    assert_int_equal(child_wait(first), -SIGKILL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    assert_int_equal(shared->builds, 2);
    /* What the dead one wrote is nobody's, and the next sweep takes it. */
    struct sg_tree_swept swept = {0, 0};
    int fd = open_dir(trees());
    sg_tree_sweep(fd, SG_TREE_TEMP, 0, false, &swept);
    close(fd);
    assert_int_equal(swept.litter, 1);
    assert_int_equal(swept.failed, 0);
    assert_int_equal(count_names(trees(), ""), 1);
}

/* A sweep leaves alone what a living builder works in. */
static void test_sweep_spares_the_living(void **state) {
    (void)state;
    struct sg_tree_swept swept = {0, 0};
    pid_t first = child_start(doomed, NULL);
    wait_for(&shared->ready, 1);
    int fd = open_dir(trees());
    sg_tree_sweep(fd, SG_TREE_TEMP, 0, false, &swept);
    assert_int_equal(swept.litter, 0);
    assert_int_equal(count_names(trees(), SG_TREE_TEMP), 1);
    kill(first, SIGKILL);
    child_wait(first);
    sg_tree_sweep(fd, SG_TREE_TEMP, 60, false, &swept); /* too young */
    assert_int_equal(swept.litter, 0);
    sg_tree_sweep(fd, SG_TREE_TEMP, 0, true, &swept);
    assert_int_equal(swept.litter, 1);
    assert_int_equal(count_names(trees(), SG_TREE_TEMP), 1);
    sg_tree_sweep(fd, SG_TREE_TEMP, 0, false, &swept);
    assert_int_equal(count_names(trees(), SG_TREE_TEMP), 0);
    close(fd);
}

/* Stopped builders are waited for no longer than asked: then everybody builds, and only one result stays. */
static void test_bounded_wait(void **state) {
    (void)state;
    saggar_cache *cache;
    saggar_tree *a, *b;
    saggar_built info;
    pid_t first = child_start(doomed, NULL);
    wait_for(&shared->ready, 1);
    cache = open_cache("", store);
    must(get(cache, 1, build_text, "mine", 50, &a, &info));
    assert_true(info.built && info.stored && tree_says(a, "mine"));
    must(get(cache, 1, build_text, "never", 50, &b, &info));
    assert_true(!info.built && tree_says(b, "mine"));
    saggar_tree_release(a);
    saggar_tree_release(b);
    saggar_cache_close(cache);
    kill(first, SIGKILL);
    child_wait(first);
}

/* Without a claim, somebody else publishes while it builds: theirs is used, its own goes. */
static int build_beside(void *context, const char *directory, saggar_draft *draft) {
    saggar_cache *other = open_cache("", store);
    saggar_draft *theirs = make_draft(1, "object");
    must(saggar_draft_tree(theirs, make_tree("source"), NULL));
    must(publish_draft(other, theirs));
    saggar_cache_close(other);
    return build_text(context, directory, draft);
}

static void test_overtaken(void **state) {
    (void)state;
    saggar_tree *tree;
    saggar_built info;
    pid_t first = child_start(doomed, NULL);
    wait_for(&shared->ready, 1);
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 1, build_beside, "mine", -1, &tree, &info));
    assert_true(info.built && info.stored);
    assert_true(tree_says(tree, "the code"));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    kill(first, SIGKILL);
    child_wait(first);
    assert_int_equal(access(store_file(1, 1), F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BUILD_CASE(test_cold_start),
        BUILD_CASE(test_image_cold),
        BUILD_CASE(test_threads),
        BUILD_CASE(test_killed),
        BUILD_CASE(test_sweep_spares_the_living),
        BUILD_CASE(test_bounded_wait),
        BUILD_CASE(test_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
