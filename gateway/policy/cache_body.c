#include "policy/cache_internal.h"

#include <stdlib.h>

/* The first bytes lie in the body's own block, so that what is small is one. The rest is in chunks
 * that never move: of CHUNK_BYTES where the length is known, else each twice the last, until they
 * are as large, so that what turns out to be short has not taken much.
 *
 * A chunk is what a connection writes at once. The kernel hands on at most 64 KiB as one packet,
 * for the device to cut, so a chunk is less than that by what TLS and the head of the response add:
 * a few bytes more, and behind each packet follows a tiny one that costs as much. */
enum {
    CHUNK_BYTES = 63 * 1024,
    CHUNK_LEAST = 63 * 64,  /* of the first where nobody knows how many will follow */
    CHUNK_STEPS = 4,        /* each twice the last; then CHUNK_BYTES */
    FIRST_BYTES = 2 * 1024, /* likewise, in the body's own block */
    SEGMENTS = 32,          /* of pointers to chunks, each twice the last */
    ENCODINGS_AT_ONCE = 4,  /* that are made of one, so that those who read it slowly push nothing
                               else out */
};

static_assert(CHUNK_LEAST << CHUNK_STEPS == CHUNK_BYTES, "they double until they are as large");

struct chunks {
    char **segments[SEGMENTS];
    size_t count;
};

struct cache_body {
    struct refcount references;
    struct cache_zone *zone; /* a reference */
    _Atomic uint64_t length; /* of what there is */
    uint64_t promised;       /* CACHE_LENGTH_UNKNOWN */
    uint64_t room;           /* in the blocks that there are */
    uint64_t cost;           /* of the zone's room: of all blocks, also those to come if promised */
    uint64_t first_bytes;
    struct chunks *chunks; /* NULL: none yet */
    _Atomic(struct cache_body *) encoded[CACHE_CODINGS];
    _Atomic unsigned encodings; /* being made */
    char first[];
};

/* --- where what is -------------------------------------------------------------------------------
 */

static bool is_promised(const struct cache_body *body)
{
    return body->promised != CACHE_LENGTH_UNKNOWN;
}

static uint64_t chunk_bytes(const struct cache_body *body, size_t number)
{
    return is_promised(body) || number >= CHUNK_STEPS ? CHUNK_BYTES
                                                      : (uint64_t)CHUNK_LEAST << number;
}

/* Which chunk it is in; *offset becomes the place in it. */
static size_t chunk_at(const struct cache_body *body, uint64_t *offset)
{
    size_t number = 0;

    *offset -= body->first_bytes;
    if (!is_promised(body))
        for (; number < CHUNK_STEPS && *offset >= chunk_bytes(body, number); number++)
            *offset -= chunk_bytes(body, number);
    if (is_promised(body) || number == CHUNK_STEPS) {
        number += *offset / CHUNK_BYTES;
        *offset %= CHUNK_BYTES;
    }
    return number;
}

static unsigned segment_of(size_t number)
{
    return (unsigned)(63 - __builtin_clzll(number + 1));
}

static char **slot_of(const struct chunks *chunks, size_t number)
{
    unsigned segment = segment_of(number);

    return &chunks->segments[segment][number + 1 - ((size_t)1 << segment)];
}

/* --- room for more -------------------------------------------------------------------------------
 */

/* What one more chunk takes beside its bytes, for the places of pointers. */
static uint64_t pointers_cost(size_t number)
{
    uint64_t cost = number == 0 ? cache_cost(sizeof(struct chunks)) : 0;

    if (((number + 1) & number) == 0) /* the first of a segment */
        cost += cache_cost((number + 1) * sizeof(char *));
    return cost;
}

static bool make_pointers(struct cache_body *body, size_t number)
{
    unsigned segment = segment_of(number);

    if (body->chunks == NULL)
        body->chunks = memory_try(sizeof(*body->chunks));
    if (body->chunks == NULL)
        return false;
    if (body->chunks->segments[segment] == NULL)
        body->chunks->segments[segment] = memory_try(sizeof(char *) << segment);
    return body->chunks->segments[segment] != NULL;
}

/* Another chunk, as large as it will have to be. Its cost is part of what was promised, or taken
 * here; what has been taken for one that could not be made goes back with the body. */
static bool add_chunk(struct cache_body *body)
{
    size_t number = body->chunks != NULL ? body->chunks->count : 0;
    uint64_t bytes = chunk_bytes(body, number), cost;
    char *chunk;

    if (is_promised(body) && bytes > body->promised - body->room)
        bytes = body->promised - body->room;
    cost = cache_cost(bytes) + pointers_cost(number);
    if (!is_promised(body)) {
        if (!cache_room_take(body->zone, cost))
            return false;
        body->cost += cost;
    }
    if (!make_pointers(body, number) || (chunk = memory_try_bytes(bytes)) == NULL)
        return false;
    *slot_of(body->chunks, number) = chunk;
    body->chunks->count++;
    body->room += bytes;
    return true;
}

/* --- from beginning to end -----------------------------------------------------------------------
 */

static uint64_t first_bytes_of(uint64_t length)
{
    if (length == CACHE_LENGTH_UNKNOWN)
        return FIRST_BYTES;
    return length < CHUNK_BYTES ? length : CHUNK_BYTES;
}

/* Of a body of a known length, whole. */
static uint64_t cost_of(uint64_t length, uint64_t first)
{
    uint64_t cost = cache_cost(sizeof(struct cache_body) + first), left;

    if (length == CACHE_LENGTH_UNKNOWN)
        return cost;
    left = length - first;
    for (size_t number = 0; left > 0; number++) {
        uint64_t bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        cost += cache_cost(bytes) + pointers_cost(number);
        left -= bytes;
    }
    return cost;
}

