/* `rate_limit`: how it is read, merged and told. */
#include "config/policies.h"
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

TestSuite(rate_limit, .init = begin, .fini = end);

static void expect_words(const char *host, const char *path, const char *expected)
{
    const struct route *route = route_folder_find(&folder, host, path);
    struct arena arena = {0};
    struct slice words;

    cr_assert_not_null(route);
    words = policies_words(policies_of(route->target_count > 0 ? route->targets[0].settings.policies
                                                               : route->settings.policies,
                                       POLICY_RATE_LIMIT),
                           &arena);
    cr_expect(slice_equal(words, slice_of(expected)), "%s%s: %.*s, not %s", host, path,
              (int)words.len, words.at, expected);
    arena_clear(&arena);
}

static void expect_read(const char *limit, const char *expected)
{
    char text[512];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'respond': {}, 'rate_limit': %s } }",
             limit);
    route_folder_load_with_certs(&folder, text);
    cr_assert(folder.snapshot, "%s: %s", limit, folder.printed);
    expect_words("a.test", "/", expected);
}

Test(rate_limit, what_is_written_and_what_it_means)
{
    expect_read("'50/s'", "50/s per ip burst 50");
    expect_read("'50/s per ip burst 100'", "50/s per ip burst 100");
    expect_read("' 7/d  burst 1 per header:X-Api-Key '", "7/d per header:X-Api-Key burst 1");
    expect_read("'1000000/s per route'", "1000000/s per route burst 1000000");
    expect_read("'60000000/m'", "60000000/m per ip burst 60000000");
    expect_read("{ 'rate': '1/h', '// why': '', 'key': 'cookie:id', 'enforce': false }",
                "1/h per cookie:id burst 1, counted only");
    expect_read("{ 'rate': '9/m', 'burst': 3, 'key': 'client_cert', 'scope': 'process' }",
                "9/m per client_cert burst 3");
    expect_read("['5/s', { 'rate': '100/m', 'key': 'route' }]",
                "5/s per ip burst 5; 100/m per route burst 100");
    expect_read("null", "off");
}

static void expect_refused(const char *limit, const char *path, const char *message,
                           const char *suggestion)
{
    char text[512], whole[128];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'respond': {}, 'rate_limit': %s } }",
             limit);
    snprintf(whole, sizeof(whole), "routes[\"a.test\"].rate_limit%s", path);
    route_folder_load_with_certs(&folder, text);
    cr_assert_null(folder.snapshot, "%s is taken", limit);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", limit, folder.printed);
    route_folder_expect(&folder, 1, 0, whole, message, suggestion);
}

Test(rate_limit, mistakes)
{
    expect_refused("5", "", "\"50/s per ip burst 100\"", NULL);
    expect_refused("''", "", "a rate such as \"50/s\"", NULL);
    expect_refused("'50'", "", "a rate such as \"50/s\"", NULL);
    expect_refused("'50/sec'", "", "a rate such as \"50/s\" (s, m, h or d)", NULL);
    expect_refused("'-1/s'", "", "a rate such as", NULL);
    expect_refused("'1.5/s'", "", "a rate such as", NULL);
    expect_refused("'99999999999999999999/s'", "", "a rate such as", NULL);
    expect_refused("'0/s'", "", "write `null`", NULL);
    expect_refused("'1000001/s'", "", "1000000 a second at most", NULL);
    expect_refused("'1000000001/d'", "", "1000000 a second at most", NULL);
    expect_refused("'5/s per'", "", "is expected, not \"\"", NULL);
    expect_refused("'5/s per header:'", "", "is no name of a header", NULL);
    expect_refused("'5/s per header'", "", "is expected, not \"header\"", "header:");
    expect_refused("'5/s pro ip'", "", "without \"pro\"", NULL);
    expect_refused("'5/s per ip per ip'", "", "without \"per\"", NULL);
    expect_refused("'5/s burst'", "", "a number from 1 to", NULL);
    expect_refused("'5/s burst 0'", "", "a number from 1 to", NULL);
    expect_refused("'1/d burst 400'", "", "more than 366 days", NULL);
    expect_refused("[]", "", "the list is empty", NULL);
    expect_refused("[null]", "[0]", "\"50/s per ip burst 100\"", NULL);
    expect_refused("['1/s', ['1/s']]", "[1]", "\"50/s per ip burst 100\"", NULL);
    expect_refused("['1/s', { 'burst': 5 }]", "[1]", "\"rate\"", NULL);
    expect_refused("{}", "", "\"rate\"", NULL);
    expect_refused("{ 'rate': 5 }", ".rate", "a rate such as", NULL);
    expect_refused("{ 'rat': '5/s' }", ".rat", "unknown key", "rate");
    expect_refused("{ 'rate': '5/s', 'burst': 0 }", ".burst", "1", NULL);
    expect_refused("{ 'rate': '1/d', 'burst': 400 }", ".burst", "more than 366 days", NULL);
    expect_refused("{ 'rate': '5/s', 'key': 'ips' }", ".key", "is expected, not", "ip");
    expect_refused("{ 'rate': '5/s', 'key': 'cookie:a b' }", ".key", "is no name of a cookie",
                   NULL);
    expect_refused("{ 'rate': '5/s', 'scope': 'host' }", ".scope", "", NULL);
    expect_refused("{ 'rate': '5/s', 'enforce': 'no' }", ".enforce", "", NULL);
}

