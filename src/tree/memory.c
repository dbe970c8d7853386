/*
 * Files of a tree in memory: a copy that is sealed before it is given out, so that what was verified is what
 * is loaded. Nothing is written to any file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "tree/tree.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* Where the system wants to be told that it may be run; older ones do not know the flag. */
static int make_file(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    return fd < 0 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd;
}

static int fill(const struct sg_node *node, int *out) {
    char name[SG_TREE_NAME + 1];
    if (!sg_size_allowed(node->size)) /* memory too */
        return SAGGAR_ENOSPACE;
    size_t n = strnlen(node->name, 200); /* the system's limit is a little less than a name's */
    memcpy(name, node->name, n);
    name[n] = '\0';
    int fd = make_file(name);
    if (fd < 0)
        return errno == ENOSYS || errno == EACCES ? SAGGAR_EUNSUPPORTED : sg_err_from_errno(errno);
    int err = sg_write_all(fd, node->data, (size_t)node->size);
    if (err == SAGGAR_OK &&
        (fchmod(fd, 0555) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
         fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0))
        err = sg_err_from_errno(errno);
    if (err != SAGGAR_OK) {
        close(fd);
        return err;
    }
    *out = fd;
    return SAGGAR_OK;
}

static int find_file(const struct sg_tree *tree, const char *path, int *fd) {
    struct sg_tree_walk walk;
    struct sg_node node;
    const char *why;
    int err;
    sg_tree_walk(tree, &walk);
    while ((err = sg_tree_next(&walk, &node, &why)) == SAGGAR_OK) {
        if (strcmp(node.path, path) == 0)
            return node.kind == SG_NODE_FILE || node.kind == SG_NODE_EXECUTABLE ? fill(&node, fd)
                                                                                : SAGGAR_EINVAL;
    }
    return err;
}

int saggar_entry_tree_file(saggar_entry *entry, const char *path, int *fd) {
    struct sg_tree tree;
    saggar_view view;
    if (entry == NULL || path == NULL || fd == NULL)
        return SAGGAR_EINVAL;
    int err = saggar_entry_part(entry, SG_TREE_PART, &view);
    if (err != SAGGAR_OK)
        return err;
    err = sg_tree_open(view.data, view.size, &tree, NULL);
    if (err == SAGGAR_OK)
        err = find_file(&tree, path, fd);
    else if (err != SAGGAR_ENOMEM)
        err = SAGGAR_ECORRUPT;
    saggar_view_release(&view);
    return err;
}
