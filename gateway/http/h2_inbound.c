#include "http/h2_internal.h"
#include "http/h2_semantics.h"

static enum io fail_reading(struct h2_stream *s, enum http_reason reason)
{
    s->reading = H2_READ_FAILED;
    s->http.reason = reason;
    return IO_ERROR;
}

/* A malformed one that was cut is told nothing more: whatever is written goes nowhere. */
enum io h2_stream_fail_cut(struct h2_stream *s)
{
    return fail_reading(s, s->is_malformed ? REASON_BAD_REQUEST : REASON_CLIENT_CLOSED);
}

/* --- the request ------------------------------------------------------------------------------ */

static enum io understand(struct h2_stream *s, struct http_head *head)
{
    const char *detail = NULL;

    switch (h2_understand_request(head, s->http.arena, s->head_ends,
                                  s->connection->limits->underscores, &detail)) {
    case H2_UNDERSTOOD: break;
    case H2_MALFORMED: s->is_malformed = true; return fail_reading(s, REASON_BAD_REQUEST);
    case H2_REFUSED: return fail_reading(s, REASON_BAD_REQUEST);
    }
    s->method = head->method;
    s->is_tunnel = head->needs_upgrade;
    s->expects_continue = head->expects_continue && head->framing != BODY_NONE;
    s->reading = head->framing == BODY_NONE ? H2_READ_DONE : H2_READ_BODY;
    return IO_OK;
}

static enum io understand_trailers(struct h2_stream *s)
{
    const char *detail = NULL;

    if (h2_understand_trailers(&s->http.trailers, s->connection->limits->underscores, &detail))
        return IO_OK;
    s->is_malformed = true;
    return fail_reading(s, REASON_BAD_REQUEST);
}

/* RFC 9113 section 8.5: nothing but bytes may follow a CONNECT. */
static enum io take_trailers(struct h2_stream *s, const struct h2_section *section)
{
    if (s->is_tunnel) {
        s->is_malformed = true;
        return fail_reading(s, REASON_BAD_REQUEST);
    }
    if (s->verdict != REASON_NONE)
        return fail_reading(s, s->verdict);
    if (!h2_section_take(s->connection, section, s->http.arena, &s->http.trailers))
        return fail_reading(s, REASON_OVER_LIMIT);
    return understand_trailers(s);
}

/* Those that came with the head wait with it. */
void h2_stream_take_trailers(struct h2_stream *s, const struct h2_section *section)
{
    struct h2_connection *c = s->connection;

    if (s->http.arena) {
        if (s->reading == H2_READ_BODY || s->is_tunnel)
            take_trailers(s, section);
        c->sections.end -= section->bytes;
    } else {
        s->trailers = *section;
        if (section->bytes > 0)
            c->sections_waiting++;
    }
}

enum io h2_stream_read_head(struct http_stream *http, struct arena *arena, struct http_head *head)
{
    struct h2_stream *s = h2_stream_of(http);
    enum io io = IO_OK;

    if (s->reading == H2_READ_FAILED)
        return IO_ERROR;
    assert(s->reading == H2_READ_HEAD);
    http->arena = arena;
    if (s->verdict != REASON_NONE)
        io = fail_reading(s, s->verdict);
    else if (s->is_malformed || s->is_cut)
        io = h2_stream_fail_cut(s);
    else if (!h2_section_take(s->connection, &s->head, arena, &head->fields))
        io = fail_reading(s, REASON_OVER_LIMIT);
    else
        io = understand(s, head);
    if (io == IO_OK && s->trailers.bytes > 0)
        io = take_trailers(s, &s->trailers);
    h2_section_drop(s->connection, &s->head);
    h2_section_drop(s->connection, &s->trailers);
    s->head = s->trailers = (struct h2_section){0};
    return io;
}

/* --- its body --------------------------------------------------------------------------------- */

bool h2_stream_receive(struct h2_stream *s, struct slice bytes)
{
    if (!buffer_append(&s->in, bytes)) {
        s->verdict = REASON_OVER_LIMIT;
        return false;
    }
    s->came += bytes.len;
    if (s->is_read)
        h2_stream_wake(s);
    s->is_read = false;
    return true;
}

