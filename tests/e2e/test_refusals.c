/* What the gateway answers itself: ambiguous requests, limits, time limits, backends that fail. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(refusals);

#define GET_A  "GET / HTTP/1.1\r\nHost: a.test\r\n"
#define POST_A "POST / HTTP/1.1\r\nHost: a.test\r\n"

struct bad_request {
    const char *name;
    const char *raw;
    size_t length; /* when the bytes hold a NUL */
};

#define WITH_NUL(name, raw)        \
    {                              \
        name, raw, sizeof(raw) - 1 \
    }

/* Shapes that two parsers may read in two ways, and shapes that are none at all. */
static const struct bad_request ambiguous[] = {
    {"length and coding", POST_A "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     0},
    {"coding and length", POST_A "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     0},
    {"two lengths", POST_A "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 0},
    {"list of two lengths", POST_A "Content-Length: 3, 4\r\n\r\nabcd", 0},
    {"signed length", POST_A "Content-Length: +3\r\n\r\nabc", 0},
    {"negative length", POST_A "Content-Length: -3\r\n\r\nabc", 0},
    {"hexadecimal length", POST_A "Content-Length: 0x3\r\n\r\nabc", 0},
    {"length with a tail", POST_A "Content-Length: 3x\r\n\r\nabc", 0},
    {"length in two words", POST_A "Content-Length: 3 4\r\n\r\nabc", 0},
    {"empty length", POST_A "Content-Length:\r\n\r\nabc", 0},
    {"endless length", POST_A "Content-Length: 99999999999999999999999\r\n\r\nabc", 0},
    {"unknown coding", POST_A "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 0},
    {"coding before chunked", POST_A "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0},
    {"chunked before coding", POST_A "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 0},
    {"chunked twice", POST_A "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0},
    {"two codings",
     POST_A "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    {"nearly chunked", POST_A "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0},
    {"quoted chunked", POST_A "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 0},
    {"vertical tab before chunked", POST_A "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 0},
    {"identity", POST_A "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", 0},
    {"empty coding", POST_A "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 0},
    {"coding in 1.0",
     "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    {"space before the colon", GET_A "X-A : b\r\n\r\n", 0},
    {"space before the length's colon", POST_A "Content-Length : 3\r\n\r\nabc", 0},
    {"space in a name", GET_A "X A: b\r\n\r\n", 0},
    {"no name", GET_A ": b\r\n\r\n", 0},
    {"no colon", GET_A "X-A\r\n\r\n", 0},
    {"folded line", GET_A "X-A: b\r\n c\r\n\r\n", 0},
    {"folded first line", "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", 0},
    {"bare CR in a value", GET_A "X-A: b\rX-B: c\r\n\r\n", 0},
    {"bare LF lines", "GET / HTTP/1.1\nHost: a.test\n\n", 0},
    {"bare LF in the head", "GET / HTTP/1.1\r\nHost: a.test\nX-A: b\r\n\r\n", 0},
    WITH_NUL("NUL in a value", GET_A "X-A: b\0c\r\n\r\n"),
    WITH_NUL("NUL in a name", GET_A "X-A\0: b\r\n\r\n"),
    WITH_NUL("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    {"control in a value", GET_A "X-A: b\001c\r\n\r\n", 0},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 0},
    {"two hosts", GET_A "Host: b.test\r\n\r\n", 0},
    {"the same host twice", GET_A "Host: a.test\r\n\r\n", 0},
    {"host with a path", "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 0},
    {"host with user info", "GET / HTTP/1.1\r\nHost: me@a.test\r\n\r\n", 0},
    {"host of two words", "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n", 0},
    {"host list", "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", 0},
    {"host with a bad port", "GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n", 0},
    {"no target", "GET HTTP/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"relative target", "GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"space in the target", "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"control in the target", "GET /a\001b HTTP/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"bad method", "G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"no version", "GET /\r\nHost: a.test\r\n\r\n", 0},
    {"odd version", "GET / HTTP/1.x\r\nHost: a.test\r\n\r\n", 0},
    {"other protocol", "GET / HTTPS/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"two spaces", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 0},
    {"no HTTP", "hello there, is this a shell?\r\n\r\n", 0},
};
#define AMBIGUOUS ((int)(sizeof ambiguous / sizeof *ambiguous))

static struct gateway *start_with(struct origin *origin, const char *more)
{
    return gateway_start("{ @base, %s 'routes': { 'a.test': '%s' } }", more,
                         origin_address(origin));
}

static void send_ambiguous(bool slowly)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    for (int i = 0; i < AMBIGUOUS; i++) {
        struct client *client = client_open(gateway, "a.test");
        const char *raw = ambiguous[i].raw;
        size_t length = ambiguous[i].length != 0 ? ambiguous[i].length : strlen(raw);
        if (!slowly)
            client_send_bytes(client, raw, length);
        /* Slowly, it may be refused before its last byte. */
        for (size_t at = 0; slowly && at < length && wire_write(&client->wire, raw + at, 1); at++) {
        }
        struct message *response = message_new();
        workplace_require(message_read_head(&client->wire, response, false), "%s: no answer",
                          ambiguous[i].name);
        message_read_body(&client->wire, response, "GET");
        workplace_require(response->status == 400 && response->is_complete &&
                              strstr(response->body, "bad_request") != NULL,
                          "%s: %s%s", ambiguous[i].name, response->head,
                          response->body != NULL ? response->body : "");
        workplace_require(client_read_to_end(client) == WIRE_CLOSED, "%s: not closed in order",
                          ambiguous[i].name);
        client_close(client);
    }
    cr_assert_eq(origin_requests(origin), 0);
    gateway_stop(gateway);
}

Test(refusals, ambiguous_requests)
{
    needs_http1("these are HTTP/1.1's bytes");
    send_ambiguous(false);
}

Test(refusals, ambiguous_requests_byte_by_byte)
{
    needs_http1("these are HTTP/1.1's bytes");
    send_ambiguous(true);
}

Test(refusals, nothing_behind_an_ambiguous_request_is_served)
{
    needs_http1("these are HTTP/1.1's bytes");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, POST_A "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                               "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_refusal(client_response(client), 400, "bad_request");
    client_expect_end(client);
    cr_assert_eq(origin_requests(origin), 0);
    gateway_stop(gateway);
}

Test(refusals, broken_chunks)
{
    needs_http1("chunks are HTTP/1.1's");
    static const char *const chunks[] = {
        "zz\r\nhello\r\n0\r\n\r\n",        "5\r\nhelloX0\r\n\r\n",   "5 \r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n", "5\nhello\n0\n\n",        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",        "\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n",
    };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_script(origin, NULL, origin_echo, NULL);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct client *client = client_open(gateway, "a.test");
        client_send(client, POST_A "Transfer-Encoding: chunked\r\n\r\n%s", chunks[i]);
        struct message *response = message_new();
        if (message_read_head(&client->wire, response, false))
            workplace_require(response->status == 400, "chunks %zu: %s", i, response->head);
        client_read_to_end(client);
        client_close(client);
    }
    for (int i = 0; i < origin_requests(origin); i++)
        cr_assert(!origin_finished_request(origin, i)->is_complete);
    gateway_stop(gateway);
}

Test(refusals, methods)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    struct client *client = client_open(gateway, "a.test");
    client_send(client, "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_refusal(client_response(client), 405, "method_refused");
    client = client_open(gateway, "a.test");
    client_send(client, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
    expect_refusal(client_response(client), 405, "method_refused");
    cr_assert_eq(origin_requests(origin), 0);
    gateway_stop(gateway);
}

Test(refusals, words_as_text_and_as_json)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': '127.0.0.1:1' } }");
    struct client *client = client_open(gateway, "a.test");

    struct message *response = client_get(client, "none.test", "/");
    expect_refusal(response, 404, "no_route");
    cr_assert_eq(strncmp(message_field(response, "content-type"), "text/plain", 10), 0);

    client_send(client, "GET / HTTP/1.1\r\nHost: none.test\r\nAccept: application/json\r\n\r\n");
    response = client_response(client);
    expect_status(response, 404);
    cr_assert_eq(strncmp(message_field(response, "content-type"), "application/json", 16), 0);
    json_t *body = json_from(response->body);
    expect_number(body, "status", 404);
    expect_string(body, "reason", "no_route");
    expect_string(body, "request_id", message_field(response, "x-request-id"));

    client_send(client, "GET / HTTP/1.1\r\nHost: none.test\r\n"
                        "Accept: text/html, application/json;q=0.9\r\n\r\n");
    response = client_response(client);
    cr_assert_eq(strncmp(message_field(response, "content-type"), "text/plain", 10), 0);

    client_send(client, "HEAD / HTTP/1.1\r\nHost: none.test\r\n\r\n");
    expect_status(client_response_to(client, "HEAD"), 404);
    expect_refusal(client_get(client, "none.test", "/"), 404, "no_route");
    gateway_stop(gateway);
}

Test(refusals, header_timeout)
{
    needs_http1("half a line is no frame");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'header': '100ms' } },"
                      "  'routes': { 'a.test': { 'respond': {} } } }");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.t");
    expect_refusal(client_response(client), 408, "header_timeout");
    client_expect_end(client);
    gateway_stop(gateway);
}

Test(refusals, idle_connection_is_closed_without_a_word)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'keepalive': '100ms' } },"
                      "  'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");

    expect_body(client_get(client, "a.test", "/"), "ok");
    client_expect_end(client);
    gateway_stop(gateway);
}

Test(refusals, body_timeout)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        start_with(origin, "'defaults': { 'timeout': { 'body_idle': '100ms' } },");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, POST_A "Content-Length: 10\r\n\r\nhello");
    expect_refusal(client_response(client), 408, "body_timeout");
    client_expect_last(client);
    gateway_stop(gateway);
}

Test(refusals, body_too_large)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'max_body': 10 }, 'routes': { 'a.test': '%s',"
                      "  'b.test': { 'to': '%s', 'max_body': '1KiB' }, 'c.test': { 'to': '%s', "
                      "'max_body': 0 } } }",
                      origin_address(origin), origin_address(origin), origin_address(origin));

    origin_set_script(origin, NULL, origin_echo, NULL);
    struct client *client = client_open(gateway, "a.test");
    client_send(client, POST_A "Content-Length: 10\r\n\r\n0123456789");
    expect_body(client_response(client), "0123456789");
    client_send(client, POST_A "Content-Length: 11\r\n\r\n01234567890");
    expect_refusal(client_response(client), 413, "body_too_large");
    cr_assert_eq(origin_requests(origin), 1);

    client = client_open(gateway, "a.test");
    client_send(client,
                POST_A "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n");
    expect_refusal(client_response(client), 413, "body_too_large");

    client = client_open(gateway, "b.test");
    client_send(client, "POST / HTTP/1.1\r\nHost: b.test\r\nContent-Length: 11\r\n\r\n01234567890");
    expect_body(client_response(client), "01234567890");
    client_send(client, "POST / HTTP/1.1\r\nHost: c.test\r\nContent-Length: 11\r\n\r\n01234567890");
    expect_body(client_response(client), "01234567890");
    gateway_stop(gateway);
}

Test(refusals, limits_of_the_head)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'limits': { 'header_bytes': '2KiB', 'headers': 10,"
        "  'request_line': '512B' } }, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");

    expect_body(client_get(client, "a.test", text("/%0400d", 0)), "ok");
    expect_refusal(client_get(client, "a.test", text("/%0600d", 0)), 414, "uri_too_long");
    client_expect_last(client);

    client = client_open(gateway, "a.test");
    client_send(client, GET_A "X-A: %01800d\r\n\r\n", 0);
    expect_body(client_response(client), "ok");
    client_send(client, GET_A "X-A: %03000d\r\n\r\n", 0);
    expect_refusal(client_response(client), 431, "header_too_large");
    client_expect_last(client);

    client = client_open(gateway, "a.test");
    client_send(client, GET_A "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n");
    expect_body(client_response(client), "ok");
    client_send(client, GET_A "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\nG: 1\r\nH: 1\r\n"
                              "I: 1\r\nJ: 1\r\n\r\n");
    expect_refusal(client_response(client), 431, "header_too_large");
    client_expect_last(client);
    gateway_stop(gateway);
}

Test(refusals, limits_by_default)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open(gateway, "a.test");
    char *many = text("%s", "");

    expect_body(client_get(client, "a.test", text("/%015000d", 0)), "ok");
    client_send(client, GET_A "X-A: %030000d\r\n\r\n", 0);
    expect_body(client_response(client), "ok");
    for (int i = 0; i < 101; i++)
        many = text("%sX-%d: 1\r\n", many, i);
    client_send(client, GET_A "%s\r\n", many);
    expect_refusal(client_response(client), 431, "header_too_large");
    client = client_open(gateway, "a.test");
    client_send(client, GET_A "X-A: %040000d\r\n\r\n", 0);
    expect_refusal(client_response(client), 431, "header_too_large");
    gateway_stop(gateway);
}

