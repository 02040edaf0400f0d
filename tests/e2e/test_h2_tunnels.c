/* HTTP/2: WebSocket by extended CONNECT (RFC 8441) to a backend that speaks Upgrade, and what
 * CONNECT is not good for. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/pattern.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

E2E_SUITE(h2_tunnels);

#define SWITCH                                                                      \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket" \
    "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static uint32_t ask_for_tunnel(struct h2_client *client, const char *path)
{
    return h2_send_request(client,
                           &(struct h2_request){.method = "CONNECT",
                                                .path = path,
                                                .fields = H2_FIELDS(":protocol", "websocket",
                                                                    "sec-websocket-version", "13"),
                                                .goes_on = true});
}

static uint32_t open_tunnel(struct h2_client *client, const char *path)
{
    uint32_t stream = ask_for_tunnel(client, path);
    struct message *response = h2_response_head(client, stream);

    workplace_require(response->status == 200 && !h2_stream(client, stream)->has_ended, "%s",
                      response->head);
    return stream;
}

/* What has come on it must begin with that, and not yet be taken. */
static void expect_bytes(struct h2_client *client, uint32_t stream, const char *all)
{
    h2_await_bytes(client, stream, strlen(all));
    struct message *response = h2_stream(client, stream)->response;
    workplace_require(strcmp(response->body, all) == 0, "'%s' came, not '%s'", response->body, all);
}

static void expect_ended(struct h2_client *client, uint32_t stream, const char *all)
{
    expect_body(h2_response(client, stream), all);
    workplace_require(h2_stream(client, stream)->has_ended, "it was reset");
}

Test(h2_tunnels, extended_connect_is_announced)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    h2_settle_settings(client);
    cr_assert_eq(client->peer[H2_ENABLE_CONNECT_PROTOCOL], 1);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- bytes both ways ----------------------------------------------------------------------------
 */

Test(h2_tunnels, bytes_both_ways_and_half_close)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/ws", origin_upgrade_echo, NULL);
    uint32_t stream = open_tunnel(client, "/ws");
    struct message *response = h2_stream(client, stream)->response;
    expect_no_field(response, "upgrade");
    expect_no_field(response, "connection");
    expect_no_field(response, "content-length");
    struct message *seen = origin_request(scene.origin, 0);
    cr_assert_str_eq(seen->method, "GET");
    cr_assert_str_eq(seen->target, "/ws");
    expect_field(seen, "host", "a.test");
    expect_field(seen, "upgrade", "websocket");
    expect_field(seen, "sec-websocket-version", "13");
    cr_assert_eq(strlen(message_field(seen, "sec-websocket-key")), 24);
    cr_assert_not_null(strcasestr(message_field(seen, "connection"), "upgrade"));
    const char *all = "";
    for (int i = 0; i < 10; i++) {
        const char *words = text("message %d", i);
        h2_send_data(client, stream, words, strlen(words), false);
        expect_bytes(client, stream, all = text("%s%s", all, words));
    }
    h2_send_data(client, stream, "", 0, true);
    expect_ended(client, stream, text("%sbye", all));
    json_t *entry = log_entry(scene.gateway, 0);
    expect_string(entry, "proto", "HTTP/2.0");
    expect_number(entry, "bytes_in", 90);
    expect_number(entry, "bytes_out", 93);
    expect_null(entry, "reason");
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* A key that answers is of no use to a client that has sent none. */
Test(h2_tunnels, accept_stays_with_the_gateway)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_steps(
        scene.origin, "/ws",
        &(struct h2_steps){.list = {{NULL, SWITCH "Sec-WebSocket-Protocol: chat\r\n\r\nhello"}},
                           .at_end = gate,
                           .closes = true});
    uint32_t stream = open_tunnel(client, "/ws");
    expect_no_field(h2_stream(client, stream)->response, "sec-websocket-accept");
    expect_field(h2_stream(client, stream)->response, "sec-websocket-protocol", "chat");
    expect_bytes(client, stream, "hello");
    gate_open(gate);
    h2_response(client, stream);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Bytes that are sent before there is an answer wait for it. */
