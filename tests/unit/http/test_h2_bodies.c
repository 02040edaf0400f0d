/* Requests and responses on a connection of HTTP/2: bodies and windows, trailers, resets, and what
 * is wrong with a request. The connection's own life is shown by test_h2_connection.c. */
#include "support/h2_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void start(void)
{
    h2_fixture_start(NULL, 0);
}

TestSuite(h2_bodies, .init = start, .fini = h2_fixture_clear);

/* With a client that has these windows, for a stream and for the connection. */
static void restart(uint32_t window, bool keeps_windows)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};

    h2_fixture_clear();
    h2_fixture_start(settings, 1);
    h2.peer->keeps_windows = keeps_windows;
    h2_settle();
}

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

static char much[2 * 1024 * 1024];

static struct slice bytes_of(size_t length)
{
    for (size_t i = 0; i < length; i++)
        much[i] = (char)(i * 2654435761u >> 24);
    return slice_make(much, length);
}

static void send(struct slice bytes, bool last)
{
    h2_peer_send(h2.peer, peer, bytes, last);
    h2_settle();
}

/* --- bodies that come ------------------------------------------------------------------------- */

Test(h2_bodies, body_in_pieces)
{
    struct h2_request *request = take_post();
    unsigned wakes = request->wakes;

    cr_expect_eq(request->head.framing, BODY_CHUNKED);
    cr_expect_eq(h2_read(request), IO_WAIT);
    send(slice_of("abc"), false);
    cr_expect_gt(request->wakes, wakes);
    cr_expect_eq(h2_read(request), IO_WAIT);
    send(slice_of("de"), true);
    cr_expect_eq(h2_read(request), IO_EOF);
    expect_text(&request->body, "abcde");
    cr_expect_eq(request->http->bytes_read, 5);
    h2_respond(request, "");
    cr_expect(peer->has_ended && !peer->was_reset);
}

Test(h2_bodies, body_that_nobody_reads_stays_with_the_client)
{
    enum { LENGTH = 400 * 1000 };
    struct h2_request *request = take_post();

    send(bytes_of(LENGTH), true);
    cr_expect_eq(buffer_length(&h2_stream_of(request->http)->in), H2_STREAM_WINDOW);
    cr_expect_eq(buffer_length(&peer->sends), LENGTH - H2_STREAM_WINDOW);
    while (h2_read(request) == IO_WAIT)
        h2_settle();
    cr_expect(slice_equal(buffer_content(&request->body), bytes_of(LENGTH)));
    cr_expect_eq(buffer_length(&peer->sends), 0);
}

Test(h2_bodies, window_grows_for_who_keeps_up)
{
    struct h2_request *request = take_post();
    const struct h2_stream *stream = h2_stream_of(request->http);

    send(bytes_of(sizeof(much)), false);
    for (int i = 0; i < 1000 && buffer_length(&request->body) < sizeof(much); i++) {
        cr_expect_eq(h2_read(request), IO_WAIT);
        h2_settle();
    }
    cr_expect_gt(stream->window, H2_STREAM_WINDOW);
    cr_expect_leq(stream->window, H2_STREAM_WINDOW_MAX);
    send(bytes_of(sizeof(much)), false);
    cr_expect_leq(buffer_length(&stream->in), H2_STREAM_WINDOW_MAX);
    cr_expect_gt(buffer_length(&stream->in), H2_STREAM_WINDOW);
}

Test(h2_bodies, uploads_that_nobody_reads_hold_up_no_other)
{
    enum { MANY = 40 };
    struct h2_request *request, *unread[MANY];

    for (int i = 0; i < MANY; i++) {
        unread[i] = take_post();
        send(bytes_of(100 * 1000), true);
    }
    request = take_post();
    send(bytes_of(1000 * 1000), true);
    for (int i = 0; i < 100 && h2_read(request) == IO_WAIT; i++)
        h2_settle();
    cr_expect(slice_equal(buffer_content(&request->body), bytes_of(1000 * 1000)));
    for (int i = 0; i < MANY; i++)
        cr_expect_eq(buffer_length(&h2_stream_of(unread[i]->http)->in), H2_STREAM_WINDOW);
}

