/* saggar julia ls: the cache files of depots, and what killed builds left beside them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/julia.h"
#include "julia/targets.h"

static bool json, sums;

static const struct cli_option options[] = {
    {0, "sums", NULL, CLI_FLAG, &sums, "read the machine code too, and compare its checksum"},
    {0, "json", NULL, CLI_FLAG, &json, "an object: files, with all that their headers say, and leftovers"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done; leftovers are no fault"},
    {1,
     "a file is damaged or of an unknown format, or a file or folder cannot be read; the others are listed"},
    {2, "wrong usage, or a folder without compiled/"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct listing {
    struct sg_world world;
    struct out_table table;
    struct sg_json json;
    char **left; /* leftovers: path and what it is, in turns */
    size_t n_left, shown, damaged;
};

/* ---- One file ---- */

struct found {
    const char *path, *version, *name; /* of the folders */
    const struct sg_file *file;
    const char *so; /* NULL: none */
    uint64_t so_size;
    uint32_t so_crc;
    bool so_read; /* so_crc is that of what lies there */
    bool so_shut; /* it was to be read, and cannot be */
};

static const char *trouble(const struct found *f) {
    const struct sg_ji *ji = &f->file->ji;
    if (ji->state != SG_JI_OK)
        return ji->what;
    if (!f->file->crc_holds)
        return "its checksum is wrong";
    if (ji->native && f->so == NULL)
        return "its machine code (.so) is missing";
    if (f->so_shut)
        return "its machine code (.so) cannot be read";
    return f->so_read && f->so_crc != ji->so_crc ? "the checksum of its machine code (.so) is wrong" : NULL;
}

static void put_modules(struct sg_json *j, const char *key, const struct sg_ji_module *list, size_t n) {
    sg_json_key(j, key);
    sg_json_array(j);
    for (size_t i = 0; i < n; i++) {
        char *build = list[i].build_hi != 0
                          ? out_format("0x%016llx%016llx", (unsigned long long)list[i].build_hi,
                                       (unsigned long long)list[i].build_lo)
                          : out_format("0x%016llx", (unsigned long long)list[i].build_lo);
        sg_json_object(j);
        julia_json_id(j, &list[i].id);
        sg_json_key(j, "build_id");
        sg_json_str(j, build);
        sg_json_object_end(j);
        free(build);
    }
    sg_json_array_end(j);
}

static void put_header(struct sg_json *j, const struct sg_ji *ji) {
    const struct {
        const char *key, *text;
    } texts[] = {{"uname", ji->uname},
                 {"arch", ji->arch},
                 {"julia", ji->version},
                 {"git_branch", ji->branch},
                 {"git_commit", ji->commit}};
    sg_json_key(j, "format");
    sg_json_uint(j, ji->format);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        sg_json_key(j, texts[i].key);
        sg_json_str(j, texts[i].text);
    }
    sg_json_key(j, "pointer_size");
    sg_json_uint(j, ji->pointer_size);
    sg_json_key(j, "checksum");
    julia_json_hex(j, ji->checksum, 16);
    sg_json_key(j, "header_size");
    sg_json_uint(j, ji->fixed_size);
    sg_json_key(j, "flags");
    julia_json_hex(j, ji->flags, 2);
}

static void put_dependencies(struct sg_json *j, const struct sg_ji *ji) {
    sg_json_key(j, "includes");
    sg_json_array(j);
    for (size_t i = 0; i < ji->n_includes; i++) {
        const struct sg_ji_include *d = &ji->includes[i];
        sg_json_object(j);
        sg_json_key(j, "path");
        sg_json_str(j, d->path);
        sg_json_key(j, "size");
        sg_json_uint(j, d->size);
        sg_json_key(j, "crc32c");
        julia_json_hex(j, d->crc, 8);
        sg_json_key(j, "mtime");
        sg_json_real(j, d->mtime);
        sg_json_key(j, "source_stored");
        sg_json_bool(j, d->source);
        sg_json_object_end(j);
    }
    sg_json_array_end(j);
    sg_json_key(j, "requires");
    sg_json_array(j);
    for (size_t i = 0; i < ji->n_requires; i++) {
        sg_json_object(j);
        sg_json_key(j, "by");
        sg_json_str(j, ji->requires[i].by > 0 ? ji->provides[ji->requires[i].by - 1].id.name : NULL);
        julia_json_id(j, &ji->requires[i].id);
        sg_json_object_end(j);
    }
    sg_json_array_end(j);
    sg_json_key(j, "preferences");
    sg_json_array(j);
    for (size_t i = 0; i < ji->n_preferences; i++)
        sg_json_str(j, ji->preferences[i]);
    sg_json_array_end(j);
    sg_json_key(j, "preferences_hash");
    julia_json_hex(j, ji->preferences_hash, 16);
}

