/*
 * saggar warm: many warm-up commands side by side, into one store.
 *
 * Each workload is a process group with a log and a trail directory of its own. One that fails does not stop
 * the others; a signal stops all of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/args.h"
#include "cli/events.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/plan.h"
#include "cli/proc.h"
#include "cli/progress.h"
#include "cli/tiers.h"

static long jobs;
static const char *plan_path, *log_dir, *trail, *store;
static struct cli_list images;
static bool json;

static const struct cli_option options[] = {
    {'j', "jobs", "N", CLI_COUNT, &jobs, "at most N at a time (default: one for each CPU, at least 2)"},
    {0, "plan", "FILE", CLI_TEXT, &plan_path,
     "one shell command a line, optionally `NAME: ` before it; `#` begins a comment"},
    {0, "log-dir", "DIR", CLI_TEXT, &log_dir,
     "where the logs go, NAME.log (default: beside the kept trails)"},
    {0, "trail", "DIR", CLI_TEXT, &trail,
     "record the trails here, a directory for each workload, and leave them"},
    {0, "store", "DIR", CLI_TEXT, &store, "use this store"},
    {0, "image", "FILE", CLI_LIST, &images, "search this image first; may be given more than once"},
    {0, "json", NULL, CLI_FLAG, &json, "the result as one object on stdout"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "every workload ended well"},
    {1, "a workload failed; the others went on"},
    {2, "wrong usage"},
    {130, "interrupted; all workloads were stopped (128 + signal)"},
    CLI_EXITS_END,
};

enum state { WAITING, RUNNING, OK, FAILED, STOPPED };
static const char *const state_names[] = {"waiting", "running", "ok", "failed", "stopped"};
enum { TAIL_LINES = 20, TAIL_BYTES = 32768, STOP_SECONDS = 5 };

struct job {
    const struct workload *w;
    enum state state;
    pid_t pid;
    uint64_t started, ended; /* monotonic nanoseconds */
    uint64_t compiled, cacheable, hits;
    int status;
    int start_error;
    char *log, *trail;
    const struct cli_kept *kept;
};

struct warm {
    struct job *job;
    size_t n, running, ended;
    struct progress progress;
    struct cli_kept kept;
    char *image_list;
    int signals, stop; /* the signal that stopped us, 0 if none */
    uint64_t stopped, counted;
};

/* ---- One workload ---- */

static double seconds(const struct job *j) {
    uint64_t end = j->ended != 0 ? j->ended : sg_now_ns(CLOCK_MONOTONIC);
    return j->started == 0 ? 0 : (double)(end - j->started) / 1e9;
}

static int on_event(void *context, const struct sg_trail_process *process, const struct sg_trail_record *r) {
    struct job *j = context;
    if (cli_kept_is_old(j->kept, process->file))
        return 0;
    j->compiled += r->event == SAGGAR_EVENT_COMPILED;
    j->cacheable += r->event == SAGGAR_EVENT_COMPILED && (r->flags & SAGGAR_FLAG_CACHEABLE) != 0;
    j->hits += r->event == SAGGAR_EVENT_HIT;
    return 0;
}

static void count(struct job *j) {
    struct sg_trail_visitor visitor = {j, NULL, on_event, NULL};
    j->compiled = j->cacheable = j->hits = 0;
    cli_trails_read(j->trail, &visitor);
}

