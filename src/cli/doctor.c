/* saggar doctor: what is active here, and what is wrong. Changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/args.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/proc.h"
#include "cli/tiers.h"
#include "isa/host.h"
#include "saggar/saggar.h"
#include "store/store.h"

static const char *python;
static bool json, no_python;

static const struct cli_option options[] = {
    {0, "python", "PATH", CLI_TEXT, &python,
     "ask this Python (default: the one beside the saggar executable, else python3)"},
    {0, "no-python", NULL, CLI_FLAG, &no_python, "do not ask any Python"},
    {0, "json", NULL, CLI_FLAG, &json, "a list of objects: section, name, text, ok"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "nothing is wrong"},
    {1, "something is wrong; it is marked with `!`"},
    {2, "wrong usage"},
    CLI_EXITS_END,
};

enum { ANSWER_MAX = 1 << 20, ANSWER_SECONDS = 120 };

struct doctor {
    struct sg_json json;
    const char *section; /* the one that was printed last */
    size_t wrong;
    char *answer; /* of the Python */
    char *prefix; /* of the Python, NULL if not known */
};

static void say(struct doctor *d, const char *section, bool ok, const char *name, const char *text) {
    d->wrong += !ok;
    if (json) {
        sg_json_object(&d->json);
        sg_json_key(&d->json, "section");
        sg_json_str(&d->json, section);
        sg_json_key(&d->json, "name");
        sg_json_str(&d->json, name);
        sg_json_key(&d->json, "text");
        sg_json_str(&d->json, text);
        sg_json_key(&d->json, "ok");
        sg_json_bool(&d->json, ok);
        sg_json_object_end(&d->json);
        return;
    }
    if (d->section == NULL || strcmp(d->section, section) != 0)
        printf("%s%s%s%s\n", d->section != NULL ? "\n" : "", out_color(stdout, "bold"), section,
               out_color(stdout, ""));
    d->section = section;
    printf("%s%c%s ", out_color(stdout, "red"), ok ? ' ' : '!', out_color(stdout, ""));
    out_put(stdout, name);
    printf("%*s  ", strlen(name) < 18 ? (int)(18 - strlen(name)) : 0, "");
    out_put(stdout, text);
    putchar('\n');
}

static void say_new(struct doctor *d, const char *section, bool ok, const char *name, char *text) {
    say(d, section, ok, name, text);
    free(text);
}

/* ---- Environment ---- */

static bool size_ok(const char *value) {
    uint64_t size;
    return sg_size_parse(value, &size) == SAGGAR_OK;
}

static bool mode_ok(const char *value) {
    return strcmp(value, "use") == 0 || strcmp(value, "require") == 0 || strcmp(value, "off") == 0;
}

static bool search_ok(const char *value) {
    return strcmp(value, "none") == 0;
}

static bool wait_ok(const char *value) {
    return value[strspn(value, "0123456789.")] == '\0' && value[0] != '.';
}

static bool target_ok(const char *value) {
    saggar_features f;
    (void)value;
    return saggar_host_features(&f) == SAGGAR_OK;
}

static bool any_ok(const char *value) {
    (void)value;
    return true;
}

static const struct variable {
    const char *name;
    bool (*ok)(const char *value);
    const char *wrong;
} variables[] = {
    {"SAGGAR_MODE", mode_ok, "not one of off, use, require"},
    {"SAGGAR_DIR", any_ok, ""},
    {"SAGGAR_SIZE", size_ok, "not a size, as 5G"},
    {"SAGGAR_IMAGE", any_ok, ""},
    {"SAGGAR_IMAGE_PATH", search_ok, "the one known value is none"},
    {"SAGGAR_TARGET", target_ok, "not a known target"},
    {"SAGGAR_TRUST", any_ok, ""},
    {"SAGGAR_TRAIL", any_ok, ""},
    {"SAGGAR_WAIT", wait_ok, "not a number of seconds"},
};
enum { VARIABLES = sizeof variables / sizeof variables[0] };

