/* How long a backend takes to answer: the distribution over the last half minute or more, for the
 * question by when so and so many of its answers had come.
 *
 * No clock of its own. Inside upstream/ only. */
#ifndef UPSTREAM_RESPONSE_TIMES_H
#define UPSTREAM_RESPONSE_TIMES_H

#include <stdint.h>

enum {
    RESPONSE_TIMES_ENOUGH = 100, /* fewer say nothing */
    RESPONSE_TIMES_SPAN_MS = 30 * 1000,
    RESPONSE_TIMES_STEPS = 8,                           /* in which each doubling is told apart */
    RESPONSE_TIMES_BUCKETS = 25 * RESPONSE_TIMES_STEPS, /* up to 2^27 us: two minutes */
};

/* All zero at first. */
struct response_times {
    uint64_t span; /* since the clock began; the newest one's */
    struct response_span {
        uint32_t count;
        uint32_t buckets[RESPONSE_TIMES_BUCKETS];
    } spans[2]; /* this one and the one before, by the lowest bit of their number */
};

void response_times_add(struct response_times *times, uint64_t now_ms, uint64_t took_us);
/* The time within which so many of a thousand answers came, rounded up by an eighth at most; 0:
 * there are not enough to tell. */
uint64_t response_times_within_us(struct response_times *times, uint64_t now_ms, unsigned permille);

#endif
