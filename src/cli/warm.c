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
#include "cli/job.h"
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
    {2, "wrong usage, an unknown value in the environment, or a store or file that cannot be used"},
    CLI_EXIT_OUTPUT,
    {130, "interrupted; all workloads were stopped (128 + signal)"},
    CLI_EXITS_END,
};

enum { STOP_SECONDS = 5 };

struct warm {
    struct job *job;
    size_t n, running, ended;
    struct progress progress;
    struct cli_kept kept;
    char *image_list;
    int signals, stop; /* the signal that stopped us, 0 if none */
    uint64_t stopped, counted;
};

/* ---- One of them ---- */

static void start(struct warm *w, struct job *j) {
    const char *set[3];
    size_t n = 0;
    if (store != NULL)
        set[n++] = out_format("SAGGAR_DIR=%s", store);
    if (w->image_list[0] != '\0')
        set[n++] = out_format("SAGGAR_IMAGE=%s", w->image_list);
    set[n] = NULL;
    if (job_start(j, set)) {
        w->running++;
        if (!w->progress.on) {
            fprintf(stderr, "start   %s: ", j->w->name);
            out_put(stderr, j->w->text);
            fputc('\n', stderr);
        }
    }
    while (n > 0)
        free((char *)(uintptr_t)set[--n]);
}

static void finish(struct warm *w, struct job *j, int status) {
    char took[OUT_UNIT];
    j->ended = sg_now_ns(CLOCK_MONOTONIC);
    j->status = status;
    j->state = w->stop != 0 && status != 0           ? JOB_STOPPED
               : status == 0 && j->unstarted == NULL ? JOB_OK
                                                     : JOB_FAILED;
    if (j->pid > 0)
        w->running--;
    w->ended++;
    job_count(j);
    progress_clear(&w->progress);
    if (j->state == JOB_FAILED)
        job_put_failure(j, log_dir != NULL || !w->kept.temporary);
    else if (!w->progress.on)
        fprintf(stderr, "%-7s %s: %s, %llu compiled\n", job_state_name(j), j->w->name,
                out_time(took, job_seconds(j)), (unsigned long long)j->compiled);
}

/* ---- All of them ---- */

static void signal_all(struct warm *w, int number) {
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == JOB_RUNNING)
            kill(-w->job[i].pid, number);
    }
}

static void on_signal(struct warm *w, int number) {
    if (number == 0 || number == SIGCHLD)
        return;
    if (number != SIGINT && number != SIGTERM && number != SIGHUP && number != SIGQUIT) {
        signal_all(w, number); /* passed on, no reason to stop */
        return;
    }
    progress_clear(&w->progress);
    if (w->stop == 0) {
        w->stop = number;
        w->stopped = sg_now_ns(CLOCK_MONOTONIC);
        cli_note("stopping %zu %s", w->running, w->running == 1 ? "workload" : "workloads");
        signal_all(w, number == SIGQUIT ? SIGINT : number);
    } else {
        signal_all(w, SIGKILL);
    }
}

static void reap(struct warm *w) {
    int status;
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == JOB_RUNNING && waitpid(w->job[i].pid, &status, WNOHANG) == w->job[i].pid) {
            finish(w, &w->job[i], status);
        }
    }
}

static void start_some(struct warm *w) {
    for (size_t i = 0; i < w->n && w->running < (size_t)jobs && w->stop == 0; i++) {
        if (w->job[i].state != JOB_WAITING)
            continue;
        start(w, &w->job[i]);
        if (w->job[i].state == JOB_WAITING)
            finish(w, &w->job[i], 0);
    }
}

static void draw_job(struct progress *p, const struct job *j) {
    char took[OUT_UNIT];
    if (j->state == JOB_WAITING)
        progress_line(p, "  %-8s%s", job_state_name(j), j->w->name);
    else
        progress_line(p, "  %-8s%-24s %8s  %5llu compiled", job_state_name(j), j->w->name,
                      out_time(took, job_seconds(j)), (unsigned long long)j->compiled);
}

