/*
 * Makes the golden files: what this version of the format looks like, byte by byte.
 *
 *     make-golden FOLDER
 *
 * Nothing in them comes from the clock, the host or the environment, so their SHA-256 is in SHA256SUMS. A
 * change of a sum is a change of the format. One function for each file; the table at the end names them.
 */
#include <fcntl.h>
#include <saggar/saggar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "entry/entry.h"
#include "tree/tree.h"

#define NEED(x)                                                                                              \
    do {                                                                                                     \
        int err_ = (x);                                                                                      \
        if (err_ != SAGGAR_OK) {                                                                             \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, saggar_errname(err_));                \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static const uint8_t sha[32] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
                                0xbb, 0xcc, 0xdd, 0xee, 0xff, 1,    2,    3,    4,    5,    6,
                                7,    8,    9,    10,   11,   12,   13,   14,   15,   16};

static void text(saggar_encoder *e, const char *s) {
    NEED(saggar_encode_text(e, s, strlen(s)));
}

static void field(saggar_recipe *r, saggar_encoder *e, const char *name) {
    const uint8_t *bytes;
    size_t size;
    NEED(saggar_encoder_bytes(e, &bytes, &size));
    NEED(saggar_recipe_field(r, name, bytes, size));
    saggar_encoder_reset(e);
}

static saggar_draft *draft(const char *source, void (*more)(saggar_recipe *r, saggar_encoder *e)) {
    saggar_recipe *r;
    saggar_encoder *e;
    saggar_draft *d;
    const uint8_t *bytes;
    size_t size;
    NEED(saggar_recipe_new(&r));
    NEED(saggar_encoder_new(&e));
    saggar_encode_begin(e, SAGGAR_TUPLE);
    text(e, "golden");
    saggar_encode_int(e, 1);
    saggar_encode_end(e);
    field(r, e, "adapter");
    text(e, "cc 1.0");
    field(r, e, "compiler");
    text(e, source);
    field(r, e, "source");
    saggar_encode_begin(e, SAGGAR_ORDERED_MAP);
    saggar_encode_end(e);
    field(r, e, "options");
    if (more != NULL)
        more(r, e);
    NEED(saggar_recipe_finish(r, NULL, &bytes, &size));
    NEED(saggar_draft_new(bytes, size, &d));
    saggar_recipe_free(r);
    saggar_encoder_free(e);
    return d;
}

/* The bytes of an entry; frees the draft. */
static void put(struct sg_buf *out, saggar_draft *d) {
    uint8_t *core;
    size_t size;
    NEED(saggar_draft_encode(d, &core, &size, NULL));
    NEED(sg_buf_add(out, core, size));
    free(core);
    saggar_draft_free(d);
}

/* The least that an entry can be. */
static void smallest(struct sg_buf *out) {
    put(out, draft("", NULL));
}

static void dtype(saggar_encoder *e, const char *str, int64_t itemsize) {
    saggar_encode_record(e, "dtype");
    saggar_encode_name(e, "str");
    text(e, str);
    saggar_encode_name(e, "itemsize");
    saggar_encode_int(e, itemsize);
    saggar_encode_name(e, "align");
    saggar_encode_bool(e, false);
    saggar_encode_name(e, "metadata");
    saggar_encode_none(e);
    saggar_encode_name(e, "fields");
    saggar_encode_none(e);
    saggar_encode_name(e, "sub");
    saggar_encode_none(e);
    NEED(saggar_encode_end(e));
}

