/* Sorting of byte ranges; see span.h. */
#include "key/span.h"

#include <saggar/saggar.h>
#include <stdlib.h>
#include <string.h>

#include "key/value.h"

enum { INSERTION_MAX = 16 };

void sg_spans_init(struct sg_spans *s) {
    s->span = s->fixed;
    s->n = 0;
    s->cap = SG_SPAN_INLINE;
}

void sg_spans_free(struct sg_spans *s) {
    if (s->span != s->fixed)
        free(s->span);
    sg_spans_init(s);
}

int sg_spans_add(struct sg_spans *s, const uint8_t *first, size_t size) {
    if (s->n == s->cap) {
        bool fixed = s->span == s->fixed;
        struct sg_span *span = realloc(fixed ? NULL : s->span, s->cap * 2 * sizeof *span);
        if (span == NULL)
            return SAGGAR_ENOMEM;
        if (fixed)
            memcpy(span, s->fixed, sizeof s->fixed);
        s->span = span;
        s->cap *= 2;
    }
    s->span[s->n++] = (struct sg_span){first, size, size};
    return SAGGAR_OK;
}

static int compare(const void *a, const void *b) {
    const struct sg_span *x = a, *y = b;
    return sg_value_compare(x->first, x->size, y->first, y->size);
}

static void insertion_sort(struct sg_span *span, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct sg_span moved = span[i];
        size_t j = i;
        for (; j > 0 && compare(&span[j - 1], &moved) > 0; j--)
            span[j] = span[j - 1];
        span[j] = moved;
    }
}

bool sg_spans_sort(struct sg_spans *s, size_t base) {
    struct sg_span *span = s->span + base;
    size_t n = s->n - base;
    if (n <= INSERTION_MAX)
        insertion_sort(span, n);
    else
        qsort(span, n, sizeof *span, compare);
    for (size_t i = 1; i < n; i++) {
        if (compare(&span[i - 1], &span[i]) == 0)
            return true;
    }
    return false;
}
