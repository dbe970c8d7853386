/* Escaped names, tables, units and colour; see out.h. */
#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "cli/args.h"
#include "saggar/saggar.h"

_Noreturn static void no_memory(void) {
    static const char text[] = "saggar: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(SG_EXIT_USAGE);
}

void *out_alloc(size_t n) {
    void *p = calloc(1, n ? n : 1);
    if (p == NULL)
        no_memory();
    return p;
}

void *out_realloc(void *p, size_t n) {
    void *q = realloc(p, n ? n : 1);
    if (q == NULL)
        no_memory();
    return q;
}

char *out_strdup(const char *text) {
    char *copy = strdup(text);
    if (copy == NULL)
        no_memory();
    return copy;
}

char *out_format(const char *format, ...) {
    va_list list;
    char *text = NULL;
    va_start(list, format);
    int n = vasprintf(&text, format, list);
    va_end(list);
    if (n < 0)
        no_memory();
    return text;
}

void *out_grow(void *list, size_t *n, size_t size) {
    void **array = list;
    if ((*n & (*n - 1)) == 0) /* room for a power of two */
        *array = out_realloc(*array, (*n ? 2 * *n : 1) * size);
    char *slot = (char *)*array + *n * size;
    memset(slot, 0, size);
    ++*n;
    return slot;
}

char *out_bytes(const void *p, size_t n) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        no_memory();
    sg_print_name(file, p, n);
    if (fclose(file) != 0 || text == NULL)
        no_memory();
    return text;
}

char *out_name(const char *name) {
    return out_bytes(name, strlen(name));
}

void out_put(FILE *file, const char *name) {
    sg_print_name(file, name, strlen(name));
}

bool out_terminal(FILE *file) {
    int fd = fileno(file);
    return fd >= 0 && isatty(fd) == 1;
}

const char *out_color(FILE *file, const char *style) {
    static const char *const codes[][2] = {{"", "\033[0m"},       {"bold", "\033[1m"},
                                           {"dim", "\033[2m"},    {"red", "\033[31m"},
                                           {"green", "\033[32m"}, {"yellow", "\033[33m"}};
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    if ((none != NULL && none[0] != '\0') || (term != NULL && strcmp(term, "dumb") == 0) ||
        !out_terminal(file))
        return "";
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i][0], style) == 0)
            return codes[i][1];
    }
    return "";
}

const char *out_size(char text[OUT_UNIT], uint64_t bytes) {
    static const char *const unit[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes / 1000;
    size_t i = 0;
    if (bytes < 1000) {
        snprintf(text, OUT_UNIT, "%u B", (unsigned)bytes);
        return text;
    }
    while (value >= 999.95 && i + 1 < sizeof unit / sizeof unit[0]) {
        value /= 1000;
        i++;
    }
    snprintf(text, OUT_UNIT, "%.1f %s", value, unit[i]);
    return text;
}

const char *out_time(char text[OUT_UNIT], double seconds) {
    if (seconds < 0.9995)
        snprintf(text, OUT_UNIT, "%.0f ms", seconds * 1e3);
    else if (seconds < 599.95)
        snprintf(text, OUT_UNIT, "%.1f s", seconds);
    else
        snprintf(text, OUT_UNIT, "%.0f min", seconds / 60);
    return text;
}

char *out_count(uint64_t n, const char *one, const char *many) {
    return out_format("%llu %s", (unsigned long long)n, n == 1 ? one : many);
}

const char *out_short(char text[OUT_SHORT], const uint8_t *digest) {
    sg_hex(text, digest, (OUT_SHORT - 1) / 2);
    return text;
}

void out_table_begin(struct out_table *table, size_t columns, const char *const *headings) {
    *table = (struct out_table){.columns = columns};
    for (size_t i = 0; i < columns; i++) {
        table->right[i] = headings[i][0] == '>';
        out_cell(table, "%s", headings[i] + (table->right[i] ? 1 : 0));
    }
}

void out_cell(struct out_table *table, const char *format, ...) {
    va_list list;
    char *text = NULL;
    va_start(list, format);
    int n = vasprintf(&text, format, list);
    va_end(list);
    if (n < 0)
        no_memory();
    char **slot = out_grow(&table->cell, &table->cells, sizeof *table->cell);
    *slot = out_bytes(text, (size_t)n);
    free(text);
}

/* Code points, which is what most terminals show in as many places. */
static size_t width(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_cell(const struct out_table *table, size_t i, const size_t *widths, FILE *file) {
    size_t column = i % table->columns, w = width(table->cell[i]);
    bool last = column + 1 == table->columns;
    int pad = (int)(widths[column] - w);
    if (table->right[column])
        fprintf(file, "%*s%s%s", pad, "", table->cell[i], last ? "\n" : "  ");
    else
        fprintf(file, "%s%*s%s", table->cell[i], last ? 0 : pad, "", last ? "\n" : "  ");
}

void out_table_end(struct out_table *table, FILE *file) {
    size_t widths[12] = {0};
    for (size_t i = 0; i < table->cells; i++) {
        size_t w = width(table->cell[i]);
        if (w > widths[i % table->columns])
            widths[i % table->columns] = w;
    }
    for (size_t i = 0; i < table->cells; i++) {
        if (i == 0)
            fputs(out_color(file, "bold"), file);
        if (i == table->columns)
            fputs(out_color(file, ""), file);
        put_cell(table, i, widths, file);
    }
    if (table->cells == table->columns)
        fputs(out_color(file, ""), file);
    out_table_free(table);
}

void out_table_free(struct out_table *table) {
    for (size_t i = 0; i < table->cells; i++)
        free(table->cell[i]);
    free(table->cell);
    *table = (struct out_table){0};
}

void out_hold(struct out_held *held) {
    *held = (struct out_held){0};
    held->file = open_memstream(&held->text, &held->n);
    if (held->file == NULL)
        no_memory();
}

void out_release(struct out_held *held, bool print) {
    if (fclose(held->file) != 0 || held->text == NULL)
        no_memory();
    if (print)
        fwrite(held->text, 1, held->n, stdout);
    free(held->text);
}

/* The first failure to write what was asked for; -1: it is not known why. */
static int output_error;

int out_json_end(struct sg_json *json) {
    errno = 0;
    int err = sg_json_end(json);
    if (err == SAGGAR_OK)
        return 0;
    if (output_error == 0)
        output_error = errno != 0 ? errno : -1;
    return SG_EXIT_OUTPUT;
}

int out_finish(int status) {
    errno = 0;
    bool failed = fflush(stdout) != 0;
    if (output_error == 0 && (failed || ferror(stdout) != 0))
        output_error = errno != 0 ? errno : -1;
    if (output_error == 0)
        return status;
    if (output_error != EPIPE)
        cli_note("what was to be printed could not be written%s%s", output_error > 0 ? ": " : "",
                 output_error > 0 ? strerror(output_error) : "");
    return SG_EXIT_OUTPUT;
}
