/*
 * Prints a canonical value for people; see saggar.h.
 *
 * Two readers: `why`, which shows what differs, and `show`. What is printed is one line, never moves the
 * cursor, and is not meant to be parsed. Content is shortened to digests, but two values that differ in a
 * scalar print differently.
 */
#include <inttypes.h>
#include <saggar/saggar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/json.h"
#include "key/value.h"

enum { BYTES_SHOWN = 16, DIGITS = 6, DTYPE_FIELDS = 6 };

struct print {
    struct sg_cursor c;
    FILE *file;
    size_t limit;
};

static void value(struct print *p);

static bool full(const struct print *p) {
    return p->c.err != SAGGAR_OK || (size_t)ftell(p->file) > p->limit;
}

static void hex(struct print *p, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        fprintf(p->file, "%02x", bytes[i]);
}

/* Quoted; cut where the limit is surely passed. */
static void text(struct print *p, const uint8_t *s, size_t n) {
    size_t room = p->limit + 8;
    fputc('"', p->file);
    n = n < room ? n : room;
    for (size_t i = 0; i < n;) {
        const uint8_t *quote = memchr(s + i, '"', n - i);
        size_t run = quote != NULL ? (size_t)(quote - s) - i : n - i;
        sg_print_name(p->file, s + i, run);
        if (quote != NULL)
            fputs("\\\"", p->file);
        i += run + (quote != NULL);
    }
    fputc('"', p->file);
}

static void short_digest(struct print *p, const uint8_t *bytes, size_t n) {
    uint8_t sha[SG_SHA256_SIZE];
    if (sg_sha256(sha, bytes, n) == SAGGAR_OK)
        hex(p, sha, DIGITS);
}

static void bytes(struct print *p, const uint8_t *s, size_t n) {
    if (n <= BYTES_SHOWN) {
        fputs("bytes(", p->file);
        hex(p, s, n);
    } else {
        fprintf(p->file, "bytes(%zu, sha256 ", n);
        short_digest(p, s, n);
    }
    fputc(')', p->file);
}

/* The shortest form that reads back as the same bits; a NaN's bits in full unless it is the usual one. */
static void real(struct print *p, uint64_t bits) {
    char s[40];
    double v, back;
    memcpy(&v, &bits, sizeof v);
    if (v != v) {
        if (bits == UINT64_C(0x7ff8000000000000))
            fputs("nan", p->file);
        else
            fprintf(p->file, "nan(%016" PRIx64 ")", bits);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        back = strtod(s, NULL);
        if (memcmp(&back, &v, sizeof v) == 0)
            break;
    }
    /* The application's locale may write the point in its own way. */
    for (char *q = s; *q != '\0'; q++) {
        if (strchr("0123456789+-einf", *q) == NULL)
            *q = '.';
    }
    fprintf(p->file, "%s%s", s, strpbrk(s, ".enf") == NULL ? ".0" : "");
}

static void bigint(struct print *p, const struct sg_token *t) {
    fputs(t->count != 0 ? "-0x" : "0x", p->file);
    fprintf(p->file, "%x", t->data[t->size - 1]);
    for (size_t i = t->size - 1; i-- > 0 && !full(p);)
        fprintf(p->file, "%02x", t->data[i]);
}

static void members(struct print *p, const struct sg_token *t, const char *open, const char *close) {
    bool pairs = t->tag == SG_TAG_MAP || t->tag == SG_TAG_ORDERED_MAP;
    fputs(open, p->file);
    for (uint32_t i = 0; i < t->count && !full(p); i++) {
        if (i != 0)
            fputs(", ", p->file);
        value(p);
        if (pairs) {
            fputs(": ", p->file);
            value(p);
        }
    }
    fputs(t->tag == SG_TAG_TUPLE && t->count == 1 ? ",)" : close, p->file);
}

static void record(struct print *p, const struct sg_token *t) {
    const uint8_t *name;
    size_t n;
    sg_print_name(p->file, t->data, t->size < p->limit ? t->size : p->limit);
    fputc('(', p->file);
    for (uint32_t i = 0; i < t->count && !full(p); i++) {
        if (i != 0)
            fputs(", ", p->file);
        if (sg_cursor_name(&p->c, &name, &n)) {
            sg_print_name(p->file, name, n < p->limit ? n : p->limit);
            fputc('=', p->file);
            value(p);
        }
    }
    fputc(')', p->file);
}

/* A dtype's payload: its str, and what the str does not say. */
static void dtype(struct print *p) {
    const uint8_t *name;
    struct sg_token t;
    size_t n;
    if (!sg_cursor_token(&p->c, &t))
        return;
    for (uint32_t i = 0; i < DTYPE_FIELDS && sg_cursor_name(&p->c, &name, &n) && !full(p); i++) {
        struct sg_cursor at = p->c;
        if (!sg_cursor_token(&p->c, &t))
            return;
        if (i == 0) {
            sg_print_name(p->file, t.data, t.size);
        } else if (t.tag != SG_TAG_INT && t.tag != SG_TAG_NONE && t.tag != SG_TAG_FALSE) {
            fputs(", ", p->file);
            sg_print_name(p->file, name, n);
            fputc('=', p->file);
            p->c = at;
            value(p);
        }
    }
}

