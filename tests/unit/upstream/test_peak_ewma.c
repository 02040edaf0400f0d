/* How long answers take: worse is believed at once, better by and by. */
#include "upstream/peak_ewma.h"

#include <criterion/criterion.h>

enum { SECOND_US = 1000 * 1000, START_US = 1000 * SECOND_US };

static void expect_about(uint64_t got_us, double expected_us)
{
    cr_assert(got_us > expected_us * 0.999 - 1 && got_us < expected_us * 1.001 + 1,
              "%lu instead of %f", (unsigned long)got_us, expected_us);
}

Test(peak_ewma, nothing_is_known_at_first)
{
    struct peak_ewma average = {0};
    cr_assert_eq(peak_ewma_now(&average, START_US), 0);
    peak_ewma_note(&average, START_US, 0); /* faster than the clock, but measured */
    cr_assert_eq(peak_ewma_now(&average, START_US), 1);
}

Test(peak_ewma, worse_is_believed_at_once)
{
    struct peak_ewma average = {0};
    peak_ewma_note(&average, START_US, 1000);
    cr_assert_eq(peak_ewma_now(&average, START_US), 1000);
    peak_ewma_note(&average, START_US + 1, 50000);
    cr_assert_eq(peak_ewma_now(&average, START_US + 1), 50000);
    peak_ewma_note(&average, START_US + 2, 50001);
    cr_assert_eq(peak_ewma_now(&average, START_US + 2), 50001);
}

/* As often as it is noted, or in one go: what counts is the time. */
Test(peak_ewma, better_is_believed_over_ten_seconds)
{
    struct peak_ewma average = {0}, at_once = {0};
    uint64_t now_us = START_US;
    peak_ewma_note(&average, now_us, 20000);
    peak_ewma_note(&at_once, now_us, 20000);
    for (int i = 0; i < 1000; i++) {
        now_us += 10 * 1000;
        peak_ewma_note(&average, now_us, 1000);
    }
    peak_ewma_note(&at_once, now_us, 1000);
    expect_about(peak_ewma_now(&average, now_us), 1000 + 19000 * 0.367879);
    expect_about(peak_ewma_now(&at_once, now_us), 1000 + 19000 * 0.367879);
}

Test(peak_ewma, what_is_not_heard_of_is_forgotten)
{
    struct peak_ewma average = {0};
    peak_ewma_note(&average, START_US, 20000);
    expect_about(peak_ewma_now(&average, START_US + 10 * SECOND_US), 20000 * 0.367879);
    expect_about(peak_ewma_now(&average, START_US + 20 * SECOND_US), 20000 * 0.135335);
    cr_assert_eq(peak_ewma_now(&average, START_US + 110 * SECOND_US), 1);
    cr_assert_eq(peak_ewma_now(&average, START_US + 120 * SECOND_US), 0);
    cr_assert_eq(peak_ewma_now(&average, UINT64_MAX), 0);
}

Test(peak_ewma, waiting_without_an_answer_says_something_only_where_it_is_worse)
{
    struct peak_ewma average = {0};
    peak_ewma_note_at_least(&average, START_US, 0);
    cr_assert_eq(peak_ewma_now(&average, START_US), 0);
    peak_ewma_note_at_least(&average, START_US, 700);
    cr_assert_eq(peak_ewma_now(&average, START_US), 700);
    peak_ewma_note_at_least(&average, START_US + SECOND_US, 100);
    expect_about(peak_ewma_now(&average, START_US + SECOND_US), 700 * 0.904837);
}

Test(peak_ewma, a_failure_counts_as_ten_times_what_is_known)
{
    struct peak_ewma average = {0};
    peak_ewma_note(&average, START_US, 1000);
    peak_ewma_note_failure(&average, START_US, 10);
    cr_assert_eq(peak_ewma_now(&average, START_US), 10000);
    peak_ewma_note_failure(&average, START_US, 10);
    cr_assert_eq(peak_ewma_now(&average, START_US), 100000);
    for (int i = 0; i < 10; i++)
        peak_ewma_note_failure(&average, START_US, 10);
    cr_assert_eq(peak_ewma_now(&average, START_US), PEAK_EWMA_FAILURE_MOST_US);
}

Test(peak_ewma, a_failure_counts_as_a_second_where_nothing_is_known_and_as_what_it_took_at_least)
{
    struct peak_ewma average = {0};
    peak_ewma_note_failure(&average, START_US, 10);
    cr_assert_eq(peak_ewma_now(&average, START_US), SECOND_US);
    peak_ewma_note_failure(&average, START_US, 30 * SECOND_US);
    cr_assert_eq(peak_ewma_now(&average, START_US), 30 * SECOND_US);
    peak_ewma_note_failure(&average, START_US, 90 * SECOND_US);
    cr_assert_eq(peak_ewma_now(&average, START_US), 90 * SECOND_US);
}
