/*
 * Packed trees: the check, and the walk over the nodes. A node has one name, not a path, and a depth, so that
 * most of what could be wrong with a path (absolute, "..", below a file, given twice) cannot be written down;
 * the rest is refused here, node by node, and again on each later walk.
 */
#include <string.h>

#include "base/bytes.h"
#include "tree/tree.h"

#define MAGIC "\x89SGT\r\n\x1a\n"

enum { AT_VERSION = 8, AT_ZERO = 10, AT_COUNT = 12, AT_HEAD = 16, AT_SIZE = 24 };

void sg_tree_say(char *detail, const char *path, const char *why) {
    size_t n = 0, room = SAGGAR_DETAIL_SIZE - strlen(why) - 3;
    if (detail == NULL)
        return;
    size_t size = strlen(path), skip = size > room ? size - room : 0;
    for (const char *p = path + skip; *p != '\0'; p++)
        detail[n++] = (unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f ? '?' : *p;
    if (n > 0) {
        detail[n++] = ':';
        detail[n++] = ' ';
    }
    memcpy(detail + n, why, strlen(why) + 1);
}

void sg_tree_walk(const struct sg_tree *tree, struct sg_tree_walk *walk) {
    *walk = (struct sg_tree_walk){.tree = tree, .left = tree->count, .at = SG_TREE_HEAD, .data = tree->head};
}

/* n bytes of the head; NULL: it ends before. */
static const uint8_t *take(struct sg_tree_walk *w, size_t n) {
    const uint8_t *p = w->tree->bytes + w->at;
    if (n > w->tree->head - w->at)
        return NULL;
    w->at += n;
    return p;
}

static const char *name_refused(const char *name, size_t n) {
    if (n == 0 || n > SG_TREE_NAME)
        return "a name that is empty or too long";
    if (memchr(name, '/', n) != NULL || memchr(name, 0, n) != NULL)
        return "a name with a slash or a zero byte";
    if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
        return "a name that is \".\" or \"..\"";
    return NULL;
}

/* Is the name behind the one before it at its depth? By bytes; a proper prefix first. */
static bool ascends(const struct sg_tree_walk *w, unsigned depth, const char *name, size_t n) {
    const char *last = w->path + w->start[depth];
    size_t size = (size_t)w->end[depth] - w->start[depth];
    int order = memcmp(last, name, size < n ? size : n);
    return order < 0 || (order == 0 && size < n);
}

/* Puts the name into the walk's path. */
static const char *enter(struct sg_tree_walk *w, unsigned depth, const char *name, size_t n) {
    const char *why = name_refused(name, n);
    if (why != NULL)
        return why;
    if (depth > w->open)
        return "it does not lie in a directory";
    size_t start = depth == 0 ? 0 : (size_t)w->end[depth - 1] + 1;
    if (start + n > SG_TREE_PATH)
        return "a path that is too long";
    if (w->end[depth] != 0 && !ascends(w, depth, name, n))
        return "names that are equal or out of order";
    if (depth > 0)
        w->path[start - 1] = '/';
    memcpy(w->path + start, name, n);
    w->path[start + n] = '\0';
    w->start[depth] = (uint16_t)start;
    w->end[depth] = (uint16_t)(start + n);
    if (depth < SG_TREE_DEPTH)
        w->end[depth + 1] = 0;
    return NULL;
}

/* A file's content, which begins where the one before it ended. */
static const char *content(struct sg_tree_walk *w, struct sg_node *node) {
    uint64_t end;
    const uint8_t *p = take(w, 8);
    if (p == NULL)
        return "it is cut off";
    node->size = sg_load64(p);
    if (!sg_align64(node->size, &end) || end > w->tree->size - w->data)
        return "a size that is too large";
    node->data = w->tree->bytes + w->data;
    if (!sg_is_zero(node->data + node->size, (size_t)(end - node->size)))
        return "bytes behind its end";
    w->data += (size_t)end;
    return NULL;
}

static const char *target(struct sg_tree_walk *w, struct sg_node *node) {
    const uint8_t *p = take(w, 2);
    size_t n = p == NULL ? 0 : sg_load16(p);
    p = p == NULL ? NULL : take(w, n);
    if (p == NULL)
        return "it is cut off";
    const char *why = sg_link_refused(node->depth, (const char *)p, n);
    if (why != NULL)
        return why;
    memcpy(node->target, p, n);
    node->target[n] = '\0';
    return NULL;
}

static const char *step(struct sg_tree_walk *w, struct sg_node *node) {
    const uint8_t *p = take(w, 4);
    if (p == NULL)
        return "it is cut off";
    if (p[0] < SG_NODE_DIRECTORY || p[0] > SG_NODE_LINK)
        return "neither a file nor a directory nor a link";
    node->kind = (enum sg_node_kind)p[0];
    node->depth = p[1];
    if (node->depth >= SG_TREE_DEPTH)
        return "it lies too deep";
    size_t n = sg_load16(p + 2);
    const uint8_t *name = take(w, n);
    const char *why = name == NULL ? "it is cut off" : enter(w, node->depth, (const char *)name, n);
    if (why != NULL)
        return why;
    w->open = node->kind == SG_NODE_DIRECTORY ? node->depth + 1 : node->depth;
    node->name = w->path + w->start[node->depth];
    node->path = w->path;
    node->size = 0;
    node->data = NULL;
    node->target[0] = '\0';
    switch (node->kind) {
    case SG_NODE_FILE:
    case SG_NODE_EXECUTABLE:
        return content(w, node);
    case SG_NODE_LINK:
        return target(w, node);
    case SG_NODE_DIRECTORY:
        break;
    }
    return NULL;
}

int sg_tree_next(struct sg_tree_walk *walk, struct sg_node *node, const char **why) {
    if (walk->left == 0)
        return SAGGAR_ENOTFOUND;
    *why = step(walk, node);
    if (*why != NULL)
        return SAGGAR_ECORRUPT;
    walk->left--;
    return SAGGAR_OK;
}

static int refuse(char *detail, int err, const char *why) {
    sg_tree_say(detail, "", why);
    return err;
}

static int open_head(const uint8_t *p, size_t size, struct sg_tree *out, char *detail) {
    if (size < SG_TREE_HEAD || memcmp(p, MAGIC, 8) != 0)
        return refuse(detail, SAGGAR_ENOTSAGGAR, "not a packed tree");
    if (sg_load16(p + AT_VERSION) != 1)
        return refuse(detail, SAGGAR_EVERSION, "a packed tree of another version");
    uint64_t head = sg_load64(p + AT_HEAD);
    *out = (struct sg_tree){p, size, sg_load32(p + AT_COUNT), (size_t)head};
    if (out->count > SG_TREE_NODES)
        return refuse(detail, SAGGAR_ELIMIT, "too many files");
    if (sg_load16(p + AT_ZERO) != 0 || sg_load64(p + AT_SIZE) != size || size % 64 != 0 || head % 64 != 0 ||
        head < SG_TREE_HEAD || head > size)
        return refuse(detail, SAGGAR_ECORRUPT, "the sizes do not agree");
    return SAGGAR_OK;
}

int sg_tree_open(const void *bytes, size_t size, struct sg_tree *out, char *detail) {
    struct sg_tree_walk walk;
    struct sg_node node;
    const char *why = NULL;
    struct sg_tree tree;
    int err = open_head(bytes, size, &tree, detail);
    if (err != SAGGAR_OK)
        return err;
    sg_tree_walk(&tree, &walk);
    while ((err = sg_tree_next(&walk, &node, &why)) == SAGGAR_OK)
        ;
    if (err != SAGGAR_ENOTFOUND) {
        sg_tree_say(detail, walk.path, why);
        return err;
    }
    if (!sg_is_zero(tree.bytes + walk.at, tree.head - walk.at) || tree.head - walk.at >= 64 ||
        walk.data != tree.size)
        return refuse(detail, SAGGAR_ECORRUPT, "bytes behind the end");
    *out = tree;
    return SAGGAR_OK;
}
