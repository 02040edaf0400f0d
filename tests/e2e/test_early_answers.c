/* Answers that come before the request is whole: nothing is lost, nobody waits for what will not
 * come. */
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(early);

/* What the client owes may take as long as it likes: whoever waits for it hangs. */
static struct gateway *start_patient(struct origin *origin)
{
    return gateway_start("{ @base, 'defaults': { 'timeout': { 'body_idle': '1h', 'idle': '1h' } },"
                         " 'routes': { 'a.test': '%s' } }",
                         origin_address(origin));
}

static void answer_then_read(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
    origin_read_body(turn);
}

/* The body's end leaves together with its last bytes, after the response is long over. */
static void expect_whole_body(const char *framing, const char *first, const char *rest)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_patient(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", answer_then_read, NULL);
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n%s", framing, first);
    expect_body(client_response(client), "early");
    client_send(client, "%s", rest);
    expect_from(client_get(client, "a.test", "/"), "one");
    struct message *request = origin_finished_request(origin, 0);
    cr_assert(request->is_complete, "the rest of the body was lost");
    expect_body(request, "hello world");
    cr_assert_eq(origin_connections(origin), 1);
    gateway_stop(gateway);
}

Test(early, rest_of_a_body_reaches_a_backend_that_has_answered)
{
    expect_whole_body("Content-Length: 11", "hello", " world");
}

Test(early, rest_of_a_chunked_body_reaches_a_backend_that_has_answered)
{
    expect_whole_body("Transfer-Encoding: chunked", "5\r\nhello\r\n", "6\r\n world\r\n0\r\n\r\n");
}

static void refuse_and_close(struct origin_turn *turn)
{
    wire_print(turn->wire,
               "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    turn->is_closing = true;
}

static void refuse_without_reading(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    turn->is_closing = true; /* or the harness would wait for the body */
}

/* Nobody will read the rest: the client learns it from the head, before it has sent it. */
Test(early, answer_that_ends_an_upload_says_so)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_patient(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", refuse_and_close, NULL);
    client_send(client, "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\nhello");
    struct message *response = client_response(client);
    expect_status(response, 403);
    expect_closing(response);
    client_expect_last(client);
    gateway_stop(gateway);
}

/* A client that was refused keeps its body (RFC 9110 section 10.1.1); waiting for it is in vain. */
Test(early, refused_expectation_ends_at_once)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_patient(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/up", refuse_without_reading, NULL);
    client_send(client, "PUT /up HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n");
    struct message *response = client_response(client);
    expect_status(response, 403);
    expect_closing(response);
    client_expect_last(client);
    gateway_stop(gateway);
}
