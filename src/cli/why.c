/*
 * saggar why: for each miss, what differs from the nearest entry that there is.
 *
 * A miss carries its recipe in the trail; the entries of the same function in all tiers carry theirs. The
 * misses log of ordinary runs is read where there is no trail.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "cli/args.h"
#include "cli/diff.h"
#include "cli/events.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/proc.h"
#include "cli/tiers.h"

static const char *trail, *store;
static struct cli_list images;
static bool json, last, log_only;

static const struct cli_option options[] = {
    {0, "last", NULL, CLI_FLAG, &last, "the last run, warm or verify (this is the default if there is one)"},
    {0, "log", NULL, CLI_FLAG, &log_only, "the misses of ordinary runs, from the state directory"},
    {0, "trail", "DIR", CLI_TEXT, &trail, "the trails in this directory"},
    {0, "image", "FILE", CLI_LIST, &images, "compare with this image too; may be given more than once"},
    {0, "store", "DIR", CLI_TEXT, &store, "compare with this store, instead of the one of the environment"},
    {0, "json", NULL, CLI_FLAG, &json, "a list of objects"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done; also where nothing missed"},
    {2, "wrong usage, or there is no trail"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

/* An entry of a function that missed. */
struct known {
    char *group, *tier;
    uint8_t *recipe;
    size_t size;
    uint8_t key[SAGGAR_KEY_SIZE];
    int64_t published; /* 0: not known */
};

/* A miss, as often as it occurred. */
struct asked {
    const struct cli_miss *miss;
    size_t times;
};

struct why {
    struct cli_events events;
    struct asked *asked;
    size_t n;
    struct known *known;
    size_t entries;
    const char *tier;
    const struct cli_args *patterns;
    struct sg_json json;
};

static bool wanted(const struct why *w, const char *group) {
    struct cli_list list = {(const char **)(uintptr_t)w->patterns->names, w->patterns->n};
    return cli_matches(&list, group);
}

static bool same_miss(const struct cli_miss *a, const struct cli_miss *b) {
    if (a->event != b->event || a->reason != b->reason || a->has_key != b->has_key ||
        strcmp(a->group, b->group) != 0)
        return false;
    return a->has_key ? memcmp(a->key, b->key, SAGGAR_KEY_SIZE) == 0 : strcmp(a->detail, b->detail) == 0;
}

/* A table of what was seen already, open addressing over a digest of what makes two misses one. */
static void collect(struct why *w) {
    size_t room = 16;
    while (room < 4 * w->events.misses)
        room *= 2;
    size_t *slots = out_alloc(room * sizeof *slots);
    for (size_t i = 0; i < w->events.misses; i++) {
        const struct cli_miss *m = &w->events.miss[i];
        if (!wanted(w, m->group))
            continue;
        size_t at = (m->has_key ? sg_xxh64(m->key, sizeof m->key) : sg_xxh64(m->group, strlen(m->group))) &
                    (room - 1);
        while (slots[at] != 0 && !same_miss(w->asked[slots[at] - 1].miss, m))
            at = (at + 1) & (room - 1);
        if (slots[at] == 0) {
            struct asked *a = out_grow(&w->asked, &w->n, sizeof *a);
            a->miss = m;
            slots[at] = w->n;
        }
        w->asked[slots[at] - 1].times++;
        if (w->asked[slots[at] - 1].miss->recipe == NULL)
            w->asked[slots[at] - 1].miss = m;
    }
    free(slots);
}

/* ---- The entries to compare with ---- */

