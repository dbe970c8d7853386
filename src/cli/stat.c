/* saggar stat: what lies in the tiers, by compiler and module, and what the last trail counted. */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/events.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/tiers.h"
#include "image/image.h"

static const char *store;
static bool json, modules;

static const struct cli_option options[] = {
    {'m', "modules", NULL, CLI_FLAG, &modules, "every module, not only the ten largest"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "one object"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done"},
    {1, "an entry is damaged or cannot be used; the others are counted"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

enum { MODULES_SHOWN = 10 };

struct share {
    char *compiler, *module;
    uint64_t entries, bytes;
    double seconds;
};

struct count {
    const char *tier;
    uint64_t entries, bytes, damaged;
    double seconds;
    struct share *share;
    size_t shares;
    struct progress *progress;
};

/* Entries of one module come in any order; the list is short. */
static struct share *share_of(struct count *c, const char *compiler, const char *module) {
    for (size_t i = 0; i < c->shares; i++) {
        if (strcmp(c->share[i].module, module) == 0 && strcmp(c->share[i].compiler, compiler) == 0)
            return &c->share[i];
    }
    struct share *s = out_grow(&c->share, &c->shares, sizeof *s);
    s->compiler = out_strdup(compiler);
    s->module = out_strdup(module);
    return s;
}

static int on_entry(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *name) {
    struct count *c = context;
    struct cli_entry e;
    if (error != SAGGAR_OK) {
        progress_clear(c->progress);
        cli_note("%s: %s", name[0] != '\0' ? name : c->tier, cli_trouble(error));
        c->damaged++;
        return 0;
    }
    if (!cli_entry_read(view, annex, annex_size, c->tier, &e)) {
        progress_clear(c->progress);
        cli_note("%s: %s", name[0] != '\0' ? name : c->tier, saggar_strerror(SAGGAR_ECORRUPT));
        c->damaged++;
    }
    char *compiler = NULL, *module = NULL, *qualname = NULL;
    bool named = sg_entry_group(view, &compiler, &module, &qualname) == SAGGAR_OK;
    struct share *s = share_of(c, named ? compiler : "", named ? module : "");
    s->entries++;
    s->bytes += e.size;
    c->entries++;
    c->bytes += e.size;
    if (e.seconds > 0) {
        s->seconds += e.seconds;
        c->seconds += e.seconds;
    }
    progress_count(c->progress, "entries read", c->entries, 0);
    free(compiler);
    free(module);
    free(qualname);
    cli_entry_free(&e);
    return 0;
}

static int larger(const void *a, const void *b) {
    const struct share *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->module, y->module);
}

static void print_tier(const struct count *c) {
    static const char *const headings[] = {">ENTRIES", ">BYTES", ">TOOK", "COMPILER", "MODULE"};
    char size[OUT_UNIT], took[OUT_UNIT];
    struct out_table table;
    char *entries = out_count(c->entries, "entry", "entries");
    printf("%s", out_color(stdout, "bold"));
    out_put(stdout, c->tier);
    printf("%s: %s, %s", out_color(stdout, ""), entries, out_size(size, c->bytes));
    if (c->seconds > 0)
        printf(", %s to compile", out_time(took, c->seconds));
    putchar('\n');
    free(entries);
    if (c->shares == 0)
        return;
    out_table_begin(&table, 5, headings);
    for (size_t i = 0; i < c->shares && (modules || i < MODULES_SHOWN); i++) {
        const struct share *s = &c->share[i];
        out_cell(&table, "%llu", (unsigned long long)s->entries);
        out_cell(&table, "%s", out_size(size, s->bytes));
        out_cell(&table, "%s", s->seconds > 0 ? out_time(took, s->seconds) : "");
        out_cell(&table, "%s", s->compiler[0] != '\0' ? s->compiler : "-");
        out_cell(&table, "%s", s->module[0] != '\0' ? s->module : "-");
    }
    out_table_end(&table, stdout);
    if (!modules && c->shares > MODULES_SHOWN)
        printf("and %zu more modules; see --modules\n", c->shares - MODULES_SHOWN);
}

static void json_tier(struct sg_json *j, const struct count *c, bool image) {
    sg_json_object(j);
    sg_json_key(j, "path");
    sg_json_str(j, c->tier);
    sg_json_key(j, "kind");
    sg_json_str(j, image ? "image" : "store");
    sg_json_key(j, "entries");
    sg_json_uint(j, c->entries);
    sg_json_key(j, "bytes");
    sg_json_uint(j, c->bytes);
    sg_json_key(j, "damaged");
    sg_json_uint(j, c->damaged);
    sg_json_key(j, "modules");
    sg_json_array(j);
    for (size_t i = 0; i < c->shares; i++) {
        const struct share *s = &c->share[i];
        sg_json_object(j);
        sg_json_key(j, "compiler");
        sg_json_str(j, s->compiler);
        sg_json_key(j, "module");
        sg_json_str(j, s->module);
        sg_json_key(j, "entries");
        sg_json_uint(j, s->entries);
        sg_json_key(j, "bytes");
        sg_json_uint(j, s->bytes);
        sg_json_key(j, "seconds");
        sg_json_real(j, s->seconds);
        sg_json_object_end(j);
    }
    sg_json_array_end(j);
    sg_json_object_end(j);
}

/* What the processes of the last run, warm-up or check counted. */
static void last_trail(struct sg_json *j) {
    struct cli_events e = {0};
    char *last = cli_kept_last();
    bool read = last != NULL && cli_events_load(last, &e) == SAGGAR_OK;
    const struct {
        const char *name, *words;
        uint64_t value;
    } rows[] = {{"processes", "processes", e.processes},
                {"hits", "hits", e.counts[SAGGAR_EVENT_HIT]},
                {"misses", "misses", e.counts[SAGGAR_EVENT_MISS]},
                {"compiled", "compiled", e.counts[SAGGAR_EVENT_COMPILED]},
                {"stored", "stored", e.counts[SAGGAR_EVENT_PUBLISHED]},
                {"not_stored", "not stored", e.counts[SAGGAR_EVENT_NOT_STORED]},
                {"faults", "faults", e.counts[SAGGAR_EVENT_FAULT]},
                {"waited", "waits for another process", e.counts[SAGGAR_EVENT_WAITED]}};
    size_t n = sizeof rows / sizeof rows[0];
    if (j != NULL) {
        sg_json_key(j, "last");
        sg_json_object(j);
        for (size_t i = 0; read && i < n; i++) {
            sg_json_key(j, rows[i].name);
            sg_json_uint(j, rows[i].value);
        }
        sg_json_object_end(j);
    } else if (read) {
        printf("last trail: ");
        for (size_t i = 0; i < n; i++)
            printf("%s%llu %s", i > 0 ? ", " : "", (unsigned long long)rows[i].value, rows[i].words);
        putchar('\n');
    }
    cli_events_free(&e);
    free(last);
}

static void free_count(struct count *c) {
    for (size_t i = 0; i < c->shares; i++) {
        free(c->share[i].compiler);
        free(c->share[i].module);
    }
    free(c->share);
}

static int run(const struct cli_args *args) {
    struct cli_source *list;
    struct progress progress;
    struct sg_json j;
    size_t n;
    uint64_t damaged = 0;
    int status = cli_sources(args, store, true, &list, &n);
    if (status != 0)
        return status;
    progress_begin(&progress);
    sg_json_file(&j, stdout, 2);
    if (json) {
        sg_json_object(&j);
        sg_json_key(&j, "tiers");
        sg_json_array(&j);
    }
    for (size_t i = 0; i < n; i++) {
        struct count c = {.tier = list[i].path, .progress = &progress};
        if (list[i].tier != NULL)
            list[i].tier->ops->each(list[i].tier, on_entry, &c);
        progress_clear(&progress);
        if (c.shares > 1)
            qsort(c.share, c.shares, sizeof *c.share, larger);
        damaged += c.damaged;
        if (json)
            json_tier(&j, &c, list[i].image);
        else
            print_tier(&c);
        free_count(&c);
    }
    cli_sources_free(list, n);
    if (json) {
        sg_json_array_end(&j);
        last_trail(&j);
        sg_json_object_end(&j);
        status = out_json_end(&j);
    } else if (args->n == 0) {
        last_trail(NULL);
    }
    return out_finish(damaged > 0 ? SG_EXIT_FOUND : status);
}

const struct cli_command cli_stat = {
    .name = "stat",
    .usage = "[OPTIONS] [IMAGE|STORE]...",
    .summary = "count what lies in the tiers",
    .about = "Counts entries and bytes of each tier that is active, by compiler and module, and how long "
             "they took to "
             "compile; then what the processes of the last `saggar run`, `warm` or `verify` counted.",
    .example = "saggar stat",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .run = run,
};
