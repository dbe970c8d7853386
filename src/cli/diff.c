/* What differs between two recipes; see diff.h. */
#include "cli/diff.h"

#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "key/recipe.h"
#include "key/value.h"
#include "saggar/saggar.h"

enum { MOST = 64, SHOWN = 72, LEVELS = 32 };

struct span {
    const uint8_t *p;
    size_t n;
};

/* The members of a container; a pair is a key and a value. */
struct member {
    struct span key, value; /* key.p NULL: none */
};

struct members {
    struct sg_token head;
    struct member *item;
    size_t n;
};

static char *print(struct span v) {
    char *text = NULL;
    if (v.p == NULL)
        return out_strdup("absent");
    if (saggar_value_print(v.p, v.n, SHOWN, &text) != SAGGAR_OK)
        return out_strdup("?");
    return text;
}

static void leaf(struct diff *d, const char *path, char *entry, char *now) {
    if (d->n == MOST) {
        d->cut = true;
        free(entry);
        free(now);
        return;
    }
    struct diff_item *item = out_grow(&d->item, &d->n, sizeof *item);
    *item = (struct diff_item){out_strdup(path), entry, now};
}

static struct span skip(struct sg_cursor *c) {
    struct span v = {NULL, 0};
    v.p = sg_value_skip(c, &v.n);
    return v;
}

/* Opens a container; false for anything else. */
static bool open_members(struct span v, struct members *out) {
    struct sg_cursor c;
    *out = (struct members){0};
    sg_cursor_init(&c, v.p, v.n);
    if (!sg_cursor_token(&c, &out->head) || out->head.tag < SG_TAG_LIST || out->head.tag > SG_TAG_RECORD)
        return false;
    bool pairs = out->head.tag == SG_TAG_MAP || out->head.tag == SG_TAG_ORDERED_MAP;
    for (uint32_t i = 0; i < out->head.count && c.err == SAGGAR_OK; i++) {
        struct member m = {{NULL, 0}, {NULL, 0}};
        if (out->head.tag == SG_TAG_RECORD)
            sg_cursor_name(&c, &m.key.p, &m.key.n);
        else if (pairs)
            m.key = skip(&c);
        m.value = skip(&c);
        if (c.err == SAGGAR_OK) {
            struct member *slot = out_grow(&out->item, &out->n, sizeof *slot);
            *slot = m;
        }
    }
    if (c.err == SAGGAR_OK)
        return true;
    free(out->item);
    out->item = NULL;
    return false;
}

