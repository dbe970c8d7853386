/* saggar show: one entry in full: its recipe, what it needs, its parts, what it was built from. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/tiers.h"
#include "image/image.h"
#include "isa/features.h"
#include "key/value.h"
#include "store/store.h"

static struct cli_list sources;
static const char *store;
static bool json, full;

static const struct cli_option options[] = {
    {0, "in", "PATH", CLI_LIST, &sources, "look in this image or store; may be given more than once"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "full", NULL, CLI_FLAG, &full, "do not shorten values"},
    {0, "json", NULL, CLI_FLAG, &json, "a list of objects"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "shown"},
    {1, "no entry has such a key, or something of it is damaged or cannot be used"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

struct search {
    const char *prefix;
    const char *tier;
    size_t found, unusable;
    bool damaged;
    struct sg_json json;
};

/* ---- Values as rows: a title, and name = text ---- */

struct rows {
    struct sg_json *json; /* NULL: for people */
    size_t n;
};

static void row(struct rows *r, const char *name, const char *text) {
    if (r->json != NULL) {
        sg_json_key(r->json, name);
        sg_json_str(r->json, text);
    } else {
        fputs("  ", stdout);
        out_put(stdout, name);
        printf("%*s ", name[0] != '\0' && strlen(name) < 12 ? (int)(12 - strlen(name)) : 0, "");
        out_put(stdout, text);
        putchar('\n');
    }
    r->n++;
}

static void title(struct rows *r, const char *name, bool object) {
    if (r->json == NULL) {
        printf("%s%s%s\n", out_color(stdout, "bold"), name, out_color(stdout, ""));
        return;
    }
    sg_json_key(r->json, name);
    if (object)
        sg_json_object(r->json);
    else
        sg_json_array(r->json);
}

/* A canonical value as text that needs no further escaping, malloc'd. */
static char *value_text(const uint8_t *value, size_t size) {
    char *text = NULL;
    if (saggar_value_print(value, size, full ? SIZE_MAX : 200, &text) != SAGGAR_OK)
        return out_strdup("(damaged)");
    return text;
}

static void value_row(struct rows *r, const char *name, size_t name_size, const uint8_t *value, size_t size) {
    char *text = value_text(value, size), *key = out_bytes(name, name_size);
    if (r->json != NULL) {
        sg_json_key(r->json, key);
        sg_json_str(r->json, text);
    } else {
        printf("  %-12s %s\n", key, text);
    }
    r->n++;
    free(key);
    free(text);
}

static void put_recipe(struct rows *r, const uint8_t *bytes, size_t size) {
    uint32_t count;
    title(r, "recipe", true);
    if (saggar_recipe_count(bytes, size, &count) != SAGGAR_OK)
        count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *name;
        const uint8_t *value;
        size_t name_size, value_size;
        if (saggar_recipe_get(bytes, size, i, &name, &name_size, &value, &value_size) == SAGGAR_OK)
            value_row(r, name, name_size, value, value_size);
    }
    if (r->json != NULL)
        sg_json_object_end(r->json);
}

/* ---- Requirements and dependencies in words ---- */

static char *text_member(struct sg_cursor *c) {
    size_t n = 0;
    const char *text = sg_value_text(c, &n);
    return text != NULL ? out_bytes(text, n) : out_strdup("(damaged)");
}

static void put_line(struct rows *r, const char *what, char *text) {
    if (r->json != NULL) {
        sg_json_object(r->json);
        sg_json_key(r->json, "kind");
        sg_json_str(r->json, what);
        sg_json_key(r->json, "text");
        sg_json_str(r->json, text);
        sg_json_object_end(r->json);
        r->n++;
    } else { /* what came from outside is escaped already */
        printf("  %-12s %s\n", what, text);
        r->n++;
    }
    free(text);
}

static void put_features(struct rows *r, const struct sg_requirements *q) {
    static const char *const how[] = {"", "found in the machine code", "declared by the compiler",
                                      "all that the compiling host has"};
    char *names = NULL;
    unsigned more;
    if (q->provenance == SAGGAR_PROVENANCE_NONE)
        return;
    if (saggar_features_names((saggar_arch)q->arch, &q->features, &names) != SAGGAR_OK)
        names = NULL;
    const char *level = cli_level(q->arch, &q->features, &more);
    char *unknown = out_name(q->unknown != NULL ? q->unknown : "");
    put_line(r, "features",
             out_format("%s%s%s; level %s%s (%s)", names != NULL && names[0] != '\0' ? names : "none",
                        q->unknown != NULL ? "," : "", unknown, level, more > 0 ? " and more" : "",
                        q->provenance < 4 ? how[q->provenance] : "unknown"));
    free(unknown);
    free(names);
}

