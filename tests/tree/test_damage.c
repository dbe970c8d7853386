/*
 * A small packed tree with every byte changed, cut at every length, and with bytes added: it is refused, or
 * it is a tree that unpacks below its own directory and nowhere else. What a file holds is guarded by the
 * digests of the entry.
 */
#include "make.h"

static char detail[SAGGAR_DETAIL_SIZE];
static unsigned accepted;

/* Whatever is accepted can be unpacked, and packs to the same bytes: there is one encoding of each tree. */
static void try_bytes(const uint8_t *bytes, size_t size) {
    struct sg_tree tree;
    struct sg_buf again;
    uint8_t *copy = malloc(size + 1); /* exactly as long, so that the sanitizer sees a step too far */
    assert_non_null(copy);
    copy = realloc(copy, size == 0 ? 1 : size);
    memcpy(copy, bytes, size);
    int err = sg_tree_open(copy, size, &tree, detail);
    if (err == SAGGAR_OK) {
        accepted++;
        must(unpack_to(path_in("inner/out"), copy, size, detail));
        must(pack_path(path_in("inner/out"), &again, detail));
        assert_int_equal(again.len, size);
        assert_memory_equal(again.data, copy, size);
        sg_buf_free(&again);
        int fd = open_dir(dir);
        assert_true(sg_tree_remove(fd, "inner/out"));
        close(fd);
    } else {
        assert_true(detail[0] != '\0' && strlen(detail) < SAGGAR_DETAIL_SIZE);
    }
    free(copy);
}

static void test_every_byte(void **state) {
    (void)state;
    struct sg_buf packed;
    must(pack_path(make_tree("a"), &packed, detail));
    assert_int_equal(mkdir(path_in("inner"), 0700), 0);
    static const uint8_t masks[] = {0x01, 0x02, 0x80, 0xff, 0x2f ^ 'b', 0x2e ^ 'i'};
    for (size_t i = 0; i < packed.len; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            packed.data[i] ^= masks[m];
            try_bytes(packed.data, packed.len);
            packed.data[i] ^= masks[m];
        }
    }
    assert_true(accepted > 0);
    try_bytes(packed.data, packed.len);
    struct dirent *d;
    DIR *listing = opendir(dir); /* nothing came to be beside */
    while ((d = readdir(listing)) != NULL)
        assert_true(d->d_name[0] == '.' || strcmp(d->d_name, "a") == 0 || strcmp(d->d_name, "inner") == 0);
    closedir(listing);
    sg_buf_free(&packed);
}

static void test_every_length(void **state) {
    (void)state;
    struct sg_buf packed;
    struct sg_tree tree;
    must(pack_path(make_tree("a"), &packed, detail));
    for (size_t n = 0; n < packed.len; n++) {
        uint8_t *copy = malloc(n == 0 ? 1 : n);
        memcpy(copy, packed.data, n);
        assert_int_not_equal(sg_tree_open(copy, n, &tree, detail), SAGGAR_OK);
        if (n >= SG_TREE_HEAD) { /* with a size that agrees */
            sg_store64(copy + 24, n);
            assert_int_not_equal(sg_tree_open(copy, n, &tree, detail), SAGGAR_OK);
        }
        free(copy);
    }
    for (size_t n = 1; n <= 128; n++) {
        uint8_t *copy = calloc(1, packed.len + n);
        memcpy(copy, packed.data, packed.len);
        assert_int_not_equal(sg_tree_open(copy, packed.len + n, &tree, detail), SAGGAR_OK);
        sg_store64(copy + 24, packed.len + n);
        assert_int_not_equal(sg_tree_open(copy, packed.len + n, &tree, detail), SAGGAR_OK);
        free(copy);
    }
    sg_buf_free(&packed);
}

/* ---- A finished tree on disk that was changed ---- */

static struct sg_buf good;

static void expect_changed(const char *why) {
    assert_int_equal(compare_with(path_in("b"), &good, detail), SAGGAR_ECORRUPT);
    if (strstr(detail, why) == NULL)
        fail_msg("'%s' does not say '%s'", detail, why);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "b"));
    close(fd);
    must(unpack_to(path_in("b"), good.data, good.len, detail));
    must(compare_with(path_in("b"), &good, detail));
    chmod(path_in("b/lib"), 0700);
}

static void test_changed_tree(void **state) {
    (void)state;
    must(pack_path(make_tree("a"), &good, detail));
    must(unpack_to(path_in("b"), good.data, good.len, detail));
    chmod(path_in("b/lib"), 0700);
    flip_byte(path_in("b/lib/code.so"), 3);
    chmod(path_in("b/lib/code.so"), 0555);
    expect_changed("lib/code.so: other bytes");
    chmod(path_in("b/lib-x"), 0);
    expect_changed("lib-x: ");
    chmod(path_in("b/lib/empty"), 0);
    expect_changed("lib/empty: ");
    unlink(path_in("b/run"));
    expect_changed("run: ");
    unlink(path_in("b/run"));
    assert_int_equal(symlink("/bin/true", path_in("b/run")), 0);
    expect_changed("run: ");
    write_file(path_in("b/lib/more"), "x", 0444);
    expect_changed("more names");
    write_file(path_in("b/more"), "x", 0444);
    expect_changed("more names");
    chmod(path_in("b/run"), 0444);
    expect_changed("run: another kind");
    chmod(path_in("b/lib/code.so"), 0575);
    expect_changed("lib/code.so: another kind");
    chmod(path_in("b/lib"), 0777);
    expect_changed("lib: not the directory");
    unlink(path_in("b/lib/up"));
    assert_int_equal(symlink("../../run", path_in("b/lib/up")), 0);
    expect_changed("lib/up: another link");
    rmdir(path_in("b/lib/empty"));
    expect_changed("lib/empty: ");
    chmod(path_in("b/run"), 0755);
    assert_int_equal(truncate(path_in("b/run"), 1), 0);
    chmod(path_in("b/run"), 0555);
    expect_changed("run: another kind");
    sg_buf_free(&good);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        MAKE_CASE(test_every_byte),
        MAKE_CASE(test_every_length),
        MAKE_CASE(test_changed_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
