/*
 * saggar julia bake: the cache files that a project needs, in one image.
 *
 * For each processor that is named the best files that can be loaded together go in, each once. The same
 * files give the same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "cli/julia.h"
#include "julia/choose.h"

static struct julia_options shared;
static struct cli_list targets;
static const char *output = "julia.saggar";

static const struct cli_option options[] = {
    {'o', "output", "FILE", CLI_TEXT, &output, "write this file (default: julia.saggar)"},
    JULIA_DEPOT_OPTION(shared),
    JULIA_INFO_OPTION(shared),
    {0, "target", "CPU", CLI_LIST, &targets,
     "the files for this processor, as x86-64-v3; may be given more than once (default: the one in the "
     "--julia-info, or of this machine)"},
    JULIA_IMAGES_OPTION(shared),
    JULIA_HERE_OPTION(shared),
    {0, "json", NULL, CLI_FLAG, &shared.json, "one object"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "written: every package of the project, for every processor that was named"},
    {1,
     "written without a package that has no usable cache file, each with its reason; or there was nothing to "
     "write"},
    {2, "wrong usage, or a file that cannot be read or written"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

/* One package for one processor. */
struct row {
    char *target, *package, *file, *reason, *detail;
    char uuid[SG_JULIA_UUID_TEXT];
};

struct baking {
    saggar_image_writer *writer;
    struct row *row;
    size_t rows, missing;
    char **identity; /* of what is in the writer */
    size_t identities;
};

static void note(struct baking *b, const char *target, struct sg_world *w, const struct sg_package *p,
                 const char *file, const char *reason, const char *detail) {
    struct row *r = out_grow(&b->row, &b->rows, sizeof *r);
    r->target = out_strdup(target != NULL ? target : "");
    r->package = out_strdup(p->id.name);
    r->file = file != NULL ? out_strdup(sg_project_real(w, file)) : NULL;
    r->reason = out_strdup(reason);
    r->detail = out_strdup(detail);
    sg_julia_uuid_print(r->uuid, p->id.uuid);
    b->missing += file == NULL;
}

/* Counts what is new. */
static int add_core(struct baking *b, saggar_draft *draft) {
    uint8_t *core, identity[32];
    char hex[65];
    size_t size;
    int err = saggar_draft_encode(draft, &core, &size, identity);
    if (err != SAGGAR_OK)
        return err;
    err = saggar_image_writer_add(b->writer, core, size);
    free(core);
    sg_hex(hex, identity, sizeof identity);
    for (size_t i = 0; i < b->identities; i++) {
        if (strcmp(b->identity[i], hex) == 0)
            return err;
    }
    char **slot = out_grow(&b->identity, &b->identities, sizeof *b->identity);
    *slot = out_strdup(hex);
    return err;
}

/* A file that came with Julia stays with Julia. */
static bool is_bundled(struct sg_world *w, const struct sg_file *file) {
    if (w->info.stdlib == NULL)
        return false;
    const char *share = sg_world_parent(w, sg_world_parent(w, w->info.stdlib));
    return sg_world_is_same(w, w->depots[file->depot], share);
}

static int bake_package(struct baking *b, struct sg_supply *s, size_t at, const struct sg_choice *choice,
                        const char *target) {
    saggar_draft *draft;
    const struct sg_package *p = &s->list[at];
    if (choice->offer == NULL) {
        note(b, target, s->w, p, NULL, choice->reason, choice->detail);
        return 0;
    }
    if (is_bundled(s->w, choice->offer->file))
        return 0;
    const struct sg_file *file = choice->offer->file;
    int err = sg_julia_draft(s->w, &s->graph, at, file, &draft);
    if (err == SAGGAR_OK) {
        err = add_core(b, draft);
        saggar_draft_free(draft);
    }
    if (err == SAGGAR_ENOMEM)
        return cli_fail("%s", saggar_strerror(err));
    note(b, target, s->w, p, err == SAGGAR_OK ? file->path : NULL, err == SAGGAR_OK ? "" : "unreadable",
         err == SAGGAR_OK ? "" : saggar_strerror(err));
    return 0;
}

static int bake_target(struct baking *b, const char *project, const char *target) {
    struct julia_options o = shared;
    struct sg_package *list = NULL;
    struct sg_supply supply;
    struct sg_world w;
    size_t n;
    o.target = target;
    int status = julia_open(&o, project, &w, &list, &n);
    struct sg_choice *choice = status == 0 ? sg_arena_array(&w.arena, n + 1, sizeof *choice) : NULL;
    if (status == 0 &&
        (choice == NULL || !sg_supply_make(&w, list, n, &supply) || !sg_choose(&supply, choice)))
        status = cli_fail("%s", w.error[0] != '\0' ? w.error : saggar_strerror(SAGGAR_ENOMEM));
    for (size_t i = 0; status == 0 && i < n; i++) {
        if (list[i].wanted)
            status = bake_package(b, &supply, i, &choice[i], target);
    }
    sg_world_free(&w);
    return status;
}

