/* Opening a project: what its Julia is, and where its folders lie; see project.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "isa/features.h"
#include "isa/host.h"
#include "julia/project.h"
#include "julia/targets.h"

enum { INFO_MAX = 16 << 20 };

static bool read_info(struct sg_world *w, const char *path) {
    char why[256] = "";
    unsigned char *data;
    size_t size;
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return sg_world_fail(w, "%s: not a file", path);
    if (!sg_world_read(w, path, INFO_MAX, &data, &size))
        return sg_world_fail(w, "%s: %s", path, strerror(errno));
    struct sg_doc *doc = sg_doc_json((const char *)data, size, why, sizeof why);
    free(data);
    bool ok = doc != NULL && sg_julia_info_read(&w->arena, doc, &w->info, why, sizeof why);
    sg_doc_free(doc);
    return ok || sg_world_fail(w, "%s: %s", path, why);
}

/* The processor that code must run on: a named one, else the session's, else this machine's. */
static bool choose_cpu(struct sg_world *w, const char *target) {
    struct sg_julia_cpu *cpu = &w->info.cpu;
    saggar_features set, host = {0};
    char why[256];
    bool x86 = strcmp(w->info.arch, "x86_64") == 0;
    if (target == NULL && cpu->known)
        return true;
    if (!x86)
        return target == NULL ||
               sg_world_fail(w, "a target can be named for x86_64 only, not for %s", w->info.arch);
    bool here = saggar_host_arch() == SAGGAR_ARCH_X86_64;
    if (here)
        sg_host_all(&host);
    if (target == NULL && !here)
        return true;
    set = host;
    if (target != NULL &&
        sg_target_parse(SAGGAR_ARCH_X86_64, target, &host, &set, why, sizeof why) != SAGGAR_OK)
        return sg_world_fail(w, "%s", why);
    *cpu = (struct sg_julia_cpu){.known = true, .name = ""};
    sg_julia_words(w->info.minor, &set, cpu);
    return true;
}

static bool choose_images(struct sg_world *w, const char *images) {
    if (images == NULL)
        return true;
    bool yes = strcmp(images, "yes") == 0;
    w->info.existing = strcmp(images, "existing") == 0;
    w->info.flags = (uint8_t)((w->info.flags & ~1u) | yes);
    return yes || w->info.existing || strcmp(images, "no") == 0 ||
           sg_world_fail(w, "%s is none of yes, no and existing", images);
}

static const char *absolute(struct sg_world *w, const char *path) {
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) {
        sg_world_fail(w, "%s: %s", path, strerror(errno));
        return NULL;
    }
    return sg_arena_text(&w->arena, real, strlen(real));
}

static bool add_depot(struct sg_world *w, const char *path) {
    const char **grown = sg_arena_more(&w->arena, w->depots, w->n_depots, sizeof *grown);
    if (grown == NULL)
        return sg_world_fail(w, "no memory");
    w->depots = grown;
    grown[w->n_depots++] = path;
    return true;
}

/* The first ones are those of the options; Julia's names for them stand at the same places in the info. */
static bool choose_depots(struct sg_world *w, const struct sg_project_options *o) {
    const struct sg_julia_info *info = &w->info;
    for (size_t i = 0; i < o->n_depots; i++) {
        const char *real = absolute(w, o->depots[i]);
        struct stat st;
        if (real != NULL && (stat(real, &st) != 0 || !S_ISDIR(st.st_mode)))
            return sg_world_fail(w, "%s: no depot: not a folder", o->depots[i]);
        bool named = !o->here && i < info->n_depots;
        if (real == NULL || (named && !sg_world_map(w, info->depots[i], real)) ||
            !add_depot(w, named ? info->depots[i] : real))
            return false;
    }
    for (size_t i = o->n_depots; i < info->n_depots; i++) {
        if (!add_depot(w, info->depots[i]))
            return false;
    }
    if (w->n_depots == 0 && !sg_depot_path(w, o->depot_path, o->home, &w->depots, &w->n_depots))
        return false;
    return w->n_depots > 0 || sg_world_fail(w, "no depot is known; name one with --depot");
}

static const char *project_file(struct sg_world *w, const char *path) {
    bool folder;
    const char *real = absolute(w, path),
               *file = real != NULL ? sg_environment_project(w, real, &folder) : NULL;
    if (file == NULL)
        sg_world_fail(w, "%s: neither a project file nor a folder with one", path);
    return file;
}

bool sg_project_open(struct sg_world *w, const struct sg_project_options *o) {
    if (!sg_doc_possible())
        return sg_world_fail(w,
                             "this saggar was built without toml11 and nlohmann-json, which read projects");
    const char *file = project_file(w, o->project);
    if (file == NULL || !read_info(w, o->info) || !choose_cpu(w, o->target) || !choose_images(w, o->images))
        return false;
    if (w->info.project != NULL && !o->here) {
        const char *slash = strrchr(file, '/');
        if (!sg_world_map(w, sg_world_parent(w, w->info.project), sg_world_parent(w, file)))
            return false;
        file = sg_world_join(w, sg_world_parent(w, w->info.project), slash + 1);
    }
    w->info.project = file;
    return choose_depots(w, o) && sg_environments(w, file);
}

const char *sg_project_real(struct sg_world *w, const char *path) {
    char real[PATH_MAX];
    return sg_world_real(w, path, real) != NULL ? sg_arena_text(&w->arena, real, strlen(real)) : path;
}
