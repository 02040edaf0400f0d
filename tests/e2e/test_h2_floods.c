/* Floods of HTTP/2 frames: whatever a client sends that makes work and asks for nothing, its
 * connection ends after a bounded number of frames, and is told why; metrics and log say so; the
 * backend sees little of it, memory does not grow, and another client is served all the time.
 *
 * Each flood sends as many frames as are more than enough, and no more: then it waits for the end
 * that must come. */
#include "harness/h2_flood.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(h2_floods);

enum {
    ENOUGH = 10000,
    RESETS = 600, /* at once, and in some seconds: http/h2_budget.h */
};

static uint32_t open_stream; /* of the flood, for what goes on on it */

/* CVE-2023-44487. */
static void reset_rapidly(struct h2_client *client, unsigned n)
{
    uint32_t stream = h2_get(client, "/hang");

    (void)n;
    h2_send_reset(client, stream, H2_CANCEL);
}

Test(h2_floods, rapid_reset)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = reset_rapidly, .requests = RESETS});
}

Test(h2_floods, rapid_reset_of_a_client_that_reads_nothing)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.send = reset_rapidly, .requests = RESETS, .is_deaf = true});
}

/* Requests that may have reached the backend before they are called off. */
Test(h2_floods, resets_one_by_one)
{
    struct h2_scene *scene = h2_scene_begin();
    struct h2_client *client = h2_open(scene->gateway, NULL);

    h2_settle(client);
    for (unsigned n = 0; n < ENOUGH && !h2_scene_has_ended(client); n++) {
        uint32_t stream = h2_get(client, "/hang");
        h2_read_pending(client);
        h2_send_reset(client, stream, H2_CANCEL);
    }
    h2_scene_expect_calm(scene, client);
    h2_scene_expect_bounds(scene, RESETS);
    h2_scene_end(scene);
}

/* The gateway resets these itself. */
static void ask_malformed(struct h2_client *client, unsigned n)
{
    const char *const *const fields[] = {
        H2_FIELDS("X", "upper case"), H2_FIELDS("connection", "close"), H2_FIELDS("", "no name"),
        H2_FIELDS("te", "gzip"),      H2_FIELDS(":late", "pseudo"),
    };

    h2_send_request(client, &(struct h2_request){.path = "/hang", .fields = fields[n % 5]});
}

Test(h2_floods, malformed_requests)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = ask_malformed, .waits = true});
}

/* Requests that are under way, until what follows makes the gateway reset them. */
static void end_with_bad_trailers(struct h2_client *client, unsigned n)
{
    uint32_t stream = h2_begin_post(client, "/echo");
    const char *const *fields = n % 2 == 0 ? H2_FIELDS(":late", "pseudo") : H2_FIELDS("X", "upper");

    h2_send_headers(client,
                    &(struct h2_headers){.stream = stream, .fields = fields, .ends_stream = true});
}

Test(h2_floods, requests_that_the_gateway_is_made_to_reset)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.send = end_with_bad_trailers, .requests = RESETS, .waits = true});
}

static void send_too_much(struct h2_client *client, unsigned n)
{
    uint32_t stream =
        h2_send_request(client, &(struct h2_request){.path = "/echo",
                                                     .method = "POST",
                                                     .goes_on = true,
                                                     .fields = H2_FIELDS("content-length", "1")});

    h2_send_data(client, stream, "four", n % 2 == 0 ? 4 : 0, true);
}

Test(h2_floods, bodies_that_are_not_as_long_as_they_say)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.send = send_too_much, .requests = RESETS, .waits = true});
}

/* More requests than may be under way, from a client that has not acknowledged how many that are.
 */
static void ask_too_much(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_get(client, "/hang");
}

Test(h2_floods, requests_beyond_what_may_be_under_way)
{
    static const struct h2_options options = {.withholds_settings_ack = true};

    h2_flood_expect_ended(
        &(struct h2_flood){.send = ask_too_much, .requests = 100, .options = &options});
}

/* CVE-2024-27316. */
static void begin_endless_head(struct h2_client *client)
{
    open_stream = client->next_stream;
    client->next_stream += 2;
    h2_send_headers(client, &(struct h2_headers){.stream = open_stream,
                                                 .fields = H2_FIELDS(":method", "GET"),
                                                 .is_unfinished = true});
}

static void continue_head(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_send_continuation(client, open_stream, "\x00\x01x\x04more", 8, false);
}

static void continue_with_nothing(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_send_continuation(client, open_stream, "", 0, false);
}

static void continue_with_much(struct h2_client *client, unsigned n)
{
    static char block[16384];

    for (size_t at = 0; n == 0 && at < sizeof block; at += 8)
        memcpy(block + at, "\x00\x01x\x04more", 8);
    h2_send_continuation(client, open_stream, block, sizeof block, false);
}

Test(h2_floods, continuations_without_end)
{
    h2_flood_expect_ended(&(struct h2_flood){.begin = begin_endless_head, .send = continue_head});
}

Test(h2_floods, empty_continuations)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = begin_endless_head, .send = continue_with_nothing});
}

Test(h2_floods, large_continuations_without_end)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = begin_endless_head, .send = continue_with_much, .pieces = 200});
}

/* A head that is refused already: what follows of it is only waited for. */
static void begin_refused_head(struct h2_client *client)
{
    open_stream = client->next_stream;
    client->next_stream += 2;
    h2_send_headers(client, &(struct h2_headers){.stream = open_stream,
                                                 .fields = H2_FIELDS(":method", "GET", "X", "y"),
                                                 .is_unfinished = true});
}

