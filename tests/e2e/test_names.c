/* Servers that are names: SRV records, sets of servers that follow DNS, DNS that fails. */
#include "harness/await.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(names);

static uint16_t port_of(const struct origin *origin)
{
    return (uint16_t)atoi(strrchr(origin_address(origin), ':') + 1);
}

/* One backend with this server, a name that `dns` is asked for. */
static struct gateway *start(const struct dns_server *dns, int workers, const char *server)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'dns': { 'servers': ['%s'] },"
                             "  'backends': { 'b': { 'servers': ['%s'] } },"
                             "  'routes': { 'a.test': 'b', 'own.test': { 'respond': {} } } }",
                             dns_server_address(dns), server),
        .workers = workers});
}

static void add_service(struct dns_server *dns, const struct origin *origin, uint16_t priority,
                        uint16_t weight)
{
    dns_server_add_srv(dns, "_http._tcp.api.internal", 1, priority, weight, port_of(origin),
                       "one.internal");
}

static void get_many(struct gateway *gateway, int count)
{
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < count; i++)
        expect_status(client_get(client, "a.test", "/"), 200);
    client_close(client);
}

Test(names, srv_records_are_servers_with_weights_and_backups)
{
    struct origin *three = origin_start("three"), *one = origin_start("one");
    struct origin *spare = origin_start("spare");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;

    dns_server_add_a(dns, "one.internal", 60, workplace_own_host(0));
    add_service(dns, three, 10, 3);
    add_service(dns, one, 10, 1);
    add_service(dns, spare, 20, 5);
    gateway = start(dns, 1, "srv:_http._tcp.api.internal");
    get_many(gateway, 40);
    cr_assert_eq(origin_requests(three), 30);
    cr_assert_eq(origin_requests(one), 10);
    cr_assert_eq(origin_requests(spare), 0);
    expect_string(log_entry(gateway, 0), "server", text("one.internal:%u", port_of(three)));
    gateway_stop(gateway);
    dns_server_stop(dns);
}

