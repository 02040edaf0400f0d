/* `auth` by the client's certificate, once the handshake has verified it. */
#ifndef POLICY_CERT_AUTH_H
#define POLICY_CERT_AUTH_H

#include "policy/policy.h"

struct cert_auth {
    struct policy policy;
    struct slice *subjects; /* in the policy's arena, as all below */
    unsigned subject_count;
    bool takes_any;    /* one of them is "*" */
    struct slice copy; /* the field that tells the backend the subject; empty: none does */
};

struct cert_auth *cert_auth_new(void);
/* Whether it is one of these; NULL is not. */
bool policy_is_cert_auth(const struct policy *policy);

#endif
