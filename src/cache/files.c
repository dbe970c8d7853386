/*
 * Digests of files, for dependencies. A file is hashed once as long as device, inode, size, mtime and ctime
 * stay the same, and it is looked at (one stat) at most once in FRESH_NS, so that a lookup with hundreds of
 * file dependencies costs next to nothing, and an edited file is noticed in a long-lived process all the
 * same.
 *
 * The memo is a table of lists that only grow at their heads: no lock, whole after a fork. A node never
 * changes but for the moment of its last look; a changed file gets a new node in front of the old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cache/cache.h"

#define FRESH_NS UINT64_C(2000000000)
enum { BUCKETS = 256, CHUNK = 65536, MAX_NODES = 100000 };

struct node {
    struct node *next;
    uint64_t looked; /* CLOCK_MONOTONIC */
    struct stat st;
    bool racy; /* changed so recently that a further change might not show in its times */
    uint8_t sha256[32];
    char path[];
};

static struct node *table[BUCKETS];
static unsigned nodes;

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool hash_fd(int fd, uint8_t sha256[32]) {
    struct sg_sha256_ctx ctx;
    unsigned char *chunk = malloc(CHUNK);
    ssize_t n = -1;
    if (chunk == NULL)
        return false;
    sg_sha256_init(&ctx);
    for (;;) {
        n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sg_sha256_update(&ctx, chunk, (size_t)n);
    }
    free(chunk);
    int err = sg_sha256_final(&ctx, sha256);
    return n == 0 && err == SAGGAR_OK;
}

/* The digest of what the path is now, and the stat that belongs to it. */
static bool hash_file(const char *path, struct stat *st, uint8_t sha256[32]) {
    struct stat after;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, st) == 0 && S_ISREG(st->st_mode) && hash_fd(fd, sha256) && fstat(fd, &after) == 0 &&
              same_file(st, &after);
    close(fd);
    return ok;
}

static void remember(struct node **bucket, const char *path, const struct stat *st, const uint8_t sha256[32],
                     uint64_t now) {
    if (__atomic_fetch_add(&nodes, 1, __ATOMIC_RELAXED) >= MAX_NODES)
        return;
    size_t n = strlen(path) + 1;
    struct node *node = malloc(sizeof *node + n);
    if (node == NULL)
        return;
    int64_t age = (int64_t)time(NULL) - (int64_t)st->st_ctim.tv_sec;
    node->looked = now;
    node->st = *st;
    node->racy = age < 2;
    memcpy(node->sha256, sha256, sizeof node->sha256);
    memcpy(node->path, path, n);
    node->next = __atomic_load_n(bucket, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(bucket, &node->next, node, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

bool sg_file_digest(const char *path, uint64_t *size, uint8_t sha256[32]) {
    struct node **bucket = &table[sg_xxh64(path, strlen(path)) % BUCKETS];
    struct node *node = __atomic_load_n(bucket, __ATOMIC_ACQUIRE);
    uint64_t now = sg_now_ns(CLOCK_MONOTONIC);
    struct stat st;
    while (node != NULL && strcmp(node->path, path) != 0)
        node = node->next;
    bool known = node != NULL && now - __atomic_load_n(&node->looked, __ATOMIC_RELAXED) < FRESH_NS;
    if (!known && node != NULL && !node->racy && stat(path, &st) == 0 && same_file(&st, &node->st)) {
        __atomic_store_n(&node->looked, now, __ATOMIC_RELAXED);
        known = true;
    }
    if (known) {
        *size = (uint64_t)node->st.st_size;
        memcpy(sha256, node->sha256, 32);
        return true;
    }
    if (!hash_file(path, &st, sha256))
        return false;
    *size = (uint64_t)st.st_size;
    remember(bucket, path, &st, sha256, now);
    return true;
}
