#include "routing/route_table.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { ROUTES = 16 };

static struct route_table *table;
static struct route routes[ROUTES];

static void begin(void)
{
    table = route_table_new();
}

static void end(void)
{
    route_table_free(table);
}

TestSuite(route_table, .init = begin, .fini = end);

static bool add(const char *host, const char *path, int route)
{
    struct host *entry = route_table_host(table, slice_of(host));
    if (!entry) {
        entry = host_new(slice_of(host));
        cr_assert(route_table_add(table, entry));
    }
    return host_add(entry, slice_of(path), &routes[route]);
}

/* The number of the route, -1 without one. */
static int find(const char *host, const char *path)
{
    const struct route *route = route_table_find(table, slice_of(host), slice_of(path), NULL);
    return route ? (int)(route - routes) : -1;
}

Test(route_table, exact_then_longest_wildcard_then_any)
{
    add("*", "", 0);
    add("*.com", "", 1);
    add("*.b.com", "", 2);
    add("*.a.b.com", "", 3);
    add("x.a.b.com", "", 4);
    cr_expect_eq(find("x.a.b.com", "/"), 4);
    cr_expect_eq(find("y.a.b.com", "/"), 3);
    cr_expect_eq(find("z.y.a.b.com", "/"), 3);
    cr_expect_eq(find("a.b.com", "/"), 2, "a wildcard has not its own name below it");
    cr_expect_eq(find("b.com", "/"), 1);
    cr_expect_eq(find("com", "/"), 0);
    cr_expect_eq(find("other.org", "/"), 0);
    cr_expect_eq(find("", "/"), 0);
}

Test(route_table, nothing_without_a_match)
{
    struct slice key = slice_of("?");

    add("a.com", "", 0);
    add("*.b.com", "", 1);
    cr_expect_eq(find("b.com", "/"), -1);
    cr_expect_eq(find("", "/"), -1);
    cr_expect_eq(find("xb.com", "/"), -1);
    cr_expect_null(route_table_find(table, slice_of("c.com"), slice_of("/"), &key));
    cr_expect_eq(key.len, 0);
}

Test(route_table, says_which_host_matched)
{
    struct slice key;

    add("*.a.com", "/x", 0);
    cr_expect_null(route_table_find(table, slice_of("b.a.com"), slice_of("/y"), &key));
    cr_expect(slice_equal(key, slice_of("*.a.com")));
}

Test(route_table, path_rules)
{
    add("a", "/v1", 0);
    add("a", "/v1/", 1);
    add("a", "=/v1", 2);
    add("a", "/w", 3);
    add("a", "/x/", 4);
    add("a", "=/x/y/z", 5);
    cr_expect_eq(find("a", "/v1"), 2);
    cr_expect_eq(find("a", "/v1/"), 1);
    cr_expect_eq(find("a", "/v1/q"), 1);
    cr_expect_eq(find("a", "/v1x"), -1);
    cr_expect_eq(find("a", "/w"), 3);
    cr_expect_eq(find("a", "/w/"), 3);
    cr_expect_eq(find("a", "/w/a/b"), 3);
    cr_expect_eq(find("a", "/wx"), -1);
    cr_expect_eq(find("a", "/x"), -1, "only what is below");
    cr_expect_eq(find("a", "/x/"), 4);
    cr_expect_eq(find("a", "/x/y/z"), 5);
    cr_expect_eq(find("a", "/x/y/z/"), 4);
    cr_expect_eq(find("a", "/X/y"), -1, "case matters");
    cr_expect_eq(find("a", "/"), -1);
}

Test(route_table, longest_prefix_wins)
{
    add("a", "/", 0);
    add("a", "/one", 1);
    add("a", "/one/two/", 2);
    add("a", "/one/two/three", 3);
    cr_expect_eq(find("a", "/"), 0);
    cr_expect_eq(find("a", "/on"), 0);
    cr_expect_eq(find("a", "/one/two"), 1);
    cr_expect_eq(find("a", "/one/two/"), 2);
    cr_expect_eq(find("a", "/one/two/threefold"), 2);
    cr_expect_eq(find("a", "/one/two/three/four/five"), 3);
}

Test(route_table, never_another_hosts_paths)
{
    add("*", "", 0);
    add("*.com", "/b", 1);
    add("a.com", "/a", 2);
    cr_expect_eq(find("a.com", "/a"), 2);
    cr_expect_eq(find("a.com", "/b"), -1);
    cr_expect_eq(find("x.com", "/a"), -1);
}

Test(route_table, an_entry_is_added_once)
{
    cr_expect(add("a", "", 0));
    cr_expect_not(add("a", "", 1));
    cr_expect(add("b", "/x", 0));
    cr_expect(add("b", "=/x", 1));
    cr_expect_not(add("b", "/x", 2));
    cr_expect_not(add("b", "=/x", 2));
    cr_expect(add("*", "", 3));
    cr_expect_not(add("*", "", 3));
    cr_expect_eq(find("a", "/"), 0);
}

Test(route_table, a_host_is_added_once)
{
    struct host *first = host_new(slice_of("*.a"));

    cr_expect(route_table_add(table, first));
    cr_expect_not(route_table_add(table, host_new(slice_of("*.a"))));
    cr_expect_eq(route_table_host(table, slice_of("*.a")), first);
    cr_expect_null(route_table_host(table, slice_of("a")));
    cr_expect_null(route_table_host(table, slice_of("*")));
}

Test(route_table, a_host_outlives_its_table)
{
    add("a", "/x", 1);
    struct host *host = host_ref(routes[1].host);
    route_table_free(table);
    table = route_table_new();
    cr_expect_eq(host_find(host, slice_of("/x/y")), &routes[1]);
    host_unref(host);
}

Test(route_table, keys_are_copied)
{
    char host[] = "a.com", path[] = "/x";

    add(host, path, 1);
    memset(host, '-', sizeof(host) - 1);
    memset(path, '-', sizeof(path) - 1);
    cr_expect_eq(find("a.com", "/x"), 1);
}

Test(route_table, a_hundred_thousand_hosts)
{
    char name[64];

    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), i % 2 ? "h%d.example.com" : "*.w%d.example.com", i);
        cr_assert(add(name, i % 3 ? "" : "/p", i % ROUTES));
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), i % 2 ? "h%d.example.com" : "a.b.w%d.example.com", i);
        cr_assert_eq(find(name, "/p/x"), i % ROUTES, "%s", name);
    }
    cr_expect_eq(find("h100001.example.com", "/p"), -1);
}

/* What a peer sizes costs no more look-ups than the operator's keys are long. */
Test(route_table, long_names_and_paths_are_looked_up)
{
    char *path = malloc(20001), name[254];

    memset(path, 'a', 20000);
    for (int i = 0; i < 20000; i += 2)
        path[i] = '/';
    path[20000] = '\0';
    for (int i = 0; i < 253; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[253] = '\0';
    add("*.a.a", "/a/a", 1);
    cr_expect_eq(find(name, path), 1);
    free(path);
}
