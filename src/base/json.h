/*
 * A write-only JSON writer, and printing of names.
 *
 * Commas, colons and nesting are the writer's business: call the functions in document order. Inside an
 * object every value is preceded by sg_json_key(). Strings are bytes: valid UTF-8 passes, every byte that is
 * not becomes \udcXX (as Python's surrogateescape), so the output is always valid UTF-8 and loses nothing.
 * Errors (I/O, memory, a limit, misuse) stick and are returned by sg_json_end().
 */
#ifndef SG_BASE_JSON_H
#define SG_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

enum { SG_JSON_DEPTH_MAX = 32 };

struct sg_json {
    FILE *file;         /* exactly one of file and buf is set */
    struct sg_buf *buf; /* both stay the caller's */
    int err;
    int depth;
    int indent;     /* 0: everything on one line */
    bool after_key; /* a key stands, its value is due */
    bool done;      /* the top-level value is complete */
    struct {
        bool object;
        bool filled;
    } level[SG_JSON_DEPTH_MAX];
};

void sg_json_file(struct sg_json *json, FILE *file, int indent);
void sg_json_buf(struct sg_json *json, struct sg_buf *buf, int indent);

void sg_json_object(struct sg_json *json);
void sg_json_object_end(struct sg_json *json);
void sg_json_array(struct sg_json *json);
void sg_json_array_end(struct sg_json *json);
void sg_json_key(struct sg_json *json, const char *key);

void sg_json_str(struct sg_json *json, const char *text); /* NULL: null */
void sg_json_bytes(struct sg_json *json, const void *p, size_t n);
void sg_json_hex(struct sg_json *json, const void *p, size_t n);
void sg_json_int(struct sg_json *json, int64_t v);
void sg_json_uint(struct sg_json *json, uint64_t v);
void sg_json_real(struct sg_json *json, double v); /* not finite: null */
void sg_json_bool(struct sg_json *json, bool v);
void sg_json_null(struct sg_json *json);

/* Ends the document with a newline; SAGGAR_OK only if it is complete and every byte was accepted. */
int sg_json_end(struct sg_json *json);

/* Length of the valid UTF-8 sequence at p (1 to 4), or 0: overlong, surrogate, above U+10FFFF, cut off. */
size_t sg_utf8_len(const unsigned char *p, size_t n);

/*
 * Prints a name for people: printable UTF-8 as it is; \n, \t, \r, \\ by name; other control characters
 * (C1, line separators and direction overrides too) and bytes that are not UTF-8 as \xNN. What is printed
 * never breaks a line or moves the cursor.
 */
void sg_print_name(FILE *file, const void *p, size_t n);

#endif
