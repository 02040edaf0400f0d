/* HTTP/2: each stream is a request of its own, with everything that HTTP/1.1 has of one: many at
 * once, generations, trailers, interim responses, responses without a body, refusals. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_requests);

enum { MANY = 100 };

/* --- many at once -------------------------------------------------------------------------------
 */

Test(h2_requests, a_hundred_at_once_on_one_connection)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();
    uint32_t streams[MANY];

    h2_script_tell_at(scene.origin, NULL, gate);
    h2_hold(client);
    for (int i = 0; i < MANY; i++)
        streams[i] = h2_get(client, text("/%d", i));
    h2_release(client);
    origin_wait_requests(scene.origin, MANY);
    h2_await_status("connections.open", 1);
    h2_await_status("metrics.requests_in_flight", MANY);
    gate_open(gate);
    for (int i = MANY - 1; i >= 0; i--) {
        h2_expect_from(client, streams[i], "one");
        const char *body = h2_stream(client, streams[i])->response->body;
        cr_assert_not_null(strstr(body, text("GET /%d HTTP/1.1\r\n", i)), "%d: %s", i, body);
    }
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* However they come, so they go. */
Test(h2_requests, answers_come_as_backends_send_them)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *one[2] = {gate_new(), gate_new()}, *two[2] = {gate_new(), gate_new()};
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

    h2_script_steps(scene.origin, "/1",
                    &(struct h2_steps){.list = {{NULL, head}, {one[0], "a"}, {one[1], "A"}}});
    h2_script_steps(scene.origin, "/2",
                    &(struct h2_steps){.list = {{NULL, head}, {two[0], "b"}, {two[1], "B"}}});
    uint32_t first = h2_get(client, "/1"), second = h2_get(client, "/2");
    gate_open(one[0]);
    h2_await_bytes(client, first, 1);
    gate_open(two[0]);
    h2_await_bytes(client, second, 1);
    gate_open(two[1]);
    expect_body(h2_response(client, second), "bB");
    cr_assert(!h2_stream(client, first)->has_ended);
    gate_open(one[1]);
    expect_body(h2_response(client, first), "aA");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_requests, slow_backend_holds_nobody_up)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    origin_wait_requests(scene.origin, 1);
    for (int i = 0; i < MANY; i++)
        h2_expect_from(client, h2_get(client, "/"), "one");
    h2_expect_waiting(client, slow);
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* One after the other on a connection that lives long: ids go up, nothing adds up. */
Test(h2_requests, many_one_after_the_other)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    for (int i = 0; i < 1000; i++) {
        uint32_t stream =
            h2_send_request(client, &(struct h2_request){.path = "/x", .body = "hello"});
        h2_expect_from(client, stream, "one");
        h2_forget(client, stream);
    }
    cr_assert_eq(origin_connections(scene.origin), 1);
    h2_await_status("metrics.requests", 1000);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- generations --------------------------------------------------------------------------------
 */

Test(h2_requests, each_stream_has_its_generation)
{
    struct h2_scene scene = h2_scene_start("");
    struct origin *two = origin_start("two");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/old", gate);
    uint32_t old = h2_get(client, "/old");
    uint32_t upload = h2_begin_post(client, "/upload");
    h2_send_data(client, upload, "hel", 3, false);
    origin_wait_requests(scene.origin, 2);
    gateway_rewrite("{ @base, 'routes': { 'a.test': { 'to': '%s', 'max_body': '4B' } } }",
                    origin_address(two));
    expect_status(ask_admin("POST", "/reload"), 200);
    h2_expect_from(client, h2_get(client, "/new"), "two");
    uint32_t refused = h2_send_request(client, &(struct h2_request){.body = "hello"});
    expect_refusal(h2_response(client, refused), 413, "body_too_large");
    h2_send_data(client, upload, "lo", 2, true);
    h2_expect_from(client, upload, "one");
    h2_expect_waiting(client, old);
    gate_open(gate);
    h2_expect_from(client, old, "one");
    expect_number(log_entry_with(scene.gateway, "path", "/old"), "generation", 1);
    expect_number(log_entry_with(scene.gateway, "path", "/upload"), "generation", 1);
    expect_number(log_entry_with(scene.gateway, "path", "/new"), "generation", 2);
    cr_assert_eq(client->goaways, 0);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- what is told of them -----------------------------------------------------------------------
 */

Test(h2_requests, each_stream_has_its_line)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, "/echo", origin_echo, NULL);
    uint32_t posted =
        h2_send_request(client, &(struct h2_request){.path = "/echo?secret=1", .body = "hello"});
    expect_body(h2_response(client, posted), "hello");
    json_t *entry = log_entry(scene.gateway, 0);
    expect_string(entry, "proto", "HTTP/2.0");
    expect_string(entry, "method", "POST");
    expect_string(entry, "host", "a.test");
    expect_string(entry, "path", "/echo");
    expect_number(entry, "status", 200);
    expect_null(entry, "reason");
    expect_number(entry, "bytes_in", 5);
    expect_number(entry, "bytes_out", 5);
    expect_string(entry, "route", "a.test");
    expect_string(entry, "server", origin_address(scene.origin));
    expect_string(entry, "tls.sni", "a.test");
    h2_expect_response(client, h2_get(client, "/"), 200);
    json_t *second = log_entry(scene.gateway, 1);
    cr_assert_str_neq(json_string_value(json_member(entry, "request_id")),
                      json_string_value(json_member(second, "request_id")));
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_requests, each_stream_counts_as_a_request)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow[2] = {h2_get(client, "/slow"), h2_get(client, "/slow")};
    origin_wait_requests(scene.origin, 2);
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_await_status("metrics.requests_in_flight", 2);
    h2_await_status("metrics.connections_idle", 0);
    gate_open(gate);
    for (int i = 0; i < 2; i++)
        h2_expect_from(client, slow[i], "one");
    h2_await_status("metrics.requests_in_flight", 0);
    h2_await_status("metrics.requests", 3);
    h2_await_status("metrics.connections_open", 1);
    h2_await_status("metrics.connections_idle", 1);
    const char *page = ask_admin("GET", "/metrics")->body;
    cr_assert_not_null(strstr(page, "sallyport_http_requests_total{route=\"a.test\","
                                    "method=\"GET\",code=\"2xx\"} 3\n"),
                       "%s", page);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- trailers -----------------------------------------------------------------------------------
 */

