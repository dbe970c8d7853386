/* See arena.h. Blocks are chained, newest first; large requests get a block of their own. */
#include "julia/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct sg_arena_block {
    struct sg_arena_block *before;
    size_t used, size;
    alignas(max_align_t) unsigned char data[];
};

enum { BLOCK = 16384, ALIGN = alignof(max_align_t) };

void sg_arena_free(struct sg_arena *arena) {
    while (arena->last != NULL) {
        struct sg_arena_block *before = arena->last->before;
        free(arena->last);
        arena->last = before;
    }
    arena->failed = false;
}

static struct sg_arena_block *block(struct sg_arena *arena, size_t n) {
    size_t size = n > BLOCK ? n : BLOCK, whole;
    struct sg_arena_block *b = NULL;
    if (sg_add(size, sizeof *b, &whole))
        b = calloc(1, whole);
    if (b == NULL) {
        arena->failed = true;
        return NULL;
    }
    b->size = size;
    b->before = arena->last;
    arena->last = b;
    return b;
}

void *sg_arena_alloc(struct sg_arena *arena, size_t n) {
    struct sg_arena_block *b = arena->last;
    if (n > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (b == NULL || b->size - b->used < n)
        b = block(arena, n);
    if (b == NULL)
        return NULL;
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

void *sg_arena_array(struct sg_arena *arena, size_t n, size_t size) {
    size_t whole;
    if (!sg_mul(n, size, &whole)) {
        arena->failed = true;
        return NULL;
    }
    return sg_arena_alloc(arena, whole);
}

/* The room doubles at each power of two from 4 on, so that n alone says how much there is. */
void *sg_arena_more(struct sg_arena *arena, void *list, size_t n, size_t size) {
    if (n >= 4 && (n & (n - 1)) != 0)
        return list;
    if (n > 0 && n < 4)
        return list;
    if (n > SIZE_MAX / 4) {
        arena->failed = true;
        return NULL;
    }
    void *moved = sg_arena_array(arena, n == 0 ? 4 : 2 * n, size);
    if (moved != NULL && n > 0)
        memcpy(moved, list, n * size);
    return moved;
}

const char *sg_arena_text(struct sg_arena *arena, const void *p, size_t n) {
    char *text = n < SIZE_MAX ? sg_arena_alloc(arena, n + 1) : NULL;
    if (text == NULL)
        return "";
    if (n > 0)
        memcpy(text, p, n);
    return text;
}

const char *sg_arena_format(struct sg_arena *arena, const char *format, ...) {
    va_list list;
    char *text = NULL;
    va_start(list, format);
    int n = vasprintf(&text, format, list);
    va_end(list);
    if (n < 0) {
        arena->failed = true;
        return "";
    }
    const char *kept = sg_arena_text(arena, text, (size_t)n);
    free(text);
    return kept;
}
