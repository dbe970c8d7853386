/*
 * Reads trails back: files of processes that have ended, are running, or were killed; trail.h.
 *
 * Everything is read into private memory and checked; a file that is not a whole trail is reported, never
 * fatal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "trail/trail.h"

enum { EXE_AT = 128, ARGV_AT = 1152 };

struct name {
    char *file;
    char host[9];
    unsigned long long pid, start, seq;
};

static bool parse_name(const char *file, struct name *out) {
    int end = 0;
    if (sscanf(file, "%8[0-9a-f]-%llu-%llu-%llu.trail%n", out->host, &out->pid, &out->start, &out->seq,
               &end) != 4)
        return false;
    return strlen(out->host) == 8 && end > 0 && file[end] == '\0';
}

static int by_process(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    int c = strcmp(x->host, y->host);
    if (c != 0)
        return c;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void free_names(struct name *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(names[i].file);
    free(names);
}

static int add_name(struct name **names, size_t *n, const struct name *name, const char *file) {
    if (*n % 16 == 0) {
        struct name *more = realloc(*names, (*n + 16) * sizeof **names);
        if (more == NULL)
            return SAGGAR_ENOMEM;
        *names = more;
    }
    struct name *slot = &(*names)[*n];
    *slot = *name;
    slot->file = strdup(file);
    if (slot->file == NULL)
        return SAGGAR_ENOMEM;
    ++*n;
    return SAGGAR_OK;
}

static int list(DIR *dir, struct name **names, size_t *n) {
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        struct name name;
        if (parse_name(entry->d_name, &name)) {
            int err = add_name(names, n, &name, entry->d_name);
            if (err != SAGGAR_OK)
                return err;
        }
        errno = 0;
    }
    if (errno != 0)
        return sg_err_from_errno(errno);
    if (*n > 0)
        qsort(*names, *n, sizeof **names, by_process);
    return SAGGAR_OK;
}

/* The header; both texts end with a zero inside their place. */
static int parse_header(unsigned char *h, size_t size, struct sg_trail_process *out) {
    if (size < SG_TRAIL_HEADER || memcmp(h, "SGTRAIL1", 8) != 0)
        return SAGGAR_ECORRUPT;
    if (sg_load32(h + 8) != SG_TRAIL_VERSION)
        return SAGGAR_EVERSION;
    uint32_t argv = sg_load32(h + 64);
    if (sg_load32(h + 52) >= ARGV_AT - EXE_AT || argv >= SG_TRAIL_HEADER - ARGV_AT)
        return SAGGAR_ECORRUPT;
    h[ARGV_AT - 1] = '\0';
    h[SG_TRAIL_HEADER - 1] = '\0';
    out->pid = sg_load32(h + 16);
    out->ppid = sg_load32(h + 20);
    out->start = sg_load64(h + 24);
    out->opened = sg_load64(h + 32);
    out->seq = sg_load32(h + 40);
    out->origin = sg_load32(h + 44);
    out->state = sg_load32(h + 48);
    out->lost = sg_load64(h + 56);
    out->exe = (const char *)h + EXE_AT;
    out->argv = (const char *)h + ARGV_AT;
    out->argv_size = argv;
    return SAGGAR_OK;
}

static int read_events(const unsigned char *data, size_t size, const struct sg_trail_process *process,
                       const struct sg_trail_visitor *v) {
    size_t at = SG_TRAIL_HEADER;
    int err;
    for (;;) {
        struct sg_trail_record record;
        err = sg_trail_parse(data + at, size - at, &record);
        if (err != SAGGAR_OK)
            break;
        int stop = v->event == NULL ? 0 : v->event(v->context, process, &record);
        if (stop != 0)
            return stop;
        at += record.size;
    }
    return v->end == NULL ? 0 : v->end(v->context, process, err != SAGGAR_ENOTFOUND);
}

static int read_file(int dirfd, const struct name *name, const struct sg_trail_visitor *v) {
    unsigned char *data = NULL;
    size_t size = 0;
    struct sg_trail_process process = {.file = name->file, .host = name->host, .exe = "", .argv = ""};
    int err = sg_read_all_at(dirfd, name->file, SG_TRAIL_SEGMENT, &data, &size, NULL);
    if (err == SAGGAR_OK)
        err = parse_header(data, size, &process);
    int stop = v->file == NULL ? 0 : v->file(v->context, err, &process);
    if (stop == 0 && err == SAGGAR_OK)
        stop = read_events(data, size, &process, v);
    free(data);
    return stop;
}

int sg_trail_read(const char *dir, const struct sg_trail_visitor *visitor) {
    DIR *d = opendir(dir);
    if (d == NULL)
        return sg_err_from_errno(errno);
    struct name *names = NULL;
    size_t n = 0;
    int result = list(d, &names, &n);
    for (size_t i = 0; result == SAGGAR_OK && i < n; i++)
        result = read_file(dirfd(d), &names[i], visitor);
    free_names(names, n);
    closedir(d);
    return result;
}

int sg_trail_read_log(const char *path, int (*each)(void *context, const struct sg_trail_record *record),
                      void *context, uint64_t *skipped) {
    unsigned char *data;
    size_t size, at = 0;
    bool inside = false;
    *skipped = 0;
    int err = sg_read_all_at(AT_FDCWD, path, 4 * (size_t)SG_TRAIL_LOG_MAX, &data, &size, NULL);
    if (err != SAGGAR_OK)
        return err;
    while (err == SAGGAR_OK && at < size) {
        struct sg_trail_record record;
        if (sg_trail_parse(data + at, size - at, &record) == SAGGAR_OK) {
            err = each(context, &record);
            at += record.size;
            inside = false;
        } else { /* a write that was cut short: look for the next event */
            *skipped += !inside;
            inside = true;
            at++;
        }
    }
    free(data);
    return err;
}
