/* saggar ls: the entries of stores and images, one line each. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/tiers.h"

static struct cli_list patterns;
static const char *store;
static bool json, all;

static const struct cli_option options[] = {
    {0, "group", "PATTERN", CLI_LIST, &patterns,
     "only functions whose name matches (shell wildcards; without any: contains); may be given more than "
     "once"},
    {'a', "all", NULL, CLI_FLAG, &all, "every tier that is active, not only the store"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "a list of objects"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done"},
    {1, "an entry is damaged or cannot be used (`saggar check` reads all of it); the others are listed"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct listing {
    const char *tier;
    struct out_table table;
    struct sg_json json;
    size_t shown, seen, damaged; /* seen: those that could be read, shown or not */
};

bool cli_matches(const struct cli_list *list, const char *group) {
    bool found = list->n == 0;
    for (size_t i = 0; i < list->n && !found; i++) {
        const char *pattern = list->item[i];
        found = strpbrk(pattern, "*?[") != NULL ? fnmatch(pattern, group, 0) == 0
                                                : strstr(group, pattern) != NULL;
    }
    return found;
}

static void put_json(struct sg_json *j, const struct cli_entry *e) {
    sg_json_object(j);
    sg_json_key(j, "key");
    sg_json_hex(j, e->key, sizeof e->key);
    sg_json_key(j, "identity");
    sg_json_hex(j, e->identity, sizeof e->identity);
    sg_json_key(j, "group");
    sg_json_str(j, e->group);
    sg_json_key(j, "target");
    sg_json_str(j, e->target);
    sg_json_key(j, "bytes");
    sg_json_uint(j, e->size);
    sg_json_key(j, "seconds");
    if (e->seconds < 0)
        sg_json_null(j);
    else
        sg_json_real(j, e->seconds);
    sg_json_key(j, "published");
    if (e->published == 0)
        sg_json_null(j);
    else
        sg_json_int(j, e->published);
    sg_json_key(j, "tier");
    sg_json_str(j, e->tier);
    sg_json_object_end(j);
}

static void put_row(struct out_table *table, const struct cli_entry *e) {
    char digits[OUT_SHORT], size[OUT_UNIT], took[OUT_UNIT] = "";
    if (e->seconds >= 0)
        out_time(took, e->seconds);
    out_cell(table, "%s", out_short(digits, e->key));
    out_cell(table, "%s", out_size(size, e->size));
    out_cell(table, "%s", took);
    out_cell(table, "%s", e->target);
    out_cell(table, "%s", e->group[0] != '\0' ? e->group : "-");
}

static int on_entry(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *name) {
    struct listing *l = context;
    struct cli_entry e;
    if (error != SAGGAR_OK) {
        cli_note("%s: %s", name[0] != '\0' ? name : l->tier, cli_trouble(error));
        l->damaged++;
        return 0;
    }
    l->seen++;
    if (!cli_entry_read(view, annex, annex_size, l->tier, &e)) {
        char digits[OUT_SHORT];
        cli_note("%s: entry %s: %s", name[0] != '\0' ? name : l->tier, out_short(digits, e.key),
                 saggar_strerror(SAGGAR_ECORRUPT));
        l->damaged++;
    }
    if (cli_matches(&patterns, e.group)) {
        l->shown++;
        if (json)
            put_json(&l->json, &e);
        else
            put_row(&l->table, &e);
    }
    cli_entry_free(&e);
    return 0;
}

static int run(const struct cli_args *args) {
    static const char *const headings[] = {"KEY", ">BYTES", ">TOOK", "TARGET", "FUNCTION"};
    struct cli_source *list;
    size_t n;
    struct listing l = {0};
    int status = cli_sources(args, store, all, &list, &n);
    if (status != 0)
        return status;
    if (json) {
        sg_json_file(&l.json, stdout, 2);
        sg_json_array(&l.json);
    }
    for (size_t i = 0; i < n; i++) {
        l.tier = list[i].path;
        size_t before = l.shown, seen = l.seen;
        if (!json)
            out_table_begin(&l.table, 5, headings);
        if (list[i].tier != NULL)
            list[i].tier->ops->each(list[i].tier, on_entry, &l);
        if (json)
            continue;
        char *count = out_count(l.shown - before, "entry", "entries"),
             *all_of = out_count(l.seen - seen, "entry", "entries");
        if (n > 1 || l.shown == before) {
            out_put(stdout, l.tier);
            if (patterns.n > 0 && l.shown == before && l.seen > seen)
                printf(": no function of its %s matches --group\n", all_of);
            else
                printf(": %s\n", count);
        }
        free(count);
        free(all_of);
        if (l.shown > before)
            out_table_end(&l.table, stdout);
        else
            out_table_free(&l.table);
    }
    cli_sources_free(list, n);
    if (json) {
        sg_json_array_end(&l.json);
        status = out_json_end(&l.json);
    }
    return out_finish(l.damaged > 0 ? SG_EXIT_FOUND : status);
}

const struct cli_command cli_ls = {
    .name = "ls",
    .usage = "[OPTIONS] [IMAGE|STORE]...",
    .summary = "list the entries of stores and images",
    .about =
        "Lists each entry: the first digits of its key, its size, how long it took to compile, the processor "
        "that it needs, and the function. Without a path: the store.",
    .example = "saggar ls --group 'numba:mypackage.*' model.saggar",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .run = run,
};
