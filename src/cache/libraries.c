/*
 * Do the system's libraries have what a candidate needs? The C library is asked for its version. Of another
 * library the file is read that the dynamic linker would take (code/library.h); nothing is loaded.
 */
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/payload.h"
#include "code/library.h"

enum { VERSIONS_MAX = 256 };

/* Is version `have` (numbers between dots) at least `need`? What is no number is only as new as itself. */
static bool at_least(const char *have, const char *need) {
    while (*need != '\0') {
        if (*need < '0' || *need > '9')
            return strcmp(have, need) == 0;
        char *end_have, *end_need;
        unsigned long x = strtoul(have, &end_have, 10), y = strtoul(need, &end_need, 10);
        if (x != y)
            return x > y;
        have = *end_have == '.' ? end_have + 1 : end_have;
        need = *end_need == '.' ? end_need + 1 : end_need;
    }
    return true;
}

static int check_version(struct sg_lookup *l, const uint8_t *payload, size_t n) {
    struct sg_cursor c = sg_payload(payload, n);
    char name[128], version[96], text[SAGGAR_DETAIL_SIZE];
    sg_value_tuple(&c);
    sg_payload_text(&c, name, sizeof name);
    sg_payload_text(&c, version, sizeof version);
    if (c.err == SAGGAR_OK && strcmp(name, "GLIBC") == 0 && at_least(gnu_get_libc_version(), version))
        return 0;
    snprintf(text, sizeof text, "%s %s", name, version);
    sg_verdict_add(&l->verdict, SAGGAR_REASON_LIBRARY, text);
    return 1;
}

/* The versions of a needed library: texts of one payload, each copied. False: too many, or malformed. */
static bool read_versions(struct sg_cursor *c, char **out, size_t *count) {
    uint32_t n = sg_value_tuple(c);
    *count = 0;
    for (uint32_t i = 0; i < n && i < VERSIONS_MAX; i++) {
        size_t size = 0;
        const char *text = sg_value_text(c, &size);
        if (c->err != SAGGAR_OK || memchr(text, 0, size) != NULL)
            return false;
        out[i] = strndup(text, size);
        if (out[i] == NULL)
            return false;
        (*count)++;
    }
    return n <= VERSIONS_MAX;
}

static int check_needed(struct sg_lookup *l, const uint8_t *payload, size_t n) {
    struct sg_cursor c = sg_payload(payload, n);
    char name[256], path[PATH_MAX], text[SAGGAR_DETAIL_SIZE], *versions[VERSIONS_MAX];
    const char *missing = "";
    size_t count = 0;
    sg_value_tuple(&c);
    sg_payload_text(&c, name, sizeof name);
    bool good = c.err == SAGGAR_OK && read_versions(&c, versions, &count);
    if (good && sg_value_int(&c) != 0)
        good = sg_library_find(name, path, sizeof path) &&
               sg_library_defines(path, (const char *const *)versions, count, &missing);
    snprintf(text, sizeof text, "%.120s %.120s", name, missing);
    for (size_t i = 0; i < count; i++)
        free(versions[i]);
    if (good)
        return 0;
    sg_verdict_add(&l->verdict, SAGGAR_REASON_LIBRARY, text);
    return 1;
}

static int check_record(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    switch (kind) {
    case SG_REQUIRE_LIBRARY:
        return check_version(context, payload, n);
    case SG_REQUIRE_NEEDED:
        return check_needed(context, payload, n);
    default:
        return 0;
    }
}

bool sg_libraries_hold(struct sg_lookup *lookup, const uint8_t *section, size_t size) {
    return sg_records_each(section, size, check_record, lookup) == 0;
}
