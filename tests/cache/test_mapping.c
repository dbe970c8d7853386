/* Mappings: what a key gives, what is written once, and what many processes see. */
#include <sys/mman.h>

#include <fcntl.h>

#include "base/file.h"
#include "entry/entry.h"
#include "make.h"

static saggar_mapping *open_mapping(const char *images, const char *where, const char *name) {
    saggar_mapping *m;
    saggar_cache *cache = open_cache(images, where);
    must(saggar_mapping_new(cache, name, &m));
    saggar_cache_close(cache); /* the mapping holds it */
    return m;
}

static int put(saggar_mapping *m, const char *key, const char *value) {
    return saggar_mapping_put(m, key, strlen(key), value, strlen(value));
}

static bool has(saggar_mapping *m, const char *key, const char *value) {
    saggar_view view;
    if (saggar_mapping_get(m, key, strlen(key), &view) != SAGGAR_OK)
        return false;
    bool same = view.size == strlen(value) && memcmp(view.data, value, view.size) == 0;
    saggar_view_release(&view);
    return same;
}

static bool lacks(saggar_mapping *m, const char *key) {
    saggar_view view;
    return saggar_mapping_get(m, key, strlen(key), &view) == SAGGAR_ENOTFOUND &&
           !saggar_mapping_contains(m, key, strlen(key));
}

static uint64_t length(saggar_mapping *m) {
    uint64_t n = 99;
    must(saggar_mapping_length(m, &n));
    return n;
}

static void test_made_without_a_trace(void **state) {
    (void)state;
    struct stat st;
    saggar_mapping *m = open_mapping("", store, "a");
    assert_true(lacks(m, "key"));
    assert_int_equal(length(m), 0);
    assert_int_equal(saggar_mapping_delete(m, "key", 3), SAGGAR_ENOTFOUND);
    assert_int_equal(stat(store, &st), -1);
    saggar_mapping_free(m);
}

static void test_put_and_get(void **state) {
    (void)state;
    saggar_mapping *m = open_mapping("", store, "a"), *other = open_mapping("", store, "b");
    saggar_view view;
    must(put(m, "key", "value"));
    must(put(m, "key", "value"));
    assert_true(has(m, "key", "value"));
    assert_int_equal(put(m, "key", "other"), SAGGAR_EEXISTS);
    assert_true(has(m, "key", "value"));
    assert_true(lacks(other, "key") && lacks(m, "ke") && lacks(m, "keyy") && lacks(m, ""));
    must(saggar_mapping_put(m, "", 0, NULL, 0)); /* both may be empty, and hold any byte */
    must(saggar_mapping_get(m, NULL, 0, &view));
    assert_int_equal(view.size, 0);
    saggar_view_release(&view);
    must(saggar_mapping_put(m, "a\0b", 3, "x\0y", 3));
    assert_true(lacks(m, "a"));
    assert_int_equal(length(m), 3);
    assert_int_equal(length(other), 0);
    must(saggar_mapping_delete(m, "key", 3));
    assert_true(lacks(m, "key"));
    assert_int_equal(saggar_mapping_delete(m, "key", 3), SAGGAR_ENOTFOUND);
    must(put(m, "key", "other"));
    assert_true(has(m, "key", "other"));
    saggar_mapping_free(m);
    saggar_mapping_free(other);
}

static int gather(void *context, const void *key, size_t size) {
    char *text = context;
    assert_true(size < 20);
    strcat(text, "<");
    strncat(text, key, size);
    strcat(text, ">");
    return 0;
}

static int stop(void *context, const void *key, size_t size) {
    (void)key;
    (void)size;
    return ++*(int *)context == 2 ? 5 : 0;
}

