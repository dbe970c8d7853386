/*
 * Processors: Julia's feature words beside Saggar's feature table.
 *
 * On x86 a word is a register of CPUID, so that the table's probes say which feature a bit is. Julia decides
 * by the bits alone, never by a name; so does this.
 */
#ifndef SG_JULIA_TARGETS_H
#define SG_JULIA_TARGETS_H

#include "julia/info.h"
#include "saggar/saggar.h"

/* The words of a set of features; `minor` of Julia's version decides their order. */
void sg_julia_words(int minor, const saggar_features *set, struct sg_julia_cpu *cpu);

/* "NAME; flags=N; features_en=(a, b)", as Julia prints a target. False: not such a text. */
bool sg_julia_cpu_parse(struct sg_arena *arena, int minor, const char *text, struct sg_julia_cpu *cpu);

/* Whether one of the targets needs nothing that the processor lacks. */
bool sg_julia_cpu_fits(const struct sg_julia_cpu *cpu, const struct sg_ji *ji);

/*
 * What code for a target needs. Where Julia does not know the name (x86-64-v4, before it learns it) it
 * records no features: those that the name stands for in the feature table are added. A name that is not
 * there either is taken as Julia declared it.
 */
enum { SG_JULIA_NAME_UNKNOWN = 0x20 };
void sg_julia_target_features(int minor, const struct sg_julia_target *target, saggar_features *set);

/*
 * How good the code is for the processor: by its best target that fits, the widest vectors, then the most
 * features. 0: without machine code; below 0: nothing in it fits, or Julia would take code that the processor
 * cannot run.
 */
int sg_julia_cpu_rank(int minor, const struct sg_julia_cpu *cpu, const struct sg_ji *ji);

/* The features of a target by their names, separated by blanks; bits without a name as WORD:BIT. */
const char *sg_julia_target_print(struct sg_arena *arena, int minor, const struct sg_julia_target *target);

#endif
