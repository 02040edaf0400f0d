/* PROXY protocol: from proxies in front, and to backends that want to know the client. */
#include "harness/background.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/proxy_header.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(proxy_protocol);

/* --- the gateway behind a proxy --------------------------------------------------------------- */

/* The second plain listener redirects. */
#define LISTEN(from)                                                                  \
    "'listen': { 'admin': 'unix:@tmp/admin.sock',"                                    \
    "  'https': { 'bind': '127.0.0.1:0', 'proxy_protocol': { 'from': [" from "] } }," \
    "  'http': [{ 'bind': '127.0.0.1:0', 'serve': 'routes',"                          \
    "             'proxy_protocol': { 'from': [" from "] } },"                        \
    "           { 'bind': '127.0.0.1:0', 'acme_webroot': 'acme',"                     \
    "             'proxy_protocol': { 'from': [" from "] } }] },"                     \
    " 'certs': 'certs', 'log': { 'format': 'json', 'level': 'debug' },"
#define FROM_LOOPBACK "'127.0.0.0/8'"
#define FROM_OTHERS   "'10.0.0.0/8', 'fd00::/8'"
enum { SERVES, REDIRECTS };

#define LINE "PROXY TCP4 203.0.113.7 203.0.113.9 4711 443\r\n"
#define GET  "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

static struct origin *origin;

static struct gateway *start_behind(const char *more)
{
    origin = origin_start("one");
    return gateway_start("{ " LISTEN(FROM_LOOPBACK) " %s 'routes': { 'a.test': '%s' } }", more,
                         origin_address(origin));
}

static struct client *open_plain(struct gateway *gateway, int place)
{
    return client_open_plain(gateway_address(gateway, "http", place));
}

static struct client *open_behind(struct gateway *gateway, const void *header, size_t length)
{
    struct client *client = client_open_plain(gateway_https(gateway));

    client_send_bytes(client, header, length);
    client_speak_tls(client, &(struct client_options){.sni = "a.test"});
    return client;
}

static void expect_client(struct message *seen, const char *ip, const char *port)
{
    expect_field(seen, "x-forwarded-for", ip);
    expect_field(seen, "x-forwarded-port", port);
}

static double count_of(const char *series)
{
    const char *page = ask_admin("GET", "/metrics")->body;
    const char *line = strstr(page, text("\n%s ", series));

    workplace_require(line != NULL, "no %s in\n%s", series, page);
    return strtod(line + strlen(series) + 2, NULL);
}

/* Counted a moment after the client has seen the end. */
static void await_count(double count, const char *series)
{
    long long start = monitor_now_ms();

    while (count_of(series) != count)
        workplace_require(monitor_may_ask_again(start), "%s is %g, not %g", series,
                          count_of(series), count);
}

static void await_refused(double count, const char *reason)
{
    await_count(count, text("sallyport_proxy_protocol_refused_total{reason=\"%s\"}", reason));
}

Test(proxy_protocol, line_in_front_of_tls)
{
    struct gateway *gateway = start_behind("");
    struct client *client = open_behind(gateway, LINE, strlen(LINE));

    expect_from(client_get(client, "a.test", "/x"), "one");
    expect_client(origin_request(origin, 0), "203.0.113.7", "443");
    expect_field(origin_request(origin, 0), "x-forwarded-proto", "https");
    expect_from(client_get(client, "a.test", "/y"), "one"); /* it is about the connection */
    expect_client(origin_request(origin, 1), "203.0.113.7", "443");
    expect_string(log_entry(gateway, 0), "client_ip", "203.0.113.7");
    expect_string(log_entry(gateway, 0), "peer_ip", "203.0.113.7");
    gateway_stop(gateway);
}

Test(proxy_protocol, binary_header_in_front_of_tls)
{
    struct gateway *gateway = start_behind("");
    char header[64];
    size_t length = proxy_header_make(header, "2001:db8::7", 4711, "2001:db8::9", 8443);

    expect_from(client_get(open_behind(gateway, header, length), "a.test", "/x"), "one");
    expect_client(origin_request(origin, 0), "2001:db8::7", "8443");
    length = proxy_header_make(header, "203.0.113.7", 1, "203.0.113.9", 65535);
    memcpy(header + length, "\x04\x00\x02zz", 5);
    header[15] = (char)(header[15] + 5);
    expect_from(client_get(open_behind(gateway, header, length + 5), "a.test", "/x"), "one");
    expect_client(origin_request(origin, 1), "203.0.113.7", "65535");
    gateway_stop(gateway);
}

