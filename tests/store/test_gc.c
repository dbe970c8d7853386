/* Collecting: bounds, litter, clocks; and many processes at once, with and without a collector beside them.
 */
#include "slots.h"

#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "../trail/child.h"
#include "base/file.h"

enum { COUNT = 20, KEYS = 8, PROCESSES = 8, TURNS = 12 };

struct box {
    char *folder, *store;
    struct sg_tier *tier;
    struct made all[COUNT];
    uint64_t bytes;
};

static void set_age(const char *path, int64_t seconds) {
    struct timeval t[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    NEED(utimes(path, t) == 0);
}

static int set_up(void **state) {
    struct box *b = calloc(1, sizeof *b);
    b->folder = make_folder();
    b->store = join(b->folder, "store");
    b->tier = open_store(b->store);
    for (unsigned i = 0; i < COUNT; i++) {
        b->all[i] = make_entry(i, 0, SAGGAR_ARCH_ANY, 3000);
        b->bytes += b->all[i].size;
        NEED(publish(b->tier, &b->all[i]) == SAGGAR_OK);
        char *path = slot_of(b->store, &b->all[i], 0);
        set_age(path, 1000 * (i + 1)); /* a higher number is older */
        free(path);
    }
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    struct box *b = *state;
    b->tier->ops->close(b->tier);
    for (unsigned i = 0; i < COUNT; i++)
        free(b->all[i].core);
    free(b->store);
    remove_folder(b->folder);
    free(b);
    return 0;
}

static struct sg_gc_stats collect(const struct box *b, uint64_t bytes, uint64_t age, uint64_t litter,
                                  bool dry) {
    struct sg_gc_options options = {bytes, age, litter, dry};
    struct sg_gc_stats stats;
    assert_int_equal(sg_store_gc(b->store, &options, &stats), SAGGAR_OK);
    assert_int_equal(stats.failed, 0);
    return stats;
}

static void test_nothing_to_do(void **state) {
    struct box *b = *state;
    struct sg_gc_stats s = collect(b, b->bytes, SG_GC_UNBOUNDED, 3600, false);
    assert_int_equal(s.entries, COUNT);
    assert_int_equal(s.bytes, b->bytes);
    assert_int_equal(s.removed_entries + s.litter + s.foreign, 0);
    struct sg_gc_options options;
    assert_int_equal(sg_gc_options_init(&options), SAGGAR_OK);
    char *none = join(b->folder, "none");
    assert_int_equal(sg_store_gc(none, &options, &s), SAGGAR_ENOTFOUND);
    assert_int_equal(mkdir(none, 0777), 0);
    chmod(none, 0777);
    assert_int_equal(sg_store_gc(none, &options, &s), SAGGAR_EUNTRUSTED);
    free(none);
}

static void test_size_bound(void **state) {
    struct box *b = *state;
    struct sg_gc_stats s = collect(b, b->bytes - 1, SG_GC_UNBOUNDED, 3600, true);
    assert_int_equal(s.removed_entries, 1);
    assert_int_equal(found(b->tier, &b->all[COUNT - 1]), 1); /* only counted */
    s = collect(b, b->bytes / 2, SG_GC_UNBOUNDED, 3600, false);
    assert_true(s.bytes - s.removed_bytes <= b->bytes / 2);
    assert_true(s.bytes - s.removed_bytes > b->bytes / 2 - b->all[0].size - 64);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(found(b->tier, &b->all[i]), i < COUNT - s.removed_entries);
    s = collect(b, 0, SG_GC_UNBOUNDED, 3600, false);
    assert_int_equal(s.entries, s.removed_entries);
    assert_int_equal(publish(b->tier, &b->all[3]), SAGGAR_OK);
    assert_int_equal(found(b->tier, &b->all[3]), 1);
}

static void test_age_bound(void **state) {
    struct box *b = *state;
    struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, 5500, 3600, false);
    assert_int_equal(s.removed_entries, COUNT - 5);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(found(b->tier, &b->all[i]), i < 5);
}

static unsigned slots_of(const struct box *b, const struct made *m) {
    unsigned n = 0;
    for (unsigned slot = 0; slot < SAGGAR_MAX_SLOTS; slot++) {
        char *path = slot_of(b->store, m, slot);
        n += access(path, F_OK) == 0;
        free(path);
    }
    return n;
}

