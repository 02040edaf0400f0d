/* Who is on the other end of a session, as far as a request needs to know. */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "net/address.h"
#include "tls/tls_stream.h"

/* Filled at accept and after the handshake; lives in the session, longer than its exchanges. */
struct client {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer; /* family AF_UNIX for Unix sockets */
    char peer_ip[46];
    uint16_t local_port;
    unsigned listener; /* as the worker knows it */
    bool is_tls;
    bool serves_routes;              /* else a plaintext listener that redirects to https */
    uint16_t https_port;             /* for that redirect; 0: none */
    const struct stream *tls_stream; /* is_tls */
};

/* The peer in the form that networks are held against. */
static inline struct address client_address(const struct client *client)
{
    struct address address = {.length = sizeof(client->peer)};
    memcpy(&address.as, &client->peer, sizeof(client->peer));
    return address;
}

#endif
