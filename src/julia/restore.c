/* See restore.h. */
#include "julia/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "julia/deposit.h"

struct restoring {
    struct sg_supply *s;
    const struct sg_restore_options *options;
    const struct sg_package *package;
    const struct sg_held *held;
    struct sg_restored *out;
    const char *folder; /* DEPOT/compiled/vX.Y, as it lies here */
    int compiled;
};

/* Sources that were compared get the stamp; one that cannot be written keeps its own. */
static double stamp_source(struct restoring *r, const char *source, double actual) {
    const struct timespec times[2] = {{0, UTIME_OMIT}, {(time_t)r->options->mtime, 0}};
    char real[PATH_MAX];
    const char *path = sg_world_real(r->s->w, source, real);
    if (path == NULL || utimensat(AT_FDCWD, path, times, 0) != 0)
        return actual;
    return (double)r->options->mtime;
}

/* What the file is to record: NULL, as it does. */
static bool records(struct restoring *r, struct sg_rewritten **list) {
    const struct sg_held *held = r->held;
    const struct sg_ji *ji = &held->ji;
    bool any = held->now != NULL;
    *list = NULL;
    for (size_t i = 0; i < ji->n_includes; i++)
        any = any || (r->options->fixed && held->verified[i]);
    if (!any)
        return true;
    *list = sg_arena_array(&r->s->w->arena, ji->n_includes + 1, sizeof **list);
    if (*list == NULL)
        return sg_world_fail(r->s->w, "no memory");
    for (size_t i = 0; i < ji->n_includes; i++) {
        struct sg_rewritten *to = &(*list)[i];
        *to = held->now != NULL ? held->now[i]
                                : (struct sg_rewritten){ji->includes[i].path, ji->includes[i].mtime};
        if (r->options->fixed && held->verified[i])
            to->mtime = stamp_source(r, held->lies[i], to->mtime);
    }
    return true;
}

static int put(void *context, const uint8_t *ji, size_t ji_size, const uint8_t *so, size_t so_size) {
    struct restoring *r = context;
    struct sg_rewritten *list;
    struct sg_buf buf;
    char slug[SG_JULIA_SLUG], name[SG_DEPOSIT_NAME];
    struct sg_deposit pair = {ji, so, ji_size, so_size, r->options->fixed, {(time_t)r->options->mtime, 0}};
    if (!records(r, &list))
        return SAGGAR_ENOMEM;
    sg_buf_init(&buf, SIZE_MAX / 2);
    int err = list != NULL ? sg_ji_rewrite(&r->held->ji, ji, list, &buf) : SAGGAR_OK;
    if (list != NULL) {
        pair.ji = buf.data;
        pair.ji_size = buf.len;
    }
    sg_julia_slug(slug, sg_julia_uuid_crc(r->package->id.uuid), 5);
    if (err == SAGGAR_OK)
        err = sg_deposit_put(r->compiled, r->package->id.name, slug, &pair, name, &r->out->written);
    if (err == SAGGAR_OK)
        r->out->path = sg_arena_format(&r->s->w->arena, "%s/%s/%s", r->folder, r->package->id.name, name);
    sg_buf_free(&buf);
    return err;
}

/* What needs least first: so that what a killed process has put there is of use. */
static size_t *by_needs(struct sg_supply *s, const struct sg_restored *out) {
    size_t *order = sg_arena_array(&s->w->arena, s->n + 1, sizeof *order);
    for (size_t i = 0; order != NULL && i < s->n; i++) {
        size_t k = i, mine = out[i].choice.offer != NULL ? out[i].choice.offer->file->ji.n_required : 0;
        for (; k > 0; k--) {
            const struct sg_offer *before = out[order[k - 1]].choice.offer;
            if ((before != NULL ? before->file->ji.n_required : 0) <= mine)
                break;
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
    return order;
}

static bool choose(struct sg_supply *s, struct sg_restored *out, bool *any) {
    struct sg_choice *choice = sg_arena_array(&s->w->arena, s->n + 1, sizeof *choice);
    if (choice == NULL)
        return sg_world_fail(s->w, "no memory");
    if (!sg_choose(s, choice))
        return false;
    *any = false;
    for (size_t i = 0; i < s->n; i++) {
        out[i] = (struct sg_restored){.choice = choice[i]};
        *any = *any || (choice[i].offer != NULL && choice[i].offer->held != NULL);
    }
    return true;
}

bool sg_restore(struct sg_supply *s, const struct sg_restore_options *options, struct sg_restored *out) {
    struct sg_world *w = s->w;
    struct restoring r = {.s = s, .options = options};
    bool any = false;
    if (!choose(s, out, &any) || !any)
        return w->error[0] == '\0';
    r.folder = sg_project_real(
        w, sg_arena_format(&w->arena, "%s/compiled/v%d.%d", w->depots[0], w->info.major, w->info.minor));
    int err = sg_deposit_open(r.folder, &r.compiled);
    if (err != SAGGAR_OK)
        return sg_world_fail(w, "%s: %s", r.folder, saggar_strerror(err));
    const size_t *order = by_needs(s, out);
    for (size_t i = 0; order != NULL && i < s->n; i++) {
        const struct sg_offer *offer = out[order[i]].choice.offer;
        if (offer == NULL || offer->held == NULL)
            continue;
        r.package = &s->list[order[i]];
        r.held = offer->held;
        r.out = &out[order[i]];
        r.out->error = sg_held_parts(offer->held, put, &r);
    }
    close(r.compiled);
    return !w->arena.failed || sg_world_fail(w, "no memory");
}
