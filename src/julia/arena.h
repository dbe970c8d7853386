/*
 * Memory of one question: everything that is read for it is freed at once.
 *
 * A failed allocation sticks in `failed`; what was given out before stays valid until sg_arena_free(). One
 * arena belongs to one thread.
 */
#ifndef SG_JULIA_ARENA_H
#define SG_JULIA_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct sg_arena_block;

struct sg_arena {
    struct sg_arena_block *last;
    bool failed;
};

void sg_arena_free(struct sg_arena *arena);

/* Zeroed and aligned for everything; NULL where memory is missing. */
void *sg_arena_alloc(struct sg_arena *arena, size_t n);
/* n elements; NULL also where n * size does not fit. */
void *sg_arena_array(struct sg_arena *arena, size_t n, size_t size);

/*
 * Room for one more element in a list of n that came from here (or NULL): returns the list, moved if it must
 * be, with the new element zeroed. The caller counts. NULL: no memory, the list stays as it is.
 */
void *sg_arena_more(struct sg_arena *arena, void *list, size_t n, size_t size);

/* A text of n bytes, with a NUL behind it. Never NULL: without memory it is "", and `failed` is set. */
const char *sg_arena_text(struct sg_arena *arena, const void *p, size_t n);
const char *sg_arena_format(struct sg_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
