/* saggar gc: bounds a store. Safe beside readers and writers. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/out.h"
#include "cli/tiers.h"
#include "store/store.h"
#include "tree/tree.h"

static const char *store;
static uint64_t max_size = UINT64_MAX;
static int64_t max_age = -1;
static bool dry_run, json;

static const struct cli_option options[] = {
    {0, "max-size", "SIZE", CLI_SIZE, &max_size,
     "remove the oldest entries until the rest is no larger (5G; default: SAGGAR_SIZE, or 5G)"},
    {0, "max-age", "TIME", CLI_AGE, &max_age, "remove entries published longer ago (30d)"},
    {'n', "dry-run", NULL, CLI_FLAG, &dry_run, "only say what would go"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "one object"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done, or there is no store"},
    {1, "something could not be removed"},
    {2, "wrong usage, or not a store"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

static int print_json(const char *path, const struct sg_gc_stats *s, const struct sg_trees_stats *t) {
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"entries", s->entries},
                {"bytes", s->bytes},
                {"removed_entries", s->removed_entries},
                {"removed_bytes", s->removed_bytes},
                {"litter", s->litter},
                {"litter_bytes", s->litter_bytes},
                {"foreign", s->foreign},
                {"trees", t->trees},
                {"trees_bytes", t->bytes},
                {"removed_trees", t->removed_trees},
                {"removed_trees_bytes", t->removed_bytes},
                {"failed", s->failed}};
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "store");
    sg_json_str(&j, path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sg_json_key(&j, rows[i].name);
        sg_json_uint(&j, rows[i].value);
    }
    sg_json_key(&j, "dry_run");
    sg_json_bool(&j, dry_run);
    sg_json_object_end(&j);
    return out_json_end(&j);
}

static void print(const char *path, const struct sg_gc_stats *s, const struct sg_trees_stats *t) {
    char a[OUT_UNIT], b[OUT_UNIT], c[OUT_UNIT];
    const char *would = dry_run ? "would remove" : "removed";
    char *gone = out_count(s->removed_entries, "entry", "entries");
    char *litter = out_count(s->litter, "unfinished file", "unfinished files");
    out_put(stdout, path);
    printf(": %s %s (%s) and %s (%s); %llu left (%s)\n", would, gone, out_size(a, s->removed_bytes), litter,
           out_size(b, s->litter_bytes), (unsigned long long)(s->entries - s->removed_entries),
           out_size(c, s->bytes - s->removed_bytes));
    if (t->trees > 0) {
        char *trees = out_count(t->removed_trees, "finished tree", "finished trees");
        printf("%s %s (%s); %llu left (%s)\n", would, trees, out_size(a, t->removed_bytes),
               (unsigned long long)(t->trees - t->removed_trees), out_size(b, t->bytes - t->removed_bytes));
        free(trees);
    }
    if (s->foreign > 0)
        printf("%llu files that are not a store's were left alone\n", (unsigned long long)s->foreign);
    if (s->failed > 0)
        cli_note("%s: %llu files could not be removed or looked at", path, (unsigned long long)s->failed);
    free(gone);
    free(litter);
}

static int collect(const char *path) {
    struct sg_gc_options o;
    struct sg_gc_stats stats = {0};
    struct sg_trees_stats trees = {0};
    if (sg_gc_options_init(&o) != SAGGAR_OK && max_size == UINT64_MAX)
        return cli_fail("SAGGAR_SIZE=%s: not a size; try 500M or 5G", getenv("SAGGAR_SIZE"));
    if (max_size != UINT64_MAX)
        o.max_bytes = max_size;
    if (max_age >= 0)
        o.max_age = (uint64_t)max_age;
    o.dry_run = dry_run;
    int err = sg_store_gc(path, &o, &stats);
    if (err == SAGGAR_OK || err == SAGGAR_ENOTFOUND) /* trees of images lie elsewhere */
        err = sg_trees_gc_all(path, &o, &trees);
    stats.litter += trees.litter;
    stats.failed += trees.failed;
    if (err != SAGGAR_OK)
        return cli_fail("%s: %s", path, saggar_strerror(err));
    int status = 0;
    if (json)
        status = print_json(path, &stats, &trees);
    else
        print(path, &stats, &trees);
    return stats.failed > 0 ? SG_EXIT_FOUND : status;
}

static int run(const struct cli_args *args) {
    struct sg_settings settings;
    struct cli_source source;
    int status = cli_settings(store, NULL, &settings);
    if (status != 0)
        return status;
    const char *path = args->n > 0 ? args->names[0] : settings.store;
    if (path == NULL)
        status = cli_fail("%s", settings.store_note != NULL ? settings.store_note
                                                            : "there is no store; give --store DIR");
    else if (args->n > 0 || access(path, F_OK) == 0) { /* only ever in a directory that is a store */
        status = cli_source_open(path, &source);
        if (status == 0 && source.image)
            status = cli_fail("%s: an image, not a store; images are never changed", path);
        if (status == 0 || source.path != NULL)
            cli_source_close(&source);
    }
    if (status == 0)
        status = collect(path);
    sg_settings_free(&settings);
    return out_finish(status);
}

const struct cli_command cli_gc = {
    .name = "gc",
    .usage = "[OPTIONS] [STORE]",
    .summary = "remove old entries and litter from a store",
    .about =
        "Removes the oldest entries until the store is within its bounds, and what interrupted writers left "
        "behind. Finished trees go by the same bounds, counted from their last use: in the store, and in the "
        "places beside it (SAGGAR_TREES, XDG_RUNTIME_DIR, the user's cache directory). One that is in use "
        "stays. Programs that read or write the store meanwhile are not disturbed: at worst they compile "
        "again. A store also collects itself now and then.",
    .example = "saggar gc --max-size 2G --max-age 30d --dry-run",
    .options = options,
    .exits = exits,
    .max = 1,
    .run = run,
};
