/*
 * Entries: writing the core.
 *
 * Input sections are the caller's; the output is one buffer with every padding zero. The same sections give
 * the same bytes, in whatever order they come, except where `compress` lets a version of zstd have a say; the
 * identity never depends on it.
 */
#include <stdlib.h>
#include <zstd.h>

#include "base/hash.h"
#include "entry/layout.h"

enum { COMPRESS_MIN = 4096, COMPRESS_LEVEL = 3 };

int sg_entry_identity(const uint8_t *core, uint32_t sections, uint8_t identity[32]) {
    static const uint8_t domain[8] = {'S', 'G', 'I', 'D', 0, 1, 0, 0};
    struct sg_sha256_ctx ctx;

    sg_sha256_init(&ctx);
    sg_sha256_update(&ctx, domain, sizeof domain);
    sg_sha256_update(&ctx, core + SG_AT_KEY, 32);
    for (uint32_t i = 0; i < sections; i++) {
        const uint8_t *row = core + SG_ENTRY_HEADER + (size_t)i * SG_ENTRY_ROW;
        sg_sha256_update(&ctx, row + SG_ROW_KIND, 2);
        sg_sha256_update(&ctx, row + SG_ROW_RAW, 8);
        sg_sha256_update(&ctx, row + SG_ROW_SHA, 32);
        sg_sha256_update(&ctx, row + SG_ROW_NAME, SG_ENTRY_NAME);
    }
    return sg_sha256_final(&ctx, identity);
}

void sg_entry_head_xxh(const uint8_t *core, uint32_t sections, uint8_t out[16]) {
    uint8_t head[SG_ENTRY_HEADER + SG_ENTRY_SECTIONS_MAX * SG_ENTRY_ROW];
    size_t size = SG_ENTRY_HEADER + (size_t)sections * SG_ENTRY_ROW;

    memcpy(head, core, size);
    memset(head + SG_AT_XXH, 0, 16);
    sg_xxh128(out, head, size);
}

static int compare_raw(const void *a, const void *b) {
    const struct sg_raw_section *x = a, *y = b;
    return sg_section_compare(x->kind, x->name, y->kind, y->name);
}

/* One zstd frame into `out` if that saves an eighth; else `out` stays empty. */
static int squeeze(const struct sg_raw_section *s, struct sg_buf *out) {
    size_t bound = ZSTD_compressBound(s->size);

    if (sg_buf_reserve(out, bound) != SAGGAR_OK) {
        return out->err;
    }
    size_t n = ZSTD_compress(out->data, bound, s->data, s->size, COMPRESS_LEVEL);
    out->len = ZSTD_isError(n) || n > s->size - s->size / 8 ? 0 : n;
    return SAGGAR_OK;
}

/* Appends the stored bytes of a section and fills in its row. */
static int add_section(const struct sg_raw_section *s, bool compress, struct sg_buf *out, size_t row_at) {
    struct sg_buf packed;
    uint8_t row[SG_ENTRY_ROW] = {0};
    int status = sg_sha256(row + SG_ROW_SHA, s->data, s->size);

    sg_buf_init(&packed, SIZE_MAX / 2);
    if (status == SAGGAR_OK && compress && s->size >= COMPRESS_MIN) {
        status = squeeze(s, &packed);
    }
    if (status == SAGGAR_OK) {
        const uint8_t *stored = packed.len > 0 ? packed.data : s->data;
        size_t n = packed.len > 0 ? packed.len : s->size;
        sg_store16(row + SG_ROW_KIND, s->kind);
        row[SG_ROW_CODEC] = packed.len > 0;
        sg_store64(row + SG_ROW_OFFSET, out->len);
        sg_store64(row + SG_ROW_STORED, n);
        sg_store64(row + SG_ROW_RAW, s->size);
        sg_xxh128(row + SG_ROW_XXH, stored, n);
        memcpy(row + SG_ROW_NAME, s->name, strlen(s->name));
        sg_buf_add(out, stored, n);
        status = sg_buf_pad64(out);
    }
    if (status == SAGGAR_OK) {
        memcpy(out->data + row_at, row, sizeof row);
    }
    sg_buf_free(&packed);
    return status;
}

