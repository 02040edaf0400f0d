/* HTTP/2: backpressure. Each stream has its own, both ways; who does not read or send holds up
 * nobody else, and is waited for no longer than anybody. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/pattern.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_backpressure);

#define PATIENT "'defaults': { 'timeout': { 'body_idle': '1h', 'idle': '1h' } },"
#define MIB     ((uint64_t)1 << 20)

/* What the kernel holds between the gateway and a backend, and some more: far below what is
 * offered.
 */
#define BOUND   (16 * MIB)
#define OFFERED (48 * MIB)

static const struct h2_setting no_window = {H2_INITIAL_WINDOW_SIZE, 0};

/* Streams have no window until the test opens one; the connection's is large. */
static struct h2_client *open_shut(struct gateway *gateway)
{
    struct h2_client *client = h2_open(gateway, &(struct h2_options){.settings = &no_window,
                                                                     .setting_count = 1,
                                                                     .withholds_windows = true});

    h2_send_window(client, 0, 1U << 30);
    return client;
}

/* --- downloads ----------------------------------------------------------------------------------
 */

Test(h2_backpressure, stream_without_a_window_stalls_its_backend_alone)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = open_shut(scene.gateway);
    struct h2_fountain *stalled = h2_fountain_new(scene.origin, "/stalled", OFFERED);
    uint64_t piece = MIB;

    h2_fountain_narrow(stalled);
    origin_set_script(scene.origin, "/flows", origin_send_pattern, &piece);
    uint32_t stream = h2_get(client, "/stalled");
    cr_assert_eq(h2_response_head(client, stream)->status, 200);
    for (int i = 0; i < 30; i++) {
        uint32_t other = h2_get(client, "/flows");
        h2_send_window(client, other, (uint32_t)piece);
        struct message *response = h2_expect_response(client, other, 200);
        cr_assert(response->body_is_pattern && response->body_bytes == piece);
        h2_forget(client, other);
    }
    cr_assert_eq(h2_stream(client, stream)->data_bytes, 0);
    cr_assert_lt(h2_fountain_sent(stalled), BOUND);
    h2_send_window(client, stream, 1U << 30);
    struct message *response = h2_expect_response(client, stream, 200);
    cr_assert(response->body_is_pattern && response->body_bytes == OFFERED);
    cr_assert(h2_fountain_wait(stalled));
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Heads need no window, nor do responses without a body. */
Test(h2_backpressure, connection_without_a_window_stops_bodies_alone)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client =
        h2_open(scene.gateway, &(struct h2_options){.withholds_windows = true});
    struct h2_fountain *fountain = h2_fountain_new(scene.origin, "/down", MIB);

    origin_set_reply(scene.origin, "/204", "HTTP/1.1 204 No Content\r\n\r\n");
    uint32_t first = h2_get(client, "/down");
    h2_await_bytes(client, first, 65535);
    uint32_t second = h2_get(client, "/");
    cr_assert_eq(h2_response_head(client, second)->status, 200);
    h2_expect_response(client, h2_get(client, "/204"), 204);
    cr_assert_eq(h2_stream(client, second)->data_bytes, 0);
    h2_send_window(client, 0, (uint32_t)(2 * MIB));
    h2_expect_from(client, second, "one"); /* the first one's own window is empty still */
    cr_assert_eq(h2_stream(client, first)->data_bytes, 65535);
    h2_send_window(client, first, (uint32_t)(2 * MIB));
    cr_assert_eq(h2_expect_response(client, first, 200)->body_bytes, MIB);
    cr_assert(h2_fountain_wait(fountain));
    gateway_stop(scene.gateway);
}

/* Windows that open by a byte or a few at a time lose and double nothing. */
Test(h2_backpressure, windows_of_a_few_bytes)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = open_shut(scene.gateway);
    uint64_t bytes = 5000, come = 0;

    origin_set_script(scene.origin, "/down", origin_send_pattern, &bytes);
    uint32_t stream = h2_get(client, "/down");
    for (uint32_t step = 1; come < bytes; step = step % 37 + 1) {
        h2_send_window(client, stream, step);
        come += step;
        h2_await_bytes(client, stream, come < bytes ? come : bytes);
    }
    cr_assert(h2_expect_response(client, stream, 200)->body_is_pattern);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* RFC 9113 section 6.9.2: all windows move with the setting, below zero too. */
Test(h2_backpressure, windows_move_with_the_setting)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client =
        h2_open(scene.gateway, &(struct h2_options){.withholds_windows = true});
    uint64_t bytes = 100000;

    h2_send_window(client, 0, 1U << 30);
    origin_set_script(scene.origin, "/down", origin_send_pattern, &bytes);
    uint32_t stream = h2_get(client, "/down");
    h2_await_bytes(client, stream, 65535);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 10000);
    h2_settle_settings(client);
    h2_send_window(client, stream, 65535 - 10000); /* exactly none */
    h2_settle(client);
    cr_assert_eq(h2_stream(client, stream)->data_bytes, 65535);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 1000000);
    cr_assert(h2_expect_response(client, stream, 200)->body_is_pattern);
    gateway_stop(scene.gateway);
}

