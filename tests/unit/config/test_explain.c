/* What is found out about a request. */
#include "config/explain.h"

#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;
static struct arena arena;
static struct followed_request request;
static struct explanation explained;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    arena_clear(&arena);
    route_folder_clear(&folder);
    buffer_cache_clear();
}

TestSuite(explain, .init = begin, .fini = end);

static const struct followed *ask_question(struct explain_question question)
{
    struct error error;

    cr_assert(explain_question_read(&question, &arena, &request, &error), "%s", error.message);
    explain(folder.snapshot, &request, &arena, &explained);
    return &explained.followed;
}

static const struct followed *ask(const char *url)
{
    return ask_question((struct explain_question){.url = url});
}

static void expect_text(struct slice is, const char *wanted)
{
    cr_expect(slice_equal(is, slice_of(wanted)), "\"%.*s\", not \"%s\"", (int)is.len, is.at,
              wanted);
}

static char *print(bool as_json, bool is_live, bool is_coloured)
{
    struct buffer out = {0};

    if (as_json)
        explain_print_json(&explained, is_live, &out);
    else
        explain_print_text(&explained, is_live, is_coloured, &out);
    char *text = arena_text(&arena, buffer_content(&out));
    buffer_clear(&out);
    return text;
}

/* --- settings -----------------------------------------------------------------------------------
 */

static void expect_setting(const char *key, const char *value, const char *from)
{
    struct explained_setting list[EXPLAIN_SETTINGS_MAX], client[EXPLAIN_CLIENT_SETTINGS];
    const struct route *route = explained.followed.route;
    unsigned count = explain_settings(route, route->targets, &arena, list);

    explain_client_settings(folder.snapshot->globals, &arena, client);
    for (unsigned i = 0; i < count + EXPLAIN_CLIENT_SETTINGS; i++) {
        const struct explained_setting *setting = i < count ? &list[i] : &client[i - count];
        if (strcmp(setting->key, key) != 0)
            continue;
        expect_text(setting->value, value);
        expect_text(setting->from, from);
        return;
    }
    cr_expect(false, "there is no %s", key);
}

Test(explain, settings_and_where_each_came_from)
{
    route_folder_good(&folder,
                      "'defaults': { 'timeout': { 'connect': '2s', 'idle': '90s', 'header': '5s' },"
                      "  'max_body': '1MiB', 'limits': { 'headers': 0, 'header_bytes': '64KiB',"
                      "  'connections': 1000, 'connections_per_ip': 0, 'underscores': true,"
                      "  'body_rate': '2KiB/s' } },"
                      "'backends': { 'b.1': { 'servers': 'x:1', 'timeout': { 'connect': '1500ms' },"
                      "  'retry': { 'attempts': 0 }, 'keepalive': 0, 'host': 'backend' } },"
                      "'routes': { 'a.test': { 'timeout': { 'first_byte': '5m' }, 'paths': {"
                      "  '/x': { 'to': 'b.1', 'max_body': 0, 'timeout': { 'tunnel_idle': '2d' } },"
                      "  '/': 'y:1' } } }");
    ask("https://a.test/x");
    expect_setting("timeout.connect", "1500ms", "backends[\"b.1\"].timeout.connect");
    expect_setting("timeout.idle", "90s", "defaults.timeout.idle");
    expect_setting("timeout.first_byte", "5m", "routes[\"a.test\"].timeout.first_byte");
    expect_setting("timeout.tunnel_idle", "2d",
                   "routes[\"a.test\"].paths[\"/x\"].timeout.tunnel_idle");
    expect_setting("timeout.body_idle", "30s", "built in");
    expect_setting("max_body", "off", "routes[\"a.test\"].paths[\"/x\"].max_body");
    expect_setting("host", "backend", "backends[\"b.1\"].host");
    expect_setting("retry.attempts", "1", "backends[\"b.1\"].retry.attempts");
    expect_setting("keepalive", "off", "backends[\"b.1\"].keepalive");
    expect_setting("timeout.header", "5s", "defaults.timeout.header");
    expect_setting("timeout.handshake", "10s", "built in");
    expect_setting("timeout.keepalive", "75s", "built in");
    expect_setting("limits.headers", "off", "defaults.limits.headers");
    expect_setting("limits.header_bytes", "64KiB", "defaults.limits.header_bytes");
    expect_setting("limits.request_line", "16KiB", "built in");
    expect_setting("limits.connections", "1000", "defaults.limits.connections");
    expect_setting("limits.connections_per_ip", "off", "defaults.limits.connections_per_ip");
    expect_setting("limits.handshakes", "off", "built in");
    expect_setting("limits.underscores", "true", "defaults.limits.underscores");
    expect_setting("limits.body_rate", "2KiB/s", "defaults.limits.body_rate");
    ask("https://a.test/y");
    expect_setting("max_body", "1MiB", "defaults.max_body");
    expect_setting("keepalive", "32", "built in");
    expect_setting("proxy_protocol", "off", "built in");
    expect_setting("host", "preserve", "built in");
}

