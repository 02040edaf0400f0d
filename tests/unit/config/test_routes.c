#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(routes, .init = begin, .fini = end);

static void expect_name(const char *host, const char *path, const char *name)
{
    const struct route *route = route_folder_find(&folder, host, path);

    if (!name) {
        cr_expect_null(route, "%s%s", host, path);
        return;
    }
    cr_assert(route, "%s%s", host, path);
    cr_expect(slice_equal(route->name, slice_of(name)), "%s%s: %.*s", host, path,
              (int)route->name.len, route->name.at);
}

static const struct upstream_spec *upstream_of(const char *host)
{
    const struct route *route = route_folder_find(&folder, host, "/");

    cr_assert(route && route->kind == ROUTE_TO);
    return route->targets[0].upstream;
}

static void expect_refused(const char *routes, const char *path, const char *message,
                           const char *suggestion)
{
    char text[1024];

    snprintf(text, sizeof(text), "'backends': { 'api': ['x:1'], 'web': ['x:2'] }, 'routes': { %s }",
             routes);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", routes);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", routes, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, suggestion);
}

/* --- hosts and paths ----------------------------------------------------------------------------
 */

Test(routes, names)
{
    route_folder_good(&folder, "'routes': { '*': 'x:1', 'A.Test.': 'x:1', '*.B.test': 'x:1', "
                               "'[::1]': 'x:1', 'fe80::1': 'x:1', '127.0.0.1': 'x:1', 'c.test': { "
                               "'paths': { '/': 'x:1', '/v1//%41/': 'x:1', '=/x': 'x:1' } } }");
    expect_name("a.test", "/", "a.test");
    expect_name("y.b.test", "/", "*.b.test");
    expect_name("::1", "/", "::1");
    expect_name("fe80::1", "/", "fe80::1");
    expect_name("127.0.0.1", "/", "127.0.0.1");
    expect_name("other", "/", "*");
    expect_name("c.test", "/q", "c.test/");
    expect_name("c.test", "/v1/A/q", "c.test/v1/A/");
    expect_name("c.test", "/x", "c.test=/x");
    cr_expect_eq(folder.snapshot->config->route_count, 9);
}

Test(routes, hosts_that_are_none)
{
    expect_refused("'': 'x:1'", "routes[\"\"]", "a host is missing", NULL);
    expect_refused("'a.test:80': 'x:1'", "routes[\"a.test:80\"]", "no port", NULL);
    expect_refused("'a.test:': 'x:1'", "routes[\"a.test:\"]", "no port", NULL);
    expect_refused("'[::1]:80': 'x:1'", "routes[\"[::1]:80\"]", "no port", NULL);
    expect_refused("'a.*.test': 'x:1'", "routes[\"a.*.test\"]", "\"*\" stands alone", NULL);
    expect_refused("'*a.test': 'x:1'", "routes[\"*a.test\"]", "\"*\" stands alone", NULL);
    expect_refused("'*.*.test': 'x:1'", "routes[\"*.*.test\"]", "\"*\" stands alone", NULL);
    expect_refused("'*.': 'x:1'", "routes[\"*.\"]", "is missing", NULL);
    expect_refused("'*.0.0.1': 'x:1'", "routes[\"*.0.0.1\"]", "not for IP", NULL);
    expect_refused("'*.[::1]': 'x:1'", "routes[\"*.[::1]\"]", "not for IP", NULL);
    expect_refused("'b\\u00fccher.test': 'x:1'",
                   "routes[\"b\xc3\xbc"
                   "cher.test\"]",
                   "xn--", NULL);
    expect_refused("'https://a.test': 'x:1'", "routes[\"https://a.test\"]", "without http://",
                   NULL);
    expect_refused("'a.test/x': 'x:1'", "routes[\"a.test/x\"]", "\"paths\"", NULL);
    expect_refused("'a b': 'x:1'", "routes[\"a b\"]", "no host name", NULL);
    expect_refused("'a..test': 'x:1'", "routes[\"a..test\"]", "no host name", NULL);
}

Test(routes, hosts_that_mean_the_same)
{
    route_folder_load_with_certs(&folder, "'routes': {\n'a.test': 'x:1',\n'A.TEST.': 'x:1',\n"
                                          "'*.b.test': 'x:1',\n'*.B.test': 'x:1',\n'::1': 'x:1',\n"
                                          "'[::1]': 'x:1' }");
    cr_expect_eq(folder.problems.errors, 3, "%s", folder.printed);
    route_folder_expect(&folder, 3, 1, "routes[\"A.TEST.\"]", "the same as \"a.test\" on line 2",
                        NULL);
    route_folder_expect(&folder, 5, 1, NULL, "on line 4", NULL);
    route_folder_expect(&folder, 7, 1, NULL, "on line 6", NULL);
}

