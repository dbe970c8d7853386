/* See targets.h. */
#include "julia/targets.h"

#include <string.h>

#include "isa/features.h"
#include "isa/table.h"

struct word {
    uint32_t leaf, subleaf, reg;
};

/* Registers: 0 EAX to 3 EDX. Julia 1.12 has one word more, before the last one. */
static const struct word words_11[] = {
    {1, 0, 2},          {1, 0, 3},   {7, 0, 1},          {7, 0, 2}, {7, 0, 3},   {0x80000001, 0, 2},
    {0x80000001, 0, 3}, {0xd, 1, 0}, {0x80000008, 0, 1}, {7, 1, 0}, {0x14, 0, 1}};
static const struct word words_12[] = {
    {1, 0, 2},          {1, 0, 3},   {7, 0, 1},          {7, 0, 2}, {7, 0, 3}, {0x80000001, 0, 2},
    {0x80000001, 0, 3}, {0xd, 1, 0}, {0x80000008, 0, 1}, {7, 1, 0}, {7, 1, 1}, {0x14, 0, 1}};

/* Bits whose meaning for Julia is not the one that the table probes. */
static const struct {
    const char *name;
    unsigned word, bit;
} apart[] = {{"xsave", 0, 26}, {"rtm", 2, 11}, {"tsxldtrk", 4, 16}};
enum { APART = sizeof apart / sizeof apart[0] };

static unsigned words_of(int minor, const struct word **list) {
    *list = minor >= 12 ? words_12 : words_11;
    return minor >= 12 ? sizeof words_12 / sizeof words_12[0] : sizeof words_11 / sizeof words_11[0];
}

/* The word that a probe asks for; not where it asks what the system has switched on (OSXSAVE). */
static bool at(const struct sg_isa_probe *probe, const struct word *list, unsigned n, unsigned *word) {
    if (probe->leaf == 1 && probe->reg == 2 && probe->bit == 27)
        return false;
    for (*word = 0; *word < n && probe->least == 0; (*word)++) {
        const struct word *w = &list[*word];
        if (w->leaf == probe->leaf && w->subleaf == probe->subleaf && w->reg == probe->reg)
            return true;
    }
    return false;
}

void sg_julia_words(int minor, const saggar_features *set, struct sg_julia_cpu *cpu) {
    const struct sg_isa_table *table = &sg_isa_x86_64;
    const struct word *list;
    unsigned word, n = words_of(minor, &list);
    cpu->words = n;
    for (size_t i = 0; i < table->n_probes; i++) {
        const struct sg_isa_probe *probe = &table->probes[i];
        if (sg_features_has(set, probe->feature) && at(probe, list, n, &word))
            cpu->enabled[word] |= UINT32_C(1) << probe->bit;
    }
    for (size_t i = 0; i < APART; i++) {
        int32_t bit;
        if (sg_isa_find_feature(table, apart[i].name, strlen(apart[i].name), &bit) && bit >= 0 &&
            sg_features_has(set, (unsigned)bit))
            cpu->enabled[apart[i].word] |= UINT32_C(1) << apart[i].bit;
    }
}

bool sg_julia_cpu_parse(struct sg_arena *arena, int minor, const char *text, struct sg_julia_cpu *cpu) {
    const char *end = strchr(text, ';'), *p = strstr(text, "features_en=(");
    saggar_features set = {0};
    if (end == NULL || p == NULL)
        return false;
    cpu->name = sg_arena_text(arena, text, (size_t)(end - text));
    for (p += strlen("features_en=("); *p != ')' && *p != '\0'; p += strspn(p, ", ")) {
        size_t n = strcspn(p, ",)");
        int32_t bit;
        if (n == 0)
            return false;
        if (sg_isa_find_feature(&sg_isa_x86_64, p, n, &bit) && bit >= 0)
            set.word[bit / 64] |= UINT64_C(1) << bit % 64;
        p += n;
    }
    sg_julia_words(minor, &set, cpu);
    cpu->known = true;
    return *p == ')';
}

/* The features whose bits are all there. */
static void features_of(const struct word *list, unsigned n, const uint32_t *enabled, saggar_features *set) {
    const struct sg_isa_table *table = &sg_isa_x86_64;
    saggar_features lacking = {0};
    unsigned word;
    for (size_t i = 0; i < table->n_probes; i++) {
        const struct sg_isa_probe *probe = &table->probes[i];
        if (!at(probe, list, n, &word))
            continue;
        bool has = (enabled[word] >> probe->bit & 1) != 0;
        saggar_features *to = has ? set : &lacking;
        to->word[probe->feature / 64] |= UINT64_C(1) << probe->feature % 64;
    }
    sg_features_remove(set, &lacking);
}

