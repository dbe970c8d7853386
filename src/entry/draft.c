/*
 * Drafts: gathering what an entry will hold, and building its core and annex.
 *
 * A draft owns copies of everything. Errors are sticky: the first one is what saggar_draft_encode() and
 * publishing report.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "entry/layout.h"
#include "isa/features.h"
#include "key/recipe.h"
#include "key/value.h"

struct record {
    uint16_t kind;
    uint8_t *payload;
    size_t size;
};

struct records {
    struct record *items;
    size_t count, capacity;
};

struct part {
    char name[SG_ENTRY_NAME];
    uint8_t *data;
    size_t size;
};

struct saggar_draft {
    uint8_t *recipe;
    size_t recipe_size;
    uint8_t *group;
    size_t group_size;
    struct records requirements, dependencies;
    char **symbols;
    size_t symbols_count, symbols_capacity;
    struct part *parts;
    size_t parts_count, parts_capacity;
    double seconds; /* below 0: not known */
    int err;
    saggar_encoder *encoder;
};

static int fail(saggar_draft *d, int status) {
    if (d->err == SAGGAR_OK) {
        d->err = status;
    }
    return status;
}

/* What a reader calls damaged was an invalid argument here. */
static int refused(int status) {
    return status == SAGGAR_OK || status == SAGGAR_ENOMEM || status == SAGGAR_ELIMIT ? status : SAGGAR_EINVAL;
}

static void *copy_of(const void *bytes, size_t size) {
    void *copy = malloc(size > 0 ? size : 1);

    if (copy != NULL && size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

/* Room for one more item of `size` bytes. */
static bool reserve(void **items, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity) {
        return true;
    }
    size_t more = *capacity == 0 ? 8 : *capacity * 2;
    void *grown = reallocarray(*items, more, size);
    if (grown != NULL) {
        *items = grown;
        *capacity = more;
    }
    return grown != NULL;
}

int saggar_draft_new(const void *recipe, size_t size, saggar_draft **out) {
    int status = sg_recipe_check(recipe, size);

    if (status != SAGGAR_OK) {
        return refused(status);
    }
    saggar_draft *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return SAGGAR_ENOMEM;
    }
    d->seconds = -1;
    d->recipe = copy_of(recipe, size);
    d->recipe_size = size;
    if (d->recipe == NULL || saggar_encoder_new(&d->encoder) != SAGGAR_OK) {
        saggar_draft_free(d);
        return SAGGAR_ENOMEM;
    }
    *out = d;
    return SAGGAR_OK;
}

static void free_records(struct records *r) {
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].payload);
    }
    free(r->items);
}

void saggar_draft_free(saggar_draft *d) {
    if (d == NULL) {
        return;
    }
    free(d->recipe);
    free(d->group);
    free_records(&d->requirements);
    free_records(&d->dependencies);
    for (size_t i = 0; i < d->symbols_count; i++) {
        free(d->symbols[i]);
    }
    free(d->symbols);
    for (size_t i = 0; i < d->parts_count; i++) {
        free(d->parts[i].data);
    }
    free(d->parts);
    saggar_encoder_free(d->encoder);
    free(d);
}

static void text(saggar_draft *d, const char *s) {
    saggar_encode_text(d->encoder, s, strlen(s));
}

static void begin(saggar_draft *d) {
    saggar_encoder_reset(d->encoder);
    saggar_encode_begin(d->encoder, SAGGAR_TUPLE);
}

/* Keeps a copy of the value that was encoded. */
static int take(saggar_draft *d, uint8_t **bytes, size_t *size) {
    const uint8_t *encoded;
    int status = saggar_encoder_bytes(d->encoder, &encoded, size);
    if (status == SAGGAR_OK && (*bytes = copy_of(encoded, *size)) == NULL) {
        status = SAGGAR_ENOMEM;
    }
    return status != SAGGAR_OK ? fail(d, status) : SAGGAR_OK;
}

/* Ends the tuple that begin() opened and adds it. */
static int add_record(saggar_draft *d, struct records *r, uint16_t kind) {
    if (!reserve((void **)&r->items, &r->capacity, r->count, sizeof *r->items)) {
        return fail(d, SAGGAR_ENOMEM);
    }
    struct record *item = &r->items[r->count];
    item->kind = kind;
    saggar_encode_end(d->encoder);
    int status = take(d, &item->payload, &item->size);
    r->count += status == SAGGAR_OK;
    return status;
}

