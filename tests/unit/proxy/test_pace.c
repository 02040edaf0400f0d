/* proxy/pace: a least rate, judged by a clock that the test holds. */
#include "proxy/pace.h"

#include <criterion/criterion.h>

enum { RATE = 1024 };

static struct pace pace;

Test(pace, is_judged_after_a_window_and_not_before)
{
    cr_expect(pace_is_new(&pace));
    pace_begin(&pace, 1000, 0);
    cr_expect_not(pace_is_new(&pace));
    cr_expect_eq(pace_left_ms(&pace, 1000), PACE_WINDOW_MS);
    cr_expect_eq(pace_left_ms(&pace, 1000 + PACE_WINDOW_MS - 1), 1);
    cr_expect_eq(pace_left_ms(&pace, 1000 + PACE_WINDOW_MS), 0);
    cr_expect_eq(pace_left_ms(&pace, 1000 + 2 * PACE_WINDOW_MS), 0);
}

Test(pace, holds_an_average)
{
    const uint64_t enough = RATE * PACE_WINDOW_MS / 1000;

    pace_begin(&pace, 1000, 500);
    cr_expect(pace_is_kept(&pace, RATE, 1000 + PACE_WINDOW_MS, 500 + enough));
    cr_expect_not(pace_is_kept(&pace, RATE, 1000 + PACE_WINDOW_MS, 500 + enough - 1));
    /* Later than its window's end it owes as much more. */
    cr_expect_not(pace_is_kept(&pace, RATE, 1000 + 2 * PACE_WINDOW_MS, 500 + enough));
    cr_expect(pace_is_kept(&pace, RATE, 1000 + 2 * PACE_WINDOW_MS, 500 + 2 * enough));
}

Test(pace, earlier_bytes_are_no_credit)
{
    pace_begin(&pace, 1000, 0);
    cr_expect(pace_is_kept(&pace, RATE, 6000, 1000000));
    pace_begin(&pace, 6000, 1000000);
    cr_expect_not(pace_is_kept(&pace, RATE, 11000, 1000001));
}

Test(pace, time_that_others_take_does_not_count)
{
    pace_begin(&pace, 1000, 0);
    pace_pause(&pace, 3000);
    cr_expect_eq(pace_left_ms(&pace, 90000), PACE_WINDOW_MS - 2000);
    pace_resume(&pace, 90000);
    pace_resume(&pace, 91000); /* waited for already */
    cr_expect_eq(pace_left_ms(&pace, 91000), PACE_WINDOW_MS - 3000);
    pace_pause(&pace, 93000);
    cr_expect_eq(pace_left_ms(&pace, 99000), 0);
    cr_expect(pace_is_kept(&pace, RATE, 99000, RATE * 5));
    cr_expect_not(pace_is_kept(&pace, RATE, 99000, RATE * 5 - 1));
}

Test(pace, what_nobody_knows_is_no_offence)
{
    pace_begin(&pace, 1000, UINT64_MAX);
    cr_expect(pace_is_kept(&pace, RATE, 1000 + PACE_WINDOW_MS, UINT64_MAX));
}

Test(pace, highest_rate_over_a_long_stall)
{
    pace_begin(&pace, 1000, 0);
    cr_expect_not(pace_is_kept(&pace, UINT64_C(1) << 30, UINT64_C(1) << 32, 1000));
}
