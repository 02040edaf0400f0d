/* The same server for the same key, wherever it is asked; little moves; nobody drowns. */
#include "base/table.h"
#include "support/balancer_fixture.h"
#include "support/chi_square.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { KEYS = 100000, SERVERS = 10 };

static const uint16_t even[SERVERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* As of clients' addresses, one after the other. */
static uint64_t key_of(unsigned number)
{
    char text[32];
    snprintf(text, sizeof(text), "10.%u.%u.%u", number >> 16, number >> 8 & 255, number & 255);
    return hash_fixed(slice_of(text));
}

static int pick(struct balancer_fixture *f, unsigned number)
{
    f->ask.key = key_of(number);
    return balancer_fixture_pick(f);
}

static int *pick_all(struct balancer_fixture *f)
{
    static int picks[KEYS];
    for (unsigned i = 0; i < KEYS; i++)
        picks[i] = pick(f, i);
    return picks;
}

Test(balance_hash, keys_are_spread_evenly)
{
    static const double expected[SERVERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct balancer_fixture f;
    unsigned got[SERVERS] = {0}, most = 0;
    balancer_fixture_init(&f, BALANCE_HASH, even, SERVERS);
    const int *picks = pick_all(&f);
    for (unsigned i = 0; i < KEYS; i++)
        got[picks[i]]++;
    for (unsigned i = 0; i < SERVERS; i++)
        most = got[i] > most ? got[i] : most;
    cr_assert_leq(most, KEYS / SERVERS * 1.05);
    cr_assert(chi_square_fits(got, expected, SERVERS));
    balancer_fixture_clear(&f);
}

Test(balance_hash, keys_are_spread_by_weight)
{
    static const uint16_t weights[] = {1, 2, 3, 4, 0, 90};
    static const double expected[] = {1, 2, 3, 4, 90};
    struct balancer_fixture f;
    unsigned got[6] = {0};
    balancer_fixture_init(&f, BALANCE_HASH, weights, 6);
    const int *picks = pick_all(&f);
    for (unsigned i = 0; i < KEYS; i++)
        got[picks[i]]++;
    cr_assert_eq(got[4], 0);
    got[4] = got[5];
    cr_assert(chi_square_fits(got, expected, 5));
    balancer_fixture_clear(&f);
}

/* Each of the ten: out, and back. */
Test(balance_hash, only_the_keys_of_one_that_goes_move)
{
    struct balancer_fixture f;
    balancer_fixture_init(&f, BALANCE_HASH, even, SERVERS);
    const int *before = pick_all(&f);
    for (unsigned gone = 0; gone < SERVERS; gone++) {
        unsigned moved = 0, got[SERVERS] = {0};
        f.servers[gone]->share.weight = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            int now = pick(&f, i);
            cr_assert_neq(now, (int)gone);
            cr_assert(now == before[i] || before[i] == (int)gone, "key %u: %d to %d", i, before[i],
                      now);
            moved += now != before[i];
            got[now] += now != before[i];
        }
        cr_assert_leq(moved, KEYS * 1.2 / SERVERS);
        for (unsigned i = 0; i < SERVERS; i++) /* to all that are left */
            cr_assert(i == gone || got[i] > moved / SERVERS, "%u of %u to %u", got[i], moved, i);
        f.servers[gone]->share.weight = 1;
    }
    for (unsigned i = 0; i < KEYS; i++)
        cr_assert_eq(pick(&f, i), before[i]);
    balancer_fixture_clear(&f);
}

Test(balance_hash, keys_move_only_to_one_that_gains_weight)
{
    struct balancer_fixture f;
    unsigned moved = 0;
    balancer_fixture_init(&f, BALANCE_HASH, even, SERVERS);
    const int *before = pick_all(&f);
    f.servers[3]->share.weight = 2;
    for (unsigned i = 0; i < KEYS; i++) {
        int now = pick(&f, i);
        cr_assert(now == before[i] || now == 3, "key %u: %d to %d", i, before[i], now);
        moved += now != before[i];
    }
    /* From 1/10 to 2/11 of all. */
    cr_assert(moved > KEYS * 0.075 && moved < KEYS * 0.09, "%u moved", moved);
    balancer_fixture_clear(&f);
}

/* Whatever the order they are written in, and whoever is asked, today or in the next version. */
Test(balance_hash, gateways_agree)
{
    static const int expected[] = {7, 4, 8, 8, 2, 9, 6, 4};
    struct balancer_fixture f, other;
    balancer_fixture_init(&f, BALANCE_HASH, even, SERVERS);
    balancer_fixture_init(&other, BALANCE_HASH, even, SERVERS);
    other.balancer.random.state++;
    for (unsigned i = 0; i < SERVERS / 2; i++) {
        struct server *swapped = other.servers[i];
        other.servers[i] = other.servers[SERVERS - 1 - i];
        other.servers[SERVERS - 1 - i] = swapped;
    }
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(pick(&other, i), SERVERS - 1 - pick(&f, i));
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        cr_assert_eq(pick(&f, i), expected[i], "key %u: %d", i, pick(&f, i));
    balancer_fixture_clear(&f);
    balancer_fixture_clear(&other);
}

/* --- bounded loads ------------------------------------------------------------------------ */

/* The least that is as much as 5/4 of its share of `in_flight` requests and one more. */
static uint32_t bound(uint32_t in_flight, unsigned weight, unsigned all_weights)
{
    return (5 * (in_flight + 1) * weight + 4 * all_weights - 1) / (4 * all_weights);
}

Test(balance_hash, a_client_alone_stays_at_its_server)
{
    struct balancer_fixture f;
    balancer_fixture_init(&f, BALANCE_HASH, even, SERVERS);
    int home = pick(&f, 0);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(pick(&f, 0), home);
        f.in_flight[home]++;
    }
    cr_assert_neq(pick(&f, 0), home);
    balancer_fixture_clear(&f);
}

