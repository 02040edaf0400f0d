/* Clients that have to say who they are: which certificates do, who is told, and that no way leads
 * around it. */
#include "harness/await.h"
#include "harness/command.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/test_certs.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(client_certs);

#define HANDSHAKE_FAILURE       40
#define UNSUPPORTED_CERTIFICATE 43
#define CERTIFICATE_EXPIRED     45
#define UNKNOWN_CA              48
#define CERTIFICATE_REQUIRED    116

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* An authority in TMP/ca.pem (or another file), and clients of it. */
static struct cert *make_ca(const char *name, const char *file)
{
    struct cert *ca =
        cert_make(&(struct cert_options){.subject = name, .is_authority = true, .is_root = true});

    if (file != NULL)
        cert_write_alone(ca, workplace_path("%s", file));
    return ca;
}

static struct cert *make_client(const struct cert *ca, const char *name)
{
    return cert_make(
        &(struct cert_options){.subject = name, .purpose = "clientAuth", .issuer = ca});
}

static struct client *try_as(struct gateway *gateway, const char *sni, int version,
                             const struct cert *cert)
{
    struct client_options options = {
        .sni = sni, .min_version = version, .max_version = version, .cert = cert};
    struct client *client = client_try(gateway_https(gateway), &options);

    workplace_require(client != NULL, "no connection");
    return client;
}

static void expect_outcome(struct gateway *gateway, int version, const struct cert *cert, int alert)
{
    struct client *client = try_as(gateway, "a.test", version, cert);
    int outcome = client_outcome(client, "a.test");

    workplace_require(outcome == alert, "TLS %x: alert %d, not %d", version, outcome, alert);
    client_close(client);
}

static void run_says(int exit_code, const char *words, const struct command *command)
{
    command_expect(command, exit_code);
    command_says(command, words);
}

static struct gateway *start_with(struct origin *origin, const char *tls)
{
    return gateway_start("{ @base, 'tls': { %s }, 'routes': { '*': '%s' } }", tls,
                         origin_address(origin));
}

/* --- which certificates do ---------------------------------------------------------------------
 */

Test(client_certs, a_good_certificate_is_let_in_and_told_to_the_backend)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");

    for (int i = 0; i < 2; i++) {
        struct client *client = try_as(gateway, "a.test", versions[i], alice);
        expect_from(client_get(client, "a.test", "/"), "o");
        expect_field(origin_last_request(origin), "X-Client-Cert-Subject", "CN=alice");
        expect_field(origin_last_request(origin), "X-Client-Cert-Fingerprint",
                     cert_fingerprint(alice));
        client_close(client);
    }
    gateway_stop(gateway);
}

static void refuse_all_but_good(const char *auth, int none_1_2, int none_1_3)
{
    struct cert *ca = make_ca("Own CA", "ca.pem"), *stranger = make_ca("Own CA", NULL);
    struct cert *foreign = make_client(make_ca("Other CA", NULL), "mallory");
    struct cert *forged = make_client(stranger, "mallory");
    struct cert *expired = cert_make(&(struct cert_options){.subject = "late",
                                                            .purpose = "clientAuth",
                                                            .issuer = ca,
                                                            .from_days = -20,
                                                            .to_days = -10});
    struct cert *server = cert_make(&(struct cert_options){.subject = "server", .issuer = ca});
    struct cert *any =
        cert_make(&(struct cert_options){.subject = "any", .purpose = "", .issuer = ca});
    struct origin *origin = origin_start("o");
    struct gateway *gateway =
        start_with(origin, text("'client_ca': 'ca.pem', 'client_auth': '%s'", auth));

    for (int i = 0; i < 2; i++) {
        expect_outcome(gateway, versions[i], NULL, i == 0 ? none_1_2 : none_1_3);
        expect_outcome(gateway, versions[i], make_client(ca, "alice"), 0);
        expect_outcome(gateway, versions[i], any, 0);
        expect_outcome(gateway, versions[i], foreign, UNKNOWN_CA);
        expect_outcome(gateway, versions[i], forged, UNKNOWN_CA);
        expect_outcome(gateway, versions[i], expired, CERTIFICATE_EXPIRED);
        expect_outcome(gateway, versions[i], server, UNSUPPORTED_CERTIFICATE);
    }
    gateway_stop(gateway);
}

