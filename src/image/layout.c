/*
 * Where the parts of an image lie, its header, its root and an index row: what reader, writer and check
 * share.
 *
 * Everything but the root follows from two numbers (entries, length of the provenance), so a header is
 * checked by computing it again. Nothing here owns memory or trusts a number that it has not compared.
 */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"

static const uint8_t magic[8] = {0x89, 'S', 'G', 'I', 0x0d, 0x0a, 0x1a, 0x0a};

enum {
    AT_MAJOR = 8,
    AT_MINOR = 10,
    AT_HEADER = 12,
    AT_SIZE = 16,
    AT_ENTRIES = 24,
    AT_BITS = 32,
    AT_BLOCK = 36,
    AT_TABLE = 40,
    AT_INDEX = 48,
    AT_PROVENANCE = 56,
    AT_PROVENANCE_SIZE = 64,
    AT_LIST = 72,
    AT_BLOCKS = 80,
    AT_FIRST = 88,
    AT_ROOT = 96,
    AT_XXH = 128,
    AT_ZERO = 144
};

static uint64_t pad64(uint64_t v) {
    return (v + 63) & ~UINT64_C(63);
}

/* With both limits checked, no sum below comes near 2^64. */
int sg_image_layout(uint64_t entries, uint64_t provenance_size, struct sg_image_layout *out) {
    if (entries > SG_IMAGE_MAX_ENTRIES || provenance_size > SG_IMAGE_MAX_PROVENANCE)
        return SAGGAR_ELIMIT;
    uint32_t bits = 0;
    while ((UINT64_C(1) << bits) < entries)
        bits++;
    out->entries = entries;
    out->bits = bits;
    out->index = SG_IMAGE_HEADER + pad64(4 * ((UINT64_C(1) << bits) + 1));
    out->provenance = out->index + SG_IMAGE_ROW * entries;
    out->provenance_size = provenance_size;
    out->list = pad64(out->provenance + provenance_size);
    out->blocks = (out->list - SG_IMAGE_HEADER + SG_IMAGE_BLOCK - 1) / SG_IMAGE_BLOCK;
    out->first = pad64(out->list + SG_IMAGE_BLOCK_ROW * out->blocks);
    out->size = out->first;
    return SAGGAR_OK;
}

static void header_xxh(const uint8_t *header, uint8_t digest[16]) {
    uint8_t copy[SG_IMAGE_HEADER];
    memcpy(copy, header, sizeof copy);
    memset(copy + AT_XXH, 0, 16);
    sg_xxh128(digest, copy, sizeof copy);
}

void sg_image_header_write(const struct sg_image_layout *l, const uint8_t root[32],
                           uint8_t header[SG_IMAGE_HEADER]) {
    memset(header, 0, SG_IMAGE_HEADER);
    memcpy(header, magic, sizeof magic);
    sg_store16(header + AT_MAJOR, 1);
    sg_store16(header + AT_MINOR, 0);
    sg_store32(header + AT_HEADER, SG_IMAGE_HEADER);
    sg_store64(header + AT_SIZE, l->size);
    sg_store64(header + AT_ENTRIES, l->entries);
    sg_store32(header + AT_BITS, l->bits);
    sg_store32(header + AT_BLOCK, SG_IMAGE_BLOCK);
    sg_store64(header + AT_TABLE, SG_IMAGE_HEADER);
    sg_store64(header + AT_INDEX, l->index);
    sg_store64(header + AT_PROVENANCE, l->provenance);
    sg_store64(header + AT_PROVENANCE_SIZE, l->provenance_size);
    sg_store64(header + AT_LIST, l->list);
    sg_store64(header + AT_BLOCKS, l->blocks);
    sg_store64(header + AT_FIRST, l->first);
    memcpy(header + AT_ROOT, root, 32);
    header_xxh(header, header + AT_XXH);
}

/* A file cut short inside the magic still counts as ours when what is there agrees. */
static int check_start(const uint8_t *header, uint64_t available) {
    size_t n = available < sizeof magic ? (size_t)available : sizeof magic;
    if (n == 0 || memcmp(header, magic, n) != 0)
        return SAGGAR_ENOTSAGGAR;
    if (available < AT_MINOR)
        return SAGGAR_ECORRUPT;
    uint16_t major = sg_load16(header + AT_MAJOR);
    if (major > 1)
        return SAGGAR_EVERSION;
    return major == 1 && available >= SG_IMAGE_HEADER ? SAGGAR_OK : SAGGAR_ECORRUPT;
}

