/*
 * For libFuzzer: the readers on any bytes. The checksum is made right first, so that it hides nothing.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Isrc -Iinclude tests/julia/fuzz_ji.c \
 *         src/julia/{arena,crc,ji,ji_lists,names}.c -o fuzz-ji && ./fuzz-ji -max_len=4096 CORPUS
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "julia/ji.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sg_arena arena = {0};
    struct sg_ji ji;
    unsigned char *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    if (size >= 4)
        sg_store32(copy + size - 4, sg_julia_crc(0, copy, size - 4));
    if (!sg_ji_read(&arena, copy, size, &ji) || (size >= 4 && !sg_ji_crc_holds(&ji, copy)))
        abort();
    if (ji.state != SG_JI_OK && ji.what[0] == '\0')
        abort();
    for (size_t i = 0; i < ji.n_requires; i++) {
        if (ji.requires[i].by > ji.n_provides)
            abort();
    }
    free(copy);
    sg_arena_free(&arena);
    return 0;
}
