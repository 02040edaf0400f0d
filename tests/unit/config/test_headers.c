/* `headers` and `rewrite`: what is read, and which place decides. */
#include "config/config.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
    buffer_cache_clear();
}

TestSuite(headers, .init = begin, .fini = end);

static const struct settings *settings_of(const char *path)
{
    const struct route *route = route_folder_find(&folder, "a.test", path);

    cr_assert(route);
    return route->kind == ROUTE_TO ? &route->targets[0].settings : &route->settings;
}

/* "remove A 1: ; set B 2: {host}": each with its place. */
static void expect_edits(const struct header_edits *edits, const char *expected)
{
    struct buffer out = {0};

    for (unsigned i = 0; i < edits->count; i++) {
        const struct header_edit *edit = &edits->list[i];
        buffer_printf(&out, "%s%s %.*s %d: ", i > 0 ? "; " : "", header_edit_word(edit->kind),
                      (int)edit->name.len, edit->name.at, edit->from);
        template_print(&edit->value, &out);
    }
    cr_expect(slice_equal(buffer_content(&out), slice_of(expected)), "\"%.*s\", not \"%s\"",
              (int)buffer_length(&out), buffer_content(&out).at, expected);
    buffer_clear(&out);
}

Test(headers, none_unless_written)
{
    route_folder_good(&folder, "'routes': { 'a.test': { 'to': 'x:1', 'headers': {},"
                               "  'rewrite': {} } }");
    cr_expect_eq(settings_of("/")->request_headers.count, 0);
    cr_expect_null(settings_of("/")->request_headers.list);
    cr_expect_eq(settings_of("/")->response_headers.count, 0);
    cr_expect_eq(settings_of("/")->rewrite.strip_prefix.len, 0);
    cr_expect_eq(settings_of("/")->rewrite.add_prefix.len, 0);
}

Test(headers, are_kept_in_the_order_in_which_they_are_done)
{
    route_folder_good(
        &folder,
        "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'response': {"
        "  'add': { 'Vary': [' Origin ', 'Cookie'], 'B': 'b' },"
        "  'set': { 'x-z': '{request_id} {client_ip} {sni} {host} {route}', 'X-A': '{{}' },"
        "  'remove': ['Server', 'date'] } } } }");
    expect_edits(&settings_of("/")->response_headers,
                 "remove date 3: ; remove Server 3: ; set X-A 3: {{}; "
                 "set x-z 3: {request_id} {client_ip} {sni} {host} {route}; "
                 "add B 3: b; add Vary 3: Origin; add Vary 3: Cookie");
    expect_edits(&settings_of("/")->request_headers, "");
}

Test(headers, set_and_add_are_merged_name_by_name)
{
    route_folder_good(
        &folder,
        "'defaults': { 'headers': { 'request': { 'set': { 'A': 'd', 'B': 'd', 'C': 'd', 'D': 'd' },"
        "    'add': { 'L': ['d', 'd'], 'M': 'd' } } } },"
        "'backends': { 'b': { 'servers': ['x:1'], 'headers': { 'request': { 'set': { 'b': 'b' } } "
        "} } },"
        "'routes': { 'a.test': { 'headers': { 'request': { 'set': { 'C': 'h' } } },"
        "  'paths': { '/p': { 'to': 'b', 'headers': { 'request': { 'set': { 'c': 'p', 'E': 'p' },"
        "    'add': { 'l': 'p' } } } }, '/': 'y:1' } } }");
    expect_edits(&settings_of("/p")->request_headers,
                 "set A 1: d; set b 2: b; set c 4: p; set D 1: d; set E 4: p; "
                 "add l 4: p; add M 1: d");
    expect_edits(&settings_of("/")->request_headers,
                 "set A 1: d; set B 1: d; set C 3: h; set D 1: d; add L 1: d; add L 1: d; "
                 "add M 1: d");
}

