/* Where a package's source lies, and what a name means; see environment.h. */
#include <string.h>

#include "base/hash.h"
#include "julia/environment.h"

enum answer { NOTHING, FOUND, STOP }; /* STOP: nothing, and no further environment is asked */

static const char *file_or_null(struct sg_world *w, const char *path) {
    return sg_world_is_file(w, path) ? path : NULL;
}

static const char *source_of(struct sg_world *w, const char *folder, const char *name) {
    return file_or_null(w, sg_world_join(w, folder, sg_arena_format(&w->arena, "src/%s.jl", name)));
}

/* The entry file of a package at a path, which may be that file itself. */
static const char *entry_file(struct sg_world *w, const char *path, const char *name, const char *entry) {
    if (entry != NULL)
        return file_or_null(w, sg_world_join(w, path, entry));
    return sg_world_is_file(w, path) ? path : source_of(w, path, name);
}

static const char *extension_file(struct sg_world *w, const char *package, const char *name) {
    const char *file =
        file_or_null(w, sg_world_join(w, package, sg_arena_format(&w->arena, "ext/%s/%s.jl", name, name)));
    return file != NULL
               ? file
               : file_or_null(w, sg_world_join(w, package, sg_arena_format(&w->arena, "ext/%s.jl", name)));
}

/* ---- Folders of packages, as the standard library ---- */

static const char *in_folder(struct sg_world *w, const char *folder, const struct sg_julia_id *id) {
    const char *package = sg_world_join(w, folder, id->name), *source = source_of(w, package, id->name);
    struct sg_julia_id there;
    bool is_folder;
    if (source == NULL)
        return NULL;
    const char *project = sg_environment_project(w, package, &is_folder);
    return project != NULL && sg_project_id(w, project, &there) && sg_julia_id_is(&there, id) ? source : NULL;
}

/* ---- Manifests ---- */

static enum answer in_packages(struct sg_world *w, const struct sg_julia_id *id, const char *tree,
                               const char **path) {
    uint8_t raw[20];
    char slug[SG_JULIA_SLUG];
    if (!sg_unhex(raw, sizeof raw, tree, strlen(tree)))
        return STOP;
    for (unsigned n = 5; n >= 4; n--) {
        sg_julia_version_slug(slug, id->uuid, raw, n);
        for (size_t i = 0; i < w->n_depots; i++) {
            struct stat st;
            const char *folder =
                sg_world_join(w, w->depots[i], sg_arena_format(&w->arena, "packages/%s/%s", id->name, slug));
            if (!sg_world_stat(w, folder, &st))
                continue;
            *path = entry_file(w, folder, id->name, NULL);
            return *path != NULL ? FOUND : STOP;
        }
    }
    return STOP;
}

static enum answer by_entry(struct sg_world *w, const char *manifest, const struct sg_julia_id *id,
                            const struct sg_doc *entry, const char **path) {
    const char *given = sg_doc_text(entry, "path"), *tree = sg_doc_text(entry, "git-tree-sha1");
    if (given != NULL) {
        *path = entry_file(w, sg_world_join(w, sg_world_parent(w, manifest), given), id->name,
                           sg_doc_text(entry, "entryfile"));
        return *path != NULL ? FOUND : STOP;
    }
    if (tree != NULL)
        return in_packages(w, id, tree, path);
    *path = w->info.stdlib != NULL ? in_folder(w, w->info.stdlib, id) : NULL;
    return *path != NULL ? FOUND : NOTHING;
}

/* The package whose extension `id` is, in a manifest. */
static const struct sg_doc *parent_of(const struct sg_doc *packages, const struct sg_julia_id *id,
                                      struct sg_julia_id *parent) {
    for (size_t i = 0; packages != NULL && packages->kind == SG_DOC_TABLE && i < packages->n; i++) {
        const struct sg_doc *list = &packages->item[i];
        for (size_t k = 0; list->kind == SG_DOC_ARRAY && k < list->n; k++) {
            const struct sg_doc *entry = &list->item[k];
            if (sg_doc_get(sg_doc_get(entry, "extensions"), id->name) == NULL ||
                !sg_doc_uuid(entry, &parent->uuid) ||
                !sg_julia_uuid_is(sg_julia_uuid5(parent->uuid, id->name), id->uuid))
                continue;
            parent->name = packages->key[i];
            return entry;
        }
    }
    return NULL;
}