Test(names, the_first_request_waits_for_the_records)
{
    struct origin *one = origin_start("one");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;
    struct client *client;

    dns_server_add_a(dns, "one.internal", 60, workplace_own_host(0));
    add_service(dns, one, 0, 0);
    dns_server_behave(dns, DNS_SRV, DNS_HOLDS);
    gateway = start(dns, 1, "srv:_http._tcp.api.internal");
    client = client_open(gateway, "a.test");
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    dns_server_await(dns, "_http._tcp.api.internal", DNS_SRV, 1);
    dns_server_behave(dns, DNS_SRV, DNS_ANSWERS);
    dns_server_release(dns);
    expect_status(client_response(client), 200);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

/* Instead of what it said before; nobody hears of the moment between. */
static void replace_service(struct dns_server *dns, const struct origin *origin)
{
    dns_server_behave(dns, DNS_SRV, DNS_HOLDS);
    dns_server_forget(dns, "_http._tcp.api.internal");
    add_service(dns, origin, 0, 0);
    dns_server_behave(dns, DNS_SRV, DNS_ANSWERS);
    dns_server_release(dns);
}

Test(names, servers_come_and_go_with_the_records)
{
    struct origin *before = origin_start("before"), *after = origin_start("after");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;
    int had;

    dns_server_add_a(dns, "one.internal", 60, workplace_own_host(0));
    add_service(dns, before, 0, 0);
    gateway = start(dns, 2, "srv:_http._tcp.api.internal");
    get_many(gateway, 10);
    cr_assert_eq(origin_requests(before), 10);
    replace_service(dns, after);
    /* Retired in every worker, so what it had idle is closed. */
    origin_wait_open_connections(before, 0);
    had = origin_requests(before);
    get_many(gateway, 10);
    cr_assert_eq(origin_requests(before), had);
    cr_assert_eq(origin_requests(after), 10);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

static void move(struct dns_server *dns)
{
    dns_server_behave(dns, DNS_A, DNS_HOLDS);
    dns_server_forget(dns, "api.internal");
    dns_server_add_a(dns, "api.internal", 1, workplace_own_host(1));
    dns_server_behave(dns, DNS_A, DNS_ANSWERS);
    dns_server_release(dns);
}

Test(names, a_name_that_moves_is_followed)
{
    struct origin *before = origin_start("before");
    struct origin *after =
        origin_start_at("after", text("%s:%u", workplace_own_host(1), port_of(before)));
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;

    dns_server_add_a(dns, "api.internal", 1, workplace_own_host(0));
    gateway = start(dns, 2, text("api.internal:%u", port_of(before)));
    get_many(gateway, 10);
    move(dns);
    origin_wait_open_connections(before, 0); /* idle ones lead to where it is not any more */
    get_many(gateway, 10);
    cr_assert_eq(origin_requests(before), 10);
    cr_assert_eq(origin_requests(after), 10);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

static void wait_at_gate(struct origin_turn *turn)
{
    if (gate_wait(turn->arg))
        origin_tell(turn);
}

Test(names, a_connection_that_is_in_use_while_its_name_moves_is_not_used_again)
{
    struct origin *before = origin_start("before");
    struct dns_server *dns = dns_server_start();
    struct gate *gate = gate_new();
    struct gateway *gateway;
    struct client *client;

    origin_set_script(before, "/slow", wait_at_gate, gate);
    dns_server_add_a(dns, "api.internal", 1, workplace_own_host(0));
    gateway = start(dns, 1, text("api.internal:%u", port_of(before)));
    client = client_open(gateway, "a.test");
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(before, 1);
    get_many(gateway, 1);
    move(dns);
    origin_wait_open_connections(before, 1); /* the idle one is gone: the gateway knows */
    gate_open(gate);
    expect_status(client_response(client), 200);
    origin_wait_open_connections(before, 0);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

Test(names, the_last_good_answer_stays_when_dns_fails)
{
    struct origin *origin = origin_start("one");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;

    dns_server_add_a(dns, "api.internal", 1, workplace_own_host(0));
    gateway = start(dns, 1, text("api.internal:%u", port_of(origin)));
    get_many(gateway, 5);
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_SERVFAIL);
    gateway_wait_stderr(gateway, "its last addresses stay in use", NULL);
    get_many(gateway, 5);
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_NXDOMAIN);
    get_many(gateway, 5);
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_ANSWERS);
    gateway_wait_stderr(gateway, "name_resolved", NULL);
    cr_assert_eq(count_words(gateway, "name_unresolved"), 1); /* said once */
    get_many(gateway, 5);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

Test(names, nothing_waits_for_dns_but_who_needs_it)
{
    struct origin *origin = origin_start("one");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;
    struct client *client, *other;

    dns_server_add_a(dns, "api.internal", 60, workplace_own_host(0));
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_HOLDS);
    gateway = start(dns, 1, text("api.internal:%u", port_of(origin)));
    client = client_open(gateway, "a.test");
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    dns_server_await(dns, "api.internal", DNS_A, 1);
    other = client_open(gateway, "own.test");
    expect_status(client_get(other, "own.test", "/"), 200);
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_ANSWERS);
    dns_server_release(dns);
    expect_status(client_response(client), 200);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

Test(names, both_families_are_tried)
{
    struct origin *origin = origin_start("one");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;

    dns_server_add_aaaa(dns, "api.internal", 60, "::1"); /* where nobody listens */
    dns_server_add_a(dns, "api.internal", 60, workplace_own_host(0));
    gateway = start(dns, 1, text("api.internal:%u", port_of(origin)));
    get_many(gateway, 10);
    cr_assert_eq(origin_requests(origin), 10);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

/* --- reloads while names are looked up ------------------------------------------------------ */

#define BACKENDS 8

/* In the odd ones half of the backends are gone, and the others are other servers. */
static const char *write_routes(const struct dns_server *dns, const struct origin *origin,
                                int generation)
{
    const char *backends = "", *routes = "";
    int step = generation % 2 + 1;

    for (int i = 0; i < BACKENDS; i += step) {
        const char *servers = step == 1 && i % 3 == 0
                                  ? "srv:_http._tcp.api.internal"
                                  : text("n%d.internal:%u", i % 4, port_of(origin));
        backends = text("%s%s'b%d': { 'servers': ['%s'], 'min_idle': %d }", backends,
                        i > 0 ? "," : "", i, servers, i % 2);
        routes = text("%s,'r%d.test': 'b%d'", routes, i, i);
    }
    return route_file("routes.json",
                      "{ @base, 'dns': { 'servers': ['%s'] }, 'backends': { %s },"
                      "  'routes': { 'a.test': 'b0', 'own.test': '%s' %s } }",
                      dns_server_address(dns), backends, origin_address(origin), routes);
}

static void get_all(struct gateway *gateway, int generation)
{
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < BACKENDS; i += generation % 2 + 1)
        expect_status(client_get(client, text("r%d.test", i), "/"), 200);
    client_close(client);
}

Test(names, reloads_while_names_are_looked_up)
{
    struct origin *origin = origin_start("one");
    struct dns_server *dns = dns_server_start();
    struct gateway *gateway;

    for (int i = 0; i < 4; i++)
        dns_server_add_a(dns, text("n%d.internal", i), 0, workplace_own_host(0));
    dns_server_add_a(dns, "one.internal", 0, workplace_own_host(0));
    add_service(dns, origin, 10, 1);
    gateway = gateway_start_with(
        &(struct gateway_options){.routes = write_routes(dns, origin, 0), .workers = 2});
    for (int i = 1; i <= 40; i++) {
        dns_server_behave(dns, DNS_ANY_TYPE, i % 3 == 0 ? DNS_HOLDS : DNS_ANSWERS);
        write_routes(dns, origin, i);
        expect_status(ask_admin("POST", "/reload"), 200);
        dns_server_behave(dns, DNS_ANY_TYPE, DNS_ANSWERS);
        dns_server_release(dns);
        get_all(gateway, i);
    }
    gateway_stop(gateway);
    dns_server_stop(dns);
}
