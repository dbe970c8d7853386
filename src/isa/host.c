/*
 * The host probe: CPUID and XGETBV on x86-64, the auxiliary vector on AArch64, then the ceiling
 * SAGGAR_TARGET.
 *
 * The result is computed on the stack and published by whoever comes first; the others, also a child forked
 * in that very moment, use their own equal copy. A feature counts only if all that it implies is there too: a
 * hypervisor that shows AVX2 without AVX has neither.
 */
#include "isa/host.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa/features.h"
#include "isa/table.h"

struct host {
    saggar_features all;
    saggar_features active;
    bool bad_target;
    char note[256];
};

saggar_arch saggar_host_arch(void) {
#if defined(__x86_64__) && defined(__LP64__)
    return SAGGAR_ARCH_X86_64;
#elif defined(__aarch64__) && defined(__LP64__) && defined(__AARCH64EL__)
    return SAGGAR_ARCH_AARCH64;
#else
    return SAGGAR_ARCH_OTHER;
#endif
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { XCR0_TILE_DATA = 1 << 18, GET_XCOMP_PERM = 0x1022 };

/* What the operating system saves for us. The tile registers count once this process may use them. */
static uint64_t probe_xcr0(void) {
    uint32_t eax, ebx, ecx, edx, low, high;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & (1u << 27)) == 0) {
        return 0;
    }
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    uint64_t xcr0 = (uint64_t)high << 32 | low;
    if ((xcr0 & XCR0_TILE_DATA) != 0) {
        uint64_t allowed = 0;
        if (syscall(SYS_arch_prctl, GET_XCOMP_PERM, &allowed) != 0 || (allowed & XCR0_TILE_DATA) == 0) {
            xcr0 &= ~(uint64_t)XCR0_TILE_DATA;
        }
    }
    return xcr0;
}

/* Every CPUID instruction costs a virtual machine a trip to its host, so each leaf is asked for once. */
struct probing {
    uint64_t xcr0;
    size_t n;
    struct {
        uint32_t leaf, subleaf, reg[4];
    } known[32];
};

static void probing_start(struct probing *p) {
    p->xcr0 = probe_xcr0();
    p->n = 0;
}

/* The registers of a leaf; false if there is no such leaf. */
static bool ask(struct probing *p, uint32_t leaf, uint32_t subleaf, uint32_t reg[4]) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->known[i].leaf == leaf && p->known[i].subleaf == subleaf) {
            memcpy(reg, p->known[i].reg, sizeof p->known[i].reg);
            return true;
        }
    }
    uint32_t base[4] = {0};
    if (leaf != (leaf & 0x80000000u) && (!ask(p, leaf & 0x80000000u, 0, base) || base[0] < leaf)) {
        return false;
    }
    if (subleaf > 0 && leaf != 0xd && (!ask(p, leaf, 0, base) || base[0] < subleaf)) {
        return false; /* EAX of subleaf 0 is the last subleaf */
    }
    __cpuid_count(leaf, subleaf, reg[0], reg[1], reg[2], reg[3]);
    if (p->n < sizeof p->known / sizeof p->known[0]) {
        p->known[p->n].leaf = leaf;
        p->known[p->n].subleaf = subleaf;
        memcpy(p->known[p->n++].reg, reg, sizeof p->known[0].reg);
    }
    return true;
}

