/* `headers` and `rewrite`: what backends and clients get of them. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(rewriting);

/* --- requests -----------------------------------------------------------------------------------
 */

Test(rewriting, requests_as_the_backend_gets_them)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'headers': { 'request': {"
        "  'remove': ['Cookie', 'x-forwarded-proto'],"
        "  'set': { 'X-Set': 'set', 'X-Forwarded-Host': '{{{host}}', 'X-Sent': 'ours' },"
        "  'add': { 'X-List': ['one', 'two'] } } } } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET /x HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nx-sent: theirs\r\n"
                        "X-SENT: again\r\ncookie: b=2\r\nX-List: zero\r\nX-Other: 1\r\n\r\n");
    expect_status(client_response(client), 200);
    struct message *seen = origin_last_request(origin);
    expect_no_field(seen, "cookie");
    expect_no_field(seen, "x-forwarded-proto");
    expect_field(seen, "x-set", "set");
    expect_field(seen, "x-forwarded-host", "{a.test}");
    cr_assert_eq(field_count(&seen->fields, "x-forwarded-host"), 1);
    expect_field(seen, "x-sent", "ours");
    cr_assert_eq(field_count(&seen->fields, "x-sent"), 1);
    cr_assert_eq(field_count(&seen->fields, "x-list"), 3);
    cr_assert_not_null(strcasestr(seen->head, "X-List: zero\r\n"));
    cr_assert_not_null(strcasestr(seen->head, "X-List: one\r\nX-List: two\r\n"));
    expect_field(seen, "x-other", "1");
    expect_field(seen, "host", "a.test");
    expect_field(seen, "x-forwarded-for", "127.0.0.1");
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, placeholders)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'headers': { 'request': { 'set': { 'X-All': "
                      "    '{request_id}|{client_ip}|{sni}|{host}|{route}' } } } },"
                      "  'routes': { '*.test': { 'paths': { '/x': '%s' } } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "A.test");

    client_send(client, "GET /x HTTP/1.1\r\nHost: b.A.test:81\r\n\r\n");
    expect_status(client_response(client), 200);
    struct message *seen = origin_last_request(origin);
    expect_field(
        seen, "x-all",
        text("%s|127.0.0.1|a.test|b.a.test|*.test/x", message_field(seen, "x-request-id")));
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, what_comes_out_empty_is_left_out)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ 'certs': 'certs', 'listen': { 'https': '127.0.0.1:0', 'admin': "
                      "'unix:@tmp/admin.sock', 'http': { 'bind': '127.0.0.1:0', 'serve': "
                      "'routes' } }, 'routes': { '*': { 'to': '%s', 'headers': { 'request': {"
                      "  'set': { 'X-Sni': '{sni}' }, 'add': { 'X-Two': '{sni}{sni}' } } } } } }",
                      origin_address(origin));
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Sni: forged\r\n\r\n");
    expect_status(client_response(client), 200);
    struct message *seen = origin_last_request(origin);
    expect_no_field(seen, "x-sni");
    expect_no_field(seen, "x-two");
    client_close(client);
    gateway_stop(gateway);
}

/* Each place sets a name of its own, and all of them one. */
Test(rewriting, the_nearest_place_wins_for_each_name)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'headers': { 'request': { 'set': { 'X-A': 'd', 'X-D': 'd' } },"
        "    'response': { 'set': { 'X-Frame-Options': 'DENY' } } } },"
        "  'backends': { 'b': { 'servers': ['%s'], 'headers': { 'request': { 'set': { 'X-A': 'b', "
        "    'X-B': 'b' } } } } },"
        "  'routes': { 'a.test': { 'headers': { 'request': { 'set': { 'X-A': 'h', 'X-H': 'h' } } },"
        "    'paths': { '/': 'b', '/p': { 'to': 'b', 'headers': { 'request': { 'set': { 'x-a': 'p'"
        "      } }, 'response': { 'remove': ['X-Frame-Options'] } } } } } } }",
        origin_address(origin));

    struct message *response = fetch(gateway, "a.test", "/p");
    struct message *seen = origin_last_request(origin);
    expect_status(response, 200);
    expect_no_field(response, "x-frame-options");
    expect_field(seen, "x-a", "p");
    expect_field(seen, "x-h", "h");
    expect_field(seen, "x-b", "b");
    expect_field(seen, "x-d", "d");
    cr_assert_eq(field_count(&seen->fields, "x-a"), 1);
    response = fetch(gateway, "a.test", "/other");
    expect_field(response, "x-frame-options", "DENY");
    expect_field(origin_last_request(origin), "x-a", "h");
    gateway_stop(gateway);
}

