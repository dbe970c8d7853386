/* saggar julia gc: clears a depot that builds share. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/julia.h"
#include "julia/choose.h"
#include "julia/sweep.h"

static struct julia_options shared;
static struct cli_list projects, targets;
static uint64_t max_size = SG_SWEEP_UNBOUNDED;
static int64_t max_age = -1, min_age = 3600, litter_age = 3600;
static bool dry_run;

static const struct cli_option options[] = {
    {0, "project", "PROJECT", CLI_LIST, &projects,
     "keep what this project needs, and remove what none of them does; may be given more than once"},
    {0, "target", "CPU", CLI_LIST, &targets,
     "what the projects need on this processor, as x86-64-v3; may be given more than once (default: the one "
     "in "
     "the --julia-info, or of this machine)"},
    {'d', "depot", "DIR", CLI_LIST, &shared.depots,
     "a further depot, where the sources are; may be given more than once"},
    JULIA_INFO_OPTION(shared),
    JULIA_IMAGES_OPTION(shared),
    JULIA_HERE_OPTION(shared),
    {0, "max-size", "SIZE", CLI_SIZE, &max_size,
     "remove what was not used for longest until the rest is no larger (20G)"},
    {0, "max-age", "TIME", CLI_AGE, &max_age, "remove what was not used for longer than this (30d)"},
    {0, "min-age", "TIME", CLI_AGE, &min_age, "never remove what was written or used since (default: 1h)"},
    {0, "litter-age", "TIME", CLI_AGE, &litter_age,
     "leave temporary files, lock files and damaged files that are younger (default: 1h)"},
    {'n', "dry-run", NULL, CLI_FLAG, &dry_run, "only say what would go"},
    {0, "json", NULL, CLI_FLAG, &shared.json, "one object"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done, or there are no cache files"},
    {1, "something could not be removed"},
    {2, "wrong usage, or a file or folder that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct gone {
    char *path;
    enum sg_swept kind;
    uint64_t bytes;
};

struct collecting {
    const char **needed;
    size_t n_needed;
    struct gone *gone;
    size_t n_gone;
    char *version;
    char *compiled;
};

/* ---- What is needed ---- */

static void need(struct collecting *c, struct sg_world *w, const struct sg_file *file) {
    const char **slot;
    char real[PATH_MAX];
    if (file == NULL || realpath(sg_project_real(w, file->path), real) == NULL)
        return;
    slot = out_grow(&c->needed, &c->n_needed, sizeof *c->needed);
    *slot = out_strdup(real);
}

/* Files are there for the packages, and none of them is fresh: most likely another Julia is described. */
static bool looks_wrong(const struct sg_package *list, size_t n) {
    size_t files = 0;
    for (size_t i = 0; i < n; i++) {
        if (list[i].wanted && list[i].fresh)
            return false;
        files += list[i].wanted && list[i].files != NULL ? list[i].files->n : 0;
    }
    return files > 0;
}

/* What Julia would load, and what bake would take. */
static int need_project(struct collecting *c, const char *depot, const char *project, const char *target) {
    struct julia_options o = shared;
    struct sg_package *list = NULL;
    struct sg_supply supply;
    struct sg_world w;
    size_t n;
    const char **depots = out_alloc((shared.depots.n + 1) * sizeof *depots);
    depots[0] = depot;
    if (shared.depots.n > 0)
        memcpy(depots + 1, shared.depots.item, shared.depots.n * sizeof *depots);
    o.depots = (struct cli_list){depots, shared.depots.n + 1};
    o.target = target;
    int status = julia_open(&o, project, &w, &list, &n);
    struct sg_choice *choice = status == 0 ? sg_arena_array(&w.arena, n + 1, sizeof *choice) : NULL;
    if (status == 0 &&
        (choice == NULL || !sg_supply_make(&w, list, n, &supply) || !sg_choose(&supply, choice)))
        status = cli_fail("%s", w.error[0] != '\0' ? w.error : "no memory");
    if (status == 0 && looks_wrong(list, n))
        status = cli_fail("%s: the depot has cache files for its packages, and none would be loaded; is the "
                          "--julia-info right? nothing was removed",
                          project);
    for (size_t i = 0; status == 0 && i < n; i++) {
        need(c, &w, list[i].wanted && list[i].fresh ? list[i].file : NULL);
        need(c, &w, choice[i].offer != NULL ? choice[i].offer->file : NULL);
    }
    if (status == 0 && c->version == NULL)
        c->version = out_format("v%d.%d", w.info.major, w.info.minor);
    sg_world_free(&w);
    free(depots);
    return status;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int need_all(struct collecting *c, const char *depot) {
    int status = 0;
    for (size_t i = 0; i < projects.n && status == 0; i++) {
        if (targets.n == 0)
            status = need_project(c, depot, projects.item[i], NULL);
        for (size_t k = 0; k < targets.n && status == 0; k++)
            status = need_project(c, depot, projects.item[i], targets.item[k]);
    }
    if (c->n_needed > 1)
        qsort(c->needed, c->n_needed, sizeof *c->needed, by_text);
    return status;
}

/* ---- Saying it ---- */

static void told(void *context, enum sg_swept kind, const char *path, uint64_t bytes) {
    struct collecting *c = context;
    struct gone *g = out_grow(&c->gone, &c->n_gone, sizeof *g);
    *g = (struct gone){out_strdup(path), kind, bytes};
}

static int print_json(const struct collecting *c, const struct sg_sweep_stats *s) {
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"files", s->files},
                {"bytes", s->bytes},
                {"needed", s->needed},
                {"removed_bytes", s->removed_bytes},
                {"failed", s->failed}};
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "compiled");
    sg_json_str(&j, c->compiled);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sg_json_key(&j, rows[i].name);
        sg_json_uint(&j, rows[i].value);
    }
    sg_json_key(&j, "dry_run");
    sg_json_bool(&j, dry_run);
    sg_json_key(&j, "removed");
    sg_json_array(&j);
    for (size_t i = 0; i < c->n_gone; i++) {
        sg_json_object(&j);
        sg_json_key(&j, "file");
        sg_json_str(&j, c->gone[i].path);
        sg_json_key(&j, "why");
        sg_json_str(&j, sg_swept_word(c->gone[i].kind));
        sg_json_key(&j, "bytes");
        sg_json_uint(&j, c->gone[i].bytes);
        sg_json_object_end(&j);
    }
    sg_json_array_end(&j);
    sg_json_object_end(&j);
    return out_json_end(&j);
}

