/* What is purged is asked for anew: by URL, prefix, tag, all of it; by the command and by the
 * endpoint; while it is fetched, over reloads, with two workers. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/wire.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

E2E_SUITE(purge);

#define KEPT "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: 2\r\n"

static struct origin *origin;
static struct gateway *gateway;

static const char *routes(void)
{
    return workplace_path("routes.json");
}

static void start(int workers)
{
    origin = origin_start("one");
    route_file("routes.json",
               "{ @base, 'defaults': { 'cache': { 'size': '4MiB' } }, 'routes': { '*.test': '%s' }"
               "}",
               origin_address(origin));
    gateway = gateway_start_with(&(struct gateway_options){.routes = routes(), .workers = workers});
    origin_set_reply(origin, NULL, KEPT "\r\nok");
}

/* Whether the backend was asked for it. */
static bool is_fetched(const char *host, const char *path)
{
    int before = origin_requests(origin);
    struct message *response = fetch(gateway, host, path);

    cr_assert_eq(response->status, 200, "%s", response->head);
    return origin_requests(origin) > before;
}

static void keep(const char *host, const char *path)
{
    is_fetched(host, path);
    cr_assert_not(is_fetched(host, path), "%s%s", host, path);
}

static void expect_purged(struct message *answer, int count)
{
    cr_assert_eq(answer->status, 200, "%s%s", answer->head, answer->body);
    cr_assert_str_eq(answer->body, text("{\"purged\":%d}\n", count));
}

Test(purge, by_url)
{
    start(1);
    keep("a.test", "/x");
    keep("a.test", "/y");
    keep("b.test", "/x");
    expect_purged(ask_admin("POST", "/purge?url=https://A.test//x"), 1);
    cr_expect(is_fetched("a.test", "/x"));
    cr_expect_not(is_fetched("a.test", "/y"));
    cr_expect_not(is_fetched("b.test", "/x"));
    expect_purged(ask_admin("POST", "/purge?url=https://a.test/z"), 0);
    gateway_stop(gateway);
}

Test(purge, by_prefix)
{
    start(1);
    keep("a.test", "/static/1");
    keep("a.test", "/static/2?q");
    keep("a.test", "/other");
    keep("b.test", "/static/1");
    expect_purged(ask_admin("POST", "/purge?prefix=https://a.test/static/"), 2);
    cr_expect(is_fetched("a.test", "/static/1"));
    cr_expect_not(is_fetched("a.test", "/other"));
    cr_expect_not(is_fetched("b.test", "/static/1"));
    gateway_stop(gateway);
}

Test(purge, by_tag)
{
    start(1);
    origin_set_reply(origin, "/1", KEPT "Surrogate-Key: news front\r\n\r\nok");
    origin_set_reply(origin, "/2", KEPT "Cache-Tag: sports, front\r\n\r\nok");
    keep("a.test", "/1");
    keep("a.test", "/2");
    keep("a.test", "/3");
    expect_purged(ask_admin("POST", "/purge?tag=sports"), 1);
    cr_expect_not(is_fetched("a.test", "/1"));
    cr_expect(is_fetched("a.test", "/2"));
    expect_purged(ask_admin("POST", "/purge?tag=front"), 2);
    cr_expect(is_fetched("a.test", "/1"));
    cr_expect_not(is_fetched("a.test", "/3"));
    gateway_stop(gateway);
}

Test(purge, of_all_variants)
{
    struct client *client;

    start(1);
    origin_set_reply(origin, "/", KEPT "Vary: Accept-Language\r\n\r\nok");
    client = client_open(gateway, "a.test");
    for (int i = 0; i < 3; i++) {
        client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Language: l%d\r\n\r\n", i);
        client_response(client);
    }
    cr_assert_eq(origin_requests(origin), 3);
    expect_purged(ask_admin("POST", "/purge?url=https://a.test/"), 3);
    gateway_stop(gateway);
}

/* It is given to whoever asked for it before, and to nobody else. */
static void answer_at_gate(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened");
    wire_print(turn->wire, KEPT "\r\nok");
}

