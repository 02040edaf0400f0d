/* An HTTP/1 connection towards a backend: requests out, responses in, over a stream of script. */
#include "http/h1_internal.h"
#include "support/fake_stream.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static const struct h1_limits limits = {
    .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024, .underscores = true};

static struct fake_stream *fake;
static struct h1_connection *connection;
static struct http_stream *http;
static struct task task;
static struct arena arena;
static struct http_head request, response;
static struct buffer body;

static void start(void)
{
    fake = fake_stream_new(NULL, &task);
    connection = h1_connection_new(&fake->stream, H1_TO_BACKEND, &limits);
    http = h1_connection_begin(connection, &task);
    request = (struct http_head){.method = METHOD_GET,
                                 .method_text = slice_of("GET"),
                                 .path = slice_of("/a"),
                                 .query = slice_of("?b"),
                                 .authority = slice_of("Host:80"),
                                 .version_minor = 1};
}

static void clear(void)
{
    h1_connection_free(connection);
    fake_stream_free(fake);
    buffer_clear(&body);
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(backend, .init = start, .fini = clear);

static void restart(void)
{
    clear();
    start();
}

static void send_request(void)
{
    cr_assert_eq(http->ops->write_head(http, &request), IO_OK);
    cr_assert_eq(http->ops->flush(http), IO_OK);
}

static void write_body(const char *text, bool last)
{
    size_t taken;

    cr_assert_eq(http->ops->write_body(http, slice_of(text), last, &taken), IO_OK);
    cr_assert_eq(taken, strlen(text));
    cr_assert_eq(http->ops->flush(http), IO_OK);
}

static void expect_written(const char *text)
{
    struct slice written = fake_stream_written(fake);

    cr_expect(slice_equal(written, slice_of(text)), "%.*s\nnot\n%s", (int)written.len, written.at,
              text);
    fake_stream_forget(fake);
}

static enum io read_head(void)
{
    enum io io;

    do
        io = http->ops->read_head(http, &arena, &response);
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
            buffer_append(&body, piece);
            http->ops->consume_body(http, piece.len);
        }
    } while (io == IO_OK || (io == IO_WAIT && !fake_stream_is_quiet(fake)));
    return io;
}

