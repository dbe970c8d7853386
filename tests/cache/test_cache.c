/* Finding, publishing, handles, repair. */
#include <pthread.h>
#include <sys/mount.h>

#include "make.h"

static void test_store(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    assert_miss(cache, 1, SAGGAR_REASON_ABSENT);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK); /* an equal one is there */
    assert_hit(cache, 1, "one");
    assert_miss(cache, 2, SAGGAR_REASON_ABSENT);
    saggar_cache_close(cache);
    cache = open_cache("", store);
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
}

static void test_image_first(void **state) {
    (void)state;
    char images[900], *a = path_in("a.saggar"), *b = path_in("b.saggar");
    make_image_of(a, 1, "from a");
    saggar_draft *drafts[2] = {make_draft(1, "from b"), make_draft(2, "two from b")};
    make_image(b, drafts, 2);
    snprintf(images, sizeof images, "%s:%s", a, b);
    saggar_cache *cache = open_cache(images, store);
    assert_int_equal(publish(cache, 2, "two from store"), SAGGAR_OK);
    assert_int_equal(publish(cache, 3, "three"), SAGGAR_OK);
    assert_hit(cache, 1, "from a");
    assert_hit(cache, 2, "two from b");
    assert_hit(cache, 3, "three");
    assert_miss(cache, 4, SAGGAR_REASON_ABSENT);
    saggar_cache_close(cache);
}

