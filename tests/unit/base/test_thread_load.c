/* base/thread_load: high is what was busy for nearly all of a second. */
#include "base/thread_load.h"

#include "base/clock.h"

#include <criterion/criterion.h>

static struct thread_load load;

/* One second and a half in steps of 100 ms, busy for so many percent of each; the last verdict. */
static bool after(uint64_t *now_us, uint64_t *used_us, unsigned percent)
{
    bool is_high = false;

    for (int i = 0; i < 15; i++) {
        *now_us += 100000;
        *used_us += 1000 * percent;
        is_high = thread_load_judge(&load, *now_us, *used_us);
    }
    return is_high;
}

Test(thread_load, follows_the_last_second)
{
    uint64_t now_us = 5000000, used_us = 77;

    cr_expect(!after(&now_us, &used_us, 50));
    cr_expect(!after(&now_us, &used_us, 89));
    cr_expect(after(&now_us, &used_us, 90));
    cr_expect(after(&now_us, &used_us, 100));
    cr_expect(!after(&now_us, &used_us, 20));
}

Test(thread_load, one_busy_moment_is_not_enough)
{
    uint64_t now_us = 5000000, used_us = 0;

    after(&now_us, &used_us, 10);
    for (int i = 0; i < 5; i++) {
        now_us += 100000;
        used_us += 100000;
        cr_expect(!thread_load_judge(&load, now_us, used_us));
    }
}

Test(thread_load, is_not_high_before_a_second_was_seen)
{
    cr_expect(!thread_load_judge(&load, 1000000, 1000000));
    cr_expect(!thread_load_judge(&load, 1900000, 1900000));
    cr_expect(thread_load_judge(&load, 2000000, 2000000));
}

Test(thread_load, asked_rarely_knows_the_time_between)
{
    thread_load_judge(&load, 1000000, 0);
    cr_expect(thread_load_judge(&load, 6000000, 4900000));
    cr_expect(!thread_load_judge(&load, 60000000, 58000000)); /* says nothing any more */
}

Test(thread_load, clock_is_looked_at_now_and_then)
{
    uint64_t now_us = clock_monotonic_us();

    load = (struct thread_load){0};
    thread_load_is_high(&load, now_us);
    thread_load_is_high(&load, now_us + LOAD_SAMPLE_US - 1);
    cr_expect_eq(load.count, 1);
    thread_load_is_high(&load, now_us + LOAD_SAMPLE_US);
    cr_expect_eq(load.count, 2);
}
