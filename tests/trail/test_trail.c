/* Trail files: what is written is read back, whatever ends the process. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../base/check.h"
#include "base/bytes.h"
#include "child.h"
#include "trail/segment.h"
#include "trail/trail.h"

static char dir[256];

static int setup(void **state) {
    (void)state;
    if (!make_temp(dir))
        return 1;
    setenv("SAGGAR_TRAIL", dir, 1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_tree(dir);
    return 0;
}

/* ---- What the reader saw ---- */

enum { MAX_FILES = 64 };

struct seen {
    int files, bad, torn, closed;
    unsigned long events;
    uint64_t lost;
    struct sg_trail_process process[MAX_FILES]; /* texts are gone */
    unsigned long per_file[MAX_FILES];
    char exe[1024], argv[1024];
    size_t argv_size;
    uint64_t next[16]; /* per value of `flags`: the next value expected */
    bool out_of_order;
};

static int on_file(void *context, int error, const struct sg_trail_process *process) {
    struct seen *s = context;
    assert_true(s->files < MAX_FILES);
    s->process[s->files] = *process;
    s->bad += error != SAGGAR_OK;
    s->files++;
    if (error == SAGGAR_OK) {
        s->lost += process->lost;
        s->closed += process->state == SG_TRAIL_CLOSED;
        snprintf(s->exe, sizeof s->exe, "%s", process->exe);
        s->argv_size = process->argv_size < sizeof s->argv ? process->argv_size : sizeof s->argv;
        memcpy(s->argv, process->argv, s->argv_size);
    }
    return 0;
}

static int on_event(void *context, const struct sg_trail_process *process,
                    const struct sg_trail_record *record) {
    struct seen *s = context;
    (void)process;
    s->events++;
    s->per_file[s->files - 1]++;
    if (record->value != s->next[record->flags & 15])
        s->out_of_order = true;
    s->next[record->flags & 15] = record->value + 1;
    return 0;
}

static int on_end(void *context, const struct sg_trail_process *process, bool torn) {
    struct seen *s = context;
    (void)process;
    s->torn += torn;
    return 0;
}

static void read_dir(struct seen *s) {
    struct sg_trail_visitor v = {s, on_file, on_event, on_end};
    memset(s, 0, sizeof *s);
    assert_int_equal(sg_trail_read(dir, &v), SAGGAR_OK);
}

static void record_value(unsigned flags, uint64_t value) {
    saggar_trail_event event = {
        .event = SAGGAR_EVENT_HIT, .flags = flags, .value = value, .group = "c:m:f", .detail = "tier"};
    saggar_trail_record(&event);
}