static int by_group(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct groups {
    struct why *why;
    const char **name; /* sorted */
    size_t n;
};

static int on_entry(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex,
                    size_t annex_size, const char *file) {
    struct groups *g = context;
    struct sg_section section;
    const uint8_t *recipe;
    uint8_t *owned;
    size_t size;
    char *group;
    (void)file;
    if (error != SAGGAR_OK || sg_entry_group_text(view, &group) != SAGGAR_OK)
        return 0;
    const char *name = group;
    if (bsearch(&name, g->name, g->n, sizeof *g->name, by_group) == NULL ||
        sg_entry_find(view, SG_SECTION_RECIPE, NULL, &section) != SAGGAR_OK ||
        sg_entry_bytes(view, &section, SG_FULL, &recipe, &size, &owned) != SAGGAR_OK) {
        free(group);
        return 0;
    }
    struct known *k = out_grow(&g->why->known, &g->why->entries, sizeof *k);
    k->group = group;
    k->tier = out_strdup(g->why->tier);
    k->recipe = out_alloc(size);
    memcpy(k->recipe, recipe, size);
    k->size = size;
    memcpy(k->key, view->key, SAGGAR_KEY_SIZE);
    struct cli_entry e;
    cli_entry_read(view, annex, annex_size, "", &e);
    k->published = e.published;
    cli_entry_free(&e);
    free(owned);
    return 0;
}

static int load_entries(struct why *w) {
    struct sg_settings settings;
    struct sg_stack stack;
    struct groups g = {.why = w};
    char *list = NULL;
    int status = cli_image_list(&images, &list);
    if (status == 0)
        status = cli_stack(store, list, &settings, &stack);
    free(list);
    if (status != 0)
        return status;
    for (size_t i = 0; i < w->n; i++) {
        if (w->asked[i].miss->recipe != NULL) {
            const char **slot = out_grow(&g.name, &g.n, sizeof *g.name);
            *slot = w->asked[i].miss->group;
        }
    }
    if (g.n > 1)
        qsort(g.name, g.n, sizeof *g.name, by_group);
    for (unsigned i = 0; i < stack.n && g.n > 0; i++) {
        struct sg_tier *tier = stack.slots[i].tier;
        if (tier == NULL || !tier->active)
            continue;
        w->tier = tier->path;
        tier->ops->each(tier, on_entry, &g);
    }
    free(g.name);
    sg_stack_close(&stack);
    sg_settings_free(&settings);
    return 0;
}

/* The nearest entry that was there then: NULL if there was none of that function. `*there`: the wanted one
 * has been stored since. */
static const struct known *nearest(const struct why *w, const struct cli_miss *m, struct diff *best,
                                   bool *there) {
    const struct known *found = NULL;
    *there = false;
    *best = (struct diff){0};
    for (size_t i = 0; i < w->entries && m->recipe != NULL; i++) {
        struct diff d;
        if (strcmp(w->known[i].group, m->group) != 0)
            continue;
        if (m->has_key && memcmp(w->known[i].key, m->key, SAGGAR_KEY_SIZE) == 0) {
            *there = true;
            continue;
        }
        if (w->known[i].published > (int64_t)(m->time / 1000000000))
            continue;
        if (!diff_recipes(w->known[i].recipe, w->known[i].size, m->recipe, m->recipe_size, &d))
            continue;
        if (found != NULL && diff_compare(&d, best) >= 0) {
            diff_free(&d);
            continue;
        }
        diff_free(best);
        *best = d;
        found = &w->known[i];
    }
    return found;
}

/* ---- Output ---- */

static void print_miss(const struct why *w, const struct asked *a) {
    struct diff d;
    char digits[OUT_SHORT];
    bool there;
    const struct cli_miss *m = a->miss;
    const struct known *k = nearest(w, m, &d, &there);
    fputs(out_color(stdout, "bold"), stdout);
    out_put(stdout, m->group[0] != '\0' ? m->group : "(no function)");
    fputs(out_color(stdout, ""), stdout);
    if (a->times > 1)
        printf(" (%zu times)", a->times);
    printf("\n  %s: %s",
           m->event == SAGGAR_EVENT_MISS    ? "missed"
           : m->event == SAGGAR_EVENT_FAULT ? "fault"
                                            : "not stored",
           m->reason != SAGGAR_REASON_NONE ? saggar_reason_text(m->reason) : "");
    if (m->detail[0] != '\0') {
        fputs(m->reason != SAGGAR_REASON_NONE ? ": " : "", stdout);
        out_put(stdout, m->detail);
    }
    putchar('\n');
    bool looked = m->event == SAGGAR_EVENT_MISS && m->recipe != NULL && m->reason == SAGGAR_REASON_ABSENT;
    if (k != NULL && looked) {
        printf("  nearest entry %s in ", out_short(digits, k->key));
        out_put(stdout, k->tier);
        putchar('\n');
        for (size_t i = 0; i < d.n; i++)
            printf("    %s: %s (entry) != %s (now)\n", d.item[i].path, d.item[i].entry, d.item[i].now);
        if (d.cut)
            puts("    and more");
    } else if (looked) {
        puts(there ? "  no tier had an entry of this function; one has been stored since"
                   : "  no tier has an entry of this function");
    }
    if (k != NULL && looked && there)
        puts("  (an entry for what was asked has been stored since)");
    diff_free(&d);
}

static void json_miss(struct why *w, const struct asked *a) {
    struct sg_json *j = &w->json;
    struct diff d;
    bool there;
    const struct cli_miss *m = a->miss;
    const struct known *k = nearest(w, m, &d, &there);
    sg_json_object(j);
    sg_json_key(j, "function");
    sg_json_str(j, m->group);
    sg_json_key(j, "event");
    sg_json_str(j, m->event == SAGGAR_EVENT_MISS    ? "miss"
                   : m->event == SAGGAR_EVENT_FAULT ? "fault"
                                                    : "not-stored");
    sg_json_key(j, "reason");
    sg_json_str(j, saggar_reason_word(m->reason));
    sg_json_key(j, "detail");
    sg_json_str(j, m->detail);
    sg_json_key(j, "key");
    if (m->has_key)
        sg_json_hex(j, m->key, SAGGAR_KEY_SIZE);
    else
        sg_json_null(j);
    sg_json_key(j, "times");
    sg_json_uint(j, a->times);
    sg_json_key(j, "stored_since");
    sg_json_bool(j, there);
    sg_json_key(j, "nearest");
    if (k == NULL) {
        sg_json_null(j);
    } else {
        sg_json_object(j);
        sg_json_key(j, "key");
        sg_json_hex(j, k->key, SAGGAR_KEY_SIZE);
        sg_json_key(j, "tier");
        sg_json_str(j, k->tier);
        sg_json_key(j, "differs");
        sg_json_array(j);
        for (size_t i = 0; i < d.n; i++) {
            sg_json_object(j);
            sg_json_key(j, "path");
            sg_json_str(j, d.item[i].path);
            sg_json_key(j, "entry");
            sg_json_str(j, d.item[i].entry);
            sg_json_key(j, "now");
            sg_json_str(j, d.item[i].now);
            sg_json_object_end(j);
        }
        sg_json_array_end(j);
        sg_json_object_end(j);
    }
    sg_json_object_end(j);
    diff_free(&d);
}

/* Where the misses come from; `*words` says it to people, malloc'd. */
static int load(struct why *w, char **words) {
    char path[PATH_MAX];
    w->events.want_misses = true;
    *words = NULL;
    if (trail != NULL) {
        int err = cli_events_load(trail, &w->events);
        if (err != SAGGAR_OK)
            return cli_fail("--trail %s: %s", trail, saggar_strerror(err));
        if (w->events.files == 0)
            return cli_fail("--trail %s: no trail in it; record one with saggar run --trail %s -- COMMAND",
                            trail, trail);
        *words = out_strdup(trail);
        return 0;
    }
    char *dir = log_only ? NULL : cli_kept_last();
    if (dir != NULL) {
        char *about = cli_kept_about(dir), *command = strchr(about, '\n');
        command = command != NULL ? strchr(command + 1, '\n') : NULL;
        int err = cli_events_load(dir, &w->events);
        *words = out_format("saggar %.*s: %.*s", (int)strcspn(about, "\n"), about,
                            command != NULL ? (int)strcspn(command + 1, "\n") : 0,
                            command != NULL ? command + 1 : "");
        free(about);
        free(dir);
        if (err == SAGGAR_OK)
            return 0;
    }
    if (last)
        return cli_fail("no trail is kept; run `saggar run -- COMMAND` first");
    sg_trail_log_path(path, sizeof path);
    free(*words);
    *words = out_strdup(path);
    char *older = out_format("%s.1", path);
    cli_events_load_log(older, &w->events);
    int err = cli_events_load_log(path, &w->events);
    free(older);
    if (err != SAGGAR_OK && w->events.misses == 0)
        return cli_fail("no trail is kept and no miss was recorded; run `saggar run -- COMMAND` first");
    return 0;
}

static void free_why(struct why *w) {
    for (size_t i = 0; i < w->entries; i++) {
        free(w->known[i].group);
        free(w->known[i].tier);
        free(w->known[i].recipe);
    }
    free(w->known);
    free(w->asked);
    cli_events_free(&w->events);
}

static int run(const struct cli_args *args) {
    struct why w = {.patterns = args};
    char *words = NULL;
    int status = load(&w, &words);
    if (status == 0) {
        collect(&w);
        status = load_entries(&w);
    }
    if (status == 0 && json) {
        sg_json_file(&w.json, stdout, 2);
        sg_json_array(&w.json);
        for (size_t i = 0; i < w.n; i++)
            json_miss(&w, &w.asked[i]);
        sg_json_array_end(&w.json);
        status = out_json_end(&w.json);
    } else if (status == 0) {
        printf("%s", out_color(stdout, "dim"));
        out_put(stdout, words);
        printf("%s\n", out_color(stdout, ""));
        for (size_t i = 0; i < w.n; i++)
            print_miss(&w, &w.asked[i]);
        if (w.n == 0)
            puts(args->n > 0 && w.events.misses > 0 ? "nothing that matches missed" : "nothing missed");
    }
    free(words);
    free_why(&w);
    return out_finish(status);
}

const struct cli_command cli_why = {
    .name = "why",
    .usage = "[OPTIONS] [PATTERN]...",
    .summary = "say why something was compiled",
    .about = "For each miss of the last `saggar run`, `warm` or `verify` (else of ordinary runs): the "
             "function, the "
             "reason, and what differs from the nearest entry of the same function in all tiers, with both "
             "values. "
             "The nearest one is the one with the fewest differences, the same signature first.",
    .example = "saggar why 'numba:mypackage.*'",
    .options = options,
    .exits = exits,
    .max = SIZE_MAX,
    .run = run,
};
