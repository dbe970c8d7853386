/* saggar run: runs a command and says what the cache did. Its output and its status stay the command's own.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/args.h"
#include "cli/events.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/proc.h"
#include "cli/tiers.h"
#include "cli/unstored.h"

static struct cli_list images;
static const char *store, *trail;
static bool json, quiet;

static const struct cli_option options[] = {
    {0, "image", "FILE", CLI_LIST, &images, "search this image first; may be given more than once"},
    {0, "store", "DIR", CLI_TEXT, &store, "use this store"},
    {0, "trail", "DIR", CLI_TEXT, &trail, "record the trail in this directory and leave it there"},
    {'q', "quiet", NULL, CLI_FLAG, &quiet, "no summary"},
    {0, "json", NULL, CLI_FLAG, &json, "the summary as one line of JSON, the last line on stderr"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "and any other: the command's own status"},
    {2, "wrong usage, an unknown value in the environment, or a store or file that cannot be used"},
    {126, "the command could not be started"},
    {127, "the command was not found"},
    {128, "and more: the command was killed by signal (status - 128)"},
    CLI_EXITS_END,
};

/* Waits for the child; signals that the terminal did not give to it anyway are passed on. */
static int wait_for(pid_t pid, int signals) {
    int status;
    for (;;) {
        bool terminal;
        int number = cli_signal_next(signals, 1000, &terminal);
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return status;
        if (done < 0 && errno != EINTR)
            return 0;
        if (number != 0 && number != SIGCHLD && !terminal)
            kill(pid, number);
    }
}

static void summary_json(const struct cli_events *e, const struct unstored *u, const char *trouble,
                         const char *trail_dir, int status) {
    static const struct {
        int event;
        const char *name;
    } row[] = {{SAGGAR_EVENT_HIT, "hits"},
               {SAGGAR_EVENT_MISS, "misses"},
               {SAGGAR_EVENT_COMPILED, "compiled"},
               {SAGGAR_EVENT_PUBLISHED, "stored"},
               {SAGGAR_EVENT_NOT_STORED, "not_stored"},
               {SAGGAR_EVENT_FAULT, "faults"}};
    struct sg_json j;
    sg_json_file(&j, stderr, 0);
    sg_json_object(&j);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        sg_json_key(&j, row[i].name);
        sg_json_uint(&j, e->counts[row[i].event]);
    }
    sg_json_key(&j, "uncacheable");
    sg_json_uint(&j, u->uncacheable);
    sg_json_key(&j, "reasons");
    unstored_json(u, &j);
    sg_json_key(&j, "trouble");
    sg_json_str(&j, trouble);
    sg_json_key(&j, "processes");
    sg_json_uint(&j, e->processes);
    sg_json_key(&j, "lost_events");
    sg_json_uint(&j, e->lost);
    sg_json_key(&j, "status");
    sg_json_int(&j, status);
    sg_json_key(&j, "trail");
    sg_json_str(&j, trail_dir);
    sg_json_object_end(&j);
    out_json_end(&j);
}

static const char *why_inactive(const struct cli_events *e) {
    for (size_t i = 0; i < e->processes; i++) {
        if (e->process[i].inactive != NULL && !e->process[i].active)
            return e->process[i].inactive;
    }
    return NULL;
}

static void put_trouble(const char *trouble, const char *rest) {
    fprintf(stderr, "%ssaggar:%s the trails could not be written in ", out_color(stderr, "bold"),
            out_color(stderr, ""));
    out_put(stderr, trouble);
    fputs(rest, stderr);
}

