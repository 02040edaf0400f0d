/* Everything may change in a swap, and what is under way does not notice. */
#include "harness/await.h"
#include "harness/json_log.h"
#include "harness/long_lived.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(swaps);

#define LISTEN "'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
#define ANSWER "'routes': { '*': { 'respond': { 'body': 'ok' } } }"

/* What was written is served from here on, which certificates may be already: they are watched. */
static void swap(void)
{
    static json_int_t generation;
    struct message *response = ask_admin("POST", "/reload");

    expect_status(response, 200);
    json_t *answer = json_from(response->body);
    json_int_t now = json_integer_value(json_member(answer, "generation"));
    cr_assert(json_is_false(json_member(answer, "unchanged")) || now > generation, "no swap");
    generation = now;
}

#define swap_to(...) (gateway_rewrite(__VA_ARGS__), swap())

static void expect_alert(struct gateway *gateway, const struct client_options *options, int alert)
{
    struct client *client = client_try(gateway_https(gateway), options);

    workplace_require(client != NULL && !client->is_connected && client->alert == alert,
                      "connected %d, alert %d, not %d", client != NULL && client->is_connected,
                      client != NULL ? client->alert : -1, alert);
    client_close(client);
}

/* --- TLS -----------------------------------------------------------------------------------------
 */

#define TLS "{ @base, 'tls': { %s }, " ANSWER " }"

Test(swaps, min_version)
{
    struct gateway *gateway = gateway_start(TLS, "");
    struct client_options options = {.sni = "a.test", .max_version = TLS1_2_VERSION};
    struct client *client = client_open_with(gateway_https(gateway), &options);

    swap_to(TLS, "'min_version': '1.3'");
    expect_alert(gateway, &options, SSL_AD_PROTOCOL_VERSION);
    expect_body(client_get(client, "a.test", "/"), "ok"); /* its handshake is over */
    swap_to(TLS, "'min_version': '1.2'");
    client = client_open_with(gateway_https(gateway), &options);
    expect_body(client_get(client, "a.test", "/"), "ok");
    gateway_stop(gateway);
}

Test(swaps, default_certificate_and_unknown_names)
{
    struct cert *one = cert_new("one.example"), *two = cert_new("two.example");
    workplace_make_folder("certs");
    cert_write_bundle(one, workplace_path("certs/one.pem"));
    cert_write_bundle(two, workplace_path("certs/two.pem"));
    struct gateway *gateway = gateway_start(TLS, "");

    expect_certificate(gateway, NULL, NULL);
    expect_certificate(gateway, "nobody.example", NULL);
    swap_to(TLS, "'default_cert': 'one.example'");
    expect_certificate(gateway, NULL, one);
    expect_certificate(gateway, "nobody.example", NULL);
    swap_to(TLS, "'default_cert': 'two.example', 'unknown_sni': 'default'");
    expect_certificate(gateway, NULL, two);
    expect_certificate(gateway, "nobody.example", two);
    expect_certificate(gateway, "one.example", one);
    swap_to(TLS, "'unknown_sni': 'reject'");
    expect_certificate(gateway, NULL, NULL);
    expect_certificate(gateway, "nobody.example", NULL);
    gateway_stop(gateway);
}

/* A session of a connection that was used; its caller frees it. */
static SSL_SESSION *ticket_of(struct gateway *gateway, const struct client_options *options)
{
    struct client *client = client_open_with(gateway_https(gateway), options);

    expect_body(client_get(client, options->sni, "/"), "ok");
    client_close(client);
    return client->session != NULL ? SSL_SESSION_dup(client->session) : NULL;
}

static bool is_resumed(struct gateway *gateway, const struct client_options *options,
                       SSL_SESSION *session)
{
    struct client_options with = *options;

    with.session = SSL_SESSION_dup(session); /* one of TLS 1.3 is good for one connection */
    struct client *client = client_open_with(gateway_https(gateway), &with);
    SSL_SESSION_free(with.session);
    expect_body(client_get(client, options->sni, "/"), "ok");
    bool is = SSL_session_reused(client->wire.ssl);
    client_close(client);
    return is;
}

