#include "policy/subrequest.h"

#include "upstream/pool.h"

enum { BODY_FIRST_ROOM = 4 * 1024 };

enum subrequest_state {
    SUBREQUEST_CONNECTING, /* reuse or dial */
    SUBREQUEST_SENDING,
    SUBREQUEST_AWAITING_HEAD, /* may go back to CONNECTING, once */
    SUBREQUEST_READING_BODY,
    SUBREQUEST_ENDED,
};

struct subrequest {
    struct subrequest_question question;
    struct task *task; /* the asker's: woken by everything here */
    enum subrequest_state state;
    struct deadline deadline;
    struct pool *pool; /* taken until the end */
    struct pool_wait *wait;
    struct upstream_connection *connection;
    struct http_stream *stream; /* with it */
    bool was_stale;             /* a kept connection was closed already: now a new one */
    char *body;
    size_t body_bytes, body_room;
    struct subrequest_answer answer;
    bool has_failed;
};

/* --- ends ----------------------------------------------------------------------------------- */

static void release(struct subrequest *s, enum http_end end, enum upstream_outcome outcome)
{
    if (s->wait != NULL)
        pool_wait_end(s->wait);
    if (s->connection != NULL) {
        s->stream->ops->end(s->stream, end);
        upstream_connection_count(s->connection, outcome);
        upstream_connection_give_back(s->connection);
    }
    s->wait = NULL;
    s->connection = NULL;
    s->stream = NULL;
}

/* The one way out. */
static void end(struct subrequest *s, enum http_end how, enum upstream_outcome outcome)
{
    struct policy_env *env = s->question.env;

    release(s, how, outcome);
    deadline_clear(&s->deadline);
    env->drop_pool(env->worker, s->question.service);
    s->pool = NULL;
    s->state = SUBREQUEST_ENDED;
}

static void fail(struct subrequest *s, enum subrequest_failure failure,
                 enum upstream_outcome outcome)
{
    s->has_failed = true;
    s->answer.failure = failure;
    end(s, HTTP_END_ABORT, outcome);
}

static enum upstream_outcome outcome_of(int status)
{
    return (enum upstream_outcome)(UPSTREAM_1XX + (status < 600 ? status / 100 : 5) - 1);
}

/* It has answered: whole, or as much as is wanted. */
static void succeed(struct subrequest *s, enum http_end how)
{
    s->answer.body = slice_make(s->body, s->body != NULL ? s->body_bytes : 0);
    http_fields_drop_hop_by_hop(&s->answer.head.fields);
    end(s, how, outcome_of(s->answer.head.status));
}

static void fail_stream(struct subrequest *s)
{
    switch (s->stream->reason) {
    case REASON_OVER_LIMIT: fail(s, SUBREQUEST_NO_MEMORY, UPSTREAM_CANCELED); break;
    case REASON_BACKEND_BAD_RESPONSE: fail(s, SUBREQUEST_BROKEN, UPSTREAM_BAD_RESPONSE); break;
    default: fail(s, SUBREQUEST_BROKEN, UPSTREAM_RESET); break;
    }
}

/* It ended before a byte of an answer came. */
static void lose_connection(struct subrequest *s)
{
    bool is_stale = upstream_connection_is_reused(s->connection) && !s->was_stale;

    upstream_connection_note_stale(s->connection);
    if (!is_stale) {
        fail(s, SUBREQUEST_BROKEN, UPSTREAM_RESET);
        return;
    }
    release(s, HTTP_END_ABORT, UPSTREAM_STALE);
    s->was_stale = true;
    s->state = SUBREQUEST_CONNECTING;
}

/* --- asking --------------------------------------------------------------------------------- */

/* The deadline is about all of it, connecting too. */
static bool ask_pool(struct subrequest *s)
{
    const struct pool_ask ask = {
        .connect_timeout_ms = s->question.timeout_ms,
        .max_tries = 1,
        .fresh = s->was_stale,
        .again = s->was_stale,
    };

    s->wait = pool_ask(s->pool, &ask, s->task);
    return s->wait != NULL;
}

static enum io connect_to_service(struct subrequest *s)
{
    enum pool_failure failure = POOL_NO_MEMORY;
    struct slice server;
    unsigned tried;
    enum io io;

    if (s->wait == NULL && !ask_pool(s)) {
        fail(s, SUBREQUEST_NO_MEMORY, UPSTREAM_CANCELED);
        return IO_ERROR;
    }
    io = pool_answer(s->wait, &s->connection, &failure, &server, &tried);
    if (io == IO_WAIT)
        return IO_WAIT;
    pool_wait_end(s->wait);
    s->wait = NULL;
    if (io == IO_OK) {
        s->stream = upstream_connection_begin(s->connection, s->task);
        s->state = SUBREQUEST_SENDING;
    } else {
        fail(s,
             failure == POOL_NO_MEMORY         ? SUBREQUEST_NO_MEMORY
             : failure == POOL_CONNECT_TIMEOUT ? SUBREQUEST_LATE
                                               : SUBREQUEST_UNREACHABLE,
             UPSTREAM_CANCELED);
    }
    return io;
}

static enum io send_head(struct subrequest *s)
{
    struct slice target = s->question.target;
    size_t path_bytes = 0;
    enum io io;

