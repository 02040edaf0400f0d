#include "policy/cache_internal.h"

#include <stdlib.h>

enum { ALIGNMENT = 16 };

/* --- tags: words between spaces ------------------------------------------------------------------
 */

bool cache_tags_next(struct slice *tags, struct slice *tag)
{
    size_t start = 0, end;

    while (start < tags->len && (tags->at[start] == ' ' || tags->at[start] == '\t'))
        start++;
    for (end = start; end < tags->len && tags->at[end] != ' ' && tags->at[end] != '\t';)
        end++;
    *tag = slice_make(start == 0 ? tags->at : tags->at + start, end - start);
    *tags = slice_skip(*tags, end);
    return tag->len > 0;
}

bool cache_tags_count(struct slice tags, unsigned *count)
{
    struct slice tag;

    for (*count = 0; cache_tags_next(&tags, &tag); ++*count)
        if (tag.len > CACHE_TAG_BYTES || *count == CACHE_TAGS_MOST)
            return false;
    return true;
}

/* --- the block -----------------------------------------------------------------------------------
 */

/* Where in the block what lies. */
struct layout {
    size_t life, fields, tags, texts, bytes;
    unsigned tag_count;
};

static size_t align(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct layout lay_out(const struct cache_head *head)
{
    struct layout layout;

    cache_tags_count(head->tags, &layout.tag_count);
    layout.life = align(sizeof(struct cache_object));
    layout.fields = layout.life + align(head->life_bytes);
    layout.tags = layout.fields + align(head->fields.count * sizeof(struct http_field));
    layout.texts = layout.tags + layout.tag_count * sizeof(struct tag_link);
    layout.bytes = layout.texts + head->vary.len + head->variant.len + head->tags.len;
    for (uint32_t i = 0; i < head->fields.count; i++)
        layout.bytes += head->fields.list[i].name.len + head->fields.list[i].value.len;
    return layout;
}

uint64_t cache_object_cost(const struct cache_head *head)
{
    return cache_cost(lay_out(head).bytes);
}

static struct slice copy(char **to, struct slice text)
{
    struct slice copied = slice_make(*to, text.len);

    if (text.len > 0)
        memcpy(*to, text.at, text.len);
    *to += text.len;
    return copied;
}

/* All of it into the block, behind the object. */
static void copy_head(struct cache_object *object, const struct layout *layout,
                      const struct cache_head *head)
{
    char *block = (char *)object, *texts = block + layout->texts;
    struct http_field *fields = (void *)(block + layout->fields);

    object->head = (struct cache_head){
        .status = head->status,
        .fields = {fields, head->fields.count, head->fields.count},
        .life = block + layout->life,
        .life_bytes = head->life_bytes,
    };
    if (head->life_bytes > 0)
        memcpy(block + layout->life, head->life, head->life_bytes);
    for (uint32_t i = 0; i < head->fields.count; i++) {
        const struct http_field *from = &head->fields.list[i];
        fields[i] = (struct http_field){
            .name = copy(&texts, from->name), .value = copy(&texts, from->value), .id = from->id};
    }
    object->head.vary = copy(&texts, head->vary);
    object->head.variant = copy(&texts, head->variant);
    object->head.tags = copy(&texts, head->tags);
}

struct cache_object *cache_object_new(struct cache_zone *zone, struct cache_shard *shard,
                                      const struct cache_head *head, struct cache_body *body)
{
    struct layout layout = lay_out(head);
    struct cache_object *object = memory_try_bytes(layout.bytes);

    if (object == NULL)
        return NULL;
    *object = (struct cache_object){
        .zone = zone,
        .shard = shard,
        .body = body,
        .cost = cache_cost(layout.bytes),
        .tag_count = layout.tag_count,
        .tags = (void *)((char *)object + layout.tags),
    };
    for (unsigned i = 0; i < layout.tag_count; i++)
        object->tags[i] = (struct tag_link){.object = object};
    copy_head(object, &layout, head);
    refcount_init(&object->references);
    list_init(&object->waiters);
    cache_zone_ref(zone);
    return object;
}

void cache_object_ref(struct cache_object *object)
{
    refcount_take(&object->references);
}

void cache_object_unref(struct cache_object *object)
{
    struct cache_zone *zone;

    if (object == NULL || !refcount_drop(&object->references))
        return;
    zone = object->zone;
    assert(list_is_empty(&object->waiters) && object->entry == NULL);
    cache_body_unref(object->body);
    cache_room_give(zone, object->cost);
    free(object);
    cache_zone_unref(zone);
}

/* --- what it says --------------------------------------------------------------------------------
 */

const struct cache_head *cache_object_head(const struct cache_object *object)
{
    return &object->head;
}

static enum object_state state_of(const struct cache_object *object)
{
    return atomic_load_explicit(&object->state, memory_order_acquire);
}

bool cache_object_is_whole(const struct cache_object *object)
{
    return state_of(object) == OBJECT_IS_WHOLE;
}

bool cache_object_length(const struct cache_object *object, uint64_t *length)
{
    *length = cache_object_is_whole(object) ? cache_body_length(object->body)
                                            : cache_body_promised(object->body);
    return *length != CACHE_LENGTH_UNKNOWN;
}

uint64_t cache_object_bytes(const struct cache_object *object)
{
    return object->cost + cache_body_cost(object->body);
}

/* Its state is looked at first: once it is whole the length is all of it. */
static enum io read_now(const struct cache_object *object, uint64_t offset, struct slice *piece)
{
    enum object_state state = state_of(object);

    if (cache_body_read(object->body, offset, piece) == IO_OK)
        return IO_OK;
    if (state == OBJECT_GROWS)
        return IO_WAIT;
    return state == OBJECT_IS_WHOLE ? IO_EOF : IO_ERROR;
}

enum io cache_object_read(struct cache_object *object, uint64_t offset, struct cache_waiter *waiter,
                          struct slice *piece)
{
    enum io io = read_now(object, offset, piece);

    if (io != IO_WAIT)
        return io;
    cache_waiter_cancel(waiter);
    pthread_mutex_lock(&object->shard->lock);
    io = read_now(object, offset, piece);
    if (io == IO_WAIT)
        cache_wait_for_bytes(waiter, object);
    pthread_mutex_unlock(&object->shard->lock);
    return io;
}

/* --- its body in other codings -------------------------------------------------------------------
 */

const struct cache_body *cache_object_encoded(const struct cache_object *object, unsigned coding)
{
    return cache_body_encoded(object->body, coding);
}

struct cache_body *cache_encoding_begin(struct cache_object *object)
{
    struct cache_body *body;

    if (!cache_object_is_whole(object) || !cache_body_begin_encoding(object->body))
        return NULL;
    body = cache_body_new(object->zone, CACHE_LENGTH_UNKNOWN);
    if (body == NULL)
        cache_body_end_encoding(object->body);
    return body;
}

bool cache_encoding_append(struct cache_object *object, struct cache_body *body, struct slice bytes)
{
    return cache_body_append(body, bytes, cache_body_length(object->body));
}

void cache_encoding_end(struct cache_object *object, struct cache_body *body, unsigned coding)
{
    struct cache_shard *shard = object->shard;
    bool is_kept;

    cache_body_end_encoding(object->body);
    if (coding >= CACHE_CODINGS) {
        cache_body_unref(body);
        return;
    }
    cache_body_trim(body);
    pthread_mutex_lock(&shard->lock);
    is_kept = cache_body_keep_encoded(object->body, coding, body);
    if (is_kept)
        cache_queue_measure(shard, object);
    pthread_mutex_unlock(&shard->lock);
    if (!is_kept)
        cache_body_unref(body);
}
