/* The store: publish, find, each, discard, and everything that may lie in the way. */
#include "../base/check.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "../entries.h"
#include "refuse.h"
#include "store/store.h"

static int publish(struct sg_tier *tier, const struct made *m) {
    struct sg_buf core = {.data = m->core, .len = m->size, .cap = m->size, .max = SIZE_MAX};
    struct sg_buf annex = {.max = SIZE_MAX};
    return tier->ops->publish(tier, m->key, m->identity, &core, &annex);
}

static struct sg_tier *open_store(const char *path) {
    struct sg_tier *tier;
    NEED(sg_store_open(path, false, &tier) == SAGGAR_OK);
    return tier;
}

static char *slot_of(const char *store, const struct made *m, unsigned slot) {
    char name[SG_STORE_NAME], *path;
    sg_store_name(m->key, slot, name);
    NEED(asprintf(&path, "%s/v1/%.2s/%s", store, name, name) > 0);
    return path;
}

static unsigned litter_in(const char *store, const struct made *m) {
    char *slot = slot_of(store, m, 0);
    *strrchr(slot, '/') = '\0';
    unsigned n = count_names(slot, ".tmp-") + count_names(store, ".tmp-");
    free(slot);
    return n;
}

static unsigned found(struct sg_tier *tier, const struct made *m) {
    struct faults f;
    return find_good(tier, m->key, m, 1, &f);
}

struct box {
    char *folder, *store;
    struct sg_tier *tier;
    struct made m;
};

static int set_up(void **state) {
    struct box *b = calloc(1, sizeof *b);
    b->folder = make_folder();
    b->store = join(b->folder, "deep/store");
    b->tier = open_store(b->store);
    b->m = make_entry(1, 0, SAGGAR_ARCH_ANY, 500);
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    struct box *b = *state;
    b->tier->ops->close(b->tier);
    free(b->m.core);
    free(b->store);
    remove_folder(b->folder);
    free(b);
    return 0;
}

static int count_each(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                      size_t annex_size, const char *name) {
    unsigned *n = context;
    assert_true((error == SAGGAR_OK) == (view != NULL) && name[0] == '/');
    assert_true((annex == NULL) == (annex_size == 0));
    n[error != SAGGAR_OK]++;
    n[2] += annex != NULL;
    return 0;
}

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

/* ---- Stores that cannot be used
 * ------------------------------------------------------------------------------------ */

static void expect_off(const char *path, const char *note, int error) {
    struct made m = make_entry(1, 0, SAGGAR_ARCH_ANY, 50);
    struct sg_tier *tier = open_store(path);
    unsigned n[3] = {0};
    assert_false(tier->active);
    if (strstr(tier->note, note) == NULL)
        fail_msg("note: %s", tier->note);
    assert_int_equal(found(tier, &m), 0);
    assert_int_equal(publish(tier, &m), error);
    assert_int_equal(tier->ops->each(tier, count_each, n), 0);
    tier->ops->close(tier);
    free(m.core);
}

static void test_unusable(void **state) {
    struct box *b = *state;
    char *path = join(b->folder, "x"), *inside = join(b->folder, "x/store"), *target = join(b->folder, "y");
    struct sg_tier *tier;
    write_file(path, "a file", 6);
    expect_off(path, "not a directory", SAGGAR_EINVAL);
    expect_off(inside, "", SAGGAR_EINVAL);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
    expect_off(path, "link that leads nowhere", SAGGAR_EINVAL);
    assert_int_equal(mkdir(target, 0700), 0);
    tier = open_store(path); /* a link to something trusted */
    assert_true(tier->active);
    assert_int_equal(publish(tier, &b->m), SAGGAR_OK);
    assert_int_equal(found(tier, &b->m), 1);
    tier->ops->close(tier);
    chmod(target, 0777);
    expect_off(path, "", SAGGAR_EUNTRUSTED);
    expect_off(target, "", SAGGAR_EUNTRUSTED);
    expect_off(inside, "", SAGGAR_EUNTRUSTED); /* nor can one be made there */
    assert_int_equal(count_names(target, "store"), 0);
    chmod(target, 0700);
    chmod(b->folder, 0777);
    expect_off(target, "", SAGGAR_EUNTRUSTED);
    chmod(b->folder, 0700);
    assert_int_equal(sg_store_open(b->store, true, &tier), SAGGAR_OK);
    assert_int_equal(publish(tier, &b->m), SAGGAR_EREADONLY);
    tier->ops->close(tier);
    char *longest = malloc(4090);
    memset(longest, 'a', 4089);
    longest[0] = '/';
    longest[4089] = '\0';
    expect_off(longest, "too long", SAGGAR_ELIMIT);
    free(longest);
    free(path);
    free(inside);
    free(target);
}

