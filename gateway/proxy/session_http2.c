#include "proxy/session_state.h"

#include "net/tcp_stream.h"
#include "proxy/door.h"
#include "proxy/exchange.h"
#include "proxy/http2_ends.h"

enum { PING_ANSWER_MS = 1000 }; /* of a client that is told to go elsewhere */

bool session_begin_http2(struct session *s)
{
    struct proxy_env *env = s->env;

    s->http2 = h2_connection_new(env->loop, s->stream, &s->task, &env->limits);
    if (!s->http2)
        return false;
    tcp_stream_keep_little_unsent(tls_stream_below(s->stream));
    s->http2_wait = H2_WAITS_NOTHING;
    s->client.is_http2 = true;
    return true;
}

static void return_head_charge(struct session *s)
{
    if (s->head_charge != 0)
        budget_give(s->env->head_memory, s->head_charge);
    s->head_charge = 0;
}

void session_end_http2(struct session *s)
{
    return_head_charge(s);
    admission_leave_requests(s->env->admission, s->http2_places);
    s->http2_places = 0;
    h2_connection_free(s->http2);
    s->http2 = NULL;
}

/* --- requests -------------------------------------------------------------------------------- */

/* Once: a second time would not wait for the client to have heard it. */
static void say_goodbye(struct session *s)
{
    if (!h2_connection_is_draining(s->http2))
        h2_connection_drain(s->http2);
}

/* One that came while draining is served, and the client is told to go elsewhere with the next. */
static void note_request(struct session *s)
{
    s->has_served = true;
    if (s->env->is_draining)
        say_goodbye(s);
}

/* Each request beyond the first may need a descriptor that nobody set aside for the connection. */
static bool has_place(struct session *s)
{
    if (h2_connection_taken(s->http2) <= s->http2_places + 1)
        return true;
    if (!door_let_in_request(s->env, &s->client))
        return false;
    s->http2_places++;
    return true;
}

/* Not each at once: most connections need the place again soon. */
static void give_places_back(struct session *s)
{
    unsigned requests = h2_connection_taken(s->http2);

    if (s->http2_places <= 2 * requests)
        return;
    admission_leave_requests(s->env->admission, s->http2_places - requests);
    s->http2_places = requests;
}

static void take_requests(struct session *s)
{
    struct http_stream *stream;

    while ((stream = h2_connection_next(s->http2)) != NULL) {
        note_request(s);
        if (!has_place(s))
            h2_connection_turn_away(stream);
        if (!exchange_start(s->env, &s->client, stream, &s->task, &s->exchanges))
            stream->ops->end(stream, HTTP_END_ABORT);
    }
    give_places_back(s);
}

/* --- waiting --------------------------------------------------------------------------------- */

/* A head that did not come at once is paid for until it is complete. */
static void pay_for_head(struct session *s)
{
    size_t held = h2_connection_held(s->http2);

    if (held <= s->head_charge) {
        if (held == 0)
            return_head_charge(s);
        return;
    }
    if (budget_take(s->env->head_memory, held - s->head_charge))
        s->head_charge = held;
    else
        h2_connection_fail(s->http2, "over_limit");
}

static uint64_t idle_ms(const struct session *s)
{
    return s->env->is_draining ? FIRST_REQUEST_WHILE_DRAINING_MS
                               : s->env->pin->snapshot->globals->keepalive_ms;
}

static uint64_t patience_ms(const struct session *s, enum session_state state, enum h2_wait wait)
{
    switch (wait) {
    case H2_WAITS_HEAD: return s->env->pin->snapshot->globals->header_ms;
    case H2_WAITS_GOAWAY: return PING_ANSWER_MS;
    case H2_WAITS_NOTHING: break;
    }
    return state == SESSION_IDLE ? idle_ms(s) : 0; /* streams have deadlines of their own */
}

/* One deadline, for what is waited for since it is; idle means without a request, whatever else the
 * client says meanwhile. */
static void await(struct session *s, enum session_state state)
{
    enum h2_wait wait = h2_connection_wait(s->http2);

    pay_for_head(s);
    if (state == s->state && wait == s->http2_wait)
        return;
    s->http2_wait = wait;
    session_enter(s, state, patience_ms(s, state, wait));
}

static void note_problem(struct session *s)
{
    const char *problem = h2_connection_problem(s->http2);
    const struct http2_end *end;

    if (problem == NULL)
        return;
    end = http2_end_of(problem);
    metric_add(s->env->metrics, end->metric, 1);
    if (end->metric == METRIC_HTTP2_ENDED_CALM)
        door_note_flood(s->env, &s->client);
    log_event(LOG_DEBUG, "http2.ended", "%s: %s", s->client.peer_ip,
              end->metric == METRIC_HTTP2_ENDED_OTHER ? problem : end->word);
}

static void leave(struct session *s)
{
    note_problem(s);
    exchanges_cut(&s->exchanges, REASON_CLIENT_CLOSED);
    return_head_charge(s);
}

bool session_serve_http2(struct session *s)
{
    enum h2_state state = h2_connection_run(s->http2);

    if (state <= H2_BUSY)
        take_requests(s);
    switch (state) {
    case H2_IDLE: await(s, SESSION_IDLE); return false;
    case H2_BUSY: await(s, SESSION_BUSY); return false;
    case H2_CLOSING:
        leave(s);
        session_enter(s, SESSION_LINGER, SESSION_LINGER_MS);
        return true;
    case H2_BROKEN:
        leave(s);
        session_close(s);
        return false;
    }
    return false;
}

/* --- ends ------------------------------------------------------------------------------------ */

void session_http2_out_of_time(struct session *s)
{
    enum h2_wait wait = s->http2_wait;

    s->http2_wait = H2_WAITS_NOTHING;
    deadline_set(s->env->loop, &s->deadline, 0);
    if (wait == H2_WAITS_HEAD)
        h2_connection_fail(s->http2, "header_timeout");
    else
        h2_connection_drain(s->http2);
}

void session_drain_http2(struct session *s)
{
    if (s->has_served)
        say_goodbye(s);
    else if (s->state == SESSION_IDLE && s->http2_wait == H2_WAITS_NOTHING)
        deadline_set(s->env->loop, &s->deadline, FIRST_REQUEST_WHILE_DRAINING_MS);
}
