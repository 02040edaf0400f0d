/* One stored response: a head that does not change, and a body that may still be growing.
 *
 * Counted by reference; whoever reads holds one, and what it holds stays as it is, however often
 * the object has been replaced, evicted or purged meanwhile. Any thread, unless said otherwise. */
#ifndef POLICY_CACHE_OBJECT_H
#define POLICY_CACHE_OBJECT_H

#include "http/message.h"
#include "policy/cache_port.h"

struct cache_object;
struct cache_body;
struct cache_zone;

/* What is told of a response; an object has copies of it all in memory of its own. */
struct cache_head {
    int status;
    struct http_fields fields; /* `capacity` means nothing */
    struct slice vary;         /* the fields' Vary, in one form; empty: none */
    struct slice variant;      /* what the request said of those: as cache_question.variant says */
    struct slice tags;         /* Surrogate-Key: words between spaces, by which it is purged */
    const void *life;          /* whatever its owner wants to know of it later; aligned for all */
    size_t life_bytes;
};

void cache_object_ref(struct cache_object *object);
void cache_object_unref(struct cache_object *object); /* NULL is fine */

/* Lives as long as the object. */
const struct cache_head *cache_object_head(const struct cache_object *object);
/* How long the body is or will be; false: not known before it is whole. */
bool cache_object_length(const struct cache_object *object, uint64_t *length);
/* Nothing more comes, and nothing is missing. */
bool cache_object_is_whole(const struct cache_object *object);

/* What there is of the body from `offset` on, in one piece. IO_OK: a piece, which lives as long as
 * the object; IO_WAIT: nothing yet, the waiter's task is woken when there may be; IO_EOF: `offset`
 * is the end of the whole body; IO_ERROR: it was cut, nothing more will come. */
enum io cache_object_read(struct cache_object *object, uint64_t offset, struct cache_waiter *waiter,
                          struct slice *piece);

/* --- the body in another coding ------------------------------------------------------------------
 * Made once for all that want it, counted with the object, and kept as long as its body is, also
 * when a 304 gives the object another head. */

enum { CACHE_CODINGS = 4 }; /* whoever compresses numbers them from 0 */

/* NULL: there is none (yet). Lives as long as the object. */
const struct cache_body *cache_object_encoded(const struct cache_object *object, unsigned coding);
uint64_t cache_body_length(const struct cache_body *body);
/* IO_OK or IO_EOF. */
enum io cache_body_read(const struct cache_body *body, uint64_t offset, struct slice *piece);

/* A body that is being made beside an object, by one thread at a time; NULL: no room,
 * or enough others are being made. */
struct cache_body *cache_encoding_begin(struct cache_object *object);
/* False: no room, or longer than it was in the first place; only _end is left. */
bool cache_encoding_append(struct cache_object *object, struct cache_body *body,
                           struct slice bytes);
/* Takes it. `coding` is kept unless another one was faster; CACHE_CODINGS: not kept. */
void cache_encoding_end(struct cache_object *object, struct cache_body *body, unsigned coding);

#endif