Test(purge, of_what_is_on_its_way)
{
    struct gate *gate;
    struct client *client;

    start(1);
    gate = gate_new();
    origin_set_script(origin, "/slow", answer_at_gate, gate);
    client = client_open(gateway, "a.test");
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);
    expect_purged(ask_admin("POST", "/purge?all"), 0);
    gate_open(gate);
    cr_assert_eq(client_response(client)->status, 200);
    cr_expect(is_fetched("a.test", "/slow"));
    cr_expect_not(is_fetched("a.test", "/slow"));
    gateway_stop(gateway);
}

/* --- of what is being validated ------------------------------------------------------------------
 */

static void validate_at_gate(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened");
    wire_print(turn->wire, message_field(turn->request, "if-none-match") != NULL
                               ? "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
                               : KEPT "\r\nok");
}

static void wait_until_one_waits(void)
{
    long long since = monitor_now_ms();
    json_t *zone;

    do {
        cr_assert(monitor_may_ask_again(since));
        zone =
            json_array_get(json_member(json_from(ask_admin("GET", "/status")->body), "cache"), 0);
    } while (json_integer_value(json_member(zone, "waiting")) == 0);
}

/* Who waited for it to be validated asks for a new one; a 304 for what is gone would be no answer.
 */
Test(purge, of_what_is_being_validated)
{
    struct gate *gate;
    struct client *first, *second;

    start(1);
    origin_set_reply(origin, "/v",
                     "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nETag: \"1\"\r\n"
                     "Content-Length: 2\r\n\r\nok");
    expect_body(fetch(gateway, "a.test", "/v"), "ok");
    gate = gate_new();
    origin_set_script(origin, "/v", validate_at_gate, gate);
    first = client_open(gateway, "a.test");
    client_send(first, "GET /v HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 2);
    second = client_open(gateway, "a.test");
    client_send(second, "GET /v HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_until_one_waits();
    expect_purged(ask_admin("POST", "/purge?url=https://a.test/v"), 1);
    origin_wait_requests(origin, 3);
    gate_open(gate);
    expect_body(client_response(first), "ok");
    expect_body(client_response(second), "ok");
    expect_field(origin_request(origin, 1), "if-none-match", "\"1\"");
    expect_no_field(origin_request(origin, 2), "if-none-match");
    gateway_stop(gateway);
}

/* A backend that says 304 whatever it is asked gets no more than one more question. */
Test(purge, a_304_that_is_of_nothing)
{
    start(1);
    origin_set_reply(origin, "/v",
                     "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nETag: \"1\"\r\n"
                     "Content-Length: 2\r\n\r\nok");
    expect_body(fetch(gateway, "a.test", "/v"), "ok");
    origin_set_reply(origin, "/v", "HTTP/1.1 304 Not Modified\r\nETag: \"2\"\r\n\r\n");
    cr_expect_eq(fetch(gateway, "a.test", "/v")->status, 304);
    cr_expect_eq(origin_requests(origin), 3);
    gateway_stop(gateway);
}

/* --- the command, and what is said wrongly -------------------------------------------------------
 */

Test(purge, command)
{
    struct command *command;

    start(1);
    keep("a.test", "/a?x=1&y=2%25");
    command = SALLYPORT("purge", "https://a.test/a?x=1&y=2%25", "-c", routes());
    command_expect(command, 0);
    cr_expect_str_eq(command->out, "purged: 1\n");
    keep("a.test", "/a");
    keep("a.test", "/b");
    command = SALLYPORT("purge", "--prefix", "https://a.test/", "--json", "-c", routes());
    command_expect(command, 0);
    cr_expect_geq(json_integer_value(json_member(json_from(command->out), "purged")), 2);
    command_expect(SALLYPORT("purge", "--all", "-c", routes()), 0);
    command_expect(SALLYPORT("purge", "--tag", "news", "-c", routes()), 0);
    command = SALLYPORT("purge", "--tag", "two words", "-c", routes());
    command_expect(command, 1);
    command_says(command, "is no tag");
    command = SALLYPORT("purge", "a.test", "-c", routes());
    command_expect(command, 1);
    command_says(command, "http:// or https://");
    command_expect(SALLYPORT("purge", "-c", routes()), 2);
    gateway_stop(gateway);
}

static struct message *post(const char *type, const char *body)
{
    struct client *client = client_open_plain(text("unix:%s", workplace_path("admin.sock")));

    client_send(client,
                "POST /purge HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                "Connection: close\r\n\r\n%s",
                type, strlen(body), body);
    return client_response(client);
}

/* Whoever is about to ask when all has been drained has a second for it: then there is nothing left
 * to be purged, nor somebody to wait for it. */
Test(purge, asked_for_at_the_very_end)
{
    char answer[1024] = "";
    size_t length = 0;
    ssize_t got;

    start(1);
    keep("a.test", "/x");
    struct client *client = client_open_plain(text("unix:%s", workplace_path("admin.sock")));
    client_send(client, "POST /purge?all HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    expect_purged(ask_admin("POST", "/purge?url=https://a.test/y"), 0); /* it has been accepted */
    gateway_signal(gateway, SIGTERM);
    gateway_wait_stderr(gateway, "drained", NULL);
    send(client->wire.fd, "\r\n", 2, MSG_NOSIGNAL);
    while ((got = recv(client->wire.fd, answer + length, sizeof(answer) - 1 - length, 0)) > 0)
        length += (size_t)got;
    /* Or it took longer than that second to get here. */
    cr_expect(length == 0 || strstr(answer, " 503 ") != NULL, "%s", answer);
    cr_assert_eq(gateway_wait_exit(gateway), 0);
    gateway_stop(gateway);
}

Test(purge, asked_for_in_json)
{
    start(1);
    keep("a.test", "/1");
    keep("a.test", "/2");
    keep("a.test", "/3");
    expect_purged(post("application/json",
                       "{\"url\": [\"https://a.test/1\", \"https://a.test/2\"], \"tag\": \"x\"}"),
                  2);
    cr_expect_not(is_fetched("a.test", "/3"));
    cr_expect_eq(post("application/json", "{\"urls\": 1}")->status, 400);
    cr_expect_eq(post("application/json", "{\"url\":")->status, 400);
    cr_expect_eq(ask_admin("POST", "/purge")->status, 400);
    cr_expect_eq(ask_admin("GET", "/purge?all")->status, 405);
    cr_expect_eq(ask_plain(gateway_address(gateway, "status", 0), "POST", "/purge?all")->status,
                 405);
    cr_expect_not(is_fetched("a.test", "/3"));
    gateway_stop(gateway);
}

/* --- one cache for all ---------------------------------------------------------------------------
 */

Test(purge, one_cache_for_all_workers_and_generations)
{
    json_t *zone;

    start(2);
    keep("a.test", "/x");
    for (int i = 0; i < 8; i++)
        cr_assert_not(is_fetched("a.test", "/x"));
    gateway_rewrite("{ @base, 'defaults': { 'cache': { 'size': '2MiB', 'max_object': '1MiB' } },"
                    "'routes': { '*.test': '%s' } }",
                    origin_address(origin));
    command_expect(SALLYPORT("reload", "-c", routes()), 0);
    cr_expect_not(is_fetched("a.test", "/x"));
    zone = json_array_get(json_member(json_from(ask_admin("GET", "/status")->body), "cache"), 0);
    expect_string(zone, "zone", "defaults");
    expect_number(zone, "size", 2 << 20);
    expect_number(zone, "objects", 1);
    cr_expect_not_null(strstr(ask_admin("GET", "/metrics")->body,
                              "\nsallyport_cache_objects{zone=\"defaults\"} 1\n"));
    expect_purged(ask_admin("POST", "/purge?all"), 1);
    cr_expect(is_fetched("a.test", "/x"));
    gateway_stop(gateway);
}

/* Without the key there is no cache any more, and its memory goes. */
Test(purge, a_cache_that_is_taken_out_is_gone)
{
    start(1);
    keep("a.test", "/x");
    gateway_rewrite("{ @base, 'routes': { '*.test': '%s' } }", origin_address(origin));
    command_expect(SALLYPORT("reload", "-c", routes()), 0);
    cr_expect(is_fetched("a.test", "/x"));
    gateway_rewrite("{ @base, 'defaults': { 'cache': { 'size': '4MiB' } },"
                    "'routes': { '*.test': '%s' } }",
                    origin_address(origin));
    command_expect(SALLYPORT("reload", "-c", routes()), 0);
    cr_expect(is_fetched("a.test", "/x"));
    gateway_stop(gateway);
}
