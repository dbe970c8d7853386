/* Reading relocatable ELF64 objects; see elf.h. */
#include "code/elf.h"

#include <saggar/saggar.h>
#include <string.h>

#include "base/bytes.h"

int sg_object_open(const void *bytes, size_t size, struct sg_object *out) {
    const uint8_t *p = bytes;

    if (size < sizeof(Elf64_Ehdr) || memcmp(p, ELFMAG, SELFMAG) != 0) {
        return SAGGAR_ECORRUPT;
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

static const uint8_t *header(const struct sg_object *o, uint32_t i) {
    return o->bytes + o->sections + (uint64_t)i * sizeof(Elf64_Shdr);
}

uint32_t sg_section_type(const struct sg_object *o, uint32_t i) {
    return sg_load32(header(o, i) + offsetof(Elf64_Shdr, sh_type));
}

uint64_t sg_section_flags(const struct sg_object *o, uint32_t i) {
    return sg_load64(header(o, i) + offsetof(Elf64_Shdr, sh_flags));
}

uint32_t sg_section_link(const struct sg_object *o, uint32_t i) {
    return sg_load32(header(o, i) + offsetof(Elf64_Shdr, sh_link));
}

uint32_t sg_section_info(const struct sg_object *o, uint32_t i) {
    return sg_load32(header(o, i) + offsetof(Elf64_Shdr, sh_info));
}

uint64_t sg_section_entsize(const struct sg_object *o, uint32_t i) {
    return sg_load64(header(o, i) + offsetof(Elf64_Shdr, sh_entsize));
}

bool sg_section_extent(const struct sg_object *o, uint32_t i, struct sg_extent *out) {
    if (i >= o->count || sg_section_type(o, i) == SHT_NOBITS) {
        return false;
    }
    out->offset = sg_load64(header(o, i) + offsetof(Elf64_Shdr, sh_offset));
    out->size = sg_load64(header(o, i) + offsetof(Elf64_Shdr, sh_size));
    return sg_range_ok(out->offset, out->size, o->size);
}

int sg_symbols_open(const struct sg_object *o, uint32_t i, struct sg_extent *symbols,
                    struct sg_extent *strings) {
    uint32_t link = sg_section_link(o, i);
    if (!sg_section_extent(o, i, symbols) || symbols->size % sizeof(Elf64_Sym) != 0 ||
        !sg_section_extent(o, link, strings) || sg_section_type(o, link) != SHT_STRTAB) {
        return SAGGAR_ECORRUPT;
    }
    return SAGGAR_OK;
}

bool sg_symbol_get(const struct sg_object *o, const struct sg_extent *symbols,
                   const struct sg_extent *strings, uint64_t n, struct sg_symbol *out) {
    *out = (struct sg_symbol){.name = ""};
    if (n >= symbols->size / sizeof(Elf64_Sym)) {
        return false;
    }
    const uint8_t *symbol = o->bytes + symbols->offset + n * sizeof(Elf64_Sym);
    uint32_t name = sg_load32(symbol + offsetof(Elf64_Sym, st_name));
    out->bind = ELF64_ST_BIND(symbol[offsetof(Elf64_Sym, st_info)]);
    out->type = ELF64_ST_TYPE(symbol[offsetof(Elf64_Sym, st_info)]);
    out->where = sg_load16(symbol + offsetof(Elf64_Sym, st_shndx));
    out->value = sg_load64(symbol + offsetof(Elf64_Sym, st_value));
    out->size = sg_load64(symbol + offsetof(Elf64_Sym, st_size));
    if (name >= strings->size) {
        return false;
    }
    const uint8_t *text = o->bytes + strings->offset + name;
    if (memchr(text, 0, (size_t)(strings->size - name)) == NULL) {
        return false;
    }
    out->name = (const char *)text;
    return true;
}
