/* A worker's pools: shared by name, followed, and gone with the last who needs them. */
#include "worker/pools.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { SERVERS_MAX = 4 };

static struct worker_pools pools;
static struct metrics metrics;
static struct h1_limits limits = {.head_bytes = 32768, .fields = 100, .request_line = 1024};
static struct loop *loop;
static struct resolver *resolver;
static struct backend_states *states;
static struct bell bell;
static struct server_spec servers[SERVERS_MAX];

static void begin(void)
{
    static const char *const names[SERVERS_MAX] = {"one:1", "two:1", "three:1", "four:1"};

    loop = loop_new();
    resolver = resolver_new(loop, NULL);
    states = backend_states_new(loop, resolver);
    bell_init(&bell, loop);
    worker_pools_init(&pools, &(struct pool_env){.loop = loop,
                                                 .states = states,
                                                 .bell = &bell,
                                                 .metrics = &metrics,
                                                 .response_limits = &limits,
                                                 .worker_count = 1});
    for (int i = 0; i < SERVERS_MAX; i++) {
        servers[i] = (struct server_spec){.name = slice_of(names[i]), .weight = 1};
        servers[i].endpoint.kind = ENDPOINT_IP;
    }
}

static void end(void)
{
    worker_pools_clear(&pools);
    bell_clear(&bell);
    backend_states_free(states);
    resolver_free(resolver);
    loop_free(loop);
    buffer_cache_clear();
}

TestSuite(pools, .init = begin, .fini = end);

/* A backend with the server of that number alone. */
static struct upstream_spec *backend(const char *name, int server)
{
    struct upstream_spec *spec = upstream_new(slice_of(name));

    spec->servers = &servers[server];
    spec->server_count = 1;
    spec->keepalive = 4;
    return spec;
}

/* A generation that has these backends; it borrows them. */
static void generation(struct config *config, struct upstream_spec *const *backends, int count)
{
    *config = (struct config){0};
    for (int i = 0; i < count; i++)
        table_put(&config->upstreams_by_name, backends[i]->name, backends[i]);
}

static void adopt(struct config *config, struct upstream_spec *one, struct upstream_spec *other)
{
    struct upstream_spec *const both[] = {one, other};

    generation(config, both, (one != NULL) + (other != NULL));
    worker_pools_adopt(&pools, config);
}

static size_t count(void)
{
    return pools.by_name.count;
}

/* The name of its one server. */
static struct slice server_of(const struct pool *pool)
{
    struct pool_server_status status;

    cr_assert_eq(pool_server_count(pool), 1);
    pool_server_status(pool, 0, &status);
    return status.name;
}

static void expect_server(const struct pool *pool, int server)
{
    struct slice name = server_of(pool);

    cr_expect(slice_equal(name, servers[server].name), "%.*s", (int)name.len, name.at);
}

Test(pools, generations_share_them_by_name)
{
    struct upstream_spec *first = backend("a", 0), *second = backend("a", 0);
    struct upstream_spec *other = backend("b", 1);
    struct config was, is;

    adopt(&was, first, other);
    cr_assert_eq(count(), 0, "made when first needed");
    struct pool *pool = worker_pools_take(&pools, first);
    cr_assert_neq(worker_pools_take(&pools, other), pool);
    adopt(&is, second, other);
    cr_assert_eq(worker_pools_take(&pools, second), pool);
    cr_assert_eq(worker_pools_take(&pools, first), pool, "a late request of the older one");
    cr_assert_eq(count(), 2);
    for (int i = 0; i < 2; i++)
        worker_pools_drop(&pools, first);
    worker_pools_drop(&pools, second);
    worker_pools_drop(&pools, other);
    cr_assert_eq(count(), 2, "the newest generation names them");
    upstream_unref(first);
    upstream_unref(second);
    upstream_unref(other);
    table_clear(&was.upstreams_by_name);
    table_clear(&is.upstreams_by_name);
}

Test(pools, they_follow_what_the_newest_says)
{
    struct upstream_spec *first = backend("a", 0), *second = backend("a", 1);
    struct config was, is;

    adopt(&was, first, NULL);
    struct pool *pool = worker_pools_take(&pools, first);
    expect_server(pool, 0);
    adopt(&is, second, NULL);
    expect_server(pool, 1);
    worker_pools_drop(&pools, first);
    upstream_unref(first);
    upstream_unref(second);
    table_clear(&was.upstreams_by_name);
    table_clear(&is.upstreams_by_name);
}

Test(pools, a_late_request_does_not_bring_old_servers_back)
{
    struct upstream_spec *first = backend("a", 0), *second = backend("a", 1);
    struct config was, is;

    adopt(&was, first, NULL);
    adopt(&is, second, NULL);
    expect_server(worker_pools_take(&pools, first), 1); /* nobody had asked until now */
    expect_server(worker_pools_take(&pools, second), 1);
    cr_assert_eq(count(), 1);
    worker_pools_drop(&pools, first);
    worker_pools_drop(&pools, second);
    upstream_unref(first);
    upstream_unref(second);
    table_clear(&was.upstreams_by_name);
    table_clear(&is.upstreams_by_name);
}

