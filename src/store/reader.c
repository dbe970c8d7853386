/*
 * The store as a tier: find, each, discard. See store.h and docs/FORMAT.md section 4.4.
 *
 * A file is opened without following links and without blocking, read whole into private memory, verified
 * there, and that memory is handed out: what somebody does to the file later changes nothing. `struct held`
 * owns it, is counted, and keeps the tier's structure alive. A lookup writes nothing. Slots are tried from 0
 * until one is not there; a file that cannot be used is reported and passed over.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "trust/trust.h"

#define MAX_FILE (((uint64_t)8 << 30) + ((uint64_t)32 << 20)) /* a core and its annex */

enum { REMOVE_TRIES = 4, READ_AT_ONCE = 4 << 20 };

struct held {
    _Atomic unsigned refs;
    struct sg_store *store;
    struct sg_store_file file;
    uint8_t key[SAGGAR_KEY_SIZE];
    unsigned slot;
};

/* ---- Names
 * ------------------------------------------------------------------------------------------------------- */

void sg_store_name(const uint8_t key[32], unsigned slot, char out[SG_STORE_NAME]) {
    sg_hex(out, key, SAGGAR_KEY_SIZE);
    out[64] = '.';
    out[65] = "0123456789abcdef"[slot & 15];
    out[66] = '\0';
}

bool sg_store_name_parse(const char *name, uint8_t key[32], unsigned *slot) {
    static const char digits[] = "0123456789abcdef";
    if (strlen(name) != SG_STORE_NAME - 1 || name[64] != '.' || !sg_unhex(key, SAGGAR_KEY_SIZE, name, 64))
        return false;
    const char *digit = strchr(digits, name[65]);
    if (digit == NULL)
        return false;
    *slot = (unsigned)(digit - digits);
    return true;
}

/* root "/v1/ab/KEY.s"; sg_store_open() made sure that it fits. */
static void slot_path(const struct sg_store *store, const uint8_t *key, unsigned slot,
                      char out[SG_STORE_PATH]) {
    char *p = out;
    memcpy(p, store->root, store->root_size);
    p += store->root_size;
    memcpy(p, "/v1/", 4);
    sg_hex(p + 4, key, 1);
    p[6] = '/';
    sg_store_name(key, slot, p + 7);
}

const char *sg_store_root(const struct sg_store *store) {
    return store->root_size == 0 ? "/" : store->root;
}

/* ---- One file
 * ---------------------------------------------------------------------------------------------------- */

bool sg_store_owner_ok(const struct stat *st) {
    return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The usual case needs no further look; the others (a private group, a read-only mount, SAGGAR_TRUST) do. */
static bool trusted_file(int fd, const struct stat *st) {
    struct sg_trust_verdict verdict;
    return sg_store_owner_ok(st) || (sg_trust_check_fd(fd, NULL, &verdict) == SAGGAR_OK && verdict.trusted);
}

static int read_fd(int fd, struct sg_store_file *out) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return sg_err_from_errno(errno);
    out->dev = st.st_dev;
    out->ino = st.st_ino;
    if (!S_ISREG(st.st_mode))
        return SAGGAR_ENOTSAGGAR;
    if (!trusted_file(fd, &st))
        return SAGGAR_EUNTRUSTED;
    if (st.st_size <= 0)
        return SAGGAR_ECORRUPT;
    if ((uint64_t)st.st_size > MAX_FILE)
        return SAGGAR_ELIMIT;
    uint64_t room;
    size_t size = (size_t)st.st_size;
    sg_align64(size, &room);
    out->data = aligned_alloc(64, (size_t)room);
    if (out->data == NULL)
        return SAGGAR_ENOMEM;
    for (size_t got = 0; got < size;) {
        ssize_t r = read(fd, out->data + got, size - got < READ_AT_ONCE ? size - got : READ_AT_ONCE);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            int err = r < 0 ? sg_err_from_errno(errno) : SAGGAR_ECORRUPT;
            free(out->data);
            out->data = NULL;
            return err;
        }
        got += (size_t)r;
        sg_job_tick();
    }
    uint64_t mix[6] = {(uint64_t)st.st_dev,         (uint64_t)st.st_ino,          (uint64_t)st.st_size,
                       (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec, 0};
    out->size = size;
    out->stamp = sg_xxh64(mix, sizeof mix);
    return SAGGAR_OK;
}

