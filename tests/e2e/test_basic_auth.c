/* `auth` by name and password, and by the client's certificate: who is let in, what backends are
 * told of them, and that guessing does not pay. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

E2E_SUITE(basic_auth);

/* "secret"; one of a hash that costs half a second, one of SHA-512 that is "hunter2". */
#define SECRET      "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SLOW_SECRET "$2b$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"
#define HUNTER2                                                                             \
    "$6$rounds=1000$saltsalt$gqUcWLKt3d1wsoaFq/ZlFXJndu400B3QqT3noJu6R/eEGKKt5.bf/H7jRZdxj" \
    "ThW3JpMB1IX.1Z2f5cgwsF710"

static void write_users(const char *lines)
{
    workplace_write(workplace_path("users"), lines, strlen(lines));
}

static struct gateway *start_with(const struct origin *origin, const char *more)
{
    return gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'auth': { 'basic': {"
                         "  'users': 'users' %s } } }, 'b.test': '%s' } }",
                         origin_address(origin), more, origin_address(origin));
}

/* As a browser says them. */
static const char *credentials(const char *name, const char *password)
{
    const char *plain = text("%s:%s", name, password);
    char *letters = text("%*s", (int)strlen(plain) * 2 + 8, "");

    EVP_EncodeBlock((unsigned char *)letters, (const unsigned char *)plain, (int)strlen(plain));
    return text("Basic %s", letters);
}

static void ask_as(struct client *client, const char *name, const char *password, const char *more)
{
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: %s\r\n%s\r\n",
                credentials(name, password), more);
}

static struct message *get_as(struct client *client, const char *name, const char *password)
{
    ask_as(client, name, password, "");
    return client_response(client);
}

static void expect_challenge(const struct message *response)
{
    expect_refusal(response, 401, "unauthorized");
    cr_assert_eq(field_count(&response->fields, "WWW-Authenticate"), 1);
    expect_field(response, "WWW-Authenticate", "Basic realm=\"restricted\", charset=\"UTF-8\"");
}

static void expect_decisions(const char *outcome, int count)
{
    struct message *page = ask_admin("GET", "/metrics");
    const char *line = text("sallyport_policy_decisions_total{policy=\"auth\",route=\"a.test\","
                            "outcome=\"%s\"} %d\n",
                            outcome, count);

    cr_assert_not_null(strstr(page->body, line), "no %s in\n%s", line, page->body);
}

/* --- who is let in -----------------------------------------------------------------------------
 */

Test(basic_auth, those_of_the_file_and_nobody_else)
{
    struct origin *origin = origin_start("one");
    write_users("# staff\nalice:" SECRET "\nbob:" HUNTER2 "\n");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    expect_challenge(client_get(client, "a.test", "/"));
    expect_from(get_as(client, "alice", "secret"), "one");
    expect_from(get_as(client, "bob", "hunter2"), "one");
    expect_from(get_as(client, "alice", "secret"), "one");
    expect_challenge(get_as(client, "alice", "hunter2"));
    expect_challenge(get_as(client, "alice", ""));
    expect_challenge(get_as(client, "Alice", "secret"));
    expect_challenge(get_as(client, "carol", "secret"));
    expect_challenge(get_as(client, "", ""));
    expect_challenge(get_as(client, "", "secret"));
    expect_from(client_get(client, "b.test", "/"), "one");
    cr_assert_eq(origin_requests(origin), 4);
    expect_decisions("allowed", 3);
    expect_decisions("refused", 7);
    json_t *entry = log_entry(gateway, 4);
    expect_number(entry, "status", 401);
    expect_string(entry, "reason", "unauthorized");
    expect_string(entry, "route", "a.test");
    client_close(client);
    gateway_stop(gateway);
}

