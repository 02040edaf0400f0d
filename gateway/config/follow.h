/* How a request would be served: the handshake, then the steps of an exchange up to its route, in
 * their order, without sending anything. `tests`, `explain` and `diff` ask it. */
#ifndef CONFIG_FOLLOW_H
#define CONFIG_FOLLOW_H

#include "config/snapshot.h"

struct followed_request {
    struct slice method;
    bool is_tls;
    struct slice authority; /* as in the URL, or of a Host header */
    struct slice target;    /* path and query */
    struct slice sni;       /* normalised; empty: none is sent */
    uint16_t port;          /* of the URL; 0: none */
};

/* What became of it. Borrowed from the snapshot, or in the arena. */
struct followed {
    const char *unreachable;         /* nothing listens for it: why; the rest is empty */
    const char *alert;               /* the handshake is refused; NULL: it is not */
    struct certificate *certificate; /* NULL without TLS, or refused */
    const struct route *route;       /* NULL: none matched, or none was asked */
    int status;                      /* of the gateway's own answer; 0: a backend's */
    struct slice location;
    struct slice host, path, query; /* normalised; empty when the request is refused for them */
};

/* A refused handshake is followed on all the same, as if it had succeeded without a certificate. */
void follow_request(const struct snapshot *snapshot, const struct followed_request *request,
                    struct arena *arena, struct followed *followed);

#endif
