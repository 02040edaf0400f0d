/* What is counted of a route's requests: a block of base/series.h. */
#ifndef PROXY_ROUTE_COUNTERS_H
#define PROXY_ROUTE_COUNTERS_H

#include "base/histogram.h"
#include "http/message.h"

enum { ROUTE_METHODS = METHOD_OTHER + 1, ROUTE_CODES = 5 };

struct route_counters {
    _Atomic uint64_t requests[ROUTE_METHODS][ROUTE_CODES]; /* codes from 1xx */
    struct histogram duration;
};

/* The same, added up. */
struct route_sums {
    uint64_t requests[ROUTE_METHODS][ROUTE_CODES];
    uint64_t duration_counts[HISTOGRAM_BOUNDS + 1];
    uint64_t duration_us;
};

enum { ROUTE_COUNTERS = sizeof(struct route_counters) / sizeof(uint64_t) };
_Static_assert(sizeof(struct route_sums) == sizeof(struct route_counters),
               "sums are laid out as the counters are");

#endif
