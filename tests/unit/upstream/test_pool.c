/* A pool chooses, connects, goes on to the next server, and follows its generations. */
#include "support/dns_server.h"
#include "support/pool_fixture.h"

#include "base/table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t metric_of(const struct pool_fixture *f, enum metric which)
{
    return metric_read(&f->metrics, which);
}

/* Asks, gives back without a request, and says which server it was. */
static unsigned index_of_next(struct pool_fixture *f)
{
    struct pool_result result = pool_fixture_ask(f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    upstream_connection_give_back(result.connection);
    for (unsigned i = 0; i < f->spec.server_count; i++) {
        if (strcmp(result.server, f->names[i]) == 0)
            return i;
    }
    cr_assert_fail("unknown server %s", result.server);
    return 0;
}

/* --- choice ------------------------------------------------------------------------------- */

Test(pool, gives_a_connection_that_knows_its_server)
{
    struct pool_fixture f;
    struct address address;
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_eq(result.attempts, 1);
    cr_assert_str_eq(result.server, f.names[0]);
    cr_assert(slice_equal(upstream_connection_host(result.connection),
                          slice_of(f.servers[0].endpoint.host)));
    cr_assert_not(upstream_connection_is_reused(result.connection));
    cr_assert_eq(pool_in_use(f.pool), 1);
    cr_assert_eq(pool_fixture_status(&f, 0).busy, 1);
    upstream_connection_give_back(result.connection);
    cr_assert_eq(pool_in_use(f.pool), 0);
    cr_assert_eq(metric_of(&f, METRIC_UPSTREAM_CONNECTS), 1);
    cr_assert_eq(metric_of(&f, METRIC_UPSTREAM_CONNECT_FAILURES), 0);
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, shares_requests_by_weight_exactly)
{
    static const uint16_t weights[] = {3, 1, 2};
    struct pool_fixture f;
    int listeners[3];
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 3; i++) {
        struct address address;
        listeners[i] = loopback_listen(&address);
        pool_fixture_add(&f, &address, weights[i]);
    }
    pool_fixture_follow(&f);
    for (int cycle = 0; cycle < 4; cycle++) {
        unsigned got[3] = {0};
        for (int i = 0; i < 6; i++)
            got[index_of_next(&f)]++;
        for (int i = 0; i < 3; i++)
            cr_assert_eq(got[i], weights[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(pool_fixture_status(&f, i).requests, 4u * weights[i]);
        close(listeners[i]);
    }
    pool_fixture_clear(&f);
}

Test(pool, workers_start_at_different_servers)
{
    struct address addresses[3];
    int listeners[3];
    for (int i = 0; i < 3; i++)
        listeners[i] = loopback_listen(&addresses[i]);
    for (unsigned worker = 0; worker < 6; worker++) {
        struct pool_fixture f;
        pool_fixture_init(&f, worker);
        for (int i = 0; i < 3; i++)
            pool_fixture_add(&f, &addresses[i], 1);
        pool_fixture_follow(&f);
        cr_assert_eq(index_of_next(&f), worker % 3);
        pool_fixture_clear(&f);
    }
    for (int i = 0; i < 3; i++)
        close(listeners[i]);
}

Test(pool, without_servers_there_is_none)
{
    struct pool_fixture f;
    struct address address;
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 0);
    pool_fixture_follow(&f);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.failure, POOL_NO_SERVER);
    cr_assert_eq(result.attempts, 0);
    cr_assert_str_eq(result.server, "");
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, avoids_the_server_that_failed_the_request_before)
{
    struct pool_fixture f;
    struct address addresses[2];
    int listeners[2] = {loopback_listen(&addresses[0]), loopback_listen(&addresses[1])};
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &addresses[0], 50);
    pool_fixture_add(&f, &addresses[1], 1);
    pool_fixture_follow(&f);
    struct pool_ask ask = {.max_tries = 1, .fresh = true, .avoid = f.servers[0].name};
    struct pool_result result = pool_fixture_ask(&f, &ask);
    cr_assert_str_eq(result.server, f.names[1]);
    upstream_connection_give_back(result.connection);
    close(listeners[0]);
    close(listeners[1]);
    pool_fixture_clear(&f);
}

