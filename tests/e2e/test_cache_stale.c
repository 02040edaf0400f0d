/* `cache` when what is kept is stale: it is renewed in the background, and stands in for backends
 * that fail. */
#include "harness/cache_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(cache_stale);

#define CACHE  "'cache': { 'size': '16MiB', 'stale_if_error': '1h' }"
#define LENGTH "Content-Length: 3\r\n\r\n"
#define STALE  "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nCache-Control: max-age=0"
#define SWR    STALE ", stale-while-revalidate=600\r\n"

static struct origin *origin;
static struct gateway *gateway;

static void start(const char *members)
{
    origin = origin_start("one");
    gateway = cache_scene_start(origin, 2, members);
}

static struct message *get(const char *path)
{
    return client_response(cache_ask(gateway, path, ""));
}

/* --- while it is renewed ------------------------------------------------------------------------
 */

/* The first answer is stale at once; the second, once the gate is open, is `then`. */
struct renewal {
    struct gate *gate;
    const char *then;
    bool is_cut;
    int count;
};

static void tell_renewal(struct origin_turn *turn)
{
    struct renewal *renewal = turn->arg;

    monitor_lock();
    bool is_first = renewal->count++ == 0;
    monitor_unlock();
    origin_read_body(turn);
    if (is_first) {
        wire_print(turn->wire, SWR LENGTH "old");
        return;
    }
    if (!gate_wait(renewal->gate))
        workplace_note("nobody opened the gate");
    wire_print(turn->wire, "%s", renewal->then);
    turn->is_closing = renewal->is_cut;
}

/* What is kept goes to all at once, while one request asks for a new one. */
static struct renewal *begin_renewal(const char *then)
{
    struct renewal *renewal = workplace_own(calloc(1, sizeof *renewal), free);

    *renewal = (struct renewal){.gate = gate_new(), .then = then};
    start(CACHE);
    origin_set_script(origin, "/", tell_renewal, renewal);
    expect_body(get("/"), "old");
    for (int i = 0; i < 6; i++) {
        struct message *response = get("/");
        expect_body(response, "old");
        cache_expect_status(response, "hit");
    }
    origin_wait_requests(origin, 2);
    cr_assert_eq(cache_decisions("stale"), 6);
    expect_field(origin_request(origin, 1), "if-none-match", "\"1\"");
    return renewal;
}

static void await_body_of(const char *body)
{
    long long start = monitor_now_ms();

    while (strcmp(get("/")->body, body) != 0)
        workplace_require(monitor_may_ask_again(start), "%s does not come", body);
}

