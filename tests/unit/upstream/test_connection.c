/* Connections between requests: reused newest first, thrown away once they say or hear anything. */
#include "net/descriptors.h"
#include "support/pool_fixture.h"
#include "support/syscalls.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct backend {
    struct pool_fixture f;
    struct address address;
    int listener;
};

static void set_up(struct backend *b, unsigned keepalive)
{
    pool_fixture_init(&b->f, 0);
    b->listener = loopback_listen(&b->address);
    pool_fixture_add(&b->f, &b->address, 1);
    b->f.spec.keepalive = keepalive;
    pool_fixture_follow(&b->f);
}

static void set_up_aged(struct backend *b, uint64_t age_ms, unsigned uses)
{
    pool_fixture_init(&b->f, 0);
    b->f.env.connection_age_ms = age_ms;
    b->f.env.connection_uses = uses;
    b->listener = loopback_listen(&b->address);
    pool_fixture_add(&b->f, &b->address, 1);
    pool_fixture_follow(&b->f);
}

static void tear_down(struct backend *b)
{
    close(b->listener);
    pool_fixture_clear(&b->f);
}

static unsigned idle_of(struct backend *b)
{
    return pool_fixture_status(&b->f, 0).idle;
}

static uint64_t reused_of(const struct backend *b)
{
    return metric_read(&b->f.metrics, METRIC_UPSTREAM_REUSED);
}

static bool has_no_idle(void *argument)
{
    return idle_of(argument) == 0;
}

static struct upstream_connection *take(struct backend *b)
{
    struct pool_result result = pool_fixture_ask(&b->f, NULL);
    cr_assert_eq(result.answer, IO_OK);
    return result.connection;
}

/* A new connection that has carried one request; its other end. */
static int make_idle(struct backend *b, const char *response)
{
    struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 1, .fresh = true};
    struct pool_result result = pool_fixture_ask(&b->f, &ask);
    cr_assert_eq(result.answer, IO_OK);
    int peer = accept(b->listener, NULL, NULL);
    pool_fixture_request(&b->f, result.connection, peer, response);
    return peer;
}

static bool is_closed(int peer)
{
    char byte;
    return recv(peer, &byte, 1, 0) <= 0;
}

static bool is_open(int peer)
{
    char byte;
    return recv(peer, &byte, 1, MSG_DONTWAIT) < 0;
}

Test(connection, an_idle_one_is_answered_at_once_without_a_turn_of_the_loop)
{
    struct backend b;
    struct pool_result result;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 1};
    struct pool_wait *wait = pool_ask(b.f.pool, &ask, &b.f.task);
    cr_assert_eq(pool_fixture_peek(wait, &result), IO_OK);
    pool_wait_end(wait);
    cr_assert(upstream_connection_is_reused(result.connection));
    cr_assert_eq(result.attempts, 1);
    cr_assert(pool_fixture_request(&b.f, result.connection, peer, ok));
    cr_assert_eq(reused_of(&b), 1);
    cr_assert_eq(metric_read(&b.f.metrics, METRIC_UPSTREAM_CONNECTS), 1);
    cr_assert_eq(pool_fixture_status(&b.f, 0).requests, 2);
    close(peer);
    tear_down(&b);
}

Test(connection, many_requests_share_one)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    for (int i = 0; i < 100; i++)
        cr_assert(pool_fixture_request(&b.f, take(&b), peer, ok));
    cr_assert_eq(reused_of(&b), 100);
    close(peer);
    tear_down(&b);
}

Test(connection, the_newest_comes_first)
{
    struct backend b;
    set_up(&b, 4);
    int peers[3];
    for (int i = 0; i < 3; i++)
        peers[i] = make_idle(&b, ok);
    for (int i = 2; i >= 0; i--) {
        struct upstream_connection *c = take(&b);
        /* Only its own other end can answer. */
        struct http_stream *http = upstream_connection_begin(c, &b.f.task);
        http->ops->end(http, HTTP_END_ABORT);
        upstream_connection_give_back(c);
        cr_assert(is_closed(peers[i]), "connection %d", i);
        for (int j = 0; j < i; j++)
            cr_assert(is_open(peers[j]), "connection %d", j);
        close(peers[i]);
    }
    tear_down(&b);
}

Test(connection, a_fresh_one_is_made_when_asked_for)
{
    struct backend b;
    set_up(&b, 4);
    int first = make_idle(&b, ok), second = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 2);
    cr_assert_eq(reused_of(&b), 0);
    close(first);
    close(second);
    tear_down(&b);
}