Test(routes, paths_that_are_none)
{
    expect_refused("'a.test': { 'paths': { 'x': 'x:1' } }", "routes[\"a.test\"].paths.x",
                   "starts with \"/\"", NULL);
    expect_refused("'a.test': { 'paths': { '': 'x:1' } }", "routes[\"a.test\"].paths[\"\"]",
                   "starts with \"/\"", NULL);
    expect_refused("'a.test': { 'paths': { '=x': 'x:1' } }", "routes[\"a.test\"].paths[\"=x\"]",
                   "starts with \"/\"", NULL);
    expect_refused("'a.test': { 'paths': { '/a?b': 'x:1' } }", "routes[\"a.test\"].paths[\"/a?b\"]",
                   "no \"?\"", NULL);
    expect_refused("'a.test': { 'paths': { '/a/*': 'x:1' } }", "routes[\"a.test\"].paths[\"/a/*\"]",
                   "no \"*\"", NULL);
    expect_refused("'a.test': { 'paths': { '/a/../b': 'x:1' } }",
                   "routes[\"a.test\"].paths[\"/a/../b\"]", "refused", NULL);
    expect_refused("'a.test': { 'paths': { '/%zz': 'x:1' } }", "routes[\"a.test\"].paths[\"/%zz\"]",
                   "refused", NULL);
    expect_refused("'a.test': { 'paths': {} }", "routes[\"a.test\"].paths", "empty", NULL);
    expect_refused("'a.test': { 'paths': [] }", "routes[\"a.test\"].paths", "an object", NULL);
    expect_refused("'a.test': { 'paths': { '/a/b': 'x:1', '/a//b': 'x:2' } }",
                   "routes[\"a.test\"].paths[\"/a//b\"]", "the same as \"/a/b\"", NULL);
    expect_refused("'a.test': { 'paths': { '=/~': 'x:1', '=/%7e': 'x:2' } }",
                   "routes[\"a.test\"].paths[\"=/%7e\"]", "the same as \"=/~\"", NULL);
}

/* --- targets ------------------------------------------------------------------------------------
 */

Test(routes, every_form_of_address)
{
    route_folder_good(&folder, "'routes': { 'a.test': 'localhost:8080', 'b.test': "
                               "'http://Host.test', 'c.test': '[::1]:80', 'd.test': 'unix:/run/x', "
                               "'e.test': { 'to': '10.0.0.1:1' }, 'f.test': ['x:1', 'x:2'], "
                               "'g.test': { 'to': ['x:1', { 'to': 'x:2', 'weight': 3 }] } }");
    const struct server_spec *a = upstream_of("a.test")->servers;
    cr_expect_eq(a->endpoint.kind, ENDPOINT_NAME);
    cr_expect_eq(a->endpoint.port, 8080);
    cr_expect(slice_equal(a->name, slice_of("localhost:8080")));
    cr_expect_eq(a->weight, 1);
    cr_expect(slice_equal(upstream_of("b.test")->servers->name, slice_of("http://Host.test")),
              "as written");
    cr_expect_eq(upstream_of("b.test")->servers->endpoint.port, 80);
    cr_expect_eq(upstream_of("c.test")->servers->endpoint.kind, ENDPOINT_IP);
    cr_expect_eq(upstream_of("d.test")->servers->endpoint.kind, ENDPOINT_UNIX);
    cr_expect_eq(upstream_of("e.test")->servers->endpoint.kind, ENDPOINT_IP);
    cr_expect_eq(upstream_of("f.test")->server_count, 2);
    cr_expect_eq(upstream_of("g.test")->servers[1].weight, 3);
    cr_expect(slice_equal(upstream_of("f.test")->name, slice_of("f.test")),
              "an inline target takes its route's name");
}