/* --- clients that belong to a server ------------------------------------------------------ */

static void expect_server(struct pool_fixture *f, const struct pool_ask *ask, unsigned index)
{
    struct pool_result result = pool_fixture_ask(f, ask);
    cr_assert_eq(result.answer, IO_OK);
    cr_expect_str_eq(result.server, f->names[index]);
    upstream_connection_give_back(result.connection);
}

Test(pool, a_client_gets_the_server_that_it_belongs_to)
{
    struct pool_fixture f;
    int listeners[4];
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 4; i++) {
        struct address address;
        listeners[i] = loopback_listen(&address);
        pool_fixture_add(&f, &address, i == 2 ? 0 : 1); /* one is drained, one a backup */
    }
    f.servers[3].is_backup = true;
    pool_fixture_follow(&f);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 4; i++) {
            const struct pool_ask ask = {.max_tries = 2,
                                         .sticky_server = hash_fixed(f.servers[i].name)};
            expect_server(&f, &ask, i);
        }
        /* the turn of the others goes on as if nothing had been */
        for (unsigned i = 0; i < 2; i++)
            cr_expect_eq(index_of_next(&f), i);
    }
    const struct pool_ask unknown = {.max_tries = 2, .sticky_server = 1};
    expect_server(&f, &unknown, 0);
    const struct pool_ask failed = {
        .max_tries = 2, .avoid = f.servers[0].name, .sticky_server = hash_fixed(f.servers[0].name)};
    expect_server(&f, &failed, 1);
    for (int i = 0; i < 4; i++)
        close(listeners[i]);
    pool_fixture_clear(&f);
}

Test(pool, a_client_goes_on_from_a_server_that_is_down)
{
    struct pool_fixture f;
    struct address dead, alive;
    int refusing = loopback_refuse(&dead), listener = loopback_listen(&alive);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &dead, 1);
    pool_fixture_add(&f, &alive, 1);
    pool_fixture_follow(&f);
    const struct pool_ask ask = {
        .connect_timeout_ms = 1000, .max_tries = 2, .sticky_server = hash_fixed(f.servers[0].name)};
    for (unsigned attempts = 2; attempts > 0; attempts--) {
        struct pool_result result = pool_fixture_ask(&f, &ask);
        cr_assert_eq(result.answer, IO_OK);
        cr_assert_eq(result.attempts, attempts); /* the second time it is skipped */
        cr_expect_str_eq(result.server, f.names[1]);
        upstream_connection_give_back(result.connection);
    }
    close(refusing);
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, a_key_leads_to_its_server)
{
    struct pool_fixture f;
    int listeners[3];
    bool is_seen[3] = {false};
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 3; i++) {
        struct address address;
        listeners[i] = loopback_listen(&address);
        pool_fixture_add(&f, &address, 1);
    }
    f.spec.balance = BALANCE_HASH;
    pool_fixture_follow(&f);
    for (uint64_t key = 1; key <= 30; key++) {
        const struct pool_ask ask = {.max_tries = 1, .key = key * 0x9e3779b97f4a7c15};
        struct pool_result first = pool_fixture_ask(&f, &ask);
        upstream_connection_give_back(first.connection);
        for (unsigned i = 0; i < 3; i++) {
            if (strcmp(first.server, f.names[i]) != 0)
                continue;
            is_seen[i] = true;
            expect_server(&f, &ask, i);
            expect_server(&f, &ask, i);
        }
    }
    for (int i = 0; i < 3; i++) {
        cr_expect(is_seen[i]);
        close(listeners[i]);
    }
    pool_fixture_clear(&f);
}

/* --- servers that cannot be connected to -------------------------------------------------- */

