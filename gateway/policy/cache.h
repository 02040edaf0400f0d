/* What `cache` says: which answers are kept, in which share of the memory, for how long when
 * backends fail. */
#ifndef POLICY_CACHE_H
#define POLICY_CACHE_H

#include "http/caching.h"
#include "policy/cache_store.h"
#include "policy/policy.h"

#define CACHE_SIZE_LEAST   ((uint64_t)1 << 20)
#define CACHE_SIZE_MOST    ((uint64_t)1 << 40)
#define CACHE_SIZE_DEFAULT ((uint64_t)64 << 20)

struct cache_policy {
    struct policy policy;
    struct cache_zone *zone; /* a reference; NULL: nothing is served by it (check, explain) */
    uint64_t size;           /* bytes; of the zone */
    uint64_t max_object;     /* bytes; of a body */
    uint64_t serial;         /* later ones are higher: whose size counts */
    struct caching_rules rules;
    uint64_t wanted_object; /* max_object as it was written: what it is depends on the size */
    bool says_size, says_max_object, says_stale_if_error, says_set_cookie; /* and not by default */
};

/* With one reference; everything as where nothing is said, to be changed before the next call. */
struct cache_policy *cache_policy_new(void);
/* What follows from what is said; and where it is kept: in a zone called `place` if it says a size,
 * else in the one that all share who say none. `store` may be NULL: nowhere. */
void cache_policy_settle(struct cache_policy *policy, struct cache_store *store,
                         struct slice place);

/* What max_object is at most, in a zone of that size. */
uint64_t cache_max_object_for(uint64_t size);

#endif