/* The client waits with its body until it is told to go on (RFC 9110 section 10.1.1). */
static void answer_expectation(struct h2_stream *s)
{
    const struct http_head go_on = {.status = 100};

    if (!s->expects_continue || s->writing != H2_WRITE_HEAD || !s->is_known)
        return;
    s->expects_continue = false;
    h2_stream_submit_interim_head(s, &go_on);
    h2_wake(s->connection);
}

enum io h2_stream_read_body(struct http_stream *http, struct slice *piece)
{
    struct h2_stream *s = h2_stream_of(http);

    if (s->reading != H2_READ_BODY)
        return s->reading == H2_READ_DONE ? IO_EOF : IO_ERROR;
    if (s->is_cut)
        return s->verdict != REASON_NONE ? fail_reading(s, s->verdict) : h2_stream_fail_cut(s);
    *piece = buffer_content(&s->in);
    if (piece->len > 0)
        return IO_OK;
    if (s->has_ended) {
        s->reading = H2_READ_DONE;
        return IO_EOF;
    }
    answer_expectation(s);
    s->is_read = true;
    return IO_WAIT;
}

/* How much of a window must be owed before it is given back: so little that nearly all of it can be
 * on its way at any time, so much that updates stay few. (nghttp2 gives back by halves, and so has
 * half of it idle where a client sends in bursts.) */
static size_t portion(uint32_t window)
{
    enum { PORTIONS = 8, PORTION_LEAST = 16 * 1024 };

    return window / PORTIONS > PORTION_LEAST ? window / PORTIONS : PORTION_LEAST;
}

/* What nghttp2 says has come and is not given back: padding, and what came for streams that are
 * gone, is part of it, and is in nobody's hands but nghttp2's. */
void h2_give_back(struct h2_connection *c)
{
    int32_t owed = nghttp2_session_get_effective_recv_data_length(c->session);

    if (owed > 0 && (size_t)owed >= portion(H2_CONNECTION_WINDOW))
        nghttp2_submit_window_update(c->session, NGHTTP2_FLAG_NONE, 0, owed);
}

/* All but what waits to be read. */
static void give_back_window(struct h2_stream *s)
{
    nghttp2_session *session = s->connection->session;
    int32_t owed = nghttp2_session_get_stream_effective_recv_data_length(session, s->id);

    owed -= (int32_t)buffer_length(&s->in);
    if (!s->has_ended && owed > 0 && (size_t)owed >= portion(s->window))
        nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, s->id, owed);
}

/* A reader that keeps up is given a window that has room for what is on its way meanwhile, as far
 * as all of the connection's together may. */
static void widen_window(struct h2_stream *s)
{
    uint32_t more = s->window;

    if (s->window >= H2_STREAM_WINDOW_MAX || buffer_length(&s->in) > 0 || s->has_ended ||
        s->came < 2 * (uint64_t)s->window)
        return;
    if (more > H2_STREAM_WINDOW_MAX - s->window)
        more = H2_STREAM_WINDOW_MAX - s->window;
    if (more > H2_CONNECTION_WIDENED - s->connection->widened)
        more = H2_CONNECTION_WIDENED - s->connection->widened;
    if (more == 0)
        return;
    s->window += more;
    s->connection->widened += more;
    nghttp2_session_set_local_window_size(s->connection->session, NGHTTP2_FLAG_NONE, s->id,
                                          (int32_t)s->window);
}

void h2_stream_consume_body(struct http_stream *http, size_t bytes)
{
    struct h2_stream *s = h2_stream_of(http);
    nghttp2_session *session = s->connection->session;

    buffer_consume(&s->in, bytes);
    buffer_rest(&s->in);
    http->bytes_read += bytes;
    if (s->is_known) {
        give_back_window(s);
        widen_window(s);
    }
    if (nghttp2_session_want_write(session))
        h2_wake(s->connection);
}
