/*
 * Trails: what a process did. The bytes of an event, the files that hold events, and their reader.
 *
 * A trail file `<host tag>-<pid>-<start time>-<seq>.trail` is a header of 4096 bytes and then events, one
 * after another. It is preallocated and mapped by its process; an event counts once its length is stored,
 * which is the last thing written, so whatever ends the process, the file reads as a prefix of what happened.
 * A process that fills a file goes on in the next <seq>, up to a bound. The misses log is the same events
 * without a header, one write each.
 *
 * A trail is read only by the release that wrote it: nothing here is a format that lasts.
 */
#ifndef SG_TRAIL_TRAIL_H
#define SG_TRAIL_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saggar/saggar.h"

enum {
    SG_TRAIL_HEADER = 4096,
    SG_TRAIL_SEGMENT = 1 << 20,
    SG_TRAIL_TEXT_MAX = 4096,
    SG_TRAIL_BLOB_MAX = 65536,
    SG_TRAIL_RECORD = 96, /* fixed part of an event */
    SG_TRAIL_EVENT_MAX = SG_TRAIL_RECORD + 2 * (SG_TRAIL_TEXT_MAX + 1) + SG_TRAIL_BLOB_MAX + 8,
    SG_TRAIL_VERSION = 1,
    SG_TRAIL_FILES_MAX = 256, /* of one process: what comes after is lost, and counted */
    SG_TRAIL_LOG_MAX = 1 << 20
};

/* ---- One event ---- */

/* Bytes that the event takes, a multiple of 8. */
size_t sg_trail_size(const saggar_trail_event *event);
/* Writes the event of sg_trail_size() bytes at p (8-byte aligned); the length, which makes it count, comes
 * last. */
void sg_trail_put(unsigned char *p, const saggar_trail_event *event, uint32_t pid);

struct sg_trail_record {
    saggar_event event;
    saggar_reason reason;
    uint32_t flags;
    uint32_t pid;
    uint64_t time; /* nanoseconds since 1970 */
    uint64_t value;
    const uint8_t *key; /* SAGGAR_KEY_SIZE bytes or NULL */
    const char *group;  /* zero-terminated, never NULL */
    const char *detail; /* zero-terminated, never NULL */
    const uint8_t *blob;
    size_t blob_size;
    size_t size; /* of the whole event */
};

/* The event at p, pointers into p. ENOTFOUND: none stands there (the end). ECORRUPT: damaged or cut. */
int sg_trail_parse(const unsigned char *p, size_t n, struct sg_trail_record *out);

/* ---- A trail file ---- */

enum sg_trail_state { SG_TRAIL_OPEN = 1, SG_TRAIL_CLOSED = 2 };

struct sg_trail_process {
    uint32_t pid, ppid;
    uint32_t origin;  /* the process that this one was forked from with a live trail, 0 if none */
    uint32_t seq;     /* which file of the process this is */
    uint64_t start;   /* clock ticks from boot to the start of the process: tells reused pids apart */
    uint64_t opened;  /* nanoseconds since 1970 */
    uint32_t state;   /* enum sg_trail_state; a process that was killed or left by _exit stays open */
    uint64_t lost;    /* events that could not be recorded: not 0 means that the trail is incomplete */
    const char *exe;  /* zero-terminated */
    const char *argv; /* each argument zero-terminated, cut */
    size_t argv_size;
    const char *host; /* 8 hex digits: sg_host_tag() of the machine */
    const char *file; /* name of the file */
};

/* Called by the reader; each returns 0 to go on, and another number ends the reading with that result. */
struct sg_trail_visitor {
    void *context;
    /* A file; `process` is valid until `end`. error other than OK: not readable as a trail, process has only
     * `file`. */
    int (*file)(void *context, int error, const struct sg_trail_process *process);
    int (*event)(void *context, const struct sg_trail_process *process, const struct sg_trail_record *record);
    /* The file's end; `torn`: damaged or unknown bytes stand after the last event. NULL allowed. */
    int (*end)(void *context, const struct sg_trail_process *process, bool torn);
};

/* Reads each *.trail file of a directory, in order of host, pid, start time, seq. */
int sg_trail_read(const char *dir, const struct sg_trail_visitor *visitor);

/* Reads a misses log (the older `.1` is a file of its own). Damaged places are skipped and counted in
 * *skipped. */
int sg_trail_read_log(const char *path, int (*each)(void *context, const struct sg_trail_record *record),
                      void *context, uint64_t *skipped);

/* The misses log of this user, "" if there is none (no HOME, or another user's). */
void sg_trail_log_path(char *out, size_t n);
/* Appends one event to it; false if that failed. */
bool sg_trail_log_append(const saggar_trail_event *event);

#endif
