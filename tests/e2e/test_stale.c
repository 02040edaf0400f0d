/* Backends that close connections between requests, at the worst of moments too: who only reads
 * never sees it. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

E2E_SUITE(stale);

enum { LANES = 16, ROUNDS = 40 };

/* --- connections that end when they are used again ------------------------------------------- */

static void answer_number(struct origin_turn *turn)
{
    const char *number = message_field(turn->request, "x-number");

    origin_read_body(turn);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(number),
               number);
}

/* One request a connection; the next one finds how it ends. */
static void answer_first_then_close(struct origin_turn *turn)
{
    if (turn->request->place == 0)
        answer_number(turn);
    else
        turn->is_closing = true;
}

static void answer_first_then_reset(struct origin_turn *turn)
{
    if (turn->request->place == 0) {
        answer_number(turn);
        return;
    }
    turn->is_closing = true;
    wire_reset(turn->wire);
}

static void answer_first_then_say_farewell(struct origin_turn *turn)
{
    if (turn->request->place == 0) {
        answer_number(turn);
        return;
    }
    turn->is_closing = true;
    wire_print(turn->wire,
               "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

static void ask_number(struct client *client, const char *method, int number)
{
    client_send(client, "%s /x HTTP/1.1\r\nHost: a.test\r\nX-Number: %d\r\n\r\n", method, number);
}

/* As many at once as there are lanes: from the second round on, each finds its pool full of
 * connections that end as they are used. */
static void expect_no_loss(origin_script script)
{
    struct origin *origin = origin_start("one");
    struct client *lanes[LANES];

    origin_count_only(origin);
    origin_set_script(origin, NULL, script, NULL);
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    for (int i = 0; i < LANES; i++)
        lanes[i] = client_open(gateway, "a.test");
    for (int number = 0; number < ROUNDS * LANES; number += LANES) {
        for (int i = 0; i < LANES; i++)
            ask_number(lanes[i], i % 2 == 0 ? "GET" : "PUT", number + i);
        for (int i = 0; i < LANES; i++)
            expect_body(client_response(lanes[i]), text("%d", number + i));
    }
    /* Otherwise nothing was shown: all but the first ones were tried twice. */
    cr_assert_gt(origin_requests(origin), ROUNDS * LANES * 3 / 2);
    gateway_stop(gateway);
}

Test(stale, connections_that_close_when_they_are_used_again)
{
    expect_no_loss(answer_first_then_close);
}

Test(stale, connections_that_reset_when_they_are_used_again)
{
    expect_no_loss(answer_first_then_reset);
}

Test(stale, connections_that_say_farewell_when_they_are_used_again)
{
    expect_no_loss(answer_first_then_say_farewell);
}

/* What may have been acted on gets what the backend said. */
Test(stale, farewell_to_a_post_is_its_answer)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, answer_first_then_say_farewell, NULL);
    ask_number(client, "GET", 1);
    expect_body(client_response(client), "1");
    ask_number(client, "POST", 2);
    cr_assert_eq(client_response(client)->status, 408);
    cr_assert_eq(origin_requests(origin), 2);
    gateway_stop(gateway);
}

/* --- what is learned of idle times ------------------------------------------------------------ */

static long long idle_limit_ms(struct gateway *gateway)
{
    struct message *page = ask_plain(gateway_address(gateway, "status", 0), "GET", "/status");
    json_t *backends = json_member(json_from(page->body), "backends");
    json_t *servers = json_member(json_array_get(backends, 0), "servers");

    return json_integer_value(json_member(json_array_get(servers, 0), "idle_limit_ms"));
}

static long long await_other_limit(struct gateway *gateway, long long than)
{
    long long start = monitor_now_ms();

    for (;;) {
        long long limit = idle_limit_ms(gateway);
        if (limit != than)
            return limit;
        workplace_require(monitor_may_ask_again(start), "the limit stays at %lld", than);
    }
}

static struct gateway *start_backend(struct origin *origin)
{
    return gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'] } },"
                         "  'routes': { 'a.test': 'b' } }",
                         origin_address(origin));
}

Test(stale, time_that_a_backend_names_is_used)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_backend(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/told",
                     "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=20, max=100\r\n"
                     "Content-Length: 2\r\n\r\nok");
    expect_status(client_get(client, "a.test", "/"), 200);
    cr_assert_eq(idle_limit_ms(gateway), 4000);
    expect_body(client_get(client, "a.test", "/told"), "ok");
    cr_assert_eq(idle_limit_ms(gateway), 19000);
    gateway_stop(gateway);
}

/* A server that closes what is idle for a time that it does not name. */
static void close_when_idle(struct origin_turn *turn)
{
    struct pollfd next = {.fd = turn->wire->fd, .events = POLLIN};

    origin_tell(turn);
    turn->is_closing = wire_held(turn->wire) == 0 && poll(&next, 1, 1500) == 0;
}

/* Once it was seen, connections are retired before, and the learning outlives a reload. */
Test(stale, time_after_which_a_backend_closes_is_learned)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_backend(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, close_when_idle, NULL);
    expect_status(client_get(client, "a.test", "/"), 200);
    long long limit = await_other_limit(gateway, 4000);
    cr_assert_lt(limit, 4000);

    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'keepalive': 7 } },"
                    "  'routes': { 'a.test': 'b' } }",
                    origin_address(origin));
    cr_assert_eq(ask_admin("POST", "/reload")->status, 200);
    cr_assert_eq(idle_limit_ms(gateway), limit);

    /* Its next connection is retired unused, and the server closes it. */
    expect_status(client_get(client, "a.test", "/"), 200);
    origin_wait_open_connections(origin, 0);
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    expect_status(client_response(client), 200);
    cr_assert_eq(origin_connections(origin), 3);
    gateway_stop(gateway);
}
