/*
 * Do the dependencies of a candidate hold? The cheapest first: distributions, files, then values and code,
 * which the adapter resolves, then what other entries depend on. The first that does not hold ends the check.
 *
 * A record of a kind that must be understood and is not known, and a question that nobody can answer, count
 * as "does not hold": a needless compile is better than stale code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/cache.h"
#include "cache/payload.h"

enum { TEXT = 1024, PATH_SIZE = 4096, MAX_NESTED = 64 };
enum { MUST_UNDERSTAND = 0x8000 };
enum phase { DISTRIBUTIONS, FILES, NAMES, ENTRIES, PHASES };

/* Entries whose dependencies were asked for on the way; one that is being checked counts as holding. */
struct nested {
    unsigned n;
    struct {
        uint8_t key[SAGGAR_KEY_SIZE];
        bool holds;
    } seen[MAX_NESTED];
};

struct check {
    struct sg_lookup *lookup;
    struct nested *nested;
    enum phase phase;
};

static bool candidate_holds(struct sg_lookup *l, struct nested *nested, struct sg_candidate *c);

static int fails(struct check *k, saggar_reason reason, const char *what, const char *a, const char *b) {
    char text[SAGGAR_DETAIL_SIZE];
    snprintf(text, sizeof text, "%s %.110s%s%.110s", what, a, b[0] != '\0' ? " " : "", b);
    sg_verdict_add(&k->lookup->verdict, reason, text);
    return 1;
}

static int distribution(struct check *k, struct sg_cursor *c) {
    const saggar_resolver *r = k->lookup->resolver;
    char name[TEXT], version[TEXT], now[TEXT] = "";
    sg_value_tuple(c);
    sg_payload_text(c, name, sizeof name);
    sg_payload_text(c, version, sizeof version);
    if (c->err != SAGGAR_OK || r == NULL || r->distribution == NULL ||
        r->distribution(r->context, name, now, sizeof now) != 0 || strcmp(now, version) != 0)
        return fails(k, SAGGAR_REASON_DEPENDENCY, "distribution", name, version);
    return 0;
}

/* Relative, without "." and "..": the entry must not make us look outside of the root. */
static bool path_ok(const char *path) {
    if (path[0] == '\0' || path[0] == '/')
        return false;
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += p[n] == '/' ? n + 1 : n;
    }
    return true;
}

static int file(struct check *k, struct sg_cursor *c) {
    const saggar_resolver *r = k->lookup->resolver;
    char root[TEXT], path[PATH_SIZE], full[2 * PATH_SIZE];
    uint64_t size_now;
    uint8_t digest_now[32];
    sg_value_tuple(c);
    sg_payload_text(c, root, sizeof root);
    sg_payload_text(c, path, sizeof path);
    uint64_t size = (uint64_t)sg_value_int(c);
    const uint8_t *digest = sg_value_digest(c, NULL, NULL);
    if (digest == NULL || !path_ok(path) || r == NULL || r->root == NULL ||
        r->root(r->context, root, full, PATH_SIZE) != 0)
        return fails(k, SAGGAR_REASON_DEPENDENCY, "file", root, path);
    size_t n = strnlen(full, PATH_SIZE);
    snprintf(full + n, sizeof full - n, "/%s", path);
    if (!sg_file_digest(full, &size_now, digest_now) || size_now != size ||
        memcmp(digest_now, digest, 32) != 0)
        return fails(k, SAGGAR_REASON_DEPENDENCY, "file", root, path);
    return 0;
}

static int name_digest(struct check *k, struct sg_cursor *c, bool code) {
    const saggar_resolver *r = k->lookup->resolver;
    char resolver[TEXT], name[PATH_SIZE];
    uint8_t now[32];
    sg_value_tuple(c);
    sg_payload_text(c, resolver, sizeof resolver);
    sg_payload_text(c, name, sizeof name);
    const uint8_t *digest = sg_value_digest(c, NULL, NULL);
    if (digest == NULL || r == NULL || r->digest == NULL ||
        r->digest(r->context, code, resolver, name, now) != 0 || memcmp(now, digest, 32) != 0)
        return fails(k, SAGGAR_REASON_DEPENDENCY, code ? "code" : "value", resolver, name);
    return 0;
}

/* Any entry under the key, in any tier, whose dependencies hold. */
static bool key_holds(struct sg_lookup *l, struct nested *nested, const uint8_t *key);