int sg_store_read(int dirfd, const char *path, struct sg_store_file *out, bool *opened) {
    int fd, err = SAGGAR_OK;
    memset(out, 0, sizeof *out);
    *opened = false;
    /* ESTALE: another client of a network file system replaced it. Once more by path, then it is a fault. */
    for (int attempt = 0; attempt < 2; attempt++) {
        do {
            fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        } while (fd < 0 && errno == EINTR);
        if (fd < 0) {
            if (errno == ESTALE && attempt == 0)
                continue;
            *opened = errno == ELOOP || errno == ENXIO; /* it is there, and no file */
            return errno == ELOOP   ? SAGGAR_EUNTRUSTED
                   : errno == ENXIO ? SAGGAR_ENOTSAGGAR
                                    : sg_err_from_errno(errno);
        }
        *opened = true;
        errno = 0;
        err = read_fd(fd, out);
        int why = errno;
        close(fd);
        errno = why;
        if (err != SAGGAR_EIO || why != ESTALE)
            break;
    }
    return err;
}

/* ---- Counting
 * ---------------------------------------------------------------------------------------------------- */

void sg_store_unref(struct sg_store *store) {
    if (atomic_fetch_sub_explicit(&store->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(store->root);
    free(store->tier.path);
    free(store->tier.note);
    free(store);
}

void sg_store_hold(struct sg_candidate *c) {
    struct held *h = c->owner;
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
}

void sg_store_release(struct sg_candidate *c) {
    struct held *h = c->owner;
    c->owner = NULL;
    if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
        return;
    sg_store_unref(h->store);
    free(h->file.data);
    free(h);
}

/* ---- Finding
 * ----------------------------------------------------------------------------------------------------- */

static saggar_reason reason_of(int err) {
    switch (err) {
    case SAGGAR_EVERSION:
        return SAGGAR_REASON_VERSION;
    case SAGGAR_EUNKNOWN:
        return SAGGAR_REASON_UNKNOWN_RECORD;
    case SAGGAR_EINVAL:
        return SAGGAR_REASON_WRONG_KEY;
    case SAGGAR_EUNTRUSTED:
        return SAGGAR_REASON_UNTRUSTED;
    case SAGGAR_ECORRUPT:
    case SAGGAR_ENOTSAGGAR:
    case SAGGAR_ELIMIT:
        return SAGGAR_REASON_CORRUPT;
    default:
        return SAGGAR_REASON_IO;
    }
}

static void report(sg_fault_fn *fault, void *context, saggar_reason reason, const char *path, int err) {
    char detail[SAGGAR_DETAIL_SIZE];
    if (fault == NULL)
        return;
    snprintf(detail, sizeof detail, "%.180s: %s", path,
             reason == SAGGAR_REASON_WRONG_KEY ? saggar_reason_text(reason) : saggar_strerror(err));
    fault(context, reason, detail);
}

/* Verifies what was read and makes it a candidate that is held once; else frees it. */
static int make_candidate(struct sg_store *store, const uint8_t *key, unsigned slot,
                          struct sg_store_file *file, struct sg_candidate *c) {
    memset(c, 0, sizeof *c);
    int err = sg_entry_open(file->data, file->size, key, &c->view);
    struct held *h = err == SAGGAR_OK ? malloc(sizeof *h) : NULL;
    if (h == NULL) {
        free(file->data);
        return err == SAGGAR_OK ? SAGGAR_ENOMEM : err;
    }
    atomic_init(&h->refs, 1);
    h->store = store;
    h->file = *file;
    memcpy(h->key, key, sizeof h->key);
    h->slot = slot;
    atomic_fetch_add_explicit(&store->refs, 1, memory_order_relaxed);
    c->tier = &store->tier;
    c->owner = h;
    c->id = file->stamp ^ sg_load64(c->view.identity);
    return SAGGAR_OK;
}

/* After an open that failed: does it concern this one file? */
static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

int sg_store_find(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE],
                  struct sg_candidate out[SAGGAR_MAX_SLOTS], unsigned *n, sg_fault_fn *fault, void *context) {
    struct sg_store *store = (struct sg_store *)tier;
    char path[SG_STORE_PATH];
    *n = 0;
    if (!tier->active)
        return SAGGAR_OK;
    for (unsigned slot = 0; slot < SAGGAR_MAX_SLOTS; slot++) {
        struct sg_store_file file;
        bool opened;
        slot_path(store, key, slot, path);
        int err = sg_store_read(AT_FDCWD, path, &file, &opened);
        if (err == SAGGAR_ENOTFOUND && !opened)
            break;
        bool io = err != SAGGAR_OK && reason_of(err) == SAGGAR_REASON_IO;
        if (err == SAGGAR_OK)
            err = make_candidate(store, key, slot, &file, &out[*n]);
        else if (!opened)
            io = true; /* no descriptors left, no permission, a folder that is a file: no word about the entry
                        */
        if (err == SAGGAR_OK)
            (*n)++;
        else
            report(fault, context, io ? SAGGAR_REASON_IO : reason_of(err), path, err);
        if (err != SAGGAR_OK && !opened && !is_there(path))
            break; /* the next slot would fare no better */
    }
    return SAGGAR_OK;
}

/* The slot, from `slot` down to 0, where the file is; `path` ends with it then. -1: nowhere, -2: it cannot be
 * told. */
static int slot_of_file(int dirfd, char *path, size_t digit, int slot, dev_t dev, ino_t ino) {
    struct stat st;
    for (; slot >= 0; slot--) {
        path[digit] = "0123456789abcdef"[slot];
        if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT)
                return -2;
        } else if (st.st_dev == dev && st.st_ino == ino) {
            break;
        }
    }
    return slot;
}

