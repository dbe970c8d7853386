/*
 * Offsets of an entry's head (docs/FORMAT.md section 4.1), shared by the files of this folder.
 */
#ifndef SG_ENTRY_LAYOUT_H
#define SG_ENTRY_LAYOUT_H

#include <string.h>

#include "base/bytes.h"
#include "entry/entry.h"

#define SG_ENTRY_MAGIC "\x89SGE\r\n\x1a\n"
#define SG_ENTRY_MAJOR 1u
#define SG_ENTRY_SECTIONS_MAX 256u
#define SG_SECTION_MAX ((uint64_t)16 << 20) /* recipe, group, requirements, dependencies */
#define SG_PART_MAX ((uint64_t)UINT32_MAX)
#define SG_CORE_MAX ((uint64_t)8 << 30)
#define SG_KIND_MUST 0x8000u

enum {
    SG_AT_MAGIC = 0,
    SG_AT_MAJOR = 8,
    SG_AT_MINOR = 10,
    SG_AT_COUNT = 12,
    SG_AT_SIZE = 16,
    SG_AT_ZERO1 = 24,
    SG_AT_KEY = 32,
    SG_AT_IDENTITY = 64,
    SG_AT_XXH = 96,
    SG_AT_ZERO2 = 112
};

enum {
    SG_ROW_KIND = 0,
    SG_ROW_CODEC = 2,
    SG_ROW_ZERO = 3,
    SG_ROW_OFFSET = 8,
    SG_ROW_STORED = 16,
    SG_ROW_RAW = 24,
    SG_ROW_SHA = 32,
    SG_ROW_XXH = 64,
    SG_ROW_NAME = 80
};

static inline unsigned sg_kind_order(uint16_t kind) {
    return kind & (unsigned)~SG_KIND_MUST;
}

/* Orders rows and raw sections: kind without the must-understand bit, then the name's bytes. */
static inline int sg_section_compare(uint16_t a, const char *a_name, uint16_t b, const char *b_name) {
    unsigned x = sg_kind_order(a), y = sg_kind_order(b);
    return x != y ? (x < y ? -1 : 1) : strcmp(a_name, b_name);
}

/* SHA-256 over "SGID", the key, and kind, raw length, digest and name of each row. */
int sg_entry_identity(const uint8_t *core, uint32_t sections, uint8_t identity[32]);
/* XXH128 of the head with its own field taken as zero. */
void sg_entry_head_xxh(const uint8_t *core, uint32_t sections, uint8_t out[16]);

/* The group's one value: a tuple of three texts. */
int sg_group_check(const uint8_t *value, size_t size);
/* A requirements or dependencies section: canonical form, kinds known where they must be, payloads as
 * specified. */
int sg_requirements_check(const uint8_t *section, size_t size);
int sg_dependencies_check(const uint8_t *section, size_t size);

#endif