/* In one segment with what follows it, and a byte at a time. */
Test(proxy_protocol, header_that_comes_with_more_or_in_pieces)
{
    struct gateway *gateway = start_behind("");
    struct client *client = client_open_plain(gateway_https(gateway));

    workplace_require(send(client->wire.fd, LINE, strlen(LINE), MSG_MORE) > 0, "cannot send");
    client_speak_tls(client, &(struct client_options){.sni = "a.test"});
    expect_from(client_get(client, "a.test", "/x"), "one");

    client = client_open_plain(gateway_https(gateway));
    client_send_slowly(client, LINE);
    client_speak_tls(client, &(struct client_options){.sni = "a.test"});
    expect_from(client_get(client, "a.test", "/x"), "one");

    client = open_plain(gateway, SERVES);
    client_send(client, LINE GET GET);
    expect_from(client_response(client), "one");
    expect_from(client_response(client), "one");

    client = open_plain(gateway, SERVES);
    client_send_slowly(client, LINE GET);
    expect_from(client_response(client), "one");

    char header[64];
    size_t length = proxy_header_make(header, "203.0.113.7", 4711, "203.0.113.9", 443);
    client = open_plain(gateway, SERVES);
    for (size_t i = 0; i < length; i++)
        client_send_bytes(client, header + i, 1);
    client_send(client, GET);
    expect_from(client_response(client), "one");
    for (int i = 0; i < 6; i++)
        expect_client(origin_request(origin, i), "203.0.113.7", "443");
    gateway_stop(gateway);
}

/* Each place where a header can be cut, with the rest a segment of its own. */
Test(proxy_protocol, header_cut_anywhere)
{
    struct gateway *gateway = start_behind("");

    for (size_t cut = 1; cut < strlen(LINE GET); cut++) {
        struct client *client = open_plain(gateway, SERVES);
        client_send_bytes(client, LINE GET, cut);
        client_send_bytes(client, &(LINE GET)[cut], strlen(LINE GET) - cut);
        expect_from(client_response(client), "one");
        client_close(client);
    }
    gateway_stop(gateway);
}

Test(proxy_protocol, connections_of_the_proxy_itself)
{
    struct gateway *gateway = start_behind("");
    const char *local = text("%d", gateway_port(gateway, "https"));
    char header[16];

    memcpy(header, signature, 12);
    memcpy(header + 12, "\x20\0\0\0", 4);
    expect_from(client_get(open_behind(gateway, header, 16), "a.test", "/x"), "one");
    expect_client(origin_request(origin, 0), "127.0.0.1", local);
    expect_from(client_get(open_behind(gateway, "PROXY UNKNOWN\r\n", 15), "a.test", "/x"), "one");
    expect_client(origin_request(origin, 1), "127.0.0.1", local);
    gateway_stop(gateway);
}

Test(proxy_protocol, redirects_and_challenges_behind_it)
{
    struct gateway *gateway = start_behind("");
    struct client *client = open_plain(gateway, REDIRECTS);

    workplace_make_folder("acme/.well-known/acme-challenge");
    workplace_write(workplace_path("acme/.well-known/acme-challenge/t"), "t.print", 7);
    client_send(client, LINE GET);
    struct message *response = client_response(client);
    expect_status(response, 308);
    expect_field(response, "location", "https://a.test/x");
    expect_body(client_get(client, "a.test", "/.well-known/acme-challenge/t"), "t.print");
    expect_string(log_entry(gateway, 1), "client_ip", "203.0.113.7");
    gateway_stop(gateway);
}

/* trusted_proxies are asked about the address in the header, not about who sent it. */
Test(proxy_protocol, trusted_proxies_are_those_behind_the_header)
{
    struct gateway *gateway = start_behind("'trusted_proxies': ['203.0.113.0/24'],");
    struct client *client = open_behind(gateway, LINE, strlen(LINE));

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
    expect_from(client_response(client), "one");
    expect_field(origin_request(origin, 0), "x-forwarded-for", "198.51.100.1, 203.0.113.7");
    expect_string(log_entry(gateway, 0), "client_ip", "198.51.100.1");
    expect_string(log_entry(gateway, 0), "peer_ip", "203.0.113.7");
    client = open_behind(gateway, "PROXY UNKNOWN\r\n", 15);
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
    expect_from(client_response(client), "one");
    expect_field(origin_request(origin, 1), "x-forwarded-for", "127.0.0.1");
    gateway_stop(gateway);
}