static int on_requirement(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    struct rows *r = context;
    struct sg_cursor c;
    sg_cursor_init(&c, payload, n);
    if (kind == SG_REQUIRE_ARCH && sg_value_tuple(&c) == 2) {
        char *arch = text_member(&c), *abi = text_member(&c);
        put_line(r, "architecture", out_format("%s %s", arch, abi));
        free(arch);
        free(abi);
    } else if (kind == SG_REQUIRE_SYMBOLS) {
        uint32_t count = sg_value_tuple(&c);
        char *text = value_text(payload, n);
        put_line(r, "symbols", out_format("%u: %s", count, text));
        free(text);
    } else if (kind == SG_REQUIRE_LIBRARY && sg_value_tuple(&c) == 2) {
        char *name = text_member(&c), *version = text_member(&c);
        put_line(r, "library", out_format("%s %s or newer", name, version));
        free(name);
        free(version);
    } else if (kind == SG_REQUIRE_NEEDED && sg_value_tuple(&c) == 3) {
        size_t size = 0;
        char *name = text_member(&c);
        const uint8_t *versions = sg_value_skip(&c, &size);
        char *text = versions == NULL ? strdup("") : value_text(versions, size);
        put_line(r, "library",
                 out_format("%s %s%s", name, text, sg_value_int(&c) == 0 ? " (not checked)" : ""));
        free(name);
        free(text);
    }
    return 0;
}

static int on_dependency(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    static const char *const kinds[] = {"", "file", "distribution", "value", "code", "entry"};
    unsigned k = kind & 0x7fffu;
    char *text = value_text(payload, n);
    put_line(context, k >= 1 && k <= 5 ? kinds[k] : "unknown", text);
    return 0;
}

static void put_sections(struct search *s, struct rows *r, const struct sg_entry_view *v) {
    title(r, "parts", false);
    for (uint32_t i = 0; i < v->sections; i++) {
        struct sg_section section;
        char size[OUT_UNIT], stored[OUT_UNIT];
        sg_entry_section(v, i, &section);
        if (section.kind != SG_SECTION_PART)
            continue;
        if (r->json != NULL) {
            sg_json_object(r->json);
            sg_json_key(r->json, "name");
            sg_json_str(r->json, section.name);
            sg_json_key(r->json, "bytes");
            sg_json_uint(r->json, section.raw);
            sg_json_key(r->json, "stored_bytes");
            sg_json_uint(r->json, section.stored);
            sg_json_key(r->json, "sha256");
            sg_json_hex(r->json, section.sha256, 32);
            sg_json_object_end(r->json);
        } else {
            char *text = section.codec != 0 ? out_format("%s, %s compressed", out_size(size, section.raw),
                                                         out_size(stored, section.stored))
                                            : out_strdup(out_size(size, section.raw));
            row(r, section.name, text);
            free(text);
        }
    }
    if (r->json != NULL)
        sg_json_array_end(r->json);
    (void)s;
}

static bool put_records(struct search *s, struct rows *r, const struct sg_entry_view *v) {
    struct sg_requirements q;
    struct sg_section section;
    const uint8_t *data;
    uint8_t *owned;
    size_t n;
    bool good = true;
    title(r, "requirements", false);
    if (sg_entry_requirements(v, SG_FULL, &q) == SAGGAR_OK) {
        put_features(r, &q);
        sg_records_each(q.section, q.section_size, on_requirement, r);
        sg_requirements_free(&q);
    } else {
        good = false;
    }
    if (r->json != NULL)
        sg_json_array_end(r->json);
    title(r, "dependencies", false);
    if (sg_entry_find(v, SG_SECTION_DEPENDENCIES, NULL, &section) == SAGGAR_OK &&
        sg_entry_bytes(v, &section, SG_FULL, &data, &n, &owned) == SAGGAR_OK) {
        sg_records_each(data, n, on_dependency, r);
        free(owned);
    } else {
        good = false;
    }
    if (r->json != NULL)
        sg_json_array_end(r->json);
    (void)s;
    return good;
}

static void put_head(struct rows *r, const struct search *s, const struct cli_entry *e, const char *file) {
    char hex[65], size[OUT_UNIT], text[64];
    title(r, "entry", true);
    row(r, "function", e->group[0] != '\0' ? e->group : "-");
    sg_hex(hex, e->key, 32);
    row(r, "key", hex);
    sg_hex(hex, e->identity, 32);
    row(r, "identity", hex);
    row(r, "bytes", out_size(size, e->size));
    row(r, "tier", s->tier);
    if (file[0] != '\0')
        row(r, "file", file);
    if (e->seconds >= 0) {
        snprintf(text, sizeof text, "%.3f s", e->seconds);
        row(r, "took", text);
    }
    struct tm tm;
    time_t published = (time_t)e->published;
    if (published != 0 && gmtime_r(&published, &tm) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
        row(r, "published", text);
    }
    if (r->json != NULL)
        sg_json_object_end(r->json);
}

