/* Bodies through the gateway: framing both ways, keep-alive, pipelining, 1xx, early ends. */
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

E2E_SUITE(bodies);

static struct gateway *start_with(struct origin *origin)
{
    return gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
}

struct response_case {
    const char *name;
    const char *method;
    const char *raw; /* what the backend answers */
    bool closes;     /* and closes after it */
    int status;
    const char *body;    /* what the client must get */
    const char *trailer; /* the value of the trailer x-end, or NULL */
};

static const struct response_case response_cases[] = {
    {"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello",
     NULL},
    {"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, "", NULL},
    {"chunked", "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n",
     false, 200, "hello", NULL},
    {"chunked-empty", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     false, 200, "", NULL},
    {"trailers", "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
     "5\r\nhello\r\n0\r\nX-End: yes\r\n\r\n",
     false, 200, "hello", "yes"},
    {"until-close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", true, 200, "hello", NULL},
    {"until-close-1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", true, 200, "hello", NULL},
    {"length-1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, 200, "hello",
     NULL},
    {"announced-close", "GET",
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", true, 200, "hello",
     NULL},
    {"no-content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", NULL},
    {"not-modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
     false, 304, "", NULL},
    {"head-length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, "", NULL},
    {"head-chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200,
     "", NULL},
    {"head-bare", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", false, 200, "", NULL},
    {"not-found", "GET", "HTTP/1.1 404 Nope\r\nContent-Length: 4\r\n\r\ngone", false, 404, "gone",
     NULL},
    {"no-reason-phrase", "GET", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", false, 200, "ok",
     NULL},
};
#define RESPONSE_CASES ((int)(sizeof response_cases / sizeof *response_cases))

static struct message *expect_case(struct client *client, const struct response_case *expected)
{
    struct message *response = client_response_to(client, expected->method);
    const char *trailer = message_trailer(response, "x-end");

    workplace_require(response->status == expected->status && response->is_complete &&
                          strcmp(response->body, expected->body) == 0,
                      "%s: %s%s", expected->name, response->head, response->body);
    workplace_require(expected->trailer == NULL ||
                          (trailer != NULL && strcmp(trailer, expected->trailer) == 0),
                      "%s: the trailer is lost", expected->name);
    return response;
}

static void script_cases(struct origin *origin)
{
    for (int i = 0; i < RESPONSE_CASES; i++) {
        const char *path = text("/%s", response_cases[i].name);
        if (response_cases[i].closes)
            origin_set_last_reply(origin, path, response_cases[i].raw);
        else
            origin_set_reply(origin, path, response_cases[i].raw);
    }
}

Test(bodies, every_framing_of_a_response)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);

    script_cases(origin);
    for (int i = 0; i < RESPONSE_CASES; i++) {
        struct client *client = client_open(gateway, "a.test");
        client_send(client, "%s /%s HTTP/1.1\r\nHost: a.test\r\n\r\n", response_cases[i].method,
                    response_cases[i].name);
        struct message *response = expect_case(client, &response_cases[i]);
        if (strcmp(response_cases[i].name, "head-length") == 0)
            expect_field(response, "content-length", "5");
        /* The connection is still good, unless the gateway said otherwise. */
        if (message_field(response, "connection") == NULL && response->framing != FRAMING_CLOSE)
            expect_from(client_get(client, "a.test", "/again"), "one");
        else
            client_expect_end(client);
        client_close(client);
    }
    gateway_stop(gateway);
}

Test(bodies, every_framing_to_an_http_1_0_client)
{
    needs_http1("HTTP/1.0");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);

    script_cases(origin);
    for (int i = 0; i < RESPONSE_CASES; i++) {
        if (response_cases[i].trailer != NULL)
            continue;
        struct client *client = client_open(gateway, "a.test");
        client_send(client, "%s /%s HTTP/1.0\r\nHost: a.test\r\n\r\n", response_cases[i].method,
                    response_cases[i].name);
        struct message *response = expect_case(client, &response_cases[i]);
        expect_no_field(response, "transfer-encoding");
        client_expect_end(client);
        client_close(client);
    }
    gateway_stop(gateway);
}

