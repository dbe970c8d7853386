/*
 * Entries: opening a core, and handing out its sections verified.
 */
#include <stdlib.h>
#include <zstd.h>

#include "base/hash.h"
#include "entry/layout.h"
#include "key/recipe.h"
#include "key/value.h"

void sg_entry_section(const struct sg_entry_view *v, uint32_t i, struct sg_section *out) {
    const uint8_t *row = v->core + SG_ENTRY_HEADER + (size_t)i * SG_ENTRY_ROW;

    out->kind = sg_load16(row + SG_ROW_KIND);
    out->codec = row[SG_ROW_CODEC];
    out->offset = sg_load64(row + SG_ROW_OFFSET);
    out->stored = sg_load64(row + SG_ROW_STORED);
    out->raw = sg_load64(row + SG_ROW_RAW);
    out->sha256 = row + SG_ROW_SHA;
    out->xxh128 = row + SG_ROW_XXH;
    out->name = (const char *)row + SG_ROW_NAME;
}

int sg_entry_find(const struct sg_entry_view *v, uint16_t kind, const char *name, struct sg_section *out) {
    for (uint32_t i = 0; i < v->sections; i++) {
        sg_entry_section(v, i, out);
        if (out->kind == kind && (name == NULL || strcmp(out->name, name) == 0)) {
            return SAGGAR_OK;
        }
    }
    return SAGGAR_ENOTFOUND;
}

/* The name of a row: text without control characters, padded with zeros. Parts have one, kinds 1 to 4 do not.
 */
static bool name_ok(uint16_t kind, const char *name) {
    size_t n = strnlen(name, SG_ENTRY_NAME);

    if (n == SG_ENTRY_NAME || !sg_is_zero(name + n, SG_ENTRY_NAME - n)) {
        return false;
    }
    if (sg_kind_order(kind) <= SG_SECTION_PART && (kind == SG_SECTION_PART) != (n > 0)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)name[i] < 0x20 || name[i] == 0x7F) {
            return false;
        }
    }
    return sg_value_utf8(name, n);
}

static int known_kind(uint16_t kind) {
    switch (kind) {
    case SG_SECTION_RECIPE:
    case SG_SECTION_GROUP:
    case SG_SECTION_REQUIREMENTS:
    case SG_SECTION_DEPENDENCIES:
    case SG_SECTION_PART:
        return SAGGAR_OK;
    default:
        if (sg_kind_order(kind) <= SG_SECTION_PART) {
            return SAGGAR_ECORRUPT; /* a known kind with the wrong must-understand bit, or kind 0 */
        }
        return (kind & SG_KIND_MUST) != 0 ? SAGGAR_EUNKNOWN : SAGGAR_OK;
    }
}

static int check_row(const struct sg_entry_view *v, const struct sg_section *s, uint64_t *next) {
    uint64_t max = sg_kind_order(s->kind) < SG_SECTION_PART ? SG_SECTION_MAX : SG_PART_MAX, end;
    int status = known_kind(s->kind);

    if (status != SAGGAR_OK) {
        return status;
    }
    if (s->codec > 1) {
        return SAGGAR_EUNKNOWN;
    }
    if (!name_ok(s->kind, s->name) || s->raw > max || (s->codec == 0 && s->raw != s->stored) ||
        s->offset != *next || !sg_range_ok(s->offset, s->stored, v->size) ||
        !sg_align64(s->offset + s->stored, &end)) {
        return SAGGAR_ECORRUPT;
    }
    *next = end;
    return SAGGAR_OK;
}

/* The section table: order, extents, kinds, and the sections that must be there. */
static int check_table(const struct sg_entry_view *v) {
    uint64_t next = SG_ENTRY_HEADER + (uint64_t)v->sections * SG_ENTRY_ROW;
    struct sg_section s, last = {0};
    unsigned seen = 0;

    for (uint32_t i = 0; i < v->sections; i++, last = s) {
        sg_entry_section(v, i, &s);
        if (!sg_is_zero(v->core + SG_ENTRY_HEADER + (size_t)i * SG_ENTRY_ROW + SG_ROW_ZERO, 5)) {
            return SAGGAR_ECORRUPT;
        }
        int status = check_row(v, &s, &next);
        if (status != SAGGAR_OK) {
            return status;
        }
        if (i > 0 && sg_section_compare(last.kind, last.name, s.kind, s.name) >= 0) {
            return SAGGAR_ECORRUPT;
        }
        seen |= sg_kind_order(s.kind) < 8 ? 1u << sg_kind_order(s.kind) : 0;
    }
    unsigned must = 1u << 1 | 1u << 3 | 1u << 4;
    return next == v->size && (seen & must) == must ? SAGGAR_OK : SAGGAR_ECORRUPT;
}

