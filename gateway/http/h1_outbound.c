#include "http/h1_internal.h"
#include "http/h1_writer.h"
#include "http/semantics.h"

enum { CHUNK_FRAME = 32 }; /* a chunk's size line and its last CRLF, at most */

static enum io fail_writing(struct h1_connection *c)
{
    c->writing = WRITE_FAILED;
    buffer_clear(&c->out);
    return IO_ERROR;
}

static enum io fail_for_memory(struct h1_connection *c)
{
    c->lacks_memory = true;
    c->http.reason = REASON_OVER_LIMIT;
    return fail_writing(c);
}

enum io h1_send_out(struct h1_connection *c)
{
    while (buffer_length(&c->out) > 0) {
        size_t taken = 0;
        enum io io = stream_write(h1_below(c), buffer_content(&c->out), &taken);

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
    struct h1_send send = {
        .framing = head->framing, .content_length = head->content_length, .upgrade = head->upgrade};

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
        return fail_for_memory(c);
    return IO_OK;
}

static enum io write_interim_head(struct h1_connection *c, const struct http_head *head)
{
    struct h1_send send = {.framing = BODY_NONE};

    if (c->client_minor == 0)
        return IO_OK; /* does not know 1xx (RFC 9110 section 15.2) */
    if (head->status == 100)
        c->expects_continue = false;
    return h1_write_response_head(&c->out, head, &send) ? IO_OK : fail_for_memory(c);
}

/* Whether the client may use the connection for more, as far as the response's head can tell. */
static bool may_keep_client(const struct h1_connection *c, const struct http_head *head)
{
    if (!c->keeps_connection || !head->keeps_connection || c->close_after ||
        c->out_framing == BODY_CLOSE)
        return false;
    /* A client that waits for 100 Continue may send its body after a final response, or not. */
    if (c->expects_continue && buffer_length(&c->in) == 0)
        return false;
    return c->reading == READ_BODY || c->reading == READ_DONE;
}

static enum io write_response_head(struct h1_connection *c, const struct http_head *head)
{
    struct http_body_plan body = http_plan_response_body(head, c->method);
    struct h1_send send = {.framing = body.framing,
                           .announce_length = body.says_length,
                           .content_length = body.length};

    if (body.framing == BODY_CHUNKED && c->client_minor == 0)
        send.framing = BODY_CLOSE;
    if (head->status == 101 || head->status == 426)
        send.upgrade = head->upgrade;
    c->out_framing = send.framing;
    c->out_left = send.content_length;
    c->keeps_connection = may_keep_client(c, head);
    send.close = !c->keeps_connection && head->status != 101;
    send.keep_alive_http10 = c->keeps_connection && c->client_minor == 0;
    c->writing = send.framing == BODY_NONE ? WRITE_DONE : WRITE_BODY;
    if (!h1_write_response_head(&c->out, head, &send))
        return fail_for_memory(c);
    if (head->status == 101)
        h1_become_tunnel(c);
    return IO_OK;
}

enum io h1_write_head(struct http_stream *http, const struct http_head *head)
{
    struct h1_connection *c = h1_connection_of(http);

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
            return fail_for_memory(c);
        if (*taken == piece.len)
            return IO_OK;
        enum io io = h1_send_out(c);
        if (io != IO_OK)
            return io;
    }
    while (*taken < piece.len) {
        size_t more = 0;
        enum io io = stream_write(h1_below(c), slice_skip(piece, *taken), &more);

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
            enum io io = h1_send_out(c);

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
            return fail_for_memory(c);
        *taken += chunk.len;
    }
    return IO_OK;
}

static enum io end_message(struct h1_connection *c)
{
    if (c->out_framing == BODY_LENGTH && c->out_left > 0)
        return fail_writing(c); /* the peer must see that something is missing */
    if (c->out_framing == BODY_CHUNKED && !h1_write_last_chunk(&c->out, c->http.trailers_out))
        return fail_for_memory(c);
    if (!c->is_tunnel) {
        c->writing = WRITE_DONE;
        return IO_OK;
    }
    c->writing = WRITE_SHUT;
    return h1_flush(&c->http) == IO_ERROR ? IO_ERROR : IO_OK;
}

enum io h1_write_body(struct http_stream *http, struct slice piece, bool last, size_t *taken)
{
    struct h1_connection *c = h1_connection_of(http);
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
    io =
        c->out_framing == BODY_CHUNKED ? write_chunks(c, piece, taken) : write_raw(c, piece, taken);
    http->bytes_written += *taken;
    if (c->out_framing == BODY_LENGTH)
        c->out_left -= *taken;
    if (io == IO_WAIT && *taken > 0)
        return IO_OK;
    if (io != IO_OK || !last)
        return io;
    return end_message(c);
}

enum io h1_flush(struct http_stream *http)
{
    struct h1_connection *c = h1_connection_of(http);
    enum io io;

    if (c->writing == WRITE_FAILED)
        return IO_ERROR;
    io = h1_send_out(c);
    if (io == IO_OK)
        io = stream_flush(h1_below(c));
    if (io == IO_OK && c->writing == WRITE_SHUT) {
        io = stream_shut(h1_below(c));
        if (io == IO_OK)
            c->writing = WRITE_DONE;
    }
    return io == IO_OK || io == IO_WAIT ? io : fail_writing(c);
}
