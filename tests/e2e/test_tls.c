/* The TLS side: versions, ciphers, groups, ALPN, tickets, and peers that do not speak TLS at all.
 */
#include "harness/json_log.h"
#include "harness/test_certs.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <openssl/bio.h>
#include <string.h>

E2E_SUITE(tls);

#define HANDSHAKE_FAILURE       40
#define PROTOCOL_VERSION        70
#define NO_APPLICATION_PROTOCOL 120

static struct gateway *start_with_tls(const char *tls)
{
    return gateway_start(
        "{ @base, 'tls': { %s }, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }", tls);
}

static void expect_alert(struct gateway *gateway, const struct client_options *options, int alert)
{
    struct client *client = client_try(gateway_https(gateway), options);

    workplace_require(client != NULL && !client->is_connected && client->alert == alert,
                      "connected %d, alert %d, not %d", client != NULL && client->is_connected,
                      client != NULL ? client->alert : -1, alert);
    client_close(client);
}

static void expect_served(struct gateway *gateway, const struct client_options *options)
{
    struct client *client = client_open_with(gateway_https(gateway), options);

    expect_body(client_get(client, "a.test", "/"), "ok");
    client_close(client);
}

Test(tls, versions_by_default)
{
    struct gateway *gateway = start_with_tls("");

    expect_served(gateway,
                  &(struct client_options){.sni = "a.test", .max_version = TLS1_2_VERSION});
    expect_served(gateway,
                  &(struct client_options){.sni = "a.test", .min_version = TLS1_3_VERSION});
    expect_alert(gateway,
                 &(struct client_options){.sni = "a.test",
                                          .min_version = TLS1_VERSION,
                                          .max_version = TLS1_1_VERSION,
                                          .ciphers = "ALL:@SECLEVEL=0"},
                 PROTOCOL_VERSION);
    gateway_stop(gateway);
}

Test(tls, min_version_1_3)
{
    struct gateway *gateway = start_with_tls("'min_version': '1.3'");

    expect_served(gateway, &(struct client_options){.sni = "a.test"});
    expect_alert(gateway, &(struct client_options){.sni = "a.test", .max_version = TLS1_2_VERSION},
                 PROTOCOL_VERSION);
    gateway_stop(gateway);
}

Test(tls, ciphers_of_mozilla_intermediate)
{
    static const char *const accepted[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                           "ECDHE-ECDSA-AES256-GCM-SHA384",
                                           "ECDHE-ECDSA-CHACHA20-POLY1305"};
    static const char *const refused[] = {"ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256",
                                          "ECDHE-ECDSA-AES128-SHA256"};
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    struct gateway *gateway = start_with_tls("");

    for (int i = 0; i < 3; i++) {
        struct client_options options = {
            .sni = "a.test", .max_version = TLS1_2_VERSION, .ciphers = accepted[i]};
        expect_served(gateway, &options);
        options.ciphers = refused[i];
        expect_alert(gateway, &options, HANDSHAKE_FAILURE);
        expect_served(gateway, &(struct client_options){.sni = "a.test",
                                                        .min_version = TLS1_3_VERSION,
                                                        .suites = suites[i]});
    }
    gateway_stop(gateway);
}

Test(tls, ciphers_in_our_order_but_for_chacha)
{
    static const struct {
        const char *offered, *chosen;
    } rows[] = {
        {"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
         "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
         "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
         "ECDHE-ECDSA-AES128-GCM-SHA256"},
    };
    struct gateway *gateway = start_with_tls("");

    for (int i = 0; i < 3; i++) {
        struct client *client = client_open_with(
            gateway_https(gateway), &(struct client_options){.sni = "a.test",
                                                             .max_version = TLS1_2_VERSION,
                                                             .ciphers = rows[i].offered});
        cr_assert_str_eq(SSL_get_cipher_name(client->wire.ssl), rows[i].chosen);
        client_close(client);
    }
    gateway_stop(gateway);
}

Test(tls, groups)
{
    static const char *const groups[] = {"X25519", "P-256", "P-384"};
    struct gateway *gateway = start_with_tls("");

    for (int i = 0; i < 3; i++) {
        expect_served(gateway, &(struct client_options){.sni = "a.test",
                                                        .min_version = TLS1_3_VERSION,
                                                        .groups = groups[i]});
    }
    gateway_stop(gateway);
}

static void expect_chosen(struct gateway *gateway, const char *offer, const char *protocol)
{
    struct client *client = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .alpn = offer});
    const unsigned char *chosen = NULL;
    unsigned length = 0;

    SSL_get0_alpn_selected(client->wire.ssl, &chosen, &length);
    cr_expect_str_eq(text("%.*s", (int)length, chosen ? (const char *)chosen : ""), protocol,
                     "of %s", offer ? offer : "nothing");
    client_close(client);
}

