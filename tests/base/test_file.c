/* Whole files, folders and temporaries; system calls that are interrupted, cut short or refused. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "saggar/saggar.h"

/* The linker sends the library's calls here (--wrap). */
static enum { PLAIN, CHOPPY, FULL, GROWS, SHRINKS } mode;
static int calls;
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at);

ssize_t __wrap_write(int fd, const void *p, size_t n) {
    calls++;
    if (mode == CHOPPY && calls % 2 == 1) {
        errno = EINTR;
        return -1;
    }
    if (mode == FULL && calls > 1) {
        errno = ENOSPC;
        return -1;
    }
    return __real_write(fd, p, (mode == CHOPPY || mode == FULL) && n > 3 ? 3 : n);
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at) {
    calls++;
    if (mode == CHOPPY && calls % 2 == 1) {
        errno = EINTR;
        return -1;
    }
    if (mode == GROWS) {
        memset(p, 'x', n);
        return (ssize_t)n;
    }
    if (mode == SHRINKS)
        return at == 0 ? 1 : 0;
    return __real_pread(fd, p, mode == CHOPPY && n > 3 ? 3 : n, at);
}

ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at) {
    return __wrap_pread(fd, p, n, at);
}

static char root[] = "/tmp/saggar-test-XXXXXX";
static int dir = -1;

