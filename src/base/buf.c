/* Growing byte buffer; see buf.h. Owns data, never exceeds max, keeps the first error. */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "saggar/saggar.h"

enum { FIRST_CAP = 256 };

void sg_buf_init(struct sg_buf *buf, size_t max) {
    *buf = (struct sg_buf){.max = max, .err = SAGGAR_OK};
}

void sg_buf_free(struct sg_buf *buf) {
    free(buf->data);
    sg_buf_init(buf, buf->max);
}

int sg_buf_reserve(struct sg_buf *buf, size_t n) {
    size_t need;
    if (buf->err != SAGGAR_OK)
        return buf->err;
    if (!sg_add(buf->len, n, &need) || need > buf->max)
        return buf->err = SAGGAR_ELIMIT;
    if (need <= buf->cap)
        return SAGGAR_OK;

    size_t cap = buf->cap ? buf->cap : FIRST_CAP;
    while (cap < need) {
        if (!sg_mul(cap, 2, &cap))
            cap = need;
    }
    if (cap > buf->max)
        cap = buf->max;
    unsigned char *data = realloc(buf->data, cap);
    if (data == NULL)
        return buf->err = SAGGAR_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return SAGGAR_OK;
}

int sg_buf_add(struct sg_buf *buf, const void *p, size_t n) {
    if (sg_buf_reserve(buf, n) != SAGGAR_OK || n == 0)
        return buf->err;
    memcpy(buf->data + buf->len, p, n);
    buf->len += n;
    return SAGGAR_OK;
}

int sg_buf_u8(struct sg_buf *buf, uint8_t v) {
    return sg_buf_add(buf, &v, 1);
}

int sg_buf_u16(struct sg_buf *buf, uint16_t v) {
    unsigned char b[2];
    sg_store16(b, v);
    return sg_buf_add(buf, b, sizeof b);
}

int sg_buf_u32(struct sg_buf *buf, uint32_t v) {
    unsigned char b[4];
    sg_store32(b, v);
    return sg_buf_add(buf, b, sizeof b);
}

int sg_buf_u64(struct sg_buf *buf, uint64_t v) {
    unsigned char b[8];
    sg_store64(b, v);
    return sg_buf_add(buf, b, sizeof b);
}

int sg_buf_zeros(struct sg_buf *buf, size_t n) {
    if (sg_buf_reserve(buf, n) != SAGGAR_OK || n == 0)
        return buf->err;
    memset(buf->data + buf->len, 0, n);
    buf->len += n;
    return SAGGAR_OK;
}

int sg_buf_text(struct sg_buf *buf, const void *p, size_t n) {
    size_t both;
    if (buf->err != SAGGAR_OK)
        return buf->err;
    if (n > UINT32_MAX || !sg_add(n, 4, &both))
        return buf->err = SAGGAR_ELIMIT;
    /* All or nothing: no length may stand without its bytes. */
    if (sg_buf_reserve(buf, both) == SAGGAR_OK && sg_buf_u32(buf, (uint32_t)n) == SAGGAR_OK)
        sg_buf_add(buf, p, n);
    return buf->err;
}

int sg_buf_pad64(struct sg_buf *buf) {
    return sg_buf_zeros(buf, (64 - buf->len % 64) % 64);
}

unsigned char *sg_buf_steal(struct sg_buf *buf, size_t *len) {
    if (buf->err != SAGGAR_OK)
        return NULL;
    unsigned char *data = buf->data ? buf->data : calloc(1, 1);
    if (data == NULL) {
        buf->err = SAGGAR_ENOMEM;
        return NULL;
    }
    if (len != NULL)
        *len = buf->len;
    sg_buf_init(buf, buf->max);
    return data;
}