static void start(struct warm *w, struct job *j) {
    const char *set[4];
    size_t n = 0;
    j->started = sg_now_ns(CLOCK_MONOTONIC);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(j->log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    set[n++] = out_format("SAGGAR_TRAIL=%s", j->trail);
    if (store != NULL)
        set[n++] = out_format("SAGGAR_DIR=%s", store);
    if (w->image_list[0] != '\0')
        set[n++] = out_format("SAGGAR_IMAGE=%s", w->image_list);
    set[n] = NULL;
    struct cli_spawn spawn = {j->w->argv, set, in, out, out, true};
    j->pid = in < 0 || out < 0 ? -1 : cli_spawn(&spawn);
    j->start_error = errno;
    if (j->pid > 0) {
        setpgid(j->pid, j->pid);
        j->state = RUNNING;
        w->running++;
        if (!w->progress.on) {
            fprintf(stderr, "start   %s: ", j->w->name);
            out_put(stderr, j->w->text);
            fputc('\n', stderr);
        }
    }
    while (n > 0)
        free((char *)(uintptr_t)set[--n]);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
}

static void put_tail(const struct job *j) {
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
    if (log_dir != NULL || !j->kept->temporary) {
        fputs("    log: ", stderr);
        out_put(stderr, j->log);
        fputc('\n', stderr);
    }
    free(text);
}

static void finish(struct warm *w, struct job *j, int status) {
    char took[OUT_UNIT];
    j->ended = sg_now_ns(CLOCK_MONOTONIC);
    j->status = status;
    j->state = w->stop != 0 && status != 0 ? STOPPED : status == 0 && j->start_error == 0 ? OK : FAILED;
    if (j->pid > 0)
        w->running--;
    w->ended++;
    count(j);
    progress_clear(&w->progress);
    if (j->state == FAILED) {
        char *how = j->start_error != 0 ? out_format("could not be started: %s", strerror(j->start_error))
                                        : cli_exit_text(status);
        fprintf(stderr, "%sfailed%s  %s: %s after %s: ", out_color(stderr, "red"), out_color(stderr, ""),
                j->w->name, how, out_time(took, seconds(j)));
        out_put(stderr, j->w->text);
        fputc('\n', stderr);
        if (j->start_error == 0)
            put_tail(j);
        free(how);
    } else if (!w->progress.on) {
        fprintf(stderr, "%-7s %s: %s, %llu compiled\n", state_names[j->state], j->w->name,
                out_time(took, seconds(j)), (unsigned long long)j->compiled);
    }
}

/* ---- All of them ---- */

static void stop_all(struct warm *w, int number) {
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == RUNNING)
            kill(-w->job[i].pid, number);
    }
}

static void on_signal(struct warm *w, int number) {
    if (number == 0 || number == SIGCHLD)
        return;
    progress_clear(&w->progress);
    if (w->stop == 0) {
        w->stop = number;
        w->stopped = sg_now_ns(CLOCK_MONOTONIC);
        cli_note("stopping %zu workloads", w->running);
        stop_all(w, number == SIGQUIT ? SIGINT : number);
    } else {
        stop_all(w, SIGKILL);
    }
}

static void reap(struct warm *w) {
    int status;
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == RUNNING && waitpid(w->job[i].pid, &status, WNOHANG) == w->job[i].pid) {
            w->job[i].start_error = 0;
            finish(w, &w->job[i], status);
        }
    }
}

static void start_some(struct warm *w) {
    for (size_t i = 0; i < w->n && w->running < (size_t)jobs && w->stop == 0; i++) {
        if (w->job[i].state != WAITING)
            continue;
        start(w, &w->job[i]);
        if (w->job[i].state == WAITING)
            finish(w, &w->job[i], 0);
    }
}

static void draw_job(struct progress *p, const struct job *j) {
    char took[OUT_UNIT];
    if (j->state == WAITING)
        progress_line(p, "  %-8s%s", state_names[j->state], j->w->name);
    else
        progress_line(p, "  %-8s%-24s %8s  %5llu compiled", state_names[j->state], j->w->name,
                      out_time(took, seconds(j)), (unsigned long long)j->compiled);
}

