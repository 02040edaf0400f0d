/* upstream/retry_budget: a share of the last ten seconds' requests, by a clock that the test holds.
 */
#include "upstream/retry_budget.h"

#include <criterion/criterion.h>

enum { PERCENT = 20, AT_LEAST = 10 };

static struct retry_budget budget;

static void requests(int count, uint64_t now_ms)
{
    for (int i = 0; i < count; i++)
        retry_budget_note_request(&budget, now_ms);
}

/* Takes until it is refused. */
static int take_all(uint64_t now_ms, unsigned percent, unsigned at_least)
{
    int taken = 0;

    while (taken < 100000 && retry_budget_take(&budget, now_ms, percent, at_least))
        taken++;
    return taken;
}

Test(retry_budget, is_a_share_of_the_requests)
{
    requests(1000, 5000);
    cr_expect_eq(take_all(5000, PERCENT, AT_LEAST), 200);
    requests(5, 5000);
    cr_expect_eq(take_all(5999, PERCENT, AT_LEAST), 1);
}

Test(retry_budget, is_never_below_its_floor)
{
    cr_expect_eq(take_all(5000, PERCENT, AT_LEAST), AT_LEAST);
    requests(49, 5000);
    cr_expect_eq(take_all(5000, PERCENT, AT_LEAST), 0);
    requests(6, 5000);
    cr_expect_eq(take_all(5000, PERCENT, AT_LEAST), 1);
}

Test(retry_budget, forgets_what_is_older_than_ten_seconds)
{
    requests(500, 5000);
    cr_expect_eq(take_all(5000, PERCENT, AT_LEAST), 100);
    requests(500, 9000);
    cr_expect_eq(take_all(14999, PERCENT, AT_LEAST), 100);
    /* The first requests have gone, and so have the first hundred tries. */
    cr_expect_eq(take_all(15000, PERCENT, AT_LEAST), 0);
    cr_expect_eq(take_all(19000, PERCENT, AT_LEAST), 0);
    cr_expect_eq(take_all(24999, PERCENT, AT_LEAST), AT_LEAST);
}

Test(retry_budget, survives_long_silence_and_late_starts)
{
    const uint64_t late_ms = UINT64_C(1) << 50;

    requests(500, late_ms);
    cr_expect_eq(take_all(late_ms, PERCENT, 0), 100);
    cr_expect_eq(take_all(late_ms + 3600 * 1000, PERCENT, 0), 0);
    requests(10, late_ms + 3600 * 1000);
    cr_expect_eq(take_all(late_ms + 3600 * 1000, PERCENT, 0), 2);
}

/* A hundred tries a request are all there can be. */
Test(retry_budget, limits_nobody_when_it_is_off)
{
    requests(7, 5000);
    cr_expect_geq(take_all(5000, 0xffff, 0), 7 * 100);
}
