#include "policy/cache_internal.h"

#include <stdlib.h>

struct asking {
    const struct cache_question *question;
    struct cache_waiter *waiter;
    struct cache_shard *shard;
    uint64_t hash;
    uint64_t room;  /* taken for a fetch, its entry with it */
    uint64_t alike; /* struct cache_fetch */
    bool wants_room;
    struct cache_object *object; /* what comes of it */
    struct cache_fetch *fetch;
};

/* --- variants ------------------------------------------------------------------------------------
 */

/* What the request says of the fields of one Vary; most objects of a key have the same. */
struct variant {
    struct slice vary, text;
};

static bool tell_variant(const struct cache_question *question, struct slice vary,
                         struct variant *variant)
{
    if (vary.len == 0) {
        *variant = (struct variant){0};
        return true;
    }
    if (question->variant == NULL)
        return false;
    if (!slice_equal(vary, variant->vary))
        *variant = (struct variant){vary, question->variant(vary, question->request)};
    return true;
}

/* A whole one; one that grows, which is newer, only where there is none. *pending is one that
 * nobody can read along yet. What is older than the one that does not do does not do either. */
static struct cache_object *find_object(const struct cache_entry *entry,
                                        const struct cache_question *question,
                                        struct cache_object **pending)
{
    struct variant variant = {0};
    struct cache_object *growing = NULL;

    list_each (&entry->objects, node) {
        struct cache_object *object = container_of(node, struct cache_object, in_entry);
        if (object == question->unlike)
            break;
        if (!tell_variant(question, object->head.vary, &variant) ||
            !slice_equal(object->head.variant, variant.text))
            continue;
        if (cache_object_is_whole(object))
            return object;
        if (cache_body_promised(object->body) == CACHE_LENGTH_UNKNOWN)
            *pending = *pending != NULL ? *pending : object;
        else
            growing = growing != NULL ? growing : object;
    }
    return growing;
}

/* Requests of equal ones get the same response, by what the newest object says of Vary; 0: there is
 * none. */
static uint64_t tell_alike(const struct cache_entry *entry, const struct cache_question *question)
{
    struct list_node *first = list_first(&entry->objects);
    struct variant variant = {0};
    struct slice vary;

    if (first == NULL)
        return 0;
    vary = container_of(first, struct cache_object, in_entry)->head.vary;
    if (vary.len == 0 || !tell_variant(question, vary, &variant))
        return 1;
    return (hash_bytes(vary) ^ hash_bytes(variant.text) * 31) | 1;
}

/* --- the answers ---------------------------------------------------------------------------------
 */

static enum cache_answer pass(struct asking *asking)
{
    asking->shard->passed++;
    return CACHE_PASS;
}

static enum cache_answer give_object(struct asking *asking, struct cache_object *object)
{
    cache_object_ref(object);
    cache_note_hit(object);
    asking->shard->hits++;
    asking->object = object;
    return CACHE_HAS;
}

static enum cache_answer wait_for(struct asking *asking, struct cache_fetch *fetch)
{
    struct cache_waiter *waiter = asking->waiter;

    if (waiter == NULL)
        return CACHE_WAITS;
    if (waiter->disappointments >= CACHE_DISAPPOINTMENTS ||
        fetch->waiter_count >= CACHE_FETCH_WAITERS ||
        atomic_load(&fetch->zone->waiting) >= CACHE_ZONE_WAITERS)
        return pass(asking);
    cache_wait_for_fetch(waiter, fetch);
    asking->shard->waits++;
    return CACHE_WAITS;
}

/* One that has no head yet, and may well be for a request like this. Who does not wait may know of
 * those that nobody waits for, so that there is one at a time. */
static struct cache_fetch *find_fetch(const struct asking *asking, const struct cache_entry *entry)
{
    list_each (&entry->fetches, node) {
        struct cache_fetch *fetch = container_of(node, struct cache_fetch, in_entry);
        if (fetch->object == NULL && (!fetch->is_alone || asking->waiter == NULL) &&
            (fetch->alike == 0 || asking->alike == 0 || fetch->alike == asking->alike))
            return fetch;
    }
    return NULL;
}