Test(pool, goes_on_to_the_next_server_and_skips_the_dead_one)
{
    struct pool_fixture f;
    struct address dead, alive;
    int refusing = loopback_refuse(&dead), listener = loopback_listen(&alive);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &dead, 1);
    pool_fixture_add(&f, &alive, 1);
    pool_fixture_follow(&f);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_eq(result.attempts, 2);
    cr_assert_str_eq(result.server, f.names[1]);
    upstream_connection_give_back(result.connection);
    cr_assert(pool_fixture_status(&f, 0).is_skipped);
    cr_assert_not(pool_fixture_status(&f, 1).is_skipped);
    for (int i = 0; i < 5; i++) {
        result = pool_fixture_ask(&f, NULL);
        cr_assert_eq(result.attempts, 1);
        cr_assert_str_eq(result.server, f.names[1]);
        upstream_connection_give_back(result.connection);
    }
    cr_assert_eq(metric_of(&f, METRIC_UPSTREAM_CONNECT_FAILURES), 1);
    cr_assert_eq(metric_of(&f, METRIC_UPSTREAM_RETRIES), 1);
    cr_assert_eq(pool_fixture_status(&f, 0).connect_failures, 1);
    close(refusing);
    close(listener);
    pool_fixture_clear(&f);
}

/* Nobody would be left to make up for a stale one. */
Test(pool, the_last_of_several_tries_is_made_on_a_fresh_connection)
{
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 2};
    struct pool_fixture f;
    struct address alive, dead;
    int listener = loopback_listen(&alive);
    close(loopback_listen(&dead));
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &alive, 1);
    pool_fixture_follow(&f);
    cr_assert_eq(index_of_next(&f), 0);
    cr_assert_eq(pool_fixture_status(&f, 0).idle, 1);
    pool_fixture_add(&f, &dead, 1);
    pool_fixture_follow(&f);

    struct pool_result result = pool_fixture_ask(&f, &ask);
    while (result.attempts == 1) { /* the other one's turn */
        cr_assert(upstream_connection_is_reused(result.connection));
        upstream_connection_give_back(result.connection);
        result = pool_fixture_ask(&f, &ask);
    }
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_not(upstream_connection_is_reused(result.connection));
    upstream_connection_give_back(result.connection);
    close(listener);
    pool_fixture_clear(&f);
}

/* A skipped server that came back is tried again, at once when nobody else is left. */
Test(pool, when_all_are_skipped_all_are_tried)
{
    struct pool_fixture f;
    struct address addresses[2];
    int refusing[2] = {loopback_refuse(&addresses[0]), loopback_refuse(&addresses[1])};
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &addresses[0], 1);
    pool_fixture_add(&f, &addresses[1], 1);
    pool_fixture_follow(&f);
    for (int i = 0; i < 3; i++) {
        struct pool_result result = pool_fixture_ask(&f, NULL);
        cr_assert_eq(result.answer, IO_ERROR);
        cr_assert_eq(result.failure, POOL_CONNECT_FAILED);
        cr_assert_eq(result.attempts, 2);
        cr_assert(result.server[0] != '\0');
    }
    cr_assert(pool_fixture_status(&f, 1).is_skipped);
    listen(refusing[1], 8);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_str_eq(result.server, f.names[1]);
    upstream_connection_give_back(result.connection);
    cr_assert_not(pool_fixture_status(&f, 1).is_skipped);
    close(refusing[0]);
    close(refusing[1]);
    pool_fixture_clear(&f);
}

