#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(certs, .init = begin, .fini = end);

static void expect_refused(const char *text, const char *path, const char *message)
{
    route_folder_load(&folder, text);
    cr_expect_null(folder.snapshot, "%s", text);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", text, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, NULL);
}

static size_t count_certs(const char *text)
{
    route_folder_load(&folder, text);
    cr_assert(folder.snapshot, "%s", folder.printed);
    return cert_store_count(tls_server_certs(folder.snapshot->tls));
}

Test(certs, every_form)
{
    route_folder_certify(&folder, "more", "more.test", 90);
    cr_expect_eq(count_certs("{ 'routes': {}, 'certs': 'certs' }"), 2);
    cr_expect_eq(count_certs("{ 'routes': {}, 'certs': 'certs/more.crt' }"), 1);
    cr_expect_eq(count_certs("{ 'routes': {}, 'certs': ['certs/more.crt', 'certs/test.crt'] }"), 2);
    cr_expect_eq(count_certs("{ 'routes': {}, 'certs': { 'chain': 'certs/more.crt', "
                             "'key': 'certs/more.key' } }"),
                 1);
}

Test(certs, settings_reach_tls)
{
    const char *alert = NULL;

    route_folder_load(&folder, "{ 'routes': {}, 'certs': 'certs', 'tls': { 'unknown_sni': "
                               "'default', 'default_cert': 'LOCALHOST' } }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    cr_expect(tls_server_choose(folder.snapshot->tls, slice_of("x.example"), &alert));
    route_folder_load(&folder, "{ 'routes': {}, 'certs': 'certs', 'tls': { 'default_cert': "
                               "'localhost' } }");
    cr_expect_null(tls_server_choose(folder.snapshot->tls, slice_of("x.example"), &alert));
    cr_expect_str_eq(alert, "unrecognized_name");
    cr_expect(tls_server_choose(folder.snapshot->tls, slice_of(""), &alert),
              "a client without SNI gets it all the same");
    route_folder_load(&folder, "{ 'routes': {}, 'certs': 'certs' }");
    cr_expect_null(tls_server_choose(folder.snapshot->tls, slice_of(""), &alert));
}

static void expect_alpn(const char *tls, const char *first, const char *second)
{
    const char *const expected[] = {first, second};
    char text[128];

    snprintf(text, sizeof(text), "{ 'routes': {}, 'certs': 'certs'%s }", tls);
    route_folder_load(&folder, text);
    cr_assert(folder.snapshot, "%s", folder.printed);
    const struct tls_settings *settings = &folder.snapshot->config->tls;
    cr_assert_eq(settings->alpn_count, second ? 2 : 1, "%s", tls);
    for (size_t i = 0; i < settings->alpn_count; i++)
        cr_expect_str_eq(settings->alpn[i], expected[i], "%s", tls);
}

Test(certs, protocols_in_the_order_of_the_list)
{
    expect_alpn("", "h2", "http/1.1");
    expect_alpn(", 'tls': { 'alpn': ['h2', 'http/1.1'] }", "h2", "http/1.1");
    expect_alpn(", 'tls': { 'alpn': ['http/1.1', 'h2'] }", "http/1.1", "h2");
    expect_alpn(", 'tls': { 'alpn': ['http/1.1'] }", "http/1.1", NULL);
    expect_alpn(", 'tls': { 'alpn': ['h2'] }", "h2", NULL);
}

Test(certs, values_that_are_none)
{
    expect_refused("{ 'routes': {} }", "", "\"certs\" is missing");
    expect_refused("{ 'routes': {}, 'certs': [] }", "certs", "no usable certificate");
    expect_refused("{ 'routes': {}, 'certs': '' }", "certs", "empty");
    expect_refused("{ 'routes': {}, 'certs': 5 }", "certs", "a folder, a PEM file");
    expect_refused("{ 'routes': {}, 'certs': ['certs', true] }", "certs[1]", "a folder");
    expect_refused("{ 'routes': {}, 'certs': ['certs', { 'chain': 'certs/test.crt' }] }",
                   "certs[1]", "\"key\" is missing");
    expect_refused("{ 'routes': {}, 'certs': ['certs', { 'key': 'certs/test.key' }] }", "certs[1]",
                   "\"chain\" is missing");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'min_version': 1.2 } }",
                   "tls.min_version", "\"1.2\" or \"1.3\"");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'unknown_sni': 'default' } }",
                   "tls.unknown_sni", "needs tls.default_cert");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'default_cert': 'x.example' } }",
                   "tls.default_cert", "no certificate covers \"x.example\"");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'default_cert': 'a b' } }",
                   "tls.default_cert", "no host name");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': [] } }", "tls.alpn",
                   "empty");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': ['spdy/3'] } }",
                   "tls.alpn[0]", "not spoken here: \"h2\" and \"http/1.1\" are");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': ['h2', 'http/2'] } }",
                   "tls.alpn[1]", "\"http/2\" is not spoken");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': ['H2'] } }", "tls.alpn[0]",
                   "not spoken");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': 'h2' } }", "tls.alpn",
                   "a list of protocols");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': [2] } }", "tls.alpn[0]",
                   "a protocol such as");
    expect_refused(
        "{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': ['http/1.1', 'http/1.1'] } }",
        "tls.alpn[1]", "already");
    expect_refused(
        "{ 'routes': {}, 'certs': 'certs', 'tls': { 'alpn': ['h2', 'http/1.1', 'h2'] } }",
        "tls.alpn[2]", "already");
    expect_refused("{ 'routes': {}, 'certs': 'certs', 'tls': { 'tickets': 'no' } }", "tls.tickets",
                   "true or false");
}

