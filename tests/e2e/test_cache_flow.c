/* `cache` while answers are on their way: one fetch for all who ask, whoever of them leaves, reads
 * slowly or comes too late; and what becomes of it when the backend fails or the gateway changes.
 */
#include "harness/cache_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(cache_flow);

#define CACHE   "'cache': { 'size': '16MiB', 'max_object': '1MiB' }"
#define LENGTH  "Content-Length: 20\r\n\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"
#define HALF    "0123456789"
#define WHOLE   HALF "abcdefghij"

static struct origin *origin;
static struct gateway *gateway;

static void start(int workers)
{
    origin = origin_start("one");
    gateway = cache_scene_start(origin, workers, CACHE);
}

/* --- one fetch for many -------------------------------------------------------------------------
 */

enum { MANY = 100 };

static void ask_all(struct client **clients, int count, const char *path)
{
    for (int i = 0; i < count; i++)
        clients[i] = cache_ask(gateway, path, "");
}

Test(cache_flow, one_fetch_for_a_hundred_who_wait)
{
    struct cache_parts parts = {.gate = gate_new(), .rest = KEPT LENGTH WHOLE};
    struct client *clients[MANY];

    start(2);
    cache_parts_set(origin, "/", &parts);
    ask_all(clients, MANY, "/");
    cache_await_in_flight(MANY);
    gate_open(parts.gate);
    for (int i = 0; i < MANY; i++)
        expect_body(client_response(clients[i]), WHOLE);
    cr_assert_eq(origin_requests(origin), 1);
    cr_assert_eq(cache_decisions("miss"), 1);
    cr_assert_eq(cache_decisions("stored"), 1);
    cr_assert_eq(cache_decisions("collapsed") + cache_decisions("hit"), MANY - 1);
    cache_scene_stop(gateway);
}

