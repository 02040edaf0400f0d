/* One request and its response, seen from one side: HTTP/1 and HTTP/2 implement it.
 *
 * The same interface serves both roles. Towards a client the gateway reads a request and writes a
 * response; towards a backend it writes a request and reads a response. Answers follow the idiom of
 * net/loop.h; `task` is woken after IO_WAIT. */
#ifndef HTTP_HTTP_STREAM_H
#define HTTP_HTTP_STREAM_H

#include "http/message.h"
#include "net/stream.h"

struct http_stream;

enum http_end {
    HTTP_END_REUSE, /* both messages complete: the connection may carry another */
    HTTP_END_CLOSE, /* flushed, then closed, lingering if the peer may still send */
    HTTP_END_ABORT, /* cut: the peer must see that what it got is not whole */
};

struct http_stream_ops {
    /* IO_OK: *head is complete, living in `arena`. IO_EOF: the peer ended before the first byte, in
     * order or by a reset. IO_ERROR: broken or refused, see `reason`. Towards a backend 1xx heads
     * come one by one. */
    enum io (*read_head)(struct http_stream *, struct arena *, struct http_head *head);
    /* Peeks: IO_OK with a piece (not empty) that stays until consumed; IO_EOF at the proper end,
     * with `trailers` filled; IO_ERROR when cut or malformed. The first ask, towards a client that
     * expects it and if nothing of the response was written, sends 100 Continue. */
    enum io (*read_body)(struct http_stream *, struct slice *piece);
    void (*consume_body)(struct http_stream *, size_t bytes);
    /* Takes the head (copied out before it returns). To a backend head->authority is what Host says
     * (fields hold none). head->framing and content_length say what body follows, BODY_CHUNKED
     * standing for "unknown length": the codec picks what its peer understands. BODY_NONE ends the
     * message. To a client head->keeps_connection false has the connection end after this response.
     * 1xx heads but 101 may come before the one that counts. Behind a 101, written or read, both
     * ways are raw bytes until each ends, if all of the request had been read, and sent; else what
     * comes next fails. May hold bytes back until write_body or flush. */
    enum io (*write_head)(struct http_stream *, const struct http_head *head);
    /* Takes some of `piece`: IO_OK with a part taken means ask again. `last` ends the message once
     * all of it is taken (the piece may be empty), with `trailers_out` if set and the framing
     * allows. Where the response may have no body (HEAD, 204, 304) all is taken and goes nowhere.
     */
    enum io (*write_body)(struct http_stream *, struct slice piece, bool last, size_t *taken);
    /* IO_OK: everything written has left for the kernel. */
    enum io (*flush)(struct http_stream *);
    /* Takes the stream (not the connection). */
    void (*end)(struct http_stream *, enum http_end);
};

/* Towards a client there is more to ask. */
struct http_client_ops {
    /* Reads ahead, bounded, while nothing else is asked for. IO_WAIT: still there. IO_EOF or
     * IO_ERROR: the peer has gone. */
    enum io (*watch)(struct http_stream *);
    /* While a head is not complete: keeps what came of it in little memory. How many bytes that is.
     */
    size_t (*hold_head)(struct http_stream *);
    /* What has crossed the wire for this request and its response, as far as that can be told
     * apart, framing included or not: for comparing with what it was. */
    struct stream_traffic (*traffic)(struct http_stream *);
    /* What keeps the response from leaving is that others on its connection go first, and have done
     * so since this was asked last: no fault of the client's. */
    bool (*waits_for_others)(struct http_stream *);
};

struct http_stream {
    const struct http_stream_ops *ops;
    const struct http_client_ops *client; /* NULL towards a backend */
    struct task *task;   /* woken after IO_WAIT; whoever asks may set it to its own */
    struct arena *arena; /* of the exchange, set by read_head */
    /* After IO_ERROR on reading; REASON_OVER_LIMIT after one on writing: there was no memory. */
    enum http_reason reason;
    bool is_called_off; /* nothing comes of it any more: known before anything is asked */
    bool starts_large;  /* set by who reads, before the head: the body is read in large pieces from
                           its beginning, and not once it turns out long */
    bool is_fast; /* set by who reads the body: it is taken as it comes, and may come in pieces of
                     BUFFER_BULK */
    struct http_fields trailers;            /* after IO_EOF of read_body */
    const struct http_fields *trailers_out; /* to be sent with the last piece; NULL: none */
    uint64_t bytes_read, bytes_written;     /* of body */
};

#endif
