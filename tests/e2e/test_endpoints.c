/* The admin socket and the status listener: who may ask what. */
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(endpoints);

static struct gateway *start(void)
{
    return gateway_start("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }");
}

Test(endpoints, health_and_readiness_on_both)
{
    struct gateway *gateway = start();
    const char *status = gateway_address(gateway, "status", 0);

    expect_status(ask_admin("GET", "/healthz"), 200);
    expect_status(ask_admin("GET", "/readyz"), 200);
    expect_status(ask_plain(status, "GET", "/healthz"), 200);
    expect_status(ask_plain(status, "GET", "/readyz"), 200);
    struct message *head = ask_plain(status, "HEAD", "/healthz");
    expect_status(head, 200);
    cr_assert_eq(head->body_bytes, 0);
    expect_status(ask_admin("HEAD", "/readyz"), 200);
    gateway_stop(gateway);
}

Test(endpoints, status_is_json)
{
    struct gateway *gateway = start();
    struct message *response = ask_admin("GET", "/status");

    expect_status(response, 200);
    cr_assert_eq(strncmp(message_field(response, "content-type"), "application/json", 16), 0);
    expect_number(json_from(response->body), "generation", 1);
    cr_assert_not_null(strstr(response->body, gateway_https(gateway)));
    response = ask_plain(gateway_address(gateway, "status", 0), "GET", "/status");
    expect_status(response, 200);
    expect_number(json_from(response->body), "generation", 1);
    gateway_rewrite("{ @base, 'routes': { 'b.test': { 'respond': {} } } }");
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_number(json_from(ask_admin("GET", "/status")->body), "generation", 2);
    gateway_stop(gateway);
}

Test(endpoints, status_listener_changes_nothing)
{
    struct gateway *gateway = start();
    const char *status = gateway_address(gateway, "status", 0);

    gateway_rewrite("{ @base, 'routes': { 'b.test': { 'respond': {} } } }");
    cr_assert_geq(ask_plain(status, "POST", "/reload")->status, 400);
    cr_assert_geq(ask_plain(status, "POST", "/drain")->status, 400);
    expect_status(ask_plain(status, "GET", "/readyz"), 200);
    expect_number(json_from(ask_admin("GET", "/status")->body), "generation", 1);
    gateway_stop(gateway);
}

Test(endpoints, methods_that_do_not_fit_are_405)
{
    static const char *const pairs[][2] = {{"POST", "/healthz"}, {"DELETE", "/status"},
                                           {"PUT", "/readyz"},   {"GET", "/reload"},
                                           {"GET", "/drain"},    {"HEAD", "/reload"}};
    struct gateway *gateway = start();

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct message *response = ask_admin(pairs[i][0], pairs[i][1]);
        workplace_require(response->status == 405, "%s %s: %s", pairs[i][0], pairs[i][1],
                          response->head);
    }
    expect_status(ask_plain(gateway_address(gateway, "status", 0), "POST", "/healthz"), 405);
    gateway_stop(gateway);
}

Test(endpoints, unknown_paths_are_404)
{
    struct gateway *gateway = start();

    expect_status(ask_admin("GET", "/nothing"), 404);
    expect_status(ask_admin("GET", "/"), 404);
    expect_status(ask_plain(gateway_address(gateway, "status", 0), "GET", "/nothing"), 404);
    gateway_stop(gateway);
}

Test(endpoints, keep_alive_and_nonsense)
{
    struct gateway *gateway = start();
    struct client *client = client_open_plain(gateway_address(gateway, "status", 0));

    for (int i = 0; i < 3; i++)
        expect_status(client_get(client, "gateway", "/healthz"), 200);
    client = client_open_plain(gateway_address(gateway, "status", 0));
    client_send(client, "this is no HTTP\r\n\r\n");
    cr_assert_eq(client_response(client)->status, 400);
    client = client_open_plain(gateway_address(gateway, "status", 0));
    client_send_slowly(client, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_status(client_response(client), 200);
    gateway_stop(gateway);
}

Test(endpoints, are_not_on_the_traffic_side)
{
    struct gateway *gateway = start();

    expect_body(fetch(gateway, "a.test", "/healthz"), "ok");
    expect_refusal(fetch(gateway, "b.test", "/reload"), 404, "no_route");
    gateway_stop(gateway);
}

Test(endpoints, silent_asker_stops_nobody)
{
    struct gateway *gateway = start();

    for (int i = 0; i < 5; i++) {
        client_send(client_open_plain(gateway_address(gateway, "status", 0)), "GET /hea");
        client_send(client_open_plain(text("unix:%s/admin.sock", workplace_folder())), "POST /r");
    }
    expect_status(ask_admin("GET", "/healthz"), 200);
    expect_status(ask_plain(gateway_address(gateway, "status", 0), "GET", "/healthz"), 200);
    gateway_stop(gateway);
}
