/* Limits of connections, of each address and of handshakes: exact for the process with two workers;
 * who is there already does not suffer; and the same where file descriptors run out. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(limits);

#define LIMITS                                    \
    "{ @base, 'defaults': { 'limits': { %s } }, " \
    "  'routes': { '*': { 'respond': { 'body': 'ok' } } } }"

static struct gateway *start_with(const char *limits)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", LIMITS, limits), .workers = 2});
}

static void swap_to(const char *limits)
{
    gateway_rewrite(LIMITS, limits);
    expect_status(ask_admin("POST", "/reload"), 200);
}

static void expect_served(struct client *client)
{
    expect_body(client_get(client, "a.test", "/"), "ok");
}

static struct client *open_served(struct gateway *gateway)
{
    struct client *client = client_open(gateway, "a.test");

    expect_served(client);
    return client;
}

/* Refused before any TLS: the connection ends without an alert. */
static void expect_turned_away_from(struct gateway *gateway, const char *source)
{
    struct client *client = client_try(gateway_https(gateway),
                                       &(struct client_options){.sni = "a.test", .from = source});

    workplace_require(client == NULL || (!client->is_connected && client->alert == 0),
                      "one too many was let in, or got an alert");
}

static void expect_turned_away(struct gateway *gateway)
{
    expect_turned_away_from(gateway, NULL);
}

static long long connections(const char *member)
{
    struct message *response = ask_admin("GET", "/status");

    expect_status(response, 200);
    return json_integer_value(
        json_member(json_from(response->body), text("connections.%s", member)));
}

static void await_connections(const char *member, long long count)
{
    long long start = monitor_now_ms(), seen;

    while ((seen = connections(member)) != count)
        workplace_require(monitor_may_ask_again(start), "%lld are %s, not %lld", seen, member,
                          count);
}

static long long refused_for(const char *reason)
{
    struct message *response = ask_admin("GET", "/metrics");
    const char *series = text("sallyport_connections_refused_total{reason=\"%s\"} ", reason);
    const char *line = strstr(response->body, series);

    workplace_require(line != NULL, "no %s in\n%s", series, response->body);
    return atoll(line + strlen(series));
}

static void expect_limit(const char *limit, int most)
{
    struct message *response = ask_admin("GET", "/metrics");
    const char *series = text("sallyport_connections_limit{limit=\"%s\"} %d\n", limit, most);

    workplace_require(strstr(response->body, series) != NULL, "no %s in\n%s", series,
                      response->body);
}

/* --- connections ------------------------------------------------------------------------------ */

Test(limits, connections_of_the_whole_process)
{
    struct gateway *gateway = start_with("'connections': 10");
    struct client *clients[10];

    for (int i = 0; i < 10; i++)
        clients[i] = open_served(gateway);
    for (int i = 0; i < 5; i++)
        expect_turned_away(gateway);
    cr_expect_eq(refused_for("connections"), 5);
    cr_expect_eq(connections("refused"), 5);
    cr_expect_eq(connections("limits.connections"), 10);
    expect_limit("connections", 10);
    for (int i = 0; i < 10; i++)
        expect_served(clients[i]); /* idle ones do not make way */
    client_close(clients[3]);
    await_connections("open", 9);
    clients[3] = open_served(gateway);
    expect_turned_away(gateway);
    gateway_wait_stderr(gateway, "clients_refused", NULL);
    gateway_stop(gateway);
    char *said = gateway_stderr(gateway), *first = strstr(said, "clients_refused");
    cr_assert_null(strstr(first + 1, "clients_refused"), "told more than once: %s", said);
}

#define STORM_MOST    20
#define STORM_THREADS 8
#define STORM_ROUNDS  40

struct storm {
    struct gateway *gateway;
    const char *address;
    atomic_int inside, most_inside, served, refused;
};

static void note_inside(struct storm *storm)
{
    int now = atomic_fetch_add(&storm->inside, 1) + 1, most = atomic_load(&storm->most_inside);

    while (now > most && !atomic_compare_exchange_weak(&storm->most_inside, &most, now))
        ;
}

/* Each thread holds on to some connections before it closes them: served or turned away, nothing
 * in between. */
