/* See ji_lists.h. Each reader stops at the first thing that cannot be and leaves what it has. */
#include "julia/ji_lists.h"

#include <string.h>

struct reader {
    struct sg_arena *arena;
    struct sg_cursor *c;
    unsigned layout;
    struct sg_ji *ji;
};

static bool fail(struct reader *r, enum sg_ji_state state, const char *what) {
    if (r->ji->state == SG_JI_OK) {
        r->ji->state = state;
        r->ji->what = what;
    }
    return false;
}

static bool good(struct reader *r) {
    if (r->arena->failed)
        return false;
    return !r->c->eof || fail(r, SG_JI_EOF, "cut off in the lists");
}

/* A length that must not be negative, then so many bytes. False also where nothing may follow. */
static bool bytes(struct reader *r, const unsigned char **p, uint32_t *n) {
    *n = sg_cursor_u32(r->c);
    if (!good(r))
        return false;
    if (*n > INT32_MAX)
        return fail(r, SG_JI_CORRUPT, "a text of negative length");
    *p = sg_cursor_take(r->c, *n);
    return good(r);
}

/* A text without NULs; *more is false where the list ends. */
static bool text(struct reader *r, const char **out, bool *more) {
    const unsigned char *p;
    uint32_t n;
    if (!bytes(r, &p, &n))
        return false;
    *more = n > 0;
    if (n > 0 && memchr(p, 0, n) != NULL)
        return fail(r, SG_JI_CORRUPT, "a name with a NUL in it");
    *out = n > 0 ? sg_arena_text(r->arena, p, n) : "";
    return good(r);
}

static bool modules(struct reader *r, bool whole, struct sg_ji_module **list, size_t *n) {
    for (;;) {
        struct sg_ji_module m = {0};
        bool more;
        if (!text(r, &m.id.name, &more))
            return false;
        if (!more)
            return true;
        m.id.uuid.hi = sg_cursor_u64(r->c);
        m.id.uuid.lo = sg_cursor_u64(r->c);
        m.build_hi = whole ? sg_cursor_u64(r->c) : 0;
        m.build_lo = sg_cursor_u64(r->c);
        if (!good(r))
            return false;
        struct sg_ji_module *grown = sg_arena_more(r->arena, *list, *n, sizeof m);
        if (grown == NULL)
            return false;
        *list = grown;
        grown[(*n)++] = m;
    }
}

/* "\0", a UUID with its low half first, a name: what the file requires. */
static bool require(struct reader *r, const unsigned char *p, uint32_t n, uint32_t by) {
    struct sg_ji_require q = {.by = by};
    if (n < 18 || memchr(p + 17, 0, n - 17) != NULL)
        return fail(r, SG_JI_CORRUPT, "a requirement that is none");
    q.id.uuid.lo = sg_load64(p + 1);
    q.id.uuid.hi = sg_load64(p + 9);
    q.id.name = sg_arena_text(r->arena, p + 17, n - 17);
    struct sg_ji_require *grown = sg_arena_more(r->arena, r->ji->requires, r->ji->n_requires, sizeof q);
    if (grown == NULL || r->arena->failed)
        return false;
    r->ji->requires = grown;
    grown[r->ji->n_requires++] = q;
    return true;
}

static bool include(struct reader *r, const unsigned char *p, uint32_t n, struct sg_ji_include *i) {
    if (memchr(p, 0, n) != NULL)
        return fail(r, SG_JI_CORRUPT, "a file name with a NUL in it");
    i->path = sg_arena_text(r->arena, p, n);
    struct sg_ji_include *grown = sg_arena_more(r->arena, r->ji->includes, r->ji->n_includes, sizeof *i);
    if (grown == NULL || r->arena->failed)
        return false;
    r->ji->includes = grown;
    grown[r->ji->n_includes++] = *i;
    return true;
}

