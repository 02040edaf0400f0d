/* Who gets the next request: weighted round robin, exact over every cycle, and who is passed over.
 */
#include "upstream/balancer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERVERS_MAX = 16 };

struct fixture {
    struct pool_shared shared;
    struct server *servers[SERVERS_MAX];
    unsigned count;
};

static void set_up(struct fixture *f, const uint16_t *weights, unsigned count)
{
    *f = (struct fixture){.shared = {.env = {.loop = loop_new()}}, .count = count};
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        struct set_server set = {
            .state = server_state_new(slice_of(name)), .host = name, .weight = weights[i]};
        f->servers[i] = server_new(&f->shared, &set);
        server_state_unref(set.state);
    }
}

static void tear_down(struct fixture *f)
{
    for (unsigned i = 0; i < f->count; i++)
        server_unref(f->servers[i]);
    loop_free(f->shared.env.loop);
}

/* Index of the next one, or -1. */
static int pick(const struct fixture *f, const struct balancer_history *history)
{
    const struct balancer_history none = {0};
    const struct server *server =
        balancer_pick(f->servers, f->count, history != NULL ? history : &none);
    for (unsigned i = 0; i < f->count; i++) {
        if (f->servers[i] == server)
            return (int)i;
    }
    return -1;
}

static void skip(struct server *server)
{
    server->skip_ms = SERVER_SKIP_MAX_MS;
    server->skip_until_ms = UINT64_MAX;
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
    struct fixture f;
    set_up(&f, weights, count);
    balancer_restart(f.servers, f.count, offset);
    unsigned cycle = cycle_of(weights, count), got[SERVERS_MAX] = {0};
    int *picks = calloc(3 * cycle, sizeof(*picks));
    for (unsigned i = 0; i < 3 * cycle; i++) {
        picks[i] = pick(&f, NULL);
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
        uint16_t weights[SERVERS_MAX];
        unsigned count = 1 + (unsigned)rand() % SERVERS_MAX;
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
    struct fixture f;
    set_up(&f, weights, 3);
    for (unsigned i = 0; i < 21; i++)
        cr_assert_eq(pick(&f, NULL), expected[i % 7], "pick %u", i);
    tear_down(&f);
}

/* Workers get different offsets: their first picks are the first picks of one, one after the other.
 */
Test(balancer, an_offset_starts_so_many_picks_later)
{
    static const uint16_t weights[] = {3, 2, 2};
    struct fixture f;
    int picks[14];
    set_up(&f, weights, 3);
    for (unsigned i = 0; i < 14; i++)
        picks[i] = pick(&f, NULL);
    for (unsigned offset = 0; offset < 20; offset++) {
        balancer_restart(f.servers, f.count, offset);
        for (unsigned i = 0; i < 7; i++)
            cr_assert_eq(pick(&f, NULL), picks[(i + offset) % 7]);
    }
    tear_down(&f);
}

Test(balancer, backups_get_something_only_when_no_primary_is_usable)
{
    static const uint16_t weights[] = {1, 1, 2, 1};
    struct fixture f;
    set_up(&f, weights, 4);
    f.servers[2]->is_backup = f.servers[3]->is_backup = true;
    for (int i = 0; i < 10; i++)
        cr_assert_lt(pick(&f, NULL), 2);
    skip(f.servers[0]);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(pick(&f, NULL), 1);
    skip(f.servers[1]);
    unsigned got[4] = {0};
    for (int i = 0; i < 9; i++)
        got[pick(&f, NULL)]++;
    cr_assert_eq(got[2], 6);
    cr_assert_eq(got[3], 3);
    tear_down(&f);
}

Test(balancer, primaries_without_weight_leave_it_to_the_backups)
{
    static const uint16_t weights[] = {0, 1};
    struct fixture f;
    set_up(&f, weights, 2);
    f.servers[1]->is_backup = true;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(pick(&f, NULL), 1);
    f.servers[1]->weight = 0;
    cr_assert_eq(pick(&f, NULL), -1);
    tear_down(&f);
}

Test(balancer, the_others_stay_exact_while_one_is_skipped)
{
    static const uint16_t weights[] = {2, 3, 1};
    struct fixture f;
    unsigned got[3] = {0};
    set_up(&f, weights, 3);
    skip(f.servers[1]);
    for (int i = 0; i < 30; i++)
        got[pick(&f, NULL)]++;
    cr_assert_eq(got[0], 20);
    cr_assert_eq(got[1], 0);
    cr_assert_eq(got[2], 10);
    tear_down(&f);
}

Test(balancer, when_all_are_skipped_all_are_tried_primaries_first)
{
    static const uint16_t weights[] = {1, 1, 1};
    struct fixture f;
    struct balancer_history history = {0};
    unsigned got[3] = {0};
    set_up(&f, weights, 3);
    f.servers[2]->is_backup = true;
    for (int i = 0; i < 3; i++)
        skip(f.servers[i]);
    for (int i = 0; i < 10; i++)
        got[pick(&f, NULL)]++;
    cr_assert_eq(got[0], 5);
    cr_assert_eq(got[1], 5);
    for (int expected_last = 2, i = 0; i < 3; i++) {
        int picked = pick(&f, &history);
        cr_assert_geq(picked, 0);
        cr_assert_eq(picked == expected_last, i == 2);
        history.tried[history.tried_count++] = f.servers[picked];
    }
    cr_assert_eq(pick(&f, &history), -1);
    tear_down(&f);
}

Test(balancer, the_one_to_avoid_is_the_last_usable_choice)
{
    static const uint16_t weights[] = {9, 1, 1};
    struct fixture f;
    set_up(&f, weights, 3);
    f.servers[2]->is_backup = true;
    struct balancer_history history = {.avoid = f.servers[0]};
    for (int i = 0; i < 5; i++)
        cr_assert_eq(pick(&f, &history), 1);
    skip(f.servers[1]);
    cr_assert_eq(pick(&f, &history), 2); /* a backup that is usable */
    skip(f.servers[2]);
    cr_assert_eq(pick(&f, &history), 0);
    skip(f.servers[0]);
    cr_assert_eq(pick(&f, &history), 1); /* all are skipped: not that one, if there is another */
    history.tried[history.tried_count++] = f.servers[1];
    history.tried[history.tried_count++] = f.servers[2];
    cr_assert_eq(pick(&f, &history), 0);
    tear_down(&f);
}

Test(balancer, a_single_server_is_picked_even_while_it_is_skipped)
{
    static const uint16_t weights[] = {1};
    struct fixture f;
    set_up(&f, weights, 1);
    skip(f.servers[0]);
    cr_assert_eq(pick(&f, NULL), 0);
    struct balancer_history history = {.tried = {f.servers[0]}, .tried_count = 1};
    cr_assert_eq(pick(&f, &history), -1);
    f.servers[0]->weight = 0;
    cr_assert_eq(pick(&f, NULL), -1);
    tear_down(&f);
}

Test(balancer, nobody_to_pick_from)
{
    struct fixture f;
    set_up(&f, NULL, 0);
    cr_assert_eq(pick(&f, NULL), -1);
    tear_down(&f);
}
