/* A server as it is: skipped after failures, its name looked up and kept fresh. */
#include "upstream/server.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct fixture {
    struct pool_shared shared;
    struct server *server;
    struct task watch; /* ends the loop once `answers` look-ups have ended */
    struct deadline deadline;
    unsigned answers;
};

static struct loop *loop_of(const struct fixture *f)
{
    return f->shared.env.loop;
}

static void run_watch(void *owner)
{
    struct fixture *f = owner;
    deadline_set(loop_of(f), &f->deadline, 1);
    if (f->server->answer_count >= f->answers)
        loop_stop(loop_of(f));
}

static void set_up(struct fixture *f, const char *name)
{
    *f = (struct fixture){.shared = {.env = {.loop = loop_new(), .resolver = resolver_new(1)}}};
    struct server_spec spec = {.name = slice_of("the server"), .weight = 1};
    if (name != NULL) {
        spec.endpoint.kind = ENDPOINT_NAME;
        spec.endpoint.port = 8080;
        slice_copy_text(slice_of(name), spec.endpoint.name, sizeof(spec.endpoint.name));
    }
    f->server = server_new(&f->shared, &spec);
    task_init(&f->watch, run_watch, f);
    deadline_init(&f->deadline, &f->watch);
}

static void tear_down(struct fixture *f)
{
    server_unref(f->server);
    deadline_clear(&f->deadline);
    loop_free(loop_of(f));
    resolver_free(f->shared.env.resolver);
}

static void await_answers(struct fixture *f, unsigned answers)
{
    f->answers = answers;
    loop_wake(loop_of(f), &f->watch);
    loop_run(loop_of(f));
    cr_assert_eq(f->server->answer_count, answers);
}

/* As if so much time had passed. */
static void age(struct fixture *f, uint64_t ms)
{
    f->server->answered_ms -= ms;
    f->server->failed_ms -= ms;
    f->server->skip_until_ms -= ms;
}

/* --- being skipped ------------------------------------------------------------------------ */

Test(server, each_failure_doubles_the_time_it_is_skipped)
{
    static const uint64_t expected_ms[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct fixture f;
    set_up(&f, NULL);
    cr_assert_not(server_is_skipped(f.server));
    for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
        server_note_unreachable(f.server);
        age(&f, expected_ms[i] - 1);
        cr_assert(server_is_skipped(f.server), "after failure %zu", i + 1);
        age(&f, 1);
        cr_assert_not(server_is_skipped(f.server), "after failure %zu", i + 1);
    }
    cr_assert_eq(f.server->connect_failures, 6);
    tear_down(&f);
}

Test(server, failures_together_count_as_one_for_skipping)
{
    struct fixture f;
    set_up(&f, NULL);
    for (int i = 0; i < 100; i++)
        server_note_unreachable(f.server);
    cr_assert_eq(f.server->connect_failures, 100);
    age(&f, SERVER_SKIP_MIN_MS);
    cr_assert_not(server_is_skipped(f.server));
    tear_down(&f);
}

Test(server, after_its_time_one_tries_and_the_others_go_on_skipping)
{
    struct fixture f;
    set_up(&f, NULL);
    server_note_unreachable(f.server);
    age(&f, SERVER_SKIP_MIN_MS);
    cr_assert_not(server_is_skipped(f.server));
    server_note_chosen(f.server);
    cr_assert(server_is_skipped(f.server));
    age(&f, SERVER_SKIP_MIN_MS); /* no word of the one that tries: another one may */
    cr_assert_not(server_is_skipped(f.server));
    tear_down(&f);
}

Test(server, a_success_ends_all_of_that)
{
    struct fixture f;
    set_up(&f, NULL);
    server_note_unreachable(f.server);
    age(&f, SERVER_SKIP_MIN_MS);
    server_note_unreachable(f.server);
    server_note_connected(f.server, 0);
    cr_assert_not(server_is_skipped(f.server));
    server_note_chosen(f.server);
    cr_assert_not(server_is_skipped(f.server));
    server_note_unreachable(f.server);
    age(&f, SERVER_SKIP_MIN_MS);
    cr_assert_not(server_is_skipped(f.server));
    tear_down(&f);
}

