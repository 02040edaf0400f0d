/* Which client of a limit a request is: what it is counted under. */
#ifndef POLICY_RATE_KEY_H
#define POLICY_RATE_KEY_H

#include "policy/policy.h"

/* What tells clients from one another. */
enum rate_key { RATE_BY_IP, RATE_BY_HEADER, RATE_BY_COOKIE, RATE_BY_CERT, RATE_BY_ROUTE };

const char *rate_key_word(enum rate_key key);

/* For this process; `limit` is the limit's own hash. What a request does not have, or not once, is
 * its address instead; `name` is the header's or cookie's. */
uint64_t rate_key_hash(uint64_t limit, enum rate_key key, struct slice name,
                       const struct policy_request *request);
/* The same on every gateway: "ip:192.0.2.1". In the request's arena. Of headers and cookies it has
 * a hash alone: their values are nobody's business. */
struct slice rate_key_name(enum rate_key key, struct slice name,
                           const struct policy_request *request);

#endif
