/* A Python's answers to `doctor`; see python.h. */
#include "cli/python.h"

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
#include "cli/out.h"
#include "cli/proc.h"

enum { ANSWER_MAX = 1 << 20, ANSWER_SECONDS = 120 };

bool python_ask(const char *path, char **answer, int *status) {
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
    *answer = out_alloc(ANSWER_MAX + 1);
    uint64_t end = sg_now_ns(CLOCK_MONOTONIC) + ANSWER_SECONDS * UINT64_C(1000000000);
    while (pid > 0 && n < ANSWER_MAX) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        if (poll(&p, 1, 1000) == 0 && sg_now_ns(CLOCK_MONOTONIC) < end)
            continue;
        ssize_t r = p.revents != 0 ? read(ends[0], *answer + n, ANSWER_MAX - n) : 0;
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

char *python_beside(void) {
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
