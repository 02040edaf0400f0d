/* Certificates with RSA keys, whose signatures are made off the loops: many handshakes at once,
 * certificates that are replaced meanwhile, and an end in between. */
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/test_certs.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>

E2E_SUITE(signatures);

enum { CLIENTS = 8, ROUNDS = 12, RELOADS = 5 };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void write_site(void)
{
    cert_write_bundle(cert_make(&(struct cert_options){.names = "a.test", .kind = CERT_RSA}),
                      workplace_path("certs/site.pem"));
}

struct crowd {
    struct gateway *gateway;
    const struct cert *client;
};

static void *come_and_go(void *argument)
{
    const struct crowd *crowd = argument;

    for (int i = 0; i < ROUNDS; i++) {
        struct client_options options = {.sni = "a.test",
                                         .cert = crowd->client,
                                         .min_version = versions[i % 2],
                                         .max_version = versions[i % 2]};
        struct client *client = client_make(gateway_https(crowd->gateway), &options);

        if (client == NULL || !client->is_connected)
            workplace_note("no connection");
        client_free(client);
    }
    return NULL;
}

static void run_crowd(struct crowd *crowd, int reloads)
{
    pthread_t threads[CLIENTS];

    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, come_and_go, crowd);
    for (int i = 0; i < reloads; i++) {
        write_site();
        gateway_signal(crowd->gateway, SIGHUP);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
}

static struct gateway *start(struct origin *origin, const char *tls)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'tls': { %s }, 'routes': { '*': '%s' } }",
                             tls, origin_address(origin)),
        .workers = 2});
}

Test(signatures, certificates_are_replaced_while_many_shake_hands)
{
    struct origin *origin = origin_start("o");

    write_site();
    struct crowd crowd = {.gateway = start(origin, "")};
    run_crowd(&crowd, RELOADS);
    expect_from(client_get(client_open(crowd.gateway, "a.test"), "a.test", "/"), "o");
    gateway_stop(crowd.gateway);
}

/* Two waits in one handshake: for the gateway's signature, and for the client's certificate. */
Test(signatures, clients_show_certificates_of_their_own)
{
    struct origin *origin = origin_start("o");
    struct cert *ca =
        cert_make(&(struct cert_options){.subject = "CA", .is_authority = true, .is_root = true});

    write_site();
    cert_write_alone(ca, workplace_path("ca.pem"));
    struct crowd crowd = {.gateway = start(origin, "'client_ca': 'ca.pem'"),
                          .client = cert_make(&(struct cert_options){
                              .subject = "alice", .purpose = "clientAuth", .issuer = ca})};
    run_crowd(&crowd, 0);
    gateway_stop(crowd.gateway);
}

/* They say hello, and are gone before what is signed for them can be sent. */
static void *say_hello_and_leave(void *argument)
{
    const struct crowd *crowd = argument;

    for (int i = 0; i < ROUNDS; i++) {
        struct client_options options = {
            .sni = "a.test", .min_version = versions[i % 2], .max_version = versions[i % 2]};
        struct client *client = client_make_begun(gateway_https(crowd->gateway), &options);

        if (client == NULL)
            workplace_note("no connection");
        else
            client_free(client);
    }
    return NULL;
}

Test(signatures, clients_leave_while_they_are_signed_for)
{
    struct origin *origin = origin_start("o");
    pthread_t threads[CLIENTS];

    write_site();
    struct crowd crowd = {.gateway = start(origin, "")};
    expect_from(fetch(crowd.gateway, "a.test", "/"), "o");
    int files = gateway_open_files(crowd.gateway);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, say_hello_and_leave, &crowd);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    struct client *client = client_open(crowd.gateway, "a.test");
    expect_from(client_get(client, "a.test", "/"), "o");
    client_close(client);
    /* All of them are closed; one more is what a second worker keeps to the backend. */
    long long begun = monitor_now_ms();
    while (gateway_open_files(crowd.gateway) > files + 1 && monitor_may_ask_again(begun)) {
    }
    cr_assert_leq(gateway_open_files(crowd.gateway), files + 1);
    gateway_stop(crowd.gateway);
}

Test(signatures, a_drain_in_the_middle_ends_in_order)
{
    struct origin *origin = origin_start("o");

    write_site();
    struct gateway *gateway = start(origin, "");
    struct client *half =
        client_begin(gateway_https(gateway), &(struct client_options){.sni = "a.test"});
    gateway_signal(gateway, SIGTERM);
    gateway_wait_stderr(gateway, "drain", NULL);
    client_finish(half);
    expect_from(client_get(half, "a.test", "/"), "o");
    cr_assert_eq(gateway_wait_exit(gateway), 0);
    gateway_stop(gateway);
}
