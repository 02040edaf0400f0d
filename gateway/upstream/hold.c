#include "upstream/hold.h"

#include "base/check.h"
#include "base/table.h"

#include <stdlib.h>

struct lane {
    struct list waiting;    /* struct held; never empty. The first one's route is the lane's. */
    struct list_node place; /* in `lanes` */
    struct list_node bucket_place;
    struct lane *next_spare;
};

static struct list *bucket_of(struct hold *hold, struct slice route)
{
    return &hold->buckets[hash_fixed(route) % HOLD_BUCKETS];
}

static struct held *first_of(const struct lane *lane)
{
    return container_of(lane->waiting.head.next, struct held, place);
}

static struct lane *find_lane(struct hold *hold, struct slice route)
{
    list_each (bucket_of(hold, route), node) {
        struct lane *lane = container_of(node, struct lane, bucket_place);
        if (slice_equal(first_of(lane)->route, route))
            return lane;
    }
    return NULL;
}

static struct lane *open_lane(struct hold *hold, struct slice route)
{
    struct lane *lane = hold->spares;

    if (lane != NULL)
        hold->spares = lane->next_spare;
    else
        lane = memory_try(sizeof(*lane));
    if (lane == NULL)
        return NULL;
    *lane = (struct lane){0};
    list_init(&lane->waiting);
    list_push_back(&hold->lanes, &lane->place);
    list_push_back(bucket_of(hold, route), &lane->bucket_place);
    return lane;
}

static void close_lane(struct hold *hold, struct lane *lane)
{
    list_remove(&lane->place);
    list_remove(&lane->bucket_place);
    lane->next_spare = hold->spares;
    hold->spares = lane;
}

void hold_init(struct hold *hold)
{
    *hold = (struct hold){0};
    list_init(&hold->lanes);
    for (int i = 0; i < HOLD_BUCKETS; i++)
        list_init(&hold->buckets[i]);
}

void hold_clear(struct hold *hold)
{
    assert(hold->count == 0);
    while (hold->spares != NULL) {
        struct lane *lane = hold->spares;
        hold->spares = lane->next_spare;
        free(lane);
    }
}

static bool enter_lane(struct hold *hold, struct held *held)
{
    assert(held->lane == NULL);
    held->lane = find_lane(hold, held->route);
    if (held->lane == NULL)
        held->lane = open_lane(hold, held->route);
    hold->count += held->lane != NULL;
    return held->lane != NULL;
}

bool hold_add(struct hold *hold, struct held *held)
{
    if (!enter_lane(hold, held))
        return false;
    list_push_back(&held->lane->waiting, &held->place);
    return true;
}

bool hold_add_again(struct hold *hold, struct held *held)
{
    if (!enter_lane(hold, held))
        return false;
    list_push_front(&held->lane->waiting, &held->place);
    return true;
}

void hold_remove(struct hold *hold, struct held *held)
{
    struct lane *lane = held->lane;

    if (lane == NULL)
        return;
    held->lane = NULL;
    hold->count--;
    list_remove(&held->place);
    if (list_is_empty(&lane->waiting))
        close_lane(hold, lane);
}

void hold_take(struct hold *hold, struct held *held)
{
    struct lane *lane = held->lane;

    list_remove(&lane->place);
    list_push_back(&hold->lanes, &lane->place);
    hold_remove(hold, held);
}

struct held *hold_next(const struct hold *hold)
{
    struct list_node *first = list_first(&hold->lanes);

    return first != NULL ? first_of(container_of(first, struct lane, place)) : NULL;
}
