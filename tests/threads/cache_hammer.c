/* Threads that ask, fetch, read, validate and go away, in one zone that is too small for it all,
 * while another one purges and changes its size. Every byte that is read is the one that belongs
 * there, everybody who waits is woken, and in the end all that was taken has come back.
 *
 * A plain program, so that it runs under TSan, too.  usage: cache_hammer [REQUESTS A THREAD] */
#include "base/check.h"
#include "base/random.h"
#include "policy/cache_store.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    THREADS = 4,
    ASKERS = 24, /* of a thread */
    REQUESTS = 5000,
    KEYS = 150,
    VARIANTS = 3,
    SIZE = 2 * 1024 * 1024,
    LENGTH_MOST = 200 * 1024,
    PIECE_MOST = 30 * 1024,
    PURGE_EACH = 100, /* requests */
    REQUEST_MS = 100, /* by the clock that keys are remembered by */
};

/* What an object says of its body. */
struct life {
    uint64_t seed, length;
    unsigned key;
};

enum state { RESTS, READS, FILLS };

struct thread;

struct asker {
    struct thread *thread;
    struct cache_waiter waiter;
    struct task task;
    enum state state;
    unsigned key;
    char variant[8];
    struct cache_object *object, *unlike;
    struct cache_fetch *fetch;
    struct life life; /* of what it fills */
    uint64_t offset;
    bool is_counted;
};

struct thread {
    pthread_t id;
    struct loop *loop;
    struct cache_port port;
    struct random_source random;
    struct asker askers[ASKERS];
    unsigned left, busy;
    uint64_t answers[4], reads, cuts, renewed;
};

static struct cache_zone *zone;
static _Atomic uint64_t asked;
static _Atomic unsigned running;

static uint64_t now_ms(void)
{
    return atomic_load(&asked) * REQUEST_MS;
}

static char byte_of(uint64_t seed, uint64_t offset)
{
    return (char)(seed + offset * 7 + offset / 251);
}

static bool chance(struct asker *asker, unsigned of)
{
    return random_below(&asker->thread->random, of) == 0;
}

/* --- fetching ------------------------------------------------------------------------------------
 */

static bool varies(const struct asker *asker)
{
    return asker->key % 4 == 0;
}

static struct cache_head head_of(const struct asker *asker, const struct life *life, char *tags)
{
    snprintf(tags, 64, "all key%u mod%u", asker->key, asker->key % 7);
    return (struct cache_head){
        .status = 200,
        .vary = slice_of(varies(asker) ? "cookie" : ""),
        .variant = slice_of(varies(asker) ? asker->variant : ""),
        .tags = slice_of(tags),
        .life = life,
        .life_bytes = sizeof(*life),
    };
}

static const struct life *life_of(const struct cache_object *object)
{
    return cache_object_head(object)->life;
}

static void rest(struct asker *asker)
{
    cache_waiter_cancel(&asker->waiter);
    cache_object_unref(asker->object);
    cache_object_unref(asker->unlike);
    asker->object = asker->unlike = NULL;
    asker->fetch = NULL;
    asker->state = RESTS;
    loop_wake(asker->thread->loop, &asker->task);
}

static void give_up(struct asker *asker, enum cache_give_up why)
{
    cache_fetch_give_up(asker->fetch, why, now_ms());
    rest(asker);
}

static void renew(struct asker *asker)
{
    char tags[64];
    struct cache_head head = head_of(asker, life_of(cache_fetch_stale(asker->fetch)), tags);
    struct cache_object *renewed = cache_fetch_renew(asker->fetch, &head);

    asker->thread->renewed += renewed != NULL;
    cache_object_unref(renewed);
    rest(asker);
}

static void begin_filling(struct asker *asker)
{
    struct random_source *random = &asker->thread->random;
    char tags[64];
    struct cache_head head = head_of(asker, &asker->life, tags);

    if (chance(asker, 20)) {
        give_up(asker, chance(asker, 2) ? CACHE_FAILED : CACHE_NOT_STORABLE);
        return;
    }
    if (cache_fetch_stale(asker->fetch) != NULL && chance(asker, 2)) {
        renew(asker);
        return;
    }
    asker->life = (struct life){
        random_next(random),
        chance(asker, 3) ? random_below(random, LENGTH_MOST) : random_below(random, 2000),
        asker->key,
    };
    asker->object =
        cache_fetch_begin(asker->fetch, &head,
                          chance(asker, 4) ? CACHE_LENGTH_UNKNOWN : asker->life.length, now_ms());
    if (asker->object == NULL) {
        rest(asker);
        return;
    }
    asker->offset = 0;
    asker->state = FILLS;
    loop_wake(asker->thread->loop, &asker->task);
}