static void renewed_by(const char *answer, const char *body)
{
    struct renewal *renewal = begin_renewal(answer);

    gate_open(renewal->gate);
    cache_await_decisions("hit", 0);
    await_body_of(body);
    long long start = monitor_now_ms();
    while (cache_decisions("hit") == 0) {
        expect_body(get("/"), body);
        workplace_require(monitor_may_ask_again(start), "it is never fresh");
    }
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

Test(cache_stale, is_renewed_by_one_request_in_the_background)
{
    renewed_by(KEPT LENGTH "new", "new");
}

Test(cache_stale, is_renewed_by_one_of_unknown_length)
{
    renewed_by(KEPT "Transfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n0\r\n\r\n", "new");
}

Test(cache_stale, is_renewed_by_304)
{
    renewed_by("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nCache-Control: max-age=600\r\n\r\n",
               "old");
}

/* The next one tries again. */
static void not_renewed_by(const char *answer, bool is_cut)
{
    struct renewal *renewal = begin_renewal(answer);

    renewal->is_cut = is_cut;
    gate_open(renewal->gate);
    long long start = monitor_now_ms();
    while (origin_requests(origin) < 4) {
        expect_body(get("/"), "old");
        workplace_require(monitor_may_ask_again(start), "it is not asked again");
    }
    cache_scene_stop(gateway);
}

Test(cache_stale, is_given_on_while_the_backend_answers_errors)
{
    not_renewed_by("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", false);
}

Test(cache_stale, is_given_on_while_the_backend_cuts)
{
    not_renewed_by(KEPT LENGTH "n", true);
}

Test(cache_stale, is_given_on_while_the_backend_cuts_its_head)
{
    not_renewed_by("HTTP/1.1 200 OK\r\nCache-", true);
}

/* No worker waits for it. */
Test(cache_stale, drain_while_it_is_renewed)
{
    struct renewal *renewal = begin_renewal(KEPT LENGTH "new");

    cache_scene_stop(gateway);
    gate_open(renewal->gate);
}

/* The one it was asked by belongs to no route any more. */
Test(cache_stale, reload_while_it_is_renewed)
{
    struct renewal *renewal = begin_renewal(KEPT LENGTH "new");

    cache_scene_reload(origin, "'cache': { 'size': '2MiB', 'stale_if_error': '1h' }");
    gate_open(renewal->gate);
    await_body_of("new");
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

/* --- when the backend fails ---------------------------------------------------------------------
 */

static void expect_stands_in(void)
{
    struct message *response = get("/");

    expect_body(response, "old");
    cache_expect_status(response, "fwd=stale");
    cr_assert_eq(cache_decisions("stale"), 1);
    cache_scene_stop(gateway);
}

static void start_with_old(const char *members, const char *later)
{
    struct cache_parts *parts = workplace_own(calloc(1, sizeof *parts), free);

    *parts = (struct cache_parts){.rest = STALE "\r\n" LENGTH "old", .later = later};
    start(members);
    cache_parts_set(origin, "/", parts);
    expect_body(get("/"), "old");
}

Test(cache_stale, stands_in_for_errors)
{
    start_with_old(CACHE, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad");
    expect_stands_in();
}

Test(cache_stale, stands_in_for_a_backend_that_is_gone)
{
    start_with_old(CACHE, NULL);
    origin_stop(origin);
    expect_stands_in();
}

Test(cache_stale, stands_in_for_a_backend_that_is_silent)
{
    start_with_old(CACHE ", 'timeout': { 'first_byte': '100ms' }", NULL);
    origin_set_script(origin, "/", origin_hang, NULL);
    expect_stands_in();
}

Test(cache_stale, stands_in_for_nonsense)
{
    start_with_old(CACHE, "HTTP/9 what\r\n\r\n");
    expect_stands_in();
}

/* All who wait for the one that fails get it, too, and do not ask one after the other. */
Test(cache_stale, stands_in_for_all_who_wait)
{
    enum { WAITERS = 8 };
    struct gate *gate = gate_new();
    struct cache_parts failing = {.gate = gate, .rest = "", .is_cut = true};
    struct client *clients[WAITERS];

    start_with_old(CACHE ", 'retry': { 'on': [] }", NULL);
    cache_parts_set(origin, "/", &failing);
    for (int i = 0; i < WAITERS; i++)
        clients[i] = cache_ask(gateway, "/", "");
    cache_await_in_flight(WAITERS);
    gate_open(gate);
    for (int i = 0; i < WAITERS; i++)
        expect_body(client_response(clients[i]), "old");
    cache_scene_stop(gateway);
}

/* Without it they see what the backend sees. */
Test(cache_stale, stands_in_for_nobody_where_it_is_off)
{
    start_with_old("'cache': { 'size': '16MiB' }",
                   "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad");
    expect_status(get("/"), 500);
    cache_scene_stop(gateway);
}

/* --- errors of what is not kept -----------------------------------------------------------------
 */

/* An error is not stored, and says nothing of what comes next. */
Test(cache_stale, error_keeps_nothing_from_being_kept)
{
    struct cache_parts parts = {.rest = "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nbad",
                                .later = KEPT LENGTH "new"};

    start(CACHE);
    cache_parts_set(origin, "/", &parts);
    expect_status(get("/"), 503);
    expect_body(get("/"), "new");
    cache_expect_status(get("/"), "hit");
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

/* Whoever sends a head that the backend does not like. */
Test(cache_stale, refusal_keeps_nothing_from_being_kept)
{
    struct cache_parts parts = {.rest = "HTTP/1.1 431 No\r\nContent-Length: 3\r\n\r\nbad",
                                .later = KEPT LENGTH "new"};

    start(CACHE);
    cache_parts_set(origin, "/", &parts);
    expect_status(get("/"), 431);
    expect_body(get("/"), "new");
    cache_expect_status(get("/"), "hit");
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

/* Nor does one who waits take the error of another for its own answer. */
Test(cache_stale, error_is_asked_for_again_by_those_who_wait)
{
    enum { WAITERS = 8 };
    struct cache_parts parts = {.gate = gate_new(),
                                .rest = "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nbad",
                                .later = KEPT LENGTH "new"};
    struct client *clients[WAITERS];

    start(CACHE);
    cache_parts_set(origin, "/", &parts);
    struct client *first = cache_ask(gateway, "/", "");
    origin_wait_requests(origin, 1);
    for (int i = 0; i < WAITERS; i++)
        clients[i] = cache_ask(gateway, "/", "");
    cache_await_in_flight(WAITERS + 1);
    gate_open(parts.gate);
    expect_status(client_response(first), 503);
    for (int i = 0; i < WAITERS; i++)
        expect_body(client_response(clients[i]), "new");
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}
