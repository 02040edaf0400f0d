/* RFC 9113 sections 3.4, 5 and 6.9: the preface, what a stream may get in each of its states, how
 * many there may be, and windows both ways. Each row and test names its section. */
#include "harness/h2_cases.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_streams);

static char zeros[20000];

#define PROTOCOL H2_CODE(H2_PROTOCOL_ERROR)
#define CLOSED   H2_CODE(H2_STREAM_CLOSED)
#define FLOW     H2_CODE(H2_FLOW_CONTROL_ERROR)

/* --- 3.4: the preface ----------------------------------------------------------------------- */

/* A GOAWAY is of no use to what may be no HTTP/2 at all; the end is. */
static void expect_refused_preface(struct h2_world *world, const char *bytes, size_t length)
{
    struct h2_client *client = h2_world_client(
        world, &(struct h2_options){.sends_no_preface = true, .about = text("3.4: %s", bytes)});

    h2_send_bytes(client, bytes, length);
    h2_expect_end(client);
    h2_require(client, client->goaways == 0 || client->goaway_code == H2_PROTOCOL_ERROR,
               "GOAWAY with %s", h2_code_name(client->goaway_code));
    cr_expect_eq(origin_requests(world->origin), 0);
}

Test(h2_streams, preface_that_is_none)
{
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
        "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
    };
    /* The preface, and then no SETTINGS. */
    static const char without_settings[] = H2_PREFACE "\0\0\x08\x06\0\0\0\0\0"
                                                      "12345678";
    static const char with_acknowledgement[] = H2_PREFACE "\0\0\0\x04\x01\0\0\0\0";
    static const char with_request[] = H2_PREFACE "\0\0\x0b\x01\x05\0\0\0\x01" H2_GET_BLOCK;
    struct h2_world *world = h2_world_start();

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_refused_preface(world, wrong[i], strlen(wrong[i]));
    expect_refused_preface(world, without_settings, sizeof without_settings - 1);
    expect_refused_preface(world, with_acknowledgement, sizeof with_acknowledgement - 1);
    expect_refused_preface(world, with_request, sizeof with_request - 1);
    h2_world_stop(world);
}

/* 3.4: a client that goes before it has said all is let go. */
Test(h2_streams, preface_that_is_cut)
{
    static const char preface[] = H2_PREFACE "\0\0\0\x04";
    struct h2_world *world = h2_world_start();

    for (size_t length = 0; length < sizeof preface - 1; length++) {
        struct h2_client *client =
            h2_world_client(world, &(struct h2_options){.sends_no_preface = true});
        h2_send_bytes(client, preface, length);
        wire_half_close(&client->tls->wire);
        cr_expect_neq(client_read_to_end(client->tls), WIRE_TIMED_OUT);
    }
    h2_world_stop(world);
}

/* 3.4: requests need not wait for the gateway's SETTINGS, which come first all the same. */
Test(h2_streams, preface_byte_by_byte_with_a_request_behind_it)
{
    static const struct h2_setting settings[] = {{H2_ENABLE_PUSH, 0}, {H2_MAX_FRAME_SIZE, 16384}};
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(
        world, &(struct h2_options){.is_slow = true, .settings = settings, .setting_count = 2});
    uint32_t stream = h2_get(client, "/");

    h2_expect_response(client, stream, 200);
    h2_settle_settings(client);
    h2_world_stop(world);
}

/* --- 5.1: states ---------------------------------------------------------------------------- */

/* Waits for the response, so that the stream is closed, and then sends on. */
static void end_first(struct h2_client *client)
{
    h2_expect_response(client, 1, 200);
}

static void send_data_when_closed(struct h2_client *client)
{
    end_first(client);
    h2_send_data(client, 1, "x", 1, true);
}

static void send_headers_when_closed(struct h2_client *client)
{
    end_first(client);
    h2_send_headers(client, &(struct h2_headers){.stream = 1,
                                                 .fields = H2_ASKING("GET", "/again"),
                                                 .ends_stream = true});
}

static void send_continuation_when_closed(struct h2_client *client)
{
    end_first(client);
    h2_send_continuation(client, 1, H2_GET_BLOCK, sizeof H2_GET_BLOCK - 1, true);
}

static void send_window_when_closed(struct h2_client *client)
{
    end_first(client);
    h2_send_window(client, 1, 1);
}

static void send_reset_when_closed(struct h2_client *client)
{
    end_first(client);
    h2_send_reset(client, 1, H2_CANCEL);
}

static void send_priority_when_closed(struct h2_client *client)
{
    end_first(client);
    h2_send_priority(client, 1, (struct h2_priority){.weight = 3});
}

/* GETs of these streams, in order. */
static void ask(struct h2_client *client, const uint32_t *streams, int count)
{
    for (int i = 0; i < count; i++)
        h2_send_headers(client, &(struct h2_headers){.stream = streams[i],
                                                     .fields = H2_ASKING("GET", "/"),
                                                     .ends_stream = true});
}

