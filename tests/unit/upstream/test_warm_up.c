/* Connections that are ready before anybody asks for them. */
#include "support/pool_fixture.h"

#include <criterion/criterion.h>
#include <unistd.h>

struct warm {
    struct pool_fixture f;
    struct address address;
    int listener;
    unsigned wanted;
};

static void set_up(struct warm *w, unsigned min_idle)
{
    *w = (struct warm){0};
    pool_fixture_init(&w->f, 0);
    w->listener = loopback_listen(&w->address);
    pool_fixture_add(&w->f, &w->address, 1);
    w->f.spec.min_idle = min_idle;
    pool_fixture_follow(&w->f);
}

static void tear_down(struct warm *w)
{
    close(w->listener);
    pool_fixture_clear(&w->f);
}

static bool has_as_many_idle_as_wanted(void *argument)
{
    struct warm *w = argument;

    return pool_fixture_status(&w->f, 0).idle == w->wanted;
}

static void await_idle(struct warm *w, unsigned count)
{
    w->wanted = count;
    pool_fixture_run_until(&w->f, has_as_many_idle_as_wanted, w);
}

Test(warm_up, so_many_are_made_ahead_and_made_up_for)
{
    struct warm w;

    set_up(&w, 3);
    await_idle(&w, 3);
    struct pool_result result = pool_fixture_ask(&w.f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert(upstream_connection_is_reused(result.connection));
    await_idle(&w, 3);
    cr_assert_eq(metric_read(&w.f.metrics, METRIC_UPSTREAM_CONNECTS), 4);
    upstream_connection_give_back(result.connection);
    tear_down(&w);
}

Test(warm_up, a_server_that_was_down_gets_its_own_when_it_is_back)
{
    struct warm w = {0};

    pool_fixture_init(&w.f, 0);
    int refusing = loopback_refuse(&w.address);
    pool_fixture_add(&w.f, &w.address, 1);
    w.f.spec.min_idle = 2;
    pool_fixture_follow(&w.f);
    while (pool_fixture_status(&w.f, 0).connect_failures == 0)
        pool_fixture_run_for(&w.f, 1);
    cr_assert_eq(listen(refusing, 16), 0);
    await_idle(&w, 2);
    close(refusing);
    pool_fixture_clear(&w.f);
}

Test(warm_up, a_newer_spec_and_a_drain_end_it)
{
    struct warm w;

    set_up(&w, 2);
    await_idle(&w, 2);
    pool_close_idle(w.f.pool);
    cr_assert_eq(pool_fixture_status(&w.f, 0).idle, 0);
    pool_fixture_run_for(&w.f, 150); /* longer than it pauses */
    cr_assert_eq(metric_read(&w.f.metrics, METRIC_UPSTREAM_CONNECTS), 2);
    pool_fixture_follow(&w.f);
    await_idle(&w, 2);
    w.f.spec.min_idle = 0;
    pool_fixture_follow(&w.f);
    w.f.spec.keepalive = 1;
    pool_fixture_follow(&w.f);
    tear_down(&w);
}

Test(warm_up, weight_0_gets_none)
{
    struct warm w = {0};

    pool_fixture_init(&w.f, 0);
    w.listener = loopback_listen(&w.address);
    pool_fixture_add(&w.f, &w.address, 0);
    w.f.spec.min_idle = 2;
    pool_fixture_follow(&w.f);
    pool_fixture_run_for(&w.f, 50);
    cr_assert_eq(metric_read(&w.f.metrics, METRIC_UPSTREAM_CONNECTS), 0);
    tear_down(&w);
}
