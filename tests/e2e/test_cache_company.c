/* `cache` beside everything else that a route may say: who may pass, what is edited, compressed,
 * limited, replaced, tried again; and what is told of it. */
#include "harness/cache_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/protocol.h"
#include "harness/workplace.h"
#include "support/decoder.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(cache_company);

#define CACHE "'cache': { 'size': '16MiB', 'stale_if_error': '1h' }"
#define OK    "Content-Length: 2\r\n\r\nok"

static struct origin *origin;
static struct gateway *gateway;
static struct client *client;

static void start(const char *members)
{
    origin = origin_start("one");
    gateway = cache_scene_start(origin, 2, members);
    client = cache_note(client_open(gateway, "a.test"));
}

static struct message *ask(const char *method, const char *path, const char *fields)
{
    client_send(client, "%s %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", method, path, fields);
    return client_response_to(client, method);
}

static struct message *get(const char *path)
{
    return ask("GET", path, "");
}

/* --- what each client gets of its own ----------------------------------------------------------
 */

Test(cache_company, edits_are_made_anew_for_each)
{
    start(CACHE ", 'headers': { 'response': { 'set': { 'X-Id': '{request_id}' },"
                "                             'remove': ['X-Inner'] } }");
    origin_set_reply(origin, "/", KEPT "X-Inner: 1\r\n" OK);
    const char *ids[3];
    for (int i = 0; i < 3; i++) {
        struct message *response = get("/");
        expect_body(response, "ok");
        expect_no_field(response, "x-inner");
        ids[i] = message_field(response, "x-id");
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(ids[i], ids[k]);
    }
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

/* The gateway's own cookie is the first client's alone. */
Test(cache_company, sticky_cookie_is_not_kept)
{
    origin = origin_start("one");
    gateway = gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'],"
                            "    'sticky': { 'cookie': 'GW', 'ttl': '1h' } } },"
                            "  'routes': { 'a.test': { 'to': 'b', " CACHE " } } }",
                            origin_address(origin), workplace_free_address());
    client = cache_note(client_open(gateway, "a.test"));
    origin_set_reply(origin, "/", KEPT OK);
    cr_assert_not_null(strstr(message_field(get("/"), "set-cookie"), "GW="));
    for (int i = 0; i < 3; i++) {
        struct message *response = get("/");
        cache_expect_status(response, "hit");
        expect_no_field(response, "set-cookie");
    }
    cache_scene_stop(gateway);
}

/* --- who may pass -------------------------------------------------------------------------------
 */

static void tell_user(struct origin_turn *turn)
{
    const char *user = message_field(turn->request, "x-user");

    wire_print(turn->wire, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n%s",
               (const char *)turn->arg, strlen(user), user);
}

