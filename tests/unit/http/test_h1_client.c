/* An HTTP/1 connection towards a client: requests in, responses out, over a stream of script. */
#include "http/h1_internal.h"
#include "support/fake_stream.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static const struct h1_limits limits = {
    .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024};

static struct fake_stream *fake;
static struct h1_connection *connection;
static struct http_stream *http;
static struct task task;
static struct arena arena;
static struct http_head request, response;
static struct buffer body; /* read by read_body */

/* --- a client and a gateway, step by step --------------------------------------------------- */

static void start(void)
{
    fake = fake_stream_new(NULL, &task);
    connection = h1_connection_new(&fake->stream, H1_TO_CLIENT, &limits);
    http = h1_connection_begin(connection, &task);
    response = (struct http_head){.status = 200, .version_minor = 1, .keeps_connection = true};
}

static void clear(void)
{
    h1_connection_free(connection);
    fake_stream_free(fake);
    buffer_clear(&body);
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(client, .init = start, .fini = clear);

static void restart(void)
{
    clear();
    start();
}

/* Asks as often as more is on its way. */
static enum io read_head(void)
{
    enum io io;

    do
        io = http->ops->read_head(http, &arena, &request);
    while (io == IO_WAIT && !fake_stream_is_quiet(fake));
    return io;
}

static enum io read_body(void)
{
    struct slice piece;
    enum io io;

    do {
        io = http->ops->read_body(http, &piece);
        if (io == IO_OK) {
            size_t half = (piece.len + 1) / 2;

            buffer_append(&body, slice_make(piece.at, half));
            http->ops->consume_body(http, half);
        }
    } while (io == IO_OK || (io == IO_WAIT && !fake_stream_is_quiet(fake)));
    return io;
}

static void request_is(const char *bytes)
{
    fake_stream_send_text(fake, bytes);
    cr_assert_eq(read_head(), IO_OK);
}

static void expect_body(const char *text)
{
    cr_expect(slice_equal(buffer_content(&body), slice_of(text)), "%.*s, not %s",
              (int)buffer_length(&body), body.base, text);
    buffer_clear(&body);
}

static void expect_written(const char *text)
{
    struct slice written = fake_stream_written(fake);

    cr_expect(slice_equal(written, slice_of(text)), "%.*s\nnot\n%s", (int)written.len, written.at,
              text);
    fake_stream_forget(fake);
}

static void write_head(enum body_framing framing, uint64_t length)
{
    response.framing = framing;
    response.content_length = length;
    response.has_content_length = framing == BODY_LENGTH;
    cr_assert_eq(http->ops->write_head(http, &response), IO_OK);
}

static enum io write_all(struct slice bytes, bool last)
{
    enum io io;
    size_t taken;

    do {
        io = http->ops->write_body(http, bytes, last, &taken);
        cr_assert(taken <= bytes.len);
        bytes = slice_skip(bytes, taken);
        if (io == IO_WAIT && fake->room == 0)
            fake_stream_take(fake, 1000);
    } while ((io == IO_OK && bytes.len > 0) || io == IO_WAIT);
    return io;
}

static enum io flush(void)
{
    enum io io;

    do {
        io = http->ops->flush(http);
        if (io == IO_WAIT && fake->room == 0)
            fake_stream_take(fake, 1000);
    } while (io == IO_WAIT);
    return io;
}

/* Writes a whole response whose body is `text`. */
static void respond(enum body_framing framing, const char *text)
{
    write_head(framing, strlen(text));
    if (framing != BODY_NONE)
        cr_assert_eq(write_all(slice_of(text), true), IO_OK);
    cr_assert_eq(flush(), IO_OK);
}

static enum h1_state end(enum http_end how)
{
    http->ops->end(http, how);
    return h1_connection_state(connection);
}

static bool holds_no_buffer(void)
{
    return !connection->in.base && !connection->out.base;
}

static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

/* --- requests ------------------------------------------------------------------------------- */

Test(client, exchange_and_the_next)
{
    request_is(get);
    cr_expect_eq(request.method, METHOD_GET);
    cr_expect_eq(read_body(), IO_EOF);
    respond(BODY_LENGTH, "hello");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    cr_expect_eq(fake->writes, 1, "head and body leave together, not in %u", fake->writes);
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
    cr_expect(holds_no_buffer());

    cr_expect_eq(h1_connection_poll(connection, &task), IO_WAIT);
    cr_expect(holds_no_buffer());
    fake_stream_send_text(fake, post);
    cr_expect_eq(h1_connection_poll(connection, &task), IO_OK);
    http = h1_connection_begin(connection, &task);
    fake_stream_send_text(fake, "abcde");
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("abcde");
    cr_expect_eq(http->bytes_read, 5);
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, byte_by_byte_with_waiting_between)
{
    fake->read_step = fake->write_step = 1;
    fake->read_waits = fake->write_waits = true;
    request_is("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n");
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("abc0123456789");
    cr_assert_eq(http->trailers.count, 1);
    cr_expect(slice_equal(http->trailers.list[0].value, slice_of("y")));
    respond(BODY_CHUNKED, "hello");
    expect_written("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
    cr_expect(holds_no_buffer());
}

Test(client, waiting_holds_no_buffer)
{
    struct slice piece;

    cr_expect_eq(http->ops->read_head(http, &arena, &request), IO_WAIT);
    cr_expect(holds_no_buffer());
    request_is(post);
    cr_expect_eq(http->ops->read_body(http, &piece), IO_WAIT);
    cr_expect(holds_no_buffer());
}

Test(client, pipelined_requests_are_answered_in_order)
{
    fake_stream_send_text(fake, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
                                "Content-Length: 1\r\n\r\nb\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 1; i <= 3; i++) {
        char path[] = {'/', (char)('0' + i), '\0'};

        cr_assert_eq(read_head(), IO_OK);
        cr_expect(slice_equal(request.path, slice_of(path)));
        cr_expect_eq(read_body(), IO_EOF);
        expect_body(i == 2 ? "b" : "");
        cr_expect_eq(http->client->watch(http), IO_WAIT);
        respond(BODY_LENGTH, path);
        cr_assert_eq(end(HTTP_END_REUSE), H1_IDLE);
        cr_assert_eq(h1_connection_poll(connection, &task), i < 3 ? IO_OK : IO_WAIT);
        http = h1_connection_begin(connection, &task);
    }
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/1"
                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/2"
                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/3");
}

Test(client, empty_lines_do_not_end_idleness)
{
    end(HTTP_END_CLOSE);
    restart();
    request_is(get);
    respond(BODY_NONE, "");
    cr_assert_eq(end(HTTP_END_REUSE), H1_IDLE);
    fake_stream_send_text(fake, "\r\n");
    cr_expect_eq(h1_connection_poll(connection, &task), IO_WAIT);
    cr_expect(holds_no_buffer());
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(h1_connection_poll(connection, &task), IO_EOF);
}

Test(client, ends_before_a_request)
{
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(read_head(), IO_EOF);
    restart();
    fake_stream_end(fake, IO_ERROR);
    cr_expect_eq(read_head(), IO_EOF);
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, ends_within_a_request)
{
    static const enum io ends[] = {IO_EOF, IO_ERROR};

    for (int i = 0; i < 2; i++) {
        restart();
        fake_stream_send_text(fake, "GET /");
        fake_stream_end(fake, ends[i]);
        cr_expect_eq(read_head(), IO_ERROR);
        cr_expect_eq(http->reason, REASON_CLIENT_CLOSED);
        restart();
        fake_stream_send_text(fake, post);
        fake_stream_send_text(fake, "abc");
        fake_stream_end(fake, ends[i]);
        cr_expect_eq(read_head(), IO_OK);
        cr_expect_eq(read_body(), IO_ERROR);
        cr_expect_eq(http->reason, REASON_CLIENT_CLOSED);
        expect_body("abc");
        cr_expect_eq(read_body(), IO_ERROR, "and stays so");
    }
}

Test(client, nonsense_is_refused_and_answered)
{
    fake_stream_send_text(fake, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\nGET / HTTP/1.1\r\n");
    cr_expect_eq(read_head(), IO_ERROR);
    cr_expect_eq(http->reason, REASON_BAD_REQUEST);
    response.status = 400;
    respond(BODY_LENGTH, "no\n");
    expect_written(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, nonsense_in_a_body)
{
    request_is("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n");
    cr_expect_eq(read_body(), IO_ERROR);
    cr_expect_eq(http->reason, REASON_BAD_REQUEST);
    expect_body("a");
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, heads_larger_than_a_block)
{
    char value[20000];

    memset(value, 'v', sizeof(value));
    fake_stream_send_text(fake, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    fake_stream_send(fake, slice_make(value, sizeof(value)));
    request_is("\r\n\r\n");
    cr_expect_eq(request.fields.list[1].value.len, sizeof(value));
}

Test(client, long_bodies_are_read_in_large_pieces)
{
    static char bytes[200000];
    struct slice piece;
    size_t most = 0;

    memset(bytes, 'b', sizeof(bytes));
    request_is("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    fake_stream_send(fake, slice_make(bytes, sizeof(bytes)));
    while (http->ops->read_body(http, &piece) == IO_OK) {
        most = piece.len > most ? piece.len : most;
        http->ops->consume_body(http, piece.len);
    }
    cr_expect_eq(most, BUFFER_LARGE);
    cr_expect_eq(http->bytes_read, sizeof(bytes));
    cr_expect_lt(fake->reads, 8);
}

Test(client, a_fast_body_is_read_in_larger_pieces)
{
    static char bytes[BUFFER_SMALL + 2 * BUFFER_BULK];
    struct slice piece;
    unsigned reads;

    request_is("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 507904\r\n\r\n");
    http->is_fast = true;
    fake_stream_send(fake, slice_make(bytes, sizeof(bytes)));
    cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
    cr_expect_eq(piece.len, BUFFER_SMALL, "it may still turn out short");
    http->ops->consume_body(http, piece.len);
    reads = fake->reads;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
        cr_expect_eq(piece.len, BUFFER_BULK);
        http->ops->consume_body(http, piece.len);
    }
    cr_expect_eq(fake->reads - reads, 2);
    cr_expect_eq(http->ops->read_body(http, &piece), IO_EOF);
    cr_expect(holds_no_buffer());
}

/* Peers that stop reading hold such blocks for as long as they like. */
Test(client, few_bodies_at_once_are_read_in_larger_pieces)
{
    static char bytes[BUFFER_SMALL + 2 * BUFFER_BULK];
    struct buffer stuck[64] = {0};
    struct slice piece;
    unsigned count = 0;

    while (count < 64 && buffer_bulk_is_left())
        cr_assert(buffer_reserve(&stuck[count++], BUFFER_BULK));
    cr_assert_eq(count, 16);
    request_is("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 507904\r\n\r\n");
    http->is_fast = true;
    fake_stream_send(fake, slice_make(bytes, sizeof(bytes)));
    cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
    http->ops->consume_body(http, piece.len);
    cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
    cr_expect_eq(piece.len, BUFFER_LARGE);
    http->ops->consume_body(http, piece.len);
    while (count > 0)
        buffer_clear(&stuck[--count]);
    cr_assert_eq(http->ops->read_body(http, &piece), IO_OK);
    cr_expect_eq(piece.len, BUFFER_BULK);
    http->ops->consume_body(http, piece.len);
}

/* --- what happens while nothing is read ----------------------------------------------------- */

Test(client, watch_reads_ahead_bounded)
{
    static char bytes[3 * BUFFER_SMALL];

    request_is(get);
    cr_expect_eq(http->client->watch(http), IO_WAIT);
    cr_expect(holds_no_buffer());
    fake_stream_send(fake, slice_make(bytes, sizeof(bytes)));
    for (int i = 0; i < 3; i++)
        cr_expect_eq(http->client->watch(http), IO_WAIT);
    cr_expect_eq(buffer_length(&connection->in), BUFFER_SMALL);
    cr_expect_eq(connection->in.capacity, BUFFER_SMALL);
    cr_expect_eq(fake->reads, 2);
}

Test(client, watch_sees_the_client_go)
{
    request_is(get);
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(http->client->watch(http), IO_EOF);
    restart();
    request_is(get);
    fake_stream_end(fake, IO_ERROR);
    cr_expect_eq(http->client->watch(http), IO_ERROR);
}

/* --- 100-continue and other 1xx ------------------------------------------------------------- */

static const char expecting[] =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

Test(client, continue_is_sent_when_the_body_is_asked_for)
{
    request_is(expecting);
    expect_written("");
    cr_expect_eq(read_body(), IO_WAIT);
    expect_written("HTTP/1.1 100 Continue\r\n\r\n");
    fake_stream_send_text(fake, "abcde");
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("abcde");
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, continue_waits_for_room)
{
    request_is(expecting);
    fake->room = 0;
    cr_expect_eq(read_body(), IO_WAIT);
    fake_stream_take(fake, 10);
    cr_expect_eq(read_body(), IO_WAIT);
    fake_stream_take(fake, 100);
    cr_expect_eq(read_body(), IO_WAIT);
    expect_written("HTTP/1.1 100 Continue\r\n\r\n");
}

Test(client, continue_is_needless_when_the_body_is_there)
{
    fake_stream_send_text(fake, expecting);
    fake_stream_send_text(fake, "ab");
    cr_expect_eq(read_head(), IO_OK);
    struct slice piece;
    cr_expect_eq(http->ops->read_body(http, &piece), IO_OK);
    expect_written("");
}

Test(client, continue_of_the_backend_counts)
{
    request_is(expecting);
    response.status = 100;
    write_head(BODY_NONE, 0);
    cr_assert_eq(flush(), IO_OK);
    expect_written("HTTP/1.1 100 Continue\r\n\r\n");
    cr_expect_eq(read_body(), IO_WAIT);
    expect_written("");
}

Test(client, continue_never_follows_a_final_response)
{
    request_is(expecting);
    response.status = 413;
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n"
                   "Connection: close\r\n\r\n");
    cr_expect_eq(read_body(), IO_WAIT);
    expect_written("");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, continue_is_nothing_without_a_body)
{
    request_is("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    cr_expect_eq(read_body(), IO_EOF);
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, interim_responses_are_passed_on)
{
    request_is(get);
    response.status = 103;
    http_fields_add(&response.fields, &arena, slice_of("Link"), slice_of("</x>"));
    write_head(BODY_NONE, 0);
    write_head(BODY_NONE, 0);
    response.fields.count = 0;
    response.status = 200;
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                   "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, http10_knows_no_interim_responses)
{
    request_is("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    response.status = 103;
    write_head(BODY_NONE, 0);
    cr_expect_eq(read_body(), IO_WAIT);
    cr_assert_eq(flush(), IO_OK);
    expect_written("");
}

/* --- framing and the life of the connection ------------------------------------------------- */

Test(client, responses_without_a_body)
{
    request_is("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond(BODY_LENGTH, "hello");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);

    restart();
    request_is("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond(BODY_CHUNKED, "");
    expect_written("HTTP/1.1 200 OK\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);

    restart();
    request_is(get);
    response.status = 304;
    response.has_content_length = true;
    response.content_length = 77;
    cr_assert_eq(http->ops->write_head(http, &response), IO_OK);
    cr_assert_eq(flush(), IO_OK);
    expect_written("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);

    restart();
    request_is(get);
    response.status = 204;
    respond(BODY_LENGTH, "never");
    expect_written("HTTP/1.1 204 No Content\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, unknown_lengths_are_framed_as_the_client_knows)
{
    static const enum body_framing unknown[] = {BODY_CHUNKED, BODY_CLOSE};

    for (int i = 0; i < 2; i++) {
        restart();
        request_is(get);
        respond(unknown[i], "hello");
        expect_written("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhello\r\n0\r\n\r\n");
        cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
        restart();
        request_is("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        respond(unknown[i], "hello");
        expect_written("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
        cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
    }
}

Test(client, http10_is_kept_if_it_asks)
{
    request_is("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    respond(BODY_LENGTH, "a");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
    restart();
    request_is("GET / HTTP/1.0\r\n\r\n");
    respond(BODY_LENGTH, "a");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, connection_close)
{
    request_is("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);

    restart();
    request_is(get);
    h1_connection_close_after(connection);
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);

    restart();
    request_is(get);
    response.keeps_connection = false;
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, last_request_that_a_connection_may_carry)
{
    static const struct h1_limits few = {
        .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024, .requests = 2};

    h1_connection_free(connection);
    connection = h1_connection_new(&fake->stream, H1_TO_CLIENT, &few);
    http = h1_connection_begin(connection, &task);
    request_is(get);
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_assert_eq(end(HTTP_END_REUSE), H1_IDLE);

    http = h1_connection_begin(connection, &task);
    request_is(get);
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
}

Test(client, only_what_was_sent_whole_is_kept)
{
    request_is(get);
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING, "no response");
    restart();
    request_is(get);
    write_head(BODY_NONE, 0);
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING, "not flushed");
    cr_expect_eq(h1_connection_linger(connection, &task), IO_WAIT);
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

Test(client, upgrade_may_be_required)
{
    request_is(get);
    response.status = 426;
    response.upgrade = slice_of("x/2");
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n"
                   "Connection: upgrade\r\nUpgrade: x/2\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
    restart();
    request_is(get);
    response.upgrade = slice_of("x/2");
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

Test(client, an_unread_request_body_ends_the_connection)
{
    request_is(post);
    respond(BODY_NONE, "");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
    fake_stream_send_text(fake, "abcde");
    cr_expect_eq(h1_connection_linger(connection, &task), IO_WAIT);
    cr_expect(fake->is_shut);
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(h1_connection_linger(connection, &task), IO_EOF);
    cr_expect(holds_no_buffer());
}

/* The response may be over before the request is. */
Test(client, an_early_response_and_the_rest_of_the_body)
{
    request_is(post);
    respond(BODY_LENGTH, "early");
    fake_stream_send_text(fake, "abcde");
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("abcde");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, trailers_go_where_chunks_go)
{
    struct http_fields trailers = {0};

    http_fields_add(&trailers, &arena, slice_of("X-Sum"), slice_of("1"));
    request_is(get);
    http->trailers_out = &trailers;
    respond(BODY_CHUNKED, "a");
    expect_written("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
                   "X-Sum: 1\r\n\r\n");
    restart();
    request_is(get);
    http->trailers_out = &trailers;
    respond(BODY_LENGTH, "a");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
}

Test(client, an_empty_body_is_framed)
{
    request_is(get);
    write_head(BODY_CHUNKED, 0);
    cr_expect_eq(write_all(slice_make(NULL, 0), false), IO_OK);
    cr_expect_eq(write_all(slice_make(NULL, 0), true), IO_OK);
    cr_expect_eq(flush(), IO_OK);
    expect_written("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

/* Whoever used the stream may be gone before the connection's owner has its turn. */
Test(client, ended_streams_wake_who_began_them)
{
    static const enum http_end ends[] = {HTTP_END_REUSE, HTTP_END_CLOSE, HTTP_END_ABORT};
    struct task other;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        restart();
        http->task = &other;
        fake_stream_send_text(fake, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        cr_assert_eq(read_head(), IO_OK);
        cr_assert_eq(fake->stream.task, &other);
        http->ops->end(http, ends[i]);
        cr_assert_eq(fake->stream.task, &task);
    }
}

Test(client, half_a_response_breaks_the_connection)
{
    size_t taken;

    request_is(get);
    write_head(BODY_LENGTH, 5);
    cr_expect_eq(http->ops->write_body(http, slice_of("abc"), true, &taken), IO_ERROR);
    cr_expect_eq(end(HTTP_END_REUSE), H1_BROKEN);
    cr_expect_not(h1_connection_must_reset(connection),
                  "its length says that something is missing");

    restart();
    request_is("GET / HTTP/1.0\r\n\r\n");
    write_head(BODY_CLOSE, 0);
    cr_expect_eq(write_all(slice_of("abc"), false), IO_OK);
    cr_expect_eq(end(HTTP_END_CLOSE), H1_BROKEN);
    cr_expect(h1_connection_must_reset(connection), "an orderly end would make it look whole");

    restart();
    request_is(get);
    respond(BODY_NONE, "");
    cr_expect_eq(end(HTTP_END_ABORT), H1_BROKEN);
    cr_expect(holds_no_buffer());
}

Test(client, a_failing_stream_breaks_the_connection)
{
    request_is(get);
    write_head(BODY_LENGTH, 5);
    fake->write_fails = true;
    cr_expect_eq(write_all(slice_of("abcde"), true), IO_OK, "held back");
    cr_expect_eq(http->ops->flush(http), IO_ERROR);
    cr_expect_eq(http->ops->flush(http), IO_ERROR);
    cr_expect_eq(end(HTTP_END_REUSE), H1_BROKEN);
    cr_expect(holds_no_buffer());
}

/* --- how bytes leave ------------------------------------------------------------------------ */

static char big[300000];

static void fill_big(void)
{
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)('a' + i % 26);
}

Test(client, long_pieces_are_not_copied)
{
    size_t taken = 0;

    fill_big();
    request_is(get);
    write_head(BODY_LENGTH, sizeof(big));
    cr_expect_eq(http->ops->write_body(http, slice_make(big, sizeof(big)), true, &taken), IO_OK);
    cr_expect_eq(taken, sizeof(big));
    cr_expect_eq(fake->writes, 2, "the head with a beginning, and the rest; not %u", fake->writes);
    cr_expect(holds_no_buffer());
    cr_expect_eq(flush(), IO_OK);
    cr_expect(slice_ends_with(fake_stream_written(fake), slice_make(big, sizeof(big))));
    cr_expect_eq(http->bytes_written, sizeof(big));
}

/* Takes the chunks apart in place; returns the length of what they held. */
static size_t unchunk(char *bytes, size_t length)
{
    char *from = bytes, *to = bytes, *limit = bytes + length;

    for (;;) {
        size_t size = strtoul(from, &from, 16);

        cr_assert(from + size + 4 <= limit && from[0] == '\r' && from[1] == '\n');
        memmove(to, from + 2, size);
        from += 2 + size;
        to += size;
        cr_assert(from[0] == '\r' && from[1] == '\n');
        from += 2;
        if (size == 0)
            break;
    }
    cr_assert_eq(from, limit);
    return (size_t)(to - bytes);
}

/* What is held for a client that takes little is bounded, and comes out whole. */
static void write_slowly(enum body_framing framing)
{
    static const char head_end[] = "\r\n\r\n";
    struct slice rest = slice_make(big, sizeof(big));
    unsigned refused = 0;
    size_t taken;

    write_head(framing, sizeof(big));
    fake->room = 100;
    fake->write_step = 7;
    while (rest.len > 0) {
        enum io io = http->ops->write_body(http, rest, true, &taken);

        cr_assert(io == IO_OK || (io == IO_WAIT && taken == 0));
        rest = slice_skip(rest, taken);
        cr_assert_leq(connection->out.capacity, BUFFER_LARGE);
        cr_assert_leq(buffer_length(&connection->out), BUFFER_LARGE);
        if (io == IO_WAIT) {
            refused++;
            fake_stream_take(fake, 5000);
        }
    }
    cr_expect_gt(refused, 10);
    cr_expect_eq(flush(), IO_OK);

    struct slice written = fake_stream_written(fake);
    char *body_at = memmem(written.at, written.len, head_end, 4);
    cr_assert_not_null(body_at);
    body_at += 4;
    size_t length = (size_t)(written.at + written.len - body_at);
    if (framing == BODY_CHUNKED)
        length = unchunk(body_at, length);
    cr_expect(slice_equal(slice_make(body_at, length), slice_make(big, sizeof(big))));
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
    cr_expect(holds_no_buffer());
}

Test(client, short_writes)
{
    fill_big();
    request_is(get);
    write_slowly(BODY_LENGTH);
    restart();
    request_is(get);
    write_slowly(BODY_CHUNKED);
}

Test(client, small_pieces_are_gathered_until_flush)
{
    request_is(get);
    write_head(BODY_CHUNKED, 0);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(write_all(slice_of("x"), i == 9), IO_OK);
    expect_written("");
    cr_expect_eq(flush(), IO_OK);
    cr_expect_eq(fake->writes, 1);
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(client, what_the_stream_holds_back_is_flushed)
{
    fake->holds_back = true;
    request_is(get);
    respond(BODY_LENGTH, "hello");
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

/* --- lingering ------------------------------------------------------------------------------ */

Test(client, lingering_sends_the_rest_first)
{
    request_is(get);
    write_head(BODY_LENGTH, 5);
    cr_expect_eq(write_all(slice_of("hello"), true), IO_OK);
    cr_expect_eq(end(HTTP_END_CLOSE), H1_CLOSING);
    fake->room = 10;
    cr_expect_eq(h1_connection_linger(connection, &task), IO_WAIT);
    cr_expect_not(fake->is_shut);
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(h1_connection_linger(connection, &task), IO_WAIT, "it may still read");
    fake_stream_take(fake, 1000);
    cr_expect_eq(h1_connection_linger(connection, &task), IO_EOF);
    cr_expect(fake->is_shut);
    expect_written("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

Test(client, lingering_reads_so_much_and_no_more)
{
    request_is(post);
    respond(BODY_NONE, "");
    cr_expect_eq(end(HTTP_END_CLOSE), H1_CLOSING);
    for (int i = 0; i < 3; i++) {
        fake_stream_send(fake, slice_make(big, 50000));
        cr_expect_eq(h1_connection_linger(connection, &task), IO_WAIT);
    }
    cr_expect_geq(buffer_length(&fake->arriving), 50000);
    cr_expect(holds_no_buffer());
}

Test(client, lingering_ends_with_a_reset)
{
    request_is(get);
    respond(BODY_NONE, "");
    cr_expect_eq(end(HTTP_END_CLOSE), H1_CLOSING);
    fake_stream_end(fake, IO_ERROR);
    cr_expect_eq(h1_connection_linger(connection, &task), IO_ERROR);
}

/* --- tunnels -------------------------------------------------------------------------------- */

static void open_tunnel(const char *early)
{
    fake_stream_send_text(fake, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                                "Upgrade: websocket\r\n\r\n");
    fake_stream_send_text(fake, early);
    cr_assert_eq(read_head(), IO_OK);
    cr_expect(slice_equal(request.upgrade, slice_of("websocket")));
    response.status = 101;
    response.upgrade = slice_of("websocket");
    response.keeps_connection = false; /* means nothing here */
    write_head(BODY_CLOSE, 0);
}

Test(client, tunnel_both_ways)
{
    open_tunnel("early");
    cr_expect_eq(write_all(slice_of("first"), false), IO_OK);
    cr_expect_eq(flush(), IO_OK);
    expect_written("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                   "Upgrade: websocket\r\n\r\nfirst");
    cr_expect_eq(fake->writes, 1);
    cr_expect_eq(read_body(), IO_WAIT);
    expect_body("early");
    fake_stream_send_text(fake, "\r\n\r\n");
    cr_expect_eq(read_body(), IO_WAIT);
    expect_body("\r\n\r\n");
    cr_expect(holds_no_buffer());
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(read_body(), IO_EOF);
    /* Half closed: our direction goes on. */
    cr_expect_eq(write_all(slice_of("later"), false), IO_OK);
    cr_expect_not(fake->is_shut);
    cr_expect_eq(write_all(slice_of("!"), true), IO_OK);
    cr_expect_eq(flush(), IO_OK);
    expect_written("later!");
    cr_expect(fake->is_shut);
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING, "never carries another request");
}

Test(client, tunnel_ended_by_the_other_side_is_read_on)
{
    open_tunnel("");
    fake->room = 10;
    cr_expect_eq(http->ops->write_body(http, slice_make(NULL, 0), true, &(size_t){0}), IO_OK);
    cr_expect_eq(http->ops->flush(http), IO_WAIT);
    cr_expect_not(fake->is_shut, "the head has not left yet");
    fake_stream_take(fake, 1000);
    cr_expect_eq(http->ops->flush(http), IO_OK);
    cr_expect(fake->is_shut);
    fake_stream_send_text(fake, "still");
    cr_expect_eq(read_body(), IO_WAIT);
    expect_body("still");
}

Test(client, tunnel_cut)
{
    open_tunnel("");
    fake_stream_end(fake, IO_ERROR);
    cr_expect_eq(read_body(), IO_ERROR);
    cr_expect_eq(http->reason, REASON_CLIENT_CLOSED);
}

Test(client, tunnel_that_is_cut_by_the_other_side_does_not_look_whole)
{
    open_tunnel("");
    cr_expect_eq(end(HTTP_END_ABORT), H1_BROKEN);
    cr_expect(h1_connection_must_reset(connection));
}

Test(client, no_tunnel_while_a_body_is_on_its_way)
{
    struct slice piece;

    request_is("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
               "Content-Length: 5\r\n\r\n");
    response.status = 101;
    response.upgrade = slice_of("x");
    write_head(BODY_CLOSE, 0);
    cr_expect_eq(http->ops->read_body(http, &piece), IO_ERROR);
    cr_expect_eq(end(HTTP_END_REUSE), H1_BROKEN);
}