Test(client_certs, require_refuses_none_foreign_forged_expired_and_not_for_clients)
{
    refuse_all_but_good("require", HANDSHAKE_FAILURE, CERTIFICATE_REQUIRED);
}

Test(client_certs, request_lets_none_in_and_refuses_what_does_not_verify)
{
    refuse_all_but_good("request", 0, 0);
}

Test(client_certs, nobody_in_particular_is_told_of_nobody)
{
    make_ca("Own CA", "ca.pem");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem', 'client_auth': 'request'");
    struct client *client = client_open(gateway, "a.test");

    expect_from(client_get(client, "a.test", "/"), "o");
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Subject");
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Fingerprint");
    gateway_stop(gateway);
}

Test(client_certs, intermediates_come_from_the_client)
{
    struct cert *ca = make_ca("Own CA", "ca.pem");
    struct cert *between =
        cert_make(&(struct cert_options){.subject = "Between", .is_authority = true, .issuer = ca});
    struct cert *alice = make_client(between, "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");

    for (int i = 0; i < 2; i++) {
        struct client_options options = {.sni = "a.test",
                                         .cert = alice,
                                         .min_version = versions[i],
                                         .max_version = versions[i],
                                         .shows_leaf_alone = true};
        expect_outcome(gateway, versions[i], alice, 0);
        cr_assert_eq(client_outcome(client_try(gateway_https(gateway), &options), "a.test"),
                     UNKNOWN_CA);
    }
    gateway_stop(gateway);
}

Test(client_certs, an_intermediate_in_the_file_is_trusted_by_itself)
{
    struct cert *ca = make_ca("Own CA", NULL);
    struct cert *between =
        cert_make(&(struct cert_options){.subject = "Between", .is_authority = true, .issuer = ca});
    struct cert *other =
        cert_make(&(struct cert_options){.subject = "Other", .is_authority = true, .issuer = ca});
    struct origin *origin = origin_start("o");

    cert_write_alone(between, workplace_path("ca.pem"));
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");
    expect_outcome(gateway, TLS1_3_VERSION, make_client(between, "alice"), 0);
    expect_outcome(gateway, TLS1_3_VERSION, make_client(other, "mallory"), UNKNOWN_CA);
    gateway_stop(gateway);
}

Test(client_certs, failures_are_counted_by_what_was_wrong)
{
    struct cert *ca = make_ca("Own CA", "ca.pem");
    struct cert *expired = cert_make(&(struct cert_options){.subject = "late",
                                                            .purpose = "clientAuth",
                                                            .issuer = ca,
                                                            .from_days = -20,
                                                            .to_days = -10});
    struct cert *server = cert_make(&(struct cert_options){.subject = "server", .issuer = ca});
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");
    static const char *const words[] = {"missing", "untrusted", "expired", "refused"};

    expect_outcome(gateway, TLS1_3_VERSION, NULL, CERTIFICATE_REQUIRED);
    expect_outcome(gateway, TLS1_3_VERSION, make_client(make_ca("X", NULL), "m"), UNKNOWN_CA);
    expect_outcome(gateway, TLS1_3_VERSION, expired, CERTIFICATE_EXPIRED);
    expect_outcome(gateway, TLS1_3_VERSION, server, UNSUPPORTED_CERTIFICATE);
    struct message *page =
        client_get(client_open_plain(gateway_address(gateway, "status", 0)), "x", "/metrics");
    for (int i = 0; i < 4; i++)
        workplace_require(
            strstr(page->body, text("sallyport_tls_handshakes_total{version=\"none\",resumed="
                                    "\"false\",result=\"client_cert_%s\"} 1\n",
                                    words[i])) != NULL,
            "client_cert_%s is not counted once", words[i]);
    gateway_stop(gateway);
}

/* --- resumption --------------------------------------------------------------------------------
 */

/* A connection of its own that has got a ticket. */
static SSL_SESSION *take_ticket(struct gateway *gateway, int version, const struct cert *cert)
{
    struct client *client = try_as(gateway, "a.test", version, cert);

    expect_from(client_get(client, "a.test", "/"), "o");
    client_close(client);
    cr_assert_not_null(client->session, "no ticket came");
    return client->session;
}

