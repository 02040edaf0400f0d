#include "proxy/exchange_state.h"

enum { DISCARD_MAX = 64 * 1024 }; /* of an unwanted request body, to keep the connection */

/* Reads a small body that nobody wants, if it is here already, so that the connection may be kept.
 * True when the request is complete. */
static bool discard_request_body(struct exchange *x)
{
    struct http_stream *client = x->client_stream;
    struct slice piece;

    if (!x->has_request)
        return false;
    if (x->request.framing == BODY_NONE || x->up.state == PUMP_DONE)
        return true;
    if (x->request.expects_continue || x->request.content_length > DISCARD_MAX ||
        x->up.state == PUMP_READ_FAILED)
        return false;
    for (size_t dropped = 0; dropped < DISCARD_MAX; dropped += piece.len) {
        enum io io = client->ops->read_body(client, &piece);
        if (io != IO_OK)
            return io == IO_EOF;
        client->ops->consume_body(client, piece.len);
    }
    return false;
}

/* A success would say that the tunnel is open (RFC 8441 section 5). */
static bool is_no_answer_to_connect(const struct exchange *x)
{
    return x->request.needs_upgrade && x->answer.head.status / 100 == 2;
}

enum step exchange_answer(struct exchange *x)
{
    if (is_no_answer_to_connect(x))
        return exchange_fail(x, REASON_METHOD_REFUSED);
    exchange_edit_response(x, &x->answer.head.fields);
    x->status = x->answer.head.status;
    x->answer.head.keeps_connection =
        (x->reason != REASON_OVER_LIMIT || x->backend_is_full) && discard_request_body(x);
    x->answer_sent = 0;
    x->answer_piece = 0;
    x->answer_head_sent = false;
    exchange_enter(x, ANSWER);
    return STEP_AGAIN;
}

static uint64_t body_idle_ms(const struct exchange *x)
{
    return x->settings != NULL ? x->settings->body_idle_ms : x->globals->body_idle_ms;
}

/* IO_OK: all of the body is written. */
static enum io write_pieces(struct exchange *x)
{
    struct http_stream *client = x->client_stream;
    enum io io = IO_OK;

    while (io == IO_OK) {
        bool is_last;
        struct slice piece = own_answer_piece(&x->answer, x->answer_piece, &is_last);
        struct slice rest = slice_skip(piece, x->answer_sent);
        size_t taken = 0;
        if (rest.len > 0 || is_last)
            io = client->ops->write_body(client, rest, is_last, &taken);
        x->answer_sent += taken;
        x->moved_on |= taken > 0;
        if (io != IO_OK || taken < rest.len)
            continue;
        if (is_last)
            break;
        x->answer_piece++;
        x->answer_sent = 0;
    }
    return io;
}

enum step exchange_write_answer(struct exchange *x)
{
    struct http_stream *client = x->client_stream;
    bool is_to_head = x->has_request && x->request.method == METHOD_HEAD;
    enum io io = IO_OK;

    if (!x->answer_head_sent) {
        io = client->ops->write_head(client, &x->answer.head);
        if (io == IO_OK)
            x->answer_head_sent = x->has_begun = true;
    }
    if (io == IO_OK && !is_to_head && x->answer.head.framing != BODY_NONE)
        io = write_pieces(x);
    if (io == IO_WAIT) {
        exchange_await(x, WAIT_CLIENT_TAKES, body_idle_ms(x));
        client->ops->flush(client);
        return STEP_WAIT;
    }
    if (io != IO_OK)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    exchange_enter(x, DELIVER);
    return STEP_AGAIN;
}

enum step exchange_deliver(struct exchange *x)
{
    switch (x->client_stream->ops->flush(x->client_stream)) {
    case IO_OK: exchange_enter(x, FINISH); return STEP_AGAIN;
    case IO_WAIT:
        x->moved_on = true; /* it is a writable socket that has us run again */
        exchange_await(x, WAIT_CLIENT_TAKES, body_idle_ms(x));
        return STEP_WAIT;
    default: x->has_begun = true; return exchange_fail(x, REASON_CLIENT_CLOSED);
    }
}