Test(h2_requests, trailers_of_a_response)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_reply(scene.origin, "/x",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
                     "5\r\nhello\r\n0\r\nX-End: yes\r\nX-Sum: 5\r\n\r\n");
    uint32_t stream = h2_get(client, "/x");
    struct message *response = h2_response(client, stream);
    expect_body(response, "hello");
    expect_no_field(response, "transfer-encoding");
    cr_assert(h2_stream(client, stream)->has_trailers);
    cr_assert_str_eq(message_trailer(response, "x-end"), "yes");
    cr_assert_str_eq(message_trailer(response, "x-sum"), "5");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* There is no DATA to hang them on. */
Test(h2_requests, trailers_of_an_empty_response)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_reply(
        scene.origin, "/x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-End: yes\r\n\r\n");
    struct message *response = h2_expect_response(client, h2_get(client, "/x"), 200);
    cr_assert_eq(response->body_bytes, 0);
    cr_assert_str_eq(message_trailer(response, "x-end"), "yes");
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_requests, trailers_of_a_request)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_script(scene.origin, NULL, origin_echo, NULL);
    uint32_t stream = h2_send_request(
        client, &(struct h2_request){.body = "hello",
                                     .fields = H2_FIELDS("te", "trailers", "trailer", "x-end"),
                                     .trailers = H2_FIELDS("x-end", "yes", "x-sum", "5")});
    struct message *response = h2_response(client, stream);
    expect_body(response, "hello");
    cr_assert_str_eq(message_trailer(response, "x-sum"), "5");
    struct message *seen = origin_finished_request(scene.origin, 0);
    cr_assert_eq(seen->framing, FRAMING_CHUNKED);
    cr_assert_str_eq(message_trailer(seen, "x-end"), "yes");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* Of a length that is known, or not. */
Test(h2_requests, bodies_of_requests_are_framed_for_the_backend)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    h2_expect_response(client, h2_send_request(client, &(struct h2_request){.body = "hello"}), 200);
    cr_assert_eq(origin_finished_request(scene.origin, 0)->framing, FRAMING_CHUNKED);
    expect_body(origin_finished_request(scene.origin, 0), "hello");
    h2_expect_response(
        client,
        h2_send_request(client, &(struct h2_request){.body = "hello",
                                                     .fields = H2_FIELDS("content-length", "5")}),
        200);
    cr_assert_eq(origin_finished_request(scene.origin, 1)->framing, FRAMING_LENGTH);
    expect_body(origin_finished_request(scene.origin, 1), "hello");
    h2_expect_response(client, h2_get(client, "/"), 200);
    cr_assert_eq(origin_finished_request(scene.origin, 2)->framing, FRAMING_NONE);
    expect_no_field(origin_finished_request(scene.origin, 2), "transfer-encoding");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- interim responses --------------------------------------------------------------------------
 */

