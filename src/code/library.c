/*
 * Where the dynamic linker finds a library, in its order: what is loaded already, LD_LIBRARY_PATH, the
 * linker's cache (/etc/ld.so.cache), the system's folders. Files are mapped for reading as long as they are
 * looked at.
 */
#include "code/library.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <saggar/saggar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "code/dynamic.h"

#define CACHE_FILE "/etc/ld.so.cache"
#define CACHE_MAGIC "glibc-ld.so.cache1.1"

enum { CACHE_HEADER = 48, CACHE_ROW = 24, FILE_MAX = 1 << 30 };

/* ---- Files ---- */

struct file {
    const uint8_t *bytes;
    size_t size;
};

static bool map_file(const char *path, struct file *out) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    void *p = MAP_FAILED;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= FILE_MAX)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    *out = (struct file){p, p == MAP_FAILED ? 0 : (size_t)st.st_size};
    return p != MAP_FAILED;
}

static void unmap_file(struct file *file) {
    munmap((void *)(uintptr_t)file->bytes, file->size);
}

static uint16_t own_machine(void) {
#if defined(__x86_64__)
    return EM_X86_64;
#else
    return EM_AARCH64;
#endif
}

static bool is_library(const char *path) {
    struct file file;
    struct sg_dynamic d;
    if (!map_file(path, &file))
        return false;
    bool good = sg_dynamic_open(file.bytes, file.size, &d) == SAGGAR_OK && d.machine == own_machine();
    unmap_file(&file);
    return good;
}

/* ---- Loaded already ---- */

struct asked {
    const char *soname;
    char *path;
    size_t size;
};

static int compare_loaded(struct dl_phdr_info *info, size_t size, void *context) {
    struct asked *a = context;
    (void)size;
    const char *slash = strrchr(info->dlpi_name, '/');
    if (slash == NULL || strcmp(slash + 1, a->soname) != 0 || strlen(info->dlpi_name) >= a->size)
        return 0;
    memcpy(a->path, info->dlpi_name, strlen(info->dlpi_name) + 1);
    return 1;
}

/* ---- Folders ---- */

static bool in_folder(const char *folder, size_t n, struct asked *a) {
    int length = snprintf(a->path, a->size, "%.*s/%s", (int)n, folder, a->soname);
    return length > 0 && (size_t)length < a->size && is_library(a->path);
}

/* Folders separated by colons or semicolons. */
static bool in_folders(const char *list, struct asked *a) {
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, ":;");
        if (n > 0 && n < 4096 && in_folder(list, n, a))
            return true;
        list += n;
        list += *list != '\0';
    }
    return false;
}

/* ---- The linker's cache ---- */

static const char *cache_string(const struct file *f, uint32_t at) {
    return at < f->size && memchr(f->bytes + at, 0, f->size - at) != NULL ? (const char *)f->bytes + at
                                                                          : NULL;
}

static bool in_cache(struct asked *a) {
    struct file f;
    bool found = false;
    if (!map_file(CACHE_FILE, &f))
        return false;
    if (f.size >= CACHE_HEADER && memcmp(f.bytes, CACHE_MAGIC, sizeof CACHE_MAGIC - 1) == 0) {
        uint64_t rows = sg_load32(f.bytes + 20), most = (f.size - CACHE_HEADER) / CACHE_ROW;
        for (uint64_t i = 0; !found && i < rows && i < most; i++) {
            const uint8_t *row = f.bytes + CACHE_HEADER + i * CACHE_ROW;
            const char *name = cache_string(&f, sg_load32(row + 4));
            const char *path = cache_string(&f, sg_load32(row + 8));
            if (name == NULL || path == NULL || strcmp(name, a->soname) != 0 || strlen(path) >= a->size)
                continue;
            memcpy(a->path, path, strlen(path) + 1);
            found = is_library(a->path);
        }
    }
    unmap_file(&f);
    return found;
}

bool sg_library_find(const char *soname, char *path, size_t size) {
    struct asked a = {soname, path, size};
    if (soname[0] == '\0' || strchr(soname, '/') != NULL)
        return false;
    return dl_iterate_phdr(compare_loaded, &a) != 0 || in_folders(secure_getenv("LD_LIBRARY_PATH"), &a) ||
           in_cache(&a) ||
#if defined(__x86_64__)
           in_folders("/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib", &a);
#else
           in_folders("/lib/aarch64-linux-gnu:/usr/lib/aarch64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib",
                      &a);
#endif
}

/* ---- Versions ---- */

struct wanted {
    const char *version;
    bool found;
};

static int compare_version(void *context, const char *version) {
    struct wanted *w = context;
    w->found = strcmp(version, w->version) == 0;
    return w->found;
}

bool sg_library_defines(const char *path, const char *const *versions, size_t n, const char **missing) {
    struct file file;
    struct sg_dynamic d;
    bool all = map_file(path, &file);
    if (missing != NULL)
        *missing = n > 0 ? versions[0] : "";
    if (!all)
        return false;
    all = sg_dynamic_open(file.bytes, file.size, &d) == SAGGAR_OK;
    for (size_t i = 0; all && i < n; i++) {
        struct wanted w = {versions[i], false};
        (void)sg_dynamic_versions_defined(&d, compare_version, &w);
        all = w.found;
        if (missing != NULL && !all)
            *missing = versions[i];
    }
    unmap_file(&file);
    return all;
}
