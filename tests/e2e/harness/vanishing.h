/* Clients that are gone all of a sudden, in every state of their connection, in order or with a
 * reset. */
#ifndef E2E_VANISHING_H
#define E2E_VANISHING_H

#include <openssl/ssl.h>

struct vanishing {
    const char *https;
    const char *plain;        /* serves routes */
    const char *behind_proxy; /* https behind the PROXY protocol */
    const char *host;         /* /hang, /down, /ws and /echo are served by their origin_ scripts */
    SSL_CTX *context;         /* of all of them; NULL: one each */
};

/* How many kinds of visits there are. */
extern const unsigned vanishing_kinds;

/* One visit of the n-th kind (any n); whatever the gateway answers is fine. For any thread. */
void vanish(const struct vanishing *from, unsigned n);

#endif