Test(pool, tries_no_more_often_than_it_may)
{
    struct pool_fixture f;
    struct address addresses[3];
    int refusing[2] = {loopback_refuse(&addresses[0]), loopback_refuse(&addresses[1])};
    int listener = loopback_listen(&addresses[2]);
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 3; i++)
        pool_fixture_add(&f, &addresses[i], 1);
    pool_fixture_follow(&f);
    struct pool_ask ask = {.max_tries = 2};
    struct pool_result result = pool_fixture_ask(&f, &ask);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.attempts, 2);
    close(refusing[0]);
    close(refusing[1]);
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, backups_step_in_when_the_primary_is_dead)
{
    struct pool_fixture f;
    struct address dead, backup;
    int refusing = loopback_refuse(&dead), listener = loopback_listen(&backup);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &backup, 9)->is_backup = true;
    pool_fixture_add(&f, &dead, 1);
    pool_fixture_follow(&f);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.attempts, 2);
    cr_assert_str_eq(result.server, f.names[0]);
    cr_assert(pool_fixture_status(&f, 0).is_backup);
    upstream_connection_give_back(result.connection);
    close(refusing);
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, a_server_that_hangs_is_a_timeout)
{
    struct pool_fixture f;
    struct address address;
    struct loopback_hang hang;
    loopback_hang(&hang, &address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    struct pool_ask ask = {.connect_timeout_ms = 100, .max_tries = 2};
    struct pool_result result = pool_fixture_ask(&f, &ask);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.failure, POOL_CONNECT_TIMEOUT);
    cr_assert_eq(result.attempts, 1);
    loopback_hang_end(&hang);
    pool_fixture_clear(&f);
}

Test(pool, connects_to_unix_sockets)
{
    char folder[] = "/tmp/pool-XXXXXX", path[64];
    struct pool_fixture f;
    struct address address;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    int listener = loopback_listen_unix(path, 8, &address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    int peer = accept(listener, NULL, NULL);
    cr_assert(pool_fixture_request(&f, result.connection, peer, "HTTP/1.1 204 No Content\r\n\r\n"));
    cr_assert_eq(pool_fixture_status(&f, 0).idle, 1);
    close(peer);
    close(listener);
    unlink(path);
    rmdir(folder);
    pool_fixture_clear(&f);
}

/* --- names -------------------------------------------------------------------------------- */

Test(pool, looks_a_name_up_and_connects)
{
    struct pool_fixture f;
    struct address address;
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    pool_fixture_add_name(&f, "localhost", address_port(&address));
    pool_fixture_follow(&f);
    for (int i = 0; i < 2; i++) {
        struct pool_ask ask = {.connect_timeout_ms = 5000, .max_tries = 1, .fresh = true};
        struct pool_result result = pool_fixture_ask(&f, &ask);
        cr_assert_eq(result.answer, IO_OK);
        cr_assert_str_eq(result.server, "localhost");
        upstream_connection_give_back(result.connection);
    }
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, a_name_that_does_not_resolve_is_a_server_that_cannot_be_connected_to)
{
    struct pool_fixture f;
    struct address address, name_server;
    struct dns_server *names = dns_server_start();
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    cr_assert(name_server_parse(slice_of(dns_server_address(names)), &name_server, NULL));
    resolver_set_servers(f.resolver, &name_server, 1);
    pool_fixture_add_name(&f, "gone.test", 80);
    pool_fixture_follow(&f);
    struct pool_ask ask = {.connect_timeout_ms = 20 * 1000, .max_tries = 2};
    struct pool_result result = pool_fixture_ask(&f, &ask);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.failure, POOL_CONNECT_FAILED);
    cr_assert_str_eq(result.server, "gone.test");
    cr_assert(pool_fixture_status(&f, 0).is_skipped);

    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    result = pool_fixture_ask(&f, &ask);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_eq(result.attempts, 1);
    upstream_connection_give_back(result.connection);
    close(listener);
    pool_fixture_clear(&f);
    dns_server_stop(names);
}

/* --- waits that end early ----------------------------------------------------------------- */

static bool has_one_idle(void *argument)
{
    return pool_fixture_status(argument, 0).idle == 1;
}

