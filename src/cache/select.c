/*
 * Which candidate is used: best first (widest vectors, then most features, then the smallest identity), and
 * of these the first one whose requirements and dependencies all hold. Those that are passed over leave the
 * most telling reason.
 *
 * What an image's index says of the features only orders candidates and drops those that cannot run here; the
 * requirements themselves are read, with their digest, before a candidate is used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/payload.h"
#include "isa/features.h"

/* How much a reason tells: the further a candidate came, the more. */
static int telling(saggar_reason reason) {
    static const saggar_reason order[] = {
        SAGGAR_REASON_NONE,           SAGGAR_REASON_ABSENT,     SAGGAR_REASON_UNTRUSTED,
        SAGGAR_REASON_DISABLED,       SAGGAR_REASON_IO,         SAGGAR_REASON_WRONG_KEY,
        SAGGAR_REASON_CORRUPT,        SAGGAR_REASON_VERSION,    SAGGAR_REASON_ARCHITECTURE,
        SAGGAR_REASON_UNKNOWN_RECORD, SAGGAR_REASON_FEATURES,   SAGGAR_REASON_LIBRARY,
        SAGGAR_REASON_SYMBOLS,        SAGGAR_REASON_DEPENDENCY, SAGGAR_REASON_LOAD_FAILED,
    };
    for (int i = 0; i < (int)(sizeof order / sizeof order[0]); i++) {
        if (order[i] == reason)
            return i;
    }
    return 0;
}

void sg_verdict_add(struct sg_verdict *v, saggar_reason reason, const char *detail) {
    if (telling(reason) <= telling(v->reason))
        return;
    v->reason = reason;
    snprintf(v->detail, sizeof v->detail, "%s", detail == NULL ? "" : detail);
}

/* ---- Ranking ---- */

struct rank {
    unsigned width, count, index;
    const uint8_t *identity;
};

static int better_first(const void *a, const void *b) {
    const struct rank *x = a, *y = b;
    if (x->width != y->width)
        return x->width > y->width ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return memcmp(x->identity, y->identity, 32);
}

/* Fills in the features of a candidate whose tier does not know them. */
static void learn_features(struct sg_candidate *c) {
    struct sg_requirements r;
    if (c->has_features || sg_entry_requirements(&c->view, SG_FAST, &r) != SAGGAR_OK)
        return;
    c->has_features = true;
    c->features = r.features;
    c->arch = r.arch;
    c->provenance = r.provenance;
    c->flags = 0;
    sg_requirements_free(&r);
}

/* ---- Requirements ---- */

static bool runs_here(struct sg_lookup *l, uint8_t arch, const saggar_features *needed) {
    const saggar_cache *cache = l->cache;
    char names[SAGGAR_DETAIL_SIZE];
    if (arch != SAGGAR_ARCH_ANY && arch != cache->arch) {
        sg_verdict_add(&l->verdict, SAGGAR_REASON_ARCHITECTURE,
                       arch == SAGGAR_ARCH_X86_64    ? "x86_64"
                       : arch == SAGGAR_ARCH_AARCH64 ? "aarch64"
                                                     : "another architecture");
        return false;
    }
    if (saggar_features_subset(needed, &cache->host))
        return true;
    saggar_features missing = *needed;
    sg_features_remove(&missing, &cache->host);
    sg_verdict_add(&l->verdict, SAGGAR_REASON_FEATURES,
                   sg_features_print(cache->arch, &missing, names, sizeof names));
    return false;
}

/* Is the name of n bytes in a comma-separated list, whose items may begin with "+"? */
static bool listed(const char *list, const char *name, size_t n) {
    while (list != NULL && *list != '\0') {
        size_t len = strcspn(list, ",");
        size_t plus = *list == '+';
        if (len - plus == n && memcmp(list + plus, name, n) == 0)
            return true;
        list += list[len] == ',' ? len + 1 : len;
    }
    return false;
}

/* Features without an index: only what the caller vouches for. */
static bool names_vouched(struct sg_lookup *l, const char *names) {
    while (names != NULL && *names != '\0') {
        size_t n = strcspn(names, ","), plus = *names == '+';
        if (n > plus && !listed(l->cache->vouched, names + plus, n - plus)) {
            char text[SAGGAR_DETAIL_SIZE];
            snprintf(text, sizeof text, "%.*s", (int)(n - plus < 200 ? n - plus : 200), names + plus);
            sg_verdict_add(&l->verdict, SAGGAR_REASON_FEATURES, text);
            return false;
        }
        names += names[n] == ',' ? n + 1 : n;
    }
    return true;
}

