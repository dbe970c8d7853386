/*
 * The judgement of `saggar verify`: what the trails and the look at the processes prove.
 *
 * The caller owns the events and samples that the judgement points into.
 */
#ifndef SG_CLI_VERIFY_H
#define SG_CLI_VERIFY_H

#include "cli/events.h"
#include "cli/sample.h"

enum {
    VERIFY_NOTHING = 0,  /* nothing was compiled */
    VERIFY_COMPILED = 1, /* something that can be cached was */
    VERIFY_UNMARKED = 3, /* only what its authors never marked */
    VERIFY_NO_PROOF = 4,
    VERIFY_FAILED = 5 /* the command itself failed */
};

enum verify_kind { KIND_CACHEABLE, KIND_UNCACHEABLE, KIND_UNMARKED };

/* One function and signature, over all processes. */
struct verify_row {
    enum verify_kind kind;
    const struct cli_compiled *first;
    size_t processes, times, nested;
    size_t last; /* private */
};

struct verdict {
    int status;
    struct verify_row *row;
    size_t rows;
    uint64_t compiled[3]; /* compilations of each kind, nested ones too */
    char **doubt;         /* what is missing for a proof */
    size_t doubts;
};

struct verify_facts {
    const struct cli_events *events;
    const struct samples *samples;
    bool allow_uncached;
    int status;          /* of the command, as waitpid() gives it */
    const char *trouble; /* why trails cannot be written, NULL if they can */
    pid_t left;          /* a process that was still running at the end, 0 if none was */
};

void verify_judge(const struct verify_facts *facts, struct verdict *out);
void verify_free(struct verdict *verdict);

#endif
