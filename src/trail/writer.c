/*
 * The trail of this process: counters, and the file or the misses log that its events go to.
 *
 * One mutex serialises everything but the counters. The fork handlers hold it across a fork, so the child
 * finds the state whole; the child lets go of its parent's file and makes one of its own at its first event.
 * No descriptor is kept: a program that closes all of its descriptors does not harm the trail.
 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trail/segment.h"
#include "trail/trail.h"

static struct {
    pthread_mutex_t mutex;
    bool started;
    bool has_dir; /* SAGGAR_TRAIL is set: events go to files */
    bool failed;  /* no further file can be made: later events are lost without a try */
    bool closed;
    char *dir;
    uint32_t pid, seq, origin;
    uint64_t lost;
    struct sg_segment segment;
} trail = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static uint64_t counts[16];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void) {
    pthread_mutex_lock(&trail.mutex);
}

static void after_fork_parent(void) {
    pthread_mutex_unlock(&trail.mutex);
}

static void after_fork_child(void) {
    if (trail.segment.map != NULL)
        trail.origin = trail.pid;
    sg_segment_drop(&trail.segment);
    trail.pid = 0;
    trail.seq = 0;
    trail.lost = 0;
    trail.failed = false;
    trail.closed = false;
    memset(counts, 0, sizeof counts);
    pthread_mutex_unlock(&trail.mutex);
}

static void install(void) {
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* The directory is taken once: a later change of the environment or of the working directory changes nothing.
 */
static void start(void) {
    trail.started = true;
    const char *dir = secure_getenv("SAGGAR_TRAIL");
    if (dir == NULL || dir[0] == '\0')
        return;
    trail.has_dir = true;
    trail.dir = realpath(dir, NULL);
    trail.failed = trail.dir == NULL;
}

/* Room for n bytes in the current file or in a new one. */
static unsigned char *room(size_t n) {
    if (trail.failed)
        return NULL;
    unsigned char *p = sg_segment_room(&trail.segment, n);
    if (p != NULL)
        return p;
    struct sg_segment next;
    if (trail.segment.map != NULL)
        trail.seq++;
    trail.pid = (uint32_t)getpid();
    if (!sg_segment_open(&next, trail.dir, &trail.seq, trail.origin)) {
        trail.failed = true;
        return NULL;
    }
    sg_segment_state(&trail.segment, SG_TRAIL_CLOSED);
    sg_segment_drop(&trail.segment);
    trail.segment = next;
    sg_segment_lost(&trail.segment, trail.lost);
    return sg_segment_room(&trail.segment, n);
}

static bool to_log(const saggar_trail_event *event) {
    return event->event == SAGGAR_EVENT_MISS || event->event == SAGGAR_EVENT_NOT_STORED ||
           event->event == SAGGAR_EVENT_FAULT;
}

/* True of a miss by a thread that waited too long for the same key just before: it misses for that. */
static bool waited_in_vain(const saggar_trail_event *e) {
    static _Thread_local uint8_t waited_for[SAGGAR_KEY_SIZE];
    if (e->key == NULL)
        return false;
    if (e->event == SAGGAR_EVENT_WAITED && e->reason == SAGGAR_REASON_CLAIM_TIMEOUT)
        memcpy(waited_for, e->key, sizeof waited_for);
    return e->event == SAGGAR_EVENT_MISS && e->reason == SAGGAR_REASON_ABSENT &&
           memcmp(waited_for, e->key, sizeof waited_for) == 0;
}

void saggar_trail_record(const saggar_trail_event *event) {
    saggar_trail_event late;
    if (event == NULL || (unsigned)event->event >= 16)
        return;
    if (waited_in_vain(event)) {
        late = *event;
        late.reason = SAGGAR_REASON_CLAIM_TIMEOUT;
        event = &late;
    }
    pthread_once(&once, install);
    __atomic_fetch_add(&counts[event->event], 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&trail.mutex);
    if (!trail.started)
        start();
    if (trail.has_dir) {
        unsigned char *p = room(sg_trail_size(event));
        if (p != NULL)
            sg_trail_put(p, event, trail.pid);
        else
            sg_segment_lost(&trail.segment, ++trail.lost);
        if (trail.closed) {
            trail.closed = false;
            sg_segment_state(&trail.segment, SG_TRAIL_OPEN);
        }
    } else if (to_log(event) && !sg_trail_log_append(event)) {
        trail.lost++;
    }
    pthread_mutex_unlock(&trail.mutex);
}

void saggar_trail_close(void) {
    pthread_mutex_lock(&trail.mutex);
    sg_segment_state(&trail.segment, SG_TRAIL_CLOSED);
    trail.closed = true;
    pthread_mutex_unlock(&trail.mutex);
}

void saggar_trail_counts(uint64_t out[16]) {
    for (int i = 0; i < 16; i++)
        out[i] = __atomic_load_n(&counts[i], __ATOMIC_RELAXED);
}
