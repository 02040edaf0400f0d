#include "worker/split_turns.h"

#include <stdlib.h>

struct turn {
    struct list_node node;
    char *route;
    uint64_t count;
};

void split_turns_init(struct split_turns *turns)
{
    table_init(&turns->by_name);
    list_init(&turns->all);
}

static void forget(struct split_turns *turns, struct turn *turn)
{
    table_remove(&turns->by_name, slice_of(turn->route));
    list_remove(&turn->node);
    free(turn->route);
    free(turn);
}

void split_turns_clear(struct split_turns *turns)
{
    list_each (&turns->all, node)
        forget(turns, container_of(node, struct turn, node));
    table_clear(&turns->by_name);
}

uint64_t split_turns_next(struct split_turns *turns, struct slice route)
{
    struct turn *turn = table_get(&turns->by_name, route);

    if (turn == NULL) {
        turn = memory_new(sizeof(*turn));
        turn->route = slice_duplicate(route);
        table_put(&turns->by_name, slice_of(turn->route), turn);
        list_push_back(&turns->all, &turn->node);
    }
    return turn->count++;
}

void split_turns_follow(struct split_turns *turns, const struct route_table *routes)
{
    list_each (&turns->all, node) {
        struct turn *turn = container_of(node, struct turn, node);
        const struct route *route = route_table_named(routes, slice_of(turn->route));
        if (route == NULL || route->target_count < 2)
            forget(turns, turn);
    }
}
