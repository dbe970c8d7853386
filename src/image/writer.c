/*
 * Making images: saggar_image_writer_*. The same entries and the same provenance give the same bytes.
 *
 * Each entry is checked in full when it is added and kept once, encoded anew with codec 0, so neither the
 * order of the additions nor the way in which an entry was stored leaves a mark. The file is streamed: only
 * the parts before the entries are built in memory beside them. It appears under its name whole or not at
 * all: temporary file, every write and the close checked, fsync, rename, fsync of the folder. Any error
 * removes the temporary; one of a process that was killed goes with the next image in its folder.
 */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"

#define MAX_CORE ((size_t)8 << 30)
#define TEMP ".tmp-"

struct item {
    uint8_t *core; /* codec 0 throughout */
    size_t size;
    uint8_t row[SG_IMAGE_ROW]; /* complete but for the offset */
};

struct line {
    char *name, *text;
};

struct saggar_image_writer {
    struct item *items;
    size_t n, room;
    struct line *lines;
    size_t line_count;
    bool sorted;
};

int saggar_image_writer_new(saggar_image_writer **out) {
    if (out == NULL)
        return SAGGAR_EINVAL;
    *out = calloc(1, sizeof **out);
    return *out == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
}

void saggar_image_writer_free(saggar_image_writer *w) {
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->n; i++)
        free(w->items[i].core);
    for (size_t i = 0; i < w->line_count; i++) {
        free(w->lines[i].name);
        free(w->lines[i].text);
    }
    free(w->items);
    free(w->lines);
    free(w);
}

/* ---- Adding
 * ------------------------------------------------------------------------------------------------------ */

/* The entry with codec 0, checked again from the bytes that will be written, and its row. */
static int encode_item(const struct sg_entry_view *v, struct item *item) {
    struct sg_buf buf;
    struct sg_entry_view plain;
    sg_buf_init(&buf, MAX_CORE);
    int err = sg_entry_decompress(v, &buf);
    if (err == SAGGAR_OK)
        err = sg_entry_open(buf.data, buf.len, v->key, &plain);
    if (err == SAGGAR_OK && (plain.size != buf.len || memcmp(plain.identity, v->identity, 32) != 0))
        err = SAGGAR_ECORRUPT;
    if (err == SAGGAR_OK)
        err = sg_image_row(&plain, SG_FAST, 0, item->row);
    if (err == SAGGAR_OK) {
        item->core = sg_buf_steal(&buf, &item->size);
        err = item->core == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
    }
    sg_buf_free(&buf);
    return err;
}

int saggar_image_writer_add(saggar_image_writer *w, const void *core, size_t size) {
    struct sg_entry_view v;
    if (w == NULL || core == NULL)
        return SAGGAR_EINVAL;
    if (w->n >= SG_IMAGE_MAX_ENTRIES)
        return SAGGAR_ELIMIT;
    int err = sg_entry_open(core, size, NULL, &v);
    if (err == SAGGAR_OK)
        err = sg_entry_check(&v);
    if (err != SAGGAR_OK)
        return err;
    if (w->n == w->room) {
        size_t room = w->room == 0 ? 64 : 2 * w->room;
        struct item *more = realloc(w->items, room * sizeof *more);
        if (more == NULL)
            return SAGGAR_ENOMEM;
        w->items = more;
        w->room = room;
    }
    err = encode_item(&v, &w->items[w->n]);
    if (err != SAGGAR_OK)
        return err;
    w->n++;
    w->sorted = false;
    return SAGGAR_OK;
}

int saggar_image_writer_provenance(saggar_image_writer *w, const char *name, const char *text) {
    if (w == NULL || name == NULL || text == NULL)
        return SAGGAR_EINVAL;
    for (size_t i = 0; i < w->line_count; i++) {
        if (strcmp(w->lines[i].name, name) == 0)
            return SAGGAR_EEXISTS;
    }
    struct line *more = realloc(w->lines, (w->line_count + 1) * sizeof *more);
    if (more == NULL)
        return SAGGAR_ENOMEM;
    w->lines = more;
    struct line *line = &more[w->line_count];
    line->name = strdup(name);
    line->text = strdup(text);
    if (line->name == NULL || line->text == NULL) {
        free(line->name);
        free(line->text);
        return SAGGAR_ENOMEM;
    }
    w->line_count++;
    return SAGGAR_OK;
}

static int by_row(const void *a, const void *b) {
    return memcmp(((const struct item *)a)->row, ((const struct item *)b)->row, 64);
}