static const struct sg_doc *entry_of(const struct sg_doc *packages, const struct sg_julia_id *id) {
    const struct sg_doc *list = sg_doc_get(packages, id->name);
    for (size_t i = 0; list != NULL && list->kind == SG_DOC_ARRAY && i < list->n; i++) {
        struct sg_julia_uuid uuid;
        if (sg_doc_uuid(&list->item[i], &uuid) && sg_julia_uuid_is(uuid, id->uuid))
            return &list->item[i];
    }
    return NULL;
}

static enum answer in_manifest(struct sg_world *w, const char *project, const struct sg_julia_id *id,
                               const char **path) {
    const char *manifest = sg_environment_manifest(w, project);
    const struct sg_doc *packages =
                            manifest != NULL ? sg_manifest_packages(sg_world_toml(w, manifest)) : NULL,
                        *entry = entry_of(packages, id);
    struct sg_julia_id parent;
    if (entry != NULL)
        return by_entry(w, manifest, id, entry, path);
    if (parent_of(packages, id, &parent) == NULL)
        return NOTHING;
    const char *source = sg_locate(w, &parent);
    if (source == NULL)
        return NOTHING;
    *path = extension_file(w, sg_world_join(w, sg_world_parent(w, source), ".."), id->name);
    return *path != NULL ? FOUND : NOTHING;
}

static enum answer in_project(struct sg_world *w, const char *project, const struct sg_julia_id *id,
                              const char **path) {
    struct sg_julia_id self;
    const struct sg_doc *doc = sg_world_toml(w, project);
    const char *folder = sg_world_parent(w, project), *given = sg_doc_text(doc, "path");
    bool named = sg_project_id(w, project, &self);
    if (named && sg_julia_id_is(&self, id)) {
        *path = entry_file(w, sg_world_join(w, folder, given != NULL ? given : "."), id->name,
                           sg_doc_text(doc, "entryfile"));
        return *path != NULL ? FOUND : NOTHING;
    }
    if (named && sg_doc_get(sg_doc_get(doc, "extensions"), id->name) != NULL &&
        sg_julia_uuid_is(sg_julia_uuid5(self.uuid, id->name), id->uuid)) {
        *path = extension_file(w, folder, id->name);
        if (*path != NULL)
            return FOUND;
    }
    return in_manifest(w, project, id, path);
}

static const char *locate(struct sg_world *w, const struct sg_julia_id *id) {
    const char *path = NULL;
    for (size_t i = 0; i < w->n_environments; i++) {
        bool folder;
        const char *project = sg_environment_project(w, w->environments[i], &folder);
        if (folder)
            path = in_folder(w, w->environments[i], id);
        enum answer answer = project != NULL ? in_project(w, project, id, &path)
                             : path != NULL  ? FOUND
                                             : NOTHING;
        if (answer == FOUND)
            return path;
        if (answer == STOP)
            return NULL;
    }
    return w->info.stdlib != NULL && (id->uuid.hi | id->uuid.lo) != 0 ? in_folder(w, w->info.stdlib, id)
                                                                      : NULL;
}

/* Where a package was found before; `path` is NULL where it was not found. */
struct sg_located {
    struct sg_located *after;
    struct sg_julia_id id;
    const char *path;
};

const char *sg_locate(struct sg_world *w, const struct sg_julia_id *id) {
    struct sg_located **bucket = &w->located[sg_world_bucket(id)], *l;
    for (l = *bucket; l != NULL; l = l->after) {
        if (sg_julia_id_is(&l->id, id))
            return l->path;
    }
    const char *path = locate(w, id);
    l = sg_arena_alloc(&w->arena, sizeof *l);
    if (l != NULL) {
        *l = (struct sg_located){*bucket, *id, path};
        *bucket = l;
    }
    return path;
}

/* ---- What a name means ---- */

/* A name in a project's own dependencies, or the project's own name. */
static bool in_dependencies(struct sg_world *w, const char *project, const char *name,
                            struct sg_julia_id *found) {
    struct sg_julia_id self;
    found->name = name;
    if (sg_project_id(w, project, &self) && strcmp(self.name, name) == 0) {
        found->uuid = self.uuid;
        return true;
    }
    const struct sg_doc *deps = sg_doc_get(sg_world_toml(w, project), "deps");
    return deps != NULL && deps->kind == SG_DOC_TABLE && sg_doc_names(deps, name, &found->uuid);
}

/* The one entry of that name in a manifest. */
static enum answer only_entry(const struct sg_doc *packages, const char *name, struct sg_julia_id *found) {
    const struct sg_doc *list = sg_doc_get(packages, name);
    found->name = name;
    if (list == NULL || list->kind != SG_DOC_ARRAY || list->n != 1)
        return STOP;
    return sg_doc_uuid(&list->item[0], &found->uuid) ? FOUND : NOTHING;
}

