/* From a draft to an entry and back: what goes in comes out, the order of the calls does not matter, the
 * annex decides nothing. */
#include "small.h"

#include <stdio.h>
#include <unistd.h>

#include "key/value.h"

static void in_and_out(void **state) {
    (void)state;
    struct core c = small_core();
    struct sg_entry_view v;
    struct sg_section s;
    struct sg_requirements r;
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    char *group;
    assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
    assert_int_equal(sg_entry_find(&v, SG_SECTION_PART, "object", &s), SAGGAR_OK);
    assert_int_equal(sg_entry_bytes(&v, &s, SG_FULL, &data, &size, &owned), SAGGAR_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "ELF", 3);
    assert_ptr_equal(data, c.data + s.offset);
    assert_null(owned);
    assert_int_equal(sg_entry_find(&v, SG_SECTION_PART, "empty", &s), SAGGAR_OK);
    assert_int_equal(sg_entry_bytes(&v, &s, SG_FULL, &data, &size, &owned), SAGGAR_OK);
    assert_int_equal(size, 0);
    assert_int_equal(sg_entry_find(&v, SG_SECTION_PART, "none", &s), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_entry_group_text(&v, &group), SAGGAR_OK);
    assert_string_equal(group, "cc:m:f");
    free(group);
    assert_int_equal(sg_entry_requirements(&v, SG_FULL, &r), SAGGAR_OK);
    assert_int_equal(r.arch, SAGGAR_ARCH_X86_64);
    assert_true(r.abi_ok);
    assert_int_equal(r.provenance, SAGGAR_PROVENANCE_SCANNED);
    assert_int_equal(r.features.word[0], 5);
    assert_true(r.features.word[3] == UINT64_C(1) << 63);
    assert_string_equal(r.unknown, "aa,zz");
    struct sg_cursor at;
    size_t n;
    sg_cursor_init(&at, r.symbols, r.symbols_size);
    assert_int_equal(sg_value_tuple(&at), 2);
    assert_memory_equal(sg_value_text(&at, &n), "exit", 4);
    assert_memory_equal(sg_value_text(&at, &n), "puts", 4);
    assert_int_equal(sg_cursor_end(&at), SAGGAR_OK);
    sg_requirements_free(&r);
    free(c.data);
}

/* An entry that requires nothing and depends on nothing. */
static void empty(void **state) {
    (void)state;
    saggar_draft *d = small_new("");
    struct core c;
    struct sg_entry_view v;
    struct sg_requirements r;
    char *group;
    assert_int_equal(saggar_draft_encode(d, &c.data, &c.size, NULL), SAGGAR_OK);
    assert_int_equal(core_check(&c), SAGGAR_OK);
    assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
    assert_int_equal(sg_entry_requirements(&v, SG_FAST, &r), SAGGAR_OK);
    assert_int_equal(r.arch, SAGGAR_ARCH_ANY);
    assert_true(r.abi_ok && r.unknown == NULL && r.symbols == NULL);
    assert_int_equal(r.provenance, SAGGAR_PROVENANCE_NONE);
    sg_requirements_free(&r);
    assert_int_equal(sg_entry_group_text(&v, &group), SAGGAR_ENOTFOUND);
    free(c.data);
    saggar_draft_free(d);
}

