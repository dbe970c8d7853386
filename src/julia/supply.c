/* Where offers come from; see supply.h. What a held file would record here is decided in adapt.c. */
#include "julia/supply.h"

#include <stdlib.h>
#include <string.h>

#include "julia/adapt.h"
#include "julia/targets.h"

/* ---- Offers ---- */

static bool offer(struct sg_supply *s, size_t at, struct sg_file *file, const struct sg_held *held) {
    struct sg_offers *of = &s->of[at];
    int rank = sg_julia_cpu_rank(s->w->info.minor, &s->w->info.cpu, &file->ji);
    if (rank < 0) {
        of->reason = of->reason[0] != '\0' ? of->reason : "target mismatch";
        return true;
    }
    struct sg_offer *grown = sg_arena_more(&s->w->arena, of->item, of->n, sizeof *grown);
    if (grown == NULL)
        return sg_world_fail(s->w, "no memory");
    of->item = grown;
    size_t k = of->n++;
    for (; k > 0 && grown[k - 1].rank < rank; k--)
        grown[k] = grown[k - 1];
    grown[k] = (struct sg_offer){file, held, rank};
    return true;
}

bool sg_supply_make(struct sg_world *w, const struct sg_package *list, size_t n, struct sg_supply *s) {
    *s = (struct sg_supply){.w = w, .list = list, .n = n};
    s->of = sg_arena_array(&w->arena, n + 1, sizeof *s->of);
    if (s->of == NULL)
        return sg_world_fail(w, "no memory");
    for (size_t i = 0; i < n; i++)
        s->of[i].reason = s->of[i].detail = "";
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; list[i].files != NULL && list[i].wanted && k < list[i].files->n; k++) {
            if (list[i].files->file[k]->verdict == SG_FRESH && !offer(s, i, list[i].files->file[k], NULL))
                return false;
        }
    }
    return sg_graph_make(w, list, n, &s->graph);
}

/* ---- Entries ---- */

static void no_fault(void *context, saggar_reason reason, const char *detail) {
    struct sg_supply *s = context;
    (void)reason;
    (void)detail;
    s->faults++;
}

struct lookup {
    struct sg_supply *s;
    size_t at;
    struct sg_tier *tier;
    const uint8_t *key;
    const struct sg_candidate *candidate;
};

/* The .ji, copied. */
static int read_ji(const struct lookup *l, struct sg_held *held, size_t *n) {
    struct sg_section section;
    const uint8_t *data;
    uint8_t *owned = NULL;
    int err = sg_entry_find(&l->candidate->view, SG_SECTION_PART, SG_JULIA_PART, &section);
    if (err == SAGGAR_OK)
        err = sg_entry_bytes(&l->candidate->view, &section, SG_FAST, &data, n, &owned);
    if (err != SAGGAR_OK)
        return err;
    held->bytes = (const unsigned char *)sg_arena_text(&l->s->w->arena, data, *n);
    free(owned);
    return l->s->w->arena.failed ? SAGGAR_ENOMEM : SAGGAR_OK;
}

static bool is_known(const struct sg_offers *of, const uint8_t *identity) {
    for (size_t i = 0; i < of->n; i++) {
        if (of->item[i].held != NULL && memcmp(of->item[i].held->identity, identity, 32) == 0)
            return true;
    }
    return false;
}

static void refused(struct sg_offers *of, const char *reason, const char *detail) {
    if (of->reason[0] == '\0') {
        of->reason = reason;
        of->detail = detail;
    }
}