/* A field for each kind of value. */
static void every_value(saggar_recipe *r, saggar_encoder *e) {
    static const uint8_t big[9] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint64_t extents[2] = {2, 2};
    NEED(saggar_encode_begin(e, SAGGAR_LIST));
    saggar_encode_none(e);
    saggar_encode_bool(e, false);
    saggar_encode_bool(e, true);
    saggar_encode_int(e, -1);
    saggar_encode_bigint(e, true, big, sizeof big);
    saggar_encode_float(e, -0.0);
    saggar_encode_complex(e, 1.5, -2);
    saggar_encode_bytes(e, "\0\xff", 2);
    saggar_encode_text(e, "\xf0\x9f\x8f\xba\xed\xa0\x80", 7); /* an amphora and a lone surrogate */
    saggar_encode_digest(e, "file", sha);
    saggar_encode_back_reference(e, 0);
    NEED(saggar_encode_end(e));
    field(r, e, "scalars");
    NEED(saggar_encode_begin(e, SAGGAR_TUPLE));
    for (int kind = SAGGAR_LIST; kind <= SAGGAR_ORDERED_MAP; kind++) {
        saggar_encode_begin(e, (saggar_container)kind);
        for (int i = 300; i > 296; i--)
            saggar_encode_int(e, i);
        NEED(saggar_encode_end(e));
    }
    saggar_encode_record(e, "point");
    saggar_encode_name(e, "y");
    saggar_encode_int(e, 2);
    saggar_encode_name(e, "x");
    saggar_encode_int(e, 1);
    NEED(saggar_encode_end(e));
    NEED(saggar_encode_end(e));
    field(r, e, "containers");
    NEED(saggar_encode_begin(e, SAGGAR_TUPLE));
    saggar_encode_dtype(e);
    dtype(e, ">f8", 8);
    saggar_encode_array(e);
    dtype(e, "<i2", 2);
    NEED(saggar_encode_array_data(e, 1, 3, extents, 2, "\1\0\2\0\3\0\4\0", 8));
    saggar_encode_array_scalar(e);
    dtype(e, "|b1", 1);
    NEED(saggar_encode_array_data(e, 0, 0, NULL, 0, "\1", 1));
    NEED(saggar_encode_end(e));
    field(r, e, "arrays");
}

/* Every section and every record that this version writes. */
static saggar_draft *full_draft(void) {
    saggar_draft *d = draft("int f(void);", every_value);
    const saggar_features set = {{UINT64_C(0x8000000000000001), 0, 0, UINT64_C(1) << 40}};
    uint8_t object[5000];
    for (size_t i = 0; i < sizeof object; i++)
        object[i] = (uint8_t)(i * i / 97);
    NEED(saggar_draft_group(d, "cc", "module", "f.<locals>.g"));
    NEED(saggar_draft_require_arch(d, SAGGAR_ARCH_AARCH64, "linux-gnu"));
    NEED(saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &set, "zz-new,aa-new"));
    NEED(saggar_draft_require_symbol(d, "puts"));
    NEED(saggar_draft_require_symbol(d, "exit"));
    NEED(saggar_draft_require_library(d, "GLIBC", "2.34"));
    NEED(saggar_draft_require_library(d, "GLIBCXX", "3.4.30"));
    NEED(saggar_draft_depend_file(d, "site-packages", "a/b.py", 123, sha));
    NEED(saggar_draft_depend_distribution(d, "numpy", "2.3.4"));
    NEED(saggar_draft_depend_value(d, "cc", "module.LIMIT", sha));
    NEED(saggar_draft_depend_code(d, "cc", "module.callee", sha));
    NEED(saggar_draft_part(d, "object", object, sizeof object));
    NEED(saggar_draft_part(d, "meta", "\0", 1));
    NEED(saggar_draft_part(d, "empty", NULL, 0));
    return d;
}

static void full(struct sg_buf *out) {
    put(out, full_draft());
}

/* A section that no reader of this version knows, and may skip. */
static void later_minor(struct sg_buf *out) {
    struct sg_buf plain;
    struct sg_entry_view v;
    struct sg_raw_section raw[8];
    sg_buf_init(&plain, SIZE_MAX / 2);
    smallest(&plain);
    NEED(sg_entry_open(plain.data, plain.len, NULL, &v));
    for (uint32_t i = 0; i < v.sections; i++) {
        struct sg_section s;
        sg_entry_section(&v, i, &s);
        raw[i] = (struct sg_raw_section){s.kind, s.name, plain.data + s.offset, (size_t)s.raw};
    }
    raw[v.sections] = (struct sg_raw_section){0x0123, "", (const uint8_t *)"later", 5};
    NEED(sg_entry_encode(v.key, raw, v.sections + 1, false, out, NULL));
    sg_buf_free(&plain);
}

static void make_file(const char *name, const char *text, mode_t mode) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    NEED(fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) != 0 ||
         close(fd) != 0);
}

