#include "proxy/exchange_state.h"

enum { DROP_MAX = 16 * 1024 }; /* of an answer that nobody gets, to keep its connection */

static bool leg_is_out(const struct leg *leg)
{
    return leg->pool_wait != NULL || leg->connection != NULL;
}

static struct leg *other_leg(struct exchange *x, const struct leg *leg)
{
    return leg == &x->leg ? &x->hedge : &x->leg;
}

/* --- trying again --------------------------------------------------------------------------------
 */

bool exchange_is_retried_status(const struct exchange *x)
{
    const struct settings *settings = x->settings;
    int status = x->response.status;

    if ((settings->retry_on & RETRY_ON_5XX) && status >= 500 && status <= 599)
        return true;
    for (unsigned i = 0; i < settings->retry_status_count; i++)
        if (settings->retry_statuses[i] == status)
            return true;
    return false;
}

static bool is_wished(const struct exchange *x, enum leg_loss loss)
{
    unsigned on = x->settings->retry_on;

    switch (loss) {
    case LOSS_STALE: return on & RETRY_ON_STALE;
    case LOSS_RESET: return on & RETRY_ON_RESET;
    case LOSS_LATE: return on & RETRY_ON_TIMEOUT;
    case LOSS_OVERDUE: /* which is what its bound is for */
    case LOSS_STATUS: return true;
    case LOSS_OTHER: break;
    }
    return false;
}

/* Whether the request may be given to another connection although this leg got it
 * (routes/README.md, "Retries"). What met a stale connection nobody has looked at: that costs the
 * backend nothing. */
static bool may_repeat(const struct exchange *x, const struct leg *leg, enum leg_loss loss)
{
    if (!is_wished(x, loss) || !http_method_is_idempotent(x->request.method) ||
        leg->stream->bytes_written > 0 || x->interims > 0 ||
        x->attempts >= x->settings->retry_attempts)
        return false;
    return loss == LOSS_STALE || pool_spend_retry(x->pool, x->settings->retry_budget);
}

/* On a fresh connection: a reused one might be stale. */
static void repeat(struct exchange *x, enum leg_loss loss)
{
    metric_add(x->env->metrics, METRIC_UPSTREAM_RETRIES, 1);
    x->wants_fresh = true;
    x->hedge_due_ms = 0; /* that was about the try that is over */
    x->avoid = loss == LOSS_STALE ? slice_make(NULL, 0) : x->leg.server;
    exchange_enter(x, TAKE_UPSTREAM);
}

/* The second leg goes on alone, from where it is. */
static void promote(struct exchange *x)
{
    x->leg = x->hedge;
    x->hedge = (struct leg){0};
    if (x->leg.connection == NULL)
        exchange_enter(x, TAKE_UPSTREAM);
    else if (x->leg.sent_us == 0)
        exchange_enter(x, SEND_HEAD);
}

enum http_end exchange_drop_answer(struct http_stream *stream)
{
    struct slice piece;

    for (size_t dropped = 0; dropped < DROP_MAX; dropped += piece.len) {
        enum io io = stream->ops->read_body(stream, &piece);
        if (io != IO_OK)
            return io == IO_EOF ? HTTP_END_REUSE : HTTP_END_ABORT;
        stream->ops->consume_body(stream, piece.len);
    }
    return HTTP_END_ABORT;
}

static void end_lost(struct exchange *x, struct leg *leg, enum leg_loss loss,
                     enum http_reason reason)
{
    if (loss == LOSS_STATUS)
        exchange_end_leg(x, leg, exchange_drop_answer(leg->stream),
                         exchange_status_outcome(x->response.status));
    else
        exchange_end_leg(x, leg, HTTP_END_ABORT,
                         loss == LOSS_STALE ? UPSTREAM_STALE : exchange_failure_outcome(x, reason));
}

bool exchange_goes_on(struct exchange *x, struct leg *leg, enum leg_loss loss,
                      enum http_reason reason)
{
    bool is_alone = !leg_is_out(other_leg(x, leg));

    if (is_alone && !may_repeat(x, leg, loss))
        return false;
    end_lost(x, leg, loss, reason);
    if (is_alone)
        repeat(x, loss);
    else if (leg == &x->leg)
        promote(x);
    x->response = (struct http_head){0};
    x->has_upstream_time = false;
    x->moved_on = true; /* the deadline may have been about this leg */
    return true;
}

/* --- a second server -----------------------------------------------------------------------------
 */

/* Only what may be done twice, and is sent in one piece. */
static bool may_hedge(const struct exchange *x)
{
    return !x->was_hedged && x->request.framing == BODY_NONE && x->request.upgrade.len == 0 &&
           http_method_is_idempotent(x->request.method) &&
           x->attempts < x->settings->retry_attempts;
}

