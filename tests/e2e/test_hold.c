/* Limits of backends, exact for all workers, and requests that are held for them or for a server
 * that comes back. */
#include "harness/crowd.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

E2E_SUITE(hold);

/* --- what is held --------------------------------------------------------------------------- */

static json_t *backend_status(const char *name)
{
    json_t *page = json_from(ask_admin("GET", "/status")->body), *backend;
    size_t i;

    json_array_foreach (json_member(page, "backends"), i, backend)
        if (strcmp(json_string_value(json_member(backend, "name")), name) == 0)
            return backend;
    workplace_fail("/status has no backend %s", name);
}

static long long status_number(const char *name, const char *member)
{
    return json_integer_value(json_member(backend_status(name), member));
}

static void await_number(const char *member, long long value)
{
    long long start = monitor_now_ms();

    while (status_number("b", member) != value)
        workplace_require(monitor_may_ask_again(start), "%s is %lld, not %lld", member,
                          status_number("b", member), value);
}

/* One backend, b, with these keys besides its servers; its route is that of a.test and b.test. */
static struct gateway *start(int workers, const char *servers, const char *keys)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'backends': { 'b': { 'servers': [%s], %s } },"
                             "  'routes': { 'a.test': 'b', 'b.test': 'b' } }",
                             servers, keys),
        .workers = workers});
}

static const char *quoted(const struct origin *origin)
{
    return text("'%s'", origin_address(origin));
}

static struct client *begin_request(struct gateway *gateway, const char *host, const char *path)
{
    struct client *client = client_open(gateway, host);

    client_send(client, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    return client;
}

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

/* A request that is at the origin until the gate opens. */
static struct client *occupy(struct gateway *gateway, struct origin *origin, struct gate *gate)
{
    int before = origin_requests(origin);

    origin_set_script(origin, "/slow", wait_then_tell, gate);
    struct client *client = begin_request(gateway, "a.test", "/slow");
    origin_wait_requests(origin, before + 1);
    return client;
}

static void expect_come_back(const struct message *response, const char *reason)
{
    expect_refusal(response, 503, reason);
    expect_field(response, "retry-after", "1");
}

/* --- limits without it ---------------------------------------------------------------------- */

static void refused_at_once(int workers, const char *limit)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start(workers, quoted(origin), limit);
    struct gate *gate = gate_new();
    struct client *first = occupy(gateway, origin, gate);

    for (int i = 0; i < 10; i++) {
        struct client *client = client_open(gateway, "a.test");
        expect_come_back(client_get(client, "a.test", "/"), "over_limit");
        /* It is no reason to end a client's connection. */
        expect_come_back(client_get(client, "a.test", "/"), "over_limit");
        client_close(client);
    }
    cr_assert_eq(origin_requests(origin), 1);
    gate_open(gate);
    expect_from(client_response(first), "one");
    expect_from(client_get(first, "a.test", "/"), "one");
    gateway_stop(gateway);
}

Test(hold, beyond_max_requests_is_refused_at_once)
{
    refused_at_once(2, "'max_requests': 1");
}

Test(hold, beyond_max_connections_is_refused_at_once)
{
    refused_at_once(1, "'max_connections': 1");
}

/* One after the other, by whichever worker: what the other one keeps idle is in nobody's way. */
Test(hold, a_limit_without_hold_refuses_nobody_while_there_is_room)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start(2, quoted(origin), "'max_connections': 1");

    for (int i = 0; i < 60; i++) {
        struct client *client = client_open(gateway, "a.test");
        expect_status(client_get(client, "a.test", "/"), 200);
        client_close(client);
    }
    gateway_stop(gateway);
}

Test(hold, backends_that_are_known_to_be_down_are_no_bad_gateway)
{
    struct gateway *gateway =
        start(1, text("'%s'", workplace_free_address()), "'eject': { 'after': 100, 'for': '1s' }");

    expect_refusal(fetch(gateway, "a.test", "/"), 502, "backend_connect");
    expect_come_back(fetch(gateway, "a.test", "/"), "no_backend");
    gateway_stop(gateway);
}

/* --- exact, and fair ------------------------------------------------------------------------ */

/* How many requests are at the backend at once. */
struct load_gauge {
    int now, most;
};

