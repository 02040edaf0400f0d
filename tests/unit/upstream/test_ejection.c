/* Ejection: how many failures in a row, for how long, and of how many servers at once. */
#include "upstream/ejection.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { SERVERS_MAX = 8 };

struct fixture {
    struct loop *loop;
    struct resolver *resolver;
    struct backend_states *states;
    struct backend_state *backend;
    struct server_state *servers[SERVERS_MAX];
    struct eject_spec spec;
};

static void set_up(struct fixture *f, unsigned servers)
{
    static struct server_spec specs[SERVERS_MAX];
    static char names[SERVERS_MAX][16];
    struct upstream_spec spec = {
        .name = slice_of("api"), .serial = 1, .servers = specs, .server_count = servers};
    struct server_set *set;

    for (unsigned i = 0; i < servers; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u:1", i);
        specs[i] = (struct server_spec){
            .name = slice_of(names[i]), .weight = 1, .endpoint.kind = ENDPOINT_IP};
    }
    f->loop = loop_new();
    f->resolver = resolver_new(f->loop, NULL);
    f->states = backend_states_new(f->loop, f->resolver);
    f->backend = backend_state_take(f->states, &spec);
    f->spec = (struct eject_spec){.after = 3, .for_ms = 10 * 1000, .most_percent = 50};
    set = backend_state_set(f->backend);
    for (unsigned i = 0; i < servers; i++)
        f->servers[i] = server_state_ref(set->servers[i].state);
    server_set_unref(set);
}

static void tear_down(struct fixture *f)
{
    for (unsigned i = 0; i < SERVERS_MAX; i++)
        server_state_unref(f->servers[i]);
    backend_state_drop(f->backend);
    backend_states_free(f->states);
    resolver_free(f->resolver);
    loop_free(f->loop);
}

static bool note(struct fixture *f, unsigned server, enum upstream_outcome outcome)
{
    return ejection_note(&f->spec, f->backend, f->servers[server], outcome);
}

/* For how many seconds; 0: not at all. */
static unsigned fail_until_ejected(struct fixture *f, unsigned server)
{
    struct server_state *state = f->servers[server];
    uint64_t now_ms = clock_monotonic_ms();

    for (unsigned i = 0; i < f->spec.after; i++)
        note(f, server, UPSTREAM_5XX);
    if (!ejection_is_on(state, now_ms))
        return 0;
    return (unsigned)((atomic_load(&state->ejected_until_ms) - now_ms + 500) / 1000);
}

/* As if its time were over. */
static void let_time_pass(struct fixture *f, unsigned server)
{
    atomic_store(&f->servers[server]->ejected_until_ms, 1);
    ejection_end(f->backend, f->servers[server]);
}

Test(ejection, so_many_failures_in_a_row_of_any_kind)
{
    static const enum upstream_outcome kinds[] = {
        UPSTREAM_5XX,   UPSTREAM_CONNECT_FAILED, UPSTREAM_CONNECT_TIMEOUT,
        UPSTREAM_RESET, UPSTREAM_TIMEOUT,        UPSTREAM_BAD_RESPONSE,
        UPSTREAM_IDLE};
    struct fixture f = {0};

    set_up(&f, 2);
    f.spec.after = 7;
    for (size_t i = 0; i < 6; i++)
        cr_assert_not(note(&f, 0, kinds[i]));
    cr_assert(note(&f, 0, kinds[6]));
    cr_assert(ejection_is_on(f.servers[0], clock_monotonic_ms()));
    cr_assert_not(ejection_is_on(f.servers[1], clock_monotonic_ms()));
    tear_down(&f);
}

