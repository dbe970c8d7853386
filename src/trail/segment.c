/*
 * Making and filling a trail file; segment.h. The header, little-endian:
 *
 *    0 magic "SGTRAIL1", stored last   8 u32 version   12 u32 size of the file   16 u32 pid   20 u32 ppid
 *   24 u64 start time of the process   32 u64 opened   40 u32 seq   44 u32 origin   48 u32 state
 *   52 u32 bytes of exe   56 u64 lost   64 u32 bytes of argv   128 exe and zero (1024)   1152 argv (2944)
 *
 * The whole file is allocated before it is mapped: a store into the mapping cannot meet a full disk. It gets
 * its name when its header is complete: a process that is killed while it makes the file has recorded
 * nothing, and leaves nothing incomplete. A file that cannot be made whole gets its name all the same.
 */
#include "trail/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "trail/trail.h"

enum {
    EXE_AT = 128,
    ARGV_AT = 1152,
    EXE_MAX = ARGV_AT - EXE_AT,
    ARGV_MAX = SG_TRAIL_HEADER - ARGV_AT,
    TRIES = 4096
};

static size_t read_small(const char *path, char *out, size_t n) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size_t got = 0;
    while (got < n) {
        ssize_t r = read(fd, out + got, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    close(fd);
    return got;
}

/* Field 22 of /proc/self/stat; the command in field 2 may hold anything, so count from its last bracket. */
static uint64_t process_start(void) {
    char text[1024];
    size_t n = read_small("/proc/self/stat", text, sizeof text - 1);
    text[n] = '\0';
    char *p = strrchr(text, ')');
    for (int field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p == NULL ? 0 : strtoull(p + 1, NULL, 10);
}

static void fill_header(unsigned char *h, uint32_t seq, uint32_t origin, uint64_t start) {
    ssize_t exe = readlink("/proc/self/exe", (char *)h + EXE_AT, EXE_MAX - 1);
    size_t argv = read_small("/proc/self/cmdline", (char *)h + ARGV_AT, ARGV_MAX - 1);
    sg_store32(h + 8, SG_TRAIL_VERSION);
    sg_store32(h + 12, SG_TRAIL_SEGMENT);
    sg_store32(h + 16, (uint32_t)getpid());
    sg_store32(h + 20, (uint32_t)getppid());
    sg_store64(h + 24, start);
    sg_store64(h + 32, sg_now_ns(CLOCK_REALTIME));
    sg_store32(h + 40, seq);
    sg_store32(h + 44, origin);
    sg_store32(h + 48, SG_TRAIL_OPEN);
    sg_store32(h + 52, exe > 0 ? (uint32_t)exe : 0);
    sg_store32(h + 64, (uint32_t)argv);
    uint64_t magic;
    memcpy(&magic, "SGTRAIL1", sizeof magic);
    __atomic_store_n((uint64_t *)(void *)h, magic, __ATOMIC_RELEASE);
}

/* A file beyond RLIMIT_FSIZE would bring SIGXFSZ upon the program. */
static bool size_allowed(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
           (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= SG_TRAIL_SEGMENT);
}

/* Where a file of this process is made, and the name that it gets once a reader may see it. */
struct place {
    char made[4096], name[4096];
};

static bool place_of(struct place *p, const char *dir, uint64_t start, uint32_t seq) {
    char host[9];
    sg_host_tag(host);
    int n = snprintf(p->name, sizeof p->name, "%s/%s-%ld-%llu-%u.trail", dir, host, (long)getpid(),
                     (unsigned long long)start, seq);
    int m = snprintf(p->made, sizeof p->made, "%s/.%s-%ld-%llu-%u.trail", dir, host, (long)getpid(),
                     (unsigned long long)start, seq);
    return n > 0 && m > 0 && (size_t)m < sizeof p->made;
}

/* What this process was before exec has the same pid and start: its names are taken. */
static int create(struct place *p, const char *dir, uint64_t start, uint32_t *seq) {
    for (int i = 0; i < TRIES && *seq < SG_TRAIL_FILES_MAX; i++, ++*seq) {
        if (!place_of(p, dir, start, *seq))
            return -1;
        if (faccessat(AT_FDCWD, p->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        int fd = open(p->made, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || (errno != EEXIST && errno != EINTR))
            return fd;
    }
    return -1;
}

static bool give_name(const struct place *p) {
    if (renameat2(AT_FDCWD, p->made, AT_FDCWD, p->name, RENAME_NOREPLACE) == 0)
        return true;
    if (errno == EINVAL || errno == ENOSYS)
        return rename(p->made, p->name) == 0;
    unlink(p->made);
    return false;
}

bool sg_segment_open(struct sg_segment *s, const char *dir, uint32_t *seq, uint32_t origin) {
    uint64_t start = process_start();
    struct place place;
    int fd = create(&place, dir, start, seq);
    s->map = NULL;
    s->used = 0;
    if (fd < 0)
        return false;
    void *map = MAP_FAILED;
    if (size_allowed() && posix_fallocate(fd, 0, SG_TRAIL_SEGMENT) == 0)
        map = mmap(NULL, SG_TRAIL_SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        fill_header(map, *seq, origin, start);
    if (!give_name(&place) && map != MAP_FAILED) {
        munmap(map, SG_TRAIL_SEGMENT);
        map = MAP_FAILED;
    }
    if (map == MAP_FAILED)
        return false;
    s->map = map;
    s->used = SG_TRAIL_HEADER;
    return true;
}

unsigned char *sg_segment_room(struct sg_segment *s, size_t n) {
    if (s->map == NULL || n > SG_TRAIL_SEGMENT - s->used)
        return NULL;
    unsigned char *p = s->map + s->used;
    s->used += n;
    return p;
}

void sg_segment_state(struct sg_segment *s, uint32_t state) {
    if (s->map != NULL)
        sg_store32(s->map + 48, state);
}

void sg_segment_lost(struct sg_segment *s, uint64_t lost) {
    if (s->map != NULL)
        sg_store64(s->map + 56, lost);
}

void sg_segment_drop(struct sg_segment *s) {
    if (s->map != NULL)
        munmap(s->map, SG_TRAIL_SEGMENT);
    s->map = NULL;
    s->used = 0;
}
