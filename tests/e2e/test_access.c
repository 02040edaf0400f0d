/* `allow` and `deny`, `hsts`: who may come, and what browsers are told. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(access);

#define PLAIN                                                                                \
    "'certs': 'certs', 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock'," \
    " 'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' } }, 'log': { 'format': 'json' }"

/* --- allow and deny -----------------------------------------------------------------------------
 */

/* As a trusted proxy says who the client is. */
static struct message *fetch_for(struct client *client, const char *host, const char *ip)
{
    client_send(client, "GET / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\n\r\n", host, ip);
    return client_response(client);
}

static void expect_metric(const char *line)
{
    struct message *page = ask_admin("GET", "/metrics");

    cr_assert(strstr(page->body, line), "no %s in\n%s", line, page->body);
}

Test(access, the_longest_network_decides)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'trusted_proxies': ['127.0.0.1'], 'defaults': { 'deny': ['10.0.0.0/8'] },"
        "  'routes': { 'a.test': '%s', 'b.test': { 'to': '%s', 'allow': ['10.1.0.0/16', "
        "    '2001:db8::/32'] }, 'c.test': { 'to': '%s', 'allow': [], 'deny': null } } }",
        origin_address(origin), origin_address(origin), origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    expect_from(fetch_for(client, "a.test", "11.0.0.1"), "one");
    expect_refusal(fetch_for(client, "a.test", "10.0.0.1"), 403, "denied");
    expect_refusal(fetch_for(client, "a.test", "::ffff:10.0.0.1"), 403, "denied");
    expect_from(fetch_for(client, "b.test", "10.1.2.3"), "one");
    expect_from(fetch_for(client, "b.test", "2001:db8::1"), "one");
    expect_refusal(fetch_for(client, "b.test", "10.2.0.1"), 403, "denied");
    expect_refusal(fetch_for(client, "b.test", "2001:db9::1"), 403, "denied");
    expect_refusal(fetch_for(client, "c.test", "11.0.0.1"), 403, "denied");
    expect_refusal(fetch_for(client, "c.test", "::1"), 403, "denied");
    cr_assert_eq(origin_requests(origin), 3);
    json_t *entry = log_entry_with(gateway, "client_ip", "10.2.0.1");
    expect_number(entry, "status", 403);
    expect_string(entry, "reason", "denied");
    expect_string(entry, "route", "b.test");
    expect_metric("sallyport_policy_decisions_total{policy=\"deny\",route=\"a.test\","
                  "outcome=\"refused\"} 2\n");
    expect_metric("sallyport_policy_decisions_total{policy=\"allow\",route=\"b.test\","
                  "outcome=\"allowed\"} 2\n");
    expect_metric("sallyport_policy_decisions_total{policy=\"allow\",route=\"b.test\","
                  "outcome=\"refused\"} 2\n");
    client_close(client);
    gateway_stop(gateway);
}

/* What a client says of itself is no address; and a denied one is refused before its body comes. */
Test(access, who_is_not_trusted_is_the_peer)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'allow': ['10.0.0.0/8'] },"
        "                     'b.test': { 'respond': { 'body': 'hello' }, 'deny': ['::1'] } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    expect_refusal(fetch_for(client, "a.test", "10.0.0.1"), 403, "denied");
    expect_body(fetch_for(client, "b.test", "::1"), "hello");
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_refusal(client_response(client), 403, "denied");
    cr_assert_eq(origin_requests(origin), 0);
    client_close(client);
    gateway_stop(gateway);
}

/* The lists of the next request are the newest ones. */
Test(access, lists_change_by_a_reload)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'hello' }, "
                      "'deny': ['127.0.0.0/8'] } } }");
    struct client *client = client_open(gateway, "a.test");

    expect_refusal(client_get(client, "a.test", "/"), 403, "denied");
    gateway_rewrite("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'hello' }, "
                    "'deny': ['127.0.0.0/8'], 'allow': ['127.0.0.1'] } } }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_body(client_get(client, "a.test", "/"), "hello");
    client_close(client);
    gateway_stop(gateway);
}

/* --- hsts ---------------------------------------------------------------------------------------
 */

static void expect_hsts(const struct message *response, const char *value)
{
    expect_field(response, "strict-transport-security", value);
    cr_assert_eq(field_count(&response->fields, "strict-transport-security"), 1);
}

#define HSTS_ROUTES                                                                        \
    "'defaults': { 'hsts': '1y; includeSubDomains' }, 'routes': { 'a.test': { 'paths': {"  \
    "  '/': '%s', '/gone': 'unix:@tmp/nobody', '/redirect': { 'redirect': '/' },"          \
    "  '/respond': { 'respond': {} }, '/denied': { 'respond': {}, 'allow': [] },"          \
    "  '/zero': { 'respond': {}, 'hsts': '0s' }, '/off': { 'respond': {}, 'hsts': null }," \
    "  '/removed': { 'respond': {}, 'headers': { 'response': { 'remove': "                 \
    "      ['Strict-Transport-Security'] } } } } } }"

Test(access, hsts_stands_in_every_answer_over_tls)
{
    static const char value[] = "max-age=31536000; includeSubDomains";
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start("{ @base, " HSTS_ROUTES " }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/own",
                     "HTTP/1.1 404 Not Found\r\nstrict-transport-security: max-age=1\r\n"
                     "Strict-Transport-Security: max-age=2; preload\r\nContent-Length: 0\r\n\r\n");
    expect_hsts(client_get(client, "a.test", "/x"), value);
    struct message *response = client_get(client, "a.test", "/own");
    expect_status(response, 404);
    expect_hsts(response, value);
    response = client_get(client, "a.test", "/gone");
    expect_status(response, 502);
    expect_hsts(response, value);
    response = client_get(client, "a.test", "/redirect");
    expect_status(response, 308);
    expect_hsts(response, value);
    expect_hsts(client_get(client, "a.test", "/respond"), value);
    response = client_get(client, "a.test", "/denied");
    expect_refusal(response, 403, "denied");
    expect_hsts(response, value);
    expect_hsts(client_get(client, "a.test", "/zero"), "max-age=0");
    expect_no_field(client_get(client, "a.test", "/off"), "strict-transport-security");
    expect_no_field(client_get(client, "a.test", "/removed"), "strict-transport-security");
    client_close(client);
    gateway_stop(gateway);
}

/* RFC 6797 section 7.2. What a backend says there is its own. */
Test(access, hsts_is_never_said_over_plaintext)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ " PLAIN ", " HSTS_ROUTES " }", origin_address(origin));
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));
    static const char *const paths[] = {"/x", "/gone", "/redirect", "/respond", "/denied"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect_no_field(client_get(client, "a.test", paths[i]), "strict-transport-security");
    client_close(client);
    gateway_stop(gateway);
}
