/* --help and the man pages, both made from the table of a command; see args.h. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/out.h"

static void spelling(char *text, size_t size, const struct cli_option *o) {
    char letter[8] = "";
    if (o->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(text, size, "%s--%s%s%s", letter, o->name, o->value != NULL ? " " : "",
             o->value != NULL ? o->value : "");
}

/* Fills lines of 78 columns, each after `indent` blanks; the first one starts at column `at`. */
static void fill(const char *text, size_t indent, size_t at) {
    while (*text != '\0') {
        size_t n = strcspn(text, " \n");
        if (at > indent && at + 1 + n > 78) {
            putchar('\n');
            at = 0;
        }
        if (at < indent)
            printf("%*s", (int)(indent - at), "");
        else if (at > indent)
            putchar(' ');
        at = (at < indent ? indent : at + (at > indent)) + n;
        fwrite(text, 1, n, stdout);
        text += n;
        if (text[0] == '\n' && text[1] == '\n') {
            fputs("\n\n", stdout);
            at = 0;
        }
        text += strspn(text, " \n");
    }
    putchar('\n');
}

static void help_options(const struct cli_command *c) {
    char text[64];
    puts("\noptions:");
    for (const struct cli_option *o = c->options; o->name != NULL; o++) {
        spelling(text, sizeof text, o);
        size_t n = strlen(text) + 2;
        printf("  %s", text);
        if (n > 25) {
            putchar('\n');
            n = 0;
        }
        fill(o->help, 27, n);
    }
    printf("  %-25s%s\n", "-h, --help", "print this");
}

/* Each line of text after a prefix. */
static void lines(const char *text, const char *prefix) {
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        printf("%s%.*s\n", prefix, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void help_group(const struct cli_command *c) {
    printf("saggar %s: %s\n\nusage: saggar %s COMMAND [OPTIONS]\n\n", c->name, c->summary, c->name);
    fill(c->about, 0, 0);
    puts("\ncommands:");
    for (const struct cli_command *const *m = c->group; *m != NULL; m++)
        printf("  %-14s%s\n", (*m)->name, (*m)->summary);
    printf("\n`saggar %s COMMAND --help` says more about each.\n", c->name);
}

void cli_help(const struct cli_command *c) {
    if (c->group != NULL) {
        help_group(c);
        return;
    }
    printf("saggar %s: %s\n\nusage: saggar %s %s\n\n", c->name, c->summary, c->name, c->usage);
    fill(c->about, 0, 0);
    help_options(c);
    puts("\nexample:");
    lines(c->example, "  ");
    puts("\nexit status:");
    for (const struct cli_exit *e = c->exits; e->code >= 0; e++) {
        printf("  %d  ", e->code);
        fill(e->text, 5, 5);
    }
}

/* Text of scdoc: what it would read as markup is escaped. */
static void scd(const char *text) {
    for (; *text != '\0'; text++) {
        if (strchr("_*\\#`~<[]|", *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* The name of the page: blanks become dashes. */
static const char *page(char text[64], const struct cli_command *c) {
    snprintf(text, 64, "saggar-%s", c->name);
    for (char *p = text; *p != '\0'; p++)
        *p = *p == ' ' ? '-' : *p;
    return text;
}

static void man_head(const struct cli_command *c) {
    char text[64];
    page(text, c);
    printf("%s(1)\n\n# NAME\n\n%s - %s\n\n# SYNOPSIS\n\n*saggar %s* ", text, text, c->summary, c->name);
}

static void man_group(const struct cli_command *c) {
    char text[64];
    man_head(c);
    puts("COMMAND \\[OPTIONS\\]\n\n# DESCRIPTION\n");
    scd(c->about);
    puts("\n\n# COMMANDS\n");
    for (const struct cli_command *const *m = c->group; *m != NULL; m++)
        printf("*%s*(1)\n\t%s\n\n", page(text, *m), (*m)->summary);
    puts("# SEE ALSO\n\n*saggar*(1)");
}

void cli_man(const struct cli_command *c) {
    char text[64];
    if (c->group != NULL) {
        man_group(c);
        return;
    }
    man_head(c);
    scd(c->usage);
    puts("\n\n# DESCRIPTION\n");
    scd(c->about);
    puts("\n\n# OPTIONS\n");
    for (const struct cli_option *o = c->options; o->name != NULL; o++) {
        spelling(text, sizeof text, o);
        printf("*");
        scd(text);
        printf("*\n\t");
        scd(o->help);
        puts("\n");
    }
    puts("*-h, --help*\n\tprint this\n\n# EXAMPLE\n\n```");
    lines(c->example, "");
    puts("```\n\n# EXIT STATUS\n");
    for (const struct cli_exit *e = c->exits; e->code >= 0; e++) {
        printf("*%d*\n\t", e->code);
        scd(e->text);
        puts("\n");
    }
    puts("# SEE ALSO\n\n*saggar*(1)");
}
