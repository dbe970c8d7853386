/* Cache files of a package: which there are, and in which order Julia tries them; see judge.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "julia/judge.h"

static const size_t JI_MAX = (size_t)4 << 30;

struct sg_file *sg_file_read(struct sg_world *w, const char *path, size_t depot) {
    struct sg_file *file = sg_arena_alloc(&w->arena, sizeof *file);
    struct stat st;
    unsigned char *data;
    size_t size;
    if (file == NULL) {
        sg_world_fail(w, "no memory");
        return NULL;
    }
    file->path = sg_arena_text(&w->arena, path, strlen(path));
    file->depot = depot;
    file->reason = file->detail = "";
    if (sg_world_stat(w, path, &st))
        file->mtime = sg_world_mtime(&st);
    file->readable = sg_world_read(w, path, JI_MAX, &data, &size);
    if (!file->readable) {
        file->ji = (struct sg_ji){.state = SG_JI_HEADER, .what = strerror(errno), .version = ""};
        return file;
    }
    if (!sg_ji_read(&w->arena, data, size, &file->ji))
        sg_world_fail(w, "no memory");
    file->crc_holds = sg_ji_crc_holds(&file->ji, data);
    free(data);
    return w->error[0] == '\0' ? file : NULL;
}

static bool texts_differ(struct sg_world *w, const char *name, const char *file, const char *here,
                         const char **what) {
    if (strcmp(file, here) == 0)
        return false;
    *what = sg_arena_format(&w->arena, "%s \"%s\" in the file, \"%s\" here", name, file, here);
    return true;
}

bool sg_header_is_ours(struct sg_world *w, const struct sg_ji *ji, const char **what) {
    const struct sg_julia_info *i = &w->info;
    *what = ji->what;
    if (ji->state == SG_JI_HEADER || (ji->state == SG_JI_UNKNOWN && ji->version[0] == '\0'))
        return false;
    if (texts_differ(w, "Julia", ji->version, i->version, what) ||
        texts_differ(w, "system", ji->uname, i->uname, what) ||
        texts_differ(w, "architecture", ji->arch, i->arch, what) ||
        texts_differ(w, "git branch", ji->branch, i->branch, what) ||
        texts_differ(w, "git commit", ji->commit, i->commit, what))
        return false;
    if (ji->state == SG_JI_UNKNOWN)
        return false;
    if (ji->pointer_size != 8) {
        *what = sg_arena_format(&w->arena, "pointers of %u bytes", (unsigned)ji->pointer_size);
        return false;
    }
    return true;
}

/* ---- Order ---- */

/* 1.5: as the depots and names are. Later: the newest first; from 1.11 on files with machine code before all
 * others. */
static int order(const struct sg_world *w, const struct sg_file *a, const struct sg_file *b, bool images) {
    if (w->info.minor >= 9) {
        int x = images && w->info.minor >= 11 && a->ji.state == SG_JI_OK && (a->ji.flags & 1) != 0,
            y = images && w->info.minor >= 11 && b->ji.state == SG_JI_OK && (b->ji.flags & 1) != 0;
        if (x != y)
            return y - x;
        if (a->mtime != b->mtime)
            return a->mtime > b->mtime ? -1 : 1;
    }
    if (a->depot != b->depot)
        return a->depot < b->depot ? -1 : 1;
    return strcmp(a->path, b->path);
}

static void sort(const struct sg_world *w, struct sg_listed *l, bool images) {
    for (size_t i = 1; i < l->n; i++) { /* few */
        struct sg_file *file = l->file[i];
        size_t k = i;
        for (; k > 0 && order(w, file, l->file[k - 1], images) < 0; k--)
            l->file[k] = l->file[k - 1];
        l->file[k] = file;
    }
}

static bool add(struct sg_world *w, struct sg_listed *l, const char *path, size_t depot) {
    if (!sg_world_is_file(w, path))
        return true;
    struct sg_file **grown = sg_arena_more(&w->arena, l->file, l->n, sizeof *grown);
    struct sg_file *file = grown != NULL ? sg_file_read(w, path, depot) : NULL;
    if (file == NULL)
        return sg_world_fail(w, "no memory");
    l->file = grown;
    grown[l->n++] = file;
    return true;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool scan(struct sg_world *w, struct sg_listed *l, const char *folder, size_t depot) {
    char real[PATH_MAX], slug[SG_JULIA_SLUG];
    const char *there = sg_world_real(w, folder, real);
    DIR *dir = there != NULL ? opendir(there) : NULL;
    struct dirent *e;
    bool ok = true;
    sg_julia_slug(slug, sg_julia_uuid_crc(l->id.uuid), 5);
    while (ok && dir != NULL && (e = readdir(dir)) != NULL) {
        bool mine = strncmp(e->d_name, slug, 5) == 0 && e->d_name[5] == '_' && ends_with(e->d_name, ".ji");
        if (mine)
            ok = add(w, l, sg_world_join(w, folder, e->d_name), depot);
    }
    if (dir != NULL)
        closedir(dir);
    return ok;
}

const struct sg_listed *sg_candidates(struct sg_world *w, const struct sg_julia_id *id) {
    const char *unused;
    bool images = (w->info.flags & 1) != 0 || w->info.existing;
    struct sg_listed **bucket = &w->listed[sg_world_bucket(id)], *l;
    for (l = *bucket; l != NULL; l = l->after) {
        if (sg_julia_id_is(&l->id, id))
            return l;
    }
    l = sg_arena_alloc(&w->arena, sizeof *l);
    if (l == NULL) {
        sg_world_fail(w, "no memory");
        return NULL;
    }
    l->id = *id;
    for (size_t i = 0; i < w->n_depots && (id->uuid.hi | id->uuid.lo) != 0; i++) {
        const char *folder = sg_world_join(
            w, w->depots[i],
            sg_arena_format(&w->arena, "compiled/v%d.%d/%s", w->info.major, w->info.minor, id->name));
        if (!scan(w, l, folder, i))
            return NULL;
    }
    sort(w, l, images);
    for (size_t i = 0; i < l->n && l->n > 1 && images && w->info.minor >= 11; i++) {
        const struct sg_ji *ji = &l->file[i]->ji;
        if ((ji->state == SG_JI_EOF || ji->state == SG_JI_CORRUPT) && sg_header_is_ours(w, ji, &unused) &&
            l->throws == NULL)
            l->throws = l->file[i];
    }
    l->after = *bucket;
    *bucket = l;
    return l;
}
