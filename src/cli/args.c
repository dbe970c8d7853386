/* Parsing of command lines; see args.h. */
#include "cli/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"

static const struct cli_command *current;

__attribute__((format(printf, 1, 0))) static void complain(const char *format, va_list list) {
    char *text = NULL;
    int n = vasprintf(&text, format, list);
    fflush(stdout);
    fprintf(stderr, "saggar%s%s: ", current != NULL ? " " : "", current != NULL ? current->name : "");
    if (n >= 0)
        sg_print_name(stderr, text, (size_t)n);
    fputc('\n', stderr);
    free(text);
}

int cli_fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    complain(format, list);
    va_end(list);
    return SG_EXIT_USAGE;
}

void cli_note(const char *format, ...) {
    va_list list;
    va_start(list, format);
    complain(format, list);
    va_end(list);
}

/* The number at the start of text; *rest is what follows it. */
static bool number(const char *text, double *value, const char **rest) {
    char *end;
    if ((text[0] < '0' || text[0] > '9') && text[0] != '.')
        return false;
    errno = 0;
    if (text[strspn(text, "0123456789.")] == 'x' || text[strspn(text, "0123456789.")] == 'X')
        return false; /* strtod() takes hexadecimal digits too */
    *value = strtod(text, &end);
    *rest = end;
    return errno == 0 && end != text && *value >= 0 && *value < 9e18;
}

bool cli_parse_size(const char *text, uint64_t *out) {
    static const char units[] = "kMGT";
    double value, factor = 1;
    const char *rest;
    if (!number(text, &value, &rest))
        return false;
    if (*rest != '\0' && *rest != 'B') {
        const char *unit = strchr(units, *rest == 'K' ? 'k' : *rest);
        if (unit == NULL)
            return false;
        for (const char *u = units; u <= unit; u++)
            factor *= 1024;
        rest++;
    }
    if (strcmp(rest, "") != 0 && strcmp(rest, "B") != 0 && strcmp(rest, "iB") != 0)
        return false;
    if (value * factor >= 9e18)
        return false;
    *out = (uint64_t)(value * factor);
    return true;
}

bool cli_parse_age(const char *text, int64_t *out) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    double value;
    const char *rest;
    if (!number(text, &value, &rest))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(rest, units[i].unit) == 0 && value * units[i].seconds < 9e18) {
            *out = (int64_t)(value * units[i].seconds);
            return true;
        }
    }
    return false;
}

static int set(const struct cli_option *o, const char *value) {
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->target = true;
        return 0;
    case CLI_TEXT:
        *(const char **)o->target = value;
        return 0;
    case CLI_LIST: {
        struct cli_list *list = o->target;
        const char **slot = out_grow(&list->item, &list->n, sizeof *list->item);
        *slot = value;
        return 0;
    }
    case CLI_COUNT: {
        char *end;
        errno = 0;
        long n = strtol(value, &end, 10);
        if (errno != 0 || end == value || *end != '\0' || n < 1)
            return cli_fail("--%s %s: not a number of at least 1", o->name, value);
        *(long *)o->target = n;
        return 0;
    }
    case CLI_SIZE:
        if (!cli_parse_size(value, o->target))
            return cli_fail("--%s %s: not a size; try 500M or 5G", o->name, value);
        return 0;
    case CLI_AGE:
        if (!cli_parse_age(value, o->target))
            return cli_fail("--%s %s: not a time; try 12h or 30d", o->name, value);
        return 0;
    }
    return 0;
}