/* Whoever names herself in the cookie is let in as that. */
static void let_in(struct origin_turn *turn)
{
    const char *cookie = message_field(turn->request, "cookie");

    if (cookie == NULL)
        wire_print(turn->wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    else
        wire_print(turn->wire, "HTTP/1.1 200 OK\r\nX-User: %s\r\nContent-Length: 0\r\n\r\n",
                   cookie);
}

static void start_with_users(const char *head)
{
    struct origin *service = origin_start("service");

    origin_set_script(service, NULL, let_in, NULL);
    start(text(CACHE ", 'auth': { 'forward': { 'to': 'http://%s/', 'copy': ['X-User'] } }",
               origin_address(service)));
    origin_set_script(origin, NULL, tell_user, (void *)head);
}

static void expect_users(int asked)
{
    for (int i = 0; i < 2; i++) {
        expect_body(ask("GET", "/", "Cookie: ann\r\n"), "ann");
        expect_body(ask("GET", "/", "Cookie: bob\r\nX-User: ann\r\n"), "bob");
        expect_status(get("/"), 403);
    }
    cr_assert_eq(origin_requests(origin), asked);
    cache_scene_stop(gateway);
}

/* The backend says nothing of its being for others. */
Test(cache_company, what_is_behind_auth_is_not_shared)
{
    start_with_users("Cache-Control: max-age=600\r\n");
    expect_users(4);
}

/* It does, and by what it differs. */
Test(cache_company, what_varies_by_the_user_is_kept_for_each)
{
    start_with_users("Cache-Control: public, max-age=600\r\nVary: X-User\r\n");
    expect_users(2);
}

/* --- other answers ------------------------------------------------------------------------------
 */

Test(cache_company, pages_for_errors_of_backends_that_are_kept)
{
    static const char page[] = "sorry: {status}\n";

    workplace_write(workplace_path("sorry.txt"), page, strlen(page));
    start(CACHE ", 'errors': { '404': { 'file': 'sorry.txt' }, 'of_backends': true }");
    origin_set_reply(origin, "/",
                     "HTTP/1.1 404 Not Found\r\nCache-Control: max-age=600\r\n"
                     "Content-Length: 3\r\n\r\nbad");
    for (int i = 0; i < 3; i++) {
        struct message *response = get("/");
        expect_status(response, 404);
        expect_body(response, "sorry: 404\n");
    }
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

#define TEXT "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=600\r\n"

static const char *long_text(void)
{
    static char bytes[4001];

    for (int i = 0; i < 4000; i++)
        bytes[i] = (char)('a' + i * i % 23);
    return bytes;
}

static void expect_coded(const struct message *response, const char *coding)
{
    struct decoder *decoder = workplace_own(decoder_new(coding), decoder_free);
    size_t length;

    cr_assert(response->is_complete);
    expect_field(response, "content-encoding", coding);
    cr_assert(decoder_add(decoder, response->body, response->body_stored));
    cr_assert(decoder_is_whole(decoder));
    cr_assert_str_eq(decoder_content(decoder, &length), long_text());
}

/* Half of it is there, and each reads along in its own coding. */
static void compressed_on_its_way(const char *first, const char *rest)
{
    static const char *const codings[] = {"gzip", "br", "zstd"};
    struct cache_parts parts = {.first = first, .gate = gate_new(), .rest = rest};
    struct client *coded[3], *plain;

    start(CACHE ", 'compress': ['zstd', 'br', 'gzip']");
    cache_parts_set(origin, "/", &parts);
    for (int i = 0; i < 3; i++)
        coded[i] = cache_ask(gateway, "/", text("Accept-Encoding: %s\r\n", codings[i]));
    plain = cache_ask(gateway, "/", "");
    cache_await_in_flight(4);
    gate_open(parts.gate);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            expect_coded(client_response(coded[i]), codings[i]);
            client_send(coded[i], "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: %s\r\n\r\n",
                        codings[i]);
        }
        expect_body(client_response(plain), long_text());
        client_send(plain, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    struct message *part = ask("GET", "/", "Range: bytes=1000-1009\r\nAccept-Encoding: br\r\n");
    expect_status(part, 206);
    expect_no_field(part, "content-encoding");
    expect_body(part, text("%.10s", long_text() + 1000));
    struct message *head = ask("HEAD", "/", "");
    expect_status(head, 200);
    expect_field(head, "content-length", "4000");
    expect_field(head, "vary", "Accept-Encoding");
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

Test(cache_company, compressed_for_each_who_reads_along)
{
    compressed_on_its_way(text(TEXT "Content-Length: 4000\r\n\r\n%.2000s", long_text()),
                          long_text() + 2000);
}

Test(cache_company, compressed_for_each_once_its_length_is_known)
{
    compressed_on_its_way(
        text(TEXT "Transfer-Encoding: chunked\r\n\r\n7d0\r\n%.2000s\r\n", long_text()),
        text("7d0\r\n%s\r\n0\r\n\r\n", long_text() + 2000));
}

/* --- how it comes, and to whom it goes ---------------------------------------------------------
 */

Test(cache_company, trailers_end_with_their_response)
{
    start(CACHE);
    origin_set_reply(origin, "/",
                     KEPT "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                          "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        struct message *response = get("/");
        expect_body(response, "ok");
        expect_no_field(response, "x-sum");
    }
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

static void ask_by_1_0(const char *expected_status)
{
    client = client_open(gateway, "a.test");
    client_send(client, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    struct message *response = client_response(client);
    expect_body(response, "ok");
    cache_expect_status(response, expected_status);
    expect_no_field(response, "transfer-encoding");
    client_expect_end(client);
}

Test(cache_company, clients_of_http_1_0)
{
    needs_http1("it is about HTTP/1.0");
    start(CACHE);
    origin_set_reply(origin, "/", KEPT "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    ask_by_1_0("stored");
    ask_by_1_0("hit");
    cr_assert_eq(origin_requests(origin), 1);
    cache_scene_stop(gateway);
}

/* A backend that closes what is idle, and one that ends with the connection. */
Test(cache_company, ends_with_the_connection)
{
    start(CACHE);
    origin_set_last_reply(origin, NULL, KEPT "\r\nok");
    for (int i = 0; i < 4; i++) {
        expect_body(get(text("/%d", i)), "ok");
        cache_expect_status(get(text("/%d", i)), "hit");
    }
    cr_assert_eq(origin_requests(origin), 4);
    cache_scene_stop(gateway);
}

/* --- tries --------------------------------------------------------------------------------------
 */

static void answer_every_other(struct origin_turn *turn)
{
    if (turn->request->place > 0)
        turn->is_closing = true; /* its second request finds the end */
    else
        wire_print(turn->wire, KEPT OK);
}

Test(cache_company, tried_again_and_kept)
{
    start(CACHE);
    origin_set_script(origin, NULL, answer_every_other, NULL);
    for (int i = 0; i < 6; i++) {
        expect_body(get(text("/%d", i)), "ok");
        cache_expect_status(get(text("/%d", i)), "hit");
    }
    cr_assert_gt(origin_requests(origin), 6);
    cache_scene_stop(gateway);
}

static void fail_once(struct origin_turn *turn)
{
    int *count = turn->arg;

    monitor_lock();
    bool is_first = (*count)++ == 0;
    monitor_unlock();
    wire_print(turn->wire, "%s",
               is_first ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" : KEPT OK);
}

Test(cache_company, tried_again_after_a_status)
{
    int count = 0;

    start(CACHE ", 'retry': { 'on': ['503'], 'budget': '100%' }");
    origin_set_script(origin, "/", fail_once, &count);
    expect_body(get("/"), "ok");
    cache_expect_status(get("/"), "hit");
    cr_assert_eq(origin_requests(origin), 2);
    cache_scene_stop(gateway);
}

/* The first try hangs; the second one's answer is kept, and the first is of no account. */
static void hang_once(struct origin_turn *turn)
{
    int *count = turn->arg;

    monitor_lock();
    bool is_first = (*count)++ == 0;
    monitor_unlock();
    if (is_first)
        origin_hang(turn);
    else
        wire_print(turn->wire, KEPT OK);
}

Test(cache_company, asked_twice_at_once_and_kept_once)
{
    enum { WARM_UP = 120 }; /* its times are known then */
    struct origin *other = origin_start("two");
    int count = 0;

    origin = origin_start("one");
    gateway = gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'],"
                            "    'hedge': 'p95' } },"
                            "  'routes': { 'a.test': { 'to': 'b', " CACHE " } } }",
                            origin_address(origin), origin_address(other));
    client = cache_note(client_open(gateway, "a.test"));
    for (int i = 0; i < WARM_UP; i++)
        expect_status(get("/"), 200);
    origin_set_script(origin, "/kept", hang_once, &count);
    origin_set_script(other, "/kept", hang_once, &count);
    struct client *waiter = cache_ask(gateway, "/kept", "");
    expect_body(get("/kept"), "ok");
    expect_body(client_response(waiter), "ok");
    cache_expect_status(get("/kept"), "hit");
    cr_assert_eq(count, 2);
    cache_scene_stop(gateway);
}

/* --- what is told -------------------------------------------------------------------------------
 */

Test(cache_company, log_and_metrics)
{
    static const struct {
        const char *outcome;
        long count;
    } told[] = {{"miss", 1}, {"stored", 1}, {"hit", 2}, {"bypassed", 1}};

    start(CACHE);
    origin_set_reply(origin, "/", KEPT OK);
    expect_body(get("/"), "ok");
    expect_body(get("/"), "ok");
    expect_status(ask("HEAD", "/", ""), 200);
    expect_body(ask("POST", "/", "Content-Length: 0\r\n"), "ok");
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        cache_await_decisions(told[i].outcome, told[i].count);
    for (int i = 0; i < 2; i++) {
        json_t *entry = log_entry(gateway, i);
        expect_number(entry, "status", 200);
        expect_null(entry, "reason");
    }
    cache_scene_stop(gateway);
}

/* One memory for both, and neither's answers are the other's. */
Test(cache_company, hosts_that_share_the_memory_of_defaults)
{
    origin = origin_start("one");
    struct origin *other = origin_start("two");
    gateway = gateway_start("{ @base, 'defaults': { " CACHE " },"
                            "  'routes': { 'a.test': '%s', 'b.test': '%s' } }",
                            origin_address(origin), origin_address(other));
    origin_set_reply(origin, "/", KEPT "Content-Length: 1\r\n\r\na");
    origin_set_reply(other, "/", KEPT "Content-Length: 1\r\n\r\nb");
    for (int i = 0; i < 2; i++) {
        expect_body(fetch(gateway, "a.test", "/"), "a");
        expect_body(fetch(gateway, "b.test", "/"), "b");
    }
    cr_assert_eq(origin_requests(origin) + origin_requests(other), 2);
    cr_assert_eq(cache_metric("cache_objects{zone=\"defaults\"}"), 2);
    gateway_stop(gateway);
}
