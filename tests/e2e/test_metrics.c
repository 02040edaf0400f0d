/* /metrics: every name, its labels, and that it moves when it should. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

E2E_SUITE(metrics);

/* --- reading the page ------------------------------------------------------------------------- */

static char *page(void)
{
    struct message *response = ask_admin("GET", "/metrics");

    expect_status(response, 200);
    return response->body;
}

/* The sample's value; -1 when there is none. */
static double sample_in(const char *page, const char *series)
{
    size_t length = strlen(series);

    for (const char *line = page; line != NULL && *line != '\0';) {
        if (strncmp(line, series, length) == 0 && line[length] == ' ')
            return strtod(line + length, NULL);
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return -1;
}

#define sample(...) sample_in(page(), text(__VA_ARGS__))

static void expect_sample(double value, const char *series)
{
    char *body = page();
    double seen = sample_in(body, series);

    workplace_require(seen == value, "%s is %g, not %g, in\n%s", series, seen, value, body);
}

/* For what ends a moment after the client has seen the end. */
static void await_sample(double value, const char *series)
{
    long long start = monitor_now_ms();

    for (;;) {
        char *body = page();
        double seen = sample_in(body, series);
        if (seen == value)
            return;
        workplace_require(monitor_may_ask_again(start), "%s stays %g, not %g, in\n%s", series, seen,
                          value, body);
    }
}

static struct gateway *start_with(const char *rest, int workers)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, %s }", rest), .workers = workers});
}

static const char REQUESTS[] = "sallyport_http_requests_total";
static const char UPSTREAM[] = "sallyport_upstream_requests_total";

static void expect_requests(double count, const char *route, const char *method, const char *code)
{
    expect_sample(
        count, text("%s{route=\"%s\",method=\"%s\",code=\"%s\"}", REQUESTS, route, method, code));
}

static void await_outcome(double count, const char *backend, const char *server,
                          const char *outcome)
{
    await_sample(count, text("%s{backend=\"%s\",server=\"%s\",outcome=\"%s\"}", UPSTREAM, backend,
                             server, outcome));
}

/* --- the page itself -------------------------------------------------------------------------- */

static const char *const names[] = {
    "sallyport_http_requests_total",
    "sallyport_http_request_duration_seconds",
    "sallyport_http_requests_in_flight",
    "sallyport_http_bytes_total",
    "sallyport_upstream_requests_total",
    "sallyport_upstream_retries_total",
    "sallyport_upstream_retries_refused_total",
    "sallyport_upstream_hedges_total",
    "sallyport_upstream_connect_duration_seconds",
    "sallyport_upstream_checks_total",
    "sallyport_upstream_up",
    "sallyport_upstream_held",
    "sallyport_upstream_refused_total",
    "sallyport_tls_handshakes_total",
    "sallyport_http2_connections_ended_total",
    "sallyport_tls_cert_not_after_timestamp_seconds",
    "sallyport_tls_certs",
    "sallyport_connections",
    "sallyport_connections_refused_total",
    "sallyport_connections_limit",
    "sallyport_config_generation",
    "sallyport_config_last_reload_successful",
    "sallyport_config_last_reload_success_timestamp_seconds",
    "sallyport_config_reloads_total",
    "sallyport_log_dropped_total",
    "sallyport_build_info",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
};

Test(metrics, every_name_with_help_and_type)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'hold': {} } },"
                      "  'routes': { 'a.test': 'b' } }",
                      origin_address(origin));

    expect_from(fetch(gateway, "a.test", "/"), "one");
    char *body = page();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        workplace_require(strstr(body, text("# HELP %s ", names[i])) != NULL, "%s", names[i]);
        workplace_require(strstr(body, text("# TYPE %s ", names[i])) != NULL, "%s", names[i]);
        workplace_require(strstr(body, text("\n%s", names[i])) != NULL, "%s", names[i]);
    }
    gateway_stop(gateway);
}

Test(metrics, both_endpoints_get_and_head)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': {} }");
    const char *status = gateway_address(gateway, "status", 0);

    for (int i = 0; i < 2; i++) {
        struct message *response =
            i == 0 ? ask_admin("GET", "/metrics") : ask_plain(status, "GET", "/metrics");
        expect_status(response, 200);
        expect_field(response, "content-type", "text/plain; version=0.0.4; charset=utf-8");
        response = i == 0 ? ask_admin("HEAD", "/metrics") : ask_plain(status, "HEAD", "/metrics");
        expect_status(response, 200);
        expect_field(response, "content-type", "text/plain; version=0.0.4; charset=utf-8");
        cr_assert_gt(atoi(message_field(response, "content-length")), 1000);
        cr_assert_eq(response->body_bytes, 0);
        response = i == 0 ? ask_admin("POST", "/metrics") : ask_plain(status, "POST", "/metrics");
        expect_status(response, 405);
        expect_field(response, "allow", "GET, HEAD");
    }
    gateway_stop(gateway);
}

