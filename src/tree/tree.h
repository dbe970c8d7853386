/*
 * Directory trees as parts of entries (docs/FORMAT.md section 4.5).
 *
 * read.c     a packed tree: every rule of the format is checked before anything is made of it
 * link.c     what a symbolic link may lead to
 * pack.c     a directory becomes bytes
 * unpack.c   bytes become a directory; is a directory still what the bytes say?
 * remove.c   directories go away again: one tree, and what was never finished
 * work.c     where trees may lie, and directories to work in
 * place.c    how a finished tree gets to its place
 * gc.c       which of them go
 * needs.c    what the shared objects in a tree require
 * memory.c   one file of a tree in memory
 * handle.c   a finished tree that somebody uses
 * build.c    built once among all processes
 *
 * Directories are walked by descriptors, never by paths, and no link is followed: what another process does
 * to a directory meanwhile changes the result at worst, never a file outside of it.
 */
#ifndef SG_TREE_TREE_H
#define SG_TREE_TREE_H

#include <dirent.h>
#include <saggar/saggar.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/store.h"

#define SG_TREE_HEAD 32u
#define SG_TREE_PART "tree"

enum {
    SG_TREE_DEPTH = 64,          /* directories inside each other */
    SG_TREE_NAME = 255,          /* bytes of one name */
    SG_TREE_PATH = 1023,         /* bytes of a path below the root, slashes counted */
    SG_TREE_TARGET = 1023,       /* bytes of a link's target */
    SG_TREE_NODES = 1024 * 1024, /* nodes of a tree */
};

enum sg_node_kind { SG_NODE_DIRECTORY = 1, SG_NODE_FILE = 2, SG_NODE_EXECUTABLE = 3, SG_NODE_LINK = 4 };

/* ---- read.c ---- */

/** A packed tree that was checked. Points into bytes that somebody else keeps alive. */
struct sg_tree {
    const uint8_t *bytes;
    size_t size;
    uint32_t count;
    size_t head; /**< where the contents begin */
};

/** One node; `name` and `path` are the walk's, valid until its next step. */
struct sg_node {
    enum sg_node_kind kind;
    unsigned depth;
    const char *name;                /**< its last component, terminated */
    const char *path;                /**< from the root of the tree, terminated */
    char target[SG_TREE_TARGET + 1]; /**< links */
    const uint8_t *data;             /**< files: `size` bytes, NULL before sg_tree_open() is through */
    uint64_t size;
};

/** The nodes in their order: a directory before what lies in it. */
struct sg_tree_walk {
    const struct sg_tree *tree;
    uint32_t left;
    size_t at, data; /**< where the next node and the next content begin */
    unsigned open;   /**< how deep the next node may lie */
    char path[SG_TREE_PATH + 1];
    uint16_t start[SG_TREE_DEPTH + 1]; /**< where the name at each depth begins in `path` */
    uint16_t end[SG_TREE_DEPTH + 1];   /**< and ends; 0: no name at that depth yet */
};

/**
 * Checks packed bytes in full. ECORRUPT, EVERSION, ELIMIT, ENOTSAGGAR; `detail` (SAGGAR_DETAIL_SIZE bytes,
 * may be NULL) says what is wrong with which name.
 */
int sg_tree_open(const void *bytes, size_t size, struct sg_tree *out, char *detail);
void sg_tree_walk(const struct sg_tree *tree, struct sg_tree_walk *walk);
/** The next node. ENOTFOUND: that was the last one. `why`: static text where it is refused. */
int sg_tree_next(struct sg_tree_walk *walk, struct sg_node *node, const char **why);
/** "path: why" into a detail, printable whatever the path is. */
void sg_tree_say(char *detail, const char *path, const char *why);

/* ---- link.c ---- */

/**
 * NULL if a link at this depth may have the target, else why not. Allowed: any number of "..", at most as
 * many as there are directories above the link, then names. Since ".." never follows a name, it never depends
 * on where another link leads, so that no chain of links leaves the tree.
 */
const char *sg_link_refused(unsigned depth, const char *target, size_t size);
/** Takes "." and needless slashes out of a target, in place; the new length. */
size_t sg_link_tidy(char *target);

/* ---- pack.c ---- */

/**
 * Packs what lies in the directory. EINVAL: something that cannot be packed; ELIMIT; ECORRUPT: it changed
 * meanwhile; errors of the system. `detail` as above.
 */
