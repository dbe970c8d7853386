/* saggar: finds the sub-command. Everything else is one file per sub-command; see args.h. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/out.h"
#include "saggar/saggar.h"

static const struct cli_command *const commands[] = {
    &cli_run,  &cli_warm, &cli_bake,  &cli_verify, &cli_audit,  &cli_why,  &cli_ls,
    &cli_show, &cli_stat, &cli_check, &cli_gc,     &cli_doctor, &cli_host, &cli_julia,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct cli_command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void help(void) {
    puts("saggar: keeps compiled code, and ships it\n\nusage: saggar COMMAND [OPTIONS]\n\ncommands:");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-8s%s\n", commands[i]->name, commands[i]->summary);
    puts("\nexample:\n"
         "  saggar warm -- python3 model.py           compile once\n"
         "  saggar bake -o model.saggar               one file with everything that was used\n"
         "  saggar verify --image model.saggar -- python3 model.py\n"
         "\n`saggar COMMAND --help` says more about each; `saggar --version` prints the version.");
}

static void man(void) {
    puts("saggar(1)\n\n# NAME\n\nsaggar - keeps compiled code, and ships it\n\n# SYNOPSIS\n\n"
         "*saggar* COMMAND \\[OPTIONS\\]\n\n# DESCRIPTION\n\n"
         "Saggar keeps the code that just-in-time compilers make. What a warm-up compiled on one machine is "
         "baked\n"
         "into one file and used on others, and a check proves that nothing was compiled there.\n\n# "
         "COMMANDS\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("*saggar-%s*(1)\n\t%s\n\n", commands[i]->name, commands[i]->summary);
    puts("# ENVIRONMENT\n\n"
         "*SAGGAR_MODE*\n\toff, use (the default) or require\n\n"
         "*SAGGAR_DIR*\n\tthe store; $XDG_CACHE_HOME/saggar by default; after colons, stores that are only read\n\n"
         "*SAGGAR_SIZE*\n\tits size, 5G by default\n\n"
         "*SAGGAR_IMAGE*\n\timages, separated by colons, searched first\n\n"
         "*SAGGAR_IMAGE_PATH*\n\tnone: do not look for images in share/saggar\n\n"
         "*SAGGAR_TARGET*\n\ta ceiling on the processor's features, as x86-64-v3\n\n"
         "*SAGGAR_TREES*\n\ta directory for finished trees\n\n"
         "*SAGGAR_TRUST*\n\tdirectories, separated by colons, that are trusted whoever owns them\n\n"
         "*SAGGAR_WAIT*\n\tthe longest wait for another process that compiles the same, in seconds\n\n"
         "*SAGGAR_TRAIL*\n\ta directory for trails; set by run, warm and verify, and not by hand\n\n"
         "*NO_COLOR*\n\tno colour\n\n"
         "An unknown value is refused by the command; in programs it switches the cache off (an unknown size "
         "counts as "
         "5G).\n\n"
         "# EXIT STATUS\n\n"
         "Every command documents its own. In all of them 2 is a refusal: one plain line on stderr and "
         "nothing on "
         "stdout, with --json too; and 6 says that what was to be printed could not be written. *saggar run* "
         "alone "
         "ends with the status of its command.");
}

static int man_source(const char *name) {
    if (strcmp(name, "saggar") == 0) {
        man();
        return out_finish(0);
    }
    const char *dash = strchr(name, '-');
    char *group = dash != NULL ? out_format("%.*s", (int)(dash - name), name) : NULL;
    const struct cli_command *command = find(group != NULL ? group : name);
    free(group);
    if (command != NULL && dash != NULL)
        command = cli_member(command, dash + 1);
    if (command == NULL)
        return cli_fail("there is no command %s", name);
    cli_man(command);
    return out_finish(0);
}

/* A closed stdin, stdout or stderr must not become some file that we open. What stands there then fails as a
 * closed one does: it cannot be read, or written. */
static void keep_standard(void) {
    static const int how[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", how[fd]) != fd)
            return;
    }
}

int main(int argc, char **argv) {
    keep_standard();
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "";
    if (name[0] == '\0')
        return cli_fail("no command; `saggar --help` lists them");
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        help();
        return out_finish(0);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("saggar %s\n", saggar_version());
        return out_finish(0);
    }
    if (strcmp(name, "--man") == 0 && argc == 3) /* the source of a man page; docs/man is made of it */
        return man_source(argv[2]);
    const struct cli_command *command = strcmp(name, "help") == 0 ? find(argv[2]) : NULL;
    if (command != NULL && command->group != NULL && argc > 3)
        command = cli_member(command, argv[3]);
    if (command != NULL) {
        cli_help(command);
        return out_finish(0);
    }
    command = find(name);
    if (command == NULL)
        return cli_fail("there is no command %s; `saggar --help` lists them", name);
    return cli_dispatch(command, argc - 1, argv + 1);
}