static bool probe_holds(void *context, const struct sg_isa_probe *probe) {
    struct probing *p = context;
    uint32_t reg[4];
    if ((p->xcr0 & probe->xcr0) != probe->xcr0 || !ask(p, probe->leaf, probe->subleaf, reg)) {
        return false;
    }
    uint32_t value = reg[probe->reg];
    return probe->least != 0 ? (value & 0xff) >= probe->least : (value >> probe->bit & 1) != 0;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#ifndef AT_HWCAP3
#define AT_HWCAP3 29
#endif

struct probing {
    int none;
};

static void probing_start(struct probing *p) {
    p->none = 0;
}

static bool probe_holds(void *context, const struct sg_isa_probe *probe) {
    static const unsigned long kinds[] = {AT_HWCAP, AT_HWCAP2, AT_HWCAP3};
    (void)context;
    return probe->leaf < 3 && (getauxval(kinds[probe->leaf]) >> probe->bit & 1) != 0;
}

#else

struct probing {
    int none;
};

static void probing_start(struct probing *p) {
    p->none = 0;
}

static bool probe_holds(void *context, const struct sg_isa_probe *probe) {
    (void)context;
    (void)probe;
    return false;
}
#endif

void sg_host_decide(const struct sg_isa_table *table, sg_host_holds *holds, void *context,
                    saggar_features *out) {
    saggar_features asked = {{0}}, failed = {{0}};
    for (size_t i = 0; i < table->n_probes; i++) {
        const struct sg_isa_probe *probe = &table->probes[i];
        saggar_features *set = holds(context, probe) ? &asked : &failed;
        set->word[probe->feature / 64] |= (uint64_t)1 << (probe->feature % 64);
    }
    sg_features_remove(&asked, &failed);
    *out = asked;
    for (size_t bit = 0; bit < table->n_features; bit++) {
        const struct sg_isa_feature *feature = &table->features[bit];
        if (sg_features_has(&asked, (unsigned)bit) && !saggar_features_subset(&feature->implies, &asked)) {
            sg_features_remove(out, &feature->above);
        }
    }
}

/* SAGGAR_TARGET, with the note for doctor. */
static void apply_ceiling(struct host *host) {
    const char *target = secure_getenv("SAGGAR_TARGET");
    if (target == NULL || *target == '\0') {
        return;
    }
    saggar_features ceiling;
    char why[160];
    int err = sg_target_parse(saggar_host_arch(), target, &host->all, &ceiling, why, sizeof why);
    if (err != SAGGAR_OK) {
        host->bad_target = true;
        snprintf(host->note, sizeof host->note, "SAGGAR_TARGET is ignored: %s", why);
        return;
    }
    bool above = !saggar_features_subset(&ceiling, &host->all);
    sg_features_keep(&host->active, &ceiling);
    snprintf(host->note, sizeof host->note, "SAGGAR_TARGET=%.80s%s", target,
             above ? " (this processor lacks some of it)" : "");
}

static void probe_host(struct host *host) {
    memset(host, 0, sizeof *host);
    const struct sg_isa_table *table = sg_isa_table(saggar_host_arch());
    if (table != NULL) {
        struct probing probing;
        probing_start(&probing);
        sg_host_decide(table, probe_holds, &probing, &host->all);
    }
    host->active = host->all;
    apply_ceiling(host);
}

enum { EMPTY, WRITING, READY };
static struct host known;
static atomic_int state;

/* The kept result, or NULL after filling *own: somebody else is just storing an equal one. */
static const struct host *get_host(struct host *own) {
    if (atomic_load_explicit(&state, memory_order_acquire) == READY) {
        return &known;
    }
    probe_host(own);
    int expected = EMPTY;
    if (atomic_compare_exchange_strong(&state, &expected, WRITING)) {
        known = *own;
        atomic_store_explicit(&state, READY, memory_order_release);
        return &known;
    }
    return own;
}

int saggar_host_features(saggar_features *out) {
    struct host own;
    if (out == NULL) {
        return SAGGAR_EINVAL;
    }
    const struct host *host = get_host(&own);
    *out = host->active;
    return host->bad_target ? SAGGAR_EINVAL : SAGGAR_OK;
}

void sg_host_all(saggar_features *out) {
    struct host own;
    *out = get_host(&own)->all;
}

const char *sg_host_note(void) {
    struct host own;
    const struct host *host = get_host(&own);
    return host == &own ? "" : host->note;
}
