#include "http/h2_internal.h"

/* What RFC 9113 does not allow, or we do not, and nghttp2 lets pass. Where such a frame begins
 * nghttp2 is left at once. */

enum {
    FRAME_MOST = 16 * 1024, /* what SETTINGS_MAX_FRAME_SIZE is by itself */
};

int h2_stop_for_calm(struct h2_connection *c)
{
    c->is_spent = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int h2_stop_for(struct h2_connection *c, uint32_t error)
{
    c->violation = error;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static bool is_open(nghttp2_session *session, int32_t id)
{
    nghttp2_stream *stream = nghttp2_session_find_stream(session, id);

    return stream && nghttp2_stream_get_state(stream) != NGHTTP2_STREAM_STATE_IDLE;
}

/* Section 5.1.1: streams are opened in their order. Once we have said which one was the last, those
 * behind it may come in any. */
static int begin_headers(struct h2_connection *c, int32_t id)
{
    uint32_t stream = (uint32_t)id, error;

    if (stream % 2 == 0 || c->drain == H2_DRAIN_DONE || is_open(c->session, id))
        return 0;
    if (stream > c->history.highest) {
        h2_history_open(&c->history, stream);
        return 0;
    }
    error = h2_history_judge(&c->history, stream);
    return error == NGHTTP2_NO_ERROR ? 0 : h2_stop_for(c, error);
}

/* Section 6.9.2: where SETTINGS made a window overflow, nghttp2 has the stream suffer for it alone.
 * What tells is that more frames wait to be sent behind it than its acknowledgement. */
void h2_count_queued(struct h2_connection *c)
{
    c->queued = nghttp2_session_get_outbound_queue_size(c->session);
}

int h2_check_settings(struct h2_connection *c, const nghttp2_frame_hd *header)
{
    size_t acknowledgements = header->flags & NGHTTP2_FLAG_ACK ? 0 : 1;

    if (nghttp2_session_get_outbound_queue_size(c->session) > c->queued + acknowledgements)
        return h2_stop_for(c, NGHTTP2_FLOW_CONTROL_ERROR);
    return 0;
}

/* Section 4.2. */
static int begin_continuation(struct h2_connection *c, size_t length)
{
    return length > FRAME_MOST ? h2_stop_for(c, NGHTTP2_FRAME_SIZE_ERROR) : 0;
}

int h2_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *user)
{
    struct h2_connection *c = user;

    (void)session;
    h2_count_queued(c);
    switch (header->type) {
    case NGHTTP2_HEADERS: return begin_headers(c, header->stream_id);
    case NGHTTP2_CONTINUATION: return begin_continuation(c, header->length);
    case NGHTTP2_PRIORITY: /* section 6.3 */
        return header->stream_id == 0 ? h2_stop_for(c, NGHTTP2_PROTOCOL_ERROR) : 0;
    default: return 0;
    }
}
