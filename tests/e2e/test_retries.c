/* What is tried again because the operator says so, what never is, and how often at most. Backends
 * count what they get. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(retries);

static const char REFUSING[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nX-Why: tired\r\n\r\ngone";

/* A server that fails in some way, and a good one, in turn. */
struct pair {
    struct origin *bad, *good;
    struct gateway *gateway;
    struct client *client;
};

static struct pair pair_start(const char *settings)
{
    struct pair pair = {.bad = origin_start("bad"), .good = origin_start("good")};

    pair.gateway =
        gateway_start("{ @base, 'defaults': { %s }, 'routes': { 'a.test': ['%s', '%s'] } }",
                      settings, origin_address(pair.bad), origin_address(pair.good));
    pair.client = client_open(pair.gateway, "a.test");
    return pair;
}

static void pair_stop(struct pair *pair)
{
    client_close(pair->client);
    gateway_stop(pair->gateway);
}

/* Every request is answered by the good one, and the log knows which of them the other one had
 * first. */
static void expect_good_answers(struct pair *pair, const char *request, int count)
{
    int attempts = 0;

    for (int i = 0; i < count; i++) {
        client_send(pair->client, "%s", request);
        expect_from(client_response(pair->client), "good");
        expect_string(log_entry(pair->gateway, i), "server", origin_address(pair->good));
        attempts += (int)json_integer_value(json_member(log_entry(pair->gateway, i), "attempts"));
    }
    cr_assert_gt(origin_requests(pair->bad), 0);
    cr_assert_eq(origin_requests(pair->good), count);
    cr_assert_eq(attempts, count + origin_requests(pair->bad));
}

static const char GET[] = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

Test(retries, reset_is_tried_again_where_it_is_wished)
{
    struct pair pair = pair_start("'retry': { 'on': ['reset'] }");

    origin_set_last_reply(pair.bad, "/", "");
    expect_good_answers(&pair, GET, 6);
    pair_stop(&pair);
}

/* Though the one that failed should get nine of ten requests. */
Test(retries, next_try_goes_to_another_server)
{
    struct origin *bad = origin_start("bad"), *good = origin_start("good");
    struct gateway *gateway = gateway_start(
        "{ @base, 'backends': { 'b': { 'servers': [{ 'to': '%s', 'weight': 9 }, '%s'],"
        "  'retry': { 'on': ['reset'] } } }, 'routes': { 'a.test': 'b' } }",
        origin_address(bad), origin_address(good));
    struct client *client = client_open(gateway, "a.test");

    origin_set_last_reply(bad, "/", "");
    for (int i = 0; i < 10; i++)
        expect_from(client_get(client, "a.test", "/"), "good");
    client_close(client);
    gateway_stop(gateway);
}

Test(retries, silence_is_tried_again_where_it_is_wished)
{
    struct pair pair =
        pair_start("'timeout': { 'first_byte': '200ms' }, 'retry': { 'on': ['timeout'] }");

    origin_set_script(pair.bad, "/", origin_hang, NULL);
    expect_good_answers(&pair, GET, 4);
    pair_stop(&pair);
}

Test(retries, one_try_has_a_time_of_its_own)
{
    struct pair pair = pair_start("'retry': { 'timeout': '200ms', 'on': [] }");

    origin_set_script(pair.bad, "/", origin_hang, NULL);
    expect_good_answers(&pair, GET, 4);
    pair_stop(&pair);
}

/* And the answer that nobody gets costs no connection. */
Test(retries, status_is_tried_again_where_it_is_wished)
{
    static const char *const lists[] = {"'5xx'", "'stale', 503"};

    for (int i = 0; i < 2; i++) {
        struct pair pair = pair_start(text("'retry': { 'on': [%s] }", lists[i]));
        origin_set_reply(pair.bad, "/", REFUSING);
        expect_good_answers(&pair, GET, 6);
        cr_assert_eq(origin_connections(pair.bad), 1);
        pair_stop(&pair);
    }
}

Test(retries, status_that_is_not_named_is_the_answer)
{
    static const char *const lists[] = {"'on': ['connect', 'stale', 'reset', 502]",
                                        "'attempts': 2"};

    for (int i = 0; i < 2; i++) {
        struct pair pair = pair_start(text("'retry': { %s }", lists[i]));
        origin_set_reply(pair.bad, "/", REFUSING);
        for (int n = 0; n < 4; n++)
            client_get(pair.client, "a.test", "/");
        cr_assert_eq(origin_requests(pair.bad), 2);
        cr_assert_eq(origin_requests(pair.good), 2);
        pair_stop(&pair);
    }
}

