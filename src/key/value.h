/*
 * Canonical values (docs/FORMAT.md section 2): tokens, the check, and reading simple members.
 *
 * Everything here reads bytes that somebody else keeps alive, never past their end, and copies nothing. A
 * token is the tag of a value with what belongs to that tag alone: a whole scalar, or the opening of a
 * container. Tokens are checked one by one; order, uniqueness, nesting and the forms of dtypes and arrays are
 * checked by sg_value_size() only.
 */
#ifndef SG_KEY_VALUE_H
#define SG_KEY_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Sizes of one value, recipe, group, requirement or dependency section; nesting of a value. */
#define SG_VALUE_MAX ((size_t)16 << 20)
#define SG_VALUE_DEPTH 128u

enum sg_tag {
    SG_TAG_NONE = 0x00,
    SG_TAG_FALSE = 0x01,
    SG_TAG_TRUE = 0x02,
    SG_TAG_INT = 0x03,
    SG_TAG_BIGINT = 0x04,
    SG_TAG_FLOAT = 0x05,
    SG_TAG_COMPLEX = 0x06,
    SG_TAG_BYTES = 0x07,
    SG_TAG_TEXT = 0x08,
    SG_TAG_LIST = 0x09,
    SG_TAG_TUPLE = 0x0A,
    SG_TAG_SET = 0x0B,
    SG_TAG_FROZENSET = 0x0C,
    SG_TAG_MAP = 0x0D,
    SG_TAG_ORDERED_MAP = 0x0E,
    SG_TAG_RECORD = 0x0F,
    SG_TAG_DTYPE = 0x10,
    SG_TAG_ARRAY = 0x11,
    SG_TAG_DIGEST = 0x12,
    SG_TAG_BACK_REFERENCE = 0x13,
    SG_TAG_ARRAY_SCALAR = 0x14
};

/** True if the bytes are UTF-8 as section 1 has it: surrogates are let through as three bytes each. */
bool sg_value_utf8(const void *text, size_t n);
/** True if the magnitude (least significant byte first, last byte not zero) does not fit an i64. */
bool sg_value_is_big(bool negative, const uint8_t *magnitude, size_t n);
/** Compares as byte strings; a proper prefix is less. */
int sg_value_compare(const uint8_t *a, size_t na, const uint8_t *b, size_t nb);

/** Where a reader stands. The first failure sticks in `err` (ECORRUPT) and moves `p` to `end`. */
struct sg_cursor {
    const uint8_t *p, *end;
    int err;
};

/**
 * One token. `data` and `size`: bytes, text, a big integer's magnitude, a record's type name, the name of
 * what was digested. `count`: members of a container, pairs for maps and records; the level of a back
 * reference; the sign of a big integer. `word`: an integer, the bits of a float and of a complex.
 */
struct sg_token {
    uint8_t tag;
    uint32_t count;
    const uint8_t *data;
    size_t size;
    uint64_t word[2];
    const uint8_t *digest;
};

void sg_cursor_init(struct sg_cursor *c, const void *bytes, size_t size);
/** False (and c->err) at the end or if the bytes are not a token. */
bool sg_cursor_token(struct sg_cursor *c, struct sg_token *out);
/** A `text` without a tag: a record's field name. */
bool sg_cursor_name(struct sg_cursor *c, const uint8_t **text, size_t *n);
/** What follows the dtype value of an array (order, flags, extents, items) or of an array scalar (items
 * only). */
struct sg_array_data {
    uint8_t order, flags;
    uint32_t ndim;
    const uint8_t *extents; /**< ndim times u64, unaligned */
    const uint8_t *items;
    size_t size;
};
bool sg_cursor_array(struct sg_cursor *c, bool scalar, struct sg_array_data *out);
/** Fails unless everything was read; returns c->err. */
int sg_cursor_end(struct sg_cursor *c);

/*
 * Simple members, each a whole value of the type that the name says; anything else is a failure. After a
 * failure they return 0, false or NULL and write nothing, so a caller looks at c->err once, at the end.
 */
uint32_t sg_value_tuple(struct sg_cursor *c); /**< number of members, which follow */
/** Number of pairs, which follow. */
uint32_t sg_value_ordered_map(struct sg_cursor *c);
const char *sg_value_text(struct sg_cursor *c, size_t *n);
const uint8_t *sg_value_bytes(struct sg_cursor *c, size_t *n);
int64_t sg_value_int(struct sg_cursor *c);
/** The 32 bytes; `what` (may be NULL) and its length. */
const uint8_t *sg_value_digest(struct sg_cursor *c, const char **what, size_t *n);
/** Passes over one whole value of any kind, checking it; its first byte, and its length into `n` (may be
 * NULL). */
const uint8_t *sg_value_skip(struct sg_cursor *c, size_t *n);

/**
 * The length of the one canonical value at the start of `bytes`, fully checked. ECORRUPT; ELIMIT for a value
 * that is too large or nested too deeply; ENOMEM.
 */
int sg_value_size(const uint8_t *bytes, size_t available, size_t *n);
/**
 * Checks that bytes are exactly one canonical value, and makes it one that stands inside `depth` more
 * containers: back references count from the outermost one. (Levels are below 256, so no order among
 * encodings changes.)
 */
int sg_value_adopt(uint8_t *bytes, size_t size, uint32_t depth);

/**
 * Checks that bytes are exactly the payload of a dtype (section 2.1) inside `depth` containers, which it may
 * refer to; its item size.
 */
int sg_dtype_check(const uint8_t *payload, size_t size, uint32_t depth, uint64_t *itemsize);
/** Whether order, extents and byte count agree with each other and with the dtype's item size (section 2.2).
 */
bool sg_array_check(const struct sg_array_data *a, bool scalar, uint64_t itemsize);

#endif