static void expect_body(const char *text)
{
    cr_expect(slice_equal(buffer_content(&body), slice_of(text)), "%.*s, not %s",
              (int)buffer_length(&body), body.base, text);
    buffer_clear(&body);
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

/* A GET answered by `bytes`, read to its end; what became of the connection. */
static enum h1_state get_answered(const char *bytes, enum io expected)
{
    restart();
    send_request();
    fake_stream_send_text(fake, bytes);
    cr_expect_eq(read_head(), IO_OK, "%s", bytes);
    cr_expect_eq(read_body(), expected, "%s", bytes);
    return end(HTTP_END_REUSE);
}

/* --- requests ------------------------------------------------------------------------------- */

Test(backend, exchange_and_the_next)
{
    for (int i = 0; i < 2; i++) {
        send_request();
        expect_written("GET /a?b HTTP/1.1\r\nHost: Host:80\r\n\r\n");
        cr_expect_eq(http->ops->read_head(http, &arena, &response), IO_WAIT);
        cr_expect(holds_no_buffer());
        fake_stream_send_text(fake, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        cr_expect_eq(read_head(), IO_OK);
        cr_expect_eq(response.status, 200);
        cr_expect_eq(read_body(), IO_EOF);
        expect_body("hello");
        cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
        cr_expect(holds_no_buffer());
        cr_expect_eq(h1_connection_poll(connection, &task), IO_WAIT);
        cr_expect(holds_no_buffer());
        http = h1_connection_begin(connection, &task);
    }
}

Test(backend, request_framings)
{
    request.method = METHOD_POST;
    request.method_text = slice_of("POST");
    request.framing = BODY_LENGTH;
    request.content_length = 5;
    cr_assert_eq(http->ops->write_head(http, &request), IO_OK);
    write_body("hello", true);
    expect_written("POST /a?b HTTP/1.1\r\nHost: Host:80\r\nContent-Length: 5\r\n\r\nhello");
    cr_expect_eq(fake->writes, 1);

    struct http_fields trailers = {0};
    restart();
    http_fields_add(&trailers, &arena, slice_of("X"), slice_of("y"));
    http->trailers_out = &trailers;
    request.framing = BODY_CHUNKED;
    send_request();
    write_body("hello", false);
    write_body("", true);
    expect_written("GET /a?b HTTP/1.1\r\nHost: Host:80\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5\r\nhello\r\n0\r\nX: y\r\n\r\n");

    restart();
    request.has_content_length = true;
    send_request();
    expect_written("GET /a?b HTTP/1.1\r\nHost: Host:80\r\nContent-Length: 0\r\n\r\n");
}

Test(backend, upgrade_and_expect_are_passed_on)
{
    request.upgrade = slice_of("websocket");
    http_fields_add(&request.fields, &arena, slice_of("Expect"), slice_of("100-continue"));
    http_fields_add(&request.fields, &arena, slice_of("X"), slice_of("y"));
    send_request();
    expect_written("GET /a?b HTTP/1.1\r\nHost: Host:80\r\nExpect: 100-continue\r\nX: y\r\n"
                   "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

/* --- responses ------------------------------------------------------------------------------ */

Test(backend, responses_byte_by_byte)
{
    fake->read_step = 1;
    fake->read_waits = true;
    send_request();
    fake_stream_send_text(fake,
                          "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n");
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(response.status, 103);
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(response.status, 200);
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("hello");
    cr_expect_eq(http->trailers.count, 1);
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(backend, kept_only_if_both_would)
{
    cr_expect_eq(get_answered("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", IO_EOF), H1_IDLE);
    cr_expect_eq(get_answered("HTTP/1.1 204 OK\r\n\r\n", IO_EOF), H1_IDLE);
    cr_expect_eq(get_answered("HTTP/1.1 304 OK\r\nContent-Length: 7\r\n\r\n", IO_EOF), H1_IDLE);
    cr_expect_eq(get_answered("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n"
                              "\r\na",
                              IO_EOF),
                 H1_IDLE);
    cr_expect_eq(get_answered("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", IO_EOF), H1_CLOSING);
    cr_expect_eq(
        get_answered("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", IO_EOF),
        H1_CLOSING);
    /* Bytes that nobody asked for: they would answer the next request. */
    cr_expect_eq(get_answered("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", IO_EOF),
                 H1_CLOSING);
    cr_expect_eq(get_answered("HTTP/1.1 204 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", IO_EOF),
                 H1_CLOSING);
    /* Not read to its end. */
    cr_expect_eq(get_answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", IO_WAIT),
                 H1_CLOSING);
}

Test(backend, a_response_comes_in_large_pieces_from_the_start_where_they_are_wanted)
{
    static char bytes[100 * 1024];
    struct slice piece;

    http->starts_large = true;
    send_request();
    fake_stream_send_text(fake, "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n");
    fake_stream_send(fake, slice_make(bytes, sizeof(bytes)));
    cr_assert_eq(read_head(), IO_OK);
    while (http->ops->read_body(http, &piece) == IO_OK)
        http->ops->consume_body(http, piece.len);
    cr_expect_eq(http->bytes_read, sizeof(bytes));
    cr_expect_eq(fake->reads, 2);
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
    cr_expect(holds_no_buffer());
}

Test(backend, head_has_no_body)
{
    request.method = METHOD_HEAD;
    request.method_text = slice_of("HEAD");
    send_request();
    fake_stream_send_text(fake, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(response.content_length, 5);
    cr_expect_eq(read_body(), IO_EOF);
    cr_expect_eq(end(HTTP_END_REUSE), H1_IDLE);
}

Test(backend, body_until_close)
{
    send_request();
    fake_stream_send_text(fake, "HTTP/1.1 200 OK\r\n\r\nhello");
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(response.framing, BODY_CLOSE);
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("hello");
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);

    restart();
    send_request();
    fake_stream_send_text(fake, "HTTP/1.1 200 OK\r\n\r\nhello");
    fake_stream_end(fake, IO_ERROR);
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_body(), IO_ERROR, "a reset is no end");
    cr_expect_eq(http->reason, REASON_BACKEND_RESET);
}

Test(backend, cut_responses)
{
    static const enum io ends[] = {IO_EOF, IO_ERROR};
    static const char *const cut[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    };

    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            restart();
            send_request();
            fake_stream_send_text(fake, cut[j]);
            fake_stream_end(fake, ends[i]);
            cr_expect_eq(read_head(), IO_OK);
            cr_expect_eq(read_body(), IO_ERROR);
            cr_expect_eq(http->reason, REASON_BACKEND_RESET);
        }
    }
}

/* IO_EOF says that nothing came: the exchange may try elsewhere. */
Test(backend, ends_before_and_within_a_head)
{
    static const enum io ends[] = {IO_EOF, IO_ERROR};

    for (int i = 0; i < 2; i++) {
        restart();
        send_request();
        fake_stream_end(fake, ends[i]);
        cr_expect_eq(read_head(), IO_EOF);
        cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);
        restart();
        send_request();
        fake_stream_send_text(fake, "H");
        fake_stream_end(fake, ends[i]);
        cr_expect_eq(read_head(), IO_ERROR);
        cr_expect_eq(http->reason, REASON_BACKEND_RESET);
        restart();
        send_request();
        fake_stream_send_text(fake, "HTTP/1.1 100 Continue\r\n\r\n");
        fake_stream_end(fake, ends[i]);
        cr_expect_eq(read_head(), IO_OK);
        cr_expect_eq(read_head(), IO_ERROR);
    }
}

/* Their copies last as long as the request. */
Test(backend, interim_heads_count_together)
{
    static const char interim[] = "HTTP/1.1 103 Early Hints\r\nLink: ";
    char *head = malloc(sizeof(interim) + 15000 + 5);

    cr_assert_not_null(head);
    sprintf(head, "%s%015000d\r\n\r\n", interim, 0);
    send_request();
    for (int i = 0; i < 3; i++)
        fake_stream_send_text(fake, head);
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_head(), IO_ERROR, "45000 bytes, where 32768 are allowed");
    cr_expect_eq(http->reason, REASON_BACKEND_BAD_RESPONSE);
    free(head);
}

