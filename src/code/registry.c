/*
 * The registry of symbol names: equal name must mean equal code, in the whole process.
 *
 * An open-addressed table that only grows, guarded by one mutex. fork: the child inherits the table and a
 * usable mutex (an atfork handler holds it over the fork). Names are copied; nothing is ever removed.
 */
#include <pthread.h>
#include <saggar/saggar.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct slot {
    char *name; /* NULL: free */
    uint64_t hash;
    uint8_t digest[SG_SHA256_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct slot *slots;
static size_t capacity, used; /* capacity is 0 or a power of two */

static void before_fork(void) {
    pthread_mutex_lock(&lock);
}

static void after_fork(void) {
    pthread_mutex_unlock(&lock);
}

static void install(void) {
    pthread_atfork(before_fork, after_fork, after_fork);
}

/* The slot of the name, or the free one where it belongs. Needs a free slot to end. */
static struct slot *probe(struct slot *table, size_t size, uint64_t hash, const char *name) {
    for (size_t i = (size_t)hash & (size - 1);; i = (i + 1) & (size - 1)) {
        if (table[i].name == NULL || (table[i].hash == hash && strcmp(table[i].name, name) == 0)) {
            return &table[i];
        }
    }
}

static int grow(void) {
    size_t size = capacity == 0 ? 256 : capacity * 2;
    if (size > SIZE_MAX / sizeof(struct slot)) {
        return SAGGAR_ENOMEM;
    }
    struct slot *table = calloc(size, sizeof *table);
    if (table == NULL) {
        return SAGGAR_ENOMEM;
    }
    for (size_t i = 0; i < capacity; i++) {
        if (slots[i].name != NULL) {
            *probe(table, size, slots[i].hash, slots[i].name) = slots[i];
        }
    }
    free(slots);
    slots = table;
    capacity = size;
    return SAGGAR_OK;
}

static int enter(const char *name, const uint8_t digest[32]) {
    uint64_t hash = sg_xxh64(name, strlen(name));

    if ((used + 1) * 2 > capacity) {
        int status = grow();
        if (status != SAGGAR_OK) {
            return status;
        }
    }
    struct slot *slot = probe(slots, capacity, hash, name);
    if (slot->name != NULL) {
        return memcmp(slot->digest, digest, SG_SHA256_SIZE) == 0 ? SAGGAR_OK : SAGGAR_EEXISTS;
    }
    slot->name = strdup(name);
    if (slot->name == NULL) {
        return SAGGAR_ENOMEM;
    }
    slot->hash = hash;
    memcpy(slot->digest, digest, SG_SHA256_SIZE);
    used++;
    return SAGGAR_OK;
}

int saggar_symbol_register(const char *name, const uint8_t digest[32]) {
    if (name == NULL || digest == NULL) {
        return SAGGAR_EINVAL;
    }
    pthread_once(&once, install);
    pthread_mutex_lock(&lock);
    int status = enter(name, digest);
    pthread_mutex_unlock(&lock);
    return status;
}