static void *storm_in(void *arg)
{
    struct storm *storm = arg;
    struct client *held[6];

    for (int round = 0; round < STORM_ROUNDS; round++) {
        int count = 0;
        for (int i = 0; i < 6; i++) {
            struct client *client =
                client_make(storm->address, &(struct client_options){.sni = "a.test"});
            if (client != NULL && client->is_connected) {
                note_inside(storm);
                held[count++] = client;
                continue;
            }
            atomic_fetch_add(&storm->refused, 1);
            if (client != NULL)
                client_free(client);
        }
        for (int i = 0; i < count; i++) {
            struct message *response = message_make();
            wire_print(&held[i]->wire, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            if (!message_read_head(&held[i]->wire, response, false) || response->status != 200)
                workplace_note("one that was let in is not served");
            message_free(response);
            atomic_fetch_add(&storm->served, 1);
            atomic_fetch_sub(&storm->inside, 1);
            client_free(held[i]);
        }
    }
    return NULL;
}

Test(limits, a_storm_is_served_or_turned_away_and_leaves_nothing_behind)
{
    struct storm storm = {.gateway = start_with("'connections': 20")};
    pthread_t threads[STORM_THREADS];
    struct client *clients[STORM_MOST];
    int files;

    storm.address = gateway_https(storm.gateway);
    client_close(open_served(storm.gateway));
    await_connections("open", 0);
    files = gateway_open_files(storm.gateway);
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_create(&threads[i], NULL, storm_in, &storm);
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_leq(storm.most_inside, STORM_MOST);
    cr_expect_gt(storm.served, STORM_MOST);
    cr_expect_gt(storm.refused, 0);
    cr_expect_eq(storm.served + storm.refused, STORM_THREADS * STORM_ROUNDS * 6);
    cr_expect_eq(refused_for("connections"), storm.refused);
    await_connections("open", 0);
    cr_expect_leq(gateway_open_files(storm.gateway), files + 1);
    for (int i = 0; i < STORM_MOST; i++)
        clients[i] = open_served(storm.gateway);
    expect_turned_away(storm.gateway);
    for (int i = 0; i < STORM_MOST; i++)
        expect_served(clients[i]);
    gateway_stop(storm.gateway);
}

#define PLAIN                                                                                   \
    "'listen': { 'https': '127.0.0.1:0', 'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' }," \
    "  'admin': 'unix:@tmp/admin.sock' }, 'certs': '@tmp/certs',"                               \
    "'routes': { '*': { 'respond': { 'body': 'ok' } } }"

/* What was queued at the signal is served, but not above the limit; the others read why. */
Test(limits, of_what_is_queued_at_the_end_too)
{
    struct gateway *gateway =
        gateway_start("{ " PLAIN ", 'defaults': { 'limits': { 'connections': 10 } } }");
    struct client *clients[30];
    int served = 0;

    gateway_signal(gateway, SIGSTOP);
    for (int i = 0; i < 30; i++) {
        clients[i] = client_open_plain(gateway_address(gateway, "http", 0));
        client_send(clients[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    gateway_signal(gateway, SIGTERM);
    gateway_signal(gateway, SIGCONT);
    for (int i = 0; i < 30; i++) {
        struct message *response = client_response(clients[i]);
        served += response->status == 200;
        if (response->status != 200)
            expect_refusal(response, 503, "over_limit");
        client_expect_end(clients[i]);
    }
    cr_expect_eq(served, 10);
    gateway_stop_expecting(gateway, 0);
}

/* --- one address ------------------------------------------------------------------------------ */

static struct client *open_from(struct gateway *gateway, const char *source)
{
    struct client *client = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .from = source});

    expect_served(client);
    return client;
}

Test(limits, connections_of_one_address)
{
    struct gateway *gateway = start_with("'connections_per_ip': 3");
    struct client *clients[6];

    for (int i = 0; i < 3; i++)
        clients[i] = open_from(gateway, "127.0.0.1:0");
    for (int i = 0; i < 4; i++)
        expect_turned_away_from(gateway, "127.0.0.1:0");
    for (int i = 3; i < 6; i++)
        clients[i] = open_from(gateway, "127.0.0.2:0");
    expect_turned_away_from(gateway, "127.0.0.2:0");
    cr_expect_eq(refused_for("connections_per_ip"), 5);
    cr_expect_eq(connections("limits.connections_per_ip"), 3);
    expect_limit("connections_per_ip", 3);
    for (int i = 0; i < 6; i++)
        expect_served(clients[i]);
    client_close(clients[0]);
    await_connections("open", 5);
    expect_turned_away_from(gateway, "127.0.0.2:0");
    open_from(gateway, "127.0.0.1:0");
    gateway_wait_stderr(gateway, "no more than 3 connections of 127.0.0.1", NULL);
    gateway_stop(gateway);
}

Test(limits, connections_of_one_ipv6_address)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    if (fd < 0)
        cr_skip_test("this machine has no IPv6");
    close(fd);
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': ['[::1]:0', '127.0.0.1:0'],"
                      "  'admin': 'unix:@tmp/admin.sock' }, 'certs': '@tmp/certs',"
                      "  'defaults': { 'limits': { 'connections_per_ip': 1 } },"
                      "  'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    const char *v6 = gateway_address(gateway, "https", 0),
               *v4 = gateway_address(gateway, "https", 1);
    const struct client_options options = {.sni = "a.test"};

    expect_served(client_open_with(v6, &options));
    expect_served(client_open_with(v4, &options));
    struct client *second = client_try(v6, &options);
    cr_expect(second == NULL || !second->is_connected);
    gateway_stop(gateway);
}

/* --- handshakes ------------------------------------------------------------------------------- */

Test(limits, handshakes_in_progress)
{
    struct gateway *gateway = start_with("'handshakes': 4");
    struct client *before = open_served(gateway), *shaking[4];

    for (int i = 0; i < 4; i++)
        shaking[i] = client_open_plain(gateway_https(gateway));
    client_send_bytes(shaking[0], "\x16\x03\x01\x02\x00\x01\x00", 7);
    await_connections("handshaking", 4);
    for (int i = 0; i < 3; i++)
        expect_turned_away(gateway);
    cr_expect_eq(refused_for("handshakes"), 3);
    expect_limit("handshakes", 4);
    expect_served(before);
    client_close(shaking[0]);
    await_connections("handshaking", 3);
    open_served(gateway); /* its handshake done it stands in nobody's way */
    open_served(gateway);
    client_speak_tls(shaking[1], &(struct client_options){.sni = "a.test"});
    expect_served(shaking[1]);
    await_connections("handshaking", 2);
    gateway_wait_stderr(gateway, "no more than 4 handshakes", NULL);
    gateway_stop(gateway);
}

/* Those that clients never finish end by their deadline, and others get in. */
Test(limits, handshakes_that_never_end)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'handshake': '300ms' },"
                      "  'limits': { 'handshakes': 3 } },"
                      "  'routes': { '*': { 'respond': { 'body': 'ok' } } } }");

    for (int i = 0; i < 3; i++)
        client_open_plain(gateway_https(gateway));
    await_connections("handshaking", 0);
    open_served(gateway);
    gateway_stop(gateway);
}

