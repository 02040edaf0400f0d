#include "config/diff.h"

#include "config/replay.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct route_folder folder;
static struct snapshot *was;
static struct diff diff;
static struct arena arena;
static bool is_made;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    if (is_made)
        diff_clear(&diff);
    snapshot_unref(was);
    arena_clear(&arena);
    route_folder_clear(&folder);
    buffer_cache_clear();
}

TestSuite(diff, .init = begin, .fini = end);

/* What "kind about [name][, key]: was -> is (reach)" says of each change, a line each. */
static char *told(void)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    for (size_t i = 0; i < diff.count; i++) {
        const struct change *change = &diff.list[i];
        fprintf(out, "%s %s %.*s|%.*s|%.*s|%.*s", change_kind_name(change->kind),
                change_about_name(change->about), (int)change->name.len, change->name.at,
                (int)change->key.len, change->key.at, (int)change->was.len, change->was.at,
                (int)change->is.len, change->is.at);
        for (size_t k = 0; k < change->reach_count; k++)
            fprintf(out, "%s%.*s", k == 0 ? "|" : " ", (int)change->reach[k].len,
                    change->reach[k].at);
        fprintf(out, "\n");
    }
    fclose(out);
    return text;
}

static void compare(const char *older, const char *newer)
{
    if (is_made)
        diff_clear(&diff);
    snapshot_unref(was);
    route_folder_good(&folder, older);
    was = snapshot_ref(folder.snapshot);
    route_folder_good(&folder, newer);
    diff_make(&diff, was, folder.snapshot);
    is_made = true;
}

/* Exactly these lines. */
static void expect(const char *older, const char *newer, const char *lines)
{
    compare(older, newer);
    char *text = told();
    cr_expect_str_eq(text, lines, "told:\n%sexpected:\n%s", text, lines);
    free(text);
}

Test(diff, equal_meaning_is_no_change)
{
    expect(
        "'drain_delay': '60s', 'log': { 'level': 'info' }, 'backends': { 'b': ['x:1', 'x:2'] },"
        "'trusted_proxies': ['10.0.0.0/8', '::1'], 'defaults': { 'timeout': { 'connect': '3s' } "
        "}, 'routes': { 'a.test': { 'to': { 'b': 1, 'y:2': 2 } }, 'b.test': ['z:1', 'z:2'],"
        "'c.test': { 'paths': { '/': 'b', '/x': 'b' } } }",
        "'//': 'comment', 'trusted_proxies': ['::1/128', '10.0.0.0/8'],"
        "'routes': { 'C.test.': { 'paths': { '/x': 'b', '/': 'b' } }, 'b.test': ['z:2', "
        "'http://z:1'], 'a.test': { 'to': { 'y:2': 2, 'b': 1 }, 'timeout': { 'connect': '3000ms' } "
        "} }, 'backends': { 'b': { 'servers': ['x:2', 'x:1'], 'keepalive': 32 } },"
        "'drain_delay': '1m'",
        "");
}