static bool dependencies(struct reader *r) {
    for (;;) {
        struct sg_ji_include i = {0};
        const unsigned char *p;
        const char *submodule;
        bool more = true;
        uint32_t n;
        if (!bytes(r, &p, &n))
            return false;
        if (n == 0)
            return true;
        if (r->layout & SG_JI_HAS_CONTENT) {
            i.size = sg_cursor_u64(r->c);
            i.crc = sg_cursor_u32(r->c);
        }
        uint64_t bits = sg_cursor_u64(r->c);
        memcpy(&i.mtime, &bits, sizeof bits);
        i.by = sg_cursor_u32(r->c);
        if (!good(r))
            return false;
        if (i.by > r->ji->n_provides)
            return fail(r, SG_JI_CORRUPT, "a dependency of a module that is not there");
        while (i.by != 0 && more) {
            if (!text(r, &submodule, &more))
                return false;
        }
        if (p[0] == 0 ? !require(r, p, n, i.by) : !include(r, p, n, &i))
            return false;
    }
}

static bool preferences(struct reader *r) {
    for (;;) {
        const char *name;
        bool more;
        if (!text(r, &name, &more))
            return false;
        if (!more)
            break;
        const char **grown = sg_arena_more(r->arena, r->ji->preferences, r->ji->n_preferences, sizeof *grown);
        if (grown == NULL)
            return false;
        r->ji->preferences = grown;
        grown[r->ji->n_preferences++] = name;
    }
    r->ji->preferences_hash = sg_cursor_u64(r->c);
    return good(r);
}

static bool words(struct sg_cursor *c, uint32_t *to, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        to[i] = sg_cursor_u32(c);
    return !c->eof;
}

static const char *one_target(struct reader *r, struct sg_cursor *c, struct sg_julia_target *t) {
    const unsigned char *p;
    t->flags = sg_cursor_u32(c);
    t->words = sg_cursor_u32(c);
    if (c->eof || t->words > SG_JULIA_WORDS)
        return "feature words without end";
    if (!words(c, t->enabled, t->words) || !words(c, t->disabled, t->words))
        return "cut off";
    for (int i = 0; i < 2; i++) {
        uint32_t n = sg_cursor_u32(c);
        p = sg_cursor_take(c, n);
        if (p == NULL)
            return "cut off";
        *(i == 0 ? &t->name : &t->features) = sg_arena_text(r->arena, p, n);
    }
    return NULL;
}

/* The processors that the machine code was made for. What is wrong in here is not wrong for Julia's reader.
 */
static void targets(struct reader *r, const unsigned char *p, uint32_t n) {
    struct sg_cursor c = {.data = p, .size = n};
    uint32_t count = sg_cursor_u32(&c);
    for (uint32_t i = 0; i < count && r->ji->targets_what == NULL; i++) {
        struct sg_julia_target t = {0};
        r->ji->targets_what = one_target(r, &c, &t);
        struct sg_julia_target *grown =
            sg_arena_more(r->arena, r->ji->targets, r->ji->n_targets, sizeof *grown);
        if (grown == NULL)
            return;
        r->ji->targets = grown;
        if (r->ji->targets_what == NULL)
            grown[r->ji->n_targets++] = t;
    }
    if (c.eof && r->ji->targets_what == NULL)
        r->ji->targets_what = "cut off";
}

void sg_ji_lists(struct sg_arena *arena, struct sg_cursor *c, unsigned layout, struct sg_ji *ji) {
    struct reader r = {arena, c, layout, ji};
    const unsigned char *p;
    uint32_t n;
    if (layout & SG_JI_HAS_FLAGS)
        ji->flags = sg_cursor_u8(c);
    if (!good(&r) || !modules(&r, false, &ji->provides, &ji->n_provides))
        return;
    for (size_t i = 0; i < ji->n_provides; i++)
        ji->provides[i].build_hi = ji->checksum;
    uint64_t total = sg_cursor_u64(c);
    size_t from = c->at;
    if (!good(&r) || !dependencies(&r) || ((layout & SG_JI_HAS_PREFERENCES) != 0 && !preferences(&r)))
        return;
    ji->source_at = sg_cursor_u64(c);
    if (!good(&r))
        return;
    if (c->at - from != total) {
        fail(&r, SG_JI_CORRUPT, "header of cache file appears to be corrupt");
        return;
    }
    if (!modules(&r, (layout & SG_JI_HAS_FLAGS) != 0, &ji->required, &ji->n_required))
        return;
    if ((layout & SG_JI_HAS_FLAGS) == 0 || !bytes(&r, &p, &n) || n == 0)
        return;
    ji->native = true;
    targets(&r, p, n);
}
