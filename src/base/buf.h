/*
 * A growing byte buffer with a mandatory upper limit and a sticky error.
 *
 * After the first failure every further call does nothing, so a writer checks err once at its end. What has
 * been added before stays valid. The buffer owns data until sg_buf_steal() or sg_buf_free().
 */
#ifndef SG_BASE_BUF_H
#define SG_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct sg_buf {
    unsigned char *data; /* NULL until something was added */
    size_t len;
    size_t cap;
    size_t max; /* len never exceeds it */
    int err;    /* SAGGAR_OK, SAGGAR_ENOMEM or SAGGAR_ELIMIT */
};

void sg_buf_init(struct sg_buf *buf, size_t max);
void sg_buf_free(struct sg_buf *buf);

/* Makes room for n more bytes without adding them; returns err. */
int sg_buf_reserve(struct sg_buf *buf, size_t n);

/* Each adds at the end and returns err. p may be NULL where n is 0. */
int sg_buf_add(struct sg_buf *buf, const void *p, size_t n);
int sg_buf_u8(struct sg_buf *buf, uint8_t v);
int sg_buf_u16(struct sg_buf *buf, uint16_t v);
int sg_buf_u32(struct sg_buf *buf, uint32_t v);
int sg_buf_u64(struct sg_buf *buf, uint64_t v);
int sg_buf_zeros(struct sg_buf *buf, size_t n);

/* A u32 length, then the bytes. More than UINT32_MAX bytes is SAGGAR_ELIMIT. */
int sg_buf_text(struct sg_buf *buf, const void *p, size_t n);

/* Zeros up to the next multiple of 64 of the buffer's own length. */
int sg_buf_pad64(struct sg_buf *buf);

/*
 * Hands the bytes to the caller, who frees them with free(), and leaves the buffer empty with its limit.
 * NULL where an error is set, or where memory for an empty result is missing; an empty buffer gives a
 * pointer that is not NULL. len may be NULL.
 */
unsigned char *sg_buf_steal(struct sg_buf *buf, size_t *len);

#endif
