/* Who a client is by the certificate that it showed, in the words that backends are told. */
#ifndef TLS_CLIENT_IDENTITY_H
#define TLS_CLIENT_IDENTITY_H

#include "base/slice.h"

#include <openssl/pool.h>

enum { CLIENT_SUBJECT_MAX = 2048 };

struct client_identity {
    char fingerprint[65]; /* SHA-256 of the certificate, in lower-case hex */
    struct slice subject; /* RFC 4514, printable ASCII alone; empty when it has none, or one that is
                             longer than CLIENT_SUBJECT_MAX: half a name may be somebody else's */
};

/* On the heap, in one piece. NULL: the certificate does not parse, or
 * there is no memory. */
struct client_identity *client_identity_new(const CRYPTO_BUFFER *certificate);

#endif
