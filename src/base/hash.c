/*
 * Digests over libcrypto and xxHash; see hash.h. The one global is the fetched algorithm: set once, under a
 * lock that forks wait for, never freed.
 */
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <xxhash.h>

#include "saggar/saggar.h"

/* Held while libcrypto does what it does once, and over every fork, so that no child finds that half done. */
static pthread_mutex_t fetching = PTHREAD_MUTEX_INITIALIZER;

static void hold(void) {
    pthread_mutex_lock(&fetching);
}

static void let_go(void) {
    pthread_mutex_unlock(&fetching);
}

__attribute__((constructor)) static void watch_forks(void) {
    pthread_atfork(hold, let_go, let_go);
}

/* One digest besides, since libcrypto does part of it only then. */
static EVP_MD *fetch(void) {
    OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
    EVP_MD *md = lib == NULL ? NULL : EVP_MD_fetch(lib, "SHA256", NULL);
    unsigned char out[SG_SHA256_SIZE];
    if (md != NULL && EVP_Digest("", 0, out, NULL, md, NULL) == 1)
        return md; /* lib lives on through md */
    EVP_MD_free(md);
    OSSL_LIB_CTX_free(lib);
    return NULL;
}

/*
 * Fetched in a library context of our own, so that neither the application's openssl.cnf nor the clean-up of
 * the default context at exit has a say. NULL on failure; the next call tries again.
 */
static const EVP_MD *sha256_md(void) {
    static _Atomic(EVP_MD *) cached;
    EVP_MD *md = atomic_load_explicit(&cached, memory_order_acquire);
    if (md != NULL)
        return md;
    hold();
    md = atomic_load_explicit(&cached, memory_order_acquire);
    if (md == NULL) {
        md = fetch();
        atomic_store_explicit(&cached, md, memory_order_release);
    }
    let_go();
    return md;
}

int sg_sha256_init(struct sg_sha256_ctx *ctx) {
    ctx->md = NULL;
    ctx->err = SAGGAR_OK;
    const EVP_MD *md = sha256_md();
    EVP_MD_CTX *evp = md ? EVP_MD_CTX_new() : NULL;
    if (evp == NULL)
        return ctx->err = SAGGAR_ENOMEM;
    ctx->md = evp;
    if (EVP_DigestInit_ex2(evp, md, NULL) != 1)
        ctx->err = SAGGAR_ESYSTEM;
    return ctx->err;
}

int sg_sha256_update(struct sg_sha256_ctx *ctx, const void *p, size_t n) {
    if (ctx->err == SAGGAR_OK && n != 0 && EVP_DigestUpdate(ctx->md, p, n) != 1)
        ctx->err = SAGGAR_ESYSTEM;
    return ctx->err;
}

int sg_sha256_final(struct sg_sha256_ctx *ctx, unsigned char out[SG_SHA256_SIZE]) {
    unsigned int len = 0;
    if (ctx->err == SAGGAR_OK && (EVP_DigestFinal_ex(ctx->md, out, &len) != 1 || len != SG_SHA256_SIZE))
        ctx->err = SAGGAR_ESYSTEM;
    sg_sha256_free(ctx);
    int err = ctx->err;
    ctx->err = SAGGAR_EINVAL; /* a context is good for one digest */
    return err;
}

void sg_sha256_free(struct sg_sha256_ctx *ctx) {
    EVP_MD_CTX_free(ctx->md);
    ctx->md = NULL;
}

int sg_sha256(unsigned char out[SG_SHA256_SIZE], const void *p, size_t n) {
    struct sg_sha256_ctx ctx;
    sg_sha256_init(&ctx);
    sg_sha256_update(&ctx, p, n);
    return sg_sha256_final(&ctx, out);
}

void sg_xxh128(unsigned char out[SG_XXH128_SIZE], const void *p, size_t n) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(p, n));
    for (size_t i = 0; i < SG_XXH128_SIZE; i++)
        out[i] = canonical.digest[i];
}

uint64_t sg_xxh64(const void *p, size_t n) {
    return XXH3_64bits(p, n);
}

void sg_hex(char *out, const void *p, size_t n) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool sg_unhex(unsigned char *out, size_t n, const char *text, size_t len) {
    if (len % 2 != 0 || len / 2 != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
