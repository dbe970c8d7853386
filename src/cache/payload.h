/*
 * Payloads of requirements and dependencies: what is not in key/value.h. The cursor's first failure sticks.
 */
#ifndef SG_CACHE_PAYLOAD_H
#define SG_CACHE_PAYLOAD_H

#include <saggar/saggar.h>
#include <string.h>

#include "key/value.h"

static inline struct sg_cursor sg_payload(const uint8_t *bytes, size_t n) {
    struct sg_cursor c;
    sg_cursor_init(&c, bytes, n);
    return c;
}

/* A text, copied with a final zero. One that does not fit or holds a zero is a failure. */
static inline void sg_payload_text(struct sg_cursor *c, char *out, size_t size) {
    size_t n = 0;
    const char *text = sg_value_text(c, &n);
    out[0] = '\0';
    if (c->err != SAGGAR_OK || n >= size || memchr(text, 0, n) != NULL) {
        c->err = SAGGAR_ECORRUPT;
        return;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

/* A bytes value of exactly `size` bytes, or NULL. */
static inline const uint8_t *sg_payload_bytes(struct sg_cursor *c, size_t size) {
    size_t n = 0;
    const uint8_t *bytes = sg_value_bytes(c, &n);
    return c->err == SAGGAR_OK && n == size ? bytes : NULL;
}

#endif
