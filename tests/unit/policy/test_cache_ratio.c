/* What is asked for again and again stays, whatever comes between: more of it than an LRU of the
 * same size keeps. tests/bench/README.md has the figures of longer traces. */
#include "support/cache_trace.h"

#include <criterion/criterion.h>

enum { MIB = 1024 * 1024 };

TestSuite(cache_ratio, .timeout = 60);

static void expect_more_than_lru(struct cache_trace trace, double by)
{
    struct cache_ratio ratio = cache_trace_run(&trace, 4 * MIB);

    cr_assert_gt(ratio.cache, ratio.lru + by, "%.3f, LRU %.3f", ratio.cache, ratio.lru);
}

Test(cache_ratio, popular_ones)
{
    expect_more_than_lru((struct cache_trace){.requests = 200000, .keys = 50000, .skew = 1.0},
                         0.02);
}

Test(cache_ratio, popular_ones_between_scans)
{
    expect_more_than_lru(
        (struct cache_trace){
            .requests = 200000, .keys = 50000, .skew = 1.0, .scan_each = 10000, .scan = 5000},
        0.04);
}

Test(cache_ratio, popular_ones_among_many_that_come_once)
{
    expect_more_than_lru(
        (struct cache_trace){.requests = 200000, .keys = 50000, .skew = 1.0, .once = 50}, 0.04);
}

Test(cache_ratio, of_all_sizes)
{
    expect_more_than_lru(
        (struct cache_trace){.requests = 100000, .keys = 50000, .skew = 1.0, .has_sizes = true},
        0.02);
}
