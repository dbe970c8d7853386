/*
 * Which package a name means, and where its source lies: Julia's load path, projects and manifests.
 *
 * As in Julia's own loader, of which the version decides small things. Answers belong to the world.
 */
#ifndef SG_JULIA_ENVIRONMENT_H
#define SG_JULIA_ENVIRONMENT_H

#include "julia/world.h"

/* The load path of a plain session: the project, the shared environment of the version, the standard library.
 */
bool sg_environments(struct sg_world *w, const char *project);

/* The project file of an environment, NULL if it has none; *folder: it is a folder of packages instead. */
const char *sg_environment_project(struct sg_world *w, const char *environment, bool *folder);

/* The manifest beside a project file, NULL if there is none. */
const char *sg_environment_manifest(struct sg_world *w, const char *project);
/* The table of packages of a manifest: lists of entries by name. NULL: none. */
const struct sg_doc *sg_manifest_packages(const struct sg_doc *manifest);

/* The identity of the project itself; false if it has no name. */
bool sg_project_id(struct sg_world *w, const char *project, struct sg_julia_id *id);
bool sg_doc_uuid(const struct sg_doc *table, struct sg_julia_uuid *uuid);
/* A list of names, or a table by name, or one name: whether it holds `name`. *uuid is set by a table. */
bool sg_doc_names(const struct sg_doc *list, const char *name, struct sg_julia_uuid *uuid);

/* The file that is loaded for a package; NULL: not found. */
const char *sg_locate(struct sg_world *w, const struct sg_julia_id *id);

/* What `name` means inside of `where` (no UUID: at top level). False: nothing. */
bool sg_identify(struct sg_world *w, const struct sg_julia_id *where, const char *name,
                 struct sg_julia_id *found);

#endif
