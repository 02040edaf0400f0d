/* What is asked for again and again stays, whatever comes between: more of it than an LRU of the
 * same size keeps. tests/bench/README.md has the figures of longer traces. */
#include "support/cache_trace.h"

#include <criterion/criterion.h>

enum { MIB = 1024 * 1024 };

TestSuite(cache_ratio, .timeout = 240);

static void expect_more_than_lru(struct cache_trace trace, double by)
{
    struct cache_ratio ratio = cache_trace_run(&trace, MIB);

    cr_assert_gt(ratio.cache, ratio.lru + by, "%.3f, LRU %.3f", ratio.cache, ratio.lru);
}

Test(cache_ratio, popular_ones)
{
    expect_more_than_lru((struct cache_trace){.requests = 50000, .keys = 12500, .skew = 1.0}, 0.02);
}

Test(cache_ratio, popular_ones_between_scans)
{
    expect_more_than_lru(
        (struct cache_trace){
            .requests = 50000, .keys = 12500, .skew = 1.0, .scan_each = 2500, .scan = 1250},
        0.04);
}

Test(cache_ratio, popular_ones_among_many_that_come_once)
{
    expect_more_than_lru(
        (struct cache_trace){.requests = 50000, .keys = 12500, .skew = 1.0, .once = 50}, 0.04);
}

Test(cache_ratio, of_all_sizes)
{
    expect_more_than_lru(
        (struct cache_trace){.requests = 50000, .keys = 12500, .skew = 1.0, .has_sizes = true},
        0.02);
}
