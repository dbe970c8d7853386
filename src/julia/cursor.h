/* A position in bytes, for the readers of this folder. Every read checks what is left; failures stick. */
#ifndef SG_JULIA_CURSOR_H
#define SG_JULIA_CURSOR_H

#include "base/bytes.h"

struct sg_cursor {
    const unsigned char *data;
    size_t at, size;
    bool eof; /* something was asked for beyond the end */
};

/* The next n bytes, NULL beyond the end. */
static inline const unsigned char *sg_cursor_take(struct sg_cursor *c, uint64_t n) {
    if (c->eof || n > c->size - c->at) {
        c->eof = true;
        return NULL;
    }
    const unsigned char *p = c->data + c->at;
    c->at += (size_t)n;
    return p;
}

static inline uint8_t sg_cursor_u8(struct sg_cursor *c) {
    const unsigned char *p = sg_cursor_take(c, 1);
    return p != NULL ? *p : 0;
}

static inline uint32_t sg_cursor_u32(struct sg_cursor *c) {
    const unsigned char *p = sg_cursor_take(c, 4);
    return p != NULL ? sg_load32(p) : 0;
}

static inline uint64_t sg_cursor_u64(struct sg_cursor *c) {
    const unsigned char *p = sg_cursor_take(c, 8);
    return p != NULL ? sg_load64(p) : 0;
}

#endif
