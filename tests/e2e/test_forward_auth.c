/* `auth.forward`: what the service is asked, what comes of its answers, and that nobody gets around
 * it. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

E2E_SUITE(forward_auth);

static struct origin *service, *origin;

/* a.test leads to the backend behind the service's /check, /login to the service itself. */
static struct gateway *start(const char *forward)
{
    service = origin_start("service");
    origin = origin_start("one");
    return gateway_start(
        "{ @base, 'defaults': { 'limits': { 'underscores': true } },"
        "  'routes': { 'a.test': { 'paths': { '/': { 'to': '%s',"
        "    'auth': { 'forward': { 'to': 'http://%s/check%s } } }, '/login': '%s' } } } }",
        origin_address(origin), origin_address(service), forward, origin_address(service));
}

#define PLAIN "'"
#define COPY  "', 'copy': ['X-User', 'X-Groups']"

static struct message *ask(struct client *client, const char *method, const char *path,
                           const char *fields)
{
    client_send(client, "%s %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", method, path, fields);
    return client_response_to(client, method);
}

/* --- a login ------------------------------------------------------------------------------------
 */

/* Whoever has the cookie is Ann; others are sent to /login, which sets it and sends them back. */
static void check(struct origin_turn *turn)
{
    const char *cookie = message_field(turn->request, "cookie");

    if (cookie != NULL && strstr(cookie, "session=ann") != NULL)
        wire_print(turn->wire, "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 2\r\n\r\nok");
    else
        wire_print(turn->wire,
                   "HTTP/1.1 302 Found\r\nLocation: /login?next=%s\r\n"
                   "Set-Cookie: flow=1; Path=/\r\nSet-Cookie: from=check; Path=/\r\n"
                   "Content-Length: 6\r\n\r\nlog in",
                   message_field(turn->request, "x-forwarded-uri"));
}

static void log_in(struct origin_turn *turn)
{
    const char *next = strstr(turn->request->target, "next=");

    wire_print(turn->wire,
               "HTTP/1.1 303 See Other\r\nLocation: %s\r\nSet-Cookie: session=ann; Path=/; "
               "HttpOnly\r\nContent-Length: 0\r\n\r\n",
               next != NULL ? next + strlen("next=") : "/");
}

static struct gateway *start_login(void)
{
    struct gateway *gateway = start(COPY);

    origin_set_script(service, "/check", check, NULL);
    origin_set_script(service, "/login", log_in, NULL);
    return gateway;
}

Test(forward_auth, login)
{
    struct gateway *gateway = start_login();
    struct client *client = client_open(gateway, "a.test");

    struct message *response = client_get(client, "a.test", "/private?x=1");
    expect_status(response, 302);
    expect_field(response, "location", "/login?next=/private?x=1");
    cr_assert_eq(field_count(&response->fields, "set-cookie"), 2);
    expect_body(response, "log in");
    expect_status(client_get(client, "a.test", "/login?next=/private?x=1"), 303);
    cr_assert_eq(origin_requests(origin), 0);
    expect_from(ask(client, "GET", "/private?x=1", "Cookie: session=ann\r\n"), "one");
    struct message *seen = origin_last_request(origin);
    expect_field(seen, "x-user", "ann");
    expect_no_field(seen, "x-groups");
    expect_field(seen, "cookie", "session=ann");
    cr_assert_str_eq(seen->target, "/private?x=1");
    json_t *entry = log_entry(gateway, 0);
    expect_number(entry, "status", 302);
    expect_string(entry, "reason", "unauthorized");
    expect_null(log_entry(gateway, 2), "reason");
    client_close(client);
    gateway_stop(gateway);
}

/* The same by a program that keeps cookies and follows. */
Test(forward_auth, login_with_curl)
{
    if (!command_exists("curl")) {
        fprintf(stderr, "skipped: curl is not installed\n");
        return;
    }
    struct gateway *gateway = start_login();
    int port = gateway_port(gateway, "https");
    struct command *command =
        COMMAND("curl", "-sS", "--noproxy", "*", "--cacert", workplace_path("ca.pem"), "-L", "-b",
                "", "-H", "X-User: root", "-H", "X_User: root", "--resolve",
                text("a.test:%d:127.0.0.1", port), text("https://a.test:%d/private", port));

    command_expect(command, 0);
    cr_assert_eq(strncmp(command->out, "one\n", 4), 0, "%s", command->out);
    cr_assert_eq(origin_requests(origin), 1);
    struct message *seen = origin_request(origin, 0);
    expect_field(seen, "x-user", "ann");
    cr_assert_eq(field_count(&seen->fields, "x-user"), 1);
    expect_no_field(seen, "x_user");
    gateway_stop(gateway);
}

/* --- what it is asked ---------------------------------------------------------------------------
 */

