/*
 * Unpacking, and the check of what was unpacked. Both walk the nodes beside a stack of open directories, so
 * that each name is used once, in a directory that was made (or looked at) just before.
 *
 * A file is written under O_EXCL, synced, and only then made readable for others; directories lose their
 * write permission when they are left. The check compares kinds, modes, owners, targets and every byte, and
 * counts names, so that nothing else lies in the tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/store.h"
#include "tree/tree.h"

enum { CHUNK = 65536 };

struct level {
    int fd;
    uint64_t names; /* nodes in it so far */
};

struct visit {
    const struct sg_tree *tree;
    char *detail;
    struct level levels[SG_TREE_DEPTH + 1]; /* [0] is the root, which is the caller's */
    unsigned depth;                         /* the level that is the innermost open one */
    int (*node)(struct visit *v, int dirfd, const struct sg_node *node);
    int (*leave)(struct visit *v, const struct level *level);
};

static int refuse(struct visit *v, const struct sg_node *node, int err, const char *why) {
    sg_tree_say(v->detail, node->path, why);
    return err;
}

static int system_error(struct visit *v, const struct sg_node *node) {
    int err = sg_err_from_errno(errno);
    return refuse(v, node, err, saggar_strerror(err));
}

/* Leaves all levels below `depth`. */
static int leave_to(struct visit *v, unsigned depth, int err) {
    while (v->depth > depth) {
        struct level *level = &v->levels[v->depth];
        if (err == SAGGAR_OK)
            err = v->leave(v, level);
        close(level->fd);
        v->depth--;
    }
    return err;
}

