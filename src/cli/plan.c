/* The workloads of a warm-up; see plan.h. */
#include "cli/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/out.h"
#include "cli/proc.h"

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
enum { NAME_MAX_BYTES = 64, PLAN_BYTES = 1 << 20 };

static bool taken(const struct plan *plan, const char *name) {
    for (size_t i = 0; i < plan->n; i++) {
        if (strcmp(plan->item[i].name, name) == 0)
            return true;
    }
    return false;
}

/* "3-python3": its number and the first word, without its folder. */
static char *made_name(const struct plan *plan, const char *text) {
    size_t n = strcspn(text, " \t");
    const char *word = text;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '/')
            word = text + i + 1;
    }
    n -= (size_t)(word - text);
    size_t good = strspn(word, plain);
    if (good < n)
        n = good;
    if (n > NAME_MAX_BYTES)
        n = NAME_MAX_BYTES;
    for (size_t number = plan->n + 1;; number++) {
        char *name = n > 0 ? out_format("%zu-%.*s", number, (int)n, word) : out_format("%zu", number);
        if (!taken(plan, name))
            return name;
        free(name);
    }
}

static struct workload *add(struct plan *plan, char *name, const char *text) {
    struct workload *w = out_grow(&plan->item, &plan->n, sizeof *w);
    w->name = name;
    w->text = out_strdup(text);
    return w;
}

static void add_shell(struct plan *plan, char *name, const char *command) {
    struct workload *w = add(plan, name, command);
    w->argv = out_alloc(4 * sizeof *w->argv);
    w->argv[0] = out_strdup("/bin/sh");
    w->argv[1] = out_strdup("-c");
    w->argv[2] = out_strdup(command);
}

int plan_shell(struct plan *plan, const char *command) {
    const char *start = command + strspn(command, " \t\r\n");
    if (*start == '\0')
        return cli_fail("an empty command");
    add_shell(plan, made_name(plan, start), start);
    return 0;
}

int plan_argv(struct plan *plan, char *const *argv) {
    size_t n = 0;
    while (argv[n] != NULL)
        n++;
    char *text = cli_command_text(argv), *name = made_name(plan, argv[0]);
    struct workload *w = add(plan, name, text);
    w->argv = out_alloc((n + 1) * sizeof *w->argv);
    for (size_t i = 0; i < n; i++)
        w->argv[i] = out_strdup(argv[i]);
    free(text);
    return 0;
}

/* One line; it is changed. */
static int add_line(struct plan *plan, const char *path, size_t number, char *line) {
    size_t end = strlen(line);
    while (end > 0 && strchr(" \t\r", line[end - 1]) != NULL)
        line[--end] = '\0';
    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#')
        return 0;
    size_t n = strspn(line, plain);
    if (n == 0 || line[n] != ':' || (line[n + 1] != ' ' && line[n + 1] != '\t' && line[n + 1] != '\0'))
        return plan_shell(plan, line);
    char *name = out_format("%.*s", (int)n, line), *command = line + n + 1;
    command += strspn(command, " \t");
    int status = 0;
    if (*command == '\0')
        status = cli_fail("%s:%zu: no command after the name %s", path, number, name);
    else if (n > NAME_MAX_BYTES || name[0] == '.')
        status = cli_fail("%s:%zu: the name %s is too long or begins with a dot", path, number, name);
    else if (taken(plan, name))
        status = cli_fail("%s:%zu: the name %s is there twice", path, number, name);
    if (status != 0) {
        free(name);
        return status;
    }
    add_shell(plan, name, command);
    return 0;
}

/* As getline(), within what is left of the bound; -1 with *left == 0 beyond it. */
static ssize_t next_line(char **line, size_t *room, FILE *file, size_t *left) {
    size_t n = 0;
    if (*room == 0)
        *line = out_alloc(*room = PLAN_BYTES + 1);
    for (int c; *left > 0 && (c = getc(file)) != EOF;) {
        (*line)[n++] = (char)c;
        --*left;
        if (c == '\n')
            break;
    }
    (*line)[n] = '\0';
    return *left == 0 || n == 0 ? -1 : (ssize_t)n;
}

int plan_file(struct plan *plan, const char *path) {
    char *line = NULL;
    size_t room = 0, before = plan->n, number = 0, left = PLAN_BYTES;
    ssize_t n;
    int status = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return cli_fail("--plan %s: %s", path, strerror(errno));
    errno = 0;
    while (status == 0 && (n = next_line(&line, &room, file, &left)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[--n] = '\0';
        if (strlen(line) != (size_t)n)
            status = cli_fail("--plan %s: not a text file: it holds a zero byte", path);
        else
            status = add_line(plan, path, ++number, line);
    }
    if (status == 0 && left == 0)
        status = cli_fail("--plan %s: larger than %d KiB: not a plan", path, PLAN_BYTES >> 10);
    if (status == 0 && ferror(file))
        status = cli_fail("--plan %s: %s", path, strerror(errno));
    if (status == 0 && plan->n == before)
        status = cli_fail("--plan %s: no command in it", path);
    free(line);
    fclose(file);
    return status;
}

/* Whether the shell would find it. */
static bool is_command(const char *word) {
    const char *list = getenv("PATH");
    if (strchr(word, '/') != NULL)
        return access(word, X_OK) == 0;
    for (const char *p = list != NULL ? list : "/usr/bin:/bin"; *p != '\0';) {
        size_t n = strcspn(p, ":");
        char *path = out_format("%.*s/%s", n > 0 ? (int)n : 1, n > 0 ? p : ".", word);
        bool found = access(path, X_OK) == 0;
        free(path);
        if (found)
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

int plan_check(const struct plan *plan, size_t first) {
    for (size_t i = first; i < plan->n; i++) {
        const struct workload *w = &plan->item[i];
        bool shell = w->argv[1] != NULL && strcmp(w->argv[0], "/bin/sh") == 0;
        bool word = w->text[strcspn(w->text, " \t\n;&|<>()$`\\\"'*?[#~=%!{}:")] == '\0';
        if (shell && word && !is_command(w->text))
            return cli_fail(
                "%s: no such command; an argument is one whole command: quote it, or write: saggar warm "
                "-- COMMAND",
                w->text);
    }
    return 0;
}

void plan_free(struct plan *plan) {
    for (size_t i = 0; i < plan->n; i++) {
        struct workload *w = &plan->item[i];
        for (size_t k = 0; w->argv[k] != NULL; k++)
            free(w->argv[k]);
        free(w->argv);
        free(w->name);
        free(w->text);
    }
    free(plan->item);
    *plan = (struct plan){0};
}
