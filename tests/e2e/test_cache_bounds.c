/* What `cache` takes whatever clients do: who reads nothing of what is kept, more who wait than
 * there may be, answers of unknown length; and storms of all that, with purges and reloads, and of
 * calls that fail. */
#include "harness/cache_scene.h"
#include "harness/crowd.h"
#include "harness/fault_board.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/protocol.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

E2E_SUITE(cache_bounds);

enum { KIB = 1024, SIZE = 8 * KIB * KIB, BODY = 1000 * 1000 };

#define CACHE "'cache': { 'size': '8MiB', 'max_object': '1MiB' }"

static struct origin *origin;
static struct gateway *gateway;

/* /status has the one cache that there is. */
static long long of_zone(const char *member)
{
    json_t *zones = json_member(json_from(ask_admin("GET", "/status")->body), "cache");

    return json_integer_value(json_member(json_array_get(zones, 0), member));
}

static void expect_bounded(void)
{
    cr_assert_gt(of_zone("bytes"), 0);
    cr_assert_leq(of_zone("bytes"), SIZE);
}

/* --- readers ------------------------------------------------------------------------------------
 */

enum {
    READERS = 300,
    OBJECTS = 10,    /* more than there is room for */
    READER_KIB = 40, /* of a connection that waits for its client: TLS, HTTP/2, what is encrypted */
    MARGIN_KIB = 4096, /* of the heap */
};

static struct client *ask_and_read_the_head(SSL_CTX *context, int object)
{
    struct client *client = client_open_with(
        gateway_https(gateway),
        &(struct client_options){.sni = "a.test", .has_small_window = true, .context = context});

    client_send(client, "GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n", object);
    client_response_head(client);
    return cache_note(client);
}

/* Hundreds who read nothing, while what they do not read is evicted and purged; then they go. */
Test(cache_bounds, readers_who_read_nothing)
{
    struct cache_pattern pattern = {.bytes = BODY};

    workplace_allow_seconds(600);
    origin = origin_start("one");
    gateway = cache_scene_start(origin, 2, CACHE);
    cache_pattern_set(origin, NULL, &pattern);
    struct client *first = cache_ask(gateway, "/0", "");
    cache_expect_pattern(first, BODY);
    long before = gateway_rss_kib(gateway);
    for (int i = 0; i < READERS; i++) {
        ask_and_read_the_head(first->context, i % OBJECTS);
        if (i % 100 == 50)
            expect_status(ask_admin("POST", "/purge?all"), 200);
        if (i % 50 == 0)
            expect_bounded();
    }
    cache_expect_pattern(cache_ask(gateway, "/new", ""), BODY);
    long grown = gateway_rss_kib(gateway) - before;
    fprintf(stderr, "%d readers of nothing: %ld KiB more\n", READERS, grown);
    if (!gateway_is_sanitized(gateway))
        cr_expect_leq(grown, SIZE / KIB + READERS * READER_KIB + MARGIN_KIB);
    cache_leave_all();
    /* They held it; now it is there for others. */
    cache_await_in_flight(0);
    expect_status(ask_admin("POST", "/purge?all"), 200);
    for (int i = 0; i < 4; i++)
        cache_expect_pattern(cache_ask(gateway, text("/again%d", i), ""), BODY);
    int asked = origin_requests(origin);
    for (int i = 0; i < 4; i++)
        cache_expect_pattern(cache_ask(gateway, text("/again%d", i), ""), BODY);
    cr_assert_eq(origin_requests(origin), asked);
    cache_scene_stop(gateway);
}

/* --- answers of unknown length ------------------------------------------------------------------
 */