Test(explain, a_backend_that_is_told_the_client_keeps_no_connection)
{
    route_folder_good(&folder, "'backends': { 'b': { 'servers': 'x:1', 'proxy_protocol': 'v2' } },"
                               "'routes': { 'a.test': 'b' }");
    ask("https://a.test/");
    expect_setting("proxy_protocol", "v2", "backends.b.proxy_protocol");
    expect_setting("keepalive", "off", "backends.b.proxy_protocol");
}

Test(explain, settings_of_an_answer_of_its_own)
{
    struct explained_setting list[EXPLAIN_SETTINGS_MAX];

    route_folder_good(&folder, "'routes': { 'a.test': { 'redirect': 'https://b/', 'timeout': { "
                               "'body_idle': '7s' } } }");
    const struct followed *f = ask("https://a.test/");
    cr_assert_eq(explain_settings(f->route, NULL, &arena, list), 2);
    expect_text(list[0].value, "7s");
    expect_text(list[0].from, "routes[\"a.test\"].timeout.body_idle");
    cr_expect_str_eq(list[1].key, "headers.response");
    expect_text(list[1].value, "none");
    expect_text(list[1].from, "built in");
}

static void expect_edit(enum setting setting, unsigned at, const char *name, const char *value,
                        const char *from)
{
    const struct route *route = explained.followed.route;
    struct explained_edit *list;
    unsigned count = explain_edits(&explained, route->targets, setting, &arena, &list);

    cr_assert_lt(at, count);
    expect_text(list[at].edit->name, name);
    expect_text(list[at].value, value);
    expect_text(list[at].from, from);
}

Test(explain, headers_and_the_path_as_the_backend_gets_them)
{
    route_folder_good(
        &folder,
        "'defaults': { 'headers': { 'response': { 'add': { 'X-Served': '{route}' } } } },"
        "'backends': { 'b': { 'servers': 'x:1', 'headers': { 'request': { 'set': {"
        "  'X-Sni': '{sni}', 'X-Id': '{request_id} of {client_ip}' } } } } },"
        "'routes': { 'a.test': { 'rewrite': { 'strip_prefix': '/x' }, 'paths': { '/x': { 'to': "
        "'b', 'headers': { 'request': { 'remove': ['Cookie'], 'add': { 'X-Host': '{host}' } } } } "
        "} } }");
    ask("https://a.test/x/y?q");
    expect_text(explained.followed.backend_path, "/y");
    expect_setting("headers.request", "4 edits",
                   "routes[\"a.test\"].paths[\"/x\"].headers.request");
    expect_setting("headers.response", "1 edit", "defaults.headers.response");
    expect_setting("rewrite.strip_prefix", "/x", "routes[\"a.test\"].rewrite.strip_prefix");
    expect_setting("rewrite.add_prefix", "off", "built in");
    expect_edit(SETTING_REQUEST_HEADERS, 0, "Cookie", "",
                "routes[\"a.test\"].paths[\"/x\"].headers.request.remove");
    expect_edit(SETTING_REQUEST_HEADERS, 1, "X-Id", "{request_id} of {client_ip}",
                "backends.b.headers.request.set[\"X-Id\"]");
    expect_edit(SETTING_REQUEST_HEADERS, 2, "X-Sni", "a.test",
                "backends.b.headers.request.set[\"X-Sni\"]");
    expect_edit(SETTING_REQUEST_HEADERS, 3, "X-Host", "a.test",
                "routes[\"a.test\"].paths[\"/x\"].headers.request.add[\"X-Host\"]");
    expect_edit(SETTING_RESPONSE_HEADERS, 0, "X-Served", "a.test/x",
                "defaults.headers.response.add[\"X-Served\"]");
    const char *text = print(false, false, false);
    cr_expect(strstr(text, "it gets the path /y, by rewrite"), "%s", text);
    cr_expect(strstr(text, "to backend  remove Cookie, by routes"), "%s", text);
    cr_expect(strstr(text, "            set X-Sni: a.test, by backends.b"), "%s", text);
    cr_expect(strstr(text, "to client   add X-Served: a.test/x, by defaults"), "%s", text);
    ask_question((struct explain_question){
        .url = "https://a.test/x", .has_no_sni = true, .ip = "2001:db8::7"});
    expect_text(explained.followed.backend_path, "/");
    expect_edit(SETTING_REQUEST_HEADERS, 1, "X-Id", "{request_id} of 2001:db8::7",
                "backends.b.headers.request.set[\"X-Id\"]");
    text = print(false, false, false);
    cr_expect(strstr(text, "set X-Sni: left out, as its value is empty"), "%s", text);
}

