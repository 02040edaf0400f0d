/* An HTTP/2 connection towards a client over a stream of script: what it holds on to, and when it
 * asks to run again. */
#include "base/arena.h"
#include "http/h2_internal.h"
#include "support/fake_stream.h"

#include <criterion/criterion.h>
#include <ev.h>

static const struct h1_limits limits = {
    .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024};

static struct loop *loop;
static struct fake_stream *fake;
static struct h2_connection *connection;
static struct task task;
static struct arena arena;
static unsigned runs;

/* --- a client and a gateway ------------------------------------------------------------------- */

enum { FRAME_DATA, FRAME_HEADERS, FRAME_SETTINGS = 4, FRAME_PING = 6, FRAME_CONTINUATION = 9 };
enum { FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4 };

static void run(void *nothing)
{
    (void)nothing;
    runs++;
    h2_connection_run(connection);
}

/* Until it asks for no more. */
static void settle(void)
{
    do
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
    while (task.state == TASK_QUEUED);
}

static void send_frame(unsigned type, unsigned flags, uint32_t stream, struct slice payload)
{
    const char header[9] = {(char)(payload.len >> 16),
                            (char)(payload.len >> 8),
                            (char)payload.len,
                            (char)type,
                            (char)flags,
                            (char)(stream >> 24),
                            (char)(stream >> 16),
                            (char)(stream >> 8),
                            (char)stream};

    fake_stream_send(fake, slice_make(header, sizeof(header)));
    fake_stream_send(fake, payload);
}

