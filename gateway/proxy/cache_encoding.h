/* A kept body in another coding: made once, beside the object, by whoever is first given it so, and
 * read by all who come after. */
#ifndef PROXY_CACHE_ENCODING_H
#define PROXY_CACHE_ENCODING_H

#include "http/http_stream.h"
#include "policy/cache_object.h"
#include "policy/encoder.h"

/* That body, to read from; in the arena. The object outlives it. */
struct http_stream *cache_encoding_source(struct arena *arena, const struct cache_body *body,
                                          struct task *task);

/* Keeps what is read of `source`, once it has ended in order; else nothing. */
struct cache_encoding;

/* In the arena; object and source outlive it. NULL: there is no room, and nothing is kept. */
struct cache_encoding *cache_encoding_new(struct arena *arena, struct cache_object *object,
                                          enum coding coding, struct http_stream *source);
struct http_stream *cache_encoding_stream(struct cache_encoding *encoding);
/* Ends the keeping; its memory is the arena's. */
void cache_encoding_clear(struct cache_encoding *encoding);

#endif