Test(pools, those_that_nobody_names_end_with_their_last_user)
{
    struct upstream_spec *gone = backend("a", 0), *stays = backend("b", 1);
    struct config was, is;

    adopt(&was, gone, stays);
    worker_pools_take(&pools, gone);
    worker_pools_take(&pools, gone);
    worker_pools_take(&pools, stays);
    worker_pools_drop(&pools, stays);
    adopt(&is, stays, NULL);
    cr_assert_eq(count(), 2, "two requests use it");
    worker_pools_drop(&pools, gone);
    cr_assert_eq(count(), 2, "one does");
    worker_pools_drop(&pools, gone);
    cr_assert_eq(count(), 1);
    cr_assert_null(table_get(&pools.by_name, slice_of("a")));
    upstream_unref(gone);
    upstream_unref(stays);
    table_clear(&was.upstreams_by_name);
    table_clear(&is.upstreams_by_name);
}

Test(pools, those_without_users_end_at_once)
{
    struct upstream_spec *gone = backend("a", 0);
    struct config was, is;

    adopt(&was, gone, NULL);
    worker_pools_take(&pools, gone);
    worker_pools_drop(&pools, gone);
    adopt(&is, NULL, NULL);
    cr_assert_eq(count(), 0);
    /* A request that is still of that generation has one for itself. */
    expect_server(worker_pools_take(&pools, gone), 0);
    cr_assert_eq(count(), 1);
    worker_pools_drop(&pools, gone);
    cr_assert_eq(count(), 0);
    upstream_unref(gone);
    table_clear(&was.upstreams_by_name);
    table_clear(&is.upstreams_by_name);
}

Test(pools, a_name_that_comes_back_while_it_is_used)
{
    struct upstream_spec *first = backend("a", 0), *again = backend("a", 1);
    struct config was, without, is;

    adopt(&was, first, NULL);
    struct pool *pool = worker_pools_take(&pools, first);
    adopt(&without, NULL, NULL);
    adopt(&is, again, NULL);
    cr_assert_eq(worker_pools_take(&pools, again), pool);
    expect_server(pool, 1);
    worker_pools_drop(&pools, first);
    worker_pools_drop(&pools, again);
    cr_assert_eq(count(), 1, "it is named again");
    upstream_unref(first);
    upstream_unref(again);
    table_clear(&was.upstreams_by_name);
    table_clear(&without.upstreams_by_name);
    table_clear(&is.upstreams_by_name);
}

/* More of them than serial numbers are remembered: each still leads to its own. */
Test(pools, many_more_than_are_remembered)
{
    enum { MANY = 3 * POOLS_RECENT };
    static struct upstream_spec *specs[MANY];
    static struct pool *made[MANY];
    static char names[MANY][16];
    struct config config, none;

    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "%d", i);
        specs[i] = backend(names[i], i % SERVERS_MAX);
    }
    generation(&config, specs, MANY);
    worker_pools_adopt(&pools, &config);
    for (int i = 0; i < MANY; i++)
        made[i] = worker_pools_take(&pools, specs[i]);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(worker_pools_take(&pools, specs[i]), made[i]);
        cr_assert(slice_equal(pool_name(made[i]), specs[i]->name));
        worker_pools_drop(&pools, specs[i]);
        worker_pools_drop(&pools, specs[i]);
    }
    /* Numbers that led to pools which are gone lead nowhere. */
    adopt(&none, NULL, NULL);
    cr_assert_eq(count(), 0);
    for (int i = 0; i < MANY; i++) {
        expect_server(worker_pools_take(&pools, specs[i]), i % SERVERS_MAX);
        worker_pools_drop(&pools, specs[i]);
        upstream_unref(specs[i]);
    }
    table_clear(&config.upstreams_by_name);
    table_clear(&none.upstreams_by_name);
}

Test(pools, report_tells_every_pool)
{
    struct upstream_spec *a = backend("a", 0), *b = backend("b", 1);
    struct worker_report report = {0};
    struct config config;

    adopt(&config, a, b);
    worker_pools_take(&pools, a);
    worker_pools_take(&pools, b);
    worker_pools_report(&pools, &report);
    cr_assert_eq(report.count, 2);
    cr_expect_str_eq(report.pools[0].backend, "a");
    cr_expect_str_eq(report.pools[1].backend, "b");
    cr_expect(slice_equal(report.pools[1].servers[0].name, servers[1].name));
    arena_clear(&report.arena);
    worker_pools_drop(&pools, a);
    worker_pools_drop(&pools, b);
    upstream_unref(a);
    upstream_unref(b);
    table_clear(&config.upstreams_by_name);
}
