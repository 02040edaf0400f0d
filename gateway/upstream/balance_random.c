#include "upstream/balance.h"

/* Brings one of those from `first` on there, each as likely as its weight is heavy. */
static void draw(struct choice *choice, unsigned first)
{
    uint64_t total = 0;
    for (unsigned i = first; i < choice->count; i++)
        total += choice->candidates[i].weight;
    uint64_t at = random_below(choice->random, total);
    unsigned drawn = first;
    while (at >= choice->candidates[drawn].weight)
        at -= choice->candidates[drawn++].weight;
    candidate_swap(&choice->candidates[first], &choice->candidates[drawn]);
}

void balance_draw_two(struct choice *choice)
{
    draw(choice, 0);
    draw(choice, 1);
}

struct share *balance_random(struct choice *choice)
{
    struct candidate *candidates = choice->candidates;
    balance_draw_two(choice);
    candidate_read_load(&candidates[0]);
    candidate_read_load(&candidates[1]);
    bool is_second = candidate_is_less_loaded(&candidates[1], &candidates[0]);
    return candidates[is_second].share;
}
