/*
 * saggar julia restore: cache files from images and stores, put into a depot for a project.
 *
 * The status tells what Julia would do afterwards, decided anew from the files that lie there then.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/julia.h"
#include "cli/tiers.h"
#include "julia/restore.h"

static struct julia_options shared;
static struct cli_list images;
static const char *store, *mtime;
static bool relocate;

static const struct cli_option options[] = {
    {0, "image", "FILE", CLI_LIST, &images, "search this image first; may be given more than once"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "mtime", "SECONDS", CLI_TEXT, &mtime,
     "the time stamp (since 1970) of the files that are written, and of sources that Julia tells a change of "
     "by "
     "their stamp; those are compared first (default: files have the time of now, sources keep theirs)"},
    {0, "relocate", NULL, CLI_FLAG, &relocate,
     "also files of packages that lay at another path when they were compiled; code that kept the path "
     "(@__DIR__ in a constant) keeps the old one"},
    JULIA_OPTIONS(shared),
    {0, "json", NULL, CLI_FLAG, &shared.json, "an object with a list of packages"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "every package of the project would be loaded from a cache file now"},
    {1, "at least one would be compiled; each with its reason"},
    {2, "wrong usage, or a file or folder that cannot be read or written"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct restoring {
    struct sg_world world, after;
    struct sg_supply supply;
    struct sg_restored *restored;
    const struct sg_package *now; /* the packages in `after` */
    size_t n, n_now, written, present, stale;
    const struct sg_package *odd, *other;
};

static int read_mtime(struct sg_restore_options *o) {
    char *end;
    if (mtime == NULL)
        return 0;
    errno = 0;
    long long value = strtoll(mtime, &end, 10);
    if (errno != 0 || *end != '\0' || mtime[0] < '0' || mtime[0] > '9' || value > INT64_C(1) << 40)
        return cli_fail("--mtime %s: not a number of seconds since 1970", mtime);
    *o = (struct sg_restore_options){.fixed = true, .mtime = value};
    return 0;
}

static int restore(struct restoring *r, const char *project, const struct sg_stack *stack) {
    struct sg_restore_options o = {0};
    struct sg_package *list;
    int status = read_mtime(&o);
    if (status == 0)
        status = julia_make_depot(&shared);
    if (status == 0)
        status = julia_open(&shared, project, &r->world, &list, &r->n);
    if (status != 0)
        return status;
    r->restored = out_alloc((r->n + 1) * sizeof *r->restored);
    bool ok = sg_supply_make(&r->world, list, r->n, &r->supply);
    r->supply.relocate = relocate;
    if (ok && sg_supply_add(&r->supply, stack, 0, r->n) && sg_restore(&r->supply, &o, r->restored))
        return 0;
    return cli_fail("%s", r->world.error);
}

/* What Julia would do now. */
static int look_again(struct restoring *r, const char *project) {
    struct sg_package *list = NULL;
    int status = julia_open(&shared, project, &r->after, &list, &r->n_now);
    r->now = list;
    for (size_t i = 0; status == 0 && i < r->n_now; i++)
        r->stale += list[i].wanted && !list[i].fresh;
    if (status == 0)
        r->odd = sg_inconsistent(list, r->n_now, &r->other);
    return status;
}

static const struct sg_restored *restored_of(const struct restoring *r, const struct sg_package *p) {
    for (size_t i = 0; i < r->n; i++) {
        if (sg_julia_id_is(&r->supply.list[i].id, &p->id))
            return &r->restored[i];
    }
    return NULL;
}

/* Why a package would be compiled: what was found in entries says more than that no file is there. */
static const char *reason_of(const struct restoring *r, const struct sg_package *p, const char **detail) {
    const struct sg_restored *o = restored_of(r, p);
    *detail = p->detail;
    if (p->fresh)
        return "";
    if (o != NULL && o->error != 0) {
        *detail = saggar_strerror(o->error);
        return "could not be written";
    }
    if (o == NULL || o->choice.offer != NULL || o->choice.reason[0] == '\0')
        return p->reason;
    *detail = o->choice.detail;
    return o->choice.reason;
}

