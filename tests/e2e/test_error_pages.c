/* `errors`: pages in the place of the gateway's own short answers, and of backends'. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(pages);

static void write_page(const char *name, const char *content)
{
    workplace_write(workplace_path("%s", name), content, strlen(content));
}

static struct message *ask(struct client *client, const char *method, const char *path,
                           const char *accept)
{
    client_send(client, "%s %s HTTP/1.1\r\nHost: a.test\r\nAccept: %s\r\n\r\n", method, path,
                accept);
    return client_response_to(client, method);
}

static void expect_page(const struct message *response, int status, const char *type,
                        const char *body)
{
    expect_status(response, status);
    expect_field(response, "content-type", type);
    cr_assert_eq(field_count(&response->fields, "content-type"), 1);
    expect_body(response, body);
}

#define HTML "text/html; charset=utf-8"

/* --- the gateway's own --------------------------------------------------------------------------
 */

#define OWN_ROUTES                                                                                \
    "'defaults': { 'errors': { '5xx': { 'file': 'sorry.html' }, '403': { 'file': 'no.txt' } } }," \
    "'routes': { 'a.test': { 'paths': { '/gone': 'unix:@tmp/nobody',"                             \
    "  '/denied': { 'respond': {}, 'allow': [] }, '/busy': { 'respond': { 'status': 503,"         \
    "  'body': 'mine' } }, '/plain': { 'to': 'unix:@tmp/nobody', 'errors': { '502': null } },"    \
    "  '/json': { 'to': 'unix:@tmp/nobody', 'errors': { '502': { 'file': 'sorry.json' } } }"      \
    "} } }"

static struct gateway *start_with_own(void)
{
    write_page("sorry.html", "<style>b{color:red}</style><b>{status}</b> {reason} {request_id}\n");
    write_page("sorry.json", "{\"sorry\":{status},\"for\":\"{reason}\"}\n");
    write_page("no.txt", "go away: {reason}\n");
    return gateway_start("{ @base, " OWN_ROUTES " }");
}

Test(pages, stand_for_verdicts)
{
    struct gateway *gateway = start_with_own();
    struct client *client = client_open(gateway, "a.test");
    struct message *response = ask(client, "GET", "/gone", "text/html,*/*");

    expect_page(response, 502, HTML,
                text("<style>b{color:red}</style><b>502</b> backend_connect %s\n",
                     message_field(response, "x-request-id")));
    expect_string(log_entry(gateway, 0), "reason", "backend_connect");
    expect_page(ask(client, "GET", "/denied", "*/*"), 403, "text/plain; charset=utf-8",
                "go away: denied\n");
    /* an answer of the route's own, a status that has no page any more, no route at all */
    response = ask(client, "GET", "/busy", "*/*");
    expect_status(response, 503);
    expect_body(response, "mine");
    expect_refusal(ask(client, "GET", "/plain", "*/*"), 502, "backend_connect");
    expect_refusal(ask(client, "GET", "/nowhere", "*/*"), 404, "no_route");
    struct message *metrics = ask_admin("GET", "/metrics");
    cr_assert_not_null(strstr(metrics->body, "policy_decisions_total{policy=\"errors\",route="
                                             "\"a.test/gone\",outcome=\"applied\"} 1\n"));
    client_close(client);
    gateway_stop(gateway);
}

Test(pages, who_wants_json_gets_json)
{
    struct gateway *gateway = start_with_own();
    struct client *client = client_open(gateway, "a.test");
    struct message *response = ask(client, "GET", "/gone", "application/json");

    expect_status(response, 502);
    expect_field(response, "content-type", "application/json");
    expect_string(json_from(response->body), "reason", "backend_connect");
    expect_page(ask(client, "GET", "/json", "application/json"), 502, "application/json",
                "{\"sorry\":502,\"for\":\"backend_connect\"}\n");
    expect_page(ask(client, "GET", "/json", "text/html"), 502, "application/json",
                "{\"sorry\":502,\"for\":\"backend_connect\"}\n");
    client_close(client);
    gateway_stop(gateway);
}

