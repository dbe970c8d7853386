/* See julia_watch.h. */
#include "cli/julia_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/out.h"

/* Folders list their files in the same order each time: the one behind the last one first. */
static struct watched *find(struct watch *w, const char *path) {
    for (size_t i = 0; i < w->n; i++) {
        size_t at = (w->next + i) % w->n;
        if (strcmp(w->file[at].path, path) == 0) {
            w->next = at + 1;
            return &w->file[at];
        }
    }
    return NULL;
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The end of the file: its checksums, which no two builds share. A name, an inode and a length they may. */
static uint64_t end_of(const char *path, off_t size) {
    unsigned char bytes[8] = {0};
    int fd = size < (off_t)sizeof bytes ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    if (pread(fd, bytes, sizeof bytes, size - (off_t)sizeof bytes) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes);
    close(fd);
    return sg_load64(bytes);
}

static void see(struct watch *w, const char *path, const struct stat *st, bool fresh) {
    struct watched *f = fresh ? find(w, path) : NULL; /* at first each is another one */
    bool same = f != NULL && f->inode == st->st_ino && f->size == st->st_size;
    if (same && same_time(&f->mtime, &st->st_mtim))
        return;
    uint64_t end = end_of(path, st->st_size);
    if (same && end == f->end) {
        f->used = true;
        f->mtime = st->st_mtim;
        return;
    }
    if (f == NULL) {
        f = out_grow(&w->file, &w->n, sizeof *f);
        f->path = out_strdup(path);
    }
    f->inode = st->st_ino;
    f->size = st->st_size;
    f->end = end;
    f->mtime = st->st_mtim;
    f->fresh = fresh;
    f->used = f->done = false;
}

static bool ends(const char *name) {
    size_t n = strlen(name);
    return n > 3 && strcmp(name + n - 3, ".ji") == 0;
}

/* compiled/vX.Y/NAME/SLUG.ji, or compiled/vX.Y/NAME.ji for a package without a UUID. */
static void look(struct watch *w, const char *folder, int depth, bool fresh) {
    DIR *dir = opendir(folder);
    struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        bool file = depth > 0 && ends(e->d_name);
        struct stat st;
        if (e->d_name[0] == '.' || (!file && (depth == 2 || e->d_type == DT_REG)))
            continue;
        char *path = out_format("%s/%s", folder, e->d_name);
        if (!file)
            look(w, path, depth + 1, fresh);
        else if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            see(w, path, &st, fresh);
        free(path);
    }
    if (dir != NULL)
        closedir(dir);
}

void watch_begin(struct watch *w, const char *compiled) {
    *w = (struct watch){.compiled = out_strdup(compiled)};
    look(w, w->compiled, 0, false);
}

void watch_look(struct watch *w) {
    look(w, w->compiled, 0, true);
}

void watch_free(struct watch *w) {
    for (size_t i = 0; i < w->n; i++)
        free(w->file[i].path);
    free(w->file);
    free(w->compiled);
    *w = (struct watch){0};
}
