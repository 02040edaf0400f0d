/* `auth` by JSON Web Tokens: who comes has to show one that the right issuer has signed. */
#ifndef POLICY_JWT_AUTH_H
#define POLICY_JWT_AUTH_H

#include "policy/jwt.h"
#include "policy/policy.h"

enum { JWT_WAIT_MS = 2000 }; /* for keys that are on their way */

struct jwt_auth {
    struct policy policy;
    struct source *keys;    /* the policy's */
    struct jwt_rules rules; /* in the policy's arena, as all below */
    struct slice cookie;    /* where else a token may be; empty: nowhere */
    struct slice keys_text; /* as written */
    uint64_t leeway_ms;
};

/* With nothing in it. */
struct jwt_auth *jwt_auth_new(void);

#endif
