/* Packing and unpacking directories, and what is refused on the way. */
#include <sys/socket.h>
#include <sys/un.h>

#include "make.h"

static char detail[SAGGAR_DETAIL_SIZE];

static void test_round_trip(void **state) {
    (void)state;
    struct sg_buf packed, again;
    char *root = make_tree("a"), *out = path_in("b"), path[600], target[64];
    must(pack_path(root, &packed, detail));
    must(unpack_to(out, packed.data, packed.len, detail));
#define AT(x) (snprintf(path, sizeof path, "%s/%s", out, x), path)
    assert_true(file_is(AT("lib/code.so"), "the code", 0555));
    assert_true(file_is(AT("lib/nothing"), "", 0444));
    assert_true(file_is(AT("lib-x"), "between", 0444));
    assert_true(file_is(AT("run"), "#!", 0555));
    assert_int_equal(readlink(AT("lib/code.so.1"), target, sizeof target), 7);
    assert_memory_equal(target, "code.so", 7);
    assert_int_equal(readlink(AT("lib/up"), target, sizeof target), 6);
    assert_memory_equal(target, "../run", 6);
    struct stat st;
    assert_int_equal(stat(AT("lib/empty"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
#undef AT
    assert_int_equal(compare_with(out, &packed, detail), SAGGAR_OK);
    must(pack_path(out, &again, detail));
    assert_int_equal(again.len, packed.len);
    assert_memory_equal(again.data, packed.data, packed.len);
    int fd = open_dir(dir);
    assert_true(sg_tree_remove(fd, "b"));
    assert_int_equal(access(out, F_OK), -1);
    close(fd);
    sg_buf_free(&packed);
    sg_buf_free(&again);
}

/* The bytes depend neither on the order in which files came to be, nor on times, nor on other bits of the
 * mode. */
static void test_reproducible(void **state) {
    (void)state;
    struct sg_buf a, b;
    char path[600], *second = path_in("b");
    must(pack_path(make_tree("a"), &a, detail));
    assert_int_equal(mkdir(second, 0755), 0);
#define AT(x) (snprintf(path, sizeof path, "%s/%s", second, x), path)
    write_file(AT("run"), "#!", 0755);
    write_file(AT("lib-x"), "between", 0444);
    assert_int_equal(mkdir(AT("lib"), 0700), 0);
    assert_int_equal(symlink("../run", AT("lib/up")), 0);
    assert_int_equal(symlink("./code.so", AT("lib/code.so.1")), 0);
    write_file(AT("lib/nothing"), "", 0666);
    write_file(AT("lib/code.so"), "the code", 0500);
    assert_int_equal(mkdir(AT("lib/empty"), 0700), 0);
    struct timespec old[2] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, AT("run"), old, 0), 0);
#undef AT
    must(pack_path(second, &b, detail));
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    sg_buf_free(&a);
    sg_buf_free(&b);
}

static void test_empty(void **state) {
    (void)state;
    struct sg_buf packed;
    char *root = path_in("a");
    assert_int_equal(mkdir(root, 0700), 0);
    must(pack_path(root, &packed, detail));
    assert_int_equal(packed.len, 64);
    must(unpack_to(path_in("b"), packed.data, packed.len, detail));
    assert_int_equal(compare_with(path_in("b"), &packed, detail), SAGGAR_OK);
    sg_buf_free(&packed);
}

static void refuse_link(const char *target) {
    struct sg_buf packed;
    char *root = path_in("links"), path[600];
    mkdir(root, 0700);
    snprintf(path, sizeof path, "%s/sub", root);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/sub/link", root);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(pack_path(root, &packed, detail), SAGGAR_EINVAL);
    assert_non_null(strstr(detail, "sub/link: "));
    sg_buf_free(&packed);
    unlink(path);
}

static void test_refused_when_packed(void **state) {
    (void)state;
    struct sg_buf packed;
    refuse_link("/etc/passwd");
    assert_non_null(strstr(detail, "absolute"));
    refuse_link("../../x");
    refuse_link("../x/../../y");
    refuse_link("x/../../..");
    refuse_link("x/..");
    refuse_link("./.");
    char *root = path_in("fifo"), path[600];
    assert_int_equal(mkdir(root, 0700), 0);
    snprintf(path, sizeof path, "%s/pipe", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pack_path(root, &packed, detail), SAGGAR_EINVAL);
    assert_string_equal(detail, "pipe: a device, a socket or a pipe");
    sg_buf_free(&packed);
}

static void test_too_deep(void **state) {
    (void)state;
    struct sg_buf packed;
    char path[2000];
    int n = snprintf(path, sizeof path, "%s/deep", dir);
    for (int i = 0; i <= SG_TREE_DEPTH; i++) {
        assert_int_equal(mkdir(path, 0700), 0);
        if (i == SG_TREE_DEPTH)
            break;
        n += snprintf(path + n, sizeof path - (size_t)n, "/d");
    }
    must(pack_path(path_in("deep"), &packed, detail));
    sg_buf_free(&packed);
    snprintf(path + n, sizeof path - (size_t)n, "/file");
    write_file(path, "x", 0600);
    assert_int_equal(pack_path(path_in("deep"), &packed, detail), SAGGAR_ELIMIT);
    assert_non_null(strstr(detail, "too deep"));
    sg_buf_free(&packed);
}

/* ---- Hostile bytes ---- */

static void refused(struct hand *h, const char *why) {
    assert_int_equal(hand_open(h, detail), SAGGAR_ECORRUPT);
    if (strstr(detail, why) == NULL)
        fail_msg("'%s' does not say '%s'", detail, why);
}

static void refuse_name(const char *name, const char *why) {
    struct hand h = hand_new();
    hand_file(&h, 0, name, "x");
    refused(&h, why);
}

static void test_names(void **state) {
    (void)state;
    refuse_name("..", "\"..\"");
    refuse_name(".", "\"..\"");
    refuse_name("", "empty");
    refuse_name("/etc/passwd", "slash");
    refuse_name("a/../../b", "slash");
    char name[300];
    memset(name, 'x', sizeof name);
    name[256] = '\0';
    refuse_name(name, "too long");
    name[255] = '\0';
    struct hand h = hand_new();
    hand_file(&h, 0, name, "x");
    must(hand_open(&h, detail));
    h = hand_new();
    hand_file(&h, 0, "ab", "x");
    h.head.data[SG_TREE_HEAD + 5] = '\0';
    refused(&h, "zero byte");
}

static void test_order(void **state) {
    (void)state;
    struct hand h = hand_new();
    hand_file(&h, 0, "a", "1");
    hand_file(&h, 0, "a", "2");
    refused(&h, "equal");
    h = hand_new(); /* a file and a directory under one name */
    hand_file(&h, 0, "a", "1");
    hand_node(&h, SG_NODE_DIRECTORY, 0, "a");
    refused(&h, "equal");
    h = hand_new(); /* the same name again, after what lies in it */
    hand_node(&h, SG_NODE_DIRECTORY, 0, "a");
    hand_file(&h, 1, "b", "1");
    hand_link(&h, 0, "a", "b");
    refused(&h, "equal");
    h = hand_new();
    hand_file(&h, 0, "b", "1");
    hand_file(&h, 0, "a", "2");
    refused(&h, "out of order");
    h = hand_new();
    hand_node(&h, SG_NODE_DIRECTORY, 0, "a");
    hand_file(&h, 1, "z", "1");
    hand_node(&h, SG_NODE_DIRECTORY, 0, "b");
    hand_file(&h, 1, "a", "1");
    must(hand_open(&h, detail));
}

static void test_parents(void **state) {
    (void)state;
    struct hand h = hand_new();
    hand_file(&h, 0, "a", "1");
    hand_file(&h, 1, "b", "2");
    refused(&h, "directory");
    h = hand_new(); /* through a link */
    hand_link(&h, 0, "a", "b");
    hand_file(&h, 1, "b", "2");
    refused(&h, "directory");
    h = hand_new();
    hand_node(&h, SG_NODE_DIRECTORY, 0, "a");
    hand_file(&h, 2, "b", "2");
    refused(&h, "directory");
    h = hand_new();
    hand_file(&h, 1, "b", "2");
    refused(&h, "directory");
    h = hand_new();
    hand_file(&h, 200, "b", "2");
    refused(&h, "too deep");
    h = hand_new(); /* depth allows it, the length of the path does not */
    char name[256];
    memset(name, 'x', 255);
    name[255] = '\0';
    for (unsigned i = 0; i < 4; i++)
        hand_node(&h, SG_NODE_DIRECTORY, i, name);
    hand_file(&h, 4, "x", "1");
    refused(&h, "too long");
}

static void test_links(void **state) {
    (void)state;
    static const char *const bad[] = {"/x", "..",  "../x", "x/..", "x//y",       "x/",
                                      ".",  "./x", "",     "x/.",  "a/../../..", "/"};
    struct hand h;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        h = hand_new();
        hand_link(&h, 0, "a", bad[i]);
        refused(&h, "link");
    }
    h = hand_new(); /* up and then out over what another link leads to */
    hand_node(&h, SG_NODE_DIRECTORY, 0, "d");
    hand_link(&h, 1, "up", "..");
    hand_link(&h, 0, "e", "d/up/..");
    refused(&h, "behind a name");
    h = hand_new();
    hand_node(&h, SG_NODE_DIRECTORY, 0, "d");
    hand_link(&h, 1, "up", "../..");
    refused(&h, "out of the tree");
    h = hand_new();
    hand_node(&h, SG_NODE_DIRECTORY, 0, "d");
    hand_link(&h, 1, "self", "../d/self/..x");
    hand_link(&h, 1, "up", "..");
    must(hand_open(&h, detail));
}

