#include "policy/key_desk.h"

#include <criterion/criterion.h>

static struct loop *loop;
static struct bell bell;
static struct bell_pull asked;
static struct key_desk *desk;
static struct sources *sources;
static struct key_place *place;
static unsigned asks, wakes;
static struct task waiter;

static void count_ask(void *owner)
{
    (void)owner;
    asks++;
}

static void count_wake(void *owner)
{
    (void)owner;
    wakes++;
}

static void begin(void)
{
    loop = loop_new();
    bell_init(&bell, loop);
    bell_pull_init(&asked, &bell, count_ask, NULL);
    desk = key_desk_new();
    sources = sources_new();
    place = key_desk_add(desk, sources_get(sources, SOURCE_KEYS, "http://x/k"));
    key_desk_attend(desk, &asked);
    task_init(&waiter, count_wake, NULL);
}

static void end(void)
{
    if (place)
        key_desk_remove(desk, place);
    key_desk_free(desk);
    sources_free(sources);
    bell_pull_clear(&asked);
    bell_clear(&bell);
    loop_free(loop);
}

TestSuite(key_desk, .init = begin, .fini = end);

static void stop(void *owner)
{
    loop_stop(owner);
}

/* Until all that is on its way has come: posts, then tasks. */
static void turn(void)
{
    for (int i = 0; i < 3; i++) {
        struct post post = {.run = stop, .owner = loop};
        loop_post(loop, &post);
        loop_run(loop);
    }
}

static bool wait_at(uint64_t now_ms, struct key_wait *wait)
{
    return key_desk_wait(desk, place->source, now_ms, &bell, &waiter, wait);
}

Test(key_desk, who_waits_is_told_when_the_fetch_has_ended)
{
    struct key_wait first, second;

    cr_assert(wait_at(1, &first));
    cr_assert(key_place_is_wanted(desk, place));
    turn();
    cr_assert_eq(asks, 1);
    key_place_begin(desk, place);
    cr_assert_not(key_place_is_wanted(desk, place));
    cr_assert(wait_at(5, &second));
    turn();
    cr_assert_eq(asks, 1); /* it waits for the same fetch */
    cr_assert_not(key_wait_is_over(&first));
    key_place_end(desk, place);
    turn();
    cr_assert_geq(wakes, 1);
    cr_assert(key_wait_is_over(&first));
    cr_assert(key_wait_is_over(&second));
    key_wait_end(&first);
    key_wait_end(&second);
}

Test(key_desk, nobody_asks_twice_in_ten_seconds)
{
    struct key_wait wait;

    cr_assert(wait_at(1, &wait));
    key_place_begin(desk, place);
    key_place_end(desk, place);
    key_wait_end(&wait);
    for (uint64_t now_ms = 1; now_ms < 1 + KEYS_ASKED_FOR_EVERY_MS; now_ms += 100)
        cr_assert_not(wait_at(now_ms, &wait), "%lu", now_ms);
    cr_assert(wait_at(1 + KEYS_ASKED_FOR_EVERY_MS, &wait));
    key_wait_end(&wait);
}

Test(key_desk, who_has_left_is_not_told)
{
    struct key_wait wait;

    cr_assert(wait_at(1, &wait));
    turn();
    key_place_begin(desk, place);
    key_place_end(desk, place); /* rings, and it leaves before the bell is heard */
    key_wait_end(&wait);
    turn();
    cr_assert_eq(wakes, 0);
}

Test(key_desk, nobody_waits_where_nobody_fetches)
{
    struct key_wait wait, other;
    struct source *unknown = sources_get(sources, SOURCE_KEYS, "http://x/other");

    cr_assert_not(key_desk_wait(desk, unknown, 1, &bell, &waiter, &other));
    source_unref(unknown);
    cr_assert(wait_at(1, &wait));
    key_desk_attend(desk, NULL);
    cr_assert(key_wait_is_over(&wait));
    key_wait_end(&wait);
    cr_assert_not(wait_at(100000, &wait));
    key_desk_attend(desk, &asked);
    cr_assert(wait_at(100000, &wait));
    key_desk_remove(desk, place);
    place = NULL;
    cr_assert(key_wait_is_over(&wait));
    key_wait_end(&wait);
}
