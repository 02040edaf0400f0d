/* What the files of the cache share: zones, shards, entries, and who may touch them when.
 *
 *   cache_store.c     zones by name
 *   cache_ask.c       what is there, who waits, who fetches
 *   cache_fetch.c     a fetch, from its first byte to its end
 *   cache_entry.c     what is found under keys and tags
 *   cache_eviction.c  room, and what has to go for it
 *   cache_object.c    heads; reading
 *   cache_body.c      bytes
 *   cache_purge.c     what is to be found no more
 *   cache_port.c      waiting
 *
 * A shard's lock is taken alone, and before a port's lock; the store's before none. Nothing is
 * evicted with a shard's lock held: room is taken first. */
#ifndef POLICY_CACHE_INTERNAL_H
#define POLICY_CACHE_INTERNAL_H

#include "base/refcount.h"
#include "base/table.h"
#include "policy/cache_index.h"
#include "policy/cache_store.h"

enum {
    SHARD_BITS = 5,
    SHARDS = 1 << SHARD_BITS,
    PASSES = 64, /* keys that a shard remembers as not storable, by their hash */
    GHOST_WAYS = 4,
    TAG_PURGES = 256, /* that a zone remembers, for responses that are on their way */
};

/* What a block of so many bytes takes of the heap, its header included. */
static inline uint64_t cache_cost(uint64_t bytes)
{
    uint64_t cost = (bytes + sizeof(size_t) + 15) & ~(uint64_t)15;

    return cost < 32 ? 32 : cost;
}

/* --- objects and bodies --------------------------------------------------------------------------
 */

enum object_state { OBJECT_GROWS, OBJECT_IS_WHOLE, OBJECT_WAS_CUT };
enum object_queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN, QUEUES };

/* Under one tag, all objects of one shard. */
struct cache_tag {
    struct cache_node node; /* in the shard's tags */
    struct list objects;    /* of tag_link */
    size_t bytes;
    char text[];
};

struct tag_link {
    struct list_node place;
    struct cache_object *object;
    struct cache_tag *tag; /* NULL: in none */
};

/* One block with all that its head points to. */
struct cache_object {
    struct cache_head head;
    struct refcount references; /* one of them is the shard's, while it can be found */
    _Atomic(enum object_state) state;
    struct cache_zone *zone; /* a reference */
    struct cache_shard *shard;
    struct cache_body *body; /* a reference */
    uint64_t cost;           /* of the block, of the zone's room */

    /* The shard's lock's, all below. */
    struct cache_entry *entry; /* NULL: not to be found (any more) */
    struct list_node in_entry;
    struct list_node in_queue;
    struct cache_object *next_dead; /* cache_dead */
    struct cache_fetch *fetch;      /* whose it is while it grows */
    struct list waiters;            /* for more bytes */
    uint64_t queued_bytes;          /* that its queue counts for it */
    uint8_t queue;                  /* enum object_queue */
    uint8_t frequency;              /* 0-3 */
    unsigned tag_count;
    struct tag_link *tags;
};

/* The block's own room is there: cache_object_cost. NULL: no memory; nothing was taken then. Takes
 * the body. With one reference, growing; in no entry yet. */
struct cache_object *cache_object_new(struct cache_zone *zone, struct cache_shard *shard,
                                      const struct cache_head *head, struct cache_body *body);
uint64_t cache_object_cost(const struct cache_head *head);
/* With its body and what that has been encoded to. */
uint64_t cache_object_bytes(const struct cache_object *object);
/* How many words there are; false: more or longer ones than are kept. */
bool cache_tags_count(struct slice tags, unsigned *count);
bool cache_tags_next(struct slice *tags, struct slice *tag);

