#include "policy/rate_table.h"

#include "base/random.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, FLOOD = 700 * 1000 };

static const uint64_t SECOND = 1000 * 1000 * 1000;
static const uint64_t START = 12345678901234;

static struct rate_table *table;

static void begin(void)
{
    table = rate_table_new();
    cr_assert_not_null(table);
}

static void end(void)
{
    rate_table_free(table);
}

TestSuite(rate_table, .init = begin, .fini = end, .timeout = 240);

/* So many a second, so many at once. */
static struct rate_charge charge_of(uint64_t key, uint64_t rate, uint64_t burst)
{
    return (struct rate_charge){
        .key = key,
        .rate = {.interval_ns = SECOND / rate, .window_ns = SECOND / rate * burst},
        .is_enforced = true};
}

static bool take(uint64_t now_ns, struct rate_charge charge)
{
    return rate_table_charge(table, now_ns, &charge, 1);
}

static unsigned take_all(uint64_t now_ns, struct rate_charge charge)
{
    unsigned taken = 0;

    while (take(now_ns, charge))
        taken++;
    return taken;
}

Test(rate_table, a_burst_and_then_the_rate)
{
    const struct rate_charge charge = charge_of(7, 50, 100);

    cr_expect_eq(take_all(START, charge), 100);
    cr_expect_not(take(START + SECOND / 50 - 1, charge));
    cr_expect(take(START + SECOND / 50, charge));
    cr_expect_not(take(START + SECOND / 50, charge));
    cr_expect_eq(take_all(START + SECOND, charge), 49);
    cr_expect_eq(take_all(START + 3600 * SECOND, charge), 100, "no more than a burst is saved up");
}

Test(rate_table, says_what_is_left_and_how_long_to_wait)
{
    struct rate_charge charge = charge_of(7, 10, 3);

    cr_expect(rate_table_charge(table, START, &charge, 1));
    cr_expect_eq(rate_remaining(&charge), 2);
    cr_expect_eq(charge.debt_ns, SECOND / 10);
    take_all(START, charge);
    cr_expect_not(rate_table_charge(table, START + SECOND / 100, &charge, 1));
    cr_expect_eq(rate_remaining(&charge), 0);
    cr_expect_eq(rate_wait_ns(&charge), SECOND / 10 - SECOND / 100);
}

/* A clock that is a little behind another worker's gives nothing away. */
Test(rate_table, clocks_that_differ)
{
    const struct rate_charge charge = charge_of(7, 1000, 5);

    cr_expect_eq(take_all(START, charge), 5);
    cr_expect_not(take(START - SECOND, charge));
    cr_expect_eq(take_all(START + SECOND / 1000, charge), 1);
}

Test(rate_table, one_that_is_refused_is_charged_nowhere)
{
    const struct rate_charge narrow = charge_of(1, 1, 2), wide = charge_of(2, 1, 10);
    struct rate_charge both[2];

    for (int i = 0; i < 50; i++) {
        both[0] = narrow;
        both[1] = wide;
        cr_expect_eq(rate_table_charge(table, START, both, 2), i < 2);
        cr_expect_eq(both[0].is_over, i >= 2);
        cr_expect_not(both[1].is_over);
    }
    cr_expect_eq(take_all(START, wide), 8);
}

Test(rate_table, what_is_not_enforced_is_only_counted)
{
    struct rate_charge counted = charge_of(1, 1, 2), both[2];

    counted.is_enforced = false;
    for (int i = 0; i < 5; i++) {
        both[0] = counted;
        both[1] = charge_of(2, 1, 5);
        cr_expect(rate_table_charge(table, START, both, 2));
        cr_expect_eq(both[0].is_over, i >= 2, "it is charged to as many as it would let pass");
    }
    cr_expect_not(take(START, charge_of(2, 1, 5)));
}

Test(rate_table, several_in_one_line)
{
    struct rate_charge charges[RATE_CHARGES_MOST];

    for (int i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 8; k++)
            charges[k] = charge_of(k, 1, 3 + k);
        cr_expect_eq(rate_table_charge(table, START, charges, 8), i < 3);
    }
    cr_expect_eq(rate_table_used(table, START), 8);
}

