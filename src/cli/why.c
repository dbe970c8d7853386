/*
 * saggar why: why was it compiled?
 *
 * Takes the misses of the last trail (or of --trail, or of the misses log) and, for each, the nearest entry of the same
 * function in all tiers: the one whose recipe differs in the fewest places, an equal signature first.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/diff.h"
#include "cli/events.h"
#include "cli/kept.h"
#include "cli/out.h"
#include "cli/tiers.h"

static const char *trail, *store;
static struct cli_list images;
static bool json;

static const struct cli_option options[] = {
    {0, "trail", "DIR", CLI_TEXT, &trail, "the trail to read (the newest one)"},
    {0, "image", "FILE", CLI_LIST, &images, "an image to compare with, besides those in use"},
    {0, "store", "DIR", CLI_TEXT, &store, "the store (SAGGAR_DIR, or its default)"},
    {0, "json", NULL, CLI_FLAG, &json, "print JSON"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "nothing was missed"},
    {1, "something was; each miss was printed with its reason"},
    {2, "the command line is wrong, or there is no trail"},
    CLI_EXITS_END,
};

/* An entry whose function was missed. */
struct known {
    char *group;
    uint8_t key[SAGGAR_KEY_SIZE];
    uint8_t *recipe;
    size_t size;
};

struct search {
    const struct cli_events *events;
    struct known *known;
    size_t n;
};

static bool missed(const struct cli_events *events, const char *group) {
    for (size_t i = 0; i < events->misses; i++) {
        if (events->miss[i].recipe != NULL && strcmp(events->miss[i].group, group) == 0)
            return true;
    }
    return false;
}

/* Keeps the recipe of an entry of a function that was missed. */
static int keep(void *context, int error, const struct sg_entry_view *view, const uint8_t *annex, size_t annex_size,
                const char *name) {
    struct search *s = context;
    struct sg_section section;
    const uint8_t *recipe;
    uint8_t *owned = NULL;
    size_t size;
    char *group;
    (void)error, (void)annex, (void)annex_size, (void)name;
    if (view == NULL || sg_entry_group_text(view, &group) != SAGGAR_OK)
        return 0;
    if (missed(s->events, group) && sg_entry_find(view, SG_SECTION_RECIPE, NULL, &section) == SAGGAR_OK &&
        sg_entry_bytes(view, &section, SG_FAST, &recipe, &size, &owned) == SAGGAR_OK) {
        s->known = out_grow(s->known, &s->n, sizeof *s->known);
        struct known *k = &s->known[s->n - 1];
        k->group = group;
        group = NULL;
        memcpy(k->key, view->key, SAGGAR_KEY_SIZE);
        k->recipe = out_alloc(size > 0 ? size : 1);
        memcpy(k->recipe, recipe, size);
        k->size = size;
        free(owned);
    }
    free(group);
    return 0;
}

static int search_tiers(struct search *s) {
    struct sg_settings settings;
    struct sg_stack stack;
    int status = cli_stack(store, &images, &settings, &stack);
    if (status != 0)
        return status;
    for (unsigned i = 0; i < stack.n; i++) {
        struct sg_tier *tier = stack.slots[i].tier;
        if (tier != NULL && tier->active)
            tier->ops->each(tier, keep, s);
    }
    sg_stack_close(&stack);
    sg_settings_free(&settings);
    return 0;
}

/* The nearest entry of the miss's function under another key; false if there is none. */
static bool nearest(const struct search *s, const struct cli_miss *m, struct diff *best) {
    bool found = false;
    for (size_t i = 0; i < s->n; i++) {
        const struct known *k = &s->known[i];
        struct diff d;
        if (m->recipe == NULL || strcmp(k->group, m->group) != 0 || memcmp(k->key, m->key, SAGGAR_KEY_SIZE) == 0)
            continue;
        diff_recipes(k->recipe, k->size, m->recipe, m->recipe_size, &d);
        if (!found || d.weight < best->weight) {
            if (found)
                diff_free(best);
            *best = d;
            found = true;
        } else {
            diff_free(&d);
        }
    }
    return found;
}

/* True if another entry can tell more than the reason does. */
static bool compares(const struct cli_miss *m) {
    return m->reason == SAGGAR_REASON_ABSENT || m->reason == SAGGAR_REASON_NONE;
}

static void print_miss(const struct cli_miss *m, const struct diff *d) {
    char key[OUT_SHORT] = "";
    if (m->has_key)
        out_short(key, m->key);
    printf("%s", out_color(stdout, "bold"));
    out_put(stdout, m->group);
    printf("%s  %s\n  %s: %s", out_color(stdout, ""), key, saggar_reason_word(m->reason), saggar_reason_text(m->reason));
    if (m->detail[0] != '\0') {
        fputs(": ", stdout);
        out_put(stdout, m->detail);
    }
    putchar('\n');
    if (d == NULL) {
        if (compares(m))
            puts("  no tier has an entry of this function under another key: it was never compiled there");
        return;
    }
    puts("  differs from the nearest entry in:");
    for (size_t i = 0; i < d->n; i++) {
        printf("    ");
        out_put(stdout, d->item[i].path);
        printf("\n      entry  ");
        out_put(stdout, d->item[i].was != NULL ? d->item[i].was : "(not there)");
        printf("\n      now    ");
        out_put(stdout, d->item[i].now != NULL ? d->item[i].now : "(not there)");
        putchar('\n');
    }
}

