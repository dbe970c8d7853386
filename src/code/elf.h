/*
 * Reading relocatable ELF64 objects: every offset and count is checked against the object's size before it is
 * used, so any bytes may be given. Sections are found by type, never by name. Pointers point into the object.
 */
#ifndef SG_CODE_ELF_H
#define SG_CODE_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sg_object {
    const uint8_t *bytes;
    uint64_t size;
    uint64_t sections; /**< offset of the section table */
    uint32_t count;
};

/** A section's extent inside the object. */
struct sg_extent {
    uint64_t offset, size;
};

/** A symbol. `where`: a section, SHN_UNDEF, SHN_COMMON or SHN_ABS. */
struct sg_symbol {
    const char *name; /**< "" if it has none */
    uint8_t bind, type;
    uint16_t where;
    uint64_t value, size;
};

/** ECORRUPT: no object, or a damaged one; EUNSUPPORTED: another class, byte order or kind of ELF file. */
int sg_object_open(const void *bytes, size_t size, struct sg_object *out);

/** Members of section i's header (i < count). */
uint32_t sg_section_type(const struct sg_object *o, uint32_t i);
uint64_t sg_section_flags(const struct sg_object *o, uint32_t i);
uint32_t sg_section_link(const struct sg_object *o, uint32_t i);
uint32_t sg_section_info(const struct sg_object *o, uint32_t i);
uint64_t sg_section_entsize(const struct sg_object *o, uint32_t i);
/** The extent of section i; false if there is none, if it holds no bytes, or if it does not lie in the
 * object. */
bool sg_section_extent(const struct sg_object *o, uint32_t i, struct sg_extent *out);

/** The symbol table in section i and its strings. ECORRUPT. */
int sg_symbols_open(const struct sg_object *o, uint32_t i, struct sg_extent *symbols,
                    struct sg_extent *strings);
/** Symbol n (0 stands for none). False past the last one, and (its name is "" then) if its name is not in
 * `strings`. */
bool sg_symbol_get(const struct sg_object *o, const struct sg_extent *symbols,
                   const struct sg_extent *strings, uint64_t n, struct sg_symbol *out);

#endif
