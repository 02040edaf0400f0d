#include "http/h1_connection.h"

#include "base/check.h"
#include "http/h1_writer.h"

#include <stdlib.h>

enum {
    LINGER_BYTES = 64 * 1024,
    CHUNK_FRAME = 32, /* a chunk's size line and its last CRLF, at most */
};

enum reading { READ_HEAD, READ_BODY, READ_DONE, READ_FAILED };
enum writing {
    WRITE_HEAD,
    WRITE_BODY,
    WRITE_SHUT, /* a tunnel's: everything taken, our direction is to be ended by flush */
    WRITE_DONE,
    WRITE_FAILED,
};

struct h1_connection {
    struct http_stream http;
    struct stream *stream; /* borrowed */
    struct h1_parser parser;
    struct buffer in;  /* read, not yet consumed */
    struct buffer out; /* written, not yet taken by the stream */
    enum h1_role role;
    enum h1_state state;
    bool close_after;
    unsigned idle_hint_s;
    uint32_t lingered_bytes;

    /* The exchange that is on it: */
    enum reading reading;
    enum writing writing;
    enum http_method method;
    int client_minor; /* HTTP/1.x of the request */
    enum body_framing out_framing;
    uint64_t out_left;     /* BODY_LENGTH: what was promised and not yet written */
    bool keeps_connection; /* as far as is known */
    bool expects_continue; /* and has not been answered */
    bool has_interim;      /* a 1xx head was read */
    bool is_tunnel;
};

static struct h1_connection *connection_of(struct http_stream *http)
{
    return container_of(http, struct h1_connection, http);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* Reads more behind what is in `in`, into a block of `target` bytes if the content leaves room there. */
static enum io fill(struct h1_connection *c, size_t target)
{
    size_t length = buffer_length(&c->in);
    enum io io = IO_ERROR;

    if (buffer_reserve(&c->in, length < target ? target - length : target))
        io = stream_read(c->stream, &c->in);
    if (io != IO_OK)
        buffer_rest(&c->in);
    return io;
}

static enum io fail_reading(struct h1_connection *c, enum http_reason reason)
{
    c->reading = READ_FAILED;
    c->http.reason = reason;
    return IO_ERROR;
}

static enum io fail_cut(struct h1_connection *c)
{
    return fail_reading(c, c->role == H1_TO_CLIENT ? REASON_CLIENT_CLOSED : REASON_BACKEND_RESET);
}

/* Seconds of "Keep-Alive: timeout=5, max=100". */
static unsigned read_idle_hint(const struct http_fields *fields)
{
    static const struct slice name = {"timeout=", 8};
    const struct http_field *field = http_fields_get(fields, FIELD_KEEP_ALIVE);
    struct slice rest, element;
    uint64_t seconds;

    if (!field)
        return 0;
    rest = field->value;
    while (slice_next_in_list(&rest, &element))
        if (element.len > name.len &&
            slice_equal_nocase(slice_make(element.at, name.len), name) &&
            slice_parse_u64(slice_skip(element, name.len), &seconds))
            return seconds > UINT32_MAX ? UINT32_MAX : (unsigned)seconds;
    return 0;
}

static void note_head(struct h1_connection *c, const struct http_head *head)
{
    if (c->role == H1_TO_CLIENT) {
        c->method = head->method;
        c->client_minor = head->version_minor;
        c->expects_continue = head->expects_continue && head->framing != BODY_NONE;
    } else {
        if (head->status < 200 && head->status != 101) {
            c->has_interim = true;
            return;
        }
        c->idle_hint_s = read_idle_hint(&head->fields);
    }
    c->keeps_connection = head->keeps_connection;
    c->reading = head->framing == BODY_NONE ? READ_DONE : READ_BODY;
}

static enum io read_head(struct http_stream *http, struct arena *arena, struct http_head *head)
{
    struct h1_connection *c = connection_of(http);

