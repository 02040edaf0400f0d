/* What a server sends, judged. */
#include "support/h2_reader_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- field sections --------------------------------------------------------------------------- */

static const char *const connection_fields[] = {"connection", "keep-alive", "proxy-connection",
                                                "transfer-encoding", "upgrade"};

static bool is_connection_field(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(connection_fields) / sizeof(connection_fields[0]); i++)
        if (strlen(connection_fields[i]) == len && memcmp(connection_fields[i], name, len) == 0)
            return true;
    return false;
}

static bool is_plain_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || (name[i] >= 'A' && name[i] <= 'Z') || name[i] == ':' ||
            name[i] == 0x7f)
            return false;
    return len > 0;
}

static const char *check_fields(const struct h2_bytes *lines, bool has_status)
{
    const char *at = lines->len > 0 ? lines->at : "", *end = at + lines->len;
    static const char status[] = ":status: ";

    if (has_status) {
        if (lines->len < sizeof(status) + 3 || memcmp(at, status, sizeof(status) - 1) != 0 ||
            at[sizeof(status) + 2] != '\n')
            return "a response without :status in front";
        at += sizeof(status) + 3;
    }
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(line_end - at));
        size_t name_len = colon != NULL ? (size_t)(colon - at) : 0;

        if (colon == NULL || !is_plain_name(at, name_len))
            return "a field name that may not be sent";
        if (is_connection_field(at, name_len))
            return "a field of the connection";
        if (memchr(at, '\r', (size_t)(line_end - at)) != NULL ||
            memchr(at, '\0', (size_t)(line_end - at)) != NULL)
            return "a field value that may not be sent";
        at = line_end + 1;
    }
    return NULL;
}

static bool has_no_body(const struct h2_seen_stream *stream)
{
    return stream->is_head || stream->status == 204 || stream->status == 304;
}

static const char *end_answer(struct h2_seen_stream *stream)
{
    stream->answer = H2_ANSWER_WHOLE;
    if (stream->announced >= 0 && !has_no_body(stream) &&
        stream->announced != (int64_t)stream->answer_body.len)
        return "a response that is not as long as it says";
    return NULL;
}

/* The lines are not terminated, and some functions of the C library look for that. */
static int64_t read_number(const char *digits)
{
    int64_t number = 0;

    for (; *digits >= '0' && *digits <= '9' && number < INT64_MAX / 10 - 1; digits++)
        number = number * 10 + (*digits - '0');
    return number;
}

static const char *take_head(struct h2_seen_stream *stream, bool ends)
{
    const char *value, *why = check_fields(&stream->answer_fields, true);
    int status;

    if (why != NULL)
        return why;
    status = (int)read_number(stream->answer_fields.at + sizeof(":status: ") - 1);
    if (status < 100 || status > 599 || status == 101)
        return "a status that may not be sent";
    if (status < 200) {
        if (ends)
            return "a 1xx response that ends its stream";
        stream->answer = H2_ANSWER_INTERIM;
        stream->interims++;
        stream->answer_fields.len = 0;
        return NULL;
    }
    stream->answer = H2_ANSWER_BEGUN;
    stream->status = status;
    if (h2_lines_find(&stream->answer_fields, "content-length", &value) > 0)
        stream->announced = read_number(value);
    return ends ? end_answer(stream) : NULL;
}

static const char *take_section(struct h2_reader *reader)
{
    struct h2_half *half = reader->server;
    struct h2_seen_stream *stream = h2_reader_find(reader, half->open_block);
    const char *why;

    half->open_block = 0;
    if (stream->answer < H2_ANSWER_BEGUN) {
        if (!h2_half_decode(half, &stream->answer_fields))
            return "a field section that cannot be decoded";
        return take_head(stream, half->block_ends);
    }
    if (!half->block_ends)
        return "trailers that do not end their stream";
    if (!h2_half_decode(half, &stream->answer_trailers))
        return "a field section that cannot be decoded";
    why = check_fields(&stream->answer_trailers, false);
    return why != NULL ? why : end_answer(stream);
}