Test(certs, a_broken_one_does_not_stop_the_others)
{
    static const char text[] = "{ 'routes': {},\n 'certs': ['certs',\n 'nowhere'] }";

    route_folder_load(&folder, text);
    cr_assert(folder.snapshot, "%s", folder.printed);
    cr_expect_eq(folder.problems.count, 1);
    route_folder_expect(&folder, 3, 2, "certs[1]", "nowhere", NULL);
    folder.strict_certs = true;
    route_folder_load(&folder, text);
    cr_expect_null(folder.snapshot);
    route_folder_expect(&folder, 3, 2, "certs[1]", "nowhere", NULL);
}

Test(certs, what_is_missing_is_said_once)
{
    expect_refused("{ 'routes': {}, 'certs': 'nowhere' }", "certs", "nowhere");
}

Test(certs, a_folder_without_any)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/empty", folder.path);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused("{ 'routes': {}, 'certs': 'empty' }", "certs", "empty");
}

Test(certs, expiry_is_warned_of)
{
    route_folder_certify(&folder, "old", "old.test", -3);
    route_folder_certify(&folder, "soon", "soon.test", 13);
    route_folder_certify(&folder, "later", "later.test", 16);
    route_folder_load(&folder, "{ 'routes': {}, 'certs': [ 'certs/later.crt',\n"
                               "'certs/old.crt',\n'certs/soon.crt' ] }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    cr_expect_eq(folder.problems.count, 2, "%s", folder.printed);
    route_folder_expect(&folder, 2, 1, "certs[1]", "has expired", NULL);
    route_folder_expect(&folder, 3, 1, "certs[2]", "expires", NULL);
}

/* One path may begin with another one and not lie below it. */
Test(certs, expiry_is_told_where_the_file_is_named)
{
    route_folder_certify(&folder, "a", "a.test", 90);
    route_folder_certify(&folder, "a.crt2", "b.test", -3);
    route_folder_load(&folder, "{ 'routes': {}, 'certs': [ 'certs/a.crt',\n"
                               "'certs/a.crt2.crt' ] }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    route_folder_expect(&folder, 2, 1, "certs[1]", "has expired", NULL);
}

Test(certs, hosts_without_one_are_warned_of)
{
    route_folder_certify(&folder, "ip", "192.0.2.1 ::1", 90);
    route_folder_load_with_certs(&folder, "'routes': { 'a.test': 'x:1',\n'b.example': 'x:1',\n"
                                          "'*.c.example': 'x:1', '*': 'x:1', '192.0.2.1': 'x:1', "
                                          "'[::1]': 'x:1',\n'192.0.2.2': 'x:1' }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    cr_expect_eq(folder.problems.count, 2, "%s", folder.printed);
    route_folder_expect(&folder, 2, 1, "routes[\"b.example\"]", "no certificate covers", NULL);
    route_folder_expect(&folder, 4, 1, "routes[\"192.0.2.2\"]", "no certificate covers", NULL);
}

Test(certs, warnings_about_hosts_are_bounded)
{
    char text[4096] = "'routes': { '*': 'x:1'";
    char host[64];

    for (int i = 0; i < 30; i++) {
        snprintf(host, sizeof(host), ", 'h%d.example': 'x:1'", i);
        strcat(text, host);
    }
    strcat(text, " }");
    route_folder_load_with_certs(&folder, text);
    cr_expect_eq(folder.problems.count, 21);
    route_folder_expect(&folder, 1, 0, "routes", "10 more hosts", NULL);
}

Test(certs, plaintext_alone_warns_of_no_host)
{
    route_folder_load_with_certs(&folder, "'routes': { 'b.example': 'x:1' }, 'listen': { 'https': "
                                          "'off', 'http': { 'bind': ':0', 'serve': 'routes' } }");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
}