static void test_kinds_and_sizes(void **state) {
    (void)state;
    struct hand h;
    for (unsigned kind = 0; kind < 256; kind += kind == 0 ? 5 : 50) {
        h = hand_new();
        hand_node(&h, kind, 0, "device");
        refused(&h, "neither");
    }
    static const uint64_t sizes[] = {2, 65, 1 << 20, UINT64_MAX, UINT64_MAX - 63, UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        h = hand_new();
        hand_file(&h, 0, "a", "12");
        sg_store64(h.head.data + SG_TREE_HEAD + 5, sizes[i]);
        if (sizes[i] == 2)
            must(hand_open(&h, detail));
        else
            refused(&h, "size");
    }
    h = hand_new();
    hand_file(&h, 0, "a", "12");
    h.data.data[63] = 1;
    refused(&h, "behind its end");
    h = hand_new();
    hand_file(&h, 0, "a", "12");
    sg_buf_zeros(&h.data, 64);
    refused(&h, "behind the end");
    h = hand_new();
    hand_file(&h, 0, "a", "12");
    h.count = 0;
    refused(&h, "behind the end");
    h = hand_new();
    hand_file(&h, 0, "a", "12");
    h.count = 5;
    refused(&h, "");
    h = hand_new();
    h.count = SG_TREE_NODES + 1;
    assert_int_equal(hand_open(&h, detail), SAGGAR_ELIMIT);
}

