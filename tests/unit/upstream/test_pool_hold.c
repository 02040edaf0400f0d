/* Limits of a backend, and requests that are held because of them, or because no server is up. Two
 * pools of one backend stand for two workers; their loop is the test's. */
#include "support/pool_fixture.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { LONG_MS = 60 * 1000, REQUESTS_MOST = 32 };

struct request {
    struct pool *pool;
    struct pool_claim claim;
    struct pool_wait *wait; /* NULL: it has its answer */
    struct pool_result result;
};

struct fixture {
    struct pool_fixture f;
    struct bell other_bell;
    struct pool *other; /* another worker's pool */
    struct address address;
    int listener;
    struct request requests[REQUESTS_MOST];
    unsigned count;
};

static void set_up(struct fixture *x)
{
    *x = (struct fixture){0};
    x->listener = loopback_listen(&x->address);
    pool_fixture_init(&x->f, 0);
    pool_fixture_add(&x->f, &x->address, 1);
}

static void start(struct fixture *x)
{
    struct pool_env env = x->f.env;

    pool_fixture_follow(&x->f);
    bell_init(&x->other_bell, env.loop);
    env.bell = &x->other_bell;
    x->other = pool_new(&env, &x->f.spec);
}

static struct request *ask_for(struct fixture *x, struct pool *pool, const char *route)
{
    struct request *request = &x->requests[x->count++];
    struct pool_ask ask = {.claim = &request->claim,
                           .route = slice_of(route),
                           .connect_timeout_ms = LONG_MS,
                           .max_tries = 2};

    request->pool = pool;
    request->wait = pool_ask(pool, &ask, &x->f.task);
    return request;
}

static struct request *ask(struct fixture *x, struct pool *pool)
{
    return ask_for(x, pool, "route");
}

/* True once it has its answer. */
static bool has_answer(void *argument)
{
    struct request *request = argument;

    if (request->wait != NULL && pool_fixture_peek(request->wait, &request->result) != IO_WAIT) {
        pool_wait_end(request->wait);
        request->wait = NULL;
    }
    return request->wait == NULL;
}

static void run_until_answer(struct fixture *x, struct request *request)
{
    pool_fixture_run_until(&x->f, has_answer, request);
}

static void expect_connection(struct fixture *x, struct request *request)
{
    run_until_answer(x, request);
    cr_assert_eq(request->result.answer, IO_OK);
}

static void expect_refusal(struct fixture *x, struct request *request, enum pool_failure failure)
{
    run_until_answer(x, request);
    cr_assert_eq(request->result.answer, IO_ERROR);
    cr_assert_eq(request->result.failure, failure);
}

/* Everybody who could be woken has been. */
static void settle(struct fixture *x)
{
    for (int round = 0; round < 5; round++) {
        pool_fixture_run_for(&x->f, 2);
        for (unsigned i = 0; i < x->count; i++)
            has_answer(&x->requests[i]);
    }
}

static void expect_held(struct fixture *x, struct request *request)
{
    settle(x);
    cr_assert_not_null(request->wait);
    cr_assert(pool_wait_is_held(request->wait));
}

static void end(struct request *request)
{
    if (request->wait != NULL)
        pool_wait_end(request->wait);
    else if (request->result.connection != NULL)
        upstream_connection_give_back(request->result.connection);
    request->wait = NULL;
    request->result.connection = NULL;
    pool_leave(request->pool, &request->claim);
}

static void tear_down(struct fixture *x)
{
    for (unsigned i = 0; i < x->count; i++)
        end(&x->requests[i]);
    pool_free(x->other);
    if (x->listener >= 0)
        close(x->listener);
    pool_fixture_run_for(&x->f, 1);
    bell_clear(&x->other_bell);
    pool_fixture_clear(&x->f);
}

static void hold(struct fixture *x, uint64_t for_ms, unsigned queue)
{
    x->f.spec.hold = (struct hold_spec){.for_ms = for_ms, .queue = queue};
}

/* --- limits ------------------------------------------------------------------------------- */

