/* Two drawn by weight, and the one with fewer requests in flight for its weight. */
#include "support/balancer_fixture.h"
#include "support/chi_square.h"

#include <criterion/criterion.h>

enum { PICKS = 100000 };

static void expect_by_weight(const uint16_t *weights, unsigned count)
{
    struct balancer_fixture f;
    unsigned got[BALANCED_MAX] = {0};
    double expected[BALANCED_MAX];
    balancer_fixture_init(&f, BALANCE_RANDOM, weights, count);
    for (unsigned i = 0; i < count; i++) {
        expected[i] = weights[i];
        f.in_flight[i] = 3U * weights[i];
    }
    for (unsigned i = 0; i < PICKS; i++)
        got[balancer_fixture_pick(&f)]++;
    cr_assert(chi_square_fits(got, expected, count));
    balancer_fixture_clear(&f);
}

Test(balance_random, those_that_are_level_are_picked_by_weight)
{
    static const uint16_t even[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, few[] = {1, 1},
                          uneven[] = {1, 2, 3, 4, 5, 100, 50}, large[] = {65535, 65535, 30000};
    expect_by_weight(even, 10);
    expect_by_weight(few, 2);
    expect_by_weight(uneven, 7);
    expect_by_weight(large, 3);
}

/* Every ordered pair as often as two draws without putting back bring it. */
Test(balance_random, two_that_are_drawn_are_never_the_same)
{
    static const uint32_t weights[] = {1, 2, 3, 4};
    struct share shares[4];
    struct random_source random = {42};
    unsigned got[12] = {0}, at[4][4];
    double expected[12];
    for (unsigned i = 0, next = 0; i < 4; i++) {
        for (unsigned j = 0; j < 4; j++) {
            if (i == j)
                continue;
            at[i][j] = next;
            expected[next++] = weights[i] / 10.0 * weights[j] / (10.0 - weights[i]);
        }
    }
    for (unsigned n = 0; n < PICKS; n++) {
        struct candidate candidates[4];
        struct choice choice = {.candidates = candidates, .count = 4, .random = &random};
        for (unsigned i = 0; i < 4; i++)
            candidates[i] = (struct candidate){.share = &shares[i], .weight = weights[i]};
        balance_draw_two(&choice);
        cr_assert_neq(candidates[0].share, candidates[1].share);
        got[at[candidates[0].share - shares][candidates[1].share - shares]]++;
    }
    cr_assert(chi_square_fits(got, expected, 12));
}

Test(balance_random, of_two_the_one_with_fewer_for_its_weight)
{
    static const uint16_t weights[] = {3, 1};
    struct balancer_fixture f;
    balancer_fixture_init(&f, BALANCE_RANDOM, weights, 2);
    f.in_flight[0] = 5;
    f.in_flight[1] = 2;
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(balancer_fixture_pick(&f), 0);
    f.in_flight[0] = 7;
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(balancer_fixture_pick(&f), 1);
    balancer_fixture_clear(&f);
}

/* The most loaded one loses against any other, the least loaded one wins whenever it is drawn. */
Test(balance_random, the_less_loaded_the_more_often)
{
    static const uint16_t weights[] = {1, 1, 1, 1};
    static const double expected[] = {3, 2, 1}; /* of the 6 pairs */
    struct balancer_fixture f;
    unsigned got[4] = {0};
    balancer_fixture_init(&f, BALANCE_RANDOM, weights, 4);
    for (unsigned i = 0; i < 4; i++)
        f.in_flight[i] = i;
    for (unsigned i = 0; i < PICKS; i++)
        got[balancer_fixture_pick(&f)]++;
    cr_assert(chi_square_fits(got, expected, 3));
    cr_assert_eq(got[3], 0);
    balancer_fixture_clear(&f);
}

Test(balance_random, the_seed_decides)
{
    static const uint16_t weights[] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct balancer_fixture f, same, other;
    unsigned differences = 0;
    balancer_fixture_init(&f, BALANCE_RANDOM, weights, 8);
    balancer_fixture_init(&same, BALANCE_RANDOM, weights, 8);
    balancer_fixture_init(&other, BALANCE_RANDOM, weights, 8);
    other.balancer.random.state++;
    for (unsigned i = 0; i < 100; i++) {
        int picked = balancer_fixture_pick(&f);
        cr_assert_eq(balancer_fixture_pick(&same), picked);
        differences += balancer_fixture_pick(&other) != picked;
    }
    cr_assert_gt(differences, 50);
    balancer_fixture_clear(&f);
    balancer_fixture_clear(&same);
    balancer_fixture_clear(&other);
}
