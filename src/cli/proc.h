/*
 * Children of the command, and directories of its own.
 *
 * A child gets the signal mask that the command was started with. While one runs, signals are taken from a
 * descriptor, so nothing here runs inside a handler.
 */
#ifndef SG_CLI_PROC_H
#define SG_CLI_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cli_spawn {
    char *const *argv;
    const char *const *set; /* "NAME=value" to set, "NAME" to take away; ends with NULL */
    int in, out, err;       /* descriptors, -1: ours */
    bool group;             /* a process group of its own, which ends with us */
};

/* Blocks what cli_signals() reads; call once, before the first child. The descriptor, or -1 with errno. */
int cli_signals(void);
/* The next signal within `ms` (-1: for ever), 0 if there was none. `*terminal`: it came from the terminal. */
int cli_signal_next(int fd, int ms, bool *terminal);

/* Starts a program. -1 with errno: not started (ENOENT: not found). */
pid_t cli_spawn(const struct cli_spawn *spawn);

/* The shell's exit status for a wait status: the code, or 128 + signal. */
int cli_exit_code(int status);
/* "exited with status 3", "was killed by signal 11 (Segmentation fault)"; malloc'd. */
char *cli_exit_text(int status);
/* One line about a command that could not be started; the status that a shell has for it (126, 127). */
int cli_not_started(const char *name, int error);

/* The command as one would type it, malloc'd. */
char *cli_command_text(char *const *argv);

/* A fresh private directory under $TMPDIR, /tmp, or where else temporary files may lie; malloc'd; NULL with
 * errno. */
char *cli_temp_dir(void);
/* Removes a directory and all below it, as far as that works. */
void cli_remove_tree(const char *path);

#endif
