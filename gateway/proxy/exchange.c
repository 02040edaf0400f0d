#include "proxy/exchange.h"

#include "proxy/access_log.h"
#include "proxy/exchange_state.h"
#include "proxy/route_counters.h"

#include <stdlib.h>

enum {
    STEPS_A_TURN = 64,
    SPARES_MAX = 256,
};

static void return_head_charge(struct exchange *x)
{
    if (x->head_charge != 0)
        budget_give(x->env->head_memory, x->head_charge);
    x->head_charge = 0;
}

void exchange_enter(struct exchange *x, enum exchange_state state)
{
    x->state = state;
    return_head_charge(x);
    if (state >= ANSWER && x->pool != NULL)
        pool_leave(x->pool, &x->claim);
    exchange_await_nothing(x); /* each state arms its own deadline */
}

void exchange_end_leg(struct exchange *x, struct leg *leg, enum http_end end,
                      enum upstream_outcome outcome)
{
    if (leg->pool_wait != NULL) {
        x->attempts += leg->tried;
        pool_wait_end(leg->pool_wait);
    }
    if (leg->connection != NULL) {
        leg->stream->ops->end(leg->stream, end);
        upstream_connection_count(leg->connection, outcome);
        upstream_connection_give_back(leg->connection);
    }
    *leg = (struct leg){.server = leg->server};
}

void exchange_release_backend(struct exchange *x, enum http_end end, enum upstream_outcome outcome)
{
    exchange_end_encoding(x);
    exchange_end_leg(x, &x->leg, end, outcome);
    exchange_end_leg(x, &x->hedge, HTTP_END_ABORT, UPSTREAM_CANCELED);
}

/* 1 for 1xx and so on. */
static unsigned class_of(int status)
{
    if (status < 200)
        return 1;
    return status < 600 ? (unsigned)status / 100 : 5;
}

enum upstream_outcome exchange_status_outcome(int status)
{
    return (enum upstream_outcome)(UPSTREAM_1XX + class_of(status) - 1);
}

enum upstream_outcome exchange_failure_outcome(const struct exchange *x, enum http_reason reason)
{
    switch (reason) {
    case REASON_BACKEND_RESET: return UPSTREAM_RESET;
    case REASON_BACKEND_BAD_RESPONSE: return UPSTREAM_BAD_RESPONSE;
    case REASON_BACKEND_TIMEOUT: return UPSTREAM_TIMEOUT;
    case REASON_BACKEND_IDLE: return UPSTREAM_IDLE;
    default: break;
    }
    return x->has_begun ? exchange_status_outcome(x->status) : UPSTREAM_CANCELED;
}

/* Whether the backend is at fault, and not its answer's reader. */
static bool is_of_backend(const struct exchange *x, enum http_reason reason)
{
    switch (reason) {
    case REASON_BACKEND_CONNECT:
    case REASON_BACKEND_RESET:
    case REASON_BACKEND_BAD_RESPONSE:
    case REASON_NO_BACKEND:
    case REASON_BACKEND_CONNECT_TIMEOUT:
    case REASON_BACKEND_TIMEOUT:
    case REASON_BACKEND_IDLE: return true;
    default: return reason == REASON_OVER_LIMIT && x->backend_is_full;
    }
}

enum step exchange_fail(struct exchange *x, enum http_reason reason)
{
    enum step step;

    exchange_release_backend(x, HTTP_END_ABORT, exchange_failure_outcome(x, reason));
    if (is_of_backend(x, reason) && exchange_give_stale(x, &step))
        return step;
    x->reason = reason;
    if (!x->has_begun && reason != REASON_CLIENT_CLOSED) {
        own_answer_verdict(x->env, &x->arena, x->has_request ? &x->request : NULL, reason,
                           x->facts.request_id, &x->answer);
        exchange_explain_refusal(x);
        exchange_put_page(x);
        return exchange_answer(x);
    }
    if (!x->has_begun)
        x->status = http_reason_status(reason);
    if (reason == REASON_CLIENT_CLOSED)
        metric_add(x->env->metrics, METRIC_CLIENT_GONE, 1);
    /* What came before the cut is the client's; that it was cut shows in how the connection ends.
     */
    if (x->has_begun)
        x->client_stream->ops->flush(x->client_stream);
    x->ending = HTTP_END_ABORT;
    exchange_enter(x, FINISH);
    return STEP_AGAIN;
}

