/*
 * saggar audit: what could go wrong where an image is used. Two entries with different code under one symbol
 * name, for processors that may load both; entries that this host cannot run, and why.
 *
 * A compiler that links a function into others optimises it there again, so that equal functions may differ
 * in their machine code. Where an entry says what each of its functions was generated from (its part
 * "bodies", docs/FORMAT.md section 4.1), that is compared; else the machine code.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/tiers.h"
#include "code/definition.h"
#include "isa/features.h"

static const char *store;
static bool json;

static const struct cli_option options[] = {
    {0, "store", "DIR", CLI_TEXT, &store, "the store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "one object: collisions, unmet requirements, counts"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "no name has two bodies, and this host can run every entry"},
    {1, "something was found, or an entry is damaged; each finding is one line"},
    {2, "wrong usage, or a file that cannot be read"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

/* One definition of one entry. */
struct definition {
    char *symbol;
    uint8_t sha256[32];
    bool is_body; /* else it is the machine code's */
    size_t entry;
};

struct audited {
    char *name; /* its first digits and its function */
    uint8_t arch;
    saggar_features needs;
};

struct audit {
    struct audited *entries;
    struct definition *definitions;
    size_t n_entries, n_definitions, collisions, unmet, damaged;
    saggar_features host;
    struct sg_json json;
    const char *tier;
    const char *bodies; /* of the entry at hand: lines of a digest, a space and a symbol; not owned */
    size_t bodies_size;
};

/* The digest of what a symbol of the entry at hand was generated from. False if the entry does not say. */
static bool body_of(const struct audit *a, const char *symbol, uint8_t sha256[32]) {
    enum { DIGITS = 64 };
    size_t length = strlen(symbol);
    for (const char *line = a->bodies, *end = line + a->bodies_size; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL)
            return false;
        if ((size_t)(next - line) == DIGITS + 1 + length && line[DIGITS] == ' ' &&
            memcmp(line + DIGITS + 1, symbol, length) == 0)
            return sg_unhex(sha256, 32, line, DIGITS);
        line = next + 1;
    }
    return false;
}

static int on_definition(void *context, const char *name, const uint8_t sha256[32]) {
    struct audit *a = context;
    struct definition *d = out_grow(&a->definitions, &a->n_definitions, sizeof *d);
    d->symbol = out_strdup(name);
    d->is_body = body_of(a, name, d->sha256);
    if (!d->is_body)
        memcpy(d->sha256, sha256, sizeof d->sha256);
    d->entry = a->n_entries - 1;
    return 0;
}

static void unmet(struct audit *a, const struct audited *e, const char *what) {
    a->unmet++;
    if (json) {
        sg_json_object(&a->json);
        sg_json_key(&a->json, "entry");
        sg_json_str(&a->json, e->name);
        sg_json_key(&a->json, "needs");
        sg_json_str(&a->json, what);
        sg_json_object_end(&a->json);
        return;
    }
    out_put(stdout, e->name);
    fputs(": needs ", stdout);
    out_put(stdout, what);
    putchar('\n');
}

/* What this host lacks for an entry. */
static void requirements(struct audit *a, const struct audited *e, const struct sg_requirements *r) {
    saggar_features lacking = r->features;
    sg_features_remove(&lacking, &a->host);
    if (r->arch != SAGGAR_ARCH_ANY && r->arch != saggar_host_arch()) {
        unmet(a, e, cli_arch_name(r->arch));
    } else if (!r->abi_ok) {
        unmet(a, e, "another ABI");
    } else if (!sg_features_empty(&lacking)) {
        char text[256];
        unmet(a, e, sg_features_print(r->arch, &lacking, text, sizeof text));
    } else if (r->unknown != NULL) {
        unmet(a, e, r->unknown);
    }
}

/* What the object of an entry defines. */
static int read_object(struct audit *a, const struct sg_entry_view *view, const struct sg_section *object) {
    struct sg_section section;
    const uint8_t *data, *bodies = NULL;
    uint8_t *owned, *owned_bodies = NULL;
    size_t size;
    int err = sg_entry_bytes(view, object, SG_FULL, &data, &size, &owned);
    if (err != SAGGAR_OK)
        return err;
    a->bodies_size = 0;
    if (sg_entry_find(view, SG_SECTION_PART, "bodies", &section) == SAGGAR_OK)
        err = sg_entry_bytes(view, &section, SG_FULL, &bodies, &a->bodies_size, &owned_bodies);
    a->bodies = (const char *)bodies;
    bool is_elf = size >= 4 && memcmp(data, "\177ELF", 4) == 0; /* else nothing that a linker would read */
    if (err == SAGGAR_OK && is_elf)
        err = sg_definitions_each(data, size, on_definition, a);
    free(owned_bodies);
    free(owned);
    return err == SAGGAR_EUNSUPPORTED ? SAGGAR_OK : err;
}

static int read_entry(struct audit *a, const struct sg_entry_view *view) {
    struct sg_section section;
    struct sg_requirements r;
    char digits[OUT_SHORT], *group = NULL;
    struct audited *e = out_grow(&a->entries, &a->n_entries, sizeof *e);
    sg_entry_group_text(view, &group);
    e->name = out_format("%s %s", out_short(digits, view->key), group != NULL ? group : "-");
    free(group);
    int err = sg_entry_requirements(view, SG_FULL, &r);
    if (err != SAGGAR_OK)
        return err;
    e->arch = r.arch;
    e->needs = r.features;
    requirements(a, e, &r);
    sg_requirements_free(&r);
    if (sg_entry_find(view, SG_SECTION_PART, "object", &section) != SAGGAR_OK)
        return SAGGAR_OK;
    return read_object(a, view, &section);
}

