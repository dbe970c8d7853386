/* See julia_share.h. The project is read anew each time: the command may change it. */
#include "cli/julia_share.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { ROUNDS = 10000, MS = 1000000 };

/* One look at the project. */
struct look {
    struct sg_world world;
    struct sg_package *list;
    size_t n;
    struct sg_supply supply;
};

static int look_open(const struct share *s, struct look *l) {
    *l = (struct look){0};
    int status = julia_open(s->options, s->project, &l->world, &l->list, &l->n);
    if (status == 0 && !sg_supply_make(&l->world, l->list, l->n, &l->supply))
        status = cli_fail("%s", l->world.error);
    l->supply.relocate = s->relocate;
    return status;
}

static void record(saggar_event event, struct look *l, size_t at, saggar_reason reason, const char *detail) {
    uint8_t key[SAGGAR_KEY_SIZE];
    const uint8_t *bytes = NULL;
    size_t n = 0;
    saggar_recipe *recipe = NULL;
    saggar_trail_event e = {.event = event,
                            .flags = SAGGAR_FLAG_USED | SAGGAR_FLAG_CACHEABLE,
                            .reason = reason,
                            .group = sg_julia_group(&l->world, &l->list[at].id),
                            .detail = detail};
    if (sg_julia_recipe(&l->world, &l->supply.graph, at, &recipe, key) == SAGGAR_OK) {
        e.key = key;
        if (event == SAGGAR_EVENT_MISS && saggar_recipe_finish(recipe, key, &bytes, &n) == SAGGAR_OK) {
            e.blob = bytes;
            e.blob_size = n;
        }
    }
    saggar_trail_record(&e);
    saggar_recipe_free(recipe);
}

/* ---- Restoring, and waiting for others ---- */

static void note_restored(struct share *s, const struct sg_restored *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (list[i].path == NULL)
            continue;
        struct share_restored *r = out_grow(&s->restored, &s->n_restored, sizeof *r);
        *r = (struct share_restored){out_strdup(list[i].path),
                                     out_strdup(list[i].choice.offer->held->tier->path)};
    }
}

static int restore(struct share *s) {
    const struct sg_restore_options o = {0};
    struct look l;
    int status = look_open(s, &l);
    struct sg_restored *list = status == 0 ? out_alloc((l.n + 1) * sizeof *list) : NULL;
    if (status == 0 &&
        (!sg_supply_add(&l.supply, &s->cache->stack, 0, l.n) || !sg_restore(&l.supply, &o, list)))
        status = cli_fail("%s", l.world.error);
    if (status == 0)
        note_restored(s, list, l.n);
    free(list);
    sg_world_free(&l.world);
    return status;
}

static int by_key(const void *a, const void *b) {
    return memcmp(((const struct share_claim *)a)->key, ((const struct share_claim *)b)->key,
                  SAGGAR_KEY_SIZE);
}

static struct share_claim *claim_of(struct share *s, const uint8_t *key) {
    for (size_t i = 0; i < s->claims; i++) {
        if (memcmp(s->claim[i].key, key, SAGGAR_KEY_SIZE) == 0)
            return &s->claim[i];
    }
    return NULL;
}

static bool key_of(struct look *l, size_t at, uint8_t key[SAGGAR_KEY_SIZE]) {
    saggar_recipe *recipe;
    if (sg_julia_recipe(&l->world, &l->supply.graph, at, &recipe, key) != SAGGAR_OK)
        return false;
    saggar_recipe_free(recipe);
    return true;
}

static void give_back(struct share *s, const uint8_t *key) {
    struct share_claim *c = claim_of(s, key);
    if (c == NULL)
        return;
    saggar_claim_release(c->claim);
    c->claim = NULL;
}

