/* The store: publish, find, each, discard, and whatever lies in the slots. */
#include "box.h"

#include <sys/time.h>

static void test_publish_and_find(void **state) {
    struct box *b = *state;
    struct stat st;
    unsigned n[3] = {0};
    assert_true(b->tier->active);
    assert_int_equal(found(b->tier, &b->m), 0);
    assert_int_equal(b->tier->ops->each(b->tier, count_each, n), 0);
    assert_int_equal(count_names(b->folder, ""), 0); /* nothing was made so far */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
        assert_int_equal(found(b->tier, &b->m), 1);
    }
    char *second = slot_of(b->store, &b->m, 1);
    assert_int_equal(access(second, F_OK), -1); /* an equal entry takes no second slot */
    assert_int_equal(stat(b->store, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    char *tag = join(b->store, "CACHEDIR.TAG");
    assert_int_equal(access(tag, F_OK), 0);
    assert_int_equal(litter_in(b->store, &b->m), 0);
    b->tier->ops->each(b->tier, count_each, n);
    assert_int_equal(n[0], 1);
    assert_int_equal(n[1], 0);
    free(tag);
    free(second);
}

static void test_annex(void **state) {
    struct box *b = *state;
    struct sg_buf core, annex;
    uint8_t key[32], identity[32];
    unsigned n[3] = {0};
    sg_buf_init(&core, 1 << 20);
    sg_buf_init(&annex, 1 << 20);
    saggar_draft *d = make_draft(1, 0, SAGGAR_ARCH_ANY, 500);
    saggar_draft_seconds(d, 2.5);
    assert_int_equal(sg_draft_build(d, true, &core, &annex, key, identity), SAGGAR_OK);
    assert_true(annex.len > 32);
    assert_memory_equal(identity, b->m.identity, 32);
    assert_int_equal(b->tier->ops->publish(b->tier, key, identity, &core, &annex), SAGGAR_OK);
    assert_int_equal(found(b->tier, &b->m), 1);
    b->tier->ops->each(b->tier, count_each, n);
    assert_int_equal(n[2], 1);
    saggar_draft_free(d);
    sg_buf_free(&core);
    sg_buf_free(&annex);
}

static void test_sixteen_slots(void **state) {
    struct box *b = *state;
    struct made all[18];
    struct faults f;
    for (unsigned i = 0; i < 18; i++)
        all[i] = make_entry(7, i, SAGGAR_ARCH_ANY, 50);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
        assert_int_equal(find_good(b->tier, all[0].key, all, i + 1, &f), i + 1);
    }
    char *oldest = slot_of(b->store, &all[9], 9);
    struct timeval past[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimes(oldest, past), 0);
    assert_int_equal(publish(b->tier, &all[16]), SAGGAR_OK);
    all[9].identity[0] ^= 1; /* it is the one that went */
    assert_int_equal(find_good(b->tier, all[0].key, all, 17, &f), 16);
    assert_int_equal(publish(b->tier, &all[17]), SAGGAR_OK);
    assert_int_equal(litter_in(b->store, &all[0]), 0);
    free(oldest);
    for (unsigned i = 0; i < 18; i++)
        free(all[i].core);
}

