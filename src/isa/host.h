/*
 * The processor that this process runs on.
 *
 * Probed at the first call and kept; no lock, so that a fork in the middle of it hurts neither side.
 */
#ifndef SG_ISA_HOST_H
#define SG_ISA_HOST_H

#include "isa/table.h"
#include "saggar/saggar.h"

/* What the processor and the operating system offer, without the ceiling of SAGGAR_TARGET. */
void sg_host_all(saggar_features *out);

/* What is said about SAGGAR_TARGET, for `doctor`: "" if it is not set, else what it does or why it is
 * ignored. */
const char *sg_host_note(void);

/* The rule by itself: which features follow from the conditions that hold. */
typedef bool sg_host_holds(void *context, const struct sg_isa_probe *probe);
void sg_host_decide(const struct sg_isa_table *table, sg_host_holds *holds, void *context,
                    saggar_features *out);

#endif