int sg_image_header_read(const uint8_t *header, uint64_t available, uint64_t file_size,
                         struct sg_image_layout *out) {
    int err = check_start(header, available);
    if (err != SAGGAR_OK)
        return err;
    uint8_t digest[16];
    header_xxh(header, digest);
    if (memcmp(digest, header + AT_XXH, 16) != 0)
        return SAGGAR_ECORRUPT;
    struct sg_image_layout l;
    err = sg_image_layout(sg_load64(header + AT_ENTRIES), sg_load64(header + AT_PROVENANCE_SIZE), &l);
    if (err != SAGGAR_OK)
        return err;
    l.size = sg_load64(header + AT_SIZE);
    if (l.size != file_size || l.size < l.first || l.size % 64 != 0 || (l.entries == 0 && l.size != l.first))
        return SAGGAR_ECORRUPT;
    uint8_t expected[SG_IMAGE_HEADER];
    sg_image_header_write(&l, header + AT_ROOT, expected);
    memcpy(expected + AT_MINOR, header + AT_MINOR, 2);
    memcpy(expected + AT_XXH, header + AT_XXH, 16);
    if (memcmp(expected, header, SG_IMAGE_HEADER) != 0)
        return SAGGAR_ECORRUPT;
    *out = l;
    return SAGGAR_OK;
}

size_t sg_image_block_size(const struct sg_image_layout *l, uint64_t i) {
    uint64_t left = l->list - SG_IMAGE_HEADER - i * SG_IMAGE_BLOCK;
    return left < SG_IMAGE_BLOCK ? (size_t)left : SG_IMAGE_BLOCK;
}

int sg_image_root(const uint8_t header[SG_IMAGE_HEADER], const uint8_t *list, uint64_t blocks,
                  uint8_t root[32]) {
    uint8_t blank[SG_IMAGE_HEADER];
    memcpy(blank, header, sizeof blank);
    memset(blank + AT_ROOT, 0, AT_ZERO - AT_ROOT);
    struct sg_sha256_ctx ctx;
    int err = sg_sha256_init(&ctx);
    if (err == SAGGAR_OK)
        err = sg_sha256_update(&ctx, blank, sizeof blank);
    for (uint64_t i = 0; err == SAGGAR_OK && i < blocks; i++)
        err = sg_sha256_update(&ctx, list + i * SG_IMAGE_BLOCK_ROW, 32);
    if (err == SAGGAR_OK)
        return sg_sha256_final(&ctx, root);
    sg_sha256_free(&ctx);
    return err;
}

/* True if a raw records section (4.1: u32 count, records) holds any. */
static bool has_records(const uint8_t *data, size_t size) {
    return size >= 4 && sg_load32(data) != 0;
}

static int section_of(const struct sg_entry_view *v, uint16_t kind, enum sg_strength strength,
                      const uint8_t **data, size_t *size, uint8_t **owned) {
    struct sg_section s;
    *owned = NULL;
    int err = sg_entry_find(v, kind, NULL, &s);
    return err == SAGGAR_OK ? sg_entry_bytes(v, &s, strength, data, size, owned) : err;
}

static uint8_t arch_byte(uint8_t arch) {
    return arch == SAGGAR_ARCH_ANY || arch == SAGGAR_ARCH_X86_64 || arch == SAGGAR_ARCH_AARCH64
               ? arch
               : SAGGAR_ARCH_OTHER;
}

int sg_image_row(const struct sg_entry_view *v, enum sg_strength strength, uint64_t offset,
                 uint8_t row[SG_IMAGE_ROW]) {
    memset(row, 0, SG_IMAGE_ROW);
    memcpy(row + SG_ROW_KEY, v->key, 32);
    memcpy(row + SG_ROW_IDENTITY, v->identity, 32);
    sg_store64(row + SG_ROW_OFFSET, offset);
    sg_store64(row + SG_ROW_SIZE, v->size);

    struct sg_requirements r;
    int err = sg_entry_requirements(v, strength, &r);
    if (err != SAGGAR_OK)
        return err;
    for (size_t i = 0; i < 4; i++)
        sg_store64(row + SG_ROW_FEATURES + 8 * i, r.features.word[i]);
    row[SG_ROW_ARCH] = arch_byte(r.arch);
    row[SG_ROW_PROVENANCE] = r.provenance;
    if (r.unknown != NULL && r.unknown[0] != '\0')
        row[SG_ROW_FLAGS] |= SG_ROW_UNKNOWN_FEATURES;
    sg_requirements_free(&r);

    const uint8_t *data;
    size_t size;
    uint8_t *owned;
    err = section_of(v, SG_SECTION_DEPENDENCIES, strength, &data, &size, &owned);
    if (err != SAGGAR_OK)
        return err;
    if (has_records(data, size))
        row[SG_ROW_FLAGS] |= SG_ROW_DEPENDENCIES;
    free(owned);

    err = section_of(v, SG_SECTION_GROUP, strength, &data, &size, &owned);
    if (err == SAGGAR_OK) {
        sg_store64(row + SG_ROW_GROUP, sg_xxh64(data, size));
        free(owned);
    }
    return err == SAGGAR_ENOTFOUND ? SAGGAR_OK : err;
}
