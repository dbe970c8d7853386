/*
 * A program that builds a tree, for test_kill.py: `builder get STORE` prints the text in the tree, `builder
 * mend STORE` does the same, sweeps what dead builders left, and prints how many names lie beside the tree.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "saggar/saggar.h"
#include "tree/tree.h"

static int put(const char *directory, const char *name, const char *text, mode_t mode) {
    char path[900];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    return f == NULL || fputs(text, f) < 0 || fchmod(fileno(f), mode) != 0 || fclose(f) != 0;
}

static int build(void *context, const char *directory, saggar_draft *draft) {
    char path[900];
    (void)context;
    (void)draft;
    snprintf(path, sizeof path, "%s/lib", directory);
    return mkdir(path, 0700) != 0 || put(directory, "lib/code.so", "the code", 0755) ||
           put(directory, "about", "text", 0644) ||
           symlinkat("lib/code.so", AT_FDCWD, strcat(path, "/../link")) != 0;
}

static saggar_recipe *make_recipe(const uint8_t **bytes, size_t *size) {
    static const char *const names[] = {"adapter", "compiler", "source", "options"};
    static const uint8_t adapter[] = "\x0a\2\0\0\0\x08\1\0\0\0t\x03\1\0\0\0\0\0\0\0";
    uint8_t key[32];
    saggar_recipe *r;
    if (saggar_recipe_new(&r) != SAGGAR_OK ||
        saggar_recipe_field(r, names[0], adapter, sizeof adapter - 1) != SAGGAR_OK)
        abort();
    for (int i = 1; i < 4; i++) {
        if (saggar_recipe_field(r, names[i], "\0", 1) != SAGGAR_OK)
            abort();
    }
    if (saggar_recipe_finish(r, key, bytes, size) != SAGGAR_OK)
        abort();
    return r;
}

static bool print_tree(const saggar_tree *tree) {
    char path[900], text[64] = "";
    snprintf(path, sizeof path, "%s/link", saggar_tree_path(tree));
    FILE *f = fopen(path, "r");
    bool good = f != NULL && fgets(text, sizeof text, f) != NULL;
    if (f != NULL)
        fclose(f);
    printf("%s\n", text);
    return good;
}

static int names_in(const char *path) {
    struct dirent *d;
    int n = -2; /* "." and ".." */
    DIR *dir = opendir(path);
    while (dir != NULL && (d = readdir(dir)) != NULL)
        n++;
    if (dir != NULL)
        closedir(dir);
    return n;
}

static void mend(const char *store) {
    char path[900];
    struct sg_tree_swept swept = {0, 0};
    snprintf(path, sizeof path, "%s/v1/trees", store);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        sg_tree_sweep(fd, SG_TREE_TEMP, 0, false, &swept);
        close(fd);
    }
    printf("%d %d\n", names_in(path), (int)swept.failed);
}

int main(int argc, char **argv) {
    const saggar_build what = {.struct_size = sizeof what,
                               .compiler = "c",
                               .module = "m",
                               .qualname = "q",
                               .build = build,
                               .wait_ms = 1000};
    saggar_cache_options options;
    saggar_cache *cache;
    saggar_tree *tree;
    const uint8_t *bytes;
    size_t size;
    if (argc != 3)
        return 2;
    saggar_cache_options_init(&options);
    options.images = "";
    options.store = argv[2];
    saggar_recipe *r = make_recipe(&bytes, &size);
    if (saggar_cache_open(&options, &cache) != SAGGAR_OK)
        return 3;
    access("/tree-begins", F_OK);
    int err = saggar_get_or_build(cache, bytes, size, &what, &tree, NULL);
    access("/tree-ends", F_OK);
    if (err != SAGGAR_OK) {
        printf("%s\n", saggar_errname(err));
        return 4;
    }
    bool good = print_tree(tree);
    saggar_tree_release(tree);
    if (strcmp(argv[1], "mend") == 0)
        mend(argv[2]);
    saggar_cache_close(cache);
    saggar_recipe_free(r);
    return good ? 0 : 5;
}
