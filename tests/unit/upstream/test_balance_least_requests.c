/* Fewest requests in flight for its weight; those that are level take turns. */
#include "support/balancer_fixture.h"

#include <criterion/criterion.h>

static const struct balance_case {
    uint16_t weights[3];
    uint32_t in_flight[3];
    int expected;
} cases[] = {
    {{1, 1, 1}, {5, 4, 6}, 1},
    {{1, 1, 1}, {0, 1, 1}, 0},
    {{3, 1, 1}, {2, 1, 1}, 0}, /* 2/3 of a request for each 1 of weight */
    {{3, 1, 1}, {4, 1, 2}, 1}, /* 4/3 */
    {{1, 65535, 1}, {1, 65534, 2}, 1},
    {{65535, 65535, 65534}, {UINT32_MAX, UINT32_MAX - 1, UINT32_MAX}, 1},
    {{0, 1, 1}, {0, 9, 8}, 2},
};

Test(balance_least_requests, the_one_with_the_fewest_for_its_weight)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct balancer_fixture f;
        balancer_fixture_init(&f, BALANCE_LEAST_REQUESTS, cases[i].weights, 3);
        for (unsigned s = 0; s < 3; s++)
            f.in_flight[s] = cases[i].in_flight[s];
        for (unsigned picks = 0; picks < 5; picks++)
            cr_assert_eq(balancer_fixture_pick(&f), cases[i].expected, "case %zu", i);
        balancer_fixture_clear(&f);
    }
}

Test(balance_least_requests, nobody_had_a_lower_weighted_load_than_who_was_picked)
{
    struct random_source random = {1};
    for (unsigned round = 0; round < 200; round++) {
        struct balancer_fixture f;
        uint16_t weights[BALANCED_MAX];
        unsigned count = 1 + (unsigned)random_below(&random, BALANCED_MAX);
        for (unsigned i = 0; i < count; i++)
            weights[i] = (uint16_t)(1 + random_below(&random, 5));
        balancer_fixture_init(&f, BALANCE_LEAST_REQUESTS, weights, count);
        for (unsigned i = 0; i < 200; i++) {
            unsigned picked = (unsigned)balancer_fixture_pick(&f);
            for (unsigned s = 0; s < count; s++)
                cr_assert_leq(f.in_flight[picked] * weights[s], f.in_flight[s] * weights[picked]);
            f.in_flight[picked]++;
            f.in_flight[random_below(&random, count)] = (uint32_t)random_below(&random, 8);
        }
        balancer_fixture_clear(&f);
    }
}

Test(balance_least_requests, those_that_are_level_take_turns_by_weight)
{
    static const uint16_t weights[] = {5, 1, 2, 1};
    struct balancer_fixture f;
    unsigned got[4] = {0};
    balancer_fixture_init(&f, BALANCE_LEAST_REQUESTS, weights, 4);
    for (unsigned i = 0; i < 90; i++)
        got[balancer_fixture_pick(&f)]++;
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(got[i], 10 * weights[i]);

    /* 10/5, 2/1, 4/2 are level, 3/1 is not. */
    f.in_flight[0] = 10;
    f.in_flight[1] = 2;
    f.in_flight[2] = 4;
    f.in_flight[3] = 3;
    for (unsigned i = 0; i < 80; i++)
        got[balancer_fixture_pick(&f)]++;
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(got[i], 20 * weights[i]);
    cr_assert_eq(got[3], 10);
    balancer_fixture_clear(&f);
}

/* What nobody ends is spread by weight. */
Test(balance_least_requests, load_comes_to_be_as_the_weights_are)
{
    static const uint16_t weights[] = {1, 7, 2};
    struct balancer_fixture f;
    balancer_fixture_init(&f, BALANCE_LEAST_REQUESTS, weights, 3);
    f.in_flight[2] = 30;
    for (unsigned i = 0; i < 170; i++)
        f.in_flight[balancer_fixture_pick(&f)]++;
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(f.in_flight[i], 20 * weights[i]);
    balancer_fixture_clear(&f);
}

Test(balance_least_requests, what_is_not_counted_is_none)
{
    static const uint16_t weights[] = {1, 1};
    struct balancer_fixture f;
    balancer_fixture_init(&f, BALANCE_LEAST_REQUESTS, weights, 2);
    f.servers[1]->share.in_flight = NULL;
    f.in_flight[0] = 1;
    cr_assert_eq(balancer_fixture_pick(&f), 1);
    balancer_fixture_clear(&f);
}
