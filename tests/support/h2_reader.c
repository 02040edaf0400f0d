#include "support/h2_reader.h"

#include "support/h2_reader_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- what both directions share --------------------------------------------------------------- */

static void append(struct h2_bytes *bytes, const void *at, size_t len)
{
    if (bytes->len + len > bytes->capacity) {
        bytes->capacity = (bytes->len + len) * 2;
        bytes->at = realloc(bytes->at, bytes->capacity);
        assert(bytes->at != NULL);
    }
    if (len > 0)
        memcpy(bytes->at + bytes->len, at, len);
    bytes->len += len;
}

void h2_bytes_append(struct h2_bytes *bytes, const void *at, size_t len)
{
    append(bytes, at, len);
}

ptrdiff_t h2_lines_find(const struct h2_bytes *lines, const char *name, const char **value)
{
    size_t name_len = strlen(name);
    const char *at = lines->len > 0 ? lines->at : "", *end = at + lines->len;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        if ((size_t)(line_end - at) >= name_len + 2 && memcmp(at, name, name_len) == 0 &&
            memcmp(at + name_len, ": ", 2) == 0) {
            *value = at + name_len + 2;
            return line_end - *value;
        }
        at = line_end + 1;
    }
    return -1;
}

struct h2_seen_stream *h2_reader_find(const struct h2_reader *reader, uint32_t id)
{
    unsigned low = 0, high = reader->stream_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (reader->streams[middle]->id == id)
            return reader->streams[middle];
        if (reader->streams[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct h2_seen_stream *h2_reader_open(struct h2_reader *reader, uint32_t id)
{
    struct h2_seen_stream *stream = calloc(1, sizeof(*stream));

    assert(stream != NULL);
    if (reader->stream_count == reader->stream_room) {
        reader->stream_room = reader->stream_room * 2 + 16;
        reader->streams =
            realloc(reader->streams, reader->stream_room * sizeof(reader->streams[0]));
        assert(reader->streams != NULL);
    }
    stream->id = id;
    stream->announced = -1;
    reader->streams[reader->stream_count++] = stream;
    reader->last_id = id;
    return stream;
}

/* Adds the lines of a field section; false when it cannot be decoded. */
bool h2_half_decode(struct h2_half *half, struct h2_bytes *lines)
{
    const uint8_t *at = (const uint8_t *)(half->block.len > 0 ? half->block.at : "");
    size_t left = half->block.len;

    for (;;) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(half->inflater, &field, &flags, at, left, 1);

        if (used < 0)
            return false;
        at += used;
        left -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            append(lines, field.name, field.namelen);
            append(lines, ": ", 2);
            append(lines, field.value, field.valuelen);
            append(lines, "\n", 1);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && left == 0)
            return false;
    }
    nghttp2_hd_inflate_end_headers(half->inflater);
    half->block.len = 0;
    return left == 0;
}

static uint32_t number(const char *at, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

uint32_t h2_frame_number(const struct h2_seen_frame *frame, size_t at)
{
    return number(frame->payload + at, 4);
}

/* The first frame in what is there; false: it is not whole. */
bool h2_half_next(struct h2_half *half, struct h2_seen_frame *frame)
{
    size_t there = half->in.len - half->used;
    const char *at = there > 0 ? half->in.at + half->used : NULL;

    if (there >= 9)
        frame->len = number(at, 3);
    if (there < 9 || there < 9 + frame->len) {
        if (half->used > 0 && there > 0)
            memmove(half->in.at, at, there);
        half->in.len = there;
        half->used = 0;
        return false;
    }
    frame->type = (uint8_t)at[3];
    frame->flags = (uint8_t)at[4];
    frame->stream = number(at + 5, 4) & 0x7fffffff;
    frame->payload = at + 9;
    half->used += 9 + frame->len;
    return true;
}

/* Takes padding and priority off a DATA or HEADERS frame; false when they do not fit. */
bool h2_frame_unwrap(struct h2_seen_frame *frame)
{
    size_t front = 0, behind = 0;

    if (frame->flags & H2_FLAG_PADDED) {
        if (frame->len < 1)
            return false;
        behind = (uint8_t)frame->payload[0];
        front = 1;
    }
    if (frame->type == H2_HEADERS && frame->flags & H2_FLAG_PRIORITY)
        front += 5;
    if (front + behind > frame->len)
        return false;
    frame->payload += front;
    frame->len -= front + behind;
    return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static struct h2_half *half_new(void)
{
    struct h2_half *half = calloc(1, sizeof(*half));

    assert(half != NULL);
    assert(nghttp2_hd_inflate_new(&half->inflater) == 0);
    return half;
}

static void half_free(struct h2_half *half)
{
    nghttp2_hd_inflate_del(half->inflater);
    free(half->in.at);
    free(half->block.at);
    free(half);
}

struct h2_reader *h2_reader_new(void)
{
    struct h2_reader *reader = calloc(1, sizeof(*reader));

    assert(reader != NULL);
    reader->client = half_new();
    reader->server = half_new();
    reader->initial_window = reader->server_initial_window = 65535;
    reader->window = reader->given = 65535;
    reader->frame_max = 16384;
    reader->goaway_last = UINT32_MAX;
    return reader;
}

static void stream_free(struct h2_seen_stream *stream)
{
    free(stream->fields.at);
    free(stream->trailers.at);
    free(stream->body.at);
    free(stream->answer_fields.at);
    free(stream->answer_trailers.at);
    free(stream->answer_body.at);
    free(stream);
}

void h2_reader_free(struct h2_reader *reader)
{
    for (unsigned i = 0; i < reader->stream_count; i++)
        stream_free(reader->streams[i]);
    free(reader->streams);
    half_free(reader->client);
    half_free(reader->server);
    free(reader);
}

static bool is_between_frames(const struct h2_half *half)
{
    return half->in.len == half->used && half->open_block == 0;
}

bool h2_reader_is_between_frames(const struct h2_reader *reader)
{
    return is_between_frames(reader->server);
}

bool h2_reader_client_is_between_frames(const struct h2_reader *reader)
{
    return reader->client->has_preface && !reader->client_is_lost &&
           is_between_frames(reader->client);
}
