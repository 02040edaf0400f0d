/* What the process knows of a backend: shared by name, followed, and told to pools by their bells.
 */
#include "upstream/backend_state.h"
#include "upstream/names.h"

#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERVERS_MAX = 4 };

static struct loop *loop;
static struct resolver *resolver;
static struct backend_states *states;
static struct bell bell;
static struct task turn;
static struct post behind;
static struct deadline tick;
static struct server_spec servers[SERVERS_MAX];
static struct upstream_spec spec;

/* Behind all that was posted before, and the tasks which that has woken. */
static void end_turn(void *owner)
{
    (void)owner;
    if (deadline_passed(loop, &tick)) {
        deadline_clear(&tick);
        loop_post(loop, &behind);
    } else {
        loop_stop(loop);
    }
}

static void wake_turn(void *owner)
{
    (void)owner;
    loop_wake(loop, &turn);
}

static void run_loop(void)
{
    behind = (struct post){.run = wake_turn};
    deadline_set(loop, &tick, 1);
    loop_run(loop);
}

static void begin(void)
{
    static const char *const names[SERVERS_MAX] = {"one:1", "two:1", "three:1", "four:1"};

    loop = loop_new();
    resolver = resolver_new(loop, NULL);
    states = backend_states_new(loop, resolver);
    bell_init(&bell, loop);
    task_init(&turn, end_turn, NULL);
    deadline_init(&tick, &turn);
    for (int i = 0; i < SERVERS_MAX; i++) {
        servers[i] = (struct server_spec){.name = slice_of(names[i]), .weight = 1};
        servers[i].endpoint.kind = ENDPOINT_IP;
    }
    spec = (struct upstream_spec){
        .name = slice_of("api"), .serial = 1, .servers = servers, .server_count = 2};
}

static void end(void)
{
    bell_clear(&bell);
    backend_states_free(states);
    deadline_clear(&tick);
    resolver_free(resolver);
    loop_free(loop);
}

TestSuite(backend_state, .init = begin, .fini = end);

static void expect_servers(struct backend_state *state, const char *expected)
{
    struct server_set *set = backend_state_set(state);
    char names[256] = "";

    for (unsigned i = 0; i < set->count; i++) {
        size_t length = strlen(names);
        snprintf(names + length, sizeof(names) - length, "%s%s", i > 0 ? " " : "",
                 set->servers[i].state->name);
    }
    cr_assert_str_eq(names, expected);
    server_set_unref(set);
}

Test(backend_state, all_who_take_a_name_have_the_same)
{
    struct backend_state *one = backend_state_take(states, &spec);
    struct backend_state *other = backend_state_take(states, &spec);

    cr_assert_eq(one, other);
    expect_servers(one, "one:1 two:1");
    backend_state_drop(one);
    run_loop();
    expect_servers(other, "one:1 two:1");
    backend_state_drop(other);
}

Test(backend_state, a_newer_spec_is_followed_and_an_older_one_is_not)
{
    struct upstream_spec newer = spec, older = spec;
    struct backend_state *state;

    newer.serial = 3;
    newer.server_count = 3;
    older.serial = 2;
    state = backend_state_take(states, &spec);
    backend_state_follow(state, &newer);
    expect_servers(state, "one:1 two:1 three:1");
    backend_state_follow(state, &older);
    expect_servers(state, "one:1 two:1 three:1");
    backend_state_drop(state);
}

Test(backend_state, how_a_server_is_outlives_what_is_said_of_it)
{
    struct upstream_spec newer = spec;
    struct backend_state *state = backend_state_take(states, &spec);
    struct server_set *before = backend_state_set(state), *after;

    newer.serial = 2;
    newer.servers = &servers[1];
    newer.server_count = 3;
    backend_state_follow(state, &newer);
    after = backend_state_set(state);
    cr_assert_eq(after->servers[0].state, before->servers[1].state);
    server_set_unref(before);
    server_set_unref(after);
    backend_state_drop(state);
}

Test(backend_state, a_server_is_there_once)
{
    struct backend_state *state;

    servers[1].name = servers[0].name;
    state = backend_state_take(states, &spec);
    expect_servers(state, "one:1");
    backend_state_drop(state);
}

Test(backend_state, what_nobody_uses_is_forgotten)
{
    struct backend_state *state = backend_state_take(states, &spec);
    struct upstream_spec again = spec;

    backend_state_drop(state);
    run_loop();
    again.serial = 0; /* older: followed only by one that is made anew */
    again.server_count = 1;
    state = backend_state_take(states, &again);
    expect_servers(state, "one:1");
    backend_state_drop(state);
}

/* --- bells -------------------------------------------------------------------------------- */

static void count_ring(void *owner)
{
    ++*(unsigned *)owner;
}

Test(backend_state, pools_hear_of_changes_once_a_turn_until_they_stop_listening)
{
    struct backend_state *state = backend_state_take(states, &spec);
    struct backend_pull pull;
    unsigned rings = 0;

    backend_state_listen(state, &pull, &bell, count_ring, &rings);
    run_loop();
    cr_assert_eq(rings, 0);
    for (int i = 0; i < 3; i++)
        backend_state_ring(state);
    run_loop();
    cr_assert_eq(rings, 1);
    spec.serial++;
    backend_state_follow(state, &spec);
    backend_state_unlisten(state, &pull);
    run_loop();
    cr_assert_eq(rings, 1);
    backend_state_drop(state);
}

/* --- names -------------------------------------------------------------------------------- */

static void await_lookups(unsigned count)
{
    while (backend_states_lookups(states) < count)
        run_loop();
    run_loop(); /* sets are made of their answers a turn later */
}

static unsigned server_count(struct backend_state *state)
{
    struct server_set *set = backend_state_set(state);
    unsigned count = set->count;

    server_set_unref(set);
    return count;
}

