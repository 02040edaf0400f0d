#include "base/random.h"

#include "base/check.h"
#include "base/clock.h"

#include <sys/random.h>
#include <sys/types.h>

uint64_t random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = clock_monotonic_us();
    return seed;
}

/* SplitMix64: a counter in steps that are odd, so that it meets every number before it repeats one,
 * and a mixer in which each bit of it reaches each bit of what is returned. */
uint64_t random_next(struct random_source *source)
{
    uint64_t mixed = source->state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

/* The number as a fraction of 2^64, times `end`: what that favours some by is below end / 2^64. */
uint64_t random_below(struct random_source *source, uint64_t end)
{
    assert(end > 0);
    return (uint64_t)((unsigned __int128)random_next(source) * end >> 64);
}
