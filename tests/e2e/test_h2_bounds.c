/* HTTP/2 clients that hold on to what they have: heads and bodies that drip, windows that stay
 * shut, sockets that nobody reads. They get their time and no more, and little memory. And clients
 * that look a little like a flood, but behave: their connections go on. */
#include "harness/baseline.h"
#include "harness/h2_frames.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(h2_bounds);

enum { STREAMS = 100, TICK_MS = 200 };

static struct origin *origin;

static struct gateway *start_with(const char *defaults)
{
    origin = origin_start("one");
    return gateway_start("{ @base, 'defaults': { %s }, 'routes': { '*': '%s' } }", defaults,
                         origin_address(origin));
}

/* Each answers a request with so much of the pattern. */
static void answer_with(const char *path, uint64_t bytes)
{
    uint64_t *length = workplace_own(malloc(sizeof *length), free);

    *length = bytes;
    origin_set_script(origin, path, origin_send_pattern, length);
}

static void await_ended_for(const char *reason, long count)
{
    const char *series =
        text("sallyport_http2_connections_ended_total{reason=\"%s\"} %ld\n", reason, count);
    long long start = monitor_now_ms();

    for (;;) {
        struct message *page = ask_admin("GET", "/metrics");
        if (strstr(page->body, series) != NULL)
            return;
        workplace_require(monitor_may_ask_again(start), "no %s in\n%s", series, page->body);
    }
}

static void await_open(long long count)
{
    long long start = monitor_now_ms(), open;

    while ((open = status_number("connections.open")) != count)
        workplace_require(monitor_may_ask_again(start), "%lld are open, not %lld", open, count);
}

static void expect_little_memory(struct gateway *gateway, long before_kib, long most_kib)
{
    long grown = gateway_peak_kib(gateway) - before_kib;

    fprintf(stderr, "%ld KiB more\n", grown);
    workplace_require(gateway_is_sanitized(gateway) || grown <= most_kib, "memory grew by %ld KiB",
                      grown);
}

/* --- what drips ------------------------------------------------------------------------------- */

static bool has_news(const struct h2_client *client)
{
    struct pollfd ask = {.fd = client->tls->wire.fd, .events = POLLIN};

    return poll(&ask, 1, 0) == 1;
}

/* Sends the byte again and again until the gateway says something or has closed. */
static void drip_until_news(struct h2_client *client, char byte)
{
    long long start = monitor_now_ms();

    while (!has_news(client) && wire_write(&client->tls->wire, &byte, 1))
        workplace_require(monitor_may_ask_again(start), "bytes that keep coming keep it open");
}

/* Everything of the beginning has been read. */
static struct h2_client *open_quiet(struct gateway *gateway)
{
    struct h2_client *client = h2_open(gateway, NULL);

    h2_expect_response(client, h2_get(client, "/"), 200);
    h2_settle_settings(client);
    h2_settle(client);
    return client;
}

static void read_to_end(struct h2_client *client)
{
    struct h2_frame frame;

    while (h2_read_frame(client, &frame)) {
    }
    workplace_require(client->tls->wire.state != WIRE_TIMED_OUT, "the connection goes on");
}

Test(h2_bounds, header_block_that_drips)
{
    static const char head[] = "\0\x20\0\1\5\0\0\0\x03\x82\x87\x84\0";
    struct gateway *gateway = start_with("'timeout': { 'header': '300ms' }");
    struct h2_client *client = open_quiet(gateway);

    h2_send_bytes(client, head, sizeof head - 1);
    drip_until_news(client, 'x');
    read_to_end(client);
    await_ended_for("header_timeout", 1);
    cr_assert_eq(origin_requests(origin), 1);
    gateway_stop(gateway);
}

/* Frames that are whole, of a block that is not. */
Test(h2_bounds, continuation_that_never_comes)
{
    struct gateway *gateway = start_with("'timeout': { 'header': '300ms' }");
    struct h2_client *client = open_quiet(gateway);

    h2_send_headers(client, &(struct h2_headers){.stream = client->next_stream,
                                                 .fields = H2_FIELDS(":method", "GET"),
                                                 .is_unfinished = true});
    read_to_end(client);
    await_ended_for("header_timeout", 1);
    gateway_stop(gateway);
}

