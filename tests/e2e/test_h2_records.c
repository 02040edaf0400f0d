/* HTTP/2: what leaves in one TLS record. */
#include "harness/h2_scene.h"
#include "harness/monitor.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(h2_records);

enum { SMALL = 1024, MANY = 50, YOUNG = 4096, RECORD = 16384 };

static const char *small_reply(void)
{
    char *body = text("%*s", SMALL, "");

    memset(body, 'x', SMALL);
    return text("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", SMALL, body);
}

/* One that has said all that belongs to the connection alone. */
static struct h2_client *open_quiet(struct gateway *gateway, const struct h2_options *options)
{
    struct h2_client *client = h2_open(gateway, options);

    h2_settle_settings(client);
    h2_response(client, h2_get(client, "/"));
    h2_settle(client);
    return client;
}

Test(h2_records, small_response_leaves_with_its_head)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = open_quiet(scene.gateway, NULL);
    struct h2_records records;

    origin_set_reply(scene.origin, "/small", small_reply());
    for (int i = 0; i < 10; i++) {
        h2_count_records(client, &records);
        uint32_t stream = h2_get(client, "/small");
        h2_expect_response(client, stream, 200);
        cr_assert_eq(h2_stream(client, stream)->data_frames, 1);
        cr_assert_eq(records.count, 1, "%u records", records.count);
    }
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* The gateway's own likewise, and the END_STREAM of a body whose end was not announced. */
Test(h2_records, so_do_other_small_ones)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'paths': { '/': '%s', '=/own':"
                      "  { 'respond': { 'body': 'ok' } } } } } }",
                      origin_address(origin));
    struct h2_client *client = open_quiet(gateway, NULL);
    static const char *const paths[] = {"/own", "/chunked", "/empty"};
    struct h2_records records;

    origin_set_reply(
        origin, "/chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    origin_set_reply(origin, "/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        h2_count_records(client, &records);
        h2_expect_response(client, h2_get(client, paths[i]), 200);
        cr_assert_eq(records.count, 1, "%s: %u records", paths[i], records.count);
    }
    h2_close(client);
    gateway_stop(gateway);
}

/* Whatever is ready in one round of the loop leaves together, in records that are full, if small at
 * first (YOUNG): so the client can open each as soon as it is there. */
static void expect_gathered(const struct h2_records *records)
{
    cr_assert_geq(records->bytes, (size_t)MANY * SMALL);
    cr_assert_leq(records->count, records->bytes / YOUNG + 3, "%zu bytes in %u records",
                  records->bytes, records->count);
}

Test(h2_records, bodies_of_many_streams_are_gathered)
{
    static const struct h2_setting no_window = {H2_INITIAL_WINDOW_SIZE, 0};
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'paths': { '/': '%s', '=/':"
                      "  { 'respond': { 'status': 204 } } } } } }",
                      origin_address(origin));
    struct h2_client *client = open_quiet(gateway, &(struct h2_options){.settings = &no_window,
                                                                        .setting_count = 1,
                                                                        .withholds_windows = true});
    struct h2_records records;
    uint32_t streams[MANY];

    origin_set_reply(origin, "/small", small_reply());
    for (int i = 0; i < MANY; i++)
        streams[i] = h2_get(client, "/small");
    for (int i = 0; i < MANY; i++)
        h2_response_head(client, streams[i]);
    h2_settle(client);
    h2_count_records(client, &records);
    h2_hold(client);
    h2_send_window(client, 0, 1 << 20);
    for (int i = 0; i < MANY; i++)
        h2_send_window(client, streams[i], SMALL);
    h2_release(client);
    for (int i = 0; i < MANY; i++)
        h2_expect_response(client, streams[i], 200);
    expect_gathered(&records);
    h2_close(client);
    gateway_stop(gateway);
}

/* Until the kernel says that it stands still. */
static void await_stopped(struct gateway *gateway)
{
    long long start = monitor_now_ms();
    const char *path = text("/proc/%d/stat", gateway_pid(gateway));

    for (;;) {
        const char *stat = workplace_read(path), *state = stat != NULL ? strrchr(stat, ')') : NULL;
        if (state != NULL && state[1] == ' ' && state[2] == 'T')
            return;
        workplace_require(monitor_may_ask_again(start), "it does not stop");
    }
}

/* All of the backends have answered while the gateway stood still. */
Test(h2_records, responses_of_many_streams_are_gathered)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = open_quiet(scene.gateway, NULL);
    struct gate *gate = gate_new();
    struct h2_records records;
    uint32_t streams[MANY];

    h2_script_steps(scene.origin, "/small", &(struct h2_steps){.list = {{gate, small_reply()}}});
    for (int i = 0; i < MANY; i++)
        streams[i] = h2_get(client, "/small");
    origin_wait_requests(scene.origin, MANY + 1);
    h2_settle(client);
    gateway_signal(scene.gateway, SIGSTOP);
    await_stopped(scene.gateway);
    gate_open(gate);
    for (int i = 0; i < MANY; i++)
        origin_finished_request(scene.origin, i + 1);
    h2_count_records(client, &records);
    gateway_signal(scene.gateway, SIGCONT);
    for (int i = 0; i < MANY; i++)
        h2_expect_response(client, streams[i], 200);
    expect_gathered(&records);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* A long one leaves in full records, too. */
Test(h2_records, long_response_leaves_in_full_records)
{
    enum { LONG = 4 << 20 };
    struct h2_scene scene = h2_scene_start("");
    static const struct h2_setting large = {H2_INITIAL_WINDOW_SIZE, 1 << 24};
    struct h2_client *client = open_quiet(
        scene.gateway,
        &(struct h2_options){.settings = &large, .setting_count = 1, .withholds_windows = true});
    uint64_t bytes = LONG;
    struct h2_records records;

    origin_set_script(scene.origin, "/long", origin_send_pattern, &bytes);
    h2_send_window(client, 0, 1 << 24);
    h2_count_records(client, &records);
    struct message *response = h2_expect_response(client, h2_get(client, "/long"), 200);
    cr_assert(response->body_is_pattern && response->body_bytes == bytes);
    cr_assert_leq(records.count, LONG / RECORD * 3, "%u records", records.count);
    h2_close(client);
    gateway_stop(scene.gateway);
}
