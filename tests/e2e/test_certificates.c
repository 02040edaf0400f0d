/* Which certificate a ClientHello gets: layouts of folders, names, kinds, dates, defaults. */
#include "harness/command.h"
#include "harness/test_certs.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(certificates);

#define UNRECOGNIZED_NAME 112

/* A gateway whose certificates are in TMP/own, and whose every route answers "ok". */
static struct gateway *start_own(const char *certs, const char *tls)
{
    return gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"
                         "  'certs': %s, 'tls': { %s },"
                         "  'routes': { '*': { 'respond': { 'body': 'ok' } } } }",
                         certs, tls);
}

static void expect_cert(struct gateway *gateway, const struct client_options *options,
                        const struct cert *cert)
{
    struct client *client = client_open_with(gateway_https(gateway), options);

    workplace_require(cert_is(cert, client_peer(client)),
                      "another certificate for SNI %s, groups %s, sigalgs %s",
                      options->sni != NULL ? options->sni : "(none)",
                      options->groups != NULL ? options->groups : "of old",
                      options->sigalgs != NULL ? options->sigalgs : "of old");
    client_close(client);
}

static void expect_cert_for(struct gateway *gateway, const char *sni, const struct cert *cert)
{
    expect_cert(gateway, &(struct client_options){.sni = sni}, cert);
}

static void expect_alert(struct gateway *gateway, const struct client_options *options, int alert)
{
    struct client *client = client_try(gateway_https(gateway), options);

    workplace_require(
        client != NULL && !client->is_connected && client->alert == alert,
        "SNI %s: connected %d, alert %d, not %d", options->sni != NULL ? options->sni : "(none)",
        client != NULL && client->is_connected, client != NULL ? client->alert : -1, alert);
    client_close(client);
}

static struct cert *own_bundle(const char *file, const struct cert_options *options)
{
    struct cert *cert = cert_make(options);

    workplace_make_folder("own");
    cert_write_bundle(cert, workplace_path("own/%s", file));
    return cert;
}

static struct cert *own(const char *file, const char *names)
{
    return own_bundle(file, &(struct cert_options){.names = names});
}

