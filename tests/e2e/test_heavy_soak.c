/*
 * Everything at once, for SALLYPORT_TEST_SOAK seconds (10): those who behave ask on kept
 * connections and new ones, full and resumed, with certificates and behind the PROXY protocol,
 * upload, download and hold tunnels, while others throw raw bytes, drip, vanish and flood, backends
 * go wrong, and certificates and routes change. Nothing is lost of the good ones, memory stays
 * where it was after the first tenth, and nothing is left in the end. 600 for the full proof.
 */
#include "harness/bad_backend.h"
#include "harness/baseline.h"
#include "harness/crowd.h"
#include "harness/json_log.h"
#include "harness/load.h"
#include "harness/long_lived.h"
#include "harness/monitor.h"
#include "harness/proxy_header.h"
#include "harness/raw_table.h"
#include "harness/vanishing.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(heavy_soak);

enum {
    CONNECTIONS = 16,
    DOWN_BYTES = 1 << 20,
    UP_BYTES = 200 * 1000,
    PER_ADDRESS = 300,
    FLOOD = 320,    /* that come from one address at once */
    TOLD_MS = 1000, /* each of them within that, if it was let in at all */
    ROOM_KIB = 8 * 1024,
    /* With a quarantine of a MiB, and small ones of each thread: what it cannot reuse yet. */
    SANITIZED_ROOM_KIB = 24 * 1024,
};

static const struct load_host good = {.name = "a.test", .sni = "a.test"};

struct raw_request {
    const char *bytes;
    size_t length;
};

struct soak {
    struct origin *origin;
    struct gateway *gateway;
    struct load *load;
    struct vanishing vanishing;
    struct raw_request *rows; /* of raw_requests.txt */
    unsigned row_count;
    struct cert *alice;
    SSL_CTX *context;
    const char *up;
    SSL_SESSION *session; /* under the monitor's lock */
    atomic_int resumed;
};

/* --- those who behave ----------------------------------------------------------------------------
 */

/* Resumes what another one left, if the gateway will have it. */
static void shake_hands(struct soak *soak)
{
    monitor_lock();
    SSL_SESSION *session = soak->session;
    soak->session = NULL;
    monitor_unlock();
    struct client *client =
        client_make(gateway_https(soak->gateway),
                    &(struct client_options){.sni = "a.test", .session = session});
    SSL_SESSION_free(session);
    workplace_require(client != NULL && client->is_connected, "no handshake in the soak");
    soak->resumed += SSL_session_reused(client->wire.ssl);
    load_ask(soak->load, client, &good);
    monitor_lock();
    if (soak->session == NULL) {
        soak->session = client->session;
        client->session = NULL;
    }
    monitor_unlock();
    client_free(client);
}

static void come_with_certificate(struct soak *soak)
{
    struct client *client =
        client_make(gateway_https(soak->gateway),
                    &(struct client_options){.sni = "b.test", .cert = soak->alice});
    static const struct load_host theirs = {.name = "b.test", .sni = "b.test"};

    workplace_require(client != NULL && client->is_connected, "no handshake with a certificate");
    load_ask(soak->load, client, &theirs);
    client_free(client);
}

static void come_behind_proxy(struct soak *soak)
{
    char header[64];
    size_t length = proxy_header_make(header, "203.0.113.7", 4711, "203.0.113.9", 443);
    struct client *client = client_make_plain(soak->vanishing.behind_proxy);

    workplace_require(client != NULL && wire_write(&client->wire, header, length),
                      "no connection behind the proxy");
    client_speak_tls(client, &(struct client_options){.sni = "a.test", .context = soak->context});
    load_ask(soak->load, client, &good);
    client_free(client);
}

static struct client *let_in(struct soak *soak, bool is_http1)
{
    struct client *client = client_make(
        gateway_https(soak->gateway),
        &(struct client_options){.sni = "a.test", .context = soak->context, .is_http1 = is_http1});

    workplace_require(client != NULL && client->is_connected, "not let in");
    return client;
}

static struct client *well_behaved(struct soak *soak)
{
    return let_in(soak, false);
}

static void expect_whole(struct client *client, const char *what, uint64_t bytes,
                         const char *expected)
{
    struct message *response = message_make();
    bool is_whole = message_read_head(&client->wire, response, false) &&
                    message_read_body(&client->wire, response, "GET");

    workplace_require(is_whole && response->status == 200 && response->body_bytes == bytes &&
                          (expected != NULL ? memcmp(response->body, expected, bytes) == 0
                                            : response->body_is_pattern),
                      "%s: status %d, %llu bytes", what, response->status,
                      (unsigned long long)response->body_bytes);
    message_free(response);
}