Test(routes, backends)
{
    route_folder_good(&folder,
                      "'backends': { 'one': 'x:1', 'two': ['x:1', 'x:2'], 'three': { 'servers': "
                      "[{ 'to': 'x:1', 'weight': 0 }, { 'to': 'x:2', 'weight': 65535 }, "
                      "{ 'to': 'x:3', 'backup': true }], 'keepalive': 0 } }, 'routes': { 'a.test': "
                      "'one', 'b.test': 'two', 'c.test': { 'to': 'three' }, 'd.test': 'three' }");
    cr_expect_eq(folder.snapshot->config->upstream_count, 3);
    cr_expect_eq(upstream_of("a.test")->server_count, 1);
    cr_expect_eq(upstream_of("b.test")->server_count, 2);
    const struct upstream_spec *three = upstream_of("c.test");
    cr_expect_eq(three, upstream_of("d.test"));
    cr_expect_eq(three->keepalive, 0);
    cr_expect_eq(three->servers[0].weight, 0);
    cr_expect_eq(three->servers[1].weight, 65535);
    cr_expect(three->servers[2].is_backup);
    cr_expect_not(three->servers[1].is_backup);
    cr_expect(slice_equal(three->name, slice_of("three")));
}

Test(routes, splits)
{
    route_folder_good(&folder,
                      "'backends': { 'api': 'x:1', 'canary': 'x:2' }, 'routes': { 'a.test': "
                      "{ 'to': { 'api': 95, 'canary': 5, 'x:3': 0, 'x:4': 7, 'x:5': 1 } } }");
    const struct route *route = route_folder_find(&folder, "a.test", "/");
    const struct upstream_spec *own = NULL;
    uint64_t weight = 0;

    cr_assert_eq(route->target_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        weight += route->targets[i].weight;
        if (slice_equal(route->targets[i].upstream->name, slice_of("a.test"))) {
            own = route->targets[i].upstream;
            cr_expect_eq(route->targets[i].weight, 8);
        }
    }
    cr_expect_eq(weight, 108);
    cr_expect_eq(route->total_weight, 108);
    cr_assert(own, "addresses of a split are one backend, called like the route");
    cr_assert_eq(own->server_count, 3);
    cr_expect_eq(own->servers[0].weight, 0);
    cr_expect_eq(own->servers[1].weight, 7);
    cr_expect_eq(own->servers[2].weight, 1);
}

Test(routes, targets_that_are_none)
{
    expect_refused("'a.test': 5", "routes[\"a.test\"]", "an address, a list", NULL);
    expect_refused("'a.test': ''", "routes[\"a.test\"]", "no backend", NULL);
    expect_refused("'a.test': 'apy'", "routes[\"a.test\"]", "no backend \"apy\"", "api");
    expect_refused("'a.test': 'localhost'", "routes[\"a.test\"]", "\"localhost:80\"", NULL);
    expect_refused("'a.test': 'https://x'", "routes[\"a.test\"]", "https", NULL);
    expect_refused("'a.test': 'http://x/y'", "routes[\"a.test\"]", "path", NULL);
    expect_refused("'a.test': 'http://u@x:1'", "routes[\"a.test\"]", "user", NULL);
    expect_refused("'a.test': 'x:0'", "routes[\"a.test\"]", "port", NULL);
    expect_refused("'a.test': []", "routes[\"a.test\"]", "empty", NULL);
    expect_refused("'a.test': ['x:1', 5]", "routes[\"a.test\"][1]", "an address", NULL);
    expect_refused("'a.test': ['x:1', 'x:1']", "routes[\"a.test\"][1]", "already", NULL);
    expect_refused("'a.test': ['api', 'web']", "routes[\"a.test\"][0]", "map", NULL);
    expect_refused("'a.test': [{ 'to': 'x:1', 'weight': 0 }]", "routes[\"a.test\"]", "above 0",
                   NULL);
    expect_refused("'a.test': { 'to': {} }", "routes[\"a.test\"].to", "empty", NULL);
    expect_refused("'a.test': { 'to': { 'api': 0, 'x:1': 0 } }", "routes[\"a.test\"].to", "above 0",
                   NULL);
    expect_refused("'a.test': { 'to': { 'api': 1, 'wep': 1 } }", "routes[\"a.test\"].to.wep",
                   "no backend", "web");
    expect_refused("'a.test': { 'to': { 'api': '1' } }", "routes[\"a.test\"].to.api",
                   "a whole number", NULL);
    expect_refused("'a.test': { 'to': { 'x:': 1 } }", "routes[\"a.test\"].to[\"x:\"]", "port",
                   NULL);
    expect_refused("'a.test': {}", "routes[\"a.test\"]", "one of \"to\"", NULL);
    expect_refused("'a.test': { 'to': 'api', 'paths': { '/': 'api' } }", "routes[\"a.test\"].paths",
                   "only one of", NULL);
    expect_refused("'a.test': { 'respond': {}, 'redirect': '/' }", "routes[\"a.test\"].redirect",
                   "only one of", NULL);
}

