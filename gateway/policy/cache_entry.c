#include "policy/cache_internal.h"

#include <stdlib.h>

/* --- what is no longer found ---------------------------------------------------------------------
 */

static void bury(struct cache_object *object, struct cache_dead *dead)
{
    object->next_dead = dead->first;
    dead->first = object;
}

void cache_dead_free(struct cache_dead *dead)
{
    while (dead->first != NULL) {
        struct cache_object *object = dead->first;
        dead->first = object->next_dead;
        cache_object_unref(object);
    }
}

/* --- entries -------------------------------------------------------------------------------------
 */

static struct cache_entry *entry_of(struct cache_node *node)
{
    return container_of(node, struct cache_entry, node);
}

struct cache_entry *cache_entry_find(struct cache_shard *shard, struct slice key, uint64_t hash)
{
    struct cache_node *node = cache_index_first(&shard->entries, hash >> SHARD_BITS);

    for (; node != NULL; node = node->next) {
        struct cache_entry *entry = entry_of(node);
        if (node->hash == hash >> SHARD_BITS && entry->key_bytes == key.len &&
            memcmp(entry->key, key.at, key.len) == 0)
            return entry;
    }
    return NULL;
}

uint64_t cache_entry_cost(struct slice key)
{
    return cache_cost(sizeof(struct cache_entry) + key.len);
}

/* Whatever the table wants to grow by is taken if it is there. */
static bool add_node(struct cache_zone *zone, struct cache_index *index, struct cache_node *node)
{
    size_t wants = cache_index_wants(index);
    bool may_grow = wants == 0 || cache_room_try(zone, cache_cost(wants));

    if (cache_index_add(index, node, may_grow))
        return true;
    if (wants > 0 && may_grow)
        cache_room_give(zone, cache_cost(wants));
    return false;
}

struct cache_entry *cache_entry_new(struct cache_shard *shard, struct slice key, uint64_t hash)
{
    struct cache_entry *entry = memory_try_bytes(sizeof(*entry) + key.len);

    if (entry == NULL)
        return NULL;
    *entry = (struct cache_entry){.node.hash = hash >> SHARD_BITS, .key_bytes = key.len};
    memcpy(entry->key, key.at, key.len);
    list_init(&entry->objects);
    list_init(&entry->fetches);
    if (add_node(shard->zone, &shard->entries, &entry->node))
        return entry;
    free(entry);
    return NULL;
}

void cache_entry_tidy(struct cache_shard *shard, struct cache_entry *entry)
{
    if (entry->object_count > 0 || entry->fetch_count > 0)
        return;
    cache_index_remove(&shard->entries, &entry->node);
    cache_room_give(shard->zone, cache_cost(sizeof(*entry) + entry->key_bytes));
    free(entry);
}

/* --- tags ----------------------------------------------------------------------------------------
 */

struct cache_tag *cache_tag_find(struct cache_shard *shard, struct slice text, uint64_t hash)
{
    struct cache_node *node = cache_index_first(&shard->tags, hash);

    for (; node != NULL; node = node->next) {
        struct cache_tag *tag = container_of(node, struct cache_tag, node);
        if (node->hash == hash && slice_equal(slice_make(tag->text, tag->bytes), text))
            return tag;
    }
    return NULL;
}

static uint64_t tag_cost(size_t bytes)
{
    return cache_cost(sizeof(struct cache_tag) + bytes);
}

uint64_t cache_tags_cost(struct slice tags)
{
    uint64_t cost = 0;
    struct slice tag;

    while (cache_tags_next(&tags, &tag))
        cost += tag_cost(tag.len);
    return cost;
}

static struct cache_tag *tag_new(struct cache_shard *shard, struct slice text, uint64_t hash)
{
    struct cache_tag *tag = memory_try_bytes(sizeof(*tag) + text.len);

    if (tag == NULL)
        return NULL;
    *tag = (struct cache_tag){.node.hash = hash, .bytes = text.len};
    memcpy(tag->text, text.at, text.len);
    list_init(&tag->objects);
    if (add_node(shard->zone, &shard->tags, &tag->node))
        return tag;
    free(tag);
    return NULL;
}

static void unlink_tags(struct cache_object *object)
{
    struct cache_shard *shard = object->shard;

    for (unsigned i = 0; i < object->tag_count; i++) {
        struct cache_tag *tag = object->tags[i].tag;
        if (tag == NULL)
            continue;
        object->tags[i].tag = NULL;
        list_remove(&object->tags[i].place);
        if (!list_is_empty(&tag->objects))
            continue;
        cache_index_remove(&shard->tags, &tag->node);
        cache_room_give(shard->zone, tag_cost(tag->bytes));
        free(tag);
    }
}

/* The room for a new one is there, and goes back if it is not needed. NULL: no memory. */
static struct cache_tag *get_tag(struct cache_shard *shard, struct slice text)
{
    uint64_t hash = hash_bytes(text);
    struct cache_tag *known = cache_tag_find(shard, text, hash);
    struct cache_tag *tag = known != NULL ? known : tag_new(shard, text, hash);

    if (known != NULL || tag == NULL)
        cache_room_give(shard->zone, tag_cost(text.len));
    return tag;
}

static bool link_tags(struct cache_object *object)
{
    struct slice left = object->head.tags, text;
    bool is_fine = true;

    for (unsigned i = 0; i < object->tag_count && cache_tags_next(&left, &text); i++) {
        struct cache_tag *tag = get_tag(object->shard, text);
        is_fine = is_fine && tag != NULL;
        if (tag == NULL)
            continue;
        object->tags[i].tag = tag;
        list_insert_before(&tag->objects.head, &object->tags[i].place);
    }
    if (!is_fine)
        unlink_tags(object);
    return is_fine;
}

/* --- objects under an entry ----------------------------------------------------------------------
 */

bool cache_entry_add(struct cache_entry *entry, struct cache_object *object)
{
    if (!link_tags(object))
        return false;
    cache_object_ref(object);
    object->entry = entry;
    list_push_front(&entry->objects, &object->in_entry);
    entry->object_count++;
    atomic_fetch_add_explicit(&object->zone->objects, 1, memory_order_relaxed);
    return true;
}

void cache_entry_drop(struct cache_object *object, struct cache_dead *dead)
{
    if (object->entry == NULL)
        return;
    unlink_tags(object);
    cache_queue_leave(object->shard, object);
    list_remove(&object->in_entry);
    object->entry->object_count--;
    object->entry = NULL;
    atomic_fetch_sub_explicit(&object->zone->objects, 1, memory_order_relaxed);
    bury(object, dead);
}

void cache_entry_drop_fetch(struct cache_fetch *fetch)
{
    if (fetch->entry == NULL)
        return;
    list_remove(&fetch->in_entry);
    fetch->entry->fetch_count--;
    fetch->entry = NULL;
}

/* --- keys that are not storable ------------------------------------------------------------------
 */

static unsigned pass_of(uint64_t hash)
{
    return hash >> SHARD_BITS & (PASSES - 1);
}

bool cache_pass_is_known(const struct cache_shard *shard, uint64_t hash, uint64_t now_ms)
{
    const struct cache_pass *pass = &shard->passes[pass_of(hash)];

    return pass->hash == hash && now_ms < pass->until_ms;
}

void cache_pass_note(struct cache_shard *shard, uint64_t hash, uint64_t now_ms)
{
    shard->passes[pass_of(hash)] = (struct cache_pass){hash, now_ms + CACHE_PASS_MS};
}
