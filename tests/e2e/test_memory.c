/* Memory that clients would eat, and what becomes of those who are served when there is none. */
#include "harness/fault_board.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

E2E_SUITE(memory);

/* --- heads that are not complete ----------------------------------------------------------------
 */

enum { HEAD_BYTES = 900 * 1024, HEADS = 70, HEADS_THAT_FIT = 63 };

static int refused_heads(struct gateway *gateway)
{
    const char *at = gateway_stdout(gateway);
    int count = 0;

    while ((at = strstr(at, "\"over_limit\"")) != NULL) {
        at++;
        count++;
    }
    return count;
}

static int heads_in_flight(struct gateway *gateway)
{
    static const char name[] = "\nsallyport_http_requests_in_flight ";
    struct message *page = ask_plain(gateway_address(gateway, "status", 0), "GET", "/metrics");
    const char *line = strstr(page->body, name);

    workplace_require(line != NULL, "no gauge of requests in flight");
    return atoi(line + strlen(name));
}

/* All but the last end of a head. */
static struct client *begin_head(const char *address, const char *filling)
{
    struct client *client = client_open_plain(address);

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX: ");
    wire_write(&client->wire, filling, HEAD_BYTES); /* or it is refused in the middle of it */
    return client;
}

static bool is_answered(struct client *client)
{
    return wire_is_readable(&client->wire, 0);
}

/* Each waits in a MiB of memory, with what belongs to it: 63 are in 64 MiB. */
Test(memory, heads_that_are_not_complete)
{
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ 'listen': { 'https': 'off', 'http': { 'bind': '127.0.0.1:0', "
                             "'serve': 'routes' }, 'status': '127.0.0.1:0', 'admin': 'off' }, "
                             "'certs': '@tmp/certs', 'log': { 'access': 'stdout' }, "
                             "'defaults': { 'timeout': { 'header': '60s' }, "
                             "'limits': { 'header_bytes': '2MiB' } }, "
                             "'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }"),
        .workers = 2});
    const char *address = gateway_address(gateway, "http", 0);
    char *filling = workplace_own(malloc(HEAD_BYTES), free);
    struct client *clients[HEADS], *within[HEADS];
    long long start = monitor_now_ms();
    int in_flight, count = 0;

    memset(filling, 'x', HEAD_BYTES);
    for (int i = 0; i < HEADS; i++)
        clients[i] = begin_head(address, filling);
    while (((in_flight = heads_in_flight(gateway)) > HEADS_THAT_FIT ||
            in_flight + refused_heads(gateway) != HEADS) &&
           monitor_may_ask_again(start)) {
    }
    cr_assert_eq(in_flight, HEADS_THAT_FIT);
    for (int i = 0; i < HEADS; i++) {
        if (!is_answered(clients[i]))
            within[count++] = clients[i];
        else
            expect_refusal(client_response(clients[i]), 503, "over_limit");
    }
    cr_assert_eq(count, HEADS_THAT_FIT);
    /* Who needs none of it is served, who is within goes on, and there is room again. */
    expect_status(ask_plain(address, "GET", "/"), 404);
    for (int i = 0; i < 2; i++) {
        client_send(within[i], "\r\n\r\n");
        expect_body(client_response(within[i]), "ok");
    }
    struct client *late = begin_head(address, filling);
    client_send(late, "\r\n\r\n");
    expect_body(client_response(late), "ok");
    gateway_stop(gateway);
}

/* --- bodies that nobody takes any more ----------------------------------------------------------
 */

enum { STALLED = 50, STALLED_AFTER_KIB = 1024, LEAST_KIB = 240, MOST_KIB = 540 };

static void send_without_end(struct origin_turn *turn)
{
    static const char piece[64 * 1024] = "";

    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    while (wire_write(turn->wire, piece, sizeof piece)) {
    }
}

/* Reads on until it has so much, far enough that it is sent large pieces; then no more. */
static struct client *take_and_stall(struct gateway *gateway)
{
    char taken[16 * 1024];
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET /endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    for (size_t count = 0; count < STALLED_AFTER_KIB * 1024;) {
        int length = SSL_read(client->wire.ssl, taken, sizeof taken);
        workplace_require(length > 0, "the body ends");
        count += (size_t)length;
    }
    return client;
}