Test(tls, alpn)
{
    struct gateway *gateway = start_with_tls("");

    expect_chosen(gateway, "h2,http/1.1", "h2");
    expect_chosen(gateway, "http/1.1,h2", "h2");
    expect_chosen(gateway, "http/1.1", "http/1.1");
    expect_chosen(gateway, NULL, "");
    expect_served(gateway, &(struct client_options){.sni = "a.test", .alpn = "h9,http/1.1"});
    expect_served(gateway, &(struct client_options){.sni = "a.test"});
    expect_alert(gateway, &(struct client_options){.sni = "a.test", .alpn = "h9,spdy/3"},
                 NO_APPLICATION_PROTOCOL);
    gateway_stop(gateway);
}

Test(tls, alpn_as_told)
{
    struct gateway *gateway = start_with_tls("'alpn': ['http/1.1']");

    expect_chosen(gateway, "h2,http/1.1", "http/1.1");
    expect_served(gateway, &(struct client_options){.sni = "a.test", .alpn = "h9,http/1.1"});
    expect_alert(gateway, &(struct client_options){.sni = "a.test", .alpn = "h2"},
                 NO_APPLICATION_PROTOCOL);
    gateway_stop(gateway);
}

/* Whatever the order in which a client offers them. */
Test(tls, alpn_in_the_order_of_the_list)
{
    struct gateway *gateway = start_with_tls("'alpn': ['http/1.1', 'h2']");

    expect_chosen(gateway, "h2,http/1.1", "http/1.1");
    expect_chosen(gateway, "h2", "h2");
    gateway_stop(gateway);
}

/* A client that offers no list speaks HTTP/1.1, as ever (RFC 9113 section 3.2). */
Test(tls, alpn_of_http_2_alone)
{
    struct gateway *gateway = start_with_tls("'alpn': ['h2']");

    expect_chosen(gateway, "h2,http/1.1", "h2");
    expect_alert(gateway, &(struct client_options){.sni = "a.test", .alpn = "http/1.1"},
                 NO_APPLICATION_PROTOCOL);
    expect_served(gateway, &(struct client_options){.sni = "a.test"});
    gateway_stop(gateway);
}

/* A connection that was used, so that its tickets have come; they are in client->session. */
static struct client *used_connection(struct gateway *gateway, const struct client_options *options)
{
    struct client *client = client_open_with(gateway_https(gateway), options);

    expect_body(client_get(client, "a.test", "/"), "ok");
    client_close(client);
    return client;
}

static void resume_on_any_worker(int version)
{
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }"),
        .workers = 2});
    struct client_options options = {
        .sni = "a.test", .min_version = version, .max_version = version};

    for (int i = 0; i < 4; i++) {
        options.session = NULL;
        struct client *first = used_connection(gateway, &options);
        cr_assert_not_null(first->session, "no ticket came");
        for (int j = 0; j < 6; j++) {
            options.session = SSL_SESSION_dup(first->session);
            struct client *again = client_open_with(gateway_https(gateway), &options);
            SSL_SESSION_free(options.session);
            workplace_require(SSL_session_reused(again->wire.ssl), "connection %d of %d: full", j,
                              i);
            expect_body(client_get(again, "a.test", "/"), "ok");
            client_close(again);
        }
    }
    gateway_stop(gateway);
}

Test(tls, tickets_resume_on_any_worker_1_2)
{
    resume_on_any_worker(TLS1_2_VERSION);
}

Test(tls, tickets_resume_on_any_worker_1_3)
{
    resume_on_any_worker(TLS1_3_VERSION);
}

Test(tls, tickets_off)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct gateway *gateway = start_with_tls("'tickets': false");

    for (int i = 0; i < 2; i++) {
        struct client_options options = {
            .sni = "a.test", .min_version = versions[i], .max_version = versions[i]};
        struct client *first = used_connection(gateway, &options);
        if (first->session == NULL)
            continue;
        options.session = SSL_SESSION_dup(first->session);
        struct client *again = client_open_with(gateway_https(gateway), &options);
        SSL_SESSION_free(options.session);
        cr_assert(!SSL_session_reused(again->wire.ssl));
    }
    gateway_stop(gateway);
}

Test(tls, ticket_of_another_name_does_not_resume)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct cert *other = cert_new("other.example");
    cert_write_bundle(other, workplace_path("certs/other.pem"));
    struct gateway *gateway = start_with_tls("");

    for (int i = 0; i < 2; i++) {
        struct client_options options = {
            .sni = "a.test", .min_version = versions[i], .max_version = versions[i]};
        struct client *first = used_connection(gateway, &options);
        cr_assert_not_null(first->session);
        options.session = SSL_SESSION_dup(first->session);
        options.sni = "other.example";
        struct client *again = client_open_with(gateway_https(gateway), &options);
        SSL_SESSION_free(options.session);
        cr_assert(!SSL_session_reused(again->wire.ssl));
        cr_assert(cert_is(other, client_peer(again)));
    }
    gateway_stop(gateway);
}

