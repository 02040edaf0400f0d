#include "control/endpoint_session.h"

#include "control/endpoint_answer.h"
#include "control/purge_query.h"
#include "http/h1_connection.h"
#include "net/tcp_stream.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 10 * 1000, /* for a head, a body, an answer's next bytes, the next request */
    STATUS_MS = 5 * 1000,    /* for the workers to report */
    LINGER_MS = 2 * 1000,
    BODY_BYTES = 64 * 1024, /* of a request */
};

enum session_state {
    AWAIT_REQUEST,
    READ_HEAD,
    READ_BODY,
    ACT,
    AWAIT_LOAD,
    AWAIT_STATUS,
    AWAIT_RECENT,
    AWAIT_PURGE,
    SEND_HEAD,
    SEND_BODY,
    FLUSH,
    END_EXCHANGE,
    LINGER,
    GONE,
};

enum step { STEP_ON, STEP_WAIT };

struct endpoint_session {
    struct list_node node;
    struct control *control;
    bool is_admin;
    bool ends_after; /* the answer under way is the last */
    void (*gone)(void *owner, struct endpoint_session *session);
    void *owner;

    enum session_state state;
    struct task task;
    struct deadline deadline;
    struct stream *stream;
    struct h1_connection *connection;
    struct http_stream *http; /* of the request under way */
    struct arena arena;
    struct http_head head;
    struct endpoint_answer answer;
    struct slice unsent; /* of the answer's body */
    struct buffer body;  /* of the request */
    struct load_ask *load;
    struct status_query *status;
    bool wants_metrics; /* of that */
    struct recent_query *recent;
    struct purge_query *purge;
};

static const struct h1_limits limits = {
    .head_bytes = 24 * 1024, .fields = 64, .request_line = 16 * 1024, .underscores = true};

/* The one writer of `state`; 0 ms: no deadline. */
static enum step enter(struct endpoint_session *s, enum session_state state, uint64_t deadline_ms)
{
    s->state = state;
    deadline_set(s->control->loop, &s->deadline, deadline_ms);
    return STEP_ON;
}

static void free_session(void *owner)
{
    struct endpoint_session *s = owner;
    buffer_clear(&s->answer.body);
    buffer_clear(&s->body);
    arena_clear(&s->arena);
    free(s);
}

/* The one way out. */
static enum step leave(struct endpoint_session *s)
{
    if (s->state == GONE)
        return STEP_WAIT;
    enter(s, GONE, 0);
    if (s->load != NULL)
        load_ask_end(s->load);
    if (s->status != NULL)
        status_query_end(s->status);
    if (s->recent != NULL)
        recent_query_end(s->recent);
    if (s->purge != NULL)
        purge_query_end(s->purge);
    if (s->http != NULL)
        s->http->ops->end(s->http, HTTP_END_ABORT);
    h1_connection_free(s->connection);
    stream_close(s->stream);
    s->gone(s->owner, s);
    loop_bury(s->control->loop, &s->task, free_session);
    return STEP_WAIT;
}

/* --- steps -------------------------------------------------------------------------------------
 */

/* What IO_WAIT means everywhere: go on waiting, unless the time is over. */
static enum step wait_or_leave(struct endpoint_session *s)
{
    return deadline_passed(s->control->loop, &s->deadline) ? leave(s) : STEP_WAIT;
}

static enum step await_request(struct endpoint_session *s)
{
    switch (h1_connection_poll(s->connection, &s->task)) {
    case IO_OK:
        s->http = h1_connection_begin(s->connection, &s->task);
        return enter(s, READ_HEAD, PATIENCE_MS);
    case IO_WAIT: return s->ends_after ? leave(s) : wait_or_leave(s);
    default: return leave(s);
    }
}

static enum step answer_refusal(struct endpoint_session *s)
{
    int status = http_reason_status(s->http->reason);
    if (status < 400)
        return leave(s); /* cut off, not wrong */
    s->ends_after = true;
    s->head = (struct http_head){.method = METHOD_GET};
    endpoint_answer_failure(status, http_reason_word(s->http->reason), &s->answer);
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

static enum step read_head(struct endpoint_session *s)
{
    switch (s->http->ops->read_head(s->http, &s->arena, &s->head)) {
    case IO_OK: return enter(s, s->head.framing == BODY_NONE ? ACT : READ_BODY, PATIENCE_MS);
    case IO_WAIT: return wait_or_leave(s);
    case IO_ERROR: return answer_refusal(s);
    default: return leave(s);
    }
}

static enum step refuse_body(struct endpoint_session *s)
{
    s->ends_after = true;
    endpoint_answer_failure(413, http_reason_word(REASON_BODY_TOO_LARGE), &s->answer);
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

/* A small one that nobody asked for is no reason to close the connection. */
static enum step read_body(struct endpoint_session *s)
{
    struct slice piece;
    switch (s->http->ops->read_body(s->http, &piece)) {
    case IO_OK:
        if (buffer_length(&s->body) + piece.len > BODY_BYTES || !buffer_append(&s->body, piece))
            return refuse_body(s);
        s->http->ops->consume_body(s->http, piece.len);
        return STEP_ON;
    case IO_WAIT: return wait_or_leave(s);
    case IO_EOF: return enter(s, ACT, 0);
    default: return answer_refusal(s);
    }
}

static enum step begin_purge(struct endpoint_session *s)
{
    struct purge_question question;
    struct error error;

