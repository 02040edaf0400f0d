/* The heads that leave the gateway: forwarded fields, hop-by-hop fields, request ids, Host, request
 * targets. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(heads);

static struct gateway *start_with(struct origin *origin, const char *more)
{
    return gateway_start("{ @base, %s 'routes': { 'a.test': '%s', 'b.test': '%s' } }", more,
                         origin_address(origin), origin_address(origin));
}

/* Sends a request with these lines after Host on a new connection; what the backend saw. */
static struct message *pass(struct gateway *gateway, struct origin *origin, const char *lines)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET /x HTTP/1.1\r\nHost: a.test\r\n%s\r\n", lines);
    expect_status(client_response(client), 200);
    client_close(client);
    return origin_last_request(origin);
}

Test(heads, forwarded_fields_are_set)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct message *seen = pass(gateway, origin, "");

    expect_field(seen, "x-forwarded-for", "127.0.0.1");
    expect_field(seen, "x-forwarded-proto", "https");
    expect_field(seen, "x-forwarded-host", "a.test");
    expect_field(seen, "x-forwarded-port", text("%d", gateway_port(gateway, "https")));
    expect_field(seen, "host", "a.test");
    gateway_stop(gateway);
}

Test(heads, forwarded_fields_of_strangers_are_removed)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct message *seen =
        pass(gateway, origin,
             "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nX-Forwarded-Proto: http\r\n"
             "X-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\n"
             "X-Forwarded-User: root\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n");

    expect_field(seen, "x-forwarded-for", "127.0.0.1");
    expect_field(seen, "x-forwarded-proto", "https");
    expect_field(seen, "x-forwarded-host", "a.test");
    expect_no_field(seen, "x-forwarded-prefix");
    expect_no_field(seen, "x-forwarded-user");
    expect_no_field(seen, "forwarded");
    expect_no_field(seen, "x-real-ip");
    cr_assert_null(strstr(seen->head, "evil"));
    cr_assert_null(strstr(seen->head, "6.6.6.6"));
    gateway_stop(gateway);
}

Test(heads, forwarded_fields_of_trusted_proxies_are_kept)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start_with(origin, "'trusted_proxies': ['127.0.0.0/8', '10.0.0.0/8'],");
    struct message *seen =
        pass(gateway, origin,
             "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-For: 10.1.2.3\r\n"
             "X-Forwarded-Proto: http\r\nX-Forwarded-Host: outer.test\r\nX-Forwarded-Port: 80\r\n");

    const char *chain = message_field(seen, "x-forwarded-for");
    cr_assert_str_eq(chain, "6.6.6.6, 203.0.113.9, 10.1.2.3, 127.0.0.1");
    expect_field(seen, "x-forwarded-proto", "http");
    expect_field(seen, "x-forwarded-host", "outer.test");
    expect_field(seen, "x-forwarded-port", "80");
    json_t *entry = log_entry(gateway, 0);
    expect_string(entry, "client_ip", "203.0.113.9");
    expect_string(entry, "peer_ip", "127.0.0.1");

    seen = pass(gateway, origin, "");
    expect_field(seen, "x-forwarded-for", "127.0.0.1");
    expect_field(seen, "x-forwarded-proto", "https");
    expect_field(seen, "x-forwarded-host", "a.test");
    gateway_stop(gateway);
}

Test(heads, hop_by_hop_fields_end_here)
{
    needs_http1("HTTP/2 has no such fields");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct message *seen =
        pass(gateway, origin,
             "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
             "Proxy-Connection: keep-alive\r\nTE: trailers, deflate\r\nX-Stays: 1\r\n"
             "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n");

    expect_no_field(seen, "x-hop");
    expect_no_field(seen, "keep-alive");
    expect_no_field(seen, "proxy-connection");
    expect_no_field(seen, "upgrade");
    expect_field(seen, "x-stays", "1");
    const char *codings = message_field(seen, "te");
    cr_assert(codings == NULL || strstr(codings, "deflate") == NULL);
    gateway_stop(gateway);
}