static void print_text(const struct collecting *c, const struct sg_sweep_stats *s) {
    char size[OUT_UNIT], all[OUT_UNIT], *count = out_count(s->files, "cache file", "cache files");
    for (size_t i = 0; i < c->n_gone; i++) {
        fputs(dry_run ? "would go: " : "removed: ", stdout);
        out_put(stdout, c->gone[i].path);
        printf(": %s\n", sg_swept_word(c->gone[i].kind));
    }
    printf("%s, %s, %llu of them needed; %s%zu removed, %s\n", count, out_size(all, s->bytes),
           (unsigned long long)s->needed, dry_run ? "would be: " : "", c->n_gone,
           out_size(size, s->removed_bytes));
    free(count);
}

static int sweep(struct collecting *c) {
    struct sg_sweep_options o = {.needed = c->needed,
                                 .n_needed = c->n_needed,
                                 .version = c->version,
                                 .litter_age = (uint64_t)litter_age,
                                 .min_age = (uint64_t)min_age,
                                 .max_age = max_age >= 0 ? (uint64_t)max_age : SG_SWEEP_UNBOUNDED,
                                 .max_bytes = max_size,
                                 .dry_run = dry_run,
                                 .told = told,
                                 .context = c};
    struct sg_sweep_stats stats;
    int err = sg_julia_sweep(c->compiled, &o, &stats);
    if (err != SAGGAR_OK && err != SAGGAR_ENOTFOUND)
        return cli_fail("%s: %s", c->compiled, saggar_strerror(err));
    int status = 0;
    if (shared.json)
        status = print_json(c, &stats);
    else
        print_text(c, &stats);
    return status != 0 ? status : stats.failed > 0 ? SG_EXIT_FOUND : 0;
}

static int run(const struct cli_args *args) {
    struct collecting c = {0};
    char real[PATH_MAX];
    struct stat st;
    if (realpath(args->names[0], real) == NULL || stat(real, &st) != 0 || !S_ISDIR(st.st_mode))
        return cli_fail("%s: no such folder", args->names[0]);
    if (projects.n == 0 && (targets.n > 0 || shared.depots.n > 0 || shared.info != NULL))
        return cli_fail(
            "--target, --depot and --julia-info say what projects need; name them with --project");
    char *compiled = out_format("%s/compiled", real), whole[PATH_MAX];
    c.compiled = out_strdup(realpath(compiled, whole) != NULL ? whole : compiled); /* it may be a link */
    free(compiled);
    int status = need_all(&c, real);
    if (status == 0)
        status = sweep(&c);
    for (size_t i = 0; i < c.n_needed; i++)
        free((char *)(uintptr_t)c.needed[i]);
    for (size_t i = 0; i < c.n_gone; i++)
        free(c.gone[i].path);
    free(c.needed);
    free(c.gone);
    free(c.version);
    free(c.compiled);
    return out_finish(status);
}

const struct cli_command cli_julia_gc = {
    .name = "julia gc",
    .usage = "[OPTIONS] DEPOT",
    .summary = "remove cache files that nothing needs from a shared depot",
    .about =
        "Removes from DEPOT/compiled what killed builds left: temporary files, lock files that nobody "
        "touches any "
        "more, machine code without its .ji, files that no Julia loads because they are damaged. With "
        "--project, "
        "also every cache file of that Julia's version which none of the projects needs; with --max-size and "
        "--max-age, what was not used for longest and is not needed.\n\n"
        "Safe beside running builds: what was written or used within the last hour stays, and Julia touches "
        "what "
        "it uses. No Julia is run.",
    .example = "saggar julia gc --project app --julia-info julia.json /var/cache/depot",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = 1,
    .run = run,
};