/* ---- Saying it ---- */

static int print_json(const struct baking *b, const char *path, uint64_t bytes, const char *sha256) {
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "path");
    sg_json_str(&j, path);
    sg_json_key(&j, "sha256");
    sg_json_str(&j, sha256);
    sg_json_key(&j, "entries");
    sg_json_uint(&j, b->identities);
    sg_json_key(&j, "bytes");
    sg_json_uint(&j, bytes);
    sg_json_key(&j, "packages");
    sg_json_array(&j);
    for (size_t i = 0; i < b->rows; i++) {
        const struct row *r = &b->row[i];
        const char *const texts[] = {
            "name", r->package, "uuid",   r->uuid,   "target", r->target[0] != '\0' ? r->target : NULL,
            "file", r->file,    "reason", r->reason, "detail", r->detail};
        sg_json_object(&j);
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k += 2) {
            sg_json_key(&j, texts[k]);
            sg_json_str(&j, texts[k + 1]);
        }
        sg_json_object_end(&j);
    }
    sg_json_array_end(&j);
    sg_json_object_end(&j);
    return out_json_end(&j);
}

static void print_text(const struct baking *b, const char *path, uint64_t bytes, const char *sha256) {
    char size[OUT_UNIT], *count = out_count(b->identities, "cache file", "cache files");
    if (path != NULL) {
        out_put(stdout, path);
        printf(": %s, %s, sha256 %s\n", count, out_size(size, bytes), sha256);
    }
    free(count);
    for (size_t i = 0; i < b->rows; i++) {
        const struct row *r = &b->row[i];
        if (r->file != NULL)
            continue;
        fputs("left out: ", stdout);
        out_put(stdout, r->package);
        printf("%s%s: ", r->target[0] != '\0' ? " for " : "", r->target);
        out_put(stdout, r->reason);
        fputs(r->detail[0] != '\0' ? ": " : "", stdout);
        out_put(stdout, r->detail);
        putchar('\n');
    }
}

static int finish(struct baking *b) {
    uint8_t sha256[32];
    char hex[65] = "";
    struct stat st = {0};
    const char *path = b->identities > 0 ? output : NULL;
    if (path != NULL) {
        int err = saggar_image_writer_write(b->writer, path, sha256);
        if (err == SAGGAR_EINVAL && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
            return cli_fail("%s: is there and not a file; give another path with -o", path);
        if (err != SAGGAR_OK || stat(path, &st) != 0)
            return cli_fail("%s: could not be written: %s", path, saggar_strerror(err));
        sg_hex(hex, sha256, sizeof sha256);
    } else {
        cli_note("nothing to bake: no package of the project has a usable cache file; no file is written");
    }
    int status = 0;
    if (shared.json)
        status = print_json(b, path, (uint64_t)st.st_size, path != NULL ? hex : NULL);
    else
        print_text(b, path, (uint64_t)st.st_size, hex);
    return status != 0 ? status : b->missing > 0 || path == NULL ? SG_EXIT_FOUND : 0;
}

static int run(const struct cli_args *args) {
    struct baking b = {0};
    int status =
        saggar_image_writer_new(&b.writer) == SAGGAR_OK ? 0 : cli_fail("%s", saggar_strerror(SAGGAR_ENOMEM));
    if (status == 0 && targets.n == 0)
        status = bake_target(&b, args->names[0], NULL);
    for (size_t i = 0; status == 0 && i < targets.n; i++)
        status = bake_target(&b, args->names[0], targets.item[i]);
    if (status == 0)
        status = finish(&b);
    for (size_t i = 0; i < b.rows; i++) {
        free(b.row[i].target);
        free(b.row[i].package);
        free(b.row[i].file);
        free(b.row[i].reason);
        free(b.row[i].detail);
    }
    for (size_t i = 0; i < b.identities; i++)
        free(b.identity[i]);
    free(b.row);
    free(b.identity);
    saggar_image_writer_free(b.writer);
    return out_finish(status);
}

const struct cli_command cli_julia_bake = {
    .name = "julia bake",
    .usage = "[OPTIONS] PROJECT",
    .summary = "write the cache files that a project needs into one image",
    .about =
        "Takes exactly the files that Julia would load for the packages of a project, its extensions and the "
        "project itself, with their machine code, and writes them into one image. Of several files of a "
        "package that one is taken which has the best code for the processor and which agrees with the files "
        "of the other packages: a session loads one build of each. What came with Julia stays there. With "
        "--target, once for each processor, the image serves all of them. The same files give the same bytes."
        "\n\n"
        "No Julia is run. `saggar julia restore` puts the files into a depot again.",
    .example = "saggar julia bake --julia-info julia.json -o app.saggar /srv/app",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = 1,
    .run = run,
};
