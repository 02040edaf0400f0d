#include "upstream/retry_budget.h"

#include <string.h>

/* Empties the buckets whose seconds have passed. */
static void move_on(struct retry_budget *budget, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;

    if (second - budget->second >= RETRY_BUDGET_SECONDS) {
        memset(budget, 0, sizeof(*budget));
        budget->second = second;
    }
    while (budget->second < second) {
        unsigned at = ++budget->second % RETRY_BUDGET_SECONDS;
        budget->request_sum -= budget->requests[at];
        budget->try_sum -= budget->tries[at];
        budget->requests[at] = budget->tries[at] = 0;
    }
}

void retry_budget_note_request(struct retry_budget *budget, uint64_t now_ms)
{
    move_on(budget, now_ms);
    budget->requests[budget->second % RETRY_BUDGET_SECONDS]++;
    budget->request_sum++;
}

bool retry_budget_take(struct retry_budget *budget, uint64_t now_ms, unsigned percent,
                       unsigned at_least)
{
    uint64_t most;

    move_on(budget, now_ms);
    most = (uint64_t)budget->request_sum * percent / 100;
    if (most < at_least)
        most = at_least;
    if (budget->try_sum >= most)
        return false;
    budget->tries[budget->second % RETRY_BUDGET_SECONDS]++;
    budget->try_sum++;
    return true;
}
