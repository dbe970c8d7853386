/* Reading shared objects; see dynamic.h. Addresses become offsets by the loadable segments. */
#include "code/dynamic.h"

#include <elf.h>
#include <saggar/saggar.h>
#include <string.h>

#include "base/bytes.h"

enum { CHAIN_MAX = 4096 }; /* libraries that an object needs, versions that it defines */

static const uint8_t *segment(const struct sg_dynamic *d, uint32_t i) {
    return d->bytes + d->segments + (uint64_t)i * sizeof(Elf64_Phdr);
}

/* Where `size` bytes at an address stand in the file. */
static bool offset_of(const struct sg_dynamic *d, uint64_t address, uint64_t size, uint64_t *offset) {
    for (uint32_t i = 0; i < d->segment_count; i++) {
        const uint8_t *p = segment(d, i);
        if (sg_load32(p + offsetof(Elf64_Phdr, p_type)) != PT_LOAD)
            continue;
        uint64_t start = sg_load64(p + offsetof(Elf64_Phdr, p_vaddr));
        uint64_t in_file = sg_load64(p + offsetof(Elf64_Phdr, p_filesz));
        uint64_t at = sg_load64(p + offsetof(Elf64_Phdr, p_offset));
        if (address < start || !sg_range_ok(address - start, size, in_file))
            continue;
        return sg_add64(at, address - start, offset) && sg_range_ok(*offset, size, d->size);
    }
    return false;
}

/* The first dynamic entry with the tag. */
static bool find(const struct sg_dynamic *d, int64_t tag, uint64_t *value) {
    for (uint64_t i = 0; i < d->entries; i++) {
        const uint8_t *p = d->bytes + d->table + i * sizeof(Elf64_Dyn);
        int64_t found = (int64_t)sg_load64(p);
        if (found == DT_NULL)
            return false;
        if (found == tag) {
            *value = sg_load64(p + 8);
            return true;
        }
    }
    return false;
}

/* A string of the table; NULL: outside of it. */
static const char *string(const struct sg_dynamic *d, uint64_t at) {
    if (at >= d->strings_size)
        return NULL;
    const char *text = (const char *)d->bytes + d->strings + at;
    return memchr(text, 0, (size_t)(d->strings_size - at)) == NULL ? NULL : text;
}

static int open_segments(struct sg_dynamic *d) {
    const uint8_t *p = d->bytes;
    d->machine = sg_load16(p + offsetof(Elf64_Ehdr, e_machine));
    d->segments = sg_load64(p + offsetof(Elf64_Ehdr, e_phoff));
    d->segment_count = sg_load16(p + offsetof(Elf64_Ehdr, e_phnum));
    if (d->segment_count == 0)
        return SAGGAR_ENOTFOUND;
    if (sg_load16(p + offsetof(Elf64_Ehdr, e_phentsize)) != sizeof(Elf64_Phdr) ||
        !sg_range_ok(d->segments, (uint64_t)d->segment_count * sizeof(Elf64_Phdr), d->size))
        return SAGGAR_ECORRUPT;
    for (uint32_t i = 0; i < d->segment_count; i++) {
        p = segment(d, i);
        if (sg_load32(p + offsetof(Elf64_Phdr, p_type)) != PT_DYNAMIC)
            continue;
        uint64_t size = sg_load64(p + offsetof(Elf64_Phdr, p_filesz));
        d->table = sg_load64(p + offsetof(Elf64_Phdr, p_offset));
        d->entries = size / sizeof(Elf64_Dyn);
        return sg_range_ok(d->table, size, d->size) ? SAGGAR_OK : SAGGAR_ECORRUPT;
    }
    return SAGGAR_ENOTFOUND;
}

int sg_dynamic_open(const void *bytes, size_t size, struct sg_dynamic *out) {
    const uint8_t *p = bytes;
    uint64_t address;
    if (size < sizeof(Elf64_Ehdr) || memcmp(p, ELFMAG, SELFMAG) != 0)
        return SAGGAR_ENOTFOUND;
    if (p[EI_CLASS] != ELFCLASS64 || p[EI_DATA] != ELFDATA2LSB)
        return SAGGAR_EUNSUPPORTED;
    *out = (struct sg_dynamic){.bytes = p, .size = size};
    int err = open_segments(out);
    if (err != SAGGAR_OK)
        return err;
    if (!find(out, DT_STRTAB, &address) || !find(out, DT_STRSZ, &out->strings_size) ||
        !offset_of(out, address, out->strings_size, &out->strings))
        return SAGGAR_ECORRUPT;
    return SAGGAR_OK;
}

const char *sg_dynamic_soname(const struct sg_dynamic *d) {
    uint64_t at;
    const char *name = find(d, DT_SONAME, &at) ? string(d, at) : NULL;
    return name == NULL ? "" : name;
}

