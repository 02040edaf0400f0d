/* `rate_limit`: who is counted with whom, what a client is told, and that counts outlive reloads.
 * Limits of a day or an hour here: no test takes so long that one more request would pass. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(rate_limits);

#define RESPOND "'respond': { 'body': 'ok' }"

static struct client *client;

/* With two workers, whichever a connection comes to. */
static struct gateway *start(const char *members)
{
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes =
            route_file("routes.json", "{ @base, 'trusted_proxies': ['127.0.0.0/8'], %s }", members),
        .workers = 2});

    client = client_open(gateway, "a.test");
    return gateway;
}

/* Without anybody whom it would have to wait for. */
static void stop(struct gateway *gateway)
{
    client_close(client);
    gateway_stop(gateway);
}

static void reload(const char *members)
{
    gateway_rewrite("{ @base, 'trusted_proxies': ['127.0.0.0/8'], %s }", members);
    expect_status(ask_admin("POST", "/reload"), 200);
}

/* `fields` end with CRLF each. */
static struct message *ask(const char *host, const char *path, const char *fields)
{
    client_send(client, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, fields);
    return client_response(client);
}

static void expect_passes(int count, const char *host, const char *path, const char *fields)
{
    for (int i = 0; i < count; i++)
        expect_body(ask(host, path, fields), "ok");
}

static void expect_limited(const char *host, const char *path, const char *fields)
{
    expect_refusal(ask(host, path, fields), 429, "rate_limited");
}

/* 0: never. */
static void expect_counted(const char *outcome, int count)
{
    struct message *response = ask_admin("GET", "/metrics");
    const char *series = text(
        "sallyport_policy_decisions_total{policy=\"rate_limit\",route=\"a.test\",outcome=\"%s\"} ",
        outcome);
    const char *line = strstr(response->body, series);

    workplace_require((line != NULL ? atoi(line + strlen(series)) : 0) == count, "not %d %s in\n%s",
                      count, outcome, strstr(response->body, "sallyport_policy"));
}

Test(rate_limits, what_a_client_is_told)
{
    struct gateway *gateway =
        start("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '100/d per ip burst 3' } }");
    struct message *response = ask("a.test", "/", "");

    expect_body(response, "ok");
    expect_field(response, "RateLimit-Policy", "\"ip\";q=3;w=2592");
    expect_field(response, "RateLimit", "\"ip\";r=2;t=864");
    expect_no_field(response, "Retry-After");
    expect_passes(2, "a.test", "/", "");
    response = ask("a.test", "/", "Accept: application/json\r\n");
    expect_refusal(response, 429, "rate_limited");
    expect_field(response, "RateLimit-Policy", "\"ip\";q=3;w=2592");
    workplace_require(strncmp(message_field(response, "RateLimit"), "\"ip\";r=0;t=25", 13) == 0,
                      "RateLimit: %s", message_field(response, "RateLimit"));
    long wait = atol(message_field(response, "Retry-After"));
    workplace_require(wait > 864 - 240 && wait <= 864, "Retry-After: %ld", wait);
    expect_string(log_entry(gateway, 3), "reason", "rate_limited");
    expect_counted("allowed", 3);
    expect_counted("refused", 1);
    stop(gateway);
}

Test(rate_limits, of_an_address)
{
    struct gateway *gateway = start("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '2/d' } }");

    expect_passes(2, "a.test", "/", "");
    expect_limited("a.test", "/", "");
    expect_passes(2, "a.test", "/", "X-Forwarded-For: 192.0.2.1\r\n");
    expect_limited("a.test", "/", "X-Forwarded-For: ::ffff:192.0.2.1\r\n");
    expect_passes(1, "a.test", "/", "X-Forwarded-For: 192.0.2.2\r\n");
    expect_passes(1, "a.test", "/", "X-Forwarded-For: 2001:db8:1:2::1\r\n");
    expect_passes(1, "a.test", "/", "X-Forwarded-For: 2001:db8:1:2:ffff:1:2:3\r\n");
    expect_limited("a.test", "/", "X-Forwarded-For: 2001:db8:1:2::9\r\n");
    expect_passes(1, "a.test", "/", "X-Forwarded-For: 2001:db8:1:3::1\r\n");
    stop(gateway);
}

