/* Backends: who gets a request, reuse of connections, servers that are down, tries that may be
 * repeated. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(upstreams);

static void get_many(struct gateway *gateway, int count)
{
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < count; i++)
        expect_status(client_get(client, "a.test", text("/%d", i)), 200);
    client_close(client);
}

Test(upstreams, weights_are_exact_per_cycle)
{
    struct origin *three = origin_start("three");
    struct origin *one = origin_start("one");
    struct origin *zero = origin_start("zero");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': [{ 'to': '%s', 'weight': 3 }, '%s',"
                      "  { 'to': '%s', 'weight': 0 }] } }, 'routes': { 'a.test': 'b' } }",
                      origin_address(three), origin_address(one), origin_address(zero));

    for (int cycle = 1; cycle <= 5; cycle++) {
        get_many(gateway, 4);
        cr_assert_eq(origin_requests(three), 3 * cycle);
        cr_assert_eq(origin_requests(one), cycle);
    }
    cr_assert_eq(origin_requests(zero), 0);
    gateway_stop(gateway);
}

Test(upstreams, list_is_taken_in_turn)
{
    struct origin *one = origin_start("one");
    struct origin *two = origin_start("two");
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': ['%s', '%s'] } }",
                                            origin_address(one), origin_address(two));

    get_many(gateway, 10);
    cr_assert_eq(origin_requests(one), 5);
    cr_assert_eq(origin_requests(two), 5);
    gateway_stop(gateway);
}

/* Asks until an origin answers; it must within the patience. */
static void ask_until(struct gateway *gateway, const char *name)
{
    struct client *client = client_open(gateway, "a.test");
    long long start = monitor_now_ms();

    for (;;) {
        struct message *response = client_get(client, "a.test", "/");
        expect_status(response, 200);
        if (strncmp(response->body, name, strlen(name)) == 0)
            break;
        workplace_require(monitor_may_ask_again(start), "%s gets nothing", name);
    }
    client_close(client);
}

Test(upstreams, backup_only_when_the_others_are_down)
{
    struct origin *first = origin_start("first");
    struct origin *spare = origin_start("spare");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s', { 'to': '%s',"
                      "  'backup': true }] } }, 'routes': { 'a.test': 'b' } }",
                      origin_address(first), origin_address(spare));

    get_many(gateway, 10);
    cr_assert_eq(origin_requests(spare), 0);
    origin_stop(first);
    ask_until(gateway, "spare");
    get_many(gateway, 5);
    origin_restart(first);
    ask_until(gateway, "first");
    gateway_stop(gateway);
}

Test(upstreams, dead_server_is_skipped)
{
    struct origin *one = origin_start("one");
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': ['%s', '%s'] } }",
                                            workplace_free_address(), origin_address(one));

    get_many(gateway, 40);
    cr_assert_eq(origin_requests(one), 40);
    /* Some request paid for finding out; by far not every second one. */
    int paid = 0;
    for (int i = 0; i < 40; i++)
        paid += json_integer_value(json_member(log_entry(gateway, i), "attempts")) > 1;
    workplace_require(paid >= 1 && paid < 15, "%d of 40 requests tried the dead server", paid);
    gateway_stop(gateway);
}

Test(upstreams, idle_connections_are_reused)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));

    get_many(gateway, 10);
    get_many(gateway, 10);
    cr_assert_eq(origin_connections(origin), 1);
    gateway_stop(gateway);
}

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

