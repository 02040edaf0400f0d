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

/* A table with a host of that key, whose route under the path has so many targets. */
static struct route_table *table_with(const char *key, const char *path, unsigned targets)
{
    static struct route route;
    struct route_table *table = route_table_new();
    struct host *host = host_new(slice_of(key));

    route = (struct route){.target_count = targets};
    cr_assert(host_add(host, slice_of(path), &route));
    cr_assert(route_table_add(table, host));
    return table;
}

static void follow(const char *key, const char *path, unsigned targets)
{
    struct route_table *table = table_with(key, path, targets);

    split_turns_follow(&turns, table);
    route_table_free(table);
}

Test(split_turns, goes_on_for_as_long_as_the_route_is_there)
{
    char name[] = "a";

    next(name);
    next("b");
    name[0] = 'x'; /* the name was copied: routes go with their generation */
    follow("a", "", 2);
    cr_expect_eq(next("a"), 1);
    follow("a", "", 2);
    follow("a", "", 2); /* however long nobody asks for it */
    cr_expect_eq(next("a"), 2);
    cr_expect_eq(next("b"), 0, "it was gone");
}

Test(split_turns, one_target_is_no_split)
{
    next("a");
    follow("a", "", 1);
    cr_expect_eq(next("a"), 0);
}

Test(split_turns, routes_of_paths)
{
    next("*.a.test=/x");
    follow("*.a.test", "=/x", 2);
    cr_expect_eq(next("*.a.test=/x"), 1);
    follow("*.a.test", "/x", 2);
    cr_expect_eq(next("*.a.test=/x"), 0, "another entry");
    next("*.a.test/x");
    follow("*.a.test", "/x", 2);
    cr_expect_eq(next("*.a.test/x"), 1);
}
