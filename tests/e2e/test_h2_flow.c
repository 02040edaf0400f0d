/* RFC 9113 section 6.9: windows, to the byte, both ways. What the gateway sends beyond one the
 * client says itself, whatever the test; here it is shown how far it goes. */
#include "harness/h2_cases.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_flow);

enum { WINDOW = 65535 };

static char zeros[20000];

static struct h2_client *open_withholding(struct h2_world *world, uint32_t window)
{
    const struct h2_setting setting = {H2_INITIAL_WINDOW_SIZE, window};

    return h2_world_client(
        world,
        &(struct h2_options){.withholds_windows = true, .settings = &setting, .setting_count = 1});
}

struct expected {
    struct h2_stream *stream;
    uint64_t bytes;
};

static bool has_come(struct h2_client *client, void *arg)
{
    const struct expected *expected = arg;

    (void)client;
    return expected->stream->data_bytes >= expected->bytes;
}

/* So many bytes of DATA come, and no more. */
static void expect_data(struct h2_client *client, uint32_t id, uint64_t bytes)
{
    struct expected expected = {h2_stream(client, id), bytes};

    h2_read_until(client, has_come, &expected,
                  text("%llu bytes on stream %u", (unsigned long long)bytes, id));
    h2_settle(client);
    h2_require(client, expected.stream->data_bytes == bytes, "%llu bytes of DATA, not %llu",
               (unsigned long long)expected.stream->data_bytes, (unsigned long long)bytes);
}

static void expect_pattern(struct h2_client *client, uint32_t id)
{
    struct message *response = h2_expect_response(client, id, 200);

    cr_expect(response->body_is_pattern);
    cr_expect_eq(response->body_bytes, H2_PATTERN_BYTES);
}

/* --- 6.9.1: what the gateway sends ---------------------------------------------------------- */

Test(h2_flow, stream_window_bounds_what_is_sent)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = open_withholding(world, 0);
    uint32_t stream = h2_get(client, H2_PATTERN);
    uint64_t sent = 0;

    h2_response_head(client, stream);
    expect_data(client, stream, 0);
    for (uint32_t more = 1; more < 20000; more = more * 7 + 1) {
        h2_send_window(client, stream, more);
        expect_data(client, stream, sent += more);
    }
    h2_send_window(client, 0, H2_PATTERN_BYTES);
    h2_send_window(client, stream, H2_PATTERN_BYTES);
    expect_pattern(client, stream);
    h2_world_stop(world);
}

Test(h2_flow, connection_window_bounds_what_all_streams_send)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = open_withholding(world, H2_PATTERN_BYTES);
    uint32_t one = h2_get(client, H2_PATTERN), two = h2_get(client, H2_PATTERN);
    struct h2_stream *first = h2_stream(client, one), *second = h2_stream(client, two);
    struct h2_frame frame;
    uint64_t most = WINDOW;

    for (uint32_t more = 1; more < 20000; more = more * 7 + 1) {
        while (first->data_bytes + second->data_bytes < most)
            h2_require(client, h2_read_frame(client, &frame), "not all comes");
        h2_settle(client);
        cr_assert_eq(first->data_bytes + second->data_bytes, most);
        h2_send_window(client, 0, more);
        most += more;
    }
    h2_send_window(client, 0, 2 * H2_PATTERN_BYTES);
    expect_pattern(client, one);
    expect_pattern(client, two);
    h2_world_stop(world);
}

/* A stream without a window is in nobody's way; answers without a body need none. */
Test(h2_flow, stream_without_a_window_stops_no_other)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = open_withholding(world, 0);
    uint32_t stopped = h2_get(client, H2_PATTERN);

    h2_response_head(client, stopped);
    uint32_t other = h2_get(client, "/");
    h2_send_window(client, other, 10000);
    h2_expect_response(client, other, 200);
    h2_expect_response(client, h2_send_request(client, &(struct h2_request){.method = "HEAD"}),
                       200);
    expect_data(client, stopped, 0);
    h2_world_stop(world);
}

/* 6.4: nothing of a stream comes once its end has arrived; what it did not use is for the others.
 */
Test(h2_flow, nothing_comes_of_a_stream_that_was_reset)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = open_withholding(world, 20000);
    uint32_t stream = h2_get(client, H2_PATTERN), other;

    expect_data(client, stream, 20000);
    h2_send_reset(client, stream, H2_CANCEL);
    h2_send_window(client, stream, H2_PATTERN_BYTES);
    expect_data(client, stream, 20000);
    other = h2_get(client, H2_PATTERN);
    h2_send_window(client, other, H2_PATTERN_BYTES);
    expect_data(client, other, WINDOW - 20000);
    h2_send_window(client, 0, H2_PATTERN_BYTES);
    expect_pattern(client, other);
    cr_expect_eq(h2_stream(client, stream)->data_bytes, 20000);
    h2_world_stop(world);
}

