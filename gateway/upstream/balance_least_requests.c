#include "base/check.h"
#include "upstream/balance.h"

/* Brings those that nobody is less loaded than to the front, in their order; returns how many. */
static unsigned gather_least(struct choice *choice)
{
    struct candidate *candidates = choice->candidates;
    unsigned level = 0;
    for (unsigned i = 0; i < choice->count; i++) {
        candidate_read_load(&candidates[i]);
        if (candidate_is_less_loaded(&candidates[0], &candidates[i]))
            continue;
        if (candidate_is_less_loaded(&candidates[i], &candidates[0]))
            level = 0;
        candidate_swap(&candidates[level++], &candidates[i]);
    }
    return level;
}

/* Looks at all of them once more, on its own. */
static bool is_least(const struct choice *choice, const struct share *chosen)
{
    uint64_t chosen_weight = 0, chosen_in_flight = 0;
    for (unsigned i = 0; i < choice->count; i++) {
        if (choice->candidates[i].share == chosen) {
            chosen_weight = choice->candidates[i].weight;
            chosen_in_flight = choice->candidates[i].in_flight;
        }
    }
    for (unsigned i = 0; i < choice->count; i++) {
        const struct candidate *other = &choice->candidates[i];
        if (other->in_flight * chosen_weight < chosen_in_flight * other->weight)
            return false;
    }
    return chosen_weight > 0;
}

struct share *balance_least_requests(struct choice *choice)
{
    struct choice least = *choice;
    least.count = gather_least(choice);
    struct share *chosen = balance_round_robin(&least);
    assert_in_tests(is_least(choice, chosen));
    return chosen;
}
