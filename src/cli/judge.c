/* What was compiled, and whether that is all; see verify.h. */
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "cli/proc.h"
#include "cli/verify.h"

static enum verify_kind kind_of(const struct cli_compiled *c) {
    if ((c->flags & SAGGAR_FLAG_CACHEABLE) == 0)
        return KIND_UNMARKED;
    return c->reason == SAGGAR_REASON_UNCACHEABLE ? KIND_UNCACHEABLE : KIND_CACHEABLE;
}

/* What ran inside another of its kind, or inside one that can be cached, is counted there. */
static bool is_own(const struct cli_events *e, const struct cli_compiled *c) {
    if (c->root == SIZE_MAX)
        return true;
    return kind_of(c) != KIND_UNMARKED && kind_of(&e->compiled[c->root]) == KIND_UNMARKED;
}

static struct verify_row *row_of(struct verdict *v, const struct cli_compiled *c) {
    for (size_t i = 0; i < v->rows; i++) {
        struct verify_row *r = &v->row[i];
        if (r->kind == kind_of(c) && r->first->reason == c->reason &&
            strcmp(r->first->group, c->group) == 0 && strcmp(r->first->signature, c->signature) == 0)
            return r;
    }
    struct verify_row *r = out_grow(&v->row, &v->rows, sizeof *r);
    *r = (struct verify_row){.kind = kind_of(c), .first = c};
    return r;
}

static void count(struct verdict *v, const struct cli_events *e) {
    for (size_t i = 0; i < e->compilations; i++) {
        const struct cli_compiled *c = &e->compiled[i];
        v->compiled[kind_of(c)]++;
        if (!is_own(e, c))
            continue;
        struct verify_row *r = row_of(v, c);
        r->processes += r->times == 0 || r->last != c->process; /* those of one process stand together */
        r->last = c->process;
        r->times++;
        r->nested += c->nested;
    }
}

static void doubt(struct verdict *v, char *text) {
    char **slot = out_grow(&v->doubt, &v->doubts, sizeof *v->doubt);
    *slot = text;
}

/*
 * Whether an adapter reported from this program. A trail that only says that the import of a compiler began
 * is a report too: the adapter says more before that import gives the compiler to anybody, so where nothing
 * follows (the process was killed meanwhile, or became another program) nothing can have been compiled.
 */
static bool reported(const struct cli_events *e, const struct sample *s) {
    for (size_t i = 0; i < e->processes; i++) {
        const struct cli_process *p = &e->process[i];
        if (p->start != s->start || (p->pid != (uint32_t)s->inner && p->pid != (uint32_t)s->pid))
            continue;
        for (size_t k = 0; k < p->n_files; k++) {
            if (p->files[k] >= s->from && p->files[k] <= s->until)
                return true;
        }
    }
    return false;
}

static bool covered(const struct verify_facts *f, size_t i) {
    for (int level = 0; level < 64; level++) {
        if (reported(f->events, &f->samples->item[i]))
            return true;
        if (!samples_is_fork(f->samples, i))
            return false;
        i = f->samples->item[i].parent;
    }
    return false;
}

static bool is_silent(const struct verify_facts *f, size_t i) {
    return f->samples->item[i].compiler && !covered(f, i);
}

static void doubt_processes(struct verdict *v, const struct verify_facts *f) {
    static const char *const how[] = {
        [LACK_NOTHING] = "used the compiler without the adapter",
        [LACK_TRAIL] =
            "used the compiler and could not report: its environment was cleared, SAGGAR_TRAIL is not in it",
        [LACK_MODE] = "used the compiler with SAGGAR_MODE=off"};
    for (size_t i = 0; i < f->samples->n; i++) {
        const struct sample *s = &f->samples->item[i];
        if (is_silent(f, i) && !samples_is_fork(f->samples, i)) /* its parent stands for it */
            doubt(v, out_format("process %ld %s: %s", (long)s->pid, how[s->lack], s->name));
    }
    for (size_t i = 0; i < f->events->processes; i++) {
        const struct cli_process *p = &f->events->process[i];
        if (p->inactive != NULL)
            doubt(v, out_format("process %u: the adapter is off: %s", p->pid, p->inactive));
        if (p->importing && p->closed)
            doubt(v, out_format(
                         "process %u began to import a compiler, went on to its end, and did not report: %s",
                         p->pid, p->name));
    }
}

/* A process that was silent is named by itself. */
static void doubt_silence(struct verdict *v, const struct verify_facts *f) {
    const struct cli_events *e = f->events;
    bool any = e->unreadable > 0;
    for (size_t i = 0; i < f->samples->n && !any; i++)
        any = is_silent(f, i);
    for (size_t i = 0; i < e->processes && !any; i++)
        any = !e->process[i].importing;
    if (!any)
        doubt(v, out_format("no process reported: %s; `saggar doctor` says what is active",
                            e->processes > 0 ? "none got to the end of importing a compiler"
                                             : "none used a compiler with an active adapter"));
}

static void doubt_trails(struct verdict *v, const struct verify_facts *f) {
    const struct cli_events *e = f->events;
    doubt_silence(v, f);
    if (e->lost > 0) {
        char *events = out_count(e->lost, "event", "events");
        doubt(v, out_format("a trail is incomplete: %s could not be recorded%s%s", events,
                            f->trouble ? ": " : "", f->trouble ? f->trouble : ""));
        free(events);
    }
    if (e->torn > 0)
        doubt(v, out_format("a trail is incomplete: %zu %s in damaged bytes", e->torn,
                            e->torn == 1 ? "file ends" : "files end"));
    if (e->unreadable > 0)
        doubt(v,
              out_format("a trail is incomplete: %zu %s%s%s", e->unreadable,
                         e->unreadable == 1 ? "file was not written whole" : "files were not written whole",
                         f->trouble ? ": " : "", f->trouble ? f->trouble : ""));
    if (f->left != 0)
        doubt(v, out_format("process %ld was still running when the command had ended", (long)f->left));
}

void verify_judge(const struct verify_facts *f, struct verdict *v) {
    *v = (struct verdict){0};
    count(v, f->events);
    doubt_trails(v, f);
    doubt_processes(v, f);
    if (f->status != 0)
        v->status = VERIFY_FAILED;
    else if (v->compiled[KIND_CACHEABLE] + v->compiled[KIND_UNCACHEABLE] > 0)
        v->status = VERIFY_COMPILED;
    else if (v->doubts > 0)
        v->status = VERIFY_NO_PROOF;
    else if (v->compiled[KIND_UNMARKED] > 0)
        v->status = f->allow_uncached ? VERIFY_NOTHING : VERIFY_UNMARKED;
    else
        v->status = VERIFY_NOTHING;
}

void verify_free(struct verdict *v) {
    for (size_t i = 0; i < v->doubts; i++)
        free(v->doubt[i]);
    free(v->doubt);
    free(v->row);
    *v = (struct verdict){0};
}