static void test_each(void **state) {
    (void)state;
    char text[200] = "";
    saggar_cache *cache = open_cache("", store);
    must(publish(cache, 1, "an entry of somebody else"));
    saggar_cache_close(cache);
    saggar_mapping *m = open_mapping("", store, "a");
    must(put(m, "one", "1"));
    must(put(m, "two", "2"));
    must(put(m, "three", "3"));
    must(saggar_mapping_each(m, gather, text));
    assert_int_equal(strlen(text), 3 + 3 + 5 + 6);
    assert_non_null(strstr(text, "<one>"));
    assert_non_null(strstr(text, "<two>"));
    assert_non_null(strstr(text, "<three>"));
    int seen = 0;
    assert_int_equal(saggar_mapping_each(m, stop, &seen), 5);
    assert_int_equal(seen, 2);
    saggar_mapping_free(m);
}

/* A key in an image is read, counted once, and not to be taken away. */
static void test_image(void **state) {
    (void)state;
    saggar_mapping *m = open_mapping("", store, "a");
    uint8_t key[32];
    char name[128], hex[65];
    unsigned char *bytes;
    size_t size;
    struct sg_entry_view view;
    saggar_image_writer *w;
    must(put(m, "key", "value"));
    must(saggar_mapping_key(m, "key", 3, key));
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    snprintf(name, sizeof name, "store/v1/%.2s/%s.0", hex, hex);
    must(sg_read_all_at(AT_FDCWD, path_in(name), 1 << 20, &bytes, &size, NULL));
    must(sg_entry_open(bytes, size, NULL, &view));
    must(saggar_image_writer_new(&w));
    must(saggar_image_writer_add(w, bytes, (size_t)view.size));
    must(saggar_image_writer_write(w, path_in("image"), NULL));
    saggar_image_writer_free(w);
    free(bytes);
    saggar_mapping *both = open_mapping(path_in("image"), store, "a");
    assert_true(has(both, "key", "value"));
    assert_int_equal(length(both), 1);
    char text[200] = "";
    must(saggar_mapping_each(both, gather, text));
    assert_string_equal(text, "<key>");
    assert_int_equal(put(both, "key", "other"), SAGGAR_EEXISTS);
    assert_int_equal(saggar_mapping_delete(both, "key", 3), SAGGAR_EREADONLY);
    assert_true(has(both, "key", "value") && lacks(m, "key"));
    saggar_mapping_free(both);
    saggar_mapping_free(m);
}

static void test_damage_is_a_miss(void **state) {
    (void)state;
    saggar_mapping *m = open_mapping("", store, "a");
    uint8_t key[32];
    char name[128], hex[65];
    struct stat st;
    must(put(m, "key", "value"));
    must(saggar_mapping_key(m, "key", 3, key));
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    snprintf(name, sizeof name, "store/v1/%.2s/%s.0", hex, hex);
    assert_int_equal(stat(path_in(name), &st), 0);
    for (long at = 0; at < (long)st.st_size; at += 3) {
        saggar_view view;
        flip_byte(path_in(name), at);
        saggar_mapping *fresh = open_mapping("", store, "a");
        int err = saggar_mapping_get(fresh, "key", 3, &view);
        if (err == SAGGAR_OK) { /* the annex, or padding that decides nothing */
            assert_memory_equal(view.data, "value", 5);
            saggar_view_release(&view);
        } else {
            assert_int_equal(err, SAGGAR_ENOTFOUND);
        }
        must(put(fresh, "key", "value"));
        assert_true(has(fresh, "key", "value"));
        saggar_mapping_free(fresh);
        if (stat(path_in(name), &st) == 0)
            unlink(path_in(name));
        must(put(m, "key", "value"));
        assert_int_equal(stat(path_in(name), &st), 0);
    }
    saggar_mapping_free(m);
}

