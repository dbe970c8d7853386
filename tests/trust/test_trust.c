/*
 * The ownership rule: every arrangement in a fresh directory under one that the test may trust. What needs
 * another owner or a mount is done as root and skipped, with a word, elsewhere.
 */
#include "../base/check.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "saggar/saggar.h"
#include "trust/trust.h"

enum { NOBODY = 65534 };

static char root[PATH_MAX]; /* "<somewhere>/sg-trust-XXXXXX", made for each test, mode 0755 */
static struct sg_trust_verdict v;

static const char *in(const char *name) {
    static char paths[4][2 * PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void make_dir(const char *name, mode_t mode) {
    assert_int_equal(mkdir(in(name), 0700), 0);
    assert_int_equal(chmod(in(name), mode), 0);
}

static void make_file(const char *name, mode_t mode) {
    int fd = open(in(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void give(const char *name, uid_t uid) {
    assert_int_equal(lchown(in(name), uid, uid), 0);
}

static bool is_root(const char *what) {
    if (geteuid() != 0) {
        print_message("skipped: %s needs root\n", what);
        return false;
    }
    return true;
}

static void yes(const char *name) {
    if (sg_trust_check(in(name), NULL, &v) != SAGGAR_OK || !v.trusted) {
        fail_msg("%s: %s", name, v.reason);
    }
}

/* Not trusted, and the reason holds both words. */
static void no(const char *name, const char *where, const char *why) {
    assert_int_equal(sg_trust_check(in(name), NULL, &v), SAGGAR_OK);
    if (v.trusted || strstr(v.reason, where) == NULL || strstr(v.reason, why) == NULL) {
        fail_msg("%s: trusted %d, '%s'; expected %s %s", name, v.trusted, v.reason, where, why);
    }
}

static int set_up(void **state) {
    (void)state;
    const char *tmp = getenv("TMPDIR");
    char made[PATH_MAX];
    umask(022);
    unsetenv("SAGGAR_TRUST");
    snprintf(made, sizeof made, "%s/sg-trust-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    return mkdtemp(made) != NULL && realpath(made, root) != NULL && chmod(root, 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[PATH_MAX + 32];
    snprintf(command, sizeof command, "rm -rf -- '%s'", root);
    return system(command) == 0 && chdir("/") == 0 ? 0 : -1;
}

static void test_own_files(void **state) {
    (void)state;
    make_dir("d", 0755);
    make_file("d/f", 0644);
    make_file("d/secret", 0600);
    yes("d/f");
    yes("d/secret");
    yes("d");
    yes("d//./f");
    yes("d/../d/f");
    assert_string_equal(v.reason, "");
    assert_false(v.by_override);
    assert_int_equal(sg_trust_path("/", NULL, 0), SAGGAR_OK);
    assert_int_equal(chdir(in("d")), 0);
    assert_int_equal(sg_trust_path("f", NULL, 0), SAGGAR_OK);
    assert_int_equal(sg_trust_path("../d/f", NULL, 0), SAGGAR_OK);
}

static void test_writable_by_others(void **state) {
    (void)state;
    make_dir("d", 0755);
    make_file("d/f", 0646);
    no("d/f", "/d/f ", "writable by everybody (mode 0646)");
    make_file("d/g", 0644);
    assert_int_equal(chmod(in("d"), 0757), 0);
    no("d/g", "/d ", "writable by everybody");
    no("d", "/d ", "writable by everybody");
    char why[256];
    assert_int_equal(sg_trust_path(in("d/g"), why, sizeof why), SAGGAR_EUNTRUSTED);
    assert_string_equal(why, v.reason);
    assert_int_equal(sg_trust_path(in("."), why, sizeof why), SAGGAR_OK);
    assert_string_equal(why, "");
}

static void test_sticky(void **state) {
    (void)state;
    make_dir("t", 01777);
    make_file("t/f", 0644);
    yes("t/f");
    yes("t");
    make_dir("t/mine", 0700);
    make_file("t/mine/f", 0600);
    yes("t/mine/f");
    make_dir("t/open", 0777);
    make_file("t/open/f", 0600);
    no("t/open/f", "/t/open ", "everybody");
    make_dir("t/inner", 01777);
    make_file("t/inner/f", 0600);
    yes("t/inner/f");
    if (!is_root("a sticky directory with a foreign entry")) {
        return;
    }
    make_dir("t/his", 0755);
    make_file("t/his/f", 0644);
    give("t/his", NOBODY);
    no("t/his/f", "/t/his ", "user 65534");
    make_file("t/hisfile", 0644);
    give("t/hisfile", NOBODY);
    no("t/hisfile", "/t/hisfile ", "user 65534");
    /* His link, to a file of mine: he may point it elsewhere at any time. */
    assert_int_equal(symlink(in("t/f"), in("t/link")), 0);
    give("t/link", NOBODY);
    no("t/link", "/t/link ", "link of user 65534");
    /* A sticky directory of his: he may replace everything in it. */
    give("t/inner", NOBODY);
    no("t/inner/f", "/t/inner ", "user 65534");
}

static void test_group(void **state) {
    (void)state;
    if (!is_root("group ownership")) {
        return;
    }
    make_dir("d", 0775); /* root's own group */
    make_file("d/f", 0664);
    yes("d/f");
    assert_int_equal(chown(in("d"), 0, 100), 0); /* "users" */
    no("d/f", "/d ", "writable by group 100");
    assert_int_equal(chmod(in("d"), 0755), 0);
    yes("d/f");
    assert_int_equal(chown(in("d/f"), 0, 100), 0);
    no("d/f", "/d/f ", "group 100");
    assert_int_equal(chown(in("d/f"), 0, 54321), 0); /* no such group */
    no("d/f", "/d/f ", "group 54321");
    assert_int_equal(chown(in("d"), 0, 100), 0);
    assert_int_equal(chmod(in("d"), 01775), 0);
    make_file("d/g", 0644);
    yes("d/g");
}

static void test_foreign_owner(void **state) {
    (void)state;
    if (!is_root("a foreign owner")) {
        return;
    }
    make_dir("d", 0755);
    make_file("d/f", 0644);
    give("d/f", NOBODY);
    no("d/f", "/d/f ", "belongs to user 65534");
    give("d", NOBODY);
    no("d/f", "/d ", "belongs to user 65534"); /* the first thing that is wrong, from the root */
    give("d/f", 0);
    no("d/f", "/d ", "belongs to user 65534");
    /* The owner of the prefix that it was found under is trusted besides. */
    make_dir("p", 0755);
    give("p", NOBODY);
    make_file("p/f", 0644);
    give("p/f", NOBODY);
    no("p/f", "/p ", "user 65534");
    assert_int_equal(sg_trust_check(in("p/f"), in("p"), &v), SAGGAR_OK);
    assert_true(v.trusted);
    give("p/f", 65533);
    assert_int_equal(sg_trust_check(in("p/f"), in("p"), &v), SAGGAR_OK);
    assert_false(v.trusted);
    give("p/f", NOBODY);
    assert_int_equal(sg_trust_check(in("p/f"), in("nowhere"), &v), SAGGAR_OK);
    assert_false(v.trusted);
    assert_int_equal(chmod(in("p"), 0777), 0);
    assert_int_equal(sg_trust_check(in("p/f"), in("p"), &v), SAGGAR_OK);
    assert_false(v.trusted);
}

/* As seen by another user: root's are fine, other people's are not. */
static void test_another_user(void **state) {
    (void)state;
    if (!is_root("another user")) {
        return;
    }
    make_dir("d", 0755);
    make_file("d/roots", 0644);
    make_file("d/mine", 0644);
    give("d/mine", NOBODY);
    make_file("d/hers", 0644);
    give("d/hers", 12345);
    make_dir("d/closed", 0700);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
            _exit(9);
        }
        int bad = 0;
        bad |= sg_trust_path(in("d/roots"), NULL, 0) != SAGGAR_OK ? 1 : 0;
        bad |= sg_trust_path(in("d/mine"), NULL, 0) != SAGGAR_OK ? 2 : 0;
        bad |= sg_trust_path(in("d/hers"), NULL, 0) != SAGGAR_EUNTRUSTED ? 4 : 0;
        bad |= sg_trust_path(in("d/closed/f"), NULL, 0) != SAGGAR_EACCESS ? 8 : 0;
        setenv("HOME", in("d"), 1);
        bad |= !sg_home_is_foreign() ? 16 : 0;
        _exit(bad);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_links(void **state) {
    (void)state;
    make_dir("d", 0755);
    make_dir("open", 0777);
    make_dir("d/sub", 0755);
    make_file("d/f", 0644);
    make_file("open/f", 0644);
    assert_int_equal(symlink("d/f", in("relative")), 0);
    assert_int_equal(symlink(in("d/f"), in("absolute")), 0);
    assert_int_equal(symlink("../d/sub/..//f", in("d/round")), 0);
    assert_int_equal(symlink("d", in("dir")), 0);
    assert_int_equal(symlink("relative", in("twice")), 0);
    assert_int_equal(symlink("open/f", in("bad")), 0);
    assert_int_equal(symlink("../d/f", in("open/good")), 0);
    yes("relative");
    yes("absolute");
    yes("d/round");
    yes("dir/f");
    yes("dir/sub/../f"); /* ".." is taken where the link leads */
    yes("twice");
    no("bad", "/open ", "everybody");
    no("open/good", "/open ", "everybody"); /* a good end does not mend the way */
    no("open/../d/f", "/open ", "everybody");
    assert_int_equal(symlink("loop", in("loop")), 0);
    assert_int_equal(sg_trust_check(in("loop"), NULL, &v), SAGGAR_ELIMIT);
    assert_false(v.trusted);
    assert_int_equal(symlink("nowhere", in("dangling")), 0);
    assert_int_equal(sg_trust_check(in("dangling"), NULL, &v), SAGGAR_ENOTFOUND);
}

static void test_what_is_not_there(void **state) {
    (void)state;
    make_dir("open", 0777);
    make_file("f", 0644);
    assert_int_equal(sg_trust_check(in("a/b/c"), NULL, &v), SAGGAR_ENOTFOUND);
    assert_true(v.trusted);
    assert_non_null(strstr(v.reason, "/a is not there"));
    assert_int_equal(sg_trust_check(in("open/a"), NULL, &v), SAGGAR_ENOTFOUND);
    assert_false(v.trusted);
    assert_non_null(strstr(v.reason, "/open is writable"));
    assert_int_not_equal(sg_trust_check(in("f/a"), NULL, &v), SAGGAR_OK);
    assert_false(v.trusted);
    assert_int_not_equal(sg_trust_check(in("f/"), NULL, &v), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_trust_check("", NULL, &v), SAGGAR_EINVAL);
    assert_int_equal(sg_trust_check(NULL, NULL, &v), SAGGAR_EINVAL);
    char *big = malloc(2 * PATH_MAX);
    assert_non_null(big);
    memset(big, '/', 2 * PATH_MAX);
    big[2 * PATH_MAX - 1] = '\0';
    assert_int_equal(sg_trust_check(big, NULL, &v), SAGGAR_ELIMIT);
    memset(big + 1, 'x', NAME_MAX + 1);
    big[NAME_MAX + 2] = '\0';
    assert_int_equal(sg_trust_check(big, NULL, &v), SAGGAR_ELIMIT);
    assert_false(v.trusted);
    free(big);
}

static void test_reason_is_one_short_line(void **state) {
    (void)state;
    char name[NAME_MAX + 1], nested[2 * NAME_MAX + 2];
    memset(name, 'y', NAME_MAX);
    name[0] = '\n';
    name[1] = '\x1b';
    name[NAME_MAX] = '\0';
    make_dir(name, 0755);
    snprintf(nested, sizeof nested, "%s/%s", name, name);
    make_dir(nested, 0777);
    no(nested, "...", "is writable by everybody (mode 0777)");
    make_dir("a\nb", 0777);
    no("a\nb", "/a?b ", "everybody");
    assert_null(strchr(v.reason, '\n'));
}

static void test_override(void **state) {
    (void)state;
    char list[4 * PATH_MAX];
    make_dir("open", 0777);
    make_dir("open/in", 0755);
    make_file("open/in/f", 0644);
    make_dir("openly", 0777);
    make_file("openly/f", 0644);
    assert_int_equal(symlink("open", in("link")), 0);
    assert_int_equal(symlink("../openly/f", in("open/out")), 0);
    setenv("SAGGAR_TRUST", in("open"), 1);
    yes("open/in/f");
    assert_true(v.by_override);
    assert_non_null(strstr(v.reason, "/open is writable"));
    yes("open");
    yes("link/in/f");
    no("openly/f", "/openly ", "everybody"); /* whole components */
    no("open/../openly/f", "/open ", "everybody");
    no("open/out", "/open ", "everybody"); /* where it ends counts */
    assert_int_equal(sg_trust_check(in("open/new"), NULL, &v), SAGGAR_ENOTFOUND);
    assert_true(v.trusted);
    snprintf(list, sizeof list, "::/nowhere:relative:%s/:%s", in("link"), in("openly"));
    setenv("SAGGAR_TRUST", list, 1);
    yes("open/in/f");
    yes("openly/f");
    setenv("SAGGAR_TRUST", "/", 1);
    yes("openly/f");
    static const char *const useless[] = {"", ":", ".", "open", "/nowhere"};
    assert_int_equal(chdir(root), 0);
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        setenv("SAGGAR_TRUST", useless[i], 1);
        no("open/in/f", "/open ", "everybody");
    }
    unsetenv("SAGGAR_TRUST");
    no("open/in/f", "/open ", "everybody");
}

static void test_open_file(void **state) {
    (void)state;
    make_file("f", 0644);
    int fd = open(in("f"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_OK);
    assert_true(v.trusted);
    assert_int_equal(fchmod(fd, 0666), 0);
    assert_int_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_OK);
    assert_false(v.trusted);
    assert_string_equal(v.reason, "the file is writable by everybody (mode 0666)");
    setenv("SAGGAR_TRUST", root, 1);
    assert_int_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_OK);
    assert_true(v.trusted && v.by_override);
    unsetenv("SAGGAR_TRUST");
    if (is_root("a foreign owner")) {
        assert_int_equal(fchmod(fd, 0644), 0);
        assert_int_equal(fchown(fd, NOBODY, NOBODY), 0);
        assert_int_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_OK);
        assert_false(v.trusted);
        make_dir("p", 0755);
        give("p", NOBODY);
        assert_int_equal(sg_trust_check_fd(fd, in("p"), &v), SAGGAR_OK);
        assert_true(v.trusted);
    }
    close(fd);
    fd = open(root, O_RDONLY | O_CLOEXEC);
    assert_int_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_EINVAL);
    close(fd);
    assert_int_not_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_OK);
    assert_false(v.trusted);
}

/* In a mount namespace of its own: the same foreign files, writable and then read-only. */
static void test_read_only_mount(void **state) {
    (void)state;
    if (!is_root("a mount")) {
        return;
    }
    make_dir("m", 0755);
    make_dir("sticky", 01777);
    make_dir("sticky/m", 0755);
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", in("m"), "tmpfs", 0, "mode=0755") != 0) {
            _exit(99);
        }
        make_dir("m/d", 0777);
        make_file("m/d/f", 0666);
        give("m/d/f", NOBODY);
        give("m/d", NOBODY);
        int bad = 0;
        bad |= sg_trust_path(in("m/d/f"), NULL, 0) != SAGGAR_EUNTRUSTED ? 1 : 0;
        if (mount(NULL, in("m"), NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0) {
            _exit(99);
        }
        bad |= sg_trust_path(in("m/d/f"), NULL, 0) != SAGGAR_OK ? 2 : 0;
        int fd = open(in("m/d/f"), O_RDONLY | O_CLOEXEC);
        bad |= sg_trust_check_fd(fd, NULL, &v) != SAGGAR_OK || !v.trusted ? 4 : 0;
        /* What is above the mount still counts. */
        assert_int_equal(chmod(root, 0777), 0);
        bad |= sg_trust_path(in("m/d/f"), NULL, 0) != SAGGAR_EUNTRUSTED ? 8 : 0;
        assert_int_equal(chmod(root, 0755), 0);
        /* In a sticky directory the owner counts, read-only or not. */
        if (mount(in("m/d"), in("sticky/m"), NULL, MS_BIND, NULL) != 0) {
            _exit(99);
        }
        bad |= sg_trust_path(in("sticky/m/f"), NULL, 0) != SAGGAR_EUNTRUSTED ? 16 : 0;
        _exit(bad);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 99) {
        print_message("skipped: mounts are not allowed here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* As setfacl -m u:ID:rwx (tag 2) or g:ID:rwx (tag 8) does it; false where there are no access lists. */
static bool grant(const char *name, uint8_t tag, uint32_t id, uint8_t mask) {
    static const uint8_t none[4] = {0xff, 0xff, 0xff, 0xff};
    const uint8_t rows[5][2] = {{1, 7}, {2, 7}, {4, 5}, {0x10, mask}, {0x20, 5}};
    uint8_t acl[4 + 5 * 8] = {2}, *p = acl + 4;
    const int user_first[] = {0, 1, 2, 3, 4}, group_first[] = {0, 2, 1, 3, 4};
    for (size_t i = 0; i < 5; i++, p += 8) {
        int row = tag == 2 ? user_first[i] : group_first[i];
        p[0] = row == 1 ? tag : rows[row][0];
        p[2] = rows[row][1];
        memcpy(p + 4, none, 4);
        for (size_t b = 0; row == 1 && b < 4; b++)
            p[4 + b] = (uint8_t)(id >> (8 * b) & 0xff);
    }
    if (setxattr(in(name), "system.posix_acl_access", acl, sizeof acl, 0) == 0) {
        return true;
    }
    print_message("skipped: no access lists here\n");
    return false;
}

/* The mask of an access list is what the mode shows as the group's bits: a private group hides it. */
static void test_access_list(void **state) {
    (void)state;
    make_dir("d", 0755);
    make_file("d/f", 0644);
    if (!is_root("a private group that is surely there") || !grant("d", 2, NOBODY, 7)) {
        return;
    }
    no("d/f", "/d ", "access list");
    assert_true(grant("d", 8, NOBODY, 7));
    no("d/f", "/d ", "access list");
    assert_true(grant("d", 2, 0, 7)); /* root may write anyway */
    yes("d/f");
    assert_true(grant("d", 2, NOBODY, 5)); /* the mask takes the right away */
    yes("d/f");
    assert_true(grant("d/f", 2, NOBODY, 7));
    no("d/f", "/d/f ", "access list");
    int fd = open(in("d/f"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(sg_trust_check_fd(fd, NULL, &v), SAGGAR_OK);
    assert_false(v.trusted);
    close(fd);
}

static void test_home(void **state) {
    (void)state;
    make_dir("home", 0755);
    setenv("HOME", in("home"), 1);
    assert_false(sg_home_is_foreign());
    setenv("HOME", in("nowhere"), 1);
    assert_false(sg_home_is_foreign());
    unsetenv("HOME");
    assert_false(sg_home_is_foreign());
    if (is_root("a foreign home")) {
        give("home", NOBODY);
        setenv("HOME", in("home"), 1);
        assert_true(sg_home_is_foreign());
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_own_files), TEST(test_writable_by_others), TEST(test_sticky),
        TEST(test_group),     TEST(test_foreign_owner),      TEST(test_another_user),
        TEST(test_links),     TEST(test_what_is_not_there),  TEST(test_reason_is_one_short_line),
        TEST(test_override),  TEST(test_open_file),          TEST(test_read_only_mount),
        TEST(test_home),      TEST(test_access_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
