#include "http/h2_internal.h"
#include "http/h2_memory.h"

#include <stdlib.h>

/* What nghttp2 tells of frames, in the order in which they come and go. It calls from inside
 * nghttp2_session_mem_recv and _mem_send alone. */

enum {
    FIELD_FRAME = 4,        /* ": " and CRLF, which a field has around it in HTTP/1.1 */
    CRUMB_FRAME = 2,        /* "; ", which Cookie fields have between them once they are joined */
    CRUMBS_MOST = 500,      /* more than any browser keeps for a host */
    SECTION_TIMES_MOST = 4, /* the limit on a head: what is decoded beyond is nobody's mistake */
};

static struct h2_stream *find_stream(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* --- field sections ------------------------------------------------------------------------- */

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_connection *c = user;
    int32_t id = frame->hd.stream_id;

    c->is_in_block = true;
    c->section = (struct h2_section){.at = (uint32_t)buffer_length(&c->sections)};
    c->section_line = c->section_whole = c->section_fields = c->section_crumbs = 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        c->block = find_stream(session, id);
        return 0;
    }
    c->block = h2_stream_new(c, id);
    if (!c->block)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, id, c->block);
    return 0;
}

static bool keep_field(struct h2_connection *c, struct slice name, struct slice value)
{
    uint32_t lengths[2] = {(uint32_t)name.len, (uint32_t)value.len};
    size_t bytes = sizeof(lengths) + name.len + value.len;
    char *to;

    if (!buffer_reserve(&c->sections, bytes))
        return false;
    to = buffer_tail(&c->sections);
    memcpy(to, lengths, sizeof(lengths));
    memcpy(to + sizeof(lengths), name.at, name.len);
    memcpy(to + sizeof(lengths) + name.len, value.at, value.len);
    buffer_added(&c->sections, bytes);
    c->section.count++;
    return true;
}

/* As HTTP/1 would: Cookie is one field there, whatever it was on the way (RFC 9113 section 8.2.3),
 * a start line is none, and :authority stands for Host. */
static void count_field(struct h2_connection *c, struct slice name, struct slice value)
{
    if (slice_equal(name, slice_of("cookie")) && c->section_crumbs++ > 0) {
        c->section_whole += (uint32_t)value.len + CRUMB_FRAME;
        return;
    }
    c->section_whole += (uint32_t)(name.len + value.len + FIELD_FRAME);
    if (name.len > 0 && (name.at[0] != ':' || slice_equal(name, slice_of(":authority"))))
        c->section_fields++;
}

/* Whether it is still within what a head may have. */
static enum http_reason judge_field(struct h2_connection *c, struct slice name, struct slice value)
{
    if (slice_equal(name, slice_of(":path")) || slice_equal(name, slice_of(":method")))
        c->section_line += (uint32_t)value.len + 1;
    if (c->section_line > c->limits->request_line)
        return REASON_URI_TOO_LONG;
    if (c->section_whole > c->limits->head_bytes || c->section_fields > c->limits->fields ||
        c->section_crumbs > CRUMBS_MOST)
        return REASON_HEADER_TOO_LARGE;
    return REASON_NONE;
}

/* Nobody's mistake any more. */
static bool is_far_too_much(const struct h2_connection *c)
{
    return c->section_whole > (uint64_t)c->limits->head_bytes * SECTION_TIMES_MOST ||
           c->section_fields > (uint64_t)c->limits->fields * SECTION_TIMES_MOST ||
           c->section_crumbs > CRUMBS_MOST * SECTION_TIMES_MOST;
}

static void drop_section(struct h2_connection *c)
{
    c->sections.end -= (uint32_t)buffer_length(&c->sections) - c->section.at;
    c->section.bytes = c->section.count = 0;
}

/* What counts for the answer, whatever else is wrong with the head: to HEAD it has no body. */
static void note_field(struct h2_stream *s, struct slice name, struct slice value)
{
    if (s->has_arrived)
        return;
    if (slice_equal(name, slice_of(":method")))
        s->method = http_method_from(value);
    else if (slice_equal(name, slice_of("priority")))
        h2_priority_read(value, &s->priority);
}

