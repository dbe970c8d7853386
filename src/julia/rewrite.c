/* See rewrite.h. What is read here was read by sg_ji_read() before; every length is checked all the same. */
#include "julia/rewrite.h"

#include <saggar/saggar.h>
#include <string.h>

#include "julia/cursor.h"

struct rewriting {
    const struct sg_ji *ji;
    const struct sg_rewritten *list;
    struct sg_cursor c;
    struct sg_buf *out;
    size_t shown; /* of ji->includes */
};

/* Copies what lies between the position and `end`. */
static void copy_to(struct rewriting *r, size_t end) {
    size_t n = end >= r->c.at ? end - r->c.at : SIZE_MAX;
    const unsigned char *p = sg_cursor_take(&r->c, n);
    if (p != NULL)
        sg_buf_add(r->out, p, n);
}

static void skip_texts(struct sg_cursor *c) {
    for (uint32_t n = 1; n != 0 && !c->eof;) {
        n = sg_cursor_u32(c);
        sg_cursor_take(c, n);
    }
}

/* Flags, then what the file provides: as it is. */
static void lead(struct rewriting *r) {
    r->c.at = 0;
    struct sg_cursor c = r->c;
    sg_cursor_take(&c, r->ji->fixed_size + (r->ji->minor >= 9 ? 1 : 0));
    for (uint32_t n = 1; n != 0 && !c.eof;) {
        n = sg_cursor_u32(&c);
        if (n != 0)
            sg_cursor_take(&c, (uint64_t)n + 24);
    }
    r->c.eof = c.eof;
    copy_to(r, c.at);
}

static const struct sg_rewritten *next(struct rewriting *r, const unsigned char *p, uint32_t n) {
    if (r->shown == r->ji->n_includes || strlen(r->ji->includes[r->shown].path) != n ||
        memcmp(r->ji->includes[r->shown].path, p, n) != 0)
        return NULL;
    return &r->list[r->shown++];
}

/* One source or requirement; false where the list ends. */
static bool dependency(struct rewriting *r) {
    uint32_t n = sg_cursor_u32(&r->c);
    const unsigned char *p = sg_cursor_take(&r->c, n);
    if (n == 0 || p == NULL) {
        sg_buf_u32(r->out, 0);
        return false;
    }
    const struct sg_rewritten *now = p[0] != 0 ? next(r, p, n) : NULL;
    if (p[0] != 0 && now == NULL)
        r->c.eof = true;
    const char *path = now != NULL ? now->path : (const char *)p;
    sg_buf_text(r->out, path, now != NULL ? strlen(now->path) : n);
    if (r->ji->minor >= 11)
        copy_to(r, r->c.at + 12);
    uint64_t mtime = sg_cursor_u64(&r->c);
    if (now != NULL && now->mtime >= 0)
        memcpy(&mtime, &now->mtime, sizeof mtime);
    sg_buf_u64(r->out, mtime);
    size_t from = r->c.at;
    if (sg_cursor_u32(&r->c) != 0)
        skip_texts(&r->c);
    size_t end = r->c.at;
    if (!r->c.eof) {
        r->c.at = from;
        copy_to(r, end);
    }
    return !r->c.eof && r->out->err == SAGGAR_OK;
}

static void preferences(struct rewriting *r) {
    struct sg_cursor c = r->c;
    skip_texts(&c);
    sg_cursor_take(&c, 8);
    r->c.eof = r->c.eof || c.eof;
    copy_to(r, c.at);
}

/* What Julia loads. Where it lies in this file and not beside it, it keeps its alignment. */
static void payload(struct rewriting *r, size_t end) {
    uint64_t start = r->ji->data_start;
    if (r->ji->minor < 9 || start == 0) {
        copy_to(r, end);
        return;
    }
    if (start < r->c.at || r->ji->data_end < start || r->ji->data_end > end) {
        r->c.eof = true;
        return;
    }
    copy_to(r, (size_t)start);
    while (r->out->err == SAGGAR_OK && r->out->len % 64 != start % 64)
        sg_buf_u8(r->out, 0);
    if (r->out->err == SAGGAR_OK && !r->c.eof) {
        uint64_t now = r->out->len;
        sg_store64(r->out->data + r->ji->fixed_size - 16, now);
        sg_store64(r->out->data + r->ji->fixed_size - 8, now + (r->ji->data_end - start));
    }
    copy_to(r, end);
}

