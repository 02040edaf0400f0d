#include "support/cache_trace.h"

#include "base/check.h"
#include "base/random.h"
#include "base/table.h"
#include "support/cache_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES = 1024, BODY_MOST = 200 * 1024 };

/* --- the LRU -------------------------------------------------------------------------------------
 */

struct lru_object {
    struct list_node place;
    uint64_t cost;
    char key[32];
};

struct lru {
    struct table objects;
    struct list used; /* the longest ago first */
    uint64_t bytes, size;
};

static bool lru_has(struct lru *lru, const char *key)
{
    struct lru_object *object = table_get(&lru->objects, slice_of(key));

    if (object == NULL)
        return false;
    list_remove(&object->place);
    list_push_back(&lru->used, &object->place);
    return true;
}

static void lru_drop(struct lru *lru, struct lru_object *object)
{
    list_remove(&object->place);
    table_remove(&lru->objects, slice_of(object->key));
    lru->bytes -= object->cost;
    free(object);
}

static void lru_store(struct lru *lru, const char *key, uint64_t cost)
{
    struct lru_object *object = memory_new(sizeof(*object));

    while (lru->bytes + cost > lru->size)
        lru_drop(lru, container_of(list_first(&lru->used), struct lru_object, place));
    slice_copy_text(slice_of(key), object->key, sizeof(object->key));
    object->cost = cost;
    lru->bytes += cost;
    list_push_back(&lru->used, &object->place);
    table_put(&lru->objects, slice_of(object->key), object);
}

static void lru_clear(struct lru *lru)
{
    while (!list_is_empty(&lru->used))
        lru_drop(lru, container_of(list_first(&lru->used), struct lru_object, place));
    table_clear(&lru->objects);
}

/* --- the trace -----------------------------------------------------------------------------------
 */

struct play {
    const struct cache_trace *trace;
    struct cache_fixture fixture;
    struct lru lru;
    struct random_source random;
    double *sums; /* of the first so many keys' shares */
    uint64_t next_unique;
    uint64_t overhead; /* of an object, beyond its body */
    uint64_t counted, cache_hits, lru_hits;
};

static double *sums_of(const struct cache_trace *trace)
{
    double *sums = memory_array(trace->keys, sizeof(*sums)), sum = 0;

    for (unsigned i = 0; i < trace->keys; i++)
        sums[i] = sum += pow(i + 1, -trace->skew);
    return sums;
}

/* The first key whose sum is above a random one. */
static unsigned pick(struct play *play)
{
    unsigned low = 0, high = play->trace->keys - 1;
    double total = play->sums[high];
    double wanted = (double)(random_next(&play->random) >> 11) / 9007199254740992.0 * total;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (play->sums[middle] <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Evenly by the logarithm; a key's is always the same. */
static size_t bytes_of(const struct play *play, const char *key)
{
    if (!play->trace->has_sizes)
        return BODY_BYTES;
    return (size_t)(100 *
                    pow(BODY_MOST / 100.0, (double)(hash_fixed(slice_of(key)) >> 40) / (1 << 24)));
}

/* What the cache takes for one beyond its body. */
static uint64_t measure_overhead(void)
{
    struct cache_fixture f;
    uint64_t before, after;

    cache_fixture_init(&f, 1024 * 1024);
    cache_fixture_store(&f, "key", 0, ""); /* tables are there now */
    before = cache_fixture_report(&f).bytes;
    for (unsigned i = 0; i < 8; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key %u 0", 12340 + i);
        cache_fixture_store(&f, key, BODY_BYTES, "");
    }
    after = cache_fixture_report(&f).bytes;
    cache_fixture_clear(&f);
    return (after - before) / 8 - BODY_BYTES;
}

static void request(struct play *play, const char *key, bool is_counted)
{
    struct cache_fixture *f = &play->fixture;
    bool cache_has = cache_fixture_has(f, key), lru_has_it = lru_has(&play->lru, key);
    size_t bytes = bytes_of(play, key);

    play->counted += is_counted;
    play->cache_hits += is_counted && cache_has;
    play->lru_hits += is_counted && lru_has_it;
    if (!cache_has)
        cache_fixture_store(f, key, bytes, "");
    if (!lru_has_it)
        lru_store(&play->lru, key, bytes + play->overhead);
}

static void request_unique(struct play *play)
{
    char key[32];

    snprintf(key, sizeof(key), "unique %llu", (unsigned long long)play->next_unique++);
    request(play, key, false);
}

static void request_popular(struct play *play, uint64_t number)
{
    uint64_t epoch = play->trace->shift_each > 0 ? number / play->trace->shift_each : 0;
    char key[32];

    snprintf(key, sizeof(key), "key %u %llu", pick(play), (unsigned long long)epoch);
    request(play, key, true);
}

struct cache_ratio cache_trace_run(const struct cache_trace *trace, uint64_t size)
{
    struct play play = {.trace = trace,
                        .random = {1},
                        .sums = sums_of(trace),
                        .lru = {.size = size},
                        .overhead = measure_overhead()};
    struct cache_ratio ratio;

    list_init(&play.lru.used);
    cache_fixture_init(&play.fixture, size);
    for (uint64_t i = 1; i <= trace->requests; i++) {
        if (random_below(&play.random, 100) < trace->once)
            request_unique(&play);
        else
            request_popular(&play, i);
        if (trace->scan_each > 0 && i % trace->scan_each == 0)
            for (unsigned k = 0; k < trace->scan; k++)
                request_unique(&play);
    }
    ratio.cache = (double)play.cache_hits / (double)play.counted;
    ratio.lru = (double)play.lru_hits / (double)play.counted;
    lru_clear(&play.lru);
    cache_fixture_clear(&play.fixture);
    free(play.sums);
    return ratio;
}
