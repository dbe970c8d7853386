/* saggar julia check: which packages of a project Julia would load from caches. */
#include <stdlib.h>
#include <string.h>

#include "cli/julia.h"

static struct julia_options shared;

static const struct cli_option options[] = {
    JULIA_OPTIONS(shared),
    {0, "json", NULL, CLI_FLAG, &shared.json, "an object with a list of packages"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "every package of the project would be loaded from a cache file"},
    {1, "at least one would be compiled again; each with its reason"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

static void put_json(struct sg_json *j, struct sg_world *w, const struct sg_package *p) {
    sg_json_object(j);
    julia_json_id(j, &p->id);
    julia_json_fresh(j, w, p);
    sg_json_key(j, "reason");
    sg_json_str(j, p->reason);
    sg_json_key(j, "detail");
    sg_json_str(j, p->detail);
    sg_json_object_end(j);
}

static int print_json(struct sg_world *w, const struct sg_package *list, size_t n) {
    struct sg_json json;
    sg_json_file(&json, stdout, 2);
    sg_json_object(&json);
    sg_json_key(&json, "packages");
    sg_json_array(&json);
    for (size_t i = 0; i < n; i++) {
        if (list[i].wanted)
            put_json(&json, w, &list[i]);
    }
    sg_json_array_end(&json);
    sg_json_object_end(&json);
    return out_json_end(&json);
}

static void print_table(struct sg_world *w, const struct sg_package *list, size_t n, size_t wanted,
                        size_t stale) {
    static const char *const headings[] = {"PACKAGE", "FRESH", "FILE OR REASON"};
    struct out_table table = {0};
    out_table_begin(&table, 3, headings);
    for (size_t i = 0; i < n; i++) {
        if (!list[i].wanted)
            continue;
        out_cell(&table, "%s", list[i].id.name);
        out_cell(&table, "%s", list[i].fresh ? "yes" : "no");
        out_cell(&table, "%s", list[i].fresh ? sg_project_real(w, list[i].file->path) : list[i].reason);
    }
    if (wanted > 0)
        out_table_end(&table, stdout);
    else
        out_table_free(&table);
    char *count = out_count(wanted, "package", "packages");
    if (stale == 0)
        printf("%s: all would be loaded from cache files\n", count);
    else
        printf("%s: %zu would be compiled; saggar julia why says more\n", count, stale);
    free(count);
}

static int run(const struct cli_args *args) {
    struct sg_world w;
    struct sg_package *list = NULL;
    size_t n = 0, wanted = 0, stale = 0;
    int status = julia_open(&shared, args->names[0], &w, &list, &n);
    for (size_t i = 0; status == 0 && i < n; i++) {
        wanted += list[i].wanted;
        stale += list[i].wanted && !list[i].fresh;
    }
    if (status == 0 && shared.json)
        status = print_json(&w, list, n);
    else if (status == 0)
        print_table(&w, list, n, wanted, stale);
    if (status == 0 && stale > 0)
        status = SG_EXIT_FOUND;
    sg_world_free(&w);
    return out_finish(status);
}

const struct cli_command cli_julia_check = {
    .name = "julia check",
    .usage = "[OPTIONS] PROJECT",
    .summary = "say which packages Julia would load from cache files",
    .about =
        "Decides for every package in the manifest of a project, for the project itself if it is a package, "
        "and for every extension whose triggers are there, as Julia's loader would: which cache file would "
        "be loaded, or for which reason there is none. A package counts as fresh only if all that it needs "
        "can be loaded from caches too. Packages in Julia's system image are left out. No Julia is run: "
        "--julia-info describes the one that would load the files.",
    .example = "saggar julia check --depot /opt/depot --julia-info julia.json /srv/app",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = 1,
    .run = run,
};
