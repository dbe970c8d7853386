/* Entries for the benchmarks: recipe i, with an object of so many bytes, what a compiler declares, and a
 * small `meta`. */
#ifndef SG_BENCH_MAKE_H
#define SG_BENCH_MAKE_H

#include "bench.h"

#include <saggar/saggar.h>

static inline void field(saggar_recipe *r, saggar_encoder *e, const char *name) {
    const uint8_t *bytes;
    size_t size;
    MUST(saggar_encoder_bytes(e, &bytes, &size) == SAGGAR_OK &&
         saggar_recipe_field(r, name, bytes, size) == SAGGAR_OK);
    saggar_encoder_reset(e);
}

/* The recipe number i, and its key. */
static inline saggar_recipe *make_recipe(unsigned i, uint8_t key[32]) {
    saggar_encoder *e;
    saggar_recipe *r;
    MUST(saggar_encoder_new(&e) == SAGGAR_OK && saggar_recipe_new(&r) == SAGGAR_OK);
    saggar_encode_begin(e, SAGGAR_TUPLE);
    saggar_encode_text(e, "bench", 5);
    saggar_encode_int(e, 1);
    saggar_encode_end(e);
    field(r, e, "adapter");
    saggar_encode_text(e, "cc 12.2.0", 9);
    field(r, e, "compiler");
    saggar_encode_int(e, i);
    field(r, e, "source");
    saggar_encode_none(e);
    field(r, e, "options");
    MUST(saggar_recipe_finish(r, key, NULL, NULL) == SAGGAR_OK);
    saggar_encoder_free(e);
    return r;
}

static inline saggar_draft *make_draft(unsigned i, size_t object_size, uint8_t key[32]) {
    static uint8_t object[1 << 20];
    static const char meta[] =
        "{\"result\": \"float64\", \"arguments\": [\"array(float64, 1d, C)\", \"float64\"]}";
    const uint8_t *bytes;
    size_t size;
    saggar_draft *d;
    saggar_features host;
    char name[40];
    saggar_recipe *r = make_recipe(i, key);
    MUST(object_size <= sizeof object && saggar_recipe_finish(r, key, &bytes, &size) == SAGGAR_OK);
    MUST(saggar_draft_new(bytes, size, &d) == SAGGAR_OK);
    saggar_recipe_free(r);
    snprintf(name, sizeof name, "function_%u", i);
    object_bytes(i, object, object_size);
    MUST(saggar_host_features(&host) == SAGGAR_OK);
    MUST(saggar_draft_group(d, "cc", "module", name) == SAGGAR_OK &&
         saggar_draft_require_arch(d, saggar_host_arch(), "linux-gnu") == SAGGAR_OK &&
         saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &host, NULL) == SAGGAR_OK &&
         saggar_draft_require_symbol(d, "cos") == SAGGAR_OK &&
         saggar_draft_require_symbol(d, "malloc") == SAGGAR_OK &&
         saggar_draft_part(d, "object", object, object_size) == SAGGAR_OK &&
         saggar_draft_part(d, "meta", meta, sizeof meta) == SAGGAR_OK);
    return d;
}

/* A cache of this image ("" for none) and this store ("" for none). */
static inline saggar_cache *open_cache(const char *image, const char *store) {
    saggar_cache_options options;
    saggar_cache *cache;
    saggar_tier_info tier;
    saggar_cache_options_init(&options);
    options.images = image;
    options.store = store;
    options.prefix = "";
    MUST(saggar_cache_open(&options, &cache) == SAGGAR_OK);
    if (image[0] != '\0' && (saggar_cache_tier(cache, 0, &tier) != SAGGAR_OK || !tier.active)) {
        fprintf(stderr, "%s: %s\n", tier.path, tier.note);
        exit(1);
    }
    return cache;
}

#endif
