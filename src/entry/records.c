/*
 * Requirement and dependency records (docs/FORMAT.md sections 4.2 and 4.3), and the group: reading.
 */
#include <stdio.h>
#include <stdlib.h>

#include "entry/layout.h"
#include "key/value.h"

enum { RECORD_HEADER = 8 };

int sg_records_each(const uint8_t *section, size_t size,
                    int (*each)(void *context, uint16_t kind, const uint8_t *payload, size_t n),
                    void *context) {
    if (size < 4) {
        return SAGGAR_ECORRUPT;
    }
    const uint8_t *at = section + 4, *end = section + size;
    for (uint32_t i = sg_load32(section); i > 0; i--) {
        if ((size_t)(end - at) < RECORD_HEADER || sg_load16(at + 2) != 0 ||
            sg_load32(at + 4) > (size_t)(end - at) - RECORD_HEADER) {
            return SAGGAR_ECORRUPT;
        }
        uint16_t kind = sg_load16(at);
        size_t n = sg_load32(at + 4);
        at += RECORD_HEADER;
        int status = saggar_value_check(at, n);
        if (status == SAGGAR_OK) {
            status = each(context, kind, at, n);
        } else if (status == SAGGAR_ELIMIT) {
            status = SAGGAR_ECORRUPT; /* nobody could have written it */
        }
        if (status != 0) {
            return status;
        }
        at += n;
    }
    return at == end ? SAGGAR_OK : SAGGAR_ECORRUPT;
}

/* A tuple of texts in strictly ascending order. */
static void ascending_texts(struct sg_cursor *c) {
    const char *last = NULL;
    size_t last_size = 0, size = 0;

    for (uint32_t n = sg_value_tuple(c); n > 0 && c->err == SAGGAR_OK; n--) {
        const char *text = sg_value_text(c, &size);
        if (text != NULL && last != NULL &&
            sg_value_compare((const uint8_t *)last, last_size, (const uint8_t *)text, size) >= 0) {
            c->err = SAGGAR_ECORRUPT;
        }
        last = text;
        last_size = size;
    }
}

static bool is(const char *text, size_t n, const char *wanted) {
    return n == strlen(wanted) && memcmp(text, wanted, n) == 0;
}

/* A relative path without empty components, `.` and `..`. */
static bool path_ok(const char *path, size_t n) {
    for (size_t i = 0; i <= n;) {
        const char *slash = memchr(path + i, '/', n - i);
        size_t part = slash != NULL ? (size_t)(slash - path) - i : n - i;
        if (part == 0 || (part <= 2 && memcmp(path + i, "..", part) == 0)) {
            return false;
        }
        i += part + 1;
    }
    return memchr(path, 0, n) == NULL;
}

/* A digest of what the record is about. */
static bool digest_of(struct sg_cursor *c, const char *wanted) {
    const char *what;
    size_t n = 0;
    return sg_value_digest(c, &what, &n) != NULL && is(what, n, wanted);
}

/*
 * Reads the members that `shape` names: t text, p path, n integer of 0 and more, o 0 or 1, v provenance, b 32
 * bytes, F, V and C digest of a file, value or code, l ascending texts, g group.
 */
static int shaped(const uint8_t *payload, size_t n, const char *shape) {
    struct sg_cursor c;
    const char *text;
    int64_t number;
    size_t size = 0;
    bool good;

    sg_cursor_init(&c, payload, n);
    good = sg_value_tuple(&c) == strlen(shape);
    for (; *shape != '\0' && good; shape++) {
        switch (*shape) {
        case 't':
            sg_value_text(&c, &size);
            break;
        case 'p':
            text = sg_value_text(&c, &size);
            good = text != NULL && path_ok(text, size);
            break;
        case 'n':
            good = sg_value_int(&c) >= 0;
            break;
        case 'o':
            number = sg_value_int(&c);
            good = number == 0 || number == 1;
            break;
        case 'v':
            number = sg_value_int(&c);
            good = number >= SAGGAR_PROVENANCE_SCANNED && number <= SAGGAR_PROVENANCE_ASSUMED;
            break;
        case 'b':
            good = sg_value_bytes(&c, &size) != NULL && size == 32;
            break;
        case 'F':
            good = digest_of(&c, "file");
            break;
        case 'V':
            good = digest_of(&c, "value");
            break;
        case 'C':
            good = digest_of(&c, "code");
            break;
        case 'l':
            ascending_texts(&c);
            break;
        default:
            good = sg_value_tuple(&c) == 3;
            for (unsigned i = 0; i < 3 && good; i++) {
                good = sg_value_text(&c, &size) != NULL;
            }
            break;
        }
    }
    return good && sg_cursor_end(&c) == SAGGAR_OK ? SAGGAR_OK : SAGGAR_ECORRUPT;
}

