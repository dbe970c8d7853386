/*
 * saggar julia run: restores the cache files of a project, runs a command, and keeps what Julia compiled
 * meanwhile. The command's output and status stay its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/julia_share.h"
#include "cli/proc.h"
#include "cli/tiers.h"

static struct julia_options shared;
static struct cli_list images;
static const char *store, *chosen;
static int64_t wait_s = 600;
static bool relocate, quiet;

static const struct cli_option options[] = {
    {0, "project", "PROJECT", CLI_TEXT, &chosen,
     "the project (default: the --project= of the command, else JULIA_PROJECT)"},
    {0, "image", "FILE", CLI_LIST, &images, "search this image first; may be given more than once"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "wait", "TIME", CLI_AGE, &wait_s,
     "wait no longer than this for other processes that compile the same packages (default: 10m)"},
    {0, "relocate", NULL, CLI_FLAG, &relocate, "as for restore"},
    JULIA_OPTIONS(shared),
    {'q', "quiet", NULL, CLI_FLAG, &quiet, "no summary"},
    {0, "json", NULL, CLI_FLAG, &shared.json, "the summary as one line of JSON, the last line on stderr"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "and any other: the command's own status"},
    {2, "wrong usage, or a project, store or file that cannot be used"},
    {126, "the command could not be started"},
    {127, "the command was not found"},
    {128, "and more: the command was killed by signal (status - 128)"},
    CLI_EXITS_END,
};

enum { LOOK_MS = 200 };

/* Waits for the child, and keeps what appears meanwhile: others may wait for it. */
static int wait_for(struct share *s, pid_t pid, int signals) {
    int status;
    for (;;) {
        bool terminal;
        int number = cli_signal_next(signals, LOOK_MS, &terminal);
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return status;
        if (done < 0 && errno != EINTR)
            return 0;
        if (number != 0 && number != SIGCHLD && !terminal)
            kill(pid, number);
        if (s != NULL)
            share_look(s);
    }
}

static int run_command(struct share *s, char **command) {
    /* Julia removes all but so many files of a package, also those of other projects. */
    const char *set[3] = {NULL};
    size_t n = 0;
    if (getenv("JULIA_MAX_NUM_PRECOMPILE_FILES") == NULL)
        set[n++] = "JULIA_MAX_NUM_PRECOMPILE_FILES=100000";
    if (s != NULL && s->depots != NULL)
        set[n++] = s->depots;
    const struct cli_spawn spawn = {command, set, -1, -1, -1, false};
    int signals = cli_signals();
    pid_t pid = signals < 0 ? -1 : cli_spawn(&spawn);
    if (pid < 0)
        return cli_not_started(command[0], errno);
    return cli_exit_code(wait_for(s, pid, signals));
}

static void print_json(const struct share *s, int status) {
    const struct {
        const char *name;
        size_t value;
    } rows[] = {{"restored", s->n_restored},
                {"used", s->used},
                {"compiled", s->compiled},
                {"stored", s->stored},
                {"not_stored", s->not_stored}};
    struct sg_json j;
    sg_json_file(&j, stderr, 0);
    sg_json_object(&j);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sg_json_key(&j, rows[i].name);
        sg_json_uint(&j, rows[i].value);
    }
    sg_json_key(&j, "status");
    sg_json_int(&j, status);
    sg_json_object_end(&j);
    out_json_end(&j);
}

static void print_text(const struct share *s) {
    char *files = out_count(s->n_restored, "cache file", "cache files");
    fprintf(stderr, "%ssaggar:%s %s restored, %zu used, %zu compiled, %zu stored", out_color(stderr, "bold"),
            out_color(stderr, ""), files, s->used, s->compiled, s->stored);
    if (s->not_stored > 0)
        fprintf(stderr, ", %zu not stored", s->not_stored);
    fputc('\n', stderr);
    free(files);
}

static int share_and_run(const char *project, char **command, saggar_cache *cache) {
    struct share s = {.options = &shared,
                      .project = project,
                      .relocate = relocate,
                      .wait_ms = wait_s * 1000,
                      .cache = cache};
    int status = julia_make_depot(&shared);
    if (status == 0)
        status = share_begin(&s);
    if (status == 0) {
        status = run_command(&s, command);
        share_end(&s, command);
        if (shared.json)
            print_json(&s, status);
        else if (!quiet)
            print_text(&s);
    }
    share_free(&s);
    return status;
}

/* The project that the command names, or the environment. */
static const char *find_project(const struct cli_args *args) {
    if (chosen != NULL)
        return chosen;
    for (size_t i = 1; args->command[i] != NULL; i++) {
        if (strncmp(args->command[i], "--project=", 10) == 0)
            return args->command[i] + 10;
    }
    return getenv("JULIA_PROJECT");
}

static int run(const struct cli_args *args) {
    const char *project = find_project(args), *wrong;
    saggar_cache_options o;
    saggar_cache *cache;
    char *list = NULL;
    if (project == NULL || project[0] == '\0' || project[0] == '@')
        return cli_fail("which project? name it with --project");
    int status = cli_image_list(&images, &list);
    if (status == 0)
        status = cli_tiers_usable(store, list);
    if (status != 0) {
        free(list);
        return status;
    }
    saggar_cache_options_init(&o);
    o.store = store;
    o.images = list[0] != '\0' ? list : NULL;
    int err = saggar_cache_open(&o, &cache);
    wrong = err == SAGGAR_EINVAL ? saggar_cache_options_wrong(&o) : NULL;
    if (err != SAGGAR_OK) {
        status =
            cli_fail("%s%s%s", wrong != NULL ? wrong : "", wrong != NULL ? ": " : "", saggar_strerror(err));
    } else if (cache->mode == SG_MODE_OFF) {
        status = run_command(NULL, args->command);
    } else {
        status = share_and_run(project, args->command, cache);
    }
    if (err == SAGGAR_OK)
        saggar_cache_close(cache);
    saggar_trail_close();
    free(list);
    return status;
}

const struct cli_command cli_julia_run = {
    .name = "julia run",
    .usage = "[OPTIONS] -- COMMAND [ARGUMENT]...",
    .summary = "restore, run a command, and keep what Julia compiled",
    .about = "Restores the cache files of the project into its first depot, as restore does; waits, within "
             "bounds, for "
             "other processes with the same store that compile what is missing, and takes theirs; runs the "
             "command; "
             "and publishes what Julia compiled meanwhile in the store, each file as soon as it is there. "
             "Prints one "
             "line on stderr. Signals and the exit status are passed on. Where JULIA_DEPOT_PATH is not set, "
             "the command gets the depots that were named.\n\n"
             "Under `saggar verify` each new cache file counts as compiled, and there is no proof if a "
             "package of the "
             "project has no file that Julia would load, if Julia was told not to use any, or if "
             "JULIA_DEPOT_PATH begins with another depot.",
    .example = "saggar julia run --julia-info julia.json -- julia --project=app main.jl",
    .options = options,
    .exits = exits,
    .tail = CLI_TAIL_REQUIRED,
    .run = run,
};
