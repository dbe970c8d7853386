/*
 * The libraries of this process: would the dynamic linker find one, and does it have the versions that an
 * object needs? Nothing is loaded: what is loaded already is asked by name; else the file that the linker
 * would take is read. The places that an object names itself (RPATH, RUNPATH), preloaded libraries and name
 * spaces are not looked at: so "not found" says that these means do not find it.
 */
#ifndef SG_CODE_LIBRARY_H
#define SG_CODE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The file of a library by its soname, of this machine's kind. `path` of `size` bytes. */
bool sg_library_find(const char *soname, char *path, size_t size);

/**
 * Whether the file defines each of the versions. `missing` (may be NULL) gets the first one that it does not.
 * A file that cannot be read or understood defines none.
 */
bool sg_library_defines(const char *path, const char *const *versions, size_t n, const char **missing);

#endif
