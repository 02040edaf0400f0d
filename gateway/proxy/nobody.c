#include "proxy/nobody.h"

/* Its request is made by whoever starts it. */
static enum io read_head(struct http_stream *stream, struct arena *arena, struct http_head *head)
{
    (void)stream;
    (void)arena;
    (void)head;
    return IO_EOF;
}

static enum io read_body(struct http_stream *stream, struct slice *piece)
{
    (void)stream;
    *piece = slice_make(NULL, 0);
    return IO_EOF;
}

static void consume_body(struct http_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static enum io write_head(struct http_stream *stream, const struct http_head *head)
{
    (void)stream;
    (void)head;
    return IO_OK;
}

static enum io write_body(struct http_stream *stream, struct slice piece, bool last, size_t *taken)
{
    (void)stream;
    (void)last;
    *taken = piece.len;
    return IO_OK;
}

static enum io flush(struct http_stream *stream)
{
    (void)stream;
    return IO_OK;
}

static void end(struct http_stream *stream, enum http_end how)
{
    (void)stream;
    (void)how;
}

static enum io watch(struct http_stream *stream)
{
    (void)stream;
    return IO_WAIT;
}

static size_t hold_head(struct http_stream *stream)
{
    (void)stream;
    return 0;
}

static struct stream_traffic traffic(struct http_stream *stream)
{
    (void)stream;
    return (struct stream_traffic){0};
}

static bool waits_for_others(struct http_stream *stream)
{
    (void)stream;
    return false;
}

struct http_stream *nobody_new(struct arena *arena)
{
    static const struct http_stream_ops ops = {
        .read_head = read_head,
        .read_body = read_body,
        .consume_body = consume_body,
        .write_head = write_head,
        .write_body = write_body,
        .flush = flush,
        .end = end,
    };
    static const struct http_client_ops client_ops = {
        .watch = watch,
        .hold_head = hold_head,
        .traffic = traffic,
        .waits_for_others = waits_for_others,
    };
    struct http_stream *stream = arena_alloc(arena, sizeof(*stream));

    stream->ops = &ops;
    stream->client = &client_ops;
    stream->arena = arena;
    return stream;
}
