/* How long a server's answers take: a moving average that believes what is worse at once, and what
 * is better only by and by.
 *
 * It falls, and is forgotten, to the same measure: of what was known, e^-1 is left after ten
 * seconds. So a server that was slow is asked again some time later though nothing was heard of it.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_PEAK_EWMA_H
#define UPSTREAM_PEAK_EWMA_H

#include <stdint.h>

enum {
    PEAK_EWMA_DECAY_US = 10 * 1000 * 1000,
    /* A failure counts as so many times what answers take: one alone costs a good server some
     * seconds, several in a row take it to the most there is. */
    PEAK_EWMA_FAILURE_FACTOR = 10,
    PEAK_EWMA_FAILURE_FIRST_US = 1000 * 1000, /* and as this where nothing is known */
    PEAK_EWMA_FAILURE_MOST_US = 60 * 1000 * 1000,
};

/* All zero at first. Times are of one clock that never goes back. */
struct peak_ewma {
    double latency_us; /* when it was noted; 0: never */
    uint64_t noted_us;
};

void peak_ewma_note(struct peak_ewma *average, uint64_t now_us, uint64_t latency_us);
/* It gave no answer, or one that counts as none, after so long. */
void peak_ewma_note_failure(struct peak_ewma *average, uint64_t now_us, uint64_t took_us);

/* Nobody waited longer than so long for an answer: it says something only if it is worse. */
void peak_ewma_note_at_least(struct peak_ewma *average, uint64_t now_us, uint64_t waited_us);

/* 0: nothing was noted yet, or so long ago that it says nothing any more. */
uint64_t peak_ewma_now(const struct peak_ewma *average, uint64_t now_us);

#endif
