/* The fixed header, and what surrounds the lists; see ji.h. The lists are in ji_lists.c. */
#include "julia/ji.h"

#include <stdlib.h>
#include <string.h>

#include "julia/cursor.h"
#include "julia/ji_lists.h"

static const unsigned char magic[8] = {0xfb, 'j', 'l', 'i', '\r', '\n', 0x1a, '\n'};

bool sg_ji_layout(int major, int minor, unsigned *layout, uint16_t *format) {
    if (major != 1 || minor < 5 || minor > 12)
        return false;
    *format = minor < 9 ? 11 : 12;
    *layout = (minor >= 9 ? SG_JI_HAS_FLAGS : 0u) | (minor >= 6 ? SG_JI_HAS_PREFERENCES : 0u) |
              (minor >= 11 ? SG_JI_HAS_CONTENT : 0u);
    return true;
}

bool sg_julia_version(const char *text, int *major, int *minor) {
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    long a = strtol(text, &end, 10);
    if (a > 9999 || end[0] != '.' || end[1] < '0' || end[1] > '9')
        return false;
    long b = strtol(end + 1, NULL, 10);
    if (b > 9999)
        return false;
    *major = (int)a;
    *minor = (int)b;
    return true;
}

/* A text that ends with a NUL. */
static bool text(struct sg_arena *arena, struct sg_cursor *c, const char **out) {
    const unsigned char *end = memchr(c->data + c->at, 0, c->size - c->at);
    if (end == NULL)
        return false;
    size_t n = (size_t)(end - (c->data + c->at));
    *out = sg_arena_text(arena, c->data + c->at, n);
    c->at += n + 1;
    return true;
}

/* As Julia's C code reads it: a number that is cut off counts with the bytes that are there. */
static uint64_t partial(struct sg_cursor *c) {
    unsigned char bytes[8] = {0};
    size_t n = c->size - c->at < 8 ? c->size - c->at : 8;
    memcpy(bytes, c->data + c->at, n);
    c->at += n;
    return sg_load64(bytes);
}

static void refuse(struct sg_ji *ji, enum sg_ji_state state, const char *what) {
    ji->state = state;
    ji->what = what;
}

static void read_fixed(struct sg_arena *arena, struct sg_cursor *c, struct sg_ji *ji, unsigned *layout) {
    uint16_t format;
    if (c->size < sizeof magic || memcmp(c->data, magic, sizeof magic) != 0) {
        refuse(ji, SG_JI_HEADER, c->size == 0 ? "the file is empty" : "not a cache file of Julia");
        return;
    }
    c->at = sizeof magic;
    const unsigned char *p = sg_cursor_take(c, 5);
    if (p != NULL) {
        ji->format = sg_load16(p);
        ji->bom = sg_load16(p + 2);
        ji->pointer_size = p[4];
    }
    if (p == NULL || !text(arena, c, &ji->uname) || !text(arena, c, &ji->arch) ||
        !text(arena, c, &ji->version) || !text(arena, c, &ji->branch) || !text(arena, c, &ji->commit)) {
        refuse(ji, SG_JI_HEADER, "cut off in the header");
        return;
    }
    if (ji->bom != 0xfeff) {
        refuse(ji, SG_JI_HEADER, "of a machine with another byte order");
        return;
    }
    if (!sg_julia_version(ji->version, &ji->major, &ji->minor) ||
        !sg_ji_layout(ji->major, ji->minor, layout, &format) || format != ji->format) {
        refuse(
            ji, SG_JI_UNKNOWN,
            sg_arena_format(arena,
                            "format %u of Julia %s is not known; known are format 11 (Julia 1.5 to 1.8) and "
                            "12 (1.9 to 1.12)",
                            (unsigned)ji->format, ji->version));
        return;
    }
    ji->fixed = true;
    if (*layout & SG_JI_HAS_FLAGS) {
        ji->pkgimage = c->at < c->size ? c->data[c->at++] : 0xff;
        ji->checksum = partial(c);
        ji->data_start = partial(c);
        ji->data_end = partial(c);
        if (ji->pkgimage != 0 || ji->checksum == 0)
            refuse(ji, SG_JI_HEADER,
                   ji->pkgimage == 1 ? "the header of machine code, not of a cache file"
                                     : "cut off in the header");
    }
    ji->fixed_size = c->at;
}

