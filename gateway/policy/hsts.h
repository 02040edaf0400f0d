/* `hsts`: browsers are told to come back over TLS alone (RFC 6797). */
#ifndef POLICY_HSTS_H
#define POLICY_HSTS_H

#include "policy/policy.h"

struct hsts {
    uint64_t max_age_s;
    bool has_subdomains, has_preload;
};

/* With one reference. */
struct policy *hsts_new(const struct hsts *hsts);
/* Strict-Transport-Security's; borrowed from the policy. */
struct slice hsts_value(const struct policy *policy);

#endif
