/* How often the cache has what is asked for, beside one that evicts what was used longest ago (LRU)
 * and has as much memory for it, each object at the same cost.
 *
 * usage: cache_ratio [REQUESTS]    prints a Markdown table */
#include "support/cache_trace.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 200000, KIB = 1024, MIB = 1024 * KIB };

static const struct {
    const char *words;
    struct cache_trace trace;
} traces[] = {
    {"Zipf 0.8", {.keys = KEYS, .skew = 0.8}},
    {"Zipf 1.0", {.keys = KEYS, .skew = 1.0}},
    {"Zipf 1.0, one third scans", {.keys = KEYS, .skew = 1.0, .scan_each = 60000, .scan = 30000}},
    {"Zipf 1.0, half of it asked for once", {.keys = KEYS, .skew = 1.0, .once = 50}},
    {"Zipf 1.0, another set each 500,000", {.keys = KEYS, .skew = 1.0, .shift_each = 500000}},
    {"Zipf 1.0, 100 B to 200 KiB", {.keys = KEYS, .skew = 1.0, .has_sizes = true}},
};

static const uint64_t sizes[] = {8 * MIB, 32 * MIB, 128 * MIB};

int main(int argument_count, char **arguments)
{
    uint64_t requests = argument_count > 1 ? strtoull(arguments[1], NULL, 10) : 2000000;

    printf("| trace | size | cache | LRU |\n|---|---:|---:|---:|\n");
    for (size_t i = 0; i < sizeof(traces) / sizeof(*traces); i++)
        for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
            struct cache_trace trace = traces[i].trace;
            struct cache_ratio ratio;
            trace.requests = requests;
            ratio = cache_trace_run(&trace, sizes[k]);
            printf("| %s | %u MiB | %.1f %% | %.1f %% |\n", traces[i].words,
                   (unsigned)(sizes[k] / MIB), 100 * ratio.cache, 100 * ratio.lru);
            fflush(stdout);
        }
    return 0;
}