static bool equal(struct span a, struct span b) {
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static const struct member *by_key(const struct members *m, struct span key) {
    for (size_t i = 0; i < m->n; i++) {
        if (m->item[i].key.p != NULL && equal(m->item[i].key, key))
            return &m->item[i];
    }
    return NULL;
}

/* The text that a value is. */
static bool is_text(struct span v, struct span *out) {
    struct sg_cursor c;
    struct sg_token t;
    sg_cursor_init(&c, v.p, v.n);
    if (!sg_cursor_token(&c, &t))
        return false;
    *out = (struct span){t.data, t.size};
    return t.tag == SG_TAG_TEXT;
}

/* (name, value) or (name, ...): the name, and what it stands for. */
static bool split_named(struct member *m) {
    struct sg_cursor c;
    struct sg_token t;
    sg_cursor_init(&c, m->value.p, m->value.n);
    if (!sg_cursor_token(&c, &t) || (t.tag != SG_TAG_TUPLE && t.tag != SG_TAG_LIST) || t.count < 2)
        return false;
    struct span first = skip(&c), second = skip(&c);
    if (c.err != SAGGAR_OK || !is_text(first, &m->key))
        return false;
    if (t.count == 2)
        m->value = second;
    return true;
}

/* A list of (name, ...) is read as a map from the names, if they differ from each other. */
static bool name_members(const struct members *m, struct members *out) {
    bool named = m->n > 0;
    *out = (struct members){m->head, out_alloc(m->n * sizeof *m->item), m->n};
    if (m->n > 0)
        memcpy(out->item, m->item, m->n * sizeof *m->item);
    for (size_t i = 0; i < m->n && named; i++)
        named = split_named(&out->item[i]) && by_key(out, out->item[i].key) == &out->item[i];
    return named;
}

static char *member_path(const char *path, const struct members *m, struct span key) {
    struct span text = key;
    bool plain = m->head.tag != SG_TAG_MAP && m->head.tag != SG_TAG_ORDERED_MAP;
    if (plain || is_text(key, &text)) {
        char *name = out_bytes(text.p, text.n);
        char *joined = path[0] != '\0' ? out_format("%s.%s", path, name) : out_strdup(name);
        free(name);
        return joined;
    }
    char *name = print(key), *joined = out_format("%s[%s]", path, name);
    free(name);
    return joined;
}

static void compare(struct diff *d, const char *path, struct span a, struct span b, int level);

static void compare_named(struct diff *d, const char *path, const struct members *a, const struct members *b,
                          int level) {
    size_t before = d->n;
    for (size_t i = 0; i < a->n; i++) {
        const struct member *other = by_key(b, a->item[i].key);
        char *where = member_path(path, a, a->item[i].key);
        if (other == NULL)
            leaf(d, where, print(a->item[i].value), out_strdup("absent"));
        else
            compare(d, where, a->item[i].value, other->value, level);
        free(where);
    }
    for (size_t i = 0; i < b->n; i++) {
        if (by_key(a, b->item[i].key) != NULL)
            continue;
        char *where = member_path(path, b, b->item[i].key);
        leaf(d, where, out_strdup("absent"), print(b->item[i].value));
        free(where);
    }
    if (d->n == before && !d->cut)
        leaf(d, path, out_strdup("one order"), out_strdup("another order"));
}

static void compare_sets(struct diff *d, const char *path, const struct members *a, const struct members *b) {
    const struct members *side[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        const struct members *mine = side[k], *other = side[1 - k];
        for (size_t i = 0; i < mine->n; i++) {
            bool found = false;
            for (size_t j = 0; j < other->n && !found; j++)
                found = equal(mine->item[i].value, other->item[j].value);
            if (!found && k == 0)
                leaf(d, path, print(mine->item[i].value), out_strdup("absent"));
            else if (!found)
                leaf(d, path, out_strdup("absent"), print(mine->item[i].value));
        }
    }
}

static void compare_lists(struct diff *d, const char *path, const struct members *a, const struct members *b,
                          int level) {
    struct members x = {0}, y = {0};
    bool named = name_members(a, &x) && name_members(b, &y);
    if (named)
        compare_named(d, path, &x, &y, level);
    free(x.item);
    free(y.item);
    if (named)
        return;
    size_t n = a->n > b->n ? a->n : b->n;
    for (size_t i = 0; i < n; i++) {
        char *where = out_format("%s[%zu]", path, i);
        if (i >= a->n)
            leaf(d, where, out_strdup("absent"), print(b->item[i].value));
        else if (i >= b->n)
            leaf(d, where, print(a->item[i].value), out_strdup("absent"));
        else
            compare(d, where, a->item[i].value, b->item[i].value, level);
        free(where);
    }
}

/* Two values that print alike are told apart by more of them. */
static void plain(struct diff *d, const char *path, struct span a, struct span b) {
    char *x = print(a), *y = print(b);
    if (strcmp(x, y) == 0) {
        free(x);
        free(y);
        if (saggar_value_print(a.p, a.n, SIZE_MAX, &x) != SAGGAR_OK)
            x = out_strdup("?");
        if (saggar_value_print(b.p, b.n, SIZE_MAX, &y) != SAGGAR_OK)
            y = out_strdup("?");
    }
    leaf(d, path, x, y);
}

static void compare(struct diff *d, const char *path, struct span a, struct span b, int level) {
    struct members x, y;
    if (equal(a, b))
        return;
    bool first = open_members(a, &x), second = open_members(b, &y);
    bool alike = first && second && x.head.tag == y.head.tag && level < LEVELS &&
                 x.head.size == y.head.size &&
                 (x.head.size == 0 || memcmp(x.head.data, y.head.data, x.head.size) == 0);
    if (!alike)
        plain(d, path, a, b);
    else if (x.head.tag == SG_TAG_SET || x.head.tag == SG_TAG_FROZENSET)
        compare_sets(d, path, &x, &y);
    else if (x.head.tag == SG_TAG_LIST || x.head.tag == SG_TAG_TUPLE)
        compare_lists(d, path, &x, &y, level + 1);
    else
        compare_named(d, path, &x, &y, level + 1);
    free(x.item);
    free(y.item);
}

static bool field(const uint8_t *bytes, size_t size, uint32_t i, struct span *name, struct span *value) {
    const char *text;
    if (saggar_recipe_get(bytes, size, i, &text, &name->n, &value->p, &value->n) != SAGGAR_OK)
        return false;
    name->p = (const uint8_t *)text;
    return true;
}

static bool field_named(const uint8_t *bytes, size_t size, uint32_t n, struct span name, struct span *value) {
    struct span other;
    for (uint32_t i = 0; i < n; i++) {
        if (field(bytes, size, i, &other, value) && equal(other, name))
            return true;
    }
    *value = (struct span){NULL, 0};
    return false;
}

static void compare_field(struct diff *d, struct span name, struct span a, struct span b) {
    if (a.p != NULL && b.p != NULL && equal(a, b))
        return;
    char *path = out_bytes(name.p, name.n);
    d->fields++;
    d->signature = d->signature || strcmp(path, "signature") == 0;
    if (a.p == NULL || b.p == NULL)
        leaf(d, path, print(a), print(b));
    else
        compare(d, path, a, b, 0);
    free(path);
}

bool diff_recipes(const uint8_t *entry, size_t entry_size, const uint8_t *now, size_t now_size,
                  struct diff *out) {
    uint32_t n, m;
    struct span name, a, b;
    *out = (struct diff){0};
    if (saggar_recipe_count(entry, entry_size, &n) != SAGGAR_OK ||
        saggar_recipe_count(now, now_size, &m) != SAGGAR_OK)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!field(entry, entry_size, i, &name, &a))
            continue;
        field_named(now, now_size, m, name, &b);
        compare_field(out, name, a, b);
    }
    for (uint32_t i = 0; i < m; i++) {
        if (field(now, now_size, i, &name, &b) && !field_named(entry, entry_size, n, name, &a))
            compare_field(out, name, a, b);
    }
    return true;
}

int diff_compare(const struct diff *a, const struct diff *b) {
    if (a->signature != b->signature)
        return a->signature ? 1 : -1;
    if (a->fields != b->fields)
        return a->fields < b->fields ? -1 : 1;
    return a->n < b->n ? -1 : a->n > b->n;
}

void diff_free(struct diff *d) {
    for (size_t i = 0; i < d->n; i++) {
        free(d->item[i].path);
        free(d->item[i].entry);
        free(d->item[i].now);
    }
    free(d->item);
    *d = (struct diff){0};
}
