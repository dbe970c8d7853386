/*
 * Built once among all processes that see the store: find, else claim and wait, else build, pack, publish,
 * place. One way in and one way out: what is given out is always placed from packed bytes, except where they
 * cannot be made or stored; then the directory that was built in is given out, for this handle alone.
 *
 * The builder works in a directory of its own, so that nothing it leaves is ever found under a key.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "cache/cache.h"
#include "key/recipe.h"
#include "tree/tree.h"

enum { SLICE_MS = 500 };

struct job {
    saggar_cache *cache;
    const void *recipe;
    size_t size;
    const saggar_build *build;
    uint8_t key[SAGGAR_KEY_SIZE];
    struct sg_places places;
    saggar_built info;
    char *group; /* for the trail */
};

static void record(const struct job *job, saggar_event event, saggar_reason reason, const char *detail,
                   uint64_t value) {
    saggar_trail_event e = {.event = event,
                            .flags = SAGGAR_FLAG_USED | SAGGAR_FLAG_CACHEABLE,
                            .reason = reason,
                            .value = value,
                            .key = job->key,
                            .group = job->group,
                            .detail = detail};
    if (job->cache->mode == SG_MODE_OFF)
        return;
    if (event == SAGGAR_EVENT_MISS) {
        e.blob = job->recipe;
        e.blob_size = job->size;
    }
    saggar_trail_record(&e);
}

/* ---- Packing ---- */

static int pack(const char *directory, struct sg_buf *packed, struct sg_tree *tree, char *detail) {
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sg_err_from_errno(errno);
    int err = sg_tree_pack(fd, packed, detail);
    close(fd);
    return err == SAGGAR_OK ? sg_tree_open(packed->data, packed->len, tree, detail) : err;
}

static int add_tree(saggar_draft *draft, const char *directory, struct sg_buf *packed, struct sg_tree *tree,
                    char *detail) {
    int err = pack(directory, packed, tree, detail);
    if (err == SAGGAR_OK)
        err = sg_tree_needs(tree, draft);
    return err == SAGGAR_OK ? saggar_draft_part(draft, SG_TREE_PART, packed->data, packed->len) : err;
}

int saggar_draft_tree(saggar_draft *d, const char *directory, char *detail) {
    struct sg_buf packed;
    struct sg_tree tree;
    if (detail != NULL)
        detail[0] = '\0';
    if (d == NULL || directory == NULL)
        return SAGGAR_EINVAL;
    sg_buf_init(&packed, UINT32_MAX);
    int err = add_tree(d, directory, &packed, &tree, detail);
    sg_buf_free(&packed);
    return err;
}

/* ---- Finding ---- */

static int place_entry(saggar_entry *entry, const struct sg_places *places, saggar_tree **out, char *detail) {
    struct sg_section section;
    struct sg_tree tree;
    saggar_view view;
    int err = sg_entry_find(&entry->candidate.view, SG_SECTION_PART, SG_TREE_PART, &section);
    if (err == SAGGAR_OK)
        err = saggar_entry_part(entry, SG_TREE_PART, &view);
    if (err != SAGGAR_OK)
        return err;
    err = sg_tree_open(view.data, view.size, &tree, detail);
    if (err == SAGGAR_OK)
        err = sg_tree_place(places, &tree, section.sha256, out, detail);
    else if (err != SAGGAR_ENOMEM)
        err = SAGGAR_ECORRUPT;
    saggar_view_release(&view);
    return err;
}

int saggar_entry_tree(saggar_entry *entry, saggar_tree **out, char *detail) {
    struct sg_places places;
    if (entry == NULL || out == NULL)
        return SAGGAR_EINVAL;
    if (detail != NULL)
        detail[0] = '\0';
    int err = sg_places_of(entry->cache, &places);
    if (err == SAGGAR_OK)
        err = place_entry(entry, &places, out, detail);
    sg_places_free(&places);
    return err;
}

