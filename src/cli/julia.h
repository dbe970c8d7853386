/* What the commands below `saggar julia` share. */
#ifndef SG_CLI_JULIA_H
#define SG_CLI_JULIA_H

#include "cli/args.h"
#include "cli/out.h"
#include "julia/project.h"

/* The options of all that look at a project. */
struct julia_options {
    struct cli_list depots;
    const char *info, *target, *images;
    bool here, json;
};

#define JULIA_DEPOT_OPTION(o)                                                                                \
    {                                                                                                        \
        'd', "depot", "DIR", CLI_LIST, &(o).depots,                                                          \
            "a depot, in the order of Julia's depot path; may be given more than once (default: those of "   \
            "the --julia-info, else JULIA_DEPOT_PATH, else ~/.julia)"                                        \
    }
#define JULIA_INFO_OPTION(o)                                                                                 \
    { 0, "julia-info", "FILE", CLI_TEXT, &(o).info, "what the Julia is that would load the files, as JSON" }
#define JULIA_TARGET_OPTION(o)                                                                               \
    {                                                                                                        \
        0, "target", "CPU", CLI_TEXT, &(o).target,                                                           \
            "for this processor, as x86-64-v3, instead of the one in the --julia-info, or of this machine"   \
    }
#define JULIA_IMAGES_OPTION(o)                                                                               \
    {                                                                                                        \
        0, "pkgimages", "MODE", CLI_TEXT, &(o).images,                                                       \
            "as Julia's option: yes, no or existing, instead of what the --julia-info says"                  \
    }
#define JULIA_HERE_OPTION(o)                                                                                 \
    {                                                                                                        \
        0, "here", NULL, CLI_FLAG, &(o).here,                                                                \
            "Julia sees the project and the depots where they lie now, whatever the --julia-info says"       \
    }
#define JULIA_OPTIONS(o)                                                                                     \
    JULIA_DEPOT_OPTION(o), JULIA_INFO_OPTION(o), JULIA_TARGET_OPTION(o), JULIA_IMAGES_OPTION(o),             \
        JULIA_HERE_OPTION(o)

/* Opens the project and decides about its packages; a status of 0, or a refusal that was printed. In any case
 * end with sg_world_free(). */
int julia_open(const struct julia_options *o, const char *project, struct sg_world *w,
               struct sg_package **list, size_t *n);
/* The same without a word: false, and w->error says why. */
bool julia_try(const struct julia_options *o, const char *project, struct sg_world *w,
               struct sg_package **list, size_t *n);

/* Makes the first depot that is named, where it is not there; 0, or an exit status after a message. */
int julia_make_depot(const struct julia_options *o);

/* A path of Julia's as it lies here. */
void julia_json_path(struct sg_json *j, struct sg_world *w, const char *path);
/* The members "name" and "uuid". */
void julia_json_id(struct sg_json *j, const struct sg_julia_id *id);
/* The members "fresh" and "file". */
void julia_json_fresh(struct sg_json *j, struct sg_world *w, const struct sg_package *p);
/* "0x" and the digits. */
void julia_json_hex(struct sg_json *j, uint64_t value, int digits);

#endif