/* --- uploads ------------------------------------------------------------------------------------
 */

static void read_at_gate(struct origin_turn *turn)
{
    int little = 65536;

    setsockopt(turn->wire->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_read_body(turn);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
}

/* As much as the windows allow; whether that was anything. */
static bool send_what_is_allowed(struct h2_client *client, uint32_t stream, uint64_t *sent,
                                 uint64_t all)
{
    struct h2_stream *is = h2_stream(client, stream);
    bool has_sent = false;

    while (*sent < all && is->send_window > 0 && client->send_window > 0) {
        int64_t piece =
            is->send_window < client->send_window ? is->send_window : client->send_window;
        piece = piece < 16384 ? piece : 16384;
        piece = (uint64_t)piece < all - *sent ? piece : (int64_t)(all - *sent);
        h2_send_data(client, stream, pattern_at(*sent), (size_t)piece, *sent + piece == all);
        *sent += (uint64_t)piece;
        has_sent = true;
    }
    return has_sent;
}

/* A backend that does not read stops its own upload, and no other. */
Test(h2_backpressure, upload_that_nobody_reads_stops)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();
    uint64_t sent = 0;

    origin_set_script(scene.origin, "/stalled", read_at_gate, gate);
    uint32_t stream = h2_begin_post(client, "/stalled");
    /* Others go on, and meanwhile all that the kernel takes has gone. */
    for (int quiet = 0; quiet < 20; quiet++) {
        uint32_t other = h2_begin_post(client, "/");
        cr_assert(h2_send_body(client, other, pattern_at(0), PATTERN_PIECE, false));
        cr_assert(h2_send_body(client, other, pattern_at(0), PATTERN_PIECE, true));
        h2_expect_from(client, other, "one");
        h2_forget(client, other);
        if (send_what_is_allowed(client, stream, &sent, OFFERED))
            quiet = 0;
    }
    cr_assert_lt(sent, BOUND);
    h2_expect_waiting(client, stream);
    gate_open(gate);
    while (sent < OFFERED) {
        send_what_is_allowed(client, stream, &sent, OFFERED);
        cr_assert(sent == OFFERED || h2_read_frame(client, &(struct h2_frame){0}));
    }
    expect_body(h2_response(client, stream), "done");
    int place = 0;
    while (strcmp(origin_request(scene.origin, place)->target, "/stalled") != 0)
        place++;
    struct message *request = origin_finished_request(scene.origin, place);
    cr_assert(request->is_complete && request->body_is_pattern);
    cr_assert_eq(request->body_bytes, OFFERED);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Both ways at once on several streams. */
Test(h2_backpressure, uploads_and_downloads_at_once)
{
    enum { STREAMS = 4 };
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);
    uint64_t bytes = 4 * MIB, sent[STREAMS] = {0};
    uint32_t streams[STREAMS];
    int done = 0;

    origin_set_script(scene.origin, "/both", origin_send_pattern, &bytes);
    for (int i = 0; i < STREAMS; i++)
        streams[i] = h2_begin_post(client, "/both");
    while (done < STREAMS) {
        for (int i = 0; i < STREAMS; i++)
            send_what_is_allowed(client, streams[i], &sent[i], bytes);
        cr_assert(h2_read_frame(client, &(struct h2_frame){0}));
        done = 0;
        for (int i = 0; i < STREAMS; i++)
            done += h2_stream(client, streams[i])->has_ended;
    }
    for (int i = 0; i < STREAMS; i++) {
        struct message *response = h2_expect_response(client, streams[i], 200);
        cr_assert(response->body_is_pattern && response->body_bytes == bytes);
        struct message *request = origin_finished_request(scene.origin, i);
        cr_assert(request->is_complete && request->body_is_pattern);
        cr_assert_eq(request->body_bytes, bytes);
    }
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- those who wait for ever --------------------------------------------------------------------
 */

#define HASTY "'defaults': { 'timeout': { 'body_idle': '300ms' } },"

Test(h2_backpressure, upload_that_stalls_ends_its_stream_alone)
{
    struct h2_scene scene = h2_scene_start(HASTY);
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    uint32_t stalled = h2_begin_post(client, "/up");
    h2_send_data(client, stalled, "hello", 5, false);
    expect_refusal(h2_response(client, stalled), 408, "body_timeout");
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_backpressure, download_that_is_not_taken_ends_its_stream_alone)
{
    struct h2_scene scene = h2_scene_start(HASTY);
    struct h2_client *client = open_shut(scene.gateway);
    struct h2_fountain *stalled = h2_fountain_new(scene.origin, "/stalled", OFFERED);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    uint32_t stream = h2_get(client, "/stalled");
    h2_await_reset(client, stream);
    cr_assert(!h2_fountain_wait(stalled));
    json_t *entry = log_entry_with(scene.gateway, "path", "/stalled");
    expect_number(entry, "status", 200);
    expect_string(entry, "reason", "body_timeout");
    gate_open(gate);
    h2_send_window(client, slow, 100000);
    h2_expect_from(client, slow, "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}