static struct client *resume(struct gateway *gateway, const char *sni, int version,
                             SSL_SESSION *session, const struct cert *cert)
{
    struct client_options options = {.sni = sni,
                                     .min_version = version,
                                     .max_version = version,
                                     .session = SSL_SESSION_dup(session),
                                     .cert = cert};
    struct client *client = client_try(gateway_https(gateway), &options);

    SSL_SESSION_free(options.session);
    workplace_require(client != NULL, "no connection");
    return client;
}

Test(client_certs, a_resumed_session_is_the_same_client_s)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'tls': { 'client_ca': 'ca.pem' }, 'routes': { '*': '%s' } }",
                             origin_address(origin)),
        .workers = 2});

    for (int i = 0; i < 2; i++) {
        SSL_SESSION *session = take_ticket(gateway, versions[i], alice);
        for (int j = 0; j < 4; j++) { /* on both workers, without showing anything */
            struct client *again = resume(gateway, "a.test", versions[i], session, NULL);
            expect_from(client_get(again, "a.test", "/"), "o");
            cr_assert(SSL_session_reused(again->wire.ssl));
            expect_field(origin_last_request(origin), "X-Client-Cert-Subject", "CN=alice");
            expect_field(origin_last_request(origin), "X-Client-Cert-Fingerprint",
                         cert_fingerprint(alice));
            client_close(again);
        }
    }
    gateway_stop(gateway);
}

Test(client_certs, nothing_is_resumed_after_the_authorities_changed)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");
    SSL_SESSION *sessions[2];

    for (int i = 0; i < 2; i++)
        sessions[i] = take_ticket(gateway, versions[i], alice);
    struct cert *bob = make_client(make_ca("New CA", "ca.pem"), "bob");
    run_says(0, "", SALLYPORT("reload", "-c", workplace_path("routes.json")));
    int served = origin_requests(origin);
    for (int i = 0; i < 2; i++) {
        struct client *client = resume(gateway, "a.test", versions[i], sessions[i], NULL);
        cr_assert_eq(client_outcome(client, "a.test"),
                     i == 0 ? HANDSHAKE_FAILURE : CERTIFICATE_REQUIRED);
        client = resume(gateway, "a.test", versions[i], sessions[i], alice);
        cr_assert_eq(client_outcome(client, "a.test"), UNKNOWN_CA);
        client = resume(gateway, "a.test", versions[i], sessions[i], bob);
        cr_assert_eq(client_outcome(client, "a.test"), 0);
        cr_assert(!SSL_session_reused(client->wire.ssl));
    }
    cr_assert_eq(origin_requests(origin), served + 2);
    gateway_stop(gateway);
}

Test(client_certs, a_session_without_a_certificate_is_none_where_one_is_required)
{
    make_ca("Own CA", "ca.pem");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = gateway_start(
        "{ @base, 'tls': { 'client_ca': 'ca.pem', 'client_auth': 'request' }, 'routes': { "
        "'a.test': '%s', 'b.test': { 'to': '%s', 'tls': { 'client_auth': 'require' } } } }",
        origin_address(origin), origin_address(origin));

    for (int i = 0; i < 2; i++) {
        SSL_SESSION *session = take_ticket(gateway, versions[i], NULL);
        struct client *client = resume(gateway, "b.test", versions[i], session, NULL);
        cr_assert_eq(client_outcome(client, "b.test"),
                     i == 0 ? HANDSHAKE_FAILURE : CERTIFICATE_REQUIRED);
        client = resume(gateway, "a.test", versions[i], session, NULL);
        cr_assert_eq(client_outcome(client, "a.test"), 0);
        cr_assert(SSL_session_reused(client->wire.ssl));
    }
    gateway_stop(gateway);
}

/* --- no way around -----------------------------------------------------------------------------
 */

static struct gateway *start_mixed(struct origin *origin)
{
    return gateway_start(
        "{ @base, 'routes': {"
        "    'a.test': { 'to': '%s', 'tls': { 'client_ca': 'ca.pem' } },"
        "    'b.test': { 'to': '%s', 'tls': { 'client_ca': 'other.pem' } },"
        "    'c.test': '%s',"
        "    '*.test': { 'to': '%s', 'tls': { 'client_ca': 'ca.pem', 'client_auth': 'request' } }"
        "} }",
        origin_address(origin), origin_address(origin), origin_address(origin),
        origin_address(origin));
}

