#include "upstream/balance.h"

/* Of what was not measured yet nobody knows whether it answers at all. */
enum {
    PROBES_AT_ONCE = 2,
    PROBE_EVERY_US = 1000 * 1000, /* else, where others keep as many in flight: each worker has to
                                     measure for itself */
};

/* 0 where it is to be probed; where it is being probed, more than any answer takes. */
static uint64_t expected_latency_us(const struct candidate *candidate, uint64_t now_us)
{
    const struct share *share = candidate->share;
    uint64_t latency_us = peak_ewma_now(&share->latency, now_us);
    if (latency_us > 0)
        return latency_us;
    bool may_probe =
        candidate->in_flight < PROBES_AT_ONCE || now_us - share->probed_us >= PROBE_EVERY_US;
    return may_probe ? 0 : UINT32_MAX;
}

/* Over the weight, which `is_cheaper` multiplies the other side with. */
static unsigned __int128 cost(const struct candidate *candidate, uint64_t now_us)
{
    return (unsigned __int128)expected_latency_us(candidate, now_us) *
           ((uint64_t)candidate->in_flight + 1);
}

static bool is_cheaper(const struct candidate *candidate, const struct candidate *other,
                       uint64_t now_us)
{
    return cost(candidate, now_us) * other->weight < cost(other, now_us) * candidate->weight;
}

struct share *balance_latency(struct choice *choice)
{
    struct candidate *candidates = choice->candidates;
    balance_draw_two(choice);
    candidate_read_load(&candidates[0]);
    candidate_read_load(&candidates[1]);
    bool is_second = is_cheaper(&candidates[1], &candidates[0], choice->now_us);
    struct share *chosen = candidates[is_second].share;
    if (peak_ewma_now(&chosen->latency, choice->now_us) == 0)
        chosen->probed_us = choice->now_us;
    return chosen;
}
