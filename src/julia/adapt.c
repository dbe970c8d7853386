/* See adapt.h. */
#include "julia/adapt.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct adapting {
    struct sg_supply *s;
    size_t at;
    struct sg_held *held;
    size_t root;          /* of held->ji.includes[0].path */
    const char *here;     /* the folder that the package lies in now */
    const char *stranger; /* a source that is not what was compiled */
};

/* ---- Where a source lies now ---- */

static bool inside(const struct adapting *a, const char *path) {
    return a->root > 0 && strncmp(path, a->held->ji.includes[0].path, a->root) == 0 && path[a->root] == '/';
}

static const char *moved(struct adapting *a, const char *path) {
    if (a->here == NULL || !inside(a, path))
        return path;
    return sg_arena_format(&a->s->w->arena, "%s%s", a->here, path + a->root);
}

/* Only a package at an absolute path can lie elsewhere: @depot/ is looked up at each start. */
static void find_root(struct adapting *a) {
    const struct sg_ji *ji = &a->held->ji;
    const struct sg_package *p = &a->s->list[a->at];
    if (ji->n_includes == 0)
        return;
    a->root = sg_julia_root(ji->includes[0].path, p->id.name);
    if (!a->s->relocate || ji->includes[0].path[0] != '/' || p->source == NULL ||
        sg_world_is_same(a->s->w, ji->includes[0].path, p->source))
        return;
    a->here = sg_arena_text(&a->s->w->arena, p->source, sg_julia_root(p->source, p->id.name));
}

/* ---- What is in it ---- */

static void set(struct adapting *a, size_t i, bool same, const char *path) {
    a->held->verified[i] = same;
    if (!same && a->stranger == NULL)
        a->stranger = path;
}

static void by_stored_text(struct adapting *a, size_t i, const char *path, const unsigned char *text,
                           size_t n) {
    unsigned char *data;
    size_t size;
    if (!sg_world_read(a->s->w, path, (size_t)UINT32_MAX, &data, &size))
        return;
    set(a, i, size == n && (n == 0 || memcmp(data, text, n) == 0), path);
    free(data);
}

/* A source whose content the entry records. */
static int recorded(void *context, const saggar_dependency *d) {
    struct adapting *a = context;
    const struct sg_ji *ji = &a->held->ji;
    if (d->kind != SAGGAR_DEPEND_FILE)
        return 0;
    for (size_t i = 0; i < ji->n_includes; i++) {
        const char *scope, *name = sg_julia_source_name(ji, i, a->root, &scope);
        uint8_t sha256[SG_SHA256_SIZE];
        unsigned char *data;
        size_t size;
        if (strcmp(scope, d->scope) != 0 || strcmp(name, d->name) != 0 ||
            !sg_world_read(a->s->w, a->held->lies[i], (size_t)UINT32_MAX, &data, &size))
            continue;
        int err = sg_sha256(sha256, data, size);
        free(data);
        if (err != SAGGAR_OK)
            return err;
        set(a, i, size == d->size && memcmp(sha256, d->sha256, sizeof sha256) == 0, a->held->lies[i]);
    }
    return 0;
}

static bool by_time(const struct adapting *a, const struct sg_ji_include *i) {
    return a->s->w->info.minor < 11 || i->mtime >= 0;
}

/* ---- Together ---- */

static bool compare_sources(struct adapting *a, const struct sg_entry_view *view) {
    struct sg_world *w = a->s->w;
    const struct sg_ji *ji = &a->held->ji;
    int err = sg_dependencies_each(view, recorded, a);
    for (size_t i = 0; i < ji->n_includes && err == SAGGAR_OK; i++) {
        const unsigned char *text;
        size_t n;
        struct stat st;
        const char *path = a->held->lies[i];
        if (!by_time(a, &ji->includes[i]))
            continue;
        if (!a->held->verified[i] && sg_ji_source_text(ji, a->held->bytes, ji->includes[i].path, &text, &n))
            by_stored_text(a, i, path, text, n);
        if (a->held->verified[i] && sg_world_stat(w, path, &st))
            a->held->now[i].mtime = sg_world_mtime(&st);
    }
    return err == SAGGAR_OK || err == SAGGAR_ECORRUPT || err == SAGGAR_EUNKNOWN ||
           sg_world_fail(w, "%s", saggar_strerror(err));
}

static bool read_adapted(struct adapting *a, struct sg_file *file) {
    struct sg_world *w = a->s->w;
    const struct sg_ji *ji = &a->held->ji;
    struct sg_buf buf;
    bool same = true;
    for (size_t i = 0; i < ji->n_includes; i++)
        same = same && a->held->now[i].path == ji->includes[i].path &&
               (a->held->now[i].mtime == ji->includes[i].mtime || a->held->now[i].mtime < 0);
    if (same) {
        a->held->now = NULL;
        file->ji = *ji;
        return true;
    }
    sg_buf_init(&buf, SIZE_MAX / 2);
    int err = sg_ji_rewrite(ji, a->held->bytes, a->held->now, &buf);
    bool ok = err == SAGGAR_OK && sg_ji_read(&w->arena, buf.data, buf.len, &file->ji);
    sg_buf_free(&buf);
    return ok || sg_world_fail(w, "%s: %s", a->s->list[a->at].id.name, saggar_strerror(err));
}

bool sg_adapt(struct sg_supply *s, size_t at, struct sg_held *held, const struct sg_entry_view *view,
              struct sg_file *file) {
    struct sg_world *w = s->w;
    struct adapting a = {.s = s, .at = at, .held = held};
    const struct sg_ji *ji = &held->ji;
    held->now = sg_arena_array(&w->arena, ji->n_includes + 1, sizeof *held->now);
    held->verified = sg_arena_array(&w->arena, ji->n_includes + 1, sizeof *held->verified);
    held->lies = sg_include_paths(w, ji);
    if (held->now == NULL || held->verified == NULL || held->lies == NULL)
        return sg_world_fail(w, "no memory");
    *file =
        (struct sg_file){.readable = true, .crc_holds = true, .stocked = true, .reason = "", .detail = ""};
    file->path = sg_arena_format(&w->arena, "(an entry for %s).ji", s->list[at].id.name);
    if (ji->state != SG_JI_OK) {
        file->ji = *ji;
        held->now = NULL;
        sg_judge(w, file, &s->list[at].id);
        return true;
    }
    find_root(&a);
    for (size_t i = 0; i < ji->n_includes; i++) {
        held->now[i].path = moved(&a, ji->includes[i].path);
        held->now[i].mtime = ji->includes[i].mtime;
        if (held->now[i].path != ji->includes[i].path)
            held->lies[i] = held->now[i].path;
    }
    if (!compare_sources(&a, view) || !read_adapted(&a, file))
        return false;
    sg_judge(w, file, &s->list[at].id);
    if (a.stranger != NULL && file->verdict == SG_FRESH)
        sg_verdict(w, file, SG_STALE, "source change", "%s is not what the code was compiled from",
                   a.stranger);
    return true;
}