/* The entry's tree is the result. ECORRUPT: never; the next variant may be. ENOTFOUND: not now. */
static int use(struct job *job, saggar_entry *entry, saggar_tree **out) {
    int err = place_entry(entry, &job->places, out, job->info.detail);
    if (err == SAGGAR_OK) {
        job->info.stored = true;
        saggar_entry_identity(entry, job->info.identity);
        record(job, SAGGAR_EVENT_HIT, SAGGAR_REASON_NONE, saggar_entry_tier(entry), 0);
    }
    if (err == SAGGAR_OK || err == SAGGAR_ENOMEM)
        return err;
    job->info.reason = SAGGAR_REASON_LOAD_FAILED;
    if (job->info.detail[0] == '\0')
        snprintf(job->info.detail, sizeof job->info.detail, "%s", saggar_strerror(err));
    if (err != SAGGAR_ECORRUPT && err != SAGGAR_ENOTFOUND)
        return SAGGAR_ENOTFOUND; /* no place for it: that may change */
    saggar_entry_reject(entry);
    return SAGGAR_ECORRUPT;
}

/* OK: found and placed. ENOTFOUND: a miss, whose reason is in `info`. */
static int find(struct job *job, saggar_tree **out) {
    int err = SAGGAR_ECORRUPT;
    for (int i = 0; err == SAGGAR_ECORRUPT && i < SAGGAR_MAX_SLOTS; i++) {
        saggar_entry *entry;
        err = saggar_cache_find(job->cache, job->key, job->build->resolver, &entry, &job->info.reason,
                                job->info.detail);
        if (err != SAGGAR_OK)
            return err;
        if (entry == NULL)
            return SAGGAR_ENOTFOUND;
        err = use(job, entry, out);
        saggar_entry_release(entry);
    }
    return err == SAGGAR_ECORRUPT ? SAGGAR_ENOTFOUND : err;
}

/* ---- Building ---- */

static void not_stored(struct job *job, int err, saggar_reason reason, const char *why) {
    char text[SAGGAR_DETAIL_SIZE];
    snprintf(text, sizeof text, "%s", why[0] != '\0' ? why : saggar_strerror(err));
    memcpy(job->info.detail, text, sizeof text);
    job->info.error = err;
    record(job, SAGGAR_EVENT_NOT_STORED, reason, text, 0);
}

/* What was built becomes an entry, and then a finished tree; else it is given out as it lies. */
static int finish(struct job *job, saggar_draft *draft, struct sg_work *work, saggar_claim_outcome outcome,
                  saggar_tree **out) {
    struct sg_buf packed;
    struct sg_tree tree;
    uint8_t sha256[SG_SHA256_SIZE];
    char detail[SAGGAR_DETAIL_SIZE] = "";
    sg_buf_init(&packed, UINT32_MAX);
    int err = add_tree(draft, work->tree, &packed, &tree, detail);
    if (err != SAGGAR_OK) {
        not_stored(job, err, SAGGAR_REASON_UNCACHEABLE, detail);
    } else if (outcome == SAGGAR_CLAIM_NONE && find(job, out) == SAGGAR_OK) {
        sg_buf_free(&packed); /* somebody else's is there: two of one key help nobody */
        return SAGGAR_OK;
    } else {
        err = saggar_cache_publish(job->cache, draft, job->info.identity);
        job->info.stored = err == SAGGAR_OK;
        if (err == SAGGAR_OK)
            record(job, SAGGAR_EVENT_PUBLISHED, SAGGAR_REASON_NONE, NULL, 0);
        else
            not_stored(job, err, SAGGAR_REASON_PUBLISH_FAILED, "");
    }
    if (err == SAGGAR_OK)
        err = sg_sha256(sha256, packed.data, packed.len);
    if (err == SAGGAR_OK)
        err = sg_tree_place(&job->places, &tree, sha256, out, detail);
    sg_buf_free(&packed);
    if (err == SAGGAR_OK)
        return err;
    *out = sg_tree_private(work);
    return *out == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
}

static int build_in(struct job *job, struct sg_work *work, saggar_claim_outcome outcome, saggar_tree **out) {
    const saggar_build *b = job->build;
    saggar_draft *draft;
    int err = saggar_draft_new(job->recipe, job->size, &draft);
    if (err != SAGGAR_OK)
        return err;
    err = saggar_draft_group(draft, b->compiler, b->module, b->qualname);
    if (err == SAGGAR_OK) {
        uint64_t start = sg_now_ns(CLOCK_MONOTONIC);
        err = b->build(b->context, work->tree, draft);
        uint64_t took = sg_now_ns(CLOCK_MONOTONIC) - start;
        if (err == 0) {
            job->info.built = true;
            record(job, SAGGAR_EVENT_COMPILED, SAGGAR_REASON_NONE, NULL, took);
            saggar_draft_seconds(draft, (double)took * 1e-9);
            err = finish(job, draft, work, outcome, out);
        }
    }
    saggar_draft_free(draft);
    return err;
}

