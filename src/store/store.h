/*
 * The store: a writable directory of entries, one file each (docs/FORMAT.md section 4.4).
 *
 * open.c     may it be used at all?
 * reader.c   the tier: find, each, discard. A file is read into private memory, and that very memory is
 *            handed out
 * writer.c   publish: temporary file, link to the first free slot
 * network.c  the same with a deadline, for network file systems, and what was not there is looked for anew
 * gc.c       size and age bounds, litter
 *
 * No descriptor is kept between calls: paths are absolute, so a program may change its directory, close all
 * descriptors or fork. A store may be removed while it is in use: finds miss, and the next publish makes it
 * again.
 */
#ifndef SG_STORE_STORE_H
#define SG_STORE_STORE_H

#include <dirent.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/deadline.h"
#include "entry/tier.h"

/**
 * Opens a store as a tier. Always gives a tier (unless ENOMEM, or EINVAL for an empty path): one that cannot
 * be used has active == false and a note. A directory that is not there yet is made, 0700, by the first
 * publish. Makes nothing.
 */
int sg_store_open(const char *path, bool read_only, struct sg_tier **out);

/** Why the store is not active: what publish answers then. OK if it is. */
int sg_store_error(const struct sg_tier *tier);

/** True if the store lies on a network file system, so that a call on it may never come back. */
bool sg_store_is_network(const struct sg_tier *tier);
/** One more opener: each closes it once. */
void sg_store_ref(struct sg_tier *tier);
/** Runs a job of the claims on the store's file system; base/deadline.h. Takes the job over unless OK. Where
 * locks hang and nothing else does, finding and publishing go on. */
int sg_store_claim_job(struct sg_tier *tier, struct sg_job *job);
/** The same for what must be done in any case, if need be when the file system answers again. */
int sg_store_release_job(struct sg_tier *tier, struct sg_job *job);
/** What was there when it was opened: false if nothing. */
bool sg_store_place(const struct sg_tier *tier, uint64_t *dev, uint64_t *ino);

/** Makes the directory and its v1, as the first publish would: for claims, which come before it. `tier` is a
 * store. */
int sg_store_make(struct sg_tier *tier);

/* ---- Collecting
 * ------------------------------------------------------------------------------------------------------ */

#define SG_GC_UNBOUNDED UINT64_MAX
#define SG_STORE_DEFAULT_SIZE (UINT64_C(5) << 30)

struct sg_gc_options {
    uint64_t max_bytes;  /**< the oldest entries go until the rest is no larger; SG_GC_UNBOUNDED */
    uint64_t max_age;    /**< seconds; entries published longer ago go; SG_GC_UNBOUNDED */
    uint64_t litter_age; /**< seconds; unfinished files older than that go (3600). 0: at once, if their
                            process is gone */
    bool dry_run;        /**< only count what would go */
};

struct sg_gc_stats {
    uint64_t entries, bytes;                 /**< what was there */
    uint64_t removed_entries, removed_bytes; /**< what went (or would go) */
    uint64_t litter, litter_bytes;           /**< unfinished files that went (or would go) */
    uint64_t foreign;                        /**< names that are not a store's: left alone */
    uint64_t failed;                         /**< could not be removed or looked at */
};

/** Defaults: SAGGAR_SIZE or 5 GiB, no age bound, litter older than an hour. EINVAL: SAGGAR_SIZE is no size (5
 * GiB then). */
int sg_gc_options_init(struct sg_gc_options *options);

/**
 * Collects. Safe beside readers, writers and other collectors; judges by modification times, never by link
 * counts, and takes a time in the future for now. ENOTFOUND: no store there (nothing to do). EUNTRUSTED,
 * EACCESS, EIO, ENOMEM. `stats` is filled in as far as it came, also on failure.
 */
int sg_store_gc(const char *path, const struct sg_gc_options *options, struct sg_gc_stats *stats);

/** "5G", "512MiB", "1000000": a number and an optional K, M, G or T (powers of 1024), with or without "B" or
 * "iB". EINVAL. */
int sg_size_parse(const char *text, uint64_t *out);

/* ---- Shared inside the store
 * ------------------------------------------------------------------------------------------ */