int saggar_draft_group(saggar_draft *d, const char *compiler, const char *module, const char *qualname) {
    free(d->group);
    d->group = NULL;
    begin(d);
    text(d, compiler);
    text(d, module);
    text(d, qualname);
    saggar_encode_end(d->encoder);
    return take(d, &d->group, &d->group_size);
}

int saggar_draft_require_arch(saggar_draft *d, saggar_arch arch, const char *abi) {
    const char *name = arch == SAGGAR_ARCH_X86_64    ? "x86_64"
                       : arch == SAGGAR_ARCH_AARCH64 ? "aarch64"
                                                     : "any";

    if (arch != SAGGAR_ARCH_ANY && arch != SAGGAR_ARCH_X86_64 && arch != SAGGAR_ARCH_AARCH64) {
        return fail(d, SAGGAR_EINVAL);
    }
    begin(d);
    text(d, name);
    text(d, abi != NULL ? abi : "any");
    return add_record(d, &d->requirements, SG_REQUIRE_ARCH);
}

static int compare_texts(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* Encodes texts as a tuple, ascending, each once. Sorts in place. */
static void encode_texts(saggar_draft *d, char **texts, size_t n) {
    if (n > 1) {
        qsort(texts, n, sizeof *texts, compare_texts);
    }
    saggar_encode_begin(d->encoder, SAGGAR_TUPLE);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(texts[i - 1], texts[i]) != 0) {
            text(d, texts[i]);
        }
    }
    saggar_encode_end(d->encoder);
}

/* Cuts a comma-separated list in place, at most `max` items; the pointers go into `list`. */
static size_t split(char *list, char **out, size_t max) {
    char *save = NULL;
    size_t n = 0;

    for (char *item = strtok_r(list, ",", &save); item != NULL && n < max;
         item = strtok_r(NULL, ",", &save)) {
        out[n++] = item;
    }
    return n;
}

int saggar_draft_require_features(saggar_draft *d, saggar_provenance provenance, const saggar_features *set,
                                  const char *unknown) {
    uint8_t bits[32];

    if (provenance < SAGGAR_PROVENANCE_SCANNED || provenance > SAGGAR_PROVENANCE_ASSUMED) {
        return fail(d, SAGGAR_EINVAL);
    }
    char *list = strdup(unknown != NULL ? unknown : "");
    size_t max = list != NULL ? strlen(list) / 2 + 1 : 0; /* an item and its comma take two bytes at least */
    char **names = calloc(max + 1, sizeof *names);
    if (list == NULL || names == NULL) {
        free(list);
        free(names);
        return fail(d, SAGGAR_ENOMEM);
    }
    for (unsigned i = 0; i < 4; i++) {
        sg_store64(bits + 8 * (size_t)i, set->word[i]);
    }
    begin(d);
    saggar_encode_int(d->encoder, provenance);
    saggar_encode_bytes(d->encoder, bits, sizeof bits);
    encode_texts(d, names, split(list, names, max));
    int status = add_record(d, &d->requirements, SG_REQUIRE_FEATURES);
    free(names);
    free(list);
    return status;
}

int saggar_draft_require_symbol(saggar_draft *d, const char *name) {
    if (!sg_value_utf8(name, strlen(name))) {
        return fail(d, SAGGAR_EINVAL);
    }
    if (!reserve((void **)&d->symbols, &d->symbols_capacity, d->symbols_count, sizeof *d->symbols) ||
        (d->symbols[d->symbols_count] = strdup(name)) == NULL) {
        return fail(d, SAGGAR_ENOMEM);
    }
    d->symbols_count++;
    return SAGGAR_OK;
}

static int pair(saggar_draft *d, struct records *r, uint16_t kind, const char *a, const char *b) {
    begin(d);
    text(d, a);
    text(d, b);
    return add_record(d, r, kind);
}

int saggar_draft_require_library(saggar_draft *d, const char *name, const char *version) {
    return pair(d, &d->requirements, SG_REQUIRE_LIBRARY, name, version);
}

bool sg_draft_requires(const saggar_draft *d, uint16_t kind) {
    size_t i = 0;
    while (i < d->requirements.count && d->requirements.items[i].kind != kind) {
        i++;
    }
    return i < d->requirements.count;
}

int sg_draft_needed(saggar_draft *d, const char *soname, char **versions, size_t n, bool must_be_found) {
    begin(d);
    text(d, soname);
    encode_texts(d, versions, n);
    saggar_encode_int(d->encoder, must_be_found);
    return add_record(d, &d->requirements, SG_REQUIRE_NEEDED);
}