/* The client's bytes on a kept connection, to a kept connection: nothing of one request is in the
 * next. */
Test(rewriting, of_many_requests_on_one_connection)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'paths': { '/plain': '%s', '/': { 'to': '%s', 'headers': "
        "{ 'request': { 'set': { 'X-Id': '{request_id}' } }, 'response': { 'add': { 'X-Id': "
        "'{request_id}' } } } } } } } }",
        origin_address(origin), origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 10; i++) {
        bool is_edited = i % 3 != 0;
        struct message *response = client_get(client, "a.test", is_edited ? "/" : "/plain");
        struct message *seen = origin_request(origin, i);
        expect_status(response, 200);
        cr_assert_eq(field_count(&seen->fields, "x-id"), is_edited);
        cr_assert_eq(field_count(&response->fields, "x-id"), is_edited);
        if (is_edited) {
            expect_field(seen, "x-id", message_field(seen, "x-request-id"));
            expect_field(response, "x-id", message_field(seen, "x-request-id"));
        }
    }
    cr_assert_leq(origin_connections(origin), 2);
    client_close(client);
    gateway_stop(gateway);
}

static void close_unanswered(struct origin_turn *turn)
{
    turn->is_closing = true;
}

/* A connection that is used again and had been closed: the second try says the same. */
Test(rewriting, of_a_request_that_is_tried_again)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'rewrite': { 'add_prefix': '/v2' }, "
        "'headers': { 'request': { 'add': { 'X-Once': '{request_id}' } } } } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    expect_status(client_get(client, "a.test", "/first"), 200);
    origin_set_script(origin, "/v2/x", close_unanswered, NULL);
    client_send(client, "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_refusal(client_response(client), 502, "backend_reset");
    cr_assert_eq(origin_requests(origin), 3);
    for (int i = 1; i < 3; i++) {
        struct message *seen = origin_request(origin, i);
        cr_assert_str_eq(seen->target, "/v2/x");
        cr_assert_eq(field_count(&seen->fields, "x-once"), 1);
        expect_field(seen, "x-once", message_field(seen, "x-request-id"));
    }
    client_close(client);
    gateway_stop(gateway);
}

/* --- responses ----------------------------------------------------------------------------------
 */