/* --- what is refused -------------------------------------------------------------------------- */

static const struct {
    const char *bytes, *reason;
} bad_headers[] = {
    {GET, "no_header"},
    {"\x16\x03\x01\x02", "no_header"},
    {"PROXY TCP4 203.0.113.7 203.0.113.9 4711 443 \r\n" GET, "malformed"},
    {"PROXY TCP4 203.0.113.07 203.0.113.9 4711 443\r\n" GET, "malformed"},
    {"PROXY TCP4 203.0.113.7 203.0.113.9 4711 443\n" GET, "malformed"},
    {"PROXY UNKNOWN ......................................................................."
     "..............................................................................",
     "too_long"},
};

/* Closed without a word, counted, said at debug; nothing of it reaches a backend. */
Test(proxy_protocol, required_from_the_proxies)
{
    struct gateway *gateway = start_behind("");
    int no_header = 0, malformed = 0, too_long = 0;

    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        const char *bytes = bad_headers[i].bytes, *reason = bad_headers[i].reason;
        struct client *clients[] = {open_plain(gateway, SERVES), open_plain(gateway, REDIRECTS),
                                    client_open_plain(gateway_https(gateway))};
        for (int c = 0; c < 3; c++) {
            client_send_bytes(clients[c], bytes, strlen(bytes));
            client_read_to_end(clients[c]);
            cr_assert_eq(wire_held(&clients[c]->wire), 0);
        }
        *(reason[0] == 'n' ? &no_header : reason[0] == 'm' ? &malformed : &too_long) += 3;
        gateway_wait_stderr(gateway, text("127.0.0.1: %s", reason), NULL);
    }
    await_refused(no_header, "no_header");
    await_refused(malformed, "malformed");
    await_refused(too_long, "too_long");
    struct client *client = client_try(gateway_https(gateway),
                                       &(struct client_options){.sni = "a.test"}); /* TLS at once */
    cr_assert_not(client != NULL && client->is_connected);
    await_refused(no_header + 1, "no_header");
    cr_assert_eq(origin_requests(origin), 0);
    gateway_stop(gateway);
}

Test(proxy_protocol, checksum_that_is_wrong)
{
    struct gateway *gateway = start_behind("");
    struct client *client = open_plain(gateway, SERVES);
    char header[64];
    size_t length = proxy_header_make(header, "203.0.113.7", 4711, "203.0.113.9", 443);

    memcpy(header + length, "\x03\x00\x04zzzz", 7);
    header[15] = (char)(header[15] + 7);
    client_send_bytes(client, header, length + 7);
    client_read_to_end(client);
    await_refused(1, "checksum");
    gateway_stop(gateway);
}

/* From others it is what it looks like: no TLS, no HTTP. They need none. */
Test(proxy_protocol, refused_from_others)
{
    origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ " LISTEN(FROM_OTHERS) " 'routes': { 'a.test': '%s' } }", origin_address(origin));
    char header[64];
    size_t length = proxy_header_make(header, "203.0.113.7", 4711, "203.0.113.9", 443);
    struct client *client = client_open_plain(gateway_https(gateway));

    client_send(client, LINE);
    client_read_to_end(client);
    client = client_open_plain(gateway_https(gateway));
    client_send_bytes(client, header, length);
    client_read_to_end(client);
    client = open_plain(gateway, SERVES);
    client_send(client, LINE GET);
    expect_status(client_response(client), 400);
    client = open_plain(gateway, SERVES);
    client_send_bytes(client, header, length);
    client_send(client, GET);
    expect_status(client_response(client), 400);
    cr_assert_eq(origin_requests(origin), 0);
    expect_from(fetch(gateway, "a.test", "/x"), "one");
    expect_client(origin_request(origin, 0), "127.0.0.1",
                  text("%d", gateway_port(gateway, "https")));
    await_refused(0, "no_header");
    gateway_stop(gateway);
}

