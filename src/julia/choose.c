/* See choose.h. */
#include "julia/choose.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 100000 };

struct build {
    uint64_t hi, lo;
};

struct need {
    size_t at;
    struct build build;
};

struct option {
    const struct sg_offer *offer;
    struct build build;
    struct need *need;
    size_t n;
    bool viable;
    const struct sg_ji_module *missing; /* why it is not */
};

struct choosing {
    struct sg_supply *s;
    struct option **of;
    size_t *order;
    struct build *pin;
    unsigned *pinned; /* how often */
    struct sg_choice *choice;
    size_t steps;
    bool lenient;
};

static bool same(struct build a, struct build b) {
    return a.hi == b.hi && a.lo == b.lo;
}

static size_t index_of(const struct sg_supply *s, const struct sg_julia_id *id) {
    for (size_t i = 0; i < s->n; i++) {
        if (sg_julia_id_is(&s->list[i].id, id))
            return i;
    }
    return s->n;
}

/* A package that the manifest does not have: whether its depots hold the build. */
static bool lies_in_depot(struct sg_world *w, const struct sg_ji_module *m) {
    const struct sg_listed *l = sg_candidates(w, &m->id);
    for (size_t i = 0; l != NULL && i < l->n; i++) {
        sg_judge(w, l->file[i], &m->id);
        if (l->file[i]->verdict == SG_FRESH && l->file[i]->ji.provides[0].build_hi == m->build_hi &&
            l->file[i]->ji.provides[0].build_lo == m->build_lo)
            return true;
    }
    return false;
}

static bool read_option(struct choosing *c, const struct sg_offer *offer, struct option *o) {
    const struct sg_ji *ji = &offer->file->ji;
    *o = (struct option){.offer = offer, .viable = true};
    o->build = (struct build){ji->provides[0].build_hi, ji->provides[0].build_lo};
    o->need = sg_arena_array(&c->s->w->arena, ji->n_required + 1, sizeof *o->need);
    if (o->need == NULL)
        return sg_world_fail(c->s->w, "no memory");
    for (size_t i = 0; i < ji->n_required && o->viable; i++) {
        const struct sg_ji_module *m = &ji->required[i];
        if (sg_is_loaded(c->s->w, m) > 0)
            continue;
        size_t at = index_of(c->s, &m->id);
        if (at < c->s->n)
            o->need[o->n++] = (struct need){at, {m->build_hi, m->build_lo}};
        else if (!lies_in_depot(c->s->w, m))
            o->viable = false;
        if (!o->viable)
            o->missing = m;
    }
    return true;
}

static bool has_build(const struct choosing *c, const struct need *need) {
    for (size_t i = 0; i < c->s->of[need->at].n; i++) {
        const struct option *o = &c->of[need->at][i];
        if (o->viable && same(o->build, need->build))
            return true;
    }
    return false;
}

static const struct sg_ji_module *module_of(const struct choosing *c, const struct option *o, size_t at) {
    const struct sg_ji *ji = &o->offer->file->ji;
    for (size_t i = 0; i < ji->n_required; i++) {
        if (sg_julia_id_is(&ji->required[i].id, &c->s->list[at].id))
            return &ji->required[i];
    }
    return NULL;
}

/* What lacks a build that nobody has goes, and then what lacks that. */
static void prune(struct choosing *c) {
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < c->s->n; i++) {
            for (size_t k = 0; k < c->s->of[i].n; k++) {
                struct option *o = &c->of[i][k];
                for (size_t j = 0; j < o->n && o->viable; j++) {
                    if (has_build(c, &o->need[j]))
                        continue;
                    o->viable = false;
                    o->missing = module_of(c, o, o->need[j].at);
                    again = true;
                }
            }
        }
    }
}

static size_t weight(const struct choosing *c, size_t i) {
    size_t most = 0;
    for (size_t k = 0; k < c->s->of[i].n; k++)
        most = c->of[i][k].n > most ? c->of[i][k].n : most;
    return most;
}

