/* A tree built once, found again, and what is left when that goes wrong. */
#include <sys/resource.h>
#include <sys/wait.h>

#include "build.h"

static void test_built_then_found(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *a, *b;
    saggar_built info;
    must(get(cache, 1, build_text, "one", 0, &a, &info));
    assert_true(info.built && info.stored && info.error == SAGGAR_OK);
    assert_int_equal(info.reason, SAGGAR_REASON_ABSENT);
    assert_true(tree_says(a, "one") && saggar_tree_is_shared(a));
    assert_int_equal(strncmp(saggar_tree_path(a), trees(), strlen(trees())), 0);
    must(get(cache, 1, build_text, "two", 0, &b, &info));
    assert_false(info.built);
    assert_true(info.stored);
    assert_string_equal(saggar_tree_path(a), saggar_tree_path(b));
    assert_int_equal(shared->builds, 1);
    saggar_tree_release(b);
    must(get(cache, 2, build_text, "two", 0, &b, NULL));
    assert_true(tree_says(b, "two"));
    assert_int_equal(shared->builds, 2);
    assert_int_equal(count_names(trees(), ""), 2);
    assert_int_equal(count_names(path_in("store"), "CACHEDIR.TAG"), 1);
    saggar_tree_release(a);
    saggar_tree_release(b);
    saggar_cache_close(cache);
}

/* What happened is in the trail of the process. */
static int count_events(void *arg) {
    uint64_t counts[16];
    saggar_tree *tree;
    (void)arg;
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 1, build_text, "one", 0, &tree, NULL));
    saggar_tree_release(tree);
    must(get(cache, 1, build_text, "one", 0, &tree, NULL));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    saggar_trail_counts(counts);
    return counts[SAGGAR_EVENT_MISS] == 1 && counts[SAGGAR_EVENT_COMPILED] == 1 &&
                   counts[SAGGAR_EVENT_PUBLISHED] == 1 && counts[SAGGAR_EVENT_HIT] == 1 &&
                   counts[SAGGAR_EVENT_WAITED] == 0 && counts[SAGGAR_EVENT_FAULT] == 0
               ? 0
               : 1;
}

static void test_trail(void **state) {
    (void)state;
    assert_int_equal(child_run(count_events, NULL), 0);
}

static int build_failing(void *context, const char *directory, saggar_draft *draft) {
    (void)draft;
    write_text("half", directory);
    return *(int *)context;
}

static void test_failed_build(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    saggar_built info;
    int status = 7;
    assert_int_equal(get(cache, 1, build_failing, &status, 0, &tree, &info), 7);
    assert_false(info.built || info.stored);
    assert_int_equal(count_names(trees(), ""), 0);
    assert_miss(cache, 1, SAGGAR_REASON_ABSENT);
    must(get(cache, 1, build_text, "whole", 0, &tree, &info)); /* its claim is free again */
    assert_true(info.built && tree_says(tree, "whole"));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
}

/* What cannot be packed is the caller's all the same, until the handle goes. */
static int build_with_pipe(void *context, const char *directory, saggar_draft *draft) {
    char path[900];
    build_text(context, directory, draft);
    snprintf(path, sizeof path, "%s/pipe", directory);
    return mkfifo(path, 0600);
}

static void test_unpackable(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    saggar_built info;
    char path[900];
    must(get(cache, 1, build_with_pipe, "text", 0, &tree, &info));
    assert_true(info.built && !info.stored && info.error == SAGGAR_EINVAL);
    assert_string_equal(info.detail, "pipe: a device, a socket or a pipe");
    assert_true(tree_says(tree, "text") && !saggar_tree_is_shared(tree));
    snprintf(path, sizeof path, "%s", saggar_tree_path(tree));
    saggar_tree_release(tree);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(count_names(trees(), ""), 0);
    assert_miss(cache, 1, SAGGAR_REASON_ABSENT);
    saggar_cache_close(cache);
}

/* A private tree is its maker's: a forked child that lets go of it removes nothing. */
static int release_in_child(void *tree) {
    saggar_tree_release(tree);
    return 0;
}