static void swap_under_tickets(int version)
{
    struct gateway *gateway = gateway_start(TLS, "");
    const char *site = workplace_path("certs/site.pem");
    const struct client_options options = {
        .sni = "a.test", .min_version = version, .max_version = version};

    cert_write_bundle(cert_new("a.test, b.test"), site);
    swap();
    SSL_SESSION *session = ticket_of(gateway, &options);
    cr_assert_not_null(session);
    cr_assert(is_resumed(gateway, &options, session));
    cert_write_bundle(cert_new("a.test, b.test"), site);
    swap();
    cr_assert(is_resumed(gateway, &options, session), "a renewal ends no ticket");
    cert_write_bundle(cert_new("a.test, b.test, c.test"), site);
    swap();
    cr_assert(!is_resumed(gateway, &options, session), "more names: it was made under others");
    SSL_SESSION_free(session);
    session = ticket_of(gateway, &options);
    cert_write_bundle(cert_new("a.test"), site);
    swap();
    cr_assert(!is_resumed(gateway, &options, session), "fewer names");
    SSL_SESSION_free(session);
    gateway_stop(gateway);
}

Test(swaps, tickets_of_other_names_do_not_resume_1_2)
{
    swap_under_tickets(TLS1_2_VERSION);
}

Test(swaps, tickets_of_other_names_do_not_resume_1_3)
{
    swap_under_tickets(TLS1_3_VERSION);
}

static void turn_tickets_off_and_on(int version)
{
    struct gateway *gateway = gateway_start(TLS, "");
    const struct client_options options = {
        .sni = "a.test", .min_version = version, .max_version = version};
    SSL_SESSION *session = ticket_of(gateway, &options);

    cr_assert(is_resumed(gateway, &options, session));
    swap_to(TLS, "'tickets': false");
    cr_assert(!is_resumed(gateway, &options, session), "tickets are off");
    SSL_SESSION *none = ticket_of(gateway, &options);
    cr_assert(none == NULL || !is_resumed(gateway, &options, none), "tickets are off");
    SSL_SESSION_free(none);
    swap_to(TLS, "'tickets': true");
    SSL_SESSION *again = ticket_of(gateway, &options);
    cr_assert(is_resumed(gateway, &options, again), "tickets are on again");
    SSL_SESSION_free(again);
    SSL_SESSION_free(session);
    gateway_stop(gateway);
}

Test(swaps, tickets_off_and_on)
{
    turn_tickets_off_and_on(TLS1_2_VERSION);
    turn_tickets_off_and_on(TLS1_3_VERSION);
}

/* --- requests on connections that stay open ------------------------------------------------------
 */

#define LIMITS "{ @base, 'defaults': { 'limits': { %s } }, " ANSWER " }"

static void send_padded(struct client *client, int padding)
{
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nPad: %0*d\r\n\r\n", padding, 0);
}

Test(swaps, limits_of_heads)
{
    struct gateway *gateway = gateway_start(LIMITS, "");
    struct client *one = client_open(gateway, "a.test");
    struct client *two = client_open(gateway, "a.test");
    struct client *three = client_open(gateway, "a.test");
    struct client *all[] = {one, two, three};

    for (int i = 0; i < 3; i++) {
        send_padded(all[i], 4000);
        expect_body(client_response(all[i]), "ok");
    }
    swap_to(LIMITS, "'header_bytes': '1KiB'");
    send_padded(one, 4000);
    expect_refusal(client_response(one), 431, "header_too_large");
    expect_body(client_get(two, "a.test", "/"), "ok");
    swap_to(LIMITS, "'header_bytes': '64KiB'");
    send_padded(two, 40000);
    expect_body(client_response(two), "ok");
    swap_to(LIMITS, "'headers': 1");
    send_padded(two, 1);
    expect_refusal(client_response(two), 431, "header_too_large");
    swap_to(LIMITS, "'request_line': '100B'");
    client_send(three, "GET /%0200d HTTP/1.1\r\nHost: a.test\r\n\r\n", 0);
    expect_refusal(client_response(three), 414, "uri_too_long");
    gateway_stop(gateway);
}

static void send_underscore(struct client *client)
{
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nA_b: c\r\n\r\n");
}

