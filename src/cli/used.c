/* Which keys the trails name as used; see used.h. */
#include "cli/used.h"

#include <stdlib.h>
#include <string.h>

#include "cli/events.h"
#include "cli/out.h"

static int by_key(const void *a, const void *b) {
    return memcmp(a, b, SAGGAR_KEY_SIZE);
}

void cli_keys_add(struct cli_keys *keys, const uint8_t *key) {
    uint8_t *slot = out_grow(&keys->key, &keys->n, sizeof *keys->key);
    memcpy(slot, key, SAGGAR_KEY_SIZE);
}

void cli_keys_sort(struct cli_keys *keys) {
    size_t n = 0;
    if (keys->n > 1)
        qsort(keys->key, keys->n, sizeof *keys->key, by_key);
    for (size_t i = 0; i < keys->n; i++) {
        if (n == 0 || memcmp(keys->key[n - 1], keys->key[i], SAGGAR_KEY_SIZE) != 0)
            memmove(keys->key[n++], keys->key[i], SAGGAR_KEY_SIZE);
    }
    keys->n = n;
}

bool cli_keys_have(const struct cli_keys *keys, const uint8_t *key) {
    return keys->n > 0 && bsearch(key, keys->key, keys->n, sizeof *keys->key, by_key) != NULL;
}

void cli_keys_free(struct cli_keys *keys) {
    free(keys->key);
    *keys = (struct cli_keys){NULL, 0};
}

/*
 * One process. The events of what is nested come before the outer function's own `compiled`, and its
 * `published` comes right after that.
 */
struct reading {
    struct cli_keys *used;
    struct cli_keys inner; /* nested, since the last outer function */
    char *outer;           /* the function that was compiled last and may yet be published; NULL: none */
    struct cli_keys held;  /* what was nested in it */
    uint32_t pid;
    uint64_t start;
};

static void clear(struct cli_keys *keys) {
    cli_keys_free(keys);
}

static void take(struct cli_keys *to, struct cli_keys *from) {
    for (size_t i = 0; i < from->n; i++)
        cli_keys_add(to, from->key[i]);
    clear(from);
}

/* The outer function is done with: it was not stored, so what it calls is asked for again. */
static void give_up(struct reading *r) {
    take(r->used, &r->held);
    free(r->outer);
    r->outer = NULL;
}

static void on_outer(struct reading *r, const struct sg_trail_record *e) {
    if (e->event == SAGGAR_EVENT_COMPILED) {
        give_up(r);
        r->outer = out_strdup(e->group);
        take(&r->held, &r->inner);
    } else if (e->event == SAGGAR_EVENT_PUBLISHED && r->outer != NULL && strcmp(r->outer, e->group) == 0) {
        clear(&r->held);
        give_up(r);
    } else if (e->event == SAGGAR_EVENT_MISS) {
        give_up(r);
        take(r->used, &r->inner); /* of one whose compilation failed */
    }
}

static bool is_used(const struct sg_trail_record *e) {
    return e->event == SAGGAR_EVENT_HIT || e->event == SAGGAR_EVENT_COMPILED ||
           e->event == SAGGAR_EVENT_PUBLISHED;
}

static int on_event(void *context, const struct sg_trail_process *process, const struct sg_trail_record *e) {
    struct reading *r = context;
    (void)process;
    bool nested = (e->flags & SAGGAR_FLAG_NESTED) != 0;
    if (is_used(e) && e->key != NULL && (e->flags & SAGGAR_FLAG_USED) != 0)
        cli_keys_add(r->used, e->key);
    else if (is_used(e) && e->key != NULL && nested)
        cli_keys_add(&r->inner, e->key);
    if (!nested)
        on_outer(r, e);
    return 0;
}

static void end_process(struct reading *r) {
    give_up(r);
    take(r->used, &r->inner);
}

static int on_file(void *context, int error, const struct sg_trail_process *process) {
    struct reading *r = context;
    if (error == SAGGAR_OK && (process->pid != r->pid || process->start != r->start)) {
        end_process(r);
        r->pid = process->pid;
        r->start = process->start;
    }
    return 0;
}

int cli_used_read(const char *dir, struct cli_keys *keys) {
    struct reading r = {.used = keys};
    struct sg_trail_visitor visitor = {&r, on_file, on_event, NULL};
    int err = cli_trails_read(dir, &visitor);
    end_process(&r);
    return err;
}
