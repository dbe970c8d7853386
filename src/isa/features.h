/*
 * Feature sets beyond the public functions: what entries and rankings need, and the text form of a target.
 *
 * All functions are pure; sets are plain values.
 */
#ifndef SG_ISA_FEATURES_H
#define SG_ISA_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#include "saggar/saggar.h"

static inline bool sg_features_has(const saggar_features *set, unsigned bit) {
    return bit < 256 && (set->word[bit / 64] >> (bit % 64) & 1) != 0;
}

static inline void sg_features_add(saggar_features *set, const saggar_features *more) {
    for (int i = 0; i < 4; i++) {
        set->word[i] |= more->word[i];
    }
}

static inline void sg_features_keep(saggar_features *set, const saggar_features *only) {
    for (int i = 0; i < 4; i++) {
        set->word[i] &= only->word[i];
    }
}

/* Takes away; what remains of `needed` less `active` is what a processor lacks. */
static inline void sg_features_remove(saggar_features *set, const saggar_features *less) {
    for (int i = 0; i < 4; i++) {
        set->word[i] &= ~less->word[i];
    }
}

static inline bool sg_features_empty(const saggar_features *set) {
    return (set->word[0] | set->word[1] | set->word[2] | set->word[3]) == 0;
}

/*
 * What code that a compiler made for the target `set` can need. Hints are no-operations where they are
 * missing, and no code generator uses what the operating system manages; both go. Features that are used only
 * where the source asks for them (aes, rdseed, adx, amx-*: an intrinsic, inline assembly, C code behind
 * __AES__) stay if `may_ask`: pass true unless the source is known not to ask. Numba's IR asks if it holds
 * "llvm.x86.", "llvm.aarch64." or inline assembly. Without this a broadwell's code would never serve a
 * haswell. A set that was scanned from machine code loses nothing but its hints: sg_features_scanned().
 */
void sg_features_needed(saggar_arch arch, bool may_ask, saggar_features *set);
void sg_features_scanned(saggar_arch arch, saggar_features *set);

/* For ranking variants: the widest vector in bits (0 to 512), and the number of features. */
unsigned sg_features_width(saggar_arch arch, const saggar_features *set);
unsigned sg_features_count(const saggar_features *set);

/* The highest level ("x86-64-v3") whose instructions are all in the set; NULL below the lowest. Static. */
const char *sg_features_level(saggar_arch arch, const saggar_features *set);

/* Canonical name of a feature, NULL if no feature has this bit. Static. */
const char *sg_feature_name(saggar_arch arch, unsigned bit);

/* As saggar_features_names() into `out` (size > 0), cut at a whole name with "..." behind it. Returns out. */
char *sg_features_print(saggar_arch arch, const saggar_features *set, char *out, size_t size);

/*
 * A target as people write it, for SAGGAR_TARGET and --target: a model, level or "native", then features:
 * "x86-64-v3", "znver3,-sse4a", "native,-avx512f". Features alone: the list counts from the baseline if it
 * begins with "+", from the host if it begins with "-". `native` is the host's own set. EINVAL or ENOTFOUND:
 * `why` (size > 0) says in one line what is wrong.
 */
int sg_target_parse(saggar_arch arch, const char *text, const saggar_features *native, saggar_features *out,
                    char *why, size_t size);

#endif
