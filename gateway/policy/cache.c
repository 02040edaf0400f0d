#include "policy/cache.h"

enum {
    OBJECTS_LEAST = 16, /* of the largest size that there is room for, where nothing is said */
    SHARE_MOST = 2,     /* no object takes more than one of so many parts */
};

static struct policy *merge(const struct policy *nearer, const struct policy *farther);
static struct slice words(const struct policy *policy, struct arena *arena);
static void clear(struct policy *policy);

static const struct policy_ops ops = {.merge = merge, .words = words, .clear = clear};

struct cache_policy *cache_policy_new(void)
{
    static _Atomic uint64_t serials;
    struct cache_policy *policy = policy_new(&ops, sizeof(*policy));

    policy->serial = atomic_fetch_add(&serials, 1) + 1;
    policy->size = CACHE_SIZE_DEFAULT;
    return policy;
}

uint64_t cache_max_object_for(uint64_t size)
{
    return size / SHARE_MOST;
}

static void settle_max_object(struct cache_policy *policy)
{
    uint64_t most = cache_max_object_for(policy->size);

    if (!policy->says_max_object)
        policy->max_object = policy->size / OBJECTS_LEAST;
    else if (policy->wanted_object == 0 || policy->wanted_object > most)
        policy->max_object = most;
    else
        policy->max_object = policy->wanted_object;
}

void cache_policy_settle(struct cache_policy *policy, struct cache_store *store, struct slice place)
{
    settle_max_object(policy);
    if (store != NULL)
        policy->zone = cache_zone_take(store, policy->says_size ? place : slice_of("shared"));
}

/* Whatever `from` says, and whatever follows from that. */
static void take(struct cache_policy *policy, const struct cache_policy *from)
{
    if (from->says_size) {
        policy->size = from->size;
        policy->zone = from->zone;
        policy->says_size = true;
    }
    if (from->says_max_object) {
        policy->wanted_object = from->wanted_object;
        policy->says_max_object = true;
    }
    if (from->says_stale_if_error) {
        policy->rules.stale_if_error_s = from->rules.stale_if_error_s;
        policy->says_stale_if_error = true;
    }
    if (from->says_set_cookie) {
        policy->rules.stores_set_cookie = from->rules.stores_set_cookie;
        policy->says_set_cookie = true;
    }
}

static struct policy *merge(const struct policy *nearer, const struct policy *farther)
{
    struct cache_policy *merged = cache_policy_new();

    merged->zone = ((const struct cache_policy *)farther)->zone;
    take(merged, (const struct cache_policy *)farther);
    take(merged, (const struct cache_policy *)nearer);
    settle_max_object(merged);
    if (merged->zone != NULL)
        cache_zone_keep(merged->zone);
    return &merged->policy;
}

static void clear(struct policy *policy)
{
    struct cache_policy *cache = (struct cache_policy *)policy;

    if (cache->zone != NULL)
        cache_zone_release(cache->zone);
}

/* --- in words ------------------------------------------------------------------------------------
 */

static struct slice size_words(struct arena *arena, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    unsigned unit = 0;

    for (; bytes > 0 && bytes % 1024 == 0 && unit < 3; unit++)
        bytes /= 1024;
    return arena_printf(arena, "%llu%s", (unsigned long long)bytes, units[unit]);
}

static struct slice seconds_words(struct arena *arena, int32_t seconds)
{
    if (seconds % 86400 == 0)
        return arena_printf(arena, "%dd", seconds / 86400);
    if (seconds % 3600 == 0)
        return arena_printf(arena, "%dh", seconds / 3600);
    if (seconds % 60 == 0)
        return arena_printf(arena, "%dm", seconds / 60);
    return arena_printf(arena, "%ds", seconds);
}

static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct cache_policy *cache = (const struct cache_policy *)policy;
    struct slice size = size_words(arena, cache->size);
    struct slice most = size_words(arena, cache->max_object), text, time;

    text = arena_printf(arena, "%.*s%s; objects up to %.*s", (int)size.len, size.at,
                        cache->says_size ? "" : " (shared)", (int)most.len, most.at);
    if (cache->rules.stale_if_error_s > 0) {
        time = seconds_words(arena, cache->rules.stale_if_error_s);
        text = arena_printf(arena, "%.*s; stale for %.*s when backends fail", (int)text.len,
                            text.at, (int)time.len, time.at);
    }
    if (cache->rules.stores_set_cookie)
        text = arena_printf(arena, "%.*s; with Set-Cookie", (int)text.len, text.at);
    return text;
}
