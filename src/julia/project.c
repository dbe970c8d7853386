/* See project.h. */
#include "julia/project.h"

#include <string.h>

#include "julia/preferences.h"

struct collecting {
    struct sg_world *w;
    struct sg_package *list;
    size_t n;
};

static bool collect(struct collecting *c, struct sg_julia_id id, const char *parent, bool wanted) {
    const struct sg_ji_module module = {.id = id};
    if (sg_is_loaded(c->w, &module) != 0)
        return true;
    for (size_t i = 0; i < c->n; i++) {
        if (sg_julia_id_is(&c->list[i].id, &id))
            return true;
    }
    struct sg_package *grown = sg_arena_more(&c->w->arena, c->list, c->n, sizeof *grown);
    if (grown == NULL)
        return sg_world_fail(c->w, "no memory");
    c->list = grown;
    grown[c->n++] =
        (struct sg_package){.id = id, .parent = parent, .wanted = wanted, .reason = "", .detail = ""};
    return true;
}

/* Whether the manifest has the package that a trigger names. */
static bool has_trigger(const struct sg_doc *packages, const struct sg_doc *owner, const char *name) {
    struct sg_julia_uuid uuid = {0}, own;
    const struct sg_doc *list = sg_doc_get(packages, name);
    if (!sg_doc_names(sg_doc_get(owner, "weakdeps"), name, &uuid) &&
        !sg_doc_names(sg_doc_get(owner, "deps"), name, &uuid))
        return false;
    for (size_t i = 0; list != NULL && list->kind == SG_DOC_ARRAY && i < list->n; i++) {
        if (sg_doc_uuid(&list->item[i], &own) && ((uuid.hi | uuid.lo) == 0 || sg_julia_uuid_is(uuid, own)))
            return true;
    }
    return false;
}

static bool extensions(struct collecting *c, const struct sg_doc *packages, const struct sg_doc *owner,
                       struct sg_julia_id parent) {
    const struct sg_doc *table = sg_doc_get(owner, "extensions");
    for (size_t i = 0; table != NULL && table->kind == SG_DOC_TABLE && i < table->n; i++) {
        const struct sg_doc *t = &table->item[i];
        bool wanted = t->kind == SG_DOC_TEXT && has_trigger(packages, owner, t->text);
        if (t->kind == SG_DOC_ARRAY) {
            wanted = t->n > 0;
            for (size_t k = 0; k < t->n; k++)
                wanted =
                    wanted && t->item[k].kind == SG_DOC_TEXT && has_trigger(packages, owner, t->item[k].text);
        }
        struct sg_julia_id id = {sg_julia_uuid5(parent.uuid, table->key[i]), table->key[i]};
        if (!collect(c, id, parent.name, wanted))
            return false;
    }
    return true;
}

static bool each_entry(struct collecting *c, const struct sg_doc *packages, bool with_extensions) {
    for (size_t i = 0; packages != NULL && packages->kind == SG_DOC_TABLE && i < packages->n; i++) {
        const struct sg_doc *list = &packages->item[i];
        for (size_t k = 0; list->kind == SG_DOC_ARRAY && k < list->n; k++) {
            struct sg_julia_id id = {.name = packages->key[i]};
            if (!sg_doc_uuid(&list->item[k], &id.uuid))
                continue;
            if (!(with_extensions ? extensions(c, packages, &list->item[k], id) : collect(c, id, NULL, true)))
                return false;
        }
    }
    return true;
}

/* What the project names and the manifest does not have: Julia finds it in the standard library, or fails. */
static bool each_name(struct collecting *c, const struct sg_doc *deps) {
    for (size_t i = 0; deps != NULL && deps->kind == SG_DOC_TABLE && i < deps->n; i++) {
        struct sg_julia_id id = {.name = deps->key[i]};
        if (sg_doc_names(deps, id.name, &id.uuid) && !collect(c, id, NULL, true))
            return false;
    }
    return true;
}

/* ---- The decision about a package ---- */

static bool refuse(struct sg_package *p, const struct sg_file *blamed, const char *reason,
                   const char *detail) {
    p->reason = reason;
    p->detail = detail;
    p->blamed = blamed;
    return false;
}

/* A cache file with exactly this build of a dependency. *throws: Julia fails while it looks for one. */
static const struct sg_file *build_of(struct sg_world *w, const struct sg_ji_module *m,
                                      const struct sg_file **throws) {
    const struct sg_listed *l = sg_candidates(w, &m->id);
    *throws = l != NULL ? l->throws : NULL;
    for (size_t i = 0; l != NULL && *throws == NULL && i < l->n; i++) {
        struct sg_file *file = l->file[i];
        sg_judge(w, file, &m->id);
        if (file->verdict == SG_THROWS)
            *throws = file;
        else if (file->verdict == SG_FRESH && file->ji.provides[0].build_hi == m->build_hi &&
                 file->ji.provides[0].build_lo == m->build_lo)
            return file;
    }
    return NULL;
}

