/* Which paths lead to a network file system: by a table of mounts that the test writes. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../trail/child.h"
#include "base/file.h"
#include "check.h"

static char dir[256], table[300];

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...) {
    return __real_open64(strcmp(path, "/proc/self/mountinfo") == 0 ? table : path, flags);
}

int __wrap_open(const char *path, int flags, ...) {
    return __real_open(strcmp(path, "/proc/self/mountinfo") == 0 ? table : path, flags);
}

__attribute__((format(printf, 1, 2))) static void write_table(const char *format, ...) {
    va_list list;
    FILE *f = fopen(table, "w");
    assert_non_null(f);
    fputs("22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n", f);
    va_start(list, format);
    vfprintf(f, format, list);
    va_end(list);
    fclose(f);
}

static bool leads(const char *tail) {
    char path[600];
    snprintf(path, sizeof path, "%s%s", dir, tail);
    return sg_path_is_network(path);
}

static void test_points(void **state) {
    (void)state;
    write_table("30 22 0:40 / %s/net rw shared:2 master:3 - nfs4 host:/export rw,vers=4.2\n"
                "31 30 8:1 / %s/net/disk rw - ext4 /dev/sda1 rw\n"
                "32 22 0:41 / %s/with\\040space rw - fuse.sshfs host: rw\n"
                "33 22 0:42 / %s/twice rw - nfs host:/a rw\n"
                "34 33 8:2 / %s/twice rw - ext4 /dev/sdb rw\n",
                dir, dir, dir, dir, dir);
    assert_false(leads(""));
    assert_false(leads("/ne"));
    assert_false(leads("/net2/store"));
    assert_true(leads("/net"));
    assert_true(leads("/net/not/there/yet"));
    assert_true(leads("//net/./a/../b"));
    assert_true(leads("/other/../net"));
    assert_false(leads("/net2/../store"));
    assert_true(leads("/with space/store"));
    assert_false(leads("/twice/store"));
    assert_false(sg_path_is_network("relative"));
}

static void test_links(void **state) {
    char path[400], target[400];
    (void)state;
    write_table("30 22 0:40 / %s/net rw - nfs host:/export rw\n", dir);
    snprintf(path, sizeof path, "%s/absolute", dir);
    snprintf(target, sizeof target, "%s/net/home", dir);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/folder", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/folder/relative", dir);
    assert_int_equal(symlink("../net", path), 0);
    snprintf(path, sizeof path, "%s/round", dir);
    assert_int_equal(symlink("round", path), 0);
    snprintf(path, sizeof path, "%s/near", dir);
    assert_int_equal(symlink("folder", path), 0);
    assert_true(leads("/absolute/store"));
    assert_true(leads("/folder/relative/store"));
    assert_true(leads("/near/relative"));
    assert_false(leads("/near/store"));
    assert_false(leads("/round/store"));
}

static void test_root_and_none(void **state) {
    (void)state;
    write_table("40 22 0:50 / / rw - nfs host:/root rw\n");
    assert_true(leads("/store"));
    write_table("a line\n\n- nfs\n30 22 0:40 / %s/net rw", dir); /* no type, no end */
    assert_false(leads("/net/store"));
    assert_int_equal(unlink(table), 0);
    assert_false(leads("/net/store"));
}

static int setup(void **state) {
    (void)state;
    if (!make_temp(dir))
        return 1;
    snprintf(table, sizeof table, "%s/table", dir);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_tree(dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_points, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_root_and_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