static bool set_up(struct choosing *c) {
    struct sg_arena *arena = &c->s->w->arena;
    size_t n = c->s->n;
    c->of = sg_arena_array(arena, n + 1, sizeof *c->of);
    c->order = sg_arena_array(arena, n + 1, sizeof *c->order);
    c->pin = sg_arena_array(arena, n + 1, sizeof *c->pin);
    c->pinned = sg_arena_array(arena, n + 1, sizeof *c->pinned);
    if (c->of == NULL || c->order == NULL || c->pin == NULL || c->pinned == NULL)
        return sg_world_fail(c->s->w, "no memory");
    for (size_t i = 0; i < n; i++) {
        c->of[i] = sg_arena_array(arena, c->s->of[i].n + 1, sizeof **c->of);
        for (size_t k = 0; k < c->s->of[i].n; k++) {
            if (c->of[i] == NULL || !read_option(c, &c->s->of[i].item[k], &c->of[i][k]))
                return sg_world_fail(c->s->w, "no memory");
        }
    }
    prune(c);
    for (size_t i = 0; i < n; i++) { /* what needs most first */
        size_t k = i, mine = weight(c, i);
        for (; k > 0 && weight(c, c->order[k - 1]) < mine; k--)
            c->order[k] = c->order[k - 1];
        c->order[k] = i;
    }
    return true;
}

static bool agrees(const struct choosing *c, size_t at, struct build build) {
    return c->pinned[at] == 0 || same(c->pin[at], build);
}

static bool fits(const struct choosing *c, size_t at, const struct option *o) {
    bool ok = o->viable && agrees(c, at, o->build);
    for (size_t i = 0; i < o->n && ok; i++)
        ok = agrees(c, o->need[i].at, o->need[i].build);
    return ok;
}

static void bind(struct choosing *c, size_t at, const struct option *o, bool on) {
    for (size_t i = 0; i <= o->n; i++) {
        size_t which = i < o->n ? o->need[i].at : at;
        c->pin[which] = i < o->n ? o->need[i].build : o->build;
        c->pinned[which] += on ? 1u : UINT32_MAX;
    }
}

static bool choose_from(struct choosing *c, size_t k) {
    if (k == c->s->n)
        return true;
    size_t at = c->order[k];
    bool any = false;
    for (size_t i = 0; i < c->s->of[at].n; i++) {
        const struct option *o = &c->of[at][i];
        any = any || o->viable;
        if (!fits(c, at, o))
            continue;
        if (!c->lenient && ++c->steps > STEPS)
            return false;
        bind(c, at, o, true);
        c->choice[at].offer = o->offer;
        if (choose_from(c, k + 1))
            return true;
        bind(c, at, o, false);
    }
    c->choice[at].offer = NULL;
    return (!any || c->lenient) && choose_from(c, k + 1);
}

static void explain(struct choosing *c, size_t at) {
    const struct sg_package *p = &c->s->list[at];
    const struct sg_offers *of = &c->s->of[at];
    struct sg_choice *choice = &c->choice[at];
    choice->reason = choice->detail = "";
    if (choice->offer != NULL)
        return;
    if (of->n > 0) {
        const struct option *o = &c->of[at][0];
        choice->reason = "missing from the cache";
        choice->detail =
            o->missing != NULL
                ? sg_arena_format(&c->s->w->arena, "no cache file has the build of %s that it needs",
                                  o->missing->id.name)
                : "no choice of files for the others agrees with its own";
    } else if (of->reason[0] != '\0') {
        choice->reason = of->reason;
        choice->detail = of->detail;
    } else {
        choice->reason = p->reason[0] != '\0' ? p->reason : "no cache file";
        choice->detail = p->detail;
    }
}

bool sg_choose(struct sg_supply *s, struct sg_choice *choice) {
    struct choosing c = {.s = s, .choice = choice};
    if (!set_up(&c))
        return false;
    if (!choose_from(&c, 0)) {
        memset(c.pinned, 0, s->n * sizeof *c.pinned);
        c.lenient = true;
        choose_from(&c, 0);
    }
    for (size_t i = 0; i < s->n; i++)
        explain(&c, i);
    return !s->w->arena.failed || sg_world_fail(s->w, "no memory");
}

const struct sg_package *sg_inconsistent(const struct sg_package *list, size_t n,
                                         const struct sg_package **other) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; list[i].wanted && list[i].fresh && k < list[i].file->ji.n_required; k++) {
            const struct sg_ji_module *m = &list[i].file->ji.required[k];
            for (size_t j = 0; j < n; j++) {
                const struct sg_package *p = &list[j];
                if (!p->wanted || !p->fresh || !sg_julia_id_is(&p->id, &m->id))
                    continue;
                *other = p;
                if (p->file->ji.provides[0].build_hi != m->build_hi ||
                    p->file->ji.provides[0].build_lo != m->build_lo)
                    return &list[i];
            }
        }
    }
    return NULL;
}