static int count_files(void) {
    struct dirent *entry;
    int n = 0;
    DIR *d = opendir(dir);
    while ((entry = readdir(d)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(d);
    return n;
}

/* ---- Cases ---- */

static const uint8_t key[32] = {1, 2, 3};

static int write_all_members(void *arg) {
    static char text[5000];
    static unsigned char blob[SG_TRAIL_BLOB_MAX + 1];
    (void)arg;
    memset(text, 'x', 4095);
    memcpy(text + 4095, "\xc3\xa9tail", 7); /* the cut falls into a character */
    memset(blob, 7, sizeof blob);
    saggar_trail_event event = {SAGGAR_EVENT_MISS,
                                SAGGAR_FLAG_USED,
                                SAGGAR_REASON_FEATURES,
                                42,
                                key,
                                "numba:m:f",
                                "avx512f",
                                blob,
                                1000};
    saggar_trail_record(&event);
    event.group = text;
    event.detail = NULL;
    event.key = NULL;
    event.blob_size = SG_TRAIL_BLOB_MAX;
    saggar_trail_record(&event);
    event.blob_size = SG_TRAIL_BLOB_MAX + 1;
    saggar_trail_record(&event);
    uint64_t counts[16];
    saggar_trail_counts(counts);
    saggar_trail_close();
    return counts[SAGGAR_EVENT_MISS] == 3 && counts[SAGGAR_EVENT_HIT] == 0 ? 0 : 1;
}

static int write_wait(void *arg) {
    const uint8_t other[32] = {9};
    saggar_trail_event event = {.event = SAGGAR_EVENT_MISS, .reason = SAGGAR_REASON_ABSENT, .key = key};
    (void)arg;
    saggar_trail_record(&event);
    event.event = SAGGAR_EVENT_WAITED;
    event.reason = SAGGAR_REASON_CLAIM_TIMEOUT;
    saggar_trail_record(&event);
    event.event = SAGGAR_EVENT_MISS;
    event.reason = SAGGAR_REASON_ABSENT;
    saggar_trail_record(&event);
    event.key = other;
    saggar_trail_record(&event);
    event.key = key;
    event.reason = SAGGAR_REASON_FEATURES;
    saggar_trail_record(&event);
    return 0;
}

static int check_wait(void *context, const struct sg_trail_process *process,
                      const struct sg_trail_record *r) {
    const saggar_reason reasons[] = {SAGGAR_REASON_ABSENT, SAGGAR_REASON_CLAIM_TIMEOUT,
                                     SAGGAR_REASON_CLAIM_TIMEOUT, SAGGAR_REASON_ABSENT,
                                     SAGGAR_REASON_FEATURES};
    int i = (*(int *)context)++;
    (void)process;
    assert_int_equal(r->reason, reasons[i]);
    return 0;
}

/* What was waited for in vain misses for that reason. */
static void test_waited_too_long(void **state) {
    (void)state;
    int n = 0;
    struct sg_trail_visitor v = {&n, NULL, check_wait, NULL};
    assert_int_equal(child_run(write_wait, NULL), 0);
    assert_int_equal(sg_trail_read(dir, &v), SAGGAR_OK);
    assert_int_equal(n, 5);
}

static int check_members(void *context, const struct sg_trail_process *process,
                         const struct sg_trail_record *r) {
    int i = (*(int *)context)++;
    assert_int_equal(process->pid, r->pid);
    assert_int_equal(r->event, SAGGAR_EVENT_MISS);
    assert_int_equal(r->reason, SAGGAR_REASON_FEATURES);
    assert_int_equal(r->flags, SAGGAR_FLAG_USED);
    assert_int_equal(r->value, 42);
    assert_true(r->time > UINT64_C(1500000000000000000));
    if (i == 0) {
        assert_memory_equal(r->key, key, 32);
        assert_string_equal(r->group, "numba:m:f");
        assert_string_equal(r->detail, "avx512f");
        assert_int_equal(r->blob_size, 1000);
        assert_int_equal(r->blob[999], 7);
    } else {
        assert_null(r->key);
        assert_int_equal(strlen(r->group), 4095);
        assert_string_equal(r->detail, "");
        assert_int_equal(r->blob_size, i == 1 ? SG_TRAIL_BLOB_MAX : 0);
    }
    return 0;
}

static void test_members(void **state) {
    (void)state;
    int n = 0;
    struct seen s;
    struct sg_trail_visitor v = {&n, NULL, check_members, NULL};
    assert_int_equal(child_run(write_all_members, NULL), 0);
    assert_int_equal(sg_trail_read(dir, &v), SAGGAR_OK);
    assert_int_equal(n, 3);
    read_dir(&s);
    assert_int_equal(s.files, 1);
    assert_int_equal(s.closed, 1);
    assert_int_equal(s.process[0].ppid, getpid());
    assert_true(s.process[0].start > 0);
    assert_non_null(strstr(s.exe, "test-trail"));
    assert_true(s.argv_size > 1 && s.argv[s.argv_size - 1] == '\0');
}

static int grandchild(void *arg) {
    record_value(1, 0);
    (void)arg;
    return 0;
}

static int fork_between(void *arg) {
    (void)arg;
    record_value(0, 0);
    if (child_run(grandchild, NULL) != 0)
        return 1;
    record_value(0, 1);
    return 0;
}

static void test_fork(void **state) {
    (void)state;
    struct seen s;
    pid_t pid = child_start(fork_between, NULL);
    assert_int_equal(child_wait(pid), 0);
    read_dir(&s);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.events, 3);
    assert_false(s.out_of_order);
    int parent = (pid_t)s.process[0].pid == pid ? 0 : 1;
    assert_int_equal(s.process[parent].pid, pid);
    assert_int_equal(s.process[parent].origin, 0);
    assert_int_equal(s.process[1 - parent].origin, pid);
    assert_int_equal(s.process[1 - parent].ppid, pid);
    assert_int_equal(s.per_file[parent], 2);
    assert_int_equal(s.closed, 0);
}

static int write_many(void *arg) {
    for (uint64_t i = 0; i < *(uint64_t *)arg; i++)
        record_value(0, i);
    return 0;
}

static void test_segments(void **state) {
    (void)state;
    uint64_t n = 20000; /* 112 bytes each */
    struct seen s;
    assert_int_equal(child_run(write_many, &n), 0);
    read_dir(&s);
    assert_int_equal(s.files, 3);
    assert_int_equal(s.closed, 2);
    assert_int_equal(s.events, n);
    assert_false(s.out_of_order);
    assert_int_equal(s.process[2].seq, 2);
    assert_int_equal(s.lost, 0);
}

static void test_kill(void **state) {
    (void)state;
    uint64_t n = UINT64_MAX;
    for (unsigned i = 0; i < 10; i++) {
        struct seen s;
        pid_t pid = child_start(write_many, &n);
        usleep(500 + 700 * i);
        kill(pid, SIGKILL);
        assert_int_equal(child_wait(pid), -SIGKILL);
        read_dir(&s);
        assert_false(s.out_of_order);
        assert_int_equal(s.torn, 0);
        remove_tree(dir);
        assert_int_equal(mkdir(dir, 0700), 0);
    }
}

static void *thread(void *arg) {
    unsigned flags = (unsigned)(uintptr_t)arg;
    for (uint64_t i = 0; i < 2000; i++)
        record_value(flags, i);
    return NULL;
}

static int many_threads(void *arg) {
    pthread_t threads[8];
    (void)arg;
    for (uintptr_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, thread, (void *)i);
    for (int i = 0; i < 20; i++) {
        if (child_run(grandchild, NULL) != 0) /* forks while others write */
            return 1;
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_threads(void **state) {
    (void)state;
    struct seen s;
    assert_int_equal(child_run(many_threads, NULL), 0);
    read_dir(&s);
    assert_int_equal(s.events, 8 * 2000 + 20);
    assert_int_equal(s.torn + s.bad, 0);
}

static int quiet(void *arg) {
    (void)arg;
    record_value(0, 0);
    if (!child_forbid_syscalls())
        return 77;
    for (uint64_t i = 1; i < 5000; i++)
        record_value(0, i);
    return 0;
}

static void test_no_system_calls(void **state) {
    (void)state;
    struct seen s;
    int result = child_run(quiet, NULL);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
    read_dir(&s);
    assert_int_equal(s.events, 5000);
}

/* A file size limit must neither kill the process nor go unnoticed. */
static int limited(void *arg) {
    struct rlimit limit = {4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    return write_many(arg);
}

static void test_no_space(void **state) {
    (void)state;
    uint64_t n = 100;
    struct seen s;
    assert_int_equal(child_run(limited, &n), 0);
    read_dir(&s);
    assert_int_equal(s.files, 1);
    assert_int_equal(s.bad, 1);
}

static int full_disk(void *arg) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=256k") != 0)
        return 77;
    write_many(arg);
    struct seen s;
    read_dir(&s);
    return s.files == 1 && s.bad == 1 ? 0 : 1;
}

/* A full disk does not end in SIGBUS. */
static void test_full_disk(void **state) {
    (void)state;
    uint64_t n = 10000;
    int result = child_run(full_disk, &n);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

static int second_fails(void *arg) {
    record_value(0, 0);
    struct rlimit limit = {4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    for (uint64_t i = 1; i < 10000; i++)
        record_value(0, i);
    (void)arg;
    return 0;
}

static int killed_at(void *call) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*(int *)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 77;
    record_value(0, 0);
    return 0;
}

/* A process that is killed while it makes its first file has recorded nothing, and its trail is whole. */
static void test_killed_while_it_is_made(void **state) {
    (void)state;
    int calls[] = {SYS_fallocate, SYS_renameat2};
    for (size_t i = 0; i < 2; i++) {
        struct seen s;
        assert_int_equal(child_run(killed_at, &calls[i]), -SIGSYS);
        read_dir(&s);
        assert_int_equal(s.files, 0);
    }
}

static void test_lost(void **state) {
    (void)state;
    struct seen s;
    assert_int_equal(child_run(second_fails, NULL), 0);
    read_dir(&s);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.bad, 1);
    assert_true(s.lost > 0);
    assert_int_equal(s.events + s.lost, 10000);
}

/* No process fills a disk with its trail. */
static void test_bounded(void **state) {
    (void)state;
    struct sg_segment segment;
    uint32_t seq = SG_TRAIL_FILES_MAX - 1;
    assert_true(sg_segment_open(&segment, dir, &seq, 0));
    assert_int_equal(seq, SG_TRAIL_FILES_MAX - 1);
    sg_segment_drop(&segment);
    assert_false(
        sg_segment_open(&segment, dir, &seq, 0)); /* that name is taken, and the next is one too many */
    assert_int_equal(count_files(), 1);
}

static int not_ours(void *arg) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 77;
    return write_many(arg);
}

/* Another user's directory: the program goes on, the counters count, nothing is written. */
static void test_no_permission(void **state) {
    (void)state;
    uint64_t n = 100;
    assert_int_equal(chmod(dir, 0555), 0);
    int result = child_run(not_ours, &n);
    chmod(dir, 0700);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
    assert_int_equal(count_files(), 0);
}

static void test_no_directory(void **state) {
    (void)state;
    uint64_t n = 100;
    setenv("SAGGAR_TRAIL", "/nonexistent/trail", 1);
    assert_int_equal(child_run(write_many, &n), 0);
}

static void damage(const char *file, long at, int how) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ how, f);
    fclose(f);
}

