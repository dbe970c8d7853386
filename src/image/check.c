/*
 * The full check of an image: that the file is exactly what the writer would have made of its entries.
 *
 * Nothing found is believed before it is compared: blocks and root first, then the bucket table, rows and
 * entries one by one, so one bad entry does not hide the others. The bytes are only read.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"

struct check {
    struct sg_image_bytes bytes;
    struct sg_image_layout l;
    sg_image_finding *finding;
    void *context;
    int first;   /* the first finding's error */
    int stopped; /* what the callback ended the check with */
};

static void found(struct check *c, int err, uint64_t row, const char *what) {
    if (c->stopped != 0)
        return;
    if (c->first == SAGGAR_OK)
        c->first = err;
    const uint8_t *key =
        row == SG_IMAGE_WHOLE ? NULL : c->bytes.base + c->l.index + row * SG_IMAGE_ROW + SG_ROW_KEY;
    if (c->finding != NULL)
        c->stopped = c->finding(c->context, err, row, key, what);
}

static void damaged(struct check *c, uint64_t row, const char *what) {
    found(c, SAGGAR_ECORRUPT, row, what);
}

/* Every block against both digests, the root, and the zeros behind the parts. */
static void check_blocks(struct check *c) {
    const uint8_t *base = c->bytes.base;
    const struct sg_image_layout *l = &c->l;
    const uint8_t *list = base + l->list;
    uint8_t digest[32];
    for (uint64_t i = 0; i < l->blocks && c->stopped == 0; i++) {
        const uint8_t *block = base + SG_IMAGE_HEADER + i * SG_IMAGE_BLOCK;
        const uint8_t *row = list + i * SG_IMAGE_BLOCK_ROW;
        size_t n = sg_image_block_size(l, i);
        if (sg_sha256(digest, block, n) != SAGGAR_OK || memcmp(digest, row, 32) != 0)
            damaged(c, SG_IMAGE_WHOLE, "a block's SHA-256 does not agree");
        sg_xxh128(digest, block, n);
        if (memcmp(digest, row + 32, 16) != 0)
            damaged(c, SG_IMAGE_WHOLE, "a block's XXH128 does not agree");
    }
    if (sg_image_root(base, list, l->blocks, digest) != SAGGAR_OK ||
        memcmp(digest, base + SG_IMAGE_ROOT, 32) != 0)
        damaged(c, SG_IMAGE_WHOLE, "the root does not agree");
    uint64_t table_end = SG_IMAGE_HEADER + 4 * ((UINT64_C(1) << l->bits) + 1);
    uint64_t list_end = l->list + l->blocks * SG_IMAGE_BLOCK_ROW;
    uint64_t provenance_end = l->provenance + l->provenance_size;
    if (!sg_is_zero(base + table_end, (size_t)(l->index - table_end)) ||
        !sg_is_zero(base + provenance_end, (size_t)(l->list - provenance_end)) ||
        !sg_is_zero(base + list_end, (size_t)(l->first - list_end)))
        damaged(c, SG_IMAGE_WHOLE, "a padding is not zero");
}

/* An ordered map that holds nothing but texts; its form is checked before. */
static bool only_texts(const uint8_t *p, size_t n) {
    size_t at = 5;
    if (p[0] != SAGGAR_ORDERED_MAP)
        return false;
    while (at < n) {
        if (p[at] != 0x08)
            return false;
        at += 5 + (size_t)sg_load32(p + at + 1);
    }
    return true;
}

static void check_provenance(struct check *c) {
    const uint8_t *p = c->bytes.base + c->l.provenance;
    size_t n = (size_t)c->l.provenance_size;
    if (n > 0 && (saggar_value_check(p, n) != SAGGAR_OK || !only_texts(p, n)))
        damaged(c, SG_IMAGE_WHOLE, "the provenance is not a map of texts");
}

static const uint8_t *row_at(const struct check *c, uint64_t i) {
    return c->bytes.base + c->l.index + i * SG_IMAGE_ROW;
}

/* Element i is the number of keys whose leading bits are below i. */
static void check_table(struct check *c) {
    uint64_t buckets = UINT64_C(1) << c->l.bits;
    uint64_t row = 0;
    for (uint64_t i = 0; i <= buckets; i++) {
        while (row < c->l.entries) {
            const uint8_t *key = row_at(c, row);
            uint64_t lead = (uint64_t)key[0] << 24 | (uint64_t)key[1] << 16 | (uint64_t)key[2] << 8 | key[3];
            if (c->l.bits != 0 && lead >> (32 - c->l.bits) >= i)
                break;
            if (c->l.bits == 0 && i == 0)
                break;
            row++;
        }
        if (sg_load32(c->bytes.base + SG_IMAGE_HEADER + 4 * i) != row) {
            damaged(c, SG_IMAGE_WHOLE, "the bucket table does not agree with the index");
            return;
        }
    }
}