Test(connection, one_that_the_backend_closed_is_never_handed_out)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    close(peer);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    struct upstream_connection *c = take(&b);
    cr_assert_not(upstream_connection_is_reused(c));
    upstream_connection_give_back(c);
    tear_down(&b);
}

/* An answer to nothing: whose it would be nobody knows. */
Test(connection, one_that_speaks_unasked_is_thrown_away)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    send(peer, ok, strlen(ok), MSG_NOSIGNAL);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

Test(connection, bytes_behind_a_response_end_it)
{
    static const char two[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n";
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, two);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

Test(connection, a_response_that_ends_with_it_or_says_close_ends_it)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(peer);
    peer = make_idle(&b, "HTTP/1.0 204 No Content\r\n\r\n");
    cr_assert_eq(idle_of(&b), 0);
    close(peer);
    tear_down(&b);
}

Test(connection, without_keepalive_none_stays)
{
    struct backend b;
    set_up(&b, 0);
    int peer = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

/* Twice as many may stay for a moment, so that bursts do not connect anew for every request. */
/* The last descriptors are for those who are being served. */
Test(connection, none_stays_idle_when_descriptors_are_short)
{
    enum { FILES = 200 };
    const struct rlimit limit = {.rlim_cur = FILES, .rlim_max = FILES};
    struct backend b;
    int taken[FILES], count = 0;
    set_up(&b, 4);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    descriptors_begin();
    do
        cr_assert_geq(taken[count] = dup(STDERR_FILENO), 0);
    while (!descriptor_is_reserve(taken[count++]));
    int peer = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(peer);
    while (count > 0)
        close(taken[--count]);
    peer = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 1);
    close(peer);
    tear_down(&b);
}

Test(connection, more_than_may_be_kept_leave_after_a_moment)
{
    struct backend b;
    int peers[5];
    set_up(&b, 2);
    for (int i = 0; i < 5; i++)
        peers[i] = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 4);
    cr_assert(is_closed(peers[4]));
    uint64_t before_ms = loop_now_ms(b.f.env.loop);
    while (idle_of(&b) > 2)
        pool_fixture_run_for(&b.f, 5);
    cr_assert_lt(loop_now_ms(b.f.env.loop) - before_ms, 2000);
    cr_assert(is_closed(peers[2]) && is_closed(peers[3]));
    cr_assert(is_open(peers[0]) && is_open(peers[1]));
    for (int i = 0; i < 5; i++)
        close(peers[i]);
    tear_down(&b);
}

Test(connection, an_idle_one_is_closed_a_second_before_the_backend_would)
{
    static const char hinted[] =
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2, max=9\r\nContent-Length: 2\r\n\r\nok";
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, hinted);
    uint64_t before_ms = loop_now_ms(b.f.env.loop);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    uint64_t took_ms = loop_now_ms(b.f.env.loop) - before_ms;
    cr_assert_geq(took_ms, 900);
    cr_assert_lt(took_ms, 2000);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

Test(connection, a_backend_that_keeps_them_a_second_gets_them_closed_at_once)
{
    struct backend b;
    set_up(&b, 4);
    int peer =
        make_idle(&b, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok");
    cr_assert_eq(idle_of(&b), 0);
    close(peer);
    tear_down(&b);
}

/* Four seconds unless the backend names its own habit: most close after five. */
Test(connection, without_a_hint_an_idle_one_lives_for_four_seconds)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    uint64_t before_ms = loop_now_ms(b.f.env.loop);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    uint64_t took_ms = loop_now_ms(b.f.env.loop) - before_ms;
    cr_assert_geq(took_ms, 3900);
    cr_assert_lt(took_ms, 5000);
    close(peer);
    tear_down(&b);
}

/* The time of an idle one begins when it is given back, however long it was out. */
Test(connection, a_request_longer_than_the_idle_time_does_not_end_it)
{
    static const char hinted[] =
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok";
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, hinted);
    struct upstream_connection *c = take(&b);
    pool_fixture_run_for(&b.f, 1200);
    cr_assert(pool_fixture_request(&b.f, c, peer, hinted));
    cr_assert_eq(idle_of(&b), 1);
    pool_fixture_run_for(&b.f, 300);
    cr_assert_eq(idle_of(&b), 1);
    close(peer);
    tear_down(&b);
}

static uint64_t limit_of(struct backend *b)
{
    return pool_fixture_status(&b->f, 0).idle_limit_ms;
}

