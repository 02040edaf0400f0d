/* What a client sends, taken for what it allows: nothing of it is judged. */
#include "support/h2_reader_internal.h"

#include <string.h>

static const char preface[24] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum { FRAME_MOST = 16384 }; /* no server here says that it takes more */

static void lose(struct h2_reader *reader)
{
    reader->client_is_lost = true;
}

/* --- field sections --------------------------------------------------------------------------- */

static void take_section(struct h2_reader *reader)
{
    struct h2_half *half = reader->client;
    struct h2_seen_stream *stream = h2_reader_find(reader, half->open_block);
    const char *method;

    half->open_block = 0;
    if (!h2_half_decode(half, stream->fields.at == NULL ? &stream->fields : &stream->trailers)) {
        lose(reader);
        return;
    }
    stream->is_head =
        h2_lines_find(&stream->fields, ":method", &method) == 4 && memcmp(method, "HEAD", 4) == 0;
    stream->has_ended |= half->block_ends;
}

static void take_headers(struct h2_reader *reader, struct h2_seen_frame *frame)
{
    struct h2_half *half = reader->client;

    if (frame->stream % 2 == 0 || !h2_frame_unwrap(frame) ||
        (frame->stream <= reader->last_id && h2_reader_find(reader, frame->stream) == NULL)) {
        lose(reader);
        return;
    }
    if (frame->stream > reader->last_id)
        h2_reader_open(reader, frame->stream);
    half->open_block = frame->stream;
    half->block_ends = frame->flags & H2_FLAG_END_STREAM;
    h2_bytes_append(&half->block, frame->payload, frame->len);
    if (frame->flags & H2_FLAG_END_HEADERS)
        take_section(reader);
}

static void take_continuation(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    struct h2_half *half = reader->client;

    if (frame->type != H2_CONTINUATION || frame->stream != half->open_block) {
        lose(reader);
        return;
    }
    h2_bytes_append(&half->block, frame->payload, frame->len);
    if (frame->flags & H2_FLAG_END_HEADERS)
        take_section(reader);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void take_data(struct h2_reader *reader, struct h2_seen_frame *frame)
{
    struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);

    reader->sent += (int64_t)frame->len;
    if (stream == NULL)
        return;
    stream->sent += (int64_t)frame->len;
    if (!h2_frame_unwrap(frame) || stream->has_ended)
        return;
    h2_bytes_append(&stream->body, frame->payload, frame->len);
    stream->has_ended |= frame->flags & H2_FLAG_END_STREAM;
}

static void set_most(int64_t *value, int64_t *most, bool *has, uint32_t to)
{
    *value = to;
    *most = *has && *most > to ? *most : to;
    *has = true;
}

static void take_settings(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    struct h2_seen_settings *settings = &reader->pending[reader->pending_count];

    if (frame->flags & H2_FLAG_END_STREAM)
        return;
    if (frame->stream != 0 || frame->len % 6 != 0 || reader->pending_count == H2_SETTINGS_KEPT) {
        lose(reader);
        return;
    }
    memset(settings, 0, sizeof(*settings));
    for (size_t at = 0; at < frame->len; at += 6) {
        uint32_t to = h2_frame_number(frame, at + 2);

        switch (frame->payload[at + 1] | frame->payload[at] << 8) {
        case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
            settings->table = to;
            settings->has_table = true;
            break;
        case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
            set_most(&settings->window, &settings->window_most, &settings->has_window, to);
            break;
        case NGHTTP2_SETTINGS_MAX_FRAME_SIZE:
            set_most(&settings->frame, &settings->frame_most, &settings->has_frame, to);
            break;
        default: break;
        }
    }
    reader->pending_count++;
}

static void take_ping(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    if (frame->flags & H2_FLAG_END_STREAM || frame->len != 8)
        return;
    memcpy(reader->pings[reader->ping_count++ % H2_PINGS_KEPT], frame->payload, 8);
}

static void take_window(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);

    if (frame->len != 4)
        lose(reader);
    else if (frame->stream == 0)
        reader->window += h2_frame_number(frame, 0) & 0x7fffffff;
    else if (stream != NULL)
        stream->window += h2_frame_number(frame, 0) & 0x7fffffff;
}

static void take_reset(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);

    if (stream == NULL)
        lose(reader);
    else
        stream->client_reset = true;
}

static void take_frame(struct h2_reader *reader, struct h2_seen_frame *frame)
{
    if (frame->len > FRAME_MOST) {
        lose(reader);
        return;
    }
    if (reader->client->open_block != 0) {
        take_continuation(reader, frame);
        return;
    }
    switch (frame->type) {
    case H2_DATA: take_data(reader, frame); break;
    case H2_HEADERS: take_headers(reader, frame); break;
    case H2_RST_STREAM: take_reset(reader, frame); break;
    case H2_SETTINGS: take_settings(reader, frame); break;
    case H2_PING: take_ping(reader, frame); break;
    case H2_WINDOW_UPDATE: take_window(reader, frame); break;
    case H2_CONTINUATION:
    case H2_PUSH_PROMISE: lose(reader); break;
    default: break;
    }
}

void h2_reader_take_client(struct h2_reader *reader, const char *at, size_t len)
{
    struct h2_half *half = reader->client;
    struct h2_seen_frame frame;

    h2_bytes_append(&half->in, at, len);
    if (!half->has_preface) {
        if (half->in.len < sizeof(preface))
            return;
        half->has_preface = true;
        half->used = sizeof(preface);
        if (memcmp(half->in.at, preface, sizeof(preface)) != 0)
            lose(reader);
    }
    while (!reader->client_is_lost && h2_half_next(half, &frame))
        take_frame(reader, &frame);
}