/* Sorts by (key, identity) and drops what is there twice: an equal identity is an equal encoding. */
static void sort_items(saggar_image_writer *w) {
    if (w->sorted || w->n == 0)
        return;
    qsort(w->items, w->n, sizeof *w->items, by_row);
    size_t kept = 1;
    for (size_t i = 1; i < w->n; i++) {
        if (by_row(&w->items[kept - 1], &w->items[i]) == 0)
            free(w->items[i].core);
        else
            w->items[kept++] = w->items[i];
    }
    w->n = kept;
    w->sorted = true;
}

/* ---- The parts before the entries
 * ---------------------------------------------------------------------------------- */

static int encode_provenance(const saggar_image_writer *w, struct sg_buf *out) {
    saggar_encoder *e;
    const uint8_t *bytes;
    size_t size;
    if (w->line_count == 0)
        return SAGGAR_OK;
    int err = saggar_encoder_new(&e);
    if (err != SAGGAR_OK)
        return err;
    saggar_encode_begin(e, SAGGAR_ORDERED_MAP);
    for (size_t i = 0; i < w->line_count; i++) {
        saggar_encode_text(e, w->lines[i].name, strlen(w->lines[i].name));
        saggar_encode_text(e, w->lines[i].text, strlen(w->lines[i].text));
    }
    err = saggar_encode_end(e);
    if (err == SAGGAR_OK)
        err = saggar_encoder_bytes(e, &bytes, &size);
    if (err == SAGGAR_OK)
        err = sg_buf_add(out, bytes, size);
    saggar_encoder_free(e);
    return err;
}

static uint64_t bucket_of(const uint8_t *key, uint32_t bits) {
    uint32_t lead = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
    return bits == 0 ? 0 : lead >> (32 - bits);
}

static void add_table(const saggar_image_writer *w, const struct sg_image_layout *l, struct sg_buf *out) {
    size_t row = 0;
    for (uint64_t i = 0; i <= UINT64_C(1) << l->bits; i++) {
        while (row < w->n && bucket_of(w->items[row].row, l->bits) < i)
            row++;
        sg_buf_u32(out, (uint32_t)row);
    }
    sg_buf_pad64(out);
}

/* Sets the offsets and, at last, the size of the file. */
static int add_index(const saggar_image_writer *w, struct sg_image_layout *l, struct sg_buf *out) {
    uint64_t offset = l->first;
    for (size_t i = 0; i < w->n; i++) {
        sg_store64(w->items[i].row + SG_ROW_OFFSET, offset);
        sg_buf_add(out, w->items[i].row, SG_IMAGE_ROW);
        if (!sg_add64(offset, w->items[i].size, &offset) || offset > INT64_MAX)
            return SAGGAR_ELIMIT;
    }
    l->size = offset;
    return out->err;
}

static void add_list(const struct sg_image_layout *l, struct sg_buf *out) {
    for (uint64_t i = 0; i < l->blocks && out->err == SAGGAR_OK; i++) {
        const uint8_t *block = out->data + SG_IMAGE_HEADER + i * SG_IMAGE_BLOCK;
        uint8_t row[SG_IMAGE_BLOCK_ROW];
        int err = sg_sha256(row, block, sg_image_block_size(l, i));
        if (err != SAGGAR_OK) {
            out->err = err;
            return;
        }
        sg_xxh128(row + 32, block, sg_image_block_size(l, i));
        sg_buf_add(out, row, sizeof row);
    }
    sg_buf_pad64(out);
}

/* Header, bucket table, index, provenance, block list. */
static int build_front(saggar_image_writer *w, struct sg_buf *out) {
    struct sg_buf provenance;
    struct sg_image_layout l;
    uint8_t root[32] = {0};
    sg_buf_init(&provenance, SG_IMAGE_MAX_PROVENANCE);
    int err = encode_provenance(w, &provenance);
    if (err == SAGGAR_OK)
        err = sg_image_layout(w->n, provenance.len, &l);
    if (err == SAGGAR_OK)
        err = sg_buf_reserve(out, (size_t)l.first);
    if (err == SAGGAR_OK) {
        sg_buf_zeros(out, SG_IMAGE_HEADER);
        add_table(w, &l, out);
        err = add_index(w, &l, out);
    }
    if (err == SAGGAR_OK) {
        sg_buf_add(out, provenance.data, provenance.len);
        sg_buf_pad64(out);
        add_list(&l, out);
        err = out->err;
    }
    sg_buf_free(&provenance);
    if (err != SAGGAR_OK)
        return err;
    sg_image_header_write(&l, root, out->data);
    err = sg_image_root(out->data, out->data + l.list, l.blocks, root);
    if (err == SAGGAR_OK)
        sg_image_header_write(&l, root, out->data);
    return err;
}

/* ---- The file
 * ---------------------------------------------------------------------------------------------------- */

