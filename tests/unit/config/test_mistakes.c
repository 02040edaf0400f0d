/* Every kind of mistake: its line, its column, its path, what is said, what was meant. */
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

TestSuite(mistakes, .init = begin, .fini = end);

static const char ten[] = "{\n"
                          "  'certs': 'certs',\n"
                          "  'lisen': { 'https': ':0' },\n"
                          "  'drain_delay': '5 seconds',\n"
                          "  'log': { 'level': 'wran' },\n"
                          "  'user': 'no one here',\n"
                          "  'backends': { 'api': { 'servers': ['localhost'] } },\n"
                          "  'routes': {\n"
                          "    'a.test': 'apii',\n"
                          "    'b.test': { 'to': 'api', 'redirect': '/' },\n"
                          "    'c.test': { 'to': 'api', 'timeout': { 'handshake': '1s' } },\n"
                          "    'd.test': { 'to': 'x:1', 'max_body': true },\n"
                          "    'd.test': 'x:2'\n"
                          "  }\n"
                          "}\n";

Test(mistakes, ten_at_once)
{
    route_folder_load(&folder, ten);
    cr_expect_null(folder.snapshot);
    cr_expect_eq(folder.problems.errors, 10, "%s", folder.printed);
    route_folder_expect(&folder, 3, 3, "lisen", "unknown key", "listen");
    route_folder_expect(&folder, 4, 18, "drain_delay", "no duration", NULL);
    route_folder_expect(&folder, 5, 21, "log.level", "is expected, not \"wran\"", "warn");
    route_folder_expect(&folder, 6, 11, "user", "this machine has no user", NULL);
    route_folder_expect(&folder, 7, 38, "backends.api.servers[0]", "port", NULL);
    route_folder_expect(&folder, 9, 15, "routes[\"a.test\"]", "there is no backend \"apii\"",
                        "api");
    route_folder_expect(&folder, 10, 30, "routes[\"b.test\"].redirect", "only one of", NULL);
    route_folder_expect(&folder, 11, 43, "routes[\"c.test\"].timeout.handshake",
                        "belongs in \"defaults\"", NULL);
    route_folder_expect(&folder, 12, 42, "routes[\"d.test\"].max_body", "a size", NULL);
    route_folder_expect(&folder, 13, 5, "routes[\"d.test\"]", "is on line 12 already", NULL);
}

Test(mistakes, come_in_the_order_of_the_file)
{
    route_folder_load(&folder, ten);
    for (size_t i = 1; i < folder.problems.count; i++)
        cr_expect_leq(folder.problems.list[i - 1].line, folder.problems.list[i].line);
}

Test(mistakes, name_the_file_as_it_was_named)
{
    route_folder_load(&folder, "{");
    cr_assert_eq(folder.problems.count, 1);
    cr_expect_str_eq(folder.problems.list[0].file, folder.file);
    route_folder_expect(&folder, 1, 2, NULL, "ends here", NULL);
}

Test(mistakes, of_a_file_that_cannot_be_read)
{
    struct problems problems = {0};

    cr_expect_null(snapshot_load("/nonexistent/routes.json",
                                 &(struct load_options){.keys = folder.keys}, &problems));
    cr_assert_eq(problems.count, 1);
    cr_expect_eq(problems.list[0].line, 0);
    cr_expect(strstr(problems.list[0].message, "No such file"));
    problems_clear(&problems);
    cr_expect_null(snapshot_load("/tmp", &(struct load_options){.keys = folder.keys}, &problems));
    cr_expect_eq(problems.errors, 1);
    problems_clear(&problems);
}

Test(mistakes, of_the_root)
{
    route_folder_load(&folder, "[]");
    route_folder_expect(&folder, 1, 1, "", "an object is expected, not a list", NULL);
    cr_expect_eq(folder.problems.errors, 1);
    route_folder_load(&folder, "{}");
    route_folder_expect(&folder, 1, 1, "", "\"routes\" is missing", NULL);
    route_folder_expect(&folder, 1, 1, "", "\"certs\" is missing", NULL);
    cr_expect_eq(folder.problems.errors, 2);
}

Test(mistakes, a_mistyped_key_is_not_missing_too)
{
    route_folder_load(&folder, "{ 'cert': 'certs', 'route': {} }");
    cr_expect_eq(folder.problems.errors, 2, "%s", folder.printed);
    route_folder_load_with_certs(&folder, "'backends': { 'a': { 'server': ['x:1'] } }, 'routes': "
                                          "{ 'a.test': { 'too': 'x:1' } }");
    cr_expect_eq(folder.problems.errors, 2, "%s", folder.printed);
}