/* The second half is not sent before both have read the first. */
Test(cache_flow, of_a_known_length_all_read_along)
{
    struct cache_parts parts = {
        .first = KEPT LENGTH HALF, .gate = gate_new(), .rest = "abcdefghij"};
    struct client *clients[4];
    struct message *responses[4];

    start(2);
    cache_parts_set(origin, "/", &parts);
    ask_all(clients, 4, "/");
    for (int i = 0; i < 4; i++)
        responses[i] = cache_begin_reading(clients[i], strlen(HALF));
    gate_open(parts.gate);
    for (int i = 0; i < 4; i++)
        cache_expect_rest(clients[i], responses[i], WHOLE);
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

#define CHUNKS_BEGIN KEPT CHUNKED "a\r\n" HALF "\r\n"
#define CHUNKS_END   "a\r\nabcdefghij\r\n0\r\n\r\n"

/* Who asked first reads along, the others get it once it is whole. */
Test(cache_flow, of_an_unknown_length_all_get_all)
{
    struct cache_parts parts = {.first = CHUNKS_BEGIN, .gate = gate_new(), .rest = CHUNKS_END};
    struct client *clients[4];

    start(2);
    cache_parts_set(origin, "/", &parts);
    struct client *first = cache_ask(gateway, "/", "");
    struct message *response = cache_begin_reading(first, strlen(HALF));
    ask_all(clients, 4, "/");
    cache_await_in_flight(5);
    gate_open(parts.gate);
    cache_expect_rest(first, response, WHOLE);
    for (int i = 0; i < 4; i++) {
        response = client_response(clients[i]);
        expect_body(response, WHOLE);
        expect_field(response, "content-length", "20");
    }
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

/* A backend that takes for ever with what it has begun keeps no others waiting for it. */
Test(cache_flow, who_waits_too_long_asks_by_itself)
{
    struct cache_parts parts = {.first = CHUNKS_BEGIN, .gate = gate_new(), .rest = CHUNKS_END};

    origin = origin_start("one");
    gateway = cache_scene_start(origin, 2, CACHE ", 'timeout': { 'first_byte': '500ms' }");
    cache_parts_set(origin, "/", &parts);
    struct client *first = cache_ask(gateway, "/", "");
    struct message *begun = cache_begin_reading(first, strlen(HALF));
    struct client *second = cache_ask(gateway, "/", "");
    struct message *response = cache_begin_reading(second, strlen(HALF));
    cache_expect_status(response, "detail=pass");
    cr_assert_eq(origin_requests(origin), 2);
    gate_open(parts.gate);
    cache_expect_rest(first, begun, WHOLE);
    cache_expect_rest(second, response, WHOLE);
    cache_scene_stop(gateway);
}

/* --- clients that leave, or read slowly ---------------------------------------------------------
 */

static void first_one_leaves(const char *first, const char *rest)
{
    struct cache_parts parts = {.first = first, .gate = gate_new(), .rest = rest};
    struct client *others[4];

    start(2);
    cache_parts_set(origin, "/", &parts);
    struct client *client = cache_ask(gateway, "/", "");
    cache_begin_reading(client, strlen(HALF));
    ask_all(others, 4, "/");
    cache_await_in_flight(5);
    client_leave(client);
    cache_await_in_flight(4);
    gate_open(parts.gate);
    for (int i = 0; i < 4; i++)
        expect_body(client_response(others[i]), WHOLE);
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

Test(cache_flow, who_asked_first_leaves_others_read_along)
{
    first_one_leaves(KEPT LENGTH HALF, "abcdefghij");
}

Test(cache_flow, who_asked_first_leaves_others_wait)
{
    first_one_leaves(CHUNKS_BEGIN, CHUNKS_END);
}

/* There is nobody else: what was begun is kept nevertheless. */
Test(cache_flow, all_leave_and_it_is_kept)
{
    struct cache_parts parts = {
        .first = KEPT LENGTH HALF, .gate = gate_new(), .rest = "abcdefghij"};

    start(1);
    cache_parts_set(origin, "/", &parts);
    struct client *client = cache_ask(gateway, "/", "");
    cache_begin_reading(client, strlen(HALF));
    client_leave(client);
    cache_await_in_flight(0);
    gate_open(parts.gate);
    struct message *response = client_response(cache_ask(gateway, "/", ""));
    expect_body(response, WHOLE);
    cache_expect_status(response, "hit");
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

/* Before anything came: one of those who wait asks in its place. */
Test(cache_flow, who_asked_first_leaves_before_the_answer)
{
    struct cache_parts parts = {
        .gate = gate_new(), .rest = "", .is_cut = true, .later = KEPT LENGTH WHOLE};
    struct client *others[8];

    start(2);
    cache_parts_set(origin, "/", &parts);
    struct client *client = cache_ask(gateway, "/", "");
    origin_wait_requests(origin, 1);
    ask_all(others, 8, "/");
    cache_await_in_flight(9);
    client_leave(client);
    for (int i = 0; i < 8; i++)
        expect_body(client_response(others[i]), WHOLE);
    cr_assert_eq(origin_requests(origin), 2);
    gate_open(parts.gate);
    cache_scene_stop(gateway);
}

enum { LARGE = 1000 * 1000, TOO_LARGE = 3 * 1000 * 1000 };

static struct client *ask_and_read_nothing(const char *path)
{
    struct client *client =
        client_open_with(gateway_https(gateway),
                         &(struct client_options){.sni = "a.test", .has_small_window = true});

    client_send(client, "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", path);
    return cache_note(client);
}

static void first_one_reads_nothing(bool is_chunked)
{
    struct cache_pattern pattern = {.bytes = LARGE, .is_chunked = is_chunked};

    start(2);
    cache_pattern_set(origin, "/", &pattern);
    struct client *slow = ask_and_read_nothing("/");
    origin_wait_requests(origin, 1);
    for (int i = 0; i < 4; i++)
        cache_expect_pattern(cache_ask(gateway, "/", ""), LARGE);
    cache_expect_pattern(slow, LARGE);
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

Test(cache_flow, who_asked_first_reads_nothing_others_read_along)
{
    first_one_reads_nothing(false);
}

Test(cache_flow, who_asked_first_reads_nothing_others_wait)
{
    first_one_reads_nothing(true);
}

/* --- what is not for all ------------------------------------------------------------------------
 */

enum { SOME = 8 };

/* The first one's answer lets the others come, who are answered once all of them are there. */
struct together {
    struct gate *first, *all;
    const char *answer;
    int count;
};

static void tell_together(struct origin_turn *turn)
{
    struct together *together = turn->arg;

    monitor_lock();
    int number = ++together->count;
    monitor_unlock();
    if (number == SOME)
        gate_open(together->all);
    if (!gate_wait(number == 1 ? together->first : together->all))
        workplace_note("request %d is alone", number);
    wire_print(turn->wire, "%s", together->answer);
}

static void all_go_by_themselves(const char *answer)
{
    struct together together = {gate_new(), gate_new(), answer, 0};
    struct client *clients[SOME];

    start(2);
    origin_set_script(origin, "/", tell_together, &together);
    ask_all(clients, SOME, "/");
    cache_await_in_flight(SOME);
    gate_open(together.first);
    for (int i = 0; i < SOME; i++)
        expect_body(client_response(clients[i]), WHOLE);
    cr_assert_eq(origin_requests(origin), SOME);
    cr_assert_eq(cache_decisions("stored"), 0);
    cache_scene_stop(gateway);
}

Test(cache_flow, private_is_asked_for_by_all_at_once)
{
    all_go_by_themselves("HTTP/1.1 200 OK\r\nCache-Control: private\r\n" LENGTH WHOLE);
}

Test(cache_flow, no_store_is_asked_for_by_all_at_once)
{
    all_go_by_themselves("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n" LENGTH WHOLE);
}

Test(cache_flow, what_has_a_cookie_is_asked_for_by_all_at_once)
{
    all_go_by_themselves(KEPT "Set-Cookie: id=1\r\n" LENGTH WHOLE);
}

static void too_large_passes(bool is_chunked)
{
    struct cache_pattern pattern = {
        .bytes = TOO_LARGE, .is_chunked = is_chunked, .gate = gate_new()};
    struct client *clients[4];

    start(2);
    cache_pattern_set(origin, "/", &pattern);
    ask_all(clients, 4, "/");
    cache_await_in_flight(4);
    gate_open(pattern.gate);
    for (int i = 0; i < 4; i++)
        cache_expect_pattern(clients[i], TOO_LARGE);
    cache_expect_pattern(cache_ask(gateway, "/", ""), TOO_LARGE);
    cr_assert_eq(origin_requests(origin), 5);
    cache_scene_stop(gateway);
}

Test(cache_flow, too_large_by_its_length_passes)
{
    too_large_passes(false);
}

Test(cache_flow, too_large_as_it_turns_out_is_given_to_all)
{
    too_large_passes(true);
}

/* --- backends that fail in the middle -----------------------------------------------------------
 */

Test(cache_flow, cut_is_seen_by_all_who_read_along)
{
    struct cache_parts parts = {.first = KEPT LENGTH HALF,
                                .gate = gate_new(),
                                .rest = "abc",
                                .is_cut = true,
                                .later = KEPT LENGTH WHOLE};
    struct client *clients[4];
    struct message *responses[4];

    start(2);
    cache_parts_set(origin, "/", &parts);
    ask_all(clients, 4, "/");
    for (int i = 0; i < 4; i++)
        responses[i] = cache_begin_reading(clients[i], strlen(HALF));
    gate_open(parts.gate);
    for (int i = 0; i < 4; i++)
        cache_expect_cut(clients[i], responses[i]);
    expect_body(client_response(cache_ask(gateway, "/", "")), WHOLE);
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

Test(cache_flow, cut_is_seen_by_the_first_others_ask_again)
{
    struct cache_parts parts = {.first = CHUNKS_BEGIN,
                                .gate = gate_new(),
                                .rest = "a\r\nabc",
                                .is_cut = true,
                                .later = KEPT LENGTH WHOLE};
    struct client *others[4];

    start(2);
    cache_parts_set(origin, "/", &parts);
    struct client *client = cache_ask(gateway, "/", "");
    struct message *response = cache_begin_reading(client, strlen(HALF));
    ask_all(others, 4, "/");
    cache_await_in_flight(5);
    gate_open(parts.gate);
    cache_expect_cut(client, response);
    for (int i = 0; i < 4; i++)
        expect_body(client_response(others[i]), WHOLE);
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

/* --- changes meanwhile --------------------------------------------------------------------------
 */

static void reload_meanwhile(const char *members)
{
    struct cache_parts read = {.first = KEPT LENGTH HALF, .gate = gate_new(), .rest = "abcdefghij"};
    struct cache_parts awaited = {.gate = read.gate, .rest = KEPT LENGTH WHOLE};
    struct origin *other = origin_start("two");
    struct client *readers[4], *waiters[4];
    struct message *responses[4];

    start(2);
    cache_parts_set(origin, "/read", &read);
    cache_parts_set(origin, "/awaited", &awaited);
    ask_all(readers, 4, "/read");
    for (int i = 0; i < 4; i++)
        responses[i] = cache_begin_reading(readers[i], strlen(HALF));
    ask_all(waiters, 4, "/awaited");
    cache_await_in_flight(8);
    origin_wait_requests(origin, 2);
    cache_scene_reload(members == NULL ? other : origin, members == NULL ? CACHE : members);
    gate_open(read.gate);
    for (int i = 0; i < 4; i++) {
        cache_expect_rest(readers[i], responses[i], WHOLE);
        expect_body(client_response(waiters[i]), WHOLE);
    }
    cr_assert_eq(origin_requests(origin), 2);
    expect_status(client_response(cache_ask(gateway, "/new", "")), 200);
    cr_assert_eq(origin_requests(other), members == NULL);
    cache_scene_stop(gateway);
}

Test(cache_flow, reload_without_a_cache)
{
    reload_meanwhile("'cache': null");
}

Test(cache_flow, reload_with_a_smaller_one)
{
    reload_meanwhile("'cache': { 'size': '1MiB' }");
}

Test(cache_flow, reload_without_the_backend)
{
    reload_meanwhile(NULL);
}

static void await_draining(void)
{
    long long start = monitor_now_ms();

    while (ask_admin("GET", "/readyz")->status != 503)
        workplace_require(monitor_may_ask_again(start), "it does not drain");
}

/* Its client has gone, and with it perhaps the last one of its worker. */
static void drain_with_a_reader(void)
{
    struct cache_parts parts = {
        .first = KEPT LENGTH HALF, .gate = gate_new(), .rest = "abcdefghij"};

    start(2);
    cache_parts_set(origin, "/", &parts);
    struct client *first = cache_ask(gateway, "/", "");
    cache_begin_reading(first, strlen(HALF));
    struct client *other = cache_ask(gateway, "/", "");
    struct message *response = cache_begin_reading(other, strlen(HALF));
    client_close(first);
    cache_await_in_flight(1);
    gateway_signal(gateway, SIGTERM);
    await_draining();
    gate_open(parts.gate);
    cache_expect_rest(other, response, WHOLE);
    client_close(other);
    cr_assert_eq(gateway_wait_exit(gateway), 0);
    origin_stop(origin);
}

/* Whichever workers they come to. */
Test(cache_flow, drain_waits_for_those_who_read_along)
{
    for (int i = 0; i < 6; i++)
        drain_with_a_reader();
}

/* Nobody reads it, and it would take for ever. */
Test(cache_flow, drain_does_not_wait_for_what_nobody_reads)
{
    struct cache_parts parts = {.first = KEPT LENGTH HALF, .gate = gate_new()};

    start(2);
    cache_parts_set(origin, "/", &parts);
    struct client *client = cache_ask(gateway, "/", "");
    cache_begin_reading(client, strlen(HALF));
    client_close(client);
    cache_await_in_flight(0);
    gateway_signal(gateway, SIGTERM);
    cr_assert_eq(gateway_wait_exit(gateway), 0);
    gate_open(parts.gate);
}

/* Somebody reads it, and it would take for ever. */
Test(cache_flow, drain_waits_for_as_long_as_it_may)
{
    struct cache_parts parts = {.first = KEPT LENGTH HALF, .gate = gate_new()};

    origin = origin_start("one");
    gateway = gateway_start("{ @base, 'drain_timeout': '200ms',"
                            "  'routes': { 'a.test': { 'to': '%s', " CACHE " } } }",
                            origin_address(origin));
    cache_parts_set(origin, "/", &parts);
    struct client *client = cache_ask(gateway, "/", "");
    struct message *response = cache_begin_reading(client, strlen(HALF));
    gateway_signal(gateway, SIGTERM);
    cache_expect_cut(client, response);
    client_close(client);
    cr_assert_eq(gateway_wait_exit(gateway), 0);
    gate_open(parts.gate);
}

Test(cache_flow, purge_meanwhile)
{
    struct cache_parts parts = {.first = KEPT LENGTH HALF,
                                .gate = gate_new(),
                                .rest = "abcdefghij",
                                .later = KEPT LENGTH "ABCDEFGHIJ0123456789"};
    struct client *clients[4];
    struct message *responses[4];

    start(2);
    cache_parts_set(origin, "/", &parts);
    ask_all(clients, 4, "/");
    for (int i = 0; i < 4; i++)
        responses[i] = cache_begin_reading(clients[i], strlen(HALF));
    expect_status(ask_admin("POST", "/purge?all"), 200);
    expect_body(client_response(cache_ask(gateway, "/", "")), "ABCDEFGHIJ0123456789");
    gate_open(parts.gate);
    for (int i = 0; i < 4; i++)
        cache_expect_rest(clients[i], responses[i], WHOLE);
    struct message *response = client_response(cache_ask(gateway, "/", ""));
    expect_body(response, "ABCDEFGHIJ0123456789");
    cache_expect_status(response, "hit");
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}