Test(headers, the_nearest_remove_replaces_the_others)
{
    route_folder_good(
        &folder,
        "'defaults': { 'headers': { 'response': { 'remove': ['A', 'B'], 'set': { 'X': 'd' } } } },"
        "'routes': { 'a.test': { 'headers': { 'response': { 'add': { 'Y': 'h' } } }, 'paths': {"
        "  '/own': { 'to': 'x:1', 'headers': { 'response': { 'remove': ['C'] } } },"
        "  '/none': { 'to': 'x:1', 'headers': { 'response': { 'remove': [] } } },"
        "  '/': 'x:1' } } }");
    expect_edits(&settings_of("/")->response_headers,
                 "remove A 1: ; remove B 1: ; set X 1: d; add Y 3: h");
    expect_edits(&settings_of("/own")->response_headers, "remove C 4: ; set X 1: d; add Y 3: h");
    expect_edits(&settings_of("/none")->response_headers, "set X 1: d; add Y 3: h");
}

Test(headers, what_is_removed_here_is_not_set_farther_away)
{
    route_folder_good(
        &folder,
        "'defaults': { 'headers': { 'response': { 'set': { 'X': 'd' }, 'add': { 'Y': 'd' } } } },"
        "'routes': { 'a.test': { 'headers': { 'response': { 'set': { 'Z': 'h' } } }, 'paths': {"
        "  '/p': { 'to': 'x:1', 'headers': { 'response': { 'remove': ['x', 'y', 'Z'],"
        "    'set': { 'Z': 'p' } } } } } } }");
    expect_edits(&settings_of("/p")->response_headers,
                 "remove x 4: ; remove y 4: ; remove Z 4: ; set Z 4: p");
}

Test(headers, each_share_has_those_of_its_backend)
{
    route_folder_good(
        &folder,
        "'backends': { 'b': { 'servers': ['x:1'], 'headers': { 'request': { 'set': { 'A': 'b' } } "
        "} }, 'c': ['x:2'] }, 'routes': { 'a.test': { 'to': { 'b': 1, 'c': 1 } } }");
    const struct route *route = route_folder_find(&folder, "a.test", "/");
    cr_expect_eq(route->targets[0].settings.request_headers.count, 1);
    cr_expect_eq(route->targets[1].settings.request_headers.count, 0);
    cr_expect_eq(route->settings.request_headers.count, 0);
}

/* What was read with an entry that is not taken over goes with it. */
Test(headers, outlive_a_backend_that_is_shared_with_the_generation_before)
{
    static const char text[] =
        "'backends': { 'b': { 'servers': ['x:1'], 'headers': { 'request': { 'set': { 'A': "
        "'{host} of b' } } } } }, 'routes': { 'a.test': 'b' }%s";
    char changed[512];

    snprintf(changed, sizeof(changed), text, "");
    folder.previous = config_ref(route_folder_good(&folder, changed)->config);
    snprintf(changed, sizeof(changed), text, ", 'defaults': { 'max_body': 5 }");
    route_folder_good(&folder, changed);
    expect_edits(&settings_of("/")->request_headers, "set A 2: {host} of b");
    cr_expect_eq(folder.snapshot->config->upstreams[0], folder.previous->upstreams[0]);
    config_unref(folder.previous);
}

Test(headers, of_answers_without_a_backend)
{
    route_folder_good(&folder,
                      "'defaults': { 'headers': { 'request': { 'set': { 'A': 'd' } }, "
                      "'response': { 'set': { 'B': 'd' } } } },"
                      "'routes': { 'a.test': { 'paths': {"
                      "  '/r': { 'redirect': '/', 'headers': { 'response': { 'set': { 'C': 'p' } } "
                      "} }, '/s': { 'respond': {} } } } }");
    expect_edits(&settings_of("/r")->response_headers, "set B 1: d; set C 4: p");
    expect_edits(&settings_of("/s")->response_headers, "set B 1: d");
}

/* --- rewrite ------------------------------------------------------------------------------------
 */

static void expect_rewrite(const char *path, const char *strip, const char *add)
{
    const struct rewrite *rewrite = &settings_of(path)->rewrite;

    cr_expect(slice_equal(rewrite->strip_prefix, slice_of(strip)), "%s: %.*s", path,
              (int)rewrite->strip_prefix.len, rewrite->strip_prefix.at);
    cr_expect(slice_equal(rewrite->add_prefix, slice_of(add)), "%s: %.*s", path,
              (int)rewrite->add_prefix.len, rewrite->add_prefix.at);
}

