/* HTTP/2: how streams end before their time. Answers that come before the request is whole, resets
 * from either side, refused bodies: each ends its stream alone, and is never taken for an orderly
 * end. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/pattern.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_ends);

#define PATIENT "'defaults': { 'timeout': { 'body_idle': '1h', 'idle': '1h' } },"

/* --- answers that come early --------------------------------------------------------------------
 */

static void answer_then_read(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
    origin_read_body(turn);
}

static void refuse_and_close(struct origin_turn *turn)
{
    wire_print(turn->wire,
               "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    turn->is_closing = true;
}

/* The response is whole, and the request goes on to a backend that reads on. */
Test(h2_ends, rest_of_a_body_reaches_a_backend_that_has_answered)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", answer_then_read, NULL);
    uint32_t stream = h2_begin_post(client, "/up");
    h2_send_data(client, stream, "hello", 5, false);
    expect_body(h2_response(client, stream), "early");
    h2_settle(client);
    cr_assert(!h2_stream(client, stream)->was_reset, "the backend still reads");
    h2_send_data(client, stream, " world", 6, true);
    struct message *request = origin_finished_request(scene.origin, 0);
    cr_assert(request->is_complete, "the rest of the body was lost");
    expect_body(request, "hello world");
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* RFC 9113 section 8.1: the whole response, then RST_STREAM with NO_ERROR. */
static void expect_told_to_stop(struct h2_client *client, uint32_t stream)
{
    struct h2_frame frame;

    while (!h2_stream(client, stream)->was_reset)
        workplace_require(h2_read_frame(client, &frame), "nothing ends stream %u", stream);
    workplace_require(h2_stream(client, stream)->reset_code == H2_NO_ERROR, "reset with %s",
                      h2_code_name(h2_stream(client, stream)->reset_code));
}

Test(h2_ends, answer_that_ends_an_upload_ends_its_stream_alone)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", refuse_and_close, NULL);
    uint32_t stream = h2_begin_post(client, "/up");
    h2_send_data(client, stream, "hello", 5, false);
    struct message *response = h2_expect_response(client, stream, 403);
    expect_body(response, "no");
    expect_no_field(response, "connection");
    expect_told_to_stop(client, stream);
    h2_send_data(client, stream, " world", 6, true); /* it crossed the reset on its way */
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* What is sent in vain is given back to the connection's window. */
Test(h2_ends, bodies_in_vain_do_not_use_up_the_connection)
{
    enum { TIMES = 60, EACH = 60000 };
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", refuse_and_close, NULL);
    for (int i = 0; i < TIMES; i++) {
        uint32_t stream = h2_begin_post(client, "/up");
        h2_send_body(client, stream, pattern_at(0), EACH, false);
        h2_expect_response(client, stream, 403);
        expect_told_to_stop(client, stream);
        h2_forget(client, stream);
    }
    uint32_t stream = h2_begin_post(client, "/");
    for (int i = 0; i < 3; i++)
        cr_assert(h2_send_body(client, stream, pattern_at(0), PATTERN_PIECE, i == 2));
    h2_expect_from(client, stream, "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Nor does what crosses a reset on its way, among bodies that are read. */
Test(h2_ends, bodies_in_vain_among_others_do_not_use_up_the_connection)
{
    enum { TIMES = 60, EACH = 16 * 1024 };
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", refuse_and_close, NULL);
    for (int i = 0; i < TIMES; i++) {
        uint32_t vain = h2_begin_post(client, "/up"), stream = h2_begin_post(client, "/");
        h2_expect_response(client, vain, 403);
        expect_told_to_stop(client, vain);
        h2_send_data(client, vain, pattern_at(0), EACH, false);
        h2_send_data(client, vain, pattern_at(0), EACH, true);
        cr_assert(h2_send_body(client, stream, pattern_at(0), 2 * EACH, true));
        h2_expect_from(client, stream, "one");
        h2_forget(client, vain);
        h2_forget(client, stream);
    }
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- Expect -------------------------------------------------------------------------------------
 */

static uint32_t begin_expecting(struct h2_client *client, const char *path)
{
    return h2_send_request(
        client,
        &(struct h2_request){.method = "PUT",
                             .path = path,
                             .fields = H2_FIELDS("expect", "100-continue", "content-length", "5"),
                             .goes_on = true});
}

static void go_on_and_echo(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 100 Continue\r\n\r\n");
    origin_echo(turn);
}

Test(h2_ends, expectation_is_the_backends_to_answer)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", go_on_and_echo, NULL);
    uint32_t stream = begin_expecting(client, "/up");
    while (h2_stream(client, stream)->interim == NULL)
        cr_assert(h2_read_frame(client, &(struct h2_frame){0}), "no 100 came");
    cr_assert_eq(h2_stream(client, stream)->interim->status, 100);
    h2_send_data(client, stream, "hello", 5, true);
    expect_body(h2_response(client, stream), "hello");
    cr_assert_eq(h2_stream(client, stream)->interim_count, 1);
    expect_field(origin_request(scene.origin, 0), "expect", "100-continue");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* A backend that says nothing: the gateway does. */
Test(h2_ends, expectation_that_the_backend_ignores)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", origin_echo, NULL);
    uint32_t stream = begin_expecting(client, "/up");
    while (h2_stream(client, stream)->interim == NULL)
        cr_assert(h2_read_frame(client, &(struct h2_frame){0}), "no 100 came");
    h2_send_data(client, stream, "hello", 5, true);
    expect_body(h2_response(client, stream), "hello");
    h2_close(client);
    gateway_stop(scene.gateway);
}

static void refuse_without_reading(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
    turn->is_closing = true; /* or the harness would wait for the body */
}

Test(h2_ends, refused_expectation_ends_its_stream_alone)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/up", refuse_without_reading, NULL);
    uint32_t stream = begin_expecting(client, "/up");
    expect_body(h2_expect_response(client, stream, 417), "no");
    expect_told_to_stop(client, stream);
    cr_assert_eq(h2_stream(client, stream)->interim_count, 0);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- max_body -----------------------------------------------------------------------------------
 */

Test(h2_ends, bodies_that_are_too_large)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'max_body': '1KiB' } } }",
                      origin_address(origin));
    struct h2_client *client = h2_open(gateway, NULL);
    uint32_t told = h2_send_request(
        client, &(struct h2_request){.method = "POST",
                                     .fields = H2_FIELDS("content-length", "100000"),
                                     .goes_on = true});

    expect_refusal(h2_response(client, told), 413, "body_too_large");
    expect_told_to_stop(client, told);
    cr_assert_eq(origin_requests(origin), 0);
    uint32_t grown = h2_begin_post(client, "/");
    h2_send_data(client, grown, pattern_at(0), 1000, false);
    origin_wait_requests(origin, 1);
    h2_send_data(client, grown, pattern_at(1000), 1000, false);
    expect_refusal(h2_response(client, grown), 413, "body_too_large");
    expect_told_to_stop(client, grown);
    origin_wait_open_connections(origin, 0);
    cr_assert(!origin_finished_request(origin, 0)->is_complete);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(gateway);
}