Test(h2_bodies, windows_grow_for_all_together)
{
    enum { MANY = 10 };
    struct h2_request *requests[MANY];
    struct h2_peer_stream *peers[MANY];
    size_t sum = 0;

    for (int i = 0; i < MANY; i++) {
        requests[i] = take_post();
        peers[i] = peer;
    }
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < MANY; i++) {
            peer = peers[i];
            send(bytes_of(60 * 1000), false);
            h2_read(requests[i]);
            buffer_clear(&requests[i]->body);
        }
    for (int i = 0; i < MANY; i++)
        sum += h2_stream_of(requests[i]->http)->window;
    cr_expect_gt(sum, MANY * H2_STREAM_WINDOW);
    cr_expect_leq(sum, MANY * H2_STREAM_WINDOW + H2_CONNECTION_WIDENED);
}

Test(h2_bodies, length_that_is_kept)
{
    struct h2_request *request;

    peer = h2_peer_ask(h2.peer, HEAD_OF("POST") "content-length: 5\n", false);
    request = h2_take();
    cr_expect_eq(request->head.framing, BODY_LENGTH);
    cr_expect_eq(request->head.content_length, 5);
    send(slice_of("abcde"), true);
    cr_expect_eq(h2_read(request), IO_EOF);
    expect_text(&request->body, "abcde");
}

static void expect_malformed(struct h2_request *request)
{
    cr_expect_eq(h2_read(request), IO_ERROR);
    cr_expect_eq(request->http->reason, REASON_BAD_REQUEST);
    cr_expect(peer->was_reset);
    cr_expect_eq(peer->reset_code, NGHTTP2_PROTOCOL_ERROR);
    cr_expect_eq(h2.state, H2_BUSY, "the connection goes on");
}

Test(h2_bodies, length_that_is_not_kept)
{
    static const char *const bodies[] = {"abcd", "abcdef"};

    for (int i = 0; i < 2; i++) {
        struct h2_request *request;

        peer = h2_peer_ask(h2.peer, HEAD_OF("POST") "content-length: 5\n", false);
        request = h2_take();
        send(slice_of(bodies[i]), true);
        expect_malformed(request);
    }
}

Test(h2_bodies, trailers_that_come)
{
    struct h2_request *request = take_post();

    send(slice_of("abc"), false);
    h2_peer_send_trailers(h2.peer, peer, "x-sum: 3\n");
    h2_settle();
    cr_expect_eq(h2_read(request), IO_EOF);
    cr_assert_eq(request->http->trailers.count, 1);
    cr_expect(slice_equal(request->http->trailers.list[0].name, slice_of("x-sum")));
    cr_expect(slice_equal(request->http->trailers.list[0].value, slice_of("3")));
}

Test(h2_bodies, trailers_that_come_with_the_head)
{
    struct h2_request *request;

    peer = h2_peer_ask(h2.peer, HEAD_OF("POST"), false);
    h2_peer_send(h2.peer, peer, slice_of("abc"), false);
    h2_peer_send_trailers(h2.peer, peer, "x-sum: 3\n");
    request = h2_take();
    cr_expect_eq(h2_read(request), IO_EOF);
    expect_text(&request->body, "abc");
    cr_assert_eq(request->http->trailers.count, 1);
    cr_expect(h2.connection->sections.base == NULL);
}

Test(h2_bodies, trailers_that_are_malformed)
{
    struct h2_request *request = take_post();

    h2_peer_send_trailers(h2.peer, peer, ":path: /\n");
    h2_settle();
    expect_malformed(request);
}

/* --- bodies that go --------------------------------------------------------------------------- */