Test(h2_bounds, preface_that_drips)
{
    struct gateway *gateway = start_with("'timeout': { 'header': '300ms' }");
    struct h2_client *client = h2_open(gateway, &(struct h2_options){.sends_no_preface = true});
    long long start = monitor_now_ms();

    for (const char *at = H2_PREFACE; *at != '\0' && at[1] != '\0'; at++)
        if (!wire_write(&client->tls->wire, at, 1))
            break;
    while (client->tls->wire.state == WIRE_OPEN && wire_fill(&client->tls->wire))
        workplace_require(monitor_may_ask_again(start), "it waits for ever");
    workplace_require(client->tls->wire.state != WIRE_TIMED_OUT, "it waits for ever");
    await_open(0);
    gateway_stop(gateway);
}

/* A byte at a time on many streams of one connection, all of them beneath limits.body_rate, which
 * is judged over 5 s. What else is on the connection goes on. */
Test(h2_bounds, bodies_that_drip)
{
    enum { BODIES = 20 };
    struct gateway *gateway = start_with("'limits': { 'body_rate': '1KiB/s' }");
    struct h2_client *client = h2_open(gateway, NULL);
    uint32_t streams[BODIES];
    long long start = monitor_now_ms();

    origin_set_script(origin, "/echo", origin_echo, NULL);
    for (int i = 0; i < BODIES; i++)
        streams[i] = h2_begin_post(client, "/echo");
    while (h2_stream(client, streams[BODIES - 1])->response == NULL) {
        struct pollfd ask = {.fd = client->tls->wire.fd, .events = POLLIN};
        for (int i = 0; i < BODIES; i++)
            if (!h2_stream(client, streams[i])->was_reset &&
                !h2_stream(client, streams[i])->has_ended)
                h2_send_data(client, streams[i], "x", 1, false);
        poll(&ask, 1, TICK_MS);
        h2_read_pending(client);
        workplace_require(monitor_may_ask_again(start), "bytes that keep coming keep it open");
    }
    for (int i = 0; i < BODIES; i++)
        expect_refusal(h2_response(client, streams[i]), 408, "body_timeout");
    h2_expect_served(client);
    gateway_stop(gateway);
}

/* --- what nobody takes ------------------------------------------------------------------------ */

static const struct h2_options no_windows = {
    .settings = (const struct h2_setting[]){{H2_INITIAL_WINDOW_SIZE, 0}}, .setting_count = 1};

static bool are_all_reset(struct h2_client *client, void *arg)
{
    const uint32_t *streams = arg;

    for (int i = 0; i < STREAMS; i++)
        if (!h2_stream(client, streams[i])->was_reset)
            return false;
    return true;
}

/* A hundred responses that cannot leave: each is cut in its time, the backend is let go, and the
 * connection serves on. */
Test(h2_bounds, windows_that_stay_shut)
{
    struct gateway *gateway = start_with("'timeout': { 'body_idle': '1s' }");
    struct h2_client *client = h2_open(gateway, &no_windows);
    uint32_t streams[STREAMS];

    answer_with("/big", 1 << 20);
    h2_settle_settings(client);
    long before = gateway_rss_kib(gateway);
    gateway_forget_peak(gateway);
    for (int i = 0; i < STREAMS; i++)
        streams[i] = h2_get(client, "/big");
    origin_wait_requests(origin, STREAMS);
    h2_read_until(client, are_all_reset, streams, "all responses are cut");
    origin_wait_open_connections(origin, 0);
    expect_little_memory(gateway, before, 8 * 1024);
    h2_send_setting(client, H2_INITIAL_WINDOW_SIZE, 65535);
    h2_settle_settings(client);
    h2_expect_response(client, h2_get(client, "/"), 200);
    gateway_stop(gateway);
}

/* Windows as wide as they go, and a socket that nobody reads: what the kernel does not take stays
 * with the backends, until the time is over. */
Test(h2_bounds, downloads_that_nobody_reads)
{
    const struct h2_options options = {
        .settings = (const struct h2_setting[]){{H2_INITIAL_WINDOW_SIZE, 0x7fffffff}},
        .setting_count = 1};
    struct gateway *gateway =
        start_with("'timeout': { 'body_idle': '1s', 'keepalive': '1s', 'header': '1s' }");
    struct h2_client *client = h2_open(gateway, &options);

    answer_with("/big", 8 << 20);
    h2_settle_settings(client);
    h2_send_window(client, 0, 0x7fffffff - 65535);
    h2_settle(client);
    long before = gateway_rss_kib(gateway);
    gateway_forget_peak(gateway);
    for (int i = 0; i < STREAMS; i++)
        h2_get(client, "/big");
    origin_wait_requests(origin, STREAMS);
    await_open(0);
    origin_wait_open_connections(origin, 0);
    expect_little_memory(gateway, before, 16 * 1024);
    gateway_stop(gateway);
}

static void sit_and_wait(struct origin_turn *turn)
{
    gate_wait(turn->arg);
    turn->is_closing = true;
}

