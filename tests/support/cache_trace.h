/* What many clients ask for, made up: popular things often, others hardly ever, and who goes
 * through everything once. Played to the cache and to an LRU of the same size. */
#ifndef TESTS_SUPPORT_CACHE_TRACE_H
#define TESTS_SUPPORT_CACHE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct cache_trace {
    uint64_t requests;
    unsigned keys;
    double skew;         /* of Zipf's law */
    unsigned scan_each;  /* after so many requests comes a scan; 0: never */
    unsigned scan;       /* of so many keys, which are asked for once in their life */
    unsigned once;       /* percent of requests for what nobody else asks for */
    unsigned shift_each; /* after so many requests others are popular; 0: never */
    bool has_sizes;      /* bodies of 100 B to 200 KiB, else of 1 KiB */
};

/* The share of requests that were there; scans and what is asked for once are not counted. */
struct cache_ratio {
    double cache, lru;
};

struct cache_ratio cache_trace_run(const struct cache_trace *trace, uint64_t size);

#endif
