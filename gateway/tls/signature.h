/* A handshake's signature, made off the loop where it takes half a millisecond or several (RSA and
 * the larger curves), in which nobody else on the loop would be served. Inside tls/ alone. */
#ifndef TLS_SIGNATURE_H
#define TLS_SIGNATURE_H

#include "tls/certificate.h"

#include <openssl/ssl.h>

struct signature;

/* Whether signatures with such a key are slow enough to be made off the loop. */
bool signature_is_slow(enum cert_key kind);
/* What a context has instead of such a key: asks the certificate of the connection's choice for it.
 * Where nobody signs off the loop, or too many wait, or there is no memory, it is done at once; and
 * once the loop has waited for longer than a processor that is free would have taken. */
const SSL_PRIVATE_KEY_METHOD *signature_method(void);
/* Takes it, made or not. */
void signature_end(struct signature *signature);

#endif