static int take_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_at,
                      size_t name_bytes, const uint8_t *value_at, size_t value_bytes, uint8_t flags,
                      void *user)
{
    struct h2_connection *c = user;
    struct slice name = slice_make((const char *)name_at, name_bytes);
    struct slice value = slice_make((const char *)value_at, value_bytes);
    struct h2_stream *s = c->block;

    (void)session, (void)frame, (void)flags;
    count_field(c, name, value);
    if (is_far_too_much(c))
        return h2_stop_for_calm(c);
    if (!s)
        return 0;
    note_field(s, name, value);
    if (s->verdict != REASON_NONE)
        return 0;
    s->verdict = judge_field(c, name, value);
    if (s->verdict == REASON_NONE && !keep_field(c, name, value))
        s->verdict = REASON_OVER_LIMIT;
    if (s->verdict != REASON_NONE)
        drop_section(c);
    return 0;
}

/* What nghttp2 would leave out and go on is malformed here. */
static int refuse_field(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                        nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    (void)session, (void)frame, (void)name, (void)value, (void)flags, (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void close_section(struct h2_connection *c)
{
    c->is_in_block = false;
    c->block = NULL;
    c->section.bytes = (uint32_t)buffer_length(&c->sections) - c->section.at;
}

void h2_block_is_over(struct h2_connection *c)
{
    if (!c->is_in_block)
        return;
    drop_section(c);
    close_section(c);
}

static void arrive(struct h2_stream *s)
{
    s->has_arrived = true;
    list_remove(&s->place);
    list_push_back(&s->connection->arrivals, &s->place);
}

/* Taking a head apart of which nothing can come is work as well. */
static void pay_for_refusal(struct h2_connection *c, const struct h2_stream *s)
{
    if ((s->verdict == REASON_HEADER_TOO_LARGE || s->verdict == REASON_URI_TOO_LONG) &&
        !h2_budget_spend(&c->budget, H2_SPENT_ON_RESET, loop_now_ms(c->loop)))
        c->is_spent = true;
}

static void end_request_head(struct h2_connection *c, struct h2_stream *s, bool ends)
{
    pay_for_refusal(c, s);
    close_section(c);
    s->head = c->section;
    s->head_ends = ends;
    if (c->section.bytes > 0)
        c->sections_waiting++;
    arrive(s);
}

static void end_trailers(struct h2_connection *c, struct h2_stream *s)
{
    close_section(c);
    if (s)
        h2_stream_take_trailers(s, &c->section);
}

static void end_of_headers(struct h2_connection *c, const nghttp2_frame *frame)
{
    struct h2_stream *s = find_stream(c->session, frame->hd.stream_id);

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        end_trailers(c, s);
    else if (s)
        end_request_head(c, s, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

/* The reset is on its way; whoever serves it hears of it. */
static void note_malformed(struct h2_stream *s)
{
    s->is_malformed = true;
    if (s->has_arrived)
        h2_stream_wake(s);
    else
        arrive(s);
}

static int refuse_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_connection *c = user;
    struct h2_stream *s = find_stream(session, frame->hd.stream_id);

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    h2_history_reset(&c->history, (uint32_t)frame->hd.stream_id); /* about to be */
    h2_block_is_over(c);
    if (s && (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING))
        note_malformed(s);
    return 0;
}

/* --- what has come -------------------------------------------------------------------------- */

/* The connection's window is given back as bytes come, a stream's as they are read: what waits in
 * one is no reason for the others to wait. */
static int receive_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *at,
                        size_t bytes, void *user)
{
    struct h2_stream *s = find_stream(session, id);

    (void)flags;
    h2_give_back(user);
    /* For want of memory it is as if the client had been cut off. */
    if (s && !h2_stream_receive(s, slice_make((const char *)at, bytes)))
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static void note_end(nghttp2_session *session, const nghttp2_frame *frame)
{
    struct h2_stream *s = find_stream(session, frame->hd.stream_id);

    if (!s || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return;
    s->has_ended = true;
    h2_stream_wake(s);
}

/* nghttp2 has taken it to heart already, for what is ready to go. */
static int take_priority_update(struct h2_connection *c, const nghttp2_ext_priority_update *update)
{
    struct h2_stream *s = find_stream(c->session, update->stream_id);

    if (update->stream_id == 0) /* RFC 9218 section 7.1 */
        return h2_stop_for(c, NGHTTP2_PROTOCOL_ERROR);
    if (s)
        h2_stream_take_priority(
            s, slice_make((const char *)update->field_value, update->field_value_len));
    return 0;
}

static int receive_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_connection *c = user;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        end_of_headers(c, frame);
        note_end(session, frame);
        break;
    case NGHTTP2_DATA: note_end(session, frame); break;
    case NGHTTP2_SETTINGS: c->has_begun = true; return h2_check_settings(c, &frame->hd);
    case NGHTTP2_PRIORITY_UPDATE: return take_priority_update(c, frame->ext.payload);
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && c->drain == H2_DRAIN_NOTICED)
            c->ping_was_answered = true;
        break;
    default: break;
    }
    return 0;
}

static int close_stream(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct h2_stream *s = find_stream(session, id);
    struct h2_connection *c = user;

    (void)error;
    if (!s)
        return 0;
    if (c->block == s) {
        c->block = NULL;
        drop_section(c);
    }
    h2_stream_closed(s, s->has_ended && s->end_was_sent);
    return 0;
}

/* --- what goes ------------------------------------------------------------------------------ */

/* Resets for which the client gave the reason. */
static bool is_clients_fault(uint32_t error)
{
    switch (error) {
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_REFUSED_STREAM: return true;
    default: return false;
    }
}

static void note_reset(struct h2_connection *c, struct h2_stream *s, uint32_t error)
{
    if (!is_clients_fault(error))
        return;
    if (s)
        s->is_malformed = true;
    if (!h2_budget_spend(&c->budget, H2_SPENT_ON_RESET, loop_now_ms(c->loop)))
        c->is_spent = true;
}

/* A PING goes behind the first GOAWAY of an orderly end: its answer says that the client has seen
 * that. Asked for together, nghttp2 would send the PING first. */
static void note_goaway(struct h2_connection *c, const nghttp2_goaway *goaway)
{
    static const uint8_t opaque[8] = "goodbye";

    c->owes_goaway &= goaway->last_stream_id == INT32_MAX;
    if (goaway->error_code == NGHTTP2_NO_ERROR) {
        if (c->drain == H2_DRAIN_NOTICED)
            nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, opaque);
        return;
    }
    c->is_failing = true;
    if (!c->problem)
        c->problem = nghttp2_http2_strerror(goaway->error_code);
}