/* But behind a symlink ".." leads elsewhere. */
Test(diff, paths_that_mean_the_same_are_no_change)
{
    char link[128];

    route_folder_load(&folder, "{ 'certs': ['certs'], 'routes': { 'a.test': 'x:1' } }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    was = snapshot_ref(folder.snapshot);
    route_folder_load(&folder,
                      "{ 'certs': ['.//certs/../certs/'], 'routes': { 'a.test': 'x:1' } }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    diff_make(&diff, was, folder.snapshot);
    is_made = true;
    cr_expect_eq(diff.count, 0);
    cr_expect_str_eq(folder.snapshot->config->cert_sources[0].path,
                     was->config->cert_sources[0].path);
    snprintf(link, sizeof(link), "%s/link", folder.path);
    cr_assert_eq(symlink("certs", link), 0);
    route_folder_load(&folder, "{ 'certs': ['link/../certs'], 'routes': { 'a.test': 'x:1' } }");
    cr_assert(folder.snapshot, "%s", folder.printed);
    cr_expect(strstr(folder.snapshot->config->cert_sources[0].path, "/link/../certs"));
}

Test(diff, hosts_and_paths_come_go_and_move)
{
    expect("'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': 'b', 'b.test': 'b',"
           "'c.test': { 'paths': { '/': 'b', '/old': 'c' } }, 'd.test': 'b' }",
           "'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': 'c', 'n.other': 'y:1',"
           "'c.test': { 'paths': { '/': 'c', '=/new': { 'redirect': 'https://{host}/{{{uri}' } } },"
           "'d.test': { 'paths': { '/only': 'b' } } }",
           "moved host a.test||backend b|backend c\n"
           "added host n.other|||y:1\n"
           "moved path c.test/||backend b|backend c\n"
           "added path c.test=/new|||redirect 308 to https://{host}/{{{uri}\n"
           "removed path c.test/old||backend c|\n"
           "moved host d.test||backend b|1 path\n"
           "added path d.test/only|||backend b\n"
           "removed host b.test||backend b|\n"
           "missing certificate ||||n.other\n");
}

Test(diff, services)
{
    expect("'routes': {}, 'backends': { 'b': ['srv:_http._tcp.A.test', 'x:1'] }",
           "'routes': {}, 'backends': { 'b': ['srv:_http._tcp.b.test', 'x:1'] }",
           "added backend b|servers||srv:_http._tcp.b.test\n"
           "removed backend b|servers|srv:_http._tcp.a.test|\n");
}

Test(diff, backends_servers_and_weights)
{
    expect("'backends': { 'b': ['x:1', 'x:2', { 'to': 'x:3', 'backup': true }], 'gone': 'y:1' },"
           "'routes': { 'a.test': ['z:1', 'z:2'], 'b.test': 'z:1' }",
           "'backends': { 'b': { 'servers': [{ 'to': 'x:1', 'weight': 5 }, 'x:3', 'x:4'],"
           "'keepalive': 0 }, 'new': ['y:1', { 'to': 'y:2', 'weight': 2, 'backup': true }] },"
           "'routes': { 'a.test': ['z:2', 'z:3'], 'b.test': 'z:9' }",
           "changed backend b|servers|x:1|x:1 (weight 5)\n"
           "changed backend b|servers|x:3 (backup)|x:3\n"
           "added backend b|servers||x:4\n"
           "removed backend b|servers|x:2|\n"
           "changed backend b|keepalive|32|off\n"
           "added backend new|||y:1, y:2 (weight 2, backup)\n"
           "removed backend gone||y:1|\n"
           "added host a.test|servers||z:3\n"
           "removed host a.test|servers|z:1|\n"
           "moved host b.test||z:1|z:9\n");
}

Test(diff, shares_of_a_split)
{
    expect("'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': { 'to': { 'b': 95, 'c': "
           "5 } }, 'b.test': 'b' }",
           "'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': { 'to': { 'b': 90, 'c': "
           "10 } }, 'b.test': { 'to': { 'b': 1, 'z:1': 1 } } }",
           "changed host a.test|to|backend b (share 95), backend c (share 5)|backend b (share 90), "
           "backend c (share 10)\n"
           "moved host b.test||backend b|backend b (share 1), z:1 (share 1)\n");
}

Test(diff, own_answers)
{
    expect("'routes': { 'a.test': { 'respond': { 'status': 200, 'body': 'a page with one' } },"
           "'b.test': { 'respond': { 'headers': { 'x-a': '1', 'x-b': '2' } } },"
           "'c.test': { 'redirect': 'https://a.test{uri}' } }",
           "'routes': { 'a.test': { 'respond': { 'status': 200, 'body': 'a page with two' } },"
           "'b.test': { 'respond': { 'headers': { 'x-b': '2', 'x-a': '9' } } },"
           "'c.test': { 'redirect': { 'to': 'https://a.test{uri}', 'status': 302 } } }",
           "changed host a.test|respond.body|\"a page with one\"|\"a page with two\"\n"
           "changed host b.test|respond.headers|x-a: 1, x-b: 2|x-b: 2, x-a: 9\n"
           "moved host c.test||redirect 308 to https://a.test{uri}|redirect 302 to "
           "https://a.test{uri}\n");
}

Test(diff, headers_with_several_values)
{
#define COOKIES(values)                                                                \
    "'routes': { 'a.test': { 'paths': { '/': { 'respond': { 'headers': { 'x-a': '1', " \
    "'x-b': " values " } } }, '/more': 'x:1' } } }"
    expect(COOKIES("['2', '3']"),
           "'routes': { 'a.test': { 'paths': { '/more': 'x:2', '/': { 'respond': { 'headers': { "
           "'X-B': ['2', '3'], 'x-a': '1' } } } } } }",
           "moved path a.test/more||x:1|x:2\n");
    expect(COOKIES("['2', '2']"), COOKIES("['2', '3']"),
           "changed path a.test/|respond.headers|x-a: 1, x-b: 2, x-b: 2|x-a: 1, x-b: 2, x-b: 3\n");
    expect(COOKIES("['2', '3']"), COOKIES("['3', '2']"),
           "changed path a.test/|respond.headers|x-a: 1, x-b: 2, x-b: 3|x-a: 1, x-b: 3, x-b: 2\n");
#undef COOKIES
}

Test(diff, settings_are_told_once_with_the_routes_they_reach)
{
    expect("'backends': { 'b': 'x:1' }, 'routes': { 'a.test': 'b', 'b.test': { 'paths': { '/': "
           "'b', '/slow/': { 'to': 'b', 'timeout': { 'connect': '9s' } } } } }",
           "'backends': { 'b': { 'servers': 'x:1', 'max_body': '2GiB', 'host': 'backend',"
           "'retry': { 'attempts': 3 } } }, 'defaults': { 'timeout': { 'connect': '500ms' } },"
           "'routes': { 'a.test': 'b', 'b.test': { 'paths': { '/': 'b', '/slow/': { 'to': 'b',"
           "'timeout': { 'connect': '9s' }, 'host': 'h.test' } } } }",
           "changed setting |timeout.connect|3s|500ms|a.test b.test/\n"
           "changed setting |max_body|off|2GiB|a.test b.test/ b.test/slow/\n"
           "changed setting |host|preserve|backend|a.test b.test/\n"
           "changed setting |retry.attempts|2|3|a.test b.test/ b.test/slow/\n"
           "changed setting |host|preserve|h.test|b.test/slow/\n");
}

Test(diff, every_other_setting_in_force)
{
    expect("'routes': { 'a.test': 'x:1' }",
           "'routes': { 'a.test': { 'to': 'x:1', 'timeout': { 'first_byte': '2m', 'idle': 0,"
           "'tunnel_idle': '1d', 'body_idle': '1500ms' } } }",
           "changed setting |timeout.body_idle|30s|1500ms|a.test\n"
           "changed setting |timeout.first_byte|1m|2m|a.test\n"
           "changed setting |timeout.idle|1m|off|a.test\n"
           "changed setting |timeout.tunnel_idle|1h|1d|a.test\n");
    expect("'routes': {}", "'routes': {}, 'defaults': { 'timeout': { 'body_idle': '5s' } }",
           "changed setting |timeout.body_idle|30s|5s\n");
}

Test(diff, headers_and_prefixes)
{
    expect("'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'request': { 'set': { 'B': 'b', "
           "'A': '{host}' } }, 'response': { 'remove': ['Server'] } } } }",
           "'routes': { 'a.test': { 'to': 'x:1', 'rewrite': { 'strip_prefix': '/api', "
           "'add_prefix': '/v2' }, 'headers': { 'request': { 'set': { 'A': '{host}', 'B': '{{}' },"
           "'add': { 'C': ['1', '2'] } } } } }",
           "changed setting |headers.request|set A: {host}, set B: b|set A: {host}, set B: {{}, "
           "add C: 1, add C: 2|a.test\n"
           "changed setting |headers.response|remove Server|none|a.test\n"
           "changed setting |rewrite.strip_prefix|off|/api|a.test\n"
           "changed setting |rewrite.add_prefix|off|/v2|a.test\n");
    /* What is the same in another order, or written elsewhere, and what has no effect. */
    expect("'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'response': { 'set': { 'A': '1', "
           "'B': '2' } } } }, 'b.test': { 'redirect': '/' } }",
           "'defaults': { 'headers': { 'response': { 'set': { 'B': '2', 'A': '1' } }, 'request': {"
           "'set': { 'C': '3' } } } },"
           "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'request': { 'remove': ['C'] } } },"
           "'b.test': { 'redirect': '/' } }",
           "changed setting |headers.request|none|remove C|a.test\n"
           "changed setting |headers.response|none|set A: 1, set B: 2|b.test\n");
}

Test(diff, the_gateway_as_a_whole)
{
    expect("'routes': {}, 'listen': { 'https': ['127.0.0.1:1', '127.0.0.1:2'] }",
           "'routes': {}, 'listen': { 'https': ['127.0.0.1:2', '127.0.0.1:3'], 'http': { 'bind': "
           "'127.0.0.1:4', 'https_port': 9, 'acme_webroot': '/tmp' }, 'status': '127.0.0.1:5', "
           "'admin': 'unix:/a' },"
           "'tls': { 'min_version': '1.3', 'alpn': ['h2'], 'tickets': false,"
           "'unknown_sni': 'default', 'default_cert': 'a.test' }, 'trusted_proxies': "
           "['10.1.0.0/16'], 'drain_delay': '1s',"
           "'dns': { 'servers': ['10.0.0.2', '[::1]:5353'] },"
           "'watch': 'all', 'certs_strict': true, 'drain_timeout': 0, 'log': { 'access': 'off', "
           "'format': 'json', 'level': 'debug',"
           "'query': true }, 'defaults': { 'timeout': { 'handshake': '1s', 'header': '2s',"
           "'keepalive': '3s' }, 'limits': { 'header_bytes': '1KiB', 'headers': 0,"
           "'request_line': 100, 'connections': 1000, 'connections_per_ip': 100,"
           "'handshakes': 10, 'underscores': true, 'body_rate': '1KiB/s' } }",
           "added gateway |listen.https||127.0.0.1:3\n"
           "removed gateway |listen.https|127.0.0.1:1|\n"
           "added gateway |listen.http||127.0.0.1:4, https_port 9, acme_webroot /tmp\n"
           "added gateway |listen.status||127.0.0.1:5\n"
           "changed gateway |listen.admin|the usual places|unix:/a\n"
           "changed gateway |certs_strict|false|true\n"
           "changed gateway |tls.min_version|1.2|1.3\n"
           "changed gateway |tls.alpn|h2, http/1.1|h2\n"
           "changed gateway |tls.tickets|true|false\n"
           "changed gateway |tls.unknown_sni|reject|default\n"
           "changed gateway |tls.default_cert|none|a.test\n"
           "changed gateway |watch|certs|all\n"
           "added gateway |trusted_proxies||10.1.0.0/16\n"
           "changed gateway |dns.servers|the system's|10.0.0.2:53, [::1]:5353\n"
           "changed gateway |log.access|stdout|off\n"
           "changed gateway |log.format|text|json\n"
           "changed gateway |log.level|info|debug\n"
           "changed gateway |log.query|false|true\n"
           "changed gateway |drain_delay|off|1s\n"
           "changed gateway |drain_timeout|30s|off\n"
           "changed gateway |defaults.timeout.handshake|10s|1s\n"
           "changed gateway |defaults.timeout.header|10s|2s\n"
           "changed gateway |defaults.timeout.keepalive|75s|3s\n"
           "changed gateway |defaults.limits.header_bytes|32KiB|1KiB\n"
           "changed gateway |defaults.limits.headers|100|off\n"
           "changed gateway |defaults.limits.request_line|16KiB|100B\n"
           "changed gateway |defaults.limits.underscores|false|true\n"
           "changed gateway |defaults.limits.body_rate|off|1KiB/s\n"
           "changed gateway |defaults.limits.connections|off|1000\n"
           "changed gateway |defaults.limits.connections_per_ip|off|100\n"
           "changed gateway |defaults.limits.handshakes|off|10\n");
}

Test(diff, proxy_protocol)
{
    expect("'routes': {}, 'listen': { 'https': { 'bind': '127.0.0.1:1', 'proxy_protocol': { "
           "'from': ['10.0.0.0/8', '::1'] } } }, 'backends': { 'b': { 'servers': 'x:1' } }",
           "'routes': {}, 'listen': { 'https': { 'bind': '127.0.0.1:1', 'proxy_protocol': { "
           "'from': ['::1/128', '10.0.0.0/8'] } } }, 'backends': { 'b': { 'servers': 'x:1', "
           "'proxy_protocol': 'v2' } }",
           "changed backend b|keepalive|32|off\n"
           "changed backend b|proxy_protocol|off|v2\n");
    expect("'routes': {}, 'listen': { 'https': '127.0.0.1:1' }",
           "'routes': {}, 'listen': { 'https': { 'bind': '127.0.0.1:1', 'proxy_protocol': { "
           "'from': ['fd00::/8', '10.0.0.0/8'] } } }",
           "changed gateway |listen.https|127.0.0.1:1|127.0.0.1:1, proxy_protocol from 10.0.0.0/8, "
           "fd00::/8\n");
}

/* --- certificates -------------------------------------------------------------------------------
 */

static const struct change *certificate_change(enum change_kind kind)
{
    for (size_t i = 0; i < diff.count; i++)
        if (diff.list[i].about == ABOUT_CERTIFICATE && diff.list[i].kind == kind)
            return &diff.list[i];
    cr_assert(false, "no such change");
    return NULL;
}

static void expect_host(const struct change *change, const char *host)
{
    cr_assert_eq(change->reach_count, 1);
    cr_expect(slice_equal(change->reach[0], slice_of(host)));
}

Test(diff, certificates_gained_changed_lost_and_missing)
{
    const char *routes =
        "'a.other': 'x:1', 'b.other': 'x:1', 'c.test': 'x:1', '*.wild.test': 'x:1'";

    route_folder_certify(&folder, "a", "a.other", 90);
    route_folder_certify(&folder, "b", "b.other", 90);
    route_folder_certify(&folder, "c", "c.test", 90);
    /* One folder each: what is in it decides. */
    char command[512];
    snprintf(command, sizeof(command),
             "cd %s && mkdir one two && cp certs/test.* certs/a.* one && cp certs/test.* certs/b.* "
             "certs/c.* two",
             folder.path);
    cr_assert_eq(system(command), 0);
    char text[2048];
    snprintf(text, sizeof(text), "{ 'certs': 'one', 'routes': { %s } }", routes);
    route_folder_load(&folder, text);
    cr_assert(folder.snapshot, "%s", folder.printed);
    was = snapshot_ref(folder.snapshot);
    snprintf(text, sizeof(text),
             "{ 'certs': 'two', 'routes': { %s, 'new.other': 'x:1', 'new.test': 'x:1' } }", routes);
    route_folder_load(&folder, text);
    cr_assert(folder.snapshot, "%s", folder.printed);
    diff_make(&diff, was, folder.snapshot);
    is_made = true;
    expect_host(certificate_change(CHANGE_REMOVED), "a.other");
    expect_host(certificate_change(CHANGE_MISSING), "new.other");
    expect_host(certificate_change(CHANGE_CHANGED), "c.test");
    cr_expect(slice_find(certificate_change(CHANGE_CHANGED)->was, '(') > 0);
    unsigned added = 0;
    for (size_t i = 0; i < diff.count; i++)
        added += diff.list[i].about == ABOUT_CERTIFICATE && diff.list[i].kind == CHANGE_ADDED;
    cr_expect_eq(added, 2, "b.other by its own, new.test by the wildcard");
}

/* No SNI leads to them: the default certificate answers. */
Test(diff, certificates_of_addresses)
{
    const char *older = "'routes': { '192.0.2.1': 'x:1' }";
    const char *newer = "'routes': { '192.0.2.1': 'x:1', '::1': 'x:1' }";
    const char *newer_with_default = "'routes': { '192.0.2.1': 'x:1', '::1': 'x:1' }, "
                                     "'tls': { 'default_cert': 'localhost' }";

    compare(older, newer);
    expect_host(certificate_change(CHANGE_MISSING), "::1");
    compare(older, newer_with_default);
    cr_expect_eq(certificate_change(CHANGE_ADDED)->reach_count, 2);
    for (size_t i = 0; i < diff.count; i++)
        cr_expect_neq(diff.list[i].kind, CHANGE_MISSING);
}

/* Their order is the server's preference. */
Test(diff, order_of_protocols)
{
    expect("'routes': {}, 'tls': { 'alpn': ['h2', 'http/1.1'] }",
           "'routes': {}, 'tls': { 'alpn': ['http/1.1', 'h2'] }",
           "changed gateway |tls.alpn|h2, http/1.1|http/1.1, h2\n");
}

/* --- the text that is kept ----------------------------------------------------------------------
 */

Test(diff, a_route_file_as_it_was_read_means_the_same_elsewhere)
{
    setenv("SALLYPORT_TEST_TEXT", "out of ${the} $${environment}", 1);
    route_folder_good(&folder, "'//': 1, 'routes': { 'a.test': { 'respond': { 'body': "
                               "'${SALLYPORT_TEST_TEXT} $${x} $ \\\\' } }, '// b': 0, 'b.test': { "
                               "'redirect': 'https://a.test{uri}' } }, 'drain_delay': '5s'");
    was = snapshot_ref(folder.snapshot);
    unsetenv("SALLYPORT_TEST_TEXT");
    struct problems problems = {0};
    const struct load_options options = {
        .keys = folder.keys, .text = &was->config->source, .folder = was->config->folder};
    struct snapshot *again = snapshot_load("elsewhere.json", &options, &problems);
    cr_assert(again);
    const struct route *route =
        route_table_find(again->routes, slice_of("a.test"), slice_of("/"), NULL);
    cr_expect(slice_equal(route->respond_body, slice_of("out of ${the} $${environment} ${x} $ \\")),
              "%.*s", (int)route->respond_body.len, route->respond_body.at);
    diff_make(&diff, was, again);
    is_made = true;
    cr_expect_eq(diff.count, 0);
    cr_expect_eq(again->fingerprint, was->fingerprint);
    cr_expect_str_eq(was->config->path, folder.file);
    snapshot_unref(again);
    problems_clear(&problems);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static struct replayed ask(const char *host, const char *path)
{
    const struct followed_request request = {.method = slice_of("GET"),
                                             .is_tls = true,
                                             .authority = slice_of(host),
                                             .target = slice_of(path),
                                             .sni = slice_of(host)};
    struct replayed replayed;

    replay_request(was, folder.snapshot, &request, &arena, &replayed);
    return replayed;
}

static void expect_same(const char *host, const char *path)
{
    struct replayed replayed = ask(host, path);
    cr_expect_not(replayed.answer_differs, "%s%s: %.*s -> %.*s", host, path, (int)replayed.was.len,
                  replayed.was.at, (int)replayed.is.len, replayed.is.at);
}

static void expect_other(const char *host, const char *path, const char *before, const char *after)
{
    struct replayed replayed = ask(host, path);
    cr_expect(replayed.answer_differs, "%s%s", host, path);
    cr_expect(slice_equal(replayed.was, slice_of(before)), "%.*s", (int)replayed.was.len,
              replayed.was.at);
    cr_expect(slice_equal(replayed.is, slice_of(after)), "%.*s", (int)replayed.is.len,
              replayed.is.at);
}

Test(diff, requests_that_would_be_answered_differently)
{
    compare("'backends': { 'b': ['x:1', 'x:2'], 'c': 'x:3', 'd': 'x:4' }, 'routes': { 'a.test': "
            "'b', 'b.test': { 'paths': { '/': 'b', '/c': 'c' } }, 'c.test': 'd', 'd.test': 'z:1',"
            "'e.test': { 'respond': { 'body': 'one' } }, 'f.test': 'c',"
            "'g.test': { 'redirect': 'https://a.test{uri}' } }",
            "'backends': { 'b': ['x:2', 'x:9'], 'c': 'x:3', 'd': 'x:5' }, 'routes': { 'a.test': "
            "'b', 'b.test': { 'paths': { '/': 'b', '/c/': 'c' } }, 'c.test': 'd', 'd.test': 'z:2',"
            "'e.test': { 'respond': { 'body': 'two' } }, 'f.test': 'x:3',"
            "'g.test': { 'redirect': 'https://a.test{path}' } }");
    expect_same("a.test", "/");
    expect_same("b.test", "/");
    expect_same("b.test", "/c/x");
    expect_other("b.test", "/c", "backend c", "backend b");
    expect_other("c.test", "/", "backend d", "backend d, but another");
    expect_other("d.test", "/", "z:1", "z:2");
    expect_other("e.test", "/", "respond 200", "respond 200, but another");
    expect_same("f.test", "/"); /* the same server by another name */
    expect_same("g.test", "/x");
    expect_other("g.test", "/x?y", "308 to https://a.test/x?y", "308 to https://a.test/x");
    expect_same("h.test", "/");
    expect_same("", "/");
}

Test(diff, requests_that_reach_a_backend_by_another_path)
{
    compare("'backends': { 'b': 'x:1' }, 'routes': { 'a.test': { 'to': 'b', 'rewrite': {"
            "'strip_prefix': '/api' } } }",
            "'backends': { 'b': 'x:1' }, 'routes': { 'a.test': { 'to': 'b', 'rewrite': {"
            "'strip_prefix': '/api/v1' } } }");
    expect_same("a.test", "/x");
    expect_other("a.test", "/api/v1/x", "backend b as /v1/x", "backend b as /x");
    expect_other("a.test", "/api/x", "backend b as /x", "backend b");
}
