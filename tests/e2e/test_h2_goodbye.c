/* HTTP/2: how connections end. Always in the same order: GOAWAY for no stream and a PING, GOAWAY
 * with the last stream, the end; be it for draining or for want of requests. And the deadlines
 * before that. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

E2E_SUITE(h2_goodbye);

#define NO_STREAM 0x7fffffffU
#define LASTING   "'drain_timeout': '1h',"

static const struct h2_options no_pong = {.withholds_ping_ack = true};

/* Reads until the first GOAWAY and its PING have come; what the PING carried. */
static uint64_t read_notice(struct h2_client *client)
{
    struct h2_frame frame;
    uint64_t payload;

    do
        workplace_require(h2_read_frame(client, &frame), "no GOAWAY and PING came");
    while (frame.type != H2_PING || (frame.flags & H2_ACK) != 0 || client->goaways == 0);
    workplace_require(client->goaways == 1 && client->goaway_last == NO_STREAM &&
                          client->goaway_code == H2_NO_ERROR,
                      "the first GOAWAY names stream %u, %s", client->goaway_last,
                      h2_code_name(client->goaway_code));
    memcpy(&payload, frame.payload, sizeof payload);
    return payload;
}

static void expect_goodbye(struct h2_client *client, uint32_t last_stream)
{
    h2_expect_orderly_end(client);
    workplace_require(client->goaways == 2 && client->goaway_last == last_stream,
                      "%u GOAWAYs, the last for stream %u, not %u", client->goaways,
                      client->goaway_last, last_stream);
}

/* --- want of requests ---------------------------------------------------------------------------
 */

