/* The symbols of a relocatable ELF64 object. Reads only; names handed out point into the object. */
#include <saggar/saggar.h>

#include "code/elf.h"

static int each_symbol(const struct sg_object *o, uint32_t table,
                       int (*each)(void *, const char *, bool, bool), void *context) {
    struct sg_extent symbols, strings;
    struct sg_symbol s;
    int status = sg_symbols_open(o, table, &symbols, &strings);
    if (status != SAGGAR_OK) {
        return status;
    }
    for (uint64_t n = 1; n < symbols.size / sizeof(Elf64_Sym); n++) {
        bool named = sg_symbol_get(o, &symbols, &strings, n, &s);
        if (s.bind != STB_GLOBAL && s.bind != STB_WEAK) {
            continue;
        }
        if (!named) {
            return SAGGAR_ECORRUPT;
        }
        status = *s.name == '\0' ? 0 : each(context, s.name, s.where != SHN_UNDEF, s.where == SHN_COMMON);
        if (status != 0) {
            return status;
        }
    }
    return SAGGAR_OK;
}

int saggar_object_symbols(const void *object, size_t size, int (*each)(void *, const char *, bool, bool),
                          void *context) {
    struct sg_object o;

    if (object == NULL || each == NULL) {
        return SAGGAR_EINVAL;
    }
    int status = sg_object_open(object, size, &o);
    for (uint32_t i = 0; status == SAGGAR_OK && i < o.count; i++) {
        if (sg_section_type(&o, i) == SHT_SYMTAB) {
            status = each_symbol(&o, i, each, context);
        }
    }
    return status;
}
