/* JULIA_DEPOT_PATH, as Julia reads it; see project.h. The versions differ in what an empty part stands for.
 */
#include <string.h>
#include <unistd.h>

#include "julia/project.h"

struct reading {
    struct sg_world *w;
    const char *home;
    const char **list;
    size_t n;
};

/* Each once. */
static bool add(struct reading *r, const char *path) {
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->list[i], path) == 0)
            return true;
    }
    const char **grown = sg_arena_more(&r->w->arena, r->list, r->n, sizeof *grown);
    if (grown == NULL)
        return sg_world_fail(r->w, "no memory");
    r->list = grown;
    grown[r->n++] = path;
    return true;
}

static bool add_user(struct reading *r) {
    return r->home == NULL || r->home[0] != '/' || add(r, sg_world_join(r->w, r->home, ".julia"));
}

/* What came with Julia; not known without the folder of the standard library, which lies in it. */
static bool add_bundled(struct reading *r) {
    const char *stdlib = r->w->info.stdlib;
    return stdlib == NULL || add(r, sg_world_parent(r->w, sg_world_parent(r->w, stdlib)));
}

/* From 1.11 on an empty part is what came with Julia alone, unless it is the first. */
static bool add_empty(struct reading *r, bool first) {
    return (r->w->info.minor >= 11 && !first) || add_user(r) ? add_bundled(r) : false;
}

static bool add_part(struct reading *r, const char *part) {
    char here[PATH_MAX];
    if (part[0] == '~' && (part[1] == '\0' || part[1] == '/') && r->home != NULL)
        return add(r, sg_world_join(r->w, r->home, part[1] == '/' ? part + 2 : ""));
    if (part[0] != '/' && getcwd(here, sizeof here) == NULL)
        return true;
    return add(r, sg_world_join(r->w, part[0] == '/' ? "/" : here, part));
}

bool sg_depot_path(struct sg_world *w, const char *text, const char *home, const char ***list, size_t *n) {
    struct reading r = {.w = w, .home = home};
    bool ok = text != NULL || (add_user(&r) && add_bundled(&r)), again = text != NULL && text[0] != '\0';
    for (bool first = true; ok && again; first = false) {
        size_t length = strcspn(text, ":");
        ok = length == 0 ? add_empty(&r, first) : add_part(&r, sg_arena_text(&w->arena, text, length));
        again = text[length] == ':';
        text += length + 1;
    }
    *list = r.list;
    *n = r.n;
    return ok && (!w->arena.failed || sg_world_fail(w, "no memory"));
}
