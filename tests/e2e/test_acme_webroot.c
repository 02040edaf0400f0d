/* acme_webroot: HTTP-01 challenges answered out of a folder by plaintext listeners, and nothing
 * else out of it. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(acme_webroot);

#define FOLDER "/.well-known/acme-challenge/"

/* The first listener redirects, the second serves, the third has no webroot. */
#define LISTEN(webroot)                                                               \
    "'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock', 'http': ["  \
    "  { 'bind': '127.0.0.1:0', 'acme_webroot': '" webroot "' },"                     \
    "  { 'bind': '127.0.0.1:0', 'acme_webroot': '" webroot "', 'serve': 'routes' }, " \
    "  { 'bind': '127.0.0.1:0', 'serve': 'routes' }] }, 'certs': 'certs',"            \
    "  'log': { 'format': 'json' }, 'routes': { '*': { 'respond': { 'body': 'route' } } }"
enum { REDIRECTS, SERVES, HAS_NONE };

static void leave_token(const char *webroot, const char *token, const char *content)
{
    workplace_make_folder(text("%s/.well-known/acme-challenge", webroot));
    workplace_write(workplace_path("%s" FOLDER "%s", webroot, token), content, strlen(content));
}

static struct client *open_plain(struct gateway *gateway, int place)
{
    return client_open_plain(gateway_address(gateway, "http", place));
}

static void expect_token(struct client *client, const char *host, const char *token,
                         const char *content)
{
    struct message *response = client_get(client, host, text(FOLDER "%s", token));

    expect_status(response, 200);
    expect_body(response, content);
}

Test(acme_webroot, answers_first_in_both_modes)
{
    leave_token("acme", "aZ09-_", "aZ09-_.thumbprint");
    leave_token("acme", "empty", "");
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    for (int place = REDIRECTS; place <= SERVES; place++) {
        struct client *client = open_plain(gateway, place);
        expect_token(client, "a.test", "aZ09-_", "aZ09-_.thumbprint");
        expect_token(client, "nobody.example:80", "aZ09-_?query", "aZ09-_.thumbprint");
        expect_token(client, "a.test", "empty", "");
        client_send(client, "HEAD " FOLDER "aZ09-_ HTTP/1.1\r\nHost: a.test\r\n\r\n");
        struct message *head = client_response_to(client, "HEAD");
        expect_field(head, "content-length", "17");
        expect_field(head, "content-type", "text/plain");
        cr_assert_eq(head->body_bytes, 0);
        client_send(client, "GET " FOLDER "aZ09-_ HTTP/1.0\r\n\r\n");
        expect_body(client_response(client), "aZ09-_.thumbprint");
    }
    gateway_stop(gateway);
}

Test(acme_webroot, is_logged_as_an_answer_without_a_route)
{
    leave_token("acme", "token", "content");
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    expect_token(open_plain(gateway, REDIRECTS), "a.test", "token", "content");
    json_t *entry = log_entry_with(gateway, "path", FOLDER "token");
    expect_number(entry, "status", 200);
    expect_string(entry, "route", "none");
    expect_null(entry, "reason");
    expect_null(entry, "backend");
    gateway_stop(gateway);
}

Test(acme_webroot, other_listeners_and_paths_are_as_ever)
{
    leave_token("acme", "token", "content");
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    expect_body(client_get(open_plain(gateway, HAS_NONE), "a.test", FOLDER "token"), "route");
    expect_body(fetch(gateway, "a.test", FOLDER "token"), "route");
    struct client *client = open_plain(gateway, SERVES);
    expect_body(client_get(client, "a.test", "/.well-known/acme-challenge"), "route");
    expect_body(client_get(client, "a.test", "/.well-known/other/token"), "route");
    expect_status(client_get(open_plain(gateway, REDIRECTS), "a.test", "/.well-known/x"), 308);
    gateway_stop(gateway);
}

/* What lies beside the tokens, or is none. */
static void leave_traps(void)
{
    char *big = calloc(1, 64 * 1024 + 1);

    leave_token("acme", "token", "content");
    leave_token("acme", ".hidden", "secret");
    leave_token("acme", "dot.ted", "secret");
    workplace_make_folder("acme" FOLDER "folder");
    leave_token("acme", "folder/nested", "secret");
    workplace_write(workplace_path("secret"), "secret", 6);
    memset(big, 'x', 64 * 1024 + 1);
    workplace_write(workplace_path("acme" FOLDER "largest"), big, 64 * 1024);
    workplace_write(workplace_path("acme" FOLDER "too-large"), big, 64 * 1024 + 1);
    free(big);
    cr_assert_eq(symlink("../../../secret", workplace_path("acme" FOLDER "link")), 0);
    cr_assert_eq(symlink("token", workplace_path("acme" FOLDER "link-inside")), 0);
    cr_assert_eq(mkfifo(workplace_path("acme" FOLDER "fifo"), 0600), 0);
    cr_assert_eq(symlink("/dev/zero", workplace_path("acme" FOLDER "device")), 0);
}

