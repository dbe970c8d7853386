/*
 * Saggar's tiers: hit, miss, open and bake of an image; hit, miss and publish of a store.
 *
 *     bench-tiers FOLDER image|open|bake|store
 *
 * Everything is made below FOLDER, through the public API. fdatasync and fsync are timed where the library
 * calls them (this program's own definitions stand before libc's), and left out in the rows that say so.
 */
#include "bench.h"

#include <sys/stat.h>
#include <sys/syscall.h>

static bool skip_sync;
static double synced; /* nanoseconds */

static int timed_sync(long call, int fd) {
    if (skip_sync)
        return 0;
    double start = now();
    int r = (int)syscall(call, fd);
    synced += now() - start;
    return r;
}

int fsync(int fd) {
    return timed_sync(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return timed_sync(SYS_fdatasync, fd);
}

struct subject {
    saggar_cache *cache;
    char image[512], store[512];
    uint8_t (*keys)[32];   /* published */
    uint8_t (*absent)[32]; /* not */
    saggar_draft **drafts;
};

static struct made make_one(unsigned i, size_t object_size) {
    return make_entry(i, 0, saggar_host_arch(), object_size);
}

static void make_keys(struct subject *s, unsigned n) {
    s->keys = calloc(n, 32);
    s->absent = calloc(n, 32);
    NEED(s->keys != NULL && s->absent != NULL);
    for (unsigned i = 0; i < 2 * n; i++) {
        struct made m = make_one(i, 0);
        memcpy(i < n ? s->keys[i] : s->absent[i - n], m.key, 32);
        free(m.core);
    }
}

static void make_image(const char *path, unsigned n, size_t object_size) {
    saggar_image_writer *w;
    if (access(path, R_OK) == 0)
        return; /* of an earlier part: the same bytes */
    NEED(saggar_image_writer_new(&w) == SAGGAR_OK);
    for (unsigned i = 0; i < n; i++) {
        struct made m = make_one(i, object_size);
        NEED(saggar_image_writer_add(w, m.core, m.size) == SAGGAR_OK);
        free(m.core);
    }
    NEED(saggar_image_writer_write(w, path, NULL) == SAGGAR_OK);
    saggar_image_writer_free(w);
}

/* ---- One turn of each operation ---- */

static void find_key(struct subject *s, const uint8_t *key, bool with_part) {
    saggar_entry *entry;
    saggar_reason reason;
    saggar_view view;
    NEED(saggar_cache_find(s->cache, key, NULL, &entry, &reason, NULL) == SAGGAR_OK && entry != NULL);
    if (with_part) {
        NEED(saggar_entry_part(entry, "object", &view) == SAGGAR_OK && view.size > 0);
        saggar_view_release(&view);
    }
    saggar_entry_release(entry);
}

static void hit(void *context, unsigned i) {
    struct subject *s = context;
    find_key(s, s->keys[i], false);
}

static void hit_part(void *context, unsigned i) {
    struct subject *s = context;
    find_key(s, s->keys[i], true);
}

static void miss(void *context, unsigned i) {
    struct subject *s = context;
    saggar_entry *entry;
    saggar_reason reason;
    NEED(saggar_cache_find(s->cache, s->absent[i], NULL, &entry, &reason, NULL) == SAGGAR_OK &&
         entry == NULL);
}

static void publish(void *context, unsigned i) {
    struct subject *s = context;
    NEED(saggar_cache_publish(s->cache, s->drafts[i], NULL) == SAGGAR_OK);
}

static void open_image(void *context, unsigned i) {
    struct subject *s = context;
    (void)i;
    s->cache = open_cache(s->image, "");
}

/* ---- Parts ---- */

static void part_image(struct subject *s, const char *folder) {
    static const unsigned counts[] = {KEYS, 100000};
    double took[PASSES];
    make_keys(s, 100000);
    for (unsigned c = 0; c < 2; c++) {
        unsigned n = counts[c];
        char name[64];
        snprintf(s->image, sizeof s->image, "%s/%u-%u.saggar", folder, n, n == KEYS ? OBJECT : 256);
        make_image(s->image, n, n == KEYS ? OBJECT : 256);
        for (int p = 0; p < PASSES; p++) { /* first touches: a new cache each time */
            s->cache = open_cache(s->image, "");
            double start = now();
            for (unsigned i = 0; i < turns(n); i++)
                hit(s, i);
            took[p] = (now() - start) / turns(n);
            saggar_cache_close(s->cache);
        }
        snprintf(name, sizeof name, "image hit, first touch, %u", n);
        row(name, median(took, PASSES), "ns");
        s->cache = open_cache(s->image, "");
        snprintf(name, sizeof name, "image hit, %u", n);
        timed(name, PASSES, n, hit, s);
        if (n == KEYS)
            timed("image hit with 16 kB part", PASSES, n, hit_part, s);
        snprintf(name, sizeof name, "image miss, %u", n);
        timed(name, PASSES, n, miss, s);
        saggar_cache_close(s->cache);
    }
}

static void part_open(struct subject *s, const char *folder) {
    static const unsigned counts[] = {10, 1000, 100000};
    for (unsigned c = 0; c < 3; c++) {
        char name[64];
        double took[200];
        unsigned n = turns(200);
        snprintf(s->image, sizeof s->image, "%s/%u-256.saggar", folder, counts[c]);
        make_image(s->image, counts[c], 256);
        saggar_cache_close(open_cache(s->image, "")); /* what is done once per process */
        snprintf(name, sizeof name, "image open, %u", counts[c]);
        for (unsigned i = 0; i < n; i++) {
            mark("begins", name, 1);
            double start = now();
            open_image(s, i);
            took[i] = now() - start;
            mark("ends", name, 1);
            saggar_cache_close(s->cache);
        }
        row(name, median(took, n), "ns");
    }
}

static void part_bake(const char *folder, unsigned n) {
    struct made *all = calloc(n, sizeof *all);
    saggar_image_writer *w;
    char path[512];
    NEED(all != NULL);
    for (unsigned i = 0; i < n; i++)
        all[i] = make_one(i, OBJECT);
    snprintf(path, sizeof path, "%s/baked.saggar", folder);
    double start = now();
    NEED(saggar_image_writer_new(&w) == SAGGAR_OK);
    for (unsigned i = 0; i < n; i++)
        NEED(saggar_image_writer_add(w, all[i].core, all[i].size) == SAGGAR_OK);
    double added = now();
    NEED(saggar_image_writer_write(w, path, NULL) == SAGGAR_OK);
    double end = now();
    row("bake 10,000 entries", end - start, "ns");
    row("bake: check and add", added - start, "ns");
    row("bake: write", end - added - synced, "ns");
    row("bake: fsync", synced, "ns");
    unlink(path);
}

/* The store's 256 folders, as they are in any store that is in use. */
static void make_folders(const char *store) {
    char path[600];
    NEED(mkdir(store, 0700) == 0);
    snprintf(path, sizeof path, "%s/v1", store);
    NEED(mkdir(path, 0700) == 0);
    for (unsigned k = 0; k < 256; k++) {
        snprintf(path, sizeof path, "%s/v1/%02x", store, k);
        NEED(mkdir(path, 0700) == 0);
    }
}

static void part_store(struct subject *s, const char *folder) {
    unsigned n = turns(KEYS);
    make_keys(s, n);
    s->drafts = calloc(n, sizeof *s->drafts);
    NEED(s->drafts != NULL);
    for (unsigned i = 0; i < n; i++)
        s->drafts[i] = make_draft(i, 0, saggar_host_arch(), OBJECT);
    for (int sync = 0; sync < 2; sync++) {
        snprintf(s->store, sizeof s->store, "%s/store-%d", folder, sync);
        s->cache = open_cache("", s->store);
        make_folders(s->store);
        skip_sync = !sync;
        synced = 0;
        timed_each(sync ? "store publish" : "store publish, without fdatasync", n, publish, s);
        if (sync)
            row("store publish: fdatasync, mean", synced / n, "ns");
        if (sync == 0)
            saggar_cache_close(s->cache);
    }
    timed("store hit", PASSES, n, hit, s);
    timed("store hit with 16 kB part", PASSES, n, hit_part, s);
    timed("store miss", PASSES, n, miss, s);
}

int main(int argc, char **argv) {
    struct subject s = {0};
    if (argc != 3)
        return 2;
    if (strcmp(argv[2], "image") == 0)
        part_image(&s, argv[1]);
    else if (strcmp(argv[2], "open") == 0)
        part_open(&s, argv[1]);
    else if (strcmp(argv[2], "bake") == 0)
        part_bake(argv[1], 10000);
    else if (strcmp(argv[2], "store") == 0)
        part_store(&s, argv[1]);
    else
        return 2;
    return 0;
}