/* Running ones first in what fits, then those that ended. */
static void draw(struct warm *w) {
    uint64_t now = sg_now_ns(CLOCK_MONOTONIC), total = 0;
    size_t rows = progress_rows(), room = rows > 4 ? rows - 4 : 1;
    if (!progress_due(&w->progress))
        return;
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == RUNNING && now - w->counted > 1000 * 1000 * 1000)
            count(&w->job[i]);
        total += w->job[i].compiled;
    }
    if (now - w->counted > 1000 * 1000 * 1000)
        w->counted = now;
    progress_clear(&w->progress);
    for (size_t i = 0; i < w->n; i++) {
        if (w->n <= room || (w->job[i].state == RUNNING && w->progress.drawn < room))
            draw_job(&w->progress, &w->job[i]);
    }
    progress_line(&w->progress, "%zu of %zu done, %zu running, %llu compiled", w->ended, w->n, w->running,
                  (unsigned long long)total);
    progress_show(&w->progress);
}

static void run_all(struct warm *w) {
    bool terminal;
    while (w->ended < w->n) {
        start_some(w);
        if (w->running == 0 && w->stop != 0)
            break;
        draw(w);
        on_signal(w, w->running > 0 ? cli_signal_next(w->signals, w->progress.on ? 100 : 500, &terminal) : 0);
        reap(w);
        if (w->stop != 0 && sg_now_ns(CLOCK_MONOTONIC) - w->stopped > STOP_SECONDS * UINT64_C(1000000000))
            stop_all(w, SIGKILL);
    }
    progress_clear(&w->progress);
}

static size_t number_of(const struct warm *w, enum state state) {
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->job[i].state == state;
    return n;
}

static void summary(const struct warm *w, double took) {
    uint64_t compiled = 0, cacheable = 0, hits = 0;
    char text[OUT_UNIT];
    for (size_t i = 0; i < w->n; i++) {
        compiled += w->job[i].compiled;
        cacheable += w->job[i].cacheable;
        hits += w->job[i].hits;
    }
    char *workloads = out_count(w->n, "workload", "workloads");
    fprintf(stderr, "%ssaggar:%s %s in %s: %zu ok, %zu failed", out_color(stderr, "bold"),
            out_color(stderr, ""), workloads, out_time(text, took), number_of(w, OK), number_of(w, FAILED));
    if (w->stop != 0)
        fprintf(stderr, ", %zu stopped, %zu not started", number_of(w, STOPPED), number_of(w, WAITING));
    fprintf(stderr, "; %llu compiled (%llu marked for caching), %llu hits\n", (unsigned long long)compiled,
            (unsigned long long)cacheable, (unsigned long long)hits);
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == FAILED)
            fprintf(stderr, "saggar: failed: %s\n", w->job[i].w->name);
    }
    free(workloads);
}

static void summary_json(const struct warm *w, double took) {
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "seconds");
    sg_json_real(&j, took);
    sg_json_key(&j, "workloads");
    sg_json_array(&j);
    for (size_t i = 0; i < w->n; i++) {
        const struct job *job = &w->job[i];
        sg_json_object(&j);
        sg_json_key(&j, "name");
        sg_json_str(&j, job->w->name);
        sg_json_key(&j, "command");
        sg_json_str(&j, job->w->text);
        sg_json_key(&j, "state");
        sg_json_str(&j, state_names[job->state]);
        sg_json_key(&j, "status");
        if (job->ended == 0)
            sg_json_null(&j);
        else
            sg_json_int(&j, job->start_error != 0 ? 127 : cli_exit_code(job->status));
        sg_json_key(&j, "seconds");
        sg_json_real(&j, seconds(job));
        sg_json_key(&j, "compiled");
        sg_json_uint(&j, job->compiled);
        sg_json_key(&j, "cacheable");
        sg_json_uint(&j, job->cacheable);
        sg_json_key(&j, "hits");
        sg_json_uint(&j, job->hits);
        sg_json_key(&j, "log");
        sg_json_str(&j, job->log);
        sg_json_object_end(&j);
    }
    sg_json_array_end(&j);
    sg_json_object_end(&j);
    out_json_end(&j);
}

/* ---- Setting up ---- */

static long cpus(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n;
}

static int make_dir(const char *what, const char *path) {
    if (sg_make_dirs(path, 0755) == SAGGAR_OK && access(path, W_OK | X_OK) == 0)
        return 0;
    return cli_fail("%s%s: could not be made: %s", what, path, strerror(errno));
}

