/*
 * saggar verify: runs a command with the images and an empty store, and proves what was compiled.
 *
 * Nothing is compiled away by what happens to lie in a store here. Orphans of the command become our children
 * (PR_SET_CHILD_SUBREAPER), so that no process gets out of sight.
 */
#include "cli/verify.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/args.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/proc.h"
#include "cli/tiers.h"

static struct cli_list images;
static const char *trail;
static bool json, allow_uncached;

static const struct cli_option options[] = {
    {0, "image", "FILE", CLI_LIST, &images, "search this image first; may be given more than once"},
    {0, "allow-uncached", NULL, CLI_FLAG, &allow_uncached,
     "0 instead of 3: functions that their authors never marked for caching may be compiled; nothing else "
     "changes"},
    {0, "trail", "DIR", CLI_TEXT, &trail, "record the trail in this directory and leave it there"},
    {0, "json", NULL, CLI_FLAG, &json,
     "the result as one object on stdout; the command's output goes to stderr"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "nothing was compiled (with --allow-uncached: nothing that can be cached)"},
    {1, "a function that is marked for caching was compiled, whether it can be cached or not; each is listed "
        "with "
        "the reason"},
    {2, "wrong usage, an unknown value in the environment, a file that cannot be read, or the command could "
        "not be "
        "started"},
    {3, "only functions that their authors never marked for caching were compiled"},
    {4, "no proof: no process reported, a process used the compiler without the adapter, or a trail is "
        "incomplete"},
    {5, "the command itself failed"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

enum { LOOK_MS = 40, LEFT_MS = 5000 };

struct verifying {
    struct cli_kept kept;
    struct samples samples;
    struct cli_events events;
    struct sg_settings settings;
    struct sg_stack stack;
    char *private, *store, *image_list;
    int command; /* its wait status */
    pid_t left;
    bool ran;
    double seconds;
};

/* ---- Running it ---- */

static pid_t start(const struct verifying *v, char **command) {
    const char *set[4];
    set[0] = out_format("SAGGAR_TRAIL=%s", v->kept.work);
    set[1] = out_format("SAGGAR_DIR=%s", v->store);
    set[2] = v->image_list[0] != '\0' ? out_format("SAGGAR_IMAGE=%s", v->image_list) : NULL;
    set[3] = NULL;
    struct cli_spawn spawn = {command, set, -1, json ? STDERR_FILENO : -1, -1, false};
    pid_t pid = cli_spawn(&spawn);
    int error = errno;
    for (int i = 0; i < 3; i++)
        free((char *)(uintptr_t)set[i]);
    errno = error;
    return pid;
}

/* Takes in whatever child has ended; true once it is the command itself. */
static bool reap(pid_t pid, int *status) {
    bool done = false;
    int one;
    pid_t ended;
    while ((ended = waitpid(-1, &one, WNOHANG)) > 0) {
        if (ended == pid) {
            *status = one;
            done = true;
        }
    }
    return done;
}

static void watch(struct verifying *v, pid_t pid, int signals) {
    uint64_t looked = 0, ended = 0;
    for (;;) {
        bool terminal;
        int number = cli_signal_next(signals, ended != 0 ? 5 : LOOK_MS, &terminal);
        uint64_t now = sg_now_ns(CLOCK_MONOTONIC);
        if (number != 0 && number != SIGCHLD && !terminal && ended == 0)
            kill(pid, number);
        if (now - looked >= (LOOK_MS - 5) * UINT64_C(1000000)) {
            samples_look(&v->samples);
            looked = now;
        }
        if (reap(pid, &v->command) && ended == 0)
            ended = now;
        if (ended != 0 && (!samples_left(&v->left) || now - ended > LEFT_MS * UINT64_C(1000000)))
            return;
    }
}

/* ---- Saying it ---- */

static const char *plural(uint64_t n, const char *one, const char *many) {
    return n == 1 ? one : many;
}

static void print_row(const struct verify_row *r) {
    const struct cli_compiled *c = r->first;
    fputs("  ", stderr);
    out_put(stderr, c->group);
    out_put(stderr, c->signature[0] != '\0' ? " " : "");
    out_put(stderr, c->signature);
    if (r->kind != KIND_UNMARKED || c->reason != SAGGAR_REASON_NOT_MARKED) {
        fprintf(stderr, ": %s",
                c->reason == SAGGAR_REASON_NONE ? "no reason was recorded" : saggar_reason_text(c->reason));
        if (c->detail[0] != '\0') {
            fputs(" (", stderr);
            out_put(stderr, c->detail);
            fputc(')', stderr);
        }
    }
    if (r->nested > 0)
        fprintf(stderr, "; %zu nested", r->nested);
    if (r->times > 1)
        fprintf(stderr, "; %zu times in %zu %s", r->times, r->processes,
                plural(r->processes, "process", "processes"));
    fputc('\n', stderr);
}

static void print_rows(const struct verdict *verdict, enum verify_kind kind, const char *heading) {
    size_t n = 0;
    for (size_t i = 0; i < verdict->rows; i++)
        n += verdict->row[i].kind == kind;
    if (n == 0)
        return;
    fprintf(stderr, "%s%s%s (%zu):\n", out_color(stderr, "bold"), heading, out_color(stderr, ""), n);
    for (size_t i = 0; i < verdict->rows; i++) {
        if (verdict->row[i].kind == kind)
            print_row(&verdict->row[i]);
    }
}

/* Its own store serves what another process of the command compiled, and is no image. */
static bool is_private(const struct verifying *v, const char *tier) {
    return strcmp(tier, v->store) == 0;
}

static bool in_stack(const struct verifying *v, const char *tier) {
    for (unsigned i = 0; i < v->stack.n; i++) {
        const struct sg_slot *slot = &v->stack.slots[i];
        if (slot->tier != NULL && strcmp(slot->tier->path, tier) == 0)
            return true;
    }
    return false;
}

static uint64_t hits_of(const struct verifying *v, const char *tier) {
    for (size_t i = 0; i < v->events.tiers; i++) {
        if (strcmp(v->events.served[i].tier, tier) == 0)
            return v->events.served[i].hits;
    }
    return 0;
}

/* A tier that served and that we do not know: an image below the prefix of the command's Python. */
static bool is_other(const struct verifying *v, const struct cli_served *s) {
    return strchr(s->tier, '/') != NULL && !is_private(v, s->tier) && !in_stack(v, s->tier);
}

static void put_counts(uint64_t entries, bool known, uint64_t hits) {
    char *have = out_count(entries, "entry", "entries"), *used = out_count(hits, "hit", "hits");
    fprintf(stderr, ": %s%s%s\n", known ? have : "", known ? ", " : "", used);
    free(have);
    free(used);
}

static void print_images(const struct verifying *v) {
    bool any = false;
    for (unsigned i = 0; i < v->stack.n; i++) {
        const struct sg_slot *slot = &v->stack.slots[i];
        if (slot->tier == NULL || strcmp(slot->kind, "image") != 0)
            continue;
        fputs("image ", stderr);
        out_put(stderr, slot->tier->path);
        if (slot->tier->active) {
            put_counts(slot->tier->entries, true, hits_of(v, slot->tier->path));
        } else {
            fputs(": not active: ", stderr);
            out_put(stderr, slot->tier->note);
            fputc('\n', stderr);
        }
        any = any || slot->tier->active;
    }
    for (size_t i = 0; i < v->events.tiers; i++) {
        if (!is_other(v, &v->events.served[i]))
            continue;
        fputs("image ", stderr);
        out_put(stderr, v->events.served[i].tier);
        put_counts(0, false, v->events.served[i].hits);
        any = true;
    }
    if (!any)
        fputs("no image is active here, and none served anything; give one with --image FILE\n", stderr);
}

static void put_importing(const struct verifying *v) {
    size_t n = 0;
    for (size_t i = 0; i < v->events.processes; i++)
        n += v->events.process[i].importing;
    if (n > 0)
        fprintf(stderr, "%zu %s ended while importing a compiler, before it could compile\n", n,
                plural(n, "process", "processes"));
}

static void print(const struct verifying *v, const struct verdict *d) {
    static const char *const words[] = {
        "nothing was compiled", "compiled", "", "only what was never marked was compiled", "no proof",
        "the command failed"};
    uint64_t cacheable = d->compiled[KIND_CACHEABLE], hits = v->events.counts[SAGGAR_EVENT_HIT];
    char took[OUT_UNIT], *how = cli_exit_text(v->command);
    print_images(v);
    print_rows(d, KIND_CACHEABLE, "compiled although marked for caching");
    print_rows(d, KIND_UNCACHEABLE, "compiled, marked for caching, and cannot be cached");
    print_rows(d, KIND_UNMARKED, "compiled, and never marked for caching by their authors");
    for (size_t i = 0; i < d->doubts; i++) {
        fprintf(stderr, "%sno proof:%s ", out_color(stderr, "yellow"), out_color(stderr, ""));
        out_put(stderr, d->doubt[i]);
        fputc('\n', stderr);
    }
    bool good = d->status == VERIFY_NOTHING;
    fprintf(stderr, "%ssaggar verify: %s%s", out_color(stderr, good ? "green" : "red"),
            good && d->compiled[KIND_UNMARKED] > 0 ? "nothing that can be cached was compiled"
                                                   : words[d->status],
            out_color(stderr, ""));
    if (d->status == VERIFY_FAILED)
        fprintf(stderr, ": it %s", how);
    fprintf(stderr, ": %llu that can be cached, ", (unsigned long long)cacheable);
    if (d->compiled[KIND_UNCACHEABLE] > 0)
        fprintf(stderr, "%llu marked that cannot be, ", (unsigned long long)d->compiled[KIND_UNCACHEABLE]);
    fprintf(stderr, "%llu never marked, %llu %s; %zu %s in %s\n",
            (unsigned long long)d->compiled[KIND_UNMARKED], (unsigned long long)hits,
            plural(hits, "hit", "hits"), v->events.processes,
            plural(v->events.processes, "process", "processes"), out_time(took, v->seconds));
    put_importing(v);
    if (cacheable > 0)
        fputs("`saggar why` says what differs from the entries that there are\n", stderr);
    free(how);
}

/* ---- The same as JSON ---- */

static void json_rows(struct sg_json *j, const struct verdict *d, enum verify_kind kind, const char *name) {
    sg_json_key(j, name);
    sg_json_array(j);
    for (size_t i = 0; i < d->rows; i++) {
        const struct verify_row *r = &d->row[i];
        if (r->kind != kind)
            continue;
        sg_json_object(j);
        sg_json_key(j, "function");
        sg_json_str(j, r->first->group);
        sg_json_key(j, "signature");
        sg_json_str(j, r->first->signature);
        sg_json_key(j, "reason");
        sg_json_str(j, saggar_reason_word(r->first->reason));
        sg_json_key(j, "detail");
        sg_json_str(j, r->first->detail);
        sg_json_key(j, "times");
        sg_json_uint(j, r->times);
        sg_json_key(j, "processes");
        sg_json_uint(j, r->processes);
        sg_json_key(j, "nested");
        sg_json_uint(j, r->nested);
        sg_json_object_end(j);
    }
    sg_json_array_end(j);
}

static void json_image(struct sg_json *j, const char *path, bool active, const char *note, uint64_t hits) {
    sg_json_object(j);
    sg_json_key(j, "path");
    sg_json_str(j, path);
    sg_json_key(j, "active");
    sg_json_bool(j, active);
    sg_json_key(j, "note");
    sg_json_str(j, note);
    sg_json_key(j, "hits");
    sg_json_uint(j, hits);
    sg_json_object_end(j);
}

static void json_images(struct sg_json *j, const struct verifying *v) {
    sg_json_key(j, "images");
    sg_json_array(j);
    for (unsigned i = 0; i < v->stack.n; i++) {
        const struct sg_slot *slot = &v->stack.slots[i];
        if (slot->tier != NULL && strcmp(slot->kind, "image") == 0)
            json_image(j, slot->tier->path, slot->tier->active, slot->tier->note,
                       hits_of(v, slot->tier->path));
    }
    for (size_t i = 0; i < v->events.tiers; i++) {
        if (is_other(v, &v->events.served[i]))
            json_image(j, v->events.served[i].tier, true, "", v->events.served[i].hits);
    }
    sg_json_array_end(j);
}

static void print_json(const struct verifying *v, const struct verdict *d) {
    static const char *const words[] = {"nothing", "compiled", "", "unmarked", "no-proof", "command-failed"};
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "verdict");
    sg_json_str(&j, words[d->status]);
    sg_json_key(&j, "status");
    sg_json_int(&j, d->status);
    sg_json_key(&j, "command_status");
    sg_json_int(&j, cli_exit_code(v->command));
    sg_json_key(&j, "seconds");
    sg_json_real(&j, v->seconds);
    sg_json_key(&j, "compiled");
    sg_json_object(&j);
    sg_json_key(&j, "cacheable");
    sg_json_uint(&j, d->compiled[KIND_CACHEABLE]);
    sg_json_key(&j, "uncacheable");
    sg_json_uint(&j, d->compiled[KIND_UNCACHEABLE]);
    sg_json_key(&j, "unmarked");
    sg_json_uint(&j, d->compiled[KIND_UNMARKED]);
    sg_json_object_end(&j);
    sg_json_key(&j, "hits");
    sg_json_uint(&j, v->events.counts[SAGGAR_EVENT_HIT]);
    json_images(&j, v);
    json_rows(&j, d, KIND_CACHEABLE, "cacheable");
    json_rows(&j, d, KIND_UNCACHEABLE, "uncacheable");
    json_rows(&j, d, KIND_UNMARKED, "unmarked");
    sg_json_key(&j, "no_proof");
    sg_json_array(&j);
    for (size_t i = 0; i < d->doubts; i++)
        sg_json_str(&j, d->doubt[i]);
    sg_json_array_end(&j);
    sg_json_key(&j, "processes");
    sg_json_array(&j);
    for (size_t i = 0; i < v->events.processes; i++) {
        const struct cli_process *p = &v->events.process[i];
        sg_json_object(&j);
        sg_json_key(&j, "pid");
        sg_json_uint(&j, p->pid);
        sg_json_key(&j, "command");
        sg_json_str(&j, p->name);
        sg_json_key(&j, "active");
        sg_json_bool(&j, p->active);
        sg_json_key(&j, "importing");
        sg_json_bool(&j, p->importing);
        sg_json_object_end(&j);
    }
    sg_json_array_end(&j);
    sg_json_object_end(&j);
    out_json_end(&j);
}

/* ---- Setting up ---- */

static int run_and_judge(struct verifying *v, char **command) {
    struct verdict verdict;
    int signals = cli_signals();
    if (signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return cli_fail("the command cannot be watched: %s", strerror(errno));
    if (v->settings.mode == SG_MODE_OFF)
        cli_note("SAGGAR_MODE=off: adapters are off, so there can be no proof");
    uint64_t begin = sg_now_ns(CLOCK_MONOTONIC);
    pid_t pid = start(v, command);
    if (pid < 0) {
        cli_not_started(command[0], errno);
        return SG_EXIT_USAGE;
    }
    v->ran = true;
    watch(v, pid, signals);
    v->seconds = (double)(sg_now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
    v->events.skip = v->kept.before;
    v->events.n_skip = v->kept.n_before;
    cli_events_load(v->kept.work, &v->events);
    char *trouble = cli_kept_trouble(&v->kept);
    struct verify_facts facts = {.events = &v->events,
                                 .samples = &v->samples,
                                 .allow_uncached = allow_uncached,
                                 .status = v->command,
                                 .trouble = trouble,
                                 .left = v->left};
    verify_judge(&facts, &verdict);
    free(trouble);
    if (json)
        print_json(v, &verdict);
    else
        print(v, &verdict);
    int status = verdict.status;
    verify_free(&verdict);
    return status;
}

static int set_up(struct verifying *v, const char *what) {
    int status = cli_stack("", v->image_list, &v->settings, &v->stack);
    if (status != 0)
        return status;
    v->private = cli_temp_dir();
    if (v->private == NULL)
        return cli_fail("no private directory can be made: %s; set TMPDIR to one that is writable",
                        strerror(errno));
    v->store = out_format("%s/store", v->private);
    return cli_kept_begin(NULL, "verify", trail, what, &v->kept);
}

static int run(const struct cli_args *args) {
    struct verifying v = {0};
    char *what = cli_command_text(args->command);
    int status = cli_image_list(&images, &v.image_list);
    if (status == 0) {
        status = set_up(&v, what);
        if (status == 0)
            status = run_and_judge(&v, args->command);
        cli_kept_end(&v.kept, v.ran);
        sg_stack_close(&v.stack);
        sg_settings_free(&v.settings);
    }
    if (v.private != NULL)
        cli_remove_tree(v.private);
    cli_events_free(&v.events);
    samples_free(&v.samples);
    free(v.private);
    free(v.store);
    free(v.image_list);
    free(what);
    return out_finish(status);
}

const struct cli_command cli_verify = {
    .name = "verify",
    .usage = "[OPTIONS] -- COMMAND [ARGUMENT]...",
    .summary = "prove that a command compiles nothing",
    .about =
        "Runs the command with the images and an empty private store, and counts what was compiled in every "
        "process that it started: the compilations themselves, never files or hits. Prints each function "
        "that was "
        "compiled and why. Meant for CI: a non-zero status says that what is shipped is not enough.\n\n"
        "There is no proof if a process used the compiler without its adapter: such processes are looked for "
        "while the command runs. A process that ended while it still imported the compiler has compiled "
        "nothing and "
        "is no doubt.\n\n"
        "Functions that are marked for caching and cannot be cached (a pointer in a global, a lifted loop) "
        "have a "
        "heading of their own and count for status 1, not 3: --allow-uncached does not cover them.",
    .example = "saggar verify --image model.saggar -- python3 model.py",
    .options = options,
    .exits = exits,
    .tail = CLI_TAIL_REQUIRED,
    .run = run,
};
