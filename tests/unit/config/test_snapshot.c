#include "support/dns_server.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
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

TestSuite(snapshot, .init = begin, .fini = end);

static uint64_t fingerprint(const char *text)
{
    return route_folder_good(&folder, text)->fingerprint;
}

Test(snapshot, a_fingerprint_is_of_the_meaning)
{
    setenv("SALLYPORT_TEST_ADDRESS", "x:1", 1);
    uint64_t first =
        fingerprint("'routes': { 'a.test': 'x:1', 'b.test': 'x:2' }, 'drain_delay': 0");

    cr_expect_eq(first, fingerprint("'drain_delay':0,\n'routes':{'b.test':'x:2','a.test':'x:1'}"));
    cr_expect_eq(first,
                 fingerprint("'drain_delay': 0, '// why': 5, 'routes': { '//': [], 'a.test': "
                             "'${SALLYPORT_TEST_ADDRESS}', 'b.test': 'x:2' }"));
    cr_expect_neq(first,
                  fingerprint("'routes': { 'a.test': 'x:1', 'b.test': 'x:3' }, 'drain_delay': 0"));
    setenv("SALLYPORT_TEST_ADDRESS", "x:9", 1);
    cr_expect_neq(first, fingerprint("'drain_delay': 0, 'routes': { 'a.test': "
                                     "'${SALLYPORT_TEST_ADDRESS}', 'b.test': 'x:2' }"));
}

Test(snapshot, a_fingerprint_is_of_the_certificates)
{
    uint64_t first = fingerprint("'routes': {}");

    cr_expect_eq(first, fingerprint("'routes': {}"));
    route_folder_certify(&folder, "test", "*.test localhost", 90);
    uint64_t renewed = fingerprint("'routes': {}");
    cr_expect_neq(first, renewed);
    route_folder_certify(&folder, "more", "more.test", 90);
    cr_expect_neq(renewed, fingerprint("'routes': {}"));
}

Test(snapshot, lives_as_long_as_it_is_referred_to)
{
    route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }");
    struct snapshot *snapshot = snapshot_ref(folder.snapshot);
    route_folder_good(&folder, "'routes': {}");
    cr_expect(route_table_find(snapshot->routes, slice_of("a.test"), slice_of("/"), NULL));
    snapshot_unref(snapshot);
    snapshot_unref(NULL);
}

Test(snapshot, keys_may_come_in_any_order)
{
    route_folder_good(&folder,
                      "'tests': [{ 'expect': { 'backend': 'b' }, 'headers': { 'host': "
                      "'a.test' }, 'request': 'GET https://a.test/' }],"
                      "'routes': { 'a.test': 'b' }, 'backends': { 'b': 'x:1' },"
                      "'defaults': { 'max_body': 5 }, 'tls': { 'default_cert': 'a.test' }");
    cr_expect_eq(route_folder_find(&folder, "a.test", "/")->targets[0].settings.max_body, 5);
}

Test(snapshot, comments_may_stand_anywhere)
{
    route_folder_good(&folder,
                      "'//': 1, '//': 2, 'routes': { '// h': 1, 'a.test': { '//': 0, 'to': { '//': "
                      "0, 'b': 1 }, 'timeout': { '// t': {} } } }, 'backends': { '//b': {}, 'b': { "
                      "'//': [], 'servers': [{ '//': 1, 'to': 'x:1' }] } }, 'listen': { '//': 1 }, "
                      "'tests': [{ '//': 1, 'request': 'GET https://a.test/', 'expect': { '//': 1, "
                      "'backend': 'b' } }]");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
}

Test(snapshot, paths_start_where_the_file_is_named)
{
    char command[256];

    route_folder_good(&folder, "'routes': {}, 'log': { 'access': 'a.log' }");
    snprintf(command, sizeof(command), "mkdir %s/other && ln -s ../routes.json %s/other/r.json",
             folder.path, folder.path);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(chdir(folder.path), 0);
    struct problems problems = {0};
    struct snapshot *snapshot =
        snapshot_load("routes.json", &(struct load_options){.keys = folder.keys}, &problems);
    cr_assert(snapshot);
    cr_expect(strstr(snapshot->globals->access_log_path, "/a.log"));
    cr_expect_eq(snapshot->globals->access_log_path[0], '/');
    snapshot_unref(snapshot);
    cr_expect_null(
        snapshot_load("other/r.json", &(struct load_options){.keys = folder.keys}, &problems),
        "a link's own folder counts, which has no certs");
    problems_clear(&problems);
}