Test(pool, a_connection_in_the_making_becomes_idle_when_its_wait_ends)
{
    struct pool_fixture f;
    struct address address;
    struct pool_result result;
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 1};
    struct pool_wait *wait = pool_ask(f.pool, &ask, &f.task);
    cr_assert_eq(pool_in_use(f.pool), 1);
    pool_wait_end(wait);
    cr_assert_eq(pool_in_use(f.pool), 0);
    pool_fixture_run_until(&f, has_one_idle, &f);

    wait = pool_ask(f.pool, &ask, &f.task);
    cr_assert_eq(pool_fixture_peek(wait, &result), IO_OK);
    pool_wait_end(wait);
    cr_assert(upstream_connection_is_reused(result.connection));
    upstream_connection_give_back(result.connection);
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, a_connection_that_was_made_but_not_taken_becomes_idle)
{
    struct pool_fixture f;
    struct address address;
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 1};
    struct pool_wait *wait = pool_ask(f.pool, &ask, &f.task);
    loop_run(f.env.loop);
    pool_wait_end(wait);
    cr_assert_eq(pool_fixture_status(&f, 0).idle, 1);

    wait = pool_ask(f.pool, &ask, &f.task); /* takes the idle one, and goes away again */
    cr_assert_eq(pool_fixture_status(&f, 0).idle, 0);
    pool_wait_end(wait);
    cr_assert_eq(pool_fixture_status(&f, 0).idle, 1);
    close(listener);
    pool_fixture_clear(&f);
}

/* Those who ask and go away cannot make more connections hang than may be idle. */
Test(pool, connections_that_nobody_claims_are_bounded)
{
    struct pool_fixture f;
    struct address address;
    struct loopback_hang hang;
    loopback_hang(&hang, &address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    f.spec.keepalive = 3;
    pool_fixture_follow(&f);
    int fds = open_fd_count();
    const struct pool_ask ask = {.connect_timeout_ms = 60 * 1000, .max_tries = 1};
    for (int i = 0; i < 20; i++)
        pool_wait_end(pool_ask(f.pool, &ask, &f.task));
    cr_assert_eq(open_fd_count(), fds + 3);
    pool_close_idle(f.pool);
    cr_assert_eq(open_fd_count(), fds);
    loopback_hang_end(&hang);
    pool_fixture_clear(&f);
}

/* Waits are recycled and end in any order; servers may go in between. */
Test(pool, waits_end_in_any_order)
{
    enum { WAITS = 100 };
    struct pool_fixture f;
    struct address addresses[3];
    int listener = loopback_listen(&addresses[0]), refusing = loopback_refuse(&addresses[1]);
    struct loopback_hang hang;
    loopback_hang(&hang, &addresses[2]);
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 3; i++)
        pool_fixture_add(&f, &addresses[i], 1);
    pool_fixture_add_name(&f, "localhost", address_port(&addresses[0]));
    pool_fixture_follow(&f);
    srand(7);
    const struct pool_ask ask = {.connect_timeout_ms = 20, .max_tries = 4};
    struct pool_wait *waits[WAITS];
    for (int i = 0; i < WAITS; i++)
        waits[i] = pool_ask(f.pool, &ask, &f.task);
    for (int left = WAITS; left > 0; left--) {
        struct pool_result result;
        int chosen = rand() % left;
        if (pool_fixture_peek(waits[chosen], &result) == IO_OK)
            upstream_connection_give_back(result.connection);
        pool_wait_end(waits[chosen]);
        waits[chosen] = waits[left - 1];
        if (left % 10 == 0)
            pool_fixture_run_for(&f, 5);
        if (left == WAITS / 2) {
            f.spec.server_count = 2;
            pool_fixture_follow(&f);
        }
    }
    cr_assert_eq(pool_in_use(f.pool), 0);
    close(listener);
    close(refusing);
    loopback_hang_end(&hang);
    pool_fixture_clear(&f);
}

/* --- generations -------------------------------------------------------------------------- */

Test(pool, an_unchanged_spec_goes_on_where_it_was)
{
    static const unsigned expected[] = {0, 1, 2, 0, 1, 2, 0};
    struct pool_fixture f;
    struct address addresses[3];
    int listeners[3];
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 3; i++) {
        listeners[i] = loopback_listen(&addresses[i]);
        pool_fixture_add(&f, &addresses[i], 1);
    }
    for (int i = 0; i < 7; i++) {
        pool_fixture_follow(&f);
        cr_assert_eq(index_of_next(&f), expected[i], "pick %d", i);
    }
    for (int i = 0; i < 3; i++)
        close(listeners[i]);
    pool_fixture_clear(&f);
}