Test(headers, prefixes_are_normal_and_merged)
{
    route_folder_good(
        &folder, "'routes': { 'a.test': { 'rewrite': { 'strip_prefix': '/api/', 'add_prefix': "
                 "'//v%32//x/' }, 'paths': {"
                 "  '/p': { 'to': 'x:1', 'rewrite': { 'strip_prefix': '/p' } },"
                 "  '/q': { 'to': 'x:1', 'rewrite': { 'add_prefix': '/' } }, '/': 'x:1' } } }");
    expect_rewrite("/", "/api", "/v2/x");
    expect_rewrite("/p", "/p", "/v2/x");
    expect_rewrite("/q", "/api", "");
}

/* --- mistakes -----------------------------------------------------------------------------------
 */

static void expect_mistake(const char *members, const char *path, const char *message)
{
    char text[512], where[128];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'to': 'x:1', %s } }", members);
    snprintf(where, sizeof(where), "routes[\"a.test\"].%s", path);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", members);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", members, folder.printed);
    route_folder_expect(&folder, 1, 0, where, message, NULL);
}

Test(headers, mistakes_of_names)
{
    static const char *const never[] = {
        "Content-Length", "transfer-encoding", "Connection",       "Keep-Alive",    "TE",
        "Trailer",        "upgrade",           "Proxy-Connection", "HTTP2-Settings"};
    char members[256], path[128];

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        snprintf(members, sizeof(members), "'headers': { 'request': { 'set': { '%s': 'x' } } }",
                 never[i]);
        snprintf(path, sizeof(path), "headers.request.set%s%s%s",
                 strchr(never[i], '-') ? "[\"" : ".", never[i], strchr(never[i], '-') ? "\"]" : "");
        expect_mistake(members, path, "cannot stand here: it frames the message");
        snprintf(members, sizeof(members), "'headers': { 'response': { 'remove': ['X', '%s'] } }",
                 never[i]);
        expect_mistake(members, "headers.response.remove[1]", "cannot stand here");
    }
    expect_mistake("'headers': { 'request': { 'add': { 'host': 'x' } } }",
                   "headers.request.add.host", "the setting \"host\"");
    expect_mistake("'headers': { 'response': { 'set': { 'Host': 'x' } } }",
                   "headers.response.set.Host", "a response has none");
    expect_mistake("'headers': { 'request': { 'set': { 'Expect': 'x' } } }",
                   "headers.request.set.Expect", "sees to when a body is sent");
    expect_mistake("'headers': { 'request': { 'set': { 'x-client-cert-subject': 'x' } } }",
                   "headers.request.set[\"x-client-cert-subject\"]", "only the gateway says");
    expect_mistake("'headers': { 'request': { 'add': { 'X_Client_Cert_Any': 'x' } } }",
                   "headers.request.add.X_Client_Cert_Any", "only the gateway says");
    expect_mistake("'headers': { 'request': { 'set': { 'Content_Length': '5' } } }",
                   "headers.request.set.Content_Length", "cannot tell them apart");
    expect_mistake("'headers': { 'request': { 'set': { 'a b': 'x' } } }",
                   "headers.request.set[\"a b\"]", "no name of a header");
    expect_mistake("'headers': { 'request': { 'remove': [''] } }", "headers.request.remove[0]",
                   "no name of a header");
    expect_mistake("'headers': { 'request': { 'set': { 'X': '1', 'x': '2' } } }",
                   "headers.request.set.x", "there already in another case");
    expect_mistake("'headers': { 'request': { 'add': { 'X': '1', 'x': '2' } } }",
                   "headers.request.add.x", "there already in another case");
    expect_mistake("'headers': { 'request': { 'remove': ['X', 'x'] } }",
                   "headers.request.remove[1]", "there already");
}

Test(headers, what_may_be_changed)
{
    route_folder_good(
        &folder,
        "'routes': { 'a.test': { 'to': 'x:1', 'headers': { 'request': { 'remove': "
        "['X-Forwarded-For', 'X-Client-Cert-Subject'], 'set': { 'X-Forwarded-Proto': 'https', "
        "'X-Request-Id': '{request_id}', 'X_Own': '1', 'Authorization': 'Basic eA==' } },"
        "'response': { 'remove': ['Server', 'X-Request-Id'], 'set': { 'Date': 'now',"
        "'X_Forwarded_For': '1' }, 'add': { 'Set-Cookie': ['a=1', 'b=2'] } } } } }");
    cr_expect_eq(settings_of("/")->request_headers.count, 6);
    cr_expect_eq(settings_of("/")->response_headers.count, 6);
}

