/*
 * The host probe against those who know better: glibc's CPU_FEATURE_ACTIVE, GCC's __builtin_cpu_supports, the
 * levels that `ld.so --help` lists.
 */
#include "../base/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isa/features.h"
#include "isa/host.h"
#include "isa/table.h"

static saggar_features probe(void) {
    saggar_features set;
    assert_int_equal(saggar_host_features(&set), SAGGAR_OK);
    return set;
}

#if defined(__x86_64__)
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>

static void agree(const saggar_features *set, const char *name, bool want) {
    int32_t bit;
    assert_true(sg_isa_find_feature(sg_isa_table(SAGGAR_ARCH_X86_64), name, strlen(name), &bit) && bit >= 0);
    if (sg_features_has(set, (unsigned)bit) != want) {
        fail_msg("%s: probed %d, the oracle says %d", name, !want, want);
    }
}

static void test_glibc_agrees(void **state) {
    (void)state;
    saggar_features set = probe();
#define AGREE(name, glibc) agree(&set, name, CPU_FEATURE_ACTIVE(glibc))
    AGREE("cmov", CMOV);
    AGREE("cx8", CX8);
    AGREE("sse2", SSE2);
    AGREE("sse3", SSE3);
    AGREE("ssse3", SSSE3);
    AGREE("sse4.1", SSE4_1);
    AGREE("sse4.2", SSE4_2);
    AGREE("popcnt", POPCNT);
    AGREE("cx16", CMPXCHG16B);
    AGREE("sahf", LAHF64_SAHF64);
    AGREE("avx", AVX);
    AGREE("avx2", AVX2);
    AGREE("bmi", BMI1);
    AGREE("bmi2", BMI2);
    AGREE("f16c", F16C);
    AGREE("fma", FMA);
    AGREE("lzcnt", LZCNT);
    AGREE("movbe", MOVBE);
    AGREE("avx512f", AVX512F);
    AGREE("avx512bw", AVX512BW);
    AGREE("avx512cd", AVX512CD);
    AGREE("avx512dq", AVX512DQ);
    AGREE("avx512vl", AVX512VL);
    AGREE("avx512ifma", AVX512_IFMA);
    AGREE("avx512vbmi", AVX512_VBMI);
    AGREE("avx512vbmi2", AVX512_VBMI2);
    AGREE("avx512vnni", AVX512_VNNI);
    AGREE("avx512bitalg", AVX512_BITALG);
    AGREE("avx512vpopcntdq", AVX512_VPOPCNTDQ);
    AGREE("avx512bf16", AVX512_BF16);
    AGREE("avx512fp16", AVX512_FP16);
    AGREE("avx512vp2intersect", AVX512_VP2INTERSECT);
    AGREE("avxvnni", AVX_VNNI);
    AGREE("aes", AES);
    AGREE("pclmul", PCLMULQDQ);
    AGREE("vaes", VAES);
    AGREE("vpclmulqdq", VPCLMULQDQ);
    AGREE("sha", SHA);
    AGREE("fma4", FMA4);
    AGREE("xop", XOP);
    AGREE("tbm", TBM);
    AGREE("sse4a", SSE4A);
    AGREE("adx", ADX);
    AGREE("rdseed", RDSEED);
    AGREE("rdpid", RDPID);
    AGREE("rdtscp", RDTSCP);
    AGREE("clflushopt", CLFLUSHOPT);
    AGREE("clwb", CLWB);
    AGREE("movdiri", MOVDIRI);
    AGREE("movdir64b", MOVDIR64B);
    AGREE("waitpkg", WAITPKG);
    AGREE("serialize", SERIALIZE);
    AGREE("xsave", OSXSAVE);
    AGREE("xsavec", XSAVEC);
    AGREE("pku", OSPKE);
    AGREE("prfchw", PREFETCHW);
#undef AGREE
    /* gfni differs: glibc counts it only with AVX. The tile registers need a permission that glibc does not
     * ask for. */
    if (CPU_FEATURE_PRESENT(GFNI) == 0) {
        agree(&set, "gfni", false);
    }
    if (!CPU_FEATURE_ACTIVE(AMX_TILE)) {
        agree(&set, "amx-tile", false);
    }
    agree(&set, "rtm", false);
    agree(&set, "hle", false);
}

static void test_gcc_agrees(void **state) {
    (void)state;
    saggar_features set = probe();
    __builtin_cpu_init();
    agree(&set, "avx2", __builtin_cpu_supports("avx2") != 0);
    agree(&set, "fma", __builtin_cpu_supports("fma") != 0);
    agree(&set, "sse4.2", __builtin_cpu_supports("sse4.2") != 0);
    agree(&set, "avx512f", __builtin_cpu_supports("avx512f") != 0);
    agree(&set, "avx512vbmi2", __builtin_cpu_supports("avx512vbmi2") != 0);
    agree(&set, "gfni", __builtin_cpu_supports("gfni") != 0);
    agree(&set, "bmi2", __builtin_cpu_supports("bmi2") != 0);
}
#else
static void test_glibc_agrees(void **state) {
    (void)state;
    print_message("skipped: no <sys/platform/x86.h>\n");
    skip();
}
static void test_gcc_agrees(void **state) {
    (void)state;
    skip();
}
#endif

