/* Which backend gets a request: hosts, wildcards, paths, normalisation, redirects, answers, shares.
 */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(routing);

Test(routing, seed_three_backends)
{
    struct origin *one = origin_start("one");
    struct origin *two = origin_start("two");
    struct origin *other = origin_start("other");
    cert_write_bundle(cert_new("sub1.xyz.com, sub2.xyz.com, *.xyz.com"),
                      workplace_path("certs/xyz.pem"));
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'sub1.xyz.com': '%s', 'sub2.xyz.com': '%s', '*': '%s' } }",
        origin_address(one), origin_address(two), origin_address(other));

    expect_from(fetch(gateway, "sub1.xyz.com", "/"), "one");
    expect_from(fetch(gateway, "sub2.xyz.com", "/"), "two");
    expect_from(fetch(gateway, "sub3.xyz.com", "/"), "other");
    gateway_stop(gateway);
}

struct routed {
    const char *host, *path; /* or what follows the Host name */
    int status;
    const char *body;
};

static void expect_routed(struct gateway *gateway, const struct routed *cases, int count)
{
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < count; i++) {
        struct message *response = client_get(client, cases[i].host, cases[i].path);
        workplace_require(response->status == cases[i].status && response->is_complete &&
                              strstr(response->body, cases[i].body) != NULL,
                          "%s %s: not %d '%s' but\n%s%s", cases[i].host, cases[i].path,
                          cases[i].status, cases[i].body, response->head, response->body);
        if (response->status == 200)
            expect_body(response, cases[i].body);
    }
    gateway_stop(gateway);
}

Test(routing, hosts)
{
    static const struct routed cases[] = {
        {"one.test", "/", 200, "exact"},         {"ONE.Test", "/", 200, "exact"},
        {"one.test.", "/", 200, "exact"},        {"one.test:8443", "/", 200, "exact"},
        {"x.one.test", "/", 200, "wild"},        {"y.x.one.test", "/", 200, "wild"},
        {"z.deep.one.test", "/", 200, "deeper"}, {"deep.one.test", "/", 200, "wild"},
        {"xone.test", "/", 200, "any"},          {"nobody.example", "/", 200, "any"},
        {"127.0.0.2", "/", 200, "address"},      {"[::1]:443", "/", 200, "six"},
        {"xn--bcher-kva.test", "/", 200, "idn"}, {"two.test", "/", 200, "two"},
    };
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { '*': { 'respond': { 'body': 'any' } },"
                      "  '*.one.test': { 'respond': { 'body': 'wild' } },"
                      "  'One.test': { 'respond': { 'body': 'exact' } },"
                      "  '*.deep.one.test': { 'respond': { 'body': 'deeper' } },"
                      "  'two.test.': { 'respond': { 'body': 'two' } },"
                      "  '127.0.0.2': { 'respond': { 'body': 'address' } },"
                      "  '::1': { 'respond': { 'body': 'six' } },"
                      "  'xn--bcher-kva.test': { 'respond': { 'body': 'idn' } } } }");

    expect_routed(gateway, cases, sizeof cases / sizeof *cases);
}

Test(routing, no_host_is_no_route)
{
    static const struct routed cases[] = {
        {"one.test", "/", 200, "one"},
        {"two.test", "/", 404, "no_route"},
        {"x.one.test", "/", 404, "no_route"},
    };
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'one.test': { 'respond': { 'body': 'one' } } } }");

    expect_routed(gateway, cases, sizeof cases / sizeof *cases);
}

