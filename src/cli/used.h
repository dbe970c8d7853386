/*
 * Which keys the trails name as used.
 *
 * Used is what the program itself asked for. What a function was only linked from goes with that function,
 * unless that one was not stored: it is compiled again in every process, and asks for what it calls each
 * time.
 */
#ifndef SG_CLI_USED_H
#define SG_CLI_USED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saggar/saggar.h"

struct cli_keys {
    uint8_t (*key)[SAGGAR_KEY_SIZE];
    size_t n;
};

void cli_keys_add(struct cli_keys *keys, const uint8_t *key);
/* Sorts them, each once; needed before cli_keys_have(). */
void cli_keys_sort(struct cli_keys *keys);
bool cli_keys_have(const struct cli_keys *keys, const uint8_t *key);
void cli_keys_free(struct cli_keys *keys);

/* Adds the keys that the trails below dir name. ENOTFOUND: no such directory. */
int cli_used_read(const char *dir, struct cli_keys *keys);

#endif
