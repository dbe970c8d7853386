/*
 * The dependencies of an entry, for the adapter that builds something of it: what its caller inherits.
 */
#include <stdlib.h>

#include "cache/cache.h"
#include "cache/payload.h"

enum { TEXT = 1024, PATH_SIZE = 4096 };

struct listing {
    int (*each)(void *context, const saggar_dependency *dependency);
    void *context;
};

/* The texts of one record; they live on the stack of record(). */
struct texts {
    char scope[TEXT], name[PATH_SIZE];
};

static bool parse(uint16_t kind, struct sg_cursor *c, struct texts *t, saggar_dependency *d) {
    sg_value_tuple(c);
    switch (kind) {
    case SG_DEPEND_DISTRIBUTION:
        d->kind = SAGGAR_DEPEND_DISTRIBUTION;
        sg_payload_text(c, t->scope, sizeof t->scope);
        sg_payload_text(c, t->name, sizeof t->name);
        break;
    case SG_DEPEND_FILE:
        d->kind = SAGGAR_DEPEND_FILE;
        sg_payload_text(c, t->scope, sizeof t->scope);
        sg_payload_text(c, t->name, sizeof t->name);
        d->size = (uint64_t)sg_value_int(c);
        d->sha256 = sg_value_digest(c, NULL, NULL);
        break;
    case SG_DEPEND_VALUE:
    case SG_DEPEND_CODE:
        d->kind = kind == SG_DEPEND_CODE ? SAGGAR_DEPEND_CODE : SAGGAR_DEPEND_VALUE;
        sg_payload_text(c, t->scope, sizeof t->scope);
        sg_payload_text(c, t->name, sizeof t->name);
        d->sha256 = sg_value_digest(c, NULL, NULL);
        break;
    default:
        return false;
    }
    d->scope = t->scope;
    d->name = t->name;
    return true;
}

static int record(void *context, uint16_t kind, const uint8_t *payload, size_t n) {
    const struct listing *l = context;
    struct sg_cursor c = sg_payload(payload, n);
    struct texts texts;
    saggar_dependency d = {0};
    if (!parse(kind, &c, &texts, &d))
        return SAGGAR_EUNKNOWN;
    return c.err != SAGGAR_OK ? SAGGAR_ECORRUPT : l->each(l->context, &d);
}

int sg_dependencies_each(const struct sg_entry_view *view,
                         int (*each)(void *context, const saggar_dependency *dependency), void *context) {
    struct sg_section section;
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    struct listing listing = {each, context};
    int err = sg_entry_find(view, SG_SECTION_DEPENDENCIES, NULL, &section);
    if (err == SAGGAR_OK)
        err = sg_entry_bytes(view, &section, SG_FAST, &data, &size, &owned);
    if (err != SAGGAR_OK)
        return err;
    err = sg_records_each(data, size, record, &listing);
    free(owned);
    return err;
}

int saggar_entry_dependencies(saggar_entry *entry,
                              int (*each)(void *context, const saggar_dependency *dependency),
                              void *context) {
    if (entry == NULL || each == NULL)
        return SAGGAR_EINVAL;
    return sg_dependencies_each(&entry->candidate.view, each, context);
}
