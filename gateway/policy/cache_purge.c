#include "policy/cache_internal.h"

#include <stdlib.h>

enum {
    BUCKETS_AT_ONCE = 64, /* with a lock held */
    OBJECTS_AT_ONCE = 64,
};

static void count_purged(struct cache_zone *zone, uint64_t count)
{
    if (count > 0)
        atomic_fetch_add_explicit(&zone->purged, count, memory_order_relaxed);
}

/* --- by key --------------------------------------------------------------------------------------
 */

uint64_t cache_entry_purge(struct cache_shard *shard, struct cache_entry *entry,
                           struct cache_dead *dead)
{
    uint64_t count = entry->object_count;

    list_each (&entry->objects, node)
        cache_entry_drop(container_of(node, struct cache_object, in_entry), dead);
    list_each (&entry->fetches, fetching) {
        struct cache_fetch *fetch = container_of(fetching, struct cache_fetch, in_entry);
        cache_entry_drop_fetch(fetch);
        cache_wake_all(&fetch->waiters, false);
    }
    cache_entry_tidy(shard, entry);
    return count;
}

uint64_t cache_zone_purge(struct cache_zone *zone, struct slice key)
{
    uint64_t hash = hash_bytes(key), count = 0;
    struct cache_dead dead = {0};
    struct cache_shard *shard;
    struct cache_entry *entry;

    if (cache_shards(zone) == NULL)
        return 0;
    shard = cache_shard_of(zone, hash);
    pthread_mutex_lock(&shard->lock);
    entry = cache_entry_find(shard, key, hash);
    if (entry != NULL)
        count = cache_entry_purge(shard, entry, &dead);
    pthread_mutex_unlock(&shard->lock);
    cache_dead_free(&dead);
    count_purged(zone, count);
    return count;
}

/* --- by prefix -----------------------------------------------------------------------------------
 */

static uint64_t purge_bucket(struct cache_shard *shard, size_t bucket, struct slice prefix,
                             struct cache_dead *dead)
{
    struct cache_node *node = cache_index_bucket(&shard->entries, bucket), *next;
    uint64_t count = 0;

    for (; node != NULL; node = next) {
        struct cache_entry *entry = container_of(node, struct cache_entry, node);
        next = node->next;
        if (slice_starts_with(slice_make(entry->key, entry->key_bytes), prefix))
            count += cache_entry_purge(shard, entry, dead);
    }
    return count;
}

/* New buckets come behind all others, with what was in those before: nothing is missed. */
static uint64_t purge_shard(struct cache_shard *shard, struct slice prefix)
{
    uint64_t count = 0;
    bool is_done = false;

    for (size_t bucket = 0; !is_done;) {
        struct cache_dead dead = {0};
        size_t end = bucket + BUCKETS_AT_ONCE;
        pthread_mutex_lock(&shard->lock);
        for (; bucket < end && bucket < shard->entries.buckets; bucket++)
            count += purge_bucket(shard, bucket, prefix, &dead);
        is_done = bucket == shard->entries.buckets;
        pthread_mutex_unlock(&shard->lock);
        cache_dead_free(&dead);
    }
    return count;
}

uint64_t cache_zone_purge_prefix(struct cache_zone *zone, struct slice prefix)
{
    struct cache_shard *shards = cache_shards(zone);
    uint64_t count = 0;

    for (unsigned i = 0; shards != NULL && i < SHARDS; i++)
        count += purge_shard(&shards[i], prefix);
    count_purged(zone, count);
    return count;
}

/* --- by tag --------------------------------------------------------------------------------------
 */

/* For the sake of responses that are on their way, whose tags nobody knows yet. */
static void note_tag_purge(struct cache_zone *zone, uint64_t hash)
{
    uint64_t number;

    pthread_mutex_lock(&zone->tag_lock);
    number = atomic_load(&zone->purge_number);
    zone->tag_purges[number % TAG_PURGES] = hash;
    atomic_store(&zone->purge_number, number + 1);
    pthread_mutex_unlock(&zone->tag_lock);
}

bool cache_tags_were_purged(struct cache_zone *zone, struct slice tags, uint64_t number)
{
    uint64_t newest = atomic_load(&zone->purge_number);
    bool was_purged = false;
    struct slice tag;

    if (newest == number || tags.len == 0)
        return false;
    pthread_mutex_lock(&zone->tag_lock);
    newest = atomic_load(&zone->purge_number);
    if (newest - number > TAG_PURGES)
        was_purged = true; /* for all that is known */
    while (!was_purged && cache_tags_next(&tags, &tag))
        for (uint64_t i = number; i < newest && !was_purged; i++)
            was_purged = zone->tag_purges[i % TAG_PURGES] == hash_bytes(tag);
    pthread_mutex_unlock(&zone->tag_lock);
    return was_purged;
}

/* At most so many; false: there are no more. */
static bool purge_some(struct cache_shard *shard, struct slice text, uint64_t hash, uint64_t *count)
{
    struct cache_dead dead = {0};
    struct cache_tag *tag;
    unsigned left = OBJECTS_AT_ONCE;

    pthread_mutex_lock(&shard->lock);
    while (left-- > 0 && (tag = cache_tag_find(shard, text, hash)) != NULL) {
        struct list_node *first = tag->objects.head.next; /* there is one, or no tag */
        struct cache_object *object = container_of(first, struct tag_link, place)->object;
        struct cache_entry *entry = object->entry;
        cache_entry_drop(object, &dead);
        cache_entry_tidy(shard, entry);
        ++*count;
    }
    tag = cache_tag_find(shard, text, hash);
    pthread_mutex_unlock(&shard->lock);
    cache_dead_free(&dead);
    return tag != NULL;
}

static uint64_t purge_tag(struct cache_zone *zone, struct slice tag)
{
    struct cache_shard *shards = cache_shards(zone);
    uint64_t hash = hash_bytes(tag), count = 0;

    note_tag_purge(zone, hash);
    for (unsigned i = 0; shards != NULL && i < SHARDS; i++)
        while (purge_some(&shards[i], tag, hash, &count))
            continue;
    count_purged(zone, count);
    return count;
}

/* --- in all zones --------------------------------------------------------------------------------
 */

static uint64_t purge(struct cache_zone *zone, enum cache_purge what, struct slice text)
{
    switch (what) {
    case PURGE_KEY: return cache_zone_purge(zone, text);
    case PURGE_PREFIX: return cache_zone_purge_prefix(zone, text);
    case PURGE_TAG: return purge_tag(zone, text);
    default: return cache_zone_purge_prefix(zone, slice_make(NULL, 0));
    }
}

uint64_t cache_store_purge(struct cache_store *store, enum cache_purge what, struct slice text)
{
    unsigned zone_count;
    struct cache_zone **zones = cache_store_zones(store, &zone_count);
    uint64_t count = 0;

    for (unsigned i = 0; i < zone_count; i++) {
        count += purge(zones[i], what, text);
        cache_zone_unref(zones[i]);
    }
    free(zones);
    return count;
}
