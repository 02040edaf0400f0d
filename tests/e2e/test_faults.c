/* Storms: backends that go wrong in every way, clients that vanish in every state, calls that fail
 * or are short, clocks that are set. Those who behave are served rightly meanwhile, and afterwards
 * connections, descriptors and memory are where they were. */
#include "harness/bad_backend.h"
#include "harness/baseline.h"
#include "harness/crowd.h"
#include "harness/fault_board.h"
#include "harness/json_log.h"
#include "harness/load.h"
#include "harness/long_lived.h"
#include "harness/monitor.h"
#include "harness/vanishing.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

E2E_SUITE(faults);

enum {
    THREADS = 8,
    CONNECTIONS = 16, /* of those who behave */
    ROOM_KIB = 8 * 1024,
    SANITIZED_ROOM_KIB = 256 * 1024, /* what is freed stays with the sanitizer for long */
};

static const struct load_host good = {.name = "a.test", .sni = "a.test"};

struct world {
    struct origin *origin;
    struct gateway *gateway;
    struct baseline before;
    struct faults *faults;
    struct load *load;
    SSL_CTX *context; /* of all who come in storms */
};

static void free_context(void *context)
{
    SSL_CTX_free(context);
}

#define LISTEN                                                       \
    "'listen': { 'https': ['127.0.0.1:0', { 'bind': '127.0.0.1:0', " \
    "    'proxy_protocol': { 'from': ['127.0.0.0/8'] } }],"          \
    "  'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' },"        \
    "  'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs',"         \
    "'log': { 'format': 'json', 'level': 'info' },"

/* One backend for everything: what goes wrong on its connections meets what does not. */
static struct world *world_new(const char *settings, bool has_faults)
{
    static uint64_t pattern_bytes = (uint64_t)8 << 20;
    struct world *world = workplace_own(calloc(1, sizeof *world), free);

    world->origin = origin_start("one");
    world->faults = has_faults ? fault_board() : NULL;
    world->gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ " LISTEN " %s 'routes': { 'a.test': '%s' } }",
                             settings, origin_address(world->origin)),
        .workers = 2,
        .faults = world->faults});
    world->context = workplace_own(SSL_CTX_new(TLS_client_method()), free_context);
    world->load = load_new(&(struct load_options){.gateway = world->gateway,
                                                  .hosts = &good,
                                                  .host_count = 1,
                                                  .connections = CONNECTIONS,
                                                  .threads = 2,
                                                  .posts = true});
    load_add_origin(world->load, world->origin, 0);
    bad_backend_add(world->origin);
    origin_set_script(world->origin, "/echo", origin_echo, NULL);
    origin_set_script(world->origin, "/hang", origin_hang, NULL);
    origin_set_script(world->origin, "/ws", origin_upgrade_echo, NULL);
    origin_set_script(world->origin, "/down", origin_send_pattern, &pattern_bytes);
    status_number("connections.open");
    world->before = baseline_take(world->gateway);
    return world;
}

/* Nothing was lost, nothing is left, and whoever comes is served. */
static void world_end(struct world *world)
{
    bool is_sanitized = gateway_is_sanitized(world->gateway);

    load_end(world->load);
    load_expect_nothing_lost(world->load);
    origin_stop(world->origin); /* its kept connections are descriptors, too */
    baseline_await(&world->before, world->gateway, is_sanitized ? SANITIZED_ROOM_KIB : ROOM_KIB);
    origin_restart(world->origin);
    expect_status(fetch(world->gateway, "a.test", "/"), 200);
    gateway_stop(world->gateway);
}

static struct client *storm_client(struct world *world)
{
    return client_make(gateway_https(world->gateway),
                       &(struct client_options){.sni = "a.test", .context = world->context});
}

/* --- backends ------------------------------------------------------------------------------------
 */

/* One way after the other on as few connections as go, and behind each a request that nothing is
 * wrong with. */
static void visit_bad_backend(void *arg, unsigned n)
{
    struct world *world = arg;
    struct client *client = storm_client(world);

    if (client == NULL || !client->is_connected) {
        workplace_note("not let in");
    } else {
        for (unsigned i = 0; bad_backend_visit(client, "a.test", n + i) && i < 4; i++)
            load_ask(world->load, client, &good);
    }
    if (client != NULL)
        client_free(client);
}