/* The same facts in another order, some of them twice: the same bytes. And twice from one draft. */
static void order_does_not_matter(void **state) {
    static const saggar_features set = {{5, 0, 0, UINT64_C(1) << 63}};
    (void)state;
    struct core c = small_core();
    saggar_draft *d = small_new("int f;");
    uint8_t *core, identity[32];
    size_t size;
    saggar_draft_part(d, "empty", "", 0);
    saggar_draft_depend_value(d, "cc", "V", some_digest);
    saggar_draft_require_symbol(d, "exit");
    saggar_draft_require_library(d, "GLIBC", "2.34");
    saggar_draft_require_features(d, SAGGAR_PROVENANCE_SCANNED, &set, "aa,,zz,aa");
    saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "linux-gnu");
    saggar_draft_part(d, "object", "ELF", 3);
    saggar_draft_depend_value(d, "cc", "V", some_digest);
    saggar_draft_depend_file(d, "root", "a/b.h", 7, some_digest);
    saggar_draft_require_symbol(d, "puts");
    saggar_draft_require_symbol(d, "exit");
    saggar_draft_require_library(d, "GLIBC", "2.34");
    saggar_draft_group(d, "x", "y", "z");
    saggar_draft_group(d, "cc", "m", "f");
    saggar_draft_seconds(d, 1.5);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(saggar_draft_encode(d, &core, &size, identity), SAGGAR_OK);
        assert_int_equal(size, c.size);
        assert_memory_equal(core, c.data, size);
        assert_memory_equal(identity, c.data + SG_AT_IDENTITY, 32);
        free(core);
    }
    saggar_draft_free(d);
    free(c.data);
}

/* A change of anything that decides changes the identity. */
static void identity_covers(void **state) {
    (void)state;
    uint8_t seen[8][32], *core;
    size_t size;
    for (int i = 0; i < 8; i++) {
        saggar_draft *d = small_new(i == 1 ? "int g;" : "int f;");
        saggar_draft_part(d, i == 2 ? "objecu" : "object", i == 3 ? "ELG" : "ELF", 3);
        saggar_draft_require_symbol(d, i == 4 ? "exiu" : "exit");
        saggar_draft_depend_file(d, "root", "a", i == 5 ? 8 : 7, some_digest);
        saggar_draft_group(d, "cc", "m", i == 6 ? "g" : "f");
        if (i == 7)
            saggar_draft_require_arch(d, SAGGAR_ARCH_ANY, NULL);
        assert_int_equal(saggar_draft_encode(d, &core, &size, seen[i]), SAGGAR_OK);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], 32);
        free(core);
        saggar_draft_free(d);
    }
}

static int refused(int (*change)(saggar_draft *d)) {
    saggar_draft *d = small_draft();
    uint8_t *core = NULL;
    size_t size;
    int now = change(d), later = saggar_draft_encode(d, &core, &size, NULL);
    if (now == SAGGAR_OK)
        now = later;
    else if (now != SAGGAR_EEXISTS)
        assert_int_equal(later, now); /* a draft with a hole is not published */
    if (later == SAGGAR_OK)
        free(core);
    saggar_draft_free(d);
    return now;
}

static int part_twice(saggar_draft *d) {
    return saggar_draft_part(d, "object", "x", 1);
}
static int part_nameless(saggar_draft *d) {
    return saggar_draft_part(d, "", "x", 1);
}
static int part_long(saggar_draft *d) {
    return saggar_draft_part(d, "123456789012345678901234567890123456789012345678", "x", 1);
}
static int part_longest(saggar_draft *d) {
    return saggar_draft_part(d, "12345678901234567890123456789012345678901234567", "x", 1);
}
static int part_control(saggar_draft *d) {
    return saggar_draft_part(d, "a\nb", "x", 1);
}
static int part_text(saggar_draft *d) {
    return saggar_draft_part(d, "\xff", "x", 1);
}
static int two_archs(saggar_draft *d) {
    return saggar_draft_require_arch(d, SAGGAR_ARCH_AARCH64, "linux-gnu");
}
static int other_arch(saggar_draft *d) {
    return saggar_draft_require_arch(d, SAGGAR_ARCH_OTHER, "any");
}
static int no_provenance(saggar_draft *d) {
    saggar_features none = {{0}};
    return saggar_draft_require_features(d, SAGGAR_PROVENANCE_NONE, &none, NULL);
}
static int path_up(saggar_draft *d) {
    return saggar_draft_depend_file(d, "root", "a/../b", 1, some_digest);
}
static int path_absolute(saggar_draft *d) {
    return saggar_draft_depend_file(d, "root", "/a", 1, some_digest);
}
static int path_dots(saggar_draft *d) {
    return saggar_draft_depend_file(d, "root", "a/..b/.c", 1, some_digest);
}
static int too_many_parts(saggar_draft *d) {
    char name[16];
    int err = SAGGAR_OK;
    for (int i = 0; i < 253 && err == SAGGAR_OK; i++) {
        snprintf(name, sizeof name, "p%d", i);
        err = saggar_draft_part(d, name, name, 2);
    }
    return err;
}

