/* A hash table that grows one bucket at a time, so that no insertion waits for all the others to be
 * moved, and a walk by bucket meets everything that was there when it began.
 *
 * Nodes are embedded; whoever looks compares what they stand for. Its owner locks. */
#ifndef POLICY_CACHE_INDEX_H
#define POLICY_CACHE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_node {
    struct cache_node *next; /* in its bucket */
    uint64_t hash;
};

enum {
    INDEX_FIRST_BITS = 4, /* buckets that there are at once */
    INDEX_SEGMENTS = 40,  /* each as large as all before it */
};

/* All zeroes is an empty one. */
struct cache_index {
    struct cache_node **segments[INDEX_SEGMENTS];
    size_t count, buckets;
};

void cache_index_clear(struct cache_index *index); /* frees its own memory; it is empty */

/* What its buckets take, each segment as cache_index_wants said. */
uint64_t cache_index_memory(const struct cache_index *index, uint64_t (*cost)(uint64_t bytes));

/* The first of the bucket of `hash`; the others follow. */
struct cache_node *cache_index_first(const struct cache_index *index, uint64_t hash);
/* The first in bucket number `bucket`, below index->buckets. */
struct cache_node *cache_index_bucket(const struct cache_index *index, size_t bucket);

/* How many bytes the next _add asks for beyond its node; mostly none. */
size_t cache_index_wants(const struct cache_index *index);
/* False: there is no memory at all. `may_grow`: those bytes are there for it; without, buckets get
 * fuller. */
bool cache_index_add(struct cache_index *index, struct cache_node *node, bool may_grow);
void cache_index_remove(struct cache_index *index, struct cache_node *node); /* it is in it */

#endif
