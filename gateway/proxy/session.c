#include "proxy/session.h"

#include "base/check.h"
#include "net/tcp_stream.h"
#include "proxy/client.h"
#include "proxy/exchange.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    LINGER_MS = 2000,
    FIRST_REQUEST_WHILE_DRAINING_MS = 5000, /* one that was queued at the signal is still served */
};

static_assert(METRIC_REFUSED_MEMORY - METRIC_REFUSED_CONNECTIONS ==
                  REFUSAL_MEMORY - REFUSAL_CONNECTIONS,
              "refusals and their metrics stand in one order");

enum session_state {
    SESSION_HANDSHAKE,
    SESSION_IDLE,    /* for the next request */
    SESSION_BUSY,    /* an exchange is on it */
    SESSION_EXPLAIN, /* plain HTTP came to a TLS port: say so in plaintext */
    SESSION_LINGER,
    SESSION_CLOSED,
};

struct session {
    struct list_node node; /* in env->sessions */
    struct proxy_env *env;
    struct task task;
    struct deadline deadline;
    enum session_state state; /* written by enter alone */
    bool has_served;
    struct stream *stream; /* owned */
    struct h1_connection *connection;
    struct exchange *exchange; /* SESSION_BUSY */
    struct pin *pin;           /* SESSION_HANDSHAKE: its TLS server is in use */
    struct list_node pin_place;
    struct admission_pass pass;
    struct client client;
};

static enum metric gauge_of(enum session_state state)
{
    switch (state) {
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

static void enter(struct session *s, enum session_state state, uint64_t deadline_ms)
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

static void close_session(struct session *s)
{
    struct proxy_env *env = s->env;

    enter(s, SESSION_CLOSED, 0);
    deadline_clear(&s->deadline);
    if (s->connection != NULL) {
        /* Under TLS a cut shows without: there is no close_notify. */
        if (!s->client.is_tls && h1_connection_must_reset(s->connection))
            tcp_stream_close_with_reset(s->stream);
        h1_connection_free(s->connection);
    }
    stream_close(s->stream);
    if (s->pin != NULL)
        pin_drop(env, s->pin, &s->pin_place);
    admission_leave(env->admission, &s->pass);
    list_remove(&s->node);
    env->session_count--;
    metric_add(env->metrics, METRIC_CONNECTIONS_OPEN, -1);
    loop_bury(env->loop, &s->task, free_session);
    if (env->session_count == 0)
        env->sessions_gone(env->worker);
}

/* --- handshake
 * ------------------------------------------------------------------------------------ */

/* False: it is closed, for want of memory. */
static bool make_connection(struct session *s, struct stream *stream)
{
    s->connection = h1_connection_new(stream, H1_TO_CLIENT, &s->env->limits);
    if (s->connection == NULL)
        close_session(s);
    return s->connection != NULL;
}

static void begin_http(struct session *s)
{
    const struct snapshot *snapshot = s->env->pin->snapshot;
    uint64_t wait_ms =
        s->env->is_draining ? FIRST_REQUEST_WHILE_DRAINING_MS : snapshot->globals->keepalive_ms;

    if (make_connection(s, s->stream))
        enter(s, SESSION_IDLE, wait_ms);
}

static enum metric metric_of_version(const char *version)
{
    return strcmp(version, "TLSv1.2") == 0 ? METRIC_HANDSHAKES_TLS_1_2 : METRIC_HANDSHAKES_TLS_1_3;
}

static enum metric metric_of_failure(enum tls_failure failure)
{
    switch (failure) {
    case TLS_FAILURE_PLAINTEXT_HTTP: return METRIC_PLAINTEXT_ON_TLS;
    case TLS_FAILURE_GARBAGE: return METRIC_HANDSHAKES_NOT_TLS;
    case TLS_FAILURE_UNKNOWN_NAME: return METRIC_HANDSHAKES_UNRECOGNIZED_NAME;
    case TLS_FAILURE_NO_COMMON: return METRIC_HANDSHAKES_NOTHING_SHARED;
    case TLS_FAILURE_PEER:
    case TLS_FAILURE_NONE: break;
    }
    return METRIC_HANDSHAKES_PEER_FAILED;
}

static void count_failure(struct session *s, enum metric reason)
{
    metric_add(s->env->metrics, METRIC_HANDSHAKES_FAILED, 1);
    metric_add(s->env->metrics, reason, 1);
}

static void count_handshake(struct session *s)
{
    struct tls_info info;

    tls_stream_info(s->stream, &info);
    metric_add(s->env->metrics, METRIC_HANDSHAKES_DONE, 1);
    if (info.is_resumed)
        metric_add(s->env->metrics, METRIC_HANDSHAKES_RESUMED, 1);
    metric_add(s->env->metrics, metric_of_version(info.version) + info.is_resumed, 1);
    pin_drop(s->env, s->pin, &s->pin_place);
    s->pin = NULL;
}

static void refuse_handshake(struct session *s)
{
    const char *text = tls_stream_failure_text(s->stream);

    count_failure(s, metric_of_failure(tls_stream_failure(s->stream)));
    if (log_wants(LOG_DEBUG))
        log_event(LOG_DEBUG, "handshake.failed", "%s: %s", s->client.peer_ip, text);
    if (tls_stream_failure(s->stream) != TLS_FAILURE_PLAINTEXT_HTTP) {
        close_session(s);
        return;
    }
    if (make_connection(s, tls_stream_below(s->stream)))
        enter(s, SESSION_EXPLAIN, LINGER_MS);
}

static bool shake_hands(struct session *s)
{
    s->stream->task = &s->task;
    switch (tls_stream_handshake(s->stream)) {
    case IO_OK:
        count_handshake(s);
        begin_http(s);
        return s->state == SESSION_IDLE;
    case IO_WAIT: return false;
    case IO_EOF: /* a port scan, a health check: it never spoke */
        metric_add(s->env->metrics, METRIC_HANDSHAKES_SILENT, 1);
        close_session(s);
        return false;
    default: refuse_handshake(s); return s->state == SESSION_EXPLAIN;
    }
}

static bool explain_https(struct session *s)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 78\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "400 Bad Request: this port speaks HTTPS; use https:// instead of "
                                 "http:// here\n";
    struct stream *below = tls_stream_below(s->stream);
    size_t taken;

    below->task = &s->task;
    if (stream_write(below, slice_of(answer), &taken) == IO_ERROR) {
        close_session(s);
        return false;
    }
    enter(s, SESSION_LINGER, LINGER_MS);
    return true;
}

/* --- one request after the other
 * ------------------------------------------------------------------ */

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
        enter(s, SESSION_BUSY, 0);
        if (!s->client.is_tls)
            follow_listener(s);
        if (!exchange_start(s->env, &s->client, h1_connection_begin(s->connection, &s->task),
                            &s->task, &s->exchange))
            close_session(s);
        return false;
    case IO_WAIT:
        if (!may_stay_idle(s))
            enter(s, SESSION_LINGER, LINGER_MS);
        return s->state == SESSION_LINGER;
    default: close_session(s); return false;
    }
}

