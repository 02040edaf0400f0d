/* What a strategy is asked, and what it knows: one choice among servers that may all be chosen. Who
 * may be is the balancer's to say, upstream/balancer.h.
 *
 * Inside upstream/ only. Each strategy is one function in a file of its own. */
#ifndef UPSTREAM_BALANCE_H
#define UPSTREAM_BALANCE_H

#include "base/random.h"
#include "upstream/peak_ewma.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A server as strategies see it; embedded in it. */
struct share {
    uint32_t weight; /* as written, 0-65535 */
    bool is_backup;
    uint64_t id; /* of its name: every gateway leads a key to the same server */
    const _Atomic uint32_t *in_flight; /* requests of all workers; NULL: not counted, so none */
    /* this worker's */
    int64_t turn; /* how far it is ahead of its turn; over the servers of a pool they add up to 0 */
    struct peak_ewma latency;
    uint64_t probed_us; /* when it was chosen last while its latency was not known */
};

struct candidate {
    struct share *share;
    uint32_t weight;    /* as server_weight_now says: above 0, below 2^24 */
    uint32_t in_flight; /* once candidate_read_load was called: it changes all the time */
};

struct choice {
    struct candidate *candidates; /* may be left in another order */
    unsigned count;               /* 2 at least */
    uint64_t key;                 /* what tells clients apart, hashed */
    uint64_t now_us;
    struct random_source *random;
};

/* Smooth weighted round robin: over any cycle of choices among the same servers each gets exactly
 * its weight, spread out evenly. */
struct share *balance_round_robin(struct choice *choice);
/* Fewest requests in flight for its weight; those that are level take turns. */
struct share *balance_least_requests(struct choice *choice);
/* Two drawn by weight; the one with fewer requests in flight for its weight, else the first. */
struct share *balance_random(struct choice *choice);
/* Two drawn by weight; the one whose next answer is to be expected sooner: latency times requests
 * in flight, that one included, for its weight. One that was not measured yet is tried first, by
 * few at once. */
struct share *balance_latency(struct choice *choice);
/* The same server for the same key, as long as it may be chosen and has not much more than its
 * share of what is in flight; one that comes or goes moves only its own keys. */
struct share *balance_hash(struct choice *choice);

/* Draws one by weight and another one, likewise, of the rest: they come first and second. */
void balance_draw_two(struct choice *choice);

static inline void candidate_read_load(struct candidate *candidate)
{
    const _Atomic uint32_t *in_flight = candidate->share->in_flight;
    candidate->in_flight =
        in_flight != NULL ? atomic_load_explicit(in_flight, memory_order_relaxed) : 0;
}

/* Whether it has fewer requests in flight for its weight than the other one. */
static inline bool candidate_is_less_loaded(const struct candidate *candidate,
                                            const struct candidate *other)
{
    return (uint64_t)candidate->in_flight * other->weight <
           (uint64_t)other->in_flight * candidate->weight;
}

static inline void candidate_swap(struct candidate *a, struct candidate *b)
{
    struct candidate before = *a;
    *a = *b;
    *b = before;
}

#endif