Test(rate_limits, of_a_header_or_a_cookie)
{
    struct gateway *gateway =
        start("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '2/d per header:X-Api-Key' },"
              "            'b.test': { " RESPOND ", 'rate_limit': '2/d per cookie:id' } }");

    expect_passes(2, "a.test", "/", "X-Api-Key: one\r\n");
    expect_limited("a.test", "/", "x-api-key: one\r\n");
    expect_passes(2, "a.test", "/", "X-Api-Key: two\r\n");
    expect_passes(1, "a.test", "/", "");
    /* Nobody knows which of them counts. */
    expect_passes(1, "a.test", "/", "X-Api-Key: one\r\nX-Api-Key: three\r\n");
    expect_limited("a.test", "/", "X-Api-Key: four\r\nX-Api-Key: one\r\n");
    expect_limited("a.test", "/", "X-Api-Key:\r\n");
    expect_passes(2, "b.test", "/", "Cookie: a=b; id=1\r\n");
    expect_limited("b.test", "/", "Cookie: id=1; a=b\r\n");
    expect_passes(2, "b.test", "/", "Cookie: ID=1\r\n");
    expect_limited("b.test", "/", "");
    stop(gateway);
}

static struct client *open_as(struct gateway *gateway, const struct cert *cert)
{
    struct client_options options = {.sni = "a.test", .cert = cert};

    return client_open_with(gateway_https(gateway), &options);
}

Test(rate_limits, of_a_client_certificate)
{
    struct cert *ca =
        cert_make(&(struct cert_options){.subject = "ca", .is_authority = true, .is_root = true});
    struct cert *one =
        cert_make(&(struct cert_options){.subject = "one", .purpose = "clientAuth", .issuer = ca});
    struct cert *two =
        cert_make(&(struct cert_options){.subject = "two", .purpose = "clientAuth", .issuer = ca});

    cert_write_alone(ca, workplace_path("ca.pem"));
    struct gateway *gateway =
        start("'tls': { 'client_ca': '@tmp/ca.pem', 'client_auth': 'request' },"
              "'routes': { 'a.test': { " RESPOND ", 'rate_limit': '2/d per client_cert' } }");
    expect_passes(1, "a.test", "/", "");
    client_close(client);
    client = open_as(gateway, one);
    expect_passes(1, "a.test", "/", "");
    client_close(client);
    client = open_as(gateway, one);
    expect_passes(1, "a.test", "/", "X-Forwarded-For: 192.0.2.1\r\n");
    expect_limited("a.test", "/", "");
    client_close(client);
    client = open_as(gateway, two);
    expect_passes(2, "a.test", "/", "");
    expect_limited("a.test", "/", "");
    client_close(client);
    client = open_as(gateway, NULL);
    expect_passes(1, "a.test", "/", "");
    expect_limited("a.test", "/", "");
    stop(gateway);
}

Test(rate_limits, of_a_route)
{
    struct gateway *gateway = start(
        "'defaults': { 'rate_limit': { 'rate': '2/d', 'key': 'route' } },"
        "'routes': { 'a.test': { 'paths': { '/x': { " RESPOND " }, '/y': { " RESPOND " } } } }");

    expect_passes(1, "a.test", "/x", "X-Forwarded-For: 192.0.2.1\r\n");
    expect_passes(1, "a.test", "/x/1", "X-Forwarded-For: 192.0.2.2\r\n");
    expect_limited("a.test", "/x", "X-Forwarded-For: 192.0.2.3\r\n");
    expect_passes(2, "a.test", "/y", "");
    expect_limited("a.test", "/y", "");
    stop(gateway);
}

