/* saggar julia why: for each package, what Julia says about each of its cache files. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "cli/julia.h"

static struct julia_options shared;

static const struct cli_option options[] = {
    JULIA_OPTIONS(shared),
    {0, "json", NULL, CLI_FLAG, &shared.json,
     "an object: packages, and every cache file of this Julia's version"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done; also where everything is fresh"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

static bool asked(const struct cli_args *args, const struct sg_package *p) {
    bool found = args->n < 2;
    for (size_t i = 1; i < args->n; i++)
        found = found || strcmp(args->names[i], p->id.name) == 0;
    return found;
}

/* ---- For people ---- */

static void put_lines(const char *text, const char *before) {
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        char *line = out_bytes(text, n);
        printf("%s%s\n", before, line);
        free(line);
        text += n + (text[n] == '\n');
    }
}

static void print(struct sg_world *w, const struct sg_package *p) {
    char uuid[SG_JULIA_UUID_TEXT];
    const char *word = p->fresh ? "fresh" : p->wanted ? p->reason : "not wanted: a trigger is missing";
    fputs(out_color(stdout, "bold"), stdout);
    out_put(stdout, p->id.name);
    fputs(out_color(stdout, ""), stdout);
    printf(" [%s]", sg_julia_uuid_print(uuid, p->id.uuid));
    if (p->parent != NULL) {
        fputs(", extension of ", stdout);
        out_put(stdout, p->parent);
    }
    fputs(": ", stdout);
    out_put(stdout, word);
    putchar('\n');
    if (p->wanted)
        put_lines(p->detail, "  ");
    for (size_t i = 0; i < p->files->n; i++) {
        const struct sg_file *file = p->files->file[i];
        printf("  %-9s ", sg_verdict_word(file->verdict));
        out_put(stdout, sg_project_real(w, file->path));
        if (file->reason[0] != '\0') {
            fputs(": ", stdout);
            out_put(stdout, file->reason);
        }
        putchar('\n');
        if (file != p->blamed)
            put_lines(file->detail, "            ");
    }
}

/* ---- JSON ---- */

static void put_file(struct sg_json *j, struct sg_world *w, const struct sg_file *file) {
    sg_json_object(j);
    sg_json_key(j, "file");
    julia_json_path(j, w, file->path);
    julia_json_id(j, &file->package);
    sg_json_key(j, "source");
    sg_json_str(j, file->source);
    sg_json_key(j, "verdict");
    sg_json_str(j, sg_verdict_word(file->verdict));
    sg_json_key(j, "reason");
    sg_json_str(j, file->reason);
    sg_json_key(j, "detail");
    sg_json_str(j, file->detail);
    sg_json_object_end(j);
}

static void put_package(struct sg_json *j, struct sg_world *w, const struct sg_package *p) {
    sg_json_object(j);
    julia_json_id(j, &p->id);
    sg_json_key(j, "extension_of");
    sg_json_str(j, p->parent);
    sg_json_key(j, "wanted");
    sg_json_bool(j, p->wanted);
    sg_json_key(j, "source");
    sg_json_str(j, p->source);
    julia_json_fresh(j, w, p);
    sg_json_key(j, "reason");
    sg_json_str(j, p->reason);
    sg_json_key(j, "detail");
    sg_json_str(j, p->detail);
    sg_json_key(j, "would_write");
    sg_json_str(j, sg_package_would_write(w, p, false));
    sg_json_key(j, "pidfile");
    sg_json_str(j, sg_package_would_write(w, p, true));
    sg_json_key(j, "candidates");
    sg_json_array(j);
    for (size_t i = 0; i < p->files->n; i++)
        julia_json_path(j, w, p->files->file[i]->path);
    sg_json_array_end(j);
    sg_json_object_end(j);
}

