#include "proxy/exchange_state.h"

enum {
    CONTINUE_WAIT_MS = 1000, /* how long a backend may think about Expect: 100-continue */
    INTERIMS_MAX = 16,       /* 1xx heads before the final one */
};

/* --- the connection and the request's head -------------------------------------------------------
 */

/* While nothing else is read from the client, its going away must still be seen. Where looking is
 * reading ahead, a body that is still to be read hides that, unless the stream says so by itself.
 */
static bool client_has_gone(struct exchange *x)
{
    bool request_is_read = x->request.framing == BODY_NONE || x->up.state == PUMP_DONE;
    enum io io;

    if (!x->client_stream->is_called_off && (x->is_tunnel || !request_is_read))
        return false;
    io = x->client_stream->client->watch(x->client_stream);
    return io == IO_EOF || io == IO_ERROR;
}

enum step exchange_wait_or_leave(struct exchange *x)
{
    if (!client_has_gone(x))
        return STEP_WAIT;
    if (x->client_stream->reason != REASON_BAD_REQUEST)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    metric_add(x->env->metrics, METRIC_BAD_REQUESTS, 1);
    return exchange_fail(x, REASON_BAD_REQUEST);
}

static enum http_reason pool_reason(enum pool_failure failure)
{
    switch (failure) {
    case POOL_NO_SERVER: return REASON_NO_BACKEND;
    case POOL_CONNECT_TIMEOUT: return REASON_BACKEND_CONNECT_TIMEOUT;
    case POOL_OVER_LIMIT:
    case POOL_NO_MEMORY: return REASON_OVER_LIMIT;
    case POOL_CONNECT_FAILED: break;
    }
    return REASON_BACKEND_CONNECT;
}

/* A second leg is counted with the first one, and better not sent than late. */
struct pool_ask exchange_pool_ask(struct exchange *x, const struct leg *leg)
{
    const struct settings *settings = x->settings;
    bool goes_on =
        (settings->retry_on & RETRY_ON_CONNECT) && x->attempts < settings->retry_attempts;

    return (struct pool_ask){
        .claim = leg != &x->hedge ? &x->claim : NULL,
        .route = x->route->name,
        .connect_timeout_ms = settings->connect_ms,
        .max_tries = goes_on ? settings->retry_attempts - x->attempts : 1,
        .fresh = x->wants_fresh,
        .key = x->affinity_key,
        .sticky_server = x->sticky.server,
        .avoid = x->avoid,
        .only_others = leg == &x->hedge,
        .again = x->upstream_asked_us != 0,
        .retry_percent = settings->retry_budget,
    };
}

static void ask_pool(struct exchange *x, struct leg *leg)
{
    struct pool_ask ask = exchange_pool_ask(x, leg);

    if (x->upstream_asked_us == 0)
        x->upstream_asked_us = loop_now_us(x->env->loop);
    leg->pool_wait = pool_ask(x->pool, &ask, &x->task);
}

static void name_client(struct exchange *x, struct leg *leg)
{
    struct proxy_header header;

    forwarded_header(x->client, &x->facts, &header);
    upstream_connection_name_client(leg->connection, &header);
}

enum io exchange_take_leg(struct exchange *x, struct leg *leg, enum http_reason *reason)
{
    struct slice server = slice_make(NULL, 0);
    enum pool_failure failure = POOL_NO_SERVER;
    enum io io;

