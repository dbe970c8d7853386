/*
 * One workload of a warm-up: a process group with a log and a trail directory of its own.
 *
 * What its processes did is counted from their trails, which may be read while they run.
 */
#ifndef SG_CLI_JOB_H
#define SG_CLI_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/kept.h"
#include "cli/plan.h"
#include "cli/unstored.h"

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_OK, JOB_FAILED, JOB_STOPPED };

struct job {
    const struct workload *w;
    enum job_state state;
    pid_t pid;               /* 0: never started */
    uint64_t started, ended; /* monotonic nanoseconds */
    uint64_t compiled, cacheable, stored, hits, lost;
    size_t processes, unreadable;
    struct unstored unstored;
    int status;
    char *unstarted; /* why it could not be started, NULL if it was */
    char *log, *trail;
    const struct cli_kept *kept;
};

/* "waiting", "running", ... */
const char *job_state_name(const struct job *j);
/* So far, or in all. */
double job_seconds(const struct job *j);
/* Reads its trails again. */
void job_count(struct job *j);
/* Starts it with these changes of the environment besides its trail (NULL-terminated). False: `unstarted`
 * says why. */
bool job_start(struct job *j, const char *const *set);
/* Says on stderr how it failed, with the end of its log; `with_log`: and where that lies. */
void job_put_failure(const struct job *j, bool with_log);
void job_free(struct job *j);

#endif
