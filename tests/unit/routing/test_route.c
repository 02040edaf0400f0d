#include "routing/route.h"

#include "base/table.h"

#include <criterion/criterion.h>

static void expect_location(struct template_part *parts, unsigned count, bool is_tls,
                            const char *host, const char *path, const char *query,
                            const char *expected)
{
    struct route route = {.kind = ROUTE_REDIRECT,
                          .redirect = {.parts = parts, .part_count = count}};
    struct arena arena = {0};
    struct slice location =
        route_location(&route, &arena, is_tls, slice_of(host), slice_of(path), slice_of(query));

    cr_expect(slice_equal(location, slice_of(expected)), "%.*s is not %s", (int)location.len,
              location.at, expected);
    arena_clear(&arena);
}

Test(route, location_of_every_placeholder)
{
    struct template_part parts[] = {
        {.placeholder = PLACEHOLDER_SCHEME},
        {.text = slice_of("://")},
        {.placeholder = PLACEHOLDER_HOST},
        {.placeholder = PLACEHOLDER_PATH},
        {.text = slice_of("#")},
        {.placeholder = PLACEHOLDER_QUERY},
        {.text = slice_of("#")},
        {.placeholder = PLACEHOLDER_URI},
    };

    expect_location(parts, 8, true, "a.com", "/x", "?q=1", "https://a.com/x#q=1#/x?q=1");
    expect_location(parts, 8, false, "a.com", "/", "", "http://a.com/##/");
    expect_location(parts, 8, true, "::1", "/x", "?", "https://[::1]/x##/x?");
    expect_location(parts, 8, true, "a.com", "*", "", "https://a.com/##/");
    expect_location(parts, 0, true, "a.com", "/", "", "");
}

/* How often each target is picked within one cycle, and the longest run of one that has at most
 * half. */
static unsigned count_picks(const uint32_t *weights, unsigned count, unsigned *picks, uint64_t from)
{
    struct route_target targets[8];
    struct route route = {.targets = targets, .target_count = count};
    const struct route_target *last = NULL;
    unsigned run = 0, longest = 0;

    for (unsigned i = 0; i < count; i++) {
        targets[i] = (struct route_target){.weight = weights[i]};
        route.total_weight += weights[i];
        picks[i] = 0;
    }
    for (uint64_t n = from; n < from + route.total_weight; n++) {
        const struct route_target *target = route_pick_target(&route, n);
        run = target == last ? run + 1 : 1;
        last = target;
        if (target->weight * 2 <= route.total_weight && run > longest)
            longest = run;
        picks[target - targets]++;
    }
    return longest;
}

Test(route, shares_are_exact_and_interleaved)
{
    static const struct {
        uint32_t weights[4];
        unsigned count;
    } splits[] = {
        {{1, 1}, 2},       {{95, 5}, 2},           {{2, 1}, 2},
        {{1, 2, 3, 4}, 4}, {{50, 50}, 2},          {{0, 7, 0, 3}, 4},
        {{3, 0}, 2},       {{10, 20, 30}, 3},      {{1, 65535}, 2},
        {{33, 33, 33}, 3}, {{65535, 65535, 1}, 3},
    };
    unsigned picks[4];

    for (size_t s = 0; s < sizeof(splits) / sizeof(splits[0]); s++) {
        unsigned longest = count_picks(splits[s].weights, splits[s].count, picks, 1000003 * s);
        for (unsigned i = 0; i < splits[s].count; i++)
            cr_expect_eq(picks[i], splits[s].weights[i], "split %zu, share %u", s, i);
        cr_expect_leq(longest, 2, "split %zu: %u of one in a row", s, longest);
    }
}

Test(route, a_single_target_is_always_picked)
{
    struct route_target target = {.weight = 1};
    struct route route = {.targets = &target, .target_count = 1, .total_weight = 1};

    cr_expect_eq(route_pick_target(&route, 0), &target);
    cr_expect_eq(route_pick_target(&route, UINT64_MAX), &target);
}

/* --- shares by client ----------------------------------------------------------------------------
 */

enum { CLIENTS = 100000 };

static unsigned share_of(const char *name, const uint32_t *weights, unsigned count, unsigned client)
{
    struct route_target targets[4];
    struct route route = {.name = slice_of(name), .targets = targets, .target_count = count};
    uint64_t key = hash_fixed(slice_make((const char *)&client, sizeof(client)));

    for (unsigned i = 0; i < count; i++) {
        targets[i] = (struct route_target){.weight = weights[i]};
        route.total_weight += weights[i];
    }
    return (unsigned)(route_pick_target_for(&route, key) - targets);
}

Test(route, clients_fall_on_shares_by_weight)
{
    static const struct {
        uint32_t weights[4];
        unsigned count;
    } splits[] = {{{95, 5}, 2},        {{0, 7, 0, 3}, 4}, {{1, 1, 1}, 3},
                  {{65535, 65535}, 2}, {{3, 0}, 2},       {{0, 0, 0, 1}, 4}};

    for (size_t s = 0; s < sizeof(splits) / sizeof(splits[0]); s++) {
        double total = 0, chi_square = 0;
        unsigned got[4] = {0};
        for (unsigned i = 0; i < splits[s].count; i++)
            total += splits[s].weights[i];
        for (unsigned client = 0; client < CLIENTS; client++)
            got[share_of("a.test", splits[s].weights, splits[s].count, client)]++;
        for (unsigned i = 0; i < splits[s].count; i++) {
            double wanted = (double)CLIENTS * splits[s].weights[i] / total;
            if (splits[s].weights[i] == 0)
                cr_expect_eq(got[i], 0, "split %zu, share %u", s, i);
            else
                chi_square += (got[i] - wanted) * (got[i] - wanted) / wanted;
        }
        /* of one in 1,000 at three degrees of freedom; clients are the same at every run */
        cr_expect_lt(chi_square, 16.27, "split %zu: %f", s, chi_square);
    }
}

/* How many of 100 change their share; none may go back to one that shrank. */
static double moved_percent(const uint32_t was[2], const uint32_t is[2])
{
    unsigned moved = 0;

    for (unsigned client = 0; client < CLIENTS; client++) {
        unsigned then = share_of("a.test", was, 2, client);
        unsigned now = share_of("a.test", is, 2, client);
        moved += then != now;
        cr_assert(now == 1 || then == 0, "%u", client);
    }
    return 100.0 * moved / CLIENTS;
}

Test(route, a_change_of_weights_moves_only_those_it_must)
{
    static const uint32_t a95[] = {95, 5}, a90[] = {90, 10}, a9[] = {9, 1}, a0[] = {0, 1};

    cr_expect_float_eq(moved_percent(a95, a90), 5, 0.3);
    cr_expect_float_eq(moved_percent(a95, a9), 5, 0.3);
    cr_expect_float_eq(moved_percent(a90, a9), 0, 0);
    cr_expect_float_eq(moved_percent(a95, a0), 95, 0.3);
}

/* Else the same clients would be the first on every route. */
Test(route, clients_fall_differently_on_each_route)
{
    static const uint32_t half[] = {1, 1};
    unsigned alike = 0;

    for (unsigned client = 0; client < CLIENTS; client++)
        alike += share_of("a.test", half, 2, client) == share_of("b.test", half, 2, client);
    cr_expect_float_eq(100.0 * alike / CLIENTS, 50, 1);
}