static bool end_request(struct session *s)
{
    if (s->exchange != NULL)
        return false;
    switch (h1_connection_state(s->connection)) {
    case H1_IDLE: enter(s, SESSION_IDLE, s->env->pin->snapshot->globals->keepalive_ms); return true;
    case H1_CLOSING: enter(s, SESSION_LINGER, LINGER_MS); return true;
    default: close_session(s); return false;
    }
}

static bool linger(struct session *s)
{
    if (h1_connection_linger(s->connection, &s->task) != IO_WAIT)
        close_session(s);
    return false;
}

/* Each answers whether the next state has work to do at once. */
static bool take_step(struct session *s)
{
    switch (s->state) {
    case SESSION_HANDSHAKE: return shake_hands(s);
    case SESSION_IDLE: return await_request(s);
    case SESSION_BUSY: return end_request(s);
    case SESSION_EXPLAIN: return explain_https(s);
    case SESSION_LINGER: return linger(s);
    case SESSION_CLOSED: return false;
    }
    return false;
}

/* The deadline of the state has passed. False: the session is gone or has nothing to do now. */
static bool run_out_of_time(struct session *s)
{
    switch (s->state) {
    case SESSION_BUSY: return true;
    case SESSION_IDLE:
        while (take_step(s))
            ;
        if (s->state == SESSION_IDLE) /* an orderly end, close_notify included */
            enter(s, SESSION_LINGER, LINGER_MS);
        return s->state == SESSION_LINGER;
    case SESSION_HANDSHAKE: count_failure(s, METRIC_HANDSHAKES_TIMEOUT); break;
    default: break;
    }
    close_session(s);
    return false;
}

static void run_session(void *owner)
{
    struct session *s = owner;

    if (deadline_passed(s->env->loop, &s->deadline) && !run_out_of_time(s))
        return;
    while (take_step(s))
        ;
}

/* --- accept, drain, cut
 * --------------------------------------------------------------------------- */