Test(pages, have_no_body_for_head)
{
    struct gateway *gateway = start_with_own();
    struct client *client = client_open(gateway, "a.test");
    struct message *response = ask(client, "HEAD", "/denied", "*/*");

    expect_status(response, 403);
    expect_field(response, "content-length", text("%zu", strlen("go away: denied\n")));
    cr_assert_eq(response->body_bytes, 0);
    expect_status(ask(client, "GET", "/denied", "*/*"), 403);
    client_close(client);
    gateway_stop(gateway);
}

/* As large as may be, read by somebody who takes little at a time; and an empty one. */
Test(pages, of_every_size)
{
    enum { SIZE = 1024 * 1024 };
    char *large = workplace_own(malloc(SIZE + 1), free);

    for (int i = 0; i < SIZE; i++)
        large[i] = (char)('a' + i % 26);
    memcpy(large + SIZE / 2, "{status}", 8);
    large[SIZE] = '\0';
    write_page("large.html", large);
    write_page("empty.html", "");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'allow': [], 'paths': { "
        "'/large': { 'respond': {}, 'errors': { '4xx': { 'file': 'large.html' } } },"
        "'/empty': { 'respond': {}, 'errors': { '4xx': { 'file': 'empty.html' } } } } } } }");
    struct client *client =
        client_open_with(gateway_https(gateway),
                         &(struct client_options){.sni = "a.test", .has_small_window = true});

    struct message *response = client_get(client, "a.test", "/large");
    expect_status(response, 403);
    cr_assert_eq(response->body_bytes, SIZE - 5);
    cr_assert(strncmp(response->body + SIZE / 2 - 4, large + SIZE / 2 - 4, 4) == 0);
    cr_assert(strncmp(response->body + SIZE / 2, "403", 3) == 0);
    cr_assert(strcmp(response->body + SIZE / 2 + 3, large + SIZE / 2 + 8) == 0);
    expect_page(client_get(client, "a.test", "/empty"), 403, HTML, "");
    client_close(client);
    gateway_stop(gateway);
}

/* --- backends' ----------------------------------------------------------------------------------
 */

#define BACKEND_ROUTES                                                                    \
    "'defaults': { 'errors': { '5xx': { 'file': 'sorry.html' }, 'of_backends': true } }," \
    "'backends': { 'b': ['%s'] }, 'routes': { 'a.test': { 'paths': { '/': 'b',"           \
    "            '/theirs': { 'to': 'b', 'errors': { 'of_backends': false } } } } }"

static struct gateway *start_with(struct origin *origin)
{
    write_page("sorry.html", "sorry: {status} {reason}\n");
    return gateway_start("{ @base, " BACKEND_ROUTES " }", origin_address(origin));
}

#define BUSY                                                                                   \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Language: de\r\n" \
    "ETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nRetry-After: 7\r\n"        \
    "Set-Cookie: a=1\r\nX-Own: yes\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"

Test(pages, stand_for_backends_answers_where_that_is_wished)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/busy", BUSY "Content-Length: 6\r\n\r\ntheirs");
    origin_set_reply(origin, "/theirs", BUSY "Content-Length: 6\r\n\r\ntheirs");
    origin_set_reply(origin, "/chunked",
                     BUSY "Transfer-Encoding: chunked\r\n\r\n3\r\nthe\r\n0\r\n\r\n");
    origin_set_reply(origin, "/head", BUSY "Content-Length: 6\r\n\r\n");
    origin_set_reply(origin, "/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    struct message *response = ask(client, "GET", "/busy", "*/*");
    expect_page(response, 503, HTML, "sorry: 503 Service Unavailable\n");
    expect_field(response, "retry-after", "7");
    expect_field(response, "set-cookie", "a=1");
    expect_field(response, "x-own", "yes");
    expect_no_field(response, "content-language");
    expect_no_field(response, "etag");
    expect_no_field(response, "last-modified");
    json_t *entry = log_entry(gateway, 0);
    expect_null(entry, "reason");
    expect_number(entry, "status", 503);
    expect_string(entry, "server", origin_address(origin));
    expect_page(ask(client, "GET", "/chunked", "*/*"), 503, HTML,
                "sorry: 503 Service Unavailable\n");
    response = ask(client, "HEAD", "/head", "*/*");
    expect_status(response, 503);
    expect_field(response, "content-type", HTML);
    /* who wants JSON may have got it from the backend */
    expect_body(ask(client, "GET", "/busy", "application/json"), "theirs");
    response = ask(client, "GET", "/theirs", "*/*");
    expect_page(response, 503, "text/plain", "theirs");
    expect_field(response, "etag", "\"1\"");
    expect_body(ask(client, "GET", "/404", "*/*"), "none");
    expect_from(ask(client, "GET", "/fine", "*/*"), "one");
    cr_assert_eq(origin_connections(origin), 1, "%d", origin_connections(origin));
    client_close(client);
    gateway_stop(gateway);
}

