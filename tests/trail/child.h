/* Children for tests: the code under test keeps state for the life of a process, so each case runs in its
 * own. */
#ifndef SG_TESTS_TRAIL_CHILD_H
#define SG_TESTS_TRAIL_CHILD_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/remove.h"

/* Forks and runs; the child ends with what fn returns. */
static inline pid_t child_start(int (*fn)(void *), void *arg) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn(arg));
    return pid;
}

/* Exit code, or minus the signal. */
static inline int child_wait(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1000;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int child_run(int (*fn)(void *), void *arg) {
    return child_wait(child_start(fn, arg));
}

/* From here on any system call but the end of the process kills it (SIGSYS). Reading the clock is let
 * through: where the kernel offers it without a system call, it makes none. */
static inline bool child_forbid_syscalls(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sigaltstack, 1, 0), /* the address sanitizer, at _exit */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A new directory below TMPDIR or /tmp; `out` of 256 bytes. */
static inline bool make_temp(char *out) {
    const char *base = getenv("TMPDIR");
    snprintf(out, 256, "%s/saggar-test-XXXXXX", base != NULL && strlen(base) < 200 ? base : "/tmp");
    return mkdtemp(out) != NULL;
}

#endif