static void put_words(struct sg_json *j, const char *key, const uint32_t *words, uint32_t n) {
    sg_json_key(j, key);
    sg_json_array(j);
    for (uint32_t i = 0; i < n; i++)
        julia_json_hex(j, words[i], 8);
    sg_json_array_end(j);
}

static void put_targets(struct listing *l, const struct sg_ji *ji) {
    struct sg_json *j = &l->json;
    sg_json_key(j, "targets");
    sg_json_array(j);
    for (size_t i = 0; i < ji->n_targets; i++) {
        const struct sg_julia_target *t = &ji->targets[i];
        sg_json_object(j);
        sg_json_key(j, "name");
        sg_json_str(j, t->name);
        sg_json_key(j, "features");
        sg_json_str(j, strcmp(ji->arch, "x86_64") == 0 ? sg_julia_target_print(&l->world.arena, ji->minor, t)
                                                       : NULL);
        sg_json_key(j, "flags");
        julia_json_hex(j, t->flags, 8);
        put_words(j, "enabled", t->enabled, t->words);
        put_words(j, "disabled", t->disabled, t->words);
        sg_json_object_end(j);
    }
    sg_json_array_end(j);
}

static void put_json(struct listing *l, const struct found *f) {
    struct sg_json *j = &l->json;
    const struct sg_ji *ji = &f->file->ji;
    sg_json_object(j);
    sg_json_key(j, "file");
    sg_json_str(j, f->path);
    sg_json_key(j, "bytes");
    sg_json_uint(j, ji->size);
    sg_json_key(j, "so");
    sg_json_str(j, f->so);
    sg_json_key(j, "so_bytes");
    sg_json_uint(j, f->so_size);
    sg_json_key(j, "trouble");
    sg_json_str(j, trouble(f));
    put_header(j, ji);
    put_modules(j, "provides", ji->provides, ji->n_provides);
    put_dependencies(j, ji);
    put_modules(j, "required_modules", ji->required, ji->n_required);
    put_targets(l, ji);
    sg_json_key(j, "crc");
    julia_json_hex(j, ji->crc, 8);
    sg_json_key(j, "crc_holds");
    sg_json_bool(j, f->file->crc_holds);
    sg_json_key(j, "so_crc");
    julia_json_hex(j, ji->so_crc, 8);
    sg_json_key(j, "so_crc_holds");
    if (f->so_read)
        sg_json_bool(j, f->so_crc == ji->so_crc);
    else
        sg_json_null(j);
    sg_json_object_end(j);
}

static void put_row(struct listing *l, const struct found *f) {
    const struct sg_ji *ji = &f->file->ji;
    const char *targets = ji->native ? "" : "none";
    char size[OUT_UNIT];
    for (size_t i = 0; i < ji->n_targets; i++)
        targets = sg_arena_format(&l->world.arena, "%s%s%s", targets, i > 0 ? ";" : "", ji->targets[i].name);
    out_cell(&l->table, "%s", ji->version[0] != '\0' ? ji->version : "?");
    out_cell(&l->table, "%s", f->name);
    out_cell(&l->table, "%s", out_size(size, ji->size + f->so_size));
    out_cell(&l->table, "%02x", (unsigned)ji->flags);
    out_cell(&l->table, "%s", targets);
    out_cell(&l->table, "%s", f->path);
}

static bool take(struct listing *l, const char *path, const char *name) {
    struct sg_world *w = &l->world;
    struct stat st;
    struct found f = {.path = path, .name = name, .file = sg_file_read(w, path, 0)};
    if (f.file == NULL)
        return false;
    const char *so = sg_arena_format(&w->arena, "%.*s.so", (int)(strlen(path) - 3), path);
    if (sg_world_stat(w, so, &st) && S_ISREG(st.st_mode)) {
        f.so = so;
        f.so_size = (uint64_t)st.st_size;
        f.so_read = sums && sg_world_crc(w, so, &f.so_crc);
        f.so_shut = sums && !f.so_read;
    }
    const char *what = trouble(&f);
    l->shown++;
    if (what != NULL) {
        cli_note("%s: %s", path, what);
        l->damaged++;
    }
    if (json)
        put_json(l, &f);
    else
        put_row(l, &f);
    return true;
}

/* ---- Folders ---- */

struct names {
    char **item;
    size_t n;
};

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool entries(const char *folder, struct names *list) {
    DIR *dir = opendir(folder);
    struct dirent *e;
    *list = (struct names){0};
    if (dir == NULL)
        return false;
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char **slot = out_grow(&list->item, &list->n, sizeof *list->item);
        *slot = out_strdup(e->d_name);
    }
    closedir(dir);
    if (list->n > 1)
        qsort(list->item, list->n, sizeof *list->item, by_name);
    return true;
}

static void free_names(struct names *list) {
    for (size_t i = 0; i < list->n; i++)
        free(list->item[i]);
    free(list->item);
}

