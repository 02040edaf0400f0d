/* Servers whose requests fail: ejected for a while, in every worker, and back again. Connections
 * that are ready before they are needed. */
#include "harness/await.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(ejection);

static const char failing[] = "HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n";
static const char fine[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback";

/* Two servers of one backend, of which the first fails. */
struct pair {
    struct origin *bad, *good;
    struct gateway *gateway;
};

static void start_pair(struct pair *pair, int workers, const char *eject)
{
    pair->bad = origin_start("bad");
    pair->good = origin_start("good");
    origin_set_reply(pair->bad, NULL, failing);
    pair->gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'], %s } },"
                             "  'routes': { 'a.test': 'b' } }",
                             origin_address(pair->bad), origin_address(pair->good), eject),
        .workers = workers});
}

/* Each on a connection of its own, so that all workers get some. */
static void get_many(struct gateway *gateway, int count)
{
    for (int i = 0; i < count; i++) {
        struct client *client = client_open(gateway, "a.test");
        client_get(client, "a.test", "/");
        client_close(client);
    }
}

static void expect_ejected(const struct pair *pair)
{
    json_t *status = json_from(ask_admin("GET", "/status")->body);
    json_t *servers = json_member(json_array_get(json_member(status, "backends"), 0), "servers");
    const char *metrics = ask_admin("GET", "/metrics")->body;

    expect_string(json_array_get(servers, 0), "state", "ejected");
    cr_assert_gt(json_integer_value(json_member(json_array_get(servers, 0), "ejected_ms")), 0);
    expect_string(json_array_get(servers, 1), "state", "up");
    expect_null(json_array_get(servers, 1), "ejected_ms");
    cr_assert_not_null(strstr(metrics, text("sallyport_upstream_up{backend=\"b\",server=\"%s\"} 0",
                                            origin_address(pair->bad))));
    cr_assert_not_null(strstr(metrics, text("sallyport_upstream_up{backend=\"b\",server=\"%s\"} 1",
                                            origin_address(pair->good))));
}

Test(ejection, after_so_many_failures_in_a_row_a_server_gets_nothing_more)
{
    struct pair pair;

    start_pair(&pair, 2, "'eject': { 'after': 3, 'for': '1h' }");
    get_many(pair.gateway, 40);
    cr_assert_eq(origin_requests(pair.bad), 3);
    cr_assert_eq(origin_requests(pair.good), 37);
    gateway_wait_stderr(pair.gateway, "3 in a row failed, the last one with 5xx", NULL);
    cr_assert_eq(count_words(pair.gateway, "server_ejected"), 1);
    expect_ejected(&pair);
    gateway_stop(pair.gateway);
}

Test(ejection, a_good_answer_in_between_begins_the_row_anew)
{
    struct pair pair;

    start_pair(&pair, 1, "'eject': { 'after': 2, 'for': '1h' }");
    origin_set_reply(pair.bad, "/fine", fine);
    for (int i = 0; i < 5; i++) {
        struct client *client = client_open(pair.gateway, "a.test");
        for (int k = 0; k < 4; k++) /* of which it gets every second one */
            client_get(client, "a.test", k < 2 ? "/" : "/fine");
        client_close(client);
    }
    cr_assert_eq(origin_requests(pair.bad), 10);
    cr_assert_eq(count_words(pair.gateway, "server_ejected"), 0);
    gateway_stop(pair.gateway);
}

static void hang_up(struct origin_turn *turn)
{
    turn->is_closing = true;
}

Test(ejection, resets_and_servers_that_are_gone_count_as_well)
{
    struct pair pair;

    start_pair(&pair, 1, "'eject': { 'after': 2, 'for': '1h' }");
    origin_set_script(pair.bad, NULL, hang_up, NULL);
    get_many(pair.gateway, 20);
    cr_assert_eq(origin_requests(pair.bad), 2);
    gateway_wait_stderr(pair.gateway, "2 in a row failed, the last one with reset", NULL);
    gateway_stop(pair.gateway);
}

Test(ejection, it_is_back_when_its_time_is_over)
{
    struct pair pair;

    start_pair(&pair, 2, "'eject': { 'after': 3, 'for': '100ms' }");
    get_many(pair.gateway, 10);
    origin_set_reply(pair.bad, NULL, fine);
    gateway_wait_stderr(pair.gateway, "server_returned", NULL);
    await_body(pair.gateway, "a.test", "back");
    gateway_stop(pair.gateway);
}

Test(ejection, never_all_of_them)
{
    struct pair pair;

    start_pair(&pair, 2, "'eject': { 'after': 3, 'for': '1h', 'max': '50%' }");
    origin_set_reply(pair.good, NULL, failing);
    get_many(pair.gateway, 40);
    cr_assert_eq(count_words(pair.gateway, "server_ejected"), 1);
    cr_assert_eq(origin_requests(pair.bad) + origin_requests(pair.good), 40);
    cr_assert(origin_requests(pair.bad) == 3 || origin_requests(pair.good) == 3);
    gateway_stop(pair.gateway);
}

Test(ejection, a_reload_does_not_end_it)
{
    struct pair pair;

    start_pair(&pair, 1, "'eject': { 'after': 3, 'for': '1h' }");
    get_many(pair.gateway, 10);
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'],"
                    "  'eject': { 'after': 3, 'for': '2h' } } }, 'routes': { 'a.test': 'b' } }",
                    origin_address(pair.bad), origin_address(pair.good));
    expect_status(ask_admin("POST", "/reload"), 200);
    get_many(pair.gateway, 10);
    cr_assert_eq(origin_requests(pair.bad), 3);
    gateway_stop(pair.gateway);
}

/* --- ready connections ---------------------------------------------------------------------- */

Test(ejection, connections_are_ready_before_the_first_request)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'backends': { 'b': { 'servers': ['%s'], 'min_idle': 3 } },"
                             "  'routes': { 'a.test': 'b' } }",
                             origin_address(origin)),
        .workers = 2});

    origin_wait_open_connections(origin, 6);
    get_many(gateway, 10);
    for (int i = 0; i < 10; i++)
        expect_number(log_entry(gateway, i), "attempts", 1);
    gateway_stop(gateway);
}
