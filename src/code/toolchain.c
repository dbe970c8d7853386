/*
 * Which compiler is it? See toolchain.h. Files are mapped for reading as long as they are looked at; nothing
 * is run. What cannot be read makes no identity: the caller then knows of no compiler.
 */
#include "code/toolchain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <saggar/saggar.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "code/dynamic.h"
#include "code/library.h"

enum { PATH_SIZE = 4096, SCRIPTS = 3, SCRIPT_MAX = 1 << 20 };

/** What an identity is being made of. */
struct identity {
    struct sg_sha256_ctx sha256;
    char name[SAGGAR_TOOLCHAIN_NAME];
    unsigned depth; /**< scripts inside each other */
    bool cxx;       /**< the driver compiles C++ alone */
    int err;
};

struct content {
    const uint8_t *bytes;
    size_t size;
};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* ---- Programs ---- */

static bool is_program(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int sg_program_find(const char *name, size_t n, const char *list, char *path) {
    if (n == 0 || n >= PATH_SIZE)
        return SAGGAR_ENOTFOUND;
    if (memchr(name, '/', n) != NULL) {
        snprintf(path, PATH_SIZE, "%.*s", (int)n, name);
        return is_program(path) ? SAGGAR_OK : SAGGAR_ENOTFOUND;
    }
    for (const char *at = list; at != NULL && *at != '\0'; at += *at == ':') {
        size_t length = strcspn(at, ":");
        int size = length > 0 && length < PATH_SIZE
                       ? snprintf(path, PATH_SIZE, "%.*s/%.*s", (int)length, at, (int)n, name)
                       : 0;
        if (size > 0 && size < PATH_SIZE && is_program(path))
            return SAGGAR_OK;
        at += length;
    }
    return SAGGAR_ENOTFOUND;
}

/* Programs that call the compiler given to them, or the next one of their own name. */
static bool is_launcher(const char *path) {
    static const char *const names[] = {"ccache", "sccache", "distcc", "icecc", "gomacc", "kache"};
    char real[PATH_SIZE];
    const char *name = base_name(realpath(path, real) != NULL ? real : path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* A name in `list`, launchers that bear the compiler's name passed over. */
static int find_behind(const char *name, size_t n, const char *list, char *path) {
    while (sg_program_find(name, n, list, path) == SAGGAR_OK) {
        if (!is_launcher(path))
            return SAGGAR_OK;
        size_t folder = (size_t)(base_name(path) - path) - 1;
        const char *at = memchr(name, '/', n) == NULL ? list : NULL;
        while (at != NULL && *at != '\0' && (strcspn(at, ":") != folder || strncmp(at, path, folder) != 0)) {
            at += strcspn(at, ":");
            at += *at == ':';
        }
        if (at == NULL || *at == '\0')
            break;
        at += folder;
        list = at + (*at == ':');
    }
    return SAGGAR_ENOTFOUND;
}

/* The compiler of a command such as "ccache g++ -m64". */
static int find_command(const char *command, const char *list, char *path) {
    static const char blank[] = " \t\n";
    for (const char *at = command + strspn(command, blank); *at != '\0'; at += strspn(at, blank)) {
        size_t n = strcspn(at, blank);
        int err = sg_program_find(at, n, list, path);
        if (err != SAGGAR_OK || !is_launcher(path))
            return err;
        const char *behind = at + n + strspn(at + n, blank);
        if (*behind == '\0' || *behind == '-')
            return find_behind(at, n, list, path);
        at += n;
    }
    return SAGGAR_ENOTFOUND;
}

/* ---- Contents ---- */

static bool content_open(const char *path, struct content *out) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    void *p = MAP_FAILED;
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    *out = (struct content){p, p == MAP_FAILED ? 0 : (size_t)st.st_size};
    return p != MAP_FAILED;
}

static void content_close(struct content *c) {
    munmap((void *)(uintptr_t)c->bytes, c->size);
}

static void add(struct identity *id, const char *role, const struct content *c) {
    unsigned char sha256[SG_SHA256_SIZE];
    int err = sg_sha256(sha256, c->bytes, c->size);
    if (err == SAGGAR_OK)
        err = sg_sha256_update(&id->sha256, role, strlen(role) + 1);
    if (err == SAGGAR_OK)
        err = sg_sha256_update(&id->sha256, sha256, sizeof sha256);
    if (id->err == SAGGAR_OK)
        id->err = err;
}

/* A file that may be there or not; formatted as by printf. */
__attribute__((format(printf, 3, 4))) static bool add_file(struct identity *id, const char *role,
                                                           const char *format, ...) {
    char path[PATH_SIZE];
    struct content c;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof path || !content_open(path, &c))
        return false;
    add(id, role, &c);
    content_close(&c);
    return true;
}

static bool holds(const struct content *c, const char *text) {
    return memmem(c->bytes, c->size, text, strlen(text) + 1) != NULL; /* with the zero byte behind it */
}

/* ---- GCC ---- */

static void add_gcc_version(struct identity *id, const char *folder, const char *prefix, const char *triple,
                            const char *version) {
    snprintf(id->name, sizeof id->name, "gcc %.60s %.40s", version, triple);
    add_file(id, "cc1plus", "%s/%s/%s/cc1plus", folder, triple, version);
    if (!id->cxx)
        add_file(id, "cc1", "%s/%s/%s/cc1", folder, triple, version);
    add_file(id, "collect2", "%s/%s/%s/collect2", folder, triple, version);
    if (!add_file(id, "libstdc++", "%s/include/%s/c++/%s/bits/c++config.h", prefix, triple, version))
        add_file(id, "libstdc++", "%s/include/c++/%s/%s/bits/c++config.h", prefix, version, triple);
}

/* GCC's driver names its triple and its version; it looks for the rest of it below its prefix. */
static void add_gcc(struct identity *id, const struct content *driver, const char *prefix) {
    static const char *const places[] = {"lib/gcc", "libexec/gcc", "lib64/gcc"};
    char folder[PATH_SIZE], inner[PATH_SIZE];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct dirent **triples, **versions;
        if (snprintf(folder, sizeof folder, "%s/%s", prefix, places[i]) >= (int)sizeof folder)
            continue;
        int n = scandir(folder, &triples, NULL, alphasort);
        for (int t = 0; t < n; t++) {
            const char *triple = triples[t]->d_name;
            int m = -1;
            if (triple[0] != '.' && holds(driver, triple) &&
                snprintf(inner, sizeof inner, "%s/%s", folder, triple) < (int)sizeof inner)
                m = scandir(inner, &versions, NULL, alphasort);
            for (int v = 0; v < m; v++) {
                if (versions[v]->d_name[0] != '.' && holds(driver, versions[v]->d_name))
                    add_gcc_version(id, folder, prefix, triple, versions[v]->d_name);
                free(versions[v]);
            }
            if (m >= 0)
                free(versions);
            free(triples[t]);
        }
        if (n >= 0)
            free(triples);
    }
}

