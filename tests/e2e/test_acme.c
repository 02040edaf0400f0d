/* Certificates that really come from an ACME authority: pebble validates through the gateway's
 * acme_webroot, and the gateway serves what lego and certbot then lay down, and lay down anew. */
#include "harness/background.h"
#include "harness/command.h"
#include "harness/monitor.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(acme);

#define NAME "shop.test"

static bool is_missing(const char *program)
{
    if (command_exists(program))
        return false;
    fprintf(stderr, "skipped: %s is not installed (scripts/setup acme)\n", program);
    return true;
}

/* --- the authority ------------------------------------------------------------------------ */

/* Every name is this machine. */
static const char *start_names(void)
{
    const char *address = workplace_free_address();
    const char *const argv[] = {"pebble-challtestsrv",
                                "-defaultIPv6",
                                "",
                                "-dns01",
                                address,
                                "-http01",
                                "",
                                "-https01",
                                "",
                                "-tlsalpn01",
                                "",
                                "-management",
                                workplace_free_address(),
                                NULL};

    background_wait_word(background_start(argv, (const char *const[]){NULL}), "Starting");
    return address;
}

/* An authority that asks for challenges at the gateway's port; the address of its directory. */
static const char *start_authority(struct gateway *gateway)
{
    const char *address = workplace_free_address();
    const char *host = text("%.*s", (int)strcspn(address, ":"), address);
    const struct cert *cert = cert_new(host);
    const char *config = text("{ \"pebble\": { \"listenAddress\": \"%s\","
                              " \"managementListenAddress\": \"%s\", \"certificate\": \"%s\","
                              " \"privateKey\": \"%s\", \"httpPort\": %d, \"tlsPort\": %d,"
                              " \"externalAccountBindingRequired\": false } }",
                              address, workplace_free_address(), workplace_path("authority.crt"),
                              workplace_path("authority.key"), gateway_port(gateway, "http"),
                              gateway_port(gateway, "https"));
    const char *const argv[] = {"pebble",     "-config",     workplace_path("pebble.json"),
                                "-dnsserver", start_names(), NULL};
    const char *const environment[] = {"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0",
                                       "PEBBLE_AUTHZREUSE=0", NULL};

    cert_write_chain(cert, workplace_path("authority.crt"));
    cert_write_key(cert, workplace_path("authority.key"));
    workplace_write(workplace_path("pebble.json"), config, strlen(config));
    background_wait_word(background_start(argv, environment), "ACME directory available");
    return text("https://%s/dir", address);
}

/* --- the gateway -------------------------------------------------------------------------- */

static struct gateway *start_gateway(const char *certs)
{
    workplace_make_folder("acme");
    return gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
                         "  'http': { 'bind': '127.0.0.1:0', 'acme_webroot': 'acme' } },"
                         "  'certs': %s, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }",
                         certs);
}

static X509 *served_now(struct gateway *gateway)
{
    struct client *client = client_open(gateway, NAME);
    X509 *presented = client_peer(client);

    X509_up_ref(presented);
    client_close(client);
    return presented;
}

static bool comes_from_the_authority(X509 *certificate)
{
    char issuer[256] = "";

    X509_NAME_oneline(X509_get_issuer_name(certificate), issuer, sizeof issuer);
    return strstr(issuer, "Pebble") != NULL;
}

static void free_certificate(void *certificate)
{
    X509_free(certificate);
}

/* Waits until new handshakes get one of the authority's that is not `before`. */
static X509 *wait_for_new(struct gateway *gateway, X509 *before)
{
    long long start = monitor_now_ms();

    for (;;) {
        X509 *now = workplace_own(served_now(gateway), free_certificate);
        if (comes_from_the_authority(now) && X509_cmp(now, before) != 0)
            return now;
        workplace_require(monitor_may_ask_again(start), "the new certificate is never served");
    }
}

/* --- lego --------------------------------------------------------------------------------- */