Test(backend, nonsense)
{
    send_request();
    fake_stream_send_text(fake,
                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    cr_expect_eq(read_head(), IO_ERROR);
    cr_expect_eq(http->reason, REASON_BACKEND_BAD_RESPONSE);
    cr_expect_eq(end(HTTP_END_REUSE), H1_CLOSING);

    restart();
    send_request();
    fake_stream_send_text(fake, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_body(), IO_ERROR);
    cr_expect_eq(http->reason, REASON_BACKEND_BAD_RESPONSE);
}

Test(backend, answers_while_the_request_is_still_being_sent)
{
    request.framing = BODY_LENGTH;
    request.content_length = 100;
    send_request();
    write_body("only some", false);
    fake_stream_send_text(fake, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_body(), IO_EOF);
    cr_expect_eq(end(HTTP_END_REUSE), H1_BROKEN);
}

/* It may have answered before it stopped reading. */
Test(backend, an_answer_is_read_although_writing_failed)
{
    size_t taken;

    request.framing = BODY_LENGTH;
    request.content_length = 100;
    send_request();
    fake_stream_send_text(fake, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
    fake->write_fails = true;
    cr_expect_eq(http->ops->write_body(http, slice_of("some"), false, &taken), IO_ERROR);
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("no");
    cr_expect_eq(end(HTTP_END_REUSE), H1_BROKEN);
}

/* --- idle ----------------------------------------------------------------------------------- */

Test(backend, idle_hint)
{
    static const struct {
        const char *field;
        unsigned seconds;
    } cases[] = {
        {"", 0},
        {"Keep-Alive: timeout=5\r\n", 5},
        {"Keep-Alive: max=100, Timeout=72\r\n", 72},
        {"Keep-Alive: timeout=x\r\n", 0},
        {"Keep-Alive: timeout=\r\n", 0},
        {"Keep-Alive: timeout=99999999999\r\n", UINT32_MAX},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[128];

        snprintf(bytes, sizeof(bytes), "HTTP/1.1 204 OK\r\n%s\r\n", cases[i].field);
        cr_expect_eq(get_answered(bytes, IO_EOF), H1_IDLE);
        cr_expect_eq(h1_connection_idle_hint(connection), cases[i].seconds, "%s", cases[i].field);
    }
}

Test(backend, what_an_idle_one_says_is_seen)
{
    cr_expect_eq(get_answered("HTTP/1.1 204 OK\r\n\r\n", IO_EOF), H1_IDLE);
    fake_stream_send_text(fake, "HTTP/1.1 408 Timeout\r\n\r\n");
    cr_expect_eq(h1_connection_poll(connection, &task), IO_OK);

    cr_expect_eq(get_answered("HTTP/1.1 204 OK\r\n\r\n", IO_EOF), H1_IDLE);
    fake_stream_send_text(fake, "\r\n");
    cr_expect_eq(h1_connection_poll(connection, &task), IO_OK, "an empty line is something too");

    cr_expect_eq(get_answered("HTTP/1.1 204 OK\r\n\r\n", IO_EOF), H1_IDLE);
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(h1_connection_poll(connection, &task), IO_EOF);
}

/* --- tunnels -------------------------------------------------------------------------------- */

Test(backend, tunnel)
{
    request.upgrade = slice_of("websocket");
    send_request();
    fake_stream_forget(fake);
    fake_stream_send_text(fake, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                "Upgrade: websocket\r\n\r\nraw");
    cr_expect_eq(read_head(), IO_OK);
    cr_expect_eq(response.status, 101);
    cr_expect(slice_equal(response.upgrade, slice_of("websocket")));
    cr_expect_eq(read_body(), IO_WAIT);
    expect_body("raw");
    write_body("up", false);
    write_body("", true);
    expect_written("up");
    cr_expect(fake->is_shut);
    fake_stream_send_text(fake, "down");
    fake_stream_end(fake, IO_EOF);
    cr_expect_eq(read_body(), IO_EOF);
    expect_body("down");
    cr_expect_eq(end(HTTP_END_CLOSE), H1_CLOSING);
}
