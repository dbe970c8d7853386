/* See keep.h. */
#include "julia/keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "julia/targets.h"

static const size_t FILE_LIMIT = (size_t)UINT32_MAX;

size_t sg_julia_root(const char *entry, const char *name) {
    size_t n = strlen(entry);
    for (int i = 0; i < 3 && strlen(name) < 256; i++) {
        char tail[600];
        int k = i == 0   ? snprintf(tail, sizeof tail, "/src/%s.jl", name)
                : i == 1 ? snprintf(tail, sizeof tail, "/ext/%s/%s.jl", name, name)
                         : snprintf(tail, sizeof tail, "/ext/%s.jl", name);
        if (n > (size_t)k && strcmp(entry + n - (size_t)k, tail) == 0)
            return n - (size_t)k;
    }
    const char *slash = strrchr(entry, '/');
    return slash != NULL ? (size_t)(slash - entry) : 0;
}

const char *sg_julia_group(struct sg_world *w, const struct sg_julia_id *id) {
    return sg_arena_format(&w->arena, "julia:%s:%s", w->info.version, id->name);
}

/* ---- The recipe ---- */

static void text(saggar_encoder *e, const char *s) {
    saggar_encode_text(e, s, strlen(s));
}

/* The next field: whatever was encoded since the last one. */
static int field(saggar_recipe *recipe, saggar_encoder *e, const char *name) {
    const uint8_t *bytes;
    size_t n;
    int err = saggar_encoder_bytes(e, &bytes, &n);
    if (err == SAGGAR_OK)
        err = saggar_recipe_field(recipe, name, bytes, n);
    saggar_encoder_reset(e);
    return err;
}

static void compiler(const struct sg_julia_info *info, saggar_encoder *e) {
    const char *const parts[] = {info->version, info->uname, info->arch, info->branch, info->commit};
    saggar_encode_begin(e, SAGGAR_TUPLE);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        text(e, parts[i]);
    saggar_encode_end(e);
}

static int source(struct sg_world *w, const struct sg_graph *g, size_t of, saggar_encoder *e) {
    char uuid[SG_JULIA_UUID_TEXT];
    size_t n;
    const size_t *closure = sg_graph_closure(w, g, of, &n);
    if (closure == NULL)
        return SAGGAR_ENOMEM;
    saggar_encode_begin(e, SAGGAR_TUPLE);
    text(e, g->node[of].id.name);
    text(e, sg_julia_uuid_print(uuid, g->node[of].id.uuid));
    saggar_encode_begin(e, SAGGAR_LIST);
    for (size_t i = 0; i < n; i++) {
        const struct sg_graph_node *node = &g->node[closure[i]];
        saggar_encode_begin(e, SAGGAR_TUPLE);
        text(e, node->id.name);
        text(e, sg_julia_uuid_print(uuid, node->id.uuid));
        text(e, node->origin);
        saggar_encode_end(e);
    }
    saggar_encode_end(e);
    return saggar_encode_end(e);
}

int sg_julia_recipe(struct sg_world *w, const struct sg_graph *g, size_t of, saggar_recipe **out,
                    uint8_t key[SAGGAR_KEY_SIZE]) {
    saggar_recipe *recipe = NULL;
    saggar_encoder *e = NULL;
    int err = saggar_recipe_new(&recipe);
    if (err == SAGGAR_OK)
        err = saggar_encoder_new(&e);
    if (err == SAGGAR_OK) {
        saggar_encode_begin(e, SAGGAR_TUPLE);
        text(e, "julia");
        saggar_encode_int(e, 1);
        saggar_encode_end(e);
        err = field(recipe, e, "adapter");
    }
    if (err == SAGGAR_OK) {
        compiler(&w->info, e);
        err = field(recipe, e, "compiler");
    }
    if (err == SAGGAR_OK)
        err = source(w, g, of, e);
    if (err == SAGGAR_OK)
        err = field(recipe, e, "source");
    if (err == SAGGAR_OK) {
        saggar_encode_none(e); /* they stand in the file */
        err = field(recipe, e, "options");
    }
    if (err == SAGGAR_OK)
        err = saggar_recipe_finish(recipe, key, NULL, NULL);
    saggar_encoder_free(e);
    if (err == SAGGAR_OK)
        *out = recipe;
    else
        saggar_recipe_free(recipe);
    return err;
}

/* ---- The draft ---- */

/* What every target of the code needs. Which of the targets fits is for the judge to say. */
static int require(struct sg_world *w, const struct sg_ji *ji, saggar_draft *d) {
    saggar_features needed, one;
    saggar_arch arch = strcmp(ji->arch, "x86_64") == 0    ? SAGGAR_ARCH_X86_64
                       : strcmp(ji->arch, "aarch64") == 0 ? SAGGAR_ARCH_AARCH64
                                                          : SAGGAR_ARCH_ANY;
    int err = saggar_draft_require_arch(d, arch, ji->native ? "linux-gnu" : "any");
    if (!ji->native || arch != SAGGAR_ARCH_X86_64 || err != SAGGAR_OK)
        return err;
    for (size_t i = 0; i < ji->n_targets; i++) {
        sg_julia_target_features(w->info.minor, &ji->targets[i], &one);
        for (int k = 0; k < 4; k++)
            needed.word[k] = i == 0 ? one.word[k] : needed.word[k] & one.word[k];
    }
    if (ji->n_targets == 0)
        return SAGGAR_OK;
    saggar_features_required(arch, SAGGAR_PROVENANCE_ASSUMED, &needed);
    return saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &needed, NULL);
}

