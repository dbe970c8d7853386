/*
 * The symbols of a relocatable ELF64 object.
 *
 * Reads only; every offset and count is checked against the object's size before it is used, so any bytes may be
 * given. Sections are found by type, never by name. Names handed out point into the object.
 */
#include <elf.h>
#include <saggar/saggar.h>
#include <string.h>

#include "base/bytes.h"

struct object {
    const uint8_t *bytes;
    uint64_t size;
    uint64_t sections; /* offset of the section table */
    uint32_t count;
};

struct table {
    uint64_t offset, size;
};

static int open_object(const void *bytes, size_t size, struct object *out) {
    const uint8_t *p = bytes;

    if (size < sizeof(Elf64_Ehdr) || memcmp(p, ELFMAG, SELFMAG) != 0) {
        return SAGGAR_ENOTSAGGAR;
    }
    if (p[EI_CLASS] != ELFCLASS64 || p[EI_DATA] != ELFDATA2LSB ||
        sg_load16(p + offsetof(Elf64_Ehdr, e_type)) != ET_REL) {
        return SAGGAR_EUNSUPPORTED;
    }
    out->bytes = p;
    out->size = size;
    out->sections = sg_load64(p + offsetof(Elf64_Ehdr, e_shoff));
    out->count = sg_load16(p + offsetof(Elf64_Ehdr, e_shnum));
    if (sg_load16(p + offsetof(Elf64_Ehdr, e_shentsize)) != sizeof(Elf64_Shdr)) {
        return SAGGAR_ECORRUPT;
    }
    if (out->count == 0) { /* more than 65,279 sections: the number stands in the first one */
        if (!sg_range_ok(out->sections, sizeof(Elf64_Shdr), size)) {
            return SAGGAR_ECORRUPT;
        }
        uint64_t n = sg_load64(p + out->sections + offsetof(Elf64_Shdr, sh_size));
        if (n > UINT32_MAX) {
            return SAGGAR_ECORRUPT;
        }
        out->count = (uint32_t)n;
    }
    if (!sg_range_ok(out->sections, (uint64_t)out->count * sizeof(Elf64_Shdr), size)) {
        return SAGGAR_ECORRUPT;
    }
    return SAGGAR_OK;
}

static const uint8_t *section(const struct object *o, uint32_t i) {
    return o->bytes + o->sections + (uint64_t)i * sizeof(Elf64_Shdr);
}

/* The extent of section i, if it is of the type and lies in the object. */
static bool extent(const struct object *o, uint32_t i, uint32_t type, struct table *out) {
    if (i >= o->count || sg_load32(section(o, i) + offsetof(Elf64_Shdr, sh_type)) != type) {
        return false;
    }
    out->offset = sg_load64(section(o, i) + offsetof(Elf64_Shdr, sh_offset));
    out->size = sg_load64(section(o, i) + offsetof(Elf64_Shdr, sh_size));
    return sg_range_ok(out->offset, out->size, o->size);
}

/* The name at `offset` of a string table, zero-terminated inside it; NULL if it is not. */
static const char *name_at(const struct object *o, const struct table *strings, uint32_t offset) {
    if (offset >= strings->size) {
        return NULL;
    }
    const uint8_t *start = o->bytes + strings->offset + offset;
    return memchr(start, 0, (size_t)(strings->size - offset)) != NULL ? (const char *)start : NULL;
}

static int each_symbol(const struct object *o, const struct table *symbols, const struct table *strings,
                       int (*each)(void *, const char *, bool, bool), void *context) {
    for (uint64_t at = sizeof(Elf64_Sym); at + sizeof(Elf64_Sym) <= symbols->size; at += sizeof(Elf64_Sym)) {
        const uint8_t *symbol = o->bytes + symbols->offset + at;
        unsigned bind = ELF64_ST_BIND(symbol[offsetof(Elf64_Sym, st_info)]);
        uint16_t where = sg_load16(symbol + offsetof(Elf64_Sym, st_shndx));
        if (bind != STB_GLOBAL && bind != STB_WEAK) {
            continue;
        }
        const char *name = name_at(o, strings, sg_load32(symbol + offsetof(Elf64_Sym, st_name)));
        if (name == NULL) {
            return SAGGAR_ECORRUPT;
        }
        int status = *name == '\0' ? 0 : each(context, name, where != SHN_UNDEF, where == SHN_COMMON);
        if (status != 0) {
            return status;
        }
    }
    return SAGGAR_OK;
}

int saggar_object_symbols(const void *object, size_t size, int (*each)(void *, const char *, bool, bool),
                          void *context) {
    struct object o;

    if (object == NULL || each == NULL) {
        return SAGGAR_EINVAL;
    }
    int status = open_object(object, size, &o);
    if (status != SAGGAR_OK) {
        return status == SAGGAR_ENOTSAGGAR ? SAGGAR_ECORRUPT : status;
    }
    for (uint32_t i = 0; i < o.count; i++) {
        struct table symbols, strings;
        if (sg_load32(section(&o, i) + offsetof(Elf64_Shdr, sh_type)) != SHT_SYMTAB) {
            continue;
        }
        uint32_t link = sg_load32(section(&o, i) + offsetof(Elf64_Shdr, sh_link));
        if (!extent(&o, i, SHT_SYMTAB, &symbols) || symbols.size % sizeof(Elf64_Sym) != 0 ||
            !extent(&o, link, SHT_STRTAB, &strings)) {
            return SAGGAR_ECORRUPT;
        }
        status = each_symbol(&o, &symbols, &strings, each, context);
        if (status != SAGGAR_OK) {
            return status;
        }
    }
    return SAGGAR_OK;
}
