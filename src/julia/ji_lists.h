/* The lists of a cache file, which begin behind its fixed header; a part of ji.c. */
#ifndef SG_JULIA_JI_LISTS_H
#define SG_JULIA_JI_LISTS_H

#include "julia/cursor.h"
#include "julia/ji.h"

/* Fills the lists; what is wrong becomes ji->state. */
void sg_ji_lists(struct sg_arena *arena, struct sg_cursor *c, unsigned layout, struct sg_ji *ji);

#endif
