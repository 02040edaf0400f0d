#include "h2_session.h"

#include "workplace.h"

#include <stdlib.h>
#include <string.h>

/* --- exchanges -----------------------------------------------------------------------------------
 */

static struct h2_exchange *find(struct h2_wire *h2, int32_t stream)
{
    struct h2_exchange *exchange = h2->exchanges;

    while (exchange != NULL && exchange->stream != stream)
        exchange = exchange->next;
    return exchange;
}

struct h2_exchange *h2_next_to_read(struct h2_wire *h2)
{
    struct h2_exchange *exchange = h2->exchanges;

    while (exchange != NULL && exchange->is_read)
        exchange = exchange->next;
    return exchange;
}

bool h2_is_done(const struct h2_wire *h2, const struct h2_exchange *exchange)
{
    if (exchange->is_tunnel || wire_held(&exchange->in) > 0)
        return false;
    return exchange->is_answered ||
           (exchange->is_closed && h2->is_going_away && exchange->error == NGHTTP2_REFUSED_STREAM);
}

void h2_forget_done(struct h2_wire *h2)
{
    struct h2_exchange **link = &h2->exchanges;

    for (struct h2_exchange *exchange; (exchange = *link) != NULL;) {
        if (exchange->is_closed && exchange->is_read && exchange != h2->current) {
            *link = exchange->next;
            h2_exchange_free(exchange);
        } else {
            link = &exchange->next;
        }
    }
}

/* --- what nghttp2 tells --------------------------------------------------------------------------
 */

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_exchange *exchange = find(arg, frame->hd.stream_id);

    (void)session;
    if (exchange != NULL)
        h2_exchange_begin_section(exchange);
    return 0;
}

static int take_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                      void *arg)
{
    struct h2_exchange *exchange = find(arg, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (exchange != NULL)
        h2_exchange_add_field(exchange, (const char *)name, name_length, (const char *)value,
                              value_length);
    return 0;
}

static void take_headers(struct h2_wire *h2, struct h2_exchange *exchange)
{
    if (!h2_exchange_end_section(exchange, h2->is_going_away))
        return;
    exchange->is_over = true;
    nghttp2_session_resume_data(h2->session, exchange->stream);
    if (exchange == h2->current) {
        request_text_refuse_tunnel(&h2->text);
        h2->current = NULL;
    }
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_wire *h2 = arg;
    struct h2_exchange *exchange = find(h2, frame->hd.stream_id);
    bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS: h2->has_settings |= !is_ack; break;
    case NGHTTP2_PING: h2->pongs += is_ack; break;
    case NGHTTP2_GOAWAY: h2->is_going_away = true; break;
    case NGHTTP2_HEADERS:
        if (exchange != NULL)
            take_headers(h2, exchange);
        break;
    default: break;
    }
    if (exchange != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        h2_exchange_end(exchange);
    return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                     size_t length, void *arg)
{
    struct h2_exchange *exchange = find(arg, stream);

    (void)flags;
    if (exchange != NULL && !exchange->is_read)
        h2_exchange_add_body(exchange, bytes, length);
    else
        nghttp2_session_consume(session, stream, length);
    return 0;
}

static void close_exchange(struct h2_wire *h2, struct h2_exchange *exchange, uint32_t error)
{
    exchange->is_closed = true;
    exchange->error = error;
    h2_forget_done(h2);
}

static int close_stream(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
    struct h2_exchange *exchange = find(arg, stream);

    (void)session;
    if (exchange != NULL)
        close_exchange(arg, exchange, error);
    return 0;
}

/* A request was too late for a connection that goes away. */
static int note_unsent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct h2_exchange *exchange = find(arg, frame->hd.stream_id);

    (void)session;
    (void)error;
    if (frame->hd.type == NGHTTP2_HEADERS && exchange != NULL && !exchange->is_closed)
        close_exchange(arg, exchange, NGHTTP2_REFUSED_STREAM);
    return 0;
}

/* Nothing that a gateway sends may be invalid, whatever comes of it for the test. */
static int note_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    (void)session;
    (void)arg;
    workplace_note("the gateway sent an invalid frame of type %d on stream %d: %s", frame->hd.type,
                   frame->hd.stream_id, nghttp2_strerror(error));
    return 0;
}

/* nghttp2's own words for it. */
static int note_problem(nghttp2_session *session, int error, const char *words, size_t length,
                        void *arg)
{
    (void)session;
    (void)error;
    (void)arg;
    workplace_note("the gateway's HTTP/2: %.*s", (int)length, words);
    return 0;
}

nghttp2_session *h2_session_new(struct h2_wire *h2)
{
    nghttp2_session_callbacks *calls;
    nghttp2_option *options;
    nghttp2_session *session;

    if (nghttp2_session_callbacks_new(&calls) != 0 || nghttp2_option_new(&options) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(calls, take_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, take_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, take_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, close_stream);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(calls, note_unsent);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, note_invalid);
    nghttp2_session_callbacks_set_error_callback2(calls, note_problem);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_send_header_block_length(options, (size_t)1 << 20);
    if (nghttp2_session_client_new2(&session, calls, h2, options) != 0)
        abort();
    nghttp2_session_callbacks_del(calls);
    nghttp2_option_del(options);
    return session;
}
