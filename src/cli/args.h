/*
 * The command line of every sub-command: one table each, from which parsing, --help and the man page are
 * made.
 *
 * Parsed values are written through the table's targets, which are static variables of the sub-command and
 * hold its defaults before. Strings point into argv and live as long as the process. Whatever is wrong with a
 * command line ends in one line on stderr and SG_EXIT_USAGE.
 */
#ifndef SG_CLI_ARGS_H
#define SG_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* OUTPUT: what was to be printed could not be written; it wins over every other status but that of `run`. */
enum { SG_EXIT_OK = 0, SG_EXIT_FOUND = 1, SG_EXIT_USAGE = 2, SG_EXIT_OUTPUT = 6 };

enum cli_kind {
    CLI_FLAG,  /* bool: no value */
    CLI_TEXT,  /* const char * */
    CLI_LIST,  /* struct cli_list: may be given more than once */
    CLI_COUNT, /* long, at least 1 */
    CLI_SIZE,  /* uint64_t bytes; suffixes k, M, G, T (1024) */
    CLI_AGE    /* int64_t seconds; suffixes s, m, h, d, w */
};

struct cli_list {
    const char **item;
    size_t n;
};

struct cli_option {
    char letter; /* 0: none */
    const char *name;
    const char *value; /* what the value is called in the help, NULL for flags */
    enum cli_kind kind;
    void *target;
    const char *help;
};

struct cli_exit {
    int code; /* -1 after the last one */
    const char *text;
};

/* What came besides options. Both lists end with NULL. */
struct cli_args {
    char **names; /* operands before `--` */
    size_t n;
    char **command; /* what stands after `--`, NULL if there is no `--` */
};

enum cli_tail { CLI_TAIL_NONE, CLI_TAIL_OPTIONAL, CLI_TAIL_REQUIRED };

struct cli_command {
    const char *name;
    const char *usage;   /* without "saggar NAME" */
    const char *summary; /* one line, lower case, no full stop */
    const char *about;   /* paragraphs, separated by empty lines */
    const char *example; /* commands, one a line */
    const struct cli_option *options;
    const struct cli_exit *exits;
    size_t min, max;    /* operands */
    enum cli_tail tail; /* a command after `--` */
    int (*run)(const struct cli_args *args);
    const struct cli_command *const
        *group; /* instead of all but name, summary and about: sub-commands, then NULL */
};

/* The end of each option table. */
#define CLI_OPTIONS_END                                                                                      \
    { 0, NULL, NULL, CLI_FLAG, NULL, NULL }
#define CLI_EXIT_OUTPUT                                                                                      \
    { SG_EXIT_OUTPUT, "what was to be printed could not be written" }
#define CLI_EXITS_END                                                                                        \
    { -1, NULL }

/* Parses argv[1..] for the command and runs it; returns the exit status. */
int cli_dispatch(const struct cli_command *command, int argc, char **argv);

/* The sub-command of a group by its last word, NULL if there is none. */
const struct cli_command *cli_member(const struct cli_command *group, const char *word);

/* Prints --help, and the source of the man page (scdoc). */
void cli_help(const struct cli_command *command);
void cli_man(const struct cli_command *command);

/* One line on stderr, "saggar NAME: ..."; what came from outside is printed escaped. Returns SG_EXIT_USAGE.
 */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same without an exit status. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The value of a word with a unit; false if it is none. */
bool cli_parse_size(const char *text, uint64_t *out);
bool cli_parse_age(const char *text, int64_t *out);

extern const struct cli_command cli_run, cli_warm, cli_bake, cli_verify, cli_audit, cli_why, cli_ls, cli_show,
    cli_stat, cli_check, cli_gc, cli_doctor, cli_host, cli_julia, cli_julia_ls, cli_julia_check,
    cli_julia_why, cli_julia_bake, cli_julia_restore, cli_julia_gc, cli_julia_run;

#endif
