/*
 * The walk along a path, one component at a time from the root, by lstat(): links are followed here and not
 * by the kernel. That the path is walked by name is sound: as long as everything so far is trusted, nobody
 * else can put something else under a name that was judged; and once something is not, the verdict stands.
 * The first thing that speaks against the path is kept; the walk goes on, because SAGGAR_TRUST asks where it
 * ends.
 *
 * The walk owns its two buffers and opens nothing.
 */
#include "trust/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "saggar/saggar.h"
#include "trust/rule.h"

enum { LINKS_MAX = 40 };

struct walk {
    struct sg_trust_owners owners;
    struct sg_trust_verdict *out;
    int links;           /* followed so far */
    bool sticky;         /* dir is trusted only for entries with a trusted owner */
    char at[PATH_MAX];   /* where the walk is: absolute, no link, no "..", "" for the root */
    char rest[PATH_MAX]; /* what is still to be walked */
};

/* Keeps the first objection. The line is made of printable characters whatever the path is. */
static void object(struct walk *w, const char *at, const char *name, const char *why) {
    char *reason = w->out->reason;
    if (!w->out->trusted) {
        return;
    }
    w->out->trusted = false;
    size_t room = SG_TRUST_REASON_SIZE - 8 - strlen(why);
    char path[2 * PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s%s", at, *name != '\0' || *at == '\0' ? "/" : "", name);
    size_t size = n > 0 ? (size_t)n : 0, skip = size > room ? size - room : 0;
    snprintf(reason, SG_TRUST_REASON_SIZE, "%s%.*s %s", skip > 0 ? "..." : "", (int)room, path + skip, why);
    for (; *reason != '\0'; reason++) {
        if ((unsigned char)*reason < ' ' || *reason == 0x7f) {
            *reason = '?';
        }
    }
}

/* The walk could not go on at `name`. */
static int stuck(struct walk *w, const char *name, int err) {
    const char *why = err == SAGGAR_ENOTFOUND ? "is not there" : saggar_strerror(err);
    bool trusted = w->out->trusted;
    object(w, w->at, name, why);
    w->out->trusted = trusted && err == SAGGAR_ENOTFOUND;
    return err;
}

/* Judges what `at` is, or the file `name` that it ends with. */
static void judge(struct walk *w, const char *at, const struct stat *st, const char *name) {
    char why[128];
    enum sg_trust_grade grade = sg_trust_grade(&w->owners, -1, at, st, why, sizeof why);
    if (w->sticky && !sg_trust_owner_ok(&w->owners, st->st_uid)) {
        /* not even if mounted read-only: whose it is decides here */
        snprintf(why, sizeof why, "belongs to user %lu, in a directory where everybody may write",
                 (unsigned long)st->st_uid);
        grade = SG_TRUST_NO;
    }
    if (grade == SG_TRUST_NO) {
        object(w, w->at, name, why);
    }
    if (S_ISDIR(st->st_mode)) {
        w->sticky = grade == SG_TRUST_STICKY;
    }
}

/* Stands at `at` now. */
static int enter(struct walk *w) {
    struct stat st;
    const char *at = w->at[0] == '\0' ? "/" : w->at;
    if (lstat(at, &st) != 0) {
        return stuck(w, "", sg_err_from_errno(errno));
    }
    judge(w, at, &st, "");
    return SAGGAR_OK;
}

static int enter_root(struct walk *w) {
    w->at[0] = '\0';
    w->sticky = false;
    return enter(w);
}

static int go_up(struct walk *w) {
    char *slash = strrchr(w->at, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    w->sticky = false; /* the parent was judged on the way down, with what lies in it */
    return enter(w);
}

/* Puts a link's target in front of what is left. */
static int follow(struct walk *w, const char *name, const struct stat *st) {
    char target[PATH_MAX], path[PATH_MAX];
    if (w->sticky && !sg_trust_owner_ok(&w->owners, st->st_uid)) {
        char why[96];
        snprintf(why, sizeof why, "is a link of user %lu, in a directory where everybody may write",
                 (unsigned long)st->st_uid);
        object(w, w->at, name, why);
    }
    snprintf(path, sizeof path, "%s/%s", w->at, name);
    ssize_t n = readlink(path, target, sizeof target);
    if (n < 0) {
        return stuck(w, name, sg_err_from_errno(errno));
    }
    size_t rest = strlen(w->rest), size = (size_t)n;
    if (++w->links > LINKS_MAX || size + 1 + rest >= sizeof w->rest) {
        return stuck(w, name, SAGGAR_ELIMIT);
    }
    memmove(w->rest + size + 1, w->rest, rest + 1);
    memcpy(w->rest, target, size);
    w->rest[size] = '/';
    return target[0] == '/' ? enter_root(w) : SAGGAR_OK;
}

/* Cuts the next component off the rest; false at the end. */
static bool next_name(struct walk *w, char name[NAME_MAX + 1], int *err) {
    size_t skip = strspn(w->rest, "/");
    size_t size = strcspn(w->rest + skip, "/");
    *err = SAGGAR_OK;
    if (size == 0) {
        return false;
    }
    if (size > NAME_MAX) {
        *err = stuck(w, "", SAGGAR_ELIMIT);
        return false;
    }
    memcpy(name, w->rest + skip, size);
    name[size] = '\0';
    memmove(w->rest, w->rest + skip + size, strlen(w->rest + skip + size) + 1);
    return true;
}

/* One component. *end: it was a file, and the walk is over. */
static int step(struct walk *w, const char *name, bool *end) {
    struct stat st;
    if (strcmp(name, ".") == 0) {
        return SAGGAR_OK;
    }
    if (strcmp(name, "..") == 0) {
        return go_up(w);
    }
    size_t at = strlen(w->at), size = strlen(name);
    char path[PATH_MAX];
    if (at + 1 + size >= sizeof w->at) {
        return stuck(w, "", SAGGAR_ELIMIT);
    }
    memcpy(path, w->at, at);
    path[at] = '/';
    memcpy(path + at + 1, name, size + 1);
    if (lstat(path, &st) != 0) {
        return stuck(w, name, sg_err_from_errno(errno));
    }
    if (S_ISLNK(st.st_mode)) {
        return follow(w, name, &st);
    }
    if (!S_ISDIR(st.st_mode)) {
        judge(w, path, &st, name);
        *end = true;
    }
    memcpy(w->at, path, at + size + 2);
    if (*end) {
        return w->rest[strspn(w->rest, "/")] == '\0' ? SAGGAR_OK : stuck(w, "", SAGGAR_EINVAL);
    }
    judge(w, w->at, &st, "");
    return SAGGAR_OK;
}

/* Whether `path`, absolute and without links, lies in one of the directories of SAGGAR_TRUST. */
static bool is_overridden(const char *path) {
    const char *list = secure_getenv("SAGGAR_TRUST");
    while (list != NULL && *list != '\0') {
        char dir[PATH_MAX], real[PATH_MAX];
        size_t size = strcspn(list, ":");
        if (size > 0 && size < sizeof dir && list[0] == '/') {
            memcpy(dir, list, size);
            dir[size] = '\0';
            if (realpath(dir, real) != NULL) {
                size_t n = strcmp(real, "/") == 0 ? 0 : strlen(real);
                if (strncmp(path, real, n) == 0 && (path[n] == '/' || path[n] == '\0')) {
                    return true;
                }
            }
        }
        list += size + (list[size] == ':');
    }
    return false;
}

static int walk_path(struct walk *w, const char *path) {
    char name[NAME_MAX + 1];
    bool end = false;
    int err = SAGGAR_OK;
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof w->rest) {
        return stuck(w, "", size == 0 ? SAGGAR_EINVAL : SAGGAR_ELIMIT);
    }
    if (path[0] != '/') {
        if (getcwd(w->rest, sizeof w->rest) == NULL || w->rest[0] != '/') {
            return stuck(w, "", SAGGAR_ENOTFOUND);
        }
        size_t cwd = strlen(w->rest);
        if (cwd + 1 + size >= sizeof w->rest) {
            return stuck(w, "", SAGGAR_ELIMIT);
        }
        w->rest[cwd] = '/';
        memcpy(w->rest + cwd + 1, path, size + 1);
    } else {
        memcpy(w->rest, path, size + 1);
    }
    err = enter_root(w);
    while (err == SAGGAR_OK && !end && next_name(w, name, &err)) {
        err = step(w, name, &end);
    }
    return err;
}

int sg_trust_check(const char *path, const char *prefix, struct sg_trust_verdict *out) {
    memset(out, 0, sizeof *out);
    struct walk *w = path != NULL ? calloc(1, sizeof *w) : NULL;
    if (w == NULL) {
        snprintf(out->reason, sizeof out->reason, "%s", path != NULL ? "out of memory" : "no path");
        return path != NULL ? SAGGAR_ENOMEM : SAGGAR_EINVAL;
    }
    out->trusted = true;
    w->out = out;
    sg_trust_owners(prefix, &w->owners);
    int err = walk_path(w, path);
    if (!out->trusted && (err == SAGGAR_OK || err == SAGGAR_ENOTFOUND) && is_overridden(w->at)) {
        out->trusted = true;
        out->by_override = true;
    }
    free(w);
    return err;
}

int sg_trust_check_fd(int fd, const char *prefix, struct sg_trust_verdict *out) {
    struct sg_trust_owners owners;
    struct stat st;
    char why[128], self[64], path[PATH_MAX];
    memset(out, 0, sizeof *out);
    if (fstat(fd, &st) != 0) {
        int err = sg_err_from_errno(errno);
        snprintf(out->reason, sizeof out->reason, "%s", saggar_strerror(err));
        return err;
    }
    if (!S_ISREG(st.st_mode)) {
        snprintf(out->reason, sizeof out->reason, "the file is not a regular file");
        return SAGGAR_EINVAL;
    }
    sg_trust_owners(prefix, &owners);
    out->trusted = sg_trust_grade(&owners, fd, NULL, &st, why, sizeof why) == SG_TRUST_YES;
    if (!out->trusted) {
        snprintf(out->reason, sizeof out->reason, "the file %s", why);
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(self, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        out->trusted = out->by_override = path[0] == '/' && is_overridden(path);
    }
    return SAGGAR_OK;
}

int sg_trust_path(const char *path, char *why, size_t size) {
    struct sg_trust_verdict verdict;
    int err = sg_trust_check(path, NULL, &verdict);
    if (err == SAGGAR_OK && !verdict.trusted) {
        err = SAGGAR_EUNTRUSTED;
    }
    if (why != NULL && size > 0) {
        snprintf(why, size, "%s", err != SAGGAR_OK ? verdict.reason : "");
    }
    return err;
}

bool sg_home_is_foreign(void) {
    struct stat st;
    const char *home = secure_getenv("HOME");
    if (home == NULL) {
        return getenv("HOME") != NULL; /* set-uid */
    }
    return *home != '\0' && stat(home, &st) == 0 && st.st_uid != geteuid();
}
