/*
 * saggar doctor: what is active here, and why not.
 *
 * The Python side answers by itself: `python -m saggar.doctor` prints lines "name<TAB>value". It runs for a bounded time.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/proc.h"
#include "cli/tiers.h"
#include "isa/features.h"
#include "isa/host.h"

extern char **environ;

enum { PROBE_MS = 60000, ANSWER_MAX = 65536 };

static const char *python, *store;
static struct cli_list images;
static bool json;

static const struct cli_option options[] = {
    {0, "python", "PYTHON", CLI_TEXT, &python, "the Python to ask (the one beside this command, else python3)"},
    {0, "image", "FILE", CLI_LIST, &images, "an image to look at, besides those in use"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store (SAGGAR_DIR, or its default)"},
    {0, "json", NULL, CLI_FLAG, &json, "print JSON"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "nothing is wrong"},
    {1, "something keeps Saggar from working here; it was printed"},
    {2, "the command line or a variable is wrong"},
    CLI_EXITS_END,
};

/* Variables that Saggar knows. */
static const char *const variables[] = {"SAGGAR_MODE",   "SAGGAR_DIR",   "SAGGAR_IMAGE", "SAGGAR_IMAGE_PATH", "SAGGAR_TARGET",
                                        "SAGGAR_TRUST",  "SAGGAR_WAIT",  "SAGGAR_SIZE",  "SAGGAR_TRAIL",      "SAGGAR_NUMBA",
                                        "SAGGAR_BIN"};

struct finding {
    const char *section, *name;
    char *value;
    bool bad;
};

struct report {
    struct finding *item;
    size_t n, bad;
};

static void add(struct report *r, const char *section, const char *name, bool bad, char *value) {
    r->item = out_grow(r->item, &r->n, sizeof *r->item);
    r->item[r->n - 1] = (struct finding){section, name, value, bad};
    r->bad += bad;
}

static bool is_variable(const char *text, size_t n) {
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        if (strlen(variables[i]) == n && memcmp(variables[i], text, n) == 0)
            return true;
    }
    return false;
}

static void look_at_environment(struct report *r) {
    for (char **entry = environ; *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "SAGGAR_", 7) != 0 || equals == NULL)
            continue;
        size_t n = (size_t)(equals - *entry);
        bool known = is_variable(*entry, n);
        char *name = out_format("%.*s", (int)n, *entry);
        add(r, "environment", name, !known, out_format("%s%s", equals + 1, known ? "" : "  (no such variable is known)"));
    }
}

static void look_at_host(struct report *r) {
    saggar_features host;
    char names[1024];
    int status = saggar_host_features(&host);
    const char *level = sg_features_level(saggar_host_arch(), &host), *note = sg_host_note();
    add(r, "processor", "level", false, out_format("%s", level != NULL ? level : "below the lowest"));
    add(r, "processor", "features", false, out_strdup(sg_features_print(saggar_host_arch(), &host, names, sizeof names)));
    if (note[0] != '\0')
        add(r, "processor", "SAGGAR_TARGET", status != SAGGAR_OK, out_strdup(note));
}

/* 0, or an exit status after a message. */
static int look_at_tiers(struct report *r) {
    struct sg_settings settings;
    struct sg_stack stack;
    int status = cli_stack(store, &images, &settings, &stack);
    if (status != 0)
        return status;
    add(r, "cache", "mode", settings.mode == SG_MODE_OFF,
        out_strdup(settings.mode == SG_MODE_OFF       ? "off: SAGGAR_MODE=off"
                   : settings.mode == SG_MODE_REQUIRE ? "require"
                                                      : "use"));
    if (!settings.search)
        add(r, "cache", "search", false, out_strdup("SAGGAR_IMAGE_PATH=none: images in share/saggar are not looked for"));
    for (unsigned i = 0; i < stack.n; i++) {
        const struct sg_slot *slot = &stack.slots[i];
        const struct sg_tier *t = slot->tier;
        const char *path = t != NULL ? t->path : slot->path, *note = t != NULL ? t->note : slot->note;
        bool active = t != NULL && t->active;
        const char *kind = t != NULL ? t->ops->kind : slot->kind;
        const char *word = active ? "active" : t != NULL && !t->trusted ? "off, not trusted" : "off";
        char *entries = active && strcmp(kind, "image") == 0 ? out_format(", %llu entries", (unsigned long long)t->entries)
                                                              : out_strdup("");
        add(r, "cache", kind, !active,
            out_format("%s: %s%s%s%s", path != NULL ? path : "none", word, entries, note != NULL && note[0] != '\0' ? ": " : "",
                       note != NULL ? note : ""));
        free(entries);
    }
    if (settings.store == NULL)
        add(r, "cache", "store", true, out_format("none%s%s", settings.store_note != NULL ? ": " : "",
                                                  settings.store_note != NULL ? settings.store_note : ""));
    sg_stack_close(&stack);
    sg_settings_free(&settings);
    return 0;
}

/* The Python to ask: --python, the one beside this executable, or python3. malloc'd. */
static char *which_python(void) {
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (python != NULL)
        return out_strdup(python);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL) {
            *slash = '\0';
            char *beside = out_format("%s/python3", self);
            if (access(beside, X_OK) == 0)
                return beside;
            free(beside);
        }
    }
    return out_strdup("python3");
}

