/* RFC 9113 sections 3, 4, 6 and 7: what frames look like and what each type means, to the letter.
 * Each row names its section. */
#include "harness/h2_cases.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_frames);

static char zeros[20000];

#define PROTOCOL   H2_CODE(H2_PROTOCOL_ERROR)
#define FRAME_SIZE H2_CODE(H2_FRAME_SIZE_ERROR)
#define FLOW       H2_CODE(H2_FLOW_CONTROL_ERROR)
#define CLOSED     H2_CODE(H2_STREAM_CLOSED)
/* Zeros of that length. */
#define SIZED(of_type, with_flags, on_stream, bytes)                                       \
    {                                                                                      \
        .type = (of_type), .flags = (with_flags), .stream = (on_stream), .payload = zeros, \
        .length = (bytes)                                                                  \
    }
#define SETTING(id, value) H2_FRAME(H2_SETTINGS, 0, 0, "\0" id value)

/* --- 4: frames ------------------------------------------------------------------------------ */

static const struct h2_case formats[] = {
    {"4.1: a reserved bit in front of the stream is ignored",
     .frames = {{.type = H2_HEADERS,
                 .flags = H2_END_STREAM | H2_END_HEADERS,
                 .stream = 1,
                 .has_reserved_bit = true,
                 .payload = H2_GET_BLOCK,
                 .length = sizeof H2_GET_BLOCK - 1}}},
    {"4.1: flags that a type does not know are ignored: PING",
     .frames = {SIZED(H2_PING, 0xfe, 0, 8)}},
    {"4.1: the same of SETTINGS", .frames = {SIZED(H2_SETTINGS, 0xfe, 0, 0)}},
    {"4.1: the same of HEADERS",
     .frames = {H2_FRAME(H2_HEADERS, 0xd2 | H2_END_STREAM | H2_END_HEADERS, 1, H2_GET_BLOCK)}},
    {"4.1: the same of DATA",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_DATA, 0xf6 | H2_END_STREAM, 1, "x")}},
    {"4.1: the same of WINDOW_UPDATE",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_WINDOW_UPDATE, 0xff, 1, "\0\0\0\x01"),
                H2_FRAME(H2_DATA, H2_END_STREAM, 1, "x")}},
    {"4.1: unknown types are ignored, of the connection", .frames = {SIZED(0xbb, 0xff, 0, 8)}},
    {"4.1: unknown types are ignored, on an idle stream", .frames = {SIZED(0xbb, 0xff, 7, 8)}},
    {"4.1: unknown types are ignored, in front of a body",
     .frames = {H2_POST_FRAME(1), SIZED(0xbb, 0xff, 1, 8),
                H2_FRAME(H2_DATA, H2_END_STREAM, 1, "x")}},
    {"5.5: unknown types are ignored, on a stream that has ended",
     .frames = {H2_GET_FRAME(1), SIZED(0xbb, 0xff, 1, 8)}},
    {"5.5: unknown types are ignored, empty",
     .frames = {SIZED(0xbb, 0, 0, 0), SIZED(0xbb, 0, 1, 0)}},
};

Test(h2_frames, formats)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, formats);
    h2_world_stop(world);
}

