/* See info.h. */
#include "julia/info.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "julia/targets.h"

struct reading {
    struct sg_arena *arena;
    const struct sg_doc *doc;
    struct sg_julia_info *info;
    char *why;
    size_t room;
};

static bool wrong(struct reading *r, const char *what) {
    snprintf(r->why, r->room, "%s", what);
    return false;
}

/* A member that is a text; `otherwise` if it is not there or null. */
static const char *text(struct reading *r, const char *key, const char *otherwise) {
    const char *found = sg_doc_text(r->doc, key);
    return found != NULL ? sg_arena_text(r->arena, found, strlen(found)) : otherwise;
}

/* Up to 16 hexadecimal digits, perhaps after 0x. */
static bool hex(const char *text, size_t n, uint64_t *out) {
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0)
            return false;
        *out = *out << 4 | (uint64_t)d;
    }
    return n > 0 && n <= 16;
}

static bool hex_text(const char *p, uint64_t *out) {
    p += strncmp(p, "0x", 2) == 0 ? 2 : 0;
    return hex(p, strlen(p), out);
}

static bool build_id(const char *p, struct sg_ji_module *m) {
    p += strncmp(p, "0x", 2) == 0 ? 2 : 0;
    size_t n = strlen(p);
    if (n <= 16)
        return hex(p, n, &m->build_lo);
    return hex(p, n - 16, &m->build_hi) && hex(p + n - 16, 16, &m->build_lo);
}

static bool read_loaded(struct reading *r) {
    const struct sg_doc *list = sg_doc_get(r->doc, "sysimage_modules");
    r->info->loaded_known = list != NULL && list->kind == SG_DOC_ARRAY;
    if (!r->info->loaded_known)
        return r->info->minor < 9 ||
               wrong(r,
                     "sysimage_modules is missing: the modules in Julia's system image and their build ids");
    r->info->loaded = sg_arena_array(r->arena, list->n + 1, sizeof *r->info->loaded);
    if (r->info->loaded == NULL)
        return wrong(r, "no memory");
    for (size_t i = 0; i < list->n; i++) {
        struct sg_ji_module *m = &r->info->loaded[i];
        const char *name = sg_doc_text(&list->item[i], "name"), *uuid = sg_doc_text(&list->item[i], "uuid"),
                   *build = sg_doc_text(&list->item[i], "build_id");
        if (name == NULL || build == NULL || !build_id(build, m) ||
            (uuid != NULL && !sg_julia_uuid_parse(uuid, &m->id.uuid)))
            return wrong(r, "sysimage_modules: each needs a name, a uuid (or null) and a build_id in hex");
        m->id.name = sg_arena_text(r->arena, name, strlen(name));
        r->info->n_loaded++;
    }
    return true;
}

static bool read_flags(struct reading *r) {
    const struct sg_doc *flags = sg_doc_get(r->doc, "session_cacheflags"),
                        *use = sg_doc_get(flags, "use_pkgimages");
    const char *byte = sg_doc_text(flags, "byte");
    uint64_t value = 0xa3;
    if ((byte != NULL && (!hex_text(byte, &value) || value > 0xff)) || (byte == NULL && r->info->minor >= 9))
        return wrong(r, "session_cacheflags: its \"byte\" must be a hex number, as \"0xa3\"");
    r->info->flags = (uint8_t)value;
    r->info->existing = use != NULL && use->kind == SG_DOC_TEXT && strcmp(use->text, "existing") == 0;
    return true;
}

static bool read_words(const struct sg_doc *list, struct sg_julia_cpu *cpu) {
    if (list == NULL || list->kind != SG_DOC_ARRAY || list->n > SG_JULIA_WORDS)
        return false;
    for (size_t i = 0; i < list->n; i++) {
        uint64_t word;
        if (list->item[i].kind != SG_DOC_TEXT || !hex_text(list->item[i].text, &word) || word > UINT32_MAX)
            return false;
        cpu->enabled[i] = (uint32_t)word;
    }
    cpu->words = (unsigned)list->n;
    return cpu->known = true;
}