Test(pool, chooses_as_its_newest_spec_says)
{
    struct pool_fixture f;
    int listeners[2];
    pool_fixture_init(&f, 0);
    for (int i = 0; i < 2; i++) {
        struct address address;
        listeners[i] = loopback_listen(&address);
        pool_fixture_add(&f, &address, 1);
    }
    f.spec.balance = BALANCE_LEAST_REQUESTS;
    pool_fixture_follow(&f);
    struct pool_result held = pool_fixture_ask(&f, NULL);
    cr_assert_eq(held.answer, IO_OK);
    unsigned busy = strcmp(held.server, f.names[0]) == 0 ? 0 : 1;
    for (int i = 0; i < 5; i++)
        cr_assert_neq(index_of_next(&f), busy);
    f.spec.balance = BALANCE_ROUND_ROBIN;
    pool_fixture_follow(&f);
    unsigned first = index_of_next(&f);
    cr_assert_neq(index_of_next(&f), first);
    upstream_connection_give_back(held.connection);
    close(listeners[0]);
    close(listeners[1]);
    pool_fixture_clear(&f);
}

/* --- latency: one that is not measured yet comes first, then the faster one ------------------ */

static void set_up_latency(struct pool_fixture *f, int listeners[2])
{
    pool_fixture_init(f, 0);
    for (int i = 0; i < 2; i++) {
        struct address address;
        listeners[i] = loopback_listen(&address);
        pool_fixture_add(f, &address, 1);
    }
    f->spec.balance = BALANCE_LATENCY;
    pool_fixture_follow(f);
}

static void tear_down_latency(struct pool_fixture *f, const int listeners[2])
{
    close(listeners[0]);
    close(listeners[1]);
    pool_fixture_clear(f);
}

static bool is_first(const struct pool_fixture *f, const struct pool_result *result)
{
    return strcmp(result->server, f->names[0]) == 0;
}

/* The next one answers after so long. Returns whether it is the first one. */
static bool answer_after(struct pool_fixture *f, uint64_t ms)
{
    struct pool_result result = pool_fixture_ask(f, NULL);
    upstream_connection_note_sent(result.connection);
    if (ms > 0)
        pool_fixture_run_for(f, ms);
    upstream_connection_note_answered(result.connection);
    upstream_connection_count(result.connection, UPSTREAM_2XX);
    upstream_connection_give_back(result.connection);
    return is_first(f, &result);
}

/* The next one ends like this, after so long. Returns whether it is the first one. */
static bool end_after(struct pool_fixture *f, uint64_t ms, enum upstream_outcome outcome)
{
    struct pool_result result = pool_fixture_ask(f, NULL);
    upstream_connection_note_sent(result.connection);
    if (ms > 0)
        pool_fixture_run_for(f, ms);
    upstream_connection_count(result.connection, outcome);
    upstream_connection_give_back(result.connection);
    return is_first(f, &result);
}

Test(pool, latency_is_learned_of_answers)
{
    struct pool_fixture f;
    int listeners[2];
    set_up_latency(&f, listeners);
    bool faster = answer_after(&f, 0);
    cr_assert_neq(answer_after(&f, 30), faster);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(answer_after(&f, 0), faster);
    tear_down_latency(&f, listeners);
}

Test(pool, an_answer_to_half_a_request_tells_nothing_of_latency)
{
    struct pool_fixture f;
    int listeners[2];
    set_up_latency(&f, listeners);
    bool measured = answer_after(&f, 0);
    for (int i = 0; i < 5; i++) {
        struct pool_result result = pool_fixture_ask(&f, NULL);
        cr_assert_neq(is_first(&f, &result), measured);
        upstream_connection_note_answered(result.connection);
        upstream_connection_count(result.connection, UPSTREAM_4XX);
        upstream_connection_give_back(result.connection);
    }
    tear_down_latency(&f, listeners);
}

