/* A store that cannot be used, or whose calls fail: every publish ends in an error, every find in a miss. */
#include "box.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "../trail/child.h"

enum { CHILD_SKIP = 77 };

/* From here on the call `nr` fails with `err` in this process. False: filters are not allowed here. */
static bool refuse(unsigned nr, unsigned err) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The test passes if `body` returns 0 in a child, and is skipped if that may not do what it needs. */
static void passes_in_child(int (*body)(void *context), void *context) {
    int result = child_run(body, context);
    if (result == CHILD_SKIP) {
        print_message("needs root and mount namespaces, or filters of system calls\n");
        skip();
    }
    assert_int_equal(result, 0);
}

/* ---- Stores that cannot be used
 * ------------------------------------------------------------------------------------ */

static void expect_off(const char *path, const char *note, int error) {
    struct made m = make_entry(1, 0, SAGGAR_ARCH_ANY, 50);
    struct sg_tier *tier = open_store(path);
    unsigned n[3] = {0};
    assert_false(tier->active);
    if (strstr(tier->note, note) == NULL)
        fail_msg("note: %s", tier->note);
    assert_int_equal(found(tier, &m), 0);
    assert_int_equal(publish(tier, &m), error);
    assert_int_equal(tier->ops->each(tier, count_each, n), 0);
    tier->ops->close(tier);
    free(m.core);
}

static void test_unusable(void **state) {
    struct box *b = *state;
    char *path = join(b->folder, "x"), *inside = join(b->folder, "x/store"), *target = join(b->folder, "y");
    struct sg_tier *tier;
    write_file(path, "a file", 6);
    expect_off(path, "not a directory", SAGGAR_EINVAL);
    expect_off(inside, "", SAGGAR_EINVAL);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
    expect_off(path, "link that leads nowhere", SAGGAR_EINVAL);
    assert_int_equal(mkdir(target, 0700), 0);
    tier = open_store(path); /* a link to something trusted */
    assert_true(tier->active);
    assert_int_equal(publish(tier, &b->m), SAGGAR_OK);
    assert_int_equal(found(tier, &b->m), 1);
    tier->ops->close(tier);
    chmod(target, 0777);
    expect_off(path, "", SAGGAR_EUNTRUSTED);
    expect_off(target, "", SAGGAR_EUNTRUSTED);
    expect_off(inside, "", SAGGAR_EUNTRUSTED); /* nor can one be made there */
    assert_int_equal(count_names(target, "store"), 0);
    chmod(target, 0700);
    chmod(b->folder, 0777);
    expect_off(target, "", SAGGAR_EUNTRUSTED);
    chmod(b->folder, 0700);
    assert_int_equal(sg_store_open(b->store, true, &tier), SAGGAR_OK);
    assert_int_equal(publish(tier, &b->m), SAGGAR_EREADONLY);
    tier->ops->close(tier);
    char *longest = malloc(4090);
    memset(longest, 'a', 4089);
    longest[0] = '/';
    longest[4089] = '\0';
    expect_off(longest, "too long", SAGGAR_ELIMIT);
    free(longest);
    free(path);
    free(inside);
    free(target);
}

static void test_home_gets_no_tag(void **state) {
    struct box *b = *state;
    struct sg_tier *tier = open_store(b->folder);
    char *letter = join(b->folder, "letter"), *tag = join(b->folder, "CACHEDIR.TAG");
    write_file(letter, "x", 1);
    assert_int_equal(publish(tier, &b->m), SAGGAR_OK);
    assert_int_equal(access(tag, F_OK), -1);
    tier->ops->close(tier);
    free(letter);
    free(tag);
}

