/*
 * The bytes of one event; trail.h. All numbers little-endian:
 *
 *     0  u32  length of the whole event, stored last; 0: no event here
 *     4  u16  event
 *     6  u16  reason
 *     8  u32  flags
 *    12  u32  pid
 *    16  u64  time
 *    24  u64  value
 *    32  u32  bytes of the group, without its zero
 *    36  u32  bytes of the detail, without its zero
 *    40  u32  bytes of the blob
 *    44  u32  bit 0: has a key
 *    48       key
 *    80  u64  XXH64 of bytes 4 to the end, this as zero
 *    88  u32  "SGEV"
 *    92  u32  zero
 *    96       group, zero, detail, zero, blob, zeros to the next multiple of 8
 */
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "trail/trail.h"

#define EVENT_MAGIC 0x56454753u /* "SGEV" */

struct lengths {
    size_t group, detail, blob, total;
};

/* Length of a text cut at the limit, never inside a character. */
static size_t text_length(const char *text) {
    if (text == NULL)
        return 0;
    size_t n = strnlen(text, SG_TRAIL_TEXT_MAX + 1);
    if (n <= SG_TRAIL_TEXT_MAX)
        return n;
    n = SG_TRAIL_TEXT_MAX;
    while (n > SG_TRAIL_TEXT_MAX - 3 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static struct lengths measure(const saggar_trail_event *event) {
    struct lengths len;
    len.group = text_length(event->group);
    len.detail = text_length(event->detail);
    len.blob = event->blob == NULL || event->blob_size > SG_TRAIL_BLOB_MAX ? 0 : event->blob_size;
    len.total = (SG_TRAIL_RECORD + len.group + 1 + len.detail + 1 + len.blob + 7) & ~(size_t)7;
    return len;
}

size_t sg_trail_size(const saggar_trail_event *event) {
    return measure(event).total;
}

/* XXH64 of the event with its length and its checksum left out. */
static uint64_t checksum(const unsigned char *p, size_t n) {
    uint64_t parts[2] = {sg_xxh64(p + 4, 76), sg_xxh64(p + 88, n - 88)};
    return sg_xxh64(parts, sizeof parts);
}

void sg_trail_put(unsigned char *p, const saggar_trail_event *event, uint32_t pid) {
    struct lengths len = measure(event);
    unsigned char *q = p + SG_TRAIL_RECORD;
    memset(p + 4, 0, len.total - 4);
    sg_store16(p + 4, (uint16_t)event->event);
    sg_store16(p + 6, (uint16_t)event->reason);
    sg_store32(p + 8, event->flags);
    sg_store32(p + 12, pid);
    sg_store64(p + 16, sg_now_ns(CLOCK_REALTIME));
    sg_store64(p + 24, event->value);
    sg_store32(p + 32, (uint32_t)len.group);
    sg_store32(p + 36, (uint32_t)len.detail);
    sg_store32(p + 40, (uint32_t)len.blob);
    sg_store32(p + 44, event->key != NULL);
    if (event->key != NULL)
        memcpy(p + 48, event->key, SAGGAR_KEY_SIZE);
    sg_store32(p + 88, EVENT_MAGIC);
    if (len.group > 0)
        memcpy(q, event->group, len.group);
    q += len.group + 1;
    if (len.detail > 0)
        memcpy(q, event->detail, len.detail);
    q += len.detail + 1;
    if (len.blob > 0)
        memcpy(q, event->blob, len.blob);
    sg_store64(p + 80, checksum(p, len.total));
    uint32_t length;
    sg_store32(&length, (uint32_t)len.total);
    __atomic_store_n((uint32_t *)(void *)p, length, __ATOMIC_RELEASE);
}

int sg_trail_parse(const unsigned char *p, size_t n, struct sg_trail_record *out) {
    if (n < SG_TRAIL_RECORD || sg_load32(p) == 0)
        return n < 4 || sg_load32(p) == 0 ? SAGGAR_ENOTFOUND : SAGGAR_ECORRUPT;
    size_t total = sg_load32(p), group = sg_load32(p + 32), detail = sg_load32(p + 36),
           blob = sg_load32(p + 40);
    if (total > n || total > SG_TRAIL_EVENT_MAX || total % 8 != 0 || group > SG_TRAIL_TEXT_MAX ||
        detail > SG_TRAIL_TEXT_MAX || blob > SG_TRAIL_BLOB_MAX || sg_load32(p + 88) != EVENT_MAGIC)
        return SAGGAR_ECORRUPT;
    if (((SG_TRAIL_RECORD + group + 1 + detail + 1 + blob + 7) & ~(size_t)7) != total)
        return SAGGAR_ECORRUPT;
    if (checksum(p, total) != sg_load64(p + 80))
        return SAGGAR_ECORRUPT;
    *out = (struct sg_trail_record){
        .event = (saggar_event)sg_load16(p + 4),
        .reason = (saggar_reason)sg_load16(p + 6),
        .flags = sg_load32(p + 8),
        .pid = sg_load32(p + 12),
        .time = sg_load64(p + 16),
        .value = sg_load64(p + 24),
        .key = (sg_load32(p + 44) & 1) != 0 ? p + 48 : NULL,
        .group = (const char *)p + SG_TRAIL_RECORD,
        .detail = (const char *)p + SG_TRAIL_RECORD + group + 1,
        .blob = blob > 0 ? p + SG_TRAIL_RECORD + group + detail + 2 : NULL,
        .blob_size = blob,
        .size = total,
    };
    if (out->group[group] != '\0' || out->detail[detail] != '\0')
        return SAGGAR_ECORRUPT;
    return SAGGAR_OK;
}
