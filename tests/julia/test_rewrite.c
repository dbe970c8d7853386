/* Rewriting headers: every recorded cache file comes out as it was, or with other names and stamps and
 * nothing else. */
#include "check.h"

#include <ftw.h>
#include <saggar/saggar.h>

#include "julia/rewrite.h"

static char *paths[256];
static size_t n_paths;

static int see(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    size_t n = strlen(path);
    (void)st;
    (void)ftw;
    if (kind == FTW_F && n > 3 && strcmp(path + n - 3, ".ji") == 0 &&
        n_paths < sizeof paths / sizeof paths[0])
        paths[n_paths++] = strdup(path);
    return 0;
}

static int find(void **state) {
    (void)state;
    return nftw(folder, see, 16, FTW_PHYS);
}

static int forget(void **state) {
    (void)state;
    while (n_paths > 0)
        free(paths[--n_paths]);
    return 0;
}

struct read {
    unsigned char *data;
    size_t size;
    struct sg_arena arena;
    struct sg_ji ji;
    struct sg_rewritten *list;
};

static bool open_file(const char *path, struct read *r) {
    *r = (struct read){0};
    assert_int_equal(sg_read_all_at(AT_FDCWD, path, 1 << 24, &r->data, &r->size, NULL), 0);
    assert_true(sg_ji_read(&r->arena, r->data, r->size, &r->ji));
    r->list = sg_arena_array(&r->arena, r->ji.n_includes + 1, sizeof *r->list);
    for (size_t i = 0; i < r->ji.n_includes; i++)
        r->list[i] = (struct sg_rewritten){r->ji.includes[i].path, r->ji.includes[i].mtime};
    return r->ji.state == SG_JI_OK && sg_ji_crc_holds(&r->ji, r->data);
}

static void close_file(struct read *r) {
    free(r->data);
    sg_arena_free(&r->arena);
}

static void test_nothing_changes(void **state) {
    (void)state;
    size_t whole = 0, with_data = 0;
    for (size_t i = 0; i < n_paths; i++) {
        struct read r;
        struct sg_buf out;
        if (open_file(paths[i], &r)) {
            sg_buf_init(&out, 1 << 24);
            assert_int_equal(sg_ji_rewrite(&r.ji, r.data, r.list, &out), SAGGAR_OK);
            assert_int_equal(out.len, r.size);
            assert_memory_equal(out.data, r.data, r.size);
            sg_buf_free(&out);
            with_data += r.ji.data_start != 0;
            whole++;
        }
        close_file(&r);
    }
    assert_true(whole > 40 && with_data > 0);
}

/* Julia's data, and the text of each source, are the same. */
static void compare(const struct read *r, const struct sg_ji *now, const unsigned char *data) {
    const unsigned char *a, *b;
    size_t n, m;
    assert_int_equal(now->n_required, r->ji.n_required);
    assert_int_equal(now->checksum, r->ji.checksum);
    assert_int_equal(now->so_crc, r->ji.so_crc);
    assert_int_equal(now->data_end - now->data_start, r->ji.data_end - r->ji.data_start);
    assert_int_equal(now->data_start % 64, r->ji.data_start % 64);
    assert_memory_equal(data + now->data_start, r->data + r->ji.data_start,
                        r->ji.data_end - r->ji.data_start);
    for (size_t i = 0; i < r->ji.n_includes; i++) {
        bool stored = sg_ji_source_text(&r->ji, r->data, r->ji.includes[i].path, &a, &n);
        assert_int_equal(stored, sg_ji_source_text(now, data, now->includes[i].path, &b, &m));
        assert_true(stored == r->ji.includes[i].source || !r->ji.includes[i].source);
        if (stored)
            assert_true(n == m && memcmp(a, b, n) == 0);
    }
}

static void test_other_names_and_stamps(void **state) {
    (void)state;
    for (size_t i = 0; i < n_paths; i++) {
        struct read r;
        struct sg_buf out;
        struct sg_ji now;
        if (open_file(paths[i], &r)) {
            for (size_t k = 0; k < r.ji.n_includes; k++) {
                r.list[k].path = sg_arena_format(&r.arena, "/another/place%s", r.ji.includes[k].path);
                if (r.list[k].mtime >= 0)
                    r.list[k].mtime = 946684800 + (double)k;
            }
            sg_buf_init(&out, 1 << 24);
            assert_int_equal(sg_ji_rewrite(&r.ji, r.data, r.list, &out), SAGGAR_OK);
            assert_true(sg_ji_read(&r.arena, out.data, out.len, &now));
            assert_int_equal(now.state, SG_JI_OK);
            assert_true(sg_ji_crc_holds(&now, out.data));
            assert_int_equal(now.n_includes, r.ji.n_includes);
            for (size_t k = 0; k < now.n_includes; k++) {
                assert_string_equal(now.includes[k].path, r.list[k].path);
                assert_true(now.includes[k].mtime == r.list[k].mtime);
                assert_int_equal(now.includes[k].crc, r.ji.includes[k].crc);
            }
            compare(&r, &now, out.data);
            sg_buf_free(&out);
        }
        close_file(&r);
    }
}

/* Bytes that are not those that were read: refused, or at least nothing beyond them is touched. */
static void test_other_bytes(void **state) {
    (void)state;
    struct read r;
    size_t tried = 0;
    for (size_t i = 0; i < n_paths && tried < 2; i++) {
        bool good = open_file(paths[i], &r) && r.size < 20000;
        for (size_t at = 0; good && at < r.size; at += at < 400 ? 1 : 37) {
            struct sg_buf out;
            unsigned char *copy = malloc(r.size);
            memcpy(copy, r.data, r.size);
            copy[at] ^= 0xff;
            sg_buf_init(&out, 1 << 20);
            int err = sg_ji_rewrite(&r.ji, copy, r.list, &out);
            assert_true(err == SAGGAR_OK || err == SAGGAR_ECORRUPT || err == SAGGAR_ELIMIT);
            sg_buf_free(&out);
            free(copy);
        }
        tried += good;
        close_file(&r);
    }
    assert_int_equal(tried, 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nothing_changes),
    cmocka_unit_test(test_other_names_and_stamps),
    cmocka_unit_test(test_other_bytes),
};

int main(int argc, char **argv) {
    folder = argv[argc - 1];
    return cmocka_run_group_tests(tests, find, forget);
}
