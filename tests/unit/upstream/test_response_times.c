/* upstream/response_times: when so many of a thousand answers have come. */
#include "upstream/response_times.h"

#include <criterion/criterion.h>
#include <string.h>

static struct response_times times;

static void add(int count, uint64_t took_us, uint64_t now_ms)
{
    for (int i = 0; i < count; i++)
        response_times_add(&times, now_ms, took_us);
}

/* Never earlier than it was, and no more than an eighth later. */
static void expect_about(uint64_t us, unsigned permille, uint64_t now_ms)
{
    uint64_t within = response_times_within_us(&times, now_ms, permille);

    cr_assert(within > us && within <= us + us / 8 + 1, "%u of 1000 within %llu us, not %llu",
              permille, (unsigned long long)within, (unsigned long long)us);
}

Test(response_times, say_nothing_of_too_few)
{
    add(RESPONSE_TIMES_ENOUGH - 1, 1000, 5);
    cr_expect_eq(response_times_within_us(&times, 5, 950), 0);
    add(1, 1000, 5);
    expect_about(1000, 950, 5);
}

Test(response_times, tell_the_slow_ones_apart)
{
    add(900, 1000, 5);
    add(90, 20 * 1000, 5);
    add(10, 3000 * 1000, 5);
    expect_about(1000, 500, 5);
    expect_about(1000, 899, 5);
    expect_about(20 * 1000, 950, 5);
    expect_about(20 * 1000, 989, 5);
    expect_about(3000 * 1000, 999, 5);
}

Test(response_times, are_right_at_every_size)
{
    for (uint64_t us = 0; us < UINT64_C(100) * 1000 * 1000; us = us * 9 / 8 + 1) {
        memset(&times, 0, sizeof(times));
        add(RESPONSE_TIMES_ENOUGH, us, 5);
        expect_about(us, 950, 5);
    }
}

/* Beyond two minutes all are alike. */
Test(response_times, take_any_time)
{
    add(RESPONSE_TIMES_ENOUGH, UINT64_MAX, 5);
    cr_expect_eq(response_times_within_us(&times, 5, 950), UINT64_C(1) << 27);
}

Test(response_times, are_forgotten)
{
    add(1000, 1000, 0);
    add(1000, 50 * 1000, RESPONSE_TIMES_SPAN_MS);
    expect_about(1000, 400, 2 * RESPONSE_TIMES_SPAN_MS - 1);
    expect_about(50 * 1000, 400, 2 * RESPONSE_TIMES_SPAN_MS);
    cr_expect_eq(response_times_within_us(&times, 3 * RESPONSE_TIMES_SPAN_MS, 400), 0);
    add(1000, 1000, 10 * RESPONSE_TIMES_SPAN_MS);
    expect_about(1000, 999, 10 * RESPONSE_TIMES_SPAN_MS);
    cr_expect_eq(response_times_within_us(&times, 20 * RESPONSE_TIMES_SPAN_MS, 999), 0);
}
