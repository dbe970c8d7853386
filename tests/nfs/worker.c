/*
 * A process of one client, for inside.py: takes one command a line, answers each with one line that begins
 * with the seconds it took.
 *
 *   find K            hit | miss REASON          hold K: the same, and keeps the entry; use: its bytes again
 *   publish K         ok | ERROR
 *   want K MS         built | found: found, or compiled once among all (MS milliseconds of work)
 *   fleet FROM N MS   built B wrong W none C: want, for N keys, beginning with FROM
 *   claim K WAIT      owned | freed | none: kept until `release`
 *   tree K MS         built | found PATH: a tree of two files and a link, kept; look: its files again
 *   trees FROM N MS   as fleet, with trees
 *
 * What lies under a key follows from the key, so that every wrong byte is seen: "WRONG" then.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "saggar/saggar.h"

enum { SIZE = 20000 };

static saggar_cache *cache;
static saggar_entry *held;
static saggar_tree *tree;
static saggar_claim *claim;
static int held_key, tree_key;

static void must(int err) {
    if (err != SAGGAR_OK) {
        printf("0 FAILED %s\n", saggar_errname(err));
        exit(1);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void work(int ms) {
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void field(saggar_recipe *r, saggar_encoder *e, const char *name, int value) {
    const uint8_t *bytes;
    size_t size;
    saggar_encoder_reset(e);
    if (strcmp(name, "adapter") == 0) {
        must(saggar_encode_begin(e, SAGGAR_TUPLE));
        must(saggar_encode_text(e, "test", 4));
        must(saggar_encode_int(e, 1));
        must(saggar_encode_end(e));
    } else {
        must(saggar_encode_int(e, value));
    }
    must(saggar_encoder_bytes(e, &bytes, &size));
    must(saggar_recipe_field(r, name, bytes, size));
}

static saggar_recipe *make_recipe(int k, uint8_t key[32], const uint8_t **bytes, size_t *size) {
    saggar_encoder *e;
    saggar_recipe *r;
    must(saggar_encoder_new(&e));
    must(saggar_recipe_new(&r));
    field(r, e, "adapter", 0);
    field(r, e, "compiler", 1);
    field(r, e, "source", k);
    field(r, e, "options", 0);
    must(saggar_recipe_finish(r, key, bytes, size));
    saggar_encoder_free(e);
    return r;
}

static void make_key(int k, uint8_t key[32]) {
    saggar_recipe_free(make_recipe(k, key, NULL, NULL));
}

static void make_bytes(int k, uint8_t out[SIZE]) {
    uint32_t x = (uint32_t)k * 2654435761u + 1;
    for (int i = 0; i < SIZE; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        out[i] = (uint8_t)x;
    }
}

static int publish(int k) {
    uint8_t key[32], code[SIZE];
    const uint8_t *bytes;
    size_t size;
    saggar_draft *d;
    saggar_recipe *r = make_recipe(k, key, &bytes, &size);
    make_bytes(k, code);
    must(saggar_draft_new(bytes, size, &d));
    saggar_recipe_free(r);
    must(saggar_draft_group(d, "cc", "module", "function"));
    must(saggar_draft_part(d, "object", code, SIZE));
    int err = saggar_cache_publish(cache, d, NULL);
    saggar_draft_free(d);
    return err;
}

/* 1: the right bytes, -1: others, 0: none, because they are known to be damaged. */
static int judge(saggar_entry *entry, int k) {
    uint8_t code[SIZE];
    saggar_view view;
    make_bytes(k, code);
    int err = saggar_entry_part(entry, "object", &view);
    if (err != SAGGAR_OK)
        return err == SAGGAR_ECORRUPT ? 0 : -1;
    bool right = view.size == SIZE && memcmp(view.data, code, SIZE) == 0;
    saggar_view_release(&view);
    return right ? 1 : -1;
}

/* As judge(); 0 too if nothing is found. */
static int find(int k, saggar_entry **keep, saggar_reason *reason) {
    uint8_t key[32];
    saggar_entry *entry;
    make_key(k, key);
    must(saggar_cache_find(cache, key, NULL, &entry, reason, NULL));
    if (entry == NULL)
        return 0;
    int right = judge(entry, k);
    if (right == 0)
        *reason = SAGGAR_REASON_CORRUPT;
    if (keep != NULL && right > 0)
        *keep = entry;
    else
        saggar_entry_release(entry);
    return right;
}

struct counts {
    int built, wrong, none, unstored;
};

static void want(int k, int ms, struct counts *n) {
    uint8_t key[32];
    saggar_reason reason;
    saggar_claim *mine;
    saggar_claim_outcome outcome;
    int got = find(k, NULL, &reason);
    if (got == 0) {
        make_key(k, key);
        must(saggar_cache_claim(cache, key, -1, &mine, &outcome));
        n->none += outcome == SAGGAR_CLAIM_NONE;
        got = outcome == SAGGAR_CLAIM_OWNED ? 0 : find(k, NULL, &reason);
        if (got == 0) {
            work(ms);
            n->built++;
            n->unstored += publish(k) != SAGGAR_OK;
        }
        saggar_claim_release(mine);
    }
    n->wrong += got < 0;
}

/* ---- Trees ---- */

static bool put(const char *directory, const char *name, int k) {
    char path[900];
    uint8_t code[SIZE];
    make_bytes(k, code);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    return f != NULL && fwrite(code, 1, SIZE, f) == SIZE && fclose(f) == 0;
}

struct plan {
    int k, ms;
};