static bool ends(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static const char *leftover(struct sg_world *w, const char *path, const char *name) {
    if (strncmp(name, "jl_", 3) == 0 && strlen(name) == 9)
        return "a file that a killed build was writing";
    if (strncmp(name, ".saggar-", 8) == 0)
        return "a file that a killed restore was writing";
    if (ends(name, ".pidfile"))
        return "a lock file";
    if (!ends(name, ".so"))
        return "not a cache file";
    return sg_world_is_file(w, sg_arena_format(&w->arena, "%.*s.ji", (int)(strlen(path) - 3), path))
               ? NULL
               : "machine code without its .ji";
}

static bool walk(struct listing *l, const char *folder, int depth) {
    struct sg_world *w = &l->world;
    const char *slash = strrchr(folder, '/');
    struct names list;
    bool ok = true;
    if (!entries(folder, &list)) {
        if (errno != ENOENT) { /* it went meanwhile */
            cli_note("%s: %s", folder, strerror(errno));
            l->damaged++;
        }
        return true;
    }
    for (size_t i = 0; ok && i < list.n; i++) {
        const char *path = sg_arena_format(&w->arena, "%s/%s", folder, list.item[i]), *what;
        if (depth < 2 && sg_world_is_dir(w, path)) {
            ok = walk(l, path, depth + 1);
        } else if (ends(list.item[i], ".ji")) {
            ok = take(l, path, depth == 2 ? slash + 1 : "-");
        } else if ((what = leftover(w, path, list.item[i])) != NULL) {
            for (int k = 0; k < 2; k++) {
                char **slot = out_grow(&l->left, &l->n_left, sizeof *l->left);
                *slot = out_strdup(k == 0 ? path : what);
            }
        }
    }
    free_names(&list);
    return ok;
}

static void end_text(struct listing *l) {
    char *count = out_count(l->shown, "cache file", "cache files");
    if (l->shown > 0)
        out_table_end(&l->table, stdout);
    else
        out_table_free(&l->table);
    printf("%s\n", count);
    free(count);
    for (size_t i = 0; i < l->n_left; i += 2) {
        fputs("left over: ", stdout);
        out_put(stdout, l->left[i]);
        printf(": %s\n", l->left[i + 1]);
    }
}

static int end_json(struct listing *l) {
    sg_json_array_end(&l->json);
    sg_json_key(&l->json, "leftovers");
    sg_json_array(&l->json);
    for (size_t i = 0; i < l->n_left; i += 2) {
        sg_json_object(&l->json);
        sg_json_key(&l->json, "file");
        sg_json_str(&l->json, l->left[i]);
        sg_json_key(&l->json, "what");
        sg_json_str(&l->json, l->left[i + 1]);
        sg_json_object_end(&l->json);
    }
    sg_json_array_end(&l->json);
    sg_json_object_end(&l->json);
    return out_json_end(&l->json);
}

static int run(const struct cli_args *args) {
    static const char *const headings[] = {"JULIA", "PACKAGE", ">BYTES", "FLAGS", "TARGETS", "FILE"};
    struct listing l = {0};
    int status = 0;
    for (size_t i = 0; i < args->n; i++) {
        const char *folder = sg_arena_format(&l.world.arena, "%s/compiled", args->names[i]);
        if (!sg_world_is_dir(&l.world, folder)) {
            sg_arena_free(&l.world.arena);
            return cli_fail("%s: no depot: there is no folder compiled in it", args->names[i]);
        }
    }
    if (json) {
        sg_json_file(&l.json, stdout, 2);
        sg_json_object(&l.json);
        sg_json_key(&l.json, "files");
        sg_json_array(&l.json);
    } else {
        out_table_begin(&l.table, 6, headings);
    }
    for (size_t i = 0; i < args->n && l.world.error[0] == '\0'; i++)
        walk(&l, sg_arena_format(&l.world.arena, "%s/compiled", args->names[i]), 0);
    if (l.world.error[0] != '\0')
        status = cli_fail("%s", l.world.error);
    else if (json)
        status = end_json(&l);
    else
        end_text(&l);
    if (status == 0 && l.damaged > 0)
        status = SG_EXIT_FOUND;
    for (size_t i = 0; i < l.n_left; i++)
        free(l.left[i]);
    free(l.left);
    sg_world_free(&l.world);
    return out_finish(status);
}

const struct cli_command cli_julia_ls = {
    .name = "julia ls",
    .usage = "[OPTIONS] DEPOT...",
    .summary = "list the cache files of depots",
    .about =
        "Lists every cache file below DEPOT/compiled with the Julia that made it, its size with the machine "
        "code beside it, its flags (a byte in hex) and the processors that it was compiled for. Then what "
        "killed builds left: temporary files, lock files, machine code without its .ji.",
    .example = "saggar julia ls ~/.julia",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = SIZE_MAX,
    .run = run,
};