/* What was sealed and cannot be sent, and what has been read behind it: a piece of 240 KiB each. */
Test(memory, who_took_fast_and_stalls_holds_little)
{
    needs_http1("reads what comes, without its frames");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': '%s' } }",
                             origin_address(origin)),
        .workers = 2});
    struct client *clients[STALLED];

    if (gateway_is_sanitized(gateway)) {
        gateway_stop(gateway);
        cr_skip_test("a sanitizer keeps what is freed");
    }
    origin_set_script(origin, "/endless", send_without_end, NULL);
    for (int i = 0; i < 20; i++)
        expect_from(fetch(gateway, "a.test", "/"), "one");
    long before = gateway_rss_kib(gateway);
    for (int i = 0; i < STALLED; i++)
        clients[i] = take_and_stall(gateway);
    /* The kernel's buffers are full once it holds a piece of each. */
    long long start = monitor_now_ms();
    while (gateway_rss_kib(gateway) < before + STALLED * LEAST_KIB &&
           monitor_may_ask_again(start)) {
    }
    for (int i = 0; i < 20; i++)
        expect_from(fetch(gateway, "a.test", "/"), "one");
    long each = (gateway_rss_kib(gateway) - before) / STALLED;
    fprintf(stderr, "%ld KiB for each client that has stalled\n", each);
    cr_assert_geq(each, LEAST_KIB);
    cr_assert_leq(each, MOST_KIB);
    for (int i = 0; i < STALLED; i++)
        client_close(clients[i]);
    gateway_stop(gateway);
}

/* --- requests on one connection -----------------------------------------------------------------
 */

Test(memory, requests_on_one_connection)
{
    enum { MOST = 10000 };
    needs_http1("in HTTP/2 any number of requests may be made on a connection");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");

    for (int i = 1; i <= MOST; i++) {
        struct message *response = message_make();
        client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        cr_assert(message_read_head(&client->wire, response, false) &&
                      message_read_body(&client->wire, response, "GET"),
                  "request %d was not answered", i);
        const char *connection = message_field(response, "connection");
        cr_assert_eq(response->status, 200);
        cr_assert_eq(connection != NULL && strcmp(connection, "close") == 0, i == MOST,
                     "after request %d", i);
        message_free(response);
    }
    client_expect_end(client);
    gateway_stop(gateway);
}

/* --- allocations that fail by chance ------------------------------------------------------------
 */

enum { STORM_THREADS = 8, STORM_CONNECTIONS = 12, STORM_REQUESTS = 6, STORM_BODY = 40000 };

struct storm {
    struct gateway *gateway;
    const char *body;
    _Atomic int served, refused, cut;
    pthread_barrier_t all_there, begun; /* the connections; the failures */
};

