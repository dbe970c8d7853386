/*
 * Damaged cache files: every byte flipped, every length, random bytes behind a right checksum, memory that
 * runs out. Never a crash, and never "fresh" where a checksum says otherwise.
 */
#include "check.h"

#include "base/bytes.h"
#include "julia/choose.h"
#include "julia/project.h"

#define CASE "d-changed/untracked-file"
#define LEAF CASE "/depot/compiled/v1.11/Leaf/Z6f2r_DBYQh.ji"
#ifdef __SANITIZE_ADDRESS__
enum { STEP = 7 }; /* slow; each byte and each length is tried without the sanitizer */
#else
enum { STEP = 1 };
#endif
#define OLD "v1.5.3-fresh/depot/compiled/v1.5/Leaf/Z6f2r_q0XZY.ji"

/* ---- Memory that runs out ---- */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
static long left = -1; /* allocations that still work; negative: all */

void *__wrap_calloc(size_t n, size_t size) {
    if (left == 0)
        return NULL;
    left -= left > 0;
    return __real_calloc(n, size);
}

/* ---- */

static char *path_of(const char *name) {
    char *path = malloc(4096);
    assert_non_null(path);
    snprintf(path, 4096, "%s/%s", folder, name);
    return path;
}

static void put(const char *path, const unsigned char *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Whether Leaf and Toy are fresh. */
static void ask(bool *leaf, bool *toy) {
    char *project = path_of(CASE "/app"), *depot = path_of(CASE "/depot"),
         *info = path_of(CASE "/expected.json");
    const char *depots[] = {depot};
    struct sg_project_options options = {.project = project, .depots = depots, .n_depots = 1, .info = info};
    struct sg_world w = {0};
    struct sg_package *list = NULL;
    size_t n = 0;
    if (!sg_project_open(&w, &options) || !sg_project_packages(&w, &list, &n))
        fail_msg("%s", w.error);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].id.name, "Leaf");
    *leaf = list[0].fresh;
    *toy = list[1].fresh;
    assert_true(list[0].fresh == (list[0].reason[0] == '\0'));
    sg_world_free(&w);
    free(project);
    free(depot);
    free(info);
}

static void test_every_byte_flipped(void **state) {
    (void)state;
    size_t size;
    bool leaf, toy;
    unsigned char *data = recorded(LEAF, &size);
    char *path = path_of(LEAF);
    ask(&leaf, &toy);
    assert_true(leaf && toy);
    for (size_t at = 0; at < size; at += STEP) {
        static const unsigned char masks[] = {0x01, 0xff};
        for (size_t i = 0; i < 2; i++) {
            data[at] ^= masks[i];
            put(path, data, size);
            ask(&leaf, &toy);
            if (leaf || toy)
                fail_msg("byte %zu", at);
            data[at] ^= masks[i];
        }
    }
    put(path, data, size);
    ask(&leaf, &toy);
    assert_true(leaf && toy);
    free(path);
    free(data);
}

static void test_every_length(void **state) {
    (void)state;
    size_t size;
    bool leaf, toy;
    unsigned char *data = recorded(LEAF, &size);
    char *path = path_of(LEAF);
    for (size_t n = 0; n < size; n += STEP) {
        put(path, data, n);
        ask(&leaf, &toy);
        if (leaf || toy)
            fail_msg("length %zu", n);
    }
    put(path, data, size);
    free(path);
    free(data);
}

/* The code beside it: each flip and each length of the .so, sparsely. */
static void test_machine_code(void **state) {
    (void)state;
    size_t size;
    bool leaf, toy;
    char *path = path_of(CASE "/depot/compiled/v1.11/Leaf/Z6f2r_DBYQh.so");
    unsigned char *data = recorded(CASE "/depot/compiled/v1.11/Leaf/Z6f2r_DBYQh.so", &size);
    for (size_t at = 0; at < size; at += 331) {
        data[at] ^= 0x10;
        put(path, data, size);
        ask(&leaf, &toy);
        assert_false(leaf || toy);
        data[at] ^= 0x10;
        put(path, data, at);
        ask(&leaf, &toy);
        assert_false(leaf || toy);
    }
    put(path, data, size);
    ask(&leaf, &toy);
    assert_true(leaf && toy);
    free(path);
    free(data);
}

static uint64_t next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The readers alone, from memory of exactly that size, so that a read beyond its end is seen. */
static void read_only(const unsigned char *data, size_t size) {
    struct sg_arena arena = {0};
    struct sg_ji ji;
    unsigned char *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    assert_true(sg_ji_read(&arena, exact, size, &ji));
    assert_true(ji.state == SG_JI_OK || ji.what[0] != '\0');
    sg_ji_crc_holds(&ji, exact);
    free(exact);
    sg_arena_free(&arena);
}