static int put(int fd, struct sg_sha256_ctx *sha, const void *p, size_t n) {
    int err = sg_write_all(fd, p, n);
    return err == SAGGAR_OK ? sg_sha256_update(sha, p, n) : err;
}

static int write_bytes(const saggar_image_writer *w, const struct sg_buf *front, int fd, uint8_t sha256[32]) {
    struct sg_sha256_ctx sha;
    uint64_t size = front->len;
    for (size_t i = 0; i < w->n; i++)
        size += w->items[i].size;
    if (!sg_size_allowed(size))
        return SAGGAR_ENOSPACE;
    int err = sg_sha256_init(&sha);
    if (err == SAGGAR_OK)
        err = put(fd, &sha, front->data, front->len);
    for (size_t i = 0; err == SAGGAR_OK && i < w->n; i++)
        err = put(fd, &sha, w->items[i].core, w->items[i].size);
    uint8_t digest[32];
    int last = sg_sha256_final(&sha, digest);
    if (err == SAGGAR_OK)
        err = last;
    if (err == SAGGAR_OK && sha256 != NULL)
        memcpy(sha256, digest, 32);
    return err;
}

/* Some file systems have nothing to sync and say so. */
static int sync_fd(int fd) {
    int r;
    do {
        r = fsync(fd);
    } while (r != 0 && errno == EINTR);
    if (r == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
        return SAGGAR_OK;
    return sg_err_from_errno(errno);
}

static int write_temp(const saggar_image_writer *w, const struct sg_buf *front, int fd, uint8_t sha256[32]) {
    int err = write_bytes(w, front, fd, sha256);
    if (err == SAGGAR_OK && fchmod(fd, 0444) != 0)
        err = sg_err_from_errno(errno);
    if (err == SAGGAR_OK)
        err = sync_fd(fd);
    if (close(fd) != 0 && err == SAGGAR_OK && errno != EINTR)
        err = sg_err_from_errno(errno);
    return err;
}

/* A rename would replace a device or a FIFO too, as root even /dev/full: only files and links to them may go.
 */
static bool replaceable(int dirfd, const char *name) {
    struct stat st;
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISREG(st.st_mode) ||
           S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode); /* a directory refuses by itself */
}

/* Removes what a bake that was killed left here: ours, a minute old, its process gone. */
static void sweep(int dirfd) {
    char host[9];
    struct dirent *d;
    struct stat st;
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (dir == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    sg_host_tag(host);
    while ((d = readdir(dir)) != NULL) {
        if (sg_temp_is(d->d_name, TEMP) && sg_temp_owner(d->d_name, TEMP, host) == 0 &&
            fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_uid == geteuid() && time(NULL) - st.st_mtim.tv_sec >= 60)
            unlinkat(dirfd, d->d_name, 0);
    }
    closedir(dir);
}

static int write_in(const saggar_image_writer *w, const struct sg_buf *front, int dirfd, const char *name,
                    uint8_t sha256[32]) {
    char temp[SG_TEMP_NAME_MAX];
    int fd;
    if (!replaceable(dirfd, name))
        return SAGGAR_EINVAL;
    sweep(dirfd);
    int err = sg_temp_open(dirfd, TEMP, temp, &fd);
    if (err != SAGGAR_OK)
        return err;
    err = write_temp(w, front, fd, sha256);
    if (err == SAGGAR_OK && renameat(dirfd, temp, dirfd, name) != 0)
        err = sg_err_from_errno(errno);
    if (err != SAGGAR_OK)
        unlinkat(dirfd, temp, 0);
    else
        (void)sync_fd(dirfd); /* the file is whole either way */
    return err;
}

static int open_folder(const char *path, const char *name, int *fd) {
    size_t n = (size_t)(name - path);
    char *folder = n == 0 ? strdup(".") : strndup(path, n);
    if (folder == NULL)
        return SAGGAR_ENOMEM;
    do {
        *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (*fd < 0 && errno == EINTR);
    int err = *fd < 0 ? sg_err_from_errno(errno) : SAGGAR_OK;
    free(folder);
    return err;
}

int saggar_image_writer_write(saggar_image_writer *w, const char *path, uint8_t sha256[32]) {
    struct sg_buf front;
    int folder;
    if (w == NULL || path == NULL)
        return SAGGAR_EINVAL;
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return SAGGAR_EINVAL;
    sort_items(w);
    sg_buf_init(&front, SIZE_MAX / 2);
    int err = build_front(w, &front);
    if (err == SAGGAR_OK)
        err = open_folder(path, name, &folder);
    if (err == SAGGAR_OK) {
        err = write_in(w, &front, folder, name, sha256);
        close(folder);
    }
    sg_buf_free(&front);
    return err;
}