/* The keys of what is missing, in the one order in which everybody claims. */
static int list_missing(struct share *s, struct share_claim **out, size_t *n) {
    struct look l;
    int status = look_open(s, &l);
    *out = NULL;
    *n = 0;
    for (size_t i = 0; status == 0 && i < l.n; i++) {
        uint8_t key[SAGGAR_KEY_SIZE];
        if (!l.list[i].wanted || l.list[i].source == NULL || !key_of(&l, i, key))
            continue;
        if (l.list[i].fresh) {
            give_back(s, key);
        } else if (claim_of(s, key) == NULL) {
            struct share_claim *c = out_grow(out, n, sizeof *c);
            memcpy(c->key, key, sizeof key);
        }
    }
    if (*n > 1)
        qsort(*out, *n, sizeof **out, by_key);
    sg_world_free(&l.world);
    return status;
}

/* Claims what is missing; *again: somebody else was at work and is done, so look once more. */
static int claim_missing(struct share *s, uint64_t deadline, bool *again) {
    struct share_claim *missing;
    size_t n;
    int status = list_missing(s, &missing, &n);
    *again = false;
    for (size_t i = 0; status == 0 && i < n; i++) {
        uint64_t now = sg_now_ns(CLOCK_MONOTONIC);
        int64_t left = now < deadline ? (int64_t)((deadline - now) / MS) : 0;
        saggar_claim_outcome outcome = SAGGAR_CLAIM_NONE;
        saggar_claim *claim = NULL;
        if (saggar_cache_claim(s->cache, missing[i].key, left, &claim, &outcome) != SAGGAR_OK)
            continue;
        struct share_claim *c = out_grow(&s->claim, &s->claims, sizeof *c);
        memcpy(c->key, missing[i].key, sizeof c->key);
        c->claim = claim;
        *again = outcome == SAGGAR_CLAIM_FREED;
        if (*again) /* others wait for this one too: take what is there and give it back first */
            break;
    }
    free(missing);
    return status;
}

int share_begin(struct share *s) {
    const saggar_trail_event active = {
        .event = SAGGAR_EVENT_ADAPTER, .flags = SAGGAR_FLAG_ACTIVE, .group = "julia"};
    uint64_t deadline = sg_now_ns(CLOCK_MONOTONIC) + (uint64_t)s->wait_ms * MS;
    struct look l;
    bool again = true;
    saggar_trail_record(&active);
    int status = restore(s);
    for (int round = 0; round < ROUNDS && status == 0 && again; round++) {
        status = claim_missing(s, deadline, &again);
        if (status == 0 && again)
            status = restore(s);
    }
    if (status == 0)
        status = look_open(s, &l);
    if (status != 0)
        return status;
    watch_begin(&s->watch, sg_project_real(&l.world, sg_arena_format(&l.world.arena, "%s/compiled/v%d.%d",
                                                                     l.world.depots[0], l.world.info.major,
                                                                     l.world.info.minor)));
    sg_world_free(&l.world);
    return 0;
}

/* ---- Keeping what is new ---- */

static const struct sg_file *file_of(struct look *l, const char *path, size_t *at) {
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; l->list[i].files != NULL && k < l->list[i].files->n; k++) {
            *at = i;
            if (strcmp(sg_project_real(&l->world, l->list[i].files->file[k]->path), path) == 0)
                return l->list[i].files->file[k];
        }
    }
    return NULL;
}

static int publish(struct share *s, struct look *l, size_t at, const struct sg_file *file) {
    saggar_draft *draft;
    int err = sg_julia_draft(&l->world, &l->supply.graph, at, file, &draft);
    if (err != SAGGAR_OK)
        return err;
    err = saggar_cache_publish(s->cache, draft, NULL);
    saggar_draft_free(draft);
    return err;
}

/* Compiled for something else than a package of the project. */
static void note_stranger(struct share *s, const char *path) {
    const saggar_trail_event e = {.event = SAGGAR_EVENT_COMPILED,
                                  .flags = SAGGAR_FLAG_USED | SAGGAR_FLAG_CACHEABLE,
                                  .reason = SAGGAR_REASON_UNCACHEABLE,
                                  .group = path,
                                  .detail = "not a package of the project"};
    saggar_trail_record(&e);
    s->compiled++;
    s->not_stored++;
}