Test(h2_goodbye, idle_connection)
{
    struct h2_scene scene = h2_scene_start("'defaults': { 'timeout': { 'keepalive': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    h2_expect_from(client, h2_get(client, "/"), "one");
    read_notice(client);
    expect_goodbye(client, 1);
    h2_await_status("metrics.connections_open", 0);
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_goodbye, connection_without_a_request)
{
    struct h2_scene scene = h2_scene_start("'defaults': { 'timeout': { 'keepalive': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    read_notice(client);
    expect_goodbye(client, 0);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* A request that comes while the PING is on its way is served. */
Test(h2_goodbye, request_that_crosses_the_first_goaway)
{
    struct h2_scene scene = h2_scene_start("'defaults': { 'timeout': { 'keepalive': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, &no_pong);

    h2_expect_from(client, h2_get(client, "/"), "one");
    uint64_t payload = read_notice(client);
    h2_hold(client);
    uint32_t crossed = h2_get(client, "/");
    h2_send_ping(client, payload, true);
    h2_release(client);
    h2_expect_from(client, crossed, "one");
    expect_goodbye(client, crossed);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Others ran out of time meanwhile: requests under way are no want of them. */
Test(h2_goodbye, requests_under_way_keep_it)
{
    struct h2_scene scene = h2_scene_start("'defaults': { 'timeout': { 'keepalive': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    origin_wait_requests(scene.origin, 1);
    for (int i = 0; i < 2; i++)
        h2_expect_orderly_end(h2_open(scene.gateway, NULL));
    h2_settle(client);
    cr_assert_eq(client->goaways, 0);
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    expect_goodbye(client, slow);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* PINGs ask for nothing; these are too few to be a flood. */
Test(h2_goodbye, pings_do_not_keep_it)
{
    struct h2_scene scene = h2_scene_start("'defaults': { 'timeout': { 'keepalive': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct pollfd news = {.fd = client->tls->wire.fd, .events = POLLIN};
    long long start = monitor_now_ms();

    h2_settle(client);
    while (client->goaways == 0) {
        cr_assert(monitor_may_ask_again(start), "PINGs keep it open");
        if (poll(&news, 1, 50) == 0)
            h2_send_ping(client, 1, false);
        h2_read_pending(client);
    }
    h2_expect_orderly_end(client);
    gateway_stop(scene.gateway);
}

/* --- many of them -------------------------------------------------------------------------------
 */

/* More than the 10,000 after which one ends in HTTP/1.1. */
Test(h2_goodbye, any_number_of_requests_is_no_reason)
{
    enum { ROUNDS = 101, AT_ONCE = 100 };
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct h2_client *client = h2_open(gateway, NULL);
    uint32_t streams[AT_ONCE];

    for (int round = 0; round < ROUNDS; round++) {
        h2_hold(client);
        for (int i = 0; i < AT_ONCE; i++)
            streams[i] = h2_get(client, "/");
        h2_release(client);
        for (int i = 0; i < AT_ONCE; i++) {
            expect_body(h2_expect_response(client, streams[i], 200), "ok");
            h2_forget(client, streams[i]);
        }
    }
    h2_settle(client);
    cr_assert_eq(client->goaways, 0);
    h2_close(client);
    gateway_stop(gateway);
}

/* --- deadlines ----------------------------------------------------------------------------------
 */

static struct h2_scene start_hasty(void)
{
    return h2_scene_start(
        "'defaults': { 'timeout': { 'header': '300ms', 'keepalive': '1h', 'handshake': '1h' } },");
}

static void expect_given_up(struct h2_scene *scene, struct h2_client *client)
{
    struct h2_frame frame;

    while (h2_read_frame(client, &frame))
        continue;
    workplace_require(client->tls->wire.state != WIRE_TIMED_OUT, "it is waited for");
    h2_await_status("metrics.connections_open", 0);
    cr_assert_eq(origin_requests(scene->origin), 0);
    gateway_stop(scene->gateway);
}

Test(h2_goodbye, preface_that_does_not_come)
{
    struct h2_scene scene = start_hasty();
    struct h2_client *client =
        h2_open(scene.gateway, &(struct h2_options){.sends_no_preface = true});

    expect_given_up(&scene, client);
}

Test(h2_goodbye, preface_that_stays_half)
{
    struct h2_scene scene = start_hasty();
    struct h2_client *client =
        h2_open(scene.gateway, &(struct h2_options){.sends_no_preface = true});

    h2_send_bytes(client, H2_PREFACE, 10);
    expect_given_up(&scene, client);
}

Test(h2_goodbye, preface_without_settings)
{
    struct h2_scene scene = start_hasty();
    struct h2_client *client =
        h2_open(scene.gateway, &(struct h2_options){.sends_no_preface = true});

    h2_send_bytes(client, H2_PREFACE, strlen(H2_PREFACE));
    expect_given_up(&scene, client);
}

/* A header block whose end does not come, however long its parts keep coming. */
Test(h2_goodbye, head_that_drips)
{
    struct h2_scene scene = start_hasty();
    struct h2_client *client = h2_open(scene.gateway, NULL);
    long long start = monitor_now_ms();

    h2_settle(client);
    h2_send_headers(client, &(struct h2_headers){.stream = 1,
                                                 .fields = H2_FIELDS(":method", "GET"),
                                                 .is_unfinished = true});
    struct pollfd news = {.fd = client->tls->wire.fd, .events = POLLIN};
    while (poll(&news, 1, 0) == 0 && !client->was_refused) {
        cr_assert(monitor_may_ask_again(start), "bytes that keep coming keep it open");
        h2_send_continuation(client, 1, "", 0, false);
    }
    expect_given_up(&scene, client);
}

Test(h2_goodbye, head_that_stays_half)
{
    struct h2_scene scene = start_hasty();
    struct h2_client *client = h2_open(scene.gateway, NULL);

    h2_send_headers(client, &(struct h2_headers){.stream = 1,
                                                 .fields = H2_FIELDS(":method", "GET"),
                                                 .is_unfinished = true});
    expect_given_up(&scene, client);
}

/* --- drain --------------------------------------------------------------------------------------
 */

Test(h2_goodbye, drain_serves_what_came_before_the_second_goaway)
{
    struct h2_scene scene = h2_scene_start(LASTING);
    struct h2_client *client = h2_open(scene.gateway, &no_pong);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    origin_wait_requests(scene.origin, 1);
    gateway_signal(scene.gateway, SIGTERM);
    uint64_t payload = read_notice(client);
    h2_expect_from(client, h2_get(client, "/between"), "one");
    uint32_t between = h2_get(client, "/between");
    h2_expect_from(client, between, "one");
    h2_send_ping(client, payload, true);
    h2_await_goaways(client, 2);
    cr_assert_eq(client->goaway_last, between);
    uint32_t later = h2_get(client, "/later");
    h2_settle(client);
    cr_assert_null(h2_stream(client, later)->response);
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    expect_goodbye(client, between);
    gateway_stop_expecting(scene.gateway, 0);
    cr_assert_eq(origin_requests(scene.origin), 3);
}

/* An upload and a download go on to their ends. */
Test(h2_goodbye, drain_waits_for_bodies)
{
    struct h2_scene scene = h2_scene_start(LASTING);
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_steps(
        scene.origin, "/down",
        &(struct h2_steps){.list = {{NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
                                    {gate, "world"}}});
    origin_set_script(scene.origin, "/up", origin_echo, NULL);
    uint32_t down = h2_get(client, "/down"), up = h2_begin_post(client, "/up");
    h2_send_data(client, up, "hello", 5, false);
    h2_await_bytes(client, down, 5);
    origin_wait_requests(scene.origin, 2);
    gateway_signal(scene.gateway, SIGTERM);
    h2_await_goaways(client, 2);
    h2_send_data(client, up, "world", 5, true);
    expect_body(h2_response(client, up), "helloworld");
    gate_open(gate);
    expect_body(h2_response(client, down), "helloworld");
    expect_goodbye(client, up);
    gateway_stop_expecting(scene.gateway, 0);
}

Test(h2_goodbye, drain_ends_idle_connections)
{
    struct h2_scene scene = h2_scene_start(LASTING);
    struct h2_client *used = h2_open(scene.gateway, NULL);

    h2_expect_from(used, h2_get(used, "/"), "one");
    gateway_signal(scene.gateway, SIGTERM);
    read_notice(used);
    expect_goodbye(used, 1);
    gateway_stop_expecting(scene.gateway, 0);
}

/* No answer to the PING is no way to keep it. */
Test(h2_goodbye, drain_does_not_wait_for_a_ping_for_ever)
{
    struct h2_scene scene = h2_scene_start(LASTING);
    struct h2_client *idle = h2_open(scene.gateway, &no_pong);
    struct h2_client *busy = h2_open(scene.gateway, &no_pong);
    struct gate *gate = gate_new();

    h2_expect_from(idle, h2_get(idle, "/"), "one");
    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(busy, "/slow");
    origin_wait_requests(scene.origin, 2);
    gateway_signal(scene.gateway, SIGTERM);
    read_notice(idle);
    read_notice(busy);
    expect_goodbye(idle, 1);
    h2_await_goaways(busy, 2);
    gate_open(gate);
    h2_expect_from(busy, slow, "one");
    expect_goodbye(busy, slow);
    gateway_stop_expecting(scene.gateway, 0);
}

Test(h2_goodbye, drain_cuts_the_rest_at_its_timeout)
{
    struct h2_scene scene = h2_scene_start("'drain_timeout': '300ms',");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *never = gate_new();
    struct h2_frame frame;

    origin_set_script(scene.origin, "/hang", origin_hang, NULL);
    h2_script_steps(
        scene.origin, "/down",
        &(struct h2_steps){.list = {{NULL, "HTTP/1.1 200 OK\r\n\r\nhello"}, {never, "world"}}});
    uint32_t hung = h2_get(client, "/hang"), down = h2_get(client, "/down");
    h2_await_bytes(client, down, 5);
    origin_wait_requests(scene.origin, 2);
    gateway_signal(scene.gateway, SIGTERM);
    while (h2_read_frame(client, &frame))
        continue;
    cr_assert_neq(client->tls->wire.state, WIRE_TIMED_OUT);
    cr_assert(!h2_stream(client, down)->has_ended, "what was cut looks whole");
    cr_assert(!h2_stream(client, hung)->has_ended ||
              h2_stream(client, hung)->response->status == 503);
    expect_string(log_entry_with(scene.gateway, "path", "/down"), "reason", "draining");
    gate_open(never);
    gateway_stop_expecting(scene.gateway, 0);
}

/* From the accept queue, and one whose handshake was over: each is let ask what it came for. */
Test(h2_goodbye, drain_serves_connections_that_were_queued)
{
    struct h2_scene scene = h2_scene_start(LASTING);
    struct client_options tls = {.sni = "a.test", .alpn = "h2"};
    struct h2_client *ready = h2_open(scene.gateway, NULL);

    h2_settle(ready);
    gateway_signal(scene.gateway, SIGSTOP);
    struct client *queued = client_begin(gateway_https(scene.gateway), &tls);
    gateway_signal(scene.gateway, SIGTERM);
    uint32_t stream = h2_get(ready, "/ready");
    gateway_signal(scene.gateway, SIGCONT);
    client_finish(queued);
    /* Preface, SETTINGS, and GET https://a.test/queued of RFC 7541's static table. */
    static const char request[] = H2_PREFACE "\0\0\0\4\0\0\0\0\0"
                                             "\0\0\x13\1\5\0\0\0\1"
                                             "\x82\x87\x04\x07/queued\x01\x06"
                                             "a.test";
    client_send_bytes(queued, request, sizeof request - 1);
    h2_expect_from(ready, stream, "one");
    cr_assert_eq(client_read_to_end(queued), WIRE_CLOSED);
    h2_expect_orderly_end(ready);
    gateway_stop_expecting(scene.gateway, 0);
    cr_assert_eq(origin_requests(scene.origin), 2);
}

/* --- the client's own ---------------------------------------------------------------------------
 */

/* Who says GOAWAY asks for nothing more: what is under way is served, then it ends. */
Test(h2_goodbye, clients_goaway_ends_it_behind_what_is_under_way)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    origin_wait_requests(scene.origin, 1);
    h2_send_goaway(client, 0, H2_NO_ERROR, NULL);
    h2_settle(client);
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    struct h2_frame frame;
    while (h2_read_frame(client, &frame))
        continue;
    cr_assert_eq(client->tls->wire.state, WIRE_CLOSED);
    h2_await_status("metrics.connections_open", 0);
    h2_close(client);
    gateway_stop(scene.gateway);
}
