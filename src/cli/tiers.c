/* The tiers that a command works on; see tiers.h. */
#include "cli/tiers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "cli/out.h"
#include "image/image.h"
#include "isa/features.h"
#include "key/value.h"
#include "store/store.h"

int cli_settings(const char *store, const char *images, struct sg_settings *out) {
    saggar_cache_options options;
    const char *what = NULL;
    saggar_cache_options_init(&options);
    options.store = store;
    options.images = images;
    int err = sg_settings_init(&options, out, &what);
    if (err == SAGGAR_OK)
        return 0;
    const char *value = what != NULL ? getenv(what) : NULL;
    if (value != NULL)
        return cli_fail("%s=%s: unknown value; unset it, or see `man saggar`", what, value);
    return cli_fail("%s", saggar_strerror(err));
}

int cli_stack(const char *store, const char *images, struct sg_settings *settings, struct sg_stack *out) {
    int status = cli_settings(store, images, settings);
    if (status != 0)
        return status;
    int err = sg_stack_open(settings, NULL, true, out);
    if (err == SAGGAR_OK)
        return 0;
    sg_settings_free(settings);
    return cli_fail("the tiers could not be opened: %s", saggar_strerror(err));
}

/* ---- By name ---- */

static int usable(struct cli_source *source) {
    if (source->tier->active)
        return 0;
    int status = cli_fail("%s: %s%s", source->path, source->tier->note,
                          source->tier->trusted || strstr(source->tier->note, "writ") == NULL
                              ? ""
                              : "; make it yours alone (chmod go-w), or set SAGGAR_TRUST to its directory");
    return status;
}

static bool is_store(const char *path) {
    char *v1 = out_format("%s/v1", path), *tag = out_format("%s/CACHEDIR.TAG", path);
    bool found = access(v1, F_OK) == 0 || access(tag, F_OK) == 0;
    free(v1);
    free(tag);
    return found;
}