/* As somebody without root's powers, if we have them. */
static int lock_out(void *context) {
    struct box *b = context;
    if (geteuid() == 0 && (chown(b->folder, 65534, 65534) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        return CHILD_SKIP;
    umask(022);
    struct sg_tier *tier = open_store(b->store);
    NEED(publish(tier, &b->m) == SAGGAR_OK && found(tier, &b->m) == 1);
    char *folder = slots_folder(b->store, &b->m);
    struct faults f;
    chmod(folder, 0500);
    struct made other = make_entry(1, 3, SAGGAR_ARCH_ANY, 50);
    NEED(publish(tier, &other) == SAGGAR_EACCESS);
    NEED(find_good(tier, b->m.key, &b->m, 1, &f) == 1 && f.n == 0);
    chmod(folder, 0);
    NEED(find_good(tier, b->m.key, &b->m, 1, &f) == 0 && f.n == 1 && f.last == SAGGAR_REASON_IO);
    chmod(folder, 0700);
    NEED(publish(tier, &other) == SAGGAR_OK);
    char *first = slot_of(b->store, &b->m, 0);
    chmod(first, 0); /* one file that cannot be read does not hide its neighbour */
    NEED(find_good(tier, b->m.key, &other, 1, &f) == 1 && f.n == 1 && f.last == SAGGAR_REASON_IO);
    chmod(first, 0600);
    tier->ops->close(tier);
    chmod(b->store, 0);
    tier = open_store(b->store);
    NEED(!tier->active && strstr(tier->note, "permission") != NULL);
    NEED(publish(tier, &b->m) == SAGGAR_EACCESS);
    tier->ops->close(tier);
    chmod(b->store, 0700);
    return 0;
}

static void test_no_permission(void **state) {
    passes_in_child(lock_out, *state);
}

/* ---- Refused calls
 * ------------------------------------------------------------------------------------------------- */

struct refusal {
    struct box *box;
    unsigned link_error, rename_error;
};

static int publish_refused(void *context) {
    struct refusal *r = context;
    struct box *b = r->box;
    struct made two = make_entry(1, 2, SAGGAR_ARCH_ANY, 50), both[2] = {b->m, two};
    struct faults f;
    if (!refuse(SYS_linkat, r->link_error) ||
        (r->rename_error != 0 && !refuse(SYS_renameat2, r->rename_error)))
        return CHILD_SKIP;
    NEED(publish(b->tier, &b->m) == SAGGAR_OK);
    NEED(publish(b->tier, &b->m) == SAGGAR_OK);
    NEED(publish(b->tier, &two) == SAGGAR_OK);
    NEED(find_good(b->tier, b->m.key, both, 2, &f) == 2 && f.n == 0);
    char *second = slot_of(b->store, &two, 1), *third = slot_of(b->store, &two, 2);
    NEED(access(second, F_OK) == 0 && access(third, F_OK) != 0 && litter_in(b->store, &two) == 0);
    return 0;
}

static void test_links_refused(void **state) {
    struct box *b = *state;
    static const unsigned errors[][2] = {
        {EPERM, 0}, {EOPNOTSUPP, EINVAL}, {EXDEV, ENOSYS}, {EMLINK, EPERM}, {ENOSYS, EINVAL}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct refusal r = {b, errors[i][0], errors[i][1]};
        passes_in_child(publish_refused, &r);
        remove_tree(b->store);
    }
}

static int publish_paused(void *context) {
    struct box *b = context;
    if (!refuse(SYS_fdatasync, EIO))
        return CHILD_SKIP;
    struct made two = make_entry(1, 2, SAGGAR_ARCH_ANY, 50);
    NEED(publish(b->tier, &two) == SAGGAR_EIO && litter_in(b->store, &two) == 0);
    struct faults f;
    NEED(find_good(b->tier, b->m.key, &b->m, 1, &f) == 1);
    remove_tree(b->store);
    NEED(publish(b->tier, &two) == SAGGAR_EIO && access(b->store, F_OK) != 0); /* did not even try */
    return 0;
}

static void test_pause(void **state) {
    struct box *b = *state;
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    passes_in_child(publish_paused, b);
}

static int publish_limited(void *context) {
    struct box *b = context;
    struct rlimit limit = {200, 200};
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    NEED(publish(b->tier, &b->m) == SAGGAR_ENOSPACE && litter_in(b->store, &b->m) == 0);
    return 0;
}

/* Beyond this limit a write would end the process by a signal. */
static void test_file_size_limit(void **state) {
    assert_int_equal(child_run(publish_limited, *state), 0);
}

/* ---- Real devices
 * -------------------------------------------------------------------------------------------------- */

static int own_mounts(void) {
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int fill_disk(void *context) {
    struct box *b = context;
    struct made small[40], big = make_entry(100, 0, SAGGAR_ARCH_ANY, 300000);
    unsigned stored = 0;
    if (geteuid() != 0 || !own_mounts() || mount("none", b->folder, "tmpfs", 0, "size=256k,mode=0700") != 0)
        return CHILD_SKIP;
    struct sg_tier *tier = open_store(b->store);
    int err = SAGGAR_OK;
    for (unsigned i = 0; i < 40; i++) {
        small[i] = make_entry(i, 0, SAGGAR_ARCH_ANY, 9000);
        if (err == SAGGAR_OK)
            err = publish(tier, &small[i]);
        stored += err == SAGGAR_OK;
    }
    NEED(err == SAGGAR_ENOSPACE && stored > 3 && stored < 30);
    for (unsigned i = 0; i < stored; i++)
        NEED(found(tier, &small[i]) == 1 && litter_in(b->store, &small[i]) == 0);
    for (unsigned i = stored; i < 40; i++)
        NEED(found(tier, &small[i]) == 0 && litter_in(b->store, &small[i]) == 0);
    tier->ops->close(tier);
    struct sg_gc_options options = {.max_bytes = 30000, .max_age = SG_GC_UNBOUNDED};
    struct sg_gc_stats stats;
    NEED(sg_store_gc(b->store, &options, &stats) == SAGGAR_OK);
    NEED(stats.entries == stored && stats.removed_entries > 0);
    tier = open_store(b->store);
    NEED(publish(tier, &big) == SAGGAR_ENOSPACE && litter_in(b->store, &big) == 0);
    tier->ops->close(tier);
    tier = open_store(b->store); /* room again: another tier does not pause */
    NEED(publish(tier, &small[39]) == SAGGAR_OK && found(tier, &small[39]) == 1);
    tier->ops->close(tier);
    return 0;
}

static int read_only_disk(void *context) {
    struct box *b = context;
    struct made two = make_entry(1, 2, SAGGAR_ARCH_ANY, 50), fresh = make_entry(9, 2, SAGGAR_ARCH_ANY, 50);
    if (geteuid() != 0 || !own_mounts() || mount("none", b->folder, "tmpfs", 0, "mode=0700") != 0)
        return CHILD_SKIP;
    struct sg_tier *tier = open_store(b->store);
    NEED(publish(tier, &b->m) == SAGGAR_OK);
    NEED(mount("none", b->folder, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    NEED(publish(tier, &two) == SAGGAR_EREADONLY && publish(tier, &fresh) == SAGGAR_EREADONLY);
    NEED(found(tier, &b->m) == 1 && found(tier, &fresh) == 0);
    tier->ops->close(tier);
    tier = open_store(b->store);
    NEED(tier->active && found(tier, &b->m) == 1 && publish(tier, &fresh) == SAGGAR_EREADONLY);
    tier->ops->close(tier);
    return 0;
}

static void test_full_disk(void **state) {
    passes_in_child(fill_disk, *state);
}

static void test_read_only_disk(void **state) {
    passes_in_child(read_only_disk, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_unusable), TEST(test_home_gets_no_tag), TEST(test_no_permission), TEST(test_links_refused),
        TEST(test_pause),    TEST(test_file_size_limit),  TEST(test_full_disk),     TEST(test_read_only_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
