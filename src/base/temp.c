/*
 * Temporary files with names that no other process on any host picks; see file.h. Nothing is remembered
 * between calls, so a forked child cannot repeat a name of its parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "saggar/saggar.h"

enum { ATTEMPTS = 16 };

void sg_host_tag(char out[9]) {
    struct utsname host;
    unsigned char tag[4];
    if (uname(&host) != 0)
        host.nodename[0] = '\0';
    sg_store32(tag, (uint32_t)(sg_xxh64(host.nodename, strlen(host.nodename)) & 0xffffffffu));
    sg_hex(out, tag, sizeof tag);
}

/* Without entropy (a seccomp filter, early boot) clock, process and address still differ. */
static uint64_t random64(void) {
    unsigned char b[8];
    ssize_t r;
    do {
        r = getrandom(b, sizeof b, GRND_NONBLOCK);
    } while (r < 0 && errno == EINTR);
    if (r == (ssize_t)sizeof b)
        return sg_load64(b);
    uint64_t mix[3] = {sg_now_ns(CLOCK_REALTIME), sg_now_ns(CLOCK_THREAD_CPUTIME_ID),
                       (uint64_t)(uintptr_t)&mix};
    return sg_xxh64(mix, sizeof mix);
}

int sg_temp_name(char out[SG_TEMP_NAME_MAX], const char *prefix) {
    char host[9];
    if (strlen(prefix) > SG_TEMP_PREFIX_MAX || strchr(prefix, '/') != NULL)
        return SAGGAR_EINVAL;
    sg_host_tag(host);
    int n = snprintf(out, SG_TEMP_NAME_MAX, "%s%s-%lx-%llx-%016llx", prefix, host, (unsigned long)getpid(),
                     (unsigned long long)sg_now_ns(CLOCK_MONOTONIC), (unsigned long long)random64());
    return n > 0 && n < SG_TEMP_NAME_MAX ? SAGGAR_OK : SAGGAR_ELIMIT;
}

bool sg_temp_is(const char *name, const char *prefix) {
    size_t lead = strlen(prefix);
    if (strncmp(name, prefix, lead) != 0)
        return false;
    const char *p = name + lead;
    for (int i = 0; i < 4; i++) {
        size_t n = strspn(p, "0123456789abcdef");
        if (n == 0 || n > 16 || p[n] != (i < 3 ? '-' : '\0'))
            return false;
        p += n + 1;
    }
    return true;
}

int sg_temp_owner(const char *name, const char *prefix, const char host[9]) {
    const char *p = name + strlen(prefix);
    if (strncmp(p, host, 8) != 0 || p[8] != '-')
        return -1;
    char *end;
    errno = 0;
    unsigned long pid = strtoul(p + 9, &end, 16);
    if (errno != 0 || end == p + 9 || *end != '-' || pid == 0 || pid > INT32_MAX)
        return -1;
    return kill((pid_t)pid, 0) == 0 || errno != ESRCH;
}

int sg_temp_open(int dirfd, const char *prefix, char name[SG_TEMP_NAME_MAX], int *fd) {
    for (int i = 0; i < ATTEMPTS; i++) {
        int err = sg_temp_name(name, prefix);
        if (err != SAGGAR_OK)
            return err;
        do {
            *fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        } while (*fd < 0 && errno == EINTR);
        if (*fd >= 0)
            return SAGGAR_OK;
        if (errno != EEXIST)
            break;
    }
    return sg_err_from_errno(errno);
}
