/* Compilers by content: the real one, copies and scripts of it, launchers in front of it; what flags name. */
#include "../base/check.h"

#include <saggar/saggar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "code/toolchain.h"

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/saggar-toolchain-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void script(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void test_real(void **state) {
    saggar_toolchain one, two;
    (void)state;
    if (saggar_toolchain_find("g++", NULL, &one) != SAGGAR_OK)
        skip();
    assert_int_equal(saggar_toolchain_find(one.path, "", &two), SAGGAR_OK);
    assert_memory_equal(one.sha256, two.sha256, 32);
    assert_non_null(strstr(one.name, "gcc "));
    assert_int_equal(saggar_toolchain_find("  g++  -m64", NULL, &two), SAGGAR_OK);
    assert_memory_equal(one.sha256, two.sha256, 32);
}

static void test_none(void **state) {
    saggar_toolchain found;
    (void)state;
    assert_int_equal(saggar_toolchain_find(NULL, "", &found), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_toolchain_find("no-such-compiler", "/usr/bin", &found), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_toolchain_find("/no/such", NULL, &found), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_toolchain_find(NULL, NULL, NULL), SAGGAR_EINVAL);
}

static void test_content_decides(void **state) {
    saggar_toolchain one, two;
    (void)state;
    script("inner", "#!/bin/sh\nexit 1\n");
    char text[256];
    snprintf(text, sizeof text, "#!/bin/sh\nexec \"%s/inner\" \"$@\"\n", folder);
    script("c++", text);
    assert_int_equal(saggar_toolchain_find(NULL, folder, &one), SAGGAR_OK);
    assert_int_equal(saggar_toolchain_find(NULL, folder, &two), SAGGAR_OK);
    assert_memory_equal(one.sha256, two.sha256, 32);
    script("inner", "#!/bin/sh\nexit 2\n"); /* what the script calls */
    assert_int_equal(saggar_toolchain_find(NULL, folder, &two), SAGGAR_OK);
    assert_memory_not_equal(one.sha256, two.sha256, 32);
}

static void test_launchers(void **state) {
    saggar_toolchain one, two;
    char list[256], target[128], link[128], path[4096];
    (void)state;
    script("g++", "#!/bin/sh\nexit 3\n");
    assert_int_equal(saggar_toolchain_find("g++", folder, &one), SAGGAR_OK);
    snprintf(target, sizeof target, "%s/first", folder);
    assert_int_equal(mkdir(target, 0755), 0);
    script("first/ccache", "#!/bin/sh\nexit 4\n");
    snprintf(link, sizeof link, "%s/first/g++", folder);
    assert_int_equal(symlink("ccache", link), 0);
    snprintf(list, sizeof list, "/nowhere:%s:%s", target, folder);
    assert_int_equal(sg_program_find("g++", 3, list, path), SAGGAR_OK);
    assert_string_equal(path, link);
    static const char *const commands[] = {"g++", "ccache g++", "ccache g++ -m64", "g++ -m64"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(saggar_toolchain_find(commands[i], list, &two), SAGGAR_OK);
        assert_memory_equal(one.sha256, two.sha256, 32);
    }
    snprintf(path, sizeof path, "ccache %s/g++ -m64", folder);
    assert_int_equal(saggar_toolchain_find(path, list, &two), SAGGAR_OK);
    assert_memory_equal(one.sha256, two.sha256, 32);
}

static void expect(const char *flags, const char *cpu, const char *features) {
    char *cpu_now, *features_now;
    assert_int_equal(saggar_flags_target(flags, &cpu_now, &features_now), SAGGAR_OK);
    assert_string_equal(cpu_now, cpu);
    assert_string_equal(features_now, features);
    free(cpu_now);
    free(features_now);
}

static void test_flags(void **state) {
    (void)state;
    expect("", "", "");
    expect("-O3 -fPIC -m64 -mtune=native -Wall", "", "");
    expect("-O3 -march=native", "native", "");
    expect("'-march=x86-64-v3' -O2 -march=x86-64-v2", "x86-64-v2", "");
    expect("-O2 -mwhatever-this-is", "native", "");
    if (saggar_host_arch() == SAGGAR_ARCH_X86_64) {
        expect("-mavx2 -mno-fma", "", "+avx2,-fma");
        expect("-mavx2 -march=haswell -msse4.2", "haswell", "+sse4.2");
    } else {
        expect("-mcpu=neoverse-n1+sve", "neoverse-n1", "+sve");
        expect("-march=armv8.2-a+nosve", "armv8.2-a", "-sve");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_real), cmocka_unit_test(test_none),
                                       cmocka_unit_test(test_content_decides),
                                       cmocka_unit_test(test_launchers), cmocka_unit_test(test_flags)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