static void keep(struct share *s, struct look *l, const struct watched *f) {
    uint8_t key[SAGGAR_KEY_SIZE];
    size_t at;
    const struct sg_file *file = file_of(l, f->path, &at);
    if (file == NULL || !l->list[at].wanted) {
        note_stranger(s, f->path);
        return;
    }
    record(SAGGAR_EVENT_MISS, l, at, SAGGAR_REASON_ABSENT, "");
    record(SAGGAR_EVENT_COMPILED, l, at, SAGGAR_REASON_NONE, "");
    s->compiled++;
    int err = file->verdict == SG_FRESH ? publish(s, l, at, file) : SAGGAR_EINVAL;
    if (err == SAGGAR_OK) {
        record(SAGGAR_EVENT_PUBLISHED, l, at, SAGGAR_REASON_NONE, "");
        s->stored++;
    } else {
        bool stale = file->verdict != SG_FRESH;
        record(SAGGAR_EVENT_NOT_STORED, l, at,
               stale ? SAGGAR_REASON_UNCACHEABLE : SAGGAR_REASON_PUBLISH_FAILED,
               stale ? file->reason : saggar_strerror(err));
        s->not_stored++;
    }
    if (key_of(l, at, key))
        give_back(s, key);
}

void share_look(struct share *s) {
    struct look l;
    if (!watch_look(&s->watch))
        return;
    if (look_open(s, &l) == 0) {
        for (size_t i = 0; i < s->watch.n; i++) {
            if (!s->watch.file[i].fresh || s->watch.file[i].done)
                continue;
            keep(s, &l, &s->watch.file[i]);
            s->watch.file[i].done = true;
        }
    }
    sg_world_free(&l.world);
}

/* ---- The end ---- */

static const char *served_by(const struct share *s, const char *path) {
    for (size_t i = 0; i < s->n_restored; i++) {
        if (strcmp(s->restored[i].path, path) == 0)
            return s->restored[i].tier;
    }
    return "depot";
}

static void doubt(const char *detail) {
    const saggar_trail_event e = {.event = SAGGAR_EVENT_ADAPTER, .group = "julia", .detail = detail};
    saggar_trail_record(&e);
}

/* Packages that Julia can only have compiled in memory, if it loaded them. */
static void doubt_packages(struct look *l) {
    for (size_t i = 0; i < l->n; i++) {
        if (!l->list[i].wanted || l->list[i].fresh)
            continue;
        char *text =
            out_format("%s has no cache file that would be loaded (%s): whether it was compiled is not known",
                       l->list[i].id.name, l->list[i].reason);
        doubt(text);
        free(text);
    }
}

void share_end(struct share *s, char *const *command) {
    struct look l;
    share_look(s);
    if (look_open(s, &l) == 0) {
        for (size_t i = 0; i < s->watch.n; i++) {
            size_t at;
            if (!s->watch.file[i].used || file_of(&l, s->watch.file[i].path, &at) == NULL)
                continue;
            record(SAGGAR_EVENT_HIT, &l, at, SAGGAR_REASON_NONE, served_by(s, s->watch.file[i].path));
            s->used++;
        }
        doubt_packages(&l);
    }
    sg_world_free(&l.world);
    for (size_t i = 0; command[i] != NULL; i++) {
        if (strcmp(command[i], "--compiled-modules=no") == 0)
            doubt("--compiled-modules=no: Julia compiles everything in memory");
    }
}

void share_free(struct share *s) {
    for (size_t i = 0; i < s->claims; i++)
        saggar_claim_release(s->claim[i].claim);
    for (size_t i = 0; i < s->n_restored; i++) {
        free(s->restored[i].path);
        free(s->restored[i].tier);
    }
    free(s->claim);
    free(s->restored);
    watch_free(&s->watch);
}