static const char *renamed(const struct rewriting *r, const unsigned char *p, uint32_t n) {
    for (size_t i = 0; i < r->ji->n_includes; i++) {
        if (strlen(r->ji->includes[i].path) == n && memcmp(r->ji->includes[i].path, p, n) == 0)
            return r->list[i].path;
    }
    return NULL;
}

static void source_text(struct rewriting *r, size_t end) {
    while (r->c.at < end && !r->c.eof && r->out->err == SAGGAR_OK) {
        uint32_t n = sg_cursor_u32(&r->c);
        const unsigned char *p = sg_cursor_take(&r->c, n);
        if (n == 0 || p == NULL) {
            sg_buf_u32(r->out, 0);
            break;
        }
        const char *now = renamed(r, p, n);
        sg_buf_text(r->out, now != NULL ? now : (const char *)p, now != NULL ? strlen(now) : n);
        uint64_t size = sg_cursor_u64(&r->c);
        const unsigned char *text = sg_cursor_take(&r->c, size);
        sg_buf_u64(r->out, size);
        if (text != NULL)
            sg_buf_add(r->out, text, (size_t)size);
    }
    copy_to(r, end);
}

int sg_ji_rewrite(const struct sg_ji *ji, const unsigned char *data, const struct sg_rewritten *list,
                  struct sg_buf *out) {
    size_t trailer = ji->minor >= 9 ? 8 : 4, end = ji->size - trailer;
    struct rewriting r = {ji, list, {.data = data, .size = ji->size}, out, 0};
    if (ji->state != SG_JI_OK || ji->size < trailer || ji->source_at > end)
        return SAGGAR_ECORRUPT;
    lead(&r);
    size_t total_at = out->len;
    sg_buf_u64(out, 0);
    sg_cursor_u64(&r.c);
    while (!r.c.eof && dependency(&r))
        ;
    if (ji->minor >= 6)
        preferences(&r);
    size_t source_at = out->len;
    sg_buf_u64(out, 0);
    sg_cursor_u64(&r.c);
    if (out->err == SAGGAR_OK)
        sg_store64(out->data + total_at, out->len - total_at - 8);
    payload(&r, ji->source_at != 0 ? (size_t)ji->source_at : end);
    if (ji->source_at != 0 && out->err == SAGGAR_OK) {
        sg_store64(out->data + source_at, out->len);
        source_text(&r, end);
    }
    if (ji->minor >= 9)
        sg_buf_u32(out, ji->so_crc);
    if (out->err == SAGGAR_OK)
        sg_buf_u32(out, sg_julia_crc(0, out->data, out->len));
    return out->err != SAGGAR_OK                  ? out->err
           : r.c.eof || r.shown != ji->n_includes ? SAGGAR_ECORRUPT
                                                  : SAGGAR_OK;
}

bool sg_ji_source_text(const struct sg_ji *ji, const unsigned char *data, const char *path,
                       const unsigned char **text, size_t *n) {
    struct sg_cursor c = {.data = data, .at = (size_t)ji->source_at, .size = ji->size};
    size_t length = strlen(path);
    if (ji->source_at == 0 || ji->source_at > ji->size)
        return false;
    while (!c.eof) {
        uint32_t k = sg_cursor_u32(&c);
        const unsigned char *p = sg_cursor_take(&c, k);
        if (k == 0 || p == NULL)
            return false;
        uint64_t size = sg_cursor_u64(&c);
        *text = sg_cursor_take(&c, size);
        *n = (size_t)size;
        if (*text != NULL && k == length && memcmp(p, path, length) == 0)
            return true;
    }
    return false;
}