Test(pool_hold, without_it_requests_beyond_a_limit_are_refused_at_once)
{
    struct fixture x;

    set_up(&x);
    x.f.spec.max_requests = 2;
    start(&x);
    struct request *first = ask(&x, x.f.pool), *second = ask(&x, x.other);
    expect_connection(&x, first);
    expect_connection(&x, second);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    expect_refusal(&x, ask(&x, x.other), POOL_OVER_LIMIT);
    end(second);
    expect_connection(&x, ask(&x, x.f.pool));
    tear_down(&x);
}

/* As its response is over only once its connection was given back, a retry keeps its place. */
Test(pool_hold, a_request_that_asks_again_counts_once)
{
    struct fixture x;
    struct pool_ask again = {.connect_timeout_ms = LONG_MS, .max_tries = 1, .fresh = true};

    set_up(&x);
    x.f.spec.max_requests = 1;
    start(&x);
    struct request *request = ask(&x, x.f.pool);
    expect_connection(&x, request);
    upstream_connection_give_back(request->result.connection);
    again.claim = &request->claim;
    request->wait = pool_ask(x.f.pool, &again, &x.f.task);
    expect_connection(&x, request);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    tear_down(&x);
}

Test(pool_hold, connections_are_limited_for_all_workers_and_idle_ones_are_used)
{
    struct fixture x;

    set_up(&x);
    x.f.spec.max_connections = 2;
    start(&x);
    struct request *first = ask(&x, x.f.pool), *second = ask(&x, x.other);
    expect_connection(&x, first);
    expect_connection(&x, second);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    end(first);
    struct request *third = ask(&x, x.f.pool);
    expect_connection(&x, third);
    cr_assert(upstream_connection_is_reused(third->result.connection));
    tear_down(&x);
}

/* Nothing is held here, and yet it is not refused: there is room, as soon as it is given up. */
Test(pool_hold, an_idle_connection_is_in_no_other_workers_way)
{
    struct fixture x;

    set_up(&x);
    x.f.spec.max_connections = 2;
    start(&x);
    struct request *first = ask(&x, x.f.pool), *second = ask(&x, x.other);
    expect_connection(&x, first);
    expect_connection(&x, second);
    end(first);
    struct request *third = ask(&x, x.other);
    expect_connection(&x, third);
    cr_assert_not(upstream_connection_is_reused(third->result.connection));
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT); /* now there is none */
    tear_down(&x);
}

Test(pool_hold, a_fresh_connection_takes_the_room_of_an_idle_one)
{
    struct fixture x;
    struct pool_claim claim = {0};
    struct pool_ask fresh = {
        .claim = &claim, .connect_timeout_ms = LONG_MS, .max_tries = 1, .fresh = true};

    set_up(&x);
    x.f.spec.max_connections = 1;
    start(&x);
    struct request *first = ask(&x, x.f.pool);
    expect_connection(&x, first);
    end(first);
    struct pool_result result = pool_fixture_ask(&x.f, &fresh);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_not(upstream_connection_is_reused(result.connection));
    upstream_connection_give_back(result.connection);
    tear_down(&x);
}

Test(pool_hold, a_server_without_room_is_passed_over)
{
    struct fixture x;
    struct address address;
    int listener = loopback_listen(&address);

    set_up(&x);
    pool_fixture_add(&x.f, &address, 1);
    x.f.spec.max_connections = 2;
    start(&x);
    for (int i = 0; i < 4; i++)
        expect_connection(&x, ask(&x, i % 2 == 0 ? x.f.pool : x.other));
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pool_fixture_status(&x.f, i).connections, 2);
    close(listener);
    tear_down(&x);
}

/* --- held for a limit --------------------------------------------------------------------- */

Test(pool_hold, a_request_goes_on_when_another_one_ends)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    struct request *first = ask(&x, x.f.pool);
    expect_connection(&x, first);
    struct request *same = ask(&x, x.f.pool), *other = ask(&x, x.other);
    expect_held(&x, same);
    expect_held(&x, other);
    end(first);
    expect_connection(&x, same);
    expect_held(&x, other);
    end(same);
    expect_connection(&x, other);
    tear_down(&x);
}

