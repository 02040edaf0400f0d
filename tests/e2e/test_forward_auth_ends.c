/* `auth.forward` where the service is gone, slow or broken, where clients leave, and where the
 * route file changes meanwhile: nobody gets through, nothing is left behind. */
#include "harness/crowd.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(forward_auth_ends);

static struct origin *service, *origin;

#define LET_PASS "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n"

/* `timeout`: of the service. */
static struct gateway *start(int workers, const char *timeout)
{
    service = origin_start("service");
    origin = origin_start("one");
    origin_set_reply(service, NULL, LET_PASS);
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { 'a.test': { 'to': '%s', 'auth': { 'forward': {"
                             "  'to': 'http://%s', 'copy': ['X-User'], 'timeout': '%s' } } },"
                             "  'b.test': '%s' } }",
                             origin_address(origin), origin_address(service), timeout,
                             origin_address(origin)),
        .workers = workers});
}

static void rewrite_without_auth(void)
{
    gateway_rewrite("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
}

static void expect_sample(const char *sample)
{
    const char *page = ask_admin("GET", "/metrics")->body;

    workplace_require(strstr(page, sample) != NULL, "no %s in\n%s", sample, page);
}

static void wait_then_let_pass(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    wire_print(turn->wire, LET_PASS);
}

static struct client *begin_request(struct gateway *gateway)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    return client;
}

/* --- a service that is no help ------------------------------------------------------------------
 */

Test(forward_auth_ends, nobody_passes_without_an_answer)
{
    static const char *const broken[] = {
        "hello\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 20",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };
    struct gateway *gateway = start(1, "10m");
    struct client *client = client_open(gateway, "a.test");

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        origin_set_last_reply(service, NULL, broken[i]);
        expect_refusal(client_get(client, "a.test", "/"), 503, "auth_unavailable");
        json_t *entry = log_entry(gateway, (int)i);
        expect_string(entry, "reason", "auth_unavailable");
        expect_string(entry, "route", "a.test");
    }
    origin_stop(service);
    expect_refusal(client_get(client, "a.test", "/"), 503, "auth_unavailable");
    cr_assert_eq(origin_requests(origin), 0);
    expect_sample("policy_decisions_total{policy=\"auth\",route=\"a.test\",outcome=\"failed\"} 8");
    expect_sample(text("upstream_requests_total{backend=\"auth http://%s\",server=\"http://%s\","
                       "outcome=\"connect_failed\"} 1",
                       origin_address(service), origin_address(service)));
    origin_restart(service);
    origin_set_reply(service, NULL, LET_PASS);
    expect_from(client_get(client, "a.test", "/"), "one");
    expect_sample("policy_decisions_total{policy=\"auth\",route=\"a.test\",outcome=\"allowed\"} 1");
    client_close(client);
    gateway_stop(gateway);
}

static void answer_half_and_hang(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    origin_hang(turn);
}

Test(forward_auth_ends, a_slow_one_is_not_waited_for)
{
    struct gateway *gateway = start(1, "100ms");

    origin_set_script(service, NULL, origin_hang, NULL);
    expect_refusal(fetch(gateway, "a.test", "/"), 503, "auth_unavailable");
    origin_set_script(service, NULL, answer_half_and_hang, NULL);
    expect_refusal(fetch(gateway, "a.test", "/"), 503, "auth_unavailable");
    origin_wait_open_connections(service, 0);
    cr_assert_eq(origin_requests(origin), 0);
    expect_from(fetch(gateway, "b.test", "/"), "one");
    gateway_stop(gateway);
}

/* Its first request is answered, its second one never. */
static void answer_once(struct origin_turn *turn)
{
    if (turn->request->place == 0)
        wire_print(turn->wire, LET_PASS);
    else
        turn->is_closing = true;
}

Test(forward_auth_ends, a_kept_connection_that_was_closed_is_made_up_for)
{
    struct gateway *gateway = start(1, "10m");
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(service, NULL, answer_once, NULL);
    for (int i = 0; i < 10; i++)
        expect_from(client_get(client, "a.test", "/"), "one");
    cr_assert_eq(origin_requests(origin), 10);
    cr_assert_eq(origin_requests(service), 19);
    cr_assert_eq(origin_connections(service), 10);
    client_close(client);
    gateway_stop(gateway);
}