static void begin_fetch(struct asking *asking, struct cache_entry *entry, struct cache_fetch *fetch)
{
    const struct cache_question *question = asking->question;

    *fetch = (struct cache_fetch){
        .zone = question->zone,
        .shard = asking->shard,
        .max_object = question->max_object,
        .key_hash = asking->hash,
        .purge_number = atomic_load(&question->zone->purge_number),
        .entry = entry,
        .alike = asking->alike,
        .is_alone = question->is_alone,
    };
    list_init(&fetch->waiters);
    cache_zone_ref(fetch->zone);
    if (question->unlike != NULL && question->unlike->entry == entry &&
        cache_object_is_whole(question->unlike)) {
        fetch->stale = question->unlike;
        cache_object_ref(fetch->stale);
    }
    list_push_back(&entry->fetches, &fetch->in_entry);
    entry->fetch_count++;
    asking->shard->misses++;
    asking->fetch = fetch;
}

/* The room that is left over stays with `asking`. */
static enum cache_answer give_fetch(struct asking *asking, struct cache_entry *entry)
{
    const struct cache_question *question = asking->question;
    struct cache_fetch *fetch;

    if (asking->room == 0) {
        asking->wants_room = true;
        return CACHE_PASS;
    }
    fetch = memory_try_bytes(sizeof(*fetch));
    if (fetch == NULL)
        return pass(asking);
    if (entry == NULL) {
        entry = cache_entry_new(asking->shard, question->key, asking->hash);
        if (entry == NULL) {
            free(fetch);
            return pass(asking);
        }
        asking->room -= cache_entry_cost(question->key);
    }
    begin_fetch(asking, entry, fetch);
    asking->room -= cache_cost(sizeof(*fetch));
    return CACHE_FETCH;
}

/* --- asking --------------------------------------------------------------------------------------
 */

/* With the shard's lock. */
static enum cache_answer answer(struct asking *asking)
{
    const struct cache_question *question = asking->question;
    struct cache_entry *entry = cache_entry_find(asking->shard, question->key, asking->hash);
    struct cache_object *object, *pending = NULL;
    struct cache_fetch *fetch;

    if (entry != NULL) {
        object = find_object(entry, question, &pending);
        if (object != NULL)
            return give_object(asking, object);
        if (pending != NULL)
            return wait_for(asking, pending->fetch);
    }
    if (cache_pass_is_known(asking->shard, asking->hash, question->now_ms))
        return pass(asking);
    if (entry != NULL) {
        asking->alike = tell_alike(entry, question);
        fetch = find_fetch(asking, entry);
        if (fetch != NULL)
            return wait_for(asking, fetch);
        if (entry->fetch_count >= CACHE_FETCHES_MOST)
            return pass(asking);
    }
    return give_fetch(asking, entry);
}

static enum cache_answer answer_locked(struct asking *asking)
{
    enum cache_answer given;

    pthread_mutex_lock(&asking->shard->lock);
    given = answer(asking);
    pthread_mutex_unlock(&asking->shard->lock);
    return given;
}

/* Nothing is evicted with the lock held: once it is clear that there is to be a fetch its room is
 * taken, and all is looked at again. */
enum cache_answer cache_ask(const struct cache_question *question, struct cache_waiter *waiter,
                            struct cache_object **object, struct cache_fetch **fetch)
{
    struct asking asking = {.question = question, .waiter = waiter};
    enum cache_answer given;

    *object = NULL;
    *fetch = NULL;
    if (waiter != NULL)
        cache_waiter_cancel(waiter);
    if (question->key.len > CACHE_KEY_MOST || cache_shards(question->zone) == NULL)
        return CACHE_PASS;
    asking.hash = hash_bytes(question->key);
    asking.shard = cache_shard_of(question->zone, asking.hash);
    given = answer_locked(&asking);
    if (asking.wants_room) {
        uint64_t room = cache_cost(sizeof(struct cache_fetch)) + cache_entry_cost(question->key);
        if (!cache_room_take(question->zone, room))
            return CACHE_PASS;
        asking.room = room;
        given = answer_locked(&asking);
        cache_room_give(question->zone, asking.room);
    }
    *object = asking.object;
    *fetch = asking.fetch;
    return given;
}
