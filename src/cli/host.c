/* saggar host: what this processor can run, in the names that compilers use. */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/out.h"
#include "cli/tiers.h"
#include "isa/features.h"
#include "isa/host.h"

static const char *names;
static bool json;

static const struct cli_option options[] = {
    {0, "check", "NAMES", CLI_TEXT, &names,
     "whether code that is compiled for this target runs here: x86-64-v3, haswell, native,-avx512f, "
     "avx2,fma"},
    {0, "json", NULL, CLI_FLAG, &json, "one object"},
    CLI_OPTIONS_END,
};

static const struct cli_exit exits[] = {
    {0, "done; with --check: it runs here"},
    {1, "with --check: a feature is missing"},
    {2, "wrong usage, or a name that is not known (in SAGGAR_TARGET too)"},
    CLI_EXIT_OUTPUT,
    CLI_EXITS_END,
};

/*
 * What code for the target can need: a model's or level's features less those that compilers use only where
 * the source asks for them; one that is named in `text` itself is asked for.
 */
static void reduce(const char *text, saggar_features *set) {
    saggar_arch arch = saggar_host_arch();
    saggar_features asked = *set, base, named = {{0}};
    saggar_features_parse(arch, NULL, NULL, &base, NULL);
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        saggar_features one;
        char *item = out_format("+%.*s", (int)(n - (*text == '+')), text + (*text == '+')), *unknown = NULL;
        if (saggar_features_parse(arch, NULL, item, &one, &unknown) == SAGGAR_OK && unknown == NULL) {
            sg_features_remove(&one, &base);
            sg_features_add(&named, &one);
        }
        free(unknown);
        free(item);
        text += n + (text[n] == ',');
    }
    sg_features_keep(&asked, &named);
    saggar_features_required(arch, SAGGAR_PROVENANCE_ASSUMED, &asked);
    saggar_features_required(arch, SAGGAR_PROVENANCE_DECLARED, set);
    sg_features_add(set, &asked);
}

/* A target as --check takes it: bare feature names are allowed too. */
static int parse(const char *text, saggar_features *out) {
    char why[200];
    saggar_features host;
    saggar_arch arch = saggar_host_arch();
    sg_host_all(&host);
    int err = sg_target_parse(arch, text, &host, out, why, sizeof why);
    if (err == SAGGAR_OK)
        return 0;
    char *plus = out_format("+%s", text), *unknown = NULL;
    for (char *p = plus; (p = strchr(p, ',')) != NULL; p++) {
        if (p[1] != '+' && p[1] != '-') {
            size_t at = (size_t)(p - plus) + 1;
            char *more = out_format("%.*s+%s", (int)at, plus, plus + at);
            free(plus);
            plus = more;
            p = plus + at - 1;
        }
    }
    err = saggar_features_parse(arch, NULL, plus, out, &unknown);
    int status = err == SAGGAR_OK && unknown == NULL ? 0 : cli_fail("--check %s: %s", text, why);
    free(unknown);
    free(plus);
    return status;
}

static char *names_of(const saggar_features *set) {
    char *text = NULL;
    if (saggar_features_names(saggar_host_arch(), set, &text) != SAGGAR_OK)
        text = out_strdup("");
    return text;
}

static void put_list(struct sg_json *j, const char *key, const char *list) {
    sg_json_key(j, key);
    sg_json_array(j);
    while (*list != '\0') {
        size_t n = strcspn(list, ",");
        if (n > 0)
            sg_json_bytes(j, list, n);
        list += n + (list[n] == ',');
    }
    sg_json_array_end(j);
}

static int print(const saggar_features *active, const saggar_features *missing) {
    unsigned more;
    uint8_t arch = (uint8_t)saggar_host_arch();
    const char *level = cli_level(arch, active, &more), *note = sg_host_note();
    char *have = names_of(active), *lack = names_of(missing);
    int status = names != NULL && !sg_features_empty(missing) ? SG_EXIT_FOUND : 0;
    if (json) {
        struct sg_json j;
        sg_json_file(&j, stdout, 2);
        sg_json_object(&j);
        sg_json_key(&j, "architecture");
        sg_json_str(&j, cli_arch_name(arch));
        sg_json_key(&j, "level");
        sg_json_str(&j, level);
        put_list(&j, "features", have);
        sg_json_key(&j, "ceiling");
        sg_json_str(&j, note[0] != '\0' ? note : NULL);
        if (names != NULL) {
            sg_json_key(&j, "check");
            sg_json_str(&j, names);
            sg_json_key(&j, "runs");
            sg_json_bool(&j, status == 0);
            put_list(&j, "missing", lack);
        }
        sg_json_object_end(&j);
        out_json_end(&j);
    } else if (names != NULL) {
        out_put(stdout, names);
        printf(": %s%s\n", status == 0 ? "runs here" : "does not run here; missing: ", lack);
    } else {
        printf("architecture  %s\nlevel         %s\nfeatures      %s\n", cli_arch_name(arch), level, have);
        if (note[0] != '\0') {
            fputs("ceiling       ", stdout);
            out_put(stdout, note);
            putchar('\n');
        }
    }
    free(have);
    free(lack);
    return status;
}

static int run(const struct cli_args *args) {
    saggar_features active, wanted = {{0}};
    (void)args;
    char why[200];
    if (cli_target_wrong(why, sizeof why))
        return cli_fail("SAGGAR_TARGET=%s: %s; programs switch the cache off: unset it, or mend it",
                        getenv("SAGGAR_TARGET"), why);
    if (saggar_host_features(&active) != SAGGAR_OK)
        return cli_fail("this processor is not known; nothing is cached here");
    if (names != NULL) {
        int status = parse(names, &wanted);
        if (status != 0)
            return status;
        reduce(names, &wanted);
    }
    sg_features_remove(&wanted, &active);
    return out_finish(print(&active, &wanted));
}

const struct cli_command cli_host = {
    .name = "host",
    .usage = "[OPTIONS]",
    .summary = "say what this processor can run",
    .about =
        "Prints the architecture, the highest level, and the features that the processor has and the "
        "operating "
        "system enables, below the ceiling SAGGAR_TARGET if that is set. An entry is served where all the "
        "features that it needs are here; names of processors decide nothing.",
    .example = "saggar host --check x86-64-v3",
    .options = options,
    .exits = exits,
    .run = run,
};