/* Grows at its end, by one thread, while others read. */
struct cache_body *cache_body_new(struct cache_zone *zone, uint64_t length);
struct cache_body *cache_body_ref(struct cache_body *body);
void cache_body_unref(struct cache_body *body);
/* At most `most` bytes in all. */
bool cache_body_append(struct cache_body *body, struct slice bytes, uint64_t most);
/* Nobody reads it yet: what its last block has left over goes back. */
void cache_body_trim(struct cache_body *body);
uint64_t cache_body_promised(const struct cache_body *body); /* CACHE_LENGTH_UNKNOWN */
uint64_t cache_body_cost(const struct cache_body *body);     /* with what it has been encoded to */
bool cache_body_keep_encoded(struct cache_body *body, unsigned coding, struct cache_body *encoded);
/* One more that is being made of it; false: enough are. */
bool cache_body_begin_encoding(struct cache_body *body);
void cache_body_end_encoding(struct cache_body *body);
const struct cache_body *cache_body_encoded(const struct cache_body *body, unsigned coding);

/* --- shards --------------------------------------------------------------------------------------
 */

/* All that there is under one key. Gone when there is neither object nor fetch. */
struct cache_entry {
    struct cache_node node; /* in the shard's entries */
    struct list objects;    /* the newest first */
    struct list fetches;
    unsigned object_count, fetch_count;
    size_t key_bytes;
    char key[];
};

struct cache_fetch {
    struct cache_zone *zone; /* a reference */
    struct cache_shard *shard;
    struct cache_object *stale;  /* a reference; NULL: none */
    struct cache_object *object; /* a reference; NULL: not begun */
    uint64_t max_object;
    uint64_t key_hash;
    uint64_t growing_bytes; /* that zone->growing counts for it */
    uint64_t purge_number;  /* the zone's, when it began */

    /* The shard's lock's. */
    struct cache_entry *entry; /* NULL: purged meanwhile: nobody shall find what comes of it */
    struct list_node in_entry;
    struct list waiters;
    unsigned waiter_count;
    uint64_t alike; /* those with another one do not wait for it; 0: nobody knows yet */
    bool is_alone;  /* nobody waits for it */
};

/* A key that was evicted of late: 0, none. */
struct cache_ghost {
    uint32_t print, when;
};

struct cache_pass {
    uint64_t hash, until_ms;
};

struct cache_shard {
    _Alignas(64) pthread_mutex_t lock;
    struct cache_zone *zone;
    struct cache_index entries, tags;
    struct list queues[QUEUES]; /* the oldest first */
    uint64_t queue_bytes[QUEUES];
    size_t queue_counts[QUEUES];
    _Atomic uint64_t bytes;     /* of all queues; to be looked at without the lock */
    struct cache_ghost *ghosts; /* sets of GHOST_WAYS, the newest first */
    size_t ghost_sets;          /* a power of two; 0: none */
    uint32_t ghost_clock;       /* how many have been evicted to it */
    struct cache_pass passes[PASSES];
    uint64_t hits, misses, waits, passed;
};

struct cache_zone {
    /* SHARDS of them; NULL: it has no size yet, and so takes next to nothing. */
    _Atomic(struct cache_shard *) shards;
    struct refcount references; /* its users have one together; objects, bodies, fetches, waiters */
    struct cache_store *store;
    unsigned users; /* the store's lock's */
    char *name;
    _Atomic uint64_t size, serial;
    size_t ghost_sets; /* the store's lock's: of each shard */
    char apart[64];    /* what is written often is not beside what is only read */
    _Atomic uint64_t used;
    _Atomic uint64_t growing; /* bytes of bodies that are not whole */
    _Atomic unsigned hand;    /* the shard that something goes from next */
    _Atomic unsigned waiting;
    _Atomic uint64_t objects, stored, evictions, purged, refused;

    pthread_mutex_t tag_lock;        /* alone */
    uint64_t tag_purges[TAG_PURGES]; /* hashes of tags */
    _Atomic uint64_t purge_number;   /* so many there have been */
};

