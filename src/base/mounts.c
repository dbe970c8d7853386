/*
 * Whether a path leads to a network file system, told from the table of mounts without touching that file
 * system: where its server does not answer, even a look would not come back. See file.h. Keeps nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "saggar/saggar.h"

enum { PATH_SIZE = 4096, TABLE_MAX = 16 << 20, LINKS = 40 };

/* Of type "fuse" and whatever follows "fuse.". */
static bool is_network_type(const char *type, size_t n) {
    static const char *const types[] = {"nfs",   "nfs4",     "cifs",     "smb3",   "smbfs",  "fuse",
                                        "9p",    "virtiofs", "afs",      "ceph",   "lustre", "coda",
                                        "ncpfs", "gpfs",     "orangefs", "pvfs2",  "beegfs", "panfs",
                                        "ocfs2", "gfs2",     "vboxsf",   "vmhgfs", "autofs"};
    if (n > 5 && memcmp(type, "fuse.", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strlen(types[i]) == n && memcmp(types[i], type, n) == 0)
            return true;
    }
    return false;
}

static int read_table(struct sg_buf *table) {
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), err = SAGGAR_OK;
    ssize_t got = 1;
    if (fd < 0)
        return SAGGAR_ENOTFOUND;
    while (got != 0 && err == SAGGAR_OK) {
        char block[4096];
        got = read(fd, block, sizeof block);
        if (got > 0)
            err = sg_buf_add(table, block, (size_t)got);
        else if (got < 0 && errno != EINTR)
            err = SAGGAR_EIO;
    }
    close(fd);
    return err == SAGGAR_OK ? sg_buf_add(table, "", 1) : err;
}

/* The table's spelling of a mount point is this path. */
static bool is_point(const char *field, size_t n, const char *path) {
    const char *end = field + n;
    for (; field < end && *path != '\0'; path++) {
        char c = *field;
        if (c == '\\' && end - field >= 4) { /* three octal digits */
            c = (char)((field[1] - '0') << 6 | (field[2] - '0') << 3 | (field[3] - '0'));
            field += 3;
        }
        if (c != *path)
            return false;
        field++;
    }
    return field == end && *path == '\0';
}

struct mount {
    const char *point, *type;
    size_t point_size, type_size;
};

/* The mount that a line tells, and the line after it; NULL: no line is left. */
static const char *next_mount(const char *line, struct mount *out) {
    const char *end = strchr(line, '\n'), *p = line;
    if (end == NULL)
        return NULL;
    const char *dash = memmem(line, (size_t)(end - line), " - ", 3);
    for (int i = 0; i < 4; i++) { /* the fifth word; words that are not there are empty */
        p += strcspn(p, " \n");
        p += *p == ' ';
    }
    out->point = p;
    out->point_size = strcspn(p, " \n");
    out->type = dash == NULL ? end : dash + 3;
    out->type_size = strcspn(out->type, " \n");
    return end + 1;
}

static bool has_network(const char *table) {
    struct mount m;
    for (const char *line = next_mount(table, &m); line != NULL; line = next_mount(line, &m)) {
        if (is_network_type(m.type, m.type_size))
            return true;
    }
    return false;
}

/* True if what is mounted just there, the last of several, is a network file system. */
static bool is_network_point(const char *table, const char *path) {
    struct mount m;
    bool network = false;
    for (const char *line = next_mount(table, &m); line != NULL; line = next_mount(line, &m)) {
        if (is_point(m.point, m.point_size, path))
            network = is_network_type(m.type, m.type_size);
    }
    return network;
}

/* Puts what a link leads to in the place of its name; `at` ends with that name, which begins at `slash`. */
static bool follow(char *at, char *slash, char *rest) {
    char target[PATH_SIZE], joined[PATH_SIZE];
    ssize_t n = readlink(at, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    if ((size_t)n + strlen(rest) + 2 > sizeof joined)
        return false;
    memcpy(joined, target, (size_t)n);
    joined[n] = '/';
    strcpy(joined + n + 1, rest);
    strcpy(rest, joined);
    *(target[0] == '/' ? at : slash) = '\0';
    return true;
}

/* Takes the first name off `rest`. False: there is none. */
static bool take_name(char *rest, char name[PATH_SIZE]) {
    size_t slashes = strspn(rest, "/"), n = strcspn(rest + slashes, "/");
    memcpy(name, rest + slashes, n);
    name[n] = '\0';
    memmove(rest, rest + slashes + n, strlen(rest + slashes + n) + 1);
    return n > 0;
}

/* Component by component, each looked up in the table before it is touched. */
static bool walk(const char *table, char *rest) {
    char at[PATH_SIZE] = "", name[PATH_SIZE];
    if (is_network_point(table, "/"))
        return true;
    for (int links = 0; links < LINKS && take_name(rest, name);) {
        char *end = at + strlen(at);
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            char *slash = strrchr(at, '/');
            *(slash != NULL ? slash : at) = '\0';
            continue;
        }
        if ((size_t)(end - at) + strlen(name) + 2 > sizeof at)
            return false;
        *end = '/';
        strcpy(end + 1, name);
        if (is_network_point(table, at))
            return true;
        links += follow(at, end, rest);
    }
    return false;
}

bool sg_path_is_network(const char *path) {
    struct sg_buf table;
    char rest[PATH_SIZE];
    bool network = false;
    if (path[0] != '/' || strlen(path) >= sizeof rest)
        return false;
    sg_buf_init(&table, TABLE_MAX);
    if (read_table(&table) == SAGGAR_OK && has_network((const char *)table.data)) {
        strcpy(rest, path);
        network = walk((const char *)table.data, rest);
    }
    sg_buf_free(&table);
    return network;
}