Test(h2_tunnels, bytes_right_behind_the_head)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/ws", origin_upgrade_echo, NULL);
    h2_hold(client);
    uint32_t stream = ask_for_tunnel(client, "/ws");
    h2_send_data(client, stream, "eager", 5, false);
    h2_release(client);
    cr_assert_eq(h2_response_head(client, stream)->status, 200);
    expect_bytes(client, stream, "eager");
    h2_send_data(client, stream, "", 0, true);
    expect_ended(client, stream, "eagerbye");
    h2_close(client);
    gateway_stop(scene.gateway);
}

static void say_and_half_close(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, SWITCH "\r\nfirst words");
    wire_half_close(turn->wire);
    while (wire_fill(turn->wire)) {
    }
    if (wire_held(turn->wire) != 10 || memcmp(wire_bytes(turn->wire), "last words", 10) != 0)
        workplace_note("the backend heard '%.*s'", (int)wire_held(turn->wire),
                       wire_bytes(turn->wire));
    gate_open(turn->arg);
}

Test(h2_tunnels, backend_half_closes_first)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *heard = gate_new();

    origin_set_script(scene.origin, "/ws", say_and_half_close, heard);
    uint32_t stream = open_tunnel(client, "/ws");
    expect_ended(client, stream, "first words");
    h2_settle(client);
    cr_assert(!h2_stream(client, stream)->was_reset);
    h2_send_data(client, stream, "last words", 10, true);
    cr_assert(gate_wait(heard));
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Much of it, within windows, beside other requests and another tunnel. */
Test(h2_tunnels, much_both_ways)
{
    enum { MUCH = 8 << 20, TUNNELS = 2 };
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    uint32_t streams[TUNNELS];

    origin_set_script(scene.origin, "/ws", origin_upgrade_echo, NULL);
    for (int i = 0; i < TUNNELS; i++)
        streams[i] = open_tunnel(client, "/ws");
    for (uint64_t at = 0; at < MUCH; at += PATTERN_PIECE)
        for (int i = 0; i < TUNNELS; i++)
            cr_assert(h2_send_body(client, streams[i], pattern_at(at), PATTERN_PIECE, false));
    for (int i = 0; i < TUNNELS; i++) {
        h2_await_bytes(client, streams[i], MUCH);
        cr_assert(h2_stream(client, streams[i])->response->body_is_pattern);
    }
    h2_expect_from(client, h2_get(client, "/"), "one");
    for (int i = 0; i < TUNNELS; i++) {
        h2_send_data(client, streams[i], "", 0, true);
        h2_response(client, streams[i]);
        cr_assert_eq(h2_stream(client, streams[i])->response->body_bytes, MUCH + 3);
    }
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- how they end -------------------------------------------------------------------------------
 */

static void fall_silent(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, SWITCH "\r\n");
    while (wire_fill(turn->wire))
        wire_take(turn->wire, wire_held(turn->wire));
}

