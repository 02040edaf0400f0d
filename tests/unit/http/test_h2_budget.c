/* What an HTTP/2 client may make us do for nothing: those who behave never notice, floods end. */
#include "http/h2_budget.h"

#include <criterion/criterion.h>

enum { START_MS = 5000 };

static struct h2_budget budget;
static uint64_t now_ms;

static void start(void)
{
    now_ms = START_MS;
    h2_budget_init(&budget, now_ms);
}

/* How many are paid for, of `most`. */
static unsigned spend(enum h2_expense expense, unsigned most)
{
    unsigned count = 0;

    while (count < most && h2_budget_spend(&budget, expense, now_ms))
        count++;
    return count;
}

static void expect_all(enum h2_expense expense, unsigned count)
{
    cr_assert_eq(spend(expense, count), count, "expense %d", (int)expense);
}

TestSuite(h2_budget, .init = start);

/* The table of the header. */
Test(h2_budget, so_much_at_once_and_then_so_much_a_second)
{
    static const struct {
        enum h2_expense expense;
        unsigned at_once, a_second;
    } table[] = {{H2_SPENT_ON_RESET, 333, 33},     {H2_SPENT_ON_SETTINGS, 50, 5},
                 {H2_SPENT_ON_PING, 200, 20},      {H2_SPENT_ON_EMPTY, 200, 20},
                 {H2_SPENT_ON_WINDOW, 2000, 200},  {H2_SPENT_ON_PRIORITY, 2000, 200},
                 {H2_SPENT_ON_FRAGMENT, 1000, 100}};

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        start();
        cr_expect_eq(spend(table[i].expense, 100000), table[i].at_once, "row %u", i);
        for (unsigned second = 0; second < 3; second++) {
            now_ms += 1000;
            cr_expect_eq(spend(table[i].expense, 100000), table[i].a_second, "row %u", i);
        }
        now_ms += 100000;
        cr_expect_eq(spend(table[i].expense, 100000), table[i].at_once, "no more than full");
    }
}

Test(h2_budget, comes_back_by_the_millisecond)
{
    cr_assert_eq(spend(H2_SPENT_ON_FRAGMENT, 2000), 1000);
    now_ms += 9;
    cr_expect_eq(spend(H2_SPENT_ON_FRAGMENT, 1000), 0, "9 ms are not enough, and then lost");
    now_ms += 10;
    cr_expect_eq(spend(H2_SPENT_ON_FRAGMENT, 1000), 1);
}

Test(h2_budget, years_between_are_no_overflow)
{
    expect_all(H2_SPENT_ON_RESET, 333);
    now_ms = UINT64_MAX;
    expect_all(H2_SPENT_ON_RESET, 333);
}

Test(h2_budget, a_clock_that_stands_gives_nothing)
{
    expect_all(H2_SPENT_ON_RESET, 333);
    now_ms -= 1000;
    cr_expect_eq(spend(H2_SPENT_ON_RESET, 1), 0);
}

/* --- those who behave ----------------------------------------------------------------------- */

Test(h2_budget, browser_that_leaves_pages_of_images)
{
    for (unsigned page = 0; page < 100; page++) {
        expect_all(H2_SPENT_ON_PRIORITY, 200);
        for (unsigned i = 0; i < 100; i++)
            h2_budget_earn_answer(&budget);
        expect_all(H2_SPENT_ON_RESET, 100);
        now_ms += 2000;
    }
}

/* Three pages left one behind the other, of which nothing was answered. */
Test(h2_budget, impatient_browser)
{
    expect_all(H2_SPENT_ON_RESET, 300);
}

Test(h2_budget, every_second_request_is_called_off)
{
    for (unsigned i = 0; i < 100000; i++) {
        expect_all(H2_SPENT_ON_RESET, 1);
        h2_budget_earn_answer(&budget);
    }
}

Test(h2_budget, pings_to_keep_a_connection_alive)
{
    for (unsigned i = 0; i < 10000; i++) {
        expect_all(H2_SPENT_ON_PING, 1);
        now_ms += 10000;
    }
}

/* With a ping for each DATA frame, to measure the bandwidth, and windows opened for each 4 KiB. */
Test(h2_budget, fast_download)
{
    for (unsigned i = 0; i < 100000; i++) {
        h2_budget_earn_data(&budget, 1, 0);
        expect_all(H2_SPENT_ON_WINDOW, 8);
        expect_all(H2_SPENT_ON_PING, 1);
    }
    expect_all(H2_SPENT_ON_RESET, 333);
}

Test(h2_budget, windows_that_are_opened_once_much_has_come)
{
    h2_budget_earn_data(&budget, 64, 0);
    expect_all(H2_SPENT_ON_WINDOW, 64 * 9);
    expect_all(H2_SPENT_ON_RESET, 333);
}

Test(h2_budget, uploads)
{
    for (unsigned i = 0; i < 100000; i++) {
        h2_budget_earn_data(&budget, 0, 1);
        expect_all(H2_SPENT_ON_PING, 1);
    }
}

/* Each with a window of its own and a place in the order. */
Test(h2_budget, any_number_of_requests)
{
    for (unsigned i = 0; i < 100000; i++) {
        expect_all(H2_SPENT_ON_WINDOW, 1);
        expect_all(H2_SPENT_ON_PRIORITY, 2);
        expect_all(H2_SPENT_ON_FRAGMENT, 1);
        h2_budget_earn_answer(&budget);
    }
}

/* --- those who do not ----------------------------------------------------------------------- */

Test(h2_budget, what_data_makes_free_pays_for_no_reset)
{
    h2_budget_earn_data(&budget, 1000, 1000);
    cr_expect_eq(spend(H2_SPENT_ON_RESET, 100000), 333);
}

Test(h2_budget, data_pays_for_no_endless_flood)
{
    for (unsigned i = 0; i < 1000; i++)
        h2_budget_earn_data(&budget, UINT32_MAX, UINT32_MAX);
    cr_expect_eq(spend(H2_SPENT_ON_PING, 100000), 10000 + 200);
    cr_expect_eq(spend(H2_SPENT_ON_WINDOW, 1), 0);
}

Test(h2_budget, answers_are_no_savings)
{
    for (unsigned i = 0; i < 100000; i++)
        h2_budget_earn_answer(&budget);
    cr_expect_eq(spend(H2_SPENT_ON_RESET, 100000), 333);
}

Test(h2_budget, all_is_paid_from_one)
{
    expect_all(H2_SPENT_ON_SETTINGS, 25);
    expect_all(H2_SPENT_ON_PING, 50);
    expect_all(H2_SPENT_ON_EMPTY, 48);
    cr_expect_eq(spend(H2_SPENT_ON_RESET, 100), 3);
}
