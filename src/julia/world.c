/* See world.h. */
#include "julia/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "saggar/saggar.h"

struct sg_world_document {
    const char *path;
    struct sg_doc *doc;
};

enum { TOML_MAX = 64 << 20, CHUNK = 256 << 10 };

void sg_world_free(struct sg_world *w) {
    for (size_t i = 0; i < w->n_documents; i++)
        sg_doc_free(w->documents[i].doc);
    sg_arena_free(&w->arena);
    *w = (struct sg_world){0};
}

bool sg_world_fail(struct sg_world *w, const char *format, ...) {
    va_list list;
    if (w->error[0] != '\0')
        return false;
    va_start(list, format);
    vsnprintf(w->error, sizeof w->error, format, list);
    va_end(list);
    return false;
}

/* ---- Paths ---- */

bool sg_world_map(struct sg_world *w, const char *from, const char *to) {
    struct sg_world_map *grown = sg_arena_more(&w->arena, w->maps, w->n_maps, sizeof *grown);
    if (grown == NULL)
        return sg_world_fail(w, "no memory");
    w->maps = grown;
    grown[w->n_maps++] = (struct sg_world_map){sg_world_join(w, from, ""), sg_world_join(w, to, "")};
    return !w->arena.failed;
}

const char *sg_world_real(const struct sg_world *w, const char *path, char real[PATH_MAX]) {
    const struct sg_world_map *best = NULL;
    size_t length = 0;
    for (size_t i = 0; i < w->n_maps; i++) {
        size_t n = strlen(w->maps[i].from);
        bool below = strncmp(path, w->maps[i].from, n) == 0 && (path[n] == '\0' || path[n] == '/');
        if (below && (best == NULL || n > length)) {
            best = &w->maps[i];
            length = n;
        }
    }
    int n = best != NULL ? snprintf(real, PATH_MAX, "%s%s", best->to, path + length)
                         : snprintf(real, PATH_MAX, "%s", path);
    return n >= 0 && n < PATH_MAX ? real : NULL;
}

const char *sg_world_join(struct sg_world *w, const char *a, const char *b) {
    const char *whole = b[0] == '/' ? b : sg_arena_format(&w->arena, "%s/%s", a, b);
    char *out = sg_arena_alloc(&w->arena, strlen(whole) + 2);
    size_t n = 0;
    if (out == NULL)
        return "";
    bool absolute = whole[0] == '/';
    while (*whole != '\0') {
        size_t part = strcspn(whole, "/");
        bool up = part == 2 && memcmp(whole, "..", 2) == 0;
        if (up && n > 0 && !(n >= 2 && memcmp(out + n - 2, "..", 2) == 0 && (n == 2 || out[n - 3] == '/'))) {
            while (n > 0 && out[n - 1] != '/')
                n--;
            n -= n > 0; /* the slash before it */
        } else if (part > 0 && !(part == 1 && whole[0] == '.') && !(up && absolute)) {
            if (n > 0 || absolute)
                out[n++] = '/';
            memcpy(out + n, whole, part);
            n += part;
        }
        whole += part + (whole[part] == '/');
    }
    if (n == 0)
        out[n++] = absolute ? '/' : '.';
    out[n] = '\0';
    return out;
}

const char *sg_world_parent(struct sg_world *w, const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return ".";
    return slash == path ? "/" : sg_arena_text(&w->arena, path, (size_t)(slash - path));
}

/* ---- Files ---- */

bool sg_world_stat(const struct sg_world *w, const char *path, struct stat *st) {
    char real[PATH_MAX];
    return sg_world_real(w, path, real) != NULL && stat(real, st) == 0;
}

bool sg_world_is_file(const struct sg_world *w, const char *path) {
    struct stat st;
    return sg_world_stat(w, path, &st) && S_ISREG(st.st_mode);
}

bool sg_world_is_dir(const struct sg_world *w, const char *path) {
    struct stat st;
    return sg_world_stat(w, path, &st) && S_ISDIR(st.st_mode);
}