Test(heads, connection_cannot_name_what_the_gateway_needs)
{
    needs_http1("HTTP/2 has no Connection");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n"
                        "Connection: Content-Length, Host, X-Forwarded-For\r\n\r\nhello");
    expect_body(client_response(client), "hello");
    struct message *seen = origin_last_request(origin);
    expect_field(seen, "host", "a.test");
    expect_field(seen, "x-forwarded-for", "127.0.0.1");
    gateway_stop(gateway);
}

Test(heads, hop_by_hop_fields_of_responses)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_reply(origin, "/x",
                     "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n"
                     "Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nContent-Length: 2\r\n"
                     "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Stays: 1\r\nDate: then\r\n"
                     "Server: mine\r\n\r\nok");
    struct message *response = fetch(gateway, "a.test", "/x");
    expect_body(response, "ok");
    expect_no_field(response, "x-hop");
    expect_no_field(response, "keep-alive");
    expect_no_field(response, "proxy-connection");
    expect_field(response, "x-stays", "1");
    expect_field(response, "date", "then");
    expect_field(response, "server", "mine");
    cr_assert_eq(field_count(&response->fields, "set-cookie"), 2);
    const char *first = strstr(response->head, "a=1");
    const char *second = strstr(response->head, "b=2");
    cr_assert(first != NULL && second != NULL && first < second);
    gateway_stop(gateway);
}

Test(heads, other_fields_pass_as_they_are)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct message *seen = pass(
        gateway, origin,
        "Cookie: a=1\r\nCookie: b=2\r\nX-Empty:\r\nX-Odd: \"a,b\"; c=%20\r\nX-Utf8: "
        "gr\xc3\xbc\xc3\x9f\r\n"
        "Authorization: Basic Zm9vOmJhcg==\r\nAccept-Encoding: gzip, br\r\nVia: 1.1 other\r\n");

    if (speaks_h2()) /* RFC 9113 section 8.2.3 */
        expect_field(seen, "cookie", "a=1; b=2");
    else
        cr_assert_eq(field_count(&seen->fields, "cookie"), 2);
    expect_field(seen, "x-empty", "");
    expect_field(seen, "x-odd", "\"a,b\"; c=%20");
    expect_field(seen, "x-utf8", "gr\xc3\xbc\xc3\x9f");
    expect_field(seen, "authorization", "Basic Zm9vOmJhcg==");
    expect_field(seen, "accept-encoding", "gzip, br");
    gateway_stop(gateway);
}

static bool is_sane_id(const char *id)
{
    return id != NULL && *id != '\0' && strlen(id) <= 128 &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               strlen(id);
}

Test(heads, request_ids_are_made)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    const char *first = message_field(pass(gateway, origin, ""), "x-request-id");
    const char *second = message_field(pass(gateway, origin, ""), "x-request-id");
    struct message *third = pass(gateway, origin, "X-Request-Id: stranger\r\n");

    cr_assert(is_sane_id(first) && is_sane_id(second));
    cr_assert_str_neq(first, second);
    cr_assert(is_sane_id(message_field(third, "x-request-id")));
    cr_assert_str_neq(message_field(third, "x-request-id"), "stranger");
    cr_assert_eq(field_count(&third->fields, "x-request-id"), 1);
    expect_string(log_entry(gateway, 0), "request_id", first);
    struct message *own = fetch(gateway, "c.test", "/");
    expect_refusal(own, 404, "no_route");
    cr_assert(is_sane_id(message_field(own, "x-request-id")));
    expect_string(log_entry(gateway, 3), "request_id", message_field(own, "x-request-id"));
    gateway_stop(gateway);
}

Test(heads, request_ids_of_trusted_proxies_are_kept)
{
    static const char *const insane[] = {"a b", "", "a/b", "\xc3\xbc"};
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "'trusted_proxies': ['127.0.0.1/32'],");

    expect_field(pass(gateway, origin, "X-Request-Id: Trace.1_2-3\r\n"), "x-request-id",
                 "Trace.1_2-3");
    for (size_t i = 0; i < sizeof insane / sizeof *insane; i++) {
        struct message *seen = pass(gateway, origin, text("X-Request-Id: %s\r\n", insane[i]));
        cr_assert(is_sane_id(message_field(seen, "x-request-id")));
    }
    char *endless = text("X-Request-Id: %0200d\r\n", 0);
    cr_assert(is_sane_id(message_field(pass(gateway, origin, endless), "x-request-id")));
    gateway_stop(gateway);
}

