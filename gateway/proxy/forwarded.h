/* Who asks: client address, request id, and the fields that tell backends.
 */
#ifndef PROXY_FORWARDED_H
#define PROXY_FORWARDED_H

#include "net/proxy_protocol.h"
#include "proxy/client.h"
#include "proxy/proxy_env.h"

struct origin_facts {
    struct slice client_ip;  /* the rightmost untrusted address */
    struct slice request_id; /* kept from a trusted peer, or made */
    struct slice sni;        /* normalised; empty: none was sent. Set by its owner */
    /* Of the client's certificate, where the host asks for one and the handshake has verified it
     * for that; empty: not to be told. Its hash, and its subject, which it may lack. */
    struct slice cert_fingerprint, cert_subject;
};

/* Reads, before fields are changed. Texts live in `arena` or in `client`. */
void forwarded_facts(struct proxy_env *env, const struct globals *globals,
                     const struct client *client, struct arena *arena,
                     const struct http_fields *fields, struct origin_facts *facts);

/* Whether the client itself came by https: what the backend is told in X-Forwarded-Proto. */
bool forwarded_is_https(const struct globals *globals, const struct client *client,
                        const struct http_fields *fields);

/* Whether a trusted peer says of the URL what the request's own authority and scheme do not say, so
 * that the backend's answer may be for another one. */
bool forwarded_says_otherwise(const struct globals *globals, const struct client *client,
                              const struct http_head *request);

/* Rewrites `fields` for the backend: forwarding fields of an untrusted peer removed, ours set. What
 * says anything of a client's certificate is removed whoever sent it. */
void forwarded_rewrite(const struct globals *globals, const struct client *client,
                       struct arena *arena, const struct http_head *request,
                       const struct origin_facts *facts, struct http_fields *fields);

/* The same for a backend that is told by a PROXY protocol header: from client_ip (with its port
 * where that is the peer itself, else 0) to where the client connected. */
void forwarded_header(const struct client *client, const struct origin_facts *facts,
                      struct proxy_header *header);

#endif
