/*
 * Digests: SHA-256 (identities, keys, untrusted bytes) and XXH3 (the hot path of trusted bytes), and hex.
 *
 * Thread-safe and fork-safe: the algorithm is fetched from libcrypto once per process and never freed; a
 * context belongs to one caller. Functions that can fail return a saggar_error.
 */
#ifndef SG_BASE_HASH_H
#define SG_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SG_SHA256_SIZE = 32, SG_XXH128_SIZE = 16 };

int sg_sha256(unsigned char out[SG_SHA256_SIZE], const void *p, size_t n);

/* Streaming. After a failed init the other calls report the same error; free is always allowed. */
struct sg_sha256_ctx {
    void *md; /* EVP_MD_CTX */
    int err;
};

int sg_sha256_init(struct sg_sha256_ctx *ctx);
int sg_sha256_update(struct sg_sha256_ctx *ctx, const void *p, size_t n);
/* Gives the digest and frees the context, also on failure. */
int sg_sha256_final(struct sg_sha256_ctx *ctx, unsigned char out[SG_SHA256_SIZE]);
void sg_sha256_free(struct sg_sha256_ctx *ctx);

/* XXH3, seed 0. The 128 bits are in their canonical form, which is big-endian. */
void sg_xxh128(unsigned char out[SG_XXH128_SIZE], const void *p, size_t n);
uint64_t sg_xxh64(const void *p, size_t n);

/* Lower-case hex and a final NUL: out holds 2 * n + 1 bytes. */
void sg_hex(char *out, const void *p, size_t n);

/* Accepts exactly 2 * n lower-case hex digits in text[0..len); false leaves out undefined. */
bool sg_unhex(unsigned char *out, size_t n, const char *text, size_t len);

#endif