/* --- addresses ---------------------------------------------------------------------------- */

Test(server, an_ip_is_known_without_asking)
{
    struct fixture f;
    set_up(&f, NULL);
    cr_assert_eq(server_find_addresses(f.server), IO_OK);
    cr_assert_eq(f.server->address_count, 1);
    cr_assert_null(f.server->lookup);
    tear_down(&f);
}

Test(server, a_name_is_looked_up_when_it_is_first_needed)
{
    struct fixture f;
    set_up(&f, "localhost");
    cr_assert_null(f.server->lookup);
    cr_assert_eq(server_find_addresses(f.server), IO_WAIT);
    cr_assert_not_null(f.server->lookup);
    cr_assert_eq(server_find_addresses(f.server), IO_WAIT); /* asks once */
    await_answers(&f, 1);
    cr_assert_eq(server_find_addresses(f.server), IO_OK);
    cr_assert_null(f.server->lookup);
    cr_assert_eq(address_port(&f.server->addresses[0]), 8080);
    tear_down(&f);
}

Test(server, an_old_answer_is_used_while_it_is_asked_again)
{
    struct fixture f;
    set_up(&f, "localhost");
    server_find_addresses(f.server);
    await_answers(&f, 1);
    age(&f, SERVER_ADDRESS_AGE_MS);
    cr_assert_eq(server_find_addresses(f.server), IO_OK);
    cr_assert_not_null(f.server->lookup);
    await_answers(&f, 2);
    cr_assert_eq(server_find_addresses(f.server), IO_OK);
    cr_assert_null(f.server->lookup);
    tear_down(&f);
}

Test(server, an_old_answer_is_kept_when_the_name_is_gone)
{
    struct fixture f;
    set_up(&f, "localhost");
    server_find_addresses(f.server);
    await_answers(&f, 1);
    free(f.server->lookup_name);
    f.server->lookup_name = slice_duplicate(slice_of("does-not-exist.invalid"));
    age(&f, SERVER_ADDRESS_AGE_MS);
    cr_assert_eq(server_find_addresses(f.server), IO_OK);
    await_answers(&f, 2);
    cr_assert_eq(server_find_addresses(f.server), IO_OK);
    cr_assert_geq(f.server->address_count, 1);
    tear_down(&f);
}

/* A storm of requests for a name that does not exist must not become one of questions. */
Test(server, an_unknown_name_is_asked_again_after_a_moment)
{
    struct fixture f;
    set_up(&f, "does-not-exist.invalid");
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert_eq(server_find_addresses(f.server), IO_WAIT);
        await_answers(&f, i);
        for (int j = 0; j < 100; j++)
            cr_assert_eq(server_find_addresses(f.server), IO_ERROR);
        cr_assert_null(f.server->lookup);
        age(&f, SERVER_UNKNOWN_AGE_MS);
    }
    tear_down(&f);
}

Test(server, the_address_that_worked_stays_first)
{
    struct fixture f;
    set_up(&f, "localhost");
    server_find_addresses(f.server);
    await_answers(&f, 1);
    struct address known = f.server->addresses[0], other = known;
    other.as.v4.sin_port = 1;
    free(f.server->addresses);
    f.server->addresses = memory_array(2, sizeof(struct address));
    f.server->addresses[0] = other;
    f.server->addresses[1] = known;
    f.server->address_count = 2;
    server_note_connected(f.server, 1);
    cr_assert(address_equal(&f.server->addresses[0], &known));
    cr_assert(address_equal(&f.server->addresses[1], &other));
    tear_down(&f);
}

Test(server, it_may_end_while_its_name_is_looked_up)
{
    for (int i = 0; i < 50; i++) {
        struct fixture f;
        set_up(&f, "localhost");
        server_find_addresses(f.server);
        if (i % 2 == 0)
            await_answers(&f, 1);
        age(&f, SERVER_ADDRESS_AGE_MS);
        server_find_addresses(f.server);
        tear_down(&f);
    }
}