Test(tls, handshake_byte_by_byte)
{
    struct gateway *gateway = start_with_tls("");
    struct client *client = client_open_plain(gateway_https(gateway));
    client->context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(client->context);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    char byte;
    static const char request[] = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

    SSL_set_bio(ssl, in, out);
    SSL_set_tlsext_host_name(ssl, "a.test");
    while (SSL_connect(ssl) != 1) {
        while (BIO_read(out, &byte, 1) == 1)
            client_send_bytes(client, &byte, 1);
        cr_assert(wire_fill(&client->wire), "the gateway ended the handshake");
        BIO_write(in, wire_bytes(&client->wire), (int)wire_held(&client->wire));
        wire_take(&client->wire, wire_held(&client->wire));
    }
    SSL_write(ssl, request, sizeof request - 1);
    while (BIO_read(out, &byte, 1) == 1)
        client_send_bytes(client, &byte, 1);
    char answer[4096];
    int got;
    while ((got = SSL_read(ssl, answer, sizeof answer - 1)) <= 0) {
        cr_assert(wire_fill(&client->wire), "the gateway ended the connection");
        BIO_write(in, wire_bytes(&client->wire), (int)wire_held(&client->wire));
        wire_take(&client->wire, wire_held(&client->wire));
    }
    answer[got] = '\0';
    cr_assert_eq(strncmp(answer, "HTTP/1.1 200", 12), 0, "%s", answer);
    SSL_free(ssl);
    gateway_stop(gateway);
}

Test(tls, plain_http_on_the_tls_port)
{
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
                                           "POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
                                           "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n"};
    struct gateway *gateway = start_with_tls("");

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct client *client = client_open_plain(gateway_https(gateway));
        client_send(client, "%s", requests[i]);
        struct message *response = client_response(client);
        cr_assert_eq(response->status, 400);
        if (i == 0)
            cr_assert(strstr(response->body, "HTTPS") != NULL ||
                          strstr(response->body, "TLS") != NULL,
                      "it does not say why: %s", response->body);
        client_expect_end(client);
    }
    expect_served(gateway, &(struct client_options){.sni = "a.test"});
    gateway_stop(gateway);
}

Test(tls, garbage_instead_of_a_client_hello)
{
    static const char *const garbage[] = {
        "\x16\x03\x01\xff\xff garbage garbage garbage garbage",
        "\x16\x03\x01\x01\x2c\x01\x01\x01\x28\x03\x03 and then nothing that is TLS at all",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "\x80\x2e\x01\x03\x01",
        "\x15\x03\x01\x01\x02\x02\x28",
    };
    struct gateway *gateway = start_with_tls("");

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct client *client = client_open_plain(gateway_https(gateway));
        client_send(client, "%s", garbage[i]);
        wire_half_close(&client->wire);
        enum wire_end end = client_read_to_end(client);
        workplace_require(end == WIRE_CLOSED || end == WIRE_RESET, "garbage %zu is waited for", i);
    }
    expect_served(gateway, &(struct client_options){.sni = "a.test"});
    gateway_stop(gateway);
}

Test(tls, handshake_that_never_ends)
{
    struct gateway *gateway =
        gateway_start("{ @base, 'defaults': { 'timeout': { 'handshake': '100ms' } },"
                      "  'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    struct client *silent = client_open_plain(gateway_https(gateway));
    struct client *half = client_open_plain(gateway_https(gateway));

    client_send_bytes(half, "\x16\x03\x01\x02\x00\x01\x00", 7);
    enum wire_end end = client_read_to_end(silent);
    cr_assert(end == WIRE_CLOSED || end == WIRE_RESET);
    end = client_read_to_end(half);
    cr_assert(end == WIRE_CLOSED || end == WIRE_RESET);
    gateway_stop(gateway);
}

Test(tls, silent_peer_costs_nobody_else)
{
    struct gateway *gateway = start_with_tls("");

    for (int i = 0; i < 20; i++)
        client_send_bytes(client_open_plain(gateway_https(gateway)), "\x16\x03", 2);
    for (int i = 0; i < 5; i++)
        expect_served(gateway, &(struct client_options){.sni = "a.test"});
    gateway_stop(gateway);
}

Test(tls, close_is_announced)
{
    struct gateway *gateway = start_with_tls("");
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    expect_status(client_response(client), 200);
    client_expect_end(client);
    gateway_stop(gateway);
}