Test(refusals, backend_that_refuses_connections)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", workplace_free_address());

    expect_refusal(fetch(gateway, "a.test", "/"), 502, "backend_connect");
    json_t *entry = log_entry(gateway, 0);
    expect_number(entry, "status", 502);
    expect_string(entry, "reason", "backend_connect");
    gateway_stop(gateway);
}

Test(refusals, backend_that_does_not_accept_in_time)
{
    char address[64];
    int listener = wire_listen("127.0.0.1:0", address, sizeof address);
    int queued[8];

    /* A queue of one that is full: the kernel answers no further SYN. */
    listen(listener, 0);
    for (int i = 0; i < 8; i++) {
        struct sockaddr_storage at;
        socklen_t length = sizeof at;
        getsockname(listener, (struct sockaddr *)&at, &length);
        queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(queued[i], (struct sockaddr *)&at, length);
    }
    struct gateway *gateway = gateway_start("{ @base, 'defaults': { 'timeout': { 'connect': "
                                            "'100ms' } }, 'routes': { 'a.test': '%s' } }",
                                            address);
    expect_refusal(fetch(gateway, "a.test", "/"), 504, "backend_connect_timeout");
    gateway_stop(gateway);
    for (int i = 0; i < 8; i++)
        close(queued[i]);
    close(listener);
}

