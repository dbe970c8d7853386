/* Feature sets: names, LLVM's meaning of a model with a feature string, levels, ranking. No host is asked. */
#include "../base/check.h"

#include <stdlib.h>
#include <string.h>

#include "isa/features.h"
#include "isa/table.h"

static const saggar_arch X86 = SAGGAR_ARCH_X86_64, ARM = SAGGAR_ARCH_AARCH64;

static saggar_features parse(saggar_arch arch, const char *cpu, const char *features) {
    saggar_features set;
    char *unknown = NULL;
    assert_int_equal(saggar_features_parse(arch, cpu, features, &set, &unknown), SAGGAR_OK);
    assert_null(unknown);
    return set;
}

static bool has(saggar_arch arch, const saggar_features *set, const char *name) {
    int32_t bit = -1;
    assert_true(sg_isa_find_feature(sg_isa_table(arch), name, strlen(name), &bit));
    assert_true(bit >= 0);
    return sg_features_has(set, (unsigned)bit);
}

static bool equal(saggar_features a, saggar_features b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

static void test_levels(void **state) {
    (void)state;
    saggar_features v3 = parse(X86, "x86-64-v3", NULL);
    assert_true(has(X86, &v3, "avx2") && has(X86, &v3, "bmi") && has(X86, &v3, "movbe") &&
                has(X86, &v3, "f16c"));
    assert_false(has(X86, &v3, "avx512f") || has(X86, &v3, "aes"));
    assert_true(equal(v3, parse(X86, "x86_64 :: level :: v3", "")));
    assert_true(equal(v3, parse(X86, "X86_64_V3", "")));
    assert_true(equal(parse(X86, NULL, NULL), parse(X86, "x86-64", NULL)));
    assert_true(equal(parse(X86, "", NULL), parse(X86, "generic", NULL)));
    assert_true(equal(parse(ARM, NULL, NULL), parse(ARM, "armv8-a", NULL)));
    static const char *const names[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
    for (size_t i = 0; i < 4; i++) {
        saggar_features set = parse(X86, names[i], NULL), below;
        assert_string_equal(sg_features_level(X86, &set), names[i]);
        if (i > 0) {
            below = parse(X86, names[i - 1], NULL);
            assert_true(saggar_features_subset(&below, &set));
            assert_false(saggar_features_subset(&set, &below));
        }
    }
    saggar_features none = {{0}}, arm = parse(ARM, "neoverse-v1", NULL);
    assert_null(sg_features_level(X86, &none));
    assert_string_equal(sg_features_level(ARM, &arm), "armv8.4-a");
}

static void test_names_of_all_vocabularies(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {"+sse4_1", "+sse4.1"},
        {"+pni", "+sse3"},
        {"+abm", "+lzcnt,+popcnt"},
        {"+sse4", "+sse4.2"},
        {"+pclmulqdq", "+pclmul"},
        {"+avx512_vnni", "+avx512vnni"},
        {"+rdrand", "+rdrnd"},
        {"+lahf_lm", "+sahf"},
        {"+sha_ni", "+sha"},
        {"+bmi1", "+bmi"},
        {"avx2", "+AVX2"},
        {"+avx10.1-512", "+avx10.1-256"},
        {" +avx2 , +fma ", "+fma,+avx2"},
        {"+3dnowprefetch", "+prfchw"},
        {",+avx2,,", "+avx2"},
        {"+apxf", "+egpr,+push2pop2,+ppx,+ndd,+ccmp,+cf,+nf,+zu"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        saggar_features a = parse(X86, NULL, same[i][0]), b = parse(X86, NULL, same[i][1]);
        if (!equal(a, b)) {
            fail_msg("%s is not %s", same[i][0], same[i][1]);
        }
        saggar_features base = parse(X86, NULL, NULL);
        assert_false(equal(a, base));
    }
    assert_true(equal(parse(ARM, NULL, "+lse,+fullfp16"), parse(ARM, NULL, "+atomics,+fphp,+asimdhp")));
    assert_true(equal(parse(ARM, NULL, "+crypto"), parse(ARM, NULL, "+pmull,+aes,+sha1,+sha2")));
}

static void test_meaning_of_a_list(void **state) {
    (void)state;
    saggar_features set = parse(X86, NULL, "+avx512bw");
    assert_true(has(X86, &set, "avx512f") && has(X86, &set, "fma") && has(X86, &set, "sse4.2"));
    set = parse(X86, "skylake-avx512", "-avx2");
    assert_true(has(X86, &set, "avx") && has(X86, &set, "bmi2"));
    assert_false(has(X86, &set, "avx2") || has(X86, &set, "avx512f") || has(X86, &set, "avx512vl"));
    set = parse(X86, NULL, "+avx2,-avx");
    assert_false(has(X86, &set, "avx") || has(X86, &set, "avx2"));
    assert_true(has(X86, &set, "sse4.2"));
    set = parse(X86, NULL, "-avx,+avx2");
    assert_true(has(X86, &set, "avx") && has(X86, &set, "avx2"));
    set = parse(X86, "haswell", "-avx,+avx");
    assert_true(has(X86, &set, "avx"));
    assert_false(has(X86, &set, "avx2"));
    /* Tuning is dropped, whatever sign; so are unknown names that are taken away. */
    set = parse(X86, NULL,
                "+fast-gather,-slow-lea,+prefer-256-bit,+fast-something-new,+vzeroupper,+evex512,-frob");
    assert_true(equal(set, parse(X86, NULL, NULL)));
    /* Taking a group away takes nothing: rather a feature too many. */
    assert_true(equal(parse(ARM, NULL, "+aes,+sha2,-crypto"), parse(ARM, NULL, "+crypto")));
}

static void test_unknown_and_malformed(void **state) {
    (void)state;
    saggar_features set, before;
    char *unknown = NULL;
    assert_int_equal(saggar_features_parse(X86, "haswell", "+frob,-quux,+avx2,+nitz", &set, &unknown),
                     SAGGAR_OK);
    assert_string_equal(unknown, "frob,nitz");
    free(unknown);
    memset(&set, 0x5a, sizeof set);
    before = set;
    char *kept = (char *)&set;
    static const char *const bad[] = {"+", "+avx2,-", "+avx2 +fma", "++avx2", "+avx\n2", "+\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(saggar_features_parse(X86, NULL, bad[i], &set, &kept), SAGGAR_EINVAL);
    }
    assert_int_equal(saggar_features_parse(X86, "pentium9", NULL, &set, &kept), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_features_parse(X86, "neoverse-n1", NULL, &set, &kept), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_features_parse(X86, "haswell,+avx2", NULL, &set, &kept), SAGGAR_ENOTFOUND);
    assert_int_equal(saggar_features_parse(SAGGAR_ARCH_OTHER, NULL, NULL, &set, &kept), SAGGAR_EUNSUPPORTED);
    assert_int_equal(saggar_features_parse(saggar_host_arch() == ARM ? X86 : ARM, "native", NULL, &set, NULL),
                     SAGGAR_ENOTFOUND);
    assert_true(equal(set, before));
    assert_ptr_equal(kept, (char *)&set);
    char *big = malloc(70001);
    assert_non_null(big);
    memset(big, 'x', 70000);
    big[70000] = '\0';
    assert_int_equal(saggar_features_parse(X86, NULL, big, &set, NULL), SAGGAR_EINVAL);
    assert_int_equal(saggar_features_parse(X86, big, NULL, &set, NULL), SAGGAR_ENOTFOUND);
    big[60000] = '\0';
    assert_int_equal(saggar_features_parse(X86, NULL, big, &set, &unknown), SAGGAR_OK);
    assert_int_equal(strlen(unknown), 60000);
    free(unknown);
    free(big);
}

/* Which entry may be served where: what this table is for. */
static void test_models_stand_in_for_each_other(void **state) {
    (void)state;
    saggar_features haswell = parse(X86, "haswell", NULL), broadwell = parse(X86, "broadwell", NULL);
    saggar_features needed = broadwell;
    assert_false(saggar_features_subset(&broadwell, &haswell)); /* adx, rdseed, prfchw */
    sg_features_needed(X86, false, &needed);
    assert_true(saggar_features_subset(&needed, &haswell));
    needed = broadwell;
    sg_features_needed(X86, true, &needed);
    assert_true(has(X86, &needed, "adx"));
    assert_false(has(X86, &needed, "prfchw") || has(X86, &needed, "xsaveopt"));
    needed = parse(X86, "skylake-avx512", NULL);
    sg_features_needed(X86, false, &needed);
    assert_false(saggar_features_subset(&needed, &haswell));
    char text[64];
    sg_features_remove(&needed, &haswell);
    assert_string_equal(sg_features_print(X86, &needed, text, sizeof text),
                        "avx512f,avx512bw,avx512cd,avx512dq,avx512vl");
    saggar_features scanned = parse(X86, NULL, "+prfchw,+xsave");
    sg_features_scanned(X86, &scanned);
    assert_true(has(X86, &scanned, "xsave"));
    assert_false(has(X86, &scanned, "prfchw"));
    static const struct {
        saggar_provenance provenance;
        const char *left;
    } required[] = {{SAGGAR_PROVENANCE_DECLARED, ""},
                    {SAGGAR_PROVENANCE_ASSUMED, "adx"},
                    {SAGGAR_PROVENANCE_SCANNED, "xsave,adx"}};
    for (size_t i = 0; i < 3; i++) {
        saggar_features base = parse(X86, NULL, NULL), set = parse(X86, NULL, "+adx,+xsave,+prfchw");
        saggar_features_required(X86, required[i].provenance, &set);
        sg_features_remove(&set, &base);
        assert_string_equal(sg_features_print(X86, &set, text, sizeof text), required[i].left);
    }
    /* Whatever a compiler needs of an older model, a newer one of the family has. */
    static const char *const chains[][8] = {
        {"x86-64", "nocona", "core2", "nehalem", "westmere", "sandybridge", "ivybridge", "haswell"},
        {"haswell", "broadwell", "skylake", "skylake-avx512", "cascadelake", "cooperlake", "sapphirerapids",
         NULL},
        {"icelake-server", "sapphirerapids", "graniterapids", "graniterapids-d", "diamondrapids", NULL},
        {"x86-64-v3", "znver1", "znver2", "znver3", "znver4", "znver5", NULL},
    };
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        for (size_t j = 0; j + 1 < 8 && chains[i][j + 1] != NULL; j++) {
            saggar_features older = parse(X86, chains[i][j], NULL),
                            newer = parse(X86, chains[i][j + 1], NULL);
            sg_features_needed(X86, false, &older);
            if (!saggar_features_subset(&older, &newer)) {
                fail_msg("%s lacks something of %s", chains[i][j + 1], chains[i][j]);
            }
        }
    }
}

/* FROZEN: these numbers are in files. A failure here means that entries will be misread. */
static void test_bits_are_frozen(void **state) {
    (void)state;
    static const struct {
        saggar_arch arch;
        unsigned bit;
        const char *name;
    } frozen[] = {
        {SAGGAR_ARCH_X86_64, 0, "64bit"},     {SAGGAR_ARCH_X86_64, 7, "sse2"},
        {SAGGAR_ARCH_X86_64, 16, "avx"},      {SAGGAR_ARCH_X86_64, 17, "avx2"},
        {SAGGAR_ARCH_X86_64, 21, "fma"},      {SAGGAR_ARCH_X86_64, 25, "avx512f"},
        {SAGGAR_ARCH_X86_64, 29, "avx512vl"}, {SAGGAR_ARCH_X86_64, 43, "avx10.1"},
        {SAGGAR_ARCH_X86_64, 50, "aes"},      {SAGGAR_ARCH_X86_64, 90, "egpr"},
        {SAGGAR_ARCH_X86_64, 127, "enqcmd"},  {SAGGAR_ARCH_AARCH64, 0, "fp-armv8"},
        {SAGGAR_ARCH_AARCH64, 3, "lse"},      {SAGGAR_ARCH_AARCH64, 23, "sve"},
        {SAGGAR_ARCH_AARCH64, 112, "lsfe"},
    };
    for (size_t i = 0; i < sizeof frozen / sizeof frozen[0]; i++) {
        const char *name = sg_feature_name(frozen[i].arch, frozen[i].bit);
        assert_non_null(name);
        assert_string_equal(name, frozen[i].name);
    }
}

static void test_printing_and_ranking(void **state) {
    (void)state;
    saggar_features set = {{0}}, none = {{0}};
    char *text, small[24];
    assert_int_equal(saggar_features_names(X86, &none, &text), SAGGAR_OK);
    assert_string_equal(text, "");
    free(text);
    set.word[0] = (uint64_t)1 << 17 | (uint64_t)1 << 7;
    set.word[3] = (uint64_t)1 << 63;
    assert_int_equal(saggar_features_names(X86, &set, &text), SAGGAR_OK);
    assert_string_equal(text, "sse2,avx2,bit255");
    free(text);
    assert_int_equal(sg_features_count(&set), 3);
    saggar_features v4 = parse(X86, "x86-64-v4", NULL);
    assert_string_equal(sg_features_print(X86, &v4, small, sizeof small), "64bit,x87,cmov,cx8,...");
    assert_string_equal(sg_features_print(X86, &v4, small, 8), "...");
    assert_int_equal(sg_features_width(X86, &v4), 512);
    set = parse(X86, "haswell", NULL);
    assert_int_equal(sg_features_width(X86, &set), 256);
    set = parse(X86, NULL, NULL);
    assert_int_equal(sg_features_width(X86, &set), 128);
    assert_int_equal(sg_features_width(X86, &none), 0);
    assert_true(sg_features_empty(&none) && !sg_features_empty(&v4));
    assert_int_equal(saggar_features_names(X86, &v4, &text), SAGGAR_OK);
    saggar_features again = none, only;
    assert_int_equal(saggar_features_parse(X86, NULL, text, &again, NULL), SAGGAR_OK);
    only = v4;
    assert_true(equal(again, only));
    free(text);
}

static void test_targets_as_people_write_them(void **state) {
    (void)state;
    saggar_features native = parse(X86, "znver4", NULL), set, want;
    char why[160];
    static const char *const same[][3] = {
        {"x86-64-v3", "x86-64-v3", NULL},
        {"x86-64-v3,+avx512f", "x86-64-v3", "+avx512f"},
        {"native", "znver4", NULL},
        {"native , -avx512f", "znver4", "-avx512f"},
        {"-avx512f", "znver4", "-avx512f"},
        {"+avx2,-fma", NULL, "+avx2,-fma"},
        {" x86_64 :: level :: v2 ", "x86-64-v2", NULL},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        if (sg_target_parse(X86, same[i][0], &native, &set, why, sizeof why) != SAGGAR_OK) {
            fail_msg("%s: %s", same[i][0], why);
        }
        want = parse(X86, same[i][1], same[i][2]);
        assert_true(equal(set, want));
    }
    assert_int_equal(sg_target_parse(X86, "pentium9", &native, &set, why, sizeof why), SAGGAR_ENOTFOUND);
    assert_string_equal(why, "no processor or level is called 'pentium9'");
    assert_int_equal(sg_target_parse(X86, "haswell,+frob", &native, &set, why, sizeof why), SAGGAR_ENOTFOUND);
    assert_string_equal(why, "no feature is called 'frob'");
    assert_int_equal(sg_target_parse(X86, "", &native, &set, why, sizeof why), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_target_parse(X86, ",+avx2", &native, &set, why, sizeof why), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_target_parse(X86, "haswell,+", &native, &set, why, sizeof why), SAGGAR_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_names_of_all_vocabularies),
        cmocka_unit_test(test_meaning_of_a_list),
        cmocka_unit_test(test_unknown_and_malformed),
        cmocka_unit_test(test_models_stand_in_for_each_other),
        cmocka_unit_test(test_bits_are_frozen),
        cmocka_unit_test(test_printing_and_ranking),
        cmocka_unit_test(test_targets_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