static int depend_on_builds(struct sg_world *w, const struct sg_ji *ji, saggar_draft *d) {
    char uuid[SG_JULIA_UUID_TEXT];
    int err = SAGGAR_OK;
    for (size_t i = 0; i < ji->n_required && err == SAGGAR_OK; i++) {
        const struct sg_ji_module *m = &ji->required[i];
        uint8_t build[SG_SHA256_SIZE] = {0};
        if (sg_is_loaded(w, m) > 0)
            continue;
        sg_store64(build, m->build_lo);
        sg_store64(build + 8, m->build_hi);
        const char *name =
            sg_arena_format(&w->arena, "%s %s", m->id.name, sg_julia_uuid_print(uuid, m->id.uuid));
        err = saggar_draft_depend_value(d, SG_JULIA_BUILD, name, build);
    }
    return err;
}

const char *sg_julia_source_name(const struct sg_ji *ji, size_t i, size_t root, const char **scope) {
    const char *path = ji->includes[i].path;
    bool inside = root > 0 && strncmp(path, ji->includes[0].path, root) == 0 && path[root] == '/';
    *scope = inside ? SG_JULIA_ROOT : "/";
    return inside ? path + root + 1 : path + (path[0] == '/');
}

/* Sources that are tracked by time stamp alone: what they hold, so that a stamp can be told from a change. */
static int depend_on_sources(struct sg_world *w, const struct sg_file *file, saggar_draft *d) {
    const struct sg_ji *ji = &file->ji;
    size_t root = ji->n_includes > 0 ? sg_julia_root(ji->includes[0].path, file->package.name) : 0;
    const char **paths = sg_include_paths(w, ji), *scope;
    int err = paths != NULL ? SAGGAR_OK : SAGGAR_ENOMEM;
    for (size_t i = 0; err == SAGGAR_OK && i < ji->n_includes; i++) {
        uint8_t sha256[SG_SHA256_SIZE];
        unsigned char *data;
        size_t n;
        if ((w->info.minor >= 11 && !(ji->includes[i].mtime >= 0)) || !sg_world_is_file(w, paths[i]))
            continue;
        if (!sg_world_read(w, paths[i], FILE_LIMIT, &data, &n))
            return sg_err_from_errno(errno);
        err = sg_sha256(sha256, data, n);
        free(data);
        const char *name = sg_julia_source_name(ji, i, root, &scope);
        if (err == SAGGAR_OK)
            err = saggar_draft_depend_file(d, scope, name, n, sha256);
    }
    return err;
}

static int add_part(struct sg_world *w, saggar_draft *d, const char *part, const char *path, uint32_t crc,
                    bool trailer) {
    unsigned char *data;
    size_t n;
    if (!sg_world_read(w, path, FILE_LIMIT, &data, &n))
        return sg_err_from_errno(errno);
    size_t covered = trailer ? n - 4 : n;
    bool same = (!trailer || n >= 4) && sg_julia_crc(0, data, covered) == crc;
    int err = same ? saggar_draft_part(d, part, data, n) : SAGGAR_ECORRUPT;
    free(data);
    return err;
}

static int fill(struct sg_world *w, const struct sg_file *file, saggar_draft *d) {
    const char *so =
        sg_arena_format(&w->arena, "%.*s.so", (int)(strlen(file->path) - strlen(".ji")), file->path);
    int err = saggar_draft_group(d, "julia", w->info.version, file->package.name);
    if (err == SAGGAR_OK)
        err = require(w, &file->ji, d);
    if (err == SAGGAR_OK)
        err = depend_on_builds(w, &file->ji, d);
    if (err == SAGGAR_OK)
        err = depend_on_sources(w, file, d);
    if (err == SAGGAR_OK)
        err = add_part(w, d, SG_JULIA_PART, file->path, file->ji.crc, true);
    if (err == SAGGAR_OK && file->ji.native)
        err = add_part(w, d, SG_JULIA_CODE, so, file->ji.so_crc, false);
    return err;
}

int sg_julia_draft(struct sg_world *w, const struct sg_graph *g, size_t of, const struct sg_file *file,
                   saggar_draft **out) {
    uint8_t key[SAGGAR_KEY_SIZE];
    saggar_recipe *recipe;
    saggar_draft *d = NULL;
    const uint8_t *bytes;
    size_t n;
    int err = sg_julia_recipe(w, g, of, &recipe, key);
    if (err != SAGGAR_OK)
        return err;
    err = saggar_recipe_finish(recipe, key, &bytes, &n);
    if (err == SAGGAR_OK)
        err = saggar_draft_new(bytes, n, &d);
    if (err == SAGGAR_OK)
        err = fill(w, file, d);
    saggar_recipe_free(recipe);
    if (err == SAGGAR_OK)
        *out = d;
    else
        saggar_draft_free(d);
    return err;
}