/* Whichever variant of a key goes, the others stay where readers find them and publishers know them again. */
static void test_variants(void **state) {
    struct box *b = *state;
    for (unsigned gone = 0; gone < 16; gone++) { /* a bit for each of four variants */
        struct made all[4];
        struct faults f;
        for (unsigned i = 0; i < 4; i++) {
            all[i] = make_entry(500 + gone, i, SAGGAR_ARCH_ANY, 100);
            assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
            char *path = slot_of(b->store, &all[i], i);
            set_age(path, gone >> i & 1 ? 100000 + (gone % 3 == 0 ? i : 4 - i) : 10);
            free(path);
        }
        unsigned left = 4 - (unsigned)__builtin_popcount(gone);
        struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, 50000, 3600, false);
        assert_int_equal(s.removed_entries, 4 - left);
        assert_int_equal(find_good(b->tier, all[0].key, all, 4, &f), left);
        assert_int_equal(f.n, 0);
        for (unsigned i = 0; i < 4; i++) {
            if ((gone >> i & 1) == 0)
                assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
            free(all[i].core);
        }
        assert_int_equal(slots_of(b, &all[0]), left);
    }
}

/* Times in the future count as now: not removed for their age, not kept for ever either. */
static void test_clock_set_back(void **state) {
    struct box *b = *state;
    for (unsigned i = 0; i < COUNT; i++) {
        char *path = slot_of(b->store, &b->all[i], 0);
        set_age(path, i < 10 ? -10 * 365 * 86400 : 50);
        free(path);
    }
    struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, 10, 3600, false);
    assert_int_equal(s.removed_entries, 10);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(found(b->tier, &b->all[i]), i < 10);
    s = collect(b, 0, SG_GC_UNBOUNDED, 3600, false);
    assert_int_equal(s.removed_entries, 10);
}

static char *temp(const struct box *b, const char *folder, const char *name, int64_t age) {
    char *path;
    NEED(asprintf(&path, "%s/%s.tmp-%s", b->store, folder, name) > 0);
    write_file(path, "unfinished", 10);
    set_age(path, age);
    return path;
}

static void test_litter(void **state) {
    struct box *b = *state;
    char host[9], dead[64], live[64], folder[8], *path = slot_of(b->store, &b->all[0], 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    sg_host_tag(host);
    snprintf(dead, sizeof dead, "%s-%lx-1-2", host, (unsigned long)child);
    snprintf(live, sizeof live, "%s-%lx-1-2", host, (unsigned long)getpid());
    snprintf(folder, sizeof folder, "v1/%02x/", b->all[0].key[0]);
    struct {
        char *path;
        bool gone, gone_at_once;
    } cases[] = {
        {temp(b, folder, dead, 30), false, true},
        {temp(b, "", dead, 120), true, true},
        {temp(b, folder, live, 120), false, false},
        {temp(b, "v1/", live, 7200), true, true},
        {temp(b, folder, "00000000-1-1-1", 30), false, true},
        {temp(b, folder, "00000000-1-1-2", 7200), true, true},
        {temp(b, folder, "odd", 7200), true, true},
        {temp(b, folder, "future", -86400), true, true},
    };
    char *foreign = join(b->store, "v1/README");
    char *foreign2 = join(b->store, "letter");
    write_file(foreign, "x", 1);
    write_file(foreign2, "x", 1);
    /* A crash between link and unlink: two names, the entry stays. */
    char *second = temp(b, folder, "linked", 7200);
    unlink(second);
    assert_int_equal(link(path, second), 0);
    set_age(path, 7200);
    struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, SG_GC_UNBOUNDED, 3600, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if ((access(cases[i].path, F_OK) != 0) != cases[i].gone)
            fail_msg("case %zu", i);
    }
    assert_int_equal(s.litter, 6);
    assert_int_equal(s.removed_entries, 0);
    assert_int_equal(access(second, F_OK), -1);
    assert_int_equal(found(b->tier, &b->all[0]), 1);
    collect(b, SG_GC_UNBOUNDED, SG_GC_UNBOUNDED, 0, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if ((access(cases[i].path, F_OK) != 0) != cases[i].gone_at_once)
            fail_msg("case %zu, at once", i);
        free(cases[i].path);
    }
    assert_int_equal(access(foreign, F_OK), 0);
    assert_int_equal(access(foreign2, F_OK), 0);
    free(foreign);
    free(foreign2);
    free(second);
    free(path);
}

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},       {"17", 17},       {"5G", UINT64_C(5) << 30}, {"5g", UINT64_C(5) << 30},
                {"2KiB", 2048}, {"3MB", 3 << 20}, {"1T", UINT64_C(1) << 40}, {"9B", 9}};
    static const char *const bad[] = {
        "", "G", "-1", "5X", "5GG", "5 G", "1.5G", "99999999999999999999", "18446744073709551615K", " 5"};
    uint64_t value;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(sg_size_parse(good[i].text, &value), SAGGAR_OK);
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sg_size_parse(bad[i], &value), SAGGAR_EINVAL);
    assert_int_equal(sg_size_parse(NULL, &value), SAGGAR_EINVAL);
}

