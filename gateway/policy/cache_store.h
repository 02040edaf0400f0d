/* The memory of the cache: one for the process, for all workers; zones by name, each with a size
 * that it never exceeds.
 *
 * A zone is cut into shards by the keys' hashes, each with a lock that is held for as long as it
 * takes to find something. Under a key there are variants, one object each (cache_object.h), and
 * fetches: of what is not there, or is not fresh, one request fetches and the others wait or read
 * along. What is evicted says cache_eviction.c; a fetch never evicts what somebody reads.
 *
 * The store knows nothing of HTTP's rules: who asks judges what it is given. */
#ifndef POLICY_CACHE_STORE_H
#define POLICY_CACHE_STORE_H

#include "policy/cache_object.h"

struct cache_store;
struct cache_zone;
struct cache_fetch;

struct cache_store *cache_store_new(void);
/* No zone is in use, and no object. */
void cache_store_free(struct cache_store *store);

/* --- zones ---------------------------------------------------------------------------------------
 */

/* The zone of that name, made if there is none: nothing is stored before it has got a size. A
 * reference, which a policy holds: what is stored lives on for as long as any policy holds one, so
 * from generation to generation. Any thread. */
struct cache_zone *cache_zone_take(struct cache_store *store, struct slice name);
/* One more reference. */
void cache_zone_keep(struct cache_zone *zone);
/* The last one frees what is stored, but for what is being read. */
void cache_zone_release(struct cache_zone *zone);

/* The size that a policy wants; the newest policy (the largest serial) has its way, and for the
 * others this costs one comparison. What is too much then goes bit by bit. */
void cache_zone_resize(struct cache_zone *zone, uint64_t bytes, uint64_t serial);

struct cache_zone_report {
    struct slice name; /* the arena's */
    uint64_t size, bytes, objects, growing, waiting;
    uint64_t hits, misses, waits, passes;        /* cache_ask's answers, since it began */
    uint64_t stored, evictions, purged, refused; /* refused: there was no room */
};
/* All zones that have a size, by name, in the arena. Any thread. */
struct cache_zone_report *cache_store_report(struct cache_store *store, struct arena *arena,
                                             unsigned *count);

/* --- asking --------------------------------------------------------------------------------------
 */

enum {
    CACHE_KEY_MOST = 8 * 1024,  /* bytes; longer ones pass */
    CACHE_VARIANTS_MOST = 64,   /* of a key; the oldest one goes */
    CACHE_FETCHES_MOST = 64,    /* of a key at once */
    CACHE_FETCH_WAITERS = 1000, /* of one fetch; others pass */
    CACHE_ZONE_WAITERS = 10000, /* for fetches, of a zone */
    CACHE_TAGS_MOST = 128,      /* of an object; one with more is not stored */
    CACHE_TAG_BYTES = 256,      /* of a tag: likewise */
    CACHE_PASS_MS = 10 * 1000,  /* that a key is remembered for as not storable */
    CACHE_DISAPPOINTMENTS = 2,  /* failed fetches that one waits for, before it passes */
};

struct cache_question {
    struct cache_zone *zone;
    struct slice key; /* borrowed: "https://host/path?query" */
    /* What the request says of the fields that `vary` (an object's) names: equal texts get the same
     * response. Called with a lock held: it computes, nothing else. The text lives until cache_ask
     * returns. NULL: nothing but objects without Vary match. */
    struct slice (*variant)(struct slice vary, void *request);
    void *request;
    /* The object that the last answer was, where that does not do (stale, no-cache): it is not the
     * answer again. NULL: any will do. */
    struct cache_object *unlike;
    bool is_alone;       /* what it fetches is for nobody to wait for */
    uint64_t max_object; /* bytes of a body; what would be larger is not stored */
    uint64_t now_ms;     /* any monotonic clock, the same one always */
};

enum cache_answer {
    CACHE_HAS,   /* *object, with a reference; may be growing, of known length then */
    CACHE_WAITS, /* somebody fetches it: the waiter's task is woken when there is news; ask again */
    CACHE_FETCH, /* nobody does: *fetch is the caller's, to be ended by one of its ends below */
    CACHE_PASS,  /* go without the cache, and store nothing */
};

/* With `unlike` the fetch is to validate that one (cache_fetch_stale); others who find the same one
 * stale wait for it, those who may use it use it. `waiter` may be NULL: CACHE_WAITS then says only
 * that somebody is at it (stale-while-revalidate). A waiter that waits already is cancelled first.
 */
enum cache_answer cache_ask(const struct cache_question *question, struct cache_waiter *waiter,
                            struct cache_object **object, struct cache_fetch **fetch);

/* --- fetching: one thread at a time --------------------------------------------------------------
 */

/* The object that it is to validate; NULL: none. Lives as long as the fetch. */
struct cache_object *cache_fetch_stale(const struct cache_fetch *fetch);

/* The response can be stored. `length` of its body, or CACHE_LENGTH_UNKNOWN. A reference to the
 * growing object: those who wait read along if the length is known (room for all of it is kept, so
 * the cache never cuts it short), else they wait until it is whole. NULL: it cannot be stored, for
 * want of room or for its size; the fetch has ended as by CACHE_NOT_STORABLE. */
#define CACHE_LENGTH_UNKNOWN UINT64_MAX
struct cache_object *cache_fetch_begin(struct cache_fetch *fetch, const struct cache_head *head,
                                       uint64_t length, uint64_t now_ms);
/* After _begin, all of them or none. False: too long, or no room (never where the length is known
 * and right): it cannot be stored; give it up as CACHE_NOT_STORABLE. */
bool cache_fetch_append(struct cache_fetch *fetch, struct slice bytes);

/* Ends; each takes the fetch. */

/* After _begin: it is whole, stored in the place of what it renews. False: it is not, bytes of a
 * known length are missing; as by CACHE_CUT. */
bool cache_fetch_finish(struct cache_fetch *fetch);
/* Instead of _begin: the validated one is still good (304), with another head from now on. The new
 * object, with a reference; its body is the old one's. NULL: no room, or it has been purged
 * meanwhile; the old one can still answer who asked. */
struct cache_object *cache_fetch_renew(struct cache_fetch *fetch, const struct cache_head *head);

enum cache_give_up {
    CACHE_FAILED,       /* before _begin: one of those who wait fetches next */
    CACHE_NOT_STORABLE, /* before or after _begin: those who wait pass, as all others for
                           CACHE_PASS_MS; who reads along gets IO_ERROR */
    CACHE_CUT,          /* after _begin: who reads along gets IO_ERROR, who waits asks again, as
                           by CACHE_FAILED */
};
void cache_fetch_give_up(struct cache_fetch *fetch, enum cache_give_up why, uint64_t now_ms);

/* --- purging -------------------------------------------------------------------------------------
 * Also what is being fetched: those who read along get it to its end, nobody else does. How many
 * objects are gone. */

/* One key, all of its variants: what unsafe methods invalidate. */
uint64_t cache_zone_purge(struct cache_zone *zone, struct slice key);

enum cache_purge { PURGE_KEY, PURGE_PREFIX, PURGE_TAG, PURGE_ALL };
/* In all zones; a piece at a time, so that no worker waits for long. Any thread but a worker's. */
uint64_t cache_store_purge(struct cache_store *store, enum cache_purge what, struct slice text);

#endif