static int print_json(const struct restoring *r, struct sg_world *w) {
    struct sg_json j;
    sg_json_file(&j, stdout, 2);
    sg_json_object(&j);
    sg_json_key(&j, "depot");
    julia_json_path(&j, w, w->depots[0]);
    sg_json_key(&j, "written");
    sg_json_uint(&j, r->written);
    sg_json_key(&j, "present");
    sg_json_uint(&j, r->present);
    sg_json_key(&j, "packages");
    sg_json_array(&j);
    for (size_t i = 0; i < r->n_now; i++) {
        const struct sg_package *p = &r->now[i];
        const struct sg_restored *o = restored_of(r, p);
        const char *detail, *reason = reason_of(r, p, &detail);
        if (!p->wanted)
            continue;
        sg_json_object(&j);
        julia_json_id(&j, &p->id);
        julia_json_fresh(&j, w, p);
        sg_json_key(&j, "written");
        sg_json_bool(&j, o != NULL && o->written);
        sg_json_key(&j, "reason");
        sg_json_str(&j, reason);
        sg_json_key(&j, "detail");
        sg_json_str(&j, detail);
        sg_json_object_end(&j);
    }
    sg_json_array_end(&j);
    sg_json_object_end(&j);
    return out_json_end(&j);
}

static void print_text(const struct restoring *r) {
    for (size_t i = 0; i < r->n_now; i++) {
        const char *detail, *reason = reason_of(r, &r->now[i], &detail);
        if (!r->now[i].wanted || r->now[i].fresh)
            continue;
        fputs("not restored: ", stdout);
        out_put(stdout, r->now[i].id.name);
        fputs(": ", stdout);
        out_put(stdout, reason);
        fputs(detail[0] != '\0' ? ": " : "", stdout);
        out_put(stdout, detail);
        putchar('\n');
    }
    char *written = out_count(r->written, "cache file", "cache files");
    printf("%s written, %zu there already", written, r->present);
    free(written);
    if (r->stale > 0)
        printf("; %zu would be compiled\n", r->stale);
    else
        fputs("; all would be loaded from cache files\n", stdout);
}

static int report(struct restoring *r) {
    for (size_t i = 0; i < r->n; i++) {
        if (r->restored[i].choice.offer == NULL || r->restored[i].error != 0)
            continue;
        *(r->restored[i].written ? &r->written : &r->present) += 1;
    }
    if (r->supply.faults > 0)
        cli_note("%llu entries could not be read", (unsigned long long)r->supply.faults);
    if (r->odd != NULL)
        cli_note(
            "%s was compiled against another build of %s than Julia would load: another file of it is newer",
            r->odd->id.name, r->other->id.name);
    int status = 0;
    if (shared.json)
        status = print_json(r, &r->after);
    else
        print_text(r);
    return status != 0 ? status : r->stale > 0 || r->odd != NULL ? SG_EXIT_FOUND : 0;
}

static int run(const struct cli_args *args) {
    struct restoring r = {0};
    struct sg_settings settings = {0};
    struct sg_stack stack = {0};
    char *list = NULL;
    int status = cli_image_list(&images, &list);
    if (status == 0)
        status = cli_tiers_usable(store, list);
    if (status == 0)
        status = cli_stack(store, list, &settings, &stack);
    if (status == 0) {
        status = restore(&r, args->names[0], &stack);
        if (status == 0)
            status = look_again(&r, args->names[0]);
        if (status == 0)
            status = report(&r);
        sg_world_free(&r.world);
        sg_world_free(&r.after);
        sg_stack_close(&stack);
        sg_settings_free(&settings);
    }
    free(r.restored);
    free(list);
    return out_finish(status);
}

const struct cli_command cli_julia_restore = {
    .name = "julia restore",
    .usage = "[OPTIONS] PROJECT",
    .summary = "put the cache files of a project into a depot",
    .about =
        "Searches the images and the store for cache files of the packages of a project, takes those that "
        "Julia "
        "would load here, and puts them into the first depot, under names of their own: files of several "
        "projects lie side by side, also where Julia would give them the same name. Each file appears whole "
        "or "
        "not at all; many processes may restore at once, and each file is written once. The sources must be "
        "there: they are compared with what the code was compiled from.\n\n"
        "Where Julia tells a change of a source by its time stamp (before 1.11 all of them), the .ji is made "
        "to "
        "record the stamp that the source has here, if its content is the same; or both get the --mtime.\n\n"
        "No Julia is run, and no other file is changed.",
    .example = "saggar julia restore --image app.saggar --julia-info julia.json app",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = 1,
    .run = run,
};
