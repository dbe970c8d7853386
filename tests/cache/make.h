/* Making things for the tests of the cache: recipes, entries, images, caches in a temporary directory. */
#ifndef SG_TESTS_CACHE_MAKE_H
#define SG_TESTS_CACHE_MAKE_H

#include <stdio.h>
#include <sys/stat.h>

#include "../base/check.h"
#include "../trail/child.h"
#include "saggar/saggar.h"

static char dir[256], store[300];

static inline int make_dir_setup(void **state) {
    (void)state;
    if (!make_temp(dir) || chmod(dir, 0700) != 0)
        return 1;
    snprintf(store, sizeof store, "%s/store", dir);
    const char *unset[] = {"SAGGAR_MODE",  "SAGGAR_DIR",     "SAGGAR_IMAGE", "SAGGAR_WAIT",   "SAGGAR_TARGET",
                           "SAGGAR_TRAIL", "XDG_CACHE_HOME", "SAGGAR_TRUST", "XDG_STATE_HOME"};
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++)
        unsetenv(unset[i]);
    setenv("HOME", dir, 1);
    setenv("SAGGAR_IMAGE_PATH", "none", 1);
    return 0;
}

static inline int make_dir_teardown(void **state) {
    (void)state;
    remove_tree(dir);
    return 0;
}

#define MAKE_CASE(f) cmocka_unit_test_setup_teardown(f, make_dir_setup, make_dir_teardown)

static inline char *path_in(const char *name) {
    static char paths[8][400];
    static int next;
    char *out = paths[next++ % 8];
    snprintf(out, sizeof paths[0], "%s/%s", dir, name);
    return out;
}

static inline void must(int err) {
    if (err != SAGGAR_OK) {
        fprintf(stderr, "unexpected %s\n", saggar_errname(err));
        abort();
    }
}

static inline void add_field(saggar_recipe *r, saggar_encoder *e, const char *name) {
    const uint8_t *bytes;
    size_t size;
    must(saggar_encoder_bytes(e, &bytes, &size));
    must(saggar_recipe_field(r, name, bytes, size));
    saggar_encoder_reset(e);
}

/* The recipe number n. */
static inline saggar_recipe *make_recipe(int64_t n, uint8_t key[32]) {
    saggar_encoder *e;
    saggar_recipe *r;
    must(saggar_encoder_new(&e));
    must(saggar_recipe_new(&r));
    must(saggar_encode_begin(e, SAGGAR_TUPLE));
    must(saggar_encode_text(e, "test", 4));
    must(saggar_encode_int(e, 1));
    must(saggar_encode_end(e));
    add_field(r, e, "adapter");
    must(saggar_encode_text(e, "cc 1", 4));
    add_field(r, e, "compiler");
    must(saggar_encode_int(e, n));
    add_field(r, e, "source");
    must(saggar_encode_none(e));
    add_field(r, e, "options");
    must(saggar_recipe_finish(r, key, NULL, NULL));
    saggar_encoder_free(e);
    return r;
}

static inline void make_key(int64_t n, uint8_t key[32]) {
    saggar_recipe_free(make_recipe(n, key));
}

/* A draft of recipe n, with a part "object" that holds the text. */
static inline saggar_draft *make_draft(int64_t n, const char *text) {
    uint8_t key[32];
    const uint8_t *bytes;
    size_t size;
    saggar_draft *d;
    saggar_recipe *r = make_recipe(n, key);
    must(saggar_recipe_finish(r, key, &bytes, &size));
    must(saggar_draft_new(bytes, size, &d));
    saggar_recipe_free(r);
    must(saggar_draft_group(d, "cc", "module", "function"));
    must(saggar_draft_part(d, "object", text, strlen(text)));
    return d;
}

static inline int publish_draft(saggar_cache *cache, saggar_draft *d) {
    int err = saggar_cache_publish(cache, d, NULL);
    saggar_draft_free(d);
    return err;
}

static inline int publish(saggar_cache *cache, int64_t n, const char *text) {
    return publish_draft(cache, make_draft(n, text));
}

/* An image of the drafts, which are freed. */
static inline void make_image(const char *path, saggar_draft **drafts, int n) {
    saggar_image_writer *w;
    must(saggar_image_writer_new(&w));
    for (int i = 0; i < n; i++) {
        uint8_t *core;
        size_t size;
        must(saggar_draft_encode(drafts[i], &core, &size, NULL));
        must(saggar_image_writer_add(w, core, size));
        free(core);
        saggar_draft_free(drafts[i]);
    }
    must(saggar_image_writer_write(w, path, NULL));
    saggar_image_writer_free(w);
}

static inline void make_image_of(const char *path, int64_t n, const char *text) {
    saggar_draft *d = make_draft(n, text);
    make_image(path, &d, 1);
}

/* A cache of these images (colon-separated) and this store ("" for none). */
static inline saggar_cache *open_cache(const char *images, const char *store_path) {
    saggar_cache_options options;
    saggar_cache *cache;
    saggar_cache_options_init(&options);
    options.images = images;
    options.store = store_path;
    must(saggar_cache_open(&options, &cache));
    return cache;
}

/* The reason of a miss, or NONE: then the text of the part "object" is in `text` (64 bytes). */
static inline saggar_reason look_up(saggar_cache *cache, int64_t n, const saggar_resolver *resolver,
                                    char *text, char *detail) {
    uint8_t key[32];
    saggar_entry *entry;
    saggar_reason reason;
    saggar_view view;
    char unused[SAGGAR_DETAIL_SIZE];
    make_key(n, key);
    must(saggar_cache_find(cache, key, resolver, &entry, &reason, detail == NULL ? unused : detail));
    text[0] = '\0';
    if (entry == NULL)
        return reason;
    assert_int_equal(reason, SAGGAR_REASON_NONE);
    if (saggar_entry_part(entry, "object", &view) == SAGGAR_OK) {
        assert_true(view.size < 64);
        memcpy(text, view.data, view.size);
        text[view.size] = '\0';
        saggar_view_release(&view);
    } else {
        reason = SAGGAR_REASON_CORRUPT;
    }
    saggar_entry_release(entry);
    return reason;
}

#define assert_hit(cache, n, expected)                                                                       \
    do {                                                                                                     \
        char text_[64];                                                                                      \
        assert_int_equal(look_up(cache, n, NULL, text_, NULL), SAGGAR_REASON_NONE);                          \
        assert_string_equal(text_, expected);                                                                \
    } while (0)

#define assert_miss(cache, n, why)                                                                           \
    do {                                                                                                     \
        char text_[64];                                                                                      \
        assert_int_equal(look_up(cache, n, NULL, text_, NULL), why);                                         \
    } while (0)

/* Changes one byte of a file, whatever its mode. */
static inline void flip_byte(const char *path, long at) {
    chmod(path, 0600);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    fputc(c ^ 0x40, f);
    fclose(f);
}

/* Where the text stands in a file. */
static inline long find_text(const char *path, const char *text) {
    static char bytes[1 << 20];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    const char *p = memmem(bytes, n, text, strlen(text));
    assert_non_null(p);
    return p - bytes;
}

/* The store file of recipe n. */
static inline char *store_file(int64_t n, unsigned slot) {
    uint8_t key[32];
    char name[128], hex[65];
    make_key(n, key);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    snprintf(name, sizeof name, "store/v1/%.2s/%s.%x", hex, hex, slot);
    return path_in(name);
}

#endif
