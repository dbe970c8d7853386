/*
 * Images as a tier: open, find, each. See image.h and docs/FORMAT.md section 5.
 *
 * One `struct image` owns the bytes and two bitmaps: blocks whose digest was checked, entries whose head was.
 * Bits are only ever set, with release order after the check and read with acquire order, so threads may
 * check the same thing twice but never use what is unchecked. The structure is counted: once for the opener,
 * once for each candidate held. After open nothing here makes a system call or allocates, and a second touch
 * digests nothing.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "trust/trust.h"

struct image {
    struct sg_tier tier; /* first: a tier's pointer is the image's */
    _Atomic unsigned refs;
    struct sg_image_bytes bytes;
    struct sg_image_layout l;
    _Atomic uint64_t *blocks_ok, *entries_ok; /* one mapping, blocks first */
    size_t bits_size;
};

typedef void fault_fn(void *context, saggar_reason reason, const char *detail);

/* ---- Memory
 * ------------------------------------------------------------------------------------------------------ */

/* Anonymous memory, zero, page-aligned, and not touched before it is used. */
static void *pages(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int read_whole(int fd, uint8_t *data, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t r = pread(fd, data + got, size - got, (off_t)got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return sg_err_from_errno(errno);
        if (r == 0)
            return SAGGAR_ECORRUPT;
        got += (size_t)r;
    }
    return SAGGAR_OK;
}

int sg_image_load(int fd, uint64_t size, struct sg_image_bytes *out) {
    if (size == 0)
        return SAGGAR_ENOTSAGGAR;
    if (size > PTRDIFF_MAX)
        return SAGGAR_ELIMIT;
    out->size = (size_t)size;
    if (!sg_fs_is_network(fd)) {
        void *p = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            out->base = p;
            return SAGGAR_OK;
        }
        if (errno != ENODEV && errno != EACCES) /* a file system without mappings */
            return sg_err_from_errno(errno);
    }
    out->base = pages(out->size);
    if (out->base == NULL)
        return SAGGAR_ENOMEM;
    int err = read_whole(fd, out->base, out->size);
    if (err != SAGGAR_OK)
        sg_image_unload(out);
    return err;
}

void sg_image_unload(struct sg_image_bytes *b) {
    if (b->base != NULL)
        munmap(b->base, b->size);
    b->base = NULL;
}

static void unref(struct image *im) {
    if (atomic_fetch_sub_explicit(&im->refs, 1, memory_order_acq_rel) != 1)
        return;
    sg_image_unload(&im->bytes);
    if (im->blocks_ok != NULL)
        munmap(im->blocks_ok, im->bits_size);
    free(im->tier.path);
    free(im->tier.note);
    free(im);
}

/* ---- What was checked
 * -------------------------------------------------------------------------------------------- */

static inline bool bit(_Atomic uint64_t *bits, uint64_t i) {
    return (atomic_load_explicit(&bits[i / 64], memory_order_acquire) >> (i % 64)) & 1;
}

static inline void set_bit(_Atomic uint64_t *bits, uint64_t i) {
    atomic_fetch_or_explicit(&bits[i / 64], UINT64_C(1) << (i % 64), memory_order_release);
}

static __attribute__((noinline)) bool check_block(struct image *im, uint64_t i) {
    const uint8_t *row = im->bytes.base + im->l.list + i * SG_IMAGE_BLOCK_ROW;
    uint8_t digest[16];
    sg_xxh128(digest, im->bytes.base + SG_IMAGE_HEADER + i * SG_IMAGE_BLOCK, sg_image_block_size(&im->l, i));
    if (memcmp(digest, row + 32, 16) != 0)
        return false;
    set_bit(im->blocks_ok, i);
    return true;
}

/* True if the blocks that hold bytes [at, at + n) of the file are sound; n > 0, and it lies before the block
 * list. */
