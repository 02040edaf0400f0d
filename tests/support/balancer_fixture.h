/* A balancer over servers that nobody connects to; what is in flight on them is the test's to say.
 */
#ifndef TESTS_SUPPORT_BALANCER_FIXTURE_H
#define TESTS_SUPPORT_BALANCER_FIXTURE_H

#include "upstream/balancer.h"

enum { BALANCED_MAX = 16 };

struct balancer_fixture {
    struct pool_shared shared;
    struct server *servers[BALANCED_MAX];
    _Atomic uint32_t in_flight[BALANCED_MAX]; /* by server */
    unsigned count;
    struct balancer balancer;
    struct balancer_ask ask; /* with a history of nothing, where a test sets no other */
    struct balancer_history history;
};

/* The servers are named "0", "1" and so on. The seed is always the same. */
void balancer_fixture_init(struct balancer_fixture *f, enum balance balance,
                           const uint16_t *weights, unsigned count);
void balancer_fixture_clear(struct balancer_fixture *f);

/* Index of the server that gets the next request, or -1. */
int balancer_fixture_pick(struct balancer_fixture *f);
/* It cannot be connected to, from now on. */
void balancer_fixture_skip(struct balancer_fixture *f, unsigned index);

#endif