static const struct h2_case sizes[] = {
    {"4.2: DATA as large as is allowed",
     .frames = {H2_POST_FRAME(1), SIZED(H2_DATA, H2_END_STREAM, 1, 16384)}},
    {"4.2: DATA larger", .frames = {H2_POST_FRAME(1), SIZED(H2_DATA, H2_END_STREAM, 1, 16385)},
     .outcome = H2_IS_EITHER_ERROR, .codes = FRAME_SIZE, .may_reach_backend = true},
    {"4.2: HEADERS larger", .frames = {SIZED(H2_HEADERS, H2_END_HEADERS, 1, 16385)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"4.2: CONTINUATION larger",
     .frames = {H2_FRAME(H2_HEADERS, 0, 1, H2_GET_BLOCK), SIZED(H2_CONTINUATION, 0, 1, 16385)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"4.2: SETTINGS larger", .frames = {SIZED(H2_SETTINGS, 0, 0, 16386)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"4.2: an unknown type larger", .frames = {SIZED(0xbb, 0, 0, 16385)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"4.2: padded HEADERS without a pad length",
     .frames = {SIZED(H2_HEADERS, H2_PADDED | H2_END_HEADERS, 1, 0)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE | PROTOCOL},
    {"4.2: HEADERS with half a priority",
     .frames = {SIZED(H2_HEADERS, H2_HAS_PRIORITY | H2_END_HEADERS, 1, 4)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE | PROTOCOL},
    {"4.2: padded DATA without a pad length",
     .frames = {H2_POST_FRAME(1), SIZED(H2_DATA, H2_PADDED, 1, 0)}, .outcome = H2_IS_EITHER_ERROR,
     .codes = FRAME_SIZE | PROTOCOL, .may_reach_backend = true},
};

Test(h2_frames, sizes)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, sizes);
    h2_world_stop(world);
}

/* --- 6.1 to 6.4 ----------------------------------------------------------------------------- */

static const struct h2_case of_streams[] = {
    {"6.1: DATA of the connection", .frames = {H2_FRAME(H2_DATA, H2_END_STREAM, 0, "x")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.1: padding as long as the payload",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_DATA, H2_PADDED | H2_END_STREAM, 1, "\x04xy\0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL, .may_reach_backend = true},
    {"6.1: all is padding",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_DATA, H2_PADDED | H2_END_STREAM, 1, "\x02\0\0")}},
    {"6.1: empty DATA ends the stream",
     .frames = {H2_POST_FRAME(1), {.type = H2_DATA, .flags = H2_END_STREAM, .stream = 1}}},
    {"6.2: HEADERS of the connection", .frames = {H2_GET_FRAME(0)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.2: more padding than payload",
     .frames = {H2_FRAME(H2_HEADERS, H2_PADDED | H2_END_STREAM | H2_END_HEADERS, 1,
                         "\x20" H2_GET_BLOCK)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.2: padding behind the priority is too long",
     .frames = {H2_FRAME(H2_HEADERS, H2_PADDED | H2_HAS_PRIORITY | H2_END_STREAM | H2_END_HEADERS,
                         1, "\x10\0\0\0\0\x0f" H2_GET_BLOCK)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.2: padding and priority",
     .frames = {H2_FRAME(H2_HEADERS, H2_PADDED | H2_HAS_PRIORITY | H2_END_STREAM | H2_END_HEADERS,
                         1, "\x02\0\0\0\0\x0f" H2_GET_BLOCK "\0\0")}},
    {"6.3: PRIORITY of the connection", .frames = {SIZED(H2_PRIORITY, 0, 0, 5)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.3: PRIORITY of 4 bytes", .frames = {H2_POST_FRAME(1), SIZED(H2_PRIORITY, 0, 1, 4)},
     .outcome = H2_IS_EITHER_ERROR, .codes = FRAME_SIZE, .may_reach_backend = true},
    {"6.3: PRIORITY on an idle stream is no request",
     .frames = {SIZED(H2_PRIORITY, 0, 1, 5), H2_GET_FRAME(1)}},
    {"6.3: PRIORITY on a stream that has ended",
     .frames = {H2_GET_FRAME(1), SIZED(H2_PRIORITY, 0, 1, 5)}},
    {"5.3: a stream that depends on itself is of no matter any more",
     .frames = {H2_FRAME(H2_PRIORITY, 0, 1, "\0\0\0\x01\x0f")}, .outcome = H2_IS_IGNORED_OR_ERROR,
     .codes = PROTOCOL},
    {"5.3: the same in HEADERS",
     .frames = {H2_FRAME(H2_HEADERS, H2_HAS_PRIORITY | H2_END_STREAM | H2_END_HEADERS, 1,
                         "\0\0\0\x01\x0f" H2_GET_BLOCK)},
     .outcome = H2_IS_IGNORED_OR_ERROR, .codes = PROTOCOL},
    {"6.4: RST_STREAM of the connection", .frames = {SIZED(H2_RST_STREAM, 0, 0, 4)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.4: RST_STREAM on an idle stream", .frames = {H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.4: RST_STREAM of 3 bytes", .frames = {H2_POST_FRAME(1), SIZED(H2_RST_STREAM, 0, 1, 3)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE, .may_reach_backend = true},
    {"5.4.2: RST_STREAM is not answered with one",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08")},
     .outcome = H2_IS_IGNORED},
    {"7: RST_STREAM with a code that nobody knows",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_RST_STREAM, 0, 1, "\xff\xff\xff\xff")},
     .outcome = H2_IS_IGNORED},
    {"6.4: RST_STREAM twice",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08"),
                H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08")},
     .outcome = H2_IS_IGNORED},
};

Test(h2_frames, of_streams)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, of_streams);
    h2_world_stop(world);
}

/* --- 6.5 ------------------------------------------------------------------------------------ */

static const struct h2_case settings[] = {
    {"6.5: on a stream", .frames = {H2_GET_FRAME(1), SIZED(H2_SETTINGS, 0, 1, 0)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL, .may_reach_backend = true},
    {"6.5: an acknowledgement with a payload", .frames = {SIZED(H2_SETTINGS, H2_ACK, 0, 6)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"6.5: 5 bytes", .frames = {SIZED(H2_SETTINGS, 0, 0, 5)}, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = FRAME_SIZE},
    {"6.5.2: ENABLE_PUSH of 2", .frames = {SETTING("\x02", "\0\0\0\x02")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.5.2: ENABLE_PUSH of 0", .frames = {SETTING("\x02", "\0\0\0\0")}},
    {"6.5.2: ENABLE_PUSH of 1", .frames = {SETTING("\x02", "\0\0\0\x01")}},
    {"6.5.2: INITIAL_WINDOW_SIZE of 2^31", .frames = {SETTING("\x04", "\x80\0\0\0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FLOW},
    {"6.5.2: INITIAL_WINDOW_SIZE of 2^31-1",
     .frames = {SETTING("\x04", "\x7f\xff\xff\xff"), H2_GET_FRAME(1)}},
    {"6.5.2: MAX_FRAME_SIZE below the least", .frames = {SETTING("\x05", "\0\0\x3f\xff")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.5.2: MAX_FRAME_SIZE of 2^24", .frames = {SETTING("\x05", "\x01\0\0\0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.5.2: MAX_FRAME_SIZE of 2^24-1",
     .frames = {SETTING("\x05", "\0\xff\xff\xff"), H2_GET_FRAME(1)}},
    {"6.5.2: no streams allowed are those of the other side",
     .frames = {SETTING("\x03", "\0\0\0\0"), H2_GET_FRAME(1)}},
    {"6.5.2: MAX_HEADER_LIST_SIZE is advice",
     .frames = {SETTING("\x06", "\0\0\x40\0"), H2_GET_FRAME(1)}},
    {"6.5.2: an unknown setting is ignored",
     .frames = {SETTING("\xee", "\xff\xff\xff\xff"), H2_GET_FRAME(1)}},
    {"6.5.3: an acknowledgement of nothing",
     .frames = {SIZED(H2_SETTINGS, H2_ACK, 0, 0), SIZED(H2_SETTINGS, H2_ACK, 0, 0)},
     .outcome = H2_IS_IGNORED_OR_ERROR, .codes = PROTOCOL},
    {"RFC 9218, 2.1: NO_RFC7540_PRIORITIES of 2", .frames = {SETTING("\x09", "\0\0\0\x02")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"RFC 8441, 3: ENABLE_CONNECT_PROTOCOL from a client says nothing",
     .frames = {SETTING("\x08", "\0\0\0\x01"), H2_GET_FRAME(1)}},
};

Test(h2_frames, settings)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, settings);
    h2_world_stop(world);
}

/* 6.5.3: values hold in the order in which they stand, and each frame is acknowledged. */
Test(h2_frames, settings_hold_in_their_order)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client =
        h2_world_client(world, &(struct h2_options){.withholds_windows = true});
    const struct h2_setting twice[] = {{H2_INITIAL_WINDOW_SIZE, 0}, {H2_INITIAL_WINDOW_SIZE, 5}};

    for (int i = 0; i < 3; i++)
        h2_send_settings(client, twice, 2);
    h2_settle_settings(client);
    cr_expect_eq(client->settings_acks, 4);
    uint32_t stream = h2_get(client, "/");
    h2_response_head(client, stream);
    h2_settle(client);
    h2_require(client, h2_stream(client, stream)->data_bytes == 5, "%d bytes of DATA",
               (int)h2_stream(client, stream)->data_bytes);
    h2_send_window(client, stream, 10000);
    h2_expect_response(client, stream, 200);
    h2_world_stop(world);
}

/* --- 6.6 to 6.8 ----------------------------------------------------------------------------- */

static const struct h2_case of_connections[] = {
    {"6.6, 8.4: PUSH_PROMISE from a client",
     .frames = {H2_GET_FRAME(1),
                H2_FRAME(H2_PUSH_PROMISE, H2_END_HEADERS, 1, "\0\0\0\x02" H2_GET_BLOCK)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL, .may_reach_backend = true},
    {"6.7: PING on a stream", .frames = {SIZED(H2_PING, 0, 1, 8)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.7: PING of 7 bytes", .frames = {SIZED(H2_PING, 0, 0, 7)}, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = FRAME_SIZE},
    {"6.7: PING of 9 bytes", .frames = {SIZED(H2_PING, 0, 0, 9)}, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = FRAME_SIZE},
    {"6.7: an answer to no PING", .frames = {SIZED(H2_PING, H2_ACK, 0, 8)}},
    {"6.8: GOAWAY on a stream", .frames = {SIZED(H2_GOAWAY, 0, 1, 8)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"RFC 9218, 7.1: PRIORITY_UPDATE for an idle stream",
     .frames = {H2_FRAME(H2_PRIORITY_UPDATE, 0, 0, "\0\0\0\x01u=0, i"), H2_GET_FRAME(1)}},
    {"RFC 9218, 7.1: on a stream", .frames = {H2_FRAME(H2_PRIORITY_UPDATE, 0, 1, "\0\0\0\x01u=0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"RFC 9218, 7.1: for the connection",
     .frames = {H2_FRAME(H2_PRIORITY_UPDATE, 0, 0, "\0\0\0\0u=0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"RFC 9218, 7.1: of 3 bytes", .frames = {SIZED(H2_PRIORITY_UPDATE, 0, 0, 3)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"RFC 9218, 7.1: for an idle stream of the other side",
     .frames = {H2_FRAME(H2_PRIORITY_UPDATE, 0, 0, "\0\0\0\x02u=0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"4.2: GOAWAY of 7 bytes", .frames = {SIZED(H2_GOAWAY, 0, 0, 7)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
};

Test(h2_frames, of_connections)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, of_connections);
    h2_world_stop(world);
}

/* 6.7: answered with what it carries; an answer is not answered. */
Test(h2_frames, pings_are_answered_with_what_they_carry)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    struct h2_frame frame;

    h2_send_ping(client, 0x0123456789abcdef, false);
    h2_send_ping(client, 77, true);
    while (client->ping_acks == 0)
        cr_assert(h2_read_frame(client, &frame));
    cr_expect_eq(client->pong, 0x0123456789abcdef);
    h2_settle(client);
    cr_expect_eq(client->ping_acks, 3);
    h2_world_stop(world);
}

/* 6.8: a client that says goodbye gets what it has asked for; its code may be any. */
Test(h2_frames, goaway_leaves_what_is_under_way)
{
    struct h2_world *world = h2_world_start();

    for (uint32_t code = 0; code < 20; code += 19) {
        struct h2_client *client =
            h2_world_client(world, &(struct h2_options){.withholds_windows = true});
        uint32_t stream = h2_get(client, H2_PATTERN);
        h2_response_head(client, stream);
        h2_send_goaway(client, 0, code, "bye");
        h2_settle(client);
        h2_send_window(client, 0, H2_PATTERN_BYTES);
        h2_send_window(client, stream, H2_PATTERN_BYTES);
        struct message *response = h2_expect_response(client, stream, 200);
        cr_expect(response->body_is_pattern);
        cr_expect_eq(response->body_bytes, H2_PATTERN_BYTES);
    }
    h2_world_stop(world);
}

/* --- 6.9 ------------------------------------------------------------------------------------ */

static const struct h2_case windows[] = {
    {"6.9: WINDOW_UPDATE of 0", .frames = {SIZED(H2_WINDOW_UPDATE, 0, 0, 4)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.9: WINDOW_UPDATE of 0 on a stream",
     .frames = {H2_POST_FRAME(1), SIZED(H2_WINDOW_UPDATE, 0, 1, 4)}, .outcome = H2_IS_EITHER_ERROR,
     .codes = PROTOCOL, .may_reach_backend = true},
    {"6.9: WINDOW_UPDATE of 3 bytes", .frames = {SIZED(H2_WINDOW_UPDATE, 0, 0, 3)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FRAME_SIZE},
    {"5.1: WINDOW_UPDATE on an idle stream",
     .frames = {H2_FRAME(H2_WINDOW_UPDATE, 0, 1, "\0\0\0\x01")}, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = PROTOCOL},
    {"6.9: its reserved bit is ignored",
     .frames = {H2_FRAME(H2_WINDOW_UPDATE, 0, 0, "\x80\0\0\x01"), H2_GET_FRAME(1),
                H2_FRAME(H2_WINDOW_UPDATE, 0, 1, "\x80\0\0\x01")}},
    {"6.9.1: the connection's window grows to 2^31-1",
     .frames = {H2_FRAME(H2_WINDOW_UPDATE, 0, 0, "\x7f\xff\0\0"), H2_GET_FRAME(1)}},
    {"6.9.1: the connection's window grows beyond 2^31-1",
     .frames = {H2_FRAME(H2_WINDOW_UPDATE, 0, 0, "\x7f\xff\0\x01")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FLOW},
    {"6.9.1: a stream's window grows beyond 2^31-1",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_WINDOW_UPDATE, 0, 1, "\x7f\xff\xff\xff")},
     .outcome = H2_IS_STREAM_ERROR, .codes = FLOW, .may_reach_backend = true},
    {"6.9.2: SETTINGS make a stream's window grow beyond 2^31-1",
     .frames = {H2_POST_FRAME(1), H2_FRAME(H2_WINDOW_UPDATE, 0, 1, "\x7f\xff\0\0"),
                SETTING("\x04", "\0\x01\0\0")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = FLOW, .may_reach_backend = true},
};

Test(h2_frames, windows)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, windows);
    h2_world_stop(world);
}

/* --- 6.10 ----------------------------------------------------------------------------------- */

#define BEGUN H2_FRAME(H2_HEADERS, H2_END_STREAM, 1, H2_GET_BLOCK)
#define ENDED H2_FRAME(H2_CONTINUATION, H2_END_HEADERS, 1, "")

static const struct h2_case continuations[] = {
    {"6.10: an empty one ends the block", .frames = {BEGUN, ENDED}},
    {"6.10: without HEADERS",
     .frames = {H2_FRAME(H2_CONTINUATION, H2_END_HEADERS, 1, H2_GET_BLOCK)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: of the connection",
     .frames = {H2_FRAME(H2_CONTINUATION, H2_END_HEADERS, 0, H2_GET_BLOCK)},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: behind a block that has ended", .frames = {H2_GET_FRAME(1), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL, .may_reach_backend = true},
    {"6.10: behind one that ended in CONTINUATION", .frames = {BEGUN, ENDED, ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL, .may_reach_backend = true},
    {"6.10: on another stream", .frames = {BEGUN, H2_FRAME(H2_CONTINUATION, H2_END_HEADERS, 3, "")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: DATA within a block", .frames = {BEGUN, H2_FRAME(H2_DATA, 0, 1, "x"), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: HEADERS of another stream within a block", .frames = {BEGUN, H2_GET_FRAME(3), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: PRIORITY within a block", .frames = {BEGUN, SIZED(H2_PRIORITY, 0, 3, 5), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: PING within a block", .frames = {BEGUN, SIZED(H2_PING, 0, 0, 8), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"6.10: SETTINGS within a block", .frames = {BEGUN, SIZED(H2_SETTINGS, 0, 0, 0), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"5.5: an unknown type within a block", .frames = {BEGUN, SIZED(0xbb, 0, 1, 1), ENDED},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
};

Test(h2_frames, continuations)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, continuations);
    h2_world_stop(world);
}
