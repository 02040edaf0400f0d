/* Limits that a whole fleet shares, counted in Redis: the same rule as in rate_table.h, by one
 * script that holds a request against all of its limits at once, on Redis' own clock. */
#ifndef POLICY_RATE_SHARED_H
#define POLICY_RATE_SHARED_H

#include "base/arena.h"
#include "net/redis_client.h"
#include "policy/rate_table.h"

/* What redis_client_new takes. */
extern const char rate_shared_script[];

/* Asks for so many charges, each counted under a name of its own that is the same on every gateway.
 * As redis_call_begin. */
struct redis_call *rate_shared_begin(struct redis_client *client, const struct rate_charge *charges,
                                     const struct slice *names, unsigned count, struct task *task);
/* IO_OK: the charges are answered, *passes says whether the request is within all that are
 * enforced. As redis_call_answer. */
enum io rate_shared_answer(struct redis_call *call, struct rate_charge *charges, unsigned count,
                           bool *passes);

#endif