Test(h2_requests, early_hints_come_first)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_steps(
        scene.origin, "/x",
        &(struct h2_steps){.list = {{NULL, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"},
                                    {NULL, "HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n"},
                                    {gate, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}}});
    uint32_t stream = h2_get(client, "/x");
    while (h2_stream(client, stream)->interim_count < 2)
        cr_assert(h2_read_frame(client, &(struct h2_frame){0}));
    cr_assert_eq(h2_stream(client, stream)->interim->status, 103);
    expect_field(h2_stream(client, stream)->interim, "link", "</b.css>");
    h2_expect_waiting(client, stream);
    gate_open(gate);
    struct message *response = h2_response(client, stream);
    expect_body(response, "ok");
    expect_no_field(response, "link");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- responses without a body -------------------------------------------------------------------
 */

static void expect_bare(struct h2_client *client, const char *method, const char *path, int status,
                        const char *length)
{
    uint32_t stream = h2_send_request(client, &(struct h2_request){.method = method, .path = path});
    struct message *response = h2_expect_response(client, stream, status);

    cr_assert_eq(h2_stream(client, stream)->data_frames, 0, "%s %s has DATA", method, path);
    if (length != NULL)
        expect_field(response, "content-length", length);
    else
        expect_no_field(response, "content-length");
    expect_no_field(response, "transfer-encoding");
}

Test(h2_requests, responses_without_a_body_have_no_data)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    origin_set_reply(scene.origin, "/length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    origin_set_reply(scene.origin, "/chunked",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    origin_set_reply(scene.origin, "/204", "HTTP/1.1 204 No Content\r\n\r\n");
    origin_set_reply(scene.origin, "/304",
                     "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n");
    expect_bare(client, "HEAD", "/length", 200, "5");
    expect_bare(client, "HEAD", "/chunked", 200, NULL);
    expect_bare(client, "GET", "/204", 204, NULL);
    expect_bare(client, "GET", "/304", 304, "5");
    h2_expect_from(client, h2_get(client, "/"), "one");
    cr_assert_eq(origin_connections(scene.origin), 1);
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* --- the gateway's own --------------------------------------------------------------------------
 */

Test(h2_requests, own_answers)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'paths': { '/r': { 'redirect': 'https://b.test{uri}' },"
        "  '=/ok': { 'respond': { 'headers': { 'X-Own': 'yes' }, 'body': 'ok' } } } } } }");
    struct h2_client *client = h2_open(gateway, NULL);
    struct message *response = h2_expect_response(client, h2_get(client, "/ok"), 200);

    expect_body(response, "ok");
    expect_field(response, "x-own", "yes");
    expect_field(response, "content-length", "2");
    response = h2_expect_response(client, h2_get(client, "/r/x?y"), 308);
    expect_field(response, "location", "https://b.test/r/x?y");
    expect_refusal(h2_response(client, h2_get(client, "/none")), 404, "no_route");
    uint32_t stream = h2_send_request(
        client,
        &(struct h2_request){.path = "/no", .fields = H2_FIELDS("accept", "application/json")});
    response = h2_response(client, stream);
    expect_refusal(response, 404, "\"no_route\"");
    expect_field(response, "content-type", "application/json");
    cr_assert_not_null(message_field(response, "x-request-id"));
    expect_no_field(response, "connection");
    stream = h2_send_request(client, &(struct h2_request){.method = "HEAD", .path = "/ok"});
    expect_field(h2_expect_response(client, stream, 200), "content-length", "2");
    cr_assert_eq(h2_stream(client, stream)->data_frames, 0);
    h2_close(client);
    gateway_stop(gateway);
}

static char *long_text(size_t length)
{
    char *made = text("%*s", (int)length, "");

    memset(made, 'a', length);
    return made;
}

/* However little of it is understood. */
Test(h2_requests, refused_head_requests_get_no_body)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    const struct {
        struct h2_request request;
        int status;
    } refused[] = {
        {{.path = "/a/../b"}, 400},
        {{.path = "/%00"}, 400},
        {{.path = text("/%s", long_text(17000))}, 414},
        {{.fields = H2_FIELDS("x_y", "1")}, 400},
        {{.fields = H2_FIELDS("x-large", long_text(33000))}, 431},
        {{.authority = "unknown.test"}, 404},
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct h2_request request = refused[i].request;
        request.method = "HEAD";
        uint32_t stream = h2_send_request(client, &request);
        struct message *response = h2_response(client, stream);
        cr_expect_eq(response->status, refused[i].status, "%zu: %d", i, response->status);
        cr_expect_eq(h2_stream(client, stream)->data_bytes, 0, "%zu has a body", i);
    }
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* What is too large is told to its stream alone. */
Test(h2_requests, heads_that_are_too_large_end_their_stream_alone)
{
    struct h2_scene scene = h2_scene_start("'defaults': { 'limits': { 'header_bytes': '4KiB', "
                                           "'request_line': '1KiB', 'headers': 20 } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();
    const char *many[2 * 30 + 1] = {NULL};

    for (int i = 0; i < 30; i++) {
        many[2 * i] = text("x-%d", i);
        many[2 * i + 1] = "1";
    }
    h2_script_tell_at(scene.origin, "/slow", gate);
    uint32_t slow = h2_get(client, "/slow");
    uint32_t large = h2_send_request(
        client, &(struct h2_request){.fields = H2_FIELDS("x-large", long_text(8000))});
    expect_refusal(h2_response(client, large), 431, "header_too_large");
    uint32_t crowded = h2_send_request(client, &(struct h2_request){.fields = many});
    expect_refusal(h2_response(client, crowded), 431, "header_too_large");
    uint32_t far = h2_get(client, text("/%s", long_text(2000)));
    expect_refusal(h2_response(client, far), 414, "uri_too_long");
    h2_expect_from(client, h2_get(client, "/"), "one");
    gate_open(gate);
    h2_expect_from(client, slow, "one");
    cr_assert_eq(origin_requests(scene.origin), 2);
    h2_close(client);
    gateway_stop(scene.gateway);
}
