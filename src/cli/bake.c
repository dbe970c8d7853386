/*
 * saggar bake: entries of stores and images, in one image.
 *
 * What was used decides what goes in: the keys that the trails of warm-ups name as used. Every variant of a
 * used key goes in. The same entries give the same bytes.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/args.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/tiers.h"
#include "cli/used.h"

static struct cli_list trails, provenance, groups;
static const char *store, *output, *prefix, *name = "saggar.saggar";
static bool all, json;

static const struct cli_option options[] = {
    {'a', "all", NULL, CLI_FLAG, &all, "every entry, not only what was used"},
    {'o', "output", "FILE", CLI_TEXT, &output, "write this file (default: saggar.saggar)"},
    {0, "install", "PREFIX", CLI_TEXT, &prefix,
     "write PREFIX/share/saggar/saggar.saggar, where programs below PREFIX find it by themselves"},
    {0, "name", "NAME", CLI_TEXT, &name, "with --install: the file's name, NAME.saggar"},
    {0, "trail", "DIR", CLI_LIST, &trails,
     "what these trails used, instead of the kept ones; may be given more than once"},
    {0, "group", "PATTERN", CLI_LIST, &groups,
     "only functions whose name matches; may be given more than once"},
    {0, "provenance", "NAME=TEXT", CLI_LIST, &provenance,
     "a line of provenance in the image; it changes its bytes"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "one object"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "written"},
    {1, "written without an entry that is damaged, untrusted or made by a newer Saggar; or there was nothing "
        "to write"},
    {2, "wrong usage, no trail, or a tier or file that is untrusted or cannot be read or written"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct baking {
    saggar_image_writer *writer;
    struct cli_keys used, found;
    struct progress progress;
    const char *tier;
    uint64_t taken, unused, unmatched, damaged, untrusted;
    int error;
};

/* The trails that the command line names, else the kept ones of each store that is baked. */
static int read_used(const struct cli_source *list, size_t n, const char *default_store,
                     struct cli_keys *keys) {
    for (size_t i = 0; i < trails.n; i++) {
        int err = cli_used_read(trails.item[i], keys);
        if (err != SAGGAR_OK)
            return cli_fail("--trail %s: %s", trails.item[i], saggar_strerror(err));
    }
    for (size_t i = 0; i < n && trails.n == 0; i++) {
        const char *of = list[i].image ? default_store : list[i].path;
        char *dir = of != NULL ? cli_kept_of_store(of) : NULL;
        if (dir != NULL)
            cli_used_read(dir, keys);
        free(dir);
    }
    cli_keys_sort(keys);
    if (keys->n > 0)
        return 0;
    if (trails.n > 0)
        return cli_fail("--trail %s: no trail there says that anything was used; record one with "
                        "`saggar warm --trail %s -- COMMAND`, or bake everything with --all",
                        trails.item[0], trails.item[0]);
    return cli_fail(
        "nothing says what was used: run `saggar warm -- COMMAND` (or `saggar run`) first, give --trail "
        "DIR, or bake everything with --all");
}

/* ---- Entries ---- */

static void add_damaged(struct baking *b, const char *what, int error) {
    progress_clear(&b->progress);
    cli_note("%s: left out: %s", what, cli_trouble(error));
    if (error == SAGGAR_EUNTRUSTED)
        b->untrusted++;
    else
        b->damaged++;
}

static int add_entry(struct baking *b, const struct sg_entry_view *view, const char *file) {
    char digits[OUT_SHORT];
    char *group = NULL;
    if (!all && !cli_keys_have(&b->used, view->key)) {
        b->unused++;
        return 0;
    }
    bool wanted = groups.n == 0;
    if (!wanted && sg_entry_group_text(view, &group) == SAGGAR_OK)
        wanted = cli_matches(&groups, group);
    free(group);
    if (!wanted) {
        b->unmatched++;
        return 0;
    }
    int err = saggar_image_writer_add(b->writer, view->core, (size_t)view->size);
    if (err == SAGGAR_ENOMEM || err == SAGGAR_ELIMIT) {
        b->error = err;
        return err;
    }
    if (err != SAGGAR_OK) {
        char *what = file[0] != '\0' ? out_strdup(file)
                                     : out_format("%s: entry %s", b->tier, out_short(digits, view->key));
        add_damaged(b, what, err);
        free(what);
        return 0;
    }
    cli_keys_add(&b->found, view->key);
    b->taken++;
    return 0;
}