static void go_back_to_one_that_was_skipped(struct h2_client *client)
{
    ask(client, (const uint32_t[]){5, 3}, 2);
}

static void go_back_when_all_is_answered(struct h2_client *client)
{
    ask(client, (const uint32_t[]){5}, 1);
    h2_expect_response(client, 5, 200);
    ask(client, (const uint32_t[]){3}, 1);
}

static void use_an_even_stream(struct h2_client *client)
{
    ask(client, (const uint32_t[]){2}, 1);
}

static void skip_streams(struct h2_client *client)
{
    ask(client, (const uint32_t[]){1, 9, 1001}, 3);
}

static void use_the_last_stream(struct h2_client *client)
{
    ask(client, (const uint32_t[]){0x7fffffff}, 1);
    h2_expect_response(client, 0x7fffffff, 200);
    h2_settle(client);
}

#define GET     .request = H2_ASKING("GET", "/")
#define POST_UP .request_head = H2_ASKING("POST", H2_HANG)
#define HANGING .request = H2_ASKING("GET", H2_HANG)
#define RESET   H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08")

static const struct h2_case states[] = {
    {"5.1: DATA on an idle stream", .frames = {H2_FRAME(H2_DATA, H2_END_STREAM, 1, "x")},
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL},
    {"5.1: DATA on an idle stream of the other side",
     .frames = {H2_FRAME(H2_DATA, H2_END_STREAM, 2, "x")}, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = PROTOCOL},
    {"5.1: WINDOW_UPDATE on an idle stream of the other side",
     .frames = {H2_FRAME(H2_WINDOW_UPDATE, 0, 2, "\0\0\0\x01")}, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = PROTOCOL},
    {"5.1: DATA when half closed", HANGING, .frames = {H2_FRAME(H2_DATA, H2_END_STREAM, 1, "x")},
     .outcome = H2_IS_EITHER_ERROR, .codes = CLOSED, .may_reach_backend = true},
    {"5.1: HEADERS when half closed", HANGING, .frames = {H2_GET_FRAME(1)},
     .outcome = H2_IS_EITHER_ERROR, .codes = CLOSED, .may_reach_backend = true},
    {"5.1: WINDOW_UPDATE when half closed", GET,
     .frames = {H2_FRAME(H2_WINDOW_UPDATE, 0, 1, "\0\0\0\x01")}},
    {"5.1: PRIORITY when half closed", GET,
     .frames = {H2_FRAME(H2_PRIORITY, 0, 1, "\0\0\0\0\x01")}},
    {"5.1: RST_STREAM when half closed", HANGING, .frames = {RESET}, .outcome = H2_IS_IGNORED},
    {"5.1: DATA behind RST_STREAM", POST_UP,
     .frames = {RESET, H2_FRAME(H2_DATA, H2_END_STREAM, 1, "x")}, .outcome = H2_IS_IGNORED_OR_ERROR,
     .codes = CLOSED, .may_reach_backend = true},
    {"5.1: HEADERS behind RST_STREAM", POST_UP, .frames = {RESET, H2_GET_FRAME(1)},
     .outcome = H2_IS_IGNORED_OR_ERROR, .codes = CLOSED | PROTOCOL, .may_reach_backend = true},
    {"5.1: DATA when closed", GET, .play = send_data_when_closed, .outcome = H2_IS_IGNORED_OR_ERROR,
     .codes = CLOSED},
    {"5.1: HEADERS when closed", GET, .play = send_headers_when_closed,
     .outcome = H2_IS_IGNORED_OR_ERROR, .codes = CLOSED | PROTOCOL},
    {"5.1, 6.10: CONTINUATION when closed", GET, .play = send_continuation_when_closed,
     .outcome = H2_IS_CONNECTION_ERROR, .codes = CLOSED | PROTOCOL, .may_reach_backend = true},
    {"5.1: WINDOW_UPDATE when closed", GET, .play = send_window_when_closed},
    {"5.1: RST_STREAM when closed", GET, .play = send_reset_when_closed},
    {"5.1: PRIORITY when closed", GET, .play = send_priority_when_closed},
    {"5.1.1: an even stream", .play = use_an_even_stream, .outcome = H2_IS_CONNECTION_ERROR,
     .codes = PROTOCOL},
    {"5.1.1: back to a stream that was skipped", .play = go_back_to_one_that_was_skipped,
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL | CLOSED, .may_reach_backend = true},
    {"5.1.1: back to a stream that was skipped, later", .play = go_back_when_all_is_answered,
     .outcome = H2_IS_CONNECTION_ERROR, .codes = PROTOCOL | CLOSED, .may_reach_backend = true},
    {"5.1.1: streams may be skipped", .play = skip_streams, .stream = 1001},
    {"8.1: HEADERS in the middle that do not end the stream", POST_UP,
     .frames = {H2_FRAME(H2_HEADERS, H2_END_HEADERS, 1, "\0\x01x\x01y")},
     .outcome = H2_IS_STREAM_ERROR, .codes = PROTOCOL, .may_reach_backend = true},
};

