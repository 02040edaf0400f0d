#include "proxy/session_state.h"

#include "net/proxy_reader.h"
#include "net/tcp_stream.h"
#include "proxy/door.h"

static_assert(METRIC_PROXY_CHECKSUM - METRIC_PROXY_NO_HEADER == PROXY_CHECKSUM - PROXY_NO_HEADER,
              "what is wrong with a PROXY header and its metrics stand in one order");

/* False: it is closed, for want of memory. */
static bool make_connection(struct session *s, struct stream *stream)
{
    s->connection = h1_connection_new(stream, H1_TO_CLIENT, &s->env->limits);
    if (s->connection == NULL)
        session_close(s);
    return s->connection != NULL;
}

/* The first state behind the opening ones. */
static void leave_opening(struct session *s, enum session_state state, uint64_t within_ms)
{
    list_init(&s->exchanges);
    session_enter(s, state, within_ms);
}

/* What the handshake agreed on (RFC 9113 section 3.2). */
static bool is_http2(const struct session *s)
{
    struct tls_info info;

    if (!s->client.is_tls)
        return false;
    tls_stream_info(s->stream, &info);
    return slice_equal(info.alpn, slice_of("h2"));
}

static void begin_http(struct session *s)
{
    const struct snapshot *snapshot = s->env->pin->snapshot;
    uint64_t wait_ms =
        s->env->is_draining ? FIRST_REQUEST_WHILE_DRAINING_MS : snapshot->globals->keepalive_ms;

    if (!is_http2(s)) {
        if (make_connection(s, s->stream))
            leave_opening(s, SESSION_IDLE, wait_ms);
    } else if (session_begin_http2(s)) {
        leave_opening(s, SESSION_IDLE, wait_ms);
    } else {
        session_close(s);
    }
}

/* --- the handshake --------------------------------------------------------------------------- */

static void begin_handshake(struct session *s, uint64_t within_ms)
{
    s->client.tls_stream = s->stream;
    s->pin = s->env->pin;
    list_push_back(&s->pin->handshakes, &s->pin_place);
    session_enter(s, SESSION_HANDSHAKE, within_ms);
}

/* The handshake is over, whatever came of it. */
static void leave_pin(struct session *s)
{
    pin_drop(s->env, s->pin, &s->pin_place);
    s->pin = NULL;
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
}

/* Whether the client may be sending still, so that a reset would destroy what it is told: with TLS
 * 1.3 it takes the handshake for done, and its request is under way behind its certificate. */
static bool is_told(enum tls_failure failure)
{
    return failure == TLS_FAILURE_PLAINTEXT_HTTP || failure >= TLS_FAILURE_CLIENT_MISSING;
}

static void refuse_handshake(struct session *s)
{
    enum tls_failure failure = tls_stream_failure(s->stream);

    leave_pin(s);
    count_failure(s, metric_of_failure(failure));
    if (log_wants(LOG_DEBUG))
        log_event(LOG_DEBUG, "handshake.failed", "%s: %s", s->client.peer_ip,
                  tls_stream_failure_text(s->stream));
    if (!is_told(failure))
        session_close(s);
    else if (make_connection(s, tls_stream_below(s->stream)))
        leave_opening(s, failure == TLS_FAILURE_PLAINTEXT_HTTP ? SESSION_EXPLAIN : SESSION_LINGER,
                      SESSION_LINGER_MS);
}

bool session_shake_hands(struct session *s)
{
    s->stream->task = &s->task;
    switch (tls_stream_handshake(s->stream)) {
    case IO_OK:
        count_handshake(s);
        leave_pin(s);
        begin_http(s);
        return s->state == SESSION_IDLE;
    case IO_WAIT: return false;
    case IO_EOF: /* a port scan, a health check: it never spoke */
        metric_add(s->env->metrics, METRIC_HANDSHAKES_SILENT, 1);
        session_close(s);
        return false;
    default: refuse_handshake(s); return s->state != SESSION_CLOSED;
    }
}

bool session_explain_https(struct session *s)
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
        session_close(s);
        return false;
    }
    session_enter(s, SESSION_LINGER, SESSION_LINGER_MS);
    return true;
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

/* --- who is in front, and who the client is -------------------------------------------------- */

static void refuse_header(struct session *s, enum metric reason, const char *word)
{
    metric_add(s->env->metrics, reason, 1);
    log_event(LOG_DEBUG, "proxy_protocol.refused", "%s: %s", s->client.peer_ip, word);
    session_close(s);
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
    session_close(s);
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
    if (header->names_ends)
        client_set_ends(&s->client, &header->source, &header->destination);
    if (door_charge(s->env, &s->client, tcp_stream_fd(s->stream), &s->pass))
        return true;
    session_close(s);
    return false;
}

static void go_on_behind_header(struct session *s)
{
    struct proxy_env *env = s->env;

    if (!s->client.is_tls) {
        begin_http(s);
        return;
    }
    s->stream = tls_stream_new(env->pin->snapshot->tls, s->stream, &env->tls_jobs);
    if (s->stream == NULL)
        session_close(s);
    else
        begin_handshake(s, time_left_ms(s));
}

bool session_await_header(struct session *s)
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

/* --- the beginning, and too late for it ------------------------------------------------------ */

void session_open_too_late(struct session *s)
{
    if (s->state == SESSION_PROXY_HEADER) {
        refuse_header(s, METRIC_PROXY_TIMEOUT, "timeout");
        return;
    }
    count_failure(s, METRIC_HANDSHAKES_TIMEOUT);
    session_close(s);
}

void session_end_opening(struct session *s)
{
    if (s->state == SESSION_PROXY_HEADER)
        buffer_clear(&s->header);
    else if (s->state == SESSION_HANDSHAKE && s->pin != NULL)
        leave_pin(s);
}

void session_open(struct session *s, bool awaits_header)
{
    uint64_t within_ms = s->env->pin->snapshot->globals->handshake_ms;

    if (awaits_header)
        session_enter(s, SESSION_PROXY_HEADER, within_ms); /* one deadline for both */
    else if (s->client.is_tls)
        begin_handshake(s, within_ms);
    else
        begin_http(s);
}