static void test_private_and_fork(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", "");
    saggar_tree *tree;
    saggar_built info;
    setenv("TMPDIR", dir, 1);
    setenv("SAGGAR_TREES", "/proc/none", 1);
    must(get(cache, 1, build_text, "text", 0, &tree, &info));
    unsetenv("TMPDIR");
    unsetenv("SAGGAR_TREES");
    assert_true(info.built && !info.stored && !saggar_tree_is_shared(tree));
    assert_int_equal(count_names(dir, SG_TREE_PRIVATE), 1);
    assert_int_equal(child_run(release_in_child, tree), 0);
    assert_true(tree_says(tree, "text"));
    saggar_tree_release(tree);
    assert_int_equal(count_names(dir, SG_TREE_PRIVATE), 0);
    saggar_cache_close(cache);
}

/* ---- A finished tree that was changed, or is in the way ---- */

static void test_repaired(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    saggar_built info;
    char path[900];
    must(get(cache, 1, build_text, "one", 0, &tree, &info));
    snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
    saggar_tree_release(tree);
    flip_byte(path, 1);
    chmod(path, 0555);
    must(get(cache, 1, build_text, "two", 0, &tree, &info));
    assert_true(!info.built && tree_says(tree, "one") && saggar_tree_is_shared(tree));
    assert_int_equal(count_names(trees(), ""), 1);
    char root[900];
    snprintf(root, sizeof root, "%s", saggar_tree_path(tree));
    saggar_tree_release(tree);
    int fd = open_dir(trees());
    assert_true(sg_tree_remove(fd, strrchr(root, '/') + 1));
    close(fd);
    write_file(root, "a file", 0600); /* something else under its name */
    must(get(cache, 1, build_text, "two", 0, &tree, &info));
    assert_true(!info.built && tree_says(tree, "one"));
    saggar_tree_release(tree);
    assert_int_equal(shared->builds, 1);
    saggar_cache_close(cache);
}

/* While somebody holds the changed one it stays where it is, and others get a right one of their own. */
static void test_changed_and_held(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *held, *tree;
    char path[900];
    setenv("TMPDIR", dir, 1);
    must(get(cache, 1, build_text, "one", 0, &held, NULL));
    snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(held));
    flip_byte(path, 1);
    chmod(path, 0555);
    must(get(cache, 1, build_text, "two", 0, &tree, NULL));
    assert_string_not_equal(saggar_tree_path(tree), saggar_tree_path(held));
    snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
    assert_true(file_is(path, "one", 0555));
    unsetenv("TMPDIR");
    saggar_tree_release(tree);
    saggar_tree_release(held);
    assert_int_equal(shared->builds, 1);
    saggar_cache_close(cache);
}

/* ---- Places ---- */

static void make_tree_image(const char *path) {
    saggar_draft *d = make_draft(1, "object");
    char root[600];
    snprintf(root, sizeof root, "%s", make_tree("source"));
    must(saggar_draft_tree(d, root, NULL));
    make_image(path, &d, 1);
}

static void test_from_image(void **state) {
    (void)state;
    saggar_cache *cache;
    saggar_tree *tree;
    saggar_built info;
    char path[900], runtime[400];
    make_tree_image(path_in("image"));
    snprintf(runtime, sizeof runtime, "%s/run", dir);
    assert_int_equal(mkdir(runtime, 0700), 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    cache = open_cache(path_in("image"), "");
    for (int i = 0; i < 2; i++) {
        must(get(cache, 1, build_text, "never", 0, &tree, &info));
        assert_false(info.built);
        snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
        assert_true(file_is(path, "the code", 0555));
        snprintf(path, sizeof path, "%s/saggar/trees/", runtime);
        assert_int_equal(strncmp(saggar_tree_path(tree), path, strlen(path)), 0);
        assert_int_equal(count_names(path, ""), 1);
        saggar_tree_release(tree);
    }
    assert_int_equal(shared->builds, 0);
    saggar_cache_close(cache);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "run"));
    close(fd);
}

