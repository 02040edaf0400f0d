#include "control/key_fetcher.h"

#include "base/log.h"
#include "base/table.h"
#include "control/key_fetch.h"
#include "policy/jwk_set.h"
#include "policy/key_url.h"

#include <stdlib.h>

struct key_fetcher {
    struct loop *loop;
    struct resolver *resolver;
    struct key_desk *desk;
    struct bell bell;
    struct bell_pull asked;
    struct task task;
    struct deadline deadline; /* of the next one that is due */
    unsigned out;             /* fetches under way */
};

/* Its URL, as events tell it. */
static struct slice url_of(const struct source *source)
{
    return key_url_told(slice_of(source_location(source)));
}

/* --- one answer --------------------------------------------------------------------------------
 */

/* What is wrong with single keys is said whenever other ones come. */
static void say_complaints(const struct source *source, const struct source_complaint *complaint)
{
    struct slice url = url_of(source);

    for (; complaint != NULL; complaint = complaint->next)
        log_event(LOG_WARN, "keys", "%.*s: line %u: %.*s", (int)url.len, url.at, complaint->line,
                  (int)complaint->text.len, complaint->text.at);
}

/* NULL: there are keys to go on with; else why not. */
static const char *take_keys(struct key_place *place, struct slice bytes)
{
    uint64_t fingerprint = hash_bytes(bytes) | 1;
    struct source_content *before = source_take(place->source), *content;
    bool is_same = before != NULL && before->fingerprint == fingerprint;
    struct source_complaint *complaints = NULL;
    struct arena arena = {0};

    source_content_unref(before);
    if (is_same)
        return NULL;
    content = jwk_set_parse(bytes, &arena, &complaints);
    if (content != NULL || place->failures == 0)
        say_complaints(place->source, complaints);
    arena_clear(&arena);
    if (content == NULL)
        return "there is no key in its answer that can be used";
    content->fingerprint = fingerprint;
    source_put(place->source, content);
    return NULL;
}

/* Once, when it begins. */
static void say_failure(const struct key_place *place, const char *why)
{
    struct source_content *content = source_take(place->source);
    struct slice url = url_of(place->source);

    log_event(LOG_WARN, "keys_unreachable", "%.*s: %s; %s", (int)url.len, url.at, why,
              content != NULL ? "the keys that were fetched before stay in use"
                              : "requests that need them are refused with 503 until they come");
    source_content_unref(content);
}

static void take_answer(struct key_fetcher *f, struct key_place *place,
                        const struct key_answer *answer)
{
    const char *why = answer->why != NULL ? answer->why : take_keys(place, answer->bytes);
    struct slice url = url_of(place->source);
    uint64_t after_ms;

    if (why != NULL) {
        if (place->failures++ == 0)
            say_failure(place, why);
        after_ms = key_fetch_retry_ms(place->failures);
    } else {
        if (place->failures > 0)
            log_event(LOG_INFO, "keys_reachable", "%.*s: there are keys again", (int)url.len,
                      url.at);
        place->failures = 0;
        after_ms = key_fetch_good_for_ms(answer);
    }
    place->due_ms = loop_now_ms(f->loop) + after_ms;
}

/* --- all of them -------------------------------------------------------------------------------
 */

static void begin(struct key_fetcher *f, struct key_place *place)
{
    key_place_begin(f->desk, place);
    place->fetch = key_fetch_start(f->loop, f->resolver, source_location(place->source), &f->task);
    f->out++;
}

static void end(struct key_fetcher *f, struct key_place *place)
{
    key_fetch_end(place->fetch);
    place->fetch = NULL;
    f->out--;
    key_place_end(f->desk, place);
}

static void go_on(struct key_fetcher *f, struct key_place *place)
{
    struct key_answer answer;

    if (key_fetch_answer(place->fetch, &answer) == IO_WAIT)
        return;
    take_answer(f, place, &answer);
    end(f, place);
}

static bool is_due(const struct key_fetcher *f, const struct key_place *place)
{
    return place->due_ms <= loop_now_ms(f->loop) || key_place_is_wanted(f->desk, place);
}

/* Those under way first, so that there is room for those that are due. */
static void run(void *owner)
{
    struct key_fetcher *f = owner;
    struct key_place *place;
    uint64_t next_ms = UINT64_MAX, now_ms = loop_now_ms(f->loop);

    for (unsigned i = 0; (place = key_desk_at(f->desk, i)) != NULL; i++)
        if (place->fetch != NULL)
            go_on(f, place);
    for (unsigned i = 0; (place = key_desk_at(f->desk, i)) != NULL; i++) {
        if (place->fetch == NULL && is_due(f, place) && f->out < KEYS_OUT_MOST)
            begin(f, place);
        if (place->fetch == NULL && place->due_ms > now_ms && place->due_ms < next_ms)
            next_ms = place->due_ms;
    }
    deadline_set(f->loop, &f->deadline, next_ms == UINT64_MAX ? 0 : next_ms - now_ms);
}

static void wake(void *owner)
{
    struct key_fetcher *f = owner;

    loop_wake(f->loop, &f->task);
}

struct key_fetcher *key_fetcher_new(struct loop *loop, struct resolver *resolver,
                                    struct key_desk *desk)
{
    struct key_fetcher *f = memory_new(sizeof(*f));

    f->loop = loop;
    f->resolver = resolver;
    f->desk = desk;
    bell_init(&f->bell, loop);
    bell_pull_init(&f->asked, &f->bell, wake, f);
    task_init(&f->task, run, f);
    deadline_init(&f->deadline, &f->task);
    key_desk_attend(desk, &f->asked);
    return f;
}

static void leave(struct key_fetcher *f, struct key_place *place)
{
    if (place->fetch != NULL)
        end(f, place);
    key_desk_remove(f->desk, place);
}

static void free_fetcher(void *owner)
{
    struct key_fetcher *f = owner;

    bell_clear(&f->bell);
    free(f);
}

void key_fetcher_free(struct key_fetcher *f)
{
    struct key_place *place;

    if (f == NULL)
        return;
    key_desk_attend(f->desk, NULL);
    while ((place = key_desk_at(f->desk, 0)) != NULL)
        leave(f, place);
    deadline_clear(&f->deadline);
    bell_pull_clear(&f->asked);
    loop_bury(f->loop, &f->task, free_fetcher);
}

/* --- generations -------------------------------------------------------------------------------
 */

void key_fetcher_take_in(struct key_fetcher *f, const struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->source_count; i++) {
        struct source *source = snapshot->sources[i].source;
        if (!source_is_url(source) || source_kind(source) != SOURCE_KEYS ||
            key_desk_find(f->desk, source) != NULL)
            continue;
        if (key_desk_add(f->desk, source_ref(source)) == NULL)
            log_event(LOG_WARN, "keys_unreachable", "%.*s: there are too many URLs of keys",
                      (int)url_of(source).len, url_of(source).at);
    }
    loop_wake(f->loop, &f->task);
}

static bool names(const struct snapshot *snapshot, const struct source *source)
{
    for (unsigned i = 0; i < snapshot->source_count; i++)
        if (snapshot->sources[i].source == source)
            return true;
    return false;
}

void key_fetcher_leave_out(struct key_fetcher *f, const struct snapshot *snapshot)
{
    struct key_place *place;

    for (unsigned i = 0; (place = key_desk_at(f->desk, i)) != NULL;) {
        if (names(snapshot, place->source))
            i++;
        else
            leave(f, place);
    }
}