/* After a publish the store looks after itself, now and then. */
static void test_automatic(void **state) {
    struct box *b = *state;
    struct made trigger;
    unsigned i = 1000;
    for (;; i++) {
        trigger = make_entry(i, 0, SAGGAR_ARCH_ANY, 3000);
        if ((trigger.key[31] & 63) == 0)
            break;
        free(trigger.core);
    }
    setenv("SAGGAR_SIZE", "20K", 1);
    assert_int_equal(publish(b->tier, &trigger), SAGGAR_OK);
    unsetenv("SAGGAR_SIZE");
    struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, SG_GC_UNBOUNDED, 3600, true);
    assert_in_range(s.bytes, 10000, 20480);
    assert_int_equal(found(b->tier, &trigger), 1);
    free(trigger.core);
}

static int count_good(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                      size_t annex_size, const char *name) {
    unsigned *n = context;
    (void)view;
    (void)annex;
    (void)annex_size;
    (void)name;
    n[error != SAGGAR_OK]++;
    return 0;
}

/* Ten thousand entries: each is listed, found and, when its time has come, collected. */
static void test_ten_thousand(void **state) {
    enum { MANY = 10000, EVERY = 100 };
    struct box *b = *state;
    unsigned n[2] = {0};
    for (unsigned i = 0; i < MANY; i++) {
        struct made m = make_entry(2000 + i, 0, SAGGAR_ARCH_ANY, 40);
        char *path = slot_of(b->store, &m, 0);
        char folder[300];
        snprintf(folder, sizeof folder, "%s/v1/%02x", b->store, m.key[0]);
        NEED(mkdir(folder, 0700) == 0 || errno == EEXIST);
        write_file(path, m.core, m.size);
        set_age(path, i % 2 == 0 ? 90000 : 10);
        free(path);
        free(m.core);
    }
    assert_int_equal(b->tier->ops->each(b->tier, count_good, n), 0);
    assert_int_equal(n[0], COUNT + MANY);
    assert_int_equal(n[1], 0);
    struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, 50000, 3600, false);
    assert_int_equal(s.entries, COUNT + MANY);
    assert_int_equal(s.removed_entries, MANY / 2);
    for (unsigned i = 0; i < MANY; i += EVERY - 1) {
        struct made m = make_entry(2000 + i, 0, SAGGAR_ARCH_ANY, 40);
        assert_int_equal(found(b->tier, &m), i % 2);
        free(m.core);
    }
    s = collect(b, 0, SG_GC_UNBOUNDED, 3600, false);
    assert_int_equal(s.removed_entries, COUNT + MANY / 2);
}

/* ---- Many at once
 * -------------------------------------------------------------------------------------------------- */

static int writer(void *context) {
    struct box *b = context;
    unsigned seed = (unsigned)getpid();
    struct sg_tier *tier = open_store(b->store);
    for (unsigned i = 0; i < KEYS; i++) {
        const struct made *m = &b->all[(seed + i * 3) % KEYS];
        NEED(publish(tier, m) == SAGGAR_OK);
    }
    for (unsigned i = 0; i < KEYS; i++)
        NEED(found(tier, &b->all[i]) == 1);
    tier->ops->close(tier);
    return 0;
}

