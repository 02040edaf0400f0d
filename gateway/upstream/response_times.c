#include "upstream/response_times.h"

#include <string.h>

/* Below RESPONSE_TIMES_STEPS each value has a bucket of its own; above, the three bits behind the
 * highest one tell which. */
static unsigned bucket_of(uint64_t us)
{
    unsigned shift, bucket;

    if (us < RESPONSE_TIMES_STEPS)
        return (unsigned)us;
    shift = 60 - (unsigned)__builtin_clzll(us); /* leaves the highest bit and three more */
    bucket = shift * RESPONSE_TIMES_STEPS + (unsigned)(us >> shift);
    return bucket < RESPONSE_TIMES_BUCKETS ? bucket : RESPONSE_TIMES_BUCKETS - 1;
}

/* The first value that belongs to the next one. */
static uint64_t bound_of(unsigned bucket)
{
    unsigned shift = bucket / RESPONSE_TIMES_STEPS;

    if (shift == 0)
        return bucket + 1;
    return (uint64_t)(bucket % RESPONSE_TIMES_STEPS + RESPONSE_TIMES_STEPS + 1) << (shift - 1);
}

static void move_on(struct response_times *times, uint64_t now_ms)
{
    uint64_t span = now_ms / RESPONSE_TIMES_SPAN_MS;

    if (span == times->span)
        return;
    if (span != times->span + 1)
        memset(times->spans, 0, sizeof(times->spans));
    else
        memset(&times->spans[span % 2], 0, sizeof(times->spans[0]));
    times->span = span;
}

void response_times_add(struct response_times *times, uint64_t now_ms, uint64_t took_us)
{
    struct response_span *span;

    move_on(times, now_ms);
    span = &times->spans[times->span % 2];
    span->buckets[bucket_of(took_us)]++;
    span->count++;
}

uint64_t response_times_within_us(struct response_times *times, uint64_t now_ms, unsigned permille)
{
    uint64_t count, slower = 0, most_slower;
    unsigned bucket = RESPONSE_TIMES_BUCKETS;

    move_on(times, now_ms);
    count = (uint64_t)times->spans[0].count + times->spans[1].count;
    if (count < RESPONSE_TIMES_ENOUGH)
        return 0;
    most_slower = count * (1000 - permille) / 1000;
    while (bucket > 0) {
        slower +=
            (uint64_t)times->spans[0].buckets[bucket - 1] + times->spans[1].buckets[bucket - 1];
        if (slower > most_slower)
            break;
        bucket--;
    }
    return bound_of(bucket - 1);
}
