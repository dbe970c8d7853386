/*
 * The system's compilers, told apart without running them.
 *
 * The identity of a compiler is a digest over the content of what it runs: the driver, and for GCC the
 * compiler proper, the linker's front, assembler and linker and the headers that say which C and C++ library
 * there is, for Clang its libraries. No path, name or time is in it. A script is known by its text and by the
 * programs that it names by absolute paths. What a driver of another kind runs beside itself is not known:
 * the driver stands for it.
 */
#ifndef SG_CODE_TOOLCHAIN_H
#define SG_CODE_TOOLCHAIN_H

#include <stddef.h>

#include "base/hash.h"

/** The program of a name, or of an absolute path, as a shell would take it from `list`. `path`: 4096 bytes.
 */
int sg_program_find(const char *name, size_t n, const char *list, char *path);

#endif
