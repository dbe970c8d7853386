/* See graph.h. */
#include "julia/graph.h"

#include <string.h>

struct making {
    struct sg_world *w;
    const struct sg_package *list;
    size_t n;
    struct sg_graph_node *node;
    size_t *needs;
    size_t n_needs;
};

static size_t index_of(const struct making *m, const struct sg_julia_id *id) {
    for (size_t i = 0; i < m->n; i++) {
        if (sg_julia_id_is(&m->list[i].id, id))
            return i;
    }
    return m->n;
}

static void need(struct making *m, size_t of, const char *name) {
    struct sg_julia_id found;
    if (!sg_identify(m->w, &m->list[of].id, name, &found))
        return;
    size_t at = index_of(m, &found);
    if (at == m->n || at == of) /* in the system image */
        return;
    size_t *grown = sg_arena_more(&m->w->arena, m->needs, m->n_needs, sizeof *grown);
    if (grown == NULL)
        return;
    m->needs = grown;
    grown[m->n_needs++] = at;
}

/* A list of names, or a table whose keys are the names. */
static void need_all(struct making *m, size_t of, const struct sg_doc *names) {
    for (size_t i = 0; names != NULL && i < names->n; i++) {
        if (names->kind == SG_DOC_TABLE)
            need(m, of, names->key[i]);
        else if (names->kind == SG_DOC_ARRAY && names->item[i].kind == SG_DOC_TEXT)
            need(m, of, names->item[i].text);
    }
    if (names != NULL && names->kind == SG_DOC_TEXT)
        need(m, of, names->text);
}

static const struct sg_doc *entry_of(const struct sg_doc *packages, const char *name,
                                     struct sg_julia_uuid uuid) {
    const struct sg_doc *list = sg_doc_get(packages, name);
    for (size_t i = 0; list != NULL && list->kind == SG_DOC_ARRAY && i < list->n; i++) {
        struct sg_julia_uuid own;
        if (sg_doc_uuid(&list->item[i], &own) && sg_julia_uuid_is(own, uuid))
            return &list->item[i];
    }
    return NULL;
}

static void from_entry(struct making *m, size_t at, const struct sg_doc *entry) {
    const char *tree = sg_doc_text(entry, "git-tree-sha1"), *version = sg_doc_text(entry, "version");
    m->node[at].origin = tree != NULL                         ? tree
                         : sg_doc_text(entry, "path") != NULL ? "path"
                         : version != NULL                    ? version
                                                              : "";
    need_all(m, at, sg_doc_get(entry, "deps"));
}

/* An extension: its parent, and what makes it wanted. */
static void from_parent(struct making *m, size_t at, const struct sg_doc *packages,
                        const struct sg_doc *self) {
    const struct sg_julia_id *id = &m->list[at].id;
    m->node[at].origin = "extension";
    need(m, at, m->list[at].parent);
    for (size_t i = 0; i < m->n; i++) {
        const struct sg_julia_id *parent = &m->list[i].id;
        if (strcmp(parent->name, m->list[at].parent) != 0 ||
            !sg_julia_uuid_is(sg_julia_uuid5(parent->uuid, id->name), id->uuid))
            continue;
        const struct sg_doc *entry = entry_of(packages, parent->name, parent->uuid);
        need_all(m, at, sg_doc_get(sg_doc_get(entry != NULL ? entry : self, "extensions"), id->name));
    }
}

bool sg_graph_make(struct sg_world *w, const struct sg_package *list, size_t n, struct sg_graph *out) {
    const char *project = w->info.project, *manifest = sg_environment_manifest(w, project);
    const struct sg_doc *self = sg_world_toml(w, project),
                        *packages =
                            manifest != NULL ? sg_manifest_packages(sg_world_toml(w, manifest)) : NULL;
    struct sg_julia_id own;
    bool named = sg_project_id(w, project, &own);
    struct making m = {.w = w, .list = list, .n = n};
    m.node = sg_arena_array(&w->arena, n + 1, sizeof *m.node);
    for (size_t i = 0; m.node != NULL && i < n; i++) {
        const struct sg_doc *entry = entry_of(packages, list[i].id.name, list[i].id.uuid);
        m.node[i].id = list[i].id;
        m.needs = NULL;
        m.n_needs = 0;
        if (entry != NULL) {
            from_entry(&m, i, entry);
        } else if (list[i].parent != NULL) {
            from_parent(&m, i, packages, self);
        } else if (named && sg_julia_id_is(&list[i].id, &own)) {
            m.node[i].origin = "path";
            need_all(&m, i, sg_doc_get(self, "deps"));
        } else { /* of the standard library, and not in the manifest */
            m.node[i].origin = "";
        }
        m.node[i].needs = m.needs;
        m.node[i].n_needs = m.n_needs;
    }
    *out = (struct sg_graph){m.node, n};
    return !w->arena.failed || sg_world_fail(w, "no memory");
}

static bool before(const struct sg_graph *g, size_t a, size_t b) {
    struct sg_julia_uuid x = g->node[a].id.uuid, y = g->node[b].id.uuid;
    if (x.hi != y.hi)
        return x.hi < y.hi;
    return x.lo != y.lo ? x.lo < y.lo : strcmp(g->node[a].id.name, g->node[b].id.name) < 0;
}

const size_t *sg_graph_closure(struct sg_world *w, const struct sg_graph *g, size_t of, size_t *n) {
    size_t *list = sg_arena_array(&w->arena, g->n + 1, sizeof *list);
    bool *seen = sg_arena_array(&w->arena, g->n + 1, sizeof *seen);
    if (list == NULL || seen == NULL)
        return NULL;
    *n = 0;
    list[(*n)++] = of;
    seen[of] = true;
    for (size_t i = 0; i < *n; i++) {
        const struct sg_graph_node *node = &g->node[list[i]];
        for (size_t k = 0; k < node->n_needs; k++) {
            if (!seen[node->needs[k]])
                list[(*n)++] = node->needs[k];
            seen[node->needs[k]] = true;
        }
    }
    for (size_t i = 1; i < *n; i++) {
        size_t one = list[i], k = i;
        for (; k > 0 && before(g, one, list[k - 1]); k--)
            list[k] = list[k - 1];
        list[k] = one;
    }
    return list;
}