/* --- plaintext -------------------------------------------------------------------------------- */

Test(limits, plaintext_clients_are_told)
{
    struct gateway *gateway = gateway_start(
        "{ " PLAIN ", 'defaults': { 'limits': { 'connections': 1, 'handshakes': 1 } } }");
    struct client *first = client_open_plain(gateway_address(gateway, "http", 0));

    expect_served(first);
    struct client *second = client_open_plain(gateway_address(gateway, "http", 0));
    expect_refusal(client_response(second), 503, "over_limit");
    expect_turned_away(gateway);
    expect_status(ask_admin("GET", "/healthz"), 200); /* admin and status are no clients */
    client_close(first);
    await_connections("open", 0);
    expect_served(client_open_plain(gateway_address(gateway, "http", 0)));
    gateway_stop(gateway);
}

/* --- reloads ---------------------------------------------------------------------------------- */

Test(limits, that_a_reload_sets_and_lifts)
{
    struct gateway *gateway = start_with("");
    struct client *clients[8];
    int open = 6;

    for (int i = 0; i < open; i++)
        clients[i] = open_served(gateway);
    swap_to("'connections': 4");
    expect_turned_away(gateway);
    for (int i = 0; i < open; i++)
        expect_served(clients[i]); /* they were let in */
    while (open > 3)
        client_close(clients[--open]);
    await_connections("open", 3);
    clients[open++] = open_served(gateway);
    expect_turned_away(gateway);
    swap_to("'connections': 6, 'connections_per_ip': 5");
    clients[open++] = open_served(gateway);
    expect_turned_away(gateway); /* those from before the limit count */
    cr_expect_eq(refused_for("connections_per_ip"), 1);
    swap_to("");
    for (; open < 8; open++)
        clients[open] = open_served(gateway);
    for (int i = 0; i < open; i++)
        expect_served(clients[i]);
    gateway_stop(gateway);
}

