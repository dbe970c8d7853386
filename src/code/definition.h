/*
 * What an object defines under each name, for telling equal code from different code.
 */
#ifndef SG_CODE_DEFINITION_H
#define SG_CODE_DEFINITION_H

#include <stddef.h>
#include <stdint.h>

/**
 * Calls `each` for every global or weak function and object that a relocatable ELF64 object defines, with a
 * digest of its code: its bytes, and for each place that a linker fills in, what it refers to (a global
 * symbol by name, a constant by its bytes). So the digest does not depend on what else is in the object.
 * Stops at the first non-zero result and returns it. ECORRUPT, EUNSUPPORTED, ENOMEM.
 */
int sg_definitions_each(const void *object, size_t size,
                        int (*each)(void *context, const char *name, const uint8_t sha256[32]),
                        void *context);

#endif