Test(client_certs, another_sni_is_no_way_to_the_host)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct cert *bob = make_client(make_ca("Other CA", "other.pem"), "bob");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_mixed(origin);

    for (int i = 0; i < 2; i++) {
        struct client *open = try_as(gateway, "c.test", versions[i], alice);
        expect_from(client_get(open, "c.test", "/"), "o");
        expect_no_field(origin_last_request(origin), "X-Client-Cert-Subject");
        int served = origin_requests(origin);
        expect_refusal(client_get(open, "a.test", "/"), 421, "misdirected");
        expect_refusal(client_get(open, "A.test.:443", "/"), 421, "misdirected");
        expect_refusal(client_get(open, "x.test", "/"), 421, "misdirected");
        if (!speaks_h2()) { /* which has no such form */
            client_send(open, "GET https://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
            expect_refusal(client_response(open), 421, "misdirected");
        }
        struct client *other = try_as(gateway, "b.test", versions[i], bob);
        expect_refusal(client_get(other, "a.test", "/"), 421, "misdirected");
        cr_assert_eq(origin_requests(origin), served);
        expect_from(client_get(other, "b.test", "/"), "o");
        expect_field(origin_last_request(origin), "X-Client-Cert-Subject", "CN=bob");
        /* Whoever was verified for something else is nobody here. */
        expect_from(client_get(other, "c.test", "/"), "o");
        expect_no_field(origin_last_request(origin), "X-Client-Cert-Subject");
    }
    gateway_stop(gateway);
}

Test(client_certs, the_same_authorities_are_as_good_from_another_sni)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    make_ca("Other CA", "other.pem");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_mixed(origin);
    struct client *shown = try_as(gateway, "x.test", TLS1_3_VERSION, alice);
    struct client *silent = try_as(gateway, "x.test", TLS1_3_VERSION, NULL);

    expect_from(client_get(shown, "a.test", "/"), "o");
    expect_field(origin_last_request(origin), "X-Client-Cert-Subject", "CN=alice");
    expect_from(client_get(silent, "y.test", "/"), "o");
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Subject");
    expect_refusal(client_get(silent, "a.test", "/"), 421, "misdirected");
    gateway_stop(gateway);
}

Test(client_certs, a_wildcard_s_rule_ends_where_a_host_has_its_own_entry)
{
    make_ca("Own CA", "ca.pem");
    struct origin *origin = origin_start("o");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'c.test': '%s', '*.test': { 'to': '%s', 'tls': "
                      "{ 'client_ca': 'ca.pem' } } } }",
                      origin_address(origin), origin_address(origin));

    expect_from(fetch(gateway, "c.test", "/"), "o");
    struct client *client = try_as(gateway, "x.test", TLS1_3_VERSION, NULL);
    cr_assert_eq(client_outcome(client, "x.test"), CERTIFICATE_REQUIRED);
    gateway_stop(gateway);
}

Test(client_certs, a_host_may_turn_it_off)
{
    make_ca("Own CA", "ca.pem");
    struct origin *origin = origin_start("o");
    struct gateway *gateway =
        gateway_start("{ @base, 'tls': { 'client_ca': 'ca.pem' }, 'routes': { '*': '%s', 'c.test': "
                      "{ 'to': '%s', 'tls': { 'client_auth': 'off' } } } }",
                      origin_address(origin), origin_address(origin));

    expect_from(fetch(gateway, "c.test", "/"), "o");
    struct client *client = client_open(gateway, "c.test");
    expect_refusal(client_get(client, "a.test", "/"), 421, "misdirected");
    expect_refusal(client_get(client, "unknown.example", "/"), 421, "misdirected");
    gateway_stop(gateway);
}

/* --- what clients say of themselves ------------------------------------------------------------
 */

