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

enum step exchange_answer(struct exchange *x)
{
    exchange_edit_response(x, &x->answer.head.fields);
    x->status = x->answer.head.status;
    x->answer.head.keeps_connection =
        (x->reason != REASON_OVER_LIMIT || x->backend_is_full) && discard_request_body(x);
    x->answer_sent = 0;
    x->answer_head_sent = false;
    exchange_enter(x, ANSWER);
    return STEP_AGAIN;
}

static uint64_t body_idle_ms(const struct exchange *x)
{
    return x->settings != NULL ? x->settings->body_idle_ms : x->globals->body_idle_ms;
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
    while (io == IO_OK && !is_to_head && x->answer.head.framing != BODY_NONE) {
        struct slice rest = slice_skip(x->answer.body, x->answer_sent);
        size_t taken = 0;
        io = client->ops->write_body(client, rest, true, &taken);
        x->answer_sent += taken;
        x->moved_on |= taken > 0;
        if (io == IO_OK && taken == rest.len)
            break;
    }
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
