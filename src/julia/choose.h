/*
 * One file for each package of a project, such that all of them can be loaded together.
 *
 * Julia looks at each package alone; but a file was compiled against certain builds of others, and a session
 * loads one build of each. The best file of what depends on most goes first, and binds the builds of what it
 * needs; where that leads nowhere the next one is tried, within bounds.
 */
#ifndef SG_JULIA_CHOOSE_H
#define SG_JULIA_CHOOSE_H

#include "julia/supply.h"

struct sg_choice {
    const struct sg_offer *offer; /* NULL: none */
    const char *reason, *detail;  /* why none; "" */
};

/* `choice`: one for each package of the supply. False: w->error says why. */
bool sg_choose(struct sg_supply *s, struct sg_choice *choice);

/* The first wanted package whose file was compiled against another build than Julia would load; NULL: none.
 * *other: the package of that build. */
const struct sg_package *sg_inconsistent(const struct sg_package *list, size_t n,
                                         const struct sg_package **other);

#endif