    http->arena = arena;
    if (c->reading == READ_FAILED)
        return IO_ERROR;
    assert(c->reading == READ_HEAD);
    for (;;) {
        switch (h1_parse_head(&c->parser, &c->in, arena, head)) {
        case H1_DONE: note_head(c, head); return IO_OK;
        case H1_BAD: return fail_reading(c, h1_parser_reason(&c->parser));
        case H1_MORE: break;
        }
        enum io io = fill(c, BUFFER_SMALL);
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io == IO_OK)
            continue;
        fail_cut(c);
        return h1_parser_has_begun(&c->parser) || c->has_interim ? IO_ERROR : IO_EOF;
    }
}

static enum io flush(struct http_stream *http);

/* The client waits with its body until it is told to go on (RFC 9110 section 10.1.1). */
static void answer_expectation(struct h1_connection *c)
{
    if (c->writing != WRITE_HEAD)
        return;
    if (c->expects_continue) {
        c->expects_continue = false;
        buffer_append_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    /* Where it cannot leave at once the task is woken, and asks for the body again. */
    if (buffer_length(&c->out) > 0)
        flush(&c->http);
}

static enum io end_of_input(struct h1_connection *c)
{
    if (h1_parse_eof(&c->parser) != H1_DONE)
        return fail_cut(c);
    c->reading = READ_DONE;
    return IO_EOF;
}

static enum io read_body(struct http_stream *http, struct slice *piece)
{
    struct h1_connection *c = connection_of(http);

    while (c->reading == READ_BODY) {
        switch (h1_parse_body(&c->parser, &c->in, http->arena, piece, &http->trailers)) {
        case H1_DONE:
            if (piece->len > 0)
                return IO_OK;
            c->reading = READ_DONE;
            return IO_EOF;
        case H1_BAD: return fail_reading(c, h1_parser_reason(&c->parser));
        case H1_MORE: break;
        }
        if (c->role == H1_TO_CLIENT)
            answer_expectation(c);
        /* A body that turns out long is read in large pieces. */
        enum io io = fill(c, http->bytes_read < BUFFER_SMALL ? BUFFER_SMALL : BUFFER_LARGE);
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io == IO_EOF)
            return end_of_input(c);
        if (io == IO_ERROR)
            return fail_cut(c);
    }
    return c->reading == READ_DONE ? IO_EOF : IO_ERROR;
}

static void consume_body(struct http_stream *http, size_t bytes)
{
    struct h1_connection *c = connection_of(http);

    h1_body_consumed(&c->parser, &c->in, bytes);
    http->bytes_read += bytes;
}

static enum io watch(struct http_stream *http)
{
    struct h1_connection *c = connection_of(http);

    assert(c->role == H1_TO_CLIENT);
    while (buffer_length(&c->in) < BUFFER_SMALL) {
        enum io io = fill(c, BUFFER_SMALL);

        if (io != IO_OK)
            return io;
    }
    return IO_WAIT; /* for whoever consumes */
}

/* --- writing ------------------------------------------------------------------------------------ */

static enum io fail_writing(struct h1_connection *c)
{
    c->writing = WRITE_FAILED;
    buffer_clear(&c->out);
    return IO_ERROR;
}

static enum io send_out(struct h1_connection *c)
{
    while (buffer_length(&c->out) > 0) {
        size_t taken = 0;
        enum io io = stream_write(c->stream, buffer_content(&c->out), &taken);

        buffer_consume(&c->out, taken);
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io != IO_OK)
            return fail_writing(c);
    }
    buffer_rest(&c->out);
    return IO_OK;
}

static enum io write_request_head(struct h1_connection *c, const struct http_head *head)
{
    struct h1_send send = {.framing = head->framing,
                           .content_length = head->content_length,
                           .upgrade = head->upgrade};

    if (head->framing == BODY_NONE) {
        send.announce_length = head->has_content_length;
        send.content_length = 0;
    } else if (head->framing == BODY_CLOSE) {
        send.framing = BODY_CHUNKED;
    }
    h1_parser_expect_response(&c->parser, head->method);
    c->out_framing = send.framing;
    c->out_left = send.content_length;
    c->writing = send.framing == BODY_NONE ? WRITE_DONE : WRITE_BODY;
    if (!h1_write_request_head(&c->out, head, head->authority, &send))
        return fail_writing(c);
    return IO_OK;
}