/* --- the client resets --------------------------------------------------------------------------
 */

static void expect_called_off(struct h2_scene *scene, const char *path, int status)
{
    json_t *entry = log_entry_with(scene->gateway, "path", path);

    expect_number(entry, "status", status);
    expect_string(entry, "reason", "client_closed");
}

Test(h2_ends, reset_calls_off_a_request_that_is_not_answered)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/hang", origin_hang, NULL);
    uint32_t stream = h2_get(client, "/hang");
    origin_wait_requests(scene.origin, 1);
    h2_send_reset(client, stream, H2_CANCEL);
    origin_wait_open_connections(scene.origin, 0);
    expect_called_off(&scene, "/hang", 499);
    h2_await_status("metrics.requests_in_flight", 0);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_ends, reset_ends_a_download)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct h2_fountain *fountain = h2_fountain_new(scene.origin, "/down", (uint64_t)1 << 40);

    uint32_t stream = h2_get(client, "/down");
    h2_await_bytes(client, stream, 200000);
    h2_send_reset(client, stream, H2_CANCEL);
    cr_assert(!h2_fountain_wait(fountain));
    origin_wait_open_connections(scene.origin, 0);
    expect_called_off(&scene, "/down", 200);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* The backend must not take what came for all of it. */
Test(h2_ends, reset_cuts_an_upload)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    uint32_t stream = h2_begin_post(client, "/up");
    h2_send_data(client, stream, "hello", 5, false);
    origin_wait_requests(scene.origin, 1);
    h2_send_reset(client, stream, H2_CANCEL);
    cr_assert(!origin_finished_request(scene.origin, 0)->is_complete);
    origin_wait_open_connections(scene.origin, 0);
    expect_called_off(&scene, "/up", 499);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Enough answers that a second server is asked when the first one takes longer: then both are at
 * work for the same stream. */
