/*
 * What the caller's options and the environment ask for; cache.h. Read by secure_getenv: in a program that
 * runs with somebody else's rights nothing of the environment counts.
 *
 * A HOME that belongs to another user (sudo without -H) needs no care here: a store below it is not trusted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"

#define DEFAULT_WAIT_MS 60000
#define MAX_WAIT_S 1000000

void saggar_cache_options_init(saggar_cache_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->wait_ms = -1;
}

/* NULL where the variable is not set or empty. */
static const char *variable(const char *name) {
    const char *value = secure_getenv(name);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool read_mode(enum sg_mode *out) {
    const char *value = variable("SAGGAR_MODE");
    if (value == NULL || strcmp(value, "use") == 0)
        *out = SG_MODE_USE;
    else if (strcmp(value, "off") == 0)
        *out = SG_MODE_OFF;
    else if (strcmp(value, "require") == 0)
        *out = SG_MODE_REQUIRE;
    else
        return false;
    return true;
}

/* Seconds, with up to three decimals. */
static bool read_wait(int64_t *out) {
    const char *p = variable("SAGGAR_WAIT");
    int64_t ms = 0;
    *out = DEFAULT_WAIT_MS;
    if (p == NULL)
        return true;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        ms = ms * 10 + (*p - '0');
        if (ms > MAX_WAIT_S)
            return false;
    }
    ms *= 1000;
    if (*p == '.') {
        p++;
        for (int64_t unit = 100; *p >= '0' && *p <= '9' && unit > 0; unit /= 10)
            ms += unit * (*p++ - '0');
    }
    *out = ms;
    return *p == '\0';
}

static bool read_search(bool *out) {
    const char *value = variable("SAGGAR_IMAGE_PATH");
    *out = value == NULL;
    return value == NULL || strcmp(value, "none") == 0;
}

static int join(const char *base, const char *rest, char **out) {
    return asprintf(out, "%s%s", base, rest) < 0 ? SAGGAR_ENOMEM : SAGGAR_OK;
}

/* A program may change its directory while the cache is open. */
static int absolute(const char *path, char **out) {
    char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    if (here == NULL)
        return join(path, "", out);
    int err = asprintf(out, "%s/%s", here, path) < 0 ? SAGGAR_ENOMEM : SAGGAR_OK;
    free(here);
    return err;
}

static int default_store(struct sg_settings *s) {
    const char *base = variable("XDG_CACHE_HOME"), *rest = "/saggar";
    if (base == NULL || base[0] != '/') {
        base = variable("HOME");
        rest = "/.cache/saggar";
    }
    if (base == NULL || base[0] != '/') {
        s->store_note = "no store: HOME is not set";
        return SAGGAR_OK;
    }
    return join(base, rest, &s->store);
}

static int copy(const char *text, char **out) {
    *out = text == NULL ? NULL : strdup(text);
    return text != NULL && *out == NULL ? SAGGAR_ENOMEM : SAGGAR_OK;
}

/* The first directory is the store; an empty one stands for the default. */
static int read_list(const char *list, struct sg_settings *s) {
    size_t n = strcspn(list, ":");
    char *first = strndup(list, n);
    if (first == NULL)
        return SAGGAR_ENOMEM;
    int err = n > 0 ? absolute(first, &s->store) : default_store(s);
    free(first);
    if (err == SAGGAR_OK && list[n] == ':' && list[n + 1] != '\0')
        err = copy(list + n + 1, &s->more);
    return err;
}

static int read_store(const saggar_cache_options *options, struct sg_settings *s) {
    const char *list = variable("SAGGAR_DIR");
    if (options->store != NULL)
        return options->store[0] == '\0' ? SAGGAR_OK : absolute(options->store, &s->store);
    return list != NULL ? read_list(list, s) : default_store(s);
}

const char *saggar_cache_options_wrong(const saggar_cache_options *options) {
    struct sg_settings settings;
    const char *what = NULL;
    if (options == NULL)
        return "options";
    if (sg_settings_init(options, &settings, &what) == SAGGAR_OK)
        sg_settings_free(&settings);
    return what;
}

int sg_settings_init(const saggar_cache_options *options, struct sg_settings *out, const char **what) {
    struct sg_settings s = {.mode = SG_MODE_USE};
    const char *bad = NULL;
    if (options->struct_size != sizeof *options || options->wait_ms < -1)
        bad = "options";
    for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++) {
        if (options->reserved[i] != NULL)
            bad = "options";
    }
    if (!read_mode(&s.mode))
        bad = "SAGGAR_MODE";
    if (!read_wait(&s.wait_ms))
        bad = "SAGGAR_WAIT";
    if (!read_search(&s.search))
        bad = "SAGGAR_IMAGE_PATH";
    if (what != NULL)
        *what = bad;
    if (bad != NULL)
        return SAGGAR_EINVAL;
    if (options->wait_ms >= 0)
        s.wait_ms = options->wait_ms;
    int err = copy(options->images != NULL ? options->images : variable("SAGGAR_IMAGE"), &s.images);
    if (err == SAGGAR_OK)
        err = read_store(options, &s);
    if (err != SAGGAR_OK) {
        sg_settings_free(&s);
        return err;
    }
    *out = s;
    return SAGGAR_OK;
}

void sg_settings_free(struct sg_settings *s) {
    free(s->images);
    free(s->store);
    free(s->more);
    s->images = s->store = s->more = NULL;
}
