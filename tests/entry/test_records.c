/* Requirement and dependency records: order, shape, kinds that are not known. */
#include "small.h"

/* A section from records written as: kind, payload bytes. */
struct rec {
    uint16_t kind;
    const char *payload;
    size_t size;
};

#define TUPLE(n) "\x0a" n "\0\0\0"
#define TEXT(n, s) "\x08" n "\0\0\0" s
#define INT(b) "\x03" b "\0\0\0\0\0\0\0"
#define BITS "\x07\x20\0\0\0" ZERO32
#define ZERO32 ZERO16 ZERO16
#define ZERO16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define SHA(n, what) "\x12" n "\0\0\0" what ZERO32
#define REC(kind, payload)                                                                                   \
    { kind, payload, sizeof(payload) - 1 }

static struct sg_buf section_of(const struct rec *r, size_t n) {
    struct sg_buf b;
    sg_buf_init(&b, SG_SECTION_MAX);
    sg_buf_u32(&b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        sg_buf_u16(&b, r[i].kind);
        sg_buf_u16(&b, 0);
        sg_buf_text(&b, r[i].payload, r[i].size);
    }
    assert_int_equal(b.err, SAGGAR_OK);
    return b;
}

static int verdict(int (*check)(const uint8_t *, size_t), const struct rec *r, size_t n) {
    struct sg_buf b = section_of(r, n);
    struct core exact = core_copy(b.data, b.len);
    int err = check(exact.data, exact.size);
    free(exact.data);
    sg_buf_free(&b);
    return err;
}

#define REQ(...)                                                                                             \
    verdict(sg_requirements_check, (const struct rec[]){__VA_ARGS__},                                        \
            sizeof((const struct rec[]){__VA_ARGS__}) / sizeof(struct rec))
#define DEP(...)                                                                                             \
    verdict(sg_dependencies_check, (const struct rec[]){__VA_ARGS__},                                        \
            sizeof((const struct rec[]){__VA_ARGS__}) / sizeof(struct rec))

#define ARCH TUPLE("\2") TEXT("\3", "any") TEXT("\3", "any")
#define FEATURES TUPLE("\3") INT("\1") BITS TUPLE("\0")
#define SYMBOLS TUPLE("\2") TEXT("\1", "a") TEXT("\2", "ab")
#define LIB_A TUPLE("\2") TEXT("\1", "A") TEXT("\1", "1")
#define NEEDED_A TUPLE("\3") TEXT("\1", "A") TUPLE("\2") TEXT("\1", "a") TEXT("\2", "ab") INT("\0")
#define NEEDED_B TUPLE("\3") TEXT("\1", "B") TUPLE("\0") INT("\1")
#define LIB_B TUPLE("\2") TEXT("\1", "B") TEXT("\1", "1")

static void requirements(void **state) {
    (void)state;
    assert_int_equal(verdict(sg_requirements_check, NULL, 0), SAGGAR_OK);
    assert_int_equal(REQ(REC(0x8001, ARCH), REC(0x8002, FEATURES), REC(0x8003, SYMBOLS), REC(0x8004, LIB_A),
                         REC(0x8004, LIB_B), REC(0x8005, NEEDED_A), REC(0x8005, NEEDED_B), REC(0x0006, "\0")),
                     SAGGAR_OK);
    assert_int_equal(REQ(REC(0x8006, "\0")), SAGGAR_EUNKNOWN);
    assert_int_equal(REQ(REC(0x0005, NEEDED_A)), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8005, TUPLE("\3") TEXT("\1", "A") TUPLE("\0") INT("\2"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8005, TUPLE("\2") TEXT("\1", "A") TUPLE("\0"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x0001, ARCH)), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x0004, LIB_A)), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x0000, "\0")), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8004, LIB_B), REC(0x8004, LIB_A)), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8004, LIB_A), REC(0x8004, LIB_A)), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8002, FEATURES), REC(0x8001, ARCH)), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x0007, "\0"), REC(0x0006, "\0")), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8001, ARCH), REC(0x8001, TUPLE("\2") TEXT("\3", "any") TEXT("\3", "xyz"))),
                     SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8003, TUPLE("\0")), REC(0x8003, SYMBOLS)), SAGGAR_ECORRUPT);
}

static void requirement_shapes(void **state) {
    (void)state;
    assert_int_equal(REQ(REC(0x8001, TUPLE("\1") TEXT("\3", "any"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8001, TUPLE("\2") TEXT("\3", "any") "\0")), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8001, ARCH "\0")), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8002, TUPLE("\3") INT("\0") BITS TUPLE("\0"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8002, TUPLE("\3") INT("\4") BITS TUPLE("\0"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8002, TUPLE("\3") INT("\1") "\x07\x1f\0\0\0" ZERO16
                                                           "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" TUPLE("\0"))),
                     SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8002, TUPLE("\3") INT("\1") BITS TUPLE("\2") TEXT("\1", "b") TEXT("\1", "a"))),
                     SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8003, TUPLE("\2") TEXT("\2", "ab") TEXT("\1", "a"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8003, TUPLE("\2") TEXT("\1", "a") TEXT("\1", "a"))), SAGGAR_ECORRUPT);
    assert_int_equal(REQ(REC(0x8003, TUPLE("\1") INT("\1"))), SAGGAR_ECORRUPT);
    /* By bytes, not by encodings: "b" before "aa" would be wrong. */
    assert_int_equal(REQ(REC(0x8003, TUPLE("\2") TEXT("\2", "aa") TEXT("\1", "b"))), SAGGAR_OK);
}

