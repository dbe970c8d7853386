/*
 * Makes stores and trails for the tests of the command: no compiler is needed.
 *
 *     make_store SCRIPT
 *
 * A script is lines of a verb and name=value fields, separated by tabs; `\xNN` in a value is a byte. The
 * recipe, and so the key, is made of module, name, source, reads (a:1,b:2) and sig.
 *
 *     entry  store= module= name= source= reads= sig= cpu= features= size= variant= seconds= dep= object=FILE bodies=
 *     many   store= count= module=    entries f0, f1, ...
 *     event  type= flags= reason= value= group= detail= nokey=1 norecipe=1 (and what makes the key)
 *     close                           ends the trail in good order
 *     say    text=   fail status=   sleep ms=   burn ms=
 *     exec   path= script=            becomes another program
 *     map    path= ms=                maps a file and keeps it while it burns ms
 *     fork   ms=                      a child that burns ms and ends; waited for
 *     orphan ms=                      a child of a child that sleeps; not waited for
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "saggar/saggar.h"

#define NEED(x)                                                                                              \
    do {                                                                                                     \
        int need_ = (x);                                                                                     \
        if (need_ != 0) {                                                                                    \
            fprintf(stderr, "make_store: line %u: %s: %d\n", line_number, #x, need_);                        \
            exit(99);                                                                                        \
        }                                                                                                    \
    } while (0)

static unsigned line_number;
static char *fields[32];
static size_t n_fields;

/* The value of a field of the current line. */
static const char *get(const char *name, const char *missing) {
    size_t n = strlen(name);
    for (size_t i = 0; i < n_fields; i++) {
        if (strncmp(fields[i], name, n) == 0 && fields[i][n] == '=')
            return fields[i] + n + 1;
    }
    return missing;
}

static long number(const char *name, long missing) {
    const char *text = get(name, NULL);
    return text == NULL ? missing : strtol(text, NULL, 0);
}