/* --- beginning and end ---------------------------------------------------------------------------
 */

static void count_by_route(struct exchange *x)
{
    struct series_view *routes = x->env->routes;
    struct slice name = x->route != NULL ? x->route->name : slice_of("none");
    struct route_counters *counters =
        (struct route_counters *)(void *)series_counters(routes, series_find(routes, name));
    enum http_method method = x->has_request ? x->request.method : METHOD_OTHER;

    counter_add(&counters->requests[method][class_of(x->status) - 1], 1);
    histogram_add(&counters->duration, loop_now_us(x->env->loop) - x->started_us);
}

static void count_response(struct exchange *x)
{
    struct metrics *metrics = x->env->metrics;

    metric_add(metrics, METRIC_REQUESTS, 1);
    if (x->status >= 200 && x->status < 600)
        metric_add(metrics, METRIC_RESPONSES_1XX + (unsigned)(x->status / 100 - 1), 1);
    metric_add(metrics, METRIC_BYTES_IN, (int64_t)x->client_stream->bytes_read);
    metric_add(metrics, METRIC_BYTES_OUT, (int64_t)x->client_stream->bytes_written);
    count_by_route(x);
}

static void write_log(struct exchange *x)
{
    struct access_record record = {
        .client = x->client,
        .globals = x->globals,
        .generation = x->generation,
        .request = x->has_request ? &x->request : NULL,
        .client_ip = x->facts.client_ip.len > 0 ? x->facts.client_ip : slice_of(x->client->peer_ip),
        .request_id = x->facts.request_id,
        .route = x->route != NULL ? x->route->name : slice_make(NULL, 0),
        .backend = x->upstream != NULL ? x->upstream->name : slice_make(NULL, 0),
        .server = x->leg.server,
        .status = x->status,
        .reason = x->reason,
        .bytes_in = x->client_stream->bytes_read,
        .bytes_out = x->client_stream->bytes_written,
        .duration_us = loop_now_us(x->env->loop) - x->started_us,
        .upstream_us = x->upstream_us,
        .has_upstream_time = x->has_upstream_time,
        .attempts = x->attempts,
    };

    access_log_write(x->env, &record);
}

static void recycle(void *owner)
{
    struct exchange *x = owner;
    struct proxy_env *env = x->env;

    if (env->spare_count >= SPARES_MAX) {
        arena_clear(&x->arena);
        free(x);
        return;
    }
    arena_reset(&x->arena);
    x->next_spare = env->spare_exchanges;
    env->spare_exchanges = x;
    env->spare_count++;
}

void exchange_free_spares(struct proxy_env *env)
{
    while (env->spare_exchanges != NULL) {
        struct exchange *x = env->spare_exchanges;
        env->spare_exchanges = x->next_spare;
        arena_clear(&x->arena);
        free(x);
    }
    env->spare_count = 0;
}

/* --- the generation ------------------------------------------------------------------------------
 */

static void leave_generation(struct exchange *x)
{
    struct proxy_env *env = x->env;

    if (x->pool != NULL) {
        pool_leave(x->pool, &x->claim);
        env->drop_pool(env->worker, x->upstream);
    }
    if (x->pin != NULL)
        pin_drop(env, x->pin, &x->pin_place);
    else
        env->retire_route(env->worker, x->route != NULL ? x->route->host : NULL, x->globals);
}

static bool is_held(const struct exchange *x)
{
    return x->leg.pool_wait != NULL && pool_wait_is_held(x->leg.pool_wait);
}

static bool is_waiting(const struct exchange *x)
{
    return x->leg.pool_wait != NULL && pool_wait_is_waiting(x->leg.pool_wait);
}

/* At once: from now on nothing that becomes free is used by what an older generation says. */
static void route_again(struct exchange *x)
{
    exchange_choose_again(x);
    loop_wake(x->env->loop, &x->task);
}