Test(ejection, a_good_answer_ends_the_row_and_what_says_nothing_does_not)
{
    struct fixture f = {0};

    set_up(&f, 2);
    for (int i = 0; i < 10; i++) {
        cr_assert_not(note(&f, 0, UPSTREAM_5XX));
        cr_assert_not(note(&f, 0, UPSTREAM_RESET));
        cr_assert_not(note(&f, 0, i % 2 == 0 ? UPSTREAM_4XX : UPSTREAM_2XX));
    }
    cr_assert_not(note(&f, 0, UPSTREAM_5XX));
    cr_assert_not(note(&f, 0, UPSTREAM_CANCELED));
    cr_assert_not(note(&f, 0, UPSTREAM_STALE));
    cr_assert_not(note(&f, 0, UPSTREAM_5XX));
    cr_assert(note(&f, 0, UPSTREAM_5XX));
    tear_down(&f);
}

Test(ejection, for_a_time_that_grows_as_it_goes_on_failing)
{
    struct fixture f = {0};

    set_up(&f, 2);
    for (unsigned i = 1; i <= 12; i++) {
        cr_assert_eq(fail_until_ejected(&f, 0), (i < 10 ? i : 10) * 10);
        let_time_pass(&f, 0);
    }
    /* Good for longer than it was away: it begins anew. */
    atomic_store(&f.servers[0]->back_ms, clock_monotonic_ms() - 101 * 1000);
    cr_assert_eq(fail_until_ejected(&f, 0), 10);
    tear_down(&f);
}

Test(ejection, never_more_at_once_than_is_allowed)
{
    static const struct {
        unsigned servers, percent, most;
    } rows[] = {{1, 50, 0}, {2, 50, 1}, {3, 50, 1},  {4, 50, 2}, {8, 50, 4},
                {8, 10, 1}, {3, 0, 0},  {1, 100, 1}, {4, 100, 4}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f = {0};
        unsigned ejected = 0;
        set_up(&f, rows[i].servers);
        f.spec.most_percent = rows[i].percent;
        for (unsigned s = 0; s < rows[i].servers; s++)
            ejected += fail_until_ejected(&f, s) > 0;
        cr_assert_eq(ejected, rows[i].most, "%u of %u", ejected, rows[i].servers);
        tear_down(&f);
    }
}

Test(ejection, one_that_comes_back_makes_room_and_says_so_once)
{
    struct fixture f = {0};

    set_up(&f, 2);
    cr_assert_gt(fail_until_ejected(&f, 0), 0);
    cr_assert_eq(fail_until_ejected(&f, 1), 0);
    ejection_end(f.backend, f.servers[0]); /* not yet */
    cr_assert(ejection_is_on(f.servers[0], clock_monotonic_ms()));
    let_time_pass(&f, 0);
    cr_assert_eq(atomic_load(&f.servers[0]->ejected_until_ms), 0);
    cr_assert_gt(atomic_load(&f.servers[0]->back_ms), 0);
    cr_assert_gt(fail_until_ejected(&f, 1), 0);
    tear_down(&f);
}

/* To ask costs the lock of all backends, and a look at every server. */
Test(ejection, one_that_nothing_may_be_done_about_is_asked_about_seldom)
{
    struct fixture f = {0};

    set_up(&f, 2);
    cr_assert_gt(fail_until_ejected(&f, 0), 0);
    cr_assert_eq(fail_until_ejected(&f, 1), 0);
    let_time_pass(&f, 0);
    cr_assert_not(note(&f, 1, UPSTREAM_5XX));
    cr_assert_not(note(&f, 1, UPSTREAM_5XX));
    cr_assert(note(&f, 1, UPSTREAM_5XX));
    tear_down(&f);
}

Test(ejection, what_was_in_flight_on_it_does_not_count_once_it_is_back)
{
    struct fixture f = {0};

    set_up(&f, 2);
    cr_assert_gt(fail_until_ejected(&f, 0), 0);
    cr_assert_not(note(&f, 0, UPSTREAM_RESET));
    cr_assert_not(note(&f, 0, UPSTREAM_RESET));
    let_time_pass(&f, 0);
    cr_assert_not(note(&f, 0, UPSTREAM_RESET));
    tear_down(&f);
}
