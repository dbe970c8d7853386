/*
 * Looks at the processes below this one while they run, to find those that use a compiler without its
 * adapter.
 *
 * A process is known by its number and its start, a program in it by its stack's start. It is looked at again
 * only when it has used processor time since, until it is found to use the compiler. What a process forked
 * without exec does is its parent's.
 */
#ifndef SG_CLI_SAMPLE_H
#define SG_CLI_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What its environment lacks to report, so far as that can be read. */
enum sample_lack { LACK_NOTHING, LACK_TRAIL, LACK_MODE };

/* One program in one process: exec makes another of it, with samples of its own. */
struct sample {
    pid_t pid;        /* here */
    pid_t inner;      /* in its own namespace: what its trail says */
    uint64_t start;   /* clock ticks from boot */
    uint64_t used;    /* processor time at the last look */
    bool compiler;    /* it has the compiler loaded */
    uint64_t program; /* digest of its command line and environment: a fork has its parent's */
    size_t parent;    /* SIZE_MAX: not among the samples */
    char *name;       /* of those with the compiler: the command line */
    uint64_t
        stack; /* where its stack starts: another one after exec, a fork's is its parent's; 0: not known */
    uint64_t from;  /* the last look at the program before it, nanoseconds since 1970; 0: none */
    uint64_t until; /* the first look at the program after it; UINT64_MAX: none */
    uint64_t seen;  /* the last look */
    enum sample_lack lack;
};

struct samples {
    struct sample *item;
    size_t n;
    char *buffer; /* one for all reading */
    size_t room;
};

/* Looks at every descendant of this process. */
void samples_look(struct samples *s);
/* True if any descendant is still there; `pid`: one of them. */
bool samples_left(pid_t *pid);
/* Whether it is the fork of `parent`, without a program of its own. */
bool samples_is_fork(const struct samples *s, size_t i);
void samples_free(struct samples *s);

#endif
