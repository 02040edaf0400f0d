#include "proxy/session_state.h"

#include "base/check.h"
#include "net/tcp_stream.h"
#include "proxy/door.h"
#include "proxy/exchange.h"

#include <stdlib.h>
#include <unistd.h>

enum { CROWD = 256 }; /* so many sessions hold a MiB of memory */

static enum metric gauge_of(enum session_state state)
{
    switch (state) {
    case SESSION_PROXY_HEADER:
    case SESSION_HANDSHAKE: return METRIC_CONNECTIONS_HANDSHAKING;
    case SESSION_IDLE: return METRIC_CONNECTIONS_IDLE;
    default: return METRIC_COUNT;
    }
}

static void count_state(struct session *s, int64_t n)
{
    enum metric gauge = gauge_of(s->state);

    if (gauge != METRIC_COUNT)
        metric_add(s->env->metrics, gauge, n);
}

void session_enter(struct session *s, enum session_state state, uint64_t deadline_ms)
{
    count_state(s, -1);
    if (s->state == SESSION_HANDSHAKE)
        admission_end_handshake(s->env->admission, &s->pass);
    s->state = state;
    s->task.is_patient = state == SESSION_HANDSHAKE; /* who is served goes before newcomers */
    count_state(s, +1);
    deadline_set(s->env->loop, &s->deadline, deadline_ms);
}

static void free_session(void *owner)
{
    free(owner);
}

static void count_arrival(struct proxy_env *env)
{
    env->session_count++;
    if (env->session_count > env->session_most)
        env->session_most = env->session_count;
}

static void count_departure(struct proxy_env *env)
{
    env->session_count--;
    if (env->session_count == 0)
        env->sessions_gone(env->worker);
    if (env->session_most - env->session_count >= CROWD &&
        env->session_count <= env->session_most / 2) {
        env->session_most = env->session_count;
        env->crowd_gone(env->worker);
    }
}

void session_close(struct session *s)
{
    struct proxy_env *env = s->env;

    if (s->connection != NULL) {
        /* Under TLS a cut shows without: there is no close_notify. */
        if (!s->client.is_tls && h1_connection_must_reset(s->connection))
            tcp_stream_close_with_reset(s->stream);
        h1_connection_free(s->connection);
    }
    if (s->http2 != NULL)
        session_end_http2(s);
    if (s->stream != NULL)
        stream_close(s->stream);
    session_end_opening(s);
    session_enter(s, SESSION_CLOSED, 0);
    deadline_clear(&s->deadline);
    admission_leave(env->admission, &s->pass);
    list_remove(&s->node);
    metric_add(env->metrics, METRIC_CONNECTIONS_OPEN, -1);
    loop_bury(env->loop, &s->task, free_session);
    count_departure(env);
}

/* --- one request after the other ------------------------------------------------------------- */

static bool may_stay_idle(const struct session *s)
{
    return !s->env->is_draining || !s->has_served;
}

/* What a listener is for may have changed since it accepted; one that is gone is as it was. */
static void follow_listener(struct session *s)
{
    const struct listen_spec *listen = s->env->listen_spec(s->env->worker, s->client.listener);

    if (listen == NULL)
        return;
    s->client.serves_routes = listen->serves_routes;
    s->client.https_port = listen->https_port;
}

static bool await_request(struct session *s)
{
    switch (h1_connection_poll(s->connection, &s->task)) {
    case IO_OK:
        s->has_served = true;
        if (s->env->is_draining)
            h1_connection_close_after(s->connection);
        session_enter(s, SESSION_BUSY, 0);
        if (!s->client.is_tls)
            follow_listener(s);
        if (!exchange_start(s->env, &s->client, h1_connection_begin(s->connection, &s->task),
                            &s->task, &s->exchanges))
            session_close(s);
        return false;
    case IO_WAIT:
        if (!may_stay_idle(s))
            session_enter(s, SESSION_LINGER, SESSION_LINGER_MS);
        return s->state == SESSION_LINGER;
    default: session_close(s); return false;
    }
}

static bool end_request(struct session *s)
{
    if (!list_is_empty(&s->exchanges))
        return false;
    switch (h1_connection_state(s->connection)) {
    case H1_IDLE:
        session_enter(s, SESSION_IDLE, s->env->pin->snapshot->globals->keepalive_ms);
        return true;
    case H1_CLOSING: session_enter(s, SESSION_LINGER, SESSION_LINGER_MS); return true;
    default: session_close(s); return false;
    }
}

static bool linger(struct session *s)
{
    enum io io = s->http2 != NULL ? h2_connection_linger(s->http2)
                                  : h1_connection_linger(s->connection, &s->task);

    if (io != IO_WAIT)
        session_close(s);
    return false;
}