/* Bodies that the backend does not read: behind what the kernel takes they stay with the client. */
Test(h2_bounds, uploads_that_the_backend_does_not_read)
{
    enum { UPLOADS = 4, PIECE = 16384 };
    static char piece[PIECE];
    struct gateway *gateway = start_with("'timeout': { 'body_idle': '1m' }");
    struct h2_client *client = h2_open(gateway, NULL);
    struct gate *gate = gate_new();
    uint32_t streams[UPLOADS];
    bool goes_on = true;

    origin_set_script(origin, "/sit", sit_and_wait, gate);
    h2_settle_settings(client);
    long before = gateway_rss_kib(gateway);
    gateway_forget_peak(gateway);
    for (int i = 0; i < UPLOADS; i++)
        streams[i] = h2_begin_post(client, "/sit");
    while (goes_on) {
        goes_on = false;
        for (int i = 0; i < UPLOADS; i++) {
            if (h2_stream(client, streams[i])->send_window < PIECE || client->send_window < PIECE)
                continue;
            h2_send_data(client, streams[i], piece, PIECE, false);
            goes_on = true;
        }
        h2_settle(client);
    }
    expect_little_memory(gateway, before, 6 * 1024);
    h2_expect_served(client);
    gate_open(gate);
    gateway_stop(gateway);
}

/* --- who behaves ------------------------------------------------------------------------------ */

/* As a browser does whose user goes on to another page, and another: all that is under way. */
Test(h2_bounds, a_hundred_requests_called_off_at_once)
{
    enum { PAGES = 3, RESOURCES = 20 };
    struct gateway *gateway = start_with("");
    struct h2_client *client = h2_open(gateway, NULL);

    origin_set_script(origin, "/hang", origin_hang, NULL);
    for (int page = 0; page < PAGES; page++) {
        uint32_t streams[STREAMS];
        for (int i = 0; i < STREAMS; i++)
            streams[i] = h2_get(client, "/hang");
        h2_settle(client);
        for (int i = 0; i < STREAMS; i++)
            h2_send_reset(client, streams[i], H2_CANCEL);
        for (int i = 0; i < RESOURCES; i++)
            h2_expect_response(client, h2_get(client, "/"), 200);
    }
    h2_expect_served(client);
    gateway_stop(gateway);
}

/* A stream of events that is asked whether it lives, over and over, while something comes. */
Test(h2_bounds, pings_of_a_client_that_is_served)
{
    enum { PINGS = 500 };
    struct gateway *gateway = start_with("");
    struct h2_client *client = h2_open(gateway, NULL);

    for (int i = 0; i < PINGS; i++) {
        h2_settle(client);
        h2_expect_response(client, h2_get(client, "/"), 200);
    }
    gateway_stop(gateway);
}

/* Windows are given back for both, in pieces of `piece`, while DATA frames are larger. */
static void download_with_updates_of(uint32_t piece)
{
    enum { BYTES = 16 << 20 };
    const struct h2_options options = {
        .settings = (const struct h2_setting[]){{H2_INITIAL_WINDOW_SIZE, 4 << 20}},
        .setting_count = 1,
        .withholds_windows = true};
    struct gateway *gateway = start_with("");
    struct h2_client *client = h2_open(gateway, &options);
    struct h2_frame frame;
    uint64_t owed = 0;

    answer_with("/big", BYTES);
    h2_send_window(client, 0, (4 << 20) - 65535);
    uint32_t stream = h2_get(client, "/big");
    while (!h2_stream(client, stream)->has_ended) {
        workplace_require(h2_read_frame(client, &frame), "the download ends: %s",
                          h2_code_name(client->goaway_code));
        if (frame.type == H2_DATA)
            owed += frame.length;
        h2_hold(client);
        for (; owed >= piece; owed -= piece) {
            h2_send_window(client, 0, piece);
            if (!h2_stream(client, stream)->has_ended)
                h2_send_window(client, stream, piece);
        }
        h2_release(client);
    }
    struct message *response = h2_response(client, stream);
    expect_status(response, 200);
    cr_assert_eq(response->body_bytes, BYTES);
    cr_assert(response->body_is_pattern);
    h2_expect_served(client);
    gateway_stop(gateway);
}

/* As clients do that give back what each read of theirs has taken. */
Test(h2_bounds, window_updates_for_each_four_kilobytes)
{
    download_with_updates_of(4096);
}

Test(h2_bounds, window_updates_for_each_frame)
{
    download_with_updates_of(16384);
}

