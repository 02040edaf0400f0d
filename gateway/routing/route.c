#include "routing/route.h"

#include "base/check.h"
#include "base/table.h"
#include "upstream/affinity.h"

/* The value of a placeholder, as a URL has it. */
static struct slice part_value(const struct redirect_part *part, bool is_tls, struct slice host,
                               struct slice path, struct slice query)
{
    switch (part->kind) {
    case REDIRECT_TEXT: return part->text;
    case REDIRECT_SCHEME: return is_tls ? slice_of("https") : slice_of("http");
    case REDIRECT_HOST: return host;
    case REDIRECT_PATH:
    case REDIRECT_URI: return path;
    case REDIRECT_QUERY: return slice_is_empty(query) ? query : slice_skip(query, 1);
    }
    assert(!"a kind of redirect part that does not exist");
    return slice_make(NULL, 0);
}

struct slice route_location(const struct route *route, struct arena *arena, bool is_tls,
                            struct slice host, struct slice path, struct slice query)
{
    size_t length = 0, at = 0;

    /* OPTIONS * has no path of its own. */
    if (slice_equal(path, slice_of("*")))
        path = slice_of("/");
    if (slice_find(host, ':') >= 0)
        host = arena_printf(arena, "[%.*s]", (int)host.len, host.at);
    for (unsigned i = 0; i < route->redirect_count; i++) {
        const struct redirect_part *part = &route->redirect[i];
        length += part_value(part, is_tls, host, path, query).len;
        length += part->kind == REDIRECT_URI ? query.len : 0;
    }
    char *text = arena_bytes(arena, length ? length : 1);
    for (unsigned i = 0; i < route->redirect_count; i++) {
        const struct redirect_part *part = &route->redirect[i];
        struct slice value = part_value(part, is_tls, host, path, query);
        if (value.len)
            memcpy(text + at, value.at, value.len);
        at += value.len;
        if (part->kind == REDIRECT_URI && query.len) {
            memcpy(text + at, query.at, query.len);
            at += query.len;
        }
    }
    return slice_make(text, length);
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
