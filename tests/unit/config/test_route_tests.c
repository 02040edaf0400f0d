/* The `tests` of a route file: what passes, what fails, and what is said. */
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
    route_folder_certify(&folder, "other", "other.example", 90);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(route_tests, .init = begin, .fini = end);

static void load_test(const char *test)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "'listen': { 'http': [{ 'bind': ':80', 'https_port': 8443 }, "
             "                     { 'bind': ':8080', 'serve': 'routes' }] },"
             "'backends': { 'api': ['x:1', { 'to': 'x:2', 'weight': 0 }], 'canary': 'x:3' },"
             "'routes': { 'a.test': { 'paths': { '/': 'api', '/old': { 'redirect': '/new{uri}' },"
             "                                   '=/r': { 'respond': { 'status': 418 } } } },"
             "            'b.test': { 'to': { 'api': 1, 'canary': 1, 'y:1': 0 } },"
             "            'c.test': ['y:1', 'y:2'], 'other.example': 'api',"
             "            'k.test': { 'to': { 'api': 1, 'canary': 1 }, 'split_on': 'cookie:id' } },"
             "'trusted_proxies': ['10.0.0.0/8'],"
             "'tests': [\n%s ]",
             test);
    route_folder_load_with_certs(&folder, text);
}

static void expect_pass(const char *test)
{
    load_test(test);
    cr_expect(folder.snapshot, "%s: %s", test, folder.printed);
    cr_expect_eq(folder.problems.count, 0, "%s: %s", test, folder.printed);
}

static void expect_fail(const char *test, const char *message)
{
    load_test(test);
    cr_expect_null(folder.snapshot, "%s passes", test);
    cr_expect_eq(folder.problems.count, 1, "%s", folder.printed);
    route_folder_expect(&folder, 2, 1, "tests[0]", message, NULL);
}

Test(route_tests, routes_backends_and_servers)
{
    expect_pass("{ 'request': 'GET https://a.test/v1', 'expect': { 'route': 'a.test/', 'backend': "
                "'api', 'server': 'x:1' } }");
    expect_pass("{ 'request': 'GET https://A.test.', 'expect': { 'route': 'a.test/' } }");
    expect_pass("{ 'request': 'GET https://a.test?x=/y', 'expect': { 'route': 'a.test/' } }");
    expect_pass("{ 'request': 'GET https://b.test/', 'expect': { 'backend': 'api' } }");
    expect_pass("{ 'request': 'GET https://b.test/', 'expect': { 'backend': 'canary', 'server': "
                "'x:3' } }");
    expect_pass("{ 'request': 'GET https://c.test/', 'expect': { 'backend': 'c.test', 'server': "
                "'y:2' } }");
    expect_pass("{ 'request': 'GET http://a.test:8080/v1', 'expect': { 'backend': 'api' } }");
    expect_fail("{ 'request': 'GET https://a.test/v1', 'expect': { 'route': 'b.test' } }",
                "route: expected \"b.test\", got \"a.test/\"");
    expect_fail("{ 'request': 'GET https://a.test/v1', 'expect': { 'backend': 'canary' } }",
                "backend: expected \"canary\", got \"api\"");
    expect_fail("{ 'request': 'GET https://a.test/v1', 'expect': { 'server': 'x:2' } }",
                "server: expected \"x:2\", got \"x:1\"");
    expect_fail("{ 'request': 'GET https://b.test/', 'expect': { 'backend': 'b.test' } }",
                "backend");
    expect_fail("{ 'request': 'GET https://a.test/r', 'expect': { 'backend': 'api' } }",
                "got \"none\"");
}

Test(route_tests, headers_with_underscores)
{
    expect_pass("{ 'request': 'GET https://a.test/r', 'headers': { 'A_b': 'c' }, 'expect': { "
                "'status': 400 } }");
    expect_pass("{ 'request': 'GET https://a.test/r', 'headers': { 'A-b': 'c' }, 'expect': { "
                "'status': 418 } }");
}

Test(route_tests, own_answers)
{
    expect_pass("{ 'request': 'GET https://a.test/r', 'expect': { 'status': 418, 'route': "
                "'a.test=/r' } }");
    expect_pass("{ 'request': 'GET https://a.test/old/x?q', 'expect': { 'status': 308, 'location': "
                "'/new/old/x?q' } }");
    expect_pass(
        "{ 'request': 'GET https://d.test/', 'expect': { 'status': 404, 'route': 'none' } }");
    expect_pass("{ 'request': 'GET https://a.test/%2e%2e/', 'expect': { 'status': 400 } }");
    expect_pass("{ 'request': 'TRACE https://a.test/', 'expect': { 'status': 405 } }");
    expect_pass("{ 'request': 'CONNECT https://a.test/', 'expect': { 'status': 405 } }");
    expect_pass("{ 'request': 'GET http://a.test/x?q', 'expect': { 'status': 308, 'location': "
                "'https://a.test:8443/x?q' } }");
    expect_pass("{ 'request': 'GET http://[::1]/x', 'expect': { 'location': "
                "'https://[::1]:8443/x' } }");
    expect_fail("{ 'request': 'GET https://a.test/', 'expect': { 'status': 200 } }",
                "a backend answers");
    expect_fail("{ 'request': 'GET https://a.test/r', 'expect': { 'status': 200 } }",
                "status: expected 200, got 418");
    expect_fail("{ 'request': 'GET https://a.test/old', 'expect': { 'location': '/x' } }",
                "location: expected \"/x\", got \"/new/old\"");
    expect_fail("{ 'request': 'GET https://a.test/', 'expect': { 'location': '/x' } }",
                "does not redirect");
}