Test(explain, headers_of_the_gateways_own_answers)
{
    route_folder_good(&folder, "'defaults': { 'headers': { 'response': { 'set': { 'A': 'b' } },"
                               "  'request': { 'set': { 'C': 'd' } } } },"
                               "'routes': { 'a.test': { 'redirect': '/' } }");
    ask("https://a.test/x");
    expect_text(explained.followed.backend_path, "");
    const char *text = print(false, false, false);
    cr_expect(strstr(text, "to client   set A: b, by defaults.headers.response.set.A"), "%s", text);
    cr_expect_null(strstr(text, "to backend"), "%s", text);
    text = print(true, false, false);
    cr_expect(strstr(text, "\"response_headers\":[{\"edit\":\"set\",\"name\":\"A\","
                           "\"value\":\"b\",\"from\":\"defaults.headers.response.set.A\"}]"),
              "%s", text);
}

Test(explain, headers_in_json)
{
    route_folder_good(&folder, "'routes': { 'a.test': { 'to': 'x:1', 'rewrite': { 'add_prefix': "
                               "'/v2' }, 'headers': { 'request': { 'remove': ['A'] } } } }");
    ask("https://a.test/x");
    json_t *object = json_loads(print(true, false, false), 0, NULL);
    json_t *target = json_array_get(json_object_get(object, "targets"), 0);
    json_t *edit = json_array_get(json_object_get(target, "request_headers"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(target, "path")), "/v2/x");
    cr_expect_str_eq(json_string_value(json_object_get(edit, "edit")), "remove");
    cr_expect_str_eq(json_string_value(json_object_get(edit, "name")), "A");
    cr_expect(json_is_null(json_object_get(edit, "value")));
    cr_expect_eq(json_array_size(json_object_get(target, "response_headers")), 0);
    json_decref(object);
}

/* --- the client ---------------------------------------------------------------------------------
 */

static void expect_client(const char *ip, const char *forwarded, bool is_trusted,
                          const char *client_ip)
{
    ask_question((struct explain_question){
        .url = "https://a.test/", .ip = ip, .headers = {forwarded}, .header_count = 1});
    cr_expect_eq(explained.followed.is_trusted, is_trusted, "%s", ip);
    expect_text(explained.followed.client_ip, client_ip);
}

Test(explain, who_the_client_is)
{
    route_folder_good(&folder, "'routes': {}, 'trusted_proxies': ['10.0.0.0/8']");
    expect_client("10.0.0.1", "X-Forwarded-For: 1.2.3.4, 10.9.9.9", true, "1.2.3.4");
    expect_client("192.0.2.1", "X-Forwarded-For: 1.2.3.4", false, "192.0.2.1");
    expect_client("10.0.0.1", "X-Real-IP: 1.2.3.4", true, "10.0.0.1");
    ask("https://a.test/");
    expect_text(explained.followed.client_ip, "");
}

