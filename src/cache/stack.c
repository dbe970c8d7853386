/*
 * Which tiers there are: the images asked for, then those found in share/saggar below each prefix, then the
 * store, then further stores that are only read.
 *
 * Each image file is taken once, by device and inode, where it is met first. Tiers that cannot be used stay
 * in the list, switched off, so that `doctor` can say why.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "image/image.h"
#include "store/store.h"

enum { MAX_SLOTS = 1024, PATH_SIZE = 4096 };

static struct sg_slot *new_slot(struct sg_stack *stack) {
    if (stack->n >= MAX_SLOTS)
        return NULL;
    struct sg_slot *more = realloc(stack->slots, (stack->n + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    stack->slots = more;
    memset(&more[stack->n], 0, sizeof *more);
    return &more[stack->n];
}

static bool known(const struct sg_stack *stack, uint64_t dev, uint64_t ino) {
    for (unsigned i = 0; i < stack->n; i++) {
        const struct sg_slot *slot = &stack->slots[i];
        if (slot->exists && slot->ino == ino && slot->dev == dev)
            return true;
    }
    return false;
}

/* An image; `prefix`: where it was found, NULL if it was named. */
static int add_image_under(struct sg_stack *stack, const char *path, const char *prefix) {
    struct stat st;
    memset(&st, 0, sizeof st);
    bool exists = stat(path, &st) == 0;
    if ((exists && known(stack, st.st_dev, st.st_ino)) || stack->n >= MAX_SLOTS)
        return SAGGAR_OK;
    struct sg_slot *slot = new_slot(stack);
    if (slot == NULL)
        return SAGGAR_ENOMEM;
    int err = sg_image_open_under(path, prefix, &slot->tier);
    if (err != SAGGAR_OK)
        return err;
    slot->kind = slot->tier->ops->kind;
    slot->exists = exists;
    slot->dev = st.st_dev;
    slot->ino = st.st_ino;
    stack->n++;
    return SAGGAR_OK;
}

static int add_image(struct sg_stack *stack, const char *path) {
    return add_image_under(stack, path, NULL);
}

/* What is asked of a store's directory is asked by the store, which does not wait for ever. */
static void take_place(struct sg_slot *slot) {
    slot->exists = sg_store_place(slot->tier, &slot->dev, &slot->ino);
}

/* A further store is only read: its directory is not made where there is none. */
static int add_further(struct sg_stack *stack, const char *path) {
    if (stack->n >= MAX_SLOTS)
        return SAGGAR_OK;
    struct sg_slot *slot = new_slot(stack);
    if (slot == NULL)
        return SAGGAR_ENOMEM;
    int err = sg_store_open(path, true, &slot->tier);
    if (err != SAGGAR_OK)
        return err;
    take_place(slot);
    if (slot->exists && known(stack, slot->dev, slot->ino)) {
        slot->tier->ops->close(slot->tier);
        return SAGGAR_OK;
    }
    slot->kind = "store";
    stack->n++;
    return SAGGAR_OK;
}

/* Calls `each` for each member of a colon-separated list. */
static int split(const char *list, int (*each)(struct sg_stack *stack, const char *item),
                 struct sg_stack *stack) {
    int err = SAGGAR_OK;
    while (list != NULL && *list != '\0' && err == SAGGAR_OK) {
        size_t n = strcspn(list, ":");
        char *item = strndup(list, n);
        if (item == NULL)
            return SAGGAR_ENOMEM;
        if (n > 0)
            err = each(stack, item);
        free(item);
        list += list[n] == ':' ? n + 1 : n;
    }
    return err;
}

static int is_image(const struct dirent *entry) {
    size_t n = strlen(entry->d_name);
    return n > 7 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 7, ".saggar") == 0;
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_prefix(struct sg_stack *stack, const char *prefix) {
    char dir[PATH_SIZE], path[PATH_SIZE + 260];
    struct dirent **names = NULL;
    int err = SAGGAR_OK;
    if (snprintf(dir, sizeof dir, "%s/share/saggar", strcmp(prefix, "/") == 0 ? "" : prefix) >=
        (int)sizeof dir)
        return SAGGAR_OK;
    int n = scandir(dir, &names, is_image, by_name);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        if (err == SAGGAR_OK)
            err = add_image_under(stack, path, prefix);
        free(names[i]);
    }
    free(names);
    return err;
}

/* Two components above the executable: /opt/x for /opt/x/bin/program. */
static int add_own_prefix(struct sg_stack *stack) {
    char path[PATH_SIZE];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return SAGGAR_OK;
    path[n] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return SAGGAR_OK;
        *slash = '\0';
    }
    return path[0] == '\0' ? SAGGAR_OK : add_prefix(stack, path);
}

static int add_store(struct sg_stack *stack, const struct sg_settings *settings, bool read_only) {
    if (settings->store == NULL && settings->store_note == NULL)
        return SAGGAR_OK;
    struct sg_slot *slot = new_slot(stack);
    if (slot == NULL)
        return SAGGAR_ENOMEM;
    slot->kind = "store";
    if (settings->store_note != NULL) {
        slot->note = settings->store_note;
        slot->path = strdup(settings->store == NULL ? "" : settings->store);
        stack->n += slot->path != NULL;
        return slot->path == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
    }
    int err = sg_store_open(settings->store, read_only, &slot->tier);
    if (err != SAGGAR_OK)
        return err;
    stack->n++;
    take_place(slot);
    slot->exists = true; /* it is made when something is published */
    if (slot->tier->active)
        stack->store = slot->tier;
    return SAGGAR_OK;
}

int sg_stack_open(const struct sg_settings *settings, const char *prefix, bool read_only,
                  struct sg_stack *out) {
    struct sg_stack stack = {NULL, 0, NULL};
    int err = split(settings->images, add_image, &stack);
    if (err == SAGGAR_OK && settings->search) {
        err = split(prefix, add_prefix, &stack);
        if (err == SAGGAR_OK)
            err = add_own_prefix(&stack);
        if (err == SAGGAR_OK)
            err = add_prefix(&stack, "/usr/local");
        if (err == SAGGAR_OK)
            err = add_prefix(&stack, "/usr");
    }
    if (err == SAGGAR_OK)
        err = add_store(&stack, settings, read_only);
    if (err == SAGGAR_OK)
        err = split(settings->more, add_further, &stack);
    if (err != SAGGAR_OK) {
        sg_stack_close(&stack);
        return err;
    }
    *out = stack;
    return SAGGAR_OK;
}

void sg_stack_close(struct sg_stack *stack) {
    for (unsigned i = 0; i < stack->n; i++) {
        struct sg_slot *slot = &stack->slots[i];
        if (slot->tier != NULL)
            slot->tier->ops->close(slot->tier);
        free(slot->path);
    }
    free(stack->slots);
    *stack = (struct sg_stack){NULL, 0, NULL};
}