/* However long the other one's answer has taken in the end: waits grow. */
static void expect_avoided_after(enum upstream_outcome outcome, uint64_t ms)
{
    struct pool_fixture f;
    int listeners[2];
    unsigned times = 0;
    set_up_latency(&f, listeners);
    bool faster = answer_after(&f, 0);
    cr_assert_neq(answer_after(&f, 10), faster);
    while (end_after(&f, ms << times, outcome) == faster)
        cr_assert_lt(++times, 8);
    cr_assert_gt(times, 0);
    tear_down_latency(&f, listeners);
}

Test(pool, latency_is_learned_of_failures_and_of_waiting_in_vain)
{
    expect_avoided_after(UPSTREAM_5XX, 0);
    expect_avoided_after(UPSTREAM_RESET, 0);
    expect_avoided_after(UPSTREAM_TIMEOUT, 60);
    expect_avoided_after(UPSTREAM_CANCELED, 60);
}

Test(pool, a_changed_weight_is_exact_from_then_on)
{
    struct pool_fixture f;
    struct address addresses[2];
    int listeners[2] = {loopback_listen(&addresses[0]), loopback_listen(&addresses[1])};
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &addresses[0], 5);
    pool_fixture_add(&f, &addresses[1], 1);
    pool_fixture_follow(&f);
    for (int i = 0; i < 3; i++)
        index_of_next(&f);
    uint64_t requests = pool_fixture_status(&f, 0).requests;
    cr_assert_gt(requests, 0);
    f.servers[1].weight = 2;
    f.servers[0].weight = 1;
    pool_fixture_follow(&f);
    cr_assert_eq(pool_fixture_status(&f, 0).requests, requests); /* it is the same server */
    cr_assert_eq(pool_fixture_status(&f, 1).weight, 2);
    unsigned got[2] = {0};
    for (int i = 0; i < 3; i++)
        got[index_of_next(&f)]++;
    cr_assert_eq(got[0], 1);
    cr_assert_eq(got[1], 2);
    close(listeners[0]);
    close(listeners[1]);
    pool_fixture_clear(&f);
}

/* Everything is copied: specs live in generations that go away. */
Test(pool, keeps_nothing_of_the_spec)
{
    struct pool_fixture f;
    struct address address;
    int listener = loopback_listen(&address);
    pool_fixture_init(&f, 0);
    struct server_spec *server = pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    char name[128];
    slice_copy_text(server->name, name, sizeof(name));
    memset(f.names, '?', sizeof(f.names));
    memset(f.servers, '?', sizeof(f.servers));
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_str_eq(result.server, name);
    cr_assert(slice_equal(pool_name(f.pool), slice_of("pool")));
    upstream_connection_give_back(result.connection);
    close(listener);
    pool_fixture_clear(&f);
}

Test(pool, a_server_that_is_gone_gets_nothing_and_keeps_nothing)
{
    struct pool_fixture f;
    struct address addresses[2];
    int listeners[2] = {loopback_listen(&addresses[0]), loopback_listen(&addresses[1])};
    char byte;
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &addresses[0], 1);
    pool_fixture_add(&f, &addresses[1], 1);
    pool_fixture_follow(&f);
    struct pool_result busy = pool_fixture_ask(&f, NULL), idle;
    cr_assert_str_eq(busy.server, f.names[0]);
    const struct pool_ask avoiding = {.max_tries = 1, .avoid = f.servers[1].name};
    idle = pool_fixture_ask(&f, &avoiding);
    int busy_peer = accept(listeners[0], NULL, NULL);
    int idle_peer = accept(listeners[0], NULL, NULL);
    upstream_connection_give_back(idle.connection);

    /* Only the second one stays. */
    f.servers[0] = f.servers[1];
    f.spec.server_count = 1;
    pool_fixture_follow(&f);
    cr_assert_eq(pool_server_count(f.pool), 1);
    cr_assert_eq(recv(idle_peer, &byte, 1, 0), 0);
    cr_assert_eq(recv(busy_peer, &byte, 1, MSG_DONTWAIT), -1);
    cr_assert_not(slice_is_empty(upstream_connection_host(busy.connection)));
    upstream_connection_give_back(busy.connection);
    cr_assert_eq(recv(busy_peer, &byte, 1, 0), 0);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_str_eq(result.server, f.names[1]);
    upstream_connection_give_back(result.connection);
    close(busy_peer);
    close(idle_peer);
    close(listeners[0]);
    close(listeners[1]);
    pool_fixture_clear(&f);
}

