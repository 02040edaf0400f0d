/* `allow`, `deny`, `hsts` and `errors`: what is read, what is refused, what is told. */
#include "config/policies.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;
static struct arena arena;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    arena_clear(&arena);
    route_folder_clear(&folder);
}

TestSuite(access_keys, .init = begin, .fini = end);

static const struct settings *settings_of(const char *host, const char *path)
{
    const struct route *route = route_folder_find(&folder, host, path);

    cr_assert_not_null(route);
    return route->kind == ROUTE_TO ? &route->targets[0].settings : &route->settings;
}

static void expect_words(const char *host, enum policy_kind kind, const char *wanted)
{
    const struct policy *policy = policies_of(settings_of(host, "/")->policies, kind);
    struct slice words = policies_words(policy, &arena);

    cr_expect(slice_equal(words, slice_of(wanted)), "%s: \"%.*s\", not \"%s\"", host,
              (int)words.len, words.at, wanted);
}

static void expect_refused(const char *members, const char *path, const char *message,
                           const char *suggestion)
{
    char text[1024];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'respond': {}, %s } }", members);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", members);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", members, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, suggestion);
}

static void expect_warning(const char *members, const char *path, const char *message)
{
    char text[1024];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'respond': {}, %s } }", members);
    route_folder_good(&folder, text);
    if (message)
        route_folder_expect(&folder, 1, 0, path, message, NULL);
    cr_expect_eq(folder.problems.count, message ? 1u : 0u, "%s: %s", members, folder.printed);
}

/* --- allow and deny -----------------------------------------------------------------------------
 */

Test(access_keys, lists_replace_and_null_turns_them_off)
{
    route_folder_good(
        &folder,
        "'defaults': { 'allow': ['10.0.0.0/8'], 'deny': ['10.1.0.0/16', '10.1.0.0/16'] },"
        "'backends': { 'b': { 'servers': ['x:1'], 'deny': ['::1'] } },"
        "'routes': { 'a.test': 'x:1', 'b.test': 'b', 'c.test': { 'to': 'b', 'allow': null },"
        "            'd.test': { 'respond': {}, 'allow': [], 'deny': null } }");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
    expect_words("a.test", POLICY_ALLOW, "10.0.0.0/8");
    expect_words("a.test", POLICY_DENY, "10.1.0.0/16, 10.1.0.0/16");
    expect_words("b.test", POLICY_ALLOW, "10.0.0.0/8");
    expect_words("b.test", POLICY_DENY, "::1/128");
    expect_words("c.test", POLICY_ALLOW, "off");
    expect_words("c.test", POLICY_DENY, "::1/128");
    expect_words("d.test", POLICY_ALLOW, "nobody");
    expect_words("d.test", POLICY_DENY, "off");
}

Test(access_keys, networks_that_are_none)
{
    expect_refused("'allow': '10.0.0.0/8'", "routes[\"a.test\"].allow", "a list of blocks", NULL);
    expect_refused("'deny': { }", "routes[\"a.test\"].deny", "a list of blocks", NULL);
    expect_refused("'allow': ['10.0.0.0/8', '10.0.0.1/8']", "routes[\"a.test\"].allow[1]",
                   "did you mean 10.0.0.0/8?", NULL);
    expect_refused("'deny': ['10.0.0.0/33']", "routes[\"a.test\"].deny[0]", "from 0 to 32", NULL);
    expect_refused("'deny': ['example.com']", "routes[\"a.test\"].deny[0]", "not a network", NULL);
    expect_refused("'deny': [7]", "routes[\"a.test\"].deny[0]", "an address or a block", NULL);
}

Test(access_keys, a_network_in_both_lists_is_a_warning)
{
    expect_warning("'allow': ['10.0.0.0/8', '::1'], 'deny': ['10.1.0.0/16', '::1/128']",
                   "routes[\"a.test\"].allow[1]", "stands in \"deny\" too");
    expect_warning("'allow': ['10.0.0.0/8', '10.0.0.0/8'], 'deny': ['10.1.0.0/16']", NULL, NULL);
}

/* Each once read, sorted and built into its tree. */
Test(access_keys, many_networks_are_read_at_once)
{
    enum { MANY = 100000 };
    char *text = malloc(MANY * 24 + 200), *at = text;
    struct policies policies;

    at += sprintf(at, "'routes': { 'a.test': { 'respond': {}, 'deny': [");
    for (unsigned i = 0; i < MANY; i++)
        at += sprintf(at, "%s'%u.%u.%u.0/24'", i > 0 ? "," : "", 1 + i / 65536, i / 256 % 256,
                      i % 256);
    sprintf(at, "] } }");
    route_folder_good(&folder, text);
    cr_expect_eq(folder.problems.count, 0);
    policies = *settings_of("a.test", "/")->policies;
    cr_expect_not_null(policies.of[POLICY_DENY]);
    free(text);
}

