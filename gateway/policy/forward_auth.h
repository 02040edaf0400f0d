/* `auth.forward`: another service says of each request whether it may go on.
 *
 * It is asked with a GET that has no body, the client's fields, and what it was that the client
 * asked for in X-Forwarded-Method and X-Forwarded-Uri. A 2xx lets the request pass, with some of
 * its fields copied to the backend's request; any other answer is the client's. A service that
 * does not answer lets nobody pass. */
#ifndef POLICY_FORWARD_AUTH_H
#define POLICY_FORWARD_AUTH_H

#include "policy/policy.h"
#include "upstream/upstream.h"

/* Of an answer that is to be the client's; a longer one is as good as none. */
enum { FORWARD_AUTH_BODY_MOST = 64 * 1024 };

/* All in its arena. */
struct forward_auth {
    struct policy policy; /* `service` is set */
    struct slice url;     /* as written */
    struct slice target;  /* its path and query */
    struct slice *copy;   /* names of fields */
    unsigned copy_count;
    uint64_t timeout_ms;
};

/* With one reference, to be filled. */
struct forward_auth *forward_auth_new(void);

#endif
