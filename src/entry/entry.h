/*
 * One entry: encode, decode, check (docs/FORMAT.md section 4).
 *
 * A view never owns memory: it points into bytes that somebody else (a mapped image, a store file read into private
 * memory, a draft) keeps alive. Opening a view checks the head completely, so that every later access is inside the
 * core; sections are checked when they are asked for.
 */
#ifndef SG_ENTRY_ENTRY_H
#define SG_ENTRY_ENTRY_H

#include <saggar/saggar.h>

#include "base/buf.h"

#define SG_ENTRY_HEADER 128u
#define SG_ENTRY_ROW 128u
#define SG_ENTRY_NAME 48u

enum sg_section_kind {
    SG_SECTION_RECIPE = 0x8001,
    SG_SECTION_GROUP = 0x0002,
    SG_SECTION_REQUIREMENTS = 0x8003,
    SG_SECTION_DEPENDENCIES = 0x8004,
    SG_SECTION_PART = 0x0005
};

enum sg_requirement_kind {
    SG_REQUIRE_ARCH = 0x8001,
    SG_REQUIRE_FEATURES = 0x8002,
    SG_REQUIRE_SYMBOLS = 0x8003,
    SG_REQUIRE_LIBRARY = 0x8004,
    SG_REQUIRE_NEEDED = 0x8005
};

enum sg_dependency_kind {
    SG_DEPEND_FILE = 0x8001,
    SG_DEPEND_DISTRIBUTION = 0x8002,
    SG_DEPEND_VALUE = 0x8003,
    SG_DEPEND_CODE = 0x8004,
    SG_DEPEND_ENTRY = 0x8005
};

/** How much is verified before bytes are handed out: XXH128 for trusted tiers, SHA-256 for everything else and `check`. */
enum sg_strength { SG_FAST, SG_FULL };

struct sg_entry_view {
    const uint8_t *core;     /**< `size` bytes, not owned */
    uint64_t size;           /**< size of the core, without an annex */
    const uint8_t *key;      /**< into core, 32 bytes */
    const uint8_t *identity; /**< into core, 32 bytes */
    uint32_t sections;
};

struct sg_section {
    uint16_t kind;
    uint8_t codec;
    uint64_t offset, stored, raw;
    const uint8_t *sha256, *xxh128; /**< into the core */
    const char *name;               /**< into the core, zero-terminated (at most 47 bytes) */
};

/**
 * Opens the core that starts at `bytes`, of which `available` bytes can be read. Checks magic, version, sizes, XXH128 of the
 * head, the section table, order, paddings of the head, and the mandatory sections. With `key` not NULL the entry's key
 * must be equal (EINVAL if it is not). Errors: ENOTSAGGAR, EVERSION, EUNKNOWN, ECORRUPT, ELIMIT.
 */
int sg_entry_open(const uint8_t *bytes, uint64_t available, const uint8_t *key, struct sg_entry_view *out);

/** Row i of the section table (i < sections). */
void sg_entry_section(const struct sg_entry_view *v, uint32_t i, struct sg_section *out);
/** The section of a kind (and name, for parts; else NULL). ENOTFOUND. */
int sg_entry_find(const struct sg_entry_view *v, uint16_t kind, const char *name, struct sg_section *out);

/**
 * A section's raw bytes, verified. For codec 0 `*data` points into the core and `*owned` is NULL; for codec 1 `*owned` is
 * malloc'd memory that the caller frees. ECORRUPT, ENOMEM, ELIMIT.
 */
int sg_entry_bytes(const struct sg_entry_view *v, const struct sg_section *s, enum sg_strength strength,
                   const uint8_t **data, size_t *size, uint8_t **owned);

/** Every digest, the identity, the key against the recipe, canonical form of all sections, all paddings. */
int sg_entry_check(const struct sg_entry_view *v);

/** The three texts of the group, malloc'd copies (the caller frees each). ENOTFOUND if there is none. */
int sg_entry_group(const struct sg_entry_view *v, char **compiler, char **module, char **qualname);
/** "compiler:module:qualname", malloc'd. ENOTFOUND if there is none. */
int sg_entry_group_text(const struct sg_entry_view *v, char **out);

/** Decoded requirements. `symbols` and `libraries` stay encoded (their record's payload), NULL if there are none. */
struct sg_requirements {
    uint8_t arch; /**< saggar_arch */
    bool abi_ok;  /**< the ABI is `any` or this build's */
    uint8_t provenance;
    saggar_features features;
    char *unknown;           /**< comma-separated names without an index, malloc'd, or NULL */
    const uint8_t *symbols;  /**< into the section */
    size_t symbols_size;
    const uint8_t *section;  /**< the raw section, for libraries and printing */
    size_t section_size;
    uint8_t *owned;          /**< private */
};
int sg_entry_requirements(const struct sg_entry_view *v, enum sg_strength strength, struct sg_requirements *out);
void sg_requirements_free(struct sg_requirements *r);

/** Calls `each` for each record of a requirements or dependencies section, in order; stops at non-zero and returns it. */
int sg_records_each(const uint8_t *section, size_t size,
                    int (*each)(void *context, uint16_t kind, const uint8_t *payload, size_t n), void *context);

/** The annex that follows a core in a store file: its one canonical value, or ENOTFOUND (none, or damaged). */
int sg_annex_find(const uint8_t *bytes, uint64_t size, uint64_t core_size, const uint8_t **value, size_t *n);

/**
 * Encodes a core from raw sections (any order; sorted here). `compress`: store sections of 4 KiB and more as zstd where
 * that saves at least an eighth. Checks nothing but limits: the caller gives canonical sections.
 */
struct sg_raw_section {
    uint16_t kind;
    const char *name; /**< for parts, else "" */
    const uint8_t *data;
    size_t size;
};
int sg_entry_encode(const uint8_t key[32], const struct sg_raw_section *sections, uint32_t n, bool compress,
                    struct sg_buf *out, uint8_t identity[32]);
/** The same entry with codec 0 throughout (for images). */
int sg_entry_decompress(const struct sg_entry_view *v, struct sg_buf *out);

/** True if the draft has a requirement of the kind. */
bool sg_draft_requires(const saggar_draft *d, uint16_t kind);
/**
 * Adds a needed library: its soname, the versions of it that are needed (sorted in place), and whether it must be found
 * where the entry is used.
 */
int sg_draft_needed(saggar_draft *d, const char *soname, char **versions, size_t n, bool must_be_found);

/** Draft internals that the store needs: the core and the annex bytes to write after it. */
int sg_draft_build(saggar_draft *d, bool compress, struct sg_buf *core, struct sg_buf *annex, uint8_t key[32],
                   uint8_t identity[32]);

#endif
