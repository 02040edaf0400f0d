/* A worker without sockets: exchanges between a client and its backends, all of them fake streams,
 * on a real loop with a real route table. What the pool would do is done here: one idle connection
 * is kept, whatever is said on it in between ends it.
 *
 * One at a time. Tests with it link nothing of upstream/pool.c. */
#ifndef FUZZ_BARE_GATEWAY_H
#define FUZZ_BARE_GATEWAY_H

#include "support/fake_stream.h"

enum { BARE_BACKENDS_MAX = 64 };

/* A connection to the backend, in the order of their making. */
struct bare_backend {
    struct fake_stream *stream; /* what was written is all that it ever got */
    size_t answered;            /* bytes of requests that the target dealt with: its own count */
    bool was_told_to_continue;  /* the target's own note */
    bool is_over;               /* the gateway closed it */
};

struct bare_gateway {
    struct fake_stream *client;
    bool peer_is_trusted; /* may be set before anything is sent */
    bool client_saw_cut;  /* its connection was closed in the middle of something */
    bool client_saw_end;  /* in order */
    unsigned exchanges;   /* begun so far */
    struct bare_backend backends[BARE_BACKENDS_MAX];
    unsigned backend_count;
};

/* What every X-Forwarded-For ends with. */
#define BARE_PEER "10.0.0.1"
/* Host towards the backend where the client sent none. */
#define BARE_BACKEND_HOST "127.0.0.1:1"

extern const struct h1_limits *const bare_limits; /* of requests' and responses' heads */

/* With an open connection of a client that has not said anything. */
struct bare_gateway *bare_gateway_open(void);
/* Runs until everybody waits for bytes. */
void bare_gateway_settle(struct bare_gateway *gateway);
/* Cuts what is left and frees all. */
void bare_gateway_close(struct bare_gateway *gateway);

#endif
