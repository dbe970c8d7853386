/* Trails that are kept; see kept.h. */
#include "cli/kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/args.h"
#include "cli/events.h"
#include "cli/out.h"
#include "cli/proc.h"

enum { KEEP_DIRS = 32, KEEP_STORES = 64 };
static const uint64_t keep_bytes = UINT64_C(64) << 20;

char *cli_state_dir(void) {
    char path[PATH_MAX];
    sg_trail_log_path(path, sizeof path);
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    return out_strdup(path);
}

static char *store_dir(const char *store) {
    char tag[17], *state = cli_state_dir(), *path = NULL, real[PATH_MAX];
    unsigned char digest[32];
    if (state == NULL)
        return NULL;
    if (store == NULL) {
        path = out_format("%s/trails/private", state);
    } else {
        const char *name = realpath(store, real) != NULL ? real : store;
        if (sg_sha256(digest, name, strlen(name)) == SAGGAR_OK) {
            sg_hex(tag, digest, 8);
            path = out_format("%s/trails/%s", state, tag);
        }
    }
    free(state);
    return path;
}

static void write_about(const char *dir, const char *kind, const char *store, const char *what) {
    char *path = out_format("%s/about", dir);
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        fprintf(file, "%s\n", kind);
        out_put(file, store == NULL ? "" : store);
        fprintf(file, "\n%s\n", what);
        fclose(file);
    }
    free(path);
}

/* Why no file as large as a trail can be made in dir; 0: one can. A trail is allocated whole before it is
 * used. */
static int room_for_trail(const char *dir) {
    struct rlimit limit;
    char name[SG_TEMP_NAME_MAX];
    int fd, error = 0, at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return errno;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < SG_TRAIL_SEGMENT) {
        error = EFBIG; /* a write beyond it would end this process */
    } else if (sg_temp_open(at, ".room-", name, &fd) != SAGGAR_OK) {
        error = errno;
    } else {
        error = posix_fallocate(fd, 0, SG_TRAIL_SEGMENT);
        unlinkat(at, name, 0);
        close(fd);
    }
    close(at);
    return error;
}

/* trails/<store>/<time>-<kind>-<pid>; NULL if it cannot be made or used, *why then says so (malloc'd). */
static char *make_home(const char *store, const char *kind, char **why) {
    char stamp[32] = "";
    struct tm tm;
    time_t now = time(NULL);
    char *above = store_dir(store), *home = NULL;
    if (above == NULL) {
        *why = out_strdup("there is no state directory: HOME is not set, or belongs to another user");
        return NULL;
    }
    if (gmtime_r(&now, &tm) != NULL)
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", &tm);
    home = out_format("%s/%s-%s-%ld", above, stamp, kind, (long)getpid());
    int error = sg_make_dirs(home, 0700) == SAGGAR_OK ? room_for_trail(home) : errno;
    if (error != 0) {
        *why = out_format("%s: %s", above, strerror(error));
        rmdir(home);
        free(home);
        home = NULL;
    }
    free(above);
    return home;
}

char *cli_kept_trouble(const struct cli_kept *kept) {
    int error = kept->work != NULL ? room_for_trail(kept->work) : 0;
    return error == 0 ? NULL : out_format("%s: %s", kept->work, strerror(error));
}

