/* Who is held: lanes of routes, which take turns. */
#include "upstream/hold.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { HELD_MOST = 64 };

struct fixture {
    struct hold hold;
    struct held held[HELD_MOST];
    unsigned count;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){0};
    hold_init(&f->hold);
}

static void tear_down(struct fixture *f)
{
    for (unsigned i = 0; i < f->count; i++)
        hold_remove(&f->hold, &f->held[i]);
    cr_assert_eq(f->hold.count, 0);
    cr_assert_null(hold_next(&f->hold));
    hold_clear(&f->hold);
}

static struct held *add(struct fixture *f, const char *route)
{
    struct held *held = &f->held[f->count++];

    held->route = slice_of(route);
    cr_assert(hold_add(&f->hold, held));
    return held;
}

static struct held *take_next(struct fixture *f)
{
    struct held *next = hold_next(&f->hold);

    if (next != NULL)
        hold_take(&f->hold, next);
    return next;
}

Test(hold_lanes, first_come_first_served_within_a_route)
{
    struct fixture f;

    set_up(&f);
    for (int i = 0; i < 5; i++)
        add(&f, "a");
    for (int i = 0; i < 5; i++)
        cr_assert_eq(take_next(&f), &f.held[i]);
    cr_assert_null(take_next(&f));
    tear_down(&f);
}

Test(hold_lanes, routes_take_turns_however_many_each_has)
{
    struct fixture f;
    struct held *few[3];

    set_up(&f);
    for (int i = 0; i < 30; i++)
        add(&f, "many");
    for (int i = 0; i < 3; i++)
        few[i] = add(&f, "few");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(take_next(&f), &f.held[i]);
        cr_assert_eq(take_next(&f), few[i]);
    }
    cr_assert_eq(take_next(&f), &f.held[3]);
    tear_down(&f);
}

/* More routes than there are buckets: none shares another one's lane. */
Test(hold_lanes, each_route_has_its_own_lane)
{
    static char routes[2 * HOLD_BUCKETS][16];
    struct fixture f;

    set_up(&f);
    for (int i = 0; i < 2 * HOLD_BUCKETS; i++)
        snprintf(routes[i], sizeof(routes[i]), "route-%d", i);
    add(&f, routes[0]);
    for (int i = 0; i < 2 * HOLD_BUCKETS; i++)
        add(&f, routes[i]);
    for (int i = 0; i < 2 * HOLD_BUCKETS; i++)
        cr_assert_str_eq(take_next(&f)->route.at, routes[i]);
    cr_assert_str_eq(take_next(&f)->route.at, routes[0]);
    tear_down(&f);
}

Test(hold_lanes, who_could_not_be_served_comes_first_again)
{
    struct fixture f;

    set_up(&f);
    add(&f, "a");
    add(&f, "a");
    add(&f, "b");
    struct held *first = take_next(&f);
    cr_assert_eq(first, &f.held[0]);
    cr_assert(hold_add_again(&f.hold, first));
    cr_assert_eq(take_next(&f), &f.held[2]); /* another route's turn */
    cr_assert_eq(take_next(&f), first);
    cr_assert_eq(take_next(&f), &f.held[1]);
    tear_down(&f);
}

Test(hold_lanes, who_leaves_takes_nobodys_turn)
{
    struct fixture f;

    set_up(&f);
    add(&f, "a");
    add(&f, "a");
    add(&f, "b");
    hold_remove(&f.hold, &f.held[0]);
    cr_assert_eq(take_next(&f), &f.held[1]);
    cr_assert_eq(take_next(&f), &f.held[2]);
    hold_remove(&f.hold, &f.held[2]); /* nothing: it is not held */
    tear_down(&f);
}