int saggar_draft_depend_distribution(saggar_draft *d, const char *name, const char *version) {
    return pair(d, &d->dependencies, SG_DEPEND_DISTRIBUTION, name, version);
}

int saggar_draft_depend_file(saggar_draft *d, const char *root, const char *path, uint64_t size,
                             const uint8_t sha256[32]) {
    if (size > INT64_MAX) {
        return fail(d, SAGGAR_ELIMIT);
    }
    begin(d);
    text(d, root);
    text(d, path);
    saggar_encode_int(d->encoder, (int64_t)size);
    saggar_encode_digest(d->encoder, "file", sha256);
    return add_record(d, &d->dependencies, SG_DEPEND_FILE);
}

static int named(saggar_draft *d, uint16_t kind, const char *what, const char *resolver, const char *name,
                 const uint8_t digest[32]) {
    begin(d);
    text(d, resolver);
    text(d, name);
    saggar_encode_digest(d->encoder, what, digest);
    return add_record(d, &d->dependencies, kind);
}

int saggar_draft_depend_value(saggar_draft *d, const char *resolver, const char *name,
                              const uint8_t digest[32]) {
    return named(d, SG_DEPEND_VALUE, "value", resolver, name, digest);
}

int saggar_draft_depend_code(saggar_draft *d, const char *resolver, const char *name,
                             const uint8_t digest[32]) {
    return named(d, SG_DEPEND_CODE, "code", resolver, name, digest);
}

int saggar_draft_part(saggar_draft *d, const char *name, const void *bytes, size_t size) {
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)name[i] < 0x20 || name[i] == 0x7F) {
            return fail(d, SAGGAR_EINVAL);
        }
    }
    if (n < 1 || n >= SG_ENTRY_NAME || !sg_value_utf8(name, n)) {
        return fail(d, SAGGAR_EINVAL);
    }
    for (size_t i = 0; i < d->parts_count; i++) {
        if (strcmp(d->parts[i].name, name) == 0) {
            return SAGGAR_EEXISTS;
        }
    }
    if (!reserve((void **)&d->parts, &d->parts_capacity, d->parts_count, sizeof *d->parts)) {
        return fail(d, SAGGAR_ENOMEM);
    }
    struct part *part = &d->parts[d->parts_count];
    memset(part, 0, sizeof *part);
    memcpy(part->name, name, n);
    part->data = copy_of(bytes, size);
    part->size = size;
    if (part->data == NULL) {
        return fail(d, SAGGAR_ENOMEM);
    }
    d->parts_count++;
    return SAGGAR_OK;
}

int saggar_draft_seconds(saggar_draft *d, double seconds) {
    d->seconds = seconds;
    return SAGGAR_OK;
}

static int compare_records(const void *a, const void *b) {
    const struct record *x = a, *y = b;
    unsigned p = sg_kind_order(x->kind), q = sg_kind_order(y->kind);
    return p != q ? (p < q ? -1 : 1) : sg_value_compare(x->payload, x->size, y->payload, y->size);
}

/* The section of some records: sorted, each once. */
static int build_records(struct record *items, size_t n, struct sg_buf *out) {
    uint32_t count = 0;

    if (n > 1) {
        qsort(items, n, sizeof *items, compare_records);
    }
    sg_buf_u32(out, 0);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && compare_records(&items[i - 1], &items[i]) == 0) {
            continue;
        }
        sg_buf_u16(out, items[i].kind);
        sg_buf_u16(out, 0);
        sg_buf_text(out, items[i].payload, items[i].size);
        count++;
    }
    if (out->err == SAGGAR_OK) {
        sg_store32(out->data, count);
    }
    return out->err;
}

static int build_dependencies(saggar_draft *d, struct sg_buf *out) {
    int status = build_records(d->dependencies.items, d->dependencies.count, out);

    return status == SAGGAR_OK ? refused(sg_dependencies_check(out->data, out->len)) : status;
}

/* All requirements, and one record more that holds all symbols. */
static int build_requirements(saggar_draft *d, struct sg_buf *out) {
    size_t n = d->requirements.count, size;
    struct record *items = malloc((n + 1) * sizeof *items);
    int status = SAGGAR_OK;

    if (items == NULL) {
        return SAGGAR_ENOMEM;
    }
    if (n > 0) {
        memcpy(items, d->requirements.items, n * sizeof *items);
    }
    uint8_t *symbols = NULL;
    if (d->symbols_count > 0) {
        saggar_encoder_reset(d->encoder);
        encode_texts(d, d->symbols, d->symbols_count);
        status = take(d, &symbols, &size);
        items[n++] = (struct record){SG_REQUIRE_SYMBOLS, symbols, size};
    }
    if (status == SAGGAR_OK) {
        status = build_records(items, n, out);
    }
    if (status == SAGGAR_OK) {
        status = refused(sg_requirements_check(out->data, out->len));
    }
    free(symbols);
    free(items);
    return status;
}