Test(route_tests, certificates)
{
    expect_pass("{ 'request': 'GET https://a.test/', 'expect': { 'cert': '*.test' } }");
    expect_pass("{ 'request': 'GET https://a.test/', 'sni': 'other.example', 'expect': { 'status': "
                "421, 'cert': 'other.example' } }");
    expect_pass("{ 'request': 'GET https://b.test/', 'sni': 'a.test', 'expect': { 'backend': 'api' "
                "} }");
    expect_pass("{ 'request': 'GET https://a.test/', 'headers': { 'Host': 'other.example' }, "
                "'expect': { 'status': 421 } }");
    expect_pass(
        "{ 'request': 'GET https://a.test/', 'headers': { 'host': 'C.test:443', 'x': 'y' }, "
        "'expect': { 'route': 'c.test' } }");
    expect_pass("{ 'request': 'GET https://a.test/', 'headers': { 'host': 'a b' }, 'expect': { "
                "'status': 400 } }");
    expect_pass("{ 'request': 'GET https://x.example/', 'expect': { 'alert': 'unrecognized_name' } "
                "}");
    expect_pass("{ 'request': 'GET https://a.test/', 'sni': '', 'expect': { 'alert': "
                "'unrecognized_name' } }");
    expect_pass("{ 'request': 'GET https://192.0.2.1/', 'expect': { 'alert': 'unrecognized_name' } "
                "}");
    expect_pass("{ 'request': 'GET https://a.test/', 'ip': '192.0.2.1', 'expect': { 'route': "
                "'a.test/' } }");
}

static void expect_only_check_fails(const char *test, const char *message)
{
    load_test(test);
    cr_expect(folder.snapshot, "%s: %s", test, folder.printed);
    route_folder_expect(&folder, 2, 1, "tests[0]", message, NULL);
    folder.strict_certs = true;
    load_test(test);
    cr_expect_null(folder.snapshot, "%s passes in check", test);
    folder.strict_certs = false;
}

Test(route_tests, what_certificates_decide_only_warns_in_a_load)
{
    expect_only_check_fails("{ 'request': 'GET https://a.test/', 'expect': { 'cert': 'a.test' } }",
                            "cert: expected \"a.test\", but");
    expect_only_check_fails(
        "{ 'request': 'GET http://a.test:8080/', 'expect': { 'cert': 'a.test' } "
        "}",
        "no handshake");
    expect_only_check_fails("{ 'request': 'GET https://a.test/', 'expect': { 'alert': "
                            "'unrecognized_name' } }",
                            "the handshake succeeds");
    expect_only_check_fails("{ 'request': 'GET https://x.example/', 'expect': { 'alert': "
                            "'handshake_failure' } }",
                            "got \"unrecognized_name\"");
    expect_only_check_fails("{ 'request': 'GET https://x.example/', 'expect': { 'status': 404 } }",
                            "the handshake is refused");
}

Test(route_tests, an_alert_leaves_nothing_else_to_expect)
{
    expect_fail("{ 'request': 'GET https://x.example/', 'expect': { 'alert': 'unrecognized_name', "
                "'status': 404 } }",
                "nothing else can be expected");
}