static int check_limits(const struct sg_raw_section *sections, uint32_t n) {
    uint64_t total = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t max = sections[i].kind == SG_SECTION_PART ? SG_PART_MAX : SG_SECTION_MAX;
        if (sections[i].size > max || strlen(sections[i].name) >= SG_ENTRY_NAME) {
            return SAGGAR_ELIMIT;
        }
        total += sections[i].size;
    }
    /* The head and the paddings are less than a MiB. */
    return n >= 1 && n <= SG_ENTRY_SECTIONS_MAX && total <= SG_CORE_MAX - ((uint64_t)1 << 20) ? SAGGAR_OK
                                                                                              : SAGGAR_ELIMIT;
}

int sg_entry_encode(const uint8_t key[32], const struct sg_raw_section *sections, uint32_t n, bool compress,
                    struct sg_buf *out, uint8_t identity[32]) {
    int status = check_limits(sections, n);

    if (status != SAGGAR_OK) {
        return status;
    }
    struct sg_raw_section *sorted = malloc(n * sizeof *sorted);
    if (sorted == NULL) {
        return SAGGAR_ENOMEM;
    }
    memcpy(sorted, sections, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_raw);
    out->len = 0;
    status = sg_buf_zeros(out, SG_ENTRY_HEADER + (size_t)n * SG_ENTRY_ROW);
    for (uint32_t i = 0; i < n && status == SAGGAR_OK; i++) {
        if (i > 0 && compare_raw(&sorted[i - 1], &sorted[i]) == 0) {
            status = SAGGAR_EINVAL;
        } else {
            status = add_section(&sorted[i], compress, out, SG_ENTRY_HEADER + (size_t)i * SG_ENTRY_ROW);
        }
    }
    free(sorted);
    if (status != SAGGAR_OK) {
        return status;
    }
    memcpy(out->data + SG_AT_MAGIC, SG_ENTRY_MAGIC, 8);
    sg_store16(out->data + SG_AT_MAJOR, SG_ENTRY_MAJOR);
    sg_store32(out->data + SG_AT_COUNT, n);
    sg_store64(out->data + SG_AT_SIZE, out->len);
    memcpy(out->data + SG_AT_KEY, key, 32);
    status = sg_entry_identity(out->data, n, out->data + SG_AT_IDENTITY);
    sg_entry_head_xxh(out->data, n, out->data + SG_AT_XXH);
    if (status == SAGGAR_OK && identity != NULL) {
        memcpy(identity, out->data + SG_AT_IDENTITY, 32);
    }
    return status;
}

int sg_entry_decompress(const struct sg_entry_view *v, struct sg_buf *out) {
    struct sg_raw_section *raw = calloc(v->sections, sizeof *raw);
    uint8_t **owned = calloc(v->sections, sizeof *owned);
    int status = raw != NULL && owned != NULL ? SAGGAR_OK : SAGGAR_ENOMEM;
    uint8_t identity[32];

    for (uint32_t i = 0; i < v->sections && status == SAGGAR_OK; i++) {
        struct sg_section s;
        sg_entry_section(v, i, &s);
        raw[i].kind = s.kind;
        raw[i].name = s.name;
        status = sg_entry_bytes(v, &s, SG_FULL, &raw[i].data, &raw[i].size, &owned[i]);
    }
    if (status == SAGGAR_OK) {
        status = sg_entry_encode(v->key, raw, v->sections, false, out, identity);
    }
    if (status == SAGGAR_OK && memcmp(identity, v->identity, 32) != 0) {
        status = SAGGAR_ECORRUPT;
    }
    for (uint32_t i = 0; owned != NULL && i < v->sections; i++) {
        free(owned[i]);
    }
    free(owned);
    free(raw);
    return status;
}
