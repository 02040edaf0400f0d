#include "support/cache_fixture.h"

#include "base/check.h"

#include <stdlib.h>

static void stop(void *owner)
{
    struct cache_fixture *f = owner;

    loop_stop(f->loop);
}

/* Behind the tasks of all who were woken before. */
static void stop_soon(void *owner)
{
    struct cache_fixture *f = owner;

    loop_wake(f->loop, &f->last);
}

void cache_fixture_init(struct cache_fixture *f, uint64_t size)
{
    *f = (struct cache_fixture){.now_ms = 1000, .max_object = size / 4};
    f->store = cache_store_new();
    f->zone = cache_zone_take(f->store, slice_of("defaults"));
    cache_zone_resize(f->zone, size, 1);
    f->loop = loop_new();
    assert(f->loop != NULL);
    cache_port_init(&f->port, f->loop);
    f->end = (struct post){.run = stop_soon, .owner = f};
    task_init(&f->last, stop, f);
}

void cache_fixture_clear(struct cache_fixture *f)
{
    cache_port_clear(&f->port);
    loop_free(f->loop);
    cache_zone_release(f->zone);
    cache_store_free(f->store);
}

void cache_fixture_turn(struct cache_fixture *f)
{
    loop_post(f->loop, &f->end);
    loop_run(f->loop);
}

/* --- askers --------------------------------------------------------------------------------------
 */

static void count_wake(void *owner)
{
    struct cache_asker *asker = owner;

    asker->wakes++;
}

void cache_asker_init(struct cache_asker *asker, struct cache_fixture *f, const char *key)
{
    *asker = (struct cache_asker){.fixture = f, .key = key};
    task_init(&asker->task, count_wake, asker);
    cache_waiter_init(&asker->waiter, &f->port, &asker->task);
}

static struct slice tell_variant(struct slice vary, void *request)
{
    struct cache_asker *asker = request;

    (void)vary;
    return slice_of(asker->variant != NULL ? asker->variant : "");
}

static enum cache_answer ask(struct cache_asker *asker, struct cache_object *unlike,
                             struct cache_waiter *waiter)
{
    struct cache_fixture *f = asker->fixture;
    const struct cache_question question = {
        .zone = f->zone,
        .key = slice_of(asker->key),
        .variant = tell_variant,
        .request = asker,
        .unlike = unlike,
        .max_object = f->max_object,
        .now_ms = f->now_ms,
    };

    asker->answer = cache_ask(&question, waiter, &asker->object, &asker->fetch);
    return asker->answer;
}

enum cache_answer cache_asker_ask(struct cache_asker *asker)
{
    return ask(asker, NULL, &asker->waiter);
}

enum cache_answer cache_asker_ask_again(struct cache_asker *asker)
{
    struct cache_object *unlike = asker->object;
    enum cache_answer answer = ask(asker, unlike, &asker->waiter);

    cache_object_unref(unlike);
    return answer;
}

enum cache_answer cache_asker_look(struct cache_asker *asker)
{
    struct cache_object *unlike = asker->object;
    enum cache_answer answer = ask(asker, unlike, NULL);

    cache_object_unref(unlike);
    return answer;
}

void cache_asker_drop(struct cache_asker *asker)
{
    cache_waiter_cancel(&asker->waiter);
    cache_object_unref(asker->object);
    asker->object = NULL;
}

/* --- storing -------------------------------------------------------------------------------------
 */

struct cache_head cache_head_make(const char *vary, const char *variant, const char *tags)
{
    static struct http_field field = {{"content-type", 12}, {"text/plain", 10}, FIELD_OTHER};

    return (struct cache_head){
        .status = 200,
        .fields = {&field, 1, 1},
        .vary = slice_of(vary),
        .variant = slice_of(variant),
        .tags = slice_of(tags),
        .life = "life",
        .life_bytes = 4,
    };
}

bool cache_asker_store(struct cache_asker *asker, const struct cache_head *head, struct slice body)
{
    struct cache_fixture *f = asker->fixture;

    asker->object = cache_fetch_begin(asker->fetch, head, body.len, f->now_ms);
    if (asker->object == NULL)
        return false;
    if (cache_fetch_append(asker->fetch, body))
        return cache_fetch_finish(asker->fetch);
    cache_fetch_give_up(asker->fetch, CACHE_NOT_STORABLE, f->now_ms);
    return false;
}

bool cache_fixture_store(struct cache_fixture *f, const char *key, size_t bytes, const char *tags)
{
    struct cache_head head = cache_head_make("", "", tags);
    struct cache_asker asker;
    char *body = memory_new(bytes + 1);
    bool is_stored = false;

    memset(body, 'b', bytes);
    cache_asker_init(&asker, f, key);
    if (cache_asker_ask(&asker) == CACHE_FETCH)
        is_stored = cache_asker_store(&asker, &head, slice_make(body, bytes));
    cache_asker_drop(&asker);
    free(body);
    return is_stored;
}

bool cache_fixture_has(struct cache_fixture *f, const char *key)
{
    struct cache_asker asker;

    cache_asker_init(&asker, f, key);
    if (cache_asker_ask(&asker) == CACHE_FETCH)
        cache_fetch_give_up(asker.fetch, CACHE_FAILED, f->now_ms);
    cache_asker_drop(&asker);
    return asker.answer == CACHE_HAS;
}

/* --- looking -------------------------------------------------------------------------------------
 */

struct cache_zone_report cache_fixture_report(struct cache_fixture *f)
{
    struct cache_zone_report report;
    struct arena arena;
    unsigned count;

    arena_init(&arena);
    report = *cache_store_report(f->store, &arena, &count);
    assert(count == 1);
    report.name = slice_make(NULL, 0); /* the arena's */
    arena_clear(&arena);
    return report;
}

struct slice cache_read_all(struct cache_object *object, struct cache_waiter *waiter, enum io *end)
{
    struct slice piece;
    size_t length = 0;
    char *all = NULL;

    while ((*end = cache_object_read(object, length, waiter, &piece)) == IO_OK) {
        all = memory_resize(all, length + piece.len);
        memcpy(all + length, piece.at, piece.len);
        length += piece.len;
    }
    return slice_make(all, length);
}