/* Once: then it is the service's fault. */
Test(forward_auth_ends, one_that_closes_at_once_is_asked_no_more_than_twice)
{
    struct gateway *gateway = start(1, "10m");
    struct client *client = client_open(gateway, "a.test");

    expect_from(client_get(client, "a.test", "/"), "one");
    origin_set_last_reply(service, NULL, "");
    expect_refusal(client_get(client, "a.test", "/"), 503, "auth_unavailable");
    cr_assert_eq(origin_requests(service), 3);
    expect_refusal(client_get(client, "a.test", "/"), 503, "auth_unavailable");
    cr_assert_eq(origin_requests(service), 4);
    client_close(client);
    gateway_stop(gateway);
}

/* --- under load ---------------------------------------------------------------------------------
 */

enum { THREADS = 8, VISITS = 160, ASKS = 5 };

static void visit(void *arg, unsigned n)
{
    struct client *client =
        client_make(gateway_https(arg), &(struct client_options){.sni = "a.test"});

    (void)n;
    for (int i = 0; i < ASKS; i++) {
        struct message *response = client_get(client, "a.test", "/");
        if (response->status == 503)
            expect_refusal(response, 503, "auth_unavailable");
        else
            expect_from(response, "one");
    }
    client_free(client);
}

static void expect_user(struct origin_turn *turn)
{
    const char *user = message_field(turn->request, "x-user");

    if (user == NULL || strcmp(user, "ann") != 0)
        workplace_note("a request passed without a word of the service");
    origin_tell(turn);
}

Test(forward_auth_ends, a_service_that_dies_under_load)
{
    struct gateway *gateway = start(2, "10m");
    struct crowd *crowd;

    origin_count_only(origin);
    origin_count_only(service);
    origin_set_script(origin, NULL, expect_user, NULL);
    crowd = crowd_start(THREADS, 0, visit, gateway);
    for (int i = 1; i <= 3; i++) {
        origin_wait_requests(service, i * 20);
        origin_stop(service);
        origin_restart(service);
    }
    crowd_end(crowd);
    expect_from(fetch(gateway, "a.test", "/"), "one");
    gateway_stop(gateway);
}

Test(forward_auth_ends, connections_to_it_are_kept)
{
    struct gateway *gateway = start(2, "10m");

    crowd_finish(crowd_start(THREADS, VISITS, visit, gateway));
    cr_assert_eq(origin_requests(service), VISITS * ASKS);
    /* As many as were asked at once in each of two workers, at most. */
    cr_assert_leq(origin_connections(service), 2 * THREADS);
    gateway_stop(gateway);
}

/* --- its name -----------------------------------------------------------------------------------
 */

static uint16_t port_of(const struct origin *one)
{
    return (uint16_t)atoi(strrchr(origin_address(one), ':') + 1);
}

static struct gateway *start_by_name(const struct dns_server *dns, const char *timeout)
{
    service = origin_start("service");
    origin = origin_start("one");
    origin_set_reply(service, NULL, LET_PASS);
    return gateway_start("{ @base, 'dns': { 'servers': ['%s'] }, 'routes': { 'a.test': {"
                         "  'to': '%s', 'auth': { 'forward': { 'to': 'http://auth.internal:%u/',"
                         "    'timeout': '%s' } } } } }",
                         dns_server_address(dns), origin_address(origin), port_of(service),
                         timeout);
}

