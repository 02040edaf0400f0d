#include "proxy/session.h"

#include "base/check.h"
#include "net/proxy_reader.h"
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
    SESSION_PROXY_HEADER, /* of who is in front; what follows it is nobody's to read before */
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
    struct buffer header;  /* SESSION_PROXY_HEADER: what has come of it */
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
    if (s->stream != NULL)
        stream_close(s->stream);
    buffer_clear(&s->header);
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
    case TLS_FAILURE_CLIENT_MISSING: return METRIC_HANDSHAKES_CLIENT_MISSING;
    case TLS_FAILURE_CLIENT_EXPIRED: return METRIC_HANDSHAKES_CLIENT_EXPIRED;
    case TLS_FAILURE_CLIENT_UNTRUSTED: return METRIC_HANDSHAKES_CLIENT_UNTRUSTED;
    case TLS_FAILURE_CLIENT_REFUSED: return METRIC_HANDSHAKES_CLIENT_REFUSED;
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

/* Whether the client may be sending still, so that a reset would destroy what it is told: with TLS
 * 1.3 it takes the handshake for done, and its request is under way behind its certificate. */
static bool is_told(enum tls_failure failure)
{
    return failure == TLS_FAILURE_PLAINTEXT_HTTP || failure >= TLS_FAILURE_CLIENT_MISSING;
}

