/* Stopping: readiness fails first, queued connections are served, requests in flight finish, exit
 * 0. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(drain);

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

static void wait_not_ready(void)
{
    long long start = monitor_now_ms();

    while (ask_admin("GET", "/readyz")->status != 503)
        workplace_require(monitor_may_ask_again(start), "/readyz does not fail");
}

static void wait_refused(struct gateway *gateway)
{
    long long start = monitor_now_ms();

    for (int fd; (fd = wire_dial(gateway_https(gateway), false)) >= 0; close(fd))
        workplace_require(monitor_may_ask_again(start), "the listener still accepts");
}

static void request_in_flight_finishes(void (*begin)(struct gateway *gateway))
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/slow", wait_then_tell, gate);
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    begin(gateway);
    wait_not_ready();
    wait_refused(gateway);
    expect_status(ask_admin("GET", "/healthz"), 200);
    expect_status(ask_plain(gateway_address(gateway, "status", 0), "GET", "/readyz"), 503);
    gate_open(gate);
    struct message *response = client_response(client);
    expect_from(response, "one");
    client_expect_end(client);
    gateway_stop_expecting(gateway, 0);
}

static void by_sigterm(struct gateway *gateway)
{
    gateway_signal(gateway, SIGTERM);
}

static void by_sigint(struct gateway *gateway)
{
    gateway_signal(gateway, SIGINT);
}

static void by_sigquit(struct gateway *gateway)
{
    gateway_signal(gateway, SIGQUIT);
}

static void by_post(struct gateway *gateway)
{
    (void)gateway;
    struct message *response = ask_admin("POST", "/drain");
    workplace_require(response->status / 100 == 2, "%s", response->head);
}

Test(drain, requests_in_flight_finish_at_sigterm)
{
    request_in_flight_finishes(by_sigterm);
}

Test(drain, requests_in_flight_finish_at_sigint)
{
    request_in_flight_finishes(by_sigint);
}

Test(drain, requests_in_flight_finish_at_sigquit)
{
    request_in_flight_finishes(by_sigquit);
}

Test(drain, requests_in_flight_finish_at_post_drain)
{
    request_in_flight_finishes(by_post);
}

Test(drain, delay_still_accepts)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'drain_delay': '1h', 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *idle = client_open(gateway, "a.test");

    expect_status(ask_admin("GET", "/readyz"), 200);
    expect_body(client_get(idle, "a.test", "/"), "ok");
    gateway_signal(gateway, SIGTERM);
    wait_not_ready();
    command_expect(SALLYPORT("healthcheck", "-c", workplace_path("routes.json")), 1);
    expect_body(fetch(gateway, "a.test", "/"), "ok");
    expect_body(client_get(idle, "a.test", "/"), "ok");
    gateway_signal(gateway, SIGTERM);
    gateway_stop_expecting(gateway, 1);
}

Test(drain, second_signal_exits_at_once)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'drain_timeout': '1h', 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/hang", origin_hang, NULL);
    client_send(client, "GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    gateway_signal(gateway, SIGTERM);
    wait_not_ready();
    gateway_signal(gateway, SIGINT);
    gateway_stop_expecting(gateway, 1);
}

Test(drain, the_rest_is_cut_at_the_timeout)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'drain_timeout': '200ms', 'routes': { 'a.test': '%s' } }",
                      origin_address(origin));
    struct client *request = client_open(gateway, "a.test");
    struct client *tunnel = client_open(gateway, "a.test");

    origin_set_script(origin, "/hang", origin_hang, NULL);
    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    client_send(request, "GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client_send(tunnel, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n");
    cr_assert_eq(client_response(tunnel)->status, 101);
    origin_wait_requests(origin, 2);
    gateway_signal(gateway, SIGTERM);
    gateway_stop_expecting(gateway, 0);
    cr_assert_neq(client_read_to_end(request), WIRE_TIMED_OUT);
    cr_assert_neq(client_read_to_end(tunnel), WIRE_TIMED_OUT);
}

Test(drain, idle_connections_are_closed)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'drain_timeout': '1h', 'routes': { 'a.test': { 'respond':"
                      "  { 'body': 'ok' } } } }");
    struct client *used = client_open(gateway, "a.test");

    expect_body(client_get(used, "a.test", "/"), "ok");
    gateway_signal(gateway, SIGTERM);
    client_expect_end(used);
    gateway_stop_expecting(gateway, 0);
}

Test(drain, tunnels_finish_by_themselves)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'drain_timeout': '1h', 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    client_send(client, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n");
    cr_assert_eq(client_response(client)->status, 101);
    gateway_signal(gateway, SIGTERM);
    wait_refused(gateway);
    client_send(client, "hello");
    while (wire_held(&client->wire) < 5)
        cr_assert(wire_fill(&client->wire), "the tunnel was cut");
    wire_half_close(&client->wire);
    cr_assert_eq(client_read_to_end(client), WIRE_CLOSED);
    gateway_stop_expecting(gateway, 0);
}

#define QUEUED 200

Test(drain, connections_queued_at_sigterm_are_served)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': '%s' } }",
                             origin_address(origin)),
        .workers = 2});
    struct client *clients[QUEUED];

    /* While it stands still the kernel completes connections into the accept queues. */
    gateway_signal(gateway, SIGSTOP);
    for (int i = 0; i < QUEUED; i++)
        clients[i] =
            client_begin(gateway_https(gateway), &(struct client_options){.sni = "a.test"});
    gateway_signal(gateway, SIGTERM);
    gateway_signal(gateway, SIGCONT);
    for (int i = 0; i < QUEUED; i++) {
        client_finish(clients[i]);
        expect_from(client_get(clients[i], "a.test", text("/%d", i)), "one");
    }
    gateway_stop_expecting(gateway, 0);
    cr_assert_eq(origin_requests(origin), QUEUED);
    bool was_seen[QUEUED] = {false};
    for (int i = 0; i < QUEUED; i++)
        was_seen[atoi(origin_request(origin, i)->target + 1)] = true;
    for (int i = 0; i < QUEUED; i++)
        cr_assert(was_seen[i], "request %d was lost", i);
}

Test(drain, last_response_announces_the_close)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/slow", wait_then_tell, gate);
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    gateway_signal(gateway, SIGTERM);
    wait_not_ready();
    gate_open(gate);
    struct message *response = client_response(client);
    expect_from(response, "one");
    expect_field(response, "connection", "close");
    gateway_stop_expecting(gateway, 0);
}

/* A pipe in the route file's place has no end that could be waited for. */
Test(drain, route_file_that_is_a_pipe_keeps_nobody)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': { 'respond': {} } } }");

    cr_assert_eq(unlink(workplace_path("routes.json")), 0);
    cr_assert_eq(mkfifo(workplace_path("routes.json"), 0600), 0);
    struct message *response = ask_admin("POST", "/reload");
    expect_status(response, 422);
    cr_expect(strstr(response->body, "cannot be read"), "%s", response->body);
    gateway_stop(gateway);
}