struct names {
    char **item;
    size_t n;
};

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The entries of a folder of Julia's, sorted. */
static struct names entries(struct sg_world *w, const char *folder) {
    struct names list = {0};
    DIR *dir = opendir(sg_project_real(w, folder));
    struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        char **slot = out_grow(&list.item, &list.n, sizeof *list.item);
        *slot = out_strdup(e->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    if (list.n > 1)
        qsort(list.item, list.n, sizeof *list.item, by_name);
    return list;
}

static void free_names(struct names *list) {
    for (size_t i = 0; i < list->n; i++)
        free(list->item[i]);
    free(list->item);
}

/* Every file of a folder, asked for the package of the project that the folder is named after; else for the
 * one that it says it holds. */
static void put_folder(struct sg_json *j, struct sg_world *w, const struct sg_package *list, size_t n,
                       const char *folder, const char *name, size_t depot) {
    struct names files = entries(w, folder);
    for (size_t i = 0; i < files.n; i++) {
        const char *path = sg_world_join(w, folder, files.item[i]), *dot = strrchr(files.item[i], '.');
        struct sg_julia_id id = {.name = sg_arena_text(&w->arena, name, strlen(name))};
        struct sg_file *file = dot != NULL && strcmp(dot, ".ji") == 0 ? sg_file_read(w, path, depot) : NULL;
        if (file == NULL)
            continue;
        if (!sg_project_owner(list, n, path, &id) && file->ji.n_provides > 0)
            id = file->ji.provides[0].id;
        sg_judge(w, file, &id);
        put_file(j, w, file);
    }
    free_names(&files);
}

static int print_json(struct sg_world *w, const struct cli_args *args, const struct sg_package *list,
                      size_t n) {
    struct sg_json json;
    sg_json_file(&json, stdout, 2);
    sg_json_object(&json);
    sg_json_key(&json, "packages");
    sg_json_array(&json);
    for (size_t i = 0; i < n; i++) {
        if (asked(args, &list[i]))
            put_package(&json, w, &list[i]);
    }
    sg_json_array_end(&json);
    sg_json_key(&json, "files");
    sg_json_array(&json);
    for (size_t i = 0; i < w->n_depots; i++) {
        char *version = out_format("compiled/v%d.%d", w->info.major, w->info.minor);
        const char *folder = sg_world_join(w, w->depots[i], version);
        struct names packages = entries(w, folder);
        for (size_t k = 0; k < packages.n; k++)
            put_folder(&json, w, list, n, sg_world_join(w, folder, packages.item[k]), packages.item[k], i);
        free_names(&packages);
        free(version);
    }
    sg_json_array_end(&json);
    sg_json_object_end(&json);
    return out_json_end(&json);
}

static int run(const struct cli_args *args) {
    struct sg_world w;
    struct sg_package *list = NULL;
    size_t n = 0, shown = 0;
    int status = julia_open(&shared, args->names[0], &w, &list, &n);
    for (size_t i = 0; status == 0 && i < n; i++)
        shown += asked(args, &list[i]);
    if (status == 0 && shown == 0 && args->n > 1)
        status = cli_fail("%s: no package of this project", args->names[1]);
    if (status == 0 && shared.json)
        status = print_json(&w, args, list, n);
    for (size_t i = 0; status == 0 && !shared.json && i < n; i++) {
        if (asked(args, &list[i]))
            print(&w, &list[i]);
    }
    sg_world_free(&w);
    return out_finish(status);
}

const struct cli_command cli_julia_why = {
    .name = "julia why",
    .usage = "[OPTIONS] PROJECT [PACKAGE]...",
    .summary = "say what is wrong with the cache files of a project",
    .about =
        "For each package (all, or those named): whether Julia would load it from a cache file, and what its "
        "loader says about every file that it would try, in the order in which it tries them, with the "
        "reasons and lines that Julia itself prints under JULIA_DEBUG=loading. Extensions that the project "
        "does not want are listed too. No Julia is run.",
    .example = "saggar julia why --depot /opt/depot --julia-info julia.json /srv/app Toy",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = SIZE_MAX,
    .run = run,
};
