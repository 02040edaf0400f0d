/* How long things took: counts by upper bound, and the sum. Written by one thread alone, added up
 * by whoever reads. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* By the owning thread only: no locked instruction. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

enum { HISTOGRAM_BOUNDS = 15 };

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* by bound; the last one: beyond all of them */
    _Atomic uint64_t sum_us;
};

/* Upper bounds, growing; each belongs to its own count. From 1 ms to 60 s. */
extern const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS];

/* By the owning thread only. */
void histogram_add(struct histogram *histogram, uint64_t us);

#endif