Test(h2_floods, continuations_of_a_head_that_is_refused)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = begin_refused_head, .send = continue_with_much, .pieces = 200});
}

/* Acknowledged each. */
static void set_table_size(struct h2_client *client, unsigned n)
{
    h2_send_frame(client,
                  &(struct h2_frame){.type = H2_SETTINGS,
                                     .payload = n % 2 == 0 ? "\0\1\0\0\0\0" : "\0\1\0\0\20\0",
                                     .length = 6});
}

Test(h2_floods, settings)
{
    static const struct h2_options options = {.is_lenient = true};

    h2_flood_expect_ended(&(struct h2_flood){.send = set_table_size, .options = &options});
}

Test(h2_floods, settings_whose_answers_nobody_reads)
{
    static const struct h2_options options = {.is_lenient = true};

    h2_flood_expect_ended(
        &(struct h2_flood){.send = set_table_size, .options = &options, .is_deaf = true});
}

/* One frame of thousands of settings. */
static void set_thousands(struct h2_client *client, unsigned n)
{
    static char payload[16380];

    for (size_t at = 0; n == 0 && at < sizeof payload; at += 6)
        memcpy(payload + at, "\0\4\0\0\xff\xff", 6);
    h2_send_frame(client, &(struct h2_frame){
                              .type = H2_SETTINGS, .payload = payload, .length = sizeof payload});
}

Test(h2_floods, settings_of_thousands)
{
    static const struct h2_options options = {.is_lenient = true};

    h2_flood_expect_ended(
        &(struct h2_flood){.send = set_thousands, .options = &options, .pieces = 500});
}

static void ping(struct h2_client *client, unsigned n)
{
    h2_send_ping(client, n, false);
}

Test(h2_floods, pings)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = ping});
}

Test(h2_floods, pings_whose_answers_nobody_reads)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = ping, .is_deaf = true});
}

static void begin_body(struct h2_client *client)
{
    open_stream = h2_begin_post(client, "/echo");
}

static void send_nothing(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_send_data(client, open_stream, "", 0, false);
}

Test(h2_floods, empty_data)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = begin_body, .send = send_nothing, .requests = 1});
}

/* Padding is charged to the windows, and given back. */
static void send_padding(struct h2_client *client, unsigned n)
{
    struct h2_frame frame;

    (void)n;
    while (h2_stream(client, open_stream)->send_window < 256 || client->send_window < 256) {
        h2_release(client);
        if (h2_scene_has_ended(client) || !h2_read_frame(client, &frame))
            return;
        h2_hold(client);
    }
    h2_send_padded_data(client, open_stream, "", 0, 255, false);
}

Test(h2_floods, padding_without_data)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = begin_body, .send = send_padding, .requests = 1});
}

static void open_window_a_little(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_send_window(client, 0, 1);
}

Test(h2_floods, window_updates_of_the_connection)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = open_window_a_little});
}

static void open_stream_a_little(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_send_window(client, open_stream, 1);
}

Test(h2_floods, window_updates_of_a_stream)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = begin_body, .send = open_stream_a_little, .requests = 1});
}

static void prioritize(struct h2_client *client, unsigned n)
{
    h2_send_priority(client, 2 * n + 1, (struct h2_priority){.weight = (uint8_t)n});
}

Test(h2_floods, priorities)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = prioritize});
}

static void prioritize_anew(struct h2_client *client, unsigned n)
{
    h2_send_priority_update(client, 2 * (n % 90) + 1, n % 2 == 0 ? "u=1" : "u=7, i");
}

Test(h2_floods, priority_updates)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = prioritize_anew});
}

static void send_unknown(struct h2_client *client, unsigned n)
{
    h2_send_frame(
        client, &(struct h2_frame){.type = (uint8_t)(0x20 + n % 100), .payload = "?", .length = 1});
}

Test(h2_floods, frames_of_unknown_types)
{
    h2_flood_expect_ended(&(struct h2_flood){.send = send_unknown});
}

/* Frames on streams that have ended may be late, and mean nothing. */
static void end_a_stream(struct h2_client *client)
{
    open_stream = h2_get(client, "/");
    h2_expect_response(client, open_stream, 200);
}

static void reset_what_has_ended(struct h2_client *client, unsigned n)
{
    (void)n;
    h2_send_reset(client, open_stream, H2_CANCEL);
}

Test(h2_floods, resets_of_what_has_ended)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = end_a_stream, .send = reset_what_has_ended, .requests = 1});
}

Test(h2_floods, window_updates_of_what_has_ended)
{
    h2_flood_expect_ended(
        &(struct h2_flood){.begin = end_a_stream, .send = open_stream_a_little, .requests = 1});
}

/* Of a storm the log tells once a minute, the metrics every one. */
Test(h2_floods, one_after_the_other)
{
    struct h2_scene *scene = h2_scene_begin();

    for (int i = 0; i < 10; i++) {
        struct h2_client *client = h2_open(scene->gateway, NULL);
        for (unsigned n = 0; n < ENOUGH && !h2_scene_has_ended(client); n++)
            ping(client, n);
        h2_scene_await_ended(i + 1);
        h2_close(client);
    }
    h2_scene_end(scene);
    char *first = strstr(gateway_stderr(scene->gateway), "http2_flood");
    cr_assert_not_null(first);
    cr_assert_null(strstr(first + 1, "http2_flood"), "told more than once");
}
