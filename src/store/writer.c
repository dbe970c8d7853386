/*
 * Publishing: an entry appears under its name whole or not at all, and what is stored already stays.
 *
 * A temporary file in the same folder is written, synced and closed, every step checked, and then linked to
 * the first free slot. A slot that is taken by an equal entry is success; one that holds something damaged is
 * freed. The data is on disk before it has a name, so a crash leaves an unfinished file at worst; the folder
 * itself is not synced: losing the newest entry costs a recompile. Every failure removes the temporary. After
 * an error of the device the tier pauses.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "trust/trust.h"

enum { ROUNDS = 4 };

/* How a finished file gets its name; the first that the file system offers. */
enum way { WAY_LINK, WAY_NOREPLACE, WAY_RENAME };

struct publish {
    const uint8_t *key, *identity;
    const struct sg_buf *core, *annex;
    int folder;
    char temp[SG_TEMP_NAME_MAX];
    enum way way;
};

/* ---- The directories
 * --------------------------------------------------------------------------------------------- */

/* True if nothing but unfinished files lies in the folder. */
static bool is_bare(int root) {
    struct dirent *d;
    bool bare = true;
    DIR *dir = sg_store_opendir(root, ".");
    if (dir == NULL)
        return false;
    while (bare && (d = readdir(dir)) != NULL) {
        bare = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
               strncmp(d->d_name, SG_STORE_TEMP, strlen(SG_STORE_TEMP)) == 0;
    }
    closedir(dir);
    return bare;
}

/* Backups leave out a directory with this file. Only a new store gets one: not a home directory that somebody
 * named. Nothing depends on it, so a failure is not one of the publish. */
static void write_tag(int root) {
    static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                              "# This directory holds compiled code that can be made again (Saggar).\n";
    char temp[SG_TEMP_NAME_MAX];
    int fd;
    if (!is_bare(root) || sg_temp_open(root, SG_STORE_TEMP, temp, &fd) != SAGGAR_OK)
        return;
    bool good = sg_write_all(fd, tag, sizeof tag - 1) == SAGGAR_OK;
    good = close(fd) == 0 && good;
    if (!good || renameat(root, temp, root, "CACHEDIR.TAG") != 0)
        unlinkat(root, temp, 0);
}

static int make_dir(int dirfd, const char *name) {
    return mkdirat(dirfd, name, 0700) == 0 || errno == EEXIST ? SAGGAR_OK : sg_err_from_errno(errno);
}