static void gauge_and_tell(struct origin_turn *turn)
{
    struct load_gauge *gauge = turn->arg;

    monitor_lock();
    if (++gauge->now > gauge->most)
        gauge->most = gauge->now;
    monitor_unlock();
    if (!origin_read_body(turn))
        turn->is_closing = true;
    monitor_lock();
    gauge->now--;
    monitor_unlock();
    origin_tell(turn);
}

static void visit(void *arg, unsigned n)
{
    struct gateway *gateway = arg;
    const char *host = n % 2 == 0 ? "a.test" : "b.test";
    struct client *client =
        client_make(gateway_https(gateway), &(struct client_options){.sni = host});

    for (int i = 0; i < 5; i++)
        expect_from(client_get(client, host, "/"), "one");
    client_free(client);
}

enum { CLIENTS = 16, VISITS = 400, AT_ONCE = 3 };

static void never_more_and_all_are_served(const char *limits)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(2, quoted(origin), text("%s, 'hold': { 'for': '10m', 'queue': 1000 }", limits));
    struct load_gauge gauge = {0};

    workplace_allow_seconds(600);
    origin_count_only(origin);
    origin_set_script(origin, NULL, gauge_and_tell, &gauge);
    crowd_finish(crowd_start(CLIENTS, VISITS, visit, gateway));
    cr_assert_eq(origin_requests(origin), VISITS * 5);
    cr_assert_leq(gauge.most, AT_ONCE);
    await_number("held", 0);
    await_number("in_flight", 0);
    gateway_stop(gateway);
}

Test(hold, max_requests_is_exact_for_all_workers_and_all_are_served)
{
    never_more_and_all_are_served("'max_requests': 3");
}

Test(hold, max_connections_is_exact_for_all_workers_and_all_are_served)
{
    never_more_and_all_are_served("'max_connections': 3");
}

Test(hold, both_limits_are_exact_for_all_workers_and_all_are_served)
{
    never_more_and_all_are_served("'max_requests': 3, 'max_connections': 4");
}

/* Six of one route wait before two of another come. */
Test(hold, routes_take_turns)
{
    static const char *const order[] = {"a.test", "b.test", "a.test", "b.test",
                                        "a.test", "a.test", "a.test", "a.test"};
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(1, quoted(origin), "'max_requests': 1, 'hold': { 'for': '10m', 'queue': 10 }");
    struct gate *gate = gate_new();
    struct client *clients[8];

    occupy(gateway, origin, gate);
    for (int i = 0; i < 8; i++) {
        clients[i] = begin_request(gateway, i < 6 ? "a.test" : "b.test", "/");
        await_number("held", i + 1);
    }
    gate_open(gate);
    for (int i = 0; i < 8; i++)
        expect_from(client_response(clients[i]), "one");
    for (int i = 0; i < 8; i++)
        cr_assert_str_eq(message_field(origin_request(origin, i + 1), "host"), order[i]);
    gateway_stop(gateway);
}

/* --- bounds --------------------------------------------------------------------------------- */

Test(hold, no_more_than_the_queue_has_places)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(2, quoted(origin), "'max_requests': 1, 'hold': { 'for': '10m', 'queue': 3 }");
    struct gate *gate = gate_new();
    struct client *first = occupy(gateway, origin, gate), *held[3];

    for (int i = 0; i < 3; i++) {
        held[i] = begin_request(gateway, "a.test", "/");
        await_number("held", i + 1);
    }
    for (int i = 0; i < 10; i++)
        expect_come_back(fetch(gateway, "a.test", "/"), "over_limit");
    cr_assert_eq(status_number("b", "in_flight"), 1);
    cr_assert_eq(status_number("b", "limits.queue"), 3);
    gate_open(gate);
    expect_from(client_response(first), "one");
    for (int i = 0; i < 3; i++)
        expect_from(client_response(held[i]), "one");
    gateway_stop(gateway);
}

Test(hold, no_longer_than_it_says)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(2, quoted(origin), "'max_requests': 1, 'hold': { 'for': '50ms', 'queue': 10 }");
    struct gate *gate = gate_new();
    struct client *first = occupy(gateway, origin, gate);

    for (int i = 0; i < 5; i++)
        expect_come_back(fetch(gateway, "a.test", "/"), "over_limit");
    gate_open(gate);
    expect_from(client_response(first), "one");
    gateway_stop(gateway);
}