static int set_up(void **state) {
    (void)state;
    if (mkdtemp(root) == NULL)
        return -1;
    dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    close(dir);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void put_file(const char *name, const char *text) {
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(sg_write_all(fd, text, strlen(text)), SAGGAR_OK);
    assert_int_equal(close(fd), 0);
}

static int read_file(const char *name, size_t max, const char *want) {
    unsigned char *data = NULL;
    size_t size = 0;
    struct stat st;
    int err = sg_read_all_at(dir, name, max, &data, &size, &st);
    if (err != SAGGAR_OK) {
        assert_null(data);
        return err;
    }
    assert_int_equal(size, strlen(want));
    assert_int_equal(st.st_size, strlen(want));
    assert_memory_equal(data, want, size);
    free(data);
    return SAGGAR_OK;
}

static void test_read(void **state) {
    (void)state;
    put_file("a", "hello, kiln");
    put_file("empty", "");
    assert_int_equal(read_file("a", 11, "hello, kiln"), SAGGAR_OK);
    assert_int_equal(read_file("a", 10, ""), SAGGAR_ELIMIT);
    assert_int_equal(read_file("empty", 0, ""), SAGGAR_OK);
    assert_int_equal(read_file("absent", 100, ""), SAGGAR_ENOTFOUND);
    assert_int_equal(symlinkat("a", dir, "link"), 0);
    assert_int_equal(read_file("link", 100, ""), SAGGAR_EINVAL);
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    assert_int_equal(read_file("fifo", 100, ""), SAGGAR_EINVAL); /* and does not hang */
    assert_int_equal(mkdirat(dir, "folder", 0700), 0);
    assert_int_equal(read_file("folder", 1 << 20, ""), SAGGAR_EINVAL);
    assert_int_equal(read_file("a/below", 100, ""), SAGGAR_EINVAL);
}

static void test_read_faults(void **state) {
    (void)state;
    put_file("b", "0123456789");
    mode = CHOPPY;
    calls = 0;
    assert_int_equal(read_file("b", 100, "0123456789"), SAGGAR_OK);
    assert_true(calls > 6);
    mode = GROWS;
    assert_int_equal(read_file("b", 100, ""), SAGGAR_ECORRUPT);
    mode = SHRINKS;
    assert_int_equal(read_file("b", 100, ""), SAGGAR_ECORRUPT);
    mode = PLAIN;
    /* The descriptor's offset is neither used nor moved. */
    unsigned char *data = NULL;
    size_t size = 0;
    int fd = openat(dir, "b", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
    assert_int_equal(sg_read_all_fd(fd, 10, &data, &size, NULL), SAGGAR_OK);
    assert_memory_equal(data, "0123456789", 10);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 4);
    free(data);
    close(fd);
}

static void test_write(void **state) {
    (void)state;
    mode = CHOPPY;
    calls = 0;
    put_file("c", "0123456789");
    mode = PLAIN;
    assert_int_equal(read_file("c", 100, "0123456789"), SAGGAR_OK);
    int fd = openat(dir, "d", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    mode = FULL;
    calls = 0;
    assert_int_equal(sg_write_all(fd, "0123456789", 10), SAGGAR_ENOSPACE);
    assert_int_equal(errno, ENOSPC);
    mode = PLAIN;
    close(fd);
    fd = openat(dir, "d", O_RDONLY | O_CLOEXEC);
    assert_true(sg_write_all(fd, "x", 1) < 0);
    assert_int_equal(sg_write_all(fd, NULL, 0), SAGGAR_OK);
    close(fd);
}

static void test_make_dirs(void **state) {
    (void)state;
    char path[128];
    struct stat st;
    mode_t old = umask(022);
    snprintf(path, sizeof path, "%s/p//q/r/", root);
    assert_int_equal(sg_make_dirs(path, 0700), SAGGAR_OK);
    assert_int_equal(sg_make_dirs(path, 0700), SAGGAR_OK);
    assert_int_equal(fstatat(dir, "p", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fstatat(dir, "p/q/r", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    umask(old);
    put_file("file", "x");
    snprintf(path, sizeof path, "%s/file/q", root);
    assert_int_equal(sg_make_dirs(path, 0700), SAGGAR_EINVAL);
    snprintf(path, sizeof path, "%s/file", root);
    assert_int_equal(sg_make_dirs(path, 0700), SAGGAR_EINVAL);
    assert_int_equal(symlinkat("nowhere", dir, "dangling"), 0);
    snprintf(path, sizeof path, "%s/dangling/q", root);
    assert_int_equal(sg_make_dirs(path, 0700), SAGGAR_EEXISTS);
    assert_int_equal(sg_make_dirs("/proc/no/such", 0700), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_make_dirs("/", 0700), SAGGAR_OK);
    assert_int_equal(sg_make_dirs("", 0700), SAGGAR_EINVAL);
    char *far = calloc(1, 5001);
    memset(far, 'a', 5000);
    assert_int_equal(sg_make_dirs(far, 0700), SAGGAR_EINVAL);
    free(far);
}

static void test_temp(void **state) {
    (void)state;
    enum { N = 200 };
    static char name[N][SG_TEMP_NAME_MAX];
    char tag[9];
    struct stat st;
    mode_t old = umask(0);
    sg_host_tag(tag);
    assert_int_equal(strlen(tag), 8);
    for (int i = 0; i < N; i++) {
        int fd = -1;
        assert_int_equal(sg_temp_open(dir, ".tmp-", name[i], &fd), SAGGAR_OK);
        assert_memory_equal(name[i], ".tmp-", 5);
        assert_memory_equal(name[i] + 5, tag, 8);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
        close(fd);
        assert_int_equal(unlinkat(dir, name[i], 0), 0);
        /* Not only clock and process: the random field alone differs too. */
        for (int k = 0; k < i; k++)
            assert_string_not_equal(strrchr(name[i], '-'), strrchr(name[k], '-'));
    }
    umask(old);
    int fd = -1;
    assert_int_equal(sg_temp_name(name[0], "a/b"), SAGGAR_EINVAL);
    assert_int_equal(sg_temp_name(name[0], "12345678901234567"), SAGGAR_EINVAL);
    assert_int_equal(sg_temp_name(name[0], "1234567890123456"), SAGGAR_OK);
    assert_true(sg_temp_open(-1, "x", name[0], &fd) < 0);
}

/* A forked child and its parent, from the same state, pick different names. */
static void test_temp_fork(void **state) {
    (void)state;
    char mine[SG_TEMP_NAME_MAX];
    char theirs[SG_TEMP_NAME_MAX] = "";
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    assert_int_equal(sg_temp_name(mine, ""), SAGGAR_OK);
    if (child == 0)
        _exit(__real_write(ends[1], mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_string_not_equal(mine, theirs);
    close(ends[0]);
    close(ends[1]);
}

static void test_system(void **state) {
    (void)state;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(proc >= 0);
    assert_false(sg_fs_is_network(proc));
    close(proc);
    assert_true(sg_fs_is_network(-1)); /* unknown counts as one */
    uint64_t a = sg_now_ns(CLOCK_MONOTONIC);
    uint64_t b = sg_now_ns(CLOCK_MONOTONIC);
    assert_true(a != 0 && b >= a && b - a < UINT64_C(10000000000));
    assert_true(sg_now_ns(CLOCK_REALTIME) > UINT64_C(1500000000) * 1000000000);
    assert_true(sg_now_ns((clockid_t)9999) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),   cmocka_unit_test(test_read_faults),
        cmocka_unit_test(test_write),  cmocka_unit_test(test_make_dirs),
        cmocka_unit_test(test_temp),   cmocka_unit_test(test_temp_fork),
        cmocka_unit_test(test_system),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
