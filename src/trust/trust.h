/*
 * Who could have put something where it lies: the ownership rule.
 *
 * A file or directory is trusted if it and every directory above it, symbolic links resolved on the way,
 * belong to root, the effective user or the owner of a prefix, and nobody else may write to them. Allowed
 * besides: a sticky directory whose next component is so owned (a link too); group write by the owner's
 * private group; what lies on a file system that is mounted read-only.
 * POSIX access lists are heeded: what they grant is bounded by their mask, which the mode shows as the
 * group's bits; so they are read where these allow writing, and a named user or group that may write is
 * "others". Other kinds of lists (NFSv4, SMB) are seen only as far as the mode shows them.
 * SAGGAR_TRUST=<directory>[:<directory>...] trusts everything that, after links were resolved, lies in one of
 * them.
 *
 * Nothing is opened for reading here, nothing is changed and nothing is kept. Thread-safe. The environment is
 * read by secure_getenv().
 */
#ifndef SG_TRUST_TRUST_H
#define SG_TRUST_TRUST_H

#include <stdbool.h>
#include <stddef.h>

enum { SG_TRUST_REASON_SIZE = 256 };

struct sg_trust_verdict {
    bool trusted;
    bool by_override; /* only because of SAGGAR_TRUST; reason says what would have spoken against it */
    char reason[SG_TRUST_REASON_SIZE]; /* one line naming the component and why; "" if there is nothing to say
                                        */
};

/*
 * The verdict on a path. `prefix` (may be NULL): the directory or executable under whose share/saggar the
 * file was found; its owner is trusted too. SAGGAR_OK: *out holds the verdict, either way. Else it could not
 * be reached, and reason says where: ENOTFOUND, EACCESS, ELIMIT (a path too long, too many links), EINVAL
 * (empty, or a component that is no directory). ENOTFOUND with trusted == true: whatever exists of the path
 * is trusted, so it can be made there.
 */
int sg_trust_check(const char *path, const char *prefix, struct sg_trust_verdict *out);

/*
 * The verdict on a regular file that is open, by fstat(): its owner and mode, not the directories above it.
 * For use after sg_trust_check() and open(), so that the file that was checked is the file that is read.
 * EINVAL: not a regular file.
 */
int sg_trust_check_fd(int fd, const char *prefix, struct sg_trust_verdict *out);

/*
 * The short form: SAGGAR_OK if trusted, SAGGAR_EUNTRUSTED if not, else as sg_trust_check(). `why` (may be
 * NULL) gets the reason wherever the result is not OK, else "".
 */
int sg_trust_path(const char *path, char *why, size_t size);

/*
 * True if the store's default place is somebody else's: HOME exists and does not belong to the effective user
 * (sudo), or the program is set-uid. Then there is no store unless SAGGAR_DIR names one.
 */
bool sg_home_is_foreign(void);

#endif
