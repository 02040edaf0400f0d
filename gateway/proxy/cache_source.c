#include "proxy/cache_source.h"

#include "base/check.h"
#include "policy/cache_store.h"

struct cache_source {
    struct http_stream stream;
    struct cache_object *object;
    struct cache_waiter *waiter;
    struct http_stream *rest; /* borrowed; NULL: there is none */
    uint64_t at, left;        /* left: CACHE_LENGTH_UNKNOWN: all there will be */
};

static struct cache_source *source_of(struct http_stream *stream)
{
    return container_of(stream, struct cache_source, stream);
}

static enum io read_rest(struct cache_source *s, struct slice *piece)
{
    enum io io = s->rest->ops->read_body(s->rest, piece);

    if (io == IO_EOF)
        s->stream.trailers = s->rest->trailers;
    if (io == IO_ERROR)
        s->stream.reason = s->rest->reason;
    return io;
}

static enum io read_body(struct http_stream *stream, struct slice *piece)
{
    struct cache_source *s = source_of(stream);
    enum io io;

    if (s->left == 0)
        return IO_EOF;
    io = cache_object_read(s->object, s->at, s->waiter, piece);
    if (io == IO_OK && piece->len > s->left)
        piece->len = (size_t)s->left;
    if (io == IO_ERROR && s->rest != NULL)
        return read_rest(s, piece);
    /* Its length was announced. */
    if (io == IO_ERROR || (io == IO_EOF && s->left != CACHE_LENGTH_UNKNOWN)) {
        stream->reason = REASON_BACKEND_RESET;
        return IO_ERROR;
    }
    return io;
}

static void consume_body(struct http_stream *stream, size_t bytes)
{
    struct cache_source *s = source_of(stream);
    struct slice piece;

    stream->bytes_read += bytes;
    if (s->rest != NULL && cache_object_read(s->object, s->at, s->waiter, &piece) == IO_ERROR) {
        s->rest->ops->consume_body(s->rest, bytes);
        return;
    }
    s->at += bytes;
    if (s->left != CACHE_LENGTH_UNKNOWN)
        s->left -= bytes;
}

static const struct http_stream_ops ops = {.read_body = read_body, .consume_body = consume_body};

struct cache_source *cache_source_new(struct arena *arena, struct cache_object *object,
                                      struct cache_waiter *waiter, uint64_t first, uint64_t bytes)
{
    struct cache_source *s = arena_alloc(arena, sizeof(*s));

    *s = (struct cache_source){.stream = {.ops = &ops, .task = waiter->task, .arena = arena},
                               .object = object,
                               .waiter = waiter,
                               .at = first,
                               .left = bytes};
    return s;
}

struct http_stream *cache_source_stream(struct cache_source *source)
{
    return &source->stream;
}

void cache_source_continue(struct cache_source *source, struct http_stream *rest)
{
    source->rest = rest;
}
