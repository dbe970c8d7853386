/* saggar julia: the group, and what its sub-commands share. */
#include "cli/julia.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <saggar/saggar.h>

#include "base/file.h"

bool julia_try(const struct julia_options *o, const char *project, struct sg_world *w,
               struct sg_package **list, size_t *n) {
    *w = (struct sg_world){0};
    struct sg_project_options options = {
        .project = project,
        .depots = o->depots.item,
        .n_depots = o->depots.n,
        .depot_path = getenv("JULIA_DEPOT_PATH"),
        .home = getenv("HOME"),
        .info = o->info,
        .target = o->target,
        .images = o->images,
        .here = o->here,
    };
    if (o->info == NULL)
        return sg_world_fail(w, "which Julia? describe it with --julia-info FILE; docs/julia.md says how");
    return sg_project_open(w, &options) && sg_project_packages(w, list, n);
}

int julia_open(const struct julia_options *o, const char *project, struct sg_world *w,
               struct sg_package **list, size_t *n) {
    return julia_try(o, project, w, list, n) ? 0 : cli_fail("%s", w->error);
}

int julia_make_depot(const struct julia_options *o) {
    if (o->depots.n == 0 || sg_make_dirs(o->depots.item[0], 0755) == SAGGAR_OK)
        return 0;
    return cli_fail("%s: %s", o->depots.item[0], strerror(errno));
}

void julia_json_path(struct sg_json *j, struct sg_world *w, const char *path) {
    sg_json_str(j, path != NULL ? sg_project_real(w, path) : NULL);
}

void julia_json_id(struct sg_json *j, const struct sg_julia_id *id) {
    char text[SG_JULIA_UUID_TEXT];
    sg_json_key(j, "name");
    sg_json_str(j, id->name);
    sg_json_key(j, "uuid");
    sg_json_str(j, (id->uuid.hi | id->uuid.lo) != 0 ? sg_julia_uuid_print(text, id->uuid) : NULL);
}

void julia_json_fresh(struct sg_json *j, struct sg_world *w, const struct sg_package *p) {
    sg_json_key(j, "fresh");
    sg_json_bool(j, p->fresh);
    sg_json_key(j, "file");
    julia_json_path(j, w, p->fresh ? p->file->path : NULL);
}

void julia_json_hex(struct sg_json *j, uint64_t value, int digits) {
    char *text = out_format("0x%0*llx", digits, (unsigned long long)value);
    sg_json_str(j, text);
    free(text);
}

static const struct cli_command *const members[] = {
    &cli_julia_ls,      &cli_julia_check, &cli_julia_why, &cli_julia_bake,
    &cli_julia_restore, &cli_julia_gc,    &cli_julia_run, NULL};

const struct cli_command cli_julia = {
    .name = "julia",
    .summary = "ship, share and explain the precompile caches of Julia",
    .about =
        "Reads what Julia keeps below DEPOT/compiled: what there is, which packages of a project would load "
        "from it, and why the others would be compiled again. Writes what a project needs into an image, "
        "puts "
        "it into a depot elsewhere, and clears depots that builds share. No Julia is needed for any of it; "
        "`run` runs one and keeps what it compiles.",
    .group = members,
};
