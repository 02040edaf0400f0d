/* Requests that a pool holds: in a lane for each route, first come, first served within it; lanes
 * take turns, so that a route with many requests does not keep one with few waiting.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_HOLD_H
#define UPSTREAM_HOLD_H

#include "base/list.h"
#include "base/slice.h"

enum { HOLD_BUCKETS = 16 };

struct lane;

struct hold {
    struct list lanes;                 /* that somebody is in, in turn */
    struct list buckets[HOLD_BUCKETS]; /* the same, by the hash of their route's name */
    struct lane *spares;
    unsigned count; /* of the held */
};

/* Embedded in what is held. */
struct held {
    struct slice route; /* borrowed, for as long as it is held; the owner's to set */
    struct lane *lane;  /* NULL: not held */
    struct list_node place;
};

void hold_init(struct hold *hold);
/* Nobody may be held any more. */
void hold_clear(struct hold *hold);

/* Behind the others of its route; false: no memory. */
bool hold_add(struct hold *hold, struct held *held);
/* Before them: it was here, and could not be served after all. */
bool hold_add_again(struct hold *hold, struct held *held);
/* Takes it out because it is served: the other lanes' turns come before its own again. */
void hold_take(struct hold *hold, struct held *held);
/* It leaves unserved. Nothing if it is not held. */
void hold_remove(struct hold *hold, struct held *held);
/* Whose turn it is; NULL: nobody is held. */
struct held *hold_next(const struct hold *hold);

#endif