/* A pool without servers any more, while a wait goes on with one that was. */
Test(pool, a_wait_outlives_the_server_that_it_tries)
{
    struct pool_fixture f;
    struct address address;
    struct loopback_hang hang;
    struct pool_result result;
    loopback_hang(&hang, &address);
    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    const struct pool_ask ask = {.connect_timeout_ms = 50, .max_tries = 3};
    struct pool_wait *wait = pool_ask(f.pool, &ask, &f.task);
    f.spec.server_count = 0;
    pool_fixture_follow(&f);
    while (pool_fixture_peek(wait, &result) == IO_WAIT)
        loop_run(f.env.loop);
    cr_assert_eq(result.answer, IO_ERROR);
    cr_assert_eq(result.failure, POOL_CONNECT_TIMEOUT);
    cr_assert_str_eq(result.server, f.names[0]);
    pool_wait_end(wait);
    loopback_hang_end(&hang);
    pool_fixture_clear(&f);
}

Test(pool, who_waits_for_the_address_of_a_server_that_goes_is_led_to_the_others)
{
    const struct pool_ask ask = {.connect_timeout_ms = 600 * 1000, .max_tries = 2};
    struct pool_fixture f;
    struct pool_result result;
    struct address address, asked;
    struct dns_server *dns = dns_server_start();
    int listener = loopback_listen(&address);

    pool_fixture_init(&f, 0);
    cr_assert(name_server_parse(slice_of(dns_server_address(dns)), &asked, NULL));
    resolver_set_servers(f.resolver, &asked, 1);
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_SILENT);
    pool_fixture_add_name(&f, "slow.test", 80);
    pool_fixture_follow(&f);
    struct pool_wait *wait = pool_ask(f.pool, &ask, &f.task);
    cr_assert_eq(pool_fixture_peek(wait, &result), IO_WAIT);
    f.spec.server_count = 0;
    pool_fixture_add(&f, &address, 1);
    pool_fixture_follow(&f);
    while (pool_fixture_peek(wait, &result) == IO_WAIT)
        loop_run(f.env.loop);
    cr_assert_eq(result.answer, IO_OK);
    cr_assert_eq(result.attempts, 2);
    pool_wait_end(wait);
    upstream_connection_give_back(result.connection);
    close(listener);
    pool_fixture_clear(&f);
    dns_server_stop(dns);
}

/* Its worker has not adopted the generation that has them. */
Test(pool, servers_of_a_generation_that_is_still_to_come_get_nothing)
{
    struct pool_fixture f;
    struct address one, other;
    int first = loopback_listen(&one), second = loopback_listen(&other);
    struct upstream_spec newer;

    pool_fixture_init(&f, 0);
    pool_fixture_add(&f, &one, 1);
    pool_fixture_follow(&f);
    newer = f.spec;
    newer.serial++;
    newer.server_count = 0;
    pool_fixture_add(&f, &other, 1);
    newer.servers = &f.servers[1];
    newer.server_count = 1;
    f.spec.server_count = 1;
    struct backend_state *state = backend_state_take(f.states, &newer);
    backend_state_follow(state, &newer); /* as another worker does */
    pool_fixture_run_for(&f, 5);
    struct pool_result result = pool_fixture_ask(&f, NULL);
    cr_assert_str_eq(result.server, f.names[0]);
    upstream_connection_give_back(result.connection);
    pool_follow(f.pool, &newer);
    result = pool_fixture_ask(&f, NULL);
    cr_assert_str_eq(result.server, f.names[1]);
    upstream_connection_give_back(result.connection);
    backend_state_drop(state);
    close(first);
    close(second);
    pool_fixture_clear(&f);
}