static int build_core(saggar_draft *d, bool compress, const struct sg_buf *requirements,
                      const struct sg_buf *dependencies, const uint8_t key[32], struct sg_buf *core,
                      uint8_t identity[32]) {
    struct sg_raw_section *sections = calloc(d->parts_count + 4, sizeof *sections);
    uint32_t n = 0;

    if (sections == NULL) {
        return SAGGAR_ENOMEM;
    }
    sections[n++] = (struct sg_raw_section){SG_SECTION_RECIPE, "", d->recipe, d->recipe_size};
    sections[n++] =
        (struct sg_raw_section){SG_SECTION_REQUIREMENTS, "", requirements->data, requirements->len};
    sections[n++] =
        (struct sg_raw_section){SG_SECTION_DEPENDENCIES, "", dependencies->data, dependencies->len};
    if (d->group != NULL) {
        sections[n++] = (struct sg_raw_section){SG_SECTION_GROUP, "", d->group, d->group_size};
    }
    for (size_t i = 0; i < d->parts_count && n < SG_ENTRY_SECTIONS_MAX + 1; i++) {
        sections[n++] =
            (struct sg_raw_section){SG_SECTION_PART, d->parts[i].name, d->parts[i].data, d->parts[i].size};
    }
    int status = sg_entry_encode(key, sections, n, compress, core, identity);
    free(sections);
    return status;
}

static int build_annex(saggar_draft *d, struct sg_buf *annex) {
    saggar_encoder *e = d->encoder;
    char host[256] = "";
    const uint8_t *value;
    size_t size;
    uint8_t xxh[16];

    gethostname(host, sizeof host - 1);
    saggar_encoder_reset(e);
    saggar_encode_begin(e, SAGGAR_ORDERED_MAP);
    if (d->seconds >= 0) {
        text(d, "seconds");
        saggar_encode_float(e, d->seconds);
    }
    text(d, "published");
    saggar_encode_int(e, time(NULL));
    if (sg_value_utf8(host, strlen(host))) {
        text(d, "host");
        text(d, host);
    }
    text(d, "pid");
    saggar_encode_int(e, getpid());
    text(d, "by");
    text(d, saggar_version());
    saggar_encode_end(e);
    int status = saggar_encoder_bytes(e, &value, &size);
    if (status != SAGGAR_OK) {
        return status;
    }
    sg_xxh128(xxh, value, size);
    sg_buf_add(annex, "SGANNEX1", 8);
    sg_buf_u32(annex, (uint32_t)size);
    sg_buf_u32(annex, 0);
    sg_buf_add(annex, xxh, sizeof xxh);
    return sg_buf_add(annex, value, size);
}

int sg_draft_build(saggar_draft *d, bool compress, struct sg_buf *core, struct sg_buf *annex, uint8_t key[32],
                   uint8_t identity[32]) {
    struct sg_buf required, depended;
    int status = d->err;

    sg_buf_init(&required, SG_SECTION_MAX);
    sg_buf_init(&depended, SG_SECTION_MAX);
    if (status == SAGGAR_OK) {
        status = build_requirements(d, &required);
    }
    if (status == SAGGAR_OK) {
        status = build_dependencies(d, &depended);
    }
    if (status == SAGGAR_OK) {
        status = sg_sha256(key, d->recipe, d->recipe_size);
    }
    if (status == SAGGAR_OK) {
        status = build_core(d, compress, &required, &depended, key, core, identity);
    }
    if (status == SAGGAR_OK && annex != NULL) {
        status = build_annex(d, annex);
    }
    sg_buf_free(&required);
    sg_buf_free(&depended);
    return status;
}

int saggar_draft_encode(saggar_draft *d, uint8_t **core, size_t *size, uint8_t identity[32]) {
    struct sg_buf buf;
    uint8_t key[32], id[32];

    sg_buf_init(&buf, SG_CORE_MAX);
    int status = sg_draft_build(d, false, &buf, NULL, key, id);
    if (status == SAGGAR_OK) {
        *core = sg_buf_steal(&buf, size);
        status = *core != NULL ? SAGGAR_OK : SAGGAR_ENOMEM;
        if (identity != NULL) {
            memcpy(identity, id, 32);
        }
    }
    sg_buf_free(&buf);
    return status;
}
