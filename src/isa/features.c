/*
 * Feature sets: names into sets with the meaning that LLVM gives to a CPU model and a feature string, sets
 * into names, and the comparisons. Knows nothing but the tables; the host is asked only for "native".
 */
#include "isa/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "isa/host.h"
#include "isa/table.h"

enum { TEXT_MAX = 64 * 1024 };

bool saggar_features_subset(const saggar_features *needed, const saggar_features *active) {
    uint64_t lacks = 0;
    for (int i = 0; i < 4; i++) {
        lacks |= needed->word[i] & ~active->word[i];
    }
    return lacks == 0;
}

void sg_features_needed(saggar_arch arch, bool may_ask, saggar_features *set) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    if (table == NULL) {
        return;
    }
    sg_features_remove(set, &table->hint_mask);
    sg_features_remove(set, &table->os_mask);
    if (!may_ask) {
        sg_features_remove(set, &table->explicit_mask);
    }
}

void sg_features_scanned(saggar_arch arch, saggar_features *set) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    if (table != NULL) {
        sg_features_remove(set, &table->hint_mask);
    }
}

void saggar_features_required(saggar_arch arch, saggar_provenance provenance, saggar_features *set) {
    switch (provenance) {
    case SAGGAR_PROVENANCE_NONE:
    case SAGGAR_PROVENANCE_SCANNED:
        sg_features_scanned(arch, set);
        break;
    case SAGGAR_PROVENANCE_DECLARED:
        sg_features_needed(arch, false, set);
        break;
    case SAGGAR_PROVENANCE_ASSUMED:
        sg_features_needed(arch, true, set);
        break;
    }
}

unsigned sg_features_width(saggar_arch arch, const saggar_features *set) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    unsigned width = 0;
    for (unsigned bit = 0; table != NULL && bit < table->n_features; bit++) {
        if (sg_features_has(set, bit) && table->features[bit].width > width) {
            width = table->features[bit].width;
        }
    }
    return width;
}

unsigned sg_features_count(const saggar_features *set) {
    int n = 0;
    for (int i = 0; i < 4; i++) {
        n += __builtin_popcountll(set->word[i]);
    }
    return (unsigned)n;
}

const char *sg_features_level(saggar_arch arch, const saggar_features *set) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    const char *best = NULL;
    for (size_t i = 0; table != NULL && i < table->n_levels; i++) {
        saggar_features level = table->levels[i].set;
        sg_features_keep(&level, &table->isa_mask);
        if (!saggar_features_subset(&level, set)) {
            break;
        }
        best = table->levels[i].name;
    }
    return best;
}

const char *sg_feature_name(saggar_arch arch, unsigned bit) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    return table != NULL && bit < table->n_features ? table->features[bit].name : NULL;
}

/* The name of a bit, or "bit201" for one that a newer Saggar gave to something. */
static const char *name_of(saggar_arch arch, unsigned bit, char spare[16]) {
    const char *name = sg_feature_name(arch, bit);
    if (name == NULL) {
        snprintf(spare, 16, "bit%u", bit);
        name = spare;
    }
    return name;
}

int saggar_features_names(saggar_arch arch, const saggar_features *set, char **out) {
    if (set == NULL || out == NULL) {
        return SAGGAR_EINVAL;
    }
    struct sg_buf buf;
    char spare[16];
    sg_buf_init(&buf, TEXT_MAX);
    for (unsigned bit = 0; bit < 256; bit++) {
        if (sg_features_has(set, bit)) {
            const char *name = name_of(arch, bit, spare);
            if (buf.len > 0) {
                sg_buf_add(&buf, ",", 1);
            }
            sg_buf_add(&buf, name, strlen(name));
        }
    }
    sg_buf_u8(&buf, 0);
    char *text = (char *)sg_buf_steal(&buf, NULL);
    if (text == NULL) {
        sg_buf_free(&buf);
        return SAGGAR_ENOMEM;
    }
    *out = text;
    return SAGGAR_OK;
}

char *sg_features_print(saggar_arch arch, const saggar_features *set, char *out, size_t size) {
    size_t n = 0;
    char spare[16];
    out[0] = '\0';
    for (unsigned bit = 0; bit < 256; bit++) {
        if (!sg_features_has(set, bit)) {
            continue;
        }
        const char *name = name_of(arch, bit, spare);
        size_t need = strlen(name) + (n > 0);
        if (n + need + sizeof ",..." > size) {
            snprintf(out + n, size - n, "%s", n > 0 ? ",..." : "...");
            break;
        }
        snprintf(out + n, size - n, "%s%s", n > 0 ? "," : "", name);
        n += need;
    }
    return out;
}