static void array(struct print *p, uint8_t tag) {
    static const char *const order[] = {"", ", fortran", ", strided"};
    struct sg_array_data a;
    fputs(tag == SG_TAG_DTYPE ? "dtype(" : tag == SG_TAG_ARRAY ? "array(" : "scalar(", p->file);
    dtype(p);
    /* Where dtype() was cut, the cursor stands inside it. */
    if (tag != SG_TAG_DTYPE && !full(p) && sg_cursor_array(&p->c, tag == SG_TAG_ARRAY_SCALAR, &a)) {
        if (tag == SG_TAG_ARRAY) {
            fputs(" [", p->file);
            for (uint32_t i = 0; i < a.ndim && !full(p); i++)
                fprintf(p->file, "%s%" PRIu64, i == 0 ? "" : ",", sg_load64(a.extents + 8 * (size_t)i));
            fprintf(p->file, "]%s%s%s", order[a.order], a.flags & 1 ? "" : ", read-only",
                    a.flags & 2 ? "" : ", unaligned");
        }
        fputs(", ", p->file);
        bytes(p, a.items, a.size);
    }
    fputc(')', p->file);
}

static void value(struct print *p) {
    struct sg_token t;
    if (full(p) || !sg_cursor_token(&p->c, &t))
        return;
    switch (t.tag) {
    case SG_TAG_NONE:
        fputs("None", p->file);
        break;
    case SG_TAG_FALSE:
        fputs("False", p->file);
        break;
    case SG_TAG_TRUE:
        fputs("True", p->file);
        break;
    case SG_TAG_INT:
        fprintf(p->file, "%" PRId64, (int64_t)t.word[0]);
        break;
    case SG_TAG_BIGINT:
        bigint(p, &t);
        break;
    case SG_TAG_FLOAT:
        real(p, t.word[0]);
        break;
    case SG_TAG_COMPLEX:
        fputs("complex(", p->file);
        real(p, t.word[0]);
        fputs(", ", p->file);
        real(p, t.word[1]);
        fputc(')', p->file);
        break;
    case SG_TAG_BYTES:
        bytes(p, t.data, t.size);
        break;
    case SG_TAG_TEXT:
        text(p, t.data, t.size);
        break;
    case SG_TAG_LIST:
        members(p, &t, "[", "]");
        break;
    case SG_TAG_TUPLE:
        members(p, &t, "(", ")");
        break;
    case SG_TAG_SET:
        members(p, &t, "set{", "}");
        break;
    case SG_TAG_FROZENSET:
        members(p, &t, "frozenset{", "}");
        break;
    case SG_TAG_MAP:
        members(p, &t, "map{", "}");
        break;
    case SG_TAG_ORDERED_MAP:
        members(p, &t, "{", "}");
        break;
    case SG_TAG_RECORD:
        record(p, &t);
        break;
    case SG_TAG_DIGEST:
        sg_print_name(p->file, t.data, t.size < p->limit ? t.size : p->limit);
        fputc(':', p->file);
        hex(p, t.digest, DIGITS);
        break;
    case SG_TAG_BACK_REFERENCE:
        fprintf(p->file, "<level %" PRIu32 ">", t.count);
        break;
    default:
        array(p, t.tag);
    }
}

/* Cuts at a character's boundary. */
static void cut(char *s, size_t *n, size_t limit) {
    if (*n <= limit)
        return;
    while (limit > 0 && ((unsigned char)s[limit] & 0xC0) == 0x80)
        limit--;
    memcpy(s + limit, "...", 4);
    *n = limit + 3;
}

int saggar_value_print(const void *bytes, size_t size, size_t limit, char **out) {
    char *s = NULL;
    size_t n = 0;
    int err = saggar_value_check(bytes, size);
    if (err != SAGGAR_OK)
        return err;
    struct print p = {.limit = limit < SG_VALUE_MAX ? limit : SG_VALUE_MAX};
    p.file = open_memstream(&s, &n);
    if (p.file == NULL)
        return SAGGAR_ENOMEM;
    sg_cursor_init(&p.c, bytes, size);
    value(&p);
    fputs("    ", p.file); /* room for cut() */
    bool failed = ferror(p.file) != 0;
    if (fclose(p.file) != 0 || failed) {
        free(s);
        return SAGGAR_ENOMEM;
    }
    n -= 4;
    s[n] = '\0';
    cut(s, &n, p.limit);
    *out = s;
    return SAGGAR_OK;
}
