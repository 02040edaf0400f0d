/* Who gets the next request, among the servers of a pool. One strategy so far: smooth weighted
 * round robin, in which over any cycle of picks each server gets exactly its weight, spread out
 * evenly.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_BALANCER_H
#define UPSTREAM_BALANCER_H

#include "upstream/server.h"

enum { BALANCER_TRIES_MAX = 16 };

/* What one request has behind it. */
struct balancer_history {
    const struct server *avoid; /* failed it before: only if no other is usable; NULL: none */
    const struct server *tried[BALANCER_TRIES_MAX]; /* never again; compared, never looked into */
    unsigned tried_count;
};

/* A primary that is not skipped; else such a backup; else the one to avoid; when all are skipped, a
 * primary, then a backup all the same. Weight 0 gets nothing. NULL when none is left. */
struct server *balancer_pick(struct server *const *servers, unsigned count,
                             const struct balancer_history *history);

/* Starts new cycles, `offset` picks after their beginning: workers that start at different offsets
 * do not all begin with the same server. */
void balancer_restart(struct server *const *servers, unsigned count, uint64_t offset);

#endif