/* Somebody else may write there: not used. */
static void test_untrusted_place(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    assert_int_equal(mkdir(path_in("open"), 0700), 0);
    assert_int_equal(chmod(path_in("open"), 0777), 0);
    setenv("SAGGAR_TREES", path_in("open"), 1);
    setenv("TMPDIR", dir, 1);
    must(get(cache, 1, build_text, "one", 0, &tree, NULL));
    assert_false(saggar_tree_is_shared(tree));
    assert_int_equal(count_names(path_in("open"), ""), 0);
    unsetenv("TMPDIR");
    saggar_tree_release(tree);
    unsetenv("SAGGAR_TREES");
    saggar_cache_close(cache);
}

/* Trees that are none are passed over, wherever they come in the order: in another process too. */
static int find_good(void *arg) {
    saggar_tree *tree;
    saggar_built info;
    (void)arg;
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 2, build_text, "never", 0, &tree, &info));
    int result = info.built || !tree_says(tree, "built");
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    return result;
}

static void test_wrong_trees(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    for (char i = 'a'; i < 'f'; i++) {
        saggar_draft *d = make_draft(2, "object");
        must(saggar_draft_part(d, "tree", &i, 1));
        must(publish_draft(cache, d));
    }
    must(get(cache, 2, build_text, "built", 0, &tree, NULL));
    assert_true(tree_says(tree, "built"));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    assert_int_equal(child_run(find_good, NULL), 0);
    assert_int_equal(shared->builds, 1);
}

