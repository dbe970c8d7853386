/*
 * What the command prints: escaped names, tables, units, colour.
 *
 * Colour and moving lines appear only where the stream is a terminal; NO_COLOR and TERM=dumb turn colour off.
 * Nothing that came from outside reaches a stream unescaped. Memory that is missing ends the command.
 */
#ifndef SG_CLI_OUT_H
#define SG_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"

/* Never NULL. */
void *out_alloc(size_t n);
void *out_realloc(void *p, size_t n);
char *out_strdup(const char *text);
/* A malloc'd text made like printf. */
char *out_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Grows an array by one zeroed element and returns that: `list` holds *n elements of `size` bytes. */
void *out_grow(void *list, size_t *n, size_t size);

/* The name escaped for people, malloc'd. */
char *out_name(const char *name);
char *out_bytes(const void *p, size_t n);
/* Escapes and prints. */
void out_put(FILE *file, const char *name);

bool out_terminal(FILE *file);
/* Turns a colour on for the stream ("bold", "red", "green", "yellow", "dim"; "" ends it), where it has any.
 */
const char *out_color(FILE *file, const char *style);

enum { OUT_UNIT = 24 };
/* "12.3 kB", "1.2 s", "250 ms", into text; returned. */
const char *out_size(char text[OUT_UNIT], uint64_t bytes);
const char *out_time(char text[OUT_UNIT], double seconds);
/* "1 entry", "2 entries": n and the word, malloc'd. */
char *out_count(uint64_t n, const char *one, const char *many);

/* A table of escaped cells, aligned; columns whose heading begins with '>' are aligned to the right. */
struct out_table {
    size_t columns, cells;
    char **cell;
    bool right[12];
};
void out_table_begin(struct out_table *table, size_t columns, const char *const *headings);
/* The text is copied, and escaped when it is printed. */
void out_cell(struct out_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the table with its heading and frees it. */
void out_table_end(struct out_table *table, FILE *file);
/* Frees it without printing. */
void out_table_free(struct out_table *table);

/* A stream in memory, for a document that is printed whole or, where the command is refused, not at all. */
struct out_held {
    FILE *file;
    char *text;
    size_t n;
};
void out_hold(struct out_held *held);
/* Frees it; `print`: after copying it to stdout. */
void out_release(struct out_held *held, bool print);

/* Ends a JSON document on its stream; 0, or SG_EXIT_OUTPUT: out_finish() will say that it could not be
 * written. */
int out_json_end(struct sg_json *json);
/* Flushes stdout; `status`, or SG_EXIT_OUTPUT after a message if something that was printed did not arrive.
 */
int out_finish(int status);

/* First 12 hex digits of a digest. */
enum { OUT_SHORT = 13 };
const char *out_short(char text[OUT_SHORT], const uint8_t *digest);

#endif
