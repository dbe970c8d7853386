/* Processes below this one; see sample.h. */
#include "cli/sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/out.h"

enum { MAX_BYTES = 64 << 20 };

/* A file of /proc, whole, with a final zero; its length, or -1. */
static ssize_t read_proc(struct samples *s, pid_t pid, const char *what) {
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    for (;;) {
        if (s->room - n < 8192 && s->room < MAX_BYTES) {
            s->room = s->room ? 2 * s->room : 65536;
            s->buffer = out_realloc(s->buffer, s->room);
        }
        ssize_t r = read(fd, s->buffer + n, s->room - n - 1);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    close(fd);
    s->buffer[n] = '\0';
    return (ssize_t)n;
}

/* Start, used processor time and the stack's start; the name in brackets may hold anything. */
static bool read_stat(struct samples *s, pid_t pid, uint64_t *start, uint64_t *used, uint64_t *stack) {
    unsigned long long utime, stime, began, top = 0;
    if (read_proc(s, pid, "stat") <= 0)
        return false;
    const char *p = strrchr(s->buffer, ')');
    if (p == NULL ||
        sscanf(
            p + 1,
            " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %*u %*d %*u "
            "%*u %*u %llu",
            &utime, &stime, &began, &top) < 3)
        return false;
    *start = began;
    *stack = top;
    *used = utime + stime;
    return true;
}

/* GT4Py has no machine code of its own: what it built lies in, and is loaded from, one of these. */
static bool is_gt4py_place(const char *text) {
    static const char *const place[] = {"/.gt4py_cache", "/gt4py_session_", "/.gt_cache"};
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        if (strstr(text, place[i]) != NULL)
            return true;
    }
    return false;
}

/* Numba's dispatcher, LLVM as llvmlite brings it, or what GT4Py built. */
static bool has_compiler(const char *maps) {
    if (strstr(maps, "libllvmlite") != NULL || is_gt4py_place(maps))
        return true;
    for (const char *p = maps; (p = strstr(p, "/_dispatcher.cpython")) != NULL; p++) {
        if (p - maps >= 6 && memcmp(p - 6, "/numba", 6) == 0)
            return true;
    }
    return false;
}

static pid_t inner_pid(struct samples *s, pid_t pid) {
    if (read_proc(s, pid, "status") <= 0)
        return pid;
    const char *line = strstr(s->buffer, "\nNSpid:");
    long last = pid;
    if (line == NULL)
        return pid;
    for (char *p = (char *)(uintptr_t)line + 7, *end; *p != '\n' && *p != '\0'; p = end) {
        long number = strtol(p, &end, 10);
        if (end == p)
            break;
        last = number;
    }
    return (pid_t)last;
}

static bool has_variable(const char *list, size_t n, const char *start) {
    for (size_t at = 0; at < n; at += strlen(list + at) + 1) {
        if (strncmp(list + at, start, strlen(start)) == 0)
            return true;
    }
    return false;
}

static enum sample_lack lack_of(const char *list, size_t n) {
    if (has_variable(list, n, "SAGGAR_MODE=off"))
        return LACK_MODE;
    return has_variable(list, n, "SAGGAR_TRAIL=") ? LACK_NOTHING : LACK_TRAIL;
}

static uint64_t program_of(struct samples *s, pid_t pid, char **name, enum sample_lack *lack) {
    ssize_t n = read_proc(s, pid, "cmdline");
    uint64_t parts[2] = {n > 0 ? sg_xxh64(s->buffer, (size_t)n) : 0, 0};
    while (n > 0 && s->buffer[n - 1] == '\0')
        n--;
    for (ssize_t i = 0; i < n; i++) {
        if (s->buffer[i] == '\0')
            s->buffer[i] = ' ';
    }
    *name = n > 0 ? out_format("%.*s", n < 4000 ? (int)n : 4000, s->buffer) : out_strdup("?");
    n = read_proc(s, pid, "environ");
    *lack = n >= 0 ? lack_of(s->buffer, (size_t)n) : LACK_NOTHING;
    parts[1] = n > 0 ? sg_xxh64(s->buffer, (size_t)n) : 0;
    return sg_xxh64(parts, sizeof parts);
}

static size_t find(const struct samples *s, pid_t pid, uint64_t start) {
    for (size_t i = s->n; i > 0; i--) {
        if (s->item[i - 1].pid == pid && s->item[i - 1].start == start)
            return i - 1;
    }
    return SIZE_MAX;
}

/* What the process is, unless it became another program since its maps were read: the next look sees that
 * one. */
static void note_compiler(struct samples *s, pid_t pid, size_t at) {
    enum sample_lack lack;
    char *name;
    uint64_t start, used, stack;
    uint64_t program = program_of(s, pid, &name, &lack);
    pid_t inner = inner_pid(s, pid);
    if (read_stat(s, pid, &start, &used, &stack) && stack != 0 && stack != s->item[at].stack) {
        s->item[at].used = UINT64_MAX;
        free(name);
        return;
    }
    s->item[at].compiler = true;
    s->item[at].program = program;
    s->item[at].lack = lack;
    s->item[at].name = name;
    s->item[at].inner = inner;
}