static inline bool sound(struct image *im, uint64_t at, uint64_t n) {
    uint64_t last = (at + n - 1 - SG_IMAGE_HEADER) / SG_IMAGE_BLOCK;
    for (uint64_t i = (at - SG_IMAGE_HEADER) / SG_IMAGE_BLOCK; i <= last; i++) {
        if (!bit(im->blocks_ok, i) && !check_block(im, i))
            return false;
    }
    return true;
}

static inline const uint8_t *row_of(const struct image *im, uint64_t i) {
    return im->bytes.base + im->l.index + i * SG_IMAGE_ROW;
}

/* The first touch of an entry: its row makes sense, its head is sound, and both agree. */
static __attribute__((noinline)) int check_entry(struct image *im, uint64_t i) {
    const uint8_t *row = row_of(im, i);
    uint64_t offset = sg_load64(row + SG_ROW_OFFSET);
    uint64_t size = sg_load64(row + SG_ROW_SIZE);
    if (offset % 64 != 0 || offset < im->l.first || !sg_range_ok(offset, size, im->l.size) ||
        !sg_is_zero(row + SG_ROW_ZERO, SG_IMAGE_ROW - SG_ROW_ZERO))
        return SAGGAR_ECORRUPT;
    struct sg_entry_view v;
    int err = sg_entry_open(im->bytes.base + offset, size, NULL, &v);
    if (err != SAGGAR_OK)
        return err == SAGGAR_ENOTSAGGAR ? SAGGAR_ECORRUPT : err;
    if (v.size != size || memcmp(v.key, row, 64) != 0 || v.identity != v.key + 32)
        return SAGGAR_ECORRUPT;
    set_bit(im->entries_ok, i);
    return SAGGAR_OK;
}

static void view_of(const struct image *im, uint64_t i, struct sg_entry_view *v) {
    const uint8_t *row = row_of(im, i);
    v->core = im->bytes.base + sg_load64(row + SG_ROW_OFFSET);
    v->size = sg_load64(row + SG_ROW_SIZE);
    v->key = v->core + 32;
    v->identity = v->core + 64;
    v->sections = sg_load32(v->core + 12);
}

/* ---- Finding
 * ----------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void report(struct image *im, fault_fn *fault, void *context, int err,
                                             const char *what) {
    char detail[SAGGAR_DETAIL_SIZE];
    saggar_reason reason = err == SAGGAR_EVERSION   ? SAGGAR_REASON_VERSION
                           : err == SAGGAR_EUNKNOWN ? SAGGAR_REASON_UNKNOWN_RECORD
                                                    : SAGGAR_REASON_CORRUPT;
    if (fault == NULL)
        return;
    snprintf(detail, sizeof detail, "%s: %s: %s", im->tier.path, what, saggar_strerror(err));
    fault(context, reason, detail);
}

/* The rows [*lo, *hi) of the key's bucket. */
static inline bool bucket(struct image *im, const uint8_t *key, uint64_t *lo, uint64_t *hi) {
    uint32_t lead = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
    uint64_t b = im->l.bits == 0 ? 0 : lead >> (32 - im->l.bits);
    uint64_t at = SG_IMAGE_HEADER + 4 * b;
    if (!sound(im, at, 8))
        return false;
    *lo = sg_load32(im->bytes.base + at);
    *hi = sg_load32(im->bytes.base + at + 4);
    return *lo <= *hi && *hi <= im->l.entries;
}

static void fill(struct image *im, uint64_t i, struct sg_candidate *c) {
    const uint8_t *row = row_of(im, i);
    view_of(im, i, &c->view);
    c->tier = &im->tier;
    c->owner = im;
    c->id = i;
    c->has_features = true;
    for (size_t w = 0; w < 4; w++)
        c->features.word[w] = sg_load64(row + SG_ROW_FEATURES + 8 * w);
    c->arch = row[SG_ROW_ARCH];
    c->provenance = row[SG_ROW_PROVENANCE];
    c->flags = row[SG_ROW_FLAGS];
    atomic_fetch_add_explicit(&im->refs, 1, memory_order_relaxed);
}