/* ld.so lists the levels that it searches as "  x86-64-v3 (supported, searched)". */
static void test_loader_agrees(void **state) {
    (void)state;
    saggar_features set = probe();
    const char *mine = sg_features_level(SAGGAR_ARCH_X86_64, &set);
    char line[256], level[32], best[32] = "x86-64";
    FILE *f = popen("/lib64/ld-linux-x86-64.so.2 --help 2>/dev/null", "r");
    bool listed = false;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, " %31s (supported", level) == 1 && strncmp(level, "x86-64-v", 8) == 0) {
            listed = true;
            if (strstr(line, "(supported") != NULL && strcmp(level, best) > 0) {
                strcpy(best, level);
            }
        }
    }
    pclose(f);
    if (!listed) {
        print_message("skipped: this ld.so lists no levels\n");
        skip();
    }
    assert_non_null(mine);
    assert_string_equal(mine, best);
}
#else
static void test_glibc_agrees(void **state) {
    (void)state;
    skip();
}
static void test_gcc_agrees(void **state) {
    (void)state;
    skip();
}
static void test_loader_agrees(void **state) {
    (void)state;
    skip();
}
#endif

static void test_probe_is_closed_and_repeatable(void **state) {
    (void)state;
    const struct sg_isa_table *table = sg_isa_table(saggar_host_arch());
    saggar_features set = probe(), again = probe(), native;
    assert_memory_equal(&set, &again, sizeof set);
    assert_int_equal(saggar_features_parse(saggar_host_arch(), "native", NULL, &native, NULL), SAGGAR_OK);
    assert_memory_equal(&set, &native, sizeof set);
    assert_true(saggar_features_subset(&table->levels[0].set, &set));
    for (unsigned bit = 0; bit < table->n_features; bit++) {
        if (sg_features_has(&set, bit) && !saggar_features_subset(&table->features[bit].implies, &set)) {
            fail_msg("%s without what it implies", table->features[bit].name);
        }
    }
}

/* A processor that has everything but one condition. */
static bool all_but(void *context, const struct sg_isa_probe *probe) {
    const uint32_t *lacks = context;
    return probe->leaf != lacks[0] || probe->reg != lacks[1] || probe->bit != lacks[2] ||
           probe->least > lacks[2];
}

/* Every name of the comma-separated list is in the set, or none is. */
static void expect(const saggar_features *set, const char *list, bool want) {
    char names[256], *save = NULL;
    snprintf(names, sizeof names, "%s", list);
    for (char *name = strtok_r(names, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
        int32_t bit;
        assert_true(sg_isa_find_feature(sg_isa_table(SAGGAR_ARCH_X86_64), name, strlen(name), &bit) &&
                    bit >= 0);
        if (sg_features_has(set, (unsigned)bit) != want) {
            fail_msg("%s is %s", name, want ? "missing" : "there");
        }
    }
}

static void lacking(uint32_t leaf, uint32_t reg, uint32_t bit, const char *gone, const char *stays) {
    uint32_t lack[3] = {leaf, reg, bit};
    saggar_features set;
    sg_host_decide(sg_isa_table(SAGGAR_ARCH_X86_64), all_but, lack, &set);
    expect(&set, gone, false);
    expect(&set, stays, true);
}

static void test_impossible_processors(void **state) {
    (void)state;
    lacking(0xff, 0, 0, "rtm,hle,mpx", "avx10.2,amx-int8,zu,xop,xsaves,widekl");
    lacking(1, 2, 28, "avx,avx2,fma,f16c,avx512f,avx512vl,avx10.1,vaes,xop,sha512",
            "sse4.2,aes,bmi2,gfni,amx-tile");
    lacking(1, 2, 19, "sse4.1,sse4.2,avx,avx2", "ssse3,crc32,pclmul");
    lacking(1, 2, 27, "xsave,xsavec,xsaveopt,xsaves", "sse4.2");
    lacking(0xd, 0, 0, "xsaveopt", "xsave,xsavec");
    lacking(0x29, 1, 0, "ndd,ccmp,cf,nf,zu", "egpr,ppx");
    lacking(7, 1, 16, "avx512f,avx512bw,avx10.1,avx10.2", "avx2,fma,vaes");
    lacking(7, 3, 24, "amx-tile,amx-int8,amx-movrs", "avx10.2");
}

static void *probe_in_thread(void *out) {
    *(int *)out = saggar_host_features(&(saggar_features){{0}});
    return NULL;
}

static void test_threads_and_fork(void **state) {
    (void)state;
    saggar_features set = probe();
    pthread_t threads[8];
    int results[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, probe_in_thread, &results[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i], SAGGAR_OK);
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        saggar_features mine;
        _exit(saggar_host_features(&mine) == SAGGAR_OK && memcmp(&mine, &set, sizeof set) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glibc_agrees),          cmocka_unit_test(test_gcc_agrees),
        cmocka_unit_test(test_loader_agrees),         cmocka_unit_test(test_probe_is_closed_and_repeatable),
        cmocka_unit_test(test_impossible_processors), cmocka_unit_test(test_threads_and_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
