#include "http/h1_internal.h"

#include <stdlib.h>

enum { LINGER_BYTES = 64 * 1024 };

/* --- the end of an exchange ----------------------------------------------------------------- */

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
    struct h1_connection *c = h1_connection_of(http);

    assert(c->state == H1_BUSY);
    c->state = state_after(c, how);
    c->must_reset = c->state == H1_BROKEN && c->out_framing == BODY_CLOSE &&
                    (c->writing == WRITE_BODY || c->writing == WRITE_FAILED);
    if (c->state != H1_IDLE)
        buffer_clear(&c->in);
    if (c->state == H1_BROKEN)
        buffer_clear(&c->out);
    buffer_rest(&c->in);
    buffer_rest(&c->out);
    c->http = (struct http_stream){.task = c->starter};
    /* Asking something, however little, has the stream forget whom it woke before: that task may
     * be gone when the next bytes come. */
    stream_flush(h1_below(c));
}

void h1_become_tunnel(struct h1_connection *c)
{
    /* Switched while a body was still on its way: what follows could be read two ways. */
    if (c->reading != READ_DONE || c->writing != WRITE_DONE) {
        c->writing = WRITE_FAILED;
        h1_fail_reading(c,
                        c->role == H1_TO_CLIENT ? REASON_BAD_REQUEST : REASON_BACKEND_BAD_RESPONSE);
        return;
    }
    h1_parser_become_tunnel(&c->parser);
    c->is_tunnel = true;
    c->out_framing = BODY_CLOSE;
    c->reading = READ_BODY;
    c->writing = WRITE_BODY;
}

static struct stream_traffic traffic(struct http_stream *http)
{
    return stream_traffic(h1_connection_of(http)->stream);
}

static bool waits_for_others(struct http_stream *http)
{
    (void)http;
    return false; /* there are none */
}

/* --- the connection ------------------------------------------------------------------------- */

static const struct http_stream_ops h1_ops = {
    .read_head = h1_read_head,
    .read_body = h1_read_body,
    .consume_body = h1_consume_body,
    .write_head = h1_write_head,
    .write_body = h1_write_body,
    .flush = h1_flush,
    .end = end,
};

static const struct http_client_ops h1_client_ops = {
    .watch = h1_watch,
    .hold_head = h1_hold_head,
    .traffic = traffic,
    .waits_for_others = waits_for_others,
};

struct h1_connection *h1_connection_new(struct stream *stream, enum h1_role role,
                                        const struct h1_limits *limits)
{
    struct h1_connection *c = memory_try(sizeof(*c));

    if (!c)
        return NULL;
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

/* What is sent behind the last request is the client's to send again, elsewhere. */
static void count_request(struct h1_connection *c)
{
    uint32_t most = c->parser.limits->requests;

    if (most != 0 && ++c->begun >= most)
        c->close_after = true;
}

struct http_stream *h1_connection_begin(struct h1_connection *c, struct task *task)
{
    assert(c->state == H1_IDLE);
    c->state = H1_BUSY;
    c->starter = task;
    c->http = (struct http_stream){
        .ops = &h1_ops, .client = c->role == H1_TO_CLIENT ? &h1_client_ops : NULL, .task = task};
    c->reading = READ_HEAD;
    c->writing = WRITE_HEAD;
    c->out_framing = BODY_NONE;
    c->client_minor = 1;
    c->method = METHOD_OTHER;
    c->keeps_connection = c->expects_continue = c->is_tunnel = false;
    c->interim_bytes = 0;
    count_request(c);
    return &c->http;
}

void h1_connection_lead(struct h1_connection *c, struct slice bytes)
{
    assert(c->state == H1_BUSY && c->writing == WRITE_HEAD);
    if (buffer_append(&c->out, bytes))
        return;
    c->writing = WRITE_FAILED;
    c->http.reason = REASON_OVER_LIMIT;
}

enum h1_state h1_connection_state(const struct h1_connection *connection)
{
    return connection->state;
}

bool h1_connection_must_reset(const struct h1_connection *connection)
{
    return connection->must_reset;
}

enum io h1_connection_poll(struct h1_connection *c, struct task *task)
{
    enum io io = IO_OK;

    assert(c->state == H1_IDLE);
    c->http.task = task;
    while (io == IO_OK) {
        h1_skip_empty_lines(&c->parser, &c->in);
        if (buffer_length(&c->in) > 0)
            return IO_OK;
        io = h1_fill(c, BUFFER_SMALL);
    }
    return io;
}

static enum io drain_output(struct h1_connection *c)
{
    enum io io = h1_send_out(c);

    if (io == IO_OK)
        io = stream_flush(h1_below(c));
    return io == IO_OK ? stream_shut(h1_below(c)) : io;
}

enum io h1_connection_linger(struct h1_connection *c, struct task *task)
{
    enum io written, io = IO_OK;

    c->http.task = task;
    written = drain_output(c);
    if (written == IO_ERROR)
        return IO_ERROR;
    while (io == IO_OK && c->lingered_bytes < LINGER_BYTES) {
        io = h1_fill(c, BUFFER_SMALL);
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