    while (path_bytes < target.len && target.at[path_bytes] != '?')
        path_bytes++;
    const struct http_head head = {
        .method = METHOD_GET,
        .method_text = slice_of("GET"),
        .authority = upstream_connection_host(s->connection),
        .path = slice_make(target.at, path_bytes),
        .query = slice_skip(target, path_bytes),
        .version_minor = 1,
        .fields = s->question.fields,
        .framing = BODY_NONE,
        .keeps_connection = true,
    };
    io = s->stream->ops->write_head(s->stream, &head);
    if (io == IO_OK) {
        upstream_connection_note_sent(s->connection);
        s->state = SUBREQUEST_AWAITING_HEAD;
    } else if (io != IO_WAIT) {
        fail_stream(s);
    }
    return io;
}

/* --- the answer ----------------------------------------------------------------------------- */

static void take_head(struct subrequest *s)
{
    const struct http_head *head = &s->answer.head;

    if (head->status < 200 && head->status != 101)
        return;
    upstream_connection_note_answered(s->connection);
    if (head->status == 101) /* which nobody asked for */
        fail(s, SUBREQUEST_BROKEN, UPSTREAM_BAD_RESPONSE);
    else if (head->framing == BODY_NONE)
        succeed(s, HTTP_END_REUSE);
    else
        s->state = SUBREQUEST_READING_BODY;
}

/* A request that could not be sent may have been answered all the same. */
static enum io await_head(struct subrequest *s)
{
    enum io sent = s->stream->ops->flush(s->stream);
    enum io io = s->stream->ops->read_head(s->stream, s->question.arena, &s->answer.head);

    if (io == IO_OK)
        take_head(s);
    else if (io == IO_EOF || (io == IO_WAIT && sent == IO_ERROR))
        lose_connection(s);
    else if (io == IO_ERROR)
        fail_stream(s);
    return s->state == SUBREQUEST_AWAITING_HEAD ? io : IO_OK;
}

/* Twice as much each time: what is left behind in the arena is less than what is kept. */
static bool make_room(struct subrequest *s, size_t bytes)
{
    size_t room = s->body_room > 0 ? s->body_room : BODY_FIRST_ROOM;
    char *body;

    while (room < bytes)
        room *= 2;
    if (room == s->body_room)
        return true;
    if (!arena_provide(s->question.arena, room))
        return false;
    body = arena_bytes(s->question.arena, room);
    if (s->body_bytes > 0)
        memcpy(body, s->body, s->body_bytes);
    s->body = body;
    s->body_room = room;
    return true;
}

static void take_piece(struct subrequest *s, struct slice piece)
{
    bool is_kept = !s->question.drops_success || s->answer.head.status / 100 != 2;

    if (piece.len > s->question.body_most - s->body_bytes) {
        s->answer.body_is_cut = true;
        succeed(s, HTTP_END_ABORT);
        return;
    }
    if (is_kept && !make_room(s, s->body_bytes + piece.len)) {
        fail(s, SUBREQUEST_NO_MEMORY, UPSTREAM_CANCELED);
        return;
    }
    if (is_kept)
        memcpy(s->body + s->body_bytes, piece.at, piece.len);
    s->body_bytes += piece.len;
    s->stream->ops->consume_body(s->stream, piece.len);
}

static enum io read_body(struct subrequest *s)
{
    struct slice piece;
    enum io io = s->stream->ops->read_body(s->stream, &piece);

    if (io == IO_OK)
        take_piece(s, piece);
    else if (io == IO_EOF)
        succeed(s, HTTP_END_REUSE);
    else if (io == IO_ERROR)
        fail_stream(s);
    return io;
}

/* --- life ----------------------------------------------------------------------------------- */

/* False when it can only wait, or is over. */
static bool take_step(struct subrequest *s)
{
    switch (s->state) {
    case SUBREQUEST_CONNECTING: return connect_to_service(s) != IO_WAIT;
    case SUBREQUEST_SENDING: return send_head(s) != IO_WAIT;
    case SUBREQUEST_AWAITING_HEAD: return await_head(s) != IO_WAIT;
    case SUBREQUEST_READING_BODY: return read_body(s) != IO_WAIT;
    case SUBREQUEST_ENDED: break;
    }
    return false;
}

struct subrequest *subrequest_start(const struct subrequest_question *question, struct task *task)
{
    struct subrequest *s = arena_alloc(question->arena, sizeof(*s));
    struct policy_env *env = question->env;

    s->question = *question;
    s->task = task;
    s->pool = env->take_pool(env->worker, question->service);
    deadline_init(&s->deadline, task);
    deadline_set(env->loop, &s->deadline, question->timeout_ms);
    return s;
}

enum io subrequest_answer(struct subrequest *s, struct subrequest_answer *answer)
{
    while (take_step(s))
        ;
    if (s->state != SUBREQUEST_ENDED && deadline_passed(s->question.env->loop, &s->deadline))
        fail(s, SUBREQUEST_LATE,
             s->state == SUBREQUEST_READING_BODY ? UPSTREAM_IDLE : UPSTREAM_TIMEOUT);
    if (s->state != SUBREQUEST_ENDED)
        return IO_WAIT;
    *answer = s->answer;
    return s->has_failed ? IO_ERROR : IO_OK;
}

void subrequest_cancel(struct subrequest *s)
{
    if (s->state != SUBREQUEST_ENDED)
        end(s, HTTP_END_ABORT, UPSTREAM_CANCELED);
}
