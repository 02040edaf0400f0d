/* How many tries a backend may get on top of its requests, over the last ten seconds: so that one
 * which fails is not beaten down by those that try again.
 *
 * Plain counts by second, no clock of its own. Inside upstream/ only. */
#ifndef UPSTREAM_RETRY_BUDGET_H
#define UPSTREAM_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum { RETRY_BUDGET_SECONDS = 10 };

/* All zero at first. */
struct retry_budget {
    uint64_t second; /* the newest bucket's, since the clock began */
    uint32_t requests[RETRY_BUDGET_SECONDS], tries[RETRY_BUDGET_SECONDS]; /* by second */
    uint32_t request_sum, try_sum;                                        /* of the buckets */
};

/* One request begins. */
void retry_budget_note_request(struct retry_budget *budget, uint64_t now_ms);
/* Takes one more try: while there were fewer than `percent` of the requests, or than `at_least`. */
bool retry_budget_take(struct retry_budget *budget, uint64_t now_ms, unsigned percent,
                       unsigned at_least);

#endif