static int on_entry(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *file) {
    struct baking *b = context;
    (void)annex;
    (void)annex_size;
    if (error != SAGGAR_OK) {
        add_damaged(b, file[0] != '\0' ? file : b->tier, error);
        return 0;
    }
    progress_count(&b->progress, "entries taken", b->taken, 0);
    return add_entry(b, view, file);
}

static int add_provenance(struct baking *b) {
    for (size_t i = 0; i < provenance.n; i++) {
        const char *equals = strchr(provenance.item[i], '=');
        if (equals == NULL || equals == provenance.item[i])
            return cli_fail("--provenance %s: write NAME=TEXT", provenance.item[i]);
        char *key = out_format("%.*s", (int)(equals - provenance.item[i]), provenance.item[i]);
        int err = saggar_image_writer_provenance(b->writer, key, equals + 1);
        free(key);
        if (err != SAGGAR_OK)
            return cli_fail("--provenance %s: %s", provenance.item[i], saggar_strerror(err));
    }
    return 0;
}

/* ---- The file ---- */

static int output_path(char **out) {
    if (prefix == NULL) {
        *out = out_strdup(output != NULL ? output : "saggar.saggar");
        return 0;
    }
    size_t n = strlen(name);
    bool suffix = n > 7 && strcmp(name + n - 7, ".saggar") == 0;
    if (strchr(name, '/') != NULL || name[0] == '.')
        return cli_fail("--name %s: not a plain file name", name);
    char *dir = out_format("%s/share/saggar", prefix);
    int err = sg_make_dirs(dir, 0755), error = errno;
    *out = out_format("%s/%s%s", dir, name, suffix ? "" : ".saggar");
    free(dir);
    return err == SAGGAR_OK
               ? 0
               : cli_fail("--install %s: share/saggar could not be made: %s", prefix, strerror(error));
}

static size_t missing(const struct baking *b) {
    size_t n = 0;
    for (size_t i = 0; !all && i < b->used.n; i++)
        n += !cli_keys_have(&b->found, b->used.key[i]);
    return n;
}

static int report_json(const struct baking *b, const char *path, uint64_t entries, uint64_t bytes,
                       const uint8_t *sha256) {
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"entries", entries},        {"bytes", bytes},        {"unused", b->unused},
                {"unmatched", b->unmatched}, {"missing", missing(b)}, {"damaged", b->damaged},
                {"untrusted", b->untrusted}};
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "path");
    sg_json_str(&j, path);
    sg_json_key(&j, "sha256");
    if (sha256 != NULL)
        sg_json_hex(&j, sha256, 32);
    else
        sg_json_null(&j);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sg_json_key(&j, rows[i].name);
        sg_json_uint(&j, rows[i].value);
    }
    sg_json_object_end(&j);
    return out_json_end(&j);
}

static void report(const struct baking *b, const char *path, uint64_t entries, uint64_t bytes,
                   const uint8_t *sha256) {
    char hex[65], size[OUT_UNIT];
    char *count = out_count(entries, "entry", "entries");
    sg_hex(hex, sha256, 32);
    out_put(stdout, path);
    printf(": %s, %s, sha256 %s\n", count, out_size(size, bytes), hex);
    free(count);
    if (b->unused > 0)
        printf("left out: %llu that nothing used (--all takes them)\n", (unsigned long long)b->unused);
    if (b->unmatched > 0)
        printf("left out: %llu that --group does not match\n", (unsigned long long)b->unmatched);
    if (b->damaged > 0)
        printf("left out: %llu damaged, or made by a newer Saggar\n", (unsigned long long)b->damaged);
    if (b->untrusted > 0)
        printf("left out: %llu untrusted\n", (unsigned long long)b->untrusted);
    size_t n = missing(b);
    if (n > 0 && groups.n == 0)
        printf("not there: %zu that %s in no source (not stored, or collected since)\n", n,
               n == 1 ? "was used and is" : "were used and are");
}

