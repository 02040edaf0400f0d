/* Who gets the next request, among the servers of a pool: who may get it, then one strategy's
 * choice among those, upstream/balance.h.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_BALANCER_H
#define UPSTREAM_BALANCER_H

#include "upstream/server.h"

enum { BALANCER_TRIES_MAX = 16 };

/* Embedded in a pool. */
struct balancer {
    enum balance balance;          /* the pool's to say */
    struct server *const *servers; /* the pool's */
    unsigned server_count;
    struct random_source random;
    struct candidate *candidates; /* room for all servers: what one choice is made from */
};

/* What one request has behind it. */
struct balancer_history {
    const struct server *avoid; /* failed it before: only if no other is usable; NULL: none */
    const struct server *tried[BALANCER_TRIES_MAX]; /* never again; compared, never looked into */
    unsigned tried_count;
    bool wants_usable; /* rather none than one that is down: it can wait */
};

struct balancer_ask {
    const struct balancer_history *history;
    uint64_t key;    /* BALANCE_HASH: hash_fixed of what tells clients apart */
    uint64_t now_us; /* BALANCE_LATENCY: of the clock that latencies are noted by */
};

/* From the same seed what is random comes out the same again. */
void balancer_init(struct balancer *balancer, uint64_t seed);
void balancer_clear(struct balancer *balancer);
/* Chooses among these from now on; they are borrowed. */
void balancer_follow(struct balancer *balancer, struct server *const *servers,
                     unsigned server_count);
/* Starts new cycles, `offset` picks after their beginning: workers that start at different offsets
 * do not all begin with the same server. */
void balancer_restart(struct balancer *balancer, uint64_t offset);

/* A usable primary; else such a backup; else the one to avoid; when none is usable, a primary, then
 * a backup all the same. Weight 0 gets nothing, nor does one without room (server_has_room). NULL
 * when none is left. */
struct server *balancer_pick(struct balancer *balancer, const struct balancer_ask *ask);
/* Whether one would be picked if it had room. */
bool balancer_lacks_room(const struct balancer *balancer, const struct balancer_history *history);

#endif