/* Beyond this limit a write would end the process by a signal. */
static int place_limited(void *arg) {
    const struct rlimit limit = {4, 4};
    saggar_entry *entry;
    saggar_reason reason;
    saggar_tree *tree;
    uint8_t key[32];
    int fd;
    (void)arg;
    saggar_cache *cache = open_cache(path_in("image"), "");
    make_key(1, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (saggar_entry_tree(entry, &tree, NULL) != SAGGAR_ENOSPACE)
        return 2;
    if (saggar_entry_tree_file(entry, "lib/code.so", &fd) != SAGGAR_ENOSPACE)
        return 3;
    if (saggar_entry_tree_file(entry, "run", &fd) != SAGGAR_OK)
        return 4;
    close(fd);
    saggar_entry_release(entry);
    saggar_cache_close(cache);
    return 0;
}

static void test_file_size_limit(void **state) {
    (void)state;
    make_tree_image(path_in("image"));
    setenv("SAGGAR_TREES", path_in("places"), 1);
    assert_int_equal(child_run(place_limited, NULL), 0);
    unsetenv("SAGGAR_TREES");
    assert_int_equal(count_names(path_in("places"), ""), 0);
}

/* What lies in a directory that is not trusted is left alone. */
static void test_litter_elsewhere(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    char path[600], text[] = "text";
    assert_int_equal(mkdir(path_in("open"), 0700), 0);
    assert_int_equal(chmod(path_in("open"), 0777), 0);
    pid_t gone = child_start(release_in_child, NULL);
    assert_int_equal(child_wait(gone), 0);
    char name[SG_TEMP_NAME_MAX], host[9];
    sg_host_tag(host);
    snprintf(name, sizeof name, "%s%s-%lx-1-1", SG_TREE_PRIVATE, host, (unsigned long)gone);
    snprintf(path, sizeof path, "%s/open/%s", dir, name);
    const struct timespec long_ago[2] = {{1700000000, 0}, {1700000000, 0}};
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    setenv("SAGGAR_TREES", "/proc/none", 1);
    setenv("TMPDIR", path_in("open"), 1);
    must(get(cache, 1, build_text, text, 0, &tree, NULL));
    assert_int_equal(count_names(path_in("open"), ""), 1);
    saggar_tree_release(tree);
    assert_int_equal(chmod(path_in("open"), 0700), 0); /* its own: swept */
    must(get(cache, 2, build_text, text, 0, &tree, NULL));
    saggar_tree_release(tree);
    assert_int_equal(count_names(path_in("open"), ""), 0);
    unsetenv("TMPDIR");
    unsetenv("SAGGAR_TREES");
    saggar_cache_close(cache);
}

/* Somebody without the right to read everything: a tree whose modes were taken away is put right. */
static int find_unreadable(void *arg) {
    static const struct {
        const char *name;
        mode_t mode;
    } changes[] = {{"", 0},        {"", 0444},    {"", 0111},          {"/lib", 0},           {"/lib", 0444},
                   {"/lib", 0111}, {"/about", 0}, {"/lib/code.so", 0}, {"/lib/code.so", 0111}};
    saggar_tree *tree;
    saggar_built info;
    char path[900], root[800];
    (void)arg;
    if (geteuid() == 0 && (chown(dir, 65534, 65534) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        return 1;
    saggar_cache *cache = open_cache("", store);
    must(get(cache, 1, build_text, "text", 0, &tree, NULL));
    snprintf(root, sizeof root, "%s", saggar_tree_path(tree));
    saggar_tree_release(tree);
    for (int i = 0; i < (int)(sizeof changes / sizeof changes[0]); i++) {
        snprintf(path, sizeof path, "%s%s", root, changes[i].name);
        if (chmod(path, changes[i].mode) != 0)
            return 10 + i;
        must(get(cache, 1, build_text, "never", 0, &tree, &info));
        bool good = !info.built && tree_says(tree, "text") && strcmp(root, saggar_tree_path(tree)) == 0;
        saggar_tree_release(tree);
        if (!good)
            return 30 + i;
    }
    saggar_cache_close(cache);
    return 0;
}

static void test_unreadable(void **state) {
    (void)state;
    assert_int_equal(child_run(find_unreadable, NULL), 0);
    assert_int_equal(shared->builds, 1);
}

static void test_no_directory(void **state) {
    (void)state;
    char detail[SAGGAR_DETAIL_SIZE];
    saggar_draft *d = make_draft(1, "object");
    strcpy(detail, "left over");
    assert_int_equal(saggar_draft_tree(d, path_in("nowhere"), detail), SAGGAR_ENOTFOUND);
    assert_string_equal(detail, "");
    saggar_draft_free(d);
}

static void test_entry_tree(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_entry *entry;
    saggar_reason reason;
    saggar_tree *tree;
    uint8_t key[32];
    char detail[SAGGAR_DETAIL_SIZE];
    must(publish(cache, 1, "no tree"));
    make_key(1, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    assert_int_equal(saggar_entry_tree(entry, &tree, detail), SAGGAR_ENOTFOUND);
    saggar_entry_release(entry);
    saggar_draft *d = make_draft(2, "object"); /* a part of that name which is no tree, and one that leaves */
    must(saggar_draft_part(d, "tree", "nonsense", 8));
    must(publish_draft(cache, d));
    make_key(2, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    assert_int_equal(saggar_entry_tree(entry, &tree, detail), SAGGAR_ECORRUPT);
    assert_string_equal(detail, "not a packed tree");
    saggar_entry_release(entry);
    must(get(cache, 2, build_text, "built", 0, &tree, NULL));
    assert_true(tree_says(tree, "built"));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
}

/* A cache that never publishes writes nothing into its store, and uses what lies there. */
static void test_read_only(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    saggar_tree *tree;
    saggar_built info;
    must(get(cache, 1, build_text, "one", 0, &tree, NULL));
    saggar_tree_release(tree);
    saggar_cache_close(cache);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "store/v1/trees"));
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.images = "";
    options.store = store;
    options.read_only = true;
    must(saggar_cache_open(&options, &cache));
    must(get(cache, 1, build_text, "never", 0, &tree, &info));
    assert_true(!info.built && tree_says(tree, "one") && saggar_tree_is_shared(tree));
    saggar_tree_release(tree);
    must(get(cache, 2, build_text, "two", 0, &tree, &info));
    assert_true(info.built && !info.stored && info.error == SAGGAR_EREADONLY && tree_says(tree, "two"));
    saggar_tree_release(tree);
    assert_int_equal(access(trees(), F_OK), -1);
    assert_int_equal(access(store_file(2, 0), F_OK), -1);
    assert_true(sg_tree_remove(fd, ".cache"));
    close(fd);
    saggar_cache_close(cache);
}

/* The default store is only read, or there is none: nothing is made in it, so that it is a new one when
 * something is published. */
static void test_default_store(void **state) {
    (void)state;
    saggar_cache *cache;
    saggar_tree *tree;
    saggar_built info;
    saggar_cache_options options;
    make_tree_image(path_in("image"));
    for (int i = 0; i < 2; i++) {
        saggar_cache_options_init(&options);
        options.images = path_in("image");
        options.store = i == 0 ? "" : NULL;
        options.read_only = true;
        must(saggar_cache_open(&options, &cache));
        must(get(cache, 1, build_text, "never", 0, &tree, &info));
        assert_true(!info.built && saggar_tree_is_shared(tree));
        saggar_tree_release(tree);
        must(get(cache, 2, build_text, "two", 0, &tree, &info));
        saggar_tree_release(tree);
        saggar_cache_close(cache);
        assert_int_equal(access(path_in(".cache/saggar"), F_OK), -1);
        assert_int_equal(count_names(path_in(".cache/saggar-trees"), ""), 1);
    }
    saggar_cache_options_init(&options);
    options.images = "";
    must(saggar_cache_open(&options, &cache));
    must(publish(cache, 3, "text"));
    saggar_cache_close(cache);
    assert_int_equal(count_names(path_in(".cache/saggar"), "CACHEDIR.TAG"), 1);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, ".cache"));
    close(fd);
}

/* Switched off: built each time, into a directory that goes. */
static void test_off(void **state) {
    (void)state;
    saggar_tree *tree;
    saggar_built info;
    setenv("SAGGAR_MODE", "off", 1);
    setenv("TMPDIR", dir, 1);
    saggar_cache *cache = open_cache("", store);
    unsetenv("SAGGAR_MODE");
    must(get(cache, 1, build_text, "text", 0, &tree, &info));
    bool good = info.built && !info.stored && !saggar_tree_is_shared(tree) && tree_says(tree, "text");
    saggar_tree_release(tree);
    unsetenv("TMPDIR");
    assert_true(good);
    assert_int_equal(access(path_in(".cache"), F_OK), -1);
    assert_int_equal(access(store, F_OK), -1);
    saggar_cache_close(cache);
}

static void test_require_and_arguments(void **state) {
    (void)state;
    saggar_tree *tree;
    saggar_built info;
    setenv("SAGGAR_MODE", "require", 1);
    saggar_cache *cache = open_cache("", store);
    unsetenv("SAGGAR_MODE");
    assert_int_equal(get(cache, 1, build_text, "one", 0, &tree, &info), SAGGAR_ENOTFOUND);
    assert_int_equal(shared->builds, 0);
    saggar_build build = {
        .struct_size = 8, .compiler = "a", .module = "b", .qualname = "c", .build = build_text};
    assert_int_equal(saggar_get_or_build(cache, "x", 1, &build, &tree, &info), SAGGAR_EINVAL);
    build.struct_size = sizeof build;
    assert_int_not_equal(saggar_get_or_build(cache, "x", 1, &build, &tree, &info), SAGGAR_OK);
    saggar_cache_close(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BUILD_CASE(test_built_then_found),
        BUILD_CASE(test_failed_build),
        BUILD_CASE(test_unpackable),
        BUILD_CASE(test_private_and_fork),
        BUILD_CASE(test_repaired),
        BUILD_CASE(test_changed_and_held),
        BUILD_CASE(test_from_image),
        BUILD_CASE(test_untrusted_place),
        BUILD_CASE(test_file_size_limit),
        BUILD_CASE(test_litter_elsewhere),
        BUILD_CASE(test_unreadable),
        BUILD_CASE(test_no_directory),
        BUILD_CASE(test_entry_tree),
        BUILD_CASE(test_require_and_arguments),
        BUILD_CASE(test_read_only),
        BUILD_CASE(test_default_store),
        BUILD_CASE(test_off),
        BUILD_CASE(test_wrong_trees),
        BUILD_CASE(test_trail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