Test(routing, paths)
{
    static const struct routed cases[] = {
        {"p.test", "/", 200, "exact root"},
        {"p.test", "/?x=1", 200, "exact root"},
        {"p.test", "/v1", 200, "v1"},
        {"p.test", "/v1/", 200, "v1"},
        {"p.test", "/v1/x", 200, "v1"},
        {"p.test", "/v1x", 404, "no_route"},
        {"p.test", "/v1?q", 200, "v1"},
        {"p.test", "/v1/deep", 200, "deep exact"},
        {"p.test", "/v1/deep/", 200, "v1"},
        {"p.test", "/v1/deep/x", 200, "v1"},
        {"p.test", "/below/", 200, "below"},
        {"p.test", "/below/x", 200, "below"},
        {"p.test", "/below", 404, "no_route"},
        {"p.test", "/V1", 404, "no_route"},
        {"p.test", "/else", 404, "no_route"},
        {"q.test", "/x/y", 200, "long"},
        {"q.test", "/x", 200, "all"},
        {"q.test", "/", 200, "all"},
        {"q.test", "/robots.txt", 200, "robots"},
        {"q.test", "/robots.txt/", 200, "all"},
    };
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { '*': { 'respond': { 'body': 'other host' } },"
                      "  'p.test': { 'paths': { '=/': { 'respond': { 'body': 'exact root' } },"
                      "    '/v1': { 'respond': { 'body': 'v1' } },"
                      "    '=/v1/deep': { 'respond': { 'body': 'deep exact' } },"
                      "    '/below/': { 'respond': { 'body': 'below' } } } },"
                      "  'q.test': { 'paths': { '/': { 'respond': { 'body': 'all' } },"
                      "    '/x/': { 'respond': { 'body': 'long' } },"
                      "    '=/robots.txt': { 'respond': { 'body': 'robots' } } } } } }");

    expect_routed(gateway, cases, sizeof cases / sizeof *cases);
}

struct normal {
    const char *sent, *forwarded; /* NULL: 400 */
};

Test(routing, paths_are_normalised)
{
    static const struct normal cases[] = {
        {"/a", "/a"},
        {"/%61%2D%2e%5F%7e", "/a-._~"},
        {"//a///b//", "/a/b/"},
        {"/a%2fb", "/a%2fb"},
        {"/a%2Fb", "/a%2Fb"},
        {"/a%5cb", "/a%5cb"},
        {"/a%20b%c3%bc", "/a%20b%c3%bc"},
        {"/a%3Fb", "/a%3Fb"},
        {"/a;b=c,d:e@f!$&'()*+", "/a;b=c,d:e@f!$&'()*+"},
        {"/a?b=%61//c/../d#", NULL},
        {"/a?b=%61//c/../d", "/a?b=%61//c/../d"},
        {"/...", "/..."},
        {"/.well-known/x", "/.well-known/x"},
        {"/a.b./c..d", "/a.b./c..d"},
        {"/a/../b", NULL},
        {"/a/..", NULL},
        {"/./a", NULL},
        {"/.", NULL},
        {"/a/%2e%2e/b", NULL},
        {"/a/%2E/b", NULL},
        {"/a/.%2e", NULL},
        {"/a%2f..%2fb", NULL},
        {"/a/..%2fb", NULL},
        {"/a%5c..", NULL},
        {"/a%2f.", NULL},
        {"/a%00b", NULL},
        {"/a%0ab", NULL},
        {"/a%7fb", NULL},
        {"/a\\b", NULL},
        {"/a%", NULL},
        {"/a%2", NULL},
        {"/a%zz", NULL},
        {"/a#b", NULL},
    };
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *client = client_open(gateway, "a.test");
        client_send(client, "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", cases[i].sent);
        struct message *response = client_response(client);
        client_close(client);
        if (cases[i].forwarded == NULL) {
            workplace_require(response->status == 400, "%s: %s", cases[i].sent, response->head);
            expect_refusal(response, 400, "bad_request");
            continue;
        }
        workplace_require(response->status == 200, "%s: %s", cases[i].sent, response->head);
        const char *target = origin_last_request(origin)->target;
        workplace_require(strcmp(target, cases[i].forwarded) == 0, "%s: forwarded as %s",
                          cases[i].sent, target);
    }
    gateway_stop(gateway);
}

Test(routing, escapes_match_as_what_they_mean)
{
    static const struct routed cases[] = {
        {"a.test", "/%61dmin", 200, "admin"},
        {"a.test", "//admin", 200, "admin"},
        {"a.test", "/admin%2fx", 200, "rest"},
        {"a.test", "/adm%69n/x", 200, "admin"},
    };
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'paths': { '/': { 'respond': { 'body': 'rest' } },"
        "  '/a%%64min': { 'respond': { 'body': 'admin' } } } } } }");

    expect_routed(gateway, cases, sizeof cases / sizeof *cases);
}