static int symbols_shape(const uint8_t *payload, size_t n) {
    struct sg_cursor c;

    sg_cursor_init(&c, payload, n);
    ascending_texts(&c);
    return sg_cursor_end(&c);
}

/* A kind that is not in the table, whose last row is `last`: one of the table with the wrong bit 15 is no
 * such kind. */
static int unknown_kind(uint16_t kind, uint16_t last) {
    if (sg_kind_order(kind) <= sg_kind_order(last)) {
        return SAGGAR_ECORRUPT;
    }
    return (kind & SG_KIND_MUST) != 0 ? SAGGAR_EUNKNOWN : SAGGAR_OK;
}

static int requirement_shape(uint16_t kind, const uint8_t *payload, size_t n) {
    switch (kind) {
    case SG_REQUIRE_ARCH:
    case SG_REQUIRE_LIBRARY:
        return shaped(payload, n, "tt");
    case SG_REQUIRE_FEATURES:
        return shaped(payload, n, "vbl");
    case SG_REQUIRE_SYMBOLS:
        return symbols_shape(payload, n);
    case SG_REQUIRE_NEEDED:
        return shaped(payload, n, "tlo");
    default:
        return unknown_kind(kind, SG_REQUIRE_NEEDED);
    }
}

static int dependency_shape(uint16_t kind, const uint8_t *payload, size_t n) {
    switch (kind) {
    case SG_DEPEND_FILE:
        return shaped(payload, n, "tpnF");
    case SG_DEPEND_DISTRIBUTION:
        return shaped(payload, n, "tt");
    case SG_DEPEND_VALUE:
        return shaped(payload, n, "ttV");
    case SG_DEPEND_CODE:
        return shaped(payload, n, "ttC");
    case SG_DEPEND_ENTRY:
        return shaped(payload, n, "gb");
    default:
        return unknown_kind(kind, SG_DEPEND_ENTRY);
    }
}

int sg_group_check(const uint8_t *value, size_t size) {
    int status = saggar_value_check(value, size);
    return status != SAGGAR_OK ? status : shaped(value, size, "ttt");
}

struct walk {
    int (*shape)(uint16_t kind, const uint8_t *payload, size_t n);
    bool requirements;
    const uint8_t *last;
    size_t last_size;
    uint16_t last_kind;
};

static int check_record(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    struct walk *w = context;

    if (w->last != NULL) {
        unsigned a = sg_kind_order(w->last_kind), b = sg_kind_order(kind);
        if (a > b || (a == b && sg_value_compare(w->last, w->last_size, payload, n) >= 0) ||
            (a == b && w->requirements && b <= sg_kind_order(SG_REQUIRE_SYMBOLS))) {
            return SAGGAR_ECORRUPT;
        }
    }
    w->last = payload;
    w->last_size = n;
    w->last_kind = kind;
    return w->shape(kind, payload, n);
}

int sg_requirements_check(const uint8_t *section, size_t size) {
    struct walk w = {.shape = requirement_shape, .requirements = true};
    return sg_records_each(section, size, check_record, &w);
}

int sg_dependencies_check(const uint8_t *section, size_t size) {
    struct walk w = {.shape = dependency_shape};
    return sg_records_each(section, size, check_record, &w);
}

static void decode_arch(struct sg_cursor *c, struct sg_requirements *out) {
    size_t n = 0;

    sg_value_tuple(c);
    const char *text = sg_value_text(c, &n);
    out->arch = is(text, n, "any")       ? SAGGAR_ARCH_ANY
                : is(text, n, "x86_64")  ? SAGGAR_ARCH_X86_64
                : is(text, n, "aarch64") ? SAGGAR_ARCH_AARCH64
                                         : SAGGAR_ARCH_OTHER;
    text = sg_value_text(c, &n);
    out->abi_ok = is(text, n, "any") || is(text, n, "linux-gnu");
}