/* Running ones first in what fits, then those that ended. */
static void draw(struct warm *w) {
    uint64_t now = sg_now_ns(CLOCK_MONOTONIC), total = 0;
    size_t rows = progress_rows(), room = rows > 4 ? rows - 4 : 1;
    if (!progress_due(&w->progress))
        return;
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == JOB_RUNNING && now - w->counted > 1000 * 1000 * 1000)
            job_count(&w->job[i]);
        total += w->job[i].compiled;
    }
    if (now - w->counted > 1000 * 1000 * 1000)
        w->counted = now;
    progress_clear(&w->progress);
    for (size_t i = 0; i < w->n; i++) {
        if (w->n <= room || (w->job[i].state == JOB_RUNNING && w->progress.drawn < room))
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
            signal_all(w, SIGKILL);
    }
    progress_clear(&w->progress);
}

static size_t number_of(const struct warm *w, enum job_state state) {
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->job[i].state == state;
    return n;
}

/* What hinders the trails, if something does; malloc'd. */
static char *trouble_of(const struct warm *w) {
    size_t processes = 0, unreadable = 0;
    uint64_t lost = 0;
    for (size_t i = 0; i < w->n; i++) {
        processes += w->job[i].processes;
        unreadable += w->job[i].unreadable;
        lost += w->job[i].lost;
    }
    return cli_kept_hindered(&w->kept, processes, unreadable, lost);
}

static void put_trouble(const struct warm *w) {
    char *trouble = trouble_of(w);
    if (trouble != NULL)
        cli_note("the trails could not be written in %s; what was compiled is not known (another place: "
                 "--trail DIR)",
                 trouble);
    else if (w->kept.home == NULL && trail == NULL)
        cli_unkept_note(&w->kept);
    free(trouble);
}

static void summary(const struct warm *w, double took) {
    uint64_t compiled = 0, cacheable = 0, hits = 0;
    char text[OUT_UNIT];
    struct unstored unstored = {0};
    for (size_t i = 0; i < w->n; i++) {
        compiled += w->job[i].compiled;
        cacheable += w->job[i].cacheable;
        hits += w->job[i].hits;
        unstored_join(&unstored, &w->job[i].unstored);
    }
    char *workloads = out_count(w->n, "workload", "workloads");
    fprintf(stderr, "%ssaggar:%s %s in %s: %zu ok, %zu failed", out_color(stderr, "bold"),
            out_color(stderr, ""), workloads, out_time(text, took), number_of(w, JOB_OK),
            number_of(w, JOB_FAILED));
    if (w->stop != 0)
        fprintf(stderr, ", %zu stopped, %zu not started", number_of(w, JOB_STOPPED),
                number_of(w, JOB_WAITING));
    fprintf(stderr, "; %llu compiled (%llu marked for caching), %llu %s", (unsigned long long)compiled,
            (unsigned long long)cacheable, (unsigned long long)hits, hits == 1 ? "hit" : "hits");
    if (unstored.total > 0)
        fprintf(stderr, ", %llu not stored", (unsigned long long)unstored.total);
    fputc('\n', stderr);
    unstored_print(&unstored, stderr);
    unstored_free(&unstored);
    put_trouble(w);
    for (size_t i = 0; i < w->n; i++) {
        if (w->job[i].state == JOB_FAILED)
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
        sg_json_str(&j, job_state_name(job));
        sg_json_key(&j, "status");
        if (job->ended == 0)
            sg_json_null(&j);
        else
            sg_json_int(&j, job->unstarted != NULL ? 127 : cli_exit_code(job->status));
        sg_json_key(&j, "seconds");
        sg_json_real(&j, job_seconds(job));
        sg_json_key(&j, "compiled");
        sg_json_uint(&j, job->compiled);
        sg_json_key(&j, "cacheable");
        sg_json_uint(&j, job->cacheable);
        sg_json_key(&j, "hits");
        sg_json_uint(&j, job->hits);
        sg_json_key(&j, "stored");
        sg_json_uint(&j, job->stored);
        sg_json_key(&j, "not_stored");
        sg_json_uint(&j, job->unstored.total);
        sg_json_key(&j, "uncacheable");
        sg_json_uint(&j, job->unstored.uncacheable);
        sg_json_key(&j, "reasons");
        unstored_json(&job->unstored, &j);
        sg_json_key(&j, "log");
        sg_json_str(&j, job->log);
        sg_json_object_end(&j);
    }
    sg_json_array_end(&j);
    sg_json_key(&j, "trouble");
    char *trouble = trouble_of(w);
    sg_json_str(&j, trouble);
    free(trouble);
    sg_json_object_end(&j);
    out_json_end(&j);
}