static enum io write_interim_head(struct h1_connection *c, const struct http_head *head)
{
    struct h1_send send = {.framing = BODY_NONE};

    if (c->client_minor == 0)
        return IO_OK; /* does not know 1xx (RFC 9110 section 15.2) */
    if (head->status == 100)
        c->expects_continue = false;
    return h1_write_response_head(&c->out, head, &send) ? IO_OK : fail_writing(c);
}

/* Whether the client may use the connection for more, as far as the response's head can tell. */
static bool may_keep_client(const struct h1_connection *c)
{
    if (!c->keeps_connection || c->close_after || c->out_framing == BODY_CLOSE)
        return false;
    /* A client that waits for 100 Continue may send its body after a final response, or not. */
    if (c->expects_continue && buffer_length(&c->in) == 0)
        return false;
    return c->reading == READ_BODY || c->reading == READ_DONE;
}

static enum io write_response_head(struct h1_connection *c, const struct http_head *head)
{
    bool is_bodiless = c->method == METHOD_HEAD || head->status == 101 || head->status == 204 ||
                       head->status == 304;
    bool has_length = head->has_content_length || head->framing == BODY_LENGTH;
    struct h1_send send = {.framing = head->framing};

    if (is_bodiless) {
        send.framing = BODY_NONE;
        send.announce_length = has_length && head->status != 101 && head->status != 204;
        send.content_length = head->content_length;
    } else if (head->framing == BODY_NONE) {
        send.announce_length = true;
    } else if (head->framing == BODY_LENGTH) {
        send.content_length = head->content_length;
    } else {
        send.framing = c->client_minor > 0 ? BODY_CHUNKED : BODY_CLOSE;
    }
    if (head->status == 101 || head->status == 426)
        send.upgrade = head->upgrade;
    c->out_framing = send.framing;
    c->out_left = send.content_length;
    c->keeps_connection = may_keep_client(c);
    send.close = !c->keeps_connection && head->status != 101;
    send.keep_alive_http10 = c->keeps_connection && c->client_minor == 0;
    c->writing = send.framing == BODY_NONE ? WRITE_DONE : WRITE_BODY;
    if (!h1_write_response_head(&c->out, head, &send))
        return fail_writing(c);
    return IO_OK;
}

static enum io write_head(struct http_stream *http, const struct http_head *head)
{
    struct h1_connection *c = connection_of(http);

    if (c->writing == WRITE_FAILED)
        return IO_ERROR;
    assert(c->writing == WRITE_HEAD);
    if (c->role == H1_TO_BACKEND)
        return write_request_head(c, head);
    if (head->status < 200 && head->status != 101)
        return write_interim_head(c, head);
    return write_response_head(c, head);
}

/* Behind a head that is still here as much as fits, so that they leave together; the rest straight
 * from where it lies. */
static enum io write_raw(struct h1_connection *c, struct slice piece, size_t *taken)
{
    size_t held = buffer_length(&c->out);

    if (held > 0) {
        size_t room = held < BUFFER_SMALL ? BUFFER_SMALL - held : 0;

        *taken = piece.len < room ? piece.len : room;
        if (!buffer_append(&c->out, slice_make(piece.at, *taken)))
            return fail_writing(c);
        if (*taken == piece.len)
            return IO_OK;
        enum io io = send_out(c);
        if (io != IO_OK)
            return io;
    }
    while (*taken < piece.len) {
        size_t more = 0;
        enum io io = stream_write(c->stream, slice_skip(piece, *taken), &more);

        *taken += more;
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io != IO_OK)
            return fail_writing(c);
    }
    return IO_OK;
}