Test(pool_hold, newcomers_do_not_overtake)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    struct request *first = ask(&x, x.f.pool);
    expect_connection(&x, first);
    struct request *held = ask(&x, x.other);
    expect_held(&x, held);
    end(first);
    struct request *newcomer = ask(&x, x.f.pool); /* before the other worker has heard of it */
    expect_connection(&x, held);
    expect_held(&x, newcomer);
    tear_down(&x);
}

Test(pool_hold, no_more_are_held_than_the_queue_has_places)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 3);
    x.f.spec.max_requests = 1;
    start(&x);
    struct request *first = ask(&x, x.f.pool), *held[3];
    expect_connection(&x, first);
    for (int i = 0; i < 3; i++)
        held[i] = ask(&x, i % 2 == 0 ? x.other : x.f.pool);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    expect_refusal(&x, ask(&x, x.other), POOL_OVER_LIMIT);
    end(held[1]); /* its client has gone */
    expect_held(&x, ask(&x, x.other));
    expect_held(&x, held[0]);
    expect_held(&x, held[2]);
    tear_down(&x);
}

Test(pool_hold, time_is_over_some_time)
{
    struct fixture x;

    set_up(&x);
    hold(&x, 20, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    expect_connection(&x, ask(&x, x.f.pool));
    struct request *held = ask(&x, x.f.pool);
    expect_refusal(&x, held, POOL_OVER_LIMIT);
    cr_assert_neq(held->claim.held_since_ms, 0);
    /* Once more, elsewhere: its time goes on. */
    held->wait = pool_ask(x.other,
                          &(struct pool_ask){.claim = &held->claim,
                                             .route = slice_of("other"),
                                             .connect_timeout_ms = LONG_MS,
                                             .max_tries = 1},
                          &x.f.task);
    expect_refusal(&x, held, POOL_OVER_LIMIT);
    tear_down(&x);
}

Test(pool_hold, routes_take_turns)
{
    struct fixture x;
    struct request *many[4];

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    struct request *before = ask(&x, x.f.pool);
    expect_connection(&x, before);
    for (int i = 0; i < 4; i++)
        many[i] = ask_for(&x, x.f.pool, "many");
    struct request *few = ask_for(&x, x.f.pool, "few");
    struct request *const order[] = {many[0], few, many[1], many[2], many[3]};
    for (int i = 0; i < 5; i++) {
        end(before);
        settle(&x);
        for (int k = 0; k < 5; k++)
            cr_assert_eq(order[k]->wait == NULL, k <= i);
        before = order[i];
    }
    tear_down(&x);
}

/* The room that one worker only keeps for later is given to who waits for it in another. */
Test(pool_hold, idle_connections_do_not_starve_other_workers)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_connections = 2;
    start(&x);
    struct request *first = ask(&x, x.f.pool), *second = ask(&x, x.f.pool);
    expect_connection(&x, first);
    expect_connection(&x, second);
    end(first); /* idle before anybody waits */
    struct request *held[] = {ask(&x, x.other), ask(&x, x.other)};
    expect_connection(&x, held[0]);
    expect_held(&x, held[1]);
    end(second); /* or given back while somebody does */
    expect_connection(&x, held[1]);
    tear_down(&x);
}

/* One that goes over its own connections again and again gives one up some time. */
Test(pool_hold, a_worker_that_is_busy_gives_up_room_in_turn)
{
    struct fixture x;
    struct request *before;
    int own = 0;

    set_up(&x);
    hold(&x, LONG_MS, 20);
    x.f.spec.max_connections = 1;
    start(&x);
    before = ask(&x, x.f.pool);
    expect_connection(&x, before);
    struct request *other = ask(&x, x.other);
    for (int i = 0; i < 15; i++)
        ask(&x, x.f.pool);
    settle(&x);
    while (other->wait != NULL) {
        end(before);
        settle(&x);
        for (unsigned i = 0; i < x.count; i++)
            if (x.requests[i].wait == NULL && x.requests[i].result.connection != NULL)
                before = &x.requests[i];
        cr_assert_lt(++own, 15);
    }
    cr_assert_eq(other->result.answer, IO_OK);
    tear_down(&x);
}

/* --- held because no server is up --------------------------------------------------------- */