    if (leg->pool_wait == NULL)
        ask_pool(x, leg);
    *reason = REASON_OVER_LIMIT;
    if (leg->pool_wait == NULL)
        return IO_ERROR;
    io = pool_answer(leg->pool_wait, &leg->connection, &failure, &server, &leg->tried);
    if (io == IO_WAIT)
        return IO_WAIT;
    leg->server = arena_copy(&x->arena, server);
    x->attempts += leg->tried;
    pool_wait_end(leg->pool_wait);
    leg->pool_wait = NULL;
    *reason = pool_reason(failure);
    x->backend_is_full = io != IO_OK && failure == POOL_OVER_LIMIT;
    if (io != IO_OK)
        return IO_ERROR;
    leg->stream = upstream_connection_begin(leg->connection, &x->task);
    /* A client in HTTP/2 takes little at a time, and there may be many requests of it. */
    leg->stream->starts_large = !x->client->is_http2;
    if (upstream_connection_names_client(leg->connection))
        name_client(x, leg);
    return IO_OK;
}

enum step exchange_take_upstream(struct exchange *x)
{
    enum http_reason reason;
    enum io io = exchange_take_leg(x, &x->leg, &reason);

    if (io == IO_WAIT && pool_wait_is_waiting(x->leg.pool_wait) && x->pin != x->env->pin &&
        !x->is_background)
        return exchange_choose_again(x);
    switch (io) {
    case IO_OK: exchange_enter(x, SEND_HEAD); return STEP_AGAIN;
    case IO_WAIT: return exchange_wait_or_leave(x);
    default: return exchange_fail(x, reason);
    }
}

static struct slice backend_host(const struct exchange *x, const struct leg *leg)
{
    switch (x->settings->host_mode) {
    case HOST_NAMED: return x->settings->host_name;
    case HOST_PRESERVE:
        if (x->request.authority.len > 0)
            return x->request.authority;
        break;
    case HOST_BACKEND: break;
    }
    return upstream_connection_host(leg->connection);
}

/* The request as the backend gets it, made once however often it is sent. */
static void make_outgoing(struct exchange *x)
{
    x->outgoing = x->request;
    exchange_copy_fields(x, &x->outgoing.fields);
    exchange_condition_request(x, &x->outgoing.fields);
    exchange_hide_cookie(x);
    exchange_edit_request(x);
    x->outgoing.keeps_connection = true;
}

enum io exchange_send_leg(struct exchange *x, struct leg *leg, enum http_reason *reason)
{
    struct http_stream *stream = leg->stream;
    enum io io;

    if (x->outgoing.fields.list == NULL)
        make_outgoing(x);
    x->outgoing.authority = backend_host(x, leg);
    io = stream->ops->write_head(stream, &x->outgoing);
    *reason = stream->reason == REASON_OVER_LIMIT ? REASON_OVER_LIMIT : REASON_BACKEND_RESET;
    return io;
}

enum step exchange_send_head(struct exchange *x)
{
    enum http_reason reason;

    switch (exchange_send_leg(x, &x->leg, &reason)) {
    case IO_OK: break;
    case IO_WAIT:
        exchange_await(x, WAIT_BACKEND_TAKES, x->settings->idle_ms);
        return exchange_wait_or_leave(x);
    default: return exchange_fail(x, reason);
    }
    if (x->request.framing == BODY_NONE) {
        x->up.state = PUMP_DONE;
        upstream_connection_note_sent(x->leg.connection);
    } else {
        body_pump_start(&x->up, x->settings->max_body);
        body_pump_edit_trailers(&x->up, exchange_edit_trailers, x);
    }
    exchange_enter(x, AWAIT_REPLY);
    return STEP_AGAIN;
}

/* --- bodies
 * --------------------------------------------------------------------------------------- */

static bool is_moving(const struct body_pump *pump)
{
    return pump->state == PUMP_WAITS_READ || pump->state == PUMP_WAITS_WRITE ||
           pump->state == PUMP_BUSY;
}