Test(swaps, underscores_in_names)
{
    struct gateway *gateway = gateway_start(LIMITS, "'underscores': true");
    struct client *one = client_open(gateway, "a.test");
    struct client *two = client_open(gateway, "a.test");

    send_underscore(one);
    expect_body(client_response(one), "ok");
    expect_body(client_get(two, "a.test", "/"), "ok");
    swap_to(LIMITS, "");
    send_underscore(one);
    expect_refusal(client_response(one), 400, "bad_request");
    client_expect_last(one);
    swap_to(LIMITS, "'underscores': true");
    send_underscore(two);
    expect_body(client_response(two), "ok");
    gateway_stop(gateway);
}

#define TIMES "{ @base, 'defaults': { 'timeout': { %s } }, 'routes': { '*': '%s' } }"

Test(swaps, timeouts)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(TIMES, "", origin_address(origin));
    struct client *one = client_open(gateway, "a.test"), *two = client_open(gateway, "a.test");

    origin_set_script(origin, "/hang", origin_hang, NULL);
    expect_from(client_get(one, "a.test", "/"), "one");
    expect_from(client_get(two, "a.test", "/"), "one");
    swap_to(TIMES, "'first_byte': '50ms', 'keepalive': '50ms'", origin_address(origin));
    expect_refusal(client_get(one, "a.test", "/hang"), 504, "backend_timeout");
    client_send(two, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    /* Answered, if it came before the new end of its patience, and the backend before its own. */
    struct message *last = message_new();
    if (message_read_head(&two->wire, last, false)) {
        cr_assert(message_read_body(&two->wire, last, "GET"));
        if (last->status != 504)
            expect_from(last, "one");
    }
    client_expect_end(two);
    gateway_stop(gateway);
}