/* Reads until the end or the deadline; false if the time was up. */
static bool read_answer(int fd, char *answer, size_t size, size_t *used) {
    uint64_t end = sg_now_ns(CLOCK_MONOTONIC) + (uint64_t)PROBE_MS * 1000000;
    *used = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = sg_now_ns(CLOCK_MONOTONIC);
        if (now >= end)
            return false;
        int ready = poll(&p, 1, (int)((end - now) / 1000000) + 1);
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready <= 0)
            continue;
        ssize_t n = read(fd, answer + *used, size - 1 - *used);
        if (n <= 0)
            return n == 0;
        *used += (size_t)n;
        if (*used == size - 1)
            return true;
    }
}

static void add_answer(struct report *r, char *line) {
    char *tab = strchr(line, '\t');
    if (tab == NULL)
        return;
    *tab = '\0';
    bool bad = line[0] == '!';
    add(r, "python", out_strdup(line + bad), bad, out_strdup(tab + 1));
}

static void ask_python(struct report *r) {
    char *name = which_python(), *answer = out_alloc(ANSWER_MAX), *save = NULL;
    char *argv[] = {name, "-m", "saggar.doctor", NULL};
    static const char *const set[] = {"PYTHONIOENCODING=utf-8:surrogateescape", NULL};
    int ends[2];
    size_t used = 0;
    add(r, "python", "interpreter", false, out_strdup(name));
    if (pipe(ends) != 0) {
        add(r, "python", "answer", true, out_format("could not be asked: %s", strerror(errno)));
        free(answer);
        return;
    }
    struct cli_spawn spawn = {.argv = argv, .set = set, .in = -1, .out = ends[1], .err = ends[1]};
    pid_t pid = cli_spawn(&spawn);
    int error = errno, status = 0;
    close(ends[1]);
    if (pid < 0) {
        add(r, "python", "answer", true, out_format("could not be started: %s", strerror(error)));
    } else {
        if (!read_answer(ends[0], answer, ANSWER_MAX, &used)) {
            kill(pid, SIGKILL);
            add(r, "python", "answer", true, out_strdup("took too long"));
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        answer[used] = '\0';
        if (cli_exit_code(status) != 0)
            add(r, "python", "package", true,
                out_strdup(strstr(answer, "No module named") != NULL ? "saggar is not installed there; `pip install saggar`"
                                                                     : "`python -m saggar.doctor` failed"));
        else
            for (char *line = strtok_r(answer, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
                add_answer(r, line);
    }
    close(ends[0]);
    free(answer);
}

static int print_json(const struct report *r) {
    struct sg_json out;
    sg_json_file(&out, stdout, 2);
    sg_json_object(&out);
    sg_json_key(&out, "version");
    sg_json_str(&out, saggar_version());
    sg_json_key(&out, "good");
    sg_json_bool(&out, r->bad == 0);
    sg_json_key(&out, "findings");
    sg_json_array(&out);
    for (size_t i = 0; i < r->n; i++) {
        sg_json_object(&out);
        sg_json_key(&out, "section");
        sg_json_str(&out, r->item[i].section);
        sg_json_key(&out, "name");
        sg_json_str(&out, r->item[i].name);
        sg_json_key(&out, "value");
        sg_json_str(&out, r->item[i].value);
        sg_json_key(&out, "bad");
        sg_json_bool(&out, r->item[i].bad);
        sg_json_object_end(&out);
    }
    sg_json_array_end(&out);
    sg_json_object_end(&out);
    return out_json_end(&out);
}

static void print_text(const struct report *r) {
    const char *section = "";
    printf("saggar %s\n", saggar_version());
    for (size_t i = 0; i < r->n; i++) {
        const struct finding *f = &r->item[i];
        if (strcmp(section, f->section) != 0)
            printf("\n%s%s%s\n", out_color(stdout, "bold"), f->section, out_color(stdout, ""));
        section = f->section;
        printf("  %s%-14s ", f->bad ? out_color(stdout, "red") : "", f->name);
        out_put(stdout, f->value);
        puts(f->bad ? out_color(stdout, "") : "");
    }
}

static int run(const struct cli_args *args) {
    struct report r = {0};
    (void)args;
    int status = look_at_tiers(&r);
    if (status != 0)
        return status;
    look_at_environment(&r);
    look_at_host(&r);
    ask_python(&r);
    status = r.bad > 0 ? SG_EXIT_FOUND : SG_EXIT_OK;
    if (json)
        status = print_json(&r) != 0 ? SG_EXIT_FOUND : status;
    else
        print_text(&r);
    return out_finish(status);
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .usage = "[--python PYTHON] [--json]",
    .summary = "tell what is active here, and why not",
    .about = "Looks at the variables, the tiers and who may write to them, the processor, and asks a Python whether Saggar is "
             "installed there, whether its import hook is in place and which adapters are active.",
    .example = "saggar doctor\nsaggar doctor --python /opt/app/bin/python",
    .options = options,
    .exits = exits,
    .run = run,
};
