/*
 * One trail file of this process, mapped for writing. Owned by the writer, which serialises all calls.
 * A file that could not be made complete stays in the directory, so that a reader sees the trail as
 * incomplete.
 */
#ifndef SG_TRAIL_SEGMENT_H
#define SG_TRAIL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sg_segment {
    unsigned char *map; /* SG_TRAIL_SEGMENT bytes, NULL if there is none */
    size_t used;
};

/* Makes the next file of this process; *seq is where to begin, and becomes the number taken. A
 * process makes at most SG_TRAIL_FILES_MAX. */
bool sg_segment_open(struct sg_segment *s, const char *dir, uint32_t *seq, uint32_t origin);
/* Room for n bytes, or NULL. */
unsigned char *sg_segment_room(struct sg_segment *s, size_t n);
void sg_segment_state(struct sg_segment *s, uint32_t state);
void sg_segment_lost(struct sg_segment *s, uint64_t lost);
/* Unmaps it without changing the file. */
void sg_segment_drop(struct sg_segment *s);

#endif