/* Two requests at once on two connections to the origin; the second one ends last. */
static void two_at_once(struct gateway *gateway, struct origin *origin)
{
    struct client *first = client_open(gateway, "a.test");
    struct client *second = client_open(gateway, "a.test");
    struct gate *gates[] = {gate_new(), gate_new()};

    origin_set_script(origin, "/first", wait_then_tell, gates[0]);
    origin_set_script(origin, "/second", wait_then_tell, gates[1]);
    int before = origin_requests(origin);
    client_send(first, "GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, before + 1);
    client_send(second, "GET /second HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, before + 2);
    gate_open(gates[0]);
    expect_status(client_response(first), 200);
    gate_open(gates[1]);
    expect_status(client_response(second), 200);
}

Test(upstreams, newest_idle_connection_first)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));

    two_at_once(gateway, origin);
    cr_assert_eq(origin_connections(origin), 2);
    get_many(gateway, 5);
    for (int i = 2; i < 7; i++)
        cr_assert_eq(origin_request(origin, i)->connection, 1);
    gateway_stop(gateway);
}

Test(upstreams, no_more_idle_connections_than_told)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'keepalive': 1 } },"
                      "  'routes': { 'a.test': 'b' } }",
                      origin_address(origin));

    two_at_once(gateway, origin);
    origin_wait_open_connections(origin, 1);
    gateway_stop(gateway);
}

Test(upstreams, keepalive_off)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'keepalive': 0 } },"
                      "  'routes': { 'a.test': 'b' } }",
                      origin_address(origin));

    get_many(gateway, 3);
    cr_assert_eq(origin_connections(origin), 3);
    gateway_stop(gateway);
}

Test(upstreams, name_that_does_not_resolve)
{
    struct origin *origin = origin_start("one");
    struct dns_server *names = dns_server_start();
    struct gateway *gateway = gateway_start(
        "{ @base, 'dns': { 'servers': ['%s'] }, 'routes': { 'a.test': '%s', 'b.test': "
        "'gone.test:80' } }",
        dns_server_address(names), origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    struct message *response = client_get(client, "b.test", "/");
    cr_assert(response->status == 502 || response->status == 503, "%s", response->head);
    expect_from(client_get(client, "a.test", "/"), "one");
    gateway_stop(gateway);
    dns_server_stop(names);
}

/* In the release build behind the filter of system calls, by UDP and by TCP. */
Test(upstreams, names_are_asked_for_at_the_servers_of_the_route_file)
{
    struct origin *origin = origin_start("one");
    struct dns_server *names = dns_server_start();
    const char *port = strrchr(origin_address(origin), ':');
    dns_server_add_a(names, "app.test", 60, workplace_own_host(0));
    dns_server_add_a(names, "long.test", 60, workplace_own_host(0));
    for (int i = 0; i < 100; i++)
        dns_server_add_a(names, "long.test", 60, workplace_own_host(0));
    struct gateway *gateway = gateway_start(
        "{ @base, 'dns': { 'servers': ['%s'] }, 'routes': { 'a.test': 'app.test%s', 'b.test': "
        "'long.test%s' } }",
        dns_server_address(names), port, port);

    expect_from(fetch(gateway, "a.test", "/"), "one");
    expect_from(fetch(gateway, "b.test", "/"), "one");
    cr_expect_gt(dns_server_tcp_questions(names), 0);
    gateway_stop(gateway);
    dns_server_stop(names);
}

Test(upstreams, every_form_of_an_address)
{
    struct origin *v4 = origin_start_at("v4", "127.0.0.1:0");
    struct origin *path = origin_start_at("path", text("unix:%s/b.sock", workplace_folder()));
    const char *port = strrchr(origin_address(v4), ':') + 1;
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': 'http://%s', 'b.test': 'localhost:%s',"
                      "  'c.test': '%s' } }",
                      origin_address(v4), port, origin_address(path));
    struct client *client = client_open(gateway, "a.test");

    expect_from(client_get(client, "a.test", "/"), "v4");
    expect_from(client_get(client, "b.test", "/"), "v4");
    expect_from(client_get(client, "c.test", "/"), "path");
    gateway_stop(gateway);
}

Test(upstreams, ipv6_backend)
{
    if (access("/proc/net/if_inet6", R_OK) != 0)
        return;
    struct origin *v6 = origin_start_at("v6", "[::1]:0");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(v6));

    expect_from(fetch(gateway, "a.test", "/"), "v6");
    gateway_stop(gateway);
}

