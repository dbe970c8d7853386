/*
 * What there is for each package of a project: the files in its depots that Julia would take, and files in
 * entries that it would take if they lay there.
 *
 * A file in an entry is judged as it would be restored: where only the time stamp of a source differs, and
 * its content is what the code was compiled from, the file is taken to record the stamp that the source has.
 * A source of other content is refused even where its stamp is right. Reads only.
 */
#ifndef SG_JULIA_SUPPLY_H
#define SG_JULIA_SUPPLY_H

#include "cache/cache.h"
#include "julia/keep.h"
#include "julia/rewrite.h"

/* A cache file in an entry. */
struct sg_held {
    struct sg_tier *tier;
    uint8_t key[SAGGAR_KEY_SIZE], identity[32];
    const unsigned char *bytes; /* the .ji as it was published */
    struct sg_ji ji;            /* of these bytes */
    struct sg_rewritten *now;   /* one for each of ji.includes: what it is to record; NULL: as it is */
    const char **lies;          /* one for each: where that source lies now */
    bool *verified;             /* one for each: its content is what the code was compiled from */
};

struct sg_offer {
    struct sg_file *file;
    const struct sg_held *held; /* NULL: it lies in a depot */
    int rank;                   /* of targets.h */
};

struct sg_offers {
    struct sg_offer *item;       /* the best first */
    size_t n, n_entries;         /* n_entries: what was found in tiers, usable or not */
    const char *reason, *detail; /* of the first that could not be used; "" */
};

/* Everything belongs to the world. */
struct sg_supply {
    struct sg_world *w;
    const struct sg_package *list;
    size_t n;
    struct sg_graph graph;
    struct sg_offers *of; /* one for each package */
    bool relocate;        /* a package that lies elsewhere is taken for the one that was compiled */
    uint64_t faults;      /* entries that could not be read */
};

/* With the files of the depots. False: w->error says why. */
bool sg_supply_make(struct sg_world *w, const struct sg_package *list, size_t n, struct sg_supply *out);
/* Adds what the tiers hold for packages from `first` to before `last`. */
bool sg_supply_add(struct sg_supply *s, const struct sg_stack *stack, size_t first, size_t last);

/* Calls `each` with the parts of a held file, verified. ENOTFOUND: it is gone meanwhile; ECORRUPT. */
int sg_held_parts(const struct sg_held *held,
                  int (*each)(void *context, const uint8_t *ji, size_t ji_size, const uint8_t *so,
                              size_t so_size),
                  void *context);

#endif