/* What holds for HEADERS and DATA alike. */
static const char *check_stream(const struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    const struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);

    if (stream == NULL)
        return "a response on a stream that was not opened";
    if (stream->was_reset)
        return "a response behind RST_STREAM";
    if (stream->answer == H2_ANSWER_WHOLE)
        return "a response behind its end";
    if (reader->goaways > 0 && frame->stream > reader->goaway_last)
        return "a response on a stream that GOAWAY said would get none";
    if (reader->goaways > 0 && reader->goaway_code != NGHTTP2_NO_ERROR)
        return "a response behind a GOAWAY that says why there will be none";
    return NULL;
}

static const char *take_headers(struct h2_reader *reader, struct h2_seen_frame *frame)
{
    struct h2_half *half = reader->server;
    const char *why = check_stream(reader, frame);

    if (why != NULL)
        return why;
    if (!h2_frame_unwrap(frame))
        return "padding that does not fit";
    half->open_block = frame->stream;
    half->block_ends = frame->flags & H2_FLAG_END_STREAM;
    h2_bytes_append(&half->block, frame->payload, frame->len);
    return frame->flags & H2_FLAG_END_HEADERS ? take_section(reader) : NULL;
}

static const char *take_continuation(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    if (frame->type != H2_CONTINUATION || frame->stream != reader->server->open_block)
        return "a field section that is interrupted";
    h2_bytes_append(&reader->server->block, frame->payload, frame->len);
    return frame->flags & H2_FLAG_END_HEADERS ? take_section(reader) : NULL;
}

/* --- bodies and windows ----------------------------------------------------------------------- */

static int64_t most_initial_window(const struct h2_reader *reader)
{
    int64_t most = reader->initial_window;

    for (unsigned i = 0; i < reader->pending_count; i++)
        if (reader->pending[i].has_window && reader->pending[i].window_most > most)
            most = reader->pending[i].window_most;
    return most;
}

static int64_t most_frame(const struct h2_reader *reader)
{
    int64_t most = reader->frame_max;

    for (unsigned i = 0; i < reader->pending_count; i++)
        if (reader->pending[i].has_frame && reader->pending[i].frame_most > most)
            most = reader->pending[i].frame_most;
    return most;
}

static const char *take_data(struct h2_reader *reader, struct h2_seen_frame *frame)
{
    struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);
    const char *why = check_stream(reader, frame);

    if (why != NULL)
        return why;
    if (stream->answer != H2_ANSWER_BEGUN)
        return "DATA in front of HEADERS";
    reader->window -= (int64_t)frame->len;
    stream->window -= (int64_t)frame->len;
    if (frame->len > 0 && reader->window < 0)
        return "more than the connection's window lets come";
    if (frame->len > 0 && stream->window + most_initial_window(reader) < 0)
        return "more than the stream's window lets come";
    if (!h2_frame_unwrap(frame))
        return "padding that does not fit";
    if (frame->len > 0 && has_no_body(stream))
        return "a body where none may be";
    if (frame->len == 0 && !(frame->flags & H2_FLAG_END_STREAM))
        return "a DATA frame for nothing";
    h2_bytes_append(&stream->answer_body, frame->payload, frame->len);
    return frame->flags & H2_FLAG_END_STREAM ? end_answer(stream) : NULL;
}

static const char *take_window(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);
    uint32_t more;

    if (frame->len != 4)
        return "a WINDOW_UPDATE of the wrong size";
    more = h2_frame_number(frame, 0);
    if (more == 0 || more > INT32_MAX)
        return "a WINDOW_UPDATE by nothing";
    if (frame->stream != 0 && stream == NULL)
        return "a WINDOW_UPDATE of a stream that was not opened";
    if (frame->stream != 0 && stream->was_reset)
        return "a WINDOW_UPDATE behind RST_STREAM";
    *(frame->stream == 0 ? &reader->given : &stream->given) += more;
    if (reader->given - reader->sent > INT32_MAX ||
        (stream != NULL &&
         stream->given + reader->server_initial_window - stream->sent > INT32_MAX))
        return "a window that is too large";
    return NULL;
}