struct cache_body *cache_body_new(struct cache_zone *zone, uint64_t length)
{
    uint64_t first = first_bytes_of(length), cost = cost_of(length, first);
    struct cache_body *body;

    if (!cache_room_take(zone, cost))
        return NULL;
    body = memory_try_bytes(sizeof(*body) + first);
    if (body == NULL) {
        cache_room_give(zone, cost);
        return NULL;
    }
    *body = (struct cache_body){
        .zone = zone, .promised = length, .room = first, .cost = cost, .first_bytes = first};
    refcount_init(&body->references);
    cache_zone_ref(zone);
    return body;
}

struct cache_body *cache_body_ref(struct cache_body *body)
{
    refcount_take(&body->references);
    return body;
}

void cache_body_unref(struct cache_body *body)
{
    struct cache_zone *zone = body->zone;

    if (!refcount_drop(&body->references))
        return;
    for (unsigned i = 0; i < CACHE_CODINGS; i++)
        if (body->encoded[i] != NULL)
            cache_body_unref(body->encoded[i]);
    if (body->chunks != NULL) {
        for (size_t i = 0; i < body->chunks->count; i++)
            free(*slot_of(body->chunks, i));
        for (unsigned i = 0; i < SEGMENTS; i++)
            free(body->chunks->segments[i]);
        free(body->chunks);
    }
    cache_room_give(zone, body->cost);
    free(body);
    cache_zone_unref(zone);
}

/* Where the byte at `offset` lies, and how many more the block has room for. */
static const char *place_of(const struct cache_body *body, uint64_t offset, uint64_t *room)
{
    size_t number;

    if (offset < body->first_bytes) {
        *room = body->first_bytes - offset;
        return body->first + offset;
    }
    number = chunk_at(body, &offset);
    *room = chunk_bytes(body, number) - offset;
    return *slot_of(body->chunks, number) + offset;
}

/* All of it or nothing: there is room for all before the first byte is there. */
bool cache_body_append(struct cache_body *body, struct slice bytes, uint64_t most)
{
    uint64_t length = atomic_load_explicit(&body->length, memory_order_relaxed);

    if (is_promised(body))
        most = body->promised;
    if (bytes.len > most || length > most - bytes.len)
        return false;
    while (body->room - length < bytes.len)
        if (!add_chunk(body))
            return false;
    while (bytes.len > 0) {
        uint64_t room;
        char *to = (char *)place_of(body, length, &room);
        size_t piece = bytes.len < room ? bytes.len : (size_t)room;
        memcpy(to, bytes.at, piece);
        bytes = slice_skip(bytes, piece);
        length += piece;
    }
    atomic_store_explicit(&body->length, length, memory_order_release);
    return true;
}

void cache_body_trim(struct cache_body *body)
{
    uint64_t unused = body->room - body->length, offset = body->length, before, after;
    size_t number;
    char **slot, *chunk;

    if (is_promised(body) || body->chunks == NULL || unused == 0)
        return;
    number = body->chunks->count - 1;
    slot = slot_of(body->chunks, number);
    before = cache_cost(chunk_bytes(body, number));
    assert(offset > body->first_bytes);
    offset = chunk_bytes(body, number) - unused;
    after = cache_cost(offset);
    chunk = realloc(*slot, offset);
    if (chunk == NULL)
        return;
    *slot = chunk;
    body->room -= unused;
    body->cost -= before - after;
    cache_room_give(body->zone, before - after);
}

/* --- reading -------------------------------------------------------------------------------------
 */

uint64_t cache_body_length(const struct cache_body *body)
{
    return atomic_load_explicit(&body->length, memory_order_acquire);
}

uint64_t cache_body_promised(const struct cache_body *body)
{
    return body->promised;
}

enum io cache_body_read(const struct cache_body *body, uint64_t offset, struct slice *piece)
{
    uint64_t length = cache_body_length(body), left, room;

    *piece = slice_make(NULL, 0);
    if (offset >= length)
        return IO_EOF;
    left = length - offset;
    piece->at = place_of(body, offset, &room);
    piece->len = left < room ? left : room;
    return IO_OK;
}

/* --- the same in another coding ------------------------------------------------------------------
 */

bool cache_body_begin_encoding(struct cache_body *body)
{
    if (atomic_fetch_add_explicit(&body->encodings, 1, memory_order_relaxed) < ENCODINGS_AT_ONCE)
        return true;
    cache_body_end_encoding(body);
    return false;
}

void cache_body_end_encoding(struct cache_body *body)
{
    atomic_fetch_sub_explicit(&body->encodings, 1, memory_order_relaxed);
}

const struct cache_body *cache_body_encoded(const struct cache_body *body, unsigned coding)
{
    return atomic_load_explicit(&body->encoded[coding], memory_order_acquire);
}

bool cache_body_keep_encoded(struct cache_body *body, unsigned coding, struct cache_body *encoded)
{
    struct cache_body *none = NULL;

    return atomic_compare_exchange_strong(&body->encoded[coding], &none, encoded);
}

uint64_t cache_body_cost(const struct cache_body *body)
{
    uint64_t cost = body->cost;

    for (unsigned i = 0; i < CACHE_CODINGS; i++) {
        const struct cache_body *encoded = cache_body_encoded(body, i);
        if (encoded != NULL)
            cost += encoded->cost;
    }
    return cost;
}
