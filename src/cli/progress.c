/* Lines that are drawn again; see progress.h. */
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/out.h"

static const uint64_t pause_ns = 200 * 1000 * 1000;

static void terminal_size(size_t *rows, size_t *columns) {
    struct winsize w;
    *rows = 24;
    *columns = 80;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0) {
        *rows = w.ws_row;
        *columns = w.ws_col;
    }
}

size_t progress_rows(void) {
    size_t rows, columns;
    terminal_size(&rows, &columns);
    return rows;
}

void progress_begin(struct progress *p) {
    const char *term = getenv("TERM");
    *p = (struct progress){.on = out_terminal(stderr) && (term == NULL || strcmp(term, "dumb") != 0)};
}

bool progress_due(const struct progress *p) {
    return p->on && sg_now_ns(CLOCK_MONOTONIC) - p->last >= pause_ns;
}

void progress_clear(struct progress *p) {
    if (p->drawn > 0)
        fprintf(stderr, "\033[%zuA\r\033[J", p->drawn);
    p->drawn = 0;
}

void progress_line(struct progress *p, const char *format, ...) {
    size_t rows, columns, at = 0;
    va_list list;
    char *text = NULL;
    if (!p->on)
        return;
    va_start(list, format);
    int n = vasprintf(&text, format, list);
    va_end(list);
    if (n < 0)
        return;
    char *safe = out_name(text);
    free(text);
    terminal_size(&rows, &columns);
    for (size_t shown = 0; safe[at] != '\0'; at++) { /* never inside a character */
        shown += ((unsigned char)safe[at] & 0xc0) != 0x80;
        if (shown >= columns)
            break;
    }
    fprintf(stderr, "%.*s\n", (int)at, safe);
    free(safe);
    p->drawn++;
}

void progress_show(struct progress *p) {
    p->last = sg_now_ns(CLOCK_MONOTONIC);
    if (p->on)
        fflush(stderr);
}

void progress_count(struct progress *p, const char *what, uint64_t done, uint64_t total) {
    if (!progress_due(p))
        return;
    progress_clear(p);
    if (total > 0)
        progress_line(p, "%llu of %llu %s", (unsigned long long)done, (unsigned long long)total, what);
    else
        progress_line(p, "%llu %s", (unsigned long long)done, what);
    progress_show(p);
}