/* --- file descriptors ------------------------------------------------------------------------- */

#define FILES 240

static struct gateway *start_short_of_files(struct origin *origin, const char *rest)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, %s 'routes': { '*': '%s' } }", rest,
                             origin_address(origin)),
        .workers = 2,
        .open_files = FILES});
}

/* Idle connections until the last is turned away; how many were let in. */
static int flood(struct gateway *gateway, struct client *clients[], int count)
{
    long long before = connections("open");

    for (int i = 0; i < count; i++)
        clients[i] = client_open_plain(gateway_https(gateway));
    client_read_to_end(clients[count - 1]);
    return (int)(connections("open") - before);
}

Test(limits, too_few_file_descriptors_refuse_the_newest)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_short_of_files(origin, "");
    struct client *early = client_open(gateway, "a.test"), *clients[FILES + 60];
    int let_in;

    await_connections("handshaking", 0);
    let_in = flood(gateway, clients, FILES + 60);
    cr_expect_eq(let_in, FILES * 7 / 16 - 1);
    expect_limit("descriptors", FILES * 7 / 16);
    /* The last was turned away; the other worker may not have come to all of its own. */
    long long begun = monitor_now_ms();
    while (refused_for("descriptors") < FILES + 60 - let_in && monitor_may_ask_again(begun)) {
    }
    cr_expect_eq(refused_for("descriptors"), FILES + 60 - let_in);
    expect_turned_away(gateway);
    expect_from(client_get(early, "a.test", "/"), "one"); /* over a connection that is new */
    gateway_rewrite("{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_body(client_get(early, "a.test", "/"), "ok");
    gateway_wait_stderr(gateway, "the limit on open files, 240, is nearly reached", NULL);
    for (int i = 0; i < FILES + 60; i++)
        client_close(clients[i]);
    await_connections("open", 1);
    open_served(gateway);
    expect_served(early);
    gateway_stop(gateway);
}

/* All who were let in ask at once: each has its connection to the backend. */
static void answer_at_the_gate(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

Test(limits, there_are_descriptors_for_the_backends_of_all_who_are_let_in)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_short_of_files(origin, "");
    struct gate *gate = gate_new();
    struct client *clients[FILES * 7 / 16];
    int count = FILES * 7 / 16;

    origin_set_script(origin, NULL, answer_at_the_gate, gate);
    for (int i = 0; i < count; i++)
        clients[i] = client_open(gateway, "a.test");
    expect_turned_away(gateway);
    for (int i = 0; i < count; i++)
        client_send(clients[i], "GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n", i);
    origin_wait_requests(origin, count);
    gate_open(gate);
    for (int i = 0; i < count; i++)
        expect_body(client_response(clients[i]), "ok");
    gateway_stop(gateway);
}

/* With so few that backends, files and the admin socket run out of them too. */
Test(limits, recovers_where_there_are_hardly_any_descriptors)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes =
            route_file("routes.json", "{ @base, 'routes': { '*': '%s' } }", origin_address(origin)),
        .workers = 2,
        .open_files = 50});
    struct client *clients[120];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 120; i++)
            clients[i] =
                client_try(gateway_https(gateway), &(struct client_options){.sni = "a.test"});
        for (int i = 0; i < 120; i++) {
            if (clients[i]->is_connected)
                wire_print(&clients[i]->wire, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            if (i % 2 == 0)
                client_close(clients[i]);
        }
        for (int i = 1; i < 120; i += 2)
            client_close(clients[i]);
        await_connections("open", 0);
        expect_from(fetch(gateway, "a.test", "/"), "one");
    }
    gateway_stop(gateway);
}