#define FILE_OF(path_n, path) TUPLE("\4") TEXT("\1", "r") TEXT(path_n, path) INT("\1") SHA("\4", "file")

static void dependencies(void **state) {
    (void)state;
    assert_int_equal(
        DEP(REC(0x8001, FILE_OF("\1", "a")), REC(0x8002, LIB_A),
            REC(0x8003, TUPLE("\3") TEXT("\1", "r") TEXT("\1", "n") SHA("\5", "value")),
            REC(0x8004, TUPLE("\3") TEXT("\1", "r") TEXT("\1", "n") SHA("\4", "code")),
            REC(0x8005, TUPLE("\2") TUPLE("\3") TEXT("\1", "c") TEXT("\1", "m") TEXT("\1", "q") BITS)),
        SAGGAR_OK);
    assert_int_equal(DEP(REC(0x8006, "\0")), SAGGAR_EUNKNOWN);
    assert_int_equal(DEP(REC(0x0006, "\0")), SAGGAR_OK);
    assert_int_equal(DEP(REC(0x0001, FILE_OF("\1", "a"))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\3", "a/b"))), SAGGAR_OK);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\2", ".."))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\1", "."))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\0", ""))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\2", "/a"))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\2", "a/"))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\4", "a//b"))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\4", "a/.."))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8001, FILE_OF("\3", "a\0b"))), SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8003, TUPLE("\3") TEXT("\1", "r") TEXT("\1", "n") SHA("\4", "code"))),
                     SAGGAR_ECORRUPT);
    assert_int_equal(DEP(REC(0x8005, TUPLE("\2") TUPLE("\2") TEXT("\1", "c") TEXT("\1", "m") BITS)),
                     SAGGAR_ECORRUPT);
}

/* The section around the records: each truncation, a wrong count, bytes that must be zero. */
static void frame(void **state) {
    static const struct rec two[] = {REC(0x8004, LIB_A), REC(0x8004, LIB_B)};
    (void)state;
    struct sg_buf b = section_of(two, 2);
    assert_int_equal(sg_requirements_check(b.data, b.len), SAGGAR_OK);
    for (size_t n = 0; n < b.len; n++) {
        struct core cut = core_copy(b.data, n);
        assert_int_equal(sg_requirements_check(cut.data, n), SAGGAR_ECORRUPT);
        free(cut.data);
    }
    static const uint32_t counts[] = {0, 1, 3, 0xFFFFFFFF};
    for (size_t i = 0; i < 4; i++) {
        sg_store32(b.data, counts[i]);
        assert_int_equal(sg_requirements_check(b.data, b.len), SAGGAR_ECORRUPT);
    }
    sg_store32(b.data, 2);
    b.data[6] = 1;
    assert_int_equal(sg_requirements_check(b.data, b.len), SAGGAR_ECORRUPT);
    sg_buf_free(&b);
}

static int stop_at_second(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    unsigned *seen = context;
    (void)payload;
    assert_int_equal(kind, 0x8004);
    assert_int_equal(n, sizeof(LIB_A) - 1);
    return ++*seen == 2 ? 77 : 0;
}

static void each_stops(void **state) {
    static const struct rec two[] = {REC(0x8004, LIB_A), REC(0x8004, LIB_B), REC(0x8004, LIB_B)};
    (void)state;
    struct sg_buf b = section_of(two, 3);
    unsigned seen = 0;
    assert_int_equal(sg_records_each(b.data, b.len, stop_at_second, &seen), 77);
    assert_int_equal(seen, 2);
    sg_buf_free(&b);
}

/* In an entry: a record that must be understood keeps it from being used, whoever asks. */
static void unknown_in_an_entry(void **state) {
    static const struct rec must[] = {REC(0x8009, "\0")}, may[] = {REC(0x0009, "\0")};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct sg_buf b = section_of(i == 0 ? must : may, 1);
        struct sg_raw_section s = {SG_SECTION_REQUIREMENTS, "", b.data, b.len};
        struct core c = core_with(&s, 1, false);
        struct sg_entry_view v;
        struct sg_requirements r;
        int wanted = i == 0 ? SAGGAR_EUNKNOWN : SAGGAR_OK;
        assert_int_equal(core_check(&c), wanted);
        assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
        assert_int_equal(sg_entry_requirements(&v, SG_FAST, &r), wanted);
        if (i == 1)
            sg_requirements_free(&r);
        free(c.data);
        sg_buf_free(&b);
    }
}

/* In an entry: the second of two records would lift what the first one requires. */
static void twice_in_an_entry(void **state) {
    static const struct rec two[] = {REC(0x8001, TUPLE("\2") TEXT("\3", "abc") TEXT("\3", "any")),
                                     REC(0x8001, ARCH)};
    (void)state;
    struct sg_buf b = section_of(two, 2);
    struct sg_raw_section s = {SG_SECTION_REQUIREMENTS, "", b.data, b.len};
    struct core c = core_with(&s, 1, false);
    struct sg_entry_view v;
    struct sg_requirements r;
    assert_int_equal(sg_entry_open(c.data, c.size, NULL, &v), SAGGAR_OK);
    assert_int_equal(sg_entry_requirements(&v, SG_FAST, &r), SAGGAR_ECORRUPT);
    free(c.data);
    sg_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requirements),      cmocka_unit_test(requirement_shapes),
        cmocka_unit_test(dependencies),      cmocka_unit_test(frame),
        cmocka_unit_test(each_stops),        cmocka_unit_test(unknown_in_an_entry),
        cmocka_unit_test(twice_in_an_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
