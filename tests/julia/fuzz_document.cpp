/*
 * For libFuzzer: TOML (odd first byte) and JSON, as projects, manifests and descriptions are read.
 *
 *     clang -c -g -O1 -fsanitize=fuzzer-no-link,address,undefined -D_GNU_SOURCE -Isrc -Iinclude \
 *         src/julia/document.c src/base/{buf,err,hash,json,text}.c
 *     clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -Isrc -Iinclude -o fuzz-document \
 *         tests/julia/fuzz_document.cpp src/julia/document.cpp *.o -lcrypto -lxxhash
 *     ./fuzz-document -max_len=1024 CORPUS
 */
#include <cstdint>

#include "julia/document.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[100] = "";
    if (size == 0)
        return 0;
    const char *text = reinterpret_cast<const char *>(data) + 1;
    sg_doc *doc = (data[0] & 1) != 0 ? sg_doc_toml(text, size - 1, why, sizeof why)
                                     : sg_doc_json(text, size - 1, why, sizeof why);
    if (doc == nullptr && why[0] == '\0')
        __builtin_trap();
    sg_doc_get(doc, "deps");
    sg_doc_free(doc);
    return 0;
}