Test(basic_auth, what_is_not_exactly_a_name_and_a_password)
{
    static const char *const said[] = {
        "Authorization: Bearer YWxpY2U6c2VjcmV0\r\n",
        "Authorization: Basic\r\n",
        "Authorization: Basic YWxpY2U6c2VjcmV0=\r\n",
        "Authorization: Basic YWxpY2U6c2VjcmV0AA==\r\n", /* a NUL behind it */
        "Authorization: Basic YWxpY2U6c2VjcmV0, Basic YWxpY2U6c2VjcmV0\r\n",
        "Authorization: Basic YWxpY2U6c2VjcmV0\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n",
        "Authorization: Bearer x\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n",
        "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n",
    };
    struct origin *origin = origin_start("one");
    write_users("alice:" SECRET "\n");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", said[i]);
        expect_challenge(client_response(client));
    }
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n"
                        "authorization: bAsIc  YWxpY2U6c2VjcmV0\r\n\r\n");
    expect_from(client_response(client), "one");
    cr_assert_eq(origin_requests(origin), 1);
    client_close(client);
    gateway_stop(gateway);
}

Test(basic_auth, passwords_are_told_to_nobody)
{
    struct origin *origin = origin_start("one");
    write_users("alice:" SECRET "\nbob:WrittenDown\nTopSecret\n");
    struct gateway *gateway = start_with(origin, "");
    struct client *client = client_open(gateway, "a.test");

    expect_from(get_as(client, "alice", "secret"), "one");
    expect_challenge(get_as(client, "alice", "GuessedWord"));
    expect_number(log_entry(gateway, 1), "status", 401);
    const char *const told[] = {
        gateway_stderr(gateway),
        gateway_stdout(gateway),
        ask_admin("GET", "/status")->body,
        ask_admin("GET", "/metrics")->body,
        ask_admin("GET", "/config")->body,
        SALLYPORT("explain", "-c", workplace_path("routes.json"), "https://a.test/")->out,
        SALLYPORT("check", "-c", workplace_path("routes.json"))->err,
    };
    static const char *const secrets[] = {"WrittenDown", "TopSecret",       "GuessedWord",
                                          "2r9OfJnfCsd", "R3Vlc3NlZFdvcmQ", "c2VjcmV0"};
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        for (size_t k = 0; k < sizeof(secrets) / sizeof(secrets[0]); k++)
            cr_expect_null(told[i] != NULL ? strstr(told[i], secrets[k]) : NULL, "%s in %s",
                           secrets[k], told[i]);
    client_close(client);
    gateway_stop(gateway);
}

/* --- what backends are told --------------------------------------------------------------------
 */

Test(basic_auth, backends_are_told_the_name_by_the_gateway_alone)
{
    struct origin *origin = origin_start("one");
    write_users("alice:" SECRET "\n");
    struct gateway *gateway = start_with(origin, ", 'copy': 'X-User'");
    struct client *client = client_open(gateway, "a.test");

    expect_from(get_as(client, "alice", "secret"), "one");
    expect_field(origin_last_request(origin), "X-User", "alice");
    ask_as(client, "alice", "secret",
           "x-user: root\r\nX-USER: root\r\nX-User: \r\nConnection: x-user\r\n");
    if (!speaks_h2()) { /* it has no Connection */
        expect_from(client_response(client), "one");
        cr_assert_eq(field_count(&origin_last_request(origin)->fields, "X-User"), 1);
        expect_field(origin_last_request(origin), "X-User", "alice");
    }
    client_close(client);
    gateway_stop(gateway);
}

static int count_words_in(const char *head, const char *words)
{
    int count = 0;

    for (const char *at = head; (at = strcasestr(at, words)) != NULL; at++)
        count++;
    return count;
}

/* Backends of the CGI kind read X_User as X-User. */
Test(basic_auth, nor_in_a_name_that_some_read_as_the_same)
{
    struct origin *origin = origin_start("one");
    write_users("alice:" SECRET "\n");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'limits': { 'underscores': true } },"
                      "  'routes': { 'a.test': { 'to': '%s', 'auth': { 'basic': {"
                      "  'users': 'users', 'copy': 'X-User' } } } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    ask_as(client, "alice", "secret", "X_User: root\r\nX-User: root\r\nX-Users: root\r\n");
    expect_from(client_response(client), "one");
    cr_assert_eq(count_words_in(origin_last_request(origin)->head, "user: root"), 0);
    cr_assert_eq(count_words_in(origin_last_request(origin)->head, "users: root"), 1);
    cr_assert_eq(count_words_in(origin_last_request(origin)->head, "user: alice"), 1);
    client_close(client);
    gateway_stop(gateway);
}

