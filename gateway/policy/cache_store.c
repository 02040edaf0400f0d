#include "policy/cache_internal.h"

#include <stdlib.h>

enum {
    GHOST_BYTES = 2048,        /* of a zone there are for each ghost */
    GHOST_SETS_MOST = 1 << 15, /* of a shard */
};

struct cache_store {
    pthread_mutex_t lock;
    struct table zones; /* struct cache_zone, by name */
};

struct cache_store *cache_store_new(void)
{
    struct cache_store *store = memory_new(sizeof(*store));

    pthread_mutex_init(&store->lock, NULL);
    return store;
}

void cache_store_free(struct cache_store *store)
{
    if (store == NULL)
        return;
    assert(store->zones.count == 0);
    table_clear(&store->zones);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

/* --- one zone ------------------------------------------------------------------------------------
 */

static uint64_t ghost_cost(size_t sets)
{
    return sets == 0 ? 0 : cache_cost(sets * GHOST_WAYS * sizeof(struct cache_ghost));
}

static uint64_t zone_cost(const struct cache_zone *zone)
{
    return cache_cost(sizeof(*zone)) + cache_cost(strlen(zone->name) + 1);
}

enum { SHARDS_BYTES = SHARDS * sizeof(struct cache_shard) };

static uint64_t shards_cost(void)
{
    return cache_cost(SHARDS_BYTES);
}

static struct cache_zone *zone_new(struct cache_store *store, struct slice name)
{
    struct cache_zone *zone = memory_new(sizeof(*zone));

    zone->store = store;
    zone->name = slice_duplicate(name);
    zone->used = zone_cost(zone);
    refcount_init(&zone->references);
    pthread_mutex_init(&zone->tag_lock, NULL);
    return zone;
}

/* False: there is no memory now; whoever asks next tries again. */
static bool make_shards(struct cache_zone *zone)
{
    struct cache_shard *shards = aligned_alloc(_Alignof(struct cache_shard), SHARDS_BYTES);

    if (shards == NULL)
        return false;
    memset(shards, 0, SHARDS_BYTES);
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&shards[i].lock, NULL);
        shards[i].zone = zone;
        for (unsigned queue = 0; queue < QUEUES; queue++)
            list_init(&shards[i].queues[queue]);
    }
    atomic_fetch_add(&zone->used, shards_cost());
    atomic_store_explicit(&zone->shards, shards, memory_order_release);
    return true;
}

/* What it took. */
static uint64_t free_shards(struct cache_zone *zone)
{
    struct cache_shard *shards = cache_shards(zone);
    uint64_t cost = shards != NULL ? shards_cost() : 0;

    for (unsigned i = 0; shards != NULL && i < SHARDS; i++) {
        struct cache_shard *shard = &shards[i];
        cost += ghost_cost(shard->ghost_sets) + cache_index_memory(&shard->entries, cache_cost) +
                cache_index_memory(&shard->tags, cache_cost);
        cache_index_clear(&shard->entries);
        cache_index_clear(&shard->tags);
        free(shard->ghosts);
        pthread_mutex_destroy(&shard->lock);
    }
    free(shards);
    return cost;
}

/* All that was ever taken has come back. */
static void zone_free(struct cache_zone *zone)
{
    uint64_t left = atomic_load(&zone->used) - zone_cost(zone) - free_shards(zone);

    assert(left == 0 && atomic_load(&zone->growing) == 0 && atomic_load(&zone->waiting) == 0);
    pthread_mutex_destroy(&zone->tag_lock);
    free(zone->name);
    free(zone);
}

void cache_zone_ref(struct cache_zone *zone)
{
    refcount_take(&zone->references);
}

void cache_zone_unref(struct cache_zone *zone)
{
    if (refcount_drop(&zone->references))
        zone_free(zone);
}

/* --- by name -------------------------------------------------------------------------------------
 */

struct cache_zone *cache_zone_take(struct cache_store *store, struct slice name)
{
    struct cache_zone *zone;

    pthread_mutex_lock(&store->lock);
    zone = table_get(&store->zones, name);
    if (zone == NULL) {
        zone = zone_new(store, name);
        table_put(&store->zones, slice_of(zone->name), zone);
    }
    zone->users++;
    pthread_mutex_unlock(&store->lock);
    return zone;
}

void cache_zone_keep(struct cache_zone *zone)
{
    pthread_mutex_lock(&zone->store->lock);
    zone->users++;
    pthread_mutex_unlock(&zone->store->lock);
}