static void test_arguments(void **state) {
    (void)state;
    saggar_cache *cache = open_cache("", "");
    saggar_mapping *m;
    assert_int_equal(saggar_mapping_new(cache, "\xff", &m), SAGGAR_EINVAL);
    assert_int_equal(saggar_mapping_new(NULL, "a", &m), SAGGAR_EINVAL);
    must(saggar_mapping_new(cache, "", &m));
    assert_int_not_equal(put(m, "key", "value"), SAGGAR_OK); /* no store */
    assert_int_equal(saggar_mapping_put(m, NULL, 3, "x", 1), SAGGAR_EINVAL);
    assert_int_equal(saggar_mapping_get(m, "key", (size_t)1 << 30, NULL), SAGGAR_EINVAL);
    uint8_t key[32];
    assert_int_equal(saggar_mapping_key(m, "key", (size_t)1 << 30, key), SAGGAR_ELIMIT);
    saggar_mapping_free(m);
    saggar_cache_close(cache);
}

/* ---- Many processes ---- */

enum { PROCESSES = 16, KEYS = 40 };
static struct { int go, won[KEYS], wrong; } * shared;

/* Each wants to put its own value under every key: one of them is first, and all see that one. */
static int rival(void *arg) {
    char key[16], mine[16], first[64];
    saggar_mapping *m = open_mapping("", store, "a");
    saggar_view view;
    while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) == 0)
        usleep(500);
    for (int k = 0; k < KEYS; k++) {
        snprintf(key, sizeof key, "key %d", k);
        snprintf(mine, sizeof mine, "value %d", (int)(intptr_t)arg);
        int err = put(m, key, mine);
        if (err == SAGGAR_OK)
            __atomic_fetch_add(&shared->won[k], 1, __ATOMIC_SEQ_CST);
        if (err != SAGGAR_OK && err != SAGGAR_EEXISTS)
            __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST);
        must(saggar_mapping_get(m, key, strlen(key), &view));
        snprintf(first, sizeof first, "%.*s", (int)view.size, (const char *)view.data);
        saggar_view_release(&view);
        if ((err == SAGGAR_OK) != (strcmp(first, mine) == 0))
            __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST);
    }
    saggar_mapping_free(m);
    return 0;
}

static void test_written_once(void **state) {
    (void)state;
    pid_t pids[PROCESSES];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = child_start(rival, (void *)(intptr_t)i);
    shared->go = 1;
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(child_wait(pids[i]), 0);
    assert_int_equal(shared->wrong, 0);
    for (int k = 0; k < KEYS; k++)
        assert_int_equal(shared->won[k], 1);
    munmap(shared, sizeof *shared);
}

/* Another holds the claim, is slower than the wait, and writes meanwhile: its value is the one. */
static int put_late(void *arg) {
    (void)arg;
    saggar_mapping *m = open_mapping("", store, "a");
    int err = put(m, "key", "late");
    saggar_mapping_free(m);
    return err == SAGGAR_EEXISTS ? 0 : 1;
}

static void test_written_while_waiting(void **state) {
    (void)state;
    uint8_t key[32];
    saggar_claim *claim;
    saggar_claim_outcome outcome;
    saggar_cache *cache = open_cache("", store);
    saggar_mapping *m;
    must(saggar_mapping_new(cache, "a", &m));
    must(saggar_mapping_key(m, "key", 3, key));
    must(saggar_cache_claim(cache, key, 0, &claim, &outcome));
    assert_int_equal(outcome, SAGGAR_CLAIM_OWNED);
    setenv("SAGGAR_WAIT", "1", 1);
    pid_t pid = child_start(put_late, NULL);
    unsetenv("SAGGAR_WAIT");
    usleep(300000);
    must(put(m, "key", "early"));
    assert_int_equal(child_wait(pid), 0);
    assert_true(has(m, "key", "early"));
    saggar_claim_release(claim);
    saggar_mapping_free(m);
    saggar_cache_close(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        MAKE_CASE(test_made_without_a_trace),
        MAKE_CASE(test_put_and_get),
        MAKE_CASE(test_each),
        MAKE_CASE(test_image),
        MAKE_CASE(test_arguments),
        MAKE_CASE(test_damage_is_a_miss),
        MAKE_CASE(test_written_once),
        MAKE_CASE(test_written_while_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