static unsigned wait_all(const pid_t *children, unsigned n) {
    unsigned bad = 0;
    for (unsigned i = 0; i < n; i++)
        bad += child_wait(children[i]) != 0;
    return bad;
}

static void test_many_writers(void **state) {
    struct box *b = *state;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        pid_t children[PROCESSES];
        remove_tree(b->store);
        for (unsigned i = 0; i < PROCESSES; i++)
            children[i] = child_start(writer, b);
        assert_int_equal(wait_all(children, PROCESSES), 0);
        struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, SG_GC_UNBOUNDED, 0, true);
        assert_int_equal(s.entries, KEYS); /* one file each, no second slot */
        assert_int_equal(s.litter, 0);
    }
}

static int collector(void *context) {
    struct box *b = context;
    struct sg_gc_options options = {.max_bytes = 10000, .max_age = SG_GC_UNBOUNDED, .litter_age = 0};
    for (;;) {
        struct sg_gc_stats stats;
        int err = sg_store_gc(b->store, &options, &stats);
        NEED((err == SAGGAR_OK && stats.failed == 0) || err == SAGGAR_ENOTFOUND);
    }
    return 0;
}

static int worker(void *context) {
    struct box *b = context;
    unsigned served = 0;
    struct sg_tier *tier = open_store(b->store);
    for (unsigned i = 0; i < 400; i++) {
        const struct made *m = &b->all[i % COUNT];
        NEED(publish(tier, m) == SAGGAR_OK);
        struct faults f;
        unsigned n = find_good(tier, m->key, m, 1, &f);
        NEED(n <= 2 && f.n == 0); /* collected meanwhile, or even twice: never damaged */
        served += n;
    }
    tier->ops->close(tier);
    return served > 0 ? 0 : 1;
}

static void test_beside_writers(void **state) {
    struct box *b = *state;
    pid_t children[4];
    pid_t gc = child_start(collector, b);
    for (unsigned i = 0; i < 4; i++)
        children[i] = child_start(worker, b);
    assert_int_equal(wait_all(children, 4), 0);
    kill(gc, SIGTERM);
    waitpid(gc, NULL, 0);
    struct sg_gc_stats s = collect(b, SG_GC_UNBOUNDED, SG_GC_UNBOUNDED, 0, false);
    assert_int_equal(s.litter, 0);
}

static int variants_worker(void *context) {
    struct box *b = context;
    struct made all[4];
    struct sg_tier *tier = open_store(b->store);
    for (unsigned i = 0; i < 4; i++)
        all[i] = make_entry(900, i, SAGGAR_ARCH_ANY, 3000);
    for (unsigned i = 0; i < 200; i++) {
        struct faults f;
        NEED(publish(tier, &all[(i + (unsigned)getpid()) % 4]) == SAGGAR_OK);
        find_good(tier, all[0].key, all, 4, &f);
        NEED(f.n == 0); /* one that moves is never seen damaged */
    }
    for (unsigned i = 0; i < 4; i++)
        free(all[i].core);
    tier->ops->close(tier);
    return 0;
}

/* Variants of one key come, go and move down at once. */
static void test_variants_beside_writers(void **state) {
    struct box *b = *state;
    struct faults f;
    struct made all[4];
    pid_t children[3], gc = child_start(collector, b);
    for (unsigned i = 0; i < 3; i++)
        children[i] = child_start(variants_worker, b);
    assert_int_equal(wait_all(children, 3), 0);
    kill(gc, SIGTERM);
    waitpid(gc, NULL, 0);
    for (unsigned i = 0; i < 4; i++) {
        all[i] = make_entry(900, i, SAGGAR_ARCH_ANY, 3000);
        assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
    }
    assert_true(find_good(b->tier, all[0].key, all, 4, &f) >= 4);
    for (unsigned i = 0; i < 4; i++)
        free(all[i].core);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_to_do),
        TEST(test_size_bound),
        TEST(test_age_bound),
        TEST(test_ten_thousand),
        TEST(test_variants_beside_writers),
        TEST(test_variants),
        TEST(test_clock_set_back),
        TEST(test_litter),
        TEST(test_automatic),
        TEST(test_many_writers),
        TEST(test_beside_writers),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