/* Every byte of an entry flipped, every length: served right or not at all, and the next publish mends it. */
static void test_damage(void **state) {
    struct box *b = *state;
    struct made m = make_entry(3, 0, SAGGAR_ARCH_ANY, 20);
    struct faults f;
    char *path = slot_of(b->store, &m, 0), *second = slot_of(b->store, &m, 1);
    assert_int_equal(publish(b->tier, &m), SAGGAR_OK);
    for (size_t at = 0; at < m.size; at++) {
        uint8_t *copy = malloc(m.size);
        memcpy(copy, m.core, m.size);
        copy[at] ^= (uint8_t)(1u << (at % 8));
        write_file(path, copy, m.size);
        free(copy);
        unsigned good = find_good(b->tier, m.key, &m, 1, &f);
        if (good + f.n == 0 && at < 128 * 6)
            fail_msg("flip at %zu: neither served nor reported", at);
        assert_int_equal(publish(b->tier, &m), SAGGAR_OK);
        assert_int_equal(find_good(b->tier, m.key, &m, 1, &f), 1);
        if (at == 8 || at == 9) { /* looks like a newer version's: it stays, and the next slot was taken */
            unlink(second);
            continue;
        }
        assert_int_equal(access(second, F_OK), -1);
        size_t size;
        uint8_t *now = read_file(path, &size);
        assert_int_equal(size, m.size);
        assert_memory_equal(now, m.core, size);
        free(now);
    }
    for (size_t n = 0; n < m.size; n++) {
        write_file(path, m.core, n);
        assert_int_equal(find_good(b->tier, m.key, &m, 1, &f), 0);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.last, SAGGAR_REASON_CORRUPT);
        if (n % 64 < 2) {
            assert_int_equal(publish(b->tier, &m), SAGGAR_OK);
            assert_int_equal(find_good(b->tier, m.key, &m, 1, &f), 1);
        }
    }
    free(path);
    free(second);
    free(m.core);
}

static void test_wrong_name(void **state) {
    struct box *b = *state;
    struct made other = make_entry(2, 0, SAGGAR_ARCH_ANY, 50);
    struct faults f;
    unsigned n[3] = {0};
    char *path = slot_of(b->store, &b->m, 0);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    write_file(path, other.core, other.size);
    assert_int_equal(find_good(b->tier, b->m.key, &b->m, 1, &f), 0);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.last, SAGGAR_REASON_WRONG_KEY);
    b->tier->ops->each(b->tier, count_each, n);
    assert_int_equal(n[1], 1);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    assert_int_equal(find_good(b->tier, b->m.key, &b->m, 1, &f), 1);
    assert_int_equal(f.n, 0);
    free(path);
    free(other.core);
}

/* Whatever sits in slot 0 does not block the key: it is mended, or the next slot is taken. */
static void test_foreign_files(void **state) {
    struct box *b = *state;
    struct faults f;
    char *path = slot_of(b->store, &b->m, 0), *second = slot_of(b->store, &b->m, 1);
    for (unsigned kind = 0; kind < 7; kind++) {
        assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
        unlink(path);
        unlink(second);
        bool mended = kind >= 4;
        if (kind == 0)
            assert_int_equal(mkdir(path, 0700), 0);
        if (kind == 1)
            assert_int_equal(mkfifo(path, 0600), 0);
        if (kind == 2)
            assert_int_equal(symlink("/etc/hostname", path), 0);
        if (kind == 3) {
            write_file(path, b->m.core, b->m.size);
            chmod(path, 0666);
        }
        if (kind == 4)
            write_file(path, "", 0);
        if (kind == 5)
            write_file(path, "hello", 5);
        if (kind == 6) {
            uint8_t zeros[4096] = {0};
            write_file(path, zeros, sizeof zeros);
        }
        assert_int_equal(find_good(b->tier, b->m.key, &b->m, 1, &f), 0);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.last, kind == 2 || kind == 3 ? SAGGAR_REASON_UNTRUSTED : SAGGAR_REASON_CORRUPT);
        assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
        assert_int_equal(find_good(b->tier, b->m.key, &b->m, 1, &f), 1);
        assert_int_equal(f.n, mended ? 0 : 1);
        assert_int_equal(access(second, F_OK), mended ? -1 : 0);
        if (kind == 0)
            rmdir(path);
        else
            unlink(path);
    }
    free(path);
    free(second);
}

/* A newer version's entry is passed over and kept. */
static void test_newer_version(void **state) {
    struct box *b = *state;
    struct faults f;
    char *path = slot_of(b->store, &b->m, 0), *second = slot_of(b->store, &b->m, 1);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    b->m.core[8] = 2;
    write_file(path, b->m.core, b->m.size);
    b->m.core[8] = 1;
    assert_int_equal(find_good(b->tier, b->m.key, &b->m, 1, &f), 0);
    assert_int_equal(f.last, SAGGAR_REASON_VERSION);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    assert_int_equal(find_good(b->tier, b->m.key, &b->m, 1, &f), 1);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(second, F_OK), 0);
    free(path);
    free(second);
}