Test(client_certs, nobody_says_the_fields_but_the_gateway)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = gateway_start(
        "{ @base, 'trusted_proxies': ['127.0.0.0/8'], 'routes': { 'a.test': { 'to': '%s', 'tls': "
        "{ 'client_ca': 'ca.pem' } }, 'c.test': '%s' } }",
        origin_address(origin), origin_address(origin));
    static const char lies[] = "X-Client-Cert-Subject: CN=root\r\n"
                               "x-client-cert-fingerprint: 00\r\n"
                               "X-CLIENT-CERT-Verified: SUCCESS\r\n"
                               "Connection: x-client-cert-subject\r\n\r\n";
    struct client *client = try_as(gateway, "a.test", TLS1_3_VERSION, alice);

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n%s", lies);
    expect_from(client_response(client), "o");
    expect_field(origin_last_request(origin), "X-Client-Cert-Subject", "CN=alice");
    expect_field(origin_last_request(origin), "X-Client-Cert-Fingerprint", cert_fingerprint(alice));
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Verified");
    client = client_open(gateway, "c.test");
    client_send(client, "GET / HTTP/1.1\r\nHost: c.test\r\n%s", lies);
    expect_from(client_response(client), "o");
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Subject");
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Fingerprint");
    expect_no_field(origin_last_request(origin), "X-Client-Cert-Verified");
    gateway_stop(gateway);
}

static void tell_name(struct origin_turn *turn)
{
    const char *name = message_field(turn->request, "x-client-cert-subject");

    (void)wire_print(
        turn->wire, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(name), name);
}

/* The backend is told who it is, as by Authorization: what it says is for that client alone. */
Test(client_certs, answers_are_not_kept_for_others)
{
    struct cert *ca = make_ca("Own CA", "ca.pem");
    struct cert *certs[] = {make_client(ca, "alice"), make_client(ca, "bob")};
    static const char *const names[] = {"CN=alice", "CN=bob"};
    struct origin *origin = origin_start("o");
    struct gateway *gateway;

    origin_set_script(origin, NULL, tell_name, NULL);
    gateway = gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'cache': {}, "
                            "'tls': { 'client_ca': 'ca.pem' } } } }",
                            origin_address(origin));
    for (int i = 0; i < 2; i++) {
        struct client *client = try_as(gateway, "a.test", TLS1_3_VERSION, certs[i]);
        client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        expect_body(client_response(client), names[i]);
        client_close(client);
    }
    gateway_stop(gateway);
}

Test(client_certs, trailers_say_them_no_more_than_heads)
{
    struct origin *origin = origin_start("o");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { '*': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "1\r\nx\r\n0\r\nX-Client-Cert-Subject: CN=root\r\nX-Sum: 1\r\n\r\n");
    expect_status(client_response_to(client, "POST"), 200);
    struct message *request = origin_finished_request(origin, 0);
    cr_assert_eq(field_count(&request->trailers, "X-Sum"), 1);
    cr_assert_eq(field_count(&request->trailers, "X-Client-Cert-Subject"), 0);
    gateway_stop(gateway);
}

/* --- changes -----------------------------------------------------------------------------------
 */

Test(client_certs, a_swapped_file_is_noticed_and_open_connections_are_sent_back)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");
    struct client *open = try_as(gateway, "a.test", TLS1_3_VERSION, alice);
    size_t position = 0;

    expect_from(client_get(open, "a.test", "/"), "o");
    struct cert *bob = make_client(make_ca("New CA", "ca.pem"), "bob");
    gateway_wait_stderr(gateway, "generation 2 is served", &position);
    expect_refusal(client_get(open, "a.test", "/"), 421, "misdirected");
    expect_outcome(gateway, TLS1_3_VERSION, alice, UNKNOWN_CA);
    expect_outcome(gateway, TLS1_3_VERSION, bob, 0);
    gateway_stop(gateway);
}

Test(client_certs, what_changes_nothing_disturbs_nobody)
{
    struct cert *ca = make_ca("Own CA", "ca.pem"), *alice = make_client(ca, "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");
    struct client *open = try_as(gateway, "a.test", TLS1_3_VERSION, alice);

    expect_from(client_get(open, "a.test", "/"), "o");
    cert_write_alone(ca, workplace_path("ca.pem"));
    run_says(0, "nothing has changed", SALLYPORT("reload", "-c", workplace_path("routes.json")));
    gateway_rewrite("{ @base, 'tls': { 'client_ca': 'ca.pem' }, 'routes': { '*': '%s', 'b.test': "
                    "{ 'respond': {} } } }",
                    origin_address(origin));
    run_says(0, "", SALLYPORT("reload", "-c", workplace_path("routes.json")));
    expect_from(client_get(open, "a.test", "/"), "o");
    expect_field(origin_last_request(origin), "X-Client-Cert-Subject", "CN=alice");
    gateway_stop(gateway);
}