/* More than is read to keep a connection, or nothing at all yet. */
Test(pages, a_backend_that_goes_on_is_left)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/never", BUSY "Content-Length: 6\r\n\r\n");
    origin_set_reply(origin, "/much", BUSY "Content-Length: 10000000\r\n\r\nmuch");
    expect_page(ask(client, "GET", "/never", "*/*"), 503, HTML, "sorry: 503 Service Unavailable\n");
    expect_page(ask(client, "GET", "/much", "*/*"), 503, HTML, "sorry: 503 Service Unavailable\n");
    origin_wait_open_connections(origin, 0);
    expect_from(ask(client, "GET", "/fine", "*/*"), "one");
    client_close(client);
    gateway_stop(gateway);
}

static void answer_early(struct origin_turn *turn)
{
    wire_print(turn->wire, "%s", BUSY "Content-Length: 6\r\n\r\ntheirs");
    turn->is_closing = true; /* or the harness would wait for the body */
}

/* The rest of the request is nobody's. */
Test(pages, stand_for_an_early_answer_too)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin);
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/busy", answer_early, NULL);
    client_send(client,
                "POST /busy HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nhello");
    struct message *response = client_response_to(client, "POST");
    expect_page(response, 503, HTML, "sorry: 503 Service Unavailable\n");
    expect_closing(response);
    client_expect_last(client);
    expect_from(fetch(gateway, "a.test", "/fine"), "one");
    gateway_stop(gateway);
}

/* --- files --------------------------------------------------------------------------------------
 */

/* By itself: asked again until it has come to that. */
static void await_page(struct client *client, const char *path, const char *body)
{
    long long start = monitor_now_ms();

    while (strcmp(ask(client, "GET", path, "*/*")->body, body) != 0)
        workplace_require(monitor_may_ask_again(start), "the page stays as it was");
}

Test(pages, follow_their_files_by_themselves)
{
    struct gateway *gateway = start_with_own();
    struct client *client = client_open(gateway, "a.test");

    expect_body(ask(client, "GET", "/denied", "*/*"), "go away: denied\n");
    write_page("no.txt", "{status}, for good\n");
    await_page(client, "/denied", "403, for good\n");
    client_close(client);
    gateway_stop(gateway);
}

/* It would show only once something goes wrong. */
Test(pages, that_are_missing_are_mistakes)
{
    struct gateway *gateway = start_with_own();
    static const char routes[] = "{ @base, 'routes': { 'a.test': { 'respond': {}, 'errors': {\n"
                                 "    '502': { 'file': 'none.html' } } } } }";

    struct command *command = SALLYPORT("check", "-c", route_file("other.json", "%s", routes));
    command_expect(command, 3);
    command_says(command, "other.json:2:");
    command_says(command, "routes[\"a.test\"].errors[\"502\"].file");
    command_says(command, "none.html: cannot be read: No such file or directory");
    gateway_rewrite("%s", routes);
    expect_status(ask_admin("POST", "/reload"), 422);
    struct client *client = client_open(gateway, "a.test");
    expect_body(ask(client, "GET", "/denied", "*/*"), "go away: denied\n");
    client_close(client);
    gateway_stop(gateway);
}

Test(pages, follow_their_files_and_outlive_them)
{
    struct gateway *gateway = start_with_own();
    struct client *client = client_open(gateway, "a.test");

    write_page("no.txt", "changed\n");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_body(ask(client, "GET", "/denied", "*/*"), "changed\n");
    cr_assert_eq(unlink(workplace_path("no.txt")), 0);
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_body(ask(client, "GET", "/denied", "*/*"), "changed\n");
    gateway_wait_stderr(gateway, "source_broken", NULL);
    client_close(client);
    gateway_stop(gateway);
}
