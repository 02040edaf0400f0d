/* One fetch for many who wait, and never of what one of them may not be given. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>

E2E_SUITE(caching_waiting);

static struct {
    struct origin *origin;
    struct gateway *gateway;
    struct gate *gate; /* for the first request's answer */
    const char *fields;
} world;

static void answer(struct origin_turn *turn)
{
    int place = atoi(message_field(turn->request, "x-place"));

    if (place == 1 && !gate_wait(world.gate))
        workplace_note("nobody opened the gate");
    (void)wire_print(turn->wire, "HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 1\r\n\r\n%d",
                     world.fields, place);
}

static struct client *ask(int place, const char *fields)
{
    struct client *client = client_open(world.gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Place: %d\r\n%s\r\n", place, fields);
    return client;
}

/* So many are at the gateway, each beyond its head, and so where it waits. */
static void await_in_flight(int count)
{
    long long start = monitor_now_ms();
    json_t *status;

    do {
        status = json_from(ask_admin("GET", "/status")->body);
        if (json_integer_value(json_member(status, "metrics.requests_in_flight")) == count)
            return;
    } while (monitor_may_ask_again(start));
    workplace_fail("not %d requests in flight", count);
}

static void begin(const char *fields)
{
    world.origin = origin_start("one");
    world.gate = gate_new();
    world.fields = fields;
    origin_set_script(world.origin, NULL, answer, NULL);
    world.gateway = gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'cache': { 'size': "
                                  "'16MiB', 'max_object': '1MiB', 'stale_if_error': '1h' } } } }",
                                  origin_address(world.origin));
}

/* Two ask for the same while nothing is kept; the response has these fields. */
static void two_at_once(const char *fields, const char *first, const char *second, bool is_shared)
{
    struct client *one, *other;

    begin(fields);
    one = ask(1, first);
    origin_wait_requests(world.origin, 1);
    other = ask(2, second);
    await_in_flight(2);
    gate_open(world.gate);
    expect_body(client_response(one), "1");
    expect_body(client_response(other), is_shared ? "1" : "2");
    cr_expect_eq(origin_requests(world.origin), is_shared ? 1 : 2);
    client_close(one);
    client_close(other);
    gateway_stop(world.gateway);
}

Test(caching_waiting, is_shared_when_it_is_fresh)
{
    two_at_once("Cache-Control: max-age=60", "", "", true);
}

Test(caching_waiting, is_not_shared_when_it_is_stale_at_once)
{
    two_at_once("Cache-Control: max-age=0\r\nETag: \"a\"", "", "", false);
}

Test(caching_waiting, is_not_shared_when_it_must_be_asked_for)
{
    two_at_once("Cache-Control: max-age=60, no-cache\r\nETag: \"a\"", "", "", false);
}

Test(caching_waiting, is_not_shared_when_s_maxage_is_0)
{
    two_at_once("Cache-Control: s-maxage=0\r\nETag: \"a\"", "", "", false);
}

Test(caching_waiting, is_not_shared_when_it_is_private)
{
    two_at_once("Cache-Control: private, max-age=60", "", "", false);
}

Test(caching_waiting, is_not_shared_when_it_sets_a_cookie)
{
    two_at_once("Cache-Control: max-age=60\r\nSet-Cookie: a=b", "", "", false);
}

Test(caching_waiting, is_not_shared_with_another_variant)
{
    two_at_once("Cache-Control: max-age=60\r\nVary: X-A", "X-A: 1\r\n", "X-A: 2\r\n", false);
}

Test(caching_waiting, is_shared_with_the_same_variant)
{
    two_at_once("Cache-Control: max-age=60\r\nVary: X-A", "X-A: 1\r\n", "X-A: 1\r\n", true);
}

/* Nor does it wait, and what comes of it says nothing of what others get. */
Test(caching_waiting, is_not_waited_for_with_authorization)
{
    struct client *one, *other, *third;

    begin("Cache-Control: max-age=60");
    one = ask(1, "");
    origin_wait_requests(world.origin, 1);
    other = ask(2, "Authorization: x\r\n");
    expect_body(client_response(other), "2");
    gate_open(world.gate);
    expect_body(client_response(one), "1");
    third = ask(3, "");
    expect_body(client_response(third), "1");
    cr_expect_eq(origin_requests(world.origin), 2);
    client_close(one);
    client_close(other);
    client_close(third);
    gateway_stop(world.gateway);
}

/* Else whoever sends one makes the others wait for what is not theirs. */
Test(caching_waiting, is_not_made_to_wait_by_authorization)
{
    struct client *one, *other;

    begin("Cache-Control: max-age=60");
    one = ask(1, "Authorization: x\r\n");
    origin_wait_requests(world.origin, 1);
    other = ask(2, "");
    expect_body(client_response(other), "2");
    gate_open(world.gate);
    expect_body(client_response(one), "1");
    expect_body(client_response(ask(3, "")), "2");
    cr_expect_eq(origin_requests(world.origin), 2);
    gateway_stop(world.gateway);
}
