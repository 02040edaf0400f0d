/* A zone of the cache, with the test as all who ask: on one loop, in one thread. */
#ifndef TESTS_SUPPORT_CACHE_FIXTURE_H
#define TESTS_SUPPORT_CACHE_FIXTURE_H

#include "policy/cache_store.h"

struct cache_fixture {
    struct cache_store *store;
    struct cache_zone *zone;
    struct loop *loop;
    struct cache_port port;
    struct post end; /* of a turn of the loop */
    struct task last;
    uint64_t now_ms;
    uint64_t max_object;
};

void cache_fixture_init(struct cache_fixture *f, uint64_t size);
/* Everything that was taken has come back, or an assertion fails. */
void cache_fixture_clear(struct cache_fixture *f);
/* Delivers what was posted and runs who was woken. */
void cache_fixture_turn(struct cache_fixture *f);

/* Somebody who asks. */
struct cache_asker {
    struct cache_fixture *fixture;
    struct cache_waiter waiter;
    struct task task;
    const char *key, *variant; /* what it says of any Vary; NULL: "" */
    unsigned wakes;
    enum cache_answer answer;
    struct cache_object *object; /* the asker's: _drop */
    struct cache_fetch *fetch;
};

void cache_asker_init(struct cache_asker *asker, struct cache_fixture *f, const char *key);
enum cache_answer cache_asker_ask(struct cache_asker *asker);
/* What it has does not do. It keeps what it is given instead. */
enum cache_answer cache_asker_ask_again(struct cache_asker *asker);
/* Without a place in the queue. */
enum cache_answer cache_asker_look(struct cache_asker *asker);
/* Lets go of the object, and of waiting. */
void cache_asker_drop(struct cache_asker *asker);

struct cache_head cache_head_make(const char *vary, const char *variant, const char *tags);
/* By an asker who is to fetch: the whole body at once. False: it was not stored. */
bool cache_asker_store(struct cache_asker *asker, const struct cache_head *head, struct slice body);
/* Asks, fetches if it is to, and lets go. */
bool cache_fixture_store(struct cache_fixture *f, const char *key, size_t bytes, const char *tags);
/* Asks, gives up fetching, and lets go: whether it was there. */
bool cache_fixture_has(struct cache_fixture *f, const char *key);

struct cache_zone_report cache_fixture_report(struct cache_fixture *f);
/* All of the body that there is now, in memory of its own, which the caller frees; the waiter waits
 * for more if that is not the end. */
struct slice cache_read_all(struct cache_object *object, struct cache_waiter *waiter, enum io *end);

#endif
