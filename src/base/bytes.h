/*
 * Loads, stores and size arithmetic.
 *
 * Every number in a Saggar file is little-endian and may lie unaligned; these helpers are the only way it
 * is read or written. Arithmetic on sizes that come from outside goes through the checked helpers, which
 * return false instead of wrapping.
 */
#ifndef SG_BASE_BYTES_H
#define SG_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t sg_load16(const void *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint16_t)(b[0] | (unsigned)b[1] << 8);
}

static inline uint32_t sg_load32(const void *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t sg_load64(const void *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint64_t)sg_load32(b) | (uint64_t)sg_load32(b + 4) << 32;
}

static inline void sg_store16(void *p, uint16_t v) {
    unsigned char *b = (unsigned char *)p;
    b[0] = (unsigned char)(v & 0xff);
    b[1] = (unsigned char)(v >> 8);
}

static inline void sg_store32(void *p, uint32_t v) {
    unsigned char *b = (unsigned char *)p;
    b[0] = (unsigned char)(v & 0xff);
    b[1] = (unsigned char)(v >> 8 & 0xff);
    b[2] = (unsigned char)(v >> 16 & 0xff);
    b[3] = (unsigned char)(v >> 24);
}

static inline void sg_store64(void *p, uint64_t v) {
    unsigned char *b = (unsigned char *)p;
    sg_store32(b, (uint32_t)(v & 0xffffffffu));
    sg_store32(b + 4, (uint32_t)(v >> 32));
}

/* a + b and a * b; false where the result does not fit, and then *out must not be used. */
static inline bool sg_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

static inline bool sg_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool sg_add64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

static inline bool sg_mul64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

/* Rounds v up to a multiple of 64. */
static inline bool sg_align64(uint64_t v, uint64_t *out) {
    uint64_t sum;
    if (__builtin_add_overflow(v, UINT64_C(63), &sum))
        return false;
    *out = sum & ~UINT64_C(63);
    return true;
}

/* Whether [off, off + len) lies inside [0, size). An empty range may stand at the very end. */
static inline bool sg_range_ok(uint64_t off, uint64_t len, uint64_t size) {
    return off <= size && len <= size - off;
}

static inline bool sg_is_zero(const void *p, size_t n) {
    const unsigned char *b = (const unsigned char *)p;
    return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}

#endif
