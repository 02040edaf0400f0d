#include "upstream/balance.h"

/* Each gains its weight, the one that is ahead wins and pays what all of them gained. Over a cycle
 * each gains as much as it pays only if it wins as often as its weight. Where a weight changes
 * between two choices, nobody has gained or paid any other than what was right at the time. */
struct share *balance_round_robin(struct choice *choice)
{
    struct share *ahead = choice->candidates[0].share;
    int64_t gained = 0;
    for (unsigned i = 0; i < choice->count; i++) {
        struct share *share = choice->candidates[i].share;
        share->turn += choice->candidates[i].weight;
        gained += choice->candidates[i].weight;
        if (share->turn > ahead->turn)
            ahead = share;
    }
    ahead->turn -= gained;
    return ahead;
}
