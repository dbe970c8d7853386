/*
 * Candidates that are not to be used again in this process.
 *
 * Lists that only grow at their head, by compare-and-swap: reading takes no lock, and a fork leaves them
 * whole. Damage belongs to one copy of an entry (a good copy may stand in the next tier); a refusal by the
 * compiler belongs to the identity, wherever it is found.
 */
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"

enum { MAX_NODES = 4096 };

struct sg_aside {
    struct sg_aside *next;
    const struct sg_tier *tier;
    uint64_t id;
    uint8_t identity[32];
};

static struct sg_aside *rejected;
static unsigned rejected_count;

static void push(struct sg_aside **list, struct sg_aside *node) {
    node->next = __atomic_load_n(list, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(list, &node->next, node, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

void sg_aside_add(struct sg_aside **list, const struct sg_candidate *candidate) {
    struct sg_aside *node = calloc(1, sizeof *node);
    if (node == NULL)
        return;
    node->tier = candidate->tier;
    node->id = candidate->id;
    push(list, node);
}

bool sg_aside_has(struct sg_aside *const *list, const struct sg_candidate *candidate) {
    const struct sg_aside *node = __atomic_load_n(list, __ATOMIC_ACQUIRE);
    while (node != NULL && (node->tier != candidate->tier || node->id != candidate->id))
        node = node->next;
    return node != NULL;
}

void sg_aside_free(struct sg_aside **list) {
    while (*list != NULL) {
        struct sg_aside *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

void sg_reject_add(const uint8_t identity[32]) {
    if (sg_reject_has(identity) || __atomic_fetch_add(&rejected_count, 1, __ATOMIC_RELAXED) >= MAX_NODES)
        return;
    struct sg_aside *node = calloc(1, sizeof *node);
    if (node == NULL)
        return;
    memcpy(node->identity, identity, sizeof node->identity);
    push(&rejected, node);
}

bool sg_reject_has(const uint8_t identity[32]) {
    const struct sg_aside *node = __atomic_load_n(&rejected, __ATOMIC_ACQUIRE);
    while (node != NULL && memcmp(node->identity, identity, sizeof node->identity) != 0)
        node = node->next;
    return node != NULL;
}
