#include "http/h2_budget.h"

#include "base/check.h"

/* In thousandths of a unit. */
enum {
    BUDGET_FULL = 1000 * 1000,
    BUDGET_PER_MS = 100,
    ANSWER_WORTH = 3000,
};

enum {
    FREE_PER_SENT = 9, /* for 16 KiB: two WINDOW_UPDATEs for each 4 of them, and a PING */
    FREE_PER_RECEIVED = 1,
    FREE_MOST = 10 * 1000, /* data is acknowledged soon, or not at all */
};

static const uint16_t costs[] = {
    [H2_SPENT_ON_RESET] = 3000,    [H2_SPENT_ON_SETTINGS] = 20000, [H2_SPENT_ON_PING] = 5000,
    [H2_SPENT_ON_EMPTY] = 5000,    [H2_SPENT_ON_WINDOW] = 500,     [H2_SPENT_ON_PRIORITY] = 500,
    [H2_SPENT_ON_FRAGMENT] = 1000,
};

static void earn(struct h2_budget *budget, uint64_t amount)
{
    uint64_t lacks = BUDGET_FULL - budget->left;

    budget->left += (uint32_t)(amount < lacks ? amount : lacks);
}

void h2_budget_init(struct h2_budget *budget, uint64_t now_ms)
{
    *budget = (struct h2_budget){.since_ms = now_ms, .left = BUDGET_FULL};
}

bool h2_budget_spend(struct h2_budget *budget, enum h2_expense expense, uint64_t now_ms)
{
    uint32_t cost;

    assert(expense < sizeof(costs) / sizeof(costs[0]));
    cost = costs[expense];
    if (budget->free > 0 && (expense == H2_SPENT_ON_PING || expense == H2_SPENT_ON_WINDOW)) {
        budget->free--;
        return true;
    }
    if (now_ms > budget->since_ms) {
        uint64_t passed_ms = now_ms - budget->since_ms;

        earn(budget, passed_ms < BUDGET_FULL ? passed_ms * BUDGET_PER_MS : BUDGET_FULL);
        budget->since_ms = now_ms;
    }
    if (cost > budget->left) {
        budget->left = 0;
        return false;
    }
    budget->left -= cost;
    return true;
}

void h2_budget_earn_answer(struct h2_budget *budget)
{
    earn(budget, ANSWER_WORTH);
}

void h2_budget_earn_data(struct h2_budget *budget, unsigned sent, unsigned received)
{
    uint64_t free =
        budget->free + (uint64_t)sent * FREE_PER_SENT + (uint64_t)received * FREE_PER_RECEIVED;

    budget->free = (uint32_t)(free < FREE_MOST ? free : FREE_MOST);
}