Test(h2_tunnels, clients_reset_ends_the_backends_connection)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/ws", fall_silent, NULL);
    uint32_t stream = open_tunnel(client, "/ws");
    h2_send_reset(client, stream, H2_CANCEL);
    origin_wait_open_connections(scene.origin, 0);
    expect_string(log_entry(scene.gateway, 0), "reason", "client_closed");
    h2_await_status("metrics.tunnels", 0);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_tunnels, backends_reset_resets_the_stream)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_steps(
        scene.origin, "/ws",
        &(struct h2_steps){.list = {{NULL, SWITCH "\r\nhello"}}, .at_end = gate, .resets = true});
    uint32_t stream = open_tunnel(client, "/ws");
    expect_bytes(client, stream, "hello");
    gate_open(gate);
    h2_await_reset(client, stream);
    expect_string(log_entry(scene.gateway, 0), "reason", "backend_reset");
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_tunnels, silence_ends_it_alone)
{
    struct h2_scene scene =
        h2_scene_start("'defaults': { 'timeout': { 'tunnel_idle': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    origin_set_script(scene.origin, "/ws", fall_silent, NULL);
    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow"), stream = open_tunnel(client, "/ws");
    h2_response(client, stream);
    expect_string(log_entry(scene.gateway, 0), "reason", "tunnel_idle");
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_tunnels, live_on_over_reloads_and_drains)
{
    struct h2_scene scene = h2_scene_start("'drain_timeout': '1h',");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/ws", origin_upgrade_echo, NULL);
    uint32_t stream = open_tunnel(client, "/ws");
    h2_await_status("metrics.tunnels", 1);
    gateway_rewrite("{ @base, 'drain_timeout': '1h', 'routes': { 'a.test': { 'respond': {} } } }");
    expect_status(ask_admin("POST", "/reload"), 200);
    h2_send_data(client, stream, "still", 5, false);
    expect_bytes(client, stream, "still");
    gateway_signal(scene.gateway, SIGTERM);
    h2_await_goaways(client, 2);
    h2_send_data(client, stream, "here", 4, false);
    expect_bytes(client, stream, "stillhere");
    h2_send_data(client, stream, "", 0, true);
    expect_ended(client, stream, "stillherebye");
    h2_expect_orderly_end(client);
    gateway_stop_expecting(scene.gateway, 0);
}

/* RFC 9113 section 8.5: bytes are all that may come on it, before it is open as well. */
Test(h2_tunnels, trailers_are_no_end)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/ws", fall_silent, NULL);
    uint32_t stream = open_tunnel(client, "/ws");
    h2_send_headers(client, &(struct h2_headers){.stream = stream,
                                                 .fields = H2_FIELDS("x-sum", "1"),
                                                 .ends_stream = true});
    cr_assert_eq(h2_await_reset(client, stream), H2_PROTOCOL_ERROR);
    origin_wait_open_connections(scene.origin, 0);
    expect_string(log_entry(scene.gateway, 0), "reason", "bad_request");

    h2_hold(client);
    stream = ask_for_tunnel(client, "/ws");
    h2_send_headers(client, &(struct h2_headers){.stream = stream,
                                                 .fields = H2_FIELDS("x-sum", "1"),
                                                 .ends_stream = true});
    h2_release(client);
    cr_assert_eq(h2_await_reset(client, stream), H2_PROTOCOL_ERROR);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- backends that will not ---------------------------------------------------------------------
 */

Test(h2_tunnels, refusal_of_the_backend_is_passed_on)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    h2_script_steps(scene.origin, "/ws",
                    &(struct h2_steps){
                        .list = {{NULL, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"}},
                        .closes = true});
    uint32_t stream = ask_for_tunnel(client, "/ws");
    expect_body(h2_expect_response(client, stream, 403), "no");
    expect_number(log_entry(scene.gateway, 0), "status", 403);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* To the client 2xx would be an open tunnel. */
Test(h2_tunnels, success_without_a_tunnel_is_no_success)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chess\r\n\r\n",
    };
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    for (int i = 0; i < 3; i++) {
        const char *path = text("/%d", i);
        h2_script_steps(scene.origin, path,
                        &(struct h2_steps){.list = {{NULL, answers[i]}}, .closes = true});
        expect_refusal(h2_response(client, ask_for_tunnel(client, path)), 502,
                       "backend_bad_response");
    }
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Nor is what the gateway answers by itself. */
Test(h2_tunnels, success_of_the_gateways_own_is_none_either)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'paths': {"
                      "  '/ok': { 'respond': { 'body': 'ok' } },"
                      "  '/none': { 'respond': { 'status': 204 } },"
                      "  '/gone': { 'respond': { 'status': 410, 'body': 'gone' } } } } } }");
    struct h2_client *client = h2_open(gateway, NULL);

    expect_refusal(h2_response(client, ask_for_tunnel(client, "/ok")), 405, "method_refused");
    expect_refusal(h2_response(client, ask_for_tunnel(client, "/none")), 405, "method_refused");
    expect_string(log_entry(gateway, 0), "route", "a.test/ok");
    h2_expect_response(client, ask_for_tunnel(client, "/gone"), 410);
    expect_body(h2_expect_response(client, h2_get(client, "/ok"), 200), "ok");
    h2_close(client);
    gateway_stop(gateway);
}

/* --- CONNECT as it was --------------------------------------------------------------------------
 */

Test(h2_tunnels, ordinary_connect_is_refused)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    uint32_t stream = client->next_stream;

    client->next_stream += 2;
    h2_send_headers(client, &(struct h2_headers){.stream = stream,
                                                 .fields = H2_FIELDS(":method", "CONNECT",
                                                                     ":authority", "a.test:443")});
    expect_refusal(h2_response(client, stream), 405, "method_refused");
    h2_expect_from(client, h2_get(client, "/"), "one");
    cr_assert_eq(origin_requests(scene.origin), 1);
    h2_close(client);
    gateway_stop(scene.gateway);
}