static void close_at_once(struct origin_turn *turn)
{
    origin_read_body(turn);
    turn->is_closing = true;
}

static void reset_at_once(struct origin_turn *turn)
{
    origin_read_body(turn);
    turn->is_closing = true;
    wire_reset(turn->wire);
}

Test(refusals, backend_that_breaks_off)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    origin_set_script(origin, "/close", close_at_once, NULL);
    origin_set_script(origin, "/reset", reset_at_once, NULL);
    expect_refusal(fetch(gateway, "a.test", "/close"), 502, "backend_reset");
    expect_refusal(fetch(gateway, "a.test", "/reset"), 502, "backend_reset");
    struct client *client = client_open(gateway, "a.test");
    client_send(client, "POST /close HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi");
    expect_refusal(client_response(client), 502, "backend_reset");
    expect_from(client_get(client, "a.test", "/"), "one");
    gateway_stop(gateway);
}

Test(refusals, backend_that_talks_nonsense)
{
    static const char *const nonsense[] = {
        "hello\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");

    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        const char *path = text("/%zu", i);
        origin_set_last_reply(origin, path, nonsense[i]);
        struct message *response = fetch(gateway, "a.test", path);
        workplace_require(response->status == 502, "nonsense %zu: %s", i, response->head);
        expect_refusal(response, 502, "backend_bad_response");
    }
    char *endless = text("HTTP/1.1 200 OK\r\nX-A: %01000000d\r\n\r\n", 0);
    origin_set_last_reply(origin, "/endless", endless);
    expect_refusal(fetch(gateway, "a.test", "/endless"), 502, "backend_bad_response");
    gateway_stop(gateway);
}

