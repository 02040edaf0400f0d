/* The access log: one JSON object for each request, what is in it, and what must never be. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

E2E_SUITE(logs);

static const char *const members[] = {
    "ts",     "request_id", "client_ip", "peer_ip",     "method",      "host",      "path",
    "proto",  "status",     "reason",    "bytes_in",    "bytes_out",   "route",     "backend",
    "server", "attempts",   "tls",       "duration_ms", "upstream_ms", "generation"};

static void expect_all_members(json_t *entry)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        json_member(entry, members[i]);
}

Test(logs, every_member_of_a_proxied_request)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'api': { 'servers': ['%s'] } },"
                      "  'routes': { 'a.test': { 'paths': { '/v1/': 'api' } } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client, "POST /v1//%%61?secret=1 HTTP/1.1\r\nHost: A.test:8443\r\n"
                        "Content-Length: 5\r\n\r\nhello");
    expect_body(client_response(client), "hello");
    json_t *entry = log_entry(gateway, 0);
    expect_all_members(entry);
    int year, month, day, hour, minute, second, milliseconds;
    const char *ts = json_string_value(json_member(entry, "ts"));
    cr_assert_eq(sscanf(ts, "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &year, &month, &day, &hour, &minute,
                        &second, &milliseconds),
                 7, "%s", ts);
    expect_string(entry, "client_ip", "127.0.0.1");
    expect_string(entry, "peer_ip", "127.0.0.1");
    expect_string(entry, "method", "POST");
    expect_string(entry, "path", "/v1/a");
    expect_string(entry, "proto", protocol_name());
    expect_number(entry, "status", 200);
    expect_null(entry, "reason");
    cr_assert_geq(json_integer_value(json_member(entry, "bytes_in")), 5);
    cr_assert_geq(json_integer_value(json_member(entry, "bytes_out")), 5);
    cr_assert(json_is_number(json_member(entry, "duration_ms")));
    cr_assert(json_is_number(json_member(entry, "upstream_ms")));
    expect_string(entry, "route", "a.test/v1/");
    expect_string(entry, "backend", "api");
    expect_string(entry, "server", origin_address(origin));
    expect_number(entry, "attempts", 1);
    expect_number(entry, "generation", 1);
    expect_string(entry, "tls.sni", "a.test");
    cr_assert(json_is_false(json_member(entry, "tls.resumed")));
    cr_assert_not_null(strstr(json_string_value(json_member(entry, "tls.version")), "1.3"));
    cr_assert(json_is_string(json_member(entry, "tls.cipher")));
    cr_assert(json_is_string(json_member(entry, "tls.group")));
    cr_assert_eq(strncasecmp(json_string_value(json_member(entry, "host")), "a.test", 6), 0);
    gateway_stop(gateway);
}

Test(logs, what_is_absent_is_null)
{
    struct gateway *gateway = gateway_start(
        "{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
        "    'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' } },"
        "  'certs': 'certs', 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));

    expect_status(client_get(client, "nobody.test", "/x"), 404);
    json_t *entry = log_entry(gateway, 0);
    expect_all_members(entry);
    expect_string(entry, "route", "none");
    expect_string(entry, "reason", "no_route");
    expect_null(entry, "backend");
    expect_null(entry, "server");
    expect_null(entry, "upstream_ms");
    expect_null(entry, "tls");

    expect_status(client_get(client, "a.test", "/x"), 200);
    entry = log_entry(gateway, 1);
    expect_string(entry, "route", "a.test");
    expect_null(entry, "reason");
    expect_null(entry, "backend");
    gateway_stop(gateway);
}

Test(logs, refused_heads_are_logged)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-A : b\r\n\r\n");
    client_expect_bad_request(client);
    json_t *entry = log_entry(gateway, 0);
    expect_all_members(entry);
    expect_number(entry, "status", 400);
    expect_string(entry, "reason", "bad_request");
    gateway_stop(gateway);
}

Test(logs, resumed_sessions_show)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client_options options = {.sni = "a.test", .max_version = TLS1_2_VERSION};
    struct client *first = client_open_with(gateway_https(gateway), &options);

    expect_body(client_get(first, "a.test", "/"), "ok");
    client_close(first);
    options.session = SSL_SESSION_dup(first->session);
    struct client *again = client_open_with(gateway_https(gateway), &options);
    SSL_SESSION_free(options.session);
    expect_body(client_get(again, "a.test", "/"), "ok");
    json_t *entry = log_entry(gateway, 1);
    cr_assert(json_is_true(json_member(entry, "tls.resumed")));
    cr_assert_not_null(strstr(json_string_value(json_member(entry, "tls.version")), "1.2"));
    gateway_stop(gateway);
}

Test(logs, queries_only_when_told)
{
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'certs', 'log': { 'query': true, 'format': 'json' },"
                      "  'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");

    expect_body(fetch(gateway, "a.test", "/x?q=1&r=%20"), "ok");
    const char *line = gateway_stdout_line(gateway, 0);
    cr_assert_not_null(line);
    cr_assert_not_null(strstr(line, "q=1&r=%20"), "%s", line);
    gateway_stop(gateway);
}

Test(logs, credentials_are_nowhere)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'certs', 'log': { 'level': 'debug', 'format': 'json' },"
                      "  'routes': { 'a.test': '%s' } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/",
                     "HTTP/1.1 200 OK\r\nSet-Cookie: s=HUSH-5\r\nContent-Length: 6\r\n"
                     "\r\nHUSH-6");
    client_send(client, "POST /?token=HUSH-1 HTTP/1.1\r\nHost: a.test\r\nCookie: s=HUSH-2\r\n"
                        "Authorization: Bearer HUSH-3\r\nProxy-Authorization: Basic HUSH-4\r\n"
                        "X-Api-Key: HUSH-7\r\nContent-Length: 6\r\n\r\nHUSH-8");
    expect_status(client_response(client), 200);
    client_send(client,
                "GET /?token=HUSH-9 HTTP/1.1\r\nHost: a.test\r\nAuthorization : HUSH-10\r\n\r\n");
    client_expect_bad_request(client);
    log_entry(gateway, 1);
    gateway_stop(gateway);
    cr_assert_null(strstr(gateway_stdout(gateway), "HUSH"));
    cr_assert_null(strstr(gateway_stderr(gateway), "HUSH"));
}

Test(logs, odd_bytes_stay_json)
{
    static const char *const paths[] = {"/\"quoted\"", "/\xff\xfe", "/a%22b%5c", "/\xc3\xbc",
                                        "/<&>"};
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");

    for (int i = 0; i < 5; i++) {
        struct client *client = client_open(gateway, "a.test");
        client_send(client, "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", paths[i]);
        client_response(client);
        client_close(client);
        expect_all_members(log_entry(gateway, i));
    }
    gateway_stop(gateway);
}

Test(logs, a_line_for_every_pipelined_request)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");
    const char *many = "";

    for (int i = 0; i < 50; i++)
        many = text("%sGET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n", many, i);
    client_send(client, "%s", many);
    for (int i = 0; i < 50; i++)
        expect_body(client_response(client), "ok");
    for (int i = 0; i < 50; i++)
        expect_string(log_entry(gateway, i), "path", text("/%d", i));
    gateway_stop(gateway);
}

Test(logs, off)
{
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'certs', 'log': { 'access': 'off' },"
                      "  'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");

    expect_body(fetch(gateway, "a.test", "/"), "ok");
    gateway_stop(gateway);
    cr_assert_str_eq(gateway_stdout(gateway), "");
}

/* Reads the file until a line of it has the words. */
static void wait_file_says(const char *path, const char *words)
{
    long long start = monitor_now_ms();

    for (;;) {
        const char *said = workplace_read(path);
        if (said != NULL && strstr(said, words) != NULL)
            return;
        workplace_require(monitor_may_ask_again(start), "%s does not say '%s' but: %s", path, words,
                          said != NULL ? said : "(nothing)");
    }
}