Test(faults, backends_that_go_wrong_in_every_way)
{
    struct world *world =
        world_new("'defaults': { 'timeout': { 'first_byte': '500ms', 'idle': '500ms' } },", false);

    load_start(world->load);
    load_wait_answers(world->load, CONNECTIONS);
    crowd_finish(crowd_start(THREADS, bad_backend_ways * 8, visit_bad_backend, world));
    load_wait_answers(world->load, 2 * CONNECTIONS);
    world_end(world);
}

static void visit_nobody(void *arg, unsigned n)
{
    struct world *world = arg;
    struct client *client = storm_client(world);
    struct message *response = message_make();

    (void)n;
    if (client == NULL || !client->is_connected ||
        !wire_print(&client->wire, "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n") ||
        !message_read_head(&client->wire, response, false) ||
        !message_read_body(&client->wire, response, "GET") || response->status != 502)
        workplace_note("status %d from a backend that is not there", response->status);
    message_free(response);
    if (client != NULL)
        client_free(client);
}

Test(faults, backends_that_refuse)
{
    struct world *world = world_new("", false);

    load_start(world->load);
    gateway_rewrite("{ " LISTEN " 'routes': { 'a.test': '%s', 'b.test': '%s' } }",
                    origin_address(world->origin), workplace_free_address());
    expect_status(ask_admin("POST", "/reload"), 200);
    crowd_finish(crowd_start(THREADS, 200, visit_nobody, world));
    load_wait_answers(world->load, 2 * CONNECTIONS);
    world_end(world);
}

/* --- clients -------------------------------------------------------------------------------------
 */

static void visit_and_vanish(void *arg, unsigned n)
{
    vanish(arg, n);
}

Test(faults, clients_that_vanish_in_every_state)
{
    struct world *world =
        world_new("'defaults': { 'timeout': { 'first_byte': '5s', 'body_idle': '5s' } },", false);
    struct vanishing from = {.https = gateway_address(world->gateway, "https", 0),
                             .plain = gateway_address(world->gateway, "http", 0),
                             .behind_proxy = gateway_address(world->gateway, "https", 1),
                             .host = "a.test",
                             .context = world->context};

    load_start(world->load);
    load_wait_answers(world->load, CONNECTIONS);
    crowd_finish(crowd_start(THREADS, vanishing_kinds * 8, visit_and_vanish, &from));
    load_wait_answers(world->load, 2 * CONNECTIONS);
    world_end(world);
}

/* --- calls that fail -----------------------------------------------------------------------------
 */

static void come_and_ask(void *arg, unsigned n)
{
    struct world *world = arg;
    struct client *client = storm_client(world);

    (void)n;
    if (client == NULL || !client->is_connected)
        workplace_note("not let in");
    else
        load_ask(world->load, client, &good);
    if (client != NULL)
        client_free(client);
}

/* Who cannot be accepted waits, and is served. */
Test(faults, accept_that_fails)
{
    static const int errors[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EINTR};
    struct world *world = world_new("", true);

    load_start(world->load);
    load_wait_answers(world->load, CONNECTIONS);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fault_set(world->faults, FAULT_ACCEPT, FAULT_ALWAYS / 2, errors[i]);
        crowd_finish(crowd_start(THREADS, 48, come_and_ask, world));
    }
    /* Not one of them, for as long as it lasts: those who are there are served. */
    fault_set(world->faults, FAULT_ACCEPT, FAULT_ALWAYS, EMFILE);
    struct crowd *crowd = crowd_start(THREADS, THREADS, come_and_ask, world);
    gateway_wait_stderr(world->gateway, "accept.paused", NULL);
    load_wait_answers(world->load, 2 * CONNECTIONS);
    fault_end(world->faults, FAULT_ACCEPT);
    crowd_finish(crowd);
    gateway_wait_stderr(world->gateway, "accept.resumed", NULL);
    cr_assert_gt(fault_strikes(world->faults, FAULT_ACCEPT), 100);
    world_end(world);
}

/* Whatever a socket takes and gives, however little at a time: no byte is lost. */
enum { MORE_THAN_A_RECORD = 20 * 1024, MUCH = 64 * 1024 };

static void go_on_with(struct world *world, struct long_lived *company, enum fault fault,
                       uint64_t bytes)
{
    unsigned long before = fault_strikes(world->faults, fault);

    long_lived_read_on(company, bytes);
    long_lived_wait(company);
    crowd_finish(crowd_start(2, 20, come_and_ask, world));
    load_wait_answers(world->load, 4 * CONNECTIONS);
    cr_assert_gt(fault_strikes(world->faults, fault), before);
    fault_end(world->faults, FAULT_SEND);
    fault_end(world->faults, FAULT_RECV);
}

