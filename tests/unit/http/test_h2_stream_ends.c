/* How requests on a connection of HTTP/2 end, in order or not, and what is wrong with some. Their
 * bodies are shown by test_h2_bodies.c. */
#include "support/h2_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void start(void)
{
    h2_fixture_start(NULL, 0);
}

TestSuite(h2_stream_ends, .init = start, .fini = h2_fixture_clear);

#define HEAD_OF(method) ":method: " method "\n:scheme: https\n:path: /\n:authority: a.test\n"

static struct h2_peer_stream *peer;

static struct h2_request *take_post(void)
{
    peer = h2_peer_ask(h2.peer, HEAD_OF("POST"), false);
    return h2_take();
}

static struct h2_request *take_get(void)
{
    peer = h2_peer_get(h2.peer);
    return h2_take();
}

static char much[1000 * 1000];

static void send(struct slice bytes, bool last)
{
    h2_peer_send(h2.peer, peer, bytes, last);
    h2_settle();
}

/* --- tunnels ---------------------------------------------------------------------------------- */

Test(h2_stream_ends, tunnel_both_ways)
{
    struct h2_request *request;

    peer = h2_peer_ask(h2.peer,
                       ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /chat\n"
                       ":authority: a.test\nsec-websocket-version: 13\n",
                       false);
    request = h2_take();
    cr_expect(request->head.needs_upgrade);
    cr_expect_eq(request->head.method, METHOD_GET);
    cr_expect_eq(h2_read(request), IO_EOF);
    cr_expect_eq(h2_write_head(request, 101, BODY_CLOSE, 0), IO_OK);
    request->http->ops->flush(request->http);
    h2_settle();
    expect_text(&peer->head, ":status: 200\n");
    send(slice_of("ping"), false);
    cr_expect_eq(h2_read(request), IO_WAIT);
    expect_text(&request->body, "ping");
    h2_write(request, slice_of("pong"), false);
    h2_settle();
    expect_text(&peer->body, "pong");
    send(slice_make(NULL, 0), true);
    cr_expect_eq(h2_read(request), IO_EOF);
    h2_write(request, slice_make(NULL, 0), true);
    h2_end(request, HTTP_END_CLOSE);
    h2_settle();
    cr_expect(peer->has_ended && !peer->was_reset);
    cr_expect_eq(h2.state, H2_IDLE, "only the stream ends");
}

/* --- ends ------------------------------------------------------------------------------------- */

Test(h2_stream_ends, cut_response_is_a_reset)
{
    struct h2_request *request = take_get();

    cr_expect_eq(h2_write_head(request, 200, BODY_LENGTH, 100), IO_OK);
    h2_write(request, slice_of("hello"), false);
    h2_end(request, HTTP_END_ABORT);
    h2_settle();
    expect_text(&peer->body, "hello");
    cr_expect(peer->was_reset && !peer->has_ended);
    cr_expect_neq(peer->reset_code, NGHTTP2_NO_ERROR);
    cr_expect_eq(h2.state, H2_IDLE);
    take_get();
}

Test(h2_stream_ends, early_response_ends_the_upload)
{
    struct h2_request *request = take_post();

    send(slice_make(much, 400 * 1000), false);
    h2_respond(request, "enough");
    expect_text(&peer->body, "enough");
    cr_expect(peer->has_ended);
    cr_expect(peer->was_reset);
    cr_expect_eq(peer->reset_code, NGHTTP2_NO_ERROR);
    cr_expect_eq(h2.state, H2_IDLE);
    /* What it sent meanwhile takes nothing from those who follow. */
    request = take_post();
    send(slice_make(much, sizeof(much)), true);
    while (h2_read(request) == IO_WAIT)
        h2_settle();
    cr_expect_eq(buffer_length(&request->body), 1000 * 1000);
}

Test(h2_stream_ends, client_calls_off_an_upload)
{
    struct h2_request *request = take_post();
    unsigned wakes;

    send(slice_of("abc"), false);
    wakes = request->wakes;
    h2_peer_reset(h2.peer, peer, NGHTTP2_CANCEL);
    h2_settle();
    cr_expect_gt(request->wakes, wakes);
    cr_expect_eq(h2_read(request), IO_ERROR);
    cr_expect_eq(request->http->reason, REASON_CLIENT_CLOSED);
    cr_expect_eq(h2_write_head(request, 200, BODY_NONE, 0), IO_ERROR);
    h2_end(request, HTTP_END_ABORT);
    h2_settle();
    cr_expect_eq(h2.state, H2_IDLE);
}

Test(h2_stream_ends, client_calls_off_a_response)
{
    struct h2_request *request = take_get();
    size_t taken;

    cr_expect_eq(request->http->client->watch(request->http), IO_WAIT);
    cr_expect_eq(h2_write_head(request, 200, BODY_CHUNKED, 0), IO_OK);
    h2_write(request, slice_of("abc"), false);
    h2_settle();
    request->wakes = 0;
    h2_peer_reset(h2.peer, peer, NGHTTP2_CANCEL);
    h2_settle();
    cr_expect_gt(request->wakes, 0);
    cr_expect_eq(request->http->client->watch(request->http), IO_ERROR);
    cr_expect_eq(request->http->ops->write_body(request->http, slice_of("de"), false, &taken),
                 IO_ERROR);
    cr_expect_eq(request->http->ops->flush(request->http), IO_ERROR);
    h2_end(request, HTTP_END_ABORT);
    h2_settle();
    cr_expect_eq(h2.state, H2_IDLE);
    cr_expect_eq(h2.connection->held, 0);
}

/* The client breaks the rules when all of its request is there: its response, which may be long, is
 * not taken from a backend for nobody. */
