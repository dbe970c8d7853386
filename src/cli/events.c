/* Trails in memory; see events.h. */
#include "cli/events.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/out.h"

enum { LEVELS = 4 };

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int no_dots(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int read_level(const char *dir, const struct sg_trail_visitor *visitor, int level) {
    int result = sg_trail_read(dir, visitor);
    struct dirent **names = NULL;
    struct stat st;
    int n = result != 0 || level == LEVELS ? 0 : scandir(dir, &names, no_dots, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = out_format("%s/%s", dir, names[i]->d_name);
        if (result == 0 && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            result = read_level(path, visitor, level + 1);
        free(path);
        free(names[i]);
    }
    free(names);
    return result;
}

int cli_trails_read(const char *dir, const struct sg_trail_visitor *visitor) {
    return read_level(dir, visitor, 1);
}

/* The command line with blanks between its words. */
static char *process_name(const struct sg_trail_process *p) {
    if (p->argv_size == 0)
        return out_strdup(p->exe);
    char *text = out_alloc(p->argv_size + 1);
    memcpy(text, p->argv, p->argv_size);
    size_t n = p->argv_size;
    while (n > 0 && text[n - 1] == '\0')
        n--;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\0')
            text[i] = ' ';
    }
    return text;
}

/* The files of a process come one after another. */
static size_t process_of(struct cli_events *e, const struct sg_trail_process *p) {
    if (e->processes > 0) {
        struct cli_process *last = &e->process[e->processes - 1];
        if (last->pid == p->pid && last->start == p->start)
            return e->processes - 1;
    }
    struct cli_process *new = out_grow(&e->process, &e->processes, sizeof *new);
    *new = (struct cli_process){.pid = p->pid,
                                .ppid = p->ppid,
                                .origin = p->origin,
                                .start = p->start,
                                .opened = p->opened,
                                .name = process_name(p)};
    return e->processes - 1;
}

static bool skipped(const struct cli_events *e, const struct sg_trail_process *p) {
    return e->n_skip > 0 && bsearch(&p->file, e->skip, e->n_skip, sizeof *e->skip, by_text) != NULL;
}

static int on_file(void *context, int error, const struct sg_trail_process *process) {
    struct cli_events *e = context;
    if (skipped(e, process))
        return 0;
    e->files++;
    if (error != SAGGAR_OK) {
        e->unreadable++;
        return 0;
    }
    e->lost += process->lost;
    size_t at = process_of(e, process); /* may move them */
    struct cli_process *p = &e->process[at];
    uint64_t *opened = out_grow(&p->files, &p->n_files, sizeof *p->files);
    *opened = process->opened;
    p->closed = process->state == SG_TRAIL_CLOSED;
    return 0;
}

static bool is_start(const struct sg_trail_record *r) {
    return r->event == SAGGAR_EVENT_ADAPTER && (r->flags & SAGGAR_FLAG_STARTING) != 0;
}

static void note_adapter(struct cli_process *p, const struct sg_trail_record *r) {
    if (is_start(r))
        return;
    if ((r->flags & SAGGAR_FLAG_ACTIVE) != 0) {
        p->active = true;
        char *more = p->adapters == NULL ? out_strdup(r->group) : out_format("%s, %s", p->adapters, r->group);
        free(p->adapters);
        p->adapters = more;
    } else {
        free(p->inactive);
        p->inactive = out_format("%s%s%s", r->group, r->detail[0] != '\0' ? ": " : "", r->detail);
    }
}

static struct cli_miss *add_miss(struct cli_events *e, size_t process, const struct sg_trail_record *r) {
    struct cli_miss *m = out_grow(&e->miss, &e->misses, sizeof *m);
    *m = (struct cli_miss){.process = process,
                           .event = r->event,
                           .group = out_strdup(r->group),
                           .detail = out_strdup(r->detail),
                           .has_key = r->key != NULL,
                           .flags = r->flags,
                           .reason = r->reason,
                           .time = r->time};
    if (r->key != NULL)
        memcpy(m->key, r->key, SAGGAR_KEY_SIZE);
    if (e->want_misses && r->blob != NULL && r->event == SAGGAR_EVENT_MISS) {
        m->recipe = out_alloc(r->blob_size);
        memcpy(m->recipe, r->blob, r->blob_size);
        m->recipe_size = r->blob_size;
    }
    return m;
}

/* By the key where both have one; Numba's own events about compilations have none. */
static bool same(bool has_key, const uint8_t *key, const char *group, const struct sg_trail_record *r) {
    return has_key && r->key != NULL ? memcmp(key, r->key, SAGGAR_KEY_SIZE) == 0
                                     : strcmp(group, r->group) == 0;
}

static const char *last_name(const char *group) {
    const char *colon = strrchr(group, ':');
    return colon != NULL ? colon + 1 : group;
}

/* The last miss of the same function in the process; else of one of that name, since a module has two names
 * where it is the main one of a spawned process. */
static const struct cli_miss *miss_of(const struct cli_events *e, size_t process,
                                      const struct sg_trail_record *r) {
    const struct cli_miss *alike = NULL;
    for (size_t i = e->misses; i > 0; i--) {
        const struct cli_miss *m = &e->miss[i - 1];
        if (m->process != process)
            break;
        if (m->event != SAGGAR_EVENT_MISS)
            continue;
        if (same(m->has_key, m->key, m->group, r))
            return m;
        if (alike == NULL && strcmp(last_name(m->group), last_name(r->group)) == 0)
            alike = m;
    }
    return (r->flags & SAGGAR_FLAG_CACHEABLE) != 0 ? alike : NULL;
}

static void add_compiled(struct cli_events *e, size_t process, const struct sg_trail_record *r) {
    struct cli_compiled *c = out_grow(&e->compiled, &e->compilations, sizeof *c);
    *c = (struct cli_compiled){.process = process,
                               .group = out_strdup(r->group),
                               .has_key = r->key != NULL,
                               .flags = r->flags,
                               .reason = r->reason,
                               .seconds = (double)r->value / 1e9};
    if (r->key != NULL)
        memcpy(c->key, r->key, SAGGAR_KEY_SIZE);
    c->signature = out_strdup(r->detail);
    c->root = SIZE_MAX;
    const struct cli_miss *m = c->reason == SAGGAR_REASON_NONE ? miss_of(e, process, r) : NULL;
    const char *detail = m != NULL && strcmp(m->detail, r->detail) != 0 ? m->detail : "";
    if (m != NULL)
        c->reason = m->reason;
    if (c->reason == SAGGAR_REASON_NONE && (c->flags & SAGGAR_FLAG_CACHEABLE) == 0)
        c->reason = SAGGAR_REASON_NOT_MARKED;
    c->detail = out_strdup(detail);
    if ((c->flags & SAGGAR_FLAG_NESTED) != 0)
        return;
    /* What ran inside it ended before it: the nested ones since the last that was not. */
    for (size_t i = e->compilations - 1; i > 0; i--) {
        struct cli_compiled *inner = &e->compiled[i - 1];
        if (inner->process != process || (inner->flags & SAGGAR_FLAG_NESTED) == 0)
            break;
        inner->root = e->compilations - 1;
        c->nested++;
    }
}

/* Why a function can never be stored says more than that there was no entry. */
static void add_not_stored(struct cli_events *e, size_t process, const struct sg_trail_record *r) {
    for (size_t i = e->compilations; i > 0; i--) {
        struct cli_compiled *c = &e->compiled[i - 1];
        if (c->process != process)
            return;
        if (!same(c->has_key, c->key, c->group, r))
            continue;
        if (r->reason == SAGGAR_REASON_UNCACHEABLE || c->reason == SAGGAR_REASON_NONE) {
            c->reason = r->reason;
            free(c->detail);
            c->detail = out_strdup(r->detail);
        }
        return;
    }
}

/* A path as the file system has it: Python writes a byte that is not UTF-8 as \udcXX. */
static char *path_bytes(const char *text) {
    char *path = out_strdup(text), *to = path;
    for (const char *p = text; *p != '\0';) {
        unsigned byte;
        if (strncmp(p, "\\udc", 4) == 0 && sscanf(p + 4, "%2x", &byte) == 1 && byte >= 0x80) {
            *to++ = (char)byte;
            p += 6;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
    return path;
}

static void add_served(struct cli_events *e, const char *text) {
    char *tier = path_bytes(text);
    for (size_t i = 0; i < e->tiers; i++) {
        if (strcmp(e->served[i].tier, tier) == 0) {
            e->served[i].hits++;
            free(tier);
            return;
        }
    }
    struct cli_served *served = out_grow(&e->served, &e->tiers, sizeof *served);
    *served = (struct cli_served){tier, 1};
}

static int on_event(void *context, const struct sg_trail_process *process, const struct sg_trail_record *r) {
    struct cli_events *e = context;
    if (skipped(e, process))
        return 0;
    size_t at = process_of(e, process);
    if ((unsigned)r->event < 16)
        e->counts[r->event]++;
    e->process[at].importing = is_start(r) && (e->process[at].events == 0 || e->process[at].importing);
    e->process[at].events++;
    switch (r->event) {
    case SAGGAR_EVENT_ADAPTER:
        note_adapter(&e->process[at], r);
        break;
    case SAGGAR_EVENT_HIT:
        add_served(e, r->detail);
        break;
    case SAGGAR_EVENT_MISS:
    case SAGGAR_EVENT_FAULT:
        add_miss(e, at, r);
        break;
    case SAGGAR_EVENT_NOT_STORED:
        add_miss(e, at, r);
        add_not_stored(e, at, r);
        break;
    case SAGGAR_EVENT_COMPILED:
        add_compiled(e, at, r);
        break;
    default:
        break;
    }
    return 0;
}

static int on_end(void *context, const struct sg_trail_process *process, bool torn) {
    struct cli_events *e = context;
    e->torn += torn && !skipped(e, process);
    return 0;
}

int cli_events_load(const char *dir, struct cli_events *events) {
    struct sg_trail_visitor visitor = {events, on_file, on_event, on_end};
    return cli_trails_read(dir, &visitor);
}

static int on_log(void *context, const struct sg_trail_record *r) {
    add_miss(context, SIZE_MAX, r);
    return 0;
}

int cli_events_load_log(const char *path, struct cli_events *events) {
    uint64_t skipped_bytes;
    return sg_trail_read_log(path, on_log, events, &skipped_bytes);
}

void cli_events_free(struct cli_events *e) {
    for (size_t i = 0; i < e->processes; i++) {
        free(e->process[i].inactive);
        free(e->process[i].adapters);
        free(e->process[i].name);
        free(e->process[i].files);
    }
    for (size_t i = 0; i < e->compilations; i++) {
        free(e->compiled[i].group);
        free(e->compiled[i].signature);
        free(e->compiled[i].detail);
    }
    for (size_t i = 0; i < e->misses; i++) {
        free(e->miss[i].group);
        free(e->miss[i].detail);
        free(e->miss[i].recipe);
    }
    for (size_t i = 0; i < e->tiers; i++)
        free(e->served[i].tier);
    free(e->served);
    free(e->process);
    free(e->compiled);
    free(e->miss);
    *e = (struct cli_events){0};
}

struct names {
    const char **item;
    size_t n;
};

static int on_name(void *context, int error, const struct sg_trail_process *process) {
    struct names *names = context;
    (void)error;
    const char **slot = out_grow(&names->item, &names->n, sizeof *names->item);
    *slot = out_strdup(process->file);
    return 0;
}

const char **cli_trail_names(const char *dir, size_t *n) {
    struct names names = {NULL, 0};
    struct sg_trail_visitor visitor = {&names, on_name, NULL, NULL};
    cli_trails_read(dir, &visitor);
    if (names.n > 1)
        qsort(names.item, names.n, sizeof *names.item, by_text);
    *n = names.n;
    return names.item;
}
