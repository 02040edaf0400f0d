/* Who is on the other end of a session, as far as a request needs to know. */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "net/address.h"
#include "tls/tls_stream.h"

/* One end of a client's connection; family AF_UNIX for Unix sockets. */
union client_end {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Filled at accept, by a PROXY protocol header, and after the handshake; lives in the session,
 * longer than its exchanges. */
struct client {
    union client_end peer, local; /* by a PROXY protocol header, if one came that says */
    char peer_ip[46];
    uint16_t local_port;    /* of `local` */
    uint16_t accepted_port; /* the listener's */
    unsigned listener;      /* as the worker knows it */
    bool is_tls;
    bool is_http2;                   /* what the handshake agreed on */
    bool serves_routes;              /* else a plaintext listener that redirects to https */
    uint16_t https_port;             /* for that redirect; 0: none */
    const struct stream *tls_stream; /* is_tls */
};

/* Who is on the other end, and where it came in. */
void client_set_ends(struct client *client, const struct address *peer,
                     const struct address *local);

static inline struct address client_end_address(const union client_end *end)
{
    struct address address = {.length = sizeof(*end)};
    memcpy(&address.as, end, sizeof(*end));
    return address;
}

/* The peer in the form that networks are held against. */
static inline struct address client_address(const struct client *client)
{
    return client_end_address(&client->peer);
}

#endif