Test(metrics, promtool_has_nothing_to_say)
{
    if (!command_exists("promtool")) {
        fprintf(stderr, "skipped: promtool is not installed\n");
        return;
    }
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'metrics': { 'series': 2 }, 'backends': { 'b': ['%s', '127.0.0.1:1'] },"
        "  'routes': { 'a.test': 'b', 'b.test': '%s', 'c.test': { 'respond': {} } } }",
        origin_address(origin), origin_address(origin));

    for (int i = 0; i < 4; i++) {
        expect_from(fetch(gateway, "a.test", "/"), "one");
        expect_from(fetch(gateway, "b.test", "/"), "one");
        expect_status(fetch(gateway, "c.test", "/"), 200);
    }
    struct command *command =
        command_run_with((const char *const[]){"promtool", "check", "metrics", NULL}, page(), NULL);
    command_expect(command, 0);
    workplace_require(command->out[0] == '\0' && command->err[0] == '\0', "%s%s", command->out,
                      command->err);
    gateway_stop(gateway);
}

/* --- requests --------------------------------------------------------------------------------- */

Test(metrics, requests_by_route_method_and_code)
{
    struct origin *origin = origin_start("one");
    origin_set_reply(origin, "/teapot", "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
    origin_set_reply(origin, "/down", "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s', 'b.test': { 'paths': { '/x':"
                      "  { 'redirect': 'https://c.test/' }, '=/y': { 'respond': {} } } } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 3; i++)
        expect_status(client_get(client, "a.test", "/"), 200);
    expect_status(client_get(client, "a.test", "/teapot"), 418);
    expect_status(client_get(client, "a.test", "/down"), 503);
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_status(client_response(client), 200);
    client_send(client, "PROPFIND / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_response(client), 200);
    expect_status(client_get(client, "b.test", "/x/z"), 308);
    expect_status(client_get(client, "b.test", "/y"), 200);
    expect_status(client_get(client, "b.test", "/none"), 404);
    client_send(client, "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_response(client), 405);
    client = client_open_with(gateway_https(gateway),
                              &(struct client_options){.sni = "a.test", .is_http1 = true});
    client_send(client, "no HTTP\r\n\r\n");
    expect_status(client_response(client), 400);

    expect_requests(3, "a.test", "GET", "2xx");
    expect_requests(1, "a.test", "GET", "4xx");
    expect_requests(1, "a.test", "GET", "5xx");
    expect_requests(1, "a.test", "POST", "2xx");
    expect_requests(1, "a.test", "other", "2xx");
    expect_requests(1, "b.test/x", "GET", "3xx");
    expect_requests(1, "b.test=/y", "GET", "2xx");
    expect_requests(1, "none", "GET", "4xx");
    expect_requests(1, "none", "TRACE", "4xx");
    expect_requests(1, "none", "other", "4xx");
    const char *count = "sallyport_http_request_duration_seconds_count{route=\"a.test\"}";
    expect_sample(7, count);
    expect_sample(7,
                  "sallyport_http_request_duration_seconds_bucket{route=\"a.test\",le=\"+Inf\"}");
    expect_sample(5, "sallyport_http_bytes_total{direction=\"in\"}");
    cr_assert_gt(sample("sallyport_http_bytes_total{direction=\"out\"}"), 100);
    gateway_stop(gateway);
}

Test(metrics, in_flight_and_clients_that_leave)
{
    struct origin *origin = origin_start("one");
    origin_set_script(origin, NULL, origin_hang, NULL);
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    expect_sample(1, "sallyport_http_requests_in_flight");
    expect_sample(1, "sallyport_connections{state=\"active\"}");
    client_leave(client);
    await_sample(0, "sallyport_http_requests_in_flight");
    expect_requests(1, "a.test", "GET", "4xx");
    await_outcome(1, "a.test", origin_address(origin), "canceled");
    gateway_stop(gateway);
}

Test(metrics, tunnels_are_counted_when_they_close)
{
    struct origin *origin = origin_start("one");
    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n");
    cr_assert_eq(client_response_head(client)->status, 101);
    expect_sample(1, "sallyport_http_requests_in_flight");
    expect_sample(-1, text("%s{route=\"a.test\",method=\"GET\",code=\"1xx\"}", REQUESTS));
    client_close(client);
    await_sample(1, text("%s{route=\"a.test\",method=\"GET\",code=\"1xx\"}", REQUESTS));
    await_outcome(1, "a.test", origin_address(origin), "1xx");
    gateway_stop(gateway);
}

Test(metrics, workers_add_up)
{
    struct gateway *gateway =
        start_with("'routes': { 'a.test': { 'respond': {} }, 'b.test': { 'respond': {} } }", 2);

    for (int i = 0; i < 40; i++)
        expect_status(fetch(gateway, i % 4 == 0 ? "b.test" : "a.test", "/"), 200);
    expect_requests(30, "a.test", "GET", "2xx");
    expect_requests(10, "b.test", "GET", "2xx");
    expect_sample(30, "sallyport_http_request_duration_seconds_count{route=\"a.test\"}");
    gateway_stop(gateway);
}

/* --- backends --------------------------------------------------------------------------------- */

Test(metrics, outcomes_of_tries)
{
    struct origin *origin = origin_start("one");
    const char *server = origin_address(origin), *dead = workplace_free_address();
    origin_set_reply(origin, "/moved", "HTTP/1.1 302 Moved\r\nContent-Length: 0\r\n\r\n");
    origin_set_reply(origin, "/teapot", "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
    origin_set_reply(origin, "/down", "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n");
    origin_set_last_reply(origin, "/odd", "this is no HTTP\r\n\r\n");
    origin_set_last_reply(origin, "/short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    origin_set_script(origin, "/hang", origin_hang, NULL);
    struct gateway *gateway = gateway_start(
        "{ @base, 'backends': { 'b': { 'servers': ['%s'] } }, 'routes': { 'b.test': '%s',"
        "  'a.test': { 'paths': { '/': 'b',"
        "      '/hang': { 'to': 'b', 'timeout': { 'first_byte': '50ms' } } } } } }",
        server, dead);

    expect_status(fetch(gateway, "a.test", "/"), 200);
    expect_status(fetch(gateway, "a.test", "/moved"), 302);
    expect_status(fetch(gateway, "a.test", "/teapot"), 418);
    expect_status(fetch(gateway, "a.test", "/down"), 503);
    expect_status(fetch(gateway, "a.test", "/odd"), 502);
    cr_assert_not(fetch(gateway, "a.test", "/short")->is_complete);
    expect_status(fetch(gateway, "a.test", "/hang"), 504);
    expect_status(fetch(gateway, "b.test", "/"), 502);
    await_outcome(1, "b", server, "2xx");
    await_outcome(1, "b", server, "3xx");
    await_outcome(1, "b", server, "4xx");
    await_outcome(1, "b", server, "5xx");
    await_outcome(1, "b", server, "bad_response");
    await_outcome(1, "b", server, "reset");
    await_outcome(1, "b", server, "timeout");
    await_outcome(1, "b.test", dead, "connect_failed");
    cr_assert_gt(sample("sallyport_upstream_connect_duration_seconds_count"), 0);
    expect_sample(1, text("sallyport_upstream_up{backend=\"b\",server=\"%s\"}", server));
    expect_sample(0, text("sallyport_upstream_up{backend=\"b.test\",server=\"%s\"}", dead));
    gateway_stop(gateway);
}

Test(metrics, stale_connections_are_tries_of_their_own)
{
    struct origin *origin = origin_start("one");
    const char *server = origin_address(origin);
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", server);

    expect_status(fetch(gateway, "a.test", "/"), 200);
    origin_set_last_reply(origin, "/again", ""); /* on the first connection, and on a fresh one */
    expect_status(fetch(gateway, "a.test", "/again"), 502);
    await_outcome(1, "a.test", server, "stale");
    await_outcome(1, "a.test", server, "reset");
    gateway_stop(gateway);
}

/* --- the limit -------------------------------------------------------------------------------- */

Test(metrics, beyond_the_limit_is_other)
{
    struct origin *one = origin_start("one"), *two = origin_start("two"),
                  *three = origin_start("three");
    struct gateway *gateway =
        start_with(text("'metrics': { 'series': 2 }, 'routes': { 'a.test': '%s', 'b.test': '%s',"
                        "  'c.test': '%s' }",
                        origin_address(one), origin_address(two), origin_address(three)),
                   2);

    page(); /* which takes nobody's place */
    for (int i = 0; i < 4; i++)
        expect_from(fetch(gateway, "c.test", "/"), "three");
    for (int i = 0; i < 4; i++)
        expect_from(fetch(gateway, "a.test", "/"), "one");
    for (int i = 0; i < 4; i++)
        expect_from(fetch(gateway, "b.test", "/"), "two");
    expect_requests(4, "c.test", "GET", "2xx");
    expect_requests(4, "a.test", "GET", "2xx");
    expect_requests(-1, "b.test", "GET", "2xx");
    expect_requests(4, "other", "GET", "2xx");
    await_outcome(4, "c.test", origin_address(three), "2xx");
    await_outcome(4, "other", "other", "2xx");
    expect_sample(1, "sallyport_upstream_up{backend=\"other\",server=\"other\"}");
    expect_sample(
        1, text("sallyport_upstream_up{backend=\"a.test\",server=\"%s\"}", origin_address(one)));
    origin_stop(two);
    expect_status(fetch(gateway, "b.test", "/"), 502);
    expect_sample(0, "sallyport_upstream_up{backend=\"other\",server=\"other\"}");
    gateway_stop(gateway);
}

Test(metrics, no_names_at_all)
{
    struct gateway *gateway =
        start_with("'metrics': { 'series': 0 }, 'routes': { 'a.test': { 'respond': {} } }", 1);

    expect_status(fetch(gateway, "a.test", "/"), 200);
    expect_requests(1, "other", "GET", "2xx");
    char *body = page();
    cr_assert_null(strstr(body, "a.test"));
    cr_assert_gt(sample_in(body, "sallyport_tls_cert_not_after_timestamp_seconds{name=\"other\"}"),
                 0);
    gateway_stop(gateway);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static void expect_handshakes(double count, const char *version, const char *resumed,
                              const char *result)
{
    await_sample(count,
                 text("sallyport_tls_handshakes_total{version=\"%s\",resumed=\"%s\",result=\"%s\"}",
                      version, resumed, result));
}

Test(metrics, handshakes_by_version_and_result)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': {} }");
    const char *https = gateway_https(gateway);

    client_open(gateway, "a.test");
    expect_handshakes(1, "TLSv1.3", "false", "ok");
    struct client *client = client_open_with(
        https, &(struct client_options){.sni = "a.test", .max_version = TLS1_2_VERSION});
    expect_handshakes(1, "TLSv1.2", "false", "ok");
    client_get(client, "a.test", "/");
    client_open_with(https, &(struct client_options){.sni = "a.test",
                                                     .max_version = TLS1_2_VERSION,
                                                     .session = client->session});
    expect_handshakes(1, "TLSv1.2", "true", "ok");
    client_try(https, &(struct client_options){.sni = "nobody.example"});
    expect_handshakes(1, "none", "false", "unrecognized_name");
    client_try(https, &(struct client_options){.sni = "a.test", .alpn = "gopher"});
    expect_handshakes(1, "none", "false", "nothing_shared");
    client_send(client_open_plain(https), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_handshakes(1, "none", "false", "plaintext_http");
    client_send_bytes(client_open_plain(https), "\x80\x80\x80\x80\x80\x80\x80\x80\x80", 9);
    expect_handshakes(1, "none", "false", "not_tls");
    client_close(client_open_plain(https));
    expect_handshakes(1, "none", "false", "silent");
    gateway_rewrite("{ @base, 'defaults': { 'timeout': { 'handshake': '50ms' } }, 'routes': {} }");
    expect_status(ask_admin("POST", "/reload"), 200);
    client_open_plain(https);
    expect_handshakes(1, "none", "false", "timeout");
    gateway_stop(gateway);
}

/* Seconds from now until a name's certificates run out, in days; -1 for a name without any. */
static double days_left(const char *name)
{
    double until = sample("sallyport_tls_cert_not_after_timestamp_seconds{name=\"%s\"}", name);

    return until < 0 ? -1 : (until - (double)time(NULL)) / 86400;
}

static void write_cert(const char *file, const char *names, enum cert_kind kind, int from, int to)
{
    struct cert *cert = cert_make(
        &(struct cert_options){.names = names, .kind = kind, .from_days = from, .to_days = to});

    cert_write_bundle(cert, workplace_path("certs/%s", file));
}

Test(metrics, certificates_that_run_out_first)
{
    write_cert("late.pem", "late.example", CERT_P256, -1, 200);
    write_cert("both.pem", "both.example", CERT_P256, -1, 300);
    write_cert("both-rsa.pem", "both.example", CERT_RSA, -1, 30);
    write_cert("renewed.pem", "renewed.example", CERT_P256, -1, 50);
    write_cert("before.pem", "renewed.example", CERT_P256, -20, 5);
    write_cert("old.pem", "old.example", CERT_P256, -20, -10);
    struct gateway *gateway = gateway_start("{ @base, 'routes': {} }");

    cr_assert_float_eq(days_left("a.test"), 90, 1.1);
    cr_assert_float_eq(days_left("*.test"), 90, 1.1);
    cr_assert_float_eq(days_left("both.example"), 30, 1.1, "the kind that runs out first");
    cr_assert_float_eq(days_left("renewed.example"), 50, 1.1, "the newest of a kind");
    cr_assert_float_eq(days_left("late.example"), 200, 1.1);
    expect_sample(6, "sallyport_tls_certs{state=\"serving\"}");
    expect_sample(1, "sallyport_tls_certs{state=\"expired\"}");
    expect_sample(0, "sallyport_tls_certs{state=\"quarantined\"}");
    workplace_write(workplace_path("certs/late.pem"), "broken", 6);
    gateway_rewrite("{ @base, 'metrics': { 'series': 3 }, 'routes': {} }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_sample(1, "sallyport_tls_certs{state=\"quarantined\"}");
    expect_sample(5, "sallyport_tls_certs{state=\"serving\"}");
    cr_assert_float_eq(days_left("old.example"), -10, 1.1);
    cr_assert_float_eq(days_left("both.example"), 30, 1.1);
    cr_assert_float_eq(days_left("renewed.example"), 50, 1.1);
    cr_assert_float_eq(days_left("late.example"), -1, 0.01);
    cr_assert_float_eq(days_left("other"), 90, 1.1);
    gateway_stop(gateway);
}

/* --- generations ------------------------------------------------------------------------------ */

Test(metrics, loads_and_what_survives_them)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': { 'respond': {} } } }");
    double started = (double)time(NULL);

    expect_status(fetch(gateway, "a.test", "/"), 200);
    expect_sample(1, "sallyport_config_generation");
    expect_sample(1, "sallyport_config_last_reload_successful");
    expect_sample(1, "sallyport_config_reloads_total{result=\"published\"}");
    double first = sample("sallyport_config_last_reload_success_timestamp_seconds");
    cr_assert_leq(first, started + 1);
    cr_assert_gt(first, started - 60);

    gateway_rewrite("{ @base, 'routes': { 'b.test': { 'respond': {} } } }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_status(ask_admin("POST", "/reload"), 200);
    gateway_rewrite("{ @base, 'routes': 5 }");
    expect_status(ask_admin("POST", "/reload"), 422);
    expect_status(fetch(gateway, "b.test", "/"), 200);
    expect_sample(2, "sallyport_config_generation");
    expect_sample(0, "sallyport_config_last_reload_successful");
    expect_sample(2, "sallyport_config_reloads_total{result=\"published\"}");
    expect_sample(1, "sallyport_config_reloads_total{result=\"unchanged\"}");
    expect_sample(1, "sallyport_config_reloads_total{result=\"invalid\"}");
    expect_requests(1, "a.test", "GET", "2xx");
    expect_requests(1, "b.test", "GET", "2xx");
    json_t *status = json_from(ask_admin("GET", "/status")->body);
    expect_number(status, "config.generation", 2);
    expect_number(status, "config.reloads.published", 2);
    expect_number(status, "config.reloads.invalid", 1);
    cr_assert(json_is_false(json_member(status, "config.last_reload_successful")));
    cr_assert_not_null(
        strstr(json_string_value(json_member(status, "config.last_refusal")), "routes.json:"));

    gateway_rewrite("{ @base, 'routes': { 'a.test': { 'respond': {} } } }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_status(fetch(gateway, "a.test", "/"), 200);
    expect_sample(1, "sallyport_config_last_reload_successful");
    expect_requests(2, "a.test", "GET", "2xx");
    status = json_from(ask_admin("GET", "/status")->body);
    expect_null(status, "config.last_refusal");
    gateway_stop(gateway);
}

Test(metrics, limit_of_a_new_generation)
{
    const char *routes = "'a.test': { 'respond': {} }, 'b.test': { 'respond': {} }";
    struct gateway *gateway =
        gateway_start("{ @base, 'metrics': { 'series': 1 }, 'routes': { %s } }", routes);

    expect_status(fetch(gateway, "a.test", "/"), 200);
    expect_status(fetch(gateway, "b.test", "/"), 200);
    gateway_rewrite("{ @base, 'metrics': { 'series': 2 }, 'routes': { %s } }", routes);
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_status(fetch(gateway, "b.test", "/"), 200);
    expect_requests(1, "a.test", "GET", "2xx");
    expect_requests(1, "b.test", "GET", "2xx");
    expect_requests(1, "other", "GET", "2xx");
    gateway_stop(gateway);
}