static int by_path(const void *a, const void *b) {
    return strcmp((*(struct sg_ji_include *const *)a)->path, (*(struct sg_ji_include *const *)b)->path);
}

static struct sg_ji_include **sorted(struct sg_arena *arena, const struct sg_ji *ji) {
    struct sg_ji_include **list = sg_arena_array(arena, ji->n_includes + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < ji->n_includes; i++)
        list[i] = &ji->includes[i];
    if (list != NULL && ji->n_includes > 1)
        qsort(list, ji->n_includes, sizeof *list, by_path);
    return list;
}

/* All of that name: there may be several, and the file may name them as often as it likes. */
static void mark(struct sg_ji_include **list, size_t n, const char *name) {
    const struct sg_ji_include wanted = {.path = name}, *key = &wanted;
    struct sg_ji_include **found = bsearch(&key, list, n, sizeof *list, by_path);
    if (found == NULL || (*found)->source)
        return;
    while (found > list && strcmp(found[-1]->path, name) == 0)
        found--;
    for (; found < list + n && strcmp((*found)->path, name) == 0; found++)
        (*found)->source = true;
}

/* The names of the files whose text is stored. Julia reads this part leniently: a text that is cut off ends
 * it. */
static void read_sources(struct sg_arena *arena, struct sg_cursor *c, struct sg_ji *ji) {
    if (ji->source_at == 0)
        return;
    struct sg_ji_include **list = sorted(arena, ji);
    if (list == NULL)
        return;
    if (ji->source_at > INT64_MAX) {
        refuse(ji, SG_JI_CORRUPT, "the source text lies nowhere");
        return;
    }
    c->at = ji->source_at < c->size ? (size_t)ji->source_at : c->size;
    while (c->at < c->size) {
        uint32_t n = sg_cursor_u32(c);
        if (n == 0 || c->eof)
            break;
        if (n > INT32_MAX) {
            refuse(ji, SG_JI_CORRUPT, "a name of negative length");
            return;
        }
        if (n > c->size - c->at)
            n = (uint32_t)(c->size - c->at);
        const char *name = sg_arena_text(arena, c->data + c->at, n);
        c->at += n;
        uint64_t skip = sg_cursor_u64(c);
        if (c->eof)
            break;
        mark(list, ji->n_includes, name);
        c->at = skip < c->size - c->at ? c->at + (size_t)skip : c->size;
    }
    if (c->eof)
        refuse(ji, SG_JI_EOF, "cut off in the source text");
}

bool sg_ji_read(struct sg_arena *arena, const unsigned char *data, size_t size, struct sg_ji *ji) {
    struct sg_cursor c = {.data = data, .size = size};
    unsigned layout = 0;
    *ji = (struct sg_ji){
        .size = size, .what = "", .uname = "", .arch = "", .version = "", .branch = "", .commit = ""};
    if (size >= 4)
        ji->crc = sg_load32(data + size - 4);
    read_fixed(arena, &c, ji, &layout);
    if ((layout & SG_JI_HAS_FLAGS) != 0 && size >= 8)
        ji->so_crc = sg_load32(data + size - 8);
    if (ji->state == SG_JI_OK)
        sg_ji_lists(arena, &c, layout, ji);
    if (ji->state == SG_JI_OK)
        read_sources(arena, &c, ji);
    return !arena->failed;
}

bool sg_ji_crc_holds(const struct sg_ji *ji, const unsigned char *data) {
    return ji->size >= 4 && sg_julia_crc(0, data, ji->size - 4) == ji->crc;
}

bool sg_ji_flags_match(int minor, uint8_t requested, uint8_t actual, bool existing) {
    if (minor < 9) /* no flags yet */
        return true;
    if ((requested & 1) == 0 && (actual & 1) == 0)
        return true;
    if (existing && minor >= 11)
        actual = (uint8_t)(actual & ~1u);
    if (minor < 11)
        return (requested & 0x3f) == (actual & 0x3f) && actual >> 6 >= requested >> 6;
    return (requested & 0x39) == (actual & 0x39) && (actual >> 1 & 3) >= (requested >> 1 & 3) &&
           actual >> 6 >= requested >> 6;
}
