/* One request and its response, from the client's first byte to the last one delivered. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "http/http_stream.h"
#include "proxy/client.h"
#include "proxy/proxy_env.h"

struct exchange;

/* Starts on a client's stream, which it takes, in the list of all that are on the client's
 * connection. When it is over it leaves that and wakes `done`. `client` is borrowed and outlives
 * it. False, nothing taken: no memory. */
bool exchange_start(struct proxy_env *env, const struct client *client, struct http_stream *stream,
                    struct task *done, struct list *exchanges);

/* A newer generation is there: those that do not need the pin's any more go on without it, each
 * with its route alone. */
void exchanges_leave_pin(struct pin *pin);

/* Cuts all of a connection now, whatever they are doing, for this reason. */
void exchanges_cut(struct list *exchanges, enum http_reason reason);

/* Frees the recycled ones: at the worker's end. */
void exchange_free_spares(struct proxy_env *env);

#endif
