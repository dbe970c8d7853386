/*
 * The tables that gen.py makes from features.tsv and cpus.tsv, and the look-ups in them.
 *
 * Everything here is constant data: no locks, no ownership, valid for ever.
 */
#ifndef SG_ISA_TABLE_H
#define SG_ISA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saggar/saggar.h"

struct sg_isa_feature {
    const char *name;        /* canonical; NULL where no feature has this bit */
    uint32_t width;          /* widest vector in bits, 0 for none */
    saggar_features implies; /* itself and what it implies */
    saggar_features above;   /* itself and what implies it */
};

/* One condition of a feature; a feature is there if all of its rows hold, and never if it has none. */
struct sg_isa_probe {
    uint32_t feature;
    uint32_t leaf; /* CPUID leaf; AArch64: 0 AT_HWCAP, 1 AT_HWCAP2, 2 AT_HWCAP3 */
    uint32_t subleaf;
    uint32_t reg; /* 0 EAX to 3 EDX */
    uint32_t bit;
    uint32_t least; /* not 0: instead of a bit, the register's low byte must be at least this */
    uint64_t xcr0;  /* these bits of XCR0 must be set */
};

enum { SG_ISA_DROPPED = -1 };

/* A name of a feature: its bit, SG_ISA_DROPPED for a name without one, or -2 - i for group i. */
struct sg_isa_name {
    const char *key;
    int32_t value;
};

struct sg_isa_model {
    const char *name; /* models: the key; levels: the name */
    saggar_features set;
};

struct sg_isa_table {
    saggar_features isa_mask, explicit_mask, os_mask, hint_mask; /* by class; see features.tsv */
    const struct sg_isa_feature *features;                       /* by bit */
    const struct sg_isa_probe *probes;
    const struct sg_isa_name *names; /* sorted by key */
    const saggar_features *groups;
    const char *const *patterns;       /* fnmatch patterns of names without a bit */
    const struct sg_isa_model *levels; /* lowest first */
    const struct sg_isa_model *models; /* sorted by key; the levels are among them */
    size_t n_features, n_probes, n_names, n_groups, n_patterns, n_levels, n_models;
};

extern const struct sg_isa_table sg_isa_x86_64;
extern const struct sg_isa_table sg_isa_aarch64;

/* The table of an architecture, NULL if there is none. */
const struct sg_isa_table *sg_isa_table(saggar_arch arch);

/* What a feature's name (size bytes) stands for: as sg_isa_name.value. False: no such name. */
bool sg_isa_find_feature(const struct sg_isa_table *table, const char *name, size_t size, int32_t *value);

/* A model or level by name, NULL if there is none. "native" is not among them. */
const struct sg_isa_model *sg_isa_find_model(const struct sg_isa_table *table, const char *name, size_t size);

#endif