    if (!purge_question_read(s->head.query, buffer_content(&s->body), &s->arena, &question,
                             &error)) {
        endpoint_answer_mistake(400, error.message, endpoint_wants_text(&s->head), &s->answer);
        return enter(s, SEND_HEAD, PATIENCE_MS);
    }
    if (s->control->state >= CONTROL_CLOSING) {
        endpoint_answer_mistake(503, "the gateway is ending, and its cache with it",
                                endpoint_wants_text(&s->head), &s->answer);
        return enter(s, SEND_HEAD, PATIENCE_MS);
    }
    s->purge = purge_query_start(s->control, &question, &s->task);
    return enter(s, AWAIT_PURGE, 0); /* a purge always ends */
}

static enum step act(struct endpoint_session *s)
{
    enum endpoint_action action =
        endpoint_answer_request(s->control, s->is_admin, &s->head, &s->answer);
    switch (action) {
    case ENDPOINT_RELOAD:
        s->load = generations_ask(s->control->generations, &s->task);
        return enter(s, AWAIT_LOAD, 0); /* a load always ends */
    case ENDPOINT_STATUS:
    case ENDPOINT_METRICS:
        s->wants_metrics = action == ENDPOINT_METRICS;
        s->status = status_query_start(s->control, &s->task);
        return enter(s, AWAIT_STATUS, STATUS_MS);
    case ENDPOINT_RECENT:
        s->recent = recent_query_start(s->control, &s->task);
        return enter(s, AWAIT_RECENT, STATUS_MS);
    case ENDPOINT_CONFIG:
        endpoint_answer_config(generations_current(s->control->generations), &s->answer);
        break;
    case ENDPOINT_PURGE: return begin_purge(s);
    case ENDPOINT_DRAIN: control_drain(s->control); break;
    case ENDPOINT_ANSWERED: break;
    }
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

static enum step await_load(struct endpoint_session *s)
{
    const struct load_outcome *outcome;
    if (load_ask_answer(s->load, &outcome) == IO_WAIT)
        return STEP_WAIT;
    endpoint_answer_load(outcome, &s->head, &s->answer);
    load_ask_end(s->load);
    s->load = NULL;
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

static enum step await_status(struct endpoint_session *s)
{
    const struct status_page *page;
    if (status_query_answer(s->status, &page) == IO_OK) {
        if (s->wants_metrics)
            endpoint_answer_metrics(page, &s->answer);
        else
            endpoint_answer_status(page, endpoint_wants_text(&s->head), &s->answer);
    } else if (deadline_passed(s->control->loop, &s->deadline)) {
        endpoint_answer_failure(503, "a worker does not answer", &s->answer);
    } else {
        return STEP_WAIT;
    }
    status_query_end(s->status);
    s->status = NULL;
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

static enum step await_recent(struct endpoint_session *s)
{
    const struct recent_page *page;
    if (recent_query_answer(s->recent, &page) == IO_OK)
        endpoint_answer_recent(page, &s->answer);
    else if (deadline_passed(s->control->loop, &s->deadline))
        endpoint_answer_failure(503, "a worker does not answer", &s->answer);
    else
        return STEP_WAIT;
    recent_query_end(s->recent);
    s->recent = NULL;
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

static enum step await_purge(struct endpoint_session *s)
{
    bool as_text = endpoint_wants_text(&s->head);
    uint64_t purged = 0;

