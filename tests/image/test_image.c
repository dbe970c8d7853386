/* Images: what is written is found, in whatever order it was added; nothing else is ever served. */
#include "../base/check.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../entries.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "image/image.h"

struct set {
    struct made *all;
    unsigned n;
};

static struct set make_set(unsigned n, size_t object_size) {
    struct set s = {calloc(n + 1, sizeof(struct made)), n};
    NEED(s.all != NULL);
    for (unsigned i = 0; i < n; i++)
        s.all[i] = make_entry(i, 0, SAGGAR_ARCH_X86_64, object_size);
    return s;
}

static void free_set(struct set *s) {
    for (unsigned i = 0; i < s->n; i++)
        free(s->all[i].core);
    free(s->all);
}

static void write_set(const struct set *s, const char *path, bool backwards, uint8_t sha256[32]) {
    saggar_image_writer *w;
    assert_int_equal(saggar_image_writer_new(&w), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_provenance(w, "project", "pottery \xc3\xa9"), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_provenance(w, "revision", "17"), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_provenance(w, "project", "x"), SAGGAR_EEXISTS);
    for (unsigned i = 0; i < s->n; i++) {
        const struct made *m = &s->all[backwards ? s->n - 1 - i : i];
        assert_int_equal(saggar_image_writer_add(w, m->core, m->size), SAGGAR_OK);
    }
    assert_int_equal(saggar_image_writer_write(w, path, sha256), SAGGAR_OK);
    saggar_image_writer_free(w);
}

static int count_finding(void *context, int error, uint64_t row, const uint8_t *key, const char *what) {
    assert_true(error != SAGGAR_OK && what[0] != '\0' && (row == SG_IMAGE_WHOLE) == (key == NULL));
    ++*(unsigned *)context;
    return 0;
}

struct seen {
    const struct set *set;
    uint8_t last[64];
    unsigned n, bad;
};

static int see(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
               size_t annex_size, const char *name) {
    struct seen *s = context;
    assert_true(annex == NULL && annex_size == 0 && name[0] == '\0');
    assert_true((error == SAGGAR_OK) == (view != NULL));
    s->n++;
    if (view == NULL) {
        s->bad++;
        return 0;
    }
    uint8_t now[64];
    memcpy(now, view->key, 32);
    memcpy(now + 32, view->identity, 32);
    assert_true(memcmp(now, s->last, 64) > 0);
    memcpy(s->last, now, 64);
    return 0;
}

static void round_trip(unsigned n) {
    char *folder = make_folder(), *path = join(folder, "a.saggar");
    struct set s = make_set(n, 150);
    struct sg_tier *tier;
    struct faults f;
    struct sg_image_info info, checked;
    unsigned findings = 0;
    write_set(&s, path, false, NULL);
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    assert_string_equal(tier->note, "");
    assert_true(tier->active && tier->trusted);
    assert_int_equal(tier->entries, n);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(find_good(tier, s.all[i].key, &s.all[i], 1, &f), 1);
            assert_int_equal(f.n, 0);
        }
    }
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t key[32];
        object_bytes(i, 99, key, 32);
        if (n > 0 && i < n) {
            memcpy(key, s.all[i].key, 31); /* neighbours in the same bucket */
            key[31] = (uint8_t)(s.all[i].key[31] ^ 1);
        }
        assert_int_equal(find_good(tier, key, NULL, 0, &f), 0);
        assert_int_equal(f.n, 0);
    }
    struct seen seen = {.set = &s};
    assert_int_equal(tier->ops->each(tier, see, &seen), 0);
    assert_int_equal(seen.n, n);
    assert_int_equal(seen.bad, 0);
    assert_int_equal(sg_image_info(tier, &info), SAGGAR_OK);
    assert_int_equal(saggar_value_check(info.provenance, info.provenance_size), SAGGAR_OK);
    assert_int_equal(sg_image_check(path, count_finding, &findings, &checked), SAGGAR_OK);
    assert_int_equal(findings, 0);
    assert_int_equal(checked.entries, n);
    assert_memory_equal(checked.root, info.root, 32);
    tier->ops->close(tier);
    free_set(&s);
    free(path);
    remove_folder(folder);
}

static void test_round_trip(void **state) {
    (void)state;
    round_trip(0);
    round_trip(1);
    round_trip(2);
    round_trip(10);
    round_trip(10000);
}

