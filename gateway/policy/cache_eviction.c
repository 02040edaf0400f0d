#include "policy/cache_internal.h"

/* Which objects go: S3-FIFO (J. Yang and others, "FIFO queues are all you need for cache eviction",
 * SOSP 2023), in each shard for itself, by bytes.
 *
 * What is new enters a small queue. Most of what comes is asked for once: it leaves that queue at
 * its end without having taken the place of anything that is asked for again and again. What was
 * hit meanwhile goes to the main queue instead, and so does what comes back soon after it has gone
 * (a ghost: its hash alone). In the main queue one that was hit gets another round for each hit, up
 * to three. So a scan of everything passes through a tenth of the memory.
 *
 * A hit writes a number, moves nothing. What somebody reads does not go: that would free nothing.
 */
enum {
    SMALL_SHARE = 10, /* the small queue's share is one of so many bytes */
    FREQUENCY_MOST = 3,
    KEPT_AFTER = 1,        /* hits in the small queue that lead to the main one */
    LOOKS_MOST = 64,       /* at objects, with a lock held */
    EVICTIONS_MOST = 8192, /* for one that comes: 1 or 2 ms */
    IN_VAIN_MOST = 4 * SHARDS,
};

/* --- queues --------------------------------------------------------------------------------------
 */

static void count_bytes(struct cache_shard *shard, enum object_queue queue, uint64_t more)
{
    shard->queue_bytes[queue] += more;
    atomic_fetch_add_explicit(&shard->bytes, more, memory_order_relaxed);
}

static void push(struct cache_shard *shard, struct cache_object *object, enum object_queue queue)
{
    object->queue = (uint8_t)queue;
    list_push_back(&shard->queues[queue], &object->in_queue);
    count_bytes(shard, queue, object->queued_bytes);
    shard->queue_counts[queue]++;
}

static void pull(struct cache_shard *shard, struct cache_object *object)
{
    list_remove(&object->in_queue);
    count_bytes(shard, object->queue, -object->queued_bytes);
    shard->queue_counts[object->queue]--;
    object->queue = QUEUE_NONE;
}

void cache_queue_leave(struct cache_shard *shard, struct cache_object *object)
{
    if (object->queue != QUEUE_NONE)
        pull(shard, object);
}

void cache_queue_replace(struct cache_shard *shard, struct cache_object *object,
                         struct cache_object *next)
{
    enum object_queue queue = object->queue != QUEUE_NONE ? object->queue : QUEUE_MAIN;

    next->frequency = object->frequency;
    next->queued_bytes = cache_object_bytes(next);
    push(shard, next, queue);
    if (object->queue == QUEUE_NONE)
        return;
    list_remove(&next->in_queue); /* not behind all others: in the old one's place */
    list_insert_before(&object->in_queue, &next->in_queue);
    pull(shard, object);
}

void cache_queue_measure(struct cache_shard *shard, struct cache_object *object)
{
    uint64_t bytes = cache_object_bytes(object);

    if (object->queue == QUEUE_NONE)
        return;
    count_bytes(shard, object->queue, bytes - object->queued_bytes);
    object->queued_bytes = bytes;
}

void cache_note_hit(struct cache_object *object)
{
    if (object->frequency < FREQUENCY_MOST)
        object->frequency++;
}

/* --- ghosts --------------------------------------------------------------------------------------
 */

/* Of an object's key and variant. */
static uint64_t print_of(const struct cache_object *object)
{
    uint64_t hash = object->entry->node.hash;

    if (object->head.variant.len > 0)
        hash ^= hash_bytes(object->head.variant);
    return hash >> SHARD_BITS;
}

static struct cache_ghost *set_of(const struct cache_shard *shard, uint64_t print)
{
    return &shard->ghosts[(print >> 32 & (shard->ghost_sets - 1)) * GHOST_WAYS];
}

static void remember(struct cache_shard *shard, const struct cache_object *object)
{
    uint64_t print = print_of(object);
    struct cache_ghost *set;

    if (shard->ghost_sets == 0)
        return;
    set = set_of(shard, print);
    memmove(set + 1, set, (GHOST_WAYS - 1) * sizeof(*set));
    set[0] = (struct cache_ghost){(uint32_t)print | 1, ++shard->ghost_clock};
}

/* It went not long ago: fewer have gone since than the main queue holds. */
static bool comes_back(struct cache_shard *shard, const struct cache_object *object)
{
    uint64_t print = print_of(object);
    struct cache_ghost *set;

    if (shard->ghost_sets == 0)
        return false;
    set = set_of(shard, print);
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        if (set[i].print != ((uint32_t)print | 1))
            continue;
        set[i].print = 0;
        return shard->ghost_clock - set[i].when <=
               shard->queue_counts[QUEUE_MAIN] + shard->queue_counts[QUEUE_SMALL];
    }
    return false;
}