struct redirect {
    const char *host, *path;
    int status;
    const char *location;
};

Test(routing, redirects)
{
    static const struct redirect cases[] = {
        {"www.test", "/a/b?c=d", 308, "https://a.test/a/b?c=d"},
        {"www.test", "/a", 308, "https://a.test/a"},
        {"r301.test", "/x", 301, "https://a.test/"},
        {"r302.test", "/x?q=1", 302, "https://r302.test/new?q=1"},
        {"r303.test:99", "/x", 303, "https://r303.test/x"},
        {"r307.test", "/x", 307, "https://a.test/{x}"},
        {"path.test", "/old/x", 308, "https://new.test/"},
        {"path.test", "/p//x%61?y", 308, "https://path.test/p/xa"},
    };
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'www.test': { 'redirect': 'https://a.test{uri}' },"
        "  'r301.test': { 'redirect': { 'to': 'https://a.test/', 'status': 301 } },"
        "  'r302.test': { 'redirect': { 'to': '{scheme}://{host}/new?{query}', 'status': 302 } },"
        "  'r303.test': { 'redirect': { 'to': 'https://{host}{path}', 'status': 303 } },"
        "  'r307.test': { 'redirect': { 'to': 'https://a.test/{{x}', 'status': 307 } },"
        "  'path.test': { 'paths': { '/old': { 'redirect': 'https://new.test/' },"
        "    '/p': { 'redirect': 'https://{host}{path}' } } } } }");
    struct client *client = client_open(gateway, "a.test");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message *response = client_get(client, cases[i].host, cases[i].path);
        expect_status(response, cases[i].status);
        expect_field(response, "location", cases[i].location);
    }
    gateway_stop(gateway);
}

Test(routing, own_answers)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'respond': { 'status': 418, 'body': 'short and stout',"
        "    'headers': { 'content-type': 'text/teapot', 'x-own': 'yes' } } },"
        "  'b.test': { 'respond': {} }, 'c.test': { 'respond': { 'status': 204 } } } }");
    struct client *client = client_open(gateway, "a.test");

    struct message *response = client_get(client, "a.test", "/");
    expect_status(response, 418);
    expect_body(response, "short and stout");
    expect_field(response, "content-type", "text/teapot");
    expect_field(response, "x-own", "yes");
    client_send(client, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    response = client_response_to(client, "HEAD");
    expect_status(response, 418);
    expect_field(response, "content-length", "15");
    expect_body(client_get(client, "b.test", "/"), "");
    response = client_get(client, "c.test", "/");
    expect_status(response, 204);
    expect_no_field(response, "content-length");
    client_send(client, "POST / HTTP/1.1\r\nHost: b.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_status(client_response(client), 200);
    expect_status(client_get(client, "b.test", "/"), 200);
    gateway_stop(gateway);
}

Test(routing, shares_of_a_split)
{
    struct origin *most = origin_start("most");
    struct origin *few = origin_start("few");
    struct origin *none = origin_start("none");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'most': { 'servers': ['%s'] },"
                      "  'few': { 'servers': ['%s'] }, 'none': { 'servers': ['%s'] } },"
                      "  'routes': { 'a.test': { 'to': { 'most': 7, 'few': 3, 'none': 0 } } } }",
                      origin_address(most), origin_address(few), origin_address(none));
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 200; i++)
        expect_status(client_get(client, "a.test", "/"), 200);
    cr_assert_eq(origin_requests(most) + origin_requests(few), 200);
    cr_assert_eq(origin_requests(none), 0);
    workplace_require(origin_requests(few) >= 30 && origin_requests(few) <= 90,
                      "a share of 30%% got %d of 200", origin_requests(few));
    gateway_stop(gateway);
}

