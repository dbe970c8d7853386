/* What the C tests of this folder share: cmocka, and the folder of recorded cases as the last argument. */
#ifndef TESTS_JULIA_CHECK_H
#define TESTS_JULIA_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "julia/document.h"

static const char *folder;

/* The whole of a recorded file; free() it. */
static inline unsigned char *recorded(const char *name, size_t *size) {
    char path[4096];
    unsigned char *data;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sg_read_all_at(AT_FDCWD, path, 1 << 24, &data, size, NULL), 0);
    return data;
}

static inline struct sg_doc *recorded_json(const char *name) {
    char why[256] = "";
    size_t size;
    unsigned char *data = recorded(name, &size);
    struct sg_doc *doc = sg_doc_json((const char *)data, size, why, sizeof why);
    free(data);
    if (doc == NULL)
        fail_msg("%s: %s", name, why);
    return doc;
}

/* 77 is Meson's word for a test that was skipped. */
#define CHECK_MAIN(tests)                                                                                    \
    int main(int argc, char **argv) {                                                                        \
        folder = argv[argc - 1];                                                                             \
        return sg_doc_possible() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;                           \
    }

#endif