    switch (purge_query_answer(s->purge, &purged)) {
    case IO_WAIT: return STEP_WAIT;
    case IO_OK: endpoint_answer_purge(purged, as_text, &s->answer); break;
    default:
        endpoint_answer_mistake(503, "there is too much to do, nothing was purged: ask again",
                                as_text, &s->answer);
    }
    purge_query_end(s->purge);
    s->purge = NULL;
    return enter(s, SEND_HEAD, PATIENCE_MS);
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void add_field(struct endpoint_session *s, struct http_head *head, const char *name,
                      const char *value)
{
    http_fields_add(&head->fields, &s->arena, slice_of(name), slice_of(value));
}

static enum step send_head(struct endpoint_session *s)
{
    size_t length = buffer_length(&s->answer.body);
    bool has_body = s->head.method != METHOD_HEAD && length > 0;
    struct http_head head = {
        .status = s->answer.status,
        .reason_phrase = slice_of(http_status_phrase(s->answer.status)),
        .version_minor = 1,
        .framing = has_body ? BODY_LENGTH : BODY_NONE,
        .content_length = length,
        .has_content_length = true,
        .keeps_connection = true,
    };
    add_field(s, &head, "Content-Type", s->answer.content_type);
    add_field(s, &head, "Cache-Control", "no-store");
    if (s->answer.allow != NULL)
        add_field(s, &head, "Allow", s->answer.allow);
    if (s->ends_after)
        h1_connection_close_after(s->connection);
    switch (s->http->ops->write_head(s->http, &head)) {
    case IO_OK:
        s->unsent = has_body ? buffer_content(&s->answer.body) : slice_make(NULL, 0);
        return enter(s, has_body ? SEND_BODY : FLUSH, PATIENCE_MS);
    case IO_WAIT: return wait_or_leave(s);
    default: return leave(s);
    }
}

static enum step send_body(struct endpoint_session *s)
{
    size_t taken = 0;
    enum io io = s->http->ops->write_body(s->http, s->unsent, true, &taken);
    s->unsent = slice_skip(s->unsent, taken);
    if (io == IO_WAIT)
        return wait_or_leave(s);
    if (io != IO_OK)
        return leave(s);
    return enter(s, s->unsent.len > 0 ? SEND_BODY : FLUSH, PATIENCE_MS);
}

static enum step flush(struct endpoint_session *s)
{
    switch (s->http->ops->flush(s->http)) {
    case IO_OK: return enter(s, END_EXCHANGE, 0);
    case IO_WAIT: return wait_or_leave(s);
    default: return leave(s);
    }
}

static enum step end_exchange(struct endpoint_session *s)
{
    struct http_stream *http = s->http;
    s->http = NULL;
    buffer_clear(&s->answer.body);
    buffer_clear(&s->body);
    s->answer = (struct endpoint_answer){0};
    s->unsent = slice_make(NULL, 0);
    http->ops->end(http, s->ends_after ? HTTP_END_CLOSE : HTTP_END_REUSE);
    s->head = (struct http_head){0};
    arena_reset(&s->arena);
    switch (h1_connection_state(s->connection)) {
    case H1_IDLE:
        enter(s, AWAIT_REQUEST, PATIENCE_MS);
        loop_wake(s->control->loop, &s->task); /* others first, whatever this one has pipelined */
        return STEP_WAIT;
    case H1_CLOSING: return enter(s, LINGER, LINGER_MS);
    default: return leave(s);
    }
}

static enum step linger(struct endpoint_session *s)
{
    return h1_connection_linger(s->connection, &s->task) == IO_WAIT ? wait_or_leave(s) : leave(s);
}

static void run_session(void *owner)
{
    struct endpoint_session *s = owner;
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        switch (s->state) {
        case AWAIT_REQUEST: step = await_request(s); break;
        case READ_HEAD: step = read_head(s); break;
        case READ_BODY: step = read_body(s); break;
        case ACT: step = act(s); break;
        case AWAIT_LOAD: step = await_load(s); break;
        case AWAIT_STATUS: step = await_status(s); break;
        case AWAIT_RECENT: step = await_recent(s); break;
        case AWAIT_PURGE: step = await_purge(s); break;
        case SEND_HEAD: step = send_head(s); break;
        case SEND_BODY: step = send_body(s); break;
        case FLUSH: step = flush(s); break;
        case END_EXCHANGE: step = end_exchange(s); break;
        case LINGER: step = linger(s); break;
        case GONE: return;
        }
    }
}

/* --- the interface -----------------------------------------------------------------------------
 */

struct endpoint_session *
endpoint_session_new(struct control *control, int fd, bool is_admin,
                     void (*gone)(void *owner, struct endpoint_session *session), void *owner)
{
    struct endpoint_session *s = memory_try(sizeof(*s));
    if (s == NULL) {
        close(fd);
        return NULL;
    }
    s->control = control;
    s->is_admin = is_admin;
    s->gone = gone;
    s->owner = owner;
    task_init(&s->task, run_session, s);
    deadline_init(&s->deadline, &s->task);
    s->stream = tcp_stream_new(control->loop, fd, &s->task);
    if (s->stream == NULL) {
        free(s);
        return NULL;
    }
    s->connection = h1_connection_new(s->stream, H1_TO_CLIENT, &limits);
    if (s->connection == NULL) {
        stream_close(s->stream);
        free(s);
        return NULL;
    }
    enter(s, AWAIT_REQUEST, PATIENCE_MS);
    loop_wake(control->loop, &s->task);
    return s;
}

void endpoint_session_finish(struct endpoint_session *session)
{
    session->ends_after = true;
    loop_wake(session->control->loop, &session->task);
}

void endpoint_session_cut(struct endpoint_session *session)
{
    leave(session);
}

bool endpoint_session_is_admin(const struct endpoint_session *session)
{
    return session->is_admin;
}

struct list_node *endpoint_session_node(struct endpoint_session *session)
{
    return &session->node;
}

struct endpoint_session *endpoint_session_of(struct list_node *node)
{
    return container_of(node, struct endpoint_session, node);
}