Test(h2_ends, reset_calls_off_both_tries_of_a_hedged_request)
{
    enum { WARM_UP = 120 };
    struct origin *origins[2] = {origin_start("one"), origin_start("two")};
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'], 'hedge': 'p95',"
                      "    'timeout': { 'first_byte': '1h' } } }, 'routes': { 'a.test': 'b' } }",
                      origin_address(origins[0]), origin_address(origins[1]));
    struct h2_client *client = h2_open(gateway, NULL);
    int before[2];

    for (int i = 0; i < WARM_UP; i++)
        h2_expect_response(client, h2_get(client, "/"), 200);
    for (int i = 0; i < 2; i++) {
        before[i] = origin_requests(origins[i]);
        origin_set_script(origins[i], "/hang", origin_hang, NULL);
    }
    uint32_t stream = h2_get(client, "/hang");
    for (int i = 0; i < 2; i++)
        origin_wait_requests(origins[i], before[i] + 1);
    h2_send_reset(client, stream, H2_CANCEL);
    for (int i = 0; i < 2; i++)
        origin_finished_request(origins[i], before[i]);
    expect_string(log_entry_with(gateway, "path", "/hang"), "reason", "client_closed");
    h2_expect_response(client, h2_get(client, "/"), 200);
    h2_close(client);
    gateway_stop(gateway);
}