static bool all_stored(const struct sg_entry_view *v) {
    for (uint32_t i = 0; i < v->sections; i++) {
        struct sg_section s;
        sg_entry_section(v, i, &s);
        if (s.codec != 0)
            return false;
    }
    return true;
}

static void check_entry(struct check *c, uint64_t i, uint64_t offset, uint64_t size) {
    struct sg_entry_view v;
    uint8_t row[SG_IMAGE_ROW];
    int err = sg_entry_open(c->bytes.base + offset, size, NULL, &v);
    if (err == SAGGAR_OK && v.size != size)
        err = SAGGAR_ECORRUPT;
    if (err != SAGGAR_OK) {
        found(c, err, i, "the entry's head is damaged");
        return;
    }
    err = sg_entry_check(&v);
    if (err != SAGGAR_OK) {
        found(c, err, i, "the entry is damaged");
        return;
    }
    err = sg_image_row(&v, SG_FULL, offset, row);
    if (err != SAGGAR_OK)
        found(c, err, i, "the entry is damaged");
    else if (memcmp(row, row_at(c, i), SG_IMAGE_ROW) != 0)
        damaged(c, i, "the index row does not agree with the entry");
    if (sg_load16(c->bytes.base + 10) == 0 && !all_stored(&v))
        damaged(c, i, "the entry is compressed");
}

/* Rows ascend, and the entries follow each other without a gap up to the end of the file. */
static void check_entries(struct check *c) {
    uint64_t offset = c->l.first;
    for (uint64_t i = 0; i < c->l.entries && c->stopped == 0; i++) {
        const uint8_t *row = row_at(c, i);
        if (i > 0 && memcmp(row_at(c, i - 1), row, 64) >= 0)
            damaged(c, i, "the index is not in order");
        uint64_t at = sg_load64(row + SG_ROW_OFFSET);
        uint64_t size = sg_load64(row + SG_ROW_SIZE);
        if (at != offset)
            damaged(c, i, "the entry does not follow its neighbour");
        if (at % 64 != 0 || at < c->l.first || !sg_range_ok(at, size, c->l.size)) {
            damaged(c, i, "the entry lies outside the file");
            continue;
        }
        check_entry(c, i, at, size);
        offset = at + size;
    }
    if (c->stopped == 0 && offset != c->l.size)
        damaged(c, SG_IMAGE_WHOLE, "the file does not end with the last entry");
}

static int open_bytes(const char *path, struct check *c) {
    struct stat st;
    int fd;
    do {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return sg_err_from_errno(errno);
    int err = SAGGAR_OK;
    if (fstat(fd, &st) != 0)
        err = sg_err_from_errno(errno);
    else if (!S_ISREG(st.st_mode))
        err = SAGGAR_ENOTSAGGAR;
    if (err == SAGGAR_OK)
        err = sg_image_load(fd, (uint64_t)st.st_size, &c->bytes);
    close(fd);
    return err;
}

static void fill_info(const struct check *c, struct sg_image_info *info) {
    info->size = c->bytes.size;
    info->entries = c->l.entries;
    memcpy(info->root, c->bytes.base + SG_IMAGE_ROOT, 32);
}

int sg_image_check(const char *path, sg_image_finding *finding, void *context, struct sg_image_info *info) {
    struct check c;
    memset(&c, 0, sizeof c);
    if (info != NULL)
        memset(info, 0, sizeof *info);
    c.finding = finding;
    c.context = context;
    int err = open_bytes(path, &c);
    if (err != SAGGAR_OK) {
        found(&c, err, SG_IMAGE_WHOLE, "cannot be read");
        return c.stopped != 0 ? c.stopped : err;
    }
    err = sg_image_header_read(c.bytes.base, c.bytes.size, c.bytes.size, &c.l);
    if (err != SAGGAR_OK) {
        found(&c, err, SG_IMAGE_WHOLE, "the header is damaged, or the file is cut short");
    } else {
        if (info != NULL)
            fill_info(&c, info);
        check_blocks(&c);
        check_provenance(&c);
        check_table(&c);
        check_entries(&c);
    }
    sg_image_unload(&c.bytes);
    return c.stopped != 0 ? c.stopped : c.first;
}
