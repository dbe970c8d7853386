/*
 * The cache: opening the stack, finding through it, publishing into its store; cache.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "store/store.h"

enum { MAX_FAULT_EVENTS = 64 };

/* What the caller vouches for beyond the probe, e.g. because it tests for a feature in another way. */
static int vouch(saggar_cache *cache, const char *names) {
    saggar_features extra;
    size_t size = 2 * strlen(names) + 2;
    char *list = malloc(size), *p = list;
    if (list == NULL)
        return SAGGAR_ENOMEM;
    for (const char *s = names; *s != '\0';) {
        size_t n = strcspn(s, ",");
        if (n > 0) {
            if (p != list)
                *p++ = ',';
            if (*s != '+')
                *p++ = '+';
            memcpy(p, s, n);
            p += n;
        }
        s += s[n] == ',' ? n + 1 : n;
    }
    *p = '\0';
    int err = saggar_features_parse(cache->arch, NULL, list, &extra, &cache->vouched);
    free(list);
    if (err != SAGGAR_OK)
        return err == SAGGAR_ENOMEM ? err : SAGGAR_EINVAL;
    for (int i = 0; i < 4; i++)
        cache->host.word[i] |= extra.word[i];
    return SAGGAR_OK;
}

static int probe(saggar_cache *cache, const char *features) {
    cache->arch = saggar_host_arch();
    int err = saggar_host_features(&cache->host);
    if (err == SAGGAR_OK && features != NULL && features[0] != '\0')
        err = vouch(cache, features);
    return err;
}

int saggar_cache_open(const saggar_cache_options *options, saggar_cache **out) {
    saggar_cache_options defaults;
    struct sg_settings settings;
    if (out == NULL)
        return SAGGAR_EINVAL;
    if (options == NULL) {
        saggar_cache_options_init(&defaults);
        options = &defaults;
    }
    int err = sg_settings_init(options, &settings, NULL);
    if (err != SAGGAR_OK)
        return err;
    saggar_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        sg_settings_free(&settings);
        return SAGGAR_ENOMEM;
    }
    cache->refs = 1;
    cache->mode = settings.mode;
    cache->read_only = options->read_only;
    cache->wait_ms = settings.wait_ms;
    err = probe(cache, options->features);
    if (err == SAGGAR_OK && cache->mode != SG_MODE_OFF)
        err = sg_stack_open(&settings, options->prefix, options->read_only, &cache->stack);
    sg_settings_free(&settings);
    if (err != SAGGAR_OK) {
        sg_cache_release(cache);
        return err;
    }
    *out = cache;
    return SAGGAR_OK;
}

