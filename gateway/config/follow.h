/* How a request would be served: the handshake, then the steps of an exchange up to its route, in
 * their order, without sending anything. `tests`, `explain` and `diff` ask it. */
#ifndef CONFIG_FOLLOW_H
#define CONFIG_FOLLOW_H

#include "config/snapshot.h"

struct followed_request {
    struct slice method;
    bool is_tls;
    struct slice authority; /* as in the URL, or of a Host header; empty: none was sent */
    struct slice target;    /* path and query, or "*" of OPTIONS */
    struct slice sni;       /* as sent; empty: none is sent */
    uint16_t port;          /* of the URL; 0: none */
    uint64_t body_bytes;    /* Content-Length */
    bool has_underscores;   /* in the name of a header */
    struct http_fields fields;
    struct address peer; /* length 0: not said */
};

/* What became of it. Borrowed from the snapshot, or in the arena. */
struct followed {
    const struct listen_spec *listener; /* of its port, else the first of its kind */
    const char *unreachable;            /* nothing listens for it: why; the rest is empty */
    struct tls_answer tls;              /* nothing in it without TLS */
    const char *alert;                  /* the handshake is refused; NULL: it is not */
    struct certificate *certificate;    /* NULL without TLS, or refused */
    /* What the handshake asks the client for; and what the host does, once it has come to that. A
     * client is taken to have whatever certificate it is asked for. NULL: without TLS. */
    const struct client_policy *asked, *wanted;
    bool is_unknown;                  /* misdirected: those two do not go together */
    struct slice host_key;            /* the host entry that matched, if its path did or not */
    const struct route *route;        /* NULL: none matched, or none was asked */
    bool is_trusted;                  /* the peer, by trusted_proxies */
    struct slice client_ip;           /* empty: the peer's address was not said */
    const struct route_target *share; /* of a split, where it is the client's; NULL: any */
    int status;                       /* of the gateway's own answer; 0: a backend's */
    enum http_reason reason;          /* a refusal: why; NONE: what the route says */
    struct slice location;
    bool is_challenge;              /* ACME's: no route is asked */
    struct slice challenge;         /* the file that answers it, if it is there */
    struct slice host, path, query; /* normalised; empty when the request is refused for them */
    struct slice sni;               /* the same; empty: none is sent, or it is no host's */
    struct slice backend_path;      /* of a route to backends: what they get for `path` */
};

/* Fills in what a client makes of a URL: where it connects, what it asks for, and the SNI, which
 * is none for an IP address (RFC 6066 section 3). False, with what is wrong. */
bool follow_read_url(struct arena *arena, struct slice url, struct followed_request *request,
                     struct error *error);

/* Whether the target's max_body refuses the request. */
bool follow_is_too_large(const struct route_target *target, const struct followed_request *request);

/* Whether `allow` and `deny` in these settings refuse the client; it may come while its address is
 * not known. */
bool follow_is_denied(const struct settings *settings, const struct followed *followed);

/* Whether the request may go there: to the client's share of a split, else to any but those of
 * weight 0. */
bool follow_may_take(const struct followed *followed, const struct route_target *target);

/* A refused handshake is followed on all the same, as if it had succeeded without a certificate. */
void follow_request(const struct snapshot *snapshot, const struct followed_request *request,
                    struct arena *arena, struct followed *followed);

#endif