/* The leg has the whole request. */
static void note_sent(struct exchange *x, struct leg *leg)
{
    leg->sent_us = leg->heard_us = loop_now_us(x->env->loop);
}

static bool is_hedge_due(const struct exchange *x)
{
    return x->hedge_due_ms != 0 && loop_now_ms(x->env->loop) >= x->hedge_due_ms;
}

enum step exchange_ask_hedge(struct exchange *x)
{
    struct leg *leg = &x->hedge;
    enum http_reason reason = REASON_NONE;
    enum io io = IO_OK;

    if (is_hedge_due(x)) {
        x->hedge_due_ms = 0;
        if (!pool_spend_retry(x->pool, x->settings->retry_budget))
            return STEP_WAIT;
        metric_add(x->env->metrics, METRIC_UPSTREAM_HEDGES, 1);
        x->was_hedged = true;
        x->avoid = x->leg.server;
    } else if (!leg_is_out(leg)) {
        return STEP_WAIT;
    }
    if (leg->connection == NULL)
        io = exchange_take_leg(x, leg, &reason);
    if (io == IO_OK && leg->sent_us == 0) {
        io = exchange_send_leg(x, leg, &reason);
        if (io == IO_OK) {
            note_sent(x, leg);
            upstream_connection_note_sent(leg->connection);
        }
    }
    if (io == IO_OK) {
        enum step step = exchange_read_leg(x, leg);
        if (step == STEP_WAIT)
            leg->stream->ops->flush(leg->stream);
        return step;
    }
    if (io != IO_WAIT)
        exchange_goes_on(x, leg, LOSS_OTHER, reason);
    return STEP_WAIT;
}

static void note_response(struct exchange *x, const struct leg *leg)
{
    if (leg->sent_us != 0)
        pool_note_response(x->pool, leg->sent_us);
}

void exchange_settle(struct exchange *x, struct leg *leg)
{
    if (x->response.status < 500)
        note_response(x, leg);
    x->hedge_due_ms = 0;
    if (leg == &x->leg) {
        exchange_end_leg(x, &x->hedge, HTTP_END_ABORT, UPSTREAM_CANCELED);
        return;
    }
    note_response(x, &x->leg); /* it would have taken longer still: that must not be forgotten */
    exchange_end_leg(x, &x->leg, HTTP_END_ABORT, UPSTREAM_CANCELED);
    promote(x);
}

/* --- clocks --------------------------------------------------------------------------------------
 */

/* UINT64_MAX: never. */
static uint64_t due_ms(uint64_t since_us, uint64_t limit_ms)
{
    return since_us != 0 && limit_ms != 0 ? since_us / 1000 + limit_ms : UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When the leg is late, and what it will have lost by then. */
static uint64_t late_ms(const struct exchange *x, const struct leg *leg, enum leg_loss *loss)
{
    uint64_t late = due_ms(leg->heard_us, x->settings->first_byte_ms);
    uint64_t overdue = due_ms(leg->sent_us, x->settings->retry_timeout_ms);

    *loss = overdue <= late ? LOSS_OVERDUE : LOSS_LATE;
    return least(late, overdue);
}

/* From the last byte of the request: what comes before is up to other clocks. */
static void begin_clock(struct exchange *x)
{
    uint64_t after_us;

    note_sent(x, &x->leg);
    after_us = may_hedge(x) ? pool_hedge_after_us(x->pool) : 0;
    x->hedge_due_ms = after_us != 0 ? (x->leg.sent_us + after_us) / 1000 + 1 : 0;
}

enum step exchange_await_answer(struct exchange *x)
{
    uint64_t now_ms = loop_now_ms(x->env->loop), due = UINT64_MAX;
    struct leg *const legs[] = {&x->leg, &x->hedge};

    if (x->leg.sent_us == 0)
        begin_clock(x);
    for (int i = 0; i < 2; i++) {
        enum leg_loss loss;
        uint64_t late = late_ms(x, legs[i], &loss);
        if (now_ms < late)
            due = least(due, late);
        else if (exchange_goes_on(x, legs[i], loss, REASON_BACKEND_TIMEOUT))
            return STEP_AGAIN;
        else
            return exchange_fail(x, REASON_BACKEND_TIMEOUT);
    }
    if (x->hedge_due_ms != 0 && x->hedge_due_ms < due)
        exchange_await(x, WAIT_HEDGE, x->hedge_due_ms - now_ms);
    else
        exchange_await(x, WAIT_FIRST_BYTE, due != UINT64_MAX ? due - now_ms : 0);
    return STEP_WAIT;
}
