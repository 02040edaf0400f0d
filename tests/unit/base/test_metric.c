#include "base/metric.h"

#include <criterion/criterion.h>
#include <string.h>

Test(metric, names_each_one_differently)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_name((enum metric)i);
        cr_assert_gt(strlen(name), 0);
        cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name), "%s",
                     name);
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(name, metric_name((enum metric)j));
    }
    cr_assert_str_eq(metric_name(METRIC_RESPONSES_2XX), "responses_2xx");
}

Test(metric, counts_and_gauges)
{
    static struct metrics metrics;
    metric_add(&metrics, METRIC_REQUESTS, 3);
    metric_add(&metrics, METRIC_REQUESTS, 4);
    metric_add(&metrics, METRIC_TUNNELS, 2);
    metric_add(&metrics, METRIC_TUNNELS, -1);
    cr_assert_eq(metric_read(&metrics, METRIC_REQUESTS), 7);
    cr_assert_eq(metric_read(&metrics, METRIC_TUNNELS), 1);
    cr_assert_eq(metric_read(&metrics, METRIC_BYTES_IN), 0);
}
