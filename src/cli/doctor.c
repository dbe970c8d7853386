/* saggar doctor: what is active here, and what is wrong. Changes nothing. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/args.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/place.h"
#include "cli/python.h"
#include "cli/tiers.h"
#include "isa/host.h"
#include "saggar/saggar.h"
#include "store/store.h"
#include "trust/trust.h"

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
    {0, "nothing is wrong"}, {1, "something is wrong; it is marked with `!`"},
    {2, "wrong usage"},      CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

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

/* As programs read it: seconds, up to three decimals. */
static bool wait_ok(const char *value) {
    size_t whole = strspn(value, "0123456789"), decimals = 0;
    if (whole == 0 || strtod(value, NULL) > 1e6)
        return false;
    if (value[whole] == '.')
        decimals = 1 + strspn(value + whole + 1, "0123456789");
    return decimals <= 4 && value[whole + decimals] == '\0';
}

static bool target_ok(const char *value) {
    char why[200];
    (void)value;
    return !cli_target_wrong(why, sizeof why);
}

static bool absolute_ok(const char *value) {
    for (const char *p = value; p != NULL; p = strchr(p, ':')) {
        p += *p == ':';
        if (*p != '/' && *p != ':' && *p != '\0')
            return false;
    }
    return true;
}

/* `run`, `warm` and `verify` set it to a place below the state directory, or where their --trail says. */
static bool trail_ok(const char *value) {
    char *state = cli_state_dir();
    size_t n = state != NULL ? strlen(state) : 0;
    bool ours = n > 0 && strncmp(value, state, n) == 0 && strncmp(value + n, "/trails/", 8) == 0;
    free(state);
    return ours;
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
    {"SAGGAR_MODE", mode_ok, "not one of off, use, require; programs switch the cache off"},
    {"SAGGAR_DIR", absolute_ok, "not an absolute path: every working directory has a store of its own"},
    {"SAGGAR_SIZE", size_ok, "not a size, as 5G; programs take 5G"},
    {"SAGGAR_IMAGE", any_ok, ""},
    {"SAGGAR_IMAGE_PATH", search_ok, "the one known value is none; programs switch the cache off"},
    {"SAGGAR_TARGET", target_ok, "not a known target; programs switch the cache off"},
    {"SAGGAR_TREES", absolute_ok, "not an absolute path: programs do not use it"},
    {"SAGGAR_TRUST", any_ok, ""},
    {"SAGGAR_TRAIL", trail_ok,
     "set by hand: trails pile up there, and `saggar why` does not see them; run, warm and verify set it "
     "themselves"},
    {"SAGGAR_NUMBA", any_ok, ""},
    {"SAGGAR_WAIT", wait_ok, "not a number of seconds; programs switch the cache off"},
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

static void state(struct doctor *d) {
    struct place place;
    char *dir = cli_state_dir();
    if (dir == NULL) {
        say(d, "saggar", true, "state",
            "none: HOME is not set, or belongs to another user; no trail is kept");
        return;
    }
    place_look(dir, &place);
    bool good = place.state == PLACE_GOOD;
    say_new(d, "saggar", good, "state",
            out_format("%s%s%s%s", dir, good ? "" : ": ", place_words(&place),
                       good ? "" : ": no trail is kept and no miss is recorded"));
    place_free(&place);
    free(dir);
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
    char *last = cli_kept_last();
    state(d);
    say(d, "saggar", true, "last trail", last != NULL ? last : "none");
    free(last);
}

static void host(struct doctor *d) {
    saggar_features active;
    unsigned more;
    uint8_t arch = (uint8_t)saggar_host_arch();
    char why[200];
    bool wrong = cli_target_wrong(why, sizeof why);
    saggar_host_features(&active);
    const char *level = cli_level(arch, &active, &more), *note = sg_host_note();
    char *names = NULL;
    say(d, "processor", true, "architecture", cli_arch_name(arch));
    say_new(d, "processor", true, "level", out_format("%s and %u features more", level, more));
    if (saggar_features_names((saggar_arch)arch, &active, &names) == SAGGAR_OK)
        say(d, "processor", true, "features", names);
    if (wrong)
        say_new(
            d, "processor", false, "ceiling",
            out_format("SAGGAR_TARGET=%s: %s; programs switch the cache off", getenv("SAGGAR_TARGET"), why));
    else if (note[0] != '\0')
        say(d, "processor", true, "ceiling", note);
    free(names);
}

/* ---- Tiers ---- */

/* What the library does with a store where it cannot write; *good: that is nothing to mend. */
static char *store_text(const struct sg_slot *slot, bool images, bool *good) {
    const char *path = slot->tier != NULL ? slot->tier->path : slot->path;
    const char *note = slot->tier != NULL ? slot->tier->note : slot->note;
    struct place place;
    char *text;
    *good = slot->tier != NULL && slot->tier->active;
    if (!*good)
        return out_format("%s%soff: %s: nothing of it is served, and nothing is stored", path,
                          path[0] != '\0' ? ": " : "", note);
    place_look(path, &place);
    char *link = place.target != NULL ? out_format(": a link to %s, followed", place.target) : out_strdup("");
    /* What was prepared elsewhere may well lie where nobody writes. */
    *good = place.state == PLACE_GOOD || (place.state == PLACE_READ_ONLY && images);
    if (place.state != PLACE_GOOD)
        text = out_format("%s%s: %s (%s): %snothing is stored", path, link, place_words(&place), place.at,
                          place.there ? "what is there is served, " : "it cannot be made, ");
    else
        text = out_format("%s%s%s", path, link, place.there ? "" : ": made when something is stored");
    free(link);
    place_free(&place);
    return text;
}

static char *image_text(const struct sg_slot *slot) {
    const struct sg_tier *tier = slot->tier;
    struct sg_trust_verdict verdict;
    if (tier == NULL || !tier->active) {
        const char *path = tier != NULL ? tier->path : slot->path;
        bool untrusted = sg_trust_check(path, NULL, &verdict) == SAGGAR_OK && !verdict.trusted;
        return out_format("%s: off: %s%s%s", path, untrusted ? "untrusted: " : "",
                          tier != NULL ? tier->note : slot->note,
                          untrusted ? " (SAGGAR_TRUST=DIR overrides)" : "");
    }
    char *count = out_count(tier->entries, "entry", "entries");
    char *text = out_format("%s: %s%s%s", tier->path, count, tier->note[0] != '\0' ? ": " : "", tier->note);
    free(count);
    return text;
}

static void stack(struct doctor *d, const struct sg_stack *stack) {
    bool images = false;
    for (unsigned i = 0; i < stack->n; i++) {
        const struct sg_slot *s = &stack->slots[i];
        bool good = s->tier != NULL && s->tier->active, image = strcmp(s->kind, "image") == 0;
        char *text = image ? image_text(s) : store_text(s, images, &good);
        images = images || (image && good);
        say_new(d, "tiers", good, s->kind, text);
    }
    if (stack->n == 0)
        say(d, "tiers", false, "none", "no image and no store");
}

static void tiers(struct doctor *d) {
    struct sg_settings settings;
    struct sg_stack opened;
    saggar_cache_options o;
    const char *what = NULL;
    char why[200];
    saggar_cache_options_init(&o);
    int err = sg_settings_init(&o, &settings, &what);
    if (err != SAGGAR_OK || cli_target_wrong(why, sizeof why)) {
        say_new(d, "tiers", false, "none",
                out_format("the cache is off: %s has an unknown value", err == SAGGAR_OK ? "SAGGAR_TARGET"
                                                                        : what != NULL   ? what
                                                                                         : "something"));
        if (err == SAGGAR_OK)
            sg_settings_free(&settings);
        return;
    }
    if (sg_stack_open(&settings, d->prefix, false, &opened) == SAGGAR_OK) {
        stack(d, &opened);
        sg_stack_close(&opened);
    }
    sg_settings_free(&settings);
}

/* ---- Python ---- */

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
    char *path = python != NULL ? out_strdup(python) : python_beside();
    int status = 0;
    bool started = python_ask(path, &d->answer, &status);
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
    .about = "Prints the version, the mode, the environment with unknown values marked, the processor, the "
             "tiers with "
             "the reason where one is off or cannot be written to, and what a Python says: whether the "
             "package and its import hook are "
             "installed and in place, and which adapters are active.",
    .example = "saggar doctor --python /opt/venv/bin/python",
    .options = options,
    .exits = exits,
    .run = run,
};