static void expect_backend_refused(const char *backends, const char *path, const char *message)
{
    char text[512];

    snprintf(text, sizeof(text), "'routes': {}, 'backends': %s", backends);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", backends);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", backends, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, NULL);
}

Test(routes, backends_that_are_none)
{
    expect_backend_refused("[]", "backends", "an object");
    expect_backend_refused("{ 'a': {} }", "backends.a", "\"servers\" is missing");
    expect_backend_refused("{ 'a': { 'servers': [] } }", "backends.a.servers", "empty");
    expect_backend_refused("{ 'a': [] }", "backends.a", "empty");
    expect_backend_refused("{ 'a': 'x' }", "backends.a", "port");
    expect_backend_refused("{ 'a:1': 'x:1' }", "backends[\"a:1\"]", "letters, digits");
    expect_backend_refused("{ '': 'x:1' }", "backends[\"\"]", "letters, digits");
    expect_backend_refused("{ 'a': [{ 'weight': 1 }] }", "backends.a[0]", "\"to\" is missing");
    expect_backend_refused("{ 'a': [{ 'to': 'x:1', 'weight': 65536 }] }", "backends.a[0].weight",
                           "from 0 to 65535");
    expect_backend_refused("{ 'a': [{ 'to': 'x:1', 'backup': 1 }] }", "backends.a[0].backup",
                           "true or false");
    expect_backend_refused("{ 'a': [{ 'to': 'x:1', 'backup': true }] }", "backends.a",
                           "every server is a backup");
    expect_backend_refused("{ 'a': [{ 'to': 'x:1', 'name': 'y' }] }", "backends.a[0].name",
                           "unknown key");
    expect_backend_refused("{ 'a': { 'servers': ['x:1'], 'keepalive': 1.5 } }",
                           "backends.a.keepalive", "a whole number");
}

Test(routes, an_inline_target_and_a_backend_of_one_name)
{
    route_folder_load_with_certs(
        &folder, "\n'backends': { 'a.test': 'x:1' }, 'routes': {\n'a.test': 'x:1' }");
    cr_expect_eq(folder.problems.errors, 1);
    route_folder_expect(&folder, 3, 11, "routes[\"a.test\"]", "the backend on line 2", NULL);
    route_folder_good(&folder, "'backends': { 'a.test': 'x:1' }, 'routes': { 'a.test': 'a.test' }");
}

/* --- redirect and respond -----------------------------------------------------------------------
 */

static void expect_location(const char *redirect, const char *expected)
{
    struct arena arena = {0};
    char text[256];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'redirect': %s } }", redirect);
    route_folder_good(&folder, text);
    const struct route *route = route_folder_find(&folder, "a.test", "/");
    cr_assert_eq(route->kind, ROUTE_REDIRECT);
    struct slice location =
        route_location(route, &arena, true, slice_of("a.test"), slice_of("/p/q"), slice_of("?x=1"));
    cr_expect(slice_equal(location, slice_of(expected)), "%s: %.*s", redirect, (int)location.len,
              location.at);
    arena_clear(&arena);
}

Test(routes, redirects)
{
    expect_location("'https://b.test/x'", "https://b.test/x");
    expect_location("'https://b.test{uri}'", "https://b.test/p/q?x=1");
    expect_location("{ 'to': '{scheme}://{host}:8443{path}#{query}' }",
                    "https://a.test:8443/p/q#x=1");
    expect_location("'/new{path}?{query}&y={{z}}'", "/new/p/q?x=1&y={z}}");
    expect_location("'/{{{{{host}'", "/{{a.test");
    expect_location("'/'", "/");
    expect_location("'{path}/'", "/p/q/");
    cr_expect_eq(route_folder_find(&folder, "a.test", "/")->status, 308);
    expect_location("{ 'to': '/', 'status': 302 }", "/");
    cr_expect_eq(route_folder_find(&folder, "a.test", "/")->status, 302);
}

