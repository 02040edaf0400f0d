/* A client's certificate held against the authorities, on a helper thread: the chain is walked and
 * its signatures are verified there, however long that takes. Inside tls/ alone. */
#ifndef TLS_CLIENT_CHECK_H
#define TLS_CLIENT_CHECK_H

#include "net/jobs.h"
#include "tls/client_ca.h"
#include "tls/client_identity.h"

#include <openssl/ssl.h>

enum { CLIENT_CHAIN_MAX = 16 }; /* certificates that a client may send */

/* What came of it. */
struct client_verdict {
    long result;                      /* X509_V_OK, or why not */
    int64_t not_after;                /* when the first certificate of the chain is out of date */
    struct client_identity *identity; /* X509_V_OK: owned */
};

/* On the calling thread. `chain`: the leaf first, then what the client sent with it. */
void client_check_run(const struct client_ca *ca, const STACK_OF(CRYPTO_BUFFER) * chain,
                      struct client_verdict *verdict);

struct client_check;

/* Takes references; the check outlives whoever asked. `task` is woken on `loop` when it is done,
 * which it is at once when too many wait. NULL: no memory. */
struct client_check *client_check_start(struct jobs *jobs, struct loop *loop, struct task *task,
                                        struct client_ca *ca,
                                        const STACK_OF(CRYPTO_BUFFER) * chain);
/* Done or not. The identity, if any, is the caller's then. */
bool client_check_answer(struct client_check *check, struct client_verdict *verdict);
/* Takes it, done or not. */
void client_check_end(struct client_check *check);

#endif