static void json_miss(struct sg_json *out, const struct cli_miss *m, const struct diff *d) {
    sg_json_object(out);
    sg_json_key(out, "group");
    sg_json_str(out, m->group);
    sg_json_key(out, "key");
    if (m->has_key)
        sg_json_hex(out, m->key, SAGGAR_KEY_SIZE);
    else
        sg_json_null(out);
    sg_json_key(out, "reason");
    sg_json_str(out, saggar_reason_word(m->reason));
    sg_json_key(out, "detail");
    sg_json_str(out, m->detail);
    sg_json_key(out, "differs");
    sg_json_array(out);
    for (size_t i = 0; d != NULL && i < d->n; i++) {
        sg_json_object(out);
        sg_json_key(out, "field");
        sg_json_str(out, d->item[i].path);
        sg_json_key(out, "entry");
        sg_json_str(out, d->item[i].was);
        sg_json_key(out, "now");
        sg_json_str(out, d->item[i].now);
        sg_json_object_end(out);
    }
    sg_json_array_end(out);
    sg_json_object_end(out);
}

/* The first miss under a key, and what the pattern asks for. */
static bool wanted(const struct cli_events *events, size_t i, const char *pattern) {
    const struct cli_miss *m = &events->miss[i];
    if (m->event == SAGGAR_EVENT_FAULT || (pattern != NULL && strstr(m->group, pattern) == NULL && fnmatch(pattern, m->group, 0) != 0))
        return false;
    for (size_t k = 0; k < i; k++) {
        const struct cli_miss *other = &events->miss[k];
        if (other->event == m->event && other->has_key && m->has_key && memcmp(other->key, m->key, SAGGAR_KEY_SIZE) == 0)
            return false;
    }
    return true;
}

/* Reads the trail that was asked for, or the newest, or the log; 0, or an exit status after a message. */
static int load(struct cli_events *events) {
    char *last = trail == NULL ? cli_kept_last() : NULL, *state = cli_state_dir();
    const char *dir = trail != NULL ? trail : last;
    int status = SAGGAR_ENOTFOUND;
    events->want_misses = true;
    if (dir != NULL)
        status = cli_events_load(dir, events);
    if (status == SAGGAR_ENOTFOUND && trail == NULL && state != NULL) {
        char *log = out_format("%s/misses.log", state);
        status = cli_events_load_log(log, events);
        free(log);
    }
    if (status != SAGGAR_OK)
        status = trail != NULL ? cli_fail("%s: there is no trail", trail)
                               : cli_fail("there is no trail yet; run something with `saggar run -- COMMAND` first");
    free(last);
    free(state);
    return status;
}

static size_t print_all(const struct search *s, const char *pattern, struct sg_json *out) {
    size_t shown = 0;
    for (size_t i = 0; i < s->events->misses; i++) {
        const struct cli_miss *m = &s->events->miss[i];
        struct diff d;
        if (!wanted(s->events, i, pattern))
            continue;
        bool has = compares(m) && nearest(s, m, &d);
        if (out != NULL)
            json_miss(out, m, has ? &d : NULL);
        else
            print_miss(m, has ? &d : NULL);
        if (has)
            diff_free(&d);
        shown++;
    }
    return shown;
}

static int run(const struct cli_args *args) {
    struct cli_events events = {0};
    struct search s = {.events = &events};
    struct sg_json out;
    int status = load(&events);
    if (status == 0)
        status = search_tiers(&s);
    if (status == 0) {
        if (json) {
            sg_json_file(&out, stdout, 2);
            sg_json_array(&out);
        }
        size_t shown = print_all(&s, args->n > 0 ? args->names[0] : NULL, json ? &out : NULL);
        status = shown > 0 ? SG_EXIT_FOUND : SG_EXIT_OK;
        if (json) {
            sg_json_array_end(&out);
            if (out_json_end(&out) != 0)
                status = SG_EXIT_FOUND;
        } else if (shown == 0) {
            puts("nothing was missed");
        }
    }
    for (size_t i = 0; i < s.n; i++) {
        free(s.known[i].group);
        free(s.known[i].recipe);
    }
    free(s.known);
    cli_events_free(&events);
    return out_finish(status);
}

const struct cli_command cli_why = {
    .name = "why",
    .usage = "[PATTERN] [--trail DIR] [--json]",
    .summary = "explain why something was compiled",
    .about = "For each function that was asked for and not found: the reason, and which input differs from the nearest "
             "entry, with both values. PATTERN is a part of the function's name, or a shell pattern for all of it.\n\n"
             "Reads the trail of the last `saggar run`, `warm` or `verify`; without one, the misses that processes noted "
             "by themselves.",
    .example = "saggar why compute_event",
    .options = options,
    .exits = exits,
    .max = 1,
    .run = run,
};