static bool symbols_bind(struct sg_lookup *l, const struct sg_requirements *r) {
    char name[1024];
    if (r->symbols == NULL || l->resolver == NULL || l->resolver->symbol == NULL)
        return true;
    struct sg_cursor c = sg_payload(r->symbols, r->symbols_size);
    uint32_t n = sg_value_tuple(&c);
    for (uint32_t i = 0; i < n; i++) {
        sg_payload_text(&c, name, sizeof name);
        if (c.err != SAGGAR_OK || !l->resolver->symbol(l->resolver->context, name)) {
            sg_verdict_add(&l->verdict, SAGGAR_REASON_SYMBOLS, name);
            return false;
        }
    }
    return true;
}

static void refuse(struct sg_lookup *l, struct sg_candidate *c, int err) {
    switch (err) {
    case SAGGAR_ECORRUPT:
        sg_verdict_add(&l->verdict, SAGGAR_REASON_CORRUPT, c->tier->path);
        sg_candidate_damaged(l->cache, c);
        break;
    case SAGGAR_EUNKNOWN:
        sg_verdict_add(&l->verdict, SAGGAR_REASON_UNKNOWN_RECORD, "requirement");
        break;
    case SAGGAR_EVERSION:
        sg_verdict_add(&l->verdict, SAGGAR_REASON_VERSION, c->tier->path);
        break;
    default:
        sg_verdict_add(&l->verdict, SAGGAR_REASON_IO, c->tier->path);
    }
}

static bool requirements_hold(struct sg_lookup *l, struct sg_candidate *c) {
    struct sg_requirements r;
    int err = sg_entry_requirements(&c->view, SG_FAST, &r);
    if (err != SAGGAR_OK) {
        refuse(l, c, err);
        return false;
    }
    bool ok = runs_here(l, r.arch, &r.features) && names_vouched(l, r.unknown);
    if (ok && !r.abi_ok) {
        sg_verdict_add(&l->verdict, SAGGAR_REASON_ARCHITECTURE, "another ABI");
        ok = false;
    }
    ok = ok && sg_libraries_hold(l, r.section, r.section_size) && symbols_bind(l, &r);
    sg_requirements_free(&r);
    return ok;
}

/*
 * What was found out once about an entry of an image holds as long as the process lives, unless it depends on
 * something outside. The memo has one place for each of many entries; a lost one costs a second look. The low
 * bit tells that the symbols were asked for too.
 */
static uint64_t *memo_place(struct sg_lookup *l, const struct sg_candidate *c, uint64_t *value) {
    if (c->tier->ops->publish != NULL || c->id >= UINT64_C(1) << 40)
        return NULL; /* what can be written to can change under the same identifier */
    bool symbols = l->resolver != NULL && l->resolver->symbol != NULL;
    *value = ((uint64_t)l->tier + 1) << 41 | c->id << 1 | symbols;
    return &l->cache->memo[(c->id + l->tier) % SG_MEMO];
}

static bool usable(struct sg_lookup *l, struct sg_candidate *c) {
    if (sg_aside_has(&l->cache->aside, c)) {
        sg_verdict_add(&l->verdict, SAGGAR_REASON_CORRUPT, c->tier->path);
        return false;
    }
    if (sg_reject_has(c->view.identity)) {
        sg_verdict_add(&l->verdict, SAGGAR_REASON_LOAD_FAILED, c->tier->path);
        return false;
    }
    uint64_t value = 0, *memo = memo_place(l, c, &value);
    uint64_t known = memo == NULL ? 0 : __atomic_load_n(memo, __ATOMIC_RELAXED);
    if (memo != NULL && known >= value && (known | 1) == (value | 1))
        return true;
    bool depends = true;
    if (!requirements_hold(l, c) || !sg_dependencies_hold(l, c, &depends))
        return false;
    if (memo != NULL && !depends)
        __atomic_store_n(memo, value, __ATOMIC_RELAXED);
    return true;
}

int sg_select(struct sg_lookup *lookup, struct sg_candidate *candidates, unsigned n) {
    struct rank order[SAGGAR_MAX_SLOTS];
    unsigned count = 0;
    if (n == 1)
        return usable(lookup, &candidates[0]) ? 0 : -1;
    for (unsigned i = 0; i < n && i < SAGGAR_MAX_SLOTS; i++) {
        struct sg_candidate *c = &candidates[i];
        learn_features(c);
        if (c->has_features && !runs_here(lookup, c->arch, &c->features))
            continue;
        saggar_arch arch = (saggar_arch)c->arch;
        order[count].width = c->has_features ? sg_features_width(arch, &c->features) : 0;
        order[count].count = c->has_features ? sg_features_count(&c->features) : 0;
        order[count].identity = c->view.identity;
        order[count++].index = i;
    }
    if (count > 1)
        qsort(order, count, sizeof order[0], better_first);
    for (unsigned i = 0; i < count; i++) {
        if (usable(lookup, &candidates[order[i].index]))
            return (int)order[i].index;
    }
    return -1;
}