void cache_zone_release(struct cache_zone *zone)
{
    bool was_last;

    pthread_mutex_lock(&zone->store->lock);
    was_last = --zone->users == 0;
    if (was_last)
        table_remove(&zone->store->zones, slice_of(zone->name));
    pthread_mutex_unlock(&zone->store->lock);
    if (!was_last)
        return;
    cache_zone_purge_prefix(zone, slice_make(NULL, 0));
    cache_zone_unref(zone);
}

struct cache_zone **cache_store_zones(struct cache_store *store, unsigned *count)
{
    struct cache_zone **zones;
    struct table_entry *entry;
    size_t position = 0;

    pthread_mutex_lock(&store->lock);
    zones = memory_array(store->zones.count, sizeof(struct cache_zone *));
    *count = 0;
    while ((entry = table_next(&store->zones, &position)) != NULL) {
        struct cache_zone *zone = entry->value;
        if (cache_shards(zone) == NULL)
            continue;
        cache_zone_ref(zone);
        zones[(*count)++] = zone;
    }
    pthread_mutex_unlock(&store->lock);
    return zones;
}

/* --- size ----------------------------------------------------------------------------------------
 */

static size_t ghost_sets_for(uint64_t bytes)
{
    uint64_t most = bytes / GHOST_BYTES / GHOST_WAYS / SHARDS;
    size_t sets = 1;

    while (sets * 2 <= most && sets < GHOST_SETS_MOST)
        sets *= 2;
    return sets;
}

/* Whoever is known as gone is forgotten. */
static void give_ghosts(struct cache_zone *zone, size_t sets)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct cache_shard *shard = &cache_shards(zone)[i];
        struct cache_ghost *ghosts = memory_try(sets * GHOST_WAYS * sizeof(*ghosts)), *old;
        size_t old_sets;
        pthread_mutex_lock(&shard->lock);
        old = shard->ghosts;
        old_sets = shard->ghost_sets;
        shard->ghosts = ghosts;
        shard->ghost_sets = ghosts != NULL ? sets : 0;
        atomic_fetch_add(&zone->used, ghost_cost(shard->ghost_sets));
        atomic_fetch_sub(&zone->used, ghost_cost(old_sets));
        pthread_mutex_unlock(&shard->lock);
        free(old);
    }
}

void cache_zone_resize(struct cache_zone *zone, uint64_t bytes, uint64_t serial)
{
    size_t sets = ghost_sets_for(bytes);

    if (atomic_load_explicit(&zone->serial, memory_order_relaxed) >= serial)
        return;
    pthread_mutex_lock(&zone->store->lock);
    if (atomic_load(&zone->serial) < serial && (cache_shards(zone) != NULL || make_shards(zone))) {
        if (zone->ghost_sets != sets)
            give_ghosts(zone, sets);
        zone->ghost_sets = sets;
        atomic_store(&zone->size, bytes);
        atomic_store(&zone->serial, serial);
    }
    pthread_mutex_unlock(&zone->store->lock);
}

/* --- telling -------------------------------------------------------------------------------------
 */

static void report_zone(struct cache_zone *zone, struct arena *arena,
                        struct cache_zone_report *report)
{
    *report = (struct cache_zone_report){
        .name = arena_copy(arena, slice_of(zone->name)),
        .size = atomic_load(&zone->size),
        .bytes = atomic_load(&zone->used),
        .objects = atomic_load(&zone->objects),
        .growing = atomic_load(&zone->growing),
        .waiting = atomic_load(&zone->waiting),
        .stored = atomic_load(&zone->stored),
        .evictions = atomic_load(&zone->evictions),
        .purged = atomic_load(&zone->purged),
        .refused = atomic_load(&zone->refused),
    };
    for (unsigned i = 0; i < SHARDS; i++) {
        struct cache_shard *shard = &cache_shards(zone)[i];
        pthread_mutex_lock(&shard->lock);
        report->hits += shard->hits;
        report->misses += shard->misses;
        report->waits += shard->waits;
        report->passes += shard->passed;
        pthread_mutex_unlock(&shard->lock);
    }
}

static int compare(const void *a, const void *b)
{
    const struct cache_zone *const *one = a, *const *other = b;

    return strcmp((*one)->name, (*other)->name);
}

struct cache_zone_report *cache_store_report(struct cache_store *store, struct arena *arena,
                                             unsigned *count)
{
    struct cache_zone **zones = cache_store_zones(store, count);
    struct cache_zone_report *reports = arena_alloc(arena, *count * sizeof(*reports));

    qsort(zones, *count, sizeof(struct cache_zone *), compare);
    for (unsigned i = 0; i < *count; i++) {
        report_zone(zones[i], arena, &reports[i]);
        cache_zone_unref(zones[i]);
    }
    free(zones);
    return reports;
}