static int enter(struct visit *v, const struct sg_node *node) {
    int fd = openat(v->levels[v->depth].fd, node->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return system_error(v, node);
    v->levels[++v->depth] = (struct level){fd, 0};
    return SAGGAR_OK;
}

/* Every node in order; then each directory is left. */
static int visit_all(struct visit *v, int dirfd) {
    struct sg_tree_walk walk;
    struct sg_node node;
    const char *why = NULL;
    int err;
    if (v->detail != NULL)
        v->detail[0] = '\0';
    v->levels[0] = (struct level){dirfd, 0};
    sg_tree_walk(v->tree, &walk);
    while ((err = sg_tree_next(&walk, &node, &why)) == SAGGAR_OK) {
        err = leave_to(v, node.depth, SAGGAR_OK);
        if (err == SAGGAR_OK) {
            v->levels[v->depth].names++;
            err = v->node(v, v->levels[v->depth].fd, &node);
        }
        if (err == SAGGAR_OK && node.kind == SG_NODE_DIRECTORY)
            err = enter(v, &node);
        if (err != SAGGAR_OK)
            break;
    }
    err = leave_to(v, 0, err == SAGGAR_ENOTFOUND ? SAGGAR_OK : err);
    return err == SAGGAR_OK ? v->leave(v, &v->levels[0]) : err;
}

/* ---- Writing ---- */

static int write_file(struct visit *v, int dirfd, const struct sg_node *node) {
    mode_t mode = node->kind == SG_NODE_EXECUTABLE ? 0555 : 0444;
    if (!sg_size_allowed(node->size))
        return refuse(v, node, SAGGAR_ENOSPACE, saggar_strerror(SAGGAR_ENOSPACE));
    int fd = openat(dirfd, node->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return system_error(v, node);
    int err = sg_write_all(fd, node->data, (size_t)node->size);
    if (err == SAGGAR_OK && fchmod(fd, mode) != 0)
        err = sg_err_from_errno(errno);
    if (err == SAGGAR_OK)
        err = sg_sync_data(fd);
    if (close(fd) != 0 && errno != EINTR && err == SAGGAR_OK)
        err = sg_err_from_errno(errno);
    return err == SAGGAR_OK ? err : refuse(v, node, err, saggar_strerror(err));
}

static int write_node(struct visit *v, int dirfd, const struct sg_node *node) {
    switch (node->kind) {
    case SG_NODE_DIRECTORY:
        return mkdirat(dirfd, node->name, 0700) == 0 ? SAGGAR_OK : system_error(v, node);
    case SG_NODE_LINK:
        return symlinkat(node->target, dirfd, node->name) == 0 ? SAGGAR_OK : system_error(v, node);
    case SG_NODE_FILE:
    case SG_NODE_EXECUTABLE:
        break;
    }
    return write_file(v, dirfd, node);
}

static int seal(struct visit *v, const struct level *level) {
    if (level == &v->levels[0] || fchmod(level->fd, 0555) == 0)
        return SAGGAR_OK;
    return sg_err_from_errno(errno);
}

int sg_tree_write(const struct sg_tree *tree, int dirfd, char *detail) {
    struct visit v = {.tree = tree, .detail = detail, .node = write_node, .leave = seal};
    return visit_all(&v, dirfd);
}

/* ---- Comparing ---- */

static int same_bytes(struct visit *v, int fd, const struct sg_node *node) {
    uint8_t chunk[CHUNK];
    for (uint64_t at = 0; at < node->size;) {
        uint64_t left = node->size - at;
        ssize_t n = read(fd, chunk, left < CHUNK ? (size_t)left : CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error(v, node);
        if (n == 0 || memcmp(chunk, node->data + at, (size_t)n) != 0)
            return refuse(v, node, SAGGAR_ECORRUPT, "other bytes");
        at += (uint64_t)n;
    }
    return SAGGAR_OK;
}

static int compare_file(struct visit *v, int dirfd, const struct sg_node *node) {
    struct stat st;
    int err = SAGGAR_OK;
    int fd = openat(dirfd, node->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == ENXIO || errno == EACCES
                   ? refuse(v, node, SAGGAR_ECORRUPT, "not the file that it was")
                   : system_error(v, node);
    if (fstat(fd, &st) != 0)
        err = system_error(v, node);
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != node->size || !sg_store_owner_ok(&st) ||
             (st.st_mode & S_IRUSR) == 0 ||
             ((st.st_mode & S_IXUSR) != 0) != (node->kind == SG_NODE_EXECUTABLE))
        err = refuse(v, node, SAGGAR_ECORRUPT, "another kind, size, mode or owner");
    if (err == SAGGAR_OK)
        err = same_bytes(v, fd, node);
    close(fd);
    return err;
}

static int compare_link(struct visit *v, int dirfd, const struct sg_node *node) {
    char target[SG_TREE_TARGET + 2];
    ssize_t n = readlinkat(dirfd, node->name, target, sizeof target);
    if (n < 0 && errno != EINVAL && errno != ENOENT)
        return system_error(v, node);
    if (n < 0 || (size_t)n != strlen(node->target) || memcmp(target, node->target, (size_t)n) != 0)
        return refuse(v, node, SAGGAR_ECORRUPT, "another link");
    return SAGGAR_OK;
}

static int compare_node(struct visit *v, int dirfd, const struct sg_node *node) {
    struct stat st;
    switch (node->kind) {
    case SG_NODE_LINK:
        return compare_link(v, dirfd, node);
    case SG_NODE_FILE:
    case SG_NODE_EXECUTABLE:
        return compare_file(v, dirfd, node);
    case SG_NODE_DIRECTORY:
        break;
    }
    bool there = fstatat(dirfd, node->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return system_error(v, node);
    if (!there || !S_ISDIR(st.st_mode) || (st.st_mode & (S_IRUSR | S_IXUSR)) != (S_IRUSR | S_IXUSR) ||
        !sg_store_owner_ok(&st))
        return refuse(v, node, SAGGAR_ECORRUPT, "not the directory that it was");
    return SAGGAR_OK;
}

/* As many names as nodes, which were all there: so nothing else is. */
static int count_names(struct visit *v, const struct level *level) {
    struct dirent *d;
    uint64_t n = 0;
    DIR *dir = sg_store_opendir(level->fd, ".");
    if (dir == NULL)
        return sg_err_from_errno(errno);
    while ((errno = 0, d = readdir(dir)) != NULL)
        n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
    int err = sg_err_from_errno(errno);
    closedir(dir);
    if (err != SAGGAR_OK || n == level->names)
        return err;
    sg_tree_say(v->detail, "", "a directory with more names than the tree has");
    return SAGGAR_ECORRUPT;
}

int sg_tree_compare(const struct sg_tree *tree, int dirfd, char *detail) {
    struct visit v = {.tree = tree, .detail = detail, .node = compare_node, .leave = count_names};
    return visit_all(&v, dirfd);
}
