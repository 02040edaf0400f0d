/* A server as its worker sees it: skipped after failures, its addresses those of the newest set. */
#include "upstream/server.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct fixture {
    struct turns turns;
    struct pool_shared shared;
    struct set_server set;
    struct server *server;
};

static struct address ip(const char *text)
{
    struct address address;

    cr_assert(address_parse_ip(slice_of(text), 8080, &address));
    return address;
}

static void set_up(struct fixture *f)
{
    *f = (struct fixture){.shared = {.env = {.loop = loop_new()}},
                          .set = {.state = server_state_new(slice_of("the server")),
                                  .host = "the.server",
                                  .weight = 1}};
    turns_init(&f->turns);
    f->shared.turn.turns = &f->turns;
    f->server = server_new(&f->shared, &f->set);
}

static void tear_down(struct fixture *f)
{
    server_unref(f->server);
    server_state_unref(f->set.state);
    loop_free(f->shared.env.loop);
}

/* As if so much time had passed. */
static void age(struct fixture *f, uint64_t ms)
{
    f->server->failed_ms -= ms;
    f->server->skip_until_ms -= ms;
}

/* --- being skipped ------------------------------------------------------------------------ */

Test(server, each_failure_doubles_the_time_it_is_skipped)
{
    static const uint64_t expected_ms[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct fixture f;
    set_up(&f);
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
    set_up(&f);
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
    set_up(&f);
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
    set_up(&f);
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

static void follow(struct fixture *f, struct address *addresses, int count)
{
    f->set.known = ADDRESSES_KNOWN;
    f->set.addresses = addresses;
    f->set.address_count = count;
    server_follow(f->server, &f->set);
}

Test(server, its_addresses_are_those_of_the_newest_set)
{
    struct fixture f;
    struct address first[] = {ip("127.0.0.1")}, then[] = {ip("127.0.0.2"), ip("::1")};

    set_up(&f);
    follow(&f, first, 1);
    cr_assert_eq(f.server->address_count, 1);
    cr_assert(address_equal(&f.server->addresses[0], &first[0]));
    follow(&f, then, 2);
    cr_assert_eq(f.server->address_count, 2);
    cr_assert(address_equal(&f.server->addresses[0], &then[0]));
    cr_assert(address_equal(&f.server->addresses[1], &then[1]));
    tear_down(&f);
}

Test(server, the_address_that_worked_stays_first)
{
    struct fixture f;
    struct address two[] = {ip("127.0.0.1"), ip("127.0.0.2")};
    struct address three[] = {ip("127.0.0.3"), ip("127.0.0.1"), ip("127.0.0.2")};

    set_up(&f);
    follow(&f, two, 2);
    server_note_connected(f.server, 1);
    cr_assert(address_equal(&f.server->addresses[0], &two[1]));
    cr_assert(address_equal(&f.server->addresses[1], &two[0]));
    follow(&f, three, 3);
    cr_assert(address_equal(&f.server->addresses[0], &two[1]));
    cr_assert(address_equal(&f.server->addresses[1], &three[0]));
    tear_down(&f);
}

Test(server, what_checks_say_is_seen_at_once)
{
    struct fixture f;

    set_up(&f);
    cr_assert(server_is_usable(f.server));
    atomic_store(&f.set.state->verdict, CHECK_DOWN);
    cr_assert_not(server_is_usable(f.server));
    atomic_store(&f.set.state->verdict, CHECK_UP);
    cr_assert(server_is_usable(f.server));
    tear_down(&f);
}

/* --- slow start --------------------------------------------------------------------------- */

Test(server, one_that_came_back_gets_to_its_weight_in_time)
{
    static const struct {
        uint64_t age_ms;
        uint32_t weight; /* times 256 */
    } rows[] = {{0, 26}, {500, 26}, {1000, 26}, {5000, 128}, {9999, 256}, {10000, 256}};
    struct fixture f;
    uint64_t now_ms;

    set_up(&f);
    now_ms = loop_now_ms(f.shared.env.loop);
    cr_assert_eq(server_weight_now(f.server), 256); /* it was always there */
    f.shared.slow_start_ms = 10 * 1000;
    cr_assert_eq(server_weight_now(f.server), 256);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        atomic_store(&f.set.state->back_ms, now_ms - rows[i].age_ms);
        cr_assert_eq(server_weight_now(f.server), rows[i].weight, "after %llu ms: %u",
                     (unsigned long long)rows[i].age_ms, server_weight_now(f.server));
    }
    atomic_store(&f.set.state->back_ms, now_ms);
    f.server->share.weight = 0;
    cr_assert_eq(server_weight_now(f.server), 0);
    tear_down(&f);
}