static void download(struct soak *soak)
{
    struct client *client = well_behaved(soak);

    client_send(client, "GET /down HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_whole(client, "a download", DOWN_BYTES, NULL);
    client_free(client);
}

static void upload(struct soak *soak, bool is_chunked)
{
    struct client *client = well_behaved(soak);

    client_send(client, "POST /echo HTTP/1.1\r\nHost: a.test\r\n");
    if (is_chunked)
        client_send(client, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", UP_BYTES,
                    soak->up);
    else
        client_send(client, "Content-Length: %d\r\n\r\n%s", UP_BYTES, soak->up);
    expect_whole(client, "an upload", UP_BYTES, soak->up);
    client_free(client);
}

static void behave(void *arg, unsigned n)
{
    struct soak *soak = arg;

    switch (n % 8) {
    case 0: come_with_certificate(soak); break;
    case 1: come_behind_proxy(soak); break;
    case 2: download(soak); break;
    case 3:
    case 4: upload(soak, n % 2 == 0); break;
    default: shake_hands(soak); break;
    }
}

/* --- those who do not ----------------------------------------------------------------------------
 */

/* A row of the table, whatever comes of it. */
static void throw_row(struct soak *soak, unsigned n)
{
    const struct raw_request *row = &soak->rows[n % soak->row_count];
    struct client *client = let_in(soak, true);

    if (wire_write(&client->wire, row->bytes, row->length))
        wire_fill(&client->wire);
    client_free(client);
}

/* A byte at a time, until the deadline of heads ends it. */
static void drip(struct soak *soak)
{
    struct client *client = let_in(soak, true);
    long long start = monitor_now_ms();

    while (wire_print(&client->wire, "x") && monitor_may_ask_again(start)) {
    }
    client_free(client);
}

/* All are there until each has been told something: a ServerHello, or the end. */
static void flood(struct soak *soak)
{
    struct client *clients[FLOOD];
    const struct client_options options = {
        .sni = "a.test", .context = soak->context, .from = "127.0.0.9:0"};

    for (int i = 0; i < FLOOD; i++)
        clients[i] = client_make_begun(gateway_https(soak->gateway), &options);
    for (int i = 0; i < FLOOD; i++)
        if (clients[i] != NULL)
            poll(&(struct pollfd){.fd = clients[i]->wire.fd, .events = POLLIN}, 1, TOLD_MS);
    for (int i = 0; i < FLOOD; i++)
        if (clients[i] != NULL)
            client_free(clients[i]);
}

static void visit_bad_backend(struct soak *soak, unsigned n)
{
    struct client *client = well_behaved(soak);

    for (unsigned i = 0; i < 3 && bad_backend_visit(client, "a.test", n / 8 + i); i++)
        load_ask(soak->load, client, &good);
    client_free(client);
}

static void misbehave(void *arg, unsigned n)
{
    struct soak *soak = arg;

    switch (n % 8) {
    case 0:
    case 1: throw_row(soak, n / 8 * 2 + n % 2); break;
    case 2: visit_bad_backend(soak, n); break;
    case 3: n % 128 == 3 ? flood(soak) : vanish(&soak->vanishing, n); break;
    case 4: n % 64 == 4 ? drip(soak) : vanish(&soak->vanishing, n); break;
    default: vanish(&soak->vanishing, n / 8 * 3 + n % 8); break;
    }
}

/* --- changes -------------------------------------------------------------------------------------
 */

static const char *write_routes(struct soak *soak, unsigned version)
{
    return route_file(
        "routes.json",
        "{ 'listen': { 'https': ['127.0.0.1:0', { 'bind': '127.0.0.1:0',"
        "      'proxy_protocol': { 'from': ['127.0.0.0/8'] } }],"
        "    'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' },"
        "    'admin': 'unix:@tmp/admin.sock' },"
        "  'certs': 'certs', 'log': { 'access': '/dev/null', 'level': 'error' },"
        "  'defaults': { 'max_body': '1MiB', 'limits': { 'connections_per_ip': %d },"
        "    'timeout': { 'header': '1s', 'first_byte': '2s', 'idle': '2s', 'body_idle': '2s' } },"
        "  'routes': { 'a.test': '%s', 'b.test': { 'tls': { 'client_ca': 'ca.pem' }, 'to': '%s' },"
        "    'c.test': { 'respond': { 'body': '%u' } } } }",
        PER_ADDRESS, origin_address(soak->origin), origin_address(soak->origin), version);
}

/* A certificate and a route that change, at each round, and what is told of the gateway. */
static void change(struct soak *soak, unsigned round)
{
    cert_write_bundle(cert_new(text("c%u.test, c.test", round % 8)), workplace_path("certs/c.pem"));
    write_routes(soak, round);
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_status(ask_admin("GET", "/metrics"), 200);
}

/* --- the whole -----------------------------------------------------------------------------------
 */

static void free_context(void *context)
{
    SSL_CTX_free(context);
}

/* What is freed is to be used again, or memory could not be told to be flat. */
static const char *const *environment(void)
{
    static char options[512];
    static const char *variables[] = {options, NULL};
    const char *given = getenv("ASAN_OPTIONS");

    snprintf(options, sizeof options,
             "ASAN_OPTIONS=%s%squarantine_size_mb=1:thread_local_quarantine_size_kb=16",
             given != NULL ? given : "", given != NULL ? ":" : "");
    return variables;
}

static void add_scripts(struct soak *soak)
{
    static const uint64_t bytes = DOWN_BYTES;

    load_add_origin(soak->load, soak->origin, 0);
    bad_backend_add(soak->origin);
    origin_set_script(soak->origin, "/echo", origin_echo, NULL);
    origin_set_script(soak->origin, "/hang", origin_hang, NULL);
    origin_set_script(soak->origin, "/ws", origin_upgrade_echo, NULL);
    origin_set_script(soak->origin, "/down", origin_send_pattern, (void *)(size_t)&bytes);
}

static void make_certificates(struct soak *soak)
{
    struct cert *ca = cert_make(
        &(struct cert_options){.subject = "Own CA", .is_authority = true, .is_root = true});

    cert_write_alone(ca, workplace_path("ca.pem"));
    soak->alice = cert_make(
        &(struct cert_options){.subject = "alice", .purpose = "clientAuth", .issuer = ca});
}

static void read_rows(struct soak *soak)
{
    const struct raw_table *table = raw_table_read("raw_requests.txt", 3);

    soak->row_count = (unsigned)table->count;
    soak->rows = workplace_own(calloc(soak->row_count, sizeof *soak->rows), free);
    for (unsigned i = 0; i < soak->row_count; i++) {
        const struct raw_case *row = &table->cases[i];
        soak->rows[i].bytes = raw_bytes(row, row->columns[1], &soak->rows[i].length);
    }
}

static struct soak *begin(void)
{
    struct soak *soak = workplace_own(calloc(1, sizeof *soak), free);
    char *up = workplace_own(malloc(UP_BYTES + 1), free);

    memset(up, 'u', UP_BYTES);
    up[UP_BYTES] = '\0';
    soak->up = up;
    make_certificates(soak);
    soak->origin = origin_start("one");
    soak->gateway = gateway_start_with(&(struct gateway_options){
        .routes = write_routes(soak, 0), .workers = 2, .environment = environment()});
    soak->context = workplace_own(SSL_CTX_new(TLS_client_method()), free_context);
    read_rows(soak);
    soak->vanishing = (struct vanishing){.https = gateway_address(soak->gateway, "https", 0),
                                         .plain = gateway_address(soak->gateway, "http", 0),
                                         .behind_proxy = gateway_address(soak->gateway, "https", 1),
                                         .host = "a.test",
                                         .context = soak->context};
    soak->load = load_new(&(struct load_options){.gateway = soak->gateway,
                                                 .hosts = &good,
                                                 .host_count = 1,
                                                 .connections = CONNECTIONS,
                                                 .threads = 2,
                                                 .posts = true});
    add_scripts(soak);
    return soak;
}

/* Changes something twice a second until so much of the time is over; resident memory then. */
static long go_on_until(struct soak *soak, long long end_ms, unsigned *round)
{
    while (monitor_now_ms() < end_ms) {
        change(soak, ++*round);
        load_wait_answers(soak->load, 2 * CONNECTIONS);
        workplace_settle();
    }
    return gateway_rss_kib(soak->gateway);
}

static void expect_flat(struct soak *soak, long early, long late)
{
    long room = gateway_is_sanitized(soak->gateway) ? SANITIZED_ROOM_KIB : ROOM_KIB;

    workplace_require(late - early <= room, "memory went from %ld KiB to %ld", early, late);
}

Test(heavy_soak, nothing_is_lost_and_nothing_grows)
{
    long seconds = workplace_number("SALLYPORT_TEST_SOAK", 10);
    unsigned round = 0;

    workplace_allow_seconds((unsigned)seconds + 240);
    struct soak *soak = begin();
    status_number("connections.open");
    struct baseline before = baseline_take(soak->gateway);
    struct long_lived *tunnels = long_lived_start(&(struct long_lived_options){
        .gateway = soak->gateway, .sni = "a.test", .host = "a.test", .tunnels = 4});
    load_start(soak->load);
    struct crowd *well = crowd_start(3, 0, behave, soak);
    struct crowd *ill = crowd_start(6, 0, misbehave, soak);
    long long start = monitor_now_ms();
    long early = go_on_until(soak, start + seconds * 100, &round);
    long late = go_on_until(soak, start + seconds * 1000, &round);
    unsigned good_ones = crowd_end(well), bad_ones = crowd_end(ill);
    long_lived_end(tunnels);
    load_end(soak->load);
    SSL_SESSION_free(soak->session);
    fprintf(stderr,
            "%ld s: %d requests, %u well-behaved visits (%d resumed) and %u others, %u changes; "
            "%ld KiB after a tenth, %ld at the end\n",
            seconds, load_sent(soak->load), good_ones, soak->resumed, bad_ones, round, early, late);
    load_expect_nothing_lost(soak->load);
    expect_flat(soak, early, late);
    cr_assert_gt(status_number("connections.refused"), 0);
    origin_stop(soak->origin);
    baseline_await(&before, soak->gateway, SANITIZED_ROOM_KIB + before.rss_kib);
    gateway_stop(soak->gateway);
}