static int send_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_connection *c = user;
    struct h2_stream *s = NULL;

    if (frame->hd.stream_id != 0)
        s = find_stream(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_DATA: /* it is in `out` already */
        h2_budget_earn_data(&c->budget, frame->hd.length > 0, 0);
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            s->end_was_sent = true, s->end_at = c->framed;
        break;
    case NGHTTP2_HEADERS: /* it follows */
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            s->end_was_sent = true, s->end_at = c->framed + frame->hd.length;
        break;
    case NGHTTP2_RST_STREAM:
        h2_history_reset(&c->history, (uint32_t)frame->hd.stream_id);
        note_reset(c, s, frame->rst_stream.error_code);
        break;
    case NGHTTP2_GOAWAY: note_goaway(c, &frame->goaway); break;
    default: break;
    }
    return 0;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                     size_t bytes, nghttp2_data_source *source, void *user)
{
    enum { HEADER_BYTES = 9 };
    struct h2_connection *c = user;
    struct h2_stream *s = find_stream(session, frame->hd.stream_id);

    (void)source;
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* its reset is on the way */
    if (buffer_length(&c->out) >= H2_OUT_FULL)
        return NGHTTP2_ERR_WOULDBLOCK;
    if (!buffer_reserve(&c->out, HEADER_BYTES + bytes))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    buffer_append(&c->out, slice_make((const char *)header, HEADER_BYTES));
    buffer_append(&c->out, slice_make(buffer_content(&s->out).at, bytes));
    c->framed += HEADER_BYTES + bytes;
    h2_stream_framed(s, bytes);
    return 0;
}

/* --- all of it ------------------------------------------------------------------------------ */

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, h2_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_field);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, refuse_field);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, refuse_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, receive_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, receive_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, close_stream);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, send_frame);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
}

/* Windows are given back by whoever reads; the rest of a closed stream need not be remembered.
 * Resets are counted beside answers (http/h2_budget.h), not by themselves. */
static void set_options(nghttp2_option *option)
{
    enum {
        ANSWERS_WAITING_MOST = 200,      /* to PING and SETTINGS, for a client that does not read */
        RESPONSE_HEAD_MOST = 256 * 1024, /* four times what backends may send */
    };

    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_continuations(option, UINT32_MAX); /* see h2_meter.h */
    nghttp2_option_set_max_outbound_ack(option, ANSWERS_WAITING_MOST);
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_send_header_block_length(option, RESPONSE_HEAD_MOST);
    nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
}

nghttp2_session *h2_session_new(struct h2_connection *c)
{
    nghttp2_mem memory = h2_memory(&c->is_short);
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_session *session = NULL;
    nghttp2_option *option = NULL;

    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        set_callbacks(callbacks);
        set_options(option);
        if (nghttp2_session_server_new3(&session, callbacks, c, option, &memory) != 0)
            session = NULL;
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return session;
}