/* Whether everything that a fresh file needs can be loaded from caches. `*over`: Julia gives up here. */
static bool complete(struct sg_world *w, struct sg_package *p, const struct sg_file *file, bool *over) {
    for (size_t i = 0; i < file->ji.n_required; i++) {
        const struct sg_ji_module *m = &file->ji.required[i];
        const struct sg_file *throws;
        char build[SG_JULIA_UUID_TEXT];
        if (sg_is_loaded(w, m) > 0 || build_of(w, m, &throws) != NULL)
            continue;
        if (throws != NULL) {
            *over = true;
            return refuse(p, throws, "EOFError: read end of file", throws->path);
        }
        sg_julia_uuid_print(build, (struct sg_julia_uuid){m->build_hi, m->build_lo});
        return refuse(
            p, file, "missing from the cache",
            sg_arena_format(&w->arena,
                            "Rejecting cache file %s because required dependency %s with build ID %s is "
                            "missing from the cache.",
                            file->path, sg_id_print(w, &m->id), build));
    }
    return true;
}

static bool decide(struct sg_world *w, struct sg_package *p) {
    char uuid[SG_JULIA_UUID_TEXT];
    p->source = sg_locate(w, &p->id);
    p->files = sg_candidates(w, &p->id);
    if (p->files == NULL)
        return false;
    for (size_t i = 0; i < p->files->n; i++)
        sg_judge(w, p->files->file[i], &p->id);
    if (p->source == NULL)
        return refuse(p, NULL,
                      sg_arena_format(&w->arena, "Cannot locate source for %s [%s]", p->id.name,
                                      sg_julia_uuid_print(uuid, p->id.uuid)),
                      "");
    if (p->files->throws != NULL)
        return refuse(p, p->files->throws, p->files->throws->reason, p->files->throws->detail);
    for (size_t i = 0; i < p->files->n; i++) {
        const struct sg_file *file = p->files->file[i];
        struct sg_package trial = *p;
        bool over = file->verdict == SG_THROWS;
        if (file->verdict == SG_FRESH && complete(w, &trial, file, &over)) {
            p->reason = p->detail = "";
            p->blamed = NULL;
            p->file = file;
            return p->fresh = true;
        }
        if (p->blamed == NULL || over) { /* the first one is what Julia likes best */
            if (file->verdict == SG_FRESH)
                refuse(p, trial.blamed, trial.reason, trial.detail);
            else
                refuse(p, file, file->reason, file->detail);
        }
        if (over)
            return false;
    }
    return p->files->n > 0 ? false : refuse(p, NULL, "no cache file", "");
}

bool sg_project_packages(struct sg_world *w, struct sg_package **list, size_t *n) {
    struct collecting c = {.w = w};
    const char *project = w->info.project, *manifest = sg_environment_manifest(w, project);
    const struct sg_doc *doc = sg_world_toml(w, project), *deps = sg_doc_get(doc, "deps"),
                        *packages =
                            manifest != NULL ? sg_manifest_packages(sg_world_toml(w, manifest)) : NULL;
    struct sg_julia_id self;
    if (w->error[0] != '\0')
        return false;
    if (manifest == NULL && deps != NULL && deps->n > 0)
        return sg_world_fail(w, "%s has no manifest beside it (workspaces are not followed)",
                             sg_project_real(w, project));
    bool named = sg_project_id(w, project, &self) && sg_doc_get(doc, "uuid") != NULL;
    if (named && sg_locate(w, &self) != NULL && !collect(&c, self, NULL, true))
        return false;
    if (!each_entry(&c, packages, false) || !each_name(&c, deps) || !each_entry(&c, packages, true) ||
        (named && !extensions(&c, packages, doc, self)))
        return false;
    for (size_t i = 0; i < c.n; i++)
        decide(w, &c.list[i]);
    *list = c.list;
    *n = c.n;
    return w->error[0] == '\0' && (!w->arena.failed || sg_world_fail(w, "no memory"));
}

/* ---- Names ---- */

const char *sg_package_would_write(struct sg_world *w, const struct sg_package *p, bool lock) {
    char first[SG_JULIA_SLUG], second[SG_JULIA_SLUG];
    const char *undecided = NULL;
    struct sg_julia_slug_inputs in = {.project = lock ? "" : w->info.project,
                                      .image = w->info.image,
                                      .binary = w->info.binary,
                                      .cpu_target = w->info.cpu_target,
                                      .flags = w->info.flags,
                                      .paths_only = w->info.minor < 9};
    for (size_t i = 0; i < p->files->n && !lock; i++) {
        const struct sg_ji *ji = &p->files->file[i]->ji;
        if (ji->state != SG_JI_OK)
            continue;
        in.preferences = sg_preferences_hash(w, p->id.uuid, ji->preferences, ji->n_preferences, &undecided);
        break;
    }
    if (undecided != NULL)
        return NULL;
    sg_julia_slug(first, sg_julia_uuid_crc(p->id.uuid), 5);
    sg_julia_slug(second, sg_julia_cache_crc(&in), 5);
    return sg_arena_format(&w->arena, "compiled/v%d.%d/%s/%s_%s.ji%s", w->info.major, w->info.minor,
                           p->id.name, first, second, lock ? ".pidfile" : "");
}

bool sg_project_owner(const struct sg_package *list, size_t n, const char *path, struct sg_julia_id *id) {
    const char *name = strrchr(path, '/'), *start = name;
    while (start != NULL && start > path && start[-1] != '/')
        start--;
    for (size_t i = 0; name != NULL && i < n; i++) {
        size_t length = strlen(list[i].id.name);
        if ((size_t)(name - start) == length && memcmp(start, list[i].id.name, length) == 0) {
            *id = list[i].id;
            return true;
        }
    }
    return false;
}