static void test_home_gets_no_tag(void **state) {
    struct box *b = *state;
    struct sg_tier *tier = open_store(b->folder);
    char *letter = join(b->folder, "letter"), *tag = join(b->folder, "CACHEDIR.TAG");
    write_file(letter, "x", 1);
    assert_int_equal(publish(tier, &b->m), SAGGAR_OK);
    assert_int_equal(access(tag, F_OK), -1);
    tier->ops->close(tier);
    free(letter);
    free(tag);
}

/* As somebody without root's powers, if we have them. */
static int lock_out(void *context) {
    struct box *b = context;
    if (geteuid() == 0 && (chown(b->folder, 65534, 65534) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        return CHILD_SKIP;
    umask(022);
    struct sg_tier *tier = open_store(b->store);
    NEED(publish(tier, &b->m) == SAGGAR_OK && found(tier, &b->m) == 1);
    char *folder = slot_of(b->store, &b->m, 0);
    *strrchr(folder, '/') = '\0';
    struct faults f;
    chmod(folder, 0500);
    struct made other = make_entry(1, 3, SAGGAR_ARCH_ANY, 50);
    NEED(publish(tier, &other) == SAGGAR_EACCESS);
    NEED(find_good(tier, b->m.key, &b->m, 1, &f) == 1 && f.n == 0);
    chmod(folder, 0);
    NEED(find_good(tier, b->m.key, &b->m, 1, &f) == 0 && f.n == 1 && f.last == SAGGAR_REASON_IO);
    chmod(folder, 0700);
    NEED(publish(tier, &other) == SAGGAR_OK);
    char *first = slot_of(b->store, &b->m, 0);
    chmod(first, 0); /* one file that cannot be read does not hide its neighbour */
    NEED(find_good(tier, b->m.key, &other, 1, &f) == 1 && f.n == 1 && f.last == SAGGAR_REASON_IO);
    chmod(first, 0600);
    tier->ops->close(tier);
    chmod(b->store, 0);
    tier = open_store(b->store);
    NEED(!tier->active && strstr(tier->note, "permission") != NULL);
    NEED(publish(tier, &b->m) == SAGGAR_EACCESS);
    tier->ops->close(tier);
    chmod(b->store, 0700);
    return 0;
}

static void test_no_permission(void **state) {
    struct box *b = *state;
    int result = in_child(lock_out, b);
    if (result == CHILD_SKIP)
        skip();
    assert_int_equal(result, 0);
}

/* ---- Refused calls
 * ------------------------------------------------------------------------------------------------- */

struct refusal {
    struct box *box;
    unsigned link_error, rename_error;
};

static int publish_refused(void *context) {
    struct refusal *r = context;
    struct box *b = r->box;
    struct made two = make_entry(1, 2, SAGGAR_ARCH_ANY, 50), both[2] = {b->m, two};
    struct faults f;
    if (!refuse(SYS_linkat, r->link_error) ||
        (r->rename_error != 0 && !refuse(SYS_renameat2, r->rename_error)))
        return CHILD_SKIP;
    NEED(publish(b->tier, &b->m) == SAGGAR_OK);
    NEED(publish(b->tier, &b->m) == SAGGAR_OK);
    NEED(publish(b->tier, &two) == SAGGAR_OK);
    NEED(find_good(b->tier, b->m.key, both, 2, &f) == 2 && f.n == 0);
    char *second = slot_of(b->store, &two, 1), *third = slot_of(b->store, &two, 2);
    NEED(access(second, F_OK) == 0 && access(third, F_OK) != 0 && litter_in(b->store, &two) == 0);
    return 0;
}

static void test_links_refused(void **state) {
    struct box *b = *state;
    static const unsigned errors[][2] = {
        {EPERM, 0}, {EOPNOTSUPP, EINVAL}, {EXDEV, ENOSYS}, {EMLINK, EPERM}, {ENOSYS, EINVAL}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct refusal r = {b, errors[i][0], errors[i][1]};
        int result = in_child(publish_refused, &r);
        if (result == CHILD_SKIP)
            skip();
        assert_int_equal(result, 0);
        remove_tree(b->store);
    }
}

static int publish_paused(void *context) {
    struct box *b = context;
    if (!refuse(SYS_fdatasync, EIO))
        return CHILD_SKIP;
    struct made two = make_entry(1, 2, SAGGAR_ARCH_ANY, 50);
    NEED(publish(b->tier, &two) == SAGGAR_EIO && litter_in(b->store, &two) == 0);
    struct faults f;
    NEED(find_good(b->tier, b->m.key, &b->m, 1, &f) == 1);
    remove_tree(b->store);
    NEED(publish(b->tier, &two) == SAGGAR_EIO && access(b->store, F_OK) != 0); /* did not even try */
    return 0;
}

static void test_pause(void **state) {
    struct box *b = *state;
    assert_int_equal(publish(b->tier, &b->m), SAGGAR_OK);
    int result = in_child(publish_paused, b);
    if (result == CHILD_SKIP)
        skip();
    assert_int_equal(result, 0);
}

static int publish_limited(void *context) {
    struct box *b = context;
    struct rlimit limit = {200, 200};
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    NEED(publish(b->tier, &b->m) == SAGGAR_ENOSPACE && litter_in(b->store, &b->m) == 0);
    return 0;
}

/* Beyond this limit a write would end the process by a signal. */
static void test_file_size_limit(void **state) {
    assert_int_equal(in_child(publish_limited, *state), 0);
}

/* ---- Real devices
 * -------------------------------------------------------------------------------------------------- */

static int own_mounts(void) {
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int fill_disk(void *context) {
    struct box *b = context;
    struct made small[40], big = make_entry(100, 0, SAGGAR_ARCH_ANY, 300000);
    unsigned stored = 0;
    if (geteuid() != 0 || !own_mounts() || mount("none", b->folder, "tmpfs", 0, "size=256k,mode=0700") != 0)
        return CHILD_SKIP;
    struct sg_tier *tier = open_store(b->store);
    int err = SAGGAR_OK;
    for (unsigned i = 0; i < 40; i++) {
        small[i] = make_entry(i, 0, SAGGAR_ARCH_ANY, 9000);
        if (err == SAGGAR_OK)
            err = publish(tier, &small[i]);
        stored += err == SAGGAR_OK;
    }
    NEED(err == SAGGAR_ENOSPACE && stored > 3 && stored < 30);
    for (unsigned i = 0; i < stored; i++)
        NEED(found(tier, &small[i]) == 1 && litter_in(b->store, &small[i]) == 0);
    for (unsigned i = stored; i < 40; i++)
        NEED(found(tier, &small[i]) == 0 && litter_in(b->store, &small[i]) == 0);
    tier->ops->close(tier);
    struct sg_gc_options options = {.max_bytes = 30000, .max_age = SG_GC_UNBOUNDED};
    struct sg_gc_stats stats;
    NEED(sg_store_gc(b->store, &options, &stats) == SAGGAR_OK);
    NEED(stats.entries == stored && stats.removed_entries > 0);
    tier = open_store(b->store);
    NEED(publish(tier, &big) == SAGGAR_ENOSPACE && litter_in(b->store, &big) == 0);
    tier->ops->close(tier);
    tier = open_store(b->store); /* room again: another tier does not pause */
    NEED(publish(tier, &small[39]) == SAGGAR_OK && found(tier, &small[39]) == 1);
    tier->ops->close(tier);
    return 0;
}

static int read_only_disk(void *context) {
    struct box *b = context;
    struct made two = make_entry(1, 2, SAGGAR_ARCH_ANY, 50), fresh = make_entry(9, 2, SAGGAR_ARCH_ANY, 50);
    if (geteuid() != 0 || !own_mounts() || mount("none", b->folder, "tmpfs", 0, "mode=0700") != 0)
        return CHILD_SKIP;
    struct sg_tier *tier = open_store(b->store);
    NEED(publish(tier, &b->m) == SAGGAR_OK);
    NEED(mount("none", b->folder, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    NEED(publish(tier, &two) == SAGGAR_EREADONLY && publish(tier, &fresh) == SAGGAR_EREADONLY);
    NEED(found(tier, &b->m) == 1 && found(tier, &fresh) == 0);
    tier->ops->close(tier);
    tier = open_store(b->store);
    NEED(tier->active && found(tier, &b->m) == 1 && publish(tier, &fresh) == SAGGAR_EREADONLY);
    tier->ops->close(tier);
    return 0;
}

static void test_full_disk(void **state) {
    int result = in_child(fill_disk, *state);
    if (result == CHILD_SKIP)
        print_message("needs root and mount namespaces\n");
    if (result == CHILD_SKIP)
        skip();
    assert_int_equal(result, 0);
}

static void test_read_only_disk(void **state) {
    int result = in_child(read_only_disk, *state);
    if (result == CHILD_SKIP)
        print_message("needs root and mount namespaces\n");
    if (result == CHILD_SKIP)
        skip();
    assert_int_equal(result, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_publish_and_find), TEST(test_annex),         TEST(test_sixteen_slots),
        TEST(test_damage),           TEST(test_wrong_name),    TEST(test_foreign_files),
        TEST(test_newer_version),    TEST(test_discard),       TEST(test_no_holes),
        TEST(test_removed_in_use),   TEST(test_unusable),      TEST(test_home_gets_no_tag),
        TEST(test_no_permission),    TEST(test_links_refused), TEST(test_pause),
        TEST(test_file_size_limit),  TEST(test_full_disk),     TEST(test_read_only_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