/* --- listeners ----------------------------------------------------------------------------------
 */

Test(explain, the_port_chooses_the_listener)
{
    route_folder_good(&folder,
                      "'listen': { 'https': [':8443', ':9443'], 'http': [':8080', { 'bind': "
                      "':8081', 'serve': 'routes' }] }, 'routes': { 'a.test': 'x:1' }");
    cr_expect_str_eq(ask("https://a.test:9443/")->listener->text, ":9443");
    cr_expect_not(explained.is_other_port);
    cr_expect_str_eq(ask("https://a.test/")->listener->text, ":8443");
    cr_expect_not(explained.is_other_port, "ports are mapped often: none was said");
    cr_expect_str_eq(ask("https://a.test:444/")->listener->text, ":8443");
    cr_expect(explained.is_other_port);
    cr_expect_eq(ask("http://a.test:8080/")->status, 308);
    cr_expect(ask("http://a.test:8081/")->route);
}

Test(explain, a_listener_that_is_off)
{
    route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }");
    cr_expect_str_eq(ask("http://a.test/")->unreachable, "listen.http is off");
    cr_expect_not_null(strstr(print(false, false, false), "none: listen.http is off"));
    cr_expect_not_null(strstr(print(true, false, false), "\"by\":\"nobody\""));
}

Test(explain, challenges_come_first)
{
    char text[512];

    snprintf(text, sizeof(text),
             "'listen': { 'http': { 'bind': ':8080', 'acme_webroot': '%s' } }, "
             "'routes': { 'a.test': 'x:1' }",
             folder.path);
    route_folder_good(&folder, text);
    const struct followed *f = ask("http://a.test/.well-known/acme-challenge/to-ken");
    cr_expect(f->is_challenge);
    cr_expect_eq(f->status, 0);
    cr_expect(slice_starts_with(f->challenge, slice_of(folder.path)));
    cr_expect(slice_ends_with(f->challenge, slice_of("/.well-known/acme-challenge/to-ken")));
    cr_expect_not_null(strstr(print(false, false, false), "404 while it is not there"));
    cr_expect_not_null(strstr(print(true, false, false), "\"by\":\"gateway\""));
    f = ask("http://a.test/.well-known/acme-challenge/no/token");
    cr_expect_eq(f->reason, REASON_NO_ROUTE);
    cr_expect_eq(explained.hosts.count, 0);
    cr_expect_eq(ask("http://a.test/.well-known/")->status, 308);
    cr_expect_not(ask("https://a.test/.well-known/acme-challenge/t")->is_challenge);
}

/* --- the handshake ------------------------------------------------------------------------------
 */

Test(explain, certificates_beside_the_chosen_one)
{
    route_folder_certify(&folder, "exact", "a.test", 30);
    route_folder_certify(&folder, "old", "a.test", -5);
    route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }");
    const struct followed *f = ask("https://a.test/");
    cr_expect_eq(f->tls.match, CERT_MATCH_EXACT);
    cr_assert_eq(explained.other_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        bool is_old = strstr(certificate_file(explained.others[i].certificate), "old") != NULL;
        cr_expect_str_eq(explained.others[i].why,
                         is_old ? "it has expired" : "an exact name comes before a wildcard");
    }
    cr_expect_eq(ask("https://b.test/")->tls.match, CERT_MATCH_WILDCARD);
    cr_expect_eq(explained.other_count, 0);
}

