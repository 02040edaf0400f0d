/* HTTP/2: connections that many requests share. How they come about, whom they serve, and that
 * their streams are no connections. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_connections);

static uint32_t ask_host(struct h2_client *client, const char *host)
{
    return h2_send_request(client, &(struct h2_request){.authority = host});
}

/* --- how they come about ------------------------------------------------------------------------
 */

static void expect_chosen(struct gateway *gateway, const char *offered, const char *chosen)
{
    struct client *client = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .alpn = offered});
    const unsigned char *name = NULL;
    unsigned length = 0;

    SSL_get0_alpn_selected(client->wire.ssl, &name, &length);
    workplace_require(length == strlen(chosen) && strncmp((const char *)name, chosen, length) == 0,
                      "of %s '%.*s' was chosen", offered, (int)length, name);
    client_close(client);
}

Test(h2_connections, chosen_whatever_the_clients_order)
{
    struct h2_scene scene = h2_scene_start("");

    expect_chosen(scene.gateway, "h2,http/1.1", "h2");
    expect_chosen(scene.gateway, "http/1.1,h2", "h2");
    expect_chosen(scene.gateway, "http/1.1", "http/1.1");
    gateway_rewrite("{ @base, 'tls': { 'alpn': ['http/1.1'] }, 'routes': { 'a.test': '%s' } }",
                    origin_address(scene.origin));
    expect_status(ask_admin("POST", "/reload"), 200);
    expect_chosen(scene.gateway, "h2,http/1.1", "http/1.1");
    gateway_stop(scene.gateway);
}