Test(h2_bodies, response_of_unknown_length_with_trailers)
{
    struct h2_request *request = take_get();
    struct http_fields trailers = {0};
    size_t taken;

    cr_expect_eq(h2_write_head(request, 200, BODY_CHUNKED, 0), IO_OK);
    h2_write(request, slice_of("abc"), false);
    http_fields_add(&trailers, &request->arena, slice_of("X-Sum"), slice_of("3"));
    request->http->trailers_out = &trailers;
    cr_expect_eq(request->http->ops->write_body(request->http, slice_make(NULL, 0), true, &taken),
                 IO_OK);
    h2_end(request, HTTP_END_REUSE);
    h2_settle();
    expect_text(&peer->head, ":status: 200\n");
    expect_text(&peer->body, "abc");
    expect_text(&peer->trailers, "x-sum: 3\n");
    cr_expect(peer->has_ended && !peer->was_reset);
}

Test(h2_bodies, no_more_is_taken_than_the_window_lets_go)
{
    struct h2_request *request;

    restart(1000, true);
    request = take_get();
    cr_expect_eq(h2_write_head(request, 200, BODY_CHUNKED, 0), IO_OK);
    cr_expect_eq(h2_write_some(request, bytes_of(5000)), 1000);
    h2_settle();
    cr_expect_eq(h2_write_some(request, slice_make(much + 1000, 4000)), 0);
    h2_settle();
    request->wakes = 0;
    h2_peer_read(h2.peer, peer, 600); /* more than half: WINDOW_UPDATE */
    h2_settle();
    cr_expect_gt(request->wakes, 0);
    cr_expect_eq(h2_write_some(request, slice_make(much + 1000, 4000)), 600);
    h2_settle();
    cr_expect(slice_equal(buffer_content(&peer->body), slice_make(much, 1600)));
}

Test(h2_bodies, one_window_of_the_connection_is_shared)
{
    enum { DEFAULT = 65535 };
    struct h2_request *first, *second;

    restart(1000 * 1000, true);
    first = take_get();
    second = take_get();
    cr_expect_eq(h2_write_head(first, 200, BODY_CHUNKED, 0), IO_OK);
    cr_expect_eq(h2_write_head(second, 200, BODY_CHUNKED, 0), IO_OK);
    cr_expect_eq(h2_write_some(first, bytes_of(60000)), 60000);
    cr_expect_eq(h2_write_some(second, bytes_of(60000)), DEFAULT - 60000);
    h2_settle();
    h2_peer_read(h2.peer, &h2.peer->streams[0], 60000);
    second->wakes = 0;
    h2_settle();
    cr_expect_gt(second->wakes, 0);
    cr_expect_gt(h2_write_some(second, bytes_of(60000)), 50000);
}

/* A socket that takes nothing: so much of all responses waits here, and no more. */
Test(h2_bodies, little_waits_for_a_client_that_does_not_read)
{
    enum { MANY = 20 };
    struct h2_request *requests[MANY];
    size_t taken[MANY], sum = 0;

    restart(INT32_MAX, false);
    for (int i = 0; i < 8; i++) /* the connection's window */
        nghttp2_submit_window_update(h2.peer->session, NGHTTP2_FLAG_NONE, 0, 100 * 1000 * 1000);
    for (int i = 0; i < MANY; i++) {
        requests[i] = take_get();
        cr_expect_eq(h2_write_head(requests[i], 200, BODY_CHUNKED, 0), IO_OK);
    }
    h2_settle();
    h2.fake->room = 0;
    for (int i = 0; i < MANY; i++) {
        taken[i] = h2_write_some(requests[i], bytes_of(1000 * 1000));
        sum += taken[i];
    }
    cr_expect_eq(taken[0], H2_STREAM_HOLD_MAX);
    cr_expect_eq(taken[MANY - 1], H2_STREAM_HOLD);
    cr_expect_leq(sum, H2_CONNECTION_HOLD + MANY * H2_STREAM_HOLD);
    fake_stream_take(h2.fake, SIZE_MAX / 2);
    h2_settle();
    for (int i = 0; i < MANY; i++)
        cr_expect_eq(buffer_length(&h2.peer->streams[i].body), taken[i]);
}