static struct set_server first_server(struct backend_state *state)
{
    struct server_set *set = backend_state_set(state);
    struct set_server server = set->servers[0];

    server_set_unref(set);
    return server;
}

Test(backend_state, names_are_looked_up_by_themselves)
{
    struct backend_state *state;

    servers[0].endpoint =
        (struct endpoint){.kind = ENDPOINT_NAME, .name = "localhost", .port = 8080};
    state = backend_state_take(states, &spec);
    cr_assert_eq(first_server(state).known, ADDRESSES_AWAITED);
    await_lookups(1);
    cr_assert_eq(first_server(state).known, ADDRESSES_KNOWN);
    cr_assert_geq(first_server(state).address_count, 1);
    cr_assert_eq(address_port(&first_server(state).addresses[0]), 8080);
    backend_state_drop(state);
}

/* From here on names are asked for there. */
static struct dns_server *ask_at_server(void)
{
    struct dns_server *server = dns_server_start();
    struct address address;

    cr_assert(name_server_parse(slice_of(dns_server_address(server)), &address, NULL));
    resolver_set_servers(resolver, &address, 1);
    return server;
}

Test(backend_state, names_are_looked_up_again_when_their_time_is_over)
{
    struct dns_server *server = ask_at_server();
    struct backend_state *state;

    dns_server_add_a(server, "a.test", 0, "10.0.0.1");
    servers[0].endpoint = (struct endpoint){.kind = ENDPOINT_NAME, .name = "a.test", .port = 8080};
    state = backend_state_take(states, &spec);
    await_lookups(1);
    dns_server_add_a(server, "a.test", 3600, "10.0.0.2");
    await_lookups(2); /* which the least time to live brings about */
    cr_assert_eq(first_server(state).address_count, 2);
    backend_state_drop(state);
    run_loop();
    dns_server_stop(server);
}

Test(backend_state, servers_that_the_first_srv_records_name_have_not_just_come)
{
    struct dns_server *server = ask_at_server();
    struct backend_state *state;

    dns_server_add_srv(server, "_http._tcp.api.test", 0, 1, 1, 80, "one.test");
    servers[0].endpoint = (struct endpoint){.kind = ENDPOINT_SRV, .name = "_http._tcp.api.test"};
    spec.server_count = 1;
    state = backend_state_take(states, &spec);
    await_lookups(1);
    expect_servers(state, "one.test:80");
    cr_expect_eq(atomic_load(&first_server(state).state->back_ms), 0);
    dns_server_add_srv(server, "_http._tcp.api.test", 3600, 0, 1, 80, "new.test");
    while (server_count(state) < 2)
        run_loop();
    expect_servers(state, "new.test:80 one.test:80");
    cr_expect_gt(atomic_load(&first_server(state).state->back_ms), 0);
    backend_state_drop(state);
    run_loop();
    dns_server_stop(server);
}

Test(backend_state, a_name_that_does_not_resolve_is_known_to_be_missing)
{
    struct dns_server *server = ask_at_server();
    struct backend_state *state;

    servers[0].endpoint =
        (struct endpoint){.kind = ENDPOINT_NAME, .name = "gone.test", .port = 8080};
    state = backend_state_take(states, &spec);
    await_lookups(1);
    cr_assert_eq(first_server(state).known, ADDRESSES_MISSING);
    backend_state_drop(state);
    dns_server_stop(server);
}

/* Takes another backend with that name in each turn until the name is known. */
struct latecomer {
    struct task task;
    struct upstream_spec spec;
    struct backend_state *state;
    char name[16];
    unsigned turns;
};

static void come_late(void *owner)
{
    struct latecomer *late = owner;

    if (backend_states_lookups(states) > 0)
        return;
    if (late->state != NULL)
        backend_state_drop(late->state);
    snprintf(late->name, sizeof(late->name), "late-%u", late->turns++);
    late->spec.name = slice_of(late->name);
    late->state = backend_state_take(states, &late->spec);
    loop_wake(loop, &late->task);
}

Test(backend_state, who_takes_a_name_as_its_answer_comes_gets_it_too)
{
    struct latecomer late = {.spec = spec};
    struct backend_state *first;

    servers[0].endpoint =
        (struct endpoint){.kind = ENDPOINT_NAME, .name = "localhost", .port = 8080};
    task_init(&late.task, come_late, &late);
    first = backend_state_take(states, &spec);
    loop_wake(loop, &late.task);
    await_lookups(1);
    cr_expect_eq(first_server(first).known, ADDRESSES_KNOWN);
    cr_expect_eq(first_server(late.state).known, ADDRESSES_KNOWN);
    backend_state_drop(first);
    backend_state_drop(late.state);
}

Test(backend_state, one_may_end_while_its_names_are_looked_up)
{
    servers[0].endpoint =
        (struct endpoint){.kind = ENDPOINT_NAME, .name = "localhost", .port = 8080};
    for (int i = 0; i < 50; i++) {
        struct backend_state *state = backend_state_take(states, &spec);
        if (i % 2 == 0)
            run_loop();
        backend_state_drop(state);
        if (i % 3 == 0)
            run_loop();
    }
}

Test(backend_state, names_are_looked_up_again_by_their_ttl_within_bounds)
{
    static const struct {
        uint32_t ttl_s;
        uint64_t ms;
    } rows[] = {{0, 1000},
                {1, 1000},
                {7, 7000},
                {300, 300000},
                {301, 300000},
                {86400, 300000},
                {UINT32_MAX - 1, 300000},
                {LOOKUP_TTL_NONE, 10000}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_assert_eq(names_ttl_ms(rows[i].ttl_s), rows[i].ms, "TTL %u", rows[i].ttl_s);
}
