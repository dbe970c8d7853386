/* saggar check: every digest of stores and images. Nothing is changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/tiers.h"
#include "image/image.h"
#include "store/store.h"

static const char *store;
static bool json;

static const struct cli_option options[] = {
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "one object: what was checked, and a list of findings"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "every digest agrees"},
    {1, "something is damaged, or needs a newer Saggar; each finding is one line"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct checking {
    const char *path;
    uint64_t entries, bytes, findings;
    struct progress progress;
    struct sg_json json;
};

static void report(struct checking *c, const char *where, int error, const uint8_t *key, const char *what) {
    char hex[65] = "";
    if (error == SAGGAR_EVERSION || error == SAGGAR_EUNKNOWN) /* no damage */
        what = "a newer Saggar is needed";
    if (key != NULL)
        sg_hex(hex, key, 32);
    c->findings++;
    progress_clear(&c->progress);
    if (json) {
        sg_json_object(&c->json);
        sg_json_key(&c->json, "path");
        sg_json_str(&c->json, where);
        sg_json_key(&c->json, "key");
        sg_json_str(&c->json, key != NULL ? hex : NULL);
        sg_json_key(&c->json, "error");
        sg_json_str(&c->json, saggar_errname(error));
        sg_json_key(&c->json, "text");
        sg_json_str(&c->json, what);
        sg_json_object_end(&c->json);
        return;
    }
    out_put(stdout, where);
    if (key != NULL)
        printf(": entry %.12s", hex);
    fputs(": ", stdout);
    out_put(stdout, what);
    if (strcmp(what, saggar_strerror(error)) != 0)
        printf(" (%s)", saggar_strerror(error));
    putchar('\n');
}

static int on_image(void *context, int error, uint64_t row, const uint8_t *key, const char *what) {
    struct checking *c = context;
    report(c, c->path, error, row == SG_IMAGE_WHOLE ? NULL : key, what);
    return 0;
}

static int on_store(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *name) {
    struct checking *c = context;
    (void)annex;
    (void)annex_size;
    c->entries++;
    progress_count(&c->progress, "entries checked", c->entries, 0);
    if (error == SAGGAR_OK) {
        c->bytes += view->size;
        error = sg_entry_check(view);
        if (error != SAGGAR_OK)
            report(c, name, error, view->key, saggar_strerror(error));
    } else {
        report(c, name, error, NULL,
               error == SAGGAR_EUNTRUSTED || error == SAGGAR_EINVAL ? cli_trouble(error)
                                                                    : saggar_strerror(error));
    }
    return 0;
}

/* A file of a store, by itself. */
static int check_entry(struct checking *c) {
    struct sg_entry_view view;
    unsigned char *data;
    size_t size;
    uint8_t key[SAGGAR_KEY_SIZE];
    unsigned slot;
    char *real = realpath(c->path, NULL); /* links are followed */
    const char *path = real != NULL ? real : c->path, *slash = strrchr(path, '/');
    bool named = sg_store_name_parse(slash != NULL ? slash + 1 : path, key, &slot);
    int err = sg_read_all_at(AT_FDCWD, path, (size_t)9 << 30, &data, &size, NULL);
    free(real);
    if (err != SAGGAR_OK)
        return cli_fail("%s: %s", c->path, saggar_strerror(err));
    err = sg_entry_open(data, size, named ? key : NULL, &view);
    on_store(c, err, err == SAGGAR_OK ? &view : NULL, NULL, 0, c->path);
    free(data);
    return 0;
}

/* An image is checked whoever owns it: nothing of it is used. */
static int check_image(struct checking *c) {
    struct sg_image_info info = {0};
    if (access(c->path, R_OK) != 0)
        return cli_fail("%s: %s", c->path, strerror(errno));
    int err = sg_image_check(c->path, on_image, c, &info);
    c->entries += info.entries;
    c->bytes += info.size;
    if (err != SAGGAR_OK && c->findings == 0)
        report(c, c->path, err, NULL, saggar_strerror(err));
    return 0;
}

static int check_named(struct checking *c, const char *path) {
    struct stat st;
    struct cli_source source;
    c->path = path;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return cli_is_entry(path) ? check_entry(c) : check_image(c);
    int status = cli_source_open(path, &source);
    if (status != 0)
        return status;
    source.tier->ops->each(source.tier, on_store, c);
    cli_source_close(&source);
    return 0;
}

static int check_all(struct checking *c, const struct cli_args *args) {
    struct sg_settings settings = {0};
    struct sg_stack stack = {0};
    int status = 0;
    for (size_t i = 0; i < args->n && status == 0; i++)
        status = check_named(c, args->names[i]);
    if (args->n > 0)
        return status;
    status = cli_stack(store, NULL, &settings, &stack);
    for (unsigned i = 0; status == 0 && i < stack.n; i++) {
        const struct sg_slot *slot = &stack.slots[i];
        const char *path = slot->tier != NULL ? slot->tier->path : slot->path;
        bool image = strcmp(slot->kind, "image") == 0;
        if (image || access(path, F_OK) == 0) /* one that is off may be damaged */
            status = check_named(c, path);
        else if (slot->tier == NULL || !slot->tier->active)
            cli_note_off(slot);
    }
    if (status == 0 || stack.slots != NULL) {
        sg_stack_close(&stack);
        sg_settings_free(&settings);
    }
    return status;
}

static int run(const struct cli_args *args) {
    struct checking c = {0};
    char size[OUT_UNIT];
    struct out_held held;
    progress_begin(&c.progress);
    out_hold(&held);
    sg_json_file(&c.json, held.file, 2);
    sg_json_object(&c.json);
    sg_json_key(&c.json, "findings");
    sg_json_array(&c.json);
    int status = check_all(&c, args);
    progress_clear(&c.progress);
    sg_json_array_end(&c.json);
    sg_json_key(&c.json, "entries");
    sg_json_uint(&c.json, c.entries);
    sg_json_key(&c.json, "bytes");
    sg_json_uint(&c.json, c.bytes);
    sg_json_object_end(&c.json);
    out_json_end(&c.json);
    out_release(&held, json && status == 0);
    if (status == 0 && !json) {
        char *count = out_count(c.entries, "entry", "entries");
        char *findings = c.findings == 0 ? out_strdup("every digest agrees")
                                         : out_count(c.findings, "finding", "findings");
        printf("%s, %s: %s\n", count, out_size(size, c.bytes), findings);
        free(count);
        free(findings);
    }
    if (status != 0)
        return out_finish(status);
    return out_finish(c.findings > 0 ? SG_EXIT_FOUND : 0);
}

const struct cli_command cli_check = {
    .name = "check",
    .usage = "[OPTIONS] [IMAGE|STORE|ENTRY]...",
    .summary = "verify every digest of stores and images",
    .about =
        "Reads everything and verifies every digest, length, order and padding. Prints one line for each "
        "finding. Nothing is changed: a damaged entry is passed over when it is met, and the next publish "
        "replaces it. Without a path: every tier of the environment. A single file of a store is checked "
        "too.",
    .example = "saggar check model.saggar",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .run = run,
};
