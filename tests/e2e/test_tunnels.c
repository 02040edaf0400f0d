/* Connection: Upgrade: a tunnel of bytes once the backend agreed, closed one side at a time. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

E2E_SUITE(tunnels);

#define UPGRADE                                                                         \
    "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static struct gateway *start_with(struct origin *origin, const char *more)
{
    return gateway_start("{ @base, %s 'routes': { 'a.test': '%s' } }", more,
                         origin_address(origin));
}

static void expect_bytes(struct client *client, const char *bytes)
{
    size_t length = strlen(bytes);

    while (wire_held(&client->wire) < length)
        workplace_require(wire_fill(&client->wire), "the tunnel ended before '%s'", bytes);
    workplace_require(memcmp(wire_bytes(&client->wire), bytes, length) == 0,
                      "'%.*s' came, not '%s'", (int)length, wire_bytes(&client->wire), bytes);
    wire_take(&client->wire, length);
}

static struct client *open_tunnel(struct gateway *gateway, const char *first_bytes)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, UPGRADE "%s", first_bytes);
    struct message *response = client_response(client);
    cr_assert_eq(response->status, 101, "%s", response->head);
    expect_field(response, "upgrade", "websocket");
    return client;
}

Test(tunnels, bytes_both_ways_and_half_close)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct client *client = open_tunnel(gateway, "");
    struct message *seen = origin_request(origin, 0);
    expect_field(seen, "upgrade", "websocket");
    if (speaks_h2()) /* whose clients have none (RFC 8441 section 5) */
        cr_assert_eq(strlen(message_field(seen, "sec-websocket-key")), 24);
    else
        expect_field(seen, "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    cr_assert_not_null(strcasestr(message_field(seen, "connection"), "upgrade"));
    for (int i = 0; i < 10; i++) {
        const char *words = text("message %d", i);
        client_send(client, "%s", words);
        expect_bytes(client, words);
    }
    wire_half_close(&client->wire);
    expect_bytes(client, "bye");
    client_expect_end(client);
    json_t *entry = log_entry(gateway, 0);
    expect_number(entry, "status", 101);
    expect_number(entry, "bytes_in", 90);
    gateway_stop(gateway);
}

Test(tunnels, bytes_right_behind_the_head)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct client *client = open_tunnel(gateway, "eager");
    expect_bytes(client, "eager");
    client_close(client);
    gateway_stop(gateway);
}

static void say_and_half_close(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                           "Upgrade: websocket\r\n\r\nfirst words");
    wire_half_close(turn->wire);
    while (wire_fill(turn->wire)) {
    }
    if (wire_held(turn->wire) != 10 || memcmp(wire_bytes(turn->wire), "last words", 10) != 0)
        workplace_note("the backend heard '%.*s'", (int)wire_held(turn->wire),
                       wire_bytes(turn->wire));
    gate_open(turn->arg);
}

Test(tunnels, backend_half_closes_first)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct gate *heard = gate_new();

    origin_set_script(origin, "/ws", say_and_half_close, heard);
    struct client *client = open_tunnel(gateway, "");
    expect_bytes(client, "first words");
    client_expect_end(client);
    client_send(client, "last words");
    wire_half_close(&client->wire);
    cr_assert(gate_wait(heard));
    gateway_stop(gateway);
}

static void refuse(struct origin_turn *turn)
{
    origin_read_body(turn);
    wire_print(turn->wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
}

Test(tunnels, refused_upgrade_is_a_plain_response)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/ws", refuse, NULL);
    client_send(client, UPGRADE);
    struct message *response = client_response(client);
    expect_status(response, 403);
    expect_body(response, "no");
    gateway_stop(gateway);
}

Test(tunnels, upgrade_without_connection_is_removed)
{
    needs_http1("HTTP/2 has no Upgrade");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n");
    expect_from(client_response(client), "one");
    expect_no_field(origin_last_request(origin), "upgrade");
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n");
    expect_from(client_response(client), "one");
    expect_no_field(origin_last_request(origin), "upgrade");
    expect_no_field(origin_last_request(origin), "http2-settings");
    gateway_stop(gateway);
}

#define MUCH ((uint64_t)8 << 20)

static void *send_much(void *arg)
{
    struct client *client = arg;

    for (uint64_t at = 0; at < MUCH; at += PATTERN_PIECE) {
        if (!wire_write(&client->wire, pattern_at(at), PATTERN_PIECE))
            workplace_note("the tunnel does not take what the client sends");
    }
    return NULL;
}

Test(tunnels, much_through_a_plain_tunnel)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
                      "    'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' } },"
                      "  'certs': 'certs', 'routes': { 'a.test': '%s' } }",
                      origin_address(origin));
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));
    pthread_t sender;

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    client_send(client, UPGRADE);
    cr_assert_eq(client_response(client)->status, 101);
    pthread_create(&sender, NULL, send_much, client);
    for (uint64_t at = 0; at < MUCH;) {
        workplace_require(wire_held(&client->wire) > 0 || wire_fill(&client->wire),
                          "the tunnel ended after %llu bytes", (unsigned long long)at);
        size_t held = wire_held(&client->wire);
        workplace_require(pattern_matches(at, wire_bytes(&client->wire), held), "other bytes");
        wire_take(&client->wire, held);
        at += held;
    }
    pthread_join(sender, NULL);
    wire_half_close(&client->wire);
    expect_bytes(client, "bye");
    client_expect_end(client);
    gateway_stop(gateway);
}

Test(tunnels, much_through_a_tls_tunnel_one_way_at_a_time)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct client *client = open_tunnel(gateway, "");
    for (uint64_t at = 0; at < MUCH; at += PATTERN_PIECE) {
        client_send_bytes(client, pattern_at(at), PATTERN_PIECE);
        while (wire_held(&client->wire) < PATTERN_PIECE)
            workplace_require(wire_fill(&client->wire), "the tunnel ended");
        workplace_require(pattern_matches(at, wire_bytes(&client->wire), PATTERN_PIECE),
                          "other bytes at %llu", (unsigned long long)at);
        wire_take(&client->wire, PATTERN_PIECE);
    }
    wire_half_close(&client->wire);
    expect_bytes(client, "bye");
    client_expect_end(client);
    gateway_stop(gateway);
}

Test(tunnels, idle_tunnel_is_closed)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start_with(origin, "'defaults': { 'timeout': { 'tunnel_idle': '200ms' } },");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct client *client = open_tunnel(gateway, "hello");
    expect_bytes(client, "hello");
    cr_assert_neq(client_read_to_end(client), WIRE_TIMED_OUT);
    json_t *entry = log_entry(gateway, 0);
    expect_string(entry, "reason", "tunnel_idle");
    origin_wait_open_connections(origin, 0);
    gateway_stop(gateway);
}

Test(tunnels, client_that_vanishes_ends_the_backend_side)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct client *client = open_tunnel(gateway, "hello");
    expect_bytes(client, "hello");
    wire_reset(&client->wire);
    origin_wait_open_connections(origin, 0);
    gateway_stop(gateway);
}