/* Right and whole, or a refusal that names itself, or the end of the connection. */
static bool ask_in_storm(struct storm *storm, struct client *client, bool posts)
{
    struct message *response = message_make();
    bool is_sent = posts ? wire_print(&client->wire,
                                      "POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: "
                                      "chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                                      STORM_BODY, storm->body)
                         : wire_print(&client->wire, "GET /tell HTTP/1.1\r\nHost: a.test\r\n\r\n");
    bool is_whole = is_sent && message_read_head(&client->wire, response, false) &&
                    message_read_body(&client->wire, response, posts ? "POST" : "GET");
    bool goes_on = false;

    if (!is_whole) {
        storm->cut++;
    } else if (response->status == 200) {
        const char *expected = posts ? storm->body : "storm\n";
        if (strncmp(response->body, expected, strlen(expected)) != 0)
            workplace_note("a wrong answer: %.80s", response->body);
        storm->served++;
        goes_on = message_field(response, "connection") == NULL;
    } else {
        if (response->status != 502 && response->status != 503)
            workplace_note("answered with %d", response->status);
        storm->refused++;
    }
    message_free(response);
    return goes_on;
}

static struct client *storm_client(struct storm *storm)
{
    return client_make(gateway_https(storm->gateway), &(struct client_options){.sni = "a.test"});
}

static void ask_as_long_as_it_goes(struct storm *storm, struct client *client)
{
    for (int n = 0; client->is_connected && n < STORM_REQUESTS; n++)
        if (!ask_in_storm(storm, client, n % 2 == 1))
            break;
}

/* Connections that come while calls fail. */
static void *come_in_storm(void *arg)
{
    struct storm *storm = arg;

    for (int i = 0; i < STORM_CONNECTIONS; i++) {
        struct client *client = storm_client(storm);
        if (client == NULL)
            continue;
        ask_as_long_as_it_goes(storm, client);
        client_free(client);
    }
    return NULL;
}

/* Connections that were there before. */
static void *sit_out_storm(void *arg)
{
    struct storm *storm = arg;
    struct client *clients[STORM_CONNECTIONS];

    for (int i = 0; i < STORM_CONNECTIONS; i++)
        clients[i] = storm_client(storm);
    pthread_barrier_wait(&storm->all_there);
    pthread_barrier_wait(&storm->begun);
    for (int i = 0; i < STORM_CONNECTIONS; i++) {
        if (clients[i] == NULL)
            continue;
        ask_as_long_as_it_goes(storm, clients[i]);
        client_free(clients[i]);
    }
    return NULL;
}

static void rage(struct storm *storm, struct faults *faults, unsigned per_million)
{
    pthread_t threads[STORM_THREADS];

    fault_set(faults, FAULT_MEMORY, per_million, ENOMEM);
    for (int i = 0; i < STORM_THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_in_storm, storm), 0);
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(threads[i], NULL);
    fault_end(faults, FAULT_MEMORY);

    pthread_barrier_init(&storm->all_there, NULL, STORM_THREADS + 1);
    pthread_barrier_init(&storm->begun, NULL, STORM_THREADS + 1);
    for (int i = 0; i < STORM_THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, sit_out_storm, storm), 0);
    pthread_barrier_wait(&storm->all_there);
    fault_set(faults, FAULT_MEMORY, per_million, ENOMEM);
    pthread_barrier_wait(&storm->begun);
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(threads[i], NULL);
    fault_end(faults, FAULT_MEMORY);
    pthread_barrier_destroy(&storm->all_there);
    pthread_barrier_destroy(&storm->begun);
}

/* What it opened for the storm is closed again, once idle connections have had their time. */
static void expect_files_back(struct gateway *gateway, int before)
{
    long long start = monitor_now_ms();

    while (gateway_open_files(gateway) > before && monitor_may_ask_again(start)) {
    }
    cr_assert_leq(gateway_open_files(gateway), before);
}

Test(memory, allocations_that_fail_by_chance)
{
    static const unsigned chances[] = {500, 5000, 50000, 300000, FAULT_ALWAYS};
    struct origin *origin = origin_start("storm");
    struct faults *faults = fault_board();
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': '%s' } }",
                             origin_address(origin)),
        .workers = 2,
        .faults = faults});
    char *body = workplace_own(calloc(1, STORM_BODY + 1), free);
    struct storm storm = {.gateway = gateway, .body = memset(body, 'b', STORM_BODY)};

    if (gateway_is_sanitized(gateway)) {
        gateway_stop(gateway);
        cr_skip_test("a sanitizer's allocator cannot be made to fail");
    }
    origin_set_script(origin, "/echo", origin_echo, NULL);
    rage(&storm, faults, 0);
    cr_assert_eq(storm.served, 2 * STORM_THREADS * STORM_CONNECTIONS * STORM_REQUESTS);
    int files = gateway_open_files(gateway);
    for (size_t i = 0; i < sizeof chances / sizeof chances[0]; i++) {
        storm.served = storm.refused = storm.cut = 0;
        rage(&storm, faults, chances[i]);
        fprintf(stderr, "1 of %u fails: %d served, %d refused, %d cut\n", 1000000 / chances[i],
                (int)storm.served, (int)storm.refused, (int)storm.cut);
    }
    cr_assert_gt(fault_strikes(faults, FAULT_MEMORY), 100);
    storm.served = storm.refused = storm.cut = 0;
    rage(&storm, faults, 0);
    cr_assert_eq(storm.served, 2 * STORM_THREADS * STORM_CONNECTIONS * STORM_REQUESTS);
    expect_files_back(gateway, files);
    gateway_stop(gateway);
}

