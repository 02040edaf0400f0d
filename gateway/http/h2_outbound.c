#include "http/h2_internal.h"
#include "http/h2_writer.h"

static enum io fail_writing(struct h2_stream *s, enum http_reason reason)
{
    s->writing = H2_WRITE_FAILED;
    s->http.reason = reason;
    return IO_ERROR;
}

bool h2_stream_submit_interim_head(struct h2_stream *s, const struct http_head *head)
{
    struct http_body_plan body;
    struct h2_fields fields;

    return h2_write_response_head(&fields, s->http.arena, head, s->method, &body) &&
           nghttp2_submit_headers(s->connection->session, NGHTTP2_FLAG_NONE, s->id, NULL,
                                  fields.list, fields.count, NULL) == 0;
}

static bool submit_final_head(struct h2_stream *s, const struct http_head *head, bool *has_body)
{
    struct http_body_plan body;
    struct h2_fields fields;

    if (!h2_write_response_head(&fields, s->http.arena, head, s->method, &body))
        return false;
    *has_body = body.framing != BODY_NONE;
    return nghttp2_submit_response(s->connection->session, s->id, fields.list, fields.count,
                                   *has_body ? &h2_body_provider : NULL) == 0;
}

/* --- the response ------------------------------------------------------------------------------
 */

/* RFC 8441 section 5: the stream is what the connection is in HTTP/1.1. */
static void become_tunnel(struct h2_stream *s)
{
    s->reading = H2_READ_BODY;
}

/* A backend's word on how urgent its response is stands above its client's (RFC 9218 section 8). */
static void follow_priority(struct h2_stream *s, const struct http_head *head)
{
    nghttp2_extpri priority;

    if (!h2_priority_read_fields(&head->fields, &s->priority))
        return;
    s->backend_said_priority = true;
    priority = (nghttp2_extpri){.urgency = s->priority.urgency, .inc = s->priority.incremental};
    nghttp2_session_change_extpri_stream_priority(s->connection->session, s->id, &priority, 1);
}

static enum io write_final_head(struct h2_stream *s, const struct http_head *head)
{
    bool has_body;

    if (!submit_final_head(s, head, &has_body))
        return fail_writing(s, REASON_OVER_LIMIT);
    follow_priority(s, head);
    if (head->status == 101)
        become_tunnel(s);
    s->writing = has_body ? H2_WRITE_BODY : H2_WRITE_DONE;
    return IO_OK;
}

/* Who has been told that a request is malformed answers nobody. Who has not, and has a response for
 * it already, is told now: it may be a long one, or a tunnel's. */
static bool answers_nobody(const struct h2_stream *s)
{
    return s->is_malformed && s->reading == H2_READ_FAILED;
}

enum io h2_stream_write_head(struct http_stream *http, const struct http_head *head)
{
    struct h2_stream *s = h2_stream_of(http);
    bool is_interim = head->status < 200 && head->status != 101;

    if (answers_nobody(s)) {
        s->writing = is_interim ? H2_WRITE_HEAD : H2_WRITE_DONE;
        return IO_OK;
    }
    if (!s->is_known || s->writing == H2_WRITE_FAILED)
        return fail_writing(s, REASON_CLIENT_CLOSED);
    assert(s->writing == H2_WRITE_HEAD);
    if (!is_interim)
        return write_final_head(s, head);
    if (head->status == 100)
        s->expects_continue = false;
    return h2_stream_submit_interim_head(s, head) ? IO_OK : fail_writing(s, REASON_OVER_LIMIT);
}

static void resume(struct h2_stream *s)
{
    if (s->is_deferred)
        nghttp2_session_resume_data(s->connection->session, s->id);
    s->is_deferred = false;
    h2_wake(s->connection);
}

static enum io take_piece(struct h2_stream *s, struct slice piece, size_t *taken)
{
    size_t room = h2_stream_room(s);

    if (room == 0) {
        h2_stream_starve(s);
        return IO_WAIT;
    }
    if (room > piece.len)
        room = piece.len;
    if (!buffer_append(&s->out, slice_make(piece.at, room)))
        return fail_writing(s, REASON_OVER_LIMIT);
    s->connection->held += room;
    s->http.bytes_written += room;
    *taken = room;
    return IO_OK;
}

static void end_body(struct h2_stream *s)
{
    s->ends = true;
    s->writing = H2_WRITE_DONE;
    if (s->http.trailers_out)
        s->trailers_out = *s->http.trailers_out;
}

enum io h2_stream_write_body(struct http_stream *http, struct slice piece, bool last, size_t *taken)
{
    struct h2_stream *s = h2_stream_of(http);
    enum io io = IO_OK;

    *taken = 0;
    if (answers_nobody(s) || s->writing == H2_WRITE_DONE) { /* goes nowhere */
        *taken = piece.len;
        return IO_OK;
    }
    if (!s->is_known || s->writing != H2_WRITE_BODY)
        return fail_writing(s, REASON_CLIENT_CLOSED);
    if (piece.len > 0)
        io = take_piece(s, piece, taken);
    if (io != IO_OK)
        return io;
    if (last && *taken == piece.len)
        end_body(s);
    resume(s);
    return IO_OK;
}

bool h2_stream_has_left(const struct h2_stream *s)
{
    return s->is_cut || (s->end_was_sent && s->connection->taken >= s->end_at);
}

enum io h2_stream_flush(struct http_stream *http)
{
    struct h2_stream *s = h2_stream_of(http);

    if (answers_nobody(s))
        return IO_OK;
    if (s->writing == H2_WRITE_FAILED || (s->is_cut && !s->end_was_sent))
        return IO_ERROR;
    if (s->writing == H2_WRITE_DONE && h2_stream_has_left(s))
        return IO_OK;
    h2_wake(s->connection);
    if (s->writing != H2_WRITE_DONE)
        return buffer_length(&s->out) > 0 ? IO_WAIT : IO_OK;
    if (!list_has(&s->leaving))
        list_push_back(&s->connection->leaving, &s->leaving);
    return IO_WAIT;
}

/* --- frames of its body ------------------------------------------------------------------------
 */

static void submit_trailers(struct h2_stream *s, uint32_t *flags)
{
    struct h2_fields fields;

    if (s->trailers_out.count == 0 ||
        !h2_write_trailers(&fields, s->http.arena, &s->trailers_out) || fields.count == 0)
        return;
    if (nghttp2_submit_trailer(s->connection->session, s->id, fields.list, fields.count) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

static ssize_t fill_frame(nghttp2_session *session, int32_t id, uint8_t *into, size_t most,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    size_t length;

    (void)into, (void)source, (void)user;
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* its reset is on the way */
    length = buffer_length(&s->out);
    if (length == 0 && !s->ends) {
        s->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (length > most)
        return (ssize_t)most;
    if (s->ends) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        submit_trailers(s, flags);
    }
    return (ssize_t)length;
}

const nghttp2_data_provider h2_body_provider = {.read_callback = fill_frame};

void h2_stream_framed(struct h2_stream *s, size_t bytes)
{
    buffer_consume(&s->out, bytes);
    buffer_rest(&s->out);
    s->connection->held -= bytes;
    s->connection->went += bytes;
    s->went += bytes;
}