Test(logs, file_is_reopened_at_sigusr1)
{
    const char *file = workplace_path("access.log");
    const char *old = workplace_path("access.log.1");
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'certs', 'log': { 'access': '@tmp/access.log' },"
                      "  'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");

    expect_body(fetch(gateway, "a.test", "/before"), "ok");
    wait_file_says(file, "/before");
    cr_assert_eq(rename(file, old), 0);
    expect_body(fetch(gateway, "a.test", "/between"), "ok");
    wait_file_says(old, "/between");
    gateway_signal(gateway, SIGUSR1);
    wait_file_says(file, "");
    expect_body(fetch(gateway, "a.test", "/after"), "ok");
    wait_file_says(file, "/after");
    gateway_stop(gateway);
    cr_assert_null(strstr(workplace_read(file), "/before"));
    cr_assert_null(strstr(workplace_read(old), "/after"));
    cr_assert_str_eq(gateway_stdout(gateway), "");
}

Test(logs, every_line_is_written_before_the_end)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 300; i++)
        expect_body(client_get(client, "a.test", "/"), "ok");
    gateway_stop(gateway);
    int lines = 0;
    for (const char *at = gateway_stdout(gateway); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    cr_assert_eq(lines, 300);
}

Test(logs, text_events_and_levels)
{
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'certs', 'log': { 'format': 'text', 'level': 'debug' },"
                      "  'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open_plain(gateway_https(gateway));
    size_t before = strlen(gateway_stderr(gateway));

    /* Nonsense of a peer is told at debug level, one line each. */
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client_read_to_end(client);
    size_t position = before;
    gateway_wait_stderr(gateway, "\n", &position);
    gateway_stop(gateway);
}

Test(logs, peers_nonsense_is_not_told_by_default)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    size_t before = strlen(gateway_stderr(gateway));

    for (int i = 0; i < 10; i++) {
        struct client *client = client_open_plain(gateway_https(gateway));
        client_send(client, "nonsense nonsense nonsense");
        wire_half_close(&client->wire);
        client_read_to_end(client);
    }
    expect_body(fetch(gateway, "a.test", "/"), "ok");
    cr_assert_eq(strlen(gateway_stderr(gateway)), before, "%s", gateway_stderr(gateway) + before);
    gateway_stop(gateway);
}