static enum io write_chunks(struct h1_connection *c, struct slice piece, size_t *taken)
{
    while (*taken < piece.len) {
        if (buffer_length(&c->out) > BUFFER_LARGE / 2) {
            enum io io = send_out(c);

            if (io != IO_OK)
                return io;
        }
        size_t room = BUFFER_LARGE - CHUNK_FRAME - buffer_length(&c->out);
        struct slice chunk = slice_skip(piece, *taken);
        if (chunk.len > room)
            chunk.len = room;
        if (!buffer_reserve(&c->out, chunk.len + CHUNK_FRAME) ||
            !h1_write_chunk_start(&c->out, chunk.len) || !buffer_append(&c->out, chunk) ||
            !buffer_append_text(&c->out, "\r\n"))
            return fail_writing(c);
        *taken += chunk.len;
    }
    return IO_OK;
}

static enum io end_message(struct h1_connection *c)
{
    if (c->out_framing == BODY_LENGTH && c->out_left > 0)
        return fail_writing(c); /* the peer must see that something is missing */
    if (c->out_framing == BODY_CHUNKED && !h1_write_last_chunk(&c->out, c->http.trailers_out))
        return fail_writing(c);
    if (!c->is_tunnel) {
        c->writing = WRITE_DONE;
        return IO_OK;
    }
    c->writing = WRITE_SHUT;
    return flush(&c->http) == IO_ERROR ? IO_ERROR : IO_OK;
}

static enum io write_body(struct http_stream *http, struct slice piece, bool last, size_t *taken)
{
    struct h1_connection *c = connection_of(http);
    enum io io;

    *taken = 0;
    if (c->writing == WRITE_DONE) {
        *taken = piece.len; /* a response that may have no body: to HEAD, 204, 304 */
        return IO_OK;
    }
    if (c->writing == WRITE_FAILED)
        return IO_ERROR;
    assert(c->writing == WRITE_BODY);
    assert(c->out_framing != BODY_LENGTH || piece.len <= c->out_left);
    io = c->out_framing == BODY_CHUNKED ? write_chunks(c, piece, taken)
                                        : write_raw(c, piece, taken);
    http->bytes_written += *taken;
    if (c->out_framing == BODY_LENGTH)
        c->out_left -= *taken;
    if (io == IO_WAIT && *taken > 0)
        return IO_OK;
    if (io != IO_OK || !last)
        return io;
    return end_message(c);
}

static enum io flush(struct http_stream *http)
{
    struct h1_connection *c = connection_of(http);
    enum io io;

    if (c->writing == WRITE_FAILED)
        return IO_ERROR;
    io = send_out(c);
    if (io == IO_OK)
        io = stream_flush(c->stream);
    if (io == IO_OK && c->writing == WRITE_SHUT) {
        io = stream_shut(c->stream);
        if (io == IO_OK)
            c->writing = WRITE_DONE;
    }
    return io == IO_OK || io == IO_WAIT ? io : fail_writing(c);
}

/* --- the end of an exchange ---------------------------------------------------------------------- */

static bool is_reusable(const struct h1_connection *c)
{
    if (c->reading != READ_DONE || c->writing != WRITE_DONE || !c->keeps_connection ||
        c->is_tunnel || buffer_length(&c->out) > 0)
        return false;
    /* A client may send its next request early; what a backend sends unasked belongs to nobody. */
    return c->role == H1_TO_CLIENT || buffer_length(&c->in) == 0;
}

static enum h1_state state_after(const struct h1_connection *c, enum http_end how)
{
    /* Half of a message that ends with the connection would look whole if it were shut in order. */
    bool is_half = c->writing == WRITE_BODY && !c->is_tunnel;

    if (how == HTTP_END_ABORT || c->writing == WRITE_FAILED || is_half)
        return H1_BROKEN;
    return how == HTTP_END_REUSE && is_reusable(c) ? H1_IDLE : H1_CLOSING;
}

static void end(struct http_stream *http, enum http_end how)
{
    struct h1_connection *c = connection_of(http);

    assert(c->state == H1_BUSY);
    c->state = state_after(c, how);
    if (c->state != H1_IDLE)
        buffer_clear(&c->in);
    if (c->state == H1_BROKEN)
        buffer_clear(&c->out);
    buffer_rest(&c->in);
    buffer_rest(&c->out);
    c->http = (struct http_stream){0};
}

