#include "http/h2_internal.h"

#include <stdlib.h>

void h2_stream_closed(struct h2_stream *s, bool in_order)
{
    s->is_known = false;
    s->is_cut = !in_order;
    s->http.is_called_off = s->is_cut;
    /* Called off before anybody has seen it. */
    if (s->is_cut && !s->is_malformed && s->reading == H2_READ_HEAD && !s->is_taken)
        h2_stream_free(s);
    else
        h2_stream_wake(s);
}

/* --- towards a client ---------------------------------------------------------------------------
 */

static enum io watch(struct http_stream *http)
{
    struct h2_stream *s = h2_stream_of(http);

    if (!s->is_cut)
        return IO_WAIT;
    h2_stream_fail_cut(s);
    return IO_ERROR;
}

static size_t hold_head(struct http_stream *http)
{
    (void)http;
    return 0; /* it is whole before there is a stream */
}

static struct stream_traffic traffic(struct http_stream *http)
{
    const struct h2_stream *s = h2_stream_of(http);

    return (struct stream_traffic){.came = s->came, .arrived = s->went};
}

/* --- the end
 * -------------------------------------------------------------------------------------- */

/* Whether both messages are whole, or the response is and the rest of the request is not wanted
 * (RFC 9113 section 8.1). */
static void reset(struct h2_stream *s, enum http_end how)
{
    uint32_t error = NGHTTP2_INTERNAL_ERROR;

    if (s->is_malformed)
        error = NGHTTP2_PROTOCOL_ERROR;
    else if (how != HTTP_END_ABORT && s->end_was_sent)
        error = NGHTTP2_NO_ERROR;
    nghttp2_submit_rst_stream(s->connection->session, NGHTTP2_FLAG_NONE, s->id, error);
}

static void end(struct http_stream *http, enum http_end how)
{
    struct h2_stream *s = h2_stream_of(http);
    struct h2_connection *c = s->connection;

    /* What came before the cut is the client's: behind a reset nghttp2 sends nothing more. */
    if (how == HTTP_END_ABORT && s->is_known && s->writing != H2_WRITE_HEAD)
        h2_send_frames(c);
    if (s->end_was_sent && !s->is_malformed && s->verdict == REASON_NONE)
        h2_budget_earn_answer(&c->budget);
    if (s->is_known)
        reset(s, how);
    h2_wake(c);
    h2_stream_free(s);
}

static const struct http_stream_ops h2_ops = {
    .read_head = h2_stream_read_head,
    .read_body = h2_stream_read_body,
    .consume_body = h2_stream_consume_body,
    .write_head = h2_stream_write_head,
    .write_body = h2_stream_write_body,
    .flush = h2_stream_flush,
    .end = end,
};

static const struct http_client_ops h2_client_ops = {
    .watch = watch,
    .hold_head = hold_head,
    .traffic = traffic,
    .waits_for_others = h2_stream_waits_for_others,
};

struct h2_stream *h2_stream_new(struct h2_connection *c, int32_t id)
{
    struct h2_stream *s = memory_try(sizeof(*s));

    if (!s)
        return NULL;
    s->http = (struct http_stream){.ops = &h2_ops, .client = &h2_client_ops};
    s->connection = c;
    s->id = id;
    s->method = METHOD_OTHER;
    s->window = H2_STREAM_WINDOW;
    s->priority = h2_priority_usual;
    s->is_known = true;
    list_push_back(&c->opening, &s->place);
    c->stream_count++;
    return s;
}

void h2_stream_free(struct h2_stream *s)
{
    struct h2_connection *c = s->connection;

    if (c->block == s)
        c->block = NULL;
    if (s->is_known)
        nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
    h2_section_drop(c, &s->head);
    h2_section_drop(c, &s->trailers);
    c->held -= buffer_length(&s->out);
    c->widened -= s->window - H2_STREAM_WINDOW;
    buffer_clear(&s->in);
    buffer_clear(&s->out);
    list_remove(&s->place);
    list_remove(&s->starved);
    list_remove(&s->leaving);
    c->stream_count--;
    c->taken_count -= s->is_taken;
    free(s);
}