Test(pool_hold, servers_that_cannot_be_connected_to_are_waited_for)
{
    struct fixture x;

    set_up(&x);
    close(x.listener);
    x.listener = loopback_refuse(&x.address);
    x.f.spec.server_count = 0;
    pool_fixture_add(&x.f, &x.address, 1);
    hold(&x, LONG_MS, 10);
    start(&x);
    struct request *held[] = {ask(&x, x.f.pool), ask(&x, x.f.pool), ask(&x, x.other)};
    for (int i = 0; i < 3; i++)
        expect_held(&x, held[i]);
    listen(x.listener, 8);
    for (int i = 0; i < 3; i++) {
        expect_connection(&x, held[i]);
        cr_assert_eq(held[i]->result.attempts, 1);
    }
    tear_down(&x);
}

Test(pool_hold, when_its_time_is_over_all_are_tried)
{
    struct fixture x;

    set_up(&x);
    hold(&x, 30, 10);
    start(&x);
    struct server_set *set = backend_state_set(backend_state_take(x.f.states, &x.f.spec));
    atomic_store(&set->servers[0].state->verdict, CHECK_DOWN);
    struct request *held = ask(&x, x.f.pool);
    expect_held(&x, held);
    expect_connection(&x, held); /* the check may be wrong */
    end(held);
    pool_close_idle(x.f.pool);
    close(x.listener);
    x.listener = -1;
    expect_refusal(&x, ask(&x, x.f.pool), POOL_NO_SERVER);
    server_set_unref(set);
    struct backend_state *state = backend_state_take(x.f.states, &x.f.spec);
    backend_state_drop(state);
    backend_state_drop(state);
    tear_down(&x);
}

Test(pool_hold, a_check_that_says_up_ends_the_wait)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    start(&x);
    struct backend_state *state = backend_state_take(x.f.states, &x.f.spec);
    struct server_set *set = backend_state_set(state);
    atomic_store(&set->servers[0].state->verdict, CHECK_DOWN);
    struct request *held[] = {ask(&x, x.f.pool), ask(&x, x.other)};
    expect_held(&x, held[0]);
    expect_held(&x, held[1]);
    atomic_store(&set->servers[0].state->verdict, CHECK_UP);
    backend_state_ring(state);
    expect_connection(&x, held[0]);
    expect_connection(&x, held[1]);
    server_set_unref(set);
    backend_state_drop(state);
    tear_down(&x);
}

Test(pool_hold, who_is_known_to_be_down_is_no_bad_gateway)
{
    struct fixture x;

    set_up(&x);
    close(x.listener);
    x.listener = loopback_refuse(&x.address);
    x.f.spec.server_count = 0;
    pool_fixture_add(&x.f, &x.address, 1);
    x.f.spec.eject = (struct eject_spec){.after = 100, .for_ms = 1000, .most_percent = 50};
    start(&x);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_CONNECT_FAILED);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_NO_SERVER);
    x.f.spec.eject.after = 0;
    pool_fixture_follow(&x.f);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_CONNECT_FAILED);
    tear_down(&x);
}

/* --- what changes meanwhile --------------------------------------------------------------- */

Test(pool_hold, a_higher_limit_serves_who_is_held)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    expect_connection(&x, ask(&x, x.f.pool));
    struct request *held[] = {ask(&x, x.f.pool), ask(&x, x.other)};
    expect_held(&x, held[0]);
    expect_held(&x, held[1]);
    x.f.spec.max_requests = 3;
    x.f.spec.serial++;
    pool_follow(x.other, &x.f.spec);
    pool_follow(x.f.pool, &x.f.spec);
    expect_connection(&x, held[0]);
    expect_connection(&x, held[1]);
    tear_down(&x);
}

Test(pool_hold, who_is_held_may_follow_another_route)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    struct request *first = ask(&x, x.f.pool);
    expect_connection(&x, first);
    struct request *held = ask_for(&x, x.f.pool, "old"), *behind = ask_for(&x, x.f.pool, "new");
    struct pool_ask another = {.claim = &held->claim, .route = slice_of("new"), .max_tries = 1};
    cr_assert(pool_wait_is_waiting(held->wait));
    cr_assert(pool_wait_follow(held->wait, &another));
    end(first);
    expect_connection(&x, behind);
    expect_held(&x, held);
    end(behind);
    expect_connection(&x, held);
    tear_down(&x);
}

