#include "policy/cache_index.h"

#include "base/check.h"

#include <stdlib.h>

enum { FIRST = 1 << INDEX_FIRST_BITS };

/* --- buckets: the first segment has FIRST of them, each later one as many as all before it
 * --------
 */

static unsigned segment_of(size_t bucket)
{
    unsigned bits = 0;

    for (bucket >>= INDEX_FIRST_BITS; bucket > 0; bucket >>= 1)
        bits++;
    return bits;
}

static size_t segment_start(unsigned segment)
{
    return segment == 0 ? 0 : (size_t)FIRST << (segment - 1);
}

static size_t segment_room(unsigned segment)
{
    return segment == 0 ? FIRST : segment_start(segment);
}

static struct cache_node **slot_of(const struct cache_index *index, size_t bucket)
{
    unsigned segment =
        bucket < FIRST ? 0 : (unsigned)(64 - __builtin_clzll(bucket)) - INDEX_FIRST_BITS;

    return &index->segments[segment][bucket - segment_start(segment)];
}

/* The largest power of two that is not above the number of buckets. */
static size_t level_of(const struct cache_index *index)
{
    return (size_t)1 << (63 - __builtin_clzll(index->buckets));
}

/* Buckets below the one that is split next have been split already, by one more bit. */
static size_t bucket_of(const struct cache_index *index, uint64_t hash)
{
    size_t level = level_of(index), bucket = hash & (2 * level - 1);

    return bucket < index->buckets ? bucket : hash & (level - 1);
}

/* --- growing -------------------------------------------------------------------------------------
 */

static bool is_full(const struct cache_index *index)
{
    return index->count >= index->buckets && segment_of(index->buckets) < INDEX_SEGMENTS;
}

size_t cache_index_wants(const struct cache_index *index)
{
    unsigned segment = segment_of(index->buckets);

    if (index->buckets == 0)
        return FIRST * sizeof(struct cache_node *);
    return is_full(index) && index->segments[segment] == NULL
               ? segment_room(segment) * sizeof(struct cache_node *)
               : 0;
}

static bool provide_segment(struct cache_index *index, unsigned segment)
{
    if (index->segments[segment] == NULL)
        index->segments[segment] = memory_try(segment_room(segment) * sizeof(struct cache_node *));
    return index->segments[segment] != NULL;
}

/* One more bucket, and what belongs there. */
static void split(struct cache_index *index)
{
    size_t added = index->buckets, level = level_of(index);
    struct cache_node **from = slot_of(index, added - level), **to = slot_of(index, added);
    struct cache_node *node = *from;

    index->buckets++;
    *from = *to = NULL;
    while (node != NULL) {
        struct cache_node *next = node->next;
        struct cache_node **slot = bucket_of(index, node->hash) == added ? to : from;
        node->next = *slot;
        *slot = node;
        node = next;
    }
}

bool cache_index_add(struct cache_index *index, struct cache_node *node, bool may_grow)
{
    struct cache_node **slot;

    if (index->buckets == 0) {
        if (!may_grow || !provide_segment(index, 0))
            return false;
        index->buckets = FIRST;
    }
    if (is_full(index)) {
        unsigned segment = segment_of(index->buckets);
        bool has_room =
            index->segments[segment] != NULL || (may_grow && provide_segment(index, segment));
        if (has_room)
            split(index);
    }
    slot = slot_of(index, bucket_of(index, node->hash));
    node->next = *slot;
    *slot = node;
    index->count++;
    return true;
}

/* --- the rest ------------------------------------------------------------------------------------
 */

struct cache_node *cache_index_first(const struct cache_index *index, uint64_t hash)
{
    return index->buckets == 0 ? NULL : *slot_of(index, bucket_of(index, hash));
}

struct cache_node *cache_index_bucket(const struct cache_index *index, size_t bucket)
{
    return *slot_of(index, bucket);
}

void cache_index_remove(struct cache_index *index, struct cache_node *node)
{
    struct cache_node **link = slot_of(index, bucket_of(index, node->hash));

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    index->count--;
}

void cache_index_clear(struct cache_index *index)
{
    assert(index->count == 0);
    for (unsigned i = 0; i < INDEX_SEGMENTS; i++)
        free(index->segments[i]);
    *index = (struct cache_index){0};
}

uint64_t cache_index_memory(const struct cache_index *index, uint64_t (*cost)(uint64_t bytes))
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < INDEX_SEGMENTS; i++)
        if (index->segments[i] != NULL)
            bytes += cost(segment_room(i) * sizeof(struct cache_node *));
    return bytes;
}