int sg_entry_open(const uint8_t *bytes, uint64_t available, const uint8_t *key, struct sg_entry_view *out) {
    uint8_t xxh[16];

    if (available < 12 || memcmp(bytes, SG_ENTRY_MAGIC, 8) != 0) {
        return SAGGAR_ENOTSAGGAR;
    }
    if (sg_load16(bytes + SG_AT_MAJOR) > SG_ENTRY_MAJOR) {
        return SAGGAR_EVERSION;
    }
    if (available < SG_ENTRY_HEADER || sg_load16(bytes + SG_AT_MAJOR) != SG_ENTRY_MAJOR) {
        return SAGGAR_ECORRUPT;
    }
    struct sg_entry_view v = {.core = bytes,
                              .size = sg_load64(bytes + SG_AT_SIZE),
                              .key = bytes + SG_AT_KEY,
                              .identity = bytes + SG_AT_IDENTITY,
                              .sections = sg_load32(bytes + SG_AT_COUNT)};
    if (v.sections < 1 || v.sections > SG_ENTRY_SECTIONS_MAX || v.size > SG_CORE_MAX || v.size > available ||
        v.size % 64 != 0 || v.size < SG_ENTRY_HEADER + (uint64_t)v.sections * SG_ENTRY_ROW ||
        !sg_is_zero(bytes + SG_AT_ZERO1, 8) || !sg_is_zero(bytes + SG_AT_ZERO2, 16)) {
        return SAGGAR_ECORRUPT;
    }
    sg_entry_head_xxh(bytes, v.sections, xxh);
    if (memcmp(xxh, bytes + SG_AT_XXH, sizeof xxh) != 0) {
        return SAGGAR_ECORRUPT;
    }
    int status = check_table(&v);
    if (status != SAGGAR_OK) {
        return status;
    }
    if (key != NULL && memcmp(key, v.key, 32) != 0) {
        return SAGGAR_EINVAL;
    }
    *out = v;
    return SAGGAR_OK;
}

/* The raw bytes of one zstd frame; exactly `raw` of them. */
static int expand(const struct sg_section *s, const uint8_t *stored, uint8_t **owned) {
    /* Frames to be skipped, and those of formats before the standard, have another magic number. */
    if (s->stored < 4 || sg_load32(stored) != ZSTD_MAGICNUMBER) {
        return SAGGAR_ECORRUPT;
    }
    unsigned long long said = ZSTD_getFrameContentSize(stored, (size_t)s->stored);

    if (said != s->raw || ZSTD_findFrameCompressedSize(stored, (size_t)s->stored) != s->stored) {
        return SAGGAR_ECORRUPT;
    }
    *owned = malloc(s->raw > 0 ? (size_t)s->raw : 1);
    if (*owned == NULL) {
        return SAGGAR_ENOMEM;
    }
    size_t n = ZSTD_decompress(*owned, (size_t)s->raw, stored, (size_t)s->stored);
    if (ZSTD_isError(n) || n != s->raw) {
        free(*owned);
        *owned = NULL;
        return SAGGAR_ECORRUPT;
    }
    return SAGGAR_OK;
}

int sg_entry_bytes(const struct sg_entry_view *v, const struct sg_section *s, enum sg_strength strength,
                   const uint8_t **data, size_t *size, uint8_t **owned) {
    const uint8_t *stored = v->core + s->offset;
    uint8_t digest[32];
    int status = SAGGAR_OK;

    *owned = NULL;
    sg_xxh128(digest, stored, (size_t)s->stored);
    if (memcmp(digest, s->xxh128, 16) != 0) {
        return SAGGAR_ECORRUPT;
    }
    if (s->codec == 1) {
        status = expand(s, stored, owned);
    }
    const uint8_t *raw = *owned != NULL ? *owned : stored;
    if (status == SAGGAR_OK && strength == SG_FULL) {
        status = sg_sha256(digest, raw, (size_t)s->raw);
        if (status == SAGGAR_OK && memcmp(digest, s->sha256, 32) != 0) {
            status = SAGGAR_ECORRUPT;
        }
    }
    if (status != SAGGAR_OK) {
        free(*owned);
        *owned = NULL;
        return status;
    }
    *data = raw;
    *size = (size_t)s->raw;
    return SAGGAR_OK;
}

/* The content of a section against its kind. */
static int check_content(const struct sg_entry_view *v, const struct sg_section *s, const uint8_t *data,
                         size_t size) {
    uint8_t key[32];
    int status;

    switch (s->kind) {
    case SG_SECTION_RECIPE:
        status = sg_recipe_check(data, size);
        if (status == SAGGAR_OK) {
            status = sg_sha256(key, data, size);
        }
        return status == SAGGAR_OK && memcmp(key, v->key, 32) != 0 ? SAGGAR_ECORRUPT : status;
    case SG_SECTION_GROUP:
        return sg_group_check(data, size);
    case SG_SECTION_REQUIREMENTS:
        return sg_requirements_check(data, size);
    case SG_SECTION_DEPENDENCIES:
        return sg_dependencies_check(data, size);
    default:
        return SAGGAR_OK;
    }
}

int sg_entry_check(const struct sg_entry_view *v) {
    uint8_t identity[32];
    int status = sg_entry_identity(v->core, v->sections, identity);

    if (status == SAGGAR_OK && memcmp(identity, v->identity, 32) != 0) {
        return SAGGAR_ECORRUPT;
    }
    for (uint32_t i = 0; i < v->sections && status == SAGGAR_OK; i++) {
        struct sg_section s;
        const uint8_t *data;
        size_t size;
        uint8_t *owned;
        sg_entry_section(v, i, &s);
        status = sg_entry_bytes(v, &s, SG_FULL, &data, &size, &owned);
        if (status == SAGGAR_OK) {
            uint64_t end = s.offset + s.stored, padded = 0;
            sg_align64(end, &padded);
            status = sg_is_zero(v->core + end, (size_t)(padded - end)) ? check_content(v, &s, data, size)
                                                                       : SAGGAR_ECORRUPT;
            free(owned);
        }
    }
    return status;
}