static const struct cli_option *find_long(const char *name, size_t n) {
    for (const struct cli_option *o = current->options; o->name != NULL; o++) {
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

static const struct cli_option *find_letter(char letter) {
    for (const struct cli_option *o = current->options; o->name != NULL; o++) {
        if (o->letter == letter)
            return o;
    }
    return NULL;
}

/* One option at argv[*i]; takes its value from the next word if it must. `late`: it stands after a name. */
static int option(char **argv, int argc, int *i, bool late) {
    const char *word = argv[*i], *value = NULL;
    const struct cli_option *o;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        size_t n = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
        o = find_long(word + 2, n);
        value = equals != NULL ? equals + 1 : NULL;
    } else {
        o = find_letter(word[1]);
        value = word[2] != '\0' ? word + 2 : NULL;
    }
    if (o == NULL && late && current->tail == CLI_TAIL_OPTIONAL)
        return cli_fail(
            "unknown option %s; an option of the command: quote the whole command, or write: saggar "
            "%s -- COMMAND %s",
            word, current->name, word);
    if (o == NULL)
        return cli_fail("unknown option %s; `saggar %s --help` lists what there is", word, current->name);
    if (o->kind == CLI_FLAG && value != NULL)
        return cli_fail("--%s takes no value", o->name);
    if (o->kind != CLI_FLAG && value == NULL) {
        if (*i + 1 >= argc || strcmp(argv[*i + 1], "--") == 0)
            return cli_fail("--%s needs a value: --%s %s", o->name, o->name, o->value);
        value = argv[++*i];
    }
    if (o->kind != CLI_FLAG && value[0] == '\0')
        return cli_fail("--%s: its value is empty", o->name);
    return set(o, value);
}

static int check(const struct cli_args *args) {
    const char *name = current->name;
    if (current->tail == CLI_TAIL_REQUIRED && args->command == NULL)
        return cli_fail("no command; write: saggar %s -- COMMAND", name);
    if (current->tail == CLI_TAIL_NONE && args->command != NULL)
        return cli_fail("takes no command after `--`; see saggar %s --help", name);
    if (args->command != NULL && args->command[0] == NULL)
        return cli_fail("no command after `--`; write: saggar %s -- COMMAND", name);
    if (args->command != NULL && args->command[0][0] == '-')
        return cli_fail("%s after `--` is no command; options of saggar %s stand before `--`",
                        args->command[0], name);
    if (args->n > current->max)
        return cli_fail("unexpected argument %s; usage: saggar %s %s", args->names[current->max], name,
                        current->usage);
    if (args->n < current->min)
        return cli_fail("an argument is missing; usage: saggar %s %s", name, current->usage);
    return 0;
}

/* A word where only options and `--` may stand: the command line as it was most likely meant. */
static int missing_dashes(int argc, char **argv, int at) {
    char *before = out_strdup("");
    for (int i = 1; i < at; i++) {
        char *more = out_format("%s %s", before, argv[i]);
        free(before);
        before = more;
    }
    int status = cli_fail("`--` is missing before the command; write: saggar %s%s -- %s%s", current->name,
                          before, argv[at], at + 1 < argc ? " ..." : "");
    free(before);
    return status;
}

/* Takes argv apart; a status of -1 says that --help was printed. */
static int parse(int argc, char **argv, struct cli_args *args) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            args->command = argv + i + 1;
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_help(current);
            return -1;
        }
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            int status = option(argv, argc, &i, args->n > 0);
            if (status != 0)
                return status;
        } else if (current->tail == CLI_TAIL_REQUIRED) {
            return missing_dashes(argc, argv, i);
        } else if (argv[i][0] == '\0') {
            return cli_fail("an empty argument; usage: saggar %s %s", current->name, current->usage);
        } else {
            args->names[args->n++] = argv[i];
        }
    }
    return check(args);
}

const struct cli_command *cli_member(const struct cli_command *group, const char *word) {
    for (const struct cli_command *const *c = group->group; c != NULL && *c != NULL; c++) {
        const char *last = strrchr((*c)->name, ' ');
        if (last != NULL && strcmp(last + 1, word) == 0)
            return *c;
    }
    return NULL;
}

/* A group by itself does nothing: its first word is the sub-command. */
static int dispatch_group(const struct cli_command *group, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    const struct cli_command *member = cli_member(group, word);
    if (member != NULL)
        return cli_dispatch(member, argc - 1, argv + 1);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cli_help(group);
        return out_finish(0);
    }
    if (word[0] == '\0')
        return cli_fail("no command; `saggar %s --help` lists them", group->name);
    if (word[0] == '-')
        return cli_fail("unknown option %s; `saggar %s --help` lists what there is", word, group->name);
    return cli_fail("there is no command %s; `saggar %s --help` lists them", word, group->name);
}

int cli_dispatch(const struct cli_command *command, int argc, char **argv) {
    struct cli_args args = {0};
    current = command;
    if (command->group != NULL)
        return dispatch_group(command, argc, argv);
    args.names = out_alloc((size_t)(argc + 1) * sizeof *args.names);
    int status = parse(argc, argv, &args);
    if (status == 0)
        status = command->run(&args);
    else if (status == -1)
        status = out_finish(0);
    free(args.names);
    return status;
}