/* A compiler that works in a place of GT4Py's; with `shell`, also a shell, as starts one. */
static bool is_gt4py_build(struct samples *s, pid_t pid, bool shell) {
    static const char *const tool[] = {"sh\n",  "bash\n", "c++",   "g++",   "cc1plus",
                                       "clang", "ninja",  "cmake", "ccache"};
    char path[64], place[4096];
    bool known = false;
    ssize_t n = read_proc(s, pid, "comm");
    for (size_t i = shell ? 0 : 2; n > 0 && !known && i < sizeof tool / sizeof *tool; i++)
        known = strncmp(s->buffer, tool[i], strlen(tool[i])) == 0;
    if (!known)
        return false;
    n = read_proc(s, pid, "cmdline");
    for (ssize_t i = 0; i + 1 < n; i++) {
        if (s->buffer[i] == '\0')
            s->buffer[i] = ' ';
    }
    if (n > 0 && is_gt4py_place(s->buffer))
        return true;
    snprintf(path, sizeof path, "/proc/%ld/cwd", (long)pid);
    n = readlink(path, place, sizeof place - 1);
    place[n > 0 ? n : 0] = '\0';
    return is_gt4py_place(place);
}

/* Who compiles need not load what was made: the process that a build of GT4Py's belongs to uses the compiler
 * too. */
static void note_build(struct samples *s, pid_t pid, size_t parent) {
    if (parent == SIZE_MAX || !is_gt4py_build(s, pid, false))
        return;
    while (s->item[parent].parent != SIZE_MAX && is_gt4py_build(s, s->item[parent].pid, true))
        parent = s->item[parent].parent;
    if (!s->item[parent].compiler)
        note_compiler(s, s->item[parent].pid, parent);
}

static size_t look(struct samples *s, pid_t pid, size_t parent) {
    uint64_t start, used, stack, from = 0, now = sg_now_ns(CLOCK_REALTIME);
    if (!read_stat(s, pid, &start, &used, &stack))
        return SIZE_MAX;
    size_t at = find(s, pid, start);
    bool new = at == SIZE_MAX;
    if (!new &&stack != 0 && s->item[at].stack != 0 && s->item[at].stack != stack) { /* exec */
        from = s->item[at].seen;
        s->item[at].until = now;
        parent = s->item[at].parent;
        new = true;
    }
    if (new) {
        struct sample *p = out_grow(&s->item, &s->n, sizeof *p);
        *p = (struct sample){
            .pid = pid, .inner = pid, .start = start, .parent = parent, .from = from, .until = UINT64_MAX};
        at = s->n - 1;
    }
    s->item[at].seen = now;
    if (stack != 0)
        s->item[at].stack = stack;
    if (s->item[at].compiler || (!new && s->item[at].used == used))
        return at;
    s->item[at].used = used;
    if (new)
        note_build(s, pid, parent);
    if (read_proc(s, pid, "maps") > 0 && has_compiler(s->buffer))
        note_compiler(s, pid, at);
    return at;
}

/* Calls itself for the children of each thread. */
static void descend(struct samples *s, pid_t pid, size_t parent, int level) {
    char path[64], what[64];
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *dir = level < 64 ? opendir(path) : NULL;
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        snprintf(what, sizeof what, "task/%.20s/children", entry->d_name);
        if (read_proc(s, pid, what) <= 0)
            continue;
        char *list = out_strdup(s->buffer);
        for (char *p = list, *end; *p != '\0'; p = end) {
            long child = strtol(p, &end, 10);
            if (end == p)
                break;
            size_t at = look(s, (pid_t)child, parent);
            descend(s, (pid_t)child, at, level + 1);
        }
        free(list);
    }
    if (dir != NULL)
        closedir(dir);
}

void samples_look(struct samples *s) {
    descend(s, getpid(), SIZE_MAX, 0);
}

bool samples_left(pid_t *pid) {
    struct samples s = {0};
    descend(&s, getpid(), SIZE_MAX, 0);
    bool any = s.n > 0;
    *pid = any ? s.item[0].pid : 0;
    samples_free(&s);
    return any;
}

bool samples_is_fork(const struct samples *s, size_t i) {
    size_t parent = s->item[i].parent;
    return parent != SIZE_MAX && s->item[parent].compiler && s->item[parent].program == s->item[i].program &&
           s->item[parent].stack == s->item[i].stack;
}

void samples_free(struct samples *s) {
    for (size_t i = 0; i < s->n; i++)
        free(s->item[i].name);
    free(s->item);
    free(s->buffer);
    *s = (struct samples){0};
}
