/*
 * The n-th call fails: the library's own calls are answered here. Each test that includes it names the calls
 * in its meson.build (nth_wraps); one that it does not use is not wrapped there and costs nothing.
 */
#ifndef SG_TESTS_CACHE_NTH_H
#define SG_TESTS_CACHE_NTH_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "make.h"

#if defined(__SANITIZE_ADDRESS__) || SG_TEST_ASAN
#include <sanitizer/lsan_interface.h>
#else
static int __lsan_do_recoverable_leak_check(void) {
    return 0;
}
#endif

/* ---- The calls that fail ---- */

static long left = -1; /* calls until the one that fails; below 0: none does */
static const char *failed;
static int with;

static bool fails(const char *name) {
    if (left < 0 || left-- != 0)
        return false;
    failed = name;
    errno = with;
    return true;
}

#define WRAP(type, name, parameters, arguments, failure)                                                     \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters {                                                                          \
        return fails(#name) ? failure : __real_##name arguments;                                             \
    }

WRAP(void *, malloc, (size_t n), (n), NULL)
WRAP(void *, calloc, (size_t n, size_t m), (n, m), NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL)
WRAP(void *, reallocarray, (void *p, size_t n, size_t m), (p, n, m), NULL)
WRAP(void *, aligned_alloc, (size_t a, size_t n), (a, n), NULL)
WRAP(char *, strdup, (const char *s), (s), NULL)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), NULL)
WRAP(char *, realpath, (const char *p, char *q), (p, q), NULL)
WRAP(char *, getcwd, (char *p, size_t n), (p, n), NULL)
WRAP(FILE *, open_memstream, (char **p, size_t *n), (p, n), NULL)
WRAP(int, open64, (const char *p, int f, mode_t m), (p, f, m), -1)
WRAP(int, openat64, (int d, const char *p, int f, mode_t m), (d, p, f, m), -1)
WRAP(int, fcntl64, (int d, int c, void *p), (d, c, p), -1)
WRAP(int, fstat64, (int d, struct stat *s), (d, s), -1)
WRAP(int, stat64, (const char *p, struct stat *s), (p, s), -1)
WRAP(int, lstat64, (const char *p, struct stat *s), (p, s), -1)
WRAP(int, fstatat64, (int d, const char *p, struct stat *s, int f), (d, p, s, f), -1)
WRAP(int, fstatfs64, (int d, void *s), (d, s), -1)
WRAP(int, fstatvfs64, (int d, void *s), (d, s), -1)
WRAP(int, faccessat, (int d, const char *p, int m, int f), (d, p, m, f), -1)
WRAP(int, fchmod, (int d, mode_t m), (d, m), -1)
WRAP(int, fsync, (int d), (d), -1)
WRAP(int, fdatasync, (int d), (d), -1)
WRAP(int, flock, (int d, int o), (d, o), -1)
WRAP(int, linkat, (int d, const char *p, int e, const char *q, int f), (d, p, e, q, f), -1)
WRAP(int, renameat, (int d, const char *p, int e, const char *q), (d, p, e, q), -1)
WRAP(int, renameat2, (int d, const char *p, int e, const char *q, unsigned f), (d, p, e, q, f), -1)
WRAP(int, unlinkat, (int d, const char *p, int f), (d, p, f), -1)
WRAP(int, mkdir, (const char *p, mode_t m), (p, m), -1)
WRAP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m), -1)
WRAP(int, posix_fallocate64, (int d, off_t o, off_t n), (d, o, n), with)
WRAP(int, getrlimit64, (int r, void *l), (r, l), -1)
WRAP(int, pthread_create, (void *t, const void *a, void *f, void *c), (t, a, f, c), EAGAIN)
WRAP(void *, mmap64, (void *p, size_t n, int r, int f, int d, off_t o), (p, n, r, f, d, o), MAP_FAILED)
WRAP(ssize_t, read, (int d, void *p, size_t n), (d, p, n), -1)
WRAP(ssize_t, pread64, (int d, void *p, size_t n, off_t o), (d, p, n, o), -1)
WRAP(ssize_t, readlink, (const char *p, char *q, size_t n), (p, q, n), -1)
WRAP(ssize_t, getrandom, (void *p, size_t n, unsigned f), (p, n, f), -1)
WRAP(DIR *, opendir, (const char *p), (p), NULL)
WRAP(DIR *, fdopendir, (int d), (d), NULL)
WRAP(struct dirent *, readdir64, (DIR * d), (d), NULL)

/* A write that fails may have written a part; a close that fails has closed. */
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n) {
    if (!fails("write"))
        return __real_write(fd, p, n);
    return n > 8 && with == EINTR ? __real_write(fd, p, 7) : -1;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd) {
    bool bad = fails("close");
    int result = __real_close(fd);
    if (bad)
        errno = with;
    return bad ? -1 : result;
}

/* Open files, but for lock files: those live as long as the process (tests/cache/test_claims.c). */
static unsigned descriptors(void) {
    unsigned n = 0;
    DIR *d = __real_opendir("/proc/self/fd");
    assert_non_null(d);
    for (struct dirent *e; (e = __real_readdir64(d)) != NULL;) {
        char path[300], target[300];
        snprintf(path, sizeof path, "/proc/self/fd/%.16s", e->d_name);
        ssize_t size = __real_readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        n += strstr(target, "/v1/claims") == NULL;
    }
    closedir(d);
    return n;
}

#endif
