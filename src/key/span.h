/*
 * Ranges of bytes, to be sorted as byte strings: members of sets and maps, names of records.
 *
 * A stack: nested containers put theirs above those of the outer ones and take them off again. The first
 * SG_SPAN_INLINE need no memory of their own. The bytes belong to the caller.
 */
#ifndef SG_KEY_SPAN_H
#define SG_KEY_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SG_SPAN_INLINE = 32 };

struct sg_span {
    const uint8_t *first; /**< what is compared */
    size_t size;
    size_t whole; /**< length of the member: with what follows `first`, such as a map's second value */
};

struct sg_spans {
    struct sg_span *span;
    size_t n, cap;
    struct sg_span fixed[SG_SPAN_INLINE];
};

void sg_spans_init(struct sg_spans *s);
void sg_spans_free(struct sg_spans *s);
/** ENOMEM. `whole` is set to `size`. */
int sg_spans_add(struct sg_spans *s, const uint8_t *first, size_t size);
/** Sorts the spans from index `base` on; true if two of them are equal. */
bool sg_spans_sort(struct sg_spans *s, size_t base);

#endif