/* STEP_AGAIN: nothing went wrong. */
static enum step pump_request(struct exchange *x)
{
    if (!is_moving(&x->up) || x->awaits_continue)
        return STEP_AGAIN;
    x->moved_on |= body_pump_run(&x->up, x->client_stream, x->leg.stream);
    switch (x->up.state) {
    case PUMP_DONE:
        if (x->state == AWAIT_REPLY)
            upstream_connection_note_sent(x->leg.connection);
        break;
    case PUMP_READ_FAILED:
        if (x->down.state == PUMP_DONE && !x->is_tunnel)
            break; /* it has its answer and needs no more */
        if (x->client_stream->reason != REASON_CLIENT_CLOSED)
            metric_add(x->env->metrics, METRIC_BAD_REQUESTS, 1);
        return exchange_fail(x, x->client_stream->reason);
    case PUMP_OVER_LIMIT: return exchange_fail(x, REASON_BODY_TOO_LARGE);
    case PUMP_WRITE_FAILED:
        if (x->leg.stream->reason == REASON_OVER_LIMIT)
            return exchange_fail(x, REASON_OVER_LIMIT);
        x->up.state = PUMP_OFF; /* it may have answered before it stopped listening */
        break;
    default: break;
    }
    return STEP_AGAIN;
}

static enum step pump_response(struct exchange *x)
{
    if (!is_moving(&x->down))
        return STEP_AGAIN;
    x->moved_on |= body_pump_run(&x->down, x->source, x->client_stream);
    switch (x->down.state) {
    case PUMP_READ_FAILED: return exchange_fail(x, x->source->reason);
    case PUMP_WRITE_FAILED: return exchange_fail(x, REASON_CLIENT_CLOSED);
    default: return STEP_AGAIN;
    }
}

/* --- the reply
 * ------------------------------------------------------------------------------------ */

/* The leg has no answer to give. */
static enum step lose_leg(struct exchange *x, struct leg *leg, enum leg_loss loss,
                          enum http_reason reason)
{
    return exchange_goes_on(x, leg, loss, reason) ? STEP_AGAIN : exchange_fail(x, reason);
}

static enum step pass_interim(struct exchange *x, struct leg *leg)
{
    if (++x->interims > INTERIMS_MAX)
        return lose_leg(x, leg, LOSS_OTHER, REASON_BACKEND_BAD_RESPONSE);
    if (x->response.status == 100)
        x->awaits_continue = false;
    http_fields_drop_hop_by_hop(&x->response.fields);
    x->response.framing = BODY_NONE;
    if (x->client_stream->ops->write_head(x->client_stream, &x->response) == IO_ERROR)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    x->response = (struct http_head){0};
    leg->heard_us = loop_now_us(x->env->loop);
    x->moved_on = true;
    return STEP_AGAIN;
}

static bool has_protocol(struct slice protocols, struct slice protocol)
{
    struct slice one;

    while (slice_next_in_list(&protocols, &one))
        if (slice_equal_nocase(one, protocol))
            return true;
    return false;
}

/* Only to what the client named (RFC 9110 section 7.8), and once its request is over. */
static bool is_tunnel_asked_for(const struct exchange *x)
{
    struct slice rest = x->response.upgrade, protocol;

    if (rest.len == 0 || x->up.state != PUMP_DONE)
        return false;
    while (slice_next_in_list(&rest, &protocol))
        if (!has_protocol(x->request.upgrade, protocol))
            return false;
    return true;
}

static enum step open_tunnel(struct exchange *x)
{
    struct http_stream *client = x->client_stream;

    http_fields_drop_hop_by_hop(&x->response.fields);
    exchange_set_cookie(x);
    exchange_edit_response(x, &x->response.fields);
    x->response.framing = BODY_CLOSE;
    if (client->ops->write_head(client, &x->response) == IO_ERROR)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    x->is_tunnel = x->has_begun = true;
    x->status = 101;
    x->ending = HTTP_END_CLOSE;
    metric_add(x->env->metrics, METRIC_TUNNELS, 1);
    x->source = x->leg.stream;
    body_pump_start(&x->up, 0);
    body_pump_start(&x->down, 0);
    exchange_enter(x, RELAY);
    return STEP_AGAIN;
}

