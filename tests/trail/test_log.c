/* The misses log: what is kept of runs without SAGGAR_TRAIL. */
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../base/check.h"
#include "child.h"
#include "trail/trail.h"

static char dir[256], path[300];

static int setup(void **state) {
    (void)state;
    if (!make_temp(dir))
        return 1;
    unsetenv("SAGGAR_TRAIL");
    setenv("HOME", dir, 1);
    unsetenv("XDG_STATE_HOME");
    snprintf(path, sizeof path, "%s/.local/state/saggar/misses.log", dir);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_tree(dir);
    return 0;
}

static void record(saggar_event type, uint64_t value) {
    saggar_trail_event event = {
        .event = type, .value = value, .group = "c:m:f", .detail = "why", .blob = dir, .blob_size = 200};
    saggar_trail_record(&event);
}

static int one_of_each(void *arg) {
    uint64_t counts[16];
    (void)arg;
    for (int i = 1; i <= 9; i++)
        record((saggar_event)i, 5);
    record((saggar_event)16, 0);
    saggar_trail_counts(counts);
    for (int i = 1; i <= 9; i++) {
        if (counts[i] != 1)
            return 1;
    }
    return 0;
}

struct seen {
    unsigned long n;
    unsigned types;
    uint64_t values[4];
};

static int on_event(void *context, const struct sg_trail_record *record_) {
    struct seen *s = context;
    s->types |= 1u << record_->event;
    assert_string_equal(record_->detail, "why");
    s->n++;
    return 0;
}

static void read_log(const char *file, struct seen *s, uint64_t *skipped) {
    memset(s, 0, sizeof *s);
    assert_int_equal(sg_trail_read_log(file, on_event, s, skipped), SAGGAR_OK);
}

static void test_only_misses(void **state) {
    (void)state;
    struct seen s;
    uint64_t skipped;
    char asked[4096];
    struct stat st;
    assert_int_equal(child_run(one_of_each, NULL), 0);
    sg_trail_log_path(asked, sizeof asked);
    assert_string_equal(asked, path);
    read_log(path, &s, &skipped);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.types,
                     1u << SAGGAR_EVENT_MISS | 1u << SAGGAR_EVENT_NOT_STORED | 1u << SAGGAR_EVENT_FAULT);
    assert_int_equal(skipped, 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static int many(void *arg) {
    (void)arg;
    for (uint64_t i = 0; i < 3000; i++)
        record(SAGGAR_EVENT_MISS, i);
    return 0;
}

/* Four processes append at once: nothing mixes, and the size stays bounded. It may be twice the limit: while one
 * process that sets the log aside is not given a processor, the others append to the old log. */
static void test_bounded(void **state) {
    (void)state;
    pid_t pids[4];
    struct seen s;
    uint64_t skipped;
    struct stat st;
    char old[310];
    for (int i = 0; i < 4; i++)
        pids[i] = child_start(many, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    snprintf(old, sizeof old, "%s.1", path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= 2 * SG_TRAIL_LOG_MAX + 4 * 400);
    assert_int_equal(stat(old, &st), 0);
    assert_true(st.st_size <= 2 * SG_TRAIL_LOG_MAX + 4 * 400);
    read_log(path, &s, &skipped);
    assert_int_equal(skipped, 0);
    read_log(old, &s, &skipped);
    assert_int_equal(skipped, 0);
    assert_true(s.n > 2000);
}

static void test_torn(void **state) {
    (void)state;
    struct seen s;
    uint64_t skipped;
    assert_int_equal(child_run(one_of_each, NULL), 0);
    FILE *f = fopen(path, "a");
    fwrite("garbage", 1, 7, f);
    fclose(f);
    assert_int_equal(child_run(one_of_each, NULL), 0);
    read_log(path, &s, &skipped);
    assert_int_equal(s.n, 6);
    assert_int_equal(skipped, 1);
}

static int limited(void *arg) {
    struct rlimit limit = {100, 100};
    setrlimit(RLIMIT_FSIZE, &limit);
    return one_of_each(arg);
}

static void test_faults(void **state) {
    (void)state;
    char parent[300];
    assert_int_equal(child_run(limited, NULL), 0);
    remove_tree(path);
    assert_int_equal(mkdir(path, 0700), 0); /* a directory in its place */
    assert_int_equal(child_run(one_of_each, NULL), 0);
    remove_tree(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(child_run(one_of_each, NULL), 0);
    remove_tree(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not block */
    assert_int_equal(child_run(one_of_each, NULL), 0);
    unsetenv("HOME");
    assert_int_equal(child_run(one_of_each, NULL), 0);
    setenv("HOME", "relative", 1);
    assert_int_equal(child_run(one_of_each, NULL), 0);
    snprintf(parent, sizeof parent, "%s/file", dir);
    fclose(fopen(parent, "w"));
    setenv("HOME", parent, 1);
    assert_int_equal(child_run(one_of_each, NULL), 0);
}

/* Another user's HOME (sudo): nothing is made there. */
static void test_foreign_home(void **state) {
    (void)state;
    struct stat st;
    char local[300], asked[4096];
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(dir, 12345, 12345), 0);
    assert_int_equal(child_run(one_of_each, NULL), 0);
    snprintf(local, sizeof local, "%s/.local", dir);
    assert_int_equal(stat(local, &st), -1);
    sg_trail_log_path(asked, sizeof asked);
    assert_string_equal(asked, "");
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_only_misses), CASE(test_bounded),      CASE(test_torn),
        CASE(test_faults),      CASE(test_foreign_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