static int write_image(struct baking *b, const char *path) {
    uint8_t sha256[32];
    struct stat st = {0};
    struct cli_source written;
    if (b->taken == 0) {
        cli_note("nothing to bake: no entry %s; no file is written",
                 all ? "is there" : "of those that were used is in the sources (bake everything with --all)");
        if (json)
            report_json(b, NULL, 0, 0, NULL);
        return SG_EXIT_FOUND;
    }
    int err = saggar_image_writer_write(b->writer, path, sha256);
    if (err == SAGGAR_EINVAL && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return cli_fail("%s: is there and not a file; give another path with -o", path);
    if (err != SAGGAR_OK)
        return cli_fail("%s: could not be written: %s", path, saggar_strerror(err));
    uint64_t entries = b->taken; /* equal ones are written once */
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && cli_source_quiet(path, &written)) {
        entries = written.tier->entries;
        cli_source_close(&written);
    }
    int status = 0;
    if (json)
        status = report_json(b, path, entries, (uint64_t)st.st_size, sha256);
    else
        report(b, path, entries, (uint64_t)st.st_size, sha256);
    return b->damaged + b->untrusted > 0 ? SG_EXIT_FOUND : status;
}

static int bake(struct baking *b, const struct cli_source *list, size_t n, const char *default_store) {
    char *path = NULL;
    int status = all ? 0 : read_used(list, n, default_store, &b->used);
    if (status == 0 && saggar_image_writer_new(&b->writer) != SAGGAR_OK)
        status = cli_fail("%s", saggar_strerror(SAGGAR_ENOMEM));
    if (status == 0)
        status = add_provenance(b);
    for (size_t i = 0; i < n && status == 0 && b->error == 0; i++) {
        b->tier = list[i].path;
        if (list[i].tier != NULL)
            list[i].tier->ops->each(list[i].tier, on_entry, b);
    }
    progress_clear(&b->progress);
    if (b->error != 0)
        status = cli_fail("%s", saggar_strerror(b->error));
    cli_keys_sort(&b->found);
    if (status == 0)
        status = output_path(&path);
    if (status == 0)
        status = write_image(b, path);
    saggar_image_writer_free(b->writer);
    cli_keys_free(&b->used);
    cli_keys_free(&b->found);
    free(path);
    return status;
}

static int run(const struct cli_args *args) {
    struct baking b = {0};
    struct sg_settings settings;
    struct cli_source *list;
    size_t n;
    if (output != NULL && prefix != NULL)
        return cli_fail("-o and --install exclude each other");
    int status = cli_settings(store, NULL, &settings);
    if (status != 0)
        return status;
    progress_begin(&b.progress);
    status = cli_sources(args, store, false, &list, &n);
    if (status == 0 && args->n == 0 && n == 1 && list[0].tier == NULL)
        status = cli_fail("%s: there is no store yet; run `saggar warm -- COMMAND` first", list[0].path);
    else if (status == 0)
        status = bake(&b, list, n, settings.store);
    cli_sources_free(list, n);
    sg_settings_free(&settings);
    return out_finish(status);
}

const struct cli_command cli_bake = {
    .name = "bake",
    .usage = "[OPTIONS] [STORE|IMAGE]...",
    .summary = "write what was used into one image",
    .about =
        "Takes entries from the store (or from the given stores and images) and writes them into one file "
        "that "
        "can be shipped: in a container image, in a wheel, on a file server. Only what was used goes in, as "
        "the "
        "trails of `saggar warm` and `saggar run` with this store tell; all variants of it do. The same "
        "entries "
        "give the same bytes, whatever the order, place and time.\n\n"
        "A program finds the image through SAGGAR_IMAGE, or by itself in share/saggar of the prefix of its "
        "Python or of its executable (--install).",
    .example = "saggar warm -- python3 model.py\nsaggar bake --install /opt/venv --name model",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .run = run,
};
