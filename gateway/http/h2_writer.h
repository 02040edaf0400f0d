/* HTTP/2 out: the heads and trailers of responses as the lists of fields that nghttp2 takes. */
#ifndef HTTP_H2_WRITER_H
#define HTTP_H2_WRITER_H

#include "http/semantics.h"

#include <nghttp2/nghttp2.h>

enum { H2_FIELDS_FEW = 32 };

/* Lasts as long as what it was made from, where it lies, and the arena. nghttp2 copies what is
 * submitted, and turns names to lower case. */
struct h2_fields {
    nghttp2_nv *list;
    size_t count;
    nghttp2_nv few[H2_FIELDS_FEW]; /* more are in the arena */
    char status[4], length[20];
};

/* :status, the fields without those of a connection, and Content-Length as HTTP/1 would say it;
 * *body: what follows. BODY_NONE: the head ends the stream, if it is no interim one; BODY_CHUNKED:
 * a body until the stream ends. The 101 that opens a tunnel becomes 200 (RFC 8441 section 5),
 * behind which comes BODY_CLOSE: what there is, until both ways have ended. False: no memory. */
bool h2_write_response_head(struct h2_fields *into, struct arena *arena,
                            const struct http_head *head, enum http_method asked_with,
                            struct http_body_plan *body);

/* Without any, count is 0: the last DATA frame ends the stream. False: no memory. */
bool h2_write_trailers(struct h2_fields *into, struct arena *arena,
                       const struct http_fields *trailers);

#endif
