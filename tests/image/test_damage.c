/* Damaged, cut, lying and forged images: nothing but published bytes is served, and the full check finds
 * every fault. */
#include "base/bytes.h"
#include "base/hash.h"
#include "set.h"

/* The same for images whose provenance or order may be wrong. */
static unsigned ask_served(const char *path, const struct set *s, unsigned *faults) {
    struct sg_tier *tier;
    unsigned good = 0;
    *faults = 0;
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    assert_true(tier->active);
    for (unsigned i = 0; i < s->n; i++) {
        struct faults f;
        good += find_good(tier, s->all[i].key, s->all, s->n, &f);
        *faults += f.n;
    }
    tier->ops->close(tier);
    return good;
}

static void test_every_byte_flipped(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *bad = join(folder, "b");
    struct set s = make_set(3, 40);
    size_t size;
    unsigned faults, lost = 0;
    write_set(&s, path, false, NULL);
    uint8_t *data = read_file(path, &size);
    write_file(bad, data, size);
    assert_int_equal(ask_all(bad, &s, &faults), 3);
    int fd = open(bad, O_WRONLY);
    for (size_t at = 0; at < size; at++) {
        uint8_t flipped = data[at] ^ (uint8_t)(1u << (at % 8));
        unsigned findings = 0;
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
        unsigned good = ask_all(bad, &s, &faults);
        assert_true(good <= 3);
        lost += good < 3;
        int err = sg_image_check(bad, count_finding, &findings, NULL);
        if (err == SAGGAR_OK || findings == 0)
            fail_msg("a flip at %zu was not found", at);
        assert_int_equal(pwrite(fd, &data[at], 1, (off_t)at), 1);
    }
    close(fd);
    assert_true(lost > size / 4); /* all but paddings, SHA-256s and the root matter to readers */
    assert_int_equal(sg_image_check(bad, NULL, NULL, NULL), SAGGAR_OK);
    free(data);
    free_set(&s);
    free(path);
    free(bad);
    remove_folder(folder);
}

static void test_every_length(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *bad = join(folder, "b");
    struct set s = make_set(2, 40);
    size_t size;
    unsigned faults;
    write_set(&s, path, false, NULL);
    uint8_t *data = read_file(path, &size);
    data = realloc(data, size + 200);
    memset(data + size, 0, 200);
    for (size_t n = 0; n <= size + 200; n += n > size ? 17 : 1) {
        if (n == size)
            continue;
        write_file(bad, data, n);
        assert_int_equal(ask_all(bad, &s, &faults), 0);
        assert_int_not_equal(sg_image_check(bad, NULL, NULL, NULL), SAGGAR_OK);
    }
    free(data);
    free_set(&s);
    free(path);
    free(bad);
    remove_folder(folder);
}

static void seal_header(uint8_t *data) {
    uint8_t digest[16];
    memset(data + 128, 0, 16);
    sg_xxh128(digest, data, 256);
    memcpy(data + 128, digest, 16);
}

/* Headers whose digest is right and whose numbers are not. */
static void test_lying_headers(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *bad = join(folder, "b");
    struct set s = make_set(5, 40);
    size_t size;
    unsigned faults;
    write_set(&s, path, false, NULL);
    uint8_t *data = read_file(path, &size);
    uint8_t header[256];
    memcpy(header, data, 256);
    for (size_t at = 8; at < 256; at++) {
        static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff};
        for (size_t k = 0; k < sizeof values; k++) {
            memcpy(data, header, 256);
            if ((at >= 10 && at < 12) || (at >= 96 && at < 144) || data[at] == values[k])
                continue; /* minor version, root, digest */
            data[at] = values[k];
            seal_header(data);
            write_file(bad, data, size);
            /* Another length of the provenance may fill the same padding: only the root tells. */
            unsigned good = ask_all(bad, &s, &faults);
            assert_true(good == 0 || at == 64);
            assert_int_not_equal(sg_image_check(bad, NULL, NULL, NULL), SAGGAR_OK);
        }
    }
    struct sg_tier *tier;
    memcpy(data, header, 256);
    data[8] = 2;
    seal_header(data);
    write_file(bad, data, size);
    assert_int_equal(sg_image_open(bad, &tier), SAGGAR_OK);
    assert_false(tier->active);
    assert_string_equal(tier->note, saggar_strerror(SAGGAR_EVERSION));
    tier->ops->close(tier);
    assert_int_equal(sg_image_check(bad, NULL, NULL, NULL), SAGGAR_EVERSION);
    /* A newer minor version is read. */
    memcpy(data, header, 256);
    data[10] = 9;
    seal_header(data);
    write_file(bad, data, size);
    assert_int_equal(ask_all(bad, &s, &faults), 5);
    free(data);
    free_set(&s);
    free(path);
    free(bad);
    remove_folder(folder);
}

