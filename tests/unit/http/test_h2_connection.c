/* An HTTP/2 connection to a client, from its greeting to its end. What becomes of single requests
 * is shown by test_h2_bodies.c and test_h2_stream_ends.c. */
#include "support/h2_fixture.h"

#include <criterion/criterion.h>

static void start(void)
{
    h2_fixture_start(NULL, 0);
}

TestSuite(h2_connection, .init = start, .fini = h2_fixture_clear);

/* --- one after the other, and at once --------------------------------------------------------- */

Test(h2_connection, request_and_response)
{
    struct h2_peer_stream *stream =
        h2_peer_ask(h2.peer,
                    ":method: GET\n:scheme: https\n:path: /a//b?c\n:authority: A.test:8443\n"
                    "x-one: 1\n",
                    true);
    struct h2_request *request = h2_take();

    cr_expect_eq(h2.state, H2_BUSY);
    cr_expect_eq(request->head.method, METHOD_GET);
    cr_expect(slice_equal(request->head.path, slice_of("/a/b")));
    cr_expect(slice_equal(request->head.query, slice_of("?c")));
    cr_expect(slice_equal(request->head.host, slice_of("a.test")));
    cr_expect_eq(request->head.host_port, 8443);
    cr_expect_eq(request->head.fields.count, 1);
    cr_expect_eq(h2_read(request), IO_EOF);
    h2_respond(request, "hello");
    expect_text(&stream->head, ":status: 200\ncontent-length: 5\n");
    expect_text(&stream->body, "hello");
    cr_expect(stream->has_ended && !stream->was_reset);
    cr_expect_eq(h2.state, H2_IDLE);
}

Test(h2_connection, says_what_it_takes)
{
    h2_settle();
    cr_expect_eq(h2.peer->settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], H2_STREAMS_MAX);
    cr_expect_eq(h2.peer->settings[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE], H2_STREAM_WINDOW);
    cr_expect_eq(h2.peer->settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], h2.limits.head_bytes);
    cr_expect_eq(h2.peer->settings[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL], 1);
    cr_expect_eq(h2.peer->settings[NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES], 1);
    cr_expect_eq(nghttp2_session_get_remote_window_size(h2.peer->session), H2_CONNECTION_WINDOW);
}

Test(h2_connection, who_is_idle_holds_no_buffer)
{
    h2_settle();
    cr_expect(h2_holds_no_buffer());
    h2_peer_get(h2.peer);
    h2_respond(h2_take(), "hello");
    cr_expect_eq(h2.state, H2_IDLE);
    cr_expect(h2_holds_no_buffer());
    cr_expect_eq(h2.connection->stream_count, 0);
}

Test(h2_connection, a_request_that_waits_holds_no_buffer)
{
    struct h2_request *request;

    h2_peer_get(h2.peer);
    request = h2_take();
    h2_settle();
    cr_expect(h2_holds_no_buffer());
    cr_expect_null(h2_stream_of(request->http)->in.base);
    cr_expect_null(h2_stream_of(request->http)->out.base);
}

Test(h2_connection, byte_by_byte_with_waiting_between)
{
    struct h2_peer_stream *stream;

    h2.fake->read_step = h2.fake->write_step = 1;
    h2.fake->read_waits = h2.fake->write_waits = true;
    stream = h2_peer_get(h2.peer);
    h2_respond(h2_take(), "hello");
    expect_text(&stream->body, "hello");
    cr_expect_eq(h2.state, H2_IDLE);
}

Test(h2_connection, what_many_write_in_a_round_leaves_together)
{
    enum { MANY = 20 };
    struct h2_peer_stream *streams[MANY];
    struct h2_request *requests[MANY];
    unsigned before;

    for (int i = 0; i < MANY; i++)
        streams[i] = h2_peer_get(h2.peer);
    for (int i = 0; i < MANY; i++)
        requests[i] = h2_take();
    before = h2.fake->writes;
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(h2_write_head(requests[i], 200, BODY_LENGTH, 5), IO_OK);
        h2_write(requests[i], slice_of("hello"), true);
    }
    h2_settle();
    cr_expect_eq(h2.fake->writes, before + 1);
    for (int i = 0; i < MANY; i++) {
        expect_text(&streams[i]->body, "hello");
        cr_expect_eq(streams[i]->data_frames, 1);
        h2_end(requests[i], HTTP_END_REUSE);
    }
}

