/* Entries that the public API would not make: sections of raw records, put into the store as they are. */
#ifndef SG_TESTS_CACHE_RAW_H
#define SG_TESTS_CACHE_RAW_H

#include "base/buf.h"
#include "base/bytes.h"
#include "cache/cache.h"
#include "make.h"

struct raw_records {
    uint8_t bytes[4096];
    size_t size;
    uint32_t n;
};

/* Appends a record whose payload is what the encoder holds. Kinds in ascending order. */
static inline void raw_add(struct raw_records *r, uint16_t kind, saggar_encoder *e) {
    const uint8_t *payload;
    size_t size;
    if (r->size == 0)
        r->size = 4;
    must(saggar_encoder_bytes(e, &payload, &size));
    sg_store16(r->bytes + r->size, kind);
    sg_store16(r->bytes + r->size + 2, 0);
    sg_store32(r->bytes + r->size + 4, (uint32_t)size);
    memcpy(r->bytes + r->size + 8, payload, size);
    r->size += 8 + size;
    sg_store32(r->bytes, ++r->n);
    saggar_encoder_reset(e);
}

static inline void raw_publish(saggar_cache *cache, int64_t n, const char *text,
                               const struct raw_records *requirements,
                               const struct raw_records *dependencies) {
    static const uint8_t none[4];
    uint8_t key[32], identity[32];
    const uint8_t *bytes;
    size_t size;
    struct sg_buf core, annex;
    saggar_recipe *recipe = make_recipe(n, key);
    must(saggar_recipe_finish(recipe, key, &bytes, &size));
    struct sg_raw_section sections[] = {
        {SG_SECTION_RECIPE, "", bytes, size},
        {SG_SECTION_REQUIREMENTS, "", requirements == NULL ? none : requirements->bytes,
         requirements == NULL ? 4 : requirements->size},
        {SG_SECTION_DEPENDENCIES, "", dependencies == NULL ? none : dependencies->bytes,
         dependencies == NULL ? 4 : dependencies->size},
        {SG_SECTION_PART, "object", (const uint8_t *)text, strlen(text)},
    };
    sg_buf_init(&core, 1 << 20);
    sg_buf_init(&annex, 1 << 20);
    must(sg_entry_encode(key, sections, 4, false, &core, identity));
    must(cache->stack.store->ops->publish(cache->stack.store, key, identity, &core, &annex));
    sg_buf_free(&core);
    sg_buf_free(&annex);
    saggar_recipe_free(recipe);
}

static inline void encode_text(saggar_encoder *e, const char *text) {
    must(saggar_encode_text(e, text, strlen(text)));
}

#endif