int cli_source_open(const char *path, struct cli_source *out) {
    struct stat st;
    *out = (struct cli_source){.path = out_strdup(path)};
    int status = 0, err;
    if (stat(path, &st) != 0) {
        status = cli_fail("%s: %s; give an image (*.saggar) or a store (a directory)", path, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        if (!is_store(path) && access(path, R_OK | X_OK) == 0)
            status = cli_fail("%s: not a store: it has no folder v1", path);
        else if ((err = sg_store_open(path, true, &out->tier)) != SAGGAR_OK)
            status = cli_fail("%s: %s", path, saggar_strerror(err));
    } else if (!S_ISREG(st.st_mode)) {
        status = cli_fail("%s: neither an image nor a store", path);
    } else {
        out->image = true;
        if ((err = sg_image_open(path, &out->tier)) != SAGGAR_OK)
            status = cli_fail("%s: %s", path, saggar_strerror(err));
    }
    if (status == 0)
        status = usable(out);
    if (status != 0)
        cli_source_close(out);
    return status;
}

bool cli_source_quiet(const char *path, struct cli_source *out) {
    *out = (struct cli_source){.image = true};
    if (sg_image_open(path, &out->tier) != SAGGAR_OK)
        return false;
    if (out->tier->active)
        return true;
    cli_source_close(out);
    return false;
}

void cli_source_close(struct cli_source *source) {
    if (source->tier != NULL)
        source->tier->ops->close(source->tier);
    free(source->path);
    *source = (struct cli_source){0};
}

static struct cli_source *append(struct cli_source **list, size_t *n) {
    return out_grow(list, n, sizeof **list);
}

/* A tier of the environment. A store that is not there yet is an empty one. */
static int add_default(const struct sg_slot *slot, struct cli_source **list, size_t *n) {
    const char *path = slot->tier != NULL ? slot->tier->path : slot->path;
    if (slot->tier == NULL)
        return cli_fail("%s", slot->note);
    if (strcmp(slot->kind, "store") == 0 && slot->tier->active && access(path, F_OK) != 0) {
        append(list, n)->path = out_strdup(path);
        return 0;
    }
    struct cli_source one;
    int status = cli_source_open(path, &one);
    if (status == 0)
        *append(list, n) = one;
    return status;
}

static int from_environment(const char *store, bool all, struct cli_source **list, size_t *n) {
    struct sg_settings settings;
    struct sg_stack stack;
    int status = cli_stack(store, NULL, &settings, &stack);
    if (status != 0)
        return status;
    bool found = false;
    for (unsigned i = 0; i < stack.n && status == 0; i++) {
        const struct sg_slot *slot = &stack.slots[i];
        bool is = strcmp(slot->kind, "store") == 0;
        if (is || (all && slot->tier != NULL && slot->tier->active))
            status = add_default(slot, list, n);
        found = found || is;
    }
    if (!found && !all && status == 0)
        status = cli_fail("there is no store; give --store DIR or a path");
    sg_stack_close(&stack);
    sg_settings_free(&settings);
    return status;
}

int cli_sources(const struct cli_args *args, const char *store, bool all, struct cli_source **out,
                size_t *n) {
    int status = 0;
    *out = NULL;
    *n = 0;
    for (size_t i = 0; i < args->n && status == 0; i++) {
        struct cli_source one;
        status = cli_source_open(args->names[i], &one);
        if (status == 0)
            *append(out, n) = one;
    }
    if (status == 0 && args->n == 0)
        status = from_environment(store, all, out, n);
    if (status != 0) {
        cli_sources_free(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return status;
}

void cli_sources_free(struct cli_source *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        cli_source_close(&list[i]);
    free(list);
}

int cli_image_list(const struct cli_list *images, char **out) {
    const char *set = getenv("SAGGAR_IMAGE");
    char *text = out_strdup("");
    int status = 0;
    for (size_t i = 0; i < images->n && status == 0; i++) {
        struct cli_source source;
        char *real = NULL;
        status = cli_source_open(images->item[i], &source);
        if (status != 0)
            break;
        if (!source.image)
            status =
                cli_fail("--image %s: a store, not an image; make one with saggar bake", images->item[i]);
        else if ((real = realpath(images->item[i], NULL)) == NULL)
            status = cli_fail("--image %s: %s", images->item[i], strerror(errno));
        else if (strchr(real, ':') != NULL)
            status = cli_fail("--image %s: a path with a colon cannot stand in SAGGAR_IMAGE", real);
        if (status == 0) {
            char *more = out_format("%s%s%s", text, text[0] != '\0' ? ":" : "", real);
            free(text);
            text = more;
        }
        free(real);
        cli_source_close(&source);
    }
    if (status == 0 && set != NULL && set[0] != '\0') {
        char *more = out_format("%s%s%s", text, text[0] != '\0' ? ":" : "", set);
        free(text);
        text = more;
    }
    *out = text;
    return status;
}

char *cli_absolute(const char *path) {
    char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *text = here == NULL ? out_strdup(path) : out_format("%s/%s", here, path);
    free(here);
    return text;
}

/* ---- What is said of an entry ---- */

const char *cli_arch_name(uint8_t arch) {
    switch (arch) {
    case SAGGAR_ARCH_ANY:
        return "any";
    case SAGGAR_ARCH_X86_64:
        return "x86_64";
    case SAGGAR_ARCH_AARCH64:
        return "aarch64";
    default:
        return "another architecture";
    }
}

const char *cli_level(uint8_t arch, const saggar_features *set, unsigned *more) {
    const char *level = sg_features_level((saggar_arch)arch, set);
    saggar_features base = {{0}}, rest = *set;
    if (level != NULL && saggar_features_parse((saggar_arch)arch, level, NULL, &base, NULL) == SAGGAR_OK)
        sg_features_remove(&rest, &base);
    *more = sg_features_count(&rest);
    return level != NULL ? level : cli_arch_name(arch);
}

static char *target(const struct sg_entry_view *view) {
    struct sg_requirements r;
    unsigned more;
    if (sg_entry_requirements(view, SG_FAST, &r) != SAGGAR_OK)
        return out_strdup("?");
    const char *level = cli_level(r.arch, &r.features, &more);
    char *text = more > 0 ? out_format("%s +%u", level, more) : out_strdup(level);
    sg_requirements_free(&r);
    return text;
}

static void read_annex(const uint8_t *annex, size_t size, struct cli_entry *out) {
    struct sg_cursor c;
    struct sg_token t;
    sg_cursor_init(&c, annex, size);
    for (uint32_t n = sg_value_ordered_map(&c); n > 0 && c.err == SAGGAR_OK; n--) {
        size_t length;
        const char *name = sg_value_text(&c, &length);
        struct sg_cursor value = c;
        sg_value_skip(&c, NULL);
        if (name == NULL || !sg_cursor_token(&value, &t))
            return;
        if (length == 7 && memcmp(name, "seconds", 7) == 0 && t.tag == SG_TAG_FLOAT)
            memcpy(&out->seconds, &t.word[0], sizeof out->seconds);
        if (length == 9 && memcmp(name, "published", 9) == 0 && t.tag == SG_TAG_INT)
            out->published = (int64_t)t.word[0];
    }
}

void cli_entry_read(const struct sg_entry_view *view, const uint8_t *annex, size_t annex_size,
                    const char *tier, struct cli_entry *out) {
    *out = (struct cli_entry){.size = view->size, .seconds = -1};
    memcpy(out->key, view->key, SAGGAR_KEY_SIZE);
    memcpy(out->identity, view->identity, 32);
    if (sg_entry_group_text(view, &out->group) != SAGGAR_OK)
        out->group = out_strdup("");
    out->target = target(view);
    out->tier = out_strdup(tier);
    if (annex != NULL)
        read_annex(annex, annex_size, out);
}

void cli_entry_free(struct cli_entry *entry) {
    free(entry->group);
    free(entry->target);
    free(entry->tier);
}