Test(swaps, trusted_proxies)
{
    struct origin *origin = origin_start("one");
    static const char *const routes = "{ @base, 'trusted_proxies': [%s], 'routes': { '*': '%s' } }";
    struct gateway *gateway = gateway_start(routes, "", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");
    static const char *const trusted[] = {"", "'127.0.0.0/8'", "'10.0.0.0/8'"};
    static const char *const seen[] = {"127.0.0.1", "203.0.113.9, 127.0.0.1", "127.0.0.1"};

    for (int i = 0; i < 3; i++) {
        if (i > 0)
            swap_to(routes, trusted[i], origin_address(origin));
        client_send(client,
                    "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
        expect_from(client_response(client), "one");
        expect_field(origin_last_request(origin), "x-forwarded-for", seen[i]);
        expect_string(log_entry(gateway, i), "client_ip", i == 1 ? "203.0.113.9" : "127.0.0.1");
    }
    gateway_stop(gateway);
}

#define CONSISTENT                                                                           \
    "{ @base, 'routes': { '*': { 'respond': { 'headers': { 'x-generation': '%d' }, 'body': " \
    "'%d' } } } }"

static void wait_in_flight(int count)
{
    long long start = monitor_now_ms();
    json_t *status;

    do {
        workplace_require(monitor_may_ask_again(start), "not %d requests in flight", count);
        status = json_from(ask_admin("GET", "/status")->body);
    } while (json_integer_value(json_member(status, "metrics.requests_in_flight")) != count);
}

Test(swaps, head_that_comes_slowly_finishes_on_one_generation)
{
    needs_http1("half a head is no frame");
    struct gateway *gateway = gateway_start(CONSISTENT, 1, 1);
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\n");
    wait_in_flight(1);
    for (int i = 2; i < 5; i++) {
        swap_to(CONSISTENT, i, i);
        client_send(client, "X-Slow-%d: x\r\n", i);
    }
    client_send(client, "Host: a.test\r\n\r\n");
    struct message *response = client_response(client);
    expect_status(response, 200);
    expect_field(response, "x-generation", response->body);
    expect_number(log_entry(gateway, 0), "generation", atoi(response->body));
    expect_body(client_get(client, "a.test", "/"), "4");
    gateway_stop(gateway);
}

Test(swaps, thirty_generations_pass_by_a_tunnel_and_a_download)
{
    struct origin *origin = origin_start("one");
    uint64_t bytes = (uint64_t)30 * 256 * 1024;
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    origin_set_script(origin, "/down", origin_send_pattern, &bytes);
    struct long_lived *company =
        long_lived_start(&(struct long_lived_options){.gateway = gateway,
                                                      .sni = "a.test",
                                                      .host = "a.test",
                                                      .tunnels = 1,
                                                      .downloads = 1,
                                                      .pattern_bytes = bytes});
    for (int i = 2; i <= 31; i++) {
        /* Their route is gone, or leads elsewhere. */
        swap_to("{ @base, 'routes': { '%s': '127.0.0.1:1', 'x%d.test': '127.0.0.1:1' } }",
                i % 2 == 0 ? "b.test" : "a.test", i);
        long_lived_read_on(company, 128 * 1024);
        long_lived_wait(company);
    }
    expect_number(json_from(ask_admin("GET", "/status")->body), "generation", 31);
    long_lived_end(company);
    gateway_stop(gateway);
}

/* --- backends ------------------------------------------------------------------------------------
 */

#define SPLIT                                                                               \
    "{ @base, 'backends': { 'most': { 'servers': ['%s'] }, 'few': { 'servers': ['%s'] } }," \
    "  'routes': { 'x%d.test': '127.0.0.1:1', 'a.test': { 'to': { 'most': 3, 'few': 1 } } } }"

Test(swaps, shares_of_a_split_stay_exact)
{
    struct origin *most = origin_start("most"), *few = origin_start("few");
    struct gateway *gateway = gateway_start(SPLIT, origin_address(most), origin_address(few), 0);
    struct client *client = client_open(gateway, "a.test");

    for (int i = 1; i <= 8; i++) {
        expect_status(client_get(client, "a.test", "/"), 200);
        /* Also when nobody asks in a generation, as with renewals at night. */
        for (int k = 0; k < 2; k++)
            swap_to(SPLIT, origin_address(most), origin_address(few), 2 * i + k);
    }
    cr_assert_eq(origin_requests(most), 6, "%d of 8", origin_requests(most));
    cr_assert_eq(origin_requests(few), 2, "%d of 8", origin_requests(few));
    gateway_stop(gateway);
}

#define WEIGHTS                                                                         \
    "{ @base, 'backends': { 'b': { 'servers': [{ 'to': '%s', 'weight': 3 }, '%s'] } }," \
    "  'routes': { 'x%d.test': '127.0.0.1:1', 'a.test': 'b', 'b.test': ['%s', '%s'] } }"

Test(swaps, weights_of_servers_stay_exact)
{
    struct origin *three = origin_start("three"), *one = origin_start("one");
    const char *first = origin_address(three), *second = origin_address(one);
    struct gateway *gateway = gateway_start(WEIGHTS, first, second, 0, first, second);
    struct client *client = client_open(gateway, "a.test");

    for (int i = 1; i <= 8; i++) {
        expect_status(client_get(client, "a.test", "/"), 200);
        for (int k = 0; k < 2; k++)
            swap_to(WEIGHTS, first, second, 2 * i + k, first, second);
    }
    cr_assert_eq(origin_requests(three), 6, "%d of 8", origin_requests(three));
    for (int i = 1; i <= 4; i++) {
        expect_status(client_get(client, "b.test", "/"), 200);
        swap_to(WEIGHTS, first, second, 100 + i, first, second);
    }
    cr_assert_eq(origin_requests(three), 8, "%d", origin_requests(three));
    cr_assert_eq(origin_requests(one), 4, "%d", origin_requests(one));
    gateway_stop(gateway);
}

/* --- listeners -----------------------------------------------------------------------------------
 */

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

Test(swaps, plain_and_status_listeners_come_and_go)
{
    struct origin *origin = origin_start("one");
    const char *plain = workplace_free_address(), *status = workplace_free_address();
    static const char *const routes = "{ 'listen': { 'https': '127.0.0.1:0', %s"
                                      "    'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs',"
                                      "  'log': { 'access': 'off' }, 'routes': { '*': '%s' } }";
    struct gateway *gateway = gateway_start(routes, "", origin_address(origin));
    struct gate *gate = gate_new();

    origin_set_script(origin, "/slow", wait_then_tell, gate);
    swap_to(routes,
            text("'http': { 'bind': '%s', 'serve': 'routes' }, 'status': '%s',", plain, status),
            origin_address(origin));
    expect_status(ask_plain(status, "GET", "/readyz"), 200);
    struct client *client = client_open_plain(plain);
    expect_from(client_get(client, "a.test", "/"), "one");
    /* The same listener, told otherwise: open connections hear of it. */
    swap_to(routes, text("'http': { 'bind': '%s', 'https_port': 8443 },", plain),
            origin_address(origin));
    struct message *moved = client_get(client, "a.test", "/x");
    expect_status(moved, 308);
    expect_field(moved, "location", "https://a.test:8443/x");
    swap_to(routes, text("'http': { 'bind': '%s', 'serve': 'routes' },", plain),
            origin_address(origin));
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 2);
    swap_to(routes, "", origin_address(origin));
    long long start = monitor_now_ms();
    for (int fd; (fd = wire_dial(plain, false)) >= 0; close(fd))
        workplace_require(monitor_may_ask_again(start), "a removed listener still accepts");
    for (int fd; (fd = wire_dial(status, false)) >= 0; close(fd))
        workplace_require(monitor_may_ask_again(start), "a removed listener still accepts");
    gate_open(gate);
    expect_from(client_response(client), "one");
    gateway_stop(gateway);
}

/* --- logs ----------------------------------------------------------------------------------------
 */

#define LOGS "{ " LISTEN " 'certs': 'certs', 'log': { %s }, " ANSWER " }"

static void wait_file_says(const char *path, const char *words)
{
    long long start = monitor_now_ms();

    for (;;) {
        const char *bytes = workplace_read(path);
        if (bytes != NULL && strstr(bytes, words) != NULL)
            return;
        workplace_require(monitor_may_ask_again(start), "'%s' is not in %s", words, path);
    }
}

Test(swaps, access_log_to_a_file_and_back)
{
    struct gateway *gateway = gateway_start(LOGS, "");
    struct client *client = client_open(gateway, "a.test");
    const char *file = workplace_path("access.log");

    expect_body(client_get(client, "a.test", "/one?secret"), "ok");
    expect_string(log_entry(gateway, 0), "path", "/one");
    swap_to(LOGS, "'access': '@tmp/access.log', 'query': true");
    expect_body(client_get(client, "a.test", "/two?told"), "ok");
    wait_file_says(file, "/two?told");
    swap_to(LOGS, "'access': 'off'");
    expect_body(client_get(client, "a.test", "/nowhere"), "ok");
    swap_to(LOGS, "");
    expect_body(client_get(client, "a.test", "/three?secret"), "ok");
    json_t *entry = log_entry(gateway, 1);
    expect_string(entry, "path", "/three");
    expect_number(entry, "generation", 4);
    /* One that cannot be opened refuses the load, and nothing is lost of the old one. */
    gateway_rewrite(LOGS, "'access': '@tmp/none/access.log'");
    struct message *response = ask_admin("POST", "/reload");
    expect_status(response, 422);
    cr_assert_not_null(strstr(response->body, "log.access"));
    expect_body(client_get(client, "a.test", "/four"), "ok");
    expect_string(log_entry(gateway, 2), "path", "/four");
    gateway_stop(gateway);
    cr_assert_null(strstr(gateway_stdout(gateway), "/nowhere"));
    cr_assert_null(strstr(gateway_stdout(gateway), "secret"));
    cr_assert_null(strstr(workplace_read(file), "/nowhere"));
    cr_assert_null(strstr(workplace_read(file), "/three"));
}

Test(swaps, format_and_level_of_events)
{
    struct gateway *gateway = gateway_start(LOGS, "");

    swap_to(LOGS, "'format': 'json'");
    gateway_wait_stderr(gateway, "\"event\":\"reload\"", NULL);
    swap_to(LOGS, "'level': 'error'");
    swap_to(LOGS, "'query': true, 'level': 'error'"); /* says nothing of generation 4 */
    swap_to(LOGS, "'level': 'info'");
    gateway_wait_stderr(gateway, "generation 5", NULL);
    cr_assert_null(strstr(gateway_stderr(gateway), "generation 4"));
    gateway_stop(gateway);
}