static void summary(const struct cli_events *e, const struct unstored *u, const struct cli_kept *kept,
                    const char *trouble) {
    const char *inactive = why_inactive(e);
    if (e->processes == 0 && trouble != NULL) {
        put_trouble(trouble, "; what was compiled is not known (another place: --trail DIR)\n");
        return;
    }
    fprintf(stderr, "%ssaggar:%s ", out_color(stderr, "bold"), out_color(stderr, ""));
    if (e->processes == 0) {
        fputs("no process used an adapter; `saggar doctor` says what is active\n", stderr);
        return;
    }
    char *hits = out_count(e->counts[SAGGAR_EVENT_HIT], "hit", "hits");
    char *processes = out_count(e->processes, "process", "processes");
    fprintf(stderr, "%s, %llu compiled, %llu stored, %llu not stored (%s)", hits,
            (unsigned long long)e->counts[SAGGAR_EVENT_COMPILED],
            (unsigned long long)e->counts[SAGGAR_EVENT_PUBLISHED],
            (unsigned long long)e->counts[SAGGAR_EVENT_NOT_STORED], processes);
    if (e->counts[SAGGAR_EVENT_FAULT] > 0) {
        char *faults = out_count(e->counts[SAGGAR_EVENT_FAULT], "fault", "faults");
        fprintf(stderr, ", %s", faults);
        free(faults);
    }
    if (e->lost > 0 || e->unreadable > 0 || e->torn > 0)
        fputs(", the trail is incomplete", stderr);
    if (e->counts[SAGGAR_EVENT_MISS] > 0 && (kept->home != NULL || trail != NULL))
        fputs("; `saggar why` explains each miss", stderr);
    fputc('\n', stderr);
    if (inactive != NULL) {
        fputs("saggar: an adapter is off: ", stderr);
        out_put(stderr, inactive);
        fputc('\n', stderr);
    }
    unstored_print(u, stderr);
    if (trouble != NULL)
        put_trouble(trouble, "\n");
    if (kept->home == NULL && trail == NULL)
        cli_unkept_note(kept);
    free(hits);
    free(processes);
}

static int run_command(char **command, const struct cli_kept *kept, const char *image_list, bool *started) {
    const char *set[4];
    size_t n = 0;
    set[n++] = out_format("SAGGAR_TRAIL=%s", kept->work);
    if (store != NULL)
        set[n++] = out_format("SAGGAR_DIR=%s", store);
    if (image_list[0] != '\0')
        set[n++] = out_format("SAGGAR_IMAGE=%s", image_list);
    set[n] = NULL;
    struct cli_spawn spawn = {command, set, -1, -1, -1, false};
    int signals = cli_signals();
    pid_t pid = signals < 0 ? -1 : cli_spawn(&spawn);
    int error = errno;
    while (n > 0)
        free((char *)(uintptr_t)set[--n]);
    *started = pid > 0;
    if (pid < 0)
        return cli_not_started(command[0], error);
    return cli_exit_code(wait_for(pid, signals));
}

static void report(const struct cli_kept *kept, int status) {
    struct cli_events events = {.skip = kept->before, .n_skip = kept->n_before};
    cli_events_load(kept->work, &events);
    struct unstored unstored = {0};
    for (size_t i = 0; i < events.misses; i++) {
        const struct cli_miss *m = &events.miss[i];
        if (m->event == SAGGAR_EVENT_NOT_STORED)
            unstored_add(&unstored, m->reason, m->detail, m->group, 1);
    }
    char *trouble = cli_kept_hindered(kept, events.processes, events.unreadable, events.lost);
    if (json)
        summary_json(&events, &unstored, trouble, trail != NULL ? kept->work : kept->home, status);
    else if (!quiet)
        summary(&events, &unstored, kept, trouble);
    free(trouble);
    unstored_free(&unstored);
    cli_events_free(&events);
}

static int run(const struct cli_args *args) {
    struct sg_settings settings;
    struct cli_kept kept;
    char *image_list = NULL, *what = NULL;
    int status = cli_settings(store, NULL, &settings);
    if (status != 0)
        return status;
    if (store != NULL)
        store = cli_absolute(store);
    status = cli_image_list(&images, &image_list);
    if (status == 0 && !(quiet && store == NULL))
        status = cli_tiers_usable(store, image_list);
    if (status == 0) {
        what = cli_command_text(args->command);
        status = cli_kept_begin(settings.store, "run", trail, what, &kept);
    }
    if (status == 0) {
        bool started;
        status = run_command(args->command, &kept, image_list, &started);
        if (started)
            report(&kept, status);
        cli_kept_end(&kept, started);
    }
    free(what);
    free(image_list);
    sg_settings_free(&settings);
    return status;
}

const struct cli_command cli_run = {
    .name = "run",
    .usage = "[OPTIONS] -- COMMAND [ARGUMENT]...",
    .summary = "run a command and say what the cache did",
    .about =
        "Runs the command as it is and then prints one line on stderr: hits, functions compiled, stored and "
        "not stored, over all processes that it started; and a line for each reason why something was not "
        "stored. "
        "Signals and the exit status are passed on, also where the trails could not be written, which is "
        "said.\n\n"
        "The trail is kept, within bounds, in the state directory: `saggar why` explains the misses of the "
        "last "
        "run, and `saggar bake` takes what was used.",
    .example = "saggar run --image model.saggar -- python3 model.py",
    .options = options,
    .exits = exits,
    .tail = CLI_TAIL_REQUIRED,
    .run = run,
};