Test(h2_bodies, long_response_through_a_narrow_socket)
{
    struct h2_request *request;

    restart(100 * 1000, false);
    request = take_get();
    h2.fake->write_step = 1000;
    h2.fake->write_waits = true;
    cr_expect_eq(h2_write_head(request, 200, BODY_LENGTH, 1000 * 1000), IO_OK);
    h2_write(request, bytes_of(1000 * 1000), true);
    h2_end(request, HTTP_END_REUSE);
    h2_settle();
    cr_expect(slice_equal(buffer_content(&peer->body), bytes_of(1000 * 1000)));
    cr_expect(peer->has_ended);
    cr_expect(h2_holds_no_buffer());
}

Test(h2_bodies, flush_is_over_when_the_end_has_left)
{
    struct h2_request *request = take_get();

    h2.fake->room = 10;
    cr_expect_eq(h2_write_head(request, 200, BODY_LENGTH, 5), IO_OK);
    h2_write(request, slice_of("hello"), true);
    cr_expect_eq(request->http->ops->flush(request->http), IO_WAIT);
    h2_settle();
    cr_expect_eq(request->http->ops->flush(request->http), IO_WAIT);
    request->wakes = 0;
    fake_stream_take(h2.fake, 1000);
    h2_settle();
    cr_expect_gt(request->wakes, 0);
    cr_expect_eq(request->http->ops->flush(request->http), IO_OK);
}

Test(h2_bodies, responses_without_a_body)
{
    static const struct {
        const char *method;
        int status;
        const char *head;
    } cases[] = {
        {"HEAD", 200, ":status: 200\ncontent-length: 5\n"},
        {"GET", 304, ":status: 304\ncontent-length: 5\n"},
        {"GET", 204, ":status: 204\n"},
    };

    for (int i = 0; i < 3; i++) {
        struct h2_request *request;
        char lines[100];

        snprintf(lines, sizeof(lines), ":method: %s\n:scheme: https\n:path: /\n:authority: a\n",
                 cases[i].method);
        peer = h2_peer_ask(h2.peer, lines, true);
        request = h2_take();
        cr_expect_eq(h2_write_head(request, cases[i].status, BODY_LENGTH, 5), IO_OK);
        h2_write(request, slice_of("hello"), true);
        h2_end(request, HTTP_END_REUSE);
        h2_settle();
        expect_text(&peer->head, cases[i].head);
        cr_expect(peer->has_ended && !peer->was_reset);
        cr_expect_eq(buffer_length(&peer->body), 0);
        cr_expect_eq(peer->data_frames, 0);
    }
}

Test(h2_bodies, interim_responses)
{
    struct h2_request *request;

    peer = h2_peer_ask(h2.peer, HEAD_OF("POST") "expect: 100-continue\n", false);
    request = h2_take();
    cr_expect(request->head.expects_continue);
    h2_settle();
    cr_expect_eq(buffer_length(&peer->interims), 0, "not before it is asked for");
    cr_expect_eq(h2_read(request), IO_WAIT);
    cr_expect_eq(h2_read(request), IO_WAIT);
    h2_settle();
    expect_text(&peer->interims, ":status: 100\n");
    send(slice_of("abc"), true);
    cr_expect_eq(h2_read(request), IO_EOF);
    cr_expect_eq(h2_write_head(request, 103, BODY_NONE, 0), IO_OK);
    cr_expect_eq(request->http->ops->flush(request->http), IO_OK);
    h2_settle();
    expect_text(&peer->interims, ":status: 100\n:status: 103\n");
    h2_respond(request, "hello");
    expect_text(&peer->body, "hello");
}

Test(h2_bodies, refused_body_is_not_asked_for)
{
    struct h2_request *request;

    peer = h2_peer_ask(h2.peer, HEAD_OF("POST") "expect: 100-continue\n", false);
    request = h2_take();
    h2_respond(request, "no");
    cr_expect_eq(buffer_length(&peer->interims), 0);
    expect_text(&peer->body, "no");
}
