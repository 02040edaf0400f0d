/* Whether a thread has been busy nearly all of the last second: for what it may do without, then.
 */
#ifndef BASE_THREAD_LOAD_H
#define BASE_THREAD_LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LOAD_HIGH_PERCENT = 90,
    LOAD_WINDOW_US = 1000 * 1000,
    LOAD_SAMPLE_US = 100 * 1000, /* looked at no more often */
    LOAD_SAMPLES = 16,
};

/* All zeroes: nothing is known yet, and that is not high. One thread's. */
struct thread_load {
    struct load_sample {
        uint64_t now_us, used_us; /* the clock, and the thread's own time by then */
    } samples[LOAD_SAMPLES];      /* a ring */
    unsigned newest, count;
    bool is_high;
};

/* Of the calling thread. What is asked rarely is told of the time since it was asked before, if
 * that is not too long ago to say anything. */
bool thread_load_is_high(struct thread_load *load, uint64_t now_us);

/* The same, for tests: the thread's own time is `used_us`. */
bool thread_load_judge(struct thread_load *load, uint64_t now_us, uint64_t used_us);

#endif