/* A header says it once: a second one is the client's, and garbage. */
Test(proxy_protocol, second_header_is_garbage)
{
    struct gateway *gateway = start_behind("");
    struct client *client = open_plain(gateway, SERVES);

    client_send(client, LINE LINE GET);
    expect_status(client_response(client), 400);
    client = client_open_plain(gateway_https(gateway));
    client_send(client, LINE LINE);
    client_read_to_end(client);
    cr_assert_eq(origin_requests(origin), 0);
    gateway_stop(gateway);
}

/* One of each client behind the proxy, however many the proxy itself has. */
Test(proxy_protocol, limits_are_of_the_address_in_the_header)
{
    struct gateway *gateway =
        start_behind("'defaults': { 'limits': { 'connections_per_ip': 1 } },");
    struct client *first = open_plain(gateway, SERVES), *other = open_plain(gateway, SERVES);

    client_send(first, LINE GET);
    expect_from(client_response(first), "one");
    client_send(other, "PROXY TCP4 203.0.113.8 203.0.113.9 1 2\r\n" GET);
    expect_from(client_response(other), "one");
    struct client *third = open_plain(gateway, SERVES);
    client_send(third, LINE GET);
    expect_status(client_response(third), 503);
    struct client *under_tls = client_open_plain(gateway_https(gateway));
    client_send(under_tls, LINE);
    client_read_to_end(under_tls);
    await_count(2, "sallyport_connections_refused_total{reason=\"connections_per_ip\"}");
    client_close(first);
    await_count(1, "sallyport_connections{state=\"idle\"}");
    expect_from(client_get(open_behind(gateway, LINE, strlen(LINE)), "a.test", "/x"), "one");
    gateway_stop(gateway);
}

/* --- time ------------------------------------------------------------------------------------- */

#define SHORT "'defaults': { 'timeout': { 'handshake': '300ms' } },"
#define HANDSHAKES(result) \
    "sallyport_tls_handshakes_total{version=\"none\",resumed=\"false\",result=\"" result "\"}"

/* Whoever sends nothing, a piece, or drips, is closed at the deadline of the handshake. */
Test(proxy_protocol, header_that_never_ends)
{
    struct gateway *gateway = start_behind(SHORT);
    struct client *silent = client_open_plain(gateway_https(gateway));
    struct client *half = open_plain(gateway, SERVES), *dripping = open_plain(gateway, REDIRECTS);

    client_send(half, "PROXY TCP4 203");
    client_send(dripping, "PROXY UNKNOWN ");
    /* A byte whenever the gateway has said nothing for a moment. */
    struct pollfd end = {.fd = dripping->wire.fd, .events = POLLIN};
    for (int i = 0; i < 80 && poll(&end, 1, 50) == 0; i++)
        wire_write(&dripping->wire, "x", 1);
    client_read_to_end(dripping);
    client_read_to_end(silent);
    client_read_to_end(half);
    await_refused(3, "timeout");
    gateway_stop(gateway);
}

/* One deadline is for both. */
Test(proxy_protocol, handshake_that_never_comes)
{
    struct gateway *gateway = start_behind(SHORT);
    struct client *client = client_open_plain(gateway_https(gateway));

    client_send(client, LINE);
    client_read_to_end(client);
    await_count(1, HANDSHAKES("timeout"));
    await_refused(0, "timeout");
    gateway_stop(gateway);
}

/* Health checks of the proxies connect and leave, in order or not; ours do, too. */
Test(proxy_protocol, leaving_without_a_word_is_no_mistake)
{
    struct gateway *gateway = start_behind("");

    client_close(client_open_plain(gateway_https(gateway)));
    client_close(open_plain(gateway, SERVES));
    await_count(1, HANDSHAKES("silent"));
    wire_reset(&client_open_plain(gateway_https(gateway))->wire);
    await_count(2, HANDSHAKES("silent"));
    struct client *client = open_plain(gateway, SERVES);
    client_send(client, "PROXY TCP4 203");
    client_close(client);
    await_refused(1, "cut"); /* but for this one */
    cr_assert_null(strstr(gateway_stderr(gateway), "no_header"));
    gateway_stop(gateway);
}

