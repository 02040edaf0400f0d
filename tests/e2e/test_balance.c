/* Strategies see what becomes of requests: what is in flight, how long answers take, what fails. */
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>

E2E_SUITE(balance);

/* Two servers of one backend. */
struct pair {
    struct origin *one, *two;
    struct gateway *gateway;
};

static void start_pair(struct pair *pair, int workers, const char *balance)
{
    pair->one = origin_start("one");
    pair->two = origin_start("two");
    pair->gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'],"
                             "  'balance': '%s' } }, 'routes': { 'a.test': 'b' } }",
                             origin_address(pair->one), origin_address(pair->two), balance),
        .workers = workers});
}

/* Each on a connection of its own, so that all workers get some. */
static void get_many(struct gateway *gateway, int count)
{
    for (int i = 0; i < count; i++)
        fetch(gateway, "a.test", "/");
}

static void answer_later(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

/* One request is held by one server, others are asked for until it may go on. */
static void expect_busy_one_is_left_alone(const char *balance)
{
    struct gate *gate = gate_new();
    struct pair pair;
    start_pair(&pair, 2, balance);
    origin_set_script(pair.one, "/held", answer_later, gate);
    origin_set_script(pair.two, "/held", answer_later, gate);
    struct client *client = client_open(pair.gateway, "a.test");
    client_send(client, "GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n");
    long long start_ms = monitor_now_ms();
    while (origin_requests(pair.one) + origin_requests(pair.two) == 0)
        cr_assert(monitor_may_ask_again(start_ms));
    bool is_one = origin_requests(pair.one) > 0;
    get_many(pair.gateway, 20);
    cr_assert_eq(origin_requests(is_one ? pair.one : pair.two), 1);
    cr_assert_eq(origin_requests(is_one ? pair.two : pair.one), 20);
    gate_open(gate);
    expect_status(client_response(client), 200);
    gateway_stop(pair.gateway);
}

Test(balance, least_requests_leave_the_busy_one_alone)
{
    expect_busy_one_is_left_alone("least_requests");
}

Test(balance, random_choices_leave_the_busy_one_of_two_alone)
{
    expect_busy_one_is_left_alone("random");
}

/* Who has never answered comes before who has: of two each gets one of two requests, in each of
 * many backends, whether the request has a body or not. */
Test(balance, latency_is_measured_of_every_answer)
{
    enum { BACKENDS = 10 };
    struct origin *one = origin_start("one"), *two = origin_start("two");
    const char *backends = "", *paths = "";
    for (int i = 0; i < BACKENDS; i++) {
        const char *comma = i > 0 ? "," : "";
        backends = text("%s%s 'b%d': { 'servers': ['%s', '%s'], 'balance': 'latency' }", backends,
                        comma, i, origin_address(one), origin_address(two));
        paths = text("%s%s '/%d': 'b%d'", paths, comma, i, i);
    }
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { %s }, 'routes': { 'a.test': { 'paths': { %s } } } }",
                      backends, paths);
    struct client *client = client_open(gateway, "a.test");
    for (int i = 0; i < BACKENDS; i++) {
        for (int n = 0; n < 2; n++) {
            client_send(client, "%s /%d HTTP/1.1\r\nHost: a.test\r\n%s\r\n", i % 2 ? "POST" : "GET",
                        i, i % 2 ? "Content-Length: 2\r\n" : "");
            if (i % 2)
                client_send(client, "hi");
            expect_status(client_response(client), 200);
        }
        cr_assert_eq(origin_requests(one), i + 1);
        cr_assert_eq(origin_requests(two), i + 1);
    }
    gateway_stop(gateway);
}

/* However slow the good one is at times: a failure costs ten times as much each time. */
Test(balance, latency_leaves_the_failing_one_alone)
{
    struct pair pair;
    start_pair(&pair, 1, "latency");
    origin_set_reply(pair.one, NULL, "HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n");
    get_many(pair.gateway, 100);
    cr_assert_gt(origin_requests(pair.one), 0);
    cr_assert_lt(origin_requests(pair.one), 12);
    gateway_stop(pair.gateway);
}