Test(client_certs, a_broken_file_is_kept_out)
{
    struct cert *alice = make_client(make_ca("Own CA", "ca.pem"), "alice");
    struct origin *origin = origin_start("o");
    struct gateway *gateway = start_with(origin, "'client_ca': 'ca.pem'");
    size_t position = 0;

    workplace_write(workplace_path("ca.pem"), "half", 4);
    gateway_wait_stderr(gateway, "ca.pem holds no certificate", &position);
    gateway_wait_stderr(gateway, "what was read before is served in its place", NULL);
    expect_outcome(gateway, TLS1_3_VERSION, alice, 0);
    expect_outcome(gateway, TLS1_3_VERSION, NULL, CERTIFICATE_REQUIRED);
    run_says(0, "clients are held against what was read before",
             SALLYPORT("certs", "-c", workplace_path("routes.json")));
    run_says(1, "ca.pem holds no certificate",
             SALLYPORT("reload", "-c", workplace_path("routes.json")));
    expect_outcome(gateway, TLS1_3_VERSION, alice, 0);
    gateway_stop(gateway);
}

Test(client_certs, a_broken_file_starts_nothing)
{
    cert_write_alone(cert_new("leaf.test"), workplace_path("leaf.pem"));
    route_file("routes.json", "{ @base, 'tls': { 'client_ca': 'none.pem' }, 'routes': { 'x.test': "
                              "{ 'respond': {}, 'tls': { 'client_ca': 'leaf.pem' } } } }");

    struct command *check = SALLYPORT("check", "-c", workplace_path("routes.json"));
    run_says(3, "none.pem cannot be read", check);
    run_says(3, "is none of an authority", check);
    run_says(3, "routes[\"x.test\"].tls.client_ca", check);
    run_says(3, "none.pem cannot be read", SALLYPORT("run", "-c", workplace_path("routes.json")));
}

/* --- while it is verified ----------------------------------------------------------------------
 */

enum { CLIENTS = 8, ROUNDS = 12 };

struct crowd {
    struct gateway *gateway;
    const struct cert *good, *bad;
};

/* Some show what is good, some what is not, some leave once they have shown it. */
static void *come_and_go(void *argument)
{
    const struct crowd *crowd = argument;

    for (int i = 0; i < ROUNDS; i++) {
        struct client_options options = {.sni = "a.test",
                                         .cert = i % 3 == 1 ? crowd->bad : crowd->good,
                                         .max_version = versions[i % 2]};
        struct client *client = client_make(gateway_https(crowd->gateway), &options);

        if (client == NULL)
            workplace_note("no connection");
        else if (i % 3 == 0 && !client->is_connected)
            workplace_note("a good certificate was refused");
        client_free(client);
    }
    return NULL;
}

Test(client_certs, clients_come_and_go_on_two_workers)
{
    struct cert *ca = make_ca("Own CA", "ca.pem");
    struct origin *origin = origin_start("o");
    struct crowd crowd = {.good = make_client(ca, "alice"),
                          .bad = make_client(make_ca("Other CA", NULL), "mallory")};
    pthread_t threads[CLIENTS];

    crowd.gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'tls': { 'client_ca': 'ca.pem' }, 'routes': { '*': '%s' } }",
                             origin_address(origin)),
        .workers = 2});
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, come_and_go, &crowd);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    expect_outcome(crowd.gateway, TLS1_3_VERSION, crowd.good, 0);
    gateway_stop(crowd.gateway);
}

Test(client_certs, a_drain_in_the_middle_ends_in_order)
{
    struct cert *ca = make_ca("Own CA", "ca.pem");
    struct origin *origin = origin_start("o");
    struct crowd crowd = {.good = make_client(ca, "alice"),
                          .bad = make_client(make_ca("Other CA", NULL), "mallory")};
    struct client *half;

    crowd.gateway = start_with(origin, "'client_ca': 'ca.pem'");
    half = client_begin(gateway_https(crowd.gateway),
                        &(struct client_options){.sni = "a.test", .cert = crowd.good});
    gateway_signal(crowd.gateway, SIGTERM);
    gateway_wait_stderr(crowd.gateway, "drain", NULL);
    client_finish(half);
    expect_from(client_get(half, "a.test", "/"), "o");
    cr_assert_eq(gateway_wait_exit(crowd.gateway), 0);
    gateway_stop(crowd.gateway);
}