/* The highest file of an unbroken row of slots that begins behind `slot`; `slot` if there is none. `path`
 * ends with it. */
static int last_in_row(int dirfd, char *path, size_t digit, int slot) {
    struct stat st;
    int last = slot;
    for (int i = slot + 1; i < SAGGAR_MAX_SLOTS; i++) {
        path[digit] = "0123456789abcdef"[i];
        if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
            break;
        if (S_ISREG(st.st_mode))
            last = i;
    }
    path[digit] = "0123456789abcdef"[last];
    return last;
}

/* Somebody published behind the hole just when it came to be: the last one fills it. Best effort. */
static void fill_hole(int dirfd, char *at, char *last, size_t digit, int hole) {
    at[digit] = "0123456789abcdef"[hole];
    if (last_in_row(dirfd, last, digit, hole) != hole)
        (void)renameat2(dirfd, last, dirfd, at, RENAME_NOREPLACE);
}

bool sg_store_remove(int dirfd, const char *path, dev_t dev, ino_t ino) {
    static const char digits[] = "0123456789abcdef";
    char at[SG_STORE_PATH], last[SG_STORE_PATH];
    size_t digit = strlen(path) - 1;
    int slot = (int)(strchr(digits, path[digit]) - digits);
    memcpy(at, path, digit + 2);
    memcpy(last, path, digit + 2);
    for (int i = 0; i < REMOVE_TRIES; i++) {
        slot = slot_of_file(dirfd, at, digit, slot, dev, ino);
        if (slot < 0)
            return slot == -1; /* somebody else removed it */
        int top = last_in_row(dirfd, last, digit, slot);
        bool gone = top != slot && renameat(dirfd, last, dirfd, at) == 0;
        if (!gone && (top == slot || errno != ENOENT)) {
            gone = unlinkat(dirfd, at, 0) == 0;
            top = slot;
        }
        if (gone) {
            fill_hole(dirfd, at, last, digit, top);
            return true;
        }
        if (errno != ENOENT)
            return false;
    }
    return false;
}