Test(mistakes, settings_outside_their_places)
{
    route_folder_load_with_certs(&folder,
                                 "\n'timeout': { 'connect': '1s' },"
                                 "\n'defaults': { 'servers': ['x:1'] },"
                                 "\n'backends': { 'b': { 'servers': ['x:1'], 'limits': {} } },"
                                 "\n'routes': { 'a.test': { 'to': 'b', 'keepalive': 1 },"
                                 "\n 'b.test': { 'paths': { '/': { 'paths': {} } } },"
                                 "\n 'c.test': { 'paths': { '/': 'b' }, 'timeout': { 'header': "
                                 "'1s' } } }");
    route_folder_expect(&folder, 2, 1, "timeout", "belongs in \"defaults\"", NULL);
    route_folder_expect(&folder, 3, 15, "defaults.servers", "an entry of \"backends\"", NULL);
    route_folder_expect(&folder, 4, 42, "backends.b.limits", "belongs in \"defaults\"", NULL);
    route_folder_expect(&folder, 5, 36, "routes[\"a.test\"].keepalive", "an entry of \"backends\"",
                        NULL);
    route_folder_expect(&folder, 6, 32, "routes[\"b.test\"].paths[\"/\"].paths",
                        "a host of \"routes\"", NULL);
    route_folder_expect(&folder, 7, 50, "routes[\"c.test\"].timeout.header",
                        "belongs in \"defaults\"", NULL);
}

Test(mistakes, settings_of_backends_where_none_is_asked)
{
    route_folder_load_with_certs(
        &folder,
        "'routes': {"
        "\n'a.test': { 'redirect': '/x', 'timeout': { 'connect': '1s', 'body_idle': '1s' } },"
        "\n'b.test': { 'respond': {}, 'retry': { 'attempts': 3 } },"
        "\n'c.test': { 'host': 'backend', 'paths': { '/': { 'respond': {} } } },"
        "\n'd.test': { 'host': 'backend', 'paths': { '/': { 'respond': {} }, '/x': 'y:1' } },"
        "\n'e.test': { 'paths': { '/': { 'respond': {}, 'max_body': 1 }, '/x': 'y:1' } } }");
    cr_expect_eq(folder.problems.errors, 4, "%s", folder.printed);
    route_folder_expect(&folder, 2, 44, "routes[\"a.test\"].timeout.connect", "a redirect", NULL);
    route_folder_expect(&folder, 3, 39, "routes[\"b.test\"].retry.attempts", "no effect", NULL);
    route_folder_expect(&folder, 4, 13, "routes[\"c.test\"].host", "none of these paths", NULL);
    route_folder_expect(&folder, 6, 46, "routes[\"e.test\"].paths[\"/\"].max_body", "no effect",
                        NULL);
}

Test(mistakes, of_user_and_group)
{
    route_folder_load_with_certs(&folder, "'routes': {}, 'group': 'root'");
    route_folder_expect(&folder, 1, 0, "group", "no effect without \"user\"", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'user': 'root', 'group': 'no one here'");
    route_folder_expect(&folder, 1, 0, "group", "this machine has no group", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'user': 0");
    route_folder_expect(&folder, 1, 0, "user", "the name of a user", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'user': '-1'");
    route_folder_expect(&folder, 1, 0, "user", "this machine has no user", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'user': '4294967295', 'group': 'root'");
    route_folder_expect(&folder, 1, 0, "user", "this machine has no user", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'user': '4123456789'");
    route_folder_expect(&folder, 1, 0, "user", "\"group\" is needed as well", NULL);
}

Test(mistakes, of_proxy_protocol)
{
    route_folder_load_with_certs(
        &folder,
        "\n'listen': { 'https': [{ 'bind': ':1', 'proxy_protocol': { 'from': ['10.0.0.1/8'] } },"
        "\n { 'bind': ':2', 'proxy_protocol': { 'from': [] } },"
        "\n { 'bind': ':3', 'proxy_protocol': { 'form': ['::1'] } },"
        "\n { 'bind': ':4', 'proxy_protocol': { 'from': ['unix:'] } }],"
        "\n 'http': { 'bind': ':5', 'proxy_protocol': {} },"
        "\n 'status': { 'bind': ':6', 'proxy_protocol': { 'from': ['::1'] } } },"
        "\n'backends': { 'b': { 'servers': 'x:1', 'proxy_protocol': 'v1' },"
        "\n 'c': { 'servers': 'x:1', 'keepalive': 2, 'proxy_protocol': 'v2' } },"
        "\n'routes': { 'a.test': { 'to': 'b', 'proxy_protocol': 'v2' } }");
    cr_expect_eq(folder.problems.errors, 9, "%s", folder.printed);
    route_folder_expect(&folder, 2, 68, "listen.https[0].proxy_protocol.from[0]",
                        "did you mean 10.0.0.0/8?", NULL);
    route_folder_expect(&folder, 3, 46, "listen.https[1].proxy_protocol.from", "is empty", NULL);
    route_folder_expect(&folder, 4, 38, "listen.https[2].proxy_protocol.form", "unknown key",
                        "from");
    route_folder_expect(&folder, 5, 47, "listen.https[3].proxy_protocol.from[0]",
                        "is not a network", NULL);
    route_folder_expect(&folder, 6, 44, "listen.http.proxy_protocol", "\"from\" is missing", NULL);
    route_folder_expect(&folder, 7, 28, "listen.status.proxy_protocol", "unknown key", NULL);
    route_folder_expect(&folder, 8, 58, "backends.b.proxy_protocol", "\"v2\"", NULL);
    route_folder_expect(&folder, 9, 27, "backends.c.keepalive", "has no effect here", NULL);
    route_folder_expect(&folder, 10, 36, "routes[\"a.test\"].proxy_protocol",
                        "an entry of \"backends\"", NULL);
}
