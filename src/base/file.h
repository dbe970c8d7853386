/*
 * Files and clocks.
 *
 * No function here follows a symbolic link in the last component, blocks on a FIFO or leaks a descriptor into
 * a child. Functions that can fail return a saggar_error and leave errno as the failing call set it.
 */
#ifndef SG_BASE_FILE_H
#define SG_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/*
 * Reads the whole of a regular file into private memory (free() it; never NULL on success). st, where not
 * NULL, is the fstat() of what was read. Larger than max: SAGGAR_ELIMIT. Not a regular file, or a symbolic
 * link: SAGGAR_EINVAL. Size changed while it was read: SAGGAR_ECORRUPT.
 */
int sg_read_all_at(int dirfd, const char *name, size_t max, unsigned char **data, size_t *size,
                   struct stat *st);

/* The same for an open descriptor, from offset 0; the descriptor's own offset is not used. */
int sg_read_all_fd(int fd, size_t max, unsigned char **data, size_t *size, struct stat *st);

/* Writes all n bytes or fails. Does not close, does not sync. */
int sg_write_all(int fd, const void *p, size_t n);

/* Whether a file of this size may be written: a write beyond RLIMIT_FSIZE would raise a signal that ends the
 * program. */
bool sg_size_allowed(uint64_t size);

/* The bytes of a file are on disk. OK too where the file system has nothing to sync and says so. */
int sg_sync_data(int fd);

/* mkdir -p: every missing component is made with exactly this mode (less the umask). */
int sg_make_dirs(const char *path, mode_t mode);

/*
 * A file name (no folder) that no other process on any host will pick, with the prefix in front:
 * prefix + hash of the host name + process + monotonic clock + random bits, all in hex.
 * A temporary's name tells its host, so that a collector can judge the ones of its own host.
 */
enum { SG_TEMP_NAME_MAX = 96, SG_TEMP_PREFIX_MAX = 16 };
int sg_temp_name(char out[SG_TEMP_NAME_MAX], const char *prefix);

/* The host field of the names that sg_temp_name() makes here: 8 hex digits and a NUL. */
void sg_host_tag(char out[9]);

/* Whether a name is one that sg_temp_name() makes for the prefix. */
bool sg_temp_is(const char *name, const char *prefix);
/* Of such a name: 1 its process runs here, 0 it ran here and is gone, -1 nobody knows. `host`:
 * sg_host_tag()'s. A process in another container of the same host name looks gone: give it a minute. */
int sg_temp_owner(const char *name, const char *prefix, const char host[9]);

/* Makes a new empty file, mode 0600, in dirfd; *fd is open for reading and writing. name receives its name.
 */
int sg_temp_open(int dirfd, const char *prefix, char name[SG_TEMP_NAME_MAX], int *fd);

/* Whether fd lies on NFS, SMB, FUSE, 9p, AFS, Ceph, Lustre or their like, where a mapping may fault. Unknown
 * (the call failed): true. */
bool sg_fs_is_network(int fd);

/*
 * Whether an absolute path leads to such a file system, or would if it were there; links are followed. Asks
 * the table of mounts and nothing that lies on a network file system, so it always comes back. False where
 * there is no table.
 */
bool sg_path_is_network(const char *path);

/* Nanoseconds of CLOCK_REALTIME or CLOCK_MONOTONIC (any clock id); 0 where there is no such clock. */
uint64_t sg_now_ns(clockid_t clock);

#endif