Test(headers, mistakes_of_values)
{
    expect_mistake("'headers': { 'request': { 'set': { 'A': 'x\\r\\nB: y' } } }",
                   "headers.request.set.A", "no line breaks");
    expect_mistake("'headers': { 'request': { 'set': { 'A': '\\u007f' } } }",
                   "headers.request.set.A", "control characters");
    expect_mistake("'headers': { 'request': { 'set': { 'A': ['x'] } } }", "headers.request.set.A",
                   "a string is expected");
    expect_mistake("'headers': { 'request': { 'add': { 'A': ['x', 1] } } }",
                   "headers.request.add.A[1]", "a string");
    expect_mistake("'headers': { 'request': { 'add': { 'A': [] } } }", "headers.request.add.A",
                   "the list is empty");
    expect_mistake("'headers': { 'request': { 'set': { 'A': '{path}' } } }",
                   "headers.request.set.A",
                   "\"{path}\" is no placeholder here: {host}, {request_id}, {client_ip}, {sni} "
                   "and {route} are; \"{{\" is a literal brace");
    expect_mistake("'headers': { 'request': { 'set': { 'A': '{host' } } }", "headers.request.set.A",
                   "without its \"}\"");
    expect_mistake("'headers': { 'request': { 'remove': 'A' } }", "headers.request.remove",
                   "a list of names");
    expect_mistake("'headers': { 'request': ['A'] }", "headers.request", "an object");
    expect_mistake("'headers': { 'requests': {} }", "headers.requests", "unknown key");
    expect_mistake("'headers': { 'request': { 'sett': {} } }", "headers.request.sett",
                   "unknown key");
}

Test(headers, mistakes_of_prefixes)
{
    expect_mistake("'rewrite': { 'strip_prefix': 'api' }", "rewrite.strip_prefix",
                   "starts with \"/\"");
    expect_mistake("'rewrite': { 'strip_prefix': '' }", "rewrite.strip_prefix",
                   "starts with \"/\"");
    expect_mistake("'rewrite': { 'add_prefix': '/a?b' }", "rewrite.add_prefix", "no \"?\"");
    expect_mistake("'rewrite': { 'add_prefix': '/a#b' }", "rewrite.add_prefix", "\"#\"");
    expect_mistake("'rewrite': { 'add_prefix': '/a/../b' }", "rewrite.add_prefix", "\"..\"");
    expect_mistake("'rewrite': { 'strip_prefix': '/a b' }", "rewrite.strip_prefix", "refused");
    expect_mistake("'rewrite': { 'strip_prefix': 5 }", "rewrite.strip_prefix", "a path such as");
    expect_mistake("'rewrite': { 'prefix': '/a' }", "rewrite.prefix", "unknown key");
}

Test(headers, where_no_backend_is_asked)
{
    route_folder_load_with_certs(
        &folder, "'routes': {"
                 "\n'a.test': { 'redirect': '/', 'headers': { 'request': { 'set': {} } } },"
                 "\n'b.test': { 'respond': {}, 'rewrite': { 'add_prefix': '/a' } },"
                 "\n'c.test': { 'paths': { '/': { 'respond': {} } }, 'headers': { 'response': {"
                 "  'set': { 'A': '1' } }, 'request': {} } } }");
    cr_expect_eq(folder.problems.errors, 3, "%s", folder.printed);
    route_folder_expect(&folder, 2, 0, "routes[\"a.test\"].headers.request", "asks no backend",
                        NULL);
    route_folder_expect(&folder, 3, 0, "routes[\"b.test\"].rewrite.add_prefix", "no effect", NULL);
    route_folder_expect(&folder, 4, 0, "routes[\"c.test\"].headers.request", "none of these paths",
                        NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'defaults': { 'rewrite': {} }");
    route_folder_expect(&folder, 1, 0, "defaults.rewrite", "no effect here", NULL);
}
