/*
 * A tier: a place that holds entries. A new tier is one file that fills in this table.
 *
 * `find` is read-only and lock-free. It hands out every candidate under the key that passes the head's check,
 * at most SAGGAR_MAX_SLOTS; what it could not use is reported through `fault`, once per call each, and never
 * stops the search. Each candidate handed out is held once: whoever called releases it. A candidate may
 * outlive close(): the tier's structure lives until its last candidate is released.
 */
#ifndef SG_ENTRY_TIER_H
#define SG_ENTRY_TIER_H

#include <saggar/saggar.h>

#include "entry/entry.h"

struct sg_tier;

struct sg_candidate {
    struct sg_entry_view view;
    struct sg_tier *tier;
    void *owner; /**< private to the tier: what keeps the bytes alive */
    uint64_t
        id; /**< tells this candidate from its neighbours for as long as the tier is open (set aside by id) */
    bool has_features; /**< `features`, `arch` and `provenance` below are known without reading the
                          requirements */
    saggar_features features;
    uint8_t arch, provenance, flags; /**< as in an image's index row */
};

struct sg_tier_ops {
    const char *kind; /**< "image", "store" */
    int (*find)(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE],
                struct sg_candidate out[SAGGAR_MAX_SLOTS], unsigned *n,
                void (*fault)(void *context, saggar_reason reason, const char *detail), void *context);
    /** After a find without a usable candidate: true if what was remembered as not there is looked for anew, so
     * that another find may tell more. NULL where nothing is remembered. */
    bool (*renew)(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE]);
    /** One more holder of the candidate's bytes; each is released once. */
    void (*hold)(struct sg_candidate *candidate);
    void (*release)(struct sg_candidate *candidate);
    /** NULL for read-only tiers. `annex` may be empty. */
    int (*publish)(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE], const uint8_t identity[32],
                   const struct sg_buf *core, const struct sg_buf *annex);
    /** Each entry in ascending order of key; `name` is the file (stores) or "" (images); `annex` is the
     * annex's one value or NULL. A damaged entry is handed out with a NULL view and its error (EINVAL: it
     * lies under a name that is not its key). Stops at non-zero and returns it. */
    int (*each)(struct sg_tier *tier,
                int (*each)(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                            size_t annex_size, const char *name),
                void *context);
    /** The bad candidate was seen by a reader that could prove it damaged: stores unlink it if it is still
     * the same file, images do nothing. Before close() only. */
    void (*discard)(struct sg_candidate *candidate);
    /** Drops the opener's reference. After it only hold() and release() of its candidates. */
    void (*close)(struct sg_tier *tier);
};

struct sg_tier {
    const struct sg_tier_ops *ops;
    char *path;           /**< as given to open */
    bool active, trusted; /**< set by open; never changed later */
    char *note;           /**< never NULL: why it is not active, "" if nothing is to be said */
    uint64_t entries;     /**< images */
};

#endif