Test(basic_auth, nor_in_trailers)
{
    struct origin *origin = origin_start("one");
    write_users("alice:" SECRET "\n");
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'limits': { 'underscores': true } },"
                      "  'routes': { 'a.test': { 'to': '%s', 'auth': { 'basic': {"
                      "  'users': 'users', 'copy': 'X-User' } }, 'headers': { 'request': {"
                      "  'set': { 'X-Zone': 'outside' }, 'add': { 'X-More': 'x' }, 'remove': "
                      "['X-Debug'] } } } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client,
                "POST / HTTP/1.1\r\nHost: a.test\r\nAuthorization: %s\r\n"
                "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
                "X-User: root\r\nX_User: root\r\nX-Zone: inside\r\nX-Debug: 1\r\nX-More: y\r\n"
                "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=x\r\nX-Real-IP: 10.0.0.1\r\n"
                "X_Forwarded_For: 10.0.0.1\r\nX-Client-Cert-Subject: CN=root\r\nX-Sum: 1\r\n\r\n",
                credentials("alice", "secret"));
    expect_status(client_response_to(client, "POST"), 200);
    struct message *request = origin_finished_request(origin, 0);
    expect_field(request, "X-User", "alice");
    cr_assert_eq(request->trailers.count, 2);
    cr_assert_eq(field_count(&request->trailers, "X-Sum"), 1);
    cr_assert_eq(field_count(&request->trailers, "X-More"), 1);
    client_close(client);
    gateway_stop(gateway);
}

/* --- slow hashes -------------------------------------------------------------------------------
 */

/* Two workers and one password: it is verified once, and who waits is served while others are. */
Test(basic_auth, many_at_once_wait_for_one_verification)
{
    enum { CLIENTS = 12 };
    struct client *clients[CLIENTS];
    struct origin *origin = origin_start("one");
    write_users("alice:" SLOW_SECRET "\n");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .workers = 2,
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { 'a.test': { 'to': '%s', 'auth': { 'basic': {"
                             "  'users': 'users', 'copy': 'X-User' } } }, 'b.test': '%s' } }",
                             origin_address(origin), origin_address(origin))});

    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_open(gateway, "a.test");
    for (int i = 0; i < CLIENTS; i++)
        ask_as(clients[i], "alice", "secret", "");
    expect_from(fetch(gateway, "b.test", "/"), "one");
    client_leave(clients[0]);
    for (int i = 1; i < CLIENTS; i++)
        expect_from(client_response(clients[i]), "one");
    expect_from(get_as(clients[1], "alice", "secret"), "one");
    expect_field(origin_last_request(origin), "X-User", "alice");
    for (int i = 1; i < CLIENTS; i++)
        client_close(clients[i]);
    gateway_stop(gateway);
}

Test(basic_auth, one_client_guesses_few_at_a_time)
{
    enum { GUESSES = 10 };
    struct client *clients[GUESSES];
    struct origin *origin = origin_start("one");
    int refused = 0;
    write_users("alice:" SLOW_SECRET "\nbob:" SECRET "\n");
    struct gateway *gateway = start_with(origin, "");
    struct client *bob = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .from = "127.0.0.2:0"});

    for (int i = 0; i < GUESSES; i++)
        clients[i] = client_open(gateway, "a.test");
    for (int i = 0; i < GUESSES; i++)
        ask_as(clients[i], "alice", text("guess%d", i), "");
    expect_from(get_as(bob, "bob", "secret"), "one");
    for (int i = 0; i < GUESSES; i++) {
        struct message *response = client_response(clients[i]);
        if (response->status == 429) {
            expect_refusal(response, 429, "rate_limited");
            expect_field(response, "Retry-After", "1");
            refused++;
        } else {
            expect_challenge(response);
        }
    }
    client_close(bob);
    for (int i = 0; i < GUESSES; i++)
        client_close(clients[i]);
    cr_assert_geq(refused, 1);
    cr_assert_leq(refused, GUESSES - 4);
    cr_assert_eq(origin_requests(origin), 1);
    gateway_stop(gateway);
}