Test(route_tests, nothing_listens)
{
    route_folder_load_with_certs(&folder, "'routes': {}, 'tests': [\n{ 'request': 'GET "
                                          "http://a.test/', 'expect': { 'status': 404 } }]");
    route_folder_expect(&folder, 2, 1, "tests[0]", "listen.http is off", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'listen': { 'https': 'off', 'http': { "
                                          "'bind': ':0', 'serve': 'routes' } }, 'tests': [\n{ "
                                          "'request': 'GET https://a.test/', 'expect': { 'status': "
                                          "404 } }]");
    route_folder_expect(&folder, 2, 1, "tests[0]", "listen.https is off", NULL);
}

static void expect_refused(const char *tests, const char *path, const char *message,
                           const char *suggestion)
{
    char text[512];

    snprintf(text, sizeof(text), "'routes': {}, 'tests': %s", tests);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", tests);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", tests, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, suggestion);
}

Test(route_tests, share_of_a_client)
{
    /* of one that is not said any will do */
    expect_pass("{ 'request': 'GET https://k.test/', 'expect': { 'backend': 'api' } }");
    expect_pass("{ 'request': 'GET https://k.test/', 'expect': { 'backend': 'canary' } }");
    expect_pass("{ 'request': 'GET https://k.test/', 'ip': '192.0.2.1', 'expect': { 'backend': "
                "'canary' } }");
    expect_fail("{ 'request': 'GET https://k.test/', 'ip': '192.0.2.1', 'expect': { 'backend': "
                "'api' } }",
                "expected \"api\", got \"canary\"");
    expect_fail("{ 'request': 'GET https://k.test/', 'ip': '192.0.2.2', 'expect': { 'server': "
                "'x:3' } }",
                "expected \"x:3\", got \"x:1\"");
    expect_pass("{ 'request': 'GET https://k.test/', 'ip': '10.0.0.1', 'headers': { "
                "'X-Forwarded-For': '192.0.2.1' }, 'expect': { 'backend': 'canary' } }");
    expect_pass("{ 'headers': { 'Cookie': 'id=4' }, 'ip': '192.0.2.1', 'request': "
                "'GET https://k.test/', 'expect': { 'backend': 'api' } }");
    expect_fail("{ 'request': 'GET https://k.test/', 'headers': { 'Cookie': 'id=3' }, 'expect': { "
                "'backend': 'api' } }",
                "expected \"api\", got \"canary\"");
}

Test(route_tests, mistakes)
{
    expect_refused("{}", "tests", "a list", NULL);
    expect_refused("[5]", "tests[0]", "an object", NULL);
    expect_refused("[{ 'expect': { 'status': 404 } }]", "tests[0]", "\"request\" is missing", NULL);
    expect_refused("[{ 'request': 'GET https://a.test/' }]", "tests[0]", "\"expect\" is missing",
                   NULL);
    expect_refused("[{ 'request': 'GET https://a.test/', 'expect': {} }]", "tests[0].expect",
                   "nothing is expected", NULL);
    expect_refused("[{ 'request': 'GET https://a.test/', 'expect': { 'rout': 'x' } }]",
                   "tests[0].expect.rout", "unknown key", "route");
    expect_refused("[{ 'request': 'https://a.test/', 'expect': { 'route': 'x' } }]",
                   "tests[0].request", "METHOD URL", NULL);
    expect_refused("[{ 'request': 'GET a.test', 'expect': { 'route': 'x' } }]", "tests[0].request",
                   "http:// or https://", NULL);
    expect_refused("[{ 'request': 'GET https://a.test/ x', 'expect': { 'route': 'x' } }]",
                   "tests[0].request", "METHOD URL", NULL);
    expect_refused("[{ 'request': 'GET https://a b/', 'expect': { 'route': 'x' } }]",
                   "tests[0].request", "METHOD URL", NULL);
    expect_refused("[{ 'request': 'GET https://:80/', 'expect': { 'route': 'x' } }]",
                   "tests[0].request", "no host", NULL);
    expect_refused("[{ 'request': 5, 'expect': { 'route': 'x' } }]", "tests[0].request",
                   "METHOD URL", NULL);
    expect_refused(
        "[{ 'request': 'GET https://a.test/', 'sni': 'a b', 'expect': { 'route': 'x' } }]",
        "tests[0].sni", "no host name", NULL);
    expect_refused(
        "[{ 'request': 'GET https://a.test/', 'ip': 'here', 'expect': { 'route': 'x' } }]",
        "tests[0].ip", "no IP address", NULL);
    expect_refused(
        "[{ 'request': 'GET https://a.test/', 'headers': [], 'expect': { 'route': 'x' } }]",
        "tests[0].headers", "an object", NULL);
    expect_refused(
        "[{ 'request': 'GET https://a.test/', 'headers': { 'x': 5 }, 'expect': { 'route': "
        "'x' } }]",
        "tests[0].headers.x", "a string", NULL);
    expect_refused("[{ 'request': 'GET https://a.test/', 'expect': { 'status': 'x' } }]",
                   "tests[0].expect.status", "a whole number", NULL);
    expect_refused(
        "[{ 'request': 'GET https://a.test/', 'expect': { 'alert': 'unrecognised_name' } "
        "}]",
        "tests[0].expect.alert", "unrecognized_name", "unrecognized_name");
}

Test(route_tests, are_not_run_on_what_is_wrong_already)
{
    route_folder_load_with_certs(&folder,
                                 "'routes': { 'a.test': 'nobody' }, 'tests': [{ 'request': "
                                 "'GET https://a.test/', 'expect': { 'status': 200 } }]");
    cr_expect_eq(folder.problems.errors, 1, "%s", folder.printed);
}