/* If not, the client is told that its connection ends, for what it still sends reaches nobody. */
static bool request_will_be_read(const struct exchange *x)
{
    return x->up.state == PUMP_DONE || (is_moving(&x->up) && x->backend_stays);
}

static enum step begin_response(struct exchange *x)
{
    enum step step;

    x->backend_stays = x->response.keeps_connection;
    x->source = x->leg.stream;
    if (x->awaits_continue)
        x->up.state = PUMP_OFF; /* refused: the client keeps its body */
    http_fields_drop_hop_by_hop(&x->response.fields);
    if (exchange_take_into_cache(x, &step))
        return step;
    exchange_pass_cache(x);
    exchange_set_cookie(x);
    if (exchange_replace_response(x))
        return exchange_answer(x);
    exchange_edit_response(x, &x->response.fields);
    exchange_compress(x);
    x->response.keeps_connection = !x->env->is_draining && request_will_be_read(x);
    if (x->client_stream->ops->write_head(x->client_stream, &x->response) != IO_OK)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    x->has_begun = true;
    x->awaits_continue = false;
    x->status = x->response.status;
    if (x->response.framing == BODY_NONE || x->request.method == METHOD_HEAD)
        x->down.state = PUMP_DONE;
    else
        body_pump_start(&x->down, 0);
    exchange_enter(x, RELAY);
    return STEP_AGAIN;
}

/* What servers say when they close an idle connection, and not of the request that crossed it on
 * its way (RFC 9110 section 15.5.9). */
static bool is_farewell(const struct exchange *x, const struct leg *leg)
{
    return x->response.status == 408 && !x->response.keeps_connection &&
           leg->stream->bytes_written == 0 && upstream_connection_is_reused(leg->connection);
}

static enum step take_reply_head(struct exchange *x, struct leg *leg)
{
    upstream_connection_note_answered(leg->connection);
    if (!x->has_upstream_time) {
        x->has_upstream_time = true;
        x->upstream_us = loop_now_us(x->env->loop) - x->upstream_asked_us;
    }
    if (is_farewell(x, leg)) {
        upstream_connection_note_stale(leg->connection);
        if (exchange_goes_on(x, leg, LOSS_STALE, REASON_NONE))
            return STEP_AGAIN;
    }
    if (exchange_is_retried_status(x) && exchange_goes_on(x, leg, LOSS_STATUS, REASON_NONE))
        return STEP_AGAIN;
    if (x->response.status < 200 && x->response.status != 101)
        return pass_interim(x, leg);
    if (x->response.status == 101 && !is_tunnel_asked_for(x))
        return lose_leg(x, leg, LOSS_OTHER, REASON_BACKEND_BAD_RESPONSE);
    if (x->request.needs_upgrade && x->response.status / 100 == 2)
        return lose_leg(x, leg, LOSS_OTHER, REASON_BACKEND_BAD_RESPONSE);
    exchange_settle(x, leg);
    if (x->response.status == 101)
        return open_tunnel(x);
    return begin_response(x);
}

/* The connection ended without an answer, or within its head. */
static enum step lose_connection(struct exchange *x, struct leg *leg, bool said_nothing)
{
    bool is_reused = upstream_connection_is_reused(leg->connection);
    enum leg_loss loss = is_reused ? LOSS_STALE : LOSS_RESET;

    if (said_nothing)
        upstream_connection_note_stale(leg->connection);
    return lose_leg(x, leg, said_nothing ? loss : LOSS_OTHER, leg->stream->reason);
}

enum step exchange_read_leg(struct exchange *x, struct leg *leg)
{
    switch (leg->stream->ops->read_head(leg->stream, &x->arena, &x->response)) {
    case IO_OK: return take_reply_head(x, leg);
    case IO_WAIT: return STEP_WAIT;
    case IO_EOF: return lose_connection(x, leg, true);
    default: return lose_connection(x, leg, false);
    }
}