Test(routes, redirects_that_are_none)
{
    expect_refused("'a.test': { 'redirect': 'b.test' }", "routes[\"a.test\"].redirect",
                   "starts with https://", NULL);
    expect_refused("'a.test': { 'redirect': '' }", "routes[\"a.test\"].redirect",
                   "starts with https://", NULL);
    expect_refused("'a.test': { 'redirect': 'https://' }", "routes[\"a.test\"].redirect",
                   "starts with https://", NULL);
    expect_refused("'a.test': { 'redirect': 'https://b.test{ury}' }", "routes[\"a.test\"].redirect",
                   "\"{ury}\" is no placeholder here", "uri");
    expect_refused("'a.test': { 'redirect': 'https://b.test{uri' }", "routes[\"a.test\"].redirect",
                   "without its \"}\"", NULL);
    expect_refused("'a.test': { 'redirect': '/a b' }", "routes[\"a.test\"].redirect", "no spaces",
                   NULL);
    expect_refused("'a.test': { 'redirect': '/a\\r\\nb' }", "routes[\"a.test\"].redirect",
                   "no spaces", NULL);
    expect_refused("'a.test': { 'redirect': 5 }", "routes[\"a.test\"].redirect", "a URL", NULL);
    expect_refused("'a.test': { 'redirect': {} }", "routes[\"a.test\"].redirect",
                   "\"to\" is missing", NULL);
    expect_refused("'a.test': { 'redirect': { 'to': '/', 'status': 200 } }",
                   "routes[\"a.test\"].redirect.status", "301, 302, 303, 307 or 308", NULL);
    expect_refused("'a.test': { 'redirect': { 'to': '/', 'status': '301' } }",
                   "routes[\"a.test\"].redirect.status", "301, 302, 303, 307 or 308", NULL);
}

Test(routes, responds)
{
    route_folder_good(&folder, "'routes': { 'a.test': { 'respond': {} }, 'b.test': { 'respond': { "
                               "'status': 503, 'body': 'x', 'headers': { 'Retry-After': ' 5 ', "
                               "'set-cookie': ['a', 'b'] } } }, 'c.test': { 'respond': { 'body': "
                               "'{}', 'headers': { 'Content-Type': 'application/json' } } } }");
    const struct route *a = route_folder_find(&folder, "a.test", "/");
    const struct route *b = route_folder_find(&folder, "b.test", "/");
    const struct route *c = route_folder_find(&folder, "c.test", "/");
    cr_expect_eq(a->kind, ROUTE_RESPOND);
    cr_expect_eq(a->status, 200);
    cr_expect_eq(a->respond_body.len, 0);
    cr_expect_eq(a->respond_fields.count, 0);
    cr_expect_eq(b->status, 503);
    cr_expect(slice_equal(b->respond_body, slice_of("x")));
    cr_assert_eq(b->respond_fields.count, 4);
    cr_expect(slice_equal(b->respond_fields.list[0].value, slice_of("5")));
    cr_expect(slice_equal(b->respond_fields.list[2].value, slice_of("b")));
    cr_expect(slice_equal(b->respond_fields.list[3].value, slice_of("text/plain; charset=utf-8")));
    cr_expect_eq(c->respond_fields.count, 1);
}

Test(routes, responds_that_are_none)
{
    expect_refused("'a.test': { 'respond': 404 }", "routes[\"a.test\"].respond", "an object", NULL);
    expect_refused("'a.test': { 'respond': { 'status': 101 } }",
                   "routes[\"a.test\"].respond.status", "from 200 to 599", NULL);
    expect_refused("'a.test': { 'respond': { 'body': {} } }", "routes[\"a.test\"].respond.body",
                   "a string", NULL);
    expect_refused("'a.test': { 'respond': { 'status': 204, 'body': 'x' } }",
                   "routes[\"a.test\"].respond.body", "no effect", NULL);
    expect_refused("'a.test': { 'respond': { 'headers': [] } }",
                   "routes[\"a.test\"].respond.headers", "an object", NULL);
    expect_refused("'a.test': { 'respond': { 'headers': { 'a b': 'c' } } }",
                   "routes[\"a.test\"].respond.headers[\"a b\"]", "no name", NULL);
    expect_refused("'a.test': { 'respond': { 'headers': { 'x': 'c\\nd' } } }",
                   "routes[\"a.test\"].respond.headers.x", "no line breaks", NULL);
    expect_refused("'a.test': { 'respond': { 'headers': { 'x': 5 } } }",
                   "routes[\"a.test\"].respond.headers.x", "a string", NULL);
    expect_refused("'a.test': { 'respond': { 'headers': { 'Content-Length': '5' } } }",
                   "routes[\"a.test\"].respond.headers[\"Content-Length\"]", "the gateway itself",
                   NULL);
    expect_refused("'a.test': { 'respond': { 'headers': { 'X': '1', 'x': '2' } } }",
                   "routes[\"a.test\"].respond.headers.x", "in another case", NULL);
    expect_refused("'a.test': { 'respond': { 'stauts': 200 } }",
                   "routes[\"a.test\"].respond.stauts", "unknown key", "status");
}
