/* Names are looked up on helper threads; the answer comes by the loop, and may be abandoned any
 * time. */
#include "net/resolver.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct asker {
    struct loop *loop;
    struct resolver *resolver;
    struct lookup *lookup;
    struct task task;
    enum io answer;
    int count;
    const char *reason;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
};

static void run_asker(void *owner)
{
    struct asker *asker = owner;
    if (asker->lookup == NULL)
        return;
    asker->answer = lookup_answer(asker->lookup, asker->addresses, &asker->count, &asker->reason);
    if (asker->answer != IO_WAIT)
        loop_stop(asker->loop);
}

static void set_up(struct asker *asker, unsigned threads)
{
    *asker = (struct asker){.loop = loop_new(), .resolver = resolver_new(threads)};
    task_init(&asker->task, run_asker, asker);
}

static void tear_down(struct asker *asker)
{
    loop_free(asker->loop);
    resolver_free(asker->resolver);
}

static void look_up(struct asker *asker, const char *name, uint16_t port)
{
    asker->lookup = lookup_start(asker->resolver, asker->loop, name, port, &asker->task);
    loop_run(asker->loop);
    lookup_end(asker->lookup);
    asker->lookup = NULL;
}

Test(resolver, localhost_is_a_loopback_address_with_the_port)
{
    struct asker asker;
    set_up(&asker, 1);
    look_up(&asker, "localhost", 8080);
    cr_assert_eq(asker.answer, IO_OK);
    cr_assert_geq(asker.count, 1);
    for (int i = 0; i < asker.count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_format_ip(&asker.addresses[i], text);
        cr_assert(strcmp(text, "127.0.0.1") == 0 || strcmp(text, "::1") == 0, "%s", text);
        cr_assert_eq(address_port(&asker.addresses[i]), 8080);
    }
    tear_down(&asker);
}

/* RFC 6761 section 6.3; few hosts files have such a name. */
Test(resolver, names_below_localhost_are_loopback_too)
{
    struct asker asker;
    char text[ADDRESS_TEXT_SIZE];
    set_up(&asker, 1);
    look_up(&asker, "api.localhost", 81);
    cr_assert_eq(asker.answer, IO_OK);
    address_format_ip(&asker.addresses[0], text);
    cr_assert(strcmp(text, "127.0.0.1") == 0 || strcmp(text, "::1") == 0, "%s", text);
    tear_down(&asker);
}

Test(resolver, an_unknown_name_is_an_error_with_a_reason)
{
    struct asker asker;
    set_up(&asker, 2);
    look_up(&asker, "does-not-exist.invalid", 80);
    cr_assert_eq(asker.answer, IO_ERROR);
    cr_assert_not_null(asker.reason);
    cr_assert_gt(strlen(asker.reason), 0);
    tear_down(&asker);
}

Test(resolver, nothing_answers_before_the_loop_has_run)
{
    struct asker asker;
    set_up(&asker, 1);
    asker.lookup = lookup_start(asker.resolver, asker.loop, "localhost", 80, &asker.task);
    cr_assert_eq(lookup_answer(asker.lookup, asker.addresses, &asker.count, &asker.reason),
                 IO_WAIT);
    loop_run(asker.loop);
    cr_assert_eq(asker.answer, IO_OK);
    lookup_end(asker.lookup);
    asker.lookup = NULL;
    tear_down(&asker);
}

Test(resolver, without_helpers_it_fails_but_never_at_once)
{
    struct asker asker;
    set_up(&asker, 0);
    look_up(&asker, "localhost", 80);
    cr_assert_eq(asker.answer, IO_ERROR);
    tear_down(&asker);
}

/* Wherever the job is: queued, running, on its way to the loop, or arrived. */
Test(resolver, a_lookup_may_be_abandoned_at_any_time)
{
    enum { ROUNDS = 200, AT_ONCE = 10 };
    struct asker asker;
    set_up(&asker, 3);
    for (int round = 0; round < ROUNDS; round++) {
        struct lookup *abandoned[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            abandoned[i] = lookup_start(asker.resolver, asker.loop, "localhost", 80, &asker.task);
        for (int i = 0; i < round % AT_ONCE; i++)
            lookup_end(abandoned[i]);
        look_up(&asker, "localhost", 80);
        cr_assert_eq(asker.answer, IO_OK);
        for (int i = round % AT_ONCE; i < AT_ONCE; i++)
            lookup_end(abandoned[i]);
    }
    tear_down(&asker);
}

/* The loop is gone before the answer was taken from it. */
Test(resolver, answers_that_nobody_took_are_freed_with_it)
{
    for (int round = 0; round < 100; round++) {
        struct asker asker;
        struct lookup *lookups[4];
        set_up(&asker, 2);
        for (int i = 0; i < 4; i++)
            lookups[i] = lookup_start(asker.resolver, asker.loop, "localhost", 80, &asker.task);
        if (round % 2 == 0)
            look_up(&asker, "localhost", 80);
        for (int i = 0; i < 4; i++)
            lookup_end(lookups[i]);
        tear_down(&asker);
    }
}

Test(resolver, a_full_queue_answers_with_an_error)
{
    enum { MANY = 6000 };
    struct asker asker;
    set_up(&asker, 1);
    struct lookup **lookups = calloc(MANY, sizeof(struct lookup *));
    for (int i = 0; i < MANY; i++)
        lookups[i] =
            lookup_start(asker.resolver, asker.loop, "does-not-exist.invalid", 80, &asker.task);
    int failed_at_once = 0;
    for (int i = 0; i < MANY; i++)
        failed_at_once +=
            lookup_answer(lookups[i], asker.addresses, &asker.count, &asker.reason) == IO_ERROR;
    cr_assert_gt(failed_at_once, 0);
    for (int i = 0; i < MANY; i++)
        lookup_end(lookups[i]);
    free(lookups);
    tear_down(&asker);
}