Test(connection, four_seconds_are_assumed_until_a_response_says_otherwise)
{
    struct backend b;
    set_up(&b, 4);
    cr_assert_eq(limit_of(&b), 4000);
    int peer =
        make_idle(&b, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=20\r\nContent-Length: 2\r\n\r\nok");
    cr_assert_eq(limit_of(&b), 19000);
    cr_assert(pool_fixture_request(&b.f, take(&b), peer, ok));
    cr_assert_eq(limit_of(&b), 4000, "the newest response counts");
    close(peer);
    tear_down(&b);
}

/* What the server did once it will do again: the next ones are retired before. */
Test(connection, the_age_at_which_the_server_closed_one_is_learned)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    pool_fixture_run_for(&b.f, 1200);
    close(peer);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    cr_assert_lt(limit_of(&b), 4000);
    cr_assert_geq(limit_of(&b), 900); /* 1200 less a quarter */

    peer = make_idle(&b, ok);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    cr_assert(is_open(peer), "it is retired, and watched");
    close(peer);
    tear_down(&b);
}

static bool has_another_limit(void *argument)
{
    struct backend *b = argument;
    return limit_of(b) != 4000;
}

/* Of a server's retired ones, one stays until the server closes it, and is never used. */
Test(connection, the_one_that_is_watched_teaches_the_servers_time)
{
    struct backend b;
    set_up(&b, 4);
    int peers[3];
    for (int i = 0; i < 3; i++)
        peers[i] = make_idle(&b, ok);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    int open = 0, watched = -1;
    for (int i = 0; i < 3; i++) {
        if (is_open(peers[i])) {
            open++;
            watched = i;
        }
    }
    cr_assert_eq(open, 1);
    struct upstream_connection *c = take(&b);
    cr_assert_not(upstream_connection_is_reused(c));
    upstream_connection_give_back(c);

    pool_fixture_run_for(&b.f, 1500);
    cr_assert_eq(limit_of(&b), 4000);
    close(peers[watched]);
    pool_fixture_run_until(&b.f, has_another_limit, &b);
    cr_assert_gt(limit_of(&b), 4400); /* it lasted for 5500, and more on a slow machine */
    for (int i = 0; i < 3; i++)
        if (i != watched)
            close(peers[i]);
    tear_down(&b);
}

Test(connection, draining_ends_the_watched_one_too)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    pool_fixture_run_until(&b.f, has_no_idle, &b);
    cr_assert(is_open(peer));
    pool_close_idle(b.f.pool);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

/* The loop has not seen yet what the kernel knows. */
Test(connection, one_that_rested_is_asked_before_it_is_used)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    pool_fixture_run_for(&b.f, 150);
    close(peer);
    struct upstream_connection *c = take(&b);
    cr_assert_not(upstream_connection_is_reused(c));
    upstream_connection_give_back(c);
    tear_down(&b);
}

Test(connection, one_that_rested_and_spoke_is_asked_before_it_is_used)
{
    static const char farewell[] = "HTTP/1.1 408 Too Late\r\nConnection: close\r\n\r\n";
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    pool_fixture_run_for(&b.f, 150);
    send(peer, farewell, strlen(farewell), MSG_NOSIGNAL);
    struct upstream_connection *c = take(&b);
    cr_assert_not(upstream_connection_is_reused(c));
    upstream_connection_give_back(c);
    close(peer);
    tear_down(&b);
}

/* A request that met the server's end teaches as much as an idle one. */
Test(connection, a_stale_one_teaches)
{
    struct backend b;
    set_up(&b, 4);
    int peer = make_idle(&b, ok);
    pool_fixture_run_for(&b.f, 1200);
    struct upstream_connection *c = take(&b);
    cr_assert(upstream_connection_is_reused(c));
    upstream_connection_note_stale(c);
    cr_assert_lt(limit_of(&b), 4000);
    cr_assert_geq(limit_of(&b), 900);
    cr_assert(pool_fixture_request(&b.f, c, peer, ok));
    close(peer);
    tear_down(&b);
}

Test(connection, draining_closes_idle_ones_and_keeps_none)
{
    struct backend b;
    set_up(&b, 4);
    int idle = make_idle(&b, ok);
    struct pool_ask ask = {.max_tries = 1, .fresh = true};
    struct pool_result busy = pool_fixture_ask(&b.f, &ask);
    int peer = accept(b.listener, NULL, NULL);
    pool_close_idle(b.f.pool);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(idle));
    cr_assert(is_open(peer));
    cr_assert(pool_fixture_request(&b.f, busy.connection, peer, ok));
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));

    pool_fixture_follow(&b.f); /* in use again */
    close(peer);
    peer = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 1);
    close(idle);
    close(peer);
    tear_down(&b);
}

