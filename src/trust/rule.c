/* The ownership rule for one file or directory: see trust.h. */
#include "trust/rule.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bytes.h"

void sg_trust_owners(const char *prefix, struct sg_trust_owners *out) {
    struct stat st;
    out->user = geteuid();
    out->prefix = prefix != NULL && stat(prefix, &st) == 0 ? st.st_uid : out->user;
}

bool sg_trust_owner_ok(const struct sg_trust_owners *owners, uid_t uid) {
    return uid == 0 || uid == owners->user || uid == owners->prefix;
}

/*
 * Whether a group has no member but its owner. The usual private group has the user's own number; otherwise
 * the name must be the user's and no other member be listed (users whose primary group it is are not listed
 * anywhere cheap, and the name keeps "users" and "staff" out).
 */
static bool is_private_group(gid_t gid, uid_t uid) {
    char user_text[2048], group_text[8192];
    struct passwd user, *found_user = NULL;
    struct group group, *found = NULL;
    if (gid == uid && (uid == 0 || uid >= 1000)) {
        return true;
    }
    if (getpwuid_r(uid, &user, user_text, sizeof user_text, &found_user) != 0 || found_user == NULL ||
        getgrgid_r(gid, &group, group_text, sizeof group_text, &found) != 0 || found == NULL ||
        strcmp(found->gr_name, found_user->pw_name) != 0) {
        return false;
    }
    for (char **member = found->gr_mem; *member != NULL; member++) {
        if (strcmp(*member, found_user->pw_name) != 0) {
            return false;
        }
    }
    return true;
}

/*
 * Whether a POSIX access list lets somebody write who is not trusted. Its mask stands where the mode has the
 * group's bits, so this is asked only where these say "write". Doubt is a yes.
 */
static bool acl_gives_write(const struct sg_trust_owners *owners, int fd, const char *path) {
    enum { HEADER = 4, ENTRY = 8, USER = 2, GROUP = 8, WRITE = 2 };
    static const char name[] = "system.posix_acl_access";
    unsigned char acl[HEADER + 64 * ENTRY];
    ssize_t n = fd >= 0 ? fgetxattr(fd, name, acl, sizeof acl) : lgetxattr(path, name, acl, sizeof acl);
    if (n < 0) {
        return errno != ENODATA && errno != ENOTSUP;
    }
    if (n < HEADER || (n - HEADER) % ENTRY != 0 || sg_load32(acl) != 2) {
        return true;
    }
    for (const unsigned char *entry = acl + HEADER; entry < acl + n; entry += ENTRY) {
        unsigned tag = sg_load16(entry);
        if ((sg_load16(entry + 2) & WRITE) != 0 &&
            (tag == GROUP || (tag == USER && !sg_trust_owner_ok(owners, sg_load32(entry + 4))))) {
            return true;
        }
    }
    return false;
}

static bool is_read_only(int fd, const char *path) {
    struct statvfs vfs;
    return (fd >= 0 ? fstatvfs(fd, &vfs) : statvfs(path, &vfs)) == 0 && (vfs.f_flag & ST_RDONLY) != 0;
}

enum sg_trust_grade sg_trust_grade(const struct sg_trust_owners *owners, int fd, const char *path,
                                   const struct stat *st, char *why, size_t size) {
    bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
    if (!sg_trust_owner_ok(owners, st->st_uid)) {
        snprintf(why, size, "belongs to user %lu", (unsigned long)st->st_uid);
    } else if ((st->st_mode & S_IWOTH) != 0) {
        if (sticky) {
            return SG_TRUST_STICKY;
        }
        snprintf(why, size, "is writable by everybody (mode %04o)", (unsigned)(st->st_mode & 07777));
    } else if ((st->st_mode & S_IWGRP) != 0 && !is_private_group(st->st_gid, st->st_uid)) {
        if (sticky) {
            return SG_TRUST_STICKY;
        }
        snprintf(why, size, "is writable by group %lu (mode %04o)", (unsigned long)st->st_gid,
                 (unsigned)(st->st_mode & 07777));
    } else if ((st->st_mode & S_IWGRP) != 0 && acl_gives_write(owners, fd, path)) {
        if (sticky) {
            return SG_TRUST_STICKY;
        }
        snprintf(why, size, "is writable by others through an access list (mode %04o)",
                 (unsigned)(st->st_mode & 07777));
    } else {
        return SG_TRUST_YES;
    }
    return is_read_only(fd, path) ? SG_TRUST_YES : SG_TRUST_NO;
}