void cache_zone_ref(struct cache_zone *zone);
void cache_zone_unref(struct cache_zone *zone);
/* All that have a size, each with a reference; the caller frees the list. */
struct cache_zone **cache_store_zones(struct cache_store *store, unsigned *count);
static inline struct cache_shard *cache_shards(struct cache_zone *zone)
{
    return atomic_load_explicit(&zone->shards, memory_order_acquire);
}
/* The zone has got a size. */
static inline struct cache_shard *cache_shard_of(struct cache_zone *zone, uint64_t hash)
{
    return &cache_shards(zone)[hash & (SHARDS - 1)];
}

/* --- room ----------------------------------------------------------------------------------------
 */

/* Evicts for it; false: what is left is held by readers, or too much would have to go. */
bool cache_room_take(struct cache_zone *zone, uint64_t bytes);
/* Without evicting: for when a lock is held. */
bool cache_room_try(struct cache_zone *zone, uint64_t bytes);
void cache_room_give(struct cache_zone *zone, uint64_t bytes);

/* All that follows in this file: with the shard's lock. */

/* Into the queue where it belongs, and out. */
void cache_queue_enter(struct cache_shard *shard, struct cache_object *object);
void cache_queue_leave(struct cache_shard *shard, struct cache_object *object);
/* `next` takes the place of `object`, which leaves. */
void cache_queue_replace(struct cache_shard *shard, struct cache_object *object,
                         struct cache_object *next);
/* What it takes has changed. */
void cache_queue_measure(struct cache_shard *shard, struct cache_object *object);
void cache_note_hit(struct cache_object *object);

/* --- entries, tags -------------------------------------------------------------------------------
 */

/* References of the shard's that are dropped once its lock is free. */
struct cache_dead {
    struct cache_object *first;
};
void cache_dead_free(struct cache_dead *dead); /* without the lock */

struct cache_entry *cache_entry_find(struct cache_shard *shard, struct slice key, uint64_t hash);
uint64_t cache_entry_cost(struct slice key);
/* Its room is there. NULL: no memory. */
struct cache_entry *cache_entry_new(struct cache_shard *shard, struct slice key, uint64_t hash);
/* Frees it if nothing is under it. */
void cache_entry_tidy(struct cache_shard *shard, struct cache_entry *entry);

/* Can be found from now on, by its tags too (their room is there, what is not needed of it goes
 * back). Takes a reference. False: no memory. */
bool cache_entry_add(struct cache_entry *entry, struct cache_object *object);
uint64_t cache_tags_cost(struct slice tags);
/* Is not found any more; nothing if it was not. The entry stays. */
void cache_entry_drop(struct cache_object *object, struct cache_dead *dead);
void cache_entry_drop_fetch(struct cache_fetch *fetch);
struct cache_tag *cache_tag_find(struct cache_shard *shard, struct slice tag, uint64_t hash);

/* Purges all that is under it, fetches too, and frees it. How many objects. */
uint64_t cache_entry_purge(struct cache_shard *shard, struct cache_entry *entry,
                           struct cache_dead *dead);
/* A walk over all entries of a zone whose key begins so. Without a lock. */
uint64_t cache_zone_purge_prefix(struct cache_zone *zone, struct slice prefix);
/* Whether one of them was purged after `number`. Without a lock. */
bool cache_tags_were_purged(struct cache_zone *zone, struct slice tags, uint64_t number);

bool cache_pass_is_known(const struct cache_shard *shard, uint64_t hash, uint64_t now_ms);
void cache_pass_note(struct cache_shard *shard, uint64_t hash, uint64_t now_ms);

/* --- waiting -------------------------------------------------------------------------------------
 */

/* It is idle. For news of a fetch, and for bytes of an object. */
void cache_wait_for_fetch(struct cache_waiter *waiter, struct cache_fetch *fetch);
void cache_wait_for_bytes(struct cache_waiter *waiter, struct cache_object *object);
void cache_wake_all(struct list *waiters, bool is_disappointed);

#endif