/* Half of the memory is for what is on its way; who goes beyond gets all of it by itself. */
Test(cache_bounds, answers_of_unknown_length)
{
    enum { COUNT = 16 };
    struct cache_pattern pattern = {.bytes = BODY, .is_chunked = true, .gate = gate_new()};
    struct client *clients[COUNT];

    origin = origin_start("one");
    gateway = cache_scene_start(origin, 2, CACHE);
    cache_pattern_set(origin, NULL, &pattern);
    for (int i = 0; i < COUNT; i++)
        clients[i] = cache_ask(gateway, text("/%d", i), "");
    origin_wait_requests(origin, COUNT);
    expect_bounded();
    gate_open(pattern.gate);
    for (int i = 0; i < COUNT; i++)
        cache_expect_pattern(clients[i], BODY);
    cr_assert_eq(origin_requests(origin), COUNT);
    expect_bounded();
    cr_assert_gt(cache_decisions("stored"), 0);
    cache_scene_stop(gateway);
}

/* --- waiters ------------------------------------------------------------------------------------
 */

static void allow_files(void)
{
    struct rlimit files = {0};

    workplace_require(getrlimit(RLIMIT_NOFILE, &files) == 0, "no limit on files");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* A thousand wait for one fetch; who comes then asks the backend without them. */
Test(cache_bounds, more_who_wait_than_there_may_be)
{
    enum { WAITERS = 1000, MORE = 60 };
    needs_http1("connections without TLS, of which there are many");
    struct cache_parts parts = {.gate = gate_new(), .rest = KEPT "Content-Length: 2\r\n\r\nok"};
    struct client *clients[1 + WAITERS + MORE];

    allow_files();
    origin = origin_start("one");
    cache_parts_set(origin, "/", &parts);
    gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ 'listen': { 'https': 'off', 'http': { 'bind': '127.0.0.1:0',"
                             "    'serve': 'routes' }, 'admin': 'unix:@tmp/admin.sock' },"
                             "  'certs': '@tmp/certs', 'log': { 'access': 'off' },"
                             "  'routes': { 'a.test': { 'to': '%s', " CACHE " } } }",
                             origin_address(origin)),
        .workers = 2});
    for (int i = 0; i < 1 + WAITERS + MORE; i++) {
        clients[i] = client_open_plain(gateway_address(gateway, "http", 0));
        client_send(clients[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    origin_wait_requests(origin, 1 + MORE);
    cache_await_in_flight(1 + WAITERS + MORE);
    gate_open(parts.gate);
    for (int i = 0; i < 1 + WAITERS + MORE; i++) {
        expect_body(client_response(clients[i]), "ok");
        client_close(clients[i]);
    }
    cr_assert_eq(origin_requests(origin), 1 + MORE);
    cr_assert_eq(cache_decisions("collapsed"), WAITERS);
    gateway_stop(gateway);
}

/* --- storms -------------------------------------------------------------------------------------
 */

enum { STORM_THREADS = 6, STORM_KEYS = 24, STORM_BODY = 600 * KIB };

/* Chunked or not, cut now and then, by the number in its path. */
static void tell_in_storm(struct origin_turn *turn)
{
    unsigned number = (unsigned)atoi(turn->request->target + 1);
    struct cache_pattern pattern = {.bytes = number % 4 == 3 ? STORM_BODY : number * 1000,
                                    .is_chunked = number % 2 == 1};
    static atomic_uint turns;

    turn->arg = &pattern;
    if (turns++ % 8 == 7) {
        wire_print(turn->wire, KEPT "Content-Length: 100000\r\n\r\n0123");
        turn->is_closing = true;
        return;
    }
    cache_tell_pattern(turn);
    turn->arg = NULL;
}

struct storm {
    atomic_int served, cut;
};

static void read_in_storm(struct storm *storm, struct client *client)
{
    struct message *response = message_make();
    bool is_whole = message_read_head(&client->wire, response, false) &&
                    message_read_body(&client->wire, response, "GET");

    if (!is_whole)
        storm->cut++;
    else if (response->status == 200)
        storm->served++;
    else if (response->status != 502 && response->status != 503)
        workplace_note("answered with %d", response->status);
    if (is_whole && response->status == 200 && response->body_bytes > 0 &&
        !response->body_is_pattern)
        workplace_note("a wrong body");
    message_free(response);
}

static void visit(void *arg, unsigned n)
{
    struct storm *storm = arg;
    struct client *client =
        client_make(gateway_https(gateway), &(struct client_options){.sni = "a.test"});

    for (unsigned i = 0; client != NULL && client->is_connected && i < 4; i++) {
        if (!wire_print(&client->wire, "GET /%u HTTP/1.1\r\nHost: a.test\r\n\r\n",
                        (n * 7 + i * 5) % STORM_KEYS))
            break;
        if ((n + i) % 5 == 4) /* it leaves in the middle */
            break;
        read_in_storm(storm, client);
        if (client->wire.state != WIRE_OPEN)
            break;
    }
    if (client != NULL)
        client_free(client);
}

static void storm_start(struct faults *faults)
{
    origin = origin_start("one");
    origin_count_only(origin);
    origin_set_script(origin, NULL, tell_in_storm, NULL);
    gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': { 'to': '%s', %s } } }",
                             origin_address(origin), CACHE),
        .workers = 2,
        .faults = faults});
}