/* --- PROXY protocol ------------------------------------------------------------------------- */

static void name_clients(struct backend *b, bool names_clients)
{
    b->f.spec.names_clients = names_clients;
    pool_fixture_follow(&b->f);
}

/* --- requests in flight --------------------------------------------------------------------- */

static unsigned in_flight_of(struct backend *b)
{
    struct server_set *set = NULL;
    struct backend_state *state = backend_state_take(b->f.states, &b->f.spec);
    unsigned count;

    set = backend_state_set(state);
    count = atomic_load(&set->servers[0].state->in_flight);
    server_set_unref(set);
    backend_state_drop(state);
    return count;
}

Test(connection, a_request_is_in_flight_from_the_moment_its_server_is_chosen)
{
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 1};
    struct backend b;

    set_up(&b, 4);
    b.f.spec.balance = BALANCE_LEAST_REQUESTS;
    pool_fixture_follow(&b.f);
    struct pool_wait *wait = pool_ask(b.f.pool, &ask, &b.f.task);
    cr_assert_eq(in_flight_of(&b), 1); /* not connected yet */
    pool_wait_end(wait);
    cr_assert_eq(in_flight_of(&b), 0);
    struct upstream_connection *connection = take(&b);
    cr_assert_eq(in_flight_of(&b), 1);
    b.f.spec.balance = BALANCE_ROUND_ROBIN; /* nobody goes by it any more */
    pool_fixture_follow(&b.f);
    upstream_connection_give_back(connection);
    cr_assert_eq(in_flight_of(&b), 0);
    tear_down(&b);
}

/* --- age ---------------------------------------------------------------------------------- */

Test(connection, one_that_carried_enough_requests_is_closed)
{
    struct backend b;

    set_up_aged(&b, 0, 3);
    int peer = make_idle(&b, ok);
    cr_assert(pool_fixture_request(&b.f, take(&b), peer, ok));
    cr_assert_eq(idle_of(&b), 1);
    cr_assert(pool_fixture_request(&b.f, take(&b), peer, ok));
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

Test(connection, one_that_is_too_old_is_not_kept)
{
    struct backend b;

    set_up_aged(&b, 50, 0);
    int peer = make_idle(&b, ok);
    cr_assert_eq(idle_of(&b), 1);
    struct upstream_connection *connection = take(&b);
    pool_fixture_run_for(&b.f, 60);
    cr_assert(pool_fixture_request(&b.f, connection, peer, ok));
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(peer);
    tear_down(&b);
}

Test(connection, one_that_was_out_while_its_server_moved_is_not_kept)
{
    struct backend b;
    struct address elsewhere;
    set_up(&b, 4);
    int other = loopback_listen(&elsewhere);
    struct upstream_connection *stays = take(&b), *leaves = take(&b);
    int staying = accept(b.listener, NULL, NULL), leaving = accept(b.listener, NULL, NULL);
    pool_fixture_follow(&b.f); /* nothing has changed */
    cr_assert(pool_fixture_request(&b.f, stays, staying, ok));
    cr_assert_eq(idle_of(&b), 1);
    b.f.servers[0].endpoint.address = elsewhere; /* as if its name led there now */
    pool_fixture_follow(&b.f);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(pool_fixture_request(&b.f, leaves, leaving, ok));
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(staying));
    cr_assert(is_closed(leaving));
    close(other);
    close(staying);
    close(leaving);
    tear_down(&b);
}

Test(connection, one_that_names_a_client_serves_nobody_else)
{
    struct backend b;
    set_up(&b, 4);
    name_clients(&b, true);
    for (int i = 0; i < 3; i++) {
        struct upstream_connection *c = take(&b);
        int peer = accept(b.listener, NULL, NULL);
        cr_assert_not(upstream_connection_is_reused(c));
        cr_assert(pool_fixture_request(&b.f, c, peer, ok));
        cr_assert(is_closed(peer));
        cr_assert_eq(idle_of(&b), 0);
        close(peer);
    }
    tear_down(&b);
}

