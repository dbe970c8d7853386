/* One workload of a warm-up; see job.h. */
#include "cli/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/events.h"
#include "cli/out.h"
#include "cli/proc.h"

enum { TAIL_LINES = 20, TAIL_BYTES = 32768 };

const char *job_state_name(const struct job *j) {
    static const char *const names[] = {"waiting", "running", "ok", "failed", "stopped"};
    return names[j->state];
}

double job_seconds(const struct job *j) {
    uint64_t end = j->ended != 0 ? j->ended : sg_now_ns(CLOCK_MONOTONIC);
    return j->started == 0 ? 0 : (double)(end - j->started) / 1e9;
}

/* ---- What it did ---- */

static int on_file(void *context, int error, const struct sg_trail_process *process) {
    struct job *j = context;
    if (cli_kept_is_old(j->kept, process->file))
        return 0;
    j->unreadable += error != SAGGAR_OK;
    j->processes += error == SAGGAR_OK && process->seq == 0;
    j->lost += error == SAGGAR_OK ? process->lost : 0;
    return 0;
}

static int on_event(void *context, const struct sg_trail_process *process, const struct sg_trail_record *r) {
    struct job *j = context;
    if (cli_kept_is_old(j->kept, process->file))
        return 0;
    j->compiled += r->event == SAGGAR_EVENT_COMPILED;
    j->cacheable += r->event == SAGGAR_EVENT_COMPILED && (r->flags & SAGGAR_FLAG_CACHEABLE) != 0;
    j->stored += r->event == SAGGAR_EVENT_PUBLISHED;
    j->hits += r->event == SAGGAR_EVENT_HIT;
    if (r->event == SAGGAR_EVENT_NOT_STORED)
        unstored_add(&j->unstored, r->reason, r->detail, r->group, 1);
    return 0;
}

void job_count(struct job *j) {
    struct sg_trail_visitor visitor = {j, on_file, on_event, NULL};
    j->compiled = j->cacheable = j->stored = j->hits = j->lost = 0;
    j->processes = j->unreadable = 0;
    unstored_free(&j->unstored);
    cli_trails_read(j->trail, &visitor);
}

/* ---- Its beginning and its end ---- */

bool job_start(struct job *j, const char *const *set) {
    const char *changes[8];
    size_t n = 1;
    char *trail = out_format("SAGGAR_TRAIL=%s", j->trail);
    changes[0] = trail;
    while (*set != NULL && n < 7)
        changes[n++] = *set++;
    changes[n] = NULL;
    j->started = sg_now_ns(CLOCK_MONOTONIC);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(j->log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (out < 0) {
        j->unstarted =
            out_format("its log %s cannot be written: %s; give another directory with --log-dir DIR", j->log,
                       strerror(errno));
    } else {
        struct cli_spawn spawn = {j->w->argv, changes, in, out, out, true};
        pid_t pid = cli_spawn(&spawn);
        if (pid < 0)
            j->unstarted = out_format("could not be started: %s", strerror(errno));
        j->pid = pid > 0 ? pid : 0;
        close(out);
    }
    if (in >= 0)
        close(in);
    free(trail);
    if (j->pid == 0)
        return false;
    setpgid(j->pid, j->pid);
    j->state = JOB_RUNNING;
    return true;
}

static void put_tail(const struct job *j, bool with_log) {
    char *text = out_alloc(TAIL_BYTES + 1);
    int fd = open(j->log, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = end > TAIL_BYTES ? end - TAIL_BYTES : 0;
    ssize_t got = fd < 0 ? 0 : pread(fd, text, TAIL_BYTES, from);
    size_t n = got > 0 ? (size_t)got : 0, lines = 0, at = n;
    if (n > 0 && text[n - 1] == '\n')
        at = --n;
    while (at > 0 && lines < TAIL_LINES)
        lines += text[--at] == '\n';
    at += lines == TAIL_LINES;
    for (size_t i = at; i < n;) {
        const char *newline = memchr(text + i, '\n', n - i);
        size_t length = newline != NULL ? (size_t)(newline - text) - i : n - i;
        fputs("    ", stderr);
        sg_print_name(stderr, text + i, length);
        fputc('\n', stderr);
        i += length + 1;
    }
    if (fd >= 0)
        close(fd);
    if (with_log) {
        fputs("    log: ", stderr);
        out_put(stderr, j->log);
        fputc('\n', stderr);
    }
    free(text);
}

void job_put_failure(const struct job *j, bool with_log) {
    char took[OUT_UNIT];
    char *how = j->unstarted != NULL ? out_strdup(j->unstarted) : cli_exit_text(j->status);
    fprintf(stderr, "%sfailed%s  %s: ", out_color(stderr, "red"), out_color(stderr, ""), j->w->name);
    out_put(stderr, how);
    fprintf(stderr, " after %s: ", out_time(took, job_seconds(j)));
    out_put(stderr, j->w->text);
    fputc('\n', stderr);
    if (j->unstarted == NULL)
        put_tail(j, with_log);
    free(how);
}

void job_free(struct job *j) {
    unstored_free(&j->unstored);
    free(j->unstarted);
    free(j->log);
    free(j->trail);
}
