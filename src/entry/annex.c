/*
 * The annex behind a core in a store file (docs/FORMAT.md section 4.4). It decides nothing: a damaged one is
 * absent.
 */
#include "base/hash.h"
#include "entry/layout.h"
#include "key/value.h"

enum { HEADER = 32 };

int sg_annex_find(const uint8_t *bytes, uint64_t size, uint64_t core_size, const uint8_t **value, size_t *n) {
    uint8_t xxh[16];

    if (size < core_size || size - core_size < HEADER || memcmp(bytes + core_size, "SGANNEX1", 8) != 0) {
        return SAGGAR_ENOTFOUND;
    }
    const uint8_t *annex = bytes + core_size;
    uint32_t length = sg_load32(annex + 8);
    if (length != size - core_size - HEADER || sg_load32(annex + 12) != 0) {
        return SAGGAR_ENOTFOUND;
    }
    sg_xxh128(xxh, annex + HEADER, length);
    if (memcmp(xxh, annex + 16, sizeof xxh) != 0 || saggar_value_check(annex + HEADER, length) != SAGGAR_OK) {
        return SAGGAR_ENOTFOUND;
    }
    *value = annex + HEADER;
    *n = length;
    return SAGGAR_OK;
}
