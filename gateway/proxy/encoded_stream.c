#include "proxy/encoded_stream.h"

#include "base/check.h"
#include "policy/compress.h"

#include <stdlib.h>

enum {
    BYTES_A_TURN = 64 * 1024, /* some milliseconds of work; then others get the loop */
    PIECE_BYTES = 16 * 1024,  /* what comes out waits in as much */
};

enum encoding {
    ENCODING,
    ENDED, /* all has come out, the end is marked */
    CUT,   /* all that there was has come out, and the end is missing */
};

struct encoded_stream {
    struct http_stream http;
    struct loop *loop;
    struct http_stream *source;
    struct encoder *encoder; /* NULL once it has given all */
    enum encoding state;
    enum encode_until until; /* what was begun and has to come out first */
    bool source_has_ended, source_is_cut;
    bool is_unflushed; /* what went in may not have come out */
    bool is_ready;     /* `out` goes as it is */
    uint64_t left;     /* bytes that the source still has; UINT64_MAX: not known */
    size_t turn;       /* bytes encoded since others had the loop */
    struct buffer out;
};

static struct encoded_stream *stream_of(struct http_stream *http)
{
    return container_of(http, struct encoded_stream, http);
}

/* The encoder has given all: a client that is slow holds no more than what waits for it. */
static void settle(struct encoded_stream *s, enum encoding state)
{
    s->state = state;
    encoder_free(s->encoder);
    s->encoder = NULL;
}

static enum io fail(struct encoded_stream *s, enum http_reason reason)
{
    s->http.reason = reason;
    settle(s, CUT);
    buffer_clear(&s->out);
    return IO_ERROR;
}

/* Others first. */
static enum io yield(struct encoded_stream *s)
{
    s->turn = 0;
    loop_wake(s->loop, s->http.task);
    return IO_WAIT;
}

/* It has nothing more, for now or for ever: what went in comes out. IO_WAIT: it has. */
static enum io take_silence(struct encoded_stream *s)
{
    s->turn = 0;
    if (s->is_unflushed) {
        s->until = ENCODE_FLUSH;
        return IO_OK;
    }
    if (s->source_is_cut) {
        settle(s, CUT);
        return IO_OK;
    }
    buffer_rest(&s->out);
    return IO_WAIT;
}

/* IO_OK: there is something to do with the piece, empty or not. */
static enum io ask_source(struct encoded_stream *s, struct slice *piece)
{
    if (s->turn >= BYTES_A_TURN)
        return yield(s);
    switch (s->source->ops->read_body(s->source, piece)) {
    case IO_OK: break;
    case IO_WAIT: *piece = slice_make(NULL, 0); return take_silence(s);
    case IO_EOF:
        *piece = slice_make(NULL, 0);
        s->source_has_ended = true;
        s->until = ENCODE_END;
        return IO_OK;
    default:
        *piece = slice_make(NULL, 0);
        s->source_is_cut = true;
        s->http.reason = s->source->reason;
        return take_silence(s);
    }
    if (piece->len > BYTES_A_TURN)
        piece->len = BYTES_A_TURN;
    if (piece->len == s->left)
        s->until = ENCODE_END; /* with the last of it: what is short is known to be */
    return IO_OK;
}

static bool asks_source(const struct encoded_stream *s)
{
    switch (s->until) {
    case ENCODE_ON: return true;
    case ENCODE_FLUSH: return false;
    case ENCODE_END: break;
    }
    return !s->source_has_ended && s->left > 0;
}

static void note_done(struct encoded_stream *s)
{
    enum encode_until until = s->until;

    if (until == ENCODE_ON)
        return;
    s->is_ready = true;
    s->is_unflushed = false;
    s->until = ENCODE_ON;
    if (until == ENCODE_END)
        settle(s, ENDED);
    else if (s->source_is_cut)
        settle(s, CUT);
}

/* One piece further. IO_OK: something was done. */
static enum io encode(struct encoded_stream *s)
{
    struct slice piece = slice_make(NULL, 0);
    enum encoded encoded;
    size_t taken;

    if (asks_source(s)) {
        enum io io = ask_source(s, &piece);
        if (io != IO_OK || s->state != ENCODING)
            return io;
    }
    if (!buffer_reserve(&s->out, PIECE_BYTES - buffer_length(&s->out)))
        return fail(s, REASON_OVER_LIMIT);
    taken = piece.len;
    encoded = encoder_run(s->encoder, s->until, &piece, &s->out);
    taken -= piece.len;
    if (taken > 0)
        s->source->ops->consume_body(s->source, taken);
    s->turn += taken;
    s->is_unflushed |= taken > 0;
    if (s->left != UINT64_MAX)
        s->left -= taken;
    switch (encoded) {
    case ENCODED_DONE: note_done(s); return IO_OK;
    case ENCODED_FULL: s->is_ready = true; return IO_OK;
    case ENCODED_FAILED: break;
    }
    return fail(s, REASON_OVER_LIMIT);
}

/* The source's end, behind the last of what was encoded. */
static enum io end_with_source(struct encoded_stream *s)
{
    struct slice piece;

    if (!s->source_has_ended) {
        switch (s->source->ops->read_body(s->source, &piece)) {
        case IO_EOF: break;
        case IO_WAIT: return IO_WAIT;
        case IO_OK: return fail(s, REASON_BACKEND_BAD_RESPONSE);
        default: return fail(s, s->source->reason);
        }
    }
    s->http.trailers = s->source->trailers;
    compress_drop_digests(&s->http.trailers);
    return IO_EOF;
}

static enum io read_body(struct http_stream *http, struct slice *piece)
{
    struct encoded_stream *s = stream_of(http);

    s->source->task = http->task;
    for (;;) {
        enum io io = IO_OK;

        if (s->is_ready && buffer_length(&s->out) > 0) {
            *piece = buffer_content(&s->out);
            return IO_OK;
        }
        s->is_ready = false;
        switch (s->state) {
        case ENCODING: io = encode(s); break;
        case ENDED: buffer_rest(&s->out); return end_with_source(s);
        case CUT: buffer_rest(&s->out); return IO_ERROR;
        }
        if (io != IO_OK)
            return io;
    }
}

static void consume_body(struct http_stream *http, size_t bytes)
{
    struct encoded_stream *s = stream_of(http);

    buffer_consume(&s->out, bytes);
    http->bytes_read += bytes;
}

static const struct http_stream_ops ops = {.read_body = read_body, .consume_body = consume_body};

struct encoded_stream *encoded_stream_new(struct loop *loop, struct encoders *encoders,
                                          const struct encoder_wish *wish,
                                          struct http_stream *source)
{
    struct encoded_stream *s = memory_try(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->encoder = encoder_new(encoders, wish);
    if (s->encoder == NULL) {
        free(s);
        return NULL;
    }
    s->http.ops = &ops;
    s->http.task = source->task;
    s->http.arena = source->arena;
    s->loop = loop;
    s->source = source;
    s->left = wish->bytes;
    return s;
}

struct http_stream *encoded_stream_http(struct encoded_stream *stream)
{
    return &stream->http;
}

void encoded_stream_free(struct encoded_stream *stream)
{
    if (stream == NULL)
        return;
    encoder_free(stream->encoder);
    buffer_clear(&stream->out);
    free(stream);
}
