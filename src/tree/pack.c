/*
 * Packing: what lies in a directory becomes bytes that depend on names, contents, targets and the owner's
 * right to execute, and on nothing else: no times, no owners, no order of the directory, no path above it.
 * What cannot be packed is refused by name. A hard link is packed as the file that it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tree/tree.h"

#define PACKED_MAX ((size_t)UINT32_MAX) /* what a part may hold */

struct pack {
    struct sg_buf head, data;
    uint32_t count;
    char path[SG_TREE_PATH + SG_TREE_NAME + 3];
    char *detail;
};

static int refuse(struct pack *p, int err, const char *why) {
    sg_tree_say(p->detail, p->path, why);
    return err;
}

static int system_error(struct pack *p) {
    int err = sg_err_from_errno(errno);
    return refuse(p, err, saggar_strerror(err));
}

/* ---- The names in a directory ---- */

struct names {
    char **items;
    size_t n, room;
};

static void free_names(struct names *names) {
    for (size_t i = 0; i < names->n; i++)
        free(names->items[i]);
    free(names->items);
}

static int compare(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static bool add(struct names *names, const char *name) {
    if (names->n == names->room) {
        size_t room = names->room == 0 ? 16 : 2 * names->room;
        char **more = reallocarray(names->items, room, sizeof *more);
        if (more == NULL)
            return false;
        names->items = more;
        names->room = room;
    }
    names->items[names->n] = strdup(name);
    if (names->items[names->n] == NULL)
        return false;
    names->n++;
    return true;
}

/* Sorted. What was found is the caller's to free, also on failure. */
static int list(struct pack *p, int dirfd, struct names *names) {
    struct dirent *d;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int err = system_error(p);
        if (fd >= 0)
            close(fd);
        return err;
    }
    int err = SAGGAR_OK;
    while (err == SAGGAR_OK && (errno = 0, d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && !add(names, d->d_name))
            err = SAGGAR_ENOMEM;
    }
    if (err == SAGGAR_OK && errno != 0)
        err = system_error(p);
    closedir(dir);
    if (names->n > 1)
        qsort(names->items, names->n, sizeof *names->items, compare);
    return err;
}

/* ---- Nodes ---- */

static int add_node(struct pack *p, enum sg_node_kind kind, unsigned depth, const char *name) {
    size_t n = strlen(name);
    if (depth >= SG_TREE_DEPTH || strlen(p->path) > SG_TREE_PATH)
        return refuse(p, SAGGAR_ELIMIT, "it lies too deep");
    if (n > SG_TREE_NAME || ++p->count > SG_TREE_NODES)
        return refuse(p, SAGGAR_ELIMIT, "too many files");
    sg_buf_u8(&p->head, (uint8_t)kind);
    sg_buf_u8(&p->head, (uint8_t)depth);
    sg_buf_u16(&p->head, (uint16_t)n);
    return sg_buf_add(&p->head, name, n);
}

static int pack_file(struct pack *p, int dirfd, const char *name, unsigned depth) {
    unsigned char *data;
    size_t size;
    struct stat st;
    int err = sg_read_all_at(dirfd, name, PACKED_MAX, &data, &size, &st);
    if (err != SAGGAR_OK)
        return refuse(p, err, err == SAGGAR_EINVAL ? "it changed meanwhile" : saggar_strerror(err));
    err = add_node(p, (st.st_mode & S_IXUSR) != 0 ? SG_NODE_EXECUTABLE : SG_NODE_FILE, depth, name);
    if (err == SAGGAR_OK) {
        sg_buf_u64(&p->head, size);
        sg_buf_add(&p->data, data, size);
        err = sg_buf_pad64(&p->data);
    }
    free(data);
    return err;
}

