/* Preferences of packages, and the hash of those that were read while compiling. */
#ifndef SG_JULIA_PREFERENCES_H
#define SG_JULIA_PREFERENCES_H

#include "julia/environment.h"

/*
 * The hash over the values that the names have now, for the package; names without a value do not count.
 * *undecided: the first name whose value is a list, a table or a date, whose hash is not known here; else
 * NULL.
 */
uint64_t sg_preferences_hash(struct sg_world *w, struct sg_julia_uuid uuid, const char *const *names,
                             size_t n, const char **undecided);

#endif