static void expect_folder(const char *file, const char *wanted)
{
    struct problems problems = {0};
    struct snapshot *snapshot =
        snapshot_load(file, &(struct load_options){.keys = folder.keys}, &problems);

    cr_assert(snapshot, "%s", file);
    cr_expect_str_eq(snapshot->config->folder, wanted, "%s: %s", file, snapshot->config->folder);
    snapshot_unref(snapshot);
    problems_clear(&problems);
}

/* So that `diff` takes the file that runs for what it is. */
Test(snapshot, a_folder_is_called_the_same_from_everywhere)
{
    char command[512], here[256], linked[256];

    route_folder_good(&folder, "'routes': {}");
    snprintf(command, sizeof(command),
             "mkdir -p %s/other/deep && cd %s && ln -s other/deep link && cp -r routes.json certs "
             "other",
             folder.path, folder.path);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(chdir(folder.path), 0);
    cr_assert(getcwd(here, sizeof(here)));
    expect_folder("routes.json", here);
    expect_folder("./routes.json", here);
    expect_folder(".//other/./../routes.json", here);
    expect_folder("other/deep/../../routes.json", here);
    snprintf(linked, sizeof(linked), "%s/link/..", here);
    expect_folder("link/../routes.json", linked);
    cr_assert_eq(chdir("other"), 0);
    expect_folder("../routes.json", here);
}

Test(snapshot, fills_in_the_rest)
{
    const struct snapshot *s = route_folder_good(
        &folder, "'routes': {}, 'drain_delay': '1s', 'drain_timeout': 0, 'trusted_proxies': "
                 "['192.0.2.0/24'], 'log': { 'access': 'off', 'format': 'json', 'level': 'error', "
                 "'query': true }");
    struct address inside, outside;

    cr_expect_eq(s->globals->drain_delay_ms, 1000);
    cr_expect_eq(s->globals->drain_timeout_ms, 0);
    cr_expect_eq(s->globals->access_log, ACCESS_LOG_OFF);
    cr_expect_eq(s->globals->log_format, LOG_JSON);
    cr_expect_eq(s->globals->log_level, LOG_ERROR);
    cr_expect(s->globals->log_query);
    address_parse_ip(slice_of("192.0.2.9"), 0, &inside);
    address_parse_ip(slice_of("192.0.3.9"), 0, &outside);
    cr_expect(network_contains(&s->globals->trusted_proxies[0], &inside));
    cr_expect_not(network_contains(&s->globals->trusted_proxies[0], &outside));
}

static char *many_hosts(int count)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    fprintf(out, "'backends': { 'b': 'x:1' }, 'routes': { '*': 'b'");
    for (int i = 0; i < count; i++)
        fprintf(out,
                i % 2 ? ", 'h%d.test': 'b'" : ", 'h%d.test': { 'paths': { '/': 'b', '/x/': 'b' } }",
                i);
    fprintf(out, " }");
    fclose(out);
    return text;
}

/* The time is not asserted; that it ends at all with sanitizers on says that nothing is quadratic.
 */
Test(snapshot, a_hundred_thousand_hosts, .timeout = 240)
{
    char *text = many_hosts(100000), host[32];

    route_folder_good(&folder, text);
    cr_expect_eq(folder.snapshot->config->route_count, 150001);
    for (int i = 0; i < 100000; i++) {
        snprintf(host, sizeof(host), "h%d.test", i);
        const struct route *route = route_folder_find(&folder, host, "/x/y");
        cr_assert(route && slice_starts_with(route->name, slice_of(host)));
    }
    free(text);
}

