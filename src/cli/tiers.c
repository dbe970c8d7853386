/* The tiers that a command works on; see tiers.h. */
#include "cli/tiers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "cli/out.h"
#include "image/image.h"
#include "isa/features.h"
#include "isa/host.h"
#include "key/value.h"
#include "store/store.h"
#include "trust/trust.h"

bool cli_target_wrong(char *why, size_t size) {
    const char *target = secure_getenv("SAGGAR_TARGET");
    saggar_features host, ceiling;
    if (target == NULL || target[0] == '\0')
        return false;
    sg_host_all(&host);
    return sg_target_parse(saggar_host_arch(), target, &host, &ceiling, why, size) != SAGGAR_OK;
}

/* What sg_settings_init() does not look at, and programs do not take as it is either. */
static int check_environment(void) {
    char why[200];
    const char *size = getenv("SAGGAR_SIZE");
    uint64_t bytes;
    if (cli_target_wrong(why, sizeof why))
        return cli_fail("SAGGAR_TARGET=%s: %s; programs switch the cache off: unset it, or see `saggar host`",
                        getenv("SAGGAR_TARGET"), why);
    if (size != NULL && size[0] != '\0' && sg_size_parse(size, &bytes) != SAGGAR_OK)
        return cli_fail("SAGGAR_SIZE=%s: not a size; try 500M or 5G, or unset it", size);
    return 0;
}

int cli_settings(const char *store, const char *images, struct sg_settings *out) {
    saggar_cache_options options;
    const char *what = NULL;
    int wrong = check_environment();
    if (wrong != 0)
        return wrong;
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

/* What is to be said of a tier that is off: why, and the way out; malloc'd. */
static char *off_text(const char *path, const char *note, bool image) {
    struct sg_trust_verdict verdict;
    int err = sg_trust_check(path, NULL, &verdict);
    if ((err != SAGGAR_OK && err != SAGGAR_ENOTFOUND) || verdict.trusted)
        return out_strdup(note);
    char *dir = cli_absolute(path), *slash = strrchr(dir, '/');
    if (image && slash != NULL && slash != dir)
        *slash = '\0';
    char *text =
        out_format("untrusted: %s; who can write there runs code as you: make it yours alone, or set "
                   "SAGGAR_TRUST=%s",
                   note, dir);
    free(dir);
    return text;
}

static int usable(struct cli_source *source) {
    if (source->tier->active)
        return 0;
    char *text = off_text(source->path, source->tier->note, source->image);
    int status = cli_fail("%s: %s", source->path, text);
    free(text);
    return status;
}

void cli_note_off(const struct sg_slot *slot) {
    bool image = strcmp(slot->kind, "image") == 0;
    const char *path = slot->tier != NULL ? slot->tier->path : slot->path;
    char *text = slot->tier != NULL ? off_text(path, slot->tier->note, image) : out_strdup(slot->note);
    cli_note("%s %s%sis off: %s", image ? "the image" : "the store", path, path[0] != '\0' ? " " : "", text);
    free(text);
}

int cli_tiers_usable(const char *store, const char *images) {
    struct sg_settings settings;
    struct sg_stack stack;
    int status = cli_stack(store, images, &settings, &stack);
    if (status != 0)
        return status;
    for (unsigned i = 0; i < stack.n; i++) {
        const struct sg_slot *slot = &stack.slots[i];
        if (slot->tier != NULL && slot->tier->active)
            continue;
        cli_note_off(slot);
        if (store != NULL && strcmp(slot->kind, "store") == 0) /* the one that was asked for */
            status = SG_EXIT_USAGE;
    }
    sg_stack_close(&stack);
    sg_settings_free(&settings);
    return status;
}

const char *cli_trouble(int error) {
    switch (error) {
    case SAGGAR_EUNTRUSTED:
        return "untrusted: the file belongs to somebody else or others can write to it; SAGGAR_TRUST=DIR "
               "overrides";
    case SAGGAR_EVERSION:
        return "a newer Saggar is needed: it was made by one";
    case SAGGAR_EUNKNOWN:
        return "a newer Saggar is needed: it holds a record that must be understood and is not known";
    case SAGGAR_EINVAL:
        return saggar_reason_text(SAGGAR_REASON_WRONG_KEY);
    default:
        return saggar_strerror(error);
    }
}

static bool is_store(const char *path) {
    char *v1 = out_format("%s/v1", path), *tag = out_format("%s/CACHEDIR.TAG", path);
    bool found = access(v1, F_OK) == 0 || access(tag, F_OK) == 0;
    free(v1);
    free(tag);
    return found;
}

bool cli_is_entry(const char *path) {
    char magic[4] = "";
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    bool is = fd >= 0 && pread(fd, magic, sizeof magic, 0) == 4 && memcmp(magic, "\x89SGE", 4) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* One line instead of one for each folder. */
static int readable(const char *store) {
    char *v1 = out_format("%s/v1", store);
    int status = 0;
    if (faccessat(AT_FDCWD, v1, R_OK | X_OK, AT_EACCESS) != 0 && errno != ENOENT)
        status = cli_fail("%s: %s", v1, strerror(errno));
    free(v1);
    return status;
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
        if (cli_is_entry(path))
            status = cli_fail("%s: an entry, neither an image nor a store; see `saggar show %s`", path, path);
        else if ((err = sg_image_open(path, &out->tier)) != SAGGAR_OK)
            status = cli_fail("%s: %s", path, saggar_strerror(err));
    }
    if (status == 0)
        status = usable(out);
    if (status == 0 && !out->image)
        status = readable(path);
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
    if (!slot->tier->active && access(path, F_OK) != 0) {
        char *text = off_text(path, slot->tier->note, false);
        int status = cli_fail("%s: %s", path, text);
        free(text);
        return status;
    }
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
        else if (all)
            cli_note_off(slot);
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

/* NULL: damaged. */
static char *target(const struct sg_entry_view *view) {
    struct sg_requirements r;
    unsigned more;
    if (sg_entry_requirements(view, SG_FAST, &r) != SAGGAR_OK)
        return NULL;
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

bool cli_entry_read(const struct sg_entry_view *view, const uint8_t *annex, size_t annex_size,
                    const char *tier, struct cli_entry *out) {
    *out = (struct cli_entry){.size = view->size, .seconds = -1};
    memcpy(out->key, view->key, SAGGAR_KEY_SIZE);
    memcpy(out->identity, view->identity, 32);
    int err = sg_entry_group_text(view, &out->group);
    if (err != SAGGAR_OK)
        out->group = out_strdup("");
    out->target = target(view);
    bool good = out->target != NULL && (err == SAGGAR_OK || err == SAGGAR_ENOTFOUND);
    if (out->target == NULL)
        out->target = out_strdup("?");
    out->tier = out_strdup(tier);
    if (annex != NULL)
        read_annex(annex, annex_size, out);
    return good;
}

void cli_entry_free(struct cli_entry *entry) {
    free(entry->group);
    free(entry->target);
    free(entry->tier);
}