Test(h2_connections, over_tls_1_2)
{
    struct h2_scene scene = h2_scene_start("");
    struct client_options tls = {.max_version = TLS1_2_VERSION};
    struct h2_client *client = h2_open(scene.gateway, &(struct h2_options){.tls = &tls});

    h2_expect_from(client, h2_get(client, "/"), "one");
    json_t *entry = log_entry(scene.gateway, 0);
    cr_assert_not_null(strstr(json_string_value(json_member(entry, "tls.version")), "1.2"));
    expect_string(entry, "proto", "HTTP/2.0");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* What the handshake decided stays, whatever is loaded since. */
Test(h2_connections, live_on_when_h2_is_spoken_no_more)
{
    struct h2_scene scene = h2_scene_start("");
    struct h2_client *client = h2_open(scene.gateway, NULL);

    h2_expect_from(client, h2_get(client, "/"), "one");
    gateway_rewrite("{ @base, 'tls': { 'alpn': ['http/1.1'] }, 'routes': { 'a.test': '%s' } }",
                    origin_address(scene.origin));
    expect_status(ask_admin("POST", "/reload"), 200);
    h2_expect_from(client, h2_get(client, "/"), "one");
    expect_number(log_entry(scene.gateway, 1), "generation", 2);
    h2_close(client);
    gateway_stop(scene.gateway);
}

Test(h2_connections, behind_a_proxy_that_names_the_client)
{
    static const char line[] = "PROXY TCP4 203.0.113.7 203.0.113.9 4711 443\r\n";
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ 'listen': { 'admin': 'unix:@tmp/admin.sock', 'https': { 'bind': '127.0.0.1:0',"
        "    'proxy_protocol': { 'from': ['127.0.0.0/8'] } } },"
        "  'certs': 'certs', 'log': { 'format': 'json' }, 'routes': { 'a.test': '%s' } }",
        origin_address(origin));
    struct h2_client *client = h2_open(gateway, &(struct h2_options){.proxy_header = line});

    for (int i = 0; i < 2; i++) {
        h2_expect_from(client, h2_get(client, "/"), "one");
        expect_field(origin_request(origin, i), "x-forwarded-for", "203.0.113.7");
        expect_field(origin_request(origin, i), "x-forwarded-proto", "https");
        expect_string(log_entry(gateway, i), "client_ip", "203.0.113.7");
    }
    h2_close(client);
    gateway_stop(gateway);
}

/* --- whom they serve ----------------------------------------------------------------------------
 */

/* RFC 9113 section 9.1.1: clients use one connection for all names of its certificate. */
Test(h2_connections, names_of_one_certificate_share_a_connection)
{
    workplace_make_folder("own");
    cert_write_bundle(cert_new("one.example, *.one.example"), workplace_path("own/one.pem"));
    cert_write_bundle(cert_new("two.example"), workplace_path("own/two.pem"));
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                      "  'certs': 'own', 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    struct h2_client *client = h2_open(gateway, &(struct h2_options){.sni = "one.example"});

    h2_hold(client);
    uint32_t other = ask_host(client, "two.example"), same = ask_host(client, "x.one.example");
    uint32_t own = ask_host(client, "one.example"), nobodys = ask_host(client, "nobody.example");
    h2_release(client);
    expect_refusal(h2_response(client, other), 421, "misdirected");
    expect_body(h2_expect_response(client, same, 200), "ok");
    expect_body(h2_expect_response(client, own, 200), "ok");
    expect_body(h2_expect_response(client, nobodys, 200), "ok");
    h2_close(client);
    gateway_stop(gateway);
}

/* --- streams are no connections -----------------------------------------------------------------
 */

Test(h2_connections, limits_of_connections_do_not_count_streams)
{
    enum { STREAMS = 20 };
    struct h2_scene scene =
        h2_scene_start("'defaults': { 'limits': { 'connections': 1, 'connections_per_ip': 1 } },");
    struct h2_client *client = h2_open(scene.gateway, NULL);
    struct gate *gate = gate_new();
    uint32_t streams[STREAMS];

    h2_script_tell_at(scene.origin, NULL, gate);
    for (int i = 0; i < STREAMS; i++)
        streams[i] = h2_get(client, "/");
    origin_wait_requests(scene.origin, STREAMS);
    cr_assert_null(h2_make(scene.gateway, NULL), "a second connection was let in");
    gate_open(gate);
    for (int i = 0; i < STREAMS; i++)
        h2_expect_from(client, streams[i], "one");
    h2_close(client);
    gateway_stop(scene.gateway);
}

/* And a limit of requests counts each of them. */
Test(h2_connections, limits_of_backends_count_streams)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'max_requests': 2 } },"
                      "  'routes': { 'a.test': 'b' } }",
                      origin_address(origin));
    struct h2_client *client = h2_open(gateway, NULL);
    struct gate *gate = gate_new();

    h2_script_tell_at(origin, "/slow", gate);
    uint32_t slow[2] = {h2_get(client, "/slow"), h2_get(client, "/slow")};
    origin_wait_requests(origin, 2);
    expect_refusal(h2_response(client, h2_get(client, "/")), 503, "over_limit");
    expect_refusal(h2_response(client, h2_get(client, "/")), 503, "over_limit");
    gate_open(gate);
    for (int i = 0; i < 2; i++)
        h2_expect_from(client, slow[i], "one");
    h2_expect_from(client, h2_get(client, "/"), "one");
    h2_close(client);
    gateway_stop(gateway);
}

/* Two clients with as many streams each, on two workers. */
Test(h2_connections, connections_are_each_others_equals)
{
    enum { CLIENTS = 8, STREAMS = 25 };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': '%s' } }",
                             origin_address(origin)),
        .workers = 2});
    struct h2_client *clients[CLIENTS];
    uint32_t streams[CLIENTS][STREAMS];

    for (int i = 0; i < CLIENTS; i++)
        clients[i] = h2_open(gateway, NULL);
    for (int n = 0; n < STREAMS; n++)
        for (int i = 0; i < CLIENTS; i++)
            streams[i][n] = h2_get(clients[i], text("/%d/%d", i, n));
    for (int i = 0; i < CLIENTS; i++)
        for (int n = 0; n < STREAMS; n++) {
            h2_expect_from(clients[i], streams[i][n], "one");
            const char *body = h2_stream(clients[i], streams[i][n])->response->body;
            cr_assert_not_null(strstr(body, text("GET /%d/%d HTTP/1.1\r\n", i, n)));
        }
    cr_assert_eq(origin_requests(origin), CLIENTS * STREAMS);
    for (int i = 0; i < CLIENTS; i++)
        h2_close(clients[i]);
    gateway_stop(gateway);
}
