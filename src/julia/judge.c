/* The decision about one file, check by check, in the loader's order; see judge.h. */
#include "julia/judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "julia/preferences.h"
#include "julia/targets.h"

bool sg_verdict(struct sg_world *w, struct sg_file *file, enum sg_julia_verdict verdict, const char *reason,
                const char *format, ...) {
    va_list list;
    char *text = NULL;
    va_start(list, format);
    int n = vasprintf(&text, format, list);
    va_end(list);
    file->verdict = verdict;
    file->reason = reason;
    file->detail = n >= 0 ? sg_arena_text(&w->arena, text, (size_t)n) : "";
    if (n < 0)
        w->arena.failed = true;
    else
        free(text);
    return false;
}

const char *sg_verdict_word(enum sg_julia_verdict verdict) {
    static const char *const words[] = {"not asked", "fresh", "stale", "throws", "undecided"};
    return words[verdict];
}

const char *sg_id_print(struct sg_world *w, const struct sg_julia_id *id) {
    char uuid[SG_JULIA_UUID_TEXT];
    if ((id->uuid.hi | id->uuid.lo) == 0)
        return sg_arena_format(&w->arena, "PkgId(nothing, \"%s\")", id->name);
    return sg_arena_format(&w->arena, "PkgId(UUID(\"%s\"), \"%s\")", sg_julia_uuid_print(uuid, id->uuid),
                           id->name);
}

static const char *flags_print(struct sg_world *w, uint8_t flags) {
    return sg_arena_format(
        &w->arena,
        "CacheFlags(; use_pkgimages=%s, debug_level=%u, check_bounds=%u, inline=%s, opt_level=%u) [%u]",
        (flags & 1) != 0 ? "true" : "false", (unsigned)flags >> 1 & 3, (unsigned)flags >> 3 & 3,
        (flags & 0x20) != 0 ? "true" : "false", (unsigned)flags >> 6, (unsigned)flags);
}

/* Checks 1 to 4: the header, the flags. */
static bool header(struct sg_world *w, struct sg_file *file) {
    const struct sg_ji *ji = &file->ji;
    const char *what;
    if (!file->readable)
        return sg_verdict(w, file, SG_STALE, "could not be opened",
                          "Rejecting cache file %s for %s because it could not be opened: %s", file->path,
                          sg_id_print(w, &file->package), ji->what);
    if (!sg_header_is_ours(w, ji, &what))
        return sg_verdict(w, file, SG_STALE, "incompatible header",
                          "Rejecting cache file %s due to it containing an %s cache header (%s)", file->path,
                          w->info.minor < 9 ? "invalid" : "incompatible", what);
    if (ji->state == SG_JI_EOF)
        return sg_verdict(w, file, SG_THROWS, "EOFError: read end of file", "%s: %s", file->path, ji->what);
    if (ji->state != SG_JI_OK)
        return sg_verdict(w, file, SG_THROWS, "corrupt header", "%s: %s", file->path, ji->what);
    if (ji->n_provides == 0)
        return sg_verdict(w, file, SG_STALE, "empty module list", "%s holds no module", file->path);
    if (!sg_ji_flags_match(w->info.minor, w->info.flags, ji->flags, w->info.existing))
        return sg_verdict(w, file, SG_STALE, "mismatched flags",
                          "Rejecting cache file %s for %s since the flags are mismatched\n  requested flags: "
                          "%s\n  cache file:      %s",
                          file->path, sg_id_print(w, &file->package), flags_print(w, w->info.flags),
                          flags_print(w, ji->flags));
    return true;
}

static const char *beside(struct sg_world *w, const char *path) {
    return sg_arena_format(&w->arena, "%.*s.so", (int)(strlen(path) - strlen(".ji")), path);
}

/* Check 5: the machine code beside the file. */
static bool native(struct sg_world *w, struct sg_file *file) {
    const struct sg_ji *ji = &file->ji;
    const char *so = beside(w, file->path);
    if (!ji->native)
        return true;
    if ((w->info.flags & 1) == 0 && !w->info.existing)
        return sg_verdict(w, file, SG_STALE, "requires pkgimages",
                          "Rejecting cache file %s for %s since it would require usage of pkgimage",
                          file->path, sg_id_print(w, &file->package));
    if (ji->targets_what != NULL)
        return sg_verdict(w, file, SG_UNDECIDED, "undecided: the processors cannot be read",
                          "%s: targets: %s", file->path, ji->targets_what);
    if (!w->info.cpu.known)
        return sg_verdict(w, file, SG_UNDECIDED, "undecided: the processor is not known",
                          "%s: session_targets is missing", file->path);
    if (!sg_julia_cpu_fits(&w->info.cpu, ji))
        return sg_verdict(
            w, file, SG_STALE, "target mismatch",
            "Rejecting cache file %s for %s: Unable to find compatible target in cached code image",
            file->path, sg_id_print(w, &file->package));
    if (!file->stocked && !sg_world_is_file(w, so))
        return sg_verdict(w, file, SG_STALE, "missing ocachefile",
                          "Rejecting cache file %s for %s since pkgimage %s was not found", file->path,
                          sg_id_print(w, &file->package), so);
    return true;
}