Test(certificates, exact_before_wildcard)
{
    struct cert *wild = own("a-wild.pem", "*.one.example");
    struct cert *exact = own("b-exact.pem", "x.one.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_cert_for(gateway, "x.one.example", exact);
    expect_cert_for(gateway, "X.One.EXAMPLE", exact);
    expect_cert_for(gateway, "y.one.example", wild);
    expect_alert(gateway, &(struct client_options){.sni = "one.example"}, UNRECOGNIZED_NAME);
    expect_alert(gateway, &(struct client_options){.sni = "a.b.one.example"}, UNRECOGNIZED_NAME);
    gateway_stop(gateway);
}

Test(certificates, one_certificate_for_many_names)
{
    struct cert *many = own("many.pem", "a.example, b.example, *.c.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_cert_for(gateway, "a.example", many);
    expect_cert_for(gateway, "b.example", many);
    expect_cert_for(gateway, "x.c.example", many);
    gateway_stop(gateway);
}

Test(certificates, rsa_and_ecdsa_side_by_side)
{
    struct cert *rsa =
        own_bundle("rsa.pem", &(struct cert_options){.names = "r.example", .kind = CERT_RSA});
    struct cert *ecdsa = own("ecdsa.pem", "r.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_cert_for(gateway, "r.example", ecdsa);
    expect_cert(
        gateway,
        &(struct client_options){.sni = "r.example", .sigalgs = "RSA-PSS+SHA256:RSA+SHA256"}, rsa);
    expect_cert(gateway,
                &(struct client_options){.sni = "r.example",
                                         .max_version = TLS1_2_VERSION,
                                         .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"},
                rsa);
    expect_cert(gateway,
                &(struct client_options){.sni = "r.example",
                                         .max_version = TLS1_2_VERSION,
                                         .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"},
                ecdsa);
    expect_cert(gateway, &(struct client_options){.sni = "r.example", .sigalgs = "ECDSA+SHA256"},
                ecdsa);
    gateway_stop(gateway);
}

Test(certificates, curve_that_the_client_does_not_know)
{
    struct cert *p384 = own_bundle(
        "p384.pem", &(struct cert_options){.names = "k.example", .kind = CERT_P384, .to_days = 30});
    struct cert *p256 = own_bundle(
        "p256.pem", &(struct cert_options){.names = "k.example", .from_days = -10, .to_days = 30});
    struct gateway *gateway = start_own("'own'", "");

    expect_cert(gateway,
                &(struct client_options){
                    .sni = "k.example", .min_version = TLS1_3_VERSION, .sigalgs = "ECDSA+SHA384"},
                p384);
    expect_cert(gateway,
                &(struct client_options){
                    .sni = "k.example", .max_version = TLS1_2_VERSION, .groups = "P-256"},
                p256);
    expect_cert(gateway,
                &(struct client_options){
                    .sni = "k.example", .min_version = TLS1_3_VERSION, .sigalgs = "ECDSA+SHA256"},
                p256);
    gateway_stop(gateway);
}

Test(certificates, in_date_before_exact)
{
    struct cert *wild = own("wild.pem", "*.d.example");
    struct cert *expired =
        own_bundle("expired.pem",
                   &(struct cert_options){.names = "x.d.example", .from_days = -30, .to_days = -1});
    struct cert *early = own_bundle(
        "early.pem", &(struct cert_options){.names = "y.d.example", .from_days = 5, .to_days = 30});
    struct gateway *gateway = start_own("'own'", "");

    (void)expired;
    (void)early;
    expect_cert_for(gateway, "x.d.example", wild);
    expect_cert_for(gateway, "y.d.example", wild);
    gateway_stop(gateway);
}

Test(certificates, expired_when_nothing_else_matches)
{
    struct cert *expired =
        own_bundle("expired.pem",
                   &(struct cert_options){.names = "old.example", .from_days = -30, .to_days = -1});
    struct cert *other = own("other.pem", "new.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_cert_for(gateway, "old.example", expired);
    expect_cert_for(gateway, "new.example", other);
    gateway_stop(gateway);
}

Test(certificates, newest_of_two_then_the_file_name)
{
    struct cert *older = own_bundle(
        "a.pem", &(struct cert_options){.names = "n.example", .from_days = -9, .to_days = 90});
    struct cert *newer = own_bundle(
        "b.pem", &(struct cert_options){.names = "n.example", .from_days = -2, .to_days = 9});
    struct gateway *gateway = start_own("'own'", "");

    (void)older;
    expect_cert_for(gateway, "n.example", newer);
    gateway_stop(gateway);
}

struct layout {
    const char *chain, *key; /* relative to the folder; key NULL for a bundle */
};

Test(certificates, every_layout_of_a_folder)
{
    static const struct layout layouts[] = {
        {"bundle.pem", NULL},
        {"crt.crt", "crt.key"},
        {"pem.pem", "pem.key"},
        {"tls.crt", "tls.key"},
        {"sub/bundle.pem", NULL},
        {"sub/tls.crt", "sub/tls.key"},
        {"sub2/name.crt", "sub2/name.key"},
    };
    enum { COUNT = sizeof layouts / sizeof *layouts };
    struct cert *certs[COUNT];

    workplace_make_folder("own/sub");
    workplace_make_folder("own/sub2");
    for (int i = 0; i < COUNT; i++) {
        certs[i] = cert_new(text("l%d.example", i));
        const char *chain = workplace_path("own/%s", layouts[i].chain);
        if (layouts[i].key == NULL) {
            cert_write_bundle(certs[i], chain);
        } else {
            cert_write_chain(certs[i], chain);
            cert_write_key(certs[i], workplace_path("own/%s", layouts[i].key));
        }
    }
    workplace_write(workplace_path("own/README.md"), "no certificate\n", 15);
    struct gateway *gateway = start_own("'own'", "");
    for (int i = 0; i < COUNT; i++)
        expect_cert_for(gateway, text("l%d.example", i), certs[i]);
    gateway_stop(gateway);
}

Test(certificates, certbots_layout)
{
    struct cert *one = cert_new("one.example");
    struct cert *two = cert_new("two.example");

    workplace_make_folder("own/live/one.example");
    workplace_make_folder("own/live/two.example-0001");
    workplace_make_folder("own/archive/one.example");
    cert_write_chain(one, workplace_path("own/archive/one.example/fullchain1.pem"));
    cert_write_key(one, workplace_path("own/archive/one.example/privkey1.pem"));
    cr_assert_eq(symlink("../../archive/one.example/fullchain1.pem",
                         workplace_path("own/live/one.example/fullchain.pem")),
                 0);
    cr_assert_eq(symlink("../../archive/one.example/privkey1.pem",
                         workplace_path("own/live/one.example/privkey.pem")),
                 0);
    cert_write_chain(two, workplace_path("own/live/two.example-0001/fullchain.pem"));
    cert_write_chain(two, workplace_path("own/live/two.example-0001/cert.pem"));
    cert_write_key(two, workplace_path("own/live/two.example-0001/privkey.pem"));
    workplace_write(workplace_path("own/live/README"), "certbot was here\n", 17);
    struct gateway *gateway = start_own("'own'", "");
    expect_cert_for(gateway, "one.example", one);
    expect_cert_for(gateway, "two.example", two);
    gateway_stop(gateway);
    command_expect(SALLYPORT("check", "-c", workplace_path("routes.json")), 0);
}

Test(certificates, dotfiles_are_ignored)
{
    struct cert *seen = own("seen.pem", "seen.example");

    own(".hidden.pem", "hidden.example");
    workplace_make_folder("own/.folder");
    cert_write_bundle(cert_new("deep.example"), workplace_path("own/.folder/deep.pem"));
    struct gateway *gateway = start_own("'own'", "");
    expect_cert_for(gateway, "seen.example", seen);
    expect_alert(gateway, &(struct client_options){.sni = "hidden.example"}, UNRECOGNIZED_NAME);
    expect_alert(gateway, &(struct client_options){.sni = "deep.example"}, UNRECOGNIZED_NAME);
    gateway_stop(gateway);
}

Test(certificates, kubernetes_symlinks_are_followed)
{
    struct cert *cert = cert_new("k8s.example");

    workplace_make_folder("own/..2030_01_01");
    cert_write_chain(cert, workplace_path("own/..2030_01_01/tls.crt"));
    cert_write_key(cert, workplace_path("own/..2030_01_01/tls.key"));
    cr_assert_eq(symlink("..2030_01_01", workplace_path("own/..data")), 0);
    cr_assert_eq(symlink("..data/tls.crt", workplace_path("own/tls.crt")), 0);
    cr_assert_eq(symlink("..data/tls.key", workplace_path("own/tls.key")), 0);
    struct gateway *gateway = start_own("'own'", "");
    expect_cert_for(gateway, "k8s.example", cert);
    gateway_stop(gateway);
}

Test(certificates, files_and_pairs_and_lists)
{
    struct cert *folder = own("folder.pem", "folder.example");
    struct cert *file = cert_new("file.example");
    struct cert *pair = cert_new("pair.example");

    cert_write_bundle(file, workplace_path("file.pem"));
    cert_write_chain(pair, workplace_path("pair-chain"));
    cert_write_key(pair, workplace_path("pair-key"));
    struct gateway *gateway =
        start_own("['own', '@tmp/file.pem', { 'chain': 'pair-chain', 'key': 'pair-key' }]", "");
    expect_cert_for(gateway, "folder.example", folder);
    expect_cert_for(gateway, "file.example", file);
    expect_cert_for(gateway, "pair.example", pair);
    gateway_stop(gateway);
}

Test(certificates, unknown_sni_is_rejected)
{
    own("one.pem", "one.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_alert(gateway, &(struct client_options){.sni = "two.example"}, UNRECOGNIZED_NAME);
    expect_alert(gateway,
                 &(struct client_options){.sni = "two.example", .max_version = TLS1_2_VERSION},
                 UNRECOGNIZED_NAME);
    gateway_stop(gateway);
}

Test(certificates, no_sni_without_a_default_is_refused)
{
    own("one.pem", "one.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_alert(gateway, &(struct client_options){.sni = NULL}, UNRECOGNIZED_NAME);
    gateway_stop(gateway);
}

Test(certificates, default_certificate)
{
    struct cert *one = own("one.pem", "one.example");
    struct cert *two = own("two.pem", "two.example");
    struct gateway *gateway =
        start_own("'own'", "'unknown_sni': 'default', 'default_cert': 'two.example'");

    expect_cert_for(gateway, "one.example", one);
    expect_cert_for(gateway, "unknown.example", two);
    expect_cert_for(gateway, NULL, two);
    /* A host that no certificate covers is routed there. */
    struct client *client = client_open(gateway, "unknown.example");
    expect_body(client_get(client, "unknown.example", "/"), "ok");
    gateway_stop(gateway);
}

Test(certificates, default_certificate_only_for_no_sni)
{
    struct cert *one = own("one.pem", "one.example");
    struct gateway *gateway = start_own("'own'", "'default_cert': 'one.example'");

    expect_cert_for(gateway, NULL, one);
    expect_alert(gateway, &(struct client_options){.sni = "two.example"}, UNRECOGNIZED_NAME);
    gateway_stop(gateway);
}

Test(certificates, default_certificate_that_nothing_covers)
{
    own("one.pem", "one.example");
    struct command *command = SALLYPORT(
        "check", "-c",
        route_file("routes.json", "{ 'certs': 'own', 'tls': {\n 'default_cert':"
                                  "  'two.example' }, 'routes': { '*': '127.0.0.1:1' } }"));

    command_expect(command, 3);
    command_says(command, "two.example");
}

Test(certificates, address_in_the_certificate)
{
    struct cert *ip = own("ip.pem", "127.0.0.1");
    own("one.pem", "one.example");
    struct gateway *gateway = start_own("'own'", "'default_cert': '127.0.0.1'");
    struct client *client = client_open_with(gateway_https(gateway), &(struct client_options){0});

    cr_assert(cert_is(ip, client_peer(client)));
    expect_body(client_get(client, gateway_https(gateway), "/"), "ok");
    expect_refusal(client_get(client, "one.example", "/"), 421, "misdirected");
    gateway_stop(gateway);
}

Test(certificates, misdirected_requests)
{
    own("one.pem", "one.example, *.one.example");
    own("two.pem", "two.example");
    struct gateway *gateway = start_own("'own'", "");

    expect_refusal(client_get(client_open(gateway, "one.example"), "two.example", "/"), 421,
                   "misdirected");
    expect_status(client_get(client_open(gateway, "one.example"), "x.one.example:443", "/"), 200);
    expect_status(client_get(client_open(gateway, "one.example"), "nobody.example", "/"), 200);
    gateway_stop(gateway);
}

Test(certificates, plaintext_is_never_misdirected)
{
    own("one.pem", "one.example");
    struct gateway *gateway =
        gateway_start("{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock',"
                      "    'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' } },"
                      "  'certs': 'own', 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));

    expect_body(client_get(client, "one.example", "/"), "ok");
    gateway_stop(gateway);
}

Test(certificates, chain_is_sent_and_verifies)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");
    struct client *client = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .verifies = true});

    cr_assert_eq(sk_X509_num(SSL_get_peer_cert_chain(client->wire.ssl)), 2);
    gateway_stop(gateway);
}

Test(certificates, ocsp_response_is_stapled)
{
    struct cert *one = own("one.pem", "one.example");
    own("two.pem", "two.example");
    cert_write_ocsp(one, workplace_path("own/one.ocsp"));
    size_t length = 0;
    FILE *file = fopen(workplace_path("own/one.ocsp"), "r");
    char expected[8192];
    length = fread(expected, 1, sizeof expected, file);
    fclose(file);
    struct gateway *gateway = start_own("'own'", "");
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (int i = 0; i < 2; i++) {
        const unsigned char *staple = NULL;
        struct client_options options = {.sni = "one.example",
                                         .wants_ocsp = true,
                                         .min_version = versions[i],
                                         .max_version = versions[i]};
        struct client *client = client_open_with(gateway_https(gateway), &options);
        long got = SSL_get_tlsext_status_ocsp_resp(client->wire.ssl, &staple);
        workplace_require(got == (long)length && memcmp(staple, expected, length) == 0,
                          "stapled %ld bytes, not the file's %zu", got, length);
        options.sni = "two.example";
        client = client_open_with(gateway_https(gateway), &options);
        cr_assert_leq(SSL_get_tlsext_status_ocsp_resp(client->wire.ssl, &staple), 0);
    }
    gateway_stop(gateway);
}