/* Each answers whether the next state has work to do at once. */
static bool take_step(struct session *s)
{
    switch (s->state) {
    case SESSION_PROXY_HEADER: return session_await_header(s);
    case SESSION_HANDSHAKE: return session_shake_hands(s);
    case SESSION_IDLE: return s->http2 != NULL ? session_serve_http2(s) : await_request(s);
    case SESSION_BUSY: return s->http2 != NULL ? session_serve_http2(s) : end_request(s);
    case SESSION_EXPLAIN: return session_explain_https(s);
    case SESSION_LINGER: return linger(s);
    case SESSION_CLOSED: return false;
    }
    return false;
}

/* The deadline of the state has passed. False: the session is gone or has nothing to do now. */
static bool run_out_of_time(struct session *s)
{
    if (s->http2 != NULL && s->state != SESSION_LINGER) {
        session_http2_out_of_time(s);
        return true;
    }
    switch (s->state) {
    case SESSION_BUSY: return true;
    case SESSION_IDLE:
        while (take_step(s))
            ;
        if (s->state == SESSION_IDLE) /* an orderly end, close_notify included */
            session_enter(s, SESSION_LINGER, SESSION_LINGER_MS);
        return s->state == SESSION_LINGER;
    case SESSION_PROXY_HEADER:
    case SESSION_HANDSHAKE: session_open_too_late(s); return false;
    default: session_close(s); return false;
    }
}

static void run_session(void *owner)
{
    struct session *s = owner;

    if (deadline_passed(s->env->loop, &s->deadline) && !run_out_of_time(s))
        return;
    while (take_step(s))
        ;
}

/* --- accept, drain, cut ---------------------------------------------------------------------- */

static void describe_client(struct client *client, const struct listen_spec *listen,
                            const struct accepted *accepted)
{
    client_set_ends(client, &accepted->peer, &accepted->local);
    client->accepted_port = address_port(&accepted->local);
    client->is_tls = listen->kind == LISTEN_HTTPS;
    client->serves_routes = listen->serves_routes;
    client->https_port = listen->https_port;
}

/* NULL, and the socket closed: no memory. */
static struct session *session_new(struct proxy_env *env, int fd, bool is_tls)
{
    /* While what served ones live on is wanting, whoever comes would take it from them. */
    bool is_enough = buffer_cache_fill(SMALL_BUFFERS_ASIDE, LARGE_BUFFERS_ASIDE);
    struct session *s = is_enough ? memory_try(sizeof(*s)) : NULL;

    if (s == NULL) {
        close(fd);
        return NULL;
    }
    s->env = env;
    task_init(&s->task, run_session, s);
    deadline_init(&s->deadline, &s->task);
    s->stream = tcp_stream_new(env->loop, fd, &s->task);
    if (s->stream != NULL)
        tcp_stream_ask_first(s->stream);
    if (s->stream != NULL && is_tls)
        s->stream = tls_stream_new(env->pin->snapshot->tls, s->stream, &env->tls_jobs);
    if (s->stream != NULL)
        return s;
    free(s);
    return NULL;
}

void session_start(struct proxy_env *env, const struct listen_spec *listen, unsigned listener,
                   const struct accepted *accepted)
{
    bool is_tls = listen->kind == LISTEN_HTTPS;
    bool awaits_header = listen_expects_header(listen, &accepted->peer);
    const struct arrival arrival = {.fd = accepted->fd,
                                    .shakes_hands = is_tls,
                                    .peer = awaits_header ? NULL : &accepted->peer,
                                    .now_ms = loop_now_ms(env->loop)};
    struct admission_pass pass;
    struct session *s;

    if (!door_let_in(env, &arrival, &pass))
        return;
    s = session_new(env, accepted->fd, is_tls && !awaits_header);
    if (s == NULL) {
        door_lack_memory(env, &arrival, &pass);
        return;
    }
    s->state = SESSION_CLOSED; /* not counted as anything yet */
    s->pass = pass;
    describe_client(&s->client, listen, accepted);
    s->client.listener = listener;
    metric_add(env->metrics, METRIC_CONNECTIONS_OPEN, 1);
    list_push_back(&env->sessions, &s->node);
    count_arrival(env);
    session_open(s, awaits_header);
    loop_wake(env->loop, &s->task);
}

void sessions_drain(struct proxy_env *env)
{
    list_each (&env->sessions, node) {
        struct session *s = container_of(node, struct session, node);
        if (s->http2 != NULL)
            session_drain_http2(s);
        else if (s->state == SESSION_IDLE && !s->has_served)
            deadline_set(env->loop, &s->deadline, FIRST_REQUEST_WHILE_DRAINING_MS);
        else if (s->state == SESSION_BUSY)
            h1_connection_close_after(s->connection);
        loop_wake(env->loop, &s->task);
    }
}

void sessions_cut(struct proxy_env *env)
{
    list_each (&env->sessions, node) {
        struct session *s = container_of(node, struct session, node);
        if (session_is_open(s))
            exchanges_cut(&s->exchanges, REASON_DRAINING);
        session_close(s);
    }
}
