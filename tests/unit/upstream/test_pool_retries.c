/* upstream/pool: what it has to do with tries beyond the first: the budget of going on, servers
 * that are left out, and when a second one should be asked. */
#include "support/pool_fixture.h"

#include <criterion/criterion.h>
#include <unistd.h>

enum { FLOOR = 100 }; /* of the one worker's budget */

static struct pool_fixture f;
static int sockets[2];

static void end(void)
{
    pool_fixture_clear(&f);
    close(sockets[0]);
    close(sockets[1]);
}

TestSuite(pool_retries, .fini = end);

static void begin(bool is_first_dead, bool is_second_dead)
{
    const bool is_dead[] = {is_first_dead, is_second_dead};

    pool_fixture_init(&f, 0);
    for (int i = 0; i < 2; i++) {
        struct address address;
        sockets[i] = is_dead[i] ? loopback_refuse(&address) : loopback_listen(&address);
        pool_fixture_add(&f, &address, 1);
    }
    pool_fixture_follow(&f);
}

static uint64_t metric_of(enum metric which)
{
    return metric_read(&f.metrics, which);
}

Test(pool_retries, going_on_is_paid_from_the_budget)
{
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 2, .retry_percent = 0};
    unsigned attempts = 0;

    begin(true, true);
    for (int i = 0; i < FLOOR + 5; i++) {
        struct pool_result result = pool_fixture_ask(&f, &ask);
        cr_assert_eq(result.answer, IO_ERROR);
        cr_assert_eq(result.failure, POOL_CONNECT_FAILED);
        attempts += result.attempts;
    }
    cr_assert_eq(attempts, 2 * FLOOR + 5);
    cr_assert_eq(metric_of(METRIC_UPSTREAM_RETRIES), FLOOR);
    cr_assert_eq(metric_of(METRIC_UPSTREAM_RETRIES_REFUSED), 5);
    cr_assert_not(pool_spend_retry(f.pool, 0));
}

/* A request that is tried again was counted when it came. */
Test(pool_retries, budget_grows_with_requests_alone)
{
    const struct pool_ask first = {.connect_timeout_ms = 1000, .max_tries = 1};
    const struct pool_ask again = {.connect_timeout_ms = 1000, .max_tries = 1, .again = true};
    int spent = 0;

    begin(true, true);
    for (int i = 0; i < FLOOR + 20; i++)
        pool_fixture_ask(&f, &first);
    for (int i = 0; i < FLOOR + 20; i++)
        pool_fixture_ask(&f, &again);
    while (pool_spend_retry(f.pool, 100))
        spent++;
    cr_assert_eq(spent, FLOOR + 20);
}

Test(pool_retries, the_other_server_or_none)
{
    begin(false, true);
    const struct pool_ask others = {.connect_timeout_ms = 1000,
                                    .max_tries = 5,
                                    .avoid = slice_of(f.names[0]),
                                    .only_others = true};
    struct pool_result result = pool_fixture_ask(&f, &others);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.attempts, 1);
    cr_assert_str_eq(result.server, f.names[1]);
    f.spec.server_count = 1;
    pool_fixture_follow(&f);
    result = pool_fixture_ask(&f, &others);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.failure, POOL_NO_SERVER);
    cr_assert_eq(result.attempts, 0);
}

static void note_many(void)
{
    for (int i = 0; i < 200; i++)
        pool_note_response(f.pool, loop_now_us(f.env.loop));
}

Test(pool_retries, second_server_is_due_once_times_are_known)
{
    begin(false, false);
    note_many();
    cr_assert_eq(pool_hedge_after_us(f.pool), 0, "nobody asked for it");
    f.spec.hedge_permille = 950;
    pool_fixture_follow(&f);
    cr_assert_eq(pool_hedge_after_us(f.pool), 0, "nothing is known yet");
    note_many();
    cr_assert_gt(pool_hedge_after_us(f.pool), 0);
    f.spec.keepalive++;
    pool_fixture_follow(&f);
    cr_assert_gt(pool_hedge_after_us(f.pool), 0, "another generation forgets nothing");
    f.spec.server_count = 1;
    pool_fixture_follow(&f);
    cr_assert_eq(pool_hedge_after_us(f.pool), 0, "there is no second one");
}