static void test_entry(void **state) {
    (void)state;
    uint8_t key[32], published[32], identity[32];
    saggar_cache *cache = open_cache("", store);
    saggar_draft *d = make_draft(1, "one");
    saggar_entry *entry;
    saggar_reason reason;
    saggar_view view, recipe;
    must(saggar_draft_part(d, "empty", "", 0));
    must(saggar_cache_publish(cache, d, published));
    saggar_draft_free(d);
    make_key(1, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    assert_string_equal(saggar_entry_tier(entry), store);
    saggar_entry_identity(entry, identity);
    assert_memory_equal(identity, published, 32);
    assert_int_equal(saggar_entry_part(entry, "none", &view), SAGGAR_ENOTFOUND);
    must(saggar_entry_part(entry, "empty", &view));
    assert_int_equal(view.size, 0);
    saggar_view_release(&view);
    saggar_view_release(&view); /* released once, whatever the caller does */
    must(saggar_entry_part(entry, "object", &view));
    must(saggar_entry_recipe(entry, &recipe));
    saggar_cache_close(cache); /* what is held stays */
    saggar_entry_release(entry);
    assert_memory_equal(view.data, "one", 3);
    saggar_view_release(&view);
    uint32_t n;
    must(saggar_recipe_count(recipe.data, recipe.size, &n));
    assert_int_equal(n, 4);
    saggar_view_release(&recipe);
}

/* More entries than the pool holds, released in another order. */
static void test_many_entries(void **state) {
    (void)state;
    enum { N = 200 };
    saggar_entry *entries[N];
    uint8_t key[32];
    saggar_reason reason;
    make_image_of(path_in("a.saggar"), 1, "one");
    saggar_cache *cache = open_cache(path_in("a.saggar"), "");
    make_key(1, key);
    for (int i = 0; i < N; i++)
        must(saggar_cache_find(cache, key, NULL, &entries[i], &reason, NULL));
    for (int i = 0; i < N; i++) {
        saggar_view view;
        must(saggar_entry_part(entries[(i * 7) % N], "object", &view));
        saggar_view_release(&view);
        saggar_entry_release(entries[(i * 7) % N]);
    }
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
}

static int quiet_hit(void *arg) {
    uint8_t key[32], absent[32];
    saggar_entry *entry;
    saggar_reason reason;
    saggar_view view;
    make_key(1, key);
    make_key(9, absent);
    if (!child_forbid_syscalls())
        return 77;
    for (int i = 0; i < 100; i++) {
        if (saggar_cache_find(arg, key, NULL, &entry, &reason, NULL) != SAGGAR_OK || entry == NULL)
            return 1;
        if (saggar_entry_part(entry, "object", &view) != SAGGAR_OK || view.size != 3)
            return 2;
        saggar_view_release(&view);
        saggar_entry_release(entry);
    }
    return 0;
}

static int quiet_miss(void *arg) {
    uint8_t absent[32];
    saggar_entry *entry;
    saggar_reason reason;
    make_key(9, absent);
    if (!child_forbid_syscalls())
        return 77;
    if (saggar_cache_find(arg, absent, NULL, &entry, &reason, NULL) != SAGGAR_OK || entry != NULL)
        return 1;
    return 0;
}

/* A hit in an image, the first one too, makes no system call; nor does a miss where there is no store. */
static void test_no_system_calls(void **state) {
    (void)state;
    make_image_of(path_in("a.saggar"), 1, "one");
    saggar_cache *cache = open_cache(path_in("a.saggar"), store);
    int result = child_run(quiet_hit, cache);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
    assert_int_not_equal(child_run(quiet_miss, cache), 0); /* the store is asked: the check can fail */
    saggar_cache_close(cache);
    cache = open_cache(path_in("a.saggar"), "");
    assert_int_equal(child_run(quiet_miss, cache), 0);
    saggar_cache_close(cache);
}

/* ---- Damage ---- */

static void test_fallthrough(void **state) {
    (void)state;
    char *image = path_in("a.saggar"), text[64];
    make_image_of(image, 1, "the object");
    flip_byte(image, find_text(image, "the object"));
    chmod(image, 0444);
    saggar_cache *cache = open_cache(image, store);
    assert_int_equal(look_up(cache, 1, NULL, text, NULL),
                     SAGGAR_REASON_CORRUPT);      /* seen when the part is read */
    assert_miss(cache, 1, SAGGAR_REASON_CORRUPT); /* set aside now */
    assert_int_equal(publish(cache, 1, "the object"), SAGGAR_OK);
    assert_hit(cache, 1, "the object"); /* from the store, although the identity is the same */
    saggar_cache_close(cache);
}

static void test_repair(void **state) {
    (void)state;
    char text[64];
    saggar_cache *cache = open_cache("", store);
    const char *needles[] = {"the object", "function"};
    for (int i = 0; i < 2; i++) {
        struct stat st;
        assert_int_equal(publish(cache, 1, "the object"), SAGGAR_OK);
        assert_hit(cache, 1, "the object");
        char *file = store_file(1, 0);
        flip_byte(file, find_text(file, needles[i]));
        look_up(cache, 1, NULL, text, NULL);
        if (i == 0) {
            assert_int_equal(stat(file, &st), -1); /* gone: the next publish fills the hole */
            assert_miss(cache, 1, SAGGAR_REASON_ABSENT);
        }
        assert_int_equal(publish(cache, 1, "the object"), SAGGAR_OK);
        assert_hit(cache, 1, "the object");
    }
    saggar_cache_close(cache);
}

/* Every byte of a store file: never other bytes than were published, and the next publish repairs. */
static void test_every_byte(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    assert_int_equal(publish(cache, 1, "the object"), SAGGAR_OK);
    struct stat st;
    assert_int_equal(stat(store_file(1, 0), &st), 0);
    for (long at = 0; at < st.st_size; at += 3) {
        char text[64];
        flip_byte(store_file(1, 0), at);
        if (look_up(cache, 1, NULL, text, NULL) == SAGGAR_REASON_NONE)
            assert_string_equal(text, "the object"); /* a byte that decides nothing: group, annex */
        assert_int_equal(publish(cache, 1, "the object"), SAGGAR_OK);
        assert_hit(cache, 1, "the object");
        unlink(store_file(1, 0));
        unlink(store_file(1, 1));
        assert_int_equal(publish(cache, 1, "the object"), SAGGAR_OK);
    }
    saggar_cache_close(cache);
}

static void test_reject(void **state) {
    (void)state;
    uint8_t key[32];
    saggar_entry *entry;
    saggar_reason reason;
    saggar_cache *cache = open_cache("", store);
    assert_int_equal(publish(cache, 77, "bad"), SAGGAR_OK);
    make_key(77, key);
    must(saggar_cache_find(cache, key, NULL, &entry, &reason, NULL));
    saggar_entry_reject(entry);
    saggar_entry_reject(entry);
    saggar_entry_release(entry);
    assert_miss(cache, 77, SAGGAR_REASON_LOAD_FAILED);
    assert_int_equal(publish(cache, 77, "good"), SAGGAR_OK); /* another identity under the key */
    assert_hit(cache, 77, "good");
    saggar_cache_close(cache);
}

/* ---- Without a store, or with one that cannot be written ---- */

static void test_no_store(void **state) {
    (void)state;
    make_image_of(path_in("a.saggar"), 1, "one");
    saggar_cache *cache = open_cache(path_in("a.saggar"), "");
    assert_hit(cache, 1, "one");
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_EUNSUPPORTED);
    saggar_cache_close(cache);
    unsetenv("HOME");
    cache = open_cache(path_in("a.saggar"), NULL);
    assert_hit(cache, 1, "one");
    assert_int_not_equal(publish(cache, 2, "two"), SAGGAR_OK);
    saggar_cache_close(cache);
}