static void send_byte_by_byte(struct origin_turn *turn)
{
    const char *raw = turn->arg;

    origin_read_body(turn);
    for (; *raw != '\0'; raw++)
        wire_write(turn->wire, raw, 1);
}

Test(bodies, responses_byte_by_byte)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);

    for (int i = 0; i < RESPONSE_CASES; i++) {
        if (!response_cases[i].closes)
            origin_set_script(origin, text("/%s", response_cases[i].name), send_byte_by_byte,
                              text("%s", response_cases[i].raw));
    }
    struct client *client = client_open(gateway, "a.test");
    for (int i = 0; i < RESPONSE_CASES; i++) {
        if (response_cases[i].closes)
            continue;
        client_send(client, "%s /%s HTTP/1.1\r\nHost: a.test\r\n\r\n", response_cases[i].method,
                    response_cases[i].name);
        expect_case(client, &response_cases[i]);
    }
    gateway_stop(gateway);
}

struct request_case {
    const char *name;
    const char *raw; /* with %s for the path */
    const char *body;
    const char *trailer; /* value of x-end */
};

static const struct request_case request_cases[] = {
    {"get", "GET /get HTTP/1.1\r\nHost: a.test\r\n\r\n", "", NULL},
    {"get-with-body", "GET /g HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi", "hi", NULL},
    {"post-length", "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", "hello",
     NULL},
    {"post-empty", "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", "", NULL},
    {"post-same-length-twice",
     "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\nX: y\r\n\r\nhi", "hi", NULL},
    {"post-chunked",
     "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
     "hello", NULL},
    {"post-chunk-extension",
     "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "5;a=b; c=\"d\"\r\nhello\r\n0\r\n\r\n",
     "hello", NULL},
    {"put-trailers",
     "PUT /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
     "5\r\nhello\r\n0\r\nX-End: yes\r\n\r\n",
     "hello", "yes"},
    {"delete-chunked-empty",
     "DELETE /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", NULL},
    {"leading-empty-line", "\r\nGET /crlf HTTP/1.1\r\nHost: a.test\r\n\r\n", "", NULL},
    {"spaces-around-values", "GET /s HTTP/1.1\r\nHost: \ta.test \t\r\nX-A:b\r\n\r\n", "", NULL},
    {"own-method", "PURGE /s HTTP/1.1\r\nHost: a.test\r\n\r\n", "", NULL},
};
#define REQUEST_CASES ((int)(sizeof request_cases / sizeof *request_cases))

static void send_requests(bool slowly)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    for (int i = 0; i < REQUEST_CASES; i++) {
        const struct request_case *sent = &request_cases[i];
        if (slowly)
            client_send_slowly(client, sent->raw);
        else
            client_send_bytes(client, sent->raw, strlen(sent->raw));
        struct message *response = client_response(client);
        workplace_require(response->status == 200, "%s: %s%s", sent->name, response->head,
                          response->body);
        struct message *seen = origin_finished_request(origin, i);
        const char *there = message_trailer(seen, "x-end");
        const char *back = message_trailer(response, "x-end");
        workplace_require(response->status == 200 && response->is_complete &&
                              strcmp(response->body, sent->body) == 0 && seen->is_complete &&
                              strcmp(seen->body, sent->body) == 0,
                          "%s: the backend saw\n%s%s\nthe client\n%s%s", sent->name, seen->head,
                          seen->body, response->head, response->body);
        workplace_require(sent->trailer == NULL ||
                              (there != NULL && strcmp(there, sent->trailer) == 0 && back != NULL &&
                               strcmp(back, sent->trailer) == 0),
                          "%s: the trailer is lost", sent->name);
        workplace_require(field_count(&seen->fields, "content-length") +
                                  field_count(&seen->fields, "transfer-encoding") <=
                              1,
                          "%s: more than one framing: %s", sent->name, seen->head);
    }
    gateway_stop(gateway);
}

