#include "policy/cache_internal.h"

#include <stdlib.h>

enum { COMPACT_MOST = 256 * 1024 }; /* 30 us to copy */

struct cache_object *cache_fetch_stale(const struct cache_fetch *fetch)
{
    return fetch->stale;
}

/* --- its ends ------------------------------------------------------------------------------------
 */

/* With the lock: out of its entry, which goes if nothing is left under it; those who wait ask
 * again. */
static void leave(struct cache_fetch *fetch, bool is_disappointing)
{
    struct cache_entry *entry = fetch->entry;

    cache_entry_drop_fetch(fetch);
    if (entry != NULL)
        cache_entry_tidy(fetch->shard, entry);
    cache_wake_all(&fetch->waiters, is_disappointing);
}

/* Without the lock. */
static void end(struct cache_fetch *fetch, struct cache_dead *dead)
{
    struct cache_zone *zone = fetch->zone;

    cache_dead_free(dead);
    cache_object_unref(fetch->object);
    cache_object_unref(fetch->stale);
    atomic_fetch_sub_explicit(&zone->growing, fetch->growing_bytes, memory_order_relaxed);
    cache_room_give(zone, cache_cost(sizeof(*fetch)));
    free(fetch);
    cache_zone_unref(zone);
}

/* With the lock: the object's last word. */
static void settle(struct cache_object *object, enum object_state state)
{
    atomic_store_explicit(&object->state, state, memory_order_release);
    object->fetch = NULL;
    cache_wake_all(&object->waiters, false);
}

void cache_fetch_give_up(struct cache_fetch *fetch, enum cache_give_up why, uint64_t now_ms)
{
    struct cache_shard *shard = fetch->shard;
    struct cache_dead dead = {0};

    pthread_mutex_lock(&shard->lock);
    if (fetch->object != NULL) {
        cache_entry_drop(fetch->object, &dead);
        settle(fetch->object, OBJECT_WAS_CUT);
    }
    if (why == CACHE_NOT_STORABLE)
        cache_pass_note(shard, fetch->key_hash, now_ms);
    leave(fetch, why != CACHE_NOT_STORABLE);
    pthread_mutex_unlock(&shard->lock);
    end(fetch, &dead);
}

/* --- growing -------------------------------------------------------------------------------------
 */

/* Bodies that are not whole cannot go: they take no more than half of a zone. */
static bool may_grow(struct cache_fetch *fetch, uint64_t bytes)
{
    struct cache_zone *zone = fetch->zone;
    uint64_t growing = atomic_fetch_add_explicit(&zone->growing, bytes, memory_order_relaxed);
    uint64_t most = atomic_load_explicit(&zone->size, memory_order_relaxed) / 2;

    if (bytes <= most && growing <= most - bytes) {
        fetch->growing_bytes += bytes;
        return true;
    }
    atomic_fetch_sub_explicit(&zone->growing, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&zone->refused, 1, memory_order_relaxed);
    return false;
}

/* With its tags' room taken. The body is taken, even where it fails. */
static struct cache_object *make_object(struct cache_fetch *fetch, const struct cache_head *head,
                                        struct cache_body *body)
{
    uint64_t cost = cache_object_cost(head), tags_cost = cache_tags_cost(head->tags);
    struct cache_object *object;

    if (cache_room_take(fetch->zone, cost + tags_cost)) {
        object = cache_object_new(fetch->zone, fetch->shard, head, body);
        if (object != NULL)
            return object;
        cache_room_give(fetch->zone, cost + tags_cost);
    }
    cache_body_unref(body);
    return NULL;
}

static struct cache_object *make_growing(struct cache_fetch *fetch, const struct cache_head *head,
                                         uint64_t length)
{
    struct cache_body *body;
    unsigned tags;

    if (!cache_tags_count(head->tags, &tags))
        return NULL;
    if (length != CACHE_LENGTH_UNKNOWN && (length > fetch->max_object || !may_grow(fetch, length)))
        return NULL;
    body = cache_body_new(fetch->zone, length);
    return body != NULL ? make_object(fetch, head, body) : NULL;
}