static const char *take_reset(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    struct h2_seen_stream *stream = h2_reader_find(reader, frame->stream);

    if (frame->len != 4)
        return "a RST_STREAM of the wrong size";
    if (stream == NULL)
        return "a RST_STREAM of a stream that was not opened";
    if (stream->was_reset)
        return "a second RST_STREAM";
    stream->was_reset = true;
    stream->reset_code = h2_frame_number(frame, 0);
    return NULL;
}

/* --- the connection --------------------------------------------------------------------------- */

static const char *take_settings_ack(struct h2_reader *reader)
{
    const struct h2_seen_settings *settings = &reader->pending[0];

    if (reader->pending_count == 0)
        return "SETTINGS acknowledged that were never sent";
    if (settings->has_window)
        reader->initial_window = settings->window;
    if (settings->has_frame)
        reader->frame_max = settings->frame;
    if (settings->has_table && nghttp2_hd_inflate_change_table_size(reader->server->inflater,
                                                                    (size_t)settings->table) != 0)
        return "a table size that cannot be";
    reader->settings_acks++;
    reader->pending_count--;
    memmove(&reader->pending[0], &reader->pending[1],
            reader->pending_count * sizeof(reader->pending[0]));
    return NULL;
}

static const char *take_settings(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    if (frame->stream != 0 || frame->len % 6 != 0)
        return "SETTINGS of the wrong form";
    if (frame->flags & H2_FLAG_END_STREAM)
        return frame->len == 0 ? take_settings_ack(reader) : "an acknowledgement with values";
    reader->has_settings = true;
    for (size_t at = 0; at < frame->len; at += 6)
        switch (frame->payload[at + 1]) {
        case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
            reader->server_initial_window = h2_frame_number(frame, at + 2);
            break;
        case NGHTTP2_SETTINGS_ENABLE_PUSH:
            if (h2_frame_number(frame, at + 2) != 0)
                return "a server that says it takes pushes";
            break;
        default: break;
        }
    return NULL;
}

static const char *take_ping(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    if (frame->stream != 0 || frame->len != 8)
        return "a PING of the wrong form";
    if (!(frame->flags & H2_FLAG_END_STREAM)) {
        memcpy(reader->server_ping, frame->payload, 8);
        reader->server_pings++;
        return NULL;
    }
    if (reader->ping_answers == reader->ping_count)
        return "a PING answered that was never sent";
    if (reader->ping_count - reader->ping_answers <= H2_PINGS_KEPT &&
        memcmp(reader->pings[reader->ping_answers % H2_PINGS_KEPT], frame->payload, 8) != 0)
        return "a PING answered with other bytes";
    reader->ping_answers++;
    return NULL;
}

static const char *take_goaway(struct h2_reader *reader, const struct h2_seen_frame *frame)
{
    uint32_t last;

    if (frame->stream != 0 || frame->len < 8)
        return "a GOAWAY of the wrong form";
    last = h2_frame_number(frame, 0);
    if (last > reader->goaway_last)
        return "a GOAWAY that takes back what an earlier one said";
    reader->goaways++;
    reader->goaway_last = last;
    reader->goaway_code = h2_frame_number(frame, 4);
    return NULL;
}

static const char *take_frame(struct h2_reader *reader, struct h2_seen_frame *frame)
{
    if ((int64_t)frame->len > most_frame(reader))
        return "a frame that is too large";
    if (!reader->has_settings && frame->type != H2_SETTINGS)
        return "no SETTINGS in front";
    if (reader->server->open_block != 0)
        return take_continuation(reader, frame);
    switch (frame->type) {
    case H2_DATA: return take_data(reader, frame);
    case H2_HEADERS: return take_headers(reader, frame);
    case H2_RST_STREAM: return take_reset(reader, frame);
    case H2_SETTINGS: return take_settings(reader, frame);
    case H2_PING: return take_ping(reader, frame);
    case H2_GOAWAY: return take_goaway(reader, frame);
    case H2_WINDOW_UPDATE: return take_window(reader, frame);
    default: return "a frame that a server does not send";
    }
}

const char *h2_reader_take_server(struct h2_reader *reader, const char *at, size_t len)
{
    struct h2_seen_frame frame;

    h2_bytes_append(&reader->server->in, at, len);
    while (reader->why == NULL && h2_half_next(reader->server, &frame))
        reader->why = take_frame(reader, &frame);
    return reader->why;
}