static int pack_link(struct pack *p, int dirfd, const char *name, unsigned depth) {
    char target[SG_TREE_TARGET + 2];
    ssize_t n = readlinkat(dirfd, name, target, sizeof target - 1);
    if (n < 0)
        return system_error(p);
    target[n] = '\0';
    size_t size = (size_t)n > SG_TREE_TARGET ? (size_t)n : sg_link_tidy(target);
    const char *why = sg_link_refused(depth, target, size);
    if (why != NULL)
        return refuse(p, SAGGAR_EINVAL, why);
    int err = add_node(p, SG_NODE_LINK, depth, name);
    if (err == SAGGAR_OK) {
        sg_buf_u16(&p->head, (uint16_t)size);
        err = sg_buf_add(&p->head, target, size);
    }
    return err;
}

static int pack_in(struct pack *p, int dirfd, unsigned depth);

static int pack_directory(struct pack *p, int dirfd, const char *name, unsigned depth) {
    int err = add_node(p, SG_NODE_DIRECTORY, depth, name);
    if (err != SAGGAR_OK)
        return err;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return system_error(p);
    err = pack_in(p, fd, depth + 1);
    close(fd);
    return err;
}

static int pack_one(struct pack *p, int dirfd, const char *name, unsigned depth) {
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return system_error(p);
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return pack_file(p, dirfd, name, depth);
    case S_IFDIR:
        return pack_directory(p, dirfd, name, depth);
    case S_IFLNK:
        return pack_link(p, dirfd, name, depth);
    default:
        return refuse(p, SAGGAR_EINVAL, "a device, a socket or a pipe");
    }
}

/* Recursive: at most SG_TREE_DEPTH levels, which add_node() sees to. */
static int pack_in(struct pack *p, int dirfd, unsigned depth) {
    struct names names = {NULL, 0, 0};
    size_t n = strlen(p->path);
    int err = list(p, dirfd, &names);
    for (size_t i = 0; err == SAGGAR_OK && i < names.n; i++) {
        size_t size = strlen(names.items[i]);
        if (n + 1 + size >= sizeof p->path) {
            err = refuse(p, SAGGAR_ELIMIT, "a path that is too long");
            break;
        }
        size_t at = n;
        if (at > 0)
            p->path[at++] = '/';
        memcpy(p->path + at, names.items[i], size + 1);
        err = pack_one(p, dirfd, names.items[i], depth);
        if (err == SAGGAR_OK)
            p->path[n] = '\0';
    }
    free_names(&names);
    return err;
}

static int join(struct pack *p, struct sg_buf *out) {
    size_t head, size;
    int err = sg_buf_pad64(&p->head);
    head = p->head.len;
    if (err == SAGGAR_OK && (!sg_add(head, p->data.len, &size) || size > PACKED_MAX))
        err = SAGGAR_ELIMIT;
    if (err != SAGGAR_OK)
        return refuse(p, err, saggar_strerror(err));
    sg_store32(p->head.data + 12, p->count);
    sg_store64(p->head.data + 16, head);
    sg_store64(p->head.data + 24, size);
    if (sg_buf_reserve(out, size) == SAGGAR_OK) {
        sg_buf_add(out, p->head.data, head);
        sg_buf_add(out, p->data.data, p->data.len);
    }
    return out->err;
}

int sg_tree_pack(int dirfd, struct sg_buf *out, char *detail) {
    static const uint8_t magic[12] = {0x89, 'S', 'G', 'T', 0x0D, 0x0A, 0x1A, 0x0A, 1, 0, 0, 0};
    struct pack p = {.detail = detail};
    sg_buf_init(&p.head, PACKED_MAX);
    sg_buf_init(&p.data, PACKED_MAX);
    sg_buf_add(&p.head, magic, sizeof magic);
    sg_buf_zeros(&p.head, SG_TREE_HEAD - sizeof magic);
    if (detail != NULL)
        detail[0] = '\0';
    int err = pack_in(&p, dirfd, 0);
    if (err == SAGGAR_OK)
        err = p.head.err != SAGGAR_OK ? p.head.err : p.data.err;
    if (err == SAGGAR_OK)
        err = join(&p, out);
    sg_buf_free(&p.head);
    sg_buf_free(&p.data);
    return err;
}