Test(refusals, backend_that_never_answers)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'timeout': { 'first_byte': '100ms' } } } }",
        origin_address(origin));

    origin_set_script(origin, "/hang", origin_hang, NULL);
    expect_refusal(fetch(gateway, "a.test", "/hang"), 504, "backend_timeout");
    expect_string(log_entry(gateway, 0), "reason", "backend_timeout");
    gateway_stop(gateway);
}

static void half_then_hang(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    origin_hang(turn);
}

Test(refusals, backend_that_falls_silent)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "'defaults': { 'timeout': { 'idle': '100ms' } },");

    origin_set_script(origin, "/half", half_then_hang, NULL);
    struct message *response = fetch(gateway, "a.test", "/half");
    cr_assert_eq(response->status, 200);
    cr_assert(!response->is_complete);
    cr_assert_neq(response->end, WIRE_TIMED_OUT);
    expect_string(log_entry(gateway, 0), "reason", "backend_idle");
    gateway_stop(gateway);
}

Test(refusals, client_that_leaves_is_logged)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/hang", origin_hang, NULL);
    client_send(client, "GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    client_leave(client);
    json_t *entry = log_entry(gateway, 0);
    expect_number(entry, "status", 499);
    expect_string(entry, "reason", "client_closed");
    gateway_stop(gateway);
}
