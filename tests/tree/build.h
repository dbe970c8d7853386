/* What the tests of building share: a build that counts itself, and what lies in the store beside the trees.
 */
#ifndef SG_TESTS_TREE_BUILD_H
#define SG_TESTS_TREE_BUILD_H

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "cache/cache.h"
#include "make.h"

/* What processes tell each other. */
static struct shared {
    int builds, wrong, go, ready, done, unshared;
    pid_t builder;
} * shared;

static inline int build_setup(void **state) {
    unsetenv("SAGGAR_TREES");
    unsetenv("XDG_RUNTIME_DIR");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? 1 : make_dir_setup(state);
}

static inline int build_teardown(void **state) {
    munmap(shared, sizeof *shared);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        sg_tree_remove(fd, "store");
        close(fd);
    }
    return make_dir_teardown(state);
}

#define BUILD_CASE(f) cmocka_unit_test_setup_teardown(f, build_setup, build_teardown)

static inline void say(const char *directory, const char *name, const char *text, mode_t mode) {
    char path[900];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    if (f == NULL || fputs(text, f) < 0 || fchmod(fileno(f), mode) != 0 || fclose(f) != 0)
        abort();
}

static inline int write_text(const char *text, const char *directory) {
    char path[900];
    __atomic_fetch_add(&shared->builds, 1, __ATOMIC_SEQ_CST);
    snprintf(path, sizeof path, "%s/lib", directory);
    if (mkdir(path, 0700) != 0)
        return 99;
    say(directory, "lib/code.so", text, 0755);
    say(directory, "about", "text", 0644);
    return 0;
}

/* `context`: the text to put into the tree. */
static inline int build_text(void *context, const char *directory, saggar_draft *draft) {
    (void)draft;
    return write_text(context, directory);
}

static inline int get(saggar_cache *cache, int64_t n, int (*fn)(void *, const char *, saggar_draft *),
                      const void *context, int64_t wait_ms, saggar_tree **out, saggar_built *info) {
    const saggar_build build = {.struct_size = sizeof build,
                                .compiler = "cc",
                                .module = "module",
                                .qualname = "function",
                                .build = fn,
                                .context = (void *)(uintptr_t)context,
                                .wait_ms = wait_ms};
    uint8_t key[32];
    const uint8_t *bytes;
    size_t size;
    saggar_recipe *r = make_recipe(n, key);
    must(saggar_recipe_finish(r, key, &bytes, &size));
    int err = saggar_get_or_build(cache, bytes, size, &build, out, info);
    saggar_recipe_free(r);
    return err;
}

static inline bool tree_says(const saggar_tree *tree, const char *text) {
    char path[900];
    snprintf(path, sizeof path, "%s/lib/code.so", saggar_tree_path(tree));
    return file_is(path, text, saggar_tree_is_shared(tree) ? 0555 : 0755);
}

/* Names in a directory that begin with the prefix. */
static inline int count_names(const char *path, const char *prefix) {
    struct dirent *d;
    int n = 0;
    DIR *listing = opendir(path);
    while (listing != NULL && (d = readdir(listing)) != NULL)
        n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
             strncmp(d->d_name, prefix, strlen(prefix)) == 0;
    if (listing != NULL)
        closedir(listing);
    return n;
}

static inline char *trees(void) {
    return path_in("store/v1/trees");
}

#endif