static void test_discard(void **state) {
    struct box *b = *state;
    struct sg_candidate out[SAGGAR_MAX_SLOTS];
    unsigned n;
    char *path = slot_of(b->store, &b->m, 0);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    assert_int_equal(b->tier->ops->find(b->tier, b->m.key, out, &n, NULL, NULL), SAGGAR_OK);
    assert_int_equal(n, 1);
    uint64_t id = out[0].id;
    /* Another file under the name meanwhile: it stays. */
    char *keep = join(b->folder, "keep");
    assert_int_equal(rename(path, keep), 0);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    b->tier->ops->discard(&out[0]);
    assert_int_equal(access(path, F_OK), 0);
    b->tier->ops->release(&out[0]);
    assert_int_equal(b->tier->ops->find(b->tier, b->m.key, out, &n, NULL, NULL), SAGGAR_OK);
    assert_true(out[0].id != id);
    b->tier->ops->discard(&out[0]);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(parts_good(&out[0].view, &b->m, SG_FULL)); /* held bytes stay */
    b->tier->ops->release(&out[0]);
    free(keep);
    free(path);
}

/* A bad file that goes hides no variant behind it, whether a reader or a publisher takes it away. */
static void test_no_holes(void **state) {
    struct box *b = *state;
    struct made all[4];
    struct faults f;
    struct sg_candidate out[SAGGAR_MAX_SLOTS];
    unsigned n;
    char *first = slot_of(b->store, &b->m, 0), *last = slot_of(b->store, &b->m, 3);
    for (unsigned i = 0; i < 4; i++) {
        all[i] = make_entry(1, i, SAGGAR_ARCH_ANY, 500);
        assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
    }
    assert_int_equal(b->tier->ops->find(b->tier, b->m.key, out, &n, NULL, NULL), SAGGAR_OK);
    assert_int_equal(n, 4);
    b->tier->ops->discard(&out[0]);
    for (unsigned i = 0; i < n; i++)
        b->tier->ops->release(&out[i]);
    assert_int_equal(find_good(b->tier, b->m.key, all, 4, &f), 3);
    assert_int_equal(publish(b->tier, &all[0]), SAGGAR_OK);
    assert_int_equal(find_good(b->tier, b->m.key, all, 4, &f), 4);
    write_file(first, "hello", 5);
    assert_int_equal(find_good(b->tier, b->m.key, all, 4, &f), 3);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
    assert_int_equal(find_good(b->tier, b->m.key, all, 4, &f), 4);
    assert_int_equal(access(last, F_OK), 0);
    last[strlen(last) - 1] = '4';
    assert_int_equal(access(last, F_OK), -1); /* no variant twice */
    /* Sixteen bad files. */
    for (unsigned i = 0; i < SAGGAR_MAX_SLOTS; i++) {
        first[strlen(first) - 1] = "0123456789abcdef"[i];
        write_file(first, "hello", 5);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(publish(b->tier, &all[i]), SAGGAR_OK);
    assert_int_equal(find_good(b->tier, b->m.key, all, 4, &f), 4);
    for (unsigned i = 0; i < 4; i++)
        free(all[i].core);
    free(first);
    free(last);
}

static void test_removed_in_use(void **state) {
    struct box *b = *state;
    struct sg_candidate out[SAGGAR_MAX_SLOTS];
    unsigned n;
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    assert_int_equal(b->tier->ops->find(b->tier, b->m.key, out, &n, NULL, NULL), SAGGAR_OK);
    remove_tree(b->store);
    assert_int_equal(found(b->tier, &b->m), 0);
    assert_true(parts_good(&out[0].view, &b->m, SG_FULL));
    b->tier->ops->release(&out[0]);
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    assert_int_equal(found(b->tier, &b->m), 1);
    assert_int_equal(chdir("/"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_publish_and_find), TEST(test_annex),          TEST(test_sixteen_slots), TEST(test_damage),
        TEST(test_wrong_name),       TEST(test_foreign_files),  TEST(test_newer_version), TEST(test_discard),
        TEST(test_no_holes),         TEST(test_removed_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