/* Nothing that is wrong makes even the first file. */
static void test_nothing_written(void **state) {
    (void)state;
    struct hand h = hand_new();
    struct stat st;
    hand_file(&h, 0, "a", "12");
    hand_link(&h, 0, "b", "/etc");
    sg_buf_pad64(&h.head);
    sg_store32(h.head.data + 12, h.count);
    sg_store64(h.head.data + 16, h.head.len);
    sg_store64(h.head.data + 24, h.head.len + h.data.len);
    sg_buf_add(&h.head, h.data.data, h.data.len);
    assert_int_equal(unpack_to(path_in("out"), h.head.data, h.head.len, detail), SAGGAR_ECORRUPT);
    assert_int_equal(stat(path_in("out"), &st), -1);
    sg_buf_free(&h.head);
    sg_buf_free(&h.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        MAKE_CASE(test_round_trip),
        MAKE_CASE(test_reproducible),
        MAKE_CASE(test_empty),
        MAKE_CASE(test_too_deep),
        MAKE_CASE(test_refused_when_packed),
        MAKE_CASE(test_names),
        MAKE_CASE(test_order),
        MAKE_CASE(test_parents),
        MAKE_CASE(test_links),
        MAKE_CASE(test_kinds_and_sizes),
        MAKE_CASE(test_nothing_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