static bool take(const struct lookup *l) {
    struct sg_world *w = l->s->w;
    struct sg_offers *of = &l->s->of[l->at];
    size_t n;
    if (is_known(of, l->candidate->view.identity))
        return true;
    struct sg_held *held = sg_arena_alloc(&w->arena, sizeof *held);
    struct sg_file *file = sg_arena_alloc(&w->arena, sizeof *file);
    if (held == NULL || file == NULL)
        return sg_world_fail(w, "no memory");
    held->tier = l->tier;
    memcpy(held->key, l->key, SAGGAR_KEY_SIZE);
    memcpy(held->identity, l->candidate->view.identity, sizeof held->identity);
    of->n_entries++;
    int err = read_ji(l, held, &n);
    if (err == SAGGAR_ENOMEM || !sg_ji_read(&w->arena, held->bytes, err == SAGGAR_OK ? n : 0, &held->ji))
        return sg_world_fail(w, "no memory");
    if (err != SAGGAR_OK || !sg_ji_crc_holds(&held->ji, held->bytes)) {
        l->s->faults++;
        refused(of, "corrupt", "the entry is damaged");
        return true;
    }
    if (!sg_adapt(l->s, l->at, held, &l->candidate->view, file))
        return false;
    if (file->verdict == SG_FRESH)
        return offer(l->s, l->at, file, held);
    refused(of, file->reason, file->detail);
    return true;
}

static bool look(struct sg_supply *s, size_t at, struct sg_tier *tier, const uint8_t *key) {
    struct sg_candidate found[SAGGAR_MAX_SLOTS];
    unsigned n = 0;
    bool ok = true;
    if (tier->ops->find(tier, key, found, &n, no_fault, s) != SAGGAR_OK) {
        s->faults++;
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct lookup l = {s, at, tier, key, &found[i]};
        ok = ok && take(&l);
        tier->ops->release(&found[i]);
    }
    return ok;
}

bool sg_supply_add(struct sg_supply *s, const struct sg_stack *stack, size_t first, size_t last) {
    for (size_t i = first; i < last; i++) {
        uint8_t key[SAGGAR_KEY_SIZE];
        saggar_recipe *recipe;
        if (!s->list[i].wanted || s->list[i].source == NULL)
            continue;
        int err = sg_julia_recipe(s->w, &s->graph, i, &recipe, key);
        if (err != SAGGAR_OK)
            return sg_world_fail(s->w, "%s: %s", s->list[i].id.name, saggar_strerror(err));
        saggar_recipe_free(recipe);
        for (unsigned k = 0; k < stack->n; k++) {
            struct sg_tier *tier = stack->slots[k].tier;
            if (tier != NULL && tier->active && !look(s, i, tier, key))
                return false;
        }
    }
    return true;
}

/* ---- Their bytes ---- */

static int part(const struct sg_entry_view *view, const char *name, const uint8_t **data, size_t *n,
                uint8_t **owned) {
    struct sg_section section;
    *data = NULL;
    *n = 0;
    *owned = NULL;
    int err = sg_entry_find(view, SG_SECTION_PART, name, &section);
    return err == SAGGAR_OK ? sg_entry_bytes(view, &section, SG_FAST, data, n, owned) : err;
}

int sg_held_parts(const struct sg_held *held,
                  int (*each)(void *context, const uint8_t *ji, size_t ji_size, const uint8_t *so,
                              size_t so_size),
                  void *context) {
    struct sg_candidate found[SAGGAR_MAX_SLOTS];
    struct sg_supply unused = {0};
    unsigned n = 0;
    int err = held->tier->ops->find(held->tier, held->key, found, &n, no_fault, &unused),
        result = SAGGAR_ENOTFOUND;
    for (unsigned i = 0; i < n && err == SAGGAR_OK; i++) {
        const uint8_t *ji, *so = NULL;
        uint8_t *ji_owned = NULL, *so_owned = NULL;
        size_t ji_size = 0, so_size = 0;
        if (result == SAGGAR_ENOTFOUND && memcmp(found[i].view.identity, held->identity, 32) == 0) {
            result = part(&found[i].view, SG_JULIA_PART, &ji, &ji_size, &ji_owned);
            if (result == SAGGAR_OK && held->ji.native)
                result = part(&found[i].view, SG_JULIA_CODE, &so, &so_size, &so_owned);
            if (result == SAGGAR_OK && held->ji.native && sg_julia_crc(0, so, so_size) != held->ji.so_crc)
                result = SAGGAR_ECORRUPT;
            if (result == SAGGAR_OK)
                result = each(context, ji, ji_size, so, so_size);
            else if (result == SAGGAR_ENOTFOUND)
                result = SAGGAR_ECORRUPT;
        }
        free(ji_owned);
        free(so_owned);
        held->tier->ops->release(&found[i]);
    }
    return err != SAGGAR_OK ? err : result;
}