static int on_entry(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *name) {
    struct audit *a = context;
    (void)annex;
    (void)annex_size;
    if (error == SAGGAR_OK)
        error = read_entry(a, view);
    if (error != SAGGAR_OK) {
        a->damaged++;
        cli_note("%s: %s", name[0] != '\0' ? name : a->tier, cli_trouble(error));
    }
    return 0;
}

/* Entries that one host may hold at the same time with code that should be the same: equal requirements. */
static int compare_needs(const struct audited *x, const struct audited *y) {
    if (x->arch != y->arch)
        return x->arch < y->arch ? -1 : 1;
    return memcmp(&x->needs, &y->needs, sizeof x->needs);
}

static const struct audited *sorting; /* the entries, for qsort() */

static int compare_definitions(const void *a, const void *b) {
    const struct definition *x = a, *y = b;
    int order = strcmp(x->symbol, y->symbol);
    if (order == 0)
        order = compare_needs(&sorting[x->entry], &sorting[y->entry]);
    if (order == 0)
        order = (int)x->is_body - (int)y->is_body;
    if (order == 0)
        order = memcmp(x->sha256, y->sha256, sizeof x->sha256);
    return order != 0 ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

static void collision(struct audit *a, const struct definition *one, const struct definition *other) {
    a->collisions++;
    if (json) {
        sg_json_object(&a->json);
        sg_json_key(&a->json, "symbol");
        sg_json_str(&a->json, one->symbol);
        sg_json_key(&a->json, "entries");
        sg_json_array(&a->json);
        sg_json_str(&a->json, a->entries[one->entry].name);
        sg_json_str(&a->json, a->entries[other->entry].name);
        sg_json_array_end(&a->json);
        sg_json_object_end(&a->json);
        return;
    }
    out_put(stdout, one->symbol);
    fputs(": different code in ", stdout);
    out_put(stdout, a->entries[one->entry].name);
    fputs(" and ", stdout);
    out_put(stdout, a->entries[other->entry].name);
    putchar('\n');
}

static void collisions(struct audit *a) {
    sorting = a->entries;
    if (a->n_definitions > 0)
        qsort(a->definitions, a->n_definitions, sizeof *a->definitions, compare_definitions);
    for (size_t i = 1; i < a->n_definitions; i++) {
        const struct definition *one = &a->definitions[i - 1], *other = &a->definitions[i];
        if (strcmp(one->symbol, other->symbol) == 0 && one->is_body == other->is_body &&
            compare_needs(&a->entries[one->entry], &a->entries[other->entry]) == 0 &&
            memcmp(one->sha256, other->sha256, sizeof one->sha256) != 0)
            collision(a, one, other);
    }
}

static void release(struct audit *a) {
    for (size_t i = 0; i < a->n_entries; i++)
        free(a->entries[i].name);
    for (size_t i = 0; i < a->n_definitions; i++)
        free(a->definitions[i].symbol);
    free(a->entries);
    free(a->definitions);
}

static void summary(const struct audit *a) {
    char *entries = out_count(a->n_entries, "entry", "entries"),
         *definitions = out_count(a->n_definitions, "definition", "definitions"),
         *found = out_count(a->collisions, "symbol collision", "symbol collisions"),
         *lacking = out_count(a->unmet, "unmet requirement", "unmet requirements");
    printf("%s, %s: %s, %s\n", entries, definitions, found, lacking);
    free(entries);
    free(definitions);
    free(found);
    free(lacking);
}

static int run(const struct cli_args *args) {
    struct cli_source *list;
    size_t n;
    struct audit a = {0};
    int status = cli_sources(args, store, false, &list, &n);
    if (status != 0)
        return status;
    saggar_host_features(&a.host);
    if (json) {
        sg_json_file(&a.json, stdout, 2);
        sg_json_object(&a.json);
        sg_json_key(&a.json, "unmet");
        sg_json_array(&a.json);
    }
    for (size_t i = 0; i < n; i++) {
        a.tier = list[i].path;
        if (list[i].tier != NULL)
            list[i].tier->ops->each(list[i].tier, on_entry, &a);
    }
    if (json) {
        sg_json_array_end(&a.json);
        sg_json_key(&a.json, "collisions");
        sg_json_array(&a.json);
    }
    collisions(&a);
    if (json) {
        sg_json_array_end(&a.json);
        sg_json_key(&a.json, "entries");
        sg_json_uint(&a.json, a.n_entries);
        sg_json_key(&a.json, "definitions");
        sg_json_uint(&a.json, a.n_definitions);
        sg_json_object_end(&a.json);
        status = out_json_end(&a.json);
    } else {
        summary(&a);
    }
    cli_sources_free(list, n);
    if (a.collisions + a.unmet + a.damaged > 0)
        status = SG_EXIT_FOUND;
    release(&a);
    return out_finish(status);
}

const struct cli_command cli_audit = {
    .name = "audit",
    .usage = "[OPTIONS] [IMAGE|STORE]...",
    .summary = "find symbols with two bodies, and entries this host cannot run",
    .about = "Reads the machine code of every entry. A process that loads two entries binds a symbol name "
             "once, so two different bodies under one name would give wrong results: each such pair is "
             "listed. What they were generated from is compared where the entries say it, else their "
             "machine code, and only among entries for the same processor features, since code for "
             "another processor differs by nature.\n\n"
             "An entry that needs another architecture, or features that this processor lacks, is listed "
             "with what it needs; run "
             "the command where the image will be used. Without a path: the store.",
    .example = "saggar audit model.saggar",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .run = run,
};