static void describe_client(struct client *client, const struct listen_spec *listen,
                            const struct accepted *accepted)
{
    char text[ADDRESS_TEXT_SIZE];

    client->peer.any.sa_family = accepted->peer.as.any.sa_family;
    if (client->peer.any.sa_family == AF_INET)
        client->peer.v4 = accepted->peer.as.v4;
    else if (client->peer.any.sa_family == AF_INET6)
        client->peer.v6 = accepted->peer.as.v6;
    address_format_ip(&accepted->peer, text);
    slice_copy_text(slice_of(text), client->peer_ip, sizeof(client->peer_ip));
    client->local_port = address_port(&accepted->local);
    client->is_tls = listen->kind == LISTEN_HTTPS;
    client->serves_routes = listen->serves_routes;
    client->https_port = listen->https_port;
}

/* --- the door
 * ------------------------------------------------------------------------------------- */

/* Closes what is not let in, at the cost of a call or three. What has come already is read, lest
 * the close be a reset that outruns the answer; a plaintext client gets one, if it can be had at
 * once. */
static void turn_away(struct proxy_env *env, const struct listen_spec *listen, int fd,
                      enum refusal refusal)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 36\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "503 Service Unavailable: over_limit\n";

    metric_add(env->metrics, METRIC_REFUSED_CONNECTIONS + (refusal - REFUSAL_CONNECTIONS), 1);
    recv(fd, loop_read_scratch(env->loop), LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
    if (listen->kind == LISTEN_HTTP)
        send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
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
    if (s->stream != NULL && is_tls)
        s->stream = tls_stream_new(env->pin->snapshot->tls, s->stream);
    if (s->stream != NULL)
        return s;
    free(s);
    return NULL;
}

static void begin(struct session *s)
{
    struct proxy_env *env = s->env;

    metric_add(env->metrics, METRIC_CONNECTIONS_OPEN, 1);
    list_push_back(&env->sessions, &s->node);
    env->session_count++;
    if (s->client.is_tls) {
        s->pin = env->pin;
        list_push_back(&env->pin->handshakes, &s->pin_place);
        enter(s, SESSION_HANDSHAKE, env->pin->snapshot->globals->handshake_ms);
    } else {
        begin_http(s);
    }
    loop_wake(env->loop, &s->task);
}

void session_start(struct proxy_env *env, const struct listen_spec *listen, unsigned listener,
                   const struct accepted *accepted)
{
    const struct client_limits *limits = &env->pin->snapshot->globals->client_limits;
    const struct arrival arrival = {.fd = accepted->fd,
                                    .shakes_hands = listen->kind == LISTEN_HTTPS,
                                    .peer = &accepted->peer,
                                    .now_ms = loop_now_ms(env->loop)};
    struct admission_pass pass;
    enum refusal refusal = admission_enter(env->admission, limits, &arrival, &pass);
    struct session *s;

    metric_add(env->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
    if (refusal != REFUSAL_NONE) {
        turn_away(env, listen, accepted->fd, refusal);
        return;
    }
    s = session_new(env, accepted->fd, listen->kind == LISTEN_HTTPS);
    if (s == NULL) {
        admission_leave(env->admission, &pass);
        admission_note_refusal(env->admission, limits, REFUSAL_MEMORY, &arrival);
        metric_add(env->metrics, METRIC_REFUSED_MEMORY, 1);
        return;
    }
    s->state = SESSION_CLOSED; /* not counted as anything yet */
    s->pass = pass;
    describe_client(&s->client, listen, accepted);
    s->client.listener = listener;
    s->client.tls_stream = s->client.is_tls ? s->stream : NULL;
    begin(s);
}

void sessions_leave_pin(struct proxy_env *env, struct pin *pin)
{
    list_each (&pin->handshakes, node) {
        struct session *s = container_of(node, struct session, pin_place);
        if (!tls_stream_follow(s->stream, env->pin->snapshot->tls))
            continue;
        list_remove(node);
        s->pin = env->pin;
        list_push_back(&env->pin->handshakes, node);
    }
}

void sessions_drain(struct proxy_env *env)
{
    list_each (&env->sessions, node) {
        struct session *s = container_of(node, struct session, node);
        if (s->state == SESSION_IDLE && !s->has_served)
            deadline_set(env->loop, &s->deadline, FIRST_REQUEST_WHILE_DRAINING_MS);
        if (s->state == SESSION_BUSY)
            h1_connection_close_after(s->connection);
        loop_wake(env->loop, &s->task);
    }
}

void sessions_cut(struct proxy_env *env)
{
    list_each (&env->sessions, node) {
        struct session *s = container_of(node, struct session, node);
        if (s->exchange != NULL)
            exchange_cut(s->exchange);
        close_session(s);
    }
}
