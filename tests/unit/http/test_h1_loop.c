/* HTTP/1 on a real loop: whoever is told IO_WAIT is woken, wherever the bytes stop. */
#include "http/h1_connection.h"
#include "support/fake_stream.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const struct h1_limits limits = {
    .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024};

enum echo_state { READ_HEAD, ECHO_BODY, FLUSH, BETWEEN, OVER };

/* Sends each request's body back, chunked, and waits for nothing but its task. */
struct echo {
    struct loop *loop;
    struct task task;
    struct h1_connection *connection;
    struct http_stream *http;
    struct arena arena;
    enum echo_state state;
    unsigned answered;
};

static enum io echo_head(struct echo *e)
{
    struct http_head request, response = {.status = 200, .framing = BODY_CHUNKED};
    enum io io = e->http->ops->read_head(e->http, &e->arena, &request);

    response.keeps_connection = true;
    if (io != IO_OK)
        return io;
    e->state = ECHO_BODY;
    return e->http->ops->write_head(e->http, &response);
}

static enum io echo_piece(struct echo *e)
{
    struct slice piece = {NULL, 0};
    size_t taken = 0;
    enum io io = e->http->ops->read_body(e->http, &piece);

    if (io != IO_OK && io != IO_EOF)
        return io;
    if (io == IO_EOF) {
        e->state = FLUSH;
        return e->http->ops->write_body(e->http, piece, true, &taken);
    }
    io = e->http->ops->write_body(e->http, piece, false, &taken);
    e->http->ops->consume_body(e->http, taken);
    return io;
}

static enum io echo_flush(struct echo *e)
{
    enum io io = e->http->ops->flush(e->http);

    if (io != IO_OK)
        return io;
    e->http->ops->end(e->http, HTTP_END_REUSE);
    cr_assert_eq(h1_connection_state(e->connection), H1_IDLE);
    arena_reset(&e->arena);
    e->answered++;
    e->state = BETWEEN;
    return IO_OK;
}

static enum io await_next(struct echo *e)
{
    enum io io = h1_connection_poll(e->connection, &e->task);

    if (io == IO_OK) {
        e->http = h1_connection_begin(e->connection, &e->task);
        e->state = READ_HEAD;
    } else if (io == IO_EOF) {
        e->state = OVER;
    }
    return io;
}

static void run_echo(void *owner)
{
    struct echo *e = owner;
    enum io io = IO_OK;

    while (io == IO_OK) {
        switch (e->state) {
        case READ_HEAD: io = echo_head(e); break;
        case ECHO_BODY: io = echo_piece(e); break;
        case FLUSH: io = echo_flush(e); break;
        case BETWEEN: io = await_next(e); break;
        case OVER: return;
        }
    }
    cr_assert_neq(io, IO_ERROR);
    if (e->state == OVER)
        loop_stop(e->loop);
}

/* Takes one chunked response off the front and holds its body against `text`. */
static const char *expect_echo(const char *at, const char *text)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct buffer body = {0};
    size_t size;

    cr_assert_eq(strncmp(at, head, strlen(head)), 0, "%s", at);
    at += strlen(head);
    do {
        char *rest;

        size = strtoul(at, &rest, 16);
        buffer_append(&body, slice_make(rest + 2, size));
        at = rest + 2 + size + 2;
    } while (size > 0);
    cr_expect(slice_equal(buffer_content(&body), slice_of(text)));
    buffer_clear(&body);
    return at;
}

/* All sizes of steps in either direction; a test that is not woken never ends. */
Test(loop, whoever_waits_is_woken, .timeout = 240)
{
    for (size_t step = 1; step < 40; step += 3) {
        struct echo e = {.state = BETWEEN, .loop = loop_new()};
        struct fake_stream *fake = fake_stream_new(e.loop, &e.task);

        fake->read_step = step;
        fake->write_step = 41 - step;
        fake->read_waits = fake->write_waits = true;
        task_init(&e.task, run_echo, &e);
        e.connection = h1_connection_new(&fake->stream, H1_TO_CLIENT, &limits);
        fake_stream_send_text(fake, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"
                                    "hello world\r\n"
                                    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                                    "\r\n5\r\nhello\r\n3\r\n wo\r\n3\r\nrld\r\n0\r\n\r\n"
                                    "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        fake_stream_end(fake, IO_EOF);
        loop_wake(e.loop, &e.task);
        loop_run(e.loop);
        cr_expect_eq(e.answered, 3);

        char *written = slice_duplicate(fake_stream_written(fake));
        const char *at = expect_echo(written, "hello world");
        at = expect_echo(at, "hello world");
        at = expect_echo(at, "");
        cr_expect_str_eq(at, "");
        free(written);
        h1_connection_free(e.connection);
        fake_stream_free(fake);
        arena_clear(&e.arena);
        loop_free(e.loop);
    }
    buffer_cache_clear();
}