/* 6.9.2: the sum of what was sent and is allowed moves with the setting, below zero as well. */
Test(h2_flow, initial_window_moves_open_streams)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = open_withholding(world, 20000);
    uint32_t stream = h2_get(client, H2_PATTERN);

    h2_send_window(client, 0, H2_PATTERN_BYTES);
    expect_data(client, stream, 20000);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 30000);
    expect_data(client, stream, 30000);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 1000); /* 29000 below zero */
    h2_settle_settings(client);
    h2_send_window(client, stream, 28999);
    expect_data(client, stream, 30000);
    h2_send_window(client, stream, 1);
    expect_data(client, stream, 30000);
    h2_send_window(client, stream, 10);
    expect_data(client, stream, 30010);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 0);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 1005);
    expect_data(client, stream, 30015);
    h2_send_window(client, stream, H2_PATTERN_BYTES);
    expect_pattern(client, stream);
    h2_world_stop(world);
}

/* 6.5.2: frames stay within MAX_FRAME_SIZE, 16384 unless another is told. */
Test(h2_flow, frames_are_no_larger_than_allowed)
{
    static const struct h2_setting large[] = {{H2_INITIAL_WINDOW_SIZE, H2_PATTERN_BYTES},
                                              {H2_MAX_FRAME_SIZE, 20000}};
    struct h2_world *world = h2_world_start();

    for (unsigned count = 1; count <= 2; count++) {
        struct h2_client *client =
            h2_world_client(world, &(struct h2_options){.settings = large, .setting_count = count});
        h2_send_window(client, 0, H2_PATTERN_BYTES);
        expect_pattern(client, h2_get(client, H2_PATTERN));
    }
    h2_world_stop(world);
}

/* --- 6.9.1: what the client sends ----------------------------------------------------------- */

/* Padding counts, and is given back: else the 300 frames would not go. */
Test(h2_flow, padding_counts_and_is_given_back)
{
    enum { FRAMES = 600, PADDING = 255 };
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream = h2_begin_post(client, H2_ECHO);
    struct h2_stream *upload = h2_stream(client, stream);
    struct h2_frame frame;

    for (int i = 0; i < FRAMES; i++) {
        while (upload->send_window < PADDING + 2 || client->send_window < PADDING + 2)
            h2_require(client, h2_read_frame(client, &frame), "the window stays closed");
        h2_send_padded_data(client, stream, "x", 1, PADDING, i == FRAMES - 1);
    }
    cr_expect_eq(h2_expect_response(client, stream, 200)->body_bytes, FRAMES);
    h2_world_stop(world);
}

/* What was read being given back is no substitute. */
Test(h2_flow, padding_beside_much_else_is_given_back)
{
    enum { FRAMES = 2000, BYTES = 100, PADDING = 255 };
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream = h2_begin_post(client, H2_ECHO);
    struct h2_stream *upload = h2_stream(client, stream);
    struct h2_frame frame;

    for (int i = 0; i < FRAMES; i++) {
        while (upload->send_window < PADDING + BYTES + 1 ||
               client->send_window < PADDING + BYTES + 1)
            h2_require(client, h2_read_frame(client, &frame), "the window stays closed");
        h2_send_padded_data(client, stream, zeros, BYTES, PADDING, i == FRAMES - 1);
    }
    cr_expect_eq(h2_expect_response(client, stream, 200)->body_bytes, FRAMES * BYTES);
    h2_world_stop(world);
}

/* A long body goes up through windows that open as it is read. */
Test(h2_flow, windows_open_as_a_body_is_read)
{
    enum { TIMES = 50 };
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream = h2_begin_post(client, H2_ECHO);

    for (int i = 0; i < TIMES; i++)
        cr_assert(h2_send_body(client, stream, zeros, sizeof zeros, i == TIMES - 1));
    cr_expect_eq(h2_expect_response(client, stream, 200)->body_bytes, TIMES * sizeof zeros);
    h2_world_stop(world);
}

/* Sends as much as is allowed and a byte more, again and again: windows that open meanwhile make it
 * right, but the backend does not read, so that this ends. */
static void send_too_much(struct h2_client *client, uint32_t id)
{
    enum { MOST = 512 << 20 };
    struct h2_frame frame;
    uint64_t sent = 0;

    while (client->goaways == 0) {
        struct h2_stream *stream = h2_stream(client, id);
        int64_t room =
            client->send_window < stream->send_window ? client->send_window : stream->send_window;
        if (stream->was_reset)
            return;
        if (room < 0) {
            h2_require(client, h2_read_frame(client, &frame), "nothing comes of it");
            continue;
        }
        for (int64_t left = room + 1; left > 0; left -= 16384)
            h2_send_data(client, stream->id, zeros, left < 16384 ? (size_t)left : 16384, false);
        sent += (uint64_t)room + 1;
        h2_require(client, sent < MOST, "windows never close");
        h2_read_pending(client);
    }
}

Test(h2_flow, more_than_the_stream_allows)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream;

    h2_settle_settings(client);
    stream = h2_begin_post(client, H2_DEAF);
    send_too_much(client, stream);
    h2_expect_error(client, stream, H2_CODE(H2_FLOW_CONTROL_ERROR));
    h2_world_stop(world);
}