static void expect_test(const char *ip, const char *expected, bool passes)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "'defaults': { 'deny': ['10.1.0.0/16'] }, 'trusted_proxies': ['127.0.0.1'],"
             "'backends': { 'b': { 'servers': ['x:1'], 'allow': ['10.0.0.0/8'] },"
             "              'c': 'x:2' },"
             "'routes': { 'a.test': { 'paths': { '/': 'b', '/to': { 'redirect': '/' }, "
             "                                   '/split': { 'to': { 'b': 1, 'c': 1 } } } } },"
             "'tests': [{ %s, 'expect': { %s } }]",
             ip, expected);
    route_folder_load_with_certs(&folder, text);
    cr_expect_eq(folder.snapshot != NULL, passes, "%s: %s: %s", ip, expected, folder.printed);
}

Test(access_keys, tests_with_an_address_are_judged)
{
    expect_test("'request': 'GET https://a.test/', 'ip': '10.0.0.1'", "'backend': 'b'", true);
    expect_test("'request': 'GET https://a.test/', 'ip': '10.1.0.1'", "'status': 403", true);
    expect_test("'request': 'GET https://a.test/', 'ip': '10.1.0.1'",
                "'route': 'a.test/', 'status': 403", true);
    expect_test("'request': 'GET https://a.test/', 'ip': '10.1.0.1'", "'backend': 'b'", false);
    expect_test("'request': 'GET https://a.test/', 'ip': '11.0.0.1'", "'status': 403", true);
    expect_test("'request': 'GET https://a.test/to', 'ip': '11.0.0.1'", "'status': 308", true);
    expect_test("'request': 'GET https://a.test/to', 'ip': '10.1.0.1'", "'status': 403", true);
    /* one of the shares lets it pass */
    expect_test("'request': 'GET https://a.test/split', 'ip': '11.0.0.1'", "'backend': 'c'", true);
    expect_test("'request': 'GET https://a.test/split', 'ip': '10.1.0.1'", "'status': 403", true);
    /* which address it comes from is not said, or is the client's of a trusted proxy */
    expect_test("'request': 'GET https://a.test/'", "'backend': 'b'", true);
    expect_test("'request': 'GET https://a.test/', 'ip': '127.0.0.1', "
                "'headers': { 'X-Forwarded-For': '10.1.0.1' }",
                "'status': 403", true);
    expect_test("'request': 'GET https://a.test/', 'ip': '127.0.0.1', "
                "'headers': { 'X-Forwarded-For': '10.2.0.1' }",
                "'backend': 'b'", true);
}

/* --- hsts ---------------------------------------------------------------------------------------
 */

Test(access_keys, hsts_in_words_becomes_the_field)
{
    route_folder_good(&folder,
                      "'defaults': { 'hsts': '1y; includeSubDomains' }, 'routes': {"
                      "'a.test': 'x:1', 'b.test': { 'respond': {}, 'hsts': '0s' },"
                      "'c.test': { 'respond': {}, 'hsts': '2y;INCLUDESUBDOMAINS ; preload;' },"
                      "'d.test': { 'respond': {}, 'hsts': null },"
                      "'e.test': { 'respond': {}, 'hsts': '3w' } }");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
    expect_words("a.test", POLICY_HSTS, "max-age=31536000; includeSubDomains");
    expect_words("b.test", POLICY_HSTS, "max-age=0");
    expect_words("c.test", POLICY_HSTS, "max-age=63072000; includeSubDomains; preload");
    expect_words("d.test", POLICY_HSTS, "off");
    expect_words("e.test", POLICY_HSTS, "max-age=1814400");
}

Test(access_keys, hsts_that_says_something_else)
{
    const char *path = "routes[\"a.test\"].hsts";

    expect_refused("'hsts': true", path, "a text such as", NULL);
    expect_refused("'hsts': ''", path, "a time such as \"1y\" comes first", NULL);
    expect_refused("'hsts': 'includeSubDomains; 1y'", path, "comes first", NULL);
    expect_refused("'hsts': '1'", path, "comes first", NULL);
    expect_refused("'hsts': '1ms'", path, "comes first", NULL);
    expect_refused("'hsts': '101y'", path, "at most 100y", NULL);
    expect_refused("'hsts': '18446744073709551615y'", path, "at most 100y", NULL);
    expect_refused("'hsts': '1y; includeSubdomain'", path, "includeSubDomains",
                   "includeSubDomains");
    expect_refused("'hsts': '1y; prelaod'", path, "each once", "preload");
    expect_refused("'hsts': '1y; preload; preload'", path, "each once", NULL);
    expect_refused("'hsts': '1y includeSubDomains'", path, "comes first", NULL);
}