static int image_find(struct sg_tier *tier, const uint8_t key[SAGGAR_KEY_SIZE],
                      struct sg_candidate out[SAGGAR_MAX_SLOTS], unsigned *n, fault_fn *fault,
                      void *context) {
    struct image *im = (struct image *)tier;
    uint64_t lo, hi;
    *n = 0;
    if (!tier->active)
        return SAGGAR_OK;
    if (!bucket(im, key, &lo, &hi)) {
        report(im, fault, context, SAGGAR_ECORRUPT, "bucket table");
        return SAGGAR_OK;
    }
    bool told = false;
    for (uint64_t i = lo; i < hi && *n < SAGGAR_MAX_SLOTS; i++) {
        const uint8_t *row = row_of(im, i);
        if (!sound(im, im->l.index + i * SG_IMAGE_ROW, SG_IMAGE_ROW)) {
            if (!told)
                report(im, fault, context, SAGGAR_ECORRUPT, "index");
            told = true;
            continue;
        }
        int order = memcmp(row, key, SAGGAR_KEY_SIZE);
        if (order > 0)
            break;
        if (order < 0)
            continue;
        int err = bit(im->entries_ok, i) ? SAGGAR_OK : check_entry(im, i);
        if (err == SAGGAR_OK)
            fill(im, i, &out[(*n)++]);
        else
            report(im, fault, context, err, "entry");
    }
    return SAGGAR_OK;
}

static void image_hold(struct sg_candidate *c) {
    struct image *im = c->owner;
    atomic_fetch_add_explicit(&im->refs, 1, memory_order_relaxed);
}

static void image_release(struct sg_candidate *c) {
    unref(c->owner);
    c->owner = NULL;
}

static int image_each(struct sg_tier *tier,
                      int (*each)(void *context, int error, const struct sg_entry_view *view,
                                  const uint8_t *annex, size_t annex_size, const char *name),
                      void *context) {
    struct image *im = (struct image *)tier;
    int result = 0;
    for (uint64_t i = 0; tier->active && result == 0 && i < im->l.entries; i++) {
        struct sg_entry_view v;
        int err = SAGGAR_ECORRUPT;
        if (sound(im, im->l.index + i * SG_IMAGE_ROW, SG_IMAGE_ROW))
            err = bit(im->entries_ok, i) ? SAGGAR_OK : check_entry(im, i);
        if (err == SAGGAR_OK)
            view_of(im, i, &v);
        result = each(context, err, err == SAGGAR_OK ? &v : NULL, NULL, 0, "");
    }
    return result;
}

static void image_discard(struct sg_candidate *c) {
    (void)c; /* read-only: the cache sets it aside */
}

static void image_close(struct sg_tier *tier) {
    unref((struct image *)tier);
}

/* ---- Opening
 * ----------------------------------------------------------------------------------------------------- */

static const struct sg_tier_ops image_ops = {
    .kind = "image",
    .find = image_find,
    .hold = image_hold,
    .release = image_release,
    .publish = NULL,
    .each = image_each,
    .discard = image_discard,
    .close = image_close,
};

static int make_bits(struct image *im) {
    size_t blocks = (size_t)(im->l.blocks + 63) / 64 * 8;
    size_t entries = (size_t)(im->l.entries + 63) / 64 * 8;
    im->bits_size = blocks + entries + 8;
    im->blocks_ok = pages(im->bits_size);
    if (im->blocks_ok == NULL)
        return SAGGAR_ENOMEM;
    im->entries_ok = im->blocks_ok + blocks / 8;
    return SAGGAR_OK;
}