static void expect_held_is_called_off(bool has_body)
{
    struct origin *one = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'backends': { 'b': { 'servers': ['%s'], 'max_requests': 1,"
        "    'hold': { 'for': '10m', 'queue': 10 } } }, 'routes': { 'a.test': 'b' } }",
        origin_address(one));
    struct h2_client *client = h2_open(gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(one, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    origin_wait_requests(one, 1);
    uint32_t held = has_body ? h2_begin_post(client, "/held") : h2_get(client, "/held");
    if (has_body)
        h2_send_data(client, held, "hello", 5, false);
    h2_await_status("metrics.requests_in_flight", 2);
    h2_expect_waiting(client, held);
    h2_send_reset(client, held, H2_CANCEL);
    expect_number(log_entry_with(gateway, "path", "/held"), "status", 499);
    h2_await_status("metrics.requests_in_flight", 1);
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    cr_assert_eq(origin_requests(one), 1);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(gateway);
}

/* One that is held is in nobody's way any more. */
Test(h2_ends, reset_calls_off_a_request_that_is_held)
{
    expect_held_is_called_off(false);
}

/* Nor is one whose body nobody has asked for yet. */
Test(h2_ends, reset_calls_off_a_request_that_is_held_with_its_body)
{
    expect_held_is_called_off(true);
}

/* Its body is longer than it says: the gateway has reset it. */
Test(h2_ends, malformed_request_that_is_held_is_in_nobodys_way)
{
    struct origin *one = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'backends': { 'b': { 'servers': ['%s'], 'max_requests': 1,"
        "    'hold': { 'for': '10m', 'queue': 10 } } }, 'routes': { 'a.test': 'b' } }",
        origin_address(one));
    struct h2_client *client = h2_open(gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(one, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    origin_wait_requests(one, 1);
    uint32_t held =
        h2_send_request(client, &(struct h2_request){.method = "POST",
                                                     .path = "/held",
                                                     .fields = H2_FIELDS("content-length", "3"),
                                                     .goes_on = true});
    h2_await_status("metrics.requests_in_flight", 2);
    h2_send_data(client, held, "hello", 5, false);
    expect_string(log_entry_with(gateway, "path", "/held"), "reason", "bad_request");
    h2_await_status("metrics.requests_in_flight", 1);
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    cr_assert_eq(origin_requests(one), 1);
    h2_close(client);
    gateway_stop(gateway);
}

Test(h2_ends, connection_that_is_gone_ends_all_of_its_requests)
{
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/hang", origin_hang, NULL);
    for (int i = 0; i < 5; i++)
        h2_get(client, "/hang");
    origin_wait_requests(scene.origin, 5);
    h2_abort(client);
    origin_wait_open_connections(scene.origin, 0);
    for (int i = 0; i < 5; i++) {
        expect_number(log_entry(scene.gateway, i), "status", 499);
        expect_string(log_entry(scene.gateway, i), "reason", "client_closed");
    }
    h2_await_status("metrics.connections_open", 0);
    gateway_stop(scene.gateway);
}

/* --- the backend is cut -------------------------------------------------------------------------
 */

struct cut_case {
    const char *path, *head, *piece;
    bool resets;
};

/* However a backend's response breaks off, the client's does not end in order. */
Test(h2_ends, response_that_breaks_off_is_reset)
{
    static const struct cut_case cases[] = {
        {"/length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "hello", false},
        {"/length-reset", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "hello", true},
        {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n",
         false},
        {"/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "a\r\nhello", true},
        {"/close", "HTTP/1.1 200 OK\r\n\r\n", "hello", true},
    };
    struct h2_scene scene = h2_scene_start(PATIENT);
    struct h2_client *client = h2_open(scene.gateway, NULL);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gate *gate = gate_new();
        h2_script_steps(scene.origin, cases[i].path,
                        &(struct h2_steps){.list = {{NULL, cases[i].head}, {NULL, cases[i].piece}},
                                           .at_end = gate,
                                           .closes = true,
                                           .resets = cases[i].resets});
        uint32_t stream = h2_get(client, cases[i].path);
        h2_await_bytes(client, stream, 5);
        gate_open(gate);
        uint32_t code = h2_await_reset(client, stream);
        cr_assert_eq(code, H2_INTERNAL_ERROR, "%s: %s", cases[i].path, h2_code_name(code));
        json_t *entry = log_entry_with(scene.gateway, "path", cases[i].path);
        expect_number(entry, "status", 200);
        expect_string(entry, "reason", "backend_reset");
    }
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_ends, backends_that_fail_before_they_answer)
{
    struct h2_scene scene = h2_scene_start(
        "'defaults': { 'retry': { 'attempts': 1 }, 'timeout': { 'first_byte': '300ms' } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/hang", origin_hang, NULL);
    origin_set_last_reply(scene.origin, "/nothing", "");
    origin_set_last_reply(scene.origin, "/half", "HTTP/1.1 200 OK\r\nContent-");
    origin_set_last_reply(scene.origin, "/nonsense", "nonsense\r\n\r\n");
    expect_refusal(h2_response(client, h2_get(client, "/nothing")), 502, "backend_reset");
    expect_refusal(h2_response(client, h2_get(client, "/half")), 502, "backend_reset");
    expect_refusal(h2_response(client, h2_get(client, "/nonsense")), 502, "backend_bad_response");
    expect_refusal(h2_response(client, h2_get(client, "/hang")), 504, "backend_timeout");
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}