bool sg_world_is_same(const struct sg_world *w, const char *a, const char *b) {
    struct stat one, two;
    return sg_world_stat(w, a, &one) && sg_world_stat(w, b, &two) && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

double sg_world_mtime(const struct stat *st) {
    return (double)st->st_mtim.tv_sec + (double)st->st_mtim.tv_nsec * 1e-9;
}

static int open_file(const struct sg_world *w, const char *path) {
    char real[PATH_MAX];
    if (sg_world_real(w, path, real) == NULL) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

bool sg_world_read(const struct sg_world *w, const char *path, size_t max, unsigned char **data,
                   size_t *size) {
    int fd = open_file(w, path);
    if (fd < 0)
        return false;
    errno = 0;
    int err = sg_read_all_fd(fd, max, data, size, NULL);
    int was = errno != 0 ? errno : EINVAL;
    close(fd);
    errno = was;
    return err == SAGGAR_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of all names in the folder, sorted, one behind the other. */
static bool folder_crc(DIR *dir, uint32_t *crc) {
    struct sg_arena arena = {0};
    const char **names = NULL;
    struct dirent *e;
    size_t n = 0;
    errno = 0;
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        const char **grown = sg_arena_more(&arena, names, n, sizeof *grown);
        if (grown == NULL)
            break;
        names = grown;
        names[n++] = sg_arena_text(&arena, e->d_name, strlen(e->d_name));
    }
    bool ok = errno == 0 && !arena.failed;
    if (n > 1)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; ok && i < n; i++)
        *crc = sg_julia_crc(*crc, names[i], strlen(names[i]));
    sg_arena_free(&arena);
    return ok;
}

static bool stream_crc(int fd, uint32_t *crc) {
    unsigned char *chunk = malloc(CHUNK);
    ssize_t n = -1;
    while (chunk != NULL) {
        n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *crc = sg_julia_crc(*crc, chunk, (size_t)n);
    }
    free(chunk);
    return n == 0;
}

bool sg_world_crc(const struct sg_world *w, const char *path, uint32_t *crc) {
    struct stat st;
    int fd = open_file(w, path);
    bool ok = false;
    *crc = 0;
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        DIR *dir = fdopendir(fd);
        if (dir != NULL) {
            ok = folder_crc(dir, crc);
            closedir(dir);
            return ok;
        }
    } else if (S_ISREG(st.st_mode)) {
        ok = stream_crc(fd, crc);
    }
    close(fd);
    return ok;
}

/* ---- Documents ---- */

static struct sg_doc *parse(struct sg_world *w, const char *path) {
    char why[256] = "", real[PATH_MAX];
    unsigned char *data;
    size_t size;
    const char *shown = sg_world_real(w, path, real);
    if (!sg_world_read(w, path, TOML_MAX, &data, &size)) {
        sg_world_fail(w, "%s: %s", shown != NULL ? shown : path, strerror(errno));
        return NULL;
    }
    struct sg_doc *doc = sg_doc_toml((const char *)data, size, why, sizeof why);
    free(data);
    if (doc == NULL)
        sg_world_fail(w, "%s: %s", shown != NULL ? shown : path, why);
    return doc;
}

const struct sg_doc *sg_world_toml(struct sg_world *w, const char *path) {
    struct sg_world_document *grown;
    for (size_t i = 0; i < w->n_documents; i++) {
        if (strcmp(w->documents[i].path, path) == 0)
            return w->documents[i].doc;
    }
    grown = sg_arena_more(&w->arena, w->documents, w->n_documents, sizeof *grown);
    if (grown == NULL) {
        sg_world_fail(w, "no memory");
        return NULL;
    }
    w->documents = grown;
    grown[w->n_documents].path = sg_arena_text(&w->arena, path, strlen(path));
    grown[w->n_documents].doc = sg_world_is_file(w, path) ? parse(w, path) : NULL;
    return grown[w->n_documents++].doc;
}