Test(snapshot, names_that_do_not_resolve_are_warned_of)
{
    struct problems problems = {0};
    struct dns_server *server = dns_server_start();
    char text[512];

    dns_server_add_a(server, "here.test", 60, "10.0.0.1");
    dns_server_add_srv(server, "_http._tcp.here.test", 60, 0, 0, 80, "here.test");
    snprintf(text, sizeof(text),
             "'dns': { 'servers': ['%s'] }, 'backends': { 'b': ['nowhere.test:1', '127.0.0.1:1', "
             "'localhost:1', 'here.test:1', 'srv:_http._tcp.here.test', 'unix:/run/x', "
             "'srv:_http._tcp.nowhere.test'] }, 'routes': { 'a.test': 'nowhere.test:2' }",
             dns_server_address(server));
    route_folder_good(&folder, text);
    cr_expect_eq(dns_server_questions(server, NULL, DNS_ANY_TYPE), 0, "a load asks nobody");
    snapshot_check_names(folder.snapshot, "r.json", &problems);
    cr_assert_eq(problems.count, 2, "each name is asked for once");
    cr_expect(problems.list[0].is_warning);
    cr_expect(strstr(problems.list[0].message, "backend \"b\": the name of \"nowhere.test:1\" "
                                               "does not resolve: the name does not exist"));
    cr_expect(strstr(problems.list[1].message, "srv:_http._tcp.nowhere.test"));
    problems_clear(&problems);
    dns_server_stop(server);
}

/* In a mount namespace of this test's own process; only root may make one. */
Test(snapshot, a_file_mounted_by_itself_is_warned_of)
{
    char chain[128];

    route_folder_good(&folder, "'routes': {}");
    cr_expect_eq(folder.problems.count, 0, "%s", folder.printed);
    snprintf(chain, sizeof(chain), "%s/certs/test.crt", folder.path);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(folder.file, folder.file, NULL, MS_BIND, NULL) != 0)
        cr_skip_test("no mount namespace");
    route_folder_good(&folder, "'routes': {}");
    cr_expect_eq(folder.problems.count, 1, "%s", folder.printed);
    route_folder_expect(&folder, 0, 0, NULL, "mounted as a single file", NULL);
    cr_assert_eq(umount(folder.file), 0);
    cr_assert_eq(mount(chain, chain, NULL, MS_BIND, NULL), 0);
    route_folder_load(&folder, "{ 'routes': {},\n'certs': { 'chain': 'certs/test.crt', 'key': "
                               "'certs/test.key' } }");
    cr_expect_eq(folder.problems.count, 1, "%s", folder.printed);
    route_folder_expect(&folder, 2, 10, "certs", "certs/test.crt is mounted as a single file",
                        NULL);
    cr_assert_eq(umount(chain), 0);
}

Test(snapshot, a_mounted_file_that_was_replaced_outside_is_warned_of)
{
    char outside[128], next[128];

    route_folder_good(&folder, "'routes': {}");
    route_folder_write(&folder, "outside.json", "{ 'certs': 'certs', 'routes': {} }");
    route_folder_write(&folder, "next.json", "{}");
    snprintf(outside, sizeof(outside), "%s/outside.json", folder.path);
    snprintf(next, sizeof(next), "%s/next.json", folder.path);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(outside, folder.file, NULL, MS_BIND, NULL) != 0)
        cr_skip_test("no mount namespace");
    cr_assert_eq(rename(next, outside), 0);
    route_folder_good(&folder, "'routes': {}");
    cr_expect_eq(folder.problems.count, 1, "%s", folder.printed);
    route_folder_expect(&folder, 0, 0, NULL, "was replaced where it comes from", NULL);
    cr_assert_eq(umount(folder.file), 0);
}

Test(snapshot, the_default_file)
{
    cr_assert_eq(chdir(folder.path), 0);
    setenv("SALLYPORT_CONFIG", "/x/y.json", 1);
    cr_expect_str_eq(snapshot_default_file(), "/x/y.json");
    setenv("SALLYPORT_CONFIG", "", 1);
    cr_assert_eq(mkdir("routes", 0700), 0);
    route_folder_write(&folder, "routes/routes.json", "{}");
    cr_expect_str_eq(snapshot_default_file(), "./routes/routes.json");
    unsetenv("SALLYPORT_CONFIG");
    cr_expect_str_eq(snapshot_default_file(), "./routes/routes.json");
}
