/* The cookie that leads a client back to its server: a backend's `sticky`. It is the gateway's own:
 * backends neither see nor set it. */
#ifndef PROXY_STICKY_H
#define PROXY_STICKY_H

#include "base/base64url.h"
#include "http/message.h"
#include "tls/mac.h"
#include "upstream/upstream.h"

/* The server's id, the second it was issued, and a signature over these and the backend's name. */
enum { STICKY_ID_BYTES = 8, STICKY_TIME_BYTES = 4 };
enum { STICKY_SIGNED_BYTES = STICKY_ID_BYTES + STICKY_TIME_BYTES };
enum { STICKY_VALUE_LENGTH = BASE64URL_LENGTH(STICKY_SIGNED_BYTES + MAC_BYTES) };

/* Who issues and accepts: a backend, now. */
struct sticky_issuer {
    const struct sticky_spec *spec;
    struct slice backend;
    struct slice process_key; /* signs where the spec has no key */
    uint64_t now_s;           /* since 1970 */
};

/* What a request says of where it was served before. */
struct sticky_claim {
    uint64_t server; /* hash_fixed of its name; 0: nothing that can be believed */
    bool is_due;     /* more than half of ttl has passed: to be issued anew */
};

void sticky_value_write(const struct sticky_issuer *issuer, uint64_t server,
                        char value[STICKY_VALUE_LENGTH]);
/* Any bytes will do: what was not issued here, too long ago or in the future says nothing. */
struct sticky_claim sticky_value_read(const struct sticky_issuer *issuer, struct slice value);

/* By the request's first cookie of the name. */
struct sticky_claim sticky_claim_of(const struct sticky_issuer *issuer,
                                    const struct http_fields *request);
/* Has the response set the cookie, unless the claim is still as good as a new one. `server` is the
 * name of the one that answered. */
void sticky_answer(const struct sticky_issuer *issuer, struct sticky_claim claim,
                   struct slice server, bool is_https, struct arena *arena,
                   struct http_fields *response);

#endif
