/* Projects and manifests, and what is in them; see environment.h. Finding packages is in locate.c. */
#include "julia/environment.h"

#include <string.h>

static const char *const project_names[] = {"JuliaProject.toml", "Project.toml"};

bool sg_environments(struct sg_world *w, const char *project) {
    const char *shared = NULL, *name = sg_arena_format(&w->arena, "v%d.%d", w->info.major, w->info.minor);
    w->environments = sg_arena_array(&w->arena, 3, sizeof *w->environments);
    if (w->environments == NULL)
        return sg_world_fail(w, "no memory");
    w->environments[w->n_environments++] = project;
    for (size_t i = 0; i < w->n_depots && shared == NULL; i++) {
        const char *folder = sg_world_join(w, sg_world_join(w, w->depots[i], "environments"), name);
        for (size_t k = 0; k < 2 && shared == NULL; k++) {
            const char *file = sg_world_join(w, folder, project_names[k]);
            shared = sg_world_is_file(w, file) ? file : NULL;
        }
    }
    if (shared != NULL)
        w->environments[w->n_environments++] = shared;
    if (w->info.stdlib != NULL)
        w->environments[w->n_environments++] = w->info.stdlib;
    return !w->arena.failed;
}

const char *sg_environment_project(struct sg_world *w, const char *environment, bool *folder) {
    *folder = false;
    if (sg_world_is_dir(w, environment)) {
        for (size_t i = 0; i < 2; i++) {
            const char *file = sg_world_join(w, environment, project_names[i]);
            if (sg_world_is_file(w, file))
                return file;
        }
        *folder = true;
        return NULL;
    }
    const char *slash = strrchr(environment, '/'), *base = slash != NULL ? slash + 1 : environment;
    bool named = strcmp(base, project_names[0]) == 0 || strcmp(base, project_names[1]) == 0;
    return named && sg_world_is_file(w, environment) ? environment : NULL;
}

static const char *find_manifest(struct sg_world *w, const char *project) {
    const char *folder = sg_world_parent(w, project),
               *named = sg_doc_text(sg_world_toml(w, project), "manifest");
    if (named != NULL) {
        const char *file = sg_world_join(w, folder, named);
        if (sg_world_is_file(w, file))
            return file;
    }
    const char *tag = sg_arena_format(&w->arena, "-v%d.%d", w->info.major, w->info.minor);
    for (unsigned i = w->info.minor >= 11 || w->info.minor == 10 ? 0 : 2; i < 4; i++) {
        const char *file = sg_world_join(
            w, folder,
            sg_arena_format(&w->arena, "%sManifest%s.toml", i % 2 == 0 ? "Julia" : "", i < 2 ? tag : ""));
        if (sg_world_is_file(w, file))
            return file;
    }
    return NULL;
}

const char *sg_environment_manifest(struct sg_world *w, const char *project) {
    for (size_t i = 0; i < w->n_manifests; i++) {
        if (strcmp(w->manifests[i].project, project) == 0)
            return w->manifests[i].manifest;
    }
    const char *manifest = find_manifest(w, project);
    if (w->n_manifests < sizeof w->manifests / sizeof w->manifests[0]) {
        w->manifests[w->n_manifests].project = sg_arena_text(&w->arena, project, strlen(project));
        w->manifests[w->n_manifests++].manifest = manifest;
    }
    return manifest;
}

const struct sg_doc *sg_manifest_packages(const struct sg_doc *manifest) {
    const struct sg_doc *format = sg_doc_get(manifest, "manifest_format");
    if (format == NULL || (format->kind == SG_DOC_TABLE && sg_doc_get(format, "uuid") != NULL))
        return manifest;
    return sg_doc_get(manifest, "deps");
}

bool sg_doc_uuid(const struct sg_doc *table, struct sg_julia_uuid *uuid) {
    const char *text = sg_doc_text(table, "uuid");
    return text != NULL && sg_julia_uuid_parse(text, uuid);
}

bool sg_project_id(struct sg_world *w, const char *project, struct sg_julia_id *id) {
    const struct sg_doc *doc = sg_world_toml(w, project);
    const char *name = sg_doc_text(doc, "name");
    if (name == NULL)
        return false;
    id->name = name;
    if (!sg_doc_uuid(doc, &id->uuid)) {
        static const struct sg_julia_uuid dummy = {UINT64_C(0xfe0723d63a444c41),
                                                   UINT64_C(0x8065ee0f42c8ceab)};
        id->uuid = sg_julia_uuid5(dummy, project);
    }
    return true;
}

bool sg_doc_names(const struct sg_doc *list, const char *name, struct sg_julia_uuid *uuid) {
    *uuid = (struct sg_julia_uuid){0};
    if (list == NULL)
        return false;
    if (list->kind == SG_DOC_TEXT)
        return strcmp(list->text, name) == 0;
    if (list->kind == SG_DOC_TABLE) {
        const char *text = sg_doc_text(list, name);
        return text != NULL && sg_julia_uuid_parse(text, uuid);
    }
    for (size_t i = 0; list->kind == SG_DOC_ARRAY && i < list->n; i++) {
        if (list->item[i].kind == SG_DOC_TEXT && strcmp(list->item[i].text, name) == 0)
            return true;
    }
    return false;
}