Test(faults, sockets_that_take_and_give_little)
{
    static const enum fault calls[] = {FAULT_SEND, FAULT_RECV};
    static const unsigned bytes[] = {1, 7, 1000};
    static const int errors[] = {EAGAIN, EINTR};
    /* A download waits for its turn as long as the others take. */
    struct world *world = world_new("'defaults': { 'timeout': { 'body_idle': '10m' } },", true);
    struct long_lived *company =
        long_lived_start(&(struct long_lived_options){.gateway = world->gateway,
                                                      .sni = "a.test",
                                                      .host = "a.test",
                                                      .tunnels = 4,
                                                      .downloads = 4,
                                                      .pattern_bytes = (uint64_t)8 << 20});

    load_start(world->load);
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            fault_shorten(world->faults, calls[i], FAULT_ALWAYS, bytes[j]);
            go_on_with(world, company, calls[i], bytes[j] < 1000 ? MORE_THAN_A_RECORD : MUCH);
        }
        for (int j = 0; j < 2; j++) {
            fault_set(world->faults, calls[i], FAULT_ALWAYS / 2, errors[j]);
            go_on_with(world, company, calls[i], MUCH);
        }
    }
    fault_shorten(world->faults, FAULT_SEND, FAULT_ALWAYS, 3);
    fault_shorten(world->faults, FAULT_RECV, FAULT_ALWAYS, 5);
    go_on_with(world, company, FAULT_RECV, MORE_THAN_A_RECORD);
    long_lived_end(company);
    world_end(world);
}

/* Right and whole, or a refusal that names itself, or the end of the connection. */
static void ask_in_trouble(void *arg, unsigned n)
{
    struct world *world = arg;
    struct client *client = storm_client(world);
    struct message *response = message_make();

    (void)n;
    if (client != NULL && client->is_connected &&
        wire_print(&client->wire, "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n"
                                  "something") &&
        message_read_head(&client->wire, response, false) &&
        message_read_body(&client->wire, response, "POST")) {
        bool is_right = response->status == 200 ? strcmp(response->body, "something") == 0
                                                : response->status >= 502 && response->status < 505;
        if (!is_right)
            workplace_note("status %d: %s", response->status, response->body);
    }
    message_free(response);
    if (client != NULL)
        client_free(client);
}

Test(faults, sockets_that_break)
{
    static const struct {
        enum fault call;
        int error;
    } breaks[] = {
        {FAULT_SEND, EPIPE},      {FAULT_SEND, ECONNRESET},     {FAULT_SEND, ENOBUFS},
        {FAULT_SEND, ENOMEM},     {FAULT_RECV, ECONNRESET},     {FAULT_RECV, ETIMEDOUT},
        {FAULT_RECV, ENOMEM},     {FAULT_SOCKET, EMFILE},       {FAULT_SOCKET, ENOBUFS},
        {FAULT_CONNECT, ENOBUFS}, {FAULT_CONNECT, ENETUNREACH}, {FAULT_CONNECT, EADDRNOTAVAIL},
        {FAULT_CONNECT, EAGAIN},  {FAULT_CONNECT, EINTR},
    };
    /* A backend that got no request, though its connection is whole, says nothing. */
    struct world *world = world_new("'defaults': { 'timeout': { 'first_byte': '1s' } },", true);

    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        fault_set(world->faults, breaks[i].call, FAULT_ALWAYS / 10, breaks[i].error);
        crowd_finish(crowd_start(THREADS, 32, ask_in_trouble, world));
        fault_end(world->faults, breaks[i].call);
    }
    load_start(world->load);
    load_wait_answers(world->load, 4 * CONNECTIONS);
    world_end(world);
}

/* --- clocks --------------------------------------------------------------------------------------
 */

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, CERTIFICATE_EXPIRED = 45 };

static void set_clock(struct faults *faults, int ahead_s)
{
    atomic_store(&faults->wall_ahead_ms, (int64_t)ahead_s * 1000);
}

/* Whether a time in a log is that of a clock which is so far ahead; an hour more or less. */
static bool is_about(const char *told, int ahead_s)
{
    struct tm parts = {0};
    time_t now = time(NULL) + ahead_s;

    if (strptime(told, "%Y-%m-%dT%H:%M:%S", &parts) == NULL)
        return false;
    return labs(timegm(&parts) - now) < HOUR_S;
}

