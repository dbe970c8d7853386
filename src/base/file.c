/* Reading and writing whole files, making folders, clocks; see file.h. Keeps no state. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "saggar/saggar.h"

enum { PATH_LIMIT = 4096 };

/* Reads up to n bytes from offset 0; *got is less only at the end of the file. */
static int read_up_to(int fd, unsigned char *data, size_t n, size_t *got) {
    *got = 0;
    while (*got < n) {
        ssize_t r = pread(fd, data + *got, n - *got, (off_t)*got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return sg_err_from_errno(errno);
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return SAGGAR_OK;
}

int sg_read_all_fd(int fd, size_t max, unsigned char **data, size_t *size, struct stat *st) {
    struct stat local;
    if (st == NULL)
        st = &local;
    if (fstat(fd, st) != 0)
        return sg_err_from_errno(errno);
    if (!S_ISREG(st->st_mode) || st->st_size < 0)
        return SAGGAR_EINVAL;
    if ((uint64_t)st->st_size > max || (uint64_t)st->st_size >= PTRDIFF_MAX)
        return SAGGAR_ELIMIT;

    size_t want = (size_t)st->st_size;
    size_t got;
    unsigned char *bytes = malloc(want + 1);
    if (bytes == NULL)
        return SAGGAR_ENOMEM;
    /* One byte more than fstat() told: it shows a file that has grown. */
    int err = read_up_to(fd, bytes, want + 1, &got);
    if (err == SAGGAR_OK && got != want)
        err = SAGGAR_ECORRUPT;
    if (err != SAGGAR_OK) {
        int saved = errno;
        free(bytes);
        errno = saved;
        return err;
    }
    *data = bytes;
    *size = want;
    return SAGGAR_OK;
}

int sg_read_all_at(int dirfd, const char *name, size_t max, unsigned char **data, size_t *size,
                   struct stat *st) {
    int fd;
    do {
        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return sg_err_from_errno(errno);
    int err = sg_read_all_fd(fd, max, data, size, st);
    int saved = errno;
    close(fd);
    errno = saved;
    return err;
}

int sg_write_all(int fd, const void *p, size_t n) {
    const unsigned char *b = p;
    while (n > 0) {
        ssize_t w = write(fd, b, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return sg_err_from_errno(errno);
        if (w == 0) {
            errno = EIO;
            return SAGGAR_EIO;
        }
        b += w;
        n -= (size_t)w;
    }
    return SAGGAR_OK;
}

bool sg_size_allowed(uint64_t size) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur;
}

int sg_sync_data(int fd) {
    int r;
    do {
        r = fdatasync(fd);
    } while (r != 0 && errno == EINTR);
    /* Never a second try after a real error: it would succeed. */
    if (r == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
        return SAGGAR_OK;
    return sg_err_from_errno(errno);
}

/* One folder. It may exist already, and a read-only or guarded parent need not let us try. */
static int make_dir(const char *path, mode_t mode) {
    struct stat st;
    if (mkdir(path, mode) == 0)
        return SAGGAR_OK;
    int why = errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return SAGGAR_OK;
        errno = ENOTDIR;
        return SAGGAR_EINVAL;
    }
    errno = why; /* EEXIST here: a link that leads nowhere */
    return sg_err_from_errno(errno);
}

int sg_make_dirs(const char *path, mode_t mode) {
    char part[PATH_LIMIT];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part) {
        errno = len ? ENAMETOOLONG : ENOENT;
        return SAGGAR_EINVAL;
    }
    memcpy(part, path, len + 1);
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return SAGGAR_OK;
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        int err = make_dir(part, mode);
        if (err != SAGGAR_OK)
            return err;
        part[i] = '/';
    }
    return make_dir(part, mode);
}

bool sg_fs_is_network(int fd) {
    /* f_type values from linux/magic.h and the file systems' own sources (several stand nowhere else). */
    static const uint32_t network[] = {
        0x00006969, /* nfs */
        0x0000517b, /* smb */
        0xff534d42, /* cifs */
        0xfe534d42, /* smb2 and later */
        0x65735546, /* fuse, virtiofs */
        0x01021997, /* 9p */
        0x5346414f, /* afs (openafs) */
        0x6b414653, /* afs (kernel) */
        0x00c36400, /* ceph */
        0x0bd00bd0, /* lustre */
        0x73757245, /* coda */
        0x0000564c, /* ncp */
        0x47504653, /* gpfs */
        0x20030528, /* orangefs */
        0x19830326, /* beegfs (fhgfs) */
        0x7461636f, /* ocfs2 */
        0x01161970, /* gfs2 */
        0xaad7aaea, /* panfs */
        0x013111a8, /* ibrix */
        0x786f4256, /* vboxsf */
        0xbacbacbc, /* vmhgfs */
    };
    struct statfs fs;
    int r;
    do {
        r = fstatfs(fd, &fs);
    } while (r != 0 && errno == EINTR);
    if (r != 0)
        return true;
    uint32_t magic = (uint32_t)((uint64_t)fs.f_type & 0xffffffffu);
    for (size_t i = 0; i < sizeof network / sizeof network[0]; i++) {
        if (network[i] == magic)
            return true;
    }
    return false;
}

uint64_t sg_now_ns(clockid_t clock) {
    struct timespec ts;
    if (clock_gettime(clock, &ts) != 0 || ts.tv_sec < 0)
        return 0;
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}