static void environment(struct doctor *d) {
    extern char **environ;
    size_t n = 0;
    for (char **p = environ; *p != NULL; p++) {
        if (strncmp(*p, "SAGGAR_", 7) != 0)
            continue;
        size_t i = 0, length = strcspn(*p, "=");
        char *name = out_format("%.*s", (int)length, *p);
        const char *value = (*p)[length] == '=' ? *p + length + 1 : "";
        while (i < VARIABLES && strcmp(variables[i].name, name) != 0)
            i++;
        bool ok = i < VARIABLES && (value[0] == '\0' || variables[i].ok(value));
        const char *wrong = i == VARIABLES ? "there is no such variable" : variables[i].wrong;
        say_new(d, "environment", ok, name, ok ? out_strdup(value) : out_format("%s: %s", value, wrong));
        free(name);
        n++;
    }
    if (n == 0)
        say(d, "environment", true, "SAGGAR_*", "none is set");
}

static void program(struct doctor *d) {
    char path[PATH_MAX];
    const char *mode = getenv("SAGGAR_MODE");
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    say(d, "saggar", true, "version", saggar_version());
    say(d, "saggar", true, "executable", path);
    bool off = mode != NULL && strcmp(mode, "off") == 0;
    say(d, "saggar", !off, "mode",
        off                               ? "off: nothing is cached"
        : mode != NULL && mode[0] != '\0' ? mode
                                          : "use");
    char *state = cli_state_dir(), *last = cli_kept_last();
    say(d, "saggar", true, "state",
        state != NULL ? state : "none: HOME is not set, or belongs to another user");
    say(d, "saggar", true, "last trail", last != NULL ? last : "none");
    free(state);
    free(last);
}

static void host(struct doctor *d) {
    saggar_features active;
    unsigned more;
    uint8_t arch = (uint8_t)saggar_host_arch();
    bool good = saggar_host_features(&active) == SAGGAR_OK;
    const char *level = cli_level(arch, &active, &more), *note = sg_host_note();
    char *names = NULL;
    say(d, "processor", true, "architecture", cli_arch_name(arch));
    say_new(d, "processor", true, "level", out_format("%s and %u features more", level, more));
    if (saggar_features_names((saggar_arch)arch, &active, &names) == SAGGAR_OK)
        say(d, "processor", true, "features", names);
    if (note[0] != '\0')
        say(d, "processor", good, "ceiling", note);
    free(names);
}

/* ---- Tiers ---- */

static void tiers(struct doctor *d) {
    struct sg_settings settings;
    struct sg_stack stack;
    saggar_cache_options o;
    const char *what = NULL;
    saggar_cache_options_init(&o);
    if (sg_settings_init(&o, &settings, &what) != SAGGAR_OK) {
        say_new(d, "tiers", false, "none",
                out_format("%s has an unknown value", what != NULL ? what : "something"));
        return;
    }
    if (sg_stack_open(&settings, d->prefix, false, &stack) == SAGGAR_OK) {
        for (unsigned i = 0; i < stack.n; i++) {
            const struct sg_slot *s = &stack.slots[i];
            const char *path = s->tier != NULL ? s->tier->path : s->path;
            const char *note = s->tier != NULL ? s->tier->note : s->note;
            bool active = s->tier != NULL && s->tier->active;
            char *count = strcmp(s->kind, "image") == 0 && active
                              ? out_format(": %llu entries", (unsigned long long)s->tier->entries)
                              : out_strdup("");
            bool made = access(path, F_OK) == 0;
            say_new(d, "tiers", active, s->kind,
                    out_format("%s%s%s%s%s", path, count,
                               active ? (made ? "" : ": made when something is stored") : ": off",
                               note != NULL && note[0] != '\0' ? ": " : "", note != NULL ? note : ""));
            free(count);
        }
        if (stack.n == 0)
            say(d, "tiers", false, "none", "no image and no store");
        sg_stack_close(&stack);
    }
    sg_settings_free(&settings);
}

/* ---- Python ---- */

