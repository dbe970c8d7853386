/* What a Python says about the package, the import hook and the adapters in it. */
#ifndef SG_CLI_PYTHON_H
#define SG_CLI_PYTHON_H

#include <stdbool.h>

/* The Python beside this executable, else "python3"; malloc'd. */
char *python_beside(void);
/*
 * Runs the module saggar.doctor there: what it prints, malloc'd with a final zero also where it fails, and
 * its wait status. False with errno: it could not be started. It is given two minutes.
 */
bool python_ask(const char *path, char **answer, int *status);

#endif
