/* Deadlines that bytes which keep coming do not push away: heads, handshakes, the time between two
 * requests, what follows the last answer. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(deadlines);

#define ANSWER "'routes': { '*': { 'respond': { 'body': 'ok' } } }"

/* Something to read has come, if only an end. */
static bool has_news(struct client *client)
{
    return wire_is_readable(&client->wire, 0);
}

/* Sends the bytes again and again, a piece at a time, until the gateway says something or has
 * closed. */
static void drip_until_news(struct client *client, const char *bytes, size_t length)
{
    long long start = monitor_now_ms();

    while (!has_news(client) && wire_write(&client->wire, bytes, length))
        workplace_require(monitor_may_ask_again(start), "bytes that keep coming keep it open");
}

/* The tickets of the handshake have been read: what comes now is an answer. */
static struct client *open_quiet(struct gateway *gateway)
{
    struct client *client = client_open(gateway, "a.test");

    expect_body(client_get(client, "a.test", "/"), "ok");
    return client;
}

Test(deadlines, head_that_drips)
{
    needs_http1("half a line is no frame");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'header': '300ms' } }, " ANSWER " }");
    struct client *client = open_quiet(gateway);

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX: ");
    drip_until_news(client, "a", 1);
    expect_refusal(client_response(client), 408, "header_timeout");
    gateway_stop(gateway);
}

Test(deadlines, handshake_that_drips)
{
    /* A ClientHello as large as a record can be. */
    static const char start[] = "\x16\x03\x01\x3f\xf0\x01\x00\x3f\xec\x03\x03";
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'handshake': '300ms' } }, " ANSWER " }");
    struct client *client = client_open_plain(gateway_https(gateway));

    client_send_bytes(client, start, sizeof start - 1);
    drip_until_news(client, "", 1);
    enum wire_end end = client_read_to_end(client);
    cr_assert(end == WIRE_CLOSED || end == WIRE_RESET);
    expect_number(json_from(ask_admin("GET", "/status")->body), "metrics.handshakes_timeout", 1);
    gateway_stop(gateway);
}

/* Refused or closed, but not for ever. */
Test(deadlines, empty_lines_between_requests)
{
    needs_http1("HTTP/2 has no lines");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'keepalive': '300ms' } }, " ANSWER " }");
    struct client *client = open_quiet(gateway);

    drip_until_news(client, "\r\n", 2);
    client_read_to_end(client);
    gateway_stop(gateway);
}

Test(deadlines, bytes_after_the_last_answer)
{
    needs_http1("a connection goes on behind a 400 in HTTP/2");
    struct gateway *gateway = gateway_start("{ @base, " ANSWER " }");
    struct client *client = open_quiet(gateway);
    long long start = monitor_now_ms();

    client_send(client, "nonsense\r\n\r\n");
    expect_status(client_response(client), 400);
    while (wire_write(&client->wire, "a", 1))
        workplace_require(monitor_may_ask_again(start), "it lingers for ever");
    gateway_stop(gateway);
}

static void drip_a_head(struct origin_turn *turn)
{
    long long start = monitor_now_ms();

    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nX: ");
    while (wire_print(turn->wire, "a"))
        if (!monitor_may_ask_again(start))
            return;
}

Test(deadlines, head_of_a_backend_that_drips)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'timeout': { 'first_byte': '300ms' } }, 'routes': { '*': '%s' } }",
        origin_address(origin));

    origin_set_script(origin, NULL, drip_a_head, NULL);
    expect_refusal(fetch(gateway, "a.test", "/"), 504, "backend_timeout");
    gateway_stop(gateway);
}