Test(hold, no_server_for_so_long_is_no_backend)
{
    struct gateway *gateway =
        start(2, text("'%s'", workplace_free_address()), "'hold': { 'for': '50ms', 'queue': 10 }");

    for (int i = 0; i < 5; i++)
        expect_come_back(fetch(gateway, "a.test", "/"), "no_backend");
    gateway_stop(gateway);
}

Test(hold, clients_that_leave_leave_the_queue)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(2, quoted(origin), "'max_requests': 1, 'hold': { 'for': '10m', 'queue': 10 }");
    struct gate *gate = gate_new();
    struct client *first = occupy(gateway, origin, gate), *held[3];

    for (int i = 0; i < 3; i++) {
        held[i] = begin_request(gateway, "a.test", "/left");
        await_number("held", i + 1);
    }
    client_close(held[0]);
    client_leave(held[2]);
    await_number("held", 1);
    gate_open(gate);
    expect_from(client_response(first), "one");
    expect_from(client_response(held[1]), "one");
    cr_assert_eq(origin_requests(origin), 2);
    gateway_stop(gateway);
}

/* --- servers that come back ------------------------------------------------------------------ */

Test(hold, servers_that_are_restarted_cost_nothing)
{
    enum { HELD = 20 };
    struct origin *origins[] = {origin_start("one"), origin_start("two")};
    struct gateway *gateway = start(2, text("%s, %s", quoted(origins[0]), quoted(origins[1])),
                                    "'hold': { 'for': '10m', 'queue': 100 }");
    struct client *clients[HELD];

    for (int i = 0; i < HELD; i++) {
        clients[i] = client_open(gateway, "a.test");
        expect_status(client_get(clients[i], "a.test", "/"), 200);
    }
    for (int round = 0; round < 3; round++) {
        origin_stop(origins[0]);
        origin_stop(origins[1]);
        for (int i = 0; i < HELD; i++)
            client_send(clients[i], "%s / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
                        i % 2 == 0 ? "GET" : "POST");
        await_number("held", HELD);
        origin_restart(origins[round % 2]);
        for (int i = 0; i < HELD; i++)
            expect_status(client_response(clients[i]), 200);
        origin_restart(origins[(round + 1) % 2]);
    }
    gateway_stop(gateway);
}

/* --- generations ----------------------------------------------------------------------------- */

static void reload(void)
{
    expect_status(ask_admin("POST", "/reload"), 200);
}

Test(hold, who_is_held_follows_the_newest_generation)
{
    struct origin *two = origin_start("two");
    struct gateway *gateway =
        start(2, text("'%s'", workplace_free_address()), "'hold': { 'for': '10m', 'queue': 100 }");
    struct client *first = begin_request(gateway, "a.test", "/moves");
    struct client *second = begin_request(gateway, "b.test", "/is-answered");

    await_number("held", 2);
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'],"
                    "    'hold': { 'for': '10m', 'queue': 100 } }, 'c': ['%s'] },"
                    "  'routes': { 'a.test': 'c', 'b.test': 'b' } }",
                    workplace_free_address(), origin_address(two));
    reload();
    expect_from(client_response(first), "two");
    json_t *entry = log_entry_with(gateway, "path", "/moves");
    expect_string(entry, "backend", "c");
    expect_number(entry, "generation", 2);
    await_number("held", 1);
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'] } },"
                    "  'routes': { 'a.test': 'b', 'b.test': { 'respond': { 'status': 204 } } } }",
                    origin_address(two));
    reload();
    expect_status(client_response(second), 204);
    await_number("held", 0);
    gateway_stop(gateway);
    int lines = 0;
    for (const char *at = gateway_stdout(gateway); (at = strstr(at, "/moves")) != NULL; at++)
        lines++;
    cr_assert_eq(lines, 1);
}