Test(proxy_protocol, our_own_healthcheck)
{
    struct gateway *gateway = gateway_start(
        "{ 'certs': 'certs', 'routes': { '*': { 'respond': {} } }, 'listen': { 'admin': 'off',"
        "  'https': { 'bind': '%s', 'proxy_protocol': { 'from': ['127.0.0.0/8'] } } } }",
        workplace_free_address());

    command_expect(SALLYPORT("healthcheck", "-c", workplace_path("routes.json")), 0);
    gateway_stop(gateway);
}

/* --- reload ----------------------------------------------------------------------------------- */

static void listen_behind(const char *address, const char *proxies)
{
    gateway_rewrite("{ 'certs': 'certs', 'log': { 'format': 'json' },"
                    "  'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
                    "  'http': { 'bind': '%s', 'serve': 'routes' %s } },"
                    "  'routes': { 'a.test': '%s' } }",
                    address, proxies, origin_address(origin));
}

/* The listener stays, new connections are held to the newest, and old ones go on as they are. */
Test(proxy_protocol, reload_switches_it_on_and_off)
{
    const char *address = workplace_free_address();

    origin = origin_start("one");
    listen_behind(address, "");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = workplace_path("routes.json")});
    struct client *before = client_open_plain(address);
    expect_from(client_get(before, "a.test", "/x"), "one");

    listen_behind(address, ", 'proxy_protocol': { 'from': ['127.0.0.0/8'] }");
    expect_status(ask_admin("POST", "/reload"), 200);
    struct client *behind = client_open_plain(address), *bare = client_open_plain(address);
    client_send(behind, LINE GET);
    expect_from(client_response(behind), "one");
    expect_field(origin_last_request(origin), "x-forwarded-for", "203.0.113.7");
    client_send(bare, GET);
    client_read_to_end(bare);
    cr_assert_eq(wire_held(&bare->wire), 0);
    expect_from(client_get(before, "a.test", "/y"), "one");
    expect_field(origin_last_request(origin), "x-forwarded-for", "127.0.0.1");

    struct client *waiting = client_open_plain(address);
    client_send(waiting, "PROXY TCP4 203.0.113.8 ");
    await_count(1, "sallyport_connections{state=\"handshaking\"}");
    listen_behind(address, "");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_from(client_get(client_open_plain(address), "a.test", "/z"), "one");
    client_send(waiting, "203.0.113.9 1 2\r\n" GET);
    expect_from(client_response(waiting), "one");
    expect_field(origin_last_request(origin), "x-forwarded-for", "203.0.113.8");
    expect_from(client_get(behind, "a.test", "/x"), "one");
    expect_field(origin_last_request(origin), "x-forwarded-for", "203.0.113.7");
    gateway_stop(gateway);
}

static char *write_two(const char *name, const char *serves, const char *redirects, int status)
{
    return route_file(name,
                      "{ 'certs': 'certs', 'listen': { 'https': '127.0.0.1:0',"
                      "  'admin': 'unix:@tmp/admin.sock', 'http': ["
                      "  { 'bind': '%s', 'serve': 'routes' },"
                      "  { 'bind': '%s', 'proxy_protocol': { 'from': ['127.0.0.0/8'] } }] },"
                      "  'routes': { 'a.test': { 'respond': { 'status': %d } } } }",
                      serves, redirects, status);
}

/* The port in the header is the proxy's: what a listener does is remembered of the listener's own.
 */
Test(proxy_protocol, recent_requests_are_those_of_the_listener)
{
    const char *serves = workplace_free_address(), *redirects = workplace_free_address();
    struct gateway *gateway = gateway_start_with(
        &(struct gateway_options){.routes = write_two("routes.json", serves, redirects, 200)});
    struct client *client = client_open_plain(redirects);

    client_send(client, LINE GET);
    expect_status(client_response(client), 308);
    struct command *diff =
        SALLYPORT("diff", "--admin", text("unix:%s", workplace_path("admin.sock")),
                  write_two("new.json", serves, redirects, 404));
    command_expect(diff, 4);
    command_says(diff, "none of the 1 most recent requests would be answered differently");
    gateway_stop(gateway);
}

/* --- to backends ------------------------------------------------------------------------------ */

#define TO_BACKEND(more)                                                                   \
    "{ @base, %s 'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': [%s], " more \
    " 'proxy_protocol': 'v2' } } }"

