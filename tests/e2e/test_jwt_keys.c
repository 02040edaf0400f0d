/* Keys of tokens: from files and URLs, as they come, go, and cannot be had. */
#include "harness/await.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/tokens.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(jwt_keys);

#define CHALLENGE "Bearer realm=\"a.test\""

static void write_keys(const char *set)
{
    workplace_write(workplace_path("jwks.json"), set, strlen(set));
}

/* a.test asks for tokens as `jwt` says, b.test for nothing. */
static struct gateway *start(const struct origin *origin, const char *jwt)
{
    return gateway_start("{ @base, 'routes': {"
                         "'b.test': '%s', 'a.test': { 'to': '%s', 'auth': { 'jwt': { %s } } } } }",
                         origin_address(origin), origin_address(origin), jwt);
}

/* --- asking -------------------------------------------------------------------------------------
 */

static void send_with(struct client *client, const char *token)
{
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer %s\r\n\r\n",
                token);
}

static struct message *ask_with(struct client *client, const char *token)
{
    send_with(client, token);
    return client_response(client);
}

static void expect_refused(struct client *client, const char *what, const char *token)
{
    struct message *response = ask_with(client, token);

    workplace_require(response->status == 401, "%s: %d, not 401", what, response->status);
    expect_refusal(response, 401, "unauthorized");
    expect_field(response, "WWW-Authenticate", CHALLENGE ", error=\"invalid_token\"");
}

static void expect_taken(struct client *client, const char *what, const char *token)
{
    struct message *response = ask_with(client, token);

    workplace_require(response->status == 200, "%s: %d, not 200", what, response->status);
    expect_from(response, "o");
}

/* --- as they come and go ------------------------------------------------------------------------
 */

Test(jwt_keys, a_file_is_read_again_and_a_broken_one_changes_nothing)
{
    struct token_key *old = token_key_new(TOKEN_P256), *new = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o");
    write_keys(token_set(token_jwk(old, "'kid':'old'"), NULL));
    struct gateway *gateway = start(origin, "'keys': 'jwks.json'");
    struct client *client = client_open(gateway, "a.test");
    char *by_old = token_good(old, "ES256", "old", ""),
         *by_new = token_good(new, "ES256", "new", "");

    expect_taken(client, "old", by_old);
    expect_refused(client, "new, too early", by_new);
    write_keys("{ \"keys\": [");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_taken(client, "old, while the file is broken", by_old);
    write_keys(token_set(token_jwk(new, "'kid':'new'"), NULL));
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_taken(client, "new", by_new);
    expect_refused(client, "old, remembered or not", by_old);
    client_close(client);
    gateway_stop(gateway);
}

static char *keys_reply(const char *set)
{
    return text("HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\n"
                "Content-Length: %zu\r\n\r\n%s",
                strlen(set), set);
}

static void serve_keys(struct origin *origin, const char *set)
{
    origin_set_reply(origin, "/jwks", keys_reply(set));
}

static char *keys_at(const struct origin *origin)
{
    return text("'keys': 'http://%s/jwks', 'copy': { 'sub': 'X-User' }", origin_address(origin));
}

Test(jwt_keys, the_first_token_of_a_new_key_passes)
{
    struct token_key *old = token_key_new(TOKEN_P256), *new = token_key_new(TOKEN_RSA);
    struct token_key *stranger = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o"), *issuer = origin_start("i");
    serve_keys(issuer, token_set(token_jwk(old, "'kid':'old'"), NULL));
    struct gateway *gateway = start(origin, keys_at(issuer));
    struct client *client = client_open(gateway, "a.test");

    expect_taken(client, "old", token_good(old, "ES256", "old", ""));
    cr_assert_eq(origin_requests(issuer), 1);
    expect_field(origin_last_request(issuer), "Host", origin_address(issuer));
    serve_keys(issuer,
               token_set(token_jwk(old, "'kid':'old'"), token_jwk(new, "'kid':'new'"), NULL));
    expect_taken(client, "new", token_good(new, "RS256", "new", ""));
    cr_assert_eq(origin_requests(issuer), 2);
    /* Nobody fetches for whoever likes to name keys. */
    for (int i = 0; i < 20; i++)
        expect_refused(client, "a stranger's",
                       token_good(stranger, "ES256", text("kid-%d", i), ""));
    cr_assert_eq(origin_requests(issuer), 2);
    expect_taken(client, "old", token_good(old, "ES256", "old", ""));
    client_close(client);
    gateway_stop(gateway);
}

