/* A bounded queue of text lines from one thread to one other, without locks: the access log.
 *
 * The producer never waits: a line that does not fit is dropped and counted. */
#ifndef BASE_LINE_RING_H
#define BASE_LINE_RING_H

#include "base/slice.h"

struct line_ring;

struct line_ring *line_ring_new(size_t bytes); /* rounded up to a power of two */
void line_ring_free(struct line_ring *ring);

/* Producer: puts the whole line (its newline included) or drops it; true if it went in. */
bool line_ring_put(struct line_ring *ring, struct slice line);
/* Producer: lines dropped so far; any thread may read it. */
uint64_t line_ring_dropped(const struct line_ring *ring);

/* Consumer: copies out at most `room` bytes; the end of what is copied need not be the end of a
 * line. 0 when empty. */
size_t line_ring_take(struct line_ring *ring, char *into, size_t room);

#endif