void sg_julia_target_features(int minor, const struct sg_julia_target *target, saggar_features *set) {
    const struct word *list;
    saggar_features named;
    unsigned n = words_of(minor, &list);
    *set = (saggar_features){0};
    features_of(list, n < target->words ? n : target->words, target->enabled, set);
    if ((target->flags & SG_JULIA_NAME_UNKNOWN) != 0 &&
        saggar_features_parse(SAGGAR_ARCH_X86_64, target->name, NULL, &named, NULL) == SAGGAR_OK)
        sg_features_add(set, &named);
}

static bool target_fits(const struct sg_julia_cpu *cpu, const struct sg_julia_target *t) {
    for (uint32_t word = 0; word < t->words; word++) {
        if ((t->enabled[word] & ~(word < cpu->words ? cpu->enabled[word] : 0u)) != 0)
            return false;
    }
    return true;
}

/* Whether the processor has what the name of a target stands for; Julia did not look. */
static bool named_runs(int minor, const struct sg_julia_cpu *cpu, const struct sg_julia_target *t) {
    saggar_features set;
    struct sg_julia_cpu needed = {0};
    sg_julia_target_features(minor, t, &set);
    saggar_features_required(SAGGAR_ARCH_X86_64, SAGGAR_PROVENANCE_ASSUMED, &set);
    sg_julia_words(minor, &set, &needed);
    for (unsigned word = 0; word < needed.words; word++) {
        if ((needed.enabled[word] & ~(word < cpu->words ? cpu->enabled[word] : 0u)) != 0)
            return false;
    }
    return true;
}

int sg_julia_cpu_rank(int minor, const struct sg_julia_cpu *cpu, const struct sg_ji *ji) {
    int best = -1;
    bool best_unknown = false;
    if (!ji->native)
        return 0;
    if (strcmp(ji->arch, "x86_64") != 0)
        return sg_julia_cpu_fits(cpu, ji) ? 1 : -1;
    for (size_t i = 0; i < ji->n_targets; i++) {
        const struct sg_julia_target *t = &ji->targets[i];
        saggar_features set = {0};
        const struct word *list;
        unsigned n = words_of(minor, &list);
        if (!target_fits(cpu, t))
            continue;
        features_of(list, n < t->words ? n : t->words, t->enabled, &set); /* what Julia goes by */
        int rank = 1 + (int)(sg_features_width(SAGGAR_ARCH_X86_64, &set) << 8) + (int)sg_features_count(&set);
        bool unknown = (t->flags & SG_JULIA_NAME_UNKNOWN) != 0;
        if (rank > best || (rank == best && best_unknown && !unknown)) {
            best = rank;
            best_unknown = unknown && !named_runs(minor, cpu, t);
        }
    }
    return best_unknown ? -1 : best;
}

bool sg_julia_cpu_fits(const struct sg_julia_cpu *cpu, const struct sg_ji *ji) {
    for (size_t i = 0; i < ji->n_targets; i++) {
        if (target_fits(cpu, &ji->targets[i]))
            return true;
    }
    return false;
}

/* The feature that a bit is, NULL: none that is known. */
static const char *name_of(const struct word *w, unsigned word, unsigned bit) {
    const struct sg_isa_table *table = &sg_isa_x86_64;
    for (size_t i = 0; i < APART; i++) {
        if (apart[i].word == word && apart[i].bit == bit)
            return apart[i].name;
    }
    const char *name = NULL;
    for (size_t i = 0; i < table->n_probes; i++) {
        const struct sg_isa_probe *p = &table->probes[i];
        if (p->leaf == w->leaf && p->subleaf == w->subleaf && p->reg == w->reg && p->bit == bit &&
            p->least == 0)
            name = table->features[p->feature].name; /* where two share a bit: the later, which holds more */
    }
    return name;
}

const char *sg_julia_target_print(struct sg_arena *arena, int minor, const struct sg_julia_target *target) {
    const struct word *list;
    const char *text = "";
    unsigned n = words_of(minor, &list);
    for (unsigned word = 0; word < target->words; word++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            if ((target->enabled[word] >> bit & 1) == 0)
                continue;
            const char *name = word < n ? name_of(&list[word], word, bit) : NULL;
            text = name != NULL
                       ? sg_arena_format(arena, "%s%s%s", text, text[0] != '\0' ? " " : "", name)
                       : sg_arena_format(arena, "%s%s%u:%u", text, text[0] != '\0' ? " " : "", word, bit);
        }
    }
    return text;
}