int sg_tree_pack(int dirfd, struct sg_buf *out, char *detail);

/* ---- unpack.c ---- */

/**
 * Makes the nodes in an empty directory, read-only, each file synced. The directory itself keeps its mode. On
 * failure what was made stays: the caller removes it.
 */
int sg_tree_write(const struct sg_tree *tree, int dirfd, char *detail);
/** OK if the directory holds exactly the tree. ECORRUPT: it does not, `detail` says where; else an error. */
int sg_tree_compare(const struct sg_tree *tree, int dirfd, char *detail);

/* ---- remove.c ---- */

/** Removes a directory and all in it, or a file. True if nothing is left under the name. */
bool sg_tree_remove(int dirfd, const char *name);

struct sg_tree_swept {
    uint64_t litter, failed;
};
/**
 * Removes what begins with `prefix`, was named by sg_temp_name() and has no owner any more: its process is
 * gone and `age` seconds have passed (who knows what runs in another container), or, of another host, a day.
 */
void sg_tree_sweep(int dirfd, const char *prefix, uint64_t age, bool dry_run, struct sg_tree_swept *out);

/* ---- work.c, place.c ---- */

#define SG_TREE_TEMP ".tmp-"
#define SG_TREE_PRIVATE "saggar-tmp-" /* in directories of everybody */

/** Directories that trees may lie in, best first. */
struct sg_places {
    char *paths[4];
    unsigned n;
    struct sg_tier *store; /**< made before the first of `paths`, if that lies in it; NULL: it does not */
    unsigned in_store;     /**< which one that is */
};

/** The place in the user's cache directory, malloc'd; NULL: there is none. ENOMEM. */
int sg_home_place(char **out);
/** The one below TMPDIR or /tmp, malloc'd. ENOMEM. */
int sg_local_place(char **out);
/** ENOMEM. Freed by sg_places_free(), also on failure. */
int sg_places_of(const saggar_cache *cache, struct sg_places *out);
void sg_places_free(struct sg_places *places);
/** A place, open: trusted, and programs may be run from it. Made if need be. */
int sg_place_open(const struct sg_places *places, unsigned i, int *fd);

/** A directory to work in, which nobody else knows: gone when it is closed. */
struct sg_work {
    char *path; /**< absolute; "tree" is the empty directory in it */
    char *tree; /**< path + "/tree" */
    int lock;   /**< keeps sweepers away */
};
/** The next one that can be had, those with little room last; `from` is 0 at first. Never ENOTFOUND: no place is
 * EACCESS. */
int sg_work_open(const struct sg_places *places, unsigned *from, struct sg_work *out);
void sg_work_close(struct sg_work *work);

/** The tree, placed; `sha256` of its packed bytes names it. The handle is held. */
int sg_tree_place(const struct sg_places *places, const struct sg_tree *tree, const uint8_t sha256[32],
                  saggar_tree **out, char *detail);

/** True if the name in the directory leads to what the descriptor is open on. */
bool sg_tree_is_named(int dirfd, const char *name, int fd);

/* ---- handle.c ---- */

/** Takes over `path` (malloc'd) and the descriptor; NULL: out of memory, both are gone. */
saggar_tree *sg_tree_shared(char *path, int lock);
/** Takes over the work: the tree in it is given out as it is. NULL: out of memory, and the work is closed. */
saggar_tree *sg_tree_private(struct sg_work *work);

/* ---- gc.c ---- */

struct sg_trees_stats {
    uint64_t trees, bytes;
    uint64_t removed_trees, removed_bytes;
    uint64_t litter, failed, held;
};
/** Collects the trees of one directory: the bounds of `options` (of store.h), last use for publication. */
int sg_trees_gc(const char *path, const struct sg_gc_options *options, struct sg_trees_stats *stats);
/** The trees of a store (NULL: none), and of the places beside it: those that the environment names, and the
 * one of the user's cache directory. */
int sg_trees_gc_all(const char *store, const struct sg_gc_options *options, struct sg_trees_stats *stats);
/** After a tree was placed: now and then, with the default bounds and a month without use. Fails silently. */
void sg_trees_gc_auto(const char *path, const uint8_t sha256[32]);

/* ---- needs.c ---- */

/** Adds what the shared objects of a tree require to a draft. */
int sg_tree_needs(const struct sg_tree *tree, saggar_draft *draft);

#endif