Test(rate_table, another_rate_goes_on_with_the_part_that_was_used)
{
    take_all(START, charge_of(1, 10, 10));
    cr_expect_eq(take_all(START, charge_of(1, 100, 1000)), 0);
    cr_expect_eq(take_all(START + SECOND, charge_of(1, 100, 1000)), 100);
    for (int i = 0; i < 5; i++)
        take(START, charge_of(2, 10, 10));
    cr_expect_eq(take_all(START, charge_of(2, 1, 4)), 2);
}

static unsigned flood(uint64_t now_ns, uint64_t rate, uint64_t burst)
{
    struct random_source random = {now_ns};
    unsigned passed = 0;

    for (unsigned i = 0; i < FLOOD; i++)
        passed += take(now_ns, charge_of(random_next(&random), rate, burst));
    return passed;
}

Test(rate_table, a_flood_of_keys_resets_nobody)
{
    enum { CLIENTS = 10000 };
    struct random_source random = {1};
    uint64_t keys[CLIENTS];

    for (unsigned i = 0; i < CLIENTS; i++) {
        keys[i] = random_next(&random);
        cr_assert_eq(take_all(START, charge_of(keys[i], 1, 5)), 5);
    }
    /* With a slower limit, too, whose debts last longer. */
    cr_expect_eq(flood(START, 1, 100) + flood(START + 1, 1, 10000), 2 * FLOOD,
                 "whoever comes anew passes");
    for (unsigned i = 0; i < CLIENTS; i++)
        cr_assert_not(take(START + 2, charge_of(keys[i], 1, 5)), "%u was forgotten", i);
    cr_expect_leq(rate_table_used(table, START), rate_table_room());
}

Test(rate_table, what_has_run_off_makes_room)
{
    flood(START, 10, 10);
    cr_expect_geq(rate_table_used(table, START), rate_table_room() * 90 / 100);
    cr_expect_eq(rate_table_used(table, START + SECOND), 0);
    flood(START + 2 * SECOND, 10, 10);
    cr_expect_leq(rate_table_used(table, START), rate_table_room());
}

/* --- threads ------------------------------------------------------------------------------------
 */

static _Atomic uint64_t clock_ns;
static _Atomic unsigned admitted[2];

enum { STEPS = 400000, STEP_NS = 1000 };

/* Each on a clock that all of them move, now against one limit, now against two, now in the other
 * order. */
static void *ask(void *owner)
{
    struct random_source random = {(uint64_t)(uintptr_t)owner};

    for (unsigned i = 0; i < STEPS / THREADS; i++) {
        uint64_t now_ns = atomic_fetch_add(&clock_ns, STEP_NS);
        struct rate_charge charges[2] = {charge_of(UINT64_MAX, 1000000, 30),
                                         charge_of(1, 400000, 50)};
        if (random_below(&random, 2) == 0) {
            struct rate_charge first = charges[0];
            charges[0] = charges[1];
            charges[1] = first;
        }
        if (rate_table_charge(table, now_ns, charges, 2))
            atomic_fetch_add(&admitted[0], 1);
        if (take(now_ns, charge_of(2, 200000, 10)))
            atomic_fetch_add(&admitted[1], 1);
    }
    return NULL;
}

Test(rate_table, is_exact_with_threads)
{
    pthread_t threads[THREADS];
    const unsigned ms = STEPS / (1000 * 1000 / STEP_NS);

    atomic_store(&clock_ns, START);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* A thread may be kept from its turn between its look at the clock and the table: that loses a
     * little, and never gains. */
    cr_expect_leq(admitted[0], 400 * ms + 50);
    cr_expect_geq(admitted[0], 400 * ms * 95 / 100);
    cr_expect_leq(admitted[1], 200 * ms + 10);
    cr_expect_geq(admitted[1], 200 * ms * 90 / 100);
}
