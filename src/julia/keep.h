/*
 * Cache files as entries: the recipe of a package in its environment, and the draft of a file with its
 * machine code.
 *
 * The key says which Julia, which package, and which source trees it and all that it needs have. What else
 * decides (flags, processors, preferences, the builds of other packages that it was compiled against, time
 * stamps of sources) stands in the file itself, and is judged as Julia's loader does: entries under one key
 * are variants, and nobody but this adapter serves them.
 */
#ifndef SG_JULIA_KEEP_H
#define SG_JULIA_KEEP_H

#include <saggar/saggar.h>

#include "julia/graph.h"

#define SG_JULIA_PART "ji"
#define SG_JULIA_CODE "so"
#define SG_JULIA_BUILD "julia-build" /* the resolver of a dependency: the build of a required package */
#define SG_JULIA_ROOT "package"      /* the root of a dependency: a source of the package */

/* The recipe of a node, finished; saggar_recipe_free() it. */
int sg_julia_recipe(struct sg_world *w, const struct sg_graph *graph, size_t of, saggar_recipe **out,
                    uint8_t key[SAGGAR_KEY_SIZE]);

/*
 * A draft of a fresh file of the node, which is read again together with its machine code. ECORRUPT: it is
 * not the file any more that was judged. An error of the system.
 */
int sg_julia_draft(struct sg_world *w, const struct sg_graph *graph, size_t of, const struct sg_file *file,
                   saggar_draft **out);

/* "julia:1.11.7:Toy": what the entries of a package are called. */
const char *sg_julia_group(struct sg_world *w, const struct sg_julia_id *id);

/* How long the folder is that the package's sources lie in, as the name of its first source tells. */
size_t sg_julia_root(const char *entry, const char *name);

/* What a dependency on source i is called: its scope and its name in there. `root`: of sg_julia_root(). */
const char *sg_julia_source_name(const struct sg_ji *ji, size_t i, size_t root, const char **scope);

#endif
