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

/* Whether an adapter reported from this process. */
static bool reported(const struct cli_events *e, const struct sample *s) {
    for (size_t i = 0; i < e->processes; i++) {
        const struct cli_process *p = &e->process[i];
        if (p->start == s->start && (p->pid == (uint32_t)s->inner || p->pid == (uint32_t)s->pid))
            return true;
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

static void doubt_processes(struct verdict *v, const struct verify_facts *f) {
    for (size_t i = 0; i < f->samples->n; i++) {
        const struct sample *s = &f->samples->item[i];
        if (s->compiler && !covered(f, i))
            doubt(v,
                  out_format("process %ld used the compiler without the adapter: %s", (long)s->pid, s->name));
    }
    for (size_t i = 0; i < f->events->processes; i++) {
        const struct cli_process *p = &f->events->process[i];
        if (p->inactive != NULL)
            doubt(v, out_format("process %u: the adapter is off: %s", p->pid, p->inactive));
    }
}

static void doubt_trails(struct verdict *v, const struct verify_facts *f) {
    const struct cli_events *e = f->events;
    if (e->processes == 0 && e->files == 0)
        doubt(v, out_strdup(
                     "no process reported: none used a compiler with an active adapter; `saggar doctor` says "
                     "what is active"));
    if (e->lost > 0)
        doubt(v, out_format("a trail is incomplete: %llu events could not be recorded",
                            (unsigned long long)e->lost));
    if (e->torn > 0)
        doubt(v, out_format("a trail is incomplete: %zu files end in damaged bytes", e->torn));
    if (e->unreadable > 0)
        doubt(v, out_format("a trail is incomplete: %zu files cannot be read", e->unreadable));
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