/* With the lock: one more variant of a key that has enough of them. */
static void make_place(struct cache_entry *entry, struct cache_dead *dead)
{
    struct list_node *oldest = list_last(&entry->objects);

    while (entry->object_count >= CACHE_VARIANTS_MOST && oldest != NULL) {
        struct cache_object *object = container_of(oldest, struct cache_object, in_entry);
        oldest = oldest->previous != &entry->objects.head ? oldest->previous : NULL;
        if (object->queue != QUEUE_NONE)
            cache_entry_drop(object, dead);
    }
}

/* With the lock: whether what comes is to be found. What was purged while it was on its way is
 * not. */
static bool is_wanted(struct cache_fetch *fetch, const struct cache_head *head)
{
    if (fetch->entry != NULL &&
        cache_tags_were_purged(fetch->zone, head->tags, fetch->purge_number))
        leave(fetch, false);
    return fetch->entry != NULL;
}

/* With the lock: under its key, where it is found. False: no memory. */
static bool place(struct cache_fetch *fetch, struct cache_object *object, struct cache_dead *dead)
{
    if (!is_wanted(fetch, &object->head)) {
        cache_room_give(fetch->zone, cache_tags_cost(object->head.tags));
        return true;
    }
    make_place(fetch->entry, dead);
    return cache_entry_add(fetch->entry, object);
}

struct cache_object *cache_fetch_begin(struct cache_fetch *fetch, const struct cache_head *head,
                                       uint64_t length, uint64_t now_ms)
{
    struct cache_object *object = make_growing(fetch, head, length);
    struct cache_dead dead = {0};
    bool is_placed = false;

    assert(fetch->object == NULL);
    if (object != NULL) {
        pthread_mutex_lock(&fetch->shard->lock);
        is_placed = place(fetch, object, &dead);
        if (is_placed) {
            object->fetch = fetch;
            fetch->object = object;
            cache_object_ref(object);
            cache_wake_all(&fetch->waiters, false);
        }
        pthread_mutex_unlock(&fetch->shard->lock);
        cache_dead_free(&dead);
    }
    if (is_placed)
        return object;
    cache_object_unref(object);
    cache_fetch_give_up(fetch, CACHE_NOT_STORABLE, now_ms);
    return NULL;
}

bool cache_fetch_append(struct cache_fetch *fetch, struct slice bytes)
{
    struct cache_object *object = fetch->object;
    bool is_promised = cache_body_promised(object->body) != CACHE_LENGTH_UNKNOWN;

    if (!is_promised && (bytes.len > fetch->max_object || !may_grow(fetch, bytes.len)))
        return false;
    if (!cache_body_append(object->body, bytes, fetch->max_object))
        return false;
    pthread_mutex_lock(&fetch->shard->lock);
    cache_wake_all(&object->waiters, false);
    pthread_mutex_unlock(&fetch->shard->lock);
    return true;
}

/* --- whole ---------------------------------------------------------------------------------------
 */

static bool is_complete(const struct cache_object *object)
{
    uint64_t promised = cache_body_promised(object->body);

    return promised == CACHE_LENGTH_UNKNOWN || promised == cache_body_length(object->body);
}

/* With the lock: the same variant in an older edition, and what it was to renew, go; how often they
 * were hit counts for the new one. */
static void replace_older(struct cache_fetch *fetch, struct cache_object *newest,
                          struct cache_dead *dead)
{
    list_each (&newest->entry->objects, node) {
        struct cache_object *object = container_of(node, struct cache_object, in_entry);
        if (object == newest || !cache_object_is_whole(object))
            continue;
        if (object != fetch->stale && !(slice_equal(object->head.vary, newest->head.vary) &&
                                        slice_equal(object->head.variant, newest->head.variant)))
            continue;
        if (newest->queue == QUEUE_NONE)
            cache_queue_replace(fetch->shard, object, newest);
        cache_entry_drop(object, dead);
    }
}

/* One of a length that nobody knew has taken more than it needs: what is kept is a copy of it
 * if it is not large. With its tags' room taken; NULL: it stays as it is. */