static void rules(void **state) {
    (void)state;
    assert_int_equal(refused(part_twice), SAGGAR_EEXISTS);
    assert_int_equal(refused(part_nameless), SAGGAR_EINVAL);
    assert_int_equal(refused(part_long), SAGGAR_EINVAL);
    assert_int_equal(refused(part_longest), SAGGAR_OK);
    assert_int_equal(refused(part_control), SAGGAR_EINVAL);
    assert_int_equal(refused(part_text), SAGGAR_EINVAL);
    assert_int_equal(refused(two_archs), SAGGAR_EINVAL);
    assert_int_equal(refused(other_arch), SAGGAR_EINVAL);
    assert_int_equal(refused(no_provenance), SAGGAR_EINVAL);
    assert_int_equal(refused(path_up), SAGGAR_EINVAL);
    assert_int_equal(refused(path_absolute), SAGGAR_EINVAL);
    assert_int_equal(refused(path_dots), SAGGAR_OK);
    assert_int_equal(refused(too_many_parts), SAGGAR_ELIMIT);
    saggar_draft *d;
    assert_int_equal(saggar_draft_new("SGRECIPE", 8, &d), SAGGAR_EINVAL);
    d = small_new("");
    assert_int_equal(saggar_draft_require_arch(d, (saggar_arch)3, "any"), SAGGAR_EINVAL); /* not "any" */
    saggar_draft_free(d);
}

static void annex(void **state) {
    (void)state;
    saggar_draft *d = small_draft();
    struct core plain = small_core();
    struct sg_buf core, more;
    uint8_t key[32], identity[32];
    const uint8_t *value;
    size_t n, size;
    saggar_draft_seconds(d, 2.5);
    sg_buf_init(&core, SG_CORE_MAX);
    sg_buf_init(&more, SG_SECTION_MAX);
    assert_int_equal(sg_draft_build(d, false, &core, &more, key, identity), SAGGAR_OK);
    assert_int_equal(core.len, plain.size);
    assert_memory_equal(core.data, plain.data, plain.size);
    size = core.len;
    assert_int_equal(sg_annex_find(core.data, size, size, &value, &n), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_buf_add(&core, more.data, more.len), SAGGAR_OK);
    assert_int_equal(sg_annex_find(core.data, core.len, size, &value, &n), SAGGAR_OK);
    char *shown, pid[32];
    assert_int_equal(saggar_value_print(value, n, 1000, &shown), SAGGAR_OK);
    snprintf(pid, sizeof pid, "\"pid\": %d", (int)getpid());
    assert_non_null(strstr(shown, "{\"seconds\": 2.5, \"published\": 1"));
    assert_non_null(strstr(shown, pid));
    free(shown);
    for (size_t i = size; i < core.len; i++) { /* a damaged one is absent */
        core.data[i] ^= 4;
        assert_int_equal(sg_annex_find(core.data, core.len, size, &value, &n), SAGGAR_ENOTFOUND);
        core.data[i] ^= 4;
    }
    for (size_t len = size; len < core.len; len++) {
        struct core cut = core_copy(core.data, len);
        assert_int_equal(sg_annex_find(cut.data, len, size, &value, &n), SAGGAR_ENOTFOUND);
        free(cut.data);
    }
    sg_buf_free(&core);
    sg_buf_free(&more);
    saggar_draft_free(d);
    free(plain.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_and_out),      cmocka_unit_test(empty), cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(identity_covers), cmocka_unit_test(rules), cmocka_unit_test(annex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
