/*
 * Lines that are drawn again while work goes on, on stderr and only on a terminal.
 *
 * Elsewhere every function here does nothing, and the caller prints plain lines where something happened.
 */
#ifndef SG_CLI_PROGRESS_H
#define SG_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool on;
    size_t drawn;  /* lines on the screen */
    uint64_t last; /* when they were drawn, monotonic nanoseconds */
};

void progress_begin(struct progress *p);
/* Whether it is time to draw again. */
bool progress_due(const struct progress *p);
/* Takes the lines off the screen, before something else is printed and before they are drawn again. */
void progress_clear(struct progress *p);
/* One line, cut at the width of the terminal. */
void progress_line(struct progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The drawing is complete. */
void progress_show(struct progress *p);
/* Rows that fit. */
size_t progress_rows(void);

/* One line "done of total WHAT", when it is due; total 0: not known. */
void progress_count(struct progress *p, const char *what, uint64_t done, uint64_t total);

#endif