Test(explain, alerts_and_421)
{
    route_folder_certify(&folder, "other", "other.example", 30);
    route_folder_good(&folder, "'routes': { '*': 'x:1' }");
    cr_expect_eq(ask("https://nobody.example/")->tls.refusal, TLS_REFUSAL_UNKNOWN_NAME);
    cr_expect_not_null(strstr(print(true, false, false), "\"alert\":\"unrecognized_name\""));
    ask_question((struct explain_question){.url = "https://a.test/", .has_no_sni = true});
    cr_expect_not_null(strstr(print(false, false, false), "no tls.default_cert"));
    const struct followed *f =
        ask_question((struct explain_question){.url = "https://a.test/", .sni = "other.example"});
    cr_expect_eq(f->status, 421);
    cr_expect_eq(f->reason, REASON_MISDIRECTED);
    cr_expect_not_null(strstr(print(false, false, false), "421 misdirected"));
    f = ask_question((struct explain_question){.url = "https://nobody.example/", .sni = "a.test"});
    cr_expect_eq(f->status, 0, "no certificate covers that host: it is routed");
}

/* --- answers ------------------------------------------------------------------------------------
 */

Test(explain, bodies_that_are_too_large)
{
    struct explain_question question = {
        .url = "https://a.test/", .headers = {"Content-Length: 11"}, .header_count = 1};

    route_folder_good(&folder,
                      "'backends': { 'small': { 'servers': 'x:1', 'max_body': 10 }, "
                      "'large': { 'servers': 'x:2', 'max_body': 20 } }, 'routes': { "
                      "'a.test': { 'to': { 'small': 1, 'large': 1 } }, 'b.test': 'small' }");
    cr_expect_eq(ask_question(question)->status, 0, "one share takes it");
    cr_expect_not_null(strstr(print(false, false, false), "413 body_too_large"));
    question.url = "https://b.test/";
    cr_expect_eq(ask_question(question)->reason, REASON_BODY_TOO_LARGE);
}

Test(explain, first_lines_that_are_too_long)
{
    /* "GET /12345 HTTP/1.1" is 19 bytes. */
    route_folder_good(&folder, "'defaults': { 'limits': { 'request_line': 19 } }, "
                               "'routes': { 'a.test': 'x:1' }");
    cr_expect_eq(ask("https://a.test/12345")->reason, REASON_NONE);
    cr_expect_eq(ask("https://a.test/123?5")->reason, REASON_NONE);
    cr_expect_eq(ask("https://a.test/123?56")->reason, REASON_URI_TOO_LONG);
    cr_expect_eq(explained.followed.status, 414);
    cr_expect_not_null(strstr(print(false, false, false), "414 uri_too_long"));
    route_folder_good(&folder, "'defaults': { 'limits': { 'request_line': 0 } }, "
                               "'routes': { 'a.test': 'x:1' }");
    cr_expect_eq(ask("https://a.test/123?56")->reason, REASON_NONE);
}

Test(explain, headers_that_are_refused)
{
    struct explain_question question = {
        .url = "https://a.test/", .headers = {"A_b: c"}, .header_count = 1};

    route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }");
    cr_expect_eq(ask_question(question)->reason, REASON_BAD_REQUEST);
    route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }, "
                               "'defaults': { 'limits': { 'underscores': true } }");
    cr_expect_eq(ask_question(question)->reason, REASON_NONE);
}

Test(explain, shares_and_servers)
{
    route_folder_good(&folder, "'backends': { 'b': ['x:1', { 'to': 'x:2', 'weight': 0 }], "
                               "'c': 'x:3', 'd': 'x:4' }, "
                               "'routes': { 'a.test': { 'to': { 'b': 95, 'c': 5, 'd': 0 } } }");
    ask("https://a.test/");
    char *text = print(false, false, false);
    cr_expect_not_null(strstr(text, "b: 95% of the requests"), "%s", text);
    cr_expect_not_null(strstr(text, "c: 5% of the requests"));
    cr_expect_not_null(strstr(text, "d: its share is 0, it gets nothing new"));
    cr_expect_not_null(strstr(text, "x:2, weight 0: gets nothing new"));
}

static void expect_share(struct explain_question question, const char *words)
{
    const struct followed *f = ask_question(question);

    cr_expect_eq(f->share != NULL, words != NULL, "%s", question.ip);
    cr_expect_not_null(strstr(print(false, false, false), words ? words : "b: 60% of the clients"));
    cr_expect_not_null(
        strstr(print(true, false, false), words ? "\"is_clients\":true" : "\"is_clients\":null"));
}