/* Makes every digest of a changed image agree again. */
static void reseal(uint8_t *data, size_t size) {
    struct sg_image_layout l;
    assert_int_equal(sg_image_header_read(data, size, size, &l), SAGGAR_OK);
    for (uint64_t i = 0; i < l.blocks; i++) {
        const uint8_t *block = data + SG_IMAGE_HEADER + i * SG_IMAGE_BLOCK;
        uint8_t *row = data + l.list + i * SG_IMAGE_BLOCK_ROW;
        assert_int_equal(sg_sha256(row, block, sg_image_block_size(&l, i)), SAGGAR_OK);
        sg_xxh128(row + 32, block, sg_image_block_size(&l, i));
    }
    assert_int_equal(sg_image_root(data, data + l.list, l.blocks, data + SG_IMAGE_ROOT), SAGGAR_OK);
    seal_header(data);
}

/* Images whose digests all agree and whose content does not: an image is what the writer would have made, or
 * refused. */
static void test_forged(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *bad = join(folder, "b");
    struct set s = make_set(5, 40);
    struct sg_image_layout l;
    size_t size;
    unsigned faults;
    write_set(&s, path, false, NULL);
    uint8_t *data = read_file(path, &size), *copy = malloc(size);
    assert_int_equal(sg_image_header_read(data, size, size, &l), SAGGAR_OK);
    struct {
        uint64_t at;
        unsigned least, most; /* entries that a reader may serve */
    } cases[] = {
        {SG_IMAGE_HEADER, 1, 5},           /* bucket table */
        {SG_IMAGE_HEADER + 4 * 9, 4, 5},   /* padding of the bucket table */
        {l.index + SG_ROW_KEY + 31, 4, 4}, /* another key */
        {l.index + SG_ROW_IDENTITY, 4, 4}, /* another identity */
        {l.index + SG_ROW_FEATURES, 5, 5}, /* what it requires: a trusted index is believed, check finds it */
        {l.index + SG_ROW_OFFSET, 4, 4},   /* not aligned */
        {l.index + SG_ROW_OFFSET + 1, 4, 4},      /* another entry's place, or none's */
        {l.index + SG_ROW_OFFSET + 7, 4, 4},      /* outside */
        {l.index + SG_ROW_SIZE + 7, 4, 4},        /* outside */
        {l.index + SG_ROW_GROUP, 5, 5},           /* group */
        {l.index + SG_ROW_FLAGS, 5, 5},           /* flags */
        {l.index + SG_ROW_ZERO, 4, 4},            /* reserved */
        {l.provenance + 5, 5, 5},                 /* not a text */
        {l.provenance + l.provenance_size, 5, 5}, /* padding */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(copy, data, size);
        copy[cases[i].at] ^= 1;
        reseal(copy, size);
        write_file(bad, copy, size);
        unsigned good = ask_served(bad, &s, &faults);
        if (good < cases[i].least || good > cases[i].most || good + faults < 4)
            fail_msg("case %zu: %u served, %u faults", i, good, faults);
        if (sg_image_check(bad, NULL, NULL, NULL) == SAGGAR_OK)
            fail_msg("case %zu: not found", i);
    }
    /* Two rows that point at each other's entries. */
    memcpy(copy, data, size);
    memcpy(copy + l.index + SG_ROW_OFFSET, data + l.index + SG_IMAGE_ROW + SG_ROW_OFFSET, 16);
    memcpy(copy + l.index + SG_IMAGE_ROW + SG_ROW_OFFSET, data + l.index + SG_ROW_OFFSET, 16);
    reseal(copy, size);
    write_file(bad, copy, size);
    assert_int_equal(ask_served(bad, &s, &faults), 3);
    assert_int_not_equal(sg_image_check(bad, NULL, NULL, NULL), SAGGAR_OK);
    free(copy);
    free(data);
    free_set(&s);
    free(path);
    free(bad);
    remove_folder(folder);
}

/* One block of the index is damaged: its entries are lost, no other. */
static void test_damaged_block(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *bad = join(folder, "b");
    struct set s = make_set(2000, 20);
    size_t size;
    unsigned faults;
    write_set(&s, path, false, NULL);
    uint8_t *data = read_file(path, &size);
    data[256 + 2 * 65536 + 100] ^= 4;
    write_file(bad, data, size);
    unsigned good = ask_all(bad, &s, &faults);
    assert_in_range(good, 2000 - 514, 2000 - 511);
    assert_in_range(good + faults, 2000,
                    2010); /* a neighbour in the same bucket is served, and the loss told */
    struct sg_tier *tier;
    struct seen seen = {.set = &s};
    assert_int_equal(sg_image_open(bad, &tier), SAGGAR_OK);
    tier->ops->each(tier, see, &seen);
    assert_int_equal(seen.n, 2000);
    assert_int_equal(seen.bad, 2000 - good);
    tier->ops->close(tier);
    free(data);
    free_set(&s);
    free(path);
    free(bad);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_flipped), cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_lying_headers),      cmocka_unit_test(test_forged),
        cmocka_unit_test(test_damaged_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