/* A piece each time it runs. */
static void fill(struct asker *asker)
{
    static _Thread_local char bytes[PIECE_MOST];
    uint64_t left = asker->life.length - asker->offset;
    uint64_t piece = random_below(&asker->thread->random, PIECE_MOST) + 1;

    if (chance(asker, 100)) {
        give_up(asker, CACHE_CUT);
        return;
    }
    if (left == 0) {
        bool is_whole = cache_fetch_finish(asker->fetch);
        assert(is_whole);
        rest(asker);
        return;
    }
    piece = piece < left ? piece : left;
    for (uint64_t i = 0; i < piece; i++)
        bytes[i] = byte_of(asker->life.seed, asker->offset + i);
    if (!cache_fetch_append(asker->fetch, slice_make(bytes, piece))) {
        give_up(asker, CACHE_NOT_STORABLE);
        return;
    }
    asker->offset += piece;
    loop_wake(asker->thread->loop, &asker->task);
}

/* --- reading -------------------------------------------------------------------------------------
 */

static void check_piece(const struct asker *asker, struct slice piece)
{
    const struct life *life = life_of(asker->object);

    assert(life->key == asker->key && asker->offset + piece.len <= life->length);
    for (size_t i = 0; i < piece.len; i += i < 64 ? 1u : 61u)
        assert(piece.at[i] == byte_of(life->seed, asker->offset + i));
}

static void read_some(struct asker *asker)
{
    struct slice piece;

    if (chance(asker, 40)) {
        rest(asker); /* it goes away in the middle */
        return;
    }
    switch (cache_object_read(asker->object, asker->offset, &asker->waiter, &piece)) {
    case IO_OK:
        check_piece(asker, piece);
        asker->offset += piece.len;
        loop_wake(asker->thread->loop, &asker->task);
        return;
    case IO_WAIT: return;
    case IO_EOF:
        assert(asker->offset == life_of(asker->object)->length);
        asker->thread->reads++;
        break;
    case IO_ERROR: asker->thread->cuts++; break;
    }
    rest(asker);
}

/* --- asking --------------------------------------------------------------------------------------
 */

static struct slice tell_variant(struct slice vary, void *request)
{
    struct asker *asker = request;

    assert(slice_equal(vary, slice_of("cookie")));
    return slice_of(asker->variant);
}

static void act_on(struct asker *asker, enum cache_answer answer)
{
    asker->thread->answers[answer]++;
    switch (answer) {
    case CACHE_HAS:
        asker->offset = 0;
        asker->state = READS;
        if (asker->unlike == NULL && chance(asker, 4)) { /* it is stale, for this one */
            asker->unlike = asker->object;
            asker->object = NULL;
            asker->state = RESTS;
        }
        loop_wake(asker->thread->loop, &asker->task);
        return;
    case CACHE_WAITS:
        asker->is_counted = true; /* it is the same request when it is woken */
        if (chance(asker, 50))
            rest(asker);
        return;
    case CACHE_FETCH: begin_filling(asker); return;
    case CACHE_PASS: rest(asker); return;
    }
}

static void ask(struct asker *asker)
{
    char key[64];
    struct cache_question question = {
        .zone = zone,
        .variant = tell_variant,
        .request = asker,
        .unlike = asker->unlike,
        .max_object = SIZE / 4,
        .now_ms = now_ms(),
    };

    snprintf(key, sizeof(key), "https://%u.test/%u", asker->key % 5, asker->key);
    question.key = slice_of(key);
    act_on(asker, cache_ask(&question, &asker->waiter, &asker->object, &asker->fetch));
}

static void begin_request(struct asker *asker)
{
    struct thread *thread = asker->thread;

    if (thread->left == 0) {
        if (--thread->busy == 0)
            loop_stop(thread->loop);
        return;
    }
    thread->left--;
    atomic_fetch_add(&asked, 1);
    /* Some keys far more often than others. */
    asker->key = (unsigned)random_below(&thread->random, random_below(&thread->random, KEYS) + 1);
    snprintf(asker->variant, sizeof(asker->variant), "v%u",
             (unsigned)random_below(&thread->random, VARIANTS));
    ask(asker);
}

