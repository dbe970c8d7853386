/* What a held file would record in this world, and what Julia would say to it then; a part of supply.c. */
#ifndef SG_JULIA_ADAPT_H
#define SG_JULIA_ADAPT_H

#include "julia/supply.h"

/* Fills in held->now and held->verified, and judges the file as it would be restored. False: w->error. */
bool sg_adapt(struct sg_supply *s, size_t at, struct sg_held *held, const struct sg_entry_view *view,
              struct sg_file *file);

#endif