Test(bodies, every_framing_of_a_request)
{
    send_requests(false);
}

Test(bodies, requests_byte_by_byte)
{
    send_requests(true);
}

Test(bodies, pipelined_requests_are_answered_in_order)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    origin_set_script(origin, "/2", origin_echo, NULL);
    origin_set_reply(origin, "/3", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    origin_set_reply(origin, "/4", "HTTP/1.1 204 No Content\r\n\r\n");
    client_send(client, "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                        "POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\ntwo"
                        "HEAD /3 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                        "GET /4 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                        "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                        "GET /nowhere HTTP/1.1\r\nHost: nobody.example\r\n\r\n"
                        "GET /1 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    expect_body(client_response(client), "one");
    expect_body(client_response(client), "two");
    expect_status(client_response_to(client, "HEAD"), 200);
    expect_status(client_response(client), 204);
    expect_body(client_response(client), "one");
    expect_refusal(client_response(client), 404, "no_route");
    expect_body(client_response(client), "one");
    client_expect_end(client);
    gateway_stop(gateway);
}

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

Test(bodies, pipelined_behind_a_slow_one)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/slow", wait_then_tell, gate);
    origin_set_reply(origin, "/fast", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast");
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    client_send(client, "GET /fast HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gate_open(gate);
    expect_from(client_response(client), "one");
    expect_body(client_response(client), "fast");
    gateway_stop(gateway);
}

Test(bodies, keep_alive_of_both_versions)
{
    needs_http1("a field of HTTP/1");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    for (int i = 0; i < 5; i++)
        expect_from(client_get(client, "a.test", "/"), "one");
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    struct message *last = client_response(client);
    expect_from(last, "one");
    expect_field(last, "connection", "close");
    client_expect_end(client);

    client = client_open(gateway, "a.test");
    for (int i = 0; i < 2; i++) {
        client_send(client, "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
        struct message *response = client_response(client);
        expect_from(response, "one");
        expect_field(response, "connection", "keep-alive");
    }
    client_send(client, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    expect_from(client_response(client), "one");
    client_expect_end(client);
    gateway_stop(gateway);
}

static void early_hints(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                           "HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n");
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

Test(bodies, interim_responses_are_passed_on)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/hints", early_hints, gate);
    client_send(client, "GET /hints HTTP/1.1\r\nHost: a.test\r\n\r\n");
    struct message *hint = client_response(client);
    cr_assert_eq(hint->status, 103);
    expect_field(hint, "link", "</a.css>");
    expect_field(client_response(client), "link", "</b.css>");
    gate_open(gate);
    expect_body(client_response(client), "ok");
    gateway_stop(gateway);
}

Test(bodies, interim_responses_are_not_for_http_1_0)
{
    needs_http1("HTTP/1.0");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/hints", early_hints, gate);
    gate_open(gate);
    client_send(client, "GET /hints HTTP/1.0\r\nHost: a.test\r\n\r\n");
    expect_body(client_response(client), "ok");
    gateway_stop(gateway);
}

static void continue_then_echo(struct origin_turn *turn)
{
    const char *expects = message_field(turn->request, "expect");

    if (expects == NULL || strcmp(expects, "100-continue") != 0)
        workplace_note("no Expect: %s", turn->request->head);
    wire_print(turn->wire, "HTTP/1.1 100 Continue\r\n\r\n");
    origin_echo(turn);
}

Test(bodies, expect_100_continue)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", continue_then_echo, NULL);
    for (int i = 0; i < 2; i++) {
        client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                            "Content-Length: 5\r\n\r\n");
        cr_assert_eq(client_response(client)->status, 100);
        client_send(client, "hello");
        expect_body(client_response(client), "hello");
    }
    gateway_stop(gateway);
}

static void refuse_at_once(struct origin_turn *turn)
{
    wire_print(turn->wire,
               "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    turn->is_closing = true;
}

Test(bodies, expect_100_continue_refused)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", refuse_at_once, NULL);
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n");
    struct message *response = client_response(client);
    expect_status(response, 403);
    expect_body(response, "no");
    gateway_stop(gateway);
}

static void answer_then_read(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
    origin_read_body(turn);
}

Test(bodies, early_response_while_the_body_is_coming)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", answer_then_read, NULL);
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello");
    expect_body(client_response(client), "early");
    /* A backend that goes on listening gets the rest. */
    client_send(client, "world");
    struct message *seen = origin_finished_request(origin, 0);
    cr_assert(seen->is_complete);
    cr_assert_str_eq(seen->body, "helloworld");
    gateway_stop(gateway);
}