Test(jwt_keys, many_who_come_with_a_new_key_at_once_have_it_fetched_once)
{
    enum { CLIENTS = 16 };
    struct token_key *old = token_key_new(TOKEN_P256), *new = token_key_new(TOKEN_ED25519);
    struct origin *origin = origin_start("o"), *issuer = origin_start("i");
    struct client *clients[CLIENTS];
    serve_keys(issuer, token_set(token_jwk(old, "'kid':'old'"), NULL));
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { 'a.test': { 'to': '%s', 'auth': { 'jwt': { %s "
                             "} } } } }",
                             origin_address(origin), keys_at(issuer)),
        .workers = 2});

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(gateway, "a.test");
        expect_taken(clients[i], "old", token_good(old, "ES256", "old", ""));
    }
    serve_keys(issuer, token_set(token_jwk(new, "'kid':'new'"), NULL));
    for (int i = 0; i < CLIENTS; i++)
        send_with(clients[i], token_good(new, "EdDSA", "new", text("'n':%d", i)));
    for (int i = 0; i < CLIENTS; i++)
        expect_from(client_response(clients[i]), "o");
    cr_assert_eq(origin_requests(issuer), 2);
    for (int i = 0; i < CLIENTS; i++) {
        expect_refused(clients[i], "old", token_good(old, "ES256", "old", ""));
        client_close(clients[i]);
    }
    gateway_stop(gateway);
}

/* Says that it was asked, and answers when it may. */
struct slow_answer {
    struct gate *was_asked, *may_answer;
    char *raw;
};

static void answer_when_it_may(struct origin_turn *turn)
{
    const struct slow_answer *answer = turn->arg;

    gate_open(answer->was_asked);
    if (!gate_wait(answer->may_answer) || !wire_write(turn->wire, answer->raw, strlen(answer->raw)))
        turn->is_closing = true;
}

static void await_in_flight(struct gateway *gateway, int count)
{
    const char *line = text("\nsallyport_http_requests_in_flight %d\n", count);
    long long start_ms = monitor_now_ms();

    while (strstr(ask_plain(gateway_address(gateway, "status", 0), "GET", "/metrics")->body,
                  line) == NULL)
        workplace_require(monitor_may_ask_again(start_ms), "never %d in flight", count);
}

Test(jwt_keys, requests_wait_for_the_first_ones)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o"), *issuer = origin_start("i");
    struct slow_answer slow = {gate_new(), gate_new(),
                               keys_reply(token_set(token_jwk(key, "'kid':'a'"), NULL))};
    origin_set_script(issuer, "/jwks", answer_when_it_may, &slow);
    struct gateway *gateway = start(origin, keys_at(issuer));
    struct client *client = client_open(gateway, "a.test"), *gone = client_open(gateway, "a.test");
    char *good = token_good(key, "ES256", "a", "");

    cr_assert(gate_wait(slow.was_asked));
    /* What no key could make good is refused meanwhile. */
    expect_refused(client, "malformed", "a.b.c");
    send_with(client, good);
    send_with(gone, good);
    await_in_flight(gateway, 2);
    client_leave(gone);
    await_in_flight(gateway, 1);
    gate_open(slow.may_answer);
    expect_from(client_response(client), "o");
    cr_assert_eq(origin_requests(issuer), 1);
    cr_assert_eq(origin_requests(origin), 1);
    client_close(client);
    gateway_stop(gateway);
}

Test(jwt_keys, a_url_that_cannot_be_reached_refuses_its_route_alone)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o"), *issuer = origin_start("i");
    char *keys = keys_at(issuer), *good = token_good(key, "ES256", NULL, "");
    serve_keys(issuer, token_set(token_jwk(key, ""), NULL));
    origin_stop(issuer);
    struct gateway *gateway = start(origin, keys);
    struct client *client = client_open(gateway, "a.test");

    gateway_wait_stderr(gateway, "keys_unreachable", NULL);
    expect_from(fetch(gateway, "b.test", "/"), "o");
    expect_refusal(ask_with(client, good), 503, "auth_unavailable");
    cr_assert_eq(origin_requests(origin), 1);
    origin_restart(issuer);
    gateway_wait_stderr(gateway, "keys_reachable", NULL);
    expect_taken(client, "good", good);
    client_close(client);
    gateway_stop(gateway);
}