/* They hold up nobody, neither those who come later nor the gateway's end. */
Test(basic_auth, clients_that_leave_while_they_wait)
{
    struct origin *origin = origin_start("one");
    write_users("alice:" SLOW_SECRET "\nbob:" SECRET "\n");
    struct gateway *gateway = start_with(origin, "");
    struct client *bob = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .from = "127.0.0.2:0"});

    for (int i = 0; i < 6; i++) {
        struct client *client = client_open(gateway, "a.test");
        ask_as(client, "alice", text("guess%d", i), "");
        client_leave(client);
    }
    expect_from(get_as(bob, "bob", "secret"), "one");
    struct client *last = client_open(gateway, "a.test");
    ask_as(last, "alice", "secret", "");
    cr_assert_eq(origin_requests(origin), 1);
    client_leave(last);
    client_close(bob);
    gateway_stop(gateway);
}

/* --- real clients ------------------------------------------------------------------------------
 */

static void curl(struct gateway *gateway, const char *user, const char *status)
{
    struct command *command = COMMAND(
        "curl", "-sS", "--noproxy", "*", speaks_h2() ? "--http2" : "--http1.1", "--cacert",
        workplace_path("ca.pem"), "--resolve",
        text("a.test:%d:127.0.0.1", gateway_port(gateway, "https")), "-o", "/dev/null", "-w",
        "%{http_code}", "-u", user, text("https://a.test:%d/", gateway_port(gateway, "https")));

    command_expect(command, 0);
    cr_assert_str_eq(command->out, status, "%s: %s", user, command->out);
}

Test(basic_auth, curl_with_u)
{
    if (!command_exists("curl"))
        cr_skip("no curl");
    struct origin *origin = origin_start("one");
    write_users("alice:" SECRET "\nbob:" HUNTER2 "\n");
    struct gateway *gateway = start_with(origin, "");

    curl(gateway, "alice:secret", "200");
    curl(gateway, "bob:hunter2", "200");
    curl(gateway, "alice:hunter2", "401");
    curl(gateway, "carol:secret", "401");
    gateway_stop(gateway);
}

/* --- certificates ------------------------------------------------------------------------------
 */

static struct message *get_with(struct gateway *gateway, const struct cert *cert, const char *host)
{
    struct client *client = client_open_with(gateway_https(gateway),
                                             &(struct client_options){.sni = host, .cert = cert});

    client_send(client, "GET / HTTP/1.1\r\nHost: %s\r\nX-User: root\r\n\r\n", host);
    struct message *response = client_response(client);
    client_close(client);
    return response;
}

Test(basic_auth, subjects_of_certificates)
{
    struct cert *ca = cert_make(
        &(struct cert_options){.subject = "Own CA", .is_authority = true, .is_root = true});
    struct cert *alice = cert_make(
        &(struct cert_options){.subject = "alice", .purpose = "clientAuth", .issuer = ca});
    struct cert *bob =
        cert_make(&(struct cert_options){.subject = "bob", .purpose = "clientAuth", .issuer = ca});
    struct origin *origin = origin_start("one");
    cert_write_alone(ca, workplace_path("ca2.pem"));
    struct gateway *gateway = gateway_start(
        "{ @base, 'tls': { 'client_ca': 'ca2.pem', 'client_auth': 'request' }, 'routes': {"
        "  'a.test': { 'to': '%s', 'auth': { 'client_cert': { 'subjects': ['CN=alice'],"
        "    'copy': 'X-User' } } },"
        "  'b.test': { 'to': '%s', 'auth': { 'client_cert': { 'subjects': ['*'] } } } } }",
        origin_address(origin), origin_address(origin));

    expect_from(get_with(gateway, alice, "a.test"), "one");
    expect_field(origin_last_request(origin), "X-User", "CN=alice");
    expect_refusal(get_with(gateway, bob, "a.test"), 403, "denied");
    expect_refusal(get_with(gateway, NULL, "a.test"), 403, "denied");
    expect_from(get_with(gateway, bob, "b.test"), "one");
    expect_field(origin_last_request(origin), "X-User", "root");
    expect_refusal(get_with(gateway, NULL, "b.test"), 403, "denied");
    expect_decisions("refused", 2);
    cr_assert_eq(origin_requests(origin), 2);
    gateway_stop(gateway);
}