/* "127.0.0.1:PORT" of our end. */
static char *own_address(const struct client *client)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    getsockname(client->wire.fd, (struct sockaddr *)&address, &length);
    return text("127.0.0.1:%d", ntohs(address.sin_port));
}

Test(proxy_protocol, backend_is_told_the_client)
{
    origin = origin_start("one");
    struct gateway *gateway =
        gateway_start(TO_BACKEND(""), "", text("'%s'", origin_address(origin)));
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 3; i++) {
        expect_from(client_get(client, "a.test", "/x"), "one");
        struct message *seen = origin_request(origin, i);
        cr_assert_str_eq(seen->told, text("%s > 127.0.0.1:%d", own_address(client),
                                          gateway_port(gateway, "https")));
        cr_assert_eq(seen->connection, i); /* no connection is used twice */
        expect_field(seen, "x-forwarded-for", "127.0.0.1");
    }
    client_send(client, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody");
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_finished_request(origin, 3)->body, "body");
    origin_wait_open_connections(origin, 0);
    gateway_stop(gateway);
}

/* Of those that share a proxy's connection, each is told by its own address, without a port. */
Test(proxy_protocol, backend_is_told_client_ip)
{
    origin = origin_start("one");
    struct gateway *gateway = gateway_start(TO_BACKEND(""), "'trusted_proxies': ['127.0.0.1'],",
                                            text("'%s'", origin_address(origin)));
    struct client *client = client_open(gateway, "a.test");
    int port = gateway_port(gateway, "https");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n");
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_request(origin, 0)->told, text("203.0.113.7:0 > 127.0.0.1:%d", port));
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 2001:db8::7\r\n\r\n");
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_request(origin, 1)->told,
                     text("[2001:db8::7]:0 > [::ffff:127.0.0.1]:%d", port));
    gateway_stop(gateway);
}

Test(proxy_protocol, from_proxy_to_backend)
{
    origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ " LISTEN(
            FROM_LOOPBACK) " 'routes': { 'a.test': 'b' },"
                           "  'backends': { 'b': { 'servers': '%s', 'proxy_protocol': 'v2' } } }",
        origin_address(origin));
    struct client *client = open_plain(gateway, SERVES);

    client_send(client, LINE GET);
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_request(origin, 0)->told, "203.0.113.7:4711 > 203.0.113.9:443");
    gateway_stop(gateway);
}

Test(proxy_protocol, next_server_is_told_as_well)
{
    origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        TO_BACKEND(""), "", text("'%s', '%s'", workplace_free_address(), origin_address(origin)));

    for (int i = 0; i < 2; i++) {
        expect_from(fetch(gateway, "a.test", "/x"), "one");
        cr_assert_neq(origin_request(origin, i)->told[0], '\0');
    }
    gateway_stop(gateway);
}

Test(proxy_protocol, tunnel_begins_with_it)
{
    origin = origin_start("one");
    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct gateway *gateway =
        gateway_start(TO_BACKEND(""), "", text("'%s'", origin_address(origin)));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\n\r\nhello");
    cr_assert_eq(client_response(client)->status, 101);
    while (wire_held(&client->wire) < 5)
        workplace_require(wire_fill(&client->wire), "the tunnel is gone");
    cr_assert_eq(memcmp(wire_bytes(&client->wire), "hello", 5), 0);
    cr_assert_eq(
        strncmp(origin_request(origin, 0)->told, own_address(client), strlen(own_address(client))),
        0);
    gateway_stop(gateway);
}

static void write_backend(const char *settings)
{
    gateway_rewrite("{ @base, 'routes': { 'a.test': 'b' },"
                    "  'backends': { 'b': { 'servers': ['%s'] %s } } }",
                    origin_address(origin), settings);
}

/* Connections of one way of talking are never used for the other. */
Test(proxy_protocol, reload_changes_what_a_backend_is_told)
{
    origin = origin_start("one");
    write_backend("");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = workplace_path("routes.json")});
    struct client *client = client_open(gateway, "a.test");

    for (int round = 0; round < 3; round++) {
        write_backend("");
        expect_status(ask_admin("POST", "/reload"), 200);
        for (int i = 0; i < 2; i++) {
            expect_from(client_get(client, "a.test", "/x"), "one");
            cr_assert_str_eq(origin_last_request(origin)->told, "");
            cr_assert_eq(origin_last_request(origin)->place, i); /* kept */
        }
        write_backend(", 'proxy_protocol': 'v2'");
        expect_status(ask_admin("POST", "/reload"), 200);
        for (int i = 0; i < 2; i++) {
            expect_from(client_get(client, "a.test", "/x"), "one");
            cr_assert_neq(origin_last_request(origin)->told[0], '\0');
            cr_assert_eq(origin_last_request(origin)->place, 0);
        }
    }
    gateway_stop(gateway);
}

