/* See names.h. */
#include "julia/names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

bool sg_julia_id_is(const struct sg_julia_id *a, const struct sg_julia_id *b) {
    return sg_julia_uuid_is(a->uuid, b->uuid) && strcmp(a->name, b->name) == 0;
}

const char *sg_julia_uuid_print(char out[SG_JULIA_UUID_TEXT], struct sg_julia_uuid uuid) {
    snprintf(out, SG_JULIA_UUID_TEXT, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(uuid.hi >> 32),
             (unsigned)(uuid.hi >> 16 & 0xffff), (unsigned)(uuid.hi & 0xffff), (unsigned)(uuid.lo >> 48),
             (unsigned long long)(uuid.lo & 0xffffffffffff));
    return out;
}

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool sg_julia_uuid_parse(const char *text, struct sg_julia_uuid *out) {
    uint64_t half[2] = {0, 0};
    unsigned seen = 0;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int d = digit(text[i]);
        if (dash ? text[i] != '-' : d < 0)
            return false;
        if (dash)
            continue;
        half[seen / 16] = half[seen / 16] << 4 | (uint64_t)d;
        seen++;
    }
    if (text[36] != '\0')
        return false;
    *out = (struct sg_julia_uuid){half[0], half[1]};
    return true;
}

const char *sg_julia_slug(char out[SG_JULIA_SLUG], uint32_t crc, unsigned n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (unsigned i = 0; i < n && i < SG_JULIA_SLUG - 1; i++) {
        out[i] = digits[crc % 62];
        crc /= 62;
        out[i + 1] = '\0';
    }
    return out;
}

uint32_t sg_julia_uuid_crc(struct sg_julia_uuid uuid) {
    unsigned char bytes[16];
    sg_store64(bytes, uuid.lo);
    sg_store64(bytes + 8, uuid.hi);
    return sg_julia_crc(0, bytes, sizeof bytes);
}

const char *sg_julia_version_slug(char out[SG_JULIA_SLUG], struct sg_julia_uuid uuid, const uint8_t tree[20],
                                  unsigned n) {
    return sg_julia_slug(out, sg_julia_crc(sg_julia_uuid_crc(uuid), tree, 20), n);
}

uint32_t sg_julia_cache_crc(const struct sg_julia_slug_inputs *in) {
    unsigned char hash[8];
    uint32_t crc = sg_julia_crc(0, in->project, strlen(in->project));
    crc = sg_julia_crc(crc, in->image, strlen(in->image));
    crc = sg_julia_crc(crc, in->binary, strlen(in->binary));
    if (in->paths_only)
        return crc;
    crc = sg_julia_crc(crc, &in->flags, 1);
    crc = sg_julia_crc(crc, in->cpu_target, strlen(in->cpu_target));
    sg_store64(hash, in->preferences);
    return sg_julia_crc(crc, hash, sizeof hash);
}

/* ---- hash() ---- */

static uint64_t mix64(uint64_t a) {
    a = ~a + (a << 21);
    a ^= a >> 24;
    a += (a << 3) + (a << 8);
    a ^= a >> 14;
    a += (a << 2) + (a << 4);
    a ^= a >> 28;
    return a + (a << 31);
}

static uint64_t hash_bits(uint64_t v, uint64_t h) {
    return mix64(v) - 3 * h;
}

static uint64_t rotate(uint64_t v, unsigned n) {
    return v << n | v >> (64 - n);
}

static uint64_t finish(uint64_t k) {
    k ^= k >> 33;
    k *= UINT64_C(0xff51afd7ed558ccd);
    k ^= k >> 33;
    k *= UINT64_C(0xc4ceb9fe1a85ec53);
    return k ^ k >> 33;
}

static const uint64_t C1 = UINT64_C(0x87c37b91114253d5), C2 = UINT64_C(0x4cf5ad432745937f);

/* Up to eight bytes, little-endian. */
static uint64_t part(const unsigned char *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n && i < 8; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

/* MurmurHash3_x64_128; its second half. */
static uint64_t murmur(const unsigned char *p, size_t n, uint32_t seed) {
    uint64_t h1 = seed, h2 = seed;
    size_t at = 0;
    for (; n - at >= 16; at += 16) {
        h1 ^= rotate(sg_load64(p + at) * C1, 31) * C2;
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= rotate(sg_load64(p + at + 8) * C2, 33) * C1;
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495ab5;
    }
    if (n - at > 8)
        h2 ^= rotate(part(p + at + 8, n - at - 8) * C2, 33) * C1;
    if (n > at)
        h1 ^= rotate(part(p + at, n - at) * C1, 31) * C2;
    h1 ^= n;
    h2 ^= n;
    h1 += h2;
    h2 += h1;
    h1 = finish(h1);
    h2 = finish(h2);
    h1 += h2;
    return h2 + h1;
}

uint64_t sg_julia_hash_text(const void *p, size_t n, uint64_t h) {
    h += UINT64_C(0x71e729fd56419c81);
    return murmur(p, n, (uint32_t)(h & 0xffffffff)) + h;
}

uint64_t sg_julia_hash_int(int64_t v, uint64_t h) {
    return hash_bits((uint64_t)v, h);
}

/* Numbers that are equal hash alike: a whole number is an integer here, whatever its type. */
uint64_t sg_julia_hash_real(double v, uint64_t h) {
    uint64_t bits;
    if (isnan(v))
        return hash_bits(UINT64_C(0x7ff8000000000000), 0) ^ h;
    if (v >= -0x1p63 && v < 0x1p63 && v == trunc(v) && !(v == 0 && signbit(v)))
        return hash_bits((uint64_t)(int64_t)v, h);
    if (v >= 0x1p63 && v < 0x1p64 && v == trunc(v))
        return hash_bits((uint64_t)v, h);
    memcpy(&bits, &v, sizeof bits);
    return hash_bits(bits, h);
}

struct sg_julia_uuid sg_julia_uuid5(struct sg_julia_uuid parent, const char *name) {
    size_t n = strlen(name);
    uint64_t h = hash_bits(parent.lo, UINT64_C(0x77cfa1eef01bca90));
    h = hash_bits(UINT64_C(0xd06fa04f86f11b53), hash_bits(parent.hi, h));
    uint64_t hi = sg_julia_hash_text(name, n, h), lo = sg_julia_hash_text(name, n, hi);
    return (struct sg_julia_uuid){(hi & UINT64_C(0xffffffffffff0fff)) | 0x5000,
                                  (lo & UINT64_C(0x3fffffffffffffff)) | UINT64_C(0x8000000000000000)};
}

const char *sg_julia_real_print(char out[SG_JULIA_REAL_TEXT], double v) {
    char text[32], *e = NULL;
    for (int digits = 0; digits <= 16; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    e = strchr(text, 'e');
    if (e == NULL) {
        snprintf(out, SG_JULIA_REAL_TEXT, "%s", isnan(v) ? "NaN" : v > 0 ? "Inf" : "-Inf");
        return out;
    }
    int exponent = atoi(e + 1);
    *e = '\0';
    if (exponent >= 6 || exponent < -4) {
        snprintf(out, SG_JULIA_REAL_TEXT, "%s%se%d", text, strchr(text, '.') != NULL ? "" : ".0", exponent);
        return out;
    }
    int after = (strchr(text, '.') != NULL ? (int)strlen(strchr(text, '.') + 1) : 0) - exponent;
    snprintf(out, SG_JULIA_REAL_TEXT, "%.*f", after < 1 ? 1 : after, v);
    return out;
}
