/*
 * The tiers that a command works on: the stack of the environment, or files and directories by name.
 *
 * What is wrong with one ends in a message that names it and an exit status.
 */
#ifndef SG_CLI_TIERS_H
#define SG_CLI_TIERS_H

#include "cache/cache.h"
#include "cli/args.h"

/* The settings of the environment, with another store and other images (NULL: its own); 0, or an exit status
 * after a message. */
int cli_settings(const char *store, const char *images, struct sg_settings *out);
/* Whether SAGGAR_TARGET names nothing known, so that programs switch the cache off; `why` (size > 0) says
 * what. */
bool cli_target_wrong(char *why, size_t size);
/* The settings, and the tiers of the stack, opened for reading. */
int cli_stack(const char *store, const char *images, struct sg_settings *settings, struct sg_stack *out);

/* One line on stderr about a tier that is off. */
void cli_note_off(const struct sg_slot *slot);
/* One line on stderr for each tier that is off; SG_EXIT_USAGE if one is `store` (NULL: that of the
 * environment). */
int cli_tiers_usable(const char *store, const char *images);

/* One tier that was opened by name. */
struct cli_source {
    struct sg_tier *tier; /* NULL: a store that is not there yet */
    char *path;
    bool image;
};
/* Whether the file is a single entry: a file of a store. */
bool cli_is_entry(const char *path);
/* Opens an image or a store, whichever the path is. */
int cli_source_open(const char *path, struct cli_source *out);
/* An image that was just written; false, and no message, where it cannot be used from here. */
bool cli_source_quiet(const char *path, struct cli_source *out);
void cli_source_close(struct cli_source *source);
/* The named ones, or the default store where there are none, or (`all`) every active tier of the stack. */
int cli_sources(const struct cli_args *args, const char *store, bool all, struct cli_source **out, size_t *n);
void cli_sources_free(struct cli_source *list, size_t n);

/* Each path must be an image that can be used; the value of SAGGAR_IMAGE for them and what is set already. */
int cli_image_list(const struct cli_list *images, char **out);

/* Why an entry or an image cannot be used, and the way out. Static. */
const char *cli_trouble(int error);

/* What is said of an entry. Texts are malloc'd and not escaped. */
struct cli_entry {
    uint8_t key[SAGGAR_KEY_SIZE], identity[32];
    char *group;  /* "" if there is none */
    char *target; /* "x86-64-v3", "x86-64-v2 +2", "any" */
    char *tier;
    uint64_t size;
    double seconds;    /* < 0: not known */
    int64_t published; /* 0: not known */
};
/* False: what it read of the entry is damaged; what could be read is there. */
bool cli_entry_read(const struct sg_entry_view *view, const uint8_t *annex, size_t annex_size,
                    const char *tier, struct cli_entry *out);
void cli_entry_free(struct cli_entry *entry);

/* The path from the root, malloc'd; links are left as they are. */
char *cli_absolute(const char *path);

/* Whether one of the patterns matches; true where there are none. */
bool cli_matches(const struct cli_list *patterns, const char *group);

/* "x86_64" */
const char *cli_arch_name(uint8_t arch);
/* The highest level in the set, and the number of features beyond it. */
const char *cli_level(uint8_t arch, const saggar_features *set, unsigned *more);

#endif