/* The time of the access log's line for the path, waited for. The load fills the log with too many
 * lines to take all of them apart. */
static const char *time_of_path(struct gateway *gateway, const char *path)
{
    static const char name[] = "\"ts\":\"";
    const char *words = text("\"path\":\"%s\"", path), *found, *said;
    long long start = monitor_now_ms();

    while ((found = strstr(said = gateway_stdout(gateway), words)) == NULL)
        workplace_require(monitor_may_ask_again(start), "%s is not logged", path);
    while (found > said && found[-1] != '\n')
        found--;
    found = strstr(found, name);
    workplace_require(found != NULL, "no time in the line of %s", path);
    return found + strlen(name);
}

/* Clients with certificates come to b.test: what is out of date is refused, by the gateway's clock.
 */
static void expect_verdict(struct world *world, const struct cert *cert, int alert)
{
    struct client *client = client_try(gateway_https(world->gateway),
                                       &(struct client_options){.sni = "b.test", .cert = cert});

    workplace_require(client != NULL, "not let in");
    cr_assert_eq(client_outcome(client, "b.test"), alert);
    client_close(client);
}

/* With the ticket of the client before, which may be taken or not. */
static void resume(struct world *world, SSL_SESSION **session)
{
    struct client *client =
        client_open_with(gateway_https(world->gateway),
                         &(struct client_options){.sni = "a.test", .session = *session});

    expect_status(client_get(client, "a.test", "/clock"), 200);
    *session = client->session;
    client_close(client);
}

Test(faults, clocks_that_are_set)
{
    static const int steps[] = {HOUR_S, -HOUR_S, 200 * DAY_S, 0, -30 * DAY_S, 3 * HOUR_S, 0};
    struct cert *ca = cert_make(&(struct cert_options){.subject = "Own CA",
                                                       .is_authority = true,
                                                       .is_root = true,
                                                       .from_days = -90,
                                                       .to_days = 900});
    struct cert *alice = cert_make(&(struct cert_options){.subject = "alice",
                                                          .purpose = "clientAuth",
                                                          .issuer = ca,
                                                          .from_days = -60,
                                                          .to_days = 90});
    SSL_SESSION *session = NULL;
    size_t count = sizeof steps / sizeof steps[0];

    cert_write_alone(ca, workplace_path("ca.pem"));
    struct world *world = world_new("", true);
    gateway_rewrite("{ " LISTEN " 'routes': { 'a.test': '%s', 'b.test': { 'tls': { 'client_ca': "
                    "'ca.pem' }, 'respond': { 'body': 'ok' } } } }",
                    origin_address(world->origin));
    expect_status(ask_admin("POST", "/reload"), 200);
    struct long_lived *company = long_lived_start(&(struct long_lived_options){
        .gateway = world->gateway, .sni = "a.test", .host = "a.test", .tunnels = 2});
    load_start(world->load);
    for (size_t i = 0; i < count; i++) {
        set_clock(world->faults, steps[i]);
        load_wait_answers(world->load, 2 * CONNECTIONS);
        long_lived_wait(company);
        resume(world, &session);
        expect_verdict(world, alice, steps[i] > 90 * DAY_S ? CERTIFICATE_EXPIRED : 0);
        expect_status(fetch(world->gateway, "a.test", text("/step/%zu", i)), 200);
        const char *told = time_of_path(world->gateway, text("/step/%zu", i));
        workplace_require(is_about(told, steps[i]), "step %zu is logged at %.24s", i, told);
        gateway_rewrite("{ " LISTEN " 'routes': { 'a.test': '%s', 'b.test': { 'tls': { "
                        "'client_ca': 'ca.pem' }, 'respond': { 'body': 'step %zu' } } } }",
                        origin_address(world->origin), i);
        expect_status(ask_admin("POST", "/reload"), 200);
    }
    long_lived_end(company);
    world_end(world);
}

/* A clock that is set back must not keep a gateway that ends waiting for its log's reader. */
Test(faults, clock_that_is_set_while_the_gateway_ends)
{
    enum { MORE_THAN_A_PIPE_HOLDS = 1000 };
    struct faults *faults = fault_board();
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }"),
        .leaves_stdout_unread = true,
        .faults = faults});
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < MORE_THAN_A_PIPE_HOLDS; i++)
        expect_body(client_get(client, "a.test", "/"), "ok");
    client_close(client);
    set_clock(faults, DAY_S); /* what the kernel's clock then is a day behind of */
    gateway_stop(gateway);
}
