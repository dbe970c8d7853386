/*
 * Walks over the payload of a requirement or dependency: one canonical value, a tuple of simple ones.
 *
 * The entry's decoder has checked that it is one canonical value. Every step is checked against the end all the same,
 * and the first failure makes all later ones fail, so a caller looks once, at `ok`.
 */
#ifndef SG_CACHE_PAYLOAD_H
#define SG_CACHE_PAYLOAD_H

#include "base/bytes.h"

struct sg_payload {
    const uint8_t *p;
    size_t n;
    bool ok;
};

static inline const uint8_t *sg_payload_take(struct sg_payload *c, size_t n) {
    if (!c->ok || n > c->n) {
        c->ok = false;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    c->n -= n;
    return p;
}

static inline bool sg_payload_tag(struct sg_payload *c, uint8_t tag) {
    const uint8_t *p = sg_payload_take(c, 1);
    if (p == NULL || *p != tag)
        c->ok = false;
    return c->ok;
}

/* Opens a tuple; its number of members. */
static inline uint32_t sg_payload_tuple(struct sg_payload *c) {
    const uint8_t *p = sg_payload_tag(c, 0x0A) ? sg_payload_take(c, 4) : NULL;
    return p == NULL ? 0 : sg_load32(p);
}

static inline uint64_t sg_payload_int(struct sg_payload *c) {
    const uint8_t *p = sg_payload_tag(c, 0x03) ? sg_payload_take(c, 8) : NULL;
    return p == NULL ? 0 : sg_load64(p);
}

/* A text, copied with a final zero. One that does not fit or holds a zero is a failure. */
static inline void sg_payload_text(struct sg_payload *c, char *out, size_t size) {
    const uint8_t *p = sg_payload_tag(c, 0x08) ? sg_payload_take(c, 4) : NULL;
    uint32_t n = p == NULL ? 0 : sg_load32(p);
    const uint8_t *text = sg_payload_take(c, n);
    out[0] = '\0';
    if (text == NULL || n >= size || memchr(text, 0, n) != NULL) {
        c->ok = false;
        return;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

/* A bytes value of exactly n bytes. */
static inline const uint8_t *sg_payload_bytes(struct sg_payload *c, uint32_t n) {
    const uint8_t *p = sg_payload_tag(c, 0x07) ? sg_payload_take(c, 4) : NULL;
    if (p == NULL || sg_load32(p) != n)
        c->ok = false;
    return sg_payload_take(c, n);
}

/* The SHA-256 of a digest value, whatever was digested. */
static inline const uint8_t *sg_payload_digest(struct sg_payload *c) {
    const uint8_t *p = sg_payload_tag(c, 0x12) ? sg_payload_take(c, 4) : NULL;
    sg_payload_take(c, p == NULL ? 0 : sg_load32(p));
    return sg_payload_take(c, 32);
}

#endif