static int entry(struct check *k, struct sg_cursor *c) {
    char group[3][TEXT];
    sg_value_tuple(c);
    sg_value_tuple(c);
    for (int i = 0; i < 3; i++)
        sg_payload_text(c, group[i], sizeof group[i]);
    const uint8_t *key = sg_payload_bytes(c, SAGGAR_KEY_SIZE);
    if (key == NULL || !key_holds(k->lookup, k->nested, key))
        return fails(k, SAGGAR_REASON_DEPENDENCY, "entry", group[1], group[2]);
    return 0;
}

static int record(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    struct check *k = context;
    struct sg_cursor c = sg_payload(payload, n);
    char number[16];
    switch (kind | MUST_UNDERSTAND) {
    case SG_DEPEND_DISTRIBUTION:
        return k->phase == DISTRIBUTIONS ? distribution(k, &c) : 0;
    case SG_DEPEND_FILE:
        return k->phase == FILES ? file(k, &c) : 0;
    case SG_DEPEND_VALUE:
    case SG_DEPEND_CODE:
        return k->phase == NAMES ? name_digest(k, &c, (kind | MUST_UNDERSTAND) == SG_DEPEND_CODE) : 0;
    case SG_DEPEND_ENTRY:
        return k->phase == ENTRIES ? entry(k, &c) : 0;
    default:
        if ((kind & MUST_UNDERSTAND) == 0)
            return 0;
        snprintf(number, sizeof number, "0x%04x", kind);
        return fails(k, SAGGAR_REASON_UNKNOWN_RECORD, "dependency", number, "");
    }
}

static bool section_holds(struct sg_lookup *l, struct nested *nested, const uint8_t *section, size_t size) {
    struct check k = {l, nested, DISTRIBUTIONS};
    if (size >= 4 && sg_load32(section) == 0)
        return true;
    for (; k.phase < PHASES; k.phase++) {
        int result = sg_records_each(section, size, record, &k);
        if (result != 0) {
            if (result < 0)
                fails(&k, SAGGAR_REASON_CORRUPT, "dependencies", "", "");
            return false;
        }
    }
    return true;
}

static bool candidate_holds(struct sg_lookup *l, struct nested *nested, struct sg_candidate *c) {
    struct sg_section section;
    const uint8_t *data;
    uint8_t *owned = NULL;
    size_t size;
    int err = sg_entry_find(&c->view, SG_SECTION_DEPENDENCIES, NULL, &section);
    if (err == SAGGAR_OK)
        err = sg_entry_bytes(&c->view, &section, SG_FAST, &data, &size, &owned);
    if (err != SAGGAR_OK) {
        sg_verdict_add(&l->verdict, err == SAGGAR_ECORRUPT ? SAGGAR_REASON_CORRUPT : SAGGAR_REASON_IO,
                       c->tier->path);
        if (err == SAGGAR_ECORRUPT)
            sg_candidate_damaged(l->cache, c);
        return false;
    }
    bool holds = section_holds(l, nested, data, size);
    free(owned);
    return holds;
}

static void ignore_fault(void *context, saggar_reason reason, const char *detail) {
    (void)context;
    (void)reason;
    (void)detail;
}

static bool key_holds(struct sg_lookup *l, struct nested *nested, const uint8_t *key) {
    for (unsigned i = 0; i < nested->n; i++) {
        if (memcmp(nested->seen[i].key, key, SAGGAR_KEY_SIZE) == 0)
            return nested->seen[i].holds;
    }
    if (nested->n == MAX_NESTED)
        return false;
    unsigned place = nested->n++;
    memcpy(nested->seen[place].key, key, SAGGAR_KEY_SIZE);
    nested->seen[place].holds = true;
    bool holds = false;
    struct sg_candidate *candidates = calloc(SAGGAR_MAX_SLOTS, sizeof *candidates);
    for (unsigned t = 0; candidates != NULL && t < l->cache->stack.n && !holds; t++) {
        struct sg_tier *tier = l->cache->stack.slots[t].tier;
        unsigned n = 0;
        if (tier == NULL || !tier->active ||
            tier->ops->find(tier, key, candidates, &n, ignore_fault, NULL) != SAGGAR_OK)
            continue;
        for (unsigned i = 0; i < n; i++) {
            holds = holds || candidate_holds(l, nested, &candidates[i]);
            tier->ops->release(&candidates[i]);
        }
    }
    free(candidates);
    nested->seen[place].holds = holds;
    return holds;
}

bool sg_dependencies_hold(struct sg_lookup *lookup, struct sg_candidate *candidate, bool *any) {
    struct nested nested;
    struct sg_section section;
    nested.n = 0;
    *any = sg_entry_find(&candidate->view, SG_SECTION_DEPENDENCIES, NULL, &section) != SAGGAR_OK ||
           section.raw != 4;
    return candidate_holds(lookup, &nested, candidate);
}