Test(forward_auth, what_the_service_is_asked)
{
    struct gateway *gateway = start("?site=a', 'copy': ['X-User'], 'timeout': '5s'");
    struct client *client = client_open(gateway, "a.test");

    expect_from(ask(client, "DELETE", "//x/%7Eann?q=%20",
                    "Cookie: a=1\r\nAuthorization: Bearer t\r\n"
                    "If-None-Match: *\r\nRange: bytes=0-1\r\nX-User: root\r\nx_user: root\r\n"
                    "X-Forwarded-Uri: /open\r\nX-Forwarded-Method: HEAD\r\n"
                    "X_Forwarded_Uri: /open\r\nX-Forwarded-For: 1.2.3.4\r\nX-Other: 1\r\n"),
                "one");
    struct message *seen = origin_request(service, 0);
    cr_assert_str_eq(seen->method, "GET");
    cr_assert_str_eq(seen->target, "/check?site=a");
    expect_field(seen, "host", origin_address(service));
    expect_field(seen, "x-forwarded-method", "DELETE");
    expect_field(seen, "x-forwarded-uri", "/x/~ann?q=%20");
    cr_assert_eq(field_count(&seen->fields, "x-forwarded-uri"), 1);
    expect_field(seen, "x-forwarded-host", "a.test");
    expect_field(seen, "x-forwarded-proto", "https");
    expect_field(seen, "x-forwarded-for", "127.0.0.1");
    cr_assert_not_null(message_field(seen, "x-forwarded-port"));
    expect_field(seen, "cookie", "a=1");
    expect_field(seen, "authorization", "Bearer t");
    expect_field(seen, "x-other", "1");
    static const char *const absent[] = {"x-user",
                                         "x_user",
                                         "x_forwarded_uri",
                                         "if-none-match",
                                         "range",
                                         "content-length",
                                         "transfer-encoding",
                                         "connection",
                                         "te",
                                         "upgrade",
                                         "expect"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        expect_no_field(seen, absent[i]);
    struct message *passed = origin_request(origin, 0);
    expect_field(passed, "x-request-id", message_field(seen, "x-request-id"));
    expect_field(passed, "if-none-match", "*");
    expect_no_field(passed, "x-user");
    expect_no_field(passed, "x_user");
    expect_no_field(passed, "x-forwarded-uri");
    client_close(client);
    gateway_stop(gateway);
}

Test(forward_auth, copied_fields_are_the_service_s_alone)
{
    struct gateway *gateway = start(COPY);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", origin_echo, NULL);
    origin_set_reply(service, "/check",
                     "HTTP/1.1 204 No Content\r\nx-user: ann\r\nX-GROUPS: a\r\nX-Groups: b\r\n"
                     "X-Secret: 1\r\n\r\n");
    expect_from(ask(client, "GET", "/", "X-User: root\r\nx-groups: wheel\r\nX_Groups: wheel\r\n"),
                "one");
    struct message *seen = origin_request(origin, 0);
    expect_field(seen, "x-user", "ann");
    cr_assert_eq(field_count(&seen->fields, "x-user"), 1);
    cr_assert_eq(field_count(&seen->fields, "x-groups"), 2);
    cr_assert_not_null(strstr(seen->head, "X-Groups: a\r\nX-Groups: b\r\n"));
    expect_no_field(seen, "x_groups");
    expect_no_field(seen, "x-secret");
    /* Nor is anybody named behind the body. */
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n0\r\nX-User: root\r\nX_Groups: wheel\r\nX-Sum: 1\r\n\r\n");
    expect_status(client_response(client), 200);
    seen = origin_finished_request(origin, 1);
    cr_assert_null(message_trailer(seen, "x-user"));
    cr_assert_null(message_trailer(seen, "x_groups"));
    cr_assert_str_eq(message_trailer(seen, "x-sum"), "1");
    expect_field(seen, "x-user", "ann");
    /* What belongs to the service's connection is nobody else's. */
    origin_set_reply(service, "/check",
                     "HTTP/1.1 200 OK\r\nConnection: x-user\r\nX-User: ann\r\n"
                     "Content-Length: 0\r\n\r\n");
    expect_from(ask(client, "GET", "/", "X-User: root\r\n"), "one");
    expect_no_field(origin_request(origin, 2), "x-user");
    client_close(client);
    gateway_stop(gateway);
}

/* --- what it answers ----------------------------------------------------------------------------
 */

Test(forward_auth, what_it_answers_is_the_client_s_answer)
{
    struct gateway *gateway = start(PLAIN);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(service, "/check",
                     "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"x\"\r\nConnection: "
                     "x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=60\r\nTransfer-Encoding: "
                     "chunked\r\nX-Request-Id: mine\r\n\r\n3\r\nnot\r\n4\r\n you\r\n0\r\n\r\n");
    struct message *response = client_get(client, "a.test", "/");
    expect_status(response, 401);
    expect_body(response, "not you");
    expect_field(response, "www-authenticate", "Basic realm=\"x\"");
    expect_no_field(response, "x-hop");
    expect_no_field(response, "keep-alive");
    cr_assert_eq(field_count(&response->fields, "x-request-id"), 1);
    cr_assert_eq(strlen(message_field(response, "x-request-id")), 32);
    response = ask(client, "HEAD", "/", "");
    expect_status(response, 401);
    expect_field(response, "content-length", "7");
    origin_set_reply(service, "/check", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    expect_body(client_get(client, "a.test", "/"), "no");
    origin_set_reply(service, "/check",
                     "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
    response = client_get(client, "a.test", "/");
    expect_status(response, 500);
    expect_body(response, "oops");
    expect_string(log_entry(gateway, 0), "reason", "unauthorized");
    expect_string(log_entry(gateway, 2), "reason", "denied");
    expect_string(log_entry(gateway, 3), "reason", "auth_unavailable");
    cr_assert_eq(origin_requests(origin), 0);
    cr_assert_eq(origin_connections(service), 1);
    client_close(client);
    gateway_stop(gateway);
}

/* A script's argument: how long the body is, and how it ends. */
struct body {
    const char *status;
    int bytes;
    bool is_chunked;
};

static void answer_with_body(struct origin_turn *turn)
{
    const struct body *body = turn->arg;
    char piece[1024];

    memset(piece, 'x', sizeof(piece));
    wire_print(turn->wire, "HTTP/1.1 %s\r\n", body->status);
    if (body->is_chunked)
        wire_print(turn->wire, "Transfer-Encoding: chunked\r\n\r\n");
    else
        wire_print(turn->wire, "Content-Length: %d\r\n\r\n", body->bytes);
    for (int left = body->bytes; left > 0; left -= (int)sizeof(piece)) {
        int length = left < (int)sizeof(piece) ? left : (int)sizeof(piece);
        if (body->is_chunked)
            wire_print(turn->wire, "%x\r\n%.*s\r\n", (unsigned)length, length, piece);
        else
            wire_print(turn->wire, "%.*s", length, piece);
    }
    if (body->is_chunked)
        wire_print(turn->wire, "0\r\n\r\n");
}

static void expect_longest_body(bool is_chunked)
{
    struct gateway *gateway = start(PLAIN);
    struct client *client = client_open(gateway, "a.test");
    struct body longest = {"403 Forbidden", 64 * 1024, is_chunked};
    struct body longer = {"403 Forbidden", 64 * 1024 + 1, is_chunked};
    struct body unread = {"200 OK", 256 * 1024, is_chunked};

    origin_set_script(service, "/check", answer_with_body, &longest);
    struct message *response = client_get(client, "a.test", "/");
    expect_status(response, 403);
    cr_assert_eq(response->body_bytes, 64 * 1024);
    origin_set_script(service, "/check", answer_with_body, &longer);
    expect_refusal(client_get(client, "a.test", "/"), 503, "auth_unavailable");
    cr_assert_eq(origin_requests(origin), 0);
    origin_set_script(service, "/check", answer_with_body, &unread);
    expect_from(client_get(client, "a.test", "/"), "one");
    client_close(client);
    gateway_stop(gateway);
}

Test(forward_auth, answers_have_bodies_of_64_kib_at_most)
{
    expect_longest_body(false);
}

Test(forward_auth, chunked_answers_have_bodies_of_64_kib_at_most)
{
    expect_longest_body(true);
}

Test(forward_auth, interim_answers_are_nobody_s)
{
    struct gateway *gateway = start(COPY);

    origin_set_reply(service, "/check",
                     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-User: root\r\n"
                     "Link: </x>\r\n\r\nHTTP/1.1 200 OK\r\nX-User: ann\r\n"
                     "Content-Length: 0\r\n\r\n");
    struct message *response = fetch(gateway, "a.test", "/");
    expect_from(response, "one");
    expect_field(origin_request(origin, 0), "x-user", "ann");
    cr_assert_eq(field_count(&origin_request(origin, 0)->fields, "x-user"), 1);
    gateway_stop(gateway);
}

/* --- requests of every kind ---------------------------------------------------------------------
 */

enum { LONG_BODY = 300 * 1000 };

Test(forward_auth, a_body_goes_to_the_backend_alone)
{
    struct gateway *gateway = start(PLAIN);
    struct client *client = client_open(gateway, "a.test");
    char *body = text("%*s", LONG_BODY, "end");

    origin_set_script(origin, "/up", origin_echo, NULL);
    for (int i = 0; i < 2; i++) {
        client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n",
                    LONG_BODY);
        client_send_bytes(client, body, LONG_BODY);
        expect_body(client_response(client), body);
    }
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n0\r\n\r\n");
    expect_body(client_response(client), "hello");
    for (int i = 0; i < 3; i++) {
        struct message *asked = origin_finished_request(service, i);
        cr_assert_eq(asked->framing, FRAMING_NONE, "%s", asked->head);
        expect_no_field(asked, "content-length");
        expect_no_field(asked, "transfer-encoding");
        expect_field(asked, "x-forwarded-method", "POST");
    }
    cr_assert_eq(origin_connections(service), 1);
    client_close(client);
    gateway_stop(gateway);
}

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

/* Nobody sends a body for a request that may still be refused. */
Test(forward_auth, nobody_is_told_to_continue_before_it_lets_pass)
{
    struct gateway *gateway = start(PLAIN);
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/up", origin_echo, NULL);
    origin_set_script(service, "/check", wait_then_tell, gate);
    client_send(client, "PUT /up HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n");
    expect_no_field(origin_request(service, 0), "expect");
    gate_open(gate);
    origin_wait_requests(origin, 1);
    client_send(client, "hello");
    struct message *response = client_response(client);
    if (response->status == 100)
        response = client_response(client);
    expect_body(response, "hello");
    client_close(client);

    origin_set_reply(service, "/check", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    client = client_open(gateway, "a.test");
    client_send(client, "PUT /up HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n");
    response = client_response(client);
    expect_status(response, 403);
    expect_closing(response);
    client_expect_last(client);
    cr_assert_eq(origin_requests(origin), 1);
    client_close(client);
    gateway_stop(gateway);
}

#define UPGRADE                                                                         \
    "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

Test(forward_auth, tunnels_open_behind_it)
{
    struct gateway *gateway = start(COPY);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    origin_set_reply(service, "/check",
                     "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n");
    client_send(client, UPGRADE "words");
    cr_assert_eq(client_response(client)->status, 101);
    while (wire_held(&client->wire) < 5)
        workplace_require(wire_fill(&client->wire), "the tunnel ended");
    cr_assert_eq(memcmp(wire_bytes(&client->wire), "words", 5), 0);
    expect_no_field(origin_request(service, 0), "upgrade");
    expect_no_field(origin_request(service, 0), "connection");
    expect_field(origin_request(origin, 0), "x-user", "ann");
    client_close(client);

    origin_set_reply(service, "/check", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    client = client_open(gateway, "a.test");
    client_send(client, UPGRADE);
    expect_status(client_response(client), 403);
    cr_assert_eq(origin_requests(origin), 1);
    /* A service cannot open a tunnel, whoever asked for one. */
    origin_set_last_reply(service, "/check",
                          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                          "Upgrade: websocket\r\n\r\n");
    client = client_open(gateway, "a.test");
    client_send(client, UPGRADE);
    expect_refusal(client_response(client), 503, "auth_unavailable");
    client_close(client);
    gateway_stop(gateway);
}

Test(forward_auth, pipelined_requests_are_asked_one_by_one)
{
    struct gateway *gateway = start(PLAIN);
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 20; i++)
        client_send(client, "GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n", i);
    for (int i = 0; i < 20; i++)
        expect_from(client_response(client), "one");
    cr_assert_eq(origin_requests(service), 20);
    if (!speaks_h2())
        for (int i = 0; i < 20; i++)
            expect_field(origin_request(service, i), "x-forwarded-uri", text("/%d", i));
    cr_assert_leq(origin_connections(service), speaks_h2() ? 20 : 1);
    client_close(client);
    gateway_stop(gateway);
}

/* --- whom it guards -----------------------------------------------------------------------------
 */

Test(forward_auth, null_turns_it_off_and_it_guards_what_no_backend_answers)
{
    service = origin_start("service");
    origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'auth': { 'forward': { 'to': 'http://%s' } } },"
        "  'routes': { 'a.test': { 'paths': { '/': '%s', '/open': { 'to': '%s', 'auth': null },"
        "    '/moved': { 'redirect': '/' }, '/text': { 'respond': { 'body': 'secret' } } } } } }",
        origin_address(service), origin_address(origin), origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(service, NULL, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    expect_status(client_get(client, "a.test", "/"), 403);
    cr_assert_str_eq(origin_request(service, 0)->target, "/");
    expect_status(client_get(client, "a.test", "/moved"), 403);
    expect_status(client_get(client, "a.test", "/text"), 403);
    cr_assert_eq(origin_requests(service), 3);
    expect_from(client_get(client, "a.test", "/open"), "one");
    cr_assert_eq(origin_requests(service), 3);
    client_close(client);
    gateway_stop(gateway);
}