/* Head and header are one send. */
Test(connection, the_header_costs_no_system_call)
{
    struct backend b;
    char bytes[1024];
    struct http_head head = {.method = METHOD_GET,
                             .method_text = slice_of("GET"),
                             .path = slice_of("/"),
                             .authority = slice_of("test"),
                             .keeps_connection = true};
    set_up(&b, 4);
    name_clients(&b, true);
    b.f.client.names_ends = true;
    cr_assert(address_parse_ip(slice_of("192.0.2.1"), 1, &b.f.client.source));
    cr_assert(address_parse_ip(slice_of("192.0.2.2"), 2, &b.f.client.destination));
    struct upstream_connection *c = take(&b);
    int peer = accept(b.listener, NULL, NULL);
    struct http_stream *http = upstream_connection_begin(c, &b.f.task);
    upstream_connection_name_client(c, &b.f.client);
    unsigned sends = syscall_counts.send;
    cr_assert_eq(http->ops->write_head(http, &head), IO_OK);
    cr_assert_eq(http->ops->flush(http), IO_OK);
    cr_assert_eq(syscall_counts.send - sends, 1);
    ssize_t got = recv(peer, bytes, sizeof(bytes), 0);
    cr_assert_gt(got, 28);
    cr_expect_arr_eq(bytes,
                     "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\1\0\2", 28);
    cr_expect_arr_eq(bytes + 28, "GET / HTTP/1.1\r\n", 16);
    http->ops->end(http, HTTP_END_ABORT);
    upstream_connection_give_back(c);
    close(peer);
    tear_down(&b);
}

/* A change of the key is a change of the backend: what is idle goes, and what is out does not come
 * back. */
Test(connection, none_outlives_a_change_of_what_backends_are_told)
{
    struct backend b;
    set_up(&b, 4);
    int idle = make_idle(&b, ok);
    struct pool_ask fresh = {.max_tries = 1, .fresh = true};
    struct upstream_connection *out = pool_fixture_ask(&b.f, &fresh).connection;
    int peer = accept(b.listener, NULL, NULL);
    struct http_stream *http = upstream_connection_begin(out, &b.f.task);
    name_clients(&b, true);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(idle));
    http->ops->end(http, HTTP_END_ABORT);
    upstream_connection_give_back(out);
    cr_assert(is_closed(peer));
    close(peer);

    out = take(&b);
    peer = accept(b.listener, NULL, NULL);
    http = upstream_connection_begin(out, &b.f.task);
    upstream_connection_name_client(out, &b.f.client);
    name_clients(&b, false);
    http->ops->end(http, HTTP_END_REUSE);
    upstream_connection_give_back(out);
    cr_assert_eq(idle_of(&b), 0);
    cr_assert(is_closed(peer));
    close(idle);
    close(peer);
    tear_down(&b);
}

static bool has_connected(void *argument)
{
    const struct backend *b = argument;
    return metric_read(&b->f.metrics, METRIC_UPSTREAM_CONNECTS) > 0;
}

/* Nobody's request has gone there yet, and none will: it would have to be kept for somebody. */
Test(connection, one_that_is_abandoned_before_it_names_a_client_is_closed)
{
    struct backend b;
    set_up(&b, 4);
    name_clients(&b, true);
    const struct pool_ask ask = {.connect_timeout_ms = 1000, .max_tries = 1};
    struct pool_wait *wait = pool_ask(b.f.pool, &ask, &b.f.task);
    pool_wait_end(wait);
    int peer = accept(b.listener, NULL, NULL);
    pool_fixture_run_until(&b.f, has_connected, &b);
    cr_assert(is_closed(peer));
    cr_assert_eq(idle_of(&b), 0);
    close(peer);
    tear_down(&b);
}

Test(connection, a_bad_answer_is_counted)
{
    struct backend b;
    set_up(&b, 4);
    struct upstream_connection *c = take(&b);
    upstream_connection_count(c, UPSTREAM_RESET);
    upstream_connection_give_back(c);
    cr_assert_eq(pool_fixture_status(&b.f, 0).response_failures, 1);
    cr_assert_eq(pool_fixture_status(&b.f, 0).connect_failures, 0);
    tear_down(&b);
}

Test(connection, a_pool_may_be_freed_with_idle_ones)
{
    struct backend b;
    set_up(&b, 4);
    int fds = open_fd_count();
    int peers[2] = {make_idle(&b, ok), make_idle(&b, ok)};
    pool_free(b.f.pool);
    b.f.pool = NULL;
    cr_assert(is_closed(peers[0]) && is_closed(peers[1]));
    close(peers[0]);
    close(peers[1]);
    cr_assert_eq(open_fd_count(), fds);
    pool_fixture_follow(&b.f);
    tear_down(&b);
}
