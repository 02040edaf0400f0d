/* The inside of an HTTP/1 connection, shared by the three files that make it up: h1_connection.c
 * (its life), h1_inbound.c (what is read) and h1_outbound.c (what is written). */
#ifndef HTTP_H1_INTERNAL_H
#define HTTP_H1_INTERNAL_H

#include "base/check.h"
#include "http/h1_connection.h"

enum h1_reading { READ_HEAD, READ_BODY, READ_DONE, READ_FAILED };
enum h1_writing {
    WRITE_HEAD,
    WRITE_BODY,
    WRITE_SHUT, /* a tunnel's: everything taken, our direction is to be ended by flush */
    WRITE_DONE,
    WRITE_FAILED,
};

struct h1_connection {
    struct http_stream http;
    struct stream *stream; /* borrowed */
    struct task *starter;  /* who began the exchange, and is woken again once it has ended */
    struct h1_parser parser;
    struct buffer in;  /* read, not yet consumed */
    struct buffer out; /* written, not yet taken by the stream */
    enum h1_role role;
    enum h1_state state;
    unsigned idle_hint_s;
    uint32_t lingered_bytes;
    uint32_t begun; /* exchanges, counted where their number is limited */
    bool close_after, must_reset;

    /* The exchange that is on it: */
    uint8_t client_minor;  /* HTTP/1.x of the request */
    bool keeps_connection; /* as far as is known */
    bool expects_continue; /* and has not been answered */
    bool is_tunnel;
    bool lacks_memory; /* that is why it failed */
    enum h1_reading reading;
    enum h1_writing writing;
    enum http_method method;
    enum body_framing out_framing;
    uint32_t interim_bytes; /* of the 1xx heads that were read */
    uint64_t out_left;      /* BODY_LENGTH: what was promised and not yet written */
};

static inline struct h1_connection *h1_connection_of(struct http_stream *http)
{
    return container_of(http, struct h1_connection, http);
}

/* The stream below, which wakes whoever asks now. */
static inline struct stream *h1_below(struct h1_connection *connection)
{
    connection->stream->task = connection->http.task;
    return connection->stream;
}

/* Reads more behind what is in `in`, into a block of `target` bytes if the content leaves room
 * there. Gives an empty block back unless something came. */
enum io h1_fill(struct h1_connection *connection, size_t target);
/* Reading is over, and why. Always IO_ERROR. */
enum io h1_fail_reading(struct h1_connection *connection, enum http_reason reason);

enum io h1_read_head(struct http_stream *http, struct arena *arena, struct http_head *head);
enum io h1_read_body(struct http_stream *http, struct slice *piece);
void h1_consume_body(struct http_stream *http, size_t bytes);
enum io h1_watch(struct http_stream *http);
size_t h1_hold_head(struct http_stream *http);
/* Behind a 101, whoever wrote it. */
void h1_become_tunnel(struct h1_connection *connection);

/* IO_OK when the stream has taken all of `out`. */
enum io h1_send_out(struct h1_connection *connection);

enum io h1_write_head(struct http_stream *http, const struct http_head *head);
enum io h1_write_body(struct http_stream *http, struct slice piece, bool last, size_t *taken);
enum io h1_flush(struct http_stream *http);

#endif
