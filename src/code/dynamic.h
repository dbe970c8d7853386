/*
 * Reading shared objects: what an ELF64 file with a dynamic section needs and what it offers. Any bytes may
 * be given; every offset and count is checked against the file's size before it is used. Nothing is loaded or
 * run.
 */
#ifndef SG_CODE_DYNAMIC_H
#define SG_CODE_DYNAMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sg_dynamic {
    const uint8_t *bytes;
    uint64_t size;
    uint64_t segments; /**< offset of the program headers */
    uint32_t segment_count;
    uint16_t machine;
    uint64_t table, entries; /**< the dynamic section: offset and number of entries */
    uint64_t strings, strings_size;
};

/** ENOTFOUND: no ELF file, or one without a dynamic section; EUNSUPPORTED: not ELF64 little-endian; ECORRUPT.
 */
int sg_dynamic_open(const void *bytes, size_t size, struct sg_dynamic *out);

/** DT_SONAME, "" if there is none. */
const char *sg_dynamic_soname(const struct sg_dynamic *d);
/** Whether the object says itself where its libraries are looked for (DT_RPATH or DT_RUNPATH). */
bool sg_dynamic_has_path(const struct sg_dynamic *d);

/** Each library that is needed (DT_NEEDED), in order. Stops at non-zero and returns it. ECORRUPT. */
int sg_dynamic_needed(const struct sg_dynamic *d, int (*each)(void *context, const char *soname),
                      void *context);
/** Each version that is needed of a library, weak ones left out. */
int sg_dynamic_versions_needed(const struct sg_dynamic *d,
                               int (*each)(void *context, const char *soname, const char *version),
                               void *context);
/** Each version that the object defines. */
int sg_dynamic_versions_defined(const struct sg_dynamic *d, int (*each)(void *context, const char *version),
                                void *context);

#endif