static int name_of(void *context, int error, const struct sg_trail_process *process) {
    (void)error;
    snprintf(context, 256, "%s", process->file);
    return 0;
}

static void test_damage(void **state) {
    (void)state;
    uint64_t n = 50;
    char file[256], path[600];
    struct seen s;
    struct sg_trail_visitor v = {file, name_of, NULL, NULL};
    assert_int_equal(child_run(write_many, &n), 0);
    assert_int_equal(sg_trail_read(dir, &v), SAGGAR_OK);
    damage(file, SG_TRAIL_HEADER + 112 * 10 + 24, 1); /* the value of event 10 */
    read_dir(&s);
    assert_int_equal(s.events, 10);
    assert_int_equal(s.torn, 1);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    for (off_t size = 1 << 20; size > 0; size = size / 2 - 7) {
        assert_int_equal(truncate(path, size), 0);
        read_dir(&s);
        assert_int_equal(s.files, 1);
        assert_int_equal(s.bad, size < SG_TRAIL_HEADER);
    }
    assert_int_equal(truncate(path, 0), 0);
    read_dir(&s);
    assert_int_equal(s.bad, 1);
}

static int late(void *arg) {
    (void)arg;
    record_value(0, 0);
    saggar_trail_close();
    saggar_trail_close();
    record_value(0, 1);
    return 0;
}