static int prepare(struct warm *w, const struct plan *plan) {
    char *logs = log_dir != NULL ? cli_absolute(log_dir)
                                 : out_format("%s/logs", w->kept.home != NULL ? w->kept.home : w->kept.work);
    int status = make_dir(log_dir != NULL ? "--log-dir " : "", logs);
    w->n = plan->n;
    w->job = out_alloc(w->n * sizeof *w->job);
    for (size_t i = 0; i < w->n && status == 0; i++) {
        struct job *j = &w->job[i];
        j->w = &plan->item[i];
        j->kept = &w->kept;
        j->log = out_format("%s/%s.log", logs, j->w->name);
        j->trail = out_format("%s/%s", w->kept.work, j->w->name);
        status = make_dir("", j->trail);
    }
    if (jobs == 0) {
        jobs = cpus();
        if (jobs < 2)
            jobs = 2;
    }
    w->signals = cli_signals();
    if (status == 0 && w->signals < 0)
        status = cli_fail("signalfd: %s", strerror(errno));
    free(logs);
    return status;
}

static int warm(const struct plan *plan, const char *store_path) {
    struct warm w = {0};
    char *what = out_format("%zu workloads: %s", plan->n, plan->item[0].text);
    int status = cli_image_list(&images, &w.image_list);
    if (status == 0)
        status = cli_kept_begin(store_path, "warm", trail, what, &w.kept);
    free(what);
    if (status != 0)
        return status;
    status = prepare(&w, plan);
    if (status == 0) {
        uint64_t begin = sg_now_ns(CLOCK_MONOTONIC);
        progress_begin(&w.progress);
        run_all(&w);
        double took = (double)(sg_now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
        summary(&w, took);
        if (json)
            summary_json(&w, took);
        status = w.stop != 0 ? 128 + w.stop : number_of(&w, FAILED) > 0 ? SG_EXIT_FOUND : 0;
    }
    cli_kept_end(&w.kept, true);
    for (size_t i = 0; i < w.n; i++) {
        free(w.job[i].log);
        free(w.job[i].trail);
    }
    free(w.job);
    free(w.image_list);
    return status;
}

static int run(const struct cli_args *args) {
    struct plan plan = {0};
    struct sg_settings settings = {0};
    int status = cli_settings(store, NULL, &settings);
    if (status != 0)
        return status;
    if (store != NULL)
        store = cli_absolute(store);
    if (plan_path != NULL)
        status = plan_file(&plan, plan_path);
    size_t from_file = plan.n;
    for (size_t i = 0; i < args->n && status == 0; i++)
        status = plan_shell(&plan, args->names[i]);
    if (status == 0 && args->command != NULL)
        status = plan_argv(&plan, args->command);
    if (status == 0 && plan.n == 0)
        status = cli_fail("no workload; give --plan FILE, commands in quotes, or one command after `--`");
    if (status == 0)
        status = plan_check(&plan, from_file);
    if (status == 0)
        status = warm(&plan, settings.store);
    plan_free(&plan);
    sg_settings_free(&settings);
    return out_finish(status);
}

const struct cli_command cli_warm = {
    .name = "warm",
    .usage = "[OPTIONS] ['COMMAND']... [-- COMMAND [ARGUMENT]...]",
    .summary = "run warm-up commands side by side",
    .about =
        "Runs commands side by side so that what they compile is stored; each key is compiled once among "
        "them. "
        "Each argument is one whole shell command; what stands after `--` is one command as it is. Output "
        "goes "
        "to a log each. A command that fails is named, with the end of its log, while the others go on.\n\n"
        "The trails are kept in the state directory: `saggar bake` takes what they say was used.",
    .example = "saggar warm --plan warmup.txt --jobs 4\nsaggar warm 'python3 a.py' 'python3 b.py --small'\n"
               "saggar warm -- python3 model.py",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .tail = CLI_TAIL_OPTIONAL,
    .run = run,
};