static void expect_bounded(const uint16_t *weights, unsigned count)
{
    struct balancer_fixture f;
    unsigned all_weights = 0;
    for (unsigned i = 0; i < count; i++)
        all_weights += weights[i];
    balancer_fixture_init(&f, BALANCE_HASH, weights, count);
    for (uint32_t in_flight = 0; in_flight < 2000; in_flight++) {
        int picked = pick(&f, 0); /* the same client every time */
        uint32_t most = bound(in_flight, weights[picked], all_weights);
        cr_assert_lt(f.in_flight[picked], most > 16 ? most : 16);
        f.in_flight[picked]++;
    }
    balancer_fixture_clear(&f);
}

Test(balance_hash, nobody_gets_much_more_than_its_share)
{
    static const uint16_t uneven[] = {1, 2, 3, 10, 20};
    expect_bounded(even, SERVERS);
    expect_bounded(even, 2);
    expect_bounded(uneven, 5);
}

/* Those that were passed over get their keys back, and the way to the next best is the same for a
 * key each time. */
Test(balance_hash, what_was_passed_over_comes_back)
{
    struct balancer_fixture f;
    balancer_fixture_init(&f, BALANCE_HASH, even, SERVERS);
    int home = pick(&f, 5);
    f.in_flight[home] = 100;
    int next = pick(&f, 5);
    cr_assert_neq(next, home);
    f.servers[home]->share.weight = 0;
    f.in_flight[home] = 0;
    cr_assert_eq(pick(&f, 5), next); /* as if it were gone */
    f.servers[home]->share.weight = 1;
    cr_assert_eq(pick(&f, 5), home);
    for (unsigned i = 0; i < SERVERS; i++) /* busy, but all alike: no reason to move */
        f.in_flight[i] = 1000;
    cr_assert_eq(pick(&f, 5), home);
    balancer_fixture_clear(&f);
}
