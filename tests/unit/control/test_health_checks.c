/* Which servers are checked, how many at once, and what becomes of what is known of them. */
#include "control/health_checks.h"

#include "base/buffer.h"
#include "net/descriptors.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVERS_MAX = 40 };

static struct loop *loop;
static struct resolver *resolver;
static struct backend_states *states;
static struct health_checks *checks;
static struct task turn;
static struct deadline tick;

static void end_turn(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static void begin(void)
{
    loop = loop_new();
    resolver = resolver_new(loop, NULL);
    states = backend_states_new(loop, resolver);
    checks = health_checks_new(loop, states);
    task_init(&turn, end_turn, NULL);
    deadline_init(&tick, &turn);
}

static void end(void)
{
    health_checks_close(checks);
    health_checks_free(checks);
    backend_states_free(states);
    deadline_clear(&tick);
    resolver_free(resolver);
    loop_free(loop);
    buffer_cache_clear();
}

TestSuite(health_checks, .init = begin, .fini = end);

static void run_once(void)
{
    deadline_set(loop, &tick, 1);
    loop_run(loop);
}

/* --- backends ---------------------------------------------------------------------------------
 */

/* Servers that are connected to, at that address, called a:1, b:1 … */
static struct upstream_spec *make_backend(const char *name, const struct address *address,
                                          const char *servers)
{
    struct upstream_spec *spec = upstream_new(slice_of(name));
    spec->health = (struct health_spec){
        .is_on = true, .every_ms = 20, .timeout_ms = 60 * 1000, .rise = 1, .fall = 1};
    spec->servers = arena_alloc(&spec->arena, SERVERS_MAX * sizeof(*spec->servers));
    for (const char *at = servers; *at != '\0'; at++) {
        struct server_spec *server = &spec->servers[spec->server_count++];
        server->name = arena_printf(&spec->arena, "%c:1", *at);
        server->weight = 1;
        server->endpoint.address = *address;
        snprintf(server->endpoint.host, sizeof(server->endpoint.host), "%c.test", *at);
    }
    return spec;
}

/* Takes the only one of its generation; NULL: it has none. */
static void follow(struct upstream_spec *spec)
{
    health_checks_follow(checks, &spec, spec != NULL);
    if (spec != NULL)
        upstream_unref(spec);
}

static const struct server_health *known(const char *server)
{
    const struct checked_backend *backend = health_checks_find(checks, slice_of("api"));
    return backend != NULL ? health_checks_server(backend, slice_of(server), 0) : NULL;
}

static void await_verdict(const char *server, enum check_verdict verdict)
{
    while (known(server)->health.verdict != verdict)
        run_once();
}

/* The state that pools see; the backend's user is the caller. */
static uint32_t verdict_of(struct backend_state *state, unsigned index)
{
    struct server_set *set = backend_state_set(state);
    uint32_t verdict = set->servers[index].state->verdict;
    server_set_unref(set);
    return verdict;
}

static unsigned accept_all(int listener)
{
    struct pollfd arrival = {.fd = listener, .events = POLLIN};
    unsigned count = 0;
    for (; poll(&arrival, 1, 0) == 1; count++)
        close(accept(listener, NULL, NULL));
    return count;
}

/* --- who is checked ---------------------------------------------------------------------------
 */

/* What the test's server is sent over its next connection, once that has come. */
static int accept_next(int listener)
{
    struct pollfd arrival = {.fd = listener, .events = POLLIN};
    while (poll(&arrival, 1, 0) == 0)
        run_once();
    return accept(listener, NULL, NULL);
}

/* Before anybody here has looked. */
Test(health_checks, a_server_that_leaves_and_comes_back_at_once_is_as_it_was)
{
    struct address address;
    int refusing = loopback_refuse(&address);
    struct upstream_spec *spec = make_backend("api", &address, "ab");
    struct upstream_spec *without = make_backend("api", &address, "a");
    struct upstream_spec *again = make_backend("api", &address, "ab");
    struct backend_state *state = backend_state_take(states, spec);
    follow(spec);
    await_verdict("b:1", CHECK_DOWN);
    backend_state_follow(state, without);
    backend_state_follow(state, again);
    run_once();
    cr_assert_eq(known("b:1")->health.verdict, CHECK_DOWN);
    cr_assert_eq(verdict_of(state, 1), CHECK_DOWN);
    upstream_unref(without);
    upstream_unref(again);
    follow(NULL);
    backend_state_drop(state);
    close(refusing);
}

/* Names that move have another set take the place of the one that it began with. */
Test(health_checks, a_check_that_is_out_asks_as_it_began)
{
    struct address address;
    int listener = loopback_listen(&address);
    struct upstream_spec *spec = make_backend("api", &address, "a");
    struct upstream_spec *newer = make_backend("api", &address, "ab");
    spec->health.path = slice_of("/");
    spec->health.method = slice_of("GET");
    struct backend_state *state = backend_state_take(states, spec);
    follow(spec);
    loop_wake(loop, &turn); /* behind what begins it */
    loop_run(loop);
    backend_state_follow(state, newer);
    upstream_unref(newer);

    char request[512] = "";
    int fd = accept_next(listener);
    while (recv(fd, request, sizeof(request) - 1, MSG_DONTWAIT) <= 0)
        run_once();
    cr_assert_not_null(strstr(request, "\r\nHost: a.test\r\n"));
    cr_assert_not_null(known("b:1"));
    close(fd);
    close(listener);
    follow(NULL);
    backend_state_drop(state);
}

Test(health_checks, verdicts_are_seen_by_pools_and_forgotten_with_health)
{
    struct address address;
    int refusing = loopback_refuse(&address);
    struct upstream_spec *spec = make_backend("api", &address, "ab");
    struct backend_state *state = backend_state_take(states, spec);
    follow(spec);
    cr_assert_eq(known("a:1")->health.verdict, CHECK_UNKNOWN);
    await_verdict("a:1", CHECK_DOWN);
    await_verdict("b:1", CHECK_DOWN);
    cr_assert_eq(known("a:1")->health.bad.result, HEALTH_CONNECT_FAILED);
    cr_assert_eq(verdict_of(state, 0), CHECK_DOWN);
    cr_assert_gt(health_checks_count(checks, HEALTH_CONNECT_FAILED), 1);

    follow(make_backend("api", &address, "ab")); /* another entry of it */
    cr_assert_eq(known("a:1")->health.verdict, CHECK_DOWN);
    cr_assert_eq(verdict_of(state, 0), CHECK_DOWN);
    cr_assert_eq(listen(refusing, 16), 0);
    await_verdict("a:1", CHECK_UP);
    cr_assert_eq(verdict_of(state, 0), CHECK_UP);

    spec = make_backend("api", &address, "ab");
    spec->health.is_on = false;
    follow(spec);
    cr_assert_null(known("a:1"));
    cr_assert_eq(verdict_of(state, 0), CHECK_UNKNOWN);
    follow(NULL);
    backend_state_drop(state);
    close(refusing);
}

/* As names do it: a set that changes without a word of the route file. */
Test(health_checks, servers_come_and_go_without_a_generation)
{
    struct address address, address_of_b;
    int listener = loopback_listen(&address), listener_of_b = loopback_listen(&address_of_b);
    struct upstream_spec *spec = make_backend("api", &address, "ab");
    spec->servers[1].endpoint.address = address_of_b;
    struct backend_state *state = backend_state_take(states, spec);
    follow(spec);
    await_verdict("a:1", CHECK_UP);
    await_verdict("b:1", CHECK_UP);
    int64_t since_ms = known("a:1")->since_ms;

    spec = make_backend("api", &address, "ca");
    backend_state_follow(state, spec);
    while (known("c:1") == NULL)
        run_once();
    cr_assert_null(known("b:1"));
    cr_assert_eq(known("a:1")->health.verdict, CHECK_UP);
    cr_assert_eq(known("a:1")->since_ms, since_ms);
    await_verdict("c:1", CHECK_UP);
    accept_all(listener_of_b);
    uint64_t count = health_checks_count(checks, HEALTH_GOOD);
    while (health_checks_count(checks, HEALTH_GOOD) < count + 10)
        run_once();
    cr_assert_gt(accept_all(listener), 0);
    cr_assert_eq(accept_all(listener_of_b), 0);
    upstream_unref(spec);
    backend_state_drop(state);
    close(listener);
    close(listener_of_b);
}

Test(health_checks, nobody_is_checked_whose_name_is_still_looked_up)
{
    struct address address;
    int listener = loopback_listen(&address);
    struct upstream_spec *spec = make_backend("api", &address, "a");
    spec->servers[0].endpoint.kind = ENDPOINT_NAME;
    spec->servers[0].endpoint.port = ntohs(address.as.v4.sin_port);
    snprintf(spec->servers[0].endpoint.name, sizeof(spec->servers[0].endpoint.name), "localhost");
    follow(spec);
    await_verdict("a:1", CHECK_UP);
    cr_assert_eq(known("a:1")->health.bad.result, HEALTH_GOOD, "never anything else");
    close(listener);
}

/* --- how many at once -------------------------------------------------------------------------
 */

static void allow_descriptors(rlim_t most)
{
    const struct rlimit limit = {.rlim_cur = most, .rlim_max = most};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    descriptors_begin();
}

/* With 200 descriptors six are for checks: servers that hang keep the others waiting, who get
 * their turn when those are over. */
Test(health_checks, few_descriptors_are_used_at_once)
{
    struct address address;
    int listener = loopback_listen(&address);
    struct upstream_spec *spec = make_backend("api", &address, "abcdefghijklmnopqrst");
    spec->health.path = slice_of("/");
    spec->health.method = slice_of("GET");
    spec->health.timeout_ms = 200;
    spec->health.every_ms = 60 * 1000;
    allow_descriptors(200);
    int before = open_fd_count(), most = 0;
    follow(spec);
    while (health_checks_count(checks, HEALTH_TIMEOUT) < 20) {
        run_once();
        int now = open_fd_count() - before;
        most = now > most ? now : most;
    }
    cr_assert_eq(most, 6);
    cr_assert_eq(accept_all(listener), 20);
    cr_assert_eq(health_checks_count(checks, HEALTH_UNDECIDED), 0);
    close(listener);
}

/* --- the end ----------------------------------------------------------------------------------
 */

Test(health_checks, closing_ends_what_is_out_and_keeps_what_is_known)
{
    struct address address;
    int listener = loopback_listen(&address), before = open_fd_count();
    struct upstream_spec *spec = make_backend("api", &address, "abc");
    spec->health.path = slice_of("/");
    spec->health.method = slice_of("GET");
    spec->health.timeout_ms = 20;
    spec->health.every_ms = 20;
    follow(spec);
    await_verdict("a:1", CHECK_DOWN);
    while (open_fd_count() == before)
        run_once();
    health_checks_close(checks);
    cr_assert_eq(open_fd_count(), before);
    accept_all(listener);
    for (int i = 0; i < 50; i++)
        run_once();
    cr_assert_eq(accept_all(listener), 0);
    cr_assert_eq(known("a:1")->health.verdict, CHECK_DOWN);
    close(listener);
}

Test(health_checks, a_server_that_leaves_takes_its_check_along)
{
    struct address address;
    int listener = loopback_listen(&address), before = open_fd_count();
    struct upstream_spec *spec = make_backend("api", &address, "abc");
    spec->health.path = slice_of("/");
    spec->health.method = slice_of("GET");
    follow(spec);
    while (open_fd_count() < before + 3)
        run_once();
    spec = make_backend("api", &address, "b");
    spec->health.every_ms = 60 * 1000; /* none of them begins meanwhile */
    follow(spec);
    cr_assert_leq(open_fd_count(), before + 1);
    follow(NULL);
    cr_assert_eq(open_fd_count(), before);
    close(listener);
}