static int build(void *context, const char *directory, saggar_draft *draft) {
    const struct plan *plan = context;
    char path[900];
    (void)draft;
    work(plan->ms);
    snprintf(path, sizeof path, "%s/lib", directory);
    if (mkdir(path, 0700) != 0 || !put(directory, "lib/code", plan->k) || !put(directory, "about", plan->k))
        return 1;
    snprintf(path, sizeof path, "%s/link", directory);
    return symlink("lib/code", path) != 0;
}

/* By reading and by a mapping: what a loader does. */
static bool file_says(const char *directory, const char *name, int k) {
    char path[900];
    uint8_t code[SIZE], is[SIZE];
    make_bytes(k, code);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool right = read(fd, is, SIZE) == SIZE && memcmp(is, code, SIZE) == 0;
    void *map = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    right = right && map != MAP_FAILED && memcmp(map, code, SIZE) == 0;
    if (map != MAP_FAILED)
        munmap(map, SIZE);
    close(fd);
    return right;
}

static bool tree_says(const saggar_tree *t, int k) {
    return file_says(saggar_tree_path(t), "link", k) && file_says(saggar_tree_path(t), "about", k);
}

static saggar_tree *want_tree(int k, int ms, struct counts *n) {
    uint8_t key[32];
    const uint8_t *bytes;
    size_t size;
    saggar_tree *t = NULL;
    saggar_built info;
    struct plan plan = {k, ms};
    const saggar_build how = {.struct_size = sizeof how,
                              .compiler = "cc",
                              .module = "module",
                              .qualname = "tree",
                              .build = build,
                              .context = &plan};
    saggar_recipe *r = make_recipe(k, key, &bytes, &size);
    must(saggar_get_or_build(cache, bytes, size, &how, &t, &info));
    saggar_recipe_free(r);
    n->built += info.built;
    n->unstored += info.built && !info.stored;
    n->wrong += !tree_says(t, k);
    return t;
}

/* ---- Commands ---- */

static void answer(double start, const char *text, const char *more) {
    printf("%.3f %s%s%s\n", now() - start, text, more[0] != '\0' ? " " : "", more);
}

static void fleet(double start, int from, int n, int ms, bool trees) {
    struct counts c = {0, 0, 0, 0};
    char text[120];
    for (int i = 0; i < n; i++) {
        int k = from - from % 100 + (from + i) % n; /* each begins with another one of the same keys */
        if (trees)
            saggar_tree_release(want_tree(k, ms, &c));
        else
            want(k, ms, &c);
    }
    snprintf(text, sizeof text, "built %d wrong %d none %d unstored %d", c.built, c.wrong, c.none,
             c.unstored);
    answer(start, text, "");
}

static void do_find(double start, int k, saggar_entry **keep) {
    saggar_reason reason;
    int got = find(k, keep, &reason);
    answer(start, got > 0 ? "hit" : got < 0 ? "WRONG" : "miss", got != 0 ? "" : saggar_reason_word(reason));
}

static void do_claim(double start, int k, int wait) {
    static const char *const words[] = {"owned", "freed", "none"};
    uint8_t key[32];
    saggar_claim_outcome outcome;
    make_key(k, key);
    must(saggar_cache_claim(cache, key, wait, &claim, &outcome));
    answer(start, words[outcome], "");
}

static void do_tree(double start, int k, int ms) {
    struct counts c = {0, 0, 0, 0};
    tree = want_tree(k, ms, &c);
    tree_key = k;
    answer(start, c.wrong > 0 ? "WRONG" : c.built > 0 ? "built" : "found", saggar_tree_path(tree));
}

static bool obey(const char *line) {
    char word[32] = "";
    int a = 0, b = 0, c = 0;
    struct counts n = {0, 0, 0, 0};
    double start = now();
    sscanf(line, "%31s %d %d %d", word, &a, &b, &c);
    if (strcmp(word, "find") == 0) {
        do_find(start, a, NULL);
    } else if (strcmp(word, "hold") == 0) {
        do_find(start, held_key = a, &held);
    } else if (strcmp(word, "use") == 0) {
        answer(start, held != NULL && judge(held, held_key) > 0 ? "right" : "WRONG", "");
    } else if (strcmp(word, "publish") == 0) {
        int err = publish(a);
        answer(start, err == SAGGAR_OK ? "ok" : saggar_errname(err), "");
    } else if (strcmp(word, "want") == 0) {
        want(a, b, &n);
        answer(start, n.wrong ? "WRONG" : n.built ? "built" : "found", n.unstored ? "unstored" : "");
    } else if (strcmp(word, "fleet") == 0 || strcmp(word, "trees") == 0) {
        fleet(start, a, b, c, word[0] == 't');
    } else if (strcmp(word, "claim") == 0) {
        do_claim(start, a, b);
    } else if (strcmp(word, "release") == 0) {
        saggar_claim_release(claim);
        answer(start, "released", "");
    } else if (strcmp(word, "tree") == 0) {
        do_tree(start, a, b);
    } else if (strcmp(word, "look") == 0) {
        answer(start, tree != NULL && tree_says(tree, tree_key) ? "right" : "WRONG", "");
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    char line[200];
    saggar_cache_options options;
    if (argc != 2)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    double start = now();
    saggar_cache_options_init(&options);
    options.images = "";
    options.store = argv[1];
    must(saggar_cache_open(&options, &cache));
    answer(start, "open", "");
    while (fgets(line, sizeof line, stdin) != NULL && obey(line))
        continue;
    return 0;
}