Test(rate_limit, too_many_in_a_list)
{
    expect_refused("['1/s', '1/s', '1/s', '1/s', '1/s', '1/s', '1/s', '1/s', '1/s', '1/s', '1/s', "
                   "'1/s', '1/s', '1/s', '1/s', '1/s', '1/s']",
                   "[16]", "16 limits at most", NULL);
}

Test(rate_limit, objects_merge_and_the_rest_replaces)
{
    route_folder_good(
        &folder, "'defaults': { 'rate_limit': { 'rate': '10/s', 'burst': 20, 'key': 'header:a' } },"
                 "'backends': { 'b': { 'servers': 'x:1', 'rate_limit': { 'enforce': false } } },"
                 "'routes': {"
                 " 'a.test': { 'respond': {} },"
                 " 'b.test': { 'to': 'b', 'rate_limit': { 'burst': 9 } },"
                 " 'c.test': { 'rate_limit': '3/s', 'paths': {"
                 "   '/': { 'respond': {} },"
                 "   '/x': { 'respond': {}, 'rate_limit': { 'rate': '4/m' } },"
                 "   '/y': { 'respond': {}, 'rate_limit': { 'burst': 8 } },"
                 "   '/z': { 'respond': {}, 'rate_limit': null } } },"
                 " 'd.test': { 'rate_limit': ['3/s', '8/m'], 'paths': {"
                 "   '/': { 'respond': {} },"
                 "   '/x': { 'respond': {}, 'rate_limit': { 'rate': '2/m' } } } } }");
    expect_words("a.test", "/", "10/s per header:a burst 20");
    expect_words("b.test", "/", "10/s per header:a burst 9, counted only");
    expect_words("c.test", "/", "3/s per ip burst 3");
    expect_words("c.test", "/x", "4/m per ip burst 4");
    expect_words("c.test", "/y", "3/s per ip burst 8");
    expect_words("c.test", "/z", "off");
    expect_words("d.test", "/", "3/s per ip burst 3; 8/m per ip burst 8");
    expect_words("d.test", "/x", "2/m per ip burst 2");
}

Test(rate_limit, without_a_rate_there_is_one_behind_it)
{
    static const char *const bad[] = {
        "'defaults': { 'rate_limit': { 'burst': 5 } }, 'routes': {}",
        "'routes': { 'a.test': { 'rate_limit': null, 'paths': {"
        " '/': { 'respond': {}, 'rate_limit': { 'burst': 5 } } } } },"
        " 'defaults': { 'rate_limit': '1/s' }",
        "'routes': { 'a.test': { 'rate_limit': ['1/s'], 'paths': {"
        " '/': { 'respond': {}, 'rate_limit': { 'burst': 5 } } } } }",
        "'backends': { 'b': { 'servers': 'x:1', 'rate_limit': { 'enforce': false } } },"
        " 'routes': {}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        route_folder_load_with_certs(&folder, bad[i]);
        cr_expect_null(folder.snapshot, "%s", bad[i]);
        cr_expect_eq(folder.problems.errors, 1, "%s: %s", bad[i], folder.printed);
    }
}