static int use_wanted(const char *wanted, struct cli_kept *out) {
    struct stat st;
    if (sg_make_dirs(wanted, 0700) != SAGGAR_OK || stat(wanted, &st) != 0)
        return cli_fail("--trail %s: could not be made: %s", wanted, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return cli_fail("--trail %s: not a directory", wanted);
    int error = access(wanted, W_OK | X_OK) != 0 ? errno : room_for_trail(wanted);
    if (error != 0)
        return cli_fail("--trail %s: trails cannot be written there: %s", wanted, strerror(error));
    out->work = realpath(wanted, NULL);
    if (out->work == NULL)
        return cli_fail("--trail %s: %s", wanted, strerror(errno));
    out->before = cli_trail_names(out->work, &out->n_before);
    return 0;
}

int cli_kept_begin(const char *store, const char *kind, const char *wanted, const char *what,
                   struct cli_kept *out) {
    *out = (struct cli_kept){0};
    if (wanted != NULL) {
        int status = use_wanted(wanted, out);
        if (status != 0)
            return status;
    }
    out->home = make_home(store, kind, &out->unkept);
    if (out->home != NULL)
        write_about(out->home, kind, store, what);
    if (out->work == NULL && out->home != NULL)
        out->work = out_strdup(out->home);
    if (out->work == NULL) {
        out->temporary = true;
        out->work = cli_temp_dir();
    }
    if (out->work != NULL)
        return 0;
    return cli_fail("no directory for the trail can be made: %s; set TMPDIR to one that is writable",
                    strerror(errno));
}

char *cli_kept_hindered(const struct cli_kept *kept, size_t processes, size_t unreadable, uint64_t lost) {
    if (processes > 0 && unreadable == 0 && lost == 0)
        return NULL;
    char *now = cli_kept_trouble(kept);
    if (now != NULL || unreadable == 0)
        return now;
    return out_format("%s: the disk was full, or a process may not write so large a file", kept->work);
}

void cli_unkept_note(const struct cli_kept *kept) {
    cli_note("the trail is not kept: %s; `saggar why` and `saggar bake` will not see it (set XDG_STATE_HOME, "
             "or give "
             "--trail DIR)",
             kept->unkept != NULL ? kept->unkept : "");
}

/* ---- The end ---- */

/* The bytes of a trail file that hold something. */
static size_t used_bytes(const unsigned char *data, size_t size) {
    struct sg_trail_record record;
    size_t at = SG_TRAIL_HEADER;
    if (size < SG_TRAIL_HEADER)
        return size;
    int err;
    while ((err = sg_trail_parse(data + at, size - at, &record)) == SAGGAR_OK)
        at += record.size;
    return err == SAGGAR_ENOTFOUND ? at : size;
}

/* A file of its own under the same name: a process that still maps the old one is not harmed. */
static bool copy_trail(const char *from, const char *to, uint64_t *bytes) {
    unsigned char *data;
    size_t size;
    bool done = false;
    if (sg_read_all_at(AT_FDCWD, from, SG_TRAIL_SEGMENT, &data, &size, NULL) != SAGGAR_OK)
        return false;
    size_t used = used_bytes(data, size);
    char *temp = out_format("%s.new", to);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        done = sg_write_all(fd, data, used) == SAGGAR_OK;
        done = close(fd) == 0 && done && rename(temp, to) == 0;
        if (!done)
            unlink(temp);
    }
    *bytes += done ? used : 0;
    free(temp);
    free(data);
    return done;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool cli_kept_is_old(const struct cli_kept *kept, const char *file) {
    return kept->n_before > 0 &&
           bsearch(&file, kept->before, kept->n_before, sizeof *kept->before, by_text) != NULL;
}

static bool is_trail(const char *name) {
    size_t n = strlen(name);
    return n > 6 && strcmp(name + n - 6, ".trail") == 0;
}

static int no_dots(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Copies the new trails of a directory, shrunk; beyond the bound they are left out. */
static void copy_tree(const struct cli_kept *kept, const char *from, const char *to, int level,
                      uint64_t *bytes) {
    struct dirent **names = NULL;
    struct stat st;
    int n = scandir(from, &names, no_dots, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        char *a = out_format("%s/%s", from, name), *b = out_format("%s/%s", to, name);
        bool old = cli_kept_is_old(kept, name);
        if (lstat(a, &st) == 0 && S_ISDIR(st.st_mode) && level < 4) {
            if (sg_make_dirs(b, 0700) == SAGGAR_OK)
                copy_tree(kept, a, b, level + 1, bytes);
            rmdir(b); /* nothing came */
        } else if (is_trail(name) && !old) {
            if (*bytes <= keep_bytes)
                copy_trail(a, b, bytes);
            else if (strcmp(from, to) == 0)
                unlink(a);
        }
        free(a);
        free(b);
        free(names[i]);
    }
    free(names);
}

static uint64_t tree_bytes(const char *dir, int level) {
    uint64_t bytes = 0;
    struct dirent **names = NULL;
    struct stat st;
    int n = scandir(dir, &names, no_dots, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = out_format("%s/%s", dir, names[i]->d_name);
        if (lstat(path, &st) == 0)
            bytes += S_ISDIR(st.st_mode) && level < 4 ? tree_bytes(path, level + 1) : (uint64_t)st.st_size;
        free(path);
        free(names[i]);
    }
    free(names);
    return bytes;
}

/* Removes the oldest of the directories beside `home`; they are named by their time. */
static void remove_old(const char *home) {
    char *above = out_strdup(home);
    *strrchr(above, '/') = '\0';
    struct dirent **names = NULL;
    uint64_t bytes = 0;
    int n = scandir(above, &names, no_dots, alphasort);
    for (int i = n - 1; i >= 0; i--) {
        char *path = out_format("%s/%s", above, names[i]->d_name);
        bytes += tree_bytes(path, 1);
        if (strcmp(path, home) != 0 && (n - i > KEEP_DIRS || bytes > 2 * keep_bytes))
            cli_remove_tree(path);
        free(path);
        free(names[i]);
    }
    free(names);
    free(above);
}

static int older_first(const struct dirent **a, const struct dirent **b) {
    return alphasort(a, b);
}

/* Stores that are gone leave their trails behind: the directories changed longest ago go. */
static void remove_old_stores(const char *trails, const char *home) {
    struct dirent **names = NULL;
    struct stat st;
    int n = scandir(trails, &names, no_dots, older_first), left = n;
    while (left > KEEP_STORES) {
        int oldest = -1;
        time_t when = 0;
        for (int i = 0; i < n; i++) {
            char *path = out_format("%s/%s", trails, names[i]->d_name);
            bool here = names[i]->d_name[0] != '\0' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
                        strncmp(path, home, strlen(path)) != 0;
            if (here && (oldest < 0 || st.st_mtime < when)) {
                oldest = i;
                when = st.st_mtime;
            }
            free(path);
        }
        if (oldest < 0)
            break;
        char *path = out_format("%s/%s", trails, names[oldest]->d_name);
        cli_remove_tree(path);
        free(path);
        left--;
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

/* trails/last -> <store>/<run> */
static void point_last(const char *home) {
    char *trails = out_strdup(home);
    *strrchr(trails, '/') = '\0';
    char *slash = strrchr(trails, '/');
    const char *target = home + (slash - trails) + 1;
    *slash = '\0';
    char *temp = out_format("%s/.last-%ld", trails, (long)getpid()), *last = out_format("%s/last", trails);
    unlink(temp);
    if (symlink(target, temp) != 0 || rename(temp, last) != 0)
        unlink(temp);
    remove_old_stores(trails, home);
    free(temp);
    free(last);
    free(trails);
}

void cli_kept_end(struct cli_kept *kept, bool keep) {
    uint64_t bytes = 0;
    if (kept->home != NULL && !keep)
        cli_remove_tree(kept->home);
    else if (kept->home != NULL) {
        copy_tree(kept, kept->work, kept->home, 1, &bytes);
        remove_old(kept->home);
        point_last(kept->home);
    }
    if (kept->temporary && kept->work != NULL)
        cli_remove_tree(kept->work);
    free(kept->work);
    free(kept->home);
    free(kept->unkept);
    for (size_t i = 0; i < kept->n_before; i++)
        free((char *)(uintptr_t)kept->before[i]);
    free(kept->before);
    *kept = (struct cli_kept){0};
}

/* ---- Reading ---- */

char *cli_kept_last(void) {
    char *state = cli_state_dir();
    if (state == NULL)
        return NULL;
    char *path = out_format("%s/trails/last", state), *real = realpath(path, NULL);
    free(path);
    free(state);
    return real;
}

char *cli_kept_of_store(const char *store) {
    char *path = store_dir(store);
    struct stat st;
    if (path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return path;
    free(path);
    return NULL;
}

char *cli_kept_about(const char *dir) {
    char *path = out_format("%s/about", dir);
    unsigned char *data;
    size_t size;
    int err = sg_read_all_at(AT_FDCWD, path, 1 << 16, &data, &size, NULL);
    free(path);
    if (err != SAGGAR_OK)
        return out_strdup("");
    char *text = out_alloc(size + 1);
    memcpy(text, data, size);
    free(data);
    return text;
}