static bool read_cpu(struct reading *r) {
    const struct sg_doc *list = sg_doc_get(r->doc, "session_targets");
    struct sg_julia_cpu *cpu = &r->info->cpu;
    cpu->name = text(r, "cpu_name", "");
    if (list == NULL)
        return true;
    if (list->kind == SG_DOC_ARRAY && list->n > 0 && list->item[0].kind == SG_DOC_TABLE) {
        if (read_words(sg_doc_get(&list->item[0], "enabled"), cpu))
            return true;
    } else if (list->kind == SG_DOC_ARRAY && list->n > 0 && list->item[0].kind == SG_DOC_TEXT) {
        if (strcmp(r->info->arch, "x86_64") == 0 &&
            sg_julia_cpu_parse(r->arena, r->info->minor, list->item[0].text, cpu))
            return true;
    }
    return wrong(
        r, "session_targets: the first one must be Julia's text of a target, or have \"enabled\" words");
}

static bool read_depots(struct reading *r) {
    const struct sg_doc *list = sg_doc_get(r->doc, "depot_path");
    if (list == NULL)
        return true;
    r->info->depots =
        list->kind == SG_DOC_ARRAY ? sg_arena_array(r->arena, list->n + 1, sizeof *r->info->depots) : NULL;
    if (r->info->depots == NULL)
        return wrong(r, "depot_path must be a list of folders");
    for (size_t i = 0; i < list->n; i++) {
        if (list->item[i].kind != SG_DOC_TEXT || list->item[i].text[0] != '/')
            return wrong(r, "depot_path must be a list of absolute folders");
        r->info->depots[r->info->n_depots++] =
            sg_arena_text(r->arena, list->item[i].text, list->item[i].size);
    }
    return true;
}

bool sg_julia_info_read(struct sg_arena *arena, const struct sg_doc *doc, struct sg_julia_info *info,
                        char *why, size_t room) {
    const struct sg_doc *inner = sg_doc_get(doc, "julia");
    struct reading r = {arena, inner != NULL ? inner : doc, info, why, room};
    struct utsname here;
    *info = (struct sg_julia_info){0};
    if (uname(&here) != 0)
        return wrong(&r, "uname() failed");
    info->version = text(&r, "version", NULL);
    if (info->version == NULL || !sg_julia_version(info->version, &info->major, &info->minor))
        return wrong(&r, "version is missing, as \"1.11.7\"");
    if (!sg_ji_layout(info->major, info->minor, &info->layout, &info->format) ||
        (info->minor > 5 && info->minor < 9)) {
        snprintf(why, room, "Julia %s is not known; known are 1.5 and 1.9 to 1.12", info->version);
        return false;
    }
    info->uname = text(&r, "uname", sg_arena_text(arena, here.sysname, strlen(here.sysname)));
    info->arch = text(&r, "arch", sg_arena_text(arena, here.machine, strlen(here.machine)));
    info->branch = text(&r, "git_branch", "");
    info->commit = text(&r, "git_commit", "");
    info->image = text(&r, "image_file", "");
    info->binary = text(&r, "julia_bin", "");
    info->project = text(&r, "active_project", NULL);
    info->stdlib = text(&r, "stdlib", NULL);
    info->build_stdlib = text(&r, "build_stdlib", NULL);
    info->cpu_target =
        text(&r, "cpu_target_in_slug", text(&r, "JULIA_CPU_TARGET", text(&r, "opt_cpu_target", "native")));
    if ((info->project != NULL && info->project[0] != '/') ||
        (info->stdlib != NULL && info->stdlib[0] != '/'))
        return wrong(&r, "active_project and stdlib must be absolute");
    return (read_flags(&r) && read_loaded(&r) && read_cpu(&r) && read_depots(&r) && !arena->failed) ||
           (why[0] == '\0' && wrong(&r, "no memory"));
}