/* The last try's answer goes to the client as it is, whatever its status. */
Test(retries, last_status_is_passed_on)
{
    struct pair pair = pair_start("'retry': { 'attempts': 3, 'on': ['5xx'] }");

    origin_set_reply(pair.bad, "/", REFUSING);
    origin_set_reply(pair.good, "/", REFUSING);
    struct message *response = client_get(pair.client, "a.test", "/");
    cr_assert_eq(response->status, 503);
    expect_field(response, "X-Why", "tired");
    expect_body(response, "gone");
    cr_assert_eq(origin_requests(pair.bad) + origin_requests(pair.good), 3);
    expect_number(log_entry(pair.gateway, 0), "attempts", 3);
    pair_stop(&pair);
}

Test(retries, last_failure_is_told)
{
    struct pair pair = pair_start("'retry': { 'attempts': 3, 'on': ['reset'] }");

    origin_set_last_reply(pair.bad, "/", "");
    origin_set_last_reply(pair.good, "/", "");
    expect_refusal(client_get(pair.client, "a.test", "/"), 502, "backend_reset");
    cr_assert_eq(origin_requests(pair.bad) + origin_requests(pair.good), 3);
    expect_number(log_entry(pair.gateway, 0), "attempts", 3);
    pair_stop(&pair);
}

/* --- what never is -----------------------------------------------------------------------------
 */

#define EVERYTHING                                               \
    "'retry': { 'attempts': 5, 'timeout': '300ms', 'budget': 0," \
    "  'on': ['connect', 'stale', 'reset', 'timeout', '5xx'] }"

/* Asks a backend of two that both fail; the one request that came is all there was. */
static void expect_one_try(const char *method, const char *rest, const char *way, int status)
{
    struct pair pair = pair_start(EVERYTHING);

    for (int i = 0; i < 2; i++) {
        struct origin *origin = i == 0 ? pair.bad : pair.good;
        origin_set_last_reply(origin, "/reset", "");
        origin_set_reply(origin, "/status", REFUSING);
        origin_set_script(origin, "/silence", origin_hang, NULL);
    }
    client_send(pair.client, "%s %s HTTP/1.1\r\nHost: a.test\r\n%s", method, way, rest);
    struct message *response = client_response(pair.client);
    workplace_require(response->status == status, "%s %s\n%s", method, way, response->head);
    cr_assert_eq(origin_requests(pair.bad) + origin_requests(pair.good), 1);
    expect_number(log_entry(pair.gateway, 0), "attempts", 1);
    pair_stop(&pair);
}

static void expect_one_try_whatever_fails(const char *method, const char *rest)
{
    expect_one_try(method, rest, "/reset", 502);
    expect_one_try(method, rest, "/status", 503);
    expect_one_try(method, rest, "/silence", 504);
}

Test(retries, post_is_never_repeated)
{
    expect_one_try_whatever_fails("POST", "Content-Length: 0\r\n\r\n");
}

Test(retries, body_that_has_left_is_not_sent_again)
{
    expect_one_try_whatever_fails("PUT", "Content-Length: 5\r\n\r\nhello");
}

Test(retries, empty_put_is_repeated)
{
    struct pair pair = pair_start(EVERYTHING);

    origin_set_last_reply(pair.bad, "/", "");
    expect_good_answers(&pair, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", 4);
    pair_stop(&pair);
}

#define EARLY_HINT_THEN_REFUSAL                      \
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

/* A head that is not whole, a body that is not, an early hint: the backend has spoken. */
Test(retries, answer_that_has_begun_is_final)
{
    static const struct {
        const char *bytes;
        int status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Le", 502},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 200},
        {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 502},
        {EARLY_HINT_THEN_REFUSAL, 503},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair pair = pair_start(EVERYTHING);
        origin_set_last_reply(pair.bad, "/", rows[i].bytes);
        origin_set_last_reply(pair.good, "/", rows[i].bytes);
        client_send(pair.client, "%s", GET);
        struct message *response = client_response(pair.client);
        if (response->status == 103)
            response = client_response(pair.client);
        cr_assert_eq(response->status, rows[i].status);
        cr_assert_eq(response->is_complete, rows[i].status != 200);
        cr_assert_eq(origin_requests(pair.bad) + origin_requests(pair.good), 1);
        pair_stop(&pair);
    }
}

/* --- what is turned off ------------------------------------------------------------------------
 */

Test(retries, connect_can_be_taken_off_the_list)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'retry': { 'attempts': 5, 'on': ['stale'] } },"
                      "  'routes': { 'a.test': ['%s', '%s'] } }",
                      workplace_free_address(), origin_address(origin));

    expect_refusal(fetch(gateway, "a.test", "/"), 502, "backend_connect");
    expect_number(log_entry(gateway, 0), "attempts", 1);
    expect_from(fetch(gateway, "a.test", "/"), "one");
    gateway_stop(gateway);
}