void sg_store_discard(struct sg_candidate *c) {
    struct held *h = c->owner;
    char path[SG_STORE_PATH];
    if (h == NULL || h->store->read_only)
        return;
    slot_path(h->store, h->key, h->slot, path);
    (void)sg_store_remove(AT_FDCWD, path, h->file.dev, h->file.ino);
}

/* ---- All of them
 * ------------------------------------------------------------------------------------------------- */

typedef int each_fn(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *name);

DIR *sg_store_opendir(int dirfd, const char *path) {
    int fd;
    do {
        fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int why = errno;
        close(fd);
        errno = why;
    }
    return dir;
}

static int by_text(const void *a, const void *b) {
    return memcmp(a, b, SG_STORE_NAME);
}

/* The slots' names in a folder, sorted; *names is malloc'd. A folder that is not there has none. */
static int list_folder(const char *path, char (**names)[SG_STORE_NAME], size_t *count, const char *lead) {
    struct dirent *d;
    size_t room = 0;
    *names = NULL;
    *count = 0;
    DIR *dir = sg_store_opendir(AT_FDCWD, path);
    if (dir == NULL)
        return errno == ENOENT ? SAGGAR_OK : sg_err_from_errno(errno);
    while ((errno = 0, d = readdir(dir)) != NULL) {
        uint8_t key[32];
        unsigned slot;
        if (!sg_store_name_parse(d->d_name, key, &slot) || memcmp(d->d_name, lead, 2) != 0)
            continue;
        if (*count == room) {
            room = room == 0 ? 64 : 2 * room;
            void *more = realloc(*names, room * SG_STORE_NAME);
            if (more == NULL) {
                errno = ENOMEM;
                break;
            }
            *names = more;
        }
        memcpy((*names)[(*count)++], d->d_name, SG_STORE_NAME);
    }
    int err = sg_err_from_errno(errno);
    closedir(dir);
    if (*count > 0)
        qsort(*names, *count, SG_STORE_NAME, by_text);
    return err;
}

static int each_file(const char *folder, const char *name, each_fn *each, void *context) {
    char path[SG_STORE_PATH + SG_STORE_NAME];
    struct sg_store_file file;
    struct sg_entry_view view;
    uint8_t key[32];
    unsigned slot;
    bool opened;
    const uint8_t *annex = NULL;
    size_t annex_size = 0;
    sg_store_name_parse(name, key, &slot);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int err = sg_store_read(AT_FDCWD, path, &file, &opened);
    if (err == SAGGAR_ENOTFOUND)
        return 0; /* collected meanwhile */
    if (err == SAGGAR_OK)
        err = sg_entry_open(file.data, file.size, key, &view);
    if (err == SAGGAR_OK && sg_annex_find(file.data, file.size, view.size, &annex, &annex_size) != SAGGAR_OK)
        annex = NULL;
    int result =
        each(context, err, err == SAGGAR_OK ? &view : NULL, annex, annex == NULL ? 0 : annex_size, path);
    free(file.data);
    return result;
}

int sg_store_each(struct sg_tier *tier, each_fn *each, void *context) {
    struct sg_store *store = (struct sg_store *)tier;
    int result = 0;
    for (unsigned i = 0; tier->active && result == 0 && i < 256; i++) {
        char folder[SG_STORE_PATH], lead[3];
        char(*names)[SG_STORE_NAME];
        size_t count;
        snprintf(lead, sizeof lead, "%02x", i);
        snprintf(folder, sizeof folder, "%s/v1/%s", store->root, lead);
        int err = list_folder(folder, &names, &count, lead);
        for (size_t k = 0; result == 0 && k < count; k++)
            result = each_file(folder, names[k], each, context);
        free(names);
        if (err != SAGGAR_OK && result == 0)
            result = each(context, err, NULL, NULL, 0, folder);
    }
    return result;
}
