/* Children and private directories; see proc.h. */
#include "cli/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/args.h"
#include "cli/out.h"

extern char **environ;
static sigset_t before;
static bool blocked;

int cli_signals(void) {
    static const int taken[] = {SIGCHLD, SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaddset(&set, taken[i]);
    if (!blocked && sigprocmask(SIG_BLOCK, &set, &before) != 0)
        return -1;
    blocked = true;
    if (signal(SIGCHLD, SIG_DFL) ==
        SIG_ERR) /* ignored by whoever started us, it would hide how a child ends */
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cli_signal_next(int fd, int ms, bool *terminal) {
    struct signalfd_siginfo info;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    *terminal = false;
    if (poll(&p, 1, ms) <= 0 || read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    *terminal = info.ssi_code == SI_KERNEL;
    return (int)info.ssi_signo;
}

static size_t name_length(const char *item) {
    return strcspn(item, "=");
}

/* The environment with the changes; malloc'd array of borrowed texts. */
static char **changed_environment(const char *const *set) {
    size_t n = 0, more = 0, at = 0;
    while (environ[n] != NULL)
        n++;
    while (set != NULL && set[more] != NULL)
        more++;
    char **list = out_alloc((n + more + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        for (size_t j = 0; j < more; j++)
            replaced = replaced || (name_length(set[j]) == name_length(environ[i]) &&
                                    strncmp(set[j], environ[i], name_length(set[j])) == 0);
        if (!replaced)
            list[at++] = environ[i];
    }
    for (size_t j = 0; j < more; j++) {
        if (strchr(set[j], '=') != NULL)
            list[at++] = (char *)(uintptr_t)set[j];
    }
    return list;
}

static void put_at(int fd, int as) {
    if (fd >= 0 && fd != as)
        dup2(fd, as);
    else if (fd >= 0)
        fcntl(fd, F_SETFD, 0);
}

_Noreturn static void child(const struct cli_spawn *spawn, char **env, pid_t parent, int report) {
    if (spawn->group) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(127);
    }
    put_at(spawn->in, 0);
    put_at(spawn->out, 1);
    put_at(spawn->err, 2);
    signal(SIGPIPE, SIG_DFL);
    if (blocked)
        sigprocmask(SIG_SETMASK, &before, NULL);
    environ = env;
    execvp(spawn->argv[0], spawn->argv);
    int error = errno;
    ssize_t ignored = write(report, &error, sizeof error);
    (void)ignored;
    _exit(127);
}

pid_t cli_spawn(const struct cli_spawn *spawn) {
    int report[2], error = 0;
    pid_t parent = getpid();
    if (pipe2(report, O_CLOEXEC) != 0)
        return -1;
    char **env = changed_environment(spawn->set);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child(spawn, env, parent, report[1]);
    if (pid < 0)
        error = errno;
    close(report[1]);
    ssize_t n;
    do {
        n = pid < 0 ? 0 : read(report[0], &error, sizeof error);
    } while (n < 0 && errno == EINTR);
    close(report[0]);
    free(env);
    if (pid >= 0 && n == (ssize_t)sizeof error) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        pid = -1;
    }
    errno = error;
    return pid;
}

int cli_exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

char *cli_exit_text(int status) {
    if (WIFSIGNALED(status))
        return out_format("was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return out_format("exited with status %d", WEXITSTATUS(status));
}

int cli_not_started(const char *name, int error) {
    if (error == ENOENT)
        cli_note("%s: command not found", name);
    else
        cli_note("%s: could not be started: %s", name, strerror(error));
    return error == ENOENT ? 127 : 126;
}

char *cli_command_text(char *const *argv) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^";
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return out_strdup(argv[0]);
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (i > 0)
            fputc(' ', file);
        if (argv[i][0] != '\0' && argv[i][strspn(argv[i], plain)] == '\0') {
            fputs(argv[i], file);
            continue;
        }
        fputc('\'', file);
        for (const char *p = argv[i]; *p != '\0'; p++)
            fputs(*p == '\'' ? "'\\''" : (char[]){*p, '\0'}, file);
        fputc('\'', file);
    }
    fclose(file);
    return text != NULL ? text : out_strdup(argv[0]);
}

char *cli_temp_dir(void) {
    const char *const places[] = {getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm",
                                  getenv("XDG_RUNTIME_DIR")};
    int error = ENOENT;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == NULL || places[i][0] != '/')
            continue;
        char *path = out_format("%s/saggar-XXXXXX", places[i]);
        if (mkdtemp(path) != NULL)
            return path;
        error = errno;
        free(path);
    }
    errno = error;
    return NULL;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    remove(path);
    return 0;
}

void cli_remove_tree(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