/* Random places changed, and the checksum made right again: it must not be what protects the reader. */
static void test_lies(void **state) {
    (void)state;
    size_t size;
    bool leaf, toy;
    uint64_t seed = 20260101;
    unsigned char *data = recorded(LEAF, &size), *bad = malloc(size);
    char *path = path_of(LEAF);
    assert_non_null(bad);
    for (int round = 0; round < 20000; round++) {
        memcpy(bad, data, size);
        for (uint64_t changes = 1 + next(&seed) % 4; changes > 0; changes--) {
            static const uint32_t odd[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100, 0xfffffff0};
            size_t at = next(&seed) % (size - 8);
            if (next(&seed) % 2 == 0)
                bad[at] = (unsigned char)next(&seed);
            else
                sg_store32(bad + at, odd[next(&seed) % 7]);
        }
        sg_store32(bad + size - 4, sg_julia_crc(0, bad, size - 4));
        read_only(bad, size);
        if (round % 20 == 0) {
            put(path, bad, size);
            ask(&leaf, &toy);
        }
    }
    put(path, data, size);
    free(path);
    free(bad);
    free(data);
}

static void test_old_format(void **state) {
    (void)state;
    size_t size;
    unsigned char *data = recorded(OLD, &size);
    struct sg_arena arena = {0};
    struct sg_ji ji;
    assert_true(sg_ji_read(&arena, data, size, &ji));
    assert_int_equal(ji.state, SG_JI_OK);
    assert_true(ji.n_required == 33 && sg_ji_crc_holds(&ji, data));
    sg_arena_free(&arena);
    for (size_t at = 0; at < 2500; at += STEP) {
        data[at] ^= 0xff;
        read_only(data, size);
        data[at] ^= 0xff;
        read_only(data, at);
    }
    for (size_t n = 2500; n < size; n += 97)
        read_only(data, n);
    free(data);
}

static void test_no_memory(void **state) {
    (void)state;
    size_t size;
    unsigned char *data = recorded(LEAF, &size);
    struct sg_ji ji;
    unsigned failed = 0;
    for (long n = 0; n < 40; n++) {
        struct sg_arena arena = {0};
        left = n;
        bool ok = sg_ji_read(&arena, data, size, &ji);
        left = -1;
        assert_true(ok == !arena.failed);
        failed += !ok;
        sg_arena_free(&arena);
    }
    assert_true(failed > 0 && failed < 40);
    free(data);
}

/* A question that runs out of memory is refused, and never answered with "fresh". */
static void test_no_memory_for_a_question(void **state) {
    (void)state;
    char *project = path_of(CASE "/app"), *depot = path_of(CASE "/depot"),
         *info = path_of(CASE "/expected.json");
    const char *depots[] = {depot};
    struct sg_project_options options = {.project = project, .depots = depots, .n_depots = 1, .info = info};
    unsigned refused = 0;
    bool done = false;
    for (long n = 0; n < 5000 && !done; n++) {
        struct sg_world w = {0};
        struct sg_package *list;
        size_t count;
        left = n;
        done = sg_project_open(&w, &options) && sg_project_packages(&w, &list, &count);
        left = -1;
        refused += !done;
        assert_true(done || w.error[0] != '\0');
        sg_world_free(&w);
    }
    assert_true(done && refused > 5);
    free(project);
    free(depot);
    free(info);
}

/* From a project to the drafts of its files. */
static bool bake(struct sg_world *w, const struct sg_project_options *options) {
    struct sg_package *list;
    struct sg_supply supply;
    size_t n;
    if (!sg_project_open(w, options) || !sg_project_packages(w, &list, &n) ||
        !sg_supply_make(w, list, n, &supply))
        return false;
    struct sg_choice *choice = sg_arena_array(&w->arena, n, sizeof *choice);
    if (choice == NULL || !sg_choose(&supply, choice))
        return false;
    for (size_t i = 0; i < n; i++) {
        saggar_draft *draft;
        if (choice[i].offer == NULL)
            continue;
        if (sg_julia_draft(w, &supply.graph, i, choice[i].offer->file, &draft) != SAGGAR_OK)
            return false;
        saggar_draft_free(draft);
    }
    return !w->arena.failed;
}

static void test_no_memory_for_a_bake(void **state) {
    (void)state;
    char *project = path_of(CASE "/app"), *depot = path_of(CASE "/depot"),
         *info = path_of(CASE "/expected.json");
    const char *depots[] = {depot};
    struct sg_project_options options = {.project = project, .depots = depots, .n_depots = 1, .info = info};
    unsigned refused = 0;
    bool done = false;
    for (long n = 0; n < 5000 && !done; n++) {
        struct sg_world w = {0};
        left = n;
        done = bake(&w, &options);
        left = -1;
        refused += !done;
        sg_world_free(&w);
    }
    assert_true(done && refused > 10);
    free(project);
    free(depot);
    free(info);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_byte_flipped),
    cmocka_unit_test(test_every_length),
    cmocka_unit_test(test_machine_code),
    cmocka_unit_test(test_lies),
    cmocka_unit_test(test_old_format),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_no_memory_for_a_question),
    cmocka_unit_test(test_no_memory_for_a_bake),
};

CHECK_MAIN(tests)