Test(heads, host_preserved_or_the_backends_or_a_name)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'backends': { 'named': { 'servers': ['%s'], 'host': 'inner.example' } },"
        "  'routes': { 'a.test': '%s', 'b.test': { 'to': '%s', 'host': 'backend' },"
        "  'c.test': 'named', 'd.test': { 'to': 'named', 'host': 'preserve' } } }",
        origin_address(origin), origin_address(origin), origin_address(origin));

    struct client *client = client_open(gateway, "a.test");
    expect_status(client_get(client, "A.test:8443", "/"), 200);
    struct message *seen = origin_last_request(origin);
    expect_field(seen, "host", "A.test:8443");
    expect_field(seen, "x-forwarded-host", "A.test:8443");
    expect_status(client_get(client, "b.test", "/"), 200);
    expect_field(origin_last_request(origin), "host", origin_address(origin));
    expect_field(origin_last_request(origin), "x-forwarded-host", "b.test");
    expect_status(client_get(client, "c.test", "/"), 200);
    expect_field(origin_last_request(origin), "host", "inner.example");
    expect_status(client_get(client, "d.test", "/"), 200);
    expect_field(origin_last_request(origin), "host", "d.test");
    gateway_stop(gateway);
}

Test(heads, absolute_form)
{
    needs_http1("HTTP/2 has no such form");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET https://b.test/p/q?r=s HTTP/1.1\r\nHost: b.test\r\n\r\n");
    expect_from(client_response(client), "one");
    struct message *seen = origin_last_request(origin);
    cr_assert_str_eq(seen->target, "/p/q?r=s");
    expect_field(seen, "host", "b.test");

    client_send(client, "GET https://b.test HTTP/1.1\r\nHost: b.test\r\n\r\n");
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_last_request(origin)->target, "/");
    gateway_stop(gateway);
}

Test(heads, absolute_form_wins_over_host)
{
    needs_http1("HTTP/2 has no such form");
    struct origin *one = origin_start("one");
    struct origin *two = origin_start("two");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s', 'b.test': '%s' } }",
                      origin_address(one), origin_address(two));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET https://b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    struct message *response = client_response(client);
    /* RFC 9112 3.2.2: Host is ignored; or the disagreement is refused. Never Host's backend. */
    if (response->status == 200) {
        expect_from(response, "two");
        expect_field(origin_last_request(two), "host", "b.test");
    } else {
        expect_status(response, 400);
    }
    cr_assert_eq(origin_requests(one), 0);
    gateway_stop(gateway);
}

Test(heads, options_asterisk)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_last_request(origin)->start_line, "OPTIONS * HTTP/1.1");
    client_send(client, "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client_expect_bad_request(client);
    gateway_stop(gateway);
}

Test(heads, http_1_0_without_host)
{
    needs_http1("HTTP/1.0");
    struct origin *any = origin_start("any");
    struct origin *named = origin_start("named");
    struct gateway *gateway = gateway_start("{ @base, 'tls': { 'default_cert': 'a.test' },"
                                            "  'routes': { 'a.test': '%s', '*': '%s' } }",
                                            origin_address(named), origin_address(any));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.0\r\n\r\n");
    expect_from(client_response(client), "any");
    client_expect_end(client);
    gateway_stop(gateway);
}

Test(heads, http_1_0_backends_see_a_canonical_head)
{
    needs_http1("HTTP/1.0");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET /old HTTP/1.0\r\nHost: a.test\r\n\r\n");
    expect_from(client_response(client), "one");
    cr_assert_str_eq(origin_last_request(origin)->start_line, "GET /old HTTP/1.1");
    gateway_stop(gateway);
}

Test(heads, folded_response_lines_do_not_leave)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_reply(origin, "/folded",
                     "HTTP/1.1 200 OK\r\nX-Long: a\r\n b\r\nContent-Length: 2\r\n\r\nok");
    struct message *response = fetch(gateway, "a.test", "/folded");
    if (response->status == 200)
        cr_assert_null(strstr(response->head, "\r\n "));
    else
        expect_refusal(response, 502, "backend_bad_response");
    gateway_stop(gateway);
}