Test(explain, share_of_a_client)
{
    static const char split[] = "'backends': { 'b': 'x:1', 'c': 'x:2' }, 'trusted_proxies': "
                                "['10.0.0.0/8'], 'routes': { 'a.test': { 'to': { 'b': 60, 'c': 40 "
                                "}, 'split_on': '%s' } }";
    static const char b[] = "b: 60% of the clients, this one among them";
    static const char c[] = "c: 40% of the clients, this one among them";
    struct explain_question question = {.url = "https://a.test/"};
    char text[512];

    snprintf(text, sizeof(text), split, "ip");
    route_folder_good(&folder, text);
    expect_share(question, NULL);
    question.ip = "192.0.2.1";
    expect_share(question, c);
    question.ip = "192.0.2.2";
    expect_share(question, b);
    question.ip = "10.0.0.1"; /* a proxy: whom it names counts */
    question.headers[question.header_count++] = "X-Forwarded-For: 192.0.2.1";
    expect_share(question, c);

    snprintf(text, sizeof(text), split, "cookie:id");
    route_folder_good(&folder, text);
    expect_share(question, c); /* without the cookie by address */
    question.headers[question.header_count++] = "Cookie: id=1";
    expect_share(question, b);
    question.ip = NULL;
    expect_share(question, b);
    question.headers[1] = "Cookie: id=3";
    expect_share(question, c);
    question.headers[1] = "Cookie: other=2";
    expect_share(question, NULL);
}

/* --- addresses ----------------------------------------------------------------------------------
 */

Test(explain, addresses_that_may_not_come)
{
    struct explain_question question = {.url = "https://a.test/", .ip = "10.0.0.1"};

    route_folder_good(&folder, "'backends': { 'b': { 'servers': ['x:1'], 'deny': ['10.0.0.0/8'] },"
                               "  'c': 'x:2' }, 'routes': { 'a.test': 'b', "
                               "  's.test': { 'to': { 'b': 1, 'c': 1 } } }");
    cr_expect_eq(ask_question(question)->reason, REASON_DENIED);
    cr_expect_not_null(strstr(print(false, false, false), "403 denied: the client's address"));
    cr_expect_null(strstr(print(false, false, false), "by rewrite"));
    question.ip = "11.0.0.1";
    cr_expect_eq(ask_question(question)->status, 0);
    cr_expect_null(strstr(print(false, false, false), "denied"));
    expect_setting("deny", "10.0.0.0/8", "backends.b.deny");
    question.ip = NULL;
    cr_expect_eq(ask_question(question)->status, 0);
    question = (struct explain_question){.url = "https://s.test/", .ip = "10.0.0.1"};
    cr_expect_eq(ask_question(question)->status, 0);
    cr_expect_not_null(strstr(print(true, false, false), "\"status\":403"));
    cr_expect_not_null(strstr(print(false, false, false), "403 denied: the client's address"));
}

/* --- forms --------------------------------------------------------------------------------------
 */

Test(explain, colours_only_where_they_are_wanted)
{
    route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }");
    ask("https://a.test/");
    cr_expect_null(strchr(print(false, false, false), '\033'));
    cr_expect_not_null(strstr(print(false, false, true), "\033[1mroute"));
}

Test(explain, json_has_every_member)
{
    static const char *const members[] = {
        "generation", "request",    "unreachable", "listener",       "client",
        "tls",        "answer",     "route",       "kind",           "targets",
        "near_hosts", "near_paths", "host_entry",  "client_settings"};
    static const char *const urls[] = {"https://a.test/", "https://b.test/x\"y\\", "http://a.test/",
                                       "https://c.test/", "https://nobody.example/"};

    route_folder_good(&folder, "'routes': { 'a.test': 'x:1', 'b.test': { 'redirect': '/{uri}' }, "
                               "'c.test': { 'respond': { 'headers': { 'a': 'b' } } } }");
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        ask(urls[i]);
        json_t *object = json_loads(print(true, true, false), 0, NULL);
        cr_assert(object, "%s", print(true, true, false));
        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++)
            cr_expect(json_object_get(object, members[k]), "%s: %s", urls[i], members[k]);
        json_decref(object);
    }
}
