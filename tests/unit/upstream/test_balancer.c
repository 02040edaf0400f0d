/* Who gets the next request: weighted round robin, exact over every cycle, and who is passed over.
 */
#include "base/table.h"
#include "support/balancer_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* Round robin, if a test says no other. */
static void set_up(struct balancer_fixture *f, const uint16_t *weights, unsigned count)
{
    balancer_fixture_init(f, BALANCE_ROUND_ROBIN, weights, count);
}

static void tear_down(struct balancer_fixture *f)
{
    balancer_fixture_clear(f);
}

static int pick(struct balancer_fixture *f)
{
    return balancer_fixture_pick(f);
}

static unsigned cycle_of(const uint16_t *weights, unsigned count)
{
    unsigned cycle = 0;
    for (unsigned i = 0; i < count; i++)
        cycle += weights[i];
    return cycle;
}

/* Any window as long as a cycle, wherever it begins, gives each server its weight. */
static void check_exact(const uint16_t *weights, unsigned count, unsigned offset)
{
    struct balancer_fixture f;
    set_up(&f, weights, count);
    balancer_restart(&f.balancer, offset);
    unsigned cycle = cycle_of(weights, count), got[BALANCED_MAX] = {0};
    int *picks = calloc(3 * cycle, sizeof(*picks));
    for (unsigned i = 0; i < 3 * cycle; i++) {
        picks[i] = pick(&f);
        cr_assert_geq(picks[i], 0);
        got[picks[i]]++;
        if (i >= cycle)
            got[picks[i - cycle]]--;
        if (i + 1 < cycle)
            continue;
        for (unsigned s = 0; s < count; s++)
            cr_assert_eq(got[s], weights[s], "server %u of %u after %u", s, count, i);
    }
    free(picks);
    tear_down(&f);
}

Test(balancer, every_cycle_gives_each_server_exactly_its_weight)
{
    static const uint16_t sets[][6] = {
        {1},
        {7},
        {1, 1},
        {2, 1},
        {5, 1, 1},
        {1, 5, 1},
        {3, 3, 3},
        {4, 2, 1},
        {100, 1},
        {1, 1, 1, 1, 1},
        {0, 1},
        {3, 0, 2},
        {10, 20, 30, 7},
        {1, 2, 3, 4, 5},
        {95, 5},
        {1000, 999},
        {1, 0, 0, 9},
        {6, 6, 2, 2, 1, 1},
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        unsigned count = 0;
        for (unsigned j = 0; j < 6; j++)
            count = sets[i][j] > 0 ? j + 1 : count;
        for (unsigned offset = 0; offset < 5; offset++)
            check_exact(sets[i], count, offset);
    }
}

Test(balancer, random_weights_are_exact_too)
{
    srand(42);
    for (int round = 0; round < 50; round++) {
        uint16_t weights[BALANCED_MAX];
        unsigned count = 1 + (unsigned)rand() % BALANCED_MAX;
        for (unsigned i = 0; i < count; i++)
            weights[i] = (uint16_t)(rand() % 20);
        weights[0]++;
        check_exact(weights, count, (unsigned)rand() % 300);
    }
}

Test(balancer, the_heavy_one_does_not_come_in_one_piece)
{
    static const uint16_t weights[] = {5, 1, 1};
    static const int expected[] = {0, 0, 1, 0, 2, 0, 0};
    struct balancer_fixture f;
    set_up(&f, weights, 3);
    for (unsigned i = 0; i < 21; i++)
        cr_assert_eq(pick(&f), expected[i % 7], "pick %u", i);
    tear_down(&f);
}

/* Workers get different offsets: their first picks are the first picks of one, one after the other.
 */
Test(balancer, an_offset_starts_so_many_picks_later)
{
    static const uint16_t weights[] = {3, 2, 2};
    struct balancer_fixture f;
    int picks[14];
    set_up(&f, weights, 3);
    for (unsigned i = 0; i < 14; i++)
        picks[i] = pick(&f);
    for (unsigned offset = 0; offset < 20; offset++) {
        balancer_restart(&f.balancer, offset);
        for (unsigned i = 0; i < 7; i++)
            cr_assert_eq(pick(&f), picks[(i + offset) % 7]);
    }
    tear_down(&f);
}

Test(balancer, backups_get_something_only_when_no_primary_is_usable)
{
    static const uint16_t weights[] = {1, 1, 2, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 4);
    f.servers[2]->share.is_backup = f.servers[3]->share.is_backup = true;
    for (int i = 0; i < 10; i++)
        cr_assert_lt(pick(&f), 2);
    balancer_fixture_skip(&f, 0);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(pick(&f), 1);
    balancer_fixture_skip(&f, 1);
    unsigned got[4] = {0};
    for (int i = 0; i < 9; i++)
        got[pick(&f)]++;
    cr_assert_eq(got[2], 6);
    cr_assert_eq(got[3], 3);
    tear_down(&f);
}

Test(balancer, primaries_without_weight_leave_it_to_the_backups)
{
    static const uint16_t weights[] = {0, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 2);
    f.servers[1]->share.is_backup = true;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(pick(&f), 1);
    f.servers[1]->share.weight = 0;
    cr_assert_eq(pick(&f), -1);
    tear_down(&f);
}

Test(balancer, the_others_stay_exact_while_one_is_skipped)
{
    static const uint16_t weights[] = {2, 3, 1};
    struct balancer_fixture f;
    unsigned got[3] = {0};
    set_up(&f, weights, 3);
    balancer_fixture_skip(&f, 1);
    for (int i = 0; i < 30; i++)
        got[pick(&f)]++;
    cr_assert_eq(got[0], 20);
    cr_assert_eq(got[1], 0);
    cr_assert_eq(got[2], 10);
    tear_down(&f);
}