static void put_entry(struct search *s, const struct sg_entry_view *v, const uint8_t *annex,
                      size_t annex_size, const char *file) {
    struct rows r = {json ? &s->json : NULL, 0};
    struct cli_entry e;
    struct sg_section section;
    const uint8_t *recipe;
    uint8_t *owned;
    size_t n;
    if (json)
        sg_json_object(&s->json);
    else if (s->found > 0)
        putchar('\n');
    cli_entry_read(v, annex, annex_size, s->tier, &e);
    put_head(&r, s, &e, file);
    cli_entry_free(&e);
    if (sg_entry_find(v, SG_SECTION_RECIPE, NULL, &section) == SAGGAR_OK &&
        sg_entry_bytes(v, &section, SG_FULL, &recipe, &n, &owned) == SAGGAR_OK) {
        put_recipe(&r, recipe, n);
        free(owned);
    } else {
        s->damaged = true;
    }
    if (!put_records(s, &r, v))
        s->damaged = true;
    put_sections(s, &r, v);
    if (json)
        sg_json_object_end(&s->json);
    s->found++;
}

/* ---- Finding it ---- */

static int on_entry(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *name) {
    struct search *s = context;
    char hex[65];
    if (error != SAGGAR_OK) { /* a store's file has its key as its name */
        const char *base = strrchr(name, '/');
        if (base != NULL && strncmp(base + 1, s->prefix, strlen(s->prefix)) == 0) {
            cli_note("%s: %s", name, cli_trouble(error));
            s->unusable++;
        }
        return 0;
    }
    sg_hex(hex, view->key, 32);
    if (strncmp(hex, s->prefix, strlen(s->prefix)) == 0)
        put_entry(s, view, annex, annex_size, name);
    return 0;
}

static int search_key(struct search *s) {
    struct cli_args args = {0};
    struct cli_source *list;
    size_t n;
    args.names = (char **)(uintptr_t)sources.item;
    args.n = sources.n;
    int status = cli_sources(&args, store, true, &list, &n);
    for (size_t i = 0; status == 0 && i < n; i++) {
        s->tier = list[i].path;
        if (list[i].tier != NULL)
            list[i].tier->ops->each(list[i].tier, on_entry, s);
    }
    if (status == 0)
        cli_sources_free(list, n);
    return status;
}

/* A store file by its path. */
static int show_file(struct search *s, const char *path) {
    struct sg_entry_view view;
    unsigned char *data;
    const uint8_t *annex = NULL;
    size_t size, annex_size = 0;
    char *real = realpath(path, NULL); /* links are followed */
    int err = sg_read_all_at(AT_FDCWD, real != NULL ? real : path, (size_t)9 << 30, &data, &size, NULL);
    free(real);
    if (err != SAGGAR_OK)
        return cli_fail("%s: %s", path, saggar_strerror(err));
    if (size >= 4 && memcmp(data, "\x89SGI", 4) == 0)
        err = cli_fail("%s: an image; `saggar ls %s` lists its entries, `saggar show --in %s KEY` shows one",
                       path, path, path);
    else if ((err = sg_entry_open(data, size, NULL, &view)) != SAGGAR_OK)
        err = cli_fail("%s: %s", path, cli_trouble(err));
    if (err == 0) {
        if (sg_annex_find(data, size, view.size, &annex, &annex_size) != SAGGAR_OK)
            annex = NULL;
        s->tier = path;
        put_entry(s, &view, annex, annex_size, "");
    }
    free(data);
    return err;
}

static bool is_key(const char *text) {
    size_t n = strspn(text, "0123456789abcdef");
    return n >= 2 && n <= 64 && text[n] == '\0';
}

static int run(const struct cli_args *args) {
    struct search s = {.prefix = args->names[0]};
    struct stat st;
    const char *name = args->names[0];
    bool file = stat(name, &st) == 0 && (strchr(name, '/') != NULL || !is_key(name));
    if (!file && !is_key(name))
        return cli_fail("%s: neither a file nor the first digits of a key (2 to 64 of 0-9a-f)", name);
    struct out_held held;
    out_hold(&held);
    sg_json_file(&s.json, held.file, 2);
    sg_json_array(&s.json);
    int status = file ? show_file(&s, name) : search_key(&s);
    sg_json_array_end(&s.json);
    out_json_end(&s.json);
    out_release(&held, json && status == 0);
    if (status != 0)
        return status;
    if (s.found == 0 && s.unusable == 0)
        cli_note("no entry has a key that begins with %s; `saggar ls --all` lists what there is", name);
    if (s.damaged)
        cli_note("a part of what is shown is damaged; `saggar check` says what");
    return out_finish(s.found == 0 || s.damaged ? SG_EXIT_FOUND : status);
}

const struct cli_command cli_show = {
    .name = "show",
    .usage = "[OPTIONS] KEY|FILE",
    .summary = "show one entry in full",
    .about =
        "Shows the entries whose key begins with the given digits, in every tier, or the store file of that "
        "name: the recipe that the key was made of, what a processor and a system must have, what the code "
        "was "
        "built from, and its parts.",
    .example = "saggar show 3fa91c",
    .options = options,
    .exits = exits,
    .min = 1,
    .max = 1,
    .run = run,
};
