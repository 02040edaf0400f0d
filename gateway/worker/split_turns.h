/* How often each split route was taken on this worker: by the route's name, kept across
 * generations. */
#ifndef WORKER_SPLIT_TURNS_H
#define WORKER_SPLIT_TURNS_H

#include "base/list.h"
#include "routing/route_table.h"

struct split_turns {
    struct table by_name;
    struct list all;
};

void split_turns_init(struct split_turns *turns);
void split_turns_clear(struct split_turns *turns);

/* 0, 1, 2 … for one name. */
uint64_t split_turns_next(struct split_turns *turns, struct slice route);
/* The newest generation's routes are these: what is no split among them is forgotten. */
void split_turns_follow(struct split_turns *turns, const struct route_table *routes);

#endif
