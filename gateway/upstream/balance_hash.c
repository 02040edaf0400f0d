#include "base/check.h"
#include "upstream/balance.h"

#include <math.h>

enum {
    /* A server is passed over when it has 5/4 of its share of all that is in flight, the request at
     * hand included, */
    MORE_THAN_SHARE = 5,
    SHARE = 4,
    /* but not for so few as these: they are no load worth parting a client from its server for. */
    IN_FLIGHT_ALWAYS = 16,
};

struct load {
    uint64_t in_flight, weight;
};

static struct load add_up(struct choice *choice)
{
    struct load all = {0};
    for (unsigned i = 0; i < choice->count; i++) {
        candidate_read_load(&choice->candidates[i]);
        all.in_flight += choice->candidates[i].in_flight;
        all.weight += choice->candidates[i].weight;
    }
    return all;
}

/* Never all of them: together they would have more than there is. */
static bool is_passed_over(const struct candidate *candidate, const struct load *all)
{
    if (candidate->in_flight < IN_FLIGHT_ALWAYS)
        return false;
    unsigned __int128 has = (unsigned __int128)candidate->in_flight * all->weight * SHARE;
    unsigned __int128 may =
        (unsigned __int128)(all->in_flight + 1) * candidate->weight * MORE_THAN_SHARE;
    return has >= may;
}

/* Weighted rendezvous: key and server together have a number between 0 and 1 of their own, the same
 * everywhere, and that much of a server's weight is what it bids: of all bids w / -ln(number) one
 * is the highest with a likelihood of w in the sum of all weights. Nobody's bid depends on who else
 * bids. */
static double bid(const struct candidate *candidate, uint64_t key)
{
    struct random_source of_both = {candidate->share->id ^ key};
    double number = ((double)(random_next(&of_both) >> 12) + 0.5) * 0x1p-52; /* neither 0 nor 1 */
    return candidate->weight / -log(number);
}

struct share *balance_hash(struct choice *choice)
{
    struct load all = add_up(choice);
    struct share *chosen = NULL;
    double highest = 0;
    for (unsigned i = 0; i < choice->count; i++) {
        const struct candidate *candidate = &choice->candidates[i];
        if (is_passed_over(candidate, &all))
            continue;
        double its_bid = bid(candidate, choice->key);
        if (its_bid > highest) {
            highest = its_bid;
            chosen = candidate->share;
        }
    }
    assert(chosen != NULL);
    return chosen;
}