void sg_cache_release(saggar_cache *cache) {
    if (__atomic_sub_fetch(&cache->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    sg_stack_close(&cache->stack);
    sg_aside_free(&cache->aside);
    free(cache->vouched);
    free(cache);
}

void saggar_cache_close(saggar_cache *cache) {
    if (cache != NULL)
        sg_cache_release(cache);
}

void sg_cache_set_host(saggar_cache *cache, saggar_arch arch, const saggar_features *host) {
    cache->arch = arch;
    cache->host = *host;
    memset(cache->memo, 0, sizeof cache->memo);
}

int saggar_cache_tier(const saggar_cache *cache, unsigned i, saggar_tier_info *out) {
    if (cache == NULL || out == NULL)
        return SAGGAR_EINVAL;
    if (i >= cache->stack.n)
        return SAGGAR_ENOTFOUND;
    const struct sg_slot *slot = &cache->stack.slots[i];
    if (slot->tier == NULL) {
        *out = (saggar_tier_info){slot->kind, slot->path, false, false, slot->note, 0};
        return SAGGAR_OK;
    }
    const struct sg_tier *tier = slot->tier;
    *out = (saggar_tier_info){
        tier->ops->kind, tier->path, tier->active, tier->trusted, tier->note != NULL ? tier->note : "",
        tier->entries};
    return SAGGAR_OK;
}

/* Faults go to the trail, but not one per lookup for ever. */
static void record_fault(saggar_cache *cache, saggar_reason reason, const uint8_t *key, const char *detail) {
    if (__atomic_fetch_add(&cache->faults, 1, __ATOMIC_RELAXED) >= MAX_FAULT_EVENTS)
        return;
    saggar_trail_event event = {.event = SAGGAR_EVENT_FAULT, .reason = reason, .key = key, .detail = detail};
    saggar_trail_record(&event);
}

void sg_candidate_damaged(saggar_cache *cache, struct sg_candidate *candidate) {
    if (sg_aside_has(&cache->aside, candidate))
        return;
    sg_aside_add(&cache->aside, candidate);
    record_fault(cache, SAGGAR_REASON_CORRUPT, candidate->view.key, candidate->tier->path);
    if (!cache->read_only && candidate->tier->ops->discard != NULL)
        candidate->tier->ops->discard(candidate);
}

struct finding {
    struct sg_lookup *lookup;
    const uint8_t *key;
};

static void fault(void *context, saggar_reason reason, const char *detail) {
    struct finding *f = context;
    sg_verdict_add(&f->lookup->verdict, reason, detail);
    record_fault(f->lookup->cache, reason, f->key, detail);
}

/* The best usable candidate of one tier, still held; false: none. `*n`: how many candidates there were. */
static bool find_once(struct sg_lookup *lookup, struct sg_tier *tier, const uint8_t *key, unsigned *n,
                      struct sg_candidate *out) {
    struct sg_candidate candidates[SAGGAR_MAX_SLOTS];
    struct finding finding = {lookup, key};
    *n = 0;
    int err = tier->ops->find(tier, key, candidates, n, fault, &finding);
    if (err != SAGGAR_OK) {
        char detail[SAGGAR_DETAIL_SIZE];
        snprintf(detail, sizeof detail, "%.160s: %s", tier->path,
                 err == SAGGAR_ETIMEOUT ? "the file system does not answer" : saggar_strerror(err));
        sg_verdict_add(&lookup->verdict, SAGGAR_REASON_IO, detail);
        return false;
    }
    int best = *n == 0 ? -1 : sg_select(lookup, candidates, *n);
    for (unsigned i = 0; i < *n; i++) {
        if ((int)i == best)
            *out = candidates[i];
        else
            tier->ops->release(&candidates[i]);
    }
    return best >= 0;
}

static bool find_in(struct sg_lookup *lookup, struct sg_tier *tier, const uint8_t *key,
                    struct sg_candidate *out) {
    unsigned n, again;
    if (find_once(lookup, tier, key, &n, out))
        return true;
    /* Another host's variant may be there, and one for this host published behind it just now. */
    return n > 0 && tier->ops->renew != NULL && tier->ops->renew(tier, key) &&
           find_once(lookup, tier, key, &again, out);
}

/* Where nothing can be searched, that is the reason. */
static void explain_empty_stack(const saggar_cache *cache, struct sg_verdict *v) {
    if (cache->mode == SG_MODE_OFF)
        sg_verdict_add(v, SAGGAR_REASON_DISABLED, NULL);
    for (unsigned i = 0; i < cache->stack.n; i++) {
        const struct sg_slot *slot = &cache->stack.slots[i];
        if (slot->tier == NULL || !slot->exists || slot->tier->active || slot->tier->trusted)
            continue;
        bool untrusted = strcmp(slot->kind, "store") != 0 || sg_store_error(slot->tier) == SAGGAR_EUNTRUSTED;
        sg_verdict_add(v, untrusted ? SAGGAR_REASON_UNTRUSTED : SAGGAR_REASON_IO, slot->tier->path);
    }
}

int saggar_cache_find(saggar_cache *cache, const uint8_t key[SAGGAR_KEY_SIZE],
                      const saggar_resolver *resolver, saggar_entry **out, saggar_reason *reason,
                      char *detail) {
    if (cache == NULL || key == NULL || out == NULL || reason == NULL)
        return SAGGAR_EINVAL;
    struct sg_lookup lookup = {
        .cache = cache, .resolver = resolver, .verdict = {.reason = SAGGAR_REASON_ABSENT}};
    struct sg_candidate found;
    unsigned searched = 0;
    lookup.verdict.detail[0] = '\0';
    for (unsigned i = 0; i < cache->stack.n; i++) {
        struct sg_tier *tier = cache->stack.slots[i].tier;
        if (tier == NULL || !tier->active)
            continue;
        searched++;
        lookup.tier = i;
        if (!find_in(&lookup, tier, key, &found))
            continue;
        saggar_entry *entry = sg_handle_new(cache, &found);
        if (entry == NULL)
            return SAGGAR_ENOMEM;
        *out = entry;
        *reason = SAGGAR_REASON_NONE;
        if (detail != NULL)
            detail[0] = '\0';
        return SAGGAR_OK;
    }
    if (searched == 0)
        explain_empty_stack(cache, &lookup.verdict);
    *out = NULL;
    *reason = lookup.verdict.reason;
    if (detail != NULL)
        memcpy(detail, lookup.verdict.detail, SAGGAR_DETAIL_SIZE);
    return SAGGAR_OK;
}

/* Why there is no store to publish into. */
static int no_store(const saggar_cache *cache) {
    for (unsigned i = 0; i < cache->stack.n; i++) {
        const struct sg_slot *slot = &cache->stack.slots[i];
        if (strcmp(slot->kind, "store") == 0)
            return slot->tier == NULL ? SAGGAR_EUNTRUSTED : sg_store_error(slot->tier);
    }
    return SAGGAR_EUNSUPPORTED;
}

int saggar_cache_publish(saggar_cache *cache, saggar_draft *draft, uint8_t identity[32]) {
    struct sg_buf core, annex;
    uint8_t key[SAGGAR_KEY_SIZE], id[32];
    if (cache == NULL || draft == NULL)
        return SAGGAR_EINVAL;
    if (cache->read_only)
        return SAGGAR_EREADONLY;
    if (cache->stack.store == NULL)
        return no_store(cache);
    sg_buf_init(&core, SIZE_MAX / 2);
    sg_buf_init(&annex, 1 << 20);
    int err = sg_draft_build(draft, false, &core, &annex, key, id);
    if (err == SAGGAR_OK)
        err = cache->stack.store->ops->publish(cache->stack.store, key, id, &core, &annex);
    sg_buf_free(&core);
    sg_buf_free(&annex);
    if (err == SAGGAR_OK && identity != NULL)
        memcpy(identity, id, sizeof id);
    return err;
}
