/* A body in another content coding: an http_stream in front of the one that it comes from. Only
 * read_body and consume_body are there. What the source has not got yet never keeps what it had:
 * that can be decoded by then. A source that is cut is cut here too, never ended. */
#ifndef PROXY_ENCODED_STREAM_H
#define PROXY_ENCODED_STREAM_H

#include "http/http_stream.h"
#include "policy/encoder.h"

struct encoded_stream;

/* Borrows the source, whose task is woken for this one as well; wish->bytes is what its body has,
 * if that is known. NULL: no memory, or too many are encoded already. */
struct encoded_stream *encoded_stream_new(struct loop *loop, struct encoders *encoders,
                                          const struct encoder_wish *wish,
                                          struct http_stream *source);
struct http_stream *encoded_stream_http(struct encoded_stream *stream);
/* The source may have ended before. */
void encoded_stream_free(struct encoded_stream *stream);

#endif