Test(h2_stream_ends, client_makes_its_stream_impossible)
{
    static const char update[] = "\0\0\x04\x08\0\0\0\0\x01\x7f\xff\xff\xff";
    struct h2_request *request = take_get();
    size_t taken;

    cr_expect_eq(h2_write_head(request, 200, BODY_CHUNKED, 0), IO_OK);
    h2_write(request, slice_of("abc"), false);
    h2_peer_send_raw(h2.peer, update, sizeof(update) - 1);
    h2_settle();
    cr_expect(peer->was_reset);
    cr_expect_eq(request->http->ops->write_body(request->http, slice_of("de"), false, &taken),
                 IO_ERROR);
    h2_end(request, HTTP_END_ABORT);
}

Test(h2_stream_ends, called_off_before_anybody_saw_it)
{
    peer = h2_peer_get(h2.peer);
    nghttp2_submit_rst_stream(h2.peer->session, NGHTTP2_FLAG_NONE, peer->id, NGHTTP2_CANCEL);
    h2_settle();
    cr_expect_eq(h2.request_count, 0);
    cr_expect_eq(h2.state, H2_IDLE);
    cr_expect_eq(h2.connection->stream_count, 0);
}

/* --- what is wrong with a request ------------------------------------------------------------- */

Test(h2_stream_ends, malformed_requests_are_reset)
{
    static const char *const heads[] = {
        ":method: GET\n:scheme: https\n:authority: a.test\n",
        HEAD_OF("GET") "connection: close\n",
        HEAD_OF("GET") "te: gzip\n",
        HEAD_OF("GET") "transfer-encoding: chunked\n",
        HEAD_OF("GET") ":path: /\n",
        HEAD_OF("GET") ":unknown: 1\n",
        HEAD_OF("POST") "content-length: 5\ncontent-length: 5\n",
        ":method: CONNECT\n:scheme: https\n:path: /\n:authority: a.test\n",
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        unsigned before = h2.request_count;

        peer = h2_peer_ask(h2.peer, heads[i], true);
        h2_settle();
        if (h2.request_count > before) {
            struct h2_request *request = &h2.requests[h2.taken++];
            struct http_stream *http = request->http;

            cr_expect_eq(http->ops->read_head(http, &request->arena, &request->head), IO_ERROR,
                         "%s", heads[i]);
            cr_expect_eq(http->reason, REASON_BAD_REQUEST, "%s", heads[i]);
            /* It would be told so, but for the reset. */
            cr_expect_eq(h2_write_head(request, 400, BODY_LENGTH, 3), IO_OK);
            h2_write(request, slice_of("bad"), true);
            cr_expect_eq(http->ops->flush(http), IO_OK);
            http->ops->end(http, HTTP_END_CLOSE);
            request->http = NULL;
        }
        h2_settle();
        cr_expect(peer->was_reset, "%s", heads[i]);
        cr_expect_eq(peer->reset_code, NGHTTP2_PROTOCOL_ERROR, "%s", heads[i]);
        cr_expect_eq(buffer_length(&peer->head), 0, "%s", heads[i]);
    }
    cr_expect_eq(h2.state, H2_IDLE);
    take_get();
}

static void expect_verdict(const char *head, enum http_reason reason)
{
    struct h2_request *request;
    struct http_stream *http;

    peer = h2_peer_ask(h2.peer, head, true);
    h2_settle();
    cr_assert_lt(h2.taken, h2.request_count, "it is to be answered");
    request = &h2.requests[h2.taken++];
    http = request->http;
    cr_expect_eq(http->ops->read_head(http, &request->arena, &request->head), IO_ERROR);
    cr_expect_eq(http->reason, reason);
    h2_respond(request, "verdict");
    expect_text(&peer->body, "verdict");
    cr_expect(!peer->was_reset);
    cr_expect_eq(h2.state, H2_IDLE);
    cr_expect(h2_holds_no_buffer());
}

static char head[200 * 1000];

Test(h2_stream_ends, field_sections_over_the_limits_are_answered)
{
    char *at;

    h2.limits.fields = 20;
    h2.limits.head_bytes = 2000;
    h2.limits.request_line = 500;

    at = head + sprintf(head, "%s", HEAD_OF("GET"));
    for (int i = 0; i < 30; i++)
        at += sprintf(at, "x-%d: y\n", i);
    expect_verdict(head, REASON_HEADER_TOO_LARGE);

    at = head + sprintf(head, "%sx-long: ", HEAD_OF("GET"));
    memset(at, 'y', 3000);
    memcpy(at + 3000, "\n", 2);
    expect_verdict(head, REASON_HEADER_TOO_LARGE);

    at = head + sprintf(head, ":method: GET\n:scheme: https\n:authority: a.test\n:path: /");
    memset(at, 'y', 600);
    memcpy(at + 600, "\n", 2);
    expect_verdict(head, REASON_URI_TOO_LONG);
    take_get();
}

Test(h2_stream_ends, field_sections_without_end_end_the_connection)
{
    char *at;

    h2.limits.head_bytes = 2000;
    at = head + sprintf(head, "%s", HEAD_OF("GET"));
    for (int i = 0; i < 6; i++) {
        at += sprintf(at, "x-long: ");
        memset(at, 'y', 3000);
        memcpy(at + 3000, "\n", 2);
        at += 3001;
    }
    peer = h2_peer_ask(h2.peer, head, true);
    h2_settle();
    cr_assert_eq(h2.peer->goaway_count, 1);
    cr_expect_eq(h2.peer->goaways[0].code, NGHTTP2_ENHANCE_YOUR_CALM);
    cr_expect_eq(h2.state, H2_CLOSING);
}