Test(bodies, early_refusal_of_a_large_body_is_read_whole)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");
    static char piece[65536];

    origin_set_script(origin, "/up", refuse_at_once, NULL);
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4194304\r\n\r\n");
    for (int i = 0; i < 64 && wire_write(&client->wire, piece, sizeof piece); i++) {
    }
    struct message *response = client_response(client);
    expect_status(response, 403);
    expect_body(response, "no");
    gateway_stop(gateway);
}

static void first_half_then_wait(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    wire_print(turn->wire, "again");
}

Test(bodies, responses_are_streamed)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/half", first_half_then_wait, gate);
    client_send(client, "GET /half HTTP/1.1\r\nHost: a.test\r\n\r\n");
    struct message *response = client_response_head(client);
    while (wire_held(&client->wire) < 5)
        cr_assert(wire_fill(&client->wire), "the first half does not come by itself");
    gate_open(gate);
    message_read_body(&client->wire, response, "GET");
    expect_body(response, "firstagain");
    gateway_stop(gateway);
}

static void open_at_first_bytes(struct origin_turn *turn)
{
    while (wire_held(turn->wire) < 5) {
        if (!wire_fill(turn->wire))
            return;
    }
    gate_open(turn->arg);
    origin_echo(turn);
}

Test(bodies, requests_are_streamed)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(origin, "/up", open_at_first_bytes, gate);
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst");
    cr_assert(gate_wait(gate), "the first half does not reach the backend by itself");
    client_send(client, "again");
    expect_body(client_response(client), "firstagain");
    gateway_stop(gateway);
}

Test(bodies, response_that_breaks_off_is_not_ended_in_order)
{
    static const char *const raws[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);

    for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
        const char *path = text("/%zu", i);
        origin_set_last_reply(origin, path, raws[i]);
        struct client *client = client_open(gateway, "a.test");
        client_send(client, "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", path);
        struct message *response = client_response(client);
        workplace_require(response->status == 502 || !response->is_complete,
                          "broken response %zu looks whole: %s%s", i, response->head,
                          response->body);
    }
    gateway_stop(gateway);
}

/* An HTTP/1.0 client knows the end of a body without a length by the connection's; under TLS the
 * missing close_notify shows that this was none. */
Test(bodies, body_without_a_length_that_breaks_off_ends_in_a_reset)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ 'listen': { 'https': 'off', 'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' },"
        "  'admin': 'unix:@tmp/admin.sock' }, 'routes': { 'a.test': '%s' } }",
        origin_address(origin));

    origin_set_last_reply(origin, "/whole",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nhello\r\n0\r\n\r\n");
    origin_set_last_reply(origin, "/cut",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    for (int i = 0; i < 2; i++) {
        struct client *client = client_open_plain(gateway_address(gateway, "http", 0));
        client_send(client, "GET /%s HTTP/1.0\r\nHost: a.test\r\n\r\n", i == 0 ? "whole" : "cut");
        struct message *response = client_response(client);
        cr_assert_eq(response->framing, FRAMING_CLOSE);
        cr_assert_eq(response->is_complete, i == 0);
        cr_assert_eq(response->end, i == 0 ? WIRE_CLOSED : WIRE_RESET);
    }
    gateway_stop(gateway);
}

Test(bodies, client_that_goes_away_ends_the_backend_request)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/hang", origin_hang, NULL);
    client_send(client, "GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    client_leave(client);
    origin_wait_open_connections(origin, 0);
    gateway_stop(gateway);
}
