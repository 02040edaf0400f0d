#include "support/route_folder.h"

#include <criterion/criterion.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(listen, .init = begin, .fini = end);

static const struct listen_spec *spec_at(const struct snapshot *snapshot, unsigned index,
                                         enum listen_kind kind, const char *text)
{
    cr_assert_lt(index, snapshot->globals->listen_count);
    cr_expect_eq(snapshot->globals->listens[index].kind, kind);
    cr_expect_str_eq(snapshot->globals->listens[index].text, text);
    cr_expect_geq(snapshot->globals->listens[index].address_count, 1);
    return &snapshot->globals->listens[index];
}

static void expect_refused(const char *text, const char *path, const char *message)
{
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", text);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", text, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, NULL);
}

Test(listen, https_alone_by_default)
{
    const struct snapshot *snapshot = route_folder_good(&folder, "'routes': {}");

    cr_expect_eq(snapshot->globals->listen_count, 1);
    spec_at(snapshot, 0, LISTEN_HTTPS, ":8443");
    cr_expect_eq(address_port(&snapshot->globals->listens[0].addresses[0]), 8443);
    cr_expect_not(snapshot->globals->admin_is_named);
}

Test(listen, every_form)
{
    const struct snapshot *snapshot = route_folder_good(
        &folder, "'routes': {}, 'listen': {"
                 "  'admin': 'unix:/run/x/admin.sock', 'status': { 'bind': '127.0.0.1:9901' },"
                 "  'https': ['127.0.0.1:443', { 'bind': '[::1]:0' }],"
                 "  'http': [{ 'bind': '127.0.0.1:80', 'https_port': 8443 },"
                 "           { 'bind': '127.0.0.1:0', 'serve': 'routes' },"
                 "           { 'bind': '127.0.0.1:0', 'serve': 'redirect' }] }");

    cr_expect_eq(snapshot->globals->listen_count, 7);
    spec_at(snapshot, 0, LISTEN_HTTPS, "127.0.0.1:443");
    spec_at(snapshot, 1, LISTEN_HTTPS, "[::1]:0");
    const struct listen_spec *redirect = spec_at(snapshot, 2, LISTEN_HTTP, "127.0.0.1:80");
    cr_expect_not(redirect->serves_routes);
    cr_expect_eq(redirect->https_port, 8443);
    cr_expect_null(redirect->acme_webroot);
    cr_expect(spec_at(snapshot, 3, LISTEN_HTTP, "127.0.0.1:0")->serves_routes);
    cr_expect_not(spec_at(snapshot, 4, LISTEN_HTTP, "127.0.0.1:0")->serves_routes);
    spec_at(snapshot, 5, LISTEN_STATUS, "127.0.0.1:9901");
    spec_at(snapshot, 6, LISTEN_ADMIN, "unix:/run/x/admin.sock");
    cr_expect(snapshot->globals->admin_is_named);
}

Test(listen, off)
{
    const struct snapshot *snapshot = route_folder_good(
        &folder, "'routes': {}, 'listen': { 'https': 'off', 'status': 'off', 'admin': 'off',"
                 "'http': { 'bind': ':0', 'serve': 'routes' } }");

    cr_expect_eq(snapshot->globals->listen_count, 1);
    cr_expect_eq(snapshot->globals->listens[0].kind, LISTEN_HTTP);
    cr_expect(snapshot->globals->admin_is_named, "off is named, too: no default place is tried");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
}

Test(listen, https_off_needs_no_certificate)
{
    route_folder_load(&folder, "{ 'routes': {}, 'listen': { 'https': 'off', "
                               "'http': { 'bind': ':0', 'serve': 'routes' } } }");
    cr_expect(folder.snapshot, "%s", folder.printed);
}

Test(listen, nothing_at_all)
{
    expect_refused("'routes': {}, 'listen': { 'https': 'off' }", "listen",
                   "nothing would be served");
    expect_refused("'routes': {}, 'listen': { 'https': 'off', 'http': 'off' }", "listen",
                   "nothing would be served");
}

Test(listen, a_redirect_to_https_that_is_off)
{
    route_folder_load_with_certs(&folder,
                                 "'routes': {}, 'listen': { 'https': 'off', 'http': ':0' }");
    cr_expect(folder.snapshot);
    route_folder_expect(&folder, 1, 0, "listen.http", "listen.https is off", NULL);
}

Test(listen, addresses_that_are_none)
{
    expect_refused("'routes': {}, 'listen': { 'https': 443 }", "listen.https", "an address");
    expect_refused("'routes': {}, 'listen': { 'https': 'x' }", "listen.https", "x");
    expect_refused("'routes': {}, 'listen': { 'http': ':99999' }", "listen.http", "99999");
    expect_refused("'routes': {}, 'listen': { 'https': [] }", "listen.https", "empty");
    expect_refused("'routes': {}, 'listen': { 'https': [':0', 'off'] }", "listen.https[1]",
                   "alone");
    expect_refused("'routes': {}, 'listen': { 'https': {} }", "listen.https",
                   "\"bind\" is missing");
    expect_refused("'routes': {}, 'listen': { 'https': { 'bind': 5 } }", "listen.https.bind",
                   "an address");
    expect_refused("'routes': {}, 'listen': ':443'", "listen", "an object");
    expect_refused("'routes': {}, 'listen': { 'htps': ':443' }", "listen.htps", "unknown key");
}

Test(listen, kinds_of_sockets)
{
    expect_refused("'routes': {}, 'listen': { 'admin': ':9901' }", "listen.admin", "Unix socket");
    expect_refused("'routes': {}, 'listen': { 'admin': 'unix:admin.sock' }", "listen.admin",
                   "absolute path");
    expect_refused("'routes': {}, 'listen': { 'status': 'unix:/x' }", "listen.status",
                   "only the admin endpoint");
    expect_refused("'routes': {}, 'listen': { 'https': 'unix:/x' }", "listen.https",
                   "only the admin endpoint");
}

Test(listen, an_address_is_listened_on_once)
{
    expect_refused("'routes': {}, 'listen': { 'https': ':443', 'http': '0.0.0.0:443' }",
                   "listen.http", "\"0.0.0.0:443\" is listened on already, as \":443\"");
    expect_refused("'routes': {}, 'listen': { 'admin': ['unix:/a', 'unix:/a'] }", "listen.admin[1]",
                   "already");
    route_folder_good(&folder,
                      "'routes': {}, 'listen': { 'https': '127.0.0.1:0', 'http': '127.0.0.1:0' }");
}

Test(listen, keys_that_have_no_effect)
{
    expect_refused("'routes': {}, 'listen': { 'http': { 'bind': ':0', 'serve': 'routes', "
                   "'https_port': 1 } }",
                   "listen.http.https_port", "no effect");
    expect_refused("'routes': {}, 'listen': { 'https': { 'bind': ':0', 'serve': 'routes' } }",
                   "listen.https.serve", "unknown key");
    expect_refused("'routes': {}, 'listen': { 'http': { 'bind': ':0', 'https_port': 0 } }",
                   "listen.http.https_port", "from 1 to 65535");
    expect_refused("'routes': {}, 'listen': { 'http': { 'bind': ':0', 'serve': 'nothing' } }",
                   "listen.http.serve", "\"redirect\" or \"routes\"");
}