static void run(void *owner)
{
    struct asker *asker = owner;

    switch (asker->state) {
    case READS: read_some(asker); return;
    case FILLS: fill(asker); return;
    case RESTS: break;
    }
    if (asker->unlike != NULL || asker->is_counted) {
        asker->is_counted = false;
        ask(asker);
    } else {
        begin_request(asker);
    }
}

/* --- threads -------------------------------------------------------------------------------------
 */

static void *run_thread(void *owner)
{
    struct thread *thread = owner;

    cache_port_init(&thread->port, thread->loop);
    thread->busy = ASKERS;
    for (unsigned i = 0; i < ASKERS; i++) {
        struct asker *asker = &thread->askers[i];
        *asker = (struct asker){.thread = thread};
        task_init(&asker->task, run, asker);
        cache_waiter_init(&asker->waiter, &thread->port, &asker->task);
        loop_wake(thread->loop, &asker->task);
    }
    loop_run(thread->loop);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static uint64_t purge_something(struct cache_store *store, struct random_source *random)
{
    static uint64_t serial = 1;
    unsigned number = (unsigned)random_below(random, KEYS);
    char text[64];

    cache_zone_resize(zone, SIZE / 2 + random_below(random, SIZE / 2), ++serial);
    switch (random_below(random, 10)) {
    case 0: return cache_store_purge(store, PURGE_ALL, slice_make(NULL, 0));
    case 1:
        snprintf(text, sizeof(text), "https://%u", number % 5);
        return cache_store_purge(store, PURGE_PREFIX, slice_of(text));
    case 2:
    case 3:
        snprintf(text, sizeof(text), "mod%u", number % 7);
        return cache_store_purge(store, PURGE_TAG, slice_of(text));
    case 4:
    case 5:
        snprintf(text, sizeof(text), "key%u", number);
        return cache_store_purge(store, PURGE_TAG, slice_of(text));
    default:
        snprintf(text, sizeof(text), "https://%u.test/%u", number % 5, number);
        return cache_zone_purge(zone, slice_of(text));
    }
}

static void purge_until_done(struct cache_store *store)
{
    struct random_source random = {7};
    uint64_t next = PURGE_EACH, purged = 0;

    while (atomic_load(&running) > 0) {
        struct arena arena;
        unsigned count;
        if (atomic_load(&asked) < next) {
            sched_yield();
            continue;
        }
        next += PURGE_EACH;
        purged += purge_something(store, &random);
        arena_init(&arena);
        cache_store_report(store, &arena, &count);
        assert(count == 1);
        arena_clear(&arena);
    }
    assert(purged > 0);
}

static void tell(const struct thread *threads, struct cache_store *store)
{
    uint64_t answers[4] = {0}, reads = 0, cuts = 0, renewed = 0;
    struct cache_zone_report *report;
    struct arena arena;
    unsigned count;

    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned k = 0; k < 4; k++)
            answers[k] += threads[i].answers[k];
        reads += threads[i].reads;
        cuts += threads[i].cuts;
        renewed += threads[i].renewed;
    }
    arena_init(&arena);
    report = cache_store_report(store, &arena, &count);
    printf("has %lu, waits %lu, fetch %lu, pass %lu; read %lu, cut %lu, renewed %lu; "
           "stored %lu, evicted %lu, purged %lu, refused %lu\n",
           answers[CACHE_HAS], answers[CACHE_WAITS], answers[CACHE_FETCH], answers[CACHE_PASS],
           reads, cuts, renewed, report->stored, report->evictions, report->purged,
           report->refused);
    assert(report->waiting == 0 && report->growing == 0);
    assert(answers[CACHE_WAITS] > 0 && reads > 0 && cuts > 0 && renewed > 0);
    assert(report->evictions > 0 && report->purged > 0);
    arena_clear(&arena);
}

int main(int argument_count, char **arguments)
{
    static struct thread threads[THREADS];
    struct cache_store *store = cache_store_new();
    unsigned requests = argument_count > 1 ? (unsigned)atoi(arguments[1]) : REQUESTS;

    zone = cache_zone_take(store, slice_of("zone"));
    cache_zone_resize(zone, SIZE, 1);
    atomic_store(&running, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.loop = loop_new(), .left = requests, .random = {i + 1}};
        assert(threads[i].loop != NULL);
        pthread_create(&threads[i].id, NULL, run_thread, &threads[i]);
    }
    purge_until_done(store);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    tell(threads, store);
    for (unsigned i = 0; i < THREADS; i++) {
        cache_port_clear(&threads[i].port);
        loop_free(threads[i].loop);
    }
    cache_zone_release(zone);
    cache_store_free(store);
    return 0;
}