void cache_queue_enter(struct cache_shard *shard, struct cache_object *object)
{
    object->queued_bytes = cache_object_bytes(object);
    push(shard, object, comes_back(shard, object) ? QUEUE_MAIN : QUEUE_SMALL);
}

/* --- evicting ------------------------------------------------------------------------------------
 */

/* All references but the shard's: with its lock held nobody gets the first one of those. */
static bool is_read(const struct cache_object *object)
{
    return atomic_load_explicit(&object->references.count, memory_order_acquire) > 1;
}

static enum object_queue choose_queue(const struct cache_shard *shard)
{
    uint64_t small = shard->queue_bytes[QUEUE_SMALL];
    uint64_t all = small + shard->queue_bytes[QUEUE_MAIN];

    if (list_is_empty(&shard->queues[QUEUE_MAIN]))
        return QUEUE_SMALL;
    return small > all / SMALL_SHARE ? QUEUE_SMALL : QUEUE_MAIN;
}

/* Another round in the main queue, or the end. */
static bool may_stay(struct cache_object *object)
{
    if (is_read(object))
        return true;
    if (object->queue == QUEUE_SMALL) {
        bool is_kept = object->frequency >= KEPT_AFTER;
        object->frequency = 0;
        return is_kept;
    }
    if (object->frequency == 0)
        return false;
    object->frequency--;
    return true;
}

/* False: none of those that it looked at. */
static bool evict_one(struct cache_shard *shard, struct cache_dead *dead)
{
    for (unsigned looks = 0; looks < LOOKS_MOST; looks++) {
        enum object_queue queue = choose_queue(shard);
        struct list_node *first = list_first(&shard->queues[queue]);
        struct cache_object *object;
        struct cache_entry *entry;
        if (first == NULL)
            return false;
        object = container_of(first, struct cache_object, in_queue);
        if (may_stay(object)) {
            pull(shard, object);
            push(shard, object, QUEUE_MAIN);
            continue;
        }
        if (queue == QUEUE_SMALL)
            remember(shard, object);
        entry = object->entry;
        cache_entry_drop(object, dead);
        cache_entry_tidy(shard, entry);
        atomic_fetch_add_explicit(&shard->zone->evictions, 1, memory_order_relaxed);
        return true;
    }
    return false;
}

/* --- room ----------------------------------------------------------------------------------------
 */

bool cache_room_try(struct cache_zone *zone, uint64_t bytes)
{
    uint64_t used = atomic_load_explicit(&zone->used, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&zone->size, memory_order_relaxed);

    do {
        if (bytes > size || used > size - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&zone->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void cache_room_give(struct cache_zone *zone, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&zone->used, bytes, memory_order_relaxed);
}

/* Whichever it is for: keys are spread evenly. The fuller one of two, which are other two each
 * time, so that none gets ever fuller or emptier; when that is in vain, one after the other. */
static struct cache_shard *choose_shard(struct cache_zone *zone, unsigned in_vain)
{
    unsigned turn = atomic_fetch_add_explicit(&zone->hand, 1, memory_order_relaxed);
    struct cache_shard *shards = cache_shards(zone), *one = &shards[turn % SHARDS];
    struct cache_shard *other = &shards[(turn + 1 + turn / SHARDS % (SHARDS - 1)) % SHARDS];

    return in_vain >= SHARDS || atomic_load_explicit(&one->bytes, memory_order_relaxed) >=
                                    atomic_load_explicit(&other->bytes, memory_order_relaxed)
               ? one
               : other;
}

bool cache_room_take(struct cache_zone *zone, uint64_t bytes)
{
    unsigned in_vain = 0;

    if (bytes > atomic_load_explicit(&zone->size, memory_order_relaxed) / 4 * 3)
        return false; /* it is not worth all the others */
    for (unsigned evictions = 0; !cache_room_try(zone, bytes); evictions++) {
        struct cache_shard *shard;
        struct cache_dead dead = {0};
        if (evictions == EVICTIONS_MOST || in_vain == IN_VAIN_MOST) {
            atomic_fetch_add_explicit(&zone->refused, 1, memory_order_relaxed);
            return false;
        }
        shard = choose_shard(zone, in_vain);
        pthread_mutex_lock(&shard->lock);
        in_vain = evict_one(shard, &dead) ? 0 : in_vain + 1;
        pthread_mutex_unlock(&shard->lock);
        cache_dead_free(&dead);
    }
    return true;
}
