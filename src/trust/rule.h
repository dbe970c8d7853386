/* The rule for one component of a path. Private to src/trust. */
#ifndef SG_TRUST_RULE_H
#define SG_TRUST_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct sg_trust_owners {
    uid_t user;   /* effective */
    uid_t prefix; /* owner of the prefix, or the user again */
};

/* What a component's owner and mode allow. */
enum sg_trust_grade {
    SG_TRUST_NO,
    SG_TRUST_STICKY, /* trusted as far as its next component is owned by somebody trusted */
    SG_TRUST_YES
};

void sg_trust_owners(const char *prefix, struct sg_trust_owners *out);
bool sg_trust_owner_ok(const struct sg_trust_owners *owners, uid_t uid);

/*
 * Judges st, which is what fd is open on or, where fd is below 0, what lies at `path` (no link). A descriptor
 * must not be an O_PATH one. NO: `why` says what is wrong, as "... belongs to user 7".
 */
enum sg_trust_grade sg_trust_grade(const struct sg_trust_owners *owners, int fd, const char *path,
                                   const struct stat *st, char *why, size_t size);

#endif