/* ---- Setting up ---- */

static long cpus(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n;
}

static int make_logs(const char *path) {
    if (sg_make_dirs(path, 0755) == SAGGAR_OK && access(path, W_OK | X_OK) == 0)
        return 0;
    return cli_fail("%s%s: no log can be written there: %s; give another directory with --log-dir DIR",
                    log_dir != NULL ? "--log-dir " : "", path, strerror(errno));
}

static int make_trail(const char *path) {
    if (sg_make_dirs(path, 0700) == SAGGAR_OK && access(path, W_OK | X_OK) == 0)
        return 0;
    return cli_fail("%s: no trail can be written there: %s; give another directory with --trail DIR", path,
                    strerror(errno));
}

static int prepare(struct warm *w, const struct plan *plan) {
    char *logs = log_dir != NULL ? cli_absolute(log_dir)
                                 : out_format("%s/logs", w->kept.home != NULL ? w->kept.home : w->kept.work);
    int status = make_logs(logs);
    w->n = plan->n;
    w->job = out_alloc(w->n * sizeof *w->job);
    for (size_t i = 0; i < w->n && status == 0; i++) {
        struct job *j = &w->job[i];
        j->w = &plan->item[i];
        j->kept = &w->kept;
        j->log = out_format("%s/%s.log", logs, j->w->name);
        j->trail = out_format("%s/%s", w->kept.work, j->w->name);
        status = make_trail(j->trail);
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
    char *many = out_count(plan->n, "workload", "workloads");
    char *what = out_format("%s: %s", many, plan->item[0].text);
    int status = cli_image_list(&images, &w.image_list);
    if (status == 0)
        status = cli_tiers_usable(store, w.image_list);
    if (status == 0)
        status = cli_kept_begin(store_path, "warm", trail, what, &w.kept);
    free(what);
    free(many);
    bool ran = status == 0;
    if (status == 0)
        status = prepare(&w, plan);
    if (status == 0) {
        uint64_t begin = sg_now_ns(CLOCK_MONOTONIC);
        progress_begin(&w.progress);
        run_all(&w);
        double took = (double)(sg_now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
        summary(&w, took);
        if (json)
            summary_json(&w, took);
        status = w.stop != 0 ? 128 + w.stop : number_of(&w, JOB_FAILED) > 0 ? SG_EXIT_FOUND : 0;
    }
    if (ran)
        cli_kept_end(&w.kept, true);
    for (size_t i = 0; i < w.n; i++)
        job_free(&w.job[i]);
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
        "to a log each. A command that fails is named, with the end of its log, while the others go on. What "
        "was "
        "compiled and could not be stored is told at the end, by reason.\n\n"
        "The trails are kept in the state directory: `saggar bake` takes what they say was used.",
    .example = "saggar warm --plan warmup.txt --jobs 4\nsaggar warm 'python3 a.py' 'python3 b.py --small'\n"
               "saggar warm -- python3 model.py",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .tail = CLI_TAIL_OPTIONAL,
    .run = run,
};