/* The texts of a tuple, joined by commas; NULL for none. */
static int join_texts(struct sg_cursor *c, char **out) {
    struct sg_buf joined;
    size_t n = 0;
    uint32_t count = sg_value_tuple(c);

    if (count == 0) {
        return SAGGAR_OK;
    }
    sg_buf_init(&joined, SG_VALUE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const char *text = sg_value_text(c, &n);
        if (i > 0) {
            sg_buf_u8(&joined, ',');
        }
        sg_buf_add(&joined, text, n);
    }
    sg_buf_u8(&joined, 0);
    int status = joined.err;
    *out = (char *)sg_buf_steal(&joined, NULL);
    sg_buf_free(&joined);
    return status != SAGGAR_OK ? status : *out != NULL ? SAGGAR_OK : SAGGAR_ENOMEM;
}

static int decode_features(struct sg_cursor *c, struct sg_requirements *out) {
    size_t n = 0;

    sg_value_tuple(c);
    int64_t provenance = sg_value_int(c);
    const uint8_t *bits = sg_value_bytes(c, &n);
    out->provenance = (uint8_t)provenance;
    for (unsigned i = 0; i < 4; i++) {
        out->features.word[i] = sg_load64(bits + 8 * (size_t)i);
    }
    return join_texts(c, &out->unknown);
}

struct decoding {
    struct walk walk;
    struct sg_requirements *out;
};

/* Order and number are checked too: a second record could lift what the first one requires. */
static int decode_requirement(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    struct decoding *d = context;
    struct sg_requirements *out = d->out;
    struct sg_cursor c;
    int status = check_record(&d->walk, kind, payload, n);

    sg_cursor_init(&c, payload, n);
    if (status != SAGGAR_OK) {
        return status;
    }
    if (kind == SG_REQUIRE_ARCH) {
        decode_arch(&c, out);
    } else if (kind == SG_REQUIRE_FEATURES) {
        status = decode_features(&c, out);
    } else if (kind == SG_REQUIRE_SYMBOLS) {
        out->symbols = payload;
        out->symbols_size = n;
    }
    return status;
}

int sg_entry_requirements(const struct sg_entry_view *v, enum sg_strength strength,
                          struct sg_requirements *out) {
    struct sg_section s;
    int status = sg_entry_find(v, SG_SECTION_REQUIREMENTS, NULL, &s);

    *out = (struct sg_requirements){.abi_ok = true};
    if (status == SAGGAR_OK) {
        status = sg_entry_bytes(v, &s, strength, &out->section, &out->section_size, &out->owned);
    }
    if (status == SAGGAR_OK) {
        struct decoding d = {{.shape = requirement_shape, .requirements = true}, out};
        status = sg_records_each(out->section, out->section_size, decode_requirement, &d);
    }
    if (status != SAGGAR_OK) {
        sg_requirements_free(out);
    }
    return status;
}

void sg_requirements_free(struct sg_requirements *r) {
    free(r->unknown);
    free(r->owned);
    *r = (struct sg_requirements){.abi_ok = true};
}

int sg_entry_group(const struct sg_entry_view *v, char **compiler, char **module, char **qualname) {
    char *copy[3] = {NULL, NULL, NULL};
    struct sg_section s;
    const uint8_t *data;
    uint8_t *owned = NULL;
    size_t size, n = 0;
    int status = sg_entry_find(v, SG_SECTION_GROUP, NULL, &s);

    if (status == SAGGAR_OK) {
        status = sg_entry_bytes(v, &s, SG_FAST, &data, &size, &owned);
    }
    if (status == SAGGAR_OK) {
        struct sg_cursor c;
        sg_cursor_init(&c, data, size);
        status = sg_value_tuple(&c) == 3 ? SAGGAR_OK : SAGGAR_ECORRUPT;
        for (unsigned i = 0; i < 3 && status == SAGGAR_OK; i++) {
            const char *text = sg_value_text(&c, &n);
            status = text == NULL                           ? SAGGAR_ECORRUPT
                     : (copy[i] = strndup(text, n)) == NULL ? SAGGAR_ENOMEM
                                                            : SAGGAR_OK;
        }
    }
    free(owned);
    if (status != SAGGAR_OK) {
        free(copy[0]);
        free(copy[1]);
        free(copy[2]);
        return status;
    }
    *compiler = copy[0];
    *module = copy[1];
    *qualname = copy[2];
    return SAGGAR_OK;
}

int sg_entry_group_text(const struct sg_entry_view *v, char **out) {
    char *compiler, *module, *qualname;
    int status = sg_entry_group(v, &compiler, &module, &qualname);

    if (status != SAGGAR_OK) {
        return status;
    }
    if (asprintf(out, "%s:%s:%s", compiler, module, qualname) < 0) {
        status = SAGGAR_ENOMEM;
    }
    free(compiler);
    free(module);
    free(qualname);
    return status;
}