Test(access_keys, hsts_that_no_list_takes_is_a_warning)
{
    const char *path = "routes[\"a.test\"].hsts";

    expect_warning("'hsts': '1y; preload'", path, "without \"includeSubDomains\"");
    expect_warning("'hsts': '300d; includeSubDomains; preload'", path, "less than \"1y\"");
    expect_warning("'hsts': '1y; includeSubDomains; preload'", path, NULL);
}

/* --- errors -------------------------------------------------------------------------------------
 */

static void expect_pages(const char *host, const char *wanted)
{
    char text[512], path[300];
    size_t length = 0;

    /* "@" is where the folder is */
    for (const char *at = wanted; *at; at++) {
        snprintf(path, sizeof(path), *at == '@' ? "%s/" : "%.1s", *at == '@' ? folder.path : at);
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", path);
    }
    expect_words(host, POLICY_ERRORS, text);
}

Test(access_keys, pages_are_merged_and_null_turns_them_off)
{
    route_folder_write(&folder, "a.html", "a");
    route_folder_write(&folder, "b.json", "{}");
    route_folder_good(
        &folder, "'defaults': { 'errors': { '5xx': { 'file': 'a.html' }, '//': 1, '404': { 'file': "
                 "  'b.json' }, 'of_backends': true } },"
                 "'routes': { 'a.test': 'x:1', 'b.test': { 'to': 'x:1', 'errors': null },"
                 "  'c.test': { 'to': 'x:1', 'errors': { '502': { 'file': 'b.json' }, '404': null,"
                 "    'of_backends': false } }, 'd.test': { 'respond': {}, 'errors': {} } }");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
    expect_pages("a.test", "5xx @a.html, 404 @b.json, of backends too");
    expect_pages("b.test", "off");
    expect_pages("c.test", "502 @b.json, 404 off, 5xx @a.html");
    expect_pages("d.test", "5xx @a.html, 404 @b.json, of backends too");
}

Test(access_keys, pages_that_are_none)
{
    static const char place[] = "routes[\"a.test\"].errors";

    route_folder_write(&folder, "a.html", "a");
    expect_refused("'errors': 'a.html'", place, "an object", NULL);
    expect_refused("'errors': { '502': 'a.html' }", "routes[\"a.test\"].errors[\"502\"]",
                   "an object", NULL);
    expect_refused("'errors': { '502': {} }", "routes[\"a.test\"].errors[\"502\"]",
                   "\"file\" is missing", NULL);
    expect_refused("'errors': { '502': { 'flie': 'a.html' } }",
                   "routes[\"a.test\"].errors[\"502\"].flie", "unknown key", "file");
    expect_refused("'errors': { '502': { 'file': 7 } }", "routes[\"a.test\"].errors[\"502\"].file",
                   "a file such as", NULL);
    expect_refused("'errors': { '302': { 'file': 'a.html' } }",
                   "routes[\"a.test\"].errors[\"302\"]", "a status from 400 to 599", NULL);
    expect_refused("'errors': { '3xx': { 'file': 'a.html' } }", NULL, "a status from 400", NULL);
    expect_refused("'errors': { 'of_backend': true }", NULL, "unknown key", "of_backends");
    expect_refused("'errors': { 'of_backends': 1 }", NULL, "true or false", NULL);
}

/* It would show only once something goes wrong. */
Test(access_keys, pages_that_cannot_be_read)
{
    char *large = malloc(1024 * 1024 + 2);

    memset(large, 'a', 1024 * 1024 + 1);
    large[1024 * 1024 + 1] = '\0';
    route_folder_write(&folder, "large.html", large);
    expect_refused("'errors': { '5xx': { 'file': 'none.html' } }",
                   "routes[\"a.test\"].errors[\"5xx\"].file", "No such file", NULL);
    expect_refused("'errors': { '5xx': { 'file': 'certs' } }",
                   "routes[\"a.test\"].errors[\"5xx\"].file", "certs", NULL);
    expect_refused("'errors': { '5xx': { 'file': 'large.html' } }",
                   "routes[\"a.test\"].errors[\"5xx\"].file", "at most 1 MiB", NULL);
    free(large);
}
