#include "worker/split_turns.h"

#include <criterion/criterion.h>

static struct split_turns turns;

static void begin(void)
{
    split_turns_init(&turns);
}

static void end(void)
{
    split_turns_clear(&turns);
}

TestSuite(split_turns, .init = begin, .fini = end);

static uint64_t next(const char *route)
{
    return split_turns_next(&turns, slice_of(route));
}

Test(split_turns, each_route_counts_by_itself)
{
    cr_expect_eq(next("a"), 0);
    cr_expect_eq(next("a"), 1);
    cr_expect_eq(next("b"), 0);
    cr_expect_eq(next("a"), 2);
}

Test(split_turns, what_is_taken_goes_on_in_the_next_generation)
{
    char name[] = "a";

    next(name);
    next("b");
    name[0] = 'x'; /* the name was copied: routes go with their generation */
    split_turns_age(&turns);
    cr_expect_eq(next("a"), 1);
    split_turns_age(&turns);
    cr_expect_eq(next("a"), 2);
    cr_expect_eq(next("b"), 0, "it was not taken for a whole generation");
}