/* Makes the store and its v1, where only trusted users may write; *root is open on it. */
static int make_root(const struct sg_store *store, int *out) {
    struct sg_trust_verdict verdict;
    struct stat st;
    int err = sg_trust_check(sg_store_root(store), NULL, &verdict);
    if ((err == SAGGAR_OK || err == SAGGAR_ENOTFOUND) && !verdict.trusted)
        return SAGGAR_EUNTRUSTED;
    if (err == SAGGAR_ENOTFOUND)
        err = sg_make_dirs(sg_store_root(store), 0700);
    if (err != SAGGAR_OK)
        return err;
    int root = open(sg_store_root(store), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return sg_err_from_errno(errno);
    if (fstatat(root, "v1", &st, AT_SYMLINK_NOFOLLOW) != 0)
        write_tag(root);
    err = make_dir(root, "v1");
    if (err == SAGGAR_OK)
        *out = root;
    else
        close(root);
    return err;
}

static int make_store(const struct sg_store *store, unsigned lead) {
    char name[8];
    int root, err = make_root(store, &root);
    if (err != SAGGAR_OK)
        return err;
    snprintf(name, sizeof name, "v1/%02x", lead & 0xff);
    err = make_dir(root, name);
    close(root);
    return err;
}

int sg_store_make(struct sg_tier *tier) {
    const struct sg_store *store = (const struct sg_store *)tier;
    if (!tier->active || store->read_only)
        return SAGGAR_EREADONLY;
    int root, err = make_root(store, &root);
    if (err == SAGGAR_OK)
        close(root);
    return err;
}

/* The folder v1/XX, which belongs to somebody trusted whatever happened to the store since it was opened. */
static int open_folder(const struct sg_store *store, unsigned lead, int *fd) {
    char path[SG_STORE_PATH];
    struct stat st;
    int err = SAGGAR_OK;
    snprintf(path, sizeof path, "%s/v1/%02x", store->root, lead & 0xff);
    for (int i = 0; i < 2 && err == SAGGAR_OK; i++) {
        *fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (*fd >= 0 || errno != ENOENT)
            break;
        err = make_store(store, lead);
    }
    if (err != SAGGAR_OK)
        return err;
    if (*fd < 0)
        return sg_err_from_errno(errno);
    if (fstat(*fd, &st) != 0)
        err = sg_err_from_errno(errno);
    else if (!sg_store_owner_ok(&st))
        err = sg_trust_path(path, NULL, 0);
    if (err != SAGGAR_OK)
        close(*fd);
    return err;
}

/* ---- The temporary file
 * ------------------------------------------------------------------------------------------ */

static int write_temp(struct publish *p) {
    int fd;
    if (!sg_size_allowed((uint64_t)p->core->len + p->annex->len))
        return SAGGAR_ENOSPACE;
    int err = sg_temp_open(p->folder, SG_STORE_TEMP, p->temp, &fd);
    if (err != SAGGAR_OK)
        return err;
    sg_job_tick();
    err = sg_write_all(fd, p->core->data, p->core->len);
    if (err == SAGGAR_OK)
        err = sg_write_all(fd, p->annex->data, p->annex->len);
    sg_job_tick();
    if (err == SAGGAR_OK)
        err = sg_sync_data(fd);
    sg_job_tick();
    if (close(fd) != 0 && errno != EINTR && err == SAGGAR_OK)
        err = sg_err_from_errno(errno);
    if (err != SAGGAR_OK)
        unlinkat(p->folder, p->temp, 0);
    return err;
}

/* ---- The name
 * ---------------------------------------------------------------------------------------------------- */

static bool no_links_here(int err) {
    return err == EPERM || err == EOPNOTSUPP || err == EXDEV || err == EMLINK || err == ENOSYS;
}

/* Gives the temporary its name; never replaces anything, as far as the file system can promise that. Sets
 * errno. */
static bool give_name(struct publish *p, const char *name) {
    struct stat st;
    if (p->way == WAY_LINK) {
        if (linkat(p->folder, p->temp, p->folder, name, 0) == 0) {
            unlinkat(p->folder, p->temp, 0);
            return true;
        }
        if (!no_links_here(errno))
            return false;
        p->way = WAY_NOREPLACE;
    }
    if (p->way == WAY_NOREPLACE) {
        if (renameat2(p->folder, p->temp, p->folder, name, RENAME_NOREPLACE) == 0)
            return true;
        if (errno != EINVAL && !no_links_here(errno))
            return false;
        p->way = WAY_RENAME;
    }
    if (fstatat(p->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return false;
    }
    return errno == ENOENT && renameat(p->folder, p->temp, p->folder, name) == 0;
}

enum occupant { SAME, OTHER, FREED };

/* Who sits in the slot. What nobody can use is unlinked; what only we cannot use stays. */
static enum occupant look_at(struct publish *p, const char *name) {
    struct sg_store_file file;
    struct sg_entry_view v;
    bool opened;
    int err = sg_store_read(p->folder, name, &file, &opened);
    if (err == SAGGAR_ENOTFOUND)
        return FREED;
    bool bad = err == SAGGAR_ECORRUPT, same = false;
    if (err == SAGGAR_OK) {
        err = sg_entry_open(file.data, file.size, p->key, &v);
        same = err == SAGGAR_OK && memcmp(v.identity, p->identity, 32) == 0;
        if (same)
            err = sg_entry_check(&v);
        bad = err == SAGGAR_ECORRUPT || err == SAGGAR_ENOTSAGGAR || err == SAGGAR_EINVAL;
    }
    if (bad)
        (void)sg_store_remove(p->folder, name, file.dev, file.ino);
    free(file.data);
    return bad ? FREED : same ? SAME : OTHER;
}

/* OK: published, or an equal entry is there. EEXISTS: taken by another. */
static int try_slot(struct publish *p, unsigned slot) {
    char name[SG_STORE_NAME];
    sg_store_name(p->key, slot, name);
    /* Each round but the last few may take one bad file away. */
    for (int i = 0; i < SAGGAR_MAX_SLOTS + ROUNDS; i++) {
        sg_job_tick();
        if (give_name(p, name))
            return SAGGAR_OK;
        if (errno != EEXIST)
            return sg_err_from_errno(errno);
        enum occupant who = look_at(p, name);
        if (who == OTHER)
            return SAGGAR_EEXISTS;
        if (who == SAME) {
            unlinkat(p->folder, p->temp, 0);
            return SAGGAR_OK;
        }
    }
    return SAGGAR_EEXISTS;
}

/* Makes room by unlinking the oldest of the sixteen. */
static void drop_oldest(struct publish *p) {
    char name[SG_STORE_NAME], oldest[SG_STORE_NAME] = "";
    struct timespec when = {0, 0};
    struct stat st;
    for (unsigned slot = 0; slot < SAGGAR_MAX_SLOTS; slot++) {
        sg_store_name(p->key, slot, name);
        if (fstatat(p->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            continue;
        if (oldest[0] == '\0' || st.st_mtim.tv_sec < when.tv_sec ||
            (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec < when.tv_nsec)) {
            memcpy(oldest, name, sizeof oldest);
            when = st.st_mtim;
        }
    }
    if (oldest[0] != '\0')
        unlinkat(p->folder, oldest, 0);
}

static int place(struct publish *p) {
    int err = SAGGAR_EEXISTS;
    for (int i = 0; i < ROUNDS && err == SAGGAR_EEXISTS; i++) {
        for (unsigned slot = 0; slot < SAGGAR_MAX_SLOTS && err == SAGGAR_EEXISTS; slot++)
            err = try_slot(p, slot);
        if (err == SAGGAR_EEXISTS)
            drop_oldest(p);
    }
    if (err != SAGGAR_OK)
        unlinkat(p->folder, p->temp, 0);
    return err == SAGGAR_EEXISTS ? SAGGAR_EBUSY : err;
}

/* ---- Publishing
 * -------------------------------------------------------------------------------------------------- */

static int publish_once(struct sg_store *store, struct publish *p) {
    int err = open_folder(store, p->key[0], &p->folder);
    if (err != SAGGAR_OK)
        return err;
    sg_job_tick();
    err = write_temp(p);
    if (err == SAGGAR_OK)
        err = place(p);
    close(p->folder);
    return err;
}

/* A device in trouble is left alone for a while: each further compile would only wait for the same error. */
static void pause_store(struct sg_store *store, int err) {
    if (err != SAGGAR_ENOSPACE && err != SAGGAR_EREADONLY && err != SAGGAR_EIO)
        return;
    uint64_t until = sg_now_ns(CLOCK_MONOTONIC) + SG_STORE_PAUSE_S * UINT64_C(1000000000);
    atomic_store(&store->paused_error, err);
    atomic_store(&store->paused_until, until);
}

int sg_store_publish(struct sg_tier *tier, const uint8_t key[32], const uint8_t identity[32],
                     const struct sg_buf *core, const struct sg_buf *annex) {
    struct sg_store *store = (struct sg_store *)tier;
    if (!tier->active)
        return store->error;
    if (store->read_only)
        return SAGGAR_EREADONLY;
    uint64_t until = atomic_load(&store->paused_until);
    if (until != 0 && sg_now_ns(CLOCK_MONOTONIC) < until)
        return atomic_load(&store->paused_error);
    struct publish p = {.key = key, .identity = identity, .core = core, .annex = annex};
    int err = publish_once(store, &p);
    /* The store, or our file in it, was removed meanwhile: once more from the start. */
    if (err == SAGGAR_ENOTFOUND)
        err = publish_once(store, &p);
    pause_store(store, err);
    if (err == SAGGAR_OK)
        sg_store_gc_auto(store, key);
    return err;
}