static void apply(const struct sg_isa_table *table, char sign, int32_t value, saggar_features *set) {
    if (value == SG_ISA_DROPPED) {
        return;
    }
    if (value < 0) {
        /* A group without its members' names: "-crypto" takes nothing away from LLVM's "+aes" either. */
        const saggar_features *group = &table->groups[-2 - value];
        for (unsigned bit = 0; sign == '+' && bit < table->n_features; bit++) {
            if (sg_features_has(group, bit)) {
                sg_features_add(set, &table->features[bit].implies);
            }
        }
    } else if (sign == '+') {
        sg_features_add(set, &table->features[value].implies);
    } else {
        sg_features_remove(set, &table->features[value].above);
    }
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

/* The next item of a comma-separated list, trimmed; false at its end. */
static bool next_item(const char **text, const char **item, size_t *size) {
    const char *p = *text;
    if (p == NULL) {
        return false;
    }
    const char *end = strchrnul(p, ',');
    *text = *end == ',' ? end + 1 : NULL;
    while (p < end && is_space(*p)) {
        p++;
    }
    while (end > p && is_space(end[-1])) {
        end--;
    }
    *item = p;
    *size = (size_t)(end - p);
    return true;
}

/* Applies a feature string to the set; unknown "+" names go to `unknown`, comma-separated. */
static int apply_list(const struct sg_isa_table *table, const char *text, saggar_features *set,
                      struct sg_buf *unknown) {
    const char *item;
    size_t size;
    while (next_item(&text, &item, &size)) {
        char sign = '+';
        if (size == 0) {
            continue; /* LLVM too takes ",," and a comma at the end */
        }
        if (*item == '+' || *item == '-') {
            sign = *item++;
            size--;
        }
        if (size == 0) {
            return SAGGAR_EINVAL;
        }
        for (size_t i = 0; i < size; i++) {
            if (item[i] <= ' ' || item[i] >= 0x7f || item[i] == '+') {
                return SAGGAR_EINVAL;
            }
        }
        int32_t value;
        if (sg_isa_find_feature(table, item, size, &value)) {
            apply(table, sign, value, set);
        } else if (sign == '+') {
            if (unknown->len > 0) {
                sg_buf_add(unknown, ",", 1);
            }
            sg_buf_add(unknown, item, size);
        }
    }
    return SAGGAR_OK;
}

/* The set of a model; the baseline for none. */
static int model_set(const struct sg_isa_table *table, const char *name, size_t size,
                     const saggar_features *native, saggar_features *out) {
    if (size == 0) {
        *out = table->levels[0].set;
        return SAGGAR_OK;
    }
    if (size == 6 && strncasecmp(name, "native", 6) == 0) {
        if (native == NULL) {
            return SAGGAR_ENOTFOUND;
        }
        *out = *native;
        return SAGGAR_OK;
    }
    const struct sg_isa_model *model = sg_isa_find_model(table, name, size);
    if (model == NULL) {
        return SAGGAR_ENOTFOUND;
    }
    *out = model->set;
    return SAGGAR_OK;
}

int saggar_features_parse(saggar_arch arch, const char *cpu, const char *features, saggar_features *out,
                          char **unknown) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    if (out == NULL || (features != NULL && strlen(features) > TEXT_MAX)) {
        return SAGGAR_EINVAL;
    }
    if (table == NULL) {
        return SAGGAR_EUNSUPPORTED;
    }
    saggar_features set, host;
    sg_host_all(&host);
    int err =
        model_set(table, cpu, cpu != NULL ? strlen(cpu) : 0, arch == saggar_host_arch() ? &host : NULL, &set);
    if (err != SAGGAR_OK) {
        return err;
    }
    struct sg_buf buf;
    sg_buf_init(&buf, 2 * TEXT_MAX);
    err = apply_list(table, features, &set, &buf);
    char *text = NULL;
    if (err == SAGGAR_OK && buf.len > 0) {
        sg_buf_u8(&buf, 0);
        text = (char *)sg_buf_steal(&buf, NULL);
        err = text != NULL ? SAGGAR_OK : SAGGAR_ENOMEM;
    } else if (err == SAGGAR_OK && buf.err != SAGGAR_OK) {
        err = buf.err;
    }
    sg_buf_free(&buf);
    if (err != SAGGAR_OK) {
        return err;
    }
    *out = set;
    if (unknown != NULL) {
        *unknown = text;
    } else {
        free(text);
    }
    return SAGGAR_OK;
}

int sg_target_parse(saggar_arch arch, const char *text, const saggar_features *native, saggar_features *out,
                    char *why, size_t size) {
    const struct sg_isa_table *table = sg_isa_table(arch);
    const char *rest = text, *model = "";
    bool named = false;
    size_t model_size = 0;
    saggar_features set;
    if (table == NULL) {
        snprintf(why, size, "processors of this kind are not known");
        return SAGGAR_EUNSUPPORTED;
    }
    while (is_space(*rest)) {
        rest++;
    }
    if (*rest == '-') {
        model = "native";
        model_size = 6;
    } else if (*rest != '+') {
        named = next_item(&rest, &model, &model_size);
    }
    int err = model_set(table, model, model_size, native, &set);
    if (err != SAGGAR_OK || (named && model_size == 0)) {
        snprintf(why, size, "no processor or level is called '%.*s'",
                 (int)(model_size < 80 ? model_size : 80), model);
        return SAGGAR_ENOTFOUND;
    }
    struct sg_buf unknown;
    sg_buf_init(&unknown, TEXT_MAX);
    err = apply_list(table, rest, &set, &unknown);
    if (err != SAGGAR_OK) {
        snprintf(why, size, "the list of features is malformed");
    } else if (unknown.len > 0 || unknown.err != SAGGAR_OK) {
        snprintf(why, size, "no feature is called '%.*s'", (int)(unknown.len < 80 ? unknown.len : 80),
                 unknown.len > 0 ? (const char *)unknown.data : "");
        err = SAGGAR_ENOTFOUND;
    }
    sg_buf_free(&unknown);
    if (err == SAGGAR_OK) {
        *out = set;
    }
    return err;
}
