/*
 * What the packages of a project depend on, by its manifest: the part of a package's environment that decides
 * its key.
 */
#ifndef SG_JULIA_GRAPH_H
#define SG_JULIA_GRAPH_H

#include "julia/project.h"

struct sg_graph_node {
    struct sg_julia_id id;
    const char *origin;  /* the git tree hash; "path"; or the version, of the standard library */
    const size_t *needs; /* indexes of nodes */
    size_t n_needs;
};

/* One node for each package of the project, in the order of the list; belongs to the world. */
struct sg_graph {
    const struct sg_graph_node *node;
    size_t n;
};

/* False: w->error says why. */
bool sg_graph_make(struct sg_world *w, const struct sg_package *list, size_t n, struct sg_graph *out);

/* Which nodes a node needs, itself too, in the order of their UUIDs: indexes that belong to the world. NULL:
 * no memory. */
const size_t *sg_graph_closure(struct sg_world *w, const struct sg_graph *graph, size_t of, size_t *n);

#endif