/** Room for the path of any file of a store: root "/v1/ab/" key "." slot. */
#define SG_STORE_TAIL 80u
#define SG_STORE_PATH 4096u
#define SG_STORE_NAME 67u /**< key, dot, slot, NUL */
#define SG_STORE_TEMP ".tmp-"
#define SG_STORE_PAUSE_S 30u

struct sg_store {
    struct sg_tier tier;
    _Atomic unsigned refs; /**< the opener's and one for each file that is held */
    char *root;            /**< absolute; no trailing slash */
    size_t root_size;
    bool read_only;
    int error;                     /**< why it is not active */
    _Atomic uint64_t paused_until; /**< CLOCK_MONOTONIC ns; no publish before that */
    _Atomic int paused_error;
    bool network;                 /**< on a network file system */
    struct sg_watch watch, locks; /**< its calls that have not come back; those of claims apart */
    bool exists;                  /**< the directory was there, this one */
    uint64_t dev, ino;
};

/** One store file in private memory. */
struct sg_store_file {
    uint8_t *data; /**< malloc'd, aligned to 64; NULL unless all of it was read */
    size_t size;
    dev_t dev; /**< set as soon as the file was looked at, also where it could not be read */
    ino_t ino;
    uint64_t stamp; /**< mixes inode, size and change time: another file has another stamp */
};

typedef void sg_fault_fn(void *context, saggar_reason reason, const char *detail);

/* ---- open.c, reader.c: the tier, without a deadline */

int sg_store_look(const struct sg_store *store, char *why, size_t n, struct stat *st);
int sg_store_find(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE],
                  struct sg_candidate out[SAGGAR_MAX_SLOTS], unsigned *n, sg_fault_fn *fault, void *context);
int sg_store_each(struct sg_tier *tier,
                  int (*each)(void *context, int error, const struct sg_entry_view *view,
                              const uint8_t *annex, size_t annex_size, const char *name),
                  void *context);
void sg_store_hold(struct sg_candidate *candidate);
void sg_store_release(struct sg_candidate *candidate);
void sg_store_discard(struct sg_candidate *candidate);
void sg_store_close(struct sg_tier *tier);
void sg_store_unref(struct sg_store *store);

/* ---- network.c: with one */

extern const struct sg_tier_ops sg_store_network_ops;
int sg_store_look_network(struct sg_store *store, char *why, size_t n, struct stat *st);

/** The store's directory, for calls: never "". */
const char *sg_store_root(const struct sg_store *store);
/** The name of a slot's file. */
void sg_store_name(const uint8_t key[32], unsigned slot, char out[SG_STORE_NAME]);
/** True if `name` is a slot's file name; its key and slot. */
bool sg_store_name_parse(const char *name, uint8_t key[32], unsigned *slot);
/**
 * Reads a store file whole. ENOTFOUND: not there. EUNTRUSTED: a symbolic link, or another user's. ENOTSAGGAR:
 * no regular file. ECORRUPT: empty, or cut while it was read. Else an error of the system. `*opened`: there
 * is something under the name.
 */
int sg_store_read(int dirfd, const char *path, struct sg_store_file *out, bool *opened);

/** opendir() that follows no link in the last component and leaks no descriptor. NULL: errno. */
DIR *sg_store_opendir(int dirfd, const char *path);
/**
 * Removes a slot's file, if it is still there: under `path`, or moved to a lower slot meanwhile. The last
 * file of the key moves into its place, so that no hole hides the other variants from readers. True if it is
 * gone, whoever removed it; false: errno.
 */
bool sg_store_remove(int dirfd, const char *path, dev_t dev, ino_t ino);
/** True if what `st` describes belongs to root or this user, and nobody else may write to it. */
bool sg_store_owner_ok(const struct stat *st);

int sg_store_publish(struct sg_tier *tier, const uint8_t key[32], const uint8_t identity[32],
                     const struct sg_buf *core, const struct sg_buf *annex);
/** After a publish: rarely, and only when a look at one folder says that the bound is exceeded. Fails
 * silently. */
void sg_store_gc_auto(struct sg_store *store, const uint8_t key[32]);

#endif
