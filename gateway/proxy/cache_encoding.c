#include "proxy/cache_encoding.h"

#include "base/check.h"

/* --- reading what is kept ------------------------------------------------------------------------
 */

struct encoded_source {
    struct http_stream stream;
    const struct cache_body *body;
    uint64_t at;
};

static enum io read_kept(struct http_stream *stream, struct slice *piece)
{
    struct encoded_source *s = container_of(stream, struct encoded_source, stream);

    return cache_body_read(s->body, s->at, piece);
}

static void consume_kept(struct http_stream *stream, size_t bytes)
{
    struct encoded_source *s = container_of(stream, struct encoded_source, stream);

    s->at += bytes;
    stream->bytes_read += bytes;
}

struct http_stream *cache_encoding_source(struct arena *arena, const struct cache_body *body,
                                          struct task *task)
{
    static const struct http_stream_ops ops = {.read_body = read_kept,
                                               .consume_body = consume_kept};
    struct encoded_source *s = arena_alloc(arena, sizeof(*s));

    *s = (struct encoded_source){.stream = {.ops = &ops, .task = task, .arena = arena},
                                 .body = body};
    return &s->stream;
}

/* --- keeping what is read ------------------------------------------------------------------------
 */

struct cache_encoding {
    struct http_stream stream;
    struct http_stream *source;
    struct cache_object *object;
    struct cache_body *body; /* owned; NULL: it is kept, or cannot be */
    enum coding coding;
    struct slice piece; /* read last */
};

static struct cache_encoding *encoding_of(struct http_stream *stream)
{
    return container_of(stream, struct cache_encoding, stream);
}

static void end_keeping(struct cache_encoding *e, unsigned coding)
{
    if (e->body != NULL)
        cache_encoding_end(e->object, e->body, coding);
    e->body = NULL;
}

static enum io read_body(struct http_stream *stream, struct slice *piece)
{
    struct cache_encoding *e = encoding_of(stream);
    enum io io;

    e->source->task = stream->task;
    io = e->source->ops->read_body(e->source, piece);
    if (io == IO_OK)
        e->piece = *piece;
    if (io == IO_EOF) {
        stream->trailers = e->source->trailers;
        end_keeping(e, cache_object_is_whole(e->object) ? e->coding : CACHE_CODINGS);
    }
    if (io == IO_ERROR) {
        stream->reason = e->source->reason;
        end_keeping(e, CACHE_CODINGS);
    }
    return io;
}

static void consume_body(struct http_stream *stream, size_t bytes)
{
    struct cache_encoding *e = encoding_of(stream);

    if (e->body != NULL &&
        !cache_encoding_append(e->object, e->body, slice_make(e->piece.at, bytes)))
        end_keeping(e, CACHE_CODINGS);
    e->piece = slice_skip(e->piece, bytes);
    stream->bytes_read += bytes;
    e->source->ops->consume_body(e->source, bytes);
}

struct cache_encoding *cache_encoding_new(struct arena *arena, struct cache_object *object,
                                          enum coding coding, struct http_stream *source)
{
    static const struct http_stream_ops ops = {.read_body = read_body,
                                               .consume_body = consume_body};
    struct cache_body *body = cache_encoding_begin(object);
    struct cache_encoding *e;

    if (body == NULL)
        return NULL;
    e = arena_alloc(arena, sizeof(*e));
    *e = (struct cache_encoding){.stream = {.ops = &ops, .task = source->task, .arena = arena},
                                 .source = source,
                                 .object = object,
                                 .body = body,
                                 .coding = coding};
    return e;
}

struct http_stream *cache_encoding_stream(struct cache_encoding *encoding)
{
    return &encoding->stream;
}

void cache_encoding_clear(struct cache_encoding *encoding)
{
    end_keeping(encoding, CACHE_CODINGS);
}
