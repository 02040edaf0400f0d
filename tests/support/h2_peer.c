#include "support/h2_peer.h"

#include "base/check.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { FIELDS_MOST = 64 };

static struct h2_peer_stream *find(struct h2_peer *peer, int32_t id)
{
    for (unsigned i = 0; i < peer->stream_count; i++)
        if (peer->streams[i].id == id)
            return &peer->streams[i];
    return NULL;
}

/* --- what comes ------------------------------------------------------------------------------- */

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                    void *user)
{
    struct h2_peer_stream *stream = find(user, frame->hd.stream_id);
    struct buffer *lines = stream->has_head ? &stream->trailers : &stream->head;

    (void)session, (void)flags;
    buffer_append(lines, slice_make((const char *)name, name_length));
    buffer_append_text(lines, ": ");
    buffer_append(lines, slice_make((const char *)value, value_length));
    buffer_append_text(lines, "\n");
    return 0;
}

static void end_head(struct h2_peer_stream *stream)
{
    static const char interim[] = ":status: 1";

    if (stream->has_head)
        return;
    if (slice_starts_with(buffer_content(&stream->head), slice_of(interim))) {
        buffer_append(&stream->interims, buffer_content(&stream->head));
        buffer_clear(&stream->head);
        return;
    }
    stream->has_head = true;
}

static void note_goaway(struct h2_peer *peer, const nghttp2_goaway *goaway)
{
    cr_assert(peer->goaway_count < H2_PEER_GOAWAYS);
    peer->goaways[peer->goaway_count].last = goaway->last_stream_id;
    peer->goaways[peer->goaway_count].code = goaway->error_code;
    peer->goaway_count++;
}

static void note_settings(struct h2_peer *peer, const nghttp2_settings *settings)
{
    if (settings->hd.flags & NGHTTP2_FLAG_ACK)
        return;
    peer->has_settings = true;
    for (size_t i = 0; i < settings->niv; i++)
        if (settings->iv[i].settings_id < 16)
            peer->settings[settings->iv[i].settings_id] = settings->iv[i].value;
}

static void note_ping(struct h2_peer *peer, const nghttp2_ping *ping)
{
    if (ping->hd.flags & NGHTTP2_FLAG_ACK) {
        peer->ping_answers++;
        return;
    }
    peer->pings++;
    memcpy(peer->last_ping, ping->opaque_data, sizeof(peer->last_ping));
    if (!peer->keeps_pings)
        h2_peer_answer_ping(peer);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_peer *peer = user;
    struct h2_peer_stream *stream = find(peer, frame->hd.stream_id);

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: end_head(stream); break;
    case NGHTTP2_DATA: stream->data_frames++; break;
    case NGHTTP2_RST_STREAM:
        stream->was_reset = true;
        stream->reset_code = frame->rst_stream.error_code;
        break;
    case NGHTTP2_GOAWAY: note_goaway(peer, &frame->goaway); break;
    case NGHTTP2_SETTINGS: note_settings(peer, &frame->settings); break;
    case NGHTTP2_PING: note_ping(peer, &frame->ping); break;
    default: break;
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        stream->has_ended = true;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t length, void *user)
{
    struct h2_peer *peer = user;

    (void)flags;
    buffer_append(&find(peer, id)->body, slice_make((const char *)bytes, length));
    if (!peer->keeps_windows)
        nghttp2_session_consume(session, id, length);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session, (void)code;
    find(user, id)->is_closed = true;
    return 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    (void)session, (void)user;
    cr_assert_fail("a frame of type %d: %s", frame->hd.type, nghttp2_strerror(error));
    return 0;
}

/* --- what goes -------------------------------------------------------------------------------- */

/* Takes "name: value\n" lines apart, in place. */
static size_t take_lines(char *lines, nghttp2_nv *fields)
{
    size_t count = 0;

    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *value = strstr(line + 1, ": ");

        cr_assert(value != NULL && count < FIELDS_MOST);
        fields[count++] = (nghttp2_nv){.name = (uint8_t *)line,
                                       .namelen = (size_t)(value - line),
                                       .value = (uint8_t *)value + 2,
                                       .valuelen = strlen(value + 2)};
    }
    return count;
}

static void submit_trailers(nghttp2_session *session, struct h2_peer_stream *stream)
{
    nghttp2_nv fields[FIELDS_MOST];
    size_t count = take_lines(stream->own_trailers, fields);

    cr_assert_eq(nghttp2_submit_trailer(session, stream->id, fields, count), 0);
}

static ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *into, size_t most,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_peer_stream *stream = find(user, id);
    size_t length = buffer_length(&stream->sends);

    (void)source;
    if (length == 0 && !stream->ends) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (length > most)
        length = most;
    if (length > 0)
        memcpy(into, buffer_content(&stream->sends).at, length);
    buffer_consume(&stream->sends, length);
    if (stream->ends && buffer_length(&stream->sends) == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->own_trailers != NULL) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(session, stream);
        }
    }
    return (ssize_t)length;
}

struct h2_peer_stream *h2_peer_ask(struct h2_peer *peer, const char *lines, bool ends)
{
    struct h2_peer_stream *stream = &peer->streams[peer->stream_count++];
    const nghttp2_data_provider body = {.read_callback = give_body};
    nghttp2_nv fields[FIELDS_MOST];
    char *copy = slice_duplicate(slice_of(lines));

    cr_assert(peer->stream_count <= H2_PEER_STREAMS);
    stream->id = nghttp2_submit_request(peer->session, NULL, fields, take_lines(copy, fields),
                                        ends ? NULL : &body, NULL);
    cr_assert(stream->id > 0);
    free(copy);
    return stream;
}

struct h2_peer_stream *h2_peer_get(struct h2_peer *peer)
{
    return h2_peer_ask(peer, ":method: GET\n:scheme: https\n:path: /\n:authority: a.test\n", true);
}

static void resume(struct h2_peer *peer, struct h2_peer_stream *stream)
{
    if (stream->is_deferred)
        nghttp2_session_resume_data(peer->session, stream->id);
    stream->is_deferred = false;
}

void h2_peer_send(struct h2_peer *peer, struct h2_peer_stream *stream, struct slice bytes,
                  bool last)
{
    buffer_append(&stream->sends, bytes);
    stream->ends = last;
    resume(peer, stream);
}

void h2_peer_send_trailers(struct h2_peer *peer, struct h2_peer_stream *stream, const char *lines)
{
    stream->own_trailers = slice_duplicate(slice_of(lines));
    stream->ends = true;
    resume(peer, stream);
}

void h2_peer_reset(struct h2_peer *peer, struct h2_peer_stream *stream, uint32_t code)
{
    cr_assert_eq(nghttp2_submit_rst_stream(peer->session, NGHTTP2_FLAG_NONE, stream->id, code), 0);
}

void h2_peer_ping(struct h2_peer *peer)
{
    cr_assert_eq(nghttp2_submit_ping(peer->session, NGHTTP2_FLAG_NONE, NULL), 0);
}

void h2_peer_answer_ping(struct h2_peer *peer)
{
    cr_assert_eq(nghttp2_submit_ping(peer->session, NGHTTP2_FLAG_ACK, peer->last_ping), 0);
}

void h2_peer_read(struct h2_peer *peer, struct h2_peer_stream *stream, size_t bytes)
{
    cr_assert_eq(nghttp2_session_consume(peer->session, stream->id, bytes), 0);
}

void h2_peer_send_raw(struct h2_peer *peer, const char *at, size_t length)
{
    h2_peer_pump(peer);
    fake_stream_send(peer->fake, slice_make(at, length));
}

void h2_peer_pump(struct h2_peer *peer)
{
    struct slice came = slice_skip(fake_stream_written(peer->fake), peer->read);
    const uint8_t *bytes;
    ssize_t length;

    if (came.len > 0)
        cr_assert_eq(nghttp2_session_mem_recv(peer->session, (const uint8_t *)came.at, came.len),
                     (ssize_t)came.len);
    peer->read += came.len;
    while ((length = nghttp2_session_mem_send(peer->session, &bytes)) > 0)
        if (peer->fake->ending == IO_WAIT)
            fake_stream_send(peer->fake, slice_make((const char *)bytes, (size_t)length));
    cr_assert_eq(length, 0);
}

/* --- life ------------------------------------------------------------------------------------- */

struct h2_peer *h2_peer_new(struct fake_stream *fake, const nghttp2_settings_entry *settings,
                            size_t count)
{
    struct h2_peer *peer = memory_new(sizeof(*peer));
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    peer->fake = fake;
    cr_assert_eq(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid);
    cr_assert_eq(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_auto_ping_ack(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, H2_PEER_STREAMS);
    cr_assert_eq(nghttp2_session_client_new2(&peer->session, callbacks, peer, option), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    cr_assert_eq(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, count), 0);
    return peer;
}

void h2_peer_free(struct h2_peer *peer)
{
    for (unsigned i = 0; i < peer->stream_count; i++) {
        struct h2_peer_stream *stream = &peer->streams[i];

        buffer_clear(&stream->head);
        buffer_clear(&stream->interims);
        buffer_clear(&stream->trailers);
        buffer_clear(&stream->body);
        buffer_clear(&stream->sends);
        free(stream->own_trailers);
    }
    nghttp2_session_del(peer->session);
    free(peer);
}