Test(routing, http_listener_redirects)
{
    static const struct redirect cases[] = {
        {"a.test", "/x?y", 308, "https://a.test/x?y"},
        {"a.test:8080", "/", 308, "https://a.test/"},
        {"nobody.example", "/z", 308, "https://nobody.example/z"},
    };
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'http': ['127.0.0.1:0',"
                      "  { 'bind': '127.0.0.1:0', 'https_port': 8443 }],"
                      "  'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs',"
                      "  'routes': { 'a.test': { 'respond': {} } } }");
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message *response = client_get(client, cases[i].host, cases[i].path);
        expect_status(response, cases[i].status);
        expect_field(response, "location", cases[i].location);
    }
    client = client_open_plain(gateway_address(gateway, "http", 1));
    expect_field(client_get(client, "a.test:80", "/x?y"), "location", "https://a.test:8443/x?y");
    gateway_stop(gateway);
}

Test(routing, http_listener_serves_routes)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ 'listen': { 'https': '127.0.0.1:0', 'http': { 'bind': '127.0.0.1:0',"
        "  'serve': 'routes' }, 'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs',"
        "  'routes': { 'a.test': '%s', 'b.test': { 'redirect': '{scheme}://x{path}' } } }",
        origin_address(origin));
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));

    expect_from(client_get(client, "a.test", "/x"), "one");
    expect_field(origin_last_request(origin), "x-forwarded-proto", "http");
    expect_field(client_get(client, "b.test", "/y"), "location", "http://x/y");
    expect_refusal(client_get(client, "c.test", "/"), 404, "no_route");
    gateway_stop(gateway);
}

#define WITH_TESTS                                                                              \
    "{ @base, 'backends': { 'api': { 'servers': ['127.0.0.1:1'] } },"                           \
    "  'routes': { 'a.test': { 'paths': { '/': 'api', '=/x': { 'respond': { 'status': 410 } }," \
    "    '/r': { 'redirect': 'https://b.test{uri}' } } } }, 'tests': [\n%s\n] }"

Test(routing, tests_of_a_route_file)
{
    static const char *const good =
        "{ 'request': 'GET https://a.test/v1', 'expect': { 'route': 'a.test/', 'backend': 'api',"
        "  'cert': 'a.test' } },"
        "{ 'request': 'GET https://a.test/x', 'expect': { 'status': 410, 'route': 'a.test=/x' } },"
        "{ 'request': 'GET https://a.test/r/s?t', 'expect': { 'status': 308,"
        "  'location': 'https://b.test/r/s?t' } },"
        "{ 'request': 'GET https://nobody.test/', 'expect': { 'route': 'none', 'status': 404 } },"
        "{ 'request': 'GET https://a.test/v1', 'expect': { 'server': '127.0.0.1:1' } },"
        "{ 'request': 'GET https://x.example/', 'expect': { 'alert': 'unrecognized_name' } }";
    static const char *const bad[] = {
        "{ 'request': 'GET https://a.test/v1', 'expect': { 'route': 'a.test/v1' } }",
        "{ 'request': 'GET https://a.test/v1', 'expect': { 'backend': 'web' } }",
        "{ 'request': 'GET https://a.test/x', 'expect': { 'status': 200 } }",
        "{ 'request': 'GET https://a.test/r', 'expect': { 'location': 'https://c.test/' } }",
        "{ 'request': 'GET https://a.test/v1', 'expect': { 'cert': 'other.example' } }",
        "{ 'request': 'GET https://a.test/v1', 'expect': { 'alert': 'unrecognized_name' } }",
    };

    command_expect(SALLYPORT("check", "-c", route_file("routes.json", WITH_TESTS, good)), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct command *command =
            SALLYPORT("check", "-c", route_file("routes.json", WITH_TESTS, bad[i]));
        workplace_require(command->exit_code == 3, "test %zu passes: %s", i, bad[i]);
        command_says(command, "tests[0]");
    }
}

Test(routing, many_hosts)
{
    char *hosts = malloc(4 << 20);
    char *to = hosts;

    for (int i = 0; i < 20000; i++)
        to += sprintf(to, "'h%d.test': { 'respond': { 'body': '%d' } },", i, i);
    workplace_own(hosts, free);
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { %s '*': { 'respond': { 'body': 'any' } } } }", hosts);
    struct client *client = client_open(gateway, "a.test");
    expect_body(client_get(client, "h0.test", "/"), "0");
    expect_body(client_get(client, "h19999.test", "/"), "19999");
    expect_body(client_get(client, "h20000.test", "/"), "any");
    gateway_stop(gateway);
}