/* ---- Clang ---- */

struct library {
    struct identity *id;
    const char *folder; /**< the driver's */
};

static int add_library(void *context, const char *soname) {
    struct library *l = context;
    char path[PATH_SIZE];
    if (strncmp(soname, "libLLVM", 7) != 0 && strncmp(soname, "libclang", 8) != 0)
        return 0;
    if (strncmp(soname, "libLLVM", 7) == 0)
        snprintf(l->id->name, sizeof l->id->name, "clang %.100s", soname);
    if (!add_file(l->id, soname, "%s/../lib/%s", l->folder, soname) &&
        sg_library_find(soname, path, sizeof path))
        add_file(l->id, soname, "%s", path);
    return 0;
}

static void add_libraries(struct identity *id, const struct content *driver, const char *folder) {
    struct library library = {id, folder};
    struct sg_dynamic d;
    if (sg_dynamic_open(driver->bytes, driver->size, &d) == SAGGAR_OK)
        (void)sg_dynamic_needed(&d, add_library, &library);
}

/* ---- Any ---- */

static void add_program(struct identity *id, const char *path);

/* The programs that a script names by absolute paths. */
static void add_named(struct identity *id, const struct content *script) {
    static const char ends[] = " \t\r\n\"'`;&|<>(){}$=,:";
    char path[PATH_SIZE];
    for (size_t i = 0; i < script->size && i < SCRIPT_MAX; i++) {
        size_t n = 0;
        if (script->bytes[i] != '/' || (i > 0 && strchr(ends, script->bytes[i - 1]) == NULL))
            continue;
        while (i + n < script->size && n + 1 < sizeof path && script->bytes[i + n] != '\0' &&
               strchr(ends, script->bytes[i + n]) == NULL)
            n++;
        memcpy(path, script->bytes + i, n);
        path[n] = '\0';
        if (is_program(path) && !is_launcher(path))
            add_program(id, path);
        i += n;
    }
}

static void add_binary(struct identity *id, const struct content *driver, char *real) {
    char *slash = strrchr(real, '/');
    *slash = '\0'; /* the folder */
    add_libraries(id, driver, real);
    char *up = strrchr(real, '/');
    if (up == NULL)
        return;
    add_file(id, "as", "%s/as", real);
    add_file(id, "ld", "%s/ld", real);
    *up = '\0'; /* the prefix; "" stands for the root */
    add_gcc(id, driver, real);
    add_file(id, "libc", "%s/include/features.h", real);
}

static void add_program(struct identity *id, const char *path) {
    char real[PATH_SIZE];
    struct content c;
    if (realpath(path, real) == NULL || !content_open(real, &c)) {
        id->err = sg_err_from_errno(ENOENT);
        return;
    }
    add(id, "program", &c);
    if (id->name[0] == '\0')
        snprintf(id->name, sizeof id->name, "%.100s", base_name(real));
    if (c.size >= 4 && memcmp(c.bytes, "\177ELF", 4) == 0) {
        add_binary(id, &c, real);
    } else if (id->depth < SCRIPTS) {
        id->depth++;
        add_named(id, &c);
        id->depth--;
    }
    content_close(&c);
}

int saggar_toolchain_find(const char *command, const char *list, saggar_toolchain *out) {
    static const char *const usual[] = {"c++", "g++", "clang++"}; /* CMake's order, of what runs here */
    struct identity id = {.depth = 0};
    if (out == NULL)
        return SAGGAR_EINVAL;
    if (list == NULL)
        list = getenv("PATH");
    int err = SAGGAR_ENOTFOUND;
    if (command != NULL && command[strspn(command, " \t\n")] != '\0')
        err = find_command(command, list, out->path);
    else
        for (size_t i = 0; err != SAGGAR_OK && i < sizeof usual / sizeof usual[0]; i++)
            err = find_behind(usual[i], strlen(usual[i]), list, out->path);
    if (err == SAGGAR_OK)
        err = sg_sha256_init(&id.sha256);
    if (err != SAGGAR_OK)
        return err;
    id.cxx = strstr(base_name(out->path), "++") != NULL;
    add_program(&id, out->path);
    err = sg_sha256_final(&id.sha256, out->sha256);
    memcpy(out->name, id.name, sizeof out->name);
    return id.err != SAGGAR_OK ? id.err : err;
}