static void refuse_handshake(struct session *s)
{
    const char *text = tls_stream_failure_text(s->stream);

    count_failure(s, metric_of_failure(tls_stream_failure(s->stream)));
    if (log_wants(LOG_DEBUG))
        log_event(LOG_DEBUG, "handshake.failed", "%s: %s", s->client.peer_ip, text);
    if (!is_told(tls_stream_failure(s->stream))) {
        close_session(s);
        return;
    }
    if (make_connection(s, tls_stream_below(s->stream)))
        enter(s,
              tls_stream_failure(s->stream) == TLS_FAILURE_PLAINTEXT_HTTP ? SESSION_EXPLAIN
                                                                          : SESSION_LINGER,
              LINGER_MS);
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
    default: refuse_handshake(s); return s->state != SESSION_CLOSED;
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

/* --- who is in front, and who the client is
 * ------------------------------------------------------ */

/* For what is not let in and is closed now, at the cost of a call or two. What has come already is
 * read, lest the close be a reset that outruns the answer; a plaintext client gets one, if it can
 * be had at once. */
static void turn_away(struct proxy_env *env, bool is_tls, int fd, enum refusal refusal)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 36\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "503 Service Unavailable: over_limit\n";

    metric_add(env->metrics, METRIC_REFUSED_CONNECTIONS + (refusal - REFUSAL_CONNECTIONS), 1);
    recv(fd, loop_read_scratch(env->loop), LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
    if (!is_tls)
        send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void begin_handshake(struct session *s, uint64_t within_ms)
{
    s->client.tls_stream = s->stream;
    s->pin = s->env->pin;
    list_push_back(&s->pin->handshakes, &s->pin_place);
    enter(s, SESSION_HANDSHAKE, within_ms);
}

static void refuse_header(struct session *s, enum metric reason, const char *word)
{
    metric_add(s->env->metrics, reason, 1);
    log_event(LOG_DEBUG, "proxy_protocol.refused", "%s: %s", s->client.peer_ip, word);
    close_session(s);
}

/* A proxy that looks whether somebody listens, and leaves without a word, has done nothing wrong.
 */
static void lose_header(struct session *s)
{
    if (buffer_length(&s->header) > 0) {
        refuse_header(s, METRIC_PROXY_CUT, "cut");
        return;
    }
    if (s->client.is_tls)
        metric_add(s->env->metrics, METRIC_HANDSHAKES_SILENT, 1);
    close_session(s);
}

/* One deadline, set at accept, is for the header and the handshake behind it. */
static uint64_t time_left_ms(const struct session *s)
{
    uint64_t now_ms = loop_now_ms(s->env->loop), due_ms = s->deadline.due_ms;

    if (due_ms == 0)
        return 0;
    return due_ms > now_ms ? due_ms - now_ms : 1;
}

/* The header has come, so it is known whose connection this is, and to whom it is charged. False:
 * it is closed. */
static bool learn_client(struct session *s, const struct proxy_header *header)
{
    struct proxy_env *env = s->env;
    struct address peer;
    enum refusal refusal;

    if (header->names_ends)
        client_set_ends(&s->client, &header->source, &header->destination);
    peer = client_address(&s->client);
    refusal = admission_charge(env->admission, &env->pin->snapshot->globals->client_limits, &peer,
                               loop_now_ms(env->loop), &s->pass);
    if (refusal == REFUSAL_NONE)
        return true;
    turn_away(env, s->client.is_tls, tcp_stream_fd(s->stream), refusal);
    close_session(s);
    return false;
}

static void go_on_behind_header(struct session *s)
{
    struct proxy_env *env = s->env;

    if (!s->client.is_tls) {
        begin_http(s);
        return;
    }
    s->stream = tls_stream_new(env->pin->snapshot->tls, s->stream, env->verifiers);
    if (s->stream == NULL)
        close_session(s);
    else
        begin_handshake(s, time_left_ms(s));
}

static bool await_header(struct session *s)
{
    enum proxy_problem problem = PROXY_NO_HEADER;
    struct proxy_header header;

    s->stream->task = &s->task;
    switch (proxy_header_read(s->stream, &s->header, &header, &problem)) {
    case PROXY_READ_DONE: break;
    case PROXY_READ_WAIT: return false;
    case PROXY_READ_GONE: lose_header(s); return false;
    case PROXY_READ_BAD:
        refuse_header(s, METRIC_PROXY_NO_HEADER + problem, proxy_problem_word(problem));
        return false;
    }
    buffer_clear(&s->header);
    if (learn_client(s, &header))
        go_on_behind_header(s);
    if (s->state != SESSION_CLOSED)
        loop_wake(s->env->loop, &s->task); /* a handshake waits for its turn */
    return false;
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
    case SESSION_PROXY_HEADER: return await_header(s);
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
    case SESSION_PROXY_HEADER: refuse_header(s, METRIC_PROXY_TIMEOUT, "timeout"); return false;
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
    client_set_ends(client, &accepted->peer, &accepted->local);
    client->accepted_port = address_port(&accepted->local);
    client->is_tls = listen->kind == LISTEN_HTTPS;
    client->serves_routes = listen->serves_routes;
    client->https_port = listen->https_port;
}

/* --- the door
 * ------------------------------------------------------------------------------------- */

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
        s->stream = tls_stream_new(env->pin->snapshot->tls, s->stream, env->verifiers);
    if (s->stream != NULL)
        return s;
    free(s);
    return NULL;
}

static void begin(struct session *s, bool awaits_header)
{
    struct proxy_env *env = s->env;
    uint64_t handshake_ms = env->pin->snapshot->globals->handshake_ms;

    metric_add(env->metrics, METRIC_CONNECTIONS_OPEN, 1);
    list_push_back(&env->sessions, &s->node);
    env->session_count++;
    if (awaits_header)
        enter(s, SESSION_PROXY_HEADER, handshake_ms); /* one deadline for both */
    else if (s->client.is_tls)
        begin_handshake(s, handshake_ms);
    else
        begin_http(s);
    loop_wake(env->loop, &s->task);
}

void session_start(struct proxy_env *env, const struct listen_spec *listen, unsigned listener,
                   const struct accepted *accepted)
{
    const struct client_limits *limits = &env->pin->snapshot->globals->client_limits;
    bool is_tls = listen->kind == LISTEN_HTTPS;
    bool awaits_header = listen_expects_header(listen, &accepted->peer);
    const struct arrival arrival = {.fd = accepted->fd,
                                    .shakes_hands = is_tls,
                                    .peer = awaits_header ? NULL : &accepted->peer,
                                    .now_ms = loop_now_ms(env->loop)};
    struct admission_pass pass;
    enum refusal refusal = admission_enter(env->admission, limits, &arrival, &pass);
    struct session *s;

    metric_add(env->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
    if (refusal != REFUSAL_NONE) {
        turn_away(env, is_tls, accepted->fd, refusal);
        close(accepted->fd);
        return;
    }
    s = session_new(env, accepted->fd, is_tls && !awaits_header);
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
    begin(s, awaits_header);
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
