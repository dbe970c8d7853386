/*
 * The n-th call fails, for every n: memory, descriptors, disk, locks. One hit in a store and in an image, one
 * publish into a new store and onto a damaged entry, one image written over another, one collection, one
 * trail.
 *
 * After each single fault: the program got the right bytes or a miss with a reason, nothing that was stored
 * before is lost, what was acknowledged is there, no descriptor and no unfinished file is left, and the next
 * publish works. The linker's --wrap sees the library's own calls only; the sanitizer adds leaks and
 * overruns.
 */
#include "image/image.h"
#include "nth.h"
#include "store/store.h"

/* ---- What is done while one of them fails ---- */

#define OLD "published before"
#define NEW "published meanwhile"

static char image[300];

static void prepare_nothing(void) {
}

static void prepare_entry(void) {
    saggar_cache *cache = open_cache("", store);
    must(publish(cache, 1, OLD));
    saggar_cache_close(cache);
}

static void prepare_damaged(void) {
    prepare_entry();
    flip_byte(store_file(1, 0), 70);
}

static void prepare_image(void) {
    make_image_of(image, 1, OLD);
}

static void prepare_litter(void) {
    prepare_entry();
    saggar_cache *cache = open_cache("", store);
    must(publish(cache, 2, OLD));
    saggar_cache_close(cache);
    char *name = path_in("store/v1/.tmp-old");
    int fd = __real_open64(name, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    __real_close(fd);
}

static int open_here(const char *images, const char *where, saggar_cache **out) {
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.images = images;
    options.store = where;
    return saggar_cache_open(&options, out);
}

/* The right bytes (OK), or a miss with its reason. Never other bytes. */
static int look(saggar_cache *cache, const uint8_t key[32]) {
    saggar_entry *entry;
    saggar_reason reason;
    saggar_view view;
    char detail[SAGGAR_DETAIL_SIZE];
    int err = saggar_cache_find(cache, key, NULL, &entry, &reason, detail);
    if (err != SAGGAR_OK)
        return err;
    if (entry == NULL) {
        assert_int_not_equal(reason, SAGGAR_REASON_NONE);
        return SAGGAR_ENOTFOUND;
    }
    err = saggar_entry_part(entry, "object", &view);
    if (err == SAGGAR_OK) {
        assert_int_equal(view.size, sizeof OLD - 1);
        assert_memory_equal(view.data, OLD, view.size);
        saggar_view_release(&view);
    }
    saggar_entry_release(entry);
    return err;
}

static uint8_t key_one[32];

static int hit(const char *images, const char *where) {
    saggar_cache *cache;
    int err = open_here(images, where, &cache);
    if (err != SAGGAR_OK)
        return err;
    err = look(cache, key_one);
    saggar_cache_close(cache);
    return err;
}

static int act_hit_store(void) {
    return hit("", store);
}

static int act_hit_image(void) {
    return hit(image, "");
}

static saggar_draft *draft; /* made before the fault: building one is tests/entry's */

static int act_publish(void) {
    saggar_cache *cache;
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    int err = open_here("", store, &cache);
    if (err != SAGGAR_OK)
        return err;
    bool claimed = saggar_cache_claim(cache, key_one, 50, &claim, &outcome) == SAGGAR_OK;
    err = saggar_cache_publish(cache, draft, NULL);
    if (claimed)
        saggar_claim_release(claim);
    saggar_cache_close(cache);
    return err;
}

static uint8_t *core;
static size_t core_size;

static int act_write_image(void) {
    saggar_image_writer *w;
    int err = saggar_image_writer_new(&w);
    if (err != SAGGAR_OK)
        return err;
    err = saggar_image_writer_add(w, core, core_size);
    if (err == SAGGAR_OK)
        err = saggar_image_writer_write(w, image, NULL);
    saggar_image_writer_free(w);
    return err;
}

static int act_gc(void) {
    struct sg_gc_options options = {
        .max_bytes = SG_GC_UNBOUNDED, .max_age = SG_GC_UNBOUNDED, .litter_age = 0};
    struct sg_gc_stats stats;
    return sg_store_gc(store, &options, &stats);
}

static int act_trail(void) {
    static const char blob[1000] = "recipe";
    saggar_trail_event e = {.event = SAGGAR_EVENT_MISS,
                            .reason = SAGGAR_REASON_ABSENT,
                            .group = "cc:m:f",
                            .key = key_one,
                            .blob = blob,
                            .blob_size = sizeof blob};
    for (int i = 0; i < 3; i++)
        saggar_trail_record(&e);
    saggar_trail_close();
    return SAGGAR_OK;
}

/* ---- What must hold afterwards ---- */

static unsigned litter(const char *path) {
    unsigned n = 0;
    DIR *d = __real_opendir(path);
    for (struct dirent *e; d != NULL && (e = __real_readdir64(d)) != NULL;) {
        char below[600];
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        n += strncmp(e->d_name, ".tmp-", 5) == 0;
        n += e->d_type == DT_DIR && e->d_name[0] != '.' ? litter(below) : 0;
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static bool unlinking(void) {
    return strcmp(failed, "unlinkat") == 0;
}

static void judge_hit(int result) {
    (void)result;
    assert_int_equal(hit(access(image, F_OK) == 0 ? image : "", store), SAGGAR_OK); /* nothing is lost */
}

static void judge_publish(int result) {
    if (result == SAGGAR_OK)
        assert_int_equal(hit("", store), SAGGAR_OK); /* what was acknowledged is there */
    if (strcmp(failed, "fdatasync") == 0 && (with == EIO || with == ENOSPC))
        assert_int_not_equal(result, SAGGAR_OK); /* nothing is acknowledged that may not be on the disk */
    if (!unlinking())
        assert_int_equal(litter(dir), 0);
    assert_int_equal(act_publish(), SAGGAR_OK); /* and the next one works */
    assert_int_equal(hit("", store), SAGGAR_OK);
}

static void judge_image(int result) {
    assert_int_equal(sg_image_check(image, NULL, NULL, NULL), SAGGAR_OK);
    saggar_cache *cache = open_cache(image, "");
    char text[64];
    bool old = look_up(cache, 1, NULL, text, NULL) == SAGGAR_REASON_NONE;
    bool new = look_up(cache, 2, NULL, text, NULL) == SAGGAR_REASON_NONE;
    assert_true(old != new && (result != SAGGAR_OK || new));
    saggar_cache_close(cache);
    if (!unlinking())
        assert_int_equal(litter(dir), 0);
}

static void judge_gc(int result) {
    (void)result;
    saggar_cache *cache = open_cache("", store);
    assert_hit(cache, 1, OLD);
    assert_hit(cache, 2, OLD);
    saggar_cache_close(cache);
}

/* ---- The loop ---- */

struct scene {
    const char *name;
    void (*prepare)(void);
    int (*act)(void);
    void (*judge)(int result);
    unsigned errors; /* of the list in each_call() */
    unsigned least;  /* calls that it makes at least, so that a wrapper that sees nothing is noticed */
};

static char now[100];

static int tear_down(void **state) {
    if (now[0] != '\0')
        print_message("%s (%s)\n", now, failed != NULL ? failed : "none left");
    now[0] = '\0';
    left = -1;
    return make_dir_teardown(state);
}

static void once(const struct scene *s, long n, int error) {
    remove_tree(dir);
    assert_int_equal(__real_mkdir(dir, 0700), 0);
    s->prepare();
    failed = NULL;
    with = error;
    left = n;
    int result = s->act();
    left = -1;
    if (failed == NULL)
        assert_int_equal(result, SAGGAR_OK);
    else
        s->judge(result);
}

static void each_call(const struct scene *s) {
    static const int errors[] = {ENOMEM, EIO, ENOENT, EACCES, EINTR, ENOSPC, EMFILE, EROFS};
    long n = 0;
    once(s, 1000000, EIO); /* what is kept for the life of the process is there now */
    unsigned open = descriptors();
    for (size_t i = 0; i < s->errors; i++) {
        for (n = 0; n == 0 || failed != NULL; n++) {
            snprintf(now, sizeof now, "%s: call %ld fails with %s", s->name, n, strerrorname_np(errors[i]));
            once(s, n, errors[i]);
            assert_int_equal(descriptors(), open);
        }
    }
    now[0] = '\0';
    assert_true(n > (long)s->least);
    assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
}

static void run_scene(const struct scene *s) {
    snprintf(image, sizeof image, "%s/a.saggar", dir);
    make_key(1, key_one);
    draft = make_draft(1, OLD);
    saggar_draft *two = make_draft(2, OLD);
    must(saggar_draft_encode(two, &core, &core_size, NULL));
    saggar_draft_free(two);
    each_call(s);
    saggar_draft_free(draft);
    free(core);
}

#define SCENE(name, prepare, act, judge, errors, least)                                                      \
    static void test_##name(void **state) {                                                                  \
        static const struct scene s = {#name, prepare, act, judge, errors, least};                           \
        (void)state;                                                                                         \
        run_scene(&s);                                                                                       \
    }

SCENE(hit_store, prepare_entry, act_hit_store, judge_hit, 8, 10)
SCENE(hit_image, prepare_image, act_hit_image, judge_hit, 8, 8)
SCENE(publish_new, prepare_nothing, act_publish, judge_publish, 8, 25)
SCENE(publish_damaged, prepare_damaged, act_publish, judge_publish, 8, 25)
SCENE(write_image, prepare_image, act_write_image, judge_image, 8, 8)
SCENE(gc, prepare_litter, act_gc, judge_gc, 2, 10)

/* The trail is one for each process, so each fault has a process of its own. */
struct trail_fault {
    long n;
    int error;
};

static int trail_child(void *context) {
    const struct trail_fault *f = context;
    with = f->error;
    left = f->n;
    act_trail();
    return failed == NULL ? 3 : 0;
}

static void trail_faults(bool directory) {
    static const int errors[] = {ENOSPC, EINTR};
    if (directory)
        setenv("SAGGAR_TRAIL", dir, 1);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct trail_fault f = {0, errors[i]};
        int result;
        while ((result = child_run(trail_child, &f)) == 0)
            f.n++;
        assert_int_equal(result, 3); /* ended well, and no call was left to fail */
        assert_true(f.n > 4);
    }
    unsetenv("SAGGAR_TRAIL");
}

static void test_trail(void **state) {
    (void)state;
    trail_faults(true);
}

static void test_log(void **state) {
    (void)state;
    trail_faults(false);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_dir_setup, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_hit_store),   CASE(test_hit_image), CASE(test_publish_new), CASE(test_publish_damaged),
        CASE(test_write_image), CASE(test_gc),        CASE(test_trail),       CASE(test_log),
    };
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* thousands of stores are made */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
