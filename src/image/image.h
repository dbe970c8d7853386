/*
 * Images: one read-only, canonical file of entries (docs/FORMAT.md section 5).
 *
 * reader.c  the tier: open, find, each. It owns the mapping, which lives until the last candidate is
 * released. writer.c  saggar_image_writer_*: the only code that makes images. check.c   the full check: every
 * digest, padding and order. layout.c  what these three share: where the parts lie, the header, an index row.
 *
 * A file that somebody shortens in place while it is mapped raises SIGBUS: images are replaced by rename,
 * never rewritten. On network file systems they are read into private memory instead of being mapped.
 */
#ifndef SG_IMAGE_IMAGE_H
#define SG_IMAGE_IMAGE_H

#include "entry/tier.h"

/**
 * Opens an image as a tier. Always gives a tier (unless ENOMEM, or EINVAL for an empty path): one that is
 * missing, damaged or not trusted has active == false and a note. Reads the header and nothing that grows
 * with the number of entries. ops->close() gives it back.
 */
int sg_image_open(const char *path, struct sg_tier **out);
/** The same for an image found under share/saggar of a prefix (may be NULL), whose owner is trusted too. */
int sg_image_open_under(const char *path, const char *prefix, struct sg_tier **out);

/** What `show` and `stat` print of an open, active image. The pointer lives as long as the tier. */
struct sg_image_info {
    uint64_t size;
    uint64_t entries;
    uint8_t root[32];
    const uint8_t *provenance; /**< one ordered map of texts, verified; NULL if there is none */
    size_t provenance_size;
};
/** EINVAL: not an active image. ECORRUPT: the provenance's block is damaged (the rest of `out` is filled in).
 */
int sg_image_info(struct sg_tier *tier, struct sg_image_info *out);

/**
 * The full check of a file, trusted or not: nothing in it is used but its bytes. Each finding is handed out:
 * its error, the index row it is about (or SG_IMAGE_WHOLE, then `key` is NULL), and a few words. A callback
 * that does not return 0 ends the check, which then returns that value. OK: nothing found; else the first
 * finding's error.
 */
#define SG_IMAGE_WHOLE UINT64_MAX
typedef int sg_image_finding(void *context, int error, uint64_t row, const uint8_t *key, const char *what);
int sg_image_check(const char *path, sg_image_finding *finding, void *context, struct sg_image_info *info);

/* ---- Shared by reader, writer and check
 * ----------------------------------------------------------------------------- */

#define SG_IMAGE_HEADER 256u
#define SG_IMAGE_BLOCK 65536u
#define SG_IMAGE_ROW 128u
#define SG_IMAGE_BLOCK_ROW 48u
#define SG_IMAGE_MAX_ENTRIES UINT64_C(0x7fffffff)
#define SG_IMAGE_MAX_PROVENANCE (UINT64_C(16) << 20)

/** Offsets of an index row. */
enum {
    SG_ROW_KEY = 0,
    SG_ROW_IDENTITY = 32,
    SG_ROW_FEATURES = 64,
    SG_ROW_OFFSET = 96,
    SG_ROW_SIZE = 104,
    SG_ROW_GROUP = 112,
    SG_ROW_ARCH = 120,
    SG_ROW_PROVENANCE = 121,
    SG_ROW_FLAGS = 122,
    SG_ROW_ZERO = 123
};

/** Bits of a row's flags. */
enum { SG_ROW_UNKNOWN_FEATURES = 1, SG_ROW_DEPENDENCIES = 2 };

/** Where the parts lie. All of it follows from the number of entries and the length of the provenance. */
struct sg_image_layout {
    uint64_t entries;
    uint32_t bits;
    uint64_t index;
    uint64_t provenance, provenance_size;
    uint64_t list;   /**< the block list */
    uint64_t blocks; /**< number of blocks */
    uint64_t first;  /**< the first entry */
    uint64_t size;   /**< of the file */
};

/** Everything but `size`. ELIMIT. */
int sg_image_layout(uint64_t entries, uint64_t provenance_size, struct sg_image_layout *out);
/** Writes the 256 bytes, with the XXH128. */
void sg_image_header_write(const struct sg_image_layout *l, const uint8_t root[32],
                           uint8_t header[SG_IMAGE_HEADER]);
/** Checks a header against the size of its file. ENOTSAGGAR, EVERSION, ECORRUPT, ELIMIT. */
int sg_image_header_read(const uint8_t *header, uint64_t available, uint64_t file_size,
                         struct sg_image_layout *out);
/** The root over a header and the SHA-256s of the block list's rows. */
int sg_image_root(const uint8_t header[SG_IMAGE_HEADER], const uint8_t *list, uint64_t blocks,
                  uint8_t root[32]);
#define SG_IMAGE_ROOT 96u /**< where the root stands in the header */
/** The length of block i: the last one may be shorter. */
size_t sg_image_block_size(const struct sg_image_layout *l, uint64_t i);
/** The index row that an entry has to have. Reads its requirements, dependencies and group with `strength`.
 */
int sg_image_row(const struct sg_entry_view *v, enum sg_strength strength, uint64_t offset,
                 uint8_t row[SG_IMAGE_ROW]);

/** A whole file in memory: mapped, or read where a mapping may fault. */
struct sg_image_bytes {
    uint8_t *base;
    size_t size;
};
int sg_image_load(int fd, uint64_t size, struct sg_image_bytes *out);
void sg_image_unload(struct sg_image_bytes *b);

#endif
