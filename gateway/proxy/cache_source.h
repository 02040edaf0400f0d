/* The body of a response that the cache has, as an http_stream to read from: all of it or a part,
 * whole or still growing. */
#ifndef PROXY_CACHE_SOURCE_H
#define PROXY_CACHE_SOURCE_H

#include "http/http_stream.h"
#include "policy/cache_object.h"

struct cache_source;

/* In the arena. The object and the waiter are borrowed, and outlive it. `first` and `bytes` say
 * which part; CACHE_LENGTH_UNKNOWN bytes: up to the end. */
struct cache_source *cache_source_new(struct arena *arena, struct cache_object *object,
                                      struct cache_waiter *waiter, uint64_t first, uint64_t bytes);
struct http_stream *cache_source_stream(struct cache_source *source);
/* What comes behind the object's end is read from there. */
void cache_source_continue(struct cache_source *source, struct http_stream *rest);

#endif