Test(h2_connection, no_more_at_once_than_it_said)
{
    struct h2_peer_stream *last = NULL;

    for (int i = 0; i < H2_STREAMS_MAX + 1; i++)
        last = h2_peer_get(h2.peer); /* before its SETTINGS were seen */
    h2_settle();
    cr_expect_eq(h2.request_count, H2_STREAMS_MAX);
    cr_expect(last->was_reset);
    cr_expect_eq(last->reset_code, NGHTTP2_REFUSED_STREAM);
    cr_expect_eq(h2.peer->goaway_count, 0);
}

/* --- waiting ---------------------------------------------------------------------------------- */

Test(h2_connection, says_what_it_waits_for)
{
    static const char half[] = "\0\0\x01\x01\x01\0\0\0\x01\x82"; /* HEADERS without END_HEADERS */

    cr_expect_eq(h2_connection_wait(h2.connection), H2_WAITS_HEAD);
    h2_settle();
    cr_expect_eq(h2_connection_wait(h2.connection), H2_WAITS_NOTHING);
    cr_expect_eq(h2_connection_held(h2.connection), 0);
    h2_peer_send_raw(h2.peer, half, sizeof(half) - 1);
    h2_settle();
    cr_expect_eq(h2_connection_wait(h2.connection), H2_WAITS_HEAD);
    cr_expect_gt(h2_connection_held(h2.connection), sizeof(":methodGET") - 1);
    cr_expect_eq(h2.request_count, 0);
}

Test(h2_connection, waiting_makes_nothing_run)
{
    unsigned runs;

    h2_peer_get(h2.peer);
    h2_take();
    h2_settle();
    runs = h2.runs;
    h2_turn();
    h2_turn();
    cr_expect_eq(h2.runs, runs);
}

/* --- ends in order ---------------------------------------------------------------------------- */

/* The types of all frames that were written, a digit each, with the last stream of a GOAWAY.
 * nghttp2 as a client stops to look once it has no request and a GOAWAY. */
static void expect_frames(const char *types)
{
    struct slice rest = fake_stream_written(h2.fake);
    struct buffer got = {0};

    while (rest.len >= 9) {
        const uint8_t *at = (const uint8_t *)rest.at;
        size_t length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];

        cr_assert_leq(length + 9, rest.len);
        buffer_printf(&got, "%u", at[3]);
        if (at[3] == NGHTTP2_GOAWAY)
            buffer_printf(&got, "(%s%u,%u)", at[9] == 0x7f ? "any," : "", at[12], at[16]);
        rest = slice_skip(rest, length + 9);
    }
    expect_text(&got, types);
    buffer_clear(&got);
}

Test(h2_connection, draining_says_goaway_twice)
{
    struct h2_peer_stream *stream = h2_peer_get(h2.peer);
    struct h2_request *request = h2_take();

    h2.peer->keeps_pings = true;
    h2_connection_drain(h2.connection);
    h2_settle();
    cr_assert_eq(h2.peer->goaway_count, 1);
    cr_expect_eq(h2.peer->goaways[0].last, INT32_MAX);
    cr_expect_eq(h2.peer->goaways[0].code, NGHTTP2_NO_ERROR);
    cr_expect_eq(h2_connection_wait(h2.connection), H2_WAITS_GOAWAY);
    h2_peer_answer_ping(h2.peer);
    h2_settle();
    cr_assert_eq(h2.peer->goaway_count, 2);
    cr_expect_eq(h2.peer->goaways[1].last, stream->id);
    cr_expect_eq(h2_connection_wait(h2.connection), H2_WAITS_NOTHING);
    cr_expect_eq(h2.state, H2_BUSY, "the last one is still served");
    h2_respond(request, "hello");
    expect_text(&stream->body, "hello");
    cr_expect_eq(h2.state, H2_CLOSING);
    cr_expect_null(h2_connection_problem(h2.connection));
}

static const char get_and_pong[] = "\0\0\x0b\x01\x05\0\0\0\x03\x82\x87\x84\x01\x06"
                                   "a.test"
                                   "\0\0\x08\x06\x01\0\0\0\0goodbye";

