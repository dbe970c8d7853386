/* What the tests of trees share: directories with known content, packed trees written by hand. */
#ifndef SG_TESTS_TREE_MAKE_H
#define SG_TESTS_TREE_MAKE_H

#include <fcntl.h>

#include "../cache/make.h"
#include "base/bytes.h"
#include "tree/tree.h"

static inline void write_file(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static inline bool file_is(const char *path, const char *text, mode_t mode) {
    char got[256] = "";
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool good = fstat(fd, &st) == 0 && (st.st_mode & 07777) == mode &&
                read(fd, got, sizeof got - 1) == (ssize_t)strlen(text) && strcmp(got, text) == 0;
    close(fd);
    return good;
}

/* A small tree: every kind of node. */
static inline char *make_tree(const char *name) {
    char *root = path_in(name), path[600];
    assert_int_equal(mkdir(root, 0700), 0);
#define AT(x) (snprintf(path, sizeof path, "%s/%s", root, x), path)
    assert_int_equal(mkdir(AT("lib"), 0755), 0);
    assert_int_equal(mkdir(AT("lib/empty"), 0755), 0);
    write_file(AT("lib/code.so"), "the code", 0755);
    write_file(AT("lib/nothing"), "", 0600);
    write_file(AT("lib-x"), "between", 0640);
    write_file(AT("run"), "#!", 0700);
    assert_int_equal(symlink("code.so", AT("lib/code.so.1")), 0);
    assert_int_equal(symlink(".././run", AT("lib/up")), 0);
#undef AT
    return root;
}

static inline int open_dir(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline int pack_path(const char *path, struct sg_buf *out, char *detail) {
    sg_buf_init(out, SIZE_MAX / 2);
    int fd = open_dir(path), err = sg_tree_pack(fd, out, detail);
    close(fd);
    return err;
}

/* Unpacks into a new directory. */
static inline int unpack_to(const char *path, const void *bytes, size_t size, char *detail) {
    struct sg_tree tree;
    int err = sg_tree_open(bytes, size, &tree, detail);
    if (err != SAGGAR_OK)
        return err;
    assert_int_equal(mkdir(path, 0700), 0);
    int fd = open_dir(path);
    err = sg_tree_write(&tree, fd, detail);
    close(fd);
    return err;
}

static inline int compare_with(const char *path, const struct sg_buf *packed, char *detail) {
    struct sg_tree tree;
    must(sg_tree_open(packed->data, packed->len, &tree, detail));
    int fd = open_dir(path), err = sg_tree_compare(&tree, fd, detail);
    close(fd);
    return err;
}

/* ---- Packed by hand ---- */

struct hand {
    struct sg_buf head, data;
    uint32_t count;
};

static inline struct hand hand_new(void) {
    struct hand h = {.count = 0};
    sg_buf_init(&h.head, 1 << 24);
    sg_buf_init(&h.data, 1 << 24);
    sg_buf_add(&h.head, "\x89SGT\r\n\x1a\n\1\0\0\0", 12);
    sg_buf_zeros(&h.head, 20);
    return h;
}

static inline void hand_node(struct hand *h, unsigned kind, unsigned depth, const char *name) {
    sg_buf_u8(&h->head, (uint8_t)kind);
    sg_buf_u8(&h->head, (uint8_t)depth);
    sg_buf_u16(&h->head, (uint16_t)strlen(name));
    sg_buf_add(&h->head, name, strlen(name));
    h->count++;
}

static inline void hand_file(struct hand *h, unsigned depth, const char *name, const char *text) {
    hand_node(h, SG_NODE_FILE, depth, name);
    sg_buf_u64(&h->head, strlen(text));
    sg_buf_add(&h->data, text, strlen(text));
    sg_buf_pad64(&h->data);
}

static inline void hand_link(struct hand *h, unsigned depth, const char *name, const char *target) {
    hand_node(h, SG_NODE_LINK, depth, name);
    sg_buf_u16(&h->head, (uint16_t)strlen(target));
    sg_buf_add(&h->head, target, strlen(target));
}

/* Ends it; the result of opening it. Frees it. */
static inline int hand_open(struct hand *h, char *detail) {
    struct sg_tree tree;
    sg_buf_pad64(&h->head);
    size_t head = h->head.len;
    sg_buf_add(&h->head, h->data.data, h->data.len);
    must(h->head.err);
    sg_store32(h->head.data + 12, h->count);
    sg_store64(h->head.data + 16, head);
    sg_store64(h->head.data + 24, h->head.len);
    int err = sg_tree_open(h->head.data, h->head.len, &tree, detail);
    sg_buf_free(&h->head);
    sg_buf_free(&h->data);
    return err;
}

#endif