static void test_after_close(void **state) {
    (void)state;
    struct seen s;
    assert_int_equal(child_run(late, NULL), 0);
    read_dir(&s);
    assert_int_equal(s.events, 2);
    assert_int_equal(s.closed, 0);
}

/* The same process after exec: pid and start time are the same. */
static void test_exec(void **state) {
    (void)state;
    struct seen s;
    pid_t pid = fork();
    if (pid == 0) {
        record_value(0, 0);
        execl("/proc/self/exe", "again", "--again", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(child_wait(pid), 0);
    read_dir(&s);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.process[0].pid, s.process[1].pid);
    assert_int_equal(s.process[0].start, s.process[1].start);
    assert_int_equal(s.process[1].seq, 1);
    assert_int_equal(s.argv_size, strlen("again") + strlen("--again") + 2);
    assert_string_equal(s.argv + 6, "--again");
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--again") == 0) {
        record_value(0, 1);
        return 0;
    }
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_members),
        CASE(test_waited_too_long),
        CASE(test_fork),
        CASE(test_segments),
        CASE(test_kill),
        CASE(test_threads),
        CASE(test_no_space),
        CASE(test_no_system_calls),
        CASE(test_lost),
        CASE(test_full_disk),
        CASE(test_no_directory),
        CASE(test_no_permission),
        CASE(test_bounded),
        CASE(test_damage),
        CASE(test_after_close),
        CASE(test_exec),
        CASE(test_killed_while_it_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
