/* `cache`: an object; what a place leaves out it has from the places behind it. */
#include "policy/cache.h"
#include "config/policy_readers.h"

#define MAX_OBJECT_MOST (CACHE_SIZE_MOST / 2)

/* Where a reader puts what it finds; false once there was a problem. */
struct cache_reader {
    struct cache_policy *policy;
    const struct json_node *max_object; /* NULL: not said */
    bool is_good;
};

static void read_size(struct reader *reader, const struct json_node *node, void *into)
{
    struct cache_reader *c = into;

    c->policy->says_size = true;
    if (!reader_size(reader, node, CACHE_SIZE_MOST, &c->policy->size)) {
        c->is_good = false;
    } else if (c->policy->size < CACHE_SIZE_LEAST) {
        reader_error(reader, node, AT_VALUE,
                     "1MiB at least; to turn the cache off write \"cache\": null");
        c->is_good = false;
    }
}

static void read_max_object(struct reader *reader, const struct json_node *node, void *into)
{
    struct cache_reader *c = into;

    c->max_object = node;
    c->policy->says_max_object = true;
    c->is_good &= reader_size(reader, node, MAX_OBJECT_MOST, &c->policy->wanted_object);
}

static void read_stale_if_error(struct reader *reader, const struct json_node *node, void *into)
{
    struct cache_reader *c = into;
    uint64_t ms = 0;

    c->is_good &= reader_duration(reader, node, &ms);
    ms = (ms + 999) / 1000;
    c->policy->rules.stale_if_error_s = ms < INT32_MAX ? (int32_t)ms : INT32_MAX;
    c->policy->says_stale_if_error = true;
}

static void read_set_cookie(struct reader *reader, const struct json_node *node, void *into)
{
    struct cache_reader *c = into;

    c->is_good &= reader_bool(reader, node, &c->policy->rules.stores_set_cookie);
    c->policy->says_set_cookie = true;
}

/* Where this place says both. */
static bool fits(struct reader *reader, const struct cache_reader *c)
{
    uint64_t most = cache_max_object_for(c->policy->size);

    if (!c->max_object || !c->policy->says_size || c->policy->wanted_object <= most)
        return true;
    reader_error(reader, c->max_object, AT_VALUE,
                 "half of \"size\" at most, so that one object does not push out all the others");
    return false;
}

struct policy *cache_read(struct reader *reader, const struct json_node *node,
                          const struct policy_place *place)
{
    static const struct rule list[] = {{"size", 0, read_size},
                                       {"max_object", 0, read_max_object},
                                       {"stale_if_error", 0, read_stale_if_error},
                                       {"set_cookie", 0, read_set_cookie}};
    static const struct rules rules = {list, sizeof(list) / sizeof(list[0]), NULL};
    struct cache_reader c = {.policy = cache_policy_new(), .is_good = true};

    if (reader_object(reader, node, &rules, 0, &c) && c.is_good && fits(reader, &c)) {
        cache_policy_settle(c.policy, reader->cache, place->name);
        return &c.policy->policy;
    }
    policy_unref(&c.policy->policy);
    return NULL;
}
