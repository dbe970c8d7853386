/*
 * A finished tree that somebody uses. A shared one is held by a lock on its directory, which a collector asks
 * for; a private one owns its directory, and the process that made it removes it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tree/tree.h"

struct saggar_tree {
    char *path;
    int lock;            /* -1: none */
    struct sg_work work; /* path NULL: shared */
    pid_t owner;
};

saggar_tree *sg_tree_shared(char *path, int lock) {
    saggar_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL) {
        free(path);
        close(lock);
        return NULL;
    }
    tree->path = path;
    tree->lock = lock;
    return tree;
}

saggar_tree *sg_tree_private(struct sg_work *work) {
    saggar_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL) {
        sg_work_close(work);
        return NULL;
    }
    tree->work = *work;
    tree->lock = -1;
    tree->path = tree->work.tree;
    tree->owner = getpid();
    *work = (struct sg_work){NULL, NULL, -1};
    return tree;
}

const char *saggar_tree_path(const saggar_tree *tree) {
    return tree->path;
}

bool saggar_tree_is_shared(const saggar_tree *tree) {
    return tree->work.path == NULL;
}

void saggar_tree_release(saggar_tree *tree) {
    if (tree == NULL)
        return;
    if (tree->work.path == NULL) {
        free(tree->path);
    } else if (tree->owner == getpid()) {
        sg_work_close(&tree->work);
    } else { /* a forked child: the directory is its parent's */
        close(tree->work.lock);
        free(tree->work.path);
        free(tree->work.tree);
    }
    if (tree->lock >= 0)
        close(tree->lock);
    free(tree);
}