/* What the interpreter prints, with a final zero; false if it could not be started. */
static bool ask(struct doctor *d, const char *path, int *status) {
    static const char code[] = "import sys\n"
                               "sys.path = [p for p in sys.path if p]\n"
                               "print('prefix\\t' + sys.prefix, flush=True)\n"
                               "import runpy\n"
                               "runpy.run_module('saggar.doctor', run_name='__main__')\n";
    const char *argv[] = {path, "-c", code, NULL};
    int ends[2];
    size_t n = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct cli_spawn spawn = {(char *const *)(uintptr_t)argv, NULL, null, ends[1], ends[1], true};
    pid_t pid = cli_spawn(&spawn);
    int error = errno;
    close(ends[1]);
    if (null >= 0)
        close(null);
    d->answer = out_alloc(ANSWER_MAX + 1);
    uint64_t end = sg_now_ns(CLOCK_MONOTONIC) + ANSWER_SECONDS * UINT64_C(1000000000);
    while (pid > 0 && n < ANSWER_MAX) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        if (poll(&p, 1, 1000) == 0 && sg_now_ns(CLOCK_MONOTONIC) < end)
            continue;
        ssize_t r = p.revents != 0 ? read(ends[0], d->answer + n, ANSWER_MAX - n) : 0;
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    close(ends[0]);
    if (pid > 0) {
        if (sg_now_ns(CLOCK_MONOTONIC) >= end)
            kill(-pid, SIGKILL);
        while (waitpid(pid, status, 0) < 0 && errno == EINTR)
            continue;
    }
    errno = error;
    return pid > 0;
}

static char *beside(void) {
    static const char *const names[] = {"python3", "python"};
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    for (size_t i = 0; slash != NULL && i < 2; i++) {
        char *path = out_format("%.*s/%s", (int)(slash - exe), exe, names[i]);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return out_strdup("python3");
}

/* The last line that says something: where a traceback ends. */
static const char *last_line(char *text) {
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
    const char *line = strrchr(text, '\n');
    return line != NULL ? line + 1 : text;
}

static void put_answers(struct doctor *d, const char *path, int status) {
    char *copy = out_strdup(d->answer);
    size_t answers = 0;
    for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *tab = strchr(line, '\t');
        if (tab == NULL)
            continue;
        *tab = '\0';
        if (strcmp(line, "prefix") == 0 && d->prefix == NULL) {
            d->prefix = out_strdup(tab + 1);
            continue;
        }
        answers++;
        say(d, "python", line[0] != '!', line + (line[0] == '!'), tab + 1);
    }
    free(copy);
    if (answers > 0 && status == 0)
        return;
    if (strstr(d->answer, "No module named 'saggar'") != NULL)
        say_new(d, "python", false, "package",
                out_format("not installed there; `%s -m pip install saggar`", path));
    else if (strstr(d->answer, "No module named saggar.doctor") != NULL ||
             strstr(d->answer, "No module named 'saggar.doctor'") != NULL)
        say(d, "python", false, "package", "the package there is older than this command");
    else
        say(d, "python", false, "package", last_line(d->answer));
}

static void ask_python(struct doctor *d) {
    char *path = python != NULL ? out_strdup(python) : beside();
    int status = 0;
    bool started = ask(d, path, &status);
    int error = errno;
    say_new(d, "python", started, "interpreter",
            started ? out_strdup(path) : out_format("%s: %s", path, strerror(error)));
    if (started)
        put_answers(d, path, status);
    free(path);
}

static int run(const struct cli_args *args) {
    struct doctor d = {0};
    (void)args;
    if (json) {
        sg_json_file(&d.json, stdout, 2);
        sg_json_array(&d.json);
    }
    program(&d);
    environment(&d);
    host(&d);
    if (!no_python)
        ask_python(&d);
    tiers(&d);
    if (json) {
        sg_json_array_end(&d.json);
        out_json_end(&d.json);
    } else {
        char *wrong = out_count(d.wrong, "thing is", "things are");
        if (d.wrong > 0)
            printf("\n%s wrong, marked with `!`\n", wrong);
        else
            puts("\nnothing is wrong");
        free(wrong);
    }
    free(d.answer);
    free(d.prefix);
    return out_finish(d.wrong > 0 ? SG_EXIT_FOUND : 0);
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .usage = "[OPTIONS]",
    .summary = "say what is active here, and what is wrong",
    .about =
        "Prints the version, the mode, the environment with unknown values marked, the processor, the tiers "
        "with "
        "the reason where one is off, and what a Python says: whether the package and its import hook are "
        "installed and in place, and which adapters are active.",
    .example = "saggar doctor --python /opt/venv/bin/python",
    .options = options,
    .exits = exits,
    .run = run,
};
