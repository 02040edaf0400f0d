/* A client's stream with nobody behind it: for requests that the gateway makes of its own accord.
 * What is written to it goes nowhere. */
#ifndef PROXY_NOBODY_H
#define PROXY_NOBODY_H

#include "http/http_stream.h"

/* In the arena; it needs no other end. */
struct http_stream *nobody_new(struct arena *arena);

#endif
