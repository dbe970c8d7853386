/*
 * A project: which of its packages Julia would load from cache files, and why not the others.
 *
 * Reads only; no Julia is run. Everything that is handed out belongs to the world.
 */
#ifndef SG_JULIA_PROJECT_H
#define SG_JULIA_PROJECT_H

#include "julia/judge.h"

struct sg_project_options {
    const char *project;       /* a folder or a project file, as it lies here */
    const char *const *depots; /* folders, as they lie here, in the order of Julia's depot path */
    size_t n_depots;
    const char *depot_path; /* Julia's variable, where neither these nor `info` name any; NULL: not set */
    const char *home;       /* NULL: none */
    const char *info;       /* a file: see info.h */
    const char *target;     /* instead of the processor in `info`: "x86-64-v3"; NULL: none */
    const char *images; /* instead of what `info` says about machine code: "yes", "no", "existing"; NULL */
    bool here;          /* do not take paths of `info` for Julia's names of the project and the depots */
};

/*
 * Opens a project. `info`'s active_project and depot_path are where its Julia sees the project and the depots
 * that are named in the options; what the Julia sees elsewhere is looked up there. False: w->error says why.
 * In any case end with sg_world_free().
 */
bool sg_project_open(struct sg_world *w, const struct sg_project_options *options);

/* The depots that JULIA_DEPOT_PATH (NULL: not set) names for this Julia, as far as it is known where that
 * lies. */
bool sg_depot_path(struct sg_world *w, const char *text, const char *home, const char ***list, size_t *n);

struct sg_package {
    struct sg_julia_id id;
    const char *parent; /* of an extension: the package that has it; else NULL */
    bool wanted;        /* false: an extension whose triggers are not all in the manifest */
    const char *source; /* NULL: not found */
    const struct sg_listed *files;

    bool fresh;                 /* Julia would load `file`, and all that it needs, from caches */
    const struct sg_file *file; /* NULL unless fresh */
    const char *reason, *detail;
    const struct sg_file *blamed; /* the file that reason and detail are about, NULL if about none */
};

/*
 * All packages of the manifest that are not in the system image, the project itself first if it is a package
 * with a source, then what the project names beyond the manifest, extensions last. False: w->error says why.
 */
bool sg_project_packages(struct sg_world *w, struct sg_package **list, size_t *n);

/* The path that Julia would write, below its first depot, and that of the lock file. Preferences are those
 * that the package's first readable cache file names. */
const char *sg_package_would_write(struct sg_world *w, const struct sg_package *p, bool lock);

/* Where a path of Julia's lies here. */
const char *sg_project_real(struct sg_world *w, const char *path);

/* The package of the project that a file below compiled/vX.Y/NAME is a cache of; false: of none. */
bool sg_project_owner(const struct sg_package *list, size_t n, const char *path, struct sg_julia_id *id);

#endif