Test(rate_limits, one_count_for_all_that_inherit_it)
{
    struct gateway *gateway =
        start("'defaults': { 'rate_limit': '3/d' },"
              "'routes': { 'a.test': { 'rate_limit': '2/d', 'paths': { '/': { " RESPOND
              " }, '/x': { " RESPOND " },"
              "              '/own': { " RESPOND ", 'rate_limit': '1/d' },"
              "              '/free': { " RESPOND ", 'rate_limit': null } } },"
              "            'b.test': { " RESPOND " }, '*': { " RESPOND " } }");

    expect_passes(1, "a.test", "/", "");
    expect_passes(1, "a.test", "/x", "");
    expect_limited("a.test", "/", "");
    expect_limited("a.test", "/x", "");
    expect_passes(1, "a.test", "/own", "");
    expect_limited("a.test", "/own", "");
    expect_passes(5, "a.test", "/free", "");
    expect_no_field(ask("a.test", "/free", ""), "RateLimit");
    expect_passes(2, "b.test", "/", "");
    expect_passes(1, "a.test.", "/free", "");
    client_send(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_body(client_response(client), "ok");
    expect_limited("b.test", "/", "");
    stop(gateway);
}

Test(rate_limits, of_a_list_all_must_pass)
{
    struct gateway *gateway = start("'routes': { 'a.test': { " RESPOND ", 'rate_limit': ["
                                    "  '2/h per header:X-Api-Key', { 'rate': '4/d', 'key': 'route' "
                                    "}, '9/d per header:X-Other' ] } }");
    struct message *response = ask("a.test", "/", "X-Api-Key: one\r\n");

    expect_field(response, "RateLimit-Policy",
                 "\"header\";q=2;w=3600, \"route\";q=4;w=86400, \"header-2\";q=9;w=86400");
    expect_field(response, "RateLimit",
                 "\"header\";r=1;t=1800, \"route\";r=3;t=21600, \"header-2\";r=8;t=9600");
    expect_passes(1, "a.test", "/", "X-Api-Key: one\r\n");
    /* What one refuses is not charged to the others. */
    for (int i = 0; i < 5; i++)
        expect_limited("a.test", "/", "X-Api-Key: one\r\n");
    expect_passes(2, "a.test", "/", "X-Api-Key: two\r\n");
    expect_limited("a.test", "/", "X-Api-Key: three\r\n");
    stop(gateway);
}

Test(rate_limits, that_only_counts)
{
    struct gateway *gateway = start("'routes': { 'a.test': { " RESPOND
                                    ", 'rate_limit': { 'rate': '2/d', 'enforce': false } } }");
    struct message *response;

    for (int i = 0; i < 5; i++) {
        response = ask("a.test", "/", "");
        expect_body(response, "ok");
        expect_no_field(response, "RateLimit");
        expect_no_field(response, "RateLimit-Policy");
    }
    expect_counted("allowed", 2);
    expect_counted("counted", 3);
    expect_counted("refused", 0);
    stop(gateway);
}

Test(rate_limits, outlive_reloads)
{
    struct gateway *gateway = start("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '4/d' } }");

    expect_passes(2, "a.test", "/", "");
    reload("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '4/d' }, 'b.test': 'x:1' }");
    expect_passes(1, "a.test", "/", "");
    /* A rate that is another goes on with what was used: three of four are six of eight. */
    reload("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '8/d' } }");
    expect_passes(2, "a.test", "/", "");
    expect_limited("a.test", "/", "");
    reload("'routes': { 'a.test': { " RESPOND " } }");
    expect_passes(3, "a.test", "/", "");
    reload("'routes': { 'a.test': { " RESPOND ", 'rate_limit': '8/d' } }");
    expect_limited("a.test", "/", "");
    stop(gateway);
}

Test(rate_limits, what_is_refused_never_reaches_a_backend)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start(text("'backends': { 'b': { 'servers': ['%s'], 'rate_limit': '2/d' } },"
                   "'routes': { 'a.test': 'b', 'b.test': { 'redirect': 'https://a.test{uri}', "
                   "'rate_limit': '1/d' } }",
                   origin_address(origin)));
    struct message *response = ask("a.test", "/", "");

    expect_from(response, "one");
    expect_field(response, "RateLimit", "\"ip\";r=1;t=43200");
    expect_from(ask("a.test", "/", ""), "one");
    expect_limited("a.test", "/", "");
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_refusal(client_response_to(client, "POST"), 429, "rate_limited");
    expect_status(ask("b.test", "/", ""), 308);
    expect_limited("b.test", "/", "");
    workplace_require(origin_requests(origin) == 2, "%d requests came to the backend",
                      origin_requests(origin));
    stop(gateway);
}

/* What is kept says nothing of whom it was fetched for. */
Test(rate_limits, what_is_kept_is_limited_too)
{
    struct origin *origin = origin_start("one");

    origin_set_reply(
        origin, "/",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 2\r\n\r\nok");
    struct gateway *gateway =
        start(text("'routes': { 'a.test': { 'to': '%s', 'cache': { 'size': '1MiB' }, "
                   "'rate_limit': '2/d' } }",
                   origin_address(origin)));

    expect_field(ask("a.test", "/", ""), "RateLimit", "\"ip\";r=1;t=43200");
    expect_field(ask("a.test", "/", ""), "RateLimit", "\"ip\";r=0;t=86400");
    expect_limited("a.test", "/", "");
    expect_field(ask("a.test", "/", "X-Forwarded-For: 192.0.2.1\r\n"), "RateLimit",
                 "\"ip\";r=1;t=43200");
    workplace_require(origin_requests(origin) == 1, "%d requests came to the backend",
                      origin_requests(origin));
    stop(gateway);
}