bool sg_dynamic_has_path(const struct sg_dynamic *d) {
    uint64_t at;
    return find(d, DT_RPATH, &at) || find(d, DT_RUNPATH, &at);
}

int sg_dynamic_needed(const struct sg_dynamic *d, int (*each)(void *context, const char *soname),
                      void *context) {
    for (uint64_t i = 0; i < d->entries; i++) {
        const uint8_t *p = d->bytes + d->table + i * sizeof(Elf64_Dyn);
        int64_t tag = (int64_t)sg_load64(p);
        if (tag == DT_NULL)
            break;
        if (tag != DT_NEEDED)
            continue;
        const char *name = string(d, sg_load64(p + 8));
        int status = name == NULL ? SAGGAR_ECORRUPT : each(context, name);
        if (status != 0)
            return status;
    }
    return SAGGAR_OK;
}

/* A table of versions: its offset and number of records. ENOTFOUND: there is none. */
static int open_table(const struct sg_dynamic *d, int64_t tag, int64_t number, uint64_t *at,
                      uint64_t *count) {
    uint64_t address;
    if (!find(d, tag, &address) || !find(d, number, count))
        return SAGGAR_ENOTFOUND;
    if (*count > CHAIN_MAX || !offset_of(d, address, sizeof(Elf64_Verneed), at))
        return SAGGAR_ECORRUPT;
    return SAGGAR_OK;
}

/* One library's versions: a chain from `at`. */
static int each_needed(const struct sg_dynamic *d, const char *soname, uint64_t at, uint32_t count,
                       int (*each)(void *, const char *, const char *), void *context) {
    for (uint32_t i = 0; i < count; i++) {
        if (!sg_range_ok(at, sizeof(Elf64_Vernaux), d->size))
            return SAGGAR_ECORRUPT;
        const uint8_t *p = d->bytes + at;
        const char *version = string(d, sg_load32(p + offsetof(Elf64_Vernaux, vna_name)));
        bool weak = (sg_load16(p + offsetof(Elf64_Vernaux, vna_flags)) & VER_FLG_WEAK) != 0;
        int status = version == NULL ? SAGGAR_ECORRUPT : weak ? 0 : each(context, soname, version);
        if (status != 0)
            return status;
        uint32_t next = sg_load32(p + offsetof(Elf64_Vernaux, vna_next));
        if (next == 0)
            break;
        at += next;
    }
    return SAGGAR_OK;
}

int sg_dynamic_versions_needed(const struct sg_dynamic *d, int (*each)(void *, const char *, const char *),
                               void *context) {
    uint64_t at, count;
    int status = open_table(d, DT_VERNEED, DT_VERNEEDNUM, &at, &count);
    if (status != SAGGAR_OK)
        return status == SAGGAR_ENOTFOUND ? SAGGAR_OK : status;
    for (uint64_t i = 0; i < count; i++) {
        if (!sg_range_ok(at, sizeof(Elf64_Verneed), d->size))
            return SAGGAR_ECORRUPT;
        const uint8_t *p = d->bytes + at;
        const char *soname = string(d, sg_load32(p + offsetof(Elf64_Verneed, vn_file)));
        if (soname == NULL)
            return SAGGAR_ECORRUPT;
        status = each_needed(d, soname, at + sg_load32(p + offsetof(Elf64_Verneed, vn_aux)),
                             sg_load16(p + offsetof(Elf64_Verneed, vn_cnt)), each, context);
        if (status != 0)
            return status;
        at += sg_load32(p + offsetof(Elf64_Verneed, vn_next));
    }
    return SAGGAR_OK;
}

int sg_dynamic_versions_defined(const struct sg_dynamic *d, int (*each)(void *, const char *),
                                void *context) {
    uint64_t at, count;
    int status = open_table(d, DT_VERDEF, DT_VERDEFNUM, &at, &count);
    if (status != SAGGAR_OK)
        return status == SAGGAR_ENOTFOUND ? SAGGAR_OK : status;
    for (uint64_t i = 0; i < count; i++) {
        if (!sg_range_ok(at, sizeof(Elf64_Verdef), d->size))
            return SAGGAR_ECORRUPT;
        const uint8_t *p = d->bytes + at;
        uint64_t aux = at + sg_load32(p + offsetof(Elf64_Verdef, vd_aux));
        if (!sg_range_ok(aux, sizeof(Elf64_Verdaux), d->size))
            return SAGGAR_ECORRUPT;
        const char *version = string(d, sg_load32(d->bytes + aux + offsetof(Elf64_Verdaux, vda_name)));
        bool base = (sg_load16(p + offsetof(Elf64_Verdef, vd_flags)) & VER_FLG_BASE) != 0;
        status = version == NULL ? SAGGAR_ECORRUPT : base ? 0 : each(context, version);
        if (status != 0)
            return status;
        at += sg_load32(p + offsetof(Elf64_Verdef, vd_next));
    }
    return SAGGAR_OK;
}
