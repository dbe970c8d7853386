/*
 * Digests of definitions. A definition's bytes are followed, in the order of their offsets, by what its
 * relocations refer to: kind, addend, and the symbol's name or, for a local one, the constant that lies
 * there.
 */
#include "code/definition.h"

#include <saggar/saggar.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "code/elf.h"

struct scan {
    struct sg_object o;
    struct sg_extent symbols, strings;
    struct sg_buf buf; /* what is digested */
};

/* One relocation of a range. */
struct place {
    uint64_t offset, info;
    int64_t addend;
};

static int compare_places(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Pc-relative fields of x86-64 count from their own end. */
static uint64_t bias(uint32_t type) {
    return type == R_X86_64_PC32 || type == R_X86_64_PLT32 ? 4 : 0;
}

/* The constant at `at` of a local symbol's section: its string or element where the section holds such, else
 * the symbol's own bytes. Nothing is added where that is code, or where nothing says how far it goes. */
static void add_constant(struct scan *s, const struct sg_symbol *symbol, uint64_t at) {
    struct sg_extent e;
    if (symbol->where >= s->o.count || !sg_section_extent(&s->o, symbol->where, &e) || at >= e.size)
        return;
    const uint8_t *start = s->o.bytes + e.offset + at;
    uint64_t flags = sg_section_flags(&s->o, symbol->where), rest = e.size - at, size = 0;
    if ((flags & SHF_STRINGS) != 0)
        size = strnlen((const char *)start, (size_t)rest);
    else if ((flags & SHF_MERGE) != 0)
        size = sg_section_entsize(&s->o, symbol->where);
    else if ((flags & SHF_EXECINSTR) == 0 && at >= symbol->value && at - symbol->value < symbol->size)
        size = symbol->size - (at - symbol->value);
    sg_buf_add(&s->buf, start, (size_t)(size < rest ? size : rest));
}

static int add_target(struct scan *s, const struct place *p) {
    struct sg_symbol symbol;
    uint32_t type = (uint32_t)ELF64_R_TYPE(p->info);
    if (!sg_symbol_get(&s->o, &s->symbols, &s->strings, ELF64_R_SYM(p->info), &symbol))
        return SAGGAR_ECORRUPT;
    sg_buf_u64(&s->buf, p->offset);
    sg_buf_u32(&s->buf, type);
    if (symbol.bind == STB_GLOBAL || symbol.bind == STB_WEAK) {
        sg_buf_u64(&s->buf, (uint64_t)p->addend);
        sg_buf_add(&s->buf, symbol.name, strlen(symbol.name) + 1);
    } else {
        add_constant(s, &symbol, symbol.value + (uint64_t)p->addend + bias(type));
    }
    return s->buf.err;
}

/* The relocations inside [from, from + size) of section `where`, in `out` (malloc'd). */
static int collect(const struct scan *s, uint32_t where, uint64_t from, uint64_t size, struct place **out,
                   size_t *n) {
    struct sg_extent e;
    *out = NULL;
    *n = 0;
    for (uint32_t i = 0; i < s->o.count; i++) {
        if (sg_section_type(&s->o, i) != SHT_RELA || sg_section_info(&s->o, i) != where ||
            !sg_section_extent(&s->o, i, &e)) {
            continue;
        }
        struct place *grown = realloc(*out, (*n + (size_t)(e.size / sizeof(Elf64_Rela)) + 1) * sizeof **out);
        if (grown == NULL) {
            return SAGGAR_ENOMEM;
        }
        *out = grown;
        for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= e.size; at += sizeof(Elf64_Rela)) {
            const uint8_t *r = s->o.bytes + e.offset + at;
            struct place p = {sg_load64(r + offsetof(Elf64_Rela, r_offset)),
                              sg_load64(r + offsetof(Elf64_Rela, r_info)),
                              (int64_t)sg_load64(r + offsetof(Elf64_Rela, r_addend))};
            if (p.offset >= from && p.offset - from < size) {
                p.offset -= from;
                (*out)[(*n)++] = p;
            }
        }
    }
    if (*n > 0)
        qsort(*out, *n, sizeof **out, compare_places);
    return SAGGAR_OK;
}

static int digest(struct scan *s, const struct sg_symbol *symbol, uint8_t sha256[32]) {
    struct sg_extent e;
    struct place *places = NULL;
    size_t n = 0;
    int err = SAGGAR_OK;
    sg_buf_init(&s->buf, 32 * s->o.size + 4096);
    sg_buf_u64(&s->buf, symbol->size);
    if (sg_section_extent(&s->o, symbol->where, &e)) { /* else zeroed memory: its size says everything */
        if (!sg_range_ok(symbol->value, symbol->size, e.size)) {
            sg_buf_free(&s->buf);
            return SAGGAR_ECORRUPT;
        }
        sg_buf_add(&s->buf, s->o.bytes + e.offset + symbol->value, (size_t)symbol->size);
        err = collect(s, symbol->where, symbol->value, symbol->size, &places, &n);
    }
    for (size_t i = 0; err == SAGGAR_OK && i < n; i++)
        err = add_target(s, &places[i]);
    free(places);
    if (err == SAGGAR_OK)
        err = s->buf.err != SAGGAR_OK ? s->buf.err : sg_sha256(sha256, s->buf.data, s->buf.len);
    sg_buf_free(&s->buf);
    return err;
}

static int each_definition(struct scan *s, int (*each)(void *, const char *, const uint8_t[32]),
                           void *context) {
    struct sg_symbol symbol;
    uint8_t sha256[32];
    for (uint64_t n = 1; n < s->symbols.size / sizeof(Elf64_Sym); n++) {
        bool named = sg_symbol_get(&s->o, &s->symbols, &s->strings, n, &symbol);
        if ((symbol.bind != STB_GLOBAL && symbol.bind != STB_WEAK) || symbol.where == SHN_UNDEF ||
            symbol.where >= s->o.count || (symbol.type != STT_FUNC && symbol.type != STT_OBJECT)) {
            continue;
        }
        int err = named ? digest(s, &symbol, sha256) : SAGGAR_ECORRUPT;
        if (err == SAGGAR_OK) {
            err = each(context, symbol.name, sha256);
        }
        if (err != SAGGAR_OK) {
            return err;
        }
    }
    return SAGGAR_OK;
}

int sg_definitions_each(const void *object, size_t size, int (*each)(void *, const char *, const uint8_t[32]),
                        void *context) {
    struct scan s = {0};
    int err = sg_object_open(object, size, &s.o);
    for (uint32_t i = 0; err == SAGGAR_OK && i < s.o.count; i++) {
        if (sg_section_type(&s.o, i) == SHT_SYMTAB) {
            err = sg_symbols_open(&s.o, i, &s.symbols, &s.strings);
            if (err == SAGGAR_OK) {
                err = each_definition(&s, each, context);
            }
        }
    }
    return err;
}