static void await_more(atomic_int *count, int more)
{
    long long start = monitor_now_ms();
    int enough = *count + more;

    while (*count < enough)
        workplace_require(monitor_may_ask_again(start), "the storm stands still");
}

/* Afterwards everything is found again, and right. */
static void expect_calm(void)
{
    for (unsigned i = 0; i < STORM_KEYS; i++) {
        struct client *client = cache_ask(gateway, text("/%u", i), "");
        struct message *response = client_response(client);

        cr_assert(response->status == 200, "%d", response->status);
        client_close(client);
    }
    expect_bounded();
    cache_await_in_flight(0);
    cache_scene_stop(gateway);
}

Test(cache_bounds, purges_reloads_and_evictions_in_a_storm)
{
    static const char *const changes[] = {CACHE, "'cache': { 'size': '2MiB' }", "'cache': null",
                                          CACHE ", 'compress': ['gzip']"};
    struct storm storm = {0};

    storm_start(NULL);
    struct crowd *crowd = crowd_start(STORM_THREADS, 0, visit, &storm);
    for (unsigned i = 0; i < 12; i++) {
        await_more(&storm.served, 12);
        expect_status(
            ask_admin("POST", i % 3 == 0 ? "/purge?all" : "/purge?prefix=https://a.test/1"), 200);
        cache_scene_reload(origin, changes[(i + 1) % 4]);
    }
    crowd_end(crowd);
    cache_scene_reload(origin, CACHE);
    origin_set_script(origin, NULL, origin_tell, NULL);
    expect_calm();
}

Test(cache_bounds, allocations_that_fail)
{
    static const unsigned chances[] = {5000, 50000, 100000};
    struct faults *faults = fault_board();
    struct storm storm = {0};

    storm_start(faults);
    if (gateway_is_sanitized(gateway)) {
        gateway_stop(gateway);
        cr_skip_test("a sanitizer's allocator cannot be made to fail");
    }
    for (size_t i = 0; i < sizeof chances / sizeof chances[0]; i++) {
        faults->rules[FAULT_MEMORY].least_size = i * 256; /* or nobody would shake hands */
        fault_set(faults, FAULT_MEMORY, chances[i], ENOMEM);
        crowd_finish(crowd_start(STORM_THREADS, 150, visit, &storm));
        fprintf(stderr, "%u of a million fail: %d served, %d cut\n", chances[i], storm.served,
                storm.cut);
        fault_end(faults, FAULT_MEMORY);
    }
    cr_assert_gt(fault_strikes(faults, FAULT_MEMORY), 100);
    crowd_finish(crowd_start(STORM_THREADS, 50, visit, &storm));
    origin_set_script(origin, NULL, origin_tell, NULL);
    expect_calm();
}