static struct gateway *start_with_response_edits(struct origin *origin)
{
    return gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'headers': { 'response': {"
        "  'remove': ['Server', 'x-powered-by'], 'set': { 'Cache-Control': 'no-store' },"
        "  'add': { 'Set-Cookie': 'route={route}', 'Vary': ['Origin', 'Accept'] } } } } } }",
        origin_address(origin));
}

static void expect_response_edits(struct message *response)
{
    expect_no_field(response, "server");
    expect_no_field(response, "x-powered-by");
    expect_field(response, "cache-control", "no-store");
    cr_assert_eq(field_count(&response->fields, "cache-control"), 1);
    cr_assert_not_null(strcasestr(response->head, "Vary: Origin\r\nVary: Accept\r\n"));
    cr_assert_not_null(strcasestr(response->head, "Set-Cookie: route=a.test\r\n"));
}

Test(rewriting, responses_of_every_framing)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nSERVER: one\r\nX-Powered-By: two\r\n"
                               "x-powered-by: three\r\nCache-control: public\r\n"
                               "Set-Cookie: a=1\r\nset-cookie: b=2\r\n";
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with_response_edits(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/length", text("%sContent-Length: 2\r\n\r\nok", head));
    origin_set_reply(origin, "/chunked",
                     text("%sTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
                          "X-Powered-By: the trailer\r\nX-End: 1\r\n\r\n",
                          head));
    origin_set_last_reply(origin, "/close", text("%s\r\nok", head));
    static const char *const paths[] = {"/length", "/chunked", "/close"};
    for (int i = 0; i < 3; i++) {
        struct message *response = client_get(client, "a.test", paths[i]);
        expect_body(response, "ok");
        expect_response_edits(response);
        cr_assert_eq(field_count(&response->fields, "set-cookie"), 3);
        cr_assert_lt(strstr(response->head, "a=1"), strstr(response->head, "b=2"));
        if (i == 1) {
            cr_assert_str_eq(message_trailer(response, "x-powered-by"), "the trailer");
            cr_assert_str_eq(message_trailer(response, "x-end"), "1");
        }
    }
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, responses_without_a_body)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with_response_edits(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/head", "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 7\r\n\r\n");
    origin_set_reply(origin, "/304", "HTTP/1.1 304 Not Modified\r\nServer: x\r\n\r\n");
    client_send(client, "HEAD /head HTTP/1.1\r\nHost: a.test\r\n\r\n");
    struct message *response = client_response_to(client, "HEAD");
    expect_status(response, 200);
    expect_response_edits(response);
    expect_field(response, "content-length", "7");
    response = client_get(client, "a.test", "/304");
    expect_status(response, 304);
    expect_response_edits(response);
    expect_status(client_get(client, "a.test", "/"), 200);
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, interim_responses_are_left_alone)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with_response_edits(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/x",
                     "HTTP/1.1 103 Early Hints\r\nServer: hint\r\nLink: </a>\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nServer: one\r\nContent-Length: 2\r\n\r\nok");
    client_send(client, "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    struct message *hint = client_response(client), *response = client_response(client);
    cr_assert_eq(hint->status, 103);
    expect_field(hint, "server", "hint");
    expect_no_field(hint, "vary");
    expect_body(response, "ok");
    expect_response_edits(response);
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, tunnels_keep_what_makes_them_one)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'rewrite': { 'strip_prefix': '/ws' },"
        "'headers': { 'request': { 'set': { 'X-In': '1' } }, 'response': { 'set': { 'X-Out': '2' }"
        " } } } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/echo", origin_upgrade_echo, NULL);
    client_send(client, "GET /ws/echo HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n");
    struct message *response = client_response_head(client);
    cr_assert_eq(response->status, 101);
    expect_field(response, "x-out", "2");
    expect_field(response, "upgrade", "websocket");
    cr_assert_not_null(message_field(response, "connection"));
    struct message *seen = origin_last_request(origin);
    expect_field(seen, "x-in", "1");
    expect_field(seen, "upgrade", "websocket");
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, the_gateways_own_answers)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'headers': { 'response': { 'set': { 'Strict-Transport-Security': "
        "    'max-age=1', 'X-Route': '{route}' }, 'remove': ['x-request-id'] } } },"
        "  'routes': { 'a.test': { 'redirect': 'https://b.test{uri}' },"
        "    'b.test': { 'respond': { 'headers': { 'X-Own': '1', 'X-Route': 'own' } } },"
        "    'c.test': { 'to': '%s', 'max_body': 3 } } }",
        workplace_free_address());
    struct message *response = fetch(gateway, "a.test", "/x?y");

    expect_status(response, 308);
    expect_field(response, "location", "https://b.test/x?y");
    expect_field(response, "strict-transport-security", "max-age=1");
    expect_field(response, "x-route", "a.test");
    expect_no_field(response, "x-request-id");
    response = fetch(gateway, "b.test", "/");
    expect_status(response, 200);
    expect_field(response, "x-own", "1");
    expect_field(response, "x-route", "b.test");
    cr_assert_eq(field_count(&response->fields, "x-route"), 1);
    response = fetch(gateway, "c.test", "/");
    expect_refusal(response, 502, "backend_connect");
    expect_field(response, "x-route", "c.test");
    expect_no_field(response, "x-request-id");
    struct client *client = client_open(gateway, "c.test");
    client_send(client, "POST / HTTP/1.1\r\nHost: c.test\r\nContent-Length: 4\r\n\r\nfour");
    response = client_response(client);
    expect_refusal(response, 413, "body_too_large");
    expect_field(response, "strict-transport-security", "max-age=1");
    /* What has no route has no settings either. */
    response = fetch(gateway, "d.test", "/");
    expect_refusal(response, 404, "no_route");
    expect_no_field(response, "x-route");
    cr_assert_not_null(message_field(response, "x-request-id"));
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, error_of_a_backend_that_answers_nonsense)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with_response_edits(origin);

    origin_set_last_reply(origin, "/x", "nonsense\r\n\r\n");
    struct message *response = fetch(gateway, "a.test", "/x");
    expect_refusal(response, 502, "backend_bad_response");
    expect_response_edits(response);
    gateway_stop(gateway);
}