Test(jwt_keys, what_came_last_stays_when_nothing_good_comes)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o"), *issuer = origin_start("i");
    serve_keys(issuer, token_set(token_jwk(key, "'kid':'a'"), NULL));
    struct gateway *gateway = start(origin, keys_at(issuer));
    struct client *client = client_open(gateway, "a.test");

    expect_taken(client, "good", token_good(key, "ES256", "a", ""));
    origin_set_reply(issuer, "/jwks", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    expect_refused(client, "unknown", token_good(key, "ES256", "b", ""));
    gateway_wait_stderr(gateway, "the status 500", NULL);
    expect_taken(client, "good", token_good(key, "ES256", "a", "'n':2"));
    /* A generation that does not name the URL any more. */
    gateway_rewrite("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_from(fetch(gateway, "a.test", "/"), "o");
    client_close(client);
    gateway_stop(gateway);
}

/* Sends more than fits, and goes on only as long as somebody reads. */
static void answer_without_end(struct origin_turn *turn)
{
    const char *piece = text("%016384d", 0);
    bool goes_on = wire_print(turn->wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");

    for (int i = 0; goes_on && i < 1024; i++)
        goes_on = wire_print(turn->wire, "4000\r\n%s\r\n", piece);
    turn->is_closing = true;
}

Test(jwt_keys, answers_that_are_no_keys_are_told_and_bounded)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    struct origin *origin = origin_start("o"), *issuer = origin_start("i");
    const char *set = token_set(token_jwk(key, ""), NULL);
    const struct {
        const char *path, *raw, *words;
    } cases[] = {
        {"/moved", "HTTP/1.1 302 Found\r\nLocation: /jwks\r\nContent-Length: 0\r\n\r\n",
         "it answers with the status 302, not 200"},
        {"/announced", "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
         "its answer is larger than 1 MiB"},
        {"/endless", NULL, "its answer is larger than 1 MiB"},
        {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
         "it closed the connection before its answer was whole"},
        {"/html", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
         "there is no key in its answer that can be used"},
        {"/empty", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}",
         "there is no key in its answer that can be used"},
        {"/smtp", "220 mail.test\r\n", "its answer is no proper HTTP"},
        {"/silent", "", "it closed the connection without an answer"},
        {"/secret?token=hidden", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
         "it answers with the status 404"},
        {"/chunked",
         text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
              strlen(set), set),
         NULL},
    };
    enum { CASES = sizeof(cases) / sizeof(cases[0]) };
    const char *routes = "";

    for (int i = 0; i < CASES; i++) {
        const char *path = text("%.*s", (int)strcspn(cases[i].path, "?"), cases[i].path);
        origin_set_last_reply(issuer, path, cases[i].raw ? cases[i].raw : "");
        routes = text("%s'r%d.test': { 'to': '%s', 'auth': { 'jwt': { 'keys': 'http://%s%s' } } },",
                      routes, i, origin_address(origin), origin_address(issuer), cases[i].path);
    }
    origin_set_script(issuer, "/endless", answer_without_end, NULL);
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { %s 'n.test': { 'to': '%s', 'auth': { 'jwt': { 'keys': "
                      "'http://nobody.invalid/keys' } } } } }",
                      routes, origin_address(origin));
    for (int i = 0; i < CASES; i++)
        if (cases[i].words != NULL)
            gateway_wait_stderr(gateway,
                                text("http://%s%.*s: %s", origin_address(issuer),
                                     (int)strcspn(cases[i].path, "?"), cases[i].path,
                                     cases[i].words),
                                NULL);
    gateway_wait_stderr(gateway, "http://nobody.invalid/keys: ", NULL);
    cr_assert_null(strstr(gateway_stderr(gateway), "/chunked"));
    cr_assert_null(strstr(gateway_stderr(gateway), "hidden"));
    struct client *client = client_open(gateway, "a.test");
    client_send(client, "GET / HTTP/1.1\r\nHost: r%d.test\r\nAuthorization: Bearer %s\r\n\r\n",
                CASES - 1, token_good(key, "ES256", NULL, ""));
    expect_from(client_response(client), "o");
    client_close(client);
    gateway_stop(gateway);
}

/* --- what operators are told --------------------------------------------------------------------
 */

static struct command *check(const char *jwt)
{
    const char *file = route_file(
        "routes.json",
        "{ @base, 'routes': { '*': { 'to': '127.0.0.1:1', 'auth': { 'jwt': %s } } } }", jwt);

    return SALLYPORT("check", "-c", file);
}

static void expect_said(int exit_code, const char *jwt, const char *words)
{
    struct command *command = check(jwt);

    command_expect(command, exit_code);
    command_says(command, words);
}

Test(jwt_keys, each_key_that_cannot_be_used_is_named_with_its_line)
{
    struct token_key *good = token_key_new(TOKEN_ED25519), *weak = token_key_rsa(1024);
    struct token_key *rsa = token_key_new(TOKEN_RSA);
    write_keys(token_set(
        token_jwk(good, "'kid':'a'"), token_jwk(weak, ""), token_jwk(rsa, "'d':'AQAB'"),
        token_jwk(rsa, "'alg':'HS256'"), "{\"kty\":\"oct\",\"k\":\"c2VjcmV0c2VjcmV0\"}",
        token_jwk(rsa, "'alg':'ES256'"), token_jwk(rsa, "'use':'enc'"), "{\"kty\":\"new\"}", NULL));
    struct command *said = check("{ 'keys': 'jwks.json' }");

    command_expect(said, 0);
    command_says(said, "jwks.json:3: ");
    command_says(said, "keys[1]: an RSA key of less than 2048 bits is too weak");
    command_says(said, "jwks.json:4: ");
    command_says(said, "keys[2]: a private key lies here");
    command_says(said, "keys[3]: \"alg\" is none of");
    command_says(said, "keys[4]: a symmetric key");
    command_says(said, "keys[5]: \"alg\" does not fit");
    command_says(said, "keys[7]: \"kty\" is none of");
    cr_assert_null(strstr(said->out, "keys[6]"));
    cr_assert_null(strstr(said->err, "keys[6]"));
    cr_assert_null(strstr(said->err, "c2VjcmV0"));
}

Test(jwt_keys, what_is_written_wrong_is_said)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    write_keys(token_set(token_jwk(key, ""), NULL));

    expect_said(3, "{ }", "\"keys\" is missing");
    expect_said(3, "{ 'keys': 'https://a.test/jwks' }", "in plaintext");
    expect_said(3, "{ 'keys': 'http://a.test:99999/jwks' }", "port");
    expect_said(3, "{ 'keys': 'jwks.json', 'audience': [] }", "lets no token pass");
    expect_said(3, "{ 'keys': 'jwks.json', 'issuer': '' }", "not an empty text");
    expect_said(3, "{ 'keys': 'jwks.json', 'leeway': '2h' }", "1h is the most");
    expect_said(3, "{ 'keys': 'jwks.json', 'copy': { 'sub': 'Host' } }", "cannot stand here");
    expect_said(3, "{ 'keys': 'jwks.json', 'copy': { 'sub': 'X_Forwarded_For' } }",
                "cannot stand here");
    expect_said(3, "{ 'keys': 'jwks.json', 'copy': { 'sub': 'X-A', 'b': 'x-a' } }",
                "is there already");
    expect_said(3, "{ 'keys': 'jwks.json', 'cookie': 'a b' }", "no name of a cookie");
    expect_said(3, "{ 'keys': 'jwks.json', 'audiense': 'a' }", "audience");
    expect_said(3, "{ 'keys': 'nothing.json' }", "nothing.json");
    expect_said(0, "{ 'keys': 'http://keys.test/jwks?v=1' }", "");
}

Test(jwt_keys, explain_says_what_is_asked_for)
{
    struct token_key *key = token_key_new(TOKEN_P256);
    write_keys(token_set(token_jwk(key, ""), NULL));
    const char *file = route_file(
        "routes.json", "{ @base, 'defaults': { 'auth': { 'jwt': { 'keys': 'jwks.json', 'issuer': "
                       "'https://id.test', 'audience': 'shop', 'copy': { 'sub': 'X-User' } } } },"
                       "'routes': { 'a.test': '127.0.0.1:1',"
                       "'b.test': { 'to': '127.0.0.1:1', 'auth': null } } }");
    struct command *said = SALLYPORT("explain", "-c", file, "https://a.test/");

    command_says(said, "jwt, keys of jwks.json, issuer https://id.test, audience shop, leeway 30s, "
                       "sub to X-User");
    said = SALLYPORT("explain", "-c", file, "https://b.test/");
    cr_assert_null(strstr(said->out, "jwks.json"));
}