/* Check 8: what it needs is in the system image, or has a source. */
static bool modules(struct sg_world *w, struct sg_file *file) {
    const struct sg_ji *ji = &file->ji;
    for (size_t i = 0; i < ji->n_required; i++) {
        const struct sg_ji_module *m = &ji->required[i];
        int loaded = sg_is_loaded(w, m);
        if (loaded > 0)
            continue;
        if (loaded < 0 && strcmp(m->id.name, "Core") == 0 && (m->id.uuid.hi | m->id.uuid.lo) == 0)
            return sg_verdict(w, file, SG_STALE, "wrong julia version",
                              "Rejecting cache file %s because it was made with a different julia version",
                              file->path);
        if (loaded < 0)
            return sg_verdict(w, file, SG_STALE, "wrong dep version loaded",
                              "Rejecting cache file %s because module %s is already loaded and incompatible.",
                              file->path, sg_id_print(w, &m->id));
        if (sg_locate(w, &m->id) == NULL)
            return sg_verdict(w, file, SG_STALE, "dep missing source",
                              "Rejecting cache file %s because dependency %s not found.", file->path,
                              sg_id_print(w, &m->id));
    }
    return true;
}

/* Checks 13 to 15. */
static bool sums(struct sg_world *w, struct sg_file *file) {
    const struct sg_ji *ji = &file->ji;
    const char *so = beside(w, file->path), *undecided;
    uint32_t crc;
    if (!file->crc_holds)
        return sg_verdict(w, file, SG_STALE, "invalid checksum",
                          "Rejecting cache file %s because it has an invalid checksum", file->path);
    bool beside_it = ji->native && !file->stocked;
    if (beside_it && !sg_world_crc(w, so, &crc))
        return sg_verdict(w, file, SG_UNDECIDED, "undecided: the machine code cannot be read", "%s: %s", so,
                          strerror(errno));
    if (beside_it && crc != ji->so_crc)
        return sg_verdict(w, file, SG_STALE, "ocachefile invalid checksum",
                          "Rejecting cache file %s because %s has an invalid checksum", file->path, so);
    if ((w->info.layout & SG_JI_HAS_PREFERENCES) == 0)
        return true;
    uint64_t now =
        sg_preferences_hash(w, ji->provides[0].id.uuid, ji->preferences, ji->n_preferences, &undecided);
    if (undecided != NULL)
        return sg_verdict(w, file, SG_UNDECIDED, "undecided: a preference that is a list or a table",
                          "%s: preference %s", file->path, undecided);
    if (now != ji->preferences_hash)
        return sg_verdict(w, file, SG_STALE, "preferences hash mismatch",
                          "Rejecting cache file %s because preferences hash does not match 0x%llx != 0x%llx",
                          file->path, (unsigned long long)ji->preferences_hash, (unsigned long long)now);
    return true;
}

void sg_judge(struct sg_world *w, struct sg_file *file, const struct sg_julia_id *package) {
    if (file->judged && sg_julia_id_is(&file->package, package))
        return;
    file->judged = true;
    file->package = *package;
    file->source = sg_locate(w, package);
    file->verdict = SG_FRESH;
    file->reason = file->detail = "";
    if (file->source == NULL) {
        sg_verdict(w, file, SG_NOT_ASKED, "no source", "%s has no source in this environment",
                   sg_id_print(w, package));
        return;
    }
    if (!header(w, file) || !native(w, file))
        return;
    if (!sg_julia_id_is(&file->ji.provides[0].id, package)) {
        sg_verdict(w, file, SG_STALE, "for different pkgid",
                   "Rejecting cache file %s for %s since it is for %s instead", file->path,
                   sg_id_print(w, package), sg_id_print(w, &file->ji.provides[0].id));
        return;
    }
    if (modules(w, file) && sg_judge_includes(w, file))
        sums(w, file);
}