Test(h2_streams, states)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, states);
    h2_world_stop(world);
}

/* 5.1.1: the highest number there is; a client that needs another stream needs another connection.
 */
Test(h2_streams, last_number_of_all)
{
    struct h2_world *world = h2_world_start();

    use_the_last_stream(h2_world_client(world, NULL));
    h2_world_stop(world);
}

/* 5.1: what is still under way when the gateway resets counts as received: it may not end the
 * connection, and the window of it is given back. */
Test(h2_streams, what_follows_a_reset_is_dropped)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream = h2_send_request(
        client, &(struct h2_request){
                    .method = "POST", .goes_on = true, .fields = H2_FIELDS("connection", "close")});
    int64_t least;

    h2_expect_stream_error(client, stream, H2_PROTOCOL_ERROR);
    h2_settle(client);
    least = client->send_window / 2;
    for (int i = 0; i < 100; i++) {
        h2_send_data(client, stream, zeros, 16384, false);
        h2_settle(client);
    }
    h2_send_headers(
        client,
        &(struct h2_headers){.stream = stream, .fields = H2_FIELDS("x", "y"), .ends_stream = true});
    h2_expect_served(client);
    cr_expect_gt(client->send_window, least - 16384);
    h2_world_stop(world);
}

/* --- 5.1.2: how many ------------------------------------------------------------------------ */

/* One that knows the limit breaks it: the RFC has a stream error, which may be escalated (5.4). */
Test(h2_streams, more_at_once_than_are_allowed)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t most, excess;

    h2_settle_settings(client);
    most = client->peer[H2_MAX_CONCURRENT_STREAMS];
    cr_assert_leq(most, 1000, "%u streams at once", most);
    for (uint32_t i = 0; i < most; i++)
        h2_get(client, H2_HANG);
    origin_wait_requests(world->origin, (int)most);
    h2_settle(client);
    excess = h2_get(client, "/excess");
    h2_expect_error(client, excess, PROTOCOL | H2_CODE(H2_REFUSED_STREAM));
    cr_expect_eq(origin_requests(world->origin), (int)most);
    h2_world_stop(world);
}

/* Fills the connection with requests that hang, as a client does that does not know the limit yet;
 * returns the one beyond, whose section has a field for the dynamic table. */
static uint32_t ask_beyond_the_limit(struct h2_client *client, uint32_t most)
{
    static const struct hpack_field extra = {
        .name = "x-kept", .value = "kept", .form = HPACK_INCREMENTAL};
    struct hpack_bytes block = {.at = NULL};
    uint32_t excess;

    for (uint32_t i = 0; i < most; i++)
        h2_get(client, H2_HANG);
    excess = client->next_stream;
    client->next_stream += 2;
    hpack_put(&block, H2_GET_BLOCK, sizeof H2_GET_BLOCK - 1);
    hpack_put_field(&block, &extra);
    h2_send_headers(client, &(struct h2_headers){.stream = excess,
                                                 .block = block.at,
                                                 .block_length = block.length,
                                                 .ends_stream = true});
    hpack_bytes_clear(&block);
    return excess;
}

/* Before SETTINGS are acknowledged it is nobody's mistake. What is refused counts for HPACK all the
 * same (4.3), and another may take the place of one that is called off. */
Test(h2_streams, more_at_once_than_a_client_can_know_of)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client =
        h2_world_client(world, &(struct h2_options){.withholds_settings_ack = true});
    const uint32_t most = 100;
    uint32_t excess = ask_beyond_the_limit(client, most), next = client->next_stream;

    h2_expect_stream_error(client, excess, H2_REFUSED_STREAM);
    cr_assert_eq(client->peer[H2_MAX_CONCURRENT_STREAMS], most);
    for (uint32_t id = 1; id < excess; id += 2)
        cr_expect_not(h2_stream(client, id)->was_reset);
    h2_send_reset(client, 1, H2_CANCEL);
    h2_send_headers(client, &(struct h2_headers){.stream = next,
                                                 .block = H2_GET_BLOCK "\xbe",
                                                 .block_length = sizeof H2_GET_BLOCK,
                                                 .ends_stream = true});
    h2_expect_response(client, next, 200);
    cr_expect_neq(strstr(h2_stream(client, next)->response->body, "\r\nx-kept: kept\r\n"), NULL);
    h2_world_stop(world);
}

/* --- 5.4.1: the end ------------------------------------------------------------------------- */

/* The GOAWAY names the last stream that may have been acted on. */
Test(h2_streams, goaway_names_the_last_stream)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    h2_expect_response(client, h2_get(client, "/"), 200);
    h2_expect_response(client, h2_get(client, "/"), 200);
    h2_send_frame(client,
                  &(struct h2_frame){.type = H2_PING, .stream = 1, .payload = zeros, .length = 8});
    h2_expect_connection_error(client, H2_PROTOCOL_ERROR);
    cr_expect_eq(client->goaway_last, 3, "stream %u", client->goaway_last);
    h2_world_stop(world);
}