Test(balancer, when_all_are_skipped_all_are_tried_primaries_first)
{
    static const uint16_t weights[] = {1, 1, 1};
    struct balancer_fixture f;
    unsigned got[3] = {0};
    set_up(&f, weights, 3);
    f.servers[2]->share.is_backup = true;
    for (int i = 0; i < 3; i++)
        balancer_fixture_skip(&f, i);
    for (int i = 0; i < 10; i++)
        got[pick(&f)]++;
    cr_assert_eq(got[0], 5);
    cr_assert_eq(got[1], 5);
    for (int expected_last = 2, i = 0; i < 3; i++) {
        int picked = pick(&f);
        cr_assert_geq(picked, 0);
        cr_assert_eq(picked == expected_last, i == 2);
        f.history.tried[f.history.tried_count++] = f.servers[picked];
    }
    cr_assert_eq(pick(&f), -1);
    tear_down(&f);
}

Test(balancer, the_one_to_avoid_is_the_last_usable_choice)
{
    static const uint16_t weights[] = {9, 1, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 3);
    f.servers[2]->share.is_backup = true;
    f.history.avoid = f.servers[0];
    for (int i = 0; i < 5; i++)
        cr_assert_eq(pick(&f), 1);
    balancer_fixture_skip(&f, 1);
    cr_assert_eq(pick(&f), 2); /* a backup that is usable */
    balancer_fixture_skip(&f, 2);
    cr_assert_eq(pick(&f), 0);
    balancer_fixture_skip(&f, 0);
    cr_assert_eq(pick(&f), 1); /* all are skipped: not that one, if there is another */
    f.history.tried[f.history.tried_count++] = f.servers[1];
    f.history.tried[f.history.tried_count++] = f.servers[2];
    cr_assert_eq(pick(&f), 0);
    tear_down(&f);
}

Test(balancer, a_single_server_is_picked_even_while_it_is_skipped)
{
    static const uint16_t weights[] = {1};
    struct balancer_fixture f;
    set_up(&f, weights, 1);
    balancer_fixture_skip(&f, 0);
    cr_assert_eq(pick(&f), 0);
    f.history = (struct balancer_history){.tried = {f.servers[0]}, .tried_count = 1};
    cr_assert_eq(pick(&f), -1);
    f.servers[0]->share.weight = 0;
    cr_assert_eq(pick(&f), -1);
    tear_down(&f);
}

Test(balancer, nobody_to_pick_from)
{
    struct balancer_fixture f;
    set_up(&f, NULL, 0);
    cr_assert_eq(pick(&f), -1);
    tear_down(&f);
}

/* A weight that grows, as while a server starts slowly: at any time each has what was its share so
 * far, to a request or two. */
Test(balancer, round_robin_is_even_while_a_weight_changes)
{
    static const uint16_t weights[] = {1, 100, 50};
    struct balancer_fixture f;
    double due[3] = {0};
    int got[3] = {0};
    set_up(&f, weights, 3);
    for (unsigned i = 0; i < 2000; i++) {
        f.servers[0]->share.weight = 1 + i / 10;
        double all = f.servers[0]->share.weight + 150.0;
        got[pick(&f)]++;
        for (unsigned s = 0; s < 3; s++) {
            due[s] += f.servers[s]->share.weight / all;
            cr_assert_lt(due[s] - got[s], 2, "server %u after %u", s, i);
            cr_assert_gt(due[s] - got[s], -2, "server %u after %u", s, i);
        }
    }
    tear_down(&f);
}

/* Whatever the strategy: it gets to choose only among those. */
Test(balancer, every_strategy_leaves_out_who_may_not_be_picked)
{
    static const uint16_t weights[] = {0, 1, 2, 1, 3, 1, 9};
    for (enum balance balance = BALANCE_ROUND_ROBIN; balance <= BALANCE_HASH; balance++) {
        struct balancer_fixture f;
        unsigned got[7] = {0};
        balancer_fixture_init(&f, balance, weights, 7);
        balancer_fixture_skip(&f, 1);
        f.history = (struct balancer_history){
            .avoid = f.servers[2], .tried = {f.servers[3]}, .tried_count = 1};
        f.servers[6]->share.is_backup = true;
        for (unsigned i = 0; i < 1000; i++) {
            f.ask.key = hash_fixed(slice_make((const char *)&i, sizeof(i)));
            got[pick(&f)]++;
        }
        cr_assert_eq(got[4] + got[5], 1000, "strategy %d", balance);
        cr_assert(got[4] > got[5] && got[5] > 0, "strategy %d: %u, %u", balance, got[4], got[5]);
        balancer_fixture_skip(&f, 4);
        balancer_fixture_skip(&f, 5);
        cr_assert_eq(pick(&f), 6, "strategy %d", balance);
        tear_down(&f);
    }
}

Test(balancer, servers_come_and_go)
{
    static const uint16_t weights[] = {1, 1, 1, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 4);
    balancer_follow(&f.balancer, f.servers, 0);
    cr_assert_eq(pick(&f), -1);
    balancer_follow(&f.balancer, f.servers, 2);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pick(&f), (int)i % 2);
    balancer_follow(&f.balancer, f.servers, 4);
    f.balancer.balance = BALANCE_LEAST_REQUESTS;
    f.in_flight[0] = f.in_flight[1] = f.in_flight[2] = 1;
    cr_assert_eq(pick(&f), 3);
    tear_down(&f);
}