static void test_order_does_not_matter(void **state) {
    (void)state;
    char *folder = make_folder(), *a = join(folder, "a"), *b = join(folder, "b"), *c = join(folder, "c");
    struct set s = make_set(50, 9000);
    uint8_t sha_a[32], sha_b[32], sha_c[32], sha[32];
    mode_t mask = umask(0);
    write_set(&s, a, false, sha_a);
    umask(077);
    write_set(&s, b, true, sha_b);
    umask(mask);
    assert_memory_equal(sha_a, sha_b, 32);
    /* Twice, and once compressed with its annex behind it. */
    struct set twice = {calloc(100, sizeof(struct made)), 100};
    for (unsigned i = 0; i < 100; i++) {
        struct sg_buf core, annex;
        uint8_t key[32];
        sg_buf_init(&core, 1 << 20);
        sg_buf_init(&annex, 1 << 20);
        saggar_draft *d = make_draft(i % 50, 0, SAGGAR_ARCH_X86_64, 9000);
        saggar_draft_seconds(d, i);
        assert_int_equal(sg_draft_build(d, i < 50, &core, &annex, key, twice.all[i].identity), SAGGAR_OK);
        sg_buf_add(&core, annex.data, annex.len);
        twice.all[i].core = sg_buf_steal(&core, &twice.all[i].size);
        saggar_draft_free(d);
        sg_buf_free(&annex);
    }
    write_set(&twice, c, false, sha_c);
    assert_memory_equal(sha_a, sha_c, 32);
    size_t size;
    uint8_t *data = read_file(a, &size);
    sg_sha256(sha, data, size);
    assert_memory_equal(sha, sha_a, 32);
    free(data);
    struct stat st;
    assert_int_equal(stat(b, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(count_names(folder, ""), 3);
    free_set(&s);
    free_set(&twice);
    free(a);
    free(b);
    free(c);
    remove_folder(folder);
}

/* Opens whatever lies at path and asks for everything; returns how many entries were served whole. */
static unsigned ask_all(const char *path, const struct set *s, unsigned *faults) {
    struct sg_tier *tier;
    struct sg_image_info info;
    unsigned good = 0;
    *faults = 0;
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    for (unsigned i = 0; i < s->n; i++) {
        struct faults f;
        good += find_good(tier, s->all[i].key, s->all, s->n, &f);
        *faults += f.n;
    }
    struct seen seen = {.set = s};
    tier->ops->each(tier, see, &seen);
    if (tier->active && sg_image_info(tier, &info) == SAGGAR_OK)
        assert_int_equal(saggar_value_check(info.provenance, info.provenance_size), SAGGAR_OK);
    else
        assert_true(tier->active || tier->note[0] != '\0');
    tier->ops->close(tier);
    return good;
}

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

static void test_variants(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a");
    struct set s = {calloc(23, sizeof(struct made)), 23};
    for (unsigned i = 0; i < 20; i++)
        s.all[i] = make_entry(0, i, SAGGAR_ARCH_X86_64, 30);
    s.all[20] = make_entry(1, 5, SAGGAR_ARCH_AARCH64, 30);
    s.all[21] = make_entry(1, 5, SAGGAR_ARCH_X86_64, 30);
    s.all[22] = make_entry(2, 1, SAGGAR_ARCH_ANY, 30);
    write_set(&s, path, true, NULL);
    struct sg_tier *tier;
    struct sg_candidate out[SAGGAR_MAX_SLOTS];
    unsigned n;
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    assert_int_equal(tier->ops->find(tier, s.all[0].key, out, &n, NULL, NULL), SAGGAR_OK);
    assert_int_equal(n, SAGGAR_MAX_SLOTS);
    for (unsigned i = 0; i < n; i++) {
        assert_true(out[i].has_features);
        assert_int_equal(out[i].provenance, SAGGAR_PROVENANCE_DECLARED);
        assert_true(i == 0 || memcmp(out[i - 1].view.identity, out[i].view.identity, 32) < 0);
        assert_true(i == 0 || out[i - 1].id != out[i].id);
        tier->ops->release(&out[i]);
    }
    assert_int_equal(tier->ops->find(tier, s.all[20].key, out, &n, NULL, NULL), SAGGAR_OK);
    assert_int_equal(n, 2);
    for (unsigned i = 0; i < n; i++) {
        bool arm = memcmp(out[i].view.identity, s.all[20].identity, 32) == 0;
        assert_int_equal(out[i].arch, arm ? SAGGAR_ARCH_AARCH64 : SAGGAR_ARCH_X86_64);
        assert_int_equal(out[i].features.word[0], 5);
    }
    /* What is held outlives the tier. */
    tier->ops->hold(&out[0]);
    tier->ops->close(tier);
    struct sg_candidate again = out[0];
    tier->ops->release(&out[1]);
    tier->ops->release(&out[0]);
    assert_true(parts_good(&again.view, &s.all[20], SG_FULL) == (again.arch == SAGGAR_ARCH_AARCH64) ||
                parts_good(&again.view, &s.all[21], SG_FULL));
    again.tier->ops->release(&again);
    free_set(&s);
    free(path);
    remove_folder(folder);
}

static void expect_off(const char *path, bool trusted, const char *note) {
    struct sg_tier *tier;
    struct faults f;
    uint8_t key[32] = {0};
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    assert_false(tier->active);
    assert_int_equal(tier->trusted, trusted);
    if (strstr(tier->note, note) == NULL)
        fail_msg("note: %s", tier->note);
    assert_int_equal(find_good(tier, key, NULL, 0, &f), 0);
    assert_int_equal(f.n, 0);
    tier->ops->close(tier);
}

static void test_no_images(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *other = join(folder, "b");
    struct set s = make_set(1, 40);
    struct sg_tier *tier;
    expect_off(path, false, "not found");
    assert_int_equal(mkdir(other, 0700), 0);
    expect_off(other, false, "not a Saggar file");
    rmdir(other);
    assert_int_equal(mkfifo(other, 0600), 0);
    expect_off(other, false, "not a Saggar file");
    write_file(other, "", 0);
    expect_off(other, true, "not a Saggar file");
    write_file(other, "something else, a little longer than a magic", 40);
    expect_off(other, true, "not a Saggar file");
    write_set(&s, path, false, NULL);
    chmod(path, 0666);
    expect_off(path, false, "");
    chmod(path, 0444);
    chmod(folder, 0777);
    expect_off(path, false, "");
    chmod(folder, 0700);
    /* A link to a trusted image is fine, one that leads nowhere is not. */
    unlink(other);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(sg_image_open(other, &tier), SAGGAR_OK);
    assert_true(tier->active);
    tier->ops->close(tier);
    unlink(path);
    expect_off(other, false, "not found");
    assert_int_equal(sg_image_open("", &tier), SAGGAR_EINVAL);
    free_set(&s);
    free(path);
    free(other);
    remove_folder(folder);
}

static void test_write_fails(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), *missing = join(folder, "no/a");
    saggar_image_writer *w;
    struct made m = make_entry(0, 0, SAGGAR_ARCH_ANY, 100);
    assert_int_equal(saggar_image_writer_new(&w), SAGGAR_OK);
    m.core[m.size - 70] ^= 1;
    assert_int_equal(saggar_image_writer_add(w, m.core, m.size), SAGGAR_ECORRUPT);
    m.core[m.size - 70] ^= 1;
    assert_int_equal(saggar_image_writer_add(w, m.core, m.size - 1), SAGGAR_ECORRUPT);
    assert_int_equal(saggar_image_writer_add(w, "x", 1), SAGGAR_ENOTSAGGAR);
    assert_int_equal(saggar_image_writer_add(w, m.core, m.size), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_write(w, missing, NULL), SAGGAR_ENOTFOUND);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(saggar_image_writer_write(w, path, NULL), SAGGAR_EINVAL);
    assert_int_equal(count_names(folder, ""), 1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(saggar_image_writer_provenance(w, "name", "\xff"), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_write(w, path, NULL), SAGGAR_EINVAL);
    assert_int_equal(count_names(folder, ""), 0);
    saggar_image_writer_free(w);
    saggar_image_writer_free(NULL);
    free(m.core);
    free(path);
    free(missing);
    remove_folder(folder);
}

/* After open, lookups and parts need no system call: in strict mode any would kill the child. */
static void test_no_system_calls(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a");
    struct set s = make_set(100, 3000);
    struct sg_tier *tier;
    write_set(&s, path, false, NULL);
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    pid_t child = fork();
    if (child == 0) {
        struct sg_candidate out[SAGGAR_MAX_SLOTS];
        unsigned n, good = 0;
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        for (unsigned i = 0; i < 200; i++) {
            tier->ops->find(tier, s.all[i % 100].key, out, &n, NULL, NULL);
            for (unsigned k = 0; n == 1 && k < out[0].view.sections; k++) {
                struct sg_section section;
                const uint8_t *data;
                uint8_t *owned = NULL;
                size_t size;
                sg_entry_section(&out[0].view, k, &section);
                good += sg_entry_bytes(&out[0].view, &section, SG_FAST, &data, &size, &owned) == SAGGAR_OK;
            }
            tier->ops->release(&out[0]);
        }
        syscall(SYS_exit, good >= 200 * 5 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    tier->ops->close(tier);
    free_set(&s);
    free(path);
    remove_folder(folder);
}

struct job {
    struct sg_tier *tier;
    const struct set *set;
    unsigned good;
};

static void *find_all(void *p) {
    struct job *j = p;
    struct faults f;
    for (unsigned i = 0; i < j->set->n; i++)
        j->good += find_good(j->tier, j->set->all[i].key, &j->set->all[i], 1, &f);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a");
    struct set s = make_set(1500, 20);
    struct sg_tier *tier;
    pthread_t threads[4];
    struct job jobs[4];
    write_set(&s, path, false, NULL);
    assert_int_equal(sg_image_open(path, &tier), SAGGAR_OK);
    for (unsigned i = 0; i < 4; i++) {
        jobs[i] = (struct job){tier, &s, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, find_all, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].good, 1500);
    }
    tier->ops->close(tier);
    free_set(&s);
    free(path);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),         cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_every_byte_flipped), cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_lying_headers),      cmocka_unit_test(test_forged),
        cmocka_unit_test(test_damaged_block),      cmocka_unit_test(test_variants),
        cmocka_unit_test(test_no_images),          cmocka_unit_test(test_write_fails),
        cmocka_unit_test(test_no_system_calls),    cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