/* What is routed, or answered already, needs no more of its generation than this. One that is held
 * is to be routed again. */
static void let_go(struct exchange *x)
{
    if (x->state == READ_HEAD || x->state == CHOOSE_ROUTE || is_held(x))
        return;
    globals_ref(x->globals);
    if (x->route != NULL)
        host_ref(x->route->host);
    x->pin = NULL;
    list_remove(&x->pin_place);
}

void exchanges_leave_pin(struct pin *pin)
{
    list_each (&pin->exchanges, node) {
        struct exchange *x = container_of(node, struct exchange, pin_place);
        if (is_waiting(x))
            route_again(x);
        else
            let_go(x);
    }
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* `status` 0: the client left before it had asked for anything; nothing to log. */
static enum step finish(struct exchange *x)
{
    struct proxy_env *env = x->env;

    exchange_release_backend(x, HTTP_END_ABORT, exchange_failure_outcome(x, x->reason));
    exchange_release_file(x);
    exchange_release_page(x);
    exchange_end_policies(x);
    exchange_end_cache(x);
    if (x->status != 0 && !x->is_background) {
        count_response(x);
        write_log(x);
    }
    if (x->is_tunnel)
        metric_add(env->metrics, METRIC_TUNNELS, -1);
    metric_add(env->metrics, METRIC_REQUESTS_IN_FLIGHT, -1);
    x->client_stream->ops->end(x->client_stream, x->ending);
    return_head_charge(x);
    deadline_clear(&x->deadline);
    list_remove(&x->place);
    loop_wake(env->loop, x->done);
    leave_generation(x);
    if (x->arena.is_short)
        arena_clear(&x->arena); /* at once: others may be in need */
    loop_bury(env->loop, &x->task, recycle);
    return STEP_GONE;
}

static enum step refuse_head(struct exchange *x, enum http_reason reason)
{
    forwarded_facts(x->env, x->globals, x->client, &x->arena, &(struct http_fields){0}, &x->facts);
    return exchange_fail(x, reason);
}

/* A head that did not come at once is paid for until it is complete. */
static enum step await_head(struct exchange *x)
{
    size_t held = x->client_stream->client->hold_head(x->client_stream) + sizeof(*x);

    if (held > x->head_charge) {
        if (!budget_take(x->env->head_memory, held - x->head_charge))
            return refuse_head(x, REASON_OVER_LIMIT);
        x->head_charge = held;
    }
    exchange_await(x, WAIT_CLIENT_HEAD, x->globals->header_ms);
    return STEP_WAIT;
}

static enum step read_request_head(struct exchange *x)
{
    struct http_stream *client = x->client_stream;

    switch (client->ops->read_head(client, &x->arena, &x->request)) {
    case IO_OK:
        x->has_request = true;
        x->awaits_continue = x->request.expects_continue && x->request.framing != BODY_NONE;
        exchange_enter(x, CHOOSE_ROUTE);
        return STEP_AGAIN;
    case IO_WAIT: return await_head(x);
    default:
        if (client->reason != REASON_CLIENT_CLOSED) {
            metric_add(x->env->metrics, METRIC_BAD_REQUESTS, client->reason != REASON_OVER_LIMIT);
            return refuse_head(x, client->reason);
        }
        x->ending = HTTP_END_ABORT;
        exchange_enter(x, FINISH);
        return STEP_AGAIN;
    }
}

/* A head that came slowly may be routed by a generation that is not the newest any more, and one
 * that was held may have been given to a server just then. */
static enum step leave_older_pin(struct exchange *x, enum step (*take)(struct exchange *x))
{
    struct pin *pin = x->pin;
    enum step step = take(x);

    if (pin != NULL && pin != x->env->pin) {
        if (x->pin == pin)
            let_go(x);
        pin_check(x->env, pin);
    }
    return step;
}

/* --- the runner ----------------------------------------------------------------------------------
 */

static enum step take_step(struct exchange *x)
{
    switch (x->state) {
    case READ_HEAD: return read_request_head(x);
    case CHOOSE_ROUTE: return leave_older_pin(x, exchange_choose_route);
    case AWAIT_FILE: return exchange_await_file(x);
    case ASK_POLICIES: return exchange_ask_policies(x);
    case ASK_CACHE: return exchange_ask_cache(x);
    case TAKE_UPSTREAM: return leave_older_pin(x, exchange_take_upstream);
    case SEND_HEAD: return exchange_send_head(x);
    case AWAIT_REPLY: return exchange_await_reply(x);
    case RELAY: return exchange_relay(x);
    case GIVE_CACHED: return exchange_give_cached(x);
    case ANSWER: return exchange_write_answer(x);
    case DELIVER: return exchange_deliver(x);
    case FINISH: return finish(x);
    }
    assert(!"a state without a step");
    return STEP_GONE;
}

/* What the step made of memory that was set aside ends here: with an answer, or without one where
 * many have come to this. */
static enum step end_for_memory(struct exchange *x, enum step step)
{
    if (x->reason == REASON_OVER_LIMIT || x->state == FINISH)
        return step;
    if (!x->has_begun && arena_reserve_is_low()) {
        x->status = http_reason_status(REASON_OVER_LIMIT);
        x->has_begun = true;
    }
    return exchange_fail(x, REASON_OVER_LIMIT);
}

static void run_exchange(void *owner)
{
    struct exchange *x = owner;
    enum step step = STEP_AGAIN;

    if (deadline_passed(x->env->loop, &x->deadline))
        step = exchange_run_out_of_time(x);
    for (int i = 0; step == STEP_AGAIN && i < STEPS_A_TURN; i++) {
        step = take_step(x);
        if (step != STEP_GONE && x->arena.is_short)
            step = end_for_memory(x, step);
    }
    if (step == STEP_AGAIN || step == STEP_YIELD)
        loop_wake(x->env->loop, &x->task);
}

static struct exchange *take_spare(struct proxy_env *env)
{
    struct exchange *x = env->spare_exchanges;
    struct arena arena;

    if (x == NULL)
        return memory_try(sizeof(*x));
    env->spare_exchanges = x->next_spare;
    env->spare_count--;
    arena = x->arena;
    *x = (struct exchange){.arena = arena};
    return x;
}

static void init(struct exchange *x, struct proxy_env *env, struct task *done,
                 struct list *exchanges)
{
    x->env = env;
    x->done = done;
    x->ending = HTTP_END_REUSE;
    x->started_us = loop_now_us(env->loop);
    task_init(&x->task, run_exchange, x);
    deadline_init(&x->deadline, &x->task);
    metric_add(env->metrics, METRIC_REQUESTS_IN_FLIGHT, 1);
    list_push_back(exchanges, &x->place);
}

bool exchange_start(struct proxy_env *env, const struct client *client, struct http_stream *stream,
                    struct task *done, struct list *exchanges)
{
    struct exchange *x = take_spare(env);

    if (x == NULL)
        return false;
    init(x, env, done, exchanges);
    x->client = client;
    x->client_stream = stream;
    x->pin = env->pin;
    list_push_back(&env->pin->exchanges, &x->pin_place);
    x->generation = env->pin->snapshot->generation;
    x->globals = env->pin->snapshot->config->globals;
    stream->task = &x->task;
    loop_wake(env->loop, &x->task);
    return true;
}

struct exchange *exchange_new_in_background(struct proxy_env *env)
{
    struct exchange *x = take_spare(env);

    if (x == NULL)
        return NULL;
    init(x, env, &env->nobody, &env->background);
    x->is_background = true;
    return x;
}

static void cut(struct exchange *x, enum http_reason reason)
{
    x->reason = reason;
    if (!x->has_begun)
        x->status = x->has_request ? http_reason_status(reason) : 0;
    if (reason == REASON_CLIENT_CLOSED)
        metric_add(x->env->metrics, METRIC_CLIENT_GONE, 1);
    x->ending = HTTP_END_ABORT;
    finish(x);
}

void exchanges_cut(struct list *exchanges, enum http_reason reason)
{
    while (!list_is_empty(exchanges))
        cut(container_of(list_first(exchanges), struct exchange, place), reason);
}