static void test_read_only(void **state) {
    (void)state;
    saggar_cache_options options;
    saggar_cache *cache = open_cache("", store);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK);
    saggar_cache_close(cache);
    saggar_cache_options_init(&options);
    options.store = store;
    options.read_only = true;
    must(saggar_cache_open(&options, &cache));
    assert_hit(cache, 1, "one");
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_EREADONLY);
    char *file = store_file(1, 0), text[64];
    flip_byte(file, find_text(file, "object") + 200);
    look_up(cache, 1, NULL, text, NULL);
    struct stat st;
    assert_int_equal(stat(file, &st), 0); /* nothing is removed */
    saggar_cache_close(cache);
}

static int on_read_only_disk(void *arg) {
    (void)arg;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(store, store, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, store, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0)
        return 77;
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    uint8_t key[32];
    char text[64];
    saggar_cache *cache = open_cache("", store);
    if (look_up(cache, 1, NULL, text, NULL) != SAGGAR_REASON_NONE)
        return 1;
    make_key(2, key);
    if (saggar_cache_claim(cache, key, 30000, &claim, &outcome) != SAGGAR_OK || outcome == SAGGAR_CLAIM_FREED)
        return 2;
    if (publish(cache, 2, "two") != SAGGAR_EREADONLY)
        return 3;
    saggar_claim_release(claim);
    saggar_cache_close(cache);
    return 0;
}

static void test_read_only_disk(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", store);
    assert_int_equal(publish(cache, 1, "one"), SAGGAR_OK);
    saggar_cache_close(cache);
    int result = child_run(on_read_only_disk, NULL);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

/* ---- Threads and forks ---- */

/* The allocator of the address sanitizer does not survive a fork while other threads allocate. */
#if defined(__SANITIZE_ADDRESS__)
#define FORK_AMONG_THREADS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORK_AMONG_THREADS 0
#endif
#endif
#ifndef FORK_AMONG_THREADS
#define FORK_AMONG_THREADS 1
#endif

static void *hammer(void *arg) {
    for (int i = 0; i < 500; i++)
        assert_hit(arg, i % 2 + 1, i % 2 == 0 ? "one" : "two");
    return NULL;
}

static int fork_user(void *arg) {
    hammer(arg);
    saggar_cache_close(arg);
    return 0;
}

static void test_threads_and_forks(void **state) {
    (void)state;
    pthread_t t[4];
    make_image_of(path_in("a.saggar"), 1, "one");
    saggar_cache *cache = open_cache(path_in("a.saggar"), store);
    assert_int_equal(publish(cache, 2, "two"), SAGGAR_OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, hammer, cache);
    for (int i = 0; i < 5 && FORK_AMONG_THREADS; i++)
        assert_int_equal(child_run(fork_user, cache), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(child_run(fork_user, cache), 0);
    assert_hit(cache, 1, "one");
    saggar_cache_close(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        MAKE_CASE(test_store),
        MAKE_CASE(test_image_first),
        MAKE_CASE(test_entry),
        MAKE_CASE(test_many_entries),
        MAKE_CASE(test_no_system_calls),
        MAKE_CASE(test_fallthrough),
        MAKE_CASE(test_repair),
        MAKE_CASE(test_every_byte),
        MAKE_CASE(test_reject),
        MAKE_CASE(test_no_store),
        MAKE_CASE(test_read_only),
        MAKE_CASE(test_read_only_disk),
        MAKE_CASE(test_threads_and_forks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