/* The header is read by itself first: of a file that is no image nothing more is touched. */
static int open_bytes(struct image *im, int fd) {
    struct stat st;
    uint8_t header[SG_IMAGE_HEADER];
    if (fstat(fd, &st) != 0)
        return sg_err_from_errno(errno);
    if (!S_ISREG(st.st_mode))
        return SAGGAR_ENOTSAGGAR;
    uint64_t size = (uint64_t)st.st_size;
    size_t n = size < sizeof header ? (size_t)size : sizeof header;
    int err = read_whole(fd, header, n);
    if (err == SAGGAR_OK)
        err = sg_image_header_read(header, n, size, &im->l);
    if (err == SAGGAR_OK)
        err = sg_image_load(fd, size, &im->bytes);
    /* Read again from where it will be used: a file may change between two looks. */
    if (err == SAGGAR_OK)
        err = sg_image_header_read(im->bytes.base, im->bytes.size, size, &im->l);
    return err == SAGGAR_OK ? make_bits(im) : err;
}

static int open_file(struct image *im, const char *path, const char *prefix, char *why, size_t n) {
    struct sg_trust_verdict verdict;
    int fd;
    int err = sg_trust_check(path, prefix, &verdict);
    if (err == SAGGAR_OK && !verdict.trusted)
        err = SAGGAR_EUNTRUSTED;
    if (err != SAGGAR_OK) {
        snprintf(why, n, "%s", err == SAGGAR_ENOTFOUND ? saggar_strerror(err) : verdict.reason);
        return err;
    }
    do {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return sg_err_from_errno(errno);
    err = sg_trust_check_fd(fd, prefix, &verdict); /* of the file that is read from here on */
    if (err == SAGGAR_EINVAL)
        err = SAGGAR_ENOTSAGGAR;
    if (err == SAGGAR_OK && !verdict.trusted) {
        snprintf(why, n, "%s", verdict.reason);
        err = SAGGAR_EUNTRUSTED;
    }
    im->tier.trusted = err == SAGGAR_OK;
    if (err == SAGGAR_OK)
        err = open_bytes(im, fd);
    close(fd);
    return err;
}

static void leave_out(struct image *im, const char *why) {
    im->tier.active = false;
    free(im->tier.note);
    im->tier.note = strdup(why);
}

int sg_image_open(const char *path, struct sg_tier **out) {
    return sg_image_open_under(path, NULL, out);
}

int sg_image_open_under(const char *path, const char *prefix, struct sg_tier **out) {
    char why[SAGGAR_DETAIL_SIZE] = "";
    if (path == NULL || path[0] == '\0')
        return SAGGAR_EINVAL;
    struct image *im = calloc(1, sizeof *im);
    if (im == NULL)
        return SAGGAR_ENOMEM;
    atomic_init(&im->refs, 1);
    im->tier.ops = &image_ops;
    im->tier.path = strdup(path);
    im->tier.note = strdup("");
    if (im->tier.path != NULL && im->tier.note != NULL) {
        int err = open_file(im, path, prefix, why, sizeof why);
        if (err == SAGGAR_OK) {
            im->tier.active = true;
            im->tier.entries = im->l.entries;
        } else {
            leave_out(im, why[0] != '\0' ? why : saggar_strerror(err));
        }
    }
    if (im->tier.path == NULL || im->tier.note == NULL) {
        unref(im);
        return SAGGAR_ENOMEM;
    }
    *out = &im->tier;
    return SAGGAR_OK;
}

int sg_image_info(struct sg_tier *tier, struct sg_image_info *out) {
    struct image *im = (struct image *)tier;
    if (tier->ops != &image_ops || !tier->active)
        return SAGGAR_EINVAL;
    memset(out, 0, sizeof *out);
    out->size = im->l.size;
    out->entries = im->l.entries;
    memcpy(out->root, im->bytes.base + SG_IMAGE_ROOT, 32);
    if (im->l.provenance_size == 0)
        return SAGGAR_OK;
    if (!sound(im, im->l.provenance, im->l.provenance_size) ||
        saggar_value_check(im->bytes.base + im->l.provenance, (size_t)im->l.provenance_size) != SAGGAR_OK)
        return SAGGAR_ECORRUPT;
    out->provenance = im->bytes.base + im->l.provenance;
    out->provenance_size = (size_t)im->l.provenance_size;
    return SAGGAR_OK;
}