/* An upload in frames of a few bytes, as a program does that does not collect what it writes. */
Test(h2_bounds, an_upload_in_tiny_frames)
{
    enum { FRAMES = 20000 };
    struct gateway *gateway = start_with("");
    struct h2_client *client = h2_open(gateway, NULL);
    char body[8];

    origin_set_script(origin, "/echo", origin_echo, NULL);
    uint32_t stream = h2_begin_post(client, "/echo");
    for (int i = 0; i < FRAMES; i++) {
        memset(body, 'a' + i % 26, sizeof body);
        workplace_require(h2_send_body(client, stream, body, sizeof body, i == FRAMES - 1),
                          "ended at frame %d: %s", i, h2_code_name(client->goaway_code));
    }
    cr_assert_eq(h2_expect_response(client, stream, 200)->body_bytes, FRAMES * sizeof body);
    gateway_stop(gateway);
}

/* Thousands of requests one after the other, of which one in five is called off. */
Test(h2_bounds, one_of_five_called_off)
{
    enum { REQUESTS = 9000 };
    struct gateway *gateway = start_with("");
    struct h2_client *client = h2_open(gateway, NULL);

    origin_set_script(origin, "/hang", origin_hang, NULL);
    for (int i = 0; i < REQUESTS; i++) {
        if (i % 5 == 0) {
            h2_send_reset(client, h2_get(client, "/hang"), H2_CANCEL);
            continue;
        }
        uint32_t stream = h2_get(client, "/");
        h2_expect_response(client, stream, 200);
        h2_forget(client, stream);
    }
    gateway_stop(gateway);
}

/* Priorities as browsers send them: a tree at the start, and an update for each request. */
Test(h2_bounds, priorities_of_a_page)
{
    enum { PAGES = 20, RESOURCES = 50 };
    struct gateway *gateway = start_with("");
    struct h2_client *client = h2_open(gateway, NULL);

    for (uint32_t id = 3; id <= 13; id += 2)
        h2_send_priority(client, 1000 + id, (struct h2_priority){.weight = (uint8_t)id});
    for (int page = 0; page < PAGES; page++) {
        uint32_t streams[RESOURCES];
        for (int i = 0; i < RESOURCES; i++) {
            streams[i] = h2_get(client, "/");
            h2_send_priority_update(client, streams[i], "u=2, i");
        }
        for (int i = 0; i < RESOURCES; i++)
            h2_expect_response(client, streams[i], 200);
    }
    gateway_stop(gateway);
}

/* --- descriptors ------------------------------------------------------------------------------ */

enum { FILES = 256, FOR_CLIENTS = FILES * 7 / 16 };

static int count_refused(struct h2_client *client)
{
    int refused = 0;

    for (uint32_t stream = 1; stream < client->next_stream; stream += 2) {
        if (!h2_stream(client, stream)->has_ended)
            continue;
        expect_refusal(h2_stream(client, stream)->response, 503, "over_limit");
        refused++;
    }
    return refused;
}

static bool are_refused(struct h2_client *client, void *arg)
{
    return count_refused(client) == *(const int *)arg;
}

/* As many requests as a connection may have under way; so many of them reach the backend. */
static struct h2_client *hold_on(struct gateway *gateway, int served)
{
    struct h2_client *client = h2_open(gateway, NULL);
    int before = origin_requests(origin), refused = STREAMS - served;

    for (int n = 0; n < STREAMS; n++)
        h2_get(client, "/hang");
    h2_read_until(client, are_refused, &refused, "the others are refused");
    origin_wait_requests(origin, before + served);
    return client;
}

/* Each request may use a descriptor for its backend. Those of a connection beyond its first are
 * refused before others find none: who comes later is served all the same. */
Test(h2_bounds, requests_that_hold_on_to_all_descriptors)
{
    origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes =
            route_file("routes.json", "{ @base, 'routes': { '*': '%s' } }", origin_address(origin)),
        .open_files = FILES});
    struct h2_client *holders[3];

    origin_set_script(origin, "/hang", origin_hang, NULL);
    holders[0] = hold_on(gateway, STREAMS);
    holders[1] = hold_on(gateway, 1 + (FOR_CLIENTS - 2) - (STREAMS - 1));
    holders[2] = hold_on(gateway, 1);
    gateway_wait_stderr(gateway, "clients_refused", NULL);
    for (int i = 0; i < 10; i++)
        expect_from(fetch(gateway, "a.test", "/"), "one");
    h2_expect_served(h2_open(gateway, NULL));
    for (int i = 0; i < 3; i++)
        h2_close(holders[i]);
    await_open(1);
    h2_close(hold_on(gateway, STREAMS)); /* what they held is there again */
    gateway_stop(gateway);
}