static void answer_only_once(struct origin_turn *turn)
{
    if (turn->request->place == 0)
        origin_tell(turn);
    else
        turn->is_closing = true;
}

/* Not even by "reset", which is about fresh connections. */
Test(retries, stale_can_be_taken_off_the_list)
{
    struct pair pair = pair_start("'retry': { 'attempts': 5, 'on': ['connect', 'reset'] }");

    origin_set_script(pair.bad, NULL, answer_only_once, NULL);
    origin_set_script(pair.good, NULL, answer_only_once, NULL);
    expect_status(client_get(pair.client, "a.test", "/"), 200);
    expect_status(client_get(pair.client, "a.test", "/"), 200);
    expect_refusal(client_get(pair.client, "a.test", "/"), 502, "backend_reset");
    expect_number(log_entry(pair.gateway, 2), "attempts", 1);
    pair_stop(&pair);
}

/* --- the budget --------------------------------------------------------------------------------
 */

enum { STORM = 1000, FLOOR = 100 /* in ten seconds, of the one worker */ };

static long long counter(const char *name)
{
    char *page = ask_admin("GET", "/metrics")->body;
    char *line = strstr(page, text("\nsallyport_upstream_%s_total ", name));

    workplace_require(line != NULL, "no %s in\n%s", name, page);
    return atoll(strchr(line, ' '));
}

static void ask_in_vain(struct pair *pair, int count)
{
    for (int i = 0; i < count; i++)
        cr_assert_eq(client_get(pair->client, "a.test", "/")->status, 503);
}

static struct pair pair_start_failing(const char *settings)
{
    struct pair pair = pair_start(settings);

    origin_count_only(pair.bad);
    origin_count_only(pair.good);
    origin_set_reply(pair.bad, "/", REFUSING);
    origin_set_reply(pair.good, "/", REFUSING);
    return pair;
}

Test(retries, budget_spares_a_backend_that_fails)
{
    long long start = monitor_now_ms();
    struct pair pair = pair_start_failing("'retry': { 'attempts': 3, 'on': ['5xx'] }");

    ask_in_vain(&pair, STORM);
    int more = origin_requests(pair.bad) + origin_requests(pair.good) - STORM;
    /* However slow this machine is: each ten seconds have a floor of their own. */
    long long most = STORM / 5 + FLOOR * (1 + (monitor_now_ms() - start) / 10000);
    workplace_require(more >= FLOOR && more <= most, "%d tries more than requests, not %lld", more,
                      most);
    cr_assert_eq(counter("retries"), more);
    cr_assert_gt(counter("retries_refused"), 0);
    pair_stop(&pair);
}

Test(retries, budget_can_be_turned_off)
{
    struct pair pair = pair_start_failing("'retry': { 'attempts': 3, 'on': ['5xx'], 'budget': 0 }");

    ask_in_vain(&pair, 2 * FLOOR);
    cr_assert_eq(origin_requests(pair.bad) + origin_requests(pair.good), 3 * 2 * FLOOR);
    cr_assert_eq(counter("retries_refused"), 0);
    pair_stop(&pair);
}

/* Nobody has looked at what met a closed connection: that is tried again in any case. */
Test(retries, stale_connections_cost_no_budget)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'retry': { 'budget': '1%%' } }, 'routes': { 'a.test': '%s' } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_count_only(origin);
    origin_set_script(origin, NULL, answer_only_once, NULL);
    for (int i = 0; i < 3 * FLOOR; i++)
        expect_status(client_get(client, "a.test", "/"), 200);
    client_close(client);
    cr_assert_gt(origin_requests(origin), 5 * FLOOR);
    cr_assert_eq(counter("retries_refused"), 0);
    gateway_stop(gateway);
}
