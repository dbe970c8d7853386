/* A mapping, shared by the file that reads and writes single keys and the one that lists them all. */
#ifndef SG_CACHE_MAPPING_H
#define SG_CACHE_MAPPING_H

#include <saggar/saggar.h>

struct saggar_mapping {
    saggar_cache *cache; /**< held */
    char *name;
    uint8_t *lead; /**< a recipe up to where the key stands */
    size_t lead_size;
};

#endif