/* A request on its way meanwhile, in front of the answer to the PING. */
Test(h2_connection, what_crosses_the_first_goaway_is_served)
{
    h2_peer_get(h2.peer);
    h2_respond(h2_take(), "one");
    h2.is_reading_off = true;
    fake_stream_forget(h2.fake);
    h2_connection_drain(h2.connection);
    h2_settle();
    expect_frames("7(any,255,0)6");
    cr_expect_eq(h2.state, H2_IDLE);
    fake_stream_forget(h2.fake);
    fake_stream_send(h2.fake, slice_make(get_and_pong, sizeof(get_and_pong)));
    h2_settle();
    cr_expect_eq(h2.state, H2_BUSY);
    expect_frames("7(3,0)");
    h2_respond(h2_take(), "two");
    expect_frames("7(3,0)10");
    cr_expect_eq(h2.state, H2_CLOSING);
}

/* What came in one go with the answer was there before the second GOAWAY is. */
Test(h2_connection, what_comes_with_the_answer_counts_as_well)
{
    struct slice get = slice_make(get_and_pong, 20),
                 pong = slice_skip(slice_make(get_and_pong, sizeof(get_and_pong)), 20);

    h2_settle();
    h2.is_reading_off = true;
    h2_connection_drain(h2.connection);
    h2_settle();
    fake_stream_forget(h2.fake);
    fake_stream_send(h2.fake, pong);
    fake_stream_send(h2.fake, get);
    h2_settle();
    expect_frames("7(3,0)");
    cr_expect_eq(h2.request_count, 1);
    h2_respond(h2_take(), "one");
    expect_frames("7(3,0)10");
}

Test(h2_connection, draining_of_an_idle_one_ends_it)
{
    h2_settle();
    fake_stream_forget(h2.fake);
    h2.peer->read = 0;
    h2_connection_drain(h2.connection);
    h2_settle();
    expect_frames("7(any,255,0)67(0,0)");
    cr_expect_eq(h2.state, H2_CLOSING);
}

Test(h2_connection, draining_goes_on_without_the_answer_when_asked_again)
{
    h2.peer->keeps_pings = true;
    h2_settle();
    fake_stream_forget(h2.fake);
    h2.peer->read = 0;
    h2_connection_drain(h2.connection);
    h2_settle();
    cr_expect_eq(h2.state, H2_IDLE);
    h2_connection_drain(h2.connection);
    h2_settle();
    expect_frames("7(any,255,0)67(0,0)");
    cr_expect_eq(h2.state, H2_CLOSING);
    h2_connection_drain(h2.connection);
    h2_turn();
    expect_frames("7(any,255,0)67(0,0)");
}

Test(h2_connection, lingers_until_the_client_has_gone)
{
    h2_settle();
    h2_connection_drain(h2.connection);
    h2_settle();
    cr_assert_eq(h2.state, H2_CLOSING);
    cr_expect_eq(h2_connection_linger(h2.connection), IO_WAIT);
    cr_expect(h2.fake->is_shut);
    fake_stream_send_text(h2.fake, "whatever it still sends");
    cr_expect_eq(h2_connection_linger(h2.connection), IO_WAIT);
    cr_expect(h2_holds_no_buffer());
    fake_stream_end(h2.fake, IO_EOF);
    cr_expect_eq(h2_connection_linger(h2.connection), IO_EOF);
}

/* --- ends by mistakes ------------------------------------------------------------------------- */

static void expect_end(uint32_t code)
{
    h2_settle();
    cr_assert_eq(h2.peer->goaway_count, 1);
    cr_expect_eq(h2.peer->goaways[0].code, code);
    cr_expect_eq(h2.state, H2_CLOSING);
    cr_expect_not_null(h2_connection_problem(h2.connection));
}

Test(h2_connection, failing_ends_what_is_under_way)
{
    struct h2_request *request;

    h2_peer_get(h2.peer);
    request = h2_take();
    h2_connection_fail(h2.connection, "over_limit");
    expect_end(NGHTTP2_ENHANCE_YOUR_CALM);
    cr_expect_str_eq(h2_connection_problem(h2.connection), "over_limit");
    h2_end(request, HTTP_END_ABORT);
}