void h1_stream_become_tunnel(struct http_stream *http)
{
    struct h1_connection *c = connection_of(http);

    /* Switched while a body was still on its way: what follows could be read two ways. */
    if (c->reading != READ_DONE || c->writing != WRITE_DONE) {
        c->writing = WRITE_FAILED;
        fail_reading(c, c->role == H1_TO_CLIENT ? REASON_BAD_REQUEST : REASON_BACKEND_BAD_RESPONSE);
        return;
    }
    h1_parser_become_tunnel(&c->parser);
    c->is_tunnel = true;
    c->out_framing = BODY_CLOSE;
    c->reading = READ_BODY;
    c->writing = WRITE_BODY;
}

/* --- the connection ------------------------------------------------------------------------------ */

static const struct http_stream_ops h1_ops = {
    .read_head = read_head,
    .read_body = read_body,
    .consume_body = consume_body,
    .write_head = write_head,
    .write_body = write_body,
    .flush = flush,
    .watch = watch,
    .end = end,
};

struct h1_connection *h1_connection_new(struct stream *stream, enum h1_role role,
                                        const struct h1_limits *limits)
{
    struct h1_connection *c = memory_new(sizeof(*c));

    c->stream = stream;
    c->role = role;
    c->state = H1_IDLE;
    h1_parser_init(&c->parser, role == H1_TO_CLIENT ? H1_REQUEST : H1_RESPONSE, limits);
    return c;
}

void h1_connection_free(struct h1_connection *connection)
{
    if (!connection)
        return;
    buffer_clear(&connection->in);
    buffer_clear(&connection->out);
    free(connection);
}

struct http_stream *h1_connection_begin(struct h1_connection *c, struct task *task)
{
    assert(c->state == H1_IDLE);
    c->state = H1_BUSY;
    c->stream->task = task;
    c->http = (struct http_stream){.ops = &h1_ops, .task = task};
    c->reading = READ_HEAD;
    c->writing = WRITE_HEAD;
    c->client_minor = 1;
    c->method = METHOD_OTHER;
    c->keeps_connection = c->expects_continue = c->has_interim = c->is_tunnel = false;
    return &c->http;
}

enum h1_state h1_connection_state(const struct h1_connection *connection)
{
    return connection->state;
}

enum io h1_connection_poll(struct h1_connection *c, struct task *task)
{
    enum io io = IO_OK;

    assert(c->state == H1_IDLE);
    c->stream->task = task;
    while (io == IO_OK) {
        h1_skip_empty_lines(&c->parser, &c->in);
        if (buffer_length(&c->in) > 0)
            return IO_OK;
        io = fill(c, BUFFER_SMALL);
    }
    return io;
}

static enum io drain_output(struct h1_connection *c)
{
    enum io io = send_out(c);

    if (io == IO_OK)
        io = stream_flush(c->stream);
    return io == IO_OK ? stream_shut(c->stream) : io;
}

enum io h1_connection_linger(struct h1_connection *c, struct task *task)
{
    enum io written, io = IO_OK;

    c->stream->task = task;
    written = drain_output(c);
    if (written == IO_ERROR)
        return IO_ERROR;
    while (io == IO_OK && c->lingered_bytes < LINGER_BYTES) {
        io = fill(c, BUFFER_SMALL);
        c->lingered_bytes += (uint32_t)buffer_length(&c->in);
        buffer_clear(&c->in);
    }
    /* Past the limit, or with the rest of our bytes not yet gone: wait. */
    if (io == IO_OK || (io == IO_EOF && written == IO_WAIT))
        return IO_WAIT;
    return io;
}

void h1_connection_close_after(struct h1_connection *connection)
{
    connection->close_after = true;
}

unsigned h1_connection_idle_hint(const struct h1_connection *connection)
{
    return connection->idle_hint_s;
}
