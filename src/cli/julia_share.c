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

/* False: l->world.error says why. In any case end with sg_world_free(). */
static bool look_try(const struct share *s, struct look *l) {
    *l = (struct look){0};
    bool ok = julia_try(s->options, s->project, &l->world, &l->list, &l->n) &&
              sg_supply_make(&l->world, l->list, l->n, &l->supply);
    l->supply.relocate = s->relocate;
    return ok;
}

static int look_open(const struct share *s, struct look *l) {
    return look_try(s, l) ? 0 : cli_fail("%s", l->world.error);
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
    if (status == 0 && sg_supply_add(&l.supply, &s->cache->stack, 0, l.n) && sg_restore(&l.supply, &o, list))
        note_restored(s, list, l.n);
    else if (status == 0) /* no reason not to run the command */
        cli_note("%s; nothing is restored", l.world.error);
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

static bool is_same(const char *a, const char *b) {
    struct stat one, other;
    return strcmp(a, b) == 0 || (stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
                                 one.st_ino == other.st_ino);
}

/* JULIA_DEPOT_PATH for the depots that were named; with an empty part at its end where those that came with
 * Julia were not. */
static char *variable(struct look *l, const char *own) {
    size_t n = l->world.n_depots;
    char *text = out_format("JULIA_DEPOT_PATH=%s", own);
    for (size_t i = 1; i < n + (l->world.info.n_depots == 0); i++) {
        char *before = text;
        text = out_format("%s:%s", before, i < n ? sg_project_real(&l->world, l->world.depots[i]) : "");
        free(before);
    }
    return text;
}

/* Whether the command's Julia begins with the depot that is watched, if it is told by the environment. */
static void see_depots(struct share *s, struct look *l) {
    const char *text = getenv("JULIA_DEPOT_PATH"), *own = sg_project_real(&l->world, l->world.depots[0]),
               **list;
    size_t n;
    if (text == NULL && (s->options->depots.n > 0 || l->world.info.n_depots > 0)) {
        s->depots = variable(l, own);
    } else if (text != NULL && sg_depot_path(&l->world, text, getenv("HOME"), &list, &n) &&
               !(n > 0 && (is_same(list[0], own) || strcmp(list[0], l->world.depots[0]) == 0))) {
        s->doubt = out_format(
            "JULIA_DEPOT_PATH begins with another depot than %s: what is compiled there is not seen", own);
        cli_note("%s", s->doubt);
    }
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
    see_depots(s, &l);
    watch_begin(&s->watch, sg_project_real(&l.world, sg_world_join(&l.world, l.world.depots[0], "compiled")));
    sg_world_free(&l.world);
    return 0;
}

/* ---- Keeping what is new ---- */

/* The name first: what a path of Julia's is here costs a walk over all maps. */
static const struct sg_file *file_of(struct look *l, const char *path, size_t *at) {
    const char *name = strrchr(path, '/');
    for (size_t i = 0; name != NULL && i < l->n; i++) {
        for (size_t k = 0; l->list[i].files != NULL && k < l->list[i].files->n; k++) {
            const struct sg_file *file = l->list[i].files->file[k];
            const char *other = strrchr(file->path, '/');
            char real[PATH_MAX];
            *at = i;
            if (other != NULL && strcmp(other, name) == 0 &&
                sg_world_real(&l->world, file->path, real) != NULL && strcmp(real, path) == 0)
                return file;
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

/* Compiled for something else than a package of the project, or nobody knows for what. */
static void note_stranger(struct share *s, const char *path, const char *why) {
    const saggar_trail_event e = {.event = SAGGAR_EVENT_COMPILED,
                                  .flags = SAGGAR_FLAG_USED | SAGGAR_FLAG_CACHEABLE,
                                  .reason = SAGGAR_REASON_UNCACHEABLE,
                                  .group = path,
                                  .detail = why};
    saggar_trail_record(&e);
    s->compiled++;
    s->not_stored++;
}

static void keep(struct share *s, struct look *l, const struct watched *f) {
    uint8_t key[SAGGAR_KEY_SIZE];
    size_t at;
    const struct sg_file *file = file_of(l, f->path, &at);
    if (file == NULL || !l->list[at].wanted) {
        note_stranger(s, f->path, "not a package of the project");
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

/* The next that came and was not looked at yet; `from` moves on. */
static struct watched *pending(struct share *s, size_t *from) {
    for (; *from < s->watch.n; (*from)++) {
        if (s->watch.file[*from].fresh && !s->watch.file[*from].done)
            return &s->watch.file[(*from)++];
    }
    return NULL;
}

static void keep_all(struct share *s, struct look *l) {
    struct watched *f;
    for (size_t at = 0; (f = pending(s, &at)) != NULL; f->done = true)
        keep(s, l, f);
}

/* A project that cannot be read just now, because somebody writes it, is read the next time. */
void share_look(struct share *s) {
    struct look l;
    size_t at = 0;
    watch_look(&s->watch);
    if (pending(s, &at) == NULL)
        return;
    if (look_try(s, &l))
        keep_all(s, &l);
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

/* Nobody can say what was loaded; that something was compiled can be said. */
static void give_up(struct share *s, const char *why) {
    struct watched *f;
    char *text = out_format("the project cannot be read any more: %s", why);
    doubt(text);
    for (size_t at = 0; (f = pending(s, &at)) != NULL; f->done = true)
        note_stranger(s, f->path, text);
    free(text);
}

void share_end(struct share *s, char *const *command) {
    struct look l;
    watch_look(&s->watch);
    if (look_open(s, &l) != 0) {
        give_up(s, l.world.error);
    } else {
        keep_all(s, &l);
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
    if (s->doubt != NULL)
        doubt(s->doubt);
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
    free(s->depots);
    free(s->doubt);
    watch_free(&s->watch);
}