static enum answer in_list(const struct sg_doc *packages, const struct sg_doc *list, const char *name,
                           struct sg_julia_id *found) {
    found->name = name;
    if (!sg_doc_names(list, name, &found->uuid))
        return NOTHING;
    return list->kind == SG_DOC_TABLE ? FOUND : only_entry(packages, name, found);
}

static enum answer from_manifest(struct sg_world *w, const char *project, const struct sg_julia_id *where,
                                 const char *name, struct sg_julia_id *found) {
    const char *manifest = sg_environment_manifest(w, project);
    const struct sg_doc *packages =
                            manifest != NULL ? sg_manifest_packages(sg_world_toml(w, manifest)) : NULL,
                        *entry = entry_of(packages, where);
    struct sg_julia_id parent;
    if (entry != NULL) {
        enum answer answer = in_list(packages, sg_doc_get(entry, "deps"), name, found);
        return answer == FOUND ? FOUND : STOP;
    }
    entry = parent_of(packages, where, &parent);
    if (entry == NULL)
        return NOTHING;
    if (strcmp(name, parent.name) == 0) {
        *found = parent;
        return FOUND;
    }
    struct sg_julia_uuid unused;
    if (sg_doc_names(sg_doc_get(sg_doc_get(entry, "extensions"), where->name), name, &unused)) {
        enum answer answer = in_list(packages, sg_doc_get(entry, "weakdeps"), name, found);
        if (answer == NOTHING)
            answer = in_list(packages, sg_doc_get(entry, "deps"), name, found);
        if (answer != NOTHING)
            return answer;
    }
    return sg_identify(w, &parent, name, found) ? FOUND : STOP;
}

static enum answer from_project(struct sg_world *w, const char *project, const struct sg_julia_id *where,
                                const char *name, struct sg_julia_id *found) {
    struct sg_julia_id self;
    if (sg_project_id(w, project, &self)) {
        const struct sg_doc *doc = sg_world_toml(w, project);
        if (sg_julia_id_is(&self, where))
            return in_dependencies(w, project, name, found) ? FOUND : STOP;
        if (sg_doc_get(sg_doc_get(doc, "extensions"), where->name) != NULL &&
            sg_julia_uuid_is(sg_julia_uuid5(self.uuid, where->name), where->uuid)) {
            found->name = name;
            if (sg_doc_names(sg_doc_get(doc, "weakdeps"), name, &found->uuid) ||
                in_dependencies(w, project, name, found))
                return FOUND;
        }
    }
    return from_manifest(w, project, where, name, found);
}

/* In a folder of packages: the project of `where` says what it depends on. */
static enum answer from_folder(struct sg_world *w, const char *folder, const struct sg_julia_id *where,
                               const char *name, struct sg_julia_id *found) {
    bool unused;
    if (in_folder(w, folder, where) == NULL)
        return NOTHING;
    const char *project = sg_environment_project(w, sg_world_join(w, folder, where->name), &unused);
    return project != NULL && in_dependencies(w, project, name, found) ? FOUND : STOP;
}

static bool at_top(struct sg_world *w, const char *name, struct sg_julia_id *found) {
    for (size_t i = 0; i < w->n_environments; i++) {
        bool folder;
        const char *project = sg_environment_project(w, w->environments[i], &folder);
        if (folder)
            project = sg_environment_project(w, sg_world_join(w, w->environments[i], name), &folder);
        else if (project != NULL && in_dependencies(w, project, name, found))
            return true;
        else
            continue;
        if (project != NULL && sg_project_id(w, project, found) && strcmp(found->name, name) == 0)
            return true;
    }
    return false;
}

bool sg_identify(struct sg_world *w, const struct sg_julia_id *where, const char *name,
                 struct sg_julia_id *found) {
    if (strcmp(where->name, name) == 0) {
        *found = *where;
        return true;
    }
    if ((where->uuid.hi | where->uuid.lo) == 0)
        return at_top(w, name, found);
    for (size_t i = 0; i < w->n_environments; i++) {
        bool folder;
        const char *project = sg_environment_project(w, w->environments[i], &folder);
        enum answer answer = project != NULL ? from_project(w, project, where, name, found)
                             : folder        ? from_folder(w, w->environments[i], where, name, found)
                                             : NOTHING;
        if (answer != NOTHING)
            return answer == FOUND;
    }
    return false;
}
