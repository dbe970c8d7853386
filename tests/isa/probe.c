/* Prints what the host probe finds: error, level, features, note. Built without sanitizers, which QEMU cannot
 * carry. */
#include <stdio.h>
#include <stdlib.h>

#include "isa/features.h"
#include "isa/host.h"

int main(void) {
    saggar_features set;
    char *names;
    int err = saggar_host_features(&set);
    if (saggar_features_names(saggar_host_arch(), &set, &names) != SAGGAR_OK) {
        return 1;
    }
    const char *level = sg_features_level(saggar_host_arch(), &set);
    printf("%s\n%s\n%s\n%s\n", saggar_errname(err), level != NULL ? level : "-", names, sg_host_note());
    free(names);
    return 0;
}