Test(h2_connection, who_makes_work_for_nothing_is_told_to_be_calm)
{
    for (int i = 0; i < 1000; i++)
        h2_peer_ping(h2.peer);
    expect_end(NGHTTP2_ENHANCE_YOUR_CALM);
    cr_expect_str_eq(h2_connection_problem(h2.connection), "ENHANCE_YOUR_CALM");
}

Test(h2_connection, so_is_who_asks_and_calls_off)
{
    enum { PAIR = 9 + 11 + 9 + 4, ID = 8, RESET_ID = 9 + 11 + 8 };
    char pair[PAIR + 1] = "\0\0\x0b\x01\x05\0\0\0\x01\x82\x87\x84\x01\x06"
                          "a.test"
                          "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08";

    h2_settle();
    for (unsigned id = 1; id < 1000; id += 2) {
        pair[ID - 1] = pair[RESET_ID - 1] = (char)(id >> 8);
        pair[ID] = pair[RESET_ID] = (char)id;
        h2_peer_send_raw(h2.peer, pair, PAIR);
    }
    expect_end(NGHTTP2_ENHANCE_YOUR_CALM);
    cr_expect_lt(h2.request_count, 400);
}

/* Its bytes wait while too much waits for it; then they are looked at without any others coming. */
Test(h2_connection, who_reads_again_is_listened_to_again)
{
    enum { MANY = 150 };
    static const char much[60000];
    struct h2_request *request;

    h2_peer_get(h2.peer);
    request = h2_take();
    h2.fake->room = 0;
    cr_assert_eq(h2_write_head(request, 200, BODY_CHUNKED, 0), IO_OK);
    cr_assert_eq(h2_write_some(request, slice_make(much, sizeof(much))), sizeof(much));
    h2_settle();
    h2.fake->read_step = 17; /* a frame at once */
    for (int i = 0; i < MANY; i++)
        h2_peer_ping(h2.peer);
    h2_settle();
    cr_expect_gt(buffer_length(&h2.fake->arriving), 0);
    fake_stream_take(h2.fake, 100 * 1000);
    h2_settle();
    cr_expect_eq(buffer_length(&h2.fake->arriving), 0);
    cr_expect_eq(h2.peer->ping_answers, MANY);
}

Test(h2_connection, frames_that_are_wrong)
{
    static const char push[] = "\0\0\x04\x05\x04\0\0\0\x01\0\0\0\x02";

    h2_settle();
    h2_peer_send_raw(h2.peer, push, sizeof(push) - 1);
    expect_end(NGHTTP2_PROTOCOL_ERROR);
}

Test(h2_connection, field_sections_that_cannot_be_decoded)
{
    static const char section[] = "\0\0\x01\x01\x05\0\0\0\x01\xff";

    h2_settle();
    h2_peer_send_raw(h2.peer, section, sizeof(section) - 1);
    expect_end(NGHTTP2_COMPRESSION_ERROR);
    cr_expect_eq(h2.request_count, 0);
}

Test(h2_connection, no_preface_of_http2)
{
    h2.is_reading_off = true;
    fake_stream_send_text(h2.fake, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    h2_settle();
    cr_expect(h2.state == H2_CLOSING || h2.state == H2_BROKEN);
    cr_expect_eq(h2.request_count, 0);
}

Test(h2_connection, the_end_of_the_client_is_that_of_all_requests)
{
    struct h2_request *request;

    h2_peer_ask(h2.peer, ":method: POST\n:scheme: https\n:path: /\n:authority: a.test\n", false);
    request = h2_take();
    cr_expect_eq(h2_read(request), IO_WAIT);
    fake_stream_end(h2.fake, IO_EOF);
    h2_settle();
    cr_expect_eq(h2.state, H2_BROKEN);
    h2_end(request, HTTP_END_ABORT);
}

Test(h2_connection, a_client_that_does_not_read_is_not_listened_to)
{
    enum { MANY = 200 };
    unsigned answered;

    h2_settle();
    h2.fake->room = 0;
    for (int i = 0; i < MANY; i++) {
        h2_peer_get(h2.peer);
        if (i % 4 == 0) {
            h2_peer_pump(h2.peer);
            h2_turn();
        }
    }
    answered = h2.request_count;
    cr_expect_leq(answered, H2_STREAMS_MAX);
    cr_expect_leq(buffer_length(&h2.connection->out), 128 * 1024);
}