static void unescape(char *text) {
    char *to = text;
    for (char *p = text; *p != '\0'; p++) {
        if (p[0] == '\\' && p[1] == 'x' && p[2] != '\0' && p[3] != '\0') {
            char digits[3] = {p[2], p[3], '\0'};
            *to++ = (char)strtol(digits, NULL, 16);
            p += 3;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

/* ---- Recipes ---- */

static void add_field(saggar_recipe *r, const char *name, saggar_encoder *e) {
    const uint8_t *bytes;
    size_t size;
    NEED(saggar_encoder_bytes(e, &bytes, &size));
    NEED(saggar_recipe_field(r, name, bytes, size));
    saggar_encoder_reset(e);
}

static void put_text(saggar_encoder *e, const char *text) {
    NEED(saggar_encode_text(e, text, strlen(text)));
}

/* What the function reads: a record of (name, digest) pairs, as an adapter has it. */
static void put_source(saggar_encoder *e) {
    char *reads = strdup(get("reads", ""));
    NEED(saggar_encode_record(e, "source"));
    NEED(saggar_encode_name(e, "code"));
    put_text(e, get("source", "x"));
    NEED(saggar_encode_name(e, "reads"));
    NEED(saggar_encode_begin(e, SAGGAR_TUPLE));
    for (char *item = strtok(reads, ","); item != NULL; item = strtok(NULL, ",")) {
        uint8_t digest[32];
        char *colon = strchr(item, ':');
        memset(digest, colon == NULL ? 0 : colon[1], sizeof digest);
        if (colon != NULL)
            *colon = '\0';
        NEED(saggar_encode_begin(e, SAGGAR_TUPLE));
        put_text(e, item);
        NEED(saggar_encode_digest(e, "value", digest));
        NEED(saggar_encode_end(e));
    }
    NEED(saggar_encode_end(e));
    NEED(saggar_encode_end(e));
    free(reads);
}

static saggar_recipe *recipe(const char *name) {
    saggar_encoder *e;
    saggar_recipe *r;
    NEED(saggar_encoder_new(&e));
    NEED(saggar_recipe_new(&r));
    NEED(saggar_encode_begin(e, SAGGAR_TUPLE));
    put_text(e, "test");
    NEED(saggar_encode_int(e, 1));
    NEED(saggar_encode_end(e));
    add_field(r, "adapter", e);
    put_text(e, get("compiler", "cc 1.0"));
    add_field(r, "compiler", e);
    NEED(saggar_encode_begin(e, SAGGAR_MAP));
    put_text(e, "fastmath");
    NEED(saggar_encode_bool(e, number("fastmath", 0) != 0));
    NEED(saggar_encode_end(e));
    add_field(r, "options", e);
    put_source(e);
    add_field(r, "source", e);
    NEED(saggar_encode_record(e, "function"));
    NEED(saggar_encode_name(e, "module"));
    put_text(e, get("module", "m"));
    NEED(saggar_encode_name(e, "name"));
    put_text(e, name);
    NEED(saggar_encode_end(e));
    add_field(r, "function", e);
    put_text(e, get("sig", "int64"));
    add_field(r, "signature", e);
    saggar_encoder_free(e);
    return r;
}

/* ---- Verbs ---- */

static void depend(saggar_draft *d) {
    char *dep = strdup(get("dep", "")), *version = strchr(dep, ':');
    if (version != NULL) {
        *version = '\0';
        NEED(saggar_draft_depend_distribution(d, dep, version + 1));
    }
    free(dep);
}

/* The bytes of the object part, malloc'd: a file's, or made up. */
static char *object_part(size_t *n) {
    *n = (size_t)number("size", 100);
    char *part = malloc(get("object", NULL) != NULL ? 1u << 20 : *n + 1);
    for (size_t i = 0; i < *n; i++)
        part[i] = (char)(i * 7 + (size_t)number("variant", 0));
    if (get("object", NULL) != NULL) {
        FILE *f = fopen(get("object", NULL), "rb");
        *n = f == NULL ? 0 : fread(part, 1, 1u << 20, f);
        NEED(f == NULL || fclose(f));
    }
    return part;
}

static void publish(saggar_cache *cache, const char *name) {
    uint8_t key[32];
    const uint8_t *bytes;
    size_t size, n;
    saggar_draft *d;
    saggar_features set;
    char *part = object_part(&n);
    saggar_recipe *r = recipe(name);
    NEED(saggar_recipe_finish(r, key, &bytes, &size));
    NEED(saggar_draft_new(bytes, size, &d));
    NEED(saggar_draft_group(d, "test", get("module", "m"), name));
    NEED(saggar_draft_require_arch(d, saggar_host_arch(), "linux-gnu"));
    if (get("cpu", NULL) != NULL || get("features", NULL) != NULL) {
        NEED(saggar_features_parse(saggar_host_arch(), get("cpu", NULL), get("features", NULL), &set, NULL));
        NEED(saggar_draft_require_features(d, SAGGAR_PROVENANCE_DECLARED, &set, NULL));
    }
    NEED(saggar_draft_require_symbol(d, "memcpy"));
    NEED(saggar_draft_require_library(d, "GLIBC", "2.34"));
    depend(d);
    NEED(saggar_draft_part(d, "object", part, n));
    if (get("bodies", NULL) != NULL)
        NEED(saggar_draft_part(d, "bodies", get("bodies", NULL), strlen(get("bodies", NULL))));
    NEED(saggar_draft_part(d, "meta", "m", 1));
    NEED(saggar_draft_seconds(d, strtod(get("seconds", "0.5"), NULL)));
    NEED(saggar_cache_publish(cache, d, NULL));
    saggar_draft_free(d);
    saggar_recipe_free(r);
    free(part);
}

static saggar_cache *open_store(void) {
    saggar_cache_options o;
    saggar_cache *cache;
    saggar_cache_options_init(&o);
    o.store = get("store", NULL);
    o.images = "";
    NEED(saggar_cache_open(&o, &cache));
    return cache;
}

static void many(void) {
    saggar_cache *cache = open_store();
    char name[32];
    for (long i = 0; i < number("count", 1); i++) {
        snprintf(name, sizeof name, "f%ld", i);
        publish(cache, name);
    }
    saggar_cache_close(cache);
}

static void entry(void) {
    saggar_cache *cache = open_store();
    publish(cache, get("name", "f"));
    saggar_cache_close(cache);
}

static void event(void) {
    static const char *const types[] = {"",          "adapter",    "hit",   "miss",   "compiled",
                                        "published", "not-stored", "fault", "waited", "random-name"};
    uint8_t key[32];
    const uint8_t *bytes;
    size_t size;
    saggar_trail_event e = {0};
    saggar_recipe *r = recipe(get("name", "f"));
    NEED(saggar_recipe_finish(r, key, &bytes, &size));
    char group[512];
    snprintf(group, sizeof group, "test:%s:%s", get("module", "m"), get("name", "f"));
    for (int i = 1; i < 10; i++) {
        if (strcmp(types[i], get("type", "")) == 0)
            e.event = (saggar_event)i;
    }
    for (int i = 0; i < 64; i++) {
        if (strcmp(saggar_reason_word((saggar_reason)i), get("reason", "none")) == 0)
            e.reason = (saggar_reason)i;
    }
    e.flags = (uint32_t)number("flags", 0);
    e.value = (uint64_t)number("value", 0);
    e.key = number("nokey", 0) != 0 ? NULL : key;
    e.group = get("group", group);
    e.detail = get("detail", "");
    if (e.event == SAGGAR_EVENT_MISS && number("norecipe", 0) == 0) {
        e.blob = bytes;
        e.blob_size = size;
    }
    saggar_trail_record(&e);
    saggar_recipe_free(r);
}

/* Becomes another program. */
static void become(void) {
    char *argv[] = {strdup(get("path", "")), strdup(get("script", "")), NULL};
    execv(argv[0], argv);
    NEED(-1);
}

static void burn(long ms) {
    clock_t end = clock() + ms * (CLOCKS_PER_SEC / 1000);
    while (clock() < end)
        continue;
}

static void nap(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void map(void) {
    struct stat st;
    int fd = open(get("path", ""), O_RDONLY);
    NEED(fd < 0 || fstat(fd, &st) != 0);
    NEED(mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
    close(fd);
    burn(number("ms", 0));
}

static void child(bool wait_for_it) {
    pid_t pid = fork();
    NEED(pid < 0);
    if (pid != 0) {
        waitpid(pid, NULL, 0);
        return;
    }
    if (!wait_for_it && fork() != 0)
        _exit(0);
    if (wait_for_it)
        burn(number("ms", 0));
    else
        nap(number("ms", 0));
    _exit(0);
}

static void run_line(char *line) {
    n_fields = 0;
    line[strcspn(line, "\n")] = '\0';
    char *verb = strtok(line, "\t");
    if (verb == NULL || verb[0] == '#')
        return;
    for (char *f; n_fields < 32 && (f = strtok(NULL, "\t")) != NULL;) {
        unescape(f);
        fields[n_fields++] = f;
    }
    if (strcmp(verb, "entry") == 0)
        entry();
    else if (strcmp(verb, "many") == 0)
        many();
    else if (strcmp(verb, "event") == 0)
        event();
    else if (strcmp(verb, "close") == 0)
        saggar_trail_close();
    else if (strcmp(verb, "say") == 0)
        puts(get("text", ""));
    else if (strcmp(verb, "fail") == 0)
        exit((int)number("status", 1));
    else if (strcmp(verb, "sleep") == 0)
        nap(number("ms", 0));
    else if (strcmp(verb, "burn") == 0)
        burn(number("ms", 0));
    else if (strcmp(verb, "exec") == 0)
        become();
    else if (strcmp(verb, "map") == 0)
        map();
    else if (strcmp(verb, "fork") == 0 || strcmp(verb, "orphan") == 0)
        child(verb[0] == 'f');
    else
        NEED(-1);
    fflush(stdout);
}

int main(int argc, char **argv) {
    char *line = NULL;
    size_t room = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        fputs("usage: make_store SCRIPT\n", stderr);
        return 98;
    }
    while (getline(&line, &room, file) >= 0) {
        line_number++;
        run_line(line);
    }
    free(line);
    fclose(file);
    return 0;
}