Test(acme_webroot, everything_else_below_is_404)
{
    static const char *const names[] = {
        "",
        "missing",
        "token/",
        "token%2f",
        "token.",
        ".hidden",
        "%2ehidden",
        "dot.ted",
        "folder",
        "folder/",
        "folder/nested",
        "link",
        "link-inside",
        "fifo",
        "device",
        "too-large",
        "tok%C3%A9n",
        "%2fsecret",
        "token%20",
        "to+ken",
        "token~",
    };
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
    leave_traps();
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    for (int place = REDIRECTS; place <= SERVES; place++) {
        struct client *client = open_plain(gateway, place);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            expect_refusal(client_get(client, "a.test", text(FOLDER "%s", names[i])), 404,
                           "no_route");
        for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
            client_send(client,
                        "%s " FOLDER "token HTTP/1.1\r\nHost: a.test\r\n"
                        "Content-Length: 0\r\n\r\n",
                        methods[i]);
            expect_refusal(client_response(client), 404, "no_route");
        }
        struct message *largest = client_get(client, "a.test", FOLDER "largest");
        expect_status(largest, 200);
        cr_assert_eq(largest->body_bytes, 64 * 1024);
        expect_token(client, "a.test", "token", "content");
    }
    gateway_stop(gateway);
}

Test(acme_webroot, overlong_names_are_404)
{
    char name[4096] = "";
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");
    struct client *client = open_plain(gateway, REDIRECTS);

    memset(name, 'a', 255);
    expect_refusal(client_get(client, "a.test", text(FOLDER "%s", name)), 404, "no_route");
    memset(name, 'a', sizeof name - 1);
    expect_refusal(client_get(client, "a.test", text(FOLDER "%s", name)), 404, "no_route");
    gateway_stop(gateway);
}

Test(acme_webroot, nothing_leads_out_of_the_folder)
{
    static const char *const paths[] = {
        FOLDER "../../../secret",
        FOLDER "%2e%2e/%2e%2e/%2e%2e/secret",
        FOLDER "..%2f..%2f..%2fsecret",
        FOLDER "..",
        FOLDER ".",
        FOLDER "token%00x",
        FOLDER "..%5c..%5csecret",
    };
    leave_traps();
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        expect_refusal(client_get(open_plain(gateway, SERVES), "a.test", paths[i]), 400,
                       "bad_request");
    gateway_stop(gateway);
}

Test(acme_webroot, folder_that_comes_later)
{
    struct gateway *gateway = gateway_start("{ " LISTEN("later") " }");
    struct client *client = open_plain(gateway, REDIRECTS);

    gateway_wait_stderr(gateway, "there is no folder", NULL);
    expect_refusal(client_get(client, "a.test", FOLDER "token"), 404, "no_route");
    leave_token("later", "token", "content");
    expect_token(client, "a.test", "token", "content");
    gateway_stop(gateway);
}

Test(acme_webroot, swap_changes_it_for_open_connections_too)
{
    leave_token("one", "token", "one");
    leave_token("two", "token", "two");
    struct gateway *gateway = gateway_start("{ " LISTEN("one") " }");
    struct client *client = open_plain(gateway, REDIRECTS);

    expect_token(client, "a.test", "token", "one");
    gateway_rewrite("{ " LISTEN("two") " }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_token(client, "a.test", "token", "two");
    gateway_rewrite("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
                    "  'http': ['127.0.0.1:0', '127.0.0.1:0', '127.0.0.1:0'] }, 'certs': 'certs',"
                    "  'routes': {} }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_status(client_get(client, "a.test", FOLDER "token"), 308);
    gateway_stop(gateway);
}

Test(acme_webroot, many_at_once)
{
    enum { CLIENTS = 100, ROUNDS = 5 };
    struct client *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        leave_token("acme", text("token%d", i), text("content %d", i));
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    for (int i = 0; i < CLIENTS; i++)
        clients[i] = open_plain(gateway, i % 2);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            client_send(clients[i], "GET " FOLDER "token%d HTTP/1.1\r\nHost: a.test\r\n\r\n", i);
        for (int i = 0; i < CLIENTS; i++)
            expect_body(client_response(clients[i]), text("content %d", i));
    }
    gateway_stop(gateway);
}

/* Each leaves while its file is being read, or before. */
Test(acme_webroot, clients_that_leave_early_leave_nothing)
{
    leave_token("acme", "token", "content");
    struct gateway *gateway = gateway_start("{ " LISTEN("acme") " }");

    expect_token(open_plain(gateway, REDIRECTS), "a.test", "token", "content");
    int files = gateway_open_files(gateway);
    for (int i = 0; i < 200; i++) {
        struct client *client = open_plain(gateway, i % 2);
        client_send(client, "GET " FOLDER "token HTTP/1.1\r\nHost: a.test\r\n\r\n");
        client_close(client);
    }
    long long start = monitor_now_ms();
    while (gateway_open_files(gateway) > files)
        workplace_require(monitor_may_ask_again(start), "descriptors are left behind");
    expect_token(open_plain(gateway, SERVES), "a.test", "token", "content");
    gateway_stop(gateway);
}