/* Which clock runs while the request is on its way or its reply is awaited. */
static enum step await_backend(struct exchange *x)
{
    if (x->awaits_continue)
        exchange_await(x, WAIT_CONTINUE, CONTINUE_WAIT_MS);
    else if (x->up.state == PUMP_WAITS_READ)
        exchange_await(x, WAIT_CLIENT_SENDS, x->settings->body_idle_ms);
    else if (x->up.state == PUMP_WAITS_WRITE)
        exchange_await(x, WAIT_BACKEND_TAKES, x->settings->idle_ms);
    else
        return exchange_await_answer(x);
    return STEP_WAIT;
}

enum step exchange_await_reply(struct exchange *x)
{
    struct http_stream *backend = x->leg.stream;
    enum step step = exchange_read_leg(x, &x->leg);

    if (step != STEP_WAIT)
        return step;
    step = pump_request(x);
    if (step != STEP_AGAIN || x->state != AWAIT_REPLY)
        return step;
    step = exchange_ask_hedge(x);
    if (step != STEP_WAIT)
        return step;
    backend->ops->flush(backend);
    if (x->interims > 0 || x->request.expects_continue)
        x->client_stream->ops->flush(x->client_stream);
    if (x->up.state == PUMP_BUSY)
        return STEP_YIELD;
    step = await_backend(x);
    return step == STEP_WAIT ? exchange_wait_or_leave(x) : step;
}

/* --- both ways
 * ------------------------------------------------------------------------------------ */

static void await_relay(struct exchange *x)
{
    if (x->is_tunnel)
        exchange_await(x, WAIT_TUNNEL, x->settings->tunnel_idle_ms);
    else if (x->down.state == PUMP_WAITS_WRITE)
        exchange_await(x, WAIT_CLIENT_TAKES, x->settings->body_idle_ms);
    else if (x->up.state == PUMP_WAITS_READ)
        exchange_await(x, WAIT_CLIENT_SENDS, x->settings->body_idle_ms);
    else if (x->up.state == PUMP_WAITS_WRITE)
        exchange_await(x, WAIT_BACKEND_TAKES, x->settings->idle_ms);
    else
        exchange_await(x, WAIT_BACKEND_SENDS, x->settings->idle_ms);
}

static enum step end_relay(struct exchange *x)
{
    exchange_release_backend(x, x->is_tunnel ? HTTP_END_CLOSE : HTTP_END_REUSE,
                             exchange_status_outcome(x->status));
    exchange_enter(x, DELIVER);
    return STEP_AGAIN;
}

/* The response is whole. A backend that goes on listening still gets the rest of the request, as it
 * would without us; one that said it will close does not. */
static bool is_relayed(const struct exchange *x)
{
    return x->down.state == PUMP_DONE &&
           (!is_moving(&x->up) || !(x->is_tunnel || x->backend_stays));
}

/* The end of a request's body may still be here when its response is over. */
static bool owes_backend(struct exchange *x)
{
    return x->up.state == PUMP_DONE && (x->is_tunnel || x->backend_stays) &&
           x->leg.stream->ops->flush(x->leg.stream) == IO_WAIT;
}

enum step exchange_relay(struct exchange *x)
{
    struct http_stream *client = x->client_stream, *backend = x->leg.stream;
    enum step step = pump_response(x);

    if (x->state == RELAY && !is_relayed(x))
        step = pump_request(x);
    if (x->state != RELAY)
        return step;
    if (is_relayed(x) && !owes_backend(x))
        return end_relay(x);
    if (client->ops->flush(client) == IO_ERROR)
        return exchange_fail(x, REASON_CLIENT_CLOSED);
    backend->ops->flush(backend);
    if (x->down.state == PUMP_BUSY || x->up.state == PUMP_BUSY)
        return STEP_YIELD;
    await_relay(x);
    return is_relayed(x) ? STEP_WAIT : exchange_wait_or_leave(x);
}