/* --- rewrite ------------------------------------------------------------------------------------
 */

Test(rewriting, paths_that_backends_get)
{
    static const char *const paths[][2] = {
        {"/api/x", "/v2/x"},     {"/api", "/v2/"},
        {"/api/", "/v2/"},       {"/api//x/", "/v2/x/"},
        {"/apix", "/v2/apix"},   {"/%61pi/x?a=/api/&b=%2F", "/v2/x?a=/api/&b=%2F"},
        {"/api?q", "/v2/?q"},    {"/api%2fx", "/v2/api%2fx"},
        {"/other", "/v2/other"},
    };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'paths': {"
        "  '/api': { 'to': '%s', 'rewrite': { 'strip_prefix': '/api/', 'add_prefix': '/v2/' } },"
        "  '/': { 'to': '%s', 'rewrite': { 'strip_prefix': '/api', 'add_prefix': '/v2' } } } } } }",
        origin_address(origin), origin_address(origin));
    struct client *client = client_open(gateway, "a.test");
    int count = (int)(sizeof paths / sizeof *paths);

    for (int i = 0; i < count; i++) {
        expect_status(client_get(client, "a.test", paths[i][0]), 200);
        struct message *seen = origin_request(origin, i);
        cr_assert_str_eq(seen->target, paths[i][1], "%s: %s", paths[i][0], seen->target);
    }
    /* The log and the route know what the client asked for. */
    expect_string(log_entry(gateway, 0), "path", "/api/x");
    expect_string(log_entry(gateway, 0), "route", "a.test/api");
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, options_of_the_whole_server)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'rewrite': { 'strip_prefix': '/api', "
        "'add_prefix': '/v2' } } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_response(client), 200);
    cr_assert_str_eq(origin_last_request(origin)->target, "*");
    client_close(client);
    gateway_stop(gateway);
}

Test(rewriting, bodies_pass_with_them)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'rewrite': { 'strip_prefix': '/api' },"
        "'headers': { 'request': { 'set': { 'X-In': '1' } }, 'response': { 'set': { 'X-Out': '2' }"
        " } } } } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/echo", origin_echo, NULL);
    client_send(client, "POST /api/echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n"
                        "\r\n5\r\nhello\r\n0\r\nX-In: of the trailer\r\nX-Sum: 5\r\n\r\n");
    struct message *response = client_response(client);
    expect_body(response, "hello");
    expect_field(response, "x-out", "2");
    expect_field(origin_last_request(origin), "x-in", "1");
    cr_assert_str_eq(message_trailer(response, "x-sum"), "5");
    cr_assert_null(message_trailer(response, "x-in"), "what the route says is not the client's");
    client_close(client);
    gateway_stop(gateway);
}