/* What is out while it changes does not come back into use. */
Test(proxy_protocol, reload_while_a_request_is_out)
{
    origin = origin_start("one");
    write_backend(", 'proxy_protocol': 'v2'");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = workplace_path("routes.json")});
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbo");
    origin_wait_requests(origin, 1);
    write_backend("");
    expect_status(ask_admin("POST", "/reload"), 200);
    client_send(client, "dy");
    expect_from(client_response(client), "one");
    origin_wait_open_connections(origin, 0);
    gateway_stop(gateway);
}

/* --- others' programs ------------------------------------------------------------------------- */

static bool is_missing(const char *program)
{
    if (command_exists(program))
        return false;
    fprintf(stderr, "skipped: %s is not installed (scripts/setup proxy)\n", program);
    return true;
}

static void start_haproxy(const char *address, const char *config)
{
    const char *path = workplace_path("haproxy.cfg");
    const char *const argv[] = {"haproxy", "-db", "-f", path, NULL};

    workplace_write(path, config, strlen(config));
    background_wait_address(background_start(argv, (const char *const[]){NULL}), address);
}

#define HAPROXY(mode) \
    "defaults\n mode " mode "\n timeout connect 30s\n timeout client 30s\n timeout server 30s\n"

static void pass_through_haproxy(const char *option)
{
    struct gateway *gateway = start_behind("");
    const char *address = workplace_free_address();
    const char *port = strchr(address, ':') + 1;

    start_haproxy(address, text(HAPROXY("tcp") "listen front\n bind %s\n server gateway %s %s\n",
                                address, gateway_https(gateway), option));
    struct command *curl = COMMAND("curl", "-sS", "--noproxy", "*", "--interface", "127.0.0.9",
                                   "--cacert", workplace_path("ca.pem"), "--connect-to",
                                   text("::%s", address), "https://a.test/x");
    command_expect(curl, 0);
    cr_assert_eq(strncmp(curl->out, "one\n", 4), 0);
    expect_client(origin_request(origin, 0), "127.0.0.9", port);
    gateway_stop(gateway);
}

Test(proxy_protocol, haproxy_in_front)
{
    if (is_missing("haproxy"))
        return;
    pass_through_haproxy("send-proxy");
}

Test(proxy_protocol, haproxy_in_front_with_version_2)
{
    if (is_missing("haproxy"))
        return;
    /* Its health checks are LOCAL. */
    pass_through_haproxy("send-proxy-v2 check inter 50ms proxy-v2-options crc32c,unique-id");
}

Test(proxy_protocol, haproxy_behind)
{
    const char *address = workplace_free_address();

    if (is_missing("haproxy"))
        return;
    start_haproxy(address, text(HAPROXY("http") "frontend back\n bind %s accept-proxy\n"
                                                " http-request return status 200 content-type "
                                                "text/plain lf-string \"%%[src]:%%[src_port] > "
                                                "%%[dst]:%%[dst_port]\"\n",
                                address));
    struct gateway *gateway = gateway_start(TO_BACKEND(""), "", text("'%s'", address));
    struct client *client = client_open(gateway, "a.test");
    for (int i = 0; i < 2; i++)
        expect_body(client_get(client, "a.test", "/"),
                    text("%s > 127.0.0.1:%d", own_address(client), gateway_port(gateway, "https")));
    gateway_stop(gateway);
}

Test(proxy_protocol, curl_as_the_proxy)
{
    struct gateway *gateway = start_behind("");
    struct command *curl = COMMAND("curl", "-sS", "--noproxy", "*", "--haproxy-protocol",
                                   "--cacert", workplace_path("ca.pem"), "--connect-to",
                                   text("::%s", gateway_https(gateway)), "https://a.test/x");

    command_expect(curl, 0);
    cr_assert_eq(strncmp(curl->out, "one\n", 4), 0);
    gateway_stop(gateway);
}
