/*
 * Walks two recipes side by side. Records are compared field by field, maps key by key, sequences of equal length member by
 * member; everything else as a whole.
 */
#include "cli/diff.h"

#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "key/recipe.h"
#include "key/value.h"
#include "saggar/saggar.h"

enum { SHOWN = 160, SIGNATURE_WEIGHT = 1000 };

struct value {
    const uint8_t *p;
    size_t n;
};

static bool same(struct value a, struct value b) {
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static char *show(struct value v) {
    char *text;
    return saggar_value_print(v.p, v.n, SHOWN, &text) == SAGGAR_OK ? text : out_strdup("?");
}

static void differs(struct diff *d, const char *path, const struct value *was, const struct value *now) {
    struct diff_item *item;
    d->item = out_grow(d->item, &d->n, sizeof *item);
    item = &d->item[d->n - 1];
    item->path = out_strdup(path);
    item->was = was != NULL ? show(*was) : NULL;
    item->now = now != NULL ? show(*now) : NULL;
    d->weight++;
}

/* One member of a container: its key (a map's first value, a record's field name) or nothing, and its value. */
static bool next_member(struct sg_cursor *c, uint8_t tag, struct value *key, struct value *member) {
    *key = (struct value){NULL, 0};
    if (tag == SG_TAG_RECORD)
        sg_cursor_name(c, &key->p, &key->n);
    else if (tag == SG_TAG_MAP || tag == SG_TAG_ORDERED_MAP)
        key->p = sg_value_skip(c, &key->n);
    member->p = sg_value_skip(c, &member->n);
    return c->err == SAGGAR_OK;
}

static bool lookup(struct value container, struct value key, struct value *member) {
    struct sg_cursor c;
    struct sg_token t;
    struct value k;
    sg_cursor_init(&c, container.p, container.n);
    if (!sg_cursor_token(&c, &t))
        return false;
    for (uint32_t i = 0; i < t.count && next_member(&c, t.tag, &k, member); i++) {
        if (same(k, key))
            return true;
    }
    return false;
}

/* The path of a member: a field's name, a key's text, or its index. */
static char *member_path(const char *path, uint8_t tag, struct value key, uint32_t i) {
    struct sg_cursor c;
    struct sg_token t;
    if (tag == SG_TAG_RECORD)
        return out_format("%s.%.*s", path, (int)key.n, (const char *)key.p);
    if (key.p == NULL)
        return out_format("%s[%u]", path, i);
    sg_cursor_init(&c, key.p, key.n);
    if (sg_cursor_token(&c, &t) && t.tag == SG_TAG_TEXT)
        return out_format("%s.%.*s", path, (int)t.size, (const char *)t.data);
    char *text = show(key), *full = out_format("%s[%s]", path, text);
    free(text);
    return full;
}

static void compare(struct diff *d, const char *path, struct value was, struct value now);

/* Members of `was` against `now`; then what only `now` has, where members have keys. */
static void compare_members(struct diff *d, const char *path, uint8_t tag, uint32_t n, struct sg_cursor a, struct sg_cursor b,
                            struct value was, struct value now, uint32_t n_now) {
    struct value key, x, y, other;
    bool keyed = tag >= SG_TAG_MAP && tag <= SG_TAG_RECORD;
    for (uint32_t i = 0; i < n && next_member(&a, tag, &key, &x); i++) {
        char *sub = member_path(path, tag, key, i);
        if (keyed && !lookup(now, key, &y))
            differs(d, sub, &x, NULL);
        else if (keyed || next_member(&b, tag, &other, &y))
            compare(d, sub, x, y);
        free(sub);
    }
    for (uint32_t i = 0; keyed && i < n_now && next_member(&b, tag, &key, &y); i++) {
        if (!lookup(was, key, &x)) {
            char *sub = member_path(path, tag, key, i);
            differs(d, sub, NULL, &y);
            free(sub);
        }
    }
}

static void compare(struct diff *d, const char *path, struct value was, struct value now) {
    struct sg_cursor a, b;
    struct sg_token s, t;
    size_t before = d->n;
    if (same(was, now))
        return;
    sg_cursor_init(&a, was.p, was.n);
    sg_cursor_init(&b, now.p, now.n);
    bool walk = sg_cursor_token(&a, &s) && sg_cursor_token(&b, &t) && s.tag == t.tag && s.tag >= SG_TAG_LIST &&
                s.tag <= SG_TAG_RECORD && s.tag != SG_TAG_SET && s.tag != SG_TAG_FROZENSET;
    if (walk && s.tag == SG_TAG_RECORD)
        walk = s.size == t.size && memcmp(s.data, t.data, s.size) == 0;
    if (walk && (s.tag == SG_TAG_LIST || s.tag == SG_TAG_TUPLE))
        walk = s.count == t.count;
    if (walk)
        compare_members(d, path, s.tag, s.count, a, b, was, now, t.count);
    if (d->n == before) /* nothing inside differs by itself: the order does, or it is no container */
        differs(d, path, &was, &now);
}

static bool field_of(const void *recipe, size_t size, const char *name, size_t n, struct value *out) {
    uint32_t count;
    if (saggar_recipe_count(recipe, size, &count) != SAGGAR_OK)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const char *other;
        size_t other_n;
        if (saggar_recipe_get(recipe, size, i, &other, &other_n, &out->p, &out->n) != SAGGAR_OK)
            return false;
        if (other_n == n && memcmp(other, name, n) == 0)
            return true;
    }
    return false;
}

void diff_recipes(const void *was, size_t was_size, const void *now, size_t now_size, struct diff *out) {
    uint32_t count = 0;
    *out = (struct diff){0};
    if (saggar_recipe_count(now, now_size, &count) != SAGGAR_OK || sg_recipe_check(was, was_size) != SAGGAR_OK) {
        out->weight = SIZE_MAX / 2;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *name;
        size_t n, before = out->weight;
        struct value x, y;
        if (saggar_recipe_get(now, now_size, i, &name, &n, &y.p, &y.n) != SAGGAR_OK)
            break;
        char *path = out_format("%.*s", (int)n, name);
        if (field_of(was, was_size, name, n, &x))
            compare(out, path, x, y);
        else
            differs(out, path, NULL, &y);
        if (out->weight > before && strcmp(path, "signature") == 0)
            out->weight += SIGNATURE_WEIGHT;
        free(path);
    }
}

void diff_free(struct diff *diff) {
    for (size_t i = 0; i < diff->n; i++) {
        free(diff->item[i].path);
        free(diff->item[i].was);
        free(diff->item[i].now);
    }
    free(diff->item);
    *diff = (struct diff){0};
}