static void start(void)
{
    loop = loop_new();
    task_init(&task, run, NULL);
    fake = fake_stream_new(loop, &task);
    connection = h2_connection_new(loop, &fake->stream, &task, &limits);
    fake_stream_send_text(fake, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    send_frame(FRAME_SETTINGS, 0, 0, slice_make(NULL, 0));
    loop_wake(loop, &task);
    settle();
}

static void clear(void)
{
    settle();
    h2_connection_free(connection);
    fake_stream_free(fake);
    loop_free(loop);
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(h2_listening, .init = start, .fini = clear);

enum { FIELD_BYTES = 1000 };

/* A GET with some fields of FIELD_BYTES. */
static void send_head_of(uint32_t stream, unsigned fields, unsigned flags)
{
    struct buffer block = {0};

    buffer_append_text(&block, "\x82\x87\x84\x01\x01h");
    for (unsigned i = 0; i < fields; i++) {
        buffer_append(&block, slice_make("\x00\x01x\x7f\xe9\x06", 6));
        buffer_reserve(&block, FIELD_BYTES);
        memset(buffer_tail(&block), 'v', FIELD_BYTES);
        buffer_added(&block, FIELD_BYTES);
    }
    send_frame(FRAME_HEADERS, flags, stream, buffer_content(&block));
    buffer_clear(&block);
}

static void send_half_a_head(uint32_t stream)
{
    send_head_of(stream, 1, FLAG_END_STREAM);
}

static void send_the_rest(uint32_t stream)
{
    send_frame(FRAME_CONTINUATION, FLAG_END_HEADERS, stream, slice_of("\x10\x01y\x01z"));
}

static struct http_stream *take_request(void)
{
    struct http_stream *http = h2_connection_next(connection);
    struct http_head head = {0};

    cr_assert(http != NULL);
    cr_assert_eq(http->ops->read_head(http, &arena, &head), IO_OK);
    return http;
}

static void answer(struct http_stream *http)
{
    struct http_head head = {.status = 204, .framing = BODY_NONE};

    cr_assert_eq(http->ops->write_head(http, &head), IO_OK);
    http->ops->flush(http);
    settle();
    http->ops->end(http, HTTP_END_REUSE);
    arena_reset(&arena);
}

/* --- what it holds ---------------------------------------------------------------------------- */

enum { REQUESTS = 200, HELD_MOST = 4 * FIELD_BYTES };

/* The next head has begun each time that it looks at what it holds. */
Test(h2_listening, heads_that_were_taken_are_gone_while_others_come)
{
    send_half_a_head(1);
    settle();
    for (uint32_t stream = 1; stream < 2 * REQUESTS; stream += 2) {
        send_the_rest(stream);
        send_half_a_head(stream + 2);
        settle();
        answer(take_request());
        cr_assert_leq(buffer_length(&connection->sections), HELD_MOST, "at %u", stream);
    }
}

/* Or the next is whole, and not taken yet. */
Test(h2_listening, heads_that_were_taken_are_gone_while_others_wait)
{
    send_half_a_head(1);
    send_the_rest(1);
    settle();
    for (uint32_t stream = 1; stream < 2 * REQUESTS; stream += 2) {
        struct http_stream *http = take_request();

        send_half_a_head(stream + 2);
        send_the_rest(stream + 2);
        answer(http);
        cr_assert_leq(buffer_length(&connection->sections), HELD_MOST, "at %u", stream);
    }
}

/* Each time that it runs more have come than were taken since. */
Test(h2_listening, heads_that_nobody_takes_have_the_client_wait)
{
    enum { HEADS = 40, FIELDS = 15, MOST = 512 * 1024 };
    struct http_stream *requests[HEADS];

    for (uint32_t i = 0; i < HEADS; i++)
        send_head_of(2 * i + 1, FIELDS, FLAG_END_STREAM | FLAG_END_HEADERS);
    settle();
    cr_expect(!fake_stream_is_quiet(fake));
    cr_expect_leq(buffer_length(&connection->sections), MOST);
    for (unsigned i = 0; i < HEADS; i++) {
        requests[i] = take_request();
        settle();
    }
    cr_expect(fake_stream_is_quiet(fake));
    cr_expect_eq(buffer_length(&connection->sections), 0);
    for (unsigned i = 0; i < HEADS; i++)
        requests[i]->ops->end(requests[i], HTTP_END_ABORT);
}

/* --- when it runs ----------------------------------------------------------------------------- */

/* So many frames to answer that it listens to no more before something has left. */
Test(h2_listening, listens_again_once_what_it_says_has_left)
{
    static char content[60000];
    const struct http_head head = {
        .status = 200, .framing = BODY_LENGTH, .content_length = sizeof(content)};
    struct http_stream *http;
    size_t taken;

    send_half_a_head(1);
    send_the_rest(1);
    settle();
    fake_stream_forget(fake);
    fake->room = 0;
    http = take_request();
    cr_assert_eq(http->ops->write_head(http, &head), IO_OK);
    cr_assert_eq(http->ops->write_body(http, slice_make(content, sizeof(content)), false, &taken),
                 IO_OK);
    settle();
    for (int i = 0; i < 150; i++)
        send_frame(FRAME_PING, 0, 0, slice_of("12345678"));
    loop_wake(loop, &task);
    settle();
    send_frame(FRAME_PING, 0, 0, slice_of("12345678"));
    settle();
    cr_expect(!fake_stream_is_quiet(fake), "it listens to who does not");
    fake_stream_take(fake, 10 * sizeof(content));
    settle();
    cr_expect(fake_stream_is_quiet(fake));
    http->ops->end(http, HTTP_END_ABORT);
}

/* Behind which no other can come: nothing crosses the GOAWAY that names it. */
Test(h2_listening, listens_while_the_last_stream_of_all_is_served)
{
    enum { LAST_OF_ALL = 0x7fffffff };
    struct http_stream *http;

    send_half_a_head(LAST_OF_ALL);
    send_the_rest(LAST_OF_ALL);
    settle();
    http = take_request();
    h2_connection_drain(connection);
    h2_connection_drain(connection);
    settle();
    send_frame(FRAME_PING, 0, 0, slice_of("12345678"));
    settle();
    cr_expect(fake_stream_is_quiet(fake));
    http->ops->end(http, HTTP_END_ABORT);
}

/* --- who is woken ----------------------------------------------------------------------------- */

static unsigned wakes;

static void count_wake(void *nothing)
{
    (void)nothing;
    wakes++;
}

/* Whoever waits for something else is not kept awake, nor its deadline put off, by a client that
 * sends on. */
Test(h2_listening, bytes_that_nobody_asked_for_wake_nobody)
{
    struct task reader;
    struct http_stream *http;
    struct slice piece;

    task_init(&reader, count_wake, NULL);
    send_frame(FRAME_HEADERS, FLAG_END_HEADERS, 1, slice_of("\x83\x87\x84\x01\x01h"));
    settle();
    http = take_request();
    http->task = &reader;
    send_frame(FRAME_DATA, 0, 1, slice_of("a"));
    settle();
    cr_expect_eq(wakes, 0);
    cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
    http->ops->consume_body(http, piece.len);
    cr_assert_eq(http->ops->read_body(http, &piece), IO_WAIT);
    send_frame(FRAME_DATA, 0, 1, slice_of("b"));
    settle();
    cr_expect_eq(wakes, 1);
    send_frame(FRAME_DATA, 0, 1, slice_of("c"));
    settle();
    cr_expect_eq(wakes, 1);
    cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
    cr_expect_eq(piece.len, 2);
    http->ops->end(http, HTTP_END_ABORT);
}

/* --- what it waits for ------------------------------------------------------------------------ */

/* The rest of trailers is no longer anybody's when it comes. */
Test(h2_listening, trailers_of_what_was_reset_are_not_waited_for)
{
    struct http_stream *http;

    send_frame(FRAME_HEADERS, FLAG_END_HEADERS, 1, slice_of("\x83\x87\x84\x01\x01h"));
    settle();
    http = take_request();
    send_frame(FRAME_HEADERS, FLAG_END_STREAM, 1, slice_of("\x10\x01x\x01y"));
    settle();
    cr_expect_eq(h2_connection_wait(connection), H2_WAITS_HEAD);
    http->ops->end(http, HTTP_END_ABORT);
    settle();
    send_the_rest(1);
    settle();
    cr_expect_eq(h2_connection_wait(connection), H2_WAITS_NOTHING);
}
