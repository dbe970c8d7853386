/* See preferences.h. */
#include "julia/preferences.h"

static bool uuid_in(const struct sg_doc *table, struct sg_julia_uuid uuid, const char **name) {
    for (size_t i = 0; table != NULL && table->kind == SG_DOC_TABLE && i < table->n; i++) {
        struct sg_julia_uuid u;
        const char *text = sg_doc_text(table, table->key[i]);
        if (text != NULL && sg_julia_uuid_parse(text, &u) && sg_julia_uuid_is(u, uuid)) {
            *name = table->key[i];
            return true;
        }
    }
    return false;
}

/* What the project calls the package; NULL: it may not set its preferences. */
static const char *name_in(struct sg_world *w, const char *project, struct sg_julia_uuid uuid) {
    const struct sg_doc *doc = sg_world_toml(w, project);
    struct sg_julia_uuid own;
    const char *name = sg_doc_text(doc, "name");
    if (name != NULL && sg_doc_uuid(doc, &own) && sg_julia_uuid_is(own, uuid))
        return name;
    if (uuid_in(sg_doc_get(doc, "deps"), uuid, &name) || uuid_in(sg_doc_get(doc, "extras"), uuid, &name))
        return name;
    return w->info.minor >= 11 && uuid_in(sg_doc_get(doc, "weakdeps"), uuid, &name) ? name : NULL;
}

/* The preferences of a project for the package, the later list winning: from the project itself, from the
 * file beside it. */
static size_t tables(struct sg_world *w, const char *project, const char *name, const struct sg_doc *out[2]) {
    static const char *const files[] = {"JuliaLocalPreferences.toml", "LocalPreferences.toml"};
    const char *folder = sg_world_parent(w, project);
    size_t n = 0;
    out[n] = sg_doc_get(sg_doc_get(sg_world_toml(w, project), "preferences"), name);
    n += out[n] != NULL;
    for (size_t i = 0; i < 2; i++) {
        const char *file = sg_world_join(w, folder, files[i]);
        if (!sg_world_is_file(w, file))
            continue;
        out[n] = sg_doc_get(sg_world_toml(w, file), name);
        n += out[n] != NULL;
        break;
    }
    return n;
}

/* The value of a name after all tables: each may set it, or clear it first. */
static void apply(const struct sg_doc *table, const char *name, const struct sg_doc **value) {
    struct sg_julia_uuid unused;
    const struct sg_doc *clear = sg_doc_get(table, "__clear__"), *set = sg_doc_get(table, name);
    if (clear != NULL && clear->kind == SG_DOC_ARRAY && sg_doc_names(clear, name, &unused))
        *value = NULL;
    if (set != NULL)
        *value = set;
}

static const struct sg_doc *value_of(struct sg_world *w, struct sg_julia_uuid uuid, const char *name) {
    const struct sg_doc *value = NULL;
    for (size_t i = w->n_environments; i-- > 0;) {
        bool folder;
        const struct sg_doc *list[2];
        const char *project = sg_environment_project(w, w->environments[i], &folder),
                   *package = project != NULL ? name_in(w, project, uuid) : NULL;
        size_t n = package != NULL ? tables(w, project, package, list) : 0;
        for (size_t k = 0; k < n; k++)
            apply(list[k], name, &value);
    }
    return value;
}

uint64_t sg_preferences_hash(struct sg_world *w, struct sg_julia_uuid uuid, const char *const *names,
                             size_t n, const char **undecided) {
    uint64_t h = 0;
    *undecided = NULL;
    for (size_t i = 0; i < n && (uuid.hi | uuid.lo) != 0; i++) {
        const struct sg_doc *value = value_of(w, uuid, names[i]);
        if (value == NULL)
            continue;
        switch (value->kind) {
        case SG_DOC_BOOL:
            h = sg_julia_hash_int(value->truth, h);
            break;
        case SG_DOC_INT:
            h = sg_julia_hash_int(value->integer, h);
            break;
        case SG_DOC_REAL:
            h = sg_julia_hash_real(value->real, h);
            break;
        case SG_DOC_TEXT:
            h = sg_julia_hash_text(value->text, value->size, h);
            break;
        default:
            *undecided = names[i];
            return 0;
        }
    }
    return h;
}