Test(forward_auth_ends, its_name_is_followed)
{
    struct dns_server *dns = dns_server_start();

    dns_server_add_a(dns, "auth.internal", 1, workplace_own_host(0));
    dns_server_behave(dns, DNS_A, DNS_HOLDS);
    struct gateway *gateway = start_by_name(dns, "10m");
    struct origin *moved =
        origin_start_at("moved", text("%s:%u", workplace_own_host(1), (unsigned)port_of(service)));
    origin_set_reply(moved, NULL, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    struct client *client = begin_request(gateway);
    dns_server_await(dns, "auth.internal", DNS_A, 1);
    dns_server_behave(dns, DNS_A, DNS_ANSWERS);
    dns_server_release(dns);
    expect_from(client_response(client), "one");
    expect_field(origin_request(service, 0), "host", text("auth.internal:%u", port_of(service)));
    dns_server_behave(dns, DNS_A, DNS_HOLDS);
    dns_server_forget(dns, "auth.internal");
    dns_server_add_a(dns, "auth.internal", 1, workplace_own_host(1));
    dns_server_behave(dns, DNS_A, DNS_ANSWERS);
    dns_server_release(dns);
    origin_wait_open_connections(service, 0); /* what was kept leads to where it is no more */
    expect_status(client_get(client, "a.test", "/"), 403);
    cr_assert_eq(origin_requests(service), 1);
    client_close(client);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

Test(forward_auth_ends, a_name_that_nobody_knows_lets_nobody_pass)
{
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway = start_by_name(dns, "10m");

    expect_refusal(fetch(gateway, "a.test", "/"), 503, "auth_unavailable");
    gateway_stop(gateway);
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_SILENT);
    gateway = start_by_name(dns, "100ms");
    expect_refusal(fetch(gateway, "a.test", "/"), 503, "auth_unavailable");
    cr_assert_eq(origin_requests(origin), 0);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

/* --- who leaves, and what changes meanwhile -----------------------------------------------------
 */

Test(forward_auth_ends, nobody_waits_for_a_client_that_left)
{
    struct gateway *gateway = start(1, "10m");

    origin_set_script(service, NULL, origin_hang, NULL);
    struct client *client = begin_request(gateway);
    origin_wait_requests(service, 1);
    client_leave(client);
    origin_wait_open_connections(service, 0);
    expect_string(log_entry(gateway, 0), "reason", "client_closed");
    expect_sample(text("upstream_requests_total{backend=\"auth http://%s\",server=\"http://%s\","
                       "outcome=\"canceled\"} 1",
                       origin_address(service), origin_address(service)));
    origin_set_reply(service, NULL, LET_PASS);
    expect_from(fetch(gateway, "a.test", "/"), "one");
    cr_assert_eq(origin_requests(origin), 1);
    gateway_stop(gateway);
}

Test(forward_auth_ends, a_route_that_loses_it_while_it_is_asked)
{
    struct gateway *gateway = start(1, "10m");
    struct gate *gate = gate_new();

    origin_set_script(service, NULL, wait_then_let_pass, gate);
    struct client *client = begin_request(gateway);
    origin_wait_requests(service, 1);
    rewrite_without_auth();
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_from(fetch(gateway, "a.test", "/"), "one"); /* asks nobody now */
    cr_assert_eq(origin_requests(service), 1);
    gate_open(gate);
    expect_from(client_response(client), "one");
    expect_field(origin_request(origin, 1), "x-user", "ann");
    origin_wait_open_connections(service, 0); /* nobody needs it any more */
    client_close(client);
    gateway_stop(gateway);
}

Test(forward_auth_ends, connections_outlive_a_reload)
{
    struct gateway *gateway = start(1, "10m");

    expect_from(fetch(gateway, "a.test", "/"), "one");
    for (int i = 1; i <= 3; i++) {
        gateway_rewrite("{ @base, 'routes': { 'a.test': { 'to': '%s', 'auth': { 'forward': {"
                        "  'to': 'http://%s', 'timeout': '%dm' } } } } }",
                        origin_address(origin), origin_address(service), i);
        expect_status(ask_admin("POST", "/reload"), 200);
        expect_from(fetch(gateway, "a.test", "/"), "one");
    }
    cr_assert_eq(origin_connections(service), 1);
    cr_assert_eq(origin_requests(service), 4);
    gateway_stop(gateway);
}

static void await_held(int count)
{
    const char *words = text("\nsallyport_upstream_held{backend=\"b\"} %d\n", count);
    long long begun = monitor_now_ms();

    while (strstr(ask_admin("GET", "/metrics")->body, words) == NULL)
        workplace_require(monitor_may_ask_again(begun), "not%s", words);
}

/* a.test leads to backend b, whose requests are held while nobody is at its address. */
static const char *held_routes(const char *address, const char *auth, const char *others)
{
    return text("{ @base, 'backends': { 'b': { 'servers': ['%s'],"
                "    'hold': { 'for': '10m', 'queue': 10 } } },"
                "  'routes': { 'a.test': { 'to': 'b'%s }%s } }",
                address, auth, others);
}

static void reload(const char *routes)
{
    gateway_rewrite("%s", routes);
    expect_status(ask_admin("POST", "/reload"), 200);
}

static const char *auth_within(const char *timeout)
{
    return text(", 'auth': { 'forward': { 'to': 'http://%s', 'copy': ['X-User'], 'timeout': '%s' } "
                "}",
                origin_address(service), timeout);
}

/* A request that waits for its backend is routed again by each generation: what the service has
 * said of it holds for as long as the route says the same. */
Test(forward_auth_ends, what_it_said_of_a_held_request)
{
    const char *nobody = workplace_free_address();

    service = origin_start("service");
    origin = origin_start("one");
    origin_set_reply(service, NULL, LET_PASS);
    struct gateway *gateway = gateway_start("%s", held_routes(nobody, auth_within("1m"), ""));
    struct client *client = begin_request(gateway);
    await_held(1);
    cr_assert_eq(origin_requests(service), 1);
    reload(held_routes(nobody, auth_within("1m"), ", 'b.test': 'b'"));
    await_held(1);
    cr_assert_eq(origin_requests(service), 1);
    reload(held_routes(nobody, auth_within("2m"), ", 'b.test': 'b'"));
    origin_wait_requests(service, 2);
    await_held(1);
    reload(held_routes(origin_address(origin), "", ""));
    expect_from(client_response(client), "one");
    expect_no_field(origin_request(origin, 0), "x-user");
    cr_assert_eq(origin_requests(service), 2);
    client_close(client);
    gateway_stop(gateway);
}

/* The same for these hosts, by what `defaults` say of all. */
static const char *held_by_default(const char *address, const char *hosts)
{
    return text(
        "{ @base, 'backends': { 'b': { 'servers': ['%s'],"
        "    'hold': { 'for': '10m', 'queue': 10 } } },"
        "  'defaults': { 'auth': { 'forward': { 'to': 'http://%s', 'copy': ['X-User'] } } },"
        "  'routes': { %s } }",
        address, origin_address(service), hosts);
}

/* What it was let pass by may be another host's by then, which goes with a later generation. */
Test(forward_auth_ends, what_it_said_of_a_held_request_whose_host_is_removed)
{
    const char *nobody = workplace_free_address();

    service = origin_start("service");
    origin = origin_start("one");
    origin_set_reply(service, NULL, LET_PASS);
    struct gateway *gateway =
        gateway_start("%s", held_by_default(nobody, "'a.test': 'b', '*.test': 'b'"));
    struct client *client = begin_request(gateway);
    await_held(1);
    for (int i = 0; i < 3; i++) {
        reload(held_by_default(nobody, i == 1 ? "'*.test': 'b', 'x.test': 'b'" : "'*.test': 'b'"));
        await_held(1);
    }
    reload(held_by_default(origin_address(origin), "'*.test': 'b'"));
    expect_from(client_response(client), "one");
    expect_field(origin_request(origin, 0), "x-user", "ann");
    client_close(client);
    gateway_stop(gateway);
}

Test(forward_auth_ends, a_drain_waits_for_it)
{
    struct gateway *gateway = start(1, "10m");
    struct gate *gate = gate_new();

    origin_set_script(service, NULL, wait_then_let_pass, gate);
    struct client *client = begin_request(gateway);
    origin_wait_requests(service, 1);
    gateway_signal(gateway, SIGTERM);
    gateway_wait_stderr(gateway, "draining", NULL);
    gate_open(gate);
    expect_from(client_response(client), "one");
    client_close(client);
    gateway_stop_expecting(gateway, 0);
}

Test(forward_auth_ends, the_end_of_a_drain_does_not)
{
    service = origin_start("service");
    origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'drain_timeout': '100ms', 'routes': { 'a.test': { 'to': '%s',"
                      "  'auth': { 'forward': { 'to': 'http://%s', 'timeout': '10m' } } } } }",
                      origin_address(origin), origin_address(service));

    origin_set_script(service, NULL, origin_hang, NULL);
    begin_request(gateway);
    origin_wait_requests(service, 1);
    gateway_stop(gateway);
    origin_wait_open_connections(service, 0);
    cr_assert_eq(origin_requests(origin), 0);
}
