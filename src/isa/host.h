/*
 * The processor that this process runs on.
 *
 * Probed at the first call and kept; no lock, so that a fork in the middle of it hurts neither side.
 */
#ifndef SG_ISA_HOST_H
#define SG_ISA_HOST_H

#include "saggar/saggar.h"

/* What the processor and the operating system offer, without the ceiling of SAGGAR_TARGET. */
void sg_host_all(saggar_features *out);

/* What is said about SAGGAR_TARGET, for `doctor`: "" if it is not set, else what it does or why it is
 * ignored. */
const char *sg_host_note(void);

#endif
