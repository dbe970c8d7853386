/* Images: what is written is found, in whatever order it was added; nothing else is ever served. */
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/hash.h"
#include "set.h"

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

/* What a killed bake left goes with the next image; what somebody may still write, or what is not ours,
 * stays. */
static void test_litter(void **state) {
    (void)state;
    char *folder = make_folder(), *path = join(folder, "a"), host[9], name[96];
    saggar_image_writer *w;
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    sg_host_tag(host);
    const struct {
        unsigned long pid;
        const char *host;
        time_t age;
        bool stays;
    } left[] = {{(unsigned long)gone, host, 90, false},
                {(unsigned long)gone, host, 0, true},
                {(unsigned long)gone, "00000000", 90, true},
                {(unsigned long)getpid(), host, 90, true}};
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof name, ".tmp-%s-%lx-%x-%x", left[i].host, left[i].pid, i, i);
        char *file = join(folder, name);
        struct timeval times[2] = {{time(NULL) - left[i].age, 0}, {time(NULL) - left[i].age, 0}};
        write_file(file, "x", 1);
        assert_int_equal(utimes(file, times), 0);
        free(file);
    }
    char *other = join(folder, ".tmp-notes");
    write_file(other, "x", 1);
    assert_int_equal(saggar_image_writer_new(&w), SAGGAR_OK);
    assert_int_equal(saggar_image_writer_write(w, path, NULL), SAGGAR_OK);
    saggar_image_writer_free(w);
    assert_int_equal(count_names(folder, ".tmp-"), 4);
    assert_int_equal(count_names(folder, ""), 5);
    free(other);
    free(path);
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
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_variants),        cmocka_unit_test(test_no_images),
        cmocka_unit_test(test_write_fails),     cmocka_unit_test(test_litter),
        cmocka_unit_test(test_no_system_calls), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