static int build(struct job *job, saggar_claim_outcome outcome, saggar_tree **out) {
    struct sg_work work;
    unsigned from = 0;
    record(job, SAGGAR_EVENT_MISS, job->info.reason, job->info.detail, 0);
    if (job->cache->mode == SG_MODE_REQUIRE)
        return SAGGAR_ENOTFOUND;
    int err = sg_work_open(&job->places, &from, &work);
    if (err != SAGGAR_OK)
        return err;
    err = build_in(job, &work, outcome, out);
    sg_work_close(&work);
    return err;
}

/* Waits in slices if the caller wants to be asked meanwhile. A slice that ends before its time without a
 * claim means that waiting is of no use. */
static int wait_for_claim(struct job *job, saggar_claim **claim, saggar_claim_outcome *outcome) {
    const saggar_build *b = job->build;
    int64_t left = b->wait_ms > 0 ? b->wait_ms : b->wait_ms == 0 ? job->cache->wait_ms : 0;
    for (;;) {
        int64_t slice = b->waiting != NULL && left > SLICE_MS ? SLICE_MS : left;
        uint64_t start = sg_now_ns(CLOCK_MONOTONIC);
        int err = saggar_cache_claim(job->cache, job->key, slice, claim, outcome);
        left -= slice;
        if (err != SAGGAR_OK || *outcome != SAGGAR_CLAIM_NONE || left <= 0 ||
            sg_now_ns(CLOCK_MONOTONIC) - start < (uint64_t)slice * 900000)
            return err;
        saggar_claim_release(*claim);
        err = b->waiting(b->context);
        if (err != 0)
            return err;
    }
}

static int claim_and_build(struct job *job, saggar_tree **out) {
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    uint64_t start = sg_now_ns(CLOCK_MONOTONIC);
    int err = wait_for_claim(job, &claim, &outcome);
    if (err != SAGGAR_OK)
        return err;
    uint64_t waited = sg_now_ns(CLOCK_MONOTONIC) - start;
    err = SAGGAR_ENOTFOUND;
    if (outcome == SAGGAR_CLAIM_FREED || (outcome == SAGGAR_CLAIM_NONE && job->cache->stack.store != NULL)) {
        record(job, SAGGAR_EVENT_WAITED,
               outcome == SAGGAR_CLAIM_NONE ? SAGGAR_REASON_CLAIM_TIMEOUT : SAGGAR_REASON_NONE, NULL, waited);
        err = find(job, out);
    }
    if (err == SAGGAR_ENOTFOUND)
        err = build(job, outcome, out);
    saggar_claim_release(claim);
    return err;
}

/* ---- Both ---- */

static int run(struct job *job, saggar_tree **out) {
    const saggar_build *b = job->build;
    int err = sg_recipe_check(job->recipe, job->size);
    if (err == SAGGAR_OK)
        err = sg_sha256(job->key, job->recipe, job->size);
    if (err == SAGGAR_OK && asprintf(&job->group, "%s:%s:%s", b->compiler, b->module, b->qualname) < 0) {
        job->group = NULL;
        err = SAGGAR_ENOMEM;
    }
    if (err == SAGGAR_OK)
        err = sg_places_of(job->cache, &job->places);
    if (err == SAGGAR_OK)
        err = find(job, out);
    if (err == SAGGAR_ENOTFOUND)
        err = claim_and_build(job, out);
    return err;
}

int saggar_get_or_build(saggar_cache *cache, const void *recipe, size_t size, const saggar_build *build_,
                        saggar_tree **out, saggar_built *info) {
    struct job job = {.cache = cache, .recipe = recipe, .size = size, .build = build_};
    int err = SAGGAR_EINVAL;
    if (cache != NULL && recipe != NULL && build_ != NULL && out != NULL &&
        build_->struct_size >= sizeof *build_ && build_->build != NULL && build_->compiler != NULL &&
        build_->module != NULL && build_->qualname != NULL)
        err = run(&job, out);
    sg_places_free(&job.places);
    free(job.group);
    if (err == SAGGAR_OK && !job.info.built) {
        job.info.reason = SAGGAR_REASON_NONE;
        job.info.detail[0] = '\0';
    }
    if (info != NULL)
        *info = job.info;
    return err;
}