Test(hold, a_backend_that_is_repaired_by_a_reload_gets_who_waits_for_it)
{
    struct origin *one = origin_start("one");
    struct gateway *gateway =
        start(2, text("'%s'", workplace_free_address()), "'hold': { 'for': '10m', 'queue': 2 }");
    struct client *held[2];

    for (int i = 0; i < 2; i++) {
        held[i] = begin_request(gateway, "a.test", "/");
        await_number("held", i + 1);
    }
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'],"
                    "    'hold': { 'for': '10m', 'queue': 2 } } },"
                    "  'routes': { 'a.test': 'b' } }",
                    origin_address(one));
    reload();
    for (int i = 0; i < 2; i++)
        expect_from(client_response(held[i]), "one");
    gateway_stop(gateway);
}

/* --- the end --------------------------------------------------------------------------------- */

Test(hold, a_drain_waits_for_who_is_held)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(2, quoted(origin), "'max_requests': 1, 'hold': { 'for': '10m', 'queue': 10 }");
    struct gate *gate = gate_new();
    struct client *first = occupy(gateway, origin, gate), *held;

    held = begin_request(gateway, "a.test", "/");
    await_number("held", 1);
    gateway_signal(gateway, SIGTERM);
    gateway_wait_stderr(gateway, "draining", NULL);
    gate_open(gate);
    expect_from(client_response(first), "one");
    expect_from(client_response(held), "one");
    gateway_stop_expecting(gateway, 0);
}

Test(hold, a_drain_cuts_who_is_held_for_too_long)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'drain_timeout': '50ms', 'backends': { 'b': { 'servers': ['%s'],"
        "    'hold': { 'for': '10m', 'queue': 10 } } }, 'routes': { 'a.test': 'b' } }",
        workplace_free_address());
    struct client *held = begin_request(gateway, "a.test", "/");

    await_number("held", 1);
    gateway_signal(gateway, SIGTERM);
    client_read_to_end(held);
    gateway_stop_expecting(gateway, 0);
}

/* --- caches ---------------------------------------------------------------------------------- */

static void rewrite_cached(const char *address, const char *key)
{
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'],"
                    "    'hold': { 'for': '10m', 'queue': 10 } } },"
                    "  'routes': { 'a.test': { 'to': 'b'%s } } }",
                    address, key);
    expect_status(ask_admin("POST", "/reload"), 200);
}

/* What is held is kept as the newest generation says, or not at all: of an older one nothing is
 * left. */
Test(hold, a_cache_that_is_another_one_meanwhile)
{
    struct origin *origin = origin_start("one");
    const char *nobody = workplace_free_address();
    struct gateway *gateway = start(1, text("'%s'", nobody), "'hold': { 'for': '10m' }");

    origin_set_reply(origin, NULL,
                     "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx");
    rewrite_cached(nobody, ", 'cache': { 'max_object': '64KiB' }");
    struct client *held = begin_request(gateway, "a.test", "/");
    await_number("held", 1);
    for (int i = 1; i <= 3; i++) {
        rewrite_cached(nobody, text(", 'cache': { 'max_object': '%dKiB' }", i));
        await_number("held", 1);
    }
    rewrite_cached(nobody, "");
    await_number("held", 1);
    rewrite_cached(origin_address(origin), ", 'cache': {}");
    expect_body(client_response(held), "x");
    expect_body(client_get(held, "a.test", "/"), "x");
    cr_assert_eq(origin_requests(origin), 1);
    gateway_stop(gateway);
}

/* --- what is told ---------------------------------------------------------------------------- */

Test(hold, metrics_tell_who_is_held_and_who_was_refused)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(1, quoted(origin), "'max_requests': 1, 'hold': { 'for': '10m', 'queue': 1 }");
    struct gate *gate = gate_new();
    struct client *first = occupy(gateway, origin, gate);
    struct client *held = begin_request(gateway, "a.test", "/");

    await_number("held", 1);
    expect_come_back(fetch(gateway, "a.test", "/"), "over_limit");
    const char *page = ask_admin("GET", "/metrics")->body;
    cr_assert_not_null(strstr(page, "\nsallyport_upstream_held{backend=\"b\"} 1\n"));
    cr_assert_not_null(
        strstr(page, "\nsallyport_upstream_refused_total{reason=\"over_limit\"} 1\n"));
    cr_assert_not_null(
        strstr(page, "\nsallyport_upstream_refused_total{reason=\"no_backend\"} 0\n"));
    gate_open(gate);
    expect_from(client_response(first), "one");
    expect_from(client_response(held), "one");
    gateway_stop(gateway);
}
