#include "routing/route.h"

#include "base/check.h"
#include "base/table.h"
#include "http/target.h"
#include "upstream/affinity.h"

struct slice route_location(const struct route *route, struct arena *arena, bool is_tls,
                            struct slice host, struct slice path, struct slice query)
{
    /* OPTIONS * has no path of its own. */
    if (slice_equal(path, slice_of("*")))
        path = slice_of("/");
    struct slice values[PLACEHOLDER_COUNT] = {
        [PLACEHOLDER_SCHEME] = slice_of(is_tls ? "https" : "http"),
        [PLACEHOLDER_HOST] = host_in_url(arena, host),
        [PLACEHOLDER_PATH] = path,
        [PLACEHOLDER_QUERY] = slice_is_empty(query) ? query : slice_skip(query, 1),
        [PLACEHOLDER_URI] = slice_is_empty(query) ? path
                                                  : arena_printf(arena, "%.*s%.*s", (int)path.len,
                                                                 path.at, (int)query.len, query.at),
    };

    return template_fill(&route->redirect, values, arena);
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A step through 0 .. total-1 that visits each once and stays spread out: near total over the
 * golden ratio, without a divisor in common. */
static uint64_t spreading_step(uint64_t total)
{
    uint64_t step = (uint64_t)((double)total * 0.6180339887);

    if (step == 0)
        step = 1;
    while (greatest_common_divisor(step, total) != 1)
        step++;
    return step;
}

/* The shares lie side by side, each as wide as its weight; `at` is below total_weight. */
static const struct route_target *target_at(const struct route *route, uint64_t at)
{
    for (unsigned i = 0; i < route->target_count; i++) {
        if (at < route->targets[i].weight)
            return &route->targets[i];
        at -= route->targets[i].weight;
    }
    assert(!"total_weight is not the sum of the weights");
    return NULL;
}

const struct route_target *route_pick_target(const struct route *route, uint64_t n)
{
    uint64_t total = route->total_weight;

    if (route->target_count == 1)
        return &route->targets[0];
    assert(total > 0);
    return target_at(route, n % total * spreading_step(total) % total);
}

const struct route_target *route_pick_target_for(const struct route *route, uint64_t key)
{
    /* With the route's name: those who get the canary here are not the same everywhere. */
    uint64_t point = affinity_join(hash_fixed(route->name), key);

    return target_at(route, (uint64_t)((unsigned __int128)point * route->total_weight >> 64));
}