/* Answers the first request of a connection; reads the second one and closes without a word. */
static void answer_only_once(struct origin_turn *turn)
{
    if (turn->request->place == 0) {
        origin_tell(turn);
        return;
    }
    origin_read_body(turn);
    turn->is_closing = true;
}

static struct message *ask_stale(struct gateway *gateway, const char *request)
{
    struct client *client = client_open(gateway, "a.test");

    expect_from(client_get(client, "a.test", "/"), "one");
    client_send(client, "%s", request);
    struct message *response = client_response(client);
    client_close(client);
    return response;
}

Test(upstreams, stale_connection_is_replaced_for_idempotent_requests)
{
    static const char *const requests[] = {
        "GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "DELETE /again HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "OPTIONS /again HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "PUT /again HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
    };
    struct origin *origin = origin_start("one");

    origin_set_script(origin, NULL, answer_only_once, NULL);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct gateway *gateway =
            gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
        expect_from(ask_stale(gateway, requests[i]), "one");
        expect_number(log_entry(gateway, 1), "attempts", 2);
        gateway_stop(gateway);
    }
}

Test(upstreams, nothing_is_sent_twice_that_may_have_been_done)
{
    static const char *const requests[] = {
        "POST /again HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
        "POST /again HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        "PATCH /again HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /again HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        "FROBNICATE /again HTTP/1.1\r\nHost: a.test\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct origin *origin = origin_start("one");
        origin_set_script(origin, NULL, answer_only_once, NULL);
        struct gateway *gateway =
            gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
        struct message *response = ask_stale(gateway, requests[i]);
        workplace_require(response->status == 502, "%s\nwas tried again: %s", requests[i],
                          response->head);
        expect_refusal(response, 502, "backend_reset");
        gateway_stop(gateway);
        cr_assert_eq(origin_requests(origin), 2);
    }
}

Test(upstreams, fresh_connection_that_breaks_is_not_tried_again)
{
    struct origin *origin = origin_start("one");

    origin_set_last_reply(origin, "/x", "");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    expect_refusal(fetch(gateway, "a.test", "/x"), 502, "backend_reset");
    cr_assert_eq(origin_requests(origin), 1);
    gateway_stop(gateway);
}

Test(upstreams, one_attempt_is_one_attempt)
{
    struct origin *origin = origin_start("one");

    origin_set_script(origin, NULL, answer_only_once, NULL);
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'retry': { 'attempts': 1 } } } }",
        origin_address(origin));
    expect_refusal(ask_stale(gateway, "GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n"), 502,
                   "backend_reset");
    expect_number(log_entry(gateway, 1), "attempts", 1);
    gateway_stop(gateway);
}

Test(upstreams, all_attempts_end)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': ['%s', '%s', '%s'] } }",
                      workplace_free_address(), workplace_free_address(), workplace_free_address());

    expect_refusal(fetch(gateway, "a.test", "/"), 502, "backend_connect");
    gateway_stop(gateway);
}

Test(upstreams, post_goes_to_the_next_server_when_it_cannot_connect)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': ['%s', '%s'] } }",
                                            workplace_free_address(), origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    for (int i = 0; i < 4; i++) {
        client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
        expect_body(client_response(client), "hello");
    }
    gateway_stop(gateway);
}

Test(upstreams, backend_that_answers_and_closes_is_not_reused)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_last_reply(origin, "/", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    for (int i = 0; i < 20; i++)
        expect_body(client_get(client, "a.test", "/"), "ok");
    cr_assert_eq(origin_requests(origin), 20);
    gateway_stop(gateway);
}

Test(upstreams, bytes_behind_a_response_spoil_the_connection)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/more",
                     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    expect_body(client_get(client, "a.test", "/more"), "ok");
    expect_from(client_get(client, "a.test", "/"), "one");
    gateway_stop(gateway);
}