/* Lays the pair down as one file, in one rename. */
static const char *write_hook(void)
{
    const char *hook = text("#!/bin/sh\n"
                            "set -e\n"
                            "umask 077\n"
                            "certs='%s'\n"
                            "cat \"$LEGO_CERT_PATH\" \"$LEGO_CERT_KEY_PATH\" >\"$certs/.new\"\n"
                            "mv \"$certs/.new\" \"$certs/$LEGO_CERT_DOMAIN.pem\"\n",
                            workplace_path("own"));

    workplace_write(workplace_path("hook"), hook, strlen(hook));
    cr_assert_eq(chmod(workplace_path("hook"), 0700), 0);
    return workplace_path("hook");
}

static void lego(const char *directory, const char *verb, const char *hook_option)
{
    bool renews = strcmp(verb, "renew") == 0;
    const char *const argv[] = {"lego",
                                "--server",
                                directory,
                                "--path",
                                workplace_path("lego"),
                                "--accept-tos",
                                "--email",
                                "owner@shop.test",
                                "--domains",
                                NAME,
                                "--http",
                                "--http.webroot",
                                workplace_path("acme"),
                                verb,
                                hook_option,
                                write_hook(),
                                renews ? "--days=36500" : NULL,
                                "--no-random-sleep",
                                NULL};
    const char *const environment[] = {text("LEGO_CA_CERTIFICATES=%s", workplace_path("ca.pem")),
                                       NULL};

    command_expect(command_run_with(argv, NULL, environment), 0);
}

Test(acme, lego_obtains_and_renews)
{
    if (is_missing("pebble") || is_missing("pebble-challtestsrv") || is_missing("lego"))
        return;
    workplace_make_folder("own");
    struct cert *self_made = cert_new(NAME);
    cert_write_bundle(self_made, workplace_path("own/" NAME ".pem"));
    struct gateway *gateway = start_gateway("'own'");
    const char *directory = start_authority(gateway);

    lego(directory, "run", "--run-hook");
    X509 *first = wait_for_new(gateway, cert_x509(self_made));
    lego(directory, "renew", "--renew-hook");
    wait_for_new(gateway, first);
    gateway_stop(gateway);
}

/* --- certbot ------------------------------------------------------------------------------ */

static void certbot(const char *const *arguments)
{
    const char *argv[40] = {"certbot"};
    int count = 1;

    for (; *arguments != NULL; arguments++)
        argv[count++] = *arguments;
    for (const char *const *folder = (const char *const[]){"config", "work", "logs", NULL};
         *folder != NULL; folder++) {
        argv[count++] = text("--%s-dir", *folder);
        argv[count++] = workplace_path("letsencrypt%s%s", strcmp(*folder, "config") ? "/" : "",
                                       strcmp(*folder, "config") ? *folder : "");
    }
    command_expect(
        command_run_with(
            argv, NULL,
            (const char *const[]){text("REQUESTS_CA_BUNDLE=%s", workplace_path("ca.pem")), NULL}),
        0);
}

Test(acme, certbot_obtains_and_renews)
{
    if (is_missing("pebble") || is_missing("pebble-challtestsrv") || is_missing("certbot"))
        return;
    workplace_make_folder("own");
    workplace_make_folder("letsencrypt/live");
    struct cert *self_made = cert_new(NAME);
    cert_write_bundle(self_made, workplace_path("own/self-made.pem"));
    struct gateway *gateway = start_gateway("['own', 'letsencrypt/live']");
    const char *directory = start_authority(gateway);

    certbot((const char *const[]){"certonly", "--non-interactive", "--agree-tos", "--email",
                                  "owner@shop.test", "--server", directory, "--key-type", "ecdsa",
                                  "--webroot", "--webroot-path", workplace_path("acme"), "--domain",
                                  NAME, NULL});
    X509 *first = wait_for_new(gateway, cert_x509(self_made));
    certbot((const char *const[]){"renew", "--non-interactive", "--force-renewal",
                                  "--no-random-sleep-on-renew", NULL});
    wait_for_new(gateway, first);
    gateway_stop(gateway);
}