Test(pool_hold, a_pool_that_holds_none_any_more_says_so)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    start(&x);
    expect_connection(&x, ask(&x, x.f.pool));
    struct request *held = ask(&x, x.f.pool);
    struct pool_ask another = {.claim = &held->claim, .route = slice_of("route"), .max_tries = 1};
    hold(&x, 0, 0);
    pool_fixture_follow(&x.f);
    cr_assert_not(pool_wait_follow(held->wait, &another));
    end(held);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    tear_down(&x);
}

static bool has_been_served(void *argument)
{
    struct request *request = argument;

    return !pool_wait_is_waiting(request->wait);
}

/* Who is held is given an idle connection before it runs to take it: a reload may come between. */
Test(pool_hold, a_connection_that_was_used_names_nobody)
{
    struct fixture x;

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_connections = 1;
    start(&x);
    struct request *first = ask(&x, x.f.pool);
    expect_connection(&x, first);
    struct request *held = ask(&x, x.f.pool);
    end(first);
    pool_fixture_run_until(&x.f, has_been_served, held);
    x.f.spec.names_clients = true;
    pool_fixture_follow(&x.f);
    cr_assert_eq(pool_fixture_peek(held->wait, &held->result), IO_OK);
    pool_wait_end(held->wait);
    held->wait = NULL;
    struct upstream_connection *connection = held->result.connection;
    cr_assert(upstream_connection_is_reused(connection));
    cr_assert_not(upstream_connection_names_client(connection));
    tear_down(&x);
}

Test(pool_hold, connections_beyond_a_lower_limit_go_when_they_are_free)
{
    struct fixture x;

    set_up(&x);
    start(&x);
    for (int i = 0; i < 4; i++)
        expect_connection(&x, ask(&x, x.f.pool));
    end(&x.requests[0]);
    x.f.spec.max_connections = 2;
    pool_fixture_follow(&x.f);
    cr_assert_eq(pool_fixture_status(&x.f, 0).connections, 3);
    end(&x.requests[1]);
    cr_assert_eq(pool_fixture_status(&x.f, 0).connections, 2);
    end(&x.requests[2]);
    cr_assert_eq(pool_fixture_status(&x.f, 0).connections, 2);
    tear_down(&x);
}

/* The limit is the server's, whatever the route file, or DNS, says of it meanwhile. */
Test(pool_hold, a_server_that_comes_back_has_as_much_room_as_is_left)
{
    struct fixture x;
    struct address address;
    struct server_spec first, second;
    int listener = loopback_listen(&address);

    set_up(&x);
    x.f.spec.max_connections = 1;
    start(&x);
    expect_connection(&x, ask(&x, x.f.pool));
    first = x.f.servers[0];
    pool_fixture_add(&x.f, &address, 1);
    second = x.f.servers[1];
    x.f.spec.server_count = 1;
    x.f.servers[0] = second;
    pool_fixture_follow(&x.f);
    cr_assert_eq(pool_fixture_status(&x.f, 0).connections, 0);
    x.f.servers[0] = first;
    pool_fixture_follow(&x.f);
    cr_assert_eq(pool_fixture_status(&x.f, 0).connections, 1);
    expect_refusal(&x, ask(&x, x.f.pool), POOL_OVER_LIMIT);
    end(&x.requests[0]);
    expect_connection(&x, ask(&x, x.f.pool));
    close(listener);
    tear_down(&x);
}

/* A second leg of a request, which is counted already and better not asked than late. */
Test(pool_hold, who_claims_nothing_is_neither_counted_nor_held)
{
    struct fixture x;
    const struct pool_ask leg = {.connect_timeout_ms = LONG_MS, .max_tries = 1};

    set_up(&x);
    hold(&x, LONG_MS, 10);
    x.f.spec.max_requests = 1;
    x.f.spec.max_connections = 2;
    start(&x);
    expect_connection(&x, ask(&x, x.f.pool));
    struct pool_result result = pool_fixture_ask(&x.f, &leg);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_eq(pool_fixture_ask(&x.f, &leg).failure, POOL_OVER_LIMIT);
    upstream_connection_give_back(result.connection);
    tear_down(&x);
}