static struct cache_object *make_compact(struct cache_fetch *fetch)
{
    struct cache_object *object = fetch->object;
    uint64_t length = cache_body_length(object->body);
    struct cache_body *body;
    struct slice piece;

    if (cache_body_promised(object->body) != CACHE_LENGTH_UNKNOWN || length > COMPACT_MOST)
        return NULL;
    body = cache_body_new(fetch->zone, length);
    if (body == NULL)
        return NULL;
    for (uint64_t at = 0; cache_body_read(object->body, at, &piece) == IO_OK; at += piece.len)
        cache_body_append(body, piece, length);
    return make_object(fetch, &object->head, body);
}

/* With the lock: in the place of the one that has grown, which is left to those who read it. */
static bool keep_compact(struct cache_fetch *fetch, struct cache_object *compact,
                         struct cache_dead *dead)
{
    atomic_store_explicit(&compact->state, OBJECT_IS_WHOLE, memory_order_release);
    if (!cache_entry_add(fetch->object->entry, compact))
        return false;
    cache_entry_drop(fetch->object, dead);
    return true;
}

/* With the lock: it is stored. */
static void keep(struct cache_fetch *fetch, struct cache_object *compact, struct cache_dead *dead)
{
    struct cache_object *kept = fetch->object;

    if (kept->entry == NULL) { /* purged meanwhile */
        if (compact != NULL)
            cache_room_give(fetch->zone, cache_tags_cost(compact->head.tags));
        return;
    }
    if (compact != NULL && keep_compact(fetch, compact, dead))
        kept = compact;
    replace_older(fetch, kept, dead);
    if (kept->queue == QUEUE_NONE)
        cache_queue_enter(fetch->shard, kept);
    atomic_fetch_add_explicit(&fetch->zone->stored, 1, memory_order_relaxed);
}

bool cache_fetch_finish(struct cache_fetch *fetch)
{
    struct cache_object *object = fetch->object, *compact;
    struct cache_dead dead = {0};

    assert(object != NULL);
    if (!is_complete(object)) {
        cache_fetch_give_up(fetch, CACHE_CUT, 0);
        return false;
    }
    compact = make_compact(fetch);
    pthread_mutex_lock(&fetch->shard->lock);
    keep(fetch, compact, &dead);
    settle(object, OBJECT_IS_WHOLE);
    leave(fetch, false);
    pthread_mutex_unlock(&fetch->shard->lock);
    cache_object_unref(compact);
    end(fetch, &dead);
    return true;
}

/* With the lock. */
static bool put_in_place_of_stale(struct cache_fetch *fetch, struct cache_object *object,
                                  struct cache_dead *dead)
{
    struct cache_object *stale = fetch->stale;

    if (stale->entry == NULL || !is_wanted(fetch, &object->head)) {
        cache_room_give(fetch->zone, cache_tags_cost(object->head.tags));
        return false;
    }
    if (!cache_entry_add(fetch->entry, object))
        return false;
    cache_queue_replace(fetch->shard, stale, object);
    cache_entry_drop(stale, dead);
    return true;
}

struct cache_object *cache_fetch_renew(struct cache_fetch *fetch, const struct cache_head *head)
{
    struct cache_object *object = NULL;
    struct cache_dead dead = {0};
    bool is_placed = false;
    unsigned tags;

    assert(fetch->stale != NULL && fetch->object == NULL);
    if (cache_tags_count(head->tags, &tags))
        object = make_object(fetch, head, cache_body_ref(fetch->stale->body));
    pthread_mutex_lock(&fetch->shard->lock);
    if (object != NULL) {
        atomic_store_explicit(&object->state, OBJECT_IS_WHOLE, memory_order_release);
        is_placed = put_in_place_of_stale(fetch, object, &dead);
    }
    leave(fetch, false);
    pthread_mutex_unlock(&fetch->shard->lock);
    end(fetch, &dead);
    if (is_placed)
        return object;
    cache_object_unref(object);
    return NULL;
}