/* Every kind of node, and a needed library of each way. */
static void with_tree(struct sg_buf *out) {
    char folder[] = "/tmp/saggar-golden-XXXXXX", *versions[] = {(char[]){"B_2"}, (char[]){"A_1"}};
    char here[4096];
    NEED(getcwd(here, sizeof here) == NULL || mkdtemp(folder) == NULL || chdir(folder) != 0);
    NEED(mkdir("lib", 0750) != 0 || mkdir("lib/empty", 0700) != 0);
    make_file("lib/code.so", "not an object", 0755);
    make_file("lib/none", "", 0600);
    make_file("lib-x", "between", 0640);
    NEED(symlink("code.so", "lib/code.so.1") != 0 || symlink("../run", "lib/up") != 0);
    make_file("run", "#!", 0711);
    saggar_draft *d = draft("tree", NULL);
    NEED(saggar_draft_tree(d, folder, NULL));
    NEED(sg_draft_needed(d, "libx.so.1", versions, 2, true));
    NEED(sg_draft_needed(d, "liby.so", NULL, 0, false));
    put(out, d);
    NEED(chdir(here) != 0 || !sg_tree_remove(AT_FDCWD, folder));
}

static void add_entry(saggar_image_writer *w, saggar_draft *d) {
    struct sg_buf core;
    sg_buf_init(&core, SIZE_MAX / 2);
    put(&core, d);
    NEED(saggar_image_writer_add(w, core.data, core.len));
    sg_buf_free(&core);
}

static void no_entries(saggar_image_writer *w) {
    (void)w;
}

/* Two variants under one key, an entry of everything, one with a section of a later version, and provenance.
 */
static void some_entries(saggar_image_writer *w) {
    static const saggar_features sets[2] = {{{1, 0, 0, 0}}, {{3, 0, 0, 0}}};
    struct sg_buf later;
    for (int i = 0; i < 2; i++) {
        saggar_draft *d = draft("variants", NULL);
        NEED(saggar_draft_group(d, "cc", "module", "variants"));
        NEED(saggar_draft_require_arch(d, SAGGAR_ARCH_X86_64, "linux-gnu"));
        NEED(saggar_draft_require_features(d, SAGGAR_PROVENANCE_SCANNED, &sets[i], NULL));
        NEED(saggar_draft_part(d, "object", "code", 4));
        add_entry(w, d);
    }
    add_entry(w, full_draft());
    sg_buf_init(&later, SIZE_MAX / 2);
    later_minor(&later);
    NEED(saggar_image_writer_add(w, later.data, later.len));
    sg_buf_free(&later);
    NEED(saggar_image_writer_provenance(w, "revision", "0123abc"));
    NEED(saggar_image_writer_provenance(w, "builder", "ci"));
}

/* More index rows than one block holds. */
static void many_entries(saggar_image_writer *w) {
    for (int i = 0; i < 700; i++) {
        char source[32];
        snprintf(source, sizeof source, "function %d", i);
        saggar_draft *d = draft(source, NULL);
        NEED(saggar_draft_group(d, "cc", "module", source));
        NEED(saggar_draft_part(d, "object", source, strlen(source)));
        add_entry(w, d);
    }
}

static const struct {
    const char *name;
    void (*fill)(saggar_image_writer *w);
} images[] = {
    {"empty.saggar", no_entries},
    {"some.saggar", some_entries},
    {"many.saggar", many_entries},
};

static void make_image(const char *path, void (*fill)(saggar_image_writer *w)) {
    saggar_image_writer *w;
    NEED(saggar_image_writer_new(&w));
    fill(w);
    NEED(saggar_image_writer_write(w, path, NULL));
    saggar_image_writer_free(w);
}

static const struct {
    const char *name;
    void (*make)(struct sg_buf *out);
} files[] = {
    {"smallest.entry", smallest},
    {"full.entry", full},
    {"later-minor.entry", later_minor},
    {"tree.entry", with_tree},
};

int main(int argc, char **argv) {
    char path[4096];
    if (argc != 2) {
        fprintf(stderr, "usage: make-golden FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct sg_buf out;
        sg_buf_init(&out, SIZE_MAX / 2);
        files[i].make(&out);
        snprintf(path, sizeof path, "%s/%s", argv[1], files[i].name);
        FILE *f = fopen(path, "wb");
        if (f == NULL || fwrite(out.data, 1, out.len, f) != out.len || fclose(f) != 0) {
            perror(path);
            return 1;
        }
        sg_buf_free(&out);
    }
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        snprintf(path, sizeof path, "%s/%s", argv[1], images[i].name);
        make_image(path, images[i].fill);
    }
    return 0;
}
