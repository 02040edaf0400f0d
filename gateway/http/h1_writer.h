/* HTTP/1 out: heads, chunks and trailers to bytes, in one canonical form. No I/O. */
#ifndef HTTP_H1_WRITER_H
#define HTTP_H1_WRITER_H

#include "base/buffer.h"
#include "http/message.h"

/* How to send a head's connection and framing: the caller decided both. */
struct h1_send {
    enum body_framing framing;
    uint64_t content_length;
    bool announce_length;   /* BODY_NONE: write Content-Length all the same */
    bool close;             /* write Connection: close */
    bool keep_alive_http10; /* write Connection: keep-alive (to an HTTP/1.0 client that asked) */
    struct slice upgrade;   /* not empty: write Connection: upgrade and Upgrade */
};

/* Appends "METHOD path?query HTTP/1.1", Host, fields, framing, empty line. head->fields hold no
 * hop-by-hop field any more; a Host among them is left out, `host` is what Host says. False when
 * there is no memory. */
bool h1_write_request_head(struct buffer *out, const struct http_head *head, struct slice host,
                           const struct h1_send *send);
/* Status line is always HTTP/1.1; the standard phrase where head->reason_phrase is empty. */
bool h1_write_response_head(struct buffer *out, const struct http_head *head,
                            const struct h1_send *send);
/* "1f\r\n"; CRLF follows the bytes, of which there is one at least. */
bool h1_write_chunk_start(struct buffer *out, size_t bytes);
bool h1_write_last_chunk(struct buffer *out, const struct http_fields *trailers);

#endif
