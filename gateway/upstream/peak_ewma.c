#include "upstream/peak_ewma.h"

#include <math.h>

/* When no more is left than this. */
static const double FORGOTTEN = 1e-5;

/* How much of what was known counts by now: 1 to 0. */
static double share_left(const struct peak_ewma *average, uint64_t now_us)
{
    return exp(-(double)(now_us - average->noted_us) / PEAK_EWMA_DECAY_US);
}

void peak_ewma_note(struct peak_ewma *average, uint64_t now_us, uint64_t latency_us)
{
    double latest_us = latency_us > 0 ? (double)latency_us : 1; /* it was measured, after all */
    if (latest_us < average->latency_us) {
        double left = share_left(average, now_us);
        average->latency_us = left * average->latency_us + (1 - left) * latest_us;
    } else {
        average->latency_us = latest_us;
    }
    average->noted_us = now_us;
}

void peak_ewma_note_failure(struct peak_ewma *average, uint64_t now_us, uint64_t took_us)
{
    uint64_t known_us = peak_ewma_now(average, now_us);
    uint64_t counts_us =
        known_us > 0 ? known_us * PEAK_EWMA_FAILURE_FACTOR : PEAK_EWMA_FAILURE_FIRST_US;
    if (counts_us > PEAK_EWMA_FAILURE_MOST_US)
        counts_us = PEAK_EWMA_FAILURE_MOST_US;
    peak_ewma_note(average, now_us, took_us > counts_us ? took_us : counts_us);
}

void peak_ewma_note_at_least(struct peak_ewma *average, uint64_t now_us, uint64_t waited_us)
{
    if (waited_us > peak_ewma_now(average, now_us))
        peak_ewma_note(average, now_us, waited_us);
}

uint64_t peak_ewma_now(const struct peak_ewma *average, uint64_t now_us)
{
    double left = share_left(average, now_us);
    return left > FORGOTTEN ? (uint64_t)ceil(left * average->latency_us) : 0;
}
