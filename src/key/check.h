/* Private to value.c and dtype.c: the state of one check. */
#ifndef SG_KEY_CHECK_H
#define SG_KEY_CHECK_H

#include <saggar/saggar.h>

#include "key/span.h"
#include "key/value.h"

struct sg_check {
    struct sg_cursor c;
    const uint8_t *start;
    uint32_t depth; /* containers open now */
    uint32_t base;  /* of these, the outer ones that the value does not know of */
    uint8_t *adopt; /* the bytes at `start`, to be changed: each back reference becomes larger by base. Else
                       NULL */
    struct sg_spans spans;
};

/* Each reads one thing at the cursor and returns k->c.err. */
int sg_check_value(struct sg_check *k);
/* The payload of a dtype. */
int sg_check_dtype(struct sg_check *k, uint64_t *itemsize);
/* The payload of an array or array scalar. */
int sg_check_array(struct sg_check *k, bool scalar);

static inline int sg_check_fail(struct sg_check *k) {
    if (k->c.err == SAGGAR_OK)
        k->c.err = SAGGAR_ECORRUPT;
    return k->c.err;
}

/* Opens a container; closed by k->depth--. */
static inline int sg_check_open(struct sg_check *k) {
    if (k->depth == SG_VALUE_DEPTH)
        return k->c.err = SAGGAR_ELIMIT;
    k->depth++;
    return SAGGAR_OK;
}

#endif