/* Libraries that compress, too: some end the process where they get none. */
Test(memory, allocations_that_fail_while_answers_are_compressed)
{
    enum { REQUESTS = 600 };
    struct origin *origin = origin_start("one");
    struct faults *faults = fault_board();
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { 'a.test': { 'to': '%s', 'compress': { "
                             "  'codings': ['br', 'zstd', 'gzip'], 'min_size': 0 } } } }",
                             origin_address(origin)),
        .faults = faults});

    if (gateway_is_sanitized(gateway)) {
        gateway_stop(gateway);
        cr_skip_test("a sanitizer's allocator cannot be made to fail");
    }
    for (int i = 0; i < REQUESTS; i++) {
        static const char *const codings[] = {"br", "br", "zstd", "gzip"};
        struct client *client = client_open(gateway, "a.test");
        fault_set(faults, FAULT_MEMORY, 100000, ENOMEM);
        /* Whether it is taken is chance. */
        if (wire_print(&client->wire,
                       "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"
                       "Accept-Encoding: %s\r\n\r\n",
                       codings[i % 4]))
            client_read_to_end(client);
        fault_end(faults, FAULT_MEMORY);
        client_close(client);
    }
    expect_status(fetch(gateway, "a.test", "/"), 200);
    gateway_stop(gateway);
}

/* --- a limit on memory --------------------------------------------------------------------------
 */

static void limit_memory(struct gateway *gateway, long more_kib)
{
    const char *status = workplace_read(text("/proc/%d/status", gateway_pid(gateway)));
    const char *line = strstr(status, "VmData:");
    rlim_t now = (rlim_t)atol(line + strlen("VmData:")) * 1024;
    struct rlimit limit = {now + (rlim_t)more_kib * 1024, RLIM_INFINITY};

    workplace_require(prlimit(gateway_pid(gateway), RLIMIT_DATA, &limit, NULL) == 0,
                      "the gateway's memory cannot be limited");
}

Test(memory, flood_up_to_a_limit)
{
    enum { FLOOD_MOST = 6000, REFUSED_ENOUGH = 20 };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': '%s' } }",
                             origin_address(origin)),
        .workers = 2});
    struct client **flood = workplace_own(calloc(FLOOD_MOST, sizeof *flood), free);
    struct rlimit files = {0};
    int count = 0, refused = 0;

    if (gateway_is_sanitized(gateway)) {
        gateway_stop(gateway);
        cr_skip_test("a sanitizer's memory cannot be limited");
    }
    workplace_require(getrlimit(RLIMIT_NOFILE, &files) == 0, "no limit on files");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct client *first = client_open(gateway, "a.test");
    expect_from(client_get(first, "a.test", "/"), "one");
    int files_before = gateway_open_files(gateway);
    limit_memory(gateway, 3 * 1024);
    while (count < FLOOD_MOST && refused < REFUSED_ENOUGH) {
        struct client *client =
            client_make(gateway_https(gateway), &(struct client_options){.sni = "a.test"});
        if (client != NULL && client->is_connected) {
            flood[count++] = client;
            continue;
        }
        if (client != NULL)
            client_free(client);
        refused++;
    }
    fprintf(stderr, "%d idle connections, then %d refused\n", count, refused);
    cr_assert_eq(refused, REFUSED_ENOUGH, "memory never was out");
    for (int i = 0; i < 5; i++)
        expect_from(client_get(first, "a.test", "/"), "one");
    for (int i = 0; i < count; i++)
        client_free(flood[i]);
    expect_files_back(gateway, files_before);
    expect_from(fetch(gateway, "a.test", "/"), "one");
    expect_from(client_get(first, "a.test", "/"), "one");
    gateway_stop(gateway);
}
